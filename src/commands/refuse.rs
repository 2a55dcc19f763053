//! `pillion refuse`.

use anyhow::Result;
use pillion::{paths::Paths, session::Command};

use crate::{
    args::RefuseArgs,
    commands::{ask, say, subject},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &RefuseArgs) -> Result<()> {
    let target = subject(&args.who)?;
    let command = Command::TurnAway {
        target,
        for_good: args.for_good,
    };
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
