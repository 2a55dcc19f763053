//! Sessions on this machine: making, listing, reading, removing and pruning them.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::dir::{Dir, Entry, TEMPORARY};
use crate::document::{self, DOCUMENT};
use crate::error::{Damage, ReadError, StoreError};
use crate::index::{INDEX_FILE, Index, IndexFile, Position};
use crate::ledger::{self, COUNT_FILE, LEDGER_FILE};
use crate::meta::{END_FILE, End, META_FILE, SessionMeta, check_id, is_plain_name};
use crate::read::{self, Event, Frame, Gap, HistoryChunk, View};

const LOCK_FILE: &str = "lock";
/// What a session's directory is called while it is being made.
const NEW: &str = ".new-";

/// Whether a session runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionState {
    /// Its host process runs.
    Live,
    /// It ended in good order.
    Ended {
        /// When, in milliseconds since 1970.
        at_ms: u64,
        /// Why, for people.
        reason: String,
    },
    /// Its host process died without saying why: killed, crashed, or the machine went down.
    Crashed {
        /// When its log was last written, in milliseconds since 1970.
        last_ms: u64,
    },
}

impl SessionState {
    /// When the session stopped, in milliseconds since 1970; `None` while it runs.
    pub fn stopped_ms(&self) -> Option<u64> {
        match self {
            SessionState::Live => None,
            SessionState::Ended { at_ms, .. } => Some(*at_ms),
            SessionState::Crashed { last_ms } => Some(*last_ms),
        }
    }
}

/// A session as `ls` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSummary {
    /// What it is.
    pub meta: SessionMeta,
    /// Whether it runs.
    pub state: SessionState,
    /// What its files take on disk, in bytes.
    pub bytes: u64,
    /// Its directory.
    pub path: PathBuf,
}

/// The socket in a session's directory on which it takes commands. Nothing here makes or reads it; one that a
/// killed host left is removed when somebody looks at the session.
pub const CONTROL_SOCKET: &str = "control";

/// How much of ended sessions is kept. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// How long ago a kept session ended at most.
    pub max_age: Option<Duration>,
    /// How much they take on disk together at most.
    pub max_bytes: Option<u64>,
    /// How many there are at most.
    pub max_sessions: Option<usize>,
}

/// The sessions under `root`, live and ended, oldest first. Directories that are no readable
/// session are left out (and logged). A root that doesn't exist has none.
///
/// # Errors
/// The root can't be read or isn't safe.
pub fn list(root: &Path) -> Result<Vec<SessionSummary>, StoreError> {
    let root = match Dir::open_root(root) {
        Err(e) if e.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    let mut sessions = Vec::new();
    for entry in root.entries()?.0 {
        if !entry.is_dir || check_id(&entry.name).is_err() {
            continue;
        }
        match root
            .open_dir(&entry.name)
            .and_then(|dir| summary(&dir, &entry.name))
        {
            Ok(Some(found)) => sessions.push(found),
            // Removed while we listed, or never a session.
            Ok(None) => {}
            Err(e) if e.is_not_found() => {}
            Err(error) => tracing::warn!(%error, id = entry.name, "a session can't be listed"),
        }
    }
    sessions.sort_by(|a, b| {
        let key = |s: &SessionSummary| (s.meta.started_unix_ms, s.meta.id.clone());
        key(a).cmp(&key(b))
    });
    Ok(sessions)
}

fn summary(dir: &Dir, id: &str) -> Result<Option<SessionSummary>, StoreError> {
    let Some(meta) = SessionMeta::read(dir)?.filter(|meta| meta.id == id) else {
        return Ok(None);
    };
    let (entries, _) = dir.entries()?;
    Ok(Some(SessionSummary {
        state: state(dir, &entries, &meta)?,
        bytes: entries.iter().map(|entry| entry.size).sum(),
        path: dir.path().to_owned(),
        meta,
    }))
}

fn state(dir: &Dir, entries: &[Entry], meta: &SessionMeta) -> Result<SessionState, StoreError> {
    let Some(stopped) = stopped(dir)? else {
        return Ok(SessionState::Live);
    };
    clear_socket(dir, entries, stopped);
    if let Some(End { at_ms, reason }) = End::read(dir)? {
        return Ok(SessionState::Ended { at_ms, reason });
    }
    let last_ms = entries
        .iter()
        .filter(|entry| read::segment_number(&entry.name).is_some())
        .map(|entry| entry.modified_ms)
        .max()
        .unwrap_or(meta.started_unix_ms);
    Ok(SessionState::Crashed { last_ms })
}

/// That a session does not run, and can't begin again before this is dropped.
struct Stopped {
    _lock: Option<File>,
}

/// Whether a session has stopped; `None` while it runs.
fn stopped(dir: &Dir) -> Result<Option<Stopped>, StoreError> {
    let file = match dir.read_file(LOCK_FILE) {
        Err(e) if e.is_not_found() => return Ok(Some(Stopped { _lock: None })),
        other => other?,
    };
    // Shared, so that two who look don't take each other for the host; freed soon.
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(Stopped { _lock: Some(file) })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(StoreError::io(
            "look at the lock",
            &dir.path().join(LOCK_FILE),
            e,
        )),
    }
}

/// Does something to what a session left elsewhere, and keeps it from beginning again meanwhile. Nothing is done, and
/// `None` is the answer, while it runs.
///
/// # Errors
/// There is no such session, or its directory isn't safe.
pub fn while_stopped<T>(
    root: &Path,
    id: &str,
    work: impl FnOnce() -> T,
) -> Result<Option<T>, StoreError> {
    check_id(id)?;
    let dir = Dir::open_root(root)?.open_dir(id)?;
    let stopped = stopped(&dir)?;
    Ok(stopped.is_some().then(work))
}

/// A host that was killed left its socket, on which nobody answers any more. It is no harm where it can't be
/// removed: beginning the session again does so, too.
fn clear_socket(dir: &Dir, entries: &[Entry], _: Stopped) {
    if entries.iter().any(|entry| entry.name == CONTROL_SOCKET)
        && let Err(error) = dir.remove_file(CONTROL_SOCKET)
    {
        tracing::debug!(%error, "the socket of a session that stopped stays");
    }
}

/// Takes the session's lock; `None` if it runs.
fn lock(dir: &Dir) -> Result<Option<File>, StoreError> {
    let file = dir.open_or_create(LOCK_FILE)?;
    /// Someone listing sessions holds it for microseconds; a host for as long as it runs.
    const TRIES: u32 = 20;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            Err(TryLockError::Error(e)) => {
                return Err(StoreError::io("lock", &dir.path().join(LOCK_FILE), e));
            }
        }
    }
    Ok(None)
}

/// Makes a session's directory with its lock held. It appears under its name whole or not at all.
pub(crate) fn make(root: &Path, meta: &SessionMeta) -> Result<(Arc<Dir>, File), StoreError> {
    check_id(&meta.id)?;
    let root = Dir::create_root(root)?;
    let new = format!("{NEW}{}", meta.id);
    if let Ok(left) = root.open_dir(&new) {
        discard_unfinished(&root, &left, &new)?;
    }
    let dir = root.create_dir(&new)?;
    let held = lock(&dir)?.ok_or_else(|| StoreError::Exists {
        id: meta.id.clone(),
    })?;
    ledger::make(&dir)?;
    meta.write(&dir)?;
    // Fails if there is a directory of that name with anything in it, as every session's has.
    if let Err(e) = root.rename(&new, &meta.id) {
        discard_unfinished(&root, &dir, &new)?;
        return Err(match e.kind() {
            std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists => {
                StoreError::Exists {
                    id: meta.id.clone(),
                }
            }
            _ => StoreError::io("make the directory", &root.path().join(&meta.id), e),
        });
    }
    root.sync()
        .map_err(|e| StoreError::io("sync the directory", root.path(), e))?;
    Ok((Arc::new(dir.renamed(&meta.id)), held))
}

/// Removes what a `make` that was interrupted left.
fn discard_unfinished(root: &Dir, dir: &Dir, name: &str) -> Result<(), StoreError> {
    let draft = format!("{META_FILE}{TEMPORARY}");
    for file in [&draft, META_FILE, LEDGER_FILE, COUNT_FILE, LOCK_FILE] {
        dir.remove_file(file)?;
    }
    root.remove_dir(name)
}

/// Takes a session that stopped as one to go on with.
pub(crate) fn reopen(root: &Path, id: &str) -> Result<(Arc<Dir>, File, SessionMeta), StoreError> {
    let (_, dir, _) = find(root, id)?;
    let held = lock(&dir)?.ok_or_else(|| StoreError::Live { id: id.to_owned() })?;
    // Read again now that nobody else can change it: it may have run, or been removed, meanwhile.
    let meta = match SessionMeta::read(&dir)? {
        Some(meta) if meta.id == id => meta,
        _ => return Err(StoreError::NoSession { id: id.to_owned() }),
    };
    Ok((Arc::new(dir), held, meta))
}

/// Notes that a session runs again: what it is now takes the place of what it was, and how it ended
/// is forgotten. Killed in between, it is one that ended.
pub(crate) fn begin_again(dir: &Dir, meta: &SessionMeta) -> Result<(), StoreError> {
    meta.write(dir)?;
    dir.remove_file(END_FILE)?;
    dir.sync()
        .map_err(|e| StoreError::io("sync the directory", dir.path(), e))
}

fn find(root: &Path, id: &str) -> Result<(Dir, Dir, SessionMeta), StoreError> {
    check_id(id)?;
    let none = || StoreError::NoSession { id: id.to_owned() };
    let missing = |e: StoreError| if e.is_not_found() { none() } else { e };
    let root = Dir::open_root(root).map_err(missing)?;
    let dir = root.open_dir(id).map_err(missing)?;
    let meta = SessionMeta::read(&dir)?.ok_or_else(none)?;
    Ok((root, dir, meta))
}

/// The log's index, from its file if that is sound, and brought to the log's end; and what of the
/// last segment can't be read.
pub(crate) fn index(
    dir: &Arc<Dir>,
    segments: &[u32],
) -> Result<(Index, Option<Damage>), StoreError> {
    let view = View::of_files(dir, segments, None);
    let end = match segments.last() {
        Some(number) => Position {
            segment: *number,
            offset: dir
                .read_file(&read::segment_name(*number))?
                .metadata()
                .map_err(|e| StoreError::io("look at", dir.path(), e))?
                .len(),
        },
        None => view.start(),
    };
    let mut index =
        Index::load(dir, end).unwrap_or_else(|| Index::new(IndexFile::fresh(dir), view.start()));
    let damage = read::catch_up(view, &mut index)?;
    Ok((index, damage))
}

/// Reads a session that has stopped. (A running one is read through its own process, which alone
/// has what isn't written yet; opened here, it is what was written by now.)
pub struct SessionReader {
    dir: Arc<Dir>,
    meta: SessionMeta,
    state: SessionState,
    segments: Vec<u32>,
    index: Index,
    damage: Option<Damage>,
}

impl SessionReader {
    /// Opens the session `id` under `root`.
    ///
    /// # Errors
    /// There is none, it isn't safe to read, or it can't be read.
    pub fn open(root: &Path, id: &str) -> Result<SessionReader, StoreError> {
        let (_, dir, meta) = find(root, id)?;
        let dir = Arc::new(dir);
        let (entries, _) = dir.entries()?;
        let state = state(&dir, &entries, &meta)?;
        let segments = read::segments(&dir)?;
        let (mut index, damage) = match state {
            // Its index file is in use.
            SessionState::Live => {
                let view = View::of_files(&dir, &segments, None);
                let mut index = Index::new(IndexFile::none(&dir), view.start());
                let damage = read::catch_up(view, &mut index)?;
                (index, damage)
            }
            _ => self::index(&dir, &segments)?,
        };
        // Spare the next reader the walk, if it was one.
        if segments.len() > 1
            && let Some(batch) = index.take_batch()
        {
            index.file().commit(&batch);
        }
        Ok(SessionReader {
            dir,
            meta,
            state,
            segments,
            index,
            damage,
        })
    }

    /// What the session is.
    pub fn meta(&self) -> &SessionMeta {
        &self.meta
    }

    /// Whether it runs.
    pub fn state(&self) -> &SessionState {
        &self.state
    }

    /// What a crash left unreadable at the log's end, to be said to the one who reads.
    pub fn torn_tail(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// The tracks that have frames or history, rising.
    pub fn tracks(&self) -> Vec<u32> {
        use crate::record::kind;
        let mut tracks: Vec<u32> = self
            .index
            .groups()
            .filter(|((kind, _), _)| matches!(*kind, kind::FRAME | kind::HISTORY))
            .map(|((_, track), _)| track)
            .collect();
        tracks.sort_unstable();
        tracks.dedup();
        tracks
    }

    /// The first line id after the track's history; 0 if it has none.
    pub fn next_line(&self, track: u32) -> u64 {
        self.index.next_key(crate::record::kind::HISTORY, track)
    }

    fn view(&self) -> View<'_> {
        View::of_files(&self.dir, &self.segments, Some(&self.index))
    }

    /// The track's history from line id `from` on, as of
    /// [`SessionLog::history_read`](crate::SessionLog::history_read).
    ///
    /// # Errors
    /// The log's files can't be read.
    pub fn history_range(
        &self,
        track: u32,
        from: u64,
        max_lines: u32,
        max_bytes: usize,
    ) -> Result<Vec<HistoryChunk>, StoreError> {
        self.view().history_range(track, from, max_lines, max_bytes)
    }

    /// The track's frames from number `from` on.
    pub fn frames(&self, track: u32, from: u64) -> impl Iterator<Item = Result<Frame, ReadError>> {
        self.view().frames(track, from)
    }

    /// The session's events from number `from` on.
    pub fn events(&self, from: u64) -> impl Iterator<Item = Result<Event, ReadError>> {
        self.view().events(from)
    }

    /// What could not be kept because the disk was full.
    pub fn gaps(&self) -> impl Iterator<Item = Result<Gap, ReadError>> {
        self.view().gaps()
    }

    /// A document's content; `None` if there is none of that name.
    ///
    /// # Errors
    /// A malformed name, or the file can't be read or isn't safe.
    pub fn read_document(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        document::read_document(&self.dir, name)
    }

    /// The entries of the ledger, oldest first.
    ///
    /// # Errors
    /// It is damaged, can't be read or isn't safe.
    pub fn ledger(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        ledger::read(&self.dir)
    }
}

/// Removes a session that has stopped, its keys first. Only what Pillion itself puts into a
/// session's directory is deleted.
///
/// # Errors
/// There is no such session, it runs, or something that isn't Pillion's is in its directory
/// ([`StoreError::Foreign`]; the session's own files are gone by then).
pub fn remove(root: &Path, id: &str) -> Result<(), StoreError> {
    let (root, dir, _) = find(root, id)?;
    let _held = lock(&dir)?.ok_or_else(|| StoreError::Live { id: id.to_owned() })?;
    let (mut entries, mut foreign) = dir.entries()?;
    // What makes it a session goes last, so that an interrupted removal can be repeated.
    entries.sort_by_key(|entry| match entry.name.as_str() {
        name if name.ends_with(DOCUMENT) => 0,
        LOCK_FILE => 2,
        META_FILE => 3,
        _ => 1,
    });
    for entry in entries {
        if !entry.is_dir && is_ours(&entry.name) {
            dir.remove_file(&entry.name)?;
        } else {
            foreign.push(entry.name);
        }
    }
    if let Some(example) = foreign.into_iter().next() {
        let path = dir.path().to_owned();
        return Err(StoreError::Foreign { path, example });
    }
    root.remove_dir(id)
}

fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(TEMPORARY).unwrap_or(name);
    [
        META_FILE,
        END_FILE,
        LOCK_FILE,
        INDEX_FILE,
        LEDGER_FILE,
        COUNT_FILE,
        CONTROL_SOCKET,
    ]
    .contains(&name)
        || read::segment_number(name).is_some()
        || name.strip_suffix(DOCUMENT).is_some_and(is_plain_name)
}

/// Removes ended sessions, the longest ended first, until what is left is within `keep`; returns
/// the ids removed. Live sessions neither count nor go. One that can't be removed is logged and
/// left. `now_ms` is the time in milliseconds since 1970.
///
/// # Errors
/// The root can't be read or isn't safe.
pub fn prune(root: &Path, keep: Keep, now_ms: u64) -> Result<Vec<String>, StoreError> {
    let mut stopped: Vec<(u64, SessionSummary)> = list(root)?
        .into_iter()
        .filter_map(|session| Some((session.state.stopped_ms()?, session)))
        .collect();
    stopped.sort_by_key(|(at, _)| *at);
    let mut bytes: u64 = stopped.iter().map(|(_, session)| session.bytes).sum();
    let mut count = stopped.len();
    let mut removed = Vec::new();
    for (stopped_ms, session) in stopped {
        let age = Duration::from_millis(now_ms.saturating_sub(stopped_ms));
        let goes = keep.max_age.is_some_and(|max| age > max)
            || keep.max_bytes.is_some_and(|max| bytes > max)
            || keep.max_sessions.is_some_and(|max| count > max);
        if !goes {
            break;
        }
        bytes -= session.bytes;
        count -= 1;
        match remove(root, &session.meta.id) {
            Ok(()) => removed.push(session.meta.id),
            Err(error) => {
                tracing::warn!(%error, id = session.meta.id, "an old session can't be removed");
            }
        }
    }
    Ok(removed)
}
