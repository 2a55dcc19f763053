//! What a key takes while others read history: at the host's own terminal and at a viewer's.
//!
//! The readers are the bench's own viewers, all in one thread: each asks for ranges all over the history,
//! as fast as a viewer may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Sender, channel},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::task::LocalSet;

use super::{
    Bench,
    echo::{LOST, typed_line, warm_up},
    jitter,
};
use crate::{
    net::{Side, Wire},
    programs::READY,
    report::{Line, Row},
    stats::Samples,
    systems::{PATIENCE, Right, Session, Shared, System},
    terminal::{Look, Terminal, What},
    text,
    viewers::{Watcher, runtime},
};

/// How many.
const CROWDS: [usize; 3] = [0, 8, 32];

/// What there is to read.
const HISTORY: usize = 20_000_000;

/// Lines asked for at once.
const ASK: u32 = 1000;

/// What is said about who joins stands on the host's terminal so long, and a key takes it away first.
const NOTICES: Duration = Duration::from_secs(17);

/// What one run came to.
struct Outcome {
    at_host: Samples,
    at_viewer: Samples,
    /// Lines that the readers got in a second.
    read: f64,
}

/// Measures it.
pub fn run(bench: &Bench) -> Result<Row> {
    let mut row = Row::default();
    for readers in CROWDS {
        let mut outcomes = Vec::new();
        bench.take_turns(
            &bench.ours(),
            bench.choose(3, 1),
            &mut row.notes,
            |system, seed| one(bench, system, seed, readers),
            |system, outcome| outcomes.push((system, outcome)),
        );
        let Some((system, _)) = outcomes.first() else {
            continue;
        };
        let mut line = |what: &str, unit, target, percent, of: &dyn Fn(&Outcome) -> &Samples| {
            let mut samples = Samples::default();
            outcomes
                .iter()
                .for_each(|(_, outcome)| samples.extend(of(outcome)));
            let mut line = Line::new(format!("{readers} readers: {what}"), unit, target);
            line.percentile(system, &samples, percent);
            row.lines.push(line);
        };
        line("a key at the host, p50", "ms", Some(1.0), 50.0, &|o| {
            &o.at_host
        });
        line("a key at the host, p99", "ms", Some(5.0), 99.0, &|o| {
            &o.at_host
        });
        line("a key at a viewer, p50", "ms", Some(1.0), 50.0, &|o| {
            &o.at_viewer
        });
        line("a key at a viewer, p99", "ms", Some(8.0), 99.0, &|o| {
            &o.at_viewer
        });
        let mut read = Samples::default();
        outcomes.iter().for_each(|(_, o)| read.add_value(o.read));
        let mut line = Line::new(
            format!("{readers} readers: lines they get a second"),
            "",
            None,
        );
        line.median(system, &read);
        row.lines.push(line);
    }
    row.notes.push(
        "readers: the bench's own, in one thread on the same processors; each asks for 1000 lines at a time, \
         anywhere in 20 MB"
            .into(),
    );
    Ok(row)
}

fn one(bench: &Bench, system: &System, seed: u64, readers: usize) -> Result<Outcome> {
    let shared = Shared::EchoBelow { history: HISTORY };
    let mut session = system.share(Wire::Direct, seed, &bench.dir, shared)?;
    let mut viewer = session.join(0, Right::Edit, Look::Screen)?;
    viewer.wait_for(What::Text(READY.into()), PATIENCE + PATIENCE)?;
    let place = warm_up(&mut viewer)?;
    let ticket = session.ticket().context("there is no ticket")?;
    let stop = Arc::new(AtomicBool::new(false));
    let (there, all_there) = channel();
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            let run = || {
                let crowd = crowd(&ticket, readers, seed, there, Arc::clone(&stop));
                runtime()?.block_on(LocalSet::new().run_until(crowd))
            };
            session.world().within(Side::Host, run)?
        });
        let typed = all_there
            .recv_timeout(PATIENCE + PATIENCE)
            .context("not all readers got a screen")
            .and_then(|()| type_keys(bench, &session, &mut viewer, place, seed));
        stop.store(true, Relaxed);
        let read = crowd
            .join()
            .map_err(|_| anyhow::anyhow!("the readers panicked"))?;
        // What went wrong with the readers says more than that nobody was there.
        let read = read?;
        let (at_host, at_viewer) = typed?;
        Ok(Outcome {
            at_host,
            at_viewer,
            read,
        })
    })
}

fn type_keys(
    bench: &Bench,
    session: &Session,
    viewer: &mut Terminal,
    place: (u16, u16),
    seed: u64,
) -> Result<(Samples, Samples)> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut at_host, mut at_viewer) = (Samples::default(), Samples::default());
    let began = Instant::now();
    for line in 0..bench.choose(4, 2) {
        typed_line(viewer, place, line, &mut random, &mut at_viewer)?;
    }
    std::thread::sleep(NOTICES.saturating_sub(began.elapsed()));
    let host = session
        .host()
        .context("there is no terminal of the host's")?;
    for key in 0..bench.choose(200, 100) {
        std::thread::sleep(jitter(&mut random, 20, 30));
        // Keys that nothing else on the host's terminal is made of.
        let key = b"~|`^"[key % 4];
        let echoed = host.expect(What::Bytes(vec![key]));
        let at = Instant::now();
        host.write(&[key])?;
        at_host.add(host.wait(echoed, LOST)?.duration_since(at));
        if key == b'^' {
            host.write(b"\r")?;
        }
    }
    Ok((at_host, at_viewer))
}

/// All join, say so, and read until they are told to stop; the lines they got in a second.
async fn crowd(
    ticket: &str,
    readers: usize,
    seed: u64,
    there: Sender<()>,
    stop: Arc<AtomicBool>,
) -> Result<f64> {
    let mut viewers = Vec::new();
    for number in 0..readers {
        let mut viewer = Watcher::new(ticket, number)?;
        viewer
            .live(PATIENCE)
            .await
            .with_context(|| format!("reader {number} of {readers}"))?;
        viewers.push(viewer);
    }
    // Nobody listens any more if the row was given up.
    let _ = there.send(());
    let began = Instant::now();
    // A little less than were printed: the last ones are still on the screen.
    let lines = (text::lines(HISTORY).lines().count() - 1000) as u64;
    let mut reading = Vec::new();
    for (number, mut viewer) in viewers.into_iter().enumerate() {
        let random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(1000 + number as u64));
        let stop = Arc::clone(&stop);
        reading.push(tokio::task::spawn_local(async move {
            let read = viewer.read(lines, ASK, random, || stop.load(Relaxed)).await;
            viewer.leave().await;
            read
        }));
    }
    let mut read = 0;
    for one in reading {
        read += one.await??;
    }
    // Without readers the row still waits for the one who types.
    while !stop.load(Relaxed) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(read as f64 / began.elapsed().as_secs_f64())
}
