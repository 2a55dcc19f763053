//! The iroh endpoint, set up for a host or a viewer.

use std::{io, net::SocketAddr, sync::Arc};

use iroh::{
    Endpoint, RelayConfig, RelayMap, RelayMode, RelayUrl, SecretKey,
    address_lookup::{AddrFilter, DnsAddressLookup, PkarrPublisher, PkarrResolver},
    endpoint::{
        AckFrequencyConfig, BindError, Builder, PortmapperConfig, QuicTransportConfig, VarInt,
        presets,
    },
};
use iroh_mainline_address_lookup::DhtAddressLookup;
use iroh_mdns_address_lookup::MdnsAddressLookup;
use n0_mainline::DhtBuilder;
use pillion_proto::ALPN;

use crate::{
    core::Role,
    error::NetError,
    limits::{
        ACK_AFTER, CONNECTION_IDLE, FIRST_RTT, HEARTBEAT, HOST_STREAM_WINDOW, MAX_HOST_UNI_STREAMS,
        MAX_VIEWER_BI_STREAMS, MAX_VIEWER_UNI_STREAMS, PATH_IDLE, SEND_WINDOW,
        STRANGER_RECEIVE_WINDOW, VIEWER_RECEIVE_WINDOW, VIEWER_STREAM_WINDOW,
    },
    relay::{RelayCa, RelayChoice, RelaySecret},
    resolve::Resolve,
};
#[cfg(feature = "signal")]
use crate::{relay::tls_config, signal::SignalService};

/// What a network is set up with beside its relay. The default is right for nearly everyone.
#[derive(Debug, Clone, Default)]
pub struct NetOptions {
    /// Authorities to trust for a relay with a certificate of one's own.
    pub relay_ca: Option<RelayCa>,
    /// What one's own relay asks for.
    pub relay_secret: Option<RelaySecret>,
    /// The relay that a ticket names, and what it asks for. A secret of one's own for the same relay
    /// goes first.
    pub their_relay: Option<(RelayUrl, RelaySecret)>,
    /// Addresses to listen on; every interface, on ports the system picks, when empty.
    pub bind: Vec<SocketAddr>,
    /// Publish the host's IP addresses in its public record, and not only its relay. Shortens a join
    /// by an old ticket, and tells anyone who knows the session's key where the host is.
    pub publish_addresses: bool,
    /// Where a host whose addresses have changed is looked for.
    pub resolve: Resolve,
    /// The link service, whose address records are used instead of the public ones.
    #[cfg(feature = "signal")]
    pub signal: Option<SignalService>,
    /// Nodes to enter the DHT by, `host:port` each; the well-known ones when empty.
    pub dht_bootstrap: Vec<String>,
    /// Bytes that a viewer lets the host have on their way to it, for who tries hosts with viewers that do
    /// not read; what a viewer needs when there is none.
    pub receive_window: Option<u32>,
}

/// The name under which hosts are looked for on the LAN: `_pillion._udp.local`.
const LAN_SERVICE: &str = "pillion";

/// Opens sockets; waits for nothing on the network.
pub(crate) async fn bind(
    role: Role,
    key: SecretKey,
    relay: &RelayChoice,
    options: &NetOptions,
) -> Result<Endpoint, NetError> {
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(key.clone())
        .transport_config(transport(role, options))
        .relay_mode(relays(relay, options));
    if let Some(ca) = &options.relay_ca {
        builder = builder.ca_tls_config(ca.tls_config(relay));
    }
    // One side's port mapping serves both, and viewers ask nothing of their router. Without a relay
    // nobody outside would learn of it.
    if role == Role::Viewer || *relay == RelayChoice::None {
        builder = builder.portmapper_config(PortmapperConfig::Disabled);
    }
    if role == Role::Host {
        builder = builder.alpns(vec![ALPN.to_vec()]);
    }
    builder = lookups(builder, role, key, relay, options)?;
    if !options.bind.is_empty() {
        builder = builder.clear_ip_transports();
        for addr in &options.bind {
            builder = builder.bind_addr(*addr).map_err(|e| NetError::Start {
                reason: format!("cannot listen on {addr}: {e}"),
            })?;
        }
    }
    builder.bind().await.map_err(why_not_bound)
}

/// The relays that may be used, and what they are shown.
fn relays(choice: &RelayChoice, options: &NetOptions) -> RelayMode {
    let asked = |url: &RelayUrl, secret: Option<&RelaySecret>| {
        let relay = RelayConfig::from(url.clone());
        Arc::new(match secret {
            Some(secret) => relay.with_auth_token(secret.as_str()),
            None => relay,
        })
    };
    let map = match choice {
        RelayChoice::None => return RelayMode::Disabled,
        RelayChoice::Default if options.their_relay.is_none() => return RelayMode::Default,
        RelayChoice::Default => RelayMode::Default.relay_map(),
        RelayChoice::Url(url) => {
            let map = RelayMap::empty();
            map.insert(url.clone(), asked(url, options.relay_secret.as_ref()));
            map
        }
    };
    if let Some((url, secret)) = &options.their_relay
        && !(map.contains(url) && options.relay_secret.is_some())
    {
        map.insert(url.clone(), asked(url, Some(secret)));
    }
    RelayMode::Custom(map)
}

/// How a host whose addresses have changed is found by its ticket: hosts publish where they are,
/// viewers only read.
fn lookups(
    mut builder: Builder,
    role: Role,
    key: SecretKey,
    relay: &RelayChoice,
    options: &NetOptions,
) -> Result<Builder, NetError> {
    let filter = match options.publish_addresses {
        true => AddrFilter::unfiltered(),
        false => AddrFilter::relay_only(),
    };
    if options.resolve.records {
        builder = records(builder, role, key, relay, filter.clone(), options)?;
    }
    if options.resolve.dht {
        if role == Role::Host && *relay == RelayChoice::None && !options.publish_addresses {
            return Err(NetError::NothingToPublish);
        }
        let mut dht = DhtBuilder::default();
        if !options.dht_bootstrap.is_empty() {
            dht.bootstrap(&options.dht_bootstrap);
        }
        let dht = DhtAddressLookup::builder()
            .dht_builder(dht)
            .addr_filter(filter);
        builder = builder.address_lookup(match role {
            Role::Host => dht,
            Role::Viewer => dht.no_publish(),
        });
    }
    if options.resolve.lan {
        // Who is on the same network sees where a host is anyway: nothing is held back.
        let lan = MdnsAddressLookup::builder()
            .service_name(LAN_SERVICE)
            .advertise(role == Role::Host);
        builder = builder.address_lookup(lan);
    }
    Ok(builder)
}

/// Address records: at one's own service, or the public ones with their relays.
#[cfg_attr(
    not(feature = "signal"),
    expect(unused_variables, reason = "for a service's records")
)]
fn records(
    builder: Builder,
    role: Role,
    key: SecretKey,
    relay: &RelayChoice,
    filter: AddrFilter,
    options: &NetOptions,
) -> Result<Builder, NetError> {
    #[cfg(feature = "signal")]
    if let Some(signal) = &options.signal {
        return service_records(builder, role, key, filter, signal);
    }
    Ok(match (relay, role) {
        (RelayChoice::Default, Role::Host) => {
            builder.address_lookup(PkarrPublisher::n0_dns().addr_filter(filter))
        }
        (RelayChoice::Default, Role::Viewer) => builder
            .address_lookup(PkarrResolver::n0_dns())
            .address_lookup(DnsAddressLookup::n0_dns()),
        _ => builder,
    })
}

/// Address records at one's own service instead of the public ones.
#[cfg(feature = "signal")]
fn service_records(
    builder: Builder,
    role: Role,
    key: SecretKey,
    filter: AddrFilter,
    signal: &SignalService,
) -> Result<Builder, NetError> {
    let start = |reason: String| NetError::Start { reason };
    let url = format!("{}/pkarr", signal.url);
    let url = url.parse().map_err(|e| start(format!("{url}: {e}")))?;
    let tls = tls_config(signal.ca.as_ref()).map_err(|e| start(e.to_string()))?;
    Ok(match role {
        Role::Host => builder.address_lookup(
            PkarrPublisher::builder(url)
                .addr_filter(filter)
                .build(key, tls),
        ),
        Role::Viewer => builder.address_lookup(PkarrResolver::builder(url).build(tls)),
    })
}

fn transport(role: Role, options: &NetOptions) -> QuicTransportConfig {
    let config = QuicTransportConfig::builder()
        .initial_rtt(FIRST_RTT)
        .send_window(SEND_WINDOW)
        .ack_frequency_config(Some(acks()))
        .default_path_max_idle_timeout(PATH_IDLE)
        .max_idle_timeout(CONNECTION_IDLE.try_into().ok())
        // Not used yet: what nobody reads must not be held.
        .datagram_receive_buffer_size(None);
    match role {
        Role::Host => config
            .stream_receive_window(VarInt::from_u32(HOST_STREAM_WINDOW))
            .receive_window(VarInt::from_u32(STRANGER_RECEIVE_WINDOW))
            .max_concurrent_bidi_streams(VarInt::from_u32(MAX_VIEWER_BI_STREAMS))
            .max_concurrent_uni_streams(VarInt::from_u32(MAX_VIEWER_UNI_STREAMS)),
        Role::Viewer => config
            .stream_receive_window(VarInt::from_u32(VIEWER_STREAM_WINDOW))
            .receive_window(VarInt::from_u32(
                options.receive_window.unwrap_or(VIEWER_RECEIVE_WINDOW),
            ))
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(MAX_HOST_UNI_STREAMS))
            .keep_alive_interval(HEARTBEAT)
            .default_path_keep_alive_interval(HEARTBEAT),
    }
    .build()
}

/// The other end need not answer every second packet at once: while somebody types, that was a packet and
/// a wake-up at both ends between most keys and their echo.
fn acks() -> AckFrequencyConfig {
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(ACK_AFTER));
    acks
}

fn why_not_bound(error: BindError) -> NetError {
    match error {
        BindError::Sockets { source, .. } | BindError::CreateQuicEndpoint { source, .. } => {
            why_no_socket(source)
        }
        other => NetError::Start {
            reason: other.to_string(),
        },
    }
}

fn why_no_socket(error: io::Error) -> NetError {
    let reason = error.to_string();
    let os = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    match (error.kind(), os) {
        (io::ErrorKind::PermissionDenied, _) => NetError::Denied { reason },
        (io::ErrorKind::AddrInUse, _) => NetError::PortInUse { reason },
        (_, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)) => {
            NetError::TooManyFiles { reason }
        }
        (
            io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::Unsupported,
            _,
        )
        | (_, Some(rustix::io::Errno::AFNOSUPPORT)) => NetError::NoSockets { reason },
        _ => NetError::Start { reason },
    }
}
