//! The session's tracks: what the world knows of each, and how they come and go.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use pillion_caps::{FrameChain, LineChain, StateDigest};
use pillion_proto::{
    Entry, FromHost, LogState, Right, Subscribe, Text, TrackId, TrackKind, TrackState,
};
use pillion_screen::{Decoder, HistoryChunk, Line, LineId, Screen, Size, Terminal};
use pillion_session::{Actor, ConnId, HostInput, HostOutput, LogEntry, Stream, ViewerInput, verbs};

use crate::program::Program;

use super::{Event, Sabotage, World, hosting::as_told, invariants::tokens};

/// Tracks of a world that are live at once, and that it has in one life of a host.
const MAX_LIVE: usize = 6;
pub(super) const MAX_EVER: usize = 40;

/// One track, as the world sees it.
pub(super) struct TrackSide {
    pub(super) kind: TrackKind,
    pub(super) state: TrackState,
    pub(super) program: Program,
    /// An emulator that is fed the same, and the lines it settled.
    pub(super) reference: Terminal,
    pub(super) lines: BTreeMap<u64, Line>,
    /// Sharing began here.
    pub(super) visible_from: LineId,
    pub(super) logged: Vec<HistoryChunk>,
    /// Follows the log's frames.
    pub(super) shadow: Decoder,
    /// Newest frame made, and when the last ones were.
    pub(super) frame: u64,
    pub(super) frame_times: VecDeque<(u64, u64)>,
    pub(super) echoed: u64,
    /// Inputs in the program's hands: newest number, and when each of the last ones was.
    pub(super) written: u64,
    pub(super) written_at: VecDeque<(u64, u64)>,
    /// Inputs on their way into the program.
    pub(super) unread: VecDeque<(u64, Bytes)>,
    pub(super) program_reads_at_us: u64,
    pub(super) answered: u64,
    /// What a log says, folded.
    pub(super) log: LogState,
    /// The chain of the frames that the session's log has.
    chain: Option<FrameChain>,
    /// The same of its lines.
    line_chain: Option<LineChain>,
    /// The same for a log's entries: those in frames, folded, and those that the session's log has and no
    /// frame.
    framed: LogState,
    pub(super) unframed: VecDeque<Entry>,
}

/// Frames that the log does not have are empty, up to the one before `number`.
fn fill(chain: &mut FrameChain, number: u64) {
    while chain.frame() + 1 < number {
        chain.push(&[]);
    }
}

impl TrackSide {
    pub(super) fn new(kind: TrackKind, program: Program, size: Size) -> TrackSide {
        TrackSide {
            kind,
            state: TrackState::Live,
            program,
            reference: Terminal::new(size),
            lines: BTreeMap::new(),
            visible_from: LineId(0),
            logged: Vec::new(),
            shadow: Decoder::new(),
            frame: 0,
            frame_times: VecDeque::new(),
            echoed: 0,
            written: 0,
            written_at: VecDeque::new(),
            unread: VecDeque::new(),
            program_reads_at_us: 0,
            answered: 0,
            log: LogState::default(),
            chain: None,
            line_chain: None,
            framed: LogState::default(),
            unframed: VecDeque::new(),
        }
    }

    pub(super) fn is_live_terminal(&self) -> bool {
        self.kind == TrackKind::Terminal && self.state == TrackState::Live
    }

    /// The emulator's screen that was fed the same, as viewers should see it.
    pub(super) fn reference_screen(&self) -> Screen {
        let mut screen = Screen::blank(Size::clamped(1, 1));
        self.reference.capture(&mut screen);
        as_told(screen)
    }

    /// The lines of a terminal that ended, which become final when it is let go of.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        if self.kind != TrackKind::Terminal || self.state == TrackState::Live {
            return Ok(());
        }
        loop {
            let next = self.lines.last_key_value().map_or(0, |(last, _)| last + 1);
            let chunk = self.reference.margin(LineId(next), u32::MAX);
            if chunk.count == 0 {
                return Ok(());
            }
            let lines = chunk.lines().map_err(|error| format!("{error}"))?;
            self.lines
                .extend(lines.into_iter().map(|line| (line.id.0, line)));
        }
    }

    pub(super) fn collect_lines(&mut self) -> Result<(), String> {
        while let Some(chunk) = self.reference.take_history() {
            let lines = chunk.lines().map_err(|error| format!("history: {error}"))?;
            self.lines
                .extend(lines.into_iter().map(|line| (line.id.0, line)));
        }
        Ok(())
    }
}

impl World {
    /// What one of the tracks in this life of the host is known to be.
    pub(super) fn track(&mut self, id: TrackId) -> Option<&mut TrackSide> {
        self.host.as_mut()?.tracks.get_mut(&id)
    }

    /// A terminal whose program runs.
    pub(super) fn some_terminal(&mut self) -> Option<TrackId> {
        let side = self.host.as_ref()?;
        let live = side
            .tracks
            .iter()
            .filter(|(_, track)| track.is_live_terminal());
        let live: Vec<TrackId> = live.map(|(id, _)| *id).collect();
        (!live.is_empty()).then(|| *self.dice.pick(&live))
    }

    fn some_track(&mut self) -> Option<TrackId> {
        let ids: Vec<TrackId> = self.host.as_ref()?.tracks.keys().copied().collect();
        (!ids.is_empty()).then(|| *self.dice.pick(&ids))
    }

    /// Somebody opens a terminal or a log.
    pub(super) fn some_opening(&mut self) {
        let Some(side) = &self.host else { return };
        let live = side
            .tracks
            .values()
            .filter(|track| track.state == TrackState::Live);
        if live.count() >= MAX_LIVE || side.tracks.len() >= MAX_EVER {
            return;
        }
        let title = self
            .dice
            .text(&["", "logs", "\u{202e}x", "work"])
            .to_owned();
        match self.dice.below(4) {
            0 => self.open_log(title),
            1 => {
                let open = |seat: &usize| {
                    let view = self.seats[*seat].viewer.view();
                    self.seats[*seat].ended.is_none() && view.rights.has(Right::Open)
                };
                let may: Vec<usize> = (0..self.seats.len()).filter(open).collect();
                let seat = match may.is_empty() {
                    true => self.some_seat(),
                    false => Some(*self.dice.pick(&may)),
                };
                if let Some(seat) = seat {
                    self.seats[seat].openings.0 += 1;
                    self.tell_viewer(seat, ViewerInput::OpenTerminal { title });
                }
            }
            _ => {
                let command = vec!["top".to_owned()];
                let by = *self.dice.pick(&[Actor::Tty, Actor::Socket]);
                self.command(by, verbs::OpenTerminal { title, command }.into());
            }
        }
    }

    fn open_log(&mut self, title: String) {
        let Some(side) = &mut self.host else { return };
        let request = side.next_request();
        side.opening_logs.insert(request);
        self.tell_host(HostInput::OpenLog { request, title });
    }

    /// The host wants a program started.
    pub(super) fn spawn(&mut self, track: TrackId, size: Size) {
        let life = self.lives;
        let delay = *self.dice.pick(&[0, 0, 500, 100_000]);
        let fails = self.dice.one_in(8);
        let act = Event::Spawned {
            life,
            track,
            size: (!fails).then_some(size),
        };
        self.after(delay, act);
    }

    pub(super) fn spawned(&mut self, track: TrackId, size: Option<Size>) {
        let Some(size) = size else {
            let why = "no such file".to_owned();
            return self.tell_host(HostInput::SpawnFailed { track, why });
        };
        let life = self.lives;
        let program = Program::new(&mut self.dice);
        let new = TrackSide::new(TrackKind::Terminal, program, size);
        if let Some(side) = &mut self.host {
            side.tracks.insert(track, new);
        }
        self.tell_host(HostInput::Spawned { track });
        self.after(1_000, Event::Output { life, track });
    }

    /// A track's program is to end, which takes its time.
    pub(super) fn terminate(&mut self, track: TrackId) {
        let life = self.lives;
        let delay = *self.dice.pick(&[0, 200, 50_000, 2_000_000]);
        self.after(delay, Event::Exits { life, track });
    }

    pub(super) fn exits(&mut self, track: TrackId, state: TrackState) {
        self.close_talk(track);
        let Some(side) = self.track(track) else {
            return;
        };
        if side.state != TrackState::Live {
            return;
        }
        side.state = state;
        // What it did not read it never will.
        let unread = std::mem::take(&mut side.unread);
        for (seat, count) in unread
            .iter()
            .flat_map(|(_, bytes)| tokens(bytes).unwrap_or_default())
        {
            let typed = self
                .seats
                .get_mut(seat)
                .and_then(|seat| seat.typed.get_mut(count));
            if let Some(typed) = typed {
                typed.written = None;
            }
        }
        self.tell_host(HostInput::Exited { track, state });
    }

    /// Some track ends, by itself or by somebody.
    pub(super) fn some_closing(&mut self) {
        let Some(track) = self.some_track() else {
            return;
        };
        match self.dice.below(4) {
            0 => self.tell_somebody(ViewerInput::CloseTrack(track)),
            1 if track != super::TERMINAL => self.exits(track, TrackState::Exited(3)),
            _ if track != super::TERMINAL => {
                self.command(Actor::Tty, verbs::CloseTrack { track }.into());
            }
            _ => {}
        }
    }

    /// Logs say something.
    pub(super) fn some_entries(&mut self) {
        let Some(side) = &self.host else { return };
        let is_log = |track: &super::tracks::TrackSide| {
            track.kind == TrackKind::Log && track.state == TrackState::Live
        };
        let logs = side.tracks.iter().filter(|(_, track)| is_log(track));
        let logs: Vec<TrackId> = logs.map(|(id, _)| *id).collect();
        if logs.is_empty() {
            return;
        }
        let track = *self.dice.pick(&logs);
        for _ in 0..self.dice.range(1, 40) {
            let key = self.dice.text(&["", "", "plan", "cost", "turn"]).to_owned();
            let length = *self.dice.pick(&[0, 5, 60, 3_000]) as usize;
            let loses = self.strikes(Sabotage::LoseEntry) && self.dice.one_in(20);
            let Some(known) = self.track(track) else {
                return;
            };
            let number = known.log.next;
            let json = Bytes::from(format!("{number}:{}", "x".repeat(length)));
            known.log.apply(Entry {
                number,
                key: Text::cut(&key),
                json: json.clone(),
            });
            if !loses {
                self.tell_host(HostInput::Entry { track, key, json });
            }
        }
    }

    /// Somebody looks at something else.
    pub(super) fn some_look(&mut self) {
        if self.dice.one_in(3) {
            if let Some(track) = self.some_terminal() {
                self.command(Actor::Tty, verbs::ShowTrack { track }.into());
            }
            return;
        }
        let mut tracks = Vec::new();
        for _ in 0..*self.dice.pick(&[0, 1, 1, 1, 2, 3]) {
            tracks.extend(self.some_track());
        }
        // One that is not there, or not yet.
        if self.dice.one_in(10) {
            tracks.push(TrackId(self.dice.below(60) as u32));
        }
        let Some(seat) = self.some_seat() else { return };
        let chosen = &mut self.seats[seat].chosen;
        chosen.clear();
        for track in &tracks {
            if !chosen.contains(track) {
                chosen.push(*track);
            }
        }
        self.seats[seat].fair_since_us = Some(self.now_us).filter(|_| self.seats[seat].is_fair());
        if !self.strikes(Sabotage::ForgetChoice) {
            self.tell_viewer(seat, ViewerInput::Look(tracks));
        }
    }

    /// What a viewer is to show: what it chose, and else what the host looks at.
    pub(super) fn wanted(&self, seat: usize) -> Option<TrackId> {
        let chosen = self.seats[seat].chosen.first().copied();
        chosen.or(self.host.as_ref().map(|side| side.shown))
    }

    /// Reads along what a viewer is told: what it chose and is not there it looks at no longer.
    pub(super) fn before_viewer(&mut self, conn: u64, bytes: &[u8]) {
        let Some(conn) = self.conns.get_mut(&conn) else {
            return;
        };
        let (watch, seat) = (&mut conn.watch, &mut self.seats[conn.seat]);
        watch.at_viewer.push(bytes);
        while let Ok(Some((tag, payload))) = watch.at_viewer.next_message() {
            match FromHost::decode(tag, &payload) {
                Ok(FromHost::Welcome(welcome)) => {
                    let is_there = |id: &TrackId| welcome.tracks.iter().any(|info| info.id == *id);
                    seat.chosen.retain(is_there);
                }
                Ok(FromHost::Tracks(change)) => {
                    seat.chosen.retain(|id| !change.gone.contains(id));
                }
                Ok(FromHost::Refused(_) | FromHost::Ended(_)) => seat.may_end = true,
                _ => {}
            }
        }
    }

    /// The host says that a track begins: under a number that no other one had.
    pub(super) fn check_beginning(&mut self, entry: &LogEntry) {
        let LogEntry::Track { track, kind, .. } = entry else {
            return;
        };
        let reused = self.strikes(Sabotage::ReuseNumber);
        let Some(side) = &mut self.host else { return };
        let number = match reused {
            true => TrackId(0),
            false => *track,
        };
        let new = side.began.insert(number);
        if matches!(kind, TrackKind::Log | TrackKind::Conversation) {
            let program = Program::new(&mut self.dice);
            let log = TrackSide::new(*kind, program, Size::clamped(1, 1));
            side.tracks.insert(*track, log);
        }
        self.require(new, || format!("the number {number} is used again"));
    }

    /// A track is shown to who looks at it, and to nobody else.
    pub(super) fn check_subscribed(&mut self, conn: ConnId, track: TrackId) {
        let Some(side) = &self.host else { return };
        let Some(state) = self.conns.get(&conn.0) else {
            return;
        };
        // Before the hello that may be any, and is one picture.
        if state.watch.welcomed.is_none() {
            return;
        }
        let Subscribe { follow, tracks } = &state.watch.subscribe;
        let looks = (*follow && track == side.shown) || tracks.contains(&track);
        let seat = state.seat;
        self.require(looks, || {
            format!("viewer {seat} is sent track {track} and does not look at it")
        });
    }

    /// An input goes where it was typed, to a program that runs.
    pub(super) fn check_place(&mut self, track: TrackId, tokens: &[(usize, usize)]) {
        for (seat, count) in tokens {
            let typed = self
                .seats
                .get(*seat)
                .and_then(|seat| seat.typed.get(*count));
            let meant = typed.and_then(|typed| typed.track);
            self.require(meant == Some(track), || {
                format!("what viewer {seat} typed for {meant:?} goes to track {track}")
            });
        }
        let live = self
            .host
            .as_ref()
            .and_then(|side| side.tracks.get(&track))
            .is_some_and(TrackSide::is_live_terminal);
        self.require(live, || {
            format!("track {track} is typed into and is no live terminal")
        });
    }

    /// Who has a terminal opened holds the right to, and asked for it.
    pub(super) fn check_opening(&mut self, from: Option<(ConnId, Stream)>, track: TrackId) {
        let from = match self.sabotage {
            Sabotage::OpenWithoutRight => self.somebody_who_only_watches().or(from),
            _ => from,
        };
        let Some((conn, Stream::Input { .. })) = from else {
            return;
        };
        let unix_ms = self.host_unix_ms();
        let Some(state) = self.conns.get(&conn.0) else {
            return;
        };
        let seat = state.seat;
        let who = self.people[self.seats[seat].person].secret.public();
        let (_, most) = self.model.right(who, unix_ms);
        self.require(most.has(Right::Open), || {
            format!("viewer {seat} opens a terminal without the right to")
        });
        if let Some(side) = &mut self.host {
            side.openers.insert(track, who);
        }
        let times = match self.strikes(Sabotage::OpenTwice) {
            true => 2,
            false => 1,
        };
        let openings = &mut self.seats[seat].openings;
        openings.1 += times;
        let (wanted, had) = *openings;
        let hostile = self.people[self.seats[seat].person].hostile;
        self.require(hostile || had <= wanted, || {
            format!("viewer {seat} asked for {wanted} terminals and got {had}")
        });
    }

    /// Who has a terminal closed opened it.
    pub(super) fn check_closing(&mut self, from: Option<(ConnId, Stream)>, track: TrackId) {
        let Some((conn, Stream::Input { .. })) = from else {
            return;
        };
        let (Some(state), Some(side)) = (self.conns.get(&conn.0), &self.host) else {
            return;
        };
        let seat = state.seat;
        let who = self.people[self.seats[seat].person].secret.public();
        let theirs = side.openers.get(&track) == Some(&who);
        self.require(theirs, || {
            format!("viewer {seat} closes track {track} and did not open it")
        });
    }

    /// A frame of the log, or a signature of what it has so far.
    pub(super) fn check_signed(&mut self, entry: &LogEntry) {
        let (session, run) = (
            self.session.public(),
            u32::try_from(self.lives).unwrap_or(u32::MAX),
        );
        let loses = self.strikes(Sabotage::LoseLogged);
        let loses_lines =
            matches!(entry, LogEntry::History { .. }) && self.strikes(Sabotage::LoseLines);
        let (LogEntry::Frame { track: id, .. }
        | LogEntry::History { track: id, .. }
        | LogEntry::Entries { track: id, .. }
        | LogEntry::Checkpoint { track: id, .. }) = entry
        else {
            return;
        };
        let Some(side) = self.track(*id) else { return };
        let begin = || FrameChain::begin(&session, run, id.0);
        let chain = side.chain.get_or_insert_with(begin);
        let begin = || LineChain::begin(&session, run, id.0);
        let lines = side.line_chain.get_or_insert_with(begin);
        let problem = match entry {
            LogEntry::Frame {
                number,
                snapshot: false,
                raw,
                ..
            } => {
                if !loses || !number.is_multiple_of(5) {
                    fill(chain, *number);
                    chain.push(raw);
                }
                None
            }
            LogEntry::History {
                first,
                count,
                bytes,
                ..
            } => {
                if side.kind == TrackKind::Terminal && !loses_lines {
                    lines.push(first.0, *count, bytes);
                }
                None
            }
            LogEntry::Entries { number, end, .. } => {
                let mut body = BytesMut::new();
                while let Some(first) = side.unframed.front()
                    && first.number < *end
                {
                    first.encode(&mut body);
                    side.framed
                        .apply(side.unframed.pop_front().unwrap_or_else(|| unreachable!()));
                }
                fill(chain, *number);
                chain.push(&body);
                None
            }
            LogEntry::Checkpoint { checkpoint, .. } => {
                fill(chain, checkpoint.unverified().frame.saturating_add(1));
                let state = match side.kind {
                    TrackKind::Log => side.framed.encode().to_vec(),
                    TrackKind::Conversation => side.framed.next.to_be_bytes().to_vec(),
                    _ => side
                        .shadow
                        .screen()
                        .map(Screen::canonical_bytes)
                        .unwrap_or_default(),
                };
                let frames = checkpoint.check(&session, chain, StateDigest::of(&state));
                frames
                    .and_then(|()| checkpoint.unverified().check_lines(lines))
                    .err()
            }
            _ => None,
        };
        self.require(problem.is_none(), || {
            format!("what the log has of track {id} is not what its host signed: {problem:?}")
        });
    }

    fn somebody_who_only_watches(&self) -> Option<(ConnId, Stream)> {
        let unix_ms = self.host_unix_ms();
        let watches = |seat: usize| {
            let who = self.people[self.seats[seat].person].secret.public();
            !self.model.right(who, unix_ms).1.has(Right::Open)
        };
        let mut conns = self.conns.iter();
        let found = conns.find(|(_, conn)| conn.watch.welcomed.is_some() && watches(conn.seat));
        found.map(|(id, _)| (ConnId(*id), Stream::Input { epoch: 0 }))
    }

    /// Another terminal that has history.
    pub(super) fn other_history(&self, id: TrackId) -> Option<TrackId> {
        let mut tracks = self.host.as_ref()?.tracks.iter();
        let found = tracks.find(|(other, track)| {
            **other != id && track.kind == TrackKind::Terminal && !track.logged.is_empty()
        });
        found.map(|(other, _)| *other)
    }

    /// Does to tracks what no host should, when it is asked to.
    pub(super) fn sabotage_tracks(&mut self, output: &mut HostOutput) {
        let Some(side) = &self.host else { return };
        let other = |id: TrackId, live: bool| {
            let mut tracks = side.tracks.iter();
            let found =
                tracks.find(|(other, track)| **other != id && track.is_live_terminal() == live);
            found.map(|(other, _)| *other)
        };
        if let HostOutput::Write { track, .. } = output {
            let to = match self.sabotage {
                Sabotage::WriteElsewhere => other(*track, true),
                Sabotage::WriteToEnded => other(*track, false),
                _ => None,
            };
            *track = to.unwrap_or(*track);
        }
    }
}
