//! The session's own process: how the command that a user runs starts it, and who descends from it.

use std::{
    env,
    ffi::OsString,
    io,
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use pillion_caps::PublicKey;
use rustix::fs::{Mode, OFlags};

/// The first argument of a session's own process.
pub const SESSION_PROCESS: &str = "--session-process";

/// Says to a session's own process who its host is.
const OWNER: &str = "PILLION_OWNER";

/// Who is the host of a session that this process is to host, if its starter said so.
pub fn owner() -> Option<PublicKey> {
    env::var(OWNER).ok()?.parse().ok()
}

/// Processes between one and its oldest ancestor that are looked at.
const MAX_GENERATIONS: usize = 4096;

/// Starts a process that hosts the session which this one was asked for, with the same command line and in the
/// same place. What it has to say before the session runs it says itself, to the same standard error. The other
/// end of the socket is for the terminal.
///
/// # Errors
/// The program can't be started once more.
pub fn start() -> Result<(Child, std::os::unix::net::UnixStream)> {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    start_with(&args, None)
}

/// The same with another command line. With `owner` the session's host is the viewer that holds this key.
///
/// # Errors
/// The program can't be started once more.
pub fn start_with(
    args: &[OsString],
    owner: Option<&PublicKey>,
) -> Result<(Child, std::os::unix::net::UnixStream)> {
    let started = || -> io::Result<_> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let mut command = Command::new(env::current_exe()?);
        // It comes as standard input, which is no use to a session otherwise.
        command.arg(SESSION_PROCESS).args(args);
        if let Some(owner) = owner {
            command.env(OWNER, owner.to_string());
        }
        let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        Ok((child, ours))
    };
    started().context("the session's own process could not be started")
}

/// In that process: its end of the socket. From here on no terminal is ours, so that none takes us along when
/// it is closed.
///
/// # Errors
/// It was not started by [`start`].
pub fn enter() -> Result<std::os::unix::net::UnixStream> {
    let entered = || -> io::Result<_> {
        let stream = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(&null()?)?;
        rustix::net::sockopt::socket_type(&stream)?;
        rustix::process::setsid()?;
        if let Err(error) = pillion_source::adopt_orphans() {
            tracing::warn!(%error, "what is left running in this session can't be told from what is not");
        }
        Ok(std::os::unix::net::UnixStream::from(stream))
    };
    entered().with_context(|| {
        format!("{SESSION_PROCESS} is for pillion itself; `pillion share` starts a session")
    })
}

/// Leaves standard output and error: everything was said that the command's user should see, and nobody need
/// keep them open for us.
///
/// # Errors
/// There is no /dev/null.
pub fn leave_stdio() -> Result<()> {
    let left = || -> io::Result<()> {
        let null = null()?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        Ok(())
    };
    left().context("/dev/null can't be opened")
}

fn null() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/dev/null", flags, Mode::empty())?)
}

/// Whether a process is this one's child, or a child's, and so on. Where the system doesn't say, it is not.
pub fn descends_from_us(pid: i32) -> bool {
    let us = std::process::id().cast_signed();
    let mut pid = pid;
    for _ in 0..MAX_GENERATIONS {
        if pid == us {
            return true;
        }
        match parent(pid) {
            Some(parent) if parent > 1 => pid = parent,
            _ => return false,
        }
    }
    false
}

/// The parent of a process (`proc_pid_stat(5)`).
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_and_others_are_not() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        io::BufRead::read_line(&mut io::BufReader::new(out), &mut line).unwrap();
        let grandchild: i32 = line.trim().parse().unwrap();
        assert!(descends_from_us(child.id().cast_signed()));
        assert!(descends_from_us(grandchild));
        assert!(!descends_from_us(1));
        let grandchild = rustix::process::Pid::from_raw(grandchild).unwrap();
        rustix::process::kill_process(grandchild, rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
    }
}
