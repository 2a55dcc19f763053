//! From the reader thread to the session: events in order, bounded in bytes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker as TaskWaker};

use bytes::Bytes;

use crate::ExitStatus;
use crate::wake::Waker;

/// How much program output may be read and not yet taken by the session, in bytes: two full reads, so
/// that one is filled while the other is parsed. When an interrupted program falls silent, this much is
/// still to be parsed before the session shows it: at 80 to 120 MB/s (measured), 1.1 to 1.6 ms, which
/// leaves Ctrl-C under a flood within its 2 ms.
pub const OUTSTANDING_LIMIT: usize = 128 * 1024;

/// What one event costs beside its bytes, so that a flood of tiny reads is bounded too, in bytes.
const EVENT_COST: usize = 64;

/// What happened to a shared program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceEvent {
    /// It printed this, and the host's terminal has been given it already. Never empty, at most 64 KiB.
    Output(Bytes),
    /// Input that [`Accepted`](crate::Accepted) said was not yet written has reached the program's
    /// terminal, up to this position (see [`Accepted::upto`](crate::Accepted::upto)).
    Written {
        /// The number of bytes of input written since the program started.
        upto: u64,
    },
    /// The host's terminal is gone or doesn't take output any more (hung up, a closed pipe): nothing
    /// more will be written to it; the program goes on. At most once.
    TtyGone,
    /// It ended, and everything it printed before was told. The last event.
    Exited(ExitStatus),
}

/// The events of a shared program.
///
/// Dropping it stops the reading: the program's terminal hangs up when the [`Pty`](crate::Pty) is
/// dropped as well.
#[derive(Debug)]
pub struct Source {
    queue: Arc<Queue>,
    waker: Arc<Waker>,
}

impl Source {
    pub(crate) fn new(queue: Arc<Queue>, waker: Arc<Waker>) -> Self {
        Self { queue, waker }
    }

    /// The next event, in order; `None` after [`SourceEvent::Exited`]. Needs no particular runtime.
    ///
    /// May be dropped while it waits without losing anything.
    pub async fn next(&mut self) -> Option<SourceEvent> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Source::next`] for those who poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<SourceEvent>> {
        let mut state = self.queue.lock();
        if let Some(event) = state.pop() {
            drop(state);
            self.queue.room.notify_one();
            return Poll::Ready(Some(event));
        }
        if state.finished {
            return Poll::Ready(None);
        }
        match &mut state.task {
            Some(task) => task.clone_from(cx.waker()),
            None => state.task = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<SourceEvent> {
        let event = self.queue.lock().pop();
        self.queue.room.notify_one();
        event
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.room.notify_one();
        self.waker.wake();
    }
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The reader waits here until the session has taken enough.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<SourceEvent>,
    /// The cost of all events.
    cost: usize,
    task: Option<TaskWaker>,
    /// The reader has pushed its last event.
    finished: bool,
    /// The [`Source`] is gone.
    closed: bool,
}

impl State {
    fn pop(&mut self) -> Option<SourceEvent> {
        let event = self.events.pop_front()?;
        self.cost -= cost(&event);
        Some(event)
    }
}

/// The [`Source`] is gone: there is nobody to read for.
#[derive(Debug)]
pub(crate) struct Closed;

impl Queue {
    /// Waits until `bytes` more fit. Only the reader pushes, so they then still do when it has read.
    pub(crate) fn wait_for_room(&self, bytes: usize) -> Result<(), Closed> {
        let full = |state: &mut State| {
            !state.closed && state.cost > 0 && state.cost + bytes > OUTSTANDING_LIMIT
        };
        let state = self.room.wait_while(self.lock(), full);
        match state.unwrap_or_else(PoisonError::into_inner).closed {
            true => Err(Closed),
            false => Ok(()),
        }
    }

    /// Adds an event and wakes the session.
    pub(crate) fn push(&self, event: SourceEvent) {
        let mut state = self.lock();
        if state.closed || state.finished {
            return;
        }
        state.finished = matches!(event, SourceEvent::Exited(_));
        state.cost += cost(&event);
        state.events.push_back(event);
        let task = state.task.take();
        // Woken without the lock: it may run at once on another core, and wants the lock.
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(event: &SourceEvent) -> usize {
    match event {
        SourceEvent::Output(bytes) => EVENT_COST + bytes.len(),
        SourceEvent::Written { .. } | SourceEvent::TtyGone | SourceEvent::Exited(_) => EVENT_COST,
    }
}
