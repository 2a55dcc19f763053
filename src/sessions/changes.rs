//! What changed where an agent works, as text and for scripts.

use std::io::{self, Write};

use pillion_conversation::{ChangedFile, ChangedFiles, Changes};
use pillion_screen::clean::clean_title;
use serde_json::{Value, json};

/// Longest path in what is printed, in characters.
const MAX_PATH: usize = 1024;

/// What of it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Since the conversation began.
    Start,
    /// In a turn, counted from 1.
    Turn(u64),
}

/// Why there is nothing to print, as a sentence.
pub fn missing(changes: &Changes, wanted: Wanted) -> Option<String> {
    if !changes.fault.is_empty() {
        return Some(changes.fault.clone());
    }
    let Wanted::Turn(turn) = wanted else {
        return None;
    };
    let held = |which: Option<&pillion_conversation::TurnChanges>| which.map(|turn| turn.turn);
    let (first, last) = (held(changes.turns.first()), held(changes.turns.last()));
    match (changes.turn(turn), first, last) {
        (Some(_), ..) => None,
        (None, Some(first), Some(last)) => Some(format!(
            "nothing is known of turn {turn}: of turns {first} to {last} it is known what changed"
        )),
        (None, ..) => Some("no turn has ended yet".to_owned()),
    }
}

fn set(changes: &Changes, wanted: Wanted) -> Option<&ChangedFiles> {
    match wanted {
        Wanted::Start => Some(&changes.start),
        Wanted::Turn(turn) => changes.turn(turn),
    }
}

/// For scripts: `known`, `turn` (the newest), `turns` (of which it is known), `files` (each `path`, `old_path`, `operation`,
/// `added`, `removed`, `binary`, `patch`, `omitted`), `left_out`.
pub fn to_json(changes: &Changes, wanted: Wanted) -> Value {
    let file = |file: &ChangedFile| {
        json!({
            "path": file.path, "old_path": file.old_path, "operation": file.operation, "added": file.added,
            "removed": file.removed, "binary": file.binary, "patch": file.patch, "omitted": file.omitted,
        })
    };
    let set = set(changes, wanted);
    let files = set.map(|set| set.files.iter().map(file).collect::<Vec<_>>());
    let turns: Vec<u64> = changes.turns.iter().map(|turn| turn.turn).collect();
    json!({
        "known": changes.fault.is_empty() && changes.entry > 0,
        "turn": turns.last(),
        "turns": turns,
        "files": files,
        "left_out": set.map(|set| set.left_out),
    })
}

/// As git prints differences, with a list in front.
///
/// # Errors
/// `out` can't be written.
pub fn write(changes: &Changes, wanted: Wanted, out: &mut impl Write) -> io::Result<()> {
    let Some(set) = set(changes, wanted) else {
        return Ok(());
    };
    for file in &set.files {
        let path = clean_title(&file.path, MAX_PATH);
        match file.binary {
            true => writeln!(out, "{} {path} (binary)", file.operation)?,
            false => writeln!(
                out,
                "{} {path} +{} -{}",
                file.operation, file.added, file.removed
            )?,
        }
    }
    if set.left_out > 0 {
        writeln!(
            out,
            "and {} more files that are not looked at",
            set.left_out
        )?;
    }
    for file in &set.files {
        writeln!(out)?;
        for line in file.patch.lines() {
            writeln!(out, "{}", clean_title(line, usize::MAX))?;
        }
        if file.omitted > 0 {
            writeln!(out, "[… {} bytes more]", file.omitted)?;
        }
    }
    Ok(())
}
