//! What the log of a conversation is made of.
//!
//! An entry is an object of JSON: when, and one of
//!
//! ```text
//! {"at":1764500000000,"agent":{…}}                 a message from the agent, as it came (masked)
//! {"at":1764500000001,"host":{…},"by":{…}}         a message to the agent, as it went, and who caused it
//! {"at":1764500000002,"note":{"kind":"queued",…}}  what the protocol has no message for
//! ```
//!
//! The messages are the truth: what is shown is folded from them, by this version or by one that knows more.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    changes::ChangeSet,
    json::{Json, JsonError},
    message::{Message, MessageError},
};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What.
    pub what: Logged<'a>,
}

/// What an entry is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Logged<'a> {
    /// The agent sent it.
    FromAgent(Message<'a>),
    /// It was sent to the agent.
    ToAgent {
        /// What.
        message: Message<'a>,
        /// Who caused it; `None` for what the host does by itself.
        by: Option<Author>,
        /// The number of the queued prompt that it is.
        prompt: Option<u64>,
    },
    /// What the protocol has no message for.
    Note(Note),
    /// A note of a newer version: its kind.
    NewerNote(Cow<'a, str>),
}

/// Somebody who caused something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// Who it is, by what nobody can choose: the fingerprint of a key, or empty for the host.
    pub id: String,
    /// What they call themselves.
    pub name: String,
    /// The right by which they could.
    pub right: String,
}

/// How a process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exit {
    /// Its exit code.
    pub code: Option<i64>,
    /// The signal that ended it; empty if none.
    pub signal: String,
    /// Why it could not run or was ended, where that was not its own doing; empty if it was.
    pub fault: String,
}

/// Where an agent runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The directory.
    pub cwd: String,
    /// The branch that was checked out; empty if none.
    pub branch: String,
    /// The commit that was checked out; empty if none.
    pub commit: String,
    /// The operating system.
    pub os: String,
    /// The container image; empty if none.
    pub image: String,
    /// Names and values, masked like everything else.
    pub variables: Vec<(String, String)>,
}

/// Something that the protocol has no message for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// The agent's process began.
    Started {
        /// Where.
        environment: Environment,
    },
    /// The agent's process ended, or could not begin.
    Ended {
        /// How.
        exit: Exit,
    },
    /// A line of the agent's that is no message.
    Garbage {
        /// Its beginning.
        text: String,
        /// How long it was, in bytes.
        bytes: u64,
    },
    /// A line of the agent's that was too long to be read.
    Oversized {
        /// Its beginning.
        text: String,
        /// How long it was, in bytes.
        bytes: u64,
    },
    /// A prompt waits to be sent.
    Queued {
        /// Its number.
        prompt: u64,
        /// Whose it is.
        by: Author,
        /// What it says.
        text: String,
    },
    /// A waiting prompt says something else.
    Edited {
        /// Which.
        prompt: u64,
        /// Who changed it.
        by: Author,
        /// What it says now.
        text: String,
    },
    /// A waiting prompt has another place.
    Moved {
        /// Which.
        prompt: u64,
        /// Who moved it.
        by: Author,
        /// Before which other one; to the end without.
        before: Option<u64>,
    },
    /// A waiting prompt is held back, or no longer.
    Held {
        /// Which.
        prompt: u64,
        /// Who holds it.
        by: Author,
        /// Whether it is held now.
        held: bool,
    },
    /// A waiting prompt was taken back.
    Withdrawn {
        /// Which.
        prompt: u64,
        /// Who took it back.
        by: Author,
    },
    /// Somebody is about to answer a question, or no longer.
    Claimed {
        /// Which: its item.
        question: u64,
        /// Who; `None` when it is free again.
        by: Option<Author>,
    },
    /// A waiting prompt of somebody else's goes only when somebody says yes: the agent has no stricter mode for it.
    NeedsYes {
        /// Which.
        prompt: u64,
    },
    /// From now on questions like one are answered with yes.
    Allowed {
        /// The rule's number: never used again in the conversation.
        rule: u64,
        /// Who said so.
        by: Author,
        /// The agent's word for what the tools do that it is about.
        tool: String,
        /// The command that it is about; empty for all tools of the kind.
        command: String,
    },
    /// Such a rule no longer holds.
    RuleEnded {
        /// Which.
        rule: u64,
        /// Who said so.
        by: Author,
    },
    /// How far somebody's prompts are trusted.
    Trusted {
        /// Whose, by the fingerprint of their key.
        person: String,
        /// How far: `watch`, `ask`, `reads-only` or `trusted`.
        how: String,
        /// Who said so.
        by: Author,
    },
    /// A question can't be answered any longer.
    Closed {
        /// Which: its item.
        question: u64,
        /// One of [`Outcome`](crate::Outcome)'s words.
        why: String,
    },
    /// The task of an unattended run is over.
    RunFinished {
        /// What became of it: one of [`RunOutcome`](crate::RunOutcome)'s words.
        outcome: String,
    },
    /// An unattended run ends soon.
    RunEndsSoon {
        /// Why: `idle` or `time_limit`.
        why: String,
        /// In how long, in milliseconds.
        in_ms: u64,
    },
    /// An unattended run ends now.
    RunEnds {
        /// Why: `idle`, or one of [`RunOutcome`](crate::RunOutcome)'s words.
        why: String,
    },
    /// Something about an unattended run was to be said somewhere.
    Announced {
        /// Where: the announcer's name.
        to: String,
        /// What: `began`, `needs_you` or `finished`.
        event: String,
        /// Why it was not; empty when it was.
        error: String,
    },
    /// The agent was to stop, and went on for so long that it may be started again.
    CancelIgnored,
    /// The conversation is called something else.
    Renamed {
        /// What.
        title: String,
        /// Who said so.
        by: Author,
    },
    /// What has changed in the directory where the agent works.
    Changed {
        /// The newest turn, counted from 1; 0 before the first.
        turn: u64,
        /// Since the conversation began.
        start: ChangeSet,
        /// In that turn.
        of_turn: ChangeSet,
    },
    /// What has changed there is not known.
    ChangesUnknown {
        /// Why: a sentence.
        why: String,
    },
}

/// Why a text is no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It is not one JSON value that is read.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The message in it is none.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// It has none of the things that make an entry, or not when.
    #[error("it is no entry of a conversation")]
    NoEntry,
}

impl<'a> Entry<'a> {
    /// Writes an entry.
    pub fn encode(&self) -> String {
        let at = self.at_ms;
        match &self.what {
            Logged::FromAgent(message) => format!(r#"{{"at":{at},"agent":{}}}"#, text(message)),
            Logged::ToAgent {
                message,
                by,
                prompt,
            } => {
                let mut out = format!(r#"{{"at":{at},"host":{}"#, text(message));
                if let Some(by) = by {
                    out.push_str(r#","by":"#);
                    out.push_str(&written(by));
                }
                if let Some(prompt) = prompt {
                    out.push_str(&format!(r#","prompt":{prompt}"#));
                }
                out.push('}');
                out
            }
            Logged::Note(note) => format!(r#"{{"at":{at},"note":{}}}"#, written(note)),
            Logged::NewerNote(kind) => {
                format!(r#"{{"at":{at},"note":{{"kind":{}}}}}"#, written(kind))
            }
        }
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// A text that is none.
    pub fn decode(entry: &'a str) -> Result<Entry<'a>, EntryError> {
        let [at, agent, host, by, prompt, note] =
            Json::parse(entry)?.fields(["at", "agent", "host", "by", "prompt", "note"]);
        let at_ms = at.and_then(Json::number).ok_or(EntryError::NoEntry)?;
        let what = match (agent, host, note) {
            (Some(message), ..) => Logged::FromAgent(Message::of(message)?),
            (_, Some(message), _) => Logged::ToAgent {
                message: Message::of(message)?,
                by: by.and_then(|by| serde_json::from_str(by.as_str()).ok()),
                prompt: prompt.and_then(Json::number),
            },
            (.., Some(note)) => match serde_json::from_str(note.as_str()) {
                Ok(note) => Logged::Note(note),
                Err(_) => Logged::NewerNote(
                    note.get("kind")
                        .and_then(Json::text)
                        .ok_or(EntryError::NoEntry)?,
                ),
            },
            _ => return Err(EntryError::NoEntry),
        };
        Ok(Entry { at_ms, what })
    }
}

fn text<'a>(message: &Message<'a>) -> &'a str {
    message.json.as_str()
}

fn written<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("our own notes are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author() -> Author {
        Author {
            id: "k7fq".into(),
            name: "Bo".into(),
            right: "prompt".into(),
        }
    }

    #[test]
    fn entries_come_back_from_their_text() {
        let message = Message::parse(r#"{"id":1,"method":"session/prompt","params":{}}"#).unwrap();
        let entries = [
            Logged::FromAgent(message.clone()),
            Logged::ToAgent {
                message: message.clone(),
                by: Some(author()),
                prompt: Some(3),
            },
            Logged::ToAgent {
                message,
                by: None,
                prompt: None,
            },
            Logged::Note(Note::Queued {
                prompt: 1,
                by: author(),
                text: "fix \"it\"\n".into(),
            }),
            Logged::Note(Note::Started {
                environment: Environment::default(),
            }),
            Logged::NewerNote("later".into()),
        ];
        for what in entries {
            let entry = Entry { at_ms: 17, what };
            let text = entry.encode();
            assert_eq!(Entry::decode(&text), Ok(entry), "{text}");
        }
    }

    #[test]
    fn the_golden_entries_are_read() {
        for text in include_str!("../tests/entries.golden").lines() {
            let entry = Entry::decode(text).unwrap();
            assert!(!matches!(entry.what, Logged::NewerNote(_)), "{text}");
            assert_eq!(entry.encode(), text);
        }
    }

    #[test]
    fn a_note_of_a_newer_version_is_known_by_its_kind() {
        let entry = Entry::decode(r#"{"at":1,"note":{"kind":"danced","to":"music"}}"#).unwrap();
        assert_eq!(entry.what, Logged::NewerNote("danced".into()));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "{}",
            "[]",
            r#"{"at":1}"#,
            r#"{"at":-1,"note":{"kind":"x"}}"#,
        ] {
            assert_eq!(Entry::decode(text), Err(EntryError::NoEntry), "{text}");
        }
    }
}
