//! `pillion audit`.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use pillion::{
    clock,
    sessions::{
        audit::{self, Entry},
        control::{self, Request},
        select, verify,
    },
    settings::paths::Paths,
    store::{SessionReader, SessionState},
};

use crate::args::AnySession;

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion audit                     of the session you are in, or the only one there is
  pillion audit 7f3a91c204 --json   every entry, for programs
  pillion audit --verify            whether the log's frames are what the host signed

--verify is about what terminals showed, frame by frame. Lines of the history are kept beside the frames
and are not signed.

What was typed is never written down here, only when, by whom and how much.";

/// Flags of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Which session.
    #[command(flatten)]
    pub session: AnySession,

    /// Print an array of {"at","event","name","identity","fingerprint","by",…}, oldest first.
    #[arg(long)]
    pub json: bool,

    /// Compare what the log has of every terminal with what the session's key signed.
    #[arg(long, conflicts_with = "json")]
    pub verify: bool,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &AuditArgs) -> Result<()> {
    let session = select::any(paths, args.session.wanted().as_deref())?;
    if session.state == SessionState::Live {
        control::ask(&paths.socket(&session.meta.id), &Request::Flush).await?;
    }
    let reader = SessionReader::open(&paths.sessions, &session.meta.id)?;
    if args.verify {
        return verified(&reader);
    }
    let (entries, unread) = audit::read(&reader)?;
    match args.json {
        true => json(&entries)?,
        false => table(&entries)?,
    }
    if unread > 0 {
        pillion::say!("{unread} entries of the log can't be read and are missing here");
    }
    if let Some(damage) = reader.torn_tail() {
        pillion::say!("{damage}");
    }
    Ok(())
}

fn verified(reader: &SessionReader) -> Result<()> {
    let verdict = verify::verify(reader)?;
    let mut out = std::io::stdout().lock();
    for line in &verdict.lines {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    if !verdict.holds {
        bail!("this log is not what the session's host wrote: it was damaged or altered");
    }
    Ok(())
}

fn json(entries: &[Entry]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let all = entries.iter().map(Entry::json).collect();
    writeln!(out, "{}", serde_json::Value::Array(all))?;
    Ok(out.flush()?)
}

fn table(entries: &[Entry]) -> Result<()> {
    let rows = audit::rows(entries);
    if rows.is_empty() {
        pillion::say!("Nothing is in this session's log yet: it is private, and nobody has come.");
        return Ok(());
    }
    let widest = rows.iter().map(|row| row.who.chars().count()).max();
    let width = widest.unwrap_or(0).clamp(3, 50);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<26}  {:<width$}  WHAT", "WHEN", "WHO")?;
    for row in rows {
        let when = clock::local(row.unix_ms);
        writeln!(out, "{when:<26}  {:<width$}  {}", row.who, row.what)?;
    }
    Ok(out.flush()?)
}
