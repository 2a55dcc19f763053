//! What ended sessions keep.

use std::{fmt, str::FromStr, time::Duration};

use crate::settings::span::Span;

/// How long, and how much in all, ended sessions are kept on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Sessions that ended longer ago are removed; `None`: no bound.
    pub age: Option<Duration>,
    /// Oldest are removed until the rest fits, in bytes; `None`: no bound.
    pub size: Option<u64>,
}

impl Retention {
    /// Nothing is kept after a session's end.
    pub const NOTHING: Retention = Retention {
        age: Some(Duration::ZERO),
        size: Some(0),
    };
}

impl Default for Retention {
    /// 30 days and 1 GiB.
    fn default() -> Retention {
        Retention {
            age: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            size: Some(1 << 30),
        }
    }
}

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Retention, String> {
        match text.trim() {
            "none" => return Ok(Retention::NOTHING),
            "all" => {
                return Ok(Retention {
                    age: None,
                    size: None,
                });
            }
            _ => {}
        }
        let mut keep = Retention {
            age: None,
            size: None,
        };
        for part in text.split(',').map(str::trim) {
            if let Some(size) = parse_size(part) {
                if keep.size.replace(size).is_some() {
                    return Err(format!("\"{text}\" names two sizes; name one"));
                }
            } else if let Ok(Span(age)) = part.parse() {
                if keep.age.replace(age).is_some() {
                    return Err(format!("\"{text}\" names two ages; name one"));
                }
            } else {
                return Err(format!(
                    "\"{part}\" is neither an age nor a size; write it like 30d, 500MiB, \"30d,1GiB\", all or none"
                ));
            }
        }
        Ok(keep)
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.age, self.size) {
            _ if *self == Retention::NOTHING => f.write_str("none"),
            (None, None) => f.write_str("all"),
            (Some(age), None) => write!(f, "{}", Span(age)),
            (None, Some(size)) => write_size(f, size),
            (Some(age), Some(size)) => {
                write!(f, "{},", Span(age))?;
                write_size(f, size)
            }
        }
    }
}

const UNITS: [(&str, u64); 6] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

fn parse_size(text: &str) -> Option<u64> {
    UNITS.iter().find_map(|(unit, factor)| {
        text.strip_suffix(unit)?
            .trim()
            .parse::<u64>()
            .ok()?
            .checked_mul(*factor)
    })
}

fn write_size(f: &mut fmt::Formatter<'_>, size: u64) -> fmt::Result {
    match UNITS[..3]
        .iter()
        .rev()
        .find(|(_, factor)| size >= *factor && size.is_multiple_of(*factor))
    {
        Some((unit, factor)) => write!(f, "{}{unit}", size / factor),
        None => write!(f, "{}kB", size / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_in_any_order() {
        let both = Retention {
            age: Some(Duration::from_secs(86_400)),
            size: Some(1 << 30),
        };
        assert_eq!("1d,1GiB".parse(), Ok(both));
        assert_eq!("1GiB, 1d".parse(), Ok(both));
        assert_eq!(
            "500MB".parse(),
            Ok(Retention {
                age: None,
                size: Some(500_000_000)
            })
        );
        assert_eq!("none".parse(), Ok(Retention::NOTHING));
    }

    #[test]
    fn what_is_shown_is_what_is_read() {
        for text in ["1day,1GiB", "none", "all", "30days", "7MiB"] {
            assert_eq!(text.parse::<Retention>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for text in ["", "x", "1d,2d", "1GiB,2GiB", "99999999999GiB"] {
            assert!(text.parse::<Retention>().is_err(), "{text}");
        }
    }
}
