//! iroh's QUIC connections as carriers.

use std::{
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::StreamExt;
#[cfg(feature = "host")]
use iroh::endpoint::IncomingZeroRttConnection;
#[cfg(feature = "viewer")]
use iroh::endpoint::OutgoingZeroRttConnection;
use iroh::endpoint::{
    Connection, ConnectionError, ConnectionState, RecvStream, SendStream, VarInt,
};
use pillion_caps::Binding;
use pillion_proto::PathKind;

use crate::core::{Accepted, Carrier, Opened, RecvHalf, SendHalf, StreamLost};

/// What the connection's keying material is exported under (RFC 5705, RFC 8446 7.5): proofs of
/// possession sign it, so that they hold on this connection alone.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-pillion-v1";

/// A future of the transport's; drivers may be moved between threads.
pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A connection as far as its handshake is.
#[derive(Clone)]
pub(crate) enum QuicConnection {
    /// Complete.
    Proved(Connection),
    /// Under way, at the host: a viewer resumes an earlier connection. What it says is early data, and
    /// what is said to it only a holder of the earlier connection's secret can read.
    #[cfg(feature = "host")]
    Incoming(IncomingZeroRttConnection),
    /// Under way, at the viewer: what is sent is early data.
    #[cfg(feature = "viewer")]
    Outgoing(OutgoingZeroRttConnection),
}

/// Does the same with the connection, whatever its state.
macro_rules! whichever {
    ($quic:expr, $connection:ident => $does:expr) => {
        match $quic {
            QuicConnection::Proved($connection) => $does,
            #[cfg(feature = "host")]
            QuicConnection::Incoming($connection) => $does,
            #[cfg(feature = "viewer")]
            QuicConnection::Outgoing($connection) => $does,
        }
    };
}

impl QuicConnection {
    fn proved(&self) -> Option<&Connection> {
        match self {
            QuicConnection::Proved(connection) => Some(connection),
            #[cfg(feature = "host")]
            QuicConnection::Incoming(_) => None,
            #[cfg(feature = "viewer")]
            QuicConnection::Outgoing(_) => None,
        }
    }
}

impl Carrier for QuicConnection {
    type Send = SendStream;
    type Recv = RecvStream;
    type Opening = Boxed<Option<Opened<Self>>>;
    type Accepting = Boxed<Option<Accepted<Self>>>;
    type Closed = Boxed<ConnectionError>;
    type PathChange = Boxed<bool>;
    type CloseReason = ConnectionError;

    fn is_established(&self) -> bool {
        self.proved().is_some()
    }

    fn binding(&self) -> Option<Binding> {
        let mut out = [0; 32];
        let done = whichever!(self, connection => {
            connection.export_keying_material(&mut out, EXPORTER_LABEL, b"")
        });
        done.is_ok().then_some(Binding::tls_exporter(out))
    }

    fn open(&self, both_ways: bool) -> Boxed<Option<Opened<Self>>> {
        whichever!(self.clone(), connection => open(connection, both_ways))
    }

    fn accept(&self, both_ways: bool) -> Boxed<Option<Accepted<Self>>> {
        whichever!(self.clone(), connection => accept(connection, both_ways))
    }

    fn set_receive_window(&self, bytes: u32) {
        if let Some(connection) = self.proved() {
            connection.set_receive_window(VarInt::from_u32(bytes));
        }
    }

    /// Of the path in use; before one is chosen, of the first.
    fn path(&self) -> Option<(PathKind, u32)> {
        let paths = self.proved()?.paths();
        let path = paths
            .iter()
            .find(|path| path.is_selected())
            .or_else(|| paths.iter().next())?;
        let kind = if path.is_ip() {
            PathKind::Direct
        } else {
            PathKind::Relayed
        };
        let rtt_us = u32::try_from(path.rtt().as_micros()).unwrap_or(u32::MAX);
        Some((kind, rtt_us))
    }

    fn path_changed(&self) -> Option<Boxed<bool>> {
        let mut events = self.proved()?.path_events();
        Some(Box::pin(async move { events.next().await.is_some() }))
    }

    fn closed(&self) -> Option<Boxed<ConnectionError>> {
        // Not `connection.closed()`, which would keep the connection open as long as it is awaited.
        let closed = self.proved()?.weak_handle().closed();
        Some(Box::pin(async move {
            match closed.await {
                Some(closed) => closed.reason,
                None => ConnectionError::LocallyClosed,
            }
        }))
    }

    fn close(&self, code: u32, reason: &[u8]) {
        whichever!(self, connection => connection.close(VarInt::from_u32(code), reason));
    }
}

fn open<S>(connection: Connection<S>, both_ways: bool) -> Boxed<Option<Opened<QuicConnection>>>
where
    S: ConnectionState<Data: Send + Sync + 'static> + Send + Sync + 'static,
{
    Box::pin(async move {
        if both_ways {
            let (send, recv) = connection.open_bi().await.ok()?;
            Some((send, Some(recv)))
        } else {
            Some((connection.open_uni().await.ok()?, None))
        }
    })
}

fn accept<S>(connection: Connection<S>, both_ways: bool) -> Boxed<Option<Accepted<QuicConnection>>>
where
    S: ConnectionState<Data: Send + Sync + 'static> + Send + Sync + 'static,
{
    Box::pin(async move {
        if both_ways {
            let (send, recv) = connection.accept_bi().await.ok()?;
            Some((Some(send), recv))
        } else {
            Some((None, connection.accept_uni().await.ok()?))
        }
    })
}

impl SendHalf for SendStream {
    type Delivered = Boxed<()>;

    fn set_priority(&mut self, priority: i32) {
        // Fails only on a stream that is closed already, where it does not matter.
        let _ = SendStream::set_priority(self, priority);
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut VecDeque<Bytes>,
    ) -> Poll<Result<usize, StreamLost>> {
        let waiting = queue.make_contiguous();
        let before = waiting.len();
        let mut left = waiting;
        let written = ready!(pin!(self.write_many_chunks(&mut left)).poll(cx));
        let taken = before - left.len();
        Poll::Ready(match written {
            Ok(bytes) => {
                queue.drain(..taken);
                Ok(bytes)
            }
            Err(_) => Err(StreamLost),
        })
    }

    fn finish(&mut self) -> Result<(), StreamLost> {
        SendStream::finish(self).map_err(|_| StreamLost)
    }

    fn reset(&mut self, code: u32) {
        // Fails only where there is nothing left to give up.
        let _ = SendStream::reset(self, VarInt::from_u32(code));
    }

    fn delivered(&self) -> Boxed<()> {
        let stopped = self.stopped();
        Box::pin(async move {
            let _ = stopped.await;
        })
    }
}

impl RecvHalf for RecvStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Option<usize>> {
        let read = ready!(pin!(self.read_many_chunks(chunks)).poll(cx));
        Poll::Ready(read.unwrap_or(None))
    }

    fn stop(&mut self, code: u32) {
        // Fails only where nothing more comes anyway.
        let _ = RecvStream::stop(self, VarInt::from_u32(code));
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use std::future::poll_fn;

    use pillion_proto::ALPN;

    use super::*;
    use crate::{
        core::{Outgoing, Role},
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
        let stream: Outgoing<QuicConnection> =
            Outgoing::open(connection.open_uni().await.unwrap(), 0);
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
