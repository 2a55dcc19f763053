//! Terminals that think otherwise of the width of disputed characters.
//!
//! vt100 has an opinion of its own (it measures clusters, so that U+2764 U+FE0F is wide). It is given others
//! by telling it, in place of each disputed character, one of the width the terminal is to have.

use pillion_screen::width::{columns, is_disputed, most_columns};

/// What a terminal makes of what is disputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// What vt100 makes of it.
    Vt100,
    /// As few columns as any terminal gives it.
    Least,
    /// As many.
    Most,
}

pub const OPINIONS: [Opinion; 3] = [Opinion::Vt100, Opinion::Least, Opinion::Most];

/// What stands for a disputed character, by its columns.
pub const NARROW: char = '¤';
pub const WIDE: char = '龘';

impl Opinion {
    /// The bytes for vt100 that make it a terminal of this opinion.
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        if self == Opinion::Vt100 {
            return bytes.to_vec();
        }
        let text = std::str::from_utf8(bytes).expect("whole characters were drawn");
        let mut out = String::new();
        let mut chars = text.chars().peekable();
        while let Some(ch) = chars.next() {
            let selected = chars.peek() == Some(&'\u{fe0f}');
            match self {
                Opinion::Most if selected && columns(ch) > 0 => out.push(WIDE),
                _ if ch.is_control() || !is_disputed(ch) => out.push(ch),
                Opinion::Most => out.extend(stand_in(most_columns(ch))),
                // A character that is narrow or wide is narrow; one that has a column or none has none.
                _ if most_columns(ch) == 2 && columns(ch) > 0 => out.push(NARROW),
                _ => {}
            }
        }
        out.into_bytes()
    }
}

fn stand_in(columns: usize) -> Option<char> {
    match columns {
        0 => None,
        1 => Some(NARROW),
        _ => Some(WIDE),
    }
}
