//! One stream's sending half.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use iroh::endpoint::{ConnectionError, RecvStream, SendStream, VarInt};

use crate::core::code;

/// A stream being opened: the sending half, and the receiving one of a stream that goes both ways.
pub(crate) type Opening =
    Pin<Box<dyn Future<Output = Result<(SendStream, Option<RecvStream>), ConnectionError>> + Send>>;

/// One stream's sending half, shared between who sends and the future that goes on where a write
/// had to stop.
#[derive(Clone)]
pub(crate) struct Outgoing(Arc<Mutex<State>>);

struct State {
    stage: Stage,
    /// Bytes QUIC would not take yet, in order.
    queue: VecDeque<Bytes>,
    queued: usize,
    priority: i32,
    /// End the stream behind the queue.
    finishing: bool,
    /// A [`Outgoing::flush`] is under way.
    flushing: bool,
    /// Anybody who waits for this stream to get on; QUIC wakes only the last of them.
    waiting: Vec<Waker>,
    /// The receiving half, until somebody reads from it.
    recv: Option<RecvStream>,
}

enum Stage {
    Opening(Opening),
    Open(SendStream),
    /// Ended; kept so that delivery can be waited for.
    Finished(SendStream),
    /// Reset, refused or lost: whatever is still sent goes nowhere.
    Over,
}

/// What became of bytes given to [`Outgoing::send`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// QUIC has them (or nobody will ever want them).
    Taken,
    /// They wait for [`Outgoing::flush`], which is under way.
    Waiting,
    /// They wait, and the caller must drive [`Outgoing::flush`].
    MustFlush,
}

impl Outgoing {
    /// A stream that is open.
    pub(crate) fn open(stream: SendStream, priority: i32) -> Outgoing {
        // Fails only on a stream that is closed already, where it does not matter.
        let _ = stream.set_priority(priority);
        Outgoing::new(Stage::Open(stream), priority)
    }

    /// A stream the peer does not allow yet.
    pub(crate) fn opening(opening: Opening, priority: i32) -> Outgoing {
        Outgoing::new(Stage::Opening(opening), priority)
    }

    fn new(stage: Stage, priority: i32) -> Outgoing {
        Outgoing(Arc::new(Mutex::new(State {
            stage,
            queue: VecDeque::new(),
            queued: 0,
            priority,
            finishing: false,
            flushing: false,
            waiting: Vec::new(),
            recv: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where a panic could come from.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands `pieces` to QUIC, or queues what it does not take.
    pub(crate) fn send<const N: usize>(&self, pieces: [Bytes; N]) -> Sent {
        let mut state = self.lock();
        if !matches!(state.stage, Stage::Open(_) | Stage::Opening(_)) || state.finishing {
            return Sent::Taken;
        }
        for piece in pieces {
            state.queued += piece.len();
            state.queue.push_back(piece);
        }
        state.go_on()
    }

    /// Ends the stream behind what was sent.
    pub(crate) fn finish(&self) -> Sent {
        let mut state = self.lock();
        state.finishing = true;
        state.go_on()
    }

    /// Drops what is unsent and tells the peer.
    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        if let Stage::Open(stream) | Stage::Finished(stream) = &mut state.stage {
            let _ = stream.reset(VarInt::from_u32(code::REPLACED));
        }
        state.over();
    }

    /// Bytes that wait here.
    pub(crate) fn queued(&self) -> usize {
        self.lock().queued
    }

    /// Goes on sending until the queue is empty and, if asked for, the stream is ended. Gives the
    /// receiving half as soon as the stream is open.
    pub(crate) async fn flush(&self) -> Option<RecvStream> {
        poll_fn(|cx| {
            let mut state = self.lock();
            state.wait(cx);
            let done = state.poll_flush(cx);
            if done.is_pending() && state.recv.is_none() {
                return Poll::Pending;
            }
            state.flushing = false;
            state.wake();
            Poll::Ready(state.recv.take())
        })
        .await
    }

    /// Whether somebody must drive [`flush`](Self::flush) (again); from now on the caller does.
    pub(crate) fn wants_flush(&self) -> bool {
        let mut state = self.lock();
        let wants = !state.flushing
            && matches!(state.stage, Stage::Open(_) | Stage::Opening(_))
            && (state.queued > 0 || state.finishing);
        state.flushing |= wants;
        wants
    }

    /// Ends the stream and waits until the peer has everything, or never will.
    pub(crate) async fn delivered(&self) {
        let (mut stopped, mut ended) = (None, false);
        poll_fn(|cx| {
            let mut state = self.lock();
            state.wait(cx);
            state.finishing = true;
            ready!(state.poll_flush(cx));
            // Once, and not ourselves: who waits for the peer's word wakes nobody, or a peer that is silent would
            // keep us busy.
            if !std::mem::replace(&mut ended, true) {
                state.wake_others(cx);
            }
            let Stage::Finished(stream) = &state.stage else {
                return Poll::Ready(());
            };
            stopped
                .get_or_insert_with(|| Box::pin(stream.stopped()))
                .as_mut()
                .poll(cx)
                .map(drop)
        })
        .await
    }
}

impl State {
    /// Sends what goes without waiting.
    fn go_on(&mut self) -> Sent {
        if self.flushing {
            return Sent::Waiting;
        }
        match self.poll_flush(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(()) => Sent::Taken,
            Poll::Pending => {
                self.flushing = true;
                Sent::MustFlush
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok((stream, recv)) => {
                        let _ = stream.set_priority(self.priority);
                        self.stage = Stage::Open(stream);
                        self.recv = recv;
                    }
                    Err(_) => self.over(),
                },
                Stage::Open(stream) if !self.queue.is_empty() => {
                    let waiting = self.queue.make_contiguous();
                    let before = waiting.len();
                    let mut left = waiting;
                    let written = ready!(pin!(stream.write_many_chunks(&mut left)).poll(cx));
                    let taken = before - left.len();
                    match written {
                        Ok(bytes) => {
                            self.queue.drain(..taken);
                            self.queued -= bytes;
                        }
                        // The peer stopped it, or the connection is gone and says so itself.
                        Err(_) => self.over(),
                    }
                }
                Stage::Open(_) if self.finishing => {
                    let Stage::Open(mut stream) = std::mem::replace(&mut self.stage, Stage::Over)
                    else {
                        return Poll::Ready(());
                    };
                    if stream.finish().is_ok() {
                        self.stage = Stage::Finished(stream);
                    }
                }
                Stage::Open(_) | Stage::Finished(_) | Stage::Over => return Poll::Ready(()),
            }
        }
    }

    fn over(&mut self) {
        self.stage = Stage::Over;
        self.queue.clear();
        self.queued = 0;
        self.wake();
    }

    fn wait(&mut self, cx: &Context<'_>) {
        if !self
            .waiting
            .iter()
            .any(|waiting| waiting.will_wake(cx.waker()))
        {
            self.waiting.push(cx.waker().clone());
        }
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    fn wake_others(&mut self, cx: &Context<'_>) {
        let others = self
            .waiting
            .extract_if(.., |waiting| !waiting.will_wake(cx.waker()));
        others.for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use pillion_proto::ALPN;

    use super::*;
    use crate::{
        core::connection::Role,
        endpoint::{self, NetOptions},
        relay::RelayChoice,
    };

    async fn bound(role: Role, seed: u8) -> iroh::Endpoint {
        let options = NetOptions {
            bind: vec!["127.0.0.1:0".parse().unwrap()],
            ..NetOptions::default()
        };
        let key = iroh::SecretKey::from_bytes(&[seed; 32]);
        endpoint::bind(role, key, &RelayChoice::None, &options)
            .await
            .unwrap()
    }

    /// A peer that is connected, and then stops: nothing is acknowledged any more.
    fn stopping_peer() -> (iroh::EndpointAddr, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (told, addr) = mpsc::channel();
        let (stops, stopping) = mpsc::channel();
        let (test, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let peer = bound(Role::Host, 1).await;
                let addr = iroh::EndpointAddr::new(peer.id());
                told.send(addr.with_ip_addr(peer.bound_sockets()[0]))
                    .unwrap();
                let connection = peer.accept().await.unwrap().await.unwrap();
                let (_send, mut recv) = connection.accept_bi().await.unwrap();
                recv.read_exact(&mut [0; 5]).await.unwrap();
                stops.send(()).unwrap();
                // Its only thread does nothing until the test ends.
                let _ = ended.recv();
            });
        });
        (addr.recv().unwrap(), stopping, test)
    }

    #[tokio::test]
    async fn waiting_for_a_silent_peer_takes_no_time() {
        let (addr, stopping, _test) = stopping_peer();
        let own = bound(Role::Viewer, 2).await;
        let connection = own.connect(addr, ALPN).await.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(b"hello").await.unwrap();
        let stopped = tokio::task::spawn_blocking(move || stopping.recv());
        stopped.await.unwrap().unwrap();
        let stream = Outgoing::open(connection.open_uni().await.unwrap(), 0);
        stream.send([Bytes::from_static(b"is anybody there?")]);
        let counted = || {
            let stream = stream.clone();
            async move {
                let mut count = 0;
                let mut delivered = pin!(stream.delivered());
                let waits = poll_fn(|cx| {
                    count += 1;
                    delivered.as_mut().poll(cx)
                });
                let _ = tokio::time::timeout(Duration::from_millis(300), waits).await;
                count
            }
        };
        let (one, other) = tokio::join!(counted(), counted());
        assert!(one < 10 && other < 10, "polled {one} and {other} times");
    }
}
