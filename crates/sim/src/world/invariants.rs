//! What is looked at as it happens: what people are told, what reaches the program, what is shown.

use bytes::{Bytes, BytesMut};
use pillion_caps::{PublicKey, SecretKey};
use pillion_proto::{Framer, FromHost, FromViewer, Right, Rights, TrackId, TrackMsg};
use pillion_session::{ConnId, HistoryLines, HostInput, HostOutput, Phase, Stream};

use super::{Sabotage, World, hosting::Record};

/// Wake-ups of a host in a second: 120 frames, four looks at lanes, and some.
pub(super) const MAX_HOST_TICKS: u32 = 250;

/// Wake-ups of a viewer in a second.
pub(super) const MAX_VIEWER_TICKS: u32 = 20;

/// Frames in a second: 120, a burst, and those made for snapshots.
pub(super) const MAX_FRAMES: u32 = 180;

/// Unacknowledged bytes a viewer may have on its way, beside snapshots and the last frame.
const MAX_UNACKNOWLEDGED: usize = 1024 * 1024;

/// A good path shows a frame within this, in microseconds, beside its own delay.
const PROMPT_US: u64 = 800_000;

/// Anybody who has nothing to do for so long has done all there was, in microseconds.
const IDLE_US: u64 = 300_000;

/// What was typed where: `<seat:count>`, 16 bytes, so that no input cuts one in two.
pub(super) fn token(seat: usize, count: usize) -> String {
    format!("<{seat:03}:{count:010}>")
}

/// Reads what [`token`] wrote; `None` for anything else.
pub(super) fn tokens(bytes: &[u8]) -> Option<Vec<(usize, usize)>> {
    let read = |token: &[u8]| {
        let text = std::str::from_utf8(token).ok()?;
        let (seat, count) = text.strip_prefix('<')?.strip_suffix('>')?.split_once(':')?;
        Some((seat.parse().ok()?, count.parse().ok()?))
    };
    if !bytes.len().is_multiple_of(16) {
        return None;
    }
    bytes.chunks(16).map(read).collect()
}

/// The frame messages in `bytes`, without their payloads.
pub(super) fn empty_frame(bytes: &[u8]) -> Option<Bytes> {
    let mut out = BytesMut::new();
    for message in track_messages(bytes) {
        let TrackMsg::Frame(mut frame) = message else {
            return None;
        };
        frame.payload = Bytes::new();
        TrackMsg::Frame(frame).encode(&mut out);
    }
    Some(out.freeze())
}

/// Whether a stream of a track begins with these bytes.
pub(super) fn is_opening(bytes: &[u8]) -> bool {
    matches!(track_messages(bytes).first(), Some(TrackMsg::Open { .. }))
}

fn track_messages(bytes: &[u8]) -> Vec<TrackMsg> {
    let mut framer = Framer::new(usize::MAX);
    framer.push(bytes);
    let mut messages = Vec::new();
    while let Ok(Some((tag, payload))) = framer.next_message() {
        messages.extend(TrackMsg::decode(tag, &payload));
    }
    messages
}

impl World {
    /// Reads along what arrives at the host.
    pub(super) fn before_host(&mut self, input: &HostInput) {
        let HostInput::Received {
            conn,
            stream: Stream::Control,
            bytes,
        } = input
        else {
            return;
        };
        let Some(conn) = self.conns.get_mut(&conn.0) else {
            return;
        };
        let watch = &mut conn.watch;
        watch.from_viewer.push(bytes);
        while let Ok(Some((tag, payload))) = watch.from_viewer.next_message() {
            match FromViewer::decode(tag, &payload) {
                Ok(FromViewer::Hello(hello)) if watch.hello.is_none() => {
                    if let (Ok(key), Some(side)) =
                        (PublicKey::from_bytes(&hello.identity), &mut self.host)
                    {
                        side.visits.entry(key).or_default().hellos.push(self.now_us);
                    }
                    watch.subscribe.clone_from(&hello.subscribe);
                    watch.hello = Some(*hello);
                }
                Ok(FromViewer::Subscribe(subscribe)) => watch.subscribe = subscribe,
                Ok(FromViewer::Ack(ack)) => {
                    if let Some((epoch, unacknowledged)) = watch.tracks.get_mut(&ack.track)
                        && *epoch == ack.epoch
                    {
                        unacknowledged.retain(|(number, _)| *number > ack.frame);
                    }
                }
                _ => {}
            }
        }
    }

    /// Looks at everything a host wants done after one input.
    pub(super) fn observe(
        &mut self,
        from: Option<(ConnId, Stream)>,
        records: &[Record],
        fresh: &[HostOutput],
    ) {
        let ledgered = records
            .iter()
            .filter(|record| matches!(record, Record::Ledger(_)))
            .count() as u64;
        if let Some(side) = &mut self.host {
            side.entries += ledgered;
        }
        let manager = self.manager(from);
        let uses = self.note_ledger(from, manager, records);
        let told = self.read_told(fresh);
        self.check_managed(from, manager, &told);
        let unix_ms = self.host_unix_ms();
        let keys: Vec<PublicKey> = self
            .people
            .iter()
            .map(|person| person.secret.public())
            .collect();
        let before: Vec<Rights> = keys
            .iter()
            .map(|key| self.model.right(*key, unix_ms).0)
            .collect();

        for output in fresh {
            match output {
                HostOutput::LinkChanged(seed) => {
                    let key = SecretKey::from_bytes(seed);
                    self.model.link = Some(key.public());
                    self.old_tickets.extend(self.ticket.replace(key));
                }
                HostOutput::Listen => self.model.shared = true,
                HostOutput::StopListening => {
                    self.model.shared = false;
                    self.model.link = None;
                }
                _ => {}
            }
        }
        self.check_terminal(fresh);
        for output in fresh {
            if let HostOutput::Done { request, result } = output {
                // Nobody is asked whether a log may begin.
                if (self.host.as_mut()).is_some_and(|side| side.opening_logs.remove(request)) {
                    continue;
                }
                let asked = self
                    .host
                    .as_mut()
                    .and_then(|side| side.asked.remove(request));
                match asked {
                    Some(asked) => self.check_done(&asked, result, &told),
                    None => self.fail(format!("a second answer to command {request}")),
                }
            }
        }
        for (person, key) in keys.iter().enumerate() {
            if before[person].exceeds_view() && !self.model.right(*key, unix_ms).1.exceeds_view() {
                self.people[person].revoked_at_us = Some(self.now_us);
                self.tally.revocations += 1;
            }
        }
        for (conn, message) in &told {
            if let FromHost::Welcome(_) = message {
                self.check_welcomed(*conn, uses);
            }
        }
        for (conn, message) in &told {
            self.check_told(*conn, message);
        }
        self.check_outputs(from, fresh);
        self.check_kept_out();
    }

    /// What is said on control streams.
    fn read_told(&mut self, fresh: &[HostOutput]) -> Vec<(ConnId, FromHost)> {
        let mut told = Vec::new();
        let mut problem = None;
        for output in fresh {
            let HostOutput::Send { to, bytes } = output else {
                continue;
            };
            for (conn, _) in to.iter().filter(|(_, on)| *on == Stream::Control) {
                let Some(state) = self.conns.get_mut(&conn.0) else {
                    continue;
                };
                let framer = &mut state.watch.from_host;
                framer.push(bytes);
                while let Ok(Some((tag, payload))) = framer.next_message() {
                    match FromHost::decode(tag, &payload) {
                        Ok(message) => told.push((conn, message)),
                        Err(error) => problem = Some(error),
                    }
                }
            }
        }
        self.require(problem.is_none(), || {
            format!("the host sends what is no message: {problem:?}")
        });
        told
    }

    fn check_sent(&mut self, conn: ConnId, stream: Stream, bytes: &Bytes) {
        let closed = self.closed.contains(&conn);
        self.require(!closed, || {
            format!("{stream:?} of {conn:?} is written to after its end")
        });
        if let Stream::Track { id: epoch } = stream {
            self.check_track(conn, epoch, bytes);
        } else if stream != Stream::Control {
            let state = self.conns.get(&conn.0);
            let is_in = state.is_none_or(|state| state.watch.welcomed.is_some());
            self.require(is_in, || {
                format!("{conn:?} is sent {stream:?} and is not in")
            });
        }
    }

    fn check_outputs(&mut self, from: Option<(ConnId, Stream)>, fresh: &[HostOutput]) {
        for output in fresh {
            match output {
                HostOutput::Send { to, bytes } => {
                    for (conn, stream) in to.iter() {
                        self.check_sent(conn, stream, bytes);
                    }
                }
                HostOutput::Close { conn, .. } => {
                    let new = self.closed.insert(*conn);
                    self.require(new, || format!("{conn:?} is closed twice"));
                }
                HostOutput::Write { track, bytes, .. } => {
                    self.check_write(from, bytes);
                    self.check_place(*track, &tokens(bytes).unwrap_or_default());
                    self.remote_input = true;
                }
                HostOutput::Spawn { track, .. } => self.check_opening(from, *track),
                HostOutput::Terminate { track } => self.check_closing(from, *track),
                HostOutput::Log(entry) => self.check_beginning(entry),
                HostOutput::Order { track, order } => self.check_order(from, *track, order),
                HostOutput::Show { track } => {
                    if let Some(side) = &mut self.host {
                        side.shown = *track;
                    }
                    let now_us = self.now_us;
                    for seat in &mut self.seats {
                        seat.fair_since_us = seat.fair_since_us.map(|_| now_us);
                    }
                }
                _ => {}
            }
        }
    }

    fn check_track(&mut self, conn: ConnId, epoch: u32, bytes: &Bytes) {
        let size = bytes.len();
        let early = self
            .conns
            .get(&conn.0)
            .map(|state| state.watch.welcomed.is_none());
        let is_picture = |message: &TrackMsg| matches!(message, TrackMsg::Snapshot(_));
        let waited = self
            .conns
            .get(&conn.0)
            .is_some_and(|state| state.watch.waited);
        self.require(early != Some(true) || !waited, || {
            format!("{conn:?} waits at the door and is sent {size} bytes of the screen")
        });
        if early == Some(true) {
            let messages = track_messages(bytes);
            if messages.iter().any(is_picture) {
                self.check_shown_early(conn);
                let again = self
                    .conns
                    .get_mut(&conn.0)
                    .is_some_and(|state| std::mem::replace(&mut state.watch.shown_early, true));
                self.require(!again, || format!("{conn:?} is shown two pictures early"));
            } else {
                let opens = matches!(&messages[..], [TrackMsg::Open { .. }]);
                self.require(opens, || format!("{conn:?} is shown frames and is not in"));
            }
        }
        let messages = track_messages(bytes);
        let state = self.conns.get(&conn.0);
        let opened = messages.first().and_then(|message| match message {
            TrackMsg::Open { track, .. } => Some(*track),
            _ => state.and_then(|state| state.watch.streams.get(&epoch).copied()),
        });
        let Some(track) = opened else {
            return self.fail(format!(
                "{conn:?} is sent stream {epoch}, which is of no track"
            ));
        };
        let unasked = match self.strikes(Sabotage::ShowUnasked) {
            true => TrackId(u32::MAX),
            false => track,
        };
        self.check_subscribed(conn, unasked);
        let (Some(side), Some(state)) = (&mut self.host, self.conns.get_mut(&conn.0)) else {
            return;
        };
        side.biggest = side.biggest.max(size);
        let biggest = side.biggest;
        let Some(side) = side.tracks.get_mut(&track) else {
            return self.fail(format!("{conn:?} is sent track {track}, which is none"));
        };
        let watch = &mut state.watch;
        let mut problem = None;
        for message in messages {
            let (newest, unacknowledged) = watch.tracks.entry(track).or_default();
            let (number, echoed) = match message {
                TrackMsg::Open { epoch: opened, .. } => {
                    if opened != epoch {
                        problem = Some(format!("stream {epoch} says it is {opened}"));
                    }
                    watch.streams.insert(epoch, track);
                    *newest = epoch;
                    unacknowledged.clear();
                    continue;
                }
                TrackMsg::Snapshot(snapshot) => (snapshot.number, snapshot.echoed),
                TrackMsg::Frame(frame) => (frame.number, frame.echoed),
                TrackMsg::Checkpoint(_) | TrackMsg::Unknown(_) => continue,
            };
            if epoch != *newest {
                problem = Some(format!("stream {epoch} goes on after {newest}"));
            }
            unacknowledged.push_back((number, size));
            side.frame = side.frame.max(number);
            side.echoed = side.echoed.max(echoed);
            // Echoed no sooner than 50 ms after the write, as mosh does.
            let young = side
                .written_at
                .iter()
                .find(|(seq, at)| *seq <= echoed && at + 50_000 > self.now_us);
            if let Some((seq, _)) = young {
                problem = Some(format!("input {seq} is said to be echoed too soon"));
            }
        }
        let unacknowledged = watch.tracks.get(&track);
        let unacknowledged = unacknowledged.into_iter().flat_map(|(_, frames)| frames);
        let unacknowledged: usize = unacknowledged.map(|(_, size)| size).sum();
        let bound = MAX_UNACKNOWLEDGED + 3 * biggest;
        if unacknowledged > bound {
            problem = Some(format!("{unacknowledged} bytes are unacknowledged"));
        }
        let waiting = state.to_viewer.waiting();
        if waiting > 2 * bound * watch.tracks.len().max(1) {
            problem = Some(format!("{waiting} bytes wait to be sent"));
        }
        if let Some(problem) = problem {
            self.fail(format!("{conn:?}: {problem}"));
        }
    }

    /// The host accepted an input: its writer must hold the right at this moment.
    fn check_write(&mut self, from: Option<(ConnId, Stream)>, bytes: &Bytes) {
        let unix_ms = self.host_unix_ms();
        let Some((conn, Stream::Input { .. })) = from else {
            return self.fail("something is typed that came on no input stream");
        };
        let Some((key, seat)) = self.conns.get(&conn.0).and_then(|state| {
            let hello = state.watch.hello.as_ref()?;
            Some((PublicKey::from_bytes(&hello.identity).ok()?, state.seat))
        }) else {
            return self.fail("something is typed by nobody");
        };
        let person = self.seats[seat].person;
        let (_, most) = self.model.right(key, unix_ms);
        self.require(most.has(Right::Type), || {
            format!("viewer {seat} types without the right to")
        });
        let out = self.model.is_kept_out(&self.subjects(&key));
        self.require(!out, || format!("viewer {seat} types and is kept out"));
        let is_trusted =
            !self.people[person].hostile && !self.seats[seat].read_only && self.model.shared;
        self.require(is_trusted, || {
            format!("viewer {seat} types and never should")
        });
        let Some(list) = tokens(bytes) else {
            return self.fail(format!("viewer {seat} types what it did not: {bytes:?}"));
        };
        let revoked_at_us = self.people[person].revoked_at_us.unwrap_or(0);
        for (of, count) in list {
            let typed = self
                .seats
                .get(of)
                .and_then(|seat| seat.typed.get(count))
                .copied();
            self.require(of == seat && typed.is_some(), || {
                format!("viewer {seat} types what viewer {of} did")
            });
            let at_us = typed.map_or(0, |typed| typed.at_us);
            self.require(at_us >= revoked_at_us, || {
                format!("viewer {seat} typed {count} at {at_us}, the right was revoked at {revoked_at_us}")
            });
        }
        self.tally.inputs += 1;
    }

    /// The program gets an input: once, and in order.
    pub(super) fn check_written(&mut self, track: TrackId, bytes: &Bytes) {
        let life = self.lives;
        for (index, count) in tokens(bytes).unwrap_or_default() {
            let Some(seat) = self.seats.get_mut(index) else {
                continue;
            };
            let newest = seat.newest_written.get(&track).copied();
            let Some(typed) = seat.typed.get_mut(count) else {
                continue;
            };
            let twice = typed.written == Some(life);
            typed.written = Some(life);
            seat.newest_written.insert(track, count);
            self.require(!twice, || {
                format!("what viewer {index} typed is written twice: {count}")
            });
            let in_order = newest.is_none_or(|newest| newest < count);
            self.require(in_order, || {
                format!("viewer {index} typed {count} before {newest:?}")
            });
        }
    }

    /// Lines a viewer reads are the program's, and none of them from before sharing began.
    pub(super) fn check_history(&mut self, index: usize, read: HistoryLines) {
        let track = self.seats[index].viewer.view().track.0;
        let side = self.host.as_ref().and_then(|side| side.tracks.get(&track));
        let Some(side) = side else { return };
        let conn = self.seats[index].conn.and_then(|id| self.conns.get(&id));
        // What a host that died had sent can still arrive.
        let conn = conn.filter(|conn| conn.life == self.lives && conn.watch.welcomed.is_some());
        let Some(conn) = conn else { return };
        let from = conn
            .watch
            .readable_from
            .get(&track)
            .copied()
            .unwrap_or_default();
        let from = match self.sabotage {
            Sabotage::ShowHidden => from + 50,
            _ => from,
        };
        let hostile = self.people[self.seats[index].person].hostile;
        let mut problem = None;
        let mut next = None;
        for line in &read.lines {
            if line.id.0 < from {
                let id = line.id;
                problem = Some(format!("line {id:?} may not be seen, only from {from}"));
            }
            // What a hostile viewer asked for may have been mangled on its way.
            if line.id < read.asked && !hostile {
                problem = Some(format!(
                    "line {:?} was not asked for: {:?}",
                    line.id, read.asked
                ));
            }
            if next.is_some_and(|next| next != line.id.0) {
                problem = Some(format!("line {:?} follows {next:?}", line.id));
            }
            next = Some(line.id.0 + 1);
            if line.id < read.settled && side.lines.get(&line.id.0) != Some(line) {
                let known = side.lines.get(&line.id.0);
                problem = Some(format!("line {:?} is {line:?}, and was {known:?}", line.id));
            }
        }
        self.tally.lines += read.lines.len() as u64;
        if let Some(problem) = problem {
            self.fail(format!("viewer {index} reads history: {problem}"));
        }
        self.seats[index].history.push_back(read);
    }

    /// A viewer on a good path is shown frames soon, whatever others do.
    pub(super) fn check_prompt(&mut self) {
        let now_us = self.now_us;
        let lateness_us = self.lateness_us;
        let mut problem = None;
        let Some(side) = &mut self.host else { return };
        for track in side.tracks.values_mut() {
            let times = &mut track.frame_times;
            while times.front().is_some_and(|(_, at)| at + 5_000_000 < now_us) {
                times.pop_front();
            }
        }
        let Some(side) = &self.host else { return };
        for (index, seat) in self.seats.iter().enumerate() {
            let conn = seat.conn.and_then(|id| Some((id, self.conns.get(&id)?)));
            let Some((id, _)) =
                conn.filter(|(id, conn)| conn.host_open && !self.closed.contains(&ConnId(*id)))
            else {
                continue;
            };
            let Some(since) = seat
                .fair_since_us
                .filter(|_| seat.viewer.view().phase == Phase::Live)
            else {
                continue;
            };
            let (shown, looked_at) = (seat.viewer.view().frame, seat.viewer.view().track.0);
            // One that looks at something else is shown that first.
            if self.wanted(index) != Some(looked_at) {
                continue;
            }
            let missing = side.tracks.get(&looked_at).into_iter();
            let missing = missing
                .flat_map(|track| &track.frame_times)
                .find(|(number, at)| *number > shown && *at >= since + 1_000_000);
            let bound = PROMPT_US + 6 * seat.weather.latency_us + 4 * lateness_us;
            self.tally.prompt += 1;
            if let Some((number, at)) = missing
                && now_us - at > bound
            {
                let late = now_us - at;
                problem = Some(format!(
                    "viewer {index} (connection {id}) has frame {shown}, and not {number} after {late} µs; its path is good since {since}"
                ));
            }
        }
        if let Some(problem) = problem {
            self.fail(problem);
        }
    }

    /// A host that is left alone has nothing left to do.
    pub(super) fn look_at_idle_host(&mut self, next_us: u64) {
        let Some(side) = &self.host else { return };
        let idle = next_us.saturating_sub(side.handled_at_us) > IDLE_US + self.lateness_us;
        let checked = self.idle_checked_us == side.handled_at_us;
        if !idle || checked || !self.model.shared || side.over || side.is_waiting() {
            return;
        }
        self.idle_checked_us = side.handled_at_us;
        self.tally.idle += 1;
        let since = side.handled_at_us;
        let looks_at = |track: TrackId| {
            self.conns.iter().any(|(id, conn)| {
                let looks = conn.watch.tracks.contains_key(&track)
                    && (conn.watch.subscribe.tracks.contains(&track)
                        || (conn.watch.subscribe.follow && track == side.shown));
                let is_in = conn.watch.welcomed.is_some() && conn.host_open;
                is_in && looks && !self.closed.contains(&ConnId(*id))
            })
        };
        let mut problem = None;
        for (id, track) in &side.tracks {
            // One that ended some time ago can't be looked at any more.
            if !track.is_live_terminal() {
                continue;
            }
            let now = side.screen(*id);
            let missing = match track.shadow.screen() {
                Some(shown) if *shown == now => None,
                Some(shown) => Some(super::quiescence::difference(shown, &now)),
                None => Some("nothing".to_owned()),
            };
            if let Some(missing) = missing {
                problem = Some(format!(
                    "the host sleeps since {since} µs, and the newest frame of track {id} shows: {missing}"
                ));
            }
            let (echoed, written) = (track.echoed, track.written);
            let late = track.written_at.back().is_some_and(|(_, at)| *at > since);
            if looks_at(*id) && echoed < written && !late {
                problem = Some(format!(
                    "the host sleeps, and input {written} of track {id} is not said to be echoed ({echoed})"
                ));
            }
        }
        if let Some(problem) = problem {
            self.fail(problem);
        }
    }
}
