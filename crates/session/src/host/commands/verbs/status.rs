//! How the session stands.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Asks how the session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {}

/// How a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Name.
    pub name: String,
    /// Shared right now.
    pub shared: bool,
    /// Viewers connected.
    pub viewers: u32,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Edit can't be granted.
    pub read_only: bool,
    /// The host's terminal. The driver knows more than the session of one that is not there.
    #[serde(default)]
    pub terminal: TerminalStatus,
}

/// How a session stands towards its host's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TerminalStatus {
    /// It was started without one, and none can be attached.
    #[default]
    None,
    /// One is attached.
    Attached,
    /// None is attached at the moment.
    Detached,
}

#[cfg(feature = "host")]
impl Run for Status {
    type Reply = SessionStatus;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Nothing
    }

    fn run(self, host: &mut Host, _: &Principal) -> Result<Option<SessionStatus>, CommandError> {
        Ok(Some(SessionStatus {
            name: host.cx.names.session.clone(),
            shared: host.cx.shared,
            viewers: u32::try_from(host.cx.conns.viewer_count()).unwrap_or(u32::MAX),
            started_unix_ms: host.cx.started_unix_ms,
            read_only: host.cx.read_only,
            terminal: match host.cx.has_tty {
                true => TerminalStatus::Attached,
                false => TerminalStatus::None,
            },
        }))
    }
}
