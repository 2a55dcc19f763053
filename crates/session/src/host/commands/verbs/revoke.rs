//! Takes rights away, or an entry off the list.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
use super::{EndedLinks, PersonLabel, SubjectLabel, Target};
#[cfg(feature = "host")]
use crate::audit::AuditEvent;
#[cfg(feature = "host")]
use crate::host::{
    Host, people::resolve::Resolved, people::standing::ChangeReason, principal::Principal,
};
#[cfg(feature = "host")]
use pillion_people::SubjectRef;
#[cfg(feature = "host")]
use pillion_proto::ParticipantId;

/// Takes rights away, or an entry off the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoke {
    /// Whose, or which grant.
    pub target: Target,
}

/// What was taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Revoked {
    /// Every link grant.
    Links,
    /// Every grant.
    All,
    /// A grant, by its id.
    Grant(String),
    /// What one person had.
    Person {
        /// Who.
        person: PersonLabel,
        /// They could do more than watch.
        could_more: bool,
        /// What ended with it.
        ended: EndedLinks,
    },
    /// Entries of the list.
    Listed {
        /// Which.
        who: Vec<SubjectLabel>,
        /// What ended with it.
        ended: EndedLinks,
    },
    /// A list of keys, none of which was on the list any more.
    KeyList(String),
}

#[cfg(feature = "host")]
impl Run for Revoke {
    type Reply = Revoked;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Changes
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<Revoked>, CommandError> {
        host.revoke(by, &self.target).map(Some)
    }
}

#[cfg(feature = "host")]
impl Host {
    fn revoke(&mut self, by: &Principal, target: &Target) -> Result<Revoked, CommandError> {
        let (revoked, what) = match target {
            Target::Links => {
                self.people.revoke_links();
                (Revoked::Links, "links".to_owned())
            }
            Target::All => {
                self.people.revoke_all();
                (Revoked::All, "all".to_owned())
            }
            Target::Keys { from, .. } => {
                let meant = self.resolve_subjects(target)?;
                let followed = self.door.unsubscribe(&mut self.people, from);
                return match self.people.disallow(&mut self.cx, by, &meant) {
                    Some(revoked) => Ok(revoked),
                    None if followed => Ok(Revoked::KeyList(from.clone())),
                    None => Err(CommandError::NotListed(meant.labels)),
                };
            }
            Target::Exactly(_) | Target::One(SubjectRef::Provable(_)) => {
                return self.revoke_provable(by, target);
            }
            Target::One(_) => match self.resolve(target)? {
                Resolved::Person(person) => return self.revoke_person(by, person.id),
                Resolved::Grant(grant) => {
                    self.people.revoke_grant(grant);
                    let grant = grant.to_string();
                    (Revoked::Grant(grant.clone()), grant)
                }
            },
        };
        let (person, what) = (None, Some(what));
        self.after_revoking(by, &AuditEvent::Revoked { person, what });
        Ok(revoked)
    }

    /// Takes back what somebody has who is named by what they prove: a participant, or else an entry of the list.
    fn revoke_provable(
        &mut self,
        by: &Principal,
        target: &Target,
    ) -> Result<Revoked, CommandError> {
        let meant = self.resolve_subjects(target)?;
        let is_key = matches!(target, Target::One(whom) if whom.as_key().is_some());
        let person = self.resolve_participant(target);
        let here = person
            .as_ref()
            .ok()
            .and_then(|one| self.people.roster().get(one.id));
        if let Some(id) = here
            .filter(|here| is_key && here.listed())
            .map(|here| here.id)
        {
            return self.revoke_person(by, id);
        }
        match (self.people.disallow(&mut self.cx, by, &meant), person) {
            (Some(revoked), _) => Ok(revoked),
            (None, Ok(person)) => self.revoke_person(by, person.id),
            (None, Err(error)) => Err(error),
        }
    }

    fn revoke_person(
        &mut self,
        by: &Principal,
        id: ParticipantId,
    ) -> Result<Revoked, CommandError> {
        self.people.check_over(&self.cx, by, id)?;
        let person = self.people.person(id)?;
        let (label, key) = (person.label(), person.identity);
        let could_more = person.standing.rights.exceeds_view();
        let ended = self.people.take_from(&self.cx, &key);
        self.people.unlist_edit(id);
        let (person, what) = (Some(label.clone().into()), None);
        self.after_revoking(by, &AuditEvent::Revoked { person, what });
        Ok(Revoked::Person {
            person: label,
            could_more,
            ended,
        })
    }

    fn after_revoking(&mut self, by: &Principal, event: &AuditEvent) {
        self.people.log_by(&mut self.cx, by, event);
        self.people
            .refresh_standings(&mut self.cx, ChangeReason::Revoked);
    }
}
