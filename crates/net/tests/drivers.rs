//! The two drivers against each other and against strangers, over real QUIC on loopback. The state
//! machines are played by hand, so that what is tested is the carrying alone.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

mod common;

use std::{net::SocketAddr, sync::atomic::Ordering};

use bytes::Bytes;
use common::*;
use iroh::{
    Endpoint, EndpointAddr,
    endpoint::{ConnectionError, QuicTransportConfig, VarInt, WriteError, presets},
};
use pillion_caps::Binding;
use pillion_net::{NetOptions, RelayChoice, ViewerNet, limits};
use pillion_proto::{ALPN, PathKind, StreamKind};
use pillion_session::{HostInput, HostOutput, Stream, ViewerInput, ViewerOutput};

const INPUT: Stream = Stream::Input { epoch: 0 };
const TRACK: Stream = Stream::Track { id: 0 };

#[tokio::test]
async fn both_ends_know_each_other_and_hold_the_same_exported_key() {
    let mut host = host().await;
    let mut viewer = viewer_of(&host);
    viewer.apply(ViewerOutput::Connect);
    let (at_host, at_viewer) = tokio::join!(
        host_hears(&mut host, "a connection", |input| match input {
            HostInput::Connected { peer, binding, .. } => Some((peer, binding)),
            _ => None,
        }),
        viewer_hears(&mut viewer, "the connection", |input| match input {
            ViewerInput::Connected(connected) => Some((connected.own_endpoint, connected.binding)),
            _ => None,
        }),
    );
    assert_eq!(at_host, at_viewer);
    assert_ne!(at_host.1, Binding::tls_exporter([0; 32]));
}

#[tokio::test]
async fn every_kind_of_stream_carries_bytes_under_its_name() {
    let mut host = host().await;
    let mut viewer = viewer_of(&host);
    let conn = connect(&mut host, &mut viewer).await;

    viewer.apply(to_host(Stream::Control, "hello"));
    viewer.apply(to_host(INPUT, "key"));
    viewer.apply(to_host(Stream::Input { epoch: 1 }, "later key"));
    viewer.apply(to_host(Stream::History { id: 77 }, "lines please"));
    assert_eq!(
        host_reads(&mut host, conn, Stream::Control, 5).await,
        b"hello"
    );
    host.apply(to_viewer(conn, Stream::Control, "welcome"));
    host.apply(to_viewer(conn, Stream::Track { id: 5 }, "snapshot"));
    let mut seen = Vec::new();
    host_hears(&mut host, "the other streams", |input| {
        if let HostInput::Received { stream, bytes, .. } = input {
            seen.push((stream, bytes));
        }
        (seen.len() == 3).then_some(())
    })
    .await;
    seen.sort_by_key(|(stream, _)| *stream);
    // The host numbers what the viewer opens, from 0.
    let named = [
        (INPUT, "key"),
        (Stream::Input { epoch: 1 }, "later key"),
        (Stream::History { id: 0 }, "lines please"),
    ];
    assert_eq!(
        seen,
        named.map(|(stream, text)| (stream, Bytes::from(text)))
    );

    host.apply(to_viewer(conn, Stream::History { id: 0 }, "lines"));
    host.apply(HostOutput::Finish {
        conn,
        stream: Stream::History { id: 0 },
    });
    let mut got = Vec::new();
    let all = viewer_hears(&mut viewer, "answers", |input| {
        match input {
            ViewerInput::Received { stream, bytes } => got.push((stream, bytes)),
            ViewerInput::StreamEnded { stream } => got.push((stream, Bytes::new())),
            _ => {}
        }
        (got.len() == 4).then(|| got.clone())
    });
    let mut got = tokio::select! {
        got = all => got,
        // The host is polled for nothing but to let its own waits go on.
        () = async { loop { host.next_input().await; } } => unreachable!(),
    };
    got.sort();
    // A track's name is a handle at the viewer: what came first is 0.
    let expected = [
        (Stream::Control, "welcome"),
        (TRACK, "snapshot"),
        (Stream::History { id: 77 }, ""),
        (Stream::History { id: 77 }, "lines"),
    ];
    assert_eq!(
        got,
        expected.map(|(stream, text)| (stream, Bytes::from(text)))
    );
}

#[tokio::test]
async fn the_hello_needs_nothing_from_the_host_but_its_handshake() {
    if !has_v6() {
        return;
    }
    let mut host = host().await;
    let forwarder = Forwarder::new(host.sockets()[0]).await;
    let mut viewer = ViewerNet::new(RelayChoice::None, v6());
    viewer.set_host(forwarder.address_of(&host));
    viewer.apply(ViewerOutput::Connect);
    let viewing = async {
        viewer_connected(&mut viewer).await;
        // From here on the host can say what it likes.
        forwarder.to_viewer.store(false, Ordering::SeqCst);
        viewer.apply(to_host(Stream::Control, "hello"));
    };
    let hosting = async {
        let conn = host_connected(&mut host).await;
        host_reads(&mut host, conn, Stream::Control, 5).await
    };
    assert_eq!(tokio::join!(viewing, hosting).1, b"hello");
}

#[tokio::test]
async fn a_replaced_track_stream_ends_and_the_next_one_begins() {
    let mut host = host().await;
    let mut viewer = viewer_of(&host);
    let conn = connect(&mut host, &mut viewer).await;
    host.apply(to_viewer(conn, TRACK, "old"));
    assert_eq!(viewer_reads(&mut viewer, TRACK, 3).await, b"old");
    host.apply(HostOutput::Reset {
        conn,
        stream: TRACK,
    });
    host.apply(to_viewer(conn, Stream::Track { id: 9 }, "new"));
    let (mut ended, mut new) = (false, Vec::new());
    viewer_hears(&mut viewer, "the new epoch", |input| {
        match input {
            ViewerInput::StreamEnded { stream: TRACK } => ended = true,
            ViewerInput::Received {
                stream: Stream::Track { id: 1 },
                bytes,
            } => new.extend(bytes),
            _ => {}
        }
        (ended && new == b"new").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_the_viewer_gives_up_ends_at_both_sides() {
    let mut host = host().await;
    let mut viewer = viewer_of(&host);
    let conn = connect(&mut host, &mut viewer).await;
    host.apply(to_viewer(conn, TRACK, "frame"));
    viewer_reads(&mut viewer, TRACK, 5).await;
    viewer.apply(ViewerOutput::Reset { stream: TRACK });
    // What is still sent on it goes nowhere, and does not open it again.
    let sending = async {
        for _ in 0..100 {
            host.apply(to_viewer(conn, TRACK, vec![0; 1000]));
            host.apply(to_viewer(conn, Stream::Track { id: 1 }, "."));
            tokio::select! { _ = host.next_input() => {} _ = tokio::task::yield_now() => {} }
        }
    };
    let mut dots = 0;
    let listening = viewer_hears(&mut viewer, "the new stream", |input| {
        match input {
            ViewerInput::Received {
                stream: Stream::Track { id: 1 },
                bytes,
            } => dots += bytes.len(),
            ViewerInput::Received { stream, .. } => panic!("{stream:?} was given up"),
            _ => {}
        }
        (dots == 100).then_some(())
    });
    tokio::join!(sending, listening);
}

#[tokio::test]
async fn what_was_sent_before_a_close_arrives_before_the_end() {
    let mut host = host().await;
    let mut viewer = viewer_of(&host);
    let conn = connect(&mut host, &mut viewer).await;
    let large = Bytes::from(vec![7; 3_000_000]);
    host.apply(to_viewer(conn, TRACK, large.clone()));
    host.apply(HostOutput::Close { conn, code: 6 });
    let mut got = 0;
    let viewing = viewer_hears(&mut viewer, "the end", |input| match input {
        ViewerInput::Received { bytes, .. } => {
            got += bytes.len();
            None
        }
        ViewerInput::Disconnected { why } => Some((why, got)),
        _ => None,
    });
    let hosting = host_hears(&mut host, "the viewer gone", |input| match input {
        HostInput::Disconnected { conn: gone } => Some(gone),
        _ => None,
    });
    let (end, gone) = tokio::join!(viewing, hosting);
    assert_eq!(
        end,
        ("the host closed the connection".to_owned(), large.len())
    );
    assert_eq!((gone, host.connections()), (conn, 0));
}

#[tokio::test]
async fn a_viewer_that_leaves_is_heard_to_its_last_word() {
    let mut host = host().await;
    let mut viewer = viewer_of(&host);
    let conn = connect(&mut host, &mut viewer).await;
    viewer.apply(to_host(Stream::Control, "I leave"));
    viewer.apply(ViewerOutput::Close);
    let mut heard = Vec::new();
    let hosting = host_hears(&mut host, "the viewer gone", |input| match input {
        HostInput::Received { bytes, .. } => {
            heard.extend(bytes);
            None
        }
        HostInput::Disconnected { conn: gone } => Some(gone),
        _ => None,
    });
    let (gone, ()) = tokio::join!(hosting, soon("the viewer's end", viewer.close()));
    assert_eq!((gone, &heard[..]), (conn, &b"I leave"[..]));
}

#[tokio::test]
async fn a_host_that_stops_says_so_to_everyone() {
    let mut host = host().await;
    let mut viewer = viewer_of(&host);
    connect(&mut host, &mut viewer).await;
    let viewing = viewer_hears(&mut viewer, "the end", |input| match input {
        ViewerInput::Disconnected { why } => Some(why),
        _ => None,
    });
    let (why, ()) = tokio::join!(
        viewing,
        soon("the host's end", host.close(limits::CLOSE_WAIT))
    );
    assert_eq!(why, "the host ended the session");
}

#[tokio::test]
async fn a_flood_from_one_viewer_holds_up_nobody() {
    let mut host = host().await;
    let mut calm = viewer_of(&host);
    let calm_conn = connect(&mut host, &mut calm).await;
    let flooder = stranger(QuicTransportConfig::default()).await;
    let (flooding, flood_conn) = tokio::join!(
        flooder.connect(host.addr(), ALPN),
        host_connected(&mut host)
    );
    let flooding = flooding.unwrap();
    let mut streams = Vec::new();
    for _ in 0..limits::MAX_VIEWER_UNI_STREAMS {
        let mut stream = flooding.open_uni().await.unwrap();
        streams.push(tokio::spawn(async move {
            stream.write_all(&[StreamKind::Input as u8]).await.unwrap();
            while stream.write_all(&[0; 65536]).await.is_ok() {}
        }));
    }
    // A host that answers each of 200 keystrokes while the flood goes on.
    let mut flooded = 0usize;
    let hosting = async {
        loop {
            match host.next_input().await {
                HostInput::Received { conn, .. } if conn == calm_conn => {
                    host.apply(to_viewer(calm_conn, TRACK, "."));
                }
                HostInput::Received { conn, bytes, .. } if conn == flood_conn => {
                    flooded += bytes.len()
                }
                HostInput::Disconnected { .. } => panic!("nobody leaves"),
                _ => {}
            }
        }
    };
    let typing = async {
        for _ in 0..200 {
            calm.apply(to_host(INPUT, "k"));
            viewer_reads(&mut calm, TRACK, 1).await;
        }
    };
    tokio::select! {
        () = hosting => {}
        () = soon("200 keystrokes", typing) => {}
    }
    assert!(flooded > 1_000_000, "there was a flood: {flooded} bytes");
}

#[tokio::test]
async fn what_a_flood_makes_the_host_hold_is_bounded_by_its_window() {
    let mut host = host().await;
    let flooder = stranger(QuicTransportConfig::default()).await;
    let (flooding, conn) = tokio::join!(
        flooder.connect(host.addr(), ALPN),
        host_connected(&mut host)
    );
    let flooding = flooding.unwrap();
    let mut stream = flooding.open_uni().await.unwrap();
    stream.write_all(&[StreamKind::Input as u8]).await.unwrap();
    // Nobody asks the host's network for inputs: it takes one window and no more, and of a stranger a
    // small one.
    let mut taken = 1;
    for most in [limits::STRANGER_RECEIVE_WINDOW, limits::HOST_STREAM_WINDOW] {
        while let Ok(written) = tokio::time::timeout(
            std::time::Duration::from_millis(300),
            stream.write(&[0; 65536]),
        )
        .await
        {
            taken += written.unwrap();
            assert!(taken <= most as usize, "{taken} of {most}");
        }
        assert!(taken >= most as usize, "a whole window: {taken} of {most}");
        host.apply(HostOutput::Accepted { conn });
    }
}

#[tokio::test]
async fn a_viewer_that_reads_nothing_is_closed_and_others_go_on() {
    let mut host = host().await;
    let mut good = viewer_of(&host);
    let good_conn = connect(&mut host, &mut good).await;
    let transport = QuicTransportConfig::builder()
        .stream_receive_window(VarInt::from_u32(64 * 1024))
        .receive_window(VarInt::from_u32(64 * 1024))
        .build();
    let lazy = stranger(transport).await;
    let (lazy_link, lazy_conn) =
        tokio::join!(lazy.connect(host.addr(), ALPN), host_connected(&mut host));
    let lazy_link = lazy_link.unwrap();

    let piece = Bytes::from(vec![0; 256 * 1024]);
    let mut sent = 0;
    let gone = loop {
        host.apply(to_viewer(lazy_conn, TRACK, piece.clone()));
        sent += piece.len();
        assert!(
            sent <= limits::MAX_QUEUED + limits::SEND_WINDOW as usize + 2 * piece.len(),
            "what waits is bounded"
        );
        tokio::select! {
            biased;
            input = host.next_input() => {
                if let HostInput::Disconnected { conn } = input {
                    break conn;
                }
            }
            () = tokio::task::yield_now() => {}
        }
    };
    assert_eq!(gone, lazy_conn);
    assert!(
        sent > limits::MAX_QUEUED,
        "the largest snapshot and history fit: {sent}"
    );
    assert!(matches!(
        lazy_link.closed().await,
        ConnectionError::ApplicationClosed(_)
    ));

    host.apply(to_viewer(good_conn, TRACK, "still here"));
    assert_eq!(viewer_reads(&mut good, TRACK, 10).await, b"still here");
}

#[tokio::test]
async fn the_host_hears_when_the_other_end_has_a_reply_or_wants_no_more_of_it() {
    const LENGTH: usize = 64 * 1024;
    let mut host = host().await;
    let transport = QuicTransportConfig::builder()
        .stream_receive_window(VarInt::from_u32(16 * 1024))
        .build();
    let reader = stranger(transport).await;
    let (link, conn) = tokio::join!(reader.connect(host.addr(), ALPN), host_connected(&mut host));
    let link = link.unwrap();
    let mut replies = Vec::new();
    for id in 0..2 {
        let (mut send, recv) = link.open_bi().await.unwrap();
        send.write_all(&[StreamKind::History as u8, 7])
            .await
            .unwrap();
        let stream = Stream::History { id };
        host_reads(&mut host, conn, stream, 1).await;
        host.apply(to_viewer(conn, stream, vec![id as u8; LENGTH]));
        host.apply(HostOutput::Finish { conn, stream });
        replies.push((send, recv));
    }
    let delivered = |input| match input {
        HostInput::Delivered { conn: to, stream } if to == conn => Some(stream),
        _ => None,
    };
    // Both have as much on the way as the reader has room for; one is stopped, the other is read.
    let (_, mut stopped) = replies.pop().unwrap();
    stopped.stop(VarInt::from_u32(0)).unwrap();
    let first = host_hears(&mut host, "that one is not wanted", delivered).await;
    assert_eq!(first, Stream::History { id: 1 });
    let (_, mut read) = replies.pop().unwrap();
    let (second, all) = tokio::join!(
        host_hears(&mut host, "that the other has arrived", delivered),
        read.read_to_end(LENGTH),
    );
    assert_eq!(second, Stream::History { id: 0 });
    assert_eq!(all.unwrap(), vec![0; LENGTH]);
}

#[tokio::test]
async fn a_stream_of_no_known_kind_is_refused_alone() {
    let mut host = host().await;
    let odd = stranger(QuicTransportConfig::default()).await;
    let (link, conn) = tokio::join!(odd.connect(host.addr(), ALPN), host_connected(&mut host));
    let link = link.unwrap();
    let refused = [
        // Unknown, and known ones a viewer may not open, or not that way.
        (true, 0xee),
        (true, StreamKind::Track as u8),
        (true, StreamKind::Input as u8),
        (false, StreamKind::Control as u8),
        (false, StreamKind::Track as u8),
    ];
    let strange = async {
        for (both_ways, kind) in refused {
            let mut send = match both_ways {
                true => link.open_bi().await.unwrap().0,
                false => link.open_uni().await.unwrap(),
            };
            send.write_all(&[kind, 1, 2, 3]).await.unwrap();
            assert!(
                matches!(send.stopped().await, Ok(Some(_))),
                "kind {kind:#x} is stopped"
            );
            assert!(matches!(
                send.write(&[0]).await,
                Err(WriteError::Stopped(_))
            ));
        }
        let (mut send, _recv) = link.open_bi().await.unwrap();
        send.write_all(&[StreamKind::Control as u8, b'o', b'k'])
            .await
            .unwrap();
        // A second control stream is one too many.
        let (mut second, _recv) = link.open_bi().await.unwrap();
        second
            .write_all(&[StreamKind::Control as u8, b'n', b'o'])
            .await
            .unwrap();
        assert!(matches!(second.stopped().await, Ok(Some(_))));
    };
    let mut heard = Vec::new();
    tokio::select! {
        () = soon("the refusals", strange) => {}
        () = async { loop {
            if let HostInput::Received { conn: from, stream, bytes } = host.next_input().await {
                heard.push((from, stream, bytes));
            }
        } } => {}
    }
    assert_eq!(heard, [(conn, Stream::Control, Bytes::from("ok"))]);
}

#[tokio::test]
async fn another_protocol_and_noise_leave_the_host_as_it_was() {
    let mut host = host().await;
    let other = stranger(QuicTransportConfig::default()).await;
    let noise = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in [0, 1, 20, 1200] {
        for first in [0u8, 0x40, 0xc0, 0xff] {
            noise
                .send_to(&vec![first; length], host.sockets()[0])
                .unwrap();
        }
    }
    let dialled = tokio::select! {
        dialled = other.connect(host.addr(), b"http/9") => dialled,
        _ = async { loop { assert!(!matches!(host.next_input().await, HostInput::Connected { .. })) } } => unreachable!(),
    };
    assert!(dialled.is_err());
    let mut viewer = viewer_of(&host);
    connect(&mut host, &mut viewer).await;
}

#[tokio::test]
async fn what_is_not_pillion_is_said_to_be_so() {
    let other = Endpoint::builder(presets::Minimal)
        .alpns(vec![b"http/9".to_vec()])
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .unwrap()
        .bind()
        .await
        .unwrap();
    let answering = async {
        while let Some(incoming) = other.accept().await {
            let _ = incoming.await;
        }
    };
    let mut viewer = ViewerNet::new(RelayChoice::None, v4());
    viewer.set_host(other.addr());
    viewer.apply(ViewerOutput::Connect);
    let why = tokio::select! {
        why = disconnected(&mut viewer) => why,
        () = answering => unreachable!(),
    };
    assert!(why.contains("not a pillion session"), "{why}");
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_said_to_be_so() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let options = NetOptions {
        bind: vec![taken.local_addr().unwrap()],
        ..NetOptions::default()
    };
    let key = pillion_caps::SecretKey::from_bytes(&[3; 32]);
    let Err(error) = pillion_net::HostNet::bind(&key, RelayChoice::None, options.clone()).await
    else {
        panic!("the port is taken")
    };
    assert!(error.to_string().contains("choose another port"), "{error}");
    // A viewer hears it when it wants to connect, and can try again.
    let mut viewer = ViewerNet::new(RelayChoice::None, options);
    let host = host().await;
    viewer.set_host(host.addr());
    viewer.apply(ViewerOutput::Connect);
    assert!(
        disconnected(&mut viewer)
            .await
            .contains("choose another port")
    );
    drop(taken);
    viewer.apply(ViewerOutput::Connect);
    let mut host = host;
    tokio::join!(host_connected(&mut host), viewer_connected(&mut viewer));
}

#[tokio::test]
async fn many_who_come_at_once_all_get_in() {
    let mut host = host().await;
    let crowd = stranger(QuicTransportConfig::default()).await;
    const CROWD: usize = 2 * limits::RETRY_ABOVE;
    let joins: Vec<_> = (0..CROWD)
        .map(|_| {
            let (crowd, addr) = (crowd.clone(), host.addr());
            tokio::spawn(async move { crowd.connect(addr, ALPN).await.unwrap() })
        })
        .collect();
    let mut here = 0;
    host_hears(&mut host, "the crowd", |input| {
        // Some resume what the first of them began.
        here += usize::from(matches!(
            input,
            HostInput::Connected { .. } | HostInput::HandshakeConfirmed { .. }
        ));
        (here == CROWD).then_some(())
    })
    .await;
    assert_eq!(host.connections(), CROWD);
    for join in joins {
        soon("a handshake", join).await.unwrap();
    }
}

#[tokio::test]
async fn a_cut_connection_is_replaced_and_the_old_one_is_silent() {
    if !has_v6() {
        return;
    }
    let mut host = host().await;
    let forwarder = Forwarder::new(host.sockets()[0]).await;
    let mut viewer = ViewerNet::new(RelayChoice::None, v6());
    viewer.set_host(forwarder.address_of(&host));
    let first = connect(&mut host, &mut viewer).await;
    host.apply(to_viewer(first, TRACK, "before"));
    assert_eq!(viewer_reads(&mut viewer, TRACK, 6).await, b"before");

    forwarder.pass(false);
    host.apply(to_viewer(first, TRACK, "lost"));
    viewer.apply(ViewerOutput::Connect);
    let lost = forwarder.dropped.clone();
    let cut = async {
        while lost.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = soon("packets to be lost", cut) => {}
        input = async {
            loop {
                match viewer.next_input().await {
                    ViewerInput::EarlyConnected => {}
                    input => return input,
                }
            }
        } => panic!("nothing gets through: {}", name(&input)),
    }
    forwarder.pass(true);
    let (second, ()) = tokio::join!(host_connected(&mut host), viewer_connected(&mut viewer));
    assert_ne!(second, first);
    host.apply(to_viewer(second, TRACK, "after"));
    let mut got = Vec::new();
    viewer_hears(&mut viewer, "what comes after", |input| {
        match input {
            ViewerInput::Received { bytes, .. } => got.extend(bytes),
            ViewerInput::Disconnected { why } => panic!("of the old connection: {why}"),
            _ => {}
        }
        (got.len() >= 5).then_some(())
    })
    .await;
    assert_eq!(got, b"after");
}

#[tokio::test]
async fn a_direct_path_is_told_with_its_round_trip() {
    let mut host = host().await;
    let mut viewer = viewer_of(&host);
    viewer.apply(ViewerOutput::Connect);
    let (at_host, at_viewer) = tokio::join!(
        host_hears(&mut host, "the path", |input| match input {
            HostInput::Path { kind, rtt_us, .. } => Some((kind, rtt_us)),
            _ => None,
        }),
        viewer_hears(&mut viewer, "the path", |input| match input {
            ViewerInput::Path { kind, rtt_us } => Some((kind, rtt_us)),
            _ => None,
        }),
    );
    assert_eq!(
        (at_host.0, at_viewer.0),
        (PathKind::Direct, PathKind::Direct)
    );
    assert!(
        at_host.1 < 1_000_000 && at_viewer.1 < 1_000_000,
        "{at_host:?} {at_viewer:?}"
    );
}

#[tokio::test]
async fn two_that_cannot_reach_each_other_meet_at_a_relay() {
    if !has_v6() {
        return;
    }
    let relay = relay().await;
    let with = |options: NetOptions| NetOptions {
        relay_ca: Some(relay.ca.clone()),
        ..options
    };
    let mut host = host_with(relay.choice.clone(), with(v4())).await;
    // The relay is in the ticket before it has answered; then it is told to be there.
    let RelayChoice::Url(url) = &relay.choice else {
        unreachable!()
    };
    let addr = EndpointAddr::new(host.addr().id).with_relay_url(url.clone());
    assert!(host.addr().relay_urls().any(|known| known == url));
    let mut viewer = ViewerNet::new(relay.choice.clone(), with(v6()));
    viewer.set_host(addr);
    let conn = connect(&mut host, &mut viewer).await;
    host.apply(to_viewer(conn, TRACK, "through the relay"));
    let mut path = None;
    let mut got = Vec::new();
    viewer_hears(&mut viewer, "a relayed frame", |input| {
        match input {
            ViewerInput::Path { kind, .. } => path = Some(kind),
            ViewerInput::Received { bytes, .. } => got.extend(bytes),
            _ => {}
        }
        (path.is_some() && got == b"through the relay").then_some(())
    })
    .await;
    assert_eq!(path, Some(PathKind::Relayed));
}

#[tokio::test]
async fn with_no_network_but_loopback_a_ticket_says_so() {
    let mut host = host_with(RelayChoice::None, NetOptions::default()).await;
    let addr = host_hears(&mut host, "addresses", |input| match input {
        HostInput::Addresses { addr } => Some(addr),
        _ => None,
    })
    .await;
    let loopback: Vec<SocketAddr> = addr
        .ip_addrs()
        .copied()
        .filter(|addr| addr.ip().is_loopback())
        .collect();
    let port = host
        .sockets()
        .iter()
        .find(|socket| socket.is_ipv4())
        .unwrap()
        .port();
    assert!(
        loopback.contains(&SocketAddr::from(([127, 0, 0, 1], port))),
        "{addr:?}"
    );
    let mut viewer = ViewerNet::new(RelayChoice::None, NetOptions::default());
    viewer.set_host(EndpointAddr::new(addr.id).with_ip_addr(loopback[0]));
    connect(&mut host, &mut viewer).await;
}

async fn disconnected(viewer: &mut ViewerNet) -> String {
    viewer_hears(viewer, "the reason", |input| match input {
        ViewerInput::Disconnected { why } => Some(why),
        _ => None,
    })
    .await
}

fn name(input: &ViewerInput) -> &'static str {
    match input {
        ViewerInput::EarlyConnected => "connected early",
        ViewerInput::Connected(_) => "connected",
        ViewerInput::Received { .. } => "bytes",
        ViewerInput::StreamEnded { .. } => "the end of a stream",
        ViewerInput::Path { .. } => "a path",
        ViewerInput::Disconnected { .. } => "disconnected",
        _ => "something else",
    }
}
