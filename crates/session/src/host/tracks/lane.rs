//! One encoding for all viewers, and for each viewer only as much of it as it keeps up with.
//!
//! A QUIC write succeeds into a window of megabytes long after the viewer has fallen behind, so the
//! host goes by what viewers acknowledge. A [`Lane`] holds a handful of numbers for one viewer of
//! one track; what was sent is remembered once for all of them, in [`Sent`].

use std::collections::VecDeque;

use pillion_proto::Ack;

/// Unacknowledged bytes every viewer may have on the way, however slow: about a screen.
pub(in crate::host) const MIN_WINDOW: u64 = 16 * 1024;

/// The most unacknowledged bytes: 20 MB/s at 50 ms.
const MAX_WINDOW: u64 = 1024 * 1024;

/// Frames remembered for accounting, 24 bytes each.
const REMEMBERED: usize = 4096;

/// Unacknowledged frames from which on a viewer counts as behind, however small they were.
const MAX_UNACKED_FRAMES: u64 = REMEMBERED as u64 / 2;

/// Silence in acknowledgements after which a stream is given up, in microseconds (or four round
/// trips, if that is longer). After an outage, data in flight on the dead path can stall for 5–23 s
/// while a new stream runs at once (noq issue 516).
pub(in crate::host) const STUCK_US: u64 = 1_000_000;

/// The longest such wait, after several streams in a row brought nothing.
const MAX_STUCK_US: u64 = 16_000_000;

/// How often lanes with bytes on the way are looked at, in microseconds.
pub(in crate::host) const CHECK_EVERY_US: u64 = 250_000;

/// A snapshot asked for again sooner than this is not sent, in microseconds.
const SNAPSHOT_EVERY_US: u64 = 400_000;

/// How long a smallest round trip is believed, in microseconds.
const RTT_MEMORY_US: u64 = 10_000_000;

/// What was sent of a track, by frame number: total bytes and when.
pub(in crate::host) struct Sent {
    frames: VecDeque<(u64, u64)>,
    /// Number of the front entry, and the bytes of everything before it.
    first: u64,
    before: u64,
    total: u64,
}

impl Sent {
    pub(in crate::host) fn new() -> Sent {
        Sent {
            frames: VecDeque::new(),
            first: 1,
            before: 0,
            total: 0,
        }
    }

    /// Notes the next frame; numbers are consecutive.
    pub(in crate::host) fn push(&mut self, bytes: usize, now_us: u64) {
        if self.frames.len() == REMEMBERED
            && let Some((total, _)) = self.frames.pop_front()
        {
            self.first += 1;
            self.before = total;
        }
        self.total += bytes as u64;
        self.frames.push_back((self.total, now_us));
    }

    /// Bytes of all frames up to `number`, it included.
    fn upto(&self, number: u64) -> u64 {
        match number.checked_sub(self.first) {
            None => self.before,
            Some(index) => self.at(index).map_or(self.total, |(total, _)| total),
        }
    }

    fn time_of(&self, number: u64) -> Option<u64> {
        self.at(number.checked_sub(self.first)?).map(|(_, at)| at)
    }

    fn at(&self, index: u64) -> Option<(u64, u64)> {
        self.frames.get(usize::try_from(index).ok()?).copied()
    }
}

/// An acknowledgement that can't be true.
#[derive(Debug)]
pub(in crate::host) struct InvalidAck;

/// What to do about a lane that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::host) enum LaneStatus {
    /// Nothing on the way.
    Idle,
    /// Look again.
    Waiting,
    /// The stream brings nothing: start a new one.
    Stuck,
}

/// One viewer of one track.
#[derive(Debug)]
pub(in crate::host) struct Lane {
    pub(in crate::host) epoch: u32,
    /// The snapshot the viewer builds on, what it weighed (with what was on the way before it), and
    /// when it was sent.
    snapshot: u64,
    snapshot_bytes: u64,
    snapshot_at_us: u64,
    snapshot_shown: bool,
    /// Newest frame sent and newest acknowledged.
    sent: u64,
    acked: u64,
    /// Frames are passed on; otherwise they are skipped until the viewer has caught up.
    live: bool,
    window: u64,
    /// The window was what held frames back, since it was last measured.
    limited: bool,
    /// When something was last acknowledged, or began to be on the way.
    progress_at_us: u64,
    /// Streams given up in a row.
    stuck: u32,
    min_rtt: Option<(u64, u64)>,
    measured_from_us: u64,
    measured_bytes: u64,
}

impl Lane {
    /// A lane whose first snapshot is still to come.
    pub(in crate::host) fn new(epoch: u32, now_us: u64) -> Lane {
        Lane {
            epoch,
            snapshot: 0,
            snapshot_bytes: 0,
            snapshot_at_us: now_us,
            snapshot_shown: true,
            sent: 0,
            acked: 0,
            live: false,
            window: MIN_WINDOW,
            limited: false,
            progress_at_us: now_us,
            stuck: 0,
            min_rtt: None,
            measured_from_us: now_us,
            measured_bytes: 0,
        }
    }

    /// Whether the newest that was sent is this frame, or the state at it.
    pub(in crate::host) fn was_sent(&self, number: u64) -> bool {
        self.live && self.sent == number
    }

    /// Newest frame the viewer has shown.
    pub(in crate::host) fn acked(&self) -> u64 {
        self.acked
    }

    /// A snapshot of the state at frame `number` was sent on the current stream.
    pub(in crate::host) fn snapshot_sent(
        &mut self,
        number: u64,
        bytes: usize,
        now_us: u64,
        sent: &Sent,
    ) {
        let before = self.outstanding(sent);
        if before == 0 {
            self.begin_measuring(now_us);
        }
        self.snapshot = number;
        self.snapshot_bytes = before + bytes as u64;
        self.snapshot_at_us = now_us;
        self.snapshot_shown = false;
        self.sent = number;
        self.live = true;
    }

    /// Gives the current stream up for a new one: what was on it counts no more.
    pub(in crate::host) fn begin_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.sent = self.acked;
        self.snapshot_shown = true;
        self.live = false;
    }

    /// Whether frame `number`, just put into `sent`, is to be passed on.
    pub(in crate::host) fn offer(&mut self, number: u64, now_us: u64, sent: &Sent) -> bool {
        if !self.live {
            return false;
        }
        let outstanding = self.outstanding(sent);
        if outstanding > self.window || number.saturating_sub(self.acked) > MAX_UNACKED_FRAMES {
            self.live = false;
            self.limited = true;
            return false;
        }
        if outstanding == 0 {
            self.begin_measuring(now_us);
        }
        self.sent = number;
        true
    }

    /// Takes an acknowledgement in.
    pub(in crate::host) fn acknowledge(
        &mut self,
        ack: &Ack,
        now_us: u64,
        sent: &Sent,
    ) -> Result<(), InvalidAck> {
        if ack.epoch > self.epoch || (ack.epoch == self.epoch && ack.frame > self.sent) {
            return Err(InvalidAck);
        }
        let repeats = ack.frame <= self.acked && self.snapshot_shown;
        if ack.epoch < self.epoch || repeats {
            return Ok(());
        }
        let before = self.outstanding(sent);
        self.acked = self.acked.max(ack.frame);
        self.snapshot_shown |= ack.frame >= self.snapshot;
        self.progress_at_us = now_us;
        self.stuck = 0;
        self.measure(
            ack.frame,
            before - self.outstanding(sent).min(before),
            now_us,
            sent,
        );
        Ok(())
    }

    /// Whether a viewer that was skipped can be shown the state of now.
    pub(in crate::host) fn has_caught_up(&self, sent: &Sent) -> bool {
        !self.live && self.outstanding(sent) <= self.window / 2
    }

    /// Looks whether the stream still brings anything. `heard_at_us` is when the viewer was last
    /// heard or its path changed: a path that is dead anyway gets no new stream so soon.
    pub(in crate::host) fn check(
        &mut self,
        now_us: u64,
        heard_at_us: u64,
        rtt_us: Option<u32>,
        sent: &Sent,
    ) -> LaneStatus {
        if self.outstanding(sent) == 0 {
            return LaneStatus::Idle;
        }
        let patience = STUCK_US.max(4 * u64::from(rtt_us.unwrap_or(0))) << self.stuck.min(4);
        let patience = patience.min(MAX_STUCK_US);
        let waited = now_us.saturating_sub(self.progress_at_us);
        let alive = heard_at_us > self.progress_at_us;
        if waited < patience || (!alive && waited < 2 * patience) {
            return LaneStatus::Waiting;
        }
        self.stuck += 1;
        self.progress_at_us = now_us;
        LaneStatus::Stuck
    }

    /// Whether a snapshot the viewer asks for may be sent already.
    pub(in crate::host) fn may_resend_snapshot(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.snapshot_at_us) >= SNAPSHOT_EVERY_US
    }

    fn outstanding(&self, sent: &Sent) -> u64 {
        if !self.snapshot_shown {
            self.snapshot_bytes + (sent.upto(self.sent) - sent.upto(self.snapshot))
        } else {
            sent.upto(self.sent).saturating_sub(sent.upto(self.acked))
        }
    }

    fn begin_measuring(&mut self, now_us: u64) {
        self.progress_at_us = now_us;
        self.measured_from_us = now_us;
        self.measured_bytes = 0;
    }

    /// Sets the window to one bandwidth-delay product, a quarter above what was delivered so that
    /// it can grow. It shrinks only when it was what held the viewer back: a quiet program says
    /// nothing about the path.
    fn measure(&mut self, frame: u64, delivered: u64, now_us: u64, sent: &Sent) {
        let sent_at = match frame == self.snapshot {
            true => Some(self.snapshot_at_us),
            false => sent.time_of(frame),
        };
        let Some(sent_at) = sent_at else { return };
        let rtt = now_us.saturating_sub(sent_at).max(1);
        let min = match self.min_rtt {
            Some((min, at)) if min <= rtt && now_us.saturating_sub(at) < RTT_MEMORY_US => min,
            _ => {
                self.min_rtt = Some((rtt, now_us));
                rtt
            }
        };
        self.measured_bytes += delivered;
        let elapsed = now_us.saturating_sub(self.measured_from_us).max(1);
        if elapsed < min {
            return;
        }
        let product = self.measured_bytes.saturating_mul(min) / elapsed;
        let sample = (product + product / 4).clamp(MIN_WINDOW, MAX_WINDOW);
        if sample > self.window || self.limited {
            self.window = sample;
            self.limited = false;
        }
        self.measured_from_us = now_us;
        self.measured_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillion_proto::TrackId;

    fn ack(epoch: u32, frame: u64) -> Ack {
        Ack {
            track: TrackId(0),
            epoch,
            frame,
        }
    }

    /// A lane with a snapshot of nothing, acknowledged, and what was sent so far.
    fn lane() -> (Lane, Sent) {
        let sent = Sent::new();
        let mut lane = Lane::new(0, 0);
        lane.snapshot_sent(0, 100, 0, &sent);
        lane.acknowledge(&ack(0, 0), 10_000, &sent).unwrap();
        (lane, sent)
    }

    #[test]
    fn a_viewer_that_acknowledges_nothing_is_passed_little_more_than_the_window() {
        let (mut lane, mut sent) = lane();
        let mut passed = 0;
        for number in 1..100 {
            sent.push(1000, 0);
            passed += u64::from(lane.offer(number, 0, &sent)) * 1000;
        }
        assert!(
            (MIN_WINDOW..=MIN_WINDOW + 1000).contains(&passed),
            "{passed}"
        );
        assert!(!lane.has_caught_up(&sent));
    }

    #[test]
    fn a_skipped_viewer_catches_up_by_acknowledging() {
        let (mut lane, mut sent) = lane();
        for number in 1..100 {
            sent.push(1000, 0);
            lane.offer(number, 0, &sent);
        }
        lane.acknowledge(&ack(0, 4), 20_000, &sent).unwrap();
        assert!(!lane.has_caught_up(&sent));
        lane.acknowledge(&ack(0, 16), 20_000, &sent).unwrap();
        assert!(lane.has_caught_up(&sent));
        lane.snapshot_sent(99, 2000, 20_000, &sent);
        sent.push(1000, 20_000);
        assert!(lane.offer(100, 20_000, &sent));
    }

    /// Frames of 1 KB as fast as the window lets them, acknowledged a round trip later.
    fn full_speed(lane: &mut Lane, sent: &mut Sent, rounds: u64, rtt_us: u64) {
        let mut now = 10_000;
        let mut number = 0;
        for _ in 0..rounds {
            loop {
                number += 1;
                sent.push(1000, now);
                if !lane.offer(number, now, sent) {
                    break;
                }
            }
            now += rtt_us;
            lane.acknowledge(&ack(0, lane.sent), now, sent).unwrap();
            assert!(lane.has_caught_up(sent));
            lane.snapshot_sent(number, 500, now, sent);
        }
    }

    #[test]
    fn the_window_grows_with_what_is_delivered() {
        let mut sent = Sent::new();
        let mut lane = Lane::new(0, 0);
        lane.snapshot_sent(0, 100, 0, &sent);
        full_speed(&mut lane, &mut sent, 12, 50_000);
        assert!(lane.window > 4 * MIN_WINDOW, "{}", lane.window);
    }

    #[test]
    fn acknowledging_what_was_never_sent_is_impossible() {
        let (mut lane, sent) = lane();
        assert!(lane.acknowledge(&ack(0, 1), 0, &sent).is_err());
        assert!(lane.acknowledge(&ack(1, 0), 0, &sent).is_err());
    }

    #[test]
    fn a_stuck_stream_is_given_up_with_growing_patience() {
        let (mut lane, mut sent) = lane();
        sent.push(10, 20_000);
        assert!(lane.offer(1, 20_000, &sent));
        assert_eq!(
            lane.check(900_000, 30_000, None, &sent),
            LaneStatus::Waiting
        );
        assert_eq!(
            lane.check(1_020_000, 30_000, None, &sent),
            LaneStatus::Stuck
        );
        lane.begin_epoch(1);
        assert_eq!(lane.check(1_020_000, 30_000, None, &sent), LaneStatus::Idle);
        lane.snapshot_sent(1, 100, 1_020_000, &sent);
        assert_eq!(
            lane.check(2_500_000, 1_100_000, None, &sent),
            LaneStatus::Waiting
        );
        assert_eq!(
            lane.check(3_020_000, 1_100_000, None, &sent),
            LaneStatus::Stuck
        );
    }

    #[test]
    fn a_path_that_says_nothing_is_waited_for_longer() {
        let (mut lane, mut sent) = lane();
        sent.push(10, 20_000);
        assert!(lane.offer(1, 20_000, &sent));
        assert_eq!(
            lane.check(1_900_000, 10_000, None, &sent),
            LaneStatus::Waiting
        );
        assert_eq!(
            lane.check(2_020_000, 10_000, None, &sent),
            LaneStatus::Stuck
        );
    }
}
