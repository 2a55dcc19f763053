//! Input stream, viewer to host.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{ConversationRequest, JoinId, ProtocolError, TrackId, body, bounded, get, put};
use crate::{
    limits::{MAX_INPUT, MAX_NAME},
    tag,
    text::Text,
};

/// The first message of an input stream: which join instance its numbers count in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputStream {
    /// The join instance, as in the hello.
    pub join: JoinId,
}

/// One thing that a viewer wants done, numbered so that it is done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentMsg {
    /// Number within the join instance, from 1, without gaps, whatever kind of intent it is.
    pub id: u64,
    /// How long it had waited at the viewer when it was sent, in milliseconds: what waited for a
    /// connection too long is dropped rather than typed into a screen that has moved on.
    pub waited_ms: u32,
    /// The newest [`RightChanged::edit_epoch`](crate::RightChanged::edit_epoch) known when it was made.
    pub edit_epoch: u32,
    /// What.
    pub what: Intent,
}

/// What a viewer wants done. It travels as a number and a message of its own, so a host can refuse what it
/// does not know by its number, and what comes behind it counts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// To be typed into a terminal.
    Keys {
        /// Where to.
        track: TrackId,
        /// The bytes, at most [`MAX_INPUT`].
        bytes: Bytes,
    },
    /// Another terminal, with the program that the host's own terminals have.
    Open {
        /// What to call it; empty for what its program says.
        title: Text<MAX_NAME>,
    },
    /// The end of a track.
    Close {
        /// Which.
        track: TrackId,
    },
    /// Something about an agent's conversation.
    Converse {
        /// Which.
        track: TrackId,
        /// What.
        request: ConversationRequest,
    },
    /// An intent of a newer version.
    Unknown(u16),
}

impl Intent {
    /// The track it is for, by which its acceptance is counted.
    pub fn track(&self) -> Option<TrackId> {
        match self {
            Intent::Keys { track, .. } => Some(*track),
            Intent::Open { .. }
            | Intent::Close { .. }
            | Intent::Converse { .. }
            | Intent::Unknown(_) => None,
        }
    }
}

/// The numbers of the intents. A number is never reused.
const KEYS: u16 = 1;
const OPEN: u16 = 2;
const CLOSE: u16 = 3;
const CONVERSE: u16 = 4;

/// An [`IntentMsg`] as it travels.
#[derive(Serialize, Deserialize)]
struct Travelling {
    id: u64,
    waited_ms: u32,
    edit_epoch: u32,
    kind: u16,
    what: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Keys {
    track: TrackId,
    bytes: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Open {
    title: Text<MAX_NAME>,
}

#[derive(Serialize, Deserialize)]
struct Close {
    track: TrackId,
}

#[derive(Serialize, Deserialize)]
struct Converse {
    track: TrackId,
    /// A [`ConversationRequest`], of this version or another.
    request: Bytes,
}

impl InputStream {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        put(out, tag::input::OPEN, self);
    }

    /// Reads the payload of a message with number [`tag::input::OPEN`].
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(tag: u8, payload: &[u8]) -> Result<InputStream, ProtocolError> {
        bounded(
            tag == tag::input::OPEN,
            "an input stream without its opening",
        )?;
        get(payload, "an input stream's opening")
    }
}

impl IntentMsg {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let (kind, what) = match &self.what {
            Intent::Keys { track, bytes } => {
                let (track, bytes) = (*track, bytes.clone());
                (KEYS, body(&Keys { track, bytes }))
            }
            Intent::Open { title } => {
                let title = title.clone();
                (OPEN, body(&Open { title }))
            }
            Intent::Close { track } => (CLOSE, body(&Close { track: *track })),
            Intent::Converse { track, request } => {
                let request = match request {
                    ConversationRequest::Unknown => Bytes::new(),
                    known => body(known),
                };
                let track = *track;
                (CONVERSE, body(&Converse { track, request }))
            }
            Intent::Unknown(kind) => (*kind, Bytes::new()),
        };
        let IntentMsg {
            id,
            waited_ms,
            edit_epoch,
            ..
        } = *self;
        let message = Travelling {
            id,
            waited_ms,
            edit_epoch,
            kind,
            what,
        };
        put(out, tag::input::INTENT, &message);
    }

    /// Reads a message; `None` for one from a newer version that is no intent.
    ///
    /// # Errors
    /// Anything that is not exactly one intent within its bounds.
    pub fn decode(tag: u8, payload: &[u8]) -> Result<Option<IntentMsg>, ProtocolError> {
        if tag != tag::input::INTENT {
            return Ok(None);
        }
        let Travelling {
            id,
            waited_ms,
            edit_epoch,
            kind,
            what,
        } = get(payload, "an intent")?;
        let what = match kind {
            KEYS => {
                let Keys { track, bytes } = get(&what, "keys to type")?;
                bounded(bytes.len() <= MAX_INPUT, "an oversized input")?;
                Intent::Keys { track, bytes }
            }
            OPEN => {
                let Open { title } = get(&what, "a terminal to open")?;
                Intent::Open { title }
            }
            CLOSE => {
                let Close { track } = get(&what, "a track to close")?;
                Intent::Close { track }
            }
            CONVERSE => {
                let Converse { track, request } = get(&what, "a request for a conversation")?;
                // What stands behind it a newer version added.
                let known = postcard::take_from_bytes::<ConversationRequest>(&request);
                let request = known.map_or(ConversationRequest::Unknown, |(request, _)| request);
                bounded(
                    request.is_bounded(),
                    "an oversized request for a conversation",
                )?;
                Intent::Converse { track, request }
            }
            kind => Intent::Unknown(kind),
        };
        Ok(Some(IntentMsg {
            id,
            waited_ms,
            edit_epoch,
            what,
        }))
    }
}
