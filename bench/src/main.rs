//! Measures whole sessions: Pillion beside ssh+tmux and mosh, in the same run, on the same links.
//!
//! The program runs itself again in namespaces of its own (processes, mounts, network), in which it is
//! the first process: whatever happens to it, all that it started ends, and its networks with it.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

mod agents;
mod isolate;
mod net;
mod pressure;
mod processes;
mod programs;
mod report;
mod rows;
mod soak;
mod stats;
mod systems;
mod terminal;
mod text;
mod viewers;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use crate::{
    programs::Program,
    rows::{Bench, Which},
    systems::System,
};

/// Measure whole sessions beside their peers.
#[derive(Debug, Parser)]
#[command(name = "pillion-bench", args_conflicts_with_subcommands = true)]
struct Cli {
    /// Another thing to do; and the programs that are shared.
    #[command(subcommand)]
    program: Option<Program>,

    /// What to measure; everything by default.
    #[arg(value_enum)]
    rows: Vec<Which>,

    /// Fewer rounds: a look, not a measurement.
    #[arg(long)]
    quick: bool,

    /// Write the results to FILE as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// The pillion to measure; the one beside this program by default.
    #[arg(long, value_name = "PATH")]
    pillion: Option<PathBuf>,

    /// What to measure it beside.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Peer::SshTmux, Peer::Mosh])]
    peers: Vec<Peer>,

    /// For jitter and loss: the same seed types in the same rhythm.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Give up after so many minutes.
    #[arg(long, default_value_t = 40)]
    minutes: u64,
}

/// Peers, as they are named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    None,
    SshTmux,
    Mosh,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.program {
        Some(Program::Soak(_) | Program::Pressure(_)) if !isolate::inside() => {
            isolate::run_inside()
        }
        Some(program) => program.run().map(|()| ExitCode::SUCCESS),
        None if !isolate::inside() => isolate::run_inside(),
        None => bench(&cli),
    };
    result.unwrap_or_else(|error| {
        eprintln!("pillion-bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn bench(cli: &Cli) -> Result<ExitCode> {
    let files = isolate::settle(cli.minutes)?;
    let systems = systems(cli)?;
    let bench = Bench {
        systems,
        quick: cli.quick,
        seed: cli.seed,
        dir: files.path(),
    };
    let rows = if cli.rows.is_empty() {
        Which::value_variants()
    } else {
        &cli.rows
    };
    let load = processes::load().unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "load average {load:.2} on {processors} processors{}",
        warning(load, processors)
    );
    let mut done = Vec::new();
    for which in rows {
        let started = Instant::now();
        eprintln!("{} …", which.name());
        let row = match which.run(&bench) {
            Ok(row) => row,
            Err(error) => report::Row {
                lines: Vec::new(),
                notes: vec![format!("{}: {error:#}", which.name())],
            },
        };
        eprintln!(
            "{} took {:.0} s",
            which.name(),
            started.elapsed().as_secs_f64()
        );
        done.push((which.name(), row));
    }
    let about = serde_json::json!({
        "load_before": load, "load_after": processes::load(), "processors": processors, "quick": cli.quick, "seed": cli.seed,
    });
    let json = report::json(&done, about);
    let rows: Vec<_> = done.into_iter().map(|(_, row)| row).collect();
    println!("{}", report::table(&rows));
    println!(
        "Ratios of one run on one machine; figures of different machines or runs say nothing about each other."
    );
    if let Some(file) = &cli.json {
        std::fs::write(file, format!("{json:#}\n"))
            .with_context(|| format!("{} could not be written", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What will be measured. What is not installed is said and left out.
fn systems(cli: &Cli) -> Result<Vec<System>> {
    let pillion = match &cli.pillion {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("pillion"),
    };
    let mut systems = Vec::new();
    if pillion.is_file() {
        systems.push(System::Pillion(std::fs::canonicalize(&pillion)?));
    } else if cli.pillion.is_some() {
        bail!("there is no {}", pillion.display());
    } else {
        println!(
            "There is no {}: pillion is left out. `cargo build --release` makes it; --pillion names another.",
            pillion.display()
        );
    }
    for (peer, system) in [(Peer::SshTmux, System::SshTmux), (Peer::Mosh, System::Mosh)] {
        if !cli.peers.contains(&peer) {
            continue;
        }
        let mut missing = system.missing();
        missing.dedup();
        if missing.is_empty() {
            systems.push(system);
        } else {
            println!(
                "{} is left out: it needs the Debian packages {}.",
                system.name(),
                missing.join(", ")
            );
        }
    }
    Ok(systems)
}

fn warning(load: f64, processors: usize) -> &'static str {
    if load > 0.3 * processors as f64 {
        ": the machine is busy with something else; ratios may hold, figures do not"
    } else {
        ""
    }
}
