//! Makes a spoken code.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::audit::AuditEvent;
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// A spoken code is to be made by the link service in use, for one person and ten minutes. The driver does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {}

#[cfg(feature = "host")]
impl Run for Code {
    type Reply = ();

    fn reach(&self, _: &Host) -> Reach {
        // It lets in whom a ticket does.
        Reach::Changes
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<()>, CommandError> {
        host.pass_on(by, &AuditEvent::Code, None).map(Some)
    }
}
