//! Says who may join.

use pillion_proto::AccessMode;
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::audit::AuditEvent;
#[cfg(feature = "host")]
use crate::host::{
    Host,
    commands::{
        execute::refused,
        question::{Offer, Question, WhoLine},
    },
    principal::Principal,
};

/// Says who may join, from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAccessMode {
    /// Who.
    pub mode: AccessMode,
}

/// Who may join now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessModeSet {
    /// Who.
    pub mode: AccessMode,
    /// Whether a team is on the list.
    pub has_team: bool,
    /// Viewers who are here, and stay.
    pub viewers: u32,
}

#[cfg(feature = "host")]
impl Run for SetAccessMode {
    type Reply = AccessModeSet;

    fn reach(&self, host: &Host) -> Reach {
        let now = host.door.access_mode(&host.people);
        match self.mode == now || now == AccessMode::Link {
            // Neither of the other two modes lets in all that "link" does not.
            true => Reach::Changes,
            false => Reach::Widens,
        }
    }

    fn question(&mut self, _: &Host) -> Result<Question, CommandError> {
        Ok(Question {
            what: Offer::AccessMode(self.mode),
            who: vec![WhoLine::WhoJoins(self.mode)],
            said: Vec::new(),
        })
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<AccessModeSet>, CommandError> {
        let mode = self.mode;
        if mode != host.door.access_mode(&host.people)
            || host.people.rights().access_mode().is_none()
        {
            let so_far = host.door.access_mode(&host.people);
            let set = host.people.set_access_mode(mode, so_far);
            set.map_err(|refusal| refused(&refusal))?;
            host.people
                .log_by(&mut host.cx, by, &AuditEvent::Mode { mode });
            host.cx.door_changed = true;
            host.reconsider_knocks();
        }
        Ok(Some(AccessModeSet {
            mode,
            has_team: host.people.rights().entries().any(|(who, _)| who.is_team()),
            viewers: u32::try_from(host.cx.conns.viewer_count()).unwrap_or(u32::MAX),
        }))
    }
}
