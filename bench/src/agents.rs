//! An agent's conversation as others see it: the real program with the scripted agent, viewers of the bench's own, QUIC
//! on loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use pillion::{
    caps::SecretKey,
    conversation::{Activity, Conversation, ItemBody},
    identity::proving::Claims,
    net::{NetOptions, RelayChoice, random_bytes},
    proto::TrackId,
    source::ExitSignals,
    viewing::viewer_loop::{Options, ViewerLoop},
};
use serde_json::Value;
use tokio::task::LocalSet;

use crate::processes;

/// The conversation that a session begins with.
const FIRST: TrackId = TrackId(0);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Measure an agent's conversation: how soon who comes late sees it, how soon everybody sees an update, what it costs.
#[derive(Debug, Clone, Args)]
pub struct Agents {
    /// So many watch.
    #[arg(long, default_value_t = 50)]
    viewers: usize,

    /// A tenth of everything: a look, not a measurement.
    #[arg(long)]
    quick: bool,

    /// The pillion to measure; the one beside this program by default.
    #[arg(long, value_name = "PATH")]
    pillion: Option<PathBuf>,
}

/// A session with a conversation, in a home of its own.
struct Session {
    binary: PathBuf,
    home: PathBuf,
    ticket: String,
    id: String,
    pid: u32,
}

impl Agents {
    /// Runs it.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let home = tempfile::tempdir()?;
        LocalSet::new().block_on(&runtime, self.measure(home.path()))
    }

    async fn measure(&self, home: &Path) -> Result<()> {
        let tenth = if self.quick { 10 } else { 1 };
        let load = processes::load().unwrap_or_default();
        println!("load average {load:.2} before");
        let beside = std::env::current_exe()?;
        let binary = match &self.pillion {
            Some(path) => path.clone(),
            None => beside.with_file_name("pillion"),
        };

        let session = Session::begin(&binary, &home.join("late"), &[])?;
        session.prompt(&format!("updates:{}", 10_000 / tenth))?;
        let mut first = session.watch().await?;
        let entries = first.until_idle(10_000 / tenth as u64).await?;
        let mut times = Vec::new();
        for _ in 0..10 {
            let began = Instant::now();
            let mut late = session.watch().await?;
            late.until(|shown| shown.next() >= entries).await?;
            times.push(began.elapsed());
            late.viewer.leave().await;
        }
        times.sort();
        line(
            "late joiner of 10,000 updates, from nothing to all of it (median of 10)",
            &ms(times[5]),
            "100 ms",
        );
        session.end();

        let session = Session::begin(&binary, &home.join("crowd"), &[])?;
        let mut seats = Vec::new();
        for _ in 0..self.viewers {
            seats.push(session.watch().await?);
        }
        let count = 1_000 / tenth;
        session.prompt(&format!("paced:{count}:20000"))?;
        let before = processes::cpu(session.pid);
        let seats = seats
            .into_iter()
            .map(|seat| tokio::task::spawn_local(seat.latencies(count as usize)));
        let mut all = Vec::new();
        for seat in seats.collect::<Vec<_>>() {
            all.extend(seat.await??);
        }
        let cpu = spent(before, session.pid);
        all.sort();
        let at = |part: usize| all[(all.len() * part / 100).min(all.len() - 1)];
        line(
            &format!("update to {} viewers, 50 a second: median", self.viewers),
            &ms(at(50)),
            "",
        );
        line("  99th percentile", &ms(at(99)), "2 ms");
        line(
            "  host's processor time for an update to all of them",
            &us(cpu, count),
            "",
        );
        session.end();

        let session = Session::begin(&binary, &home.join("many"), &[])?;
        let mut one = session.watch().await?;
        one.until(|shown| shown.activity(0) == Activity::Idle)
            .await?;
        let count = 1_000_000 / tenth;
        let (before, began) = (processes::cpu(session.pid), Instant::now());
        session.prompt(&format!("updates:{count}"))?;
        one.until_idle(count as u64).await?;
        let took = began.elapsed();
        let cpu = spent(before, session.pid);
        line(
            &format!("{count} small updates, with one viewer"),
            &format!("{:.1} s", took.as_secs_f64()),
            "5 s",
        );
        line(
            "  host's processor time for each",
            &us(cpu, count),
            "100 µs",
        );
        memory("  host's memory at its peak", &session, "");
        session.end();

        let session = Session::begin(&binary, &home.join("output"), &[])?;
        let mut one = session.watch().await?;
        one.until(|shown| shown.activity(0) == Activity::Idle)
            .await?;
        memory("host's memory at the beginning", &session, "");
        let began = Instant::now();
        session.prompt(&format!("output:{}", 100 / tenth))?;
        one.until_idle(100).await?;
        let took = began.elapsed();
        memory("  after 100 MB of a tool's output", &session, "bounded");
        line("  which took", &format!("{:.1} s", took.as_secs_f64()), "");
        session.end();

        let session = Session::begin(&binary, &home.join("line"), &["huge-line"])?;
        let mut one = session.watch().await?;
        let began = Instant::now();
        session.prompt("say:done")?;
        one.until_idle(8).await?;
        let took = began.elapsed();
        memory("  after one line of 100 MB", &session, "bounded");
        line("  which took", &format!("{:.1} s", took.as_secs_f64()), "");
        session.end();
        let load = processes::load().unwrap_or_default();
        println!("load average {load:.2} after");
        Ok(())
    }
}

/// Somebody who watches.
struct Seat {
    viewer: ViewerLoop,
    signals: ExitSignals,
}

impl Session {
    fn begin(binary: &Path, home: &Path, traps: &[&str]) -> Result<Session> {
        fs::create_dir_all(home.join("run"))?;
        let agent = binary.with_file_name("pillion-scripted-agent");
        let mut session = Session {
            binary: binary.to_owned(),
            home: home.to_owned(),
            ticket: String::new(),
            id: String::new(),
            pid: 0,
        };
        let agent = agent.to_str().context("the agent's path is no text")?;
        let mut words = vec!["agent", "--detach", "--share", "--json", "--", agent];
        words.extend(traps);
        let begun: Value = serde_json::from_str(&session.pillion(&words)?)?;
        let text = |name: &str| Some(begun[name].as_str()?.to_owned());
        session.ticket = text("ticket").context("there is no ticket")?;
        session.id = text("session").context("there is no session")?;
        let all: Value = serde_json::from_str(&session.pillion(&["ls", "--json"])?)?;
        let pid = all[0]["pid"].as_u64().context("there is no process")?;
        session.pid = u32::try_from(pid)?;
        Ok(session)
    }

    fn pillion(&self, words: &[&str]) -> Result<String> {
        let output = Command::new(&self.binary)
            .args(words)
            .env("HOME", &self.home)
            .env("XDG_CONFIG_HOME", self.home.join("config"))
            .env("XDG_STATE_HOME", self.home.join("state"))
            .env("XDG_RUNTIME_DIR", self.home.join("run"))
            .env("PILLION_RELAY", "none")
            .output()
            .with_context(|| format!("{} can't be run", self.binary.display()))?;
        if !output.status.success() {
            bail!(
                "pillion {words:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn prompt(&self, text: &str) -> Result<()> {
        self.pillion(&["prompt", text]).map(drop)
    }

    fn end(&self) {
        // It may have ended by itself.
        let _ = self.pillion(&["close", "--all", "--session", &self.id]);
    }

    async fn watch(&self) -> Result<Seat> {
        let options = Options {
            ticket: self.ticket.parse()?,
            resolver: None,
            endpoint: None,
            grants: Vec::new(),
            claims: Claims::default(),
            identity: SecretKey::from_bytes(&random_bytes()?),
            name: "bench".to_owned(),
            read_only: true,
            terminal: Some(FIRST),
            relay: RelayChoice::None,
            net: NetOptions::default(),
            inside: Vec::new(),
        };
        let mut seat = Seat {
            viewer: ViewerLoop::start(options)?,
            signals: ExitSignals::new()?,
        };
        let found = seat.viewer.conversation(Some(FIRST), &mut seat.signals);
        match tokio::time::timeout(PATIENCE, found).await? {
            Ok(_) => Ok(seat),
            Err(outcome) => bail!("a viewer can't watch: {outcome:?}"),
        }
    }
}

impl Seat {
    /// Waits until what is shown is as `done` says.
    async fn until(&mut self, done: impl Fn(&Conversation) -> bool) -> Result<()> {
        let began = Instant::now();
        while !self.viewer.shown(FIRST).is_some_and(&done) {
            if began.elapsed() > PATIENCE {
                bail!("what is waited for does not come");
            }
            let changed = self.viewer.changed(&mut self.signals);
            if let Some(outcome) = tokio::time::timeout(PATIENCE, changed).await? {
                bail!("a viewer is gone: {outcome:?}");
            }
        }
        Ok(())
    }

    /// Waits until so many entries were said and the turn is over; how many there are.
    async fn until_idle(&mut self, entries: u64) -> Result<u64> {
        let is_over = |shown: &Conversation| {
            let ended = shown.items().next_back();
            let ended = ended.is_some_and(|(_, item)| matches!(item.body, ItemBody::TurnEnd(_)));
            shown.next() >= entries && ended && shown.activity(0) == Activity::Idle
        };
        self.until(is_over).await?;
        Ok(self.viewer.shown(FIRST).map_or(0, Conversation::next))
    }

    /// How late each of so many updates is, which say when they were made.
    async fn latencies(mut self, count: usize) -> Result<Vec<Duration>> {
        let (mut all, mut newest) = (Vec::new(), 0);
        let mut seen = 0;
        while seen < count {
            let Some(shown) = self.viewer.shown(FIRST) else {
                bail!("there is no conversation");
            };
            let now = since_epoch_us();
            let updates = shown
                .items()
                .rev()
                .filter_map(|(_, item)| match &item.body {
                    ItemBody::Response(said) => Some(said),
                    _ => None,
                });
            let mut latest = newest;
            for said in updates {
                let text = said.content.first().map_or("", |block| block.text.as_str());
                let made: u64 = text.trim_start_matches('@').parse().unwrap_or(0);
                if made <= newest {
                    break;
                }
                latest = latest.max(made);
                seen += 1;
                all.push(Duration::from_micros(now.saturating_sub(made)));
            }
            newest = latest;
            if seen >= count {
                break;
            }
            let changed = self.viewer.changed(&mut self.signals);
            if let Some(outcome) = tokio::time::timeout(PATIENCE, changed).await? {
                bail!("a viewer is gone: {outcome:?}");
            }
        }
        Ok(all)
    }
}

fn since_epoch_us() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn spent(before: Option<Duration>, pid: u32) -> Duration {
    let now = processes::cpu(pid).unwrap_or_default();
    now.saturating_sub(before.unwrap_or_default())
}

fn ms(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1e3)
}

fn us(took: Duration, count: u32) -> String {
    format!("{:.1} µs", took.as_secs_f64() * 1e6 / f64::from(count))
}

fn memory(what: &str, session: &Session, target: &str) {
    let peak = processes::memory(session.pid).map_or(0, |memory| memory.peak);
    line(what, &format!("{:.1} MB", peak as f64 / 1e6), target);
}

fn line(what: &str, figure: &str, target: &str) {
    match target {
        "" => println!("{what:<75} {figure:>12}"),
        target => println!("{what:<75} {figure:>12}   (target: {target})"),
    }
}
