//! `pillion new`.

use anyhow::Result;
use clap::Args;
use pillion::{
    session::{Reply, verbs},
    settings::{config::Config, paths::Paths},
};

use crate::{args::SessionArg, commands::ask};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion new                          another shell in the session you are in
  pillion new --title logs -- tail -F /var/log/syslog";

/// Flags of `new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// What to call the terminal; what its program says, by default.
    #[arg(long, value_name = "TITLE", default_value = "")]
    pub title: String,

    /// Print {"terminal"}.
    #[arg(long)]
    pub json: bool,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,

    /// The command to run; your shell by default.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: NewArgs) -> Result<()> {
    let open = verbs::OpenTerminal {
        title: args.title,
        command: args.command,
    };
    let done = ask(paths, args.session.session.as_deref(), open).await?;
    if let Reply::OpenTerminal(track) = &done.reply {
        if args.json {
            pillion::output!("{}", serde_json::json!({ "terminal": track.0 }))?;
            return Ok(());
        }
        pillion::output!("{track}")?;
        let prefix = config.prefix();
        let go = match track.0 {
            0..=9 => format!(
                "{prefix} {track} goes there, in the session's own terminal and in a viewer"
            ),
            _ => format!(
                "{prefix} n goes round in the session's own terminal, and {prefix} t lists all in a viewer"
            ),
        };
        pillion::say!("Opened terminal {track}. {go}.");
    }
    Ok(())
}
