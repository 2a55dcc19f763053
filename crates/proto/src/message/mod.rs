//! The messages, one type each, and how each side reads what the other says. What several streams
//! share stands here; each stream has its file.

mod conversation;
mod entry;
mod history;
mod host;
mod input;
mod reason;
mod track;
mod viewer;

use bytes::{BufMut, Bytes, BytesMut};
use pillion_caps::CheckpointFault;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    framer::{begin_message, encode_message},
    growing,
};

pub use conversation::*;
pub use entry::*;
pub use history::*;
pub use host::*;
pub use input::*;
pub use reason::*;
pub use track::*;
pub use viewer::*;

/// A public key as it travels: 32 bytes, checked to be a point by who uses it.
pub type KeyBytes = [u8; 32];

/// What a peer did wrong. The connection it came on cannot be trusted to make sense any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// A message claims to be longer than its stream allows.
    #[error(
        "the other side sent a message of {length} bytes where {max} are allowed; one of the two may need an upgrade of pillion"
    )]
    TooLong {
        /// The claimed length, in bytes.
        length: usize,
        /// The bound, in bytes.
        max: usize,
    },
    /// Bytes that are not the message they claim to be.
    #[error(
        "the other side sent something that is not pillion's protocol ({0}); one of the two may need an upgrade of pillion"
    )]
    Malformed(&'static str),
    /// What came of a track is not what its host signed, and it is not the first time.
    #[error(
        "what the other side sends of terminal {track} is not what the host of the session signed ({fault}), again after its state was asked for"
    )]
    NotAsSigned {
        /// The track.
        track: TrackId,
        /// What is wrong.
        fault: CheckpointFault,
    },
}

/// The first byte on every stream: what the stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StreamKind {
    /// Both ways, opened by the viewer, one per connection.
    Control = 1,
    /// Viewer to host.
    Input = 2,
    /// Host to viewer: one track that the viewer looks at, until another stream replaces it.
    Track = 3,
    /// Both ways, opened by the viewer, one per request.
    History = 4,
}

impl StreamKind {
    /// Reads the first byte of a stream; `None` for a kind this version does not know, which is
    /// refused by stopping that stream alone.
    pub fn from_byte(byte: u8) -> Option<StreamKind> {
        match byte {
            1 => Some(StreamKind::Control),
            2 => Some(StreamKind::Input),
            3 => Some(StreamKind::Track),
            4 => Some(StreamKind::History),
            _ => None,
        }
    }
}

/// One run of a viewer's process: input numbers count within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JoinId(pub [u8; 16]);

/// A participant's number in a session: small, given by the host, the same over reconnects of one
/// identity.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct ParticipantId(pub u32);

/// A track's number in a session, never reused in a run of it. The program that a session begins with is
/// track 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct TrackId(pub u32);

impl std::fmt::Display for TrackId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// For `#[serde(with)]`: who may come in, `None` for a mode of a newer version.
mod access_mode {
    use pillion_caps::AccessMode;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        mode: &Option<AccessMode>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u8(mode.map_or(u8::MAX, AccessMode::number))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<AccessMode>, D::Error> {
        u8::deserialize(from).map(AccessMode::from_number)
    }
}

/// How a connection travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PathKind {
    /// Not known yet.
    Unknown,
    /// Straight between the two machines.
    Direct,
    /// Through a relay, which sees ciphertext.
    Relayed,
}

/// An ed25519 signature as it travels.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureBytes([u8; 32], [u8; 32]);

impl std::fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignatureBytes(…)")
    }
}

impl From<[u8; 64]> for SignatureBytes {
    fn from(bytes: [u8; 64]) -> Self {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        SignatureBytes(r, s)
    }
}

impl From<SignatureBytes> for [u8; 64] {
    fn from(signature: SignatureBytes) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&signature.0);
        bytes[32..].copy_from_slice(&signature.1);
        bytes
    }
}

/// Encodes `value` as a message within a message.
fn body<T: Serialize>(value: &T) -> Bytes {
    postcard::to_allocvec(value)
        .expect("our own messages always encode")
        .into()
}

/// Encodes `value` as the payload of a message with number `tag`, appended to `out`.
fn put<T: Serialize>(out: &mut BytesMut, tag: u8, value: &T) {
    let payload = postcard::to_allocvec(value).expect("our own messages always encode");
    encode_message(out, tag, &payload);
}

/// The same for a message with many bytes: `head` is what comes before them and `tail`, encoded, what
/// comes after. They are copied once, and nothing else is allocated: this is every frame's way.
fn put_with_bytes<T: Serialize>(out: &mut BytesMut, tag: u8, head: &T, bytes: &Bytes, tail: &[u8]) {
    let mut buffer = [0; MAX_HEAD];
    let head =
        postcard::to_slice(&(head, bytes.len()), &mut buffer).expect("a head is a few numbers");
    begin_message(out, tag, head.len() + bytes.len() + tail.len());
    out.put_slice(head);
    out.put_slice(bytes);
    out.put_slice(tail);
}

/// Room for a head, in bytes: four numbers of at most ten bytes.
const MAX_HEAD: usize = 40;

/// Decodes a payload, of a version that may know fewer fields or more ([`growing`]).
fn get<T: DeserializeOwned>(payload: &[u8], what: &'static str) -> Result<T, ProtocolError> {
    growing::from_bytes(payload).map_err(|_| ProtocolError::Malformed(what))
}

fn bounded(fits: bool, what: &'static str) -> Result<(), ProtocolError> {
    if fits {
        Ok(())
    } else {
        Err(ProtocolError::Malformed(what))
    }
}
