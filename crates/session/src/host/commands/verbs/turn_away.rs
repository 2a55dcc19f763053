//! Turns away somebody who knocks.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
use super::{EndedLinks, PersonLabel, Target};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Turns away somebody who knocks; if nobody like that does, declines their request to type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnAway {
    /// Whom.
    pub target: Target,
    /// Bar them, too.
    pub for_good: bool,
}

/// What was declined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnedAway {
    /// A knock.
    Knock {
        /// Whose.
        person: PersonLabel,
        /// They are barred.
        for_good: bool,
        /// Before they may knock again, in milliseconds.
        again_ms: u64,
        /// What ended with it.
        ended: EndedLinks,
    },
    /// A request to type.
    Request(PersonLabel),
}

#[cfg(feature = "host")]
impl Run for TurnAway {
    type Reply = TurnedAway;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Changes
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<TurnedAway>, CommandError> {
        let person = host.resolve_person(&self.target)?;
        if !person.knocks && !self.for_good {
            let declined = host.people.refuse_request(&mut host.cx, by, person.id)?;
            return Ok(Some(TurnedAway::Request(declined)));
        }
        let id = host.resolve_knock(&self.target)?.id;
        host.turn_away(by, id, self.for_good).map(Some)
    }
}
