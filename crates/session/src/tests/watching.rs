//! Frames: when they are made, who gets them, and who catches up how.

use bytes::Bytes;
use pillion_proto::PathKind;
use pillion_screen::Size;

use super::harness::*;
use crate::{HostInput, LogEntry, Phase, Stream, TtyNews, ViewerInput};

/// Output with more behind it.
fn floods(world: &mut World, text: &str) {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    world.host(HostInput::Output {
        track: TERMINAL,
        bytes,
        more: true,
    });
}

fn frame(world: &World, seat: usize) -> u64 {
    world.seats[seat].viewer.view().frame
}

fn frames_logged(world: &World) -> Vec<bool> {
    let frames = world.log.iter().filter_map(|entry| match entry {
        LogEntry::Frame { snapshot, .. } => Some(*snapshot),
        _ => None,
    });
    frames.collect()
}

#[test]
fn what_a_quiet_program_writes_is_shown_at_once() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    for word in ["one ", "two ", "three"] {
        world.prints(word);
        world.assert_same_screen(anna);
    }
}

#[test]
fn a_flood_is_shown_at_least_sixty_times_a_second_and_hardly_more() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.advance_ms(1000);
    let before = frame(&world, anna);
    for line in 0..1000 {
        floods(&mut world, &format!("line {line}\r\n").repeat(20));
        world.advance_ms(1);
    }
    let shown = frame(&world, anna) - before;
    assert!((60..=130).contains(&shown), "{shown}");
    world.prints("done");
    world.advance_ms(100);
    world.assert_same_screen(anna);
    assert!(
        world.seats[anna].track_bytes < 100_000,
        "{}",
        world.seats[anna].track_bytes
    );
}

#[test]
fn a_program_that_never_rests_does_not_get_more_than_120_frames_a_second() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.advance_ms(1000);
    let before = frame(&world, anna);
    for step in 0..2000 {
        world.prints(&step.to_string());
        world.advance_ms(1);
    }
    let shown = frame(&world, anna) - before;
    assert!((200..=16 + 2 * 121).contains(&shown), "{shown}");
}

#[test]
fn what_a_key_brings_out_of_a_restless_program_is_shown_within_a_millisecond() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    let restless = |world: &mut World, ms: u64| {
        for step in 0..ms {
            world.prints(&step.to_string());
            world.advance_ms(1);
        }
    };
    // Long enough that frames are paced.
    restless(&mut world, 500);
    for _ in 0..20 {
        restless(&mut world, 83);
        world.types(anna, "\x03");
        world.prints("^C\r\n$ ");
        world.advance_ms(1);
        let shown = world.seats[anna].text();
        assert!(shown.ends_with("^C\n$"), "{shown:?}");
    }
}

#[test]
fn a_synchronized_update_is_shown_whole_or_after_150_ms() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.advance_ms(100);
    world.prints("\x1b[?2026hhalf");
    assert_eq!(world.seats[anna].text(), "");
    world.prints(" whole\x1b[?2026l");
    assert_eq!(world.seats[anna].text(), "half whole");
    world.prints("\x1b[?2026h and more");
    world.advance_ms(140);
    assert_eq!(world.seats[anna].text(), "half whole");
    world.advance_ms(20);
    assert_eq!(world.seats[anna].text(), "half whole and more");
}

#[test]
fn nobody_is_resent_anything_when_somebody_joins() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.prints(&"text ".repeat(300));
    let before = world.seats[anna].track_bytes;
    let bert = world.join(11, "bert");
    assert_eq!(world.seats[anna].track_bytes, before);
    world.prints("x");
    assert!(world.seats[anna].track_bytes - before < 100);
    for seat in [anna, bert] {
        world.assert_same_screen(seat);
    }
}

#[test]
fn a_joiner_in_mid_output_sees_the_state_of_now() {
    let mut world = World::shared();
    world.join(10, "anna");
    world.advance_ms(500);
    floods(&mut world, "first\r\n");
    floods(&mut world, "second\r\n");
    let bert = world.join(11, "bert");
    assert_eq!(world.seats[bert].text(), "first\nsecond");
}

#[test]
fn a_viewer_that_does_not_read_is_skipped_and_catches_up_when_it_does() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let bert = world.join(11, "bert");
    world.path(bert, 1000);
    world.seats[bert].reads = false;
    let mut seed = 1u32;
    for _ in 0..300 {
        // Text that does not compress well.
        let noise: String = (0..400)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from(33 + u8::try_from((seed >> 24) % 90).unwrap())
            })
            .collect();
        world.prints(&noise);
        world.advance_ms(10);
    }
    world.assert_same_screen(anna);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    let waiting = world.waiting_for(bert);
    assert!(waiting < 64 * 1024, "{waiting}");
    world.seats[bert].reads = true;
    world.advance_ms(20_000);
    world.prints("end");
    world.advance_ms(1000);
    world.assert_same_screen(bert);
}

#[test]
fn a_stream_on_which_nothing_arrives_is_replaced() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.path(anna, 1000);
    world.seats[anna].stalled = vec![Stream::Track { id: 0 }];
    world.prints("lost on the way");
    assert_eq!(world.seats[anna].text(), "");
    // The viewer's signs of life still come through.
    world.advance_ms(2500);
    assert_eq!(world.seats[anna].text(), "lost on the way");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.prints("!");
    world.assert_same_screen(anna);
}

#[test]
fn silence_is_said_and_then_a_new_connection_is_made() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let old = world.seats[anna].conn;
    world.seats[anna].silent = true;
    world.advance_ms(1900);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.advance_ms(300);
    assert!(matches!(world.seats[anna].phase(), Phase::Stalled { .. }));
    world.prints("meanwhile");
    world.seats[anna].silent = false;
    world.advance_ms(10);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    assert_eq!(world.seats[anna].conn, old);

    world.seats[anna].silent = true;
    world.seats[anna].stalled = vec![Stream::Control, Stream::Track { id: 0 }];
    world.advance_ms(4100);
    world.seats[anna].silent = false;
    world.advance_ms(6000);
    assert_ne!(world.seats[anna].conn, old);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.assert_same_screen(anna);
}

#[test]
fn an_idle_pair_keeps_in_touch_and_makes_no_frames() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.advance_ms(500);
    let before = frame(&world, anna);
    world.advance_ms(60_000);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    assert_eq!(frame(&world, anna), before);
}

#[test]
fn a_damaged_frame_is_mended_by_a_snapshot() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.advance_ms(1000);
    world.damage_next_frame(anna);
    world.prints("one");
    world.advance_ms(600);
    world.prints("two");
    world.advance_ms(600);
    world.assert_same_screen(anna);
}

#[test]
fn a_resize_storm_ends_in_the_same_screen() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.prints(&"some words ".repeat(50));
    for step in 0..200u16 {
        let size = Size::clamped(1 + step * 5, 1 + (step * 7) % 500);
        world.host(HostInput::Resized {
            track: TERMINAL,
            size,
        });
        world.advance_ms(1);
    }
    world.host(HostInput::Resized {
        track: TERMINAL,
        size: Size::clamped(1, 1),
    });
    world.advance_ms(100);
    world.assert_same_screen(anna);
    world.host(HostInput::Resized {
        track: TERMINAL,
        size: Size::clamped(1000, 500),
    });
    world.advance_ms(2000);
    world.assert_same_screen(anna);
}

#[test]
fn terminal_queries_are_answered_by_one_terminal_only() {
    let mut world = World::shared();
    world.join(10, "anna");
    world.prints("\x1b[c");
    assert!(world.program.answers.is_empty());
    let mut headless = config();
    headless.has_tty = false;
    let mut world = World::sharing(headless);
    world.join(10, "anna");
    world.join(11, "bert");
    world.prints("\x1b[5n");
    assert_eq!(world.program.answers, b"\x1b[0n");
    world.host(HostInput::Tty(TtyNews::Attached));
    world.prints("\x1b[5n");
    assert_eq!(world.program.answers, b"\x1b[0n");
}

#[test]
fn with_nobody_watching_the_log_gets_twenty_frames_a_second() {
    let mut world = World::shared();
    let before = frames_logged(&world).len();
    for line in 0..1000 {
        floods(&mut world, &format!("line {line}\r\n"));
        world.advance_ms(1);
    }
    let logged = frames_logged(&world).len() - before;
    assert!((15..=25).contains(&logged), "{logged}");
}

#[test]
fn the_log_begins_with_a_frame_that_stands_alone_and_gets_another_each_minute() {
    let mut world = World::unshared(config());
    world.prints("not yet shared");
    assert!(frames_logged(&world).is_empty());
    world.share();
    // The frame itself, and the state after it.
    assert_eq!(frames_logged(&world), [false, true]);
    world.prints("a");
    world.advance_ms(61_000);
    world.prints("b");
    assert_eq!(frames_logged(&world), [false, true, false, false, true]);
}

#[test]
fn every_frame_in_the_log_leads_to_the_screen_as_it_is() {
    let mut world = World::shared();
    world.join(10, "anna");
    for word in ["one", " two", "\r\n", "\x1b[31mthree", "\x1b[2J"] {
        world.prints(word);
        world.advance_ms(20);
    }
    let mut decoder = pillion_screen::Decoder::new();
    for entry in &world.log {
        if let LogEntry::Frame { raw, .. } = entry {
            decoder.apply_raw(raw).unwrap();
        }
    }
    assert_eq!(
        decoder.screen(),
        Some(world.host.screen_for_tests(TERMINAL))
    );
}

#[test]
fn acknowledgements_come_once_for_all_that_came_together() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.seats[anna].reads = false;
    for _ in 0..10 {
        world.prints("x");
    }
    world.seats[anna].reads = true;
    world.viewer(anna, ViewerInput::Tick);
    world.assert_same_screen(anna);
}

#[test]
fn what_a_key_echoes_is_acknowledged_with_the_next_key() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    world.advance_ms(1_000);
    let mut before = world.seats[anna].control_said;
    let mut said = |world: &World| {
        let said = world.seats[anna].control_said;
        said - std::mem::replace(&mut before, said)
    };
    world.types(anna, "a");
    assert_eq!(said(&world), 0, "no packet for the echo alone");
    world.advance_ms(50);
    world.types(anna, "b");
    assert_eq!(said(&world), 1, "with the key");
    world.advance_ms(99);
    assert_eq!(said(&world), 0);
    world.advance_ms(2);
    assert_eq!(said(&world), 1, "nothing more was typed");
    // A second frame, or a large one, is acknowledged at once.
    world.prints("one");
    world.advance_ms(20);
    assert_eq!(said(&world), 0);
    world.prints("two");
    world.advance_ms(20);
    assert_eq!(said(&world), 1);
    let mut state = 1_u32;
    let noise: String = (0..1_800)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b' ' + (state >> 24) as u8 % 94)
        })
        .collect();
    world.prints(&noise);
    world.advance_ms(20);
    assert_eq!(said(&world), 1);
    world.assert_same_screen(anna);
}

#[test]
fn a_hundred_viewers_see_the_same_and_cost_one_encoding() {
    let mut world = World::shared();
    for seed in 0..100 {
        world.join(seed + 110, "somebody");
    }
    world.advance_ms(200);
    for line in 0..50 {
        world.prints(&format!("line {line}\r\n"));
        world.advance_ms(20);
    }
    for seat in 0..100 {
        world.assert_same_screen(seat);
    }
}

#[test]
fn an_answer_that_comes_late_is_a_lag() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let path = ViewerInput::Path {
        kind: PathKind::Direct,
        rtt_us: 10_000,
    };
    world.viewer(anna, path);
    world.advance_ms(1_300);
    let lag = |world: &World| world.seats[anna].viewer.view().lag_us;
    assert!(lag(&world) < 100_000, "{}", lag(&world));

    // What is asked after so long without a word arrives some tenths of a second later.
    world.seats[anna].silent = true;
    world.advance_ms(1_500);
    world.seats[anna].silent = false;
    world.advance_ms(10);
    assert!(
        (100_000..1_000_000).contains(&lag(&world)),
        "{}",
        lag(&world)
    );
}
