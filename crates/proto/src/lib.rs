//! Pillion's wire format: what two peers say to each other, byte for byte.
//!
//! A connection carries four kinds of stream ([`StreamKind`], the first byte on each):
//!
//! ```text
//! control  viewer ⇄ host   hello, roster, rights, requests, acknowledgements   one per connection
//! input    viewer → host   numbered intents                                     one per connection
//! track    host → viewer   a snapshot, then frames                             one per track looked at
//! history  viewer ⇄ host   one request, one reply                              as many as are asked
//! ```
//!
//! Each stream after its first byte is a sequence of *messages*: a length (`u32`, big endian), a tag
//! (one byte, [`tag`]) and a payload. Payloads are postcard; tags are ours, because postcard numbers
//! an enum's variants by position and a wire format must survive reordering. [`Framer`] cuts a stream
//! into messages and refuses what is too long before it is held.
//!
//! Everything here is pure: no sockets, no clocks, no files.

pub mod device;
pub mod framer;
pub mod growing;
pub mod limits;
pub mod link;
pub mod lookup;
pub mod message;
pub mod tag;
pub mod text;
pub mod ticket;
pub mod version;

pub use framer::{Framer, encode_message};
pub use link::{
    LinkError, LinkId, LinkKey, LinkRecord, LinkSecret, LinkUrl, RecordError, RelayToken, Times,
    VerifiedRecord,
};
pub use pillion_caps::{AccessMode, Right, Rights, UnknownAccessMode};

pub use message::{
    Accepted, Ack, Activity, AdmittedBy, Answer, CommandAnswer, CommandRequest,
    ConversationRequest, DropReason, Dropped, EndReason, Ended, Entry, FrameMsg, FromHost,
    FromViewer, GrantProof, GrantPush, Hello, HistoryReply, HistoryRequest, HostShows,
    HostTerminal, InputStream, Intent, IntentMsg, JoinId, KnockInfo, Knocks, KnocksFrom, LogState,
    Notice, NoticeKind, OwnLabel, ParticipantId, ParticipantInfo, PathKind, Ping, ProtocolError,
    RefusalReason, Refused, RefusedCode, RequestAnswer, RequestRefusal, Resume, RightChanged,
    RightReason, RosterChange, SnapshotMsg, StreamKind, Subscribe, TrackId, TrackInfo, TrackKind,
    TrackMsg, TrackState, TracksChange, Trust, Waiting, Welcome,
};
pub use text::Text;
pub use ticket::{GrantToken, PUBLIC_RELAYS, Ticket, TicketError, link_for_endpoint, link_seed};
pub use version::{ALPN, Version, VersionMismatch, VersionRange};
