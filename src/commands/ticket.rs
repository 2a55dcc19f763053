//! `pillion ticket`.

use anyhow::{Result, bail};
use pillion::{
    control::{self, Request},
    paths::Paths,
    select,
    session::{Command, Done},
};

use crate::{args::TicketArgs, commands::draw_qr};

/// Runs it.
pub async fn run(paths: &Paths, args: &TicketArgs) -> Result<()> {
    let session = select::running(paths, args.session.session.as_deref())?;
    let socket = paths.socket(&session.meta.id);
    if args.code {
        println!("{}", said(control::ask(&socket, &Request::Code).await?)?);
        eprintln!("Say it aloud: it works once, for ten minutes.");
        return Ok(());
    }
    let command = Command::Ticket { new: args.new };
    let Done::Ticket(ticket) = control::ask(&socket, &Request::Command(command)).await? else {
        bail!("the session gave no ticket; this is a defect of pillion");
    };
    let link = match control::ask(&socket, &Request::Link).await {
        Ok(done) => Some(said(done)?),
        Err(error) if args.link => return Err(error),
        Err(_) => None,
    };
    match &link {
        Some(link) if args.link => println!("{link}"),
        Some(link) => {
            println!("{ticket}");
            eprintln!("The link: {link}");
        }
        None => println!("{ticket}"),
    }
    if args.new {
        let old = match link {
            Some(_) => "The ticket and link before these no longer work.",
            None => "The ticket before this one no longer works.",
        };
        eprintln!("{old} Who is here stays.");
    }
    if args.qr {
        draw_qr(link.as_deref(), &ticket);
    }
    Ok(())
}

fn said(done: Done) -> Result<String> {
    match done {
        Done::Said(text) => Ok(text),
        _ => bail!("the session answered something else; this is a defect of pillion"),
    }
}
