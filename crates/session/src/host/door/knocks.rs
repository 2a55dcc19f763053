//! Knocking: people who hold the ticket, are not on the list, and wait for an answer.
//!
//! They are told that the host is being asked, and nothing else: no name, no roster, no picture, no
//! line of history. What they showed was checked when they knocked, and is kept beside their
//! connection; being let in means to go on from there.

use std::collections::{BTreeMap, BTreeSet};

use pillion_caps::{PeerEndpoint, PublicKey, Subject, UnixMillis};
use pillion_people::Name;
use pillion_proto::{
    AdmittedBy, FromHost, Hello, KnockInfo, Knocks as Told, KnocksFrom, OwnLabel, ParticipantId,
    RefusalReason, Text, Waiting,
    limits::{MAX_CLAIMS_IN_HELLO, MAX_KNOCKS, MAX_SENTENCE},
};
use pillion_share::{Limits, Lineage, Network, NetworkKind, SharedRate};

use crate::{
    audit::{AuditEvent, AuditProof},
    host::{
        Host,
        api::{HostNotice, HostOutput},
        commands::{
            execute::refused,
            question::Question,
            verbs::{CommandError, ParticipantStatus, PersonLabel, Proved, TurnedAway},
        },
        context::Context,
        door::Door,
        door::{
            admission::{Admission, Credentials, VerifiedClaim, subjects_of},
            hello::Admittance,
        },
        fault::PeerError,
        people::People,
        people::standing::ChangeReason,
        principal::Principal,
        timers::Timer,
    },
    types::ConnId,
};

/// Connections one identity may knock with: its windows.
const MAX_EACH: usize = 4;

/// After a no, or when nobody answered, the same identity or endpoint may knock again so much later, in
/// microseconds.
const AGAIN_US: u64 = 30_000_000;

/// Identities and endpoints remembered for that; beyond, the oldest is forgotten. Nobody can fill it: knocks
/// come at [`PER_SECOND`], so in [`AGAIN_US`] no more than a hundred are turned away, each with
/// an identity and few endpoints.
const MAX_TURNED_AWAY: usize = 1024;

/// Knocks a second in the long run, and at once: each is a line on somebody's terminal. A network has a part
/// of it ([`PART`]), and who knocks all the time leaves room for who knocks first.
const PER_SECOND: u64 = 1;
const BURST: u64 = MAX_KNOCKS as u64;

/// Keys are free: an address may have a quarter of those who knock, an IPv6 /56 half; see
/// [`pillion_share`].
const PART: u64 = 4;

/// Somebody who knocks, over all connections they do it with.
pub(in crate::host) struct Knock {
    pub(in crate::host) id: ParticipantId,
    pub(in crate::host) identity: PublicKey,
    /// What they call themselves.
    pub(in crate::host) name: Name,
    /// What they proved to be beside their key.
    pub(in crate::host) claims: Vec<VerifiedClaim>,
    /// What the ticket they hold counts as.
    ticket: AdmittedBy,
    /// Where they knocked from first.
    from: Network,
    conns: BTreeSet<ConnId>,
    since_us: u64,
    until_us: u64,
}

impl Knock {
    /// What replies call them.
    pub(in crate::host) fn label(&self) -> PersonLabel {
        PersonLabel {
            id: self.id,
            name: self.name.to_string(),
            identity: self.identity,
        }
    }

    /// All they are known to be.
    pub(in crate::host) fn subjects(&self) -> Vec<Subject> {
        subjects_of(&self.identity, &self.claims)
    }

    /// What they hold, and what they proved to be.
    fn proof(&self) -> Proved {
        let claims = self.claims.iter().map(|one| one.who.to_string());
        Proved {
            by: self.ticket,
            claims: claims.collect(),
        }
    }

    /// The claims as those who manage are told them: so much of them that everybody who knocks fits into a message.
    fn told_claims(&self) -> Vec<Text<MAX_SENTENCE>> {
        let mut room = MAX_SENTENCE;
        let claims = self.claims.iter().map(|one| one.who.as_str());
        let fit = claims.take_while(|claim| {
            let fits = claim.len() <= room;
            room = room.saturating_sub(claim.len());
            fits
        });
        fit.take(MAX_CLAIMS_IN_HELLO).map(Text::cut).collect()
    }

    /// What the log says of how they come.
    fn audit_proof(&self) -> AuditProof {
        self.proof().into()
    }

    /// What the log says of one that was not let in.
    fn turned_away(&self, why: Option<RefusalReason>, for_good: Option<bool>) -> AuditEvent {
        AuditEvent::TurnedAway {
            id: Some(self.id),
            name: self.name.to_string(),
            identity: Some(self.identity),
            proof: Some(self.audit_proof()),
            why,
            for_good,
            others: None,
        }
    }

    /// Whether to let them in.
    pub(in crate::host) fn question(&self) -> Question {
        Question::knock(&self.identity, self.proof(), &self.name)
    }
}

/// What a connection that knocks goes on with when it is let in.
pub(in crate::host) struct PendingAdmittance {
    pub(in crate::host) id: ParticipantId,
    pub(in crate::host) hello: Hello,
    pub(in crate::host) admitted: Admittance,
}

/// Everybody who knocks.
pub(in crate::host) struct Knocks {
    waiting: BTreeMap<ParticipantId, Knock>,
    /// Identities and endpoints that may not knock yet.
    cooldowns: BTreeMap<PublicKey, u64>,
    rate: SharedRate,
    wait_ms: u64,
}

impl Knocks {
    pub(in crate::host) fn new(now_us: u64, wait_ms: u64) -> Knocks {
        Knocks {
            waiting: BTreeMap::new(),
            cooldowns: BTreeMap::new(),
            rate: SharedRate::new(now_us, PER_SECOND, BURST, PART),
            wait_ms: wait_ms.clamp(1_000, u64::from(u32::MAX)),
        }
    }

    pub(in crate::host) fn get(&self, id: ParticipantId) -> Option<&Knock> {
        self.waiting.get(&id)
    }

    /// Everybody who waits.
    pub(in crate::host) fn waiting(&self) -> impl Iterator<Item = &Knock> {
        self.waiting.values()
    }

    fn turn_away(&mut self, key: PublicKey, until_us: u64) {
        self.cooldowns.insert(key, until_us);
        if self.cooldowns.len() > MAX_TURNED_AWAY {
            let oldest = self.cooldowns.iter().min_by_key(|(_, until)| **until);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.cooldowns.remove(&oldest);
            }
        }
    }

    fn may_knock_at(&self, key: &PublicKey) -> u64 {
        self.cooldowns.get(key).copied().unwrap_or(0)
    }
}

impl Host {
    /// Somebody who showed the ticket waits for an answer.
    pub(in crate::host) fn knock(
        &mut self,
        conn: ConnId,
        hello: &Hello,
        admitted: Admittance,
    ) -> Result<(), PeerError> {
        let now = self.cx.now.mono_us;
        let peer = self
            .cx
            .conns
            .get(conn)
            .map(|state| (state.peer, state.from));
        let Some((peer, from)) = peer else {
            return Ok(());
        };
        let key = admitted.identity.key();
        let keys = [Some(&key), peer.key()].into_iter().flatten();
        let at = keys.map(|key| self.door.knocks.may_knock_at(key)).max();
        let at = at.unwrap_or(0);
        if now < at {
            let wait_ms = (at - now).div_ceil(1000);
            return Err(RefusalReason::KnockLater { wait_ms }.into());
        }
        let known = self
            .door
            .knocks
            .waiting
            .values()
            .find(|knock| knock.identity == key);
        let id = match known.map(|knock| knock.id) {
            Some(id) => {
                self.leave_older_knocks(id, hello);
                id
            }
            None => self
                .door
                .reserve_knock(&mut self.cx, &mut self.people, key, &from)?,
        };
        let until_us = now.saturating_add(self.door.knocks.wait_ms.saturating_mul(1000));
        let is_new = !self.door.knocks.waiting.contains_key(&id);
        let name = Name::of(hello.name.as_str());
        let claims = admitted.pass.claims.clone();
        let ticket = admitted.entry;
        let knock = self.door.knocks.waiting.entry(id).or_insert_with(|| Knock {
            id,
            identity: key,
            name,
            claims,
            ticket,
            from: from.own(),
            conns: BTreeSet::new(),
            since_us: now,
            until_us,
        });
        if knock.conns.len() >= MAX_EACH {
            let max = MAX_EACH as u32;
            return Err(RefusalReason::KnocksOften { max }.into());
        }
        knock.conns.insert(conn);
        let (until_us, label) = (knock.until_us, knock.label());
        let left_ms = until_us.saturating_sub(now).div_ceil(1000);
        self.cx.push(HostOutput::Accepted { conn });
        if let Some(state) = self.cx.conns.get_mut(conn) {
            state.knock = Some(Box::new(PendingAdmittance {
                id,
                hello: hello.clone(),
                admitted,
            }));
        }
        let wait_ms = u32::try_from(left_ms).unwrap_or(u32::MAX);
        self.cx.send(
            conn,
            &FromHost::Waiting(Waiting {
                you: OwnLabel {
                    id,
                    name: Text::cut(&label.name),
                },
                wait_ms,
            }),
        );
        self.cx.timers.set_by(Timer::Knocks, until_us);
        if is_new {
            self.door.announce_knock(&mut self.cx, id);
        }
        Ok(())
    }

    /// The same run of a viewer knocks again: its connection before was cut.
    fn leave_older_knocks(&mut self, id: ParticipantId, hello: &Hello) {
        let older = self.cx.conns.iter().filter(|(_, state)| {
            let kept = state.knock.as_ref();
            kept.is_some_and(|kept| kept.id == id && kept.hello.join == hello.join)
        });
        let older: Vec<ConnId> = older.map(|(conn, _)| conn).collect();
        for conn in older {
            // Silently: the knock goes on.
            if let Some(state) = self.cx.conns.get_mut(conn) {
                state.knock = None;
            }
            if let Some(knock) = self.door.knocks.waiting.get_mut(&id) {
                knock.conns.remove(&conn);
            }
            self.close(conn, 0);
        }
    }

    /// `pillion admit`.
    pub(in crate::host) fn admit(
        &mut self,
        by: &Principal,
        id: ParticipantId,
    ) -> Result<PersonLabel, CommandError> {
        let knock = self
            .door
            .knocks
            .get(id)
            .ok_or(CommandError::NobodyKnocks(id))?;
        let (label, who) = (knock.label(), Subject::key(&knock.identity));
        let view = pillion_proto::Rights::VIEW;
        let listed = self.people.allow(&[who], view);
        listed.map_err(|refusal| refused(&refusal))?;
        self.let_in(by, id, AdmittedBy::Answer);
        Ok(label)
    }

    /// Goes on with everybody's connection who knocks under this number.
    fn let_in(&mut self, by: &Principal, id: ParticipantId, entry: AdmittedBy) {
        let Some(knock) = self.door.end_knock(&mut self.cx, id) else {
            return;
        };
        let event = AuditEvent::Admitted {
            person: knock.label().into(),
            proof: AuditProof {
                proof: entry,
                ..knock.audit_proof()
            },
        };
        self.people.log_by(&mut self.cx, by, &event);
        for conn in knock.conns {
            let kept = self
                .cx
                .conns
                .get_mut(conn)
                .and_then(|state| state.knock.take());
            if let Some(kept) = kept {
                let PendingAdmittance {
                    hello,
                    mut admitted,
                    ..
                } = *kept;
                admitted.entry = entry;
                self.welcome(conn, &hello, admitted, Some(id));
            }
        }
    }

    /// `pillion refuse`.
    pub(in crate::host) fn turn_away(
        &mut self,
        by: &Principal,
        id: ParticipantId,
        for_good: bool,
    ) -> Result<TurnedAway, CommandError> {
        let knock = self
            .door
            .knocks
            .get(id)
            .ok_or(CommandError::NobodyKnocks(id))?;
        let (person, key) = (knock.label(), knock.identity);
        let claims: Vec<Subject> = knock.claims.iter().map(|one| one.who.clone()).collect();
        let ended = match for_good {
            true => self.people.bar_all(&self.cx, key, &claims),
            false => self.people.end_links(&self.cx, &key),
        };
        let host = Text::cut(&self.people.display_name(&self.cx, by));
        let why = match for_good {
            true => RefusalReason::Barred { by: host },
            false => RefusalReason::Declined { by: host },
        };
        self.send_away(by, id, why, Some(for_good));
        if for_good {
            // Others may have proved to be the same.
            self.put_out_banned();
            self.reconsider_knocks();
        }
        // Only then: who is kept out is not told what right would be left.
        if ended.links > 0 {
            self.people
                .refresh_standings(&mut self.cx, ChangeReason::Revoked);
        }
        Ok(TurnedAway::Knock {
            person,
            for_good,
            again_ms: AGAIN_US / 1000,
            ended,
        })
    }

    /// Ends a knock with words, and notes who it was.
    fn send_away(
        &mut self,
        by: &Principal,
        id: ParticipantId,
        why: RefusalReason,
        for_good: Option<bool>,
    ) {
        let until_us = self.cx.now.mono_us.saturating_add(AGAIN_US);
        let Some(knock) = self.door.end_knock(&mut self.cx, id) else {
            return;
        };
        self.people.log_by(
            &mut self.cx,
            by,
            &knock.turned_away(Some(why.clone()), for_good),
        );
        self.door.knocks.turn_away(knock.identity, until_us);
        let fault = PeerError::from(why);
        for conn in knock.conns {
            if let Some(state) = self.cx.conns.get_mut(conn) {
                state.knock = None;
                if let PeerEndpoint::Proved(endpoint) = state.peer {
                    self.door.knocks.turn_away(endpoint, until_us);
                }
            }
            self.refuse(conn, &fault);
        }
    }

    /// Lets go of the memberships among what those who wait proved that a team took back; they are asked
    /// about again without them.
    pub(in crate::host) fn forget_taken_back(&mut self) {
        let trust = &self.door.trust;
        let holds = |claim: &VerifiedClaim| !claim.is_taken_back(trust);
        let mut changed = Vec::new();
        for knock in self.door.knocks.waiting.values_mut() {
            let before = knock.claims.len();
            knock.claims.retain(holds);
            if knock.claims.len() != before {
                changed.push(knock.id);
            }
        }
        let kept = self
            .cx
            .conns
            .iter_mut()
            .filter_map(|(_, state)| state.knock.as_mut());
        for kept in kept {
            kept.admitted.pass.claims.retain(holds);
        }
        if changed.is_empty() {
            return;
        }
        self.reconsider_knocks();
        for id in changed {
            if self.door.knocks.get(id).is_some() {
                self.cx.notice(HostNotice::KnockGone { id });
                self.door.announce_knock(&mut self.cx, id);
            }
        }
    }

    /// Who may come in changed: so may the answer to those who wait.
    pub(in crate::host) fn reconsider_knocks(&mut self) {
        let ids: Vec<ParticipantId> = self.door.knocks.waiting.keys().copied().collect();
        for id in ids {
            let Some(knock) = self.door.knocks.get(id) else {
                continue;
            };
            let who = knock.subjects();
            let out = match self.people.check_person(&knock.identity) {
                Ok(()) => self.people.check_claims(&who),
                barred => barred,
            };
            let shown = Credentials {
                ticket: Some(knock.ticket),
                grant: false,
            };
            let fault = match (out, self.door.decide_admission(&self.people, &who, shown)) {
                (Err(barred), _) => barred,
                (Ok(()), Admission::In(entry)) => {
                    self.let_in(&Principal::Rule, id, entry);
                    continue;
                }
                (Ok(()), Admission::NotAMember) => RefusalReason::NotAMember { claim: None }.into(),
                (Ok(()), Admission::Knock | Admission::Nothing) => continue,
            };
            self.send_away(&Principal::Rule, id, fault.0, None);
        }
    }

    /// Refuses those whom nobody answered.
    pub(in crate::host) fn expire_knocks(&mut self) {
        let now = self.cx.now.mono_us;
        let due: Vec<(ParticipantId, u64)> = self
            .door
            .knocks
            .waiting
            .values()
            .map(|knock| (knock.id, knock.until_us))
            .collect();
        for (id, until_us) in due {
            if now < until_us {
                self.cx.timers.set_by(Timer::Knocks, until_us);
                continue;
            }
            let waited = self
                .door
                .knocks
                .get(id)
                .map_or(0, |knock| until_us - knock.since_us);
            let waited_ms = waited / 1000;
            let why = RefusalReason::Unanswered { waited_ms };
            self.send_away(&Principal::Rule, id, why, None);
        }
    }
}

impl Door {
    /// A number for somebody new at the door, if there is room.
    fn reserve_knock(
        &mut self,
        cx: &mut Context,
        people: &mut People,
        key: PublicKey,
        from: &Lineage,
    ) -> Result<ParticipantId, PeerError> {
        let now = cx.now.mono_us;
        let limits = Limits::parts(MAX_KNOCKS as u64, PART, 1);
        let full = from[1..].iter().find(|network| {
            let inside = |knock: &&Knock| knock.from.lineage().contains(network);
            let held = self.knocks.waiting.values().filter(inside).count() as u64;
            held >= limits.of(network)
        });
        if let Some(network) = full {
            let from = match network.kind() {
                NetworkKind::All => None,
                NetworkKind::Address => Some(KnocksFrom::Address),
                NetworkKind::Relay => Some(KnocksFrom::Relay),
                NetworkKind::Endpoint => Some(KnocksFrom::Endpoint),
                NetworkKind::Ipv6 { prefix } => Some(KnocksFrom::Network { prefix }),
            };
            return Err(RefusalReason::ManyKnock { from }.into());
        }
        if self.knocks.waiting.len() >= MAX_KNOCKS || self.knocks.rate.take(now, from).is_err() {
            return Err(RefusalReason::ManyKnock { from: None }.into());
        }
        Ok(people.roster_mut().reserve(&key))
    }

    fn announce_knock(&mut self, cx: &mut Context, id: ParticipantId) {
        let Some(knock) = self.knocks.get(id) else {
            return;
        };
        let notice = HostNotice::Knocked {
            id,
            name: knock.name.to_string(),
            identity: knock.identity,
            proof: knock.proof(),
            question: knock.question(),
        };
        let event = AuditEvent::Knocked {
            person: knock.label().into(),
            proof: knock.audit_proof(),
        };
        cx.log_event(&event);
        cx.notice(notice);
        cx.door_changed = true;
    }

    /// Nobody waits under this number any more, however it ended.
    fn end_knock(&mut self, cx: &mut Context, id: ParticipantId) -> Option<Knock> {
        let knock = self.knocks.waiting.remove(&id)?;
        cx.door_changed = true;
        cx.notice(HostNotice::KnockGone { id });
        Some(knock)
    }

    /// A connection that knocked is gone.
    pub(in crate::host) fn knock_left(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        id: ParticipantId,
    ) {
        let Some(knock) = self.knocks.waiting.get_mut(&id) else {
            return;
        };
        knock.conns.remove(&conn);
        if knock.conns.is_empty()
            && let Some(knock) = self.end_knock(cx, id)
        {
            cx.log_event(&knock.turned_away(None, None));
        }
    }

    /// Those who knock, as `pillion who` lists them.
    pub(in crate::host) fn who_knocks(&self, cx: &Context) -> Vec<ParticipantStatus> {
        let knocks = self.knocks.waiting.values();
        knocks
            .map(|knock| {
                let conn = knock
                    .conns
                    .first()
                    .copied()
                    .and_then(|conn| cx.conns.get(conn));
                ParticipantStatus {
                    id: knock.id,
                    name: knock.name.to_string(),
                    identity: knock.identity,
                    rights: pillion_proto::Rights::VIEW,
                    until_unix_ms: None,
                    here: false,
                    silent: false,
                    asking: false,
                    knocking: true,
                    proof: knock.proof(),
                    path: conn.map_or(pillion_proto::PathKind::Unknown, |conn| conn.path),
                    rtt_us: conn.and_then(|conn| conn.rtt_us),
                    lag_frames: 0,
                }
            })
            .collect()
    }

    /// Tells those who manage who knocks, if that changed.
    pub(in crate::host) fn tell_knocks(&mut self, cx: &mut Context, people: &People) {
        if !std::mem::take(&mut cx.door_changed) {
            return;
        }
        let now = UnixMillis(cx.now.unix_ms);
        let managers = cx.conns.iter().filter(|(_, state)| {
            let member = state.member();
            member.is_some_and(|member| {
                people
                    .rights()
                    .manage(&member.identity.key(), now)
                    .is_some()
            })
        });
        let managers: Vec<ConnId> = managers.map(|(conn, _)| conn).collect();
        if managers.is_empty() {
            return;
        }
        let knocks = self.knocks.waiting.values().map(|knock| KnockInfo {
            id: knock.id,
            name: Text::cut(knock.name.as_str()),
            identity: *knock.identity.as_bytes(),
            holds: Some(knock.ticket),
            claims: knock.told_claims(),
        });
        let told = FromHost::Knocks(Told {
            allow: Some(self.access_mode(people)),
            knocks: knocks.collect(),
        });
        for conn in managers {
            cx.send(conn, &told);
        }
    }
}
