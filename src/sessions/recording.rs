//! How a session's log entries are laid out in the store, which sees opaque bytes under ascending
//! numbers.
//!
//! A session that is started again has new tracks, whose numbers, lines and frames begin at nought. So each
//! run has a table of its own of which track is where in the log; events are numbered through.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use pillion_caps::{PublicKey, Signature, SignedCheckpoint};
use pillion_proto::{TrackId, TrackKind, TrackMsg};
use pillion_screen::{HistoryChunk, LineId};
use pillion_session::LogEntry;
use pillion_store::{AppendError, SessionLog, SessionMeta, SessionReader};

/// One run of a session, from one start of its host to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run(u32);

impl Run {
    /// The run a session begins with.
    pub const FIRST: Run = Run(0);

    /// Its number, from 0.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The run that a session's description is of.
    pub fn newest(meta: &SessionMeta) -> Run {
        Run(meta.runs.saturating_sub(1))
    }
}

/// The document of the session's secret key.
pub const SESSION_KEY: &str = "session-key";

/// What the event is called that has the identity's word for the session's key.
const CERTIFICATE: &str = "certificate";

/// The session's key, the identity that vouches for it, and its signature, not yet verified, as the log has them.
pub fn certificate(reader: &SessionReader) -> Option<(PublicKey, PublicKey, Signature)> {
    let mut events = reader.events(0).filter_map(Result::ok);
    events.find_map(|event| {
        let object: serde_json::Value = serde_json::from_slice(&event.bytes).ok()?;
        let key = |field: &str| object[field].as_str()?.parse::<PublicKey>().ok();
        let signature =
            (object["event"] == CERTIFICATE).then(|| object["signature"].as_str())??;
        let signature = data_encoding::HEXLOWER.decode(signature.as_bytes()).ok()?;
        Some((
            key("session")?,
            key("identity")?,
            Signature::from_bytes(signature.try_into().ok()?),
        ))
    })
}

/// What the event of a new track is called.
const TRACK: &str = "track";

/// A track of some run, as the log's table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedTrack {
    /// Whose run.
    pub run: Run,
    /// Its number there.
    pub track: TrackId,
    /// Kind.
    pub kind: TrackKind,
    /// What it was called at first.
    pub title: String,
    /// Where its frames and its history are in the log.
    place: u32,
}

impl RecordedTrack {
    /// Where its frames and its history are in the log.
    pub fn place(&self) -> u32 {
        self.place
    }

    /// Where the lines between its history and its screen are: beside it, as frames of their own.
    pub fn margin_place(&self) -> u32 {
        self.place + 1
    }

    /// Where the session's signatures of it are.
    pub fn checkpoint_place(&self) -> u32 {
        self.place + 2
    }
}

/// Bytes of a message before its payload.
const MESSAGE_HEAD: usize = 5;

/// Places that a track takes.
const PLACES: u32 = 3;

/// The log's table of tracks: every track of every run, in the order in which they began. Entries that are
/// damaged are left out.
pub fn tracks(reader: &SessionReader) -> Vec<RecordedTrack> {
    let events = reader.events(0).filter_map(Result::ok);
    let tracks = events.filter_map(|event| {
        let object: serde_json::Value = serde_json::from_slice(&event.bytes).ok()?;
        if object["event"] != TRACK {
            return None;
        }
        let number = |field: &str| u32::try_from(object[field].as_u64()?).ok();
        Some(RecordedTrack {
            run: Run(number("run")?.checked_sub(1)?),
            track: TrackId(number("track")?),
            kind: u8::try_from(number("kind")?).ok()?.into(),
            title: object["title"].as_str().unwrap_or_default().to_owned(),
            place: number("place").filter(|place| *place <= u32::MAX - PLACES)?,
        })
    });
    tracks.collect()
}

/// Where the tracks of the run that is recorded are in the log: each run has a table of its own, because its
/// tracks begin at nought again, and a place in the log is never used twice.
#[derive(Debug)]
pub struct Recorder {
    run: Run,
    places: BTreeMap<TrackId, u32>,
    next: u32,
}

impl Recorder {
    /// For a log's next run, behind what is in it. `earlier` is its table so far.
    pub fn new(log: &SessionLog, run: Run, earlier: &[RecordedTrack]) -> Recorder {
        let table = earlier
            .iter()
            .map(|track| track.place.saturating_add(PLACES));
        let next = table.max().unwrap_or_default().max(log.next_track());
        Recorder {
            run,
            places: BTreeMap::new(),
            next,
        }
    }

    /// The run that is recorded.
    pub fn run(&self) -> Run {
        self.run
    }

    /// Where a track of this run is in the log; `None` for one that it knows nothing of.
    pub fn place(&self, track: TrackId) -> Option<u32> {
        self.places.get(&track).copied()
    }

    fn known(&self, track: TrackId) -> Result<u32, RecordError> {
        self.place(track).ok_or(RecordError::Track(track))
    }

    /// Notes a new track, and its place.
    fn begin(
        &mut self,
        log: &mut SessionLog,
        track: TrackId,
        kind: TrackKind,
        title: &str,
        unix_ms: u64,
    ) -> Result<(), RecordError> {
        let place = self.next;
        self.next = place.checked_add(PLACES).ok_or(RecordError::Full)?;
        self.places.insert(track, place);
        let event = serde_json::json!({
            "event": TRACK, "run": self.run.0 + 1, "track": track.0, "kind": u8::from(kind),
            "title": title, "place": place,
        });
        Ok(log.append_event(unix_ms, event.to_string().as_bytes())?)
    }

    /// Appends an entry. Whether a frame stands alone is told by its key: numbers are doubled, and odd for
    /// those that do.
    ///
    /// # Errors
    /// Entries out of order or too large, or of a track that did not begin; never the disk, see
    /// [`SessionLog::health`].
    pub fn append(
        &mut self,
        log: &mut SessionLog,
        entry: &LogEntry,
        now_ms: u64,
    ) -> Result<(), RecordError> {
        match entry {
            LogEntry::Track {
                track,
                kind,
                title,
                unix_ms,
            } => self.begin(log, *track, *kind, title, *unix_ms)?,
            LogEntry::Frame {
                track,
                number,
                snapshot,
                unix_ms,
                raw,
            } => {
                let key = number.saturating_mul(2) | u64::from(*snapshot);
                log.append_frame(self.known(*track)?, key, *unix_ms, raw)?;
            }
            LogEntry::Forgotten { track } => {
                if let Some(place) = self.places.remove(track) {
                    (place..place + PLACES).for_each(|place| log.finish_track(place));
                }
            }
            LogEntry::Certificate {
                session,
                identity,
                signature,
                unix_ms,
            } => {
                let event = serde_json::json!({
                    "event": CERTIFICATE, "session": session.to_string(),
                    "identity": identity.to_string(),
                    "signature": data_encoding::HEXLOWER.encode(signature.as_bytes()),
                });
                log.append_event(*unix_ms, event.to_string().as_bytes())?;
            }
            LogEntry::Entries {
                track,
                number,
                unix_ms,
                end,
            } => {
                let (place, key) = (self.known(*track)?, number.saturating_mul(2));
                log.append_frame(place, key, *unix_ms, &end.to_le_bytes())?;
            }
            LogEntry::Checkpoint { track, checkpoint } => {
                let place = self.known(*track)? + 2;
                let said = checkpoint.unverified();
                let mut message = BytesMut::new();
                TrackMsg::Checkpoint(**checkpoint).encode(&mut message);
                // A frame is signed again when lines left the screen after it.
                let key = log.next_frame(place).max(said.frame);
                log.append_frame(place, key, said.at_unix_ms, &message[MESSAGE_HEAD..])?;
            }
            LogEntry::History {
                track,
                first,
                count,
                bytes,
            } => log.append_history(self.known(*track)?, first.0, *count, now_ms, bytes)?,
            LogEntry::Margin {
                track,
                unix_ms,
                first,
                count,
                bytes,
            } => {
                let place = self.known(*track)? + 1;
                let mut body = Vec::with_capacity(MARGIN_HEAD + bytes.len());
                body.extend_from_slice(&first.0.to_le_bytes());
                body.extend_from_slice(&count.to_le_bytes());
                body.extend_from_slice(bytes);
                log.append_frame(place, log.next_frame(place), *unix_ms, &body)?;
            }
            LogEntry::Event { unix_ms, json } => log.append_event(*unix_ms, json.as_bytes())?,
        }
        Ok(())
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
        let run = Run(u32::try_from(number).ok()?);
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
    /// Of a track that the log was not told of.
    #[error("track {0} can't be recorded: the log does not know that it began")]
    Track(TrackId),
    /// A session that was started billions of times.
    #[error("the log has no room for another track")]
    Full,
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

/// Bytes of a margin before its lines: the first line's id, and how many there are.
const MARGIN_HEAD: usize = 12;

/// Reads back what `append` wrote for lines that may still change; `None` if it is damaged.
pub fn margin(stored: &pillion_store::Frame) -> Option<HistoryChunk> {
    let (first, rest) = stored.bytes.split_first_chunk()?;
    let (count, bytes) = rest.split_first_chunk()?;
    Some(HistoryChunk {
        first: LineId(u64::from_le_bytes(*first)),
        count: u32::from_le_bytes(*count),
        bytes: Bytes::copy_from_slice(bytes),
    })
}

/// Reads back what `append` wrote for a checkpoint; `None` if it is damaged.
pub fn checkpoint(stored: &pillion_store::Frame) -> Option<SignedCheckpoint> {
    pillion_proto::growing::from_bytes(&stored.bytes).ok()
}

/// Reads back what `append` wrote for a frame of a log track: the number of the first entry that it does not
/// have; `None` if it is damaged.
pub fn entries_end(stored: &pillion_store::Frame) -> Option<u64> {
    Some(u64::from_le_bytes(stored.bytes.as_slice().try_into().ok()?))
}

/// Reads back what `append` wrote for a frame.
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

    fn meta() -> SessionMeta {
        SessionMeta {
            id: "s".to_owned(),
            name: String::new(),
            started_unix_ms: 0,
            command: String::new(),
            cols: 80,
            rows: 24,
            host: String::new(),
            pid: 1,
            runs: 1,
        }
    }

    fn begins(track: u32, title: &str) -> LogEntry {
        LogEntry::Track {
            track: TrackId(track),
            kind: TrackKind::Terminal,
            title: title.to_owned(),
            unix_ms: 1,
        }
    }

    fn frame_of(track: u32, raw: &str) -> LogEntry {
        LogEntry::Frame {
            track: TrackId(track),
            number: 1,
            snapshot: true,
            unix_ms: 1,
            raw: Bytes::copy_from_slice(raw.as_bytes()),
        }
    }

    /// What each track's frames hold, by run and track.
    fn read(root: &std::path::Path) -> Vec<(u32, u32, String, String)> {
        let reader = SessionReader::open(root, "s").unwrap();
        let read = |of: &RecordedTrack| {
            let frames = reader.frames(of.place(), 0).map(Result::unwrap);
            let raw = frames.map(|stored| String::from_utf8(frame(&stored).raw.to_vec()).unwrap());
            (of.run.0, of.track.0, of.title.clone(), raw.collect())
        };
        tracks(&reader).iter().map(read).collect()
    }

    #[test]
    fn a_track_is_found_by_run_and_number() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("sessions");
        let mut log = SessionLog::create(&root, meta()).unwrap();
        let mut recorder = Recorder::new(&log, Run::FIRST, &[]);
        let first = [
            begins(0, "sh"),
            frame_of(0, "first"),
            begins(7, "top"),
            frame_of(7, "seventh"),
            // One of which nothing is recorded.
            begins(9, "idle"),
        ];
        for entry in &first {
            recorder.append(&mut log, entry, 1).unwrap();
        }
        let unknown = recorder.append(&mut log, &frame_of(8, "x"), 1);
        assert!(matches!(unknown, Err(RecordError::Track(TrackId(8)))));
        log.end(2, "done").unwrap();

        let earlier = tracks(&SessionReader::open(&root, "s").unwrap());
        let mut log = SessionLog::reopen(&root, "s").unwrap();
        log.begin_again(meta()).unwrap();
        let mut recorder = Recorder::new(&log, Run(1), &earlier);
        for entry in [begins(0, "sh"), frame_of(0, "again")] {
            recorder.append(&mut log, &entry, 1).unwrap();
        }
        log.end(3, "done").unwrap();
        let text = |run, track, title: &str, raw: &str| (run, track, title.into(), raw.into());
        assert_eq!(
            read(&root),
            [
                text(0, 0, "sh", "first"),
                text(0, 7, "top", "seventh"),
                text(0, 9, "idle", ""),
                text(1, 0, "sh", "again"),
            ]
        );
    }

    #[test]
    fn thousands_of_tracks_are_told_apart() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("sessions");
        let mut log = SessionLog::create(&root, meta()).unwrap();
        let mut recorder = Recorder::new(&log, Run::FIRST, &[]);
        for track in 0..3000 {
            recorder.append(&mut log, &begins(track, ""), 1).unwrap();
            let frame = frame_of(track, &track.to_string());
            recorder.append(&mut log, &frame, 1).unwrap();
        }
        log.end(2, "done").unwrap();
        let read = read(&root);
        assert_eq!(read.len(), 3000);
        for (_, track, _, raw) in read {
            assert_eq!(raw, track.to_string());
        }
    }
}
