//! History by range: what a viewer scrolls to, and never a line from before sharing began.
//!
//! ```text
//! request ─▶ its turn (fair, by person) ─▶ read and packed elsewhere ─▶ handed over in pieces ─▶ delivered
//! ```
//!
//! All of it stands behind the live screen. Nothing is done in answer to a request but to put it in the
//! queue; each later step is small and done when the host has nothing else to do at once. One budget of
//! bytes holds for everybody: so many a second, and so many that were handed over and not acknowledged,
//! which is what a viewer that reads nothing makes a host hold. A range that several want, and that can't
//! change, is packed once. Anybody who left before their turn costs nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use pillion_caps::PublicKey;
use pillion_proto::{Framer, HistoryRequest, RefusalReason, TrackId, limits::MAX_HISTORY_LINES};
use pillion_screen::LineId;

use crate::types::{ConnId, Stream};

use crate::host::{
    api::HostOutput,
    context::Context,
    fault::PeerError,
    rate::Bucket,
    timers::Timer,
    tracks::Readable,
    tracks::Tracks,
    tracks::fair::FairQueue,
    tracks::pack::{Gathered, HistoryJob, MAX_REPLY, PackedHistory},
};

/// Requests of one connection that may be under way.
const MAX_OUTSTANDING: usize = 4;

/// What a request costs of a viewer's messages.
const COST: u64 = 10;

/// Longest request, in bytes.
const MAX_REQUEST: usize = 64;

/// Between a request and what is done about it, and between two steps, in microseconds: a keystroke that
/// comes meanwhile goes first.
const STEP_US: u64 = 1_000;

/// Replies that are being read and packed at once: one, and one more so that there is no pause.
const MAX_JOBS: usize = 2;

/// What a reply weighs before it is known, and a read beside its reply, in bytes.
const GUESS: usize = 32 * 1024;
const READ_WEIGHT: u64 = 16 * 1024;

/// Bytes of history handed to the network in a second in the long run, and at once. 4 MiB are 50,000
/// screens of text; they cost 3,500 packets, a few hundredths of a processor.
const BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;
const BURST: u64 = 128 * 1024;

/// Bytes handed over in one step: what a keystroke's echo may have to wait for, 28 packets.
const PIECE: usize = 32 * 1024;

/// Bytes that were handed over and not acknowledged: of everybody together, and of one person. Nothing more
/// is begun beyond, so the replies being made then may come on top ([`MAX_JOBS`] times [`MAX_REPLY`]).
const MAX_ON_THE_WAY: usize = 512 * 1024;
const MAX_ON_THE_WAY_EACH: usize = 128 * 1024;

/// Uncompressed history in a reply while many wait, in bytes: so that many of them have something on the way.
const MIN_REPLY: usize = 32 * 1024;

/// While others wait, a reply may be on the way for so long, in microseconds, or four round trips if that
/// is longer, and so many more for each byte of it (256 KiB a second). After that it makes room, and its
/// reader comes behind everybody else.
const PATIENCE_US: u64 = 500_000;
const PATIENCE_US_PER_BYTE: u64 = 4;

/// A job that is not done after so long never will be, in microseconds.
const JOB_WITHIN_US: u64 = 10_000_000;

/// Replies kept for who asks for the same next, in bytes.
const MAX_KEPT: usize = 512 * 1024;

/// A connection's requests that are under way, by stream.
pub(in crate::host) struct Requests(BTreeMap<u64, Option<Framer>>);

impl Requests {
    pub(in crate::host) fn new() -> Requests {
        Requests(BTreeMap::new())
    }
}

/// One request's stream.
type StreamId = (ConnId, u64);

/// Lines of a track, or its entries, from the first on, so many.
type Range = (TrackId, LineId, u32);

/// All history that is wanted, made or on its way.
pub(in crate::host) struct History {
    waiting: FairQueue<PublicKey, (StreamId, Range)>,
    jobs: BTreeMap<u64, Job>,
    numbers: u64,
    /// Replies that are being handed over, in turns.
    sending: VecDeque<(StreamId, Bytes)>,
    on_the_way: BTreeMap<StreamId, OnTheWay>,
    /// People whose last reply was not acknowledged in time: they come behind everybody else.
    slow: BTreeSet<PublicKey>,
    /// Replies of lines that can't change, the newest last.
    kept: VecDeque<(Range, Bytes)>,
    bucket: Bucket,
}

/// A reply that is being made.
struct Job {
    range: Range,
    /// Nothing in it can change any more: anybody who asks for the same waits for it, too.
    is_final: bool,
    for_whom: Vec<(PublicKey, StreamId)>,
    since_us: u64,
}

/// A reply that is handed over and not acknowledged.
struct OnTheWay {
    whose: PublicKey,
    bytes: usize,
    /// When it makes room, once it is handed over.
    until_us: Option<u64>,
}

impl History {
    pub(in crate::host) fn new(now_us: u64) -> History {
        History {
            waiting: FairQueue::new(),
            jobs: BTreeMap::new(),
            numbers: 0,
            sending: VecDeque::new(),
            on_the_way: BTreeMap::new(),
            slow: BTreeSet::new(),
            kept: VecDeque::new(),
            bucket: Bucket::new(now_us, BYTES_PER_SECOND, BURST),
        }
    }

    /// A connection is gone, and `whose` last one if there is a name: nothing is made for it any more.
    pub(in crate::host) fn left(&mut self, gone: ConnId) {
        self.waiting.retain(|_, ((conn, _), _)| *conn != gone);
        for job in self.jobs.values_mut() {
            job.for_whom.retain(|(_, (conn, _))| *conn != gone);
        }
        self.sending.retain(|((conn, _), _)| *conn != gone);
        self.on_the_way.retain(|(conn, _), _| *conn != gone);
    }

    /// Somebody's last connection is gone.
    pub(in crate::host) fn forget(&mut self, who: &PublicKey) {
        self.slow.remove(who);
    }

    /// What is on the way, and what will be when the jobs under way are done: of everybody, or of one.
    fn outstanding(&self, whose: Option<&PublicKey>) -> usize {
        let is_meant = |who: &PublicKey| whose.is_none_or(|whose| whose == who);
        let sent = self.on_the_way.values().filter(|one| is_meant(&one.whose));
        let wanted = self.jobs.values().flat_map(|job| &job.for_whom);
        sent.map(|one| one.bytes).sum::<usize>()
            + wanted.filter(|(who, _)| is_meant(who)).count() * GUESS
    }

    /// Whether this person may have one more reply on the way.
    fn has_room(&self, who: &PublicKey) -> bool {
        let has = self.outstanding(Some(who));
        has == 0 || has + GUESS <= MAX_ON_THE_WAY_EACH
    }

    /// Whether everybody together may.
    fn is_full(&self) -> bool {
        let all = self.outstanding(None);
        all > 0 && all + GUESS > MAX_ON_THE_WAY
    }

    /// Who is next, and what they want.
    fn next(&mut self) -> Option<(PublicKey, (StreamId, Range))> {
        if self.is_full() || self.jobs.len() >= MAX_JOBS {
            return None;
        }
        let has_room: BTreeSet<PublicKey> = self
            .waiting
            .people()
            .filter(|who| self.has_room(who))
            .copied()
            .collect();
        let slow = &self.slow;
        let readers = self
            .waiting
            .pop(|who| has_room.contains(who) && !slow.contains(who));
        readers.or_else(|| self.waiting.pop(|who| has_room.contains(who)))
    }

    /// Keeps a reply for who asks for the same next.
    fn keep(&mut self, range: Range, bytes: &Bytes) {
        self.kept.push_back((range, bytes.clone()));
        let mut held: usize = self.kept.iter().map(|(_, bytes)| bytes.len()).sum();
        while held > MAX_KEPT
            && let Some((_, oldest)) = self.kept.pop_front()
        {
            held -= oldest.len();
        }
    }

    /// How much a reply that is begun now may hold, uncompressed.
    fn reply_bytes(&self) -> usize {
        let waiting = self.waiting.people().count();
        (MAX_ON_THE_WAY / (waiting + 1)).clamp(MIN_REPLY, MAX_REPLY)
    }

    fn kept(&self, range: Range) -> Option<Bytes> {
        let found = self.kept.iter().find(|(kept, _)| *kept == range);
        found.map(|(_, bytes)| bytes.clone())
    }
}

impl Tracks {
    /// Bytes came on a history stream.
    pub(in crate::host) fn on_history_stream(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        id: u64,
        bytes: &[u8],
    ) -> Result<(), PeerError> {
        let Some(member) = cx.conns.member_mut(conn) else {
            return Err(PeerError::protocol("a history request before the welcome"));
        };
        let known = member.requests.0.len();
        if !member.requests.0.contains_key(&id) && known >= MAX_OUTSTANDING {
            // No viewer of ours asks for so many at once.
            return self.put_off(cx, (conn, id), COST);
        }
        let framer = member
            .requests
            .0
            .entry(id)
            .or_insert_with(|| Some(Framer::new(MAX_REQUEST)));
        // One request a stream: what follows it says nothing.
        let Some(reading) = framer else { return Ok(()) };
        reading.push(bytes);
        let Some((tag, payload)) = reading.next_message()? else {
            return Ok(());
        };
        *framer = None;
        let request = HistoryRequest::decode(tag, &payload)?;
        let whose = member.join.0;
        if !cx.charge(conn, COST) {
            // Anybody who scrolls fast is put off, not out.
            return self.put_off(cx, (conn, id), 1);
        }
        let range = (request.track, LineId(request.from), request.count);
        self.history.waiting.push(whose, ((conn, id), range));
        self.step_history_in(cx, STEP_US);
        Ok(())
    }

    /// Cuts a request off: anybody who asked asks again a little later, or is put out for not doing so.
    fn put_off(&mut self, cx: &mut Context, stream: StreamId, cost: u64) -> Result<(), PeerError> {
        self.cut_off(cx, stream);
        match cx.charge(stream.0, cost) {
            true => Ok(()),
            false => Err(RefusalReason::Flood.into()),
        }
    }

    fn cut_off(&mut self, cx: &mut Context, (conn, id): StreamId) {
        if let Some(member) = cx.conns.member_mut(conn) {
            member.requests.0.remove(&id);
        }
        let stream = Stream::History { id };
        cx.push(HostOutput::Reset { conn, stream });
    }

    fn step_history_in(&mut self, cx: &mut Context, wait_us: u64) {
        let at = cx.now.mono_us.saturating_add(wait_us);
        cx.timers.set_by(Timer::History, at);
    }

    /// A little of what is to be done, if it is time.
    pub(in crate::host) fn step_history(&mut self, cx: &mut Context) {
        let now = cx.now.mono_us;
        if !cx.timers.take_due(Timer::History, now) {
            return;
        }
        let gives_way_at_us = self.give_up_unread(cx);
        self.give_up_jobs(cx);
        let began = self.begin_history(cx);
        let sent_at_us = self.send_piece(cx);
        // What else is to be done comes later, or when something was packed or delivered.
        if began && self.history.waiting.len() > 0 {
            self.step_history_in(cx, STEP_US);
        }
        let job_at_us = self.history.jobs.values().map(|job| job.since_us);
        let job_at_us = job_at_us.min().map(|at| at.saturating_add(JOB_WITHIN_US));
        let next = [sent_at_us, gives_way_at_us, job_at_us];
        if let Some(at) = next.into_iter().flatten().min() {
            self.step_history_in(cx, at.saturating_sub(now).max(STEP_US));
        }
    }

    /// Begins to make, or to hand over, what is next.
    fn begin_history(&mut self, cx: &mut Context) -> bool {
        let Some((who, (stream, wanted))) = self.history.next() else {
            return false;
        };
        // A track that is not there has no lines.
        let Some(readable) = self.readable(wanted.0) else {
            let nothing = Gathered::new(wanted.1, 0, 0).message(LineId(0));
            self.hand_over(cx, who, stream, nothing);
            return true;
        };
        let range = visible(readable, wanted);
        let (_, from, count) = range;
        let settled = readable.settled;
        let is_final = from.0.saturating_add(u64::from(count)) <= settled.0;
        if count == 0 {
            let nothing = Gathered::new(from, 0, 0).message(settled);
            self.hand_over(cx, who, stream, nothing);
        } else if let Some(bytes) = self.history.kept(range) {
            self.hand_over(cx, who, stream, bytes);
        } else if let Some(job) = self
            .history
            .jobs
            .values_mut()
            .find(|job| is_final && job.range == range)
        {
            job.for_whom.push((who, stream));
        } else {
            self.history.waiting.charge(&who, READ_WEIGHT);
            self.begin_job(cx, range, readable, is_final, (who, stream));
        }
        true
    }

    fn begin_job(
        &mut self,
        cx: &mut Context,
        range: Range,
        readable: Readable,
        is_final: bool,
        whose: (PublicKey, StreamId),
    ) {
        let (track, from, wanted) = range;
        let settled = readable.settled;
        self.history.numbers += 1;
        let number = self.history.numbers;
        let job = Job {
            range,
            is_final,
            for_whom: vec![whose],
            since_us: cx.now.mono_us,
        };
        self.history.jobs.insert(number, job);
        let stored = settled.0.saturating_sub(from.0);
        let stored = u32::try_from(stored).unwrap_or(u32::MAX).min(wanted);
        let max_bytes = self.history.reply_bytes();
        cx.push(HostOutput::ReadHistory(Box::new(HistoryJob {
            number,
            track,
            kind: readable.kind,
            from,
            count: stored,
            max_bytes,
            wanted,
            settled,
            margin: self.margin_of(range, settled, max_bytes),
        })));
    }

    /// The lines of a range that may still change, in pieces, as many as a reply has room for.
    fn margin_of(
        &self,
        (track, from, count): Range,
        settled: LineId,
        max_bytes: usize,
    ) -> Vec<pillion_screen::HistoryChunk> {
        let Some(term) = self.term(track) else {
            return Vec::new();
        };
        let end = from.0.saturating_add(u64::from(count));
        let mut next = from.0.max(settled.0);
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while next < end && bytes < max_bytes {
            let left = u32::try_from(end - next).unwrap_or(u32::MAX);
            let piece = term.margin(LineId(next), left);
            if piece.count == 0 {
                break;
            }
            next = piece.first.0.saturating_add(u64::from(piece.count));
            bytes += piece.bytes.len();
            pieces.push(piece);
        }
        pieces
    }

    /// A reply was made.
    pub(in crate::host) fn on_history(&mut self, cx: &mut Context, packed: PackedHistory) {
        let PackedHistory { number, bytes } = packed;
        let Some(job) = self.history.jobs.remove(&number) else {
            return;
        };
        self.step_history_in(cx, STEP_US);
        // Sharing may have ended and begun again while it was made.
        let (track, from, _) = job.range;
        let readable = self.readable(track);
        if readable.is_some_and(|readable| from < readable.from) {
            for (who, stream) in job.for_whom {
                self.history.waiting.push(who, (stream, job.range));
            }
            return;
        }
        if job.is_final {
            self.history.keep(job.range, &bytes);
        }
        for (who, stream) in job.for_whom {
            self.hand_over(cx, who, stream, bytes.clone());
        }
    }

    fn hand_over(&mut self, cx: &mut Context, whose: PublicKey, stream: StreamId, bytes: Bytes) {
        let (conn, id) = stream;
        let asked = cx
            .conns
            .member_mut(conn)
            .and_then(|member| member.requests.0.remove(&id));
        if asked.is_none() {
            return;
        }
        self.history.waiting.charge(&whose, bytes.len() as u64);
        let one = OnTheWay {
            whose,
            bytes: bytes.len(),
            until_us: None,
        };
        self.history.on_the_way.insert(stream, one);
        self.history.sending.push_back((stream, bytes));
    }

    /// Hands over a piece of the reply whose turn it is; when the next one may follow.
    fn send_piece(&mut self, cx: &mut Context) -> Option<u64> {
        let now = cx.now.mono_us;
        let (_, next) = self.history.sending.front()?;
        let size = next.len().min(PIECE);
        if !self.history.bucket.take(now, size as u64) {
            return Some(self.history.bucket.ready_at(now, size as u64));
        }
        let ((conn, id), mut bytes) = self.history.sending.pop_front()?;
        let piece = bytes.split_to(size);
        let stream = Stream::History { id };
        cx.send_bytes(conn, stream, piece);
        match bytes.is_empty() {
            true => {
                cx.push(HostOutput::Finish { conn, stream });
                // From now on it is for the other end to say that it is there.
                let rtt_us = cx.conns.get(conn).and_then(|conn| conn.rtt_us);
                let patience = PATIENCE_US.max(4 * u64::from(rtt_us.unwrap_or(0)));
                if let Some(one) = self.history.on_the_way.get_mut(&(conn, id)) {
                    let more = PATIENCE_US_PER_BYTE.saturating_mul(one.bytes as u64);
                    one.until_us = Some(now.saturating_add(patience).saturating_add(more));
                }
            }
            false => self.history.sending.push_back(((conn, id), bytes)),
        }
        (!self.history.sending.is_empty()).then_some(now)
    }

    /// The other end has all of a reply, or wants no more of it.
    pub(in crate::host) fn on_delivered(&mut self, cx: &mut Context, conn: ConnId, stream: Stream) {
        let Stream::History { id } = stream else {
            return;
        };
        if let Some(one) = self.history.on_the_way.remove(&(conn, id)) {
            self.history.slow.remove(&one.whose);
            // It may have been refused half way.
            self.history
                .sending
                .retain(|(stream, _)| *stream != (conn, id));
            self.step_history_in(cx, STEP_US);
        }
    }

    /// While others wait and there is no room, replies that nobody reads give way; when the next one may.
    fn give_up_unread(&mut self, cx: &mut Context) -> Option<u64> {
        let now = cx.now.mono_us;
        let history = &self.history;
        if history.waiting.len() == 0 || !history.is_full() {
            return None;
        }
        let handed_over = history
            .on_the_way
            .iter()
            .filter_map(|(stream, one)| Some((one.until_us?, *stream)));
        let (until, stream) = handed_over.min()?;
        if now < until {
            return Some(until);
        }
        if let Some(one) = self.history.on_the_way.remove(&stream) {
            self.history.slow.insert(one.whose);
        }
        self.cut_off(cx, stream);
        Some(now)
    }

    /// Anybody who packs has lost a job: those who wait for it ask again.
    fn give_up_jobs(&mut self, cx: &mut Context) {
        let now = cx.now.mono_us;
        let lost = |job: &Job| now >= job.since_us.saturating_add(JOB_WITHIN_US);
        let numbers = self.history.jobs.iter().filter(|(_, job)| lost(job));
        let numbers: Vec<u64> = numbers.map(|(number, _)| *number).collect();
        for number in numbers {
            let job = self.history.jobs.remove(&number);
            for (_, stream) in job.into_iter().flat_map(|job| job.for_whom) {
                self.cut_off(cx, stream);
            }
        }
    }
}

/// The part of a range that may be seen: the one place where sharing's beginning is enforced
/// on requests.
fn visible(readable: Readable, (track, from, count): Range) -> Range {
    let count = u64::from(count.min(MAX_HISTORY_LINES));
    let end = from.0.saturating_add(count).min(readable.end.0);
    let first = from.max(readable.from);
    let left = end.saturating_sub(first.0);
    (
        track,
        first,
        u32::try_from(left).unwrap_or(MAX_HISTORY_LINES),
    )
}
