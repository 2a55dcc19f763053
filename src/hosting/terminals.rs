//! The session's terminals: the one that the host's own shows, which the loop holds as its program, and the
//! others, which print to nobody's terminal until they are shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use pillion_proto::{TrackId, TrackState};
use pillion_screen::Size;
use pillion_session::HostInput;
use pillion_source::{ExitSignal, ExitStatus, HoldMode, Program, SourceEvent};
use pillion_tui::{TerminalRow, Which};

use crate::hosting::{Hosting, Local, RunningProgram, TERMINAL, wakes::Wakes};

/// So many bytes of what is shown are taken before one of the others has its turn: a flood there holds up the
/// others for the time that they take to parse, a millisecond at most.
const TURN: usize = 64 << 10;

/// What runs in the session beside what is shown.
pub(super) struct Terminals {
    /// Which track the loop's program is.
    shown: TrackId,
    others: BTreeMap<TrackId, Other>,
    /// Those of the others that are to be asked: idle ones cost nothing.
    wakes: Wakes,
    /// What is to be shown next.
    next: Option<TrackId>,
    /// Those of the others that printed something since they were shown.
    active: BTreeSet<TrackId>,
    /// How the program ended that the session began with.
    first: Option<ExitStatus>,
    /// Bytes of what is shown that were taken since it was another one's turn.
    shown_bytes: usize,
    /// Which of the others had its turn last.
    last_turn: Option<TrackId>,
    /// How often one of the others was asked.
    #[cfg(test)]
    asked: u64,
}

/// A program that is not shown, and the waker that says so when it did something.
struct Other {
    program: RunningProgram,
    waker: Waker,
}

/// What a program did whose turn it was.
#[derive(Debug)]
pub(super) enum Turn {
    /// The one that is shown; `None` after its exit.
    Shown(Option<SourceEvent>),
    /// Another one.
    Other(TrackId, SourceEvent),
}

impl Terminals {
    pub(super) fn new() -> Terminals {
        Terminals {
            shown: TERMINAL,
            others: BTreeMap::new(),
            wakes: Wakes::default(),
            next: None,
            active: BTreeSet::new(),
            first: None,
            shown_bytes: 0,
            last_turn: None,
            #[cfg(test)]
            asked: 0,
        }
    }

    /// Adds one that is not shown. It may have done something already.
    fn insert(&mut self, track: TrackId, program: RunningProgram) {
        let waker = self.wakes.waker(track);
        self.wakes.insert(track);
        self.others.insert(track, Other { program, waker });
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
            false => self.other(track),
        }
    }

    /// One that is not shown. What is done to it may be something to tell of, so it is asked next time.
    fn other(&mut self, track: TrackId) -> Option<&mut RunningProgram> {
        let other = self.others.get_mut(&track)?;
        self.wakes.insert(track);
        Some(&mut other.program)
    }

    /// The next thing that one of the programs does. What is shown goes first, so that an echo waits for nothing;
    /// once it has printed a turn's worth, one of the others goes before it, and they take turns.
    pub(super) async fn next_event(&mut self, shown: &mut RunningProgram) -> Turn {
        poll_fn(|cx| {
            let others_first = self.shown_bytes >= TURN;
            if !others_first && let Poll::Ready(event) = shown.poll_next(cx) {
                if let Some(SourceEvent::Output(bytes)) = &event {
                    self.shown_bytes += bytes.len();
                }
                return Poll::Ready(Turn::Shown(event));
            }
            if let Poll::Ready((track, event)) = self.poll_others(cx) {
                self.shown_bytes = 0;
                return Poll::Ready(Turn::Other(track, event));
            }
            if others_first {
                self.shown_bytes = 0;
                return shown.poll_next(cx).map(Turn::Shown);
            }
            Poll::Pending
        })
        .await
    }

    /// What one of the others does, beginning with the one behind whose turn it was last.
    fn poll_others(&mut self, cx: &mut Context<'_>) -> Poll<(TrackId, SourceEvent)> {
        if self.others.is_empty() {
            return Poll::Pending;
        }
        self.wakes.wakes(cx.waker());
        let last = self.last_turn.unwrap_or(TrackId(u32::MAX));
        while let Some(track) = self.wakes.take_behind(last) {
            // One that ended, or is shown now.
            let Some(other) = self.others.get_mut(&track) else {
                continue;
            };
            #[cfg(test)]
            {
                self.asked += 1;
            }
            let mut cx = Context::from_waker(&other.waker);
            if let Poll::Ready(Some(event)) = other.program.poll_next(&mut cx) {
                // It may have more, and nothing says so again.
                self.wakes.insert(track);
                self.last_turn = Some(track);
                return Poll::Ready((track, event));
            }
        }
        Poll::Pending
    }

    /// Passes a signal on to all of them.
    pub(super) fn pass_on(&mut self, signal: ExitSignal) {
        for track in self.tracks() {
            if let Some(program) = self.other(track) {
                program.pass_on(signal);
            }
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
                self.terminals.insert(track, program);
                self.tell(HostInput::Spawned { track });
            }
            Err(error) => {
                let why = error.to_string();
                self.tell(HostInput::SpawnFailed { track, why });
            }
        }
    }

    /// Something that one of the other terminals did; whether it has printed more already.
    pub(super) fn other_event(&mut self, track: TrackId, event: SourceEvent) -> bool {
        match event {
            SourceEvent::Output(bytes) => {
                self.terminals.active.insert(track);
                let program = self.terminals.other(track);
                let more = program.is_some_and(RunningProgram::more);
                self.tell(HostInput::Output { track, bytes, more });
                return more;
            }
            SourceEvent::Written { upto } => {
                let program = self.terminals.other(track);
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
        false
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
            if let Some(other) = self.terminals.others.get(&track) {
                other.program.resize(size);
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
        let before = std::mem::replace(program, next.program);
        let was = std::mem::replace(&mut self.terminals.shown, track);
        before.show_on(None);
        self.terminals.active.remove(&track);
        let ended = before.has_ended();
        if !ended {
            self.terminals.insert(was, before);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until a program has done something that was not taken yet.
    async fn until_ready(program: &mut RunningProgram) {
        if let Some(event) = poll_fn(|cx| program.poll_next(cx)).await {
            program.put_back(event);
        }
    }

    fn start(command: &[&str]) -> RunningProgram {
        RunningProgram::start(&Program::new(command), None).unwrap()
    }

    #[test]
    fn programs_take_turns_and_a_flood_holds_up_nobody() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut terminals = Terminals::new();
            let mut shown = start(&["yes", "zero"]);
            let one = start(&["yes", "one"]);
            let two = start(&["sh", "-c", "echo two; read x"]);
            terminals.insert(TrackId(1), one);
            terminals.insert(TrackId(2), two);
            until_ready(terminals.other(TrackId(2)).unwrap()).await;
            let (mut before, mut shown_bytes) = (0, 0);
            loop {
                // Both floods always have more.
                until_ready(&mut shown).await;
                until_ready(terminals.other(TrackId(1)).unwrap()).await;
                match terminals.next_event(&mut shown).await {
                    Turn::Other(TrackId(2), SourceEvent::Output(bytes)) => {
                        assert_eq!(&bytes[..], b"two\r\n");
                        break;
                    }
                    Turn::Other(track, _) => {
                        assert_eq!(track, TrackId(1));
                        before += 1;
                        assert!(before <= 1, "two turns of another one before it");
                    }
                    Turn::Shown(Some(SourceEvent::Output(bytes))) => shown_bytes += bytes.len(),
                    Turn::Shown(event) => panic!("{event:?}"),
                }
            }
            // Two turns, each of which may end within an event.
            assert!((TURN..4 * TURN).contains(&shown_bytes), "{shown_bytes}");
            // What is shown comes first while it prints little.
            let mut shown = start(&["sh", "-c", "echo here; read x"]);
            terminals.shown_bytes = 0;
            until_ready(&mut shown).await;
            until_ready(terminals.other(TrackId(1)).unwrap()).await;
            let first = terminals.next_event(&mut shown).await;
            assert!(
                matches!(first, Turn::Shown(Some(SourceEvent::Output(_)))),
                "{first:?}"
            );
        });
    }

    #[test]
    fn idle_terminals_are_not_asked() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut terminals = Terminals::new();
            let mut shown = start(&[
                "sh",
                "-c",
                "stty -echo; echo here; while read x; do echo $x; done",
            ]);
            for track in 1..10 {
                terminals.insert(
                    TrackId(track),
                    start(&["sh", "-c", "read x; echo $x; read y"]),
                );
            }
            let event = terminals.next_event(&mut shown).await;
            assert!(
                matches!(event, Turn::Shown(Some(SourceEvent::Output(_)))),
                "{event:?}"
            );
            // Whatever they have to say at first is taken.
            poll_fn(|cx| {
                assert!(terminals.poll_others(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            let at_first = terminals.asked;
            for _ in 0..100 {
                shown.write_local("k\n".into());
                let event = terminals.next_event(&mut shown).await;
                assert!(
                    matches!(event, Turn::Shown(Some(SourceEvent::Output(_)))),
                    "{event:?}"
                );
            }
            assert_eq!(
                terminals.asked, at_first,
                "100 wakes, and nothing happened at the others"
            );
            // One that does something is heard, and no other is asked for it.
            let typed = terminals
                .other(TrackId(4))
                .unwrap()
                .write_local("heard\n".into());
            assert!(typed.written);
            let mut all = Vec::new();
            while !all.ends_with(b"heard\r\nheard\r\n") {
                match terminals.next_event(&mut shown).await {
                    Turn::Other(TrackId(4), SourceEvent::Output(bytes)) => all.extend(bytes),
                    event => panic!("{event:?}"),
                }
            }
            assert!(
                terminals.asked - at_first <= 6,
                "{}",
                terminals.asked - at_first
            );
        });
    }
}
