//! What can be set: the agent's options, prompts that wait, the rules by which questions are answered, how far people
//! are trusted, and what becomes of the conversation.

use pillion_conversation::{ConfigOption, Trust};
use pillion_screen::Attrs;

use super::{
    ConversationAction, ConversationContext,
    items::Around,
    span::{DIM, Line, PLAIN, YELLOW, with},
};
use crate::{text, words};

/// Most columns of what an option and its values are called.
const NAME: usize = 60;

/// The list, or what can be done with one thing of it.
#[derive(Debug, Default)]
pub(super) struct Menu {
    page: Page,
    chosen: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Page {
    /// Everything.
    #[default]
    All,
    /// The values of an option.
    Option(String),
    /// How far somebody can be trusted.
    Person(String),
    /// What can become of a waiting prompt.
    Queued(u64),
}

/// Something in the list.
#[derive(Clone, Debug)]
enum Entry {
    /// It has a page of its own.
    Page(Page),
    /// It is done.
    Does(ConversationAction),
    /// A waiting prompt of the person's comes into the line.
    Edit(u64),
    /// The next line that is written is what the conversation is called.
    Rename,
}

/// What comes of a choice.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) action: Option<ConversationAction>,
    /// The list stays.
    pub(super) stays: bool,
    pub(super) edits: Option<u64>,
    pub(super) renames: bool,
}

impl Menu {
    pub(super) fn up(&mut self) {
        self.chosen = self.chosen.saturating_sub(1);
    }

    pub(super) fn down(&mut self) {
        self.chosen += 1;
    }

    /// From the page of one thing to the list; `false` where that is what is seen.
    pub(super) fn back(&mut self) -> bool {
        self.chosen = 0;
        std::mem::take(&mut self.page) != Page::All
    }

    /// Chooses what is marked, or what has this number.
    pub(super) fn choose(&mut self, cx: &ConversationContext<'_>, number: Option<usize>) -> Chosen {
        let entries = self.entries(cx, &Around::of(cx, 80));
        let at = number.unwrap_or(self.chosen);
        let mut chosen = Chosen {
            stays: true,
            ..Chosen::default()
        };
        let Some((entry, _)) = entries.into_iter().nth(at) else {
            return chosen;
        };
        chosen.stays = false;
        match entry {
            Entry::Page(page) => {
                self.chosen = now(cx, &page);
                self.page = page;
                chosen.stays = true;
            }
            Entry::Does(action) => chosen.action = Some(action),
            Entry::Edit(prompt) => chosen.edits = Some(prompt),
            Entry::Rename => chosen.renames = true,
        }
        chosen
    }

    /// At most `max` rows.
    pub(super) fn rows(
        &mut self,
        cx: &ConversationContext<'_>,
        around: &Around<'_>,
        max: usize,
    ) -> Vec<Line> {
        let entries = self.entries(cx, around);
        self.chosen = self.chosen.min(entries.len().saturating_sub(1));
        let title = match &self.page {
            Page::All => "what can be set",
            Page::Option(_) => "set to",
            Page::Person(_) => "their prompts",
            Page::Queued(_) => "this prompt",
        };
        let mut head = Line::new("── ", YELLOW).and(title, with(YELLOW, Attrs::BOLD));
        head.push(" ", YELLOW);
        let fill = around.cols.saturating_sub(head.width());
        head.push(&"─".repeat(fill), YELLOW);
        let mut rows = vec![head.cut(around.cols)];
        if entries.is_empty() {
            let text = "  Nothing: the agent offers nothing, or it is for others to set.";
            rows.push(Line::new(text, DIM).cut(around.cols));
        }
        let room = max.saturating_sub(2).max(1);
        let top = (self.chosen + 1).saturating_sub(room);
        for (at, (_, line)) in entries.iter().enumerate().skip(top).take(room) {
            let key = match at {
                0..9 => (at + 1).to_string(),
                _ => " ".to_owned(),
            };
            let mut row = Line::new("  ", PLAIN).and(&key, YELLOW).and(" ", PLAIN);
            row.extend(line);
            let row = row.cut(around.cols);
            rows.push(match at == self.chosen {
                true => row.restyled(|style| with(style, Attrs::INVERSE)),
                false => row,
            });
        }
        let keys = "  ↑ ↓ and Enter, or a number  Esc back";
        rows.push(Line::new(keys, DIM).cut(around.cols));
        rows.truncate(max);
        rows
    }

    fn entries(&self, cx: &ConversationContext<'_>, around: &Around<'_>) -> Vec<(Entry, Line)> {
        match &self.page {
            Page::All => everything(cx, around),
            Page::Option(of) => {
                let option = options(cx).find(|option| option.id == *of);
                option.map(values).unwrap_or_default()
            }
            Page::Person(person) => trusts(cx, person),
            Page::Queued(prompt) => queued(cx, *prompt),
        }
    }
}

/// What stands in the list.
fn everything(cx: &ConversationContext<'_>, around: &Around<'_>) -> Vec<(Entry, Line)> {
    let conversation = cx.conversation;
    let mut all: Vec<(Entry, Line)> = options(cx)
        .map(|option| {
            let value = option.values.iter().find(|value| value.id == option.value);
            let value = value.map_or(&option.value, |value| &value.name);
            let line = Line::new(&name(&option.name, &option.id), PLAIN);
            let line = line.and(": ", DIM).and(&text::label(value, NAME), PLAIN);
            (Entry::Page(Page::Option(option.id.clone())), line)
        })
        .collect();
    for waiting in conversation.queue() {
        let text = waiting.text.as_str();
        if waiting.needs_yes && cx.may_approve {
            let mut line = Line::new("yes, send what ", PLAIN);
            line.extend(&around.author(&waiting.by, PLAIN));
            line.push(" asks: ", PLAIN);
            line.push(text, DIM);
            let (prompt, held) = (waiting.number, false);
            all.push((Entry::Does(ConversationAction::Hold { prompt, held }), line));
        }
        if cx.may_manage || (cx.may_prompt && waiting.by.id == cx.me) {
            let mut line = Line::new("what waits, by ", PLAIN);
            line.extend(&around.author(&waiting.by, PLAIN));
            line.push(": ", PLAIN);
            line.push(text, DIM);
            all.push((Entry::Page(Page::Queued(waiting.number)), line));
        }
    }
    if cx.may_approve {
        for rule in conversation.rules() {
            let what = if rule.command.is_empty() {
                "anything of its kind"
            } else {
                &rule.command
            };
            let mut line = Line::new("no longer allow ", PLAIN);
            line.push(&text::label(&rule.tool, 20), PLAIN);
            line.push(": ", DIM);
            line.push(what, DIM);
            line.push(", as ", DIM);
            line.extend(&around.author(&rule.by, DIM));
            line.push(" did", DIM);
            let rule = rule.number;
            all.push((Entry::Does(ConversationAction::EndRule { rule }), line));
        }
    }
    if !cx.may_manage {
        return all;
    }
    for (person, name) in cx.prompters {
        let mut line = Line::new("prompts of ", PLAIN);
        line.push(&text::name(name, 24), PLAIN);
        line.push(": ", DIM);
        line.push(trust_of(cx, person).as_str(), PLAIN);
        all.push((Entry::Page(Page::Person(person.clone())), line));
    }
    all.push((
        Entry::Rename,
        Line::new("call this conversation something else", PLAIN),
    ));
    all.push((
        Entry::Does(ConversationAction::Restart),
        Line::new("start the agent again, to go on from here", PLAIN),
    ));
    all
}

/// The options that the person may set.
fn options<'a>(cx: &ConversationContext<'a>) -> impl Iterator<Item = &'a ConfigOption> {
    let (may_approve, may_prompt) = (cx.may_approve, cx.may_prompt);
    let options = cx.conversation.threads().first();
    let options = options.into_iter().flat_map(|main| &main.options);
    // What the agent does without asking is for those who are asked.
    options.filter(move |option| match option.category.as_str() {
        "mode" => may_approve,
        _ => may_prompt,
    })
}

/// What is marked first on a page: what counts now.
fn now(cx: &ConversationContext<'_>, page: &Page) -> usize {
    let at = match page {
        Page::Option(of) => {
            let option = options(cx).find(|option| option.id == *of);
            option.and_then(|option| {
                let mut values = option.values.iter();
                values.position(|value| value.id == option.value)
            })
        }
        Page::Person(person) => {
            let trust = trust_of(cx, person);
            Trust::ALL.iter().position(|one| *one == trust)
        }
        Page::All | Page::Queued(_) => None,
    };
    at.unwrap_or(0)
}

fn trust_of(cx: &ConversationContext<'_>, person: &str) -> Trust {
    let mut known = cx.conversation.trusted().iter();
    let known = known.find(|known| known.person == person);
    known
        .and_then(|known| known.how.parse().ok())
        .unwrap_or_default()
}

fn trusts(cx: &ConversationContext<'_>, person: &str) -> Vec<(Entry, Line)> {
    let now = trust_of(cx, person);
    let each = Trust::ALL.into_iter().map(|trust| {
        let mut line = Line::new(words::trust_means(trust), PLAIN);
        if trust == now {
            line.push(" (now)", DIM);
        }
        let person = person.to_owned();
        (
            Entry::Does(ConversationAction::Trust { person, trust }),
            line,
        )
    });
    each.collect()
}

/// What can become of a waiting prompt: its author moves it among their own, who manages anywhere.
fn queued(cx: &ConversationContext<'_>, prompt: u64) -> Vec<(Entry, Line)> {
    let queue = cx.conversation.queue();
    let Some(at) = queue.iter().position(|one| one.number == prompt) else {
        return Vec::new();
    };
    let waiting = &queue[at];
    let is_own = waiting.by.id == cx.me;
    let does = |action, text| (Entry::Does(action), Line::new(text, PLAIN));
    let mut all = Vec::new();
    if is_own && waiting.text.omitted() == 0 {
        all.push((Entry::Edit(prompt), Line::new("change it", PLAIN)));
    }
    if let Some(before) = move_up(cx, prompt) {
        let before = Some(before);
        all.push(does(
            ConversationAction::Move { prompt, before },
            "send it earlier",
        ));
    }
    if let Some(before) = move_down(cx, prompt) {
        all.push(does(
            ConversationAction::Move { prompt, before },
            "send it later",
        ));
    }
    if !waiting.needs_yes {
        let held = !waiting.held;
        let text = if held { "hold it" } else { "let it go" };
        all.push(does(ConversationAction::Hold { prompt, held }, text));
    }
    all.push(does(
        ConversationAction::Withdraw { prompt },
        "take it back",
    ));
    all
}

/// Before which prompt a waiting one goes that is sent one place earlier.
pub(super) fn move_up(cx: &ConversationContext<'_>, prompt: u64) -> Option<u64> {
    let queue = cx.conversation.queue();
    let at = queue.iter().position(|one| one.number == prompt)?;
    let before = queue.get(at.checked_sub(1)?)?;
    (cx.may_manage || before.by.id == cx.me).then_some(before.number)
}

/// The same of one that is sent one place later; nothing stands behind the last.
pub(super) fn move_down(cx: &ConversationContext<'_>, prompt: u64) -> Option<Option<u64>> {
    let queue = cx.conversation.queue();
    let at = queue.iter().position(|one| one.number == prompt)?;
    queue.get(at + 1)?;
    Some(queue.get(at + 2).map(|one| one.number))
}

fn values(option: &ConfigOption) -> Vec<(Entry, Line)> {
    let set = |value: &str| {
        Entry::Does(ConversationAction::SetOption {
            option: option.id.clone(),
            value: value.to_owned(),
        })
    };
    // One that is on or off has no values of its own.
    if option.values.is_empty() {
        let both = ["true", "false"].into_iter();
        let each = both.map(|value| {
            let line = Line::new(if value == "true" { "on" } else { "off" }, PLAIN);
            (set(value), line)
        });
        return each.collect();
    }
    let each = option.values.iter().map(|value| {
        let mut line = Line::new(&name(&value.name, &value.id), PLAIN);
        if value.id == option.value {
            line.push(" (now)", DIM);
        }
        if !value.description.is_empty() {
            line.push("  ", PLAIN);
            line.push(&value.description, DIM);
        }
        (set(&value.id), line)
    });
    each.collect()
}

fn name(name: &str, id: &str) -> String {
    text::label(if name.is_empty() { id } else { name }, NAME)
}
