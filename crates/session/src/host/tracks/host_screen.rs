//! What the host's own side may look at: a terminal as its emulator has it.

use pillion_proto::TrackId;
use pillion_screen::{Screen, Terminal, emit::Resume};

use crate::host::Host;

impl Host {
    /// Fills `into` with a track's screen as the emulator has it now, whatever frames were made of
    /// it; anybody who draws over the host's own terminal repaints from this. Leaves it alone for a track
    /// that is no terminal.
    pub fn capture(&self, track: TrackId, into: &mut Screen) {
        if let Some(term) = self.tracks.term(track) {
            term.capture(into);
        }
    }

    /// How the program draws next that the host's own terminal shows, for who drew in between.
    pub fn resume(&self) -> Resume {
        self.shown_term().map(Terminal::resume).unwrap_or_default()
    }

    /// Whether the host's terminal may have its cursor elsewhere than the emulator, which may think otherwise
    /// of the width of what was written.
    pub fn cursor_is_unsure(&self) -> bool {
        self.shown_term().is_some_and(Terminal::cursor_is_unsure)
    }

    /// How often the program that is shown has asked its terminal where the cursor is.
    pub fn cursor_queries(&self) -> u64 {
        self.shown_term().map_or(0, Terminal::cursor_queries)
    }

    /// How often the program that is shown has set its terminal's title.
    pub fn title_sets(&self) -> u64 {
        self.shown_term().map_or(0, Terminal::title_sets)
    }

    fn shown_term(&self) -> Option<&Terminal> {
        self.tracks.term(self.tracks.shown())
    }

    /// Whether the program shows the alternate screen.
    pub fn is_alternate(&self, track: TrackId) -> bool {
        let term = self.tracks.term(track);
        term.is_some_and(Terminal::is_alternate)
    }

    /// Whether the program's output so far ends between two sequences, outside a synchronized update:
    /// where something may be drawn over it.
    pub fn at_ground(&self, track: TrackId) -> bool {
        let term = self.tracks.term(track);
        term.is_some_and(Terminal::at_ground)
    }

    /// Whether the program's output so far ends between two sequences, be it inside a synchronized
    /// update: where a title or a bell may be sent.
    pub fn between_sequences(&self, track: TrackId) -> bool {
        let term = self.tracks.term(track);
        term.is_some_and(Terminal::between_sequences)
    }

    /// The track that the host's own terminal shows.
    pub fn shown(&self) -> TrackId {
        self.tracks.shown()
    }
}
