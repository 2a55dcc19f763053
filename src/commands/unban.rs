//! `pillion unban`.

use anyhow::Result;
use pillion::{
    paths::Paths,
    session::{Command, Target},
};

use crate::{
    args::BanArgs,
    commands::{ask, say},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &BanArgs) -> Result<()> {
    let target = Target::Named(args.who.clone());
    let command = Command::Unban { target };
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
