//! `pillion revoke`.

use anyhow::Result;
use pillion::{
    paths::Paths,
    session::{Command, Target},
};

use crate::{
    args::RevokeArgs,
    commands::{ask, say},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &RevokeArgs) -> Result<()> {
    let target = match &args.who {
        Some(who) => Target::Named(who.clone()),
        None if args.link => Target::Links,
        None => Target::All,
    };
    say(&ask(
        paths,
        args.session.session.as_deref(),
        Command::Revoke { target },
    )
    .await?);
    Ok(())
}
