//! The pen of a terminal that only we write on: where it is, and how it draws.

use std::io::Write as _;

use pillion_screen::{Cell, Style, Width, emit};

use crate::depth::Depth;

/// What is known of the pen. The default is the state after `CSI m`, at no known place.
#[derive(Debug, Default)]
pub(crate) struct Pen {
    at: Option<(u16, u16)>,
    look: emit::Pen,
}

impl Pen {
    /// Goes to a place.
    pub(crate) fn go(&mut self, x: u16, y: u16, out: &mut Vec<u8>) {
        if self.at != Some((x, y)) {
            self.at = Some((x, y));
            // Writing to a Vec does not fail.
            let _ = write!(out, "\x1b[{};{}H", y + 1, x + 1);
        }
    }

    /// Writes a cell where the pen is, on a terminal of `cols` columns.
    pub(crate) fn put(&mut self, cell: &Cell, cols: u16, depth: Depth, out: &mut Vec<u8>) {
        if cell.width == Width::Spacer {
            return;
        }
        let cluster = match depth.style(&cell.style) {
            style if style == cell.style => self.look.cell(cell, out),
            style => self.look.cell(
                &Cell {
                    style,
                    ..cell.clone()
                },
                out,
            ),
        };
        // Terminals also disagree about young emoji, and after the last column the cursor is neither
        // here nor there.
        let sure = !cluster && (cell.ch as u32) < 0x1f000;
        let width = if cell.width == Width::Wide { 2 } else { 1 };
        self.at = self
            .at
            .map(|(x, y)| (x + width, y))
            .filter(|(x, _)| sure && *x < cols);
    }

    /// Draws in the terminal's own look from here on.
    pub(crate) fn reset(&mut self, out: &mut Vec<u8>) {
        self.look.reset(out);
    }
}

impl Depth {
    fn style(self, style: &Style) -> Style {
        match self {
            Depth::True => *style,
            _ => Style {
                fg: self.nearest(style.fg),
                bg: self.nearest(style.bg),
                underline: self.nearest(style.underline),
                attrs: style.attrs,
            },
        }
    }
}
