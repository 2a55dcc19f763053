//! `pillion share`: start sharing a running session.

use anyhow::Result;
use pillion::{
    paths::Paths,
    select,
    session::{Command, Done},
};

use crate::{
    args::ShareArgs,
    commands::{ask, say},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &ShareArgs) -> Result<()> {
    let session = select::running(paths, args.session.as_deref())?;
    let id = Some(session.meta.id.as_str());
    let done = ask(paths, id, Command::Share { from_start: false }).await?;
    match &done {
        Done::Ticket(ticket) if args.json => println!(
            "{}",
            serde_json::json!({
                "session": session.meta.id, "ticket": ticket, "join": format!("pillion join {ticket}"),
            })
        ),
        Done::Ticket(ticket) => {
            println!("pillion join {ticket}");
            eprintln!("Shared from what is on the screen now, view-only. `pillion stop` ends it.");
        }
        other => say(other),
    }
    Ok(())
}
