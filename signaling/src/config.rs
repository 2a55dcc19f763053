//! What a service is started with.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

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
    /// Proxies before it. Of what comes from them `X-Forwarded-For` says who asks; it counts for nothing
    /// from anybody else.
    pub proxies: Vec<Subnet>,
    /// Where records are kept.
    pub store: StoreConfig,
    /// Publishes a second from one address; 0 is no limit. An IPv6 /64 counts as one address; a /56 has
    /// twice as much of this and all that follows, a /48 four times.
    pub publish_rate: u32,
    /// Reads a second from one address; 0 is no limit.
    pub read_rate: u32,
    /// Requests for mailboxes a second from one address; 0 is no limit.
    pub mail_rate: u32,
    /// Connections a second from one address; 0 is no limit.
    pub connection_rate: u32,
    /// Connections at a time, and requests under way. One address may have a sixteenth of them.
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
            proxies: Vec::new(),
            store: StoreConfig::Embedded {
                folder: data.into(),
                max_records: 4_000_000,
                cache_bytes: 48 << 20,
            },
            publish_rate: 50,
            read_rate: 500,
            mail_rate: 10,
            connection_rate: 100,
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
        /// Most records kept, of which one address may have left a 256th. Known ones are renewed all the
        /// same; new ones beyond that take the place of those of the one who left most.
        max_records: u64,
        /// redb's cache, in bytes.
        cache_bytes: usize,
    },
    /// A server that speaks PostgreSQL's protocol.
    #[cfg(feature = "postgres")]
    Postgres {
        /// `host=… user=… dbname=…` or `postgres://…`. May hold a password, so it is never shown.
        connection: String,
        /// As for the other.
        max_records: u64,
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

/// An address, or all that begin with the same bits: `192.0.2.1`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    bits: u8,
}

impl Subnet {
    /// Whether an address is one of it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |left: u128, right: u128, width: u32| {
            let rest = width - u32::from(self.bits);
            left.checked_shr(rest).unwrap_or(0) == right.checked_shr(rest).unwrap_or(0)
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(own.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is no address: it reads like 127.0.0.1, ::1 or 10.0.0.0/8, one for each flag"
            )
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let address = address.to_canonical();
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| bits.parse().map_err(|_| wrong()))?;
        match bits <= width {
            true => Ok(Subnet { address, bits }),
            false => Err(wrong()),
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
    /// Anybody who shows this may use the relay without a link.
    pub secret: Option<String>,
    /// Connections at a time. One address may have a sixteenth of them.
    pub max_connections: usize,
}

impl std::fmt::Debug for RelayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RelayConfig({}, secret: …)", self.listen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_holds_what_begins_with_its_bits() {
        let holds = |subnet: &str, address: &str| {
            let subnet: Subnet = subnet.parse().unwrap();
            subnet.contains(address.parse().unwrap())
        };
        assert!(holds("127.0.0.1", "127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("2001:db8::/32", "2001:db8:f::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("0.0.0.0/0", "192.0.2.1") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "2001:db8::1"));
        for wrong in [
            "",
            "localhost",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/x",
            "1.1.1.1,::1",
        ] {
            assert!(wrong.parse::<Subnet>().unwrap_err().contains("10.0.0.0/8"));
        }
    }
}
