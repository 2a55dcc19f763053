//! Lengths of time as people write them.

use std::{fmt, str::FromStr, time::Duration};

/// A length of time: "90s", "20m", "1h 30m", "2d".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// The longest: ten years, far beyond any session and safely within every clock.
    pub const MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

    /// In milliseconds.
    pub fn as_millis(self) -> u64 {
        // MAX is far below 2^64 ms.
        self.0.as_millis() as u64
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let duration = humantime::parse_duration(text.trim()).map_err(|_| {
            format!("\"{text}\" is not a length of time; write it like 90s, 20m, 1h or 2d")
        })?;
        if duration.is_zero() {
            return Err("a length of time must be longer than nothing".to_owned());
        }
        if duration > Span::MAX {
            return Err("the longest span is ten years".to_owned());
        }
        Ok(Span(duration))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_spans_in_many_ways() {
        for (text, seconds) in [
            ("90s", 90),
            ("20m", 1200),
            ("1h 30m", 5400),
            (" 2d ", 172_800),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().0.as_secs(), seconds, "{text}");
        }
    }

    #[test]
    fn nothing_forever_and_nonsense_are_refused() {
        for text in ["0s", "", "soon", "-1h", "100years", "99999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
