//! What waits for a time: one table, with a line for each kind of thing.

/// What is due at a time. Those before [`Timer::Frames`] are looked at when they are due, in this order; those from
/// there on by what happens at the end of every input, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum Timer {
    /// Connections that have not said who they are, and hellos that wait.
    Joiners,
    /// Knocks that nobody answered.
    Knocks,
    /// Codes whose guest never came.
    Codes,
    /// Grants that end.
    Rights,
    /// Commands that wait for a yes at the terminal.
    Confirms,
    /// Tickets that wait for an address.
    Tickets,
    /// People who type no longer.
    Typing,
    /// Spans of typing that are over.
    Spans,
    /// Comings and goings that are written down together.
    Visits,
    /// Lanes with frames on the way.
    Lanes,
    /// Viewers of whom nothing is heard.
    Silence,
    /// Lines above the screen, for the log.
    Margins,
    /// What could not be written down.
    Owed,
    /// What conversations wait for.
    Conversations,
    /// Frames, and the counts of inputs in them.
    Frames,
    /// That inputs were written.
    Accepted,
    /// Snapshots for viewers that were skipped.
    CatchUp,
    /// Checkpoints.
    Checkpoints,
    /// Changes of the roster.
    Roster,
    /// Changes of tracks.
    Tracks,
    /// Where something happens.
    Activity,
    /// Replies with history.
    History,
}

/// How many there are.
const COUNT: usize = Timer::History as usize + 1;

/// When each is due, in microseconds.
pub(in crate::host) struct Timers {
    due_us: [u64; COUNT],
}

/// Not due at all.
const NEVER: u64 = u64::MAX;

impl Timers {
    /// Those that are looked at when they are due, in order.
    pub(in crate::host) const EXPIRIES: [Timer; 14] = [
        Timer::Joiners,
        Timer::Knocks,
        Timer::Codes,
        Timer::Rights,
        Timer::Confirms,
        Timer::Tickets,
        Timer::Typing,
        Timer::Spans,
        Timer::Visits,
        Timer::Lanes,
        Timer::Silence,
        Timer::Margins,
        Timer::Owed,
        Timer::Conversations,
    ];

    pub(in crate::host) fn new() -> Timers {
        Timers {
            due_us: [NEVER; COUNT],
        }
    }

    /// When the first is due.
    pub(in crate::host) fn next(&self) -> Option<u64> {
        let first = self.due_us.iter().copied().min();
        first.filter(|at| *at != NEVER)
    }

    /// Due at `at_us`, whatever was set before.
    pub(in crate::host) fn set(&mut self, timer: Timer, at_us: u64) {
        self.due_us[timer as usize] = at_us;
    }

    /// Due at `at_us` at the latest.
    pub(in crate::host) fn set_by(&mut self, timer: Timer, at_us: u64) {
        let due_us = &mut self.due_us[timer as usize];
        *due_us = at_us.min(*due_us);
    }

    /// Due at `at_us`, unless a time is set already.
    pub(in crate::host) fn set_if_unset(&mut self, timer: Timer, at_us: u64) {
        if !self.is_set(timer) {
            self.set(timer, at_us);
        }
    }

    /// Not due any more.
    pub(in crate::host) fn clear(&mut self, timer: Timer) {
        self.set(timer, NEVER);
    }

    pub(in crate::host) fn is_set(&self, timer: Timer) -> bool {
        self.due_us[timer as usize] != NEVER
    }

    /// Whether it is due; it is not any more then.
    pub(in crate::host) fn take_due(&mut self, timer: Timer, now_us: u64) -> bool {
        let due_us = self.due_us[timer as usize];
        let is_due = due_us != NEVER && due_us <= now_us;
        if is_due {
            self.clear(timer);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_is_the_first_of_all() {
        let mut timers = Timers::new();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Roster, 30);
        timers.set_by(Timer::Visits, 20);
        timers.set_by(Timer::Visits, 40);
        assert_eq!(timers.next(), Some(20));
        assert!(!timers.take_due(Timer::Visits, 19));
        assert!(timers.take_due(Timer::Visits, 20));
        assert!(!timers.take_due(Timer::Visits, 20));
        assert_eq!(timers.next(), Some(30));
        timers.clear(Timer::Roster);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn one_that_is_set_stays_where_it_is() {
        let mut timers = Timers::new();
        timers.set_if_unset(Timer::Lanes, 10);
        timers.set_if_unset(Timer::Lanes, 5);
        assert_eq!(timers.next(), Some(10));
        timers.set(Timer::Lanes, 50);
        assert_eq!(timers.next(), Some(50));
    }

    #[test]
    fn expiries_are_those_before_frames() {
        let numbers = Timers::EXPIRIES.map(|timer| timer as usize);
        let before_frames: Vec<usize> = (0..Timer::Frames as usize).collect();
        assert_eq!(numbers.to_vec(), before_frames);
    }
}
