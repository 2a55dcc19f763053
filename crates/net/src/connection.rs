//! One connection and its streams, the same on both sides.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, future::join_all};
use iroh::endpoint::{
    Connection, ConnectionError, ConnectionState, IncomingZeroRttConnection,
    OutgoingZeroRttConnection, RecvStream, SendStream, VarInt,
};
use pillion_proto::{PathKind, StreamKind};
use pillion_session::{ConnId, Stream};

use crate::{
    close::code,
    limits::{CLOSE_WAIT, HOST_RECEIVE_WINDOW, MAX_CLOSE_REASON, MAX_QUEUED},
    outgoing::{Opening, Outgoing, Sent},
    path::PathWatch,
    pending::{CancelRead, LinkEvent, PendingEvents, Reader, accept_bi, accept_uni, first_bytes},
};

/// What the connection's keying material is exported under (RFC 5705, RFC 8446 7.5): proofs of
/// possession sign it, so that they hold on this connection alone.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-pillion-v1";

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Host,
    Viewer,
}

/// What a connection brings, in order.
#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    Bytes {
        stream: Stream,
        bytes: Bytes,
    },
    Ended {
        stream: Stream,
    },
    /// The other end has all of a stream that we ended, or wants no more of it.
    Delivered {
        stream: Stream,
    },
    Path {
        kind: PathKind,
        rtt_us: u32,
    },
    Gone(ConnectionError),
}

/// A connection as far as its handshake is.
#[derive(Clone)]
pub(crate) enum QuicConnection {
    /// Complete.
    Proved(Connection),
    /// Under way, at the host: a viewer resumes an earlier connection. What it says is early data, and
    /// what is said to it only a holder of the earlier connection's secret can read.
    Incoming(IncomingZeroRttConnection),
    /// Under way, at the viewer: what is sent is early data.
    Outgoing(OutgoingZeroRttConnection),
}

impl QuicConnection {
    fn proved(&self) -> Option<&Connection> {
        match self {
            QuicConnection::Proved(connection) => Some(connection),
            QuicConnection::Incoming(_) | QuicConnection::Outgoing(_) => None,
        }
    }

    /// What proofs on this connection sign. `None` before its handshake is complete, or when it is gone
    /// already.
    pub(crate) fn exporter(&self) -> Option<[u8; 32]> {
        let mut out = [0; 32];
        let done = match self {
            QuicConnection::Proved(connection) => {
                connection.export_keying_material(&mut out, EXPORTER_LABEL, b"")
            }
            QuicConnection::Incoming(connection) => {
                connection.export_keying_material(&mut out, EXPORTER_LABEL, b"")
            }
            QuicConnection::Outgoing(connection) => {
                connection.export_keying_material(&mut out, EXPORTER_LABEL, b"")
            }
        };
        done.is_ok().then_some(out)
    }

    fn close(&self, code: VarInt, reason: &[u8]) {
        match self {
            QuicConnection::Proved(connection) => connection.close(code, reason),
            QuicConnection::Incoming(connection) => connection.close(code, reason),
            QuicConnection::Outgoing(connection) => connection.close(code, reason),
        }
    }
}

/// One connection.
pub(crate) struct PeerConnection {
    id: ConnId,
    role: Role,
    carrier: QuicConnection,
    /// It is still to be said what proofs on this connection sign.
    proving: bool,
    sending: HashMap<Stream, Outgoing>,
    receiving: HashMap<Stream, Arc<CancelRead>>,
    /// Numbers for the peer's streams.
    inputs: u32,
    histories: u64,
    tracks: u32,
    path: PathWatch,
    /// Waits that can still bring bytes. A connection that is gone is only said to be once they have
    /// brought all that had arrived.
    sources: usize,
    /// We said goodbye: what the peer still says is not listened to.
    closing: bool,
    gone: Option<ConnectionError>,
}

impl PeerConnection {
    /// Takes over a connection: from now on its streams are accepted.
    pub(crate) fn new<T: Send + 'static>(
        id: ConnId,
        role: Role,
        carrier: QuicConnection,
        waits: &mut PendingEvents<T>,
    ) -> PeerConnection {
        let mut link = PeerConnection {
            id,
            role,
            proving: carrier.proved().is_none(),
            carrier,
            sending: HashMap::new(),
            receiving: HashMap::new(),
            inputs: 0,
            histories: 0,
            tracks: 0,
            path: PathWatch::new(),
            sources: 0,
            closing: false,
            gone: None,
        };
        link.accept(waits, false);
        if role == Role::Host {
            link.accept(waits, true);
        }
        link.watch(waits);
        link
    }

    /// The handshake is complete. Streams opened before it go on; from now on it is said how the
    /// connection travels and when it ends.
    pub(crate) fn prove<T: Send + 'static>(
        &mut self,
        connection: Connection,
        waits: &mut PendingEvents<T>,
    ) {
        self.carrier = QuicConnection::Proved(connection);
        self.watch(waits);
    }

    /// Its peer is a viewer: it may have as much on its way as one sends.
    pub(crate) fn accept_peer(&self) {
        if let Some(connection) = self.carrier.proved() {
            connection.set_receive_window(VarInt::from_u32(HOST_RECEIVE_WINDOW));
        }
    }

    /// The host did not take what was sent before the handshake was complete: nothing was.
    pub(crate) fn begin_anew(&mut self) {
        self.forget();
        for (_, reader) in self.receiving.drain() {
            reader.ask();
        }
    }

    fn watch<T: Send + 'static>(&self, waits: &mut PendingEvents<T>) {
        let Some(connection) = self.carrier.proved() else {
            return;
        };
        self.await_path(waits);
        // Not `connection.closed()`, which would keep the connection open as long as it is awaited.
        let closed = connection.weak_handle().closed();
        waits.link(self.id, async move {
            match closed.await {
                Some(closed) => LinkEvent::Closed(closed.reason),
                None => LinkEvent::Closed(ConnectionError::LocallyClosed),
            }
        });
    }

    /// What proofs on this connection sign, once: as soon as the handshake of one that began early is
    /// complete. To be asked before [`on`](Self::on), so that it is known before any byte that was sent
    /// after the handshake.
    pub(crate) fn newly_proved(&mut self) -> Option<[u8; 32]> {
        if !self.proving {
            return None;
        }
        let exporter = self.carrier.exporter()?;
        self.proving = false;
        Some(exporter)
    }

    /// Looks at the path, and says how it is if that is news.
    pub(crate) fn look(&mut self, heard: &mut VecDeque<ConnectionEvent>) {
        let Some(connection) = self.carrier.proved() else {
            return;
        };
        if let Some((kind, rtt_us)) = self.path.look(connection) {
            heard.push_back(ConnectionEvent::Path { kind, rtt_us });
        }
    }

    /// Sends bytes; the first ones on a stream of ours open it.
    pub(crate) fn send<T: Send + 'static>(
        &mut self,
        stream: Stream,
        bytes: Bytes,
        waits: &mut PendingEvents<T>,
    ) {
        let sent = match self.sending.get(&stream) {
            Some(outgoing) => outgoing.send([bytes]),
            None => match self.open(stream, waits) {
                Some((outgoing, kind)) => {
                    let sent = outgoing.send([Bytes::from_static(kind), bytes]);
                    self.sending.insert(stream, outgoing);
                    sent
                }
                // The peer's stream, and it is gone.
                None => return,
            },
        };
        if sent != Sent::Taken {
            if sent == Sent::MustFlush {
                self.flush(stream, waits);
            }
            if self.sending.values().map(Outgoing::queued).sum::<usize>() > MAX_QUEUED {
                self.close_now(
                    code::TOO_SLOW,
                    "this connection could not deliver what was sent on it",
                );
            }
        }
    }

    /// Gives a stream up, both its halves.
    pub(crate) fn reset(&mut self, stream: Stream) {
        if let Some(outgoing) = self.sending.remove(&stream) {
            outgoing.reset();
        }
        if let Some(reader) = self.receiving.remove(&stream) {
            reader.ask();
        }
    }

    /// Ends our half of a stream.
    pub(crate) fn finish<T: Send + 'static>(
        &mut self,
        stream: Stream,
        waits: &mut PendingEvents<T>,
    ) {
        if let Some(outgoing) = self.sending.get(&stream) {
            if outgoing.finish() == Sent::MustFlush {
                self.flush(stream, waits);
            }
            // It stays until it is delivered, so that a close behind it waits for it.
            let outgoing = outgoing.clone();
            waits.link(self.id, async move {
                outgoing.delivered().await;
                LinkEvent::Delivered { stream }
            });
        }
    }

    /// Closes the connection once everything sent is delivered, or [`CLOSE_WAIT`] has passed: the
    /// future does, and needs nothing else of this link.
    pub(crate) fn close(
        &mut self,
        code: u8,
        reason: &str,
    ) -> impl Future<Output = ()> + Send + 'static {
        self.closing = true;
        let carrier = self.carrier.clone();
        let outgoing: Vec<Outgoing> = self.sending.values().cloned().collect();
        let reason = reason.as_bytes()[..reason.floor_char_boundary(MAX_CLOSE_REASON)].to_vec();
        async move {
            let delivered = join_all(outgoing.iter().map(Outgoing::delivered));
            let _ = tokio::time::timeout(CLOSE_WAIT, delivered).await;
            carrier.close(VarInt::from_u32(u32::from(code)), &reason);
            outgoing.iter().for_each(Outgoing::reset);
        }
    }

    /// Whether we said goodbye.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Closes the connection without waiting.
    pub(crate) fn close_now(&mut self, code: u32, reason: &str) {
        self.closing = true;
        self.carrier
            .close(VarInt::from_u32(code), reason.as_bytes());
        self.forget();
    }

    /// Takes in what happened. Says through `heard` what that means.
    pub(crate) fn on<T: Send + 'static>(
        &mut self,
        event: LinkEvent,
        waits: &mut PendingEvents<T>,
        heard: &mut VecDeque<ConnectionEvent>,
    ) {
        match event {
            LinkEvent::Accepted { send, recv } => {
                self.accept(waits, send.is_some());
                // The accepting wait went over into the one for the first bytes.
                waits.link(self.id, first_bytes(send, recv));
            }
            LinkEvent::Opened { .. }
            | LinkEvent::Read {
                chunks: Some(_), ..
            } if self.closing => {
                self.sources -= 1;
            }
            LinkEvent::Opened { send, recv, bytes } => {
                self.sources -= 1;
                self.opened(send, recv, bytes, waits, heard);
            }
            LinkEvent::OpenedEmpty | LinkEvent::NoMoreStreams => self.sources -= 1,
            LinkEvent::Read {
                mut reader,
                chunks: Some(count),
            } => {
                let stream = reader.stream;
                heard.extend(
                    reader
                        .take(count)
                        .map(|bytes| ConnectionEvent::Bytes { stream, bytes }),
                );
                waits.read(self.id, reader);
                if let Some(connection) = self.carrier.proved()
                    && let Some((kind, rtt_us)) = self.path.look_again(connection)
                {
                    heard.push_back(ConnectionEvent::Path { kind, rtt_us });
                }
            }
            LinkEvent::Read {
                reader,
                chunks: None,
            } => {
                self.sources -= 1;
                // Absent, or another by now: given up by ourselves.
                let stream = reader.stream;
                let known = self.receiving.get(&stream);
                if known.is_some_and(|known| Arc::ptr_eq(known, &reader.give_up())) {
                    self.receiving.remove(&stream);
                    heard.push_back(ConnectionEvent::Ended { stream });
                }
            }
            LinkEvent::Flushed { stream, recv } => {
                if let Some(recv) = recv {
                    self.receive(stream, recv, waits);
                }
                if self.sending.get(&stream).is_some_and(Outgoing::wants_flush) {
                    self.flush(stream, waits);
                }
            }
            LinkEvent::Delivered { stream } => {
                self.sending.remove(&stream);
                heard.push_back(ConnectionEvent::Delivered { stream });
            }
            LinkEvent::Path => {
                // First the subscription, then the look: what changes in between is not missed.
                self.await_path(waits);
                self.look(heard);
            }
            LinkEvent::NoMorePaths => {}
            LinkEvent::Closed(why) => {
                self.gone = Some(why);
                self.forget();
            }
        }
        if self.sources == 0
            && let Some(why) = self.gone.take()
        {
            heard.push_back(ConnectionEvent::Gone(why));
        }
    }

    /// A stream of the peer's said what it is for.
    fn opened<T: Send + 'static>(
        &mut self,
        send: Option<SendStream>,
        mut recv: RecvStream,
        mut bytes: Bytes,
        waits: &mut PendingEvents<T>,
        heard: &mut VecDeque<ConnectionEvent>,
    ) {
        let kind = StreamKind::from_byte(bytes.get_u8());
        let Some(stream) = self.name(kind, send.is_some()) else {
            // Of a newer version, or nonsense: this stream alone is refused.
            let _ = recv.stop(VarInt::from_u32(code::PROTOCOL));
            if let Some(mut send) = send {
                let _ = send.reset(VarInt::from_u32(code::PROTOCOL));
            }
            return;
        };
        if let Some(send) = send {
            self.sending
                .insert(stream, Outgoing::open(send, priority(stream)));
        }
        if !bytes.is_empty() {
            heard.push_back(ConnectionEvent::Bytes { stream, bytes });
        }
        self.receive(stream, recv, waits);
    }

    /// What a stream that the peer opened is called here; `None` for one that it may not open.
    fn name(&mut self, kind: Option<StreamKind>, both_ways: bool) -> Option<Stream> {
        match (self.role, kind?, both_ways) {
            (Role::Host, StreamKind::Control, true)
                if !self.sending.contains_key(&Stream::Control) =>
            {
                Some(Stream::Control)
            }
            (Role::Host, StreamKind::History, true) => {
                self.histories += 1;
                Some(Stream::History {
                    id: self.histories - 1,
                })
            }
            (Role::Host, StreamKind::Input, false) => {
                self.inputs = self.inputs.checked_add(1)?;
                Some(Stream::Input {
                    epoch: self.inputs - 1,
                })
            }
            (Role::Viewer, StreamKind::Track, false) => {
                self.tracks = self.tracks.checked_add(1)?;
                Some(Stream::Track {
                    id: self.tracks - 1,
                })
            }
            _ => None,
        }
    }

    /// Opens a stream of ours; `None` for one that only the peer opens.
    fn open<T: Send + 'static>(
        &mut self,
        stream: Stream,
        waits: &mut PendingEvents<T>,
    ) -> Option<(Outgoing, &'static [u8])> {
        let (kind, both_ways) = match (self.role, stream) {
            (Role::Host, Stream::Track { .. }) => (&[StreamKind::Track as u8], false),
            (Role::Viewer, Stream::Control) => (&[StreamKind::Control as u8], true),
            (Role::Viewer, Stream::History { .. }) => (&[StreamKind::History as u8], true),
            (Role::Viewer, Stream::Input { .. }) => (&[StreamKind::Input as u8], false),
            _ => return None,
        };
        let mut opening = match self.carrier.clone() {
            QuicConnection::Proved(connection) => opening(connection, both_ways),
            QuicConnection::Incoming(connection) => opening(connection, both_ways),
            QuicConnection::Outgoing(connection) => opening(connection, both_ways),
        };
        let outgoing = match opening
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(Ok((send, recv))) => {
                if let Some(recv) = recv {
                    self.receive(stream, recv, waits);
                }
                Outgoing::open(send, priority(stream))
            }
            // Lost with the connection, which tells so itself; or not allowed yet by the peer.
            Poll::Ready(Err(_)) => return None,
            Poll::Pending => Outgoing::opening(opening, priority(stream)),
        };
        Some((outgoing, kind))
    }

    fn receive<T: Send + 'static>(
        &mut self,
        stream: Stream,
        recv: RecvStream,
        waits: &mut PendingEvents<T>,
    ) {
        let reader = Box::new(Reader::new(stream, recv));
        self.receiving.insert(stream, reader.give_up());
        self.sources += 1;
        waits.read(self.id, reader);
    }

    fn accept<T: Send + 'static>(&mut self, waits: &mut PendingEvents<T>, both_ways: bool) {
        self.sources += 1;
        match (self.carrier.clone(), both_ways) {
            (QuicConnection::Proved(connection), true) => {
                waits.link(self.id, accept_bi(connection))
            }
            (QuicConnection::Proved(connection), false) => {
                waits.link(self.id, accept_uni(connection))
            }
            (QuicConnection::Incoming(connection), true) => {
                waits.link(self.id, accept_bi(connection))
            }
            (QuicConnection::Incoming(connection), false) => {
                waits.link(self.id, accept_uni(connection))
            }
            (QuicConnection::Outgoing(connection), true) => {
                waits.link(self.id, accept_bi(connection))
            }
            (QuicConnection::Outgoing(connection), false) => {
                waits.link(self.id, accept_uni(connection))
            }
        }
    }

    fn flush<T: Send + 'static>(&self, stream: Stream, waits: &mut PendingEvents<T>) {
        if let Some(outgoing) = self.sending.get(&stream).cloned() {
            waits.link(self.id, async move {
                LinkEvent::Flushed {
                    stream,
                    recv: outgoing.flush().await,
                }
            });
        }
    }

    fn await_path<T: Send + 'static>(&self, waits: &mut PendingEvents<T>) {
        let Some(connection) = self.carrier.proved() else {
            return;
        };
        let mut events = connection.path_events();
        waits.link(self.id, async move {
            match events.next().await {
                Some(_) => LinkEvent::Path,
                None => LinkEvent::NoMorePaths,
            }
        });
    }

    /// Ends what still waits to send: nothing goes anywhere any more.
    fn forget(&mut self) {
        for (_, outgoing) in self.sending.drain() {
            outgoing.reset();
        }
    }
}

/// Live state before keystrokes, both before history.
fn priority(stream: Stream) -> i32 {
    match stream {
        Stream::Control | Stream::Track { .. } => 2,
        Stream::Input { .. } => 1,
        Stream::History { .. } => 0,
    }
}

fn opening<S>(connection: Connection<S>, both_ways: bool) -> Opening
where
    S: ConnectionState<Data: Send + Sync + 'static> + Send + Sync + 'static,
{
    Box::pin(async move {
        if both_ways {
            connection
                .open_bi()
                .await
                .map(|(send, recv)| (send, Some(recv)))
        } else {
            connection.open_uni().await.map(|send| (send, None))
        }
    })
}
