//! How a connection travels, told when it matters.

use pillion_proto::PathKind;

use super::Carrier;
use crate::limits::PATH_REPORT_INTERVAL;

/// Smallest change of a round trip worth telling, in microseconds; more on slow paths ([`RTT_SHARE`]).
const RTT_STEP_US: u32 = 1000;
/// Smallest change worth telling as a part of the round trip: a tenth.
const RTT_SHARE: u32 = 10;

/// [`PATH_REPORT_INTERVAL`] in microseconds.
const REPORT_INTERVAL_US: u64 = PATH_REPORT_INTERVAL.as_micros() as u64;

/// What was last told of a connection's path.
#[derive(Debug)]
pub(super) struct PathWatch {
    kind: PathKind,
    rtt_us: u32,
    looked_at_us: Option<u64>,
}

impl PathWatch {
    pub(super) fn new() -> PathWatch {
        PathWatch {
            kind: PathKind::Unknown,
            rtt_us: 0,
            looked_at_us: None,
        }
    }

    /// Looks now; the path's kind and round trip in microseconds if either is worth telling.
    pub(super) fn look<C: Carrier>(&mut self, now_us: u64, carrier: &C) -> Option<(PathKind, u32)> {
        self.looked_at_us = Some(now_us);
        let (kind, rtt_us) = carrier.path()?;
        let tell = kind != self.kind || is_news(self.rtt_us, rtt_us);
        if tell {
            (self.kind, self.rtt_us) = (kind, rtt_us);
        }
        tell.then_some((kind, rtt_us))
    }

    /// Looks if the last time is [`PATH_REPORT_INTERVAL`] past. Called when bytes arrive: a round trip
    /// changes only when something travels, so no timer is needed.
    pub(super) fn look_again<C: Carrier>(
        &mut self,
        now_us: u64,
        carrier: &C,
    ) -> Option<(PathKind, u32)> {
        match self.looked_at_us {
            Some(at) if now_us.saturating_sub(at) < REPORT_INTERVAL_US => None,
            _ => self.look(now_us, carrier),
        }
    }
}

fn is_news(before_us: u32, now_us: u32) -> bool {
    before_us.abs_diff(now_us) > RTT_STEP_US.max(before_us / RTT_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_changes_are_not_news() {
        assert!(!is_news(50_000, 54_000));
        assert!(is_news(50_000, 56_000));
        assert!(!is_news(300, 900), "noise on a LAN");
        assert!(is_news(300, 2_000));
    }
}
