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

use crate::{args::OnlySession, commands::join_by_code};

/// Flags of `code`.
#[derive(Debug, Args)]
pub struct CodeArgs {
    /// Which session.
    #[command(flatten)]
    pub session: OnlySession,

    /// The link service's URL; the one the session has, by default.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,

    /// Print {"session","code","join","service"}.
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &CodeArgs) -> Result<()> {
    let session = select::running(paths, args.session.wanted().as_deref())?;
    let service = args.signal.as_ref().map(ToString::to_string);
    let socket = paths.socket(&session.meta.id);
    let code = control::text(&socket, &Request::Code { service }).await?;
    // A session of an earlier version does not say it.
    let used = control::text(&socket, &Request::Service).await.ok();
    let join = used.as_ref().map(|service| join_by_code(&code, service));
    if args.json {
        let object = serde_json::json!({
            "session": session.meta.id, "code": code, "join": join, "service": used,
        });
        pillion::output!("{object}")?;
        return Ok(());
    }
    pillion::output!("{code}")?;
    pillion::say!("Say it aloud: it works once, for ten minutes.");
    if let Some(join) = join {
        pillion::say!(
            "On the other machine (without --signal where it is in the settings):\n  {join}"
        );
    }
    Ok(())
}
