//! `pillion allow`: who may come in.

use anyhow::Result;
use clap::Args;
use pillion::{
    proto::{AccessMode, Rights},
    session::{Command, Reply, verbs},
    settings::{config::Config, paths::Paths},
};

use crate::{
    args::SessionArg,
    commands::{ask, say, target},
    completion,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion allow                      who may come in, and the list
  pillion allow invited              people on the list; others who have the ticket knock
  pillion allow anna@example.org     put somebody on the list, who may watch
  pillion allow \"ssh-ed25519 AAAA…\" --edit
  pillion allow forge:anna           by the SSH keys that a forge lists for a user, now and later
  pillion allow team:KEY             every member of a team
  pillion allow 3 --manage           participant 3 of `pillion who` manages the session with you

PERSON is somebody who is here (number, key's fingerprint from four digits on, name), a Pillion key as
`pillion id` prints it, an SSH key, a file of them or the address of such a list, an e-mail address, or a
team. What reads as anything else is never looked up as a name. `pillion revoke PERSON` takes an entry off the list. The list at an address (forge:USER is one) is looked at again when
somebody comes with an SSH key, every five minutes at most; a file is read once.";

/// Flags of `allow`.
#[derive(Debug, Args)]
pub struct AllowArgs {
    /// "link", "invited" or "team" say who can join; anything else is a person.
    #[arg(value_name = "link|invited|team|PERSON", add = completion::access())]
    pub what: Option<String>,

    /// They may watch; the default.
    #[arg(long, requires = "what", conflicts_with_all = ["edit", "manage"])]
    pub view: bool,

    /// They may type, for as long as a grant lasts each time they come.
    #[arg(long, requires = "what", conflicts_with = "manage")]
    pub edit: bool,

    /// They may do everything, and say who else may do what.
    #[arg(long, requires = "what")]
    pub manage: bool,

    /// They have some rights, with commas between them: "type", "type,manage,delegate". (prompt, approve, open,
    /// fork, record, files and forward can be given too; nothing asks for them yet.)
    #[arg(long, value_name = "RIGHTS", requires = "what", conflicts_with_all = ["view", "edit", "manage"])]
    pub can: Option<Rights>,

    /// Print the list as {"mode","people":[{"who","rights"}],"blocked","followed"}.
    #[arg(long, conflicts_with = "what")]
    pub json: bool,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: &AllowArgs) -> Result<()> {
    let right = match (args.can, args.edit, args.manage) {
        (Some(rights), ..) => rights,
        (None, _, true) => Rights::MANAGE,
        (None, true, _) => Rights::EDIT,
        _ => Rights::VIEW,
    };
    let mode = args.what.as_deref().map(str::parse::<AccessMode>);
    let command = match (&args.what, mode) {
        (Some(_), Some(Ok(allow))) => Command::SetAccessMode(verbs::SetAccessMode { mode: allow }),
        (Some(who), _) => Command::Allow(verbs::Allow {
            target: target(config, who).await?,
            rights: right,
        }),
        (None, _) => verbs::AccessList {}.into(),
    };
    let done = ask(paths, args.session.session.as_deref(), command).await?;
    if let Reply::AccessList(verbs::AccessListed {
        mode,
        people,
        banned,
        followed,
    }) = &done.reply
    {
        if args.json {
            let people: Vec<_> = people
                .iter()
                .map(|(who, rights)| serde_json::json!({ "who": who, "rights": rights }))
                .collect();
            let object = serde_json::json!({
                "mode": mode.as_str(), "people": people, "blocked": banned, "followed": followed,
            });
            pillion::output!("{object}")?;
            return Ok(());
        }
        pillion::output!("{mode}")?;
        for (who, right) in people {
            pillion::output!("{:<7} {who}", right.to_string())?;
        }
        for who in banned {
            pillion::output!("blocked {who}")?;
        }
        for address in followed {
            pillion::output!("list    {address}")?;
        }
    }
    say(&done);
    Ok(())
}
