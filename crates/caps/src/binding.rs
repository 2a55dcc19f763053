//! What ties a proof to one connection (a channel binding, RFC 5056).

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::keys::PublicKey;

/// What a WebTransport binding is a hash of, before anything else.
const WEB_TRANSPORT_DOMAIN: &[u8] = b"pillion webtransport binding v1\0";

/// How a [`Binding`] comes about. The two ends need no word about it: a proof signs the number, so one
/// that was made over another kind is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BindingKind {
    /// Keying material exported from the connection's TLS (RFC 8446, 7.5).
    TlsExporter = 1,
    /// A hash over a WebTransport connection's certificate and what both ends said at its start: browsers
    /// export no keying material.
    WebTransport = 2,
}

/// 32 bytes that both ends of a connection know and no other connection has, and how they came about.
/// The drivers make it; what is secret in it is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    kind: BindingKind,
    value: [u8; 32],
}

impl Binding {
    /// From keying material exported from the connection's TLS, secret to its two ends.
    pub const fn tls_exporter(exported: [u8; 32]) -> Binding {
        Binding {
            kind: BindingKind::TlsExporter,
            value: exported,
        }
    }

    /// From a WebTransport connection: the SHA-256 of the certificate in use, which the viewer pinned,
    /// 32 fresh bytes of the host's on a stream of their own, and 32 fresh bytes of the viewer's. Somebody in
    /// between has another certificate, so a proof can't be passed on.
    pub fn web_transport(
        certificate: &[u8; 32],
        challenge: &[u8; 32],
        nonce: &[u8; 32],
    ) -> Binding {
        let hash = Sha256::new()
            .chain_update(WEB_TRANSPORT_DOMAIN)
            .chain_update(certificate)
            .chain_update(challenge)
            .chain_update(nonce);
        Binding {
            kind: BindingKind::WebTransport,
            value: hash.finalize().into(),
        }
    }

    /// How it came about.
    pub const fn kind(&self) -> BindingKind {
        self.kind
    }

    /// What is signed of it: the kind's number, then the bytes.
    pub(crate) fn signed(&self) -> [u8; 33] {
        let mut bytes = [self.kind as u8; 33];
        bytes[1..].copy_from_slice(&self.value);
        bytes
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binding({:?})", self.kind)
    }
}

/// The endpoint at the viewer's end of a connection, as far as the transport proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerEndpoint {
    /// The transport proved that the peer holds this endpoint key.
    Proved(PublicKey),
    /// It proved nothing of the kind, as WebTransport: the peer has no endpoint id here that counts.
    Unproved,
}

impl PeerEndpoint {
    /// The key, where it is proved.
    pub const fn key(&self) -> Option<&PublicKey> {
        match self {
            PeerEndpoint::Proved(key) => Some(key),
            PeerEndpoint::Unproved => None,
        }
    }
}

/// All that makes a proof one of this connection, session and pair of ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofContext {
    /// The connection.
    pub binding: Binding,
    /// The endpoint key of the host.
    pub host_endpoint: PublicKey,
    /// The endpoint of the viewer.
    pub viewer_endpoint: PeerEndpoint,
    /// The session's key.
    pub session: PublicKey,
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn golden_web_transport() {
        let binding = Binding::web_transport(&[1; 32], &[2; 32], &[3; 32]);
        assert_eq!(
            HEXLOWER.encode(&binding.signed()),
            "02b9693cb6966ce84ca0cd546b5fcd18f58bf45bc3a55954ac5ccaf27436b176f0"
        );
    }

    #[test]
    fn each_part_of_a_web_transport_counts_in_its_place() {
        let (a, b, c) = ([1; 32], [2; 32], [3; 32]);
        let binding = Binding::web_transport(&a, &b, &c);
        for other in [[&b, &a, &c], [&a, &c, &b], [&a, &b, &b], [&c, &b, &c]] {
            assert_ne!(
                binding,
                Binding::web_transport(other[0], other[1], other[2])
            );
        }
    }

    #[test]
    fn the_same_bytes_of_another_kind_are_another_binding() {
        let web = Binding::web_transport(&[1; 32], &[2; 32], &[3; 32]);
        let tls = Binding::tls_exporter(web.value);
        assert_ne!(web, tls);
        assert_ne!(web.signed(), tls.signed());
        assert_eq!(web.signed()[1..], tls.signed()[1..]);
    }

    #[test]
    fn what_is_exported_is_never_shown() {
        let shown = format!("{:?}", Binding::tls_exporter([0xab; 32]));
        assert_eq!(shown, "Binding(TlsExporter)");
    }
}
