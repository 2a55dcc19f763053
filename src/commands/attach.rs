//! `pillion attach`: a session's terminal, here; and the same for a session that is just started.

use std::process::{Child, ExitStatus};

use anyhow::{Context, Result, bail};
use clap::Args;
use pillion::{
    hosting::{Held, Holding, hold, process, wait_for_foreground},
    proto::{TrackId, TrackKind},
    session::{Reply, SessionStatus, TerminalStatus, verbs},
    sessions::{
        control::{self, Left, Progress, ToHolder, Wire},
        farewell, select,
    },
    settings::{config::Config, paths::Paths},
    source::HostTty,
    store::{SessionState, SessionSummary},
};
use tokio::net::UnixStream;

use crate::{
    args::OnlySession,
    commands::{agent, ls},
};

/// Examples of `attach`.
pub const EXAMPLES: &str = "\
Examples:
  pillion attach            the only session, or the newest that has no terminal
  pillion attach 26ab       this one, wherever it is attached now";

/// Flags of `attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Which session. Without one it is the only one, or the newest without a terminal.
    #[command(flatten)]
    pub session: OnlySession,
}

/// Runs it; the exit code is the program's if it ends here.
pub async fn run(paths: &Paths, config: &Config, args: &AttachArgs) -> Result<u8> {
    let session = match args.session.given() {
        Some(wanted) => select::running(paths, Some(wanted))?,
        None => default_session(paths).await?,
    };
    let id = session.meta.id;
    if begins_with_conversation(paths, &id).await? {
        return agent::attach(paths, config, &id).await;
    }
    let Some(tty) = HostTty::open()? else {
        bail!(
            "there is no terminal here to attach: standard input and output must be one. \
             `pillion join --text` prints a session without one"
        );
    };
    wait_for_foreground(&tty)?;
    // One that is stopped would take the connection, and say nothing.
    control::command(&paths.socket(&id), verbs::Status {}.into()).await?;
    let stream = control::connect(&paths.socket(&id)).await?;
    let holding = hold(stream, tty).await?;
    match holding.session {
        None if holding.held == Held::Vanished => {
            bail!("session {id} ended before this terminal was attached")
        }
        _ => Ok(said(paths, &id, holding.held, None, false)),
    }
}

/// Whether a session has a conversation in place of its first terminal.
async fn begins_with_conversation(paths: &Paths, id: &str) -> Result<bool> {
    let done = control::command(&paths.socket(id), verbs::ListTracks {}.into()).await?;
    let Reply::ListTracks(tracks) = done.reply else {
        bail!("the session answered something else; this is a defect of pillion");
    };
    let first = tracks.iter().find(|track| track.id == TrackId(0));
    Ok(first.is_some_and(|track| track.kind == TrackKind::Conversation))
}

/// Starts a session in a process of its own, with this terminal as its own.
pub async fn start_and_hold(paths: &Paths, tty: HostTty, quiet: bool) -> Result<u8> {
    wait_for_foreground(&tty)?;
    let (mut child, stream) = process::start()?;
    let Holding { session, held } = hold(unix_stream(stream)?, tty).await?;
    match session {
        // It has said itself why.
        None if held == Held::Vanished => code(&mut child),
        session => {
            let id = session.unwrap_or_default();
            Ok(said(paths, &id, held, Some(&mut child), quiet))
        }
    }
}

/// Starts a session without a terminal, and returns when it runs.
pub async fn wait_until_it_runs() -> Result<u8> {
    let (mut child, stream) = process::start()?;
    let mut wire = Wire::new(unix_stream(stream)?);
    Ok(match wire.read().await? {
        Some(Progress::Terminal(ToHolder::Left(_))) => 0,
        Some(Progress::Terminal(ToHolder::Failed { text, code })) => {
            pillion::say!("pillion: {text}");
            code
        }
        _ => code(&mut child)?,
    })
}

/// Says how the holding ended; the exit code.
fn said(paths: &Paths, id: &str, held: Held, child: Option<&mut Child>, quiet: bool) -> u8 {
    match held {
        Held::Ended(code) => {
            if !quiet && let Some(farewell) = farewell::of_session(&paths.sessions, id) {
                pillion::say!("{farewell}");
            }
            code
        }
        Held::Failed(text, code) => {
            pillion::say!("pillion: {text}");
            code
        }
        Held::Left(Left::Detached) => {
            pillion::say!(
                "Detached from session {id}, which goes on. `pillion attach {id}` opens it again."
            );
            0
        }
        Held::Left(Left::TakenOver) => {
            pillion::say!(
                "Session {id} was attached to another terminal. `pillion attach {id}` takes it back."
            );
            0
        }
        Held::Left(Left::Lost) => 129,
        Held::Signal(signal) => signal.exit_code(),
        Held::Vanished => {
            pillion::say!(
                "pillion: the process of session {id} was killed, or crashed, and its program has ended. What \
                 was recorded is in {}: `pillion export {id}` prints it, and `pillion share --restart {id}` \
                 starts the session again.",
                paths.sessions.join(id).display()
            );
            child.map_or(1, |child| code(child).unwrap_or(1))
        }
    }
}

/// How a session's process ended that has nothing more to say.
fn code(child: &mut Child) -> Result<u8> {
    let status = child
        .wait()
        .context("how the session's process ended is not known")?;
    Ok(exit_code(status))
}

fn exit_code(status: ExitStatus) -> u8 {
    pillion::source::ExitStatus::from(status).code()
}

fn unix_stream(stream: std::os::unix::net::UnixStream) -> Result<UnixStream> {
    stream.set_nonblocking(true)?;
    Ok(UnixStream::from_std(stream)?)
}

/// The only session; where there are several, the newest that has no terminal.
async fn default_session(paths: &Paths) -> Result<SessionSummary> {
    let mut free = None;
    let mut live: Vec<_> = select::every(paths)?
        .into_iter()
        .filter(|session| session.state == SessionState::Live)
        .collect();
    if live.len() > 1 {
        live.sort_by_key(|session| session.meta.started_unix_ms);
        let said = ls::status(paths, &live).await;
        let detached = |status: Option<SessionStatus>| {
            status.is_some_and(|status| status.terminal == TerminalStatus::Detached)
        };
        let mut all = live.into_iter().zip(said).rev();
        free = all.find_map(|(session, status)| detached(status).then_some(session));
    }
    match free {
        Some(session) => Ok(session),
        None => select::running(paths, None),
    }
}
