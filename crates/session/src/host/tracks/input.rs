//! Input: numbered, checked, written once, and its effects counted in every frame.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use pillion_caps::{PublicKey, UnixMillis};
use pillion_proto::{
    Accepted, ConversationRequest, DropReason, Dropped, FromHost, InputStream, Intent, IntentMsg,
    JoinId, RefusalReason, Text, TrackId, TrackKind, TrackState,
    limits::{MAX_INPUT_MESSAGE, MAX_NAME, MAX_UNCONFIRMED_INPUT},
};

use crate::types::ConnId;

use crate::host::{
    Host,
    api::HostOutput,
    commands::verbs::CommandError,
    conn::Conn,
    context::Context,
    fault::PeerError,
    people::rights::{EditRight, OpenRight},
    timers::Timer,
    tracks::Tracks,
};

/// Join instances whose input numbers are remembered, those connected not counted. Only editors have
/// one; forgetting one means that an input resent after that could be written twice. So who has most of
/// them loses their oldest, and nobody's is forgotten because somebody else comes again and again.
const MAX_JOINS: usize = 4096;

/// Bytes given to the program and not yet written, of all runs of one person's viewer and of everybody: a program
/// that reads nothing, and editors pasting. Each run has [`MAX_UNCONFIRMED_INPUT`], which is what a viewer
/// keeps to, so these are met only by who pastes in more than four windows at once, and is told.
const MAX_UNWRITTEN_OF_ONE: usize = 4 * MAX_UNCONFIRMED_INPUT;
const MAX_UNWRITTEN: usize = 16 * MAX_UNWRITTEN_OF_ONE;

/// How long after the write a frame may say that an input's effects are in it, in microseconds.
/// Saying so sooner kills right predictions (mosh's `set_echo_ack`).
const ECHO_AFTER_US: u64 = 50_000;

/// A frame that says nothing else is made so long after the write, in microseconds: who goes on typing has the next
/// key's echo by then, and a frame of its own for each key is a packet and a wake-up more at both ends.
const ECHO_ALONE_AFTER_US: u64 = 250_000;

/// Writes this close together count as one moment for that, in microseconds, so that a flood of
/// input keeps no more than some hundred of them.
const ECHO_GRAIN_US: u64 = 2_000;

/// That an input was written is said with the next frame, which usually shows its echo: one packet and
/// one wake-up less between a key and its echo. Without a frame, so long after the write at the latest, in
/// microseconds.
const ACCEPT_WITHIN_US: u64 = 10_000;

/// What an intent that is for no track costs of what a viewer may send: it may start a program.
const REQUEST_COST: u64 = 20;

/// What waited longer at the viewer is dropped rather than typed into a screen that has moved on,
/// in milliseconds.
const MAX_WAITED_MS: u32 = 5_000;

/// One run of one identity's viewer.
type Join = (PublicKey, JoinId);

/// What intents are for: a track, or none of them. What became of them is counted by it, because a program that
/// doesn't read holds up nobody who types elsewhere.
type Place = Option<TrackId>;

/// What became of the inputs of one run.
#[derive(Debug, Default)]
struct Record {
    /// Newest number taken in, done or dropped.
    seen: u64,
    /// Inputs given to programs and not yet written.
    unwritten: usize,
    unwritten_bytes: usize,
    places: BTreeMap<Place, Progress>,
    used: u64,
}

/// The same for one place.
#[derive(Debug, Default)]
struct Progress {
    /// Newest number written.
    written: u64,
    unwritten: usize,
    unwritten_bytes: usize,
    /// Dropped up to here, to be said once what came before is written.
    dropped: Option<(u64, DropReason)>,
    /// What was last said of that; the connection may have ended before it arrived.
    last_report: Option<(u64, DropReason)>,
}

/// An input on its way into the program.
struct Writing {
    seq: u64,
    join: Join,
    id: u64,
    bytes: usize,
}

/// The input of one track, counted.
pub(in crate::host) struct Sequence {
    seq: u64,
    writing: VecDeque<Writing>,
    /// Newest seq of each moment something was written, while it is not echoed.
    written: VecDeque<(u64, u64)>,
    echoed: u64,
}

impl Sequence {
    pub(in crate::host) fn new() -> Sequence {
        Sequence {
            seq: 0,
            writing: VecDeque::new(),
            written: VecDeque::new(),
            echoed: 0,
        }
    }

    /// The count a frame made now carries.
    pub(in crate::host) fn echoed(&mut self, now_us: u64) -> u64 {
        while let Some((seq, at)) = self.written.front()
            && now_us >= at.saturating_add(ECHO_AFTER_US)
        {
            self.echoed = *seq;
            self.written.pop_front();
        }
        self.echoed
    }

    /// The count that was carried last.
    pub(in crate::host) fn counted(&self) -> u64 {
        self.echoed
    }

    /// When a frame is made for that count alone.
    pub(in crate::host) fn echo_alone_at_us(&self) -> Option<u64> {
        let first = self.written.front();
        first.map(|(_, at)| at.saturating_add(ECHO_ALONE_AFTER_US))
    }

    fn note_written(&mut self, seq: u64, now_us: u64) {
        let at = now_us.next_multiple_of(ECHO_GRAIN_US);
        match self.written.back_mut() {
            Some(back) if back.1 == at => back.0 = seq,
            _ => self.written.push_back((seq, at)),
        }
    }

    /// The oldest input on its way, if it is one of those up to `seq`.
    fn pop_upto(&mut self, seq: u64) -> Option<Writing> {
        let is_meant = self.writing.front().is_some_and(|front| front.seq <= seq);
        is_meant.then(|| self.writing.pop_front()).flatten()
    }
}

/// What becomes of one intent.
enum Disposition {
    /// Known already.
    Repeated,
    Write {
        right: EditRight,
        track: TrackId,
        bytes: Bytes,
    },
    Open {
        right: OpenRight,
        title: Text<MAX_NAME>,
    },
    Close {
        right: OpenRight,
        track: TrackId,
    },
    Converse {
        track: TrackId,
        request: ConversationRequest,
    },
    Dropped(DropReason),
    /// No viewer sends that much before it is confirmed.
    TooMuch,
}

/// All input of the session's life.
pub(in crate::host) struct Inputs {
    records: BTreeMap<Join, Record>,
    uses: u64,
    unwritten_bytes: usize,
    /// What was written of each run and not yet said: the newest input's number, and its seq.
    unreported: BTreeMap<(Join, Place), (u64, u64)>,
}

impl Inputs {
    pub(in crate::host) fn new() -> Inputs {
        Inputs {
            records: BTreeMap::new(),
            uses: 0,
            unwritten_bytes: 0,
            unreported: BTreeMap::new(),
        }
    }

    /// Newest input of a run that was taken in: what a returning viewer need not send again.
    pub(in crate::host) fn seen(&self, join: &Join) -> u64 {
        self.records.get(join).map_or(0, |record| record.seen)
    }

    /// Why keys for which everything else is right are not written: it may be too much to wait.
    fn overflow(&self, join: &Join, track: TrackId, bytes: usize) -> Option<Disposition> {
        let (key, _) = join;
        let runs = self
            .records
            .range((*key, JoinId([0; 16]))..=(*key, JoinId([u8::MAX; 16])));
        let of_one: usize = runs.map(|(_, record)| record.unwritten_bytes).sum();
        let of_run = self.records.get(join);
        let of_track = of_run.and_then(|record| record.places.get(&Some(track)));
        let of_track = of_track.map_or(0, |progress| progress.unwritten_bytes);
        match () {
            () if of_track + bytes > MAX_UNCONFIRMED_INPUT => Some(Disposition::TooMuch),
            () if of_one + bytes > MAX_UNWRITTEN_OF_ONE
                || self.unwritten_bytes + bytes > MAX_UNWRITTEN =>
            {
                Some(Disposition::Dropped(DropReason::NotRead))
            }
            () => None,
        }
    }

    /// One input less is on its way to a program.
    fn settle(&mut self, done: &Writing, track: TrackId, written: bool) {
        self.unwritten_bytes -= done.bytes;
        let Some(record) = self.records.get_mut(&done.join) else {
            return;
        };
        record.unwritten = record.unwritten.saturating_sub(1);
        record.unwritten_bytes = record.unwritten_bytes.saturating_sub(done.bytes);
        let progress = record.places.entry(Some(track)).or_default();
        progress.unwritten = progress.unwritten.saturating_sub(1);
        progress.unwritten_bytes = progress.unwritten_bytes.saturating_sub(done.bytes);
        if written {
            progress.written = done.id;
        }
    }

    /// The record of a run, made when there is none. Those of runs that are not connected are
    /// forgotten when there are too many: the least recently used of who has most.
    fn record(&mut self, join: Join, is_connected: impl Fn(&Join) -> bool) -> &mut Record {
        self.uses += 1;
        if !self.records.contains_key(&join) && self.records.len() >= MAX_JOINS {
            let idle =
                |(join, record): &(&Join, &Record)| record.unwritten == 0 && !is_connected(join);
            let mut each: BTreeMap<PublicKey, usize> = BTreeMap::new();
            for (join, _) in self.records.iter().filter(idle) {
                *each.entry(join.0).or_default() += 1;
            }
            let oldest = self
                .records
                .iter()
                .filter(idle)
                .min_by_key(|(join, record)| {
                    let of_one = each.get(&join.0).copied().unwrap_or_default();
                    (std::cmp::Reverse(of_one), record.used)
                });
            if let Some(oldest) = oldest.map(|(join, _)| *join) {
                self.records.remove(&oldest);
            }
        }
        let record = self.records.entry(join).or_default();
        record.used = self.uses;
        record
    }
}

impl Host {
    /// Bytes came on a viewer's input stream.
    pub(in crate::host) fn on_input(
        &mut self,
        conn: ConnId,
        epoch: u32,
        bytes: &[u8],
    ) -> Result<(), PeerError> {
        let Some(member) = self.cx.conns.member_mut(conn) else {
            return Err(PeerError::protocol("input came before the welcome"));
        };
        if epoch < member.input.epoch {
            return Ok(());
        }
        if epoch > member.input.epoch {
            member.input.renew(epoch);
        }
        member.input.framer.push(bytes);
        loop {
            let Some(member) = self.cx.conns.member_mut(conn) else {
                return Ok(());
            };
            let Some((tag, payload)) = member.input.framer.next_message()? else {
                break;
            };
            if !member.input.opened {
                let opening = InputStream::decode(tag, &payload)?;
                if opening.join != member.join.1 {
                    return Err(PeerError::protocol("an input stream of another run"));
                }
                member.input.opened = true;
            } else if let Some(intent) = IntentMsg::decode(tag, &payload)? {
                self.on_intent(conn, intent)?;
            }
        }
        self.tracks.tell_dropped(&mut self.cx, conn);
        Ok(())
    }

    fn on_intent(&mut self, conn: ConnId, intent: IntentMsg) -> Result<(), PeerError> {
        let Some(member) = self.cx.conns.member(conn) else {
            return Ok(());
        };
        let (join, who, id, place) = (member.join, member.id, intent.id, intent.what.track());
        if let Some(why) = self.standing_refusal(conn) {
            return self.tracks.refuse_input(&mut self.cx, conn, place, id, why);
        }
        let known = self
            .tracks
            .inputs
            .seen(&join)
            .max(member.input.refused_upto);
        let fate = match () {
            () if id <= known => Disposition::Repeated,
            () if id != known + 1 => {
                return Err(PeerError::protocol("input with a gap before it"));
            }
            () => self.authorize_input(conn, intent),
        };
        match fate {
            Disposition::Repeated => self.tracks.tell_accepted(&mut self.cx, join, place),
            Disposition::Write {
                right,
                track,
                bytes,
            } => {
                let record = self.tracks.record_of(&self.cx, join);
                record.seen = id;
                record.unwritten += 1;
                record.unwritten_bytes += bytes.len();
                let progress = record.places.entry(place).or_default();
                progress.unwritten += 1;
                progress.unwritten_bytes += bytes.len();
                self.write(&right, join, id, track, bytes);
            }
            Disposition::Open { right, title } => {
                let done = self.open_for_viewer(&right, conn, who, title.as_str());
                self.tracks
                    .settle_request(&mut self.cx, conn, join, id, done)?;
            }
            Disposition::Close { right, track } => {
                let done = self.close_for_viewer(&right, who, track);
                self.tracks
                    .settle_request(&mut self.cx, conn, join, id, done)?;
            }
            Disposition::Converse { track, request } => {
                let done = self.converse_for_viewer(who, track, request);
                self.tracks
                    .settle_request(&mut self.cx, conn, join, id, done)?;
            }
            Disposition::Dropped(why) => {
                if !self.cx.charge(conn, 1) {
                    return Err(RefusalReason::Flood.into());
                }
                let record = self.tracks.record_of(&self.cx, join);
                record.seen = id;
                record.places.entry(place).or_default().dropped = Some((id, why));
            }
            Disposition::TooMuch => {
                return Err(PeerError::protocol(
                    "more input than may wait to be confirmed",
                ));
            }
        }
        Ok(())
    }

    /// Why nothing is expected from this viewer at all. Its inputs are not counted: anybody who never
    /// had the right to edit gets to make the host remember nothing.
    fn standing_refusal(&self, conn: ConnId) -> Option<DropReason> {
        let member = self.cx.conns.member(conn)?;
        let has_edited = self
            .people
            .roster()
            .get(member.id)
            .is_some_and(|person| person.has_edited);
        match () {
            () if member.read_only => Some(DropReason::ReadOnlyViewer),
            () if !has_edited => Some(DropReason::MayNotType),
            () => None,
        }
    }

    /// The one decision about an intent.
    fn authorize_input(&self, conn: ConnId, intent: IntentMsg) -> Disposition {
        let Some(member) = self.cx.conns.member(conn) else {
            return Disposition::Repeated;
        };
        let (who, now) = (&member.join.0, UnixMillis(self.cx.now.unix_ms));
        let epoch = self
            .people
            .roster()
            .get(member.id)
            .map(|person| person.edit_epoch);
        let stale = match () {
            () if !self.cx.shared => Some(DropReason::NotShared),
            () if Some(intent.edit_epoch) != epoch => Some(DropReason::RightTaken),
            () if intent.waited_ms > MAX_WAITED_MS => Some(DropReason::WaitedTooLong),
            () => None,
        };
        match intent.what {
            Intent::Keys { track, bytes } => {
                let Some(right) = self.people.rights().edit(who, now) else {
                    return Disposition::Dropped(DropReason::MayNotType);
                };
                if let Some(why) = stale {
                    return Disposition::Dropped(why);
                }
                match self.tracks.get(track) {
                    None => Disposition::Dropped(DropReason::NoSuchTerminal),
                    Some(track) if track.kind() != TrackKind::Terminal => {
                        Disposition::Dropped(DropReason::NotATerminal)
                    }
                    Some(track) if track.state != TrackState::Live => {
                        Disposition::Dropped(DropReason::ProgramEnded)
                    }
                    Some(_) if bytes.is_empty() => Disposition::Dropped(DropReason::Empty),
                    Some(_) => match self
                        .tracks
                        .inputs
                        .overflow(&member.join, track, bytes.len())
                    {
                        Some(fate) => fate,
                        None => Disposition::Write {
                            right,
                            track,
                            bytes,
                        },
                    },
                }
            }
            Intent::Open { .. } | Intent::Close { .. } => {
                let Some(right) = self.people.rights().open(who, now) else {
                    return Disposition::Dropped(DropReason::MayNotOpen);
                };
                match (stale, intent.what) {
                    (Some(why), _) => Disposition::Dropped(why),
                    (None, Intent::Close { track }) => Disposition::Close { right, track },
                    (None, Intent::Open { title }) => Disposition::Open { right, title },
                    (None, _) => Disposition::Repeated,
                }
            }
            // Who may have what is for the conversation to say.
            Intent::Converse { track, request } => match stale {
                Some(why) => Disposition::Dropped(why),
                None => Disposition::Converse { track, request },
            },
            Intent::Unknown(_) => Disposition::Dropped(DropReason::NotKnownHere),
        }
    }

    /// Writes one input, and notes whose it is.
    fn write(&mut self, right: &EditRight, join: Join, id: u64, track: TrackId, bytes: Bytes) {
        self.commands
            .attribute(&mut self.cx, &self.people, right, &join.0, bytes.len());
        self.people.note_typing(&mut self.cx, &join.0);
        if self.cx.keys.owner != Some(join.0) {
            self.commands.note_remote_input();
        }
        self.tracks
            .write(&mut self.cx, right, join, id, track, bytes);
    }
}

impl Tracks {
    /// Writes one input. There is no other way to the program, and none without the right.
    fn write(
        &mut self,
        cx: &mut Context,
        _: &EditRight,
        join: Join,
        id: u64,
        track: TrackId,
        bytes: Bytes,
    ) {
        let Some(input) = self.all.get_mut(&track).map(|track| &mut track.input) else {
            return;
        };
        input.seq += 1;
        let seq = input.seq;
        input.writing.push_back(Writing {
            seq,
            join,
            id,
            bytes: bytes.len(),
        });
        self.inputs.unwritten_bytes += bytes.len();
        cx.push(HostOutput::Write { track, seq, bytes });
    }

    /// An intent that is for no track was done, or not.
    fn settle_request(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        join: Join,
        id: u64,
        done: Result<(), CommandError>,
    ) -> Result<(), PeerError> {
        if !cx.charge(conn, REQUEST_COST) {
            return Err(RefusalReason::Flood.into());
        }
        // What was dropped before it is said first.
        self.tell_dropped(cx, conn);
        let record = self.record_of(cx, join);
        record.seen = id;
        let progress = record.places.entry(None).or_default();
        match done {
            Ok(()) => {
                progress.written = id;
                self.inputs.unreported.insert((join, None), (id, 0));
                self.tell_written(cx, join, None);
            }
            Err(error) => self.tell_lost(cx, conn, None, id, refused_opening(&error)),
        }
        Ok(())
    }

    fn refuse_input(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        place: Place,
        id: u64,
        why: DropReason,
    ) -> Result<(), PeerError> {
        if !cx.charge(conn, 1) {
            return Err(RefusalReason::Flood.into());
        }
        if let Some(member) = cx.conns.member_mut(conn) {
            member.input.refused.insert(place, (id, why));
            member.input.refused_upto = member.input.refused_upto.max(id);
        }
        Ok(())
    }

    /// Everything up to `seq` is in the hands of a track's program.
    pub(in crate::host) fn on_written(&mut self, cx: &mut Context, id: TrackId, seq: u64) {
        let now = cx.now.mono_us;
        let Some(track) = self.all.get_mut(&id) else {
            return;
        };
        track.keyed(now);
        while let Some(done) = track.input.pop_upto(seq) {
            track.input.note_written(done.seq, now);
            self.inputs.settle(&done, id, true);
            self.inputs
                .unreported
                .insert((done.join, Some(id)), (done.id, done.seq));
        }
        self.stir(id);
        if !self.inputs.unreported.is_empty() {
            let at = cx.now.mono_us.saturating_add(ACCEPT_WITHIN_US);
            cx.timers.set_if_unset(Timer::Accepted, at);
        }
    }

    /// What was not written up to `seq` never will be. Nothing else is in between, so their viewers are told
    /// at once, in the order of what became of it.
    pub(in crate::host) fn on_discarded(&mut self, cx: &mut Context, id: TrackId, seq: u64) {
        self.lose_unwritten(cx, id, seq, DropReason::Interrupted);
    }

    /// The program is gone: what it did not read never will be.
    pub(in crate::host) fn drop_unwritten(
        &mut self,
        cx: &mut Context,
        id: TrackId,
        why: DropReason,
    ) {
        self.lose_unwritten(cx, id, u64::MAX, why);
        // Nothing more is counted for it.
        let mut untold = Vec::new();
        for (join, record) in &mut self.inputs.records {
            let progress = record.places.remove(&Some(id));
            untold.extend(progress.and_then(|progress| Some((*join, progress.dropped?))));
        }
        for (join, (number, why)) in untold {
            if let Some(conn) = cx.conns.of_join(&join) {
                self.tell_lost(cx, conn, Some(id), number, why);
            }
        }
    }

    fn lose_unwritten(&mut self, cx: &mut Context, id: TrackId, seq: u64, why: DropReason) {
        let Some(track) = self.all.get_mut(&id) else {
            return;
        };
        let mut lost = BTreeMap::new();
        while let Some(gone) = track.input.pop_upto(seq) {
            self.inputs.settle(&gone, id, false);
            lost.insert(gone.join, gone.id);
        }
        for (join, number) in lost {
            let record = self.inputs.records.get_mut(&join);
            let progress = record.and_then(|record| record.places.get_mut(&Some(id)));
            if let Some(progress) = progress {
                progress.last_report = Some((number, why));
            }
            self.tell_written(cx, join, Some(id));
            if let Some(conn) = cx.conns.of_join(&join) {
                self.tell_lost(cx, conn, Some(id), number, why);
            }
        }
    }

    /// Says what was written, with a frame that goes out anyway or when it is time.
    pub(in crate::host) fn tell_written_if_due(&mut self, cx: &mut Context, framed: bool) {
        let goes_along = framed && cx.timers.is_set(Timer::Accepted);
        let now = cx.now.mono_us;
        if !goes_along && !cx.timers.take_due(Timer::Accepted, now) {
            return;
        }
        cx.timers.clear(Timer::Accepted);
        let written: Vec<(Join, Place)> = self.inputs.unreported.keys().copied().collect();
        for (join, place) in written {
            self.tell_written(cx, join, place);
            if let Some(conn) = cx.conns.of_join(&join) {
                self.tell_dropped(cx, conn);
            }
        }
    }

    fn tell_written(&mut self, cx: &mut Context, join: Join, track: Place) {
        let Some((upto, host_seq)) = self.inputs.unreported.remove(&(join, track)) else {
            return;
        };
        if let Some(conn) = cx.conns.of_join(&join) {
            let accepted = Accepted {
                upto,
                host_seq,
                track,
            };
            cx.send(conn, &FromHost::Accepted(accepted));
        }
    }

    /// Says again what a viewer that repeats itself missed, unless something is still on its way.
    fn tell_accepted(&mut self, cx: &mut Context, join: Join, track: Place) {
        let record = self.inputs.records.get(&join);
        let Some(progress) = record.and_then(|record| record.places.get(&track)) else {
            return;
        };
        let dropped = progress.dropped.or(progress.last_report);
        let is_written =
            progress.unwritten == 0 && dropped.is_none_or(|(number, _)| number < progress.written);
        let upto = progress.written;
        if is_written && let Some(conn) = cx.conns.of_join(&join) {
            let input = track.and_then(|track| self.get(track));
            let accepted = Accepted {
                upto,
                host_seq: input.map_or(0, |track| track.input.seq),
                track,
            };
            cx.send(conn, &FromHost::Accepted(accepted));
        }
    }

    /// Tells a viewer what was dropped, once what it sent before is written.
    fn tell_dropped(&mut self, cx: &mut Context, conn: ConnId) {
        let Some(member) = cx.conns.get_mut(conn).and_then(Conn::member_mut) else {
            return;
        };
        let join = member.join;
        let mut dropped = std::mem::take(&mut member.input.refused);
        if let Some(record) = self.inputs.records.get_mut(&join) {
            for (place, progress) in &mut record.places {
                if progress.unwritten == 0
                    && let Some(one) = progress.dropped.take()
                {
                    progress.last_report = Some(one);
                    dropped.insert(*place, one);
                }
            }
            let tracks = &self.all;
            record.places.retain(|place, progress| {
                let is_there = place.is_none_or(|track| tracks.contains_key(&track));
                is_there || progress.unwritten > 0 || progress.dropped.is_some()
            });
        }
        for (place, (upto, why)) in dropped {
            // What came before it was written.
            self.tell_written(cx, join, place);
            self.tell_lost(cx, conn, place, upto, why);
        }
    }

    fn tell_lost(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        track: Place,
        upto: u64,
        why: DropReason,
    ) {
        let why = Some(why);
        cx.send(conn, &FromHost::Dropped(Dropped { upto, why, track }));
    }

    /// Tells a viewer that came back what it may have missed; it knows what it was told.
    pub(in crate::host) fn tell_dropped_again(&mut self, cx: &mut Context, conn: ConnId) {
        let join = cx.conns.member(conn).map(|member| member.join);
        let record = join.and_then(|join| self.inputs.records.get_mut(&join));
        for progress in record
            .into_iter()
            .flat_map(|record| record.places.values_mut())
        {
            progress.dropped = progress.dropped.or(progress.last_report);
        }
        self.tell_dropped(cx, conn);
    }

    fn record_of(&mut self, cx: &Context, join: Join) -> &mut Record {
        let conns = &cx.conns;
        self.inputs
            .record(join, |join| conns.of_join(join).is_some())
    }
}

/// Why a viewer's terminal is not opened or closed, as the host says it.
fn refused_opening(error: &CommandError) -> DropReason {
    match error {
        CommandError::Conversation(why) => DropReason::Conversation(why.number()),
        CommandError::NoConversation => DropReason::NoConversation,
        CommandError::TooManyTracks { .. } => DropReason::TooManyTerminals,
        CommandError::NoSuchTrack(_) => DropReason::NoSuchTerminal,
        CommandError::NotTheirs(_) => DropReason::NotTheirs,
        _ => DropReason::SessionEnded,
    }
}

/// A viewer's input stream as the host reads it.
pub(in crate::host) struct InputReader {
    epoch: u32,
    framer: pillion_proto::Framer,
    opened: bool,
    /// Newest input of a viewer that may not type at all, not yet told.
    refused: BTreeMap<Place, (u64, DropReason)>,
    /// The same, told or not: its numbers go on from there if it may type one day.
    refused_upto: u64,
}

impl InputReader {
    pub(in crate::host) fn new() -> InputReader {
        let framer = pillion_proto::Framer::new(MAX_INPUT_MESSAGE);
        InputReader {
            epoch: 0,
            framer,
            opened: false,
            refused: BTreeMap::new(),
            refused_upto: 0,
        }
    }

    fn renew(&mut self, epoch: u32) {
        *self = InputReader {
            epoch,
            refused: std::mem::take(&mut self.refused),
            refused_upto: self.refused_upto,
            ..InputReader::new()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillion_caps::SecretKey;

    #[test]
    fn who_comes_again_and_again_makes_the_host_forget_nobody_else() {
        let mut inputs = Inputs::new();
        let anna = (SecretKey::from_bytes(&[1; 32]).public(), JoinId([1; 16]));
        inputs.record(anna, |_| false).seen = 7;
        let other = SecretKey::from_bytes(&[2; 32]).public();
        for run in 0..2 * MAX_JOINS as u128 {
            let join = (other, JoinId(run.to_be_bytes()));
            inputs.record(join, |_| false).seen = 1;
        }
        assert_eq!(inputs.seen(&anna), 7);
        assert_eq!(inputs.records.len(), MAX_JOINS);
    }
}
