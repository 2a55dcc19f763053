//! `pillion revoke`.

use anyhow::Result;
use pillion::{
    config::Config,
    paths::Paths,
    session::{Command, Target},
};

use crate::{
    args::RevokeArgs,
    commands::{ask, say, target},
};

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: &RevokeArgs) -> Result<()> {
    let target = match &args.who {
        Some(who) => target(config, who).await?,
        None if args.link => Target::Links,
        None => Target::All,
    };
    let command = Command::Revoke { target };
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
