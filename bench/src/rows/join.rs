//! From the command that joins to the first screen.
//!
//! Each is joined once before, uncounted: keys exist, caches are warm. The session has been shown for a
//! while, as sessions are when somebody joins.

use anyhow::Result;

use super::{Bench, BySystem};
use crate::{
    net::Wire,
    programs::READY,
    report::{Line, Row},
    stats::Samples,
    systems::{PATIENCE, Right, Shared, System},
    terminal::{Look, What},
};

/// Measures it over `wire`; the target is in milliseconds.
pub fn run(bench: &Bench, what: &str, wire: Wire, target: f64) -> Result<Row> {
    let mut row = Row::default();
    let mut all = BySystem::default();
    let joins = bench.choose(4, 2);
    bench.take_turns(
        &bench.sharing(),
        bench.choose(4, 2),
        &mut row.notes,
        |system, seed| one(bench, system, wire, seed, joins),
        |system, samples| all.of(system).extend(&samples),
    );
    let mut line = Line::new(what, "ms", Some(target));
    for (system, samples) in &all.0 {
        line.median(system, samples);
    }
    row.lines.push(line);
    Ok(row)
}

fn one(bench: &Bench, system: &System, wire: Wire, seed: u64, joins: usize) -> Result<Samples> {
    let mut session = system.share(wire, seed, &bench.dir, Shared::Echo)?;
    let _program = session.actor()?;
    let mut samples = Samples::default();
    for join in 0..=joins {
        let viewer = session.join(0, Right::View, Look::Bytes)?;
        let shown = viewer.wait_for(What::Bytes(READY.into()), PATIENCE)?;
        if join > 0 {
            samples.add(shown.duration_since(viewer.started()));
        }
    }
    Ok(samples)
}
