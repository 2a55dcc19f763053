//! One connection and its streams, the same on both sides.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use futures_util::future::{join_all, select};
use pillion_caps::Binding;
use pillion_proto::{PathKind, StreamKind};
use pillion_session::{ConnId, Stream};

use super::{
    Carrier, RecvHalf, SendHalf, code,
    outgoing::{Outgoing, Sent},
    path::PathWatch,
    pending::{CancelRead, FirstBytes, Happened, LinkEvent, LinkWait, PendingEvents, Reader},
};
use crate::limits::{HOST_RECEIVE_WINDOW, MAX_CLOSE_REASON, MAX_QUEUED};

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The host's: it has the control stream, inputs and requests for history opened to it, and opens tracks.
    Host,
    /// The viewer's.
    Viewer,
}

/// What a connection brings, in order.
#[derive(Debug)]
pub enum ConnectionEvent<R> {
    /// Bytes came.
    Bytes {
        /// The stream.
        stream: Stream,
        /// The bytes after the stream's kind byte, in order.
        bytes: Bytes,
    },
    /// A stream of the peer's was cut or ended.
    Ended {
        /// Which.
        stream: Stream,
    },
    /// The other end has all of a stream that we ended, or wants no more of it.
    Delivered {
        /// Which.
        stream: Stream,
    },
    /// How the connection travels changed.
    Path {
        /// Direct or relayed.
        kind: PathKind,
        /// Round trip, in microseconds.
        rtt_us: u32,
    },
    /// It is gone, and why; nothing more comes of it.
    Gone(R),
}

/// One connection.
pub struct PeerConnection<C: Carrier> {
    id: ConnId,
    role: Role,
    carrier: C,
    /// It is still to be said what proofs on this connection are bound to.
    proving: bool,
    sending: HashMap<Stream, Outgoing<C>>,
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
    gone: Option<C::CloseReason>,
}

impl<C: Carrier> PeerConnection<C> {
    /// Takes over a connection: from now on its streams are accepted.
    pub fn new<F: Future + Unpin>(
        id: ConnId,
        role: Role,
        carrier: C,
        waits: &mut PendingEvents<C, F>,
    ) -> PeerConnection<C> {
        let mut link = PeerConnection {
            id,
            role,
            proving: !carrier.is_established(),
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
    pub fn prove<F: Future + Unpin>(&mut self, established: C, waits: &mut PendingEvents<C, F>) {
        self.carrier = established;
        self.watch(waits);
    }

    /// Its peer is a viewer: it may have as much on its way as one sends.
    pub fn accept_peer(&self) {
        self.carrier.set_receive_window(HOST_RECEIVE_WINDOW);
    }

    /// The host did not take what was sent before the handshake was complete: nothing was.
    pub fn discard_early(&mut self) {
        self.forget();
        for (_, reader) in self.receiving.drain() {
            reader.ask();
        }
    }

    fn watch<F: Future + Unpin>(&self, waits: &mut PendingEvents<C, F>) {
        self.await_path(waits);
        if let Some(closed) = self.carrier.closed() {
            waits.link(self.id, LinkWait::Closed(closed));
        }
    }

    /// What proofs on this connection are bound to, once: as soon as the handshake of one that began early is
    /// complete. To be asked before [`on`](Self::on), so that it is known before any byte that was sent
    /// after the handshake.
    pub fn newly_proved(&mut self) -> Option<Binding> {
        if !self.proving {
            return None;
        }
        let binding = self.carrier.binding()?;
        self.proving = false;
        Some(binding)
    }

    /// Looks at the path, and says how it is if that is news.
    pub fn look(&mut self, now_us: u64, heard: &mut VecDeque<ConnectionEvent<C::CloseReason>>) {
        if let Some((kind, rtt_us)) = self.path.look(now_us, &self.carrier) {
            heard.push_back(ConnectionEvent::Path { kind, rtt_us });
        }
    }

    /// Sends bytes; the first ones on a stream of ours open it.
    pub fn send<F: Future + Unpin>(
        &mut self,
        stream: Stream,
        bytes: Bytes,
        waits: &mut PendingEvents<C, F>,
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
    pub fn reset(&mut self, stream: Stream) {
        if let Some(outgoing) = self.sending.remove(&stream) {
            outgoing.reset();
        }
        if let Some(reader) = self.receiving.remove(&stream) {
            reader.ask();
        }
    }

    /// Ends our half of a stream.
    pub fn finish<F: Future + Unpin>(&mut self, stream: Stream, waits: &mut PendingEvents<C, F>) {
        if let Some(outgoing) = self.sending.get(&stream) {
            if outgoing.finish() == Sent::MustFlush {
                self.flush(stream, waits);
            }
            // It stays until it is delivered, so that a close behind it waits for it.
            let delivered = outgoing.delivered();
            waits.link(self.id, LinkWait::Delivered(stream, delivered));
        }
    }

    /// Closes the connection once everything sent is delivered, or `patience` has run out: the future
    /// does, and needs nothing else of this connection.
    pub fn close<P: Future>(
        &mut self,
        code: u8,
        reason: &str,
        patience: P,
    ) -> impl Future<Output = ()> + use<C, P> {
        self.closing = true;
        let carrier = self.carrier.clone();
        let outgoing: Vec<Outgoing<C>> = self.sending.values().cloned().collect();
        let reason = reason.as_bytes()[..reason.floor_char_boundary(MAX_CLOSE_REASON)].to_vec();
        async move {
            let delivered = join_all(outgoing.iter().map(Outgoing::delivered));
            select(delivered, pin!(patience)).await;
            carrier.close(u32::from(code), &reason);
            outgoing.iter().for_each(Outgoing::reset);
        }
    }

    /// Whether we said goodbye.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Closes the connection without waiting.
    pub fn close_now(&mut self, code: u32, reason: &str) {
        self.closing = true;
        self.carrier.close(code, reason.as_bytes());
        self.forget();
    }

    /// Takes in what happened. Says through `heard` what that means.
    pub fn on<F: Future + Unpin>(
        &mut self,
        now_us: u64,
        event: LinkEvent<C>,
        waits: &mut PendingEvents<C, F>,
        heard: &mut VecDeque<ConnectionEvent<C::CloseReason>>,
    ) {
        match event.0 {
            Happened::Accepted((send, recv)) => {
                self.accept(waits, send.is_some());
                // The accepting wait went over into the one for the first bytes.
                let first = Box::new(FirstBytes { send, recv });
                waits.link(self.id, LinkWait::First(first));
            }
            Happened::Opened { .. }
            | Happened::Read {
                chunks: Some(_), ..
            } if self.closing => {
                self.sources -= 1;
            }
            Happened::Opened { send, recv, bytes } => {
                self.sources -= 1;
                self.opened(send, recv, bytes, waits, heard);
            }
            Happened::OpenedEmpty | Happened::NoMoreStreams => self.sources -= 1,
            Happened::Read {
                mut reader,
                chunks: Some(count),
            } => {
                let stream = reader.stream;
                heard.extend(
                    reader
                        .take(count)
                        .map(|bytes| ConnectionEvent::Bytes { stream, bytes }),
                );
                waits.link(self.id, LinkWait::Read(reader));
                if let Some((kind, rtt_us)) = self.path.look_again(now_us, &self.carrier) {
                    heard.push_back(ConnectionEvent::Path { kind, rtt_us });
                }
            }
            Happened::Read {
                reader,
                chunks: None,
            } => {
                self.sources -= 1;
                // Absent, or another by now: given up by ourselves.
                let stream = reader.stream;
                let known = self.receiving.get(&stream);
                if known.is_some_and(|known| Arc::ptr_eq(known, &reader.cancel())) {
                    self.receiving.remove(&stream);
                    heard.push_back(ConnectionEvent::Ended { stream });
                }
            }
            Happened::Flushed { stream, recv } => {
                if let Some(recv) = recv {
                    self.receive(stream, recv, waits);
                }
                if self.sending.get(&stream).is_some_and(Outgoing::wants_flush) {
                    self.flush(stream, waits);
                }
            }
            Happened::Delivered { stream } => {
                self.sending.remove(&stream);
                heard.push_back(ConnectionEvent::Delivered { stream });
            }
            Happened::Path => {
                // First the subscription, then the look: what changes in between is not missed.
                self.await_path(waits);
                self.look(now_us, heard);
            }
            Happened::NoMorePaths => {}
            Happened::Closed(why) => {
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
    fn opened<F: Future + Unpin>(
        &mut self,
        send: Option<C::Send>,
        mut recv: C::Recv,
        mut bytes: Bytes,
        waits: &mut PendingEvents<C, F>,
        heard: &mut VecDeque<ConnectionEvent<C::CloseReason>>,
    ) {
        let kind = StreamKind::from_byte(bytes.get_u8());
        let Some(stream) = self.name(kind, send.is_some()) else {
            // Of a newer version, or nonsense: this stream alone is refused.
            recv.stop(code::PROTOCOL);
            if let Some(mut send) = send {
                send.reset(code::PROTOCOL);
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
    fn open<F: Future + Unpin>(
        &mut self,
        stream: Stream,
        waits: &mut PendingEvents<C, F>,
    ) -> Option<(Outgoing<C>, &'static [u8])> {
        let (kind, both_ways) = match (self.role, stream) {
            (Role::Host, Stream::Track { .. }) => (&[StreamKind::Track as u8], false),
            (Role::Viewer, Stream::Control) => (&[StreamKind::Control as u8], true),
            (Role::Viewer, Stream::History { .. }) => (&[StreamKind::History as u8], true),
            (Role::Viewer, Stream::Input { .. }) => (&[StreamKind::Input as u8], false),
            _ => return None,
        };
        let mut opening = self.carrier.open(both_ways);
        let polled = Pin::new(&mut opening).poll(&mut Context::from_waker(Waker::noop()));
        let outgoing = match polled {
            Poll::Ready(Some((send, recv))) => {
                if let Some(recv) = recv {
                    self.receive(stream, recv, waits);
                }
                Outgoing::open(send, priority(stream))
            }
            // Lost with the connection, which tells so itself.
            Poll::Ready(None) => return None,
            // Not allowed yet by the peer.
            Poll::Pending => Outgoing::opening(opening, priority(stream)),
        };
        Some((outgoing, kind))
    }

    fn receive<F: Future + Unpin>(
        &mut self,
        stream: Stream,
        recv: C::Recv,
        waits: &mut PendingEvents<C, F>,
    ) {
        let reader = Box::new(Reader::new(stream, recv));
        self.receiving.insert(stream, reader.cancel());
        self.sources += 1;
        waits.link(self.id, LinkWait::Read(reader));
    }

    fn accept<F: Future + Unpin>(&mut self, waits: &mut PendingEvents<C, F>, both_ways: bool) {
        self.sources += 1;
        let accepting = self.carrier.accept(both_ways);
        waits.link(self.id, LinkWait::Accept(accepting));
    }

    fn flush<F: Future + Unpin>(&self, stream: Stream, waits: &mut PendingEvents<C, F>) {
        if let Some(outgoing) = self.sending.get(&stream).cloned() {
            waits.link(self.id, LinkWait::Flush(stream, outgoing));
        }
    }

    fn await_path<F: Future + Unpin>(&self, waits: &mut PendingEvents<C, F>) {
        if let Some(change) = self.carrier.path_changed() {
            waits.link(self.id, LinkWait::Path(change));
        }
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
