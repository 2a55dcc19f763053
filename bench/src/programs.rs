//! The programs that are shared: the same ones under every system. They are hidden subcommands, and
//! tell the bench what they do over a socket beside the terminal, so that starting and timing them
//! does not depend on what is measured.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use crate::{terminal::Call, text};

/// What every program prints when it can be typed to.
pub const READY: &str = "#@ready:";

/// What a flood ends with. None of its characters is in the flood, so that it is drawn whole by those
/// who draw only what changed.
pub const END: &str = "#@%&~END~&%@#";

/// The programs.
#[derive(Debug, Clone, Subcommand)]
pub enum Program {
    /// Repeat each key as it comes; return starts the line again.
    #[command(hide = true)]
    Echo {
        /// Where the bench listens.
        #[arg(long)]
        stage: PathBuf,
        /// Print so much text before.
        #[arg(long, default_value_t = 0)]
        history: usize,
    },
    /// When told to, print so much text at once.
    #[command(hide = true)]
    Flood {
        /// Where the bench listens.
        #[arg(long)]
        stage: PathBuf,
        /// How much.
        #[arg(long)]
        bytes: usize,
    },
    /// When told to, change a part of the screen at a steady pace.
    #[command(hide = true)]
    Tick {
        /// Where the bench listens.
        #[arg(long)]
        stage: PathBuf,
        /// Changes a second.
        #[arg(long)]
        hertz: u32,
        /// For so long.
        #[arg(long)]
        seconds: u32,
    },
    /// Join and leave for a while, and see that nothing grows, spins or stays.
    Soak(crate::soak::Soak),
    /// Measure an agent's conversation: late joiners, updates to many, what it costs.
    Agents(crate::agents::Agents),
    /// Press a host as somebody would who means it ill, and see what it holds and does.
    Pressure(crate::pressure::Pressure),
}

impl Program {
    /// Runs it.
    ///
    /// # Errors
    /// The bench or the terminal is gone.
    pub fn run(self) -> Result<()> {
        match self {
            Program::Echo { stage, history } => echo(&stage, history),
            Program::Flood { stage, bytes } => flood(&stage, bytes),
            Program::Tick {
                stage,
                hertz,
                seconds,
            } => tick(&stage, hertz, seconds),
            Program::Soak(soak) => soak.run(),
            Program::Agents(agents) => agents.run(),
            Program::Pressure(pressure) => pressure.run(),
        }
    }

    /// How to call it from the bench.
    ///
    /// # Errors
    /// This program does not know where it is.
    pub fn call(&self, home: &Path) -> Result<Call> {
        let call = Call::new(std::env::current_exe()?, home);
        let number = |value: &dyn ToString| value.to_string();
        Ok(match self {
            Program::Echo { stage, history } => call
                .arg("echo")
                .arg("--stage")
                .arg(stage)
                .arg("--history")
                .arg(number(history)),
            Program::Flood { stage, bytes } => call
                .arg("flood")
                .arg("--stage")
                .arg(stage)
                .arg("--bytes")
                .arg(number(bytes)),
            Program::Tick {
                stage,
                hertz,
                seconds,
            } => call.arg("tick").arg("--stage").arg(stage).args([
                "--hertz".to_owned(),
                number(hertz),
                "--seconds".to_owned(),
                number(seconds),
            ]),
            // Not one that is shared.
            Program::Soak(_) => call.arg("soak"),
            Program::Pressure(_) => call.arg("pressure"),
            Program::Agents(_) => call.arg("agents"),
        })
    }
}

/// Where the bench waits for a program.
pub struct Stage {
    listener: UnixListener,
    path: PathBuf,
}

/// A program that has said that it is there.
pub struct Actor {
    reader: BufReader<UnixStream>,
    pid: u32,
}

impl Stage {
    /// A socket in `dir`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(dir: &Path) -> Result<Stage> {
        let path = dir.join("stage");
        let listener = UnixListener::bind(&path).with_context(|| format!("{}", path.display()))?;
        Ok(Stage { listener, path })
    }

    /// Its name.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Waits for the program.
    ///
    /// # Errors
    /// It does not come.
    pub fn enter(&self, patience: Duration) -> Result<Actor> {
        let timeout = Timespec {
            tv_sec: patience.as_secs() as _,
            tv_nsec: 0,
        };
        let mut ready = [PollFd::from_borrowed_fd(
            self.listener.as_fd(),
            PollFlags::IN,
        )];
        if poll(&mut ready, Some(&timeout))? == 0 {
            bail!(
                "the shared program did not start within {} s",
                patience.as_secs()
            );
        }
        let (stream, _) = self.listener.accept()?;
        let mut actor = Actor {
            reader: BufReader::new(stream),
            pid: 0,
        };
        let hello = actor.line(patience)?;
        actor.pid = hello
            .parse()
            .context("the shared program said something else than its number")?;
        Ok(actor)
    }
}

impl Actor {
    /// The program's process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells it to start.
    ///
    /// # Errors
    /// It is gone.
    pub fn go(&mut self) -> Result<()> {
        Ok(self.reader.get_mut().write_all(b"go\n")?)
    }

    /// Waits until it is done; what it took, as it measured it.
    ///
    /// # Errors
    /// It is gone, or takes longer than `patience`.
    pub fn done(&mut self, patience: Duration) -> Result<Duration> {
        Ok(Duration::from_nanos(self.line(patience)?.parse()?))
    }

    fn line(&mut self, patience: Duration) -> Result<String> {
        self.reader.get_mut().set_read_timeout(Some(patience))?;
        let mut line = String::new();
        self.reader
            .read_line(&mut line)
            .context("the shared program says nothing")?;
        if line.is_empty() {
            bail!("the shared program ended early");
        }
        Ok(line.trim_end().to_owned())
    }
}

/// The program's end of the socket.
struct Bench(BufReader<UnixStream>);

impl Bench {
    fn hello(stage: &Path) -> Result<Bench> {
        let mut stream = UnixStream::connect(stage)?;
        writeln!(stream, "{}", std::process::id())?;
        Ok(Bench(BufReader::new(stream)))
    }

    fn wait_for_go(&mut self) -> Result<()> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if line != "go\n" {
            bail!("the bench is gone");
        }
        Ok(())
    }

    fn done(&mut self, took: Duration) -> Result<()> {
        Ok(writeln!(self.0.get_mut(), "{}", took.as_nanos())?)
    }
}

fn echo(stage: &Path, history: usize) -> Result<()> {
    let stdin = std::io::stdin();
    let mut out = std::io::stdout().lock();
    out.write_all(text::lines(history).as_bytes())?;
    let mut modes = tcgetattr(&stdin)?;
    modes.make_raw();
    tcsetattr(&stdin, OptionalActions::Now, &modes)?;
    write!(out, "\x1b[2J\x1b[H{READY}")?;
    out.flush()?;
    let _bench = Bench::hello(stage)?;
    let mut input = stdin.lock();
    let mut keys = [0; 256];
    loop {
        let count = input.read(&mut keys)?;
        let Some(keys) = keys.get(..count).filter(|keys| !keys.is_empty()) else {
            return Ok(());
        };
        let mut answer = Vec::with_capacity(keys.len());
        for key in keys {
            match key {
                b'\r' => write!(answer, "\r\x1b[K{READY}")?,
                key => answer.push(*key),
            }
        }
        out.write_all(&answer)?;
        out.flush()?;
    }
}

fn flood(stage: &Path, bytes: usize) -> Result<()> {
    let text = text::lines(bytes);
    println!("{READY}");
    let mut bench = Bench::hello(stage)?;
    bench.wait_for_go()?;
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    for part in text.as_bytes().chunks(64 * 1024) {
        out.write_all(part)?;
    }
    out.flush()?;
    let took = start.elapsed();
    writeln!(out, "{END}")?;
    out.flush()?;
    bench.done(took)?;
    stay()
}

fn tick(stage: &Path, hertz: u32, seconds: u32) -> Result<()> {
    println!("\x1b[2J\x1b[H{READY}");
    let mut bench = Bench::hello(stage)?;
    bench.wait_for_go()?;
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    let pause = Duration::from_secs(1) / hertz.max(1);
    for number in 0..hertz * seconds {
        // The time it was printed at is what viewers measure by: one clock for all of this machine.
        writeln!(out, "{}", text::stamped(number, now_us()))?;
        out.flush()?;
        std::thread::sleep(
            (start + pause * (number + 1)).saturating_duration_since(Instant::now()),
        );
    }
    let took = start.elapsed();
    writeln!(out, "{END}")?;
    out.flush()?;
    bench.done(took)?;
    stay()
}

/// Microseconds on the machine's monotonic clock, the same for all processes.
pub fn now_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

/// Until the terminal is closed.
fn stay() -> Result<()> {
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    Ok(())
}
