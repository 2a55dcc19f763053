//! What a peer did wrong, and how its connection ends for it.

use pillion_proto::{ProtocolError, RefusalReason};

/// Why a connection is closed by the host.
#[derive(Debug, Clone)]
pub(in crate::host) struct PeerError(pub(in crate::host) RefusalReason);

impl PeerError {
    /// Something that is not the protocol: what, for those who look for the fault.
    pub(in crate::host) fn protocol(what: &'static str) -> PeerError {
        ProtocolError::Malformed(what).into()
    }
}

impl From<RefusalReason> for PeerError {
    fn from(why: RefusalReason) -> PeerError {
        PeerError(why)
    }
}

impl From<ProtocolError> for PeerError {
    fn from(error: ProtocolError) -> PeerError {
        PeerError(error.into())
    }
}
