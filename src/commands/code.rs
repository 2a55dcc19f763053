//! `pillion code`.

use anyhow::Result;
use pillion::{
    control::{self, Request},
    paths::Paths,
    select,
};

use crate::{args::CodeArgs, commands::said};

/// Runs it.
pub async fn run(paths: &Paths, args: &CodeArgs) -> Result<()> {
    let session = select::running(paths, args.session.as_deref())?;
    let service = args.signal.as_ref().map(ToString::to_string);
    let socket = paths.socket(&session.meta.id);
    pillion::output!(
        "{}",
        said(control::ask(&socket, &Request::Code { service }).await?)?
    )?;
    pillion::say!("Say it aloud: it works once, for ten minutes.");
    Ok(())
}
