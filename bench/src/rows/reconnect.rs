//! A viewer that loses its connection and gets it back in the same process. Nothing from outside makes
//! `pillion join` do that at a known moment, so the viewer is one of the bench's own, made of the same
//! parts; losing the connection is told to its state machine.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Bench, BySystem};
use crate::{
    net::{Side, Wire},
    report::{Line, Row},
    stats::Samples,
    systems::{PATIENCE, Shared, System},
    viewers::{Watcher, runtime},
};

/// Between two losses: the acknowledgements and the goodbye of the last one are over.
const REST: Duration = Duration::from_millis(300);

/// Measures it.
pub fn run(bench: &Bench) -> Result<Row> {
    let mut row = Row::default();
    let (mut seen, mut back) = (BySystem::default(), BySystem::default());
    let times = bench.choose(10, 4);
    bench.take_turns(
        &bench.ours(),
        bench.choose(3, 1),
        &mut row.notes,
        |system, seed| one(bench, system, seed, times),
        |system, (sight, return_)| {
            seen.of(system).extend(&sight);
            back.of(system).extend(&return_);
        },
    );
    for (what, target, all) in [
        ("reconnect at 50 ms, same process", Some(65.0), &seen),
        ("reconnect at 50 ms: until one can type again", None, &back),
    ] {
        let mut line = Line::new(what, "ms", target);
        for (system, samples) in &all.0 {
            line.median(system, samples);
        }
        row.lines.push(line);
    }
    Ok(row)
}

fn one(bench: &Bench, system: &System, seed: u64, times: usize) -> Result<(Samples, Samples)> {
    let session = system.share(Wire::FAR, seed, &bench.dir, Shared::Echo)?;
    let _program = session.actor()?;
    let ticket = session.ticket().context("there is no ticket")?;
    session
        .world()
        .within(Side::Viewer, || -> Result<(Samples, Samples)> {
            runtime()?.block_on(async {
                let mut viewer = Watcher::new(&ticket, 0)?;
                viewer.live(PATIENCE).await?;
                let (mut sight, mut return_) = (Samples::default(), Samples::default());
                for _ in 0..times {
                    // It goes on living meanwhile.
                    let _ = viewer.until(REST, |_| false).await;
                    let (seen, back) = viewer.lose_connection(PATIENCE).await?;
                    sight.add(seen);
                    return_.add(back);
                }
                viewer.leave().await;
                Ok((sight, return_))
            })
        })?
}
