//! Who looks at which tracks, and what everybody hears of the rest: titles, states, activity, and what the
//! host looks at.

use std::collections::BTreeSet;

use pillion_proto::{
    Activity, FromHost, HostShows, RefusalReason, Subscribe, TrackId, TrackInfo, TracksChange,
    limits::MAX_TRACKS_PART,
};

use crate::types::ConnId;

use crate::host::{
    api::HostOutput, conn::Conn, context::Context, fault::PeerError, rate::Bucket, timers::Timer,
    tracks::Tracks,
};

/// What a subscription costs of a viewer's messages: each of its tracks may be a snapshot.
const COST: u64 = 5;

/// Changes of tracks are told together, at most so often, in microseconds.
const TELL_EVERY_US: u64 = 50_000;

/// So often in the long run, and so often before that counts: a program that sets its title in a loop must not
/// cost everybody twenty messages a second.
const TELLS_PER_SECOND: u64 = 4;
const TELLS_BURST: u64 = 20;

/// Activity is told at most so often, in microseconds.
const ACTIVITY_EVERY_US: u64 = 1_000_000;

/// What is to be told of tracks.
pub(in crate::host) struct Tells {
    changed: BTreeSet<TrackId>,
    told_at_us: Option<u64>,
    bucket: Bucket,
    active: BTreeSet<TrackId>,
    active_told_at_us: Option<u64>,
}

impl Tells {
    pub(in crate::host) fn new(now_us: u64) -> Tells {
        Tells {
            changed: BTreeSet::new(),
            told_at_us: None,
            bucket: Bucket::new(now_us, TELLS_PER_SECOND, TELLS_BURST),
            active: BTreeSet::new(),
            active_told_at_us: None,
        }
    }
}

impl Tracks {
    /// A viewer says what it looks at.
    pub(in crate::host) fn on_subscribe(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        subscribe: Subscribe,
    ) -> Result<(), PeerError> {
        if !cx.charge(conn, COST) {
            return Err(RefusalReason::Flood.into());
        }
        if let Some(member) = cx.conns.member_mut(conn) {
            member.subscribe = subscribe;
        }
        self.look(cx, conn);
        Ok(())
    }

    /// Shows a viewer what it said it looks at, and nothing else.
    pub(in crate::host) fn look(&mut self, cx: &mut Context, conn: ConnId) {
        let shown = self.shown();
        let Some(member) = cx.conns.get_mut(conn).and_then(Conn::member_mut) else {
            return;
        };
        let followed = member.subscribe.follow.then_some(shown);
        let named = member.subscribe.tracks.iter().copied();
        let (wanted, gone): (BTreeSet<TrackId>, BTreeSet<TrackId>) = followed
            .into_iter()
            .chain(named)
            .partition(|id| self.get(*id).is_some());
        let before = std::mem::replace(&mut member.looks_at, wanted.clone());
        for id in before.difference(&wanted) {
            self.close_lane(cx, conn, *id);
        }
        for id in wanted.difference(&before) {
            self.open_lane(cx, conn, *id);
        }
        // It may have ended a moment ago.
        if !gone.is_empty() {
            let gone = gone.into_iter().collect();
            let changed = Vec::new();
            cx.send(conn, &FromHost::Tracks(TracksChange { changed, gone }));
        }
    }

    /// A viewer is gone, and looks at nothing.
    pub(in crate::host) fn look_away(&mut self, conn: ConnId, looked_at: &BTreeSet<TrackId>) {
        for id in looked_at {
            if let Some(track) = self.get_mut(*id) {
                track.lanes.remove(&conn);
            }
            self.behind.remove(&(*id, conn));
        }
    }

    /// The host's own terminal shows this track from now on.
    pub(in crate::host) fn show(&mut self, cx: &mut Context, id: TrackId) {
        if self.shown == id {
            return;
        }
        self.shown_before = std::mem::replace(&mut self.shown, id);
        cx.push(HostOutput::Show { track: id });
        if !cx.shared {
            return;
        }
        cx.broadcast(&[FromHost::Shows(HostShows { track: id })]);
        let viewers: Vec<ConnId> = cx.conns.viewers().collect();
        for conn in viewers {
            if cx
                .conns
                .member(conn)
                .is_some_and(|member| member.subscribe.follow)
            {
                self.look(cx, conn);
            }
        }
    }

    /// What a viewer who comes in is told of the tracks.
    pub(in crate::host) fn track_infos(&self) -> Vec<TrackInfo> {
        self.iter().map(|track| track.info()).collect()
    }

    /// A track is new, or is not what viewers were told.
    pub(in crate::host) fn track_changed(&mut self, id: TrackId) {
        self.tells.changed.insert(id);
    }

    /// Something happened on a track that not everybody looks at.
    pub(in crate::host) fn note_activity(&mut self, id: TrackId) {
        self.tells.active.insert(id);
    }

    /// Tells everybody what changed of the tracks, if it is time.
    pub(in crate::host) fn tell_tracks(&mut self, cx: &mut Context) {
        let now = cx.now.mono_us;
        cx.timers.clear(Timer::Tracks);
        let tells = &mut self.tells;
        if tells.changed.is_empty() {
            return;
        }
        if cx.conns.viewer_count() == 0 {
            return tells.changed.clear();
        }
        let earliest = tells
            .told_at_us
            .map_or(0, |at| at.saturating_add(TELL_EVERY_US));
        let due = earliest.max(tells.bucket.ready_at(now, 1));
        match now < due {
            true => cx.timers.set(Timer::Tracks, due),
            false => {
                tells.told_at_us = Some(now);
                tells.bucket.take(now, 1);
                self.tell_tracks_now(cx);
            }
        }
    }

    /// The same at once.
    pub(in crate::host) fn tell_tracks_now(&mut self, cx: &mut Context) {
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.tells.changed) {
            match self.get(id) {
                Some(track) => changed.push(track.info()),
                None => gone.push(id),
            }
        }
        let changed = changed.chunks(MAX_TRACKS_PART).map(|part| TracksChange {
            changed: part.to_vec(),
            gone: Vec::new(),
        });
        let gone = gone.chunks(MAX_TRACKS_PART).map(|part| TracksChange {
            changed: Vec::new(),
            gone: part.to_vec(),
        });
        let messages: Vec<FromHost> = changed.chain(gone).map(FromHost::Tracks).collect();
        cx.broadcast(&messages);
    }

    /// Tells those who don't look where something happens, if it is time.
    pub(in crate::host) fn tell_activity(&mut self, cx: &mut Context) {
        let now = cx.now.mono_us;
        cx.timers.clear(Timer::Activity);
        let tells = &mut self.tells;
        if tells.active.is_empty() {
            return;
        }
        let due = tells
            .active_told_at_us
            .map_or(0, |at| at.saturating_add(ACTIVITY_EVERY_US));
        if now < due {
            return cx.timers.set(Timer::Activity, due);
        }
        tells.active_told_at_us = Some(now);
        let active = std::mem::take(&mut tells.active);
        let viewers: Vec<ConnId> = cx.conns.viewers().collect();
        for conn in viewers {
            let Some(member) = cx.conns.member(conn) else {
                continue;
            };
            let unseen = active.difference(&member.looks_at);
            let tracks: Vec<TrackId> = unseen.copied().take(MAX_TRACKS_PART).collect();
            if !tracks.is_empty() {
                cx.send(conn, &FromHost::Activity(Activity { tracks }));
            }
        }
    }
}
