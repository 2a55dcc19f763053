//! What a session is and how it ended, as its directory says it.

use serde::{Deserialize, Serialize};

use crate::dir::Dir;
use crate::error::StoreError;

/// Most characters in a session id: it is a directory's name and part of a socket's.
pub const MAX_ID: usize = 64;

pub(crate) const META_FILE: &str = "meta.json";
pub(crate) const END_FILE: &str = "end.json";
/// Format of both files; raised when an older Pillion would misread them.
const VERSION: u32 = 2;
/// A command line of a megabyte is no session's description.
const MAX_META_BYTES: u64 = 64 << 10;
/// Longest text kept for any one field; longer ones are cut.
const MAX_TEXT: usize = 4096;

/// What a session is, as it was started last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMeta {
    /// The session's id: 1–64 characters out of `a-z`, `0-9` and `-`, not starting with `-`.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// When it started first, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// The command it runs, as shown to people.
    pub command: String,
    /// The terminal's columns at the start.
    pub cols: u16,
    /// The terminal's rows at the start.
    pub rows: u16,
    /// Whose session it is: the host's identity as text.
    pub host: String,
    /// The process that runs it.
    pub pid: u32,
    /// How often it was started: 1, and one more with each
    /// [`begin_again`](crate::SessionLog::begin_again).
    #[serde(default = "once")]
    pub runs: u32,
}

/// What directories say that were written before sessions could be started again.
fn once() -> u32 {
    1
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub at_ms: u64,
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    value: T,
}

impl SessionMeta {
    pub(crate) fn write(&self, dir: &Dir) -> Result<(), StoreError> {
        let meta = SessionMeta {
            id: self.id.clone(),
            name: cut(&self.name),
            command: cut(&self.command),
            host: cut(&self.host),
            ..*self
        };
        write(dir, META_FILE, &meta)
    }

    /// `Ok(None)`: this is no session's directory.
    pub(crate) fn read(dir: &Dir) -> Result<Option<SessionMeta>, StoreError> {
        let meta: Option<SessionMeta> = read(dir, META_FILE)?;
        if meta
            .as_ref()
            .is_some_and(|meta| check_id(&meta.id).is_err())
        {
            return Err(StoreError::bad(
                dir.path().join(META_FILE),
                "its id is none",
            ));
        }
        Ok(meta)
    }
}

impl End {
    pub fn write(at_ms: u64, reason: &str, dir: &Dir) -> Result<(), StoreError> {
        let reason = cut(reason);
        write(dir, END_FILE, &End { at_ms, reason })
    }

    pub fn read(dir: &Dir) -> Result<Option<End>, StoreError> {
        read(dir, END_FILE)
    }
}

/// Whether this may be a session's id, and so a directory's name.
pub(crate) fn check_id(id: &str) -> Result<(), StoreError> {
    let sound = is_plain_name(id) && !id.starts_with('-');
    sound.then_some(()).ok_or(StoreError::BadId)
}

/// 1–64 characters out of `a-z`, `0-9` and `-`.
pub(crate) fn is_plain_name(name: &str) -> bool {
    (1..=MAX_ID).contains(&name.len())
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

fn write<T: Serialize>(dir: &Dir, name: &str, value: &T) -> Result<(), StoreError> {
    let version = VERSION;
    let bytes = serde_json::to_vec(&Versioned { version, value })
        .map_err(|e| StoreError::bad(dir.path().join(name), e))?;
    dir.write_atomically(name, &bytes)
}

fn read<T: for<'de> Deserialize<'de>>(dir: &Dir, name: &str) -> Result<Option<T>, StoreError> {
    #[derive(Deserialize)]
    struct JustVersion {
        version: u32,
    }
    let Some(bytes) = dir.read_small(name, MAX_META_BYTES)? else {
        return Ok(None);
    };
    let bad = |e| StoreError::bad(dir.path().join(name), e);
    let JustVersion { version } = serde_json::from_slice(&bytes).map_err(bad)?;
    if version > VERSION {
        return Err(StoreError::Newer {
            path: dir.path().join(name),
            found: version,
            known: VERSION,
        });
    }
    if version < VERSION {
        return Err(StoreError::Older {
            path: dir.path().join(name),
            found: version,
            known: VERSION,
        });
    }
    let versioned: Versioned<T> = serde_json::from_slice(&bytes).map_err(bad)?;
    Ok(Some(versioned.value))
}
