//! A conversation with an agent, on a terminal: what was said, what is asked, and a line for a prompt.
//!
//! ```text
//! items, from the end upwards         history.rs, blocks.rs, items.rs, tools.rs (markdown.rs, diff.rs, output.rs)
//! the plan, what waits to be sent     here
//! a question that waits               card.rs
//! › the prompt that is written        input.rs
//! what the agent is doing             state.rs
//! ```
//!
//! [`ConversationView`] draws into rows that somebody else puts on a terminal, and takes what that terminal sends, so
//! that a viewer can show it in place of a host's screen. [`ConversationUi`] is one that has a terminal to itself.

mod blocks;
mod card;
mod changes;
mod diff;
mod form;
mod history;
mod input;
mod items;
mod keys;
mod markdown;
mod menu;
mod output;
mod span;
mod state;
mod tools;
mod ui;

use pillion_conversation::{
    Activity, Answer, Command, Conversation, ConversationRequest, ItemId, Plan, QueuedPrompt, Trust,
};
use pillion_screen::{Cell, Row, clean};
use pillion_session::Now;

use self::{
    card::Card,
    changes::ChangesView,
    history::History,
    input::Input,
    items::Around,
    menu::Menu,
    span::{BOLD, CYAN, DIM, Line, PLAIN, YELLOW, hang},
};
use crate::{text, viewer::draw_bar};

pub use ui::ConversationUi;

/// So long without a word from an agent that works is worth saying, in milliseconds.
const SILENCE_MS: u64 = 10_000;

/// How long a sentence is shown, in microseconds.
const MESSAGE_US: u64 = 6_000_000;

/// The second press that stops a turn comes within this time, in microseconds.
const AGAIN_US: u64 = 2_000_000;

/// How long an answer that was given is waited for before another may be given, in microseconds.
const SENT_US: u64 = 5_000_000;

/// Longest sentence shown, in characters.
const MESSAGE_CHARS: usize = 512;

/// Most rows of a sentence.
const MESSAGE_ROWS: usize = 3;

/// Rows of what waits to be sent.
const QUEUE_ROWS: usize = 3;

/// Most rows of commands that begin as what is written.
const COMMAND_ROWS: usize = 6;

/// Terminals of fewer rows have no line between the items and what is written.
const RULE_FROM: usize = 12;

/// What the person wants: a [`ConversationRequest`], which the host allows or refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversationAction {
    /// Ask the agent this, when its turn has come.
    Prompt {
        /// What.
        text: String,
    },
    /// Stop the turn that runs, and ask this next.
    Amend {
        /// What.
        text: String,
    },
    /// A waiting prompt is to say something else.
    EditQueued {
        /// Its number.
        prompt: u64,
        /// What.
        text: String,
    },
    /// A waiting prompt is taken back.
    Withdraw {
        /// Its number.
        prompt: u64,
    },
    /// A waiting prompt is held back, or no longer.
    Hold {
        /// Its number.
        prompt: u64,
        /// Whether it is to be held.
        held: bool,
    },
    /// Set one of the agent's options, such as its mode or model.
    SetOption {
        /// Which, by the agent's id.
        option: String,
        /// The id of its value.
        value: String,
    },
    /// Such a rule as [`ConversationAction::AllowAlike`] makes no longer holds.
    EndRule {
        /// Its number.
        rule: u64,
    },
    /// Stop the turn that runs.
    Cancel,
    /// Start the agent again.
    Restart,
    /// The conversation is to be called something else.
    Rename {
        /// What.
        title: String,
    },
    /// How far somebody's prompts are to be trusted.
    Trust {
        /// Whose, by the fingerprint of their key.
        person: String,
        /// How far.
        trust: Trust,
    },
    /// A waiting prompt is to have another place.
    Move {
        /// Its number.
        prompt: u64,
        /// Before which other one; to the end without.
        before: Option<u64>,
    },
    /// The person is about to answer a question.
    Claim {
        /// Which.
        question: ItemId,
    },
    /// The person leaves a question to others.
    Release {
        /// Which.
        question: ItemId,
    },
    /// Yes to a question, and to what is like it for the rest of the session. It is a rule that can be taken back.
    AllowAlike {
        /// Which.
        question: ItemId,
    },
    /// The answer to a question.
    Answer {
        /// Which.
        question: ItemId,
        /// What.
        answer: Answer,
    },
}

impl From<ConversationAction> for ConversationRequest {
    fn from(action: ConversationAction) -> ConversationRequest {
        use {ConversationAction as Action, ConversationRequest as Request};
        match action {
            Action::Prompt { text } => Request::Prompt { text },
            Action::Amend { text } => Request::Amend { text },
            Action::EditQueued { prompt, text } => Request::Edit { prompt, text },
            Action::Withdraw { prompt } => Request::Withdraw { prompt },
            Action::Hold { prompt, held } => Request::Hold { prompt, held },
            Action::SetOption { option, value } => Request::SetOption { option, value },
            Action::EndRule { rule } => Request::EndRule { rule },
            Action::Cancel => Request::Cancel,
            Action::Restart => Request::Restart,
            Action::Rename { title } => Request::Rename { title },
            Action::Trust { person, trust } => Request::Trust { person, trust },
            Action::Move { prompt, before } => Request::Move { prompt, before },
            Action::Claim { question } => Request::Claim { question },
            Action::Release { question } => Request::Release { question },
            Action::AllowAlike { question } => Request::AllowAlike { question },
            Action::Answer { question, answer } => Request::Answer { question, answer },
        }
    }
}

/// What drawing a conversation depends on, and what keys do in it.
#[derive(Clone, Copy, Debug)]
pub struct ConversationContext<'a> {
    /// The conversation.
    pub conversation: &'a Conversation,
    /// The time.
    pub now: Now,
    /// Whether the person may send prompts.
    pub may_prompt: bool,
    /// Whether the person may answer questions.
    pub may_approve: bool,
    /// Whether the person manages the session.
    pub may_manage: bool,
    /// Others who may send prompts: the fingerprint of their key, and what they call themselves.
    pub prompters: &'a [(String, String)],
    /// Who the person is, as in [`Author::id`](pillion_conversation::Author): empty for the host.
    pub me: &'a str,
    /// Whether nothing is heard of the host.
    pub host_away: bool,
}

/// Where keys go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Focus {
    #[default]
    Input,
    /// The question.
    Card,
    /// The item that is chosen.
    Item,
    /// What can be set.
    Menu,
    /// What has changed.
    Changes,
}

/// How somebody looks at a conversation: where they are in it, what is open, and what they are writing.
#[derive(Debug, Default)]
pub struct ConversationView {
    history: History,
    input: Input,
    card: Card,
    focus: Focus,
    /// Whether the person could answer questions when it was last looked at.
    could_approve: bool,
    /// The waiting prompt that is being changed.
    editing: Option<u64>,
    /// What is written is what the conversation is to be called.
    renaming: bool,
    plan_open: bool,
    /// What keys do is shown in place of the items.
    help: bool,
    menu: Menu,
    changes: ChangesView,
    message: Option<Message>,
    /// Until when a second press stops the turn.
    again_until: Option<u64>,
    /// Until when a second press starts the agent again.
    restart_until: Option<u64>,
    /// The question that was answered here, and until when that is waited for.
    sent: Option<(ItemId, u64)>,
    silence: Option<Silence>,
    /// The newest question when it was last looked at; `None` before that.
    asked: Option<Option<ItemId>>,
    /// A question that nobody was rung for yet: what it asks.
    rings: Option<String>,
    /// Columns and rows, as it was drawn last.
    size: (usize, usize),
}

#[derive(Debug)]
struct Message {
    text: String,
    until: u64,
}

/// When the agent was heard last.
#[derive(Debug)]
struct Silence {
    /// What changes when it is heard.
    heard: (u64, u32),
    /// Since when that is so, on our clock.
    since: u64,
    /// How long it had been so then, in milliseconds.
    before_ms: u64,
}

impl ConversationView {
    /// The end of it, and an empty line.
    pub fn new() -> ConversationView {
        ConversationView::default()
    }

    /// Draws all of it into these rows, and says where the cursor is to be. From then on it counts as seen.
    pub fn draw(&mut self, cx: &ConversationContext<'_>, rows: &mut [Row]) -> Option<(u16, u16)> {
        let cols = rows.first().map_or(0, |row| row.cells.len());
        for row in &mut *rows {
            row.cells.fill(Cell::default());
        }
        self.size = (cols, rows.len());
        self.note(cx);
        let (last, area) = rows.split_last_mut()?;
        let (lines, caret) = self.compose(cx, cols, area.len());
        let question = self.question(cx);
        let pieces = state::pieces(cx, self.silent_ms(cx), question, self.history.is_back());
        draw_bar(pieces, &mut last.cells);
        for (row, line) in area.iter_mut().zip(&lines) {
            line.put(&mut row.cells, 0, cols);
        }
        let (x, y) = caret?;
        let inside = x < cols && y < area.len();
        inside.then_some((u16::try_from(x).ok()?, u16::try_from(y).ok()?))
    }

    /// Says a sentence for a while: what came of something that the person wanted.
    pub fn say(&mut self, now: Now, text: &str) {
        let text = clean::clean_text(text, MESSAGE_CHARS);
        let until = now.mono_us.saturating_add(MESSAGE_US);
        // If an answer was refused, another may be given.
        self.sent = None;
        self.message = (!text.is_empty()).then_some(Message { text, until });
    }

    /// Puts a prompt that the host refused back into the line, unless another is being written.
    pub fn give_back(&mut self, text: &str) {
        if self.input.is_empty() {
            self.input.replace(text);
        }
    }

    /// Time passed. `typed` says that something was typed that has not been read.
    pub fn tick(&mut self, now: Now, typed: bool) {
        let is_over = |until: u64| now.mono_us >= until;
        if self.message.as_ref().is_some_and(|one| is_over(one.until)) {
            self.message = None;
        }
        if self.again_until.is_some_and(is_over) {
            self.again_until = None;
        }
        if self.restart_until.is_some_and(is_over) {
            self.restart_until = None;
        }
        if self.sent.is_some_and(|(_, until)| is_over(until)) {
            self.sent = None;
        }
        if !typed {
            self.card.settle(now);
        }
    }

    /// What the agent asks of the person since it was drawn last, to ring once for it.
    pub fn take_ring(&mut self) -> Option<String> {
        self.rings.take()
    }

    /// When to call [`ConversationView::tick`], and draw, at the latest, on [`Now::mono_us`]'s clock.
    pub fn wake_at(&self, cx: &ConversationContext<'_>) -> Option<u64> {
        let works = cx.conversation.activity(0) == Activity::Working;
        let silence = self.silence.as_ref().filter(|_| works);
        [
            self.message.as_ref().map(|message| message.until),
            self.again_until,
            self.restart_until,
            self.sent.map(|(_, until)| until),
            self.card.due_at(),
            // The seconds of a silence that is worth saying.
            silence.map(|silence| {
                let passed_us =
                    cx.now.mono_us.saturating_sub(silence.since) + silence.before_ms * 1000;
                let next_us = (passed_us / 1_000_000 + 1).max(SILENCE_MS / 1000) * 1_000_000;
                cx.now.mono_us + (next_us - passed_us)
            }),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Takes in what has become of the conversation.
    fn note(&mut self, cx: &ConversationContext<'_>) {
        let conversation = cx.conversation;
        let now = cx.now.mono_us;
        let heard_ms = conversation.threads().iter().map(|one| one.heard_ms).max();
        let pending = conversation
            .threads()
            .first()
            .map_or(0, |main| main.prompts_pending);
        let heard = (heard_ms.unwrap_or(0), pending);
        match &self.silence {
            Some(silence) if silence.heard == heard => {}
            before => {
                // Of what is seen first, the host's clock says how long ago it was.
                let before_ms = match (before, heard.0) {
                    (None, 1..) => cx.now.unix_ms.saturating_sub(heard.0),
                    _ => 0,
                };
                self.silence = Some(Silence {
                    heard,
                    since: now,
                    before_ms,
                });
            }
        }
        self.follow_questions(cx);
        if let Some(editing) = self.editing
            && !conversation.queue().iter().any(|one| one.number == editing)
        {
            self.editing = None;
            if !self.input.is_empty() {
                self.say(
                    cx.now,
                    "That prompt no longer waits: Enter sends this as a new one.",
                );
            }
        }
        if self.focus == Focus::Item && self.history.chosen().is_none() {
            self.focus = Focus::Input;
        }
    }

    /// Shows the oldest open question, or the one that was chosen as long as it is open.
    fn follow_questions(&mut self, cx: &ConversationContext<'_>) {
        let is_open = |id| {
            let mut open = cx.conversation.open_questions();
            open.any(|(open, _)| open == id)
        };
        if self.sent.is_some_and(|(sent, _)| !is_open(sent)) {
            self.sent = None;
        }
        let newest = cx.conversation.open_questions().max_by_key(|(id, _)| *id);
        let newest_id = newest.map(|(id, _)| id);
        let known = self.asked.replace(newest_id.max(self.asked.flatten()));
        if known.is_some_and(|known| newest_id > known) && cx.may_approve {
            self.rings = newest.map(|(_, question)| match question.title.is_empty() {
                true => "the agent asks something".to_owned(),
                false => format!("the agent asks: {}", question.title),
            });
        }
        let shown = self.card.question().filter(|id| is_open(*id));
        let oldest = || cx.conversation.open_questions().next().map(|(id, _)| id);
        let shown = shown.or_else(oldest);
        let question = shown.and_then(|id| Some((id, cx.conversation.question(id)?)));
        let could_not = !std::mem::replace(&mut self.could_approve, cx.may_approve);
        let changed = self.card.show(question) || (could_not && cx.may_approve);
        match (shown, self.focus) {
            (None, Focus::Card) => self.focus = Focus::Input,
            // A prompt that is being written is not interrupted.
            (Some(_), Focus::Input | Focus::Item)
                if changed && cx.may_approve && self.input.is_empty() =>
            {
                self.focus = Focus::Card;
                self.history.choose_none();
            }
            (Some(_), Focus::Card) if !cx.may_approve => self.focus = Focus::Input,
            _ => {}
        }
    }

    fn question<'a>(
        &self,
        cx: &ConversationContext<'a>,
    ) -> Option<(ItemId, &'a pillion_conversation::Question)> {
        let id = self.card.question()?;
        Some((id, cx.conversation.question(id)?))
    }

    fn silent_ms(&self, cx: &ConversationContext<'_>) -> u64 {
        self.silence.as_ref().map_or(0, |silence| {
            let passed_us = cx.now.mono_us.saturating_sub(silence.since);
            silence.before_ms.saturating_add(passed_us / 1000)
        })
    }

    /// Everything above the state line, and where the cursor is in it.
    fn compose(
        &mut self,
        cx: &ConversationContext<'_>,
        cols: usize,
        height: usize,
    ) -> (Vec<Line>, Option<(usize, usize)>) {
        let around = Around::of(cx, cols);
        let mut left = height;
        let (input, caret) = self.input_rows(cx, cols, (height / 3).max(1));
        left = left.saturating_sub(input.len());
        let message = self.message_rows(cols, (left / 2).min(MESSAGE_ROWS));
        left -= message.len();
        let room = left.saturating_sub((left / 6).min(4));
        let card = match self.focus {
            Focus::Menu => self.menu.rows(cx, &around, room),
            _ => self.card_rows(cx, &around, room),
        };
        left -= card.len();
        let commands = self.command_rows(cx, cols, (left / 3).min(COMMAND_ROWS));
        left -= commands.len();
        let rule = usize::from(height >= RULE_FROM && card.is_empty() && left > 2);
        left -= rule;
        let queue = self.queue_rows(cx, &around, (left / 3).min(QUEUE_ROWS + 1));
        left -= queue.len();
        let plan = self.plan_rows(&around, left);
        left -= plan.len();
        let mut lines = match self.help {
            true => keys::help(cols),
            false if self.focus == Focus::Changes => self.changes.rows(cx, cols, left),
            false => self.history.rows(&around, left),
        };
        lines.resize(left, Line::default());
        lines.extend(plan);
        lines.extend(queue);
        lines.extend(card);
        lines.extend(std::iter::repeat_n(Line::new(&"─".repeat(cols), DIM), rule));
        lines.extend(commands);
        lines.extend(message);
        let above = lines.len();
        lines.extend(input);
        lines.truncate(height);
        (lines, caret.map(|(x, y)| (x, y + above)))
    }

    fn input_rows(
        &mut self,
        cx: &ConversationContext<'_>,
        cols: usize,
        max: usize,
    ) -> (Vec<Line>, Option<(usize, usize)>) {
        let mark = Line::new(
            "› ",
            if self.focus == Focus::Input {
                CYAN
            } else {
                DIM
            },
        );
        let room = cols.saturating_sub(2).max(1);
        let hint = match () {
            () if !self.input.is_empty() => "",
            () if self.renaming => "What this conversation is called; Esc leaves it as it is",
            () if !cx.may_prompt => "You watch this conversation.",
            () if matches!(self.focus, Focus::Card | Focus::Changes) => "Esc, then write a prompt",
            () if self.editing.is_some() => "Ctrl-X takes it back",
            () => "Write to the agent; Enter sends, F1 shows what keys do",
        };
        let mut seen = self.input.see(room, max);
        if let Some(first) = seen.rows.first_mut() {
            first.push(hint, DIM);
            *first = first.cut(room);
        }
        let rows = hang(&mark, &Line::new("  ", PLAIN), seen.rows);
        let shows = self.focus == Focus::Input && cx.may_prompt;
        let (x, y) = seen.cursor;
        (rows, shows.then_some((x + 2, y)))
    }

    /// The commands that begin as what is written.
    fn command_rows(&self, cx: &ConversationContext<'_>, cols: usize, max: usize) -> Vec<Line> {
        let found = self.commands(cx);
        let more = found.len() > max;
        let shown = found
            .iter()
            .take(if more { max.saturating_sub(1) } else { max });
        let mut rows: Vec<Line> = shown
            .enumerate()
            .map(|(at, command)| {
                let mut line = Line::new("  /", CYAN).and(&command.name, CYAN);
                for word in [&command.hint, &command.description] {
                    if !word.is_empty() {
                        line.push("  ", PLAIN);
                        line.push(word, DIM);
                    }
                }
                if at == 0 {
                    line.push("  (Tab)", DIM);
                }
                line.cut(cols)
            })
            .collect();
        if more && max > 0 {
            let more = found.len() - rows.len();
            rows.push(Line::new(&format!("  and {more} more"), DIM).cut(cols));
        }
        rows
    }

    /// The commands that begin as what is written, while it is no more than the beginning of one.
    fn commands<'a>(&self, cx: &ConversationContext<'a>) -> Vec<&'a Command> {
        let written = self.input.text().strip_prefix('/');
        let (Some(written), Some(main)) = (
            written.filter(|written| !written.contains(char::is_whitespace)),
            cx.conversation.threads().first(),
        ) else {
            return Vec::new();
        };
        let begins = |command: &&Command| command.name.starts_with(written);
        main.commands.iter().filter(begins).collect()
    }

    fn message_rows(&self, cols: usize, max: usize) -> Vec<Line> {
        let Some(message) = &self.message else {
            return Vec::new();
        };
        let rows = text::fold(&message.text, cols.max(1), max);
        rows.iter().map(|row| Line::new(row, BOLD)).collect()
    }

    fn card_rows(
        &mut self,
        cx: &ConversationContext<'_>,
        around: &Around<'_>,
        max: usize,
    ) -> Vec<Line> {
        let Some((id, question)) = self.question(cx) else {
            return Vec::new();
        };
        if max == 0 {
            return Vec::new();
        }
        if self.sent.is_some_and(|(sent, _)| sent == id) {
            return vec![Line::new("The answer is on its way.", BOLD).cut(around.cols)];
        }
        let mut open = cx.conversation.open_questions();
        let at = open.position(|(open, _)| open == id).unwrap_or(0);
        let of = cx.conversation.open_questions().count();
        let has_keys = self.focus == Focus::Card;
        self.card
            .rows(cx, around, question, max, (at, of), has_keys)
    }

    fn queue_rows(
        &self,
        cx: &ConversationContext<'_>,
        around: &Around<'_>,
        max: usize,
    ) -> Vec<Line> {
        let queue = cx.conversation.queue();
        let shown = match queue.len() > max {
            true => max.saturating_sub(1),
            false => queue.len(),
        };
        let mut rows: Vec<Line> = queue
            .iter()
            .take(shown)
            .map(|waiting| self.queued(around, waiting))
            .collect();
        if shown < queue.len() && max > 0 {
            let more = queue.len() - shown;
            let text = match shown {
                0 => format!("  {more} prompts wait"),
                _ => format!("  and {more} more wait"),
            };
            rows.push(Line::new(&text, DIM).cut(around.cols));
        }
        rows
    }

    fn queued(&self, around: &Around<'_>, waiting: &QueuedPrompt) -> Line {
        let mut line = match self.editing == Some(waiting.number) {
            true => Line::new("› changing ", CYAN),
            false => Line::new("  ", PLAIN),
        };
        let (word, style) = match (waiting.needs_yes, waiting.held) {
            (true, _) => ("waits for a yes (Ctrl-P), by ", YELLOW),
            (false, true) => ("held by ", YELLOW),
            (false, false) => ("queued by ", DIM),
        };
        line.push(word, style);
        line.extend(&around.author(&waiting.by, PLAIN));
        line.push(": ", PLAIN);
        let mut lines = span::lines(waiting.text.as_str().trim());
        line.push(lines.next().unwrap_or_default(), DIM);
        if lines.next().is_some() || waiting.text.omitted() > 0 {
            line.push(" …", DIM);
        }
        line.cut(around.cols)
    }

    /// The plan: one row, or all of it.
    fn plan_rows(&self, around: &Around<'_>, left: usize) -> Vec<Line> {
        let main = around.conversation.threads().first();
        let plan = main.and_then(|main| main.plans.iter().rev().find(|plan| !is_empty(plan)));
        let Some(plan) = plan.filter(|_| left >= 4) else {
            return Vec::new();
        };
        let done = plan.steps.iter().filter(|step| step.status == "completed");
        let mut head = Line::new("plan ", with_key(self.plan_open));
        if !plan.steps.is_empty() {
            head.push(
                &format!("{} of {} done", done.count(), plan.steps.len()),
                PLAIN,
            );
        }
        let next = |status: &str| plan.steps.iter().find(|step| step.status == status);
        let current = next("in_progress").or_else(|| next("pending"));
        if !self.plan_open {
            if let Some(step) = current {
                head.push(": ", PLAIN);
                head.push(&step.content, PLAIN);
            }
            head.push("  (Ctrl-T shows it)", DIM);
            return vec![head.cut(around.cols)];
        }
        head.push("  (Ctrl-T hides it)", DIM);
        let mut rows = vec![head.cut(around.cols)];
        let before = Line::new("  ", PLAIN);
        rows.extend(hang(&before, &before, around.narrowed(2).plan(plan)));
        let max = (left / 2).max(1);
        if rows.len() > max {
            let more = rows.len() - max + 1;
            rows.truncate(max.saturating_sub(1).max(1));
            rows.push(Line::new(&format!("  … {more} rows more"), DIM));
            rows.truncate(max);
        }
        rows
    }
}

fn with_key(open: bool) -> pillion_screen::Style {
    if open { BOLD } else { DIM }
}

fn is_empty(plan: &Plan) -> bool {
    plan.steps.is_empty() && plan.text.is_empty()
}
