//! Ours beside other terminals: `tests/terminals/shown.jsonl` has what xterm, VTE, tmux and xterm.js show
//! of a table of outputs and of random ones. `tests/terminals/record` has recorded it.
#![cfg(feature = "emulator")]
#![allow(clippy::disallowed_methods, reason = "a test may read its recordings")]

use pillion_screen::{Screen, Size, Terminal, width::text_columns};
use serde::Deserialize;

/// Written behind an output, as the recorder did.
const PROBE: &str = "~";

/// Where ours does not show what most do, and whom it follows.
const EXCEPTIONS: [(&str, &str, &str); 11] = [
    ("title by ESC k", "tmux", "it is no text for anyone to see"),
    (
        "ICH pushes half off the row",
        "vte",
        "half a character can't be shown",
    ),
    (
        "insert mode pushes half off the row",
        "vte",
        "half a character can't be shown",
    ),
    (
        "insert mode, wide in the last column",
        "tmux",
        "nothing is drawn below a blank",
    ),
    (
        "47 shows again what it had",
        "tmux",
        "one alternate screen is enough",
    ),
    ("the United Kingdom's set by SO", "vte", "as by `ESC ( A`"),
    ("REP wraps", "tmux", "as over a row"),
    ("random 42", "tmux", "nothing is drawn below a blank"),
    ("random 577", "xterm.js", "nothing is drawn below a blank"),
    ("random 597", "vte", "half a character can't be shown"),
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

fn recorded() -> Vec<Recorded> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/terminals/shown.jsonl"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Recorded> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines.len() >= 700,
        "the recordings are where they are expected"
    );
    lines
}

fn rows(output: &str) -> Vec<String> {
    let mut terminal = Terminal::new(Size::new(20, 8).unwrap());
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

fn ours(output: &str) -> Picture {
    let place = |(y, row): (usize, &String)| {
        let before = row.rfind(PROBE)?;
        Some((y, text_columns(&row[..before])))
    };
    Picture {
        rows: rows(output),
        next: rows(&format!("{output}{PROBE}"))
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

#[test]
fn what_most_terminals_show_is_shown() {
    let all = recorded();
    let mut wrong = Vec::new();
    for line in &all {
        let seen = ours(&line.output);
        let Some(wanted) = expected(line) else {
            continue;
        };
        if seen != wanted.picture {
            wrong.push(format!(
                "{}: {:?}\n  ours {seen:?}\n  {} {:?}",
                line.name,
                line.output,
                wanted.by.join(", "),
                wanted.picture
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n")
    );
}
