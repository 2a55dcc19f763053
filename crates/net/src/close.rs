//! Why there is no connection, in sentences.

use iroh::endpoint::{ConnectWithOptsError, ConnectingError, ConnectionError, VarInt};

use crate::{core::code, words::clean};

/// TLS alert `no_application_protocol` (RFC 7301) as a QUIC error code (RFC 9001, 4.8).
const NO_APPLICATION_PROTOCOL: u64 = 0x100 + 120;
/// QUIC's CONNECTION_REFUSED (RFC 9000, 20.1).
const CONNECTION_REFUSED: u64 = 0x02;

const UNREACHABLE: &str = "the host could not be reached: it may be gone or offline, or the network in \
                           between lets no UDP through; ask for a fresh ticket if this stays";
const NOT_PILLION: &str = "what answers at this ticket's address is not a pillion session: ask the host for \
                           a fresh ticket";
const NO_ADDRESS: &str = "this ticket's host is nowhere to be found: its addresses are gone and no relay or \
                          record tells newer ones; ask the host for a fresh ticket";

/// Why a connection could not be begun.
pub(crate) fn why_not_begun(error: &ConnectWithOptsError) -> String {
    match error {
        ConnectWithOptsError::SelfConnect { .. } => {
            "this ticket leads to this very program".to_owned()
        }
        ConnectWithOptsError::NoAddress { .. } => NO_ADDRESS.to_owned(),
        _ => UNREACHABLE.to_owned(),
    }
}

/// Why a handshake failed.
pub(crate) fn why_not_connected(error: &ConnectingError) -> String {
    match error {
        ConnectingError::ConnectionError { source, .. } => match source {
            ConnectionError::TimedOut => UNREACHABLE.to_owned(),
            other => why_closed(other),
        },
        ConnectingError::HandshakeFailure { .. } => NOT_PILLION.to_owned(),
        _ => UNREACHABLE.to_owned(),
    }
}

/// Nobody answered in [`HANDSHAKE_TIMEOUT`](crate::limits::HANDSHAKE_TIMEOUT).
pub(crate) fn why_timed_out(relay: Option<&str>, relay_answers: bool) -> String {
    match relay {
        Some(relay) if !relay_answers => format!(
            "nobody answers: neither the host directly nor the relay {relay}; check this machine's network, or \
             that the relay runs"
        ),
        _ => UNREACHABLE.to_owned(),
    }
}

/// Why a connection ended.
pub(crate) fn why_closed(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let reason = clean(&close.reason);
            match (reason.is_empty(), close.error_code) {
                (false, _) => reason,
                (true, code) if code == VarInt::from_u32(code::TOO_SLOW) => {
                    "the host gave this connection up: it could not deliver what it sent".to_owned()
                }
                (true, _) => "the host closed the connection".to_owned(),
            }
        }
        ConnectionError::TransportError(error) if is_no_protocol(error.code.into()) => {
            NOT_PILLION.to_owned()
        }
        ConnectionError::ConnectionClosed(close) => match u64::from(close.error_code) {
            code if is_no_protocol(code) => NOT_PILLION.to_owned(),
            CONNECTION_REFUSED => {
                "the host takes no more connections right now: try again in a moment".to_owned()
            }
            _ => {
                "the host ended the connection: it may speak another version of pillion".to_owned()
            }
        },
        ConnectionError::TimedOut => "nothing was heard from the host for 30 seconds".to_owned(),
        ConnectionError::Reset => "the host was restarted".to_owned(),
        ConnectionError::LocallyClosed => "the connection was closed here".to_owned(),
        ConnectionError::VersionMismatch => {
            "what answers speaks another version of QUIC: please upgrade pillion on both sides"
                .to_owned()
        }
        _ => "the connection broke".to_owned(),
    }
}

fn is_no_protocol(code: u64) -> bool {
    code == NO_APPLICATION_PROTOCOL
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use iroh::endpoint::ApplicationClose;
    use pillion_proto::limits::MAX_SENTENCE;

    fn closed(code: u32, reason: &'static [u8]) -> String {
        why_closed(&ConnectionError::ApplicationClosed(ApplicationClose {
            error_code: VarInt::from_u32(code),
            reason: Bytes::from_static(reason),
        }))
    }

    #[test]
    fn the_hosts_words_are_shown_without_what_a_terminal_would_obey() {
        assert_eq!(
            closed(0, b"anna ended the session"),
            "anna ended the session"
        );
        assert_eq!(
            closed(0, b"\x1b]52;c;AAAA\x07hi\xe2\x80\xae"),
            "]52;c;AAAAhi"
        );
        assert_eq!(closed(0, &[b'a'; 2000]).len(), MAX_SENTENCE);
    }

    #[test]
    fn a_close_without_words_still_says_something() {
        assert!(closed(0, b"").contains("closed the connection"));
        assert!(
            closed(code::TOO_SLOW, b"\xff\x1b").contains("could not deliver")
                || !closed(0, b"\xff").is_empty()
        );
        assert!(why_closed(&ConnectionError::TimedOut).contains("30 seconds"));
    }
}
