//! What programs show and take. A session has any number of tracks, each one stream of state: its frames and
//! who gets them, its history, and the way in.
//!
//! ```text
//! sources   tracks begin and end                      subscriptions  who looks at what, and hears what of the rest
//! track     what a track is: its state, its frames    fanout         frames to those who look, at their pace
//! log       the state of a log track                  lane           what one viewer of one track keeps up with
//! conversation  an agent's, and who steers it         converse       what people want of one
//! input     intents, and what is written of them      history, pack  lines and entries by range
//! checkpoint  the session's signature of what was sent
//! ```
//!
//! A track at which nothing happens costs nothing: what is to be done is found in sets of the few tracks that
//! have something to do ([`Tracks::stir`]), never by going through all of them.

pub(in crate::host) mod checkpoint;
pub(in crate::host) mod conversation;
pub(in crate::host) mod converse;
pub(in crate::host) mod fair;
pub(in crate::host) mod fanout;
pub(in crate::host) mod history;
pub(in crate::host) mod host_screen;
pub(in crate::host) mod input;
pub(in crate::host) mod lane;
pub(in crate::host) mod log;
pub(in crate::host) mod pack;
pub(in crate::host) mod sources;
pub(in crate::host) mod subscriptions;
pub(in crate::host) mod track;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pillion_caps::PublicKey;
use pillion_proto::{JoinId, ParticipantId, TrackId, TrackKind, TrackState, limits::MAX_TRACKS};
use pillion_screen::{LineId, Size};

use crate::types::ConnId;

use self::{
    history::History,
    input::Inputs,
    sources::Opening,
    subscriptions::Tells,
    track::{Body, Track},
};

/// The program that the session begins with.
pub(in crate::host) const MAIN: TrackId = TrackId(0);

/// Tracks that ended and can still be looked at, as they were in the end.
const MAX_ENDED: usize = 8;

/// Tracks remembered after that, 100 bytes each: their history can still be read.
const MAX_CLOSED: usize = 1024;

/// Every track of the session.
pub(in crate::host) struct Tracks {
    /// Those that are live, and those that ended a moment ago.
    all: BTreeMap<TrackId, Track>,
    /// Those whose programs are being started.
    opening: BTreeMap<TrackId, Opening>,
    /// Which ended, the oldest first.
    ended: VecDeque<TrackId>,
    closed: VecDeque<ClosedTrack>,
    next: u32,
    /// How large terminals are that begin while the host shows none.
    size: Size,
    /// What the host's own terminal shows, and what it showed before.
    shown: TrackId,
    shown_before: TrackId,
    /// How the program ended that the session began with.
    main: TrackState,
    /// Those that may have a frame to make.
    stirred: Vec<TrackId>,
    /// Those with lines above the screen that the log gets later.
    margins: BTreeSet<TrackId>,
    /// Those with frames that no checkpoint has, and when they are signed, in microseconds.
    unsigned: BTreeMap<TrackId, u64>,
    /// Those with frames on the way that were not acknowledged.
    on_the_way: BTreeSet<TrackId>,
    /// Viewers that were skipped and have caught up.
    behind: BTreeSet<(TrackId, ConnId)>,
    catch_up_at_us: u64,
    tells: Tells,
    inputs: Inputs,
    history: History,
}

/// What is kept of a track that can't be looked at any more.
pub(in crate::host) struct ClosedTrack {
    id: TrackId,
    kind: TrackKind,
    title: String,
    state: TrackState,
    opener: ParticipantId,
    visible_from: LineId,
    /// Its lines, or entries, are those below.
    end: LineId,
}

/// What of a track's history may be read.
#[derive(Debug, Clone, Copy)]
pub(in crate::host) struct Readable {
    pub(in crate::host) kind: TrackKind,
    pub(in crate::host) from: LineId,
    pub(in crate::host) end: LineId,
    /// Lines below are final.
    pub(in crate::host) settled: LineId,
}

impl Tracks {
    /// The tracks of a session whose program is `main`.
    pub(in crate::host) fn new(main: Track, size: Size, now_us: u64) -> Tracks {
        Tracks {
            size,
            next: main.id.0.saturating_add(1),
            shown: main.id,
            shown_before: main.id,
            all: BTreeMap::from([(main.id, main)]),
            opening: BTreeMap::new(),
            ended: VecDeque::new(),
            closed: VecDeque::new(),
            main: TrackState::Live,
            stirred: Vec::new(),
            margins: BTreeSet::new(),
            unsigned: BTreeMap::new(),
            on_the_way: BTreeSet::new(),
            behind: BTreeSet::new(),
            catch_up_at_us: 0,
            tells: Tells::new(now_us),
            inputs: Inputs::new(),
            history: History::new(now_us),
        }
    }

    pub(in crate::host) fn get(&self, id: TrackId) -> Option<&Track> {
        self.all.get(&id)
    }

    pub(in crate::host) fn get_mut(&mut self, id: TrackId) -> Option<&mut Track> {
        self.all.get_mut(&id)
    }

    /// A track whose program runs.
    pub(in crate::host) fn live(&self, id: TrackId) -> Option<&Track> {
        self.get(id).filter(|track| track.state == TrackState::Live)
    }

    /// Those that are live or ended a moment ago, by number.
    pub(in crate::host) fn iter(&self) -> impl Iterator<Item = &Track> {
        self.all.values()
    }

    /// Every number of those.
    pub(in crate::host) fn ids(&self) -> Vec<TrackId> {
        self.all.keys().copied().collect()
    }

    /// Whether a track with this number is or was there.
    pub(in crate::host) fn was_ever(&self, id: TrackId) -> bool {
        id.0 < self.next
    }

    /// Whether any program runs or is being started.
    pub(in crate::host) fn any_live(&self) -> bool {
        !self.opening.is_empty() || self.all.len() > self.ended.len()
    }

    /// What the host's own terminal shows.
    pub(in crate::host) fn shown(&self) -> TrackId {
        self.shown
    }

    /// The track that the host's own terminal shows.
    pub(in crate::host) fn shown_track(&self) -> Option<&Track> {
        self.get(self.shown)
    }

    /// Something happened on a track that may make a frame of it.
    pub(in crate::host) fn stir(&mut self, id: TrackId) {
        if !self.stirred.contains(&id) {
            self.stirred.push(id);
        }
    }

    /// A number for one more track, unless there are as many as there may be.
    fn reserve(&mut self) -> Option<TrackId> {
        let live = self.all.len() - self.ended.len() + self.opening.len();
        if live >= MAX_TRACKS {
            return None;
        }
        let id = TrackId(self.next);
        self.next = self.next.checked_add(1)?;
        Some(id)
    }

    /// Newest input of a run that was taken in: what a returning viewer need not send again.
    pub(in crate::host) fn seen(&self, join: &(PublicKey, JoinId)) -> u64 {
        self.inputs.seen(join)
    }

    /// A connection is gone, which looked at these tracks.
    pub(in crate::host) fn left(&mut self, conn: ConnId, looked_at: &BTreeSet<TrackId>) {
        self.history.left(conn);
        self.look_away(conn, looked_at);
    }

    /// Somebody's last connection is gone.
    pub(in crate::host) fn forget(&mut self, who: &PublicKey) {
        self.history.forget(who);
    }

    /// What of a track's history may be read; `None` for one that never was, or was long ago.
    pub(in crate::host) fn readable(&self, id: TrackId) -> Option<Readable> {
        let here = self.get(id).map(Track::readable);
        here.or_else(|| {
            let closed = self.closed.iter().find(|closed| closed.id == id)?;
            Some(Readable {
                kind: closed.kind,
                from: closed.visible_from,
                end: closed.end,
                settled: closed.end,
            })
        })
    }

    /// What the terminal of a track has as its emulator; `None` for one that is no terminal.
    pub(in crate::host) fn term(&self, id: TrackId) -> Option<&pillion_screen::Terminal> {
        match &self.get(id)?.body {
            Body::Terminal(terminal) => Some(&terminal.term),
            Body::Log(_) | Body::Conversation(_) => None,
        }
    }
}
