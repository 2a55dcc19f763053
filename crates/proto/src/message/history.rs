//! History stream, one request and one reply.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{ProtocolError, TrackId, bounded, get, put};
use crate::{limits::MAX_HISTORY_LINES, tag};

/// A viewer asks for history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRequest {
    /// Which track.
    pub track: TrackId,
    /// First line wanted, or first entry of a log.
    pub from: u64,
    /// How many, at most [`MAX_HISTORY_LINES`].
    pub count: u32,
}

/// The host's answer: as many of the lines asked for as fit, from the first on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryReply {
    /// Line of the first record; above `from` when older lines are hidden or gone.
    pub first: u64,
    /// Records in `payload`.
    pub count: u32,
    /// Lines below this are final; others may still change and are asked for again.
    pub settled: u64,
    /// Compressed `pillion_screen::history` records; of a log its [`Entry`](crate::Entry)s.
    pub payload: Bytes,
}

impl HistoryRequest {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        put(out, tag::history::REQUEST, self);
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Anything that is not exactly one request within its bounds.
    pub fn decode(tag: u8, payload: &[u8]) -> Result<HistoryRequest, ProtocolError> {
        bounded(
            tag == tag::history::REQUEST,
            "a history stream without its request",
        )?;
        let request: HistoryRequest = get(payload, "a history request")?;
        bounded(
            request.count <= MAX_HISTORY_LINES,
            "a history request for too many lines",
        )?;
        Ok(request)
    }
}

impl HistoryReply {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        put(out, tag::history::REPLY, self);
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Anything that is not exactly one reply within its bounds.
    pub fn decode(tag: u8, payload: &[u8]) -> Result<HistoryReply, ProtocolError> {
        bounded(
            tag == tag::history::REPLY,
            "a history stream without its reply",
        )?;
        let reply: HistoryReply = get(payload, "a history reply")?;
        bounded(
            reply.count <= MAX_HISTORY_LINES,
            "a history reply with too many lines",
        )?;
        Ok(reply)
    }
}
