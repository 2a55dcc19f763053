//! Every message: golden bytes, round trips, mutations, claimed lengths.

use bytes::{Bytes, BytesMut};
use pillion_caps::{ChainHead, FrameChain, LineChain, SecretKey, SignedCheckpoint, StateDigest};
use pillion_proto::{message::*, *};
use proptest::prelude::*;

/// A message of any stream, and how its stream reads it.
#[derive(Debug, Clone, PartialEq)]
enum Any {
    Viewer(FromViewer),
    Host(FromHost),
    InputStream(InputStream),
    Input(IntentMsg),
    Track(TrackMsg),
    Request(HistoryRequest),
    Reply(HistoryReply),
}

impl Any {
    fn encode(&self) -> BytesMut {
        let mut out = BytesMut::new();
        match self {
            Any::Viewer(message) => message.encode(&mut out),
            Any::Host(message) => message.encode(&mut out),
            Any::InputStream(message) => message.encode(&mut out),
            Any::Input(message) => message.encode(&mut out),
            Any::Track(message) => message.encode(&mut out),
            Any::Request(message) => message.encode(&mut out),
            Any::Reply(message) => message.encode(&mut out),
        }
        out
    }

    /// Reads bytes as a message of the same stream; `None` for a part of one.
    fn decode_like(&self, bytes: &[u8]) -> Result<Option<Any>, ProtocolError> {
        let mut framer = Framer::new(limits::MAX_CONTROL_MESSAGE);
        framer.push(bytes);
        let Some((tag, payload)) = framer.next_message()? else {
            return Ok(None);
        };
        Ok(Some(match self {
            Any::Viewer(_) => Any::Viewer(FromViewer::decode(tag, &payload)?),
            Any::Host(_) => Any::Host(FromHost::decode(tag, &payload)?),
            Any::InputStream(_) => Any::InputStream(InputStream::decode(tag, &payload)?),
            Any::Input(_) => match IntentMsg::decode(tag, &payload)? {
                Some(input) => Any::Input(input),
                None => return Ok(None),
            },
            Any::Track(_) => Any::Track(TrackMsg::decode(tag, &payload)?),
            Any::Request(_) => Any::Request(HistoryRequest::decode(tag, &payload)?),
            Any::Reply(_) => Any::Reply(HistoryReply::decode(tag, &payload)?),
        }))
    }
}

fn signature(byte: u8) -> SignatureBytes {
    [byte; 64].into()
}

fn checkpoint() -> SignedCheckpoint {
    let key = SecretKey::from_bytes(&[1; 32]);
    let mut chain = FrameChain::begin(&key.public(), 2, 3);
    chain.push(b"body");
    let mut lines = LineChain::begin(&key.public(), 2, 3);
    lines.push(0, 300, b"lines");
    chain
        .checkpoint(2, StateDigest::of(b"state"), &lines, 1_763_000_000_000)
        .sign(&key)
}

/// One of each, with a name for the golden file.
fn samples() -> Vec<(&'static str, Any)> {
    let info = ParticipantInfo {
        id: ParticipantId(300),
        name: Text::cut("anna"),
        identity: [4; 32],
        rights: Rights::EDIT,
        host: false,
        here: true,
        silent: false,
        types: true,
    };
    let track = TrackInfo {
        id: TrackId(300),
        kind: TrackKind::Terminal,
        title: Text::cut("sh"),
        state: TrackState::Exited(-1),
        opener: ParticipantId(2),
        cols: 80,
        rows: 24,
        visible_from: 9,
    };
    let right = RightChanged {
        rights: Rights::EDIT,
        until_unix_ms: Some(7),
        edit_epoch: 2,
        why: Some(RightReason::Granted {
            by: Text::cut("host"),
            ttl_ms: 300,
        }),
    };
    let proof = GrantProof {
        grant: Bytes::from_static(b"grant"),
        proof: signature(3),
    };
    let viewer = [
        (
            "hello",
            FromViewer::Hello(Box::new(Hello {
                versions: VersionRange {
                    oldest: Version(1),
                    newest: Version(2),
                },
                software: Text::cut("pillion 0.1"),
                name: Text::cut("anna"),
                join: JoinId([1; 16]),
                identity: [2; 32],
                identity_proof: signature(9),
                link: Some(([5; 32], signature(6))),
                grants: vec![proof.clone()],
                read_only: true,
                claims: vec![Bytes::from_static(b"claim"), Bytes::new()],
                subscribe: Subscribe {
                    follow: false,
                    tracks: vec![TrackId(300), TrackId(1)],
                },
            })),
        ),
        (
            "ack",
            FromViewer::Ack(Ack {
                track: TrackId(1),
                epoch: 2,
                frame: 300,
            }),
        ),
        ("request_edit", FromViewer::RequestEdit),
        ("redeem", FromViewer::Redeem(proof)),
        ("ping", FromViewer::Ping(Ping { nonce: 128 })),
        ("leave", FromViewer::Leave),
        ("need_snapshot", FromViewer::NeedSnapshot(TrackId(1))),
        (
            "resume",
            FromViewer::Resume(Resume {
                versions: VersionRange {
                    oldest: Version(1),
                    newest: Version(300),
                },
                padding: Bytes::from_static(&[0; 3]),
                track: Some(TrackId(2)),
            }),
        ),
        ("subscribe", FromViewer::Subscribe(Subscribe::FOLLOW)),
        (
            "command",
            FromViewer::Command(CommandRequest {
                id: 300,
                verb: 7,
                body: Bytes::from_static(b"\x02"),
            }),
        ),
    ];
    let by = Text::cut("host");
    let host = [
        (
            "welcome",
            FromHost::Welcome(Box::new(Welcome {
                version: Version(1),
                software: Text::cut("pillion 0.1"),
                session_name: Text::cut("work"),
                host_name: Text::cut("olga"),
                host_identity: [8; 32],
                host_certificate: signature(7),
                you: ParticipantId(2),
                right: right.clone(),
                read_only: false,
                accepted: 5,
                tracks: vec![track.clone()],
                shows: TrackId(1),
            })),
        ),
        (
            "refused",
            FromHost::Refused(Refused {
                code: RefusedCode::TICKET,
                why: Some(RefusalReason::Ticket),
            }),
        ),
        (
            "roster",
            FromHost::Roster(RosterChange {
                changed: vec![info],
                gone: vec![ParticipantId(3)],
            }),
        ),
        ("right", FromHost::Right(right)),
        (
            "request_answer",
            FromHost::RequestAnswer(RequestAnswer {
                why: Some(RequestRefusal::Declined { by: by.clone() }),
            }),
        ),
        (
            "accepted",
            FromHost::Accepted(Accepted {
                upto: 3,
                host_seq: 400,
                track: Some(TrackId(1)),
            }),
        ),
        ("pong", FromHost::Pong(Ping { nonce: 128 })),
        (
            "ended",
            FromHost::Ended(Ended {
                why: Some(EndReason::Stopped { by }),
                at_unix_ms: 1_777_636_807_000,
            }),
        ),
        (
            "dropped",
            FromHost::Dropped(Dropped {
                upto: 9,
                why: Some(DropReason::RightTaken),
                track: None,
            }),
        ),
        (
            "tracks",
            FromHost::Tracks(TracksChange {
                changed: vec![track],
                gone: vec![TrackId(1)],
            }),
        ),
        (
            "shows",
            FromHost::Shows(HostShows {
                track: TrackId(300),
            }),
        ),
        (
            "activity",
            FromHost::Activity(Activity {
                tracks: vec![TrackId(1), TrackId(2)],
            }),
        ),
        (
            "grant",
            FromHost::Grant(GrantPush {
                grant: Bytes::from_static(b"grant"),
            }),
        ),
        (
            "waiting",
            FromHost::Waiting(Waiting {
                you: OwnLabel {
                    id: ParticipantId(300),
                    name: Text::cut("anna"),
                },
                wait_ms: 120_000,
            }),
        ),
        (
            "command_answer",
            FromHost::CommandAnswer(CommandAnswer {
                id: 300,
                verb: 7,
                done: true,
                body: Bytes::from_static(b"\x00"),
            }),
        ),
        (
            "knocks",
            FromHost::Knocks(Knocks {
                allow: Some(AccessMode::Team),
                knocks: vec![KnockInfo {
                    id: ParticipantId(4),
                    name: Text::cut("bert"),
                    identity: [7; 32],
                    holds: Some(AdmittedBy::Code(7)),
                    claims: vec![Text::cut("bert@example.org")],
                }],
            }),
        ),
        (
            "notice",
            FromHost::Notice(Notice {
                what: Some(NoticeKind::HostTerminal(HostTerminal::Left)),
            }),
        ),
    ];
    let payload = Bytes::from_static(b"payload");
    let input = IntentMsg {
        id: 1,
        waited_ms: 20,
        edit_epoch: 1,
        what: Intent::Keys {
            track: TrackId(0),
            bytes: Bytes::from_static(b"ls\r"),
        },
    };
    let intent = |id, what| {
        Any::Input(IntentMsg {
            id,
            waited_ms: 0,
            edit_epoch: 1,
            what,
        })
    };
    let entry = Entry {
        number: 7,
        key: Text::cut("plan"),
        json: Bytes::from_static(b"{}"),
    };
    let state = LogState {
        next: 8,
        entries: vec![entry.clone()],
    };
    let mut entries = BytesMut::new();
    entry.encode(&mut entries);
    let streams = [
        (
            "intent_open",
            intent(
                2,
                Intent::Open {
                    title: Text::cut("logs"),
                },
            ),
        ),
        (
            "intent_close",
            intent(3, Intent::Close { track: TrackId(2) }),
        ),
        (
            "intent_converse",
            intent(
                4,
                Intent::Converse {
                    track: TrackId(3),
                    request: ConversationRequest::Answer {
                        question: 7,
                        answer: Answer::Choice("allow".to_owned()),
                    },
                },
            ),
        ),
        (
            "log_snapshot",
            Any::Track(TrackMsg::Snapshot(SnapshotMsg {
                number: 200,
                echoed: 0,
                payload: state.encode(),
                chain: Some(ChainHead([8; 32])),
            })),
        ),
        (
            "log_frame",
            Any::Track(TrackMsg::Frame(FrameMsg {
                number: 201,
                echoed: 0,
                reset: false,
                payload: entries.freeze(),
            })),
        ),
        (
            "input_open",
            Any::InputStream(InputStream {
                join: JoinId([1; 16]),
            }),
        ),
        ("input", Any::Input(input)),
        (
            "track_open",
            Any::Track(TrackMsg::Open {
                track: TrackId(0),
                epoch: 3,
                kind: TrackKind::Log,
            }),
        ),
        (
            "snapshot",
            Any::Track(TrackMsg::Snapshot(SnapshotMsg {
                number: 200,
                echoed: 3,
                payload: payload.clone(),
                chain: Some(ChainHead([9; 32])),
            })),
        ),
        ("checkpoint", Any::Track(TrackMsg::Checkpoint(checkpoint()))),
        (
            "frame",
            Any::Track(TrackMsg::Frame(FrameMsg {
                number: 201,
                echoed: 4,
                reset: true,
                payload: payload.clone(),
            })),
        ),
        (
            "history_request",
            Any::Request(HistoryRequest {
                track: TrackId(0),
                from: 1000,
                count: 50,
            }),
        ),
        (
            "history_reply",
            Any::Reply(HistoryReply {
                first: 1000,
                count: 50,
                settled: 2000,
                payload,
            }),
        ),
    ];
    let viewer = viewer.map(|(name, message)| (name, Any::Viewer(message)));
    let host = host.map(|(name, message)| (name, Any::Host(message)));
    viewer.into_iter().chain(host).chain(streams).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_message_has_the_bytes_it_always_had() {
    let golden = include_str!("messages.golden");
    let made: Vec<String> = samples()
        .iter()
        .map(|(name, any)| format!("{name} {}", hex(&any.encode())))
        .collect();
    for (made, golden) in made.iter().zip(golden.lines()) {
        assert_eq!(
            made, golden,
            "the wire format changed: that needs a new version"
        );
    }
    assert_eq!(made.len(), golden.lines().count(), "{}", made.join("\n"));
}

#[test]
fn every_message_comes_back() {
    for (name, any) in samples() {
        assert_eq!(any.decode_like(&any.encode()), Ok(Some(any)), "{name}");
    }
}

#[test]
fn a_part_of_a_message_is_waited_for() {
    for (name, any) in samples() {
        let bytes = any.encode();
        for end in 0..bytes.len() {
            assert_eq!(any.decode_like(&bytes[..end]), Ok(None), "{name} {end}");
        }
    }
}

/// Bytes of a snapshot's last field.
const CHAIN: usize = 33;

#[test]
fn a_payload_cut_short_is_refused() {
    for (name, any) in samples() {
        let bytes = any.encode();
        let (tag, payload) = (bytes[4], &bytes[5..]);
        for end in 0..payload.len() {
            let mut shorter = BytesMut::new();
            encode_message(&mut shorter, tag, &payload[..end]);
            let read = any.decode_like(&shorter);
            // A host may say nothing of its chain.
            let chainless =
                ["snapshot", "log_snapshot"].contains(&name) && end + CHAIN == payload.len();
            assert_eq!(read.is_err(), !chainless, "{name} {end}");
        }
    }
}

#[test]
fn what_a_newer_version_added_to_a_message_is_skipped() {
    for (name, any) in samples() {
        let bytes = any.encode();
        let (tag, payload) = (bytes[4], &bytes[5..]);
        let mut longer = BytesMut::new();
        encode_message(&mut longer, tag, &[payload, b"a field more"].concat());
        assert_eq!(any.decode_like(&longer), Ok(Some(any)), "{name}");
    }
}

#[test]
fn an_intent_of_a_newer_version_keeps_its_number() {
    let newer = Any::Input(IntentMsg {
        id: 9,
        waited_ms: 1,
        edit_epoch: 2,
        what: Intent::Unknown(77),
    });
    assert_eq!(newer.decode_like(&newer.encode()), Ok(Some(newer)));
}

#[test]
fn a_state_a_kind_or_a_mode_of_a_newer_version_reaches_the_viewer_as_unknown() {
    let info = TrackInfo {
        id: TrackId(1),
        kind: TrackKind::Unknown(200),
        title: Text::cut("x"),
        state: TrackState::Unknown(9),
        opener: ParticipantId(0),
        cols: 0,
        rows: 0,
        visible_from: 0,
    };
    let any = Any::Host(FromHost::Tracks(TracksChange {
        changed: vec![info],
        gone: vec![],
    }));
    assert_eq!(any.decode_like(&any.encode()), Ok(Some(any)));
    let read = FromHost::decode(tag::host::KNOCKS, &[77, 0]);
    let knocks = Knocks {
        allow: None,
        knocks: vec![],
    };
    assert_eq!(read, Ok(FromHost::Knocks(knocks)));
}

/// Nobody needs a newer version for checkpoints: one without them skips the message and the field, and one
/// with them takes a snapshot that says nothing of a chain.
#[test]
fn versions_with_and_without_checkpoints_read_each_other() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Before {
        number: u64,
        echoed: u64,
        payload: Bytes,
    }
    let payload = Bytes::from_static(b"state");
    let now = SnapshotMsg {
        number: 5,
        echoed: 1,
        payload: payload.clone(),
        chain: Some(ChainHead([3; 32])),
    };
    let before = Before {
        number: 5,
        echoed: 1,
        payload,
    };
    let new = Any::Track(TrackMsg::Snapshot(now.clone())).encode();
    assert_eq!(growing::from_bytes::<Before>(&new[5..]), Ok(before));
    let old = postcard::to_allocvec(&growing::from_bytes::<Before>(&new[5..]).unwrap()).unwrap();
    let read = TrackMsg::decode(tag::track::SNAPSHOT, &old).unwrap();
    assert_eq!(read, TrackMsg::Snapshot(SnapshotMsg { chain: None, ..now }));
    // A later version says more behind the signature.
    let mut more = Any::Track(TrackMsg::Checkpoint(checkpoint())).encode()[5..].to_vec();
    more.extend_from_slice(b"more");
    let read = TrackMsg::decode(tag::track::CHECKPOINT, &more);
    assert_eq!(read, Ok(TrackMsg::Checkpoint(checkpoint())));
}

#[test]
fn every_flipped_bit_is_another_message_or_refused() {
    for (name, any) in samples() {
        let bytes = any.encode();
        for bit in 0..bytes.len() * 8 {
            let mut mutated = bytes.to_vec();
            mutated[bit / 8] ^= 1 << (bit % 8);
            if let Ok(Some(read)) = any.decode_like(&mutated) {
                assert_ne!(read, any, "{name} bit {bit}");
            }
        }
    }
}

#[test]
fn a_message_number_of_the_future_is_skipped() {
    assert_eq!(
        FromViewer::decode(63, b"anything"),
        Ok(FromViewer::Unknown(63))
    );
    assert_eq!(
        FromHost::decode(127, b"anything"),
        Ok(FromHost::Unknown(127))
    );
    assert_eq!(
        TrackMsg::decode(191, b"anything"),
        Ok(TrackMsg::Unknown(191))
    );
    assert_eq!(IntentMsg::decode(159, b"anything"), Ok(None));
}

#[test]
fn what_is_over_its_bound_is_refused_whatever_its_bytes() {
    let long = |length: usize| Bytes::from(vec![b'x'; length]);
    let proof = |length| GrantProof {
        grant: long(length),
        proof: signature(1),
    };
    let over = [
        Any::Viewer(FromViewer::Redeem(proof(limits::MAX_GRANT + 1))),
        Any::Viewer(FromViewer::Resume(Resume {
            versions: VersionRange::OURS,
            padding: long(limits::MAX_PADDING + 1),
            track: None,
        })),
        Any::Viewer(FromViewer::Subscribe(Subscribe {
            follow: true,
            tracks: vec![TrackId(1); limits::MAX_SUBSCRIPTIONS + 1],
        })),
        Any::Host(FromHost::Activity(Activity {
            tracks: vec![TrackId(1); limits::MAX_TRACKS_PART + 1],
        })),
        Any::Host(FromHost::Tracks(TracksChange {
            changed: vec![],
            gone: vec![TrackId(1); limits::MAX_TRACKS_PART + 1],
        })),
        Any::Host(FromHost::Grant(GrantPush {
            grant: long(limits::MAX_GRANT + 1),
        })),
        Any::Input(IntentMsg {
            id: 1,
            waited_ms: 0,
            edit_epoch: 0,
            what: Intent::Keys {
                track: TrackId(0),
                bytes: long(limits::MAX_INPUT + 1),
            },
        }),
        Any::Host(FromHost::Roster(RosterChange {
            changed: Vec::new(),
            gone: vec![ParticipantId(1); limits::MAX_ROSTER_PART + 1],
        })),
        Any::Host(FromHost::Knocks(Knocks {
            allow: Some(AccessMode::Link),
            knocks: vec![
                KnockInfo {
                    id: ParticipantId(1),
                    name: Text::cut(""),
                    identity: [0; 32],
                    holds: None,
                    claims: Vec::new(),
                };
                limits::MAX_KNOCKS + 1
            ],
        })),
        Any::Request(HistoryRequest {
            track: TrackId(0),
            from: 0,
            count: limits::MAX_HISTORY_LINES + 1,
        }),
        Any::Reply(HistoryReply {
            first: 0,
            count: limits::MAX_HISTORY_LINES + 1,
            settled: 0,
            payload: Bytes::new(),
        }),
    ];
    for any in over {
        assert!(any.decode_like(&any.encode()).is_err(), "{any:?}");
    }
    let Any::Viewer(FromViewer::Hello(mut hello)) = samples().remove(0).1 else {
        panic!()
    };
    let read = |hello: &Hello| {
        let hello = Any::Viewer(FromViewer::Hello(Box::new(hello.clone())));
        hello.decode_like(&hello.encode())
    };
    let claim = |len| Bytes::from(vec![7; len]);
    hello.grants = vec![proof(limits::MAX_GRANT); limits::MAX_GRANTS_IN_HELLO];
    hello.claims = vec![claim(limits::MAX_CLAIM); limits::MAX_CLAIMS_IN_HELLO];
    assert!(read(&hello).is_ok(), "the largest hello there is");
    hello.claims.push(claim(0));
    assert!(read(&hello).is_err());
    hello.claims = vec![claim(limits::MAX_CLAIM + 1)];
    assert!(read(&hello).is_err());
    hello.claims.clear();
    assert!(read(&hello).is_ok());
    hello.grants.push(proof(1));
    assert!(read(&hello).is_err());
}

#[test]
fn text_over_its_bound_is_cut_when_made_and_refused_when_read() {
    let text: Text<4> = Text::cut("äöüßx");
    assert_eq!(text.as_str(), "äöüß");
    let read = |characters| {
        let bytes = postcard::to_allocvec(&"x".repeat(characters)).unwrap();
        postcard::from_bytes::<Text<{ limits::MAX_SENTENCE }>>(&bytes)
    };
    assert!(read(limits::MAX_SENTENCE).is_ok());
    assert!(read(limits::MAX_SENTENCE + 1).is_err());
}

fn entry(number: u64, length: usize) -> Entry {
    Entry {
        number,
        key: Text::cut("k"),
        json: Bytes::from(vec![b'x'; length]),
    }
}

#[test]
fn entries_of_a_log_are_bounded_and_in_order() {
    let read = |entries: &[Entry]| {
        let mut out = BytesMut::new();
        for entry in entries {
            entry.encode(&mut out);
        }
        Entry::decode_all(&out)
    };
    let good = [entry(1, 3), entry(7, limits::MAX_ENTRY)];
    assert_eq!(read(&good), Ok(good.to_vec()));
    assert!(read(&[entry(1, limits::MAX_ENTRY + 1)]).is_err());
    assert!(read(&[entry(7, 1), entry(7, 1)]).is_err());
    assert!(read(&[entry(7, 1), entry(1, 1)]).is_err());
    let mut out = BytesMut::new();
    entry(7, 3).encode(&mut out);
    for end in 1..out.len() {
        assert!(Entry::decode_all(&out[..end]).is_err(), "{end}");
    }
}

#[test]
fn the_state_of_a_log_is_bounded_and_holds_nothing_to_come() {
    let state = |next, entries: Vec<Entry>| LogState { next, entries };
    let good = state(8, vec![entry(1, 3), entry(7, 0)]);
    assert_eq!(LogState::decode(&good.encode()), Ok(good.clone()));
    assert!(LogState::decode(&state(7, good.entries).encode()).is_err());
    let many = (0..=limits::MAX_FOLDED as u64).map(|number| entry(number, 0));
    assert!(LogState::decode(&state(1000, many.collect()).encode()).is_err());
    assert!(LogState::decode(&[0; 7]).is_err());
}

#[test]
fn a_list_that_claims_to_be_huge_costs_nothing() {
    // A roster of four billion participants, in nine bytes.
    let payload = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0];
    assert!(FromHost::decode(tag::host::ROSTER, &payload).is_err());
    assert!(TrackMsg::decode(tag::track::FRAME, &[1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
}

#[test]
fn limits_agree_with_what_they_bound() {
    const { assert!(limits::MAX_GRANTS_IN_HELLO * limits::MAX_GRANT < 20 * 1024) };
    const { assert!(limits::MAX_CLAIMS_IN_HELLO * limits::MAX_CLAIM <= 32 * 1024) };
    const { assert!(limits::MAX_INPUT < limits::MAX_CONTROL_MESSAGE) };
    // A title of four bytes a character, and what else is said of a track.
    const {
        assert!(limits::MAX_TRACKS_PART * (4 * limits::MAX_NAME + 64) < limits::MAX_CONTROL_MESSAGE)
    };
    const { assert!(limits::MAX_TRACKS + 16 <= limits::MAX_TRACKS_PART) };
}

#[test]
fn only_known_stream_kinds_are_read() {
    for kind in [
        StreamKind::Control,
        StreamKind::Input,
        StreamKind::Track,
        StreamKind::History,
    ] {
        assert_eq!(StreamKind::from_byte(kind as u8), Some(kind));
    }
    assert_eq!((0..=255).filter_map(StreamKind::from_byte).count(), 4);
}

proptest! {
    #[test]
    fn frames_come_back_whatever_they_hold(
        number: u64, echoed: u64, reset: bool, payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let payload = Bytes::from(payload);
        let frame = Any::Track(TrackMsg::Frame(FrameMsg {
            number, echoed, reset, payload: payload.clone(),
        }));
        prop_assert_eq!(frame.decode_like(&frame.encode()), Ok(Some(frame)));
        let snapshot = Any::Track(TrackMsg::Snapshot(SnapshotMsg {
            number, echoed, payload, chain: reset.then_some(ChainHead([7; 32])),
        }));
        prop_assert_eq!(snapshot.decode_like(&snapshot.encode()), Ok(Some(snapshot)));
    }

    #[test]
    fn inputs_come_back_whatever_they_hold(
        id: u64, waited_ms: u32, bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let input = Any::Input(IntentMsg {
            id,
            waited_ms,
            edit_epoch: waited_ms,
            what: Intent::Keys { track: TrackId(0), bytes: bytes.into() },
        });
        prop_assert_eq!(input.decode_like(&input.encode()), Ok(Some(input)));
    }

    #[test]
    fn names_come_back_whatever_they_hold(name: String, id: u32, identity: [u8; 32]) {
        let info = ParticipantInfo {
            id: ParticipantId(id), name: Text::cut(&name), identity,
            rights: Rights::MANAGE, host: true, here: false, silent: true, types: true,
        };
        let roster = Any::Host(FromHost::Roster(RosterChange { changed: vec![info], gone: vec![] }));
        prop_assert_eq!(roster.decode_like(&roster.encode()), Ok(Some(roster)));
    }

    #[test]
    fn any_payload_under_any_number_is_read_or_refused(
        tag: u8, payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = FromViewer::decode(tag, &payload);
        let _ = FromHost::decode(tag, &payload);
        let _ = InputStream::decode(tag, &payload);
        let _ = IntentMsg::decode(tag, &payload);
        let _ = TrackMsg::decode(tag, &payload);
        let _ = HistoryRequest::decode(tag, &payload);
        let _ = HistoryReply::decode(tag, &payload);
        let _ = Entry::decode_all(&payload);
        let _ = LogState::decode(&payload);
    }
}
