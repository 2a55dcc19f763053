//! The card of a question that waits for an answer.
//!
//! It shows what is asked for whole: a command is scrolled through where it has more rows than there are, and is not
//! answered before its end was seen. An answer is a key that came alone in its read, once that was on the terminal for
//! as long as it takes to notice it.

use pillion_conversation::{
    Author, BoundedText, Choice, ChoiceKind, Diff, ItemBody, ItemId, Json, Question, Tool, ToolKind,
};
use pillion_screen::Attrs;

use super::{
    ConversationContext, diff,
    form::Form,
    items::Around,
    output,
    span::{BOLD, DIM, Line, PLAIN, RED, YELLOW, hang, with},
    tools::{command_of, title, verb},
};
use crate::{settled::Settled, text};

/// Keys for choices that are neither the first yes nor the first no.
const KEYS: &str = "123456789befghijklmopqrstuvwxz";

/// Longest name of a choice, in characters.
const CHOICE: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Card {
    question: Option<ItemId>,
    /// What its rows were laid out from.
    made_of: (u64, usize),
    body: Vec<Line>,
    /// The rows that must have been seen before an answer counts.
    must: usize,
    top: usize,
    room: usize,
    seen: usize,
    size: (usize, usize),
    /// Its beginning is on the terminal.
    shown: Settled,
    /// All of it that must be seen was on the terminal.
    whole: Settled,
    too_soon: bool,
    /// What is filled in, of a question that is a form.
    pub(super) form: Option<Form>,
}

/// Whose claim there is on a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim<'a> {
    Free,
    Mine,
    Others(&'a Author),
}

pub(super) fn claim<'a>(cx: &ConversationContext<'_>, question: &'a Question) -> Claim<'a> {
    match &question.claimed_by {
        None => Claim::Free,
        Some(by) if by.id == cx.me => Claim::Mine,
        Some(by) => Claim::Others(by),
    }
}

impl Card {
    /// The question that is shown.
    pub(super) fn question(&self) -> Option<ItemId> {
        self.question
    }

    /// Shows this question, or none; `true` if it is another than before.
    pub(super) fn show(&mut self, question: Option<(ItemId, &Question)>) -> bool {
        let id = question.map(|(id, _)| id);
        let changes = self.question != id;
        if changes {
            *self = Card {
                question: id,
                form: question.and_then(|(_, question)| Form::of(&question.form)),
                ..Card::default()
            };
        }
        changes
    }

    /// Whether a key is an answer; if it is none yet, that is said. A no needs less to be seen than a yes.
    pub(super) fn takes_answer(&mut self, alone: bool, is_no: bool) -> bool {
        let settled = if is_no { &self.shown } else { &self.whole };
        let takes = alone && settled.is_settled();
        if !takes {
            self.too_soon = true;
            self.wait_again();
        }
        takes
    }

    /// A key was pressed that is no answer: it is waited again until nothing more is typed, since a person who writes
    /// presses a key that answers sooner or later.
    pub(super) fn wait_again(&mut self) {
        (self.shown, self.whole) = (Settled::default(), Settled::default());
    }

    pub(super) fn settle(&mut self, now: pillion_session::Now) {
        self.shown.settle(now);
        self.whole.settle(now);
    }

    pub(super) fn due_at(&self) -> Option<u64> {
        let both = [self.shown.due_at(), self.whole.due_at()];
        both.into_iter().flatten().min()
    }

    pub(super) fn scroll(&mut self, down: bool, by: usize) {
        let last = self.body.len().saturating_sub(self.room);
        self.top = match down {
            true => (self.top + by).min(last),
            false => self.top.saturating_sub(by),
        };
    }

    /// Rows of a page.
    pub(super) fn page(&self) -> usize {
        self.room.saturating_sub(1).max(1)
    }

    /// Its rows: at most `max`, and on the terminal from now on. `at` and `of` count the open questions.
    pub(super) fn rows(
        &mut self,
        cx: &ConversationContext<'_>,
        around: &Around<'_>,
        question: &Question,
        max: usize,
        (at, of): (usize, usize),
        has_keys: bool,
    ) -> Vec<Line> {
        let cols = around.cols;
        let inner = around.narrowed(2);
        self.lay_out(&inner, question);
        let choices = choices(question, inner.cols, max / 2);
        let status = status(cx, around, question);
        let status_rows = usize::from(!status.is_blank() && max > 5);
        let head_rows = usize::from(max > choices.len() + 1);
        let foot = |card: &Card, more| {
            let keys = card.keys(cx, question, more, of, has_keys);
            let mut foot = units(&keys, inner.cols);
            foot.truncate(match max {
                0..4 => 0,
                4..10 => 1,
                _ => 3,
            });
            foot
        };
        let mut foot_rows = foot(self, true);
        let fixed = head_rows + choices.len() + status_rows + foot_rows.len();
        self.room = max.saturating_sub(fixed).max(1).min(self.body.len().max(1));
        self.top = self.top.min(self.body.len().saturating_sub(self.room));
        if self.size != (cols, self.room) {
            self.size = (cols, self.room);
            self.begin_again();
        }
        self.painted(cx);
        let rows_of_foot = foot_rows.len();
        foot_rows = foot(self, self.seen < self.must);
        foot_rows.truncate(rows_of_foot);
        let mut rows = Vec::new();
        if head_rows > 0 {
            rows.push(head(cx, cols, (at, of), self.position()));
        }
        let before = Line::new("  ", PLAIN);
        let shown = self.body.iter().skip(self.top).take(self.room).cloned();
        let mut body: Vec<Line> = shown.collect();
        body.extend(choices);
        if status_rows > 0 {
            body.push(status.cut(inner.cols));
        }
        body.extend(foot_rows);
        rows.extend(hang(&before, &before, body));
        rows.truncate(max);
        rows
    }

    /// It looks different: nothing of it has been seen.
    fn begin_again(&mut self) {
        (self.top, self.seen) = (0, 0);
        self.wait_again();
    }

    /// What was laid out is on the terminal.
    fn painted(&mut self, cx: &ConversationContext<'_>) {
        if self.top <= self.seen {
            self.seen = self.seen.max(self.top + self.room);
        }
        self.shown.painted(cx.now);
        if self.seen >= self.must {
            self.whole.painted(cx.now);
        }
    }

    /// Which rows are seen, where there are more.
    fn position(&self) -> Option<String> {
        (self.body.len() > self.room).then(|| {
            let to = self.top + self.room;
            format!("{}–{to}/{}", self.top + 1, self.body.len())
        })
    }

    fn lay_out(&mut self, inner: &Around<'_>, question: &Question) {
        let tool = tool_of(inner, self.question, question);
        let version = tool.map_or(0, |(last, _)| last);
        let made_of = (version, inner.cols);
        if self.made_of == made_of && !self.body.is_empty() && self.form.is_none() {
            return;
        }
        let is_wider = self.made_of.1 != inner.cols;
        self.made_of = made_of;
        let (mut body, mut must) = body(inner, question, tool.map(|(_, tool)| tool));
        if question.choices.is_empty() {
            body.extend(match &self.form {
                Some(form) => form.rows(inner.cols),
                None => Line::new("It can't be filled in here.", DIM).wrap(inner.cols),
            });
            must = body.len();
        }
        let typed = self.form.as_ref().is_some_and(Form::takes_text);
        if !is_wider && !typed && (&body, must) != (&self.body, self.must) {
            // What is asked for has changed: it must be read again.
            self.begin_again();
        }
        (self.body, self.must) = (body, must);
    }

    /// What keys do. There is `more` of what is asked below what was seen of it.
    fn keys(
        &self,
        cx: &ConversationContext<'_>,
        question: &Question,
        more: bool,
        of: usize,
        has_keys: bool,
    ) -> Vec<Line> {
        let mut keys = Vec::new();
        let mut say = |text: &str| keys.push(Line::new(text, DIM));
        if !cx.may_approve {
            say("Only those with the right to approve can answer.");
            return keys;
        }
        if !has_keys {
            say("Tab answers");
            return keys;
        }
        match (more, self.too_soon) {
            (false, false) => {}
            (false, true) => say("Too soon: read it, then press a key."),
            (true, false) => say("↓ more, before it can be answered"),
            (true, true) => say("Too soon: ↓ shows more of it."),
        }
        match claim(cx, question) {
            Claim::Free if !question.choices.is_empty() => say("c handle it"),
            Claim::Mine if !question.choices.is_empty() => say("c leave it to others"),
            _ => {}
        }
        if question.choices.is_empty() {
            say("Ctrl-D decline");
        }
        if self.form.as_ref().is_some_and(Form::takes_text) {
            say("Enter goes on");
        } else if choice_of(question, 'y').is_some() {
            say("a allow alike, this session");
        }
        if of > 1 {
            say("← → other questions");
        }
        if !more && self.body.len() > self.room {
            say("↓ more");
        }
        say("Esc later");
        if !question.choices.is_empty() {
            say("Ctrl-D stop");
        }
        keys
    }
}

/// The choice that a key means.
pub(super) fn choice_of(question: &Question, key: char) -> Option<&Choice> {
    let first = |kind| question.choices.iter().find(|choice| choice.kind() == kind);
    match key {
        'y' => first(ChoiceKind::AllowOnce),
        'n' => first(ChoiceKind::RejectOnce),
        key => question.choices.get(KEYS.find(key)?),
    }
}

fn head(
    cx: &ConversationContext<'_>,
    cols: usize,
    (at, of): (usize, usize),
    position: Option<String>,
) -> Line {
    let agent = text::label(&cx.conversation.agent().name, 24);
    let agent = if agent == "?" {
        "the agent".to_owned()
    } else {
        agent
    };
    let mut head =
        Line::new("── ", YELLOW).and(&format!("{agent} asks"), with(YELLOW, Attrs::BOLD));
    if of > 1 {
        head.push(&format!(", {} of {of}", at + 1), YELLOW);
    }
    if let Some(position) = position {
        head.push(&format!(", rows {position}"), YELLOW);
    }
    head.push(" ", YELLOW);
    let fill = cols.saturating_sub(head.width());
    head.push(&"─".repeat(fill), YELLOW);
    head.cut(cols)
}

/// The claim, in words.
fn status(cx: &ConversationContext<'_>, around: &Around<'_>, question: &Question) -> Line {
    match claim(cx, question) {
        Claim::Free => Line::default(),
        Claim::Mine => Line::new("You are handling it.", BOLD),
        Claim::Others(by) => {
            let mut line = around.author(by, BOLD);
            line.push(" is handling it.", BOLD);
            line
        }
    }
}

/// The choices with their keys: one a row where there is room, else side by side.
fn choices(question: &Question, cols: usize, max: usize) -> Vec<Line> {
    let first = |kind| {
        let mut all = question.choices.iter();
        all.position(|choice| choice.kind() == kind)
    };
    let (yes, no) = (first(ChoiceKind::AllowOnce), first(ChoiceKind::RejectOnce));
    let mut keys = KEYS.chars();
    let mut each = Vec::new();
    for (at, choice) in question.choices.iter().enumerate() {
        let Some(key) = keys.next() else {
            let more = question.choices.len() - at;
            each.push(Line::new(
                &format!("and {more} more, which no key answers here"),
                RED,
            ));
            break;
        };
        let key = match at {
            at if Some(at) == yes => format!("y/{key}"),
            at if Some(at) == no => format!("n/{key}"),
            _ => key.to_string(),
        };
        let name = pillion_screen::clean::clean_title(&choice.name, CHOICE);
        let name = if name.is_empty() {
            text::label(&choice.id, 40)
        } else {
            name
        };
        let mut line = Line::new(&key, with(YELLOW, Attrs::BOLD))
            .and(" ", PLAIN)
            .and(&name, PLAIN);
        match choice.kind() {
            ChoiceKind::AllowAlways => line.push(" (may outlive this session)", RED),
            ChoiceKind::RejectAlways => line.push(" (from now on)", DIM),
            _ => {}
        }
        each.push(line);
    }
    let rest = Line::new("    ", PLAIN);
    let rows: Vec<Line> = each
        .iter()
        .flat_map(|line| {
            hang(
                &Line::default(),
                &rest,
                line.wrap(cols.saturating_sub(4).max(1)),
            )
        })
        .collect();
    if rows.len() <= max {
        return rows;
    }
    units(&each, cols)
}

/// Lines side by side, two blanks between them; none is torn that fits.
fn units(each: &[Line], cols: usize) -> Vec<Line> {
    let mut rows: Vec<Line> = Vec::new();
    for line in each {
        match rows.last_mut() {
            Some(last) if last.width() + 2 + line.width() <= cols => {
                last.push("  ", PLAIN);
                last.extend(line);
            }
            _ => rows.extend(line.wrap(cols)),
        }
    }
    rows
}

/// The tool that a question is about, and its newest entry.
fn tool_of<'a>(
    around: &Around<'a>,
    id: Option<ItemId>,
    question: &Question,
) -> Option<(u64, &'a Tool)> {
    let thread = id
        .and_then(|id| around.conversation.item(id))
        .map_or(0, |item| item.thread);
    let tool = around.conversation.tool(thread, &question.tool)?;
    let item = around.conversation.item(tool)?;
    match &item.body {
        ItemBody::Tool(tool) => Some((item.last, tool)),
        _ => None,
    }
}

/// What is asked, and how many of its rows must be seen before an answer.
fn body(around: &Around<'_>, question: &Question, tool: Option<&Tool>) -> (Vec<Line>, usize) {
    let cols = around.cols;
    let mut rows = Vec::new();
    if !question.title.is_empty() {
        rows.extend(Line::new(&question.title, BOLD).wrap(cols));
    }
    for line in output::lines(question.description.as_bytes()) {
        rows.extend(line.wrap(cols));
    }
    if let Some(tool) = tool {
        let called = title(tool);
        if called != question.title.trim_matches('`') {
            let verb = verb(tool);
            let blank = if verb.is_empty() { "" } else { " " };
            rows.extend(
                Line::new(verb, DIM)
                    .and(blank, DIM)
                    .and(&called, PLAIN)
                    .wrap(cols),
            );
        }
    }
    let command = match question.command.is_empty() {
        false => Some(question.command.as_str().to_owned()),
        true => tool.and_then(command_of),
    };
    let cwd = |rows: &mut Vec<Line>| {
        if !question.cwd.is_empty() {
            let line = Line::new("in ", DIM).and(&question.cwd, PLAIN);
            rows.extend(line.wrap_anywhere(cols));
        }
    };
    let mut diffs: Vec<Diff> = Vec::new();
    if let Some(tool) = tool {
        let shown = tool.content.iter().filter(|content| content.kind == "diff");
        diffs.extend(shown.map(|content| content.diff.clone()));
        if diffs.is_empty() {
            diffs.extend(patch_in_input(tool));
        }
    }
    if let Some(command) = &command {
        rows.extend(around.commands(command));
        cwd(&mut rows);
        let omitted = question.command.omitted();
        if omitted > 0 {
            let text = format!(
                "{} bytes more of this command are in the host's log and not shown here.",
                text::thousands(omitted)
            );
            rows.extend(Line::new(&text, with(RED, Attrs::BOLD)).wrap(cols));
        }
    } else {
        cwd(&mut rows);
    }
    // The file and how much of it changes must be seen. Its lines may be.
    let mut must = rows.len() + usize::from(!diffs.is_empty());
    if let Some(tool) = tool
        && command.is_none()
        && diffs.is_empty()
        && !tool.input.is_empty()
    {
        rows.extend(around.json("with", tool.input.as_str(), tool.input.omitted()));
        must = match tool.kind() {
            // So is what an agent writes into a file that shows no difference.
            ToolKind::Edit => must + 1,
            _ => rows.len(),
        };
    }
    for diff in &diffs {
        let lines = diff::Lines::of(diff);
        for change in &diff.changes {
            let mut line = Line::default();
            if !matches!(change.operation.as_str(), "" | "modify") {
                line.push(&change.operation, DIM);
                line.push(" ", DIM);
            }
            if !change.old_path.is_empty() {
                line.push(&change.old_path, PLAIN);
                line.push(" to ", DIM);
            }
            line.push(&change.path, BOLD);
            line.push("  ", PLAIN);
            line.extend(&lines.counts());
            rows.extend(line.wrap_anywhere(cols));
        }
        rows.extend(lines.rows(cols));
    }
    let must = must.min(rows.len());
    (rows, must)
}

/// A change that an agent puts into a tool's input only.
fn patch_in_input(tool: &Tool) -> Option<Diff> {
    let json = Json::parse(tool.input.as_str()).ok()?;
    let patch = json.get("diff")?.text()?;
    Some(Diff {
        patch: BoundedText::new(&patch),
        ..Diff::default()
    })
}
