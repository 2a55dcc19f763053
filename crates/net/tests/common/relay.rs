//! A relay of our own in the test's process.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use iroh_relay::{
    defaults::DEFAULT_RELAY_QUIC_PORT,
    server::{CertConfig, QuicConfig, RelayConfig, Server, ServerConfig, TlsConfig},
};
use pillion_net::{RelayCa, RelayChoice};

/// A relay with address discovery and a certificate that only its own authority vouches for.
#[allow(dead_code)] // each test uses a part of it
pub struct Relay {
    pub choice: RelayChoice,
    pub ca: RelayCa,
    /// The same two as the command takes them.
    pub url: String,
    pub ca_pem: String,
    _server: Server,
}

impl Relay {
    /// A relay on this address.
    pub async fn on(ip: IpAddr) -> Relay {
        let made = rcgen::generate_simple_self_signed(vec![ip.to_string()]).unwrap();
        let certificate = made.cert.der().clone();
        let key =
            rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let any = SocketAddr::new(ip, 0);
        let mut relay = RelayConfig::new(any);
        relay.tls = Some(TlsConfig::new(
            any,
            CertConfig::Manual { server_config: tls },
        ));
        let mut config = ServerConfig::default();
        config.relay = Some(relay);
        config.quic = Some(QuicConfig::new(SocketAddr::new(
            ip,
            DEFAULT_RELAY_QUIC_PORT,
        )));
        let server = Server::spawn(config).await.unwrap();
        let https = server.https_addr().unwrap();
        let url = format!("https://{https}");
        Relay {
            choice: url.parse().unwrap(),
            url,
            ca_pem: made.cert.pem(),
            ca: RelayCa::from_der([certificate.to_vec()]),
            _server: server,
        }
    }
}
