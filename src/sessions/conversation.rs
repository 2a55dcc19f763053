//! Conversations with agents as the log has them.

use std::io::{self, Write};

use anyhow::{Context, Result};
use pillion_conversation::{Activity, Block, Conversation, Item, ItemBody, ItemId, Notice, Tool};
use pillion_proto::Entry;
use pillion_screen::clean::clean_title;
use pillion_store::SessionReader;
use pillion_tui::words;
use serde_json::{Value, json};

use crate::sessions::recording::RecordedTrack;

/// Entries, and encoded bytes of them, read from the log at once.
const AT_ONCE: u32 = 4096;
const BYTES_AT_ONCE: usize = 1 << 20;

/// Items are written down once so many have come after them: later entries change only the newest.
const SETTLED: usize = 512;

/// Longest title in a transcript, in characters.
const MAX_TITLE: usize = 200;

/// Gives every entry of a conversation, in order, whole.
///
/// # Errors
/// The log can't be read, or what `each` says.
pub fn each_entry(
    reader: &SessionReader,
    track: &RecordedTrack,
    mut each: impl FnMut(&Entry) -> Result<()>,
) -> Result<()> {
    let mut next = 0;
    loop {
        let before = next;
        for chunk in reader.history_range(track.place(), next, AT_ONCE, BYTES_AT_ONCE)? {
            let entries = Entry::decode_recorded(&chunk.bytes);
            for entry in entries.context("a part of the log is damaged")? {
                if entry.number >= next {
                    next = entry.number + 1;
                    each(&entry)?;
                }
            }
        }
        if next == before {
            return Ok(());
        }
    }
}

/// What a conversation has come to.
///
/// # Errors
/// The log can't be read.
pub fn folded(reader: &SessionReader, track: &RecordedTrack) -> Result<Conversation> {
    let mut shown = Conversation::new();
    each_entry(reader, track, |entry| {
        let json = String::from_utf8_lossy(&entry.json);
        shown.apply_text(&pillion_conversation::shown(&json));
        Ok(())
    })?;
    Ok(shown)
}

/// Writes a conversation as plain text.
///
/// # Errors
/// The log can't be read or `out` not written.
pub fn transcript(
    reader: &SessionReader,
    track: &RecordedTrack,
    out: &mut impl Write,
) -> Result<()> {
    let (mut shown, mut printer) = (Conversation::new(), Printer::default());
    each_entry(reader, track, |entry| {
        shown.apply_text(&String::from_utf8_lossy(&entry.json));
        if shown.items().count() > 2 * SETTLED {
            printer.print(&shown, false, out)?;
            let first = shown.items().find(|(id, _)| *id >= printer.next);
            let first = first.map(|(_, item)| item.first);
            // What is written down is held no longer.
            shown = shown.visible_from(first.unwrap_or_default());
        }
        Ok(())
    })?;
    Ok(printer.print(&shown, true, out)?)
}

/// Writes items down, each once.
#[derive(Debug, Default)]
pub struct Printer {
    next: ItemId,
}

impl Printer {
    /// Writes what is new; what may still change only when `all` is wanted.
    ///
    /// # Errors
    /// `out` can't be written.
    pub fn print(
        &mut self,
        shown: &Conversation,
        all: bool,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let is_idle = matches!(shown.activity(0), Activity::Idle | Activity::Stopped);
        let held = shown.items().count();
        // While the agent works its newest items change.
        let settled = match all || is_idle {
            true => held,
            false => held.saturating_sub(SETTLED.min(held / 2).max(1)),
        };
        for (id, item) in shown.items().take(settled) {
            if id >= self.next {
                write_item(item, out)?;
                self.next = id + 1;
            }
        }
        Ok(())
    }
}

/// How a conversation stands, for scripts: `activity` (`idle`, `working`, `needs_answer`, `stopped`), `agent`,
/// `queue` (`prompt`, `by`, `text`, `held`, `needs_yes`), `questions` (`question`, `title`, `command`, `choices` with
/// `id`, `name` and `kind`, `claimed_by`), `rules`, `trusted`, `options`, `usage`.
pub fn standing(shown: &Conversation) -> Value {
    let main = &shown.threads()[0];
    let activity = match shown.activity(0) {
        Activity::Idle => "idle",
        Activity::Working => "working",
        Activity::NeedsAnswer => "needs_answer",
        Activity::Stopped => "stopped",
    };
    let queue = shown.queue().iter().map(|prompt| {
        json!({
            "prompt": prompt.number, "by": prompt.by.name, "text": prompt.text.as_str(), "held": prompt.held,
            "needs_yes": prompt.needs_yes,
        })
    });
    let questions = shown.open_questions().map(|(id, question)| {
        let choices = question.choices.iter();
        let choices = choices
            .map(|choice| json!({"id": choice.id, "name": choice.name, "kind": choice.kind_word}));
        json!({
            "question": id, "title": question.title, "command": question.command.as_str(),
            "choices": choices.collect::<Vec<_>>(),
            "claimed_by": question.claimed_by.as_ref().map(|by| by.name.clone()),
        })
    });
    let rules = shown.rules().iter().map(|rule| {
        json!({"rule": rule.number, "by": rule.by.name, "tool": rule.tool, "command": rule.command})
    });
    let trusted = shown.trusted().iter();
    let trusted = trusted.map(|one| json!({"key": one.person, "trust": one.how}));
    let options = main.options.iter();
    let options = options.map(|option| json!({"option": option.id, "value": option.value}));
    json!({
        "activity": activity,
        "agent": {"name": shown.agent().name, "version": shown.agent().version},
        "entries": shown.next(),
        "queue": queue.collect::<Vec<_>>(),
        "questions": questions.collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
        "trusted": trusted.collect::<Vec<_>>(),
        "options": options.collect::<Vec<_>>(),
        "usage": {"used": main.usage.used, "size": main.usage.size, "cost": main.usage.cost},
    })
}

fn write_item(item: &Item, out: &mut impl Write) -> io::Result<()> {
    let indent = if item.thread == 0 { "" } else { "  " };
    match &item.body {
        ItemBody::Prompt(prompt) => {
            let by = prompt.by.as_ref().map_or("", |by| by.name.as_str());
            writeln!(out, "\n{indent}> {}", clean_title(by, MAX_TITLE))?;
            blocks(&prompt.content, indent, out)
        }
        ItemBody::Response(said) => blocks(&said.content, indent, out),
        ItemBody::Thought(thought) => {
            writeln!(out, "{indent}[thought]")?;
            blocks(&thought.content, "  ", out)
        }
        ItemBody::Tool(tool) => write_tool(tool, indent, out),
        ItemBody::Terminal(terminal) => {
            writeln!(
                out,
                "{indent}$ {}",
                clean_title(&terminal.command, MAX_TITLE)
            )?;
            text(&String::from_utf8_lossy(terminal.output.bytes()), "  ", out)
        }
        ItemBody::Question(question) => {
            let answer = question.outcome.as_ref();
            let by = answer.and_then(|answer| answer.by.as_ref());
            let word = answer.map_or("open", |answer| match answer.choice.as_str() {
                "" => answer.word.as_str(),
                choice => choice,
            });
            let by = by.map_or(String::new(), |by| match by.name.is_empty() {
                true => format!(" ({})", by.right),
                false => format!(" by {}", by.name),
            });
            let title = match question.title.is_empty() {
                true => question.command.as_str(),
                false => question.title.as_str(),
            };
            let said = format!("{title}: {word}{by}");
            writeln!(out, "{indent}[asked] {}", clean_title(&said, MAX_TITLE))
        }
        ItemBody::TurnEnd(end) => {
            let said = match end.error.is_empty() {
                true => end.stop_word.clone(),
                false => format!("{}: {}", end.stop_word, end.error),
            };
            writeln!(
                out,
                "{indent}[turn ended] {}",
                clean_title(&said, MAX_TITLE)
            )
        }
        ItemBody::Notice(notice) => write_notice(notice, indent, out),
        ItemBody::Unknown(unknown) => {
            let kind = clean_title(&unknown.kind, MAX_TITLE);
            writeln!(
                out,
                "{indent}[update of kind {kind}, {} times]",
                unknown.count
            )
        }
        ItemBody::Newer(_) => writeln!(out, "{indent}[something this Pillion can't read]"),
    }
}

fn write_tool(tool: &Tool, indent: &str, out: &mut impl Write) -> io::Result<()> {
    let title = match tool.title.is_empty() {
        true => &tool.name,
        false => &tool.title,
    };
    let said = format!("{title} ({})", tool.status_word);
    writeln!(out, "{indent}[tool] {}", clean_title(&said, MAX_TITLE))?;
    for content in &tool.content {
        blocks(std::slice::from_ref(&content.block), "  ", out)?;
        for change in &content.diff.changes {
            let path = clean_title(&change.path, MAX_TITLE);
            writeln!(
                out,
                "{indent}  [{} {path}]",
                clean_title(&change.operation, MAX_TITLE)
            )?;
        }
    }
    Ok(())
}

fn write_notice(notice: &Notice, indent: &str, out: &mut impl Write) -> io::Result<()> {
    if let Some(said) = words::run(notice) {
        return writeln!(out, "{indent}[{}]", clean_title(&said, MAX_TITLE));
    }
    let exit = notice
        .exit
        .as_ref()
        .map(|exit| match (&exit.fault, exit.code) {
            (fault, _) if !fault.is_empty() => fault.clone(),
            (_, Some(code)) => format!("exit code {code}"),
            _ => exit.signal.clone(),
        });
    let said = [
        notice.word.as_str(),
        &notice.title,
        notice.description.as_str(),
        exit.as_deref().unwrap_or_default(),
    ];
    let said: Vec<&str> = said.into_iter().filter(|part| !part.is_empty()).collect();
    writeln!(
        out,
        "{indent}[{}]",
        clean_title(&said.join(": "), MAX_TITLE)
    )
}

fn blocks(blocks: &[Block], indent: &str, out: &mut impl Write) -> io::Result<()> {
    for block in blocks {
        // A file that was given along is named.
        if block.kind != "resource" {
            text(block.text.as_str(), indent, out)?;
        }
        if block.kind != "text" && !block.kind.is_empty() {
            let name = format!("{} {}{}", block.kind, block.name, block.uri);
            writeln!(out, "{indent}[{}]", clean_title(name.trim(), MAX_TITLE))?;
        }
    }
    Ok(())
}

/// A text, cleaned line by line.
fn text(text: &str, indent: &str, out: &mut impl Write) -> io::Result<()> {
    for line in text.lines() {
        writeln!(out, "{indent}{}", clean_title(line, usize::MAX))?;
    }
    Ok(())
}
