//! `pillion rm`.

use anyhow::Result;
use clap::Args;
use pillion::{
    sessions::select,
    settings::paths::Paths,
    store::{SessionState, remove},
};

use crate::completion;

/// Flags of `rm`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["sessions", "all"]))]
pub struct RmArgs {
    /// Sessions, as `pillion ls --all` lists them.
    #[arg(value_name = "SESSION", add = completion::ended())]
    pub sessions: Vec<String>,

    /// Every ended session.
    #[arg(long)]
    pub all: bool,
}

/// Runs it.
pub fn run(paths: &Paths, args: &RmArgs) -> Result<()> {
    let mut ids = Vec::new();
    if args.all {
        let ended = select::every(paths)?
            .into_iter()
            .filter(|s| s.state != SessionState::Live);
        ids.extend(ended.map(|session| session.meta.id));
    }
    for wanted in &args.sessions {
        ids.push(select::any(paths, Some(wanted))?.meta.id);
    }
    for id in &ids {
        remove(&paths.sessions, id)?;
        pillion::say!("{id} and its history are gone");
    }
    Ok(())
}
