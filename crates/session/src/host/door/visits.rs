//! What the log says of comings and goings: one by one, and many together where somebody comes and goes
//! in quick succession.
//!
//! Who comes is in the log at once, so that a crash does not hide it, and so is who leaves. Only when
//! somebody has done so several times within a minute, the next times are counted and written down together:
//! when they have been still for a while, or have gone on for a minute. The same holds for everybody
//! together, where many do so under ever new keys.

use std::collections::BTreeMap;

use pillion_caps::PublicKey;
use pillion_proto::ParticipantId;

use crate::{
    audit::{AuditEvent, AuditPerson},
    host::{
        api::HostNotice, context::Context, door::Door, people::People, rate::Bucket, timers::Timer,
    },
};

/// Entries of one person that are written down one by one: so many at once, and one every twenty seconds in
/// the long run. Buckets count seconds.
const EACH_BURST: u64 = 8 * EACH_COST;
const EACH_COST: u64 = 20;

/// Entries of everybody together: the thousand viewers a host is meant for may come and leave at once.
const ALL_PER_SECOND: u64 = 2;
const ALL_BURST: u64 = 3072;

/// What is counted is written down after so much stillness, in microseconds, and after so long in any case.
const STILL_US: u64 = 10_000_000;
const TOGETHER_US: u64 = 60_000_000;

/// People whose comings and goings are counted apart. Those of others are counted together.
const MAX_COUNTED: usize = 256;

/// People whose entries are remembered. Beyond, others are only held to what all may. Those who have
/// been still for long are forgotten every so often, in microseconds.
const MAX_REMEMBERED: usize = 4096;
const FORGET_EVERY_US: u64 = 60_000_000;

/// Comings and goings.
pub(in crate::host) struct Visits {
    all: Bucket,
    each: BTreeMap<PublicKey, Bucket>,
    counted: BTreeMap<PublicKey, Counted>,
    /// Of those who have no place of their own.
    others: Option<Counted>,
    forget_at_us: u64,
}

/// Comings and goings that are not in the log yet.
struct Counted {
    id: ParticipantId,
    name: String,
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
            all: Bucket::new(now_us, ALL_PER_SECOND, ALL_BURST),
            each: BTreeMap::new(),
            counted: BTreeMap::new(),
            others: None,
            forget_at_us: now_us,
        }
    }

    /// Whether an entry of this person's is to be written down now.
    fn may_log(&mut self, now_us: u64, who: &PublicKey) -> bool {
        if now_us >= self.forget_at_us {
            self.forget_at_us = now_us.saturating_add(FORGET_EVERY_US);
            self.each.retain(|_, bucket| !bucket.is_full(now_us));
        }
        let is_known = self.each.contains_key(who) || self.each.len() < MAX_REMEMBERED;
        let own = is_known.then(|| {
            let new = || Bucket::new(now_us, 1, EACH_BURST);
            self.each.entry(*who).or_insert_with(new)
        });
        own.is_none_or(|bucket| bucket.take(now_us, EACH_COST)) && self.all.take(now_us, 1)
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
        joined: bool,
    ) -> bool {
        let now = cx.now;
        let name = people.name_of(id);
        let visits = &mut self.visits;
        if !visits.counted.contains_key(who) && visits.may_log(now.mono_us, who) {
            return true;
        }
        let new = || Counted {
            id,
            name,
            joins: 0,
            leaves: 0,
            from_us: now.mono_us,
            from_unix_ms: now.unix_ms,
            last_us: now.mono_us,
            last_unix_ms: now.unix_ms,
        };
        let has_place = visits.counted.contains_key(who) || visits.counted.len() < MAX_COUNTED;
        let counted = match has_place {
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
            let Some(counted) = self.visits.counted.remove(&who) else {
                continue;
            };
            // Under many keys, one entry each would be too many as well.
            if !self.visits.all.take(cx.now.mono_us, 1) {
                self.count_among_others(cx, counted);
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

    fn count_among_others(&mut self, cx: &mut Context, counted: Counted) {
        match &mut self.visits.others {
            Some(others) => {
                others.joins += counted.joins;
                others.leaves += counted.leaves;
                others.from_us = others.from_us.min(counted.from_us);
                others.from_unix_ms = others.from_unix_ms.min(counted.from_unix_ms);
                others.last_unix_ms = others.last_unix_ms.max(counted.last_unix_ms);
            }
            none => {
                // A minute from now on, or each of them would be an entry again.
                let (from_us, last_us) = (cx.now.mono_us, cx.now.mono_us);
                *none = Some(Counted {
                    from_us,
                    last_us,
                    ..counted
                });
            }
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
