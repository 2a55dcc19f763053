//! Shows another terminal on the host's own.

use pillion_proto::TrackId;
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Shows another terminal on the host's own; viewers who follow the host go along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowTrack {
    /// Which.
    pub track: TrackId,
}

#[cfg(feature = "host")]
impl Run for ShowTrack {
    type Reply = ();

    fn reach(&self, _: &Host) -> Reach {
        // It is seen when it happens, and lets nobody do anything.
        Reach::Nothing
    }

    fn run(self, host: &mut Host, _: &Principal) -> Result<Option<()>, CommandError> {
        host.show_track(self.track).map(Some)
    }
}
