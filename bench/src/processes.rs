//! What /proc says of other processes: where they are, what time and memory they took.

use std::{fs, os::unix::fs::MetadataExt, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

/// The number of a process's network namespace.
pub fn net_namespace(pid: u32) -> Option<u64> {
    Some(fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino())
}

/// Every process in a network namespace.
pub fn in_net_namespace(inode: u64) -> Vec<u32> {
    let Ok(all) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| net_namespace(*pid) == Some(inode))
        .collect()
}

/// Ends a process at once.
pub fn kill(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Processor time of a process and of the children it has waited for, user and system, in steps of
/// the kernel's tick (10 ms).
pub fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = cpu_ticks(&stat)?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_nanos(ticks * 1_000_000_000 / per_second))
}

/// utime + stime + cutime + cstime of a line of /proc/PID/stat (proc_pid_stat(5)).
fn cpu_ticks(stat: &str) -> Option<u64> {
    // The name may hold spaces and brackets; what follows its last bracket does not.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Field 3 (state) comes first here; 14 to 17 are the times.
    fields
        .get(11..15)?
        .iter()
        .map(|field| field.parse::<u64>().ok())
        .sum()
}

/// Resident memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The most it ever was.
    pub peak: u64,
    /// Now.
    pub now: u64,
}

/// A process's memory.
pub fn memory(pid: u32) -> Option<Memory> {
    memory_of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn memory_of(status: &str) -> Option<Memory> {
    Some(Memory {
        peak: kib(status, "VmHWM:")?,
        now: kib(status, "VmRSS:")?,
    })
}

/// A process's share of memory, in bytes: pages that n processes have count as an nth.
pub fn memory_share(pid: u32) -> Option<u64> {
    kib(
        &fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?,
        "Pss:",
    )
}

fn kib(fields: &str, name: &str) -> Option<u64> {
    let line = fields.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A process's name, as the kernel has it (15 bytes at most).
pub fn name(pid: u32) -> Option<String> {
    Some(
        fs::read_to_string(format!("/proc/{pid}/comm"))
            .ok()?
            .trim_end()
            .to_owned(),
    )
}

/// How many processes wanted to run in the last minute, on average.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg")
        .ok()?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_brackets() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 110 22 3 4 20 0 1 0 99 1000 50";
        assert_eq!(cpu_ticks(stat), Some(110 + 22 + 3 + 4));
        assert_eq!(cpu_ticks("42 (short) S 1 2"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n";
        assert_eq!(
            memory_of(status),
            Some(Memory {
                peak: 2 << 20,
                now: 1 << 20
            })
        );
        assert_eq!(memory_of("Name:\tkthread\n"), None);
    }

    #[test]
    fn this_process_is_in_its_own_namespace() {
        let own = std::process::id();
        let inode = net_namespace(own).unwrap();
        assert!(in_net_namespace(inode).contains(&own));
        assert!(cpu(own).is_some() && memory(own).is_some());
    }
}
