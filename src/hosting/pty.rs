//! The running program as the loop sees it: what it prints, and two ways to type.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use pillion_screen::Size;
use pillion_source::{ExitStatus, InputError, Pty, Source, SourceEvent, SpawnError, TtyWriter};

/// Input of viewers that may wait behind a program that does not read, in bytes, beside what the
/// terminal itself holds. The state machine bounds each viewer; this bounds all together.
const WAITING_LIMIT: usize = 4 << 20;

/// A program in its terminal.
pub struct Program {
    pty: Pty,
    source: Source,
    next: Option<SourceEvent>,
    status: Option<ExitStatus>,
    /// Viewers' input that was accepted and is not written yet: where it ends, and its number.
    unwritten: VecDeque<(u64, u64)>,
    /// Viewers' input the terminal had no room for.
    waiting: VecDeque<(u64, Bytes)>,
    waiting_bytes: usize,
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
        Ok(Program {
            pty,
            source,
            next: None,
            status: None,
            unwritten: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        })
    }

    /// The next thing it does; `None` after its exit.
    pub async fn next(&mut self) -> Option<SourceEvent> {
        let event = match self.next.take() {
            Some(event) => Some(event),
            None => self.source.next().await,
        };
        if let Some(SourceEvent::Exited(status)) = &event {
            self.status = Some(*status);
        }
        event
    }

    /// Takes what is there already, without waiting.
    pub fn try_next(&mut self) -> Option<SourceEvent> {
        self.next.take().or_else(|| self.source.try_next())
    }

    /// Puts back what [`Program::try_next`] gave.
    pub fn put_back(&mut self, event: SourceEvent) {
        self.next = Some(event);
    }

    /// Whether more output is there already.
    pub fn more(&mut self) -> bool {
        if self.next.is_none() {
            self.next = self.source.try_next();
        }
        matches!(self.next, Some(SourceEvent::Output(_)))
    }

    /// How it ended; a failure if it has not.
    pub fn status(&self) -> ExitStatus {
        self.status.unwrap_or(ExitStatus::Code(1))
    }

    /// Types what the person here typed, or what a query's answer is. What a program that does not
    /// read leaves no room for is dropped, as a terminal does.
    pub fn type_here(&mut self, bytes: Bytes) {
        if let Err(error) = self.pty.write(bytes) {
            tracing::debug!(%error, "input was not taken");
        }
    }

    /// Types what a viewer typed; whether it was written at once.
    pub fn type_for_viewer(&mut self, seq: u64, bytes: Bytes) -> bool {
        if !self.waiting.is_empty() {
            self.wait(seq, bytes);
            return false;
        }
        match self.pty.write(bytes.clone()) {
            Ok(accepted) if accepted.written => true,
            Ok(accepted) => {
                self.unwritten.push_back((accepted.upto, seq));
                false
            }
            Err(InputError::Full { .. }) => {
                self.wait(seq, bytes);
                false
            }
            // Nobody waits for input to a program that has ended.
            Err(InputError::Ended) => false,
        }
    }

    fn wait(&mut self, seq: u64, bytes: Bytes) {
        if self.waiting_bytes + bytes.len() > WAITING_LIMIT {
            tracing::warn!(
                seq,
                "a viewer's input was dropped: the program does not read"
            );
            return;
        }
        self.waiting_bytes += bytes.len();
        self.waiting.push_back((seq, bytes));
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
            match self.pty.write(bytes.clone()) {
                Ok(accepted) => {
                    self.waiting_bytes -= bytes.len();
                    if accepted.written {
                        done.push(seq);
                    } else {
                        self.unwritten.push_back((accepted.upto, seq));
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

    /// What was piped in has ended.
    pub fn end_of_input(&mut self) {
        if let Err(error) = self.pty.write_eof() {
            tracing::debug!(%error, "the end of input was not taken");
        }
    }

    /// Gives its terminal another size.
    pub fn resize(&self, size: Size) {
        let size = pillion_source::Size::nearest(size.cols(), size.rows());
        if let Err(error) = self.pty.resize(size) {
            tracing::debug!(%error, "the terminal was not resized");
        }
    }

    /// Asks it to end, and makes it after a while.
    pub fn terminate(&self, grace: Duration) {
        if let Err(error) = self.pty.terminate(grace) {
            tracing::warn!(%error, "the program was not asked to end");
        }
    }
}
