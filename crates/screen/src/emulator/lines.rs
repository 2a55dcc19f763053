//! Which line is which, and how lines leave the grid for history.
//!
//! The grid keeps some rows above the screen, the *margin*: on a resize they are wrapped again or
//! come back onto the screen. Rows beyond [`MARGIN`] leave it as records (see
//! [`history`](crate::history)), from then on immutable. A record is the rows of one logical line,
//! at most [`rows_per_record`] of them. Records that left are counted by the writer; those in the
//! margin are counted on from there, so an id needs no memory of its own.

use std::sync::Arc;

use alacritty_terminal::{
    grid::{Dimensions, Grid},
    index::Line as GridLine,
    term::cell::{Cell, Flags},
};

use super::cells::{self, LOOK_FLAGS, same_look};
use crate::{
    history::{HistoryChunk, LineWriter, MAX_RECORD_CELLS},
    screen::{LineId, LineSpan},
};

/// Rows kept above the screen. Enough for any resize to look right; a row costs 24 bytes a cell.
pub(super) const MARGIN: usize = 500;

/// How many rows more may gather before they are moved to history, so that a flood moves many at
/// once.
const SLACK: usize = 256;

/// What the grid is told its limit is: never reached, since it recycles rows without a word then.
pub(super) const NO_LIMIT: usize = 1 << 30;

/// The margin's records and everything that has left it.
#[derive(Debug)]
pub(super) struct Lines {
    writer: LineWriter,
    /// Rows of the margin that are counted in the next two.
    rows: usize,
    /// Records that begin and end in the margin.
    records: u32,
    /// Rows of the record that begins in the margin and goes on on the screen.
    open: u16,
    /// First record viewers may read.
    oldest: LineId,
    /// The margin's records while the alternate screen hides the grid they are in.
    frozen: Option<Vec<HistoryChunk>>,
}

impl Lines {
    pub(super) fn new() -> Lines {
        Lines {
            writer: LineWriter::new(LineId(0)),
            rows: 0,
            records: 0,
            open: 0,
            oldest: LineId(0),
            frozen: None,
        }
    }

    /// Chunks of records that have left the margin.
    pub(super) fn take(&mut self) -> Option<HistoryChunk> {
        self.writer.take()
    }

    pub(super) fn span(&self) -> LineSpan {
        LineSpan {
            oldest: self.oldest,
            settled: self.writer.next(),
            top: LineId(self.writer.next().0 + u64::from(self.records)),
            top_offset: self.open,
        }
    }

    /// Whether so many rows have gathered that [`Lines::settle`] is due.
    #[inline]
    pub(super) fn overfull(grid: &Grid<Cell>) -> bool {
        grid.history_size() > MARGIN + SLACK
    }

    /// Moves records to history until at most [`MARGIN`] rows are left, and counts the rest.
    pub(super) fn settle(&mut self, grid: &mut Grid<Cell>) {
        self.count_new(grid);
        while self.rows > MARGIN {
            self.settle_one(grid);
        }
        self.drop_settled(grid);
    }

    /// Moves the records before `line` to history.
    pub(super) fn settle_before(&mut self, grid: &mut Grid<Cell>, line: LineId) {
        self.count_new(grid);
        while self.writer.next() < line && self.records > 0 {
            self.settle_one(grid);
        }
        self.drop_settled(grid);
    }

    /// Moves all of the margin to history; a line that goes on on the screen is cut there.
    pub(super) fn settle_margin(&mut self, grid: &mut Grid<Cell>) {
        self.count_new(grid);
        while self.rows > 0 {
            self.settle_one(grid);
        }
        self.drop_settled(grid);
    }

    /// Writes the margin and the screen's first `rows` rows to history. The grid is the caller's
    /// to clear.
    pub(super) fn settle_screen(&mut self, grid: &Grid<Cell>, rows: usize) {
        let mut from = -(grid.history_size() as i32);
        let end = rows as i32;
        while from < end {
            let rows = record_rows(grid, from, end);
            write_record(&mut self.writer, grid, from, rows);
            from += rows;
        }
        self.forget_margin();
    }

    /// The writer, for records that never were in the grid. Only while the margin is empty.
    pub(super) fn writer(&mut self) -> &mut LineWriter {
        &mut self.writer
    }

    /// The margin is wrapped differently, or the grid is another: count again.
    pub(super) fn recount(&mut self, grid: &Grid<Cell>) {
        self.forget_margin();
        self.count_new(grid);
    }

    /// Makes `line` the first viewers may read; never goes back.
    pub(super) fn hide_before(&mut self, line: LineId) {
        self.oldest = self.oldest.max(line.min(self.span().top));
    }

    pub(super) fn oldest(&self) -> LineId {
        self.oldest
    }

    /// The alternate screen is about to hide the grid.
    pub(super) fn freeze(&mut self, grid: &Grid<Cell>) {
        self.recount(grid);
        let mut writer = LineWriter::new(self.writer.next());
        self.write_margin(grid, &mut writer, self.writer.next(), u32::MAX);
        self.frozen = Some(std::iter::from_fn(|| writer.take()).collect());
    }

    /// The grid is back.
    pub(super) fn thaw(&mut self, grid: &mut Grid<Cell>) {
        self.frozen = None;
        self.recount(grid);
        self.settle(grid);
        self.settle_before(grid, self.oldest);
    }

    /// The margin's records from `from` on, at most `max` and at most a chunk of them; then the
    /// part of the line `top` that is above the screen.
    pub(super) fn margin(&self, grid: &Grid<Cell>, from: LineId, max: u32) -> HistoryChunk {
        let from = from.max(self.writer.next());
        let mut writer = LineWriter::new(from);
        match &self.frozen {
            None => self.write_margin(grid, &mut writer, from, max),
            Some(chunks) => {
                let lines = chunks
                    .iter()
                    .flat_map(|chunk| chunk.lines().unwrap_or_default());
                for line in lines.filter(|line| line.id >= from).take(max as usize) {
                    writer.line(&line);
                }
            }
        }
        writer.take().unwrap_or(HistoryChunk {
            first: from,
            count: 0,
            bytes: bytes::Bytes::new(),
        })
    }

    /// After a panic: nothing of a half-made record is kept.
    pub(super) fn abandon(&mut self) {
        self.writer.abandon_record();
        self.frozen = None;
        self.forget_margin();
    }

    fn write_margin(&self, grid: &Grid<Cell>, writer: &mut LineWriter, from: LineId, max: u32) {
        let mut at = -(grid.history_size() as i32);
        let mut id = self.writer.next();
        let mut left = max;
        while at < 0 && left > 0 {
            let rows = record_rows(grid, at, 0);
            if id >= from {
                write_record(writer, grid, at, rows);
                left -= 1;
            }
            at += rows;
            id.0 += 1;
        }
    }

    /// Writes the margin's first record. Its rows are dropped by [`Lines::drop_settled`].
    fn settle_one(&mut self, grid: &Grid<Cell>) {
        let rows = record_rows(grid, -(self.rows as i32), 0);
        write_record(&mut self.writer, grid, -(self.rows as i32), rows);
        self.rows -= rows as usize;
        match self.records.checked_sub(1) {
            Some(records) => self.records = records,
            None => self.open = 0,
        }
    }

    fn drop_settled(&self, grid: &mut Grid<Cell>) {
        if grid.history_size() > self.rows {
            grid.update_history(self.rows);
            grid.update_history(NO_LIMIT);
        }
    }

    fn forget_margin(&mut self) {
        self.rows = 0;
        self.records = 0;
        self.open = 0;
    }

    /// Counts the rows that have come to the margin since the last count.
    pub(super) fn count_new(&mut self, grid: &Grid<Cell>) {
        let new = grid.history_size().saturating_sub(self.rows);
        let limit = rows_per_record(grid.columns());
        for line in -(new as i32)..0 {
            self.open += 1;
            if self.open >= limit || !cells::is_wrapped(&grid[GridLine(line)]) {
                self.open = 0;
                self.records += 1;
            }
        }
        self.rows += new;
    }
}

/// Most rows of one record, so that it has at most [`MAX_RECORD_CELLS`]; and few enough that the
/// margin always holds a whole one when it is full.
pub(super) fn rows_per_record(cols: usize) -> u16 {
    (MAX_RECORD_CELLS / cols.max(1)).clamp(1, MARGIN / 2) as u16
}

/// How many rows the record that begins at `from` has before `end`.
fn record_rows(grid: &Grid<Cell>, from: i32, end: i32) -> i32 {
    let most = (from + i32::from(rows_per_record(grid.columns()))).min(end);
    (from..most)
        .position(|line| !cells::is_wrapped(&grid[GridLine(line)]))
        .map_or(most - from, |index| index as i32 + 1)
}

/// Writes the record made of `rows` rows from `from` on.
fn write_record(writer: &mut LineWriter, grid: &Grid<Cell>, from: i32, rows: i32) {
    let last = from + rows - 1;
    let continued = cells::is_wrapped(&grid[GridLine(last)]);
    // What the text pushed last looks like.
    let mut like: Option<&Cell> = None;
    for line in from..=last {
        let row = &grid[GridLine(line)];
        let cells = if line == last && !continued {
            cells::trimmed(row)
        } else {
            &row[..]
        };
        let mut x = 0;
        while let Some(cell) = cells.get(x) {
            if !like.is_some_and(|like| same_look(like, cell)) {
                let link = cell.hyperlink().map(|link| Arc::from(link.uri()));
                let look = writer.look(cells::style(cell), link.as_ref());
                writer.set_look(look);
                like = Some(cell);
            }
            let plain = plain_run(cells.get(x..).unwrap_or_default(), cell);
            if plain.is_empty() {
                push_cell(&mut writer.text, cells, x, cell);
                x += 1;
            } else {
                writer.text.extend(plain.iter().map(|cell| cell.c as u8));
                x += plain.len();
            }
        }
    }
    writer.end_record(continued);
}

/// The first cells that are plain ASCII and drawn like `like`.
#[inline]
fn plain_run<'a>(cells: &'a [Cell], like: &Cell) -> &'a [Cell] {
    let (fg, bg, flags) = (like.fg, like.bg, like.flags & LOOK_FLAGS);
    let len = cells
        .iter()
        .take_while(|cell| {
            matches!(cell.c, ' '..='~')
                && cell.flags.difference(Flags::WRAPLINE) == flags
                && cell.fg == fg
                && cell.bg == bg
                && cell.extra.is_none()
        })
        .count();
    cells.get(..len).unwrap_or_default()
}

/// Pushes a cell that is not plain ASCII.
fn push_cell(text: &mut Vec<u8>, cells: &[Cell], x: usize, cell: &Cell) {
    let has = |x: usize, flag| cells.get(x).is_some_and(|cell| cell.flags.contains(flag));
    if cell.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER) && x + 1 == cells.len() {
        return;
    }
    if cell.flags.contains(Flags::WIDE_CHAR_SPACER) && x > 0 && has(x - 1, Flags::WIDE_CHAR) {
        return;
    }
    let half = cell.flags.contains(Flags::WIDE_CHAR) && !has(x + 1, Flags::WIDE_CHAR_SPACER);
    let base = if half { ' ' } else { cells::drawn(cell.c) };
    push_char(text, base);
    for &mark in cell.zerowidth().unwrap_or_default() {
        push_char(text, mark);
    }
}

#[inline]
fn push_char(text: &mut Vec<u8>, ch: char) {
    // Copies of a known length are plain stores.
    match *ch.encode_utf8(&mut [0; 4]).as_bytes() {
        [a] => text.push(a),
        [a, b] => text.extend_from_slice(&[a, b]),
        [a, b, c] => text.extend_from_slice(&[a, b, c]),
        ref more => text.extend_from_slice(more),
    }
}
