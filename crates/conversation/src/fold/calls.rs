//! What was asked of the agent, and what it answered.

use super::{Call, Conversation, Key, Origin, read, read::Room};
use crate::{
    entry::Author,
    json::Json,
    limits::MAX_CALLS,
    message::MessageKind,
    model::{ConfigOption, ItemBody, Notice, Prompt},
};

impl Conversation {
    pub(super) fn host_sent(
        &mut self,
        at_ms: u64,
        message: &MessageKind<'_>,
        by: Option<&Author>,
        prompt: Option<u64>,
    ) {
        match message {
            MessageKind::Request { id, method, params } => {
                let mut call = Call {
                    id: id.as_json().to_owned(),
                    method: read::word(method),
                    ..Call::default()
                };
                if let Some(params) = params {
                    self.begin_call(at_ms, &mut call, *params, by, prompt);
                }
                if self.state.calls.len() == MAX_CALLS {
                    self.state.calls.remove(0);
                }
                self.state.calls.push(call);
            }
            MessageKind::Response { id, result } => {
                self.answer_question(id.as_json(), *result, by);
            }
            MessageKind::Notification { .. } => {}
        }
    }

    fn begin_call(
        &mut self,
        at_ms: u64,
        call: &mut Call,
        params: Json<'_>,
        by: Option<&Author>,
        number: Option<u64>,
    ) {
        let [session, content, mode, replay] =
            params.fields(["sessionId", "prompt", "modeId", "replayFrom"]);
        let session = session.and_then(Json::text);
        match call.method.as_str() {
            "session/load" | "session/resume" | "session/fork" => {
                // It is the session's next life, whatever it was called before.
                if let Some(session) = session
                    && call.method != "session/fork"
                {
                    self.state.threads[0].session = read::word(&session);
                }
                let tells = call.method == "session/load" || replay.is_some();
                call.repeats = tells && !self.items.held.is_empty();
                return;
            }
            _ => {}
        }
        let thread = session.and_then(|session| self.thread_of(&session));
        call.thread = thread.unwrap_or(0);
        call.value = read::string(mode);
        if call.method == "session/prompt" {
            let content = content.map(|content| read::blocks(content, &mut Room::of_an_item()));
            let prompt = Prompt {
                by: by.cloned(),
                // Every prompt from here has a number, so that its echo is known for one.
                number: Some(number.unwrap_or(self.state.next)),
                content: content.unwrap_or_default(),
                ..Prompt::default()
            };
            if let Some(number) = number {
                self.state.queue.retain(|waiting| waiting.number != number);
            }
            let from = Origin {
                thread: call.thread,
                at_ms,
            };
            call.item = Some(self.push(from, ItemBody::Prompt(prompt)));
            let of = self.thread_mut(call.thread);
            of.prompts_pending = of.prompts_pending.saturating_add(1);
        }
    }

    /// The agent answered a request of ours.
    pub(super) fn answered(&mut self, at_ms: u64, id: &str, result: Result<Json<'_>, Json<'_>>) {
        let calls = &mut self.state.calls;
        let Some(at) = calls.iter().position(|call| call.id == id) else {
            return self.unknown(Origin { thread: 0, at_ms }, "an answer to no request");
        };
        let call = calls.remove(at);
        let thread = call.thread;
        let from = Origin { thread, at_ms };
        self.thread_mut(thread).heard_ms = at_ms;
        match (call.method.as_str(), result) {
            ("session/prompt", result) => self.prompt_answered(from, &call, result),
            (method, Err(error)) => {
                let title = format!("{method}: {}", read::error(error));
                self.notice(from, Notice::ERROR, &title);
            }
            ("initialize", Ok(result)) => self.initialized(result),
            ("session/new" | "session/load" | "session/resume", Ok(result)) => {
                self.session_begun(result);
            }
            ("session/set_mode", Ok(_)) => self.set_mode(thread, &call.value),
            ("session/set_config_option", Ok(result)) => {
                self.set_options(thread, result.get("configOptions"));
            }
            (_, Ok(_)) => {}
        }
    }

    /// In version 1 the answer ends the turn, in version 2 it only names the prompt.
    fn prompt_answered(&mut self, from: Origin, call: &Call, result: Result<Json<'_>, Json<'_>>) {
        let of = self.thread_mut(from.thread);
        of.prompts_pending = of.prompts_pending.saturating_sub(1);
        let result = match result {
            Ok(result) => result,
            Err(error) => {
                let error = read::error(error);
                return self.end_turn(from, String::new(), error, None);
            }
        };
        let [stop, message_id, usage] = result.fields(["stopReason", "messageId", "usage"]);
        if let Some(id) = self.id(from, message_id)
            && let Some(item) = call.item
        {
            // An echo that was not known for one has the id already.
            let free = self.index.get(from.thread, Key::PROMPT, &id).is_none();
            self.change(item, |body| {
                if let ItemBody::Prompt(prompt) = body {
                    prompt.echoed = true;
                    if free && prompt.message_id.is_empty() {
                        prompt.message_id = id;
                    }
                }
            });
        }
        if stop.is_some() || self.state.agent.protocol < 2 {
            self.end_turn(from, read::string(stop), String::new(), usage);
        }
    }

    fn initialized(&mut self, result: Json<'_>) {
        let [version, agent_info, info] = result.fields(["protocolVersion", "agentInfo", "info"]);
        let info = info.or(agent_info);
        let [name, title, number] = match info {
            Some(info) => info.fields(["name", "title", "version"]),
            None => [None; 3],
        };
        let agent = &mut self.state.agent;
        agent.protocol = version.and_then(Json::number).unwrap_or(1);
        agent.name = read::string(title.filter(|title| !title.is_null()).or(name));
        agent.version = read::string(number);
    }

    fn session_begun(&mut self, result: Json<'_>) {
        let [session, modes, models, options, commands] = result.fields([
            "sessionId",
            "modes",
            "models",
            "configOptions",
            "availableCommands",
        ]);
        if let Some(session) = session.and_then(Json::text) {
            self.state.threads[0].session = read::word(&session);
        }
        self.set_options(0, options);
        if let Some(commands) = commands.filter(|commands| commands.is_array()) {
            self.state.threads[0].commands = read::commands(commands);
            self.bound_lists(0);
        }
        // Where modes and models are options, they stand there better.
        let kinds = [
            (modes, "mode", "currentModeId", "availableModes", "id"),
            (
                models,
                "model",
                "currentModelId",
                "availableModels",
                "modelId",
            ),
        ];
        for (selection, category, current, available, id) in kinds {
            let known = |one: &ConfigOption| one.category == category && !one.name.is_empty();
            if let Some(selection) = selection.filter(|selection| selection.is_object())
                && !self.state.threads[0].options.iter().any(known)
            {
                let [current, available] = selection.fields([current, available]);
                self.set_option(0, read::selection(category, current, available, id));
            }
        }
    }
}
