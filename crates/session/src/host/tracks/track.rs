//! A track: what its program says goes in, numbered frames come out, at the pace a person can see.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use pillion_caps::{ChainHead, FrameChain, LineChain, PublicKey};
use pillion_conversation::Gate;
use pillion_proto::{
    FrameMsg, ParticipantId, SnapshotMsg, Text, TrackId, TrackInfo, TrackKind, TrackMsg,
    TrackState, limits::MAX_NAME,
};
use pillion_screen::{Encoder, LineId, Screen, Size, Terminal, clean::clean_name};

use crate::types::ConnId;

use crate::host::{
    Host,
    api::{HostOutput, LogEntry},
    context::Context,
    rate::Bucket,
    timers::Timer,
    tracks::Tracks,
    tracks::{
        Readable,
        conversation::ConversationTrack,
        input::Sequence,
        lane::{Lane, Sent},
        log::LogTrack,
    },
};

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

/// What a track is a stream of.
pub(in crate::host) enum Body {
    Terminal(Box<TerminalTrack>),
    Log(LogTrack),
    Conversation(Box<ConversationTrack>),
}

/// A terminal, and what its frames are made with.
pub(in crate::host) struct TerminalTrack {
    pub(in crate::host) term: Terminal,
    encoder: Encoder,
    /// More output is waiting behind what was fed.
    more: bool,
    /// Since when the output ends where no frame should be made.
    unfit_since_us: Option<u64>,
    logged_snapshot_at_us: Option<u64>,
    logged_bytes: usize,
    margin: Margin,
}

/// One stream of state, who looks at it, and what decides when its next frame comes.
pub(in crate::host) struct Track {
    pub(in crate::host) id: TrackId,
    pub(in crate::host) body: Body,
    /// What it is called; empty for what its program says, or else the program.
    title: String,
    program: String,
    /// What the program said of itself, as of the newest frame.
    said: String,
    pub(in crate::host) opener: ParticipantId,
    pub(in crate::host) state: TrackState,
    /// First line, or entry, that viewers may read.
    pub(in crate::host) visible_from: LineId,
    /// Number of the newest frame.
    pub(in crate::host) number: u64,
    /// The hash chain up to it.
    pub(in crate::host) chain: FrameChain,
    /// The hash chain over the lines that left its screen for good.
    pub(in crate::host) lines: LineChain,
    /// The newest checkpoint: of which frame, and as a message.
    pub(in crate::host) checkpoint: Option<(u64, Bytes)>,
    /// The count of inputs whose effects are in the newest frame.
    pub(in crate::host) echoed: u64,
    pub(in crate::host) input: Sequence,
    pub(in crate::host) sent: Sent,
    /// Those who look at it.
    pub(in crate::host) lanes: BTreeMap<ConnId, Lane>,
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
}

/// How far the log knows the lines between history and screen.
#[derive(Default)]
struct Margin {
    /// Where the screen began then: its first line, and that line's rows above the screen.
    upto: (LineId, u16),
    /// They were wrapped again, or came back onto the screen: the log gets all of them again.
    stale: bool,
    logged_at_us: Option<u64>,
}

/// A frame's contents.
struct Encoded {
    wire: Bytes,
    reset: bool,
    /// The body, as the chain and the log have it.
    raw: Bytes,
}

impl TerminalTrack {
    fn encode(&mut self, reset: bool) -> Option<Encoded> {
        let encoded = self.encoder.encode(&mut self.term, reset)?;
        Some(Encoded {
            wire: encoded.wire,
            reset: encoded.reset,
            raw: encoded.raw,
        })
    }

    /// The state after the newest frame.
    pub(in crate::host) fn screen(&self) -> &Screen {
        self.encoder.screen()
    }

    /// Until when what was written is no picture.
    fn fit_at_us(&self) -> u64 {
        self.unfit_since_us
            .map_or(0, |since| match self.term.in_sync_update() {
                true => since.saturating_add(SYNC_US),
                false => since.saturating_add(FLOOD_EVERY_US),
            })
    }
}

impl Track {
    /// A terminal of this size, of a program that was just started.
    pub(in crate::host) fn terminal(
        id: TrackId,
        title: &str,
        program: &str,
        opener: ParticipantId,
        size: Size,
        now_us: u64,
    ) -> Track {
        let body = Body::Terminal(Box::new(TerminalTrack {
            term: Terminal::new(size),
            encoder: Encoder::new(),
            more: false,
            unfit_since_us: None,
            logged_snapshot_at_us: None,
            logged_bytes: 0,
            margin: Margin::default(),
        }));
        Track::new(id, body, title, program, opener, now_us)
    }

    /// A log without entries.
    pub(in crate::host) fn log(
        id: TrackId,
        title: &str,
        opener: ParticipantId,
        now_us: u64,
    ) -> Track {
        Track::new(id, Body::Log(LogTrack::new()), title, "log", opener, now_us)
    }

    /// A conversation with an agent of which this is known.
    pub(in crate::host) fn conversation(
        id: TrackId,
        title: &str,
        program: &str,
        gate: Gate,
        opener: ParticipantId,
        now_us: u64,
    ) -> Track {
        let body = Body::Conversation(Box::new(ConversationTrack::new(gate)));
        Track::new(id, body, title, program, opener, now_us)
    }

    fn new(
        id: TrackId,
        body: Body,
        title: &str,
        program: &str,
        opener: ParticipantId,
        now_us: u64,
    ) -> Track {
        Track {
            id,
            body,
            title: clean_name(title, MAX_NAME),
            program: clean_name(program, MAX_NAME),
            said: String::new(),
            opener,
            state: TrackState::Live,
            visible_from: LineId(0),
            number: 0,
            chain: FrameChain::resume(id.0, 0, ChainHead([0; 32])),
            lines: LineChain::resume(id.0, 0, ChainHead([0; 32])),
            checkpoint: None,
            echoed: 0,
            input: Sequence::new(),
            sent: Sent::new(),
            lanes: BTreeMap::new(),
            reset: false,
            snapshot: None,
            settled: LineId(0),
            bucket: Bucket::new(now_us, FRAMES_PER_SECOND, FRAME_BURST + ANSWER_FRAMES),
            framed_at_us: None,
            answer_until_us: 0,
        }
    }

    /// Its frames and lines are chained as those of this run of a session.
    pub(in crate::host) fn chained(mut self, session: &PublicKey, run: u32) -> Track {
        self.chain = FrameChain::begin(session, run, self.id.0);
        self.lines = LineChain::begin(session, run, self.id.0);
        self
    }

    pub(in crate::host) fn kind(&self) -> TrackKind {
        match &self.body {
            Body::Terminal(_) => TrackKind::Terminal,
            Body::Log(_) => TrackKind::Log,
            Body::Conversation(_) => TrackKind::Conversation,
        }
    }

    /// A viewer's key reached the program.
    pub(in crate::host) fn keyed(&mut self, now_us: u64) {
        self.answer_until_us = now_us.saturating_add(ANSWER_WITHIN_US);
    }

    /// What it is called: what was said when it was opened, or else what its program says, or is.
    pub(in crate::host) fn title(&self) -> String {
        match (&self.body, self.title.is_empty()) {
            (Body::Terminal(terminal), true) => {
                let said = clean_name(&terminal.encoder.screen().title, MAX_NAME);
                if said.is_empty() {
                    self.program.clone()
                } else {
                    said
                }
            }
            (Body::Log(_) | Body::Conversation(_), true) => self.program.clone(),
            (_, false) => self.title.clone(),
        }
    }

    /// It is called this from now on; without a title, what its program says.
    pub(in crate::host) fn rename(&mut self, title: &str) {
        self.title = clean_name(title, MAX_NAME);
    }

    /// Notes what the program says of itself now; whether the title is another one by it.
    fn retitled(&mut self) -> bool {
        let Body::Terminal(terminal) = &self.body else {
            return false;
        };
        let said = &terminal.encoder.screen().title;
        if *said == self.said {
            return false;
        }
        self.said.clone_from(said);
        self.title.is_empty()
    }

    pub(in crate::host) fn size(&self) -> (u16, u16) {
        match &self.body {
            Body::Terminal(terminal) => {
                let size = terminal.term.size();
                (size.cols(), size.rows())
            }
            Body::Log(_) | Body::Conversation(_) => (0, 0),
        }
    }

    /// What viewers are told about the track.
    pub(in crate::host) fn info(&self) -> TrackInfo {
        let (cols, rows) = self.size();
        TrackInfo {
            id: self.id,
            kind: self.kind(),
            title: Text::cut(&self.title()),
            state: self.state,
            opener: self.opener,
            cols,
            rows,
            visible_from: self.visible_from.0,
        }
    }

    /// What the session's log is told of it first.
    pub(in crate::host) fn beginning(&self, unix_ms: u64) -> HostOutput {
        HostOutput::Log(LogEntry::Track {
            track: self.id,
            kind: self.kind(),
            title: self.title(),
            unix_ms,
        })
    }

    /// What may be read of its history.
    pub(in crate::host) fn readable(&self) -> Readable {
        let end = match &self.body {
            // The beginning of the screen's first line may be above the screen.
            Body::Terminal(terminal) => LineId(terminal.term.top_line().0.saturating_add(1)),
            Body::Log(log) => LineId(log.next()),
            Body::Conversation(conversation) => LineId(conversation.next()),
        };
        Readable {
            kind: self.kind(),
            from: self.visible_from,
            end,
            settled: self.settled,
        }
    }

    /// What is there now is the first that viewers may read.
    pub(in crate::host) fn hide_so_far(&mut self) {
        // One that was made before shows what is hidden now.
        self.snapshot = None;
        match &mut self.body {
            Body::Terminal(terminal) => {
                let top = terminal.term.top_line();
                self.visible_from = top;
                terminal.term.hide_before(top);
            }
            // The state of now is what a log shows, and it may be of any age.
            Body::Log(_) => {}
            Body::Conversation(conversation) => {
                self.visible_from = LineId(conversation.next());
                conversation.hide_so_far();
            }
        }
    }

    /// The session's log starts a new stretch: its next frame stands alone.
    pub(in crate::host) fn begin_log(&mut self) {
        if let Body::Terminal(terminal) = &mut self.body {
            terminal.logged_snapshot_at_us = None;
        }
    }

    /// Whether there is something that no frame has.
    pub(in crate::host) fn dirty(&self) -> bool {
        match &self.body {
            Body::Terminal(terminal) => terminal.term.dirty(),
            Body::Log(log) => log.dirty(),
            Body::Conversation(conversation) => conversation.dirty(),
        }
    }

    fn encode(&mut self) -> Option<Encoded> {
        match &mut self.body {
            Body::Terminal(terminal) => terminal.encode(self.reset),
            Body::Log(log) => {
                let entries = log.take_pending();
                Some(Encoded {
                    wire: entries.clone(),
                    reset: false,
                    raw: entries,
                })
            }
            Body::Conversation(conversation) => {
                let (wire, raw) = conversation.take_pending();
                let reset = false;
                Some(Encoded { wire, reset, raw })
            }
        }
    }

    /// When the next frame may be made.
    fn due_at_us(&mut self, now_us: u64) -> u64 {
        let watched = !self.lanes.is_empty();
        let (fit_at_us, more) = match &self.body {
            Body::Terminal(terminal) => (terminal.fit_at_us(), terminal.more),
            Body::Log(_) | Body::Conversation(_) => (0, false),
        };
        let every = match (watched, more) {
            (false, _) => UNWATCHED_EVERY_US,
            (true, true) => FLOOD_EVERY_US,
            (true, false) => 0,
        };
        let is_answer = watched && !more && now_us < self.answer_until_us;
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
        fit_at_us.max(paced)
    }

    /// The snapshot of the newest frame, as a message.
    fn snapshot(&mut self) -> Bytes {
        if let Some((number, bytes)) = &self.snapshot
            && *number == self.number
        {
            return bytes.clone();
        }
        let mut out = BytesMut::new();
        let payload = match &mut self.body {
            Body::Terminal(terminal) => terminal.encoder.snapshot().wire,
            Body::Log(log) => log.snapshot(),
            Body::Conversation(conversation) => conversation.snapshot(),
        };
        let (number, echoed) = (self.number, self.echoed);
        TrackMsg::Snapshot(SnapshotMsg {
            number,
            echoed,
            payload,
            chain: Some(self.chain.head()),
        })
        .encode(&mut out);
        let bytes = out.freeze();
        self.snapshot = Some((number, bytes.clone()));
        bytes
    }
}

impl Host {
    /// The state of the newest frame of a terminal.
    #[cfg(test)]
    pub(crate) fn screen_for_tests(&self, id: TrackId) -> &pillion_screen::Screen {
        match &self.tracks.get(id).unwrap().body {
            Body::Terminal(terminal) => terminal.encoder.screen(),
            Body::Log(_) | Body::Conversation(_) => panic!("it has no screen"),
        }
    }

    /// The newest frame's count of inputs.
    #[cfg(test)]
    pub(crate) fn echoed_for_tests(&self, id: TrackId) -> u64 {
        self.tracks.get(id).unwrap().echoed
    }
}

impl Tracks {
    /// The program wrote.
    pub(in crate::host) fn on_output(
        &mut self,
        cx: &mut Context,
        id: TrackId,
        bytes: &[u8],
        more: bool,
    ) {
        let now = cx.now.mono_us;
        let answers = !(cx.has_tty && id == self.shown());
        let Some(track) = self.get_mut(id) else {
            return;
        };
        let Body::Terminal(terminal) = &mut track.body else {
            return;
        };
        let term = &mut terminal.term;
        term.feed(bytes);
        terminal.more = more;
        match term.at_ground() {
            true => terminal.unfit_since_us = None,
            false => {
                terminal.unfit_since_us.get_or_insert(now);
            }
        }
        let replies = term.take_replies();
        if !replies.is_empty() && answers {
            cx.push(HostOutput::Answer {
                track: id,
                bytes: replies.into(),
            });
        }
        self.stir(id);
        self.log_history(cx, id);
    }

    /// A log track's source said something.
    pub(in crate::host) fn on_entry(
        &mut self,
        cx: &mut Context,
        id: TrackId,
        key: &str,
        json: Bytes,
    ) {
        let Some(track) = self.get_mut(id) else {
            return;
        };
        let Body::Log(log) = &mut track.body else {
            return;
        };
        if track.state != TrackState::Live {
            return;
        }
        let taken = log.append(key, json);
        let is_full = log.is_full();
        self.took_entry(cx, id, taken, is_full);
    }

    /// A track took in an entry: its number, and it as the session's log keeps it. Viewers get it with the next frame,
    /// which is made at once where much waits for it.
    pub(in crate::host) fn took_entry(
        &mut self,
        cx: &mut Context,
        id: TrackId,
        (number, bytes): (u64, Bytes),
        is_full: bool,
    ) {
        if let Some(track) = self.get_mut(id) {
            track.settled = LineId(number.saturating_add(1));
        }
        cx.push(HostOutput::Log(LogEntry::History {
            track: id,
            first: LineId(number),
            count: 1,
            bytes,
        }));
        match is_full {
            true => self.frame(cx, id),
            false => self.stir(id),
        }
    }

    /// Gives the log the lines of a terminal that became final.
    pub(in crate::host) fn log_history(&mut self, cx: &mut Context, id: TrackId) {
        let Some(track) = self.get_mut(id) else {
            return;
        };
        let Body::Terminal(terminal) = &mut track.body else {
            return;
        };
        let mut settled = false;
        while let Some(chunk) = terminal.term.take_history() {
            settled = true;
            track.settled = LineId(chunk.first.0 + u64::from(chunk.count));
            track.lines.push(chunk.first.0, chunk.count, &chunk.bytes);
            cx.push(HostOutput::Log(LogEntry::History {
                track: id,
                first: chunk.first,
                count: chunk.count,
                bytes: chunk.bytes,
            }));
        }
        if settled && cx.shared {
            self.sign_soon(cx, id);
        }
    }

    /// The window changed.
    pub(in crate::host) fn on_resized(&mut self, cx: &mut Context, id: TrackId, size: Size) {
        let Some(track) = self.get_mut(id) else {
            return;
        };
        if let (Body::Terminal(terminal), TrackState::Live) = (&mut track.body, track.state)
            && terminal.term.size() != size
        {
            terminal.term.resize(size);
            terminal.margin.stale = true;
            self.stir(id);
            self.track_changed(id);
            self.log_history(cx, id);
        }
    }

    /// Makes a frame of each track where something changed and whose time has come; whether there was any.
    pub(in crate::host) fn frames_if_due(&mut self, cx: &mut Context) -> bool {
        cx.timers.clear(Timer::Frames);
        if self.stirred.is_empty() {
            return false;
        }
        let mut stirred = std::mem::take(&mut self.stirred);
        let mut framed = false;
        stirred.retain(|id| self.frame_if_due(cx, *id, &mut framed));
        self.stirred.append(&mut stirred);
        framed
    }

    /// Makes a frame if something changed and its time has come; whether there is anything to come back for.
    fn frame_if_due(&mut self, cx: &mut Context, id: TrackId, framed: &mut bool) -> bool {
        let (now, shared) = (cx.now.mono_us, cx.shared);
        let Some(track) = self.get_mut(id).filter(|_| shared) else {
            return false;
        };
        let watched = !track.lanes.is_empty();
        if !watched {
            // Nobody is told of it now.
            track.input.echoed(now);
        }
        let alone_at_us = match track.input.counted() > track.echoed {
            true => Some(now),
            false => track.input.echo_alone_at_us(),
        };
        let due = match (track.dirty(), alone_at_us.filter(|_| watched)) {
            (true, _) => track.due_at_us(now),
            (false, Some(at)) => at.max(track.due_at_us(now)),
            (false, None) => return false,
        };
        if now < due {
            cx.timers.set_by(Timer::Frames, due);
            return true;
        }
        self.frame(cx, id);
        *framed = true;
        // What was written a moment ago is said later.
        let echo_at_us = self
            .get(id)
            .and_then(|track| track.input.echo_alone_at_us());
        if let Some(at) = echo_at_us {
            cx.timers.set_by(Timer::Frames, at);
        }
        echo_at_us.is_some()
    }

    /// Makes a frame of what changed, now.
    pub(in crate::host) fn frame(&mut self, cx: &mut Context, id: TrackId) {
        let (now, members) = (cx.now.mono_us, cx.conns.viewer_count());
        let Some(track) = self.all.get_mut(&id) else {
            return;
        };
        let echoed = track.input.echoed(now).max(track.echoed);
        let encoded = match track.dirty() || track.number == 0 {
            true => track.encode(),
            false => None,
        };
        if encoded.is_none() && echoed == track.echoed {
            return;
        }
        track.number += 1;
        track.echoed = echoed;
        track.framed_at_us = Some(now);
        track.bucket.take(now, 1);
        if let Body::Terminal(terminal) = &mut track.body
            && terminal.unfit_since_us.is_some()
        {
            terminal.unfit_since_us = Some(now);
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
        track.chain.push(raw.as_deref().unwrap_or_default());
        let mut out = BytesMut::with_capacity(message.payload.len() + 32);
        TrackMsg::Frame(message).encode(&mut out);
        track.sent.push(out.len(), now);
        let (is_seen, retitled) = (track.lanes.len() >= members, track.retitled());
        self.deliver(cx, id, out.freeze());
        if !is_seen {
            self.note_activity(id);
        }
        if retitled {
            self.track_changed(id);
        }
        if let Some(raw) = raw {
            self.log_frame(cx, id, raw);
        }
        self.sign_soon(cx, id);
    }

    fn log_frame(&mut self, cx: &mut Context, id: TrackId, raw: Bytes) {
        let now = cx.now;
        let Some(track) = self.get_mut(id) else {
            return;
        };
        let number = track.number;
        let frame = |snapshot, raw| {
            HostOutput::Log(LogEntry::Frame {
                track: id,
                number,
                snapshot,
                unix_ms: now.unix_ms,
                raw,
            })
        };
        let terminal = match &mut track.body {
            Body::Terminal(terminal) => terminal,
            Body::Log(_) | Body::Conversation(_) => {
                let end = track.readable().end.0;
                cx.push(HostOutput::Log(LogEntry::Entries {
                    track: id,
                    number,
                    unix_ms: now.unix_ms,
                    end,
                }));
                return;
            }
        };
        let alone = terminal.logged_bytes >= LOG_SNAPSHOT_BYTES
            || terminal
                .logged_snapshot_at_us
                .is_none_or(|at| now.mono_us.saturating_sub(at) >= LOG_SNAPSHOT_EVERY_US);
        terminal.logged_bytes += raw.len();
        // The chain is over frames, so that one is not left out for a snapshot; but a log that begins with one
        // has nothing that it could be applied to.
        cx.push(frame(false, raw));
        if alone {
            terminal.logged_snapshot_at_us = Some(now.mono_us);
            // Who reads the log from here has not seen the looks that earlier frames named.
            track.reset = true;
            let raw = terminal.encoder.snapshot().raw;
            terminal.logged_bytes = raw.len();
            cx.push(frame(true, raw));
        }
        self.log_margin_if_due(cx, id);
    }

    /// Gives the log the lines that left the screen and may still change, if it is time.
    fn log_margin_if_due(&mut self, cx: &mut Context, id: TrackId) {
        let now = cx.now.mono_us;
        let Some(track) = self.all.get_mut(&id) else {
            return;
        };
        let Body::Terminal(terminal) = &mut track.body else {
            return;
        };
        let due = terminal
            .margin
            .logged_at_us
            .map_or(0, |at| at.saturating_add(LOG_MARGIN_EVERY_US));
        if now < due {
            self.margins.insert(id);
            cx.timers.set_by(Timer::Margins, due);
        } else {
            self.log_margin(cx, id);
        }
    }

    /// Looks again at the lines between history and screen where that was put off.
    pub(in crate::host) fn log_margins_put_off(&mut self, cx: &mut Context) {
        if cx.shared {
            for id in std::mem::take(&mut self.margins) {
                self.log_margin_if_due(cx, id);
            }
        }
    }

    /// Gives the log the lines that left the screen and may still change: what was printed outlives a
    /// crash, and they become final only hundreds of lines later.
    pub(in crate::host) fn log_margin(&mut self, cx: &mut Context, id: TrackId) {
        let now = cx.now;
        self.margins.remove(&id);
        let Some(track) = self.all.get_mut(&id) else {
            return;
        };
        let Body::Terminal(terminal) = &mut track.body else {
            return;
        };
        let span = terminal.term.span();
        let before = std::mem::replace(
            &mut terminal.margin,
            Margin {
                upto: (span.top, span.top_offset),
                stale: false,
                logged_at_us: Some(now.mono_us),
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
            let chunk = terminal.term.margin(from, u32::MAX);
            if chunk.count == 0 && any {
                return;
            }
            any = true;
            from = LineId(chunk.first.0 + u64::from(chunk.count));
            cx.push(HostOutput::Log(LogEntry::Margin {
                track: id,
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

    /// The lines above the screen of a track that ended change no more: gives them to the log as final, and
    /// says where they end.
    pub(in crate::host) fn settle_margin(&mut self, cx: &mut Context, id: TrackId) {
        let Some(track) = self.all.get_mut(&id) else {
            return;
        };
        let Body::Terminal(terminal) = &mut track.body else {
            return;
        };
        loop {
            let chunk = terminal.term.margin(track.settled, u32::MAX);
            if chunk.count == 0 || chunk.first != track.settled {
                return;
            }
            track.settled = LineId(chunk.first.0 + u64::from(chunk.count));
            track.lines.push(chunk.first.0, chunk.count, &chunk.bytes);
            cx.push(HostOutput::Log(LogEntry::History {
                track: id,
                first: chunk.first,
                count: chunk.count,
                bytes: chunk.bytes,
            }));
        }
    }

    /// A snapshot of now, for somebody who needs one: the number of its frame, and the message.
    pub(in crate::host) fn snapshot_of_now(
        &mut self,
        cx: &mut Context,
        id: TrackId,
    ) -> Option<(u64, Bytes)> {
        let track = self.get(id)?;
        if track.number == 0 || track.dirty() {
            self.frame(cx, id);
        }
        let track = self.get_mut(id)?;
        track.reset = true;
        Some((track.number, track.snapshot()))
    }

    /// The newest frame's state, for somebody who is sent nothing that builds on it: making it costs
    /// nobody else anything, and nothing at all a second time. `None` before the first frame.
    pub(in crate::host) fn newest_snapshot(&mut self, id: TrackId) -> Option<Bytes> {
        let track = self.get_mut(id)?;
        (track.number > 0).then(|| track.snapshot())
    }
}
