//! Whether a session's log has what its host sent: the frames' chains are computed again and compared with
//! what the session's key signed.

use std::{collections::VecDeque, iter::Peekable};

use anyhow::{Result, bail};
use bytes::BytesMut;
use pillion_caps::{
    CheckpointFault, FrameChain, PublicKey, SecretKey, SessionCertificate, Signature,
    SignedCheckpoint, StateDigest,
};
use pillion_proto::{Entry, LogState, TrackKind};
use pillion_screen::Decoder;
use pillion_store::{GapKind, SessionReader};

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
        let mut gaps = Vec::new();
        for gap in reader.gaps() {
            let gap = gap.map_err(|error| Fault::Unreadable(error.to_string()))?;
            if gap.kind == GapKind::Frames && gap.track == self.track.place() {
                gaps.push(gap.first);
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

    fn holds(&self) -> String {
        let name = &self.name;
        let mut text = match self.proved {
            Some((frame, at)) => {
                let at = clock::local(at);
                format!("Every frame of {name} up to {at} (frame {frame}) is as the host signed it")
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
