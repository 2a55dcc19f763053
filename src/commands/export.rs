//! `pillion export`.

use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use pillion::{
    control::{self, Request},
    export,
    paths::{NamedFile, Paths},
    select,
    store::{SessionReader, SessionState},
};

use crate::args::{ExportArgs, ExportFormat};

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
