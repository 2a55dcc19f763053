//! Which parts of a screen changed: what the terminal tells the encoder and the decoder its viewer.

use crate::screen::Size;

const WORDS: usize = (Size::MAX_ROWS as usize).div_ceil(64);

/// A set of row numbers below [`Size::MAX_ROWS`]; 64 bytes, never allocates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowSet([u64; WORDS]);

impl RowSet {
    /// No row.
    pub const EMPTY: RowSet = RowSet([0; WORDS]);

    /// The first `rows` rows.
    pub fn all(rows: u16) -> RowSet {
        let mut set = RowSet::EMPTY;
        set.insert_range(0, rows);
        set
    }

    /// Adds row `y`; rows no screen can have are ignored.
    pub fn insert(&mut self, y: u16) {
        if let Some(word) = self.0.get_mut(usize::from(y / 64)) {
            *word |= 1 << (y % 64);
        }
    }

    /// Adds the rows `from..to`.
    pub fn insert_range(&mut self, from: u16, to: u16) {
        for y in from..to.min(Size::MAX_ROWS) {
            self.insert(y);
        }
    }

    /// Whether row `y` is in the set.
    pub fn contains(&self, y: u16) -> bool {
        self.0
            .get(usize::from(y / 64))
            .is_some_and(|word| word & (1 << (y % 64)) != 0)
    }

    /// The rows that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &RowSet) -> RowSet {
        let mut left = *self;
        for (word, gone) in left.0.iter_mut().zip(other.0) {
            *word &= !gone;
        }
        left
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// How many rows are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The rows, top to bottom.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().zip(0u16..).flat_map(|(&word, index)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as u16;
                rest &= rest.checked_sub(1)?;
                Some(index * 64 + bit)
            })
        })
    }
}

/// Rows `top..bottom` moved by `lines`: up when positive, down when negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scroll {
    /// First row of the region.
    pub top: u16,
    /// The row after the region's last.
    pub bottom: u16,
    /// How far; never 0, and less than the region's height.
    pub lines: i16,
}

/// What changed between two states of a screen. Saying too much costs time, saying too little
/// leaves a stale row: who is not sure says [`Damage::all`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Damage {
    /// Rows that may differ at their place: a scroll damages every row of its region.
    pub rows: RowSet,
    /// The size changed; every row may differ.
    pub resized: bool,
    /// The cursor, modes, title, palette, line span or bell count may differ. The encoder compares
    /// these anyway; a viewer uses it to skip its chrome.
    pub rest: bool,
    /// The last scroll, when somebody knows it. A hint: it only tells where to look for moved rows.
    pub scroll: Option<Scroll>,
}

impl Damage {
    /// Everything may have changed on a screen of `size`.
    pub fn all(size: Size) -> Damage {
        Damage {
            rows: RowSet::all(size.rows()),
            resized: true,
            rest: true,
            scroll: None,
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && !self.resized && !self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_set_holds_exactly_what_was_put_in() {
        let mut set = RowSet::EMPTY;
        for y in [0, 63, 64, 499] {
            set.insert(y);
        }
        set.insert(u16::MAX);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 499]);
        assert_eq!(set.len(), 4);
        assert!(set.contains(64) && !set.contains(65) && !set.contains(u16::MAX));
        assert_eq!(RowSet::all(500).len(), 500);
        assert!(RowSet::all(0).is_empty());
    }
}
