//! Sentences for people, made in one place.

use pillion_proto::{Text, limits::MAX_SENTENCE};
use pillion_screen::clean::clean_title;

/// A sentence ready to be sent; names in it are cleaned already.
#[cfg(feature = "host")]
pub(crate) fn sentence(text: &str) -> Text<MAX_SENTENCE> {
    Text::cut(text)
}

/// A sentence as it came from the other side, fit to be shown.
pub(crate) fn shown(text: &Text<MAX_SENTENCE>) -> String {
    clean_title(text.as_str(), MAX_SENTENCE)
}

/// A span of time as people say it, at most two units: "8 h", "1 h 30 min", "45 s".
#[cfg(feature = "host")]
pub(crate) fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = ms.div_ceil(1000);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, name) in UNITS {
        if rest >= unit && parts.len() < 2 {
            parts.push(format!("{} {name}", rest / unit));
            rest %= unit;
        }
    }
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::span;

    #[test]
    fn spans_are_said_in_at_most_two_units() {
        for (ms, text) in [
            (0, "0 s"),
            (1, "1 s"),
            (45_000, "45 s"),
            (5_400_000, "1 h 30 min"),
            (8 * 3_600_000, "8 h"),
            (90_061_000, "1 d 1 h"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}
