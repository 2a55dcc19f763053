//! Many joins and leaves in every way there is, for a while: nothing grows, nothing spins, and nobody is
//! shown who has left.
//!
//! The host is the real program, with viewers and followers that are. They come at a steady pace and leave
//! by quitting, after printing the screen once, or by a signal; now and then the link is cut. Between that
//! there are moments in which nothing happens and every process is to be idle.

mod check;
mod seat;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::{
    isolate,
    net::{Side, Wire, World},
    processes,
    terminal::{Call, Terminal},
};

pub use check::size;
use check::{Faults, Growth, Sample};
use seat::{Seat, Way};

/// People who take turns to come; each is there once at a time.
const PEOPLE: usize = 16;

/// How long one stays.
const STAY: Duration = Duration::from_secs(8);

/// After a goodbye nobody is shown for longer than this, and who was killed no longer as if nothing was.
const GHOST: Duration = Duration::from_secs(3);

/// How long one may take to come in, or to end.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often something idle is looked at, and for how long.
const IDLE_EVERY: Duration = Duration::from_secs(30);
const IDLE_FOR: Duration = Duration::from_secs(3);

/// How often the link is cut, and for how long.
const CUT_EVERY: Duration = Duration::from_secs(45);
const CUT_FOR: Duration = Duration::from_secs(4);

/// How often the host is measured.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// Join and leave for a while, and see that nothing grows, spins or stays.
#[derive(Debug, Clone, Args)]
pub struct Soak {
    /// For so long.
    #[arg(long, default_value_t = 20)]
    minutes: u64,

    /// So many joins in that time.
    #[arg(long, default_value_t = 500)]
    joins: u64,

    /// The pillion to try; the one beside this program by default.
    #[arg(long, value_name = "PATH")]
    pillion: Option<PathBuf>,

    /// Do not insist that who was killed or cut off is marked as silent within three seconds.
    #[arg(long)]
    silent_unmarked: bool,
}

/// The session, and all that is known of it.
struct Session<'a> {
    world: World,
    binary: PathBuf,
    dir: &'a Path,
    host: Terminal,
    /// The process that holds the session.
    pid: u32,
    id: String,
    ticket: String,
    seats: Vec<Seat>,
    /// When each of the people last left, and how.
    left: BTreeMap<usize, (Instant, Way)>,
    samples: Vec<Sample>,
    faults: Faults,
    counts: BTreeMap<&'static str, u64>,
    cut_until: Option<Instant>,
    /// The link was cut until then; who was there may be shown as silent for a while.
    last_cut: Option<Instant>,
    lines: u64,
    /// Who was complained about already.
    ghosts: BTreeSet<(usize, Instant)>,
}

impl Soak {
    /// Runs it, in namespaces of its own.
    ///
    /// # Errors
    /// It cannot be run, or what did not hold.
    pub fn run(&self) -> Result<()> {
        let files = isolate::settle(self.minutes + 5)?;
        let dir = files.path();
        let binary = match &self.pillion {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("pillion"),
        };
        let binary = fs::canonicalize(&binary)
            .with_context(|| format!("there is no {}; --pillion names one", binary.display()))?;
        let mut session = Session::start(&binary, &dir)?;
        session.soak(self)?;
        session.report(self)
    }
}

impl Session<'_> {
    fn start<'a>(binary: &Path, dir: &'a Path) -> Result<Session<'a>> {
        let world = World::new(Wire::Direct, 1)?;
        let file = dir.join("ticket");
        let call = seat::call(binary, dir, "host")?
            .args(["--share", "--quiet", "--json", "--name", "soak"])
            .arg("--ticket-file")
            .arg(&file)
            // Repeats a line when told to, and is idle otherwise.
            .args(["--", "cat"]);
        let host = Terminal::start(
            &world,
            Side::Host,
            &call,
            (80, 24),
            crate::terminal::Look::Bytes,
        )?;
        let end = Instant::now() + PATIENCE;
        let object: Value = loop {
            let text = fs::read_to_string(&file).unwrap_or_default();
            if let Ok(object) = serde_json::from_str(&text) {
                break object;
            }
            if Instant::now() > end {
                bail!("the host wrote no ticket");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let field = |name: &str| {
            let value = object.get(name).and_then(Value::as_str).map(str::to_owned);
            value.with_context(|| format!("the ticket file holds no {name}"))
        };
        let pid = object.get("pid").and_then(Value::as_u64);
        Ok(Session {
            pid: pid
                .and_then(|pid| u32::try_from(pid).ok())
                .context("the ticket file holds no pid")?,
            id: field("session")?,
            ticket: field("ticket")?,
            world,
            binary: binary.to_owned(),
            dir,
            host,
            seats: Vec::new(),
            left: BTreeMap::new(),
            samples: Vec::new(),
            faults: Faults::default(),
            counts: BTreeMap::new(),
            cut_until: None,
            last_cut: None,
            lines: 0,
            ghosts: BTreeSet::new(),
        })
    }

    fn soak(&mut self, options: &Soak) -> Result<()> {
        let start = Instant::now();
        let length = Duration::from_secs(60 * options.minutes);
        let pace = length.div_f64(options.joins.max(1) as f64);
        let (mut joined, mut next_sample) = (0u64, start);
        let (mut next_idle, mut next_cut) = (start + IDLE_EVERY, start + CUT_EVERY);
        while start.elapsed() < length {
            let now = Instant::now();
            if now >= next_idle && self.cut_until.is_none() {
                next_idle = now + IDLE_EVERY;
                self.look_idle()?;
            }
            if self.cut_until.is_none() && now >= next_cut {
                next_cut = now + CUT_EVERY;
                self.cut()?;
            }
            if self.cut_until.is_some_and(|until| now >= until) {
                self.mend()?;
            }
            // What idle moments took is made up for.
            if self.cut_until.is_none() && start.elapsed() >= pace * u32::try_from(joined)? {
                joined += u64::from(self.join(joined)?);
            }
            self.leave_due();
            if now >= next_sample {
                next_sample = now + SAMPLE_EVERY;
                self.say_something()?;
                self.sample()?;
                let who = self.who()?;
                self.look_at_roster(&who, options);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.mend()?;
        self.end(options)
    }

    /// Everybody leaves, and then nobody is there.
    fn end(&mut self, options: &Soak) -> Result<()> {
        for seat in &mut self.seats {
            seat.leave_at = Instant::now();
        }
        let end = Instant::now() + 3 * PATIENCE;
        while !self.seats.is_empty() && Instant::now() < end {
            self.leave_due();
            std::thread::sleep(Duration::from_millis(50));
        }
        // Those who were killed are given up after thirty seconds of silence.
        let end = Instant::now() + Duration::from_secs(40);
        loop {
            let who = self.who()?;
            self.look_at_roster(&who, options);
            let here = who.iter().filter(|one| is_here(one)).count();
            if here == 0 {
                break;
            }
            if Instant::now() > end {
                self.faults
                    .add(format!("{here} are still here 40 s after all have left"));
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        self.look_idle()?;
        for _ in 0..5 {
            self.sample()?;
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn join(&mut self, number: u64) -> Result<bool> {
        let is_free = |person: &usize| {
            let gone = self.left.get(person);
            let is_done = gone.is_none_or(|(at, _)| at.elapsed() > GHOST + 3 * SAMPLE_EVERY);
            is_done && self.seats.iter().all(|seat| seat.person != *person)
        };
        let Some(person) = (0..PEOPLE).find(is_free) else {
            return Ok(false);
        };
        let way = Way::of(number);
        let follows = way != Way::Text && number % 4 == 3;
        let seat = Seat::start(self, person, way, follows)?;
        *self.counts.entry(way.name(follows)).or_default() += 1;
        self.left.remove(&person);
        self.seats.push(seat);
        Ok(true)
    }

    /// Those leave whose time has come, and those who do are to end.
    fn leave_due(&mut self) {
        let now = Instant::now();
        let mut staying = Vec::new();
        for mut seat in std::mem::take(&mut self.seats) {
            if let Some(status) = seat.ended() {
                if let Some(fault) = seat.why_not(status) {
                    self.faults.add(fault);
                }
                let at = seat.left_at.unwrap_or(now);
                self.left.insert(seat.person, (at, seat.way));
                continue;
            }
            match seat.left_at {
                None if now >= seat.leave_at => seat.leave(),
                Some(at) if at.elapsed() > PATIENCE => {
                    self.faults.add(format!("{} did not end", seat.label()));
                    seat.kill();
                    continue;
                }
                _ => {}
            }
            staying.push(seat);
        }
        self.seats = staying;
    }

    /// Everybody who left is gone, and everybody who came is there.
    fn look_at_roster(&mut self, who: &[Value], options: &Soak) {
        let here: Vec<&str> = who
            .iter()
            .filter(|one| is_here(one))
            .filter_map(|one| one.get("name")?.as_str())
            .collect();
        for (person, (at, way)) in &self.left {
            if self.ghosts.contains(&(*person, *at)) {
                continue;
            }
            let is_marked = *way != Way::Kill || !options.silent_unmarked;
            let is_due = at.elapsed() > GHOST
                // Somebody who left while the link was cut could not say so.
                && self.cut_until.is_none()
                && self.last_cut.is_none_or(|cut| cut + Duration::from_secs(35) < Instant::now());
            if is_marked && is_due && here.contains(&seat::name(*person).as_str()) {
                self.ghosts.insert((*person, *at));
                let seconds = at.elapsed().as_secs_f64();
                let name = way.name(false);
                self.faults.add(format!(
                    "a ghost: {} left ({name}) {seconds:.1} s ago and is listed as here",
                    seat::name(*person)
                ));
            }
        }
        for seat in &mut self.seats {
            seat.was_here |= here.contains(&seat::name(seat.person).as_str());
            let waits = seat.started.elapsed() > PATIENCE && seat.left_at.is_none();
            if waits && !seat.was_here && self.cut_until.is_none() && !seat.complained {
                seat.complained = true;
                self.faults.add(format!("{} did not get in", seat.label()));
            }
        }
    }

    /// For a moment nothing happens, and nobody takes time.
    fn look_idle(&mut self) -> Result<()> {
        let mut processes: Vec<(String, u32)> = self
            .seats
            .iter()
            // Who is just coming or leaving is busy with that.
            .filter(|seat| seat.was_here && seat.left_at.is_none() && seat.way != Way::Text)
            .map(|seat| (seat.label(), seat.pid()))
            .collect();
        processes.push(("the host".to_owned(), self.pid));
        processes.push(("the host's command".to_owned(), self.host.pid()));
        std::thread::sleep(Duration::from_millis(500));
        let cpu = |pid: u32| processes::cpu(pid);
        let before: Vec<Option<Duration>> = processes.iter().map(|(_, pid)| cpu(*pid)).collect();
        std::thread::sleep(IDLE_FOR);
        for ((label, pid), before) in processes.iter().zip(before) {
            let (Some(before), Some(after)) = (before, cpu(*pid)) else {
                continue;
            };
            let share = (after.saturating_sub(before)).as_secs_f64() / IDLE_FOR.as_secs_f64();
            self.faults.idle(label, share);
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<()> {
        self.world.set_link(false)?;
        self.cut_until = Some(Instant::now() + CUT_FOR);
        *self.counts.entry("cuts").or_default() += 1;
        Ok(())
    }

    fn mend(&mut self) -> Result<()> {
        if self.cut_until.take().is_some() {
            self.world.set_link(true)?;
            self.last_cut = Some(Instant::now());
        }
        Ok(())
    }

    fn say_something(&mut self) -> Result<()> {
        self.lines += 1;
        self.host.write(format!("line {}\r", self.lines).as_bytes())
    }

    fn sample(&mut self) -> Result<()> {
        let pid = self.pid;
        let log = self.dir.join("host").join("state");
        let sample = Sample::of(pid, &log).context("the host has ended")?;
        self.samples.push(sample);
        Ok(())
    }

    fn who(&self) -> Result<Vec<Value>> {
        let call = seat::call(&self.binary, self.dir, "host")?;
        let call: Call = call.args(["who", "--json", "--session", &self.id]);
        let output = call.run(&self.world, Side::Host)?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn report(&self, options: &Soak) -> Result<()> {
        let mut text = String::new();
        let total: u64 = self.counts.values().sum();
        let _ = writeln!(text, "{} minutes, {total} events:", options.minutes);
        for (what, count) in &self.counts {
            let _ = writeln!(text, "  {what:<22} {count}");
        }
        let growth = Growth::of(&self.samples);
        let _ = write!(text, "{growth}");
        let _ = writeln!(
            text,
            "idle: the busiest process took {:.1} % of a processor",
            self.faults.busiest * 100.0
        );
        println!("{text}");
        let faults: Vec<String> = self
            .faults
            .all
            .iter()
            .cloned()
            .chain(growth.faults())
            .collect();
        match faults.is_empty() {
            true => {
                println!("nothing grew, nothing spun, nobody stayed");
                Ok(())
            }
            false => bail!("{} faults:\n  {}", faults.len(), faults.join("\n  ")),
        }
    }
}

/// Listed as connected, and not as silent.
fn is_here(one: &Value) -> bool {
    let says = |name: &str| one.get(name).and_then(Value::as_bool) == Some(true);
    says("here") && !says("silent") && one.get("state").and_then(Value::as_str) == Some("here")
}
