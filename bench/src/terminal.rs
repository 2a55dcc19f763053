//! A program in a terminal of its own, whose output is read as fast as it comes and watched for what
//! is expected.

use std::{
    ffi::OsString,
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::net::{Side, World};

/// Bytes read from a terminal at once.
const READ: usize = 64 * 1024;

/// The longest text that can be watched for in the bytes.
const MAX_NEEDLE: usize = 64;

/// A program to run: with these variables and no others.
#[derive(Debug, Clone)]
pub struct Call {
    argv: Vec<OsString>,
    env: Vec<(String, OsString)>,
}

impl Call {
    /// A program, with a small environment and `home` as its home.
    pub fn new(program: impl Into<OsString>, home: &std::path::Path) -> Call {
        let path =
            std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        let call = Call {
            argv: vec![program.into()],
            env: Vec::new(),
        };
        call.env("PATH", path)
            .env("HOME", home)
            .env("USER", "root")
            .env("SHELL", "/bin/bash")
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .env("LC_ALL", "C.UTF-8")
    }

    /// One argument more.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Call {
        self.argv.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Call {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// A variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Call {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// The program and its arguments.
    pub fn argv(&self) -> &[OsString] {
        &self.argv
    }

    /// Runs it to its end, with nothing to read.
    ///
    /// # Errors
    /// It cannot be run, or fails.
    pub fn run(&self, world: &World, side: Side) -> Result<Output> {
        let output = world.within(side, || self.command().stdin(Stdio::null()).output())?;
        let output = output.with_context(|| format!("{} could not be run", self.name()))?;
        if !output.status.success() {
            bail!(
                "{}: {}: {}",
                self.name(),
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(output)
    }

    /// Starts it with nothing to read, its output going to files.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn start(&self, world: &World, side: Side, log: &PathBuf) -> Result<Child> {
        let out = File::create(log)?;
        let errors = out.try_clone()?;
        let child = world.within(side, || {
            self.command()
                .stdin(Stdio::null())
                .stdout(out)
                .stderr(errors)
                .spawn()
        })?;
        child.with_context(|| format!("{} could not be run", self.name()))
    }

    /// As a command of the standard library, for pipes of one's own.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command
            .args(&self.argv[1..])
            .env_clear()
            .envs(self.env.iter().map(|(n, v)| (n, v)));
        command
    }

    fn name(&self) -> String {
        self.argv[0].to_string_lossy().into_owned()
    }
}

/// What is made of a terminal's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// An emulator shows it; screens and bytes can be watched.
    Screen,
    /// It is only searched: for floods, where an emulator would take processor time from those measured.
    Bytes,
}

/// What is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// These bytes in a row, from now on ([`MAX_NEEDLE`] at most).
    Bytes(Vec<u8>),
    /// This character in this cell (row, column); a space is an empty one, too.
    Cell(u16, u16, char),
    /// This text somewhere on the screen, in one row.
    Text(String),
}

/// Something that was expected, to be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected(usize);

/// A program in a terminal. Dropping it kills the program.
pub struct Terminal {
    child: Child,
    input: File,
    shared: Arc<Shared>,
    started: Instant,
    name: String,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

struct Seen {
    parser: Option<vt100::Parser>,
    /// The last bytes, for what is cut in two by a read, and for complaints.
    tail: Vec<u8>,
    watches: Vec<(What, Option<Instant>)>,
    ended: bool,
}

impl Terminal {
    /// Starts a program on one of the machines, in a terminal of `cols` by `rows`.
    ///
    /// # Errors
    /// No terminal, or the program cannot be run.
    pub fn start(
        world: &World,
        side: Side,
        call: &Call,
        (cols, rows): (u16, u16),
        look: Look,
    ) -> Result<Terminal> {
        let (pty, pts) = pty_process::blocking::open()?;
        pty.resize(pty_process::Size::new(rows, cols))?;
        let command = pty_process::blocking::Command::new(&call.argv[0])
            .args(&call.argv[1..])
            .env_clear()
            .envs(call.env.iter().map(|(n, v)| (n, v)));
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen {
                parser: (look == Look::Screen).then(|| emulator(cols, rows)),
                tail: Vec::new(),
                watches: Vec::new(),
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let input = File::from(OwnedFd::from(pty));
        let output = input.try_clone()?;
        let reader = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || reader.read(output))?;
        let (child, started) = world.within(side, || {
            let started = Instant::now();
            (command.spawn(pts), started)
        })?;
        let name = call.name();
        let child = child.with_context(|| format!("{name} could not be run"))?;
        Ok(Terminal {
            child,
            input,
            shared,
            started,
            name,
        })
    }

    /// Right before the program was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The program's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How the program ended, if it did.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The end of what it showed, for complaints.
    pub fn last_words(&self) -> String {
        self.seen().last_words()
    }

    /// Types.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn write(&self, keys: &[u8]) -> Result<()> {
        (&self.input)
            .write_all(keys)
            .with_context(|| format!("{}'s terminal is gone", self.name))
    }

    /// From now on this is looked for. What is on the screen already counts.
    pub fn expect(&self, what: What) -> Expected {
        let mut seen = self.seen();
        let found = seen.shows(&what).then(Instant::now);
        seen.watches.push((what, found));
        Expected(seen.watches.len() - 1)
    }

    /// When it was there, waiting for it for so long.
    ///
    /// # Errors
    /// It did not come, or the program ended.
    pub fn wait(&self, expected: Expected, patience: Duration) -> Result<Instant> {
        let end = Instant::now() + patience;
        let mut seen = self.seen();
        loop {
            if let Some(at) = seen.watches[expected.0].1 {
                return Ok(at);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.ended {
                let why = if seen.ended {
                    "ended"
                } else {
                    "was waited for too long"
                };
                let what = &seen.watches[expected.0].0;
                bail!(
                    "{} {why} ({what:?}); it showed: {}",
                    self.name,
                    seen.last_words()
                );
            }
            seen = self
                .shared
                .changed
                .wait_timeout(seen, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Expects and waits.
    ///
    /// # Errors
    /// As [`Terminal::wait`].
    pub fn wait_for(&self, what: What, patience: Duration) -> Result<Instant> {
        let expected = self.expect(what);
        self.wait(expected, patience)
    }

    /// Where a text is on the screen: row, and the column after it.
    pub fn after_text(&self, text: &str) -> Option<(u16, u16)> {
        self.seen().find(text)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shared {
    fn read(&self, mut output: File) {
        let mut buffer = vec![0; READ];
        loop {
            // A terminal nobody has open any more reads as an error; none opened yet does not, because
            // the program's side is open until it was started.
            let read = output.read(&mut buffer).unwrap_or(0);
            let at = Instant::now();
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if read == 0 {
                seen.ended = true;
                self.changed.notify_all();
                return;
            }
            if seen.take(&buffer[..read], at) {
                self.changed.notify_all();
            }
        }
    }
}

impl Seen {
    /// Takes output in; whether something expected came with it.
    fn take(&mut self, bytes: &[u8], at: Instant) -> bool {
        if let Some(parser) = &mut self.parser {
            parser.process(bytes);
        }
        let mut watches = std::mem::take(&mut self.watches);
        let mut found = false;
        for (what, when) in &mut watches {
            let there = when.is_none()
                && match what {
                    What::Bytes(needle) => self.came(needle, bytes),
                    other => self.shows(other),
                };
            if there {
                *when = Some(at);
                found = true;
            }
        }
        self.watches = watches;
        let keep = bytes.len().min(4 * MAX_NEEDLE);
        self.tail.extend_from_slice(&bytes[bytes.len() - keep..]);
        let excess = self.tail.len().saturating_sub(4 * MAX_NEEDLE);
        self.tail.drain(..excess);
        found
    }

    fn came(&self, needle: &[u8], bytes: &[u8]) -> bool {
        let overlap = needle.len().saturating_sub(1);
        let mut seam = self.tail[self.tail.len().saturating_sub(overlap)..].to_vec();
        seam.extend_from_slice(&bytes[..bytes.len().min(overlap)]);
        contains(&seam, needle) || contains(bytes, needle)
    }

    fn shows(&self, what: &What) -> bool {
        let Some(parser) = &self.parser else {
            return false;
        };
        match what {
            What::Bytes(_) => false,
            What::Cell(row, col, wanted) => parser.screen().cell(*row, *col).is_some_and(|cell| {
                let content = cell.contents();
                content.chars().eq([*wanted]) || (content.is_empty() && *wanted == ' ')
            }),
            What::Text(text) => self.find(text).is_some(),
        }
    }

    fn find(&self, text: &str) -> Option<(u16, u16)> {
        let screen = self.parser.as_ref()?.screen();
        let (_, cols) = screen.size();
        for (row, line) in screen.rows(0, cols.get()).enumerate() {
            if let Some(at) = line.find(text) {
                let before = line[..at + text.len()].chars().count();
                return Some((row as u16, before as u16));
            }
        }
        None
    }

    fn last_words(&self) -> String {
        match &self.parser {
            Some(parser) => parser.screen().contents().trim().to_owned(),
            None => String::from_utf8_lossy(&self.tail)
                .escape_debug()
                .to_string(),
        }
    }
}

/// Whether `needle` is in `bytes`. By its first byte, which is chosen to be rare.
fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((first, _)) = needle.split_first() else {
        return true;
    };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first) {
        if bytes[from + at..].starts_with(needle) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// A terminal without scrollback; one of no size has one cell.
fn emulator(cols: u16, rows: u16) -> vt100::Parser {
    let size = |cells| NonZeroU16::new(cells).unwrap_or(NonZeroU16::MIN);
    vt100::Parser::new(size(rows), size(cols), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(look: Look) -> Seen {
        Seen {
            parser: (look == Look::Screen).then(|| emulator(20, 4)),
            tail: Vec::new(),
            watches: Vec::new(),
            ended: false,
        }
    }

    fn found(seen: &Seen) -> Vec<bool> {
        seen.watches
            .iter()
            .map(|(_, when)| when.is_some())
            .collect()
    }

    #[test]
    fn bytes_are_found_in_one_read_and_across_two() {
        let mut seen = seen(Look::Bytes);
        seen.watches.push((What::Bytes(b"#@end".to_vec()), None));
        assert!(!seen.take(b"a##@en", Instant::now()));
        assert!(seen.take(b"d", Instant::now()));
        seen.watches.push((What::Bytes(b"#@end".to_vec()), None));
        assert!(!seen.take(b"more", Instant::now()));
        assert_eq!(found(&seen), [true, false]);
        assert!(seen.take(b"..#@end..", Instant::now()));
        assert_eq!(found(&seen), [true, true]);
    }

    #[test]
    fn bytes_that_came_before_do_not_count() {
        let mut seen = seen(Look::Bytes);
        seen.take(b"#@end", Instant::now());
        seen.watches.push((What::Bytes(b"#@end".to_vec()), None));
        assert!(!seen.take(b"x", Instant::now()));
    }

    #[test]
    fn cells_are_found_where_they_are_not_elsewhere() {
        let mut seen = seen(Look::Screen);
        seen.take(b"ready:", Instant::now());
        assert_eq!(seen.find("ready:"), Some((0, 6)));
        seen.watches.push((What::Cell(0, 7, 'x'), None));
        seen.watches.push((What::Cell(0, 6, ' '), None));
        assert!(seen.take(b"\x1b[3;1Hx", Instant::now()));
        assert_eq!(found(&seen), [false, true]);
        assert!(seen.take(b"\x1b[1;8Hx", Instant::now()));
        assert_eq!(found(&seen), [true, true]);
    }
}
