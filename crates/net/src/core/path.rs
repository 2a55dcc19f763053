//! How a connection travels, told when it matters.

use std::time::Instant;

use iroh::endpoint::Connection;
use pillion_proto::PathKind;

use crate::limits::PATH_REPORT_INTERVAL;

/// Smallest change of a round trip worth telling, in microseconds; more on slow paths ([`RTT_SHARE`]).
const RTT_STEP_US: u32 = 1000;
/// Smallest change worth telling as a part of the round trip: a tenth.
const RTT_SHARE: u32 = 10;

/// What was last told of a connection's path.
#[derive(Debug)]
pub(crate) struct PathWatch {
    kind: PathKind,
    rtt_us: u32,
    looked: Option<Instant>,
}

impl PathWatch {
    pub(crate) fn new() -> PathWatch {
        PathWatch {
            kind: PathKind::Unknown,
            rtt_us: 0,
            looked: None,
        }
    }

    /// Looks now; the path's kind and round trip in microseconds if either is worth telling.
    pub(crate) fn look(&mut self, connection: &Connection) -> Option<(PathKind, u32)> {
        self.looked = Some(Instant::now());
        let (kind, rtt_us) = current(connection)?;
        let tell = kind != self.kind || is_news(self.rtt_us, rtt_us);
        if tell {
            (self.kind, self.rtt_us) = (kind, rtt_us);
        }
        tell.then_some((kind, rtt_us))
    }

    /// Looks if the last time is [`PATH_REPORT_INTERVAL`] past. Called when bytes arrive: a round trip
    /// changes only when something travels, so no timer is needed.
    pub(crate) fn look_again(&mut self, connection: &Connection) -> Option<(PathKind, u32)> {
        match self.looked {
            Some(looked) if looked.elapsed() < PATH_REPORT_INTERVAL => None,
            _ => self.look(connection),
        }
    }
}

/// The path in use; before one is chosen, the first.
fn current(connection: &Connection) -> Option<(PathKind, u32)> {
    let paths = connection.paths();
    let path = paths
        .iter()
        .find(|path| path.is_selected())
        .or_else(|| paths.iter().next())?;
    let kind = if path.is_ip() {
        PathKind::Direct
    } else {
        PathKind::Relayed
    };
    Some((
        kind,
        u32::try_from(path.rtt().as_micros()).unwrap_or(u32::MAX),
    ))
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
