//! A program without a terminal, whose streams are those it would have without us.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::ExitStatus;
use crate::child::Child;
use crate::gate::{Passed, TtyWriter};
use crate::orphans;
use crate::program::{Program, SpawnError};
use crate::queue::{Closed, OUTSTANDING_LIMIT, Queue, Source, SourceEvent};
use crate::signals::ExitSignal;
use crate::wake::{self, Sleeper};

/// How much is read at once, in bytes. With a carriage return for each line feed it is twice that at most.
const CHUNK: usize = OUTSTANDING_LIMIT / 4 - 4096;

/// How much is still read of each stream once the program has ended, in bytes: what it wrote is in the pipe by
/// then, which holds less; more can only come from what it left running.
const LAST_READ: usize = 2 << 20;

/// The session's hold on a program that has no terminal: standard input is ours, untouched, and standard output and
/// error go to ours as they come, apart and unchanged. The [`Source`] tells both together, with line ends as a terminal
/// shows them.
///
/// Nothing can be typed into it but what comes by standard input.
#[derive(Debug)]
pub struct Piped {
    child: Arc<Child>,
    out: [TtyWriter; 2],
    /// For [`Child::signal`], which asks a terminal for its foreground.
    none: OwnedFd,
}

impl Piped {
    /// Starts `program`. Its directory and variables are as for a [`Pty`](crate::Pty), but that `TERM`, `LINES` and
    /// `COLUMNS` are inherited as they are. It is in our process group, so that the terminal that may be behind one of
    /// its streams treats both alike.
    ///
    /// # Errors
    /// As [`Pty::spawn`](crate::Pty::spawn).
    pub fn spawn(program: &Program) -> Result<(Self, Source), SpawnError> {
        let (name, arguments) = program.argv.split_first().ok_or(SpawnError::NoCommand)?;
        let (waker, sleeper) = wake::pair().map_err(SpawnError::Pty)?;
        let waker = Arc::new(waker);
        let failed = |error| SpawnError::Failed(name.clone(), error);
        let none = rustix::fs::open(
            "/dev/null",
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        );
        let none = none.map_err(|error| failed(error.into()))?;
        let ours = |stream: rustix::fd::BorrowedFd<'_>| -> io::Result<TtyWriter> {
            Ok(TtyWriter::plain(rustix::io::fcntl_dupfd_cloexec(
                stream, 3,
            )?))
        };
        let out = || -> io::Result<[TtyWriter; 2]> {
            Ok([
                ours(rustix::stdio::stdout())?,
                ours(rustix::stdio::stderr())?,
            ])
        };
        let out = out().map_err(failed)?;
        let mut command = Command::new(name);
        command
            .args(arguments)
            .stdin(Stdio::inherit())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .envs(program.env.iter().map(|(name, value)| (name, value)));
        for name in &program.env_remove {
            command.env_remove(name);
        }
        if let Some(cwd) = &program.cwd {
            command.current_dir(cwd);
        }
        // No other is started at the same moment, which would keep the pipes open.
        let mut programs = orphans::programs();
        let spawned = command.spawn();
        let mut process = spawned.map_err(|error| SpawnError::new(program, error))?;
        programs.insert(process.id().cast_signed());
        drop(programs);
        let streams = [
            process.stdout.take().map(OwnedFd::from),
            process.stderr.take().map(OwnedFd::from),
        ];
        for stream in streams.iter().flatten() {
            rustix::io::ioctl_fionbio(stream, true).map_err(|error| failed(error.into()))?;
        }
        let child = Child::watch_alone(process, Arc::clone(&waker)).map_err(SpawnError::Thread)?;
        let queue = Arc::<Queue>::default();
        let reader = Reader {
            streams,
            out: out.clone(),
            child: Arc::clone(&child),
            queue: Arc::clone(&queue),
            sleeper,
            after_return: false,
        };
        reader.start().map_err(SpawnError::Thread)?;
        let piped = Piped { child, out, none };
        Ok((piped, Source::new(queue, waker)))
    }

    /// Writes nothing any more to standard output and error, not even what is being written: nobody takes it.
    pub fn close(&self) {
        self.out.iter().for_each(TtyWriter::close);
    }

    /// Asks the program to end (`SIGTERM`), and kills it after `grace`.
    ///
    /// # Errors
    /// As [`Pty::terminate`](crate::Pty::terminate).
    pub fn terminate(&self, grace: Duration) -> io::Result<()> {
        self.pass_on(ExitSignal::Terminate, grace)
    }

    /// Passes on a signal that asked us to end. What a terminal of ours sends to all of its foreground the program has
    /// got already.
    ///
    /// # Errors
    /// As [`Pty::pass_on`](crate::Pty::pass_on).
    pub fn pass_on(&self, signal: ExitSignal, grace: Duration) -> io::Result<()> {
        let none = self.none.try_clone()?;
        match signal {
            ExitSignal::Interrupt | ExitSignal::Quit if in_foreground() => {}
            ExitSignal::Interrupt => self.child.signal(&none, Signal::INT),
            ExitSignal::Quit => self.child.signal(&none, Signal::QUIT),
            ExitSignal::Hangup => return self.child.terminate(none, &[Signal::HUP], grace),
            ExitSignal::Terminate => return self.child.terminate(none, &[Signal::TERM], grace),
        }
        Ok(())
    }
}

/// Whether a terminal has us in its foreground, wherever our streams go.
fn in_foreground() -> bool {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open("/dev/tty", flags, rustix::fs::Mode::empty())
        .and_then(rustix::termios::tcgetpgrp)
        .is_ok_and(|group| group == rustix::process::getpgrp())
}

/// The thread that reads both streams.
struct Reader {
    /// Standard output and error, until they end.
    streams: [Option<OwnedFd>; 2],
    out: [TtyWriter; 2],
    child: Arc<Child>,
    queue: Arc<Queue>,
    sleeper: Sleeper,
    /// What was told last is a carriage return.
    after_return: bool,
}

impl Reader {
    fn start(mut self) -> io::Result<()> {
        thread::Builder::new()
            .name("pillion-pipes".into())
            .spawn(move || {
                // The only error is that nobody listens any more.
                self.run().ok();
            })?;
        Ok(())
    }

    fn run(&mut self) -> Result<(), Closed> {
        loop {
            self.queue.wait_for_room(2 * CHUNK)?;
            let ready = self.sleep();
            // Asked before reading, so that all the program wrote has been read when it is told.
            if self.child.status().is_some() {
                return self.read_last();
            }
            for (at, ready) in ready.into_iter().enumerate() {
                if ready {
                    self.read(at);
                    self.queue.wait_for_room(2 * CHUNK)?;
                }
            }
        }
    }

    fn read_last(&mut self) -> Result<(), Closed> {
        for at in 0..self.streams.len() {
            let mut left = LAST_READ;
            while left > 0 {
                self.queue.wait_for_room(2 * CHUNK)?;
                match self.read(at) {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
        }
        Ok(())
    }

    /// Sleeps until a stream can be read, or the program has ended; which can.
    fn sleep(&self) -> [bool; 2] {
        let mut fds = vec![PollFd::new(&self.sleeper, PollFlags::IN)];
        let open = self.streams.iter().flatten();
        fds.extend(open.map(|stream| PollFd::new(stream, PollFlags::IN)));
        let polled = rustix::event::poll(&mut fds, None);
        if polled.is_err() {
            return [false; 2];
        }
        if !fds[0].revents().is_empty() {
            self.sleeper.clear();
        }
        let mut ready = fds[1..].iter().map(|fd| !fd.revents().is_empty());
        self.streams
            .each_ref()
            .map(|stream| stream.is_some() && ready.next().unwrap_or(false))
    }

    /// Takes what one of the streams has, at most a chunk; how much that was.
    fn read(&mut self, at: usize) -> usize {
        let Some(stream) = &self.streams[at] else {
            return 0;
        };
        let mut buffer = BytesMut::zeroed(CHUNK);
        let read = loop {
            match rustix::io::read(stream, &mut buffer[..]) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return 0,
                Ok(read) if read > 0 => break read,
                Ok(_) | Err(_) => {
                    self.streams[at] = None;
                    return 0;
                }
            }
        };
        let shown = as_shown(&buffer[..read], &mut self.after_return);
        let read_bytes = buffer.split_to(read).freeze();
        let deliver = |_| self.queue.push(SourceEvent::Output(shown));
        if self.out[at].pass(read_bytes, deliver) == Passed::Gone {
            // Nobody reads it any more, which is the program's to hear: it writes to a closed pipe from here on.
            self.streams[at] = None;
        }
        read
    }
}

impl Drop for Reader {
    /// Whatever ended the thread, the session hears of an end, once, after all else.
    fn drop(&mut self) {
        let status = self.child.status().unwrap_or(ExitStatus::Unknown);
        self.queue.push(SourceEvent::Exited(status));
    }
}

/// With a carriage return before each line feed, as a terminal writes it.
fn as_shown(bytes: &[u8], after_return: &mut bool) -> Bytes {
    let mut shown = BytesMut::with_capacity(bytes.len() + bytes.len() / 16);
    for byte in bytes {
        if *byte == b'\n' && !*after_return {
            shown.extend_from_slice(b"\r");
        }
        shown.extend_from_slice(&[*byte]);
        *after_return = *byte == b'\r';
    }
    shown.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_a_terminals_also_where_a_line_is_cut() {
        let mut after_return = false;
        let mut shown = |bytes: &[u8]| as_shown(bytes, &mut after_return);
        assert_eq!(shown(b"one\ntwo\r\nthree\r"), &b"one\r\ntwo\r\nthree\r"[..]);
        assert_eq!(shown(b"\n\nfour"), &b"\n\r\nfour"[..]);
        assert_eq!(shown(b""), &b""[..]);
    }
}
