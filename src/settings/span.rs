//! Lengths of time as people write them.

use std::{fmt, str::FromStr, time::Duration};

/// A length of time: "90s", "20m", "1h 30m", "2d".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// The longest: ten years, far beyond any session and safely within every clock.
    pub const MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

    /// As people say it: "30 days", "1 day 2 hours".
    pub fn said(self) -> String {
        let text = self.to_string();
        let parts = text.split(' ').map(|part| {
            let unit = part
                .find(|ch: char| !ch.is_ascii_digit())
                .unwrap_or(part.len());
            let (number, unit) = part.split_at(unit);
            let unit = match unit {
                "h" if number == "1" => "hour",
                "h" => "hours",
                "m" if number == "1" => "minute",
                "m" => "minutes",
                "s" if number == "1" => "second",
                "s" => "seconds",
                other => other,
            };
            format!("{number} {unit}")
        });
        parts.collect::<Vec<String>>().join(" ")
    }

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
    fn spans_are_said_in_words() {
        for (text, said) in [
            ("30d", "30 days"),
            ("1d 1h", "1 day 1 hour"),
            ("90m", "1 hour 30 minutes"),
            ("1s", "1 second"),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().said(), said);
        }
    }

    #[test]
    fn nothing_forever_and_nonsense_are_refused() {
        for text in ["0s", "", "soon", "-1h", "100years", "99999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
