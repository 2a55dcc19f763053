//! `pillion stop`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use pillion::{
    session::verbs,
    sessions::{
        control::{self, Request},
        select,
    },
    settings::paths::Paths,
    store::{SessionState, SessionSummary},
    terminal::console::explain,
};

use crate::{
    args::OnlySession,
    commands::{ask, say},
};

/// How long sessions may take to stop sharing, all together.
const TELL_WITHIN: Duration = Duration::from_secs(10);

/// Flags of `stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Which session.
    #[command(flatten)]
    pub session: OnlySession,

    /// Every session of yours on this machine.
    #[arg(long, conflicts_with_all = ["place", "session"])]
    pub all: bool,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &StopArgs) -> Result<()> {
    if !args.all {
        say(&ask(paths, args.session.wanted().as_deref(), verbs::Stop {}).await?);
        return Ok(());
    }
    let mut live = select::every(paths)?;
    live.retain(|session| session.state == SessionState::Live);
    let stop = |session: &SessionSummary| {
        let stop = Request::Command(verbs::Stop {}.into());
        (paths.socket(&session.meta.id), stop)
    };
    let answers = control::ask_all(live.iter().map(stop), TELL_WITHIN).await;
    let mut failed = None;
    for (session, answer) in live.iter().zip(answers) {
        match answer {
            Ok(_) => pillion::say!(
                "{}: stopped sharing; the program is still running",
                session.meta.id
            ),
            Err(error) => {
                pillion::say!("{}: {}", session.meta.id, explain(&error));
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}
