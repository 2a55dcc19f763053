//! How a session's log entries are laid out in the store, which sees opaque bytes under ascending
//! numbers.
//!
//! A session that is started again has a new terminal, whose lines and frames begin at nought. So each
//! run has tracks of its own in the log; events are numbered through.

use std::collections::BTreeMap;

use bytes::Bytes;
use pillion_proto::TrackId;
use pillion_screen::{HistoryChunk, LineId};
use pillion_session::LogEntry;
use pillion_store::{AppendError, SessionLog, SessionMeta, SessionReader};

/// Tracks a run may have, and runs a session may have: both are part of a track's number in the log,
/// below the bit of [`Run::margin_track`].
const MAX_TRACKS: u16 = 16;
const MAX_RUNS: u16 = 1 << 11;

/// One run of a session, from one start of its host to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run(u16);

impl Run {
    /// The run a session begins with.
    pub const FIRST: Run = Run(0);

    /// The run that a session's description is of; `None` beyond the most there can be.
    pub fn newest(meta: &SessionMeta) -> Option<Run> {
        let number = u16::try_from(meta.runs.checked_sub(1)?).ok()?;
        (number < MAX_RUNS).then_some(Run(number))
    }

    /// Every run of a session so far, from the first.
    pub fn all(meta: &SessionMeta) -> impl Iterator<Item = Run> + use<> {
        let newest = Run::newest(meta).map_or(MAX_RUNS - 1, |run| run.0);
        (0..=newest).map(Run)
    }

    /// Where a track of this run is in the log.
    ///
    /// # Errors
    /// A track from 16 on, which no session has.
    pub fn track(self, track: TrackId) -> Result<u16, RecordError> {
        match u16::try_from(track.0) {
            Ok(number) if number < MAX_TRACKS => Ok(self.0 * MAX_TRACKS + number),
            _ => Err(RecordError::Track(track.0)),
        }
    }

    /// Where the lines between the track's history and its screen are: beside it, as frames of their
    /// own.
    ///
    /// # Errors
    /// As for [`Run::track`].
    pub fn margin_track(self, track: TrackId) -> Result<u16, RecordError> {
        self.track(track).map(|track| track | 1 << 15)
    }
}

/// What the event of a new run is called.
const STARTED_AGAIN: &str = "started_again";

/// Puts down that a session was started again, and with which command.
///
/// # Errors
/// Only for a command of megabytes.
pub fn start_again(log: &mut SessionLog, run: Run, now_ms: u64) -> Result<(), RecordError> {
    let event = serde_json::json!({
        "event": STARTED_AGAIN, "run": run.0 + 1, "command": log.meta().command,
    });
    Ok(log.append_event(now_ms, event.to_string().as_bytes())?)
}

/// When each run but the first began, in milliseconds since the Unix epoch, as far as the log knows.
pub fn started_again(reader: &SessionReader) -> BTreeMap<Run, u64> {
    let events = reader.events(0).filter_map(Result::ok);
    let again = events.filter_map(|event| {
        let object: serde_json::Value = serde_json::from_slice(&event.bytes).ok()?;
        let number = object["run"].as_u64()?.checked_sub(1)?;
        let run = Run(u16::try_from(number).ok()?);
        (object["event"] == STARTED_AGAIN).then_some((run, event.at_ms))
    });
    again.collect()
}

/// An entry that the log can't take. A disk that refuses is none: see [`SessionLog::health`].
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Out of order or too large.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// No session has so many tracks.
    #[error("track {0} can't be recorded: a session has tracks 0 to 15")]
    Track(u32),
}

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
pub fn append(
    log: &mut SessionLog,
    run: Run,
    entry: &LogEntry,
    now_ms: u64,
) -> Result<(), RecordError> {
    match entry {
        LogEntry::Frame {
            track,
            number,
            snapshot,
            unix_ms,
            raw,
        } => {
            let key = number.saturating_mul(2) | u64::from(*snapshot);
            log.append_frame(run.track(*track)?, key, *unix_ms, raw)?;
        }
        LogEntry::History {
            track,
            first,
            count,
            bytes,
        } => log.append_history(run.track(*track)?, first.0, *count, now_ms, bytes)?,
        LogEntry::Margin {
            track,
            unix_ms,
            first,
            count,
            bytes,
        } => {
            let track = run.margin_track(*track)?;
            let mut body = Vec::with_capacity(MARGIN_HEAD + bytes.len());
            body.extend_from_slice(&first.0.to_le_bytes());
            body.extend_from_slice(&count.to_le_bytes());
            body.extend_from_slice(bytes);
            log.append_frame(track, log.next_frame(track), *unix_ms, &body)?;
        }
        LogEntry::Event { unix_ms, json } => log.append_event(*unix_ms, json.as_bytes())?,
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(runs: u32) -> SessionMeta {
        SessionMeta {
            id: "s".to_owned(),
            name: String::new(),
            started_unix_ms: 0,
            command: String::new(),
            cols: 80,
            rows: 24,
            host: String::new(),
            pid: 1,
            runs,
        }
    }

    #[test]
    fn no_two_tracks_of_any_runs_share_a_number() {
        let mut numbers = std::collections::BTreeSet::new();
        let runs: Vec<Run> = Run::all(&meta(2048)).collect();
        assert_eq!(runs.len(), 2048);
        for run in &runs {
            for track in 0..MAX_TRACKS {
                assert!(numbers.insert(run.track(TrackId(track.into())).unwrap()));
                assert!(numbers.insert(run.margin_track(TrackId(track.into())).unwrap()));
            }
            assert!(run.track(TrackId(16)).is_err());
        }
        // As they were before sessions could be started again.
        assert_eq!(runs[0].track(TrackId(0)).unwrap(), 0);
        assert_eq!(runs[0].margin_track(TrackId(0)).unwrap(), 1 << 15);
    }

    #[test]
    fn a_description_out_of_bounds_names_no_run() {
        assert_eq!(Run::newest(&meta(1)), Some(Run(0)));
        assert_eq!(Run::newest(&meta(2048)), Some(Run(2047)));
        for runs in [0, 2049, u32::MAX] {
            assert_eq!(Run::newest(&meta(runs)), None);
            assert!(Run::all(&meta(runs)).count() <= 2048);
        }
    }
}
