//! What a terminal shows, and the bytes that change it into what it should show.

use std::sync::Arc;

use pillion_screen::{
    Cell, CursorShape, Row, Size, Style, Width,
    cell::MAX_MARKS,
    clean::is_clean_mark,
    place::{joined, place},
    width::columns,
};

use crate::{charset, depth::Depth, pen::Pen, text};

/// Unchanged cells that are written again rather than skipped: a jump costs six bytes or more.
const GAP: usize = 4;

/// Changes of more bytes than this are put between the brackets of a synchronized update (mode
/// 2026). Below, a terminal shows them in one go anyhow, and the brackets would double a keystroke.
const SYNCHRONIZE: usize = 512;

/// A cursor to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caret {
    pub(crate) x: u16,
    pub(crate) y: u16,
    pub(crate) shape: CursorShape,
    pub(crate) blink: bool,
}

/// A terminal that only we write on.
#[derive(Debug)]
pub(crate) struct Canvas {
    depth: Depth,
    size: Size,
    /// What the terminal shows; empty: not known.
    shown: Vec<Row>,
    /// What it should show.
    pub(crate) next: Vec<Row>,
    /// Which rows of `next` say what should be shown; the others stay as they are.
    composed: Vec<bool>,
    pen: Pen,
    caret: Option<Caret>,
    look: (CursorShape, bool),
}

impl Canvas {
    pub(crate) fn new(depth: Depth, size: Size) -> Canvas {
        Canvas {
            depth,
            size,
            shown: Vec::new(),
            next: Vec::new(),
            composed: Vec::new(),
            pen: Pen::default(),
            caret: None,
            look: (CursorShape::Block, false),
        }
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Another size, or the terminal may show anything: all is drawn again.
    pub(crate) fn reset(&mut self, size: Size) {
        self.size = size;
        self.shown.clear();
    }

    /// Whether it is known what the terminal shows.
    pub(crate) fn is_known(&self) -> bool {
        !self.shown.is_empty()
    }

    /// Blank rows to compose all of what should be seen.
    pub(crate) fn begin(&mut self) -> &mut [Row] {
        self.begin_rows();
        for y in 0..self.size.rows() {
            self.begin_row(y);
        }
        &mut self.next
    }

    /// Begins to compose what should be seen, of which only some rows differ from what is shown:
    /// [`Canvas::begin_row`] each of those.
    pub(crate) fn begin_rows(&mut self) {
        let rows = usize::from(self.size.rows());
        self.next.resize_with(rows, Row::default);
        self.composed.clear();
        self.composed.resize(rows, false);
    }

    /// A blank row to compose.
    pub(crate) fn begin_row(&mut self, y: u16) -> Option<&mut Row> {
        *self.composed.get_mut(usize::from(y))? = true;
        let row = self.next.get_mut(usize::from(y))?;
        row.cells.clear();
        row.cells
            .resize(usize::from(self.size.cols()), Cell::default());
        Some(row)
    }

    /// Whether row `y` is known to begin with these cells.
    pub(crate) fn shows(&self, y: u16, cells: &[Cell]) -> bool {
        let shown = self.shown.get(usize::from(y));
        shown.and_then(|row| row.cells.get(..cells.len())) == Some(cells)
    }

    /// Appends what makes the terminal show what was composed, and then `also`.
    pub(crate) fn flush(&mut self, caret: Option<Caret>, also: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        if self.shown.is_empty() {
            // The pen first: erasing takes its background.
            // No wrapping: what some terminal finds too wide for a row must not get into the next.
            out.extend_from_slice(b"\x1b[?25l\x1b[?7l\x1b[m\x1b[2J");
            self.pen = Pen::default();
            self.caret = None;
            let cols = self.size.cols();
            self.shown
                .extend(self.next.iter().map(|_| Row::blank(cols)));
        }
        let rows = self.shown.iter_mut().zip(&mut self.next);
        for ((y, composed), (shown, next)) in (0u16..).zip(&self.composed).zip(rows) {
            if *composed && shown.cells != next.cells {
                repair(&mut next.cells);
                paint_row(&shown.cells, &next.cells, y, &mut self.pen, self.depth, out);
                std::mem::swap(shown, next);
            }
        }
        out.extend_from_slice(also);
        self.show_caret(caret, out);
        if out.len() - start > SYNCHRONIZE {
            out.splice(start..start, *b"\x1b[?2026h");
            out.extend_from_slice(b"\x1b[?2026l");
        }
    }

    fn show_caret(&mut self, caret: Option<Caret>, out: &mut Vec<u8>) {
        if let Some(caret) = caret {
            let look = (caret.shape, caret.blink);
            if look != self.look {
                self.look = look;
                cursor_look(look, out);
            }
            self.pen.go(usize::from(caret.x), caret.y, out);
        }
        match (self.caret.is_some(), caret.is_some()) {
            (false, true) => out.extend_from_slice(b"\x1b[?25h"),
            (true, false) => out.extend_from_slice(b"\x1b[?25l"),
            _ => {}
        }
        self.caret = caret;
    }
}

/// DECSCUSR. A host's default look becomes this terminal's own default.
fn cursor_look((shape, blink): (CursorShape, bool), out: &mut Vec<u8>) {
    let number = match (shape, blink) {
        (CursorShape::Block, false) => b'0',
        (CursorShape::Block, true) => b'1',
        (CursorShape::Underline, true) => b'3',
        (CursorShape::Underline, false) => b'4',
        (CursorShape::Bar, true) => b'5',
        (CursorShape::Bar, false) => b'6',
    };
    out.extend_from_slice(&[0x1b, b'[', number, b' ', b'q']);
}

/// Halves of wide characters, left over by clipping or by a box drawn over them, become blanks.
fn repair(cells: &mut [Cell]) {
    let mut whole = false;
    for x in 0..cells.len() {
        let next_is_spacer = cells.get(x + 1).is_some_and(|c| c.width == Width::Spacer);
        let Some(cell) = cells.get_mut(x) else { return };
        let broken = match cell.width {
            Width::Narrow => false,
            Width::Wide => !next_is_spacer,
            Width::Spacer => !whole,
        };
        whole = cell.width == Width::Wide && !broken;
        if broken {
            *cell = Cell {
                style: cell.style,
                ..Cell::default()
            };
        }
    }
}

fn paint_row(
    shown: &[Cell],
    next: &[Cell],
    y: u16,
    pen: &mut Pen,
    depth: Depth,
    out: &mut Vec<u8>,
) {
    // From here to the end the row is empty, and can be erased in one go.
    let content = next
        .iter()
        .rposition(|cell| !is_empty(cell))
        .map_or(0, |last| last + 1);
    let cols = next.len();
    // What the last character may reach into is not erased from under it.
    let (_, content) = joined(&[], next, content.saturating_sub(1), content);
    let mut x = 0;
    while let Some((start, end)) = next_change(shown, next, x) {
        let erase = end > content + GAP;
        let until = if erase { content.max(start) } else { end };
        place(next, start, until, |x, cell| {
            pen.put(x, y, cell, cols, depth, out);
        });
        if erase {
            pen.go(until, y, out);
            pen.reset(out);
            out.extend_from_slice(b"\x1b[K");
            return;
        }
        x = end;
    }
}

fn is_empty(cell: &Cell) -> bool {
    *cell == Cell::default()
}

/// The next cells to write, with what must be written with them.
fn next_change(shown: &[Cell], next: &[Cell], from: usize) -> Option<(usize, usize)> {
    let differs = |x: usize| shown.get(x) != next.get(x);
    let start = (from..next.len()).find(|x| differs(*x))?;
    let mut end = start + 1;
    while let Some(x) = (end..next.len().min(end + GAP + 1)).find(|x| differs(*x)) {
        end = x + 1;
    }
    Some(joined(shown, next, start, end))
}

/// Draws `text`, cleaned of nothing, at column `x`, into at most `room` columns; says how many it took.
pub(crate) fn put_text(
    cells: &mut [Cell],
    x: usize,
    room: usize,
    text: &str,
    style: Style,
) -> usize {
    let mut at = x;
    let end = cells.len().min(x.saturating_add(room));
    for ch in text.chars() {
        let width = columns(ch);
        if width == 0 {
            let written = cells.get_mut(x..at).unwrap_or_default();
            add_mark(written, ch);
            continue;
        }
        if at + width > end {
            break;
        }
        for (ch, width) in text::cells_of(charset::sign(ch), width) {
            if let Some(cell) = cells.get_mut(at) {
                *cell = Cell {
                    ch,
                    width,
                    style,
                    extra: None,
                };
            }
            at += 1;
        }
    }
    at - x
}

/// Adds a combining mark to the last character, within what cells may hold.
pub(crate) fn add_mark(cells: &mut [Cell], mark: char) {
    let mut bases = cells.iter_mut().rev();
    if let Some(cell) = bases.find(|cell| cell.width != Width::Spacer)
        && is_clean_mark(mark)
    {
        let extra = Arc::make_mut(cell.extra.get_or_insert_default());
        if extra.marks.chars().count() < MAX_MARKS {
            extra.marks.push(mark);
        }
    }
}
