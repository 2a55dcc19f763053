//! Removes somebody and bars them.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run, TurnedAway};
use super::{EndedLinks, PersonLabel, Target};
#[cfg(feature = "host")]
use crate::host::{Host, people::resolve::Candidate, principal::Principal};
#[cfg(feature = "host")]
use pillion_proto::AccessMode;

/// Removes somebody, and bars that identity and what else they proved to be. As whatever takes something from a
/// person, it ends the tokens they came with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kick {
    /// Whom.
    pub target: Target,
}

/// Who was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kicked {
    /// Who.
    pub person: PersonLabel,
    /// They only knocked.
    pub knocked: bool,
    /// What ended with it.
    pub ended: EndedLinks,
    /// Anybody who has the ticket can join, and keys are free, so they can come back with another one.
    pub open: bool,
}

#[cfg(feature = "host")]
impl Run for Kick {
    type Reply = Kicked;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Changes
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<Kicked>, CommandError> {
        let person = host.resolve_person(&self.target)?;
        host.kick(by, person).map(Some)
    }
}

#[cfg(feature = "host")]
impl Host {
    /// Bars somebody, in or at the door, by everything they proved to be.
    pub(in crate::host) fn kick(
        &mut self,
        by: &Principal,
        candidate: Candidate,
    ) -> Result<Kicked, CommandError> {
        let id = candidate.id;
        if candidate.is_participant {
            self.people.check_over(&self.cx, by, id)?;
        }
        if candidate.knocks
            && let TurnedAway::Knock { person, ended, .. } = self.turn_away(by, id, true)?
            && !candidate.is_participant
        {
            return Ok(Kicked {
                person,
                knocked: true,
                ended,
                open: false,
            });
        }
        let person = self.people.person(id)?.label();
        let ended = self.remove(by, id)?;
        Ok(Kicked {
            person,
            knocked: false,
            ended,
            open: self.door.access_mode(&self.people) == AccessMode::Link,
        })
    }
}
