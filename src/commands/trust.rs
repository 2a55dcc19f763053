//! `pillion trust`.

use anyhow::Result;
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser as _};
use pillion::{
    proto::{TrackId, Trust},
    session::verbs,
    settings::paths::Paths,
};

use crate::{
    args::SessionArg,
    commands::{ask, say, subject},
    completion,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion trust anna reads-only   what anna asks for may read and search unasked; the rest is asked about
  pillion trust anna trusted      the agent works for anna as it does for you
  pillion trust anna ask          as at first: whatever anna makes the agent do is asked about
  pillion trust anna watch        anna sends the agent nothing, whatever right anna has

It counts in one conversation, for as long as anna may prompt. More trust needs a yes at your terminal once others
could make programs here ask for it.";

/// Flags of `trust`.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// A name, number or key fingerprint from `pillion who`.
    #[arg(value_name = "NAME|ID", add = completion::here())]
    pub who: String,

    /// How far.
    #[arg(
        value_name = "watch|ask|reads-only|trusted",
        value_parser = PossibleValuesParser::new(Trust::ALL.map(Trust::as_str))
            .try_map(|text| text.parse::<Trust>())
    )]
    pub trust: Trust,

    /// In which conversation of the session, by its number in `pillion ls SESSION`; the first, by default.
    #[arg(long = "conversation", value_name = "N")]
    pub track: Option<u32>,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Runs it.
pub async fn run(paths: &Paths, args: TrustArgs) -> Result<()> {
    let trust = verbs::Trust {
        target: subject(&args.who)?,
        track: args.track.map(TrackId),
        trust: args.trust,
    };
    say(&ask(paths, args.session.session.as_deref(), trust).await?);
    Ok(())
}
