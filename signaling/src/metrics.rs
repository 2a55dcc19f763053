//! What Prometheus is told: counts, sizes and times, nothing about anybody.

use std::sync::atomic::AtomicI64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// A request, as it is counted. Routes are the few we have, never what was asked for.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) status: u16,
}

/// What is shared among those who ask, as it is counted.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Shared {
    pub(crate) what: &'static str,
}

/// What became of those who asked for their share.
#[derive(Clone, Debug, Default)]
pub struct ShareMetrics {
    /// Had to make room for somebody with less.
    pub(crate) gave_way: Counter,
    /// Got none.
    pub(crate) refused: Counter,
}

/// The writer's share.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// Writes in one transaction.
    pub(crate) batch: Histogram,
    /// How long one transaction took, in seconds.
    pub(crate) commit: Histogram,
    /// Records that gave way or had no room.
    pub(crate) share: ShareMetrics,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            batch: Histogram::new(exponential_buckets(1.0, 4.0, 6)),
            commit: Histogram::new(exponential_buckets(0.0005, 2.0, 12)),
            share: ShareMetrics::default(),
        }
    }
}

/// A connection that is counted.
pub(crate) struct Open(Gauge<i64, AtomicI64>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Family<Request, Counter>,
    pub(crate) lookups: Counter,
    pub(crate) seconds: Histogram,
    connections: Gauge<i64, AtomicI64>,
    pub(crate) records: Gauge<i64, AtomicI64>,
    pub(crate) mailboxes: Gauge<i64, AtomicI64>,
    pub(crate) expired: Counter,
    pub(crate) relay_admitted: Counter,
    pub(crate) relay_refused: Counter,
    gave_way: Family<Shared, Counter>,
    refused: Family<Shared, Counter>,
    pub(crate) store: StoreMetrics,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("pillion_signal");
        let mut metrics = Self {
            requests: Family::default(),
            lookups: Counter::default(),
            seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)),
            connections: Gauge::default(),
            records: Gauge::default(),
            mailboxes: Gauge::default(),
            expired: Counter::default(),
            relay_admitted: Counter::default(),
            relay_refused: Counter::default(),
            gave_way: Family::default(),
            refused: Family::default(),
            store: StoreMetrics::default(),
            registry: Registry::default(),
        };
        metrics.store.share = metrics.share("record");
        registry.register("requests", "Requests answered", metrics.requests.clone());
        let by_datagram = "Links resolved by datagram";
        registry.register("lookups", by_datagram, metrics.lookups.clone());
        let time = "From a request's headers to its answer, waits for mail left out";
        registry.register_with_unit("request", time, Unit::Seconds, metrics.seconds.clone());
        let open = "Connections open now";
        registry.register("connections", open, metrics.connections.clone());
        let kept = "Records kept, counted at the last sweep";
        registry.register("records", kept, metrics.records.clone());
        let boxes = "Mailboxes open, counted at the last sweep";
        registry.register("mailboxes", boxes, metrics.mailboxes.clone());
        let gone = "Records forgotten because they expired";
        registry.register("expired", gone, metrics.expired.clone());
        let let_in = "Relay connections let in";
        registry.register("relay_admitted", let_in, metrics.relay_admitted.clone());
        let kept_out = "Relay connections refused";
        registry.register("relay_refused", kept_out, metrics.relay_refused.clone());
        let gave_way = "Gave way to somebody with a smaller share";
        registry.register("gave_way", gave_way, metrics.gave_way.clone());
        let full = "Refused because a share was full";
        registry.register("share_refused", full, metrics.refused.clone());
        let writes = "Writes in one transaction";
        registry.register("batch", writes, metrics.store.batch.clone());
        let commit = "How long a transaction took";
        registry.register_with_unit(
            "commit",
            commit,
            Unit::Seconds,
            metrics.store.commit.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }

    /// Counts a connection until this is dropped.
    pub(crate) fn connection(&self) -> Open {
        self.connections.inc();
        Open(self.connections.clone())
    }

    /// The counters of one thing that is shared.
    pub(crate) fn share(&self, what: &'static str) -> ShareMetrics {
        ShareMetrics {
            gave_way: self.gave_way.get_or_create(&Shared { what }).clone(),
            refused: self.refused.get_or_create(&Shared { what }).clone(),
        }
    }

    /// The text Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail; a metric that cannot be told is left out.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
