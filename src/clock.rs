//! The only clock: the state machines are told the time by whoever drives them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pillion_session::Now;

/// A clock that never goes back, beside the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero.
    pub fn start() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    /// The time now.
    pub fn now(&self) -> Now {
        Now {
            mono_us: self.start.elapsed().as_micros() as u64,
            unix_ms: unix_ms(),
        }
    }

    /// The instant of a moment on [`Now::mono_us`]'s clock.
    pub fn instant(&self, mono_us: u64) -> Instant {
        self.start + Duration::from_micros(mono_us)
    }
}

/// Milliseconds since the Unix epoch; zero on a clock set before it.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// A moment as people read it: "2026-11-20 18:40:03 UTC".
pub fn readable(unix_ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(unix_ms);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_moment_is_readable() {
        assert_eq!(super::readable(0), "1970-01-01 00:00:00 UTC");
    }
}
