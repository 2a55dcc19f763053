//! Lets in somebody who knocks.

use serde::{Deserialize, Serialize};

use super::Target;
#[cfg(feature = "host")]
use super::{CommandError, PersonLabel, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, commands::question::Question, principal::Principal};

/// Lets in somebody who knocks, and puts them on the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// Whom.
    pub target: Target,
}

#[cfg(feature = "host")]
impl Run for Admit {
    type Reply = PersonLabel;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Widens
    }

    fn question(&mut self, host: &Host) -> Result<Question, CommandError> {
        let found = host.resolve_knock(&self.target)?;
        self.target = found.key.into();
        let knock = host.door.knocks().get(found.id);
        Ok(knock
            .ok_or(CommandError::NobodyKnocks(found.id))?
            .question())
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<PersonLabel>, CommandError> {
        let id = host.resolve_knock(&self.target)?.id;
        host.admit(by, id).map(Some)
    }
}
