//! `pillion export`.

use std::{
    io::{BufWriter, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use pillion::{
    sessions::{
        control::{self, Request},
        export, select,
    },
    settings::paths::{NamedFile, Paths},
    store::{SessionReader, SessionState},
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion export 7f3a91c204 --format txt > session.txt
  pillion export 7f3a91c204 --format cast -o demo.cast && asciinema play demo.cast";

/// Flags of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The session; the one you are in, or the only one, by default.
    #[arg(value_name = "SESSION", env = "PILLION_SESSION")]
    pub session: Option<String>,

    /// Plain text, or an asciicast v3 recording.
    #[arg(long, value_enum, default_value_t = ExportFormat::Txt)]
    pub format: ExportFormat,

    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Text, a line each.
    Txt,
    /// asciicast v3.
    Cast,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &ExportArgs) -> Result<()> {
    let session = select::any(paths, args.session.as_deref())?;
    if session.state == SessionState::Live {
        control::ask(&paths.socket(&session.meta.id), &Request::Flush).await?;
    }
    let reader = SessionReader::open(&paths.sessions, &session.meta.id)?;
    match &args.output {
        Some(file) => {
            let mut out = NamedFile::create(file)?;
            write(&reader, args.format, &mut BufWriter::new(&mut out))
                .with_context(|| format!("{} could not be written whole", file.display()))?;
            out.finish()?;
        }
        None => write(
            &reader,
            args.format,
            &mut BufWriter::new(std::io::stdout().lock()),
        )?,
    }
    if let Some(damage) = reader.torn_tail() {
        pillion::say!("{damage}");
    }
    Ok(())
}

fn write(reader: &SessionReader, format: ExportFormat, out: &mut impl Write) -> Result<()> {
    match format {
        ExportFormat::Txt => export::text(reader, out)?,
        ExportFormat::Cast => export::cast(reader, out)?,
    }
    Ok(out.flush()?)
}
