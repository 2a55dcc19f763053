//! `pillion close`.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use pillion::{
    proto::{TrackId, TrackKind, TrackState},
    session::{CommandError, Reply, verbs},
    sessions::{
        control::{self, Wire},
        select,
    },
    settings::paths::Paths,
    tui::words::Refusal,
};

use crate::{
    args::SessionArg,
    commands::{ask, say},
    usage,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion close 1                      end terminal 1 of the session you are in
  pillion close --all --session 26ab   end a whole session, also one that runs in the background";

/// How long programs that are told to end, and the session behind them, may take: three seconds before they are
/// made to, and what the session has to say after that.
const ENDING: Duration = Duration::from_secs(15);

/// Flags of `close`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["terminal", "all"]))]
pub struct CloseArgs {
    /// The terminal's number, as `pillion ls SESSION` lists it.
    #[arg(value_name = "NUMBER", value_parser = usage::number::<u32>)]
    pub terminal: Option<u32>,

    /// Every terminal, and with the last one the session. Its history stays (`pillion export`), and
    /// `pillion share --restart` starts it again.
    #[arg(long, conflicts_with = "terminal")]
    pub all: bool,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &CloseArgs) -> Result<()> {
    let wanted = args.session.session.as_deref();
    let Some(terminal) = args.terminal else {
        return close_all(paths, wanted).await;
    };
    let track = TrackId(terminal);
    say(&ask(paths, wanted, verbs::CloseTrack { track }).await?);
    Ok(())
}

/// Ends all programs of a session, and waits until it has ended.
async fn close_all(paths: &Paths, wanted: Option<&str>) -> Result<()> {
    let id = select::running(paths, wanted)?.meta.id;
    let socket = paths.socket(&id);
    // Nothing is asked by this one: it ends with the session's process.
    let mut ends = Wire::new(control::connect(&socket).await?);
    let done = control::command(&socket, verbs::ListTracks {}.into()).await?;
    let Reply::ListTracks(tracks) = done.reply else {
        bail!("the session answered something else; this is a defect of pillion");
    };
    let runs = |track: &&verbs::TrackStatus| {
        let ends_by_command = matches!(track.kind, TrackKind::Terminal | TrackKind::Conversation);
        ends_by_command && track.state == TrackState::Live
    };
    for track in tracks.iter().filter(runs).map(|track| track.id) {
        let closed = control::command(&socket, verbs::CloseTrack { track }.into()).await;
        match closed {
            Ok(_) => {}
            // It ended by itself meanwhile, or the session did with the last one.
            Err(error) if error.is::<control::NoSession>() => break,
            Err(error)
                if matches!(
                    error.downcast_ref(),
                    Some(Refusal(CommandError::NoSuchTrack(_)))
                ) => {}
            Err(error) => return Err(error),
        }
    }
    match tokio::time::timeout(ENDING, ends.gone()).await {
        Ok(()) => pillion::say!("Session {id} has ended."),
        Err(_) => bail!(
            "the programs of session {id} were told to end, and it still runs: `pillion ls {id}` says which do"
        ),
    }
    Ok(())
}
