//! What a peer did wrong, and how its connection ends for it.

use pillion_proto::{ProtocolError, RefusedCode};

/// Why a connection is closed by the host.
#[derive(Debug)]
pub(in crate::host) struct PeerError {
    pub(in crate::host) code: RefusedCode,
    pub(in crate::host) text: String,
}

impl PeerError {
    pub(in crate::host) fn new(code: RefusedCode, text: impl Into<String>) -> PeerError {
        PeerError {
            code,
            text: text.into(),
        }
    }

    pub(in crate::host) fn protocol(what: &'static str) -> PeerError {
        ProtocolError::Malformed(what).into()
    }

    pub(in crate::host) fn flood() -> PeerError {
        let text = "you were disconnected: your viewer sent more messages than any viewer needs; \
                    join again, and upgrade pillion on your side if it happens again";
        PeerError::new(RefusedCode::PROTOCOL, text)
    }
}

impl From<ProtocolError> for PeerError {
    fn from(error: ProtocolError) -> PeerError {
        PeerError::new(RefusedCode::PROTOCOL, error.to_string())
    }
}
