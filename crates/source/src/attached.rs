//! A terminal that another process holds and whose open file it has handed over.
//!
//! That process is the one in the terminal's foreground: it makes the terminal raw, hears of its size, and
//! gives it back. Here it is only read and written. It is not our controlling terminal, so no job control
//! comes in between (`tty_check_change` in the kernel looks at that first).

use std::io;
use std::os::fd::OwnedFd;

use rustix::termios::{OptionalActions, Termios};

use crate::gate::TtyWriter;
use crate::keys::Keys;
use crate::size::Size;
use crate::tty::{TtyError, write_screen_modes};

/// A terminal that was handed over.
#[derive(Debug)]
pub struct AttachedTty {
    tty: OwnedFd,
    /// The settings it had when it was handed over, before it was made raw.
    settings: Termios,
}

impl AttachedTty {
    /// Takes a terminal that is still as its user has it. Its open file must be non-blocking and nobody
    /// else's but the holder's ([`HostTty::handle`](crate::HostTty::handle)).
    ///
    /// # Errors
    /// When it is no terminal, or can't be asked for its settings.
    pub fn new(tty: OwnedFd) -> Result<Self, TtyError> {
        let settings =
            rustix::termios::tcgetattr(&tty).map_err(|e| TtyError::Settings(e.into()))?;
        Ok(Self { tty, settings })
    }

    /// The same once more.
    ///
    /// # Errors
    /// Out of file descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            tty: self.tty.try_clone()?,
            settings: self.settings.clone(),
        })
    }

    /// A gate to its screen, another one each time: one is closed when the terminal is let go.
    ///
    /// # Errors
    /// Out of file descriptors.
    pub fn writer(&self) -> io::Result<TtyWriter> {
        let out = self.tty.try_clone()?;
        Ok(TtyWriter::new(out, Some(self.settings.clone())))
    }

    /// Its keyboard. Only one is of use: two would share the keys out.
    ///
    /// # Errors
    /// When it can't be waited for.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO.
    pub fn keys(&self) -> io::Result<Keys> {
        Keys::terminal(self.tty.try_clone()?)
    }

    /// Its size, the nearest one that can be shared.
    ///
    /// # Errors
    /// When it is gone.
    pub fn size(&self) -> io::Result<Size> {
        Ok(rustix::termios::tcgetwinsize(&self.tty)?.into())
    }

    /// Its device.
    ///
    /// # Errors
    /// When it can't be asked for.
    pub fn device(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.tty)?.st_rdev)
    }

    /// Gives the terminal back in the place of its holder, which was killed. Settings that are no longer
    /// those of a raw terminal are somebody's: its shell's, which has it again.
    pub fn restore(&self) {
        let mut raw = self.settings.clone();
        raw.make_raw();
        let now = rustix::termios::tcgetattr(&self.tty);
        if now.is_ok_and(|now| now.local_modes == raw.local_modes) {
            // When it fails the terminal is gone, and with it what there was to restore.
            write_screen_modes(&self.tty);
            rustix::termios::tcsetattr(&self.tty, OptionalActions::Now, &self.settings).ok();
        }
    }
}
