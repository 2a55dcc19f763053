//! Declines a request to type.

use serde::{Deserialize, Serialize};

use super::Target;
#[cfg(feature = "host")]
use super::{CommandError, PersonLabel, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Declines a request to type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefuseRequest {
    /// Whose.
    pub target: Target,
}

#[cfg(feature = "host")]
impl Run for RefuseRequest {
    type Reply = PersonLabel;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Changes
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<PersonLabel>, CommandError> {
        let id = host.resolve_participant(&self.target)?.id;
        host.people.refuse_request(&mut host.cx, by, id).map(Some)
    }
}
