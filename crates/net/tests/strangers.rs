//! Connections that say nothing: how many a host holds, and that a viewer still gets in.
#![allow(missing_docs)]

mod common;

use std::time::Duration;

use common::{LONG, connect, host, soon, stranger, to_host, to_viewer, viewer_of, viewer_reads};
use iroh::endpoint::{Connection, QuicTransportConfig};
use pillion_net::{HostNet, limits};
use pillion_proto::ALPN;
use pillion_session::{HostInput, HostOutput, Network, Stream};

/// What one address may have of them.
const SHARE: usize = limits::MAX_STRANGERS / limits::STRANGER_PART as usize;

/// Lets the host do what it does until `until` is ready.
async fn meanwhile<T>(host: &mut HostNet, until: impl Future<Output = T>) -> T {
    tokio::select! {
        done = soon("what goes on meanwhile", until) => done,
        () = async { loop { host.next_input().await; } } => unreachable!(),
    }
}

/// Connections of one peer that say nothing, as many as it can have.
async fn crowd(host: &mut HostNet, count: usize) -> Vec<Connection> {
    let crowd = stranger(QuicTransportConfig::default()).await;
    let addr = host.addr();
    let dials = async {
        let mut had = Vec::new();
        for _ in 0..count {
            // Some are refused.
            if let Ok(connection) = crowd.connect(addr.clone(), ALPN).await {
                had.push(connection);
            }
        }
        had
    };
    let had = tokio::time::timeout(6 * LONG, async {
        tokio::select! {
            had = dials => had,
            () = async { loop { host.next_input().await; } } => unreachable!(),
        }
    });
    had.await.expect("the crowd comes in time")
}

#[tokio::test]
async fn many_silent_connections_of_one_peer_are_bounded_and_a_viewer_gets_in() {
    let mut host = host().await;
    let connections = crowd(&mut host, 3 * SHARE).await;
    assert!(host.strangers() <= SHARE, "{}", host.strangers());
    assert!(host.connections() <= SHARE, "{}", host.connections());
    // All of them are a second old before long, and then one gives way to a viewer, though it comes from the
    // same address.
    let mut viewer = viewer_of(&host);
    let conn = soon("a place for the viewer", async {
        loop {
            let oldest = connections
                .iter()
                .filter(|one| one.close_reason().is_none())
                .count();
            assert!(oldest <= SHARE);
            viewer.apply(pillion_session::ViewerOutput::Connect);
            let found = tokio::select! {
                found = common::viewer_hears(&mut viewer, "an answer", |input| match input {
                    pillion_session::ViewerInput::Connected(_) => Some(true),
                    pillion_session::ViewerInput::Disconnected { .. } => Some(false),
                    _ => None,
                }) => found,
                () = async { loop { host.next_input().await; } } => unreachable!(),
            };
            if found {
                break;
            }
        }
    });
    conn.await;
    assert!(host.strangers() <= SHARE, "{}", host.strangers());
}

#[tokio::test]
async fn who_is_accepted_counts_no_longer_and_may_send_as_much_as_a_viewer() {
    let mut host = host().await;
    let mut viewer = viewer_of(&host);
    let conn = connect(&mut host, &mut viewer).await;
    assert_eq!(host.strangers(), 1);
    host.apply(HostOutput::Accepted { conn });
    assert_eq!((host.strangers(), host.connections()), (0, 1));
    // It is there after a crowd came as well.
    let _silent = crowd(&mut host, SHARE + 20).await;
    let sent = vec![7; limits::STRANGER_RECEIVE_WINDOW as usize * 2];
    viewer.apply(to_host(Stream::Control, sent.clone()));
    let received = async {
        let mut count = 0;
        while count < sent.len() {
            if let HostInput::Received {
                conn: from, bytes, ..
            } = host.next_input().await
                && from == conn
            {
                count += bytes.len();
            }
        }
    };
    tokio::select! {
        () = soon("all of it", received) => {}
        () = async { loop { viewer.next_input().await; } } => unreachable!(),
    }
    host.apply(to_viewer(conn, Stream::Control, "hello"));
    let read = meanwhile(&mut host, viewer_reads(&mut viewer, Stream::Control, 5));
    assert_eq!(read.await, b"hello");
}

#[tokio::test]
async fn a_stranger_that_leaves_makes_room_and_is_said_to_come_from_its_address() {
    let mut host = host().await;
    let mut viewer = viewer_of(&host);
    viewer.apply(pillion_session::ViewerOutput::Connect);
    let came = async {
        loop {
            if let HostInput::Connected { from, .. } = host.next_input().await {
                return from;
            }
        }
    };
    let from = tokio::select! {
        from = soon("a connection", came) => from,
        () = async { loop { viewer.next_input().await; } } => unreachable!(),
    };
    assert_eq!(from, Network::of("127.0.0.1".parse().unwrap()));
    meanwhile(&mut host, viewer.close()).await;
    soon("its end", async {
        while host.strangers() > 0 {
            let _ = tokio::time::timeout(Duration::from_millis(20), host.next_input()).await;
        }
    })
    .await;
    assert_eq!(host.connections(), 0);
}

#[tokio::test]
async fn one_address_begins_so_many_connections_and_who_comes_from_another_gets_in() {
    let mut host = host().await;
    let (addr, began) = (host.addr(), std::time::Instant::now());
    let crowd = stranger(QuicTransportConfig::default()).await;
    // They leave at once: strangers they are no longer, but the transport remembers their endpoints.
    let comes_and_goes = async {
        let (mut stood, mut refused) = (0, 0);
        while refused < 20 {
            match crowd.connect(addr.clone(), ALPN).await {
                Ok(connection) => {
                    connection.close(0u32.into(), b"");
                    stood += 1;
                }
                Err(_) => refused += 1,
            }
        }
        stood
    };
    let stood = tokio::time::timeout(6 * LONG, async {
        tokio::select! {
            stood = comes_and_goes => stood,
            () = async { loop { host.next_input().await; } } => unreachable!(),
        }
    });
    let stood: u64 = stood.await.expect("they are refused before long");
    let share = limits::ARRIVALS_BURST / limits::ARRIVALS_PART;
    let later = limits::ARRIVALS_PER_SECOND / limits::ARRIVALS_PART;
    let most = share + later * (began.elapsed().as_secs() + 1);
    assert!((share..=most).contains(&stood), "{stood} of {share}");
    let options = pillion_net::NetOptions {
        bind: vec!["127.0.0.2:0".parse().unwrap()],
        ..Default::default()
    };
    let mut viewer = pillion_net::ViewerNet::new(pillion_net::RelayChoice::None, options);
    viewer.set_host(addr);
    connect(&mut host, &mut viewer).await;
}
