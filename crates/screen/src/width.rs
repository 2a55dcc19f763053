//! How wide characters are: the one measure of everything that is laid out or drawn.
//!
//! Terminals dispute the width of many characters: emoji and what makes them (VS16, ZWJ), characters
//! newer than the terminal's tables, vowel signs, U+00AD. Ours is the emulator's. Where another one
//! matters, which is wherever something is drawn, [`is_disputed`] says so: see
//! [`emit`](crate::emit) for how such a cell is drawn.
//!
//! Characters of the class "ambiguous" (UAX #11: much of what draws boxes, quotes, arrows) are narrow unless
//! somebody sets their terminal up otherwise, so they aren't disputed; but nothing is placed by them.

mod agreed;

use unicode_width::UnicodeWidthChar;

use crate::cell::{Cell, Width};
use agreed::AGREED;

/// How many columns a character takes: 0 for marks (and for what is never shown), 1 or 2.
pub fn columns(ch: char) -> usize {
    if matches!(ch, ' '..='~') {
        1
    } else {
        match ch {
            // Seen in every terminal that was asked (tests/terminals).
            '\u{ad}' | '\u{ffa0}' => 1,
            '\u{3164}' => 2,
            // U+17D8 has three; no emulator gives it more than two.
            _ => ch.width().unwrap_or(0).min(2),
        }
    }
}

/// How many columns a text takes, laid out character by character.
pub fn text_columns(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Whether terminals differ in the columns they give a character, or draw it together with its
/// neighbours.
pub fn is_disputed(ch: char) -> bool {
    !matches!(ch, ' '..='~')
        && AGREED
            .partition_point(|bound| *bound <= u32::from(ch))
            .is_multiple_of(2)
}

/// The most columns that any terminal gives a character.
pub fn most_columns(ch: char) -> usize {
    match (columns(ch), ch) {
        (columns, ch) if !is_disputed(ch) => columns,
        (1, '\u{3248}'..='\u{324f}' | '\u{1f000}'..='\u{1faff}') | (0, '\u{302e}' | '\u{302f}') => {
            2
        }
        (0, ch) if joins(ch) => 0,
        (0 | 1, _) => 1,
        _ => 2,
    }
}

/// Whether a character by itself is nothing, and does something to its neighbours.
fn joins(ch: char) -> bool {
    matches!(ch,
        '\u{34f}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether terminals set up for East Asia draw a character wide that others don't.
pub(crate) fn is_ambiguous(ch: char) -> bool {
    !matches!(ch, ' '..='~') && ch.width_cjk() != ch.width()
}

/// Whether every terminal gives a character the columns we count, however it is set up.
#[cfg(feature = "emulator")]
pub(crate) fn is_sure(ch: char) -> bool {
    // Most of what a flood of text consists of, without a search.
    let often =
        matches!(ch, '\u{3041}'..='\u{3096}' | '\u{4e00}'..='\u{9fcb}' | '\u{ac00}'..='\u{d7a3}');
    often || !is_disputed(ch) && !is_ambiguous(ch)
}

impl Width {
    /// How many columns.
    pub fn columns(self) -> usize {
        match self {
            Width::Narrow => 1,
            Width::Wide => 2,
            Width::Spacer => 0,
        }
    }
}

impl Cell {
    /// Whether terminals differ in the columns they give what is in this cell.
    pub fn is_disputed(&self) -> bool {
        is_disputed(self.ch) || self.marks().chars().any(is_disputed)
    }

    /// The most columns that any terminal gives what is in this cell.
    pub fn most_columns(&self) -> usize {
        let base = match most_columns(self.ch) {
            // An emoji by selection (VS16).
            1 if self.marks().contains('\u{fe0f}') => 2,
            most => most.max(self.width.columns()),
        };
        base + self.marks().chars().map(most_columns).sum::<usize>()
    }

    /// The combining characters after the base.
    pub fn marks(&self) -> &str {
        self.extra.as_ref().map_or("", |extra| extra.marks.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_everybody_writes_is_not_disputed() {
        for text in [
            "Hello, world ~",
            "äöü ñ é ß Ø",
            "Ελληνικά, русский, Հայերեն",
            "日本語 ひらがな カタカナ ﾊﾝｶｸ，ＡＢＣ",
            "한국어",
            "עברית العربية",
            "ไทย",
            "│─┌┐└┘█▌…“”→·×",
            "\u{e0b0}",
            "e\u{301}",
        ] {
            for ch in text.chars() {
                assert!(!is_disputed(ch), "{ch:?} U+{:04X}", u32::from(ch));
                assert_eq!(most_columns(ch), columns(ch), "{ch:?}");
            }
        }
    }

    #[test]
    fn what_terminals_dispute_is_known() {
        for ch in [
            '\u{ad}',
            '\u{3248}',
            '\u{2630}',
            '\u{4dc0}',
            '\u{200d}',
            '\u{fe0f}',
            '\u{1f600}',
            '\u{1f1e9}',
            '\u{1f3fd}',
            '\u{231a}',
            '\u{9be}',
            '\u{93f}',
            '\u{3164}',
            '\u{17d8}',
            '\u{fffd}',
            '\u{378}',
            '\u{20bf}',
            '\u{1fae0}',
        ] {
            assert!(is_disputed(ch), "U+{:04X}", u32::from(ch));
        }
        assert_eq!((columns('\u{3248}'), most_columns('\u{3248}')), (1, 2));
        assert_eq!((columns('\u{ad}'), most_columns('\u{ad}')), (1, 1));
        assert_eq!((columns('\u{17d8}'), most_columns('\u{17d8}')), (2, 2));
        assert_eq!(most_columns('\u{200d}'), 0);
    }

    #[test]
    fn a_cell_takes_what_its_characters_take_together() {
        let cell = |ch, width, marks: &str| Cell {
            ch,
            width,
            extra: Some(std::sync::Arc::new(crate::cell::Extra {
                marks: marks.to_owned(),
                link: None,
            })),
            ..Cell::default()
        };
        let heart = cell('❤', Width::Narrow, "\u{fe0f}");
        assert!(heart.is_disputed());
        assert_eq!(heart.most_columns(), 2);
        let family = cell('👩', Width::Wide, "\u{200d}");
        assert_eq!(family.most_columns(), 2);
        let hyphen = cell('a', Width::Narrow, "\u{9be}");
        assert_eq!(hyphen.most_columns(), 2);
        assert!(!cell('e', Width::Narrow, "\u{301}").is_disputed());
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_the_most_it_can_be(text: String) {
            let mut cell = Cell::default();
            for ch in text.chars() {
                prop_assert!(columns(ch) <= most_columns(ch) && most_columns(ch) <= 2);
                prop_assert!(is_disputed(ch) || columns(ch) == most_columns(ch));
                cell.ch = ch;
                prop_assert_eq!(cell.is_disputed(), is_disputed(ch));
            }
        }
    }
}
