//! When a host's side of the link service does what.

use std::time::Duration;

/// How often a [`LinkPublisher`](super::LinkPublisher) renews and tries again, and how long its codes last.
#[derive(Debug, Clone, Copy)]
pub struct RefreshSchedule {
    /// A record is renewed after so long, of the ten minutes it counts for …
    pub renew: Duration,
    /// … and up to so much more, which keeps hosts that started together apart.
    pub renew_spread: Duration,
    /// First wait after a failure; it doubles up to the longest.
    pub retry: Duration,
    /// Longest wait after a failure.
    pub longest_retry: Duration,
    /// How long a code can be used.
    pub code_life: Duration,
}

/// What hosts use: one renewal may fail and be tried again before it is missed, and a code lasts as long
/// as the service keeps a mailbox.
impl Default for RefreshSchedule {
    fn default() -> RefreshSchedule {
        RefreshSchedule {
            renew: Duration::from_secs(180),
            renew_spread: Duration::from_secs(60),
            retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(60),
            code_life: super::mailbox::CODE_LIFE,
        }
    }
}

#[cfg(test)]
mod tests {
    use pillion_proto::link::MAX_LIFETIME_MILLIS;

    use super::*;

    #[test]
    fn a_record_outlives_a_renewal_that_fails() {
        let pace = RefreshSchedule::default();
        let life = Duration::from_millis(MAX_LIFETIME_MILLIS);
        assert!(2 * (pace.renew + pace.renew_spread) < life);
    }
}
