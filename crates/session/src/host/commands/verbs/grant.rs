//! Gives somebody rights.

use pillion_proto::Rights;
#[cfg(feature = "host")]
use pillion_proto::{RightReason, Text};
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
use super::{PersonLabel, Target};
#[cfg(feature = "host")]
use crate::host::{Host, commands::question::Question, principal::Principal};

/// Gives a participant rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whom.
    pub target: Target,
    /// Which.
    pub rights: Rights,
    /// For how long, in milliseconds; the session's default when `None`.
    pub ttl_ms: Option<u64>,
}

/// What somebody was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Granted {
    /// Rights.
    Given {
        /// Who.
        person: PersonLabel,
        /// Which.
        rights: Rights,
        /// For how long, in milliseconds.
        ttl_ms: u64,
    },
    /// Nothing: they can watch already, and no more was asked for.
    WatchesAlready(PersonLabel),
}

#[cfg(feature = "host")]
impl Run for Grant {
    type Reply = Granted;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Widens
    }

    fn question(&mut self, host: &Host) -> Result<Question, CommandError> {
        host.people.check_grant(&host.cx, self.rights)?;
        let ttl_ms = host.people.ttl(&host.cx, self.ttl_ms)?;
        let found = host.resolve_participant(&self.target)?;
        self.target = found.key.into();
        let person = host.people.person(found.id)?;
        Ok(Question::give(self.rights, ttl_ms, person))
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<Granted>, CommandError> {
        let rights = self.rights;
        host.people.check_grant(&host.cx, rights)?;
        host.people.check_gives(by, rights)?;
        let ttl_ms = host.people.ttl_by(&host.cx, by, self.ttl_ms)?;
        let id = host.resolve_participant(&self.target)?.id;
        host.people.check_over(&host.cx, by, id)?;
        let person = host.people.person_label(&host.cx, id);
        if !rights.exceeds_view() {
            return Ok(Some(Granted::WatchesAlready(person)));
        }
        let Some(identity) = host.cx.conns.identity_of(id).cloned() else {
            return Err(CommandError::NotConnected(person));
        };
        host.people
            .grant_to(&mut host.cx, by, &identity, rights, ttl_ms)?;
        let by = Text::cut(&host.people.display_name(&host.cx, by));
        let why = RightReason::Granted { by, ttl_ms };
        host.people
            .send_standing(&mut host.cx, &identity.key(), why);
        host.people.end_request(&mut host.cx, id);
        Ok(Some(Granted::Given {
            person,
            rights,
            ttl_ms,
        }))
    }
}
