//! What people who mean it ill make a host hold and do: joins under ever new keys, connections that say
//! nothing, readers of history who do not read, and somebody who joins and leaves in a loop.
//!
//! The host is the real program. Those who press it are the bench's own viewers, many in one thread, each
//! with an endpoint and keys of its own as a `pillion join` has, from as many loopback addresses as are
//! asked for. What is counted is what the host let in, not what was tried.

mod crowd;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    isolate,
    net::{Side, Wire},
    processes,
    programs::READY,
    systems::{Session, Shared, System},
    terminal::What,
};

use crowd::{Crowd, Loop};

/// Memory of the host at which the counts are taken, in joins that were let in.
const AT_JOINS: [u64; 8] = [1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000];

/// When the host is looked at after everybody has left.
const AFTER: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(80),
    Duration::from_secs(160),
];

/// What there is for readers to ask for.
const HISTORY: usize = 20_000_000;

/// Press a host as somebody would who means it ill, and see what it holds and does.
#[derive(Debug, Clone, Args)]
pub struct Pressure {
    /// In which ways; all of them by default.
    #[arg(value_enum)]
    ways: Vec<Way>,

    /// So many joins are let in (`joins`).
    #[arg(long, default_value_t = 10_000)]
    joins: u64,

    /// From so many addresses (`joins`).
    #[arg(long, default_value_t = 64)]
    addresses: u8,

    /// So many connections that say nothing, from one address (`silent`).
    #[arg(long, default_value_t = 1_500)]
    silent: usize,

    /// So many readers who do not read (`unread`).
    #[arg(long, default_value_t = 150)]
    readers: usize,

    /// For so long (`loop`, `strangers`), in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,

    /// The pillion to press; the one beside this program by default.
    #[arg(long, value_name = "PATH")]
    pillion: Option<PathBuf>,

    /// Give up after so many minutes.
    #[arg(long, default_value_t = 40)]
    minutes: u64,
}

/// One way to press a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Join and leave under ever new keys.
    Joins,
    /// Connect and say nothing.
    Silent,
    /// Connect and leave without a word, under ever new keys.
    Strangers,
    /// Ask for history and read nothing.
    Unread,
    /// Join and leave as fast as it goes, from one address.
    Loop,
}

/// A host's process at one moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    memory: processes::Memory,
    cpu: Duration,
    log: u64,
    at: Instant,
}

/// The host that is pressed.
struct Pressed {
    session: Session,
    ticket: String,
    pid: u32,
    log: PathBuf,
}

impl Pressed {
    fn start(pillion: &Path, dir: &Path, shared: Shared) -> Result<Pressed> {
        let system = System::Pillion(pillion.to_owned());
        let session = system.share(Wire::Direct, 1, dir, shared)?;
        Ok(Pressed {
            ticket: session.ticket().context("there is no ticket")?,
            pid: session.main_process()?,
            log: session.dir().join("host").join("state"),
            session,
        })
    }

    fn look(&self) -> Result<Look> {
        Look::of(self.pid, &self.log)
    }

    /// Runs a crowd of viewers on the host's own machine, where each can have an address of its own.
    fn within<T: Send>(&self, what: impl AsyncFnOnce(Crowd) -> Result<T> + Send) -> Result<T> {
        let crowd = Crowd::new(&self.ticket)?;
        let run = || {
            crate::viewers::runtime()?.block_on(tokio::task::LocalSet::new().run_until(what(crowd)))
        };
        self.session.world().within(Side::Host, run)?
    }
}

impl Look {
    fn of(pid: u32, log: &Path) -> Result<Look> {
        let gone = "the host has ended";
        Ok(Look {
            memory: processes::memory(pid).context(gone)?,
            cpu: processes::cpu(pid).context(gone)?,
            log: crate::soak::size(log),
            at: Instant::now(),
        })
    }

    /// "43.1 MB".
    fn megabytes(&self) -> String {
        format!("{:>7.1} MB", self.memory.now as f64 / 1e6)
    }

    /// Share of a processor since an earlier look.
    fn share_since(&self, before: &Look) -> f64 {
        let time = self.at.duration_since(before.at).as_secs_f64();
        self.cpu.saturating_sub(before.cpu).as_secs_f64() / time.max(1e-3)
    }
}

impl Pressure {
    /// Runs it, in namespaces of its own.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn run(&self) -> Result<()> {
        let files = isolate::settle(self.minutes)?;
        let pillion = match &self.pillion {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("pillion"),
        };
        let pillion = std::fs::canonicalize(&pillion)
            .with_context(|| format!("there is no {}; --pillion names one", pillion.display()))?;
        let ways = match self.ways.is_empty() {
            true => Way::value_variants(),
            false => &self.ways,
        };
        for way in ways {
            let report = match way {
                Way::Joins => self.joins(&pillion, &files.path()),
                Way::Silent => self.silent(&pillion, &files.path()),
                Way::Strangers => self.strangers(&pillion, &files.path()),
                Way::Unread => self.unread(&pillion, &files.path()),
                Way::Loop => self.looped(&pillion, &files.path()),
            };
            println!("{}", report?);
        }
        Ok(())
    }

    fn joins(&self, pillion: &Path, dir: &Path) -> Result<String> {
        let host = Pressed::start(pillion, dir, Shared::Shell)?;
        let mut text = format!("joins under new keys, from {} addresses:\n", self.addresses);
        let first = host.look()?;
        let _ = writeln!(text, "  {:>6} let in  {}", 0, first.megabytes());
        eprint!("{text}");
        let (pid, log) = (host.pid, host.log.clone());
        let (all, addresses) = (self.joins, self.addresses);
        text += &host.within(async move |crowd| {
            let mut text = String::new();
            let counts = AT_JOINS.iter().copied().filter(|at| *at < all);
            let mut counts = counts.chain([all]);
            let mut next = counts.next();
            let told = |came: &crowd::Came| -> Result<()> {
                if next.is_some_and(|next| came.let_in >= next) {
                    let look = Look::of(pid, &log)?;
                    let line = format!(
                        "  {:>6} let in  {}  ({} put off, {:.0} % of a processor, {:.0} s)\n",
                        came.let_in,
                        look.megabytes(),
                        came.put_off,
                        100.0 * look.share_since(&first),
                        first.at.elapsed().as_secs_f64(),
                    );
                    eprint!("{line}");
                    text += &line;
                    next = counts.next();
                }
                Ok(())
            };
            crowd.joins(all, addresses, told).await?;
            Ok(text)
        })?;
        text += &self.after(&host)?;
        Ok(text)
    }

    fn silent(&self, pillion: &Path, dir: &Path) -> Result<String> {
        let host = Pressed::start(pillion, dir, Shared::Shell)?;
        let (pid, log, before) = (host.pid, host.log.clone(), host.look()?);
        let count = self.silent;
        let mut text = host.within(async move |crowd| {
            let silent = crowd.silent(count).await?;
            let (there, during) = (silent.there().await, Look::of(pid, &log)?);
            drop(silent);
            Ok(format!(
                "{count} connections of one address that say nothing:\n  none {}\n  {there} stand {}  (peak {:.1} MB)\n",
                before.megabytes(),
                during.megabytes(),
                during.memory.peak as f64 / 1e6
            ))
        })?;
        text += &self.after(&host)?;
        Ok(text)
    }

    fn strangers(&self, pillion: &Path, dir: &Path) -> Result<String> {
        let host = Pressed::start(pillion, dir, Shared::Shell)?;
        let before = host.look()?;
        let lasts = Duration::from_secs(self.seconds);
        let came = host.within(async move |crowd| crowd.strangers(lasts).await)?;
        let during = host.look()?;
        let mut text = format!(
            "connections of one address that leave without a word, for {} s:\n  none {}\n  \
             {} came, {} were refused {} ({:.0} % of a processor)\n",
            self.seconds,
            before.megabytes(),
            came.let_in,
            came.put_off,
            during.megabytes(),
            100.0 * during.share_since(&before),
        );
        eprint!("{text}");
        text += &self.after(&host)?;
        Ok(text)
    }

    fn unread(&self, pillion: &Path, dir: &Path) -> Result<String> {
        let shared = Shared::EchoBelow { history: HISTORY };
        let mut host = Pressed::start(pillion, dir, shared)?;
        // The program has printed everything when a viewer sees that it is ready.
        let viewer = host.session.join(
            0,
            crate::systems::Right::View,
            crate::terminal::Look::Screen,
        )?;
        viewer.wait_for(What::Text(READY.into()), crate::systems::PATIENCE * 3)?;
        drop(viewer);
        let (pid, log, before) = (host.pid, host.log.clone(), host.look()?);
        let count = self.readers;
        let mut text = host.within(async move |crowd| {
            let mut text = format!(
                "{count} readers of history who do not read:\n  none {}\n",
                before.megabytes()
            );
            let readers = crowd.unread(count, HISTORY).await?;
            let _ = writeln!(text, "  all watch {}", Look::of(pid, &log)?.megabytes());
            let readers = readers.ask().await?;
            let end = Instant::now() + Duration::from_secs(20);
            let mut most = 0;
            while Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(50)).await;
                most = most.max(Look::of(pid, &log)?.memory.now);
            }
            let _ = writeln!(
                text,
                "  all have asked {:>7.1} MB at most in 20 s",
                most as f64 / 1e6
            );
            drop(readers);
            Ok(text)
        })?;
        text += &self.after(&host)?;
        Ok(text)
    }

    fn looped(&self, pillion: &Path, dir: &Path) -> Result<String> {
        let mut text = String::new();
        let lasts = Duration::from_secs(self.seconds);
        for who in [Loop::OneKey, Loop::NewKeys] {
            let host = Pressed::start(pillion, dir, Shared::Shell)?;
            let before = host.look()?;
            let came = host.within(async move |crowd| crowd.looped(who, lasts).await)?;
            let after = host.look()?;
            let time = after.at.duration_since(before.at).as_secs_f64();
            let _ = writeln!(
                text,
                "join and leave in a loop for {time:.0} s, {who}:\n  {} let in, {} put off ({:.1} a second)\n  \
                 {:.1} % of a processor, {} bytes of log ({:.1} MB a day), {} before, {} after",
                came.let_in,
                came.put_off,
                (came.let_in + came.put_off) as f64 / time,
                100.0 * after.share_since(&before),
                after.log - before.log,
                (after.log - before.log) as f64 / time * 86_400.0 / 1e6,
                before.megabytes(),
                after.megabytes(),
            );
        }
        Ok(text)
    }

    /// How the host is once everybody has left.
    fn after(&self, host: &Pressed) -> Result<String> {
        let left = Instant::now();
        let mut text = String::new();
        for after in AFTER {
            std::thread::sleep((left + after).saturating_duration_since(Instant::now()));
            let look = host.look()?;
            let line = format!(
                "  {:>4} s after all left {}\n",
                after.as_secs(),
                look.megabytes()
            );
            eprint!("{line}");
            text += &line;
        }
        if host.session.who().is_none() {
            bail!("the host does not tell who is there");
        }
        Ok(text)
    }
}
