//! `pillion completions SHELL`.

use std::io::Write;

use anyhow::Result;
use clap::CommandFactory;

use crate::args::Cli;

/// Prints the script.
pub fn run(shell: clap_complete::Shell) -> Result<()> {
    // It panics where it can't be written.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pillion", &mut script);
    let mut out = std::io::stdout().lock();
    out.write_all(&script)?;
    Ok(out.flush()?)
}
