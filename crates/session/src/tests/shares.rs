//! What is bounded for all is bounded for each: who fills something from one network, or as one person, leaves
//! room for others.

use pillion_proto::AccessMode;
use pillion_share::Network;

use super::harness::*;
use crate::{HostConfig, HostNotice, Phase, ViewerInput, verbs};

fn address(last: u8) -> Network {
    Network::of([192, 0, 2, last].into())
}

/// Seats that are not looked at again make room: the harness has numbers for some hundred and fifty.
fn leaves(world: &mut World, seat: usize) {
    world.viewer(seat, ViewerInput::Leave);
    world.seats.truncate(seat);
}

#[test]
fn who_knocks_all_the_time_leaves_room_for_who_knocks_first() {
    let mut world = World::sharing(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    });
    // Three minutes of ever new keys from three addresses, which is all that the session's bucket gives.
    let (mut seed, mut knocked) = (20, 0);
    for _ in 0..180 {
        for from in 1..=3 {
            world.from = address(from);
            seed = if seed < 200 { seed + 1 } else { 20 };
            let seat = world.join(seed, "eve");
            knocked += usize::from(matches!(world.seats[seat].phase(), Phase::Knocking { .. }));
            leaves(&mut world, seat);
        }
        world.advance_ms(1_000);
    }
    assert!(knocked > 100, "{knocked} knocked: they fill nothing");
    world.from = address(4);
    let anna = world.join(10, "anna");
    assert!(
        matches!(world.seats[anna].phase(), Phase::Knocking { .. }),
        "{:?}",
        world.seats[anna].phase()
    );
    let heard =
        |notice: &HostNotice| matches!(notice, HostNotice::Knocked { name, .. } if name == "anna");
    assert!(world.notices.iter().any(heard));
}

#[test]
fn nobody_is_turned_away_unseen_because_another_is_all_the_time() {
    let mut world = World::shared();
    let foreign = |world: &mut World, seed: u8, name: &str| {
        let mut config = world.viewer_config(seed, name);
        config.link = Some(secret(77));
        let seat = world.join_with(config);
        world.seats.truncate(seat);
    };
    let is_logged = |world: &World, name: &str| {
        let mut away = world.logged().into_iter();
        away.any(|event| event["event"] == "turned_away" && event["name"] == name)
    };
    for second in 0..120u8 {
        world.from = address(1);
        (0..3).for_each(|n| foreign(&mut world, 20 + (second + n) % 60, "eve"));
        world.advance_ms(1_000);
    }
    world.from = address(2);
    foreign(&mut world, 10, "mallory");
    assert!(is_logged(&world, "eve") && is_logged(&world, "mallory"));
}

#[test]
fn who_is_refused_at_the_door_is_turned_away_in_the_log() {
    let mut world = World::sharing(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    });
    world.join(20, "anna");
    let target = named("anna");
    let refuse = crate::Command::TurnAway(verbs::TurnAway {
        target,
        for_good: false,
    });
    world.command(refuse).unwrap();
    // The name that `pillion audit` has words for.
    let last = world
        .logged()
        .into_iter()
        .rfind(|event| event["event"] == "turned_away");
    assert_eq!(last.unwrap()["name"], "anna", "{:?}", world.logged_kinds());
}
