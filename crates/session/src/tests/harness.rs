//! A host, its program and some viewers on one clock, joined by queues instead of a network.
//!
//! Everything that is sent arrives at once and in order, but for what a test holds back. Tests
//! drive it in sentences and look at what people would see.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, LazyLock, Mutex},
};

use bytes::{Bytes, BytesMut};
use pillion_caps::{
    Binding, Ledger, LedgerEvent, PeerEndpoint, PublicKey, SecretKey, SigningInput,
};
use pillion_conversation::Order;
use pillion_people::SubjectRef;
use pillion_proto::{
    Framer, FromHost, GrantToken, JoinId, PathKind, Rights, Ticket, TrackId, TrackKind, TrackMsg,
    TrackState, encode_message,
};
use pillion_screen::{LineId, Size};
use pillion_share::Network;

use crate::{
    Actor, Command, CommandError, ConnId, Connected, Done, HistoryJob, Host, HostConfig, HostInput,
    HostNotice, HostOutput, LogEntry, Now, Phase, Records, Reply, Shortfall, Stream,
    SubscribedKeyList, Target, ViewerConfig, ViewerEvent, ViewerInput, ViewerNotice, ViewerOutput,
    verbs, viewer::Viewer,
};

pub(super) const TERMINAL: TrackId = TrackId(0);

/// Rounds of passing messages after which a test is sure to be going in circles.
const MAX_ROUNDS: usize = 100_000;

pub(super) fn secret(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32])
}

/// Whom a person means who writes this.
pub(super) fn named(text: &str) -> Target {
    text.parse::<SubjectRef>().unwrap().into()
}

/// Whom a co-host means who chooses the entry of this identity.
pub(super) fn who(seed: u8) -> SubjectRef {
    SubjectRef::key(secret(seed).public())
}

/// One viewer and its connection.
pub(super) struct Seat {
    pub(super) viewer: Viewer,
    pub(super) events: Vec<ViewerEvent>,
    pub(super) conn: Option<ConnId>,
    /// What the person's key is asked to sign.
    pub(super) to_sign: Vec<(u64, Vec<SigningInput>)>,
    pub(super) endpoint: SecretKey,
    /// Connections begin early; whether the host takes what is sent then. [`World::complete`] ends
    /// their handshakes.
    pub(super) early: Option<bool>,
    /// The network is there.
    pub(super) online: bool,
    /// Nothing gets through either way, and nobody is told.
    pub(super) silent: bool,
    /// Nothing that the host sends is taken off the line.
    pub(super) reads: bool,
    /// Streams on which nothing arrives.
    pub(super) stalled: Vec<Stream>,
    /// Of history, nothing that the host sends is taken off the line.
    pub(super) ignores_history: bool,
    to_host: VecDeque<(Stream, Bytes)>,
    to_viewer: VecDeque<(Stream, Bytes)>,
    /// Epochs of track streams in the order the viewer saw them.
    handles: Vec<u32>,
    damaged: bool,
    /// Bytes of the track's streams passed to the viewer.
    pub(super) track_bytes: usize,
    /// Bytes of history passed to the viewer.
    pub(super) history_bytes: usize,
    control_messages: usize,
    /// What the viewer said on the control stream, which are acknowledgements of what it sees and little else.
    pub(super) control_said: usize,
    /// Streams the host ended, whose bytes may still be on their way.
    finished: Vec<Stream>,
}

/// The program behind the host.
#[derive(Default)]
pub(super) struct Program {
    /// What was written to it.
    pub(super) input: Vec<u8>,
    /// What its terminal answered.
    pub(super) answers: Vec<u8>,
    /// It does not read: nothing is written.
    pub(super) deaf: bool,
    /// Written to and not yet confirmed.
    pub(super) unconfirmed: VecDeque<u64>,
    /// It shows what is typed.
    pub(super) echoes: bool,
}

/// What a newer version says that this one does not: behind each message one that it does not know, and at the
/// end of each a field more.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Newer {
    pub(super) host: bool,
    pub(super) viewers: bool,
    /// This track is of a kind that is not known here.
    pub(super) kind: Option<TrackId>,
}

impl Newer {
    fn says(self, stream: Stream, bytes: &Bytes, to_host: bool) -> Bytes {
        let mut framer = Framer::new(usize::MAX);
        framer.push(bytes);
        let mut out = BytesMut::new();
        while let Some((tag, payload)) = framer.next_message().unwrap() {
            let payload = self.of_that_kind(stream, tag, payload);
            encode_message(&mut out, tag, &[&payload[..], b"a field more"].concat());
            let unknown = match (stream, to_host) {
                (Stream::Control, true) => 63,
                (Stream::Control, false) => 127,
                (Stream::Track { .. }, _) => 191,
                (Stream::Input { .. }, _) => 159,
                (Stream::History { .. }, _) => continue,
            };
            encode_message(&mut out, unknown, b"a message more");
        }
        assert_eq!(framer.pending(), 0);
        out.freeze()
    }

    /// The same message, in which one track is of a kind that is not known here.
    fn of_that_kind(self, stream: Stream, tag: u8, payload: Bytes) -> Bytes {
        let Some(unknown) = self.kind else {
            return payload;
        };
        let (other, mut out) = (TrackKind::Unknown(99), BytesMut::new());
        match stream {
            Stream::Control => {
                let mut message = FromHost::decode(tag, &payload).unwrap();
                let infos = match &mut message {
                    FromHost::Welcome(welcome) => &mut welcome.tracks,
                    FromHost::Tracks(change) => &mut change.changed,
                    _ => return payload,
                };
                let of_it = infos.iter_mut().filter(|info| info.id == unknown);
                of_it.for_each(|info| info.kind = other);
                message.encode(&mut out);
            }
            Stream::Track { .. } => match TrackMsg::decode(tag, &payload).unwrap() {
                TrackMsg::Open { track, epoch, .. } if track == unknown => {
                    let kind = other;
                    TrackMsg::Open { track, epoch, kind }.encode(&mut out);
                }
                _ => return payload,
            },
            _ => return payload,
        }
        // Behind length and tag.
        out.freeze().slice(5..)
    }
}

pub(super) struct World {
    pub(super) now: Now,
    pub(super) host: Host,
    /// The program that the session begins with.
    pub(super) program: Program,
    /// Those of the other terminals.
    pub(super) others: BTreeMap<TrackId, Program>,
    /// Terminals whose programs are still being started.
    pub(super) spawning: Vec<TrackId>,
    /// What the host's own terminal was told to show.
    pub(super) shows: Vec<TrackId>,
    /// How the session ended.
    pub(super) ended: Option<TrackState>,
    pub(super) seats: Vec<Seat>,
    pub(super) log: Vec<LogEntry>,
    pub(super) disk: Disk,
    pub(super) notices: Vec<HostNotice>,
    pub(super) done: BTreeMap<u64, Result<Reply, CommandError>>,
    /// What of the last command that was carried out does not outlive the run.
    pub(super) shortfall: Option<Shortfall>,
    pub(super) listening: bool,
    /// Link services to be used, and whether with a link.
    pub(super) published: Vec<(String, bool)>,
    pub(super) closed: Vec<(ConnId, u8)>,
    /// Those that are strangers no longer.
    pub(super) accepted: Vec<ConnId>,
    /// Raw connections of no viewer: what the host sent them.
    pub(super) strangers: BTreeMap<ConnId, Vec<(Stream, Bytes)>>,
    pub(super) ticket: String,
    pub(super) wanted_keys: Vec<pillion_people::Issuer>,
    pub(super) wanted_lists: Vec<Vec<String>>,
    /// Replies of history are made when the test says so, and these are to be made.
    pub(super) packer: Option<Vec<HistoryJob>>,
    /// First line and number of lines of each reply that was made.
    pub(super) packed: Vec<(LineId, u32)>,
    requests: u64,
    conns: u64,
    /// Where everybody comes from.
    pub(super) from: Network,
    /// Connections prove no endpoint, as WebTransport's.
    pub(super) unproved: bool,
    /// What of a newer version everybody who is in here speaks.
    pub(super) newer: Newer,
    /// What identities are asked to sign is kept for the test to answer.
    pub(super) signs_later: bool,
    /// What the host's identity is asked to sign.
    pub(super) host_to_sign: Vec<(u64, SigningInput)>,
    /// Agents that are to be started, and what is to be done with them.
    pub(super) agents: Vec<(TrackId, verbs::AgentStart)>,
    pub(super) orders: Vec<(TrackId, Order)>,
}

/// What a session keeps.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// It takes nothing.
    is_full: bool,
    ledger: Vec<Bytes>,
    /// Seeds of links, and when none is to open the session.
    links: Vec<Option<[u8; 32]>>,
    lists: Vec<SubscribedKeyList>,
}

impl Disk {
    fn write(&self, change: impl FnOnce(&mut Kept)) -> Result<(), String> {
        let mut kept = self.0.lock().unwrap();
        match kept.is_full {
            true => Err("no space left".to_owned()),
            false => {
                change(&mut kept);
                Ok(())
            }
        }
    }

    /// Whether it takes anything from now on.
    pub(super) fn is_full(&self, is_full: bool) {
        self.0.lock().unwrap().is_full = is_full;
    }
}

impl Records for Disk {
    fn append_ledger(&mut self, entries: &[Bytes]) -> Result<(), String> {
        self.write(|kept| kept.ledger.extend_from_slice(entries))
    }

    fn keep_link(&mut self, seed: Option<&[u8; 32]>) -> Result<(), String> {
        self.write(|kept| kept.links.push(seed.copied()))
    }

    fn keep_lists(&mut self, lists: &[SubscribedKeyList]) -> Result<(), String> {
        self.write(|kept| kept.lists = lists.to_vec())
    }
}

/// The ledger that these entries make.
pub(super) fn replayed(entries: &[Bytes]) -> Ledger {
    let events = entries.iter().map(|entry| LedgerEvent::from_bytes(entry));
    Ledger::replay(secret(1).public(), events.map(Result::unwrap)).unwrap()
}

pub(super) fn config() -> HostConfig {
    HostConfig {
        name: "work".into(),
        host_name: "olga".into(),
        ..HostConfig::plain(
            secret(1),
            secret(2).public(),
            [3; 32],
            Size::clamped(80, 24),
        )
    }
}

impl World {
    /// A shared session.
    pub(super) fn shared() -> World {
        World::sharing(config())
    }

    pub(super) fn sharing(config: HostConfig) -> World {
        let mut world = World::unshared(config);
        world.share();
        world
    }

    pub(super) fn unshared(config: HostConfig) -> World {
        let disk = Disk::default();
        let config = HostConfig {
            records: Box::new(disk.clone()),
            ..config
        };
        let now = Now {
            mono_us: 1_000_000,
            unix_ms: 1_777_636_800_000,
        };
        let mut world = World {
            now,
            host: Host::new(config, now),
            program: Program {
                echoes: true,
                ..Program::default()
            },
            others: BTreeMap::new(),
            spawning: Vec::new(),
            shows: Vec::new(),
            ended: None,
            seats: Vec::new(),
            log: Vec::new(),
            disk,
            notices: Vec::new(),
            done: BTreeMap::new(),
            shortfall: None,
            listening: false,
            published: Vec::new(),
            closed: Vec::new(),
            accepted: Vec::new(),
            strangers: BTreeMap::new(),
            ticket: String::new(),
            wanted_keys: Vec::new(),
            wanted_lists: Vec::new(),
            packer: None,
            packed: Vec::new(),
            requests: 0,
            conns: 0,
            from: Network::ALL,
            unproved: false,
            newer: Newer::default(),
            signs_later: false,
            host_to_sign: Vec::new(),
            agents: Vec::new(),
            orders: Vec::new(),
        };
        world.is_reached();
        world
    }

    fn is_reached(&mut self) {
        let id = iroh_base::EndpointId::from_bytes(secret(1).public().as_bytes()).unwrap();
        let addr = iroh_base::EndpointAddr::new(id).with_ip_addr("127.0.0.1:7777".parse().unwrap());
        self.host(HostInput::Addresses { addr });
    }

    /// The ledger's entries on disk.
    pub(super) fn ledger(&self) -> Vec<Bytes> {
        self.disk.0.lock().unwrap().ledger.clone()
    }

    /// The seeds of links that were kept, one after the other.
    pub(super) fn kept_links(&self) -> Vec<Option<[u8; 32]>> {
        self.disk.0.lock().unwrap().links.clone()
    }

    /// The seed that opens the session when it is started again.
    pub(super) fn kept_link(&self) -> Option<[u8; 32]> {
        self.kept_links().last().copied().flatten()
    }

    /// The lists that are followed when it is started again.
    pub(super) fn kept_lists(&self) -> Vec<SubscribedKeyList> {
        self.disk.0.lock().unwrap().lists.clone()
    }

    /// The host ends as by a power cut and begins again with what was written down; viewers come back by
    /// themselves.
    pub(super) fn restart(&mut self, config: HostConfig) {
        for seat in 0..self.seats.len() {
            self.unplug(seat);
        }
        self.host = Host::new(
            HostConfig {
                ledger: replayed(&self.ledger()),
                records: Box::new(self.disk.clone()),
                link: self.kept_link(),
                lists: self.kept_lists(),
                seed: [9; 32],
                ..config
            },
            self.now,
        );
        self.is_reached();
        self.share();
    }

    pub(super) fn share(&mut self) {
        match self.command(Command::Share(verbs::Share { from_start: false })) {
            Ok(Reply::Ticket(ticket)) => self.ticket = ticket,
            other => panic!("{other:?}"),
        }
    }

    /// What somebody with `seed` as identity would join with.
    pub(super) fn viewer_config(&self, seed: u8, name: &str) -> ViewerConfig {
        let ticket: Ticket = self.ticket.parse().unwrap();
        ViewerConfig {
            identity: secret(seed).public(),
            session: PublicKey::from_bytes(ticket.addr.id.as_bytes()).unwrap(),
            link: Some(SecretKey::from_bytes(&ticket.link)),
            grants: Vec::new(),
            claims: Vec::new(),
            name: name.into(),
            software: "pillion test".into(),
            join: JoinId([seed; 16]),
            read_only: false,
            inside: Vec::new(),
        }
    }

    /// Somebody joins; returns where they sit.
    pub(super) fn join(&mut self, seed: u8, name: &str) -> usize {
        self.join_with(self.viewer_config(seed, name))
    }

    pub(super) fn join_with(&mut self, config: ViewerConfig) -> usize {
        let endpoint = secret(100 + u8::try_from(self.seats.len()).unwrap());
        self.seats.push(Seat {
            viewer: Viewer::new(config, self.now),
            events: Vec::new(),
            conn: None,
            to_sign: Vec::new(),
            endpoint,
            early: None,
            online: true,
            silent: false,
            reads: true,
            stalled: Vec::new(),
            ignores_history: false,
            to_host: VecDeque::new(),
            to_viewer: VecDeque::new(),
            handles: Vec::new(),
            damaged: false,
            track_bytes: 0,
            history_bytes: 0,
            control_messages: 0,
            control_said: 0,
            finished: Vec::new(),
        });
        self.settle();
        self.seats.len() - 1
    }

    /// A connection that no viewer drives.
    pub(super) fn stranger(&mut self) -> (ConnId, Connected) {
        let conn = self.next_conn();
        let connected = Connected {
            own_endpoint: self.endpoint(&secret(99)),
            binding: binding_of(conn),
        };
        self.strangers.insert(conn, Vec::new());
        let (peer, binding) = (connected.own_endpoint, connected.binding);
        self.host(HostInput::Connected {
            conn,
            peer,
            from: self.from,
            binding,
        });
        (conn, connected)
    }

    /// A connection that no viewer drives, resuming one of the endpoint `peer`.
    pub(super) fn early_stranger(&mut self, peer: PublicKey) -> ConnId {
        let conn = self.next_conn();
        self.strangers.insert(conn, Vec::new());
        self.host(HostInput::EarlyConnected {
            conn,
            peer,
            from: self.from,
        });
        conn
    }

    /// The handshake of a connection that began early is completed.
    pub(super) fn complete(&mut self, index: usize) {
        let now = self.now;
        let seat = &mut self.seats[index];
        let conn = seat.conn.unwrap();
        let peer = PeerEndpoint::Proved(seat.endpoint.public());
        let binding = binding_of(conn);
        let input = match seat.early.take().unwrap() {
            true => HostInput::HandshakeConfirmed { conn, binding },
            false => {
                seat.to_host.clear();
                HostInput::Connected {
                    conn,
                    peer,
                    from: self.from,
                    binding,
                }
            }
        };
        self.host.handle(now, input);
        self.viewer(
            index,
            ViewerInput::Connected(Connected {
                own_endpoint: peer,
                binding,
            }),
        );
    }

    /// What a connection of this endpoint proves.
    fn endpoint(&self, key: &SecretKey) -> PeerEndpoint {
        match self.unproved {
            true => PeerEndpoint::Unproved,
            false => PeerEndpoint::Proved(key.public()),
        }
    }

    fn next_conn(&mut self) -> ConnId {
        self.conns += 1;
        ConnId(self.conns)
    }

    pub(super) fn host(&mut self, input: HostInput) {
        self.host.handle(self.now, input);
        self.settle();
    }

    pub(super) fn viewer(&mut self, seat: usize, input: ViewerInput) {
        self.seats[seat].viewer.handle(self.now, input);
        self.settle();
    }

    /// The program writes.
    pub(super) fn prints(&mut self, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.host(HostInput::Output {
            track: TERMINAL,
            bytes,
            more: false,
        });
    }

    pub(super) fn types(&mut self, seat: usize, text: &str) {
        self.viewer(
            seat,
            ViewerInput::Keys(Bytes::copy_from_slice(text.as_bytes())),
        );
    }

    /// A command given at the host's own terminal.
    pub(super) fn command(&mut self, command: impl Into<Command>) -> Result<Reply, CommandError> {
        let request = self.ask(Actor::Tty, command);
        self.done.remove(&request).expect("answered at once")
    }

    /// A command whose answer may take time; its number.
    pub(super) fn ask(&mut self, by: Actor, command: impl Into<Command>) -> u64 {
        let command = command.into();
        self.requests += 1;
        let request = self.requests;
        self.host(HostInput::Command {
            request,
            by,
            command,
        });
        request
    }

    pub(super) fn grant_edit(&mut self, name: &str) -> Result<Reply, CommandError> {
        let target = named(name);
        self.command(Command::Grant(verbs::Grant {
            target,
            rights: Rights::EDIT,
            ttl_ms: None,
        }))
    }

    pub(super) fn token(&mut self, uses: u32, ttl_ms: Option<u64>) -> (String, String) {
        let uses = std::num::NonZeroU32::new(uses).unwrap();
        match self.command(Command::GrantLink(verbs::GrantLink {
            rights: Rights::EDIT,
            ttl_ms,
            uses,
        })) {
            Ok(Reply::GrantLink(verbs::Token { token, grant, .. })) => (token, grant),
            other => panic!("{other:?}"),
        }
    }

    /// The viewer's connection breaks, and both sides notice.
    pub(super) fn cut(&mut self, seat: usize) {
        self.unplug(seat);
        self.settle();
    }

    fn unplug(&mut self, seat: usize) {
        let seat = &mut self.seats[seat];
        seat.to_host.clear();
        seat.to_viewer.clear();
        if let Some(conn) = seat.conn.take() {
            let why = "the connection was cut".to_owned();
            seat.viewer
                .handle(self.now, ViewerInput::Disconnected { why });
            self.host.handle(self.now, HostInput::Disconnected { conn });
        }
    }

    /// Lets time pass, waking everybody when they asked for it.
    pub(super) fn advance_ms(&mut self, ms: u64) {
        let end = self.now.mono_us + ms * 1000;
        for _ in 0..MAX_ROUNDS {
            let wakes = self.seats.iter().filter_map(|seat| seat.viewer.wake_at());
            let next = wakes.chain(self.host.wake_at()).min().unwrap_or(end);
            // At least a little passes: somebody may ask for now again and again.
            let next = next.max(self.now.mono_us + 100).min(end);
            self.now.unix_ms += (next - self.now.mono_us).div_ceil(1000).min(ms);
            self.now.mono_us = next;
            self.tick();
            if next == end {
                return;
            }
        }
        panic!("somebody asks to be woken without end");
    }

    pub(super) fn tick(&mut self) {
        self.host.handle(self.now, HostInput::Tick);
        for seat in &mut self.seats {
            seat.viewer.handle(self.now, ViewerInput::Tick);
        }
        self.settle();
    }

    /// Passes messages until nobody has anything to say.
    pub(super) fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let mut moved = false;
            while let Some(output) = self.host.poll() {
                self.on_host_output(output);
                moved = true;
            }
            for seat in 0..self.seats.len() {
                while let Some(output) = self.seats[seat].viewer.poll() {
                    self.on_viewer_output(seat, output);
                    moved = true;
                }
                moved |= self.pass(seat);
            }
            if !moved {
                return;
            }
        }
        panic!("host and viewers talk without end");
    }

    /// Delivers one message in each direction.
    fn pass(&mut self, index: usize) -> bool {
        let (now, newer) = (self.now, self.newer);
        let seat = &mut self.seats[index];
        let Some(conn) = seat.conn.filter(|_| !seat.silent) else {
            return false;
        };
        let mut moved = false;
        let stalled = |stream: &Stream| seat.stalled.contains(stream);
        if let Some(at) = seat.to_host.iter().position(|(stream, _)| !stalled(stream))
            && let Some((stream, bytes)) = seat.to_host.remove(at)
        {
            let bytes = match newer.viewers {
                true => newer.says(stream, &bytes, true),
                false => bytes,
            };
            self.host.handle(
                now,
                HostInput::Received {
                    conn,
                    stream,
                    bytes,
                },
            );
            moved = true;
        }
        let ignores =
            |stream: &Stream| seat.ignores_history && matches!(stream, Stream::History { .. });
        let stalled = |stream: &Stream| seat.stalled.contains(stream) || ignores(stream);
        if seat.reads
            && let Some(at) = seat
                .to_viewer
                .iter()
                .position(|(stream, _)| !stalled(stream))
            && let Some((stream, mut bytes)) = seat.to_viewer.remove(at)
        {
            if matches!(stream, Stream::Track { .. }) && std::mem::take(&mut seat.damaged) {
                let mut damaged = bytes.to_vec();
                let last = damaged.len() - 1;
                damaged[last] ^= 0x55;
                bytes = damaged.into();
            }
            if newer.host {
                bytes = newer.says(stream, &bytes, false);
            }
            let stream = match stream {
                Stream::Track { id } => {
                    seat.track_bytes += bytes.len();
                    let id = seat.handle_of(id);
                    Stream::Track { id }
                }
                Stream::History { .. } => {
                    seat.history_bytes += bytes.len();
                    stream
                }
                other => {
                    seat.control_messages += 1;
                    other
                }
            };
            seat.viewer
                .handle(now, ViewerInput::Received { stream, bytes });
            moved = true;
        }
        let is_read = |stream: &Stream| {
            let waits = seat.to_viewer.iter().any(|(other, _)| other == stream);
            seat.reads && !waits
        };
        if let Some(at) = seat.finished.iter().position(is_read) {
            let stream = seat.finished.remove(at);
            self.host.handle(now, HostInput::Delivered { conn, stream });
            moved = true;
        }
        moved
    }

    fn on_viewer_output(&mut self, index: usize, output: ViewerOutput) {
        let now = self.now;
        match output {
            ViewerOutput::Connect => {
                if !self.seats[index].online {
                    let why = "no route to the host".to_owned();
                    return self.seats[index]
                        .viewer
                        .handle(now, ViewerInput::Disconnected { why });
                }
                let conn = self.next_conn();
                let seat = &mut self.seats[index];
                seat.handles.clear();
                seat.stalled.clear();
                seat.to_host.clear();
                seat.to_viewer.clear();
                seat.finished.clear();
                seat.conn = Some(conn);
                let binding = binding_of(conn);
                if let Some(taken) = seat.early {
                    let peer = seat.endpoint.public();
                    if taken {
                        self.host.handle(
                            now,
                            HostInput::EarlyConnected {
                                conn,
                                peer,
                                from: self.from,
                            },
                        );
                    }
                    return seat.viewer.handle(now, ViewerInput::EarlyConnected);
                }
                let peer = match self.unproved {
                    true => PeerEndpoint::Unproved,
                    false => PeerEndpoint::Proved(seat.endpoint.public()),
                };
                self.host.handle(
                    now,
                    HostInput::Connected {
                        from: self.from,
                        conn,
                        peer,
                        binding,
                    },
                );
                let connected = Connected {
                    own_endpoint: peer,
                    binding,
                };
                seat.viewer.handle(now, ViewerInput::Connected(connected));
            }
            ViewerOutput::Sign { request, inputs } if self.signs_later => {
                self.seats[index].to_sign.push((request, inputs));
            }
            ViewerOutput::Sign { request, inputs } => {
                let viewer = &mut self.seats[index].viewer;
                let signed =
                    ViewerInput::signed_with(&secret_of(&viewer.view().identity), request, &inputs);
                viewer.handle(now, signed);
            }
            ViewerOutput::Send { stream, bytes } => {
                let seat = &mut self.seats[index];
                if seat.conn.is_some() {
                    seat.control_said += usize::from(stream == Stream::Control);
                    seat.to_host.push_back((stream, bytes));
                }
            }
            ViewerOutput::Reset { stream } => {
                self.seats[index]
                    .to_host
                    .retain(|(other, _)| *other != stream);
            }
            ViewerOutput::Finish { .. } => {}
            ViewerOutput::Close => {
                let seat = &mut self.seats[index];
                let Some(conn) = seat.conn.take() else { return };
                // What was said before is delivered first.
                for (stream, bytes) in std::mem::take(&mut seat.to_host) {
                    self.host.handle(
                        now,
                        HostInput::Received {
                            conn,
                            stream,
                            bytes,
                        },
                    );
                }
                self.host.handle(now, HostInput::Disconnected { conn });
            }
            ViewerOutput::Event(event) => self.seats[index].events.push(event),
        }
    }

    fn on_host_output(&mut self, output: HostOutput) {
        match output {
            HostOutput::Sign { request, input } if self.signs_later => {
                self.host_to_sign.push((request, input));
            }
            HostOutput::Sign { request, input } => {
                let signed = HostInput::signed_with(&secret(2), request, &input);
                self.host.handle(self.now, signed);
            }
            HostOutput::Send { to, bytes } => {
                for (conn, stream) in to.iter() {
                    let bytes = bytes.clone();
                    if let Some(seat) = self.seat_of(conn) {
                        seat.to_viewer.push_back((stream, bytes));
                    } else if let Some(stranger) = self.strangers.get_mut(&conn) {
                        stranger.push((stream, bytes));
                    }
                }
            }
            HostOutput::Reset { conn, stream } => {
                let now = self.now;
                if let Some(seat) = self.seat_of(conn) {
                    seat.to_viewer.retain(|(other, _)| *other != stream);
                    seat.finished.retain(|other| *other != stream);
                    let stream = match stream {
                        Stream::Track { id } => Stream::Track {
                            id: seat.handle_of(id),
                        },
                        other => other,
                    };
                    seat.viewer.handle(now, ViewerInput::StreamEnded { stream });
                }
            }
            HostOutput::Finish { conn, stream } => {
                if let Some(seat) = self.seat_of(conn) {
                    seat.finished.push(stream);
                }
            }
            HostOutput::Accepted { conn } => self.accepted.push(conn),
            HostOutput::Close { conn, code } => {
                let now = self.now;
                self.closed.push((conn, code));
                if let Some(seat) = self.seat_of(conn) {
                    for (stream, bytes) in std::mem::take(&mut seat.to_viewer) {
                        if !matches!(stream, Stream::Track { .. }) {
                            seat.viewer
                                .handle(now, ViewerInput::Received { stream, bytes });
                        }
                    }
                    seat.conn = None;
                    let why = "the host closed the connection".to_owned();
                    seat.viewer.handle(now, ViewerInput::Disconnected { why });
                    self.host.handle(now, HostInput::Disconnected { conn });
                }
            }
            HostOutput::Write { seq, bytes, track } => {
                let program = self.program_of(track);
                program.input.extend_from_slice(&bytes);
                let echoes = program.echoes;
                if program.deaf {
                    program.unconfirmed.push_back(seq);
                } else {
                    self.host
                        .handle(self.now, HostInput::Written { track, seq });
                    if echoes {
                        self.host.handle(
                            self.now,
                            HostInput::Output {
                                track,
                                bytes,
                                more: false,
                            },
                        );
                    }
                }
            }
            HostOutput::Answer { track, bytes } => {
                self.program_of(track).answers.extend_from_slice(&bytes);
            }
            HostOutput::Spawn { track, command, .. } => match command.first() {
                Some(word) if word == "fails" => {
                    let why = "no such file".to_owned();
                    self.host
                        .handle(self.now, HostInput::SpawnFailed { track, why });
                }
                Some(word) if word == "later" => self.spawning.push(track),
                _ => {
                    let program = Program {
                        echoes: true,
                        ..Program::default()
                    };
                    self.others.insert(track, program);
                    self.host.handle(self.now, HostInput::Spawned { track });
                }
            },
            HostOutput::Terminate { track } => {
                let state = TrackState::Killed(1);
                self.host
                    .handle(self.now, HostInput::Exited { track, state });
            }
            HostOutput::Show { track } => self.shows.push(track),
            HostOutput::StartAgent { track, start } => self.agents.push((track, start)),
            HostOutput::Order { track, order } => self.orders.push((track, order)),
            HostOutput::SessionEnded { state } => self.ended = Some(state),
            HostOutput::LinkChanged(_) => {}
            HostOutput::Allowed(Command::UseService(verbs::UseService { service, link })) => {
                self.published.push((service, link));
            }
            HostOutput::Allowed(Command::EndLink(_)) => self.published.clear(),
            HostOutput::Allowed(other) => panic!("{other:?} is not the driver's"),
            HostOutput::Log(entry) => self.log.push(entry),
            HostOutput::ReadHistory(job) => match &mut self.packer {
                Some(jobs) => jobs.push(*job),
                None => self.pack(&job),
            },
            HostOutput::Notice(notice) => self.notices.push(notice),
            HostOutput::Done { request, result } => {
                self.shortfall = result.as_ref().ok().and_then(|done| done.shortfall.clone());
                let reply = result.map(|done| done.reply);
                self.done.insert(request, reply);
            }
            HostOutput::FetchKeys { issuer } => self.wanted_keys.push(issuer),
            HostOutput::FetchLists { from } => self.wanted_lists.push(from),
            HostOutput::Listen => self.listening = true,
            HostOutput::StopListening => self.listening = false,
        }
    }

    /// The program reads what was typed meanwhile.
    pub(super) fn program_reads(&mut self) {
        self.program.deaf = false;
        while let Some(seq) = self.program.unconfirmed.pop_front() {
            let track = TERMINAL;
            self.host(HostInput::Written { track, seq });
        }
    }

    /// The program of a track.
    pub(super) fn program_of(&mut self, track: TrackId) -> &mut Program {
        match track {
            TERMINAL => &mut self.program,
            other => self.others.entry(other).or_default(),
        }
    }

    /// Opens another terminal at the host.
    pub(super) fn opens(&mut self, title: &str) -> TrackId {
        let (title, command) = (title.to_owned(), Vec::new());
        match self.command(verbs::OpenTerminal { title, command }) {
            Ok(Reply::OpenTerminal(track)) => track,
            other => panic!("{other:?}"),
        }
    }

    /// Opens a log track.
    pub(super) fn opens_log(&mut self, title: &str) -> TrackId {
        self.requests += 1;
        let (request, title) = (self.requests, title.to_owned());
        self.host(HostInput::OpenLog { request, title });
        match self.done.remove(&request) {
            Some(Ok(Reply::OpenTerminal(track))) => track,
            other => panic!("{other:?}"),
        }
    }

    /// A log track's source says something.
    pub(super) fn says(&mut self, track: TrackId, key: &str, json: &str) {
        let (key, json) = (key.to_owned(), Bytes::copy_from_slice(json.as_bytes()));
        self.host(HostInput::Entry { track, key, json });
    }

    /// A track's program writes.
    pub(super) fn prints_on(&mut self, track: TrackId, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.host(HostInput::Output {
            track,
            bytes,
            more: false,
        });
    }

    /// A track's program ends.
    pub(super) fn exits_on(&mut self, track: TrackId, code: i32) {
        let state = TrackState::Exited(code);
        self.host(HostInput::Exited { track, state });
    }

    /// How often the host wakes in so long without anything to do.
    pub(super) fn wakes_of_host(&mut self, ms: u64) -> usize {
        let end = self.now.mono_us + ms * 1000;
        let mut woken = 0;
        while let Some(at) = self.host.wake_at()
            && at < end
        {
            self.now.mono_us = at.max(self.now.mono_us + 1);
            self.host(HostInput::Tick);
            woken += 1;
        }
        woken
    }

    /// Messages on the control stream passed to a viewer so far.
    pub(super) fn control_messages(&self, seat: usize) -> usize {
        self.seats[seat].control_messages
    }

    /// A viewer looks at tracks.
    pub(super) fn looks(&mut self, seat: usize, tracks: &[TrackId]) {
        self.viewer(seat, ViewerInput::Look(tracks.to_vec()));
    }

    /// Makes a reply of history.
    pub(super) fn pack(&mut self, job: &HistoryJob) {
        self.packed.push((job.from, job.count));
        let packed = job.pack(self.stored(job.track, job.from, job.count));
        self.host.handle(self.now, HostInput::History(packed));
    }

    /// Whole chunks of the log that overlap a range, as the store gives them.
    fn stored(&self, of: TrackId, from: LineId, count: u32) -> Vec<(LineId, u32, Bytes)> {
        let end = from.0 + u64::from(count);
        let chunks = self.log.iter().filter_map(|entry| match entry {
            LogEntry::History {
                track,
                first,
                count,
                bytes,
            } if *track == of => Some((*first, *count, bytes.clone())),
            _ => None,
        });
        chunks
            .filter(|(first, count, _)| first.0 + u64::from(*count) > from.0 && first.0 < end)
            .collect()
    }

    fn seat_of(&mut self, conn: ConnId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.conn == Some(conn))
    }

    /// Says how a viewer's connection travels.
    pub(super) fn path(&mut self, seat: usize, rtt_us: u32) {
        let conn = self.seats[seat].conn.unwrap();
        let kind = PathKind::Direct;
        self.host(HostInput::Path { conn, kind, rtt_us });
        self.viewer(seat, ViewerInput::Path { kind, rtt_us });
    }

    /// Bytes on their way to a viewer.
    pub(super) fn waiting_for(&self, seat: usize) -> usize {
        self.seats[seat]
            .to_viewer
            .iter()
            .map(|(_, bytes)| bytes.len())
            .sum()
    }

    /// Bytes of history on their way to a viewer.
    pub(super) fn waiting_on_history(&self, seat: usize) -> usize {
        let waiting = self.seats[seat].to_viewer.iter();
        waiting
            .filter(|(stream, _)| matches!(stream, Stream::History { .. }))
            .map(|(_, bytes)| bytes.len())
            .sum()
    }

    /// The next frame to a viewer arrives with a byte changed.
    pub(super) fn damage_next_frame(&mut self, seat: usize) {
        self.seats[seat].damaged = true;
    }

    /// The host-wide count of inputs whose effects are in the newest frame.
    pub(super) fn echoed(&self) -> u64 {
        self.host.echoed_for_tests(TERMINAL)
    }

    /// What the host's terminal shows, as a viewer that was never behind would see it.
    pub(super) fn assert_same_screen(&mut self, seat: usize) {
        let view = self.seats[seat].viewer.view();
        let host = self.host.screen_for_tests(view.track.0);
        let viewer = view.screen.as_ref();
        assert_eq!(viewer.map(|screen| screen.text()), Some(host.text()));
        assert_eq!(viewer, Some(host));
    }

    pub(super) fn exits(&mut self, code: i32) {
        self.host(HostInput::Exited {
            track: TERMINAL,
            state: TrackState::Exited(code),
        });
    }

    /// Every event the log has, as JSON.
    pub(super) fn logged(&self) -> Vec<serde_json::Value> {
        let events = self.log.iter().filter_map(|entry| match entry {
            LogEntry::Event { json, .. } => Some(serde_json::from_str(json).unwrap()),
            _ => None,
        });
        events.collect()
    }

    pub(super) fn logged_kinds(&self) -> Vec<String> {
        self.logged()
            .iter()
            .map(|event| event["event"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Seat {
    fn handle_of(&mut self, epoch: u32) -> u32 {
        let at = self
            .handles
            .iter()
            .position(|known| *known == epoch)
            .unwrap_or_else(|| {
                self.handles.push(epoch);
                self.handles.len() - 1
            });
        u32::try_from(at).unwrap()
    }

    pub(super) fn text(&self) -> String {
        self.viewer
            .view()
            .screen
            .as_ref()
            .map(|screen| screen.text())
            .unwrap_or_default()
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.viewer.view().phase
    }

    pub(super) fn right(&self) -> Rights {
        self.viewer.view().rights
    }

    /// Everything told to the person so far.
    pub(super) fn said(&self) -> Vec<&ViewerNotice> {
        let said = self.events.iter().filter_map(|event| match event {
            ViewerEvent::Said(notice) => Some(&**notice),
            _ => None,
        });
        said.collect()
    }

    /// What the host answered last to somebody who manages.
    pub(super) fn answer(&self) -> Option<&Result<Option<Done>, Option<CommandError>>> {
        let mut events = self.events.iter().rev();
        events.find_map(|event| match event {
            ViewerEvent::Answered(answer) => Some(&**answer),
            _ => None,
        })
    }

    /// Why the last request was refused.
    #[track_caller]
    pub(super) fn refusal(&self) -> &CommandError {
        match self.answer() {
            Some(Err(Some(error))) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Whether something was told that is written so, or holds that.
    pub(super) fn was_told(&self, part: &str) -> bool {
        let mut said = self.said().into_iter();
        said.any(|notice| format!("{notice:?}").contains(part))
    }

    /// How it ended, as that is written, and whether regularly.
    pub(super) fn ended(&self) -> Option<(String, bool)> {
        self.events.iter().find_map(|event| match event {
            ViewerEvent::Ended { why, regular } => Some((format!("{why:?}"), *regular)),
            _ => None,
        })
    }
}

fn binding_of(conn: ConnId) -> Binding {
    let mut exported = [7; 32];
    exported[..8].copy_from_slice(&conn.0.to_be_bytes());
    Binding::tls_exporter(exported)
}

/// Whom these tests sign for.
static SECRETS: LazyLock<Mutex<BTreeMap<PublicKey, SecretKey>>> = LazyLock::new(|| {
    let seeds = (0..=255).map(|seed| (secret(seed).public(), secret(seed)));
    Mutex::new(seeds.collect())
});

/// Somebody whose key is not of a seed.
pub(super) fn signs_for(secret: &SecretKey) -> PublicKey {
    let key = secret.public();
    SECRETS.lock().unwrap().insert(key, secret.clone());
    key
}

/// The secret of somebody in these tests.
pub(super) fn secret_of(key: &PublicKey) -> SecretKey {
    SECRETS.lock().unwrap()[key].clone()
}

/// What a token string gives a viewer to present.
pub(super) fn presented(token: &str) -> (Bytes, Option<SecretKey>) {
    let token: GrantToken = token.parse().unwrap();
    (token.grant.into(), Some(SecretKey::from_bytes(&token.link)))
}
