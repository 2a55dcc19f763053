//! `pillion revoke`.

use anyhow::Result;
use clap::Args;
use pillion::{
    session::{Command, Target, verbs},
    settings::{config::Config, paths::Paths},
};

use crate::{
    args::SessionArg,
    commands::{ask, say, target},
    completion,
};

/// Flags of `revoke`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whose").required(true).args(["who", "link", "all"]))]
pub struct RevokeArgs {
    /// A name, number or key fingerprint from `pillion who`, a grant's id, or whatever `pillion allow` takes.
    #[arg(value_name = "NAME|ID|GRANT|PERSON", add = completion::people())]
    pub who: Option<String>,

    /// Every token made with `grant --link`, and who came with one.
    #[arg(long)]
    pub link: bool,

    /// Everyone's.
    #[arg(long)]
    pub all: bool,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: &RevokeArgs) -> Result<()> {
    let target = match &args.who {
        Some(who) => target(config, who).await?,
        None if args.link => Target::Links,
        None => Target::All,
    };
    let command = Command::Revoke(verbs::Revoke { target });
    say(&ask(paths, args.session.session.as_deref(), command).await?);
    Ok(())
}
