//! Who gives way where there are as many viewers as there may be.
//!
//! A ticket lets in any number of keys, so without this one of its holders could take every place. The rule is
//! that of [`pillion_share`]: for somebody from a network that has fewer viewers here, the network that has
//! most gives one up; and within a network, the person who is here most often. Among equals nothing moves.
//! Any network may have all places that nobody else asks for.

use std::collections::BTreeMap;

use pillion_caps::PublicKey;
use pillion_proto::RefusalReason;
use pillion_share::{Limits, Lineage, Network, Shares, Verdict};

use crate::{
    host::{Host, fault::PeerError},
    types::ConnId,
};

/// Viewers at once: the thousand a host is meant for, and room for their reconnects.
pub(in crate::host) const MAX_VIEWERS: usize = 1536;

/// One viewer, as far as it counts here.
#[derive(Debug, Clone, Copy)]
struct Held {
    conn: ConnId,
    who: PublicKey,
    from: Lineage,
    /// They may do no more than watch.
    watches: bool,
}

/// What to do with one more.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Free,
    InsteadOf(ConnId),
    None,
}

/// A place among `all`, of which there may be `most`, for one more viewer of `who`.
fn place(all: &[Held], most: usize, who: &PublicKey, from: &Lineage) -> Place {
    if all.len() < most {
        return Place::Free;
    }
    let most = most as u64;
    let mut shares = Shares::new(Limits {
        all: most,
        address: most,
        site: most,
        network: most,
    });
    all.iter().for_each(|one| shares.add(one.from.own()));
    match shares.ask(from) {
        Verdict::Room => Place::Free,
        Verdict::GivesWay(network) => largest_in(all, &network, None),
        // They have as many there as anybody has: one of their own, if they are not all of one person.
        Verdict::Full(_) => largest_in(all, &from.own(), Some(who)),
    }
}

/// Who is in a network most often gives way, and more than once more than `instead`: with the newest
/// connection, one that only watches if there is one.
fn largest_in(all: &[Held], network: &Network, instead: Option<&PublicKey>) -> Place {
    let inside = || all.iter().filter(|one| one.from.contains(network));
    let mut here: BTreeMap<PublicKey, usize> = BTreeMap::new();
    for one in inside() {
        *here.entry(one.who).or_default() += 1;
    }
    let times = |who: &PublicKey| here.get(who).copied().unwrap_or_default();
    let least = instead.map_or(1, |who| times(who) + 2);
    let gives_way = inside()
        .filter(|one| times(&one.who) >= least)
        .max_by_key(|one| (one.watches, times(&one.who), one.conn));
    gives_way.map_or(Place::None, |one| Place::InsteadOf(one.conn))
}

impl Host {
    /// Makes room for one more viewer of `who`, whom the host lets in.
    pub(in crate::host) fn make_place(
        &mut self,
        who: &PublicKey,
        from: &Lineage,
    ) -> Result<(), PeerError> {
        if self.cx.conns.viewer_count() < MAX_VIEWERS {
            return Ok(());
        }
        let all: Vec<Held> = self
            .cx
            .conns
            .iter()
            .filter_map(|(conn, state)| {
                let member = state.member()?;
                let person = self.people.roster().get(member.id);
                Some(Held {
                    conn,
                    who: member.join.0,
                    from: state.from,
                    watches: !person.is_some_and(|person| person.standing.rights.exceeds_view()),
                })
            })
            .collect();
        match place(&all, MAX_VIEWERS, who, from) {
            Place::Free => Ok(()),
            Place::InsteadOf(conn) => {
                self.refuse(conn, &RefusalReason::GaveWay.into());
                Ok(())
            }
            Place::None => Err(RefusalReason::Full.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillion_caps::SecretKey;
    use std::net::IpAddr;

    const MOST: usize = 60;

    fn key(number: u64) -> PublicKey {
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        SecretKey::from_bytes(&seed).public()
    }

    fn at(text: &str) -> Lineage {
        Lineage::of(text.parse::<IpAddr>().unwrap())
    }

    /// Viewers that come one after the other, each as long as there is a place.
    #[derive(Default)]
    struct Room {
        here: Vec<Held>,
        next: u64,
    }

    impl Room {
        fn comes(&mut self, who: PublicKey, from: Lineage, watches: bool) -> bool {
            match place(&self.here, MOST, &who, &from) {
                Place::Free => {}
                Place::InsteadOf(conn) => self.here.retain(|one| one.conn != conn),
                Place::None => return false,
            }
            let conn = ConnId(self.next);
            self.next += 1;
            self.here.push(Held {
                conn,
                who,
                from,
                watches,
            });
            assert!(self.here.len() <= MOST);
            true
        }

        fn count(&self, from: &Lineage) -> usize {
            let inside = |one: &&Held| one.from.contains(&from.own());
            self.here.iter().filter(inside).count()
        }
    }

    #[test]
    fn one_address_may_have_all_places_until_others_want_them() {
        let (mut room, crowd) = (Room::default(), at("192.0.2.1"));
        assert!((0..MOST as u64).all(|who| room.comes(key(who), crowd, true)));
        assert!(
            !room.comes(key(1000), crowd, true),
            "nobody there has more than one"
        );
        let late = (0..100u64).filter(|n| room.comes(key(2000 + n), at("198.51.100.1"), true));
        // Half of them, and nothing is passed to and fro.
        assert_eq!(late.count(), MOST / 2);
        assert_eq!(room.count(&crowd), MOST / 2);
        assert!(!room.comes(key(1000), crowd, true));
    }

    #[test]
    fn one_person_gives_way_to_others_of_their_address() {
        let (mut room, home) = (Room::default(), at("2001:db8::1"));
        for who in 0..4 {
            (0..MOST / 4).for_each(|_| assert!(room.comes(key(who), home, true)));
        }
        assert!(room.comes(key(100), home, true));
        assert!(!room.comes(key(0), home, true), "who has most gets no more");
    }

    #[test]
    fn who_may_type_stays_while_somebody_only_watches() {
        let (mut room, home) = (Room::default(), at("192.0.2.1"));
        for who in 0..MOST as u64 {
            assert!(room.comes(key(who), home, who % 2 == 0));
        }
        for n in 0..MOST as u64 / 2 {
            assert!(room.comes(key(1000 + n), at("198.51.100.1"), true));
        }
        let typists = room.here.iter().filter(|one| !one.watches).count();
        assert_eq!(typists, MOST / 2);
    }

    #[test]
    fn endpoints_behind_relays_leave_room_for_who_comes_directly() {
        let mut room = Room::default();
        for n in 0..MOST as u64 {
            let mut endpoint = [0; 32];
            endpoint[..8].copy_from_slice(&n.to_be_bytes());
            assert!(room.comes(key(n), Network::relayed(&endpoint).lineage(), true));
        }
        assert!(room.comes(key(1000), at("192.0.2.1"), true));
    }
}
