//! Processes that programs leave behind stay below us in the tree of processes.
//!
//! A process whose parent ends goes to the nearest ancestor that asked for it, or else to init. Where we ask,
//! nothing that was started in a program's terminal gets out of our tree by starting itself again
//! (`daemon(3)`, `setsid --fork`), so what runs in a session can be told from what does not. In return we wait
//! for them when they end.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions};

/// How long is waited where nothing tells when to look again: until a program's own thread has waited for it,
/// or there are children at all.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The programs that have a thread of their own to wait for them. Locked while one is started, so that none is
/// taken for an orphan.
static PROGRAMS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

pub(crate) fn programs() -> MutexGuard<'static, BTreeSet<i32>> {
    PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child that somebody else of this process waits for: it is not taken for an orphan for as long as this lives.
#[derive(Debug)]
pub struct WaitedFor(i32);

impl Drop for WaitedFor {
    fn drop(&mut self) {
        programs().remove(&self.0);
    }
}

/// Starts a child, of which `pid` says which it is, that is waited for by who starts it: how it ended is theirs to learn.
pub fn start_waited_for<T>(
    start: impl FnOnce() -> T,
    pid: impl FnOnce(&T) -> Option<u32>,
) -> (T, Option<WaitedFor>) {
    let mut programs = programs();
    let started = start();
    let waited = pid(&started).map(u32::cast_signed);
    programs.extend(waited);
    (started, waited.map(WaitedFor))
}

/// Has orphans of the programs that are started from here on come to this process, for its whole life. It must
/// start nothing else.
///
/// # Errors
/// The system can't do so; then orphans go where they always went.
pub fn adopt_orphans() -> io::Result<()> {
    // Without these lists nobody could tell which they are.
    children()?;
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let reap = || {
        loop {
            reap();
        }
    };
    thread::Builder::new()
        .name("pillion-orphans".into())
        .spawn(reap)?;
    Ok(())
}

/// Waits until a child has ended, and then for each that is no program.
fn reap() {
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    if rustix::process::waitid(WaitId::All, ended).is_err() {
        return thread::sleep(LOOK_AGAIN);
    }
    let programs = programs();
    let mut reaped = false;
    for pid in children().unwrap_or_default() {
        if !programs.contains(&pid)
            && let Some(pid) = Pid::from_raw(pid)
        {
            let waited = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
            reaped |= matches!(waited, Ok(Some(_)));
        }
    }
    drop(programs);
    if !reaped {
        // It was a program, whose thread is about to wait for it.
        thread::sleep(LOOK_AGAIN);
    }
}

/// Our children, by the threads they belong to.
fn children() -> io::Result<Vec<i32>> {
    let mut all = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        let list = std::fs::read_to_string(thread?.path().join("children"))?;
        all.extend(
            list.split_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    Ok(all)
}
