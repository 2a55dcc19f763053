//! What anybody who draws over the program's terminal gives back beside the screen.

use vte::ansi::{CharsetIndex, StandardCharset};

use super::{Terminal, cells};
use crate::emit::Resume;

impl Terminal {
    /// How the program draws next.
    pub fn resume(&self) -> Resume {
        let cursor = self.guard.cursor();
        let sets = [
            CharsetIndex::G0,
            CharsetIndex::G1,
            CharsetIndex::G2,
            CharsetIndex::G3,
        ];
        Resume {
            pen: cells::style(&cursor.template),
            region_top: self.guard.region.0,
            region_end: self.guard.region.1,
            line_drawing: sets
                .map(|set| cursor.charsets[set] == StandardCharset::SpecialCharacterAndLineDrawing),
            shifted: self.guard.charset == CharsetIndex::G1,
        }
    }
}
