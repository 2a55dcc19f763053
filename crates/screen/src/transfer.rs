//! History on its way to a viewer: chunks cut to what may be seen, packed for one reply.
//!
//! Packed, chunks stand one after the other, each as its number of records, its length in bytes and
//! its bytes; all of it compressed as one zstd stream. Records follow each other without gaps.

use crate::{
    error::DecodeError,
    history::{Line, decode_lines},
    screen::LineId,
    wire::Reader,
    zip::Decompressor,
};

/// Reads back what `pack` packed: `count` lines of which the first is `first`.
///
/// # Errors
/// When the bytes are not exactly that many records. Memory is bounded by
/// [`MAX_BODY`](crate::MAX_BODY), not by what the bytes claim.
pub fn unpack(first: LineId, count: u32, wire: &[u8]) -> Result<Vec<Line>, DecodeError> {
    let mut body = Vec::new();
    Decompressor::new().whole(wire, &mut body)?;
    let mut reader = Reader::new(&body);
    let mut lines = Vec::new();
    let mut left = u64::from(count);
    while reader.left() > 0 {
        let records = reader.at_most(left, "a number of history lines")?;
        let length = reader.at_most(reader.left() as u64, "the length of a piece of history")?;
        let bytes = reader.bytes(length as usize, "a piece of history")?;
        let id = first.0.checked_add(u64::from(count) - left);
        let id = LineId(id.ok_or(DecodeError::Invalid("a line number"))?);
        lines.extend(decode_lines(id, records as u32, bytes)?);
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
        error::DecodeError,
        history::{HistoryChunk, encode_lines},
        screen::LineId,
        wire::put_number,
        zip::Compressor,
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
        history::{HistoryChunk, Run, encode_lines},
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
