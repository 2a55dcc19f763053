//! 50 MB of output: what the program takes for it while it is shared, what that costs the host, and
//! what a viewer receives who just looks at the screen.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Bench, BySystem};
use crate::{
    net::{Side, Wire, World, shaper::Profile},
    programs::{END, Program, READY, Stage},
    report::{BASELINE, Line, Row},
    systems::{PATIENCE, Right, SIZE, Shared, System},
    terminal::{Look, Terminal, What},
};

/// How much is printed.
const BYTES: usize = 50_000_000;

/// How long that may take.
pub const FLOOD: Duration = Duration::from_secs(120);

/// Viewers' screens settle for so long before and after.
const SETTLE: Duration = Duration::from_millis(300);

/// What one run came to.
struct Outcome {
    /// The program's own time, in seconds.
    time: f64,
    /// The host's processor time but the program's, in seconds.
    cpu: f64,
    /// What went to the viewers, in MB.
    megabytes: f64,
    /// From the program's end to the last viewer's showing it, in milliseconds.
    behind: f64,
}

#[derive(Default)]
struct Outcomes {
    time: BySystem,
    cpu: BySystem,
    megabytes: BySystem,
    behind: BySystem,
}

impl Outcomes {
    fn add(&mut self, system: &'static str, outcome: &Outcome) {
        self.time.of(system).add_value(outcome.time);
        self.cpu.of(system).add_value(outcome.cpu);
        self.megabytes.of(system).add_value(outcome.megabytes);
        self.behind.of(system).add_value(outcome.behind);
    }
}

/// With one viewer. Each run has an unshared one right before it, which it is compared with.
pub fn one(bench: &Bench) -> Result<Row> {
    let mut row = Row::default();
    let mut all = Outcomes::default();
    let (mut bare, mut ratio) = (BySystem::default(), BySystem::default());
    bench.take_turns(
        &bench.systems,
        bench.choose(5, 2),
        &mut row.notes,
        |system, seed| Ok((unshared(bench)?, shared(bench, system, seed, 1)?)),
        |system, (unshared, outcome)| {
            bare.of(BASELINE).add_value(unshared);
            ratio.of(system).add_value(outcome.time / unshared);
            all.add(system, &outcome);
        },
    );
    let mut time = medians("50 MB: the program's time", "s", None, &all.time);
    time.values.extend(medians("", "", None, &bare).values);
    row.lines.push(time);
    row.lines.push(medians(
        "50 MB: time by an unshared terminal's",
        "",
        Some(1.1),
        &ratio,
    ));
    row.lines.push(medians(
        "50 MB: the host's processor time",
        "s",
        Some(0.7),
        &all.cpu,
    ));
    row.lines.push(medians(
        "50 MB: bytes to a viewer",
        "MB",
        Some(0.1),
        &all.megabytes,
    ));
    row.lines.push(medians(
        "50 MB: the viewer shows the end after",
        "ms",
        None,
        &all.behind,
    ));
    Ok(row)
}

/// With ten viewers; each run is compared with one that has one viewer, right before it.
pub fn ten(bench: &Bench) -> Result<Row> {
    let mut row = Row::default();
    let mut all = Outcomes::default();
    let (mut time, mut cpu) = (BySystem::default(), BySystem::default());
    bench.take_turns(
        &bench.sharing(),
        bench.choose(3, 1),
        &mut row.notes,
        |system, seed| {
            Ok((
                shared(bench, system, seed, 1)?,
                shared(bench, system, seed, 10)?,
            ))
        },
        |system, (one, ten)| {
            all.add(system, &ten);
            time.of(system).add_value(ten.time / one.time);
            cpu.of(system).add_value(ten.cpu / one.cpu);
        },
    );
    row.lines.push(medians(
        "ten viewers, 50 MB: the program's time",
        "s",
        None,
        &all.time,
    ));
    row.lines.push(medians(
        "ten viewers: time by one viewer's",
        "",
        Some(1.1),
        &time,
    ));
    row.lines.push(medians(
        "ten viewers, 50 MB: the host's processor time",
        "s",
        None,
        &all.cpu,
    ));
    row.lines.push(medians(
        "ten viewers: processor time by one viewer's",
        "",
        Some(1.1),
        &cpu,
    ));
    row.lines.push(medians(
        "ten viewers, 50 MB: bytes to all",
        "MB",
        None,
        &all.megabytes,
    ));
    row.notes.push(
        "ten viewers: they run on the same processors as the host, under every system".into(),
    );
    Ok(row)
}

fn medians(what: &str, unit: &'static str, target: Option<f64>, all: &BySystem) -> Line {
    let mut line = Line::new(what, unit, target);
    for (system, samples) in &all.0 {
        line.median(system, samples);
    }
    line
}

/// The same program in a terminal that nobody else sees, drained as the host's is.
fn unshared(bench: &Bench) -> Result<f64> {
    let dir = tempfile::Builder::new()
        .prefix("u")
        .tempdir_in(&bench.dir)?;
    let stage = Stage::new(dir.path())?;
    let world = World::new(Wire::Direct, 0)?;
    let call = Program::Flood {
        stage: stage.path(),
        bytes: BYTES,
    }
    .call(dir.path())?;
    let terminal = Terminal::start(&world, Side::Host, &call, SIZE, Look::Bytes)?;
    let mut program = stage.enter(PATIENCE)?;
    let end = terminal.expect(What::Bytes(END.into()));
    program.go()?;
    let time = program.done(FLOOD)?;
    terminal.wait(end, PATIENCE)?;
    Ok(time.as_secs_f64())
}

fn shared(bench: &Bench, system: &System, seed: u64, viewers: usize) -> Result<Outcome> {
    let wire = Wire::Emulated(Profile::NONE);
    let mut session = system.share(wire, seed, &bench.dir, Shared::Flood { bytes: BYTES })?;
    let mut all = Vec::new();
    for seat in 0..viewers {
        let viewer = session.join(seat, Right::View, Look::Bytes)?;
        viewer.wait_for(What::Bytes(READY.into()), PATIENCE)?;
        all.push(viewer);
    }
    let mut program = session.actor()?;
    std::thread::sleep(SETTLE);

    let ends: Vec<_> = all
        .iter()
        .map(|viewer| viewer.expect(What::Bytes(END.into())))
        .collect();
    let cpu = session.host_cpu(program.pid());
    let bytes = session.world().bytes_to_viewer();
    program.go()?;
    let time = program.done(FLOOD)?;
    let done = Instant::now();
    let mut behind = Duration::ZERO;
    for (viewer, end) in all.iter().zip(ends) {
        behind = behind.max(viewer.wait(end, FLOOD)?.saturating_duration_since(done));
    }
    std::thread::sleep(SETTLE);
    Ok(Outcome {
        time: time.as_secs_f64(),
        cpu: session.host_cpu(program.pid()).since(&cpu),
        megabytes: (session.world().bytes_to_viewer() - bytes) as f64 / 1e6,
        behind: behind.as_secs_f64() * 1000.0,
    })
}
