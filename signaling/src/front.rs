//! The door for connections: who gets one, TLS, and for how long it may be quiet.
//!
//! What is refused is told so in a sentence, now and then ([`TOLD_RATE`]): saying it takes a TLS handshake,
//! which is dearer for the service than for who asks.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::response::IntoResponse as _;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use iroh_relay::server::streams::MaybeTlsStream;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::{
    config::{Config, Subnet, Tls},
    http::{Connection, Refusal},
    limit::Limiter,
    metrics::ShareMetrics,
    places::{Crowded, Place, PlaceUse, Places, Use},
    share::{Limits, Lineage},
};

/// For the first byte of a connection: who connects speaks first, in TLS as in HTTP.
const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(5);

/// From a connection's begin to the end of its first request's headers, TLS included; and from an answer
/// to the end of the next one's headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// The latter for a proxy's connections, which it keeps for others' requests.
const PROXY_IDLE: Duration = Duration::from_secs(75);

/// For a request's body, its handling and its answer. Longer than any of these takes
/// (`http::WAIT_WITHIN`): what is over is a peer that doesn't read.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);

/// Refusals told in a sentence, a second to one address.
const TOLD_RATE: u32 = 2;

/// Refusals being told at a time.
const TOLD_AT_A_TIME: u64 = 64;

/// For telling one.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// What a listener knows. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Front {
    tls: Option<TlsAcceptor>,
    proxies: Vec<Subnet>,
    rate: Arc<Limiter>,
    places: Places,
    /// Connections of proxies, which are everybody's: only all of them together are bounded.
    proxied: Places,
    told: Arc<Limiter>,
    telling: Places,
}

impl Front {
    pub(crate) fn new(config: &Config, limits: Limits, metrics: &ShareMetrics) -> Front {
        let now = Instant::now();
        let same = Limits::parts(limits.all, 1, 1);
        Front {
            tls: config
                .tls
                .as_ref()
                .map(|Tls(tls)| TlsAcceptor::from(tls.clone())),
            proxies: config.proxies.clone(),
            rate: Arc::new(Limiter::new(config.connection_rate, now)),
            places: Places::new(limits, metrics),
            proxied: Places::new(same, metrics),
            told: Arc::new(Limiter::new(TOLD_RATE, now)),
            telling: Places::new(
                Limits::parts(TOLD_AT_A_TIME, 16, 1),
                &ShareMetrics::default(),
            ),
        }
    }

    /// Accepts connections and serves each in a task of its own, until dropped.
    pub(crate) async fn run<S, F>(&self, listener: TcpListener, serve: S)
    where
        S: Fn(MaybeTlsStream, Connection) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
                Err(error) => {
                    // Out of files, most likely: give those that are open time to end.
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // Small answers go out at once.
            let _ = stream.set_nodelay(true);
            let (from, now) = (Lineage::of(peer), Instant::now());
            match self.admit(peer, &from, now) {
                Ok((place, idle)) => {
                    let (tls, serve) = (self.tls.clone(), serve.clone());
                    tokio::spawn(serve_one(stream, peer, tls, place, idle, serve));
                }
                Err(refusal) => {
                    if self.told.take(&from, now).is_ok()
                        && let Ok(place) = self.telling.take(&from, Use::Busy, now)
                    {
                        tokio::spawn(tell(stream, self.tls.clone(), refusal, place));
                    }
                }
            }
        }
    }

    /// A place for a connection, and how long it may be idle.
    fn admit(
        &self,
        peer: IpAddr,
        from: &Lineage,
        now: Instant,
    ) -> Result<(Place, Duration), Refusal> {
        let (places, idle) = match self.proxies.iter().any(|proxy| proxy.contains(peer)) {
            true => (&self.proxied, PROXY_IDLE),
            false => {
                self.rate.take(from, now).map_err(Refusal::TooOften)?;
                (&self.places, HEADERS_WITHIN)
            }
        };
        let place = places.take(from, Use::Silent, now);
        place
            .map(|place| (place, idle))
            .map_err(|Crowded(full)| Refusal::Crowded {
                what: "connections",
                full,
            })
    }
}

/// Serves a connection until it ends, another one gets its place, or it is quiet for too long.
async fn serve_one<S, F>(
    stream: TcpStream,
    peer: IpAddr,
    tls: Option<TlsAcceptor>,
    mut place: Place,
    idle: Duration,
    serve: S,
) where
    S: Fn(MaybeTlsStream, Connection) -> F,
    F: Future<Output = ()>,
{
    let use_ = place.use_();
    let connection = Connection {
        peer,
        place: use_.clone(),
    };
    let whole = async {
        let first_byte = tokio::time::timeout(FIRST_BYTE_WITHIN, stream.readable());
        if first_byte.await.is_ok()
            && let Some(stream) = secured(stream, tls).await
        {
            serve(stream, connection).await;
        }
    };
    let mut whole = std::pin::pin!(whole);
    while let Some(due) = due(&use_, idle).filter(|due| *due > Instant::now()) {
        tokio::select! {
            () = &mut whole => return,
            () = place.lost() => return,
            // It may have been used since.
            () = tokio::time::sleep_until(due.into()) => {}
        }
    }
}

/// When a connection has been used in one way for too long; nothing if its place is another's.
fn due(use_: &PlaceUse, idle: Duration) -> Option<Instant> {
    let (use_, since) = use_.now()?;
    Some(match use_ {
        Use::Silent => since + HEADERS_WITHIN,
        Use::Idle => since + idle,
        Use::Busy => since + ANSWER_WITHIN,
    })
}

/// With TLS, if there is a certificate; nothing if that fails, which is the other side's affair.
async fn secured(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<MaybeTlsStream> {
    Some(match tls {
        None => MaybeTlsStream::Plain(stream),
        Some(tls) => MaybeTlsStream::Tls(tls.accept(stream).await.ok()?),
    })
}

/// Answers one request with why there is no place for it.
async fn tell(stream: TcpStream, tls: Option<TlsAcceptor>, refusal: Refusal, place: Place) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let refusal = refusal.clone();
        async move {
            // What is not read would take the answer with it when the connection is closed.
            let _ = Limited::new(request.into_body(), 4096).collect().await;
            Ok::<_, Infallible>(refusal.into_response())
        }
    });
    let _ = tokio::time::timeout(TOLD_WITHIN, async {
        if let Some(stream) = secured(stream, tls).await {
            let connection = http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            let _ = connection.await;
        }
    })
    .await;
    drop(place);
}
