//! Input: numbered, checked, written once, and its effects counted in every frame.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use pillion_caps::{PublicKey, UnixMillis};
use pillion_proto::{
    Accepted, Dropped, FromHost, InputStream, Intent, IntentMsg, JoinId, TrackId, TrackState,
    limits::{MAX_INPUT, MAX_UNCONFIRMED_INPUT},
};

use crate::{types::ConnId, words::sentence};

use crate::host::{
    Host,
    api::HostOutput,
    conn::Conn,
    fault::PeerError,
    people::rights::EditRight,
    tracks::track::TERMINAL,
};

/// Join instances whose input numbers are remembered, those connected not counted. Only editors have
/// one; forgetting one means that an input resent after that could be written twice.
const MAX_JOINS: usize = 4096;

/// Bytes given to the program and not yet written, of all runs of one person's viewer and of everybody: a program
/// that reads nothing, and editors pasting. Each run has [`MAX_UNCONFIRMED_INPUT`], which is what a viewer
/// keeps to, so these are met only by who pastes in more than four windows at once, and is told.
const MAX_UNWRITTEN_OF_ONE: usize = 4 * MAX_UNCONFIRMED_INPUT;
const MAX_UNWRITTEN: usize = 16 * MAX_UNWRITTEN_OF_ONE;

/// How long after the write a frame may say that an input's effects are in it, in microseconds.
/// Saying so sooner kills right predictions (mosh's `set_echo_ack`).
const ECHO_AFTER_US: u64 = 50_000;

/// Writes this close together count as one moment for that, in microseconds, so that a flood of
/// input keeps no more than a few dozen of them.
const ECHO_GRAIN_US: u64 = 2_000;

/// That an input was written is said with the next frame, which usually shows its echo: one packet and
/// one wake-up less between a key and its echo. Without a frame, so long after the write at the latest, in
/// microseconds.
const ACCEPT_WITHIN_US: u64 = 10_000;

/// What waited longer at the viewer is dropped rather than typed into a screen that has moved on,
/// in milliseconds.
const MAX_WAITED_MS: u32 = 5_000;

/// One run of one identity's viewer.
type Join = (PublicKey, JoinId);

/// What became of the inputs of one run.
#[derive(Debug, Default)]
struct Record {
    /// Newest number taken in, written or dropped.
    seen: u64,
    /// Newest number written.
    written: u64,
    /// Inputs given to the program and not yet written.
    unwritten: usize,
    unwritten_bytes: usize,
    /// Dropped up to here, to be said once what came before is written.
    dropped: Option<(u64, &'static str)>,
    /// What was last said of that; the connection may have ended before it arrived.
    last_report: Option<(u64, &'static str)>,
    used: u64,
}

/// An input on its way into the program.
struct Writing {
    seq: u64,
    join: Join,
    id: u64,
    bytes: usize,
}

/// What became of one input.
enum Disposition {
    /// Known already.
    Repeated,
    Write {
        right: EditRight,
        track: TrackId,
        bytes: Bytes,
    },
    Dropped(&'static str),
    /// No viewer sends that much before it is confirmed.
    TooMuch,
}

/// All input of the program's life.
pub(in crate::host) struct Inputs {
    seq: u64,
    records: BTreeMap<Join, Record>,
    uses: u64,
    writing: VecDeque<Writing>,
    unwritten_bytes: usize,
    /// Newest seq of each moment something was written, while it is not echoed.
    written: VecDeque<(u64, u64)>,
    echoed: u64,
    /// What was written of each run and not yet said: the newest input's number, and its seq.
    unreported: BTreeMap<Join, (u64, u64)>,
    /// When it is said at the latest.
    tell_at_us: Option<u64>,
}

impl Inputs {
    pub(in crate::host) fn new() -> Inputs {
        Inputs {
            seq: 0,
            records: BTreeMap::new(),
            uses: 0,
            writing: VecDeque::new(),
            unwritten_bytes: 0,
            written: VecDeque::new(),
            echoed: 0,
            unreported: BTreeMap::new(),
            tell_at_us: None,
        }
    }

    /// Newest input of a run that was taken in: what a returning viewer need not send again.
    pub(in crate::host) fn seen(&self, join: &Join) -> u64 {
        self.records.get(join).map_or(0, |record| record.seen)
    }

    /// Newest input of a run that was written.
    fn accepted(&self, join: &Join) -> u64 {
        self.records.get(join).map_or(0, |record| record.written)
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

    /// When that count rises next.
    pub(in crate::host) fn echo_at_us(&self) -> Option<u64> {
        self.written
            .front()
            .map(|(_, at)| at.saturating_add(ECHO_AFTER_US))
    }

    /// Why keys for which everything else is right are not written: it may be too much to wait.
    fn overflow(&self, join: &Join, bytes: usize) -> Option<Disposition> {
        let (key, _) = join;
        let runs = self
            .records
            .range((*key, JoinId([0; 16]))..=(*key, JoinId([u8::MAX; 16])));
        let of_one: usize = runs.map(|(_, record)| record.unwritten_bytes).sum();
        let of_run = self.records.get(join);
        let of_run = of_run.map_or(0, |record| record.unwritten_bytes);
        match () {
            () if of_run + bytes > MAX_UNCONFIRMED_INPUT => Some(Disposition::TooMuch),
            () if of_one + bytes > MAX_UNWRITTEN_OF_ONE
                || self.unwritten_bytes + bytes > MAX_UNWRITTEN =>
            {
                Some(Disposition::Dropped("the program does not read its input"))
            }
            () => None,
        }
    }

    fn note_written(&mut self, seq: u64, now_us: u64) {
        let at = now_us.next_multiple_of(ECHO_GRAIN_US);
        match self.written.back_mut() {
            Some(back) if back.1 == at => back.0 = seq,
            _ => self.written.push_back((seq, at)),
        }
    }

    /// The record of a run, made when there is none. Those of runs that are not connected are
    /// forgotten, least recently used first, when there are too many.
    fn record(&mut self, join: Join, is_connected: impl Fn(&Join) -> bool) -> &mut Record {
        self.uses += 1;
        if !self.records.contains_key(&join) && self.records.len() >= MAX_JOINS {
            let idle = self
                .records
                .iter()
                .filter(|(join, record)| record.unwritten == 0 && !is_connected(join));
            if let Some(oldest) = idle
                .min_by_key(|(_, record)| record.used)
                .map(|(join, _)| *join)
            {
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
        let Some(member) = self.member_mut(conn) else {
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
            let Some(member) = self.member_mut(conn) else {
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
        self.tell_dropped(conn);
        Ok(())
    }

    fn on_intent(&mut self, conn: ConnId, intent: IntentMsg) -> Result<(), PeerError> {
        let Some(member) = self.member(conn) else {
            return Ok(());
        };
        let (join, id) = (member.join, intent.id);
        if let Some(why) = self.standing_refusal(conn) {
            return self.refuse_input(conn, id, why);
        }
        let known = self.inputs.seen(&join).max(member.input.refused_upto);
        let fate = match () {
            () if id <= known => Disposition::Repeated,
            () if id != known + 1 => {
                return Err(PeerError::protocol("input with a gap before it"));
            }
            () => self.authorize_input(conn, intent),
        };
        match fate {
            Disposition::Repeated => self.tell_accepted(join, known),
            Disposition::Write {
                right,
                track,
                bytes,
            } => {
                let record = self.record_of(join);
                record.seen = id;
                record.unwritten += 1;
                record.unwritten_bytes += bytes.len();
                self.write(right, join, id, track, bytes);
            }
            Disposition::Dropped(why) => {
                if !self.charge(conn, 1) {
                    return Err(PeerError::flood());
                }
                let record = self.record_of(join);
                record.seen = id;
                record.dropped = Some((id, why));
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
    fn standing_refusal(&self, conn: ConnId) -> Option<&'static str> {
        let member = self.member(conn)?;
        let has_edited = self
            .roster
            .get(member.id)
            .is_some_and(|person| person.has_edited);
        match () {
            () if member.read_only => Some("this viewer joined with --read-only and sends nothing"),
            () if !has_edited => Some("you may watch, not type: ask for edit first"),
            () => None,
        }
    }

    fn refuse_input(&mut self, conn: ConnId, id: u64, why: &'static str) -> Result<(), PeerError> {
        if !self.charge(conn, 1) {
            return Err(PeerError::flood());
        }
        if let Some(member) = self.member_mut(conn) {
            member.input.refused = Some((id, why));
            member.input.refused_upto = member.input.refused_upto.max(id);
        }
        Ok(())
    }

    /// The one decision about an intent.
    fn authorize_input(&self, conn: ConnId, intent: IntentMsg) -> Disposition {
        let Some(member) = self.member(conn) else {
            return Disposition::Repeated;
        };
        let (track, bytes) = match intent.what {
            Intent::Keys { track, bytes } => (track, bytes),
            Intent::Unknown(_) => {
                return Disposition::Dropped(
                    "it is not known here: the host's pillion is older than yours",
                );
            }
        };
        let Some(right) = self
            .rights
            .edit(&member.join.0, UnixMillis(self.now.unix_ms))
        else {
            return Disposition::Dropped("you may watch, not type: ask for edit first");
        };
        match () {
            () if !self.sharing.on => Disposition::Dropped("the session is not shared any more"),
            () if track != TERMINAL => Disposition::Dropped("there is no such track to type into"),
            () if self.track.state != TrackState::Live => {
                Disposition::Dropped("the program has ended")
            }
            () if Some(intent.edit_epoch)
                != self.roster.get(member.id).map(|person| person.edit_epoch) =>
            {
                Disposition::Dropped("your right to type was taken away since you typed it")
            }
            () if intent.waited_ms > MAX_WAITED_MS || bytes.is_empty() => {
                Disposition::Dropped("it had waited too long for the connection")
            }
            () => match self.inputs.overflow(&member.join, bytes.len()) {
                Some(fate) => fate,
                None => Disposition::Write {
                    right,
                    track,
                    bytes,
                },
            },
        }
    }

    /// Writes one input. There is no other way to the program, and none without the right.
    fn write(&mut self, right: EditRight, join: Join, id: u64, track: TrackId, bytes: Bytes) {
        self.inputs.seq += 1;
        let seq = self.inputs.seq;
        self.inputs.unwritten_bytes += bytes.len();
        self.inputs.writing.push_back(Writing {
            seq,
            join,
            id,
            bytes: bytes.len(),
        });
        self.attribute(&right, &join.0, bytes.len());
        self.confirms.note_remote_input();
        self.out.push_back(HostOutput::Write { track, seq, bytes });
    }

    /// Everything up to `seq` is in the program's hands.
    pub(in crate::host) fn on_written(&mut self, seq: u64) {
        self.track.keyed(self.now.mono_us);
        while let Some(front) = self.inputs.writing.front()
            && front.seq <= seq
            && let Some(done) = self.inputs.writing.pop_front()
        {
            self.inputs.unwritten_bytes -= done.bytes;
            self.inputs.note_written(done.seq, self.now.mono_us);
            if let Some(record) = self.inputs.records.get_mut(&done.join) {
                record.written = done.id;
                record.settle(done.bytes);
            }
            self.inputs
                .unreported
                .insert(done.join, (done.id, done.seq));
        }
        if !self.inputs.unreported.is_empty() {
            let at = self.now.mono_us.saturating_add(ACCEPT_WITHIN_US);
            let at = *self.inputs.tell_at_us.get_or_insert(at);
            self.arm(at);
        }
    }

    /// What was not written up to `seq` never will be. Nothing else is in between, so their viewers are told
    /// at once, in the order of what became of it.
    pub(in crate::host) fn on_discarded(&mut self, seq: u64) {
        let mut lost = BTreeMap::new();
        while let Some(front) = self.inputs.writing.front()
            && front.seq <= seq
            && let Some(gone) = self.inputs.writing.pop_front()
        {
            self.inputs.unwritten_bytes -= gone.bytes;
            if let Some(record) = self.inputs.records.get_mut(&gone.join) {
                record.settle(gone.bytes);
            }
            lost.insert(gone.join, gone.id);
        }
        for (join, id) in lost {
            let why = "the program was interrupted before it read it";
            if let Some(record) = self.inputs.records.get_mut(&join) {
                record.last_report = Some((id, why));
            }
            self.tell_written(join);
            if let Some(conn) = self.conn_of(&join) {
                self.tell_lost(conn, id, why);
            }
        }
    }

    /// Says what was written, with a frame that goes out anyway or when it is time.
    pub(in crate::host) fn tell_written_if_due(&mut self, framed: bool) {
        let Some(at) = self.inputs.tell_at_us else {
            return;
        };
        if !framed && self.now.mono_us < at {
            return self.arm(at);
        }
        self.inputs.tell_at_us = None;
        let joins: Vec<Join> = self.inputs.unreported.keys().copied().collect();
        for join in joins {
            self.tell_written(join);
            if let Some(conn) = self.conn_of(&join) {
                self.tell_dropped(conn);
            }
        }
    }

    fn tell_written(&mut self, join: Join) {
        let Some((upto, host_seq)) = self.inputs.unreported.remove(&join) else {
            return;
        };
        if let Some(conn) = self.conn_of(&join) {
            self.send(conn, &FromHost::Accepted(Accepted { upto, host_seq }));
        }
    }

    /// Says again what a viewer that repeats itself missed.
    fn tell_accepted(&mut self, join: Join, known: u64) {
        let upto = self.inputs.accepted(&join);
        if upto == known
            && let Some(conn) = self.conn_of(&join)
        {
            let host_seq = self.inputs.seq;
            self.send(conn, &FromHost::Accepted(Accepted { upto, host_seq }));
        }
    }

    /// Tells a viewer what was dropped, once what it sent before is written.
    fn tell_dropped(&mut self, conn: ConnId) {
        let Some(member) = self.conns.get_mut(&conn).and_then(Conn::member_mut) else {
            return;
        };
        let record = self.inputs.records.get_mut(&member.join);
        let settled = record.filter(|record| record.unwritten == 0);
        let dropped = settled.and_then(|record| {
            record.last_report = record.dropped.or(record.last_report);
            record.dropped.take()
        });
        let join = member.join;
        if let Some((upto, why)) = dropped.or_else(|| member.input.refused.take()) {
            // What came before it was written.
            self.tell_written(join);
            self.tell_lost(conn, upto, why);
        }
    }

    fn tell_lost(&mut self, conn: ConnId, upto: u64, why: &str) {
        let text = sentence(&format!("not typed: {why}"));
        self.send(conn, &FromHost::Dropped(Dropped { upto, text }));
    }

    /// Tells a viewer that came back what it may have missed; it knows what it was told.
    pub(in crate::host) fn tell_dropped_again(&mut self, conn: ConnId) {
        let join = self.member(conn).map(|member| member.join);
        let record = join.and_then(|join| self.inputs.records.get_mut(&join));
        if let Some(record) = record {
            record.dropped = record.dropped.or(record.last_report);
        }
        self.tell_dropped(conn);
    }

    fn record_of(&mut self, join: Join) -> &mut Record {
        let live = &self.live_joins;
        self.inputs.record(join, |join| live.contains_key(join))
    }

    /// The program is gone: what it did not read never will be.
    pub(in crate::host) fn drop_unwritten(&mut self) {
        self.inputs.writing.clear();
        self.inputs.unwritten_bytes = 0;
        for record in self.inputs.records.values_mut() {
            (record.unwritten, record.unwritten_bytes) = (0, 0);
        }
    }
}

impl Record {
    /// One input less is on its way to the program.
    fn settle(&mut self, bytes: usize) {
        self.unwritten = self.unwritten.saturating_sub(1);
        self.unwritten_bytes = self.unwritten_bytes.saturating_sub(bytes);
    }
}

/// A viewer's input stream as the host reads it.
pub(in crate::host) struct InputReader {
    epoch: u32,
    framer: pillion_proto::Framer,
    opened: bool,
    /// Newest input of a viewer that may not type at all, not yet told.
    refused: Option<(u64, &'static str)>,
    /// The same, told or not: its numbers go on from there if it may type one day.
    refused_upto: u64,
}

impl InputReader {
    pub(in crate::host) fn new() -> InputReader {
        let framer = pillion_proto::Framer::new(MAX_INPUT + 64);
        InputReader {
            epoch: 0,
            framer,
            opened: false,
            refused: None,
            refused_upto: 0,
        }
    }

    fn renew(&mut self, epoch: u32) {
        *self = InputReader {
            epoch,
            refused: self.refused,
            refused_upto: self.refused_upto,
            ..InputReader::new()
        };
    }
}
