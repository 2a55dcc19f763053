//! The client's side of the protocol, as a state machine: what is said to an agent, and when.
//!
//! It speaks versions 1 and 2: one `initialize` offers both, and what the agent answers is spoken. It offers
//! neither files nor terminals, so an agent reads and writes by itself, within what its own permissions allow. One
//! prompt is at the agent at a time. Every request of the agent's is answered, sooner or later: agents wait for
//! ever for one that is not.
//!
//! `handle` what came, then drain [`Client::poll`]: what it says must be logged before it is written. Times are
//! milliseconds of any clock that only goes forward.

mod wire;

use std::collections::{BTreeMap, VecDeque};

use pillion_proto::Answer;
use serde_json::{Value, json};

use crate::{
    entry::Author,
    json::Json,
    limits::{MAX_ID, MAX_OPEN_QUESTIONS, MAX_PARTS},
    message::{Message, MessageId, MessageKind},
    model::ChoiceKind,
    transcript::Earlier,
};

/// How long an agent may take to answer `initialize`, in milliseconds. The slowest of those that were tried took
/// six seconds, with the machine to itself.
pub const START_LIMIT_MS: u64 = 60_000;

/// How long a cancelled turn may go on before somebody is asked whether to restart the agent, in milliseconds.
pub const CANCEL_LIMIT_MS: u64 = 10_000;

/// The client's side of one conversation with an agent.
#[derive(Debug)]
pub struct Client {
    setup: Setup,
    phase: Phase,
    /// Of our next request. The agent's ids are another space.
    next_id: u64,
    calls: BTreeMap<MessageId, Call>,
    version: u64,
    session: String,
    /// Whether prompts may hold whole texts.
    embeds: bool,
    /// What the agent has to be told ahead of its next prompt; empty if nothing.
    transcript: String,
    /// Whether the agent has options that can be set, in place of modes.
    has_options: bool,
    turn: Option<Turn>,
    questions: BTreeMap<MessageId, Open>,
    /// When what is waited for should have come.
    deadline_ms: Option<u64>,
    outputs: VecDeque<ClientOutput>,
}

/// What an agent is told of us.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The directory it works in: absolute.
    pub cwd: String,
    /// Our name.
    pub name: String,
    /// Our version.
    pub version: String,
    /// From where it goes on; `None` of one that begins.
    pub earlier: Option<Earlier>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Initialize,
    NewSession,
    /// The earlier session.
    OldSession(String),
    Prompt,
    Setting,
}

/// A prompt that is at the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    /// Whether the agent began it, as version 2 says.
    begun: bool,
    cancelled: bool,
}

/// A question of the agent's that has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    session: String,
    /// The choices of a permission; `None` for a form.
    choices: Option<Vec<(String, ChoiceKind)>>,
}

/// What the machine wants done, or has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientOutput {
    /// To be logged, and then written to the agent with a line's end.
    Send {
        /// The message: one line.
        line: String,
        /// Who caused it.
        by: Option<Author>,
        /// The number of the queued prompt that it is.
        prompt: Option<u64>,
    },
    /// Something happened that the conversation's host acts on.
    Event(ClientEvent),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// The agent can be prompted.
    Ready {
        /// The version of the protocol.
        version: u64,
        /// The agent's id of the session.
        session: String,
    },
    /// The agent can't be prompted, ever.
    Failed(StartFault),
    /// A line is no message. It is not answered.
    Garbage,
    /// The agent asks something.
    Asked(MessageId),
    /// A question needs no answer of anybody's any longer.
    Closed(MessageId),
    /// The agent asked for something that is not offered, and was told so.
    NotOffered(String),
    /// The agent has set what it was told to, or said that it doesn't.
    Set(bool),
    /// The turn is over, and the next prompt may go.
    TurnEnded,
    /// The turn was cancelled [`CANCEL_LIMIT_MS`] ago and goes on: the agent may be restarted.
    CancelIgnored,
}

/// Why an agent can't be prompted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartFault {
    /// It speaks a version that is not known here.
    #[error(
        "it speaks version {0} of the Agent Client Protocol, and Pillion speaks versions 1 and 2"
    )]
    Version(u64),
    /// It wants somebody to log in first.
    #[error("it wants you to log in first ({0}): start it by itself once and log in there")]
    NeedsLogin(String),
    /// It answered with an error.
    #[error("it did not begin: {0}")]
    Refused(String),
    /// It answered with something that is no answer.
    #[error("it did not say which session it began")]
    NoSession,
    /// It did not answer.
    #[error("it did not answer within {} seconds: is it an agent that speaks the Agent Client Protocol?", START_LIMIT_MS / 1000)]
    Silent,
}

/// Why something is not said to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// It is not ready, or never will be.
    #[error("the agent is not ready")]
    NotReady,
    /// Its turn goes on.
    #[error("the agent is still at work on another prompt")]
    Busy,
    /// There is no turn.
    #[error("the agent is not at work on anything")]
    Idle,
    /// The question was answered, or is none.
    #[error("this question no longer waits for an answer")]
    NotOpen,
    /// The question does not have this choice.
    #[error("this question does not have that choice")]
    NoSuchChoice,
}

impl Client {
    /// A machine whose first output is what an agent is to be told first.
    pub fn new(setup: Setup, now_ms: u64) -> Client {
        let mut client = Client {
            setup,
            phase: Phase::Starting,
            next_id: 1,
            calls: BTreeMap::new(),
            version: 0,
            session: String::new(),
            embeds: false,
            transcript: String::new(),
            has_options: false,
            turn: None,
            questions: BTreeMap::new(),
            deadline_ms: Some(now_ms.saturating_add(START_LIMIT_MS)),
            outputs: VecDeque::new(),
        };
        let hello = wire::initialize(&client.setup);
        client.request("initialize", hello, Call::Initialize, None, None);
        client
    }

    /// What is to be done next; `None` when nothing is.
    pub fn poll(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }

    /// When [`Client::tick`] wants to be called.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.deadline_ms
    }

    /// Whether a prompt is at the agent.
    pub fn is_busy(&self) -> bool {
        self.turn.is_some()
    }

    /// Whether the agent can be prompted, now or after the turn that goes on.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// The requests of the agent's that wait for an answer.
    pub fn open_questions(&self) -> impl Iterator<Item = &MessageId> {
        self.questions.keys()
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64) {
        if self.deadline_ms.is_none_or(|deadline| now_ms < deadline) {
            return;
        }
        self.deadline_ms = None;
        match self.phase {
            Phase::Starting => self.fail(StartFault::Silent),
            Phase::Ready if self.turn.is_some_and(|turn| turn.cancelled) => {
                self.event(ClientEvent::CancelIgnored);
            }
            Phase::Ready | Phase::Failed => {}
        }
    }

    /// A line came from the agent. It must be in the log already.
    pub fn handle_line(&mut self, line: &str) {
        let Ok(message) = Message::parse(line) else {
            return self.event(ClientEvent::Garbage);
        };
        match message.kind {
            MessageKind::Request { id, method, params } => self.asked(id, &method, params),
            MessageKind::Notification { method, params } => self.told(&method, params),
            MessageKind::Response { id, result } => {
                if let Some(call) = self.calls.remove(&id) {
                    self.answered(&call, result);
                }
            }
        }
    }

    /// Sends a prompt.
    ///
    /// # Errors
    /// When the agent can't take one now.
    pub fn prompt(
        &mut self,
        text: &str,
        number: Option<u64>,
        by: Option<Author>,
    ) -> Result<(), NotSent> {
        self.ready()?;
        if self.is_busy() {
            return Err(NotSent::Busy);
        }
        let transcript = std::mem::take(&mut self.transcript);
        let params = json!({
            "sessionId": self.session,
            "prompt": wire::prompt(text, &transcript, self.embeds),
        });
        self.turn = Some(Turn {
            begun: false,
            cancelled: false,
        });
        self.request("session/prompt", params, Call::Prompt, by, number);
        Ok(())
    }

    /// Stops the turn. Saying it again says it to the agent again.
    ///
    /// # Errors
    /// When there is none.
    pub fn cancel(&mut self, now_ms: u64, by: Option<Author>) -> Result<(), NotSent> {
        self.ready()?;
        let Some(turn) = &mut self.turn else {
            return Err(NotSent::Idle);
        };
        turn.cancelled = true;
        self.deadline_ms = Some(now_ms.saturating_add(CANCEL_LIMIT_MS));
        // Agents don't end a cancelled turn while a question of it is open.
        self.close_questions(|_| true, by.as_ref());
        let params = json!({"sessionId": self.session});
        self.send(
            &json!({"jsonrpc": "2.0", "method": "session/cancel", "params": params}),
            by,
            None,
        );
        Ok(())
    }

    /// Answers a question. The first answer counts.
    ///
    /// # Errors
    /// When it was answered, or does not have this answer.
    pub fn answer(
        &mut self,
        question: &MessageId,
        answer: &Answer,
        by: Option<Author>,
    ) -> Result<(), NotSent> {
        let open = self.questions.get(question).ok_or(NotSent::NotOpen)?;
        let result = match (&open.choices, answer) {
            (Some(choices), Answer::Choice(choice)) => {
                match choices.iter().any(|(id, _)| id == choice) {
                    true => json!({"outcome": {"outcome": "selected", "optionId": choice}}),
                    false => return Err(NotSent::NoSuchChoice),
                }
            }
            (Some(_), Answer::Cancel) => cancelled(open),
            (None, Answer::Cancel) => cancelled(open),
            (None, Answer::Decline) => json!({"action": "decline"}),
            (None, Answer::Form(content)) => {
                let content: Value =
                    serde_json::from_str(content).map_err(|_| NotSent::NoSuchChoice)?;
                match content.is_object() {
                    true => json!({"action": "accept", "content": content}),
                    false => return Err(NotSent::NoSuchChoice),
                }
            }
            (Some(_), Answer::Form(_) | Answer::Decline) | (None, Answer::Choice(_)) => {
                return Err(NotSent::NoSuchChoice);
            }
        };
        self.questions.remove(question);
        self.respond(question, Ok(result), by);
        Ok(())
    }

    /// Sets an option to one of its values. What came of it is a [`ClientEvent::Set`].
    ///
    /// # Errors
    /// When the agent is not ready.
    pub fn set_option(
        &mut self,
        option: &str,
        value: &str,
        by: Option<Author>,
    ) -> Result<(), NotSent> {
        self.ready()?;
        // Older agents have modes in place of options; what is shown has both as options.
        if !self.has_options && option == "mode" {
            let params = json!({"sessionId": self.session, "modeId": value});
            self.request("session/set_mode", params, Call::Setting, by, None);
            return Ok(());
        }
        let params = json!({
            "sessionId": self.session, "configId": option, "type": "id", "value": value,
        });
        self.request("session/set_config_option", params, Call::Setting, by, None);
        Ok(())
    }

    fn ready(&self) -> Result<(), NotSent> {
        match self.phase {
            Phase::Ready => Ok(()),
            Phase::Starting | Phase::Failed => Err(NotSent::NotReady),
        }
    }

    fn asked(&mut self, id: MessageId, method: &str, params: Option<Json<'_>>) {
        match (method, params) {
            ("session/request_permission", Some(params)) => {
                let choices = params.get("options").map(wire::choices);
                self.question(id, params, Some(choices.unwrap_or_default()));
            }
            ("elicitation/create", Some(params)) => self.question(id, params, None),
            // It was not offered. Who asks all the same has written the file already, and only tells.
            ("fs/write_text_file", _) => {
                self.event(ClientEvent::NotOffered(method.to_owned()));
                self.respond(&id, Ok(json!({})), None);
            }
            (method, _) => {
                let method = &method[..method.floor_char_boundary(MAX_ID)];
                self.event(ClientEvent::NotOffered(method.to_owned()));
                let error = json!({"code": -32601, "message": "Method not found"});
                self.respond(&id, Err(error), None);
            }
        }
    }

    fn question(
        &mut self,
        id: MessageId,
        params: Json<'_>,
        choices: Option<Vec<(String, ChoiceKind)>>,
    ) {
        let session = params.get("sessionId").and_then(Json::text);
        let open = Open {
            session: session.unwrap_or_default().into_owned(),
            choices,
        };
        if self.questions.len() >= MAX_OPEN_QUESTIONS {
            return self.respond(&id, Ok(cancelled(&open)), None);
        }
        // With an id that is used again, the question before it can't be answered any longer.
        if self.questions.insert(id.clone(), open).is_some() {
            self.event(ClientEvent::Closed(id.clone()));
        }
        // A cancelled turn asks nobody any more.
        match self.turn.is_some_and(|turn| turn.cancelled) {
            true => self.close_questions(|one| *one == id, None),
            false => self.event(ClientEvent::Asked(id)),
        }
    }

    fn told(&mut self, method: &str, params: Option<Json<'_>>) {
        match (method, params) {
            ("$/cancel_request", Some(params)) => {
                let id = params.get("requestId").map(|id| id.as_str().to_owned());
                // It still wants an answer.
                self.close_questions(|one| Some(one.as_json()) == id.as_deref(), None);
            }
            ("session/update", Some(params)) if self.version >= 2 => {
                let [session, update] = params.fields(["sessionId", "update"]);
                let ours = session
                    .and_then(Json::text)
                    .is_some_and(|one| one == self.session);
                let state = update.filter(|_| ours).and_then(wire::state);
                match (&mut self.turn, state.as_deref()) {
                    (Some(turn), Some("running" | "requires_action")) => turn.begun = true,
                    (Some(turn), Some("idle")) if turn.begun => self.end_turn(),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn answered(&mut self, call: &Call, result: Result<Json<'_>, Json<'_>>) {
        match (call, result) {
            (Call::Initialize, Ok(result)) => {
                let version = result.get("protocolVersion").and_then(Json::number);
                match version {
                    Some(version @ 1..=2) => {
                        self.version = version;
                        self.begin_session(result);
                    }
                    version => self.fail(StartFault::Version(version.unwrap_or(0))),
                }
            }
            (Call::NewSession, Ok(result)) => {
                let session = result.get("sessionId").and_then(Json::text);
                match session.filter(|session| !session.is_empty() && session.len() <= MAX_ID) {
                    Some(session) => self.session_begun(&session, result),
                    None => self.fail(StartFault::NoSession),
                }
            }
            (Call::OldSession(session), Ok(result)) => {
                self.transcript.clear();
                self.session_begun(session, result);
            }
            // It has lost it, or never had it: another one, which is told what was said.
            (Call::OldSession(_), Err(_)) => self.new_session(),
            (Call::Initialize | Call::NewSession, Err(error)) => {
                self.fail(wire::start_fault(error));
            }
            // In version 2 the answer only says that the prompt was taken.
            (Call::Prompt, Ok(result))
                if self.version >= 2 && result.get("stopReason").is_none() =>
            {
                if let Some(turn) = &mut self.turn {
                    turn.begun = true;
                }
            }
            (Call::Prompt, _) => self.end_turn(),
            (Call::Setting, result) => self.event(ClientEvent::Set(result.is_ok())),
        }
    }

    /// The earlier session, if there was one and the agent can go on with it; else a new one.
    fn begin_session(&mut self, agent: Json<'_>) {
        let can = wire::Continues::of(agent);
        self.embeds = can.embeds;
        let Some(earlier) = self.setup.earlier.take() else {
            return self.new_session();
        };
        self.transcript = earlier.transcript;
        // Gemini loses a session that is loaded in the minute in which it was begun.
        let loses = earlier.is_young && can.is_gemini;
        let method = match () {
            () if earlier.session.is_empty() => None,
            () if self.version >= 2 || can.resumes => Some("session/resume"),
            () if can.loads && earlier.may_repeat && !loses => Some("session/load"),
            () => None,
        };
        let Some(method) = method else {
            return self.new_session();
        };
        let session = earlier.session;
        let params = json!({"sessionId": session, "cwd": self.setup.cwd, "mcpServers": []});
        self.request(method, params, Call::OldSession(session), None, None);
    }

    fn new_session(&mut self) {
        let new = json!({"cwd": self.setup.cwd, "mcpServers": []});
        self.request("session/new", new, Call::NewSession, None, None);
    }

    fn session_begun(&mut self, session: &str, result: Json<'_>) {
        let options = result.get("configOptions");
        self.has_options = options.is_some_and(Json::is_array);
        self.session = session.to_owned();
        self.phase = Phase::Ready;
        self.deadline_ms = None;
        let (version, session) = (self.version, self.session.clone());
        self.event(ClientEvent::Ready { version, session });
    }

    fn end_turn(&mut self) {
        if self.turn.take().is_none() {
            return;
        }
        self.deadline_ms = None;
        // What it asked for needs no answer of anybody's, but the agent needs one. What subagents ask goes on.
        let session = self.session.clone();
        let ours: Vec<MessageId> = self
            .questions
            .iter()
            .filter(|(_, open)| open.session == session)
            .map(|(id, _)| id.clone())
            .collect();
        self.close_questions(|id| ours.contains(id), None);
        self.event(ClientEvent::TurnEnded);
    }

    /// Answers questions with no choice.
    fn close_questions(&mut self, which: impl Fn(&MessageId) -> bool, by: Option<&Author>) {
        let ids: Vec<MessageId> = self
            .questions
            .keys()
            .filter(|id| which(id))
            .cloned()
            .collect();
        for id in ids {
            if let Some(open) = self.questions.remove(&id) {
                self.respond(&id, Ok(cancelled(&open)), by.cloned());
                self.event(ClientEvent::Closed(id));
            }
        }
    }

    fn fail(&mut self, fault: StartFault) {
        self.phase = Phase::Failed;
        self.deadline_ms = None;
        self.event(ClientEvent::Failed(fault));
    }

    fn event(&mut self, event: ClientEvent) {
        self.outputs.push_back(ClientOutput::Event(event));
    }

    fn request(
        &mut self,
        method: &str,
        params: Value,
        call: Call,
        by: Option<Author>,
        prompt: Option<u64>,
    ) {
        let id = self.next_id;
        self.next_id += 1;
        self.calls.insert(MessageId::from(id), call);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&message, by, prompt);
    }

    fn respond(&mut self, id: &MessageId, result: Result<Value, Value>, by: Option<Author>) {
        // The id goes back as it came: a number may have more digits than are read here.
        let id = id.as_json();
        let line = match result {
            Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
            Err(error) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
        };
        let prompt = None;
        self.outputs
            .push_back(ClientOutput::Send { line, by, prompt });
    }

    fn send(&mut self, message: &Value, by: Option<Author>, prompt: Option<u64>) {
        let line = message.to_string();
        self.outputs
            .push_back(ClientOutput::Send { line, by, prompt });
    }
}

/// The answer that makes no choice.
fn cancelled(open: &Open) -> Value {
    match open.choices {
        Some(_) => json!({"outcome": {"outcome": "cancelled"}}),
        None => json!({"action": "cancel"}),
    }
}

#[cfg(test)]
mod tests;
