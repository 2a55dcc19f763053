//! A program in a pseudo-terminal.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pty_process::blocking::{Command, Pts};
use rustix::process::Signal;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios,
};

use crate::child::Child;
use crate::gate::TtyWriter;
use crate::input::{Accepted, Input, InputError};
use crate::orphans;
use crate::outlet::Outlet;
use crate::program::{Program, SpawnError};
use crate::queue::{Queue, Source};
use crate::reader::Reader;
use crate::signals::ExitSignal;
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
    outlet: Arc<Outlet>,
}

/// Both ends of a pseudo-terminal, close-on-exec.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Ours, non-blocking (nobody else shares this open file).
    pub(crate) master: OwnedFd,
    /// The program's. Beside that we ask it what was not read, we keep it open so that a program that closes all its terminals, or one of which
    /// only a background job is left, looks no different from a silent one: without it, reading would
    /// fail from then on, also once `/dev/tty` is opened again, and macOS would drop unread output.
    slave: OwnedFd,
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
        if let Some(tty) = &tty {
            tty.attach(&waker);
        }
        let pty = Self {
            ends,
            input,
            child,
            waker,
            outlet: Arc::new(Outlet::new(tty)),
        };
        let reader = Reader::new(
            Arc::clone(&pty.ends),
            Arc::clone(&pty.input),
            Arc::clone(&pty.child),
            Arc::clone(&queue),
            sleeper,
            Arc::clone(&pty.outlet),
        );
        reader.start().map_err(SpawnError::Thread)?;
        let source = Source::new(queue, Arc::clone(&pty.waker));
        Ok((pty, source))
    }

    /// Shows what the program prints elsewhere from here on, or nowhere. The gate that it went through is
    /// closed: nothing more is written to that terminal, also if it takes nothing. Hold the gate of a new one
    /// ([`HoldMode::Skip`](crate::HoldMode::Skip)) before it is given here.
    pub fn show_on(&self, tty: Option<TtyWriter>) {
        self.outlet.show_on(tty, &self.waker);
    }

    /// The device of the program's terminal.
    ///
    /// # Errors
    /// When it can't be asked for.
    pub fn device(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.ends.slave)?.st_rdev)
    }

    /// Types `bytes`, all or nothing, in order, without ever waiting.
    ///
    /// They are written at once if the terminal takes them (the kernel holds some 20 KiB for a program
    /// that doesn't read), else as soon as it does, behind what waits already. That holds for a Ctrl-C as
    /// well, unless what it throws away is thrown away first: see [`Pty::flush_before`].
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

    /// How much was accepted and is not written yet, in bytes.
    pub fn unwritten(&self) -> usize {
        self.input.unwritten()
    }

    /// Where in `bytes` a character is that ends or stops the program (Ctrl-C, Ctrl-\, Ctrl-Z), the last one
    /// if there are several. A terminal throws away whatever was typed before such a character and was not
    /// read, unless it was told not to (`NOFLSH`). But it has to see the character first, which it doesn't
    /// while the program leaves its queue full: so anybody who holds back input for the program calls
    /// [`Pty::flush_input`] and then types from there on. `None` where there is none, and in a raw terminal,
    /// where these are characters like others.
    pub fn flush_before(&self, bytes: &[u8]) -> Option<usize> {
        let settings = rustix::termios::tcgetattr(&self.ends.master).ok()?;
        let modes = settings.local_modes;
        if !modes.contains(LocalModes::ISIG) || modes.contains(LocalModes::NOFLSH) {
            return None;
        }
        let ends = [
            SpecialCodeIndex::VINTR,
            SpecialCodeIndex::VQUIT,
            SpecialCodeIndex::VSUSP,
        ];
        let ends = ends.map(|index| settings.special_codes[index]);
        // Switched off is 0 on Linux, 255 elsewhere (`_POSIX_VDISABLE`).
        let is_end = |byte: &u8| !matches!(*byte, 0 | 255) && ends.contains(byte);
        bytes.iter().rposition(is_end)
    }

    /// Forgets the input that was accepted and not written, and what the terminal holds that the program has
    /// not read; returns the positions of the former. No event reports these as written by themselves.
    pub fn flush_input(&self) -> Range<u64> {
        let forgotten = self.input.discard();
        // First what is on its way between the two ends, then what has arrived. Neither fails on a terminal,
        // and one that has hung up holds nothing.
        let _ = rustix::termios::tcflush(&self.ends.master, QueueSelector::OFlush);
        let _ = rustix::termios::tcflush(&self.ends.slave, QueueSelector::IFlush);
        forgotten
    }

    /// Whether the program has not read all that was typed and that it can read: of a line that isn't
    /// complete it can't read anything, unless the terminal is raw.
    pub fn has_unread_input(&self) -> bool {
        self.input.unwritten() > 0 || rustix::io::ioctl_fionread(&self.ends.slave).unwrap_or(0) > 0
    }

    /// Types the terminal's end-of-file character (Ctrl-D), for the end of piped input. At the start of a
    /// line it says that the input has ended; behind part of one it has the program read that part.
    ///
    /// To be called when the program has read what was typed before ([`Pty::has_unread_input`]): a program
    /// that makes its terminal raw afterwards finds a character where the end was.
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
        self.child
            .terminate(Arc::clone(&self.ends), &[Signal::HUP], grace)
    }

    /// Passes on a signal that asked us to end, to the program's process group and to the job in the foreground.
    /// One of the keyboard's is all the program gets. Of another one it is the first: a program that is still there
    /// after `grace` (an interactive shell ignores `SIGTERM`) is ended as by [`Pty::terminate`].
    ///
    /// # Errors
    /// As [`Pty::terminate`].
    pub fn pass_on(&self, signal: ExitSignal, grace: Duration) -> io::Result<()> {
        let child = &self.child;
        match signal {
            ExitSignal::Interrupt => child.signal(&self.ends, Signal::INT),
            ExitSignal::Quit => child.signal(&self.ends, Signal::QUIT),
            ExitSignal::Hangup => return self.terminate(grace),
            ExitSignal::Terminate => {
                let signals = [Signal::TERM, Signal::HUP];
                return child.terminate(Arc::clone(&self.ends), &signals, grace);
            }
        }
        Ok(())
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
    let mut programs = orphans::programs();

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
    programs.insert(process.id().cast_signed());
    drop(programs);
    let master = OwnedFd::from(master);
    rustix::io::ioctl_fionbio(&master, true).map_err(|e| SpawnError::Pty(e.into()))?;
    Ok((Ends { master, slave }, process))
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
