//! Holding the host's terminal for a session: the part of the command that a user runs.
//!
//! It stays in the terminal's foreground, so the shell waits for it and job control works. It makes the terminal
//! raw, passes on that its size has changed, and gives it back however the session ends: also when the session's
//! process is killed. Not one byte of what is typed or printed goes through it.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use pillion_source::{ExitSignal, ExitSignals, HostTty, TtyChange};
use pillion_tui::words::Refusal;
use rustix::process::{Signal, getpid, kill_process};
use tokio::{
    net::UnixStream,
    signal::unix::{SignalKind, signal},
};

use crate::sessions::control::{
    FromHolder, Left, Progress, Request, Response, ToHolder, Wire, say_waiting,
};

/// How long a session that was told that its terminal is lost may take to say what it does: its program has
/// three seconds to end, and its viewers two to fetch its last lines.
const ENDING: Duration = Duration::from_secs(10);

/// How the holding ended. The terminal is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// The session has ended with this exit code.
    Ended(u8),
    /// The session goes on without this terminal.
    Left(Left),
    /// The session could not be started; why, and the exit code.
    Failed(String, u8),
    /// This signal came, and the session has said nothing of itself since.
    Signal(ExitSignal),
    /// The session's process is gone without a word.
    Vanished,
}

/// What came of holding a terminal for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The session's id; `None` if it never had the terminal.
    pub session: Option<String>,
    /// How it ended.
    pub held: Held,
}

/// Waits until the terminal may be used: a command in the background is stopped, as any is that reads from it.
///
/// # Errors
/// It is in the background for good.
pub fn wait_for_foreground(tty: &HostTty) -> Result<()> {
    while !tty.is_foreground() {
        let before = Instant::now();
        kill_process(getpid(), Signal::TTIN)?;
        // Where nobody could bring it to the foreground the signal does nothing.
        if before.elapsed() < Duration::from_millis(2) && !tty.is_foreground() {
            bail!(
                "this runs in the background, where it has no terminal: bring it to the foreground (fg), or \
                 say --detach"
            );
        }
    }
    Ok(())
}

/// Gives a session this terminal, and holds it until one of the two ends.
///
/// # Errors
/// The session refuses (`CommandError`), or the terminal can't be used.
pub async fn hold(stream: UnixStream, tty: HostTty) -> Result<Holding> {
    let mut holder = Holder {
        wire: Wire::new(stream),
        tty,
        attached: false,
        suspending: false,
        signalled: None,
        session: None,
    };
    let held = holder.run().await;
    if holder.attached {
        holder.tty.restore_screen_modes();
        holder.tty.leave_raw();
        // What it showed may end in the middle of a line.
        let _ = write!(std::io::stderr(), "\r\n");
    }
    let session = holder.session;
    held.map(|held| Holding { session, held })
}

struct Holder {
    /// The session's id, once the terminal was its own.
    session: Option<String>,
    wire: Wire,
    tty: HostTty,
    /// The terminal is raw, and the session's.
    attached: bool,
    /// We are about to be stopped.
    suspending: bool,
    /// We were told to end, and until when the session may say what it does; one of the keyboard's signals ends
    /// only who takes it for that.
    signalled: Option<(ExitSignal, Option<Instant>)>,
}

impl Holder {
    async fn run(&mut self) -> Result<Held> {
        let mut signals = ExitSignals::new()?;
        let mut stop = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        if let Err(_gone) = self.wire.write(&Request::Attach).await {
            return Ok(Held::Vanished);
        }
        loop {
            let until = self.signalled.and_then(|(_, until)| until);
            tokio::select! {
                biased;
                signal = signals.next() => {
                    if !self.attached || until.is_some() {
                        return Ok(Held::Signal(signal));
                    }
                    let until = (!signal.is_key()).then(|| Instant::now() + ENDING);
                    self.signalled = Some((signal, until));
                    // One that is gone is noticed below.
                    let _ = self.wire.write(&FromHolder::Signal(signal.number())).await;
                }
                _ = stop.recv() => {
                    match self.attached {
                        true => {
                            self.suspending = true;
                            let _ = self.wire.write(&FromHolder::Suspended).await;
                        }
                        false => kill_process(getpid(), Signal::STOP)?,
                    }
                }
                change = self.tty.changed(), if self.attached => {
                    let say = match change {
                        Ok(TtyChange::Resized) => FromHolder::Resized,
                        Ok(TtyChange::Continued) => FromHolder::Ready,
                        Err(_gone) => FromHolder::Lost,
                    };
                    let _ = self.wire.write(&say).await;
                }
                said = self.wire.read() => {
                    let said = match said {
                        // It has ended without reading what we asked, and said why itself.
                        Err(error) if is_reset(&error) => None,
                        said => said?,
                    };
                    if let Some(held) = self.said(said).await? {
                        return Ok(held);
                    }
                }
                () = sleep_until(until) => {
                    if let Some((signal, _)) = self.signalled {
                        return Ok(Held::Signal(signal));
                    }
                }
            }
        }
    }

    /// What the session says; whether that was the last.
    async fn said(&mut self, said: Option<Progress>) -> Result<Option<Held>> {
        let say = match said {
            None => {
                return Ok(Some(Held::Vanished));
            }
            Some(Progress::Taken | Progress::Begun { .. }) => return Ok(None),
            Some(Progress::WaitsFor(what)) => {
                say_waiting(&what);
                return Ok(None);
            }
            Some(Progress::Answer(Response::Refused(error))) => return Err(Refusal(error).into()),
            Some(Progress::Answer(Response::Failed(why))) => bail!("{why}"),
            Some(Progress::Answer(Response::Done(_) | Response::Text(_))) => return Ok(None),
            Some(Progress::Terminal(say)) => say,
        };
        match say {
            ToHolder::HandOver => self.wire.send_terminal(self.tty.handle()).await?,
            ToHolder::Attached { session } => {
                self.session = Some(session);
                self.tty.enter_raw()?;
                self.attached = true;
                self.wire.write(&FromHolder::Ready).await?;
            }
            ToHolder::Released { reset } => {
                if reset {
                    self.tty.restore_screen_modes();
                }
                self.tty.leave_raw();
                self.attached = false;
                if std::mem::take(&mut self.suspending) {
                    self.stop_here().await?;
                }
            }
            ToHolder::Left(Left::Lost) => {
                return Ok(Some(match self.signalled {
                    Some((signal, _)) => Held::Signal(signal),
                    None => Held::Left(Left::Lost),
                }));
            }
            ToHolder::Left(left) => return Ok(Some(Held::Left(left))),
            ToHolder::Ended { code } => return Ok(Some(Held::Ended(code))),
            ToHolder::Failed { text, code } => return Ok(Some(Held::Failed(text, code))),
        }
        Ok(None)
    }

    /// Stops as a program does that Ctrl-Z is pressed in, and takes the terminal again once it may.
    async fn stop_here(&mut self) -> Result<()> {
        kill_process(getpid(), Signal::STOP)?;
        wait_for_foreground(&self.tty)?;
        self.tty.enter_raw()?;
        self.attached = true;
        let _ = self.wire.write(&FromHolder::Ready).await;
        Ok(())
    }
}

fn is_reset(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}
