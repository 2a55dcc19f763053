//! The link service, as a client sees it: links, spoken codes, address records.
//!
//! The service is trusted with nothing. A link's record is signed by its host and encrypted for who
//! has the link; a code's exchange is a PAKE; address records are signed by the endpoint. What the
//! service can do is withhold, and see addresses, timing and sizes.
//!
//! [`LinkPublisher`] is the host's side: it keeps a session's record published, and answers codes, on a
//! thread of its own, so that nothing here is ever between a key and its echo. [`Resolver`] and
//! [`redeem`] are the viewer's.

mod client;
mod lookup;
mod mailbox;
mod pairing;
mod publisher;
mod records;
mod resolver;
mod schedule;

pub use client::{SignalError, SignalService, SignalUrl};
pub use mailbox::redeem;
pub use pairing::{Guessing, Guest, Invitation, Linked};
pub use publisher::{LinkPublisher, PublisherEvent, Shared};
pub use records::Records;
pub use resolver::{JoinError, Resolver};
pub use schedule::RefreshSchedule;
