//! What the agent tells of its session, in both versions of the protocol.

use std::borrow::Cow;

use data_encoding::BASE64;

use super::{Conversation, Key, Origin, read, read::Room};
use crate::{
    bounded::{BoundedText, OutputTail},
    entry::Exit,
    json::Json,
    limits::{MAX_FORM, MAX_INPUT, MAX_LISTS, MAX_PARTS},
    model::{
        Block, ConfigOption, Item, ItemBody, ItemId, Message, Notice, Plan, Prompt, Terminal, Tool,
        TurnEnd, Usage,
    },
};

impl Conversation {
    pub(super) fn session_update(&mut self, at_ms: u64, params: Json<'_>) {
        let [session, update] = params.fields(["sessionId", "update"]);
        let (Some(session), Some(update)) = (session.and_then(Json::text), update) else {
            return self.unknown(Origin { thread: 0, at_ms }, "session/update");
        };
        let Some(thread) = self.thread_of(&session) else {
            return self.unknown(Origin { thread: 0, at_ms }, "session/update");
        };
        self.thread_mut(thread).heard_ms = at_ms;
        let kind = update.get("sessionUpdate").and_then(Json::text);
        let Some(kind) = kind else {
            return self.unknown(Origin { thread, at_ms }, "session/update");
        };
        self.update(Origin { thread, at_ms }, &kind, update);
    }

    fn update(&mut self, from: Origin, kind: &str, update: Json<'_>) {
        match kind {
            "available_commands_update" => {
                let commands = update.get("availableCommands").map(read::commands);
                self.thread_mut(from.thread).commands = commands.unwrap_or_default();
                return self.bound_lists(from.thread);
            }
            "config_option_update" => {
                return self.set_options(from.thread, update.get("configOptions"));
            }
            "current_mode_update" => {
                let mode = read::string(update.get("currentModeId"));
                return self.set_mode(from.thread, &mode);
            }
            "session_info_update" => {
                if let Some(title) = update.get("title") {
                    self.thread_mut(from.thread).title = read::string(Some(title));
                }
                return;
            }
            "usage_update" => return self.usage(from.thread, update),
            "plan" => return self.plan(from.thread, "plan", update),
            "plan_update" => {
                let plan = update.get("plan").unwrap_or(update);
                let id = read::string(plan.get("planId"));
                return self.plan(from.thread, &id, plan);
            }
            "plan_removed" => {
                let id = read::string(update.get("planId"));
                self.thread_mut(from.thread)
                    .plans
                    .retain(|plan| plan.id != id);
                return self.bound_lists(from.thread);
            }
            "state_update" => return self.state_update(from, update),
            _ => {}
        }
        // What the agent tells again while it loads a session is in the log already, and better.
        if self
            .state
            .calls
            .iter()
            .any(|call| call.repeats && call.thread == from.thread)
        {
            return;
        }
        match kind {
            "agent_message_chunk" => self.message_chunk(from, Key::RESPONSE, update),
            "agent_thought_chunk" => self.message_chunk(from, Key::THOUGHT, update),
            "agent_message" => self.message(from, Key::RESPONSE, update),
            "agent_thought" => self.message(from, Key::THOUGHT, update),
            "user_message_chunk" => self.user_message(from, update, true),
            "user_message" => self.user_message(from, update, false),
            "tool_call" | "tool_call_update" => self.tool_update(from, update),
            "tool_call_content_chunk" => self.tool_content_chunk(from, update),
            "terminal_update" => self.terminal_update(from, update),
            "terminal_output_chunk" => {
                let [id, data] = update.fields(["terminalId", "data"]);
                let data = base64(data);
                self.terminal_change(from, id, |terminal| terminal.output.push(&data));
            }
            "notice" => {
                let [severity, title, description] =
                    update.fields(["severity", "title", "description"]);
                let notice = Notice {
                    word: read::string(severity),
                    title: read::string(title),
                    description: bounded(description, MAX_FORM),
                    ..Notice::default()
                };
                self.push(from, ItemBody::Notice(notice));
            }
            "compaction_update" | "compaction_summary_chunk" => self.compaction(from, update),
            "subagent_update" => self.subagent(from, update),
            "session_message" | "session_message_chunk" => self.session_message(from, kind, update),
            "replay_complete" => {}
            kind => self.unknown(from, kind),
        }
    }

    /// A piece of a response or thought: of the one with its id, or of the run that goes on.
    fn message_chunk(&mut self, from: Origin, key: Key, update: Json<'_>) {
        let [id, content] = update.fields(["messageId", "content"]);
        let block = content.map(|content| read::block(content, &mut Room::of_an_item()));
        let Some(block) = block else {
            return self.unknown(from, "agent_message_chunk");
        };
        // Some agents send what a turn took in empty pieces.
        if block.kind == "text" && block.text.is_empty() {
            return;
        }
        let id = match id.filter(|id| !id.is_null()) {
            None => String::new(),
            some => match self.id(from, some) {
                Some(id) => id,
                None => return,
            },
        };
        match self.message_item(from.thread, key, &id) {
            Some(item) => self.change(item, |body| {
                if let Some(content) = message_content(body) {
                    read::append(content, block);
                }
            }),
            None => {
                let message = Message {
                    message_id: id,
                    content: vec![block],
                };
                self.push(from, message_body(key, message));
            }
        }
    }

    /// The item that a piece with this id continues; of one without, the newest if it is such a run.
    fn message_item(&self, thread: u32, key: Key, id: &str) -> Option<ItemId> {
        if !id.is_empty() {
            return self.index.get(thread, key, id);
        }
        let last = self.index.last(thread)?;
        let continues = match &self.items.get(last)?.body {
            ItemBody::Response(message) => key == Key::RESPONSE && message.message_id.is_empty(),
            ItemBody::Thought(message) => key == Key::THOUGHT && message.message_id.is_empty(),
            _ => false,
        };
        continues.then_some(last)
    }

    /// All of a response or thought.
    fn message(&mut self, from: Origin, key: Key, update: Json<'_>) {
        let [id, content] = update.fields(["messageId", "content"]);
        let Some(id) = self.id(from, id) else {
            return;
        };
        let replaced = content.map(|content| read::blocks(content, &mut Room::of_an_item()));
        match self.index.get(from.thread, key, &id) {
            Some(item) => self.change(item, |body| {
                if let (Some(content), Some(replaced)) = (message_content(body), replaced) {
                    *content = replaced;
                }
            }),
            None => {
                let message = Message {
                    message_id: id,
                    content: replaced.unwrap_or_default(),
                };
                self.push(from, message_body(key, message));
            }
        }
    }

    /// A prompt as the agent reports it: the echo of one that was sent from here, or one that was not.
    fn user_message(&mut self, from: Origin, update: Json<'_>, piece: bool) {
        let [id, content] = update.fields(["messageId", "content"]);
        let id = match id.filter(|id| !id.is_null()) {
            None => String::new(),
            some => match self.id(from, some) {
                Some(id) => id,
                None => return,
            },
        };
        let blocks = content.map(|content| read::blocks(content, &mut Room::of_an_item()));
        let blocks = blocks.unwrap_or_default();
        if let Some(known) = self.index.get(from.thread, Key::PROMPT, &id) {
            // What was sent from here is known better than its echo.
            return self.change(known, |body| match body {
                ItemBody::Prompt(prompt) if prompt.number.is_none() && prompt.by.is_none() => {
                    match piece {
                        true => blocks
                            .into_iter()
                            .for_each(|block| read::append(&mut prompt.content, block)),
                        false => prompt.content = blocks,
                    }
                }
                _ => {}
            });
        }
        let sent = self.index.unechoed(from.thread);
        let echoed = sent.filter(|sent| {
            let sent = self.items.get(*sent).map(|item| &item.body);
            matches!(sent, Some(ItemBody::Prompt(sent)) if is_echo(&sent.content, &blocks))
        });
        if let Some(sent) = echoed {
            return self.change(sent, |body| {
                if let ItemBody::Prompt(prompt) = body {
                    prompt.echoed = true;
                    prompt.message_id = id;
                }
            });
        }
        let last = self.index.last(from.thread);
        let continues = |item: &Item| match &item.body {
            ItemBody::Prompt(prompt) => prompt.message_id.is_empty(),
            _ => false,
        };
        match last.filter(|last| self.items.get(*last).is_some_and(continues)) {
            Some(last) if piece && id.is_empty() => self.change(last, |body| {
                if let ItemBody::Prompt(prompt) = body
                    && prompt.number.is_none()
                {
                    blocks
                        .into_iter()
                        .for_each(|block| read::append(&mut prompt.content, block));
                }
            }),
            _ => {
                let prompt = Prompt {
                    content: blocks,
                    message_id: id,
                    ..Prompt::default()
                };
                self.push(from, ItemBody::Prompt(prompt));
            }
        }
    }

    /// What is new of a tool, which is made where it is not known.
    pub(super) fn tool_update(&mut self, from: Origin, update: Json<'_>) {
        let [id, meta] = update.fields(["toolCallId", "_meta"]);
        let Some(id) = self.id(from, id) else {
            return self.unknown(from, "tool_call_update");
        };
        let item = self.item_called(from, Key::TOOL, id, |id| {
            ItemBody::Tool(Tool {
                id,
                ..Tool::default()
            })
        });
        // In version 1 a field that is null says nothing, in version 2 it empties what was there.
        let null_says_nothing = self.state.agent.protocol < 2;
        self.change(item, |body| {
            if let ItemBody::Tool(tool) = body {
                update_tool(tool, update, null_says_nothing);
            }
        });
        if let Some(meta) = meta {
            self.meta_terminal(from, item, meta);
        }
    }

    fn tool_content_chunk(&mut self, from: Origin, update: Json<'_>) {
        let [id, content] = update.fields(["toolCallId", "content"]);
        let (Some(id), Some(content)) = (self.id(from, id), content) else {
            return self.unknown(from, "tool_call_content_chunk");
        };
        let item = self.item_called(from, Key::TOOL, id, |id| {
            ItemBody::Tool(Tool {
                id,
                ..Tool::default()
            })
        });
        self.change(item, |body| {
            let ItemBody::Tool(tool) = body else {
                return;
            };
            let mut room = Room::beside(tool.weight());
            let content = read::tool_content(content, &mut room);
            let more = tool.content.len() < MAX_PARTS;
            match tool.content.last_mut() {
                Some(last)
                    if last.kind == "content"
                        && content.kind == "content"
                        && last.block.kind == "text"
                        && content.block.kind == "text" =>
                {
                    last.block.text.push(content.block.text.as_str());
                    let omitted = content.block.text.omitted();
                    last.block
                        .text
                        .omit(usize::try_from(omitted).unwrap_or(usize::MAX));
                }
                _ if more => tool.content.push(content),
                _ => {}
            }
        });
    }

    /// A command's output as version 1's agents send it, beside an update of the tool.
    fn meta_terminal(&mut self, from: Origin, tool: ItemId, meta: Json<'_>) {
        let [info, output, delta, exit] = meta.fields([
            "terminal_info",
            "terminal_output",
            "terminal_output_delta",
            "terminal_exit",
        ]);
        if let Some(info) = info {
            let [id, cwd, command] = info.fields(["terminal_id", "cwd", "command"]);
            self.terminal_change(from, id, |terminal| {
                terminal.cwd = read::string(cwd);
                terminal.command = read::string(command);
            });
            if let Some(id) = self.id(from, id) {
                self.refer_to_terminal(tool, id);
            }
        }
        for output in [output, delta].into_iter().flatten() {
            let [id, data] = output.fields(["terminal_id", "data"]);
            let data = data.and_then(Json::text).unwrap_or_default();
            self.terminal_change(from, id, |terminal| terminal.output.push(data.as_bytes()));
        }
        if let Some(exit) = exit {
            let [id, code, signal] = exit.fields(["terminal_id", "exit_code", "signal"]);
            self.terminal_change(from, id, |terminal| {
                terminal.exit = Some(exit_of(code, signal));
            });
        }
    }

    fn refer_to_terminal(&mut self, tool: ItemId, id: String) {
        self.change(tool, |body| {
            if let ItemBody::Tool(tool) = body
                && tool.content.len() < MAX_PARTS
                && !tool.content.iter().any(|one| one.refers_to == id)
            {
                tool.content.push(crate::model::ToolContent {
                    kind: "terminal".to_owned(),
                    refers_to: id,
                    ..Default::default()
                });
            }
        });
    }

    fn terminal_update(&mut self, from: Origin, update: Json<'_>) {
        let [id, command, cwd, output, exit] =
            update.fields(["terminalId", "command", "cwd", "output", "exitStatus"]);
        self.terminal_change(from, id, |terminal| {
            if let Some(command) = command {
                terminal.command = read::string(Some(command));
            }
            if let Some(cwd) = cwd {
                terminal.cwd = read::string(Some(cwd));
            }
            if let Some(output) = output {
                terminal.output = OutputTail::new(&base64(output.get("data")));
            }
            if let Some(exit) = exit {
                let [code, signal] = exit.fields(["exitCode", "signal"]);
                terminal.exit = (!exit.is_null()).then(|| exit_of(code, signal));
            }
        });
    }

    /// Changes a terminal, which is made where it is not known.
    fn terminal_change(
        &mut self,
        from: Origin,
        id: Option<Json<'_>>,
        change: impl FnOnce(&mut Terminal),
    ) {
        let Some(id) = self.id(from, id) else {
            return self.unknown(from, "terminal_update");
        };
        let item = self.item_called(from, Key::TERMINAL, id, |id| {
            ItemBody::Terminal(Terminal {
                id,
                ..Terminal::default()
            })
        });
        self.change(item, |body| {
            if let ItemBody::Terminal(terminal) = body {
                change(terminal);
            }
        });
    }

    fn compaction(&mut self, from: Origin, update: Json<'_>) {
        let [id, status, summary, error, content] =
            update.fields(["compactionId", "status", "summary", "error", "content"]);
        let Some(id) = self.id(from, id) else {
            return self.unknown(from, "compaction_update");
        };
        let text = |json: Json<'_>| {
            let blocks = read::blocks(json, &mut Room::of_an_item());
            blocks
                .iter()
                .map(|block| block.text.as_str())
                .collect::<String>()
        };
        let item = self.item_called(from, Key::NOTICE, id, |id| {
            ItemBody::Notice(Notice {
                word: Notice::COMPACTION.to_owned(),
                id,
                ..Notice::default()
            })
        });
        self.change(item, |body| {
            let ItemBody::Notice(notice) = body else {
                return;
            };
            if let Some(status) = status {
                notice.title = read::string(Some(status));
            }
            if let Some(summary) = summary {
                notice.description = BoundedText::cut(&text(summary), MAX_FORM);
            }
            if let Some(error) = error.filter(|error| !error.is_null()) {
                notice.description = bounded(Some(error), MAX_FORM);
            }
            if let Some(content) = content
                && notice.description.len() < MAX_FORM
            {
                let room = MAX_FORM - notice.description.len();
                let more = BoundedText::cut(&text(content), room);
                notice.description.push(more.as_str());
            }
        });
    }

    fn subagent(&mut self, from: Origin, update: Json<'_>) {
        let [session, title, description, state] =
            update.fields(["sessionId", "title", "description", "state"]);
        let session = session.and_then(Json::text).unwrap_or_default();
        let Some(child) = self.thread_of(&session).filter(|child| *child != 0) else {
            return self.unknown(from, "subagent_update");
        };
        let of = self.thread_mut(child);
        // Who is whose parent makes no circle.
        if of.parent == Some(0) && from.thread < child {
            of.parent = Some(from.thread);
        }
        of.heard_ms = from.at_ms;
        if let Some(title) = title {
            of.title = read::string(Some(title));
        }
        if let Some(description) = description {
            of.description = read::string(Some(description));
        }
        if let Some(state) = state {
            let at_ms = from.at_ms;
            self.state_update(
                Origin {
                    thread: child,
                    at_ms,
                },
                state,
            );
        }
    }

    fn session_message(&mut self, from: Origin, kind: &str, update: Json<'_>) {
        let [id, content] = update.fields(["messageId", "content"]);
        let Some(id) = self.id(from, id) else {
            return self.unknown(from, kind);
        };
        let blocks = content.map(|content| read::blocks(content, &mut Room::of_an_item()));
        let text: String = blocks
            .unwrap_or_default()
            .iter()
            .map(|block| block.text.as_str())
            .collect();
        let item = self.item_called(from, Key::NOTICE, id, |id| {
            ItemBody::Notice(Notice {
                word: Notice::SESSION_MESSAGE.to_owned(),
                id,
                ..Notice::default()
            })
        });
        self.change(item, |body| {
            if let ItemBody::Notice(notice) = body {
                match kind {
                    "session_message" => notice.description = BoundedText::new(&text),
                    _ => notice.description.push(&text),
                }
            }
        });
    }

    /// Version 2's word for what goes on.
    fn state_update(&mut self, from: Origin, update: Json<'_>) {
        let [state, stop, error, usage] = update.fields(["state", "stopReason", "error", "usage"]);
        let state = read::string(state);
        let of = self.thread_mut(from.thread);
        let before = std::mem::replace(&mut of.state_word, state);
        if of.state_word != "idle" || before == "idle" {
            return;
        }
        let stop_word = read::string(stop);
        if before.is_empty() && stop_word.is_empty() {
            return;
        }
        let error = error.map(|error| match error.is_object() {
            true => read::error(error),
            false => read::string(Some(error)),
        });
        self.end_turn(from, stop_word, error.unwrap_or_default(), usage);
    }

    pub(super) fn end_turn(
        &mut self,
        from: Origin,
        stop_word: String,
        error: String,
        usage: Option<Json<'_>>,
    ) {
        self.leave_tools_open(from.thread);
        let end = TurnEnd {
            stop_word,
            error,
            tokens: usage
                .and_then(|usage| usage.get("totalTokens"))
                .and_then(Json::number),
        };
        self.push(from, ItemBody::TurnEnd(end));
    }

    fn usage(&mut self, thread: u32, update: Json<'_>) {
        let [used, size, cost] = update.fields(["used", "size", "cost"]);
        let usage: &mut Usage = &mut self.thread_mut(thread).usage;
        usage.used = used.and_then(Json::number).or(usage.used);
        usage.size = size.and_then(Json::number).or(usage.size);
        if let Some(cost) = cost.filter(|cost| !cost.is_null()) {
            let [amount, currency] = cost.fields(["amount", "currency"]);
            usage.cost = amount.and_then(Json::float);
            usage.currency = read::string(currency);
        }
    }

    fn plan(&mut self, thread: u32, id: &str, plan: Json<'_>) {
        let [entries, content] = plan.fields(["entries", "content"]);
        let plan = Plan {
            id: id.to_owned(),
            steps: entries.map(read::steps).unwrap_or_default(),
            text: bounded(content, MAX_FORM),
        };
        let plans = &mut self.thread_mut(thread).plans;
        match plans.iter().position(|known| known.id == id) {
            Some(known) => plans[known] = plan,
            None if plans.len() < MAX_LISTS => plans.push(plan),
            None => {}
        }
        self.bound_lists(thread);
    }

    /// All options, as the agent says them whenever one changes.
    pub(super) fn set_options(&mut self, thread: u32, options: Option<Json<'_>>) {
        let Some(options) = options.filter(|options| options.is_array()) else {
            return;
        };
        let options = read::options(options);
        self.thread_mut(thread).options = options;
        self.bound_lists(thread);
    }

    /// One option that is not among those, in the place of the one with its id.
    pub(super) fn set_option(&mut self, thread: u32, option: ConfigOption) {
        let options = &mut self.thread_mut(thread).options;
        match options.iter().position(|known| known.id == option.id) {
            Some(known) => options[known] = option,
            None if options.len() < MAX_LISTS => options.push(option),
            None => {}
        }
        self.bound_lists(thread);
    }

    pub(super) fn set_mode(&mut self, thread: u32, mode: &str) {
        let options = &mut self.thread_mut(thread).options;
        match options.iter_mut().find(|one| one.category == "mode") {
            Some(option) => {
                option.value = mode.to_owned();
                self.bound_lists(thread);
            }
            None => self.set_option(
                thread,
                ConfigOption {
                    id: "mode".to_owned(),
                    category: "mode".to_owned(),
                    value: mode.to_owned(),
                    ..ConfigOption::default()
                },
            ),
        }
    }
}

fn update_tool(tool: &mut Tool, update: Json<'_>, null_says_nothing: bool) {
    let said = update
        .fields([
            "title",
            "name",
            "kind",
            "status",
            "content",
            "locations",
            "rawInput",
            "rawOutput",
        ])
        .map(|field| field.filter(|field| !(null_says_nothing && field.is_null())));
    let [title, name, kind, status, content, locations, input, output] = said;
    let words = [
        (title, &mut tool.title),
        (name, &mut tool.name),
        (kind, &mut tool.kind_word),
        (status, &mut tool.status_word),
    ];
    for (said, word) in words {
        if said.is_some() {
            *word = read::string(said);
        }
    }
    // Whatever comes of it, it is heard of again.
    tool.left_open = false;
    if let Some(content) = content {
        tool.content = read::tool_contents(content);
    }
    if let Some(locations) = locations {
        tool.locations = read::locations(locations);
    }
    for (said, text) in [(input, &mut tool.input), (output, &mut tool.output)] {
        if let Some(said) = said {
            *text = match said.is_null() {
                true => BoundedText::default(),
                false => BoundedText::cut(said.as_str(), MAX_INPUT),
            };
        }
    }
}

fn message_body(key: Key, message: Message) -> ItemBody {
    match key {
        Key::THOUGHT => ItemBody::Thought(message),
        _ => ItemBody::Response(message),
    }
}

fn message_content(body: &mut ItemBody) -> Option<&mut Vec<Block>> {
    match body {
        ItemBody::Response(message) | ItemBody::Thought(message) => Some(&mut message.content),
        _ => None,
    }
}

/// Whether an echo, or its first piece, is of what was sent. Agents expand what a prompt mentions, so only the
/// beginning is compared.
fn is_echo(sent: &[Block], echo: &[Block]) -> bool {
    let text = |blocks: &[Block]| {
        let first = blocks.iter().find(|block| block.kind == "text");
        first.map(|block| block.text.as_str().trim().to_owned())
    };
    match (text(sent), text(echo)) {
        (Some(sent), Some(echo)) => sent.starts_with(&echo) || echo.starts_with(&sent),
        // Version 2 begins with an empty one.
        _ => true,
    }
}

fn exit_of(code: Option<Json<'_>>, signal: Option<Json<'_>>) -> Exit {
    Exit {
        code: code.and_then(Json::integer),
        signal: read::string(signal),
        fault: String::new(),
    }
}

fn bounded(json: Option<Json<'_>>, max: usize) -> BoundedText {
    match json.and_then(Json::text) {
        Some(text) => BoundedText::cut(&text, max),
        None => BoundedText::default(),
    }
}

/// The bytes of a terminal's output; of what is no base64, none.
fn base64(data: Option<Json<'_>>) -> Vec<u8> {
    let text: Cow<'_, str> = data.and_then(Json::text).unwrap_or_default();
    BASE64.decode(text.as_bytes()).unwrap_or_default()
}
