//! An iroh relay in the same process, for those the service knows.
//!
//! It forwards sealed packets between peers that find no direct path. Let in is who shows, as the
//! bearer token iroh sends along,
//! - a [`RelayToken`] of a link that has a live record: its host, and the viewers whose ticket
//!   carries the token; or
//! - the relay's shared secret, if it has one.
//!
//! It is asked at each connection, not again while one lasts.
//!
//! Connections are accepted here, and each has a place among those of its network. iroh's part begins
//! with a request to upgrade; from then on it alone holds the socket, and says only who came in and who
//! left. So until somebody comes in, a second handle on the socket stays here to end it by
//! ([`ESTABLISHED_WITHIN`]): iroh itself would wait for ever.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    net::{Shutdown, SocketAddr},
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, body::Incoming, header, server::conn::http1,
    service::Service as _, service::service_fn,
};
use hyper_util::rt::TokioIo;
use iroh_base::EndpointId;
use iroh_relay::{
    KeyCache,
    http::{RELAY_PATH, RELAY_PROBE_PATH},
    server::{
        Access, AccessControl, ClientRequest, ConnectionId, Metrics as IrohMetrics, QuicConfig,
        Server, ServerConfig,
        clients::Clients,
        http_server::{BytesBody, Handlers, HyperError, RelayService, RelayServiceWithNotify},
        streams::MaybeTlsStream,
    },
};
use pillion_proto::RelayToken;
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tracing::warn;

use crate::{
    config::{Config, RelayConfig, Tls},
    front::Front,
    http::{App, Connection, Refusal, asker},
    links,
    places::{Crowded, Place, Places, Use},
    serve::{LEAST, PART},
    share::Limits,
};

/// From the upgrade of a connection until its peer has proved who it is.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(15);

/// Names a connection's place to [`Admission`], in its request's headers; what a client sends under this
/// name is dropped.
const PLACE: &str = "x-pillion-place";

/// How long telling somebody why they are refused may take.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

/// Endpoint ids that iroh keeps parsed.
const KEY_CACHE: usize = 16_384;

/// A running relay. Ends when dropped.
pub(crate) struct Relay {
    addr: SocketAddr,
    service: RelayService,
    accepting: JoinHandle<()>,
    /// QUIC address discovery, which is a server of iroh's.
    discovery: Option<Server>,
}

impl Relay {
    /// Where it listens: HTTPS with a certificate, else HTTP.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) async fn stop(mut self) {
        self.accepting.abort();
        self.service.shutdown().await;
        if let Some(discovery) = self.discovery.take()
            && let Err(error) = discovery.shutdown().await
        {
            warn!(%error, "address discovery did not end well");
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub(crate) async fn start(
    relay: &RelayConfig,
    config: &Config,
    app: Arc<App>,
) -> anyhow::Result<Relay> {
    let discovery = match relay.quic {
        None => None,
        Some(quic) => Some(discovery(quic, config.tls.as_ref()).await?),
    };
    let listener = TcpListener::bind(relay.listen)
        .await
        .with_context(|| format!("the relay cannot listen on {}", relay.listen))?;
    let addr = listener.local_addr().context("the relay's address")?;
    let limits = Limits::parts(relay.max_connections as u64, PART, LEAST);
    let front = Front::new(config, limits, &app.metrics.share("relay_connection"));
    let admission = Arc::new(Admission {
        secret: relay.secret.as_ref().map(|text| hash(text)),
        places: Places::new(limits, &app.metrics.share("relay")),
        app,
        pending: Mutex::default(),
        open: Mutex::default(),
        next: AtomicU64::new(0),
    });
    let service = RelayService::new(
        Handlers::default(),
        HeaderMap::new(),
        None,
        KeyCache::new(KEY_CACHE),
        admission.clone(),
        Arc::new(IrohMetrics::default()),
    );
    let accepting = tokio::spawn({
        let service = service.clone();
        async move {
            let serve = move |stream, connection| {
                serve(stream, connection, service.clone(), admission.clone())
            };
            front.run(listener, serve).await;
        }
    });
    Ok(Relay {
        addr,
        service,
        accepting,
        discovery,
    })
}

async fn discovery(listen: SocketAddr, tls: Option<&Tls>) -> anyhow::Result<Server> {
    let Some(Tls(tls)) = tls else {
        anyhow::bail!(
            "QUIC address discovery needs a certificate: give --tls-cert and --tls-key, or leave out --relay-quic"
        );
    };
    let mut quic = QuicConfig::new(listen);
    quic.server_config = Some((**tls).clone());
    let mut server = ServerConfig::default();
    server.quic = Some(quic);
    Server::spawn(server)
        .await
        .with_context(|| format!("address discovery cannot listen on {listen}"))
}

/// Serves a connection until it ends, or is upgraded and iroh's.
async fn serve(
    stream: MaybeTlsStream,
    connection: Connection,
    service: RelayService,
    admission: Arc<Admission>,
) {
    let socket = match &stream {
        MaybeTlsStream::Plain(stream) => Some(stream.as_fd()),
        MaybeTlsStream::Tls(stream) => Some(stream.get_ref().0.as_fd()),
        _ => None,
    };
    let Some(Ok(socket)) = socket.map(|socket| socket.try_clone_to_owned()) else {
        return;
    };
    let socket = Socket(Arc::new(socket.into()));
    let answer = service_fn(move |request| {
        connection.place.is(Use::Busy, Instant::now());
        let answer = answer(request, &connection, &socket, &service, &admission)
            .map_err(std::io::Error::other);
        connection.place.is(Use::Idle, Instant::now());
        std::future::ready(answer)
    });
    let connection = http1::Builder::new()
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), answer);
    // How it ended is the other side's affair.
    let _ = connection.with_upgrades().await;
}

fn answer(
    mut request: Request<Incoming>,
    connection: &Connection,
    socket: &Socket,
    service: &RelayService,
    admission: &Arc<Admission>,
) -> Result<Response<BytesBody>, HyperError> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, RELAY_PATH) => {
            let proxies = &admission.app.proxies;
            let from = asker(proxies, connection.peer, request.headers());
            let place = admission.places.take(&from, Use::Silent, Instant::now());
            let place = match place {
                Ok(place) => place,
                Err(Crowded(full)) => {
                    return refusal(&Refusal::Crowded {
                        what: "relay connections",
                        full,
                    });
                }
            };
            let number = admission.next.fetch_add(1, Ordering::Relaxed);
            request.headers_mut().insert(PLACE, number.into());
            let (establish, established) = oneshot::channel();
            lock(&admission.pending).insert(number, establish);
            let (admission, clients) = (admission.clone(), service.clients().clone());
            let socket = socket.clone();
            tokio::spawn(async move {
                attend(place, established, socket, clients).await;
                lock(&admission.pending).remove(&number);
            });
            // It spawns what goes on after the upgrade; only that is told when somebody is let in.
            let upgrade = RelayServiceWithNotify::new(service.clone(), Arc::default());
            upgrade.call(request).into_inner()
        }
        (&Method::GET, RELAY_PROBE_PATH | "/healthz") => Ok(Response::builder()
            .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
            .body(Box::new(Full::default()) as BytesBody)?),
        _ => refusal(&Refusal::NotFound(
            "this is a relay: there is nothing to read here",
        )),
    }
}

fn refusal(refusal: &Refusal) -> Result<Response<BytesBody>, HyperError> {
    let (status, text) = refusal.said();
    let mut response = Response::builder().status(status);
    if let Some(seconds) = refusal.retry_after() {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    Ok(response.body(Box::new(Full::new(Bytes::from(text))) as BytesBody)?)
}

/// Keeps a place while its connection lasts, and ends that when the place is another's or the peer does
/// not say who it is in time.
async fn attend(
    mut place: Place,
    established: oneshot::Receiver<Established>,
    socket: Socket,
    clients: Clients,
) {
    let established = tokio::select! {
        established = tokio::time::timeout(ESTABLISHED_WITHIN, established) => established,
        () = place.lost() => return socket.end(),
    };
    let mut peer = match established {
        Ok(Ok(peer)) => peer,
        // Refused, and being told why.
        Ok(Err(_)) => {
            tokio::select! {
                () = tokio::time::sleep(REFUSED_WITHIN) => {}
                () = place.lost() => {}
            }
            return socket.end();
        }
        Err(_) => return socket.end(),
    };
    // Else it would stay open when iroh closes it.
    drop(socket);
    place.use_().is(Use::Busy, Instant::now());
    tokio::select! {
        _ = &mut peer.gone => {}
        () = place.lost() => {
            clients.disconnect(peer.endpoint, Some(peer.connection));
        }
    }
}

/// A second handle on a connection's socket.
#[derive(Clone)]
struct Socket(Arc<std::net::TcpStream>);

impl Socket {
    fn end(self) {
        // It may have ended.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Somebody who was let in.
struct Established {
    endpoint: EndpointId,
    connection: ConnectionId,
    /// Closed when they have left.
    gone: oneshot::Receiver<Infallible>,
}

struct Admission {
    /// SHA-256 of the shared secret.
    secret: Option<[u8; 32]>,
    app: Arc<App>,
    places: Places,
    /// Those whose connections were upgraded and who have not been let in yet, by their place's number.
    pending: Mutex<HashMap<u64, oneshot::Sender<Established>>>,
    /// Those who were.
    open: Mutex<HashMap<ConnectionId, oneshot::Sender<Infallible>>>,
    next: AtomicU64,
}

impl Admission {
    async fn judge(&self, token: Option<&str>) -> Result<(), &'static str> {
        let token = token.ok_or("this relay is for hosts with a live link and their viewers")?;
        // Hashes are compared, so the time it takes says nothing of the secret.
        if self.secret.is_some_and(|secret| secret == hash(token)) {
            return Ok(());
        }
        let id = token
            .parse::<RelayToken>()
            .ok()
            .and_then(|token| token.verify().ok())
            .ok_or("this is not a relay token: ask the host for a new ticket")?;
        match links::is_live(&*self.app.store, &id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the link this token belongs to has ended"),
            Err(_) => Err("the relay cannot check tokens now; try again in a moment"),
        }
    }

    /// What awaits a connection whose request this is.
    fn pending(&self, request: &ClientRequest) -> Option<oneshot::Sender<Established>> {
        let number = request.headers().get(PLACE)?.to_str().ok()?.parse().ok()?;
        lock(&self.pending).remove(&number)
    }
}

impl AccessControl for Admission {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        // Dropped with a refusal, so that the place is kept no longer than saying it takes.
        let pending = self.pending(request);
        let judged = self.judge(request.auth_token().as_deref()).await;
        let (leave, gone) = oneshot::channel();
        let peer = Established {
            endpoint: request.endpoint_id(),
            connection: request.connection_id(),
            gone,
        };
        let admitted = judged.and_then(|()| {
            let late = "it took too long until this endpoint said who it is; try again";
            let handed = pending.ok_or(late)?.send(peer);
            handed.map_err(|_| late)
        });
        match admitted {
            Ok(()) => {
                lock(&self.open).insert(request.connection_id(), leave);
                self.app.metrics.relay_admitted.inc();
                Access::Allow
            }
            Err(reason) => {
                self.app.metrics.relay_refused.inc();
                Access::Deny {
                    reason: Some(reason.to_owned()),
                }
            }
        }
    }

    fn on_disconnect(&self, _endpoint: EndpointId, connection: ConnectionId) {
        lock(&self.open).remove(&connection);
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission(…)")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
