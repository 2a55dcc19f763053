//! Writing cells so that each comes to stand in its column, whatever the terminal thinks of widths.
//!
//! Most characters are as wide on one terminal as on another, and are written one after the other. A
//! disputed one ([`crate::width`]) may take fewer columns than we count, or more. So it is written last,
//! over blanks of its own, and followed by an absolute column; and what a wider rendering of it covers is
//! written again unless that is blank. Other terminals may then show less of the disputed character; all
//! else is where it belongs. None is written where it could reach past the last column: what
//! happens there differs even with wrapping off.

use std::sync::Arc;

use crate::{
    cell::{Cell, Extra, MAX_MARKS, Width},
    width::{is_ambiguous, is_disputed},
};

/// The most columns a cell can take on any terminal.
const MAX_REACH: usize = 2 * (1 + MAX_MARKS);

/// What stands in for a character that could reach past the last column.
const STAND_IN: char = '?';

/// Has `put` write the cells `from..to` of a row, or of a rectangle's, each at its column, and not all
/// of them from left to right. What they may reach into must be among them or as it should be: see
/// [`joined`].
pub fn place(cells: &[Cell], from: usize, to: usize, mut put: impl FnMut(usize, &Cell)) {
    let columns = || {
        let all = cells.iter().enumerate().take(to).skip(from);
        all.filter(|(_, cell)| cell.width != Width::Spacer)
    };
    let mut any = false;
    for (x, cell) in columns() {
        if !cell.is_disputed() {
            put(x, cell);
            continue;
        }
        any = true;
        for x in x..x + cell.width.columns() {
            put(x, &blank_like(cell));
        }
    }
    if !any {
        return;
    }
    for (x, cell) in columns().filter(|(_, cell)| cell.is_disputed()) {
        let shown = within(cell, cells.len() - x);
        put(x, &shown);
        let blank = blank_like(cell);
        let reach = cells.iter().enumerate().take(x + shown.most_columns());
        for (x, covered) in reach.skip(x + cell.width.columns()) {
            // Disputed ones are written in their turn.
            if covered.width != Width::Spacer && *covered != blank && !covered.is_disputed() {
                put(x, covered);
            }
        }
    }
}

/// Where in its row a terminal's cursor is, as far as terminals agree on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spot {
    at: Option<usize>,
    /// What was written last is wider on some terminals.
    drifted: bool,
}

impl Spot {
    /// The cursor is at column `x`.
    pub fn at(x: usize) -> Spot {
        Spot {
            at: Some(x),
            drifted: false,
        }
    }

    /// Whether the cursor must be put at column `x` before `cell` is written there. Not between the
    /// characters of a line or frame: they are ambiguous together.
    pub fn is_elsewhere(&self, x: usize, cell: &Cell) -> bool {
        self.at != Some(x) || self.drifted && !is_ambiguous(cell.ch)
    }

    /// `cell` was written at column `x` of `cols`. Behind the last one the cursor is neither here nor
    /// there.
    pub fn wrote(&mut self, x: usize, cell: &Cell, cols: usize) {
        let next = x + cell.width.columns();
        let sure = next < cols && cell.marks().is_empty() && !cell.is_disputed();
        self.at = sure.then_some(next);
        self.drifted = is_ambiguous(cell.ch);
    }
}

/// The columns `from..to`, of which some are to change from `old` to `new`, and those that must be written
/// with them: both halves of a wide character, and what a disputed one may reach into or, where it is
/// given no column, be drawn with.
pub fn joined(old: &[Cell], new: &[Cell], from: usize, to: usize) -> (usize, usize) {
    let both = |x: usize| [old.get(x), new.get(x)].into_iter().flatten();
    let is_spacer = |x: usize| both(x).any(|cell| cell.width == Width::Spacer);
    let end_of_disputed = |x: usize| {
        let disputed = both(x).filter(|cell| cell.is_disputed());
        disputed.map(|cell| x + cell.most_columns().max(1)).max()
    };
    let (mut from, mut to) = (from, to);
    loop {
        let before = (from, to);
        while from > 0 && is_spacer(from) {
            from -= 1;
        }
        let reaching = (from.saturating_sub(MAX_REACH)..from)
            .find(|x| end_of_disputed(*x).is_some_and(|end| end > from));
        from = reaching.unwrap_or(from);
        if from > 0 && end_of_disputed(from).is_some() {
            from -= 1;
        }
        let mut x = from;
        while x < to {
            to = to.max(end_of_disputed(x).unwrap_or(0).min(new.len()));
            x += 1;
        }
        while to < new.len() && is_spacer(to) {
            to += 1;
        }
        if (from, to) == before {
            return before;
        }
    }
}

/// A cell as it may be drawn where so many columns are left.
fn within(cell: &Cell, room: usize) -> Cell {
    if cell.most_columns() <= room {
        return cell.clone();
    }
    let mut bare = cell.clone();
    if let Some(extra) = &cell.extra {
        let marks = extra.marks.chars();
        let extra = Extra {
            marks: marks.filter(|mark| !is_disputed(*mark)).collect(),
            link: extra.link.clone(),
        };
        bare.extra = Some(Arc::new(extra));
    }
    if bare.most_columns() <= room {
        return bare;
    }
    Cell {
        ch: STAND_IN,
        ..blank_like(cell)
    }
}

fn blank_like(cell: &Cell) -> Cell {
    Cell {
        style: cell.style,
        ..Cell::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cell::Style, width::columns};

    /// What a terminal makes of disputed characters.
    #[derive(Debug, Clone, Copy)]
    enum Opinion {
        Ours,
        Least,
        Most,
    }

    const OPINIONS: [Opinion; 3] = [Opinion::Ours, Opinion::Least, Opinion::Most];

    impl Opinion {
        fn of(self, cell: &Cell) -> usize {
            let ours = cell.width.columns();
            match self {
                Opinion::Least if is_disputed(cell.ch) => ours - 1,
                Opinion::Ours | Opinion::Least => ours,
                Opinion::Most => cell.most_columns(),
            }
        }
    }

    /// A row of a terminal: in each column a character, and which part of it.
    #[derive(Debug, Clone, PartialEq)]
    struct Paper(Vec<(char, usize)>);

    impl Paper {
        fn blank(cols: usize) -> Paper {
            Paper(vec![(' ', 0); cols])
        }

        fn put(&mut self, width: usize, x: usize, ch: char) {
            assert!(
                x + width <= self.0.len(),
                "{ch:?} at {x} reaches past the end"
            );
            for part in 0..width {
                self.wipe(x + part);
            }
            for part in 0..width {
                self.0[x + part] = (ch, part);
            }
        }

        /// What is left of a character that is written over is blank.
        fn wipe(&mut self, x: usize) {
            let start = x - self.0[x].1;
            let after = self.0.iter().enumerate().skip(start + 1);
            let end = after.clone().find(|(_, column)| column.1 == 0);
            let end = end.map_or(self.0.len(), |(at, _)| at);
            self.0[start..end].fill((' ', 0));
        }

        /// Draws the difference, as a canvas does.
        fn draw(&mut self, opinion: Opinion, old: &[Cell], new: &[Cell]) {
            let mut x = 0;
            while let Some(at) = (x..new.len()).find(|x| old[*x] != new[*x]) {
                let (from, to) = joined(old, new, at, at + 1);
                place(new, from, to, |x, cell| {
                    self.put(opinion.of(cell), x, cell.ch)
                });
                x = to;
            }
        }

        fn check(&self, cells: &[Cell]) -> Result<(), TestCaseError> {
            for (x, cell) in cells.iter().enumerate() {
                let (seen, part) = self.0[x];
                if !cell.is_disputed() && cell.width != Width::Spacer && cell.ch != ' ' {
                    prop_assert_eq!((seen, part), (cell.ch, 0), "column {} of {:?}", x, self);
                } else if seen != ' ' {
                    // A ghost is what does not begin where it is said to be.
                    let from = &cells[x - part];
                    let stands_in = seen == STAND_IN && from.is_disputed();
                    prop_assert!(seen == from.ch || stands_in, "column {} of {:?}", x, self);
                }
            }
            Ok(())
        }
    }

    fn row(text: &[(char, &str, bool)], cols: usize) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (ch, marks, colour) in text {
            let style = Style {
                bg: match colour {
                    true => crate::cell::Color::Indexed(4),
                    false => crate::cell::Color::Default,
                },
                ..Style::default()
            };
            let wide = columns(*ch) == 2;
            if cells.len() + 1 + usize::from(wide) > cols {
                break;
            }
            let extra = Extra {
                marks: (*marks).to_owned(),
                link: None,
            };
            cells.push(Cell {
                ch: *ch,
                width: if wide { Width::Wide } else { Width::Narrow },
                style,
                extra: (!marks.is_empty()).then(|| Arc::new(extra)),
            });
            if wide {
                cells.push(Cell {
                    width: Width::Spacer,
                    style,
                    ..Cell::default()
                });
            }
        }
        cells.resize(cols, Cell::default());
        cells
    }

    type Character = (char, &'static str, bool);

    fn character() -> impl Strategy<Value = Character> {
        let kinds = [
            (' ', ""),
            (' ', ""),
            ('a', ""),
            ('b', ""),
            ('日', ""),
            ('│', ""),
            ('e', "\u{301}"),
            ('a', "\u{ad}"),
            ('❤', "\u{fe0f}"),
            ('☺', "\u{fe0f}"),
            ('\u{3248}', ""),
            ('\u{2630}', ""),
            ('🙂', ""),
            ('👩', "\u{200d}"),
            ('\u{1f1e9}', ""),
            ('क', ""),
            ('\u{93e}', ""),
            ('ত', "\u{9be}\u{301}"),
        ];
        let kinds = proptest::sample::select(kinds.to_vec());
        (kinds, any::<bool>()).prop_map(|((ch, marks), colour)| (ch, marks, colour))
    }

    proptest! {
        #[test]
        fn every_sure_character_stands_in_its_column_on_every_terminal(
            rows in prop::collection::vec(prop::collection::vec(character(), 0..14), 1..6),
            cols in 1usize..12,
        ) {
            for opinion in OPINIONS {
                let mut old = row(&[], cols);
                let mut paper = Paper::blank(cols);
                for text in &rows {
                    let new = row(text, cols);
                    paper.draw(opinion, &old, &new);
                    paper.check(&new)?;
                    let mut anew = Paper::blank(cols);
                    anew.draw(opinion, &row(&[], cols), &new);
                    prop_assert_eq!(&paper, &anew, "{:?}: {:?}", opinion, new);
                    old = new;
                }
            }
        }
    }

    #[test]
    fn what_covers_a_blank_is_seen_and_what_covers_more_is_not() {
        let drawn = |text: &[Character]| {
            let cells = row(text, 6);
            let mut paper = Paper::blank(6);
            paper.draw(Opinion::Most, &row(&[], 6), &cells);
            paper.0.iter().map(|(ch, _)| *ch).collect::<String>()
        };
        let heart = ('❤', "\u{fe0f}", false);
        let blank = (' ', "", false);
        assert_eq!(drawn(&[heart, blank, ('$', "", false)]), "❤❤$   ");
        assert_eq!(drawn(&[heart, ('$', "", false)]), " $    ");
        assert_eq!(drawn(&[heart, heart, blank, ('$', "", false)]), " ❤❤$  ");
        assert_eq!(drawn(&[blank, blank, blank, blank, blank, heart]), "     ❤");
    }

    #[test]
    fn nothing_is_moved_for_what_everybody_agrees_on() {
        let cells = row(&[('a', "", false), ('日', "", false), ('b', "", false)], 5);
        let mut spot = Spot::at(0);
        place(&cells, 0, 5, |x, cell| {
            assert!(!spot.is_elsewhere(x, cell), "column {x}");
            spot.wrote(x, cell, 6);
        });
    }
}
