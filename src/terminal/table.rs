//! Tables on standard output, whose columns are as wide as what stands in them.

use pillion_screen::width::text_columns;

use crate::terminal::console::{OutputError, charset};

/// The side of a column on which its cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table being made.
#[derive(Debug)]
pub struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns. The last one is followed by nothing, so it may be as long as it is.
    pub fn new<const N: usize>(columns: [(&str, Side); N]) -> Table {
        let (titles, sides) = columns
            .into_iter()
            .map(|(title, side)| (title.to_owned(), side))
            .unzip();
        Table {
            sides,
            rows: vec![titles],
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.map(|cell| charset().spell(&cell));
        self.rows.push(cells.into());
    }

    /// Prints it.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn print(&self) -> Result<(), OutputError> {
        for line in self.lines() {
            crate::output!("{line}")?;
        }
        Ok(())
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(move |row| row.get(column));
            cells.map(|cell| text_columns(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.sides.len()).map(widest).collect();
        self.rows.iter().map(move |row| {
            let cells = row.iter().zip(&widths).zip(&self.sides);
            let cells = cells.map(|((cell, width), side)| {
                let room = " ".repeat(width.saturating_sub(text_columns(cell)));
                match side {
                    Side::Left => format!("{cell}{room}"),
                    Side::Right => format!("{room}{cell}"),
                }
            });
            let line = cells.collect::<Vec<String>>().join("  ");
            line.trim_end().to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_seen_of_their_cells() {
        let mut table = Table::new([
            ("ID", Side::Right),
            ("NAME", Side::Left),
            ("NOTE", Side::Left),
        ]);
        for (id, name) in [("1", "anna"), ("12", "山田太郎"), ("3", "e\u{301}va")] {
            table.row([id.to_owned(), name.to_owned(), "x".to_owned()]);
        }
        let lines: Vec<String> = table.lines().collect();
        assert_eq!(
            lines,
            [
                "ID  NAME      NOTE",
                " 1  anna      x",
                "12  山田太郎  x",
                " 3  e\u{301}va       x",
            ]
        );
    }
}
