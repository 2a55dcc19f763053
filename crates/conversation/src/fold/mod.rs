//! The fold: entries of the log one after the other, and the model that they make.

mod calls;
mod index;
mod notes;
mod questions;
pub(crate) mod read;
mod updates;

use serde::{Deserialize, Serialize};

use crate::{
    changes::Changes,
    entry::{Entry, Logged},
    json::Json,
    limits::{MAX_BYTES, MAX_ID, MAX_ITEMS, MAX_LISTS_BYTES, MAX_THREADS},
    message::MessageKind,
    model::{
        Activity, Agent, Item, ItemBody, ItemId, Items, Notice, Process, Question, QueuedPrompt,
        Rule, Thread, Trusted, Unknown,
    },
};
pub(crate) use index::Index;
use index::Key;

/// A conversation as it is after so many entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    pub(crate) state: State,
    pub(crate) items: Items,
    /// Found again from the rest.
    pub(crate) index: Index,
}

/// What a snapshot holds beside the items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) next: u64,
    #[serde(with = "pillion_proto::growing::one")]
    pub(crate) agent: Agent,
    #[serde(with = "pillion_proto::growing::one")]
    pub(crate) process: Process,
    #[serde(with = "pillion_proto::growing::list")]
    pub(crate) threads: Vec<Thread>,
    #[serde(with = "pillion_proto::growing::list")]
    pub(crate) queue: Vec<QueuedPrompt>,
    /// Open questions that there is no room for among the items.
    #[serde(with = "pillion_proto::growing::list")]
    pub(crate) kept: Vec<Kept>,
    /// Our requests that have no answer yet, the oldest first.
    #[serde(with = "pillion_proto::growing::list")]
    pub(crate) calls: Vec<Call>,
    #[serde(with = "pillion_proto::growing::list")]
    pub(crate) rules: Vec<Rule>,
    #[serde(with = "pillion_proto::growing::list")]
    pub(crate) trusted: Vec<Trusted>,
    /// The first item that the agent's process of now can mean by an id.
    #[serde(default)]
    pub(crate) names_from: ItemId,
    #[serde(default, with = "pillion_proto::growing::one")]
    pub(crate) changes: Changes,
}

/// An open question that is no longer among the items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) id: ItemId,
    #[serde(with = "pillion_proto::growing::one")]
    pub(crate) item: Item,
}

/// A request of ours that has no answer yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) thread: u32,
    /// The prompt's item, of a prompt.
    pub(crate) item: Option<ItemId>,
    /// The mode, of a request to set it.
    pub(crate) value: String,
    /// Whether the agent tells again what the log has, until it answers.
    pub(crate) repeats: bool,
}

impl Default for Conversation {
    fn default() -> Conversation {
        Conversation {
            state: State {
                threads: vec![Thread::default()],
                ..State::default()
            },
            items: Items::default(),
            index: Index::of_one_thread(),
        }
    }
}

impl Conversation {
    /// One of which nothing is known yet.
    pub fn new() -> Conversation {
        Conversation::default()
    }

    /// The number of the entry that comes next.
    pub fn next(&self) -> u64 {
        self.state.next
    }

    /// What is known of the agent.
    pub fn agent(&self) -> &Agent {
        &self.state.agent
    }

    /// Where the agent runs, and how it ended.
    pub fn process(&self) -> &Process {
        &self.state.process
    }

    /// The conversation itself and those with subagents, by their numbers.
    pub fn threads(&self) -> &[Thread] {
        &self.state.threads
    }

    /// The prompts that wait, in the order in which they go.
    pub fn queue(&self) -> &[QueuedPrompt] {
        &self.state.queue
    }

    /// The rules by which questions are answered with yes, the oldest first.
    pub fn rules(&self) -> &[Rule] {
        &self.state.rules
    }

    /// Of whom it was said how far they are trusted. Others are asked about.
    pub fn trusted(&self) -> &[Trusted] {
        &self.state.trusted
    }

    /// What has changed in the directory where the agent works.
    pub fn changes(&self) -> &Changes {
        &self.state.changes
    }

    /// The items that are held, in the order in which they came.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = (ItemId, &Item)> {
        let held = self.items.held.iter().enumerate();
        held.map(|(at, item)| (self.items.first + at as u64, item))
    }

    /// One item, if it is held.
    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.items.get(id)
    }

    /// The id of the first item that is held: those before it are in the log only.
    pub fn first_item(&self) -> ItemId {
        self.items.first
    }

    /// The questions that wait for an answer, the oldest first, whether their items are held or not.
    pub fn open_questions(&self) -> impl Iterator<Item = (ItemId, &Question)> {
        self.index
            .open_questions()
            .filter_map(|id| Some((id, self.question(id)?)))
    }

    /// A question, if it is open or its item is held.
    pub fn question(&self, id: ItemId) -> Option<&Question> {
        let kept = || self.state.kept.iter().find(|kept| kept.id == id);
        let item = self.items.get(id).or_else(|| Some(&kept()?.item))?;
        match &item.body {
            ItemBody::Question(question) => Some(question),
            _ => None,
        }
    }

    /// The item of a tool, by the agent's id.
    pub fn tool(&self, thread: u32, id: &str) -> Option<ItemId> {
        self.index.get(thread, Key::TOOL, id)
    }

    /// The newest tool of a thread that has not come to its end.
    pub fn open_tool(&self, thread: u32) -> Option<ItemId> {
        self.index.open_tool(thread)
    }

    /// The item of a terminal, by the agent's id.
    pub fn terminal(&self, thread: u32, id: &str) -> Option<ItemId> {
        self.index.get(thread, Key::TERMINAL, id)
    }

    /// What a thread is doing, as far as is known.
    pub fn activity(&self, thread: u32) -> Activity {
        let Some(of) = self.state.threads.get(thread as usize) else {
            return Activity::Stopped;
        };
        let process = &self.state.process;
        if process.exit.is_some() || process.environment.is_none() {
            return Activity::Stopped;
        }
        let asks = |id| {
            let kept = self.state.kept.iter().find(|kept| kept.id == id);
            let item = self.items.get(id).or(kept.map(|kept| &kept.item));
            item.is_some_and(|item| item.thread == thread)
        };
        if self.index.open_questions().any(asks) {
            return Activity::NeedsAnswer;
        }
        match of.state_word.as_str() {
            "requires_action" => Activity::NeedsAnswer,
            "" | "idle" if of.prompts_pending == 0 => Activity::Idle,
            // A state that nobody knows is shown as work, never as rest.
            _ => Activity::Working,
        }
    }

    /// The conversation as somebody sees it who may see what began with this entry or later: what is known now,
    /// without the items and prompts before.
    #[must_use]
    pub fn visible_from(&self, entry: u64) -> Conversation {
        let mut visible = self.clone();
        if visible.state.changes.entry < entry {
            visible.state.changes = Changes::default();
        }
        while let Some(item) = visible.items.held.front()
            && item.first < entry
        {
            visible.drop_oldest();
        }
        visible
    }

    /// Takes in the entry that comes next, as text. One that can't be read counts, and shows as unknown.
    pub fn apply_text(&mut self, entry: &str) {
        match Entry::decode(entry) {
            Ok(entry) => self.apply(&entry),
            Err(_) => {
                let at_ms = self.state.threads[0].heard_ms;
                self.unknown(Origin { thread: 0, at_ms }, "entry");
                self.finish_entry();
            }
        }
    }

    /// Takes in the entry that comes next.
    pub fn apply(&mut self, entry: &Entry<'_>) {
        let at_ms = entry.at_ms;
        match &entry.what {
            Logged::FromAgent(message) => self.agent_sent(at_ms, &message.kind),
            Logged::ToAgent {
                message,
                by,
                prompt,
            } => self.host_sent(at_ms, &message.kind, by.as_ref(), *prompt),
            Logged::Note(note) => self.note(at_ms, note),
            Logged::NewerNote(kind) => self.unknown(Origin { thread: 0, at_ms }, kind),
        }
        self.finish_entry();
    }

    fn agent_sent(&mut self, at_ms: u64, message: &MessageKind<'_>) {
        match message {
            MessageKind::Notification { method, params } => match (method.as_ref(), params) {
                ("session/update", Some(params)) => self.session_update(at_ms, *params),
                ("$/cancel_request", Some(params)) => self.withdraw_question(*params),
                // It closes a question that was answered before.
                ("elicitation/complete", _) => {}
                (method, _) => self.unknown(Origin { thread: 0, at_ms }, method),
            },
            MessageKind::Request { id, method, params } => {
                self.question_or_unknown(at_ms, id.as_json(), method, *params);
            }
            MessageKind::Response { id, result } => self.answered(at_ms, id.as_json(), *result),
        }
    }

    /// Counts the entry, and makes room.
    fn finish_entry(&mut self) {
        self.state.next += 1;
        while self.items.held.len() > 1
            && (self.items.weight > MAX_BYTES || self.items.held.len() > MAX_ITEMS)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((id, item)) = self.items.pop() else {
            return;
        };
        self.index.forget(id, &item);
        match &item.body {
            ItemBody::Question(question) if question.is_open() => {
                self.state.kept.push(Kept { id, item });
            }
            _ => {}
        }
    }

    fn push(&mut self, from: Origin, body: ItemBody) -> ItemId {
        let item = Item {
            thread: from.thread,
            first: self.state.next,
            last: self.state.next,
            at_ms: from.at_ms,
            body,
        };
        self.index.learn(self.items.next(), &item);
        self.items.push(item)
    }

    /// The item that the agent calls `id`: the one there is, or the one that `body` makes.
    fn item_called(
        &mut self,
        from: Origin,
        key: Key,
        id: String,
        body: impl FnOnce(String) -> ItemBody,
    ) -> ItemId {
        match self.index.get(from.thread, key, &id) {
            Some(item) => item,
            None => self.push(from, body(id)),
        }
    }

    /// Changes an item that is held.
    fn change(&mut self, id: ItemId, change: impl FnOnce(&mut ItemBody)) {
        self.items.change(id, self.state.next, change);
        if let Some(item) = self.items.get(id) {
            self.index.look_again(id, item);
        }
    }

    /// Counts an update that is not shown, with those of its kind right before it.
    fn unknown(&mut self, from: Origin, kind: &str) {
        let kind = read::word(kind);
        let last = self.index.last(from.thread);
        if let Some(id) = last
            && let Some(ItemBody::Unknown(known)) = self.items.get(id).map(|item| &item.body)
            && known.kind == kind
        {
            self.change(id, |body| {
                if let ItemBody::Unknown(known) = body {
                    known.count += 1;
                }
            });
        } else {
            self.push(from, ItemBody::Unknown(Unknown { kind, count: 1 }));
        }
    }

    fn notice(&mut self, from: Origin, word: &str, title: &str) {
        let notice = Notice {
            word: word.to_owned(),
            title: read::word(title),
            ..Notice::default()
        };
        self.push(from, ItemBody::Notice(notice));
    }

    /// An id of the agent's; one that is too long is said and not kept.
    fn id(&mut self, from: Origin, id: Option<Json<'_>>) -> Option<String> {
        let id = id?.text()?;
        if id.len() > MAX_ID {
            let start = &id[..id.floor_char_boundary(32)];
            self.notice(from, Notice::LONG_ID, start);
            return None;
        }
        Some(id.into_owned())
    }

    /// The thread of one of the agent's sessions, which begins with what is first heard of it.
    fn thread_of(&mut self, session: &str) -> Option<u32> {
        let threads = &mut self.state.threads;
        if let Some(at) = threads.iter().position(|one| one.session == session) {
            return u32::try_from(at).ok();
        }
        if session.is_empty() || session.len() > MAX_ID {
            return None;
        }
        let started = |call: &Call| call.method == "session/new";
        if threads[0].session.is_empty() && self.state.calls.iter().any(started) {
            threads[0].session = session.to_owned();
            return Some(0);
        }
        if threads.len() >= MAX_THREADS {
            return None;
        }
        threads.push(Thread {
            session: session.to_owned(),
            parent: Some(0),
            ..Thread::default()
        });
        self.index.add_thread();
        u32::try_from(threads.len() - 1).ok()
    }

    fn thread_mut(&mut self, thread: u32) -> &mut Thread {
        &mut self.state.threads[thread as usize]
    }

    /// Makes room where a thread's plans, options and commands have grown.
    fn bound_lists(&mut self, thread: u32) {
        let of = &mut self.state.threads[thread as usize];
        self.index.lists_weight[thread as usize] = of.lists_weight();
        if self.index.lists_weight.iter().sum::<usize>() > MAX_LISTS_BYTES {
            of.commands.clear();
            of.options.clear();
            of.plans.clear();
            self.index.lists_weight[thread as usize] = 0;
        }
    }

    /// The tools of a thread that are open are not heard of again, as far as is known.
    fn leave_tools_open(&mut self, thread: u32) {
        for id in self.index.take_open_tools(thread) {
            self.change(id, |body| {
                if let ItemBody::Tool(tool) = body {
                    tool.left_open = true;
                }
            });
        }
    }
}

/// Where and when something came.
#[derive(Clone, Copy)]
struct Origin {
    thread: u32,
    at_ms: u64,
}
