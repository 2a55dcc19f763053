//! An agent's process: how it begins, what it says, and how it ends.

use std::{
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use pillion_conversation::{Exit, OutputTail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::{Instant, sleep_until},
};

use crate::lines::{Line, LineBuffer};

/// Most that waits to be read by an agent, in bytes. One that leaves more unread will never read it.
const MAX_UNREAD: usize = 4 * 1024 * 1024;

/// How much of what an agent says on its standard error is kept, in bytes: its end.
const KEPT_ERRORS: usize = 4096;

/// How long an agent may take to end by itself once its input is closed, and again once it was told to.
const LEAVE: Duration = Duration::from_secs(3);

/// How long what an agent left behind may hold its output once it has ended.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// How to run an agent.
#[derive(Clone, Debug)]
pub struct AgentCommand {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// Why an agent was not started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The directory is none.
    #[error("{} is no directory that an agent can work in", .0.display())]
    Cwd(PathBuf),
    /// There is no such program.
    #[error("there is no program {0:?}: is the agent installed, and its folder in PATH?")]
    NotFound(OsString),
    /// It can't be run.
    #[error("can't run {0:?}: {1}")]
    Failed(OsString, io::Error),
}

/// An agent leaves too much unread of what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agent no longer reads what it is told")]
pub struct Unread;

/// What an agent's process did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// It said something.
    Line(Line),
    /// It ended, and nothing more comes.
    Ended {
        /// How.
        exit: Exit,
        /// The end of what it said on its standard error.
        errors: String,
    },
}

/// An agent's process, with a process group of its own. All of the group ends with it, and when this is dropped.
#[derive(Debug)]
pub struct AgentProcess {
    child: Child,
    group: Pid,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    read: Box<[u8; 64 * 1024]>,
    read_errors: Box<[u8; 4096]>,
    lines: LineBuffer,
    /// What it said last, without a line's end.
    rest: Option<Line>,
    errors: OutputTail,
    unread: BytesMut,
    exit: Option<ExitStatus>,
    /// When to press harder for its end, and by what.
    press: Option<(Instant, Signal)>,
    fault: &'static str,
    ended: bool,
}

impl AgentProcess {
    /// Starts an agent.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(command: &AgentCommand) -> Result<AgentProcess, NotStarted> {
        if !command.cwd.is_dir() {
            return Err(NotStarted::Cwd(command.cwd.clone()));
        }
        let program = || command.program.clone();
        let mut child = Command::new(&command.program)
            .args(&command.arguments)
            .current_dir(&command.cwd)
            .env_clear()
            .envs(
                command
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => NotStarted::NotFound(program()),
                _ => NotStarted::Failed(program(), error),
            })?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(AgentProcess {
            group: group.expect("a child that was not waited for has an id"),
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            read: Box::new([0; 64 * 1024]),
            read_errors: Box::new([0; 4096]),
            lines: LineBuffer::default(),
            rest: None,
            errors: OutputTail::default(),
            unread: BytesMut::new(),
            exit: None,
            press: None,
            fault: "",
            ended: false,
        })
    }

    /// Its process, which leads a group of its own.
    pub fn pid(&self) -> u32 {
        self.group.as_raw_nonzero().get().cast_unsigned()
    }

    /// Says a line to the agent. It is written while [`AgentProcess::next`] is waited for.
    ///
    /// # Errors
    /// When it has left too much unread. It is ended then.
    pub fn send(&mut self, line: &str) -> Result<(), Unread> {
        if self.stdin.is_none() {
            return Ok(());
        }
        if self.unread.len() + line.len() > MAX_UNREAD {
            self.fault = "it no longer read what it was told";
            self.kill();
            return Err(Unread);
        }
        self.unread.extend_from_slice(line.as_bytes());
        self.unread.extend_from_slice(b"\n");
        Ok(())
    }

    /// Wants the agent to end: by itself, since its input is closed, or else by signals. What it says until then
    /// and how it ends comes from [`AgentProcess::next`].
    pub fn close(&mut self) {
        self.unread.clear();
        self.stdin = None;
        if self.press.is_none() && self.exit.is_none() {
            self.press = Some((Instant::now() + LEAVE, Signal::TERM));
        }
    }

    /// Ends the agent at once.
    pub fn kill(&mut self) {
        // Before its input is closed, which would let it end by itself.
        self.signal(Signal::KILL);
        self.unread.clear();
        self.stdin = None;
    }

    /// What it does next. Nothing is lost when this is not waited for to the end. It is read no faster than this is
    /// called.
    pub async fn next(&mut self) -> ProcessEvent {
        loop {
            if let Some(line) = self.lines.next_line().or_else(|| self.rest.take()) {
                return ProcessEvent::Line(line);
            }
            // Why it ended may be the last that it said.
            if self.stdout.is_none()
                && self.stderr.is_none()
                && let Some(exit) = self.exit
            {
                return self.end(exit);
            }
            self.step().await;
        }
    }

    /// Waits for one thing, and takes it in.
    async fn step(&mut self) {
        let press = self.press;
        tokio::select! {
            read = read(&mut self.stdout, &mut self.read[..]) => match read {
                Ok(length @ 1..) => self.lines.push(&self.read[..length]),
                _ => {
                    self.stdout = None;
                    self.rest = self.lines.finish();
                }
            },
            read = read(&mut self.stderr, &mut self.read_errors[..]) => match read {
                Ok(length @ 1..) => self.errors.push(&self.read_errors[..length]),
                _ => self.stderr = None,
            },
            written = write(&mut self.stdin, &self.unread) => match written {
                Ok(length) => self.unread.advance(length),
                Err(_) => {
                    self.stdin = None;
                    self.unread.clear();
                }
            },
            exit = self.child.wait(), if self.exit.is_none() => {
                self.exit = Some(exit.unwrap_or_default());
                self.stdin = None;
                // Others of the group may hold its output open.
                self.press = Some((Instant::now() + LEFT_BEHIND, Signal::KILL));
            }
            () = sleep_until(press.map_or_else(Instant::now, |(at, _)| at)), if press.is_some() => {
                self.press_harder();
            }
        }
    }

    fn press_harder(&mut self) {
        let Some((_, signal)) = self.press.take() else {
            return;
        };
        self.signal(signal);
        match (signal, self.exit) {
            (Signal::TERM, _) => self.press = Some((Instant::now() + LEAVE, Signal::KILL)),
            // What left the group may still hold it.
            (_, Some(_)) => {
                self.stdout = None;
                self.stderr = None;
            }
            _ => {}
        }
    }

    fn end(&mut self, exit: ExitStatus) -> ProcessEvent {
        self.signal(Signal::KILL);
        self.ended = true;
        let errors = self.errors.bytes();
        let errors = &errors[errors.len().saturating_sub(KEPT_ERRORS)..];
        ProcessEvent::Ended {
            exit: Exit {
                code: exit.code().map(i64::from),
                signal: exit.signal().map(signal_name).unwrap_or_default(),
                fault: self.fault.to_owned(),
            },
            errors: String::from_utf8_lossy(errors).into_owned(),
        }
    }

    fn signal(&self, signal: Signal) {
        if !self.ended {
            // A group that is gone needs none.
            let _ = kill_process_group(self.group, signal);
        }
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Reads, or waits for ever where there is nothing to read from.
async fn read<R: AsyncReadExt + Unpin>(from: &mut Option<R>, to: &mut [u8]) -> io::Result<usize> {
    match from {
        Some(from) => from.read(to).await,
        None => std::future::pending().await,
    }
}

/// Writes a part, or waits for ever where there is nothing to write.
async fn write(to: &mut Option<ChildStdin>, bytes: &[u8]) -> io::Result<usize> {
    match to {
        Some(to) if !bytes.is_empty() => to.write(bytes).await,
        _ => std::future::pending().await,
    }
}

fn signal_name(number: i32) -> String {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TERM, "SIGTERM"),
    ];
    let known = names.iter().find(|(signal, _)| signal.as_raw() == number);
    known.map_or_else(
        || format!("signal {number}"),
        |(_, name)| (*name).to_owned(),
    )
}
