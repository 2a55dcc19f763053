//! The session's signature of where each track stands, so that what it sent can be proved by others.

use bytes::{Bytes, BytesMut};
use pillion_caps::StateDigest;
use pillion_proto::{TrackId, TrackMsg};

use crate::{
    host::{
        api::{HostOutput, LogEntry},
        context::Context,
        timers::Timer,
        tracks::Tracks,
        tracks::track::{Body, Track},
    },
    types::Stream,
};

/// A frame is signed so long after it at the latest, in microseconds, and so a track where much happens
/// once in that time; one where nothing happens is not signed again.
const SIGN_WITHIN_US: u64 = 1_000_000;

impl Track {
    /// The state as of the newest frame: a terminal's is over
    /// [`canonical_bytes`](pillion_screen::Screen::canonical_bytes), a log's over its snapshot,
    /// a conversation's over how many entries it has.
    fn state_digest(&self) -> StateDigest {
        match &self.body {
            Body::Terminal(terminal) => StateDigest::of(&terminal.screen().canonical_bytes()),
            Body::Log(log) => StateDigest::of(&log.snapshot()),
            Body::Conversation(conversation) => StateDigest::of(&conversation.digested()),
        }
    }
}

impl Tracks {
    /// A frame was made: it is signed with those that follow in the next second.
    pub(in crate::host) fn sign_soon(&mut self, cx: &mut Context, id: TrackId) {
        let at = cx.now.mono_us.saturating_add(SIGN_WITHIN_US);
        self.unsigned.entry(id).or_insert(at);
    }

    /// Signs what is due.
    pub(in crate::host) fn sign_due(&mut self, cx: &mut Context) {
        cx.timers.clear(Timer::Checkpoints);
        if self.unsigned.is_empty() {
            return;
        }
        let now = cx.now.mono_us;
        let unsigned = self.unsigned.iter();
        let due = unsigned.filter(|(_, at)| **at <= now);
        let due: Vec<TrackId> = due.map(|(id, _)| *id).collect();
        for id in due {
            self.sign_checkpoint(cx, id);
        }
        if let Some(at) = self.unsigned.values().min() {
            cx.timers.set(Timer::Checkpoints, *at);
        }
    }

    /// Signs everything that is not signed: no more frames come.
    pub(in crate::host) fn sign_all(&mut self, cx: &mut Context) {
        let unsigned: Vec<TrackId> = self.unsigned.keys().copied().collect();
        for id in unsigned {
            self.sign_checkpoint(cx, id);
        }
    }

    /// Signs a track as of its newest frame: for the log, and for every viewer who has that frame.
    pub(in crate::host) fn sign_checkpoint(&mut self, cx: &mut Context, id: TrackId) {
        if self.unsigned.remove(&id).is_none() {
            return;
        }
        let (now, run) = (cx.now, cx.run);
        let Some(track) = self.get_mut(id) else {
            return;
        };
        let state = track.state_digest();
        let checkpoint = track
            .chain
            .checkpoint(run, state, &track.lines, now.unix_ms);
        let checkpoint = checkpoint.sign(&cx.keys.session);
        let mut out = BytesMut::new();
        TrackMsg::Checkpoint(checkpoint).encode(&mut out);
        let bytes = out.freeze();
        track.checkpoint = Some((track.number, bytes.clone()));
        let current = track.lanes.iter().filter_map(|(conn, lane)| {
            let has = lane.was_sent(track.number);
            has.then_some((*conn, Stream::Track { id: lane.epoch }))
        });
        cx.send_to_all(current, bytes);
        cx.push(HostOutput::Log(LogEntry::Checkpoint {
            track: id,
            checkpoint: Box::new(checkpoint),
        }));
    }

    /// The newest checkpoint of a track as a message, if no frame came after it.
    pub(in crate::host) fn checkpoint_of_now(&self, id: TrackId) -> Option<Bytes> {
        let track = self.get(id)?;
        let (number, bytes) = track.checkpoint.as_ref()?;
        (*number == track.number).then(|| bytes.clone())
    }
}
