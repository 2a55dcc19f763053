//! `pillion ban` and `pillion unban`.

use anyhow::Result;
use pillion::{
    config::Config,
    paths::Paths,
    session::{Command, Target},
};

use crate::{
    args::BanArgs,
    commands::{ask, say, target},
};

/// Runs either.
pub async fn run(
    paths: &Paths,
    config: &Config,
    args: &BanArgs,
    command: fn(Target) -> Command,
) -> Result<()> {
    let command = command(target(config, &args.who).await?);
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
