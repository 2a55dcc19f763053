//! A hundred viewers of a busy screen, on the host's own loopback.
//!
//! They are the bench's own viewers, all in one thread: a hundred `pillion join` would take more of two
//! processors than what is measured. Each line of the screen carries the time it was printed at, so every
//! viewer knows how late it sees it and whether it missed any.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::task::LocalSet;

use super::Bench;
use crate::{
    net::{Side, Wire},
    programs::END,
    report::{Line, Row},
    stats::Samples,
    systems::{PATIENCE, Session, Shared, System},
    viewers::{Sight, Watcher, runtime},
};

/// How many.
const VIEWERS: usize = 100;

/// Changes of the screen a second: faster than anybody reads.
const HERTZ: u32 = 30;

/// What one run came to.
struct Outcome {
    delays: Samples,
    /// Lines that some viewer never saw, counted for each viewer.
    missed: usize,
    /// The most frames any viewer was behind, whenever the host was asked.
    lag: u64,
    /// The host's share of a processor.
    busy: f64,
    /// Until all had a screen.
    joined: Duration,
}

/// Measures it.
pub fn run(bench: &Bench) -> Result<Row> {
    let mut row = Row::default();
    let mut outcomes = Vec::new();
    let seconds = bench.choose(10, 4);
    bench.take_turns(
        &bench.ours(),
        bench.choose(2, 1),
        &mut row.notes,
        |system, seed| one(bench, system, seed, seconds),
        |system, outcome| outcomes.push((system, outcome)),
    );
    let Some((system, _)) = outcomes.first() else {
        return Ok(row);
    };
    let mut line = |what: &str, unit, target, percent, of: &dyn Fn(&Outcome) -> Samples| {
        let mut samples = Samples::default();
        outcomes
            .iter()
            .for_each(|(_, outcome)| samples.extend(&of(outcome)));
        let mut line = Line::new(format!("{VIEWERS} viewers: {what}"), unit, target);
        line.percentile(system, &samples, percent);
        row.lines.push(line);
    };
    let single = |value: f64| {
        let mut samples = Samples::default();
        samples.add_value(value);
        samples
    };
    line("lines that anybody missed", "", Some(0.0), 100.0, &|o| {
        single(o.missed as f64)
    });
    line("most frames anybody was behind", "", None, 100.0, &|o| {
        single(o.lag as f64)
    });
    line(
        "from printing to their screens, p50",
        "ms",
        None,
        50.0,
        &|o| o.delays.clone(),
    );
    line(
        "from printing to their screens, p99",
        "ms",
        None,
        99.0,
        &|o| o.delays.clone(),
    );
    line("the host's share of a processor", "", None, 50.0, &|o| {
        single(o.busy)
    });
    line("until all have a screen", "ms", None, 50.0, &|o| {
        single(o.joined.as_secs_f64() * 1000.0)
    });
    row.notes.push(format!(
        "{VIEWERS} viewers: the bench's own, in one thread on the same processors; the screen changes {HERTZ} times a second"
    ));
    Ok(row)
}

fn one(bench: &Bench, system: &System, seed: u64, seconds: u32) -> Result<Outcome> {
    let session = system.share(
        Wire::Direct,
        seed,
        &bench.dir,
        Shared::Tick {
            hertz: HERTZ,
            seconds,
        },
    )?;
    let mut program = session.actor()?;
    let ticket = session.ticket().context("there is no ticket")?;
    let patience = Duration::from_secs(u64::from(seconds)) + PATIENCE;
    let (joined, all_joined) = channel();
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            let there = move || {
                runtime()?.block_on(LocalSet::new().run_until(crowd(&ticket, patience, joined)))
            };
            session.world().within(Side::Host, there)?
        });
        // An error, if there is one, is what the crowd's thread comes back with.
        if let Ok(joined) = all_joined.recv_timeout(PATIENCE + PATIENCE) {
            let before = session.host_cpu(program.pid());
            let started = Instant::now();
            program.go()?;
            let lag = watch_lag(&session, &all_joined)?;
            let busy =
                session.host_cpu(program.pid()).since(&before) / started.elapsed().as_secs_f64();
            let sights = crowd
                .join()
                .map_err(|_| anyhow::anyhow!("the viewers panicked"))??;
            let mut outcome = Outcome {
                delays: Samples::default(),
                missed: 0,
                lag,
                busy,
                joined,
            };
            for sight in sights {
                outcome.missed += (HERTZ * seconds) as usize - sight.seen.len();
                outcome.delays.extend(&sight.delays);
            }
            return Ok(outcome);
        }
        match crowd.join() {
            Ok(Err(error)) => Err(error),
            _ => anyhow::bail!("not all of {VIEWERS} viewers got a screen"),
        }
    })
}

/// All join, say so, and watch to the end.
async fn crowd(
    ticket: &str,
    patience: Duration,
    joined: std::sync::mpsc::Sender<Duration>,
) -> Result<Vec<Sight>> {
    let started = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..VIEWERS {
        let mut viewer = Watcher::new(ticket, number)?;
        tasks.push(tokio::task::spawn_local(async move {
            viewer
                .live(PATIENCE)
                .await
                .with_context(|| format!("viewer {number} of {VIEWERS}"))?;
            anyhow::Ok(viewer)
        }));
    }
    let mut viewers = Vec::new();
    for task in tasks {
        viewers.push(task.await??);
    }
    // Nobody listens any more if the row was given up.
    let _ = joined.send(started.elapsed());
    let watching = viewers.into_iter().map(|mut viewer| {
        tokio::task::spawn_local(async move {
            let sight = viewer.watch(END, patience).await;
            (viewer, sight)
        })
    });
    let watching: Vec<_> = watching.collect();
    let (mut sights, mut viewers) = (Vec::new(), Vec::new());
    for task in watching {
        let (viewer, sight) = task.await?;
        sights.push(sight?);
        viewers.push(viewer);
    }
    drop(joined);
    for leaving in viewers
        .into_iter()
        .map(|viewer| tokio::task::spawn_local(viewer.leave()))
        .collect::<Vec<_>>()
    {
        leaving.await?;
    }
    Ok(sights)
}

/// Asks the host every half second how far anybody is behind, until the viewers are done.
fn watch_lag(session: &Session, viewers: &std::sync::mpsc::Receiver<Duration>) -> Result<u64> {
    let who = session
        .who()
        .context("the system does not tell who is there")?;
    let mut most = 0;
    while let Err(RecvTimeoutError::Timeout) = viewers.recv_timeout(Duration::from_millis(500)) {
        let output = who.run(session.world(), Side::Host)?;
        let people: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("`who` printed no JSON")?;
        let people = people.as_array().context("`who` printed no list")?;
        let lags = people
            .iter()
            .filter_map(|person| person.get("lag_frames")?.as_u64());
        most = lags.fold(most, u64::max);
    }
    Ok(most)
}
