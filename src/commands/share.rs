//! `pillion share`: start sharing a running session.

use anyhow::Result;
use clap::Args;
use pillion::{
    session::{Command, Done},
    sessions::{
        control::{self, Request},
        select,
    },
    settings::paths::Paths,
};

use crate::commands::{ask, say};

/// Flags of `share`.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// The session; the one you are in, or the only one, by default.
    #[arg(value_name = "SESSION", env = "PILLION_SESSION")]
    pub session: Option<String>,

    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &ShareArgs) -> Result<()> {
    let session = select::running(paths, args.session.as_deref())?;
    let id = Some(session.meta.id.as_str());
    let done = ask(paths, id, Command::Share { from_start: false }).await?;
    let link = match control::ask(&paths.socket(&session.meta.id), &Request::Link).await {
        Ok(Done::Said(link)) => Some(link),
        _ => None,
    };
    match &done {
        Done::Ticket(ticket) if args.json => pillion::output!(
            "{}",
            serde_json::json!({
                "session": session.meta.id, "ticket": ticket, "join": format!("pillion join {ticket}"),
                "link": link,
            })
        )?,
        Done::Ticket(ticket) => {
            pillion::output!("pillion join {ticket}")?;
            if let Some(link) = link {
                pillion::say!("The link: {link}");
            }
            pillion::say!(
                "Shared from what is on the screen now, view-only. `pillion stop` ends it."
            );
        }
        other => say(other),
    }
    Ok(())
}
