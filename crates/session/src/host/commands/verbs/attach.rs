//! Makes another terminal the host's own.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{
    Host,
    commands::question::{Offer, Question, WhoLine},
    principal::Principal,
};

/// Another terminal is to be the host's. The driver does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// It takes the place of one that the session is bound to: nobody said that it may go on without it.
    pub takes_over: bool,
}

#[cfg(feature = "host")]
impl Run for Attach {
    type Reply = ();

    fn reach(&self, _: &Host) -> Reach {
        match self.takes_over {
            // The one who sits there says yes from then on.
            true => Reach::Widens,
            // It is said at both terminals when one is handed over.
            false => Reach::Nothing,
        }
    }

    fn question(&mut self, _: &Host) -> Result<Question, CommandError> {
        Ok(Question {
            what: Offer::MoveTerminal,
            who: vec![WhoLine::NextAtTheTerminal],
            said: Vec::new(),
        })
    }

    fn run(self, _: &mut Host, _: &Principal) -> Result<Option<()>, CommandError> {
        Ok(Some(()))
    }
}
