//! Any server that speaks PostgreSQL's protocol: PostgreSQL, and CockroachDB or YugabyteDB where one
//! machine is not enough.
//!
//! PostgreSQL's protocol rather than Redis's, because it has several open engines that replicate
//! across regions with one answer to "which record is newer", and because an acknowledged write is on
//! disk. Keeping the newest is one conditional upsert, atomic in the server, so that any number of
//! services may share one: they hold nothing of their own but mailboxes, limits and metrics.
//!
//! Mailboxes stay in each service's memory: the proxy before several of them sends `/v1/mail` to one.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::RwLock;
use tokio_postgres::{Client, Config, NoTls, Statement};
use tracing::{error, warn};

use super::{Entry, Key, Later, Put, Store, StoreError};

/// How long the server may take to connect, or to answer.
const WITHIN: Duration = Duration::from_secs(5);

const TABLE: &str = "CREATE TABLE IF NOT EXISTS pillion_records (
    kind smallint NOT NULL, id bytea NOT NULL, seq bigint NOT NULL, expires bigint NOT NULL,
    live boolean NOT NULL, bytes bytea NOT NULL, PRIMARY KEY (kind, id))";

const INDEX: &str =
    "CREATE INDEX IF NOT EXISTS pillion_records_expires ON pillion_records (expires)";

const GET: &str = "SELECT seq, expires, live, bytes FROM pillion_records WHERE kind = $1 AND id = $2 AND expires >= $3";

/// Touches a row if the new record is newer, or the old one has expired ($7 is now).
const PUT: &str = "INSERT INTO pillion_records AS old (kind, id, seq, expires, live, bytes)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (kind, id) DO UPDATE
    SET seq = excluded.seq, expires = excluded.expires, live = excluded.live, bytes = excluded.bytes
    WHERE excluded.seq > old.seq OR old.expires < $7";

/// A step at a time, so that no lock is held for long; those that another service sweeps are left
/// to it.
const SWEEP: &str = "DELETE FROM pillion_records WHERE (kind, id) IN (
    SELECT kind, id FROM pillion_records WHERE expires < $1 LIMIT 2000 FOR UPDATE SKIP LOCKED)";

const COUNT: &str = "SELECT count(*) FROM pillion_records";

/// The store in a server that several services share.
pub struct Postgres {
    config: Config,
    link: RwLock<Arc<Link>>,
}

/// One connection, which carries many requests at a time, and what was prepared on it.
struct Link {
    client: Client,
    get: Statement,
    put: Statement,
    sweep: Statement,
    count: Statement,
}

impl Postgres {
    /// Connects (`host=… user=… dbname=…` or `postgres://…`), and makes the table when missing.
    ///
    /// The connection is not encrypted: use a Unix socket, or a private network or tunnel.
    pub async fn connect(connection: &str) -> anyhow::Result<Self> {
        // The error of a malformed text would show it, and a password may be in it.
        let parsed: Result<Config, _> = connection.parse();
        let mut config = parsed.map_err(|_| {
            anyhow::anyhow!("the connection to PostgreSQL must read like host=… user=… dbname=…")
        })?;
        config.connect_timeout(WITHIN);
        let link = dial(&config)
            .await
            .context("PostgreSQL cannot be reached")?;
        Ok(Self {
            config,
            link: RwLock::new(Arc::new(link)),
        })
    }

    /// The connection, a new one if the last has ended.
    async fn link(&self) -> Result<Arc<Link>, StoreError> {
        let link = self.link.read().await.clone();
        if !link.client.is_closed() {
            return Ok(link);
        }
        let mut held = self.link.write().await;
        // Somebody else may have been first.
        if held.client.is_closed() {
            warn!("connecting to PostgreSQL anew");
            *held = Arc::new(dial(&self.config).await.map_err(|error| failed(&error))?);
        }
        Ok(held.clone())
    }
}

async fn dial(config: &Config) -> Result<Link, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // Ends with the client, or when the server goes away.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            warn!(%error, "the connection to PostgreSQL has ended");
        }
    });
    // Two services that start at once may both try; the second finds it made.
    if let Err(first) = client.batch_execute(TABLE).await {
        warn!(error = %first, "the table could not be made; trying once more");
        client.batch_execute(TABLE).await?;
    }
    if client.batch_execute(INDEX).await.is_err() {
        client.batch_execute(INDEX).await?;
    }
    Ok(Link {
        get: client.prepare(GET).await?,
        put: client.prepare(PUT).await?,
        sweep: client.prepare(SWEEP).await?,
        count: client.prepare(COUNT).await?,
        client,
    })
}

impl Store for Postgres {
    fn get(&self, key: Key, now: u64) -> Later<'_, Option<Entry>> {
        Box::pin(within(async move {
            let link = self.link().await?;
            read(&link, key, now).await
        }))
    }

    fn put(&self, key: Key, entry: Entry, now: u64) -> Later<'_, Put> {
        Box::pin(within(async move {
            let link = self.link().await?;
            let (kind, id) = (key.kind as i16, key.id.as_slice());
            let (seq, expires) = (ordered(entry.seq), ordered(entry.expires));
            let bytes = entry.bytes.as_ref();
            let now_ordered = ordered(now);
            let changed = link
                .client
                .execute(
                    &link.put,
                    &[
                        &kind,
                        &id,
                        &seq,
                        &expires,
                        &entry.live,
                        &bytes,
                        &now_ordered,
                    ],
                )
                .await
                .map_err(|error| failed(&error))?;
            if changed == 1 {
                return Ok(Put::Stored);
            }
            let there = read(&link, key, now).await?;
            let same = there.is_some_and(|old| old.seq == entry.seq && old.bytes == entry.bytes);
            Ok(if same { Put::Same } else { Put::Lower })
        }))
    }

    fn sweep(&self, now: u64) -> Later<'_, u64> {
        Box::pin(async move {
            let mut forgotten = 0;
            loop {
                let link = self.link().await?;
                let gone = link.client.execute(&link.sweep, &[&ordered(now)]).await;
                match gone.map_err(|error| failed(&error))? {
                    0 => return Ok(forgotten),
                    count => forgotten += count,
                }
            }
        })
    }

    fn count(&self) -> Later<'_, u64> {
        Box::pin(within(async move {
            let link = self.link().await?;
            let row = link.client.query_one(&link.count, &[]).await;
            let count: i64 = row
                .and_then(|row| row.try_get(0))
                .map_err(|error| failed(&error))?;
            Ok(u64::try_from(count).unwrap_or(0))
        }))
    }
}

async fn read(link: &Link, key: Key, now: u64) -> Result<Option<Entry>, StoreError> {
    let (kind, id, now) = (key.kind as i16, key.id.as_slice(), ordered(now));
    let row = link.client.query_opt(&link.get, &[&kind, &id, &now]).await;
    let Some(row) = row.map_err(|error| failed(&error))? else {
        return Ok(None);
    };
    let entry = || {
        Ok(Entry {
            seq: unordered(row.try_get(0)?),
            expires: unordered(row.try_get(1)?),
            live: row.try_get(2)?,
            bytes: Bytes::copy_from_slice(row.try_get(3)?),
        })
    };
    entry().map(Some).map_err(|error| failed(&error))
}

async fn within<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(WITHIN, answer).await {
        Ok(answer) => answer,
        Err(_) => {
            error!("PostgreSQL does not answer in time");
            Err(StoreError::Unavailable)
        }
    }
}

fn failed(error: &tokio_postgres::Error) -> StoreError {
    use tokio_postgres::error::SqlState;
    error!(%error, "PostgreSQL refused");
    match error.code() {
        Some(&SqlState::DISK_FULL) => StoreError::Full,
        _ => StoreError::Unavailable,
    }
}

/// An unsigned number as a signed one in the same order: the server has no unsigned ones.
fn ordered(number: u64) -> i64 {
    (number ^ (1 << 63)).cast_signed()
}

fn unordered(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_order_in_the_server() {
        let numbers = [0, 1, i64::MAX as u64, 1 << 63, u64::MAX];
        assert!(numbers.map(ordered).is_sorted());
        for number in numbers {
            assert_eq!(unordered(ordered(number)), number);
        }
    }
}
