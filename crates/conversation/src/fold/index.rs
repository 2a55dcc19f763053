//! Where things are among the items, by the agent's ids. All of it is found again from the items.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Item, ItemBody, ItemId, Thread, ToolStatus};

/// What an id is of. Each kind of thing has ids of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u8);

impl Key {
    pub(super) const PROMPT: Key = Key(0);
    pub(super) const RESPONSE: Key = Key(1);
    pub(super) const THOUGHT: Key = Key(2);
    pub(super) const TOOL: Key = Key(3);
    pub(super) const TERMINAL: Key = Key(4);
    pub(super) const NOTICE: Key = Key(5);
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Index {
    by_id: BTreeMap<(u32, Key, String), ItemId>,
    /// Items before this one are of an earlier process of the agent's, whose ids mean nothing now.
    names_from: ItemId,
    open_tools: BTreeSet<(u32, ItemId)>,
    open_questions: BTreeSet<ItemId>,
    /// Prompts from here that the agent has not reported.
    unechoed: BTreeSet<(u32, ItemId)>,
    /// The newest item of each thread.
    last: Vec<Option<ItemId>>,
    /// What the plans, options and commands of each thread weigh.
    pub(super) lists_weight: Vec<usize>,
}

impl Index {
    pub(super) fn of_one_thread() -> Index {
        Index {
            by_id: BTreeMap::new(),
            names_from: 0,
            open_tools: BTreeSet::new(),
            open_questions: BTreeSet::new(),
            unechoed: BTreeSet::new(),
            last: vec![None],
            lists_weight: vec![0],
        }
    }

    /// Of what a snapshot holds.
    pub(crate) fn of<'a>(
        threads: &[Thread],
        names_from: ItemId,
        kept: impl Iterator<Item = ItemId>,
        items: impl Iterator<Item = (ItemId, &'a Item)>,
    ) -> Index {
        let mut index = Index {
            names_from,
            last: vec![None; threads.len()],
            lists_weight: threads.iter().map(Thread::lists_weight).collect(),
            ..Index::of_one_thread()
        };
        index.open_questions.extend(kept);
        for (id, item) in items {
            index.learn(id, item);
        }
        index
    }

    /// The agent's process is another one: what it names from this item on is new, whatever it calls it.
    pub(super) fn name_anew(&mut self, from: ItemId) {
        self.names_from = from;
        self.by_id.clear();
        self.unechoed.clear();
    }

    pub(super) fn add_thread(&mut self) {
        self.last.push(None);
        self.lists_weight.push(0);
    }

    pub(super) fn get(&self, thread: u32, key: Key, id: &str) -> Option<ItemId> {
        match id {
            "" => None,
            id => self.by_id.get(&(thread, key, id.to_owned())).copied(),
        }
    }

    /// The newest item of a thread.
    pub(super) fn last(&self, thread: u32) -> Option<ItemId> {
        self.last.get(thread as usize).copied().flatten()
    }

    pub(super) fn open_questions(&self) -> impl Iterator<Item = ItemId> {
        self.open_questions.iter().copied()
    }

    /// The oldest prompt of a thread from here that the agent has not reported.
    pub(super) fn unechoed(&self, thread: u32) -> Option<ItemId> {
        let mut of = self.unechoed.range((thread, 0)..=(thread, ItemId::MAX));
        of.next().map(|(_, id)| *id)
    }

    pub(super) fn open_tool(&self, thread: u32) -> Option<ItemId> {
        let mut of = self.open_tools.range((thread, 0)..=(thread, ItemId::MAX));
        of.next_back().map(|(_, id)| *id)
    }

    pub(super) fn take_open_tools(&mut self, thread: u32) -> Vec<ItemId> {
        let of = self.open_tools.range((thread, 0)..=(thread, ItemId::MAX));
        let ids: Vec<ItemId> = of.map(|(_, id)| *id).collect();
        for id in &ids {
            self.open_tools.remove(&(thread, *id));
        }
        ids
    }

    /// Takes in a new item.
    pub(super) fn learn(&mut self, id: ItemId, item: &Item) {
        if let Some(last) = self.last.get_mut(item.thread as usize) {
            *last = Some(id);
        }
        self.look_again(id, item);
    }

    /// Takes in what an item has become.
    pub(super) fn look_again(&mut self, id: ItemId, item: &Item) {
        let thread = item.thread;
        let is_named = id >= self.names_from;
        if let Some((key, name)) = name(item).filter(|_| is_named)
            && self.get(thread, key, name) != Some(id)
        {
            self.by_id.insert((thread, key, name.to_owned()), id);
        }
        match &item.body {
            ItemBody::Tool(tool) => {
                let open = matches!(tool.status(), ToolStatus::Pending | ToolStatus::InProgress);
                set(&mut self.open_tools, (thread, id), open);
            }
            ItemBody::Question(question) => {
                set(&mut self.open_questions, id, question.is_open());
            }
            ItemBody::Prompt(prompt) => {
                let waits = is_named && prompt.number.is_some() && !prompt.echoed;
                set(&mut self.unechoed, (thread, id), waits);
            }
            _ => {}
        }
    }

    /// A question that is no item any longer has been answered.
    pub(super) fn close_question(&mut self, id: ItemId) {
        self.open_questions.remove(&id);
    }

    /// An item is not held any longer. Its question stays open.
    pub(super) fn forget(&mut self, id: ItemId, item: &Item) {
        if let Some((key, name)) = name(item)
            && self.get(item.thread, key, name) == Some(id)
        {
            self.by_id.remove(&(item.thread, key, name.to_owned()));
        }
        self.open_tools.remove(&(item.thread, id));
        self.unechoed.remove(&(item.thread, id));
        if let Some(last) = self.last.get_mut(item.thread as usize)
            && *last == Some(id)
        {
            *last = None;
        }
    }
}

fn set<T: Ord>(set: &mut BTreeSet<T>, what: T, is: bool) {
    match is {
        true => set.insert(what),
        false => set.remove(&what),
    };
}

/// What the agent calls it.
fn name(item: &Item) -> Option<(Key, &str)> {
    let (key, name) = match &item.body {
        ItemBody::Prompt(prompt) => (Key::PROMPT, &prompt.message_id),
        ItemBody::Response(message) => (Key::RESPONSE, &message.message_id),
        ItemBody::Thought(message) => (Key::THOUGHT, &message.message_id),
        ItemBody::Tool(tool) => (Key::TOOL, &tool.id),
        ItemBody::Terminal(terminal) => (Key::TERMINAL, &terminal.id),
        ItemBody::Notice(notice) => (Key::NOTICE, &notice.id),
        ItemBody::Question(_)
        | ItemBody::TurnEnd(_)
        | ItemBody::Unknown(_)
        | ItemBody::Newer(_) => return None,
    };
    (!name.is_empty()).then_some((key, name))
}
