//! The only clock: the state machines are told the time by the one who drives them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local, Offset};
use pillion_caps::UnixMillis;
use pillion_session::Now;
use pillion_tui::words::Zone;

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

/// What a damaged log may say of the year beyond 9999 is shown as its end.
const LAST_MS: u64 = 253_402_300_799_999;

/// A moment as programs read it: "2026-11-20T18:40:03.120Z".
pub fn rfc3339(unix_ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(unix_ms.min(LAST_MS));
    humantime::format_rfc3339_millis(time).to_string()
}

/// A moment on the clock of the one who reads it: "2026-11-20 19:40:03 +01:00".
pub fn local(unix_ms: u64) -> String {
    // As above.
    zone().moment(UnixMillis(unix_ms.min(LAST_MS)))
}

/// The time zone of the one who reads it.
pub fn zone() -> Zone {
    Zone(|at| {
        let time = i64::try_from(at.0).ok();
        let time = time.and_then(DateTime::from_timestamp_millis);
        time.map_or(0, |time| {
            time.with_timezone(&Local).offset().fix().local_minus_utc()
        })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn moments_that_no_clock_shows_do_no_harm() {
        assert_eq!(super::rfc3339(1_500), "1970-01-01T00:00:01.500Z");
        for unix_ms in [0, 1 << 53, i64::MAX as u64, u64::MAX] {
            assert!(super::rfc3339(unix_ms).ends_with('Z'));
            assert!(!super::local(unix_ms).is_empty());
        }
    }
}
