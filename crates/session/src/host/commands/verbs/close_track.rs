//! Ends a track's program, or forgets a track that ended.

use pillion_proto::TrackId;
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Ends a track's program as closing a terminal does; of one that ended, takes it off the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseTrack {
    /// Which.
    pub track: TrackId,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackClosed {
    /// Which.
    pub track: TrackId,
    /// What it is called, cleaned.
    pub title: String,
    /// It had ended before.
    pub had_ended: bool,
}

#[cfg(feature = "host")]
impl Run for CloseTrack {
    type Reply = TrackClosed;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Changes
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<TrackClosed>, CommandError> {
        host.close_track(by, self.track).map(Some)
    }
}
