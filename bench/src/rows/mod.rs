//! What is measured, a file for each kind. Systems take turns within a row, A B A B, so that what else
//! the machine does meets them all.

mod bulk;
mod crowd;
mod echo;
mod interrupt;
mod join;
mod link;
mod memory;
mod readers;
mod reconnect;

use std::{collections::HashMap, path::PathBuf, time::Duration};

use anyhow::Result;
use clap::ValueEnum;

use crate::{net::Wire, report::Row, stats::Samples, systems::System};

/// The rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// The link emulator itself: a datagram there and back.
    Link,
    /// From a key to its echo at the viewer, on a LAN.
    EchoLan,
    /// The same with a round trip of 50 ms.
    EchoFar,
    /// From the command to the first screen, on a LAN.
    JoinLan,
    /// The same with a round trip of 50 ms.
    JoinFar,
    /// The same by a link, whose service is as far away, beside the ticket.
    JoinLink,
    /// From losing the connection to the screen again, in the same process, at 50 ms.
    Reconnect,
    /// 50 MB of output with one viewer: time, processor time, bytes.
    Bulk,
    /// The same with ten viewers.
    Ten,
    /// Ctrl-C at the viewer under `yes`, on a LAN.
    InterruptLan,
    /// The same with a round trip of 50 ms.
    InterruptFar,
    /// The same at 10 Mbit/s.
    InterruptNarrow,
    /// The host's memory after 100 MB of output, and what was kept of them.
    Memory,
    /// A hundred viewers of a busy screen, on loopback.
    Hundred,
    /// A key at the host and at a viewer while 8 and 32 others read history, on loopback.
    Readers,
}

/// What the rows need to know.
pub struct Bench {
    /// What to measure, in the order of their turns.
    pub systems: Vec<System>,
    /// Fewer rounds.
    pub quick: bool,
    /// For jitter and loss.
    pub seed: u64,
    /// For files.
    pub dir: PathBuf,
}

impl Which {
    /// Measures it.
    ///
    /// # Errors
    /// Nothing could be measured: what a single system failed at is in the row's notes.
    pub fn run(self, bench: &Bench) -> Result<Row> {
        match self {
            Which::Link => link::run(bench),
            Which::EchoLan => echo::run(bench, "echo on a LAN", Wire::Direct, (0.25, 0.7)),
            Which::EchoFar => echo::run(bench, "echo at 50 ms", Wire::FAR, (50.5, 55.0)),
            Which::JoinLan => join::run(bench, "join on a LAN", Wire::Direct, 15.0),
            Which::JoinFar => join::run(bench, "join at 50 ms", Wire::FAR, 115.0),
            Which::JoinLink => join::by_link(bench),
            Which::Reconnect => reconnect::run(bench),
            Which::Bulk => bulk::one(bench),
            Which::Ten => bulk::ten(bench),
            Which::InterruptLan => {
                interrupt::run(bench, "Ctrl-C under yes, LAN", Wire::Direct, 2.0)
            }
            Which::InterruptFar => {
                interrupt::run(bench, "Ctrl-C under yes, 50 ms", Wire::FAR, 52.0)
            }
            Which::InterruptNarrow => interrupt::run(
                bench,
                "Ctrl-C under yes, 50 ms, 10 Mbit/s",
                Wire::FAR_AND_NARROW,
                60.0,
            ),
            Which::Memory => memory::run(bench),
            Which::Hundred => crowd::run(bench),
            Which::Readers => readers::run(bench),
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Bench {
    /// One of the two, as it is asked for.
    fn choose<T>(&self, thorough: T, quick: T) -> T {
        if self.quick { quick } else { thorough }
    }

    /// Every system's turn, so many times; what failed becomes a note, once for each system, and the
    /// system's turns end there.
    fn take_turns<T>(
        &self,
        systems: &[System],
        rounds: usize,
        notes: &mut Vec<String>,
        mut turn: impl FnMut(&System, u64) -> Result<T>,
        mut take: impl FnMut(&'static str, T),
    ) {
        let mut failed: HashMap<&str, u32> = HashMap::new();
        for round in 0..rounds {
            for system in systems {
                let name = system.name();
                if failed.get(name).is_some_and(|times| *times >= 2) {
                    continue;
                }
                match turn(system, self.seed.wrapping_add(round as u64)) {
                    Ok(result) => take(name, result),
                    Err(error) => {
                        *failed.entry(name).or_default() += 1;
                        notes.push(format!("{name}, round {}: {error:#}", round + 1));
                    }
                }
            }
        }
    }

    /// Ours alone, for what no peer does.
    fn ours(&self) -> Vec<System> {
        self.systems
            .iter()
            .filter(|system| system.is_ours())
            .cloned()
            .collect()
    }

    /// The systems as they share one screen among several people.
    fn sharing(&self) -> Vec<System> {
        self.systems.iter().map(System::shared).collect()
    }
}

/// Samples by system, in the order they first came.
#[derive(Debug, Default)]
struct BySystem(Vec<(&'static str, Samples)>);

impl BySystem {
    fn of(&mut self, system: &'static str) -> &mut Samples {
        let at = self
            .0
            .iter()
            .position(|(name, _)| *name == system)
            .unwrap_or_else(|| {
                self.0.push((system, Samples::default()));
                self.0.len() - 1
            });
        &mut self.0[at].1
    }
}

/// A pause between `low` and `high` milliseconds.
fn jitter(random: &mut impl rand::RngExt, low: u64, high: u64) -> Duration {
    Duration::from_micros(random.random_range(low * 1000..high * 1000))
}
