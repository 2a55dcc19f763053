//! The canonical form of a screen: the one both sides hold, cell for cell.
//!
//! The encoder brings what the terminal hands it into this form before it compares or sends
//! anything, so that its picture and a viewer's, who cleans again, are equal. Canonical means: every
//! character and mark is clean and as wide as its cell, a wide cell is followed by its spacer and no
//! spacer stands alone, links are allowed ones, the cursor is on the screen.

use std::sync::Arc;

use crate::{
    body::PALETTE,
    cell::{Cell, Extra, MAX_MARKS, Row, Style, Width},
    clean::{allowed_link, clean_title, is_clean_mark},
    screen::{MAX_TITLE, Modes, Screen},
    shape::{canonical_extra, fitting},
};

/// Brings a row into canonical form, `cols` cells wide.
pub(crate) fn canonical_row(row: &mut Row, cols: u16) {
    let cols = usize::from(cols);
    if row.cells.len() != cols {
        row.cells.resize(cols, Cell::default());
    }
    let mut checked: Option<Arc<str>> = None;
    let mut spacer: Option<Style> = None;
    for (x, cell) in row.cells.iter_mut().enumerate() {
        if let Some(style) = spacer.take() {
            *cell = Cell {
                width: Width::Spacer,
                style,
                ..Cell::default()
            };
            continue;
        }
        if cell.width == Width::Narrow && matches!(cell.ch, ' '..='~') && cell.extra.is_none() {
            continue;
        }
        match cell.width {
            Width::Narrow => {}
            Width::Wide if x + 1 < cols => spacer = Some(cell.style),
            Width::Wide => cell.width = Width::Narrow,
            Width::Spacer => {
                *cell = Cell {
                    style: cell.style,
                    ..Cell::default()
                };
            }
        }
        let (ch, wide) = fitting(cell.ch, cell.width == Width::Wide);
        cell.ch = ch;
        if cell.width == Width::Wide && !wide {
            // What was to be its spacer stands alone now.
            cell.width = Width::Narrow;
            spacer = None;
        }
        if let Some(extra) = &cell.extra
            && !is_canonical(extra, &mut checked)
        {
            cell.extra = canonical_extra(extra).map(Arc::new);
        }
    }
}

/// Brings all but the rows into canonical form; `before` is the state so far.
pub(crate) fn canonical_rest(screen: &mut Screen, before: &Screen) {
    screen.cursor.x = screen.cursor.x.min(screen.size.cols() - 1);
    screen.cursor.y = screen.cursor.y.min(screen.size.rows() - 1);
    screen.modes = Modes(screen.modes.0 & Modes::ALL.0);
    if screen.title != before.title {
        screen.title = clean_title(&screen.title, MAX_TITLE);
    }
    if screen
        .palette
        .keys()
        .any(|&index| u64::from(index) >= PALETTE)
    {
        screen
            .palette
            .retain(|&index, _| u64::from(index) < PALETTE);
    }
    let lines = &mut screen.lines;
    lines.oldest = lines.oldest.min(lines.top);
    lines.settled = lines.settled.min(lines.top);
    screen.bells = screen.bells.max(before.bells);
}

/// `checked` is the link last found to be allowed: neighbours share theirs.
fn is_canonical(extra: &Extra, checked: &mut Option<Arc<str>>) -> bool {
    if extra.marks.is_empty() && extra.link.is_none() {
        return false;
    }
    if let Some(link) = &extra.link {
        let known = checked
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, link));
        if !known && !allowed_link(link) {
            return false;
        }
        *checked = Some(link.clone());
    }
    extra.marks.is_empty() || {
        extra.marks.chars().all(is_clean_mark) && extra.marks.chars().count() <= MAX_MARKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cell::Wrap, clean::REPLACEMENT};

    fn wide(ch: char) -> Cell {
        Cell {
            ch,
            width: Width::Wide,
            ..Cell::default()
        }
    }

    #[test]
    fn wide_cells_and_spacers_come_in_pairs() {
        let spacer = Cell {
            width: Width::Spacer,
            ..Cell::default()
        };
        let mut row = Row {
            cells: vec![
                spacer.clone(),
                wide('漢'),
                Cell::default(),
                spacer,
                wide('字'),
            ],
            wrap: Wrap::Ends,
        };
        canonical_row(&mut row, 5);
        let widths: Vec<Width> = row.cells.iter().map(|cell| cell.width).collect();
        use Width::{Narrow, Spacer, Wide};
        assert_eq!(widths, [Narrow, Wide, Spacer, Narrow, Narrow]);
        let before = row.clone();
        canonical_row(&mut row, 5);
        assert_eq!(row, before);
    }

    #[test]
    fn what_must_not_be_shown_is_taken_away() {
        let cell = |ch, marks: &str, link: Option<&str>| Cell {
            ch,
            extra: Some(Arc::new(Extra {
                marks: marks.into(),
                link: link.map(Arc::from),
            })),
            ..Cell::default()
        };
        let mut row = Row {
            cells: vec![
                cell('\x1b', "\u{202e}", Some("javascript:1")),
                cell('a', "x\u{301}\x07", Some("https://a.example")),
                cell('\t', &"\u{301}".repeat(50), None),
            ],
            wrap: Wrap::Ends,
        };
        canonical_row(&mut row, 3);
        assert_eq!((row.cells[0].ch, &row.cells[0].extra), (REPLACEMENT, &None));
        let extra = row.cells[1].extra.as_ref().unwrap();
        assert_eq!(extra.marks, "\u{301}");
        assert_eq!(extra.link.as_deref(), Some("https://a.example"));
        assert_eq!(row.cells[2].ch, ' ');
        assert_eq!(
            row.cells[2].extra.as_ref().unwrap().marks.chars().count(),
            MAX_MARKS
        );
    }
}
