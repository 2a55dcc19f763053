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

/// Measures at 50 ms what a link adds to a join: the service is as far away as the host.
pub fn by_link(bench: &Bench) -> Result<Row> {
    let mut row = Row::default();
    let ways = bench.ours().into_iter().flat_map(|ours| match ours {
        System::Pillion(binary) => vec![
            (false, System::Pillion(binary.clone())),
            (true, System::PillionByLink(binary)),
        ],
        _ => Vec::new(),
    });
    let (mut by_ticket, mut by_link) = (BySystem::default(), BySystem::default());
    let joins = bench.choose(4, 2);
    for (linked, system) in ways {
        let all = if linked { &mut by_link } else { &mut by_ticket };
        bench.take_turns(
            &[system],
            bench.choose(4, 2),
            &mut row.notes,
            |system, seed| one(bench, system, Wire::FAR, seed, joins),
            |system, samples| all.of(system).extend(&samples),
        );
    }
    for (what, target, all) in [
        ("join at 50 ms by ticket", 115.0, by_ticket),
        ("join at 50 ms by link", 165.0, by_link),
    ] {
        let mut line = Line::new(what, "ms", Some(target));
        for (system, samples) in &all.0 {
            line.median(system, samples);
        }
        row.lines.push(line);
    }
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
