//! Tracks begin and end. Their numbers are never used again, and what is kept of those that ended is bounded.

use pillion_proto::{
    DropReason, EndReason, FromHost, Notice, NoticeKind, ParticipantId, Text, TrackId, TrackKind,
    TrackState, limits::MAX_TRACKS,
};
use pillion_screen::{Size, clean::clean_title};

use crate::{
    audit::{AuditEvent, Doer},
    host::{
        Host,
        api::{HostNotice, HostOutput, LogEntry},
        commands::verbs::{CommandError, OpenTerminal, Reply, TrackClosed, TrackStatus},
        context::Context,
        people::{rights::OpenRight, roster::HOST},
        principal::Principal,
        tracks::Tracks,
        tracks::{ClosedTrack, MAIN, MAX_CLOSED, MAX_ENDED, track::Track},
    },
    types::ConnId,
};

/// Longest command of a terminal, in words, and in bytes all together: what a command line has room for.
const MAX_WORDS: usize = 1024;
const MAX_COMMAND: usize = 128 * 1024;

/// Longest reason why a program was not started, in characters.
const MAX_WHY: usize = 300;

/// A terminal whose program is being started.
pub(in crate::host) struct Opening {
    title: String,
    program: String,
    size: Size,
    opener: ParticipantId,
    asked_by: AskedBy,
}

/// Who waits to hear what came of it.
enum AskedBy {
    Command(u64),
    Viewer(ConnId),
}

impl Host {
    /// `pillion new`: another terminal, once its program runs.
    pub(in crate::host) fn open_terminal(&mut self, request: u64, open: OpenTerminal) {
        let OpenTerminal { title, command } = open;
        let opened = self.tracks.begin_opening(
            &mut self.cx,
            &title,
            command,
            HOST,
            AskedBy::Command(request),
        );
        if let Err(error) = opened {
            self.commands.done(&mut self.cx, request, Err(error));
        }
    }

    /// A viewer opens a terminal, with the program that the host's own have. There is no way to here without
    /// the right.
    pub(in crate::host) fn open_for_viewer(
        &mut self,
        right: &OpenRight,
        conn: ConnId,
        id: ParticipantId,
        title: &str,
    ) -> Result<(), CommandError> {
        let track = self.tracks.begin_opening(
            &mut self.cx,
            title,
            Vec::new(),
            id,
            AskedBy::Viewer(conn),
        )?;
        let doer = self.people.doer_by(id, right.grant());
        self.cx.log_with(&AuditEvent::Opening { track }, doer);
        Ok(())
    }

    /// A terminal's program runs.
    pub(in crate::host) fn on_spawned(&mut self, id: TrackId) {
        let now = self.cx.now.mono_us;
        let Some(opening) = self.tracks.opening.remove(&id) else {
            return;
        };
        let Opening {
            title,
            program,
            size,
            opener,
            asked_by,
        } = opening;
        let track = Track::terminal(id, &title, &program, opener, size, now)
            .chained(&self.cx.keys.session.public(), self.cx.run);
        // It comes of the command, though it comes later.
        if let AskedBy::Command(request) = &asked_by {
            self.commands.act(&mut self.cx, *request);
        }
        self.add(track);
        self.commands.rest(&mut self.cx);
        match asked_by {
            AskedBy::Command(request) => {
                self.commands
                    .done(&mut self.cx, request, Ok(Reply::OpenTerminal(id).into()));
            }
            AskedBy::Viewer(_) => {
                let name = self.people.name_of(opener);
                self.cx.notice(HostNotice::TerminalOpened {
                    id: opener,
                    name,
                    track: id,
                });
            }
        }
    }

    /// A terminal's program could not be started; its number is gone.
    pub(in crate::host) fn on_spawn_failed(&mut self, id: TrackId, why: &str) {
        let Some(opening) = self.tracks.opening.remove(&id) else {
            return;
        };
        let why = clean_title(why, MAX_WHY);
        match opening.asked_by {
            AskedBy::Command(request) => {
                self.commands
                    .done(&mut self.cx, request, Err(CommandError::NotStarted(why)))
            }
            AskedBy::Viewer(conn) if self.cx.conns.member(conn).is_some() => {
                let why = Text::cut(&why);
                let what = Some(NoticeKind::NotOpened { why });
                self.cx.send(conn, &FromHost::Notice(Notice { what }));
            }
            AskedBy::Viewer(_) => {}
        }
        self.end_if_last();
    }

    /// A log track begins.
    pub(in crate::host) fn open_log(&mut self, request: u64, title: &str) {
        let result = match self
            .tracks
            .any_live()
            .then(|| self.tracks.reserve())
            .flatten()
        {
            Some(id) => {
                let track = Track::log(id, title, HOST, self.cx.now.mono_us);
                self.add(track.chained(&self.cx.keys.session.public(), self.cx.run));
                Ok(Reply::OpenTerminal(id).into())
            }
            None => Err(CommandError::TooManyTracks { max: MAX_TRACKS }),
        };
        self.commands.done(&mut self.cx, request, result);
    }

    pub(in crate::host) fn add(&mut self, track: Track) {
        let (id, title, kind) = (track.id, track.title(), track.kind());
        self.cx.push(track.beginning(self.cx.now.unix_ms));
        let event = AuditEvent::Opened {
            track: id,
            kind: name_of(kind).to_owned(),
            title: title.to_owned(),
            opener: track.opener,
        };
        let opener = self.people.roster().get(track.opener).map(|person| Doer {
            by: Some(person.identity.to_string()),
            by_name: Some(person.name.to_string()),
            ..Doer::default()
        });
        match opener {
            Some(doer) => self.cx.log_with(&event, doer),
            None => self.cx.log_event(&event),
        }
        self.tracks.all.insert(id, track);
        self.tracks.track_changed(id);
        if self.cx.shared {
            // The session's log knows from its first frame on that it is there.
            self.tracks.frame(&mut self.cx, id);
        }
    }

    /// `pillion close`: ends a track's program, or forgets one that ended.
    pub(in crate::host) fn close_track(
        &mut self,
        by: &Principal,
        id: TrackId,
    ) -> Result<TrackClosed, CommandError> {
        let Some(track) = self.tracks.get(id) else {
            return Err(CommandError::NoSuchTrack(id));
        };
        let (title, live) = (track.title(), track.state == TrackState::Live);
        self.people
            .log_by(&mut self.cx, by, &AuditEvent::Closed { track: id });
        match live {
            true => self.cx.push(HostOutput::Terminate { track: id }),
            false if id == self.tracks.shown() => return Err(CommandError::Shown(id)),
            false => self.tracks.retire(&mut self.cx, id),
        }
        Ok(TrackClosed {
            track: id,
            title,
            had_ended: !live,
        })
    }

    /// A viewer closes what it opened.
    pub(in crate::host) fn close_for_viewer(
        &mut self,
        right: &OpenRight,
        who: ParticipantId,
        id: TrackId,
    ) -> Result<(), CommandError> {
        let track = self.tracks.live(id);
        let track = track.ok_or(CommandError::NoSuchTrack(id))?;
        if track.opener != who {
            return Err(CommandError::NotTheirs(id));
        }
        let doer = self.people.doer_by(who, right.grant());
        self.cx.log_with(&AuditEvent::Closed { track: id }, doer);
        self.cx.push(HostOutput::Terminate { track: id });
        Ok(())
    }

    /// The host looks at another terminal.
    pub(in crate::host) fn show_track(&mut self, id: TrackId) -> Result<(), CommandError> {
        match self.tracks.get(id).map(Track::kind) {
            Some(TrackKind::Terminal) if self.tracks.live(id).is_none() => {
                Err(CommandError::TrackEnded(id))
            }
            Some(TrackKind::Terminal) => {
                self.tracks.show(&mut self.cx, id);
                Ok(())
            }
            Some(_) => Err(CommandError::NotATerminal(id)),
            None => Err(CommandError::NoSuchTrack(id)),
        }
    }

    /// `pillion ls SESSION`: every track that is or was there, as far as that is remembered.
    pub(in crate::host) fn list_tracks(&self) -> Vec<TrackStatus> {
        let closed = self.tracks.closed.iter().map(|closed| TrackStatus {
            id: closed.id,
            kind: closed.kind,
            title: closed.title.clone(),
            state: closed.state,
            opener: closed.opener,
            opener_name: self.opener_name(closed.opener),
            size: None,
            shown: false,
            viewers: 0,
        });
        let here = self.tracks.iter().map(|track| self.track_status(track));
        let mut all: Vec<TrackStatus> = closed.chain(here).collect();
        all.sort_by_key(|track| track.id);
        all
    }

    /// The terminals that can be looked at, by number.
    pub fn terminals(&self) -> Vec<TrackStatus> {
        let all = self.tracks.iter();
        let terminals = all.filter(|track| track.kind() == TrackKind::Terminal);
        terminals.map(|track| self.track_status(track)).collect()
    }

    fn track_status(&self, track: &Track) -> TrackStatus {
        TrackStatus {
            id: track.id,
            kind: track.kind(),
            title: track.title(),
            state: track.state,
            opener: track.opener,
            opener_name: self.opener_name(track.opener),
            size: Some(track.size()),
            shown: track.id == self.tracks.shown(),
            viewers: u32::try_from(track.lanes.len()).unwrap_or(u32::MAX),
        }
    }

    fn opener_name(&self, opener: ParticipantId) -> String {
        match opener {
            HOST => self.cx.names.host.clone(),
            opener => self.people.name_of(opener),
        }
    }

    /// A program ended: its last words are shown, and what it did not read never will be. With the last
    /// program the session ends.
    pub(in crate::host) fn on_exited(&mut self, id: TrackId, state: TrackState) {
        let Some(why) = ending(state) else { return };
        let Some(track) = self.tracks.get_mut(id) else {
            return;
        };
        if track.state != TrackState::Live {
            return;
        }
        track.state = state;
        if id == MAIN {
            self.tracks.main = state;
        }
        self.tracks.ended.push_back(id);
        if self.cx.shared {
            self.tracks.frame(&mut self.cx, id);
            self.tracks.sign_checkpoint(&mut self.cx, id);
            self.tracks.log_margin(&mut self.cx, id);
        }
        self.tracks.track_changed(id);
        if self.end_if_last() {
            return;
        }
        self.tracks
            .drop_unwritten(&mut self.cx, id, DropReason::ProgramEnded);
        self.cx
            .log_event(&AuditEvent::TrackEnded { track: id, why });
        let was_shown = id == self.tracks.shown();
        if was_shown {
            self.tracks.show_another(&mut self.cx);
        }
        let shown = self.tracks.shown();
        let next = self.tracks.live(shown).filter(|_| was_shown);
        let shows = next.map(|track| (track.id, track.title()));
        let ended = self.tracks.get(id);
        let terminal = ended.filter(|track| track.kind() == TrackKind::Terminal);
        if let Some(title) = terminal.map(Track::title) {
            self.cx.notice(HostNotice::TerminalEnded {
                track: id,
                title,
                state,
                shows,
            });
        }
        while self.tracks.ended.len() > MAX_ENDED
            && let Some(oldest) = self.tracks.ended.iter().find(|id| **id != shown).copied()
        {
            self.tracks.retire(&mut self.cx, oldest);
        }
    }

    /// Ends the session when no program runs in it; whether it did.
    fn end_if_last(&mut self) -> bool {
        if self.tracks.any_live() {
            return false;
        }
        let state = self.tracks.main;
        let why = match self.cx.lost_tty {
            true => EndReason::TerminalClosed,
            false => ending(state).unwrap_or(EndReason::ProgramEnded),
        };
        if self.cx.shared {
            self.tracks.tell_tracks_now(&mut self.cx);
            self.end_sharing(why);
        } else {
            self.cx.log_event(&AuditEvent::Ended { why });
        }
        self.cx.push(HostOutput::SessionEnded { state });
        true
    }
}

impl Tracks {
    fn begin_opening(
        &mut self,
        cx: &mut Context,
        title: &str,
        command: Vec<String>,
        opener: ParticipantId,
        asked_by: AskedBy,
    ) -> Result<TrackId, CommandError> {
        let bytes: usize = command.iter().map(String::len).sum();
        if command.len() > MAX_WORDS || bytes > MAX_COMMAND {
            return Err(CommandError::CommandTooLong);
        }
        if !self.any_live() {
            return Err(CommandError::SessionEnded);
        }
        let Some(track) = self.reserve() else {
            return Err(CommandError::TooManyTracks { max: MAX_TRACKS });
        };
        let size = self.term(self.shown()).map(|term| term.size());
        let size = size.unwrap_or(self.size);
        let opening = Opening {
            title: title.to_owned(),
            program: command
                .first()
                .cloned()
                .unwrap_or_else(|| "shell".to_owned()),
            size,
            opener,
            asked_by,
        };
        self.opening.insert(track, opening);
        cx.push(HostOutput::Spawn {
            track,
            command,
            size,
        });
        Ok(track)
    }

    /// The host's terminal shows another one in place of one that ended: the one it showed before, or else
    /// the next below, or any.
    fn show_another(&mut self, cx: &mut Context) {
        let is_terminal = |id: &TrackId| {
            let track = self.live(*id);
            track.is_some_and(|track| track.kind() == TrackKind::Terminal)
        };
        let (shown, before) = (self.shown, self.shown_before);
        let below = self.all.range(..shown).map(|(id, _)| *id).rev();
        let any = self.all.keys().copied();
        let next = [before]
            .into_iter()
            .chain(below)
            .chain(any)
            .find(is_terminal);
        if let Some(next) = next {
            self.show(cx, next);
        }
    }

    /// Lets go of a track that ended: it can't be looked at any more, and its history can.
    fn retire(&mut self, cx: &mut Context, id: TrackId) {
        self.settle_margin(cx, id);
        let Some(track) = self.all.remove(&id) else {
            return;
        };
        self.ended.retain(|ended| *ended != id);
        self.margins.remove(&id);
        for conn in track.lanes.keys() {
            if let Some(member) = cx.conns.member_mut(*conn) {
                member.looks_at.remove(&id);
            }
            self.behind.remove(&(id, *conn));
        }
        for (conn, lane) in &track.lanes {
            let stream = crate::types::Stream::Track { id: lane.epoch };
            cx.push(HostOutput::Finish {
                conn: *conn,
                stream,
            });
        }
        self.track_changed(id);
        self.closed.push_back(ClosedTrack {
            id,
            kind: track.kind(),
            title: track.title(),
            state: track.state,
            opener: track.opener,
            visible_from: track.visible_from,
            end: track.settled,
        });
        if self.closed.len() > MAX_CLOSED
            && let Some(oldest) = self.closed.pop_front()
        {
            cx.push(HostOutput::Log(LogEntry::Forgotten { track: oldest.id }));
        }
    }
}

/// How a program ended; `None` while it runs.
fn ending(state: TrackState) -> Option<EndReason> {
    match state {
        TrackState::Killed(signal) => Some(EndReason::Killed(signal)),
        TrackState::Exited(code) => Some(EndReason::Exited(code)),
        TrackState::Live | TrackState::Unknown(_) => None,
    }
}

/// A kind as the session's log names it.
fn name_of(kind: TrackKind) -> &'static str {
    match kind {
        TrackKind::Terminal => "terminal",
        TrackKind::Log => "log",
        TrackKind::Conversation => "conversation",
        TrackKind::State => "state",
        TrackKind::Unknown(_) => "unknown",
    }
}
