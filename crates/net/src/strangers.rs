//! Connections whose peer has not said who it is, or not had it believed: how many there may be, and
//! which give way to others.
//!
//! Anyone who knows a host's address and id may connect, and a connection costs the host some 170 KB. So
//! those of strangers are bounded, in all and by where they come from, by the rule of
//! [`pillion_share`]: where there are too many, the network that has most gives one up, its oldest. A
//! viewer says hello in its first flight, so among equals one that has been silent for a second gives
//! way to one that comes now.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use futures_util::future::{AbortHandle, AbortRegistration};
use iroh::endpoint::IncomingAddr;
use pillion_session::ConnId;
use pillion_share::{Limits, Network, Shares, Verdict};

use crate::limits::{MAX_STRANGERS, STRANGER_PART};

/// Silence after which a connection may give way to one of a network that has as many.
const SILENT: Duration = Duration::from_secs(1);

/// A stranger, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StrangerId(u64);

/// All strangers.
pub(crate) struct Strangers {
    shares: Shares,
    all: BTreeMap<StrangerId, Stranger>,
    by_conn: HashMap<ConnId, StrangerId>,
    next: u64,
}

/// One of them.
pub(crate) struct Stranger {
    from: Network,
    since: Instant,
    handshake: AbortHandle,
    /// Its number, once it has one.
    pub(crate) conn: Option<ConnId>,
}

impl Stranger {
    /// Ends its handshake, if it is under way.
    pub(crate) fn end_handshake(&self) {
        self.handshake.abort();
    }
}

/// Room for a stranger.
pub(crate) struct Place {
    pub(crate) id: StrangerId,
    /// Ends its handshake.
    pub(crate) handshake: AbortRegistration,
    /// Who gives way.
    pub(crate) instead_of: Option<Stranger>,
}

impl Strangers {
    pub(crate) fn new() -> Strangers {
        Strangers {
            shares: Shares::new(Limits::parts(MAX_STRANGERS as u64, STRANGER_PART, 1)),
            all: BTreeMap::new(),
            by_conn: HashMap::new(),
            next: 0,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Somebody connects; `None` if there is no room.
    pub(crate) fn come(&mut self, from: Network, now: Instant) -> Option<Place> {
        let instead_of = match self.shares.ask(&from.lineage()) {
            Verdict::Room => None,
            Verdict::GivesWay(network) => Some(self.oldest_in(&network)?),
            Verdict::Full(network) => {
                let oldest = self.oldest_in(&network)?;
                let since = self.all.get(&oldest)?.since;
                let is_silent = now.saturating_duration_since(since) >= SILENT;
                Some(is_silent.then_some(oldest)?)
            }
        };
        let instead_of = instead_of.and_then(|id| self.leave(id));
        let (handshake, registration) = AbortHandle::new_pair();
        let id = StrangerId(self.next);
        self.next += 1;
        self.shares.add(from);
        self.all.insert(
            id,
            Stranger {
                from,
                since: now,
                handshake,
                conn: None,
            },
        );
        Some(Place {
            id,
            handshake: registration,
            instead_of,
        })
    }

    /// Its connection has a number now.
    pub(crate) fn name(&mut self, id: StrangerId, conn: ConnId) {
        if let Some(stranger) = self.all.get_mut(&id) {
            stranger.conn = Some(conn);
            self.by_conn.insert(conn, id);
        }
    }

    /// Where it comes from.
    pub(crate) fn from(&self, id: StrangerId) -> Option<Network> {
        self.all.get(&id).map(|stranger| stranger.from)
    }

    /// It is gone, or gives way.
    pub(crate) fn leave(&mut self, id: StrangerId) -> Option<Stranger> {
        let stranger = self.all.remove(&id)?;
        self.shares.remove(stranger.from);
        if let Some(conn) = stranger.conn {
            self.by_conn.remove(&conn);
        }
        Some(stranger)
    }

    /// A connection is gone, or its peer is no stranger any more; whether it was one.
    pub(crate) fn leave_conn(&mut self, conn: ConnId) -> bool {
        let id = self.by_conn.get(&conn).copied();
        id.and_then(|id| self.leave(id)).is_some()
    }

    fn oldest_in(&self, network: &Network) -> Option<StrangerId> {
        let mut inside = self
            .all
            .iter()
            .filter(|(_, stranger)| stranger.from.lineage().contains(network));
        inside.next().map(|(id, _)| *id)
    }
}

/// Where a connection comes from. One that comes by a relay has no address that counts: what the relay
/// says of its endpoint stands for it, among all who come by relays.
pub(crate) fn network_of(addr: &IncomingAddr) -> Network {
    match addr {
        IncomingAddr::Ip(addr) => Network::of(addr.ip()),
        IncomingAddr::Relay { endpoint_id, .. } => Network::relayed(endpoint_id.as_bytes()),
        _ => Network::relayed(&[0; 32]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    /// Comes so many times; how often there was room.
    fn come(strangers: &mut Strangers, from: Network, now: Instant, times: usize) -> usize {
        let comes = |_: &usize| strangers.come(from, now).is_some();
        (0..times).filter(comes).count()
    }

    #[test]
    fn one_address_holds_its_share_and_a_viewer_of_another_gets_in() {
        let (mut strangers, now) = (Strangers::new(), Instant::now());
        let share = MAX_STRANGERS / STRANGER_PART as usize;
        assert_eq!(
            come(&mut strangers, at("192.0.2.1"), now, 1500),
            share,
            "more than its share"
        );
        // From many, all there is; and anybody who has least gets in all the same.
        for n in 2..20 {
            come(&mut strangers, at(&format!("192.0.2.{n}")), now, 1500);
        }
        assert_eq!(strangers.len(), MAX_STRANGERS);
        let place = strangers.come(at("198.51.100.1"), now).unwrap();
        assert!(place.instead_of.is_some());
        assert_eq!(strangers.len(), MAX_STRANGERS);
    }

    #[test]
    fn among_equals_the_oldest_that_is_silent_gives_way() {
        let (mut strangers, now) = (Strangers::new(), Instant::now());
        let all = MAX_STRANGERS as u32;
        for n in 0..all {
            let from = Network::of((0x0a00_0000 + n).to_be_bytes().into());
            assert_eq!(come(&mut strangers, from, now, 1), 1);
        }
        assert!(strangers.come(at("192.0.2.1"), now).is_none());
        let later = now + SILENT;
        let place = strangers.come(at("192.0.2.1"), later).unwrap();
        assert_eq!(place.instead_of.unwrap().from, at("10.0.0.0"));
    }

    #[test]
    fn everybody_behind_relays_shares_and_leaves_room_for_who_comes_directly() {
        let (mut strangers, now) = (Strangers::new(), Instant::now());
        for n in 0..2000u32 {
            let mut endpoint = [0; 32];
            endpoint[..4].copy_from_slice(&n.to_be_bytes());
            come(&mut strangers, Network::relayed(&endpoint), now, 1);
        }
        assert_eq!(strangers.len(), MAX_STRANGERS);
        assert!(strangers.come(at("192.0.2.1"), now).is_some());
        assert_eq!(strangers.len(), MAX_STRANGERS);
    }

    #[test]
    fn who_is_gone_takes_no_place() {
        let (mut strangers, now) = (Strangers::new(), Instant::now());
        for n in 0..2 * MAX_STRANGERS as u64 {
            let place = strangers.come(at("2001:db8::1"), now).unwrap();
            strangers.name(place.id, ConnId(n));
            assert!(strangers.leave_conn(ConnId(n)));
            assert!(!strangers.leave_conn(ConnId(n)));
        }
        assert_eq!((strangers.len(), strangers.by_conn.len()), (0, 0));
    }
}
