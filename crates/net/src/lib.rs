//! Identity, endpoint and drivers: the only user of iroh.
//!
//! The session's state machines know streams and bytes; this crate carries them over QUIC.
//! [`HostNet`] and [`ViewerNet`] have one shape: `next_input().await` gives what the state machine is
//! to be told next, `apply(output)` does what it asks for. Both are polled where the state machine
//! runs, on one thread: there is no task and no channel between a readable socket and
//! `next_input` but QUIC's own, and bytes given to `apply` are handed to QUIC before it returns.
//!
//! [`signal`] speaks with the link service, beside all this.
//!
//! Nothing queues without bound. What is received stays in QUIC's windows until `next_input` asks
//! for it, a few packets of each stream in turn, so a flooding peer holds up nobody and costs no
//! memory beyond its windows. What cannot be sent yet waits in a queue per connection; a peer that
//! lets it overflow is closed ([`limits`]).

mod address;
mod close;
mod core;
mod endpoint;
mod error;
mod host;
mod identity;
mod relay;
mod resolve;
mod strangers;
mod viewer;

pub mod limits;
pub mod signal;

pub use endpoint::NetOptions;
pub use error::NetError;
pub use host::HostNet;
pub use identity::{IdentityError, load_or_create_identity, random_bytes};
pub use relay::{RelayCa, RelayChoice, RelayChoiceError, RelaySecret};
pub use resolve::{Resolve, ResolveError};
pub use viewer::ViewerNet;
