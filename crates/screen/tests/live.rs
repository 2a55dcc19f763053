//! Ours beside tmux and xterm.js, both running: random outputs with wide characters, margins, origin mode, insert mode
//! and wraps. What both show must be shown, and where they differ ours is as one of them, but for what is listed.
//!
//! `PILLION_SEEDS=0..20000` tries others than the few of every run. A difference is judged with more terminals by
//! `tests/terminals/record` (see its README).
#![cfg(feature = "emulator")]
#![allow(
    clippy::disallowed_methods,
    reason = "other terminals are programs, fed through pipes"
)]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    ops::Range,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use common::Seed;
use data_encoding::BASE64;
use pillion_screen::{Screen, Size, Terminal, width::text_columns};
use serde_json::{Value, json};

const COLS: u16 = 20;
const ROWS: u16 = 8;

/// Written behind an output: where it lands is where the cursor was, a pending wrap included.
const PROBE: &str = "~";

/// What every run tries.
const SEEDS: Range<u64> = 0..400;

/// Where ours shows what neither of the two does: as xterm, and most as VTE.
const EXCEPTIONS: [(u64, &str); 8] = [
    (
        185,
        "origin mode, where xterm.js moves up beyond the margin, and DECSTBM with a pending wrap in tmux",
    ),
    (
        230,
        "insert mode pushes nothing out for what goes to the next row",
    ),
    (233, "EL 1 ends a pending wrap"),
    (
        300,
        "CPL stops at the margin, and IL goes to the first column",
    ),
    (
        301,
        "a mark is on the character before it, and a wide one behind a full row is not written",
    ),
    (330, "IL goes to the first column"),
    (365, "ED 0 ends a pending wrap"),
    (377, "a wide one behind a full row is not written"),
];

/// An output on which terminals seldom agree by chance.
fn output(seed: u64) -> String {
    let mut random = Seed(seed);
    let pieces = 4 + random.below(10);
    (0..pieces).map(|_| piece(&mut random)).collect()
}

fn piece(random: &mut Seed) -> String {
    match random.below(8) {
        0..3 => text(random),
        3..6 => csi(random),
        6 => mode(random),
        _ => random
            .pick(&["\r", "\n", "\r\n", "\x08", "\x1bM", "\x1bD", "\x1bE", "\t"])
            .to_owned(),
    }
}

fn text(random: &mut Seed) -> String {
    let words = [
        "ab",
        "漢字",
        "x漢",
        "日",
        "0123456789",
        "e\u{301}",
        "字字字字字字字字字字",
        "end",
        "Z",
    ];
    (0..=random.below(3)).map(|_| random.pick(&words)).collect()
}

fn number(random: &mut Seed, most: usize) -> String {
    match random.below(4) {
        0 => String::new(),
        1 | 2 => (1 + random.below(most)).to_string(),
        _ => "999".to_owned(),
    }
}

fn csi(random: &mut Seed) -> String {
    let (rows, cols) = (usize::from(ROWS), usize::from(COLS));
    // Without HPR and VPR, which tmux doesn't know.
    match random.pick(b"ABCDEFGHJKLMPSTX@`df") {
        // ED 1 on the last row ends xterm.js 6.0.
        b'J' => random.pick(&["\x1b[J", "\x1b[2J"]).to_owned(),
        b'K' => format!("\x1b[{}K", random.below(3)),
        end @ (b'H' | b'f') => {
            let (y, x) = (1 + random.below(rows), 1 + random.below(cols));
            format!("\x1b[{y};{x}{}", char::from(end))
        }
        end => format!("\x1b[{}{}", number(random, 12), char::from(end)),
    }
}

fn mode(random: &mut Seed) -> String {
    let rows = usize::from(ROWS);
    let top = 1 + random.below(rows - 1);
    let bottom = top + 1 + random.below(rows - top);
    match random.below(11) {
        0 => format!("\x1b[{top};{bottom}r"),
        1 => format!("\x1b[{top};{bottom}r\x1b[?6h"),
        2 => "\x1b[?6h".to_owned(),
        3 => "\x1b[?6l".to_owned(),
        4 => "\x1b[4h".to_owned(),
        5 => "\x1b[4l".to_owned(),
        6 => "\x1b7".to_owned(),
        7 => "\x1b8".to_owned(),
        8 => "\x1b[?7l".to_owned(),
        9 => "\x1b[?7h".to_owned(),
        _ => "\x1b[r".to_owned(),
    }
}

/// Rows, and row and column of what is written next.
#[derive(Debug, PartialEq)]
struct Picture {
    rows: Vec<String>,
    next: Option<(usize, usize)>,
}

impl Picture {
    fn of(before: &[String], after: &[String]) -> Picture {
        let place = |(y, row): (usize, &String)| {
            let at = row.rfind(PROBE)?;
            Some((y, text_columns(&row[..at])))
        };
        let mut rows: Vec<String> = before.iter().map(|row| whole(row.trim_end())).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        Picture {
            rows,
            next: after.iter().enumerate().find_map(place),
        }
    }
}

/// Without half a character at the row's end, which some terminals keep and nobody can show.
fn whole(row: &str) -> String {
    let mut row = row.to_owned();
    while text_columns(&row) > usize::from(COLS) {
        row.pop();
    }
    row.trim_end().to_owned()
}

fn ours(output: &str) -> Vec<String> {
    let mut terminal = Terminal::new(Size::new(COLS, ROWS).unwrap());
    terminal.feed(output.as_bytes());
    assert_eq!(terminal.failures(), 0, "{output:?}");
    let mut screen = Screen::blank(terminal.size());
    terminal.capture(&mut screen);
    screen.rows.iter().map(pillion_screen::Row::text).collect()
}

/// xterm.js in a process of its own, which shows one output after the other.
struct XtermJs {
    node: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl XtermJs {
    fn start() -> XtermJs {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/xterm");
        let mut node = Command::new("node")
            .arg(project.join("show.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is missing; run tests/setup and test again");
        let to = node.stdin.take().unwrap();
        let from = BufReader::new(node.stdout.take().unwrap());
        XtermJs { node, to, from }
    }

    fn show(&mut self, output: &str) -> Vec<String> {
        let bytes = BASE64.encode(output.as_bytes());
        let asked = json!({"cols": COLS, "rows": ROWS, "bytes": bytes});
        writeln!(self.to, "{asked}").unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        let shown: Value = serde_json::from_str(&answer).unwrap();
        let row = |row: &Value| -> String {
            let cells = row["cells"].as_array().unwrap().iter();
            cells.filter_map(|cell| cell[0].as_str()).collect()
        };
        shown["rows"].as_array().unwrap().iter().map(row).collect()
    }
}

impl Drop for XtermJs {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

/// tmux, asked through its control mode. Its only window shows what is written into a pipe.
struct Tmux {
    server: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    pane: std::fs::File,
    shown: u64,
    _dir: tempfile::TempDir,
}

impl Tmux {
    fn start() -> Tmux {
        let dir = tempfile::tempdir().unwrap();
        let (socket, config, pipe) = (
            dir.path().join("socket"),
            dir.path().join("config"),
            dir.path().join("pipe"),
        );
        std::fs::write(&config, "set -g status off\nset -g escape-time 0\n").unwrap();
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let (cols, rows) = (COLS.to_string(), ROWS.to_string());
        let program = format!("stty raw -echo; exec cat {}", pipe.display());
        let mut server = Command::new("tmux")
            .args(["-u", "-C", "-S"])
            .arg(&socket)
            .arg("-f")
            .arg(&config)
            .args(["new-session", "-x", &cols, "-y", &rows, &program])
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tmux is missing; run tests/setup and test again");
        let ask = server.stdin.take().unwrap();
        let answers = BufReader::new(server.stdout.take().unwrap());
        // Waits until the window's program reads it.
        let pane = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        let mut tmux = Tmux {
            server,
            ask,
            answers,
            pane,
            shown: 0,
            _dir: dir,
        };
        // What answers the command that began it.
        tmux.answer();
        tmux.ask("refresh-client -f no-output");
        tmux.ask(&format!("refresh-client -C {COLS}x{ROWS}"));
        tmux
    }

    fn ask(&mut self, command: &str) -> Vec<String> {
        writeln!(self.ask, "{command}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Vec<String> {
        let mut lines: Option<Vec<String>> = None;
        let mut end = String::new();
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).unwrap();
            assert!(read > 0, "tmux has ended");
            let line = line.trim_end_matches('\n');
            match (&mut lines, line.strip_prefix("%begin ")) {
                (None, Some(rest)) => {
                    end = format!("%end {rest}");
                    lines = Some(Vec::new());
                }
                (None, None) => {}
                (Some(_), _) if line == end => return lines.unwrap_or_default(),
                (Some(lines), _) => {
                    assert!(!line.starts_with("%error "), "{lines:?}");
                    lines.push(line.to_owned());
                }
            }
        }
    }

    fn show(&mut self, output: &str) -> Vec<String> {
        self.shown += 1;
        // tmux's RIS stays on the alternate screen, and keeps what DECSC kept.
        let reset = "\x18\x1b[?1049l\x1bc\x1b7";
        let title = format!("shown {}", self.shown);
        let bytes = format!("{reset}{output}\x1b]2;{title}\x1b\\");
        self.pane.write_all(bytes.as_bytes()).unwrap();
        // The title changes once everything before it has been shown.
        while self.ask("display-message -p '#{pane_title}'") != [title.as_str()] {
            std::thread::yield_now();
        }
        self.ask("capture-pane -p")
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = writeln!(self.ask, "kill-server");
        let _ = self.server.wait();
    }
}

/// As `tests/terminals/outputs.txt` has it.
fn written(output: &str) -> String {
    let escaped = |ch: char| match ch {
        '\x1b' => "\\e".to_owned(),
        '\r' => "\\r".to_owned(),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\u{301}' => "\\u{301}".to_owned(),
        ch => ch.to_string(),
    };
    output.chars().map(escaped).collect()
}

fn seeds() -> Range<u64> {
    let Ok(given) = std::env::var("PILLION_SEEDS") else {
        return SEEDS;
    };
    let (from, to) = given.split_once("..").expect("PILLION_SEEDS=FROM..TO");
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn random_outputs_are_shown_as_other_terminals_show_them() {
    let (mut tmux, mut xterm_js) = (Tmux::start(), XtermJs::start());
    let (mut both, mut one) = (0, 0);
    let mut wrong = Vec::new();
    for seed in seeds() {
        let output = output(seed);
        let probed = format!("{output}{PROBE}");
        let seen = Picture::of(&ours(&output), &ours(&probed));
        let by_tmux = Picture::of(&tmux.show(&output), &tmux.show(&probed));
        let by_xterm_js = Picture::of(&xterm_js.show(&output), &xterm_js.show(&probed));
        let listed = EXCEPTIONS.iter().any(|(number, _)| *number == seed);
        match (seen == by_tmux, seen == by_xterm_js) {
            (true, true) => both += 1,
            (true, false) | (false, true) => one += 1,
            (false, false) if listed => {}
            (false, false) => wrong.push(format!(
                "seed {seed} | {}\n  ours     {seen:?}\n  tmux     {by_tmux:?}\n  xterm.js {by_xterm_js:?}",
                written(&output)
            )),
        }
    }
    println!("{both} as both show them, {one} as one of them does");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
