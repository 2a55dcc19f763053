//! From the tracks' streams to what is shown.

use std::collections::{BTreeMap, BTreeSet};

use pillion_caps::{CheckpointFault, FrameChain, PublicKey, SignedCheckpoint, StateDigest};
use pillion_conversation::Conversation;
use pillion_proto::{
    Ack, Entry, FrameMsg, Framer, FromViewer, LogState, ProtocolError, SnapshotMsg, Subscribe,
    TrackId, TrackInfo, TrackKind, TrackMsg, TrackState, TracksChange,
    limits::{MAX_SUBSCRIPTIONS, MAX_TRACK_MESSAGE, MAX_TRACKS_PART},
};
use pillion_screen::{Damage, Decoder, Screen, packed};

use super::{Phase, View, Viewer, ViewerNotice, ViewerOutput};

/// Track streams looked at at once, beside two for each track that was chosen: the one in use, one that
/// replaces it, and one more on its way.
const MORE_STREAMS: usize = 3;

/// Streams remembered of which nothing is wanted any more, so that what still comes of them is not taken for
/// the beginning of new ones.
const MAX_LET_GO: usize = 64;

/// A snapshot is asked for at most so often, in microseconds.
const ASK_EVERY_US: u64 = 500_000;

/// A frame alone is acknowledged so long after it at the latest, in microseconds, or with what is sent anyway: who
/// types sends the next key by then, and a packet for each echo would be one more wake-up at both ends.
const ACK_WITHIN_US: u64 = 100_000;

/// A larger frame is acknowledged at once, in bytes: how much is on the way counts.
const ACK_LATER_BYTES: usize = 1024;

/// What the host was not told of yet.
struct Unacknowledged {
    /// The newest frame shown.
    frame: u64,
    /// When the host is told at the latest.
    by_us: u64,
}

/// One stream of a track.
struct TrackStream {
    framer: Framer,
    /// Which track and epoch it says it is; `None` before it said so.
    opened: Option<(TrackId, u32)>,
}

/// Streams of which nothing is wanted any more.
#[derive(Default)]
struct LetGo {
    /// All below.
    below: u32,
    newest: BTreeSet<u32>,
}

impl LetGo {
    fn contains(&self, id: u32) -> bool {
        id < self.below || self.newest.contains(&id)
    }

    fn insert(&mut self, id: u32) {
        self.newest.insert(id);
        while self.newest.len() > MAX_LET_GO
            && let Some(oldest) = self.newest.pop_first()
        {
            self.below = oldest.saturating_add(1);
        }
    }
}

/// What is received of a track.
enum Content {
    Terminal(Box<Decoder>),
    Log(LogState),
    Conversation(Box<Conversation>),
}

/// What came can't be built upon.
struct OutOfStep;

/// The newest state of one track, and how it is kept up with.
struct TrackReceiver {
    content: Content,
    /// Number of the newest frame.
    frame: u64,
    /// Newest epoch seen on this connection.
    epoch: Option<u32>,
    /// Frames can be applied; otherwise only a snapshot helps.
    in_step: bool,
    /// Nothing was shown on this connection yet: whatever number comes first is right, for the host
    /// may have begun again.
    fresh: bool,
    asked_at_us: Option<u64>,
    /// The frames' chain, from what the snapshot said of it on.
    chain: Option<FrameChain>,
    /// What came was not what the host signed, and no checkpoint agreed since.
    doubted: bool,
    /// What was shown that the host was not told of.
    unacknowledged: Option<Unacknowledged>,
}

impl TrackReceiver {
    /// `None` for a kind of track that is not known here.
    fn new(kind: TrackKind) -> Option<TrackReceiver> {
        let content = match kind {
            TrackKind::Terminal => Content::Terminal(Box::new(Decoder::new())),
            TrackKind::Log => Content::Log(LogState::default()),
            TrackKind::Conversation => Content::Conversation(Box::default()),
            TrackKind::State | TrackKind::Unknown(_) => return None,
        };
        Some(TrackReceiver {
            content,
            frame: 0,
            epoch: None,
            in_step: false,
            fresh: true,
            asked_at_us: None,
            chain: None,
            doubted: false,
            unacknowledged: None,
        })
    }

    fn disconnected(&mut self) {
        self.epoch = None;
        self.in_step = false;
        self.fresh = true;
        self.asked_at_us = None;
        self.chain = None;
        self.doubted = false;
        self.unacknowledged = None;
    }

    /// Whether it reads this kind of track.
    fn reads(&self, kind: TrackKind) -> bool {
        match &self.content {
            Content::Terminal(_) => kind == TrackKind::Terminal,
            Content::Log(_) => kind == TrackKind::Log,
            Content::Conversation(_) => kind == TrackKind::Conversation,
        }
    }

    fn screen(&self) -> Option<&Screen> {
        match &self.content {
            Content::Terminal(decoder) => decoder.screen(),
            Content::Log(_) | Content::Conversation(_) => None,
        }
    }

    /// Takes a snapshot; whether it is news.
    fn take_snapshot(&mut self, id: TrackId, snapshot: &SnapshotMsg) -> Result<bool, OutOfStep> {
        if !self.fresh && self.in_step && snapshot.number < self.frame {
            return Ok(false);
        }
        match &mut self.content {
            Content::Terminal(decoder) => {
                let read = decoder.snapshot(&snapshot.payload);
                read.map_err(|_| OutOfStep)?;
            }
            Content::Log(state) => {
                *state = LogState::decode(&snapshot.payload).map_err(|_| OutOfStep)?;
            }
            Content::Conversation(shown) => {
                let state = packed::unpack(&snapshot.payload, MAX_TRACK_MESSAGE);
                let state = state.map_err(|_| OutOfStep)?;
                **shown = Conversation::from_snapshot(&state).map_err(|_| OutOfStep)?;
            }
        }
        self.in_step = true;
        self.fresh = false;
        self.asked_at_us = None;
        self.frame = snapshot.number;
        let head = snapshot.chain;
        self.chain = head.map(|head| FrameChain::resume(id.0, snapshot.number, head));
        self.unacknowledged = Some(Unacknowledged {
            frame: snapshot.number,
            by_us: 0,
        });
        Ok(true)
    }

    /// Takes a frame, if it is the next: what changed by it, which is nothing if it only says what was echoed.
    fn take_frame(&mut self, frame: &FrameMsg, now_us: u64) -> Result<Option<Damage>, OutOfStep> {
        if !self.in_step || frame.number <= self.frame {
            return Ok(None);
        }
        if frame.number != self.frame + 1 {
            return Err(OutOfStep);
        }
        let mut changed = None;
        let chain = &mut self.chain;
        let mut chained = |body: &[u8]| {
            if let Some(chain) = chain {
                chain.push(body);
            }
        };
        if frame.payload.is_empty() {
            chained(&[]);
        }
        if !frame.payload.is_empty() {
            changed = Some(match &mut self.content {
                Content::Terminal(decoder) => {
                    let read = decoder.frame_with(&frame.payload, frame.reset, chained);
                    read.map_err(|_| OutOfStep)?
                }
                Content::Log(state) => {
                    chained(&frame.payload);
                    let entries = Entry::decode_all(&frame.payload).map_err(|_| OutOfStep)?;
                    fold(state, entries)?;
                    Damage::default()
                }
                Content::Conversation(shown) => {
                    let entries = packed::unpack(&frame.payload, MAX_TRACK_MESSAGE);
                    let entries = entries.map_err(|_| OutOfStep)?;
                    chained(&entries);
                    let entries = Entry::decode_conversation(&entries);
                    converse(shown, entries.map_err(|_| OutOfStep)?)?;
                    Damage::default()
                }
            });
        }
        self.frame = frame.number;
        let is_alone = self.unacknowledged.is_none() && frame.payload.len() <= ACK_LATER_BYTES;
        self.unacknowledged = Some(Unacknowledged {
            frame: frame.number,
            by_us: match is_alone {
                true => now_us.saturating_add(ACK_WITHIN_US),
                false => 0,
            },
        });
        Ok(changed)
    }

    /// Compares a checkpoint with what came. Whether it is of what is there now: of another frame it proves
    /// nothing, and of a host that said nothing of its chain.
    fn take_checkpoint(
        &mut self,
        session: &PublicKey,
        run: Option<u32>,
        id: TrackId,
        checkpoint: &SignedCheckpoint,
    ) -> Result<bool, CheckpointFault> {
        let Some(chain) = self.chain.filter(|_| self.in_step) else {
            return Ok(false);
        };
        let said = checkpoint.verify(session)?;
        if said.track != id.0 {
            return Err(CheckpointFault::Track);
        }
        if run.is_some_and(|run| run != said.run) {
            return Err(CheckpointFault::Run);
        }
        if said.frame != chain.frame() {
            return Ok(false);
        }
        let state = match &self.content {
            Content::Terminal(decoder) => decoder.screen().map(Screen::canonical_bytes),
            Content::Log(state) => Some(state.encode().to_vec()),
            Content::Conversation(shown) => Some(shown.next().to_be_bytes().to_vec()),
        };
        let state = StateDigest::of(&state.unwrap_or_default());
        checkpoint.check(session, &chain, state)?;
        self.doubted = false;
        Ok(true)
    }
}

/// Adds entries to a state.
fn fold(state: &mut LogState, entries: Vec<Entry>) -> Result<(), OutOfStep> {
    for entry in entries {
        if entry.number != state.next {
            return Err(OutOfStep);
        }
        state.apply(entry);
    }
    Ok(())
}

/// Adds entries to what is shown. A snapshot may have had some of them.
fn converse(shown: &mut Conversation, entries: Vec<Entry>) -> Result<(), OutOfStep> {
    for entry in entries {
        if entry.number < shown.next() {
            continue;
        }
        let json = std::str::from_utf8(&entry.json).map_err(|_| OutOfStep)?;
        if entry.number != shown.next() {
            return Err(OutOfStep);
        }
        shown.apply_text(json);
    }
    Ok(())
}

/// What is received of each track that is looked at, and where it comes from.
pub(super) struct Receivers {
    tracks: BTreeMap<TrackId, TrackReceiver>,
    /// By the driver's count.
    streams: BTreeMap<u32, TrackStream>,
    let_go: LetGo,
    /// What the person chose to look at; empty to look at what the host looks at.
    chosen: Vec<TrackId>,
    /// The same as the host was told on this connection.
    told: Vec<TrackId>,
    /// What the host looks at, as it was told on this connection.
    host_shows: Option<TrackId>,
    /// What the newest snapshot weighed, in bytes, on whichever connection.
    snapshot_bytes: usize,
    /// The run of the session that checkpoints on this connection are of.
    run: Option<u32>,
    /// What it was last said of that it can't be shown.
    skipped: Option<TrackId>,
}

impl Receivers {
    pub(super) fn new() -> Receivers {
        Receivers {
            tracks: BTreeMap::new(),
            streams: BTreeMap::new(),
            let_go: LetGo::default(),
            chosen: Vec::new(),
            told: Vec::new(),
            host_shows: None,
            snapshot_bytes: 0,
            run: None,
            skipped: None,
        }
    }

    /// What the person chose to look at.
    pub(super) fn chosen(&self) -> &[TrackId] {
        &self.chosen
    }

    /// The same, as the host is told now.
    pub(super) fn subscription(&mut self) -> Subscribe {
        self.told.clone_from(&self.chosen);
        Subscribe {
            follow: self.chosen.is_empty(),
            tracks: self.chosen.clone(),
        }
    }

    /// What is to be shown, when that is known.
    fn wanted(&self) -> Option<TrackId> {
        self.chosen.first().copied().or(self.host_shows)
    }

    /// Whether nothing was shown on this connection yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.tracks.values().all(|track| track.fresh)
    }

    /// What the newest snapshot weighed, in bytes.
    pub(super) fn snapshot_bytes(&self) -> usize {
        self.snapshot_bytes
    }

    /// The connection is gone; what is shown stays as it was.
    pub(super) fn disconnected(&mut self) {
        self.streams.clear();
        self.let_go = LetGo::default();
        self.host_shows = None;
        self.run = None;
        for track in self.tracks.values_mut() {
            track.disconnected();
        }
    }

    /// Nothing more of a stream is wanted, or comes.
    pub(super) fn let_go(&mut self, id: u32) {
        self.streams.remove(&id);
        self.let_go.insert(id);
    }

    /// When the host is told what was shown.
    pub(super) fn acknowledge_at_us(&self) -> Option<u64> {
        let tracks = self.tracks.values();
        let waiting = tracks.filter_map(|track| track.unacknowledged.as_ref());
        waiting.map(|waiting| waiting.by_us).min()
    }

    /// When a snapshot is asked for (again).
    pub(super) fn ask_at_us(&self) -> Option<u64> {
        let asked = self.tracks.values().filter_map(|track| track.asked_at_us);
        asked.min().map(|at| at.saturating_add(ASK_EVERY_US))
    }

    /// The state of a log track that is looked at.
    pub(super) fn log(&self, track: TrackId) -> Option<&LogState> {
        match &self.tracks.get(&track)?.content {
            Content::Log(state) => Some(state),
            Content::Terminal(_) | Content::Conversation(_) => None,
        }
    }

    /// A conversation that is looked at.
    pub(super) fn conversation(&self, track: TrackId) -> Option<&Conversation> {
        let received = self.tracks.get(&track)?;
        // Before its first snapshot there is nothing to see.
        match &received.content {
            Content::Conversation(shown) => (received.frame > 0).then_some(shown),
            Content::Terminal(_) | Content::Log(_) => None,
        }
    }

    /// The screen of a terminal that is looked at.
    pub(super) fn screen(&self, track: TrackId) -> Option<&Screen> {
        self.tracks.get(&track)?.screen()
    }

    /// The stream with the driver's number `id`, made when it is new. Older ones make room. `None` for one of
    /// which nothing is wanted any more.
    fn stream(&mut self, id: u32) -> Option<&mut TrackStream> {
        if self.let_go.contains(id) {
            return None;
        }
        if !self.streams.contains_key(&id) {
            if self.streams.len() >= MORE_STREAMS + 2 * self.chosen.len() {
                let oldest = *self.streams.keys().next()?;
                if id < oldest {
                    return None;
                }
                self.let_go(oldest);
            }
            let framer = Framer::new(MAX_TRACK_MESSAGE);
            let opened = None;
            self.streams.insert(id, TrackStream { framer, opened });
        }
        self.streams.get_mut(&id)
    }

    /// A stream says which track and epoch it is; older ones of the track are let go. Whether it is looked at,
    /// and of a kind that is known here.
    fn opened(&mut self, id: u32, track: TrackId, epoch: u32, kind: TrackKind) -> bool {
        if !self.chosen.is_empty() && !self.chosen.contains(&track) {
            return false;
        }
        // A host that began again gives numbers again.
        if self
            .tracks
            .get(&track)
            .is_some_and(|known| !known.reads(kind))
        {
            self.tracks.remove(&track);
        }
        if !self.tracks.contains_key(&track) {
            // No host shows so many that were not chosen.
            if self.tracks.len() > MAX_SUBSCRIPTIONS + 1 {
                return false;
            }
            let receiver = TrackReceiver::new(kind);
            self.tracks.extend(receiver.map(|new| (track, new)));
        }
        let Some(receiver) = self.tracks.get_mut(&track) else {
            return false;
        };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.opened = Some((track, epoch));
        }
        if receiver.epoch.is_none_or(|newest| epoch > newest) {
            receiver.epoch = Some(epoch);
            receiver.in_step = false;
            let is_older = |stream: &TrackStream| {
                let opened = stream.opened;
                opened.is_some_and(|(other, old)| other == track && old < epoch)
            };
            let streams = self.streams.iter();
            let older = streams.filter(|(_, stream)| is_older(stream));
            let older: Vec<u32> = older.map(|(id, _)| *id).collect();
            for id in older {
                self.let_go(id);
            }
        }
        true
    }

    /// Lets go of tracks that are not looked at any more. What comes on a stream is kept: the host may look at it
    /// already, and what it says of that come later.
    fn forget_unwanted(&mut self, shown: TrackId) {
        let (chosen, wanted) = (&self.chosen, self.wanted());
        let streams = self.streams.values();
        let comes: BTreeSet<TrackId> = streams.filter_map(|one| Some(one.opened?.0)).collect();
        self.tracks.retain(|id, _| {
            *id == shown || Some(*id) == wanted || chosen.contains(id) || comes.contains(id)
        });
    }
}

impl Viewer {
    /// The person wants to look at these tracks, of which the first is shown; at what the host looks at, if at
    /// none.
    pub(super) fn on_look(&mut self, tracks: &[TrackId]) {
        let mut chosen: Vec<TrackId> = Vec::new();
        for track in tracks.iter().take(MAX_SUBSCRIPTIONS) {
            if !chosen.contains(track) {
                chosen.push(*track);
            }
        }
        if chosen == self.receivers.chosen {
            return;
        }
        self.receivers.chosen = chosen;
        self.view.follows = self.receivers.chosen.is_empty();
        self.view.chosen = self.receivers.chosen.first().copied();
        self.changed = true;
        self.subscribe();
        self.show_wanted();
    }

    /// Tells the host what is looked at, unless it was told already. The hello says it first.
    pub(super) fn subscribe(&mut self) {
        if self.is_in() && self.receivers.told != self.receivers.chosen {
            let subscription = self.receivers.subscription();
            self.send(&FromViewer::Subscribe(subscription));
        }
    }

    /// What the host looks at.
    pub(super) fn on_host_shows(&mut self, track: TrackId) {
        self.receivers.host_shows = Some(track);
        self.view.host_shows = track;
        self.changed = true;
        self.show_wanted();
    }

    /// Shows another track, once there is something of it to show.
    fn show_wanted(&mut self) {
        if let Some(track) = self.receivers.wanted() {
            self.view.active.remove(&track);
            let receiver = self.receivers.tracks.get(&track);
            let is_there = receiver.is_some_and(|receiver| receiver.in_step);
            if is_there && self.view.track.0 != track {
                self.show(track, None);
            }
        }
        self.receivers.forget_unwanted(self.view.track.0);
        self.forget_verified();
    }

    /// Checkpoints are kept of what is looked at.
    fn forget_verified(&mut self) {
        let tracks = &self.receivers.tracks;
        self.view.verified.retain(|id, _| tracks.contains_key(id));
    }

    /// Brings what is shown up to what was received of a track.
    fn show(&mut self, track: TrackId, damage: Option<&Damage>) {
        let Some(receiver) = self.receivers.tracks.get(&track) else {
            return;
        };
        self.view.frame = receiver.frame;
        self.changed = true;
        if self.view.track.0 == track && receiver.screen().is_some() {
            return copy_screen(&mut self.view, receiver.screen(), damage);
        }
        self.view.track = (track, TrackState::Live);
        self.view.screen = None;
        self.view.version += 1;
        self.view.row_versions.clear();
        copy_screen(&mut self.view, receiver.screen(), None);
        self.note_state();
    }

    /// Notes how the track stands that is shown.
    fn note_state(&mut self) {
        let shown = self.view.track.0;
        let info = self.view.tracks.iter().find(|info| info.id == shown);
        if let Some(info) = info {
            self.view.track.1 = info.state;
        }
    }

    /// The tracks, as the welcome has them.
    pub(super) fn on_first_tracks(&mut self, tracks: Vec<TrackInfo>, shows: TrackId) {
        let is_there = |id: &TrackId| tracks.iter().any(|info| info.id == *id);
        let chosen = self.receivers.chosen.iter();
        let gone = chosen.filter(|id| !is_there(id)).copied().collect();
        self.view.tracks.clear();
        self.view.active.clear();
        self.on_host_shows(shows);
        self.on_tracks(TracksChange {
            changed: tracks,
            gone,
        });
        // Something else may have been chosen while the hello was on its way.
        self.subscribe();
    }

    /// Tracks are new, changed or gone.
    pub(super) fn on_tracks(&mut self, change: TracksChange) {
        let tracks = &mut self.view.tracks;
        for info in change.changed {
            match tracks.binary_search_by_key(&info.id, |known| known.id) {
                Ok(at) => tracks[at] = info,
                Err(at) if tracks.len() < MAX_TRACKS_PART => tracks.insert(at, info),
                Err(_) => {}
            }
        }
        tracks.retain(|known| !change.gone.contains(&known.id));
        self.changed = true;
        self.note_state();
        for id in &change.gone {
            self.view.active.remove(id);
            self.forget_input_for(*id);
        }
        let mut left = self.receivers.chosen.clone();
        left.retain(|id| !change.gone.contains(id));
        if left.len() < self.receivers.chosen.len() {
            if left.is_empty() {
                self.say(ViewerNotice::LookedAtGone);
            }
            self.on_look(&left);
        }
    }

    /// Something happened where this viewer doesn't look.
    pub(super) fn on_activity(&mut self, tracks: &[TrackId]) {
        let known = &self.view.tracks;
        let is_known = |id: &&TrackId| known.iter().any(|info| info.id == **id);
        let active: Vec<TrackId> = tracks.iter().filter(is_known).copied().collect();
        self.changed |= !active.is_empty();
        self.view.active.extend(active);
    }

    /// Bytes came on a track stream.
    pub(super) fn on_track(&mut self, id: u32, bytes: &[u8]) -> Result<(), ProtocolError> {
        match self.receivers.stream(id) {
            Some(stream) => stream.framer.push(bytes),
            None => return Ok(()),
        }
        while let Some(stream) = self.receivers.streams.get_mut(&id) {
            let Some((tag, payload)) = stream.framer.next_message()? else {
                break;
            };
            let opened = stream.opened;
            match (TrackMsg::decode(tag, &payload)?, opened) {
                (TrackMsg::Open { track, epoch, kind }, None) => {
                    // One that is looked at no longer, or of a kind this version knows nothing of.
                    if !self.receivers.opened(id, track, epoch, kind) {
                        self.receivers.let_go(id);
                        self.skip_kind(track, kind);
                    }
                }
                (TrackMsg::Unknown(_), _) => {}
                (_, None) => return Err(ProtocolError::Malformed("a track without its opening")),
                (TrackMsg::Open { .. }, _) => {
                    return Err(ProtocolError::Malformed("a track opened twice"));
                }
                (TrackMsg::Snapshot(snapshot), Some((track, epoch))) => {
                    self.on_snapshot(track, epoch, &snapshot);
                }
                (TrackMsg::Frame(frame), Some((track, epoch))) => {
                    self.on_frame(track, epoch, &frame);
                }
                (TrackMsg::Checkpoint(checkpoint), Some((track, epoch))) => {
                    self.on_checkpoint(track, epoch, &checkpoint)?;
                }
            }
        }
        Ok(())
    }

    /// A track of a kind that this version knows nothing of can't be shown. Who wants to see it is in all the
    /// same, and is told so once.
    fn skip_kind(&mut self, track: TrackId, kind: TrackKind) {
        let is_known = TrackReceiver::new(kind).is_some();
        if is_known || !self.is_in() || self.receivers.wanted() != Some(track) {
            return;
        }
        if self.view.screen.is_none() {
            // Nothing was shown before: what is typed now is for no other track.
            self.view.track = (track, TrackState::Live);
            self.note_state();
        }
        self.set_phase(Phase::Live);
        if self.receivers.skipped.replace(track) != Some(track) {
            self.say(ViewerNotice::UnknownKind(track));
        }
    }

    /// What receives a stream's track, unless a newer stream took its place.
    fn receiver(&mut self, id: TrackId, epoch: u32) -> Option<&mut TrackReceiver> {
        let track = self.receivers.tracks.get_mut(&id)?;
        (track.epoch == Some(epoch)).then_some(track)
    }

    fn on_snapshot(&mut self, id: TrackId, epoch: u32, snapshot: &SnapshotMsg) {
        let Some(track) = self.receiver(id, epoch) else {
            return;
        };
        match track.take_snapshot(id, snapshot) {
            Err(OutOfStep) => return self.desync(id),
            Ok(false) => return,
            Ok(true) => {}
        }
        self.receivers.snapshot_bytes = snapshot.payload.len();
        self.changed = true;
        let is_other = self.view.track.0 != id;
        // What is shown until the wanted one is there stays as it is.
        if !is_other || self.receivers.wanted().is_none_or(|wanted| wanted == id) {
            self.show(id, None);
            if is_other {
                self.receivers.forget_unwanted(id);
                self.forget_verified();
            }
        }
        // What is shown before the welcome is seen, and not lived in.
        if self.is_in() {
            self.set_phase(Phase::Live);
        }
    }

    fn on_frame(&mut self, id: TrackId, epoch: u32, frame: &FrameMsg) {
        let now_us = self.now.mono_us;
        let Some(track) = self.receiver(id, epoch) else {
            return;
        };
        let Ok(damage) = track.take_frame(frame, now_us) else {
            return self.desync(id);
        };
        let number = track.frame;
        self.changed = true;
        if self.view.track.0 != id {
            return;
        }
        match damage {
            Some(damage) => self.show(id, Some(&damage)),
            None => self.view.frame = number,
        }
    }

    /// The host signs what it sent. What does not agree with that is damaged: its state is asked for once.
    fn on_checkpoint(
        &mut self,
        id: TrackId,
        epoch: u32,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), ProtocolError> {
        let (session, run) = (self.config.session, self.receivers.run);
        let Some(track) = self.receiver(id, epoch) else {
            return Ok(());
        };
        match track.take_checkpoint(&session, run, id, checkpoint) {
            Ok(false) => {}
            Ok(true) => {
                self.receivers.run = Some(checkpoint.unverified().run);
                self.view.verified.insert(id, *checkpoint);
            }
            Err(fault) if track.doubted => {
                return Err(ProtocolError::NotAsSigned { track: id, fault });
            }
            Err(fault) => {
                track.doubted = true;
                self.say(ViewerNotice::NotAsSigned { track: id, fault });
                self.desync(id);
            }
        }
        Ok(())
    }

    /// What comes can't be built upon any more.
    fn desync(&mut self, id: TrackId) {
        let Some(track) = self.receivers.tracks.get_mut(&id) else {
            return;
        };
        track.in_step = false;
        if track.asked_at_us.is_none() {
            self.need_snapshot(id);
        }
    }

    fn need_snapshot(&mut self, id: TrackId) {
        let now = self.now.mono_us;
        if let Some(track) = self.receivers.tracks.get_mut(&id) {
            track.asked_at_us = Some(now);
        }
        // Before the hello nothing is asked for: its answer brings a snapshot anyway.
        if self.link.as_ref().is_some_and(|link| link.proved) {
            self.send(&FromViewer::NeedSnapshot(id));
        }
    }

    /// Asks again for snapshots that did not come.
    pub(super) fn ask_for_snapshot(&mut self) {
        let now = self.now.mono_us;
        if self.receivers.ask_at_us().is_none_or(|at| now < at) {
            return;
        }
        let is_due = |track: &TrackReceiver| {
            let asked = track.asked_at_us;
            asked.is_some_and(|at| now >= at.saturating_add(ASK_EVERY_US))
        };
        let tracks = self.receivers.tracks.iter();
        let due = tracks.filter(|(_, track)| is_due(track));
        let due: Vec<TrackId> = due.map(|(id, _)| *id).collect();
        for id in due {
            self.need_snapshot(id);
        }
    }

    /// Tells the host how far it was shown, once for all that came together.
    pub(super) fn acknowledge(&mut self) {
        let Some(at) = self.receivers.acknowledge_at_us() else {
            return;
        };
        let sends = |output: &ViewerOutput| matches!(output, ViewerOutput::Send { .. });
        if !self.is_in() || (self.now.mono_us < at && !self.out.iter().any(sends)) {
            return;
        }
        let ack = |(id, track): (&TrackId, &mut TrackReceiver)| {
            Some(Ack {
                track: *id,
                epoch: track.epoch?,
                frame: track.unacknowledged.take()?.frame,
            })
        };
        let acks: Vec<Ack> = self.receivers.tracks.iter_mut().filter_map(ack).collect();
        for ack in acks {
            self.send(&FromViewer::Ack(ack));
        }
    }
}

/// Brings the screen that is shown up to the decoder's, copying what changed and no more.
fn copy_screen(view: &mut View, new: Option<&Screen>, damage: Option<&Damage>) {
    let Some(new) = new else { return };
    view.version += 1;
    let version = view.version;
    let old = view.screen.as_mut().filter(|old| old.size == new.size);
    let (Some(old), Some(damage)) = (old, damage.filter(|damage| !damage.resized)) else {
        view.screen = Some(new.clone());
        view.row_versions.clear();
        view.row_versions.resize(new.rows.len(), version);
        return;
    };
    for y in damage.rows.iter().map(usize::from) {
        if let (Some(old), Some(new)) = (old.rows.get_mut(y), new.rows.get(y)) {
            old.cells.clone_from(&new.cells);
            old.wrap = new.wrap;
        }
        if let Some(row) = view.row_versions.get_mut(y) {
            *row = version;
        }
    }
    (old.cursor, old.modes, old.lines, old.bells) = (new.cursor, new.modes, new.lines, new.bells);
    if old.title != new.title {
        old.title.clone_from(&new.title);
    }
    if old.palette != new.palette {
        old.palette.clone_from(&new.palette);
    }
}
