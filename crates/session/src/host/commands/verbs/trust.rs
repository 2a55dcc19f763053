//! Says how far the prompts of somebody are trusted in an agent's conversation.

use pillion_proto::TrackId;
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
use super::{PersonLabel, Target};
#[cfg(feature = "host")]
use crate::host::{
    Host,
    commands::question::{Offer, Question},
    principal::Principal,
};

/// Says how far the prompts of somebody are trusted in an agent's conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// Whose.
    pub target: Target,
    /// In which conversation; the first that is live without.
    pub track: Option<TrackId>,
    /// How far.
    pub trust: pillion_proto::Trust,
}

/// How far somebody is trusted from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustSet {
    /// Who.
    pub person: PersonLabel,
    /// How far.
    pub trust: pillion_proto::Trust,
    /// They have the right to send prompts.
    pub prompts: bool,
}

#[cfg(feature = "host")]
impl Run for Trust {
    type Reply = TrustSet;

    /// More trust is less that anybody is asked about.
    fn reach(&self, host: &Host) -> Reach {
        let now = host
            .resolve_participant(&self.target)
            .and_then(|found| host.trust_of(self.track, found.id));
        match now {
            Ok(now) if !self.trust.is_wider_than(now) => Reach::Changes,
            _ => Reach::Widens,
        }
    }

    fn question(&mut self, host: &Host) -> Result<Question, CommandError> {
        let found = host.resolve_participant(&self.target)?;
        host.trust_of(self.track, found.id)?;
        self.target = found.key.into();
        let person = host.people.person(found.id)?;
        Ok(Question::about(Offer::Trust(self.trust), person))
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<TrustSet>, CommandError> {
        let id = host.resolve_participant(&self.target)?.id;
        host.trust(by, self.track, id, self.trust)?;
        Ok(Some(TrustSet {
            person: host.people.person_label(&host.cx, id),
            trust: self.trust,
            prompts: host.prompts(id),
        }))
    }
}
