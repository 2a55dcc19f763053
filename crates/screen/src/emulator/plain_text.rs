//! Plain text past the parser.
//!
//! Most of a flood is printable ASCII and line ends. Two shortcuts, both with exactly the effect
//! of the long way (a property test compares them, see `tests.rs`):
//!
//! - A run of printable ASCII is written straight into a row of the grid, and so are other
//!   characters where nothing is special about their place.
//! - Of so many lines that most will leave the margin again at once, those are written straight to
//!   history, and only the last ones, as many as screen and margin hold, go through the grid.

use alacritty_terminal::{
    grid::Dimensions,
    index::{Column, Line as GridLine},
    term::{
        TermMode,
        cell::{Cell, Flags},
    },
};
use memchr::{memchr, memchr_iter, memchr2, memrchr_iter};
use vte::ansi::{Handler, StandardCharset};

use super::{
    cells::{self, SEEN_ON_SPACE},
    guard::Guard,
    lines::{MARGIN, rows_per_record},
};

/// How many lines must be spared the grid to be worth emptying it for.
const WORTHWHILE: usize = 128;

/// Either half of a wide character.
const WIDE: Flags = Flags::WIDE_CHAR.union(Flags::WIDE_CHAR_SPACER);

/// Whether a byte is printable ASCII, CR or LF: plain.
#[inline]
pub(super) fn is_plain(byte: u8) -> bool {
    byte.wrapping_sub(b' ') < 0x5f || byte == b'\n' || byte == b'\r'
}

/// How many bytes at the start of `bytes` can be taken at once: plain ones, and whole characters
/// among them.
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let ascii = ascii_len(bytes);
    if bytes.get(ascii).is_none_or(|byte| *byte < 0x80) {
        return ascii;
    }
    // Looking far ahead would find nothing time and again where much is no UTF-8.
    let window = bytes.get(..ascii + WINDOW).unwrap_or(bytes);
    let text = window
        .iter()
        .skip(ascii)
        .position(|&byte| byte < 0x80 && !is_plain(byte))
        .map_or(window, |len| window.get(..ascii + len).unwrap_or_default());
    match std::str::from_utf8(text) {
        Ok(_) => text.len(),
        Err(error) => error.valid_up_to(),
    }
}

/// How far ahead text that is not ASCII is looked at, in bytes.
const WINDOW: usize = 1024;

/// How many bytes at the start of `bytes` are plain.
fn ascii_len(bytes: &[u8]) -> usize {
    let plain = |&byte: &u8| is_plain(byte);
    let mut len = 0;
    // A block at a time without a branch a byte, which the compiler turns into vector code.
    for block in bytes.chunks_exact(64) {
        if !block.iter().fold(true, |all, byte| all & plain(byte)) {
            break;
        }
        len += block.len();
    }
    let rest = bytes.get(len..).unwrap_or_default();
    len + rest
        .iter()
        .position(|byte| !plain(byte))
        .unwrap_or(rest.len())
}

impl Guard {
    /// Whether printable ASCII now means just that: itself, in one cell each.
    pub(super) fn takes_plain(&self) -> bool {
        let cursor = self.cursor();
        self.mode(TermMode::LINE_WRAP)
            && !self.insert
            && cursor.charsets[self.charset] == StandardCharset::Ascii
            && cursor.template.extra.is_none()
    }

    /// Takes what [`plain_len`] found, while [`Guard::takes_plain`] (which nothing of it changes).
    pub(super) fn plain(&mut self, bytes: &[u8]) {
        // Each line has a row at least, so what follows the last of these line ends fills screen and
        // margin to the last row. (A line is its end at least: few bytes need no search.)
        let through_grid = self.term.screen_lines() + MARGIN;
        let direct_end = if bytes.len() > 2 * (through_grid + WORTHWHILE) {
            memrchr_iter(b'\n', bytes)
                .nth(through_grid)
                .map_or(0, |last| last + 1)
        } else {
            0
        };
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            match first {
                b'\n' => {
                    self.linefeed();
                    at += 1;
                    if let Some(direct) = bytes.get(at..direct_end) {
                        at += self.append_lines_to_history(direct);
                    }
                }
                b'\r' => {
                    self.carriage_return();
                    at += 1;
                }
                _ => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let len = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                    self.run(rest.get(..len).unwrap_or_default());
                    at += len;
                }
            }
        }
    }

    /// Writes a line's text at the cursor.
    fn run(&mut self, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let ascii = rest.iter().position(|byte| *byte >= 0x80);
            let (now, later) = rest.split_at(ascii.unwrap_or(rest.len()));
            if !now.is_empty() {
                self.run_ascii(now);
            }
            let len = later.iter().position(|byte| *byte < 0x80);
            let (now, later) = later.split_at(len.unwrap_or(later.len()));
            for ch in std::str::from_utf8(now).unwrap_or_default().chars() {
                self.put(ch);
            }
            rest = later;
        }
    }

    /// Writes a character that is not ASCII; all but the simple case is left to the emulator.
    fn put(&mut self, ch: char) {
        let cols = self.term.columns();
        let y = self.y();
        let Some((ch, width @ 1..)) = self.admitted(ch) else {
            return self.input(ch);
        };
        let grid = self.term.grid_mut();
        let (line, from) = (grid.cursor.point.line, grid.cursor.point.column);
        let end = from.0 + width;
        let pen = Cell {
            c: ch,
            ..grid.cursor.template.clone()
        };
        if grid.cursor.input_needs_wrap || end > cols {
            return self.input(ch);
        }
        let cells = &mut grid[line][from..Column(end)];
        if cells.iter().any(|cell| cell.flags.intersects(WIDE)) {
            return self.input(ch);
        }
        match cells {
            [cell] => *cell = pen,
            [left, right] => {
                let flags = pen.flags;
                *right = Cell {
                    c: ' ',
                    flags: flags | Flags::WIDE_CHAR_SPACER,
                    ..pen.clone()
                };
                *left = Cell {
                    flags: flags | Flags::WIDE_CHAR,
                    ..pen
                };
            }
            _ => return self.input(ch),
        }
        let cursor = &mut grid.cursor;
        cursor.input_needs_wrap = end == cols;
        cursor.point.column = Column(end.min(cols - 1));
        self.damage.rows.insert(y);
        self.wrote(ch);
    }

    /// Writes printable ASCII at the cursor, wrapping as the emulator does.
    fn run_ascii(&mut self, text: &[u8]) {
        let cols = self.term.columns();
        let mut rest = text;
        while !rest.is_empty() {
            if self.cursor().input_needs_wrap {
                self.wrap();
            }
            let y = self.y();
            self.damage.rows.insert(y);
            let grid = self.term.grid_mut();
            let (line, from) = (grid.cursor.point.line, grid.cursor.point.column);
            let len = rest.len().min(cols - from.0);
            let (now, later) = rest.split_at(len);
            let (fg, bg, flags) = {
                let pen = &grid.cursor.template;
                (pen.fg, pen.bg, pen.flags)
            };
            let row = &mut grid[line][from..from + len];
            if row.iter().any(|cell| cell.flags.intersects(WIDE)) {
                // Overwriting half a wide character has effects beyond the cell.
                for &byte in now {
                    self.input(char::from(byte));
                }
            } else {
                for (cell, &byte) in row.iter_mut().zip(now) {
                    *cell = Cell {
                        c: char::from(byte),
                        fg,
                        bg,
                        flags,
                        extra: None,
                    };
                }
                let cursor = &mut grid.cursor;
                if from.0 + len < cols {
                    cursor.point.column = from + len;
                } else {
                    cursor.point.column = Column(cols - 1);
                    cursor.input_needs_wrap = true;
                }
            }
            rest = later;
        }
        self.last_char = text.last().map(|&byte| char::from(byte));
    }

    /// Writes lines from the start of `direct` straight to history, as long as they are nothing but
    /// text and CR LF; how many bytes that were. More lines must follow `direct` than screen and
    /// margin hold.
    fn append_lines_to_history(&mut self, direct: &[u8]) -> usize {
        if direct.len() < 2 * WORTHWHILE
            || !self.can_pass_the_grid()
            || memchr_iter(b'\n', direct).nth(WORTHWHILE).is_none()
        {
            return 0;
        }
        let (rows, cols) = (self.term.screen_lines(), self.term.columns());
        let pen = self.cursor().template.clone();
        let (style, keep_blanks) = (cells::style(&pen), pen.flags.intersects(SEEN_ON_SPACE));
        let record = usize::from(rows_per_record(cols)) * cols;

        let mut settled = false;
        let mut scrolled = 0;
        let mut rest = direct;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            // What returns within a line writes over itself: not here.
            let Some((text, b"\r\n")) = line.split_at_checked(line.len().wrapping_sub(2)) else {
                break;
            };
            if memchr(b'\r', text).is_some() || !text.is_ascii() {
                break;
            }
            if !settled {
                self.lines.settle_screen(self.term.grid(), rows - 1);
                self.empty_grid();
                settled = true;
            }
            if let Some(&last) = text.last() {
                self.last_char = Some(char::from(last));
            }
            scrolled += text.len().div_ceil(cols).max(1);
            let writer = self.lines.writer();
            let mut text = text;
            while text.len() > record {
                let (now, later) = text.split_at(record);
                let look = writer.look(style, None);
                writer.record(now, look, true);
                text = later;
            }
            let len = if keep_blanks {
                text.len()
            } else {
                let seen = text.iter().rposition(|&byte| byte != b' ');
                seen.map_or(0, |last| last + 1)
            };
            let look = writer.look(style, None);
            writer.record(text.get(..len).unwrap_or_default(), look, false);
            rest = after;
        }
        if settled {
            let scrolled = i32::try_from(scrolled).unwrap_or(i32::MAX);
            self.scrolled(self.region.0, self.region.1, scrolled);
        }
        direct.len() - rest.len()
    }

    /// Whether everything on the screen but an empty last row, where the cursor is, can go to
    /// history, and what follows can be written there without knowing the screen.
    fn can_pass_the_grid(&self) -> bool {
        let grid = self.term.grid();
        let cursor = &grid.cursor;
        let bottom = GridLine(grid.screen_lines() as i32 - 1);
        !self.in_alternate()
            && self.region == (0, self.size.rows())
            && cursor.point.line == bottom
            && cursor.point.column == Column(0)
            && !cursor.input_needs_wrap
            && cursor.template.bg == cells::BACKGROUND
            && cursor
                .template
                .flags
                .difference(cells::LOOK_FLAGS)
                .is_empty()
            && grid[bottom]
                .into_iter()
                .all(|cell| *cell == Cell::default())
            && grid.total_lines() > 1
            && !cells::is_wrapped(&grid[bottom - 1i32])
    }

    /// Clears margin and screen, whose rows have all gone to history, and puts the cursor on the
    /// first row: as many lines as come now fill it all again.
    fn empty_grid(&mut self) {
        let grid = self.term.grid_mut();
        grid.clear_history();
        grid.reset_region(..);
        grid.cursor.point.line = GridLine(0);
        self.damage_screen();
    }
}
