//! Who may hold how much of what is bounded for all: the one rule for the link service's connections,
//! mailboxes and records, and for the connections of strangers at a host.
//!
//! An address stands in networks, each inside the next ([`Lineage`]):
//!
//! ```text
//! everybody ⊃ an IPv4 address
//! everybody ⊃ an IPv6 /48 ⊃ a /56 ⊃ a /64
//! everybody ⊃ all who come by a relay ⊃ an endpoint
//! ```
//!
//! A provider gives a customer a /64, a /56 or a /48, so none of these alone tells one holder from
//! another. Each network may hold a part of the total ([`Limits`]). Where one is full, the network in it
//! that holds most gives something up for a smaller one ([`decide`]); among networks that hold the same,
//! nothing moves. Who comes by a relay has no address; their endpoint's id stands for it. So a network that holds less than its even part of a full one loses nothing, whatever
//! the others do, and always gets more.
//!
//! [`Shares`] applies the rule to counts in memory; a store elsewhere brings its own counts to [`decide`].
//! [`SharedRate`] shares out in the same way how often something may be done.

mod rate;
mod shared_rate;

pub use rate::Bucket;
pub use shared_rate::{Buckets, Later, MAX_REMEMBERED, SharedRate};

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::IpAddr,
    ops::Deref,
};

/// A part of the address space: everything, one IPv4 address, or an IPv6 /48, /56 or /64; or an endpoint
/// behind a relay, or all of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// The version, 4 or 6 (or 8 for behind a relay), then the prefix; blank behind.
    bytes: [u8; Network::LONGEST],
    /// How many of them count.
    len: u8,
}

impl Network {
    /// Everybody.
    pub const ALL: Network = Network {
        bytes: [0; Network::LONGEST],
        len: 0,
    };

    /// Bytes of the longest, an IPv6 /64 behind its version.
    pub const LONGEST: usize = 9;

    fn new(version: u8, prefix: &[u8]) -> Network {
        let mut bytes = [0; Self::LONGEST];
        bytes[0] = version;
        bytes[1..=prefix.len()].copy_from_slice(prefix);
        Network {
            bytes,
            len: 1 + prefix.len() as u8,
        }
    }

    /// The network of an address that no other holds: the IPv4 address itself, or the IPv6 /64.
    pub fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(v4) => Network::new(4, &v4.octets()),
            IpAddr::V6(v6) => Network::new(6, &v6.octets()[..8]),
        }
    }

    /// Of an endpoint behind a relay, by the beginning of its id.
    pub fn relayed(endpoint: &[u8; 32]) -> Network {
        Network::new(8, &endpoint[..8])
    }

    /// As it is stored: a network inside another one begins with the other's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Reads what [`as_bytes`](Self::as_bytes) gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<Network> {
        match bytes {
            [] => Some(Network::ALL),
            [4, prefix @ ..] if prefix.len() == 4 => Some(Network::new(4, prefix)),
            [6, prefix @ ..] if (6..=8).contains(&prefix.len()) => Some(Network::new(6, prefix)),
            _ => None,
        }
    }

    /// Itself and all it is inside of.
    pub fn lineage(self) -> Lineage {
        let mut networks = [Network::ALL; 4];
        let prefixes: &[usize] = match self.bytes[0] {
            4 => &[4],
            6 => &[6, 7, 8],
            8 => &[0, 8],
            _ => &[],
        };
        let inside = prefixes
            .iter()
            .take_while(|prefix| **prefix < usize::from(self.len));
        let mut len = 1;
        for prefix in inside {
            networks[len] = Network::new(self.bytes[0], &self.bytes[1..=*prefix]);
            len += 1;
        }
        Lineage { networks, len }
    }
}

/// What a [`Network`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkKind {
    /// Everything.
    All,
    /// An IPv4 address.
    Address,
    /// All that comes by a relay.
    Relay,
    /// An endpoint that comes by a relay.
    Endpoint,
    /// IPv6 addresses that begin with so many bits.
    Ipv6 {
        /// How many.
        prefix: u8,
    },
}

impl Network {
    /// What it is.
    pub fn kind(&self) -> NetworkKind {
        match (self.bytes[0], self.len) {
            (_, 0) => NetworkKind::All,
            (4, _) => NetworkKind::Address,
            (8, 1) => NetworkKind::Relay,
            (8, _) => NetworkKind::Endpoint,
            (_, 7) => NetworkKind::Ipv6 { prefix: 48 },
            (_, 8) => NetworkKind::Ipv6 { prefix: 56 },
            _ => NetworkKind::Ipv6 { prefix: 64 },
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            NetworkKind::All => f.write_str("everybody together"),
            NetworkKind::Address => f.write_str("your address"),
            NetworkKind::Relay => f.write_str("everybody who comes by a relay"),
            NetworkKind::Endpoint => f.write_str("your endpoint"),
            NetworkKind::Ipv6 { prefix } => write!(f, "your network (IPv6 /{prefix})"),
        }
    }
}

/// A network and all it is inside of, the widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    networks: [Network; 4],
    len: usize,
}

impl Lineage {
    /// Of an address's own network.
    pub fn of(address: IpAddr) -> Lineage {
        Network::of(address).lineage()
    }

    /// The narrowest: the address's own network.
    pub fn own(&self) -> Network {
        self.networks[self.len - 1]
    }
}

impl Deref for Lineage {
    type Target = [Network];

    fn deref(&self) -> &[Network] {
        &self.networks[..self.len]
    }
}

/// How much is held at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// By everybody together.
    pub all: u64,
    /// By an IPv4 address or an IPv6 /64.
    pub address: u64,
    /// By an IPv6 /56.
    pub site: u64,
    /// By an IPv6 /48, or by all who come by a relay.
    pub network: u64,
}

impl Limits {
    /// A part of the total for an address, twice that for a /56, four times for a /48; never less than
    /// `least` for any of them, so that a small service serves a household.
    pub fn parts(all: u64, part: u64, least: u64) -> Limits {
        let address = (all / part.max(1)).max(least);
        Limits {
            all,
            address,
            site: address.saturating_mul(2),
            network: address.saturating_mul(4),
        }
    }

    /// What a network may hold.
    pub fn of(&self, network: &Network) -> u64 {
        match network.len {
            0 => self.all,
            1 | 7 => self.network,
            8 => self.site,
            _ => self.address,
        }
    }
}

/// How one network of a lineage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// What it holds.
    pub held: u64,
    /// What it may hold.
    pub limit: u64,
    /// The most that a network directly inside it holds; 0 for the narrowest.
    pub largest: u64,
}

/// What to do with somebody who asks for one more. Numbers are places in the lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is room.
    Room,
    /// The largest network directly inside this one gives something up.
    LargestIn(usize),
    /// There is none: this network is full, and nobody in it holds more than who asks.
    Full(usize),
}

/// The rule. `rungs` are the networks of who asks, the widest first.
///
/// What is freed in the narrowest network that is full is free in all that are wider, too. From there on
/// down, the first in which somebody holds at least two more than who asks is taken from: then they are
/// not behind afterwards, and nothing is passed to and fro.
pub fn decide(rungs: &[Rung]) -> Decision {
    let Some(full) = rungs.iter().rposition(|rung| rung.held >= rung.limit) else {
        return Decision::Room;
    };
    let pairs = rungs.windows(2).enumerate().skip(full);
    for (at, pair) in pairs {
        let (within, own) = (&pair[0], &pair[1]);
        if within.largest >= own.held.saturating_add(2) {
            return Decision::LargestIn(at);
        }
    }
    Decision::Full(full)
}

/// What [`Shares`] says to somebody who asks for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is room.
    Room,
    /// This address's network gives something up.
    GivesWay(Network),
    /// This network is full.
    Full(Network),
}

/// What everybody holds, in numbers. Its size is that of the networks that hold anything.
#[derive(Debug)]
pub struct Shares {
    limits: Limits,
    held: HashMap<Network, u64>,
    /// For each network, those directly inside it by what they hold.
    order: BTreeSet<(Network, u64, Network)>,
}

impl Shares {
    /// Nobody holds anything.
    pub fn new(limits: Limits) -> Shares {
        Shares {
            limits,
            held: HashMap::new(),
            order: BTreeSet::new(),
        }
    }

    /// What a network holds.
    pub fn held(&self, network: &Network) -> u64 {
        self.held.get(network).copied().unwrap_or(0)
    }

    /// Whether who asks may have one more, and who gives way for it.
    pub fn ask(&self, lineage: &Lineage) -> Verdict {
        let mut rungs = [Rung {
            held: 0,
            limit: 0,
            largest: 0,
        }; 4];
        for (rung, network) in rungs.iter_mut().zip(lineage.iter()) {
            *rung = Rung {
                held: self.held(network),
                limit: self.limits.of(network),
                largest: self.largest(network).map_or(0, |(held, _)| held),
            };
        }
        match decide(&rungs[..lineage.len()]) {
            Decision::Room => Verdict::Room,
            Decision::LargestIn(at) => Verdict::GivesWay(self.largest_address(lineage[at])),
            Decision::Full(at) => Verdict::Full(lineage[at]),
        }
    }

    /// Somebody holds one more.
    pub fn add(&mut self, own: Network) {
        self.change(own, |held| held + 1);
    }

    /// Somebody holds one less.
    pub fn remove(&mut self, own: Network) {
        self.change(own, |held| held.saturating_sub(1));
    }

    fn change(&mut self, own: Network, change: impl Fn(u64) -> u64) {
        let lineage = own.lineage();
        for (at, network) in lineage.iter().enumerate() {
            let before = self.held(network);
            let after = change(before);
            match after {
                0 => self.held.remove(network),
                after => self.held.insert(*network, after),
            };
            if let Some(within) = at.checked_sub(1) {
                self.order.remove(&(lineage[within], before, *network));
                if after > 0 {
                    self.order.insert((lineage[within], after, *network));
                }
            }
        }
    }

    fn largest(&self, within: &Network) -> Option<(u64, Network)> {
        let last = Network {
            bytes: [u8::MAX; Network::LONGEST],
            len: u8::MAX,
        };
        let range = (*within, 0, Network::ALL)..=(*within, u64::MAX, last);
        let (_, held, network) = self.order.range(range).next_back()?;
        Some((*held, *network))
    }

    /// From a network inwards, always to the largest.
    fn largest_address(&self, mut network: Network) -> Network {
        while let Some((_, inside)) = self.largest(&network) {
            network = inside;
        }
        network
    }
}

/// Of those who hold one thing each, whose may be taken: from the widest networks inwards always those of the
/// networks that hold most. By their places in `all`; several hold as much as each other.
///
/// For what is taken seldom: it goes through all of them.
pub fn largest_holders(all: &[Lineage]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..all.len()).collect();
    // Everybody is in the widest, and all that is narrower than an own network is that itself.
    for depth in 1..4 {
        let network = |at: &usize| {
            let lineage = &all[*at];
            lineage[depth.min(lineage.len() - 1)]
        };
        let mut held: HashMap<Network, usize> = HashMap::new();
        for at in &left {
            *held.entry(network(at)).or_default() += 1;
        }
        let most = held.values().max().copied().unwrap_or_default();
        left.retain(|at| held[&network(at)] == most);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_stand_in_one_another() {
        let lineage = Lineage::of(address("2001:db8:1:203:4::5"));
        let bytes: Vec<&[u8]> = lineage.iter().map(Network::as_bytes).collect();
        assert_eq!(
            bytes,
            [
                &[][..],
                &[6, 0x20, 1, 0xd, 0xb8, 0, 1],
                &[6, 0x20, 1, 0xd, 0xb8, 0, 1, 2],
                &[6, 0x20, 1, 0xd, 0xb8, 0, 1, 2, 3],
            ]
        );
        for network in lineage.iter() {
            assert_eq!(Network::from_bytes(network.as_bytes()), Some(*network));
        }
        let v4 = Lineage::of(address("192.0.2.1"));
        assert_eq!(v4.len(), 2);
        assert_eq!(v4.own().as_bytes(), [4, 192, 0, 2, 1]);
        assert_eq!(v4, Lineage::of(address("::ffff:192.0.2.1")));
        for wrong in [&[4][..], &[6, 1, 2], &[6; 10], &[5, 0, 0, 0, 0]] {
            assert_eq!(Network::from_bytes(wrong), None);
        }
    }

    #[test]
    fn the_largest_holders_are_found_from_the_widest_network_inwards() {
        let texts = [
            "192.0.2.1",
            "192.0.2.1",
            "2001:db8:1:1::1",
            "2001:db8:1:2::1",
            "2001:db8:1:2::2",
            "198.51.100.1",
        ];
        let mut all: Vec<Lineage> = texts
            .iter()
            .map(|text| Lineage::of(address(text)))
            .collect();
        assert_eq!(largest_holders(&all), [3, 4]);
        all.truncate(3);
        assert_eq!(largest_holders(&all), [0, 1]);
        all.remove(0);
        assert_eq!(largest_holders(&all), [0, 1], "among equals all of them");
        assert_eq!(largest_holders(&[]), [0; 0]);
        assert_eq!(largest_holders(&[Network::ALL.lineage()]), [0]);
    }

    #[test]
    fn endpoints_behind_relays_stand_in_one_network() {
        let one = Network::relayed(&[7; 32]).lineage();
        let other = Network::relayed(&[8; 32]).lineage();
        assert_eq!((one.len(), one[1]), (3, other[1]));
        assert_ne!(one.own(), other.own());
        let limits = Limits::parts(64, 8, 1);
        assert_eq!((limits.of(&one[1]), limits.of(&one[2])), (32, 8));
    }

    /// Takes one, anybody who gives way for it; whether it was had.
    fn take(shares: &mut Shares, from: IpAddr) -> bool {
        let lineage = Lineage::of(from);
        match shares.ask(&lineage) {
            Verdict::Room => {}
            Verdict::GivesWay(other) => shares.remove(other),
            Verdict::Full(_) => return false,
        }
        shares.add(lineage.own());
        true
    }

    #[test]
    fn one_hostile_48_leaves_room_for_everybody_else() {
        let mut shares = Shares::new(Limits::parts(1000, 16, 1));
        let hostile = |n: u32| {
            let [.., a, b, c, d] = n.to_be_bytes().map(u16::from);
            IpAddr::from([0x2001, 0xdb8, 1, a << 8 | b, c << 8 | d, 0, 0, 1])
        };
        // From each network of its half of it.
        for n in 0..32_768u32 {
            take(&mut shares, hostile(n << 16));
        }
        assert_eq!(shares.held(&Network::ALL), 248);
        assert!((0..500u32).all(|n| take(&mut shares, (0x0a00_0000 | n).to_be_bytes().into())));
        // A neighbour in the other half gets its part, too, from the site that holds most.
        assert!(take(&mut shares, address("2001:db8:1:ff00::1")));
        assert_eq!(shares.held(&Lineage::of(hostile(0))[1]), 248);
    }

    #[test]
    fn a_newcomer_gets_in_where_many_addresses_have_taken_all() {
        let mut shares = Shares::new(Limits::parts(100, 16, 8));
        for n in 0..20u8 {
            for _ in 0..100 {
                take(&mut shares, address(&format!("10.0.0.{n}")));
            }
        }
        assert_eq!(shares.held(&Network::ALL), 100);
        let newcomer = address("192.0.2.1");
        let had = (0..10).filter(|_| take(&mut shares, newcomer)).count();
        // An even part of 100 among 21.
        assert_eq!(had, 4);
        assert_eq!(shares.held(&Network::ALL), 100);
    }

    #[test]
    fn nothing_is_passed_to_and_fro() {
        let mut shares = Shares::new(Limits::parts(9, 1, 1));
        let (one, two) = (address("10.0.0.1"), address("10.0.0.2"));
        for _ in 0..9 {
            take(&mut shares, one);
        }
        let had = (0..100).filter(|_| take(&mut shares, two)).count();
        assert_eq!(had, 4);
        assert!((0..100).all(|_| !take(&mut shares, one) && !take(&mut shares, two)));
    }

    #[test]
    fn what_is_forgotten_takes_no_memory() {
        let mut shares = Shares::new(Limits::parts(u64::MAX, 1, 1));
        let at = address("2001:db8::1");
        take(&mut shares, at);
        assert_eq!((shares.held.len(), shares.order.len()), (4, 3));
        shares.remove(Network::of(at));
        assert_eq!((shares.held.len(), shares.order.len()), (0, 0));
    }

    /// Few enough networks that they meet, at every depth.
    fn somebody() -> impl Strategy<Value = IpAddr> {
        let v4 = (0..6u8).prop_map(|n| IpAddr::from([10, 0, 0, n]));
        let v6 = (0..3u16, 0..3u16, 0..3u16).prop_map(|(network, site, subnet)| {
            IpAddr::from([0x2001, 0xdb8, network, site << 8 | subnet, 0, 0, 0, 1])
        });
        prop_oneof![v4, v6]
    }

    /// What each network holds, counted from a list of everything.
    fn counted(all: &[Network], network: &Network) -> u64 {
        let inside = |own: &&Network| own.lineage().contains(network);
        all.iter().filter(inside).count() as u64
    }

    proptest! {
        #[test]
        fn nobody_under_their_share_gives_way(
            limits in (1..40u64, 1..20u64, 1..30u64, 1..40u64),
            asked in prop::collection::vec((somebody(), prop::option::of(0..40usize)), 0..200),
        ) {
            let (all, address, site, network) = limits;
            let limits = Limits { all, address, site, network };
            let mut shares = Shares::new(limits);
            // Everything that is held, by whom.
            let mut kept: Vec<Network> = Vec::new();
            for (from, ended) in asked {
                if let Some(at) = ended && at < kept.len() {
                    shares.remove(kept.swap_remove(at));
                }
                let lineage = Lineage::of(from);
                let verdict = shares.ask(&lineage);
                match verdict {
                    Verdict::Room => {
                        for network in lineage.iter() {
                            prop_assert!(counted(&kept, network) < limits.of(network));
                        }
                    }
                    Verdict::GivesWay(victim) => {
                        let at = kept.iter().position(|own| *own == victim);
                        prop_assert!(at.is_some(), "who gives way holds something");
                        // Where the two part ways.
                        let theirs = victim.lineage();
                        let split = theirs.iter().zip(lineage.iter()).take_while(|(a, b)| a == b).count();
                        prop_assert!(split < lineage.len(), "nobody gives way to themselves");
                        let (within, other, own) = (&theirs[split - 1], &theirs[split], &lineage[split]);
                        let (lost, gained) = (counted(&kept, other) - 1, counted(&kept, own) + 1);
                        prop_assert!(gained <= lost, "{gained} of who asks, {lost} of who gives way");
                        // Their even part of what is full, who asks among those who share it.
                        let mut children: Vec<Network> = kept
                            .iter()
                            .map(Network::clone)
                            .map(Network::lineage)
                            .filter(|lineage| lineage.contains(within))
                            .map(|lineage| lineage[split])
                            .collect();
                        children.push(*own);
                        children.sort();
                        children.dedup();
                        let share = counted(&kept, within) / children.len() as u64;
                        prop_assert!(counted(&kept, other) > share);
                        kept.swap_remove(at.unwrap());
                        shares.remove(victim);
                    }
                    Verdict::Full(network) => {
                        prop_assert!(lineage.contains(&network));
                        prop_assert_eq!(counted(&kept, &network), limits.of(&network));
                    }
                }
                if !matches!(verdict, Verdict::Full(_)) {
                    kept.push(lineage.own());
                    shares.add(lineage.own());
                }
                for network in kept.iter().flat_map(|own| own.lineage().to_vec()) {
                    prop_assert_eq!(shares.held(&network), counted(&kept, &network));
                    prop_assert!(counted(&kept, &network) <= limits.of(&network));
                }
                // Bounded by what is held.
                prop_assert!(shares.held.len() <= 3 * kept.len() + 1);
            }
        }

        /// Anybody who else there is and whatever they did: who holds less than an even part of each of
        /// their networks gets one more.
        #[test]
        fn who_is_under_their_share_gets_in(
            all in 8..40u64,
            crowd in prop::collection::vec(somebody(), 0..300),
            from in somebody(),
        ) {
            let limits = Limits::parts(all, 4, 1);
            let mut shares = Shares::new(limits);
            for other in crowd {
                take(&mut shares, other);
            }
            let lineage = Lineage::of(from);
            let fair = (1..lineage.len()).all(|at| {
                let (within, own) = (&lineage[at - 1], &lineage[at]);
                let inside = shares.order.iter().filter(|(of, ..)| of == within);
                let others = inside.filter(|(_, _, network)| network != own).count() as u64;
                // Even after one more, nobody who keeps to as much could fill it.
                (shares.held(own) + 1) * (others + 1) < limits.of(within)
            });
            let own_room = shares.held(&lineage.own()) < limits.address;
            if fair && own_room {
                prop_assert!(!matches!(shares.ask(&lineage), Verdict::Full(_)));
            }
        }
    }
}
