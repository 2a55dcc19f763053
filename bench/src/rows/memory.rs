//! The host's memory after 100 MB of output, and whether all of it was kept.

use std::{
    io::{BufRead, BufReader},
    process::{ChildStdout, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{Bench, BySystem, bulk::FLOOD};
use crate::{
    net::{Side, Wire},
    processes,
    programs::{END, READY},
    report::{Line, Row},
    systems::{PATIENCE, Right, Session, Shared, System},
    terminal::{Call, Look, What},
    text,
};

/// How much is printed.
const BYTES: usize = 100_000_000;

/// After the program's end all of its output is on disk within this, or is not kept.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

/// What one run came to, in MB.
struct Outcome {
    peak: f64,
    after: f64,
    together: f64,
    kept: Option<String>,
}

/// Measures it.
pub fn run(bench: &Bench) -> Result<Row> {
    let mut row = Row::default();
    let (mut peak, mut after, mut together) = (
        BySystem::default(),
        BySystem::default(),
        BySystem::default(),
    );
    let mut kept = Vec::new();
    bench.take_turns(
        &bench.systems,
        bench.choose(2, 1),
        &mut row.notes,
        |system, seed| one(bench, system, seed),
        |system, outcome| {
            peak.of(system).add_value(outcome.peak);
            after.of(system).add_value(outcome.after);
            together.of(system).add_value(outcome.together);
            kept.extend(outcome.kept);
        },
    );
    for (what, all, target) in [
        ("100 MB: the host's memory at its peak", &peak, Some(40.0)),
        ("100 MB: the host's memory afterwards", &after, None),
        (
            "100 MB: memory of all on the host's side afterwards",
            &together,
            None,
        ),
    ] {
        let mut line = Line::new(what, "MB", target);
        for (system, samples) in &all.0 {
            line.median(system, samples);
        }
        row.lines.push(line);
    }
    row.notes.extend(kept);
    row.notes.push(
        "the host's memory: resident, of the process that holds the session (pillion, tmux's server, mosh-server)"
            .into(),
    );
    Ok(row)
}

fn one(bench: &Bench, system: &System, seed: u64) -> Result<Outcome> {
    let mut session = system.share(
        Wire::Direct,
        seed,
        &bench.dir,
        Shared::Flood { bytes: BYTES },
    )?;
    let viewer = session.join(0, Right::View, Look::Bytes)?;
    viewer.wait_for(What::Bytes(READY.into()), PATIENCE)?;
    let mut program = session.actor()?;
    let end = viewer.expect(What::Bytes(END.into()));
    program.go()?;
    program.done(FLOOD)?;
    viewer.wait(end, FLOOD)?;
    let memory = session.host_memory()?;
    let together = session.host_memory_share(program.pid());
    // Last: it ends the session.
    let kept = kept(&session, program.pid());
    Ok(Outcome {
        peak: memory.peak as f64 / 1e6,
        after: memory.now as f64 / 1e6,
        together: together as f64 / 1e6,
        kept,
    })
}

/// Compares what the system kept with what was printed, line by line: while the session goes on, then
/// after its end. In a sentence.
fn kept(session: &Session, program: u32) -> Option<String> {
    let call = session.kept()?;
    let live = export(session, &call);
    processes::kill(program);
    let end = Instant::now() + KEPT_WITHIN;
    let ended = loop {
        let ended = export(session, &call);
        if ended.is_ok() || Instant::now() > end {
            break ended;
        }
    };
    let told = |result: Result<usize>| match result {
        Ok(lines) => format!("all {lines} lines are kept"),
        Err(error) => format!("NOT all is kept: {error:#}"),
    };
    Some(format!(
        "100 MB: while the session goes on {}; after its end {}",
        told(live),
        told(ended)
    ))
}

fn export(session: &Session, call: &Call) -> Result<usize> {
    let mut export = session.world().within(Side::Host, || {
        call.command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    })??;
    let out = export.stdout.take().context("no pipe")?;
    let compared = compare(out);
    let _ = export.kill();
    let output = export.wait_with_output()?;
    compared.with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("export {}", errors.trim())
    })
}

fn compare(out: ChildStdout) -> Result<usize> {
    let total = text::lines(BYTES).lines().count();
    let mut next = 0;
    for line in BufReader::new(out).lines() {
        let line = line?;
        if next < total && line.trim_end() == text::line(next) {
            next += 1;
        } else if next > 0 && next < total {
            bail!(
                "line {next} of {total} was kept as {line:?}, and should be {:?}",
                text::line(next)
            );
        }
    }
    if next < total {
        bail!("only {next} of {total} lines were kept");
    }
    Ok(total)
}
