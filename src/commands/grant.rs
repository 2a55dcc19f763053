//! `pillion grant`.

use std::num::NonZeroU32;

use anyhow::Result;
use pillion::{
    clock,
    paths::Paths,
    proto::Right,
    session::{Command, Done},
};

use crate::{
    args::GrantArgs,
    commands::{ask, say, subject},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &GrantArgs) -> Result<()> {
    let right = if args.manage {
        Right::Manage
    } else {
        Right::Edit
    };
    let uses = args.uses.unwrap_or(NonZeroU32::MIN);
    let ttl_ms = args.expires.map(|span| span.as_millis());
    let command = match &args.who {
        Some(who) => Command::Grant {
            target: subject(who)?,
            right,
            ttl_ms,
        },
        None => Command::GrantLink {
            right,
            ttl_ms,
            uses,
        },
    };
    let done = ask(paths, args.session.session.as_deref(), command).await?;
    if let Done::Token {
        token,
        grant,
        expires_unix_ms,
    } = &done
    {
        pillion::output!("{token}")?;
        let who = match uses.get() {
            1 => "One person who has this token and a ticket, the first,".to_owned(),
            uses => format!("The first {uses} people who have this token and a ticket"),
        };
        pillion::say!(
            "{who} may type until {}. Take it back with: pillion revoke {grant}",
            clock::readable(*expires_unix_ms)
        );
    }
    say(&done);
    Ok(())
}
