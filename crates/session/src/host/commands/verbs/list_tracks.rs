//! The session's tracks.

use pillion_proto::{ParticipantId, TrackId, TrackKind, TrackState};
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Asks what tracks there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListTracks {}

/// One line of `pillion ls SESSION`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackStatus {
    /// Number.
    pub id: TrackId,
    /// Kind.
    pub kind: TrackKind,
    /// Title, cleaned; unverified.
    pub title: String,
    /// Whether it runs, and how it ended.
    pub state: TrackState,
    /// Who opened it.
    pub opener: ParticipantId,
    /// What they call themselves.
    pub opener_name: String,
    /// Columns and rows; `None` when it can't be looked at any more.
    pub size: Option<(u16, u16)>,
    /// The host's own terminal shows it.
    pub shown: bool,
    /// Viewers who look at it.
    pub viewers: u32,
}

#[cfg(feature = "host")]
impl Run for ListTracks {
    /// By number.
    type Reply = Vec<TrackStatus>;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Nothing
    }

    fn run(self, host: &mut Host, _: &Principal) -> Result<Option<Vec<TrackStatus>>, CommandError> {
        Ok(Some(host.list_tracks()))
    }
}
