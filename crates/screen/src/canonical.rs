//! A screen as bytes that are the same wherever the screen is the same: what a digest of it is over.

use crate::{
    cell::{Cell, Color, Row, Style, Width, Wrap},
    screen::{CursorShape, Screen},
};

impl Screen {
    /// The one encoding of this screen. It covers all of it: size, cells with their looks, marks and links,
    /// how rows end, cursor, modes, title, palette, which history lines exist, and bells. Numbers are
    /// little-endian; what is of varying length has its length before it; cells after the last that is not
    /// empty are left out. It is written to be hashed, and never read.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.rows.len() * 64);
        out.extend_from_slice(&self.size.cols().to_le_bytes());
        out.extend_from_slice(&self.size.rows().to_le_bytes());
        for row in &self.rows {
            push_row(&mut out, row);
        }
        let cursor = &self.cursor;
        out.extend_from_slice(&cursor.x.to_le_bytes());
        out.extend_from_slice(&cursor.y.to_le_bytes());
        let shape = match cursor.shape {
            CursorShape::Block => 0,
            CursorShape::Underline => 1,
            CursorShape::Bar => 2,
        };
        out.extend([
            u8::from(cursor.visible),
            shape,
            u8::from(cursor.blink),
            u8::from(cursor.wrap_pending),
        ]);
        out.extend_from_slice(&self.modes.0.to_le_bytes());
        push_text(&mut out, &self.title);
        push_length(&mut out, self.palette.len());
        for (index, color) in &self.palette {
            out.extend_from_slice(&index.to_le_bytes());
            out.extend_from_slice(color);
        }
        for line in [self.lines.oldest, self.lines.settled, self.lines.top] {
            out.extend_from_slice(&line.0.to_le_bytes());
        }
        out.extend_from_slice(&self.lines.top_offset.to_le_bytes());
        out.extend_from_slice(&self.bells.to_le_bytes());
        out
    }
}

/// Bits of a cell beside its character, which takes 21.
const WIDTH: u32 = 24;
const HAS_EXTRA: u32 = 1 << 26;
const NEW_STYLE: u32 = 1 << 27;

fn push_row(out: &mut Vec<u8>, row: &Row) {
    out.push(match row.wrap {
        Wrap::Ends => 0,
        Wrap::Full => 1,
        Wrap::Early => 2,
    });
    let empty = Cell::default();
    let last = row.cells.iter().rposition(|cell| *cell != empty);
    let cells = &row.cells[..last.map_or(0, |at| at + 1)];
    push_length(out, cells.len());
    let mut style = Style::default();
    for cell in cells {
        let width = match cell.width {
            Width::Narrow => 0,
            Width::Wide => 1,
            Width::Spacer => 2,
        };
        let mut head = u32::from(cell.ch) | width << WIDTH;
        if cell.extra.is_some() {
            head |= HAS_EXTRA;
        }
        if cell.style != style {
            head |= NEW_STYLE;
        }
        out.extend_from_slice(&head.to_le_bytes());
        if cell.style != style {
            style = cell.style;
            for color in [style.fg, style.bg, style.underline] {
                out.extend(match color {
                    Color::Default => [0; 4],
                    Color::Indexed(index) => [1, index, 0, 0],
                    Color::Rgb(r, g, b) => [2, r, g, b],
                });
            }
            out.extend_from_slice(&style.attrs.0.to_le_bytes());
        }
        if let Some(extra) = &cell.extra {
            push_text(out, &extra.marks);
            out.push(u8::from(extra.link.is_some()));
            push_text(out, extra.link.as_deref().unwrap_or_default());
        }
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        cell::{Attrs, Extra},
        screen::{LineId, Modes, Size},
    };

    type Change = Box<dyn Fn(&mut Screen)>;

    fn blank() -> Screen {
        Screen::blank(Size::clamped(3, 2))
    }

    #[test]
    fn every_part_of_a_screen_is_covered() {
        let marked = |marks: &str, link: Option<&str>| Cell {
            extra: Some(Arc::new(Extra {
                marks: marks.to_owned(),
                link: link.map(Arc::from),
            })),
            ..Cell::default()
        };
        let changes: Vec<Change> = vec![
            Box::new(|_| {}),
            Box::new(|screen| *screen = Screen::blank(Size::clamped(2, 3))),
            Box::new(|screen| screen.rows[0].cells[0].ch = 'x'),
            Box::new(|screen| screen.rows[0].cells[1].ch = 'x'),
            Box::new(|screen| screen.rows[1].cells[0].ch = 'x'),
            Box::new(|screen| screen.rows[0].cells[0].width = Width::Wide),
            Box::new(|screen| screen.rows[0].cells[0].style.fg = Color::Indexed(0)),
            Box::new(|screen| screen.rows[0].cells[0].style.bg = Color::Indexed(0)),
            Box::new(|screen| screen.rows[0].cells[0].style.underline = Color::Rgb(0, 0, 0)),
            Box::new(|screen| screen.rows[0].cells[0].style.attrs = Attrs::BOLD),
            Box::new(move |screen| screen.rows[0].cells[0] = marked("\u{301}", None)),
            Box::new(move |screen| screen.rows[0].cells[0] = marked("", Some("\u{301}"))),
            Box::new(|screen| screen.rows[0].wrap = Wrap::Full),
            Box::new(|screen| screen.rows[0].wrap = Wrap::Early),
            Box::new(|screen| screen.cursor.x = 1),
            Box::new(|screen| screen.cursor.y = 1),
            Box::new(|screen| screen.cursor.visible = false),
            Box::new(|screen| screen.cursor.shape = CursorShape::Bar),
            Box::new(|screen| screen.cursor.blink = true),
            Box::new(|screen| screen.cursor.wrap_pending = true),
            Box::new(|screen| screen.modes = Modes::INSERT),
            Box::new(|screen| screen.title = "x".to_owned()),
            Box::new(|screen| screen.palette = [(1, [0; 3])].into()),
            Box::new(|screen| screen.lines.oldest = LineId(1)),
            Box::new(|screen| screen.lines.settled = LineId(1)),
            Box::new(|screen| screen.lines.top = LineId(1)),
            Box::new(|screen| screen.lines.top_offset = 1),
            Box::new(|screen| screen.bells = 1),
        ];
        let encoded = changes.iter().map(|change| {
            let mut screen = blank();
            change(&mut screen);
            screen.canonical_bytes()
        });
        let mut encoded: Vec<Vec<u8>> = encoded.collect();
        encoded.sort();
        encoded.dedup();
        assert_eq!(encoded.len(), changes.len());
        assert_eq!(blank().canonical_bytes(), blank().canonical_bytes());
    }
}
