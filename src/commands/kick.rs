//! `pillion kick`.

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

/// Flags of `kick`.
#[derive(Debug, Args)]
pub struct KickArgs {
    /// A name, number or key fingerprint from `pillion who`.
    #[arg(value_name = "NAME|ID", add = completion::here())]
    pub who: String,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &KickArgs) -> Result<()> {
    let command = Command::Kick(verbs::Kick {
        target: subject(&args.who)?,
    });
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
