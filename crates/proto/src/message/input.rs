//! Input stream, viewer to host.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{JoinId, ProtocolError, TrackId, bounded, get, put};
use crate::{limits::MAX_INPUT, tag};

/// The first message of an input stream: which join instance its numbers count in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputStream {
    /// The join instance, as in the hello.
    pub join: JoinId,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputMsg {
    /// Number within the join instance, from 1, without gaps.
    pub id: u64,
    /// Where to.
    pub track: TrackId,
    /// How long it had waited at the viewer when it was sent, in milliseconds: what waited for a
    /// connection too long is dropped rather than typed into a screen that has moved on.
    pub waited_ms: u32,
    /// The newest [`RightChanged::tenure`](crate::RightChanged::tenure) known when it was typed.
    pub tenure: u32,
    /// The bytes, at most [`MAX_INPUT`].
    pub bytes: Bytes,
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

impl InputMsg {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        put(out, tag::input::INPUT, self);
    }

    /// Reads a message; `None` for one from a newer version.
    ///
    /// # Errors
    /// Anything that is not exactly one input within its bounds.
    pub fn decode(tag: u8, payload: &[u8]) -> Result<Option<InputMsg>, ProtocolError> {
        if tag != tag::input::INPUT {
            return Ok(None);
        }
        let input: InputMsg = get(payload, "an input")?;
        bounded(input.bytes.len() <= MAX_INPUT, "an oversized input")?;
        Ok(Some(input))
    }
}
