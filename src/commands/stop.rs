//! `pillion stop`.

use anyhow::Result;
use clap::Args;
use pillion::{
    session::Command,
    sessions::control::{self, Request},
    settings::paths::Paths,
    store::{SessionState, list},
};

use crate::commands::{ask, say};

/// Flags of `stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// The session; the one you are in, or the only one, by default.
    #[arg(value_name = "SESSION", env = "PILLION_SESSION")]
    pub session: Option<String>,

    /// Every session of yours on this machine.
    #[arg(long)]
    pub all: bool,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &StopArgs) -> Result<()> {
    if !args.all {
        say(&ask(paths, args.session.as_deref(), Command::Stop).await?);
        return Ok(());
    }
    let mut failed = None;
    for session in list(&paths.sessions)? {
        if session.state != SessionState::Live {
            continue;
        }
        let socket = paths.socket(&session.meta.id);
        match control::ask(&socket, &Request::Command(Command::Stop)).await {
            Ok(_) => pillion::say!(
                "{}: sharing has ended; the program goes on",
                session.meta.id
            ),
            Err(error) => {
                pillion::say!("{}: {error:#}", session.meta.id);
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}
