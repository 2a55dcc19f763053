//! Starts sharing.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{
    Host,
    commands::question::{Offer, Question, WhoLine},
    principal::Principal,
};

/// Starts sharing (again).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// From the first line rather than from the top of the screen.
    pub from_start: bool,
}

#[cfg(feature = "host")]
impl Run for Share {
    /// The ticket.
    type Reply = String;

    fn reach(&self, host: &Host) -> Reach {
        match host.cx.shared {
            true => Reach::Nothing,
            false => Reach::Widens,
        }
    }

    fn question(&mut self, host: &Host) -> Result<Question, CommandError> {
        host.check_running()?;
        Ok(Question {
            what: Offer::Share {
                from_start: self.from_start,
            },
            who: vec![WhoLine::WhoJoins(host.door.access_mode(&host.people))],
            said: Vec::new(),
        })
    }

    fn run(self, host: &mut Host, _: &Principal) -> Result<Option<String>, CommandError> {
        host.share(self.from_start).map(|()| None)
    }
}
