//! What the host signs of what it sent, and what a viewer makes of it.

use bytes::{Bytes, BytesMut};
use pillion_caps::{
    Checkpoint, CheckpointFault, FrameChain, LineChain, SignedCheckpoint, StateDigest,
};
use pillion_proto::{FrameMsg, ProtocolError, TrackId, TrackMsg, TrackState};

use super::harness::*;
use crate::{Ending, HostInput, LogEntry, Phase, Stream, ViewerEvent, ViewerInput, ViewerNotice};

const TRACK: Stream = Stream::Track { id: 0 };

/// What the log has of checkpoints of a track, each verified.
fn signed(world: &World, id: TrackId) -> Vec<Checkpoint> {
    let key = secret(1).public();
    let checkpoints = world.log.iter().filter_map(|entry| match entry {
        LogEntry::Checkpoint { track, checkpoint } if *track == id => Some(checkpoint),
        _ => None,
    });
    checkpoints.map(|one| *one.verify(&key).unwrap()).collect()
}

fn verified(world: &World, seat: usize, id: TrackId) -> Option<u64> {
    let verified = &world.seats[seat].viewer.view().verified;
    verified.get(&id).map(|one| one.unverified().frame)
}

fn frame(world: &World, seat: usize) -> u64 {
    world.seats[seat].viewer.view().frame
}

fn said(world: &World, seat: usize) -> Vec<CheckpointFault> {
    let said = world.seats[seat].said();
    let faults = said.into_iter().filter_map(|notice| match notice {
        ViewerNotice::NotAsSigned { fault, .. } => Some(*fault),
        _ => None,
    });
    faults.collect()
}

fn send(world: &mut World, seat: usize, message: &TrackMsg) {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes);
    let (stream, bytes) = (TRACK, bytes.freeze());
    world.viewer(seat, ViewerInput::Received { stream, bytes });
}

/// Follows a chain over the frames that the log has, those that it has not being empty, up to a checkpoint.
fn chain_of_log(world: &World, id: TrackId, upto: u64) -> FrameChain {
    let mut chain = FrameChain::begin(&secret(1).public(), 0, id.0);
    let mut push = |number: u64, raw: &[u8]| {
        while chain.frame() + 1 < number {
            chain.push(&[]);
        }
        if number <= upto {
            chain.push(raw);
        }
    };
    let mut entries: Vec<u8> = Vec::new();
    for entry in &world.log {
        match entry {
            LogEntry::Frame {
                track,
                number,
                snapshot: false,
                raw,
                ..
            } if *track == id && *number <= upto => push(*number, raw),
            LogEntry::History { track, bytes, .. } if *track == id => {
                entries.extend_from_slice(bytes);
            }
            LogEntry::Entries { track, number, .. } if *track == id && *number <= upto => {
                push(*number, &std::mem::take(&mut entries));
            }
            _ => {}
        }
    }
    push(upto + 1, &[]);
    chain
}

#[test]
fn frames_are_signed_within_a_second_and_nothing_is_when_idle() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.advance_ms(2000);
    let before = signed(&world, TERMINAL).len();
    for _ in 0..30 {
        world.prints("x");
        world.advance_ms(100);
    }
    world.advance_ms(1000);
    let all = signed(&world, TERMINAL);
    assert!((3..=4).contains(&(all.len() - before)), "{all:?}");
    let newest = all.last().unwrap();
    assert_eq!(newest.frame, frame(&world, anna));
    assert_eq!(verified(&world, anna, TERMINAL), Some(newest.frame));
    assert_eq!(newest.at_unix_ms / 10_000, world.now.unix_ms / 10_000);
    world.advance_ms(60_000);
    assert_eq!(signed(&world, TERMINAL), all);
    assert_eq!(said(&world, anna), []);
}

#[test]
fn what_the_log_has_makes_the_chain_that_was_signed() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    let second = world.opens("second");
    for round in 0..70 {
        world.prints(&format!("line {round}\r\n"));
        world.prints_on(second, "x");
        world.types(anna, "k");
        world.advance_ms(1000);
    }
    for id in [TERMINAL, second] {
        let all = signed(&world, id);
        assert!(all.len() > 50, "{}", all.len());
        for one in all {
            let chain = chain_of_log(&world, id, one.frame);
            assert_eq!((chain.frame(), chain.head()), (one.frame, one.head));
        }
    }
}

#[test]
fn the_last_frames_are_signed_when_a_program_ends_and_when_sharing_does() {
    let mut world = World::shared();
    let second = world.opens("second");
    let anna = world.join(10, "anna");
    world.viewer(anna, ViewerInput::Look(vec![second]));
    world.prints_on(second, "last words");
    let state = TrackState::Exited(0);
    world.host(HostInput::Exited {
        track: second,
        state,
    });
    let newest = signed(&world, second).last().unwrap().frame;
    assert_eq!(verified(&world, anna, second), Some(newest));
    world.prints("the very last");
    world.host(HostInput::Exited {
        track: TERMINAL,
        state,
    });
    let screen = world.host.screen_for_tests(TERMINAL).canonical_bytes();
    let newest = *signed(&world, TERMINAL).last().unwrap();
    assert_eq!(newest.state, StateDigest::of(&screen));
}

#[test]
fn who_comes_while_nothing_happens_has_the_newest_checkpoint_at_once() {
    let mut world = World::shared();
    world.join(10, "anna");
    world.prints("quiet");
    world.advance_ms(5000);
    let bert = world.join(11, "bert");
    assert_eq!(verified(&world, bert, TERMINAL), Some(frame(&world, bert)));
}

#[test]
fn another_frame_under_the_same_number_is_noticed() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.prints("one");
    world.advance_ms(1500);
    let number = frame(&world, anna) + 1;
    let forged = FrameMsg {
        number,
        echoed: 0,
        reset: false,
        payload: Bytes::new(),
    };
    // What it says of it comes to the host when that has sent its own.
    world.seats[anna].silent = true;
    send(&mut world, anna, &TrackMsg::Frame(forged));
    world.prints(" two");
    world.seats[anna].silent = false;
    world.settle();
    assert!(!world.seats[anna].text().contains("two"));
    world.advance_ms(1100);
    assert_eq!(said(&world, anna), [CheckpointFault::Head]);
    world.advance_ms(1500);
    world.assert_same_screen(anna);
    assert_eq!(verified(&world, anna, TERMINAL), Some(frame(&world, anna)));
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
}

/// The chain over the lines that the log has of a terminal, up to each checkpoint, compared with it.
fn lines_signed(world: &World, id: TrackId) -> Vec<u64> {
    let mut lines = LineChain::begin(&secret(1).public(), 0, id.0);
    let mut signed = Vec::new();
    for entry in &world.log {
        match entry {
            LogEntry::History {
                track,
                first,
                count,
                bytes,
            } if *track == id => {
                assert_eq!(first.0, lines.end());
                lines.push(first.0, *count, bytes);
            }
            LogEntry::Checkpoint { track, checkpoint } if *track == id => {
                let said = checkpoint.unverified();
                assert_eq!(said.check_lines(&lines), Ok(()));
                signed.push(said.lines);
            }
            _ => {}
        }
    }
    signed
}

#[test]
fn lines_that_leave_the_screen_for_good_are_signed_within_a_second() {
    let mut world = World::shared();
    world.join(10, "anna");
    let lines: String = (0..2_000).map(|line| format!("line {line}\r\n")).collect();
    world.prints(&lines);
    world.advance_ms(1_500);
    let signed = lines_signed(&world, TERMINAL);
    let sofar = *signed.last().unwrap();
    assert!((1_400..2_000).contains(&sofar), "{signed:?}");
    // And what follows, with what was before.
    world.prints(&lines);
    world.advance_ms(1_500);
    let signed = lines_signed(&world, TERMINAL);
    assert!(*signed.last().unwrap() > sofar + 1_900, "{signed:?}");
}

/// A checkpoint as somebody else signs it.
fn by_another(world: &World, seat: usize) -> SignedCheckpoint {
    let mut one = *world.seats[seat].viewer.view().verified[&TERMINAL].unverified();
    one.frame = frame(world, seat);
    one.sign(&secret(99))
}

#[test]
fn a_second_checkpoint_that_is_wrong_ends_the_connection() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.prints("one");
    world.advance_ms(1500);
    let forged = by_another(&world, anna);
    world.seats[anna].silent = true;
    send(&mut world, anna, &TrackMsg::Checkpoint(forged));
    assert_eq!(said(&world, anna).len(), 1);
    // A state that somebody made up, and their signature again.
    let (mut term, mut encoder) = (
        pillion_screen::Terminal::new(pillion_screen::Size::clamped(4, 1)),
        pillion_screen::Encoder::new(),
    );
    encoder.encode(&mut term, false);
    let snapshot = pillion_proto::SnapshotMsg {
        number: 1000,
        echoed: 0,
        payload: encoder.snapshot().wire,
        chain: Some(pillion_caps::ChainHead([0; 32])),
    };
    send(&mut world, anna, &TrackMsg::Snapshot(snapshot));
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    send(&mut world, anna, &TrackMsg::Checkpoint(forged));
    assert_eq!(*world.seats[anna].phase(), Phase::Ended);
    let not_signed = ProtocolError::NotAsSigned {
        track: TERMINAL,
        fault: CheckpointFault::Signature,
    };
    let ended = world.seats[anna].events.iter().any(|event| {
        matches!(event, ViewerEvent::Ended { why, regular: false }
            if **why == Ending::Protocol(not_signed.clone()))
    });
    assert!(ended, "{:?}", world.seats[anna].events);
}

#[test]
fn a_log_is_signed_with_its_entries() {
    let mut world = World::shared();
    let request = 7;
    let title = "log".to_owned();
    world.host(HostInput::OpenLog { request, title });
    let id = TrackId(1);
    let anna = world.join(10, "anna");
    world.viewer(anna, ViewerInput::Look(vec![id]));
    for number in 0..40 {
        let json = Bytes::from(format!("{number}"));
        let key = format!("{}", number % 3);
        world.host(HostInput::Entry {
            track: id,
            key,
            json,
        });
        world.advance_ms(100);
    }
    world.advance_ms(1500);
    let all = signed(&world, id);
    assert!(all.len() >= 3, "{all:?}");
    for one in &all {
        let chain = chain_of_log(&world, id, one.frame);
        assert_eq!((chain.frame(), chain.head()), (one.frame, one.head));
    }
    assert_eq!(
        verified(&world, anna, id),
        all.last().map(|newest| newest.frame)
    );
    assert_eq!(said(&world, anna), []);
}
