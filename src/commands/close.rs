//! `pillion close`.

use anyhow::Result;
use clap::Args;
use pillion::{proto::TrackId, session::verbs, settings::paths::Paths};

use crate::{
    args::SessionArg,
    commands::{ask, say},
};

/// Flags of `close`.
#[derive(Debug, Args)]
pub struct CloseArgs {
    /// The terminal's number, as `pillion ls SESSION` lists it.
    #[arg(value_name = "NUMBER")]
    pub terminal: u32,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &CloseArgs) -> Result<()> {
    let track = TrackId(args.terminal);
    let close = verbs::CloseTrack { track };
    say(&ask(paths, args.session.session.as_deref(), close).await?);
    Ok(())
}
