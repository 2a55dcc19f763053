//! `pillion share`: start sharing a running session.

use anyhow::Result;
use clap::Args;
use pillion::{
    session::{Reply, verbs},
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
    let done = ask(paths, id, verbs::Share { from_start: false }).await?;
    let link = control::text(&paths.socket(&session.meta.id), &Request::Link).await;
    // Without a link that is no error.
    let link = link.ok();
    match &done.reply {
        Reply::Ticket(ticket) if args.json => pillion::output!(
            "{}",
            serde_json::json!({
                "session": session.meta.id, "ticket": ticket, "join": format!("pillion join {ticket}"),
                "link": link,
            })
        )?,
        Reply::Ticket(ticket) => {
            pillion::output!("pillion join {ticket}")?;
            if let Some(link) = link {
                pillion::say!("The link: {link}");
            }
            pillion::say!(
                "Shared from what is on the screen now, view-only. `pillion stop` ends it."
            );
        }
        _ => say(&done),
    }
    Ok(())
}
