//! From a key at the viewer to its echo on the viewer's screen, through a program that repeats keys.
//!
//! Keys come every 20 to 30 ms whether or not the last one was echoed: as somebody types. Each is
//! looked for in the very cell where it belongs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Bench, BySystem, jitter};
use crate::{
    net::Wire,
    programs::READY,
    report::{Line, Row},
    stats::Samples,
    systems::{PATIENCE, Right, Shared, System},
    terminal::{Look, Terminal, What},
};

/// Keys before the line is started again.
const LINE: u16 = 50;

/// A key that is not echoed within this is lost.
pub(super) const LOST: Duration = Duration::from_secs(5);

/// Measures it over `wire`; `targets` are p50 and p99 in milliseconds.
pub fn run(bench: &Bench, what: &str, wire: Wire, targets: (f64, f64)) -> Result<Row> {
    let mut row = Row::default();
    let mut all = BySystem::default();
    let lines = bench.choose(2, 1);
    bench.take_turns(
        &bench.systems,
        bench.choose(5, 2),
        &mut row.notes,
        |system, seed| one(bench, system, wire, seed, lines),
        |system, samples| all.of(system).extend(&samples),
    );
    for (percent, label, target) in [(50.0, "p50", targets.0), (99.0, "p99", targets.1)] {
        let mut line = Line::new(format!("{what}, {label}"), "ms", Some(target));
        for (system, samples) in &all.0 {
            line.percentile(system, samples, percent);
        }
        row.lines.push(line);
    }
    Ok(row)
}

fn one(bench: &Bench, system: &System, wire: Wire, seed: u64, lines: usize) -> Result<Samples> {
    let mut session = system.share(wire, seed, &bench.dir, Shared::Echo)?;
    let mut viewer = session.join(0, Right::Edit, Look::Screen)?;
    viewer.wait_for(What::Text(READY.into()), PATIENCE)?;
    let place = warm_up(&mut viewer)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut samples = Samples::default();
    for line in 0..lines {
        typed_line(&mut viewer, place, line, &mut random, &mut samples)?;
    }
    Ok(samples)
}

/// Types until something is echoed (the right to type may come a moment after the screen), then starts
/// the line again; where its first character will be.
pub(super) fn warm_up(viewer: &mut Terminal) -> Result<(u16, u16)> {
    for _ in 0..20 {
        let echoed = viewer.expect(What::Text(format!("{READY}x")));
        viewer.write(b"x")?;
        if viewer.wait(echoed, Duration::from_secs(1)).is_ok() {
            // What may still be under way lands before the line is cleared.
            let (row, col) = viewer
                .after_text(READY)
                .context("the program's line is gone")?;
            viewer.write(b"\r")?;
            viewer.wait_for(What::Cell(row, col, ' '), LOST)?;
            std::thread::sleep(Duration::from_millis(300));
            return Ok((row, col));
        }
    }
    bail!("nothing that was typed was echoed")
}

/// Types a line and waits for each of its echoes.
pub(super) fn typed_line(
    viewer: &mut Terminal,
    (row, col): (u16, u16),
    line: usize,
    random: &mut ChaCha8Rng,
    samples: &mut Samples,
) -> Result<()> {
    let mut typed = Vec::new();
    let mut next = Instant::now();
    for place in 0..LINE {
        let key = b'a' + ((usize::from(place) + line * 7) % 26) as u8;
        next += jitter(random, 20, 30);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let echoed = viewer.expect(What::Cell(row, col + place, key.into()));
        let at = Instant::now();
        viewer.write(&[key])?;
        typed.push((echoed, at));
    }
    for (echoed, at) in typed {
        samples.add(viewer.wait(echoed, LOST)?.duration_since(at));
    }
    viewer.write(b"\r")?;
    for place in [0, LINE - 1] {
        viewer.wait_for(What::Cell(row, col + place, ' '), LOST)?;
    }
    Ok(())
}
