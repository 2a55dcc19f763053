//! Screens as escape sequences, shown to terminals that are not ours: xterm.js, cell by cell, and
//! tmux, in text. Both are needed; `tests/setup` installs them.
#![cfg(feature = "emulator")]
#![allow(
    clippy::disallowed_methods,
    reason = "other terminals are programs, fed through pipes and files"
)]

mod common;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{Seed, Taste, evolve};
use data_encoding::BASE64;
use pillion_screen::{
    Attrs, Cell, Color, Decoder, Encoder, Modes, RowSet, Screen, Size, Style, Terminal, Width,
    Wrap,
    emit::{Resume, emit_diff, emit_full, emit_moved, emit_rows, emit_switched},
};
use serde_json::{Value, json};

/// Bytes for a terminal of a size, and the screen it must show then.
struct Case {
    name: String,
    size: Size,
    bytes: Vec<u8>,
    expected: Screen,
    /// Rows were written one after the other: which are wrapped must come out too.
    wraps: bool,
}

impl Case {
    fn full(name: String, screen: &Screen) -> Case {
        let mut bytes = Vec::new();
        emit_full(&[], screen, &mut bytes);
        Case {
            name,
            size: screen.size,
            bytes,
            expected: screen.clone(),
            wraps: !screen.modes.contains(Modes::ALTERNATE_SCREEN),
        }
    }
}

/// What programs write, in small.
const SCRIPTS: [(&str, &str); 8] = [
    (
        "prompt",
        "\x1b[1;32mann@host\x1b[0m:\x1b[1;34m~/src\x1b[0m$ ls\r\nCargo.toml  \x1b[1;34msrc\x1b[0m  target\r\n$ ",
    ),
    (
        "long line",
        "0123456789012345678901234567890123456789012345678901234567890123456789 wraps and wraps\r\nend",
    ),
    (
        "pending wrap",
        "0123456789012345678901234567890123456789\r\n0123456789012345678901234567890123456789",
    ),
    (
        "wide at the edge",
        "a012345678901234567890123456789012345678漢字漢字\r\n漢",
    ),
    (
        "alternate",
        "primary\x1b[?1049h\x1b[H\x1b[7m title \x1b[m\x1b[2;5Hcafe\u{301} \x1b[48;5;17m  \x1b[K\x1b[m\x1b[?25l",
    ),
    (
        "region",
        "\x1b[2J\x1b[3;6r\x1b[3;1Ha\r\nb\r\nc\r\nd\r\ne\r\nf\x1b[r\x1b[8;1Hstatus",
    ),
    (
        "modes",
        "\x1b[?1h\x1b=\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b[?1004h\x1b]2;a title\x07\x1b[4 qtext",
    ),
    (
        "colours",
        "\x1b[38;2;1;2;3m\x1b[48;5;200mA\x1b[4:3m\x1b[58:2::9:8:7mB\x1b[9;3;2mC\x1b[0;93;104mD\x1b]8;;https://a.example\x07link\x1b]8;;\x07",
    ),
];

fn scripted() -> Vec<Case> {
    SCRIPTS
        .iter()
        .map(|(name, script)| {
            let mut terminal = Terminal::new(Size::new(40, 10).unwrap());
            terminal.feed(script.as_bytes());
            let mut screen = Screen::blank(terminal.size());
            terminal.capture(&mut screen);
            Case::full((*name).to_owned(), &screen)
        })
        .collect()
}

/// The same on another terminal, in which a shell has been used.
fn moved() -> Vec<Case> {
    let case = |(name, script): &(&str, &str)| {
        let mut terminal = Terminal::new(Size::new(40, 10).unwrap());
        terminal.feed(script.as_bytes());
        let mut screen = Screen::blank(terminal.size());
        terminal.capture(&mut screen);
        let mut case = Case::full(format!("{name}, moved"), &screen);
        case.bytes = b"\x1bc$ seq 3\r\n1\r\n2\r\n3\r\n$ pillion attach\r\n".to_vec();
        emit_moved(&screen, &terminal.resume(), &mut case.bytes);
        case.wraps = false;
        case
    };
    SCRIPTS.iter().map(case).collect()
}

/// Each in place of another one on the same terminal.
fn switched() -> Vec<Case> {
    let at = |script: &str| {
        let mut terminal = Terminal::new(Size::new(40, 10).unwrap());
        terminal.feed(script.as_bytes());
        let mut screen = Screen::blank(terminal.size());
        terminal.capture(&mut screen);
        (screen, terminal.resume())
    };
    let case = |((name, script), (other, before)): (&(&str, &str), &(&str, &str))| {
        let (screen, resume) = at(script);
        let mut case = Case::full(format!("{name}, in place of {other}"), &screen);
        case.bytes = format!("\x1bc{before}\x18").into_bytes();
        // As `pillion_source` has it.
        case.bytes.extend_from_slice(
            b"\x1b[?2026l\x1b7\x1b[?1049l\x1b[?9;1000;1002;1003;1005;1006;1015l\x1b[?1004;2004;2031l\x1b[<99u\x1b[>4m\x1b[?1;66l\x1b>\x1b[?5l\x1b[4l\x1b[?7h\x1b7\x1b[?6l\x1b[r\x1b8\x0f\x1b(B\x1b[0m\x1b[0 q\x1b[?12l\x1b[?25h",
        );
        emit_switched(&at(before).0.palette, &screen, &resume, &mut case.bytes);
        case.wraps = false;
        case
    };
    let others = SCRIPTS.iter().cycle();
    let next = SCRIPTS.iter().zip(others.clone().skip(1)).map(case);
    let before = SCRIPTS.iter().zip(others.skip(SCRIPTS.len() - 1));
    next.chain(before.map(case)).collect()
}

/// What real programs wrote (`tests/recordings`), on a terminal of 80×24: at several points on the
/// way what a viewer has is drawn, and the program's own bytes up to there must show the same.
fn recorded() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recordings");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "raw"))
        .collect();
    files.sort();
    assert!(
        files.len() >= 5,
        "the recordings are where they are expected"
    );
    files.iter().flat_map(|path| recording(path)).collect()
}

fn recording(path: &Path) -> Vec<Case> {
    let name = path.file_stem().unwrap().to_string_lossy();
    let raw = std::fs::read(path).unwrap();
    let mut terminal = Terminal::new(Size::new(80, 24).unwrap());
    let mut encoder = Encoder::new();
    encoder.encode(&mut terminal, false);
    let mut viewer = Decoder::new();
    viewer.snapshot(&encoder.snapshot().wire).unwrap();
    let mut cases = Vec::new();
    let mut fed = 0;
    for (part, piece) in raw.chunks(raw.len().div_ceil(40)).enumerate() {
        terminal.feed(piece);
        fed += piece.len();
        if let Some(frame) = encoder.encode(&mut terminal, part == 0) {
            viewer.frame(&frame.wire, frame.reset).unwrap();
        }
        if part % 4 == 3 {
            let shown = viewer.screen().unwrap();
            cases.push(Case::full(format!("{name}, part {part}"), shown));
            if terminal.at_ground() {
                cases.push(Case {
                    name: format!("{name}, its own bytes to part {part}"),
                    size: terminal.size(),
                    bytes: raw[..fed].to_vec(),
                    expected: shown.clone(),
                    wraps: false,
                });
            }
        }
    }
    cases
}

fn random(seeds: std::ops::Range<u64>) -> Vec<Case> {
    let case = |seed| {
        let mut random = Seed(seed);
        let size = Size::clamped(2 + random.below(90) as u16, 1 + random.below(30) as u16);
        let mut screen = Screen::blank(size);
        for _ in 0..random.below(30) {
            evolve(&mut random, &mut screen, Taste::Common);
        }
        Case::full(format!("seed {seed}"), &screen)
    };
    seeds.map(case).collect()
}

/// A full screen, then changes of it.
fn changing(seeds: std::ops::Range<u64>) -> Vec<Case> {
    let case = |seed| {
        let mut random = Seed(seed);
        let size = Size::clamped(2 + random.below(60) as u16, 2 + random.below(20) as u16);
        let mut screen = Screen::blank(size);
        evolve(&mut random, &mut screen, Taste::Common);
        screen = Screen {
            size,
            ..resized_back(screen, size)
        };
        let mut case = Case::full(format!("changes from seed {seed}"), &screen);
        for _ in 0..20 {
            let mut next = screen.clone();
            if !evolve(&mut random, &mut next, Taste::Common).resized {
                emit_diff(&screen, &next, &mut case.bytes);
                screen = next;
            }
        }
        case.expected = screen;
        case.wraps = false;
        case
    };
    seeds.map(case).collect()
}

fn resized_back(screen: Screen, size: Size) -> Screen {
    if screen.size == size {
        screen
    } else {
        Screen::blank(size)
    }
}

/// A program's terminal, something drawn over some rows, and those rows drawn again.
fn repainted(seeds: std::ops::Range<u64>) -> Vec<Case> {
    let case = |seed| {
        let mut random = Seed(seed);
        let mut screen = Screen::blank(Size::new(30, 8).unwrap());
        let mut last = screen.clone();
        for _ in 0..20 {
            if evolve(&mut random, &mut screen, Taste::Common).resized {
                screen = last.clone();
            }
            last = screen.clone();
        }
        let mut case = Case::full(format!("repainted from seed {seed}"), &screen);
        // The region begins at the top: xterm.js shows no region, only what follows from it.
        let resume = Resume {
            pen: Style::default(),
            region_top: 0,
            region_end: 8,
            line_drawing: [false; 4],
            shifted: false,
        };
        case.bytes
            .extend_from_slice(b"\x1b[?6l\x1b[4l\x1b[?7h\x1b[2;3H\x1b[41mnotice\x1b[m");
        let mut rows = RowSet::EMPTY;
        rows.insert(1);
        emit_rows(&screen, &rows, &resume, None, &mut case.bytes);
        case.wraps = false;
        case
    };
    seeds.map(case).collect()
}

#[test]
fn xterm_shows_the_same_cells() {
    let mut cases = scripted();
    cases.extend(recorded());
    cases.extend(random(0..150));
    cases.extend(changing(1000..1100));
    cases.extend(repainted(2000..2050));
    cases.extend(moved());
    cases.extend(switched());
    for (case, shown) in cases.iter().zip(xterm(&cases)) {
        compare(case, &shown);
    }
}

#[test]
fn history_stands_above_the_screen() {
    let mut terminal = Terminal::new(Size::new(20, 4).unwrap());
    for line in 0..30 {
        terminal
            .feed(format!("\x1b[3{}mline {line} which is wrapped\x1b[m\r\n", line % 8).as_bytes());
    }
    let mut screen = Screen::blank(terminal.size());
    terminal.capture(&mut screen);
    let margin = terminal.margin(screen.lines.settled, 1000).lines().unwrap();
    assert!(margin.len() > 20, "{}", margin.len());
    let mut case = Case::full("history".to_owned(), &screen);
    case.bytes.clear();
    emit_full(&margin, &screen, &mut case.bytes);
    let shown = xterm(std::slice::from_ref(&case)).remove(0);
    compare(&case, &shown);
    let history: String = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .map(|row| format!("{row:20}"))
        .collect();
    assert!(history.contains("line 0 which is wrap"), "{history}");
    assert!(history.contains("line 20 which is wra"), "{history}");
}

/// Shows every case to xterm.js.
fn xterm(cases: &[Case]) -> Vec<Value> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/xterm");
    let project = project.canonicalize().unwrap();
    assert!(
        project.join("node_modules").is_dir(),
        "xterm.js is missing; run tests/setup (or npm ci --prefix tests/xterm) and test again"
    );
    let mut node = Command::new("node")
        .arg(project.join("show.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is missing; run tests/setup and test again");
    let mut stdin = node.stdin.take().unwrap();
    let questions: String = cases
        .iter()
        .map(|case| {
            let (cols, rows) = (case.size.cols(), case.size.rows());
            let bytes = BASE64.encode(&case.bytes);
            format!("{}\n", json!({"cols": cols, "rows": rows, "bytes": bytes}))
        })
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(questions.as_bytes()));
    let output = node.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), cases.len());
    answers
}

fn compare(case: &Case, shown: &Value) {
    let screen = &case.expected;
    let name = &case.name;
    let bytes = || String::from_utf8_lossy(&case.bytes).replace('\x1b', "␛");
    let last = screen.rows.len() - 1;
    for (y, row) in screen.rows.iter().enumerate() {
        for (x, cell) in row.cells.iter().enumerate() {
            let mut seen = shown["rows"][y]["cells"][x].clone();
            let wanted = as_xterm(cell);
            if cell.width == Width::Spacer {
                seen = seen[1].clone();
            }
            assert_eq!(seen, wanted, "{name}: row {y}, column {x} of\n{}", bytes());
        }
        if case.wraps && y < last {
            let wrapped = shown["rows"][y]["wrapped"].as_bool();
            assert_eq!(
                wrapped,
                Some(row.wrap != Wrap::Ends),
                "{name}: wrap of row {y} of\n{}",
                bytes()
            );
        }
    }
    let cursor = &screen.cursor;
    let (seen, last) = (&shown["cursor"], screen.size.cols() - 1);
    let x = u16::try_from(seen["x"].as_u64().unwrap()).unwrap();
    let place = (x.min(last), seen["y"].as_u64(), seen["hidden"].as_bool());
    let wanted = (cursor.x, Some(u64::from(cursor.y)), Some(!cursor.visible));
    assert_eq!(place, wanted, "{name}: cursor of\n{}", bytes());
    if screen.modes.contains(Modes::AUTOWRAP) {
        let pending = cursor.wrap_pending && cursor.x == last;
        assert_eq!(x > last, pending, "{name}: pending wrap of\n{}", bytes());
    }
    assert_eq!(shown["title"], screen.title, "{name}");
    assert_eq!(
        shown["modes"],
        modes_as_xterm(screen.modes),
        "{name}: {}",
        bytes()
    );
    let alternate = screen.modes.contains(Modes::ALTERNATE_SCREEN);
    assert_eq!(shown["alternate"], alternate, "{name}");
}

fn as_xterm(cell: &Cell) -> Value {
    let color = |color| match color {
        Color::Default => -1,
        Color::Indexed(index) => i64::from(index),
        Color::Rgb(r, g, b) => 0x0100_0000 | i64::from(r) << 16 | i64::from(g) << 8 | i64::from(b),
    };
    let has = |attr| cell.style.attrs.contains(attr);
    let attrs = [
        Attrs::BOLD,
        Attrs::DIM,
        Attrs::ITALIC,
        Attrs::BLINK,
        Attrs::INVERSE,
        Attrs::HIDDEN,
        Attrs::STRIKE,
    ];
    let attrs: u32 = (0..)
        .zip(attrs)
        .map(|(bit, attr)| u32::from(has(attr)) << bit)
        .sum();
    let underlines = [
        Attrs::UNDERLINE,
        Attrs::DOUBLE_UNDERLINE,
        Attrs::CURLY_UNDERLINE,
        Attrs::DOTTED_UNDERLINE,
        Attrs::DASHED_UNDERLINE,
    ];
    let mut underline = (1..)
        .zip(underlines)
        .find(|(_, attr)| has(*attr))
        .map_or(0, |(n, _)| n);
    let extra = cell.extra.as_deref();
    if underline != 0 && extra.is_some_and(|extra| extra.link.is_some()) {
        // xterm.js shows that underlined links are links.
        underline = 5;
    }
    let marks = extra.map_or("", |extra| extra.marks.as_str());
    let columns = match cell.width {
        Width::Narrow => 1,
        Width::Wide => 2,
        Width::Spacer => return json!(0),
    };
    json!([
        format!("{}{marks}", cell.ch),
        columns,
        color(cell.style.fg),
        color(cell.style.bg),
        attrs,
        underline,
    ])
}

fn modes_as_xterm(modes: Modes) -> Value {
    let has = |mode| modes.contains(mode);
    let mouse = if has(Modes::MOUSE_MOTION) {
        "any"
    } else if has(Modes::MOUSE_DRAG) {
        "drag"
    } else if has(Modes::MOUSE_CLICK) {
        "vt200"
    } else {
        "none"
    };
    json!({
        "applicationCursorKeysMode": has(Modes::APP_CURSOR),
        "applicationKeypadMode": has(Modes::APP_KEYPAD),
        "bracketedPasteMode": has(Modes::BRACKETED_PASTE),
        "insertMode": has(Modes::INSERT),
        "mouseTrackingMode": mouse,
        "originMode": has(Modes::ORIGIN),
        "reverseWraparoundMode": false,
        "sendFocusMode": has(Modes::FOCUS),
        "synchronizedOutputMode": false,
        "wraparoundMode": has(Modes::AUTOWRAP),
    })
}

/// A tmux server of our own, ended when the test ends.
struct Tmux {
    dir: tempfile::TempDir,
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}

impl Tmux {
    fn start() -> Tmux {
        let tmux = Tmux {
            dir: tempfile::tempdir().unwrap(),
        };
        let config = "set -g status off\nset -g exit-empty off\n";
        std::fs::write(tmux.path("config"), config).unwrap();
        tmux
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(self.path("socket"))
            .arg("-f")
            .arg(self.path("config"))
            .arg("-u")
            .args(args)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX");
        command
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self
            .command(args)
            .output()
            .expect("tmux is missing; run tests/setup and test again");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The text tmux shows after these bytes.
    fn show(&self, session: &str, case: &Case) -> Vec<String> {
        let mut bytes = case.bytes.clone();
        bytes.extend_from_slice(format!("\x1b]2;shown {session}\x1b\\").as_bytes());
        let file = self.path(session);
        std::fs::write(&file, &bytes).unwrap();
        let program = format!("stty raw -echo; cat {}; exec cat", file.display());
        let (cols, rows) = (case.size.cols().to_string(), case.size.rows().to_string());
        self.run(&[
            "new-session",
            "-d",
            "-s",
            session,
            "-x",
            &cols,
            "-y",
            &rows,
            &program,
        ]);
        let title = format!("shown {session}");
        // The pane's title changes once everything before it has been shown. Each look is a process
        // and takes milliseconds.
        let shown = (0..5000).any(|_| {
            let seen = self.run(&["display-message", "-p", "-t", session, "#{pane_title}"]);
            seen.trim_end() == title
        });
        assert!(shown, "tmux never showed all of {}", case.name);
        let text = self.run(&["capture-pane", "-p", "-t", session]);
        self.run(&["kill-session", "-t", session]);
        text.lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }
}

#[test]
fn tmux_shows_the_same_text() {
    let tmux = Tmux::start();
    let mut cases = scripted();
    // A session of tmux for each takes a while.
    cases.extend(recorded().into_iter().step_by(4));
    cases.extend(random(3000..3020));
    cases.extend(changing(4000..4010));
    for (index, case) in cases.iter().enumerate() {
        let shown = tmux.show(&format!("case{index}"), case);
        for (y, row) in case.expected.rows.iter().enumerate() {
            let line = shown.get(y).map_or("", String::as_str);
            assert_eq!(line, row.text(), "{}: row {y}", case.name);
        }
    }
}
