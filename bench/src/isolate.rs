//! Running in namespaces of one's own, and ending whatever happens.
//!
//! ```text
//! pillion-bench ──pipe──▶ unshare ──▶ pillion-bench (first process of its namespace) ──▶ everything else
//! ```
//!
//! The outer process only waits. When it goes (Ctrl-C, a closed terminal), its end of the pipe does;
//! the inner one sees that, removes its files and exits, and the kernel ends all that it started.

use std::{
    env,
    io::Read,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Says to the inner process that it is the inner one.
const INSIDE: &str = "PILLION_BENCH_INSIDE";

/// Whether this is the inner process.
pub fn inside() -> bool {
    env::var_os(INSIDE).is_some() && std::process::id() == 1
}

/// Runs this program again, inside.
///
/// # Errors
/// Not root; no `unshare`.
pub fn run_inside() -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        bail!("network namespaces and TUN devices take root: run it with sudo");
    }
    let mut inner = Command::new("unshare")
        .args([
            "--pid",
            "--fork",
            "--kill-child",
            "--mount",
            "--mount-proc",
            "--net",
            "--",
        ])
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .stdin(Stdio::piped())
        .spawn()
        .context("`unshare` (Debian: util-linux) could not be run")?;
    // Waiting would close it.
    let alive = inner.stdin.take();
    let status = inner.wait()?;
    drop(alive);
    Ok(ExitCode::from(status.code().map_or(1, |code| code as u8)))
}

/// The folder for files. It is removed with this, and when the process is told to end.
pub struct Files(Arc<Mutex<Option<TempDir>>>);

impl Files {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        let dir = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dir.as_ref()
            .map_or_else(PathBuf::new, |dir| dir.path().to_owned())
    }

    fn remove(&self) {
        // What is left is in a folder for temporary files.
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Inside: sees to what has to be there before anything is measured, and that this process ends when it
/// is told to or takes longer than `minutes`.
///
/// # Errors
/// No folder for temporary files, no mount.
pub fn settle(minutes: u64) -> Result<Files> {
    // sshd insists on /run/sshd. The mount is only seen in here.
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "tmpfs", "/run"])
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        bail!("nothing can be mounted in here");
    }
    std::fs::create_dir("/run/sshd")?;
    let dir = tempfile::Builder::new()
        .prefix("pillion-bench-")
        .tempdir()?;
    let files = Files(Arc::new(Mutex::new(Some(dir))));
    let end_when = |name: &str, wait: Box<dyn FnOnce() + Send>, why: &'static str, code: i32| {
        let files = Files(Arc::clone(&files.0));
        let thread = std::thread::Builder::new().name(name.into());
        thread.spawn(move || {
            wait();
            eprintln!("pillion-bench: {why}");
            files.remove();
            std::process::exit(code);
        })
    };
    let limit = Duration::from_secs(60 * minutes);
    end_when(
        "deadline",
        Box::new(move || std::thread::sleep(limit)),
        "it took too long; --minutes gives it more",
        1,
    )?;
    // Nothing ever comes from the outer process but the end.
    let parent = || drop(std::io::stdin().read(&mut [0]));
    end_when("parent", Box::new(parent), "interrupted", 130)?;
    Ok(files)
}
