//! Gives somebody rights.

use pillion_proto::Rights;
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
use super::{PersonLabel, Target};
#[cfg(feature = "host")]
use crate::{
    host::{
        Host,
        commands::{execute::clock, question::Question},
        principal::Principal,
    },
    words::span,
};

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
        host.check_grant(self.rights)?;
        let ttl_ms = host.ttl(self.ttl_ms)?;
        let found = host.resolve_participant(&self.target)?;
        self.target = found.key.into();
        let person = host.person(found.id)?;
        Ok(Question::give(self.rights, ttl_ms, person))
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<Granted>, CommandError> {
        let rights = self.rights;
        host.check_grant(rights)?;
        host.check_gives(by, rights)?;
        let ttl_ms = host.ttl_by(by, self.ttl_ms)?;
        let id = host.resolve_participant(&self.target)?.id;
        host.check_over(by, id)?;
        let person = host.person_label(id);
        if !rights.exceeds_view() {
            return Ok(Some(Granted::WatchesAlready(person)));
        }
        let Some(identity) = host.cx.conns.identity_of(id).cloned() else {
            return Err(CommandError::NotConnected(person));
        };
        let expires = host.grant_to(by, &identity, rights, ttl_ms)?;
        let text = format!(
            "{} gave you {rights} for {} (until {})",
            host.display_name(by),
            span(ttl_ms),
            clock(expires)
        );
        host.send_standing(&identity.key(), &text);
        host.end_request(id);
        Ok(Some(Granted::Given {
            person,
            rights,
            ttl_ms,
        }))
    }
}
