//! What a service is started with.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use rustls::ServerConfig;
use std::sync::Arc;

/// How a [`Service`](crate::Service) is to run. [`Config::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where links are looked up by UDP, if anywhere: as `listen` unless told otherwise, on the same port.
    pub lookup: Option<SocketAddr>,
    /// The certificate to serve with; without one, plain HTTP (behind a proxy, or on loopback).
    pub tls: Option<Tls>,
    /// Whether a proxy stands before it, whose `X-Forwarded-For` says who asks.
    pub behind_proxy: bool,
    /// Where records are kept.
    pub store: StoreConfig,
    /// Publishes a second from one address (an IPv6 /64 counts as one); 0 is no limit.
    pub publish_rate: u32,
    /// Reads a second from one address; 0 is no limit.
    pub read_rate: u32,
    /// Requests for mailboxes a second from one address; 0 is no limit.
    pub mail_rate: u32,
    /// Connections at a time; more wait to be accepted.
    pub max_connections: usize,
    /// Between two searches for expired records.
    pub sweep_every: Duration,
    /// A relay to run beside, if any.
    pub relay: Option<RelayConfig>,
}

impl Config {
    /// A service on `listen` that keeps its records in the folder `data`.
    pub fn new(listen: SocketAddr, data: impl Into<PathBuf>) -> Self {
        Self {
            listen,
            lookup: Some(listen),
            tls: None,
            behind_proxy: false,
            store: StoreConfig::Embedded {
                folder: data.into(),
                max_records: 4_000_000,
                cache_bytes: 48 << 20,
            },
            publish_rate: 50,
            read_rate: 500,
            mail_rate: 10,
            max_connections: 10_000,
            sweep_every: Duration::from_secs(60),
            relay: None,
        }
    }
}

/// Where records are kept.
#[derive(Clone)]
pub enum StoreConfig {
    /// A redb file in a folder of its own.
    Embedded {
        /// The folder; made when missing.
        folder: PathBuf,
        /// Most records kept; new ones beyond that are refused, known ones still renewed.
        max_records: u64,
        /// redb's cache, in bytes.
        cache_bytes: usize,
    },
    /// A server that speaks PostgreSQL's protocol.
    #[cfg(feature = "postgres")]
    Postgres {
        /// `host=… user=… dbname=…` or `postgres://…`. May hold a password, so it is never shown.
        connection: String,
    },
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded { folder, .. } => write!(f, "Embedded({})", folder.display()),
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => f.write_str("Postgres(…)"),
        }
    }
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Tls(pub(crate) Arc<ServerConfig>);

impl Tls {
    /// Reads a certificate chain and its key from PEM files. The provider is ring.
    pub fn from_files(cert: &std::path::Path, key: &std::path::Path) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
        let chain = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("{} holds no certificates in PEM", cert.display()))?;
        let key_der = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("{} holds no private key in PEM", key.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("the TLS versions")?
            .with_no_client_auth()
            .with_single_cert(chain, key_der)
            .with_context(|| format!("{} does not go with its key", cert.display()))?;
        // Hosts come again every few minutes, more of them than sessions could be kept of.
        config.ticketer = rustls::crypto::ring::Ticketer::new().context("keys for tickets")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// An iroh relay in the same process, under the same certificate.
#[derive(Clone)]
pub struct RelayConfig {
    /// Where to listen: HTTPS with a certificate, else HTTP.
    pub listen: SocketAddr,
    /// Where to answer QUIC address discovery; needs a certificate.
    pub quic: Option<SocketAddr>,
    /// Whoever shows this may use the relay without a link.
    pub secret: Option<String>,
}

impl std::fmt::Debug for RelayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RelayConfig({}, secret: …)", self.listen)
    }
}
