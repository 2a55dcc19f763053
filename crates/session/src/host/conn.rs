//! Connections: those that have not said who they are, and those of viewers.

use std::collections::{BTreeMap, BTreeSet};

use pillion_caps::{Binding, PeerEndpoint, PublicKey, VerifiedIdentity};
use pillion_proto::{
    AdmittedBy, Framer, FromHost, FromViewer, Hello, JoinId, ParticipantId, PathKind, Ping,
    RefusalReason, Refused, Subscribe, TrackId,
};
use pillion_share::{Lineage, Network};

use crate::{
    audit::{AuditEvent, AuditPerson},
    host::{
        Host,
        api::{HostNotice, HostOutput},
        context::Context,
        door::{early_data::ProofsUsed, knocks::PendingAdmittance},
        fault::PeerError,
        people::People,
        rate::Bucket,
        timers::Timer,
        tracks::{history::Requests, input::InputReader},
    },
    types::{ConnId, Stream},
};

/// Longest message a viewer has reason to send on its control stream, in bytes: a hello with four
/// grants and four claims. What ten thousand half-open joiners can make a host hold is a multiple of it.
const MAX_FROM_VIEWER: usize = 56 * 1024;

/// Messages a second a viewer may send in the long run, and at once. Acknowledgements come at most
/// once a frame, so 120 a second; a history request counts for several.
const MESSAGES_PER_SECOND: u64 = 200;
const MESSAGE_BURST: u64 = 400;

/// Silence after which a viewer is said to be silent, in microseconds, beside a round trip: its process was killed, or
/// its network cut. A viewer says something every 1.2 seconds.
const SILENT_AFTER_US: u64 = 2_500_000;

/// One connection.
pub(in crate::host) struct Conn {
    pub(in crate::host) peer: PeerEndpoint,
    /// Where it comes from.
    pub(in crate::host) from: Lineage,
    /// What proofs on it are bound to; `None` while its handshake is under way.
    pub(in crate::host) binding: Option<Binding>,
    pub(in crate::host) early: Early,
    pub(in crate::host) since_us: u64,
    framer: Framer,
    messages: Bucket,
    /// When it was last heard, or its path changed.
    pub(in crate::host) heard_at_us: u64,
    /// When it last said something itself.
    said_at_us: u64,
    pub(in crate::host) path: PathKind,
    pub(in crate::host) rtt_us: Option<u32>,
    /// A hello that waits for something to tell who it is by.
    pub(in crate::host) parked: Option<Box<PendingHello>>,
    /// Showed the ticket, and waits for the host's answer.
    pub(in crate::host) knock: Option<Box<PendingAdmittance>>,
    member: Option<Box<Member>>,
}

/// What came of the one [`Resume`](pillion_proto::Resume) a connection may begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum Early {
    /// None came.
    Unasked,
    /// One came; there was nothing to show.
    Ignored,
    /// One came and was shown the screen, on the track's first epoch.
    Shown,
}

/// A hello that waits.
pub(in crate::host) struct PendingHello {
    pub(in crate::host) hello: Hello,
    pub(in crate::host) waits: PendingOn,
}

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum PendingOn {
    /// The identity's word that the session is its own.
    Certificate,
    /// An issuer's keys.
    Keys,
    /// Lists of SSH keys.
    KeyLists,
}

/// A connection that was let in.
pub(in crate::host) struct Member {
    pub(in crate::host) id: ParticipantId,
    /// Who, and which run of whose viewer.
    pub(in crate::host) join: (PublicKey, JoinId),
    pub(in crate::host) identity: VerifiedIdentity,
    pub(in crate::host) read_only: bool,
    /// What let it in.
    pub(in crate::host) entry: AdmittedBy,
    /// What it showed.
    pub(in crate::host) pass: ProofsUsed,
    /// What it wants to look at, and what it is shown.
    pub(in crate::host) subscribe: Subscribe,
    pub(in crate::host) looks_at: BTreeSet<TrackId>,
    /// Track streams opened so far.
    pub(in crate::host) track_streams: u32,
    pub(in crate::host) input: InputReader,
    pub(in crate::host) requests: Requests,
}

impl Conn {
    pub(in crate::host) fn new(
        peer: PeerEndpoint,
        from: Network,
        binding: Option<Binding>,
        now_us: u64,
    ) -> Conn {
        Conn {
            peer,
            from: from.lineage(),
            binding,
            early: Early::Unasked,
            since_us: now_us,
            framer: Framer::new(MAX_FROM_VIEWER),
            messages: Bucket::new(now_us, MESSAGES_PER_SECOND, MESSAGE_BURST),
            heard_at_us: now_us,
            said_at_us: now_us,
            path: PathKind::Unknown,
            rtt_us: None,
            parked: None,
            knock: None,
            member: None,
        }
    }

    pub(in crate::host) fn member(&self) -> Option<&Member> {
        self.member.as_deref()
    }

    /// When it counts as silent if nothing more is heard of it.
    fn silent_at_us(&self) -> u64 {
        let patience = SILENT_AFTER_US + u64::from(self.rtt_us.unwrap_or_default());
        self.said_at_us.saturating_add(patience)
    }

    pub(in crate::host) fn member_mut(&mut self) -> Option<&mut Member> {
        self.member.as_deref_mut()
    }

    /// Takes `cost` from what it may still ask of the host.
    pub(in crate::host) fn charge(&mut self, now_us: u64, cost: u64) -> bool {
        self.messages.take(now_us, cost)
    }
}

/// Every connection, and whose those are that were let in.
pub(in crate::host) struct Conns {
    all: BTreeMap<ConnId, Conn>,
    /// Of each viewer's run.
    joins: BTreeMap<(PublicKey, JoinId), ConnId>,
    /// Of each participant.
    people: BTreeSet<(ParticipantId, ConnId)>,
}

impl Conns {
    pub(in crate::host) fn new() -> Conns {
        Conns {
            all: BTreeMap::new(),
            joins: BTreeMap::new(),
            people: BTreeSet::new(),
        }
    }

    pub(in crate::host) fn get(&self, conn: ConnId) -> Option<&Conn> {
        self.all.get(&conn)
    }

    pub(in crate::host) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.all.get_mut(&conn)
    }

    pub(in crate::host) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.all.iter().map(|(id, conn)| (*id, conn))
    }

    pub(in crate::host) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnId, &mut Conn)> {
        self.all.iter_mut().map(|(id, conn)| (*id, conn))
    }

    pub(in crate::host) fn insert(&mut self, id: ConnId, conn: Conn) {
        self.all.insert(id, conn);
    }

    /// Lets go of a connection.
    fn remove(&mut self, id: ConnId) -> Option<Conn> {
        let conn = self.all.remove(&id)?;
        if let Some(member) = conn.member() {
            self.people.remove(&(member.id, id));
            if self.joins.get(&member.join) == Some(&id) {
                self.joins.remove(&member.join);
            }
        }
        Some(conn)
    }

    /// A connection was let in.
    pub(in crate::host) fn enter(&mut self, id: ConnId, member: Member) {
        if let Some(conn) = self.all.get_mut(&id) {
            self.people.insert((member.id, id));
            self.joins.insert(member.join, id);
            conn.member = Some(Box::new(member));
        }
    }

    pub(in crate::host) fn member(&self, conn: ConnId) -> Option<&Member> {
        self.get(conn)?.member()
    }

    pub(in crate::host) fn member_mut(&mut self, conn: ConnId) -> Option<&mut Member> {
        self.get_mut(conn)?.member_mut()
    }

    /// The connection of one run of a viewer.
    pub(in crate::host) fn of_join(&self, join: &(PublicKey, JoinId)) -> Option<ConnId> {
        self.joins.get(join).copied()
    }

    /// Connections of a participant.
    pub(in crate::host) fn of_person(&self, id: ParticipantId) -> Vec<ConnId> {
        self.person(id).collect()
    }

    /// The identity of a participant who is connected.
    pub(in crate::host) fn identity_of(&self, id: ParticipantId) -> Option<&VerifiedIdentity> {
        let conn = self.person(id).next()?;
        Some(&self.member(conn)?.identity)
    }

    fn person(&self, id: ParticipantId) -> impl Iterator<Item = ConnId> {
        let theirs = (id, ConnId(0))..=(id, ConnId(u64::MAX));
        self.people.range(theirs).map(|(_, conn)| *conn)
    }

    /// Connections of all viewers.
    pub(in crate::host) fn viewers(&self) -> impl Iterator<Item = ConnId> {
        let viewers = self.iter().filter(|(_, conn)| conn.member.is_some());
        viewers.map(|(conn, _)| conn)
    }

    /// How many viewers there are.
    pub(in crate::host) fn viewer_count(&self) -> usize {
        self.people.len()
    }

    /// How many connections were not let in.
    pub(in crate::host) fn joining_count(&self) -> usize {
        self.all.len() - self.people.len()
    }
}

impl Host {
    /// Bytes came from a peer.
    pub(in crate::host) fn on_received(&mut self, conn: ConnId, stream: Stream, bytes: &[u8]) {
        let now = self.cx.now.mono_us;
        let Some(state) = self.cx.conns.get_mut(conn) else {
            return;
        };
        state.heard_at_us = now;
        state.said_at_us = now;
        if let Some(member) = state.member() {
            let id = member.id;
            self.people.roster_mut().set_silent(id, false);
            self.watch_silence();
        }
        let outcome = match stream {
            Stream::Control => self.on_control(conn, bytes),
            Stream::Input { epoch } => self.on_input(conn, epoch, bytes),
            Stream::History { id } => self.tracks.on_history_stream(&mut self.cx, conn, id, bytes),
            // Tracks go the other way.
            Stream::Track { .. } => Ok(()),
        };
        if let Err(fault) = outcome {
            self.refuse(conn, &fault);
        }
    }

    fn on_control(&mut self, conn: ConnId, bytes: &[u8]) -> Result<(), PeerError> {
        if let Some(state) = self.cx.conns.get_mut(conn) {
            state.framer.push(bytes);
        }
        // The connection may end with any of its messages.
        while let Some(state) = self.cx.conns.get_mut(conn) {
            let Some((tag, payload)) = state.framer.next_message()? else {
                break;
            };
            if !self.cx.charge(conn, 1) {
                return Err(RefusalReason::Flood.into());
            }
            let message = FromViewer::decode(tag, &payload)?;
            self.on_message(conn, message)?;
        }
        Ok(())
    }

    fn on_message(&mut self, conn: ConnId, message: FromViewer) -> Result<(), PeerError> {
        let Some(member) = self.cx.conns.member(conn) else {
            let state = self.cx.conns.get(conn);
            let said = state.is_some_and(|state| state.knock.is_some() || state.parked.is_some());
            return match message {
                FromViewer::Hello(_) if said => Err(PeerError::protocol("a second hello")),
                FromViewer::Hello(hello) => self.on_hello(conn, &hello, false),
                // Signs of life of who waits at the door.
                FromViewer::Ping(ping) if said => {
                    self.cx.send(conn, &FromHost::Pong(ping));
                    Ok(())
                }
                FromViewer::Unknown(_) if said => Ok(()),
                FromViewer::Resume(resume) => self.on_resume(conn, &resume),
                FromViewer::Leave => {
                    self.close(conn, 0);
                    Ok(())
                }
                _ => Err(PeerError::protocol("something before the hello")),
            };
        };
        let id = member.id;
        match message {
            FromViewer::Hello(_) => return Err(PeerError::protocol("a second hello")),
            FromViewer::Resume(_) => {
                return Err(PeerError::protocol("a resumption after the hello"));
            }
            FromViewer::Ack(ack) => self.tracks.on_ack(&mut self.cx, conn, &ack)?,
            FromViewer::RequestEdit => self.people.on_request(&mut self.cx, conn, id),
            FromViewer::Redeem(proof) => self.people.on_redeem(&mut self.cx, conn, &proof),
            FromViewer::Ping(Ping { nonce }) => self.cx.send(conn, &FromHost::Pong(Ping { nonce })),
            FromViewer::Leave => self.close(conn, 0),
            FromViewer::Command(request) => self.on_remote_command(conn, request)?,
            FromViewer::NeedSnapshot(track) => {
                self.tracks.on_need_snapshot(&mut self.cx, conn, track)
            }
            FromViewer::Subscribe(subscribe) => {
                self.tracks.on_subscribe(&mut self.cx, conn, subscribe)?
            }
            FromViewer::Unknown(_) => {}
        }
        Ok(())
    }

    pub(in crate::host) fn on_path(&mut self, conn: ConnId, kind: PathKind, rtt_us: u32) {
        let now = self.cx.now.mono_us;
        if let Some(state) = self.cx.conns.get_mut(conn) {
            state.heard_at_us = now;
            state.path = kind;
            state.rtt_us = Some(rtt_us);
        }
    }

    /// Watches for silence from now on, if it is not watched for.
    fn watch_silence(&mut self) {
        let at = self.cx.now.mono_us.saturating_add(SILENT_AFTER_US);
        self.cx.timers.set_if_unset(Timer::Silence, at);
    }

    /// Tells a peer why, and closes.
    pub(in crate::host) fn refuse(&mut self, conn: ConnId, fault: &PeerError) {
        let code = fault.0.code();
        let why = Some(fault.0.clone());
        self.cx
            .send(conn, &FromHost::Refused(Refused { code, why }));
        self.close(conn, code.0);
    }

    /// Closes a connection; nothing that still comes from it counts.
    pub(in crate::host) fn close(&mut self, conn: ConnId, code: u8) {
        if self.cx.conns.get(conn).is_some() {
            self.cx.push(HostOutput::Finish {
                conn,
                stream: Stream::Control,
            });
            self.cx.push(HostOutput::Close { conn, code });
            self.forget(conn);
        }
    }

    /// A connection is gone, or as good as that.
    pub(in crate::host) fn forget(&mut self, conn: ConnId) {
        let Some(state) = self.cx.conns.remove(conn) else {
            return;
        };
        if let Some(kept) = &state.knock {
            self.door.knock_left(&mut self.cx, conn, kept.id);
        }
        let Some(member) = state.member else { return };
        self.tracks.left(conn, &member.looks_at);
        if self.people.roster_mut().leave(member.id, state.from) {
            self.tracks.forget(&member.join.0);
            self.commands.end_span(&mut self.cx, &member.join.0);
            self.people.end_request(&mut self.cx, member.id);
            self.cx.standings_changed.push(member.id);
            let key = member.identity.key();
            let Host {
                door, cx, people, ..
            } = self;
            if !door.logs_visit(cx, people, &key, member.id, &state.from, false) {
                return;
            }
            let name = self.people.name_of(member.id);
            self.cx.log_event(&AuditEvent::Left {
                person: AuditPerson {
                    id: member.id,
                    name: name.clone(),
                    identity: key,
                },
            });
            self.cx.notice(HostNotice::Left {
                id: member.id,
                name,
            });
        }
    }
}

impl People {
    /// Notes of whom nothing is heard: who has no connection on which something is.
    pub(in crate::host) fn note_silence(&mut self, cx: &mut Context) {
        let now = cx.now.mono_us;
        let mut heard: BTreeMap<ParticipantId, bool> = BTreeMap::new();
        let mut next = u64::MAX;
        for (_, conn) in cx.conns.iter() {
            let Some(member) = conn.member() else {
                continue;
            };
            let at = conn.silent_at_us();
            *heard.entry(member.id).or_default() |= now < at;
            if now < at {
                next = next.min(at);
            }
        }
        for (id, heard) in heard {
            self.roster_mut().set_silent(id, !heard);
        }
        cx.timers.set(Timer::Silence, next);
    }
}
