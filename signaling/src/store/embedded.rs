//! One redb file, one writer.
//!
//! Whatever waits to be written goes into one transaction ([`MAX_BATCH`] at most), so that a commit,
//! which costs an fsync, is shared by all who wait for it: the busier, the larger the batches. Each
//! is told only after the commit: a record that was acknowledged survives kill -9 and the loss of
//! power. Readers use a snapshot of the last commit, and never wait for a write.
//!
//! redb refuses everything after one failed write, so the file is opened anew then; and before the
//! disk is full, nothing is tried ([`RESERVE`]).

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use redb::{Database, Durability, ReadOnlyTable, ReadableTable as _, TableDefinition};
use redb::{ReadableDatabase as _, ReadableTableMetadata as _};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::{Entry, Key, Later, Put, Store, StoreError};
use crate::metrics::StoreMetrics;

/// Most writes in one transaction: it bounds how long the first waits for the last.
const MAX_BATCH: usize = 1024;

/// Most writes waiting, in number; each is under 3 KiB.
const QUEUE: usize = 8192;

/// Records looked at in one step of a sweep.
const SWEEP_STEP: usize = 2048;

/// Nothing is written when the disk has less than this free, in bytes: a commit must not fail
/// half-way.
const RESERVE: u64 = 16 << 20;

/// After a write that failed, how long others are refused without trying.
const PAUSE: Duration = Duration::from_secs(1);

/// Kind and id to seq, expiry, liveness and record.
const RECORDS: TableDefinition<&[u8; 33], &[u8]> = TableDefinition::new("records");

/// A key of the table: the kind and the id.
type Flat = [u8; 33];

/// What comes before a record's bytes: seq, expiry, liveness.
const HEADER: usize = 8 + 8 + 1;

/// The store in one file of this machine.
pub struct Embedded {
    snapshot: Snapshot,
    /// Closing it ends the writer.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<thread::JoinHandle<()>>,
}

/// The last commit, for readers; none while the file is being opened anew.
type Snapshot = Arc<RwLock<Option<ReadOnlyTable<&'static [u8; 33], &'static [u8]>>>>;

enum Job {
    Put {
        key: Key,
        entry: Entry,
        now: u64,
        reply: oneshot::Sender<Result<Put, StoreError>>,
    },
    /// Forgets those of these that have expired.
    Forget {
        keys: Vec<[u8; 33]>,
        now: u64,
        reply: oneshot::Sender<Result<u64, StoreError>>,
    },
}

impl Embedded {
    /// Opens the file in `folder`, or makes it; starts the writer, which ends with the store.
    pub fn open(
        folder: &Path,
        max_records: u64,
        cache_bytes: usize,
        metrics: StoreMetrics,
    ) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
        let snapshot = Snapshot::default();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let mut writer = Writer {
            path: folder.join("records.redb"),
            cache_bytes,
            max_records,
            database: None,
            snapshot: snapshot.clone(),
            refuse_until: None,
            metrics,
        };
        writer.open().with_context(|| {
            format!(
                "the records in {} cannot be opened: if the file is damaged, move it away (hosts publish again within five minutes)",
                writer.path.display()
            )
        })?;
        let writer = thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || writer.run(queue))
            .context("the writer's thread")?;
        Ok(Self {
            snapshot,
            jobs: Some(jobs),
            writer: Some(writer),
        })
    }

    fn jobs(&self) -> Result<&mpsc::Sender<Job>, StoreError> {
        self.jobs.as_ref().ok_or(StoreError::Unavailable)
    }

    fn read<T>(
        &self,
        with: impl FnOnce(
            &ReadOnlyTable<&'static [u8; 33], &'static [u8]>,
        ) -> Result<T, redb::StorageError>,
    ) -> Result<T, StoreError> {
        let snapshot = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        let table = snapshot.as_ref().ok_or(StoreError::Unavailable)?;
        with(table).map_err(|error| {
            error!(%error, "a record could not be read");
            StoreError::Unavailable
        })
    }

    /// Up to a step's worth of keys from `from` on that have expired, and where to go on.
    fn expired(&self, from: Flat, now: u64) -> Result<(Vec<Flat>, Option<Flat>), StoreError> {
        self.read(|table| {
            let mut keys = Vec::new();
            for (count, item) in table.range::<&[u8; 33]>(&from..)?.enumerate() {
                let (key, value) = item?;
                if count == SWEEP_STEP {
                    return Ok((keys, Some(*key.value())));
                }
                if expiry(value.value()) < now {
                    keys.push(*key.value());
                }
            }
            Ok((keys, None))
        })
    }
}

impl Store for Embedded {
    fn get(&self, key: Key, now: u64) -> Later<'_, Option<Entry>> {
        // Some microseconds, from the page cache as a rule: not worth another thread.
        let found = self.read(|table| {
            let value = table.get(&flat(key))?;
            Ok(value.and_then(|value| decode(value.value())))
        });
        let current = found.map(|entry| entry.filter(|entry| entry.expires >= now));
        Box::pin(std::future::ready(current))
    }

    fn put(&self, key: Key, entry: Entry, now: u64) -> Later<'_, Put> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Put {
            key,
            entry,
            now,
            reply,
        };
        let queued = self.jobs().and_then(|jobs| {
            jobs.try_send(job).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Busy,
                mpsc::error::TrySendError::Closed(_) => StoreError::Unavailable,
            })
        });
        Box::pin(async move {
            queued?;
            answer.await.unwrap_or(Err(StoreError::Unavailable))
        })
    }

    fn sweep(&self, now: u64) -> Later<'_, u64> {
        Box::pin(async move {
            let mut forgotten = 0;
            let mut from = Some([0; 33]);
            while let Some(start) = from {
                let (keys, next) = self.expired(start, now)?;
                from = next;
                if !keys.is_empty() {
                    let (reply, answer) = oneshot::channel();
                    let job = Job::Forget { keys, now, reply };
                    let sent = self.jobs()?.send(job).await;
                    sent.map_err(|_| StoreError::Unavailable)?;
                    forgotten += answer.await.unwrap_or(Err(StoreError::Unavailable))?;
                }
                // Let requests through between two steps.
                tokio::task::yield_now().await;
            }
            Ok(forgotten)
        })
    }

    fn count(&self) -> Later<'_, u64> {
        let count = self.read(|table| table.len());
        Box::pin(std::future::ready(count))
    }
}

impl Drop for Embedded {
    /// Waits for the writer, so that what was queued is written and the file is closed.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            error!("the writer of the records failed");
        }
    }
}

/// Owns the database; a thread of its own, since commits block.
struct Writer {
    path: PathBuf,
    cache_bytes: usize,
    max_records: u64,
    database: Option<Database>,
    snapshot: Snapshot,
    refuse_until: Option<Instant>,
    metrics: StoreMetrics,
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while queue.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            self.metrics.batch.observe(batch.len() as f64);
            let started = Instant::now();
            let answers = self.ready().and_then(|()| self.write(&batch));
            self.metrics.commit.observe(started.elapsed().as_secs_f64());
            for (at, job) in batch.drain(..).enumerate() {
                // Whoever asked may be gone.
                match (job, &answers) {
                    (Job::Put { reply, .. }, Ok(answers)) => drop(reply.send(answers[at].put())),
                    (Job::Put { reply, .. }, Err(error)) => drop(reply.send(Err(error.clone()))),
                    (Job::Forget { reply, .. }, Ok(answers)) => {
                        drop(reply.send(Ok(answers[at].forgotten())));
                    }
                    (Job::Forget { reply, .. }, Err(error)) => drop(reply.send(Err(error.clone()))),
                }
            }
        }
        // A clean end leaves nothing to repair.
        self.close();
        info!("the records are closed");
    }

    fn open(&mut self) -> Result<(), redb::Error> {
        let database = redb::Builder::new()
            .set_cache_size(self.cache_bytes)
            .create(&self.path)?;
        // Written to only when new: with a full disk, reading must go on.
        let missing = matches!(
            database.begin_read()?.open_table(RECORDS),
            Err(redb::TableError::TableDoesNotExist(_))
        );
        if missing {
            let first = database.begin_write()?;
            first.open_table(RECORDS)?;
            first.commit()?;
        }
        self.publish(&database)?;
        self.database = Some(database);
        Ok(())
    }

    fn close(&mut self) {
        let mut snapshot = self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // The table first: it holds the database's file.
        *snapshot = None;
        self.database = None;
    }

    /// Shows readers the last commit.
    fn publish(&self, database: &Database) -> Result<(), redb::Error> {
        let table = database.begin_read()?.open_table(RECORDS)?;
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(table);
        Ok(())
    }

    /// Whether a write may be tried: the disk has room, and the last failure is some time ago.
    fn ready(&mut self) -> Result<(), StoreError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let free =
            rustix::fs::statvfs(folder).map_or(u64::MAX, |disk| disk.f_bavail * disk.f_frsize);
        if free < RESERVE {
            return Err(StoreError::Full);
        }
        match self.refuse_until {
            Some(until) if Instant::now() < until => Err(StoreError::Full),
            _ => {
                self.refuse_until = None;
                Ok(())
            }
        }
    }

    fn write(&mut self, batch: &[Job]) -> Result<Vec<Answer>, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => match self.open().map(|()| self.database.take()) {
                Ok(Some(database)) => database,
                Ok(None) => return Err(StoreError::Unavailable),
                Err(error) => {
                    self.refuse_until = Some(Instant::now() + PAUSE);
                    error!(%error, "the records cannot be opened");
                    return Err(StoreError::Unavailable);
                }
            },
        };
        match commit(&database, batch, self.max_records) {
            Ok(answers) => {
                if let Err(error) = self.publish(&database) {
                    warn!(%error, "what was written cannot be read yet");
                }
                self.database = Some(database);
                Ok(answers)
            }
            Err(error) => {
                let full = is_full(&error);
                warn!(%error, full, "records could not be written; opening them anew");
                self.refuse_until = Some(Instant::now() + PAUSE);
                // Readers wait for no longer than this takes.
                self.close();
                drop(database);
                if let Err(error) = self.open() {
                    error!(%error, "the records cannot be opened");
                }
                Err(if full {
                    StoreError::Full
                } else {
                    StoreError::Unavailable
                })
            }
        }
    }
}

/// What became of one job, to be told once the transaction is committed.
enum Answer {
    Put(Result<Put, StoreError>),
    Forgotten(u64),
}

impl Answer {
    fn put(&self) -> Result<Put, StoreError> {
        match self {
            Self::Put(put) => put.clone(),
            Self::Forgotten(_) => Err(StoreError::Unavailable),
        }
    }

    fn forgotten(&self) -> u64 {
        match self {
            Self::Forgotten(count) => *count,
            Self::Put(_) => 0,
        }
    }
}

fn commit(
    database: &Database,
    batch: &[Job],
    max_records: u64,
) -> Result<Vec<Answer>, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut changed = false;
    let mut answers = Vec::with_capacity(batch.len());
    {
        let mut table = transaction.open_table(RECORDS)?;
        let mut records = table.len()?;
        for job in batch {
            match job {
                Job::Put {
                    key, entry, now, ..
                } => {
                    let key = flat(*key);
                    let verdict = {
                        let there = table.get(&key)?;
                        let there = there.as_ref().map(redb::AccessGuard::value);
                        judge(there, entry, *now, records < max_records)
                    };
                    if let Ok((Put::Stored, new)) = verdict {
                        table.insert(&key, encode(entry).as_slice())?;
                        records += u64::from(new);
                        changed = true;
                    }
                    answers.push(Answer::Put(verdict.map(|(put, _)| put)));
                }
                Job::Forget { keys, now, .. } => {
                    let mut count = 0;
                    for key in keys {
                        // It may have been renewed since.
                        let expired = table.get(key)?.is_some_and(|at| expiry(at.value()) < *now);
                        if expired {
                            table.remove(key)?;
                            count += 1;
                        }
                    }
                    records -= count;
                    changed |= count > 0;
                    answers.push(Answer::Forgotten(count));
                }
            }
        }
    }
    match changed {
        true => transaction.commit()?,
        false => transaction.abort()?,
    }
    Ok(answers)
}

/// What to do with `entry` where `there` is, and whether its key is a new one.
fn judge(
    there: Option<&[u8]>,
    entry: &Entry,
    now: u64,
    room: bool,
) -> Result<(Put, bool), StoreError> {
    match there.and_then(decode) {
        Some(old) if old.expires >= now && old.seq >= entry.seq => {
            let same = old.seq == entry.seq && old.bytes == entry.bytes;
            Ok((if same { Put::Same } else { Put::Lower }, false))
        }
        Some(_) => Ok((Put::Stored, false)),
        None if room => Ok((Put::Stored, true)),
        None => Err(StoreError::Full),
    }
}

fn flat(key: Key) -> Flat {
    let mut flat = [0; 33];
    flat[0] = key.kind as u8;
    flat[1..].copy_from_slice(&key.id);
    flat
}

fn encode(entry: &Entry) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER + entry.bytes.len());
    value.extend_from_slice(&entry.seq.to_be_bytes());
    value.extend_from_slice(&entry.expires.to_be_bytes());
    value.push(u8::from(entry.live));
    value.extend_from_slice(&entry.bytes);
    value
}

/// A value of ours; none if it is not, which a record of the same key then replaces.
fn decode(value: &[u8]) -> Option<Entry> {
    let (seq, rest) = value.split_first_chunk()?;
    let (expires, rest) = rest.split_first_chunk()?;
    let (live, bytes) = rest.split_first()?;
    Some(Entry {
        seq: u64::from_be_bytes(*seq),
        expires: u64::from_be_bytes(*expires),
        live: *live != 0,
        bytes: Bytes::copy_from_slice(bytes),
    })
}

/// When a value expires; what cannot be read has.
fn expiry(value: &[u8]) -> u64 {
    let expires = value.get(8..16).and_then(|bytes| bytes.try_into().ok());
    expires.map_or(0, u64::from_be_bytes)
}

/// Whether there was no room: on the disk, in the quota, or in the process's limit of a file's size.
fn is_full(error: &redb::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error {
        redb::Error::Io(error) => {
            matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;

    fn entry(seq: u64, expires: u64, bytes: &'static [u8]) -> Entry {
        Entry {
            seq,
            expires,
            live: true,
            bytes: Bytes::from_static(bytes),
        }
    }

    fn key(id: u8) -> Key {
        Key {
            kind: Kind::Link,
            id: [id; 32],
        }
    }

    fn open(folder: &Path, max_records: u64) -> Embedded {
        Embedded::open(folder, max_records, 1 << 20, StoreMetrics::default()).unwrap()
    }

    #[tokio::test]
    async fn the_newest_is_kept_and_comes_back_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 10);
        assert_eq!(
            store.put(key(1), entry(5, 100, b"five"), 0).await,
            Ok(Put::Stored)
        );
        assert_eq!(
            store.put(key(1), entry(5, 100, b"five"), 0).await,
            Ok(Put::Same)
        );
        assert_eq!(
            store.put(key(1), entry(5, 100, b"other"), 0).await,
            Ok(Put::Lower)
        );
        assert_eq!(
            store.put(key(1), entry(4, 100, b"four"), 0).await,
            Ok(Put::Lower)
        );
        assert_eq!(
            store.put(key(1), entry(6, 100, b"six"), 0).await,
            Ok(Put::Stored)
        );
        drop(store);
        let store = open(folder.path(), 10);
        let kept = store.get(key(1), 0).await.unwrap().unwrap();
        assert_eq!(kept, entry(6, 100, b"six"));
    }

    #[tokio::test]
    async fn kinds_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 10);
        store.put(key(1), entry(5, 100, b"link"), 0).await.unwrap();
        let other = Key {
            kind: Kind::Pkarr,
            ..key(1)
        };
        assert_eq!(store.get(other, 0).await, Ok(None));
    }

    #[tokio::test]
    async fn what_has_expired_is_absent_gives_way_and_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 10);
        store.put(key(1), entry(5, 100, b"old"), 0).await.unwrap();
        store.put(key(2), entry(5, 300, b"stays"), 0).await.unwrap();
        store.put(key(3), entry(5, 100, b"old"), 0).await.unwrap();
        assert_eq!(store.get(key(1), 101).await, Ok(None));
        // A host whose clock was ahead begins again with a lower number.
        assert_eq!(
            store.put(key(3), entry(1, 300, b"new"), 101).await,
            Ok(Put::Stored)
        );
        assert_eq!(store.count().await, Ok(3));
        assert_eq!(store.sweep(101).await, Ok(1));
        assert_eq!(store.count().await, Ok(2));
        assert!(store.get(key(2), 101).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_sweep_goes_through_many_steps() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), u64::MAX);
        let total = 2 * SWEEP_STEP as u64 + 7;
        let puts: Vec<_> = (0..total)
            .map(|n| {
                let mut id = [0; 32];
                id[..8].copy_from_slice(&n.to_be_bytes());
                let key = Key {
                    kind: Kind::Pkarr,
                    id,
                };
                store.put(key, entry(1, 100 + n % 2, b"x"), 0)
            })
            .collect();
        for put in puts {
            assert_eq!(put.await, Ok(Put::Stored));
        }
        assert_eq!(store.sweep(101).await, Ok(total.div_ceil(2)));
        assert_eq!(store.sweep(102).await, Ok(total / 2));
        assert_eq!(store.count().await, Ok(0));
    }

    #[tokio::test]
    async fn beyond_the_limit_only_known_ones_are_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 1);
        assert_eq!(
            store.put(key(1), entry(1, 100, b"a"), 0).await,
            Ok(Put::Stored)
        );
        assert_eq!(
            store.put(key(2), entry(1, 100, b"b"), 0).await,
            Err(StoreError::Full)
        );
        assert_eq!(
            store.put(key(1), entry(2, 100, b"c"), 0).await,
            Ok(Put::Stored)
        );
    }

    #[tokio::test]
    async fn among_many_writers_the_highest_number_wins() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(open(folder.path(), 10));
        let mut tasks = Vec::new();
        for seq in 1..=200u64 {
            let store = store.clone();
            // Out of order, and all at once.
            let seq = seq * 77 % 211;
            tasks.push(tokio::spawn(async move {
                store.put(key(1), entry(seq, 100, b"x"), 0).await.unwrap()
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let highest = (1..=200u64).map(|seq| seq * 77 % 211).max().unwrap();
        assert_eq!(store.get(key(1), 0).await.unwrap().unwrap().seq, highest);
    }

    #[test]
    fn a_damaged_value_counts_as_none() {
        assert_eq!(decode(&[0; HEADER - 1]), None);
        assert_eq!(expiry(&[255; 15]), 0);
    }
}
