//! On whose word something is done.

use pillion_caps::PublicKey;
use pillion_proto::{ParticipantId, Right, Rights};
use serde_json::{Map, Value};

use super::{
    Host,
    api::{Actor, CommandError},
    rights::ManageRight,
};

/// Who does something.
#[derive(Debug)]
pub(super) enum By {
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

impl From<Actor> for By {
    fn from(actor: Actor) -> By {
        match actor {
            Actor::Tty => By::Tty,
            Actor::Socket => By::Socket,
        }
    }
}

impl Host {
    /// What to call whoever did it.
    pub(super) fn doer(&self, by: &By) -> String {
        match by {
            By::CoHost { id, .. } => self.name_of(*id),
            By::Tty | By::Socket | By::Rule => self.names.host.clone(),
        }
    }

    /// What an event says of who did it.
    pub(super) fn signature(&self, by: &By) -> Map<String, Value> {
        let who = match by {
            By::Tty => "host".to_owned(),
            By::Socket => "socket".to_owned(),
            By::Rule => "rule".to_owned(),
            By::CoHost { key, .. } => key.to_string(),
        };
        let mut signature = Map::from_iter([("by".to_owned(), who.into())]);
        if let By::CoHost { id, right, .. } = by {
            signature.insert("by_id".to_owned(), id.0.into());
            signature.insert("by_name".to_owned(), self.name_of(*id).into());
            signature.insert("by_grant".to_owned(), right.grant().to_string().into());
        }
        signature
    }

    /// Logs an event with who did it.
    pub(super) fn log_by(&mut self, by: &By, mut event: Value) {
        if let Some(fields) = event.as_object_mut() {
            fields.append(&mut self.signature(by));
        }
        self.log_event(event);
    }

    /// Whether whoever does it may do it to this participant: a co-host not to another one, so that
    /// two of them can't take the session from each other.
    pub(super) fn check_over(&self, by: &By, id: ParticipantId) -> Result<(), CommandError> {
        let By::CoHost { id: own, .. } = by else {
            return Ok(());
        };
        let manages = self
            .roster
            .get(id)
            .is_some_and(|person| person.standing.right.has(Right::Manage));
        match manages && *own != id {
            true => Err(CommandError::NotAllowed(format!(
                "{} manages this session, too: only its host changes what they may do",
                self.label(id)
            ))),
            false => Ok(()),
        }
    }

    /// Whether whoever does it may give so much.
    pub(super) fn check_gives(&self, by: &By, right: Rights) -> Result<(), CommandError> {
        match by {
            By::CoHost { right: own, .. } if !own.may_give(right) => {
                let text = match right.has(Right::Manage) {
                    true => "your right to manage can't be passed on: ask the host to give it",
                    false => "you can't give a right that you don't have: ask the host to give it",
                };
                Err(CommandError::NotAllowed(text.into()))
            }
            _ => Ok(()),
        }
    }
}
