//! A terminal: a pseudo-terminal, and an emulator that is not ours.

use std::{
    fs::File,
    io::{PipeReader, PipeWriter, Read, Write},
    num::NonZeroU16,
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Instant,
};

use rustix::event::{PollFd, PollFlags};

use super::PATIENCE;

/// How much of what a program wrote is kept, in bytes; the oldest half goes beyond that.
const KEPT: usize = 32 << 20;

/// A program in a terminal.
pub struct Term {
    child: Child,
    window: Option<Window>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

/// The terminal's own end of it.
struct Window {
    input: File,
    pty: pty_process::blocking::Pty,
    /// Ends the thread that reads, which has a descriptor of its own.
    _open: PipeWriter,
}

struct Seen {
    parser: vt100::Parser<Answers>,
    /// What came, for what a screen does not show.
    raw: Vec<u8>,
    ended: bool,
}

impl Term {
    /// Starts a program.
    pub fn start(command: Command, (cols, rows): (u16, u16)) -> Term {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(rows, cols)).unwrap();
        let child = in_pty(&command).spawn(pts).unwrap();
        let fd: OwnedFd = rustix::io::fcntl_dupfd_cloexec(&pty, 3).unwrap();
        let input = File::from(fd);
        let seen = Arc::new((
            Mutex::new(Seen {
                parser: vt100::Parser::new_with_callbacks(
                    cells(rows),
                    cells(cols),
                    0,
                    Answers::default(),
                ),
                raw: Vec::new(),
                ended: false,
            }),
            Condvar::new(),
        ));
        let (shared, terminal) = (Arc::clone(&seen), input.try_clone().unwrap());
        let (closed, open) = std::io::pipe().unwrap();
        std::thread::spawn(move || read_all(terminal, &closed, &shared));
        let window = Some(Window {
            input,
            pty,
            _open: open,
        });
        Term {
            child,
            window,
            seen,
        }
    }

    pub fn send(&mut self, keys: &str) {
        self.send_bytes(keys.as_bytes());
    }

    pub fn send_bytes(&mut self, keys: &[u8]) {
        self.window().input.write_all(keys).unwrap();
    }

    pub fn resize(&self, cols: u16, rows: u16) {
        self.lock()
            .parser
            .screen_mut()
            .set_size(cells(rows), cells(cols));
        let window = self.window.as_ref().unwrap();
        window
            .pty
            .resize(pty_process::Size::new(rows, cols))
            .unwrap();
    }

    fn window(&mut self) -> &mut Window {
        self.window.as_mut().expect("the window is open")
    }

    /// Closes the window, as its button does: the terminal is gone, and the program is told.
    pub fn close(&mut self) {
        self.window = None;
    }

    /// Waits for the end of a program whose window was closed; its exit code.
    pub fn wait_code_closed(&mut self) -> Option<i32> {
        let child = &mut self.child;
        super::until("the end of a program without its window", || {
            child.try_wait().unwrap()
        })
        .code()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The screen as text, now, without blanks at the rows' ends.
    pub fn text(&self) -> String {
        trimmed(self.lock().parser.screen())
    }

    /// The screen, now.
    pub fn screen(&self) -> vt100::Screen {
        self.lock().parser.screen().clone()
    }

    /// What the program has written.
    pub fn raw(&self) -> Vec<u8> {
        self.lock().raw.clone()
    }

    /// What the program has written, as text.
    pub fn raw_text(&self) -> String {
        String::from_utf8_lossy(&self.lock().raw).into_owned()
    }

    /// What was asked of the terminal, in order; each was answered once.
    pub fn asked(&self) -> Vec<&'static str> {
        self.lock().parser.callbacks().asked.clone()
    }

    /// Waits until the screen shows `text`.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(&format!("{text:?}"), |screen| shows(screen, text));
    }

    /// Waits until the screen no longer shows `text`.
    pub fn wait_gone(&self, text: &str) {
        self.wait_until(&format!("{text:?} to go"), |screen| !shows(screen, text));
    }

    /// Waits until the screen satisfies `done`.
    pub fn wait_until(&self, what: &str, mut done: impl FnMut(&vt100::Screen) -> bool) {
        self.wait(what, |seen| done(seen.parser.screen()));
    }

    /// Waits until the program has written `text`, whatever the screen shows of it.
    pub fn wait_raw(&self, text: &str) {
        self.wait(&format!("{text:?} to be written"), |seen| {
            contains(&seen.raw, text.as_bytes())
        });
    }

    /// Waits for the program's end.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        while !seen.ended {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let screen = seen.parser.screen().contents();
                drop(seen);
                panic!("the program never ended; the screen:\n{screen}");
            }
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
        drop(seen);
        self.child.wait().unwrap()
    }

    /// Waits for the program's end; its exit code.
    pub fn wait_code(&mut self) -> Option<i32> {
        self.wait_exit().code()
    }

    /// The process that hosts the session, of a host in a terminal: the command holds the terminal only.
    pub fn session_pid(&self) -> u32 {
        session_process(self.pid()).unwrap_or(self.pid())
    }

    /// Ends the program as a power cut would, and the session it hosts.
    pub fn kill(&mut self) {
        self.kill_session();
        self.kill_command();
    }

    /// Ends the program alone.
    pub fn kill_command(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the session's own process alone.
    pub fn kill_session(&mut self) {
        if let Some(pid) = session_process(self.pid()) {
            kill_process_of(pid);
        }
    }

    fn wait(&self, what: &str, mut done: impl FnMut(&Seen) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.lock();
        while !done(&seen) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.ended {
                let (screen, ended) = (seen.parser.screen().contents(), seen.ended);
                drop(seen);
                let ended = if ended { " (the program ended)" } else { "" };
                panic!("waited too long for {what}{ended}; the screen:\n{screen}");
            }
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.0.lock().unwrap()
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        // It may have ended; a test that panics leaves nothing running either way.
        self.kill_session();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn in_pty(command: &Command) -> pty_process::blocking::Command {
    let mut with_pty =
        pty_process::blocking::Command::new(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        with_pty = match value {
            Some(value) => with_pty.env(name, value),
            None => with_pty.env_remove(name),
        };
    }
    match command.get_current_dir() {
        Some(dir) => with_pty.current_dir(dir),
        None => with_pty,
    }
}

fn read_all(mut terminal: File, closed: &PipeReader, shared: &(Mutex<Seen>, Condvar)) {
    let mut buffer = [0; 65536];
    loop {
        let mut fds = [
            PollFd::new(&terminal, PollFlags::IN),
            PollFd::new(closed, PollFlags::IN),
        ];
        if rustix::event::poll(&mut fds, None).is_ok() && !fds[1].revents().is_empty() {
            return;
        }
        let read = terminal.read(&mut buffer).unwrap_or(0);
        let mut seen = shared.0.lock().unwrap();
        if read == 0 {
            seen.ended = true;
            shared.1.notify_all();
            return;
        }
        seen.parser.process(&buffer[..read]);
        if seen.raw.len() > KEPT {
            seen.raw.drain(..KEPT / 2);
        }
        seen.raw.extend_from_slice(&buffer[..read]);
        let reply = std::mem::take(&mut seen.parser.callbacks_mut().reply);
        shared.1.notify_all();
        drop(seen);
        // Nobody reads answers of a terminal that is being closed.
        let _ = terminal.write_all(&reply);
    }
}

/// The session's own process that a command has started.
fn session_process(command: u32) -> Option<u32> {
    let children = format!("/proc/{command}/task/{command}/children");
    let children = std::fs::read_to_string(children).unwrap_or_default();
    children.split_whitespace().find_map(|pid| {
        let args = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        contains(&args, b"--session-process")
            .then(|| pid.parse().ok())
            .flatten()
    })
}

/// Kills a process that is not ours to wait for, until it is gone.
pub fn kill_process_of(pid: u32) {
    let raw = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let _ = rustix::process::kill_process(raw, rustix::process::Signal::KILL);
    super::until("a killed process to go", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat
            .rsplit_once(") ")
            .map(|(_, rest)| rest.starts_with('Z'));
        // One that nobody has waited for yet holds nothing any more, once the last of its threads is gone.
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        (state.unwrap_or(true) && threads <= 1).then_some(())
    });
}

/// Whether a screen shows `text`. Blanks at the end of a row may have been drawn or not.
fn shows(screen: &vt100::Screen, text: &str) -> bool {
    screen.contents().contains(text) || trimmed(screen).contains(text)
}

fn trimmed(screen: &vt100::Screen) -> String {
    let contents = screen.contents();
    let rows = contents.lines().map(|row| row.trim_end().to_owned() + "\n");
    rows.collect()
}

/// A size as the emulator takes it.
pub fn cells(size: u16) -> NonZeroU16 {
    NonZeroU16::new(size).expect("a terminal has rows and columns")
}

pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// What a terminal says when it is asked, as xterm would.
#[derive(Default)]
struct Answers {
    reply: Vec<u8>,
    asked: Vec<&'static str>,
}

impl Answers {
    fn say(&mut self, asked: &'static str, answer: &str) {
        self.asked.push(asked);
        self.reply.extend_from_slice(answer.as_bytes());
    }
}

impl vt100::Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        i1: Option<u8>,
        _: Option<u8>,
        params: &[&[u16]],
        end: char,
    ) {
        let first = params
            .first()
            .and_then(|param| param.first())
            .copied()
            .unwrap_or(0);
        match (i1, end, first) {
            (None, 'n', 5) => self.say("DSR 5", "\x1b[0n"),
            (None, 'n', 6) => {
                let ((row, col), (_, cols)) = (screen.cursor_position(), screen.size());
                let cols = cols.get();
                self.say(
                    "DSR 6",
                    &format!("\x1b[{};{}R", row + 1, (col + 1).min(cols)),
                );
            }
            (None, 'c', 0) => self.say("DA1", "\x1b[?62;22c"),
            (Some(b'>'), 'c', 0) => self.say("DA2", "\x1b[>0;10;1c"),
            _ => {}
        }
    }

    fn unhandled_osc(&mut self, _: &mut vt100::Screen, params: &[&[u8]]) {
        match params {
            [b"10", b"?"] => self.say("OSC 10", "\x1b]10;rgb:c0c0/c1c1/c2c2\x1b\\"),
            [b"11", b"?"] => self.say("OSC 11", "\x1b]11;rgb:1010/1111/1212\x1b\\"),
            _ => {}
        }
    }
}
