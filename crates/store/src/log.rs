//! Writing the log of a running session.

mod segment;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dir::Dir;
use crate::document::{self, Documents};
use crate::error::{AppendError, ReadError, StoreError};
use crate::index::{Index, IndexFile, Position};
use crate::ledger::LedgerWriter;
use crate::meta::{End, SessionMeta};
use crate::read::{self, Event, Frame, Gap, HistoryRead, OpenBlock, Tail, View};
use crate::record::{self, CHUNK_OVERHEAD, Encoder, GapPayload, MAX_RECORD_BYTES, Stamp, kind};
use crate::session;
use crate::worker::{Job, Worker};
use segment::Segment;

/// How long after an append its bytes are written at latest. `kill -9` may lose 50 ms: the session looks
/// at the lines that have just left the screen every 20 ms, this is the rest but for the writing.
pub const FLUSH_AFTER: Duration = Duration::from_millis(25);
/// How long after a write it is synced to disk at latest.
pub const SYNC_EVERY: Duration = Duration::from_millis(1000);
/// Size from which a segment is followed by a new one. The last record may go beyond.
pub const SEGMENT_BYTES: u64 = 16 << 20;

/// Bytes of records gathered before they are written without waiting for the time to come.
const WRITE_FROM: usize = 256 << 10;
/// Bytes of history compressed together: large enough to compress well and cheaply, small enough
/// that reading a few lines unpacks little.
const BLOCK_BYTES: usize = 64 << 10;
/// Bytes of history in open blocks of all tracks together.
const OPEN_BYTES: usize = 1 << 20;
/// Bytes of records held while the disk can't take them. What comes after that is lost, and said.
const HELD_BYTES: usize = 4 << 20;
/// Buffers larger than this are given back once empty.
const KEEP_BYTES: usize = 1 << 20;
/// Time between two tries to write while the disk is full.
const RETRY_EVERY: Duration = Duration::from_millis(1000);

/// How the log is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// All that was appended is written, or will be in time.
    Good,
    /// The disk doesn't take what is appended. The session goes on; the log tries again once a
    /// second.
    Degraded {
        /// What the system says, for people.
        error: String,
        /// Bytes held in memory that will still be written if the disk takes them in time.
        held_bytes: usize,
        /// What is lost so far. Once the disk takes writes again, the log records it.
        lost: Vec<Gap>,
    },
}

/// The log of a running session: appends, and reads of what was appended.
///
/// One thread owns it (it is `Send`). Appending copies into memory, and every [`FLUSH_AFTER`] or
/// 256 KiB compresses and writes; waiting for the disk happens on a thread of the log's own.
/// Disk errors never stop an append: they show in [`health`](Self::health).
///
/// Dropped without [`end`](Self::end), the session counts as crashed; nothing appended is lost.
pub struct SessionLog {
    dir: Arc<Dir>,
    meta: SessionMeta,
    /// Held for its lock, which says that the session runs.
    _lock: File,
    segments: Vec<u32>,
    segment: Segment,
    index: Index,
    worker: Worker,
    encoder: Encoder,
    blocks: BTreeMap<u32, OpenBlock>,
    open_bytes: usize,
    /// Whole records to be written, and where in it each one is.
    buffer: Vec<u8>,
    /// The first key after those appended, by kind and track.
    next: BTreeMap<(u8, u32), u64>,
    /// Tracks of which nothing more comes, and of which something is not written yet.
    finished: Vec<u32>,
    /// The number above those of all tracks that have anything here.
    next_track: u32,
    /// When the oldest byte not written was appended.
    dirty_since: Option<Instant>,
    synced_at: Instant,
    unsynced: bool,
    trouble: Option<Trouble>,
}

/// The disk doesn't take writes.
struct Trouble {
    error: io::Error,
    retry_at: Instant,
    /// By kind and track: the first key lost and the first one after those lost.
    lost: BTreeMap<(u8, u32), (u64, u64)>,
}

impl SessionLog {
    /// Makes the directory of a new session under `root` (and `root`, if need be) and its log.
    ///
    /// # Errors
    /// The id is malformed or taken, `root` is not safe to use, or the system refused.
    pub fn create(root: &Path, meta: SessionMeta) -> Result<SessionLog, StoreError> {
        let (dir, lock) = session::make(root, &meta)?;
        let index = Index::new(IndexFile::fresh(&dir), FIRST);
        SessionLog::start(dir, lock, meta, Vec::new(), index)
    }

    /// Goes on with a session that crashed or ended: the same id, documents and ledger, and the
    /// log behind what is there. A torn tail is cut off. It shows as running while this value is
    /// there, and dropped without [`begin_again`](Self::begin_again) as it did before.
    ///
    /// # Errors
    /// There is no such session, it runs, it is damaged, or the system refused.
    pub fn reopen(root: &Path, id: &str) -> Result<SessionLog, StoreError> {
        let (dir, lock, meta) = session::reopen(root, id)?;
        let mut segments = read::segments(&dir)?;
        let (index, damage) = session::index(&dir, &segments)?;
        if let Some(damage) = damage {
            let name = read::segment_name(damage.segment);
            if damage.offset < record::SEGMENT_HEADER {
                dir.remove_file(&name)?;
                segments.retain(|number| *number != damage.segment);
            } else {
                let path = dir.path().join(&name);
                dir.open_file(&name)?
                    .set_len(damage.offset)
                    .map_err(|e| StoreError::io("cut the torn end of", &path, e))?;
            }
        }
        let mut log = SessionLog::start(dir, lock, meta, segments, index)?;
        log.next = log.index.groups().collect();
        let tracks = log.next.keys();
        let tracks = tracks.filter(|(of, _)| *of != kind::EVENT && *of != kind::GAP);
        let last = tracks.map(|(_, track)| *track).max();
        log.next_track = last.map_or(0, |last| last.saturating_add(1));
        Ok(log)
    }

    /// Says that the reopened session runs again, and as what: `meta` takes the place of what it was,
    /// but for its id, its start and the count of its runs, which goes up by one. How it ended before
    /// is forgotten. Durable when this returns, and one or the other whatever happens.
    ///
    /// # Errors
    /// The system refused.
    pub fn begin_again(&mut self, meta: SessionMeta) -> Result<(), StoreError> {
        let meta = SessionMeta {
            id: self.meta.id.clone(),
            started_unix_ms: self.meta.started_unix_ms,
            runs: self.meta.runs.saturating_add(1),
            ..meta
        };
        session::begin_again(&self.dir, &meta)?;
        self.meta = meta;
        Ok(())
    }

    fn start(
        dir: Arc<Dir>,
        lock: File,
        meta: SessionMeta,
        mut segments: Vec<u32>,
        mut index: Index,
    ) -> Result<SessionLog, StoreError> {
        let number = segments.last().map_or(1, |last| last + 1);
        let segment = Segment::create(&dir, number)?;
        segments.push(number);
        index.cover(segment.end());
        let fail = |e| StoreError::io("set up the log in", dir.path(), e);
        let worker = Worker::start().map_err(fail)?;
        worker.try_send(Job::SyncDir(dir.clone()));
        Ok(SessionLog {
            encoder: Encoder::new().map_err(fail)?,
            _lock: lock,
            dir,
            meta,
            segments,
            segment,
            index,
            worker,
            blocks: BTreeMap::new(),
            open_bytes: 0,
            buffer: Vec::new(),
            next: BTreeMap::new(),
            finished: Vec::new(),
            next_track: 0,
            dirty_since: None,
            synced_at: Instant::now(),
            unsynced: false,
            trouble: None,
        })
    }

    /// What the session is.
    pub fn meta(&self) -> &SessionMeta {
        &self.meta
    }

    /// The session's directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Records a frame. Numbers of a track only go up; they need not be consecutive.
    ///
    /// # Errors
    /// Only for a record that can't be right; a disk that refuses shows in [`health`](Self::health).
    pub fn append_frame(
        &mut self,
        track: u32,
        number: u64,
        at_ms: u64,
        bytes: &[u8],
    ) -> Result<(), AppendError> {
        self.append(kind::FRAME, track, number, at_ms, bytes)
    }

    /// Records something that happened; events are numbered from 0 as they come.
    ///
    /// # Errors
    /// Only for a record that can't be right; a disk that refuses shows in [`health`](Self::health).
    pub fn append_event(&mut self, at_ms: u64, bytes: &[u8]) -> Result<(), AppendError> {
        let number = self.next_key(kind::EVENT, 0);
        self.append(kind::EVENT, 0, number, at_ms, bytes)
    }

    fn append(
        &mut self,
        kind: u8,
        track: u32,
        key: u64,
        at_ms: u64,
        bytes: &[u8],
    ) -> Result<(), AppendError> {
        check_size(bytes.len())?;
        let end = self.check_order(kind, track, key, 1)?;
        if kind != kind::EVENT {
            self.next_track = self.next_track.max(track.saturating_add(1));
        }
        self.next.insert((kind, track), end);
        if self.loses(kind, track, key, end, bytes.len()) {
            return Ok(());
        }
        let stamp = Stamp {
            kind,
            track,
            key,
            count: 1,
            at_ms,
        };
        self.encoder.push(&mut self.buffer, stamp, bytes);
        self.appended();
        Ok(())
    }

    /// Records `count` lines of history from line id `first` on. Line ids of a track only go up.
    /// The chunk comes back from [`history_read`](Self::history_read) as it is.
    ///
    /// # Errors
    /// Only for a chunk that can't be right; a disk that refuses shows in [`health`](Self::health).
    pub fn append_history(
        &mut self,
        track: u32,
        first: u64,
        count: u32,
        at_ms: u64,
        bytes: &[u8],
    ) -> Result<(), AppendError> {
        check_size(bytes.len() + CHUNK_OVERHEAD)?;
        if count == 0 {
            return Err(AppendError::BadRange { first, count });
        }
        let end = self.check_order(kind::HISTORY, track, first, count)?;
        self.next_track = self.next_track.max(track.saturating_add(1));
        self.next.insert((kind::HISTORY, track), end);
        if self.loses(kind::HISTORY, track, first, end, bytes.len()) {
            return Ok(());
        }
        let follows = self.blocks.get(&track).is_none_or(|block| {
            block.first + u64::from(block.lines) == first
                && block.lines.checked_add(count).is_some()
                && block.payload.len() + bytes.len() + CHUNK_OVERHEAD <= MAX_RECORD_BYTES
        });
        if !follows {
            self.close_block(track);
        }
        let block = self.blocks.entry(track).or_insert_with(|| OpenBlock {
            first,
            ..OpenBlock::default()
        });
        let before = block.payload.len();
        record::push_chunk(&mut block.payload, count, bytes);
        block.lines += count;
        block.at_ms = at_ms;
        let full = block.payload.len() >= BLOCK_BYTES;
        self.open_bytes += block.payload.len() - before;
        if full {
            self.close_block(track);
        } else if self.open_bytes >= OPEN_BYTES {
            self.close_blocks();
        }
        self.appended();
        Ok(())
    }

    fn check_order(&self, kind: u8, track: u32, key: u64, count: u32) -> Result<u64, AppendError> {
        let next = self.next_key(kind, track);
        if key < next {
            return Err(AppendError::OutOfOrder { track, key, next });
        }
        key.checked_add(u64::from(count))
            .ok_or(AppendError::BadRange { first: key, count })
    }

    fn next_key(&self, kind: u8, track: u32) -> u64 {
        self.next.get(&(kind, track)).copied().unwrap_or(0)
    }

    /// The first number above those of all tracks that have anything here.
    pub fn next_track(&self) -> u32 {
        self.next_track
    }

    /// Nothing more is recorded of this track, and nothing of it is in memory any more once the index has it: numbers
    /// and line ids of it are not checked again.
    pub fn finish_track(&mut self, track: u32) {
        self.close_block(track);
        for kind in [kind::FRAME, kind::HISTORY] {
            self.next.remove(&(kind, track));
        }
        self.finished.push(track);
        if self.buffer.is_empty() {
            self.retire_finished();
        }
    }

    /// The index knows all of these tracks' records by now.
    fn retire_finished(&mut self) {
        for track in std::mem::take(&mut self.finished) {
            self.index.retire(kind::FRAME, track);
            self.index.retire(kind::HISTORY, track);
        }
    }

    /// The lowest frame number the track can take.
    pub fn next_frame(&self, track: u32) -> u64 {
        self.next_key(kind::FRAME, track)
    }

    /// The lowest line id the track's history can take.
    pub fn next_line(&self, track: u32) -> u64 {
        self.next_key(kind::HISTORY, track)
    }

    /// Whether a record has to be dropped because the disk is full and so is what may be held.
    fn loses(&mut self, kind: u8, track: u32, key: u64, end: u64, size: usize) -> bool {
        let held = self.buffer.len() + self.open_bytes;
        let Some(trouble) = &mut self.trouble else {
            return false;
        };
        // Once one is lost, so are those after it: the log stays in order, with one gap.
        if trouble.lost.is_empty() && held + size <= HELD_BYTES {
            return false;
        }
        let lost = trouble.lost.entry((kind, track)).or_insert((key, end));
        lost.1 = end;
        true
    }

    /// After each append: notes the time, and writes if there is much to write.
    fn appended(&mut self) {
        let much = self.buffer.len() >= WRITE_FROM;
        if much || self.dirty_since.is_none() {
            let now = Instant::now();
            if much {
                // Lines before what was said of them later.
                self.flush(now);
            }
            if self.dirty_since.is_none() && self.has_unwritten() {
                self.dirty_since = Some(now);
            }
        }
    }

    fn has_unwritten(&self) -> bool {
        !self.buffer.is_empty() || self.open_bytes > 0
    }

    /// Writes what was appended if the oldest of it has waited [`FLUSH_AFTER`].
    pub fn flush_if_due(&mut self, now: Instant) {
        if self.flush_due().is_some_and(|due| due <= now) {
            self.flush(now);
        }
    }

    /// Writes what was appended, now: it then survives a killed process.
    pub fn flush(&mut self, now: Instant) {
        self.close_blocks();
        self.write(now);
    }

    /// Has what is written synced to disk if that is [`SYNC_EVERY`] ago; doesn't wait for it.
    pub fn sync_if_due(&mut self, now: Instant) {
        if self.sync_due().is_none_or(|due| due > now) {
            return;
        }
        if self.worker.try_send(Job::Sync(self.segment.file())) {
            self.synced_at = now;
            self.unsynced = false;
        }
        if let Some(e) = self.worker.take_failure() {
            tracing::warn!(error = %e, "the session's log may not survive a power loss");
        }
    }

    /// When [`flush_if_due`](Self::flush_if_due) or [`sync_if_due`](Self::sync_if_due) has
    /// something to do next; `None`: not before the next append.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.flush_due(), self.sync_due()]
            .into_iter()
            .flatten()
            .min()
    }

    fn flush_due(&self) -> Option<Instant> {
        match &self.trouble {
            Some(trouble) => Some(trouble.retry_at),
            None => self.dirty_since.map(|since| since + FLUSH_AFTER),
        }
    }

    fn sync_due(&self) -> Option<Instant> {
        self.unsynced.then(|| self.synced_at + SYNC_EVERY)
    }

    /// How the log is doing.
    pub fn health(&self) -> Health {
        match &self.trouble {
            None => Health::Good,
            Some(trouble) => Health::Degraded {
                error: trouble.error.to_string(),
                held_bytes: self.buffer.len() + self.open_bytes,
                lost: trouble.gaps().filter_map(read::gap_from).collect(),
            },
        }
    }

    /// Bytes of memory held for records, compressed or not, and for the index's entries.
    pub fn held_bytes(&self) -> usize {
        let blocks: usize = self
            .blocks
            .values()
            .map(|block| block.payload.capacity())
            .sum();
        /// Key and position, and their share of a B-tree's node.
        const ENTRY: usize = 48;
        self.buffer.capacity() + blocks + self.encoder.held_bytes() + self.index.held() * ENTRY
    }

    fn close_block(&mut self, track: u32) {
        let Some(block) = self.blocks.get_mut(&track) else {
            return;
        };
        if block.lines > 0 {
            let stamp = Stamp {
                kind: kind::HISTORY,
                track,
                key: block.first,
                count: block.lines,
                at_ms: block.at_ms,
            };
            self.encoder.push(&mut self.buffer, stamp, &block.payload);
        }
        self.open_bytes -= block.payload.len();
        self.blocks.remove(&track);
    }

    fn close_blocks(&mut self) {
        while let Some((track, _)) = self.blocks.first_key_value() {
            self.close_block(*track);
        }
    }

    /// Writes the buffer. On failure it stays, the file is as it was, and a retry is due later.
    fn write(&mut self, now: Instant) {
        if self
            .trouble
            .as_ref()
            .is_some_and(|trouble| now < trouble.retry_at)
        {
            return;
        }
        if let Err(error) = self.try_write() {
            let lost = self.trouble.take().map(|trouble| trouble.lost);
            if lost.is_none() {
                tracing::warn!(%error, "the session's log can't be written; trying again");
            }
            self.trouble = Some(Trouble {
                error,
                retry_at: now + RETRY_EVERY,
                lost: lost.unwrap_or_default(),
            });
            return;
        }
        self.dirty_since = (self.open_bytes > 0).then_some(now);
        if let Some(trouble) = self.trouble.take() {
            tracing::info!("the session's log is written again");
            self.record_gaps(&trouble);
        }
    }

    fn try_write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if !self.segment.can_take(self.buffer.len()) {
            self.rotate()?;
        }
        let start = self.segment.end();
        self.segment.append(&self.buffer)?;
        self.unsynced = true;
        let mut at = start;
        while at < self.segment.end() {
            let within = (at.offset - start.offset) as usize;
            let header = self.buffer.get(within..).and_then(record::Header::decode);
            let Some(header) = header else { break };
            self.index.note(&header, at);
            at.offset += header.total();
        }
        self.retire_finished();
        self.buffer.clear();
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer = Vec::new();
        }
        self.encoder.trim(KEEP_BYTES);
        if self.segment.is_full() {
            // The records are safe either way; if no new segment can be had, this one grows on.
            if let Err(error) = self.rotate() {
                tracing::warn!(%error, "the log can't start a new segment; going on with this one");
            }
        } else if self.index.is_large() && self.worker.try_send(Job::Sync(self.segment.file())) {
            self.hand_over_index();
        }
        Ok(())
    }

    /// Has the file take what the index holds, once the worker has synced the records that it is about: the index
    /// must not know of records that a power loss took.
    fn hand_over_index(&mut self) {
        if let Some(batch) = self.index.take_batch() {
            let job = Job::Commit(self.index.file(), batch);
            if !self.worker.try_send(job) {
                self.index.untake_batch();
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let number = self.segment.end().segment + 1;
        if number > read::MAX_SEGMENT {
            return Ok(());
        }
        let new = Segment::create(&self.dir, number).map_err(into_io)?;
        let old = std::mem::replace(&mut self.segment, new);
        self.segments.push(number);
        self.worker.try_send(Job::Sync(old.file()));
        self.worker.try_send(Job::SyncDir(self.dir.clone()));
        self.hand_over_index();
        self.index.cover(self.segment.end());
        Ok(())
    }

    /// Puts down what was lost while the disk was full.
    fn record_gaps(&mut self, trouble: &Trouble) {
        for gap in trouble.gaps() {
            let key = self.next_key(kind::GAP, 0);
            self.next.insert((kind::GAP, 0), key + 1);
            let stamp = Stamp {
                kind: kind::GAP,
                track: 0,
                key,
                count: 1,
                at_ms: 0,
            };
            self.encoder.push(&mut self.buffer, stamp, &gap.encode());
        }
        if self.has_unwritten() && self.dirty_since.is_none() {
            self.dirty_since = Some(Instant::now());
        }
    }

    fn view(&self) -> View<'_> {
        View {
            dir: &self.dir,
            segments: &self.segments,
            index: Some(&self.index),
            tail: Some(Tail {
                at: self.segment.end(),
                bytes: &self.buffer,
            }),
            blocks: Some(&self.blocks),
        }
    }

    /// A read of the track's history from line id `from` on, to be done on any thread: it finds what was
    /// appended up to now. The chunks are whole, as they were appended: the first may start before `from`,
    /// and lines that were lost are missing. They end where `max_lines` or `max_bytes` are reached, and
    /// begin before line `from + max_lines`; there is one if there is any.
    pub fn history_read(
        &self,
        track: u32,
        from: u64,
        max_lines: u32,
        max_bytes: usize,
    ) -> HistoryRead {
        let last = from.saturating_add(u64::from(max_lines));
        // What is in memory is copied only for who reads that far.
        let in_memory = last >= self.index.next_key(kind::HISTORY, track);
        let block = self.blocks.get(&track).filter(|_| in_memory);
        HistoryRead {
            dir: self.dir.clone(),
            segments: self.segments.clone(),
            index: self.index.part(kind::HISTORY, track, from..=last),
            end: self.segment.end(),
            unwritten: match in_memory {
                true => self.buffer.clone(),
                false => Vec::new(),
            },
            blocks: block
                .map(|block| (track, block.clone()))
                .into_iter()
                .collect(),
            track,
            from,
            max_lines,
            max_bytes,
        }
    }

    /// The track's frames from number `from` on.
    pub fn frames(&self, track: u32, from: u64) -> impl Iterator<Item = Result<Frame, ReadError>> {
        self.view().frames(track, from)
    }

    /// The session's events from number `from` on.
    pub fn events(&self, from: u64) -> impl Iterator<Item = Result<Event, ReadError>> {
        self.view().events(from)
    }

    /// What could not be kept in the past. What is being lost now is in [`health`](Self::health).
    pub fn gaps(&self) -> impl Iterator<Item = Result<Gap, ReadError>> {
        self.view().gaps()
    }

    /// Replaces a small document. Durable when this returns, and whole whatever happens.
    ///
    /// # Errors
    /// A malformed name, more than [`MAX_DOCUMENT_BYTES`](crate::MAX_DOCUMENT_BYTES), or the
    /// system refused; the old document is then still there.
    pub fn write_document(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        document::write_document(&self.dir, name, bytes)
    }

    /// A document's content; `None` if there is none of that name.
    ///
    /// # Errors
    /// A malformed name, or the file can't be read or isn't safe.
    pub fn read_document(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        document::read_document(&self.dir, name)
    }

    /// The session's documents, to be written by the one who else has to.
    pub fn documents(&self) -> Documents {
        Documents::new(self.dir.clone())
    }

    /// Opens the ledger, which is written beside the log; and its entries, oldest first. One of a session
    /// that runs is opened once.
    ///
    /// # Errors
    /// It is damaged ([`StoreError::LedgerDamaged`]), can't be read or isn't safe.
    pub fn open_ledger(&self) -> Result<(LedgerWriter, Vec<Vec<u8>>), StoreError> {
        LedgerWriter::open(self.dir.clone())
    }

    /// Writes and syncs everything and says when and why the session ended.
    ///
    /// # Errors
    /// The disk didn't take all of it; whatever it took is whole and readable.
    pub fn end(mut self, at_ms: u64, reason: &str) -> Result<(), StoreError> {
        let written = self.write_all();
        self.worker.finish();
        let synced = self.segment.file().sync_data();
        if self.segments.len() > 1
            && let Some(batch) = self.index.take_batch()
        {
            self.index.file().commit(&batch);
        }
        End::write(at_ms, reason, &self.dir)?;
        written
            .and(synced)
            .map_err(|e| StoreError::io("write the end of the log in", self.dir.path(), e))
    }

    /// Writes all there is, whether or not it is time to try.
    fn write_all(&mut self) -> io::Result<()> {
        self.close_blocks();
        self.try_write()?;
        if let Some(trouble) = self.trouble.take() {
            self.record_gaps(&trouble);
            self.try_write()?;
        }
        Ok(())
    }
}

impl Drop for SessionLog {
    fn drop(&mut self) {
        if self.has_unwritten()
            && let Err(error) = self.write_all()
        {
            tracing::warn!(%error, "the end of the session's log could not be written");
        }
    }
}

impl Trouble {
    fn gaps(&self) -> impl Iterator<Item = GapPayload> {
        self.lost
            .iter()
            .map(|((kind, track), (first, end))| GapPayload {
                kind: *kind,
                track: *track,
                first: *first,
                count: end - first,
            })
    }
}

/// Where the first record of any log is.
const FIRST: Position = Position {
    segment: 1,
    offset: record::SEGMENT_HEADER,
};

fn check_size(size: usize) -> Result<(), AppendError> {
    if size > MAX_RECORD_BYTES {
        let limit = MAX_RECORD_BYTES;
        return Err(AppendError::TooLarge { size, limit });
    }
    Ok(())
}

fn into_io(e: StoreError) -> io::Error {
    match e {
        StoreError::Io { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}
