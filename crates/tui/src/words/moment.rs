//! Moments, on the clock of the one who reads them.

use pillion_caps::UnixMillis;

/// How far the reader's clock is ahead of UTC: it differs with the moment.
#[derive(Debug, Clone, Copy)]
pub struct Zone(pub fn(UnixMillis) -> i32);

impl Zone {
    /// UTC, where it is not known who reads.
    pub const UTC: Zone = Zone(|_| 0);

    fn shifted(self, at: UnixMillis) -> (UnixMillis, i32) {
        let east = (self.0)(at);
        let at = at.0.saturating_add_signed(i64::from(east) * 1000);
        (UnixMillis(at), east)
    }

    /// "2026-11-20 19:40:03 +01:00".
    pub fn moment(self, at: UnixMillis) -> String {
        let (at, east) = self.shifted(at);
        let sign = if east < 0 { '-' } else { '+' };
        let minutes = east.unsigned_abs() / 60;
        let text = at.to_string();
        let text = text.strip_suffix(" UTC").unwrap_or(&text);
        format!("{text} {sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }

    /// "19:40".
    pub fn time_of_day(self, at: UnixMillis) -> String {
        let minutes = self.shifted(at).0.0 / 60_000;
        format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_on_the_readers_clock() {
        let at = UnixMillis(1_777_636_807_000);
        for (zone, moment, time) in [
            (Zone::UTC, "2026-05-01 12:00:07 +00:00", "12:00"),
            (Zone(|_| 2 * 3600), "2026-05-01 14:00:07 +02:00", "14:00"),
            (
                Zone(|_| -(12 * 3600 + 1800)),
                "2026-04-30 23:30:07 -12:30",
                "23:30",
            ),
        ] {
            assert_eq!(
                (zone.moment(at), zone.time_of_day(at)),
                (moment.into(), time.into())
            );
        }
        // What no clock shows does no harm.
        for at in [0, u64::MAX] {
            let _ = Zone(|_| -50_400).moment(UnixMillis(at));
            let _ = Zone(|_| 50_400).time_of_day(UnixMillis(at));
        }
    }
}
