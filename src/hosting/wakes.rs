//! Which of many sources have something to say, so that those at which nothing happens are not asked.

use std::{
    collections::BTreeSet,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

use pillion_proto::TrackId;

/// The tracks that are to be polled: each has a waker of its own, which notes it here and wakes the task.
#[derive(Debug, Default)]
pub(super) struct Wakes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    awake: BTreeSet<TrackId>,
    task: Option<Waker>,
}

/// One track's part of it.
struct One {
    track: TrackId,
    shared: Arc<Shared>,
}

impl Wakes {
    /// The waker that one of them is polled with.
    pub(super) fn waker(&self, track: TrackId) -> Waker {
        let shared = Arc::clone(&self.0);
        Waker::from(Arc::new(One { track, shared }))
    }

    /// It is to be polled, whether or not it woke anybody.
    pub(super) fn insert(&self, track: TrackId) {
        self.0.lock().awake.insert(track);
    }

    /// Whom to wake when one of them wakes. To be said before [`Wakes::take_behind`], or a wake in between is lost.
    pub(super) fn wakes(&self, task: &Waker) {
        let mut state = self.0.lock();
        match &mut state.task {
            Some(before) => before.clone_from(task),
            None => state.task = Some(task.clone()),
        }
    }

    /// The next one that is to be polled behind `last`, and round again from the first. It is not any more then.
    pub(super) fn take_behind(&self, last: TrackId) -> Option<TrackId> {
        let mut state = self.0.lock();
        let behind = (Bound::Excluded(last), Bound::Unbounded);
        let next = state.awake.range(behind).next();
        let next = next.or_else(|| state.awake.first()).copied()?;
        state.awake.remove(&next);
        Some(next)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for One {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.shared.lock();
        state.awake.insert(self.track);
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_in_turn_each_once() {
        let wakes = Wakes::default();
        for track in [1, 3, 7] {
            wakes.waker(TrackId(track)).wake();
        }
        wakes.waker(TrackId(3)).wake();
        let order = [Some(TrackId(7)), Some(TrackId(1)), Some(TrackId(3)), None];
        assert_eq!(order.map(|_| wakes.take_behind(TrackId(3))), order);
    }
}
