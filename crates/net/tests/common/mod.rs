//! What the driver tests share: drivers on loopback, a datagram forwarder to cut, a relay.
#![allow(dead_code, missing_docs)]

mod relay;
#[path = "../../../../tests/common/skip.rs"]
mod skip;

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use iroh::{
    Endpoint, EndpointAddr, TransportAddr,
    endpoint::{QuicTransportConfig, presets},
};
use pillion_caps::SecretKey;
use pillion_net::{HostNet, NetOptions, RelayChoice, ViewerNet, random_bytes};
use pillion_session::{ConnId, HostInput, HostOutput, Stream, ViewerInput, ViewerOutput};
use tokio::net::UdpSocket;

use relay::Relay;

/// No condition of these tests takes this long unless something is broken.
pub const LONG: Duration = Duration::from_secs(20);

pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, wait)
        .await
        .unwrap_or_else(|_| panic!("waited too long for {what}"))
}

pub fn v4() -> NetOptions {
    NetOptions {
        bind: vec!["127.0.0.1:0".parse().unwrap()],
        ..NetOptions::default()
    }
}

/// A viewer with this and a host with [`v4`] have no address family in common: what connects them is
/// a forwarder or a relay, and never a path found beside it.
pub fn v6() -> NetOptions {
    NetOptions {
        bind: vec!["[::1]:0".parse().unwrap()],
        ..NetOptions::default()
    }
}

/// Whether this machine has IPv6 on loopback; says so where not.
pub fn has_v6() -> bool {
    let has = std::net::UdpSocket::bind("[::1]:0").is_ok();
    if !has {
        skip::skip("this machine has no IPv6 loopback, which keeps the two ends apart");
    }
    has
}

pub async fn host() -> HostNet {
    host_with(RelayChoice::None, v4()).await
}

pub async fn host_with(relay: RelayChoice, options: NetOptions) -> HostNet {
    let key = SecretKey::from_bytes(&random_bytes().unwrap());
    HostNet::bind(&key, relay, options).await.unwrap()
}

pub fn viewer_of(host: &HostNet) -> ViewerNet {
    let mut net = ViewerNet::new(RelayChoice::None, v4());
    net.set_host(host.addr());
    net
}

/// The first input for which `pick` gives something.
pub async fn host_hears<T>(
    net: &mut HostNet,
    what: &str,
    mut pick: impl FnMut(HostInput) -> Option<T>,
) -> T {
    soon(what, async {
        loop {
            if let Some(found) = pick(net.next_input().await) {
                return found;
            }
        }
    })
    .await
}

pub async fn viewer_hears<T>(
    net: &mut ViewerNet,
    what: &str,
    mut pick: impl FnMut(ViewerInput) -> Option<T>,
) -> T {
    soon(what, async {
        loop {
            if let Some(found) = pick(net.next_input().await) {
                return found;
            }
        }
    })
    .await
}

pub async fn host_connected(net: &mut HostNet) -> ConnId {
    host_hears(net, "a connection", |input| match input {
        HostInput::Connected { conn, .. } | HostInput::HandshakeConfirmed { conn, .. } => {
            Some(conn)
        }
        _ => None,
    })
    .await
}

pub async fn viewer_connected(net: &mut ViewerNet) {
    viewer_hears(net, "the connection", |input| match input {
        ViewerInput::Connected(_) => Some(()),
        ViewerInput::Disconnected { why } => panic!("not connected: {why}"),
        _ => None,
    })
    .await;
}

/// Connects `viewer` to `host`.
pub async fn connect(host: &mut HostNet, viewer: &mut ViewerNet) -> ConnId {
    viewer.apply(ViewerOutput::Connect);
    tokio::join!(host_connected(host), viewer_connected(viewer)).0
}

/// Reads until `count` bytes have come on `wanted`.
pub async fn host_reads(net: &mut HostNet, from: ConnId, wanted: Stream, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    host_hears(net, "bytes from the viewer", |input| {
        match input {
            HostInput::Received {
                conn,
                stream,
                bytes,
            } if (conn, stream) == (from, wanted) => {
                all.extend_from_slice(&bytes);
            }
            HostInput::Disconnected { conn } if conn == from => {
                panic!("gone after {} bytes", all.len())
            }
            _ => {}
        }
        (all.len() >= count).then_some(())
    })
    .await;
    all
}

pub async fn viewer_reads(net: &mut ViewerNet, wanted: Stream, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    viewer_hears(net, "bytes from the host", |input| {
        match input {
            ViewerInput::Received { stream, bytes } if stream == wanted => {
                all.extend_from_slice(&bytes)
            }
            ViewerInput::Disconnected { why } => panic!("gone after {} bytes: {why}", all.len()),
            _ => {}
        }
        (all.len() >= count).then_some(())
    })
    .await;
    all
}

pub fn to_viewer(conn: ConnId, stream: Stream, bytes: impl Into<Bytes>) -> HostOutput {
    HostOutput::Send {
        to: (conn, stream).into(),
        bytes: bytes.into(),
    }
}

pub fn to_host(stream: Stream, bytes: impl Into<Bytes>) -> ViewerOutput {
    ViewerOutput::Send {
        stream,
        bytes: bytes.into(),
    }
}

/// A peer that is not one of ours: a bare iroh endpoint.
pub async fn stranger(transport: QuicTransportConfig) -> Endpoint {
    Endpoint::builder(presets::Minimal)
        .transport_config(transport)
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .unwrap()
        .bind()
        .await
        .unwrap()
}

/// Passes datagrams between one viewer and a host, until told not to.
pub struct Forwarder {
    pub addr: SocketAddr,
    pub to_host: Arc<AtomicBool>,
    pub to_viewer: Arc<AtomicBool>,
    pub dropped: Arc<AtomicUsize>,
    /// What goes to the viewer is kept until [`Forwarder::release`].
    pub hold: Arc<AtomicBool>,
    held: Arc<Mutex<Vec<Vec<u8>>>>,
    front: Arc<UdpSocket>,
    viewer: Arc<Mutex<Option<SocketAddr>>>,
    /// How long each datagram takes, in microseconds, either way.
    pub delay_us: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Forwarder {
    /// Listens on IPv6 and speaks IPv4 to the host.
    pub async fn new(host: SocketAddr) -> Forwarder {
        let front = Arc::new(UdpSocket::bind("[::1]:0").await.unwrap());
        let back = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        back.connect(host).await.unwrap();
        let addr = front.local_addr().unwrap();
        let (to_host, to_viewer) = (
            Arc::new(AtomicBool::new(true)),
            Arc::new(AtomicBool::new(true)),
        );
        let dropped = Arc::new(AtomicUsize::new(0));
        let hold = Arc::new(AtomicBool::new(false));
        let held: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let delay_us = Arc::new(AtomicU64::new(0));
        let viewer = Arc::new(Mutex::new(None));
        let (open_host, open_viewer, lost) = (to_host.clone(), to_viewer.clone(), dropped.clone());
        let (delay, keep, kept) = (delay_us.clone(), hold.clone(), held.clone());
        let (to_front, of_viewer) = (front.clone(), viewer.clone());
        let task = tokio::spawn(async move {
            let (mut up, mut down) = ([0; 2048], [0; 2048]);
            loop {
                tokio::select! {
                    got = to_front.recv_from(&mut up) => {
                        let Ok((count, from)) = got else { continue };
                        *of_viewer.lock().unwrap() = Some(from);
                        match open_host.load(Ordering::SeqCst) {
                            true => pass_on(&back, None, &up[..count], &delay).await,
                            false => { lost.fetch_add(1, Ordering::SeqCst); }
                        }
                    }
                    got = back.recv(&mut down) => {
                        let to = *of_viewer.lock().unwrap();
                        let (Ok(count), Some(to)) = (got, to) else { continue };
                        if keep.load(Ordering::SeqCst) {
                            kept.lock().unwrap().push(down[..count].to_vec());
                            continue;
                        }
                        match open_viewer.load(Ordering::SeqCst) {
                            true => pass_on(&to_front, Some(to), &down[..count], &delay).await,
                            false => { lost.fetch_add(1, Ordering::SeqCst); }
                        }
                    }
                }
            }
        });
        Forwarder {
            addr,
            to_host,
            to_viewer,
            dropped,
            hold,
            held,
            front,
            viewer,
            delay_us,
            task,
        }
    }

    /// The host's address as seen through this forwarder.
    pub fn address_of(&self, host: &HostNet) -> EndpointAddr {
        EndpointAddr::from_parts(host.addr().id, [TransportAddr::Ip(self.addr)])
    }

    /// Passes on what was kept for the viewer, and keeps nothing more.
    pub async fn release(&self) {
        self.hold.store(false, Ordering::SeqCst);
        let held = std::mem::take(&mut *self.held.lock().unwrap());
        let viewer = self.viewer.lock().unwrap().unwrap();
        for datagram in held {
            self.front.send_to(&datagram, viewer).await.unwrap();
        }
    }

    pub fn pass(&self, open: bool) {
        self.to_host.store(open, Ordering::SeqCst);
        self.to_viewer.store(open, Ordering::SeqCst);
    }
}

/// Sends a datagram on, at once or a little later.
async fn pass_on(
    socket: &Arc<UdpSocket>,
    to: Option<SocketAddr>,
    datagram: &[u8],
    delay_us: &AtomicU64,
) {
    async fn send(socket: &UdpSocket, to: Option<SocketAddr>, datagram: &[u8]) {
        let _ = match to {
            Some(to) => socket.send_to(datagram, to).await,
            None => socket.send(datagram).await,
        };
    }
    match delay_us.load(Ordering::SeqCst) {
        0 => send(socket, to, datagram).await,
        delay => {
            let at = tokio::time::Instant::now() + Duration::from_micros(delay);
            let (socket, datagram) = (socket.clone(), datagram.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                send(&socket, to, &datagram).await;
            });
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A relay on loopback. Address discovery has a port of its own by custom, so each relay gets an
/// address of its own: all of 127.0.0.0/8 is loopback.
pub async fn relay() -> Relay {
    let [a, b, c] = random_bytes().unwrap();
    Relay::on([127, a, b, c.clamp(1, 254)].into()).await
}
