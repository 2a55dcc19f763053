//! What carries streams.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use bytes::Bytes;
use pillion_caps::Binding;
use pillion_proto::PathKind;

/// The halves of a stream that the peer opened: the sending one only where it goes both ways.
pub type Accepted<C> = (Option<<C as Carrier>::Send>, <C as Carrier>::Recv);

/// The halves of a stream that was opened here: the receiving one only where it goes both ways.
pub type Opened<C> = (<C as Carrier>::Send, Option<<C as Carrier>::Recv>);

/// One connection that carries streams. Clones are the same connection.
///
/// The futures may be dropped before they are ready and lose nothing by it.
pub trait Carrier: Clone {
    /// A stream's sending half.
    type Send: SendHalf;
    /// A stream's receiving half.
    type Recv: RecvHalf;
    /// Opens a stream; `None` when the connection is gone.
    type Opening: Future<Output = Option<Opened<Self>>> + Unpin;
    /// Waits for the peer's next stream; `None` when the connection is gone.
    type Accepting: Future<Output = Option<Accepted<Self>>> + Unpin;
    /// Waits for the connection's end.
    type Closed: Future<Output = Self::CloseReason> + Unpin;
    /// Waits for a change of the path; false when there will be no more of them.
    type PathChange: Future<Output = bool> + Unpin;
    /// Why a connection ended.
    type CloseReason;

    /// Whether its handshake is complete. One whose handshake is under way may carry early data, which
    /// anybody may replay.
    fn is_established(&self) -> bool;

    /// What proofs on this connection are bound to. `None` before its handshake is complete, or when it is gone
    /// already.
    fn binding(&self) -> Option<Binding>;

    /// Opens a stream, as soon as the peer allows it.
    fn open(&self, both_ways: bool) -> Self::Opening;

    /// The peer's next stream of this direction.
    fn accept(&self, both_ways: bool) -> Self::Accepting;

    /// Lets the peer have so many bytes on their way.
    fn set_receive_window(&self, bytes: u32);

    /// How an established connection travels, with its round trip in microseconds.
    fn path(&self) -> Option<(PathKind, u32)>;

    /// The next change of that, for an established connection. From the call on none is missed.
    fn path_changed(&self) -> Option<Self::PathChange>;

    /// The end of an established connection. Must not keep the connection open.
    fn closed(&self) -> Option<Self::Closed>;

    /// Closes it; what is not delivered yet may be lost.
    fn close(&self, code: u32, reason: &[u8]);
}

/// A stream takes no more bytes: stopped by the peer, or lost with its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLost;

/// A stream's sending half.
pub trait SendHalf {
    /// Waits until the peer has all that was sent, or never will have.
    type Delivered: Future<Output = ()> + Unpin;

    /// What goes first among the streams of a connection: the higher.
    fn set_priority(&mut self, priority: i32);

    /// Takes from the front of `queue`, which is not empty, what can be sent now: how many bytes that is,
    /// at least one.
    ///
    /// # Errors
    /// Nothing more can be sent.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut VecDeque<Bytes>,
    ) -> Poll<Result<usize, StreamLost>>;

    /// Ends the stream behind what was sent.
    ///
    /// # Errors
    /// It has ended already.
    fn finish(&mut self) -> Result<(), StreamLost>;

    /// Gives the stream up, and tells the peer why.
    fn reset(&mut self, code: u32);

    /// The delivery of what was sent, once the stream was ended.
    fn delivered(&self) -> Self::Delivered;
}

/// A stream's receiving half.
pub trait RecvHalf {
    /// Puts the next bytes into `chunks`, from the first on: how many of them were filled. `None` when no
    /// more will come.
    fn poll_read(&mut self, cx: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Option<usize>>;

    /// Wants no more of it, and tells the peer why.
    fn stop(&mut self, code: u32);
}
