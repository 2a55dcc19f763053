//! A build with one more field, one more message, one more right and one more kind of track talks with this one,
//! both ways. How one more verb and one more intent are answered is tested where those are.

use pillion_proto::{Right, Rights, TrackId};
use pillion_screen::LineId;

use super::harness::*;
use crate::{Command, Phase, ViewerEvent, ViewerInput, ViewerNotice, verbs};

/// All that a viewer and a host say to each other, in short.
fn talk(newer: Newer) {
    let mut world = World::shared();
    world.newer = newer;
    let second = world.opens("second");
    let log = world.opens_log("agent");
    let anna = world.join(10, "anna");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.prints("hello");
    world.assert_same_screen(anna);

    world.viewer(anna, ViewerInput::RequestEdit);
    let grant = verbs::Grant {
        target: named("anna"),
        rights: Rights::EDIT.with(Right::Open),
        ttl_ms: None,
    };
    world.command(Command::Grant(grant)).unwrap();
    world.types(anna, "keys");
    world.advance_ms(1_000);
    assert_eq!(world.program.input, b"keys");
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);

    world.looks(anna, &[second, log]);
    world.prints_on(second, "on the second");
    world.says(log, "", "1");
    world.advance_ms(1_000);
    world.assert_same_screen(anna);
    assert_eq!(world.seats[anna].viewer.log(log).unwrap().next, 1);
    let (from, count) = (LineId(0), 10);
    world.viewer(anna, ViewerInput::WantHistory { from, count });
    world.advance_ms(200);
    let read = |event: &ViewerEvent| matches!(event, ViewerEvent::History(_));
    assert!(world.seats[anna].events.iter().any(read));

    let title = "hers".to_owned();
    world.viewer(anna, ViewerInput::OpenTerminal { title });
    world.advance_ms(1_000);
    let hers = world.seats[anna]
        .viewer
        .view()
        .tracks
        .last()
        .unwrap()
        .clone();
    assert_eq!(hers.title.as_str(), "hers");

    world.cut(anna);
    world.advance_ms(1_000);
    world.assert_same_screen(anna);
    world.damage_next_frame(anna);
    world.prints_on(second, " and more");
    world.advance_ms(1_000);
    world.assert_same_screen(anna);
    assert_eq!(world.seats[anna].ended(), None);
    world.viewer(anna, ViewerInput::Leave);
    assert_eq!(world.host.viewers(), 0);
}

#[test]
fn a_viewer_talks_with_a_newer_host() {
    talk(Newer {
        host: true,
        ..Newer::default()
    });
}

#[test]
fn a_host_talks_with_a_newer_viewer() {
    talk(Newer {
        viewers: true,
        ..Newer::default()
    });
}

#[test]
fn a_viewer_joins_a_newer_host_that_shows_a_kind_it_does_not_know() {
    let mut world = World::shared();
    world.newer = Newer {
        host: true,
        viewers: false,
        kind: Some(TERMINAL),
    };
    let second = world.opens("second");
    world.prints_on(second, "on the second");
    let anna = world.join(10, "anna");
    for _ in 0..3 {
        world.prints("what a newer version shows");
        world.advance_ms(5_000);
    }
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    let said = world.seats[anna].said();
    let told = said
        .iter()
        .filter(|said| matches!(said, ViewerNotice::UnknownKind(_)));
    assert_eq!(told.count(), 1, "{said:?}");
    assert!(world.seats[anna].viewer.view().screen.is_none());
    // Everything else is as ever.
    world.looks(anna, &[second]);
    world.assert_same_screen(anna);
    world.grant_edit("anna").unwrap();
    world.types(anna, "x");
    assert_eq!(world.program_of(second).input, b"x");
    assert_eq!(world.seats[anna].ended(), None);
}

#[test]
fn a_right_of_a_newer_version_is_kept_and_gives_nothing_else() {
    let more = Rights::from_bits(Rights::VIEW.bits() | 1 << 15);
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let grant = verbs::Grant {
        target: named("anna"),
        rights: more,
        ttl_ms: None,
    };
    world.command(Command::Grant(grant)).unwrap();
    assert_eq!(world.seats[anna].right().bits() & 1 << 15, 1 << 15);
    world.types(anna, "x");
    assert!(world.program.input.is_empty());
    world.cut(anna);
    world.advance_ms(1_000);
    assert_eq!(world.seats[anna].right(), more);
}

/// A newer viewer looks at what only newer hosts have, and is told that it is not there.
#[test]
fn a_subscription_of_a_newer_viewer_is_answered() {
    let mut world = World::shared();
    world.newer.viewers = true;
    let anna = world.join(10, "anna");
    world.looks(anna, &[TrackId(40)]);
    assert!(world.seats[anna].viewer.view().follows);
    assert_eq!(world.seats[anna].ended(), None);
    world.prints("goes on");
    world.assert_same_screen(anna);
}
