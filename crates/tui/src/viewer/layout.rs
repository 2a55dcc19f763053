//! Where the host's screen lies on the viewer's terminal.

use pillion_screen::{Cursor, Size};

/// The part of the host's screen that is shown, always at the top left: a host that changes its size
/// then moves nothing but the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Layout {
    /// First column of the host's screen that is shown.
    pub(crate) left: u16,
    /// First row.
    pub(crate) top: u16,
    /// Columns shown.
    pub(crate) cols: u16,
    /// Rows shown.
    pub(crate) rows: u16,
    /// The host's columns and rows.
    host: (u16, u16),
    /// The person chose the columns; the cursor isn't followed.
    by_hand: bool,
    /// There is no status line.
    bare: bool,
}

impl Layout {
    /// The rows there are for the host's screen: all but the status line, if there is room for one.
    pub(crate) fn area(&self, terminal: Size) -> (u16, u16) {
        let rows = terminal.rows();
        let rows = match self.bare || rows < 2 {
            true => rows,
            false => rows - 1,
        };
        (terminal.cols(), rows)
    }

    /// Leaves the row of the status line to the host's screen, or takes it.
    pub(crate) fn bare(&mut self, bare: bool) {
        self.bare = bare;
    }

    /// Whether there is no status line.
    pub(crate) fn is_bare(&self) -> bool {
        self.bare
    }

    /// Shows what is shown now of `host`, moved as little as makes the cursor visible; or, while the person
    /// has moved it by hand ([`Layout::pan`]), as little as keeps it on the host's screen.
    pub(crate) fn follow(&mut self, terminal: Size, host: Size, cursor: &Cursor) {
        let (cols, rows) = self.area(terminal);
        self.host = (host.cols(), host.rows());
        self.cols = cols.min(host.cols());
        self.rows = rows.min(host.rows());
        let (x, y) = match cursor.visible && !self.by_hand {
            true => (cursor.x, cursor.y),
            false => (self.left, self.top),
        };
        self.left = window(self.left, self.cols, host.cols(), x);
        self.top = window(self.top, self.rows, host.rows(), y);
    }

    /// Moves the part that is shown by half of itself to the left or right, and keeps it there.
    pub(crate) fn pan(&mut self, to_the_right: bool) {
        let half = (self.cols / 2).max(1);
        let furthest = self.host.0.saturating_sub(self.cols);
        self.by_hand = true;
        self.left = match to_the_right {
            true => self.left.saturating_add(half).min(furthest),
            false => self.left.saturating_sub(half),
        };
    }

    /// Follows the cursor again.
    pub(crate) fn release(&mut self) {
        self.by_hand = false;
    }

    /// Whether columns of the host's screen aren't shown.
    pub(crate) fn is_narrower(&self) -> bool {
        self.cols < self.host.0
    }

    /// Whether a part of the host's screen isn't shown.
    pub(crate) fn is_part(&self) -> bool {
        (self.cols, self.rows) != self.host
    }

    /// The host's size.
    pub(crate) fn host(&self) -> (u16, u16) {
        self.host
    }

    /// A place of the host's screen, on the terminal.
    pub(crate) fn shown(&self, x: u16, y: u16) -> Option<(u16, u16)> {
        let (x, y) = (x.checked_sub(self.left)?, y.checked_sub(self.top)?);
        (x < self.cols && y < self.rows).then_some((x, y))
    }

    /// A place of the terminal, on the host's screen.
    pub(crate) fn host_place(&self, x: u16, y: u16) -> Option<(u16, u16)> {
        (x < self.cols && y < self.rows).then_some((x + self.left, y + self.top))
    }

    /// The place of the host's screen nearest to one of the terminal.
    pub(crate) fn nearest(&self, x: u16, y: u16) -> (u16, u16) {
        let x = x.min(self.cols.saturating_sub(1)) + self.left;
        let y = y.min(self.rows.saturating_sub(1)) + self.top;
        (x, y)
    }
}

/// The start of a window of `length` in `whole` that contains `at`, as near to `start` as can be.
fn window(start: u16, length: u16, whole: u16, at: u16) -> u16 {
    let at = at.min(whole.saturating_sub(1));
    let earliest = (at + 1).saturating_sub(length);
    start
        .clamp(earliest, at.max(earliest))
        .min(whole.saturating_sub(length))
}
