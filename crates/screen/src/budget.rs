//! What a screen costs to describe, and the bound on it: whatever a program draws or a host sends, a
//! snapshot fits its message and a viewer's memory stays within bounds.

#[cfg(feature = "emulator")]
use crate::{cell::Style, screen::Size};
use crate::{
    cell::{Cell, Extra, Row, Width},
    compression::MAX_BODY,
    screen::Screen,
};

/// What is left of a snapshot's body for all that is not rows: title, palette and the like.
const RESERVE: usize = 64 * 1024;

/// Bytes the rows of a screen may need at most in a snapshot.
pub(crate) const MAX_COST: usize = MAX_BODY - RESERVE;

/// Most bytes for a run's header, the number of its pen and a new pen's style (body.rs, wire.rs).
const PEN_COST: usize = 2 + 2 + 12;
/// Most bytes for a run's header.
const RUN_COST: usize = 2;
/// What a cell with marks takes of a viewer's memory beside the marks: more than of a snapshot.
const MARKS_COST: usize = size_of::<Extra>() + 48;
/// Most bytes for a span's operation, row and column and for the row's wrap operation.
const ROW_COST: usize = 5 + 3;

/// Upper bound of the bytes a row without colours, links and marks needs.
#[cfg(feature = "emulator")]
fn plain_cost(cols: u16) -> usize {
    ROW_COST + PEN_COST + usize::from(cols) * (4 + RUN_COST)
}

/// Upper bounds of the bytes each row needs in a snapshot, and their sum. Keeps a snapshot below
/// [`MAX_BODY`] and a viewer's memory bounded, whatever a program draws or a host sends.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    rows: Vec<u32>,
    total: usize,
}

impl Costs {
    /// Takes over the costs of a whole screen.
    pub(crate) fn measure(&mut self, screen: &Screen) {
        self.rows.clear();
        self.rows
            .extend(screen.rows.iter().map(|row| row_cost(&row.cells) as u32));
        self.total = self.rows.iter().map(|&cost| cost as usize).sum();
    }

    /// Upper bound of the bytes all rows need.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Row `y` is now `row`; the sum.
    pub(crate) fn update(&mut self, y: u16, row: &Row) -> usize {
        if let Some(cost) = self.rows.get_mut(usize::from(y)) {
            let new = row_cost(&row.cells);
            self.total = self.total - *cost as usize + new;
            *cost = new as u32;
        }
        self.total
    }
}

/// The encoder's side of the bound: a row that would make the screen too rich loses its colours,
/// links and marks. Only screens of some hundred thousand individually coloured cells get there.
#[cfg(feature = "emulator")]
pub(crate) fn enforce_budget(costs: &mut Costs, size: Size, y: u16, row: &mut Row) {
    let rich = MAX_COST - usize::from(size.rows()) * plain_cost(size.cols());
    if costs.update(y, row) > rich {
        for cell in &mut row.cells {
            cell.style = Style::default();
            cell.extra = None;
        }
        costs.update(y, row);
    }
}

fn row_cost(cells: &[Cell]) -> usize {
    let mut cost = ROW_COST;
    let mut before: Option<&Cell> = None;
    for cell in cells {
        if cell.width == Width::Spacer {
            continue;
        }
        cost += cell.ch.len_utf8();
        let (link, marks) = match &cell.extra {
            Some(extra) => (extra.link.as_ref(), extra.marks.len()),
            None => (None, 0),
        };
        let same_pen = before.is_some_and(|before| {
            before.style == cell.style
                && before.extra.as_ref().and_then(|extra| extra.link.as_ref()) == link
        });
        if !same_pen {
            cost += PEN_COST + link.map_or(0, |link| link.len() + 2);
        } else if before
            .is_some_and(|before| before.width != cell.width || before.extra != cell.extra)
        {
            cost += RUN_COST;
        }
        if marks > 0 {
            cost += marks + 2 + RUN_COST + MARKS_COST;
        }
        before = Some(cell);
    }
    cost
}

#[cfg(all(test, feature = "emulator"))]
mod tests {
    use super::*;
    use crate::cell::Color;

    #[test]
    fn the_largest_screen_can_always_be_afforded() {
        let size = Size::new(Size::MAX_COLS, Size::MAX_ROWS).unwrap();
        let mut costs = Costs::default();
        costs.measure(&Screen::blank(size));
        let mut plain = 0;
        for y in 0..size.rows() {
            let mut row = Row::blank(size.cols());
            for (cell, x) in row.cells.iter_mut().zip(0u16..) {
                cell.ch = '\u{1fb00}';
                cell.style.fg = Color::Rgb(x as u8, (x >> 8) as u8, y as u8);
            }
            enforce_budget(&mut costs, size, y, &mut row);
            plain += u32::from(row.cells[1].style == Style::default());
        }
        assert!(costs.total <= MAX_COST);
        assert!((1..500).contains(&plain), "{plain}");
    }
}
