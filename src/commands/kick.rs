//! `pillion kick`.

use anyhow::Result;
use pillion::{paths::Paths, session::Command};

use crate::{
    args::KickArgs,
    commands::{ask, say, subject},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &KickArgs) -> Result<()> {
    let command = Command::Kick {
        target: subject(&args.who)?,
    };
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
