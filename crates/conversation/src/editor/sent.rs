//! What an editor was sent of a conversation, and what is new of it.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use serde_json::{Map, Value, json};

use super::{EditorOutput, Offers, prompts::OwnPrompt, wire};
use crate::{
    fold::Conversation,
    model::{
        Activity, Block, Command, ConfigOption, Item, ItemBody, ItemId, Message, Notice, Plan,
        Prompt, Stop, Terminal, Tool, TurnEnd, Usage,
    },
};

/// How much more a command has printed when version 1's editors are sent its output again, in bytes: all of it, since
/// there a tool's content is replaced.
const OUTPUT_STEP: u64 = 4096;

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Entries that were looked at.
    entries: u64,
    /// The first item that was not.
    next_item: ItemId,
    items: BTreeMap<ItemId, SentItem>,
    /// Whether what is sent is older than the attachment.
    replaying: bool,
    title: String,
    plans: Vec<Plan>,
    options: Vec<ConfigOption>,
    /// Options are being set, and these are not what is told.
    settling: Option<Vec<ConfigOption>>,
    commands: Vec<Command>,
    usage: Usage,
    /// Titles and states of subagents.
    subagents: Vec<(String, &'static str)>,
    state: Option<&'static str>,
    /// A prompt was sent to the agent whose turn has not ended.
    in_turn: bool,
}

#[derive(Debug)]
enum SentItem {
    Message {
        /// Each block's text.
        texts: Vec<String>,
        /// How often it was begun again.
        again: u32,
        /// It says something else now than what was sent, and is sent again when its turn has ended.
        replaced: bool,
    },
    /// The fields of a tool, as hashes.
    Tool(BTreeMap<String, u64>),
    /// How many bytes a command printed; its other fields as a hash.
    Terminal { printed: u64, fields: u64 },
    /// It does not change, or is not shown.
    Done,
}

/// To whom it is sent.
pub(super) struct Target<'a> {
    pub(super) version: u64,
    pub(super) offers: Offers,
    pub(super) session: &'a str,
    pub(super) you: &'a str,
    pub(super) own: &'a [OwnPrompt],
    pub(super) outputs: &'a mut VecDeque<EditorOutput>,
}

/// What was seen that prompts wait for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PromptEvent {
    /// A prompt of this person's was sent to the agent.
    Sent {
        number: u64,
        item: ItemId,
        text: String,
    },
    /// The turn of the prompts before it ended.
    Ended { item: ItemId, end: TurnEnd },
    /// The agent ended.
    Gone { why: String },
}

/// Such, each with how many outputs stood before it.
pub(super) type Events = Vec<(usize, PromptEvent)>;

impl Target<'_> {
    fn shows(&self, thread: u32) -> bool {
        thread == 0 || self.version >= 2 || self.offers.subagents
    }

    fn session_of(&self, thread: u32) -> String {
        match thread {
            0 => self.session.to_owned(),
            thread => format!("{}/{thread}", self.session),
        }
    }

    /// Whether a prompt is one of the editor's.
    fn own_prompt(&self, item: ItemId, prompt: &Prompt) -> Option<PromptEvent> {
        let by = prompt.by.as_ref()?;
        if by.id != self.you || self.you.is_empty() {
            return None;
        }
        let number = prompt.number?;
        let text = prompt.content.first().map(|block| block.text.as_str())?;
        let mut own = self.own.iter();
        own.any(|own| own.is(number, text))
            .then(|| PromptEvent::Sent {
                number,
                item,
                text: text.to_owned(),
            })
    }

    fn update(&mut self, thread: u32, update: &Value) {
        let params = json!({"sessionId": self.session_of(thread), "update": update});
        let message = json!({"jsonrpc": "2.0", "method": "session/update", "params": params});
        self.outputs
            .push_back(EditorOutput::Send(message.to_string()));
    }

    fn fields(&mut self, thread: u32, kind: &str, mut fields: Map<String, Value>) {
        fields.insert("sessionUpdate".to_owned(), json!(kind));
        self.update(thread, &Value::Object(fields));
    }
}

/// The newest number of a prompt that was sent to the agent.
pub(super) fn newest_prompt(shown: &Conversation) -> Option<u64> {
    let items = shown.items();
    items
        .filter_map(|(_, item)| match &item.body {
            ItemBody::Prompt(prompt) => prompt.number,
            _ => None,
        })
        .max()
}

/// The editor's own prompts among those that were sent to the agent.
pub(super) fn sent_before(to: &Target<'_>, shown: &Conversation) -> Events {
    let items = shown.items();
    items
        .filter_map(|(id, item)| match &item.body {
            ItemBody::Prompt(prompt) => Some((to.outputs.len(), to.own_prompt(id, prompt)?)),
            _ => None,
        })
        .collect()
}

impl Sent {
    /// Of somebody who is sent all that is there.
    pub(super) fn nothing() -> Sent {
        Sent {
            replaying: true,
            ..Sent::default()
        }
    }

    /// Of somebody who is sent what is new.
    pub(super) fn everything(shown: &Conversation) -> Sent {
        let mut sent = Sent {
            entries: shown.next(),
            ..Sent::default()
        };
        for (id, item) in shown.items() {
            sent.next_item = id + 1;
            if item.thread == 0 {
                match &item.body {
                    ItemBody::Prompt(_) => sent.in_turn = true,
                    ItemBody::TurnEnd(_) => sent.in_turn = false,
                    _ => {}
                }
            }
            let known = match &item.body {
                ItemBody::Response(message) | ItemBody::Thought(message) => SentItem::Message {
                    texts: texts(&message.content),
                    again: 0,
                    replaced: false,
                },
                ItemBody::Tool(_) => SentItem::Tool(BTreeMap::new()),
                ItemBody::Terminal(terminal) => SentItem::Terminal {
                    printed: printed(terminal),
                    fields: 0,
                },
                _ => SentItem::Done,
            };
            sent.items.insert(id, known);
        }
        sent
    }

    /// An option is being set: until the agent has, others are not told what it was.
    pub(super) fn settle(&mut self, shown: &Conversation) {
        self.settling = Some(shown.threads()[0].options.clone());
    }

    /// Sends what is new, and gives what prompts wait for, with the place in the outputs where it happened.
    pub(super) fn look(&mut self, to: &mut Target<'_>, shown: &Conversation) -> Events {
        let mut events = Vec::new();
        let main = &shown.threads()[0];
        if main.title != self.title {
            self.title.clone_from(&main.title);
            to.update(
                0,
                &json!({"sessionUpdate": "session_info_update", "title": main.title}),
            );
        }
        self.look_at_lists(to, shown);
        self.look_at_subagents(to, shown);
        let (entries, next_item) = (self.entries, self.next_item);
        for (id, item) in shown.items() {
            if id < next_item && item.last < entries {
                continue;
            }
            self.next_item = self.next_item.max(id + 1);
            self.item(to, shown, id, item, &mut events);
        }
        self.entries = shown.next();
        self.items = self.items.split_off(&shown.first_item());
        if !self.replaying {
            self.look_at_state(to, shown);
        }
        events
    }

    /// What was there is sent; from now on it is live.
    pub(super) fn go_live(&mut self, to: &mut Target<'_>, shown: &Conversation) {
        self.replaying = false;
        self.look_at_state(to, shown);
    }

    fn look_at_lists(&mut self, to: &mut Target<'_>, shown: &Conversation) {
        let main = &shown.threads()[0];
        if main.commands != self.commands {
            self.commands.clone_from(&main.commands);
            let commands = main.commands.iter();
            let commands: Vec<Value> = commands.map(|one| wire::command(to.version, one)).collect();
            to.update(
                0,
                &json!({"sessionUpdate": "available_commands_update", "availableCommands": commands}),
            );
        }
        if self
            .settling
            .as_ref()
            .is_some_and(|before| *before != main.options)
        {
            self.settling = None;
        }
        if main.options != self.options && self.settling.is_none() {
            let mode = |options: &[ConfigOption]| {
                let mode = options.iter().find(|one| one.category == "mode");
                mode.map(|mode| mode.value.clone())
            };
            let (before, now) = (mode(&self.options), mode(&main.options));
            self.options.clone_from(&main.options);
            let options = main.options.iter();
            let options: Vec<Value> = options
                .filter_map(|one| wire::option(to.version, to.offers.booleans, one))
                .collect();
            to.update(
                0,
                &json!({"sessionUpdate": "config_option_update", "configOptions": options}),
            );
            if let Some(now) = now.filter(|now| to.version < 2 && Some(now) != before.as_ref()) {
                to.update(
                    0,
                    &json!({"sessionUpdate": "current_mode_update", "currentModeId": now}),
                );
            }
        }
        self.look_at_plans(to, &main.plans);
        if main.usage != self.usage {
            self.usage.clone_from(&main.usage);
            if let (Some(used), Some(size)) = (main.usage.used, main.usage.size) {
                let mut update =
                    json!({"sessionUpdate": "usage_update", "used": used, "size": size});
                if let Some(amount) = main.usage.cost.filter(|cost| cost.is_finite()) {
                    update["cost"] = json!({"amount": amount, "currency": main.usage.currency});
                }
                to.update(0, &update);
            }
        }
    }

    fn look_at_plans(&mut self, to: &mut Target<'_>, plans: &[Plan]) {
        if plans == self.plans {
            return;
        }
        if to.version < 2 && !to.offers.plans {
            // There is one, and it is replaced.
            let steps: Vec<Value> = plans.iter().flat_map(wire::steps).collect();
            to.update(0, &json!({"sessionUpdate": "plan", "entries": steps}));
        } else {
            for gone in &self.plans {
                if !plans.iter().any(|plan| plan.id == gone.id) {
                    to.update(
                        0,
                        &json!({"sessionUpdate": "plan_removed", "planId": gone.id}),
                    );
                }
            }
            for plan in plans.iter().filter(|plan| !self.plans.contains(plan)) {
                let plan = wire::plan(plan);
                to.update(0, &json!({"sessionUpdate": "plan_update", "plan": plan}));
            }
        }
        self.plans = plans.to_vec();
    }

    fn look_at_subagents(&mut self, to: &mut Target<'_>, shown: &Conversation) {
        for (at, of) in shown.threads().iter().enumerate().skip(1) {
            let thread = u32::try_from(at).unwrap_or(u32::MAX);
            if !to.shows(thread) {
                return;
            }
            let state = match of.state_word.as_str() {
                "" | "idle" => "idle",
                "requires_action" => "requires_action",
                _ => "running",
            };
            let now = (of.title.clone(), state);
            if self.subagents.get(at - 1) == Some(&now) {
                continue;
            }
            let update = json!({
                "sessionUpdate": "subagent_update", "sessionId": to.session_of(thread), "title": of.title,
                "state": {"state": state},
            });
            to.update(0, &update);
            self.subagents.truncate(at);
            match self.subagents.get_mut(at - 1) {
                Some(known) => *known = now,
                None => self.subagents.push(now),
            }
        }
    }

    /// Of version 2: whether it works.
    fn look_at_state(&mut self, to: &mut Target<'_>, shown: &Conversation) {
        let state = match shown.activity(0) {
            Activity::Working => "running",
            Activity::NeedsAnswer => "requires_action",
            // Between a prompt and its beginning nothing says that it works.
            Activity::Idle if self.in_turn => "running",
            Activity::Idle | Activity::Stopped => "idle",
        };
        self.tell_state(to, state, json!({}));
    }

    fn tell_state(&mut self, to: &mut Target<'_>, state: &'static str, mut update: Value) {
        if to.version < 2 || self.state == Some(state) {
            return;
        }
        self.state = Some(state);
        update["sessionUpdate"] = json!("state_update");
        update["state"] = json!(state);
        to.update(0, &update);
    }

    fn item(
        &mut self,
        to: &mut Target<'_>,
        shown: &Conversation,
        id: ItemId,
        item: &Item,
        events: &mut Events,
    ) {
        let is_new = !self.items.contains_key(&id);
        if !to.shows(item.thread) {
            self.items.insert(id, SentItem::Done);
            return;
        }
        match &item.body {
            ItemBody::Prompt(prompt) => {
                self.items.insert(id, SentItem::Done);
                if is_new {
                    self.prompt(to, id, item.thread, prompt, events);
                }
            }
            ItemBody::Response(message) => {
                self.message(to, id, item.thread, "agent_message", message)
            }
            ItemBody::Thought(message) => {
                self.message(to, id, item.thread, "agent_thought", message)
            }
            ItemBody::Tool(tool) => self.tool(to, shown, id, item.thread, tool),
            ItemBody::Terminal(terminal) => self.terminal(to, shown, id, item.thread, terminal),
            ItemBody::TurnEnd(end) => {
                self.items.insert(id, SentItem::Done);
                if is_new && item.thread == 0 {
                    self.turn_ended(to, shown, id, end, events);
                }
            }
            ItemBody::Notice(notice) => {
                self.items.insert(id, SentItem::Done);
                if is_new {
                    self.notice(to, id, item.thread, notice, events);
                }
            }
            ItemBody::Question(_) | ItemBody::Unknown(_) | ItemBody::Newer(_) => {
                self.items.insert(id, SentItem::Done);
            }
        }
    }

    fn prompt(
        &mut self,
        to: &mut Target<'_>,
        id: ItemId,
        thread: u32,
        prompt: &Prompt,
        events: &mut Events,
    ) {
        let by = prompt.by.as_ref();
        let is_yours = by.is_some_and(|by| by.id == to.you && !to.you.is_empty());
        let own = to.own_prompt(id, prompt);
        let is_own = own.is_some();
        events.extend(own.map(|own| (to.outputs.len(), own)));
        // Who asks has what they wrote before their eyes, in version 1.
        if !(is_own && to.version < 2 && !self.replaying) {
            let message = match prompt.number {
                Some(number) => prompt_id(number),
                None => format!("item-{id}"),
            };
            let mut content: Vec<Value> = Vec::new();
            if let Some(by) = by.filter(|_| !is_yours) {
                let name = match by.name.as_str() {
                    "" => "host",
                    name => name,
                };
                content.push(wire::text(&format!("[{name}] ")));
            }
            content.extend(prompt.content.iter().map(wire::block));
            match to.version {
                1 => {
                    for block in content {
                        let update = json!({
                            "sessionUpdate": "user_message_chunk", "messageId": message, "content": block,
                        });
                        to.update(thread, &update);
                    }
                }
                _ => {
                    let update = json!({
                        "sessionUpdate": "user_message", "messageId": message, "content": content,
                    });
                    to.update(thread, &update);
                }
            }
        }
        if thread == 0 {
            self.in_turn = true;
            if !self.replaying {
                self.tell_state(to, "running", json!({}));
            }
        }
    }

    fn message(
        &mut self,
        to: &mut Target<'_>,
        id: ItemId,
        thread: u32,
        kind: &str,
        message: &Message,
    ) {
        let now = texts(&message.content);
        let known = self.items.entry(id).or_insert(SentItem::Message {
            texts: Vec::new(),
            again: 0,
            replaced: false,
        });
        let SentItem::Message {
            texts: before,
            again,
            replaced,
        } = known
        else {
            return;
        };
        let extends = now.len() >= before.len()
            && before
                .iter()
                .zip(&now)
                .all(|(before, now)| now.starts_with(before.as_str()));
        if !extends {
            match to.version {
                1 => *replaced = true,
                _ => {
                    let content: Vec<Value> = message.content.iter().map(wire::block).collect();
                    let update = json!({
                        "sessionUpdate": kind, "messageId": message_id(id, *again), "content": content,
                    });
                    *before = now;
                    to.update(thread, &update);
                }
            }
            return;
        }
        *replaced = false;
        for (at, block) in message.content.iter().enumerate() {
            let piece = match before.get(at) {
                Some(before) if block.kind == "text" => {
                    let more = &now[at][before.len()..];
                    (!more.is_empty()).then(|| wire::text(more))
                }
                Some(_) => None,
                None if block.kind == "text" => Some(wire::text(&now[at])),
                None => Some(wire::block(block)),
            };
            if let Some(piece) = piece {
                let update = json!({
                    "sessionUpdate": format!("{kind}_chunk"), "messageId": message_id(id, *again), "content": piece,
                });
                to.update(thread, &update);
            }
        }
        *before = now;
    }

    fn tool(
        &mut self,
        to: &mut Target<'_>,
        shown: &Conversation,
        id: ItemId,
        thread: u32,
        tool: &Tool,
    ) {
        let mut fields = wire::tool(to.version, shown, thread, tool);
        let is_new = !matches!(self.items.get(&id), Some(SentItem::Tool(_)));
        let known = self
            .items
            .entry(id)
            .or_insert_with(|| SentItem::Tool(BTreeMap::new()));
        let SentItem::Tool(known) = known else {
            return;
        };
        // What was there and is not any more is emptied.
        for gone in known
            .keys()
            .filter(|name| !fields.contains_key(*name))
            .cloned()
            .collect::<Vec<_>>()
        {
            let empty = match to.version {
                1 => json!(""),
                _ => Value::Null,
            };
            fields.insert(gone, empty);
        }
        fields.retain(|name, value| {
            let hash = hash(value);
            known.insert(name.clone(), hash) != Some(hash)
        });
        if fields.is_empty() {
            return;
        }
        fields.insert("toolCallId".to_owned(), json!(wire::id(thread, &tool.id)));
        let kind = match is_new && to.version < 2 {
            true => "tool_call",
            false => "tool_call_update",
        };
        to.fields(thread, kind, fields);
    }

    fn terminal(
        &mut self,
        to: &mut Target<'_>,
        shown: &Conversation,
        id: ItemId,
        thread: u32,
        terminal: &Terminal,
    ) {
        let now = printed(terminal);
        let (before, fields_before) = match self.items.get(&id) {
            Some(SentItem::Terminal { printed, fields }) => (*printed, *fields),
            _ => (0, 0),
        };
        let mut fields = wire::terminal(shown, terminal);
        let fields_now = hash(&Value::Object(fields.clone()));
        if to.version < 2 {
            // It is seen in the tools that refer to it.
            let is_due = now >= before + OUTPUT_STEP || terminal.exit.is_some();
            if is_due && (now != before || fields_now != fields_before) {
                self.items.insert(
                    id,
                    SentItem::Terminal {
                        printed: now,
                        fields: fields_now,
                    },
                );
                self.tools_of(to, shown, thread, &terminal.id);
            }
            return;
        }
        self.items.insert(
            id,
            SentItem::Terminal {
                printed: now,
                fields: fields_now,
            },
        );
        let held = terminal.output.bytes();
        let new = usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX);
        let is_piece = now >= before && new <= held.len() && before > 0;
        let name = wire::id(thread, &terminal.id);
        if !is_piece && !held.is_empty() {
            fields.insert("output".to_owned(), json!({"data": wire::base64(held)}));
        }
        if fields_now != fields_before || (!is_piece && now != before) {
            fields.insert("terminalId".to_owned(), json!(name));
            to.fields(thread, "terminal_update", fields);
        }
        if is_piece && new > 0 {
            let data = wire::base64(&held[held.len() - new..]);
            let update = json!({
                "sessionUpdate": "terminal_output_chunk", "terminalId": name, "data": data,
            });
            to.update(thread, &update);
        }
    }

    /// Sends the tools again that show a terminal.
    fn tools_of(&mut self, to: &mut Target<'_>, shown: &Conversation, thread: u32, terminal: &str) {
        let known: Vec<ItemId> = self
            .items
            .iter()
            .filter(|(_, sent)| matches!(sent, SentItem::Tool(_)))
            .map(|(id, _)| *id)
            .collect();
        for id in known {
            if let Some(item) = shown.item(id)
                && item.thread == thread
                && let ItemBody::Tool(tool) = &item.body
                && tool.content.iter().any(|one| one.refers_to == terminal)
            {
                self.tool(to, shown, id, thread, tool);
            }
        }
    }

    fn turn_ended(
        &mut self,
        to: &mut Target<'_>,
        shown: &Conversation,
        id: ItemId,
        end: &TurnEnd,
        events: &mut Events,
    ) {
        self.in_turn = false;
        self.say_replaced(to, shown);
        let ended = PromptEvent::Ended {
            item: id,
            end: end.clone(),
        };
        events.push((to.outputs.len(), ended));
        if self.replaying {
            return;
        }
        let mut update = json!({});
        match end.stop() {
            Stop::Error => update["stopReason"] = json!("error"),
            Stop::Other if !end.error.is_empty() => update["stopReason"] = json!("error"),
            Stop::Other if end.stop_word.is_empty() => {}
            _ => update["stopReason"] = json!(end.stop_word),
        }
        if update["stopReason"] == "error" {
            update["error"] = json!({"code": -32603, "message": end.error});
        }
        // Where one went by between two looks, it has begun all the same.
        self.tell_state(to, "running", json!({}));
        self.tell_state(to, "idle", update);
    }

    /// Of version 1: messages that were replaced by others than what was sent are sent again.
    fn say_replaced(&mut self, to: &mut Target<'_>, shown: &Conversation) {
        let replaced: Vec<ItemId> = self
            .items
            .iter()
            .filter(|(_, sent)| matches!(sent, SentItem::Message { replaced: true, .. }))
            .map(|(id, _)| *id)
            .collect();
        for id in replaced {
            let Some(item) = shown.item(id) else {
                continue;
            };
            let (kind, message) = match &item.body {
                ItemBody::Response(message) => ("agent_message", message),
                ItemBody::Thought(message) => ("agent_thought", message),
                _ => continue,
            };
            if let Some(SentItem::Message {
                texts,
                again,
                replaced,
            }) = self.items.get_mut(&id)
            {
                texts.clear();
                *again += 1;
                *replaced = false;
            }
            self.message(to, id, item.thread, kind, message);
        }
    }

    fn notice(
        &mut self,
        to: &mut Target<'_>,
        id: ItemId,
        thread: u32,
        notice: &Notice,
        events: &mut Events,
    ) {
        let mut title = match (notice.word.as_str(), &notice.exit) {
            (Notice::ENDED, exit) => {
                let exit = exit.clone().unwrap_or_default();
                let how = match (exit.fault.as_str(), exit.code) {
                    ("", Some(code)) => format!("exit code {code}"),
                    ("", None) => exit.signal,
                    (fault, _) => fault.to_owned(),
                };
                self.in_turn = false;
                let why = format!("the agent has ended ({how})");
                let gone = PromptEvent::Gone { why: why.clone() };
                events.push((to.outputs.len(), gone));
                why
            }
            (Notice::ERROR, _) => {
                self.settling = None;
                notice.title.clone()
            }
            (Notice::GARBAGE | Notice::OVERSIZED | Notice::LONG_ID | Notice::NOT_OFFERED, _) => {
                return;
            }
            _ => notice.title.clone(),
        };
        if title.is_empty() {
            title.clone_from(&notice.word);
        }
        let is_ours = matches!(notice.word.as_str(), Notice::ENDED | Notice::ERROR);
        if to.version >= 2 || to.offers.notices {
            let severity = match notice.word.as_str() {
                Notice::ENDED | Notice::ERROR => "error",
                "warning" => "warning",
                _ => "info",
            };
            let mut update =
                json!({"sessionUpdate": "notice", "severity": severity, "title": title});
            if !notice.description.is_empty() {
                update["description"] = json!(wire::whole(&notice.description));
            }
            to.update(thread, &update);
        } else if is_ours {
            let content = wire::text(&format!("Pillion: {title}"));
            let update = json!({
                "sessionUpdate": "agent_message_chunk", "messageId": message_id(id, 0), "content": content,
            });
            to.update(thread, &update);
        }
    }
}

/// What a prompt is called.
pub(super) fn prompt_id(number: u64) -> String {
    format!("prompt-{number}")
}

fn message_id(item: ItemId, again: u32) -> String {
    match again {
        0 => format!("item-{item}"),
        again => format!("item-{item}-{again}"),
    }
}

fn texts(content: &[Block]) -> Vec<String> {
    content
        .iter()
        .map(|block| wire::whole(&block.text))
        .collect()
}

fn printed(terminal: &Terminal) -> u64 {
    terminal.output.omitted() + terminal.output.bytes().len() as u64
}

fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}
