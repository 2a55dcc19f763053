//! Frames to those who look at a track: each as far as it keeps up, and the state of now for who doesn't.

use bytes::{Bytes, BytesMut};
use pillion_proto::{Ack, TrackId, TrackMsg};

use crate::types::{ConnId, Stream};

use crate::host::{
    api::HostOutput,
    context::Context,
    fault::PeerError,
    timers::Timer,
    tracks::Tracks,
    tracks::lane::{CHECK_EVERY_US, Lane, LaneStatus},
};

/// Between two times that viewers who fell behind are shown the state of now, in microseconds.
const CATCH_UP_EVERY_US: u64 = 50_000;

impl Tracks {
    /// Passes a track's newest frame on to every viewer that keeps up.
    pub(in crate::host) fn deliver(&mut self, cx: &mut Context, id: TrackId, bytes: Bytes) {
        let now = cx.now.mono_us;
        let Some(track) = self.all.get_mut(&id) else {
            return;
        };
        let (number, sent) = (track.number, &track.sent);
        let live = track.lanes.iter_mut().filter_map(|(conn, lane)| {
            let passes = lane.offer(number, now, sent);
            passes.then_some((*conn, Stream::Track { id: lane.epoch }))
        });
        let any = cx.send_to_all(live, bytes);
        if any {
            self.check_lanes_soon(cx, id);
        }
    }

    pub(in crate::host) fn on_ack(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        ack: &Ack,
    ) -> Result<(), PeerError> {
        let now = cx.now.mono_us;
        if !self.was_ever(ack.track) {
            return Err(PeerError::protocol(
                "an acknowledgement of a track that is not there",
            ));
        }
        let Some(track) = self.all.get_mut(&ack.track) else {
            return Ok(());
        };
        // It may look away at this moment.
        let Some(lane) = track.lanes.get_mut(&conn) else {
            return Ok(());
        };
        lane.acknowledge(ack, now, &track.sent)
            .map_err(|_| PeerError::protocol("an acknowledgement of what was not sent"))?;
        if lane.has_caught_up(&track.sent) {
            self.behind.insert((ack.track, conn));
        }
        Ok(())
    }

    /// A viewer can't build on what it has of a track.
    pub(in crate::host) fn on_need_snapshot(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        id: TrackId,
    ) {
        let now = cx.now.mono_us;
        let lane = self.get(id).and_then(|track| track.lanes.get(&conn));
        if lane.is_some_and(|lane| lane.may_resend_snapshot(now)) {
            self.restart_lane(cx, conn, id);
        }
    }

    fn check_lanes_soon(&mut self, cx: &mut Context, id: TrackId) {
        self.on_the_way.insert(id);
        let at = cx.now.mono_us.saturating_add(CHECK_EVERY_US);
        cx.timers.set_if_unset(Timer::Lanes, at);
    }

    /// Looks for streams that bring nothing any more.
    pub(in crate::host) fn check_lanes(&mut self, cx: &mut Context) {
        for id in std::mem::take(&mut self.on_the_way) {
            self.check_lanes_of(cx, id);
        }
    }

    fn check_lanes_of(&mut self, cx: &mut Context, id: TrackId) {
        let now = cx.now.mono_us;
        let Some(track) = self.all.get_mut(&id) else {
            return;
        };
        let (mut waiting, mut stuck) = (false, Vec::new());
        for (conn, lane) in &mut track.lanes {
            let Some(state) = cx.conns.get(*conn) else {
                continue;
            };
            match lane.check(now, state.heard_at_us, state.rtt_us, &track.sent) {
                LaneStatus::Idle => {}
                LaneStatus::Waiting => waiting = true,
                LaneStatus::Stuck => stuck.push(*conn),
            }
        }
        for conn in stuck {
            self.restart_lane(cx, conn, id);
        }
        if waiting {
            self.check_lanes_soon(cx, id);
        }
    }

    /// Begins to show a viewer a track, from the state of now on.
    pub(in crate::host) fn open_lane(&mut self, cx: &mut Context, conn: ConnId, id: TrackId) {
        let now = cx.now.mono_us;
        let Some(epoch) = self.next_track_stream(cx, conn) else {
            return;
        };
        if let Some(track) = self.get_mut(id) {
            track.lanes.insert(conn, Lane::new(epoch, now));
            self.open_track_stream(cx, conn, id, epoch);
        }
    }

    /// Looks away for a viewer.
    pub(in crate::host) fn close_lane(&mut self, cx: &mut Context, conn: ConnId, id: TrackId) {
        let lane = self.get_mut(id).and_then(|track| track.lanes.remove(&conn));
        self.behind.remove(&(id, conn));
        if let Some(lane) = lane {
            let stream = Stream::Track { id: lane.epoch };
            cx.push(HostOutput::Reset { conn, stream });
        }
    }

    /// Gives a viewer's track stream up and starts a new one with the state of now.
    fn restart_lane(&mut self, cx: &mut Context, conn: ConnId, id: TrackId) {
        let Some(epoch) = self.next_track_stream(cx, conn) else {
            return;
        };
        let track = self.get_mut(id);
        let Some(lane) = track.and_then(|track| track.lanes.get_mut(&conn)) else {
            return;
        };
        let old = Stream::Track { id: lane.epoch };
        lane.begin_epoch(epoch);
        cx.push(HostOutput::Reset { conn, stream: old });
        self.open_track_stream(cx, conn, id, epoch);
    }

    /// The number of a connection's next track stream.
    fn next_track_stream(&mut self, cx: &mut Context, conn: ConnId) -> Option<u32> {
        let member = cx.conns.member_mut(conn)?;
        let epoch = member.track_streams;
        member.track_streams = epoch.checked_add(1)?;
        Some(epoch)
    }

    fn open_track_stream(&mut self, cx: &mut Context, conn: ConnId, id: TrackId, epoch: u32) {
        let Some(track) = self.get(id) else {
            return;
        };
        let opening = opening(id, epoch, track.kind());
        cx.send_bytes(conn, Stream::Track { id: epoch }, opening);
        self.send_snapshot(cx, conn, id);
        // What was typed before it was looked at may be echoed later.
        self.stir(id);
    }

    fn send_snapshot(&mut self, cx: &mut Context, conn: ConnId, id: TrackId) {
        let Some((number, bytes)) = self.snapshot_of_now(cx, id) else {
            return;
        };
        let now = cx.now.mono_us;
        let Some(track) = self.get_mut(id) else {
            return;
        };
        let Some(lane) = track.lanes.get_mut(&conn) else {
            return;
        };
        lane.snapshot_sent(number, bytes.len(), now, &track.sent);
        let stream = Stream::Track { id: lane.epoch };
        cx.send_bytes(conn, stream, bytes);
        if let Some(checkpoint) = self.checkpoint_of_now(id) {
            cx.send_bytes(conn, stream, checkpoint);
        }
        self.check_lanes_soon(cx, id);
    }

    /// Shows the state of now to those who were skipped and have caught up, all together and not
    /// too often: each time makes the next frame start the compression again for everybody.
    pub(in crate::host) fn catch_up(&mut self, cx: &mut Context) {
        cx.timers.clear(Timer::CatchUp);
        if self.behind.is_empty() {
            return;
        }
        let (now, earliest) = (cx.now.mono_us, self.catch_up_at_us);
        if now < earliest {
            return cx.timers.set(Timer::CatchUp, earliest);
        }
        self.catch_up_at_us = now.saturating_add(CATCH_UP_EVERY_US);
        for (id, conn) in std::mem::take(&mut self.behind) {
            let has_caught_up = self.get(id).is_some_and(|track| {
                let lane = track.lanes.get(&conn);
                lane.is_some_and(|lane| lane.has_caught_up(&track.sent))
            });
            if has_caught_up {
                self.send_snapshot(cx, conn, id);
            }
        }
    }

    /// How many frames a viewer is behind on what it looks at.
    pub(in crate::host) fn lag_of(&self, cx: &Context, conn: ConnId) -> u64 {
        let Some(member) = cx.conns.member(conn) else {
            return 0;
        };
        let lags = member.looks_at.iter().filter_map(|id| {
            let track = self.get(*id)?;
            let lane = track.lanes.get(&conn)?;
            Some(track.number.saturating_sub(lane.acked()))
        });
        lags.max().unwrap_or_default()
    }
}

/// What a track's stream begins with.
pub(in crate::host) fn opening(
    track: TrackId,
    epoch: u32,
    kind: pillion_proto::TrackKind,
) -> Bytes {
    let mut out = BytesMut::new();
    TrackMsg::Open { track, epoch, kind }.encode(&mut out);
    out.freeze()
}
