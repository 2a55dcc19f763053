//! What can go wrong on disk, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// A session directory could not be made, opened, read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A directory or file is open to other users, or belongs to one. Nothing in it is believed.
    #[error(
        "{path} {what}, so another user could read or change what Pillion keeps there. \
         Set its owner and mode right (chmod go-rwx), or choose another state directory"
    )]
    Unsafe {
        /// The directory or file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system refused.
    #[error("Pillion could not {action} {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A session id is not 1–64 characters out of `a-z`, `0-9` and `-`, or starts with `-`.
    #[error("a session id has 1 to 64 characters out of a-z, 0-9 and -, and starts with none of -")]
    BadId,
    /// No session of that id is kept here.
    #[error("no session {id} is kept on this machine; `pillion ls --all` lists those that are")]
    NoSession {
        /// The id asked for.
        id: String,
    },
    /// A new session was given an id that is taken.
    #[error("a session {id} exists already; a new one needs another id")]
    Exists {
        /// The id that is taken.
        id: String,
    },
    /// The session runs, and what was asked is only possible once it has ended.
    #[error(
        "session {id} is still running; end it first: leave its shell, or `pillion close --all --session {id}`"
    )]
    Live {
        /// The running session.
        id: String,
    },
    /// A file of the session does not hold what it should.
    #[error("{path} can't be read as what it should be: {reason}")]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The ledger lost entries that counted, or holds others. Nothing of it is believed.
    #[error("{path} is damaged: {what}")]
    LedgerDamaged {
        /// The ledger.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Written by a newer version of Pillion.
    #[error(
        "{path} has format {found}, and this Pillion reads up to {known}; please upgrade Pillion"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format it states.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// Written by an earlier version of Pillion, before there was one to keep reading.
    #[error(
        "{path} has format {found}, and this Pillion reads format {known}; nothing in it was changed, and the \
         Pillion that wrote it still reads it"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The format it states.
        found: u32,
        /// The format known here.
        known: u32,
    },
    /// A document's name is not 1–64 characters out of `a-z`, `0-9` and `-`.
    #[error("a document's name has 1 to 64 characters out of a-z, 0-9 and -")]
    BadDocumentName,
    /// Something handed in is larger than its limit.
    #[error("{what} has {size} bytes, and the most allowed is {limit}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// After removing a session, files that Pillion didn't put there were left in its directory.
    #[error(
        "{path} holds files that aren't Pillion's ({example}, for one); they were left in place"
    )]
    Foreign {
        /// The session's directory.
        path: PathBuf,
        /// One of the files.
        example: String,
    },
}

impl StoreError {
    pub(crate) fn io(
        action: &'static str,
        path: &Path,
        source: impl Into<io::Error>,
    ) -> StoreError {
        StoreError::Io {
            action,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn bad(path: PathBuf, reason: impl ToString) -> StoreError {
        StoreError::BadFile {
            path,
            reason: reason.to_string(),
        }
    }

    /// Whether this is the system saying that the file isn't there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The caller handed the log a record that it can't take. Nothing was recorded; the log goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The record is larger than [`MAX_RECORD_BYTES`](crate::MAX_RECORD_BYTES).
    #[error("a record of {size} bytes was refused: the log takes at most {limit}")]
    TooLarge {
        /// The record's size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The frame number or first line id is one that the track has already passed.
    #[error("record {key} of track {track} came after {next} was due: numbers only go up")]
    OutOfOrder {
        /// The track.
        track: u32,
        /// The number that came.
        key: u64,
        /// The lowest number that would have been right.
        next: u64,
    },
    /// A history chunk of no lines, or one whose line ids would pass the end of `u64`.
    #[error("a history chunk of {count} lines from {first} on has no sound range of line ids")]
    BadRange {
        /// The chunk's first line id.
        first: u64,
        /// The chunk's number of lines.
        count: u32,
    },
}

/// A stretch of the log that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the last {bytes} bytes of {segment:06}.seg (from byte {offset} on) are incomplete or damaged \
     and are left out"
)]
pub struct Damage {
    /// The segment's number.
    pub segment: u32,
    /// Where in it the damage starts.
    pub offset: u64,
    /// How many bytes are left out, up to the segment's end.
    pub bytes: u64,
}

/// A record could not be read. Iterators give this once per damaged segment and then go on with
/// the next one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The rest of a segment is unreadable: a torn tail, or damage on disk.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The segment could not be opened or read at all.
    #[error(transparent)]
    Store(#[from] StoreError),
}
