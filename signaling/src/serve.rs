//! A service: its parts, started together and ended well.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tracing::{info, warn};

use crate::{
    clock,
    config::{Config, StoreConfig},
    front::Front,
    http::{App, Connection, router},
    limit::Limiter,
    lookup,
    mail::Mail,
    metrics::Metrics,
    page::Page,
    places::Places,
    relay::{self, Relay},
    share::Limits,
    store::{Embedded, Store},
};

/// Part of the connections, and of the requests under way, that may be of one address; and of the
/// requests that wait for mail.
pub(crate) const PART: u64 = 16;

/// Connections an address may have at the smallest service.
pub(crate) const LEAST: u64 = 8;

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
        let places = Limits::parts(config.max_connections as u64, PART, LEAST);
        let app = Arc::new(App {
            store,
            mail: Mail::new(metrics.share("mailbox")),
            requests: Places::new(places, &metrics.share("request")),
            // A wait is a request; half of them may be.
            waits: Places::new(
                Limits::parts(config.max_connections as u64 / 2, 2 * PART, LEAST),
                &metrics.share("wait"),
            ),
            questions: Places::new(lookup::AT_A_TIME, &metrics.share("lookup")),
            metrics,
            page: Page::new(),
            publishes: Limiter::new(config.publish_rate, now),
            reads: Limiter::new(config.read_rate, now),
            lookups: Limiter::new(config.read_rate, now),
            mails: Limiter::new(config.mail_rate, now),
            proxies: config.proxies.clone(),
            closing: closed.clone(),
        });
        let relay = match &config.relay {
            Some(relay) => Some(relay::start(relay, &config, app.clone()).await?),
            None => None,
        };
        let sweeping = tokio::spawn(sweep(app.clone(), config.sweep_every, closed.clone()));
        let answering = questions
            .map(|socket| tokio::spawn(lookup::serve(socket, app.clone(), closed.clone())));
        let front = Front::new(&config, places, &app.metrics.share("connection"));
        let accepting = tokio::spawn(accept(listener, app, front, closed));
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
        self.relay.as_ref().map(Relay::addr)
    }

    /// Ends it: takes no more connections, answers what was asked, closes the store.
    pub async fn stop(mut self) {
        info!("ending");
        self.closing.send_replace(true);
        if let Some(relay) = self.relay.take() {
            relay.stop().await;
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
        StoreConfig::Postgres {
            connection,
            max_records,
        } => {
            let metrics = metrics.store.clone();
            Arc::new(crate::store::Postgres::connect(connection, *max_records, metrics).await?)
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
        let left = app.mail.sweep(Instant::now());
        app.metrics.mailboxes.set(left as i64);
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

async fn accept(
    listener: TcpListener,
    app: Arc<App>,
    front: Front,
    mut closing: watch::Receiver<bool>,
) {
    let router = router(app.clone());
    let closed = closing.clone();
    // Connections hold the sender; once all have ended, nothing can come.
    let (open, mut ended) = mpsc::channel::<Infallible>(1);
    let serve = move |stream, connection: Connection| {
        let (app, open, mut closed) = (app.clone(), open.clone(), closed.clone());
        let router: Router = router.clone().layer(Extension(connection));
        async move {
            let _open = app.metrics.connection();
            let connection = http1::Builder::new()
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                _ = connection.as_mut() => true,
                _ = closed.wait_for(|closed| *closed) => false,
            };
            if !ended {
                connection.as_mut().graceful_shutdown();
                // How it ends is the other side's affair.
                let _ = connection.await;
            }
            drop(open);
        }
    };
    tokio::select! {
        () = front.run(listener, serve) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
    if tokio::time::timeout(DRAIN, ended.recv()).await.is_err() {
        warn!("some requests were cut off");
    }
}
