//! The vocabulary every other module speaks: colours, styles, cells, rows.
//!
//! These are *our* types, not the emulator's: a viewer is built without an emulator, and what a
//! viewer holds must be describable without one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Most combining characters kept on one cell; more are dropped when a cell is made.
///
/// Enough for every script in use; unbounded stacks ("zalgo") would let one cell grow without end.
pub const MAX_MARKS: usize = 8;

/// Longest hyperlink target kept, in bytes. Browsers and servers commonly stop at 2,048.
pub const MAX_LINK: usize = 2048;

/// A colour as the program chose it. Resolving `Default` and `Indexed` is left to who draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Color {
    /// The terminal's own foreground or background.
    #[default]
    Default,
    /// One of the 256 palette entries.
    Indexed(u8),
    /// A 24-bit colour.
    Rgb(u8, u8, u8),
}

/// Text attributes, as bits (`ECMA-48 SGR`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Attrs(pub u16);

impl Attrs {
    /// SGR 1.
    pub const BOLD: Attrs = Attrs(1 << 0);
    /// SGR 2.
    pub const DIM: Attrs = Attrs(1 << 1);
    /// SGR 3.
    pub const ITALIC: Attrs = Attrs(1 << 2);
    /// SGR 4 or 4:1.
    pub const UNDERLINE: Attrs = Attrs(1 << 3);
    /// SGR 21 or 4:2.
    pub const DOUBLE_UNDERLINE: Attrs = Attrs(1 << 4);
    /// SGR 4:3.
    pub const CURLY_UNDERLINE: Attrs = Attrs(1 << 5);
    /// SGR 4:4.
    pub const DOTTED_UNDERLINE: Attrs = Attrs(1 << 6);
    /// SGR 4:5.
    pub const DASHED_UNDERLINE: Attrs = Attrs(1 << 7);
    /// SGR 5 and 6.
    pub const BLINK: Attrs = Attrs(1 << 8);
    /// SGR 7.
    pub const INVERSE: Attrs = Attrs(1 << 9);
    /// SGR 8.
    pub const HIDDEN: Attrs = Attrs(1 << 10);
    /// SGR 9.
    pub const STRIKE: Attrs = Attrs(1 << 11);
    /// SGR 53.
    pub const OVERLINE: Attrs = Attrs(1 << 12);
    /// Every bit with a meaning; others are refused on decoding.
    pub const ALL: Attrs = Attrs((1 << 13) - 1);

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Attrs) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub const fn union(self, other: Attrs) -> Attrs {
        Attrs(self.0 | other.0)
    }
}

/// How a cell is drawn: colours and attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Style {
    /// Foreground.
    pub fg: Color,
    /// Background.
    pub bg: Color,
    /// Colour of the underline (SGR 58); `Default` follows the foreground.
    pub underline: Color,
    /// Attributes.
    pub attrs: Attrs,
}

/// How many columns a cell's character takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Width {
    /// One column.
    #[default]
    Narrow,
    /// Two columns: this cell and the `Spacer` to its right.
    Wide,
    /// The right half of a wide character; holds nothing itself.
    Spacer,
}

/// What few cells have: combining marks and a hyperlink. Shared, so that copying a row is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Extra {
    /// Combining characters after the base character, at most [`MAX_MARKS`].
    pub marks: String,
    /// OSC 8 target, at most [`MAX_LINK`] bytes, already cleaned.
    pub link: Option<Arc<str>>,
}

/// One position of the screen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The base character; never a control character. A space when empty.
    pub ch: char,
    /// Columns taken.
    pub width: Width,
    /// How it is drawn.
    pub style: Style,
    /// Combining marks and hyperlink, when there are any.
    pub extra: Option<Arc<Extra>>,
}

impl Default for Cell {
    fn default() -> Self {
        Cell {
            ch: ' ',
            width: Width::Narrow,
            style: Style::default(),
            extra: None,
        }
    }
}

/// One line of the screen, as many cells as the screen has columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// The cells, left to right.
    pub cells: Vec<Cell>,
    /// Whether the logical line goes on in the next row.
    pub wrap: Wrap,
}

/// How a row ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Wrap {
    /// With its line.
    #[default]
    Ends,
    /// In the middle of the line: the text was wrapped.
    Full,
    /// The same, a column early: the wide character that follows had no room there, and the last column's
    /// blank is none of the line.
    Early,
}

impl Row {
    /// An empty row of `cols` cells.
    pub fn blank(cols: u16) -> Row {
        Row {
            cells: vec![Cell::default(); usize::from(cols)],
            wrap: Wrap::Ends,
        }
    }

    /// The last character's cell and column.
    pub fn last(&self) -> Option<(usize, &Cell)> {
        let mut cells = self.cells.iter().enumerate().rev();
        cells.find(|(_, cell)| cell.width != Width::Spacer)
    }

    /// The row's characters without trailing blanks.
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(self.cells.len());
        push_cells(&self.cells, &mut out);
        out.truncate(out.trim_end_matches(' ').len());
        out
    }

    /// Appends what the row has of its line, which may go on in the next. When a line has ended, the
    /// trailing blanks of all of it are no part of it.
    pub fn push_part(&self, line: &mut String) {
        let cells = match self.wrap {
            Wrap::Early => self.cells.split_last().map_or(&[][..], |(_, cells)| cells),
            Wrap::Ends | Wrap::Full => &self.cells,
        };
        push_cells(cells, line);
        if self.wrap == Wrap::Ends {
            line.truncate(line.trim_end_matches(' ').len());
        }
    }
}

fn push_cells(cells: &[Cell], out: &mut String) {
    for cell in cells.iter().filter(|cell| cell.width != Width::Spacer) {
        out.push(cell.ch);
        out.push_str(cell.marks());
    }
}
