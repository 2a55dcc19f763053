//! `pillion grant`.

use std::num::NonZeroU32;

use anyhow::Result;
use clap::Args;
use pillion::{
    clock,
    proto::Rights,
    session::{Command, Reply, verbs},
    settings::{paths::Paths, span::Span},
};

use crate::{
    args::SessionArg,
    commands::{ask, say, subject},
    completion, usage,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion grant anna --edit                    anna, who is here, may type for 8 hours
  pillion grant 3 --edit --expires 20m         participant 3 of `pillion who`, for 20 minutes
  pillion grant --link --edit                  prints a token that one person can use:
                                               pillion join TICKET --grant TOKEN
  pillion grant --link --edit --uses 5         the same for five people

To type in your shell is to act as you: an editor can read your files and run any program.";

/// Flags of `grant`.
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// A name, number or key fingerprint from `pillion who`.
    #[arg(
        value_name = "NAME|ID",
        add = completion::here(),
        conflicts_with = "link"
    )]
    pub who: Option<String>,

    /// Print a token for somebody who is not here yet.
    #[arg(long)]
    pub link: bool,

    /// The right to type.
    #[arg(long)]
    pub edit: bool,

    /// Every right, and to say who else has which.
    #[arg(long, conflicts_with = "edit")]
    pub manage: bool,

    /// Some rights, with commas between them: "type", "type,manage,delegate". (prompt, approve, open, fork,
    /// record, files and forward can be given too; nothing asks for them yet.)
    #[arg(long, value_name = "RIGHTS", conflicts_with_all = ["edit", "manage"])]
    pub can: Option<Rights>,

    /// For how long: "20m", "1h", "2d"; 8h unless the configuration says otherwise.
    #[arg(long, value_name = "SPAN")]
    pub expires: Option<Span>,

    /// How many people may use the token; one unless said otherwise. Reconnecting is no new use.
    #[arg(long, value_name = "N", value_parser = usage::number::<NonZeroU32>)]
    pub uses: Option<NonZeroU32>,

    /// Print a token as {"token","grant","rights","uses","expires_unix_ms"}.
    #[arg(long)]
    pub json: bool,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &GrantArgs) -> Result<()> {
    let right = match (args.can, args.manage, args.edit) {
        (Some(rights), ..) => rights,
        (None, true, _) => Rights::MANAGE,
        (None, false, true) => Rights::EDIT,
        (None, false, false) => usage::error(
            "say what they can do: --edit lets them type, --manage lets them say who else can, --can RIGHTS names some",
        ),
    };
    if args.who.is_none() && !args.link {
        usage::error(
            "say who: a name or number from `pillion who`, or --link for a token that one person can use",
        );
    }
    if args.uses.is_some() && !args.link {
        usage::error("--uses is about a token, so it needs --link");
    }
    if args.json && !args.link {
        usage::error("--json prints a token, so it needs --link");
    }
    let uses = args.uses.unwrap_or(NonZeroU32::MIN);
    let ttl_ms = args.expires.map(|span| span.as_millis());
    let command = match &args.who {
        Some(who) => Command::Grant(verbs::Grant {
            target: subject(who)?,
            rights: right,
            ttl_ms,
        }),
        None => Command::GrantLink(verbs::GrantLink {
            rights: right,
            ttl_ms,
            uses,
        }),
    };
    let done = ask(paths, args.session.session.as_deref(), command).await?;
    if let Reply::GrantLink(verbs::Token {
        token,
        grant,
        expires_unix_ms,
    }) = &done.reply
    {
        if args.json {
            let object = serde_json::json!({
                "token": token, "grant": grant, "rights": right, "uses": uses,
                "expires_unix_ms": expires_unix_ms,
            });
            pillion::output!("{object}")?;
            return Ok(());
        }
        pillion::output!("{token}")?;
        let who = match uses.get() {
            1 => "The first person who comes with this token gets".to_owned(),
            uses => format!("The first {uses} people who come with this token get"),
        };
        pillion::say!(
            "{who} {right} until {}. Take it back with: pillion revoke {grant}",
            clock::local(*expires_unix_ms)
        );
    }
    say(&done);
    Ok(())
}
