//! What the person types: numbered, sent, and kept until the host has it.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use pillion_proto::{
    ConversationRequest, Dropped, InputStream, Intent, IntentMsg, Right, TrackId, TrackState,
    limits::{MAX_INPUT, MAX_UNCONFIRMED_INPUT},
};

use crate::types::Stream;

use super::{NotOpened, NotSaid, NotTyped, Phase, Viewer, ViewerNotice, ViewerOutput};

/// Bytes that may wait here until the program has read what was typed before, before no more is taken from the
/// terminal ([`Viewer::takes_keys`]): a large paste still leaves the prefix key behind it within reach.
const MAX_PENDING_BYTES: usize = 1024 * 1024;

/// Inputs that may.
const MAX_PENDING: usize = 8192;

/// Room that is left for what was read from the terminal already, in bytes and in inputs.
const MARGIN_BYTES: usize = 64 * 1024;
const MARGIN: usize = 64;

/// Places that anything may wait for at once: more than a session has live tracks.
const MAX_PLACES: usize = 128;

/// What waited longer for a connection is not typed any more, in microseconds: the screen has moved
/// on.
const MAX_WAIT_US: u64 = 5_000_000;

/// Time without an answer to input after which its stream is given up, in microseconds (or four
/// round trips, if that is longer); doubled each time.
const STUCK_US: u64 = 1_000_000;

/// How recently the host must have been heard for that: no new stream on a dead connection.
const HEARD_WITHIN_US: u64 = 1_500_000;

/// The same hint is given at most so often, in microseconds.
const HINT_EVERY_US: u64 = 5_000_000;

/// What an intent is for: a track, or none. The host confirms by it, so that a program that doesn't read holds up
/// nobody who types elsewhere.
type Place = Option<TrackId>;

/// One intent that the host has not confirmed.
struct Pending {
    /// Its number, once it was sent on this connection.
    id: u64,
    what: Intent,
    /// What the host called the stretch of holding the right it was made in.
    edit_epoch: u32,
    made_at_us: u64,
    /// Sent on this stream.
    sent: bool,
    /// Its track is gone. It is waited for no longer, and sent again all the same where a stream begins:
    /// numbers have no gaps.
    gone: bool,
}

impl Pending {
    fn bytes(&self) -> usize {
        match &self.what {
            Intent::Keys { bytes, .. } => bytes.len(),
            Intent::Open { title } => title.as_str().len(),
            Intent::Converse { request, .. } => request.text_len(),
            Intent::Close { .. } | Intent::Unknown(_) => 0,
        }
    }
}

/// What waits for one place.
#[derive(Default)]
struct Waiting {
    /// Not sent on this connection, and without numbers.
    unsent: VecDeque<Pending>,
    /// Everything that is not confirmed, sent or not.
    count: usize,
    bytes: usize,
    /// What of it was sent on this connection: as much as may be on its way.
    sent_bytes: usize,
}

/// Everything typed that is not yet in a program, and what else is asked for.
pub(super) struct InputSender {
    epoch: u32,
    opened: bool,
    next_id: u64,
    /// What the host calls this stretch of holding the right to type.
    edit_epoch: u32,
    /// Newest intent that the person was told is lost.
    dropped: BTreeMap<Place, u64>,
    /// Newest that the host confirmed.
    confirmed: u64,
    /// Sent on this connection and not confirmed, by number.
    sent: VecDeque<Pending>,
    waiting: BTreeMap<Place, Waiting>,
    /// Since when the host has let us in on this connection.
    in_since_us: Option<u64>,
    /// When it was last heard on the one before.
    cut_at_us: u64,
    /// When the host last took something, or something began to wait for that.
    progress_at_us: u64,
    tries: u32,
    hinted_at_us: Option<u64>,
}

impl InputSender {
    pub(super) fn new() -> InputSender {
        InputSender {
            epoch: 0,
            opened: false,
            next_id: 1,
            edit_epoch: 0,
            dropped: BTreeMap::new(),
            confirmed: 0,
            sent: VecDeque::new(),
            waiting: BTreeMap::new(),
            in_since_us: None,
            cut_at_us: 0,
            progress_at_us: 0,
            tries: 0,
            hinted_at_us: None,
        }
    }

    /// The connection is gone, and its input streams with it; the host was last heard then.
    pub(super) fn disconnected(&mut self, heard_at_us: u64) {
        self.epoch = 0;
        self.opened = false;
        self.tries = 0;
        if self.in_since_us.take().is_some() {
            self.cut_at_us = heard_at_us;
        }
        self.send_all_again();
    }

    fn send_all_again(&mut self) {
        for pending in &mut self.sent {
            pending.sent = false;
        }
    }

    /// How many intents the host has not confirmed.
    fn count(&self) -> usize {
        self.waiting.values().map(|waiting| waiting.count).sum()
    }

    /// How long an input waited for a connection. What waits for the program doesn't count: it is typed when
    /// that reads, as into any terminal.
    fn waited_us(&self, pending: &Pending) -> u64 {
        let began = pending.made_at_us.max(self.cut_at_us);
        let in_since = self.in_since_us.unwrap_or_default();
        in_since.saturating_sub(began)
    }

    /// When sent input counts as stuck.
    pub(super) fn stuck_at_us(&self, rtt_us: u32) -> Option<u64> {
        let mut waited_for = self.sent.iter().filter(|pending| !pending.gone);
        waited_for.next().filter(|pending| pending.sent)?;
        let patience = STUCK_US.max(4 * u64::from(rtt_us)) << self.tries.min(4);
        Some(self.progress_at_us.saturating_add(patience))
    }

    /// The host confirmed what is for this place up to a number.
    fn forget_upto(&mut self, place: Place, upto: u64, now_us: u64) {
        self.confirmed = self.confirmed.max(upto);
        self.forget(now_us, |pending| {
            pending.id <= upto && (pending.gone || pending.what.track() == place)
        });
    }

    /// What was sent for this place is waited for no longer.
    fn give_up(&mut self, place: Place, now_us: u64) {
        let mine = |pending: &&mut Pending| !pending.gone && pending.what.track() == place;
        for pending in self.sent.iter_mut().filter(mine) {
            pending.gone = true;
            uncount(&mut self.waiting, pending);
            self.progress_at_us = now_us;
            self.tries = 0;
        }
    }

    /// Lets go of what was sent and is meant.
    fn forget(&mut self, now_us: u64, is_meant: impl Fn(&Pending) -> bool) {
        let before = self.sent.len();
        let waiting = &mut self.waiting;
        self.sent.retain(|pending| {
            if !is_meant(pending) {
                return true;
            }
            if !pending.gone {
                uncount(waiting, pending);
            }
            false
        });
        if self.sent.len() < before {
            self.progress_at_us = now_us;
            self.tries = 0;
        }
    }

    /// Puts an intent behind what waits for the same place.
    fn push(&mut self, what: Intent, now_us: u64) {
        let pending = Pending {
            id: 0,
            what,
            edit_epoch: self.edit_epoch,
            made_at_us: now_us,
            sent: false,
            gone: false,
        };
        let waiting = self.waiting.entry(pending.what.track()).or_default();
        waiting.count += 1;
        waiting.bytes += pending.bytes();
        waiting.unsent.push_back(pending);
    }

    /// Whether so much more may wait for a place.
    fn has_room(&self, place: Place, bytes: usize, count: usize) -> bool {
        let waiting = self.waiting.get(&place);
        let (has_bytes, has) = waiting.map_or((0, 0), |waiting| (waiting.bytes, waiting.count));
        has_bytes + bytes <= MAX_PENDING_BYTES + MARGIN_BYTES
            && has + count <= MAX_PENDING + MARGIN
            && self.waiting.len() <= MAX_PLACES
    }

    /// Goes on where the host is, which has taken in the inputs up to `known`. Nothing that is left
    /// was sent on this connection, so it gets new numbers, without what `is_lost`; whether there
    /// was any of that.
    fn go_on_from(&mut self, known: u64, is_lost: impl Fn(&InputSender, &Pending) -> bool) -> bool {
        let sent = self.sent.drain(..).filter(|pending| !pending.gone);
        let mut all: Vec<Pending> = sent.collect();
        let waiting = std::mem::take(&mut self.waiting);
        all.extend(waiting.into_values().flat_map(|waiting| waiting.unsent));
        let before = all.len();
        all.retain(|pending| !is_lost(self, pending));
        let lost = before > all.len();
        self.next_id = known.saturating_add(1);
        self.confirmed = known;
        for mut pending in all {
            pending.sent = false;
            let waiting = self.waiting.entry(pending.what.track()).or_default();
            waiting.count += 1;
            waiting.bytes += pending.bytes();
            waiting.unsent.push_back(pending);
        }
        lost
    }

    /// Appends an intent that was numbered to what is sent.
    fn encode(&mut self, at: usize, out: &mut BytesMut) {
        let waited = self.waited_us(&self.sent[at]) / 1000;
        let pending = &mut self.sent[at];
        pending.sent = true;
        IntentMsg {
            id: pending.id,
            waited_ms: u32::try_from(waited).unwrap_or(u32::MAX),
            edit_epoch: pending.edit_epoch,
            what: pending.what.clone(),
        }
        .encode(out);
    }

    /// Takes what may be sent next, and gives it a number.
    fn take_next(&mut self) -> Option<Pending> {
        let fits = |(_, waiting): &(&Place, &mut Waiting)| {
            let next = waiting.unsent.front();
            next.is_some_and(|next| waiting.sent_bytes + next.bytes() <= MAX_UNCONFIRMED_INPUT)
        };
        let (_, waiting) = self.waiting.iter_mut().find(fits)?;
        let mut pending = waiting.unsent.pop_front()?;
        waiting.sent_bytes += pending.bytes();
        pending.id = self.next_id;
        self.next_id = self.next_id.saturating_add(1);
        Some(pending)
    }
}

/// One that was sent is waited for no longer.
fn uncount(waiting: &mut BTreeMap<Place, Waiting>, pending: &Pending) {
    let place = pending.what.track();
    if let Some(one) = waiting.get_mut(&place) {
        one.count -= 1;
        one.bytes -= pending.bytes();
        one.sent_bytes -= pending.bytes();
        if one.count == 0 {
            waiting.remove(&place);
        }
    }
}

impl Viewer {
    /// Whether anything typed here may leave. There is no other way to the host's program.
    fn may_type(&self) -> bool {
        self.view.rights.has(Right::Type) && !self.config.read_only && !self.view.read_only
    }

    /// The person typed.
    pub(super) fn on_keys(&mut self, bytes: &Bytes) {
        if bytes.is_empty() {
            return;
        }
        if !self.may_type() {
            return self.hint(ViewerNotice::NotTyped(match () {
                () if self.config.read_only => NotTyped::ReadOnlyViewer,
                () if self.view.read_only => NotTyped::ReadOnly,
                () if self.view.asking => NotTyped::Asked,
                () => NotTyped::MayNotType,
            }));
        }
        let track = self.types_into();
        if self.state_of(track) != TrackState::Live {
            return self.hint(ViewerNotice::NotTyped(NotTyped::ProgramEnded));
        }
        let count = bytes.len().div_ceil(MAX_INPUT);
        if !self.typing.has_room(Some(track), bytes.len(), count) {
            return self.say(ViewerNotice::NotTyped(NotTyped::TooMuch));
        }
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let bytes = rest.split_to(rest.len().min(MAX_INPUT));
            self.typing
                .push(Intent::Keys { track, bytes }, self.now.mono_us);
        }
        self.send_typed();
        self.count_unconfirmed();
    }

    /// The track that keys go to: the one that was chosen, or else the one that is shown, whatever the host
    /// looks at by now.
    fn types_into(&self) -> TrackId {
        let chosen = self.receivers.chosen().first();
        chosen.copied().unwrap_or(self.view.track.0)
    }

    fn state_of(&self, track: TrackId) -> TrackState {
        let info = self.view.tracks.iter().find(|info| info.id == track);
        info.map_or(TrackState::Live, |info| info.state)
    }

    /// The person wants something of a conversation. Who may have it is the host's to say, and it says so.
    pub(super) fn on_converse(&mut self, track: TrackId, request: ConversationRequest) {
        if self.config.read_only {
            return self.hint(ViewerNotice::NotSaid(NotSaid::ReadOnlyViewer));
        }
        if !self.may_send() {
            return self.hint(ViewerNotice::NotSaid(NotSaid::MayWatch));
        }
        self.push_request(Intent::Converse { track, request });
    }

    /// Whether anything is sent at all.
    fn may_send(&self) -> bool {
        self.view.rights.exceeds_view() && !self.config.read_only
    }

    /// The person wants a terminal opened, or one closed.
    pub(super) fn on_request(&mut self, what: Intent) {
        match () {
            () if self.config.read_only => {
                self.hint(ViewerNotice::NotOpened(NotOpened::ReadOnlyViewer));
            }
            () if !self.view.rights.has(Right::Open) => {
                self.hint(ViewerNotice::NotOpened(NotOpened::MayNotOpen));
            }
            () => self.push_request(what),
        }
    }

    fn push_request(&mut self, what: Intent) {
        if !self.typing.has_room(None, 0, 1) {
            return self.say(ViewerNotice::NotOpened(NotOpened::TooMuch));
        }
        self.typing.push(what, self.now.mono_us);
        self.send_typed();
        self.count_unconfirmed();
    }

    /// A track is gone: nothing for it is sent any more.
    pub(super) fn forget_input_for(&mut self, track: TrackId) {
        let now = self.now.mono_us;
        let place = Some(track);
        if let Some(waiting) = self.typing.waiting.get_mut(&place) {
            let unsent = std::mem::take(&mut waiting.unsent);
            waiting.count -= unsent.len();
            waiting.bytes -= unsent.iter().map(Pending::bytes).sum::<usize>();
            if waiting.count == 0 {
                self.typing.waiting.remove(&place);
            }
        }
        self.typing.give_up(place, now);
        self.typing.dropped.remove(&place);
        self.count_unconfirmed();
    }

    fn hint(&mut self, notice: ViewerNotice) {
        let now = self.now.mono_us;
        let hinted = self.typing.hinted_at_us;
        if hinted.is_none_or(|at| now.saturating_sub(at) >= HINT_EVERY_US) {
            self.typing.hinted_at_us = Some(now);
            self.say(notice);
        }
    }

    /// Whether to read on from the terminal. While the program reads slower than is typed, it is not: what is
    /// typed then waits in the terminal, and nothing is lost. Without a connection there is nothing to wait
    /// for; the person must be able to leave then.
    pub fn takes_keys(&self) -> bool {
        let waiting = self.typing.waiting.get(&Some(self.types_into()));
        !self.is_in()
            || waiting.is_none_or(|waiting| {
                waiting.bytes < MAX_PENDING_BYTES && waiting.count < MAX_PENDING
            })
    }

    /// Sends what was not sent on this connection, as much as may be on its way.
    pub(super) fn send_typed(&mut self) {
        let may_send = self.may_send() && self.is_in();
        if !may_send || self.view.phase == Phase::Ended {
            return;
        }
        let now = self.now.mono_us;
        let typing = &mut self.typing;
        let mut out = BytesMut::new();
        if typing.sent.front().is_none_or(|front| !front.sent) {
            typing.progress_at_us = now;
        }
        // Those that were sent on a stream before this one come first: numbers have no gaps.
        let again = typing.sent.partition_point(|pending| pending.sent);
        for at in again..typing.sent.len() {
            typing.encode(at, &mut out);
        }
        while let Some(pending) = typing.take_next() {
            typing.sent.push_back(pending);
            typing.encode(typing.sent.len() - 1, &mut out);
        }
        if out.is_empty() {
            return;
        }
        let mut opening = BytesMut::new();
        if !typing.opened {
            typing.opened = true;
            InputStream {
                join: self.config.join,
            }
            .encode(&mut opening);
            opening.unsplit(out);
            out = opening;
        }
        let stream = Stream::Input {
            epoch: typing.epoch,
        };
        self.send_on(stream, out.freeze());
    }

    /// Notes what the host calls this stretch of holding the right to type.
    pub(super) fn set_tenure(&mut self, edit_epoch: u32) {
        self.typing.edit_epoch = edit_epoch;
    }

    /// On a new connection: what the host has is forgotten, what is too old or was typed with
    /// another right is given up, the rest is sent again.
    pub(super) fn resume_typing(&mut self, known: u64) {
        let (now, may_type) = (self.now.mono_us, self.may_type());
        let may_open = self.view.rights.has(Right::Open) && !self.config.read_only;
        let may_converse = self.may_send();
        let typing = &mut self.typing;
        // A host that knows less than it confirmed, or more than it was sent, runs another program.
        let is_other = known < typing.confirmed || known >= typing.next_id;
        if !is_other {
            typing.forget(now, |pending| pending.id <= known);
        }
        typing
            .dropped
            .values_mut()
            .for_each(|upto| *upto = known.min(*upto));
        typing.in_since_us = Some(now);
        let lost = typing.go_on_from(known, |typing, pending| {
            let waited = now.saturating_sub(pending.made_at_us.max(typing.cut_at_us));
            let may = match pending.what {
                Intent::Keys { .. } => may_type,
                Intent::Converse { .. } => may_converse,
                _ => may_open,
            };
            is_other || !may || pending.edit_epoch != typing.edit_epoch || waited > MAX_WAIT_US
        });
        if lost {
            self.say(ViewerNotice::LostWhileAway);
        }
        self.send_typed();
        self.count_unconfirmed();
    }

    pub(super) fn on_accepted(&mut self, track: Option<TrackId>, upto: u64) {
        let upto = upto.min(self.typing.next_id - 1);
        self.typing.forget_upto(track, upto, self.now.mono_us);
        self.send_typed();
        self.count_unconfirmed();
    }

    pub(super) fn on_dropped(&mut self, Dropped { upto, why, track }: Dropped) {
        let known = upto.min(self.typing.next_id - 1);
        self.typing.forget_upto(track, known, self.now.mono_us);
        self.send_typed();
        self.count_unconfirmed();
        // A host repeats itself to who comes back.
        let dropped = self.typing.dropped.get(&track).copied().unwrap_or_default();
        if upto > dropped {
            if self.typing.dropped.len() > MAX_PLACES {
                self.typing.dropped.pop_first();
            }
            self.typing.dropped.insert(track, upto);
            self.say(ViewerNotice::Dropped { track, why });
        }
    }

    fn count_unconfirmed(&mut self) {
        let count = self.typing.count();
        self.changed |= self.view.unconfirmed != count;
        self.view.unconfirmed = count;
    }

    /// Sends input on a new stream when the old one seems stuck while the host is there. The host
    /// knows the numbers it has seen.
    pub(super) fn resend_stuck_input(&mut self) {
        let now = self.now.mono_us;
        let is_stuck = self
            .typing
            .stuck_at_us(self.view.rtt_us)
            .is_some_and(|at| now >= at);
        if !is_stuck {
            return;
        }
        let heard_at = self.link.as_ref().map_or(0, |link| link.heard_at_us);
        // Without the right nothing could be sent on the new stream, and numbers have no gaps.
        let may_send = self.may_send();
        let typing = &mut self.typing;
        typing.progress_at_us = now;
        if !may_send || now.saturating_sub(heard_at) > HEARD_WITHIN_US {
            return;
        }
        typing.tries = typing.tries.saturating_add(1);
        self.out.push_back(ViewerOutput::Reset {
            stream: Stream::Input {
                epoch: typing.epoch,
            },
        });
        typing.epoch = typing.epoch.saturating_add(1);
        typing.opened = false;
        typing.send_all_again();
        self.send_typed();
    }
}
