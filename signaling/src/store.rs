//! Where records are kept: a trait, and the engines behind it.

mod embedded;
#[cfg(feature = "postgres")]
mod postgres;

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use thiserror::Error;

pub use embedded::Embedded;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;

use crate::{
    http::full,
    share::{Limits, Network},
};

/// Part of all records that may be of one address. Hosts that renew within their rate keep some 10,000;
/// a 256th of four million is more.
const PART: u64 = 256;

/// Records that an address may have in the smallest store.
const LEAST: u64 = 16;

/// What networks may hold of so many records.
fn limits(max_records: u64) -> Limits {
    Limits::parts(max_records, PART, LEAST)
}

/// What kind of record an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A link record, or its tombstone.
    Link = 1,
    /// An address record.
    Pkarr = 2,
}

/// What a record is kept under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// The public key it is signed with, or for a link that key's hash (`pillion_proto::lookup`).
    pub id: [u8; 32],
}

/// A record, verified before it came here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Replaces those with lower numbers.
    pub seq: u64,
    /// When to forget it, in milliseconds since 1970.
    pub expires: u64,
    /// Whether to hand it out; a tombstone only keeps older records away.
    pub live: bool,
    /// The record.
    pub bytes: Bytes,
}

/// What became of a record that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is kept, and survives the process and the machine.
    Stored,
    /// The very same was there already.
    Same,
    /// Another with as high a number, or a higher one, stays.
    Lower,
}

/// Why a store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// No room on the disk.
    #[error("the service has no room for more records")]
    NoRoom,
    /// This network has as many records as it may have, and nobody in it has more than who asks.
    #[error("{}", full("records", *.0))]
    Full(Network),
    /// More is waiting to be written than is held in memory.
    #[error("the service is busy")]
    Busy,
    /// Something else is wrong, which its log says.
    #[error("the service cannot reach its records now")]
    Unavailable,
}

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps the newest record for each key until it expires.
///
/// `now` is in milliseconds since 1970. What has expired counts as absent, whether or not it is
/// still there.
pub trait Store: Send + Sync + 'static {
    /// The record, if one is kept. A tombstone comes too.
    fn get(&self, key: Key, now: u64) -> Later<'_, Option<Entry>>;

    /// Keeps the record if it is newer than what is there; atomic among all who write. The answer
    /// comes once it is durable.
    ///
    /// A record is its first writer's, in their network's share (`share`): where that is full a new
    /// one takes the place of another's, or of none. One that is there is renewed all the same.
    fn put(&self, key: Key, entry: Entry, from: Network, now: u64) -> Later<'_, Put>;

    /// Forgets what has expired, in small steps. Returns how many records it was.
    fn sweep(&self, now: u64) -> Later<'_, u64>;

    /// How many records there are, expired ones among them.
    fn count(&self) -> Later<'_, u64>;
}
