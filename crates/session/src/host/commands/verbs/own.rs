//! Makes a viewer the host's own terminal, where the session has no terminal.

use pillion_caps::PublicKey;
#[cfg(feature = "host")]
use pillion_people::SubjectRef;
#[cfg(feature = "host")]
use pillion_proto::{Right, Rights};
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{Allow, CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Who holds this key is the host from now on, and nobody who was before. The driver lets no program ask for it that
/// was started in the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// A key that was made for this.
    pub key: PublicKey,
}

#[cfg(feature = "host")]
impl Run for Own {
    type Reply = ();

    fn reach(&self, _: &Host) -> Reach {
        // As a terminal that is attached where there is none.
        Reach::Changes
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<()>, CommandError> {
        let owner = host.cx.keys.owner;
        let owner = owner.and_then(|key| host.people.roster().by_identity(&key));
        if owner.is_some_and(|person| person.connections > 0) {
            return Err(CommandError::OpenElsewhere);
        }
        let target = SubjectRef::key(self.key).into();
        let rights = Rights::MANAGE.with(Right::Approve).with(Right::Open);
        Allow { target, rights }.run(host, by)?;
        host.cx.keys.owner = Some(self.key);
        Ok(Some(()))
    }
}
