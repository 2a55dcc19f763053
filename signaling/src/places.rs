//! Places for what lasts a while: connections, requests under way, waits.
//!
//! Who gets one, and who loses one for it, is [`share`](crate::share)'s rule. Of the network that gives
//! way the oldest *quiet* place goes first: a connection on which nothing has been asked yet, or nothing
//! more after an answer. Where nobody holds more than who asks, the oldest quiet one of somebody with as
//! much still gives way once it has been quiet for [`GRACE`]: nobody honest is for long.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    metrics::ShareMetrics,
    share::{Limits, Lineage, Network, Shares, Verdict},
};

/// So long a connection may be quiet before it gives way to somebody who holds no less. Three round trips
/// over a slow link, TLS among them, take a second.
const GRACE: Duration = Duration::from_secs(3);

/// What is done with a place; the first give way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Nothing has come yet.
    Silent,
    /// What was asked is answered.
    Idle,
    /// Something is under way.
    Busy,
}

/// All places of one kind. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Places(Arc<Mutex<Table>>);

/// A place, until it is dropped.
pub(crate) struct Place {
    table: Arc<Mutex<Table>>,
    id: u64,
    leave: oneshot::Receiver<()>,
}

/// What a place is used for is said through this, while another waits for the place to be taken away.
#[derive(Clone)]
pub(crate) struct PlaceUse {
    table: Arc<Mutex<Table>>,
    id: u64,
}

/// Why there is no place: this network has as many as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded(pub(crate) Network);

struct Table {
    shares: Shares,
    held: HashMap<u64, Held>,
    /// Of each address's network those that give way first: by use, the quiet ones by age, the busy ones
    /// the newest first.
    order: BTreeMap<(Network, Use, u64), u64>,
    /// The quiet ones in each network, wide or narrow, by age.
    quiet: BTreeMap<(Network, u64), u64>,
    /// Numbers places, and moments in which one became quiet.
    next: u64,
    metrics: ShareMetrics,
}

struct Held {
    lineage: Lineage,
    use_: Use,
    /// When its use began: a number that grows, and the time.
    since: (u64, Instant),
    leave: Option<oneshot::Sender<()>>,
}

impl Held {
    fn in_order(&self) -> (Network, Use, u64) {
        let age = match self.use_ {
            Use::Busy => u64::MAX - self.since.0,
            Use::Silent | Use::Idle => self.since.0,
        };
        (self.lineage.own(), self.use_, age)
    }
}

impl Places {
    pub(crate) fn new(limits: Limits, metrics: &ShareMetrics) -> Places {
        Places(Arc::new(Mutex::new(Table {
            shares: Shares::new(limits),
            held: HashMap::new(),
            order: BTreeMap::new(),
            quiet: BTreeMap::new(),
            next: 0,
            metrics: metrics.clone(),
        })))
    }

    /// A place for this use, if need be another's, who is told to leave.
    pub(crate) fn take(&self, from: &Lineage, use_: Use, now: Instant) -> Result<Place, Crowded> {
        let mut table = lock(&self.0);
        match table.shares.ask(from) {
            Verdict::Room => {}
            Verdict::GivesWay(network) => {
                if let Some(first) = table.first_of(network) {
                    table.evict(first);
                }
            }
            Verdict::Full(network) => match table.long_quiet(from, network, now) {
                Some(quiet) => table.evict(quiet),
                None => {
                    table.metrics.refused.inc();
                    return Err(Crowded(network));
                }
            },
        }
        Ok(Place {
            leave: table.add(from, use_, now),
            id: table.next,
            table: self.0.clone(),
        })
    }
}

impl Place {
    /// Waits until somebody else gets this place.
    pub(crate) async fn lost(&mut self) {
        // The sender is gone only with the place.
        let _ = (&mut self.leave).await;
    }

    /// What tells what it is used for.
    pub(crate) fn use_(&self) -> PlaceUse {
        PlaceUse {
            table: self.table.clone(),
            id: self.id,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.table).remove(self.id);
    }
}

impl PlaceUse {
    /// It is used for this from now on.
    pub(crate) fn is(&self, use_: Use, now: Instant) {
        let mut table = lock(&self.table);
        if let Some(mut held) = table.remove(self.id) {
            table.next += 1;
            held.use_ = use_;
            held.since = (table.next, now);
            table.insert(self.id, held);
        }
    }

    /// What it is used for, and since when; nothing if it is another's now.
    pub(crate) fn now(&self) -> Option<(Use, Instant)> {
        let table = lock(&self.table);
        let held = table.held.get(&self.id)?;
        Some((held.use_, held.since.1))
    }
}

impl Table {
    fn add(&mut self, from: &Lineage, use_: Use, now: Instant) -> oneshot::Receiver<()> {
        let (leave, lost) = oneshot::channel();
        self.next += 1;
        let held = Held {
            lineage: *from,
            use_,
            since: (self.next, now),
            leave: Some(leave),
        };
        self.insert(self.next, held);
        lost
    }

    fn insert(&mut self, id: u64, held: Held) {
        self.shares.add(held.lineage.own());
        self.order.insert(held.in_order(), id);
        if held.use_ != Use::Busy {
            for network in held.lineage.iter() {
                self.quiet.insert((*network, held.since.0), id);
            }
        }
        self.held.insert(id, held);
    }

    fn remove(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.shares.remove(held.lineage.own());
        self.order.remove(&held.in_order());
        if held.use_ != Use::Busy {
            for network in held.lineage.iter() {
                self.quiet.remove(&(*network, held.since.0));
            }
        }
        Some(held)
    }

    fn evict(&mut self, id: u64) {
        if let Some(mut held) = self.remove(id)
            && let Some(leave) = held.leave.take()
        {
            self.metrics.gave_way.inc();
            // It may be leaving by itself.
            let _ = leave.send(());
        }
    }

    /// Of those of an address's network the one that gives way first.
    fn first_of(&self, own: Network) -> Option<u64> {
        let all = (own, Use::Silent, 0)..=(own, Use::Busy, u64::MAX);
        Some(*self.order.range(all).next()?.1)
    }

    /// The oldest quiet place in a network that is full, if who asks may have it: it is their own, or of
    /// somebody who holds more, if only by one.
    fn long_quiet(&self, from: &Lineage, full: Network, now: Instant) -> Option<u64> {
        let (_, id) = self.quiet.range((full, 0)..=(full, u64::MAX)).next()?;
        let held = self.held.get(id)?;
        let long = now.saturating_duration_since(held.since.1) >= GRACE;
        let mut apart = held.lineage.iter().zip(from.iter()).filter(|(a, b)| a != b);
        let fair = apart
            .next()
            .is_none_or(|(theirs, own)| self.shares.held(theirs) > self.shares.held(own));
        (long && fair).then_some(*id)
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Lineage {
        Lineage::of(text.parse().unwrap())
    }

    fn is_lost(place: &mut Place) -> bool {
        place.leave.try_recv().is_ok()
    }

    #[test]
    fn the_largest_holder_gives_way_the_oldest_quiet_one_first() {
        let metrics = ShareMetrics::default();
        let places = Places::new(Limits::parts(6, 1, 1), &metrics);
        let now = Instant::now();
        let hostile = from("10.0.0.1");
        let mut theirs: Vec<Place> = (0..6)
            .map(|_| places.take(&hostile, Use::Silent, now).unwrap())
            .collect();
        theirs[0].use_().is(Use::Busy, now);
        theirs[1].use_().is(Use::Idle, now);
        theirs[1].use_().is(Use::Busy, now);
        theirs[2].use_().is(Use::Idle, now);
        let mut others: Vec<Place> = (2..5)
            .map(|n| {
                let other = from(&format!("10.0.0.{n}"));
                places.take(&other, Use::Silent, now).unwrap()
            })
            .collect();
        // Silent ones by age; then the idle one, then the busy ones, would come.
        let lost: Vec<bool> = theirs.iter_mut().map(is_lost).collect();
        assert_eq!(lost, [false, false, false, true, true, true]);
        let mut more: Vec<Place> = (5..7)
            .map(|n| {
                let other = from(&format!("10.0.0.{n}"));
                places.take(&other, Use::Silent, now).unwrap()
            })
            .collect();
        assert!(is_lost(&mut theirs[2]) && is_lost(&mut theirs[1]));
        assert!(!is_lost(&mut theirs[0]));
        // Nobody has more than one: a seventh has to come again.
        let seventh = places.take(&from("10.0.0.9"), Use::Silent, now);
        assert_eq!(seventh.err(), Some(Crowded(Network::ALL)));
        assert!(!others.iter_mut().chain(&mut more).any(is_lost));
        assert_eq!((metrics.gave_way.get(), metrics.refused.get()), (5, 1));
        assert_eq!(lock(&places.0).held.len(), 6);
        assert_eq!(theirs[2].use_().now(), None);
        drop((theirs, others, more));
        let table = lock(&places.0);
        assert!(table.held.is_empty() && table.order.is_empty() && table.quiet.is_empty());
    }

    #[test]
    fn who_is_quiet_for_long_gives_way_to_who_has_nothing() {
        let places = Places::new(Limits::parts(3, 1, 1), &ShareMetrics::default());
        let start = Instant::now();
        let mut first: Vec<Place> = (1..4)
            .map(|n| {
                let one = from(&format!("10.0.0.{n}"));
                places.take(&one, Use::Silent, start).unwrap()
            })
            .collect();
        first[0].use_().is(Use::Busy, start);
        let newcomer = from("192.0.2.1");
        let early = places.take(&newcomer, Use::Silent, start + GRACE / 2);
        assert!(early.is_err());
        let later = start + GRACE;
        let new = places.take(&newcomer, Use::Silent, later).unwrap();
        let lost: Vec<bool> = first.iter_mut().map(is_lost).collect();
        assert_eq!(lost, [false, true, false]);
        // Another one of theirs takes nothing from somebody who holds no more.
        assert!(places.take(&newcomer, Use::Silent, later).is_err());
        drop(new);
    }

    #[test]
    fn an_address_with_all_it_may_have_loses_its_own_quiet_ones() {
        let places = Places::new(Limits::parts(64, 16, 1), &ShareMetrics::default());
        let start = Instant::now();
        let office = from("10.0.0.1");
        let mut theirs: Vec<Place> = (0..4)
            .map(|_| places.take(&office, Use::Silent, start).unwrap())
            .collect();
        let fifth = places.take(&office, Use::Silent, start);
        assert_eq!(fifth.err(), Some(Crowded(office.own())));
        theirs.push(places.take(&office, Use::Silent, start + GRACE).unwrap());
        assert!(is_lost(&mut theirs[0]));
        for place in &theirs[1..] {
            place.use_().is(Use::Busy, start + GRACE);
        }
        assert!(
            places
                .take(&office, Use::Silent, start + 9 * GRACE)
                .is_err()
        );
    }
}
