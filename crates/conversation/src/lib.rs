//! An agent's conversation: what is logged of it, what is hidden in it, and what is shown.
//!
//! ```text
//! a line from or to the agent ──Masker──▶ Entry, numbered in a log ──Conversation::apply──▶ items, threads
//! ```
//!
//! The log holds every message as it came. What is shown is folded from it, so that a version which knows more
//! shows more of an old log, and a message which nobody knows is counted and not lost. The fold is incremental and
//! bounded: an entry costs what it weighs, and what no longer fits is in the log only. Somebody who comes late gets
//! the fold of now ([`Conversation::snapshot`]) and goes on with the entries that follow.
//!
//! [`Client`] is what speaks with an agent: it makes the messages to it, and answers those that nobody has to.
//!
//! [`Editor`] is an agent to an editor: it shows what is folded, and makes requests of what is said.
//!
//! [`Steering`] is the host's side of those who take part: who may have what, the prompts that wait ([`PromptQueue`]),
//! who is about to answer which question ([`Claims`]), and what is answered by rule.
//!
//! [`Unattended`] is what an agent is held to that works where nobody sits, and what is worth saying of it elsewhere.
//!
//! Everything here is pure: no processes, no clocks, no files.

mod bounded;
mod changes;
mod claims;
pub mod client;
pub mod editor;
pub mod entry;
mod fold;
pub mod json;
pub mod limits;
pub mod mask;
mod maybe;
pub mod message;
pub mod model;
mod queue;
mod shown;
mod snapshot;
mod steering;
mod transcript;
mod unattended;

pub use bounded::{BoundedText, OutputTail};
pub use changes::{ChangeSet, ChangedFile, ChangedFiles, Changes, TurnChanges};
pub use claims::{CLAIM_MS, ClaimedBy, Claims};
pub use client::{Client, ClientEvent, ClientOutput, NotSent, Setup, StartFault};
pub use editor::{About, Editor, EditorOutput, Seen};
pub use entry::{Author, Entry, EntryError, Environment, Exit, Logged, Note};
pub use fold::Conversation;
pub use json::{Json, JsonError};
pub use mask::Masker;
pub use message::{Message, MessageError, MessageId, MessageKind};
pub use model::*;
pub use pillion_proto::{Answer, ConversationRequest, Trust};
pub use queue::{NotQueued, PromptQueue, WaitingPrompt};
pub use shown::shown;
pub use snapshot::SnapshotError;
pub use steering::{Gate, Order, Permissions, Person, RefusedRequest, Steering};
pub use transcript::{Earlier, MAX_TRANSCRIPT};
pub use unattended::{
    MAX_SUMMARY, RunAction, RunEvent, RunLimits, RunOutcome, Unattended, said_before,
};
