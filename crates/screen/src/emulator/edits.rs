//! What terminals agree on and the emulator does otherwise: margins and origin mode, halves of wide
//! characters, insert mode, selective erasure, the soft reset. `tests/witnesses.rs` holds all of it
//! against what other terminals show.

use alacritty_terminal::{
    grid::Dimensions,
    index::{Column, Line as GridLine},
    term::{
        TermMode,
        cell::{Cell, Flags},
    },
};
use vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorStyle, Handler, NamedPrivateMode, StandardCharset,
};

use super::{
    cells::{self, DASHED, DOTTED, OVERLINE, PROTECTED, UNDERLINES},
    guard::Guard,
    scanner::Ours,
};

/// What DECSC keeps beside what the emulator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Kept {
    origin: bool,
    charset: CharsetIndex,
}

/// How a program goes to the alternate screen, and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alternate {
    /// 47 and 1047: the cursor stays where it is.
    Bare,
    /// 1049: the cursor is kept and brought back.
    KeepingCursor,
}

impl Guard {
    /// Carries out what the parser doesn't know.
    pub(super) fn carry_out(&mut self, ours: Ours) {
        match ours {
            Ours::Version => self.replies.version(),
            Ours::SoftReset => self.soft_reset(),
            Ours::Protect(on) => {
                self.protects = true;
                self.set_pen(PROTECTED, on);
            }
            Ours::Overline(on) => self.set_pen(OVERLINE, on),
            Ours::EraseInScreen(which) => self.erase_unprotected_in_screen(which),
            Ours::EraseInLine(which) => {
                let y = self.y();
                let (x, last) = (self.x(), self.term.columns() - 1);
                match which {
                    0 if self.cursor().input_needs_wrap => {}
                    0 => self.erase_unprotected(y, x, last),
                    1 => self.erase_unprotected(y, 0, x),
                    2 => self.erase_unprotected(y, 0, last),
                    _ => {}
                }
            }
            Ours::UnitedKingdom(set) => {
                // All it has beside ASCII is a pound sign, which most terminals don't show either.
                self.configure_charset(set, StandardCharset::Ascii);
            }
        }
    }

    fn set_pen(&mut self, flag: Flags, on: bool) {
        self.term.grid_mut().cursor.template.flags.set(flag, on);
    }

    /// Sets an attribute for which the emulator's flags are used otherwise here; whether it was one.
    pub(super) fn set_own_attribute(&mut self, attr: &Attr) -> bool {
        let flags = &mut self.term.grid_mut().cursor.template.flags;
        let underlines = match attr {
            Attr::BlinkSlow | Attr::BlinkFast => {
                flags.insert(cells::BLINK);
                return true;
            }
            Attr::CancelBlink => {
                flags.remove(cells::BLINK);
                return true;
            }
            Attr::Underline => Flags::UNDERLINE,
            // SGR 21, which the parser takes for the end of SGR 1.
            Attr::DoubleUnderline | Attr::CancelBold => Flags::DOUBLE_UNDERLINE,
            Attr::Undercurl => Flags::UNDERCURL,
            Attr::DottedUnderline => DOTTED,
            Attr::DashedUnderline => DASHED,
            Attr::CancelUnderline => Flags::empty(),
            _ => return false,
        };
        flags.remove(UNDERLINES);
        flags.insert(underlines);
        true
    }

    /// The cursor's column.
    pub(super) fn x(&self) -> usize {
        self.cursor().point.column.0
    }

    /// Puts the cursor somewhere, origin mode or not.
    fn go(&mut self, y: u16, x: usize) {
        let last = self.term.columns() - 1;
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.line = GridLine(i32::from(y));
        cursor.point.column = Column(x.min(last));
        cursor.input_needs_wrap = false;
    }

    /// VPR: moves down, out of the scroll region too.
    pub(super) fn go_to_row_below(&mut self, rows: u16) {
        let (x, y) = (self.x(), self.y());
        let end = if self.mode(TermMode::ORIGIN) {
            self.region.1
        } else {
            self.size.rows()
        };
        self.go(y.saturating_add(rows).min(end - 1), x);
    }

    /// Moves up, but not out of the scroll region.
    pub(super) fn go_up(&mut self, rows: usize, x: usize) {
        let (y, top) = (self.y(), self.region.0);
        let first = if y >= top { top } else { 0 };
        let rows = u16::try_from(rows).unwrap_or(u16::MAX);
        self.go(y.saturating_sub(rows).max(first), x);
    }

    /// Moves down, but not out of the scroll region.
    pub(super) fn go_down(&mut self, rows: usize, x: usize) {
        let (y, bottom) = (self.y(), self.region.1);
        let end = if y < bottom { bottom } else { self.size.rows() };
        let rows = u16::try_from(rows).unwrap_or(u16::MAX);
        self.go(y.saturating_add(rows).min(end.saturating_sub(1)), x);
    }

    /// Moves in the row; where a wide character's other half is, is none of this one's concern.
    pub(super) fn go_in_row(&mut self, x: usize) {
        self.go(self.y(), x);
    }

    /// Whether a backspace was another than it is without mode 45, and has been done.
    pub(super) fn backspaces_over_a_wrap(&mut self) -> bool {
        if !self.reverse_wrap || !self.mode(TermMode::LINE_WRAP) {
            return false;
        }
        if self.cursor().input_needs_wrap {
            self.end_pending_wrap();
            return true;
        }
        let (x, y) = (self.x(), self.y());
        let above = GridLine(i32::from(y) - 1);
        if x > 0 || y == 0 || !cells::is_wrapped(&self.term.grid()[above]) {
            return false;
        }
        self.go(y - 1, self.term.columns() - 1);
        true
    }

    pub(super) fn end_pending_wrap(&mut self) {
        self.term.grid_mut().cursor.input_needs_wrap = false;
    }

    /// Goes on in the next row, as text does that reached the end of this one.
    pub(super) fn wrap(&mut self) {
        let y = self.y();
        self.damage.rows.insert(y);
        let grid = self.term.grid_mut();
        grid.cursor_cell().flags.insert(Flags::WRAPLINE);
        self.linefeed();
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.column = Column(0);
        cursor.input_needs_wrap = false;
    }

    /// Blanks the wide character, if there is one, that stands on both sides of a column's left edge.
    pub(super) fn split_wide(&mut self, y: u16, x: usize) {
        if x == 0 || x >= self.term.columns() {
            return;
        }
        let row = &mut self.term.grid_mut()[GridLine(i32::from(y))];
        let x = Column(x);
        if row[x].flags.contains(Flags::WIDE_CHAR_SPACER) {
            row[x].flags.remove(Flags::WIDE_CHAR_SPACER);
            row[x - 1].clear_wide();
            if x <= Column(2) && y > 0 {
                self.ends_with_itself(y - 1);
            }
        }
    }

    /// A row no longer ends early for the sake of the next one's wide character.
    fn ends_with_itself(&mut self, y: u16) {
        let last = self.term.last_column();
        let cell = &mut self.term.grid_mut()[GridLine(i32::from(y))][last];
        if cell.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER) {
            cell.flags.remove(Flags::LEADING_WIDE_CHAR_SPACER);
            self.damage.rows.insert(y);
        }
    }

    /// What moves the row's end makes it the end of its line.
    pub(super) fn end_line(&mut self, y: u16) {
        let last = self.term.last_column();
        self.term.grid_mut()[GridLine(i32::from(y))][last]
            .flags
            .remove(Flags::WRAPLINE | Flags::LEADING_WIDE_CHAR_SPACER);
    }

    /// Makes room for `width` columns at the cursor (IRM).
    pub(super) fn make_room(&mut self, width: usize) {
        if self.cursor().input_needs_wrap && self.mode(TermMode::LINE_WRAP) {
            self.wrap();
        }
        self.insert_blank(width);
    }

    /// Finds room for a wide character where the row has one column left: in the next row, and what stands in that
    /// column stays. Where text doesn't wrap, a full row that ends in a wide character has another one in its place, and
    /// there is no room otherwise.
    pub(super) fn finds_room_for_wide(&mut self) -> bool {
        let is_full = self.cursor().input_needs_wrap;
        if !self.mode(TermMode::LINE_WRAP) {
            let insert = self.insert;
            let cell = self.term.grid_mut().cursor_cell();
            let replaces = is_full && !insert && cell.flags.contains(Flags::WIDE_CHAR_SPACER);
            if replaces {
                self.go_in_row(self.term.columns() - 2);
            }
            return replaces;
        }
        if is_full {
            return true;
        }
        let cell = self.term.grid_mut().cursor_cell();
        if cells::is_blank(cell) && !cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
            // No part of the line, which goes on in the next row.
            cell.flags.insert(Flags::LEADING_WIDE_CHAR_SPACER);
        }
        self.wrap();
        true
    }

    fn erase_unprotected_in_screen(&mut self, which: u16) {
        let (x, y, last) = (self.x(), self.y(), self.term.columns() - 1);
        let rows = self.size.rows();
        let (from, to) = match which {
            0 => {
                self.erase_unprotected(y, x, last);
                (y + 1, rows)
            }
            1 => {
                self.erase_unprotected(y, 0, x);
                (0, y)
            }
            2 => (0, rows),
            _ => return,
        };
        for y in from..to {
            self.erase_unprotected(y, 0, last);
        }
    }

    /// Blanks cells of a row, first and last included, that DECSCA doesn't protect.
    fn erase_unprotected(&mut self, y: u16, first: usize, last: usize) {
        self.damage.rows.insert(y);
        self.split_wide(y, first);
        self.split_wide(y, last + 1);
        let protects = self.protects;
        let grid = self.term.grid_mut();
        let blank = Cell::from(grid.cursor.template.bg);
        let row = &mut grid[GridLine(i32::from(y))];
        for cell in &mut row[Column(first)..Column(last + 1)] {
            if !protects || !cell.flags.contains(PROTECTED) {
                *cell = blank.clone();
            }
        }
        self.end_pending_wrap();
    }

    /// DECCOLM. The size is the terminal's own to change; what else comes of it does only where mode
    /// 40 allows it, or every `tput init` would clear the screen.
    pub(super) fn change_columns(&mut self) {
        if self.may_change_columns {
            self.region = (0, self.size.rows());
            self.damage_screen();
            self.term
                .unset_private_mode(NamedPrivateMode::ColumnMode.into());
        }
    }

    /// DECSTR: modes, margins, pen and sets are as in the beginning; what stands on the screen and the
    /// cursor's place stay.
    fn soft_reset(&mut self) {
        self.insert = false;
        self.reverse_wrap = false;
        self.region = (0, self.size.rows());
        let place = self.cursor().point;
        self.term
            .unset_private_mode(NamedPrivateMode::Origin.into());
        self.term.set_scrolling_region(1, None);
        self.term
            .set_private_mode(NamedPrivateMode::LineWrap.into());
        self.term
            .set_private_mode(NamedPrivateMode::ShowCursor.into());
        self.term
            .unset_private_mode(NamedPrivateMode::CursorKeys.into());
        self.term.unset_keypad_application_mode();
        self.term.set_cursor_style(None::<CursorStyle>);
        self.protects = false;
        self.set_active_charset(CharsetIndex::G0);
        self.keyboard = Default::default();
        self.kept = Kept::default();
        let grid = self.term.grid_mut();
        grid.cursor = Default::default();
        grid.saved_cursor = Default::default();
        grid.cursor.point = place;
    }

    /// DECSC.
    pub(super) fn keep_cursor(&mut self) {
        self.kept = Kept {
            origin: self.mode(TermMode::ORIGIN),
            charset: self.charset,
        };
        self.term.save_cursor_position();
    }

    /// DECRC.
    pub(super) fn bring_cursor_back(&mut self) {
        self.term.restore_cursor_position();
        let point = self.cursor().point;
        let origin = NamedPrivateMode::Origin.into();
        if self.kept.origin {
            self.term.set_private_mode(origin);
        } else {
            self.term.unset_private_mode(origin);
        }
        let mut y = u16::try_from(point.line.0).unwrap_or(0);
        if self.kept.origin {
            y = y.clamp(self.region.0, self.region.1 - 1);
        }
        self.go(y, point.column.0);
        self.set_active_charset(self.kept.charset);
    }

    /// ED 1, of whose rows the emulator leaves out the first if it is the only whole one.
    pub(super) fn clear_above(&mut self) {
        let (x, y) = (self.x(), self.y());
        self.split_wide(y, x + 1);
        if y == 1 {
            self.term.grid_mut().reset_region(..GridLine(1));
        }
        self.term.clear_screen(ClearMode::Above);
    }
}
