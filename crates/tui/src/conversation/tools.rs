//! Tools that the agent uses, and what they show, in rows.

use pillion_conversation::{
    Exit, ItemBody, Json, Terminal, Tool, ToolContent, ToolKind, ToolStatus,
};
use pillion_screen::Attrs;

use super::{
    diff,
    items::{Around, INDENT, Laid, describe, how_it_ended},
    output,
    span::{DIM, GREEN, Line, PLAIN, RED, YELLOW, hang, lines, with},
};
use crate::text;

/// Rows of a change that are shown while it is folded.
const DIFF_ROWS: usize = 8;

/// Lines of a command's output that are shown while it is folded: its last ones.
const TAIL_LINES: usize = 3;

/// Of output that is folded no more is looked at than its last bytes.
const TAIL_BYTES: usize = 8 * 1024;

impl Around<'_> {
    /// Reads and searches one after the other, as one line, and when `open` one line each.
    pub(super) fn run(&self, tools: &[&Tool], open: bool) -> Laid {
        let count = |kind| tools.iter().filter(|tool| tool.kind() == kind).count();
        let goes_on = tools.iter().rev().find(|tool| is_going_on(tool.status()));
        let mut said = Vec::new();
        match count(ToolKind::Read) {
            0 => {}
            1 => said.push("read 1 file".to_owned()),
            reads => said.push(format!("read {reads} files")),
        }
        match count(ToolKind::Search) {
            0 => {}
            1 => said.push("searched once".to_owned()),
            2 => said.push("searched twice".to_owned()),
            searches => said.push(format!("searched {searches} times")),
        }
        let status = goes_on.map_or(ToolStatus::Completed, |tool| tool.status());
        let mut head = glyph(status).and(&said.join(", "), PLAIN);
        if let Some(tool) = goes_on {
            head.push(": ", DIM);
            head.push(&title(tool), DIM);
        }
        let mut rows = vec![head.cut(self.cols)];
        if open {
            let each = tools.iter().map(|tool| {
                let mut line = Line::new(INDENT, PLAIN);
                line.extend(&tool_head(tool));
                line.cut(self.cols)
            });
            rows.extend(each);
        }
        Laid { rows, folds: true }
    }

    pub(super) fn tool(&self, thread: u32, tool: &Tool, open: bool) -> Laid {
        let mut head = tool_head(tool);
        let mut rows = Vec::new();
        let inner = self.narrowed(4);
        let mut folds = false;
        let todos = todos(tool);
        let command = command_of(tool);
        if let Some(command) = &command
            && !head.plain_text().contains(command.trim())
        {
            let line = Line::new("$ ", DIM).and(command, PLAIN);
            match open {
                true => rows.extend(inner.commands(command)),
                false => {
                    folds |= command.contains('\n') || line.width() > inner.cols;
                    rows.push(line.cut(inner.cols));
                }
            }
        }
        for (status, content) in &todos {
            rows.extend(inner.step(status, content));
        }
        if open && todos.is_empty() && command.is_none() && !tool.input.is_empty() {
            rows.extend(inner.json("with", tool.input.as_str(), tool.input.omitted()));
        }
        let shows_tail =
            matches!(tool.kind(), ToolKind::Execute) || tool.status() == ToolStatus::Failed;
        let mut shown = false;
        for content in &tool.content {
            if content.kind == "diff" {
                let lines = diff::Lines::of(&content.diff);
                head.push(INDENT, PLAIN);
                head.extend(&lines.counts());
                let all = lines.rows(inner.cols);
                folds |= all.len() > DIFF_ROWS;
                rows.extend(inner.shortened(all, DIFF_ROWS, open));
                shown = true;
                continue;
            }
            let part = inner.part(thread, content, open, shows_tail);
            folds |= part.folds;
            shown |= part.shown;
            rows.extend(part.rows);
            if !part.note.is_blank() {
                head.push(INDENT, PLAIN);
                head.extend(&part.note);
            }
        }
        if !shown && !tool.output.is_empty() && todos.is_empty() {
            folds = true;
            if open {
                rows.extend(inner.json("gave", tool.output.as_str(), tool.output.omitted()));
            }
        }
        folds |= todos.is_empty() && command.is_none() && !tool.input.is_empty();
        let head = match open {
            true => self.hung(INDENT, &head),
            false => vec![head.cut(self.cols)],
        };
        let before = Line::new("    ", PLAIN);
        let all = head.into_iter().chain(hang(&before, &before, rows));
        Laid {
            rows: all.collect(),
            folds,
        }
    }

    /// What a tool shows, but for changes.
    fn part(&self, thread: u32, content: &ToolContent, open: bool, shows_tail: bool) -> Part {
        match content.kind.as_str() {
            "content" => {
                let block = &content.block;
                if block.text.is_empty() {
                    return Part::of(self.hung(INDENT, &describe(block)));
                }
                let text = unfenced(block.text.as_str());
                let mut part = self.printed(text.as_bytes(), open, shows_tail);
                if open && block.text.omitted() > 0 {
                    part.rows.extend(self.omitted(block.text.omitted()));
                }
                part
            }
            "terminal" => {
                let item = self.conversation.terminal(thread, &content.refers_to);
                let item = item.and_then(|id| self.conversation.item(id));
                let Some(ItemBody::Terminal(terminal)) = item.map(|item| &item.body) else {
                    return Part::default();
                };
                let mut part = self.printed(terminal.output.bytes(), open, true);
                if open && terminal.output.omitted() > 0 {
                    let text = format!("… {} bytes came before this", terminal.output.omitted());
                    part.rows.insert(0, Line::new(&text, DIM).cut(self.cols));
                }
                part.note = exit_note(terminal.exit.as_ref());
                part
            }
            "session" => {
                let threads = self.conversation.threads().iter();
                let mut named = threads.filter(|one| one.session == content.refers_to);
                let title = named.next().map_or("a subagent", |one| one.title.as_str());
                let line = Line::new("by ", DIM).and(title, DIM);
                Part::of(vec![line.cut(self.cols)])
            }
            kind => {
                let line = Line::new("content of kind ", DIM).and(kind, DIM);
                Part::of(vec![line.cut(self.cols)])
            }
        }
    }

    /// What a command printed: all of it, its last lines, or only how much it is.
    fn printed(&self, bytes: &[u8], open: bool, shows_tail: bool) -> Part {
        let mut part = Part {
            shown: !bytes.is_empty(),
            ..Part::default()
        };
        if open {
            let lines = output::lines(bytes);
            let rows = lines.iter().flat_map(|line| line.wrap_anywhere(self.cols));
            part.rows = rows.collect();
            part.folds = true;
            return part;
        }
        let printed = bytes.trim_ascii_end();
        if printed.is_empty() {
            return part;
        }
        let count = printed.split(|byte| *byte == b'\n').count();
        part.folds = true;
        if !shows_tail {
            let lines = match count {
                1 => "1 line".to_owned(),
                count => format!("{} lines", text::thousands(count as u64)),
            };
            part.note = Line::new(&lines, DIM);
            return part;
        }
        let from = printed.len().saturating_sub(TAIL_BYTES);
        let lines = output::lines(&printed[from..]);
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        if count > tail.len() {
            let more = text::thousands((count - tail.len()) as u64);
            part.rows
                .push(Line::new(&format!("… {more} lines above"), DIM).cut(self.cols));
        }
        part.folds = count > tail.len() || tail.iter().any(|line| line.width() > self.cols);
        let dim = |style| with(style, Attrs::DIM);
        let tail = tail
            .iter()
            .map(|line| line.clone().restyled(dim).cut(self.cols));
        part.rows.extend(tail);
        part
    }

    pub(super) fn terminal(&self, terminal: &Terminal, open: bool) -> Laid {
        let status = match &terminal.exit {
            None => ToolStatus::InProgress,
            Some(exit) if exit.code == Some(0) => ToolStatus::Completed,
            Some(_) => ToolStatus::Failed,
        };
        let mut head = glyph(status).and("$ ", DIM).and(&terminal.command, PLAIN);
        let part = self
            .narrowed(4)
            .printed(terminal.output.bytes(), open, true);
        let note = exit_note(terminal.exit.as_ref());
        if !note.is_blank() {
            head.push(INDENT, PLAIN);
            head.extend(&note);
        }
        let mut rows = match open {
            true => self.hung(INDENT, &head),
            false => vec![head.cut(self.cols)],
        };
        let before = Line::new("    ", PLAIN);
        rows.extend(hang(&before, &before, part.rows));
        Laid {
            rows,
            folds: part.folds,
        }
    }

    /// A command, whole.
    pub(super) fn commands(&self, command: &str) -> Vec<Line> {
        let mut rows = Vec::new();
        let (first, rest) = (Line::new("$ ", DIM), Line::new(INDENT, PLAIN));
        for (at, line) in lines(command).enumerate() {
            let before = if at == 0 { &first } else { &rest };
            let wrapped = Line::new(line, PLAIN).wrap_anywhere(self.cols.saturating_sub(2));
            rows.extend(hang(before, &rest, wrapped));
        }
        rows
    }

    /// JSON, or the text in it where it is one.
    pub(super) fn json(&self, what: &str, json: &str, omitted: u64) -> Vec<Line> {
        let parsed = Json::parse(json).ok();
        let text = parsed.and_then(|json| {
            json.text()
                .or_else(|| json.get("output").and_then(Json::text))
        });
        let mut rows = match (text, parsed.filter(|json| json.is_object())) {
            (Some(text), _) => {
                let lines = output::lines(text.as_bytes());
                lines
                    .iter()
                    .flat_map(|line| line.wrap_anywhere(self.cols))
                    .collect()
            }
            (None, Some(object)) => self.members(object),
            (None, None) => {
                let line = Line::new(what, DIM).and(": ", DIM).and(json, PLAIN);
                line.wrap_anywhere(self.cols)
            }
        };
        if omitted > 0 {
            rows.extend(self.omitted(omitted));
        }
        rows
    }

    fn members(&self, object: Json<'_>) -> Vec<Line> {
        let mut rows = Vec::new();
        for (key, value) in object.members() {
            let mut line = Line::new(&key, DIM).and(": ", DIM);
            match value.text() {
                Some(text) => {
                    let mut pieces = lines(&text);
                    line.push(pieces.next().unwrap_or_default(), PLAIN);
                    rows.extend(line.wrap_anywhere(self.cols));
                    for piece in pieces {
                        let line = Line::new(INDENT, PLAIN).and(piece, PLAIN);
                        rows.extend(line.wrap_anywhere(self.cols));
                    }
                }
                None => {
                    line.push(value.as_str(), PLAIN);
                    rows.extend(line.wrap_anywhere(self.cols));
                }
            }
        }
        rows
    }
}

/// What a tool shows, and what its head says of that.
#[derive(Default)]
struct Part {
    rows: Vec<Line>,
    note: Line,
    folds: bool,
    shown: bool,
}

impl Part {
    fn of(rows: Vec<Line>) -> Part {
        Part {
            rows,
            shown: true,
            ..Part::default()
        }
    }
}

pub(super) fn is_going_on(status: ToolStatus) -> bool {
    matches!(status, ToolStatus::Pending | ToolStatus::InProgress)
}

fn glyph(status: ToolStatus) -> Line {
    match status {
        ToolStatus::Pending => Line::new("◦ ", DIM),
        ToolStatus::InProgress => Line::new("▸ ", YELLOW),
        ToolStatus::Completed => Line::new("✓ ", GREEN),
        ToolStatus::Failed => Line::new("✗ ", RED),
        ToolStatus::Cancelled => Line::new("✗ ", DIM),
        ToolStatus::LeftOpen => Line::new("? ", YELLOW),
        ToolStatus::Other => Line::new("• ", PLAIN),
    }
}

/// The verb for what a tool does.
pub(super) fn verb(tool: &Tool) -> &'static str {
    match tool.kind() {
        ToolKind::Read => "read",
        ToolKind::Edit => "edit",
        ToolKind::Delete => "delete",
        ToolKind::Move => "move",
        ToolKind::Search => "search",
        ToolKind::Execute => "run",
        ToolKind::Think => "think",
        ToolKind::Fetch => "fetch",
        ToolKind::SwitchMode => "mode",
        ToolKind::Other => "",
    }
}

/// What a tool is called, without what only marks it as code.
pub(super) fn title(tool: &Tool) -> String {
    let title = tool.title.trim();
    let inner = title
        .strip_prefix('`')
        .and_then(|title| title.strip_suffix('`'));
    match inner.filter(|inner| !inner.contains('`')).unwrap_or(title) {
        "" if tool.name.is_empty() => "a tool".to_owned(),
        "" => tool.name.clone(),
        title => title.to_owned(),
    }
}

/// One line: how far it is, what it does, and where.
fn tool_head(tool: &Tool) -> Line {
    let mut head = glyph(tool.status());
    let (verb, title) = (verb(tool), title(tool));
    let first = title.split(' ').next().unwrap_or_default();
    if !verb.is_empty() && !first.to_lowercase().starts_with(verb) {
        head.push(verb, DIM);
        head.push(" ", DIM);
    }
    head.push(&title, PLAIN);
    if let Some(place) = tool.locations.first() {
        let file = place.path.rsplit(['/', '\\']).next().unwrap_or_default();
        if !title.contains(file) {
            head.push("  ", PLAIN);
            head.push(&place.path, DIM);
        }
        if let Some(line) = place.line {
            head.push(&format!(":{line}"), DIM);
        }
    }
    if tool.locations.len() > 1 {
        head.push(&format!(" and {} more", tool.locations.len() - 1), DIM);
    }
    let word = match tool.status() {
        ToolStatus::Other => tool.status_word.as_str(),
        ToolStatus::Failed => "failed",
        ToolStatus::Cancelled => "stopped",
        ToolStatus::LeftOpen => "not heard of again",
        _ => "",
    };
    if !word.is_empty() {
        head.push("  ", PLAIN);
        head.push(word, DIM);
    }
    head
}

/// The command that a tool is called with, however the agent writes it down.
pub(super) fn command_of(tool: &Tool) -> Option<String> {
    if tool.kind() != ToolKind::Execute {
        return None;
    }
    let json = Json::parse(tool.input.as_str()).ok()?;
    let [command, cmd] = json.fields(["command", "cmd"]);
    let command = command.or(cmd)?;
    if let Some(text) = command.text() {
        return Some(text.into_owned());
    }
    let words: Vec<String> = command
        .items()
        .filter_map(|word| Some(quoted(&word.text()?)))
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A word of a command line as a shell would need it, so that two words don't look like one.
fn quoted(word: &str) -> String {
    let plain = |ch: char| ch.is_alphanumeric() || "-_./:=,@%+".contains(ch);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The steps of a to-do list that an agent keeps as a tool: their status and text.
fn todos(tool: &Tool) -> Vec<(String, String)> {
    // Most tools have none: nothing is parsed for those.
    if !tool.input.as_str().contains("\"todos\"") {
        return Vec::new();
    }
    let Some(todos) = Json::parse(tool.input.as_str())
        .ok()
        .and_then(|json| json.get("todos"))
    else {
        return Vec::new();
    };
    todos
        .items()
        .take(256)
        .filter_map(|todo| {
            let [status, content, title, description] =
                todo.fields(["status", "content", "title", "description"]);
            let content = content.or(title).or(description)?.text()?;
            let status = status.and_then(Json::text).unwrap_or_default();
            Some((status.into_owned(), content.into_owned()))
        })
        .collect()
}

/// Output that an agent puts into a fence, without the fence.
fn unfenced(text: &str) -> &str {
    let inner = || {
        let inner = text.trim_end().strip_prefix("```")?.strip_suffix("```")?;
        let (language, inner) = inner.split_once('\n')?;
        (!language.contains(' ') && !inner.contains("```")).then_some(inner)
    };
    inner().unwrap_or(text)
}

fn exit_note(exit: Option<&Exit>) -> Line {
    match exit {
        Some(exit) if exit.code != Some(0) => Line::new(&how_it_ended(exit), RED),
        _ => Line::default(),
    }
}
