//! The running program as the loop sees it: what it prints, and the ways to type.
//!
//! Nothing typed is lost to a program that does not read. What its terminal has no room for waits here, in one
//! order anybody who typed it; what waits is bounded by who types: the state machine bounds viewers, and the loop
//! reads no more from the keyboard or a pipe while [`Program::takes_keys`] says so. Only Ctrl-C and its kind
//! overtake it, by doing what they do in any terminal: throwing away what was not read.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use pillion_screen::Size;
use pillion_source::{
    Accepted, ExitSignal, ExitStatus, InputError, Piped, Pty, Source, SourceEvent, SpawnError,
    TtyWriter,
};

/// How long a program is given to end by itself once it is asked to.
const GRACE: Duration = Duration::from_secs(3);

/// From so many bytes that wait for the program on, the keyboard is not read: a large paste still leaves the
/// keys behind it, Ctrl-C and the prefix, within reach.
const KEYS_WAIT: usize = 1 << 20;

/// The same for what is piped in, which has no such keys.
const PIPED_WAIT: usize = 64 << 10;

/// How soon and how rarely it is looked whether the program has read everything before the end of what was
/// piped in: nothing tells when it does.
const LOOK_FIRST: Duration = Duration::from_millis(2);
const LOOK_LAST: Duration = Duration::from_secs(1);

/// A program in its terminal.
pub struct Program {
    streams: Streams,
    /// `None` where there is no program.
    source: Option<Source>,
    next: Option<SourceEvent>,
    status: Option<ExitStatus>,
    /// Viewers' input that was accepted and is not written yet: where it ends, and its number.
    unwritten: VecDeque<(u64, u64)>,
    /// What the terminal had no room for; viewers' input with its number.
    waiting: VecDeque<(Option<u64>, Bytes)>,
    waiting_bytes: usize,
    /// Nothing was typed since the last line was complete.
    at_line_start: bool,
    ending: Option<Ending>,
}

/// What the program's streams are.
enum Streams {
    Terminal(Pty),
    /// Our own: what is piped in goes to it and not through here.
    Pipes(Piped),
    /// There is no program: the session began with a conversation.
    Absent,
}

/// What was piped in has ended, and the program is to hear of it.
struct Ending {
    look_at: Instant,
    wait: Duration,
}

/// What became of what a viewer typed, and of what was typed before.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// It was written at once.
    pub written: bool,
    /// Viewers' inputs that were not written by then never will be, up to this number.
    pub discarded: Option<u64>,
}

impl Program {
    /// Starts it.
    ///
    /// # Errors
    /// As [`Pty::spawn`].
    pub fn start(
        program: &pillion_source::Program,
        out: Option<TtyWriter>,
    ) -> Result<Program, SpawnError> {
        let (pty, source) = Pty::spawn(program, out)?;
        Ok(Program::with(Streams::Terminal(pty), Some(source)))
    }

    /// Starts it without a terminal: its streams are ours ([`Piped`]).
    ///
    /// # Errors
    /// As [`Piped::spawn`].
    pub fn start_piped(program: &pillion_source::Program) -> Result<Program, SpawnError> {
        let (piped, source) = Piped::spawn(program)?;
        Ok(Program::with(Streams::Pipes(piped), Some(source)))
    }

    /// In place of one, where the session began with something else. It ends when it is told to.
    pub fn absent() -> Program {
        Program::with(Streams::Absent, None)
    }

    fn with(streams: Streams, source: Option<Source>) -> Program {
        Program {
            streams,
            source,
            next: None,
            status: None,
            unwritten: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            at_line_start: true,
            ending: None,
        }
    }

    fn pty(&self) -> Option<&Pty> {
        match &self.streams {
            Streams::Terminal(pty) => Some(pty),
            Streams::Pipes(_) | Streams::Absent => None,
        }
    }

    fn write(&self, bytes: Bytes) -> Result<Accepted, InputError> {
        self.pty()
            .map_or(Err(InputError::Ended), |pty| pty.write(bytes))
    }

    /// The next thing it does; `None` after its exit.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<SourceEvent>> {
        let event = match self.next.take() {
            Some(event) => Poll::Ready(Some(event)),
            None => match &mut self.source {
                Some(source) => source.poll_next(cx),
                None => Poll::Pending,
            },
        };
        // Also of one that was looked at before it was taken.
        if let Poll::Ready(Some(SourceEvent::Exited(status))) = &event {
            self.status = Some(*status);
        }
        event
    }

    /// Whether it has ended, as far as it was read.
    pub fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// Takes what is there already, without waiting.
    pub fn try_next(&mut self) -> Option<SourceEvent> {
        let next = self.next.take();
        next.or_else(|| self.source.as_mut()?.try_next())
    }

    /// Puts back what [`Program::try_next`] gave.
    pub fn put_back(&mut self, event: SourceEvent) {
        self.next = Some(event);
    }

    /// Whether more output is there already.
    pub fn more(&mut self) -> bool {
        if self.next.is_none() {
            self.next = self.source.as_mut().and_then(Source::try_next);
        }
        matches!(self.next, Some(SourceEvent::Output(_)))
    }

    /// How it ended; a failure if it has not.
    pub fn status(&self) -> ExitStatus {
        self.status.unwrap_or(ExitStatus::Code(1))
    }

    /// Whether what is typed here, or what is piped in, has room.
    pub fn takes_keys(&self, piped: bool) -> bool {
        let limit = if piped { PIPED_WAIT } else { KEYS_WAIT };
        self.pty().map_or(0, Pty::unwritten) + self.waiting_bytes < limit
    }

    /// Types what the person here typed.
    pub fn write_local(&mut self, bytes: Bytes) -> Typed {
        self.type_keys(None, bytes)
    }

    /// Types what a viewer typed.
    pub fn write_remote(&mut self, seq: u64, bytes: Bytes) -> Typed {
        self.type_keys(Some(seq), bytes)
    }

    /// Types what was piped in: it is no keyboard, and a Ctrl-C in it overtakes nothing.
    pub fn type_piped(&mut self, bytes: Bytes) {
        self.put(None, bytes);
    }

    /// Types the answer to a question of the program's. What it has no room for is dropped: nobody typed it,
    /// and a program that asks without end and never reads must not wait for itself.
    pub fn answer(&mut self, bytes: Bytes) {
        if !self.takes_keys(true) {
            tracing::debug!("an answer was dropped: the program does not read");
            return;
        }
        self.put(None, bytes);
    }

    fn type_keys(&mut self, seq: Option<u64>, mut bytes: Bytes) -> Typed {
        let mut discarded = None;
        if let Some(at) = self.pty().and_then(|pty| pty.flush_before(&bytes)) {
            let waiting = self.waiting.drain(..).filter_map(|(seq, _)| seq);
            let seqs = self.unwritten.drain(..).map(|(_, seq)| seq);
            discarded = seqs.chain(waiting).max();
            self.waiting_bytes = 0;
            if let Some(pty) = self.pty() {
                pty.flush_input();
            }
            bytes = bytes.slice(at..);
        }
        Typed {
            written: self.put(seq, bytes),
            discarded,
        }
    }

    /// Types it, or has it wait; whether it was written at once.
    fn put(&mut self, seq: Option<u64>, bytes: Bytes) -> bool {
        if let Some(last) = bytes.last() {
            self.at_line_start = matches!(last, b'\r' | b'\n');
        }
        if self.waiting.is_empty() {
            match self.write(bytes.clone()) {
                Ok(accepted) if accepted.written => return true,
                Ok(accepted) => {
                    self.unwritten.extend(seq.map(|seq| (accepted.upto, seq)));
                    return false;
                }
                Err(InputError::Full { .. }) => {}
                // Nobody waits for input to a program that has ended.
                Err(InputError::Ended) => return false,
            }
        }
        self.waiting_bytes += bytes.len();
        self.waiting.push_back((seq, bytes));
        false
    }

    /// Input up to a position was written: the numbers of viewers' inputs that are in it.
    pub fn written(&mut self, upto: u64) -> Vec<u64> {
        let mut done = Vec::new();
        while let Some((end, seq)) = self.unwritten.front().copied()
            && end <= upto
        {
            self.unwritten.pop_front();
            done.push(seq);
        }
        while let Some((seq, bytes)) = self.waiting.pop_front() {
            match self.write(bytes.clone()) {
                Ok(accepted) => {
                    self.waiting_bytes -= bytes.len();
                    match seq {
                        Some(seq) if accepted.written => done.push(seq),
                        Some(seq) => self.unwritten.push_back((accepted.upto, seq)),
                        None => {}
                    }
                }
                Err(InputError::Full { .. }) => {
                    self.waiting.push_front((seq, bytes));
                    break;
                }
                Err(InputError::Ended) => self.waiting_bytes -= bytes.len(),
            }
        }
        done
    }

    /// What was piped in has ended. The program hears of it once it has read it all.
    pub fn end_of_input(&mut self) {
        self.ending = Some(Ending {
            look_at: Instant::now(),
            wait: LOOK_FIRST,
        });
    }

    /// Types the end of what was piped in, if it is time: as in every terminal it counts at the start of a
    /// line, and behind part of one it takes two.
    pub fn end_if_read(&mut self, now: Instant) {
        let Streams::Terminal(pty) = &self.streams else {
            return;
        };
        let Some(ending) = self.ending.as_mut().filter(|ending| ending.look_at <= now) else {
            return;
        };
        if !self.waiting.is_empty() || pty.has_unread_input() {
            ending.look_at = now + ending.wait;
            ending.wait = LOOK_LAST.min(ending.wait * 2);
            return;
        }
        let lines = pty.line_mode().is_ok_and(|mode| mode.canonical);
        if pty.write_eof().is_err() || self.at_line_start || !lines {
            self.ending = None;
        }
        self.at_line_start = true;
    }

    /// When to call [`Program::end_if_read`] at the latest.
    pub fn look_at(&self) -> Option<Instant> {
        self.ending.as_ref().map(|ending| ending.look_at)
    }

    /// Gives its terminal another size.
    pub fn resize(&self, size: Size) {
        let size = pillion_source::Size::nearest(size.cols(), size.rows());
        if let Some(Err(error)) = self.pty().map(|pty| pty.resize(size)) {
            tracing::debug!(%error, "the terminal was not resized");
        }
    }

    /// Shows what it prints elsewhere from here on ([`Pty::show_on`]).
    pub fn show_on(&self, tty: Option<TtyWriter>) {
        match &self.streams {
            Streams::Terminal(pty) => pty.show_on(tty),
            Streams::Pipes(piped) => piped.close(),
            Streams::Absent => {}
        }
    }

    /// The device of its terminal, if the system says.
    pub fn device(&self) -> Option<u64> {
        self.pty()?.device().ok()
    }

    /// Asks it to end, and makes it after a while.
    pub fn terminate(&mut self) {
        let asked = match &self.streams {
            Streams::Terminal(pty) => pty.terminate(GRACE),
            Streams::Pipes(piped) => piped.terminate(GRACE),
            Streams::Absent => {
                self.next = Some(SourceEvent::Exited(ExitStatus::Code(0)));
                return;
            }
        };
        if let Err(error) = asked {
            tracing::warn!(%error, "the program was not asked to end");
        }
    }

    /// Passes on a signal that asks to end ([`Pty::pass_on`]).
    pub fn pass_on(&mut self, signal: ExitSignal) {
        let passed = match &self.streams {
            Streams::Terminal(pty) => pty.pass_on(signal, GRACE),
            Streams::Pipes(piped) => piped.pass_on(signal, GRACE),
            Streams::Absent => {
                self.next = Some(SourceEvent::Exited(ExitStatus::Signal(signal.number())));
                return;
            }
        };
        if let Err(error) = passed {
            tracing::warn!(%error, "a signal was not passed on");
        }
    }
}
