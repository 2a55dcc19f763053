//! What stands between the parser and the emulator: it bounds what a program can ask for, keeps
//! what the emulator keeps to itself, answers queries, and notes which rows change.

use std::{collections::BTreeMap, mem};

use alacritty_terminal::{
    Term,
    event::VoidListener,
    grid::{Cursor, Dimensions, Grid, Row},
    index::{Column, Line as GridLine},
    term::{Config, TermMode, cell::Cell, cell::Flags},
};
use vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape as VteCursorShape, CursorStyle, Handler, Hyperlink,
    KeyboardModes, KeyboardModesApplyBehavior, LineClearMode, Mode, NamedMode, NamedPrivateMode,
    PrivateMode, Rgb, StandardCharset, TabulationClearMode,
};

use super::{
    cells::PROTECTED,
    edits::{Alternate, Kept},
    keyboard::Keyboard,
    lines::Lines,
    lines::NO_LIMIT,
    replies::Replies,
};
use crate::{
    cell::MAX_MARKS,
    clean::{REPLACEMENT, allowed_link, clean_title, is_clean_char},
    damage::{Damage, Scroll},
    screen::{LineId, MAX_TITLE, Size},
    width::{columns, is_sure},
};

/// Most titles on the stack (`CSI 22 t`); the oldest is dropped.
const MAX_TITLES: usize = 32;

/// The emulator cannot place a wide character on fewer columns and hangs on reflow; a narrower
/// terminal is emulated so wide and shown in part.
const MIN_COLS: u16 = 2;

/// DECSCNM.
const REVERSED: u16 = 5;

/// xterm's "reverse-wraparound".
const REVERSE_WRAP: u16 = 45;

/// xterm's "allow 80 to 132".
const MAY_CHANGE_COLUMNS: u16 = 40;

/// The emulator with its guard.
pub(super) struct Guard {
    pub(super) term: Term<VoidListener>,
    pub(super) size: Size,
    /// First row of the scroll region and the row after its last.
    pub(super) region: (u16, u16),
    pub(super) charset: CharsetIndex,
    /// Something may be protected from selective erasure (DECSCA).
    pub(super) protects: bool,
    /// What is carried out now came in an escape sequence.
    pub(super) in_sequence: bool,
    /// What DECSC kept on this screen.
    pub(super) kept: Kept,
    other_kept: Kept,
    /// What the emulator kept of the primary screen's cursor, while the alternate one is shown.
    primary_kept: Option<Cursor<Cell>>,
    /// Insert mode (IRM); the emulator's is never on.
    pub(super) insert: bool,
    /// Reverse screen (DECSCNM).
    pub(super) reversed: bool,
    /// A backspace goes back over a wrap (mode 45).
    pub(super) reverse_wrap: bool,
    /// DECCOLM has an effect (mode 40).
    pub(super) may_change_columns: bool,
    pub(super) keyboard: Keyboard,
    other_keyboard: Keyboard,
    pub(super) title: String,
    titles: Vec<String>,
    pub(super) palette: BTreeMap<u16, [u8; 3]>,
    pub(super) bells: u64,
    /// In a synchronized update (mode 2026).
    pub(super) sync: bool,
    /// What REP repeats.
    pub(super) last_char: Option<char>,
    /// A character was written that is wider on some terminals than here.
    pub(super) unsure: bool,
    /// How often the program asked where the cursor is.
    pub(super) cursor_queries: u64,
    /// How often the program has set a title.
    pub(super) title_sets: u64,
    pub(super) replies: Replies,
    pub(super) damage: Damage,
    /// The scroll in the making, see [`Guard::scrolled`].
    pub(super) scroll: Option<(u16, u16, i32)>,
    pub(super) lines: Lines,
}

/// A character as wide as `ch` is, where the emulator has another width for that.
#[inline]
fn stand_in(ch: char) -> Option<char> {
    match ch {
        '\u{ad}' | '\u{ffa0}' => Some('¤'),
        '\u{3164}' => Some('ㄱ'),
        _ => None,
    }
}

/// The size the emulator is told.
#[derive(Clone, Copy)]
struct EmulatorSize {
    rows: usize,
    cols: usize,
}

impl EmulatorSize {
    fn of(size: Size) -> EmulatorSize {
        EmulatorSize {
            rows: usize::from(size.rows()),
            cols: usize::from(size.cols().max(MIN_COLS)),
        }
    }
}

impl Dimensions for EmulatorSize {
    fn total_lines(&self) -> usize {
        self.rows
    }

    fn screen_lines(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.cols
    }
}

impl Guard {
    pub(super) fn new(size: Size, lines: Lines) -> Guard {
        let config = Config {
            scrolling_history: NO_LIMIT,
            ..Config::default()
        };
        Guard {
            term: Term::new(config, &EmulatorSize::of(size), VoidListener),
            size,
            region: (0, size.rows()),
            charset: CharsetIndex::default(),
            protects: false,
            in_sequence: false,
            kept: Kept::default(),
            other_kept: Kept::default(),
            primary_kept: None,
            insert: false,
            reversed: false,
            reverse_wrap: false,
            may_change_columns: false,
            keyboard: Keyboard::default(),
            other_keyboard: Keyboard::default(),
            title: String::new(),
            titles: Vec::new(),
            palette: BTreeMap::new(),
            bells: 0,
            sync: false,
            last_char: None,
            unsure: false,
            cursor_queries: 0,
            title_sets: 0,
            replies: Replies::default(),
            damage: Damage::all(size),
            scroll: None,
            lines,
        }
    }

    pub(super) fn resize(&mut self, size: Size) {
        self.size = size;
        self.region = (0, size.rows());
        self.damage_everything();
        let target = EmulatorSize::of(size);
        // The emulator cuts a row into narrower ones one after the other, each keeping the memory of
        // all that came after it: from 1,000 columns to 2 that was measured to take 27 s and 6 GB.
        // Halving, with rows going to history in between, bounds both.
        self.with_primary(|guard| {
            loop {
                let cols = target.cols.max(guard.term.columns().div_ceil(2));
                guard.term.resize(EmulatorSize { cols, ..target });
                guard.renew_rows();
                guard.lines.recount(guard.term.grid());
                guard.lines.settle(guard.term.grid_mut());
                if cols == target.cols {
                    break;
                }
            }
        });
    }

    /// The lines before `line` are no viewer's business: they also stay out of any reflow, so that
    /// a taller screen does not bring them back.
    pub(super) fn hide_before(&mut self, line: LineId) {
        self.lines.hide_before(line);
        self.with_primary(|guard| {
            let oldest = guard.lines.oldest();
            guard.lines.settle_before(guard.term.grid_mut(), oldest);
        });
    }

    /// Does something while the primary screen's grid is where the emulator shows it, which it is
    /// not while the alternate screen is on. That screen then gets the size the primary one has.
    fn with_primary(&mut self, act: impl FnOnce(&mut Guard)) {
        if !self.in_alternate() {
            return act(self);
        }
        // The emulator empties the alternate screen whenever it turns to it.
        let blank = Grid::new(1, usize::from(MIN_COLS), 0);
        let mut alternate = mem::replace(self.term.grid_mut(), blank);
        self.term.swap_alt();
        act(self);
        self.lines.freeze(self.term.grid());
        alternate.resize(false, self.term.screen_lines(), self.term.columns());
        self.term.swap_alt();
        *self.term.grid_mut() = alternate;
        self.renew_rows();
    }

    /// To be called when a piece of output has been taken.
    pub(super) fn settle(&mut self) {
        if !self.in_alternate() {
            self.lines.settle(self.term.grid_mut());
        }
    }

    /// Repeats the last character (REP), at most to the end of its row: curses uses it within a row,
    /// and nine bytes must not cost 65,535 characters.
    pub(super) fn repeat(&mut self, count: u16) {
        let Some(ch) = self.last_char.take() else {
            return;
        };
        let room = match self.cursor().input_needs_wrap {
            true => 0,
            false => (self.term.columns() - self.x()) / columns(ch).max(1),
        };
        for _ in 0..usize::from(count).min(room) {
            self.input(ch);
        }
        self.last_char = None;
    }

    /// Writes a character that the emulator takes for another width.
    fn write_as(&mut self, ch: char, other: char, width: usize) {
        self.term.input(other);
        let grid = self.term.grid_mut();
        let last = if grid.cursor.input_needs_wrap {
            grid.cursor.point.column
        } else {
            Column(grid.cursor.point.column.saturating_sub(1))
        };
        let line = grid.cursor.point.line;
        let cell = &mut grid[line][Column((last + 1).saturating_sub(width))];
        if cell.c == other {
            cell.c = ch;
        }
    }

    pub(super) fn in_alternate(&self) -> bool {
        self.mode(TermMode::ALT_SCREEN)
    }

    pub(super) fn mode(&self, mode: TermMode) -> bool {
        self.term.mode().contains(mode)
    }

    pub(super) fn cursor(&self) -> &Cursor<Cell> {
        &self.term.grid().cursor
    }

    /// The cursor's row.
    pub(super) fn y(&self) -> u16 {
        u16::try_from(self.cursor().point.line.0).unwrap_or(0)
    }

    /// Rows that changed since the last call.
    pub(super) fn take_damage(&mut self) -> Damage {
        let mut damage = mem::take(&mut self.damage);
        damage.scroll = self.scroll.take().and_then(|(top, bottom, lines)| {
            let height = i32::from(bottom) - i32::from(top);
            (lines != 0 && lines.abs() < height).then_some(Scroll {
                top,
                bottom,
                lines: i16::try_from(lines).ok()?,
            })
        });
        damage
    }

    pub(super) fn damage_everything(&mut self) {
        self.damage = Damage::all(self.size);
        self.scroll = None;
    }

    fn damage_rows(&mut self, from: u16, to: u16) {
        self.damage.rows.insert_range(from, to);
    }

    pub(super) fn damage_screen(&mut self) {
        self.damage_rows(0, self.size.rows());
    }

    fn damage_cursor_row(&mut self) {
        let y = self.y();
        self.damage.rows.insert(y);
    }

    /// Notes that the rows `top..bottom` move up by `lines` (down when negative).
    #[inline]
    pub(super) fn scrolled(&mut self, top: u16, bottom: u16, lines: i32) {
        match &mut self.scroll {
            Some((last_top, last_bottom, sum)) if (*last_top, *last_bottom) == (top, bottom) => {
                *sum = sum.saturating_add(lines);
            }
            scroll => {
                *scroll = Some((top, bottom, lines));
                self.damage_rows(top, bottom);
            }
        }
    }

    /// Moves rows to history once many have gathered. Called after whatever can scroll.
    #[inline]
    pub(super) fn spill_scrollback(&mut self) {
        if Lines::overfull(self.term.grid()) {
            self.lines.settle(self.term.grid_mut());
        }
    }

    /// Notes the rows that text written at the cursor will change.
    #[inline]
    fn damage_text(&mut self, width: usize) {
        let y = self.y();
        self.damage.rows.insert(y);
        let cursor = self.cursor();
        let column = cursor.point.column;
        let wraps = cursor.input_needs_wrap || width > 1 && column + 1 >= self.term.columns();
        // A wide character that begins a row is overwritten: the row above no longer ends early for its sake.
        if column <= 1 && y > 0 {
            self.damage.rows.insert(y - 1);
        }
        if wraps {
            if y + 1 == self.region.1 {
                self.scrolled(self.region.0, self.region.1, 1);
            } else {
                self.damage.rows.insert(y + 1);
            }
        }
    }

    /// What to put into a cell, or on one, for `ch`, and the columns it takes.
    #[inline]
    pub(super) fn admitted(&self, ch: char) -> Option<(char, usize)> {
        if matches!(ch, ' '..='~') {
            return Some((ch, 1));
        }
        #[cfg(test)]
        assert_ne!(ch, super::PANIC_CHAR, "a panic asked for by a test");
        match columns(ch) {
            _ if ch.is_control() => None,
            0 => (is_clean_char(ch) && self.marks_here() < MAX_MARKS).then_some((ch, 0)),
            _ if !is_clean_char(ch) => Some((REPLACEMENT, 1)),
            width => Some((ch, width)),
        }
    }

    /// Notes a character that was written.
    #[inline]
    pub(super) fn wrote(&mut self, ch: char) {
        self.last_char = Some(ch);
        self.doubt(ch);
    }

    /// Notes whether terminals may have the cursor elsewhere after this character.
    #[inline]
    fn doubt(&mut self, ch: char) {
        self.unsure |= !ch.is_ascii() && !self.unsure && !is_sure(ch);
    }

    /// How many marks the cell has that the next one would be put on.
    fn marks_here(&self) -> usize {
        let grid = self.term.grid();
        let cursor = &grid.cursor;
        let row = &grid[cursor.point.line];
        let mut column = cursor.point.column;
        if !cursor.input_needs_wrap {
            column = Column(column.saturating_sub(1));
        }
        if row[column].flags.contains(Flags::WIDE_CHAR_SPACER) {
            column = Column(column.saturating_sub(1));
        }
        row[column].zerowidth().map_or(0, <[char]>::len)
    }

    fn swap_screens(&mut self) {
        mem::swap(&mut self.keyboard, &mut self.other_keyboard);
        mem::swap(&mut self.kept, &mut self.other_kept);
        self.damage_screen();
    }

    fn enter_alternate(&mut self, how: Alternate) {
        if how == Alternate::KeepingCursor {
            self.keep_cursor();
        }
        if !self.in_alternate() {
            self.settle();
            self.lines.freeze(self.term.grid());
            // The emulator takes where the cursor is for what was kept.
            let kept = self.term.grid().saved_cursor.clone();
            self.term.swap_alt();
            self.primary_kept = Some(kept);
            self.renew_rows();
            self.term.grid_mut().reset_region(..);
            self.swap_screens();
        }
    }

    fn leave_alternate(&mut self, how: Alternate) {
        if self.in_alternate() {
            let cursor = self.cursor().clone();
            self.term.swap_alt();
            let grid = self.term.grid_mut();
            grid.cursor = cursor;
            let mut saved = self.primary_kept.take().unwrap_or_default();
            // The screen may have become smaller since.
            saved.point.line = saved.point.line.min(grid.bottommost_line());
            saved.point.column = saved.point.column.min(grid.last_column());
            grid.saved_cursor = saved;
            self.lines.thaw(self.term.grid_mut());
            self.swap_screens();
        }
        if how == Alternate::KeepingCursor {
            self.bring_cursor_back();
        }
    }

    /// The scrollback is to be gone: it is hidden, and stays what it is in history.
    fn clear_scrollback(&mut self) {
        let top = self.lines.span().top;
        if self.in_alternate() {
            // They are settled, or a taller screen would bring them back.
            return self.hide_before(top);
        }
        self.lines.settle_margin(self.term.grid_mut());
        self.lines.hide_before(self.lines.span().top);
    }

    /// A row notes how many of its cells were written, and clears only those when it is used again.
    /// The emulator loses count when columns are added: coloured blanks would show up again. And
    /// a row made narrower keeps its memory. So each is made again.
    fn renew_rows(&mut self) {
        let grid = self.term.grid_mut();
        for line in grid.topmost_line().0..grid.screen_lines() as i32 {
            let row = &mut grid[GridLine(line)];
            *row = Row::from_vec(row[..].to_vec(), row.len());
        }
    }

    fn private_mode_state(&self, mode: PrivateMode) -> Option<bool> {
        let mode = match mode {
            PrivateMode::Named(mode) => mode,
            PrivateMode::Unknown(REVERSED) => return Some(self.reversed),
            PrivateMode::Unknown(REVERSE_WRAP) => return Some(self.reverse_wrap),
            PrivateMode::Unknown(47 | 1047) => return Some(self.in_alternate()),
            PrivateMode::Unknown(_) => return None,
        };
        let flag = match mode {
            NamedPrivateMode::CursorKeys => TermMode::APP_CURSOR,
            NamedPrivateMode::Origin => TermMode::ORIGIN,
            NamedPrivateMode::LineWrap => TermMode::LINE_WRAP,
            NamedPrivateMode::ShowCursor => TermMode::SHOW_CURSOR,
            NamedPrivateMode::ReportMouseClicks => TermMode::MOUSE_REPORT_CLICK,
            NamedPrivateMode::ReportCellMouseMotion => TermMode::MOUSE_DRAG,
            NamedPrivateMode::ReportAllMouseMotion => TermMode::MOUSE_MOTION,
            NamedPrivateMode::ReportFocusInOut => TermMode::FOCUS_IN_OUT,
            NamedPrivateMode::Utf8Mouse => TermMode::UTF8_MOUSE,
            NamedPrivateMode::SgrMouse => TermMode::SGR_MOUSE,
            NamedPrivateMode::AlternateScroll => TermMode::ALTERNATE_SCROLL,
            NamedPrivateMode::UrgencyHints => TermMode::URGENCY_HINTS,
            NamedPrivateMode::SwapScreenAndSetRestoreCursor => TermMode::ALT_SCREEN,
            NamedPrivateMode::BracketedPaste => TermMode::BRACKETED_PASTE,
            NamedPrivateMode::BlinkingCursor => return Some(self.term.cursor_style().blinking),
            NamedPrivateMode::SyncUpdate => return Some(self.sync),
            NamedPrivateMode::ColumnMode => return None,
        };
        Some(self.mode(flag))
    }
}

impl Handler for Guard {
    fn input(&mut self, ch: char) {
        let Some((ch, width)) = self.admitted(ch) else {
            return;
        };
        self.damage_text(width);
        if width == 2 && self.x() + 1 >= self.term.columns() && !self.finds_room_for_wide() {
            return;
        }
        if self.insert && width > 0 {
            self.make_room(width);
            self.damage_text(width);
        }
        match stand_in(ch) {
            None => self.term.input(ch),
            Some(other) => self.write_as(ch, other, width),
        }
        match width {
            // REP repeats no mark.
            0 => self.doubt(ch),
            _ => self.wrote(ch),
        }
        self.spill_scrollback();
    }

    fn linefeed(&mut self) {
        if self.y() + 1 == self.region.1 {
            self.scrolled(self.region.0, self.region.1, 1);
        }
        self.term.linefeed();
        if !self.in_sequence && self.mode(TermMode::LINE_FEED_NEW_LINE) {
            self.term.carriage_return();
        }
        self.end_pending_wrap();
        self.last_char = None;
        self.spill_scrollback();
    }

    fn put_tab(&mut self, count: u16) {
        self.last_char = None;
        // The emulator would go on in the next row at once.
        if self.cursor().input_needs_wrap {
            return;
        }
        self.damage_text(1);
        self.term.put_tab(count);
        self.spill_scrollback();
    }

    fn backspace(&mut self) {
        if !self.backspaces_over_a_wrap() {
            self.term.backspace();
        }
        self.last_char = None;
    }

    fn carriage_return(&mut self) {
        self.term.carriage_return();
        self.last_char = None;
    }

    fn bell(&mut self) {
        self.last_char = None;
        self.bells += 1;
    }

    fn goto(&mut self, line: i32, col: usize) {
        self.term.goto(line, col);
    }

    fn goto_line(&mut self, line: i32) {
        self.term.goto_line(line);
    }

    fn goto_col(&mut self, col: usize) {
        self.go_in_row(col);
    }

    fn move_up(&mut self, rows: usize) {
        self.go_up(rows, self.x());
    }

    fn move_down(&mut self, rows: usize) {
        self.go_down(rows, self.x());
    }

    fn move_forward(&mut self, cols: usize) {
        self.term.move_forward(cols);
    }

    fn move_backward(&mut self, cols: usize) {
        self.term.move_backward(cols);
    }

    fn move_down_and_cr(&mut self, rows: usize) {
        self.go_down(rows, 0);
    }

    fn move_up_and_cr(&mut self, rows: usize) {
        self.go_up(rows, 0);
    }

    fn move_backward_tabs(&mut self, count: u16) {
        self.term.move_backward_tabs(count.min(self.size.cols()));
    }

    fn move_forward_tabs(&mut self, count: u16) {
        self.term.move_forward_tabs(count.min(self.size.cols()));
    }

    fn insert_blank(&mut self, count: usize) {
        self.damage_cursor_row();
        let (x, y, cols) = (self.x(), self.y(), self.term.columns());
        self.split_wide(y, x);
        self.split_wide(y, cols.saturating_sub(count).max(x));
        self.end_line(y);
        self.term.insert_blank(count);
        self.end_pending_wrap();
    }

    fn erase_chars(&mut self, count: usize) {
        self.damage_cursor_row();
        let (x, y) = (self.x(), self.y());
        self.split_wide(y, x);
        self.split_wide(y, x.saturating_add(count));
        self.term.erase_chars(count);
        self.end_pending_wrap();
    }

    fn delete_chars(&mut self, count: usize) {
        self.damage_cursor_row();
        let (x, y) = (self.x(), self.y());
        // The emulator takes away from before the cursor what is not there behind it.
        let count = count.min(self.term.columns() - x);
        self.split_wide(y, x);
        self.split_wide(y, x + count);
        self.end_line(y);
        self.term.delete_chars(count);
        self.end_pending_wrap();
    }

    fn clear_line(&mut self, mode: LineClearMode) {
        self.damage_cursor_row();
        let (x, y) = (self.x(), self.y());
        match mode {
            // Behind a row that is full there is nothing.
            LineClearMode::Right if self.cursor().input_needs_wrap => {}
            LineClearMode::Right => self.split_wide(y, x),
            LineClearMode::Left => {
                self.split_wide(y, x + 1);
                self.end_pending_wrap();
            }
            LineClearMode::All => {}
        }
        self.term.clear_line(mode);
    }

    fn scroll_up(&mut self, rows: usize) {
        let (top, bottom) = self.region;
        let rows = rows.min(usize::from(bottom.saturating_sub(top)));
        self.scrolled(top, bottom, rows as i32);
        self.term.scroll_up(rows);
        self.spill_scrollback();
    }

    fn scroll_down(&mut self, rows: usize) {
        let (top, bottom) = self.region;
        let rows = rows.min(usize::from(bottom.saturating_sub(top)));
        self.scrolled(top, bottom, -(rows as i32));
        self.term.scroll_down(rows);
    }

    fn insert_blank_lines(&mut self, rows: usize) {
        let (y, (top, bottom)) = (self.y(), self.region);
        if (top..bottom).contains(&y) {
            let rows = rows.min(usize::from(bottom - y));
            self.scrolled(y, bottom, -(rows as i32));
            self.term.insert_blank_lines(rows);
            self.go_in_row(0);
        }
    }

    fn delete_lines(&mut self, rows: usize) {
        let (y, (top, bottom)) = (self.y(), self.region);
        if (top..bottom).contains(&y) {
            let rows = rows.min(usize::from(bottom - y));
            self.scrolled(y, bottom, rows as i32);
            self.term.delete_lines(rows);
            self.spill_scrollback();
            self.go_in_row(0);
        }
    }

    fn reverse_index(&mut self) {
        if self.y() == self.region.0 {
            self.scrolled(self.region.0, self.region.1, -1);
        }
        self.term.reverse_index();
        self.end_pending_wrap();
    }

    fn clear_screen(&mut self, mode: ClearMode) {
        self.damage_screen();
        match mode {
            ClearMode::Saved => self.clear_scrollback(),
            ClearMode::Above => {
                self.clear_above();
                self.end_pending_wrap();
            }
            ClearMode::Below => {
                let (x, y) = (self.x(), self.y());
                self.split_wide(y, x);
                self.term.clear_screen(mode);
                self.end_pending_wrap();
            }
            ClearMode::All => {
                self.term.clear_screen(mode);
                self.spill_scrollback();
            }
        }
    }

    fn decaln(&mut self) {
        self.damage_screen();
        self.region = (0, self.size.rows());
        self.term
            .unset_private_mode(NamedPrivateMode::Origin.into());
        self.term.set_scrolling_region(1, None);
        self.term.decaln();
    }

    fn reset_state(&mut self) {
        self.leave_alternate(Alternate::Bare);
        self.clear_scrollback();
        self.term.reset_state();
        self.region = (0, self.size.rows());
        self.charset = CharsetIndex::default();
        self.protects = false;
        self.kept = Kept::default();
        self.other_kept = Kept::default();
        self.insert = false;
        self.reversed = false;
        self.reverse_wrap = false;
        self.may_change_columns = false;
        self.keyboard = Keyboard::default();
        self.other_keyboard = Keyboard::default();
        self.title.clear();
        self.titles.clear();
        self.palette.clear();
        self.sync = false;
        self.last_char = None;
        self.unsure = false;
        self.damage_screen();
    }

    fn clear_tabs(&mut self, mode: TabulationClearMode) {
        self.term.clear_tabs(mode);
    }

    fn set_horizontal_tabstop(&mut self) {
        self.term.set_horizontal_tabstop();
    }

    fn save_cursor_position(&mut self) {
        self.keep_cursor();
    }

    fn restore_cursor_position(&mut self) {
        self.bring_cursor_back();
    }

    fn terminal_attribute(&mut self, attr: Attr) {
        if self.set_own_attribute(&attr) {
            return;
        }
        if !self.protects {
            return self.term.terminal_attribute(attr);
        }
        // DECSCA's is none of SGR's attributes.
        let protected = self.cursor().template.flags & PROTECTED;
        self.term.terminal_attribute(attr);
        self.term.grid_mut().cursor.template.flags |= protected;
    }

    fn set_mode(&mut self, mode: Mode) {
        match mode {
            Mode::Named(NamedMode::Insert) => self.insert = true,
            mode => self.term.set_mode(mode),
        }
    }

    fn unset_mode(&mut self, mode: Mode) {
        match mode {
            Mode::Named(NamedMode::Insert) => self.insert = false,
            mode => self.term.unset_mode(mode),
        }
    }

    fn set_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            PrivateMode::Named(NamedPrivateMode::SyncUpdate) => self.sync = true,
            PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor) => {
                self.enter_alternate(Alternate::KeepingCursor);
            }
            PrivateMode::Unknown(47 | 1047) => self.enter_alternate(Alternate::Bare),
            PrivateMode::Unknown(1048) => self.keep_cursor(),
            PrivateMode::Unknown(REVERSED) => self.reversed = true,
            PrivateMode::Unknown(REVERSE_WRAP) => self.reverse_wrap = true,
            PrivateMode::Unknown(MAY_CHANGE_COLUMNS) => self.may_change_columns = true,
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => self.change_columns(),
            mode => self.term.set_private_mode(mode),
        }
    }

    fn unset_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            PrivateMode::Named(NamedPrivateMode::SyncUpdate) => self.sync = false,
            PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor) => {
                self.leave_alternate(Alternate::KeepingCursor);
            }
            PrivateMode::Unknown(47 | 1047) => self.leave_alternate(Alternate::Bare),
            PrivateMode::Unknown(1048) => self.bring_cursor_back(),
            PrivateMode::Unknown(REVERSED) => self.reversed = false,
            PrivateMode::Unknown(REVERSE_WRAP) => self.reverse_wrap = false,
            PrivateMode::Unknown(MAY_CHANGE_COLUMNS) => self.may_change_columns = false,
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => self.change_columns(),
            PrivateMode::Named(NamedPrivateMode::Origin) => {
                self.term.unset_private_mode(mode);
                self.term.goto(0, 0);
            }
            mode => self.term.unset_private_mode(mode),
        }
    }

    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        let rows = usize::from(self.size.rows());
        let bottom = bottom.unwrap_or(rows).min(rows);
        // A region of fewer than two rows is ignored, as in xterm.
        if top < bottom {
            self.term.set_scrolling_region(top, Some(bottom));
            self.region = (top.saturating_sub(1) as u16, bottom as u16);
        }
    }

    fn set_keypad_application_mode(&mut self) {
        self.term.set_keypad_application_mode();
    }

    fn unset_keypad_application_mode(&mut self) {
        self.term.unset_keypad_application_mode();
    }

    fn set_active_charset(&mut self, index: CharsetIndex) {
        self.charset = index;
        self.term.set_active_charset(index);
    }

    fn configure_charset(&mut self, index: CharsetIndex, charset: StandardCharset) {
        self.term.configure_charset(index, charset);
    }

    fn set_cursor_style(&mut self, style: Option<CursorStyle>) {
        self.term.set_cursor_style(style);
    }

    fn set_cursor_shape(&mut self, shape: VteCursorShape) {
        self.term.set_cursor_shape(shape);
    }

    fn set_hyperlink(&mut self, link: Option<Hyperlink>) {
        let allowed = link.filter(|link| allowed_link(&link.uri));
        self.term.set_hyperlink(allowed.map(|link| Hyperlink {
            // What matters is where a link leads; and the emulator would make up an id.
            id: Some(String::new()),
            uri: link.uri,
        }));
    }

    fn set_color(&mut self, index: usize, color: Rgb) {
        if let Ok(index @ 0..=258) = u16::try_from(index) {
            self.palette.insert(index, [color.r, color.g, color.b]);
        }
    }

    fn reset_color(&mut self, index: usize) {
        if let Ok(index) = u16::try_from(index) {
            self.palette.remove(&index);
        }
    }

    fn set_title(&mut self, title: Option<String>) {
        self.title = title.map_or_else(String::new, |title| clean_title(&title, MAX_TITLE));
        self.title_sets += 1;
    }

    fn push_title(&mut self) {
        if self.titles.len() >= MAX_TITLES {
            self.titles.remove(0);
        }
        self.titles.push(self.title.clone());
    }

    fn pop_title(&mut self) {
        if let Some(title) = self.titles.pop() {
            self.title = title;
            self.title_sets += 1;
        }
    }

    fn push_keyboard_mode(&mut self, mode: KeyboardModes) {
        self.keyboard.push(mode);
    }

    fn pop_keyboard_modes(&mut self, count: u16) {
        self.keyboard.pop(count);
    }

    fn set_keyboard_mode(&mut self, mode: KeyboardModes, how: KeyboardModesApplyBehavior) {
        self.keyboard.set(mode, how);
    }

    fn identify_terminal(&mut self, intermediate: Option<char>) {
        match intermediate {
            None => self.replies.primary_attributes(),
            Some('>') => self.replies.secondary_attributes(),
            Some(_) => {}
        }
    }

    fn device_status(&mut self, what: usize) {
        match what {
            5 => self.replies.ok(),
            6 => {
                self.cursor_queries += 1;
                let (x, y) = (self.cursor().point.column.0, self.y());
                let top = if self.mode(TermMode::ORIGIN) {
                    self.region.0
                } else {
                    0
                };
                let x = x.min(usize::from(self.size.cols() - 1));
                self.replies
                    .cursor(x + 1, usize::from(y.saturating_sub(top)) + 1);
            }
            _ => {}
        }
    }

    fn report_mode(&mut self, mode: Mode) {
        let state = match mode {
            Mode::Named(NamedMode::Insert) => Some(self.insert),
            Mode::Named(NamedMode::LineFeedNewLine) => {
                Some(self.mode(TermMode::LINE_FEED_NEW_LINE))
            }
            Mode::Unknown(_) => None,
        };
        self.replies.mode("", mode.raw(), state);
    }

    fn report_private_mode(&mut self, mode: PrivateMode) {
        let state = self.private_mode_state(mode);
        self.replies.mode("?", mode.raw(), state);
    }

    fn report_keyboard_mode(&mut self) {
        self.replies.keyboard(self.keyboard.flags().bits());
    }

    fn dynamic_color_sequence(&mut self, prefix: String, index: usize, terminator: &str) {
        let chosen = u16::try_from(index)
            .ok()
            .and_then(|index| self.palette.get(&index));
        self.replies
            .color(&prefix, index, chosen.copied(), terminator);
    }

    fn text_area_size_pixels(&mut self) {
        self.replies.size_in_pixels(self.size);
    }

    fn text_area_size_chars(&mut self) {
        self.replies.size_in_cells(self.size);
    }

    // Left out on purpose: the clipboard (OSC 52) is neither read nor written, the mouse pointer's
    // shape has no meaning here, and the rest the emulator does not carry out either.
}
