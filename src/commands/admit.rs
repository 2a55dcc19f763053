//! `pillion admit`.

use anyhow::Result;
use pillion::{paths::Paths, session::Command};

use crate::{
    args::AdmitArgs,
    commands::{ask, say, subject},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &AdmitArgs) -> Result<()> {
    let target = subject(&args.who)?;
    let command = Command::Admit { target };
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
