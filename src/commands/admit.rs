//! `pillion admit`.

use anyhow::Result;
use pillion::{
    paths::Paths,
    session::{Command, Target},
};

use crate::{
    args::AdmitArgs,
    commands::{ask, say},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &AdmitArgs) -> Result<()> {
    let target = Target::Named(args.who.clone());
    let command = Command::Admit { target };
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
