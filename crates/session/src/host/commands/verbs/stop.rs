//! Stops sharing.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Stops sharing; the program keeps running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {}

#[cfg(feature = "host")]
impl Run for Stop {
    type Reply = ();

    fn reach(&self, _: &Host) -> Reach {
        Reach::Changes
    }

    fn run(self, host: &mut Host, _: &Principal) -> Result<Option<()>, CommandError> {
        host.stop().map(Some)
    }
}
