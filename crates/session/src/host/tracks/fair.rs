//! Fair queueing: whose turn it is when several people want what there is little of.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996). Each person has a tag, which rises by what
//! they are given; the lowest is next. Who comes again starts where the others are, so nobody saves up by
//! asking for nothing, and nobody gets ahead by asking for much at once.

use std::collections::{BTreeMap, VecDeque};

/// Requests that wait, by who made them.
pub(in crate::host) struct FairQueue<K, T> {
    flows: BTreeMap<K, Flow<T>>,
    /// The tag of who was served last.
    clock: u64,
}

struct Flow<T> {
    waiting: VecDeque<T>,
    tag: u64,
}

impl<K: Ord + Clone, T> FairQueue<K, T> {
    pub(in crate::host) fn new() -> FairQueue<K, T> {
        FairQueue {
            flows: BTreeMap::new(),
            clock: 0,
        }
    }

    /// Somebody asks for one more thing.
    pub(in crate::host) fn push(&mut self, who: K, what: T) {
        let clock = self.clock;
        let flow = self.flows.entry(who).or_insert_with(|| Flow {
            waiting: VecDeque::new(),
            tag: clock,
        });
        if flow.waiting.is_empty() {
            flow.tag = flow.tag.max(clock);
        }
        flow.waiting.push_back(what);
    }

    /// The next one, among those who may be served at all.
    pub(in crate::host) fn pop(&mut self, may: impl Fn(&K) -> bool) -> Option<(K, T)> {
        let waits = self
            .flows
            .iter_mut()
            .filter(|(who, flow)| !flow.waiting.is_empty() && may(who));
        let (who, flow) = waits.min_by_key(|(_, flow)| flow.tag)?;
        let (who, tag) = (who.clone(), flow.tag);
        let what = flow.waiting.pop_front()?;
        self.clock = self.clock.max(tag);
        self.forget_idle();
        Some((who, what))
    }

    /// What somebody was given weighs so much.
    pub(in crate::host) fn charge(&mut self, who: &K, weight: u64) {
        let clock = self.clock;
        let flow = self.flows.entry(who.clone()).or_insert_with(|| Flow {
            waiting: VecDeque::new(),
            tag: clock,
        });
        flow.tag = flow.tag.saturating_add(weight);
    }

    /// Drops what is wanted no more.
    pub(in crate::host) fn retain(&mut self, mut wanted: impl FnMut(&K, &T) -> bool) {
        for (who, flow) in &mut self.flows {
            flow.waiting.retain(|what| wanted(who, what));
        }
        self.forget_idle();
    }

    /// How many wait.
    pub(in crate::host) fn len(&self) -> usize {
        self.flows.values().map(|flow| flow.waiting.len()).sum()
    }

    /// Everybody who waits.
    pub(in crate::host) fn people(&self) -> impl Iterator<Item = &K> {
        let waits = self
            .flows
            .iter()
            .filter(|(_, flow)| !flow.waiting.is_empty());
        waits.map(|(who, _)| who)
    }

    /// Lets go of those who want nothing and are ahead of nobody. Who was served lately is remembered while
    /// somebody waits: else asking again would be a way to be first again.
    fn forget_idle(&mut self) {
        let clock = self.clock;
        let busy = self.flows.values().any(|flow| !flow.waiting.is_empty());
        self.flows
            .retain(|_, flow| !flow.waiting.is_empty() || (busy && flow.tag > clock));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_asks_for_much_gets_no_more_than_who_asks_for_little() {
        let mut queue = FairQueue::new();
        for number in 0..100 {
            queue.push("greedy", number);
        }
        queue.push("modest", 0);
        let mut served = Vec::new();
        while let Some((who, _)) = queue.pop(|_| true) {
            queue.charge(&who, 10);
            served.push(who);
        }
        assert_eq!(served.len(), 101);
        assert!(served[..2].contains(&"modest"), "{:?}", &served[..4]);
    }

    #[test]
    fn a_pause_saves_nothing_up_and_coming_anew_forgives_nothing() {
        let mut queue = FairQueue::new();
        queue.push("anna", 0);
        queue.push("bert", 0);
        for _ in 0..10 {
            assert!(queue.pop(|who| *who == "anna").is_some());
            queue.charge(&"anna", 10);
            queue.push("anna", 0);
        }
        // Bert is next, once for what he waited, and not ten times in a row.
        assert_eq!(queue.pop(|_| true).map(|(who, _)| who), Some("bert"));
        queue.charge(&"bert", 1000);
        queue.push("bert", 0);
        assert_eq!(queue.pop(|_| true).map(|(who, _)| who), Some("anna"));
    }

    #[test]
    fn nobody_is_remembered_once_nobody_waits() {
        let mut queue = FairQueue::new();
        for who in 0..1000 {
            queue.push(who, ());
        }
        while let Some((who, ())) = queue.pop(|_| true) {
            queue.charge(&who, 1 << 20);
        }
        queue.retain(|_, ()| true);
        assert_eq!((queue.flows.len(), queue.len()), (0, 0));
    }

    proptest! {
        /// Anybody who always wants more gets as much as any other such, but for one helping.
        #[test]
        fn bytes_are_shared_evenly(
            helpings in prop::collection::vec((0usize..4, 1u64..100), 20..300),
            greed in prop::collection::vec(1usize..20, 4),
        ) {
            let mut queue = FairQueue::new();
            for (who, count) in greed.iter().enumerate() {
                (0..*count).for_each(|number| queue.push(who, number));
            }
            let mut given = [0u64; 4];
            for (who, weight) in &helpings {
                queue.push(*who, 0);
                // Everybody wants something at any time.
                (0..4).for_each(|who| queue.push(who, 0));
                if let Some((who, _)) = queue.pop(|_| true) {
                    queue.charge(&who, *weight);
                    given[who] += weight;
                }
            }
            let (least, most) = (given.iter().min().unwrap(), given.iter().max().unwrap());
            prop_assert!(most - least <= 200, "{given:?}");
        }
    }
}
