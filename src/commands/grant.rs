//! `pillion grant`.

use std::num::NonZeroU32;

use anyhow::Result;
use pillion::{
    clock,
    paths::Paths,
    proto::Rights,
    session::{Command, Done},
};

use crate::{
    args::GrantArgs,
    commands::{ask, say, subject},
};

/// Runs it.
pub async fn run(paths: &Paths, args: &GrantArgs) -> Result<()> {
    let right = match (args.can, args.manage) {
        (Some(rights), _) => rights,
        (None, true) => Rights::MANAGE,
        (None, false) => Rights::EDIT,
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
            1 => "The first person who comes with this token gets".to_owned(),
            uses => format!("The first {uses} people who come with this token get"),
        };
        pillion::say!(
            "{who} {right} until {}. Take it back with: pillion revoke {grant}",
            clock::readable(*expires_unix_ms)
        );
    }
    say(&done);
    Ok(())
}
