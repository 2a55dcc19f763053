//! Ctrl-C at the viewer while `yes` floods: from the key to the prompt on the viewer's terminal.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Bench, BySystem, jitter};
use crate::{
    net::{Wire, World},
    processes,
    report::{Line, Row},
    stats::Samples,
    systems::{PATIENCE, PROMPT, Right, Shared, System},
    terminal::{Look, Terminal, What},
};

/// A flood that is not stopped within this was not stopped.
const STUCK: Duration = Duration::from_secs(20);

/// Measures it over `wire`; the target is in milliseconds.
pub fn run(bench: &Bench, what: &str, wire: Wire, target: f64) -> Result<Row> {
    let mut row = Row::default();
    let mut all = BySystem::default();
    let presses = bench.choose(5, 3);
    bench.take_turns(
        &bench.systems,
        bench.choose(3, 1),
        &mut row.notes,
        |system, seed| one(bench, system, wire, seed, presses),
        |system, samples| all.of(system).extend(&samples),
    );
    let mut line = Line::new(what, "ms", Some(target));
    for (system, samples) in &all.0 {
        line.median(system, samples);
    }
    row.lines.push(line);
    Ok(row)
}

fn one(bench: &Bench, system: &System, wire: Wire, seed: u64, presses: usize) -> Result<Samples> {
    let mut session = system.share(wire, seed, &bench.dir, Shared::Shell)?;
    let mut viewer = session.join(0, Right::Edit, Look::Bytes)?;
    viewer.wait_for(What::Bytes(PROMPT.into()), PATIENCE)?;
    wait_until_typing_works(&mut viewer)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut samples = Samples::default();
    for _ in 0..presses {
        viewer.write(b"yes\r")?;
        wait_for_flood(session.world())?;
        // Long enough for every queue on the way to be as full as it gets, and not in step with anything.
        std::thread::sleep(Duration::from_millis(1000) + jitter(&mut random, 0, 100));
        let prompt = viewer.expect(What::Bytes(PROMPT.into()));
        let at = Instant::now();
        viewer.write(b"\x03")?;
        samples.add(viewer.wait(prompt, STUCK)?.duration_since(at));
        if flooding(session.world()) {
            bail!("the prompt was seen, but `yes` still runs");
        }
    }
    Ok(samples)
}

/// Presses return until there is a new prompt: the right to type may come a moment after the screen.
fn wait_until_typing_works(viewer: &mut Terminal) -> Result<()> {
    for _ in 0..20 {
        // A word only the shell can make of what is typed, so that no echo of keys passes for it.
        let answered = viewer.expect(What::Bytes(b"<6>".to_vec()));
        viewer.write(b"echo \"<$((2*3))>\"\r")?;
        if viewer.wait(answered, Duration::from_secs(1)).is_ok() {
            return Ok(());
        }
    }
    bail!("nothing that was typed was answered")
}

fn wait_for_flood(world: &World) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !flooding(world) {
        if Instant::now() > end {
            bail!("`yes` did not start");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn flooding(world: &World) -> bool {
    world
        .host_processes()
        .into_iter()
        .any(|pid| processes::name(pid).as_deref() == Some("yes"))
}
