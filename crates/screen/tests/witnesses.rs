//! Ours beside other terminals: `tests/terminals/shown.jsonl` has what xterm, VTE, tmux and xterm.js show
//! of a table of outputs and of random ones. `tests/terminals/record` has recorded it.
#![cfg(feature = "emulator")]
#![allow(clippy::disallowed_methods, reason = "a test may read its recordings")]

use pillion_screen::{Screen, Size, Terminal, width::text_columns};
use serde::Deserialize;

/// Written behind an output, as the recorder did.
const PROBE: &str = "~";

/// Where ours does not show what most do, and whom it follows.
const EXCEPTIONS: [(&str, &str, &str); 6] = [
    ("title by ESC k", "tmux", "it is no text for anyone to see"),
    (
        "47 shows again what it had",
        "tmux",
        "one alternate screen is enough",
    ),
    (
        "EL 0 at the end without wrap, exactly",
        "vte",
        "there is nothing behind a full row, whether text wraps or not",
    ),
    ("the United Kingdom's set by SO", "vte", "as by `ESC ( A`"),
    ("REP wraps", "tmux", "as over a row"),
    (
        "REP over a row",
        "tmux",
        "nine bytes are not to cost 65,535 characters",
    ),
];

#[derive(Deserialize)]
struct Recorded {
    name: String,
    output: String,
    pictures: Vec<Shown>,
    size: Option<(u16, u16)>,
}

impl Recorded {
    fn size(&self) -> (u16, u16) {
        self.size.unwrap_or((20, 8))
    }
}

#[derive(Deserialize)]
struct Shown {
    by: Vec<String>,
    #[serde(flatten)]
    picture: Picture,
}

/// Rows, and row and column of what is written next.
#[derive(Debug, Deserialize, PartialEq)]
struct Picture {
    rows: Vec<String>,
    next: Option<(usize, usize)>,
}

impl Picture {
    /// Without half a character at a row's end, which some terminals keep and nobody can show.
    fn whole(&self, (cols, _): (u16, u16)) -> Picture {
        let whole = |row: &String| {
            let mut row = row.clone();
            while text_columns(&row) > usize::from(cols) {
                row.pop();
            }
            row.trim_end().to_owned()
        };
        Picture {
            rows: self.rows.iter().map(whole).collect(),
            next: self.next,
        }
    }
}

fn recorded(path: &str) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Recorded> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines
}

fn rows((cols, rows): (u16, u16), output: &str) -> Vec<String> {
    let mut terminal = Terminal::new(Size::new(cols, rows).unwrap());
    terminal.feed(output.as_bytes());
    assert_eq!(terminal.failures(), 0, "{output:?}");
    let mut screen = Screen::blank(terminal.size());
    terminal.capture(&mut screen);
    // Composed, as the recorder has it.
    let text = screen
        .text()
        .replace("e\u{301}", "é")
        .replace("a\u{301}", "á");
    let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    rows
}

fn ours(line: &Recorded) -> Picture {
    let size = line.size();
    let place = |(y, row): (usize, &String)| {
        let before = row.rfind(PROBE)?;
        Some((y, text_columns(&row[..before])))
    };
    Picture {
        rows: rows(size, &line.output),
        next: rows(size, &format!("{}{PROBE}", line.output))
            .iter()
            .enumerate()
            .find_map(place),
    }
}

/// What ours is to show: what most show, and among equals what xterm does. Nothing when no two agree.
fn expected(line: &Recorded) -> Option<&Shown> {
    let weight = |shown: &Shown| {
        let exception = EXCEPTIONS.iter().find(|(name, ..)| *name == line.name);
        let follows = exception.is_some_and(|(_, by, _)| shown.by.iter().any(|name| name == by));
        let xterm = shown.by.iter().any(|name| name == "xterm");
        (follows, shown.by.len(), xterm)
    };
    let most = line.pictures.iter().max_by_key(|shown| weight(shown));
    most.filter(|shown| shown.by.len() > 1 || weight(shown).0)
}

/// Those that ours shows otherwise.
fn different(all: &[Recorded]) -> Vec<String> {
    let different = |line: &Recorded| {
        let wanted = expected(line)?;
        let seen = ours(line);
        (seen != wanted.picture.whole(line.size())).then(|| {
            let by = wanted.by.join(", ");
            let Recorded { name, output, .. } = line;
            let wanted = &wanted.picture;
            format!("{name}: {output:?}\n  ours {seen:?}\n  {by} {wanted:?}")
        })
    };
    all.iter().filter_map(different).collect()
}

#[test]
fn what_most_terminals_show_is_shown() {
    let all = recorded(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/terminals/shown.jsonl"
    ));
    assert!(
        all.len() >= 800,
        "the recordings are where they are expected"
    );
    for (name, ..) in EXCEPTIONS {
        assert!(all.iter().any(|line| line.name == name), "no {name}");
    }
    let wrong = different(&all);
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// vttest's screens, or more random outputs, recorded into a file by `tests/terminals/record`.
#[test]
#[ignore = "needs a recording: see tests/terminals/README.md"]
fn what_most_terminals_show_of_other_outputs_is_shown() {
    let file = std::env::var("PILLION_SHOWN").expect("PILLION_SHOWN names the recording");
    let all = recorded(&file);
    let wrong = different(&all);
    let agreed = all.iter().filter(|line| expected(line).is_some()).count();
    println!(
        "{} of {agreed} of {} screens are shown",
        agreed - wrong.len(),
        all.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
