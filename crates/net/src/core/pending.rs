//! What is waited for: streams that open, bytes that arrive, paths and connections that change.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream::FuturesUnordered};
use iroh::endpoint::{
    Connection, ConnectionError, ConnectionState, RecvStream, SendStream, VarInt,
};
use pillion_session::{ConnId, Stream};

use crate::{core::code, limits::CHUNKS_PER_TURN};

/// Everything that is waited for at once. Each entry is woken on its own, in the order in which
/// something happened: that is what keeps a busy peer from holding up the others.
pub(crate) struct PendingEvents<T>(FuturesUnordered<Wait<T>>);

/// Something happened: to a connection, or (`T`) to the one who owns the connections.
pub(crate) enum Event<T> {
    PeerConnection(ConnId, LinkEvent),
    Owner(T),
    /// Nothing that needs an answer.
    Done,
}

/// Something happened to a connection.
pub(crate) enum LinkEvent {
    /// The peer opened a stream; `bytes` is what came first, kind byte included.
    Opened {
        send: Option<SendStream>,
        recv: RecvStream,
        bytes: Bytes,
    },
    /// The peer opened a stream and ended it before saying what it is for.
    OpenedEmpty,
    /// Streams of this direction can no longer be accepted: the connection is gone.
    NoMoreStreams,
    /// The peer opened a stream of this direction.
    Accepted {
        send: Option<SendStream>,
        recv: RecvStream,
    },
    /// Bytes came, or the stream ended (`None`).
    Read {
        reader: Box<Reader>,
        chunks: Option<usize>,
    },
    /// A blocked stream got on; its receiving half is there if it had to be opened first.
    Flushed {
        stream: Stream,
        recv: Option<RecvStream>,
    },
    /// The peer has all that was sent on a stream, or never will.
    Delivered { stream: Stream },
    /// The path may have changed.
    Path,
    /// It no longer will.
    NoMorePaths,
    /// The connection is gone.
    Closed(ConnectionError),
}

enum Wait<T> {
    Read(ConnId, Option<Box<Reader>>),
    Other(Pin<Box<dyn Future<Output = Event<T>> + Send>>),
}

impl<T: Send + 'static> PendingEvents<T> {
    pub(crate) fn new() -> PendingEvents<T> {
        PendingEvents(FuturesUnordered::new())
    }

    /// The next thing that happens. Loses nothing when dropped before.
    pub(crate) async fn next(&mut self) -> Event<T> {
        match self.0.next().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn owner(&mut self, wait: impl Future<Output = T> + Send + 'static) {
        self.other(async move { Event::Owner(wait.await) });
    }

    pub(crate) fn link(
        &mut self,
        id: ConnId,
        wait: impl Future<Output = LinkEvent> + Send + 'static,
    ) {
        self.other(async move { Event::PeerConnection(id, wait.await) });
    }

    /// Work that nobody waits for.
    pub(crate) fn work(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.other(async move {
            work.await;
            Event::Done
        });
    }

    pub(crate) fn read(&mut self, id: ConnId, reader: Box<Reader>) {
        self.0.push(Wait::Read(id, Some(reader)));
    }

    fn other(&mut self, wait: impl Future<Output = Event<T>> + Send + 'static) {
        self.0.push(Wait::Other(Box::pin(wait)));
    }
}

impl<T> Future for Wait<T> {
    type Output = Event<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event<T>> {
        match self.get_mut() {
            Wait::Other(wait) => wait.as_mut().poll(cx),
            Wait::Read(id, slot) => {
                let Some(reader) = slot else {
                    return Poll::Ready(Event::Done);
                };
                let chunks = ready!(reader.poll(cx));
                match slot.take() {
                    Some(reader) => Poll::Ready(Event::PeerConnection(
                        *id,
                        LinkEvent::Read { reader, chunks },
                    )),
                    None => Poll::Ready(Event::Done),
                }
            }
        }
    }
}

/// One stream's receiving half.
pub(crate) struct Reader {
    pub(crate) stream: Stream,
    recv: RecvStream,
    give_up: Arc<CancelRead>,
    chunks: [Bytes; CHUNKS_PER_TURN],
}

impl Reader {
    pub(crate) fn new(stream: Stream, recv: RecvStream) -> Reader {
        Reader {
            stream,
            recv,
            give_up: Arc::default(),
            chunks: std::array::from_fn(|_| Bytes::new()),
        }
    }

    /// What makes this reader end from outside.
    pub(crate) fn give_up(&self) -> Arc<CancelRead> {
        self.give_up.clone()
    }

    /// Takes the `count` chunks of the last turn.
    pub(crate) fn take(&mut self, count: usize) -> impl Iterator<Item = Bytes> {
        self.chunks
            .iter_mut()
            .take(count)
            .map(std::mem::take)
            .filter(|chunk| !chunk.is_empty())
    }

    /// How many chunks came; `None` when no more will: ended, reset, given up or lost.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        if self.give_up.asked(cx) {
            let _ = self.recv.stop(VarInt::from_u32(code::REPLACED));
            return Poll::Ready(None);
        }
        let read = ready!(pin!(self.recv.read_many_chunks(&mut self.chunks)).poll(cx));
        Poll::Ready(read.unwrap_or(None))
    }
}

/// Ends a [`Reader`] that waits.
#[derive(Default)]
pub(crate) struct CancelRead {
    asked: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl CancelRead {
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        let waker = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn asked(&self, cx: &Context<'_>) -> bool {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        self.asked.load(Ordering::Relaxed)
    }
}

/// The peer's next stream that goes both ways.
pub(crate) async fn accept_bi<S: ConnectionState>(connection: Connection<S>) -> LinkEvent {
    match connection.accept_bi().await {
        Ok((send, recv)) => LinkEvent::Accepted {
            send: Some(send),
            recv,
        },
        Err(_) => LinkEvent::NoMoreStreams,
    }
}

/// The peer's next stream that goes one way.
pub(crate) async fn accept_uni<S: ConnectionState>(connection: Connection<S>) -> LinkEvent {
    match connection.accept_uni().await {
        Ok(recv) => LinkEvent::Accepted { send: None, recv },
        Err(_) => LinkEvent::NoMoreStreams,
    }
}

/// The first bytes on a stream.
pub(crate) async fn first_bytes(send: Option<SendStream>, mut recv: RecvStream) -> LinkEvent {
    let mut first = [Bytes::new()];
    loop {
        match poll_fn(|cx| pin!(recv.read_many_chunks(&mut first)).poll(cx)).await {
            Ok(Some(1..)) if first[0].has_remaining() => {
                return LinkEvent::Opened {
                    send,
                    recv,
                    bytes: std::mem::take(&mut first[0]),
                };
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return LinkEvent::OpenedEmpty,
        }
    }
}
