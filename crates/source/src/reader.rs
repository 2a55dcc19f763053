//! The thread that reads a program's terminal.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::child::{Child, ExitStatus};
use crate::gate::Passed;
use crate::input::Input;
use crate::outlet::Outlet;
use crate::pty::Ends;
use crate::queue::{Closed, OUTSTANDING_LIMIT, Queue, SourceEvent};
use crate::wake::Sleeper;

/// How much is read before it is handed on, in bytes: two pieces may be outstanding. Linux gives at most
/// 4,095 a read; under a flood the reader goes on up to this, so that all behind it deals in big pieces.
const CHUNK: usize = OUTSTANDING_LIMIT / 2 - 4096;

/// How long a piece may take to gather. A program that floods the terminal with short lines is held up by
/// the kernel: `yes` prints 7 MB a second, and a full piece would keep what Ctrl-C brings waiting for 8 ms.
const GATHER: Duration = Duration::from_micros(300);

/// A buffer with less room than this is let go, in bytes: one read's worth.
const LEAST_ROOM: usize = 4096;

/// How much is still read once the program has ended, in bytes. What it printed is in the kernel's
/// buffers by then, which hold less than this (64 KiB and one page on Linux); more can only come from
/// a background job that keeps printing, and that must not put off the end.
const LAST_READ: usize = 256 * 1024;

pub(crate) struct Reader {
    ends: Arc<Ends>,
    input: Arc<Input>,
    child: Arc<Child>,
    queue: Arc<Queue>,
    sleeper: Sleeper,
    outlet: Arc<Outlet>,
    buffer: BytesMut,
    /// The terminal has hung up: the program has ended and is about to be reaped.
    hung_up: bool,
}

impl Reader {
    pub(crate) fn new(
        ends: Arc<Ends>,
        input: Arc<Input>,
        child: Arc<Child>,
        queue: Arc<Queue>,
        sleeper: Sleeper,
        outlet: Arc<Outlet>,
    ) -> Self {
        Self {
            ends,
            input,
            child,
            queue,
            sleeper,
            outlet,
            buffer: BytesMut::new(),
            hung_up: false,
        }
    }

    pub(crate) fn start(mut self) -> io::Result<()> {
        thread::Builder::new()
            .name("pillion-pty".into())
            .spawn(move || {
                // The only error is that nobody listens any more.
                self.run().ok();
            })?;
        Ok(())
    }

    fn run(&mut self) -> Result<(), Closed> {
        loop {
            self.queue.wait_for_room(CHUNK)?;
            self.sleep();
            // Asked before reading, so that all the program printed has been read when it is told.
            let ended = self.child.status().is_some();
            if let Some(upto) = self.input.flush(&self.ends.master) {
                self.queue.push(SourceEvent::Written { upto });
            }
            if ended {
                return self.read_last();
            }
            let read = self.read();
            self.hand_on(read);
        }
    }

    fn read_last(&mut self) -> Result<(), Closed> {
        let mut left = LAST_READ;
        loop {
            let read = self.read();
            left = left.saturating_sub(read.len());
            if read.is_empty() || left == 0 {
                self.hand_on(read);
                return Ok(());
            }
            self.hand_on(read);
            self.queue.wait_for_room(CHUNK)?;
        }
    }

    /// Sleeps until there is something to read, room for waiting input, or someone woke us.
    fn sleep(&mut self) {
        let mut wanted = PollFlags::empty();
        if !self.hung_up {
            wanted |= PollFlags::IN;
            if self.input.unwritten() > 0 {
                wanted |= PollFlags::OUT;
            }
        }
        let mut fds = [
            PollFd::new(&self.sleeper, PollFlags::IN),
            PollFd::new(&self.ends.master, wanted),
        ];
        // A terminal that has hung up is always ready: only the wake-up that the program was reaped is
        // waited for then.
        let watched = if self.hung_up {
            &mut fds[..1]
        } else {
            &mut fds[..]
        };
        let polled = rustix::event::poll(watched, None);
        if polled.is_ok() && !fds[0].revents().is_empty() {
            self.sleeper.clear();
            self.outlet.flush_kept();
        }
    }

    /// What can be read without waiting, at most a chunk, and not for long.
    fn read(&mut self) -> Bytes {
        if self.buffer.len() < LEAST_ROOM {
            self.buffer = BytesMut::zeroed(CHUNK);
        }
        let mut filled = 0;
        let mut first = None;
        while !self.hung_up && filled < self.buffer.len() {
            match first {
                None if filled > 0 => first = Some(Instant::now()),
                Some(first) if Instant::now() >= first + GATHER => break,
                _ => {}
            }
            match rustix::io::read(&self.ends.master, &mut self.buffer[filled..]) {
                Ok(read) if read > 0 => filled += read,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // Linux says EIO, others that the file has ended.
                Ok(_) | Err(_) => self.hung_up = true,
            }
        }
        self.buffer.split_to(filled).freeze()
    }

    /// To the host's terminal first, then to the session.
    fn hand_on(&mut self, read: Bytes) {
        if read.is_empty() {
            return;
        }
        let deliver = |read| self.queue.push(SourceEvent::Output(read));
        if self.outlet.pass(read, deliver) == Passed::Gone {
            self.queue.push(SourceEvent::TtyGone);
        }
    }
}

impl Drop for Reader {
    /// Whatever ended the thread, the session hears of an end, once, after all else.
    fn drop(&mut self) {
        self.input.end();
        let status = self.child.status().unwrap_or(ExitStatus::Unknown);
        self.queue.push(SourceEvent::Exited(status));
    }
}
