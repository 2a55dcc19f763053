//! Opens a conversation with an agent in the session.

use pillion_conversation::Gate;
#[cfg(feature = "host")]
use pillion_proto::TrackId;
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Opens a conversation with an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConversation {
    /// What to call it; empty for the agent's command.
    pub title: String,
    /// The agent.
    pub start: AgentStart,
    /// What is known of it.
    pub gate: Gate,
}

/// An agent, as it is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStart {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The directory it works in; empty for the session's.
    pub cwd: String,
    /// What its environment has beside the session's.
    pub environment: Vec<(String, String)>,
    /// What was said before, elsewhere, in Markdown: it goes on from there. Empty for one that begins.
    #[serde(default)]
    pub earlier: String,
}

#[cfg(feature = "host")]
impl Run for OpenConversation {
    /// Its number.
    type Reply = TrackId;

    fn reach(&self, _: &Host) -> Reach {
        // What it runs could as well be run in a terminal that is there.
        Reach::Changes
    }

    fn run(self, host: &mut Host, _: &Principal) -> Result<Option<TrackId>, CommandError> {
        host.open_conversation(self).map(Some)
    }
}
