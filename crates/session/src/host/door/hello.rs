//! Coming in: what a stranger must show, in which order, and what it gets in one flight.

use std::collections::BTreeSet;

use pillion_caps::{
    Binding, PeerEndpoint, Proof, ProofContext, PublicKey, UnixMillis, VerifiedIdentity,
};
use pillion_people::{Issuer, Name};
use pillion_proto::{
    FromHost, Hello, Notice, NoticeKind, ParticipantId, RefusalReason, Right, RightChanged,
    RightReason, Text, Version, VersionRange, Welcome,
};
use pillion_share::{Later, Network};

use crate::{
    audit::{AuditEvent, AuditPerson, AuditProof},
    host::{
        Host,
        api::{HostNotice, HostOutput},
        conn::{Conn, Early, Member, PendingOn},
        context::Context,
        door::Door,
        door::{
            admission::{Admission, AdmittedBy, Credentials, subjects_of},
            certificate::Certificate,
            early_data::ProofsUsed,
        },
        fault::PeerError,
        people::roster::Person,
        timers::Timer,
        tracks::{history::Requests, input::InputReader},
    },
    types::ConnId,
};

/// How long a connection may take to say who it is, in microseconds.
pub(in crate::host) const HELLO_WITHIN_US: u64 = 10_000_000;

/// How long a hello may wait for an issuer's keys or for lists of keys, in microseconds from when its
/// connection stood: less than a viewer waits for an answer.
pub(in crate::host) const KEYS_WITHIN_US: u64 = 6_000_000;

/// Connections that may wait to be let in. Nobody can fill it for others: the network shares out those of
/// strangers, parked hellos among them (`net/src/strangers.rs`: 512), and those who knock are shared out by network
/// and person (`knocks.rs`: 32 people with four connections each), so it only holds a driver to that which does
/// not.
const MAX_JOINING: usize = 1024;

/// How much later somebody may try again, in milliseconds.
fn wait_ms(Later(wait_us): &Later) -> u64 {
    wait_us.div_ceil(1000).max(1000)
}

/// Somebody who showed all that is needed.
pub(in crate::host) struct Admittance {
    version: Version,
    pub(in crate::host) pass: ProofsUsed,
    pub(in crate::host) identity: VerifiedIdentity,
    /// What lets them in.
    pub(in crate::host) entry: AdmittedBy,
    /// What was wrong with things that were presented beside what let them in.
    remarks: Vec<NoticeKind>,
}

/// What became of a hello that is in order.
enum HelloOutcome {
    In(Admittance),
    Knock(Admittance),
    /// These issuers' keys are needed to tell who it is.
    WaitForKeys(Vec<Issuer>),
    /// Lists of keys may say that they come in.
    WaitForLists,
}

impl Host {
    /// Somebody connected; without `binding`, the handshake is under way.
    pub(in crate::host) fn on_connected(
        &mut self,
        conn: ConnId,
        peer: PeerEndpoint,
        from: Network,
        binding: Option<Binding>,
    ) {
        let now = self.cx.now.mono_us;
        let joining = self.cx.conns.joining_count();
        self.cx
            .conns
            .insert(conn, Conn::new(peer, from, binding, now));
        if joining >= MAX_JOINING {
            return self.refuse(conn, &RefusalReason::ManyJoin.into());
        }
        let until = now.saturating_add(HELLO_WITHIN_US);
        self.cx.timers.set_by(Timer::Joiners, until);
    }

    /// The handshake of a connection that began early is complete.
    pub(in crate::host) fn on_handshake_confirmed(&mut self, conn: ConnId, binding: Binding) {
        if let Some(state) = self.cx.conns.get_mut(conn) {
            state.binding = Some(binding);
        }
    }

    /// Puts those out who connected and say nothing.
    pub(in crate::host) fn expire_joiners(&mut self) {
        let now = self.cx.now.mono_us;
        let within = |conn: &Conn| match conn.parked {
            Some(_) => KEYS_WITHIN_US,
            None => HELLO_WITHIN_US,
        };
        let due = |conn: &Conn| conn.since_us.saturating_add(within(conn));
        let joining: Vec<(ConnId, u64)> = self
            .cx
            .conns
            .iter()
            .filter(|(_, conn)| conn.member().is_none() && conn.knock.is_none())
            .map(|(id, conn)| (id, due(conn)))
            .collect();
        for (conn, due) in joining {
            let parked = self.cx.conns.get_mut(conn).filter(|_| now >= due);
            if let Some(parked) = parked.and_then(|state| state.parked.take()) {
                // Nobody answers: who they are is not known, and that may do.
                match parked.waits {
                    PendingOn::Certificate => self.refuse(conn, &Host::no_certificate()),
                    _ => self.retry_hello(conn, &parked),
                }
            } else if now >= due {
                let within_ms = HELLO_WITHIN_US / 1000;
                self.refuse(conn, &RefusalReason::NoHello { within_ms }.into());
            } else {
                self.cx.timers.set_by(Timer::Joiners, due);
            }
        }
    }

    /// A hello, `again` if it waited: what can't be told now is not believed.
    pub(in crate::host) fn on_hello(
        &mut self,
        conn: ConnId,
        hello: &Hello,
        again: bool,
    ) -> Result<(), PeerError> {
        match self.door.certificate {
            Certificate::Signed(_) => {}
            Certificate::Requested => {
                self.door
                    .park(&mut self.cx, conn, hello, PendingOn::Certificate);
                return Ok(());
            }
            Certificate::Missing => return Err(Host::no_certificate()),
        }
        match self.check_hello(conn, hello, again) {
            Ok(HelloOutcome::In(admitted)) => self.welcome(conn, hello, admitted, None),
            Ok(HelloOutcome::Knock(admitted)) => self.knock(conn, hello, admitted)?,
            Ok(HelloOutcome::WaitForKeys(issuers)) => {
                self.door.park(&mut self.cx, conn, hello, PendingOn::Keys);
                for issuer in issuers {
                    self.cx.push(HostOutput::FetchKeys { issuer });
                }
            }
            Ok(HelloOutcome::WaitForLists) => {
                self.door
                    .park(&mut self.cx, conn, hello, PendingOn::KeyLists)
            }
            Err(fault) => {
                if let Some(from) = self.cx.conns.get(conn).map(|state| state.from) {
                    self.commands
                        .log_turned_away(&mut self.cx, &from, hello, &fault);
                }
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Everything a hello is checked for. Nothing of it is believed before.
    fn check_hello(
        &mut self,
        conn: ConnId,
        hello: &Hello,
        again: bool,
    ) -> Result<HelloOutcome, PeerError> {
        let Some(state) = self.cx.conns.get(conn) else {
            return Err(PeerError::protocol("a hello from nowhere"));
        };
        let Some(binding) = state.binding else {
            return Err(PeerError::protocol(
                "a hello before the handshake is complete",
            ));
        };
        let version = self.door.check_open(&self.cx, hello.versions)?;

        let session = self.cx.keys.session.public();
        let context = ProofContext {
            binding,
            host_endpoint: session,
            viewer_endpoint: state.peer,
            session,
        };
        let bad_proof = |refusal| PeerError::from(RefusalReason::Proof(refusal));
        let key = PublicKey::from_bytes(&hello.identity)
            .map_err(|_| PeerError::from(RefusalReason::Key))?;
        let identity = Proof::from_bytes(hello.identity_proof.into())
            .verify_identity(key, &context, None)
            .map_err(bad_proof)?;

        self.people.check_person(&key)?;
        if state.peer.key() == Some(&session) || key == session {
            return Err(RefusalReason::InsideItself.into());
        }
        let (from, now) = (state.from, self.cx.now.mono_us);
        if !again {
            let came = self.door.comings.come(now, &key, &from);
            came.map_err(|later| RefusalReason::TooOften {
                wait_ms: wait_ms(&later),
            })?;
        }

        let (claims, problem, wanted) = self.door.verify_claims(&self.cx, hello, &key);
        if !wanted.is_empty() && !again {
            return Ok(HelloOutcome::WaitForKeys(wanted));
        }
        let who = subjects_of(&key, &claims);
        self.people.check_claims(&who)?;
        if self.door.look_at_lists(&mut self.cx, &self.people, &claims) && !again {
            return Ok(HelloOutcome::WaitForLists);
        }

        let link = self.door.shown_link(hello, &context).map_err(bad_proof)?;
        let shown = Credentials {
            ticket: link.map(|_| self.door.entry_by_ticket(&context.viewer_endpoint)),
            grant: false,
        };
        if self.door.decide_admission(&self.people, &who, shown) == Admission::NotAMember {
            return Err(RefusalReason::NotAMember { claim: problem }.into());
        }
        let (mut grants, mut refusal) = (Vec::new(), None);
        for presented in &hello.grants {
            match self.people.redeem(&mut self.cx, presented, &identity) {
                Ok(grant) => grants.push(grant),
                Err(error) => refusal = Some(error),
            }
        }
        let shown = Credentials {
            grant: !grants.is_empty(),
            ..shown
        };
        let answer = self.door.decide_admission(&self.people, &who, shown);
        if matches!(answer, Admission::In(_) | Admission::Knock) {
            let entered = self.door.comings.enter(now, &key, &from);
            entered.map_err(|later| RefusalReason::AllTooOften {
                wait_ms: wait_ms(&later),
            })?;
        }
        let remarks = [
            refusal.clone().map(NoticeKind::Grant),
            problem.map(NoticeKind::Claim),
        ];
        let admitted = |entry| Admittance {
            version,
            pass: ProofsUsed {
                link,
                grants,
                claims,
            },
            identity,
            entry,
            remarks: remarks.into_iter().flatten().collect(),
        };
        match (answer, refusal) {
            (Admission::In(entry), _) => Ok(HelloOutcome::In(admitted(entry))),
            (Admission::Knock, _) => {
                let entry = shown.ticket.unwrap_or(AdmittedBy::Ticket);
                Ok(HelloOutcome::Knock(admitted(entry)))
            }
            (Admission::NotAMember, _) => Err(RefusalReason::NotAMember { claim: None }.into()),
            (Admission::Nothing, Some(refusal)) => Err(RefusalReason::Grant(refusal).into()),
            (Admission::Nothing, None) => {
                self.door.check_given_to(&mut self.cx, hello, &context)?;
                Err(RefusalReason::Ticket.into())
            }
        }
    }

    /// Lets somebody in: welcome, roster and the screen of now leave together.
    /// `reserved` is the number they knocked under.
    pub(in crate::host) fn welcome(
        &mut self,
        conn: ConnId,
        hello: &Hello,
        admitted: Admittance,
        reserved: Option<ParticipantId>,
    ) {
        let Admittance {
            version,
            pass,
            identity,
            entry,
            remarks,
        } = admitted;
        let key = identity.key();
        let join = (key, hello.join);
        if let Some(old) = self.cx.conns.of_join(&join) {
            self.close(old, 0);
        }
        let room = self.people.check_room(&self.cx, &join);
        let from = self.cx.conns.get(conn).map(|state| state.from);
        let room = room.and_then(|()| from.map_or(Ok(()), |from| self.make_place(&key, &from)));
        if let Err(fault) = room {
            return self.refuse(conn, &fault);
        }

        let Certificate::Signed(certificate) = self.door.certificate else {
            return self.refuse(conn, &Host::no_certificate());
        };
        let now = self.cx.now;
        let claims = pass.claims.clone();
        let who = subjects_of(&key, &claims);
        self.people.give_listed_right(&mut self.cx, &identity, &who);
        let standing = self.people.rights().standing(&key, UnixMillis(now.unix_ms));
        self.cx.door_changed |= standing.rights.has(Right::Manage);
        if self
            .people
            .roster()
            .by_identity(&key)
            .is_some_and(|person| person.standing != standing)
        {
            self.people
                .send_standing(&mut self.cx, &key, RightReason::GrantAcceptedElsewhere);
        }
        let [a, b, c, d, ..] = self.cx.random();
        let edit_epoch = u32::from_be_bytes([a, b, c, d]);
        let name = Name::of(hello.name.as_str());
        let (id, is_first) = self
            .people
            .roster_mut()
            .enter(key, name, standing, edit_epoch, reserved);
        if let Some(person) = self.people.roster_mut().get_mut(id) {
            person.claims.extend(claims.iter().cloned());
            person.entry = entry;
        }
        let Some(state) = self.cx.conns.get_mut(conn) else {
            return;
        };
        // What was shown before has a stream of its own, and nobody acknowledges it.
        let track_streams = u32::from(state.early == Early::Shown);
        let (peer, from) = (state.peer, state.from);
        if let PeerEndpoint::Proved(endpoint) = peer {
            self.door.known.note(endpoint, join, pass.clone(), from);
        }
        let member = Member {
            id,
            join,
            identity,
            read_only: hello.read_only,
            entry,
            pass,
            subscribe: hello.subscribe.clone(),
            looks_at: BTreeSet::new(),
            track_streams,
            input: InputReader::new(),
            requests: Requests::new(),
        };
        self.cx.conns.enter(conn, member);
        self.cx.push(HostOutput::Accepted { conn });
        if let PeerEndpoint::Proved(endpoint) = peer {
            self.door.codes.came(&endpoint);
        }

        let welcome = Welcome {
            version,
            software: Text::cut(&self.cx.names.software),
            session_name: Text::cut(&self.cx.names.session),
            host_name: Text::cut(&self.cx.names.host),
            host_identity: *self.cx.keys.identity.as_bytes(),
            host_certificate: (*certificate.as_bytes()).into(),
            you: id,
            right: RightChanged {
                rights: standing.rights,
                until_unix_ms: standing.until.map(|until| until.0),
                edit_epoch: self
                    .people
                    .roster()
                    .get(id)
                    .map_or(0, |person| person.edit_epoch),
                why: Some(RightReason::Standing),
            },
            read_only: self.cx.read_only,
            accepted: self.tracks.seen(&join),
            tracks: self.tracks.track_infos(),
            shows: self.tracks.shown(),
        };
        self.cx.send(conn, &FromHost::Welcome(Box::new(welcome)));
        for part in self.people.roster().whole() {
            self.cx.send(conn, &FromHost::Roster(part));
        }
        for remark in remarks {
            let what = Some(remark);
            self.cx.send(conn, &FromHost::Notice(Notice { what }));
        }
        self.tracks.look(&mut self.cx, conn);
        self.tracks.tell_dropped_again(&mut self.cx, conn);

        if is_first
            && self
                .door
                .logs_visit(&mut self.cx, &self.people, &key, id, &from, true)
        {
            let name = self.people.name_of(id);
            let claims = claims.iter().map(|claim| claim.who.to_string()).collect();
            self.cx.log_event(&AuditEvent::Joined {
                person: AuditPerson {
                    id,
                    name: name.clone(),
                    identity: key,
                },
                proof: AuditProof {
                    proof: entry,
                    claims,
                },
            });
            if let Some(proof) = self.people.roster().get(id).map(Person::proof) {
                self.cx.notice(HostNotice::Joined {
                    id,
                    name,
                    identity: key,
                    proof,
                });
            }
        }
    }

    /// What inputs of this viewer have to name.
    #[cfg(test)]
    pub(crate) fn tenure_for_tests(&self, conn: ConnId) -> u32 {
        let person = self
            .cx
            .conns
            .member(conn)
            .and_then(|member| self.people.roster().get(member.id));
        person.map_or(0, |person| person.edit_epoch)
    }
}

impl Door {
    /// Whether the session is open to anybody, and in which version.
    pub(in crate::host) fn check_open(
        &self,
        cx: &Context,
        versions: VersionRange,
    ) -> Result<Version, PeerError> {
        let version = VersionRange::OURS
            .agree(versions)
            .map_err(RefusalReason::Version)?;
        if !cx.shared {
            return Err(RefusalReason::NotShared.into());
        }
        Ok(version)
    }
}
