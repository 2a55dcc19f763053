//! The whole story, as two people live it.

use pillion_proto::Rights;

use super::harness::*;
use crate::{Command, Phase, ViewerInput, verbs};

#[test]
fn share_join_see_ask_type_lose_the_right_come_back_and_stop() {
    let mut world = World::shared();
    assert!(world.listening);
    world.prints("$ ");
    let anna = world.join(10, "anna");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.assert_same_screen(anna);

    world.types(anna, "no");
    assert!(world.seats[anna].was_told("NotTyped(MayNotType)"));
    assert!(world.program.input.is_empty());

    world.viewer(anna, ViewerInput::RequestEdit);
    world.grant_edit("anna").unwrap();
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    assert!(world.seats[anna].was_told("Granted { by: \"olga\", ttl_ms: 28800000 }"));

    world.types(anna, "ls");
    assert_eq!(world.program.input, b"ls");
    world.assert_same_screen(anna);
    assert_eq!(world.seats[anna].text(), "$ ls");

    world
        .command(Command::Revoke(verbs::Revoke {
            target: named("anna"),
        }))
        .unwrap();
    world.types(anna, "rm");
    assert_eq!(world.program.input, b"ls");
    assert!(world.seats[anna].was_told("Revoked { by: \"olga\" }"));

    world.cut(anna);
    world.prints("\r\nstill here");
    world.advance_ms(1000);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.assert_same_screen(anna);

    world.command(Command::Stop(verbs::Stop {})).unwrap();
    let (text, regular) = world.seats[anna].ended().unwrap();
    assert!(
        text.contains("Stopped { by: \"olga\" }") && regular,
        "{text}"
    );
    assert!(!world.listening);
}
