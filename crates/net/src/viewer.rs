//! The viewer's side: dials, and carries the streams of one connection at a time.

use std::{collections::VecDeque, time::Duration};

use iroh::{
    Endpoint, EndpointAddr, Watcher,
    endpoint::{Connection, ConnectionError, OutgoingZeroRttConnection, ZeroRttStatus},
};
use pillion_caps::{PeerEndpoint, PublicKey, SecretKey};
use pillion_proto::ALPN;
use pillion_session::{ConnId, Connected, ViewerInput, ViewerOutput};
use tokio::task::JoinHandle;

use crate::{
    clock::Clock,
    close,
    core::{Carrier as _, ConnectionEvent, Event, PeerConnection, PendingEvents, Role, code},
    endpoint::{self, NetOptions},
    error::NetError,
    identity::random_bytes,
    limits::{CLOSE_WAIT, HANDSHAKE_TIMEOUT},
    quic::{Boxed, QuicConnection},
    relay::RelayChoice,
};

/// A viewer's network: one endpoint with a key of its own for the whole run of the process.
pub struct ViewerNet {
    relay: RelayChoice,
    options: NetOptions,
    /// The endpoint's key, where it was chosen.
    key: Option<SecretKey>,
    host: Option<EndpointAddr>,
    endpoint: Option<Endpoint>,
    /// The endpoint is on its way.
    binding: bool,
    /// [`ViewerOutput::Connect`] came before the endpoint.
    dial: bool,
    clock: Clock,
    waits: PendingEvents<QuicConnection, Boxed<ViewerEvent>>,
    /// The newest attempt; what still comes of older ones is nobody's business.
    attempt: ConnId,
    link: Option<PeerConnection<QuicConnection>>,
    /// Connections that are being closed.
    closing: usize,
    ready: VecDeque<ViewerInput>,
    heard: VecDeque<ConnectionEvent<ConnectionError>>,
}

enum ViewerEvent {
    Bound(Result<Endpoint, NetError>),
    Dialled(ConnId, Result<Dialled, String>),
    /// The handshake of a connection that began early ended.
    Handshake(ConnId, Result<ZeroRttStatus, String>),
    Closed,
}

/// What dialling brought.
#[derive(Debug)]
enum Dialled {
    /// A connection.
    Full(Connection),
    /// One that resumes an earlier one, its handshake under way.
    Early(OutgoingZeroRttConnection),
}

impl ViewerNet {
    /// A network that opens its sockets right away, beside whatever the caller does next. Must be
    /// called inside a tokio runtime.
    pub fn new(relay: RelayChoice, options: NetOptions) -> ViewerNet {
        ViewerNet::with_key(relay, options, None)
    }

    /// The same with an endpoint key made beforehand, for this run only: a host may have been told of
    /// it.
    pub fn with_key(relay: RelayChoice, options: NetOptions, key: Option<SecretKey>) -> ViewerNet {
        let mut net = ViewerNet {
            relay,
            options,
            key,
            host: None,
            endpoint: None,
            binding: false,
            dial: false,
            clock: Clock::start(),
            waits: PendingEvents::new(),
            attempt: ConnId(0),
            link: None,
            closing: 0,
            ready: VecDeque::new(),
            heard: VecDeque::new(),
        };
        net.bind();
        net
    }

    /// Whom [`ViewerOutput::Connect`] connects to: the ticket's address.
    pub fn set_host(&mut self, host: EndpointAddr) {
        self.host = Some(host);
    }

    /// The next thing to tell the [`Viewer`](pillion_session::Viewer). Loses nothing when dropped
    /// before it is ready.
    pub async fn next_input(&mut self) -> ViewerInput {
        loop {
            if let Some(input) = self.ready.pop_front() {
                return input;
            }
            let event = self.waits.next().await;
            self.on(event);
        }
    }

    /// Does what the viewer asks of the network, and gives back what is not the network's to do.
    ///
    /// After [`ViewerOutput::Close`], and after another [`ViewerOutput::Connect`], nothing more is
    /// heard of the connection before: not even that it is gone.
    pub fn apply(&mut self, output: ViewerOutput) -> Option<ViewerOutput> {
        match output {
            ViewerOutput::Connect => self.connect(),
            ViewerOutput::Send { stream, bytes } => {
                if let Some(link) = &mut self.link {
                    link.send(stream, bytes, &mut self.waits);
                }
            }
            ViewerOutput::Reset { stream } => {
                if let Some(link) = &mut self.link {
                    link.reset(stream);
                }
            }
            ViewerOutput::Finish { stream } => {
                if let Some(link) = &mut self.link {
                    link.finish(stream, &mut self.waits);
                }
            }
            ViewerOutput::Close => self.part(),
            other => return Some(other),
        }
        None
    }

    /// To be called when the machine woke up or changed networks, if something tells; the endpoint
    /// also watches by itself. The future may run beside anything else.
    pub fn network_changed(&self) -> impl Future<Output = ()> + Send + 'static {
        let endpoint = self.endpoint.clone();
        async move {
            if let Some(endpoint) = endpoint {
                endpoint.network_change().await;
            }
        }
    }

    /// Ends the network: lets what was sent be delivered and tells the host. Takes a second at most.
    pub async fn close(mut self) {
        self.part();
        let closes = async {
            while self.closing > 0 {
                let event = self.waits.next().await;
                self.on(event);
            }
        };
        let _ = tokio::time::timeout(CLOSE_WAIT + Duration::from_millis(50), closes).await;
        if let Some(endpoint) = &self.endpoint {
            let _ = tokio::time::timeout(CLOSE_WAIT, endpoint.close()).await;
        }
    }

    fn on(&mut self, event: Event<QuicConnection, ViewerEvent>) {
        match event {
            Event::Connection(id, event) if id == self.attempt => {
                let Some(link) = &mut self.link else { return };
                let now_us = self.clock.now_us();
                link.on(now_us, event, &mut self.waits, &mut self.heard);
                self.tell();
            }
            Event::Owner(ViewerEvent::Bound(bound)) => {
                self.binding = false;
                match bound {
                    Ok(endpoint) => {
                        self.endpoint = Some(endpoint);
                        if std::mem::take(&mut self.dial) {
                            self.connect();
                        }
                    }
                    Err(error) if std::mem::take(&mut self.dial) => self.gone(error.to_string()),
                    // Tried again, and then told, when there is something to connect to.
                    Err(_) => {}
                }
            }
            Event::Owner(ViewerEvent::Dialled(id, dialled)) if id == self.attempt => {
                match dialled {
                    Ok(Dialled::Full(connection)) => self.connected(connection),
                    Ok(Dialled::Early(connection)) => self.connected_early(connection),
                    Err(why) => self.gone(why),
                }
            }
            Event::Owner(ViewerEvent::Handshake(id, ended)) if id == self.attempt => match ended {
                Ok(ZeroRttStatus::Accepted(connection)) => self.connected(connection),
                Ok(ZeroRttStatus::Rejected(connection)) => {
                    if let Some(link) = &mut self.link {
                        link.discard_early();
                    }
                    self.connected(connection);
                }
                Err(why) => self.gone(why),
            },
            Event::Owner(ViewerEvent::Closed) => self.closing -= 1,
            // Of a connection that was given up.
            Event::Connection(..)
            | Event::Owner(ViewerEvent::Dialled(..) | ViewerEvent::Handshake(..)) => {}
        }
    }

    fn bind(&mut self) {
        self.binding = true;
        let (relay, options) = (self.relay.clone(), self.options.clone());
        let chosen = self.key.as_ref().map(SecretKey::to_bytes);
        // A task, so that it starts before anybody waits for inputs.
        let task: JoinHandle<Result<Endpoint, NetError>> = tokio::spawn(async move {
            let key = match chosen {
                Some(key) => iroh::SecretKey::from_bytes(&key),
                None => iroh::SecretKey::from_bytes(&random_bytes()?),
            };
            endpoint::bind(Role::Viewer, key, &relay, &options).await
        });
        self.waits.owner(Box::pin(async move {
            ViewerEvent::Bound(match task.await {
                Ok(bound) => bound,
                Err(error) => Err(NetError::Start {
                    reason: error.to_string(),
                }),
            })
        }));
    }

    fn connect(&mut self) {
        self.give_up();
        let Some(endpoint) = self.endpoint.clone() else {
            self.dial = true;
            if !self.binding {
                self.bind();
            }
            return;
        };
        let Some(host) = self.host.clone() else {
            return self.gone("there is no ticket to connect with".to_owned());
        };
        let attempt = self.attempt;
        self.waits.owner(Box::pin(async move {
            ViewerEvent::Dialled(attempt, dial(endpoint, host, HANDSHAKE_TIMEOUT).await)
        }));
    }

    /// Takes over a connection that resumes an earlier one, while its handshake goes on.
    fn connected_early(&mut self, connection: OutgoingZeroRttConnection) {
        let attempt = self.attempt;
        let carrier = QuicConnection::Outgoing(connection.clone());
        self.link = Some(PeerConnection::new(
            attempt,
            Role::Viewer,
            carrier,
            &mut self.waits,
        ));
        self.ready.push_back(ViewerInput::EarlyConnected);
        let (endpoint, host) = (self.endpoint.clone(), self.host.clone());
        self.waits.owner(Box::pin(async move {
            let complete = async {
                let complete = connection.handshake_completed().await;
                complete.map_err(|error| close::why_not_connected(&error))
            };
            let ended = patiently(endpoint, host, HANDSHAKE_TIMEOUT, complete).await;
            ViewerEvent::Handshake(attempt, ended)
        }));
    }

    fn connected(&mut self, connection: Connection) {
        let own = self
            .endpoint
            .as_ref()
            .and_then(|own| PublicKey::from_bytes(own.id().as_bytes()).ok());
        let carrier = QuicConnection::Proved(connection);
        let (Some(own_endpoint), Some(binding)) = (own, carrier.binding()) else {
            return self.gone("the connection broke as soon as it stood".to_owned());
        };
        match &mut self.link {
            Some(early) => early.prove(carrier, &mut self.waits),
            none => {
                let link =
                    PeerConnection::new(self.attempt, Role::Viewer, carrier, &mut self.waits);
                *none = Some(link);
            }
        }
        self.ready.push_back(ViewerInput::Connected(Connected {
            own_endpoint: PeerEndpoint::Proved(own_endpoint),
            binding,
        }));
        if let Some(link) = &mut self.link {
            link.look(self.clock.now_us(), &mut self.heard);
        }
        self.tell();
    }

    /// Closes the connection, once what was sent is delivered.
    fn part(&mut self) {
        if let Some(mut link) = self.link.take() {
            self.closing += 1;
            let closed = link.close(0, "", tokio::time::sleep(CLOSE_WAIT));
            self.waits.owner(Box::pin(async move {
                closed.await;
                ViewerEvent::Closed
            }));
        }
        self.give_up();
    }

    /// Forgets the connection or the attempt at one.
    fn give_up(&mut self) {
        if let Some(mut link) = self.link.take() {
            link.close_now(code::REPLACED, "the viewer connects again");
        }
        self.dial = false;
        self.attempt.0 += 1;
        self.ready.clear();
    }

    fn gone(&mut self, why: String) {
        if let Some(mut link) = self.link.take() {
            // One whose handshake came to nothing may still be trying.
            link.close_now(code::REPLACED, "the viewer gave up");
        }
        self.ready.push_back(ViewerInput::Disconnected { why });
    }

    fn tell(&mut self) {
        while let Some(heard) = self.heard.pop_front() {
            let input = match heard {
                ConnectionEvent::Bytes { stream, bytes } => ViewerInput::Received { stream, bytes },
                ConnectionEvent::Ended { stream } => ViewerInput::StreamEnded { stream },
                ConnectionEvent::Path { kind, rtt_us } => ViewerInput::Path { kind, rtt_us },
                // The host says itself what it has of what was sent.
                ConnectionEvent::Delivered { .. } => continue,
                ConnectionEvent::Gone(why) => {
                    self.gone(close::why_closed(&why));
                    continue;
                }
            };
            self.ready.push_back(input);
        }
    }
}

/// Connects, or says in a sentence why not. Where an earlier connection can be resumed it does not
/// wait for the handshake.
async fn dial(
    endpoint: Endpoint,
    host: EndpointAddr,
    patience: Duration,
) -> Result<Dialled, String> {
    let (own, to) = (endpoint.clone(), host.clone());
    let attempt = async move {
        let connecting = own
            .connect_with_opts(to, ALPN, Default::default())
            .await
            .map_err(|error| close::why_not_begun(&error))?;
        match connecting.into_0rtt() {
            Ok(early) => Ok(Dialled::Early(early)),
            Err(connecting) => match connecting.await {
                Ok(connection) => Ok(Dialled::Full(connection)),
                Err(error) => Err(close::why_not_connected(&error)),
            },
        }
    };
    patiently(Some(endpoint), Some(host), patience, attempt).await
}

/// Waits for an attempt to reach `host`, but not longer than `patience`.
async fn patiently<T>(
    endpoint: Option<Endpoint>,
    host: Option<EndpointAddr>,
    patience: Duration,
    attempt: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    if let Ok(done) = tokio::time::timeout(patience, attempt).await {
        return done;
    }
    let relay = host.and_then(|host| {
        let url = host.relay_urls().next()?;
        Some(url.host_str().unwrap_or_default().to_owned())
    });
    let answers = endpoint.is_some_and(|endpoint| {
        let relays = endpoint.home_relay_status().get();
        relays.iter().any(|relay| relay.is_connected())
    });
    Err(close::why_timed_out(relay.as_deref(), answers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iroh::SecretKey;

    /// Dials without the patience a person has.
    async fn why_not(host: EndpointAddr) -> String {
        let options = NetOptions {
            bind: vec!["127.0.0.1:0".parse().unwrap()],
            ..NetOptions::default()
        };
        let key = SecretKey::from_bytes(&[1; 32]);
        let endpoint = endpoint::bind(Role::Viewer, key, &RelayChoice::None, &options)
            .await
            .unwrap();
        dial(endpoint, host, Duration::from_millis(50))
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn a_host_that_is_gone_is_said_to_be_so() {
        // Bound and silent, so that nobody else gets the port.
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let host = EndpointAddr::new(SecretKey::from_bytes(&[2; 32]).public());
        let why = why_not(host.clone().with_ip_addr(silent.local_addr().unwrap())).await;
        assert!(why.contains("could not be reached"), "{why}");
        let why = why_not(host).await;
        assert!(why.contains("nowhere to be found"), "{why}");
    }

    #[tokio::test]
    async fn a_relay_that_does_not_answer_is_named() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://127.0.0.1:{}", silent.local_addr().unwrap().port());
        let host = EndpointAddr::new(SecretKey::from_bytes(&[2; 32]).public());
        let RelayChoice::Url(relay) = url.parse().unwrap() else {
            panic!("a URL")
        };
        let options = NetOptions {
            bind: vec!["127.0.0.1:0".parse().unwrap()],
            ..NetOptions::default()
        };
        let choice = RelayChoice::Url(relay.clone());
        let key = SecretKey::from_bytes(&[1; 32]);
        let endpoint = endpoint::bind(Role::Viewer, key, &choice, &options)
            .await
            .unwrap();
        let why = dial(
            endpoint,
            host.with_relay_url(relay),
            Duration::from_millis(50),
        )
        .await
        .unwrap_err();
        assert!(why.contains("the relay 127.0.0.1"), "{why}");
    }

    #[tokio::test]
    async fn one_does_not_join_oneself() {
        let host = EndpointAddr::new(SecretKey::from_bytes(&[1; 32]).public());
        assert!(why_not(host).await.contains("this very program"));
    }
}
