//! Applying a frame's body to a screen: all of what a host can make a viewer do.
//!
//! Nothing here trusts the host. Every operand is checked, every character and link cleaned, wide
//! cells stay whole, the work a frame may cause and the memory a screen may hold are bounded.

use std::sync::Arc;

use crate::{
    body::*,
    budget::{Costs, MAX_COST},
    cell::{Cell, Extra, MAX_LINK, MAX_MARKS, Row, Style, Width, Wrap},
    clean::{allowed_link, clean_title},
    damage::Damage,
    error::DecodeError,
    screen::{LineId, LineSpan, MAX_TITLE, Modes, Screen, Size},
    shape,
    wire::Reader,
};

/// A screen under construction, and what its frames refer to.
#[derive(Debug)]
pub(crate) struct Canvas {
    pub(crate) screen: Screen,
    costs: Costs,
    pens: Vec<Pen>,
}

/// A style, and for cells without marks the shared [`Extra`] that holds the link.
#[derive(Debug, Clone, Default)]
struct Pen {
    style: Style,
    link: Option<Arc<Extra>>,
}

impl Canvas {
    /// The screen a snapshot's body describes.
    pub(crate) fn snapshot(body: &[u8]) -> Result<Canvas, DecodeError> {
        const WHAT: &str = "a snapshot";
        let mut reader = Reader::new(body);
        if reader.byte(WHAT)? != BLANK {
            return Err(DecodeError::Misplaced);
        }
        let size = read_size(&mut reader)?;
        let mut canvas = Canvas {
            screen: Screen::blank(size),
            costs: Costs::default(),
            pens: Vec::new(),
        };
        Applying::new(&mut canvas, reader).run()?;
        canvas.costs.measure(&canvas.screen);
        canvas.check_costs()?;
        Ok(canvas)
    }

    /// Applies a frame's body. After an error the screen is still well-formed, but neither the old
    /// nor the new one.
    pub(crate) fn frame(&mut self, body: &[u8]) -> Result<Damage, DecodeError> {
        let damage = Applying::new(self, Reader::new(body)).run()?;
        if damage.resized {
            self.costs.measure(&self.screen);
        } else {
            for y in damage.rows.iter() {
                if let Some(row) = self.screen.rows.get(usize::from(y)) {
                    self.costs.update(y, row);
                }
            }
        }
        self.check_costs()?;
        Ok(damage)
    }

    fn check_costs(&self) -> Result<(), DecodeError> {
        if self.costs.total() > MAX_COST {
            return Err(DecodeError::TooRich { limit: MAX_COST });
        }
        Ok(())
    }
}

/// Whether `body` describes a screen of its own.
pub(crate) fn is_snapshot(body: &[u8]) -> bool {
    body.first() == Some(&BLANK)
}

struct Applying<'a> {
    screen: &'a mut Screen,
    pens: &'a mut Vec<Pen>,
    reader: Reader<'a>,
    damage: Damage,
    /// The row last named.
    y: u16,
    pen: Pen,
    work: usize,
    /// Honest frames write no cell more than a handful of times: a resize, a few scrolls, the
    /// cells. Without a limit some hundred bytes could busy a viewer for hours.
    work_limit: usize,
}

fn area(size: Size) -> usize {
    usize::from(size.cols()) * usize::from(size.rows())
}

fn read_size(reader: &mut Reader<'_>) -> Result<Size, DecodeError> {
    const WHAT: &str = "a size";
    let cols = reader.at_most(u64::from(Size::MAX_COLS), WHAT)? as u16;
    let rows = reader.at_most(u64::from(Size::MAX_ROWS), WHAT)? as u16;
    Size::new(cols, rows).map_err(|_| DecodeError::Invalid(WHAT))
}

impl<'a> Applying<'a> {
    fn new(canvas: &'a mut Canvas, reader: Reader<'a>) -> Applying<'a> {
        let mut applying = Applying {
            work_limit: 0,
            screen: &mut canvas.screen,
            pens: &mut canvas.pens,
            reader,
            damage: Damage::default(),
            y: 0,
            pen: Pen::default(),
            work: 0,
        };
        applying.allow_work(applying.screen.size);
        applying
    }

    /// Allows what a frame of a screen of this size may need.
    fn allow_work(&mut self, size: Size) {
        let limit = 8 * area(size) + 4096;
        self.work_limit = self.work_limit.max(limit);
    }

    fn charge(&mut self, work: usize) -> Result<(), DecodeError> {
        self.work += work;
        if self.work > self.work_limit {
            return Err(DecodeError::TooMuchWork);
        }
        Ok(())
    }

    fn run(mut self) -> Result<Damage, DecodeError> {
        loop {
            self.charge(1)?;
            match self.reader.byte("a frame")? {
                END => break,
                BLANK => return Err(DecodeError::Misplaced),
                RESIZE => self.resize()?,
                FORGET => self.pens.clear(),
                SCROLL_UP => self.scroll(true)?,
                SCROLL_DOWN => self.scroll(false)?,
                SPAN => self.span()?,
                WRAP => self.row()?.wrap = Wrap::Full,
                UNWRAP => self.row()?.wrap = Wrap::Ends,
                WRAP_EARLY => self.row()?.wrap = Wrap::Early,
                tag => {
                    self.rest(tag)?;
                    self.damage.rest = true;
                }
            }
        }
        match self.reader.left() {
            0 => Ok(self.damage),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    fn resize(&mut self) -> Result<(), DecodeError> {
        let size = read_size(&mut self.reader)?;
        self.allow_work(size);
        self.charge(area(size) + area(self.screen.size))?;
        shape::resize(self.screen, size);
        self.damage = Damage::all(size);
        Ok(())
    }

    fn scroll(&mut self, up: bool) -> Result<(), DecodeError> {
        const WHAT: &str = "a scroll";
        let rows = u64::from(self.screen.size.rows());
        let top = self.reader.at_most(rows, WHAT)?;
        let height = self.reader.at_most(rows - top, WHAT)?;
        let lines = self.reader.at_most(height, WHAT)?;
        self.charge((height + lines * u64::from(self.screen.size.cols())) as usize)?;
        let (top, bottom) = (top as u16, (top + height) as u16);
        move_rows(&mut self.screen.rows, top, bottom, lines as u16, up)
            .ok_or(DecodeError::Invalid(WHAT))?;
        self.damage.rows.insert_range(top, bottom);
        Ok(())
    }

    /// The row a `dy` operand leads to.
    fn row(&mut self) -> Result<&mut Row, DecodeError> {
        const WHAT: &str = "a row";
        let left = u64::from(self.screen.size.rows() - 1).saturating_sub(u64::from(self.y));
        self.y += self.reader.at_most(left, WHAT)? as u16;
        self.damage.rows.insert(self.y);
        self.screen
            .rows
            .get_mut(usize::from(self.y))
            .ok_or(DecodeError::Invalid(WHAT))
    }

    fn span(&mut self) -> Result<(), DecodeError> {
        const WHAT: &str = "a span";
        self.row()?;
        let cols = usize::from(self.screen.size.cols());
        let mut x = self.reader.at_most(cols as u64 - 1, WHAT)? as usize;
        loop {
            let head = self
                .reader
                .at_most((cols as u64) << RUN_SHIFT | 0xf, "a run")?;
            if head & RUN_PEN != 0 {
                self.pen = self.pen()?;
            }
            let length = (head >> RUN_SHIFT) as usize;
            x = self.cells((head & 3) as u8, length, x)?;
            if head & RUN_LAST != 0 {
                return Ok(());
            }
        }
    }

    fn pen(&mut self) -> Result<Pen, DecodeError> {
        const WHAT: &str = "a pen";
        let number = self.reader.at_most(self.pens.len() as u64 + 1, WHAT)? as usize;
        let Some(known) = number.checked_sub(1) else {
            return Ok(Pen::default());
        };
        if let Some(pen) = self.pens.get(known) {
            return Ok(pen.clone());
        }
        let (style, has_link) = self.reader.style()?;
        let link = if has_link {
            let link = self.reader.str(MAX_LINK, "a link")?;
            allowed_link(link).then(|| {
                Arc::new(Extra {
                    marks: String::new(),
                    link: Some(Arc::from(link)),
                })
            })
        } else {
            None
        };
        let pen = Pen { style, link };
        if self.pens.len() < MAX_PENS {
            self.pens.push(pen.clone());
        }
        Ok(pen)
    }

    /// Writes a run's cells from column `x` on; the column after them.
    fn cells(&mut self, kind: u8, length: usize, x: usize) -> Result<usize, DecodeError> {
        const WHAT: &str = "a run";
        let cols = usize::from(self.screen.size.cols());
        let length = match (kind, length) {
            (FILL, 0) => cols - x,
            (_, length) => length,
        };
        let columns = if kind == WIDE { 2 * length } else { length };
        // RICH cells may be wide, too: they are checked one by one.
        if length == 0 || x + columns > cols {
            return Err(DecodeError::Invalid(WHAT));
        }
        self.charge(columns)?;
        let row = self
            .screen
            .rows
            .get_mut(usize::from(self.y))
            .ok_or(DecodeError::Invalid(WHAT))?;
        let mut at = Brush {
            cells: &mut row.cells,
            x,
            pen: &self.pen,
        };
        at.split_wide();
        match kind {
            FILL => {
                let ch = self.reader.char(WHAT)?;
                for _ in 0..length {
                    at.put(ch, None, false).ok_or(DecodeError::Invalid(WHAT))?;
                }
            }
            RICH => {
                for _ in 0..length {
                    let head = self.reader.at_most((MAX_MARKS as u64 * 4) << 1 | 1, WHAT)?;
                    let ch = self.reader.char(WHAT)?;
                    let marks = self.reader.bytes((head >> 1) as usize, WHAT)?;
                    let marks =
                        std::str::from_utf8(marks).map_err(|_| DecodeError::Invalid("marks"))?;
                    at.put(ch, Some(marks), head & 1 != 0)
                        .ok_or(DecodeError::Invalid(WHAT))?;
                }
            }
            TEXT | WIDE => {
                for _ in 0..length {
                    let ch = self.reader.char(WHAT)?;
                    at.put(ch, None, kind == WIDE)
                        .ok_or(DecodeError::Invalid(WHAT))?;
                }
            }
            _ => return Err(DecodeError::Invalid(WHAT)),
        }
        at.split_wide();
        Ok(at.x)
    }

    /// Operations on all but the rows.
    fn rest(&mut self, tag: u8) -> Result<(), DecodeError> {
        let reader = &mut self.reader;
        let screen = &mut *self.screen;
        match tag {
            CURSOR => {
                let y = reader.at_most(u64::from(screen.size.rows() - 1), "the cursor's row")?;
                let x = reader.at_most(u64::from(screen.size.cols() - 1), "the cursor's column")?;
                (screen.cursor.y, screen.cursor.x) = (y as u16, x as u16);
            }
            LOOK => {
                let bits = reader.byte("the cursor's look")?;
                set_look(&mut screen.cursor, bits)
                    .ok_or(DecodeError::Invalid("the cursor's look"))?;
            }
            MODES => {
                screen.modes = Modes(reader.at_most(u64::from(Modes::ALL.0), "a mode")? as u32);
            }
            TITLE => {
                screen.title = clean_title(reader.str(MAX_TITLE * 4, "a title")?, MAX_TITLE);
            }
            SET_COLOR => {
                let index = reader.at_most(PALETTE - 1, "a palette entry")? as u16;
                let mut rgb = [0; 3];
                rgb.copy_from_slice(reader.bytes(3, "a palette entry")?);
                screen.palette.insert(index, rgb);
            }
            RESET_COLOR => {
                let index = reader.at_most(PALETTE - 1, "a palette entry")? as u16;
                screen.palette.remove(&index);
            }
            LINES => screen.lines = read_lines(reader, &screen.lines)?,
            BELLS => {
                let rung = reader.number("the bells")?;
                screen.bells = screen
                    .bells
                    .checked_add(rung)
                    .ok_or(DecodeError::Invalid("the number of bells"))?;
            }
            tag => return Err(DecodeError::UnknownOp(tag)),
        }
        Ok(())
    }
}

fn read_lines(reader: &mut Reader<'_>, before: &LineSpan) -> Result<LineSpan, DecodeError> {
    const WHAT: &str = "a line number";
    let mut line = |before: LineId| {
        let delta = reader.signed(WHAT)?;
        let line = before.0.checked_add_signed(delta);
        line.map(LineId).ok_or(DecodeError::Invalid(WHAT))
    };
    let oldest = line(before.oldest)?;
    let settled = line(before.settled)?;
    let top = line(before.top)?;
    if oldest > top || settled > top {
        return Err(DecodeError::Invalid(WHAT));
    }
    Ok(LineSpan {
        oldest,
        settled,
        top,
        top_offset: reader.at_most(u64::from(u16::MAX), WHAT)? as u16,
    })
}

/// Moves the rows `top..bottom` by `lines` and empties those that nothing moved to. `None` when
/// the region is not on the screen.
pub(crate) fn move_rows(
    rows: &mut [Row],
    top: u16,
    bottom: u16,
    lines: u16,
    up: bool,
) -> Option<()> {
    let region = rows.get_mut(usize::from(top)..usize::from(bottom))?;
    let lines = usize::from(lines);
    let kept = region.len().checked_sub(lines)?;
    let emptied = if up {
        region.rotate_left(lines);
        region.get_mut(kept..)
    } else {
        region.rotate_right(lines);
        region.get_mut(..lines)
    };
    for row in emptied? {
        row.cells.fill(Cell::default());
        row.wrap = Wrap::Ends;
    }
    Some(())
}

/// Writes cells one after the other.
struct Brush<'a> {
    cells: &'a mut [Cell],
    x: usize,
    pen: &'a Pen,
}

impl Brush<'_> {
    /// When the next cell is the right half of a wide character, what is left of that character
    /// when either half is overwritten is blank.
    fn split_wide(&mut self) {
        if let Some(cell) = self.cells.get_mut(self.x)
            && cell.width == Width::Spacer
        {
            let blank = Cell {
                style: cell.style,
                ..Cell::default()
            };
            *cell = blank.clone();
            if let Some(left) = self.x.checked_sub(1).and_then(|x| self.cells.get_mut(x))
                && left.width == Width::Wide
            {
                *left = blank;
            }
        }
    }

    /// Writes a cell, or two when `wide`; `None` past the row's end.
    fn put(&mut self, ch: char, marks: Option<&str>, wide: bool) -> Option<()> {
        let columns = 1 + usize::from(wide);
        let (ch, wide) = shape::fitting(ch, wide);
        let extra = match marks {
            None | Some("") => self.pen.link.clone(),
            Some(marks) => shape::canonical_extra(&Extra {
                marks: marks.to_owned(),
                link: self.pen.link.as_ref().and_then(|extra| extra.link.clone()),
            })
            .map(Arc::new),
        };
        let cells = self.cells.get_mut(self.x..self.x + columns)?;
        let (first, second) = cells.split_first_mut()?;
        *first = Cell {
            ch,
            width: if wide { Width::Wide } else { Width::Narrow },
            style: self.pen.style,
            extra,
        };
        if let Some(second) = second.first_mut() {
            *second = Cell {
                width: if wide { Width::Spacer } else { Width::Narrow },
                style: self.pen.style,
                ..Cell::default()
            };
        }
        self.x += columns;
        Some(())
    }
}
