//! A program in a pseudo-terminal.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use pty_process::blocking::{Command, Pts};
use rustix::termios::{InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use crate::child::Child;
use crate::gate::TtyWriter;
use crate::input::{Accepted, Input, InputError};
use crate::program::{Program, SpawnError};
use crate::queue::{Queue, Source};
use crate::reader::Reader;
use crate::size::Size;
use crate::wake::{self, Waker};

/// The session's hold on a program: what is typed, the size, the end. What it prints comes by
/// [`Source`].
///
/// Nothing here waits. Once both this and the [`Source`] are dropped, the terminal hangs up (`SIGHUP`).
#[derive(Debug)]
pub struct Pty {
    ends: Arc<Ends>,
    input: Arc<Input>,
    child: Arc<Child>,
    waker: Arc<Waker>,
}

/// Both ends of a pseudo-terminal, close-on-exec.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Ours, non-blocking (nobody else shares this open file).
    pub(crate) master: OwnedFd,
    /// The program's. We keep it open so that a program that closes all its terminals, or one of which
    /// only a background job is left, looks no different from a silent one: without it, reading would
    /// fail from then on, also once `/dev/tty` is opened again, and macOS would drop unread output.
    _slave: OwnedFd,
}

/// How the program's terminal treats what is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineMode {
    /// What is typed is shown (`ECHO`): off while a password is asked for, and in programs that draw
    /// their own input (shells' line editors, vim).
    pub echo: bool,
    /// Input is taken by lines (`ICANON`).
    pub canonical: bool,
}

impl Pty {
    /// Starts `program`. What it prints is written to `tty` first and then told by the [`Source`].
    ///
    /// The program leads a session of its own whose controlling terminal is the new one, has nothing of
    /// ours open but that (what our parent handed us open goes on to it, so `-- diff <(a) <(b)` works),
    /// and gets the default action of every signal. Its terminal starts with the settings
    /// that the host's had (the erase key, UTF-8), else with the kernel's and UTF-8. `LINES` and
    /// `COLUMNS` aren't inherited: they would hide the real size.
    ///
    /// # Errors
    /// When the program or a terminal for it can't be had; see [`SpawnError`].
    pub fn spawn(program: &Program, tty: Option<TtyWriter>) -> Result<(Self, Source), SpawnError> {
        let (sleeper_waker, sleeper) = wake::pair().map_err(SpawnError::Pty)?;
        let waker = Arc::new(sleeper_waker);
        let host = tty.as_ref().and_then(TtyWriter::settings);
        let (ends, process) = start(program, host)?;
        let (ends, input, queue) = (Arc::new(ends), Arc::default(), Arc::<Queue>::default());
        let child = Child::watch(process, Arc::clone(&waker)).map_err(SpawnError::Thread)?;
        let pty = Self {
            ends,
            input,
            child,
            waker,
        };
        if let Some(tty) = &tty {
            tty.attach(&pty.waker);
        }
        let reader = Reader::new(
            Arc::clone(&pty.ends),
            Arc::clone(&pty.input),
            Arc::clone(&pty.child),
            Arc::clone(&queue),
            sleeper,
            tty,
        );
        reader.start().map_err(SpawnError::Thread)?;
        let source = Source::new(queue, Arc::clone(&pty.waker));
        Ok((pty, source))
    }

    /// Types `bytes`, all or nothing, in order, without ever waiting.
    ///
    /// They are written at once if the terminal takes them (the kernel holds some 64 KiB for a program
    /// that doesn't read), else as soon as it does, behind what waits already. As in every terminal a
    /// Ctrl-C waits behind an unread paste too; [`Pty::discard_unwritten`] and [`Pty::terminate`] don't.
    ///
    /// # Errors
    /// [`InputError::Full`] when more than [`INPUT_LIMIT`](crate::INPUT_LIMIT) would wait (it says how
    /// much fits), [`InputError::Ended`] when there is no program any more.
    pub fn write(&self, bytes: Bytes) -> Result<Accepted, InputError> {
        let accepted = self.input.write(&self.ends.master, bytes)?;
        if !accepted.written {
            self.waker.wake();
        }
        Ok(accepted)
    }

    /// Forgets the input that was accepted and not yet written (say, of someone who lost the right to
    /// type); returns its positions. No event reports these as written by themselves.
    pub fn discard_unwritten(&self) -> Range<u64> {
        self.input.discard()
    }

    /// Types the terminal's end-of-file character (Ctrl-D), for the end of piped input. It counts only at
    /// the start of a line: send a newline before it, or call this twice.
    ///
    /// # Errors
    /// As [`Pty::write`].
    pub fn write_eof(&self) -> Result<Accepted, InputError> {
        let settings = rustix::termios::tcgetattr(&self.ends.master);
        let eof = settings.map_or(4, |settings| settings.special_codes[SpecialCodeIndex::VEOF]);
        self.write(Bytes::copy_from_slice(&[eof]))
    }

    /// Gives the terminal another size; the kernel tells the program (`SIGWINCH`) if it is another one.
    ///
    /// # Errors
    /// When the terminal has hung up.
    pub fn resize(&self, size: Size) -> io::Result<()> {
        Ok(rustix::termios::tcsetwinsize(
            &self.ends.master,
            size.into(),
        )?)
    }

    /// How the terminal treats what is typed, at this moment.
    ///
    /// # Errors
    /// When the terminal has hung up.
    pub fn line_mode(&self) -> io::Result<LineMode> {
        let modes = rustix::termios::tcgetattr(&self.ends.master)?.local_modes;
        Ok(LineMode {
            echo: modes.contains(LocalModes::ECHO),
            canonical: modes.contains(LocalModes::ICANON),
        })
    }

    /// Ends the program: hangs up on it (`SIGHUP` to its process group and to the job in the
    /// foreground, as a terminal that closes), and kills both if it is still there after `grace`.
    ///
    /// Returns at once; [`SourceEvent::Exited`](crate::SourceEvent::Exited) tells when it is done.
    /// Background jobs that ignore `SIGHUP` live on, as they do when a terminal closes.
    ///
    /// # Errors
    /// When the thread that would kill it later can't be started; it has been hung up on then.
    pub fn terminate(&self, grace: Duration) -> io::Result<()> {
        self.child.terminate(Arc::clone(&self.ends), grace)
    }
}

impl AsFd for Ends {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.master.as_fd()
    }
}

/// Opens a pseudo-terminal and starts the program in it.
fn start(
    program: &Program,
    host: Option<&Termios>,
) -> Result<(Ends, std::process::Child), SpawnError> {
    // pty-process marks the terminal close-on-exec only after opening it. Programs we start at the same
    // moment must not get it, or it would never hang up.
    static STARTING: Mutex<()> = Mutex::new(());
    let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);

    let (name, arguments) = program.argv.split_first().ok_or(SpawnError::NoCommand)?;
    let (master, pts) = pty_process::blocking::open().map_err(|e| SpawnError::Pty(io_error(e)))?;
    let slave = prepare(&pts, program.size, host).map_err(SpawnError::Pty)?;
    let term = host.and_then(|_| std::env::var_os("TERM"));
    let mut command = Command::new(name)
        .args(arguments)
        .env_remove("LINES")
        .env_remove("COLUMNS");
    for name in &program.env_remove {
        command = command.env_remove(name);
    }
    command = command.envs(program.variables(term.as_deref()));
    if let Some(cwd) = &program.cwd {
        command = command.current_dir(cwd);
    }
    let process = with_default_signals(command)
        .spawn(pts)
        .map_err(|error| SpawnError::new(program, io_error(error)))?;
    let master = OwnedFd::from(master);
    rustix::io::ioctl_fionbio(&master, true).map_err(|e| SpawnError::Pty(e.into()))?;
    Ok((
        Ends {
            master,
            _slave: slave,
        },
        process,
    ))
}

fn prepare(pts: &Pts, size: Size, host: Option<&Termios>) -> io::Result<OwnedFd> {
    let slave = pts.as_fd().try_clone_to_owned()?;
    let settings = match host {
        Some(settings) => settings.clone(),
        None => {
            let mut settings = rustix::termios::tcgetattr(&slave)?;
            // Backspace removes a character, not a byte.
            settings.input_modes |= InputModes::IUTF8;
            settings
        }
    };
    rustix::termios::tcsetattr(&slave, OptionalActions::Now, &settings)?;
    rustix::termios::tcsetwinsize(&slave, size.into())?;
    Ok(slave)
}

/// A program inherits ignored signals: under nohup(1) a hang-up, in a background job of a script Ctrl-C.
/// In a terminal of its own they must work. (Caught ones and the mask are reset by exec and the standard
/// library.)
#[allow(unsafe_code)]
fn with_default_signals(command: Command) -> Command {
    const SIGNALS: [libc::c_int; 11] = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGPIPE,
        libc::SIGALRM,
        libc::SIGTERM,
        libc::SIGCHLD,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGWINCH,
    ];
    // SAFETY: between fork and exec only async-signal-safe functions may be called; signal(2) is one
    // (signal-safety(7)), and the closure touches nothing but a constant.
    unsafe {
        command.pre_exec(|| {
            for signal in SIGNALS {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        })
    }
}

fn io_error(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(errno) => errno.into(),
        other => io::Error::other(other),
    }
}
