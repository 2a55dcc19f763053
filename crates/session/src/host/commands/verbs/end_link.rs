//! Ends the link.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::audit::AuditEvent;
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Ends the link; the session and its ticket stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndLink {}

#[cfg(feature = "host")]
impl Run for EndLink {
    type Reply = ();

    fn reach(&self, _: &Host) -> Reach {
        Reach::Changes
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<()>, CommandError> {
        host.pass_on(by, &AuditEvent::LinkEnded, Some(self.into()))
            .map(Some)
    }
}
