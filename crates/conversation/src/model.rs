//! What is shown of a conversation.
//!
//! It is shaped like version 2 of the protocol: things have ids and are written over by later updates. Words that
//! agents may invent (a tool's kind, a status, a stop reason) stay the agent's own text, so that one which this
//! version does not know is shown as it is; the methods beside them say what they mean where they are known.
//!
//! Nothing here is clean: who shows a text cleans it.

use std::collections::VecDeque;

use pillion_proto::growing;
use serde::{Deserialize, Serialize};

use crate::{
    bounded::{BoundedText, OutputTail},
    entry::{Author, Environment, Exit},
};

/// Names an item as long as the conversation lives: they are counted from 0 in the order in which they came.
pub type ItemId = u64;

/// What came in a conversation and takes a place of its own in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Which thread it is in: 0 is the conversation itself, others are those with subagents.
    pub thread: u32,
    /// The entry of the log that it began with.
    pub first: u64,
    /// The newest entry that changed it.
    pub last: u64,
    /// When it began, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it is.
    pub body: ItemBody,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemBody {
    /// Somebody asked the agent for something.
    Prompt(Prompt),
    /// The agent said something.
    Response(Message),
    /// The agent thought something.
    Thought(Message),
    /// The agent used a tool, or is about to.
    Tool(Tool),
    /// What a command printed, which a tool refers to or which stands for itself.
    Terminal(Terminal),
    /// The agent wants to know or to be allowed something.
    Question(Question),
    /// A turn ended.
    TurnEnd(TurnEnd),
    /// Something to know: of the agent, or of how it runs.
    Notice(Notice),
    /// Updates of a kind that this version does not know, or can't read.
    Unknown(Unknown),
    /// An item of a newer version's snapshot: its number.
    Newer(u16),
}

/// A prompt that was sent to the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Who asked, and by which right. `None` for one that did not come from here: the agent reported it.
    #[serde(with = "crate::maybe")]
    pub by: Option<Author>,
    /// Its number in the queue.
    pub number: Option<u64>,
    /// What was asked.
    #[serde(with = "growing::list")]
    pub content: Vec<Block>,
    /// The agent's id for it; empty until the agent gives it one.
    pub message_id: String,
    /// Whether the agent has reported it, of one that was sent from here.
    pub echoed: bool,
}

/// What the agent said or thought: one run of text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The agent's id; empty where it gives none.
    pub message_id: String,
    /// What it says.
    #[serde(with = "growing::list")]
    pub content: Vec<Block>,
}

/// A piece of content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The agent's word: `text`, `image`, `audio`, `resource`, `resource_link`, or one of a newer protocol.
    pub kind: String,
    /// The text, of a text or an embedded resource.
    pub text: BoundedText,
    /// Where it is, of resources.
    pub uri: String,
    /// What it is called, of resources.
    pub name: String,
    /// What kind of data it is.
    pub mime_type: String,
    /// How many bytes of base64 the log has of it.
    pub data_bytes: u64,
}

/// A tool that the agent uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// The agent's id.
    pub id: String,
    /// What the agent calls it.
    pub title: String,
    /// The tool's name.
    pub name: String,
    /// The agent's word for what it does, as [`Tool::kind`] reads it.
    pub kind_word: String,
    /// The agent's word for how far it is, as [`Tool::status`] reads it.
    pub status_word: String,
    /// Whether the turn ended while it was open, and nothing was heard of it since.
    pub left_open: bool,
    /// What it shows.
    #[serde(with = "growing::list")]
    pub content: Vec<ToolContent>,
    /// The files it concerns.
    #[serde(with = "growing::list")]
    pub locations: Vec<Location>,
    /// What it was called with, as JSON.
    pub input: BoundedText,
    /// What it returned, as JSON.
    pub output: BoundedText,
}

/// Something that a tool shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolContent {
    /// The agent's word: `content`, `diff`, `terminal`, `session`, or one of a newer protocol.
    pub kind: String,
    /// Of `content`.
    #[serde(with = "growing::one")]
    pub block: Block,
    /// Of `diff`.
    #[serde(with = "growing::one")]
    pub diff: Diff,
    /// Of `terminal` and `session`: the id of what is meant.
    pub refers_to: String,
}

/// What changes in files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    /// The files.
    #[serde(with = "growing::list")]
    pub changes: Vec<FileChange>,
    /// The change as a git patch, where the agent sent one.
    pub patch: BoundedText,
    /// The file's text before, where the agent sent texts; `None` for a new file.
    pub old_text: Option<BoundedText>,
    /// And after.
    pub new_text: Option<BoundedText>,
}

/// A file that a diff concerns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileChange {
    /// The agent's word: `add`, `modify`, `delete`, `move`, `copy`.
    pub operation: String,
    /// The file.
    pub path: String,
    /// Where it was before; empty if nowhere else.
    pub old_path: String,
}

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: Option<u64>,
}

/// A command of the agent's and what it printed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terminal {
    /// The agent's id.
    pub id: String,
    /// The command.
    pub command: String,
    /// Where it runs.
    pub cwd: String,
    /// The end of what it printed, as bytes for a terminal.
    pub output: OutputTail,
    /// How it ended; `None` while it runs, as far as the agent says.
    #[serde(with = "crate::maybe")]
    pub exit: Option<Exit>,
}

/// A question of the agent's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The agent's id of the request, as JSON. Agents use one again; the question's own name is its item.
    pub request: String,
    /// What it asks.
    pub title: String,
    /// More of that.
    pub description: String,
    /// The tool it is about; empty if none.
    pub tool: String,
    /// The command it is about; empty if none. It is as long as a tool's input may be.
    pub command: BoundedText,
    /// Where that would run.
    pub cwd: String,
    /// What can be answered, of a permission.
    #[serde(with = "growing::list")]
    pub choices: Vec<Choice>,
    /// What can be answered, of a form: its JSON schema. Empty of a permission.
    pub form: BoundedText,
    /// Who is about to answer it.
    #[serde(with = "crate::maybe")]
    pub claimed_by: Option<Author>,
    /// What became of it; `None` while it is open.
    #[serde(with = "crate::maybe")]
    pub outcome: Option<Outcome>,
}

/// Something that a question can be answered with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The agent's id.
    pub id: String,
    /// What it says.
    pub name: String,
    /// The agent's word for what it means, as [`Choice::kind`] reads it.
    pub kind_word: String,
}

/// What became of a question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// One of [`Outcome::SELECTED`] and its like, or a newer word.
    pub word: String,
    /// The id of the choice.
    pub choice: String,
    /// Who answered; `None` where nobody did.
    #[serde(with = "crate::maybe")]
    pub by: Option<Author>,
}

/// How a turn ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TurnEnd {
    /// The agent's word, as [`TurnEnd::stop`] reads it; empty where it gives none.
    pub stop_word: String,
    /// What went wrong, in the agent's words; empty if nothing.
    pub error: String,
    /// What the turn took, as the agent says: some count the last call or the session so far.
    pub tokens: Option<u64>,
}

/// Something to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// One of [`Notice::GARBAGE`] and its like, or a newer word.
    pub word: String,
    /// What there is to know, in the words of the agent or its process.
    pub title: String,
    /// More of that.
    pub description: BoundedText,
    /// The agent's id for what goes on with it (a compaction); empty if nothing does.
    pub id: String,
    /// How it ended, of a process.
    #[serde(with = "crate::maybe")]
    pub exit: Option<Exit>,
}

/// Updates that are not shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Unknown {
    /// What the agent calls them.
    pub kind: String,
    /// How many came one after the other.
    pub count: u64,
}

/// A conversation with the agent, or with one of its subagents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// The agent's id of its session; empty until it has one.
    pub session: String,
    /// The thread that began it; `None` for the conversation itself.
    pub parent: Option<u32>,
    /// What it is about.
    pub title: String,
    /// More of that.
    pub description: String,
    /// The agent's word for what it does, as [`activity`](crate::Conversation::activity) reads it.
    pub state_word: String,
    /// Whether a prompt was sent that has no end yet.
    pub prompts_pending: u32,
    /// When anything was heard of it, in milliseconds since 1970.
    pub heard_ms: u64,
    /// What it intends to do.
    #[serde(with = "growing::list")]
    pub plans: Vec<Plan>,
    /// What can be set: the mode, the model, and others.
    #[serde(with = "growing::list")]
    pub options: Vec<ConfigOption>,
    /// Commands that a prompt may begin with.
    #[serde(with = "growing::list")]
    pub commands: Vec<Command>,
    /// What it took.
    #[serde(with = "growing::one")]
    pub usage: Usage,
}

/// What the agent intends to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The agent's id; `plan` where it gives none.
    pub id: String,
    /// Its steps.
    #[serde(with = "growing::list")]
    pub steps: Vec<Step>,
    /// It as Markdown, of a plan without steps.
    pub text: BoundedText,
}

/// A step of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What.
    pub content: String,
    /// The agent's word: `high`, `medium`, `low`.
    pub priority: String,
    /// The agent's word: `pending`, `in_progress`, `completed`.
    pub status: String,
}

/// Something about the agent that can be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigOption {
    /// The agent's id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// More of that.
    pub description: String,
    /// What it is about: `mode`, `model`, `thought_level`, or another word.
    pub category: String,
    /// How it is: the id of a value, or `true` or `false`.
    pub value: String,
    /// What it can be. Empty of one that is on or off.
    #[serde(with = "growing::list")]
    pub values: Vec<OptionValue>,
}

/// What an option can be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OptionValue {
    /// The agent's id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// More of that.
    pub description: String,
}

/// A command that a prompt may begin with, as `/name`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Its name, without the slash.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What may follow it; empty if nothing.
    pub hint: String,
}

/// What a thread took so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens in the context window.
    pub used: Option<u64>,
    /// How many it has room for.
    pub size: Option<u64>,
    /// What all of it cost.
    pub cost: Option<f64>,
    /// In this currency, or in credits.
    pub currency: String,
}

/// A prompt that waits to be sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueuedPrompt {
    /// Its number: counted for each conversation, never used again.
    pub number: u64,
    /// Whose it is, and by which right.
    #[serde(with = "growing::one")]
    pub by: Author,
    /// What is asked.
    pub text: BoundedText,
    /// Whether it is held back.
    pub held: bool,
    /// Whether it waits for a yes of somebody who may approve.
    pub needs_yes: bool,
}

/// Questions that are answered with yes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its number.
    pub number: u64,
    /// Who said so.
    #[serde(with = "growing::one")]
    pub by: Author,
    /// The agent's word for what the tools do that it is about.
    pub tool: String,
    /// The command that it is about; empty for all tools of the kind.
    pub command: String,
}

/// How far somebody's prompts are trusted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trusted {
    /// Whose, by the fingerprint of their key.
    pub person: String,
    /// How far: `watch`, `ask`, `reads-only` or `trusted`, or a newer word.
    pub how: String,
}

/// What is known of the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the protocol that it speaks; 0 until it said so.
    pub protocol: u64,
}

/// Whether the agent's process is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Where it runs.
    #[serde(with = "crate::maybe")]
    pub environment: Option<Environment>,
    /// How it ended; `None` while it runs or before it began.
    #[serde(with = "crate::maybe")]
    pub exit: Option<Exit>,
}

/// What a thread is doing, as far as the agent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Nothing: it waits for a prompt.
    Idle,
    /// It works.
    Working,
    /// It waits for an answer.
    NeedsAnswer,
    /// The agent does not run.
    Stopped,
}

/// What a tool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolKind {
    /// It reads.
    Read,
    /// It changes files.
    Edit,
    /// It removes files.
    Delete,
    /// It moves files.
    Move,
    /// It searches.
    Search,
    /// It runs a command.
    Execute,
    /// It thinks.
    Think,
    /// It fetches something from elsewhere.
    Fetch,
    /// It changes the mode.
    SwitchMode,
    /// Something else.
    Other,
}

/// How far a tool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolStatus {
    /// Not begun.
    Pending,
    /// It runs.
    InProgress,
    /// Done.
    Completed,
    /// It went wrong.
    Failed,
    /// It was stopped.
    Cancelled,
    /// The turn ended before it did.
    LeftOpen,
    /// A word that this version does not know.
    Other,
}

/// What a choice means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoiceKind {
    /// Yes, this time.
    AllowOnce,
    /// Yes from now on. It may outlive the session.
    AllowAlways,
    /// No, this time.
    RejectOnce,
    /// No from now on.
    RejectAlways,
    /// Something else.
    Other,
}

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The agent was done.
    EndTurn,
    /// The model said as much as it may.
    MaxTokens,
    /// The turn took as many requests as it may.
    MaxTurnRequests,
    /// The agent refuses to go on.
    Refusal,
    /// Somebody stopped it.
    Cancelled,
    /// It went wrong.
    Error,
    /// A word that this version does not know, or none.
    Other,
}

impl Tool {
    /// What it does.
    pub fn kind(&self) -> ToolKind {
        match self.kind_word.as_str() {
            "read" => ToolKind::Read,
            "edit" => ToolKind::Edit,
            "delete" => ToolKind::Delete,
            "move" => ToolKind::Move,
            "search" => ToolKind::Search,
            "execute" => ToolKind::Execute,
            "think" => ToolKind::Think,
            "fetch" => ToolKind::Fetch,
            "switch_mode" => ToolKind::SwitchMode,
            _ => ToolKind::Other,
        }
    }

    /// How far it is.
    pub fn status(&self) -> ToolStatus {
        let status = match self.status_word.as_str() {
            "" | "pending" => ToolStatus::Pending,
            "in_progress" => ToolStatus::InProgress,
            "completed" => ToolStatus::Completed,
            "failed" => ToolStatus::Failed,
            "cancelled" => ToolStatus::Cancelled,
            _ => ToolStatus::Other,
        };
        match status {
            ToolStatus::Pending | ToolStatus::InProgress if self.left_open => ToolStatus::LeftOpen,
            status => status,
        }
    }
}

impl Question {
    /// Whether it waits for an answer.
    pub fn is_open(&self) -> bool {
        self.outcome.is_none()
    }
}

impl Choice {
    /// What it means.
    pub fn kind(&self) -> ChoiceKind {
        match self.kind_word.as_str() {
            "allow_once" => ChoiceKind::AllowOnce,
            "allow_always" => ChoiceKind::AllowAlways,
            "reject_once" => ChoiceKind::RejectOnce,
            "reject_always" => ChoiceKind::RejectAlways,
            _ => ChoiceKind::Other,
        }
    }
}

impl Outcome {
    /// A choice was made, or a form filled in.
    pub const SELECTED: &'static str = "selected";
    /// It was answered with no choice, because the turn was stopped or ended.
    pub const CANCELLED: &'static str = "cancelled";
    /// A form was sent back empty.
    pub const DECLINED: &'static str = "declined";
    /// The agent took it back.
    pub const WITHDRAWN: &'static str = "withdrawn";
    /// The agent used its id for another request, so it can't be answered any longer.
    pub const REPLACED: &'static str = "replaced";
    /// The agent ended before it was answered.
    pub const AGENT_ENDED: &'static str = "agent ended";
    /// The answer was an error.
    pub const REFUSED: &'static str = "refused";
}

impl TurnEnd {
    /// Why.
    pub fn stop(&self) -> Stop {
        match self.stop_word.as_str() {
            "end_turn" => Stop::EndTurn,
            "max_tokens" => Stop::MaxTokens,
            "max_turn_requests" => Stop::MaxTurnRequests,
            "refusal" => Stop::Refusal,
            "cancelled" => Stop::Cancelled,
            "error" => Stop::Error,
            _ => Stop::Other,
        }
    }
}

impl Notice {
    /// A line of the agent's that is no message of the protocol.
    pub const GARBAGE: &'static str = "garbage";
    /// A line that was too long to read.
    pub const OVERSIZED: &'static str = "oversized";
    /// The agent's process ended.
    pub const ENDED: &'static str = "ended";
    /// The agent summed up what was said, to have room for more.
    pub const COMPACTION: &'static str = "compaction";
    /// Something failed that was asked of the agent.
    pub const ERROR: &'static str = "error";
    /// The conversation is called this from now on.
    pub const RENAMED: &'static str = "renamed";
    /// The agent was to stop, and goes on.
    pub const CANCEL_IGNORED: &'static str = "cancel ignored";
    /// A message between agents.
    pub const SESSION_MESSAGE: &'static str = "session message";
    /// An id of the agent's was too long to be kept.
    pub const LONG_ID: &'static str = "long id";
    /// The agent asked for something that is not offered.
    pub const NOT_OFFERED: &'static str = "not offered";
    /// The task of an unattended run is over; the title is its outcome.
    pub const RUN_FINISHED: &'static str = "run finished";
    /// An unattended run ends soon; the title is why, the description in how many milliseconds.
    pub const RUN_ENDS_SOON: &'static str = "run ends soon";
    /// An unattended run ends; the title is why.
    pub const RUN_ENDS: &'static str = "run ends";
    /// Something about an unattended run was said elsewhere; the title is where and what.
    pub const ANNOUNCED: &'static str = "announced";
    /// It was not; the description is why.
    pub const NOT_ANNOUNCED: &'static str = "not announced";
}

impl Thread {
    /// The mode it is in, where it has any.
    pub fn mode(&self) -> Option<&ConfigOption> {
        self.options.iter().find(|one| one.category == "mode")
    }

    /// The model it uses, where it says so.
    pub fn model(&self) -> Option<&ConfigOption> {
        self.options.iter().find(|one| one.category == "model")
    }
}

impl ItemBody {
    /// What it weighs in the model, in bytes, about.
    pub(crate) fn weight(&self) -> usize {
        /// What an item takes beside its texts.
        const OVERHEAD: usize = 64;
        OVERHEAD
            + match self {
                ItemBody::Prompt(prompt) => weigh_blocks(&prompt.content),
                ItemBody::Response(message) | ItemBody::Thought(message) => {
                    weigh_blocks(&message.content)
                }
                ItemBody::Tool(tool) => tool.weight(),
                ItemBody::Terminal(terminal) => {
                    terminal.output.bytes().len() + terminal.command.len() + terminal.cwd.len()
                }
                ItemBody::Question(question) => question.weight(),
                ItemBody::TurnEnd(end) => end.error.len(),
                ItemBody::Notice(notice) => notice.title.len() + notice.description.len(),
                ItemBody::Unknown(unknown) => unknown.kind.len(),
                ItemBody::Newer(_) => 0,
            }
    }
}

fn weigh_blocks(blocks: &[Block]) -> usize {
    blocks.iter().map(Block::weight).sum()
}

impl Block {
    pub(crate) fn weight(&self) -> usize {
        32 + self.text.len() + self.uri.len() + self.name.len() + self.mime_type.len()
    }
}

impl Tool {
    pub(crate) fn weight(&self) -> usize {
        let content = self.content.iter().map(|one| {
            let texts = [&one.diff.old_text, &one.diff.new_text];
            let texts = texts
                .into_iter()
                .flatten()
                .map(BoundedText::len)
                .sum::<usize>();
            let changes = one.diff.changes.iter();
            let paths = changes.map(|one| 32 + one.path.len() + one.old_path.len());
            64 + one.block.weight() + one.diff.patch.len() + texts + paths.sum::<usize>()
        });
        let locations = self.locations.iter().map(|one| 16 + one.path.len());
        self.title.len()
            + self.input.len()
            + self.output.len()
            + content.sum::<usize>()
            + locations.sum::<usize>()
    }
}

impl Question {
    fn weight(&self) -> usize {
        let choices = self
            .choices
            .iter()
            .map(|one| 32 + one.id.len() + one.name.len());
        self.title.len()
            + self.description.len()
            + self.command.len()
            + self.form.len()
            + choices.sum::<usize>()
    }
}

/// The numbers of the items. A number is never reused.
mod number {
    pub const PROMPT: u16 = 1;
    pub const RESPONSE: u16 = 2;
    pub const THOUGHT: u16 = 3;
    pub const TOOL: u16 = 4;
    pub const TERMINAL: u16 = 5;
    pub const QUESTION: u16 = 6;
    pub const TURN_END: u16 = 7;
    pub const NOTICE: u16 = 8;
    pub const UNKNOWN: u16 = 9;
}

/// An item travels as its number and a message of its own, so a version that does not know it knows where it
/// ends.
#[derive(Serialize, Deserialize)]
struct Travelling<'a> {
    number: u16,
    #[serde(borrow)]
    body: &'a [u8],
}

impl Serialize for ItemBody {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (number, body) = match self {
            ItemBody::Prompt(body) => (number::PROMPT, postcard::to_allocvec(body)),
            ItemBody::Response(body) => (number::RESPONSE, postcard::to_allocvec(body)),
            ItemBody::Thought(body) => (number::THOUGHT, postcard::to_allocvec(body)),
            ItemBody::Tool(body) => (number::TOOL, postcard::to_allocvec(body)),
            ItemBody::Terminal(body) => (number::TERMINAL, postcard::to_allocvec(body)),
            ItemBody::Question(body) => (number::QUESTION, postcard::to_allocvec(body)),
            ItemBody::TurnEnd(body) => (number::TURN_END, postcard::to_allocvec(body)),
            ItemBody::Notice(body) => (number::NOTICE, postcard::to_allocvec(body)),
            ItemBody::Unknown(body) => (number::UNKNOWN, postcard::to_allocvec(body)),
            ItemBody::Newer(number) => (*number, Ok(Vec::new())),
        };
        let body = &body.map_err(serde::ser::Error::custom)?;
        Travelling { number, body }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for ItemBody {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<ItemBody, D::Error> {
        let Travelling { number, body } = Travelling::deserialize(from)?;
        let read = match number {
            number::PROMPT => growing::from_bytes(body).map(ItemBody::Prompt),
            number::RESPONSE => growing::from_bytes(body).map(ItemBody::Response),
            number::THOUGHT => growing::from_bytes(body).map(ItemBody::Thought),
            number::TOOL => growing::from_bytes(body).map(ItemBody::Tool),
            number::TERMINAL => growing::from_bytes(body).map(ItemBody::Terminal),
            number::QUESTION => growing::from_bytes(body).map(ItemBody::Question),
            number::TURN_END => growing::from_bytes(body).map(ItemBody::TurnEnd),
            number::NOTICE => growing::from_bytes(body).map(ItemBody::Notice),
            number::UNKNOWN => growing::from_bytes(body).map(ItemBody::Unknown),
            number => Ok(ItemBody::Newer(number)),
        };
        read.map_err(serde::de::Error::custom)
    }
}

/// The items that the model holds, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Items {
    /// The id of the first of them.
    pub(crate) first: ItemId,
    pub(crate) held: VecDeque<Item>,
    /// What they weigh together.
    pub(crate) weight: usize,
}

impl Items {
    pub(crate) fn next(&self) -> ItemId {
        self.first + self.held.len() as u64
    }

    pub(crate) fn get(&self, id: ItemId) -> Option<&Item> {
        self.held
            .get(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    pub(crate) fn push(&mut self, item: Item) -> ItemId {
        let id = self.next();
        self.weight += item.body.weight();
        self.held.push_back(item);
        id
    }

    /// Changes an item that is held, by the entry of this number.
    pub(crate) fn change(&mut self, id: ItemId, entry: u64, change: impl FnOnce(&mut ItemBody)) {
        let at = id.checked_sub(self.first).map(usize::try_from);
        if let Some(Ok(at)) = at
            && let Some(item) = self.held.get_mut(at)
        {
            let before = item.body.weight();
            change(&mut item.body);
            item.last = entry;
            self.weight = self.weight - before + item.body.weight();
        }
    }

    pub(crate) fn pop(&mut self) -> Option<(ItemId, Item)> {
        let item = self.held.pop_front()?;
        self.weight -= item.body.weight();
        self.first += 1;
        Some((self.first - 1, item))
    }
}

impl Thread {
    /// What its plans, options and commands weigh.
    pub(crate) fn lists_weight(&self) -> usize {
        let plan = |plan: &Plan| {
            let step = |step: &Step| 32 + step.content.len();
            plan.text.len() + plan.steps.iter().map(step).sum::<usize>()
        };
        let value = |one: &OptionValue| 32 + one.id.len() + one.name.len() + one.description.len();
        let option = |one: &ConfigOption| {
            let words = one.id.len() + one.name.len() + one.description.len() + one.value.len();
            32 + words + one.category.len() + one.values.iter().map(value).sum::<usize>()
        };
        let command = |one: &Command| 32 + one.name.len() + one.description.len() + one.hint.len();
        self.plans.iter().map(plan).sum::<usize>()
            + self.options.iter().map(option).sum::<usize>()
            + self.commands.iter().map(command).sum::<usize>()
    }
}
