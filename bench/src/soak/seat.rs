//! One who comes, stays a while, and leaves in some way.

use std::{fs, path::Path, process::ExitStatus, time::Instant};

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use super::{STAY, Session};
use crate::{
    net::Side,
    terminal::{Call, Look, Terminal},
};

/// How somebody leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By the keys for it (a follower by Ctrl-C).
    Quit,
    /// By itself: it prints the screen once.
    Text,
    /// By SIGTERM.
    Term,
    /// By SIGKILL: it can't say goodbye.
    Kill,
    /// By SIGHUP, as when a terminal is closed.
    Hup,
}

impl Way {
    /// The ways take turns.
    pub fn of(number: u64) -> Way {
        let ways = [Way::Quit, Way::Text, Way::Term, Way::Kill, Way::Hup];
        ways[(number % 5) as usize]
    }

    /// For the report.
    pub fn name(self, follows: bool) -> &'static str {
        match (self, follows) {
            (Way::Quit, false) => "quit",
            (Way::Quit, true) => "quit (follower)",
            (Way::Text, _) => "text",
            (Way::Term, false) => "TERM",
            (Way::Term, true) => "TERM (follower)",
            (Way::Kill, false) => "KILL",
            (Way::Kill, true) => "KILL (follower)",
            (Way::Hup, false) => "HUP",
            (Way::Hup, true) => "HUP (follower)",
        }
    }
}

/// One viewer or follower.
pub struct Seat {
    pub person: usize,
    pub way: Way,
    pub started: Instant,
    pub leave_at: Instant,
    pub left_at: Option<Instant>,
    pub was_here: bool,
    pub complained: bool,
    follows: bool,
    terminal: Terminal,
}

impl Seat {
    /// Starts one.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn start(session: &Session<'_>, person: usize, way: Way, follows: bool) -> Result<Seat> {
        let home = format!("person{person}");
        let mut call = call(&session.binary, session.dir, &home)?
            .args(["join", "--name", &name(person)])
            .env("PILLION_TICKET", &session.ticket);
        if way == Way::Text {
            call = call.arg("--text");
        } else if follows {
            call = call.arg("--follow");
        }
        let terminal = Terminal::start(&session.world, Side::Viewer, &call, (80, 25), Look::Bytes)?;
        let started = Instant::now();
        Ok(Seat {
            person,
            way,
            started,
            leave_at: started + STAY,
            left_at: None,
            was_here: false,
            complained: false,
            follows,
            terminal,
        })
    }

    pub fn pid(&self) -> u32 {
        self.terminal.pid()
    }

    /// For complaints.
    pub fn label(&self) -> String {
        let what = if self.follows { "follower" } else { "viewer" };
        let way = self.way.name(false);
        format!("{what} {} ({way})", name(self.person))
    }

    /// Leaves, its way.
    pub fn leave(&mut self) {
        self.left_at = Some(Instant::now());
        match (self.way, self.follows) {
            // It may just have ended.
            (Way::Quit, false) => drop(self.terminal.write(b"\x1dq")),
            (Way::Quit, true) => self.signal(Signal::INT),
            // It ends by itself; by now it should have.
            (Way::Text, _) => {}
            (Way::Term, _) => self.signal(Signal::TERM),
            (Way::Kill, _) => self.signal(Signal::KILL),
            (Way::Hup, _) => self.signal(Signal::HUP),
        }
    }

    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid() as i32) {
            let _ = kill_process(pid, signal);
        }
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.terminal.ended()
    }

    /// What is wrong with how it ended, if something is.
    pub fn why_not(&self, status: ExitStatus) -> Option<String> {
        let is_early = self.left_at.is_none() && self.way != Way::Text;
        if status.code() == Some(101) {
            Some(format!("{} panicked", self.label()))
        } else if is_early {
            let words = self.terminal.last_words();
            Some(format!(
                "{} ended by itself ({status}): {words}",
                self.label()
            ))
        } else {
            None
        }
    }
}

/// What a person calls themselves.
pub fn name(person: usize) -> String {
    format!("soaker{person}")
}

/// `pillion`, with a home of its own for each of those who use it.
///
/// # Errors
/// No folder.
pub fn call(binary: &Path, dir: &Path, who: &str) -> Result<Call> {
    let home = dir.join(who);
    let runtime = home.join("run");
    fs::create_dir_all(&runtime)?;
    Ok(Call::new(binary, &home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_RUNTIME_DIR", runtime)
        .env("PILLION_RELAY", "none"))
}
