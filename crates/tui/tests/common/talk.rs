//! A conversation that is driven by what an agent and its host say.
#![allow(dead_code)]

use pillion_conversation::{
    Author, Conversation, Entry, Environment, ItemId, Logged, Message, Note,
};

/// Entries one after the other, a second apart.
#[derive(Default)]
pub struct Talk {
    pub conversation: Conversation,
    /// When the last entry was, in milliseconds.
    pub at_ms: u64,
    requests: u64,
}

impl Talk {
    /// One whose agent runs, speaks version 1 and has a session `s`.
    pub fn begun() -> Talk {
        let mut talk = Talk::unready();
        let id = talk.ask("initialize", "{}");
        talk.reply(
            id,
            r#"{"protocolVersion":1,"agentInfo":{"name":"scripted","version":"1"}}"#,
        );
        let id = talk.ask("session/new", r#"{"cwd":"/src"}"#);
        talk.reply(id, r#"{"sessionId":"s"}"#);
        talk
    }

    /// One whose agent has just begun.
    pub fn unready() -> Talk {
        let mut talk = Talk {
            at_ms: 1_700_000_000_000,
            ..Talk::default()
        };
        talk.note(Note::Started {
            environment: Environment::default(),
        });
        talk
    }

    pub fn log(&mut self, what: Logged<'_>) {
        self.at_ms += 1000;
        let entry = Entry {
            at_ms: self.at_ms,
            what,
        };
        self.conversation.apply(&entry);
    }

    pub fn note(&mut self, note: Note) {
        self.log(Logged::Note(note));
    }

    pub fn agent(&mut self, message: &str) {
        self.log(Logged::FromAgent(Message::parse(message).unwrap()));
    }

    fn host(&mut self, message: &str, by: Option<Author>, prompt: Option<u64>) {
        let message = Message::parse(message).unwrap();
        self.log(Logged::ToAgent {
            message,
            by,
            prompt,
        });
    }

    /// A request of the host's: its id.
    pub fn ask(&mut self, method: &str, params: &str) -> u64 {
        self.requests += 1;
        let id = self.requests;
        let message = format!(r#"{{"id":{id},"method":"{method}","params":{params}}}"#);
        self.host(&message, None, None);
        id
    }

    pub fn reply(&mut self, id: u64, result: &str) {
        self.agent(&format!(r#"{{"id":{id},"result":{result}}}"#));
    }

    pub fn prompt(&mut self, by: &str, text: &str) -> u64 {
        self.requests += 1;
        let id = self.requests;
        let text = quoted(text);
        let params = format!(r#"{{"sessionId":"s","prompt":[{{"type":"text","text":{text}}}]}}"#);
        let message = format!(r#"{{"id":{id},"method":"session/prompt","params":{params}}}"#);
        self.host(&message, Some(author(by)), None);
        id
    }

    pub fn ends(&mut self, prompt: u64, stop: &str) {
        self.reply(prompt, &format!(r#"{{"stopReason":"{stop}"}}"#));
    }

    /// An update: the members of its object.
    pub fn update(&mut self, update: &str) {
        self.update_of("s", update);
    }

    pub fn update_of(&mut self, session: &str, update: &str) {
        self.agent(&format!(
            r#"{{"method":"session/update","params":{{"sessionId":"{session}","update":{{{update}}}}}}}"#
        ));
    }

    pub fn says(&mut self, text: &str) {
        self.chunk("agent_message_chunk", text);
    }

    pub fn thinks(&mut self, text: &str) {
        self.chunk("agent_thought_chunk", text);
    }

    fn chunk(&mut self, kind: &str, text: &str) {
        let text = quoted(text);
        self.update(&format!(
            r#""sessionUpdate":"{kind}","content":{{"type":"text","text":{text}}}"#
        ));
    }

    /// A tool: more members of its object.
    pub fn tool(&mut self, id: &str, more: &str) {
        self.update(&format!(
            r#""sessionUpdate":"tool_call_update","toolCallId":"{id}",{more}"#
        ));
    }

    pub fn reads(&mut self, id: &str, path: &str) {
        self.tool(
            id,
            &format!(
                r#""title":"Read {path}","kind":"read","status":"completed","locations":[{{"path":"{path}"}}]"#
            ),
        );
    }

    /// A permission about a tool that is told with it.
    pub fn permission(&mut self, id: u64, tool: &str) -> ItemId {
        let options = r#"[{"optionId":"once","name":"Allow once","kind":"allow_once"},
            {"optionId":"always","name":"Always allow","kind":"allow_always"},
            {"optionId":"no","name":"Reject","kind":"reject_once"}]"#;
        self.agent(&format!(
            r#"{{"id":{id},"method":"session/request_permission","params":{{"sessionId":"s","toolCall":{{{tool}}},"options":{options}}}}}"#
        ));
        self.conversation.open_questions().last().unwrap().0
    }

    pub fn answer(&mut self, id: u64, by: &str, choice: &str) {
        let message = format!(
            r#"{{"id":{id},"result":{{"outcome":{{"outcome":"selected","optionId":"{choice}"}}}}}}"#
        );
        self.host(&message, Some(author(by)), None);
    }

    pub fn queued(&mut self, prompt: u64, by: &str, text: &str) {
        self.note(Note::Queued {
            prompt,
            by: author(by),
            text: text.to_owned(),
        });
    }
}

/// Somebody, by name.
pub fn author(name: &str) -> Author {
    Author {
        id: id_of(name),
        name: name.to_owned(),
        right: "prompt".to_owned(),
    }
}

/// What somebody's key is called.
pub fn id_of(name: &str) -> String {
    let sum = name.bytes().fold(0x1234_5678_u32, |sum, byte| {
        sum.rotate_left(5) ^ u32::from(byte)
    });
    format!("{:04x}-{:04x}-7777-8888", sum >> 16, sum & 0xffff)
}

/// A text as a string of JSON.
pub fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for ch in text.chars() {
        match ch {
            '"' | '\\' => out.extend(['\\', ch]),
            ch if ch.is_control() => out.push_str(&format!("\\u{:04x}", ch as u32)),
            ch => out.push(ch),
        }
    }
    out.push('"');
    out
}
