//! `pillion ban` and `pillion unban`.

use anyhow::Result;
use clap::Args;
use pillion::{
    session::{Command, Target},
    settings::{config::Config, paths::Paths},
};

use crate::{
    args::SessionArg,
    commands::{ask, say, target},
    completion,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion ban eve@example.org        no matter who vouches for the address
  pillion ban forge:eve              by each SSH key that the forge lists for that user now
  pillion ban ./lost_keys            by each SSH key in a file
  pillion unban forge:eve            undoes it, for the keys listed now; `pillion allow` prints who is barred";

/// Flags of `ban` and `unban`.
#[derive(Debug, Args)]
pub struct BanArgs {
    /// A name, number or fingerprint from `pillion who`, or whatever `pillion allow` takes: a Pillion key, an
    /// SSH key, a file of them or forge:USER, an e-mail address or a team.
    #[arg(value_name = "PERSON", add = completion::people())]
    pub who: String,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

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
