//! Whether two terminals show the same.

use std::time::{Duration, Instant};

use super::{PATIENCE, Term};

/// Waits until the top left `cols` × `rows` of both terminals show the same, cell by cell, with the
/// cursor in the same place; when they never do, fails with where they differ.
pub fn assert_same(here: &Term, there: &Term, (cols, rows): (u16, u16)) {
    let end = Instant::now() + PATIENCE;
    loop {
        // The second is looked at twice around the first, so that a moment between two frames counts
        // only if nothing moved.
        let (there_now, here_now) = (there.screen(), here.screen());
        let Some(difference) = difference(&here_now, &there_now, (cols, rows)) else {
            return;
        };
        assert!(
            Instant::now() < end,
            "{difference}\nhere:\n{}\nthere:\n{}",
            here_now.contents(),
            there_now.contents()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a terminal shows again what it showed before, `what` being gone; when it never does, fails
/// with where they differ.
pub fn assert_no_trace(before: &vt100::Screen, term: &Term, size: (u16, u16), what: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let now = term.screen();
        let Some(difference) = difference(before, &now, size) else {
            return;
        };
        assert!(
            Instant::now() < end,
            "{what} left a trace ({difference}); the screen:\n{}",
            now.contents()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The first difference in what a person sees.
pub fn difference(
    here: &vt100::Screen,
    there: &vt100::Screen,
    (cols, rows): (u16, u16),
) -> Option<String> {
    for row in 0..rows {
        for col in 0..cols {
            let (a, b) = (Look::at(here, row, col), Look::at(there, row, col));
            if a != b {
                return Some(format!("row {row}, column {col}: {a:?} here, {b:?} there"));
            }
        }
    }
    if here.hide_cursor() != there.hide_cursor() {
        return Some(format!(
            "cursor hidden: {} here, {} there",
            here.hide_cursor(),
            there.hide_cursor()
        ));
    }
    let (a, b) = (here.cursor_position(), there.cursor_position());
    // Behind the last column a cursor waits for the next character; it is seen in the last one.
    let seen = |(row, col): (u16, u16)| (row, col.min(cols - 1));
    (!here.hide_cursor() && seen(a) != seen(b))
        .then(|| format!("cursor at {a:?} here, {b:?} there"))
}

/// What a person sees of a cell.
#[derive(Debug, PartialEq)]
struct Look {
    text: String,
    foreground: Option<vt100::Color>,
    background: vt100::Color,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    inverse: bool,
}

impl Look {
    fn at(screen: &vt100::Screen, row: u16, col: u16) -> Look {
        let cell = screen.cell(row, col).unwrap();
        let text = match cell.contents() {
            "" if !cell.is_wide_continuation() => " ",
            other => other,
        };
        // Of a blank only the background is seen, and what is drawn in the other colour.
        let ink = text != " " || cell.underline() || cell.inverse();
        Look {
            text: text.to_owned(),
            foreground: ink.then(|| cell.fgcolor()),
            background: cell.bgcolor(),
            bold: text != " " && cell.bold(),
            dim: text != " " && cell.dim(),
            italic: text != " " && cell.italic(),
            underline: cell.underline(),
            inverse: cell.inverse(),
        }
    }
}
