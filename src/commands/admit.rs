//! `pillion admit`.

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

/// Flags of `admit`.
#[derive(Debug, Args)]
pub struct AdmitArgs {
    /// A name, number or key fingerprint from `pillion who`.
    #[arg(value_name = "NAME|ID", add = completion::here())]
    pub who: String,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &AdmitArgs) -> Result<()> {
    let target = subject(&args.who)?;
    let command = Command::Admit(verbs::Admit { target });
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
