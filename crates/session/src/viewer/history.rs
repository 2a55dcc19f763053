//! Fetching history, a few ranges at a time.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;
use pillion_proto::{
    Entry, Framer, HistoryReply, HistoryRequest, ProtocolError, TrackId,
    limits::{MAX_HISTORY_LINES, MAX_HISTORY_MESSAGE},
};
use pillion_screen::{LineId, transfer};

use crate::types::Stream;

use super::{HistoryLines, LogEntries, Viewer, ViewerEvent, ViewerNotice, ViewerOutput};

/// Requests on their way at once; a host takes four.
const MAX_ASKED: usize = 3;

/// Ranges that may wait for their turn. Anybody who scrolls that fast wants the newest ones: the oldest
/// are let go.
const MAX_WAITING: usize = 16;

/// After a request was cut off the next goes out so much later, in microseconds, and twice as much each
/// time the same range is: a host that is asked too much says so like that.
const RETRY_AFTER_US: u64 = 250_000;

/// The longest such wait, in microseconds.
const MAX_RETRY_US: u64 = 4_000_000;

/// Between two requests in the long run, in microseconds, and how many may go at once: a host takes
/// 200 messages a second of a viewer, a request counts for ten, and frames are acknowledged, too.
const EVERY_US: u64 = 160_000;
const BURST: u64 = 20;

/// A range of a track's lines, or of its entries, that is wanted.
#[derive(Clone, Copy)]
struct LineRange {
    track: TrackId,
    is_log: bool,
    from: LineId,
    count: u32,
    tries: u32,
}

/// Ranges asked for and not yet answered.
pub(super) struct HistoryFetcher {
    next_stream: u64,
    asked: BTreeMap<u64, (LineRange, Framer)>,
    waiting: VecDeque<LineRange>,
    /// Not before.
    pause_until_us: u64,
    /// When all requests so far would have been sent, one each [`EVERY_US`].
    paced_until_us: u64,
}

impl HistoryFetcher {
    pub(super) fn new() -> HistoryFetcher {
        HistoryFetcher {
            next_stream: 0,
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
            pause_until_us: 0,
            paced_until_us: 0,
        }
    }

    /// What was asked for is asked for again on the next connection.
    pub(super) fn disconnected(&mut self) {
        for (_, (wanted, _)) in std::mem::take(&mut self.asked).into_iter().rev() {
            self.waiting.push_front(wanted);
        }
        self.waiting.truncate(MAX_WAITING);
    }

    /// A request was cut off before its answer came.
    pub(super) fn stream_ended(&mut self, id: u64, now_us: u64) {
        if let Some((mut wanted, _)) = self.asked.remove(&id) {
            let pause = (RETRY_AFTER_US << wanted.tries.min(8)).min(MAX_RETRY_US);
            wanted.tries += 1;
            self.waiting.push_front(wanted);
            self.pause_until_us = now_us.saturating_add(pause);
        }
    }

    pub(super) fn retry_at_us(&self) -> Option<u64> {
        let waits = !self.waiting.is_empty() && self.asked.len() < MAX_ASKED;
        let paced = self.paced_until_us.saturating_sub((BURST - 1) * EVERY_US);
        waits.then_some(self.pause_until_us.max(paced))
    }
}

impl Viewer {
    /// The person wants to see these lines of the terminal that is shown.
    pub(super) fn want_history(&mut self, from: LineId, count: u32) {
        self.want(self.view.track.0, false, from, count);
    }

    /// Somebody wants these entries of a log.
    pub(super) fn want_entries(&mut self, track: TrackId, from: u64, count: u32) {
        self.want(track, true, LineId(from), count);
    }

    fn want(&mut self, track: TrackId, is_log: bool, from: LineId, count: u32) {
        let count = count.min(MAX_HISTORY_LINES);
        self.asking.waiting.push_back(LineRange {
            track,
            is_log,
            from,
            count,
            tries: 0,
        });
        if self.asking.waiting.len() > MAX_WAITING {
            self.asking.waiting.pop_front();
        }
    }

    /// Asks for what waits, as far as the host takes it.
    pub(super) fn ask_for_history(&mut self) {
        while self
            .asking
            .retry_at_us()
            .is_some_and(|at| self.now.mono_us >= at)
            && let Some(wanted) = self.asking.waiting.pop_front()
        {
            let id = self.asking.next_stream;
            self.asking.next_stream += 1;
            let paced = self.asking.paced_until_us.max(self.now.mono_us);
            self.asking.paced_until_us = paced.saturating_add(EVERY_US);
            self.asking
                .asked
                .insert(id, (wanted, Framer::new(MAX_HISTORY_MESSAGE)));
            let mut out = BytesMut::new();
            HistoryRequest {
                track: wanted.track,
                from: wanted.from.0,
                count: wanted.count,
            }
            .encode(&mut out);
            let stream = Stream::History { id };
            self.send_on(stream, out.freeze());
            self.out.push_back(ViewerOutput::Finish { stream });
        }
    }

    /// Bytes came in answer to a request.
    pub(super) fn on_history(&mut self, id: u64, bytes: &[u8]) -> Result<(), ProtocolError> {
        let Some((wanted, framer)) = self.asking.asked.get_mut(&id) else {
            return Ok(());
        };
        framer.push(bytes);
        let Some((tag, payload)) = framer.next_message()? else {
            return Ok(());
        };
        let wanted = *wanted;
        self.asking.asked.remove(&id);
        let reply = HistoryReply::decode(tag, &payload)?;
        if reply.count > wanted.count {
            self.say(ViewerNotice::TooMuchHistory);
            return Ok(());
        }
        if wanted.is_log {
            let entries = Entry::decode_all(&reply.payload)?;
            self.event(ViewerEvent::Entries(LogEntries {
                track: wanted.track,
                asked: wanted.from.0,
                entries,
            }));
            return Ok(());
        }
        // Another terminal is shown by now.
        if wanted.track != self.view.track.0 {
            return Ok(());
        }
        match transfer::unpack(LineId(reply.first), reply.count, &reply.payload) {
            Ok(lines) => self.event(ViewerEvent::History(HistoryLines {
                asked: wanted.from,
                lines,
                settled: LineId(reply.settled),
            })),
            Err(error) => self.say(ViewerNotice::BadHistory(error)),
        }
        Ok(())
    }
}
