//! Identity, endpoint and drivers: the only user of iroh.
//!
//! The session's state machines know streams and bytes; this crate carries them over QUIC.
//! [`HostNet`] and [`ViewerNet`] have one shape: `next_input().await` gives what the state machine is
//! to be told next, `apply(output)` does what it asks for. Both are polled where the state machine
//! runs, on one thread: there is no task and no channel between a readable socket and
//! `next_input` but QUIC's own, and bytes given to `apply` are handed to QUIC before it returns.
//!
//! [`core`] is what both are made of: streams over any carrier, without iroh or a runtime. The features say
//! how much of the rest there is: `viewer` and `host` over iroh's QUIC, and `signal`, which speaks with the
//! link service beside all this.
//!
//! Nothing queues without bound. What is received stays in QUIC's windows until `next_input` asks
//! for it, a few packets of each stream in turn, so a flooding peer holds up nobody and costs no
//! memory beyond its windows. What cannot be sent yet waits in a queue per connection; a peer that
//! lets it overflow is closed ([`limits`]).

#[cfg(feature = "core")]
pub mod core;
#[cfg(feature = "core")]
pub mod limits;
#[cfg(feature = "signal")]
pub mod signal;

#[cfg(feature = "host")]
mod address;
#[cfg(any(feature = "viewer", feature = "host"))]
mod clock;
#[cfg(feature = "viewer")]
mod close;
#[cfg(any(feature = "viewer", feature = "host"))]
mod endpoint;
#[cfg(feature = "quic")]
mod error;
#[cfg(feature = "host")]
mod host;
#[cfg(feature = "quic")]
mod identity;
#[cfg(any(feature = "viewer", feature = "host"))]
mod quic;
#[cfg(feature = "quic")]
#[cfg_attr(
    not(any(feature = "viewer", feature = "host")),
    expect(dead_code, reason = "some of it is for endpoints")
)]
mod relay;
#[cfg(any(feature = "viewer", feature = "host"))]
mod resolve;
#[cfg(feature = "host")]
mod slack;
#[cfg(feature = "host")]
mod strangers;
#[cfg(feature = "viewer")]
mod viewer;
#[cfg(any(feature = "viewer", feature = "signal"))]
mod words;

#[cfg(any(feature = "viewer", feature = "host"))]
pub use endpoint::NetOptions;
#[cfg(feature = "quic")]
pub use error::NetError;
#[cfg(feature = "host")]
pub use host::HostNet;
#[cfg(feature = "quic")]
pub use identity::{IdentityError, load_or_create_identity, random_bytes};
#[cfg(feature = "quic")]
pub use relay::{RelayCa, RelayChoice, RelayChoiceError, RelaySecret};
#[cfg(any(feature = "viewer", feature = "host"))]
pub use resolve::{Resolve, ResolveError};
#[cfg(feature = "viewer")]
pub use viewer::ViewerNet;
