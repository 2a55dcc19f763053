//! Whether a session's log has what its host sent: the frames' chains are computed again and compared with
//! what the session's key signed.

use std::{collections::VecDeque, iter::Peekable};

use anyhow::{Result, bail};
use bytes::BytesMut;
use pillion_caps::{
    Checkpoint, CheckpointFault, FrameChain, LineChain, PublicKey, SecretKey, SessionCertificate,
    Signature, SignedCheckpoint, StateDigest,
};
use pillion_proto::{Entry, LogState, TrackKind};
use pillion_screen::Decoder;
use pillion_store::{GapKind, HistoryChunk, SessionReader};

use crate::{
    clock,
    sessions::{
        conversation,
        recording::{self, RecordedTrack, SESSION_KEY},
    },
};

/// What a log proves.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// For people, the session first and then each track of each run.
    pub lines: Vec<String>,
    /// Nothing in it is other than the host signed it.
    pub holds: bool,
}

/// Reads a session's log and compares all of it with what was signed.
///
/// # Errors
/// The log cannot be read, or there is no key to verify it with.
pub fn verify(reader: &SessionReader) -> Result<Verdict> {
    let certificate = recording::certificate(reader);
    let Some(session) = session_key(reader)?.or(certificate.map(|one| one.0)) else {
        bail!(
            "this session's log has no key of the session's, so there is nothing to verify it with"
        );
    };
    let mut verdict = Verdict {
        lines: vec![vouched(&session, certificate)],
        holds: true,
    };
    for track in recording::tracks(reader) {
        let (line, holds) = verify_track(reader, &session, &track)?;
        verdict.holds &= holds;
        verdict.lines.push(line);
    }
    Ok(verdict)
}

fn session_key(reader: &SessionReader) -> Result<Option<PublicKey>> {
    let seed = reader.read_document(SESSION_KEY)?;
    let seed = seed.and_then(|seed| <[u8; 32]>::try_from(seed).ok());
    Ok(seed.map(|seed| SecretKey::from_bytes(&seed).public()))
}

/// Whose session it is.
fn vouched(session: &PublicKey, certificate: Option<(PublicKey, PublicKey, Signature)>) -> String {
    let key = session.fingerprint();
    let is_vouched = certificate.filter(|(of, identity, signature)| {
        let certificate = SessionCertificate::from_signature(*identity, *signature);
        of == session && certificate.verify(session).is_ok()
    });
    match is_vouched {
        Some((_, identity, _)) => {
            let identity = identity.fingerprint();
            format!("The session's key is {key}; the host's identity {identity} vouches for it.")
        }
        None => format!("The session's key is {key}; the log has nobody's word for it."),
    }
}

/// A track's state as the log makes it.
enum Replay {
    Terminal(Box<Decoder>),
    Log {
        state: LogState,
        entries: VecDeque<Entry>,
    },
    Conversation {
        entries: VecDeque<Entry>,
        /// How many were taken.
        shown: u64,
    },
}

/// How far a track was followed.
struct Follower<'a> {
    name: String,
    session: &'a PublicKey,
    track: &'a RecordedTrack,
    chain: FrameChain,
    lines: LineChain,
    /// Read, and not yet in it.
    chunks: VecDeque<HistoryChunk>,
    /// The chain has every line since a checkpoint, or the beginning.
    lines_whole: bool,
    /// How many lines were proved.
    lines_proved: u64,
    replay: Replay,
    /// The chain has every frame since a checkpoint, or the beginning.
    whole: bool,
    /// The state is known.
    in_step: bool,
    /// Number and time of the frame that was proved last.
    proved: Option<(u64, u64)>,
    /// Frames that the log could not keep.
    gaps: usize,
    /// Frames that no checkpoint has yet.
    unsigned: u64,
}

/// What a track comes to, and whether it is as it was signed.
fn verify_track(
    reader: &SessionReader,
    session: &PublicKey,
    track: &RecordedTrack,
) -> Result<(String, bool)> {
    let kind = match track.kind {
        TrackKind::Terminal => "terminal",
        TrackKind::Log => "log",
        TrackKind::Conversation => "conversation",
        TrackKind::State | TrackKind::Unknown(_) => {
            let text = format!(
                "Track {} is of a kind that this version can't read, so it was not verified.",
                track.track
            );
            return Ok((text, true));
        }
    };
    let run = match track.run.number() {
        0 => String::new(),
        run => format!(" of run {}", run + 1),
    };
    let mut follower = Follower {
        name: format!("{kind} {}{run}", track.track),
        session,
        track,
        chain: FrameChain::begin(session, track.run.number(), track.track.0),
        lines: LineChain::begin(session, track.run.number(), track.track.0),
        chunks: VecDeque::new(),
        lines_whole: true,
        lines_proved: 0,
        replay: match track.kind {
            TrackKind::Log => Replay::Log {
                state: LogState::default(),
                entries: entries(reader, track)?,
            },
            TrackKind::Conversation => Replay::Conversation {
                entries: conversation_entries(reader, track)?,
                shown: 0,
            },
            _ => Replay::Terminal(Box::new(Decoder::new())),
        },
        whole: true,
        in_step: true,
        proved: None,
        gaps: 0,
        unsigned: 0,
    };
    Ok(match follower.follow(reader) {
        Ok(()) => (follower.holds(), true),
        Err(fault) => (follower.fails(&fault.to_string()), false),
    })
}

/// Every entry that the log has of a conversation, as viewers were sent it.
fn conversation_entries(reader: &SessionReader, track: &RecordedTrack) -> Result<VecDeque<Entry>> {
    let mut all = VecDeque::new();
    conversation::each_entry(reader, track, |entry| {
        let whole = String::from_utf8_lossy(&entry.json);
        let json = pillion_conversation::shown(&whole).into_owned();
        all.push_back(Entry {
            json: json.into(),
            ..entry.clone()
        });
        Ok(())
    })?;
    Ok(all)
}

/// Every entry that the log has of a log track.
fn entries(reader: &SessionReader, track: &RecordedTrack) -> Result<VecDeque<Entry>> {
    let mut all = VecDeque::new();
    loop {
        let next = all.back().map_or(0, |last: &Entry| last.number + 1);
        let before = all.len();
        for chunk in reader.history_range(track.place(), next, 4096, 1 << 20)? {
            let entries = Entry::decode_all(&chunk.bytes).unwrap_or_default();
            all.extend(entries.into_iter().filter(|entry| entry.number >= next));
        }
        if all.len() == before {
            return Ok(all);
        }
    }
}

/// Why a log is not what was signed.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointFault),
    #[error("a record can't be read: {0}")]
    Unreadable(String),
}

impl Follower<'_> {
    fn follow(&mut self, reader: &SessionReader) -> Result<(), Fault> {
        let mut frames = reader.frames(self.track.place(), 0).peekable();
        let (mut gaps, mut line_gaps) = (Vec::new(), Vec::new());
        for gap in reader.gaps() {
            let gap = gap.map_err(|error| Fault::Unreadable(error.to_string()))?;
            match gap.kind {
                _ if gap.track != self.track.place() => {}
                GapKind::Frames => gaps.push(gap.first),
                GapKind::History => line_gaps.push(gap.first),
                GapKind::Events => {}
            }
        }
        gaps.sort_unstable();
        let mut gaps = gaps.into_iter().peekable();
        for stored in reader.frames(self.track.checkpoint_place(), 0) {
            let stored = stored.map_err(|error| Fault::Unreadable(error.to_string()))?;
            let checkpoint = recording::checkpoint(&stored)
                .ok_or_else(|| Fault::Unreadable("it is no checkpoint".to_owned()))?;
            let upto = checkpoint.verify(self.session)?.frame;
            self.frames_upto(upto, &mut frames, &mut gaps)?;
            self.compare(&checkpoint)?;
            if self.track.kind == TrackKind::Terminal {
                self.compare_lines(reader, checkpoint.unverified(), &line_gaps)?;
            }
        }
        // What follows is of the last second, or of a session that was killed.
        self.frames_upto(u64::MAX, &mut frames, &mut gaps)
    }

    /// Takes the frames up to this one.
    fn frames_upto(
        &mut self,
        upto: u64,
        frames: &mut Peekable<
            impl Iterator<Item = Result<pillion_store::Frame, pillion_store::ReadError>>,
        >,
        gaps: &mut Peekable<impl Iterator<Item = u64>>,
    ) -> Result<(), Fault> {
        let is_later = |stored: &Result<pillion_store::Frame, _>| matches!(stored, Ok(one) if one.number / 2 > upto);
        while let Some(stored) = frames.next_if(|stored| !is_later(stored)) {
            let stored = stored.map_err(|error| Fault::Unreadable(error.to_string()))?;
            self.lost(stored.number, gaps);
            self.take(&stored)?;
        }
        self.lost(upto.saturating_mul(2).saturating_add(1), gaps);
        Ok(())
    }

    /// Notes that frames before this key could not be kept.
    fn lost(&mut self, key: u64, gaps: &mut Peekable<impl Iterator<Item = u64>>) {
        while gaps.next_if(|first| *first <= key).is_some() {
            self.gaps += 1;
            (self.whole, self.in_step) = (false, false);
        }
    }

    fn take(&mut self, stored: &pillion_store::Frame) -> Result<(), Fault> {
        let frame = recording::frame(stored);
        match &mut self.replay {
            Replay::Terminal(decoder) => {
                if !frame.snapshot {
                    self.unsigned += 1;
                    fill(&mut self.chain, frame.number);
                    self.chain.push(frame.raw);
                }
                self.in_step |= frame.snapshot;
                if self.in_step {
                    let applied = decoder.apply_raw(frame.raw);
                    applied.map_err(|error| Fault::Unreadable(error.to_string()))?;
                }
            }
            Replay::Conversation { entries, shown } => {
                let end = recording::entries_end(stored)
                    .ok_or_else(|| Fault::Unreadable("it is no frame".to_owned()))?;
                let mut body = BytesMut::new();
                let taken = entries.partition_point(|entry| entry.number < end);
                for entry in entries.drain(..taken) {
                    entry.encode(&mut body);
                    *shown = entry.number + 1;
                }
                self.unsigned += 1;
                fill(&mut self.chain, frame.number);
                self.chain.push(&body);
            }
            Replay::Log { state, entries } => {
                let end = recording::entries_end(stored)
                    .ok_or_else(|| Fault::Unreadable("it is no frame".to_owned()))?;
                let mut body = BytesMut::new();
                while let Some(first) = entries.front()
                    && first.number < end
                {
                    first.encode(&mut body);
                    state.apply(entries.pop_front().unwrap_or_else(|| unreachable!()));
                }
                self.unsigned += 1;
                fill(&mut self.chain, frame.number);
                self.chain.push(&body);
            }
        }
        Ok(())
    }

    /// Compares what was taken with what was signed.
    fn compare(&mut self, checkpoint: &SignedCheckpoint) -> Result<(), Fault> {
        let said = *checkpoint.verify(self.session)?;
        if said.run != self.track.run.number() {
            return Err(CheckpointFault::Run.into());
        }
        if self.whole {
            fill(&mut self.chain, said.frame.saturating_add(1));
        } else {
            // Of what came before it since the gap nothing is proved but the state.
            self.chain = FrameChain::resume(self.track.track.0, said.frame, said.head);
            self.whole = true;
        }
        let state = match (&self.replay, self.in_step) {
            (_, false) => said.state,
            (Replay::Terminal(decoder), true) => {
                let screen = decoder
                    .screen()
                    .map(pillion_screen::Screen::canonical_bytes);
                StateDigest::of(&screen.unwrap_or_default())
            }
            (Replay::Log { state, .. }, true) => StateDigest::of(&state.encode()),
            (Replay::Conversation { shown, .. }, true) => StateDigest::of(&shown.to_be_bytes()),
        };
        checkpoint.check(self.session, &self.chain, state)?;
        self.proved = Some((said.frame, said.at_unix_ms));
        self.unsigned = 0;
        Ok(())
    }

    /// Takes the lines up to those that a checkpoint is about, and compares them with it.
    fn compare_lines(
        &mut self,
        reader: &SessionReader,
        said: &Checkpoint,
        gaps: &[u64],
    ) -> Result<(), Fault> {
        while self.lines_whole && self.lines.end() < said.lines {
            if self.chunks.is_empty() {
                let (place, from) = (self.track.place(), self.lines.end());
                let read = reader.history_range(place, from, 4096, 1 << 20);
                let read = read.map_err(|error| Fault::Unreadable(error.to_string()))?;
                self.chunks.extend(read);
            }
            let next = self.lines.end();
            match self.chunks.pop_front() {
                Some(chunk) if chunk.first == next => {
                    self.lines.push(chunk.first, chunk.count, &chunk.bytes);
                }
                // The disk was full.
                _ if gaps.iter().any(|first| (next..said.lines).contains(first)) => {
                    self.lines_whole = false;
                }
                _ => return Err(CheckpointFault::Lines.into()),
            }
        }
        match self.lines_whole {
            true => said.check_lines(&self.lines)?,
            // Of what came before it since the gap nothing is proved.
            false => {
                self.lines = LineChain::resume(self.track.track.0, said.lines, said.lines_head);
                self.chunks.clear();
                self.lines_whole = true;
            }
        }
        self.lines_proved = said.lines;
        Ok(())
    }

    fn holds(&self) -> String {
        let name = &self.name;
        let mut text = match self.proved {
            Some((frame, at)) => {
                let at = clock::local(at);
                let lines = match self.lines_proved {
                    0 => String::new(),
                    1 => ", and the line above it".to_owned(),
                    lines => format!(", and the {lines} lines above it"),
                };
                format!(
                    "Every frame of {name} up to {at} (frame {frame}){lines} is as the host signed it"
                )
            }
            None => format!("Nothing of {name} was signed"),
        };
        match self.gaps {
            0 => text.push('.'),
            1 => text.push_str(", but for one gap: the disk was full."),
            gaps => text.push_str(&format!(", but for {gaps} gaps: the disk was full.")),
        }
        if self.unsigned > 0 {
            let unsigned = self.unsigned;
            text.push_str(&format!(
                " {unsigned} frames after that are not signed: it ended, or was read, within a second of them."
            ));
        }
        text
    }

    fn fails(&self, why: &str) -> String {
        let name = &self.name;
        let since = match self.proved {
            Some((frame, at)) => format!("after {} (frame {frame})", clock::local(at)),
            None => "from its beginning".to_owned(),
        };
        format!("What the log has of {name} {since} is not what the host signed: {why}.")
    }
}

/// Frames that the log does not have are empty, up to the one before `number`. How many a log can leave
/// out that was tampered with is bounded: a session has some hundred frames a second.
fn fill(chain: &mut FrameChain, number: u64) {
    for _ in 0..MAX_EMPTY {
        if chain.frame() + 1 >= number {
            return;
        }
        chain.push(&[]);
    }
}

/// Empty frames in a row at most: days of them.
const MAX_EMPTY: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pillion_proto::TrackId;
    use pillion_screen::LineId;
    use pillion_session::LogEntry;
    use pillion_store::{SessionLog, SessionMeta};

    use super::*;
    use crate::sessions::recording::{Recorder, Run};

    const SEED: [u8; 32] = [7; 32];

    fn history(first: u64, lines: &str) -> LogEntry {
        LogEntry::History {
            track: TrackId(0),
            first: LineId(first),
            count: u32::try_from(lines.lines().count()).unwrap(),
            bytes: Bytes::copy_from_slice(lines.as_bytes()),
        }
    }

    /// The verdict on a log that holds `written` where the host signed `signed`, after each of them.
    fn verdict(signed: &[LogEntry], written: &[LogEntry]) -> Verdict {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("sessions");
        let meta = SessionMeta {
            id: "s".to_owned(),
            name: String::new(),
            started_unix_ms: 0,
            command: String::new(),
            cols: 80,
            rows: 24,
            host: String::new(),
            pid: 1,
            runs: 1,
        };
        let mut log = SessionLog::create(&root, meta).unwrap();
        log.write_document(SESSION_KEY, &SEED).unwrap();
        let key = SecretKey::from_bytes(&SEED);
        let mut recorder = Recorder::new(&log, Run::FIRST, &[]);
        let begins = LogEntry::Track {
            track: TrackId(0),
            kind: TrackKind::Terminal,
            title: "sh".to_owned(),
            unix_ms: 1,
        };
        recorder.append(&mut log, &begins, 1).unwrap();
        let frames = FrameChain::begin(&key.public(), 0, 0);
        let mut lines = LineChain::begin(&key.public(), 0, 0);
        let mut written = written.iter();
        for (number, entry) in signed.iter().enumerate() {
            let LogEntry::History {
                first,
                count,
                bytes,
                ..
            } = entry
            else {
                panic!("lines")
            };
            lines.push(first.0, *count, bytes);
            if let Some(entry) = written.next() {
                recorder.append(&mut log, entry, 1).unwrap();
            }
            let checkpoint = frames.checkpoint(0, StateDigest::of(b""), &lines, number as u64);
            // As of frame nought, each; the log wants numbers that rise.
            if number + 1 == signed.len() {
                let checkpoint = LogEntry::Checkpoint {
                    track: TrackId(0),
                    checkpoint: Box::new(checkpoint.sign(&key)),
                };
                recorder.append(&mut log, &checkpoint, 1).unwrap();
            }
        }
        drop(log);
        verify(&SessionReader::open(&root, "s").unwrap()).unwrap()
    }

    #[test]
    fn lines_of_history_are_proved_and_altered_missing_or_moved_ones_are_noticed() {
        let all = [history(0, "one\ntwo\n"), history(2, "three\n")];
        let good = verdict(&all, &all);
        assert!(good.holds, "{good:?}");
        assert!(
            good.lines[1].contains("and the 3 lines above it is as the host signed it"),
            "{good:?}"
        );
        for written in [
            vec![history(0, "one\ntwo\n"), history(2, "thref\n")],
            vec![history(0, "one\ntwo\n")],
            vec![history(0, "one\ntwo\n"), history(3, "three\n")],
            vec![history(0, "one\n"), history(1, "two\nthree\n")],
            vec![],
        ] {
            let verdict = verdict(&all, &written);
            assert!(!verdict.holds, "{written:?}: {verdict:?}");
            assert!(
                verdict.lines[1].contains("the lines are not the ones that the host signed"),
                "{verdict:?}"
            );
        }
    }
}
