//! History on its way to a viewer: chunks cut to what may be seen, packed for one reply.
//!
//! Packed, chunks stand one after the other, each as its number of records, its length in bytes and
//! its bytes; all of it compressed as one zstd stream. Records follow each other without gaps.

use crate::{
    compression::Decompressor,
    error::DecodeError,
    history::{Budget, Line},
    screen::LineId,
    wire::Reader,
};

/// Most bytes of one reply before they are packed. A host stops at a quarter of that; the chunk it stops in may
/// be half of it.
pub const MAX_UNPACKED: usize = 1024 * 1024;

/// Reads back what `pack` packed: `count` lines of which the first is `first`.
///
/// # Errors
/// When the bytes are not exactly that many records. Memory is bounded by [`MAX_UNPACKED`] and
/// [`MAX_DECODED`](crate::history::MAX_DECODED), not by what the bytes claim.
pub fn unpack(first: LineId, count: u32, wire: &[u8]) -> Result<Vec<Line>, DecodeError> {
    let mut body = Vec::new();
    Decompressor::new().whole(wire, &mut body, MAX_UNPACKED)?;
    let mut reader = Reader::new(&body);
    let mut budget = Budget::default();
    let mut lines = Vec::new();
    let mut left = u64::from(count);
    while reader.left() > 0 {
        let records = reader.at_most(left, "a number of history lines")?;
        let length = reader.at_most(reader.left() as u64, "the length of a piece of history")?;
        let bytes = reader.bytes(length as usize, "a piece of history")?;
        let id = first.0.checked_add(u64::from(count) - left);
        let id = LineId(id.ok_or(DecodeError::Invalid("a line number"))?);
        lines.extend(budget.decode_lines(id, records as u32, bytes)?);
        left -= records;
    }
    match left {
        0 => Ok(lines),
        _ => Err(DecodeError::Truncated("history")),
    }
}

#[cfg(feature = "emulator")]
pub use packing::{cut, pack};

#[cfg(feature = "emulator")]
mod packing {
    use bytes::Bytes;

    use crate::{
        compression::Compressor,
        error::DecodeError,
        history::{HistoryChunk, encode_lines},
        screen::LineId,
        wire::put_number,
    };

    /// zstd level of history: sent when asked for, and made while nobody waits for a keystroke.
    const LEVEL: i32 = 3;

    /// Consecutive chunks as one reply's payload; [`unpack`](super::unpack) reads it.
    pub fn pack(chunks: &[HistoryChunk]) -> Bytes {
        let mut body = Vec::new();
        for chunk in chunks {
            put_number(&mut body, u64::from(chunk.count));
            put_number(&mut body, chunk.bytes.len() as u64);
            body.extend_from_slice(&chunk.bytes);
        }
        Compressor::new(LEVEL).whole(&body)
    }

    /// The part of a chunk that lies within the `count` records from `from` on. A chunk that lies
    /// within as a whole comes back uncopied.
    ///
    /// # Errors
    /// When the chunk is damaged and has to be cut.
    pub fn cut(
        chunk: &HistoryChunk,
        from: LineId,
        count: u32,
    ) -> Result<Vec<HistoryChunk>, DecodeError> {
        let end = from.0.saturating_add(u64::from(count));
        let chunk_end = chunk.first.0.saturating_add(u64::from(chunk.count));
        if chunk.first >= from && chunk_end <= end {
            return Ok(vec![chunk.clone()]);
        }
        let mut lines = chunk.lines()?;
        lines.retain(|line| line.id >= from && line.id.0 < end);
        Ok(encode_lines(&lines))
    }
}

#[cfg(all(test, feature = "emulator"))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        cell::{Attrs, Style},
        history::{HistoryChunk, MAX_DECODED, Run, encode_lines},
        wire::put_number,
    };

    fn chunk(first: u64, count: u64) -> HistoryChunk {
        let style = Style {
            attrs: Attrs::BOLD,
            ..Style::default()
        };
        let run = |id: u64| Run {
            text: format!("line {id}"),
            style,
            link: None,
        };
        let lines: Vec<Line> = (first..first + count)
            .map(|id| Line {
                id: LineId(id),
                runs: vec![run(id)],
                continued: false,
            })
            .collect();
        encode_lines(&lines).remove(0)
    }

    fn ids(lines: &[Line]) -> Vec<u64> {
        lines.iter().map(|line| line.id.0).collect()
    }

    #[test]
    fn chunks_come_back_as_lines() {
        let wire = pack(&[chunk(5, 3), chunk(8, 2)]);
        let lines = unpack(LineId(5), 5, &wire).unwrap();
        assert_eq!(ids(&lines), [5, 6, 7, 8, 9]);
        assert_eq!(lines[4].text(), "line 9");
        assert_eq!(unpack(LineId(0), 0, &pack(&[])), Ok(Vec::new()));
    }

    #[test]
    fn more_or_fewer_lines_than_promised_are_refused() {
        let wire = pack(&[chunk(5, 3)]);
        assert!(unpack(LineId(5), 2, &wire).is_err());
        assert!(unpack(LineId(5), 4, &wire).is_err());
        assert!(unpack(LineId(u64::MAX), 3, &wire).is_err());
    }

    #[test]
    fn a_cut_keeps_exactly_the_lines_within() {
        let whole = chunk(10, 5);
        assert_eq!(cut(&whole, LineId(10), 5), Ok(vec![whole.clone()]));
        let part = cut(&whole, LineId(12), 2).unwrap();
        assert_eq!(ids(&part[0].lines().unwrap()), [12, 13]);
        assert_eq!(cut(&whole, LineId(20), 5), Ok(Vec::new()));
        assert_eq!(cut(&whole, LineId(0), 10), Ok(Vec::new()));
    }

    /// So many lines of as many characters, each with a look of its own, packed.
    fn rainbow(lines: u32, cells: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in 0..lines {
            put_number(&mut bytes, (cells as u64) << 2 | 2);
            bytes.extend(std::iter::repeat_n(b'x', cells));
            put_number(&mut bytes, cells as u64);
            for cell in 0..cells {
                if cell + 1 < cells {
                    put_number(&mut bytes, 1);
                }
                put_number(&mut bytes, 1 + (cell % 2) as u64);
                if line == 0 && cell < 2 {
                    // Red, then green.
                    bytes.extend([1, cell as u8 + 1]);
                }
            }
        }
        let mut body = Vec::new();
        put_number(&mut body, u64::from(lines));
        put_number(&mut body, bytes.len() as u64);
        body.extend(bytes);
        crate::compression::Compressor::new(3).whole(&body).to_vec()
    }

    #[test]
    fn a_few_bytes_do_not_become_much_memory() {
        // What was 274 MB once it was read.
        let wire = rainbow(660, 4096);
        assert!(wire.len() < 2048, "{}", wire.len());
        let limit = MAX_UNPACKED;
        assert_eq!(
            unpack(LineId(0), 660, &wire),
            Err(DecodeError::TooLarge { limit })
        );
        // Within that, runs are counted.
        let limit = MAX_DECODED;
        let wire = rainbow(80, 4096);
        assert_eq!(
            unpack(LineId(0), 80, &wire),
            Err(DecodeError::TooRich { limit })
        );
        // What a host sends at most is read.
        let lines = unpack(LineId(0), 30, &rainbow(30, 4096)).unwrap();
        assert_eq!(
            lines.iter().map(|line| line.runs.len()).sum::<usize>(),
            30 * 4096
        );
    }

    #[test]
    fn a_line_has_no_more_cells_than_a_record_may_have() {
        assert!(unpack(LineId(0), 1, &rainbow(1, 4096)).is_ok());
        let refused = unpack(LineId(0), 1, &rainbow(1, 4097));
        assert_eq!(
            refused,
            Err(DecodeError::Invalid("a history line's length"))
        );
    }

    #[test]
    fn a_line_of_links_is_small_enough_to_be_read() {
        let run = |n: usize| Run {
            text: "x".to_owned(),
            style: Style::default(),
            link: Some(std::sync::Arc::from(format!("https://a.example/{n:02000}"))),
        };
        let line = Line {
            id: LineId(0),
            runs: (0..4096).map(run).collect(),
            continued: false,
        };
        let wire = pack(&encode_lines(&[line]));
        let lines = unpack(LineId(0), 1, &wire).unwrap();
        assert_eq!(lines[0].text(), "x".repeat(4096));
        let with_link = lines[0]
            .runs
            .iter()
            .filter(|run| run.link.is_some())
            .count();
        assert!((100..200).contains(&with_link), "{with_link}");
    }

    proptest! {
        #[test]
        fn mutated_bytes_are_lines_or_refused(at: prop::sample::Index, bit in 0u8..8) {
            let mut wire = pack(&[chunk(5, 3), chunk(8, 2)]).to_vec();
            let at = at.index(wire.len());
            wire[at] ^= 1 << bit;
            if let Ok(lines) = unpack(LineId(5), 5, &wire) {
                prop_assert_eq!(ids(&lines), [5, 6, 7, 8, 9]);
            }
        }

        #[test]
        fn any_bytes_are_lines_or_refused(wire: Vec<u8>, count: u32) {
            let _ = unpack(LineId(0), count, &wire);
        }
    }
}
