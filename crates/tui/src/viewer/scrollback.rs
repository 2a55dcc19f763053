//! Looking back: lines of history, fetched as they are looked at, above the screen as it was when
//! looking back began. Output goes on meanwhile; coming back shows it.

use std::collections::BTreeMap;

use pillion_screen::{Line, LineId, Row, Screen};
use pillion_session::{HistoryLines, Now};

use crate::text;

/// Lines asked for at once: several screens, a few kilobytes.
const ASK: u64 = 256;

/// Lines kept ready above the ones shown, so that the wheel doesn't wait.
const AHEAD: u64 = 128;

/// Text and styles kept, in bytes; lines far from the ones shown are forgotten and fetched again.
const MAX_KEPT: usize = 8 * 1024 * 1024;

/// An answer that hasn't come after this long is asked for again, in microseconds.
const PATIENCE_US: u64 = 5_000_000;

/// A place in the history: a row of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    line: u64,
    row: u32,
}

/// What became of a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Still looking back.
    Back,
    /// At the end: live again.
    Live,
}

#[derive(Debug)]
pub(crate) struct Scrollback {
    /// The screen when looking back began.
    frozen: Screen,
    /// The row of it that was the viewport's first.
    live_row: u32,
    /// Columns that lines are wrapped at.
    cols: u16,
    /// Rows of the viewport.
    height: u32,
    /// The viewport's first row. Line [`Scrollback::head`] stands for the frozen screen.
    top: Place,
    lines: BTreeMap<u64, Line>,
    kept: usize,
    /// The first line that can be read.
    floor: u64,
    /// First line asked for, how many, and until when it is waited for.
    asked: Option<(u64, u64, u64)>,
    /// Rows still to go up once the lines there have come.
    owed: u32,
}

impl Scrollback {
    /// Looks back from `screen`, of which the viewport shows `height` rows from `live_row` on.
    pub(crate) fn new(screen: &Screen, live_row: u16, cols: u16, height: u16) -> Scrollback {
        let mut scrollback = Scrollback {
            frozen: screen.clone(),
            live_row: u32::from(live_row),
            cols: cols.min(screen.size.cols()),
            height: u32::from(height),
            top: Place { line: 0, row: 0 },
            lines: BTreeMap::new(),
            kept: 0,
            floor: screen.lines.oldest.0,
            asked: None,
            owed: 0,
        };
        scrollback.top = scrollback.bottom();
        scrollback
    }

    /// The viewport's size changed.
    pub(crate) fn resize(&mut self, cols: u16, height: u16) {
        self.cols = cols.min(self.frozen.size.cols());
        self.height = u32::from(height);
        let rows = self.rows_of(self.top.line).unwrap_or(1);
        self.top.row = self.top.row.min(rows.saturating_sub(1));
    }

    /// "line 12 of 345".
    pub(crate) fn position(&self) -> String {
        let (top, head) = (self.top.line.min(self.head()), self.head());
        format!(
            "line {} of {}",
            text::thousands(top.saturating_sub(self.floor) + 1),
            text::thousands(head.saturating_sub(self.floor) + 1)
        )
    }

    /// Goes up by rows.
    pub(crate) fn up(&mut self, rows: u32) {
        let mut left = rows
            .saturating_add(std::mem::take(&mut self.owed))
            .min(100_000);
        while left > 0 {
            if self.top.row > 0 {
                let step = left.min(self.top.row);
                self.top.row -= step;
                left -= step;
                continue;
            }
            if self.top.line <= self.floor {
                return;
            }
            let above = self.top.line - 1;
            let Some(rows) = self.rows_of(above) else {
                self.owed = left;
                return;
            };
            self.top = Place {
                line: above,
                row: rows - 1,
            };
            left -= 1;
        }
    }

    /// Goes down by rows.
    pub(crate) fn down(&mut self, rows: u32) -> Moved {
        self.owed = 0;
        for _ in 0..rows {
            let Some(here) = self.rows_of(self.top.line) else {
                break;
            };
            self.top = match self.top.row + 1 < here || self.top.line == self.head() {
                true => Place {
                    row: self.top.row + 1,
                    ..self.top
                },
                false => Place {
                    line: self.top.line + 1,
                    row: 0,
                },
            };
            if self.top >= self.bottom() {
                return Moved::Live;
            }
        }
        Moved::Back
    }

    /// Goes to the oldest line.
    pub(crate) fn home(&mut self) {
        self.owed = 0;
        self.top = Place {
            line: self.floor,
            row: 0,
        };
    }

    /// Whether this is where live is.
    pub(crate) fn is_at_bottom(&self) -> bool {
        self.owed == 0 && self.top >= self.bottom()
    }

    /// Rows of a page.
    pub(crate) fn page(&self) -> u32 {
        self.height.saturating_sub(1).max(1)
    }

    /// Lines that the host no longer has.
    pub(crate) fn forget_before(&mut self, oldest: LineId) {
        self.raise_floor(oldest.0);
    }

    /// Lines to ask for, if some are missing and none are on their way.
    pub(crate) fn wants(&mut self, now: Now) -> Option<(LineId, u32)> {
        if self.asked.is_some_and(|(.., until)| now.mono_us < until) {
            return None;
        }
        self.asked = None;
        let (from, count) = self.missing_below().or_else(|| self.missing_above())?;
        self.asked = Some((from, count, now.mono_us.saturating_add(PATIENCE_US)));
        Some((LineId(from), count as u32))
    }

    /// When to look at [`Scrollback::wants`] again if nothing comes.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        self.asked.map(|(.., until)| until)
    }

    /// The connection was lost: what was asked for won't come.
    pub(crate) fn disconnected(&mut self) {
        self.asked = None;
    }

    /// Lines came.
    pub(crate) fn take(&mut self, answer: HistoryLines) {
        let Some((from, count, _)) = self.asked else {
            return;
        };
        if answer.asked.0 != from {
            return;
        }
        self.asked = None;
        let first = answer.lines.first().map_or(from + count, |line| line.id.0);
        if first > from {
            self.raise_floor(first.min(self.head()));
        }
        for line in answer.lines {
            self.keep(line);
        }
        self.evict();
        if self.owed > 0 {
            self.up(0);
        }
    }

    /// The row of the viewport at `y`.
    pub(crate) fn rows(&self, mut each: impl FnMut(u16, Shown<'_>)) {
        let mut y = 0;
        let mut skip = self.top.row as usize;
        let mut show = |y: &mut u32, row: Shown<'_>| {
            if *y < self.height {
                each(*y as u16, row);
                *y += 1;
            }
        };
        for line in self.top.line..self.head() {
            if y >= self.height {
                return;
            }
            let Some(rows) = self.wrapped(line) else {
                show(&mut y, Shown::Fetching);
                return;
            };
            for row in rows.iter().skip(skip) {
                show(&mut y, Shown::History(row));
            }
            skip = 0;
        }
        for row in self.frozen.rows.iter().skip(skip) {
            show(&mut y, Shown::Screen(row));
        }
    }

    /// The frozen screen's place in the order of lines, after all others.
    fn head(&self) -> u64 {
        let lines = self.frozen.lines;
        lines.top.0 + u64::from(lines.top_offset > 0)
    }

    fn bottom(&self) -> Place {
        Place {
            line: self.head(),
            row: self.live_row,
        }
    }

    fn rows_of(&self, line: u64) -> Option<u32> {
        if line >= self.head() {
            return Some(self.frozen.rows.len() as u32);
        }
        self.wrapped(line).map(|rows| rows.len() as u32)
    }

    /// A line in rows. Of the one that goes on on the screen only what is above it.
    fn wrapped(&self, line: u64) -> Option<Vec<Row>> {
        let kept = self.lines.get(&line)?;
        let lines = self.frozen.lines;
        if line != lines.top.0 {
            return Some(text::wrap(kept, self.cols));
        }
        let mut rows = text::wrap(kept, self.frozen.size.cols());
        rows.truncate(usize::from(lines.top_offset).max(1));
        Some(rows)
    }

    /// The first line of the viewport that isn't here, and those after it.
    fn missing_below(&self) -> Option<(u64, u64)> {
        let mut rows = 0;
        let mut line = self.top.line;
        while line < self.head() && rows < u64::from(self.height) + u64::from(self.top.row) {
            match self.rows_of(line) {
                Some(count) => rows += u64::from(count),
                None => {
                    let next = self
                        .lines
                        .range(line..)
                        .next()
                        .map_or(self.head(), |(id, _)| *id);
                    return Some((line, (next.min(self.head()) - line).min(ASK)));
                }
            }
            line += 1;
        }
        None
    }

    /// The lines above the viewport that should be ready and aren't.
    fn missing_above(&self) -> Option<(u64, u64)> {
        let enough = self.top.line.saturating_sub(AHEAD).max(self.floor);
        // The first line upwards that isn't here.
        let mut end = self.top.line.min(self.head());
        while end > enough && self.lines.contains_key(&(end - 1)) {
            end -= 1;
        }
        if end <= enough {
            return None;
        }
        let below = self
            .lines
            .range(..end)
            .next_back()
            .map_or(0, |(id, _)| id + 1);
        let from = below.max(end.saturating_sub(ASK)).max(self.floor);
        Some((from, end - from))
    }

    fn keep(&mut self, line: Line) {
        let id = line.id.0;
        if id < self.floor || id >= self.head() {
            return;
        }
        self.kept += cost(&line);
        if let Some(before) = self.lines.insert(id, line) {
            self.kept -= cost(&before);
        }
    }

    fn evict(&mut self) {
        while self.kept > MAX_KEPT && self.lines.len() > 1 {
            let far = |id: Option<&u64>| id.map_or(0, |id| id.abs_diff(self.top.line));
            let first = far(self.lines.keys().next());
            let last = far(self.lines.keys().next_back());
            let gone = match first > last {
                true => self.lines.pop_first(),
                false => self.lines.pop_last(),
            };
            self.kept -= gone.map_or(0, |(_, line)| cost(&line));
        }
    }

    fn raise_floor(&mut self, floor: u64) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor.min(self.head());
        let keep = self.lines.split_off(&self.floor);
        let gone = std::mem::replace(&mut self.lines, keep);
        self.kept -= gone.values().map(cost).sum::<usize>();
        if self.top.line < self.floor {
            self.home();
        }
    }
}

/// A row of the viewport.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shown<'a> {
    /// Of a line that left the screen.
    History(&'a Row),
    /// Of the frozen screen.
    Screen(&'a Row),
    /// On its way.
    Fetching,
}

fn cost(line: &Line) -> usize {
    let run = std::mem::size_of::<pillion_screen::Run>();
    let text: usize = line.runs.iter().map(|r| r.text.len() + run).sum();
    text + std::mem::size_of::<Line>()
}
