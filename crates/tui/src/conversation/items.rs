//! What came in a conversation, item by item, in rows.

use std::hash::{DefaultHasher, Hash, Hasher};

use pillion_conversation::{
    Author, Block, Conversation, Exit, Item, ItemBody, Notice, Outcome, Plan, Prompt, Question,
    Stop, TurnEnd,
};
use pillion_screen::{Attrs, Style};

use super::{
    ConversationContext,
    markdown::{lay_out, settled_length},
    span::{BOLD, CYAN, DIM, GREEN, Line, PLAIN, RED, YELLOW, hang, lines, with},
    tools::title,
};
use crate::{text, words};

/// Rows of a prompt that are shown while it is folded.
const PROMPT_ROWS: usize = 10;

/// Rows of a notice that are shown while it is folded.
const NOTICE_ROWS: usize = 3;

/// Most columns of somebody's name.
const NAME: usize = 24;

/// What somebody's key is cut to: 7f3a-91c2.
const SHORT: usize = 9;

pub(super) const INDENT: &str = "  ";

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
            ItemBody::Question(question) => Laid::of(self.question(item.thread, question)),
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

    pub(super) fn step(&self, status: &str, content: &str) -> Vec<Line> {
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

    fn question(&self, thread: u32, question: &Question) -> Vec<Line> {
        let mut line = Line::new("? ", YELLOW);
        // Some agents name only the tool that they ask about.
        let tool = self.conversation.tool(thread, &question.tool);
        let tool = tool.and_then(|id| self.conversation.item(id));
        match tool.map(|item| &item.body) {
            Some(ItemBody::Tool(tool)) if question.title.is_empty() => {
                line.push(&title(tool), PLAIN);
            }
            _ => line.push(&question.title, PLAIN),
        }
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
        if let Some(said) = words::run(notice) {
            let style = match notice.word.as_str() {
                Notice::RUN_ENDS_SOON | Notice::RUN_ENDS | Notice::NOT_ANNOUNCED => YELLOW,
                _ => DIM,
            };
            let mut line = Line::new("! ", style);
            line.push(&said, style);
            return self.folded(self.hung(INDENT, &line), NOTICE_ROWS, open);
        }
        let style = match notice.word.as_str() {
            Notice::ERROR => RED,
            Notice::ENDED | Notice::CANCEL_IGNORED | "warning" => YELLOW,
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
            Notice::RENAMED => "this conversation is called ",
            Notice::CANCEL_IGNORED => {
                "the agent was to stop 10 s ago and goes on: F5 starts it again, to go on from here"
            }
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
        self.folded(rows, NOTICE_ROWS, open)
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

    pub(super) fn omitted(&self, bytes: u64) -> Vec<Line> {
        let text = format!(
            "… {} bytes more are in the log only",
            text::thousands(bytes)
        );
        Line::new(&text, DIM).wrap(self.cols)
    }

    /// A line in rows, the later ones moved in.
    pub(super) fn hung(&self, before: &str, line: &Line) -> Vec<Line> {
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
    pub(super) fn shortened(&self, mut rows: Vec<Line>, max: usize, open: bool) -> Vec<Line> {
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

/// What is not text.
pub(super) fn describe(block: &Block) -> Line {
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
