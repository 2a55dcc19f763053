//! What is typed, or piped in, at the host.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::thread;

use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::ready;

/// The most that is read at once, in bytes: what Linux gives of a terminal, and far below what a
/// program's input may hold.
const CHUNK: usize = 4096;

/// Raw input at the host, in order: the keyboard of its terminal, or what is piped in.
#[derive(Debug)]
pub struct Keys {
    from: From,
    buffer: BytesMut,
}

#[derive(Debug)]
enum From {
    Terminal(AsyncFd<OwnedFd>),
    Pipe(mpsc::Receiver<io::Result<Bytes>>),
}

impl Keys {
    /// Reads a non-blocking terminal of which nobody shares the open file: `O_NONBLOCK` belongs to the
    /// open file and not to the descriptor, so setting it on our standard input would set it for the
    /// shell that started us as well, and stay set when we have gone.
    pub(crate) fn terminal(tty: OwnedFd) -> io::Result<Self> {
        let ready = ready::register(tty, Interest::READABLE)?;
        Ok(Self {
            from: From::Terminal(ready),
            buffer: BytesMut::new(),
        })
    }

    /// What is piped in, for a host without a terminal; `None` if nothing is.
    ///
    /// As script(1) and `ssh -tt` do, a pipe, socket or file on standard input is typed to the program;
    /// at its end the caller types an end of file ([`Pty::write_eof`](crate::Pty::write_eof)). From
    /// /dev/null (and a closed standard input, which Rust opens as that) nothing is typed, no end of file
    /// either: that is how CI and service managers start programs, and a participant who may edit should
    /// still be able to answer. A terminal there, when standard output isn't one, isn't read: it would
    /// echo a second time. Ctrl-C on it reaches us as a signal.
    ///
    /// # Errors
    /// When standard input can't be looked at, or no thread be started to read it.
    pub fn piped() -> io::Result<Option<Self>> {
        if rustix::termios::isatty(rustix::stdio::stdin()) {
            return Ok(None);
        }
        let stdin = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
        let kind = stdin.metadata()?;
        let null = std::fs::metadata("/dev/null")
            .is_ok_and(|null| null.file_type().is_char_device() && null.rdev() == kind.rdev());
        if null {
            return Ok(None);
        }
        Self::file(stdin).map(Some)
    }

    /// A thread, because a file can't be waited for and the open file of a pipe isn't ours to make
    /// non-blocking. It ends with the file or, once the `Keys` are dropped, at the next piece.
    fn file(mut file: File) -> io::Result<Self> {
        // One piece ahead: anybody who doesn't take it makes the writer of the pipe wait.
        let (sender, receiver) = mpsc::channel(1);
        let read = move || {
            loop {
                let mut buffer = BytesMut::zeroed(CHUNK);
                let piece = match file.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(read) => Ok(buffer.split_to(read).freeze()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let mut fds = [PollFd::new(&file, PollFlags::IN)];
                        rustix::event::poll(&mut fds, None).ok();
                        continue;
                    }
                    Err(error) => Err(error),
                };
                let failed = piece.is_err();
                if sender.blocking_send(piece).is_err() || failed {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("pillion-stdin".into())
            .spawn(read)?;
        Ok(Self {
            from: From::Pipe(receiver),
            buffer: BytesMut::new(),
        })
    }

    /// The next input, 1 to 4,096 bytes; `None` when there is no more: the pipe has ended, or the
    /// terminal is gone.
    ///
    /// May be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// When reading fails.
    pub async fn read(&mut self) -> io::Result<Option<Bytes>> {
        let terminal = match &mut self.from {
            From::Pipe(pieces) => return pieces.recv().await.transpose(),
            From::Terminal(terminal) => terminal,
        };
        if self.buffer.is_empty() {
            self.buffer = BytesMut::zeroed(CHUNK);
        }
        loop {
            let mut ready = terminal.readable().await?;
            let buffer = &mut self.buffer[..];
            let read = ready.try_io(|tty| Ok(rustix::io::read(tty.as_fd(), buffer)?));
            match read {
                Ok(Ok(0)) => return Ok(None),
                Ok(Ok(read)) => return Ok(Some(self.buffer.split_to(read).freeze())),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Ok(None),
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }

    /// Whether more has come that was not read yet. Of a pipe that is not known.
    pub fn is_pending(&self) -> bool {
        let From::Terminal(terminal) = &self.from else {
            return false;
        };
        let mut tty = [PollFd::new(terminal.get_ref(), PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        matches!(rustix::event::poll(&mut tty, Some(&now)), Ok(1..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[tokio::test(flavor = "current_thread")]
    async fn a_pipe_is_read_to_its_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut keys = Keys::file(File::from(OwnedFd::from(reader))).unwrap();
        writer.write_all(b"date\n").unwrap();
        assert_eq!(keys.read().await.unwrap().unwrap(), "date\n");
        drop(writer);
        assert_eq!(keys.read().await.unwrap(), None);
    }
}
