//! The text that is printed in floods: the same each time, each line different, so that what was kept
//! of it can be checked line by line.

use std::fmt::Write;

/// Some of it is wider than 80 columns once the number is before it.
const WORDS: &str = "the quick brown fox jumps over the lazy dog while a compiler prints one more line of what it is doing";

/// Lines are between so many and [`LONGEST`] bytes, line end not counted.
const SHORTEST: usize = 20;
const LONGEST: usize = 100;

/// A line of the text, without its end.
pub fn line(number: usize) -> String {
    let mut line = format!("{number:08} ");
    // A step that shares no factor with the count of lengths: all lengths come up equally often.
    let length = SHORTEST + number * 37 % (LONGEST - SHORTEST + 1);
    line.push_str(&WORDS[..length - line.len()]);
    // Terminals do not keep the difference between a space at the end and none.
    let end = line.trim_end().len();
    line.truncate(end);
    line
}

/// Whole lines from the first on, `bytes` or a little more.
pub fn lines(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + LONGEST);
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        text.push_str(&line(number));
        text.push('\n');
    }
    text
}

/// A short line that says when it was printed.
pub fn stamped(number: u32, at_us: u64) -> String {
    let mut line = String::new();
    // Writing to a string cannot fail.
    let _ = write!(line, "tick {number} at {at_us} ");
    line.push_str(&WORDS[..30]);
    line
}

/// What [`stamped`] said.
pub fn stamp(line: &str) -> Option<(u32, u64)> {
    let mut words = line.strip_prefix("tick ")?.split(' ');
    let number = words.next()?.parse().ok()?;
    let at = words.nth(1)?.parse().ok()?;
    Some((number, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_differ_and_have_all_lengths() {
        let lengths: Vec<usize> = (0..81).map(|number| line(number).len()).collect();
        assert!(
            lengths
                .iter()
                .all(|length| (SHORTEST - 1..=LONGEST).contains(length))
        );
        assert!(lengths.contains(&LONGEST));
        assert_ne!(line(3), line(84));
        assert_eq!(line(7), line(7));
    }

    #[test]
    fn as_much_as_asked_for_comes_in_whole_lines() {
        let text = lines(10_000);
        assert!((10_000..10_000 + LONGEST + 1).contains(&text.len()));
        for (number, got) in text.lines().enumerate() {
            assert_eq!(got, line(number));
        }
    }

    #[test]
    fn a_stamp_is_read_back() {
        assert_eq!(stamp(&stamped(12, 3456)), Some((12, 3456)));
        assert_eq!(stamp("tick x at 3 a"), None);
        assert_eq!(stamp(""), None);
    }

    #[test]
    fn what_ends_a_flood_shares_no_character_with_it() {
        let text = lines(20_000);
        assert!(!crate::programs::END.chars().any(|c| text.contains(c)));
    }
}
