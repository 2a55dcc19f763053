//! `pillion export`.

use std::{
    io::{BufWriter, Write},
    path::PathBuf,
    str::FromStr,
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use pillion::{
    proto::TrackId,
    sessions::{
        control::{self, Request},
        export::{self, CastVersion},
        select,
    },
    settings::paths::{NamedFile, Paths},
    store::{SessionReader, SessionState},
};

use crate::{args::AnySession, commands::fork};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion export 7f3a91c204 --format txt > session.txt
  pillion export 7f3a91c204 --terminal all > session.txt
  pillion export 7f3a91c204 --format cast -o demo.cast && asciinema play demo.cast
  pillion export 7f3a91c204 --format pillion -o run.pillion   a conversation and its code, for `pillion fork run.pillion`";

/// Flags of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which session.
    #[command(flatten)]
    pub session: AnySession,

    /// Plain text; "pillion" for `pillion fork` to go on with an agent's conversation and its code; or a recording for asciinema: "cast" plays with asciinema 2 and 3 (asciicast v2), "cast3" with 3 alone.
    #[arg(long, value_enum, default_value_t = ExportFormat::Txt)]
    pub format: ExportFormat,

    /// Which terminal, by its number in `pillion ls SESSION`, or "all" for every one as text; the one the
    /// session began with, by default.
    #[arg(long, value_name = "N|all")]
    pub terminal: Option<ExportedTerminal>,

    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Which terminals `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportedTerminal {
    /// Every one.
    All,
    /// One.
    One(TrackId),
}

impl FromStr for ExportedTerminal {
    type Err = String;

    fn from_str(text: &str) -> Result<ExportedTerminal, String> {
        match (text, text.parse()) {
            ("all", _) => Ok(ExportedTerminal::All),
            (_, Ok(number)) => Ok(ExportedTerminal::One(TrackId(number))),
            (_, Err(_)) => Err(
                "give a terminal's number, as `pillion ls SESSION` lists them, or \"all\"".into(),
            ),
        }
    }
}

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Text, a line each.
    Txt,
    /// asciicast v2, which every asciinema of today plays.
    Cast,
    /// asciicast v3.
    Cast3,
    /// A conversation with an agent and the code it is about, for `pillion fork`.
    Pillion,
}

impl ExportFormat {
    /// The version of a recording; `None` for text.
    fn cast(self) -> Option<CastVersion> {
        match self {
            ExportFormat::Txt | ExportFormat::Pillion => None,
            ExportFormat::Cast => Some(CastVersion::V2),
            ExportFormat::Cast3 => Some(CastVersion::V3),
        }
    }
}

/// Runs it.
pub async fn run(paths: &Paths, args: &ExportArgs) -> Result<()> {
    if args.format.cast().is_some() && args.terminal == Some(ExportedTerminal::All) {
        anyhow::bail!(
            "a recording shows one terminal: export each by its number (--terminal N), or all of them as text \
             (--format txt)"
        );
    }
    let session = select::any(paths, args.session.wanted().as_deref())?;
    if args.format == ExportFormat::Pillion {
        fork::check_export(args.output.is_some())?;
        let id = &session.meta.id;
        match &args.output {
            Some(file) => {
                let mut out = NamedFile::create(file)?;
                fork::export(paths, id, &mut out).await?;
                out.finish()?;
            }
            None => fork::export(paths, id, std::io::stdout().lock()).await?,
        }
        return Ok(());
    }
    if session.state == SessionState::Live {
        control::ask(&paths.socket(&session.meta.id), &Request::Flush).await?;
    }
    let reader = SessionReader::open(&paths.sessions, &session.meta.id)?;
    match &args.output {
        Some(file) => {
            let mut out = NamedFile::create(file)?;
            write(&reader, args, &mut BufWriter::new(&mut out))
                .with_context(|| format!("{} could not be written whole", file.display()))?;
            out.finish()?;
        }
        None => write(&reader, args, &mut BufWriter::new(std::io::stdout().lock()))?,
    }
    if let Some(damage) = reader.torn_tail() {
        pillion::say!("{damage}");
    }
    Ok(())
}

fn write(reader: &SessionReader, args: &ExportArgs, out: &mut impl Write) -> Result<()> {
    let only = match args.terminal {
        Some(ExportedTerminal::All) => None,
        Some(ExportedTerminal::One(track)) => Some(track),
        None => Some(export::MAIN),
    };
    match args.format.cast() {
        None => export::text(reader, only, out)?,
        Some(version) => export::cast(reader, version, only.unwrap_or(export::MAIN), out)?,
    }
    out.flush()?;
    let left_out = match args.terminal {
        None => export::left_out(reader, export::MAIN),
        Some(_) => Vec::new(),
    };
    if !left_out.is_empty() {
        let more = match args.format.cast() {
            None => "--terminal N or --terminal all exports them",
            Some(_) => "--terminal N exports one of them",
        };
        pillion::say!(
            "pillion: only terminal {} was exported; the session has others as well: {}. {more}",
            export::MAIN,
            left_out.join(", ")
        );
    }
    Ok(())
}
