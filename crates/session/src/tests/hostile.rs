//! Peers that send anything at all.

use bytes::{Bytes, BytesMut};
use pillion_proto::{
    Ack, FrameMsg, FromHost, FromViewer, Ping, RefusedCode, SnapshotMsg, TrackMsg,
};
use proptest::prelude::*;

use super::harness::*;
use crate::{ConnId, HostInput, Phase, Stream, ViewerInput};

fn streams() -> [Stream; 4] {
    [
        Stream::Control,
        Stream::Input { epoch: 0 },
        Stream::Track { id: 0 },
        Stream::History { id: 0 },
    ]
}

fn from_viewer(world: &mut World, conn: ConnId, message: &FromViewer) {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    world.host(HostInput::Received {
        conn,
        stream: Stream::Control,
        bytes: out.freeze(),
    });
}

#[test]
fn a_stranger_who_says_something_else_than_hello_is_put_out() {
    let mut world = World::shared();
    let (conn, _) = world.stranger();
    from_viewer(&mut world, conn, &FromViewer::RequestEdit);
    assert_eq!(world.closed.last().unwrap().1, RefusedCode::PROTOCOL.0);
    for stream in [Stream::Input { epoch: 0 }, Stream::History { id: 0 }] {
        let (conn, _) = world.stranger();
        world.host(HostInput::Received {
            conn,
            stream,
            bytes: Bytes::from_static(b"\0\0\0\x01\x80"),
        });
        assert_eq!(world.closed.last().unwrap().0, conn);
    }
}

#[test]
fn a_viewer_that_floods_is_closed_with_a_reason_and_the_others_go_on() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let eve = world.join(11, "eve");
    let conn = world.seats[eve].conn.unwrap();
    for nonce in 0..1000 {
        from_viewer(&mut world, conn, &FromViewer::Ping(Ping { nonce }));
    }
    assert!(world.seats[eve].ended().unwrap().0.contains("Flood"));
    world.prints("on we go");
    world.assert_same_screen(anna);
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_ends_the_connection() {
    for ack in [
        Ack {
            track: TERMINAL,
            epoch: 0,
            frame: 999,
        },
        Ack {
            track: TERMINAL,
            epoch: 7,
            frame: 1,
        },
        Ack {
            track: pillion_proto::TrackId(3),
            epoch: 0,
            frame: 1,
        },
    ] {
        let mut world = World::shared();
        let eve = world.join(11, "eve");
        let conn = world.seats[eve].conn.unwrap();
        from_viewer(&mut world, conn, &FromViewer::Ack(ack));
        assert!(world.seats[eve].ended().is_some());
    }
}

#[test]
fn messages_of_a_newer_version_are_skipped() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let conn = world.seats[anna].conn.unwrap();
    from_viewer(&mut world, conn, &FromViewer::Unknown(60));
    let mut out = BytesMut::new();
    FromHost::Unknown(200).encode(&mut out);
    TrackMsg::Unknown(201).encode(&mut out);
    world.viewer(
        anna,
        ViewerInput::Received {
            stream: Stream::Control,
            bytes: out.freeze(),
        },
    );
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
}

/// A connection's worth of bytes on any stream.
fn garbage() -> impl Strategy<Value = Vec<(usize, Vec<u8>)>> {
    let framed =
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(tag, payload)| {
            let mut out = BytesMut::new();
            pillion_proto::encode_message(&mut out, tag, &payload);
            out.to_vec()
        });
    let raw = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec((0usize..4, prop_oneof![framed, raw]), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn garbage_on_any_stream_hurts_only_its_sender(garbage in garbage(), who in 0..3) {
        let mut world = World::shared();
        let anna = world.join(10, "anna");
        let eve = world.join(11, "eve");
        let conn = match who {
            0 => world.seats[eve].conn.unwrap(),
            1 => world.stranger().0,
            _ => world.early_stranger(world.seats[eve].endpoint.public()),
        };
        for (stream, bytes) in garbage {
            let stream = streams()[stream];
            world.host(HostInput::Received { conn, stream, bytes: bytes.into() });
        }
        world.prints("on we go");
        world.advance_ms(50);
        world.assert_same_screen(anna);
        prop_assert!(world.program.input.is_empty());
    }

    #[test]
    fn a_hostile_host_never_panics_its_viewer(garbage in garbage(), cut: bool, early: bool) {
        let mut world = World::shared();
        let anna = world.join(10, "anna");
        if early {
            world.seats[anna].early = Some(true);
            world.cut(anna);
            world.tick();
        }
        for (stream, bytes) in garbage {
            let stream = match streams()[stream] {
                Stream::Track { .. } if cut => Stream::Track { id: 9 },
                other => other,
            };
            let input = ViewerInput::Received { stream, bytes: bytes.into() };
            world.seats[anna].viewer.handle(world.now, input);
            while world.seats[anna].viewer.poll().is_some() {}
        }
        world.seats[anna].viewer.handle(world.now, ViewerInput::Tick);
    }

    #[test]
    fn frames_and_snapshots_of_any_content_are_shown_or_asked_for_again(
        messages in prop::collection::vec(
            (any::<bool>(), 0u64..5, any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
    ) {
        let mut world = World::shared();
        let anna = world.join(10, "anna");
        let mut out = BytesMut::new();
        TrackMsg::Open { track: TERMINAL, epoch: 9, kind: pillion_proto::TrackKind::Terminal }.encode(&mut out);
        for (snapshot, number, reset, payload) in messages {
            let (number, echoed, payload) = (number, 0, payload.into());
            match snapshot {
                true => TrackMsg::Snapshot(SnapshotMsg { number, echoed, payload, chain: None }).encode(&mut out),
                false => TrackMsg::Frame(FrameMsg { number, echoed, reset, payload }).encode(&mut out),
            }
        }
        let stream = Stream::Track { id: 9 };
        world.seats[anna].viewer.handle(world.now, ViewerInput::Received { stream, bytes: out.freeze() });
        let mut asked = 0;
        while let Some(output) = world.seats[anna].viewer.poll() {
            if let crate::ViewerOutput::Send { .. } = output { asked += 1 }
        }
        prop_assert!(asked <= 2);
    }
}
