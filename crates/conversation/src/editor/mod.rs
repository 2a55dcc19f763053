//! The agent's side of the protocol, for editors: a shared conversation as an agent's session.
//!
//! ```text
//! editor ──line──▶ Editor ──ConversationRequest──▶ the host
//!    ▲               │  ▲
//!    └────line───────┘  └── Conversation, as it is after each change
//! ```
//!
//! An editor that speaks version 1 or 2 attaches to a conversation, whichever of them its agent speaks. What it is sent
//! is made from the model, not from the agent's messages: so what was said before it came is replayed, what came while
//! it was slow arrives as one, and neither depends on the agent's version. Its prompts wait in the queue like anybody's,
//! as those of the person who runs it; a question of the agent's is asked of it while that person may answer.
//!
//! `handle_line` what it says and `look` whenever the conversation may have changed, then drain [`Editor::poll`].

mod diff;
mod prompts;
mod requests;
mod sent;
#[cfg(test)]
mod tests;
mod text;
mod wire;

use std::collections::{BTreeMap, VecDeque};

use pillion_proto::ConversationRequest;
use serde_json::{Value, json};

use self::{prompts::OwnPrompt, sent::Sent};
use crate::{
    fold::Conversation,
    limits::MAX_CALLS,
    message::MessageId,
    model::{ConfigOption, ItemId},
};

/// JSON-RPC's codes, and the protocol's own.
mod code {
    pub(super) const PARSE: i64 = -32700;
    pub(super) const INVALID_REQUEST: i64 = -32600;
    pub(super) const METHOD_NOT_FOUND: i64 = -32601;
    pub(super) const INVALID_PARAMS: i64 = -32602;
    pub(super) const INTERNAL: i64 = -32603;
    pub(super) const NOT_FOUND: i64 = -32002;
    /// The host refuses. Of the range that JSON-RPC leaves to implementations.
    pub(super) const REFUSED: i64 = -32003;
}

/// The agent's side of one editor's connection.
#[derive(Debug)]
pub struct Editor {
    about: About,
    /// 0 until it has said which it speaks.
    version: u64,
    offers: Offers,
    /// What the editor was sent of the conversation, once it has attached.
    attached: Option<Sent>,
    /// It attached by `session/attach`.
    by_attach: bool,
    /// What waits until there is a conversation.
    waiting: VecDeque<(MessageId, Attach)>,
    prompts: Vec<OwnPrompt>,
    /// The newest number of a prompt that was seen.
    newest_prompt: Option<u64>,
    /// Questions that the editor was asked, by the ids of our requests.
    asked: BTreeMap<u64, ItemId>,
    /// Questions that it has answered, or left to others.
    done_with: BTreeMap<ItemId, Option<u64>>,
    settings: BTreeMap<u64, Setting>,
    next_id: u64,
    next_want: u64,
    over: Option<String>,
    outputs: VecDeque<EditorOutput>,
}

/// What an editor is told of us, and where the conversation is.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Our name.
    pub name: String,
    /// Our version.
    pub version: String,
    /// What the conversation is called in the protocol: the id of its session.
    pub session: String,
}

/// What there is to see at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    /// The conversation, once it is there.
    pub conversation: Option<&'a Conversation>,
    /// What it is called.
    pub title: &'a str,
    /// Who uses the editor, as authors are named.
    pub you: &'a str,
    /// They may send prompts.
    pub may_prompt: bool,
    /// They may answer questions.
    pub may_approve: bool,
    /// Why the host can't be asked for anything at this moment, as a sentence.
    pub away: Option<&'a str>,
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum EditorOutput {
    /// To be written to the editor, with a line's end.
    Send(String),
    /// The host is asked for this. What came of it is told by its number ([`Editor::done`]).
    Want {
        /// Counted from 1.
        number: u64,
        /// What.
        request: ConversationRequest,
    },
    /// For who looks for a fault, not for the protocol.
    Say(String),
}

/// What the editor says that it can show.
#[derive(Clone, Copy, Debug, Default)]
struct Offers {
    notices: bool,
    plans: bool,
    subagents: bool,
    forms: bool,
    booleans: bool,
}

/// How an editor comes to the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Attach {
    /// Everything after the answer.
    New,
    /// Everything before the answer.
    Load,
    /// What comes from now on; before the answer everything, if wanted.
    Resume { replay: bool },
    /// As RFD #533 has it: everything, what is open, or nothing.
    Rfd533 { history: String, client: String },
    /// It only asks which conversations there are.
    List,
}

/// Something that is being set.
#[derive(Clone, Debug)]
struct Setting {
    request: MessageId,
    /// All options, with what it is then.
    options: Vec<Value>,
    /// It is a mode, and wants no options back.
    is_mode: bool,
}

impl Editor {
    /// A machine that waits for the editor's first message.
    pub fn new(about: About) -> Editor {
        Editor {
            about,
            version: 0,
            offers: Offers::default(),
            attached: None,
            by_attach: false,
            waiting: VecDeque::new(),
            prompts: Vec::new(),
            newest_prompt: None,
            asked: BTreeMap::new(),
            done_with: BTreeMap::new(),
            settings: BTreeMap::new(),
            next_id: 1,
            next_want: 1,
            over: None,
            outputs: VecDeque::new(),
        }
    }

    /// What is to be done next; `None` when nothing is.
    pub fn poll(&mut self) -> Option<EditorOutput> {
        self.outputs.pop_front()
    }

    /// Whether the editor waits for the conversation.
    pub fn is_waiting(&self) -> bool {
        let mut prompts = self.prompts.iter();
        !self.waiting.is_empty()
            || !self.settings.is_empty()
            || prompts.any(|prompt| !prompt.answered)
    }

    /// Whether it waits for something of the host's: an editor that asks for more is read no further.
    pub fn is_full(&self) -> bool {
        self.waiting.len() + self.prompts.len() + self.settings.len() >= MAX_CALLS
    }

    /// The conversation may have changed, or what may be done with it.
    pub fn look(&mut self, seen: &Seen<'_>) {
        let Some(shown) = seen.conversation.filter(|_| self.over.is_none()) else {
            return;
        };
        while let Some((id, how)) = self.waiting.pop_front() {
            self.attach(&id, how, seen, shown);
        }
        self.find_queued(seen, shown);
        let Some(mut sent) = self.attached.take() else {
            self.see_numbers(shown);
            return;
        };
        let events = sent.look(&mut self.target(seen), shown);
        self.attached = Some(sent);
        self.prompt_events(events);
        self.find_withdrawn(shown);
        self.see_numbers(shown);
        self.look_at_questions(seen, shown);
    }

    /// What came of something that the host was asked for.
    ///
    /// Of what was refused `result` has the reason, as a sentence.
    pub fn done(&mut self, number: u64, result: Result<(), &str>) {
        if let Some(setting) = self.settings.remove(&number) {
            return self.was_set(setting, result);
        }
        if let Err(why) = result {
            if self.prompt_refused(number, why) {
                return;
            }
            // An answer that did not count: the question may be asked again.
            self.done_with.retain(|_, want| *want != Some(number));
            self.tell(why);
        }
    }

    /// The conversation is over for us: the session ended, or it can't be reached. `why` is a sentence.
    pub fn end(&mut self, why: &str) {
        if self.over.is_some() {
            return;
        }
        self.over = Some(why.to_owned());
        self.give_up(why);
        self.prompts.clear();
        for question in std::mem::take(&mut self.asked).into_keys() {
            self.withdraw(question);
        }
        self.tell(why);
        if self.attached.is_some() && self.version >= 2 {
            let idle = json!({"sessionUpdate": "state_update", "state": "idle"});
            self.update(idle);
        }
    }

    /// The host has been away for so long that nothing is waited for any longer. It may come back. `why` is a sentence.
    pub fn give_up(&mut self, why: &str) {
        for (id, _) in std::mem::take(&mut self.waiting) {
            self.fail(&id, code::INTERNAL, why);
        }
        let prompts = self.prompts.extract_if(.., |prompt| !prompt.answered);
        for prompt in prompts.collect::<Vec<_>>() {
            self.fail(&prompt.request, code::INTERNAL, why);
        }
        for (_, setting) in std::mem::take(&mut self.settings) {
            self.fail(&setting.request, code::INTERNAL, why);
        }
    }

    /// Says something of ours to who uses the editor, where it can be seen there.
    pub fn tell(&mut self, text: &str) {
        self.outputs.push_back(EditorOutput::Say(text.to_owned()));
        if self.attached.is_none() {
            return;
        }
        let update = match self.offers.notices || self.version >= 2 {
            true => json!({"sessionUpdate": "notice", "severity": "warning", "title": text}),
            false => {
                let id = format!("pillion-{}", self.next_id);
                self.next_id += 1;
                let content = wire::text(&format!("Pillion: {text}"));
                json!({"sessionUpdate": "agent_message_chunk", "messageId": id, "content": content})
            }
        };
        self.update(update);
    }

    fn want(&mut self, request: ConversationRequest) -> u64 {
        let number = self.next_want;
        self.next_want += 1;
        self.outputs
            .push_back(EditorOutput::Want { number, request });
        number
    }

    /// The newest number that a prompt has.
    fn see_numbers(&mut self, shown: &Conversation) {
        let queued = shown.queue().iter().map(|queued| queued.number);
        let newest = queued.chain(sent::newest_prompt(shown)).max();
        self.newest_prompt = self.newest_prompt.max(newest);
    }

    fn update(&mut self, update: Value) {
        let params = json!({"sessionId": self.about.session, "update": update});
        self.notify("session/update", &params);
    }

    fn notify(&mut self, method: &str, params: &Value) {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.send(&message);
    }

    fn respond(&mut self, id: &MessageId, result: &Value) {
        let id = id.as_json();
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        self.outputs.push_back(EditorOutput::Send(line));
    }

    fn fail(&mut self, id: &MessageId, code: i64, message: &str) {
        let (id, error) = (id.as_json(), json!({"code": code, "message": message}));
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
        self.outputs.push_back(EditorOutput::Send(line));
    }

    fn send(&mut self, message: &Value) {
        self.outputs
            .push_back(EditorOutput::Send(message.to_string()));
    }

    /// The options, as they are in answers: with `over` in place of what an option is now.
    fn options(&self, shown: &Conversation, over: Option<(&str, &str)>) -> Vec<Value> {
        let options = shown.threads()[0].options.iter();
        let options = options.filter_map(|option| {
            let mut option: ConfigOption = option.clone();
            if let Some((_, value)) = over.filter(|(id, _)| *id == option.id) {
                option.value = value.to_owned();
            }
            wire::option(self.version, self.offers.booleans, &option)
        });
        options.collect()
    }
}
