//! What cells may hold and how a screen changes its size: rules both halves of the codec keep, so
//! that both end up with the same screen.

use crate::{
    cell::{Cell, Extra, MAX_MARKS, Row, Width},
    clean::{REPLACEMENT, allowed_link, clean_base, is_clean_mark},
    screen::{Screen, Size},
    width::columns,
};

/// The character a cell may hold, and whether it takes two columns: a terminal that is given a
/// character of another width than the cell's would show all that follows at the wrong place.
pub(crate) fn fitting(ch: char, wide: bool) -> (char, bool) {
    let ch = clean_base(ch);
    match (columns(ch), wide) {
        (2, false) => (REPLACEMENT, false),
        (2, true) => (ch, true),
        _ => (ch, false),
    }
}

/// What of it may stay; nothing at all is `None`.
pub(crate) fn canonical_extra(extra: &Extra) -> Option<Extra> {
    let marks = extra.marks.chars().filter(|&ch| is_clean_mark(ch));
    let extra = Extra {
        marks: marks.take(MAX_MARKS).collect(),
        link: extra.link.clone().filter(|link| allowed_link(link)),
    };
    (!extra.marks.is_empty() || extra.link.is_some()).then_some(extra)
}

/// Changes a screen's size, keeping its top left corner. Both sides do exactly this, then the
/// encoder describes what the terminal made of the rest.
pub(crate) fn resize(screen: &mut Screen, size: Size) {
    let cols = usize::from(size.cols());
    screen.size = size;
    screen
        .rows
        .resize_with(usize::from(size.rows()), Row::default);
    for row in &mut screen.rows {
        row.cells.resize(cols, Cell::default());
        if let Some(last) = row.cells.last_mut()
            && last.width == Width::Wide
        {
            *last = Cell::default();
        }
    }
    screen.cursor.x = screen.cursor.x.min(size.cols() - 1);
    screen.cursor.y = screen.cursor.y.min(size.rows() - 1);
}
