//! `pillion kick`.

use anyhow::Result;
use pillion::{
    paths::Paths,
    session::{Command, Target},
};

use crate::{
    args::KickArgs,
    commands::{ask, say},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &KickArgs) -> Result<()> {
    let command = Command::Kick {
        target: Target::Named(args.who.clone()),
    };
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
