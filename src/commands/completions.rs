//! `pillion completions SHELL`.

use clap::CommandFactory;

use crate::args::Cli;

/// Prints the script.
pub fn run(shell: clap_complete::Shell) {
    clap_complete::generate(
        shell,
        &mut Cli::command(),
        "pillion",
        &mut std::io::stdout(),
    );
}
