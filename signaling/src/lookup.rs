//! Link records by datagram: a question, and its answer in the same round trip
//! (`pillion_proto::lookup`).
//!
//! Only a record that is there is answered; silence says nothing, and anybody who asks by HTTP at the same
//! time loses nothing by it.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use pillion_proto::lookup::{LOOKUP_LEN, LinkTag, answer, asked};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::watch,
};
use tracing::{debug, warn};

use crate::{
    clock,
    config::Config,
    http::App,
    links,
    places::Use,
    share::{Limits, Lineage},
};

/// Questions being answered at a time: with a store across a network each waits for it. What has to give
/// way is dropped. Anybody can claim to be a question's sender, so these take nothing from requests.
pub(crate) const AT_A_TIME: Limits = Limits {
    all: 1024,
    address: 64,
    site: 128,
    network: 256,
};

/// Tries to find a port that is free for both, where the system picks it.
const TRIES: usize = 16;

/// Opens the listener, and the socket for questions beside it, on the same port unless told otherwise.
pub(crate) async fn bind(config: &Config) -> anyhow::Result<(TcpListener, Option<UdpSocket>)> {
    for tried in 0.. {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let Some(wanted) = config.lookup else {
            return Ok((listener, None));
        };
        let at = match wanted == config.listen {
            true => listener.local_addr().context("the listener's address")?,
            false => wanted,
        };
        match UdpSocket::bind(at).await {
            Ok(socket) => return Ok((listener, Some(socket))),
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && config.listen.port() == 0
                    && tried < TRIES => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot answer lookups on UDP {at}"));
            }
        }
    }
    unreachable!("the loop ends with its tries")
}

/// Answers until the service ends.
pub(crate) async fn serve(socket: UdpSocket, app: Arc<App>, mut closing: watch::Receiver<bool>) {
    let socket = Arc::new(socket);
    // One byte more than a question, to see that a datagram is longer.
    let mut datagram = [0; LOOKUP_LEN + 1];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut datagram) => received,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let (length, from) = match received {
            Ok(received) => received,
            Err(error) => {
                warn!(%error, "a question could not be received");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(tag) = asked(&datagram[..length]) else {
            continue;
        };
        let (networks, now) = (Lineage::of(from.ip()), Instant::now());
        if app.lookups.take(&networks, now).is_err() {
            continue;
        }
        let Ok(mut place) = app.questions.take(&networks, Use::Busy, now) else {
            continue;
        };
        let (socket, app) = (socket.clone(), app.clone());
        tokio::spawn(async move {
            let replied = tokio::select! {
                replied = reply(&socket, &app, &tag, from) => replied,
                () = place.lost() => None,
            };
            if replied.is_some() {
                app.metrics.lookups.inc();
            }
        });
    }
}

async fn reply(socket: &UdpSocket, app: &App, tag: &LinkTag, to: SocketAddr) -> Option<()> {
    let found = app.store.get(links::key(tag), clock::now()).await.ok()??;
    let nonce = {
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).ok()?;
        nonce
    };
    let datagram = answer(&found.bytes, nonce).filter(|_| found.live)?;
    match socket.send_to(&datagram, to).await {
        Ok(_) => Some(()),
        Err(error) => {
            debug!(%error, "an answer could not be sent");
            None
        }
    }
}
