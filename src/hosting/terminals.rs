//! The session's terminals: the one that the host's own shows, which the loop holds as its program, and the
//! others, which print to nobody's terminal until they are shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    task::Poll,
};

use pillion_proto::{TrackId, TrackState};
use pillion_screen::Size;
use pillion_session::HostInput;
use pillion_source::{ExitStatus, HoldMode, Program, SourceEvent};
use pillion_tui::{TerminalRow, Which};

use crate::hosting::{GRACE, Hosting, Local, RunningProgram, TERMINAL};

/// What runs in the session beside what is shown.
pub(super) struct Terminals {
    /// Which track the loop's program is.
    shown: TrackId,
    others: BTreeMap<TrackId, RunningProgram>,
    /// What is to be shown next.
    next: Option<TrackId>,
    /// Those of the others that printed something since they were shown.
    active: BTreeSet<TrackId>,
    /// How the program ended that the session began with.
    first: Option<ExitStatus>,
}

impl Terminals {
    pub(super) fn new() -> Terminals {
        Terminals {
            shown: TERMINAL,
            others: BTreeMap::new(),
            next: None,
            active: BTreeSet::new(),
            first: None,
        }
    }

    /// Which track the loop's program is.
    pub(super) fn shown(&self) -> TrackId {
        self.shown
    }

    /// Whether nothing runs beside what is shown.
    pub(super) fn is_alone(&self) -> bool {
        self.others.is_empty()
    }

    /// How the program ended that the session began with, if it has.
    pub(super) fn first(&self) -> Option<ExitStatus> {
        self.first
    }

    /// Notes that a program ended.
    pub(super) fn ended(&mut self, track: TrackId, status: ExitStatus) {
        if track == TERMINAL {
            self.first = Some(status);
        }
        self.others.remove(&track);
    }

    pub(super) fn show(&mut self, track: TrackId) {
        self.next = Some(track);
    }

    /// The program of a track.
    pub(super) fn program<'a>(
        &'a mut self,
        track: TrackId,
        shown: Option<&'a mut RunningProgram>,
    ) -> Option<&'a mut RunningProgram> {
        match track == self.shown {
            true => shown,
            false => self.others.get_mut(&track),
        }
    }

    /// The next thing that one of the others does.
    pub(super) async fn next(&mut self) -> (TrackId, SourceEvent) {
        let others = &mut self.others;
        poll_fn(|cx| {
            for (track, program) in others.iter_mut() {
                if let Poll::Ready(Some(event)) = program.poll_next(cx) {
                    return Poll::Ready((*track, event));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Asks all of them to end, and makes them after a while.
    pub(super) fn terminate(&self) {
        for program in self.others.values() {
            program.terminate(GRACE);
        }
    }

    fn tracks(&self) -> Vec<TrackId> {
        self.others.keys().copied().collect()
    }
}

impl Hosting {
    /// Starts another terminal's program.
    pub(super) fn spawn(&mut self, track: TrackId, command: Vec<String>, size: Size) {
        let mut program = match command.is_empty() {
            true => Program::shell(),
            false => Program::new(command),
        };
        program.env.clone_from(&self.options.program.env);
        program
            .env_remove
            .clone_from(&self.options.program.env_remove);
        program.cwd.clone_from(&self.options.program.cwd);
        program.size = pillion_source::Size::nearest(size.cols(), size.rows());
        match RunningProgram::start(&program, None) {
            Ok(program) => {
                self.terminals.others.insert(track, program);
                self.tell(HostInput::Spawned { track });
            }
            Err(error) => {
                let why = error.to_string();
                self.tell(HostInput::SpawnFailed { track, why });
            }
        }
    }

    /// Something that one of the other terminals did.
    pub(super) fn other_event(&mut self, track: TrackId, event: SourceEvent) {
        match event {
            SourceEvent::Output(bytes) => {
                self.terminals.active.insert(track);
                let program = self.terminals.others.get_mut(&track);
                let more = program.is_some_and(RunningProgram::more);
                self.tell(HostInput::Output { track, bytes, more });
            }
            SourceEvent::Written { upto } => {
                let program = self.terminals.others.get_mut(&track);
                for seq in program
                    .map(|program| program.written(upto))
                    .into_iter()
                    .flatten()
                {
                    self.tell(HostInput::Written { track, seq });
                }
            }
            // None of theirs.
            SourceEvent::TtyGone => {}
            SourceEvent::Exited(status) => {
                self.terminals.ended(track, status);
                let state = state_of(status);
                self.tell(HostInput::Exited { track, state });
            }
        }
    }

    /// The program that is shown has ended: with nothing else running the session ends, else it goes on.
    pub(super) fn shown_exited(&mut self, status: ExitStatus) {
        if self.terminals.is_alone() {
            self.ended = Some(status);
            return;
        }
        let track = self.terminals.shown;
        self.terminals.ended(track, status);
        let state = state_of(status);
        self.tell(HostInput::Exited { track, state });
    }

    /// Gives the other terminals the size of the one that is shown.
    pub(super) fn resize_others(&mut self, size: Size) {
        for track in self.terminals.tracks() {
            if let Some(program) = self.terminals.others.get(&track) {
                program.resize(size);
            }
            self.tell(HostInput::Resized { track, size });
        }
    }

    /// Shows another terminal on the host's own, if that was asked for: the emulator knows what it shows.
    pub(super) async fn show_next(&mut self, program: &mut RunningProgram, local: &mut Local) {
        let Some(track) = self.terminals.next.take() else {
            return;
        };
        let Some(next) = self.terminals.others.remove(&track) else {
            return;
        };
        let before = std::mem::replace(program, next);
        let was = std::mem::replace(&mut self.terminals.shown, track);
        before.show_on(None);
        self.terminals.active.remove(&track);
        let ended = before.has_ended();
        if !ended {
            self.terminals.others.insert(was, before);
        }
        let holder = self.holder.as_ref();
        let holder = holder.filter(|holder| !holder.is_suspended());
        let (Some(holder), Some(overlay)) = (holder, &mut local.overlay) else {
            return;
        };
        // What the one before had not written yet is not for the terminal any more.
        let writer = match holder.tty().writer() {
            Ok(writer) => writer,
            Err(error) => {
                tracing::warn!(%error, "the terminal can't be written to any more");
                return;
            }
        };
        let now = self.clock.now();
        let hold = writer.hold(HoldMode::Skip).await;
        program.show_on(Some(writer.clone()));
        overlay.switch(now, &self.host, was, writer, hold);
        let all = self.host.terminals();
        // Of one that ended it is said what is shown instead.
        let shown = all.iter().find(|one| one.id == track && !ended);
        if let Some(shown) = shown {
            overlay.shows(now, track, &shown.title);
        }
    }

    /// What the panel lists.
    pub(super) fn terminal_rows(&self) -> Vec<TerminalRow> {
        let all = self.host.terminals().into_iter();
        let rows = all.map(|status| TerminalRow {
            active: self.terminals.active.contains(&status.id),
            status,
        });
        rows.collect()
    }

    /// The terminal that the person at the host's own means, if there is one to go to.
    pub(super) fn which(&self, which: Which) -> Option<TrackId> {
        let mut running = self.host.terminals();
        running.retain(|one| one.state == TrackState::Live);
        let shown = self.host.shown();
        let ids = || running.iter().map(|one| one.id);
        let found = match which {
            Which::Number(track) => return Some(track),
            Which::Next => ids().find(|id| *id > shown).or_else(|| ids().next()),
            Which::Previous => ids()
                .rev()
                .find(|id| *id < shown)
                .or_else(|| ids().next_back()),
        };
        found.filter(|track| *track != shown)
    }
}

/// How a program ended, as the session says it.
pub(super) fn state_of(status: ExitStatus) -> TrackState {
    match status {
        ExitStatus::Code(code) => TrackState::Exited(code),
        ExitStatus::Signal(signal) => TrackState::Killed(signal),
        ExitStatus::Unknown => TrackState::Exited(1),
    }
}
