//! Connections: accepting them, TLS, and ending well.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use iroh_relay::server::Server as Relay;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::{
    clock,
    config::{Config, StoreConfig, Tls},
    http::{App, Peer, router},
    limit::Limiter,
    lookup,
    mail::Mail,
    metrics::Metrics,
    page::Page,
    relay,
    store::{Embedded, Store},
};

/// For a TLS handshake, and for a request's headers; a connection on which nothing is asked for as
/// long is closed.
const HEADERS_WITHIN: Duration = Duration::from_secs(20);

/// How long requests under way may take once the service is to end.
const DRAIN: Duration = Duration::from_secs(5);

/// A running service. Ends when told to ([`stop`](Self::stop)), and at once when dropped.
pub struct Service {
    addr: SocketAddr,
    closing: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    answering: Option<JoinHandle<()>>,
    relay: Option<Relay>,
}

impl Service {
    /// Opens the store, listens and serves. Says what is wrong if it can't.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        let store = open(&config.store, &metrics).await?;
        let (listener, questions) = lookup::bind(&config).await?;
        let addr = listener.local_addr().context("the listener's address")?;
        let (closing, closed) = watch::channel(false);
        let now = Instant::now();
        let app = Arc::new(App {
            store,
            mail: Mail::default(),
            metrics,
            page: Page::new(),
            publishes: Limiter::new(config.publish_rate, now),
            reads: Limiter::new(config.read_rate, now),
            lookups: Limiter::new(config.read_rate, now),
            mails: Limiter::new(config.mail_rate, now),
            behind_proxy: config.behind_proxy,
            closing: closed.clone(),
        });
        let relay = match &config.relay {
            Some(relay) => Some(relay::start(relay, config.tls.as_ref(), app.clone()).await?),
            None => None,
        };
        let sweeping = tokio::spawn(sweep(app.clone(), config.sweep_every, closed.clone()));
        let answering = questions
            .map(|socket| tokio::spawn(lookup::serve(socket, app.clone(), closed.clone())));
        let accepting = tokio::spawn(accept(listener, app, config, closed));
        info!(%addr, relay = relay.is_some(), "serving");
        Ok(Self {
            addr,
            closing,
            accepting,
            sweeping,
            answering,
            relay,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its relay listens, if it has one: HTTPS with a certificate, else HTTP.
    pub fn relay_addr(&self) -> Option<SocketAddr> {
        let relay = self.relay.as_ref()?;
        relay.https_addr().or_else(|| relay.http_addr())
    }

    /// Ends it: takes no more connections, answers what was asked, closes the store.
    pub async fn stop(mut self) {
        info!("ending");
        self.closing.send_replace(true);
        if let Some(relay) = self.relay.take()
            && let Err(error) = relay.shutdown().await
        {
            warn!(%error, "the relay did not end well");
        }
        let tasks = [&mut self.accepting, &mut self.sweeping];
        for task in tasks.into_iter().chain(&mut self.answering) {
            if let Err(error) = task.await {
                warn!(%error, "a task did not end well");
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.closing.send_replace(true);
        self.accepting.abort();
        self.sweeping.abort();
        if let Some(answering) = &self.answering {
            answering.abort();
        }
    }
}

async fn open(config: &StoreConfig, metrics: &Metrics) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match config {
        StoreConfig::Embedded {
            folder,
            max_records,
            cache_bytes,
        } => {
            let metrics = metrics.store.clone();
            Arc::new(Embedded::open(folder, *max_records, *cache_bytes, metrics)?)
        }
        #[cfg(feature = "postgres")]
        StoreConfig::Postgres { connection } => {
            Arc::new(crate::store::Postgres::connect(connection).await?)
        }
    })
}

/// Forgets what has expired, now and then.
async fn sweep(app: Arc<App>, every: Duration, mut closing: watch::Receiver<bool>) {
    loop {
        match app.store.sweep(clock::now()).await {
            Ok(count) => drop(app.metrics.expired.inc_by(count)),
            Err(error) => warn!(%error, "expired records could not be forgotten"),
        }
        if let Ok(count) = app.store.count().await {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            app.metrics.records.set(count);
        }
        app.metrics
            .mailboxes
            .set(app.mail.sweep(Instant::now()) as i64);
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

async fn accept(
    listener: TcpListener,
    app: Arc<App>,
    config: Config,
    mut closing: watch::Receiver<bool>,
) {
    let router = router(app.clone());
    let tls = config.tls.map(|Tls(tls)| TlsAcceptor::from(tls));
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(config.max_connections));
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener, &places) => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of files, most likely: give those that are open time to end.
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
        let app = app.clone();
        tokio::spawn(async move {
            app.metrics.connections.inc();
            // Small answers go out at once.
            let _ = stream.set_nodelay(true);
            match tls {
                None => serve(stream, peer, router, watcher).await,
                Some(tls) => {
                    let shake = tokio::time::timeout(HEADERS_WITHIN, tls.accept(stream));
                    if let Ok(Ok(stream)) = shake.await {
                        serve(stream, peer, router, watcher).await;
                    }
                }
            }
            app.metrics.connections.dec();
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown())
        .await
        .is_err()
    {
        warn!("some requests were cut off");
    }
}

async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await;
    let place = place.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer.ip(), place))
}

async fn serve<S>(stream: S, peer: IpAddr, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = router.layer(axum::Extension(Peer(peer)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // How it ended is the other side's affair.
    let _ = watcher.watch(connection).await;
}
