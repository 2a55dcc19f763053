//! The host's machine: its driver, its disk, the program, the person in front of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use pillion_caps::{Ledger, LedgerEvent, SecretKey, UnixMillis};
use pillion_proto::{Entry, ParticipantId, TrackId, TrackKind, TrackState};
use pillion_screen::{HistoryChunk, Screen, Size};
use pillion_session::{
    Actor, Command, ConnId, HistoryJob, Host, HostConfig, HostInput, HostNotice, HostOutput,
    LogEntry, Now, Records, Stream, SubscribedKeyList, host::Question, verbs,
};

use super::{
    Event, Human, Sabotage, TERMINAL, World,
    conversations::Talk,
    trace::{describe, describe_output},
    tracks::TrackSide,
};
use crate::program::Program;

/// How long somebody who knocks waits, in milliseconds.
const KNOCK_WAIT_MS: u64 = 10_000;

/// A command under way.
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) by: Actor,
    /// What the host's person wrote to say whom it is about, if they wrote anything.
    pub(super) text: Option<String>,
    /// What was asked at the terminal about it.
    pub(super) question: Option<Question>,
    /// Somebody at the terminal said yes.
    pub(super) confirmed: bool,
    /// It could let somebody in or do more who could not when it came.
    pub(super) widens: bool,
    /// It changes who may come in or do what.
    pub(super) changes: bool,
    /// Somebody else could certainly type when it came.
    pub(super) editor_here: bool,
    /// Somebody else had typed when it came.
    pub(super) remote_input: bool,
}

/// What a host wants written down.
#[derive(Debug, Clone)]
pub(super) enum Record {
    /// An entry of the ledger.
    Ledger(Bytes),
    /// The link key's seed.
    Link(Option<[u8; 32]>),
}

/// What a host hands to its driver to be written down, until the driver takes it up.
#[derive(Debug, Clone, Default)]
pub(super) struct Desk(Arc<Mutex<Vec<Record>>>);

impl Desk {
    fn put(&self, records: impl IntoIterator<Item = Record>) {
        let mut desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        desk.extend(records);
    }

    fn take(&self) -> Vec<Record> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Records for Desk {
    fn append_ledger(&mut self, entries: &[Bytes]) -> Result<(), String> {
        self.put(entries.iter().cloned().map(Record::Ledger));
        Ok(())
    }

    fn keep_link(&mut self, seed: Option<&[u8; 32]>) -> Result<(), String> {
        self.put([Record::Link(seed.copied())]);
        Ok(())
    }

    fn keep_lists(&mut self, _: &[SubscribedKeyList]) -> Result<(), String> {
        Ok(())
    }
}

/// What the driver has to do.
enum Task {
    Write(Record),
    Do(HostOutput),
}

/// One run of a host.
pub(super) struct HostSide {
    pub(super) host: Host,
    desk: Desk,
    pub(super) mono_offset_us: u64,
    pub(super) has_tty: bool,
    /// There never was a terminal: all queries are the emulator's to answer.
    pub(super) always_headless: bool,
    /// When it wants to be woken, on its clock, and when it will be, on the world's.
    pub(super) armed: Option<(u64, u64)>,
    pub(super) handled_at_us: u64,
    /// What it wants done, from where the driver waits for the disk.
    queue: VecDeque<Task>,
    waits_for_disk: bool,
    /// What ended a token was lost on its way to the disk.
    pub(super) lost_end: bool,
    /// Somebody else could type in an earlier run, as its ledger tells.
    pub(super) edited_before: bool,
    /// Every track of this life, those that ended too.
    pub(super) tracks: BTreeMap<TrackId, TrackSide>,
    /// Numbers that the host gave to tracks.
    pub(super) began: BTreeSet<TrackId>,
    /// What the host's own terminal shows.
    pub(super) shown: TrackId,
    /// The session's last program ended.
    pub(super) over: bool,
    pub(super) opening_logs: BTreeSet<u64>,
    /// The conversations of this life, those that ended too.
    pub(super) talks: BTreeMap<TrackId, Talk>,
    /// Which viewers' people opened a track.
    pub(super) openers: BTreeMap<TrackId, pillion_caps::PublicKey>,
    /// Ledger entries asked to be written so far.
    pub(super) entries: u64,
    pub(super) asked: BTreeMap<u64, Asked>,
    /// Commands whose question stands at the terminal.
    pub(super) questions: BTreeSet<u64>,
    requests: u64,
    pub(super) listening: bool,
    pub(super) requests_open: BTreeSet<ParticipantId>,
    /// Who knocks, as the person at the host was told.
    pub(super) knocks: BTreeSet<ParticipantId>,
    pub(super) numbers: BTreeMap<ParticipantId, pillion_caps::PublicKey>,
    pub(super) biggest: usize,
    /// Who said hello, who was let in, and what the log says of that, in this life.
    pub(super) visits: BTreeMap<pillion_caps::PublicKey, Visits>,
}

/// One person's comings.
#[derive(Default)]
pub(super) struct Visits {
    pub(super) hellos: Vec<u64>,
    pub(super) welcomes: Vec<u64>,
    pub(super) entries: Vec<u64>,
}

impl World {
    /// Starts a host with what is on disk.
    pub(super) fn start_host(&mut self) {
        self.lives += 1;
        let size = self.some_size();
        let has_tty = !self.dice.one_in(3);
        let mono_offset_us = self.dice.below(1 << 40);
        let now = Now {
            mono_us: self.now_us + mono_offset_us,
            unix_ms: self.host_unix_ms(),
        };
        let entries = self.ledger.iter();
        let entries: Result<Vec<_>, _> = entries
            .map(|entry| LedgerEvent::from_bytes(entry))
            .collect();
        let replayed = entries
            .map_err(Into::into)
            .and_then(|entries| Ledger::replay(self.session.public(), entries));
        let ledger = match replayed {
            Ok(ledger) => ledger,
            Err(refusal) => return self.fail(format!("the ledger can't be replayed: {refusal}")),
        };
        let edited_before = ledger.was_edited();
        let desk = Desk::default();
        let config = HostConfig {
            session_key: self.session.clone(),
            run: u32::try_from(self.lives).unwrap_or(u32::MAX),
            identity: self.host_identity.public(),
            seed: self.dice.bytes(),
            name: "work".into(),
            host_name: "olga".into(),
            software: "pillion sim".into(),
            read_only: self.model.read_only,
            edit_ttl_ms: 8 * 3_600_000,
            program: "sh".into(),
            size,
            has_tty,
            ledger,
            records: Box::new(desk.clone()),
            allow: match self.model.invited {
                true => pillion_proto::AccessMode::Invited,
                false => pillion_proto::AccessMode::Link,
            },
            knock_wait_ms: KNOCK_WAIT_MS,
            lists: Vec::new(),
            link: self.link,
            relay_token: None,
            conversation: None,
            owner: None,
        };
        let mut host = Host::new(config, now);
        let program = Program::new(&mut self.dice);
        let mut first = Vec::new();
        while let Some(output) = host.poll() {
            match output {
                HostOutput::Sign { request, input } => host.handle(
                    now,
                    HostInput::signed_with(&self.host_identity, request, &input),
                ),
                output => first.push(output),
            }
        }
        self.host = Some(HostSide {
            host,
            desk,
            mono_offset_us,
            has_tty,
            always_headless: !has_tty,
            armed: None,
            handled_at_us: self.now_us,
            queue: first.into_iter().map(Task::Do).collect(),
            waits_for_disk: false,
            lost_end: false,
            edited_before,
            tracks: BTreeMap::from([(
                TERMINAL,
                TrackSide::new(TrackKind::Terminal, program, size),
            )]),
            began: BTreeSet::new(),
            shown: TERMINAL,
            over: false,
            opening_logs: BTreeSet::new(),
            talks: BTreeMap::new(),
            openers: BTreeMap::new(),
            visits: BTreeMap::new(),
            entries: self.ledger.len() as u64,
            asked: BTreeMap::new(),
            questions: BTreeSet::new(),
            requests: 0,
            listening: false,
            requests_open: BTreeSet::new(),
            knocks: BTreeSet::new(),
            numbers: BTreeMap::new(),
            biggest: 0,
        });
        for seat in &mut self.seats {
            seat.new_program();
        }
        let id = iroh_base::EndpointId::from_bytes(self.session.public().as_bytes());
        let addr = "127.0.0.1:7777".parse().ok().zip(id.ok());
        if let Some((addr, id)) = addr {
            let addr = iroh_base::EndpointAddr::new(id).with_ip_addr(addr);
            self.tell_host(HostInput::Addresses { addr });
        }
        let from_start = self.dice.one_in(2);
        self.command(Actor::Tty, Command::Share(verbs::Share { from_start }));
    }

    pub(super) fn some_size(&mut self) -> Size {
        match self.dice.below(12) {
            0 => Size::clamped(self.dice.range(1, 6) as u16, self.dice.range(1, 4) as u16),
            1 => Size::clamped(
                self.dice.range(1, 300) as u16,
                self.dice.range(1, 120) as u16,
            ),
            2..5 => Size::clamped(
                self.dice.range(20, 140) as u16,
                self.dice.range(5, 50) as u16,
            ),
            _ => Size::clamped(80, 24),
        }
    }

    /// The machine goes down: what was not on disk is gone.
    pub(super) fn crash(&mut self) {
        if self.host.take().is_none() {
            return;
        }
        self.note(|| "the host dies".into());
        self.tally.crashes += 1;
        if self.strikes(Sabotage::ForgetLedger) {
            self.ledger.pop();
        } else {
            let durable = self.ledger.len() as u64;
            self.model.restarted(durable);
        }
        self.model.shared = false;
        self.model.link = self.link.map(|seed| SecretKey::from_bytes(&seed).public());
        self.ticket = self.link.map(|seed| SecretKey::from_bytes(&seed));
        let open: Vec<u64> = self.conns.keys().copied().collect();
        for conn in open {
            self.forget_at_host(conn);
            let notices = self.dice.range(1_000, 30_000_000);
            self.after(notices, Event::Gone { conn, host: false });
        }
        let after = self.dice.range(1_000, 3_000_000);
        self.after(after, Event::Revive);
    }

    pub(super) fn revive(&mut self) {
        if self.host.is_none() {
            self.start_host();
        }
    }

    /// Gives the host an input, and takes what it wants done.
    pub(super) fn tell_host(&mut self, input: HostInput) {
        let now = self.host_now();
        let unix_ms = now.unix_ms;
        self.model.clock(unix_ms);
        self.before_host(&input);
        let now_us = self.now_us;
        if let HostInput::Written { track, seq } = &input
            && let Some(track) = self.track(*track)
        {
            track.written = track.written.max(*seq);
            while track
                .unread
                .front()
                .is_some_and(|(unread, _)| unread <= seq)
            {
                track.unread.pop_front();
            }
            track.written_at.push_back((*seq, now_us));
            if track.written_at.len() > 256 {
                track.written_at.pop_front();
            }
        }
        let from = match &input {
            HostInput::Received { conn, stream, .. } => Some((*conn, *stream)),
            _ => None,
        };
        let what = self.trace.is_some().then(|| describe(&input));
        let Some(side) = &mut self.host else { return };
        side.handled_at_us = self.now_us;
        side.host.handle(now, input);
        let records = side.desk.take();
        let mut fresh = Vec::new();
        while let Some(output) = side.host.poll() {
            fresh.push(output);
        }
        for output in &mut fresh {
            self.sabotage_tracks(output);
        }
        if let Some(what) = what
            && (what != "tick" || !fresh.is_empty() || !records.is_empty())
        {
            let written = records.iter().map(|record| format!("[{record:?}]"));
            let list: Vec<String> = written.chain(fresh.iter().map(describe_output)).collect();
            self.note(|| format!("host ◀ {what}  ▶ {}", list.join(" ")));
        }
        self.observe(from, &records, &fresh);
        if let Some(side) = &mut self.host {
            // Nothing is done before all of it is written down.
            side.queue.extend(records.into_iter().map(Task::Write));
            side.queue.extend(fresh.into_iter().map(Task::Do));
        }
        self.do_outputs();
        self.arm_host();
    }

    fn arm_host(&mut self) {
        let Some(side) = &self.host else { return };
        let wanted = side.host.wake_at();
        if side.armed.map(|(at, _)| at) == wanted {
            return;
        }
        let late = self.dice.below(self.lateness_us + 1);
        let now = self.now_us;
        if let Some(side) = &mut self.host {
            let offset = side.mono_offset_us;
            side.armed = wanted.map(|at| (at, at.saturating_sub(offset).max(now) + late));
        }
    }

    pub(super) fn command(&mut self, by: Actor, command: Command) {
        self.command_by(by, command, None);
    }

    /// The same about somebody whom the host's person named in writing.
    pub(super) fn command_by(&mut self, by: Actor, command: Command, text: Option<String>) {
        let editor_here = self.a_remote_editor_is_here();
        let (widens, changes) = self.reach(&command);
        let remote_input = self.remote_input;
        let Some(side) = &mut self.host else { return };
        let request = side.next_request();
        side.asked.insert(
            request,
            Asked {
                command: command.clone(),
                by,
                text,
                question: None,
                confirmed: false,
                widens,
                changes,
                editor_here,
                remote_input,
            },
        );
        self.tell_host(HostInput::Command {
            request,
            by,
            command,
        });
    }

    fn do_outputs(&mut self) {
        while let Some(side) = &mut self.host
            && !side.waits_for_disk
            && let Some(task) = side.queue.pop_front()
        {
            match task {
                Task::Write(Record::Ledger(entry)) => self.write_ledger(entry),
                Task::Write(Record::Link(seed)) => self.link = seed,
                Task::Do(output) => self.do_output(output),
            }
        }
    }

    fn do_output(&mut self, output: HostOutput) {
        match output {
            HostOutput::Send { to, bytes } => {
                for (conn, stream) in to.iter() {
                    self.host_sends(conn, stream, bytes.clone());
                }
            }
            HostOutput::Reset { conn, stream } => {
                self.tally.resets += 1;
                let skips = self.strikes(Sabotage::SkipReset);
                if let Some(conn) = self.conns.get_mut(&conn.0) {
                    if !skips {
                        conn.to_viewer.reset(stream);
                    }
                    conn.watch.given_up.insert(stream);
                }
                self.pump(conn.0, false);
            }
            HostOutput::Finish { conn, stream } => {
                if let Some(conn) = self.conns.get_mut(&conn.0) {
                    conn.to_viewer.finish(stream);
                }
                self.pump(conn.0, false);
            }
            HostOutput::Accepted { .. } => {}
            HostOutput::Close { conn, .. } => {
                if let Some(conn) = self.conns.get_mut(&conn.0) {
                    conn.host_closing = true;
                }
                // What was sent before is delivered, in a bounded time.
                self.after(
                    500_000,
                    Event::CloseConn {
                        conn: conn.0,
                        by_host: true,
                    },
                );
                if self.strikes(Sabotage::SendAfterClose) {
                    let late = HostOutput::Send {
                        to: (conn, Stream::Control).into(),
                        bytes: Bytes::from_static(b"\0\0\0\x01\x63"),
                    };
                    self.observe(None, &[], std::slice::from_ref(&late));
                }
            }
            HostOutput::Write { track, seq, bytes } => self.write(track, seq, &bytes),
            HostOutput::Answer { track, bytes } => {
                let times = match self.strikes(Sabotage::AnswerTwice) {
                    true => 2,
                    false => 1,
                };
                if let Some(side) = self.track(track) {
                    let ends = bytes.iter().filter(|byte| b"cnR".contains(byte));
                    side.answered += times * ends.count() as u64;
                }
            }
            // Signed when the host began; links are not of this world.
            HostOutput::Sign { .. } | HostOutput::LinkChanged(_) | HostOutput::Allowed(_) => {}
            HostOutput::Log(entry) => self.log(entry),
            HostOutput::ReadHistory(job) => self.pack(&job),
            HostOutput::Notice(notice) => self.notice(&notice),
            HostOutput::Done { .. } => {}
            HostOutput::FetchKeys { .. } | HostOutput::FetchLists { .. } => {}
            HostOutput::Spawn { track, size, .. } => self.spawn(track, size),
            HostOutput::Terminate { track } => self.terminate(track),
            // Looked at when it comes.
            HostOutput::Show { .. } => {}
            HostOutput::StartAgent { track, .. } => self.start_agent(track, None),
            HostOutput::Order { track, order } => {
                let life = self.lives;
                let order = Box::new(order);
                self.after(0, Event::Order { life, track, order });
            }
            HostOutput::SessionEnded { .. } => {
                if let Some(side) = &mut self.host {
                    side.over = true;
                }
            }
            HostOutput::Listen => self.set_listening(true),
            HostOutput::StopListening => self.set_listening(false),
        }
    }

    fn set_listening(&mut self, listening: bool) {
        if let Some(side) = &mut self.host {
            side.listening = listening;
            // What was counted is written down each time sharing ends.
            let visits = side.visits.values_mut().filter(|_| !listening);
            visits.for_each(|visits| visits.entries.clear());
        }
        if !listening {
            // Nothing of what was opened by it opens anything any more.
            self.link = None;
        }
    }

    fn host_sends(&mut self, conn: ConnId, stream: Stream, bytes: Bytes) {
        let held_up = self.sabotage == Sabotage::SlowHoldsUp
            && self
                .seats
                .iter()
                .any(|seat| seat.ended.is_none() && !seat.is_fair());
        let Some(state) = self.conns.get_mut(&conn.0) else {
            return;
        };
        let swaps = match self.sabotage {
            Sabotage::SwapFrame => true,
            Sabotage::ForkFrame => conn.0.is_multiple_of(2),
            _ => false,
        };
        let is_frame = matches!(stream, Stream::Track { .. }) && bytes.len() > 60;
        if self.sabotage == Sabotage::ForgetOpening && super::invariants::is_opening(&bytes) {
            return;
        }
        // What says "nothing changed" in place of what changed.
        let swapped = match swaps && is_frame {
            true => super::invariants::empty_frame(&bytes),
            false => None,
        };
        let bytes = swapped.unwrap_or(bytes);
        if held_up {
            let until = self.now_us + 3_000_000;
            state.to_viewer.busy_until_us = state.to_viewer.busy_until_us.max(until);
        }
        state.to_viewer.send(stream, bytes);
        self.pump(conn.0, false);
    }

    fn write_ledger(&mut self, entry: Bytes) {
        let delay = match self.dice.below(10) {
            0..6 => 0,
            6..9 => self.dice.range(100, 5_000),
            _ => self.dice.range(5_000, 300_000),
        };
        if delay == 0 {
            return self.note_written(entry);
        }
        if let Some(side) = &mut self.host {
            // On its way to the disk: not there when the host dies meanwhile.
            side.waits_for_disk = true;
            side.queue.push_front(Task::Write(Record::Ledger(entry)));
            let life = self.lives;
            self.after(delay, Event::LedgerWritten { life });
        }
    }

    fn note_written(&mut self, entry: Bytes) {
        let loses = self.strikes(Sabotage::KeepToken);
        let ends = matches!(
            LedgerEvent::from_bytes(&entry),
            Ok(LedgerEvent::RevokedGrant(_))
        );
        if let Some(side) = self.host.as_mut().filter(|_| loses && ends) {
            side.lost_end = true;
        }
        // One that says nothing.
        let nothing = || LedgerEvent::Forgotten(UnixMillis(0)).to_bytes().into();
        self.ledger.push(match loses && ends {
            true => nothing(),
            false => entry,
        });
    }

    pub(super) fn ledger_written(&mut self) {
        if let Some(side) = &mut self.host {
            side.waits_for_disk = false;
            if let Some(Task::Write(Record::Ledger(entry))) = side.queue.pop_front() {
                self.note_written(entry);
            }
        }
        self.do_outputs();
    }

    fn write(&mut self, track: TrackId, seq: u64, bytes: &Bytes) {
        if !self.strikes(Sabotage::LoseInput) {
            self.check_written(track, bytes);
        }
        if self.strikes(Sabotage::RepeatInput) && !std::mem::replace(&mut self.sabotaged, true) {
            self.check_written(track, bytes);
        }
        let now_us = self.now_us;
        let Some(side) = self.track(track) else {
            return;
        };
        side.unread.push_back((seq, bytes.clone()));
        side.program.typed(bytes);
        let free = side
            .program
            .deaf_until_us
            .max(now_us)
            .max(side.program_reads_at_us);
        let done = free + side.program.write_delay_us;
        side.program_reads_at_us = done;
        let life = self.lives;
        let input = Box::new(HostInput::Written { track, seq });
        self.after(done - self.now_us, Event::Host { life, input });
        self.after(200, Event::Output { life, track });
    }

    pub(super) fn log(&mut self, entry: LogEntry) {
        self.check_signed(&entry);
        let second = self.now_us / 1_000_000;
        let now_us = self.now_us;
        match entry {
            // Looked at when it comes.
            LogEntry::Track { .. } => {}
            LogEntry::Frame {
                track: id,
                number,
                raw,
                ..
            } => {
                self.tally.frames += 1;
                let Some(side) = self.track(id) else {
                    return self.fail(format!("the log gets a frame of track {id}, which is none"));
                };
                side.frame_times.push_back((number, now_us));
                let problem = side.shadow.apply_raw(&raw).err();
                let frames = self.frames_per_second.entry((second, id)).or_default();
                *frames += 1;
                let frames = *frames;
                self.require(problem.is_none(), || {
                    format!("frame {number} in the log: {problem:?}")
                });
                self.require(frames <= super::invariants::MAX_FRAMES, || {
                    format!("{frames} frames in a second")
                });
            }
            LogEntry::History {
                track: id,
                first,
                count,
                bytes,
            } => {
                let Some(side) = self.track(id) else {
                    return self.fail(format!("the log gets lines of track {id}, which is none"));
                };
                let next = side
                    .logged
                    .last()
                    .map_or(0, |chunk| chunk.first.0 + u64::from(chunk.count));
                if matches!(side.kind, TrackKind::Log | TrackKind::Conversation) {
                    let entries = Entry::decode_all(&bytes).unwrap_or_default();
                    side.unframed.extend(entries);
                }
                side.logged.push(HistoryChunk {
                    first,
                    count,
                    bytes,
                });
                let settled = side.settle();
                self.require(settled.is_ok(), || format!("history: {settled:?}"));
                self.require(first.0 == next, || {
                    format!("the log gets line {first:?} after line {next}")
                });
            }
            LogEntry::Event { json, .. } => self.check_event(&json),
            LogEntry::Margin { .. }
            | LogEntry::Entries { .. }
            | LogEntry::Certificate { .. }
            | LogEntry::Forgotten { .. }
            | LogEntry::Checkpoint { .. } => {}
        }
    }

    /// Reads the log and makes a reply, which takes its time.
    fn pack(&mut self, job: &HistoryJob) {
        let other = self.other_history(job.track);
        let track = match (self.sabotage, other) {
            (Sabotage::ReadElsewhere, Some(other)) => other,
            _ => job.track,
        };
        let Some(side) = self.track(track) else {
            return;
        };
        let (from, end) = (job.from.0, job.from.0 + u64::from(job.count));
        let (mut chunks, mut size) = (Vec::new(), 0);
        for chunk in &side.logged {
            let overlaps = chunk.first.0 < end && chunk.first.0 + u64::from(chunk.count) > from;
            if overlaps && size < job.max_bytes {
                size += chunk.bytes.len();
                chunks.push((chunk.first, chunk.count, chunk.bytes.clone()));
            }
        }
        let packed = job.pack(chunks);
        let late = match self.dice.below(4) {
            0 => 0,
            1 => self.dice.range(1_000, 200_000),
            _ => self.dice.range(10, 2_000),
        };
        let life = self.lives;
        let input = Box::new(HostInput::History(packed));
        self.after(late, Event::Host { life, input });
    }

    fn notice(&mut self, notice: &HostNotice) {
        let life = self.lives;
        let delay = self.dice.range(10_000, 3_000_000);
        let Some(side) = &mut self.host else { return };
        match notice {
            HostNotice::EditRequested { id, .. } => {
                let new = side.requests_open.insert(*id);
                self.require(new, || format!("{id:?} asks twice"));
                self.after(
                    delay,
                    Event::Human {
                        life,
                        act: Human::Answer(*id),
                    },
                );
            }
            HostNotice::RequestGone { id } => {
                let was = side.requests_open.remove(id);
                self.require(was, || {
                    format!("a request of {id:?} is gone that never was")
                });
            }
            HostNotice::Confirm { request, question } => {
                let request = *request;
                if let Some(asked) = side.asked.get_mut(&request) {
                    asked.question = Some(question.clone());
                }
                let act = match self.dice.below(5) {
                    0 => Human::Withdraw(request),
                    _ => Human::Confirm(request),
                };
                // Some are answered too late.
                let delay = match self.dice.one_in(8) {
                    true => 70_000_000,
                    false => delay,
                };
                self.after(delay, Event::Human { life, act });
            }
            // Looked at when they come.
            HostNotice::ConfirmGone { .. } | HostNotice::ChangedBySocket { .. } => {}
            HostNotice::Knocked { id, .. } => {
                let new = side.knocks.insert(*id);
                self.require(new, || format!("{id:?} knocks twice"));
                let act = Human::Knock(*id);
                self.after(delay, Event::Human { life, act });
            }
            HostNotice::KnockGone { id } => {
                let was = side.knocks.remove(id);
                self.require(was, || format!("a knock of {id:?} is gone that never was"));
            }
            HostNotice::Joined { .. } | HostNotice::Left { .. } | HostNotice::Visits { .. } => {}
            HostNotice::TerminalOpened { .. } => {}
            HostNotice::TerminalEnded { .. } => {}
            unexpected => self.fail(format!("the host says: {unexpected:?}")),
        }
    }

    /// The program's output is read and given to the host.
    pub(super) fn program_writes(&mut self, track: TrackId) {
        let Some(side) = self.track(track) else {
            return;
        };
        if side.state != TrackState::Live {
            return;
        }
        let Some((bytes, more)) = side.program.read() else {
            return;
        };
        side.reference.feed(&bytes);
        self.tell_host(HostInput::Output { track, bytes, more });
        self.collect_lines(track);
        if more {
            let life = self.lives;
            let after = self.dice.range(1, 400);
            self.after(after, Event::Output { life, track });
        }
    }

    pub(super) fn resize(&mut self) {
        let size = self.some_size();
        let Some(track) = self.some_terminal() else {
            return;
        };
        let Some(side) = self.track(track) else {
            return;
        };
        if side.reference.size() != size {
            side.reference.resize(size);
            self.tell_host(HostInput::Resized { track, size });
            self.collect_lines(track);
        }
    }

    pub(super) fn collect_lines(&mut self, track: TrackId) {
        let Some(side) = self.track(track) else {
            return;
        };
        if let Err(problem) = side.collect_lines() {
            self.fail(problem);
        }
    }
}

impl HostSide {
    /// A terminal's screen as the host has it, as viewers should see it.
    pub(super) fn screen(&self, track: TrackId) -> Screen {
        let mut screen = Screen::blank(Size::clamped(1, 1));
        self.host.capture(track, &mut screen);
        as_told(screen)
    }

    pub(super) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// The driver waits for the disk.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits_for_disk
    }
}

/// Lines that were hidden can come back onto a screen that grows: then no more than what is above
/// it is hidden, and viewers are told so.
pub(super) fn as_told(mut screen: Screen) -> Screen {
    screen.lines.oldest = screen.lines.oldest.min(screen.lines.top);
    screen
}
