//! Giving memory back after many connections have come and gone.
//!
//! What a crowd took is free again a minute after it has left, and the allocator keeps it: here and there
//! something in between is still in use, so nothing at the end of its heap can go. Only when it is told to does
//! glibc give back whole pages from the middle.

use crate::limits::WORTH_GIVING_BACK;

/// Connections that have ended.
#[derive(Debug, Default)]
pub(crate) struct Slack {
    ended: usize,
    /// Something will be given back when the transport has forgotten those that ended before.
    planned: bool,
}

impl Slack {
    /// Connections have ended; whether to plan for a time when the transport has forgotten them.
    pub(crate) fn ended(&mut self, count: usize) -> bool {
        self.ended += count;
        !self.planned && self.ended >= WORTH_GIVING_BACK && self.plan()
    }

    /// That time has come: memory is to be given back. Whether to plan for another one, for those that ended
    /// meanwhile.
    pub(crate) fn due(&mut self) -> bool {
        self.planned = false;
        self.ended > 0 && self.plan()
    }

    fn plan(&mut self) -> bool {
        self.ended = 0;
        self.planned = true;
        true
    }
}

/// Gives free memory back to the system, on a thread of its own: it looks through the whole heap.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let thread = std::thread::Builder::new().name("give-back".into());
        // Without a thread the memory stays.
        let _ = thread.spawn(trim);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn trim() {
    let began = std::time::Instant::now();
    // SAFETY: it takes no pointer, and the allocator's own locks make it safe beside any other thread.
    let gave = unsafe { libc::malloc_trim(0) } == 1;
    tracing::debug!(
        gave,
        took_us = began.elapsed().as_micros(),
        "gave memory back"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_not_worth_it_and_the_last_of_many_are_given_back_too() {
        let mut slack = Slack::default();
        let planned = (0..WORTH_GIVING_BACK).filter(|_| slack.ended(1)).count();
        assert_eq!(planned, 1, "once, with the last of them");
        assert!(!slack.ended(1), "planned already");
        assert!(slack.due(), "one has ended since");
        assert!(!slack.due(), "none has");
        assert!(!slack.ended(1));
    }
}
