//! On whose authority something is done.

use pillion_caps::{GrantId, PublicKey};
use pillion_proto::{ParticipantId, Right, Rights};

use crate::{
    audit::{AuditEvent, Doer},
    host::{
        api::Actor, commands::verbs::CommandError, context::Context, people::People,
        people::rights::ManageRight,
    },
};

/// Who does something.
#[derive(Debug)]
pub(in crate::host) enum Principal {
    /// The person at the host's own terminal.
    Tty,
    /// A program of the host's account.
    Socket,
    /// Nobody at this moment: what was said earlier decides.
    Rule,
    /// A participant with the right to manage.
    CoHost {
        id: ParticipantId,
        key: PublicKey,
        right: ManageRight,
    },
}

impl From<Actor> for Principal {
    fn from(actor: Actor) -> Principal {
        match actor {
            Actor::Tty => Principal::Tty,
            Actor::Socket => Principal::Socket,
        }
    }
}

impl People {
    /// What to call anybody who did it.
    pub(in crate::host) fn display_name(&self, cx: &Context, by: &Principal) -> String {
        match by {
            Principal::CoHost { id, .. } => self.name_of(*id),
            Principal::Tty | Principal::Socket | Principal::Rule => cx.names.host.clone(),
        }
    }

    /// What an event says of who did it.
    pub(in crate::host) fn doer(&self, by: &Principal) -> Doer {
        let by_word = |word: &str| Doer {
            by: Some(word.to_owned()),
            ..Doer::default()
        };
        match by {
            Principal::Tty => by_word("host"),
            Principal::Socket => by_word("socket"),
            Principal::Rule => by_word("rule"),
            Principal::CoHost { id, key, right } => Doer {
                by: Some(key.to_string()),
                by_id: Some(*id),
                by_name: Some(self.name_of(*id)),
                by_grant: Some(right.grant().to_string()),
            },
        }
    }

    /// The same of a participant who does it by a grant.
    pub(in crate::host) fn doer_by(&self, id: ParticipantId, grant: GrantId) -> Doer {
        let person = self.roster().get(id);
        Doer {
            by: person.map(|person| person.identity.to_string()),
            by_id: Some(id),
            by_name: Some(self.name_of(id)),
            by_grant: Some(grant.to_string()),
        }
    }

    /// Logs an event with who did it.
    pub(in crate::host) fn log_by(&mut self, cx: &mut Context, by: &Principal, event: &AuditEvent) {
        let doer = self.doer(by);
        cx.log_with(event, doer);
    }

    /// Whether anybody who does it may do it to this participant: a co-host not to another one, so that
    /// two of them can't take the session from each other.
    pub(in crate::host) fn check_over(
        &self,
        cx: &Context,
        by: &Principal,
        id: ParticipantId,
    ) -> Result<(), CommandError> {
        let Principal::CoHost { id: own, .. } = by else {
            return Ok(());
        };
        let manages = self
            .roster()
            .get(id)
            .is_some_and(|person| person.standing.rights.has(Right::Manage));
        match manages && *own != id {
            true => Err(CommandError::ManagesToo(self.person_label(cx, id))),
            false => Ok(()),
        }
    }

    /// Whether anybody who does it may give so much.
    pub(in crate::host) fn check_gives(
        &self,
        by: &Principal,
        right: Rights,
    ) -> Result<(), CommandError> {
        match by {
            Principal::CoHost { right: own, .. } if !own.may_give(right) => {
                Err(match right.has(Right::Manage) {
                    true => CommandError::NotDelegable,
                    false => CommandError::NotTheirsToGive,
                })
            }
            _ => Ok(()),
        }
    }
}
