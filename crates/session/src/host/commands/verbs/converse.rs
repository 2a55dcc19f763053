//! Says something in an agent's conversation, or of it.

use pillion_proto::{ConversationRequest, TrackId};
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{
    Host,
    commands::question::{Offer, Question},
    principal::Principal,
};

/// Says something in an agent's conversation, or of it, as a viewer's intent does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Converse {
    /// Which conversation; the first that is live without.
    pub track: Option<TrackId>,
    /// What.
    pub request: ConversationRequest,
}

#[cfg(feature = "host")]
impl Run for Converse {
    type Reply = ();

    /// What lets the agent do something that would have been asked widens.
    fn reach(&self, _: &Host) -> Reach {
        match self.request {
            ConversationRequest::Hold { held: false, .. }
            | ConversationRequest::Answer { .. }
            | ConversationRequest::AllowAlike { .. }
            | ConversationRequest::SetOption { .. }
            | ConversationRequest::Trust { .. } => Reach::Widens,
            _ => Reach::Changes,
        }
    }

    fn question(&mut self, _: &Host) -> Result<Question, CommandError> {
        Ok(Question {
            what: Offer::Converse,
            who: Vec::new(),
            said: Vec::new(),
        })
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<()>, CommandError> {
        host.converse_at_host(by, self).map(Some)
    }
}
