//! Where the terminal's own cursor is, once it can't be known from what was written.
//!
//! The program's bytes reach the terminal as they are, and it may think otherwise than the emulator of the
//! width of what they say. So it is asked (DSR 6), and the cursor is put back to where it says; the
//! answer comes among the keys. Where it doesn't answer, or its rows may be others than the emulator's,
//! nothing is drawn over one row.

use pillion_screen::{Modes, Row, Screen, Wrap, emit::Resume};
use pillion_session::Now;

/// How long a terminal is waited for, in microseconds: one across the world answers within. The program's
/// output is held meanwhile.
const PATIENCE_US: u64 = 500_000;

/// What is known of the cursor while the program's output is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Place {
    /// It is where the emulator has it.
    #[default]
    Emulated,
    /// It is at this column and row, the emulator's one.
    At(u16, u16),
    /// Nobody can say, and the rows may be others too.
    Unknown,
}

impl Place {
    /// Where it is if not where the emulator has it.
    pub(crate) fn real(self) -> Option<(u16, u16)> {
        match self {
            Place::At(x, y) => Some((x, y)),
            Place::Emulated | Place::Unknown => None,
        }
    }
}

/// The question and its answer.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    /// Since when the answer is waited for.
    asked: Option<u64>,
    /// What the terminal said: column and row, as it counts them.
    answer: Option<(u16, u16)>,
    /// It didn't answer in time, and hasn't since.
    silent: bool,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// It is to be asked.
    Ask,
    /// The answer is waited for.
    Wait,
    /// This is known.
    Done(Place),
}

impl Probe {
    pub(crate) fn asked(&mut self, now: Now) {
        self.asked = Some(now.mono_us);
        self.answer = None;
    }

    /// The terminal's answer.
    pub(crate) fn answered(&mut self, x: u16, y: u16) {
        self.silent = false;
        if self.asked.is_some() {
            self.answer = Some((x, y));
        }
    }

    /// Output went on: what was said holds no longer.
    pub(crate) fn forget(&mut self) {
        (self.asked, self.answer) = (None, None);
    }

    pub(crate) fn due_at(&self) -> Option<u64> {
        let asked = self.asked.filter(|_| self.answer.is_none())?;
        Some(asked.saturating_add(PATIENCE_US))
    }

    /// What is known of the cursor over `screen`, which the emulator has.
    pub(crate) fn stands(&mut self, now: Now, screen: &Screen, resume: &Resume) -> Asking {
        if !rows_agree(&screen.rows) {
            return Asking::Done(Place::Unknown);
        }
        if let Some(answer) = self.answer {
            return Asking::Done(place(answer, screen, resume));
        }
        match self.due_at() {
            Some(at) if now.mono_us < at => Asking::Wait,
            None if !self.silent => Asking::Ask,
            _ => {
                self.silent = true;
                self.asked = None;
                Asking::Done(Place::Unknown)
            }
        }
    }
}

fn place((x, y): (u16, u16), screen: &Screen, resume: &Resume) -> Place {
    // In origin mode rows are counted from the region's first one.
    let top = match screen.modes.contains(Modes::ORIGIN) {
        true => resume.region_top,
        false => 0,
    };
    let cursor = &screen.cursor;
    match (x, y.saturating_add(top)) {
        (x, y) if (x, y) == (cursor.x, cursor.y) => Place::Emulated,
        // In the last column it may be behind it as well, which it does not tell.
        (x, y) if y == cursor.y && x + 1 < screen.size.cols() => Place::At(x, y),
        _ => Place::Unknown,
    }
}

/// Whether the terminal has the same rows, whatever it thinks of widths: what it finds wider may have been
/// wrapped there, or wrapped elsewhere.
fn rows_agree(rows: &[Row]) -> bool {
    rows.iter().all(|row| {
        let most: usize = row.cells.iter().map(|cell| cell.most_columns()).sum();
        let blanks = row
            .cells
            .iter()
            .rev()
            .take_while(|cell| cell.ch == ' ')
            .count();
        let disputed = row.cells.iter().any(|cell| cell.is_disputed());
        !disputed || row.wrap == Wrap::Ends && most.saturating_sub(blanks) <= row.cells.len()
    })
}
