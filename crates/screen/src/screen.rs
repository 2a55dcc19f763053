//! The state of a terminal as everyone sees it: what frames change and what is drawn.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cell::Row;

/// Longest title kept, in characters.
pub const MAX_TITLE: usize = 256;

/// The size of a terminal in character cells, within what a session can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct Size {
    cols: u16,
    rows: u16,
}

impl Size {
    /// Most columns: four times a 4K display at a small font; bounds every row anyone must hold.
    pub const MAX_COLS: u16 = 1000;
    /// Most rows.
    pub const MAX_ROWS: u16 = 500;

    /// A size of at least 1×1 and at most [`Size::MAX_COLS`] × [`Size::MAX_ROWS`].
    pub fn new(cols: u16, rows: u16) -> Result<Size, BadSize> {
        if (1..=Self::MAX_COLS).contains(&cols) && (1..=Self::MAX_ROWS).contains(&rows) {
            Ok(Size { cols, rows })
        } else {
            Err(BadSize { cols, rows })
        }
    }

    /// The nearest size that is allowed: terminals report 0×0 when they do not know.
    pub fn clamped(cols: u16, rows: u16) -> Size {
        Size {
            cols: cols.clamp(1, Self::MAX_COLS),
            rows: rows.clamp(1, Self::MAX_ROWS),
        }
    }

    /// Columns, 1..=[`Size::MAX_COLS`].
    pub fn cols(self) -> u16 {
        self.cols
    }

    /// Rows, 1..=[`Size::MAX_ROWS`].
    pub fn rows(self) -> u16 {
        self.rows
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}", self.cols, self.rows)
    }
}

impl TryFrom<(u16, u16)> for Size {
    type Error = BadSize;
    fn try_from((cols, rows): (u16, u16)) -> Result<Size, BadSize> {
        Size::new(cols, rows)
    }
}

impl From<Size> for (u16, u16) {
    fn from(size: Size) -> (u16, u16) {
        (size.cols, size.rows)
    }
}

/// A terminal size nobody can draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a terminal of {cols}×{rows} is outside 1×1 to {}×{}",
    Size::MAX_COLS,
    Size::MAX_ROWS
)]
pub struct BadSize {
    cols: u16,
    rows: u16,
}

/// The number of a logical line (a line as the program wrote it, before wrapping). Given when its
/// first row appears, never reused, counted from 0 at the start of the track.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct LineId(pub u64);

/// The cursor's look (DECSCUSR).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum CursorShape {
    /// A full cell.
    #[default]
    Block,
    /// A line under the cell.
    Underline,
    /// A bar left of the cell.
    Bar,
}

/// Where the cursor is and how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Column, from 0.
    pub x: u16,
    /// Row, from 0.
    pub y: u16,
    /// Shown at all (DECTCEM).
    pub visible: bool,
    /// Look.
    pub shape: CursorShape,
    /// Blinking.
    pub blink: bool,
    /// The last column was written and the next character wraps ("pending wrap").
    pub wrap_pending: bool,
}

/// Terminal modes that a viewer must know, as bits: they decide how its keys and mouse are
/// encoded, and what a native repaint must restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Modes(pub u32);

impl Modes {
    /// DECCKM: cursor keys send `ESC O` sequences.
    pub const APP_CURSOR: Modes = Modes(1 << 0);
    /// DECKPAM.
    pub const APP_KEYPAD: Modes = Modes(1 << 1);
    /// Mode 2004.
    pub const BRACKETED_PASTE: Modes = Modes(1 << 2);
    /// Mode 1000 (press and release).
    pub const MOUSE_CLICK: Modes = Modes(1 << 3);
    /// Mode 1002 (motion while pressed).
    pub const MOUSE_DRAG: Modes = Modes(1 << 4);
    /// Mode 1003 (any motion).
    pub const MOUSE_MOTION: Modes = Modes(1 << 5);
    /// Mode 1006.
    pub const MOUSE_SGR: Modes = Modes(1 << 6);
    /// Mode 1005.
    pub const MOUSE_UTF8: Modes = Modes(1 << 7);
    /// Mode 1004.
    pub const FOCUS: Modes = Modes(1 << 8);
    /// Mode 1007: the wheel sends arrows on the alternate screen.
    pub const ALTERNATE_SCROLL: Modes = Modes(1 << 9);
    /// The alternate screen is shown (1049 and kin).
    pub const ALTERNATE_SCREEN: Modes = Modes(1 << 10);
    /// IRM.
    pub const INSERT: Modes = Modes(1 << 11);
    /// DECAWM.
    pub const AUTOWRAP: Modes = Modes(1 << 12);
    /// DECOM.
    pub const ORIGIN: Modes = Modes(1 << 13);
    /// LNM.
    pub const LINEFEED_NEWLINE: Modes = Modes(1 << 14);
    /// DECSCNM: the screen's default colours are exchanged.
    pub const REVERSE_VIDEO: Modes = Modes(1 << 15);
    /// Kitty keyboard: disambiguate escape codes (flag 1).
    pub const KITTY_DISAMBIGUATE: Modes = Modes(1 << 16);
    /// Kitty keyboard: report event types (flag 2).
    pub const KITTY_EVENTS: Modes = Modes(1 << 17);
    /// Kitty keyboard: report alternate keys (flag 4).
    pub const KITTY_ALTERNATES: Modes = Modes(1 << 18);
    /// Kitty keyboard: report all keys as escape codes (flag 8).
    pub const KITTY_ALL_KEYS: Modes = Modes(1 << 19);
    /// Kitty keyboard: report associated text (flag 16).
    pub const KITTY_TEXT: Modes = Modes(1 << 20);
    /// Every bit with a meaning; others are refused on decoding.
    pub const ALL: Modes = Modes((1 << 21) - 1);
    /// Any mouse reporting.
    pub const ANY_MOUSE: Modes = Modes(0b111 << 3);

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Modes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    pub const fn intersects(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    pub const fn union(self, other: Modes) -> Modes {
        Modes(self.0 | other.0)
    }
}

/// Which lines exist: `oldest` is the first that may be read (sharing may have started later than
/// the program), `top` the logical line the screen's first row belongs to. Everything between is
/// history, to be fetched by range when somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineSpan {
    /// First line that may be read.
    pub oldest: LineId,
    /// Lines below this one are final; from here to `top` they may still reflow or be erased.
    pub settled: LineId,
    /// The line the screen's first row is part of.
    pub top: LineId,
    /// How many rows of line `top` lie above the screen.
    pub top_offset: u16,
}

/// One terminal as it stands at one frame. Cheap enough to clone for a snapshot; equality is what
/// the simulated worlds compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// Columns and rows; `rows.len()` and every row's cell count agree with it.
    pub size: Size,
    /// The visible rows, top to bottom.
    pub rows: Vec<Row>,
    /// The cursor.
    pub cursor: Cursor,
    /// Modes that matter to who types or repaints.
    pub modes: Modes,
    /// The window title, cleaned, at most [`MAX_TITLE`] characters.
    pub title: String,
    /// Colours the program has redefined (OSC 4, 10, 11, 12): 0–255 the palette, 256 foreground,
    /// 257 background, 258 cursor.
    pub palette: BTreeMap<u16, [u8; 3]>,
    /// Which history lines exist.
    pub lines: LineSpan,
    /// How many times the bell rang since the track began; a rise is a ring.
    pub bells: u64,
}

impl Screen {
    /// A blank screen.
    pub fn blank(size: Size) -> Screen {
        Screen {
            size,
            rows: (0..size.rows()).map(|_| Row::blank(size.cols())).collect(),
            cursor: Cursor {
                visible: true,
                ..Cursor::default()
            },
            modes: Modes::AUTOWRAP,
            title: String::new(),
            palette: BTreeMap::new(),
            lines: LineSpan::default(),
            bells: 0,
        }
    }

    /// The screen as plain text, a line per row, trailing blanks and blank rows at the end left out.
    pub fn text(&self) -> String {
        let mut lines: Vec<String> = self.rows.iter().map(Row::text).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines.join("\n")
    }
}
