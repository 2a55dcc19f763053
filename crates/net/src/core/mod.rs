//! Streams over a connection, whatever carries it: without sockets, clocks, threads or a runtime.
//!
//! A [`Carrier`] is one connection that opens and accepts streams: QUIC here, WebTransport or
//! JavaScript's streams elsewhere. A [`PeerConnection`] names its streams as the state machines do,
//! queues what can't be sent yet and closes a peer that takes nothing. All that is waited for is in
//! [`PendingEvents`]; the driver asks it for what happened, hands that to
//! [`PeerConnection::on`], and passes on the [`ConnectionEvent`]s that come of it.
//!
//! The driver brings what this part has not: the time, as microseconds on any clock that never goes
//! back, and the futures of its own that it waits for. Nothing asks for `Send`: what a driver may
//! move between threads follows from its carrier.

mod carrier;
pub mod code;
mod connection;
mod outgoing;
mod path;
mod pending;

pub use carrier::{Accepted, Carrier, Opened, RecvHalf, SendHalf, StreamLost};
pub use connection::{ConnectionEvent, PeerConnection, Role};
#[cfg(test)]
pub(crate) use outgoing::Outgoing;
pub use pending::{Event, LinkEvent, PendingEvents};
