//! Who may come in: what the door says to somebody who proved who they are, and who they are.

use std::fmt;

use pillion_caps::{PublicKey, Refusal, Subject, UnixMillis};
use pillion_people::{Claim, ClaimError, Issuer, MembershipId, Trust, verify};
use pillion_proto::{AccessMode, Hello, RefusedCode, Rights};

use crate::{
    audit::AuditEvent,
    host::{
        Host,
        api::HostNotice,
        commands::{
            execute::refused,
            verbs::{CommandError, EndedLinks, Revoked},
        },
        conn::{PendingHello, PendingOn},
        fault::PeerError,
        people::{resolve::AclSubjects, rights::Standing},
        principal::Principal,
        timers::Timer,
    },
    types::ConnId,
};

/// What lets somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum AdmittedBy {
    Ticket,
    /// The ticket, given to this endpoint by the spoken code of that number.
    Code(u32),
    Grant,
    List,
    Team,
    /// They knocked.
    Admittance,
}

/// For people, and the log.
impl fmt::Display for AdmittedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdmittedBy::Ticket => f.write_str("the ticket"),
            AdmittedBy::Code(number) => write!(f, "code {number}"),
            AdmittedBy::Grant => f.write_str("a grant"),
            AdmittedBy::List => f.write_str("the access list"),
            AdmittedBy::Team => f.write_str("a team"),
            AdmittedBy::Admittance => f.write_str("an answer to a knock"),
        }
    }
}

/// What the door says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum Admission {
    In(AdmittedBy),
    /// They hold the ticket, and the host is to be asked.
    Knock,
    /// Nothing they showed is of this session.
    Nothing,
    /// Only members of a team come in.
    NotAMember,
}

/// Something somebody proved to be beside their key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::host) struct VerifiedClaim {
    pub(in crate::host) who: Subject,
    /// The membership that says so: its team may take it back.
    pub(in crate::host) membership: Option<MembershipId>,
}

impl VerifiedClaim {
    /// Whether a team took back what says so.
    pub(in crate::host) fn is_taken_back(&self, trust: &Trust) -> bool {
        self.membership.is_some_and(|id| trust.took_back(id))
    }
}

/// All that somebody is.
pub(in crate::host) fn subjects_of<'a>(
    key: &PublicKey,
    claims: impl IntoIterator<Item = &'a VerifiedClaim>,
) -> Vec<Subject> {
    let claims = claims.into_iter().map(|claim| claim.who.clone());
    [Subject::key(key)].into_iter().chain(claims).collect()
}

/// What somebody showed, beside who they are.
#[derive(Debug, Clone, Copy)]
pub(in crate::host) struct Credentials {
    /// What the ticket counts as, if they hold it.
    pub(in crate::host) ticket: Option<AdmittedBy>,
    pub(in crate::host) grant: bool,
}

impl Host {
    /// Who may come in.
    pub(in crate::host) fn access_mode(&self) -> AccessMode {
        self.rights.access_mode().unwrap_or(self.allow)
    }

    /// What the door says to somebody who is all of `who`.
    pub(in crate::host) fn decide_admission(
        &self,
        who: &[Subject],
        shown: Credentials,
    ) -> Admission {
        let listed = self.rights.listed(who).is_some();
        match (self.access_mode(), shown.ticket) {
            (AccessMode::Link, Some(entry)) => Admission::In(entry),
            (AccessMode::Team, _) if self.rights.listed_as_member(who).is_some() => {
                Admission::In(AdmittedBy::Team)
            }
            (AccessMode::Team, _) => Admission::NotAMember,
            (AccessMode::Link | AccessMode::Invited, _) if listed => {
                Admission::In(AdmittedBy::List)
            }
            (AccessMode::Link | AccessMode::Invited, _) if shown.grant => {
                Admission::In(AdmittedBy::Grant)
            }
            (AccessMode::Invited, Some(_)) => Admission::Knock,
            (AccessMode::Link | AccessMode::Invited, None) => Admission::Nothing,
        }
    }

    /// Why only members come in.
    pub(in crate::host) fn not_a_member() -> PeerError {
        let text = "only members of a team come into this session, and you proved to be none of it. Join \
                    with your membership (pillion join --as team), or ask the team's owner for one";
        PeerError::new(RefusedCode::NOT_ADMITTED, text)
    }

    /// Whether somebody is kept out by a thing they proved.
    pub(in crate::host) fn check_claims(&self, who: &[Subject]) -> Result<(), PeerError> {
        match self.rights.is_banned(who) {
            true => Err(PeerError::new(
                RefusedCode::BARRED,
                Refusal::Barred.to_string(),
            )),
            false => Ok(()),
        }
    }

    /// Who the sender of a hello proved to be beside its key; why something was not believed; and whose
    /// keys are needed to tell.
    pub(in crate::host) fn verify_claims(
        &self,
        hello: &Hello,
        identity: &PublicKey,
    ) -> (Vec<VerifiedClaim>, Option<ClaimError>, Vec<Issuer>) {
        let (now, session) = (
            UnixMillis(self.cx.now.unix_ms),
            self.cx.keys.session.public(),
        );
        let (mut claims, mut problem, mut wanted) = (Vec::new(), None, Vec::new());
        for claim in &hello.claims {
            match verify(claim, identity, &session, now, &self.trust) {
                Ok(who) => {
                    let read = Claim::from_bytes(claim).ok();
                    let membership = read.and_then(|claim| claim.membership());
                    let who = who.to_string().parse();
                    claims.extend(who.map(|who| VerifiedClaim { who, membership }));
                }
                Err(ClaimError::KeysWanted { issuer }) => {
                    problem = Some(ClaimError::KeysWanted {
                        issuer: issuer.clone(),
                    });
                    wanted.push(issuer);
                }
                Err(error) => problem = Some(error),
            }
        }
        (claims, problem, wanted)
    }

    /// Whom to believe changed; anybody who waited for that is looked at again.
    pub(in crate::host) fn on_trust(&mut self, trust: Trust) {
        self.trust = trust;
        self.apply_membership_revocation();
        self.retry_hello_of(PendingOn::Keys);
    }

    /// What some hellos waited for is here.
    pub(in crate::host) fn retry_hello_of(&mut self, waits: PendingOn) {
        let parked = self.cx.conns.iter_mut().filter_map(|(conn, state)| {
            let parked = state.parked.take_if(|parked| parked.waits == waits)?;
            Some((conn, parked))
        });
        let parked: Vec<(ConnId, Box<PendingHello>)> = parked.collect();
        for (conn, parked) in parked {
            self.retry_hello(conn, &parked);
        }
    }

    /// Takes a hello up again that waited; this time with what there is. One that waited for the host's own
    /// certificate was not looked at yet.
    pub(in crate::host) fn retry_hello(&mut self, conn: ConnId, parked: &PendingHello) {
        let again = parked.waits != PendingOn::Certificate;
        if let Err(fault) = self.on_hello(conn, &parked.hello, again) {
            self.refuse(conn, &fault);
        }
    }

    /// Puts a hello aside until what it waits for is here.
    pub(in crate::host) fn park(&mut self, conn: ConnId, hello: &Hello, waits: PendingOn) {
        if let Some(state) = self.cx.conns.get_mut(conn) {
            let hello = hello.clone();
            state.parked = Some(Box::new(PendingHello { hello, waits }));
            let until = state
                .since_us
                .saturating_add(crate::host::door::hello::KEYS_WITHIN_US);
            self.cx.timers.set_by(Timer::Joiners, until);
        }
    }

    /// Gives somebody what the list says they may do, where that is more than they can now.
    pub(in crate::host) fn give_listed_right(
        &mut self,
        identity: &pillion_caps::VerifiedIdentity,
        who: &[Subject],
    ) {
        let now = UnixMillis(self.cx.now.unix_ms);
        let Some(right) = self.rights.listed(who) else {
            return;
        };
        let Standing { right: has, .. } = self.rights.standing(&identity.key(), now);
        if self.cx.read_only || right.narrower_or_equal(has) {
            return;
        }
        // Full records give nobody more; the host is told when it gives somebody a right itself.
        if let Err(error) = self.give_listed(&Principal::Rule, identity, right) {
            self.cx.notice(HostNotice::RightsNotGiven(error));
        }
    }

    /// Sharing begins: a host that begins again must not be open to more people than this one, whatever
    /// it is told then.
    pub(in crate::host) fn keep_door(&mut self) -> Result<(), Refusal> {
        if self.rights.access_mode().is_none() && self.allow != AccessMode::Link {
            self.rights
                .begin_access_mode(&mut self.records, self.allow)?;
            self.cx.log_event(&AuditEvent::Mode { mode: self.allow });
        }
        Ok(())
    }

    /// Puts them on the list, all or none.
    pub(in crate::host) fn put_on_list(
        &mut self,
        by: &Principal,
        all: &[Subject],
        right: Rights,
    ) -> Result<(), CommandError> {
        let listed = self.rights.allow(&mut self.records, all, right);
        listed.map_err(|refusal| refused(&refusal))?;
        for who in all {
            let event = AuditEvent::Allowed {
                who: who.to_string(),
                rights: right,
            };
            self.log_by(by, &event);
            for id in self.covered(who) {
                self.subscribe_key_list(by, id, right);
            }
        }
        Ok(())
    }

    /// Somebody who is here gets or loses what the list says now.
    fn subscribe_key_list(
        &mut self,
        by: &Principal,
        id: pillion_proto::ParticipantId,
        right: Rights,
    ) {
        let Some(person) = self.roster.get(id) else {
            return;
        };
        let (key, has) = (person.identity, person.standing.right);
        let identity = self.cx.conns.identity_of(id).cloned();
        if !has.narrower_or_equal(right) {
            self.take_from(&key);
            self.refresh_standings(crate::host::people::standing::ChangeReason::Revoked);
        }
        if let Some(identity) = identity.filter(|_| right.exceeds_view() && right != has) {
            let given = self.give_listed(by, &identity, right);
            if given.is_ok() {
                let text = format!(
                    "{} gave you the right to {}",
                    self.display_name(by),
                    crate::words::acts(right)
                );
                self.send_standing(&key, &text);
            }
        }
    }

    /// Takes people off the list. `None` if none of them was on it.
    pub(in crate::host) fn disallow(
        &mut self,
        by: &Principal,
        meant: &AclSubjects,
    ) -> Option<Revoked> {
        let (mut was_listed, mut ended) = (false, EndedLinks::default());
        for who in meant.subjects() {
            if !self.rights.disallow(&mut self.records, &who) {
                continue;
            }
            was_listed = true;
            let event = AuditEvent::Disallowed {
                who: who.to_string(),
            };
            self.log_by(by, &event);
            for id in self.covered(&who) {
                if let Some(key) = self.roster.get(id).map(|person| person.identity) {
                    let EndedLinks { links, others } = self.take_from(&key);
                    ended.links += links;
                    ended.others += others;
                }
            }
        }
        if !was_listed {
            return None;
        }
        self.refresh_standings(crate::host::people::standing::ChangeReason::Revoked);
        Some(Revoked::Listed {
            who: meant.labels.clone(),
            ended,
        })
    }

    /// What the list gives somebody falls to view: else coming back would undo a revocation.
    pub(in crate::host) fn unlist_edit(&mut self, id: pillion_proto::ParticipantId) {
        let Some(person) = self.roster.get(id) else {
            return;
        };
        let who = person.subjects();
        if self
            .rights
            .listed(&who)
            .is_some_and(|right| right.exceeds_view())
        {
            for subject in who {
                self.rights.limit_to_view(&mut self.records, subject);
            }
        }
    }

    pub(in crate::host) fn is_kept_out(&self, who: &Subject) -> bool {
        who.as_key().is_some_and(|key| self.rights.is_barred(&key))
            || self.rights.is_banned(std::slice::from_ref(who))
    }

    /// Everybody whom an entry means: who is here, and who is away and holds a right to come back with.
    pub(in crate::host) fn covered(&self, who: &Subject) -> Vec<pillion_proto::ParticipantId> {
        let people = self.roster.listed();
        people
            .filter(|person| person.subjects().iter().any(|one| who.covers(one)))
            .map(|person| person.id)
            .collect()
    }

    /// A co-host changes nothing about those who manage.
    pub(in crate::host) fn check_may_change(
        &self,
        by: &Principal,
        who: &Subject,
    ) -> Result<(), CommandError> {
        for id in self.covered(who) {
            self.check_over(by, id)?;
        }
        Ok(())
    }
}
