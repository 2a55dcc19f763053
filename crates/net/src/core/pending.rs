//! What is waited for: streams that open, bytes that arrive, paths and connections that change.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream::FuturesUnordered};
use pillion_session::{ConnId, Stream};

use super::{
    Accepted, Carrier, RecvHalf, code,
    outgoing::{Delivered, Outgoing},
};
use crate::limits::CHUNKS_PER_TURN;

/// Everything that is waited for at once: of connections, and the futures `F` of whom they belong to.
/// Each entry is woken on its own, in the order in which something happened: that is what keeps a busy
/// peer from holding up the others.
pub struct PendingEvents<C: Carrier, F>(FuturesUnordered<Wait<C, F>>);

/// Something happened: to a connection, or (`T`) to the one who owns the connections.
pub enum Event<C: Carrier, T> {
    /// To be handed to [`PeerConnection::on`](super::PeerConnection::on).
    Connection(ConnId, LinkEvent<C>),
    /// What a future of the owner's brought.
    Owner(T),
}

/// Something happened to a connection; what that means, [`PeerConnection`](super::PeerConnection) knows.
pub struct LinkEvent<C: Carrier>(pub(super) Happened<C>);

/// What it was.
pub(super) enum Happened<C: Carrier> {
    /// The peer opened a stream; `bytes` is what came first, kind byte included.
    Opened {
        send: Option<C::Send>,
        recv: C::Recv,
        bytes: Bytes,
    },
    /// The peer opened a stream and ended it before saying what it is for.
    OpenedEmpty,
    /// Streams of this direction can no longer be accepted: the connection is gone.
    NoMoreStreams,
    /// The peer opened a stream of this direction.
    Accepted(Accepted<C>),
    /// Bytes came, or the stream ended (`None`).
    Read {
        reader: Box<Reader<C>>,
        chunks: Option<usize>,
    },
    /// A blocked stream got on; its receiving half is there if it had to be opened first.
    Flushed {
        stream: Stream,
        recv: Option<C::Recv>,
    },
    /// The peer has all that was sent on a stream, or never will.
    Delivered { stream: Stream },
    /// The path may have changed.
    Path,
    /// It no longer will.
    NoMorePaths,
    /// The connection is gone.
    Closed(C::CloseReason),
}

/// A wait of a connection's.
pub(super) enum LinkWait<C: Carrier> {
    Accept(C::Accepting),
    First(Box<FirstBytes<C>>),
    Read(Box<Reader<C>>),
    Flush(Stream, Outgoing<C>),
    Delivered(Stream, Delivered<C>),
    Path(C::PathChange),
    Closed(C::Closed),
    /// It brought what it waited for.
    Over,
}

enum Wait<C: Carrier, F> {
    Link(ConnId, LinkWait<C>),
    Owner(F),
}

impl<C: Carrier, F: Future + Unpin> PendingEvents<C, F> {
    /// Nothing yet.
    #[expect(
        clippy::new_without_default,
        reason = "a driver says what it begins with"
    )]
    pub fn new() -> PendingEvents<C, F> {
        PendingEvents(FuturesUnordered::new())
    }

    /// The next thing that happens. Loses nothing when dropped before.
    pub async fn next(&mut self) -> Event<C, F::Output> {
        match self.0.next().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Waits for something of the owner's, too.
    pub fn owner(&mut self, wait: F) {
        self.0.push(Wait::Owner(wait));
    }

    pub(super) fn link(&mut self, id: ConnId, wait: LinkWait<C>) {
        self.0.push(Wait::Link(id, wait));
    }
}

impl<C: Carrier, F: Future + Unpin> Future for Wait<C, F> {
    type Output = Event<C, F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Wait::Owner(wait) => Pin::new(wait).poll(cx).map(Event::Owner),
            Wait::Link(id, wait) => {
                let happened = ready!(wait.poll(cx));
                Poll::Ready(Event::Connection(*id, LinkEvent(happened)))
            }
        }
    }
}

impl<C: Carrier> LinkWait<C> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Happened<C>> {
        Poll::Ready(match self {
            LinkWait::Accept(accepting) => match ready!(Pin::new(accepting).poll(cx)) {
                Some(halves) => Happened::Accepted(halves),
                None => Happened::NoMoreStreams,
            },
            LinkWait::First(first) => match ready!(first.poll(cx)) {
                Some(bytes) => match std::mem::replace(self, LinkWait::Over) {
                    LinkWait::First(first) => Happened::Opened {
                        send: first.send,
                        recv: first.recv,
                        bytes,
                    },
                    _ => return Poll::Pending,
                },
                None => Happened::OpenedEmpty,
            },
            LinkWait::Read(reader) => {
                let chunks = ready!(reader.poll(cx));
                match std::mem::replace(self, LinkWait::Over) {
                    LinkWait::Read(reader) => Happened::Read { reader, chunks },
                    _ => return Poll::Pending,
                }
            }
            LinkWait::Flush(stream, outgoing) => Happened::Flushed {
                stream: *stream,
                recv: ready!(outgoing.poll_flushed(cx)),
            },
            LinkWait::Delivered(stream, delivered) => {
                ready!(Pin::new(delivered).poll(cx));
                Happened::Delivered { stream: *stream }
            }
            LinkWait::Path(change) => match ready!(Pin::new(change).poll(cx)) {
                true => Happened::Path,
                false => Happened::NoMorePaths,
            },
            LinkWait::Closed(closed) => Happened::Closed(ready!(Pin::new(closed).poll(cx))),
            LinkWait::Over => return Poll::Pending,
        })
    }
}

/// A stream of the peer's that has not said yet what it is for.
pub(super) struct FirstBytes<C: Carrier> {
    pub(super) send: Option<C::Send>,
    pub(super) recv: C::Recv,
}

impl<C: Carrier> FirstBytes<C> {
    /// What it says first; `None` when it ended before.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut first = [Bytes::new()];
        loop {
            match ready!(self.recv.poll_read(cx, &mut first)) {
                Some(1..) if first[0].has_remaining() => {
                    return Poll::Ready(Some(std::mem::take(&mut first[0])));
                }
                Some(_) => {}
                None => return Poll::Ready(None),
            }
        }
    }
}

/// One stream's receiving half.
pub(super) struct Reader<C: Carrier> {
    pub(super) stream: Stream,
    recv: C::Recv,
    cancel: Arc<CancelRead>,
    chunks: [Bytes; CHUNKS_PER_TURN],
}

impl<C: Carrier> Reader<C> {
    pub(super) fn new(stream: Stream, recv: C::Recv) -> Reader<C> {
        Reader {
            stream,
            recv,
            cancel: Arc::default(),
            chunks: std::array::from_fn(|_| Bytes::new()),
        }
    }

    /// What makes this reader end from outside.
    pub(super) fn cancel(&self) -> Arc<CancelRead> {
        self.cancel.clone()
    }

    /// Takes the `count` chunks of the last turn.
    pub(super) fn take(&mut self, count: usize) -> impl Iterator<Item = Bytes> {
        self.chunks
            .iter_mut()
            .take(count)
            .map(std::mem::take)
            .filter(|chunk| !chunk.is_empty())
    }

    /// How many chunks came; `None` when no more will: ended, reset, given up or lost.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        if self.cancel.asked(cx) {
            self.recv.stop(code::REPLACED);
            return Poll::Ready(None);
        }
        self.recv.poll_read(cx, &mut self.chunks)
    }
}

/// Ends a [`Reader`] that waits.
#[derive(Default)]
pub(super) struct CancelRead {
    asked: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl CancelRead {
    pub(super) fn ask(&self) {
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
