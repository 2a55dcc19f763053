//! `pillion refuse`.

use anyhow::Result;
use clap::Args;
use pillion::{
    session::{Command, verbs},
    settings::paths::Paths,
};

use crate::{
    args::SessionArg,
    commands::{ask, say, subject},
    completion,
};

/// Flags of `refuse`.
#[derive(Debug, Args)]
pub struct RefuseArgs {
    /// A name, number or key fingerprint from `pillion who`.
    #[arg(value_name = "NAME|ID", add = completion::here())]
    pub who: String,

    /// Bar them, too.
    #[arg(long)]
    pub for_good: bool,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &RefuseArgs) -> Result<()> {
    let target = subject(&args.who)?;
    let command = Command::TurnAway(verbs::TurnAway {
        target,
        for_good: args.for_good,
    });
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
