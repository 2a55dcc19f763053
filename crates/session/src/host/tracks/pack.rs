//! Packing history: what the log has and what may still change, put together for one reply. It is the
//! costly part of an answer, and needs nothing of the host's, so the driver does it on another thread.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use pillion_proto::{Entry, HistoryReply, TrackId, TrackKind};
use pillion_screen::{HistoryChunk, LineId, transfer};

/// Uncompressed history in one reply, in bytes; a viewer asks again for more.
pub(in crate::host) const MAX_REPLY: usize = 256 * 1024;

/// A reply to be made: read `count` lines from `from` on from the log, if there are any to read, and
/// [`pack`](Self::pack) them.
#[derive(Debug)]
pub struct HistoryJob {
    pub(in crate::host) number: u64,
    /// The track.
    pub track: TrackId,
    pub(in crate::host) kind: TrackKind,
    /// First line wanted of the log.
    pub from: LineId,
    /// At most so many records; there may be none.
    pub count: u32,
    /// At most so many encoded bytes.
    pub max_bytes: usize,
    /// Lines wanted in all: some may still change, and are here already.
    pub(in crate::host) wanted: u32,
    pub(in crate::host) settled: LineId,
    pub(in crate::host) margin: Vec<HistoryChunk>,
}

/// A reply that was made, for [`HostInput::History`](crate::HostInput::History).
#[derive(Debug)]
pub struct PackedHistory {
    pub(in crate::host) number: u64,
    /// The message, shared between all who are sent it.
    pub(in crate::host) bytes: Bytes,
}

impl HistoryJob {
    /// Puts the reply together from what the log has: consecutive chunks, possibly none, each as its first
    /// line, its records and their encoded lines.
    pub fn pack(&self, chunks: Vec<(LineId, u32, Bytes)>) -> PackedHistory {
        if self.kind != TrackKind::Terminal {
            return PackedHistory {
                number: self.number,
                bytes: self.pack_entries(&chunks),
            };
        }
        let mut reply = Gathered::new(self.from, self.wanted, self.max_bytes);
        for (first, count, bytes) in chunks {
            reply.add(&HistoryChunk {
                first,
                count,
                bytes,
            });
        }
        for piece in &self.margin {
            if reply.missing_from(self.settled).is_none() {
                break;
            }
            reply.add(piece);
        }
        PackedHistory {
            number: self.number,
            bytes: reply.message(self.settled),
        }
    }
}

impl HistoryJob {
    /// The entries of a chunk of the log, as they are sent: what it gave back damaged is as good as lost.
    fn entries(&self, bytes: &[u8]) -> Vec<Entry> {
        if self.kind != TrackKind::Conversation {
            return Entry::decode_all(bytes).unwrap_or_default();
        }
        let mut entries = Entry::decode_recorded(bytes).unwrap_or_default();
        for entry in &mut entries {
            if let Ok(json) = std::str::from_utf8(&entry.json)
                && let Cow::Owned(part) = pillion_conversation::shown(json)
            {
                entry.json = part.into();
            }
        }
        entries
    }

    /// The same for a track of entries, which never change.
    fn pack_entries(&self, chunks: &[(LineId, u32, Bytes)]) -> Bytes {
        let end = self.from.0.saturating_add(u64::from(self.wanted));
        let mut payload = BytesMut::new();
        let (mut first, mut count) = (self.from.0, 0_u32);
        for (_, _, bytes) in chunks {
            for entry in self.entries(bytes) {
                let next = first.saturating_add(u64::from(count));
                let follows = entry.number == next || (count == 0 && entry.number > next);
                if !follows || entry.number >= end || payload.len() >= self.max_bytes {
                    continue;
                }
                if count == 0 {
                    first = entry.number;
                }
                count += 1;
                entry.encode(&mut payload);
            }
        }
        let mut out = BytesMut::new();
        HistoryReply {
            first,
            count,
            settled: self.settled.0,
            payload: payload.freeze(),
        }
        .encode(&mut out);
        out.freeze()
    }
}

/// Consecutive lines within a range, gathered from pieces that may reach beyond it.
pub(in crate::host) struct Gathered {
    first: LineId,
    count: u32,
    /// Lines that are still wanted.
    left: u32,
    bytes: usize,
    max_bytes: usize,
    pieces: Vec<HistoryChunk>,
}

impl Gathered {
    pub(in crate::host) fn new(first: LineId, left: u32, max_bytes: usize) -> Gathered {
        Gathered {
            first,
            count: 0,
            left,
            bytes: 0,
            max_bytes,
            pieces: Vec::new(),
        }
    }

    fn next(&self) -> LineId {
        LineId(self.first.0.saturating_add(u64::from(self.count)))
    }

    /// Takes what of a piece is wanted: from the next line on, as long as lines follow each other.
    /// Lines that were lost before the first one found are skipped. Whether anything was taken.
    fn add(&mut self, piece: &HistoryChunk) -> bool {
        let end = piece.first.0.saturating_add(u64::from(piece.count));
        if self.count == 0 && piece.count > 0 {
            self.skip_to(piece.first);
        }
        let follows = piece.first <= self.next() && end > self.next().0;
        if !follows || self.left == 0 || self.bytes >= self.max_bytes {
            return false;
        }
        // A piece the log gave back damaged is as good as lost.
        let cut = transfer::cut(piece, self.next(), self.left).unwrap_or_default();
        for piece in &cut {
            self.count += piece.count;
            self.left = self.left.saturating_sub(piece.count);
            self.bytes += piece.bytes.len();
        }
        let took = !cut.is_empty();
        self.pieces.extend(cut);
        took
    }

    fn skip_to(&mut self, line: LineId) {
        if let Some(lost) = line.0.checked_sub(self.first.0) {
            self.left = self
                .left
                .saturating_sub(u32::try_from(lost).unwrap_or(u32::MAX));
            self.first = line;
        }
    }

    /// The reply as a message.
    pub(in crate::host) fn message(&self, settled: LineId) -> Bytes {
        let mut out = BytesMut::new();
        HistoryReply {
            first: self.first.0,
            count: self.count,
            settled: settled.0,
            payload: transfer::pack(&self.pieces),
        }
        .encode(&mut out);
        out.freeze()
    }

    /// Where the lines that may still change begin, when they are wanted and fit.
    fn missing_from(&mut self, settled: LineId) -> Option<(LineId, u32)> {
        if self.count == 0 {
            self.skip_to(settled);
        }
        let fits = self.next() >= settled && self.left > 0 && self.bytes < self.max_bytes;
        fits.then_some((self.next(), self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillion_screen::{Line, Run, Style, history::encode_lines};

    fn piece(first: u64, count: u64) -> HistoryChunk {
        let text = |id: u64| Run {
            text: format!("line {id}"),
            style: Style::default(),
            link: None,
        };
        let lines: Vec<Line> = (first..first + count)
            .map(|id| Line {
                id: LineId(id),
                runs: vec![text(id)],
                continued: false,
            })
            .collect();
        encode_lines(&lines).remove(0)
    }

    #[test]
    fn pieces_are_cut_to_the_range() {
        let mut gathered = Gathered::new(LineId(5), 10, MAX_REPLY);
        assert!(gathered.add(&piece(0, 8)));
        assert!(gathered.add(&piece(8, 20)));
        assert!(!gathered.add(&piece(28, 2)));
        assert_eq!((gathered.first, gathered.count), (LineId(5), 10));
        let wire = transfer::pack(&gathered.pieces);
        let lines = transfer::unpack(LineId(5), 10, &wire).unwrap();
        assert_eq!(lines[0].text(), "line 5");
        assert_eq!(lines[9].text(), "line 14");
    }

    #[test]
    fn lost_lines_before_the_first_are_skipped_and_a_gap_ends_the_reply() {
        let mut gathered = Gathered::new(LineId(0), 10, MAX_REPLY);
        assert!(gathered.add(&piece(4, 2)));
        assert!(!gathered.add(&piece(8, 2)));
        assert_eq!((gathered.first, gathered.count), (LineId(4), 2));
        assert_eq!(gathered.missing_from(LineId(20)), None);
        assert_eq!(gathered.missing_from(LineId(6)), Some((LineId(6), 4)));
    }

    #[test]
    fn a_damaged_piece_is_as_good_as_lost() {
        let mut gathered = Gathered::new(LineId(1), 10, MAX_REPLY);
        let damaged = HistoryChunk {
            bytes: Bytes::from_static(b"\xff\xff"),
            ..piece(0, 5)
        };
        assert!(!gathered.add(&damaged));
        assert_eq!(gathered.count, 0);
    }
}
