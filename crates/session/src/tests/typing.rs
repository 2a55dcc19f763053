//! Input: once, in order, or not at all and said so.

use bytes::{Bytes, BytesMut};
use pillion_proto::{
    InputStream, Intent, IntentMsg, JoinId, Rights,
    limits::{MAX_INPUT, MAX_UNCONFIRMED_INPUT},
};

use super::harness::*;
use crate::{Command, HostInput, Stream, Target, ViewerInput, verbs};

fn editor(world: &mut World) -> usize {
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    anna
}

#[test]
fn what_was_sent_before_the_connection_broke_is_typed_once() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    world.types(anna, "a");
    // Sent and written, but the host's word of it is lost.
    world.seats[anna].reads = false;
    world.types(anna, "b");
    // Not even sent.
    world.seats[anna].silent = true;
    world.types(anna, "c");
    world.seats[anna].silent = false;
    world.seats[anna].reads = true;
    world.cut(anna);
    world.advance_ms(1000);
    assert_eq!(world.program.input, b"abc");
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
    world.types(anna, "d");
    assert_eq!(world.program.input, b"abcd");
}

/// World 22880 of the simulation: stopping took every grant back, and nobody's tenure ended by it.
#[test]
fn what_was_typed_before_sharing_stopped_is_not_written_when_it_goes_on() {
    let mut world = World::shared();
    // She comes back without the ticket, which is another one then.
    world
        .command(Command::Allow(verbs::Allow {
            target: secret(10).public().into(),
            rights: Rights::VIEW,
        }))
        .unwrap();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    world.seats[anna].online = false;
    world.cut(anna);
    world.types(anna, "old");
    world.command(Command::Stop(verbs::Stop {})).unwrap();
    world.share();
    // Another window of hers comes with a right of now.
    let (token, _) = world.token(1, None);
    let mut config = world.viewer_config(10, "anna");
    config.join = JoinId([77; 16]);
    config.grants = vec![presented(&token)];
    world.join_with(config);
    world.seats[anna].online = true;
    world.advance_ms(4_900);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    assert_eq!(String::from_utf8_lossy(&world.program.input), "");
    world.types(anna, "new");
    assert_eq!(world.program.input, b"new");
}

#[test]
fn what_waited_more_than_five_seconds_for_a_connection_is_dropped_and_said() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    world.seats[anna].online = false;
    world.cut(anna);
    world.types(anna, "old");
    world.advance_ms(5_100);
    world.types(anna, "new");
    world.seats[anna].online = true;
    world.advance_ms(4_900);
    assert_eq!(world.program.input, b"new");
    assert!(world.seats[anna].was_told("LostWhileAway"));
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
    world.types(anna, "!");
    assert_eq!(world.program.input, b"new!");
}

#[test]
fn what_was_typed_before_a_revocation_is_not_typed_after_a_new_grant() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    world.seats[anna].stalled = vec![Stream::Input { epoch: 0 }];
    world.types(anna, "rm");
    world
        .command(Command::Revoke(verbs::Revoke {
            target: Target::All,
        }))
        .unwrap();
    world.seats[anna].stalled.clear();
    world.tick();
    assert!(world.program.input.is_empty());
    assert!(world.seats[anna].was_told("Dropped"));
    world.grant_edit("anna").unwrap();
    world.types(anna, "ls");
    assert_eq!(world.program.input, b"ls");
}

#[test]
fn input_on_a_stuck_stream_is_sent_again_on_a_new_one_and_typed_once() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    world.types(anna, "a");
    world.seats[anna].stalled = vec![Stream::Input { epoch: 0 }];
    world.types(anna, "b");
    // The host is heard: the program writes.
    for _ in 0..15 {
        world.advance_ms(100);
        world.prints(".");
    }
    assert_eq!(world.program.input, b"ab");
    world.seats[anna].stalled.clear();
    world.types(anna, "c");
    assert_eq!(world.program.input, b"abc");
}

#[test]
fn a_paste_waits_at_the_viewer_until_the_program_reads_and_is_typed_whole() {
    let mut world = World::shared();
    world.program.echoes = false;
    let anna = editor(&mut world);
    world.program.deaf = true;
    let paste: String = (0..100_000).map(|n| format!("{n:06}\n")).collect();
    world.types(anna, &paste);
    assert!(world.program.input.len() <= MAX_UNCONFIRMED_INPUT);
    world.types(anna, &"x".repeat(400_000));
    assert!(!world.seats[anna].viewer.takes_keys());
    // Far longer than anything may wait for a connection.
    world.advance_ms(60_000);
    assert!(world.program.input.len() <= MAX_UNCONFIRMED_INPUT);
    world.program_reads();
    world.advance_ms(1000);
    assert_eq!(world.program.input.len(), paste.len() + 400_000);
    assert!(world.program.input.starts_with(paste.as_bytes()));
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
    assert!(world.seats[anna].viewer.takes_keys());
    assert_eq!(world.seats[anna].said().len(), 1, "that she may type");
}

#[test]
fn a_driver_that_goes_on_reading_is_refused_with_a_sentence() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    world.program.deaf = true;
    world.types(anna, &"y".repeat(1_200_000));
    assert!(world.seats[anna].was_told("NotTyped(TooMuch)"));
    assert!(world.program.input.is_empty());
}

#[test]
fn nothing_of_several_editors_is_lost_to_a_program_that_does_not_read() {
    let mut world = World::shared();
    world.program.echoes = false;
    world.program.deaf = true;
    for seed in 10..16 {
        let mut config = world.viewer_config(seed, &format!("editor{seed}"));
        config.join = JoinId([seed; 16]);
        let seat = world.join_with(config);
        world.grant_edit(&format!("editor{seed}")).unwrap();
        world.types(seat, &"z".repeat(400_000));
    }
    assert!(world.program.input.len() <= 6 * MAX_UNCONFIRMED_INPUT);
    world.program_reads();
    world.advance_ms(1000);
    assert_eq!(world.program.input.len(), 6 * 400_000);
    assert!((0..6).all(|seat| world.seats[seat].viewer.view().unconfirmed == 0));
}

#[test]
fn what_waits_for_one_person_is_bounded_and_said() {
    let mut world = World::shared();
    world.program.echoes = false;
    let mut seats = vec![editor(&mut world)];
    world.program.deaf = true;
    for run in 1..6 {
        let mut config = world.viewer_config(10, "anna");
        config.join = JoinId([100 + run; 16]);
        seats.push(world.join_with(config));
    }
    for seat in &seats {
        world.types(*seat, &"z".repeat(250_000));
    }
    assert!(world.program.input.len() <= 4 * MAX_UNCONFIRMED_INPUT);
    let bert = world.join(11, "bert");
    world.grant_edit("bert").unwrap();
    world.types(bert, &"b".repeat(250_000));
    assert!(world.program.input.ends_with(&[b'b'; 250_000]));
    world.program_reads();
    world.advance_ms(1000);
    assert!(world.seats[seats[5]].was_told("NotRead"));
    assert!(
        seats
            .iter()
            .all(|seat| world.seats[*seat].viewer.view().unconfirmed == 0)
    );
}

#[test]
fn more_than_may_wait_to_be_confirmed_ends_the_connection() {
    let mut world = World::shared();
    world.program.echoes = false;
    let anna = editor(&mut world);
    world.program.deaf = true;
    let paste = Bytes::from(vec![b'x'; MAX_INPUT]);
    let ids: Vec<u64> = (1..=(MAX_UNCONFIRMED_INPUT / MAX_INPUT) as u64 + 1).collect();
    forged_input(&mut world, anna, 5, 10, &ids, &paste);
    assert_eq!(world.program.input.len(), MAX_UNCONFIRMED_INPUT);
    assert!(world.seats[anna].ended().is_some());
}

#[test]
fn what_an_interrupt_threw_away_is_not_said_to_be_typed() {
    let mut world = World::shared();
    world.program.echoes = false;
    let anna = editor(&mut world);
    let bert = world.join(11, "bert");
    world.grant_edit("bert").unwrap();
    world.program.deaf = true;
    world.types(anna, "a paste");
    world.types(bert, "another");
    let upto = *world.program.unconfirmed.back().unwrap();
    world.types(bert, "\x03");
    world.host(HostInput::Discarded {
        track: TERMINAL,
        upto,
    });
    world.program.unconfirmed.retain(|seq| *seq > upto);
    world.tick();
    for seat in [anna, bert] {
        assert!(world.seats[seat].was_told("Interrupted"));
    }
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
    assert_eq!(world.seats[bert].viewer.view().unconfirmed, 1);
    world.program_reads();
    world.advance_ms(100);
    assert_eq!(world.seats[bert].viewer.view().unconfirmed, 0);
    world.types(anna, "on");
    world.advance_ms(100);
    assert!(world.program.input.ends_with(b"on"));
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
}

#[test]
fn frames_say_what_was_echoed_fifty_milliseconds_after_the_write() {
    let mut world = World::shared();
    world.program.echoes = false;
    let anna = editor(&mut world);
    world.advance_ms(500);
    let frame = |world: &World| world.seats[anna].viewer.view().frame;
    let before = frame(&world);
    world.types(anna, "x");
    world.advance_ms(45);
    world.prints("too soon");
    world.advance_ms(2);
    assert_eq!((frame(&world), world.echoed()), (before + 1, 0));
    world.advance_ms(10);
    world.prints("now");
    world.advance_ms(2);
    assert_eq!((frame(&world), world.echoed()), (before + 2, 1));
    world.advance_ms(1000);
    assert_eq!(frame(&world), before + 2, "it was said");
    world.assert_same_screen(anna);
}

#[test]
fn a_frame_for_what_was_echoed_alone_is_made_once_nobody_types_on() {
    let mut world = World::shared();
    world.program.echoes = false;
    let anna = editor(&mut world);
    world.advance_ms(500);
    let frame = |world: &World| world.seats[anna].viewer.view().frame;
    let before = frame(&world);
    world.types(anna, "x");
    world.advance_ms(200);
    assert_eq!(frame(&world), before);
    // Nothing changed on the screen: an empty frame says it.
    world.advance_ms(60);
    assert_eq!((frame(&world), world.echoed()), (before + 1, 1));
    world.advance_ms(1000);
    assert_eq!(frame(&world), before + 1);
    world.assert_same_screen(anna);
    // With every key's echo goes what the key before brought, and no frame in between.
    world.program.echoes = true;
    for _ in 0..10 {
        world.types(anna, "y");
        world.advance_ms(60);
    }
    assert_eq!((frame(&world), world.echoed()), (before + 11, 10));
    world.assert_same_screen(anna);
}

#[test]
fn who_typed_is_in_the_log_with_the_grant_that_allowed_it() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    world.types(anna, "ls");
    let typed = world
        .logged()
        .into_iter()
        .find(|event| event["event"] == "typing")
        .unwrap();
    let granted = world
        .logged()
        .into_iter()
        .find(|event| event["event"] == "granted")
        .unwrap();
    assert_eq!(
        (&typed["id"], &typed["grant"]),
        (&1.into(), &granted["grant"])
    );
}

/// Bytes on a viewer's input stream that its own state machine would not send.
fn forged(world: &mut World, seat: usize, epoch: u32, join: u8, ids: &[u64]) {
    forged_input(world, seat, epoch, join, ids, &Bytes::from_static(b"!"));
}

fn forged_input(world: &mut World, seat: usize, epoch: u32, join: u8, ids: &[u64], bytes: &Bytes) {
    let keys = Intent::Keys {
        track: TERMINAL,
        bytes: bytes.clone(),
    };
    let intents: Vec<(u64, Intent)> = ids.iter().map(|id| (*id, keys.clone())).collect();
    forged_intents(world, seat, epoch, join, &intents);
}

fn forged_intents(world: &mut World, seat: usize, epoch: u32, join: u8, intents: &[(u64, Intent)]) {
    let mut out = BytesMut::new();
    InputStream {
        join: JoinId([join; 16]),
    }
    .encode(&mut out);
    let conn = world.seats[seat].conn.unwrap();
    let edit_epoch = world.host.tenure_for_tests(conn);
    for (id, what) in intents {
        IntentMsg {
            id: *id,
            waited_ms: 0,
            edit_epoch,
            what: what.clone(),
        }
        .encode(&mut out);
    }
    world.host(HostInput::Received {
        conn,
        stream: Stream::Input { epoch },
        bytes: out.freeze(),
    });
}

#[test]
fn an_intent_of_a_newer_version_is_refused_and_what_follows_is_typed() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    let keys = |keys: &'static [u8]| Intent::Keys {
        track: TERMINAL,
        bytes: Bytes::from_static(keys),
    };
    let intents = [(1, keys(b"a")), (2, Intent::Unknown(77)), (3, keys(b"b"))];
    forged_intents(&mut world, anna, 5, 10, &intents);
    assert_eq!(world.program.input, b"ab");
    assert!(world.seats[anna].was_told("NotKnownHere"));
    assert!(world.seats[anna].ended().is_none());
}

#[test]
fn a_repeated_input_is_typed_once_and_a_gap_ends_the_connection() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    forged(&mut world, anna, 5, 10, &[1, 2, 2, 1]);
    assert_eq!(world.program.input, b"!!");
    forged(&mut world, anna, 6, 10, &[4]);
    assert_eq!(world.program.input, b"!!");
    assert!(world.seats[anna].ended().unwrap().0.contains("Malformed"));
}

#[test]
fn input_in_the_name_of_another_run_ends_the_connection() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    forged(&mut world, anna, 5, 11, &[1]);
    assert!(world.program.input.is_empty());
    assert!(world.seats[anna].ended().is_some());
}

#[test]
fn a_viewer_that_sends_input_without_the_right_is_told_and_nothing_is_typed() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    forged(&mut world, anna, 0, 10, &[1, 2, 3, 700]);
    assert!(world.program.input.is_empty());
    assert!(world.seats[anna].was_told("Some(MayNotType)"));
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
}

#[test]
fn two_editors_are_numbered_in_one_count() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    let bert = world.join(11, "bert");
    world.grant_edit("bert").unwrap();
    for _ in 0..3 {
        world.types(anna, "a");
        world.types(bert, "b");
    }
    world.advance_ms(300);
    assert_eq!(world.program.input, b"ababab");
    assert_eq!(world.echoed(), 6);
}

#[test]
fn a_restarted_host_starts_the_count_anew() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    world.types(anna, "abc");
    world.types(anna, "d");
    let mut restarted = config();
    restarted.ledger = replayed(&world.ledger());
    restarted.link = world.kept_link();
    let seats = std::mem::take(&mut world.seats);
    let mut world = World::sharing(restarted);
    world.seats = seats;
    world.cut(anna);
    world.advance_ms(1000);
    world.types(anna, "x");
    assert_eq!(world.program.input, b"x");
}

#[test]
fn hints_for_who_may_not_type_come_once_in_a_while() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    for _ in 0..100 {
        world.types(anna, "x");
        world.advance_ms(10);
    }
    assert_eq!(world.seats[anna].said().len(), 1);
}

#[test]
fn the_largest_single_input_fits() {
    let mut world = World::shared();
    world.program.echoes = false;
    let anna = editor(&mut world);
    world.viewer(anna, ViewerInput::Keys(Bytes::from(vec![b'x'; MAX_INPUT])));
    assert_eq!(world.program.input.len(), MAX_INPUT);
}

#[test]
fn who_types_is_told_to_the_others_for_two_seconds() {
    let mut world = World::shared();
    let anna = editor(&mut world);
    let bert = world.join(11, "bert");
    world.grant_edit("bert").unwrap();
    let typing = |world: &World, seat: usize| {
        let roster = &world.seats[seat].viewer.view().roster;
        let typing = roster.iter().filter(|one| one.types);
        let names: Vec<String> = typing.map(|one| one.name.as_str().to_owned()).collect();
        names
    };
    world.advance_ms(1000);
    assert!(typing(&world, bert).is_empty());
    world.types(anna, "a");
    world.advance_ms(100);
    assert_eq!(typing(&world, bert), ["anna"]);
    assert_eq!(world.host.typist().map(|(_, name)| name), Some("anna"));
    // More keys are no more messages.
    let before = world.control_messages(bert);
    for _ in 0..15 {
        world.types(anna, "a");
        world.advance_ms(100);
    }
    assert_eq!(world.control_messages(bert), before);
    world.types(bert, "b");
    world.advance_ms(1000);
    assert_eq!(typing(&world, anna), ["anna", "bert"]);
    assert_eq!(world.host.typist().map(|(_, name)| name), Some("bert"));
    world.advance_ms(900);
    assert_eq!(typing(&world, anna), ["bert"]);
    world.advance_ms(300);
    assert!(typing(&world, anna).is_empty());
    assert_eq!(world.host.typist(), None);
    // Who goes types no longer.
    world.types(anna, "a");
    world.advance_ms(100);
    world.viewer(anna, ViewerInput::Leave);
    world.advance_ms(100);
    assert!(typing(&world, bert).is_empty());
}
