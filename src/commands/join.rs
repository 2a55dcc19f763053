//! `pillion join`.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result, bail};
use pillion::{
    caps::PublicKey,
    config::Config,
    net::load_or_create_identity,
    paths::{Paths, private_dir},
    proto::{GrantToken, Ticket, limits::MAX_TICKET_CHARS},
    source::HostTty,
    viewing::{Options, Outcome, Viewing},
};

use crate::{
    args::JoinArgs,
    commands::{exit, net_options},
};

/// Runs it; the exit code.
pub async fn run(paths: &Paths, config: &Config, args: JoinArgs) -> Result<u8> {
    let ticket: Ticket = ticket(&args)?.parse()?;
    let token = args.grant.or_else(|| std::env::var("PILLION_GRANT").ok());
    let grants = match token.filter(|token| !token.trim().is_empty()) {
        Some(token) => vec![token.parse::<GrantToken>()?],
        None => Vec::new(),
    };
    private_dir(&paths.config)?;
    let options = Options {
        ticket,
        grants,
        claims: Vec::new(),
        identity: load_or_create_identity(&paths.config)?,
        name: args.name.unwrap_or_else(|| config.name().to_owned()),
        read_only: args.read_only,
        relay: args.relay.unwrap_or_else(|| config.relay()),
        net: net_options(config)?,
        inside: inside(),
    };
    let read_only = options.read_only;
    let outcome = if args.text {
        Viewing::start(options)?.text().await?
    } else if args.follow {
        Viewing::start(options)?.follow().await?
    } else {
        let tty = HostTty::open_output()?.context(
            "there is no terminal to show the session in; use --text for the screen as text, or --follow for its lines as they come",
        )?;
        Viewing::start(options)?
            .full_screen(tty, config.prefix(), read_only)
            .await?
    };
    Ok(match outcome {
        Outcome::Left => 0,
        Outcome::Ended(text) => {
            eprintln!("{text}");
            0
        }
        Outcome::Refused(text) => {
            eprintln!("pillion: {text}");
            exit::REFUSED
        }
        Outcome::Unreachable(text) => {
            eprintln!("pillion: {text}");
            exit::UNREACHABLE
        }
    })
}

fn ticket(args: &JoinArgs) -> Result<String> {
    match args.ticket.as_deref() {
        Some("-") => line_of_stdin(),
        Some(ticket) => Ok(ticket.to_owned()),
        None => match std::env::var("PILLION_TICKET") {
            Ok(ticket) if !ticket.is_empty() => Ok(ticket),
            _ if io::stdin().is_terminal() => {
                eprint!("Ticket: ");
                io::stderr().flush()?;
                line_of_stdin()
            }
            _ => bail!(
                "no ticket was given: pillion join TICKET, or `-` to read it from standard input"
            ),
        },
    }
}

fn line_of_stdin() -> Result<String> {
    let mut line = String::new();
    let mut stdin = io::Read::take(io::stdin().lock(), MAX_TICKET_CHARS as u64 + 1);
    // Tickets wrapped over lines by a mail program come in one piece only if all is read; a terminal
    // gives one line.
    if io::stdin().is_terminal() {
        stdin.read_line(&mut line)?;
    } else {
        io::Read::read_to_string(&mut stdin, &mut line)?;
    }
    Ok(line)
}

/// The sessions this process runs inside of, as their hosts told the programs in them.
fn inside() -> Vec<PublicKey> {
    let keys = std::env::var("PILLION_INSIDE").unwrap_or_default();
    keys.split(',')
        .filter_map(|key| key.trim().parse().ok())
        .collect()
}
