//! `pillion-signal`: keeps link records and address records until they expire, and is trusted with
//! nothing.
//!
//! ```text
//! PUT GET DELETE /v1/links/ID      a host's encrypted ticket, signed      (pillion_proto::link)
//! PUT GET        /pkarr/KEY        a host's addresses, signed             (pkarr relay, BEP 44)
//! POST /v1/mail, PUT GET …/N/SIDE/SEQ    a few messages for a spoken code (mail)
//! GET /s/ID                        says how to join, to a browser         (page)
//! GET /healthz, /metrics
//! UDP: a link's record by datagram, in one round trip                     (lookup)
//! ```
//!
//! ```text
//! connection ─▶ front: a place ─▶ http: rate, size ─▶ links, pkarr: verify ─▶ Store ─▶ one writer, many at a commit
//! ```
//!
//! Everything it keeps for somebody has a bound for all, and a share in it for each network
//! ([`share`]).
//!
//! What it sees are addresses, timing and sizes, and which ids are asked for. What it keeps, it can
//! neither read nor change without readers noticing. It writes no addresses and no ids to its logs.
//!
//! Start reading at [`Service::start`].

mod clock;
mod config;
mod front;
mod http;
mod limit;
mod links;
mod lookup;
mod mail;
pub mod metrics;
mod page;
mod pkarr;
mod places;
mod relay;
mod serve;
pub mod store;

pub use pillion_share as share;

pub use config::{Config, RelayConfig, StoreConfig, Subnet, Tls};
pub use serve::Service;
