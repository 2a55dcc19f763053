//! Any server that speaks PostgreSQL's protocol: PostgreSQL, and CockroachDB or YugabyteDB where one
//! machine is not enough.
//!
//! PostgreSQL's protocol rather than Redis's, because it has several open engines that replicate
//! across regions with one answer to "which record is newer", and because an acknowledged write is on
//! disk. Keeping the newest is one conditional statement, atomic in the server, so that any number of
//! services may share one: they hold nothing of their own but mailboxes, limits and metrics.
//!
//! What each network holds is counted in the server, in the transaction that keeps or drops a record, so
//! it is always exact. The rule (`share`) is applied here. Each service asks for room for one new record
//! at a time; two services may do so at once, and then the total is over by one until the next asks.
//!
//! Mailboxes stay in each service's memory: the proxy before several of them sends `/v1/mail` to one.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::{Mutex, RwLock};
use tokio_postgres::{Client, Config, NoTls, Row, Statement};
use tracing::{error, warn};

use super::{Entry, Key, Later, Put, Store, StoreError, limits};
use crate::{
    metrics::StoreMetrics,
    share::{Decision, Limits, Lineage, Network, Rung, decide},
};

/// How long the server may take to connect, or to answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Tries to set up what is missing: services that start at once get into each other's way.
const TRIES: usize = 5;

const SETUP: &str = include_str!("postgres.sql");

const GET: &str = "SELECT seq, expires, live, bytes FROM pillion_records WHERE kind = $1 AND id = $2 AND expires >= $3";

/// Touches a row if the new record is newer, or the old one has expired ($7 is now).
const RENEW: &str = "UPDATE pillion_records SET seq = $3, expires = $4, live = $5, bytes = $6
    WHERE kind = $1 AND id = $2 AND (seq < $3 OR expires < $7)";

/// How the networks of a lineage stand, in their order.
const RUNGS: &str = "SELECT COALESCE(own.held, 0),
        COALESCE((SELECT max(held) FROM pillion_holdings WHERE within = asked.network), 0)
    FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (network, place)
    LEFT JOIN pillion_holdings AS own ON own.network = asked.network ORDER BY asked.place";

/// In the order in which the other store picks them, too.
const LARGEST: &str = "SELECT network FROM pillion_holdings WHERE within = $1
    ORDER BY held DESC, network DESC LIMIT 1";

const DROP_ONE: &str = "SELECT pillion_drop_one($1)";

const KEEP: &str = "SELECT pillion_keep($1, $2, $3, $4, $5, $6, $7)";

const SWEEP: &str = "SELECT pillion_sweep($1)";

const COUNT: &str = "SELECT held FROM pillion_holdings WHERE network = ''";

/// The store in a server that several services share.
pub struct Postgres {
    config: Config,
    limits: Limits,
    link: RwLock<Arc<Link>>,
    /// Held while room for a new record is made and taken.
    room: Mutex<()>,
    metrics: StoreMetrics,
}

/// One connection, which carries many requests at a time, and what was prepared on it.
struct Link {
    client: Client,
    get: Statement,
    renew: Statement,
    rungs: Statement,
    largest: Statement,
    drop_one: Statement,
    keep: Statement,
    sweep: Statement,
    count: Statement,
}

impl Postgres {
    /// Connects (`host=… user=… dbname=…` or `postgres://…`), and makes the tables when missing.
    ///
    /// The connection is not encrypted: use a Unix socket, or a private network or tunnel.
    pub async fn connect(
        connection: &str,
        max_records: u64,
        metrics: StoreMetrics,
    ) -> anyhow::Result<Self> {
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
            limits: limits(max_records),
            link: RwLock::new(Arc::new(link)),
            room: Mutex::default(),
            metrics,
        })
    }

    /// Sees to it that there is room for one more record of this network, or says which has none.
    async fn make_room(&self, link: &Link, from: Network) -> Result<(), StoreError> {
        let lineage = from.lineage();
        match decide(&link.rungs(&lineage, &self.limits).await?) {
            Decision::Room => Ok(()),
            Decision::LargestIn(at) => {
                self.metrics.share.gave_way.inc();
                link.drop_one_in(lineage[at]).await
            }
            Decision::Full(at) => {
                self.metrics.share.refused.inc();
                Err(StoreError::Full(lineage[at]))
            }
        }
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
            warn!("connecting to PostgreSQL again");
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
    let mut tried = 1;
    while let Err(error) = client.batch_execute(SETUP).await {
        if tried == TRIES {
            return Err(error);
        }
        warn!(%error, "the tables could not be made; trying again");
        tried += 1;
    }
    Ok(Link {
        get: client.prepare(GET).await?,
        renew: client.prepare(RENEW).await?,
        rungs: client.prepare(RUNGS).await?,
        largest: client.prepare(LARGEST).await?,
        drop_one: client.prepare(DROP_ONE).await?,
        keep: client.prepare(KEEP).await?,
        sweep: client.prepare(SWEEP).await?,
        count: client.prepare(COUNT).await?,
        client,
    })
}

impl Link {
    /// Whether there was something older to take the place of.
    async fn renew(&self, key: Key, entry: &Entry, now: u64) -> Result<bool, StoreError> {
        let (kind, id) = (key.kind as i16, key.id.as_slice());
        let (seq, expires, now) = (ordered(entry.seq), ordered(entry.expires), ordered(now));
        let bytes = entry.bytes.as_ref();
        let changed = self
            .client
            .execute(
                &self.renew,
                &[&kind, &id, &seq, &expires, &entry.live, &bytes, &now],
            )
            .await;
        Ok(changed.map_err(|error| failed(&error))? == 1)
    }

    /// Keeps a record where there is none; whether there was none.
    async fn keep(&self, key: Key, entry: &Entry, from: Network) -> Result<bool, StoreError> {
        let (kind, id) = (key.kind as i16, key.id.as_slice());
        let (seq, expires) = (ordered(entry.seq), ordered(entry.expires));
        let (bytes, owner) = (entry.bytes.as_ref(), from.as_bytes());
        let kept = self
            .client
            .query_one(
                &self.keep,
                &[&kind, &id, &seq, &expires, &entry.live, &bytes, &owner],
            )
            .await;
        let kept = kept.and_then(|row| row.try_get(0));
        kept.map_err(|error| failed(&error))
    }

    async fn read(&self, key: Key, now: u64) -> Result<Option<Entry>, StoreError> {
        let (kind, id, now) = (key.kind as i16, key.id.as_slice(), ordered(now));
        let row = self.client.query_opt(&self.get, &[&kind, &id, &now]).await;
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

    /// How each network of a lineage stands.
    async fn rungs(&self, lineage: &Lineage, limits: &Limits) -> Result<Vec<Rung>, StoreError> {
        let networks: Vec<&[u8]> = lineage.iter().map(Network::as_bytes).collect();
        let rows = self.client.query(&self.rungs, &[&networks]).await;
        let rung = |(row, network): (&Row, &Network)| {
            let number = |at| {
                row.try_get(at)
                    .map(|number: i64| number.max(0).cast_unsigned())
            };
            Ok(Rung {
                held: number(0)?,
                limit: limits.of(network),
                largest: number(1)?,
            })
        };
        rows.and_then(|rows| rows.iter().zip(lineage.iter()).map(rung).collect())
            .map_err(|error| failed(&error))
    }

    /// Drops a record of the largest network inside this one.
    async fn drop_one_in(&self, within: Network) -> Result<(), StoreError> {
        let mut network = within.as_bytes().to_vec();
        let largest = async |network: &[u8]| {
            let row = self.client.query_opt(&self.largest, &[&network]).await?;
            row.map(|row| row.try_get::<_, Vec<u8>>(0)).transpose()
        };
        while let Some(inside) = largest(&network).await.map_err(|error| failed(&error))? {
            network = inside;
        }
        let dropped = self.client.query(&self.drop_one, &[&network]).await;
        dropped.map(drop).map_err(|error| failed(&error))
    }
}

impl Store for Postgres {
    fn get(&self, key: Key, now: u64) -> Later<'_, Option<Entry>> {
        Box::pin(within(async move {
            let link = self.link().await?;
            link.read(key, now).await
        }))
    }

    fn put(&self, key: Key, entry: Entry, from: Network, now: u64) -> Later<'_, Put> {
        Box::pin(within(async move {
            let link = self.link().await?;
            loop {
                if link.renew(key, &entry, now).await? {
                    return Ok(Put::Stored);
                }
                if let Some(there) = link.read(key, now).await? {
                    if there.seq < entry.seq {
                        continue; // An older one came in between.
                    }
                    let same = there.seq == entry.seq && there.bytes == entry.bytes;
                    return Ok(if same { Put::Same } else { Put::Lower });
                }
                let _room = self.room.lock().await;
                self.make_room(&link, from).await?;
                if link.keep(key, &entry, from).await? {
                    return Ok(Put::Stored);
                }
                // Somebody was faster.
            }
        }))
    }

    fn sweep(&self, now: u64) -> Later<'_, u64> {
        Box::pin(async move {
            let mut forgotten = 0;
            loop {
                let link = self.link().await?;
                let gone = link.client.query_one(&link.sweep, &[&ordered(now)]).await;
                let gone = gone.and_then(|row| row.try_get(0));
                match gone.map_err(|error| failed(&error))? {
                    0 => return Ok(forgotten),
                    count => forgotten += i64::max(count, 0).cast_unsigned(),
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
        Some(&SqlState::DISK_FULL) => StoreError::NoRoom,
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
