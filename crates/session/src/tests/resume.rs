//! Coming back with a resumed TLS session: the screen of now before anything is proved, and nothing
//! else.

use bytes::{Bytes, BytesMut};
use pillion_caps::{Binding, PeerEndpoint, PublicKey};
use pillion_proto::{
    Ack, Framer, FromViewer, GrantProof, JoinId, LogState, Ping, RefusedCode, Resume, Rights,
    SnapshotMsg, TrackMsg, Version, VersionRange, limits::MAX_TRACK_MESSAGE,
};
use pillion_share::Network;

use super::{
    harness::*,
    joining::{hello, refusal, say},
};
use crate::{Command, ConnId, HostInput, Phase, Reply, Stream, ViewerInput, verbs};

pub(super) fn resume() -> FromViewer {
    FromViewer::Resume(Resume {
        versions: VersionRange::OURS,
        padding: Bytes::new(),
        track: None,
    })
}

/// What a host said on its track streams to a connection that no viewer drives.
pub(super) fn track(world: &World, conn: ConnId) -> Vec<TrackMsg> {
    let mut framer = Framer::new(MAX_TRACK_MESSAGE);
    for (stream, bytes) in &world.strangers[&conn] {
        if matches!(stream, Stream::Track { .. }) {
            framer.push(bytes);
        }
    }
    let mut messages = Vec::new();
    while let Some((tag, payload)) = framer.next_message().unwrap() {
        messages.push(TrackMsg::decode(tag, &payload).unwrap());
    }
    messages
}

/// A session, and the endpoint of somebody who was let in and is still there.
fn joined() -> (World, PublicKey) {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.prints("hello");
    let endpoint = world.seats[anna].endpoint.public();
    (world, endpoint)
}

/// A recorded first flight arrives.
fn resumes(world: &mut World, endpoint: PublicKey) -> ConnId {
    let conn = world.early_stranger(endpoint);
    say(world, conn, &resume());
    conn
}

/// Whether a first flight from `endpoint` is shown anything.
fn is_shown(world: &mut World, endpoint: PublicKey) -> bool {
    let conn = resumes(world, endpoint);
    assert!(
        !world.closed.iter().any(|(closed, ..)| *closed == conn),
        "it is for the hello to be refused, in words"
    );
    !world.strangers[&conn].is_empty()
}

/// Cuts a viewer off while `news` is printed, and lets it come back as far as its first flight.
fn comes_back(world: &mut World, seat: usize, taken: bool, news: &str) {
    world.seats[seat].online = false;
    world.cut(seat);
    world.prints(news);
    world.seats[seat].online = true;
    world.seats[seat].early = Some(taken);
    world.advance_ms(1000);
    assert!(world.seats[seat].conn.is_some());
}

#[test]
fn a_returning_viewer_sees_the_screen_of_now_before_its_handshake_is_complete() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    comes_back(&mut world, anna, true, "news");
    world.assert_same_screen(anna);
    // It sees, and that is all.
    assert!(matches!(
        world.seats[anna].phase(),
        Phase::Connecting { .. }
    ));
    assert_eq!(world.host.viewers(), 0);
    world.prints(" later");
    assert!(!world.seats[anna].text().contains("later"));

    world.complete(anna);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.assert_same_screen(anna);
    world.prints(" and on");
    world.assert_same_screen(anna);
    // Its acknowledgements are of the stream that counts: it is never behind.
    for _ in 0..100 {
        world.prints("some more text\r\n");
        world.advance_ms(20);
    }
    world.assert_same_screen(anna);
}

#[test]
fn an_early_picture_of_a_log_is_of_its_newest_frame() {
    let (mut world, endpoint) = joined();
    let log = world.opens_log("agent");
    world.advance_ms(1_000);
    world.says(log, "", "1");
    world.says(log, "", "2");
    let conn = world.early_stranger(endpoint);
    let resume = FromViewer::Resume(Resume {
        versions: VersionRange::OURS,
        padding: Bytes::new(),
        track: Some(log),
    });
    say(&mut world, conn, &resume);
    let messages = track(&world, conn);
    let picture = messages.iter().find_map(|message| match message {
        TrackMsg::Snapshot(snapshot) => Some(snapshot),
        _ => None,
    });
    let state = LogState::decode(&picture.unwrap().payload).unwrap();
    assert_eq!(state.next, 1, "no frame has the second yet");
}

#[test]
fn what_is_typed_on_the_way_back_arrives_once_and_not_before_the_welcome() {
    for taken in [true, false] {
        let mut world = World::shared();
        let anna = world.join(10, "anna");
        world.grant_edit("anna").unwrap();
        world.types(anna, "a");
        world.seats[anna].silent = true;
        world.types(anna, "b");
        world.seats[anna].silent = false;
        comes_back(&mut world, anna, taken, "");
        world.types(anna, "c");
        assert_eq!(world.program.input, b"a");
        world.complete(anna);
        assert_eq!(world.program.input, b"abc");
        assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
        assert_eq!(world.seats[anna].right(), Rights::EDIT);
    }
}

#[test]
fn a_first_flight_that_the_host_does_not_take_falls_back() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    comes_back(&mut world, anna, false, "news");
    assert!(!world.seats[anna].text().contains("news"));
    world.complete(anna);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.assert_same_screen(anna);
}

#[test]
fn a_handshake_that_is_never_completed_is_tried_again() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    comes_back(&mut world, anna, true, "news");
    // Its driver says when it takes too long.
    world.advance_ms(9_000);
    world.seats[anna].early = None;
    world.cut(anna);
    world.advance_ms(1000);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.assert_same_screen(anna);
}

#[test]
fn a_damaged_picture_is_not_asked_for_again_before_the_hello() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    comes_back(&mut world, anna, true, "news");
    let mut bytes = BytesMut::new();
    TrackMsg::Snapshot(SnapshotMsg {
        number: 1000,
        echoed: 0,
        payload: Bytes::from_static(b"nonsense"),
        chain: None,
    })
    .encode(&mut bytes);
    let bytes = bytes.freeze();
    world.viewer(
        anna,
        ViewerInput::Received {
            stream: TRACK,
            bytes,
        },
    );
    world.complete(anna);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.assert_same_screen(anna);
}

const TRACK: Stream = Stream::Track { id: 0 };

#[test]
fn a_welcome_that_nobody_asked_for_opens_nothing() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    // As it was said on the connection before.
    let (conn, connected) = world.stranger();
    let mut config = world.viewer_config(10, "anna");
    config.join = JoinId([99; 16]);
    let hello = hello(config, &connected);
    say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
    let (stream, bytes) = world.strangers[&conn][0].clone();
    assert_eq!(stream, Stream::Control);
    comes_back(&mut world, anna, true, "news");
    world.viewer(anna, ViewerInput::Received { stream, bytes });
    let (text, regular) = world.seats[anna].ended().unwrap();
    assert!(
        text.contains("a welcome before the hello") && !regular,
        "{text}"
    );
}

#[test]
fn one_picture_is_shown_and_nothing_after_it() {
    let (mut world, endpoint) = joined();
    let conn = resumes(&mut world, endpoint);
    world.prints("more");
    world.advance_ms(1000);
    let shown = track(&world, conn);
    assert!(
        matches!(
            &shown[..],
            [
                TrackMsg::Open {
                    track: TERMINAL,
                    epoch: 0,
                    kind: pillion_proto::TrackKind::Terminal,
                },
                TrackMsg::Snapshot(_)
            ]
        ),
        "{shown:?}"
    );
    assert!(
        world.strangers[&conn]
            .iter()
            .all(|(stream, _)| *stream == TRACK)
    );
}

#[test]
fn a_stranger_is_shown_nothing() {
    let (mut world, endpoint) = joined();
    assert!(!is_shown(&mut world, secret(99).public()));
    // Not even one that got as far as a handshake, or a refusal.
    let (conn, connected) = world.stranger();
    let mut refused = hello(world.viewer_config(50, "eve"), &connected);
    refused.link = None;
    say(&mut world, conn, &FromViewer::Hello(Box::new(refused)));
    assert!(!is_shown(
        &mut world,
        *connected.own_endpoint.key().unwrap()
    ));
    assert!(is_shown(&mut world, endpoint));
}

#[test]
fn somebody_kicked_is_shown_nothing() {
    let (mut world, endpoint) = joined();
    let target = named("anna");
    world
        .command(Command::Kick(verbs::Kick { target }))
        .unwrap();
    assert!(!is_shown(&mut world, endpoint));
}

#[test]
fn a_replaced_ticket_shows_nothing() {
    let (mut world, endpoint) = joined();
    world
        .command(Command::Ticket(verbs::Ticket { new: true }))
        .unwrap();
    assert!(!is_shown(&mut world, endpoint));
}

#[test]
fn a_stopped_session_shows_nothing_and_neither_does_the_next_one() {
    let (mut world, endpoint) = joined();
    world.command(Command::Stop(verbs::Stop {})).unwrap();
    assert!(!is_shown(&mut world, endpoint));
    world.share();
    assert!(!is_shown(&mut world, endpoint));
}

#[test]
fn another_version_is_shown_nothing() {
    let (mut world, endpoint) = joined();
    let conn = world.early_stranger(endpoint);
    let newer = Resume {
        versions: VersionRange {
            oldest: Version(900),
            newest: Version(901),
        },
        padding: Bytes::new(),
        track: None,
    };
    say(&mut world, conn, &FromViewer::Resume(newer));
    assert!(world.strangers[&conn].is_empty());
}

#[test]
fn who_came_by_a_grant_is_shown_the_screen_while_it_stands() {
    let mut world = World::shared();
    let link = |world: &mut World| {
        let (right, ttl_ms, uses) = (Rights::EDIT, Some(60_000), std::num::NonZeroU32::MIN);
        match world.command(Command::GrantLink(verbs::GrantLink {
            rights: right,
            ttl_ms,
            uses,
        })) {
            Ok(Reply::GrantLink(verbs::Token { token, grant, .. })) => (token, grant),
            other => panic!("{other:?}"),
        }
    };
    let came = |world: &mut World, seed: u8, token: &str| {
        let mut config = world.viewer_config(seed, "anna");
        config.link = None;
        config.grants = vec![presented(token)];
        let seat = world.join_with(config);
        assert_eq!(*world.seats[seat].phase(), Phase::Live);
        world.seats[seat].endpoint.public()
    };
    let (token, grant) = link(&mut world);
    let revoked = came(&mut world, 10, &token);
    assert!(is_shown(&mut world, revoked));
    let target = named(&grant);
    world
        .command(Command::Revoke(verbs::Revoke { target }))
        .unwrap();
    assert!(!is_shown(&mut world, revoked));

    let (token, _) = link(&mut world);
    let ended = came(&mut world, 11, &token);
    // A new ticket is nothing to who came by a grant.
    world
        .command(Command::Ticket(verbs::Ticket { new: true }))
        .unwrap();
    assert!(is_shown(&mut world, ended));
    world.advance_ms(61_000);
    assert!(!is_shown(&mut world, ended));
}

#[test]
fn anything_else_in_a_first_flight_is_refused() {
    let (mut world, endpoint) = joined();
    world.grant_edit("anna").unwrap();
    let Ok(Reply::GrantLink(verbs::Token { token, .. })) =
        world.command(Command::GrantLink(verbs::GrantLink {
            rights: Rights::EDIT,
            ttl_ms: None,
            uses: std::num::NonZeroU32::MIN,
        }))
    else {
        panic!()
    };
    // A hello that was good on the connection before, and one made for nothing yet known.
    let connected = crate::Connected {
        own_endpoint: PeerEndpoint::Proved(endpoint),
        binding: Binding::tls_exporter([0; 32]),
    };
    let recorded = hello(world.viewer_config(10, "anna"), &connected);
    let grant = GrantProof {
        grant: presented(&token).0,
        proof: [0; 64].into(),
    };
    let ledger = world.ledger().len();
    let others = [
        FromViewer::Hello(Box::new(recorded)),
        FromViewer::Redeem(grant),
        FromViewer::RequestEdit,
        FromViewer::Ack(Ack {
            track: TERMINAL,
            epoch: 0,
            frame: 1,
        }),
        FromViewer::Ping(Ping { nonce: 1 }),
        FromViewer::NeedSnapshot(TERMINAL),
        FromViewer::Unknown(9),
    ];
    for other in others {
        for resumed in [false, true] {
            let conn = world.early_stranger(endpoint);
            if resumed {
                say(&mut world, conn, &resume());
            }
            say(&mut world, conn, &other);
            assert_eq!(
                refusal(&world, conn).code,
                RefusedCode::PROTOCOL,
                "{other:?}"
            );
        }
    }
    for stream in [Stream::Input { epoch: 0 }, Stream::History { id: 0 }] {
        let conn = resumes(&mut world, endpoint);
        world.host(HostInput::Received {
            conn,
            stream,
            bytes: Bytes::from_static(b"\0\0\0\x01\x80"),
        });
        assert_eq!(world.closed.last().unwrap().0, conn);
    }
    assert_eq!(world.ledger().len(), ledger);
    assert_eq!(world.program.input, b"");
}

#[test]
fn a_recorded_first_flight_does_no_harm() {
    let (mut world, endpoint) = joined();
    // Somebody who sees every frame.
    let (bert, connected) = world.stranger();
    let hello = hello(world.viewer_config(11, "bert"), &connected);
    say(&mut world, bert, &FromViewer::Hello(Box::new(hello)));
    world.prints("one");
    world.advance_ms(1000);
    let who = world.command(Command::Who(verbs::Who {})).unwrap();
    let (log, notices, ledger) = (world.log.len(), world.notices.len(), world.ledger().len());
    let frames = track(&world, bert).len();

    let replayed: Vec<ConnId> = (0..100).map(|_| resumes(&mut world, endpoint)).collect();
    for conn in &replayed {
        assert_eq!(track(&world, *conn).len(), 2);
    }
    assert_eq!(world.command(Command::Who(verbs::Who {})).unwrap(), who);
    assert_eq!(
        (world.log.len(), world.notices.len(), world.ledger().len()),
        (log, notices, ledger)
    );
    // Nobody's frames begin again for it.
    assert_eq!(track(&world, bert).len(), frames);
    world.prints("two");
    world.advance_ms(100);
    let next = track(&world, bert).split_off(frames);
    assert!(
        next.iter()
            .all(|message| matches!(message, TrackMsg::Frame(frame) if !frame.reset))
            && !next.is_empty(),
        "{next:?}"
    );
    // A flight that is twice in one, and one that never goes on.
    say(&mut world, replayed[0], &resume());
    assert_eq!(refusal(&world, replayed[0]).code, RefusedCode::PROTOCOL);
    world.advance_ms(11_000);
    assert_eq!(refusal(&world, replayed[1]).code, RefusedCode::PROTOCOL);
}

#[test]
fn a_first_flight_that_comes_late_is_answered_by_the_hello_alone() {
    let (mut world, endpoint) = joined();
    let conn = world.early_stranger(endpoint);
    let binding = Binding::tls_exporter([5; 32]);
    world.host(HostInput::HandshakeConfirmed { conn, binding });
    say(&mut world, conn, &resume());
    assert!(world.strangers[&conn].is_empty());
    let connected = crate::Connected {
        own_endpoint: PeerEndpoint::Proved(endpoint),
        binding,
    };
    let mut config = world.viewer_config(10, "anna");
    config.join = JoinId([99; 16]);
    let hello = hello(config, &connected);
    say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
    assert!(matches!(
        &track(&world, conn)[..],
        [TrackMsg::Open { epoch: 0, .. }, _]
    ));
    // Once in, there is nothing to resume.
    say(&mut world, conn, &resume());
    assert_eq!(refusal(&world, conn).code, RefusedCode::PROTOCOL);
}

#[test]
fn a_connection_that_was_put_out_is_not_let_in_by_its_handshake() {
    let (mut world, endpoint) = joined();
    let conn = resumes(&mut world, endpoint);
    say(&mut world, conn, &FromViewer::RequestEdit);
    let binding = Binding::tls_exporter([5; 32]);
    world.host(HostInput::HandshakeConfirmed { conn, binding });
    let connected = crate::Connected {
        own_endpoint: PeerEndpoint::Proved(endpoint),
        binding,
    };
    let said = world.strangers[&conn].len();
    let hello = hello(world.viewer_config(10, "anna"), &connected);
    say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
    assert_eq!(world.strangers[&conn].len(), said);
}

#[test]
fn endpoints_are_not_remembered_without_bound() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let first = world.seats[anna].endpoint.public();
    assert!(is_shown(&mut world, first));
    world.host.meet_many_for_tests(2048, Network::ALL);
    assert!(!is_shown(&mut world, first));
}

#[test]
fn many_endpoints_of_one_address_do_not_have_another_forgotten() {
    let mut world = World::shared();
    world.from = Network::of([192, 0, 2, 1].into());
    let anna = world.join(10, "anna");
    let endpoint = world.seats[anna].endpoint.public();
    let crowd = Network::of([192, 0, 2, 2].into());
    world.host.meet_many_for_tests(4096, crowd);
    assert!(is_shown(&mut world, endpoint));
}
