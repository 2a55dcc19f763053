//! What the log says of comings and goings: one by one, and many together where somebody comes and goes
//! in quick succession.
//!
//! Who comes is in the log at once, so that a crash does not hide it, and so is who leaves. Only when
//! somebody has done so several times within a minute, the next times are counted and written down together:
//! when they have been still for a while, or have gone on for a minute. The same holds for everybody
//! together, where many do so under ever new keys; what the log takes of all has shares by network.

use std::collections::BTreeMap;

use pillion_caps::PublicKey;
use pillion_proto::ParticipantId;
use pillion_share::{Buckets, Limits, Lineage, SharedRate, Shares, Verdict};

use crate::{
    audit::{AuditEvent, AuditPerson},
    host::{api::HostNotice, context::Context, door::Door, people::People, timers::Timer},
};

/// Entries of one person that are written down one by one: so many at once, and one every twenty seconds in
/// the long run. Buckets count seconds.
const EACH_BURST: u64 = 8 * EACH_COST;
const EACH_COST: u64 = 20;

/// Entries of everybody together: the thousand viewers a host is meant for may come and leave at once. A quarter of
/// them for an address.
const ALL_PER_SECOND: u64 = 2;
const ALL_BURST: u64 = 3072;
const PART: u64 = 4;

/// What is counted is written down after so much stillness, in microseconds, and after so long in any case.
const STILL_US: u64 = 10_000_000;
const TOGETHER_US: u64 = 60_000_000;

/// People whose comings and goings are counted apart, of an address a quarter of them. Those of others are counted
/// together.
const MAX_COUNTED: u64 = 256;

/// Those who have been still for long are forgotten every so often, in microseconds. There are never more of them
/// than [`MAX_REMEMBERED`](pillion_share::MAX_REMEMBERED).
const FORGET_EVERY_US: u64 = 60_000_000;

/// Comings and goings.
pub(in crate::host) struct Visits {
    all: SharedRate,
    each: Buckets<PublicKey>,
    counted: BTreeMap<PublicKey, Counted>,
    /// Of the places among those.
    shares: Shares,
    /// Of those who have no place of their own.
    others: Option<Counted>,
    forget_at_us: u64,
}

/// Comings and goings that are not in the log yet.
struct Counted {
    id: ParticipantId,
    name: String,
    /// Where they came from when they were first counted.
    from: Lineage,
    joins: u64,
    leaves: u64,
    from_us: u64,
    from_unix_ms: u64,
    last_us: u64,
    last_unix_ms: u64,
}

impl Counted {
    fn due_us(&self) -> u64 {
        let still = self.last_us.saturating_add(STILL_US);
        still.min(self.from_us.saturating_add(TOGETHER_US))
    }

    fn count(&mut self, now: crate::types::Now, joined: bool) {
        match joined {
            true => self.joins += 1,
            false => self.leaves += 1,
        }
        self.last_us = now.mono_us;
        self.last_unix_ms = now.unix_ms;
    }
}

impl Visits {
    pub(in crate::host) fn new(now_us: u64) -> Visits {
        Visits {
            all: SharedRate::new(now_us, ALL_PER_SECOND, ALL_BURST, PART),
            each: Buckets::new(),
            counted: BTreeMap::new(),
            shares: Shares::new(Limits::parts(MAX_COUNTED, PART, 1)),
            others: None,
            forget_at_us: now_us,
        }
    }

    /// Whether an entry of this person's is to be written down now.
    fn may_log(&mut self, now_us: u64, who: &PublicKey, from: &Lineage) -> bool {
        if now_us >= self.forget_at_us {
            self.forget_at_us = now_us.saturating_add(FORGET_EVERY_US);
            self.each.forget_full(now_us);
        }
        let own = self.each.of(now_us, *who, 1, EACH_BURST);
        own.take(now_us, EACH_COST) && self.all.take(now_us, from).is_ok()
    }

    /// Takes a place for somebody to be counted apart, if there is one: whose network holds most gives one up.
    fn take_place(&mut self, now_us: u64, from: &Lineage) -> bool {
        match self.shares.ask(from) {
            Verdict::Room => {}
            Verdict::Full(_) => return false,
            Verdict::GivesWay(network) => {
                let inside = self.counted.iter();
                let inside = inside.filter(|(_, counted)| counted.from.contains(&network));
                // Whose entry says least.
                let least = inside.min_by_key(|(_, counted)| counted.joins + counted.leaves);
                let least = least.map(|(who, _)| *who);
                let Some(counted) = least.and_then(|who| self.take_counted(&who)) else {
                    return false;
                };
                self.count_among_others(now_us, counted);
            }
        }
        self.shares.add(from.own());
        true
    }

    fn take_counted(&mut self, who: &PublicKey) -> Option<Counted> {
        let counted = self.counted.remove(who)?;
        self.shares.remove(counted.from.own());
        Some(counted)
    }

    fn count_among_others(&mut self, now_us: u64, counted: Counted) {
        match &mut self.others {
            Some(others) => {
                others.joins += counted.joins;
                others.leaves += counted.leaves;
                others.from_us = others.from_us.min(counted.from_us);
                others.from_unix_ms = others.from_unix_ms.min(counted.from_unix_ms);
                others.last_unix_ms = others.last_unix_ms.max(counted.last_unix_ms);
            }
            none => {
                // A minute from now on, or each of them would be an entry again.
                let (from_us, last_us) = (now_us, now_us);
                *none = Some(Counted {
                    from_us,
                    last_us,
                    ..counted
                });
            }
        }
    }
}

impl Door {
    /// Whether a coming or going goes into the log now, and is said to the host; if not, it is counted.
    pub(in crate::host) fn logs_visit(
        &mut self,
        cx: &mut Context,
        people: &People,
        who: &PublicKey,
        id: ParticipantId,
        from: &Lineage,
        joined: bool,
    ) -> bool {
        let now = cx.now;
        let name = people.name_of(id);
        let visits = &mut self.visits;
        if !visits.counted.contains_key(who) && visits.may_log(now.mono_us, who, from) {
            return true;
        }
        let new = || Counted {
            id,
            name,
            from: *from,
            joins: 0,
            leaves: 0,
            from_us: now.mono_us,
            from_unix_ms: now.unix_ms,
            last_us: now.mono_us,
            last_unix_ms: now.unix_ms,
        };
        let is_counted = visits.counted.contains_key(who);
        let counted = match is_counted || visits.take_place(now.mono_us, from) {
            true => visits.counted.entry(*who).or_insert_with(new),
            false => visits.others.get_or_insert_with(new),
        };
        counted.count(now, joined);
        let due = counted.due_us();
        cx.timers.set_by(Timer::Visits, due);
        false
    }

    /// Puts down the comings and goings that are over.
    pub(in crate::host) fn expire_visits(&mut self, cx: &mut Context, people: &People) {
        let now = cx.now.mono_us;
        self.put_down_visits(cx, people, |counted| now >= counted.due_us());
        let counted = self.visits.counted.values().chain(&self.visits.others);
        if let Some(due) = counted.map(Counted::due_us).min() {
            cx.timers.set_by(Timer::Visits, due);
        }
    }

    /// Puts all of them down: sharing ends.
    pub(in crate::host) fn end_visits(&mut self, cx: &mut Context, people: &People) {
        self.put_down_visits(cx, people, |_| true);
    }

    fn put_down_visits(
        &mut self,
        cx: &mut Context,
        people: &People,
        over: impl Fn(&Counted) -> bool,
    ) {
        let is_over: Vec<PublicKey> = self
            .visits
            .counted
            .iter()
            .filter(|(_, counted)| over(counted))
            .map(|(who, _)| *who)
            .collect();
        for who in is_over {
            let Some(counted) = self.visits.take_counted(&who) else {
                continue;
            };
            // Under many keys, one entry each would be too many as well.
            let now_us = cx.now.mono_us;
            if self.visits.all.take(now_us, &counted.from).is_err() {
                self.visits.count_among_others(now_us, counted);
                continue;
            }
            let here = people
                .roster()
                .by_identity(&who)
                .is_some_and(|person| person.connections > 0);
            self.log_visits(cx, &counted, Some((&who, here)));
            cx.notice(HostNotice::Visits {
                id: counted.id,
                name: counted.name,
                joins: counted.joins,
                here,
            });
        }
        if let Some(others) = self.visits.others.take_if(|others| over(others)) {
            self.log_visits(cx, &others, None);
        }
    }

    fn log_visits(
        &mut self,
        cx: &mut Context,
        counted: &Counted,
        whose: Option<(&PublicKey, bool)>,
    ) {
        cx.log_event(&AuditEvent::Visits {
            person: whose.map(|(who, _)| AuditPerson {
                id: counted.id,
                name: counted.name.clone(),
                identity: *who,
            }),
            here: whose.map(|(_, here)| here),
            joins: counted.joins,
            leaves: counted.leaves,
            from_unix_ms: counted.from_unix_ms,
            to_unix_ms: counted.last_unix_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn key(number: u64) -> PublicKey {
        let mut seed = [3; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        pillion_caps::SecretKey::from_bytes(&seed).public()
    }

    fn from(text: &str) -> Lineage {
        Lineage::of(text.parse::<IpAddr>().unwrap())
    }

    /// Counts somebody apart or among others, as what is not logged.
    fn counts(visits: &mut Visits, who: &PublicKey, from: &Lineage) -> bool {
        let counted = Counted {
            id: ParticipantId(1),
            name: String::new(),
            from: *from,
            joins: 1,
            leaves: 0,
            from_us: 0,
            from_unix_ms: 0,
            last_us: 0,
            last_unix_ms: 0,
        };
        let apart = visits.take_place(0, from);
        match apart {
            true => drop(visits.counted.insert(*who, counted)),
            false => visits.count_among_others(0, counted),
        }
        apart
    }

    #[test]
    fn many_keys_of_one_address_leave_the_log_to_others() {
        let mut visits = Visits::new(0);
        let at = from("192.0.2.1");
        let logged = (0..10_000).filter(|who| visits.may_log(0, &key(*who), &at));
        assert_eq!(logged.count() as u64, ALL_BURST / PART);
        // From many addresses: anybody who comes from one that came less is written down all the same.
        for address in 2..=254u8 {
            let at = from(&format!("192.0.2.{address}"));
            for who in 0..40 {
                visits.may_log(0, &key(u64::from(address) * 1000 + who), &at);
            }
        }
        assert!(visits.may_log(1_000_000, &key(1 << 40), &from("198.51.100.1")));
        assert!(visits.each.len() <= pillion_share::MAX_REMEMBERED);
    }

    #[test]
    fn many_keys_of_one_network_leave_others_a_place_to_be_counted_apart() {
        // Of an address a quarter; of a /48 all, until somebody else wants one.
        for (network, places) in [("192.0.2.1", 64), ("2001:db8:1", 256)] {
            let mut visits = Visits::new(0);
            let at = |who: u64| match network.contains(':') {
                true => from(&format!("{network}:{who:x}::1")),
                false => from(network),
            };
            let apart = (0..1000u64).filter(|who| counts(&mut visits, &key(*who), &at(*who)));
            assert!(apart.count() >= places);
            assert_eq!(visits.counted.len(), places);
            let anna = key(1 << 40);
            assert!(counts(&mut visits, &anna, &from("198.51.100.1")));
            assert!(visits.counted.contains_key(&anna));
            assert!(visits.counted.len() <= MAX_COUNTED as usize);
            // Nobody is lost.
            let of = |counted: &Counted| counted.joins;
            let all = visits.counted.values().chain(&visits.others);
            assert_eq!(all.map(of).sum::<u64>(), 1001);
        }
    }
}
