//! History by range: what a viewer scrolls to, and never a line from before sharing began.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use pillion_proto::{Framer, HistoryReply, HistoryRequest, limits::MAX_HISTORY_LINES};
use pillion_screen::{HistoryChunk, LineId, transfer};

use crate::types::{ConnId, Stream};

use super::{Host, api::HostOutput, conn::Fault, track::TERMINAL};

/// Requests of one viewer that may be under way.
const MAX_OUTSTANDING: usize = 4;

/// Uncompressed history in one reply, in bytes; a viewer asks again for more.
const MAX_REPLY: usize = 256 * 1024;

/// What a request costs of a viewer's messages: a read from disk and a compression.
const COST: u64 = 10;

/// Longest request, in bytes.
const MAX_REQUEST: usize = 64;

/// A viewer's requests that are under way, by stream.
pub(super) struct Requests(BTreeMap<u64, Option<Framer>>);

impl Requests {
    pub(super) fn new() -> Requests {
        Requests(BTreeMap::new())
    }
}

/// A request waiting for what the log has.
pub(super) struct Reading {
    conn: ConnId,
    stream: u64,
    from: LineId,
    count: u32,
}

impl Host {
    /// Bytes came on a history stream.
    pub(super) fn on_history_stream(
        &mut self,
        conn: ConnId,
        id: u64,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let Some(member) = self.member_mut(conn) else {
            return Err(Fault::protocol("a history request before the welcome"));
        };
        let known = member.requests.0.len();
        if !member.requests.0.contains_key(&id) && known >= MAX_OUTSTANDING {
            // No viewer of ours asks for so many at once.
            return self.put_off(conn, id, COST);
        }
        let framer = member
            .requests
            .0
            .entry(id)
            .or_insert_with(|| Some(Framer::new(MAX_REQUEST)));
        // One request a stream: what follows it says nothing.
        let Some(reading) = framer else { return Ok(()) };
        reading.push(bytes);
        let Some((tag, payload)) = reading.next_message()? else {
            return Ok(());
        };
        *framer = None;
        let request = HistoryRequest::decode(tag, &payload)?;
        if !self.charge(conn, COST) {
            // Whoever scrolls fast is put off, not out.
            return self.put_off(conn, id, 1);
        }
        self.on_history_request(conn, id, &request);
        Ok(())
    }

    /// Cuts a request off: whoever asked asks again a little later, or is put out for not doing so.
    fn put_off(&mut self, conn: ConnId, id: u64, cost: u64) -> Result<(), Fault> {
        if let Some(member) = self.member_mut(conn) {
            member.requests.0.remove(&id);
        }
        let stream = Stream::History { id };
        self.out.push_back(HostOutput::Reset { conn, stream });
        match self.charge(conn, cost) {
            true => Ok(()),
            false => Err(Fault::flood()),
        }
    }

    fn on_history_request(&mut self, conn: ConnId, stream: u64, request: &HistoryRequest) {
        let (from, count) = self.visible(LineId(request.from), request.count);
        let reading = Reading {
            conn,
            stream,
            from,
            count,
        };
        if request.track != TERMINAL || count == 0 || from >= self.track.settled {
            return self.answer_history(&reading, Vec::new());
        }
        let settled = u32::try_from(self.track.settled.0 - from.0).unwrap_or(u32::MAX);
        self.reads += 1;
        self.readings.insert(self.reads, reading);
        self.out.push_back(HostOutput::ReadHistory {
            request: self.reads,
            track: TERMINAL,
            from,
            count: count.min(settled),
            max_bytes: MAX_REPLY,
        });
    }

    /// The part of a range that may be seen: the one place where sharing's beginning is enforced
    /// on requests.
    fn visible(&self, from: LineId, count: u32) -> (LineId, u32) {
        let count = u64::from(count.min(MAX_HISTORY_LINES));
        // The beginning of the screen's first line may be above the screen.
        let above = self.track.term.top_line().0.saturating_add(1);
        let end = from.0.saturating_add(count).min(above);
        let first = from.max(self.sharing.visible_from);
        let left = end.saturating_sub(first.0);
        (first, u32::try_from(left).unwrap_or(MAX_HISTORY_LINES))
    }

    /// The log answered.
    pub(super) fn on_history(&mut self, request: u64, chunks: Vec<(LineId, u32, Bytes)>) {
        if let Some(reading) = self.readings.remove(&request) {
            self.answer_history(&reading, chunks);
        }
    }

    /// Puts together what the log has and what may still change, and sends it.
    fn answer_history(&mut self, reading: &Reading, chunks: Vec<(LineId, u32, Bytes)>) {
        let Reading {
            conn,
            stream,
            from,
            count,
        } = *reading;
        // Sharing may have ended and begun anew while the log was read.
        let (from, count) = match from < self.sharing.visible_from {
            true => self.visible(from, count),
            false => (from, count),
        };
        let mut reply = Gathered::new(from, count);
        for (first, count, bytes) in chunks {
            reply.add(&HistoryChunk {
                first,
                count,
                bytes,
            });
        }
        // The margin comes in pieces, too.
        while let Some((next, left)) = reply.missing_from(self.track.settled) {
            let margin = self.track.term.margin(next, left);
            if !reply.add(&margin) {
                break;
            }
        }
        let mut out = BytesMut::new();
        HistoryReply {
            first: reply.first.0,
            count: reply.count,
            settled: self.track.settled.0,
            payload: transfer::pack(&reply.pieces),
        }
        .encode(&mut out);
        let Some(member) = self.member_mut(conn) else {
            return;
        };
        if member.requests.0.remove(&stream).is_none() {
            return;
        }
        let id = stream;
        self.send_bytes(conn, Stream::History { id }, out.freeze());
        self.out.push_back(HostOutput::Finish {
            conn,
            stream: Stream::History { id },
        });
    }
}

/// Consecutive lines within a range, gathered from pieces that may reach beyond it.
struct Gathered {
    first: LineId,
    count: u32,
    /// Lines that are still wanted.
    left: u32,
    bytes: usize,
    pieces: Vec<HistoryChunk>,
}

impl Gathered {
    fn new(first: LineId, left: u32) -> Gathered {
        Gathered {
            first,
            count: 0,
            left,
            bytes: 0,
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
        if !follows || self.left == 0 || self.bytes >= MAX_REPLY {
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

    /// Where the lines that may still change begin, when they are wanted and fit.
    fn missing_from(&mut self, settled: LineId) -> Option<(LineId, u32)> {
        if self.count == 0 {
            self.skip_to(settled);
        }
        let fits = self.next() >= settled && self.left > 0 && self.bytes < MAX_REPLY;
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
        let mut gathered = Gathered::new(LineId(5), 10);
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
        let mut gathered = Gathered::new(LineId(0), 10);
        assert!(gathered.add(&piece(4, 2)));
        assert!(!gathered.add(&piece(8, 2)));
        assert_eq!((gathered.first, gathered.count), (LineId(4), 2));
        assert_eq!(gathered.missing_from(LineId(20)), None);
        assert_eq!(gathered.missing_from(LineId(6)), Some((LineId(6), 4)));
    }

    #[test]
    fn a_damaged_piece_is_as_good_as_lost() {
        let mut gathered = Gathered::new(LineId(1), 10);
        let damaged = HistoryChunk {
            bytes: Bytes::from_static(b"\xff\xff"),
            ..piece(0, 5)
        };
        assert!(!gathered.add(&damaged));
        assert_eq!(gathered.count, 0);
    }
}
