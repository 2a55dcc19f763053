//! When a key is an answer to what stands on the terminal.

use pillion_session::Now;

/// How long a question must have been on the terminal before an answer counts, in microseconds: longer
/// than it takes to see that it has changed under one's fingers, and than a paste takes.
pub(crate) const READ_US: u64 = 400_000;

/// Whether something has stood on the terminal for long enough that a key pressed now is an answer to it.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Since when it is on the terminal as it is.
    since: Option<u64>,
    settled: bool,
}

impl Settled {
    /// It is on the terminal.
    pub(crate) fn painted(&mut self, now: Now) {
        self.since.get_or_insert(now.mono_us);
    }

    /// When [`Settled::settle`] has something to do.
    pub(crate) fn due_at(&self) -> Option<u64> {
        let since = self.since.filter(|_| !self.settled)?;
        Some(since.saturating_add(READ_US))
    }

    /// Nothing that was typed earlier waits to be read at this moment.
    pub(crate) fn settle(&mut self, now: Now) {
        self.settled |= self.due_at().is_some_and(|at| now.mono_us >= at);
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }
}
