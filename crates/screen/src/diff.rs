//! What changed between two screens: cells that differ, and rows that moved and need not be sent
//! again.

use crate::{
    cell::{Cell, Row, Width},
    damage::Scroll,
};

/// Unchanged cells between two changed ones that are cheaper sent again than skipped: a new span
/// costs five bytes in a frame, and as much on a terminal.
const GAP: usize = 6;

/// What a span costs beside its cells, in cells (about bytes, uncompressed).
const SPAN_COST: i32 = 6;

/// A scroll must save at least this much to be worth its operation.
const WORTH: i32 = 12;

/// The next changed cells from column `x` on: first, and the one after the last. Never splits a
/// wide cell.
pub(crate) fn next_span(old: &[Cell], new: &[Cell], x: usize) -> Option<(usize, usize)> {
    let changed = |x: usize| old.get(x) != new.get(x);
    let mut from = (x..new.len()).find(|&x| changed(x))?;
    let mut to = from + 1;
    let mut at = to;
    while at < new.len() && at - to < GAP {
        if changed(at) {
            to = at + 1;
        }
        at += 1;
    }
    let width = |x: usize| new.get(x).map(|cell| cell.width);
    if width(from) == Some(Width::Spacer) {
        from = from.saturating_sub(1);
    }
    if width(to - 1) == Some(Width::Wide) {
        to += 1;
    }
    Some((from, to.min(new.len())))
}

/// A number that differs between rows of different content, nearly always. Only for finding rows
/// that moved; where it lies the comparison of cells puts it right.
pub(crate) fn row_hash(row: &Row) -> u64 {
    use crate::cell::Color;

    // 2^64 / golden ratio, odd: spreads every input bit over the high half.
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, value: u64| (hash ^ value).wrapping_mul(MULTIPLIER).rotate_left(29);
    let color = |color: Color| match color {
        Color::Default => 0u64,
        Color::Indexed(index) => 1 << 24 | u64::from(index),
        Color::Rgb(r, g, b) => 2 << 24 | u64::from(r) << 16 | u64::from(g) << 8 | u64::from(b),
    };
    let mut hash = 0;
    for cell in &row.cells {
        let style = &cell.style;
        let head = u64::from(cell.ch) | u64::from(style.attrs.0) << 32 | (cell.width as u64) << 48;
        hash = mix(hash, head);
        if style.fg != Color::Default || style.bg != Color::Default {
            hash = mix(hash, color(style.fg) << 32 | color(style.bg));
        }
        if let Some(extra) = &cell.extra {
            for ch in extra.marks.chars() {
                hash = mix(hash, u64::from(ch));
            }
            hash = mix(
                hash,
                extra.link.as_ref().map_or(0, |link| link.len() as u64),
            );
        }
    }
    hash
}

/// Rows with their hashes.
#[derive(Clone, Copy)]
pub(crate) struct Hashed<'a> {
    pub(crate) rows: &'a [Row],
    pub(crate) hashes: &'a [u64],
}

/// Finds scrolls; keeps its memory between frames.
#[derive(Debug, Default)]
pub(crate) struct ScrollFinder {
    /// Hash and place of the old rows, sorted.
    index: Vec<(u64, u16)>,
    /// By how much each row moved.
    votes: Vec<i16>,
}

impl ScrollFinder {
    /// The move that saves most on the way from `old` to `new`, if one saves anything. Both have
    /// the same number of rows and columns; `blank` is the hash of an empty row.
    pub(crate) fn find(
        &mut self,
        old: Hashed<'_>,
        new: Hashed<'_>,
        blank: u64,
        hint: Option<Scroll>,
    ) -> Option<Scroll> {
        let voted = self.vote(old.hashes, new.hashes, blank)?;
        let hinted = hint.map(|hint| hint.lines).filter(|&lines| lines != 0);
        [hinted, voted.filter(|&lines| Some(lines) != hinted)]
            .into_iter()
            .flatten()
            .filter_map(|lines| best_region(old, new, blank, lines))
            .max_by_key(|&(gain, _)| gain)
            .map(|(_, scroll)| scroll)
    }

    /// By how many lines most changed rows moved. `None` when too little changed for a scroll,
    /// `Some(None)` when nothing moved.
    fn vote(&mut self, old: &[u64], new: &[u64], blank: u64) -> Option<Option<i16>> {
        let changed = || {
            (0u16..)
                .zip(old.iter().zip(new))
                .filter(|(_, (o, n))| o != n)
        };
        if changed().take(2).count() < 2 {
            return None;
        }
        self.index.clear();
        self.index.extend(
            old.iter()
                .copied()
                .zip(0u16..)
                .filter(|&(hash, _)| hash != blank),
        );
        self.index.sort_unstable();
        self.votes.clear();
        for (y, (_, &hash)) in changed() {
            let first = self.index.partition_point(|&(other, _)| other < hash);
            // Several old rows may look the same ("}"): the first few stand for all.
            let same = self.index.iter().skip(first).take(4);
            for &(_, from) in same.take_while(|&&(other, _)| other == hash) {
                if from != y {
                    self.votes.push(from as i16 - y as i16);
                }
            }
        }
        self.votes.sort_unstable();
        let best = self
            .votes
            .chunk_by(|a, b| a == b)
            .max_by_key(|moved| moved.len());
        Some(best.and_then(|moved| moved.first()).copied())
    }
}

/// The region in which moving by `lines` saves most, and how much.
fn best_region(old: Hashed<'_>, new: Hashed<'_>, blank: u64, lines: i16) -> Option<(i32, Scroll)> {
    let height = i32::try_from(new.rows.len()).ok()?;
    let lines = i32::from(lines);
    if lines.abs() >= height {
        return None;
    }
    // The run of rows whose sum of gains is largest (Kadane).
    let mut best = (0, 0..0);
    let mut sum = 0;
    let mut from = 0;
    for y in 0.max(-lines)..height.min(height - lines) {
        if sum <= 0 {
            (sum, from) = (0, y);
        }
        sum += cost(old, new, y, y) - cost(old, new, y + lines, y);
        if sum > best.0 {
            best = (sum, from..y + 1);
        }
    }
    let (gain, run) = best;
    if gain == 0 {
        return None;
    }
    // The rows the move leaves empty.
    let (top, bottom, emptied) = if lines > 0 {
        (run.start, run.end + lines, run.end..run.end + lines)
    } else {
        (run.start + lines, run.end, run.start + lines..run.start)
    };
    let emptied: i32 = emptied
        .map(|y| cost(old, new, y, y) - cost_from_blank(new, blank, y))
        .sum();
    let scroll = Scroll {
        top: u16::try_from(top).ok()?,
        bottom: u16::try_from(bottom).ok()?,
        lines: i16::try_from(lines).ok()?,
    };
    (gain + emptied > WORTH).then_some((gain + emptied, scroll))
}

/// What sending new row `y` costs when old row `from` stands there.
fn cost(old: Hashed<'_>, new: Hashed<'_>, from: i32, y: i32) -> i32 {
    let (from, y) = (from as usize, y as usize);
    if old.hashes.get(from) == new.hashes.get(y) {
        return 0;
    }
    let (Some(old), Some(new)) = (old.rows.get(from), new.rows.get(y)) else {
        return 0;
    };
    let differ = old.cells.iter().zip(&new.cells).filter(|(a, b)| a != b);
    differ.count() as i32 + SPAN_COST
}

fn cost_from_blank(new: Hashed<'_>, blank: u64, y: i32) -> i32 {
    let y = y as usize;
    if new.hashes.get(y) == Some(&blank) {
        return 0;
    }
    let empty = Cell::default();
    new.rows.get(y).map_or(0, |row| {
        row.cells.iter().filter(|&cell| *cell != empty).count() as i32 + SPAN_COST
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&str]) -> (Vec<Row>, Vec<u64>) {
        let rows: Vec<Row> = lines
            .iter()
            .map(|line| {
                let mut row = Row::blank(20);
                for (cell, ch) in row.cells.iter_mut().zip(line.chars()) {
                    cell.ch = ch;
                }
                row
            })
            .collect();
        let hashes = rows.iter().map(row_hash).collect();
        (rows, hashes)
    }

    fn find(old: &[&str], new: &[&str], hint: Option<Scroll>) -> Option<(u16, u16, i16)> {
        let (old_rows, old_hashes) = rows(old);
        let (new_rows, new_hashes) = rows(new);
        ScrollFinder::default()
            .find(
                Hashed {
                    rows: &old_rows,
                    hashes: &old_hashes,
                },
                Hashed {
                    rows: &new_rows,
                    hashes: &new_hashes,
                },
                row_hash(&Row::blank(20)),
                hint,
            )
            .map(|scroll| (scroll.top, scroll.bottom, scroll.lines))
    }

    #[test]
    fn a_whole_screen_moves_up_or_down() {
        let old = [
            "one one one one",
            "two two two two",
            "three three",
            "four four",
        ];
        let up = ["two two two two", "three three", "four four", "five five"];
        assert_eq!(find(&old, &up, None), Some((0, 4, 1)));
        assert_eq!(find(&up, &old, None), Some((0, 4, -1)));
        assert_eq!(find(&old, &old, None), None);
    }

    #[test]
    fn a_region_moves_under_a_status_line() {
        let old = [
            "status status stat",
            "two two two two",
            "three three thr",
            "four four four",
            "bar bar bar bar",
        ];
        let new = [
            "status status stat",
            "three three thr",
            "four four four",
            "",
            "bar bar bar bar",
        ];
        assert_eq!(find(&old, &new, None), Some((1, 4, 1)));
    }

    #[test]
    fn rows_that_moved_and_changed_are_found_with_a_hint() {
        let old = [
            "1 alpha alpha alph",
            "2 beta beta beta b",
            "3 gamma gamma gamm",
            "4 delta delta delt",
        ];
        let new = [
            "1 beta beta beta b",
            "2 gamma gamma gamm",
            "3 delta delta delt",
            "4 epsilon epsilon ",
        ];
        assert_eq!(find(&old, &new, None), None);
        let hint = Scroll {
            top: 0,
            bottom: 4,
            lines: 1,
        };
        assert_eq!(find(&old, &new, Some(hint)), Some((0, 4, 1)));
    }

    #[test]
    fn unrelated_screens_are_not_scrolled() {
        assert_eq!(
            find(
                &["aaaa aaaa", "bbbb bbb", "c"],
                &["x", "y", "z zzzz zz"],
                None
            ),
            None
        );
    }
}
