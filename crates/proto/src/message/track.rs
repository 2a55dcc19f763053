//! Track stream, host to viewer.

use bytes::{Bytes, BytesMut};
use pillion_caps::{ChainHead, SignedCheckpoint};
use serde::{Deserialize, Serialize};

use super::{ProtocolError, TrackId, TrackKind, get, put, put_with_bytes};
use crate::{framer::encode_message, tag};

/// What is said on a track stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackMsg {
    /// First of all: which track, and which epoch of it for this viewer.
    Open {
        /// The track.
        track: TrackId,
        /// Counts the track streams of this connection; of two of one track the higher one counts.
        epoch: u32,
        /// What the track is a stream of, and so how snapshots and frames are read.
        kind: TrackKind,
    },
    /// The state at a frame, standing alone.
    Snapshot(SnapshotMsg),
    /// What the next frame changes.
    Frame(FrameMsg),
    /// The session's signature of the track as it is after a frame that was sent before.
    Checkpoint(SignedCheckpoint),
    /// A message from a newer version: skipped.
    Unknown(u8),
}

#[derive(Serialize, Deserialize)]
struct Opening {
    track: TrackId,
    epoch: u32,
    kind: TrackKind,
}

/// The whole state after frame `number`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMsg {
    /// The frame whose state this is.
    pub number: u64,
    /// The track's count of inputs whose effects are in it.
    pub echoed: u64,
    /// A terminal's is read by `pillion_screen::Decoder::snapshot`, a log's is a [`LogState`](crate::LogState).
    pub payload: Bytes,
    /// The head of the frames' chain after that frame; `None` where the host does not say.
    #[serde(default)]
    pub chain: Option<ChainHead>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameMsg {
    /// One above the frame before.
    pub number: u64,
    /// The track's count of inputs whose effects are in it.
    pub echoed: u64,
    /// The compression context starts again with this frame.
    pub reset: bool,
    /// A terminal's is read by `pillion_screen::Decoder::frame`, a log's is [`Entry`](crate::Entry)s. Empty
    /// when only `echoed` moved.
    pub payload: Bytes,
}

impl TrackMsg {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            TrackMsg::Open { track, epoch, kind } => {
                let (track, epoch, kind) = (*track, *epoch, *kind);
                put(out, tag::track::OPEN, &Opening { track, epoch, kind });
            }
            TrackMsg::Snapshot(SnapshotMsg {
                number,
                echoed,
                payload,
                chain,
            }) => {
                let mut tail = [0; 33];
                let tail = match chain {
                    None => &tail[..1],
                    Some(ChainHead(head)) => {
                        tail[0] = 1;
                        tail[1..].copy_from_slice(head);
                        &tail[..]
                    }
                };
                put_with_bytes(out, tag::track::SNAPSHOT, &(number, echoed), payload, tail);
            }
            TrackMsg::Frame(FrameMsg {
                number,
                echoed,
                reset,
                payload,
            }) => {
                put_with_bytes(
                    out,
                    tag::track::FRAME,
                    &(number, echoed, reset),
                    payload,
                    &[],
                );
            }
            TrackMsg::Checkpoint(checkpoint) => put(out, tag::track::CHECKPOINT, checkpoint),
            TrackMsg::Unknown(tag) => encode_message(out, *tag, &[]),
        }
    }

    /// Reads a message cut by a [`Framer`](crate::Framer).
    ///
    /// # Errors
    /// Anything that is not exactly one message.
    pub fn decode(tag: u8, payload: &[u8]) -> Result<TrackMsg, ProtocolError> {
        Ok(match tag {
            tag::track::OPEN => {
                let Opening { track, epoch, kind } = get(payload, "a track's opening")?;
                TrackMsg::Open { track, epoch, kind }
            }
            tag::track::SNAPSHOT => TrackMsg::Snapshot(get(payload, "a snapshot")?),
            tag::track::FRAME => TrackMsg::Frame(get(payload, "a frame")?),
            tag::track::CHECKPOINT => TrackMsg::Checkpoint(get(payload, "a checkpoint")?),
            other => TrackMsg::Unknown(other),
        })
    }
}
