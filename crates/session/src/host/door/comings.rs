//! How often people may come in: a bucket each, one for each network they come from, and one for all.
//!
//! To let somebody in costs a snapshot, the whole roster, an entry of the log and a word to everybody who
//! is here, and connecting is free. So who comes in again and again is put off, before any of that, and
//! told for how long. The buckets hold what viewers need: a person's sixteen windows that lose their
//! network four times a minute, and everybody at once after the host's own was cut.
//!
//! The buckets of a person and of their networks are asked as soon as they have proved who they are, and
//! the session's once it is known that they would be let in: who has no ticket takes nothing of it. What
//! is left of the session's is for those who have taken least of theirs: who has taken a part of their own
//! leaves half of that part of the session's to others, and who comes for the first time may take the last.

use std::collections::BTreeMap;

use pillion_caps::PublicKey;
use pillion_share::{Limits, Lineage, Network};

use crate::host::rate::Bucket;

/// Times a second one person may come in in the long run, and at once.
const EACH_PER_SECOND: u64 = 1;
const EACH_BURST: u64 = 64;

/// The same of everybody together: the viewers there may be at once, and a third more.
const ALL_PER_SECOND: u64 = 20;
const ALL_BURST: u64 = 2048;

/// A network's part of that is a quarter for an address, half for an IPv6 /56, and all for a /48 and for
/// those who come by a relay.
const PART: u64 = 4;

/// People and networks remembered. Only those count whose bucket is not full again; each of them took
/// one of [`ALL_BURST`] or proved an identity without a ticket, so beyond it the fullest is forgotten.
const MAX_REMEMBERED: usize = 4096;

/// How often those whose bucket is full again are forgotten, in microseconds.
const FORGET_EVERY_US: u64 = 10_000_000;

/// The buckets.
pub(in crate::host) struct Comings {
    all: Bucket,
    people: Buckets<PublicKey>,
    networks: Buckets<Network>,
    rates: Limits,
    bursts: Limits,
    forget_at_us: u64,
}

/// Not yet; in so many microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) struct Later(pub(in crate::host) u64);

impl Comings {
    pub(in crate::host) fn new(now_us: u64) -> Comings {
        Comings {
            all: Bucket::new(now_us, ALL_PER_SECOND, ALL_BURST),
            people: Buckets(BTreeMap::new()),
            networks: Buckets(BTreeMap::new()),
            rates: Limits::parts(ALL_PER_SECOND, PART, 1),
            bursts: Limits::parts(ALL_BURST, PART, 1),
            forget_at_us: now_us,
        }
    }

    /// Somebody proved who they are. Takes one of theirs and of each of their networks'.
    pub(in crate::host) fn come(
        &mut self,
        now_us: u64,
        who: &PublicKey,
        from: &Lineage,
    ) -> Result<(), Later> {
        self.forget_full(now_us);
        let mut ready_us = self.person(now_us, who).ready_at(now_us, 1);
        for network in &from[1..] {
            ready_us = ready_us.max(self.network(now_us, network).ready_at(now_us, 1));
        }
        if ready_us > now_us {
            return Err(Later(ready_us - now_us));
        }
        self.person(now_us, who).take(now_us, 1);
        for network in &from[1..] {
            self.network(now_us, network).take(now_us, 1);
        }
        Ok(())
    }

    /// They would be let in. Takes one of everybody's.
    pub(in crate::host) fn enter(
        &mut self,
        now_us: u64,
        who: &PublicKey,
        from: &Lineage,
    ) -> Result<(), Later> {
        let of_all = |bucket: &Bucket| bucket.taken(now_us, ALL_BURST / 2);
        // The one just taken aside, so that who comes first leaves nothing.
        let of_one = |burst: u64| (ALL_BURST / 2).div_ceil(burst.max(1));
        let mut left = of_all(self.person(now_us, who)).saturating_sub(of_one(EACH_BURST));
        for network in &from[1..] {
            let of_one = of_one(self.bursts.of(network));
            left = left.max(of_all(self.network(now_us, network)).saturating_sub(of_one));
        }
        let ready_us = self.all.ready_at(now_us, left + 1);
        if ready_us > now_us {
            return Err(Later(ready_us - now_us));
        }
        self.all.take(now_us, 1);
        Ok(())
    }

    /// Whether somebody whose endpoint is known could come now. Takes nothing.
    pub(in crate::host) fn may_come(&mut self, now_us: u64, who: &PublicKey) -> bool {
        self.people
            .0
            .get_mut(who)
            .is_none_or(|bucket| bucket.ready_at(now_us, 1) <= now_us)
    }

    fn person(&mut self, now_us: u64, who: &PublicKey) -> &mut Bucket {
        self.people.of(now_us, *who, EACH_PER_SECOND, EACH_BURST)
    }

    fn network(&mut self, now_us: u64, network: &Network) -> &mut Bucket {
        let (rate, burst) = (self.rates.of(network), self.bursts.of(network));
        self.networks.of(now_us, *network, rate, burst)
    }

    fn forget_full(&mut self, now_us: u64) {
        if now_us >= self.forget_at_us {
            self.forget_at_us = now_us.saturating_add(FORGET_EVERY_US);
            self.people.forget_full(now_us);
            self.networks.forget_full(now_us);
        }
    }
}

struct Buckets<K>(BTreeMap<K, Bucket>);

impl<K: Ord + Copy> Buckets<K> {
    /// A bucket, a full one for somebody new.
    fn of(&mut self, now_us: u64, key: K, per_second: u64, burst: u64) -> &mut Bucket {
        if !self.0.contains_key(&key) && self.0.len() >= MAX_REMEMBERED {
            self.forget_full(now_us);
            let fullest = self.0.iter().max_by_key(|(_, bucket)| bucket.left(now_us));
            let fullest = fullest.map(|(key, _)| *key);
            if let Some(fullest) = fullest.filter(|_| self.0.len() >= MAX_REMEMBERED) {
                self.0.remove(&fullest);
            }
        }
        self.0
            .entry(key)
            .or_insert_with(|| Bucket::new(now_us, per_second, burst))
    }

    fn forget_full(&mut self, now_us: u64) {
        self.0.retain(|_, bucket| !bucket.is_full(now_us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillion_caps::SecretKey;
    use proptest::prelude::*;
    use std::net::IpAddr;

    const SECOND: u64 = 1_000_000;

    fn key(number: u64) -> PublicKey {
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        SecretKey::from_bytes(&seed).public()
    }

    fn from(text: &str) -> Lineage {
        Lineage::of(text.parse::<IpAddr>().unwrap())
    }

    fn comes(comings: &mut Comings, now_us: u64, who: &PublicKey, from: &Lineage) -> bool {
        comings.come(now_us, who, from).is_ok() && comings.enter(now_us, who, from).is_ok()
    }

    #[test]
    fn sixteen_windows_that_change_networks_four_times_a_minute_are_never_put_off() {
        let mut comings = Comings::new(0);
        let (phone, at) = (key(1), from("2001:db8::1"));
        for minute in 0..60 {
            for change in 0..4 {
                let now = minute * 60 * SECOND + change * 15 * SECOND;
                // Each loses one try on the way.
                assert!((0..15).all(|_| comes(&mut comings, now, &phone, &at)));
            }
        }
    }

    #[test]
    fn everybody_comes_back_at_once_after_the_host_was_cut_off() {
        let mut comings = Comings::new(0);
        for viewer in 0..1536u32 {
            let at = Lineage::of(IpAddr::from((0x0a00_0000 + viewer).to_be_bytes()));
            assert!(comes(&mut comings, 0, &key(u64::from(viewer)), &at));
        }
    }

    #[test]
    fn a_loop_is_put_off_for_as_long_as_is_said() {
        let mut comings = Comings::new(0);
        let (who, at) = (key(1), from("192.0.2.1"));
        let came = (0..143).filter(|_| comes(&mut comings, 0, &who, &at));
        assert_eq!(came.count(), EACH_BURST as usize);
        let Err(Later(wait)) = comings.come(0, &who, &at) else {
            panic!("put off");
        };
        assert_eq!(comings.come(wait - 1, &who, &at), Err(Later(1)));
        assert!(comes(&mut comings, wait, &who, &at));
        assert!(comes(&mut comings, 0, &key(2), &at));
    }

    #[test]
    fn many_keys_of_one_address_leave_most_to_others() {
        let mut comings = Comings::new(0);
        let at = from("192.0.2.1");
        let came = (0..3000).filter(|who| comes(&mut comings, 0, &key(*who), &at));
        assert_eq!(came.count(), (ALL_BURST / PART) as usize);
        // From many addresses; anybody who comes from one that came less gets in all the same.
        for address in 2..250u8 {
            let at = from(&format!("192.0.2.{address}"));
            (0..20).for_each(|_| {
                comes(&mut comings, 0, &key(u64::from(address)), &at);
            });
        }
        let late = Lineage::of(IpAddr::from([198, 51, 100, 1]));
        assert!(comes(&mut comings, 10 * SECOND, &key(5000), &late));
        assert!(comings.networks.0.len() <= 250);
    }

    #[test]
    fn strangers_without_a_ticket_take_nothing_of_what_is_for_all() {
        let mut comings = Comings::new(0);
        let at = from("192.0.2.1");
        for who in 0..10_000 {
            let _ = comings.come(0, &key(who), &at);
        }
        assert_eq!(comings.all.left(0), ALL_BURST);
        assert!(comings.people.0.len() <= MAX_REMEMBERED);
    }

    #[test]
    fn who_has_not_come_for_long_is_forgotten() {
        let mut comings = Comings::new(0);
        for who in 0..100 {
            comes(&mut comings, 0, &key(who), &from("192.0.2.1"));
        }
        comes(&mut comings, 200 * SECOND, &key(1000), &from("192.0.2.2"));
        assert_eq!((comings.people.0.len(), comings.networks.0.len()), (1, 1));
    }

    proptest! {
        /// Whatever they do, nobody comes more often than their bucket says, and all no more than theirs.
        #[test]
        fn comings_are_bounded(
            tries in prop::collection::vec((0u64..4, 0u8..3, 0u64..400_000), 1..600),
        ) {
            let mut comings = Comings::new(0);
            let (mut now, mut came) = (0, [0u64; 4]);
            for (who, address, pause) in tries {
                now += pause;
                let at = Lineage::of(IpAddr::from([10, 0, 0, address]));
                came[who as usize] += u64::from(comes(&mut comings, now, &key(who), &at));
            }
            let bound = EACH_BURST + EACH_PER_SECOND * now.div_ceil(SECOND);
            prop_assert!(came.iter().all(|came| *came <= bound), "{came:?} of {bound}");
        }
    }
}
