//! Opens another terminal in the session.

#[cfg(feature = "host")]
use pillion_proto::TrackId;
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Opens another terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTerminal {
    /// What to call it; empty for what its program says.
    pub title: String,
    /// What to run; empty for what the host's terminals run.
    pub command: Vec<String>,
}

#[cfg(feature = "host")]
impl Run for OpenTerminal {
    /// Its number.
    type Reply = TrackId;

    fn reach(&self, _: &Host) -> Reach {
        // What is run in it could as well be run in one that is there.
        Reach::Changes
    }

    /// Only by [`Host::open_terminal`], which answers when its program runs.
    fn run(self, _: &mut Host, _: &Principal) -> Result<Option<TrackId>, CommandError> {
        Err(CommandError::OnlyHost)
    }
}
