//! A connection in memory. It is not `Send`, as what carries streams in a browser is not.
#![allow(missing_docs)]

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use pillion_caps::Binding;
use pillion_net::core::{Accepted, Carrier, Opened, RecvHalf, SendHalf, StreamLost};
use pillion_proto::PathKind;

type Local<T> = Pin<Box<dyn Future<Output = T>>>;

/// One end of the connection.
#[derive(Clone)]
pub struct Pipe {
    wire: Rc<RefCell<Wire>>,
    end: usize,
}

struct Wire {
    /// Streams that the other end has not accepted yet: of each end, both ways and one way.
    opened: [[VecDeque<Accepted<Pipe>>; 2]; 2],
    streams: Vec<Rc<RefCell<Half>>>,
    /// Streams that may still be opened.
    allowed: usize,
    /// Bytes of one stream that nobody has read yet.
    hold: usize,
    established: bool,
    closed: Option<(u32, String)>,
    path: (PathKind, u32),
    /// Changes of the path so far.
    changes: usize,
    waiting: Vec<Waker>,
}

impl Wire {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// One direction of a stream.
#[derive(Default)]
struct Half {
    bytes: VecDeque<u8>,
    hold: usize,
    ended: bool,
    /// Reset, stopped, or lost with the connection.
    lost: bool,
    waiting: Vec<Waker>,
}

impl Half {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}

pub struct Sends(Rc<RefCell<Half>>);
pub struct Receives(Rc<RefCell<Half>>);

impl Pipe {
    /// The two ends of a connection that stands: the host's, and the viewer's.
    pub fn pair() -> (Pipe, Pipe) {
        let wire = Rc::new(RefCell::new(Wire {
            opened: Default::default(),
            streams: Vec::new(),
            allowed: usize::MAX,
            hold: usize::MAX,
            established: true,
            closed: None,
            path: (PathKind::Direct, 1000),
            changes: 0,
            waiting: Vec::new(),
        }));
        let end = |end| Pipe {
            wire: wire.clone(),
            end,
        };
        (end(0), end(1))
    }

    /// This many more streams may be opened.
    pub fn allow_streams(&self, count: usize) {
        let mut wire = self.wire.borrow_mut();
        wire.allowed = count;
        wire.wake();
    }

    /// A stream opened from now on takes no more than so many bytes that are not read.
    pub fn hold(&self, bytes: usize) {
        self.wire.borrow_mut().hold = bytes;
    }

    pub fn set_path(&self, kind: PathKind, rtt_us: u32, changes: bool) {
        let mut wire = self.wire.borrow_mut();
        wire.path = (kind, rtt_us);
        wire.changes += usize::from(changes);
        wire.wake();
    }

    /// The handshake is under way.
    pub fn begin_early(&self) {
        self.wire.borrow_mut().established = false;
    }

    pub fn establish(&self) {
        self.wire.borrow_mut().established = true;
    }

    pub fn closed_with(&self) -> Option<(u32, String)> {
        self.wire.borrow().closed.clone()
    }

    /// A future that looks at the wire again whenever something changed on it.
    fn when<T: 'static>(&self, mut look: impl FnMut(&mut Wire) -> Poll<T> + 'static) -> Local<T> {
        let wire = self.wire.clone();
        Box::pin(poll_fn(move |cx| {
            let mut wire = wire.borrow_mut();
            let looked = look(&mut wire);
            if looked.is_pending() {
                wire.waiting.push(cx.waker().clone());
            }
            looked
        }))
    }
}

impl Carrier for Pipe {
    type Send = Sends;
    type Recv = Receives;
    type Opening = Local<Option<Opened<Pipe>>>;
    type Accepting = Local<Option<Accepted<Pipe>>>;
    type Closed = Local<String>;
    type PathChange = Local<bool>;
    type CloseReason = String;

    fn is_established(&self) -> bool {
        self.wire.borrow().established
    }

    fn binding(&self) -> Option<Binding> {
        self.is_established()
            .then_some(Binding::tls_exporter([8; 32]))
    }

    fn open(&self, both_ways: bool) -> Local<Option<Opened<Pipe>>> {
        let other = 1 - self.end;
        self.when(move |wire| {
            if wire.closed.is_some() {
                return Poll::Ready(None);
            }
            if wire.allowed == 0 {
                return Poll::Pending;
            }
            wire.allowed -= 1;
            let mut half = || {
                let half = Rc::new(RefCell::new(Half {
                    hold: wire.hold,
                    ..Half::default()
                }));
                wire.streams.push(half.clone());
                half
            };
            let (there, back) = (half(), both_ways.then(&mut half));
            let accepted = (back.clone().map(Sends), Receives(there.clone()));
            wire.opened[other][usize::from(both_ways)].push_back(accepted);
            wire.wake();
            Poll::Ready(Some((Sends(there), back.map(Receives))))
        })
    }

    fn accept(&self, both_ways: bool) -> Local<Option<Accepted<Pipe>>> {
        let end = self.end;
        self.when(
            move |wire| match wire.opened[end][usize::from(both_ways)].pop_front() {
                Some(accepted) => Poll::Ready(Some(accepted)),
                None if wire.closed.is_some() => Poll::Ready(None),
                None => Poll::Pending,
            },
        )
    }

    fn set_receive_window(&self, _: u32) {}

    fn path(&self) -> Option<(PathKind, u32)> {
        Some(self.wire.borrow().path)
    }

    fn path_changed(&self) -> Option<Local<bool>> {
        let seen = self.wire.borrow().changes;
        Some(self.when(move |wire| match wire.closed {
            Some(_) => Poll::Ready(false),
            None if wire.changes > seen => Poll::Ready(true),
            None => Poll::Pending,
        }))
    }

    fn closed(&self) -> Option<Local<String>> {
        self.is_established().then(|| {
            self.when(|wire| match &wire.closed {
                Some((_, reason)) => Poll::Ready(reason.clone()),
                None => Poll::Pending,
            })
        })
    }

    fn close(&self, code: u32, reason: &[u8]) {
        let mut wire = self.wire.borrow_mut();
        if wire.closed.is_some() {
            return;
        }
        wire.closed = Some((code, String::from_utf8_lossy(reason).into_owned()));
        for half in &wire.streams {
            let mut half = half.borrow_mut();
            half.lost = true;
            half.wake();
        }
        wire.wake();
    }
}

impl SendHalf for Sends {
    type Delivered = Local<()>;

    fn set_priority(&mut self, _: i32) {}

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut VecDeque<Bytes>,
    ) -> Poll<Result<usize, StreamLost>> {
        let mut half = self.0.borrow_mut();
        if half.lost {
            return Poll::Ready(Err(StreamLost));
        }
        let mut taken = 0;
        while let Some(piece) = queue.front_mut() {
            let room = half.hold - half.bytes.len();
            let count = room.min(piece.len());
            half.bytes.extend(&piece[..count]);
            piece.advance(count);
            taken += count;
            if piece.has_remaining() {
                break;
            }
            queue.pop_front();
        }
        match taken {
            0 => half.wait(cx),
            taken => {
                half.wake();
                Poll::Ready(Ok(taken))
            }
        }
    }

    fn finish(&mut self) -> Result<(), StreamLost> {
        let mut half = self.0.borrow_mut();
        half.ended = true;
        half.wake();
        Ok(())
    }

    fn reset(&mut self, _: u32) {
        let mut half = self.0.borrow_mut();
        half.lost = true;
        half.wake();
    }

    fn delivered(&self) -> Local<()> {
        let half = self.0.clone();
        Box::pin(poll_fn(move |cx| {
            let mut half = half.borrow_mut();
            match half.lost || half.bytes.is_empty() {
                true => Poll::Ready(()),
                false => half.wait(cx),
            }
        }))
    }
}

impl RecvHalf for Receives {
    fn poll_read(&mut self, cx: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Option<usize>> {
        let mut half = self.0.borrow_mut();
        if half.bytes.is_empty() {
            return match half.ended || half.lost {
                true => Poll::Ready(None),
                false => half.wait(cx),
            };
        }
        let bytes: Vec<u8> = half.bytes.drain(..).collect();
        half.wake();
        chunks[0] = bytes.into();
        Poll::Ready(Some(1))
    }

    fn stop(&mut self, _: u32) {
        let mut half = self.0.borrow_mut();
        half.lost = true;
        half.wake();
    }
}
