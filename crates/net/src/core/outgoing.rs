//! One stream's sending half.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;

use super::{Carrier, SendHalf, code};

/// One stream's sending half, shared between who sends and the future that goes on where a write
/// had to stop.
pub(crate) struct Outgoing<C: Carrier>(Arc<Mutex<State<C>>>);

impl<C: Carrier> Clone for Outgoing<C> {
    fn clone(&self) -> Outgoing<C> {
        Outgoing(self.0.clone())
    }
}

struct State<C: Carrier> {
    stage: Stage<C>,
    /// Bytes the carrier would not take yet, in order.
    queue: VecDeque<Bytes>,
    queued: usize,
    priority: i32,
    /// End the stream behind the queue.
    finishing: bool,
    /// Somebody drives [`Outgoing::poll_flushed`].
    flushing: bool,
    /// Anybody who waits for this stream to get on; a carrier wakes only the last of them.
    waiting: Vec<Waker>,
    /// The receiving half, until somebody reads from it.
    recv: Option<C::Recv>,
}

enum Stage<C: Carrier> {
    Opening(C::Opening),
    Open(C::Send),
    /// Ended; kept so that delivery can be waited for.
    Finished(C::Send),
    /// Reset, refused or lost: whatever is still sent goes nowhere.
    Over,
}

/// What became of bytes given to [`Outgoing::send`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The carrier has them (or nobody will ever want them).
    Taken,
    /// They wait for [`Outgoing::poll_flushed`], which somebody drives.
    Waiting,
    /// They wait, and the caller must drive [`Outgoing::poll_flushed`].
    MustFlush,
}

impl<C: Carrier> Outgoing<C> {
    /// A stream that is open.
    pub(crate) fn open(mut stream: C::Send, priority: i32) -> Outgoing<C> {
        stream.set_priority(priority);
        Outgoing::new(Stage::Open(stream), priority)
    }

    /// A stream the peer does not allow yet.
    pub(super) fn opening(opening: C::Opening, priority: i32) -> Outgoing<C> {
        Outgoing::new(Stage::Opening(opening), priority)
    }

    fn new(stage: Stage<C>, priority: i32) -> Outgoing<C> {
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

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        // Nothing is left half done where a panic could come from.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands `pieces` to the carrier, or queues what it does not take.
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
    pub(super) fn finish(&self) -> Sent {
        let mut state = self.lock();
        state.finishing = true;
        state.go_on()
    }

    /// Drops what is unsent and tells the peer.
    pub(super) fn reset(&self) {
        let mut state = self.lock();
        if let Stage::Open(stream) | Stage::Finished(stream) = &mut state.stage {
            stream.reset(code::REPLACED);
        }
        state.over();
    }

    /// Bytes that wait here.
    pub(super) fn queued(&self) -> usize {
        self.lock().queued
    }

    /// Goes on sending until the queue is empty and, if asked for, the stream is ended. Gives the
    /// receiving half as soon as the stream is open.
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Option<C::Recv>> {
        let mut state = self.lock();
        state.wait(cx);
        let done = state.poll_flush(cx);
        if done.is_pending() && state.recv.is_none() {
            return Poll::Pending;
        }
        state.flushing = false;
        state.wake();
        Poll::Ready(state.recv.take())
    }

    /// Whether somebody must drive [`poll_flushed`](Self::poll_flushed) (again); from now on the caller does.
    pub(super) fn wants_flush(&self) -> bool {
        let mut state = self.lock();
        let wants = !state.flushing
            && matches!(state.stage, Stage::Open(_) | Stage::Opening(_))
            && (state.queued > 0 || state.finishing);
        state.flushing |= wants;
        wants
    }

    /// Ends the stream and waits until the peer has everything, or never will.
    pub(crate) fn delivered(&self) -> Delivered<C> {
        Delivered {
            outgoing: self.clone(),
            confirmed: None,
            ended: false,
        }
    }
}

/// Ends a stream, and waits until the peer has all that was sent on it or never will.
pub(crate) struct Delivered<C: Carrier> {
    outgoing: Outgoing<C>,
    confirmed: Option<<C::Send as SendHalf>::Delivered>,
    ended: bool,
}

impl<C: Carrier> Future for Delivered<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Delivered {
            outgoing,
            confirmed,
            ended,
        } = self.get_mut();
        let mut state = outgoing.lock();
        state.wait(cx);
        state.finishing = true;
        ready!(state.poll_flush(cx));
        // Once, and not ourselves: who waits for the peer's word wakes nobody, or a peer that is silent would
        // keep us busy.
        if !std::mem::replace(ended, true) {
            state.wake_others(cx);
        }
        let Stage::Finished(stream) = &state.stage else {
            return Poll::Ready(());
        };
        Pin::new(confirmed.get_or_insert_with(|| stream.delivered())).poll(cx)
    }
}

impl<C: Carrier> State<C> {
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
                Stage::Opening(opening) => match ready!(Pin::new(opening).poll(cx)) {
                    Some((mut stream, recv)) => {
                        stream.set_priority(self.priority);
                        self.stage = Stage::Open(stream);
                        self.recv = recv;
                    }
                    None => self.over(),
                },
                Stage::Open(stream) if !self.queue.is_empty() => {
                    match ready!(stream.poll_write(cx, &mut self.queue)) {
                        Ok(bytes) => self.queued -= bytes,
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
