//! The pen of a terminal that only we write on: where it is, and how it draws.

use std::io::Write as _;

use pillion_screen::{Cell, Style, emit, place::Spot};

use crate::depth::Depth;

/// What is known of the pen. The default is the state after `CSI m`, at no known place.
#[derive(Debug, Default)]
pub(crate) struct Pen {
    y: u16,
    spot: Spot,
    look: emit::Pen,
}

impl Pen {
    /// Goes to a place.
    pub(crate) fn go(&mut self, x: usize, y: u16, out: &mut Vec<u8>) {
        if self.y != y || self.spot != Spot::at(x) {
            self.y = y;
            self.spot = Spot::at(x);
            // Writing to a Vec does not fail.
            let _ = write!(out, "\x1b[{};{}H", y + 1, x + 1);
        }
    }

    /// Writes a cell at a place of a terminal of `cols` columns.
    pub(crate) fn put(
        &mut self,
        x: usize,
        y: u16,
        cell: &Cell,
        cols: usize,
        depth: Depth,
        out: &mut Vec<u8>,
    ) {
        if self.y != y || self.spot.is_elsewhere(x, cell) {
            self.go(x, y, out);
        }
        match depth.style(&cell.style) {
            style if style == cell.style => self.look.cell(cell, out),
            style => self.look.cell(
                &Cell {
                    style,
                    ..cell.clone()
                },
                out,
            ),
        }
        self.spot.wrote(x, cell, cols);
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
