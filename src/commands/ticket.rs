//! `pillion ticket`.

use anyhow::{Result, bail};
use clap::Args;
use pillion::{
    session::{Reply, verbs},
    sessions::{
        control::{self, Request},
        select,
    },
    settings::paths::Paths,
};

use crate::{
    args::OnlySession,
    commands::{draw_qr, ticket_for_qr},
};

/// Flags of `ticket`.
#[derive(Debug, Args)]
pub struct TicketArgs {
    /// Which session.
    #[command(flatten)]
    pub session: OnlySession,

    /// Make a new ticket; the old one stops working, and the old link. Who is here stays.
    #[arg(long)]
    pub new: bool,

    /// Print {"session","ticket","join","link"}.
    #[arg(long)]
    pub json: bool,

    /// Draw it, or the link if there is one, as a QR code too, on standard error.
    #[arg(long)]
    pub qr: bool,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &TicketArgs) -> Result<()> {
    let session = select::running(paths, args.session.wanted().as_deref())?;
    let socket = paths.socket(&session.meta.id);
    let command = verbs::Ticket { new: args.new }.into();
    let Reply::Ticket(ticket) = control::command(&socket, command).await?.reply else {
        bail!("the session gave no ticket; this is a defect of pillion");
    };
    // Without a link that is no error.
    let link = control::text(&socket, &Request::Link).await.ok();
    if args.json {
        let join = format!("pillion join {ticket}");
        let object = serde_json::json!({
            "session": session.meta.id, "ticket": ticket, "join": join, "link": link,
        });
        pillion::output!("{object}")?;
    } else {
        pillion::output!("{ticket}")?;
        if let Some(link) = &link {
            pillion::say!("The link: {link}");
        }
    }
    if args.new {
        let old = match link {
            Some(_) => "The ticket and link before these no longer work.",
            None => "The ticket before this one no longer works.",
        };
        pillion::say!("{old} Who is here stays.");
    }
    if args.qr {
        draw_qr(&link.unwrap_or_else(|| ticket_for_qr(&ticket)));
    }
    Ok(())
}
