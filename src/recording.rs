//! How a session's log entries are laid out in the store, which sees opaque bytes under ascending
//! numbers.

use bytes::Bytes;
use pillion_screen::{HistoryChunk, LineId};
use pillion_session::LogEntry;
use pillion_store::{AppendError, SessionLog};

/// A frame read back from a log.
#[derive(Debug, PartialEq, Eq)]
pub struct RecordedFrame<'a> {
    /// The frame's number; those that only said what was echoed are not recorded.
    pub number: u64,
    /// Stands alone.
    pub snapshot: bool,
    /// The uncompressed body.
    pub raw: &'a [u8],
}

/// Appends an entry. Whether a frame stands alone is told by its key: numbers are doubled, and odd for
/// those that do.
///
/// # Errors
/// Entries out of order or too large; never the disk, see [`SessionLog::health`].
pub fn append(log: &mut SessionLog, entry: &LogEntry, now_ms: u64) -> Result<(), AppendError> {
    match entry {
        LogEntry::Frame {
            track,
            number,
            snapshot,
            unix_ms,
            raw,
        } => {
            let key = number.saturating_mul(2) | u64::from(*snapshot);
            log.append_frame(track.0, key, *unix_ms, raw)
        }
        LogEntry::History {
            track,
            first,
            count,
            bytes,
        } => log.append_history(track.0, first.0, *count, now_ms, bytes),
        LogEntry::Margin {
            track,
            unix_ms,
            first,
            count,
            bytes,
        } => {
            let track = margin_track(track.0);
            let mut body = Vec::with_capacity(MARGIN_HEAD + bytes.len());
            body.extend_from_slice(&first.0.to_le_bytes());
            body.extend_from_slice(&count.to_le_bytes());
            body.extend_from_slice(bytes);
            log.append_frame(track, log.next_frame(track), *unix_ms, &body)
        }
        LogEntry::Event { unix_ms, json } => log.append_event(*unix_ms, json.as_bytes()),
    }
}

/// Where the lines between a track's history and its screen are: beside it, as frames of their own.
pub fn margin_track(track: u16) -> u16 {
    track | 1 << 15
}

/// Bytes of a margin before its lines: the first line's id, and how many there are.
const MARGIN_HEAD: usize = 12;

/// Reads back what [`append`] wrote for lines that may still change; `None` if it is damaged.
pub fn margin(stored: &pillion_store::Frame) -> Option<HistoryChunk> {
    let (first, rest) = stored.bytes.split_first_chunk()?;
    let (count, bytes) = rest.split_first_chunk()?;
    Some(HistoryChunk {
        first: LineId(u64::from_le_bytes(*first)),
        count: u32::from_le_bytes(*count),
        bytes: Bytes::copy_from_slice(bytes),
    })
}

/// Reads back what [`append`] wrote for a frame.
pub fn frame(stored: &pillion_store::Frame) -> RecordedFrame<'_> {
    RecordedFrame {
        number: stored.number / 2,
        snapshot: stored.number % 2 == 1,
        raw: &stored.bytes,
    }
}
