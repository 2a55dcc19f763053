//! A session's log and history on disk: written by plain appends so that a killed host loses next
//! to nothing, read back by range, bounded, and reachable by its owner alone.
//!
//! ```text
//! <root>/<session id>/          0700, owner checked
//!   meta.json                   what the session is
//!   lock                        held (flock) while the session runs
//!   000001.seg 000002.seg …     the log: checksummed records, append-only (format: record.rs)
//!   index.redb                  where records are; made again whenever it is missing or unsound
//!   end.json                    when and why it ended; a session without it crashed
//!   ledger.log ledger.count     uses and revocations of grants, each durable before it counts, and
//!                               how many there must be (format: ledger.rs)
//!   NAME.doc                    small documents: the session's key, what it shares …
//! ```
//!
//! A session that stopped can be started again ([`reopen`](SessionLog::reopen)): its key, documents and
//! ledger are as they were, and its log goes on behind what is there.
//!
//! The log knows nothing of terminals: frames, history and events are bytes under a number.
//!
//! **What a crash costs.** `kill -9` loses what was appended in the last [`FLUSH_AFTER`]; a power
//! loss what was appended in the last [`SYNC_EVERY`]. Both need the caller to call
//! [`flush_if_due`](SessionLog::flush_if_due) and [`sync_if_due`](SessionLog::sync_if_due) by
//! [`next_deadline`](SessionLog::next_deadline). A record cut short is left out and said
//! ([`Damage`]); what stands before it is whole.

mod dir;
mod document;
mod error;
mod index;
mod ledger;
mod log;
mod meta;
mod read;
mod record;
mod session;
mod worker;

pub use document::{Documents, MAX_DOCUMENT_BYTES};
pub use error::{AppendError, Damage, ReadError, StoreError};
pub use ledger::{LedgerWriter, MAX_LEDGER_BYTES, MAX_LEDGER_ENTRY};
pub use log::{FLUSH_AFTER, Health, SEGMENT_BYTES, SYNC_EVERY, SessionLog};
pub use meta::{MAX_ID, SessionMeta};
pub use read::{Event, Frame, Gap, GapKind, HistoryChunk, HistoryRead};
pub use record::MAX_RECORD_BYTES;
pub use session::{
    CONTROL_SOCKET, Keep, SessionReader, SessionState, SessionSummary, list, prune, remove,
    while_stopped,
};
