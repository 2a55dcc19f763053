//! On whose authority something is done.

use pillion_caps::PublicKey;
use pillion_proto::{ParticipantId, Right, Rights};
use serde_json::{Map, Value};

use crate::host::{Host, api::Actor, commands::verbs::CommandError, people::rights::ManageRight};

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

impl Host {
    /// What to call anybody who did it.
    pub(in crate::host) fn display_name(&self, by: &Principal) -> String {
        match by {
            Principal::CoHost { id, .. } => self.name_of(*id),
            Principal::Tty | Principal::Socket | Principal::Rule => self.names.host.clone(),
        }
    }

    /// What an event says of who did it.
    pub(in crate::host) fn signature(&self, by: &Principal) -> Map<String, Value> {
        let who = match by {
            Principal::Tty => "host".to_owned(),
            Principal::Socket => "socket".to_owned(),
            Principal::Rule => "rule".to_owned(),
            Principal::CoHost { key, .. } => key.to_string(),
        };
        let mut signature = Map::from_iter([("by".to_owned(), who.into())]);
        if let Principal::CoHost { id, right, .. } = by {
            signature.insert("by_id".to_owned(), id.0.into());
            signature.insert("by_name".to_owned(), self.name_of(*id).into());
            signature.insert("by_grant".to_owned(), right.grant().to_string().into());
        }
        signature
    }

    /// Logs an event with who did it.
    pub(in crate::host) fn log_by(&mut self, by: &Principal, mut event: Value) {
        if let Some(fields) = event.as_object_mut() {
            fields.append(&mut self.signature(by));
        }
        self.log_event(event);
    }

    /// Whether anybody who does it may do it to this participant: a co-host not to another one, so that
    /// two of them can't take the session from each other.
    pub(in crate::host) fn check_over(
        &self,
        by: &Principal,
        id: ParticipantId,
    ) -> Result<(), CommandError> {
        let Principal::CoHost { id: own, .. } = by else {
            return Ok(());
        };
        let manages = self
            .roster
            .get(id)
            .is_some_and(|person| person.standing.right.has(Right::Manage));
        match manages && *own != id {
            true => Err(CommandError::ManagesToo(self.person_label(id))),
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
