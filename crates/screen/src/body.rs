//! The body of a frame: operations that turn one screen into the next.
//!
//! A body is operations, each a tag and its operands, and ends with `END`. Tags are never reused.
//! Numbers, strings and styles are those of `wire.rs`.
//!
//! | tag | operation | operands | meaning |
//! |---|---|---|---|
//! | 0 | END | | the body is whole |
//! | 1 | BLANK | cols, rows | start from a blank screen and no pens; only first, and exactly in snapshots (and a track's first frame) |
//! | 2 | RESIZE | cols, rows | cut or extend at the right and the bottom |
//! | 3 | FORGET | | forget all pens; first in a frame that resets the context |
//! | 4 | SCROLL_UP | top, height, lines | rows move up within the region, empty ones follow |
//! | 5 | SCROLL_DOWN | top, height, lines | rows move down |
//! | 6 | SPAN | dy, x, runs | cells of the row `dy` below the last one named, from column x on |
//! | 7 | WRAP | dy | the row goes on in the next |
//! | 8 | UNWRAP | dy | it does not |
//! | 9 | CURSOR | y, x | |
//! | 10 | LOOK | bits | cursor: 1 visible, 2 blinking, 4 wrap pending, shape × 8 |
//! | 11 | MODES | bits | [`Modes`](crate::Modes) |
//! | 12 | TITLE | string | |
//! | 13 | SET_COLOR | index, r, g, b | a palette entry is redefined |
//! | 14 | RESET_COLOR | index | it is no longer |
//! | 15 | LINES | signed: oldest, settled, top; top_offset | [`LineSpan`](crate::LineSpan), line numbers relative to before |
//! | 16 | BELLS | number | rung so often since the last frame |
//! | 17 | WRAP_EARLY | dy | the row goes on in the next, with the wide character that had no room in its last column |
//!
//! A *run* is a number `length × 16 + last × 8 + pen × 4 + kind`, when `pen` is set the number of
//! the pen from here on, and cells:
//!
//! | kind | cells |
//! |---|---|
//! | 0 TEXT | `length` characters of one column |
//! | 1 WIDE | `length` characters of two columns |
//! | 2 FILL | one character of one column, `length` times; 0: to the end of the row |
//! | 3 RICH | `length` times: number `bytes of marks × 2 + wide`, character, marks |
//!
//! A *pen* is a style and a link. Pen 0 is the default one and every body starts with it; pens get
//! numbers as they appear: the number one past the last is a new one, and its style follows (flag: a
//! link follows, a string). A table holds [`MAX_PENS`]; what comes after is used but not kept.

use crate::screen::{Cursor, CursorShape};

pub(crate) const END: u8 = 0;
pub(crate) const BLANK: u8 = 1;
pub(crate) const RESIZE: u8 = 2;
pub(crate) const FORGET: u8 = 3;
pub(crate) const SCROLL_UP: u8 = 4;
pub(crate) const SCROLL_DOWN: u8 = 5;
pub(crate) const SPAN: u8 = 6;
pub(crate) const WRAP: u8 = 7;
pub(crate) const UNWRAP: u8 = 8;
pub(crate) const CURSOR: u8 = 9;
pub(crate) const LOOK: u8 = 10;
pub(crate) const MODES: u8 = 11;
pub(crate) const TITLE: u8 = 12;
pub(crate) const SET_COLOR: u8 = 13;
pub(crate) const RESET_COLOR: u8 = 14;
pub(crate) const LINES: u8 = 15;
pub(crate) const BELLS: u8 = 16;
pub(crate) const WRAP_EARLY: u8 = 17;

pub(crate) const TEXT: u8 = 0;
pub(crate) const WIDE: u8 = 1;
pub(crate) const FILL: u8 = 2;
pub(crate) const RICH: u8 = 3;
/// The run names its pen.
pub(crate) const RUN_PEN: u64 = 4;
/// The run is its span's last.
pub(crate) const RUN_LAST: u64 = 8;
/// Bits below a run's length.
pub(crate) const RUN_SHIFT: u32 = 4;

/// Pens a context keeps beside the default one: more than any program uses that is not painting
/// pictures, and at most 8 MB of links.
pub(crate) const MAX_PENS: usize = 4096;

/// Palette entries: 256 and the default foreground, background and cursor colour.
pub(crate) const PALETTE: u64 = 259;

/// The cursor's LOOK operand.
#[cfg(feature = "emulator")]
pub(crate) fn look_bits(cursor: &Cursor) -> u8 {
    let shape = match cursor.shape {
        CursorShape::Block => 0,
        CursorShape::Underline => 1,
        CursorShape::Bar => 2,
    };
    u8::from(cursor.visible)
        | u8::from(cursor.blink) << 1
        | u8::from(cursor.wrap_pending) << 2
        | shape << 3
}

/// Takes over a LOOK operand; `None` for bits without meaning.
pub(crate) fn set_look(cursor: &mut Cursor, bits: u8) -> Option<()> {
    cursor.shape = match bits >> 3 {
        0 => CursorShape::Block,
        1 => CursorShape::Underline,
        2 => CursorShape::Bar,
        _ => return None,
    };
    cursor.visible = bits & 1 != 0;
    cursor.blink = bits & 2 != 0;
    cursor.wrap_pending = bits & 4 != 0;
    Some(())
}
