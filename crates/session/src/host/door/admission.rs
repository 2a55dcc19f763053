//! Who may come in: what the door says to somebody who proved who they are, and who they are.

use pillion_caps::{PublicKey, Refusal, Subject, UnixMillis};
use pillion_people::{Claim, ClaimError, Issuer, MembershipId, Trust, verify};
pub(in crate::host) use pillion_proto::AdmittedBy;
use pillion_proto::{AccessMode, Hello};

use crate::{
    audit::AuditEvent,
    host::{
        Host,
        conn::{PendingHello, PendingOn},
        context::Context,
        door::Door,
        people::People,
        timers::Timer,
    },
    types::ConnId,
};

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
    /// Whom to believe changed; anybody who waited for that is looked at again.
    pub(in crate::host) fn on_trust(&mut self, trust: Trust) {
        self.door.trust = trust;
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

    /// Sharing begins: a host that begins again must not be open to more people than this one, whatever
    /// it is told then.
    pub(in crate::host) fn keep_door(&mut self) -> Result<(), Refusal> {
        if self.people.rights().access_mode().is_none() && self.door.allow != AccessMode::Link {
            self.people.begin_access_mode(self.door.allow)?;
            self.cx.log_event(&AuditEvent::Mode {
                mode: self.door.allow,
            });
        }
        Ok(())
    }
}

impl Door {
    /// Who may come in.
    pub(in crate::host) fn access_mode(&self, people: &People) -> AccessMode {
        people.rights().access_mode().unwrap_or(self.allow)
    }

    /// What the door says to somebody who is all of `who`.
    pub(in crate::host) fn decide_admission(
        &self,
        people: &People,
        who: &[Subject],
        shown: Credentials,
    ) -> Admission {
        let listed = people.rights().listed(who).is_some();
        match (self.access_mode(people), shown.ticket) {
            (AccessMode::Link, Some(entry)) => Admission::In(entry),
            (AccessMode::Team, _) if people.rights().listed_as_member(who).is_some() => {
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

    /// Who the sender of a hello proved to be beside its key; why something was not believed; and whose
    /// keys are needed to tell.
    pub(in crate::host) fn verify_claims(
        &self,
        cx: &Context,
        hello: &Hello,
        identity: &PublicKey,
    ) -> (Vec<VerifiedClaim>, Option<ClaimError>, Vec<Issuer>) {
        let (now, session) = (UnixMillis(cx.now.unix_ms), cx.keys.session.public());
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

    /// Puts a hello aside until what it waits for is here.
    pub(in crate::host) fn park(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        hello: &Hello,
        waits: PendingOn,
    ) {
        if let Some(state) = cx.conns.get_mut(conn) {
            let hello = hello.clone();
            state.parked = Some(Box::new(PendingHello { hello, waits }));
            let until = state
                .since_us
                .saturating_add(crate::host::door::hello::KEYS_WITHIN_US);
            cx.timers.set_by(Timer::Joiners, until);
        }
    }
}
