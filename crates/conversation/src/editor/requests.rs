//! What an editor says, and the questions it is asked.

use pillion_proto::{Answer, ConversationRequest};
use serde_json::{Value, json};

use super::{
    Attach, Editor, Offers, Seen, Setting, code,
    sent::{self, Sent, Target},
    text, wire,
};
use crate::{
    fold::Conversation,
    json::{Json, JsonError},
    message::{Message, MessageError, MessageId, MessageKind},
    model::{ChoiceKind, ItemId, Question},
};

/// Longest name of an editor that is said again.
const MAX_CLIENT: usize = 128;

impl Editor {
    /// A line came from the editor.
    pub fn handle_line(&mut self, line: &str, seen: &Seen<'_>) {
        let message = match Message::parse(line) {
            Ok(message) => message,
            Err(error) => {
                let code = match error {
                    MessageError::Json(JsonError::Malformed) => code::PARSE,
                    _ => code::INVALID_REQUEST,
                };
                let error = json!({"code": code, "message": error.to_string()});
                return self.send(&json!({"jsonrpc": "2.0", "id": null, "error": error}));
            }
        };
        match message.kind {
            MessageKind::Request { id, method, params } => {
                self.requested(id, &method, params, seen)
            }
            MessageKind::Notification { method, params } => self.notified(&method, params),
            MessageKind::Response { id, result } => self.answered(&id, result, seen),
        }
    }

    fn requested(
        &mut self,
        id: MessageId,
        method: &str,
        params: Option<Json<'_>>,
        seen: &Seen<'_>,
    ) {
        if method == "initialize" {
            return self.initialize(&id, params);
        }
        if self.version == 0 {
            return self.fail(
                &id,
                code::INVALID_REQUEST,
                "the first request is initialize",
            );
        }
        if let Some(why) = self.over.clone() {
            return self.fail(&id, code::INTERNAL, &why);
        }
        let [session, replay] = match params {
            Some(params) => params.fields(["sessionId", "replayFrom"]),
            None => [None; 2],
        };
        let is_v1 = self.version < 2;
        let how = match method {
            "session/new" => Some(Attach::New),
            "session/list" => Some(Attach::List),
            "session/load" if is_v1 => Some(Attach::Load),
            "session/resume" => Some(Attach::Resume {
                replay: replay.is_some_and(Json::is_object),
            }),
            "session/attach" => Some(attach(params)),
            _ => None,
        };
        let names_session = !matches!(how, Some(Attach::New | Attach::List));
        let is_general = matches!(
            method,
            "authenticate" | "auth/login" | "logout" | "auth/logout"
        );
        let named = session.and_then(Json::text);
        // RFD #533 lets it be left out where there is one.
        let is_left_out = named.is_none() && matches!(method, "session/attach" | "session/detach");
        if names_session && !is_general && !is_left_out {
            match named.as_deref() {
                Some(named) if named == self.about.session => {}
                Some(_) => {
                    return self.fail(
                        &id,
                        code::NOT_FOUND,
                        "there is no such session here: session/list says which there is",
                    );
                }
                None if method.starts_with("session/") => {
                    return self.fail(&id, code::INVALID_PARAMS, "sessionId is missing");
                }
                None => {}
            }
        }
        if let Some(how) = how {
            return match seen.conversation {
                Some(shown) => self.attach(&id, how, seen, shown),
                None => self.waiting.push_back((id, how)),
            };
        }
        let asks_host = matches!(
            method,
            "session/prompt" | "session/set_mode" | "session/set_config_option"
        );
        if let Some(why) = seen.away.filter(|_| asks_host) {
            return self.fail(&id, code::INTERNAL, why);
        }
        match (method, seen.conversation) {
            _ if is_general => self.respond(&id, &json!({})),
            ("session/prompt", Some(_)) => self.prompt_requested(id, params, seen),
            ("session/close" | "session/detach", _) => {
                self.detach();
                let result = match method {
                    "session/detach" => {
                        json!({"sessionId": self.about.session, "status": "detached"})
                    }
                    _ => json!({}),
                };
                self.respond(&id, &result);
            }
            ("session/set_mode", Some(shown)) if is_v1 => {
                let mode = shown.threads()[0].mode().map(|mode| mode.id.clone());
                let value = params.and_then(|params| params.get("modeId")?.text());
                match (mode, value) {
                    (Some(option), Some(value)) => {
                        self.set(id, shown, option, value.into_owned(), true);
                    }
                    _ => self.fail(&id, code::INVALID_PARAMS, "the agent has no such mode"),
                }
            }
            ("session/set_config_option", Some(shown)) => {
                let [option, value] = match params {
                    Some(params) => params.fields(["configId", "value"]),
                    None => [None; 2],
                };
                let value = value.and_then(|value| match value.boolean() {
                    Some(on) => Some(on.to_string()),
                    None => value.text().map(|text| text.into_owned()),
                });
                match (option.and_then(Json::text), value) {
                    (Some(option), Some(value)) => {
                        self.set(id, shown, option.into_owned(), value, false);
                    }
                    _ => self.fail(&id, code::INVALID_PARAMS, "configId and value are missing"),
                }
            }
            ("session/prompt" | "session/set_mode" | "session/set_config_option", None) => self
                .fail(
                    &id,
                    code::INVALID_PARAMS,
                    "begin with session/new, session/load or session/resume",
                ),
            ("session/delete", _) => self.fail(
                &id,
                code::REFUSED,
                "a shared conversation is ended by its host, with `pillion close`",
            ),
            (method, _) => {
                let what = &method[..method.floor_char_boundary(MAX_CLIENT)];
                self.fail(
                    &id,
                    code::METHOD_NOT_FOUND,
                    &format!("{what} is not known here"),
                );
            }
        }
    }

    fn initialize(&mut self, id: &MessageId, params: Option<Json<'_>>) {
        let [version, client, capabilities] = match params {
            Some(params) => {
                params.fields(["protocolVersion", "clientCapabilities", "capabilities"])
            }
            None => [None; 3],
        };
        self.version = match version.and_then(Json::number) {
            Some(version) if version >= 2 => 2,
            _ => 1,
        };
        let of = |name: &str| match self.version {
            1 => client.and_then(|client| client.get(name)),
            _ => capabilities.and_then(|capabilities| capabilities.get(name)),
        };
        let is_object = |json: Option<Json<'_>>| json.is_some_and(Json::is_object);
        let session = of("session");
        let of_session = |name: &str| session.and_then(|session| session.get(name));
        let boolean = of_session("configOptions").and_then(|options| options.get("boolean"));
        self.offers = Offers {
            notices: is_object(of_session("notices")),
            plans: is_object(of("plan")),
            subagents: is_object(of("subagents")),
            forms: is_object(of("elicitation").and_then(|one| one.get("form"))),
            booleans: is_object(boolean),
        };
        let info = json!({
            "name": self.about.name, "title": "Pillion", "version": self.about.version,
        });
        let result = match self.version {
            1 => json!({
                "protocolVersion": 1,
                "agentInfo": info,
                "agentCapabilities": {
                    "loadSession": true,
                    "promptCapabilities": {"image": false, "audio": false, "embeddedContext": true},
                    "mcpCapabilities": {"http": false, "sse": false},
                    "sessionCapabilities": {"list": {}, "resume": {}, "close": {}, "attach": {}},
                },
                "authMethods": [],
            }),
            _ => json!({
                "protocolVersion": 2,
                "info": info,
                "capabilities": {"session": {"prompt": {"embeddedContext": {}}, "attach": {}}},
                "authMethods": [],
            }),
        };
        self.respond(id, &result);
    }

    fn prompt_requested(&mut self, id: MessageId, params: Option<Json<'_>>, seen: &Seen<'_>) {
        if self.attached.is_none() {
            let why = "begin with session/new, session/load or session/resume";
            return self.fail(&id, code::INVALID_PARAMS, why);
        }
        if !seen.may_prompt {
            let why = "you may watch this conversation, not prompt its agent: ask its host for the right to prompt \
                       (pillion grant YOU --can prompt), and send it again";
            return self.fail(&id, code::REFUSED, why);
        }
        let prompt = params.and_then(|params| params.get("prompt"));
        match prompt.map(text::of_prompt) {
            Some(Ok(text)) => self.prompt(id, text),
            Some(Err(why)) => self.fail(&id, code::INVALID_PARAMS, why.as_str()),
            None => self.fail(&id, code::INVALID_PARAMS, text::NotText::Empty.as_str()),
        }
    }

    /// Attaches it to the conversation, or says which there is.
    pub(super) fn attach(
        &mut self,
        id: &MessageId,
        how: Attach,
        seen: &Seen<'_>,
        shown: &Conversation,
    ) {
        let replays = match &how {
            Attach::New => true,
            Attach::Load => true,
            Attach::Resume { replay } => *replay,
            Attach::Rfd533 { history, .. } => history == "full",
            Attach::List => {
                let title = match shown.threads()[0].title.as_str() {
                    "" => seen.title,
                    title => title,
                };
                let one = json!({
                    "sessionId": self.about.session, "cwd": wire::cwd(shown), "title": title,
                });
                return self.respond(id, &json!({"sessions": [one]}));
            }
        };
        self.see_numbers(shown);
        self.forget_attachment();
        self.by_attach = matches!(how, Attach::Rfd533 { .. });
        let mut sent = match replays {
            true => Sent::nothing(),
            false => Sent::everything(shown),
        };
        let answer = self.begun(&how, shown);
        // A session that it has not heard of yet has no updates.
        let answers_first = matches!(how, Attach::New);
        if answers_first {
            self.respond(id, &answer);
        }
        let events = match replays {
            true => sent.look(&mut self.target(seen), shown),
            false => sent::sent_before(&self.target(seen), shown),
        };
        self.prompt_events(events);
        if !answers_first {
            self.respond(id, &answer);
        }
        sent.go_live(&mut self.target(seen), shown);
        self.attached = Some(sent);
        self.look_at_questions(seen, shown);
    }

    /// To whom updates go.
    pub(super) fn target<'a>(&'a mut self, seen: &Seen<'a>) -> Target<'a> {
        Target {
            version: self.version,
            offers: self.offers,
            session: &self.about.session,
            you: seen.you,
            own: &self.prompts,
            outputs: &mut self.outputs,
        }
    }

    /// The answer to an editor that attaches.
    fn begun(&self, how: &Attach, shown: &Conversation) -> Value {
        let main = &shown.threads()[0];
        let mut answer = json!({"configOptions": self.options(shown, None)});
        if self.version < 2
            && let Some(mode) = main.mode().filter(|mode| !mode.values.is_empty())
        {
            answer["modes"] = wire::modes(mode);
        }
        if self.version >= 2 {
            let commands = main.commands.iter();
            let commands: Vec<Value> = commands
                .map(|one| wire::command(self.version, one))
                .collect();
            answer["availableCommands"] = json!(commands);
        }
        if !matches!(how, Attach::Load | Attach::Resume { .. }) {
            answer["sessionId"] = json!(self.about.session);
        }
        if let Attach::Rfd533 { history, client } = how {
            answer["historyPolicy"] = json!(history);
            answer["clientId"] = json!(client);
            answer["connectedClients"] = json!([{"clientId": client, "role": "controller"}]);
        }
        answer
    }

    /// It no longer looks at the conversation, which goes on.
    fn detach(&mut self) {
        self.forget_attachment();
        for prompt in std::mem::take(&mut self.prompts) {
            if !prompt.answered {
                // What it asked for goes on, and others see the end of it.
                self.respond(&prompt.request, &json!({"stopReason": "cancelled"}));
            }
        }
    }

    fn forget_attachment(&mut self) {
        self.attached = None;
        for question in std::mem::take(&mut self.asked).into_keys() {
            self.withdraw(question);
        }
        self.done_with.clear();
    }

    fn set(
        &mut self,
        request: MessageId,
        shown: &Conversation,
        option: String,
        value: String,
        is_mode: bool,
    ) {
        let mut known = shown.threads()[0].options.iter();
        if !known.any(|known| known.id == option) {
            return self.fail(
                &request,
                code::INVALID_PARAMS,
                "the agent has no such option",
            );
        }
        if let Some(sent) = &mut self.attached {
            sent.settle(shown);
        }
        let number = self.want(ConversationRequest::SetOption {
            option: option.clone(),
            value: value.clone(),
        });
        let options = self.options(shown, Some((&option, &value)));
        self.settings.insert(
            number,
            Setting {
                request,
                options,
                is_mode,
            },
        );
    }

    pub(super) fn was_set(&mut self, setting: Setting, result: Result<(), &str>) {
        match (result, setting.is_mode) {
            (Err(why), _) => self.fail(&setting.request, code::REFUSED, why),
            (Ok(()), true) => self.respond(&setting.request, &json!({})),
            (Ok(()), false) => {
                self.respond(&setting.request, &json!({"configOptions": setting.options}));
            }
        }
    }

    fn notified(&mut self, method: &str, params: Option<Json<'_>>) {
        match (method, params) {
            ("session/cancel", Some(params)) => {
                let session = params.get("sessionId").and_then(Json::text);
                let is_ours = session.is_some_and(|session| session == self.about.session);
                if is_ours && self.attached.is_some() && self.over.is_none() {
                    self.cancel();
                }
            }
            ("$/cancel_request", Some(params)) => {
                if let Some(request) = params.get("requestId") {
                    self.cancel_prompt(request.as_str());
                }
            }
            _ => {}
        }
    }

    /// Asks what can be asked, and takes back what no longer is.
    pub(super) fn look_at_questions(&mut self, seen: &Seen<'_>, shown: &Conversation) {
        let may_answer = |question: &Question| {
            let by = question.claimed_by.as_ref();
            seen.may_approve && by.is_none_or(|by| by.id == seen.you)
        };
        let gone: Vec<(u64, ItemId)> = self
            .asked
            .iter()
            .filter(|(_, item)| {
                let question = shown.question(**item);
                !question.is_some_and(|question| question.is_open() && may_answer(question))
            })
            .map(|(id, item)| (*id, *item))
            .collect();
        for (id, item) in gone {
            self.asked.remove(&id);
            self.withdraw(id);
            self.tell_resolved(item, shown);
        }
        self.done_with
            .retain(|item, _| shown.question(*item).is_some_and(Question::is_open));
        let open: Vec<(ItemId, &Question)> = shown.open_questions().collect();
        for (item, question) in open {
            let is_known = self.asked.values().any(|asked| *asked == item)
                || self.done_with.contains_key(&item);
            if is_known || !may_answer(question) {
                continue;
            }
            let is_form = question.choices.is_empty();
            if is_form && (!self.offers.forms || question.form.omitted() > 0) {
                continue;
            }
            let thread = shown.item(item).map_or(0, |item| item.thread);
            let (method, mut params) = match is_form {
                true => {
                    let schema = serde_json::from_str(question.form.as_str());
                    let schema: Value = schema.unwrap_or_else(|_| json!({"type": "object"}));
                    let params = json!({
                        "mode": "form", "message": question.title, "requestedSchema": schema,
                    });
                    ("elicitation/create", params)
                }
                false => {
                    let params = wire::permission(self.version, shown, thread, item, question);
                    ("session/request_permission", params)
                }
            };
            params["sessionId"] = json!(self.about.session);
            let id = self.next_id;
            self.next_id += 1;
            self.asked.insert(id, item);
            self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        }
    }

    /// Takes a question back. An answer that comes all the same counts for nothing.
    pub(super) fn withdraw(&mut self, id: u64) {
        self.notify("$/cancel_request", &json!({"requestId": id}));
    }

    /// Tells an editor that attached as RFD #533 has it what became of a question.
    fn tell_resolved(&mut self, item: ItemId, shown: &Conversation) {
        let question = shown.question(item);
        let Some((question, outcome)) = question.and_then(|one| Some((one, one.outcome.as_ref()?)))
        else {
            return;
        };
        if !self.by_attach {
            return;
        }
        let by = outcome.by.as_ref().map(|by| by.name.clone());
        let outcome = match outcome.choice.as_str() {
            "" => json!({"kind": "cancelled"}),
            choice => json!({"kind": "selected", "optionId": choice}),
        };
        let update = json!({
            "sessionUpdate": "permission_resolved", "toolCallId": question.tool, "outcome": outcome,
            "resolvedBy": by,
        });
        self.update(update);
    }

    /// The editor answers a question.
    fn answered(&mut self, id: &MessageId, result: Result<Json<'_>, Json<'_>>, seen: &Seen<'_>) {
        let number: Option<u64> = id.as_json().parse().ok();
        let Some(item) = number.and_then(|number| self.asked.remove(&number)) else {
            // It was taken back, and the answer was on its way.
            return;
        };
        let question = seen.conversation.and_then(|shown| shown.question(item));
        let request = match (question, result) {
            (Some(question), Ok(result)) => request_of(item, question, result),
            // Whatever that is, it is no answer: somebody else has one.
            _ => None,
        };
        let want = request.map(|request| self.want(request));
        self.done_with.insert(item, want);
    }
}

/// What an editor's answer asks of the host; `None` where it leaves the question to others.
fn request_of(question: ItemId, asked: &Question, result: Json<'_>) -> Option<ConversationRequest> {
    let [outcome, action, content] = result.fields(["outcome", "action", "content"]);
    if let Some(outcome) = outcome {
        let choice = outcome.get("optionId").and_then(Json::text)?.into_owned();
        let mut choices = asked.choices.iter();
        let chosen = choices.find(|one| one.id == choice);
        let is_always = chosen.is_some_and(|one| one.kind() == ChoiceKind::AllowAlways);
        // The agent's own "always" may outlive the session.
        if is_always && wire::has_once(asked) {
            return Some(ConversationRequest::AllowAlike { question });
        }
        let answer = Answer::Choice(choice);
        return Some(ConversationRequest::Answer { question, answer });
    }
    let answer = match action.and_then(Json::text)?.as_ref() {
        "accept" => Answer::Form(content.map_or("{}", Json::as_str).to_owned()),
        "decline" => Answer::Decline,
        _ => return None,
    };
    Some(ConversationRequest::Answer { question, answer })
}

/// `session/attach`, as RFD #533 has it.
fn attach(params: Option<Json<'_>>) -> Attach {
    let [history, id, info] = match params {
        Some(params) => params.fields(["historyPolicy", "clientId", "clientInfo"]),
        None => [None; 3],
    };
    let history = match history.and_then(Json::text).as_deref() {
        Some(history @ ("pending_only" | "none")) => history.to_owned(),
        // What follows a message can't be told from here: all of it has that in it.
        _ => "full".to_owned(),
    };
    let name = id.or(info.and_then(|info| info.get("name")));
    let name = name.and_then(Json::text).unwrap_or_default();
    let client = match name.is_empty() {
        true => "editor".to_owned(),
        false => name[..name.floor_char_boundary(MAX_CLIENT)].to_owned(),
    };
    Attach::Rfd533 { history, client }
}
