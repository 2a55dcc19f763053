//! From the track's streams to a screen.

use std::collections::BTreeMap;

use pillion_proto::{
    Ack, FrameMsg, Framer, FromViewer, ProtocolError, SnapshotMsg, TrackMsg,
    limits::MAX_TRACK_MESSAGE,
};
use pillion_screen::{Damage, Decoder, Screen};

use super::{Phase, TERMINAL, View, Viewer};

/// Track streams looked at at once: the one in use, one that replaces it, and one more on its way.
const MAX_STREAMS: usize = 3;

/// A snapshot is asked for at most so often, in microseconds.
const ASK_EVERY_US: u64 = 500_000;

/// One stream of the terminal's track.
struct TrackStream {
    framer: Framer,
    /// Which epoch it says it is; `None` before it said so.
    epoch: Option<u32>,
}

/// What is on the screen, and where it comes from.
pub(super) struct TrackReceiver {
    decoder: Decoder,
    /// By the driver's count.
    streams: BTreeMap<u32, TrackStream>,
    /// Newest epoch seen on this connection.
    epoch: Option<u32>,
    /// Frames can be applied; otherwise only a snapshot helps.
    in_step: bool,
    /// Nothing was shown on this connection yet: whatever number comes first is right, for the host
    /// may have begun again.
    fresh: bool,
    asked_at_us: Option<u64>,
    /// The newest frame shown that the host was not told of.
    unacknowledged: Option<u64>,
    /// What the newest snapshot weighed, in bytes, on whichever connection.
    snapshot_bytes: usize,
}

impl TrackReceiver {
    pub(super) fn new() -> TrackReceiver {
        TrackReceiver {
            decoder: Decoder::new(),
            streams: BTreeMap::new(),
            epoch: None,
            in_step: false,
            fresh: true,
            asked_at_us: None,
            unacknowledged: None,
            snapshot_bytes: 0,
        }
    }

    /// Whether nothing was shown on this connection yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// What the newest snapshot weighed, in bytes.
    pub(super) fn snapshot_bytes(&self) -> usize {
        self.snapshot_bytes
    }

    /// The connection is gone; the screen stays as it was.
    pub(super) fn disconnected(&mut self) {
        self.streams.clear();
        self.epoch = None;
        self.in_step = false;
        self.fresh = true;
        self.asked_at_us = None;
        self.unacknowledged = None;
    }

    pub(super) fn stream_ended(&mut self, handle: u32) {
        self.streams.remove(&handle);
    }

    /// When a snapshot is asked for (again).
    pub(super) fn ask_at_us(&self) -> Option<u64> {
        self.asked_at_us.map(|at| at.saturating_add(ASK_EVERY_US))
    }

    /// The stream with the driver's number `handle`, made when it is new. Older ones make room.
    fn stream(&mut self, handle: u32) -> Option<&mut TrackStream> {
        if !self.streams.contains_key(&handle) {
            if self.streams.len() >= MAX_STREAMS {
                let oldest = *self.streams.keys().next()?;
                if handle < oldest {
                    return None;
                }
                self.streams.remove(&oldest);
            }
            let framer = Framer::new(MAX_TRACK_MESSAGE);
            self.streams.insert(
                handle,
                TrackStream {
                    framer,
                    epoch: None,
                },
            );
        }
        self.streams.get_mut(&handle)
    }

    /// Notes which epoch a stream is; older ones are let go.
    fn opened(&mut self, handle: u32, epoch: u32) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.epoch = Some(epoch);
        }
        if self.epoch.is_none_or(|newest| epoch > newest) {
            self.epoch = Some(epoch);
            self.in_step = false;
            self.streams
                .retain(|_, stream| stream.epoch.is_none_or(|other| other >= epoch));
        }
    }
}

impl Viewer {
    /// Bytes came on a track stream.
    pub(super) fn on_track(&mut self, handle: u32, bytes: &[u8]) -> Result<(), ProtocolError> {
        match self.watching.stream(handle) {
            Some(stream) => stream.framer.push(bytes),
            None => return Ok(()),
        }
        while let Some(stream) = self.watching.streams.get_mut(&handle) {
            let Some((tag, payload)) = stream.framer.next_message()? else {
                break;
            };
            let epoch = stream.epoch;
            match (TrackMsg::decode(tag, &payload)?, epoch) {
                (TrackMsg::Open { track, epoch }, None) if track == TERMINAL => {
                    self.watching.opened(handle, epoch);
                }
                // A track this version knows nothing of.
                (TrackMsg::Open { .. }, None) => self.watching.stream_ended(handle),
                (TrackMsg::Unknown(_), _) => {}
                (_, None) => return Err(ProtocolError::Malformed("a track without its opening")),
                (TrackMsg::Open { .. }, _) => {
                    return Err(ProtocolError::Malformed("a track opened twice"));
                }
                _ if epoch != self.watching.epoch => {}
                (TrackMsg::Snapshot(snapshot), _) => self.show_snapshot(&snapshot),
                (TrackMsg::Frame(frame), _) => self.show_frame(&frame),
            }
        }
        Ok(())
    }

    fn show_snapshot(&mut self, snapshot: &SnapshotMsg) {
        let watching = &mut self.watching;
        if !watching.fresh && watching.in_step && snapshot.number < self.view.frame {
            return;
        }
        if watching.decoder.snapshot(&snapshot.payload).is_err() {
            return self.desync();
        }
        watching.snapshot_bytes = snapshot.payload.len();
        watching.in_step = true;
        watching.fresh = false;
        watching.asked_at_us = None;
        copy_screen(&mut self.view, watching.decoder.screen(), None);
        self.shown(snapshot.number);
        // What is shown before the welcome is seen, and not lived in.
        if self.is_in() {
            self.set_phase(Phase::Live);
        }
    }

    fn show_frame(&mut self, frame: &FrameMsg) {
        let watching = &mut self.watching;
        if !watching.in_step || frame.number <= self.view.frame {
            return;
        }
        if frame.number != self.view.frame + 1 {
            return self.desync();
        }
        if !frame.payload.is_empty() {
            match watching.decoder.frame(&frame.payload, frame.reset) {
                Ok(damage) => {
                    copy_screen(&mut self.view, watching.decoder.screen(), Some(&damage));
                }
                Err(_) => return self.desync(),
            }
        }
        self.shown(frame.number);
    }

    fn shown(&mut self, number: u64) {
        self.view.frame = number;
        self.watching.unacknowledged = Some(number);
        self.changed = true;
    }

    /// What comes can't be built upon any more.
    fn desync(&mut self) {
        self.watching.in_step = false;
        if self.watching.asked_at_us.is_none() {
            self.need_snapshot();
        }
    }

    fn need_snapshot(&mut self) {
        self.watching.asked_at_us = Some(self.now.mono_us);
        // Before the hello nothing is asked for: its answer brings a snapshot anyway.
        if self.link.as_ref().is_some_and(|link| link.proved) {
            self.send(&FromViewer::NeedSnapshot(TERMINAL));
        }
    }

    /// Asks again for a snapshot that did not come.
    pub(super) fn ask_for_snapshot(&mut self) {
        if self
            .watching
            .ask_at_us()
            .is_some_and(|at| self.now.mono_us >= at)
        {
            self.need_snapshot();
        }
    }

    /// Tells the host how far it was shown, once for all that came together.
    pub(super) fn acknowledge(&mut self) {
        if !self.is_in() {
            return;
        }
        if let (Some(frame), Some(epoch)) =
            (self.watching.unacknowledged.take(), self.watching.epoch)
        {
            self.send(&FromViewer::Ack(Ack {
                track: TERMINAL,
                epoch,
                frame,
            }));
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
