//! What came in a conversation, item by item, in rows.

use std::hash::{DefaultHasher, Hash, Hasher};

use pillion_conversation::{
    Author, Block, Conversation, Exit, Item, ItemBody, Json, Notice, Outcome, Plan, Prompt,
    Question, Stop, Terminal, Tool, ToolContent, ToolKind, ToolStatus, TurnEnd,
};
use pillion_screen::{Attrs, Style};

use super::{
    ConversationContext, diff,
    markdown::{lay_out, settled_length},
    output,
    span::{BOLD, CYAN, DIM, GREEN, Line, PLAIN, RED, YELLOW, hang, lines, with},
};
use crate::text;

/// Rows of a prompt that are shown while it is folded.
const PROMPT_ROWS: usize = 10;

/// Rows of a change that are shown while it is folded.
const DIFF_ROWS: usize = 8;

/// Lines of a command's output that are shown while it is folded: its last ones.
const TAIL_LINES: usize = 3;

/// Of output that is folded no more is looked at than its last bytes.
const TAIL_BYTES: usize = 8 * 1024;

/// Most columns of somebody's name.
const NAME: usize = 24;

/// What somebody's key is cut to: 7f3a-91c2.
const SHORT: usize = 9;

const INDENT: &str = "  ";

/// The part of a response that is laid out as it is whatever the agent adds to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stable {
    /// How many bytes of it.
    length: usize,
    hash: u64,
    /// How many rows of its block.
    rows: usize,
}

impl Stable {
    /// Whether the text still begins so: then this is where to go on, in bytes and rows.
    pub(super) fn continues_in(&self, text: &str) -> Option<(usize, usize)> {
        let begins = text.get(..self.length)?;
        (self.length > 0 && hash(begins) == self.hash).then_some((self.length, self.rows))
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The text of a response that is nothing but one text, held whole.
pub(super) fn response_text(item: &Item) -> Option<&str> {
    let ItemBody::Response(message) = &item.body else {
        return None;
    };
    match message.content.as_slice() {
        [only] if only.kind == "text" && only.text.omitted() == 0 => Some(only.text.as_str()),
        _ => None,
    }
}

/// What the layout of an item depends on, besides the item.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) conversation: &'a Conversation,
    pub(super) me: &'a str,
    pub(super) cols: usize,
}

/// An item's rows.
#[derive(Debug, Default)]
pub(super) struct Laid {
    pub(super) rows: Vec<Line>,
    /// Whether there is more of it, or less, by a key.
    pub(super) folds: bool,
}

impl Laid {
    fn of(rows: Vec<Line>) -> Laid {
        Laid { rows, folds: false }
    }
}

impl<'a> Around<'a> {
    pub(super) fn of(cx: &ConversationContext<'a>, cols: usize) -> Around<'a> {
        Around {
            conversation: cx.conversation,
            me: cx.me,
            cols,
        }
    }

    /// The same with less room.
    pub(super) fn narrowed(&self, by: usize) -> Around<'a> {
        Around {
            cols: self.cols.saturating_sub(by).max(1),
            ..*self
        }
    }
}

impl Around<'_> {
    /// The rows of an item that is `open` or folded.
    pub(super) fn item(&self, item: &Item, open: bool) -> Laid {
        match &item.body {
            ItemBody::Prompt(prompt) => self.prompt(prompt, open),
            ItemBody::Response(message) => {
                Laid::of(self.moved_in(INDENT, |around| around.markdown(&message.content, PLAIN)))
            }
            ItemBody::Thought(message) => self.thought(&message.content, open),
            ItemBody::Tool(tool) => self.tool(item.thread, tool, open),
            ItemBody::Terminal(terminal) => self.terminal(terminal, open),
            ItemBody::Question(question) => Laid::of(self.question(question)),
            ItemBody::TurnEnd(end) => Laid::of(self.turn_end(end)),
            ItemBody::Notice(notice) => self.notice(notice, open),
            ItemBody::Unknown(unknown) => {
                let mut line = Line::new("· update of kind ", DIM).and(&unknown.kind, DIM);
                if unknown.count > 1 {
                    line.push(&format!(" ×{}", unknown.count), DIM);
                }
                Laid::of(vec![line.cut(self.cols)])
            }
            ItemBody::Newer(number) => {
                let text = format!("· an entry of kind {number}, which a newer version shows");
                Laid::of(self.hung("  ", &Line::new(&text, DIM)))
            }
        }
    }

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

    /// The steps of a plan, or its text.
    pub(super) fn plan(&self, plan: &Plan) -> Vec<Line> {
        if plan.steps.is_empty() {
            return lay_out(plan.text.as_str(), self.cols, PLAIN);
        }
        let steps = plan.steps.iter();
        steps
            .flat_map(|step| self.step(&step.status, &step.content))
            .collect()
    }

    fn step(&self, status: &str, content: &str) -> Vec<Line> {
        let (mark, style) = match status {
            "completed" => (Line::new("✓ ", GREEN), DIM),
            "in_progress" => (Line::new("▸ ", YELLOW), BOLD),
            "cancelled" => (Line::new("✗ ", DIM), with(DIM, Attrs::STRIKE)),
            _ => (Line::new("◦ ", DIM), PLAIN),
        };
        let rows = Line::new(content, style).wrap(self.cols.saturating_sub(2));
        hang(&mark, &Line::new(INDENT, PLAIN), rows)
    }

    fn prompt(&self, prompt: &Prompt, open: bool) -> Laid {
        let mut who = Line::new("› ", CYAN);
        match &prompt.by {
            Some(by) => {
                who.extend(&self.author(by, with(CYAN, Attrs::BOLD)));
                if !by.right.is_empty() {
                    who.push(&format!(" ({})", text::label(&by.right, NAME)), DIM);
                }
            }
            None => who.push("from elsewhere", with(CYAN, Attrs::BOLD)),
        }
        who.push(": ", PLAIN);
        let mut rows = Vec::new();
        let mut first = Some(who);
        for line in self.lines_of(&prompt.content) {
            let mut all = first.take().unwrap_or_else(|| Line::new(INDENT, PLAIN));
            all.extend(&line);
            rows.extend(self.hung(INDENT, &all));
        }
        rows.extend(first.map(|first| first.cut(self.cols)));
        self.folded(rows, PROMPT_ROWS, open)
    }

    fn thought(&self, content: &[Block], open: bool) -> Laid {
        let style = with(DIM, Attrs::ITALIC);
        if open {
            let mut rows = vec![Line::new("~ thought", style)];
            rows.extend(self.moved_in(INDENT, |around| around.markdown(content, style)));
            return Laid { rows, folds: true };
        }
        let all = content.iter().flat_map(|block| lines(block.text.as_str()));
        let mut all = all.filter(|line| !line.trim().is_empty());
        let mut line = Line::new("~ thought: ", style);
        // Its Markdown is not worth a layout: what marks a heading is left out.
        let first = all.next().unwrap_or_default();
        line.push(first.trim_matches(['*', '#', ' ']), style);
        let several = all.next().is_some();
        if several {
            line.push(" …", style);
        }
        Laid {
            folds: several || line.width() > self.cols,
            rows: vec![line.cut(self.cols)],
        }
    }

    /// Adds the rows of a response's text from `from` on to those of what is before it, of which `head` are not the
    /// response's.
    pub(super) fn response(
        &self,
        indent: &Line,
        text: &str,
        from: usize,
        head: usize,
        rows: &mut Vec<Line>,
    ) -> Stable {
        let before = indent.clone().and(INDENT, PLAIN);
        let inner = self.narrowed(INDENT.len());
        let to = from + settled_length(&text[from..]);
        let add = |piece: &str, rows: &mut Vec<Line>| {
            let laid = lay_out(piece, inner.cols, PLAIN);
            if !laid.is_empty() && rows.len() > head {
                rows.push(before.clone());
            }
            rows.extend(hang(&before, &before, laid));
        };
        add(&text[from..to], rows);
        let stable = Stable {
            length: to,
            hash: hash(&text[..to]),
            rows: rows.len(),
        };
        add(&text[to..], rows);
        stable
    }

    fn tool(&self, thread: u32, tool: &Tool, open: bool) -> Laid {
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

    fn terminal(&self, terminal: &Terminal, open: bool) -> Laid {
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

    fn question(&self, question: &Question) -> Vec<Line> {
        let mut line = Line::new("? ", YELLOW);
        line.push(&question.title, PLAIN);
        let Some(outcome) = &question.outcome else {
            return self.hung(INDENT, &line);
        };
        let choice = question.choices.iter().find(|one| one.id == outcome.choice);
        line.push(" – ", DIM);
        match (outcome.word.as_str(), choice) {
            (Outcome::SELECTED, Some(choice)) => line.push(&choice.name, BOLD),
            (Outcome::SELECTED, None) if outcome.choice.is_empty() => line.push("answered", BOLD),
            (Outcome::SELECTED, None) => line.push(&outcome.choice, BOLD),
            (Outcome::CANCELLED, _) => line.push("not answered: the turn was stopped", DIM),
            (Outcome::DECLINED, _) => line.push("declined", BOLD),
            (Outcome::WITHDRAWN, _) => line.push("taken back by the agent", DIM),
            (Outcome::REPLACED, _) => {
                line.push("can't be answered: the agent asked something else", DIM)
            }
            (Outcome::AGENT_ENDED, _) => line.push("not answered: the agent ended", DIM),
            (Outcome::REFUSED, _) => line.push("the answer was an error", RED),
            (word, _) => line.push(word, DIM),
        }
        if let Some(by) = &outcome.by {
            line.push(" by ", DIM);
            line.extend(&self.author(by, PLAIN));
        }
        self.hung(INDENT, &line)
    }

    fn turn_end(&self, end: &TurnEnd) -> Vec<Line> {
        let (word, style) = match end.stop() {
            Stop::EndTurn => ("turn ended", DIM),
            Stop::MaxTokens => ("turn ended: the model said as much as it may", YELLOW),
            Stop::MaxTurnRequests => ("turn ended: it took as many requests as it may", YELLOW),
            Stop::Refusal => ("turn ended: the agent refuses to go on", YELLOW),
            Stop::Cancelled => ("turn stopped", YELLOW),
            Stop::Error => ("turn failed", RED),
            Stop::Other if !end.error.is_empty() => ("turn failed", RED),
            Stop::Other => ("turn ended", DIM),
        };
        let mut line = Line::new("── ", DIM).and(word, style);
        if end.stop() == Stop::Other && !end.stop_word.is_empty() {
            line.push(": ", DIM);
            line.push(&end.stop_word, DIM);
        }
        if !end.error.is_empty() {
            line.push(": ", RED);
            line.push(&end.error, RED);
        }
        if let Some(tokens) = end.tokens {
            line.push(&format!(", {} tokens", text::thousands(tokens)), DIM);
        }
        self.hung("   ", &line)
    }

    fn notice(&self, notice: &Notice, open: bool) -> Laid {
        let style = match notice.word.as_str() {
            Notice::ERROR => RED,
            Notice::ENDED | "warning" => YELLOW,
            _ => DIM,
        };
        let mut line = Line::new("! ", style);
        let before = match notice.word.as_str() {
            Notice::GARBAGE => "a line of the agent's that is no message: ",
            Notice::OVERSIZED => "a line of the agent's that is too long to be read: ",
            Notice::ENDED => "the agent ended",
            Notice::COMPACTION => "what was said is summed up",
            Notice::LONG_ID => "an id of the agent's is too long: ",
            Notice::NOT_OFFERED => "the agent asked for what is not offered: ",
            Notice::SESSION_MESSAGE => "between agents: ",
            _ => "",
        };
        line.push(before, style);
        if let Some(exit) = &notice.exit {
            line.push(": ", style);
            line.push(&how_it_ended(exit), style);
        }
        if notice.word == Notice::COMPACTION && !notice.title.is_empty() {
            line.push(": ", style);
        }
        line.push(&notice.title, style);
        let mut rows = self.hung(INDENT, &line);
        for line in lines(notice.description.as_str().trim()) {
            let rest = Line::new(INDENT, PLAIN).and(line, DIM);
            if !rest.is_blank() {
                rows.extend(self.hung(INDENT, &rest));
            }
        }
        self.folded(rows, TAIL_LINES, open)
    }

    fn markdown(&self, content: &[Block], style: Style) -> Vec<Line> {
        let mut rows = Vec::new();
        for block in content {
            if !rows.is_empty() {
                rows.push(Line::default());
            }
            match block.kind.as_str() {
                "text" => rows.extend(lay_out(block.text.as_str(), self.cols, style)),
                _ => rows.extend(self.hung(INDENT, &describe(block))),
            }
            if block.text.omitted() > 0 {
                rows.extend(self.omitted(block.text.omitted()));
            }
        }
        rows
    }

    /// Blocks as lines, as they were written.
    fn lines_of(&self, content: &[Block]) -> Vec<Line> {
        let mut all = Vec::new();
        for block in content {
            match block.kind.as_str() {
                "text" => {
                    let text = block.text.as_str().trim_end();
                    all.extend(lines(text).map(|line| Line::new(line, PLAIN)));
                }
                _ => all.push(describe(block)),
            }
            if block.text.omitted() > 0 {
                all.extend(self.omitted(block.text.omitted()));
            }
        }
        all
    }

    /// A person: the name they chose, and their key, which they can't choose.
    pub(super) fn author(&self, by: &Author, style: Style) -> Line {
        if by.id == self.me {
            return Line::new("you", style);
        }
        let name = text::name(&by.name, NAME);
        match by.id.is_empty() {
            true if by.name.is_empty() => Line::new("the host", style),
            true => Line::new(&name, style).and(" (host)", DIM),
            false => {
                let id: String = by.id.chars().take(SHORT).collect();
                Line::new(&name, style).and(" ", PLAIN).and(&id, DIM)
            }
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

    fn omitted(&self, bytes: u64) -> Vec<Line> {
        let text = format!(
            "… {} bytes more are in the log only",
            text::thousands(bytes)
        );
        Line::new(&text, DIM).wrap(self.cols)
    }

    /// A line in rows, the later ones moved in.
    fn hung(&self, before: &str, line: &Line) -> Vec<Line> {
        let before = Line::new(before, PLAIN);
        let room = self.cols.saturating_sub(before.width());
        let mut rows = line.wrap(self.cols);
        if rows.len() > 1 && room > 0 {
            // Wrapped again for the room that is left behind what moves them in.
            let whole = line.wrap(room);
            rows = hang(&Line::default(), &before, whole);
        }
        rows
    }

    /// Something with less room.
    fn moved_in(&self, before: &str, lay: impl FnOnce(&Around<'_>) -> Vec<Line>) -> Vec<Line> {
        let before = Line::new(before, PLAIN);
        let rows = lay(&self.narrowed(before.width()));
        hang(&before, &before, rows)
    }

    /// As many rows as are shown while something is folded.
    fn shortened(&self, mut rows: Vec<Line>, max: usize, open: bool) -> Vec<Line> {
        if !open && rows.len() > max {
            let more = rows.len() - max;
            rows.truncate(max);
            let text = format!("… {} rows more", text::thousands(more as u64));
            rows.push(Line::new(&text, DIM).cut(self.cols));
        }
        rows
    }

    fn folded(&self, rows: Vec<Line>, max: usize, open: bool) -> Laid {
        Laid {
            folds: rows.len() > max,
            rows: self.shortened(rows, max, open),
        }
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

/// What is not text.
fn describe(block: &Block) -> Line {
    let mut line = Line::new("[", DIM);
    line.push(
        if block.kind.is_empty() {
            "content"
        } else {
            &block.kind
        },
        DIM,
    );
    let name = match block.name.is_empty() {
        true => &block.uri,
        false => &block.name,
    };
    for word in [name, &block.mime_type] {
        if !word.is_empty() {
            line.push(" ", DIM);
            line.push(word, DIM);
        }
    }
    if block.data_bytes > 0 {
        line.push(
            &format!(", {} bytes", text::thousands(block.data_bytes / 4 * 3)),
            DIM,
        );
    }
    line.and("]", DIM)
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

/// "exit code 1", "killed by SIGKILL".
pub(super) fn how_it_ended(exit: &Exit) -> String {
    let how = match (exit.code, exit.signal.as_str()) {
        (_, signal) if !signal.is_empty() => format!("killed by {signal}"),
        (Some(code), _) => format!("exit code {code}"),
        (None, _) => String::new(),
    };
    match (exit.fault.as_str(), how.as_str()) {
        ("", "") => "for no known reason".to_owned(),
        ("", how) => how.to_owned(),
        (fault, "") => fault.to_owned(),
        (fault, how) => format!("{fault} ({how})"),
    }
}
