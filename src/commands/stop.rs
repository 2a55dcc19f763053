//! `pillion stop`.

use anyhow::Result;
use clap::Args;
use pillion::{
    session::verbs,
    sessions::control,
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
        say(&ask(paths, args.session.as_deref(), verbs::Stop {}).await?);
        return Ok(());
    }
    let mut failed = None;
    for session in list(&paths.sessions)? {
        if session.state != SessionState::Live {
            continue;
        }
        let socket = paths.socket(&session.meta.id);
        match control::command(&socket, verbs::Stop {}.into()).await {
            Ok(_) => pillion::say!(
                "{}: stopped sharing; the program is still running",
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
