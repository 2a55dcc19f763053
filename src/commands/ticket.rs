//! `pillion ticket`.

use anyhow::Result;
use pillion::{
    paths::Paths,
    session::{Command, Done},
};

use crate::{
    args::TicketArgs,
    commands::{ask, say},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &TicketArgs) -> Result<()> {
    let command = Command::Ticket { new: args.new };
    let done = ask(paths, args.session.session.as_deref(), command).await?;
    if let Done::Ticket(ticket) = &done {
        println!("{ticket}");
        if args.new {
            eprintln!("The ticket before this one no longer works. Who is here stays.");
        }
    }
    say(&done);
    Ok(())
}
