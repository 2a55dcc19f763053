//! One redb file, one writer.
//!
//! Whatever waits to be written goes into one transaction ([`MAX_BATCH`] at most), so that a commit,
//! which costs an fsync, is shared by all who wait for it: the busier, the larger the batches. Each
//! is told only after the commit: a record that was acknowledged survives kill -9 and the loss of
//! power. Readers use a snapshot of the last commit, and never wait for a write.
//!
//! redb refuses everything after one failed write, so the file is opened again then; and before the
//! disk is full, nothing is tried ([`RESERVE`]).

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use redb::{Database, Durability, ReadOnlyTable, ReadableTable as _, Table, TableDefinition};
use redb::{ReadableDatabase as _, ReadableTableMetadata as _};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::{Entry, Key, Later, Put, Store, StoreError, limits};
use crate::{
    metrics::StoreMetrics,
    share::{Network, Shares, Verdict},
};

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

/// Kind and id to seq, expiry, liveness, owner and record.
const RECORDS: TableDefinition<&Flat, &[u8]> = TableDefinition::new("kept");

/// The same records by who left them: owner, kind and id.
const OWNED: TableDefinition<&Owned, ()> = TableDefinition::new("owned");

/// A key of the first table: the kind and the id.
type Flat = [u8; 33];

/// A key of the second.
type Owned = [u8; OWNER + 33];

/// An owner's network: how many bytes it has, and these.
const OWNER: usize = 1 + Network::LONGEST;

/// What comes before a record's bytes: seq, expiry, liveness, owner.
const HEADER: usize = 8 + 8 + 1 + OWNER;

/// The store in one file of this machine.
pub struct Embedded {
    snapshot: Snapshot,
    /// Closing it ends the writer.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<thread::JoinHandle<()>>,
}

/// The last commit, for readers; none while the file is being opened again.
type Snapshot = Arc<RwLock<Option<ReadOnlyTable<&'static Flat, &'static [u8]>>>>;

enum Job {
    Put {
        key: Key,
        entry: Entry,
        from: Network,
        now: u64,
        reply: oneshot::Sender<Result<Put, StoreError>>,
    },
    /// Forgets those of these that have expired.
    Forget {
        keys: Vec<Flat>,
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
            shares: Shares::new(limits(max_records)),
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
        with: impl FnOnce(&ReadOnlyTable<&'static Flat, &'static [u8]>) -> Result<T, redb::StorageError>,
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
            for (count, item) in table.range::<&Flat>(&from..)?.enumerate() {
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
            Ok(value.and_then(|value| Some(decode(value.value())?.0)))
        });
        let current = found.map(|entry| entry.filter(|entry| entry.expires >= now));
        Box::pin(std::future::ready(current))
    }

    fn put(&self, key: Key, entry: Entry, from: Network, now: u64) -> Later<'_, Put> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Put {
            key,
            entry,
            from,
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
    /// What each network has in the database.
    shares: Shares,
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
                // Anybody who asked may be gone.
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
            database.begin_read()?.open_table(OWNED),
            Err(redb::TableError::TableDoesNotExist(_))
        );
        if missing {
            let first = database.begin_write()?;
            first.open_table(RECORDS)?;
            first.open_table(OWNED)?;
            first.commit()?;
        }
        self.shares = Shares::new(limits(self.max_records));
        for item in database.begin_read()?.open_table(OWNED)?.iter()? {
            let (owned, ()) = item.map(|(owned, _)| (*owned.value(), ()))?;
            let (owner, _) = split(&owned);
            self.shares.add(owner);
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
            return Err(StoreError::NoRoom);
        }
        match self.refuse_until {
            Some(until) if Instant::now() < until => Err(StoreError::NoRoom),
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
        match commit(&database, batch, &mut self.shares, &self.metrics) {
            Ok(answers) => {
                if let Err(error) = self.publish(&database) {
                    warn!(%error, "what was written cannot be read yet");
                }
                self.database = Some(database);
                Ok(answers)
            }
            Err(error) => {
                let full = is_full(&error);
                warn!(%error, full, "records could not be written; opening them again");
                self.refuse_until = Some(Instant::now() + PAUSE);
                // Readers wait for no longer than this takes.
                self.close();
                drop(database);
                if let Err(error) = self.open() {
                    error!(%error, "the records cannot be opened");
                }
                Err(if full {
                    StoreError::NoRoom
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

/// Does what waits, in one transaction. If that fails, `shares` has to be counted again.
fn commit(
    database: &Database,
    batch: &[Job],
    shares: &mut Shares,
    metrics: &StoreMetrics,
) -> Result<Vec<Answer>, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut answers = Vec::with_capacity(batch.len());
    let mut tables = Tables {
        records: transaction.open_table(RECORDS)?,
        owned: transaction.open_table(OWNED)?,
        shares,
        metrics,
        changed: false,
    };
    for job in batch {
        answers.push(match job {
            Job::Put {
                key,
                entry,
                from,
                now,
                ..
            } => Answer::Put(tables.put(flat(*key), entry, *from, *now)?),
            Job::Forget { keys, now, .. } => {
                let mut count = 0;
                for key in keys {
                    // It may have been renewed since.
                    let there = tables.records.get(key)?;
                    let expired = there.is_some_and(|at| expiry(at.value()) < *now);
                    if expired {
                        tables.remove(key)?;
                        count += 1;
                    }
                }
                Answer::Forgotten(count)
            }
        });
    }
    let changed = tables.changed;
    drop(tables);
    match changed {
        true => transaction.commit()?,
        false => transaction.abort()?,
    }
    Ok(answers)
}

/// What a transaction works on.
struct Tables<'a> {
    records: Table<'a, &'static Flat, &'static [u8]>,
    owned: Table<'a, &'static Owned, ()>,
    shares: &'a mut Shares,
    metrics: &'a StoreMetrics,
    changed: bool,
}

impl Tables<'_> {
    fn put(
        &mut self,
        key: Flat,
        entry: &Entry,
        from: Network,
        now: u64,
    ) -> Result<Result<Put, StoreError>, redb::StorageError> {
        let there = self.records.get(&key)?;
        let there = there.and_then(|there| decode(there.value()));
        let owner = match there {
            Some((old, _)) if old.expires >= now && old.seq >= entry.seq => {
                let same = old.seq == entry.seq && old.bytes == entry.bytes;
                return Ok(Ok(if same { Put::Same } else { Put::Lower }));
            }
            Some((_, owner)) => owner,
            None => {
                match self.shares.ask(&from.lineage()) {
                    Verdict::Room => {}
                    Verdict::GivesWay(other) => {
                        self.remove_one_of(other)?;
                        self.metrics.share.gave_way.inc();
                    }
                    Verdict::Full(network) => {
                        self.metrics.share.refused.inc();
                        return Ok(Err(StoreError::Full(network)));
                    }
                }
                self.shares.add(from);
                self.owned.insert(&join(&from, &key), ())?;
                from
            }
        };
        self.records
            .insert(&key, encode(entry, &owner).as_slice())?;
        self.changed = true;
        Ok(Ok(Put::Stored))
    }

    fn remove(&mut self, key: &Flat) -> Result<(), redb::StorageError> {
        let removed = self.records.remove(key)?;
        let owner = removed.and_then(|removed| Some(decode(removed.value())?.1));
        if let Some(owner) = owner {
            self.owned.remove(&join(&owner, key))?;
            self.shares.remove(owner);
        }
        self.changed = true;
        Ok(())
    }

    /// The first by kind and id: which of them it is makes no difference to the others.
    fn remove_one_of(&mut self, owner: Network) -> Result<(), redb::StorageError> {
        let (first, last) = (join(&owner, &[0; 33]), join(&owner, &[u8::MAX; 33]));
        let one = self.owned.range::<&Owned>(&first..=&last)?.next();
        let key = one.transpose()?.map(|(owned, _)| split(owned.value()).1);
        match key {
            Some(key) => self.remove(&key),
            None => Ok(()),
        }
    }
}

/// A record's key in the table of owners.
fn join(owner: &Network, key: &Flat) -> Owned {
    let mut owned = [0; OWNER + 33];
    owned[..OWNER].copy_from_slice(&padded(owner));
    owned[OWNER..].copy_from_slice(key);
    owned
}

/// Such a key's parts. An owner that can't be read is everybody, whom no rule takes anything from.
fn split(owned: &Owned) -> (Network, Flat) {
    let mut key = [0; 33];
    key.copy_from_slice(&owned[OWNER..]);
    (unpadded(&owned[..OWNER]).unwrap_or(Network::ALL), key)
}

fn padded(owner: &Network) -> [u8; OWNER] {
    let mut bytes = [0; OWNER];
    let own = owner.as_bytes();
    bytes[0] = own.len() as u8;
    bytes[1..=own.len()].copy_from_slice(own);
    bytes
}

fn unpadded(bytes: &[u8]) -> Option<Network> {
    let (len, bytes) = bytes.split_first()?;
    Network::from_bytes(bytes.get(..usize::from(*len))?)
}

fn flat(key: Key) -> Flat {
    let mut flat = [0; 33];
    flat[0] = key.kind as u8;
    flat[1..].copy_from_slice(&key.id);
    flat
}

fn encode(entry: &Entry, owner: &Network) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER + entry.bytes.len());
    value.extend_from_slice(&entry.seq.to_be_bytes());
    value.extend_from_slice(&entry.expires.to_be_bytes());
    value.push(u8::from(entry.live));
    value.extend_from_slice(&padded(owner));
    value.extend_from_slice(&entry.bytes);
    value
}

/// A value of ours and its owner; none if it is not, which a record of the same key then replaces.
fn decode(value: &[u8]) -> Option<(Entry, Network)> {
    let (seq, rest) = value.split_first_chunk()?;
    let (expires, rest) = rest.split_first_chunk()?;
    let (live, rest) = rest.split_first()?;
    let (owner, bytes) = rest.split_at_checked(OWNER)?;
    let entry = Entry {
        seq: u64::from_be_bytes(*seq),
        expires: u64::from_be_bytes(*expires),
        live: *live != 0,
        bytes: Bytes::copy_from_slice(bytes),
    };
    Some((entry, unpadded(owner)?))
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

    fn home() -> Network {
        Network::of(std::net::Ipv4Addr::LOCALHOST.into())
    }

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
            store.put(key(1), entry(5, 100, b"five"), home(), 0).await,
            Ok(Put::Stored)
        );
        assert_eq!(
            store.put(key(1), entry(5, 100, b"five"), home(), 0).await,
            Ok(Put::Same)
        );
        assert_eq!(
            store.put(key(1), entry(5, 100, b"other"), home(), 0).await,
            Ok(Put::Lower)
        );
        assert_eq!(
            store.put(key(1), entry(4, 100, b"four"), home(), 0).await,
            Ok(Put::Lower)
        );
        assert_eq!(
            store.put(key(1), entry(6, 100, b"six"), home(), 0).await,
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
        store
            .put(key(1), entry(5, 100, b"link"), home(), 0)
            .await
            .unwrap();
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
        store
            .put(key(1), entry(5, 100, b"old"), home(), 0)
            .await
            .unwrap();
        store
            .put(key(2), entry(5, 300, b"stays"), home(), 0)
            .await
            .unwrap();
        store
            .put(key(3), entry(5, 100, b"old"), home(), 0)
            .await
            .unwrap();
        assert_eq!(store.get(key(1), 101).await, Ok(None));
        // A host whose clock was ahead begins again with a lower number.
        assert_eq!(
            store.put(key(3), entry(1, 300, b"new"), home(), 101).await,
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
                store.put(key, entry(1, 100 + n % 2, b"x"), home(), 0)
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
            store.put(key(1), entry(1, 100, b"a"), home(), 0).await,
            Ok(Put::Stored)
        );
        assert_eq!(
            store.put(key(2), entry(1, 100, b"b"), home(), 0).await,
            Err(StoreError::Full(Network::ALL))
        );
        assert_eq!(
            store.put(key(1), entry(2, 100, b"c"), home(), 0).await,
            Ok(Put::Stored)
        );
    }

    fn from(n: u32) -> Network {
        Network::of(std::net::IpAddr::V4(n.into()))
    }

    async fn keep(store: &Embedded, n: u32, from: Network) -> Result<Put, StoreError> {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let key = Key {
            kind: Kind::Pkarr,
            id,
        };
        store.put(key, entry(1, 100, b"x"), from, 0).await
    }

    #[tokio::test]
    async fn whoever_has_most_gives_way_to_others_and_that_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 20);
        for n in 0..40 {
            let _ = keep(&store, n, from(1 + n % 2)).await;
        }
        assert_eq!(store.count().await, Ok(20));
        drop(store);
        let store = open(folder.path(), 20);
        for n in 100..106 {
            assert_eq!(keep(&store, n, from(3)).await, Ok(Put::Stored));
        }
        let more = keep(&store, 106, from(3)).await;
        assert_eq!(more, Err(StoreError::Full(Network::ALL)));
        assert_eq!(store.count().await, Ok(20));
        // Forgotten records are nobody's.
        assert_eq!(store.sweep(101).await, Ok(20));
        for n in 0..16 {
            assert_eq!(keep(&store, n, from(3)).await, Ok(Put::Stored));
        }
        let more = keep(&store, 16, from(3)).await;
        assert_eq!(more, Err(StoreError::Full(from(3))));
    }

    #[tokio::test]
    async fn a_record_stays_its_first_writers_and_is_renewed_where_there_is_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 1000);
        for n in 0..16 {
            assert_eq!(keep(&store, n, from(1)).await, Ok(Put::Stored));
        }
        store
            .put(key(9), entry(1, 100, b"a"), from(2), 0)
            .await
            .unwrap();
        // Its host has moved to an address that has all it may have.
        let renewed = store.put(key(9), entry(2, 100, b"b"), from(1), 0).await;
        assert_eq!(renewed, Ok(Put::Stored));
        let full = Err(StoreError::Full(from(1)));
        assert_eq!(keep(&store, 16, from(1)).await, full);
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
                store
                    .put(key(1), entry(seq, 100, b"x"), home(), 0)
                    .await
                    .unwrap()
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
