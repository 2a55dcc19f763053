//! Writing a frame's body: the encoder's side of `body.rs`.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use bytes::{BufMut, BytesMut};

use crate::{
    body::*,
    cell::{Cell, Row, Style, Width, Wrap},
    damage::Scroll,
    diff::next_span,
    screen::{LineSpan, Screen, Size},
    wire::{put_char, put_number, put_signed, put_str, put_style},
};

/// Equal cells from which on a FILL run pays, in the middle of text and at the end of a span.
const FILL_WITHIN: usize = 7;
const FILL_AT_END: usize = 3;

/// A style and a link.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Pen {
    style: Style,
    link: Option<Arc<str>>,
}

/// The numbers of the pens a context has seen. Hashed without a random seed: what a frame holds
/// must depend on what was drawn alone.
#[derive(Debug, Default)]
pub(crate) struct PenNumbers {
    numbers: HashMap<Pen, u32, BuildHasherDefault<DefaultHasher>>,
}

impl PenNumbers {
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
    }

    pub(crate) fn is_full(&self) -> bool {
        self.numbers.len() >= MAX_PENS
    }

    /// The pen's number, and whether it is new to the reader.
    fn number(&mut self, pen: &Pen) -> (u64, bool) {
        if let Some(&number) = self.numbers.get(pen) {
            return (u64::from(number), false);
        }
        let number = self.numbers.len() as u32 + 1;
        if !self.is_full() {
            self.numbers.insert(pen.clone(), number);
        }
        (u64::from(number), true)
    }
}

/// One body being written.
pub(crate) struct Writer<'a> {
    out: &'a mut BytesMut,
    pens: &'a mut PenNumbers,
    /// The row last named.
    y: u16,
    pen: Pen,
}

impl<'a> Writer<'a> {
    /// Goes on at the end of `out`.
    pub(crate) fn new(out: &'a mut BytesMut, pens: &'a mut PenNumbers) -> Writer<'a> {
        Writer {
            out,
            pens,
            y: 0,
            pen: Pen::default(),
        }
    }

    /// Bytes in the body so far.
    pub(crate) fn written(&self) -> usize {
        self.out.len()
    }

    /// Whether it is time to forget the pens.
    pub(crate) fn is_full(&self) -> bool {
        self.pens.is_full()
    }

    pub(crate) fn blank(&mut self, size: Size) {
        self.pens.clear();
        self.op(BLANK);
        self.size(size);
    }

    pub(crate) fn resize(&mut self, size: Size) {
        self.op(RESIZE);
        self.size(size);
    }

    pub(crate) fn forget(&mut self) {
        self.pens.clear();
        self.op(FORGET);
    }

    pub(crate) fn scroll(&mut self, scroll: &Scroll) {
        self.op(if scroll.lines > 0 {
            SCROLL_UP
        } else {
            SCROLL_DOWN
        });
        self.number(scroll.top);
        self.number(scroll.bottom - scroll.top);
        self.number(scroll.lines.unsigned_abs());
    }

    /// What turns row `y` from `old` into `new`; rows must come top to bottom. Whether anything.
    pub(crate) fn row(&mut self, y: u16, old: &Row, new: &Row) -> bool {
        let before = self.out.len();
        let mut x = 0;
        while let Some((from, to)) = next_span(&old.cells, &new.cells, x) {
            self.op(SPAN);
            self.down_to(y);
            self.number(from as u16);
            self.runs(&new.cells, from, to);
            x = to;
        }
        if old.wrap != new.wrap {
            self.op(match new.wrap {
                Wrap::Ends => UNWRAP,
                Wrap::Full => WRAP,
                Wrap::Early => WRAP_EARLY,
            });
            self.down_to(y);
        }
        self.out.len() > before
    }

    /// Everything but size and rows.
    pub(crate) fn rest(&mut self, old: &Screen, new: &Screen) {
        if (old.cursor.y, old.cursor.x) != (new.cursor.y, new.cursor.x) {
            self.op(CURSOR);
            self.number(new.cursor.y);
            self.number(new.cursor.x);
        }
        if look_bits(&old.cursor) != look_bits(&new.cursor) {
            self.op(LOOK);
            self.op(look_bits(&new.cursor));
        }
        if old.modes != new.modes {
            self.op(MODES);
            put_number(self.out, u64::from(new.modes.0));
        }
        if old.title != new.title {
            self.op(TITLE);
            put_str(self.out, &new.title);
        }
        self.palette(old, new);
        if old.lines != new.lines {
            self.lines(&old.lines, &new.lines);
        }
        if old.bells != new.bells {
            self.op(BELLS);
            put_number(self.out, new.bells.wrapping_sub(old.bells));
        }
    }

    pub(crate) fn end(&mut self) {
        self.op(END);
    }

    fn palette(&mut self, old: &Screen, new: &Screen) {
        if old.palette == new.palette {
            return;
        }
        for (index, rgb) in &new.palette {
            if old.palette.get(index) != Some(rgb) {
                self.op(SET_COLOR);
                self.number(*index);
                self.out.put_slice(rgb);
            }
        }
        for index in old
            .palette
            .keys()
            .filter(|index| !new.palette.contains_key(index))
        {
            self.op(RESET_COLOR);
            self.number(*index);
        }
    }

    fn lines(&mut self, old: &LineSpan, new: &LineSpan) {
        self.op(LINES);
        for (old, new) in [
            (old.oldest, new.oldest),
            (old.settled, new.settled),
            (old.top, new.top),
        ] {
            put_signed(self.out, new.0.wrapping_sub(old.0) as i64);
        }
        self.number(new.top_offset);
    }

    fn op(&mut self, byte: u8) {
        self.out.put_u8(byte);
    }

    fn number(&mut self, value: u16) {
        put_number(self.out, u64::from(value));
    }

    fn size(&mut self, size: Size) {
        self.number(size.cols());
        self.number(size.rows());
    }

    fn down_to(&mut self, y: u16) {
        self.number(y.saturating_sub(self.y));
        self.y = y;
    }

    /// The cells `from..to` as runs.
    fn runs(&mut self, cells: &[Cell], from: usize, to: usize) {
        let mut x = from;
        while x < to {
            let run = Run::at(cells, x, to);
            let cells_of_run = cells.get(x..run.to).unwrap_or_default();
            let length = match run.kind {
                FILL if run.to == cells.len() => 0,
                WIDE => (run.to - x) / 2,
                RICH => cells_of_run
                    .iter()
                    .filter(|cell| cell.width != Width::Spacer)
                    .count(),
                _ => run.to - x,
            };
            self.run_head(cells_of_run, length, run.kind, run.to == to);
            match run.kind {
                FILL => {
                    if let Some(cell) = cells_of_run.first() {
                        put_char(self.out, cell.ch);
                    }
                }
                RICH => self.rich(cells_of_run),
                _ => {
                    for cell in cells_of_run
                        .iter()
                        .filter(|cell| cell.width != Width::Spacer)
                    {
                        put_char(self.out, cell.ch);
                    }
                }
            }
            x = run.to;
        }
    }

    fn run_head(&mut self, cells: &[Cell], length: usize, kind: u8, last: bool) {
        let mut head = (length as u64) << RUN_SHIFT | u64::from(kind);
        if last {
            head |= RUN_LAST;
        }
        let Some(cell) = cells.first() else { return };
        if self.pen.style == cell.style && self.pen.link.as_deref() == link(cell) {
            put_number(self.out, head);
            return;
        }
        put_number(self.out, head | RUN_PEN);
        self.pen = Pen {
            style: cell.style,
            link: cell.extra.as_ref().and_then(|extra| extra.link.clone()),
        };
        if self.pen == Pen::default() {
            self.op(0);
            return;
        }
        let (number, new) = self.pens.number(&self.pen);
        put_number(self.out, number);
        if new {
            put_style(self.out, &self.pen.style, self.pen.link.is_some());
            if let Some(link) = &self.pen.link {
                put_str(self.out, link);
            }
        }
    }

    fn rich(&mut self, cells: &[Cell]) {
        for cell in cells.iter().filter(|cell| cell.width != Width::Spacer) {
            let marks = marks(cell);
            let wide = u64::from(cell.width == Width::Wide);
            put_number(self.out, (marks.len() as u64) << 1 | wide);
            put_char(self.out, cell.ch);
            self.out.put_slice(marks.as_bytes());
        }
    }
}

fn link(cell: &Cell) -> Option<&str> {
    cell.extra.as_ref().and_then(|extra| extra.link.as_deref())
}

fn marks(cell: &Cell) -> &str {
    cell.extra.as_ref().map_or("", |extra| extra.marks.as_str())
}

/// Cells of one kind in one pen.
struct Run {
    kind: u8,
    to: usize,
}

impl Run {
    /// The run that starts at `x` and goes no further than `end`.
    fn at(cells: &[Cell], x: usize, end: usize) -> Run {
        let Some(first) = cells.get(x) else {
            return Run {
                kind: TEXT,
                to: end,
            };
        };
        let kind = kind(first);
        // Spacers belong to the wide cell before them.
        let same = |cell: &Cell| match cell.width {
            Width::Spacer => kind != TEXT,
            _ => self::kind(cell) == kind && cell.style == first.style && link(cell) == link(first),
        };
        let rest = cells.get(x..end).unwrap_or_default();
        let to = x + rest.iter().take_while(|cell| same(cell)).count();
        if kind != TEXT {
            return Run { kind, to };
        }
        let text = cells.get(x..to).unwrap_or_default();
        // Where the first stretch of equal characters that is worth a FILL begins.
        let mut start = 0;
        for stretch in text.chunk_by(|a, b| a.ch == b.ch) {
            let ends = x + start + stretch.len() == end;
            if stretch.len() >= if ends { FILL_AT_END } else { FILL_WITHIN } {
                return if start == 0 {
                    let to = x + stretch.len();
                    Run { kind: FILL, to }
                } else {
                    let to = x + start;
                    Run { kind: TEXT, to }
                };
            }
            start += stretch.len();
        }
        Run { kind: TEXT, to }
    }
}

fn kind(cell: &Cell) -> u8 {
    if !marks(cell).is_empty() {
        RICH
    } else if cell.width == Width::Wide {
        WIDE
    } else {
        TEXT
    }
}
