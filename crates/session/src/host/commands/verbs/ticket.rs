//! The ticket.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Asks for the ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Replace it: the one before stops working.
    pub new: bool,
}

#[cfg(feature = "host")]
impl Run for Ticket {
    /// The ticket.
    type Reply = String;

    fn reach(&self, _: &Host) -> Reach {
        match self.new {
            true => Reach::Changes,
            // It is in the account's files, for the one who can use its socket to read.
            false => Reach::Nothing,
        }
    }

    fn run(self, host: &mut Host, _: &Principal) -> Result<Option<String>, CommandError> {
        host.check_shared()?;
        if self.new {
            host.door.replace_ticket(&mut host.cx, &mut host.people)?;
        }
        Ok(None)
    }
}
