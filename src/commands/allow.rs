//! `pillion allow`: who may come in.

use anyhow::Result;
use pillion::{
    config::Config,
    paths::Paths,
    proto::{AccessMode, Rights},
    session::{Command, Done},
};

use crate::{
    args::AllowArgs,
    commands::{ask, say, target},
};

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
        (Some(_), Some(Ok(allow))) => Command::Open { allow: Some(allow) },
        (Some(who), _) => Command::Allow {
            target: target(config, who).await?,
            right,
        },
        (None, _) => Command::Open { allow: None },
    };
    let done = ask(paths, args.session.session.as_deref(), command).await?;
    if let Done::Door {
        allow,
        people,
        banned,
        followed,
    } = &done
    {
        pillion::output!("{allow}")?;
        for (who, right) in people {
            pillion::output!("{:<7} {who}", right.to_string())?;
        }
        for who in banned {
            pillion::output!("barred  {who}")?;
        }
        for address in followed {
            pillion::output!("list    {address}")?;
        }
    }
    say(&done);
    Ok(())
}
