//! `pillion code`.

use anyhow::Result;
use clap::Args;
use pillion::{
    net::signal::SignalUrl,
    sessions::{
        control::{self, Request},
        select,
    },
    settings::paths::Paths,
};

use crate::commands::join_by_code;

/// Flags of `code`.
#[derive(Debug, Args)]
pub struct CodeArgs {
    /// The session; the one you are in, or the only one, by default.
    #[arg(value_name = "SESSION", env = "PILLION_SESSION")]
    pub session: Option<String>,

    /// The link service's URL; the one the session has, by default.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &CodeArgs) -> Result<()> {
    let session = select::running(paths, args.session.as_deref())?;
    let service = args.signal.as_ref().map(ToString::to_string);
    let socket = paths.socket(&session.meta.id);
    let code = control::text(&socket, &Request::Code { service }).await?;
    pillion::output!("{code}")?;
    pillion::say!("Say it aloud: it works once, for ten minutes.");
    // A session of an earlier version does not say it.
    if let Ok(service) = control::text(&socket, &Request::Service).await {
        pillion::say!(
            "On the other machine (without --signal where it is in the settings):\n  {}",
            join_by_code(&code, &service)
        );
    }
    Ok(())
}
