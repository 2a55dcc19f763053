//! The gate to the host's terminal: program output passes through it, unless someone holds it to draw.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::termios::Termios;
use tokio::io::Interest;
use tokio::sync::Notify;

use crate::ready;
use crate::wake::{self, Sleeper, Waker};

/// How much output is kept while a panel holds the gate, in bytes; then the program waits. Enough for
/// ordinary work to go on behind a panel, little beside what a host may use.
pub const HELD_LIMIT: usize = 1024 * 1024;

/// Where program output goes on this machine: the host's terminal, or plain standard output.
///
/// Clones are the same gate.
#[derive(Debug, Clone)]
pub struct TtyWriter {
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Gate {
    out: OwnedFd,
    /// Wakes the reader thread out of a terminal that takes nothing, once this is closed. `None`: not a
    /// terminal of ours, which nobody closes.
    closer: Option<(Waker, Sleeper)>,
    /// The settings of the terminal before we touched it; `None`: not a terminal of ours.
    settings: Option<Termios>,
    state: Mutex<State>,
    /// The reader thread waits here while the gate is held.
    free: Condvar,
    /// Those who want to hold the gate wait here.
    turn: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The reader thread is writing.
    writing: bool,
    /// How many wait to hold the gate; the reader lets them go first.
    wanted: usize,
    held: Option<HoldMode>,
    /// Output behind a panel, not yet written.
    kept: BytesMut,
    gone: bool,
    /// Nothing is written any more: see [`TtyWriter::close`].
    closed: bool,
    waker: Option<Arc<Waker>>,
}

/// What happens to program output while the gate is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldMode {
    /// It waits, for the session too. So once the session has drained its
    /// [`Source`](crate::Source::try_next), its emulator has seen exactly what the terminal has: the
    /// state to draw a notice over. Hold it for a moment only, the program waits meanwhile.
    Wait,
    /// The session gets it; for the terminal it is kept, up to [`HELD_LIMIT`], then it waits. Kept output
    /// is written when the hold ends.
    Keep,
    /// The session gets it, the terminal never does: for a terminal that shows nothing of the program yet,
    /// and is given the whole screen when there is a moment for it.
    Skip,
}

/// What became of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// The terminal has it, or it is kept for it.
    On,
    /// There is no terminal any more.
    Gone,
}

/// What a pipe that takes anything has room for, in bytes (`PIPE_BUF`, `pipe(7)`).
const ROOM: usize = 4096;

impl TtyWriter {
    /// Standard output as it is, for a host without a terminal (CI, cron, a pipe).
    ///
    /// # Errors
    /// When it is closed.
    pub fn stdout() -> io::Result<Self> {
        Ok(Self::plain(rustix::io::fcntl_dupfd_cloexec(
            rustix::stdio::stdout(),
            3,
        )?))
    }

    /// Any open file as the place for output. It may be non-blocking or not.
    pub fn plain(out: OwnedFd) -> Self {
        Self::new(out, None)
    }

    pub(crate) fn new(out: OwnedFd, settings: Option<Termios>) -> Self {
        // Without a way to be woken a terminal that takes nothing holds up the program until it is gone.
        let closer = wake::pair().ok();
        Self {
            gate: Arc::new(Gate {
                out,
                closer,
                settings,
                state: Mutex::default(),
                free: Condvar::new(),
                turn: Notify::new(),
            }),
        }
    }

    /// Takes the gate once the write under way, if any, is done. Output waits or is kept as `mode` says
    /// until the [`Hold`] is dropped. The caller bounds the time it waits and the time it holds: a
    /// terminal that takes nothing (a stopped connection) keeps the gate busy for as long.
    ///
    /// May be dropped while it waits.
    pub async fn hold(&self, mode: HoldMode) -> Hold {
        let gate = &self.gate;
        gate.lock().wanted += 1;
        let _wanted = Wanted(gate);
        loop {
            let turn = gate.turn.notified();
            {
                let mut state = gate.lock();
                // What was kept comes first: the terminal is behind the session until it has it.
                if !state.writing && state.held.is_none() && state.kept.is_empty() {
                    state.held = Some(mode);
                    break;
                }
            }
            turn.await;
        }
        Hold {
            gate: Arc::clone(gate),
        }
    }

    /// Writes nothing any more, not even the rest of what is being written: the terminal is another's, or
    /// given back. The program goes on as if all its output had been shown.
    pub fn close(&self) {
        let mut state = self.gate.lock();
        state.closed = true;
        state.kept.clear();
        drop(state);
        if let Some((closer, _)) = &self.gate.closer {
            closer.wake();
        }
        self.gate.free.notify_one();
        self.gate.turn.notify_waiters();
    }

    /// Whether the terminal did not take output any more.
    pub fn is_gone(&self) -> bool {
        self.gate.lock().gone
    }

    /// Whether both are the same gate.
    pub(crate) fn is(&self, other: &TtyWriter) -> bool {
        Arc::ptr_eq(&self.gate, &other.gate)
    }

    /// The settings the host's terminal had, if this is one.
    pub(crate) fn settings(&self) -> Option<&Termios> {
        self.gate.settings.as_ref()
    }

    /// Whom to wake when kept output is to be written.
    pub(crate) fn attach(&self, waker: &Arc<Waker>) {
        self.gate.lock().waker = Some(Arc::clone(waker));
    }

    /// Writes `read` to the terminal, then delivers it; waits for both the gate and the terminal. The
    /// delivery is inside the gate: who holds it finds everything written delivered.
    pub(crate) fn pass(&self, read: Bytes, deliver: impl FnOnce(Bytes)) -> Passed {
        let kept = match self.gate.enter(Some(&read)) {
            Entered::Keep => {
                deliver(read);
                return Passed::On;
            }
            // Delivered before anybody else has the gate: who goes on holding it in another way finds it
            // delivered.
            Entered::Skip(_gate) => {
                deliver(read);
                return Passed::On;
            }
            Entered::Write(kept) => kept,
        };
        let written = self.gate.write(&kept).and_then(|()| self.gate.write(&read));
        deliver(read);
        self.gate.leave(written.is_err())
    }

    /// Writes what was kept, if the gate is free; called when a hold has ended.
    pub(crate) fn flush_kept(&self) {
        let state = self.gate.lock();
        if state.kept.is_empty() || state.held.is_some() {
            return;
        }
        drop(state);
        if let Entered::Write(kept) = self.gate.enter(None) {
            let written = self.gate.write(&kept);
            self.gate.leave(written.is_err());
        }
    }
}

/// What the reader thread may do.
enum Entered<'a> {
    /// Write, first what was kept, and leave.
    Write(BytesMut),
    /// Nothing: it has been kept.
    Keep,
    /// Nothing: the terminal is not to have it.
    Skip(MutexGuard<'a, State>),
}

impl Gate {
    fn enter(&self, read: Option<&Bytes>) -> Entered<'_> {
        let mut state = self.lock();
        loop {
            match (state.held, read) {
                _ if state.closed => return Entered::Skip(state),
                (Some(HoldMode::Skip), _) => return Entered::Skip(state),
                (None, _) if state.wanted == 0 || !state.kept.is_empty() => {
                    state.writing = true;
                    return Entered::Write(std::mem::take(&mut state.kept));
                }
                (Some(HoldMode::Keep), Some(read))
                    if state.kept.len() + read.len() <= HELD_LIMIT =>
                {
                    state.kept.extend_from_slice(read);
                    return Entered::Keep;
                }
                (Some(HoldMode::Keep), None) => return Entered::Keep,
                _ => {
                    let free = self.free.wait(state);
                    state = free.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn leave(&self, failed: bool) -> Passed {
        let mut state = self.lock();
        state.writing = false;
        state.gone |= failed && !state.closed;
        let passed = if state.gone { Passed::Gone } else { Passed::On };
        if state.wanted > 0 {
            drop(state);
            self.turn.notify_waiters();
        }
        passed
    }

    /// Writes all of it, however long that takes.
    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut piece = bytes;
            if self.settings.is_none() {
                // It may be blocking: no more is written than there is room for, so that it can be closed.
                self.wait_for_room()?;
                piece = bytes.get(..ROOM).unwrap_or(bytes);
            }
            match rustix::io::write(&self.out, piece) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                // A terminal we opened is non-blocking; so may be standard output, whose open file
                // we share with the one who made it so.
                Err(Errno::AGAIN) => self.wait_for_room()?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits until the terminal takes something, or nothing is to be written any more.
    fn wait_for_room(&self) -> io::Result<()> {
        let out = PollFd::new(&self.out, PollFlags::OUT);
        match &self.closer {
            None => rustix::event::poll(&mut [out], None).ok(),
            Some((_, closed)) => {
                let closed = PollFd::new(closed, PollFlags::IN);
                rustix::event::poll(&mut [out, closed], None).ok()
            }
        };
        match self.lock().closed {
            true => Err(io::ErrorKind::NotConnected.into()),
            false => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits for the gate.
struct Wanted<'a>(&'a Gate);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.lock().wanted -= 1;
        self.0.free.notify_one();
    }
}

/// The gate, held: only this draws on the terminal. Dropping it lets output pass again.
#[derive(Debug)]
pub struct Hold {
    gate: Arc<Gate>,
}

impl Hold {
    /// Draws `bytes` (escape sequences, text) on the terminal without blocking the thread. If it is
    /// dropped while it waits, part of them was written: repaint.
    ///
    /// # Errors
    /// When the terminal is gone, or when this isn't one ([`TtyWriter::plain`]).
    pub async fn draw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.draw_counted(bytes, |_| ()).await
    }

    /// Tells after each write how much it took.
    async fn draw_counted(
        &mut self,
        mut bytes: &[u8],
        mut written: impl FnMut(usize),
    ) -> io::Result<()> {
        if self.gate.settings.is_none() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if self.gate.lock().closed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let mut registered = None;
        while !bytes.is_empty() {
            match rustix::io::write(&self.gate.out, bytes) {
                Ok(took) => {
                    written(took);
                    bytes = bytes.get(took..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // Registered only when it is needed, and only for this drawing: a terminal rarely
                    // refuses, and one that is registered wakes the session whenever it has room.
                    let registered = match &mut registered {
                        Some(registered) => registered,
                        None => {
                            let out = self.gate.out.try_clone()?;
                            registered.insert(ready::register(out, Interest::WRITABLE)?)
                        }
                    };
                    registered.writable().await?.clear_ready();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Goes on holding the gate in another way.
    pub fn set_mode(&mut self, mode: HoldMode) {
        self.gate.lock().held = Some(mode);
        self.gate.free.notify_one();
    }

    /// Draws the kept output. Anybody who has read the program's last words is not there any more to do it
    /// when the hold ends. What is not drawn when this is dropped is still kept.
    ///
    /// # Errors
    /// As [`Hold::draw`].
    pub async fn draw_kept(&mut self) -> io::Result<()> {
        let gate = Arc::clone(&self.gate);
        loop {
            let kept = gate.lock().kept.clone();
            if kept.is_empty() {
                return Ok(());
            }
            self.draw_counted(&kept, |written| gate.lock().kept.advance(written))
                .await?;
        }
    }

    /// Keeps `bytes` for the terminal ahead of all output that comes from here on: a whole screen, which may
    /// take a slow terminal longer than anybody can wait for. Takes the place of what was kept.
    pub fn keep(&mut self, bytes: &[u8]) {
        let mut state = self.gate.lock();
        if !state.closed {
            state.kept = BytesMut::from(bytes);
        }
    }

    /// How much output is kept for the terminal, in bytes.
    pub fn kept(&self) -> usize {
        self.gate.lock().kept.len()
    }

    /// Forgets the kept output, for a caller that repaints the newest screen instead; says how much it
    /// was, in bytes. Modes that it set and questions that it asked don't reach the terminal then.
    pub fn discard_kept(&mut self) -> usize {
        std::mem::take(&mut self.gate.lock().kept).len()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.held = None;
        let waker = match state.kept.is_empty() {
            true => None,
            false => state.waker.clone(),
        };
        drop(state);
        self.gate.free.notify_one();
        self.gate.turn.notify_waiters();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
