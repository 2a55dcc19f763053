//! Where in the log a record is: a sparse index that holds nothing the log doesn't.
//!
//! A record is entered when it is the first of its kind and track in a segment, or when the last
//! one entered lies at least [`SPACING`] bytes back; the rest is found by walking on from there.
//! So the index grows with the log's size and not with the number of records.
//!
//! New entries are held in memory and go to `index.redb` once per segment, on the log's worker
//! thread, and earlier where there are many of them: each track begins with entries of its own, however
//! little it says. A log of one segment mostly has no index file at all. Losing the file costs a walk over the
//! records' headers, nothing else. If redb fails in any way, the index lives on in memory.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use crate::dir::{Dir, file_size_limit};
use crate::record::Header;

pub(crate) const INDEX_FILE: &str = "index.redb";
/// Bytes of log between two entries of one kind and track.
pub(crate) const SPACING: u64 = 64 << 10;
/// Entries held in memory when there is no index file to put them in: 64 Ki × ~40 bytes. Past
/// that, every second one is dropped and the spacing doubled.
const MAX_HELD: usize = 64 << 10;
/// From so many entries on they go to the file before the segment is full.
const HAND_OVER: usize = 4 << 10;
/// Where files may not become this large (`ulimit -f`), there is no index file: redb knows nothing
/// of the limit, and passing it kills the process.
const ROOM: u64 = 1 << 30;
/// redb's default is 1 GiB.
const CACHE_BYTES: usize = 2 << 20;

/// Kind, track, key.
type Key = (u8, u32, u64);
const RECORDS: TableDefinition<Key, (u32, u64)> = TableDefinition::new("records-2");
/// Kind and track to the first key not yet used.
const NEXT: TableDefinition<(u8, u32), u64> = TableDefinition::new("next-2");
/// How far into the log the tables go.
const COVERED: TableDefinition<(), (u32, u64)> = TableDefinition::new("covered-1");

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub segment: u32,
    pub offset: u64,
}

/// One entry found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub key: u64,
    pub at: Position,
}

/// What goes to the file in one commit.
#[derive(Clone)]
pub(crate) struct Batch {
    entries: Arc<BTreeMap<Key, Position>>,
    next: Vec<((u8, u32), u64)>,
    covered: Position,
    number: u64,
}

/// The index of one log.
pub(crate) struct Index {
    file: Arc<IndexFile>,
    /// Not handed to the file yet.
    fresh: BTreeMap<Key, Position>,
    /// Handed to the file, perhaps not committed yet.
    committing: Arc<BTreeMap<Key, Position>>,
    batches: u64,
    next: BTreeMap<(u8, u32), u64>,
    latest: BTreeMap<(u8, u32), Position>,
    /// Groups that gain nothing more: let go of once the file has them.
    retired: Vec<(u8, u32)>,
    /// The same of the batch that is being committed.
    retiring: Vec<(u8, u32)>,
    spacing: u64,
    /// So many entries in memory are thinned out.
    thin_from: usize,
    covered: Position,
}

impl Index {
    /// An index that knows nothing of the log from `start` on.
    pub fn new(file: IndexFile, start: Position) -> Index {
        Index {
            file: Arc::new(file),
            fresh: BTreeMap::new(),
            committing: Arc::default(),
            batches: 0,
            next: BTreeMap::new(),
            latest: BTreeMap::new(),
            retired: Vec::new(),
            retiring: Vec::new(),
            spacing: SPACING,
            thin_from: MAX_HELD,
            covered: start,
        }
    }

    /// What the index file knows, if there is a usable one that goes no further than `end`.
    pub fn load(dir: &Arc<Dir>, end: Position) -> Option<Index> {
        let file = IndexFile::open_existing(dir)?;
        let (next, covered) = file.read(|db| {
            let read = db.begin_read()?;
            let next = read
                .open_table(NEXT)?
                .range::<(u8, u32)>(..)?
                .map(|row| row.map(|(k, v)| (k.value(), v.value())))
                .collect::<Result<BTreeMap<_, _>, _>>()?;
            let covered = read.open_table(COVERED)?.get(())?.map(|v| v.value());
            Ok((next, covered))
        })?;
        let (segment, offset) = covered?;
        let covered = Position { segment, offset };
        (covered <= end).then(|| Index {
            next,
            ..Index::new(file, covered)
        })
    }

    /// Enters the record at `at` if it is due. Records come in the log's order.
    pub fn note(&mut self, header: &Header, at: Position) {
        let group = (header.kind, header.track);
        let due = self.latest.get(&group).is_none_or(|latest| {
            latest.segment != at.segment || at.offset >= latest.offset + self.spacing
        });
        if due {
            self.latest.insert(group, at);
            self.fresh
                .insert((header.kind, header.track, header.key), at);
            self.bound();
        }
        let next = self.next.entry(group).or_default();
        *next = header.end().max(*next);
        self.covered = Position {
            segment: at.segment,
            offset: at.offset + header.total(),
        };
    }

    /// Nothing more comes of this kind and track. What is known of it stays in the file, and is in memory until it is
    /// there.
    pub fn retire(&mut self, kind: u8, track: u32) {
        if self.next.contains_key(&(kind, track)) {
            self.latest.remove(&(kind, track));
            self.retired.push((kind, track));
        }
    }

    /// Kinds and tracks that are known in memory.
    #[cfg(test)]
    pub(crate) fn known_in_memory(&self) -> usize {
        self.next.len()
    }

    /// Whether the file has not taken yet what it was handed.
    #[cfg(test)]
    pub(crate) fn awaits_file(&mut self) -> bool {
        self.settle();
        !self.committing.is_empty()
    }

    /// Says that there is nothing to enter before `at`.
    pub fn cover(&mut self, at: Position) {
        self.covered = self.covered.max(at);
    }

    /// Everything before this place has been entered.
    pub fn covered(&self) -> Position {
        self.covered
    }

    /// An entry's successors of its kind and track in the same segment are either entered too or
    /// at most this many bytes behind it.
    pub fn spacing(&self) -> u64 {
        self.spacing
    }

    /// The first key after those entered.
    pub fn next_key(&self, kind: u8, track: u32) -> u64 {
        self.next.get(&(kind, track)).copied().unwrap_or(0)
    }

    /// The kinds and tracks in the log, each with the first key after those entered.
    pub fn groups(&self) -> impl Iterator<Item = ((u8, u32), u64)> {
        self.next.iter().map(|(group, next)| (*group, *next))
    }

    /// The entry of the greatest key that is at most `key`.
    pub fn floor(&self, kind: u8, track: u32, key: u64) -> Option<Entry> {
        let range = (kind, track, 0)..=(kind, track, key);
        let held = [&self.fresh, &*self.committing].map(|map| map.range(range.clone()).next_back());
        // Keys rise, so that whatever is in memory lies behind what is in the file.
        held.into_iter()
            .flatten()
            .map(|(k, at)| Entry { key: k.2, at: *at })
            .max_by_key(|entry| entry.key)
            .or_else(|| self.file.first_of(range, true))
    }

    /// The entry of the smallest key that is at least `key`.
    pub fn ceiling(&self, kind: u8, track: u32, key: u64) -> Option<Entry> {
        let range = (kind, track, key)..=(kind, track, u64::MAX);
        self.file.first_of(range.clone(), false).or_else(|| {
            [&self.fresh, &*self.committing]
                .into_iter()
                .filter_map(|map| map.range(range.clone()).next())
                .map(|(k, at)| Entry { key: k.2, at: *at })
                .min_by_key(|entry| entry.key)
        })
    }

    /// What of this index finds the records of one kind and track with keys in `keys`: for another
    /// thread, while this one goes on. It shares the file, and has of what is in memory no more than it
    /// needs.
    pub fn part(&self, kind: u8, track: u32, keys: RangeInclusive<u64>) -> Index {
        let key_of = |entry: Option<(&Key, &Position)>| entry.map(|(key, _)| key.2);
        let before = (kind, track, 0)..=(kind, track, *keys.start());
        let behind = (kind, track, *keys.end())..=(kind, track, u64::MAX);
        let from = key_of(self.fresh.range(before).next_back()).unwrap_or(*keys.start());
        let to = key_of(self.fresh.range(behind).next()).unwrap_or(*keys.end());
        let fresh = self.fresh.range((kind, track, from)..=(kind, track, to));
        Index {
            file: self.file.clone(),
            fresh: fresh.map(|(key, at)| (*key, *at)).collect(),
            committing: self.committing.clone(),
            batches: self.batches,
            next: BTreeMap::new(),
            latest: BTreeMap::new(),
            retired: Vec::new(),
            retiring: Vec::new(),
            spacing: self.spacing,
            thin_from: self.thin_from,
            covered: self.covered,
        }
    }

    /// Whether every entry made can still be found. If not, only a walk over the log will do.
    pub fn complete(&self) -> bool {
        !self.file.unreadable.load(Ordering::Acquire)
    }

    /// Whether so much is held that it should go to the file now, and can.
    pub fn is_large(&mut self) -> bool {
        if self.fresh.len() < HAND_OVER {
            return false;
        }
        self.settle();
        self.committing.is_empty() && !self.file.broken()
    }

    /// What should go to the file now; `None` if the last batch is still on its way there.
    pub fn take_batch(&mut self) -> Option<Batch> {
        self.settle();
        if self.fresh.is_empty() || !self.committing.is_empty() || self.file.broken() {
            return None;
        }
        self.batches += 1;
        self.committing = Arc::new(std::mem::take(&mut self.fresh));
        self.retiring = std::mem::take(&mut self.retired);
        self.thin_from = MAX_HELD;
        Some(Batch {
            entries: self.committing.clone(),
            next: self.next.iter().map(|(k, v)| (*k, *v)).collect(),
            covered: self.covered,
            number: self.batches,
        })
    }

    /// Takes a batch back that could not be handed over.
    pub fn untake_batch(&mut self) {
        let back = std::mem::take(&mut self.committing);
        self.fresh.extend(back.iter().map(|(k, v)| (*k, *v)));
        self.retired.append(&mut self.retiring);
    }

    pub fn file(&self) -> Arc<IndexFile> {
        self.file.clone()
    }

    /// Entries held in memory.
    pub fn held(&self) -> usize {
        self.fresh.len() + self.committing.len()
    }

    /// Lets go of what the file has; takes back what it couldn't take.
    fn settle(&mut self) {
        if self.committing.is_empty() {
            return;
        }
        if self.file.broken() {
            self.untake_batch();
        } else if self.file.committed.load(Ordering::Acquire) >= self.batches {
            self.committing = Arc::default();
            for group in std::mem::take(&mut self.retiring) {
                self.next.remove(&group);
            }
        }
    }

    fn bound(&mut self) {
        if self.fresh.len() < self.thin_from {
            return;
        }
        self.spacing = self.spacing.saturating_mul(2);
        let mut group = None;
        let mut keep = false;
        self.fresh.retain(|(kind, track, _), at| {
            // The first one of each segment always stays.
            let this = Some((*kind, *track, at.segment));
            keep = group != this || !keep;
            group = this;
            keep
        });
        // Many tracks have few entries each, of which none can go.
        self.thin_from = MAX_HELD.max(self.fresh.len() * 2);
    }
}

/// `index.redb`, made at the first commit.
pub(crate) struct IndexFile {
    dir: Arc<Dir>,
    db: Mutex<Option<Arc<Database>>>,
    committed: AtomicU64,
    /// A commit failed or is not wanted: nothing more goes into the file.
    broken: AtomicBool,
    /// A look-up failed: what went into the file is lost.
    unreadable: AtomicBool,
}

impl IndexFile {
    /// A file that is made afresh at the first commit, in place of any that is there.
    pub fn fresh(dir: &Arc<Dir>) -> IndexFile {
        match file_size_limit() {
            limit if limit < ROOM => IndexFile::none(dir),
            _ => IndexFile::unmade(dir),
        }
    }

    fn unmade(dir: &Arc<Dir>) -> IndexFile {
        IndexFile {
            dir: dir.clone(),
            db: Mutex::new(None),
            committed: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            unreadable: AtomicBool::new(false),
        }
    }

    /// An index that never leaves memory.
    pub fn none(dir: &Arc<Dir>) -> IndexFile {
        let file = IndexFile::unmade(dir);
        file.broken.store(true, Ordering::Release);
        file
    }

    fn open_existing(dir: &Arc<Dir>) -> Option<IndexFile> {
        if file_size_limit() < ROOM {
            return None;
        }
        let file = dir.open_file(INDEX_FILE).ok()?;
        let db = guarded(|| {
            let mut db = Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create_file(file)?;
            // Verifies every page's checksum, so that later look-ups find sound pages.
            db.check_integrity()?;
            Ok(db)
        })?;
        let opened = IndexFile::unmade(dir);
        *opened.db.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(db));
        Some(opened)
    }

    fn broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Puts a batch into the file, durably. Runs on the log's worker thread.
    pub fn commit(&self, batch: &Batch) {
        if self.broken() {
            return;
        }
        let done = guarded(|| {
            let db = self.database()?;
            let mut write = db.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            {
                let mut records = write.open_table(RECORDS)?;
                for (key, at) in batch.entries.iter() {
                    records.insert(key, (at.segment, at.offset))?;
                }
                let mut next = write.open_table(NEXT)?;
                for (group, key) in &batch.next {
                    next.insert(group, key)?;
                }
                let covered = (batch.covered.segment, batch.covered.offset);
                write.open_table(COVERED)?.insert((), covered)?;
            }
            write.commit()?;
            Ok(())
        });
        match done {
            Some(()) => self.committed.store(batch.number, Ordering::Release),
            None => self.broken.store(true, Ordering::Release),
        }
    }

    fn database(&self) -> Result<Arc<Database>, Failure> {
        let mut slot = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(db) = &*slot {
            return Ok(db.clone());
        }
        self.dir.remove_file(INDEX_FILE)?;
        let file = self.dir.create_file(INDEX_FILE)?;
        let db = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_file(file)?;
        Ok(slot.insert(Arc::new(db)).clone())
    }

    fn first_of(&self, range: RangeInclusive<Key>, from_the_end: bool) -> Option<Entry> {
        self.read(|db| {
            let table = db.begin_read()?.open_table(RECORDS)?;
            let mut rows = table.range(range)?;
            let row = if from_the_end {
                rows.next_back()
            } else {
                rows.next()
            };
            let entry = row.transpose()?.map(|(key, at)| {
                let (segment, offset) = at.value();
                let at = Position { segment, offset };
                Entry {
                    key: key.value().2,
                    at,
                }
            });
            Ok(entry)
        })?
    }

    fn read<T>(&self, look: impl FnOnce(&Database) -> Result<T, Failure>) -> Option<T> {
        let slot = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let db = slot.as_ref()?.clone();
        drop(slot);
        let found = guarded(|| look(&db));
        if found.is_none() {
            self.broken.store(true, Ordering::Release);
            self.unreadable.store(true, Ordering::Release);
        }
        found
    }
}

type Failure = Box<dyn std::error::Error>;

/// Runs redb code. The index is only a convenience: an error or a panic in it (a damaged file can
/// cause either) costs the index, never the session.
fn guarded<T>(run: impl FnOnce() -> Result<T, Failure>) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the log's index file can't be used; going on without it");
            None
        }
        Err(_) => {
            tracing::warn!("the log's index file is damaged; going on without it");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::kind;

    fn header(track: u32, key: u64) -> Header {
        Header {
            kind: kind::FRAME,
            flags: 0,
            track,
            key,
            count: 1,
            at_ms: 0,
            stored: 100,
            raw: 100,
            payload_crc: 0,
        }
    }

    fn at(number: u64) -> Position {
        Position {
            segment: 1,
            offset: 16 + number * 1000,
        }
    }

    #[test]
    fn of_tracks_that_are_over_nothing_stays_in_memory_and_the_file_knows_them() {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::create_root(&temp.path().join("sessions")).unwrap();
        let dir = Arc::new(root.create_dir("s").unwrap());
        let mut index = Index::new(IndexFile::fresh(&dir), at(0));
        for track in 0..1000 {
            index.note(&header(track, 7), at(u64::from(track)));
            if track != 500 {
                index.retire(kind::FRAME, track);
            }
        }
        assert_eq!(index.known_in_memory(), 1000, "until the file has them");
        let batch = index.take_batch().unwrap();
        // One that ends while the batch is on its way is in it as one that goes on.
        index.note(&header(1000, 7), at(1000));
        index.retire(kind::FRAME, 1000);
        index.file().commit(&batch);
        let batch = index.take_batch().unwrap();
        assert_eq!(index.known_in_memory(), 2);
        index.file().commit(&batch);
        index.note(&header(500, 8), at(1001));
        index.take_batch().unwrap();
        assert_eq!(index.known_in_memory(), 1);
        assert_eq!(index.next_key(kind::FRAME, 500), 9);
        let found = index.floor(kind::FRAME, 3, u64::MAX).unwrap();
        assert_eq!((found.key, found.at), (7, at(3)));
        drop(index);
        let index = Index::load(&dir, at(5000)).unwrap();
        assert_eq!(index.groups().count(), 1001);
        assert_eq!(index.next_key(kind::FRAME, 3), 8);
    }

    #[test]
    fn entries_of_many_tracks_are_held_without_end_of_thinning_them_out() {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::create_root(&temp.path().join("sessions")).unwrap();
        let dir = Arc::new(root.create_dir("s").unwrap());
        let mut index = Index::new(IndexFile::fresh(&dir), at(0));
        let many = u32::try_from(MAX_HELD).unwrap() + 1000;
        for track in 0..many {
            index.note(&header(track, 0), at(u64::from(track)));
        }
        assert_eq!(index.held(), many as usize);
        assert_eq!(index.spacing(), 2 * SPACING, "once, not for each of them");
    }
}
