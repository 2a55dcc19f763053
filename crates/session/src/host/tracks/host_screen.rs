//! What the host's own side may look at: the terminal as the emulator has it.

use pillion_proto::TrackId;
use pillion_screen::{Screen, emit::Resume};

use crate::host::{Host, tracks::track::TERMINAL};

impl Host {
    /// Fills `into` with a track's screen as the emulator has it now, whatever frames were made of
    /// it; anybody who draws over the host's own terminal repaints from this. Leaves it alone for a track
    /// that is no terminal.
    pub fn capture(&self, track: TrackId, into: &mut Screen) {
        if track == TERMINAL {
            self.track.term.capture(into);
        }
    }

    /// How the program draws next, for who drew in between.
    pub fn resume(&self) -> Resume {
        self.track.term.resume()
    }

    /// Whether the host's terminal may have its cursor elsewhere than the emulator, which may think otherwise
    /// of the width of what was written.
    pub fn cursor_is_unsure(&self) -> bool {
        self.track.term.cursor_is_unsure()
    }

    /// How often the program has asked its terminal where the cursor is.
    pub fn cursor_queries(&self) -> u64 {
        self.track.term.cursor_queries()
    }

    /// Whether the program shows the alternate screen.
    pub fn is_alternate(&self, track: TrackId) -> bool {
        track == TERMINAL && self.track.term.is_alternate()
    }

    /// Whether the program's output so far ends between two sequences, outside a synchronized update:
    /// where something may be drawn over it.
    pub fn at_ground(&self, track: TrackId) -> bool {
        track == TERMINAL && self.track.term.at_ground()
    }

    /// Whether the program's output so far ends between two sequences, be it inside a synchronized
    /// update: where a title or a bell may be sent.
    pub fn between_sequences(&self, track: TrackId) -> bool {
        track == TERMINAL && self.track.term.between_sequences()
    }
}
