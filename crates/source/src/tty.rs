//! The host's own terminal: raw while it shows a program, and given back as it was.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{self, UnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::gate::TtyWriter;
use crate::keys::Keys;
use crate::size::Size;

/// Undoes what a full-screen program may have left switched on when it was killed, on any terminal
/// that speaks like an xterm, without moving the cursor on the main screen.
pub const RESTORE_SCREEN_MODES: &[u8] = concat!(
    "\x1b[?2026l",                            // end a synchronized update
    "\x1b7\x1b[?1049l", // leave the alternate screen; on the main one, ESC 7 was here
    "\x1b[?9;1000;1002;1003;1005;1006;1015l", // mouse
    "\x1b[?1004;2004;2031l", // focus and theme reports, bracketed paste
    "\x1b[<99u\x1b[>4m", // keyboard: kitty's stack, xterm's modifyOtherKeys
    "\x1b[?1;66l\x1b>", // cursor and keypad keys
    "\x1b[?5l\x1b[4l\x1b[?7h", // reverse video, insert; wrap lines
    "\x1b7\x1b[?6l\x1b[r\x1b8", // origin, scroll region; setting them moves the cursor
    "\x0f\x1b(B\x1b[0m", // character sets, colours
    "\x1b[0 q\x1b[?12l\x1b[?25h", // cursor: its shape, steady, shown
)
.as_bytes();

/// How long a terminal is waited for that doesn't take [`RESTORE_SCREEN_MODES`].
const RESTORE_PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// The terminal pillion was started in.
///
/// Its settings are given back when this is dropped, when a thread panics, and by
/// [`restore_host_terminal`] before a `std::process::exit` (which drops nothing). For signals see
/// [`ExitSignals`](crate::ExitSignals).
#[derive(Debug)]
pub struct HostTty {
    terminal: Arc<Terminal>,
    writer: TtyWriter,
    resized: Signal,
    continued: Signal,
}

/// What happened to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtyChange {
    /// It has another size (`SIGWINCH`).
    Resized,
    /// We were stopped and go on (`SIGCONT`): the shell has used it meanwhile.
    Continued,
}

/// Why the host's terminal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TtyError {
    /// Neither by name nor as /dev/tty.
    #[error(
        "the terminal pillion was started in can't be opened again by this user: start it in a terminal of your own, or pipe its output (| cat) to do without one"
    )]
    Open(#[source] io::Error),
    /// Its settings can't be read or changed.
    #[error("the settings of the terminal pillion was started in can't be read or changed")]
    Settings(#[source] io::Error),
    /// Signals can't be caught.
    #[error("the system refused to tell about changes of the terminal's size")]
    Signals(#[source] io::Error),
}

#[derive(Debug)]
struct Terminal {
    /// An open file of our own: see [`open_again`].
    tty: OwnedFd,
    /// The settings to give back.
    settings: Termios,
    raw: AtomicBool,
}

/// The terminal that is raw now, for the panic hook.
static RAW: Mutex<Option<Arc<Terminal>>> = Mutex::new(None);

thread_local! {
    /// A panic in this thread is caught and no reason to give the terminal back.
    static ISOLATED: Cell<bool> = const { Cell::new(false) };
}

impl HostTty {
    /// The host's terminal, settings unchanged so far; `None` unless both standard input and output are
    /// terminals. With either redirected the user wants a file or pipe used, not the terminal behind it:
    /// see [`TtyWriter::stdout`] and [`Keys::piped`].
    ///
    /// # Errors
    /// When it can't be opened again or asked for its settings.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO.
    pub fn open() -> Result<Option<Self>, TtyError> {
        let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        if !rustix::termios::isatty(stdin) || !rustix::termios::isatty(stdout) {
            return Ok(None);
        }
        Self::of(stdin).map(Some)
    }

    /// The terminal a person looks at, whatever standard input is: for a viewer whose ticket came by a
    /// pipe. `None` unless standard output is a terminal.
    ///
    /// # Errors
    /// As [`HostTty::open`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO.
    pub fn open_output() -> Result<Option<Self>, TtyError> {
        let stdout = rustix::stdio::stdout();
        if !rustix::termios::isatty(stdout) {
            return Ok(None);
        }
        Self::of(stdout).map(Some)
    }

    fn of(tty: BorrowedFd<'_>) -> Result<Self, TtyError> {
        let tty = open_again(tty).map_err(TtyError::Open)?;
        let settings =
            rustix::termios::tcgetattr(&tty).map_err(|e| TtyError::Settings(e.into()))?;
        let out = tty.try_clone().map_err(TtyError::Open)?;
        let writer = TtyWriter::new(out, Some(settings.clone()));
        let raw = AtomicBool::new(false);
        Ok(Self {
            terminal: Arc::new(Terminal { tty, settings, raw }),
            writer,
            resized: signal(SignalKind::window_change()).map_err(TtyError::Signals)?,
            continued: signal(SignalKind::from_raw(libc::SIGCONT)).map_err(TtyError::Signals)?,
        })
    }

    /// Makes the terminal raw: every key comes as it is, Ctrl-C and Ctrl-Z too, and output goes out
    /// untouched. May be called again, say after a panic that something caught.
    ///
    /// # Errors
    /// When the settings can't be changed.
    pub fn enter_raw(&self) -> Result<(), TtyError> {
        install_panic_hook();
        *RAW.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&self.terminal));
        self.terminal.raw.store(true, Ordering::Relaxed);
        self.terminal.apply_raw().map_err(TtyError::Settings)
    }

    /// Gives the settings back now. [`HostTty::enter_raw`] takes them again.
    pub fn leave_raw(&self) {
        self.terminal.restore();
    }

    /// Its open file, for a process that is to read and write it in our place
    /// ([`AttachedTty`](crate::AttachedTty)): non-blocking, and not the one that the shell has.
    pub fn handle(&self) -> BorrowedFd<'_> {
        self.terminal.tty.as_fd()
    }

    /// Whether we are in its foreground, or it has no job control for us.
    pub fn is_foreground(&self) -> bool {
        self.terminal.ours()
    }

    /// The gate to its screen.
    pub fn writer(&self) -> TtyWriter {
        self.writer.clone()
    }

    /// Its keyboard. Only one is of use: two would share the keys out.
    ///
    /// # Errors
    /// When it can't be waited for.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO.
    pub fn keys(&self) -> io::Result<Keys> {
        Keys::terminal(self.terminal.tty.try_clone()?)
    }

    /// Its size, the nearest one that can be shared.
    ///
    /// # Errors
    /// When it is gone.
    pub fn size(&self) -> io::Result<Size> {
        Ok(rustix::termios::tcgetwinsize(&self.terminal.tty)?.into())
    }

    /// Waits until its size may have changed: after `SIGWINCH`, and after `SIGCONT`, for the one who was
    /// stopped has missed changes. (Then the terminal is made raw again too: the shell had it meanwhile.)
    /// A storm of changes comes as a few; the caller puts off what is dear.
    ///
    /// May be dropped while it waits without losing a change.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub async fn size_changed(&mut self) -> io::Result<Size> {
        self.changed().await?;
        self.size()
    }

    /// Waits as [`HostTty::size_changed`] does, and says which it was.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub async fn changed(&mut self) -> io::Result<TtyChange> {
        tokio::select! {
            _ = self.resized.recv() => Ok(TtyChange::Resized),
            _ = self.continued.recv() => {
                if self.terminal.raw.load(Ordering::Relaxed) {
                    self.terminal.apply_raw()?;
                }
                Ok(TtyChange::Continued)
            }
        }
    }

    /// Undoes what the program may have left switched on ([`RESTORE_SCREEN_MODES`]): for when it was
    /// killed or we stop reading it; one that ends by itself cleans up after itself. Waits at most a
    /// tenth of a second for a terminal that takes nothing.
    pub fn restore_screen_modes(&self) {
        self.terminal.restore_screen_modes();
    }
}

impl Drop for HostTty {
    fn drop(&mut self) {
        self.terminal.restore();
        let mut raw = RAW.lock().unwrap_or_else(PoisonError::into_inner);
        if raw
            .as_ref()
            .is_some_and(|raw| Arc::ptr_eq(raw, &self.terminal))
        {
            *raw = None;
        }
    }
}

/// Gives the host's terminal its settings back, if we changed them; for use before
/// `std::process::exit`, after which nothing is dropped. May be called at any time, more than once.
pub fn restore_host_terminal() {
    if let Some(terminal) = raw_terminal() {
        terminal.restore();
    }
}

/// Runs `work` and catches its panic, which is then no reason to give the host's terminal back or to
/// write on it: it is logged, and the session goes on.
///
/// # Errors
/// What `work` panicked with.
pub fn isolate_panics<R>(work: impl FnOnce() -> R + UnwindSafe) -> std::thread::Result<R> {
    install_panic_hook();
    let outer = ISOLATED.replace(true);
    let result = panic::catch_unwind(work);
    ISOLATED.set(outer);
    result
}

impl Terminal {
    fn apply_raw(&self) -> io::Result<()> {
        if !self.ours() {
            return Ok(());
        }
        let mut raw = self.settings.clone();
        raw.make_raw();
        // At once: to wait until output has drained could last for ever.
        Ok(rustix::termios::tcsetattr(
            &self.tty,
            OptionalActions::Now,
            &raw,
        )?)
    }

    fn restore(&self) {
        if self.raw.swap(false, Ordering::Relaxed) && self.ours() {
            // When it fails the terminal is gone, and with it what there was to restore.
            rustix::termios::tcsetattr(&self.tty, OptionalActions::Now, &self.settings).ok();
        }
    }

    /// Whether we are in the foreground of the terminal, or it has no job control for us. In the
    /// background it is the shell's, and anybody who changes it is stopped (`SIGTTOU`).
    fn ours(&self) -> bool {
        rustix::termios::tcgetpgrp(&self.tty).is_ok_and(|group| group == rustix::process::getpgrp())
            || rustix::termios::tcgetpgrp(&self.tty) == Err(Errno::NOTTY)
    }

    fn restore_screen_modes(&self) {
        write_screen_modes(&self.tty);
    }
}

/// Writes [`RESTORE_SCREEN_MODES`] to a non-blocking terminal, or as much as it takes in a tenth of a second.
pub(crate) fn write_screen_modes(tty: &OwnedFd) {
    let mut bytes = RESTORE_SCREEN_MODES;
    while !bytes.is_empty() {
        match rustix::io::write(tty, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(tty, PollFlags::OUT)];
                if rustix::event::poll(&mut fds, Some(&RESTORE_PATIENCE)) == Ok(0) {
                    return;
                }
            }
            Err(_gone) => return,
        }
    }
}

/// The terminal that is raw, unless this very thread is just changing that.
fn raw_terminal() -> Option<Arc<Terminal>> {
    let raw = RAW.try_lock().ok()?.clone()?;
    raw.raw.load(Ordering::Relaxed).then_some(raw)
}

/// Gives the terminal back before a panic is reported, so that the report can be read and what comes
/// after it (an abort, or threads that wait for ever) does no harm. With us the program will die, so
/// what it switched on is undone too.
fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if ISOLATED.get() {
                tracing::error!("caught: {info}");
                return;
            }
            if let Some(terminal) = raw_terminal() {
                terminal.restore_screen_modes();
                terminal.restore();
            }
            previous(info);
        }));
    });
}

/// Opens a terminal a second time, non-blocking. `O_NONBLOCK` belongs to the open file, which we share
/// with the shell that started us: setting it on standard input or output would break the shell.
fn open_again(tty: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let open = |path: &Path| {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(path)
            .map(OwnedFd::from)
    };
    // By name first: macOS can't wait for /dev/tty. After su(1), or in a container, the name may belong
    // to someone else or to nothing, and /dev/tty is always there for the controlling terminal.
    let name = rustix::termios::ttyname(tty, Vec::new()).map_err(io::Error::from);
    name.and_then(|name| open(Path::new(OsStr::from_bytes(name.as_bytes()))))
        .or_else(|_| open(Path::new("/dev/tty")))
}
