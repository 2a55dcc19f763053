//! The session's link on a page of its own, with its QR code if there is room.

use pillion_screen::{Color, Size, Style};

use super::panel::{Drawn, boxed};
use crate::text;

/// Fewest columns for text beside a code.
const TEXT_COLS: usize = 26;

/// Most columns for text beside a code: a line stays together for the eye.
const MAX_TEXT_COLS: usize = 60;

/// Columns between the two.
const GAP: usize = 2;

/// A QR code in rows of characters, each one column wide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrRows {
    /// The rows, all of one length; a half block is light.
    pub rows: Vec<String>,
    /// Draw it black on white; else in the terminal's own colours, which are taken to be light on dark.
    pub coloured: bool,
}

impl QrRows {
    fn cols(&self) -> usize {
        self.rows
            .iter()
            .map(|row| text::width(row))
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn style(&self) -> Style {
        match self.coloured {
            // White and black of the 256 colours: themes leave them alone.
            true => Style {
                fg: Color::Indexed(231),
                bg: Color::Indexed(16),
                ..Style::default()
            },
            false => Style::default(),
        }
    }
}

/// The link, shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkPage {
    pub(crate) url: String,
    /// Its QR code, where one can be drawn.
    pub(crate) qr: Option<QrRows>,
}

impl LinkPage {
    /// The page on a terminal of this size; `foot` is what is asked, or the keys.
    pub(crate) fn lines(&self, size: Size, foot: &str) -> Drawn {
        let (cols, rows) = (usize::from(size.cols()), usize::from(size.rows()));
        let Some(qr) = &self.qr else {
            return self.alone(size, "", foot);
        };
        let (wide, high) = (qr.cols(), qr.rows.len());
        let beside = cols.saturating_sub(wide + 2 * GAP).min(MAX_TEXT_COLS);
        if high <= rows && beside >= TEXT_COLS {
            // All of the terminal: a code that fits must not fail for a frame.
            let words = self.words(beside, "", foot);
            let first = rows.saturating_sub(words.len()) / 2;
            let mut lines = vec![(" ".repeat(cols), false); rows];
            let indent = " ".repeat(wide + GAP);
            for ((line, _), words) in lines.iter_mut().skip(first).zip(&words) {
                *line = format!("{indent}{words}");
            }
            return Drawn {
                x: 0,
                y: 0,
                cols: size.cols(),
                lines,
                qr: Some((0, ((rows - high) / 2) as u16)),
            };
        }
        let needed = format!(
            "Its QR code needs a terminal of {} columns and {high} rows.",
            wide + 2 * GAP + TEXT_COLS
        );
        self.alone(size, &needed, foot)
    }

    /// In a box, without the code.
    fn alone(&self, size: Size, remark: &str, foot: &str) -> Drawn {
        boxed(size, " pillion: the link ", |inner, rows| {
            let mut words = self.words(inner, remark, foot);
            words.truncate(rows);
            words.into_iter().map(|line| (line, false)).collect()
        })
    }

    fn words(&self, cols: usize, remark: &str, foot: &str) -> Vec<String> {
        let mut lines = text::fold("This link works like the ticket:", cols, 2);
        lines.push(String::new());
        lines.extend(text::fold(&self.url, cols, 8));
        lines.push(String::new());
        for said in ["It is on the clipboard, if the terminal lets us.", remark] {
            lines.extend(text::fold(said, cols, 3));
        }
        lines.push(String::new());
        lines.extend(text::fold(foot, cols, 4));
        lines
    }
}
