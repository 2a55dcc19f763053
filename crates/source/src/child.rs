//! The program as a process: how it ended, and how to end it.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child as Process;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::orphans;
use crate::wake::Waker;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited by itself, with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// The system didn't say: anybody who started us ignores `SIGCHLD`, so the kernel kept no status.
    Unknown,
}

impl ExitStatus {
    /// The exit code for a process that stands in for the program: its own, 128 + the signal as shells
    /// say it, or 1 when unknown.
    pub fn code(self) -> u8 {
        match self {
            // The kernel keeps only the low eight bits of a code.
            Self::Code(code) => (code & 0xff) as u8,
            Self::Signal(signal) => (128 + (signal & 0x7f)) as u8,
            Self::Unknown => 1,
        }
    }
}

impl From<std::process::ExitStatus> for ExitStatus {
    fn from(status: std::process::ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

/// The process that leads the session of a pseudo-terminal, waited for by a thread of its own.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    /// It leads a process group of its own.
    leads: bool,
    /// `None` until it was reaped. While this is locked and `None`, `pid` can't be anybody else.
    status: Mutex<Option<ExitStatus>>,
    ended: Condvar,
}

impl Child {
    /// Starts waiting for `process`; calls `waker` once it has been reaped.
    pub(crate) fn watch(process: Process, waker: Arc<Waker>) -> io::Result<Arc<Self>> {
        Self::watch_it(process, true, waker)
    }

    /// The same for a process in our own process group: signals are for it alone.
    pub(crate) fn watch_alone(process: Process, waker: Arc<Waker>) -> io::Result<Arc<Self>> {
        Self::watch_it(process, false, waker)
    }

    fn watch_it(process: Process, leads: bool, waker: Arc<Waker>) -> io::Result<Arc<Self>> {
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let child = Arc::new(Self {
            pid: pid.ok_or(io::ErrorKind::InvalidData)?,
            leads,
            status: Mutex::new(None),
            ended: Condvar::new(),
        });
        let watched = Arc::clone(&child);
        let watch = move || {
            watched.reap(process);
            waker.wake();
        };
        thread::Builder::new()
            .name("pillion-wait".into())
            .spawn(watch)?;
        Ok(child)
    }

    /// How the program ended, if it has.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the program these signals one after the other, each if it is still there `grace` after the one before,
    /// and kills what is left after that.
    pub(crate) fn terminate(
        self: &Arc<Self>,
        pty: impl AsFd + Send + 'static,
        signals: &[Signal],
        grace: Duration,
    ) -> io::Result<()> {
        let Some((first, rest)) = signals.split_first() else {
            return Ok(());
        };
        self.signal(&pty, *first);
        // A stopped program sees it only when it goes on.
        self.signal(&pty, Signal::CONT);
        let child = Arc::clone(self);
        let rest: Vec<Signal> = rest.iter().copied().chain([Signal::KILL]).collect();
        let kill = move || {
            for signal in rest {
                let status = child.status.lock().unwrap_or_else(PoisonError::into_inner);
                let waited = child
                    .ended
                    .wait_timeout_while(status, grace, |status| status.is_none());
                drop(waited);
                child.signal(&pty, signal);
            }
        };
        thread::Builder::new()
            .name("pillion-kill".into())
            .spawn(kill)?;
        Ok(())
    }

    /// Signals the program's process group and the group in the foreground of its terminal (the job a
    /// shell is running), unless the program has ended.
    pub(crate) fn signal(&self, pty: impl AsFd, signal: Signal) {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_some() {
            return;
        }
        if !self.leads {
            if let Err(error) = rustix::process::kill_process(self.pid, signal) {
                tracing::debug!(?signal, %error, "the program couldn't be signalled");
            }
            return;
        }
        let foreground = rustix::termios::tcgetpgrp(pty).ok();
        for group in [
            Some(self.pid),
            foreground.filter(|group| *group != self.pid),
        ] {
            if let Some(group) = group
                && let Err(error) = rustix::process::kill_process_group(group, signal)
            {
                tracing::debug!(?group, ?signal, %error, "the program couldn't be signalled");
            }
        }
    }

    fn reap(&self, mut process: Process) {
        // First learn that it ended and leave it a zombie, so that the wait below, which frees the
        // process id, is over in no time and can be done under the lock.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) =
            rustix::process::waitid(WaitId::Pid(self.pid), ended)
        {}
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        *status = Some(process.wait().map_or(ExitStatus::Unknown, ExitStatus::from));
        orphans::programs().remove(&self.pid.as_raw_nonzero().get());
        self.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(ExitStatus::Code(0).code(), 0);
        assert_eq!(ExitStatus::Code(300).code(), 44);
        assert_eq!(ExitStatus::Signal(9).code(), 137);
        assert_eq!(ExitStatus::Unknown.code(), 1);
    }
}
