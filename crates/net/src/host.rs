//! The host's side: listens, numbers connections, carries their streams.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::{AbortRegistration, Abortable};
use iroh::{
    Endpoint, EndpointAddr, RelayUrl, Watcher,
    endpoint::{
        Connection, ConnectionError, Incoming, IncomingZeroRttConnection, RelayStatus, VarInt,
    },
};
use pillion_caps::{PeerEndpoint, PublicKey, SecretKey};
use pillion_session::{ConnId, HostInput, HostOutput, Network};
use pillion_share::SharedRate;

use crate::{
    address,
    clock::Clock,
    core::{Carrier as _, ConnectionEvent, Event, PeerConnection, PendingEvents, Role, code},
    endpoint::{self, NetOptions},
    error::NetError,
    limits::{
        ARRIVALS_BURST, ARRIVALS_PART, ARRIVALS_PER_SECOND, CLOSE_WAIT, HANDSHAKE_TIMEOUT,
        MAX_CONNECTIONS, RELAY_PATIENCE, REMEMBERED_FOR, RETRY_ABOVE,
    },
    quic::{Boxed, QuicConnection},
    relay::RelayChoice,
    slack::{Slack, give_back},
    strangers::{Place, StrangerId, Strangers, network_of},
};

/// A host's network.
pub struct HostNet {
    endpoint: Endpoint,
    relay: Option<RelayUrl>,
    clock: Clock,
    waits: PendingEvents<QuicConnection, Boxed<HostEvent>>,
    links: HashMap<ConnId, PeerConnection<QuicConnection>>,
    strangers: Strangers,
    /// How often connections are begun, on a clock that starts with this.
    arrivals: SharedRate,
    started: Instant,
    slack: Slack,
    next: u64,
    handshakes: usize,
    ready: VecDeque<HostInput>,
    heard: VecDeque<ConnectionEvent<ConnectionError>>,
    told: Option<EndpointAddr>,
}

enum HostEvent {
    Incoming(Option<Box<Incoming>>),
    /// A handshake ended, of a connection that has a number if it began early.
    Handshake(StrangerId, Option<ConnId>, Option<Connection>),
    Addresses,
    NoMoreAddresses,
    /// The transport has forgotten connections that ended a while ago.
    Forgotten,
    /// A connection that said goodbye is closed.
    Closed,
}

impl HostNet {
    /// Starts listening under the session's key. Waits for nothing on the network: with none at all,
    /// loopback works.
    ///
    /// # Errors
    /// No socket could be opened.
    pub async fn bind(
        session: &SecretKey,
        relay: RelayChoice,
        options: NetOptions,
    ) -> Result<HostNet, NetError> {
        let key = iroh::SecretKey::from_bytes(&session.to_bytes());
        let endpoint = endpoint::bind(Role::Host, key, &relay, &options).await?;
        let relay = match relay {
            RelayChoice::Url(url) => Some(url),
            RelayChoice::Default | RelayChoice::None => None,
        };
        let mut net = HostNet {
            endpoint,
            relay,
            clock: Clock::start(),
            waits: PendingEvents::new(),
            links: HashMap::new(),
            strangers: Strangers::new(),
            arrivals: SharedRate::new(0, ARRIVALS_PER_SECOND, ARRIVALS_BURST, ARRIVALS_PART),
            started: Instant::now(),
            slack: Slack::default(),
            next: 0,
            handshakes: 0,
            ready: VecDeque::new(),
            heard: VecDeque::new(),
            told: None,
        };
        net.accept();
        net.await_addresses();
        net.tell_addresses();
        Ok(net)
    }

    /// The next thing to tell the [`Host`](pillion_session::Host). Loses nothing when dropped before
    /// it is ready; nothing moves while nobody waits for it.
    pub async fn next_input(&mut self) -> HostInput {
        loop {
            if let Some(input) = self.ready.pop_front() {
                return input;
            }
            let event = self.waits.next().await;
            self.on(event);
        }
    }

    /// Does what the host asks of the network, and gives back what is not the network's to do
    /// ([`HostOutput::Listen`] and [`HostOutput::StopListening`] too: they are
    /// [`bind`](Self::bind) and [`close`](Self::close)).
    pub fn apply(&mut self, output: HostOutput) -> Option<HostOutput> {
        match output {
            HostOutput::Send { to, bytes } => {
                for (conn, stream) in to.iter() {
                    if let Some(link) = self.links.get_mut(&conn) {
                        link.send(stream, bytes.clone(), &mut self.waits);
                    }
                }
            }
            HostOutput::Reset { conn, stream } => {
                if let Some(link) = self.links.get_mut(&conn) {
                    link.reset(stream);
                }
            }
            HostOutput::Finish { conn, stream } => {
                if let Some(link) = self.links.get_mut(&conn) {
                    link.finish(stream, &mut self.waits);
                }
            }
            HostOutput::Accepted { conn } => {
                self.strangers.leave_conn(conn);
                if let Some(link) = self.links.get(&conn) {
                    link.accept_peer();
                }
            }
            HostOutput::Close { conn, code } => {
                if let Some(link) = self.links.get_mut(&conn) {
                    let closed = link.close(code, "", tokio::time::sleep(CLOSE_WAIT));
                    self.waits.owner(Box::pin(async move {
                        closed.await;
                        HostEvent::Closed
                    }));
                }
            }
            other => return Some(other),
        }
        None
    }

    /// Where this endpoint can be reached right now.
    pub fn addr(&self) -> EndpointAddr {
        address::for_ticket(
            self.endpoint.addr(),
            &self.endpoint.bound_sockets(),
            self.relay.as_ref(),
        )
    }

    /// Waits until a relay can be reached (`wanted`), or until none can be for so long that it is news. The future may run
    /// beside anything else.
    pub fn relay_is(&self, wanted: bool) -> impl Future<Output = ()> + Send + 'static {
        let mut watch = self.endpoint.home_relay_status();
        async move {
            let reached = |all: Vec<RelayStatus>| all.iter().any(RelayStatus::is_connected);
            let mut now = reached(watch.get());
            let mut lost_at = tokio::time::Instant::now();
            loop {
                let next = match (now, wanted) {
                    (true, true) => return,
                    (false, false) => {
                        match tokio::time::timeout_at(lost_at + RELAY_PATIENCE, watch.updated())
                            .await
                        {
                            Ok(next) => next,
                            Err(_) => return,
                        }
                    }
                    _ => watch.updated().await,
                };
                let Ok(next) = next else {
                    // The endpoint is gone: there is no news any more.
                    return std::future::pending().await;
                };
                let next = reached(next);
                if now && !next {
                    lost_at = tokio::time::Instant::now();
                }
                now = next;
            }
        }
    }

    /// Connections whose peers have not had a hello accepted, handshakes included.
    pub fn strangers(&self) -> usize {
        self.strangers.len()
    }

    /// The sockets listened on.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        self.endpoint.bound_sockets()
    }

    /// Connections that stand.
    pub fn connections(&self) -> usize {
        self.links.len()
    }

    /// To be called when the machine woke up or changed networks, if something tells; the endpoint
    /// also watches by itself. The future may run beside anything else.
    pub fn network_changed(&self) -> impl Future<Output = ()> + Send + 'static {
        let endpoint = self.endpoint.clone();
        async move { endpoint.network_change().await }
    }

    /// Stops listening: lets closes under way deliver what was sent before them, then closes what is
    /// left and says so. Takes `wait` at most for each of the two, and may run beside anything else.
    pub async fn close(mut self, wait: Duration) {
        let closes = async {
            while self.links.values().any(PeerConnection::is_closing) {
                let event = self.waits.next().await;
                self.on(event);
                self.ready.clear();
            }
        };
        let _ = tokio::time::timeout(wait, closes).await;
        for link in self.links.values_mut() {
            link.close_now(code::ENDED, "the host ended the session");
        }
        let _ = tokio::time::timeout(wait, self.endpoint.close()).await;
    }

    fn on(&mut self, event: Event<QuicConnection, HostEvent>) {
        match event {
            Event::Connection(id, event) => {
                let Some(link) = self.links.get_mut(&id) else {
                    return;
                };
                if let Some(binding) = link.newly_proved() {
                    self.ready
                        .push_back(HostInput::HandshakeConfirmed { conn: id, binding });
                }
                let now_us = self.clock.now_us();
                link.on(now_us, event, &mut self.waits, &mut self.heard);
                self.tell(id);
            }
            Event::Owner(HostEvent::Incoming(Some(incoming))) => {
                self.accept();
                self.admit(*incoming);
            }
            Event::Owner(HostEvent::Handshake(stranger, early, connection)) => {
                self.handshakes -= 1;
                match (early, connection) {
                    (None, Some(connection)) => self.connected(stranger, connection),
                    (Some(id), Some(connection)) => self.proved(id, connection),
                    (Some(id), None) => self.failed(id),
                    (None, None) => {
                        self.strangers.leave(stranger);
                        self.ended(1);
                    }
                }
            }
            Event::Owner(HostEvent::Forgotten) => {
                give_back();
                if self.slack.due() {
                    self.await_forgotten();
                }
            }
            Event::Owner(HostEvent::Addresses) => {
                self.await_addresses();
                self.tell_addresses();
            }
            Event::Owner(
                HostEvent::Incoming(None) | HostEvent::NoMoreAddresses | HostEvent::Closed,
            ) => {}
        }
    }

    /// Begins a handshake, if there is room for one.
    fn admit(&mut self, incoming: Incoming) {
        if self.links.len() + self.handshakes >= MAX_CONNECTIONS {
            return incoming.refuse();
        }
        if self.handshakes >= RETRY_ABOVE && !incoming.remote_addr_validated() {
            // Fails only for an address that is proved.
            let _ = incoming.retry();
            return;
        }
        let from = network_of(&incoming.remote_addr());
        let now_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        if self.arrivals.take(now_us, &from.lineage()).is_err() {
            return incoming.refuse();
        }
        let Some(place) = self.strangers.come(from, Instant::now()) else {
            return incoming.refuse();
        };
        let Place {
            id,
            handshake: registration,
            instead_of,
        } = place;
        if let Some(other) = instead_of {
            other.end_handshake();
            if let Some(link) = other.conn.and_then(|conn| self.links.get_mut(&conn)) {
                let text = "others come, and this side did not say who it is; try again shortly";
                link.close_now(code::STRANGER, text);
            }
        }
        let Ok(accepting) = incoming.accept() else {
            self.strangers.leave(id);
            return;
        };
        self.handshakes += 1;
        let connection = accepting.into_0rtt();
        let early = self.connected_early(id, from, &connection);
        let handshake = handshake(id, early, registration, connection);
        self.waits.owner(Box::pin(handshake));
    }

    /// Takes over a connection that resumes an earlier one, while its handshake goes on; gives its
    /// number. Only of those is it known so soon who the peer is: a handshake from scratch proves that
    /// with its last flight.
    fn connected_early(
        &mut self,
        stranger: StrangerId,
        from: Network,
        connection: &IncomingZeroRttConnection,
    ) -> Option<ConnId> {
        connection.peer_identity()?;
        let peer = PublicKey::from_bytes(connection.remote_id().ok()?.as_bytes()).ok()?;
        let id = self.number();
        let carrier = QuicConnection::Incoming(connection.clone());
        let link = PeerConnection::new(id, Role::Host, carrier, &mut self.waits);
        self.ready.push_back(HostInput::EarlyConnected {
            conn: id,
            peer,
            from,
        });
        self.links.insert(id, link);
        self.strangers.name(stranger, id);
        Some(id)
    }

    /// The handshake of a connection that began early is complete, and said to be to all concerned.
    fn proved(&mut self, id: ConnId, connection: Connection) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.prove(QuicConnection::Proved(connection), &mut self.waits);
        if let Some(binding) = link.newly_proved() {
            self.ready
                .push_back(HostInput::HandshakeConfirmed { conn: id, binding });
        }
        link.look(self.clock.now_us(), &mut self.heard);
        self.tell(id);
    }

    /// The handshake of a connection that began early came to nothing.
    fn failed(&mut self, id: ConnId) {
        self.strangers.leave_conn(id);
        if let Some(mut link) = self.links.remove(&id) {
            link.close_now(code::PROTOCOL, "the handshake was not completed");
            self.ready.push_back(HostInput::Disconnected { conn: id });
        }
    }

    fn number(&mut self) -> ConnId {
        self.next += 1;
        ConnId(self.next - 1)
    }

    fn connected(&mut self, stranger: StrangerId, connection: Connection) {
        // It may have given way at the last moment.
        let Some(from) = self.strangers.from(stranger) else {
            return;
        };
        let peer = PublicKey::from_bytes(connection.remote_id().as_bytes());
        let carrier = QuicConnection::Proved(connection);
        // Both fail only for a peer that is not one of ours.
        let (Ok(peer), Some(binding)) = (peer, carrier.binding()) else {
            self.strangers.leave(stranger);
            return;
        };
        let id = self.number();
        self.strangers.name(stranger, id);
        let mut link = PeerConnection::new(id, Role::Host, carrier, &mut self.waits);
        self.ready.push_back(HostInput::Connected {
            conn: id,
            peer: PeerEndpoint::Proved(peer),
            from,
            binding,
        });
        link.look(self.clock.now_us(), &mut self.heard);
        self.links.insert(id, link);
        self.tell(id);
    }

    fn tell(&mut self, conn: ConnId) {
        let before = self.links.len();
        for heard in self.heard.drain(..) {
            self.ready.push_back(match heard {
                ConnectionEvent::Bytes { stream, bytes } => HostInput::Received {
                    conn,
                    stream,
                    bytes,
                },
                ConnectionEvent::Delivered { stream } => HostInput::Delivered { conn, stream },
                ConnectionEvent::Path { kind, rtt_us } => HostInput::Path { conn, kind, rtt_us },
                // The host hears of a viewer's leaving in words, or by the connection's end.
                ConnectionEvent::Ended { .. } => continue,
                ConnectionEvent::Gone(why) => {
                    tracing::debug!(?conn, %why, "connection gone");
                    self.links.remove(&conn);
                    self.strangers.leave_conn(conn);
                    HostInput::Disconnected { conn }
                }
            });
        }
        self.ended(before - self.links.len());
    }

    fn accept(&mut self) {
        let endpoint = self.endpoint.clone();
        self.waits.owner(Box::pin(async move {
            HostEvent::Incoming(endpoint.accept().await.map(Box::new))
        }));
    }

    /// Connections have ended.
    fn ended(&mut self, count: usize) {
        if self.slack.ended(count) {
            self.await_forgotten();
        }
    }

    fn await_forgotten(&mut self) {
        self.waits.owner(Box::pin(async {
            tokio::time::sleep(REMEMBERED_FOR).await;
            HostEvent::Forgotten
        }));
    }

    fn await_addresses(&mut self) {
        let mut watch = self.endpoint.watch_addr();
        self.waits.owner(Box::pin(async move {
            match watch.updated().await {
                Ok(_) => HostEvent::Addresses,
                Err(_) => HostEvent::NoMoreAddresses,
            }
        }));
    }

    fn tell_addresses(&mut self) {
        let addr = self.addr();
        if self.told.as_ref() != Some(&addr) {
            self.told = Some(addr.clone());
            self.ready.push_back(HostInput::Addresses { addr });
        }
    }
}

async fn handshake(
    stranger: StrangerId,
    early: Option<ConnId>,
    registration: AbortRegistration,
    connection: IncomingZeroRttConnection,
) -> HostEvent {
    let complete = Abortable::new(connection.handshake_completed(), registration);
    let complete = tokio::time::timeout(HANDSHAKE_TIMEOUT, complete).await;
    let complete = complete.ok().and_then(Result::ok).and_then(Result::ok);
    if complete.is_none() {
        let text = b"the handshake was not completed";
        connection.close(VarInt::from_u32(code::STRANGER), text);
    }
    HostEvent::Handshake(stranger, early, complete)
}
