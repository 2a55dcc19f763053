//! What is measured of a host, and what of it would be a fault.

use std::{fmt, fs, path::Path, time::Instant};

use crate::{processes, stats::Samples};

/// Share of a processor that an idle process may take.
const IDLE_SHARE: f64 = 0.15;

/// Growth that is none: of memory in bytes, of open files and of threads.
const SLACK_BYTES: f64 = 6.0 * 1024.0 * 1024.0;
const SLACK_FILES: f64 = 4.0;
const SLACK_THREADS: f64 = 2.0;

/// Faults that are listed; more of them say nothing new.
const MAX_FAULTS: usize = 40;

/// What did not hold.
#[derive(Debug, Default)]
pub struct Faults {
    pub all: Vec<String>,
    pub busiest: f64,
}

impl Faults {
    pub fn add(&mut self, fault: String) {
        if self.all.len() < MAX_FAULTS && !self.all.contains(&fault) {
            eprintln!("fault: {fault}");
            self.all.push(fault);
        }
    }

    /// A process took so much while nothing happened.
    pub fn idle(&mut self, label: &str, share: f64) {
        self.busiest = self.busiest.max(share);
        if share > IDLE_SHARE {
            let percent = share * 100.0;
            self.add(format!(
                "{label} takes {percent:.0} % of a processor and has nothing to do"
            ));
        }
    }
}

/// The host at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    at: Instant,
    rss: u64,
    files: u64,
    threads: u64,
    cpu_ms: u64,
    log: u64,
}

impl Sample {
    /// Of a process whose log is under `log`.
    pub fn of(pid: u32, log: &Path) -> Option<Sample> {
        let count = |what: &str| {
            fs::read_dir(format!("/proc/{pid}/{what}"))
                .ok()
                .map(|all| all.count() as u64)
        };
        Some(Sample {
            at: Instant::now(),
            rss: processes::memory(pid)?.now,
            files: count("fd")?,
            threads: count("task")?,
            cpu_ms: u64::try_from(processes::cpu(pid)?.as_millis()).ok()?,
            log: size(log),
        })
    }
}

/// Bytes of all files in a folder.
pub fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size(&entry.path()),
        _ => entry.metadata().map_or(0, |data| data.len()),
    });
    sizes.sum()
}

/// How the host was at first (after a quarter, which is warming up), and at last.
#[derive(Debug, Default)]
pub struct Growth {
    rows: Vec<(&'static str, f64, f64, f64)>,
    cpu: f64,
    log: u64,
}

impl Growth {
    pub fn of(samples: &[Sample]) -> Growth {
        let quarter = samples.len() / 4;
        let (early, late) = (
            &samples[quarter..2 * quarter],
            &samples[samples.len() - quarter..],
        );
        let median = |part: &[Sample], of: &dyn Fn(&Sample) -> u64| {
            let mut all = Samples::default();
            part.iter()
                .for_each(|sample| all.add_value(of(sample) as f64));
            all.median().unwrap_or(0.0)
        };
        let row = |name, of: &dyn Fn(&Sample) -> u64, slack| {
            (name, median(early, of), median(late, of), slack)
        };
        let (cpu, log) = match (samples.first(), samples.last()) {
            (Some(first), Some(last)) => {
                let took = last.cpu_ms.saturating_sub(first.cpu_ms) as f64 / 1000.0;
                let time = last.at.duration_since(first.at).as_secs_f64().max(1.0);
                (took / time, last.log)
            }
            _ => (0.0, 0),
        };
        Growth {
            rows: vec![
                row("memory (bytes)", &|one| one.rss, SLACK_BYTES),
                row("open files", &|one| one.files, SLACK_FILES),
                row("threads", &|one| one.threads, SLACK_THREADS),
            ],
            cpu,
            log,
        }
    }

    /// What grew.
    pub fn faults(&self) -> impl Iterator<Item = String> {
        let grew = self
            .rows
            .iter()
            .filter(|(_, early, late, slack)| late - early > *slack);
        grew.map(|(name, early, late, _)| format!("{name} grew from {early} to {late}"))
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the host, medians:      second quarter   last quarter")?;
        for (name, early, late, _) in &self.rows {
            writeln!(f, "  {name:<20} {early:>15} {late:>14}")?;
        }
        writeln!(f, "  processor            {:>14.1} %", self.cpu * 100.0)?;
        writeln!(f, "  files under its state {:>13} bytes", self.log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rss: impl Fn(u64) -> u64) -> Vec<Sample> {
        let one = |number| Sample {
            at: Instant::now(),
            rss: rss(number),
            files: 20,
            threads: 5,
            cpu_ms: number,
            log: 0,
        };
        (0..100).map(one).collect()
    }

    #[test]
    fn what_grows_after_it_is_warm_is_a_fault_and_warming_up_is_none() {
        let warming = Growth::of(&samples(|number| number.min(20) * 4 * 1024 * 1024));
        assert_eq!(warming.faults().count(), 0);
        let growing = Growth::of(&samples(|number| number * 200 * 1024));
        let faults: Vec<String> = growing.faults().collect();
        assert!(
            matches!(&faults[..], [one] if one.starts_with("memory")),
            "{faults:?}"
        );
    }

    #[test]
    fn a_process_that_spins_is_a_fault_once() {
        let mut faults = Faults::default();
        faults.idle("the host", 0.02);
        faults.idle("a follower", 1.0);
        faults.idle("a follower", 1.0);
        assert_eq!(faults.all.len(), 1);
    }
}
