//! Signals that ask us to end.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that asks this process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitSignal {
    /// `SIGHUP`: our terminal is gone.
    Hangup,
    /// `SIGINT`: Ctrl-C, where the host's terminal isn't raw.
    Interrupt,
    /// `SIGQUIT`.
    Quit,
    /// `SIGTERM`.
    Terminate,
}

impl ExitSignal {
    /// Its number.
    pub fn number(self) -> i32 {
        match self {
            Self::Hangup => libc::SIGHUP,
            Self::Interrupt => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Terminate => libc::SIGTERM,
        }
    }

    /// The signal of that number, if it is one of these.
    pub fn of(number: i32) -> Option<Self> {
        [Self::Hangup, Self::Interrupt, Self::Quit, Self::Terminate]
            .into_iter()
            .find(|signal| signal.number() == number)
    }

    /// Whether it is one of the keyboard's, which programs may take for something else than their end: a shell
    /// gives up the line that is being typed.
    pub fn is_key(self) -> bool {
        matches!(self, Self::Interrupt | Self::Quit)
    }

    /// The exit code a shell reports for it: 128 + its number.
    pub fn exit_code(self) -> u8 {
        (128 + self.number()) as u8
    }
}

/// The signals that ask us to end, as events, so that ending is ordinary control flow: the terminal is
/// restored by [`HostTty`](crate::HostTty)'s drop.
///
/// What runs inside of the signal handler is tokio's and only writes to a pipe (async-signal-safe);
/// nothing else happens there. SIGKILL, and signals of a crash (SIGSEGV), leave a raw terminal behind, as
/// they do for every program: `reset` repairs it.
#[derive(Debug)]
pub struct ExitSignals {
    hangup: Option<Signal>,
    interrupt: Option<Signal>,
    quit: Option<Signal>,
    terminate: Option<Signal>,
}

impl ExitSignals {
    /// Catches the signals from now on, but for those we were started to ignore (nohup(1), background
    /// jobs of scripts).
    ///
    /// # Errors
    /// When the system refuses a handler.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO.
    pub fn new() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        let catch = |kind: SignalKind| match ignored & (1 << (kind.as_raw_value() - 1)) {
            0 => signal(kind).map(Some),
            _ => Ok(None),
        };
        Ok(Self {
            hangup: catch(SignalKind::hangup())?,
            interrupt: catch(SignalKind::interrupt())?,
            quit: catch(SignalKind::quit())?,
            terminate: catch(SignalKind::terminate())?,
        })
    }

    /// Whether this process was started to ignore that its terminal goes (nohup(1)).
    pub fn ignores_hangup() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        ignored(&status) & (1 << (libc::SIGHUP - 1)) != 0
    }

    /// The next signal. May be dropped while it waits without losing one.
    pub async fn next(&mut self) -> ExitSignal {
        tokio::select! {
            () = caught(&mut self.hangup) => ExitSignal::Hangup,
            () = caught(&mut self.interrupt) => ExitSignal::Interrupt,
            () = caught(&mut self.quit) => ExitSignal::Quit,
            () = caught(&mut self.terminate) => ExitSignal::Terminate,
        }
    }
}

async fn caught(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    pending().await
}

/// The ignored signals, one bit each (`SigIgn` of `proc_pid_status(5)`); none where there is no /proc.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_found() {
        let status = "Name:\tcat\nSigBlk:\t0000000000000004\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), 1 << 12 | 1 << (libc::SIGHUP - 1));
        assert_eq!(ignored("SigIgn:\tzz"), 0);
        assert_eq!(ignored(""), 0);
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(ExitSignal::Terminate.exit_code(), 143);
        assert_eq!(ExitSignal::Interrupt.exit_code(), 130);
    }
}
