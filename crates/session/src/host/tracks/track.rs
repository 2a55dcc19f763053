//! The terminal's track: output in, numbered frames out, at the pace a person can see.

use bytes::{Bytes, BytesMut};
use pillion_proto::{FrameMsg, SnapshotMsg, Text, TrackId, TrackInfo, TrackMsg, TrackState};
use pillion_screen::{Encoder, LineId, Size, Terminal};

use crate::host::{
    Host,
    api::{HostOutput, LogEntry},
    rate::Bucket,
    tracks::lane::Sent,
};

/// A terminal session's only track.
pub(in crate::host) const TERMINAL: TrackId = TrackId(0);

/// Between two frames while more output is waiting, in microseconds: above 60 frames a second.
const FLOOD_EVERY_US: u64 = 12_000;

/// Between two frames while nobody watches and only the log takes them, in microseconds.
const UNWATCHED_EVERY_US: u64 = 50_000;

/// Frames a second in the long run, and at once after a pause.
const FRAMES_PER_SECOND: u64 = 120;
const FRAME_BURST: u64 = 16;

/// Frames put aside for what a viewer's key brings within so many microseconds, and the time between two
/// of them: it is what somebody waits for. Without them Ctrl-C under a flood met a spent allowance and waited
/// up to 8 ms for the next frame.
const ANSWER_FRAMES: u64 = 10;
const ANSWER_WITHIN_US: u64 = 50_000;
const ANSWER_EVERY_US: u64 = 500;

/// The longest a program may ask to hold a frame back (mode 2026), in microseconds. The terminals
/// that have the mode wait as long.
const SYNC_US: u64 = 150_000;

/// Between two looks at the lines that left the screen and may still change, for the log, in
/// microseconds. A crash loses what is younger.
const LOG_MARGIN_EVERY_US: u64 = 20_000;

/// The log gets a frame that stands alone this often, in microseconds, or after so many bytes of
/// frames: anybody who exports a part of it need not read everything before.
const LOG_SNAPSHOT_EVERY_US: u64 = 60_000_000;
const LOG_SNAPSHOT_BYTES: usize = 4 * 1024 * 1024;

/// The terminal, its encoder, and what decides when the next frame comes.
pub(in crate::host) struct Track {
    pub(in crate::host) term: Terminal,
    encoder: Encoder,
    /// Number of the newest frame.
    pub(in crate::host) number: u64,
    /// Host-wide input count whose effects are in the newest frame.
    pub(in crate::host) echoed: u64,
    pub(in crate::host) state: TrackState,
    pub(in crate::host) sent: Sent,
    /// Somebody was given a snapshot: the next frame starts the compression again.
    reset: bool,
    /// The newest snapshot as a message, while no frame came after it.
    snapshot: Option<(u64, Bytes)>,
    /// Lines below were given to the log.
    pub(in crate::host) settled: LineId,
    bucket: Bucket,
    framed_at_us: Option<u64>,
    /// Until then a viewer waits for what a key brings.
    answer_until_us: u64,
    /// More output is waiting behind what was fed.
    more: bool,
    /// Since when the output ends where no frame should be made.
    unfit_since_us: Option<u64>,
    logged_snapshot_at_us: Option<u64>,
    logged_bytes: usize,
    margin: Margin,
}

/// How far the log knows the lines between history and screen.
#[derive(Default)]
struct Margin {
    /// Where the screen began then: its first line, and that line's rows above the screen.
    upto: (LineId, u16),
    /// They were wrapped again, or came back onto the screen: the log gets all of them again.
    stale: bool,
    logged_at_us: Option<u64>,
    /// When they are looked at again.
    due_us: Option<u64>,
}

impl Track {
    pub(in crate::host) fn new(size: Size, now_us: u64) -> Track {
        Track {
            term: Terminal::new(size),
            encoder: Encoder::new(),
            number: 0,
            echoed: 0,
            state: TrackState::Live,
            sent: Sent::new(),
            reset: false,
            snapshot: None,
            settled: LineId(0),
            bucket: Bucket::new(now_us, FRAMES_PER_SECOND, FRAME_BURST + ANSWER_FRAMES),
            framed_at_us: None,
            answer_until_us: 0,
            more: false,
            unfit_since_us: None,
            logged_snapshot_at_us: None,
            logged_bytes: 0,
            margin: Margin::default(),
        }
    }

    /// A viewer's key reached the program.
    pub(in crate::host) fn keyed(&mut self, now_us: u64) {
        self.answer_until_us = now_us.saturating_add(ANSWER_WITHIN_US);
    }

    /// What viewers are told about the track.
    pub(in crate::host) fn info(&self) -> TrackInfo {
        TrackInfo {
            id: TERMINAL,
            name: Text::cut("terminal"),
            state: self.state,
        }
    }

    /// The log starts a new stretch: its next frame stands alone.
    pub(in crate::host) fn begin_log(&mut self) {
        self.logged_snapshot_at_us = None;
    }

    /// When the next frame may be made.
    fn due_at_us(&mut self, now_us: u64, watched: bool) -> u64 {
        let since_unfit = self
            .unfit_since_us
            .map_or(0, |since| match self.term.in_sync_update() {
                true => since.saturating_add(SYNC_US),
                false => since.saturating_add(FLOOD_EVERY_US),
            });
        let every = match (watched, self.more) {
            (false, _) => UNWATCHED_EVERY_US,
            (true, true) => FLOOD_EVERY_US,
            (true, false) => 0,
        };
        let is_answer = watched && !self.more && now_us < self.answer_until_us;
        let allowed = self.bucket.ready_at(now_us, ANSWER_FRAMES + 1);
        let paced = self.framed_at_us.map_or(0, |at| {
            let usual = at.saturating_add(every).max(allowed);
            match is_answer {
                true => usual.min(
                    at.saturating_add(ANSWER_EVERY_US)
                        .max(self.bucket.ready_at(now_us, 1)),
                ),
                false => usual,
            }
        });
        since_unfit.max(paced)
    }

    /// The snapshot of the newest frame, as a message.
    fn snapshot(&mut self) -> Bytes {
        if let Some((number, bytes)) = &self.snapshot
            && *number == self.number
        {
            return bytes.clone();
        }
        let mut out = BytesMut::new();
        let payload = self.encoder.snapshot().wire;
        let (number, echoed) = (self.number, self.echoed);
        TrackMsg::Snapshot(SnapshotMsg {
            number,
            echoed,
            payload,
        })
        .encode(&mut out);
        let bytes = out.freeze();
        self.snapshot = Some((number, bytes.clone()));
        bytes
    }
}

impl Host {
    /// The program wrote.
    pub(in crate::host) fn on_output(&mut self, track: TrackId, bytes: &[u8], more: bool) {
        if track != TERMINAL {
            return;
        }
        let term = &mut self.track.term;
        term.feed(bytes);
        self.track.more = more;
        match term.at_ground() {
            true => self.track.unfit_since_us = None,
            false => {
                self.track.unfit_since_us.get_or_insert(self.now.mono_us);
            }
        }
        let replies = term.take_replies();
        if !replies.is_empty() && !self.has_tty {
            self.out.push_back(HostOutput::Answer {
                track,
                bytes: replies.into(),
            });
        }
        self.log_history();
    }

    /// Gives the log the lines that became final.
    pub(in crate::host) fn log_history(&mut self) {
        while let Some(chunk) = self.track.term.take_history() {
            self.track.settled = LineId(chunk.first.0 + u64::from(chunk.count));
            self.out.push_back(HostOutput::Log(LogEntry::History {
                track: TERMINAL,
                first: chunk.first,
                count: chunk.count,
                bytes: chunk.bytes,
            }));
        }
    }

    /// The window changed.
    pub(in crate::host) fn on_resized(&mut self, track: TrackId, size: Size) {
        if track == TERMINAL && self.track.state == TrackState::Live {
            self.track.term.resize(size);
            self.track.margin.stale = true;
            self.log_history();
        }
    }

    /// Makes a frame if something changed and its time has come; whether it did.
    pub(in crate::host) fn frame_if_due(&mut self) -> bool {
        if !self.sharing.on {
            return false;
        }
        let now = self.now.mono_us;
        let watched = self.members > 0;
        let echoed = self.inputs.echoed(now);
        if watched && let Some(at) = self.inputs.echo_at_us() {
            self.arm(at);
        }
        let dirty = self.track.term.dirty();
        if !dirty && (echoed <= self.track.echoed || !watched) {
            return false;
        }
        let due = self.track.due_at_us(now, watched);
        if now < due {
            self.arm(due);
            return false;
        }
        self.frame();
        true
    }

    /// Makes a frame of what changed, now.
    pub(in crate::host) fn frame(&mut self) {
        let now = self.now.mono_us;
        let track = &mut self.track;
        let echoed = self.inputs.echoed(now).max(track.echoed);
        let encoded = match track.term.dirty() || track.number == 0 {
            true => track.encoder.encode(&mut track.term, track.reset),
            false => None,
        };
        if encoded.is_none() && echoed == track.echoed {
            return;
        }
        track.number += 1;
        track.echoed = echoed;
        track.framed_at_us = Some(now);
        track.bucket.take(now, 1);
        if track.unfit_since_us.is_some() {
            track.unfit_since_us = Some(now);
        }
        let mut message = FrameMsg {
            number: track.number,
            echoed,
            reset: false,
            payload: Bytes::new(),
        };
        let raw = encoded.map(|encoded| {
            track.reset = false;
            message.reset = encoded.reset;
            message.payload = encoded.wire;
            encoded.raw
        });
        let mut out = BytesMut::with_capacity(message.payload.len() + 32);
        TrackMsg::Frame(message).encode(&mut out);
        self.track.sent.push(out.len(), now);
        self.deliver(out.freeze());
        if let Some(raw) = raw {
            self.log_frame(raw);
        }
    }

    fn log_frame(&mut self, raw: Bytes) {
        let now = self.now;
        let track = &mut self.track;
        let alone = track.logged_bytes >= LOG_SNAPSHOT_BYTES
            || track
                .logged_snapshot_at_us
                .is_none_or(|at| now.mono_us.saturating_sub(at) >= LOG_SNAPSHOT_EVERY_US);
        let raw = if alone {
            track.logged_snapshot_at_us = Some(now.mono_us);
            track.logged_bytes = 0;
            // Who reads the log from here has not seen the looks that earlier frames named.
            track.reset = true;
            track.encoder.snapshot().raw
        } else {
            raw
        };
        track.logged_bytes += raw.len();
        self.out.push_back(HostOutput::Log(LogEntry::Frame {
            track: TERMINAL,
            number: track.number,
            snapshot: alone,
            unix_ms: now.unix_ms,
            raw,
        }));
        self.log_margin_if_due();
    }

    /// Gives the log the lines that left the screen and may still change, if it is time.
    pub(in crate::host) fn log_margin_if_due(&mut self) {
        let now = self.now.mono_us;
        let margin = &mut self.track.margin;
        let due = margin
            .logged_at_us
            .map_or(0, |at| at.saturating_add(LOG_MARGIN_EVERY_US));
        if now < due {
            margin.due_us = Some(due);
            self.arm(due);
        } else {
            self.log_margin();
        }
    }

    /// Looks again at the lines between history and screen if that was put off.
    pub(in crate::host) fn log_margin_put_off(&mut self) {
        if self.track.margin.due_us.is_some() && self.sharing.on {
            self.log_margin_if_due();
        }
    }

    /// Gives the log the lines that left the screen and may still change: what was printed outlives a
    /// crash, and they become final only hundreds of lines later.
    pub(in crate::host) fn log_margin(&mut self) {
        let (now, track) = (self.now, &mut self.track);
        let span = track.term.span();
        let before = std::mem::replace(
            &mut track.margin,
            Margin {
                upto: (span.top, span.top_offset),
                stale: false,
                logged_at_us: Some(now.mono_us),
                due_us: None,
            },
        );
        if !before.stale && before.upto == (span.top, span.top_offset) {
            return;
        }
        let mut from = match before.stale {
            true => track.settled,
            false => before.upto.0.max(track.settled),
        };
        let mut any = !before.stale;
        loop {
            let chunk = track.term.margin(from, u32::MAX);
            if chunk.count == 0 && any {
                return;
            }
            any = true;
            from = LineId(chunk.first.0 + u64::from(chunk.count));
            self.out.push_back(HostOutput::Log(LogEntry::Margin {
                track: TERMINAL,
                unix_ms: now.unix_ms,
                first: chunk.first,
                count: chunk.count,
                bytes: chunk.bytes,
            }));
            if from > span.top {
                return;
            }
        }
    }

    /// A snapshot of now, for somebody who needs one: the number of its frame, and the message.
    pub(in crate::host) fn snapshot_of_now(&mut self) -> (u64, Bytes) {
        if self.track.number == 0 || self.track.term.dirty() {
            self.frame();
        }
        self.track.reset = true;
        (self.track.number, self.track.snapshot())
    }

    /// The newest frame's state, for somebody who is sent nothing that builds on it: making it costs
    /// nobody else anything, and nothing at all a second time. `None` before the first frame.
    pub(in crate::host) fn newest_snapshot(&mut self) -> Option<Bytes> {
        (self.track.number > 0).then(|| self.track.snapshot())
    }

    /// The state of the newest frame.
    #[cfg(test)]
    pub(crate) fn screen_for_tests(&self) -> &pillion_screen::Screen {
        self.track.encoder.screen()
    }

    /// The newest frame's count of inputs.
    #[cfg(test)]
    pub(crate) fn echoed_for_tests(&self) -> u64 {
        self.track.echoed
    }
}
