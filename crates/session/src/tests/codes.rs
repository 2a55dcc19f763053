//! Who used a spoken code, and that what it gave is theirs alone.

use pillion_caps::SecretKey;
use pillion_proto::{AccessMode, AdmittedBy, Ticket};

use super::harness::*;
use crate::{
    Command, HostConfig, HostInput, HostNotice, Phase, Reply, ViewerConfig, ViewerInput, verbs,
};

/// Endpoint key of the first, second, … seat.
fn endpoint(seat: u8) -> SecretKey {
    secret(100 + seat)
}

/// The ticket that a code gives to the one who will sit there.
fn given_to(world: &World, seat: u8) -> Ticket {
    let whole: Ticket = world.ticket.parse().unwrap();
    whole.for_endpoint(endpoint(seat).public().as_bytes())
}

/// Code `number` was used by the one who will sit there; what they join with.
fn by_code(world: &mut World, number: u32, seat: u8) -> Ticket {
    let ticket = given_to(world, seat);
    let guest = endpoint(seat).public();
    world.host(HostInput::CodeUsed { number, guest });
    ticket
}

fn join_by(world: &mut World, ticket: &Ticket, seed: u8, name: &str) -> usize {
    let config = ViewerConfig {
        link: Some(SecretKey::from_bytes(&ticket.link)),
        ..world.viewer_config(seed, name)
    };
    world.join_with(config)
}

/// What each of those who came is said to have come by.
fn came_by(world: &World) -> Vec<(String, serde_json::Value)> {
    let joined = world
        .logged()
        .into_iter()
        .filter(|event| event["event"] == "joined");
    let text = |event: &serde_json::Value, name: &str| event[name].as_str().unwrap().to_owned();
    joined
        .map(|event| (text(&event, "name"), event["proof"].clone()))
        .collect()
}

/// The codes whose users never came, as it was said.
fn missed(world: &World) -> Vec<u32> {
    let missed = world.notices.iter().filter_map(|notice| match notice {
        HostNotice::CodeMissed { number } => Some(*number),
        _ => None,
    });
    missed.collect()
}

#[test]
fn whoever_used_a_code_is_known_by_it_and_comes_back_by_it() {
    let mut world = World::shared();
    let ticket = by_code(&mut world, 7, 0);
    let anna = join_by(&mut world, &ticket, 20, "anna");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.join(21, "bert");
    let Ok(Reply::Who(who)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    let proofs: Vec<AdmittedBy> = who.iter().map(|one| one.proof.by).collect();
    assert_eq!(proofs, [AdmittedBy::Code(7), AdmittedBy::Ticket]);

    world.cut(anna);
    world.advance_ms(3_600_000);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    let by = |name: &str, proof| (name.to_owned(), proof);
    let all = [
        by("anna", serde_json::json!({"code": 7})),
        by("bert", serde_json::json!("ticket")),
        by("anna", serde_json::json!({"code": 7})),
    ];
    assert_eq!(came_by(&world), all);
    assert_eq!(missed(&world), [0; 0]);
    let used = world
        .logged()
        .into_iter()
        .find(|event| event["event"] == "code_used");
    assert_eq!(used.unwrap()["code"], 7);
}

#[test]
fn what_a_code_gave_lets_nobody_else_in_and_the_host_is_told_once() {
    let mut world = World::shared();
    let ticket = by_code(&mut world, 7, 5);
    for (seed, name) in [(20, "eve"), (21, "mallory")] {
        let seat = join_by(&mut world, &ticket, seed, name);
        let (text, regular) = world.seats[seat].ended().unwrap();
        assert!(text.contains("CodeOfAnother"), "{text}");
        assert!(!regular);
    }
    let passed_on = HostNotice::CodePassedOn { number: 7 };
    let said = world.notices.iter().filter(|notice| **notice == passed_on);
    assert_eq!(said.count(), 1);
    assert!(came_by(&world).is_empty());
    // Without the code's number being remembered it holds as well.
    let unknown = given_to(&world, 5);
    let mut again = World::shared();
    let seat = join_by(&mut again, &unknown, 20, "eve");
    let (text, _) = again.seats[seat].ended().unwrap();
    assert!(text.contains("Some(Ticket)"), "{text}");
}

#[test]
fn a_host_that_began_again_still_holds_the_ticket_to_its_endpoint() {
    let mut world = World::shared();
    let ticket = given_to(&world, 0);
    let anna = join_by(&mut world, &ticket, 20, "anna");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    // By which code is forgotten, so it is only known that it is the ticket.
    assert_eq!(came_by(&world)[0].1, serde_json::json!("ticket"));
}

#[test]
fn a_new_ticket_ends_what_codes_gave() {
    let mut world = World::shared();
    let ticket = by_code(&mut world, 7, 0);
    world
        .command(Command::Ticket(verbs::Ticket { new: true }))
        .unwrap();
    let anna = join_by(&mut world, &ticket, 20, "anna");
    let (text, _) = world.seats[anna].ended().unwrap();
    assert!(text.contains("Some(Ticket)"), "{text}");
    world.advance_ms(11 * 60_000);
    assert_eq!(missed(&world), [0; 0]);
}

#[test]
fn the_host_is_told_of_a_guest_who_never_came() {
    let mut world = World::shared();
    by_code(&mut world, 7, 0);
    let ticket = by_code(&mut world, 8, 0);
    world.advance_ms(9 * 60_000);
    assert_eq!(missed(&world), [0; 0]);
    world.advance_ms(2 * 60_000);
    assert_eq!(missed(&world), [7, 8]);
    // Late is not never: the ticket is what it was.
    let anna = join_by(&mut world, &ticket, 20, "anna");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
}

#[test]
fn a_knock_says_by_which_code_it_comes() {
    let mut world = World::sharing(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    });
    let ticket = by_code(&mut world, 7, 0);
    let anna = join_by(&mut world, &ticket, 20, "anna");
    assert!(matches!(world.seats[anna].phase(), Phase::Knocking { .. }));
    let proof = world.notices.iter().find_map(|notice| match notice {
        HostNotice::Knocked { proof, .. } => Some(proof.clone()),
        _ => None,
    });
    let proof = proof.unwrap();
    assert_eq!(proof.by, AdmittedBy::Code(7));
    // The mode changes instead of an answer: what they hold is enough then.
    let mode = AccessMode::Link;
    world
        .command(Command::SetAccessMode(verbs::SetAccessMode { mode }))
        .unwrap();
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    assert_eq!(came_by(&world)[0].1, serde_json::json!({"code": 7}));
    let target = named("anna");
    world
        .command(Command::Kick(verbs::Kick { target }))
        .unwrap();
    world.viewer(anna, ViewerInput::Tick);
    assert!(world.seats[anna].ended().is_some());
}

#[test]
fn more_used_codes_than_are_remembered_cost_no_memory_and_lock_nobody_out() {
    let mut world = World::shared();
    let ticket = by_code(&mut world, 1, 0);
    for number in 0..200_u8 {
        let guest = secret(number).public();
        world.host(HostInput::CodeUsed {
            number: 1000 + u32::from(number),
            guest,
        });
    }
    let anna = join_by(&mut world, &ticket, 20, "anna");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.advance_ms(11 * 60_000);
    assert_eq!(missed(&world).len(), 64);
}
