//! What the stories are told with: real binaries in real terminals.
//!
//! Every wait is for a condition and has a bound; when the bound passes the test fails and shows what
//! it was looking at. Everything a test starts ends with it.
mod piped;
mod screens;
pub mod service;
mod term;
pub mod untrusted;
pub mod ways;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

pub use piped::Piped;
pub use screens::{assert_no_trace, assert_same};
pub use term::{Term, cells, contains, in_pty, kill_process_of};

/// How long anything may take: far beyond what it takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that cannot tell when it changes (a file, a command's answer).
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Ctrl-].
pub const PREFIX: &str = "\x1d";

/// The host's terminal.
pub const SIZE: (u16, u16) = (80, 24);

/// A viewer's terminal: the host's rows and a status line.
pub const VIEWER: (u16, u16) = (80, 25);

/// One machine, as far as pillion is concerned: a home of its own.
pub struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    pub fn new() -> Machine {
        let dir = tempfile::Builder::new()
            .prefix("pillion-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(dir.path().join("run")).unwrap();
        Machine { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `pillion ARGS` on this machine, with no network but loopback.
    pub fn pillion(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        command.args(args);
        self.set_env(&mut command);
        command
    }

    pub fn set_env(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PILLION_") {
                command.env_remove(name);
            }
        }
        // What the person who runs the tests has around them.
        for name in [
            "TMUX",
            "STY",
            "SSH_AUTH_SOCK",
            "BROWSER",
            "NO_COLOR",
            "PROMPT_COMMAND",
            "COLUMNS",
            "LINES",
            "LESS",
            "ENV",
            "BASH_ENV",
        ] {
            command.env_remove(name);
        }
        command
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("PILLION_RELAY", "none")
            .env("PILLION_LOG", self.path("log"))
            .env("PILLION_LOG_LEVEL", "pillion=debug,warn")
            .env("SHELL", "/bin/bash")
            .env("TERM", "xterm-256color")
            .env("COLORTERM", "truecolor")
            .env("PS1", "$ ")
            .env("LC_ALL", "C.UTF-8");
    }

    /// `pillion share ARGS` without a terminal, with a pipe to type into; with the ticket once it is
    /// there.
    pub fn share_piped(&self, args: &[&str]) -> (Piped, String) {
        let file = self.fresh("ticket");
        let mut all = vec!["--share", "--ticket-file", file.to_str().unwrap()];
        all.extend(args);
        let host = Piped::start_with_input(self.pillion(&all));
        let ticket = wait_for_file(&file);
        (host, ticket.trim().to_owned())
    }

    /// Starts a command without a terminal or any input.
    pub fn start(&self, args: &[&str]) -> Piped {
        Piped::start(self.pillion(args))
    }

    /// Runs a command to its end.
    pub fn output(&self, args: &[&str]) -> Output {
        self.start(args).wait()
    }

    /// Runs a command to its end; it must succeed. What it printed.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(
            output.status.success(),
            "pillion {args:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command to its end; it must fail with this exit code. What it said.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.output(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "pillion {args:?} said: {said}"
        );
        assert!(
            output.stdout.is_empty(),
            "stdout is for results: {:?}",
            String::from_utf8_lossy(&output.stdout)
        );
        said
    }

    /// Runs a command until what it prints satisfies `done`.
    pub fn run_until(&self, args: &[&str], what: &str, done: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        until(what, || {
            let output = self.output(args);
            last = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.success() && done(&last)).then(|| last.clone())
        })
    }

    /// `pillion share` in a terminal; with the ticket once it is there.
    pub fn share(&self, size: (u16, u16), args: &[&str]) -> (Term, String) {
        let file = self.fresh("ticket");
        let mut all = vec!["--share", "--ticket-file", file.to_str().unwrap()];
        all.extend(args);
        if !args.contains(&"--") {
            all.extend(["--", "bash", "--norc", "--noprofile"]);
        }
        let term = Term::start(self.pillion(&all), size);
        let ticket = wait_for_file(&file);
        (term, ticket.trim().to_owned())
    }

    /// A shared shell at its prompt.
    pub fn share_shell(&self, args: &[&str]) -> (Term, String) {
        let (host, ticket) = self.share(SIZE, args);
        host.wait_for("$ ");
        (host, ticket)
    }

    /// `pillion join` in a terminal.
    pub fn join(&self, size: (u16, u16), ticket: &str, args: &[&str]) -> Term {
        let mut command = self.pillion(&["join"]);
        command.args(args).env("PILLION_TICKET", ticket);
        Term::start(command, size)
    }

    /// `pillion join` in a terminal, once it shows the session.
    pub fn watch(&self, ticket: &str, args: &[&str]) -> Term {
        let viewer = self.join(VIEWER, ticket, args);
        // In its first seconds the status line says of the connection no more than that it watches.
        viewer.wait_until("the session", |screen| {
            let text = screen.contents();
            text.contains("view only") || text.contains(" direct")
        });
        viewer
    }

    /// `pillion join` without a terminal.
    pub fn join_piped(&self, ticket: &str, args: &[&str]) -> Piped {
        let mut command = self.pillion(&["join"]);
        command.args(args).env("PILLION_TICKET", ticket);
        Piped::start(command)
    }

    /// Who is here, from `pillion who --json`.
    pub fn who(&self) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.run(&["who", "--json"])).unwrap()
    }

    /// The one session of this machine, from `pillion ls --all --json`.
    pub fn session(&self) -> serde_json::Value {
        let all: Vec<serde_json::Value> =
            serde_json::from_str(&self.run(&["ls", "--all", "--json"])).unwrap();
        let [one] = &all[..] else {
            panic!("not one session: {all:?}")
        };
        one.clone()
    }

    /// A path nothing is at yet.
    pub fn fresh(&self, name: &str) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        self.path(&format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    /// What pillion logged here.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// What `pillion audit` says of this machine's session, without the times and with single blanks.
pub fn audited(machine: &Machine) -> Vec<String> {
    let audit = machine.run(&["audit"]);
    // Date, time and zone, then who and what.
    let said = |line: &str| {
        line.split_whitespace()
            .skip(3)
            .collect::<Vec<_>>()
            .join(" ")
    };
    audit.lines().skip(1).map(said).collect()
}

/// What a question's page says of its keys.
pub const QUESTION: &str = "Esc later";

/// How long after something was seen a key is pressed: it counts 400 ms after that was drawn.
const READ: Duration = Duration::from_millis(500);

/// Asks for the right to type at `viewer` and gives it at `host`, as people do.
pub fn request_and_grant(viewer: &mut Term, host: &mut Term) {
    viewer.send(&format!("{PREFIX}e"));
    host.wait_for("asks to type");
    answer(host, "y", |_| viewer.text().contains("edit for"));
}

/// Answers the question that waits at the host's terminal, until `done`.
pub fn answer(host: &mut Term, key: &str, done: impl Fn(&Term) -> bool) {
    host.send(PREFIX);
    answer_open(host, key, done);
}

/// Answers the question that is open at the host's terminal, or about to be, until `done`.
pub fn answer_open(host: &mut Term, key: &str, done: impl Fn(&Term) -> bool) {
    press(host, QUESTION, key, done);
}

/// Presses a key of a question or the panel, which shows `on` or is about to, until `done`.
pub fn press(host: &mut Term, on: &str, key: &str, done: impl Fn(&Term) -> bool) {
    host.wait_for(on);
    let mut seen = Instant::now();
    until("the key to count", || {
        if seen.elapsed() > READ && host.text().contains(on) {
            seen = Instant::now();
            host.send(key);
        }
        done(host).then_some(())
    });
}

/// Looks again and again until there is something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Waits until a file is there and whole (it appears by a rename).
pub fn wait_for_file(path: &Path) -> String {
    until(&format!("{}", path.display()), || {
        std::fs::read_to_string(path).ok()
    })
}

/// How often the threads of a process have gone to sleep.
pub fn sleeps(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    threads.flatten().filter_map(of).sum()
}

/// The most memory a process ever had resident, in bytes.
pub fn peak(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}
