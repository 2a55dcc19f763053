//! From the session to the program: input in order, bounded in bytes, never waited for.

use std::collections::VecDeque;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, Bytes};
use rustix::io::Errno;

/// How much input may wait for a program that doesn't read, in bytes, beside what the kernel holds
/// (64 KiB on Linux): room for a large paste, little enough to forget.
pub const INPUT_LIMIT: usize = 256 * 1024;

/// Input that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Where it ends: the number of bytes of input accepted since the program started.
    pub upto: u64,
    /// Whether it has all been written to the program's terminal already. If not,
    /// [`SourceEvent::Written`](crate::SourceEvent::Written) tells when.
    pub written: bool,
}

/// Why input was not taken; none of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The program isn't reading its input.
    #[error(
        "the program isn't reading what was typed: {queued} bytes wait and only {room} more fit; \
        wait until it reads, or stop it"
    )]
    Full {
        /// How much waits, in bytes.
        queued: usize,
        /// How much would be taken now, in bytes.
        room: usize,
    },
    /// The program has ended, or closed its terminal.
    #[error("the program has ended and takes no more input")]
    Ended,
}

#[derive(Debug, Default)]
pub(crate) struct Input {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Bytes>,
    queued: usize,
    accepted: u64,
    ended: bool,
}

impl Input {
    /// Takes `bytes` and writes what the terminal takes at once; the reader thread writes the rest.
    pub(crate) fn write(&self, pty: impl AsFd, bytes: Bytes) -> Result<Accepted, InputError> {
        let mut state = self.lock();
        if state.ended {
            return Err(InputError::Ended);
        }
        let room = INPUT_LIMIT - state.queued;
        if bytes.len() > room {
            let queued = state.queued;
            return Err(InputError::Full { queued, room });
        }
        let idle = state.queued == 0;
        state.accepted += bytes.len() as u64;
        state.queued += bytes.len();
        state.waiting.push_back(bytes);
        if idle {
            state.flush(pty);
        }
        match state.ended {
            true => Err(InputError::Ended),
            false => Ok(Accepted {
                upto: state.accepted,
                written: state.queued == 0,
            }),
        }
    }

    /// Writes what the terminal takes of what waits; says how far that came if it came any further.
    pub(crate) fn flush(&self, pty: impl AsFd) -> Option<u64> {
        let mut state = self.lock();
        let before = state.queued;
        state.flush(pty);
        (state.queued < before).then(|| state.accepted - state.queued as u64)
    }

    /// How much waits to be written, in bytes.
    pub(crate) fn unwritten(&self) -> usize {
        self.lock().queued
    }

    /// Forgets what waits; says which positions that were.
    pub(crate) fn discard(&self) -> Range<u64> {
        let mut state = self.lock();
        let written = state.accepted - state.queued as u64;
        state.forget();
        written..state.accepted
    }

    /// The program has ended: nothing is taken any more.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.forget();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn flush(&mut self, pty: impl AsFd) {
        while let Some(bytes) = self.waiting.front_mut() {
            if bytes.is_empty() {
                self.waiting.pop_front();
                continue;
            }
            match rustix::io::write(&pty, bytes) {
                Ok(written) => {
                    bytes.advance(written);
                    self.queued -= written;
                    if written == 0 {
                        return;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_hung_up) => {
                    self.ended = true;
                    self.forget();
                }
            }
        }
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.queued = 0;
    }
}
