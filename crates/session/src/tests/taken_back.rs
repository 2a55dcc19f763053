//! Memberships that a team takes back while the session runs.

use pillion_caps::{SecretKey, UnixMillis};
use pillion_people::{Claim, Removals, Serial, TeamKey, Trust};
use pillion_proto::{AccessMode, FromViewer, JoinId, Rights};

use super::{
    harness::*,
    joining::{hello, say},
};
use crate::{
    Command, HostConfig, HostInput, HostNotice, Phase, Reply, ViewerConfig, ViewerInput, verbs,
};

const TEAM: u8 = 90;

fn team(seed: u8) -> TeamKey {
    TeamKey::new(secret(seed))
}

/// A session of this mode with the team on its list.
fn session(allow: AccessMode, right: Rights) -> World {
    let mut world = World::sharing(HostConfig { allow, ..config() });
    list(&mut world, &format!("team:{}", team(TEAM).public()), right);
    world
}

fn list(world: &mut World, who: &str, right: Rights) {
    let target = named(who);
    world
        .command(Command::Allow(verbs::Allow {
            target,
            rights: right,
        }))
        .unwrap();
}

/// A viewer with a membership of this number.
fn member(world: &World, key: &TeamKey, serial: u64, seed: u8, name: &str) -> ViewerConfig {
    let now = UnixMillis(world.now.unix_ms);
    let until = now.saturating_add(3_600_000);
    let (who, member) = (secret(seed).public(), name.parse().unwrap());
    let membership = key.admit(who, member, Serial(serial), now, until).unwrap();
    // Each seat is a window of its own.
    let run = u8::try_from(world.seats.len()).unwrap();
    ViewerConfig {
        claims: vec![Claim::Team(membership).to_bytes().into()],
        join: JoinId([run; 16]),
        ..world.viewer_config(seed, name)
    }
}

fn joins(world: &mut World, serial: u64, seed: u8, name: &str) -> usize {
    let config = member(world, &team(TEAM), serial, seed, name);
    world.join_with(config)
}

fn removals(world: &World, serials: &[u64]) -> Removals {
    let serials = serials.iter().copied().map(Serial).collect();
    let now = UnixMillis(world.now.unix_ms);
    team(TEAM).remove(now, serials).unwrap()
}

fn take_back(world: &mut World, serials: &[u64]) {
    let told = removals(world, serials);
    world.host(HostInput::Removals(vec![told]));
}

#[track_caller]
fn is_out(world: &World, seat: usize) {
    let (text, regular) = world.seats[seat].ended().unwrap();
    assert!(text.contains("MembershipRevoked") && !regular, "{text}");
}

#[track_caller]
fn is_in(world: &World, seat: usize) {
    assert_eq!(*world.seats[seat].phase(), Phase::Live);
}

#[test]
fn who_came_in_by_a_membership_alone_is_put_out_and_nobody_else_is() {
    for allow in [AccessMode::Team, AccessMode::Invited] {
        let mut world = session(allow, Rights::EDIT);
        let anna = joins(&mut world, 1, 20, "anna");
        let window = joins(&mut world, 1, 20, "anna");
        let bert = joins(&mut world, 2, 21, "bert");
        assert_eq!(world.seats[anna].right(), Rights::EDIT);
        take_back(&mut world, &[1]);
        is_out(&world, anna);
        is_out(&world, window);
        is_in(&world, bert);
        assert_eq!(world.seats[bert].right(), Rights::EDIT);
        let told = |notice: &HostNotice| matches!(notice, HostNotice::MembershipEnded { name } if name == "anna");
        assert_eq!(world.notices.iter().filter(|one| told(one)).count(), 1);
        let kinds = world.logged_kinds();
        for kind in ["taken_back", "put_out", "right"] {
            assert!(kinds.contains(&kind.to_owned()), "{kinds:?}");
        }

        // Nor does what she was given let her in, or type.
        let again = joins(&mut world, 1, 20, "anna");
        assert_ne!(*world.seats[again].phase(), Phase::Live);
        // A new membership does.
        let new = joins(&mut world, 3, 20, "anna");
        is_in(&world, new);
    }
}

#[test]
fn who_has_the_ticket_too_stays_and_loses_what_the_list_gave() {
    let mut world = session(AccessMode::Link, Rights::MANAGE);
    let anna = joins(&mut world, 1, 20, "anna");
    let bert = world.join(21, "bert");
    assert_eq!(world.seats[anna].right(), Rights::MANAGE);
    assert!(world.seats[anna].viewer.view().door.is_some());
    take_back(&mut world, &[1]);
    is_in(&world, anna);
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    assert!(world.seats[anna].was_told("MembershipRevoked"));
    assert!(world.seats[anna].viewer.view().door.is_none());
    world.types(anna, "x");
    assert_eq!(world.program.input, b"");
    is_in(&world, bert);
    assert!(!world.seats[bert].was_told("MembershipRevoked"));
    let Ok(Reply::Who(who)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    assert!(who[0].proof.claims.is_empty(), "{:?}", who[0].proof);

    // Coming back with it changes nothing.
    world.cut(anna);
    world.advance_ms(10_000);
    is_in(&world, anna);
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    assert!(world.seats[anna].was_told("Claim(Removed)"));
}

#[test]
fn what_somebody_has_by_something_else_they_keep() {
    // The host's own word.
    let mut world = session(AccessMode::Link, Rights::MANAGE);
    let anna = joins(&mut world, 1, 20, "anna");
    take_back(&mut world, &[]);
    assert_eq!(world.seats[anna].right(), Rights::MANAGE);
    world.grant_edit("anna").unwrap();
    take_back(&mut world, &[1]);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    world.types(anna, "x");
    assert_eq!(world.program.input, b"x");

    // The list, for her key.
    let mut world = session(AccessMode::Invited, Rights::VIEW);
    list(&mut world, &secret(20).public().to_string(), Rights::EDIT);
    list(
        &mut world,
        &format!("team:{}", team(TEAM).public()),
        Rights::MANAGE,
    );
    let anna = joins(&mut world, 1, 20, "anna");
    assert_eq!(world.seats[anna].right(), Rights::MANAGE);
    take_back(&mut world, &[1]);
    is_in(&world, anna);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);

    // Another team.
    let mut world = session(AccessMode::Team, Rights::VIEW);
    let other = team(91);
    list(
        &mut world,
        &format!("team:{}", other.public()),
        Rights::VIEW,
    );
    list(
        &mut world,
        &format!("team:{}", team(TEAM).public()),
        Rights::EDIT,
    );
    let mut both = member(&world, &team(TEAM), 1, 20, "anna");
    both.claims
        .extend(member(&world, &other, 1, 20, "anna").claims);
    let anna = world.join_with(both);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    take_back(&mut world, &[1]);
    is_in(&world, anna);
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
}

#[test]
fn who_was_away_meanwhile_comes_back_without_it() {
    let mut world = session(AccessMode::Link, Rights::EDIT);
    let anna = joins(&mut world, 1, 20, "anna");
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    world.viewer(anna, ViewerInput::Leave);
    take_back(&mut world, &[1]);
    // Without the claim, by the ticket: the right must not be left over.
    let again = world.join(20, "anna");
    assert_eq!(world.seats[again].right(), Rights::VIEW);
}

#[test]
fn what_the_list_gave_is_nothing_to_come_back_with_after_a_restart() {
    let mut world = session(AccessMode::Invited, Rights::EDIT);
    let anna = joins(&mut world, 1, 20, "anna");
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    world.seats[anna].online = false;
    world.restart(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    });
    let removals = vec![removals(&world, &[1])];
    world.host(HostInput::Trust(Box::new(Trust {
        issuers: Vec::new(),
        removals,
    })));
    // The same viewer, with all that it was given.
    world.seats[anna].online = true;
    world.advance_ms(20_000);
    assert!(
        matches!(world.seats[anna].phase(), Phase::Knocking { .. }),
        "{:?}",
        world.seats[anna].phase()
    );
}

#[test]
fn who_waits_at_the_door_waits_without_it() {
    // Not listed: she knocks, as a member of a team the host may know.
    let mut world = World::sharing(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    });
    let anna = joins(&mut world, 1, 20, "anna");
    let proof = |world: &World| match world.notices.last() {
        Some(HostNotice::Knocked { proof, .. }) => proof.claims.join(", "),
        other => panic!("{other:?}"),
    };
    assert!(proof(&world).contains("/anna"));
    take_back(&mut world, &[1]);
    assert!(!proof(&world).contains("team:"), "asked about again");
    assert!(matches!(world.seats[anna].phase(), Phase::Knocking { .. }));
    // What was taken back lets nobody in later either.
    list(
        &mut world,
        &format!("team:{}", team(TEAM).public()),
        Rights::VIEW,
    );
    assert!(matches!(world.seats[anna].phase(), Phase::Knocking { .. }));
    let mode = AccessMode::Team;
    world
        .command(Command::SetAccessMode(verbs::SetAccessMode { mode }))
        .unwrap();
    let (text, _) = world.seats[anna].ended().unwrap();
    assert!(text.contains("NotAMember"), "{text}");
}

#[test]
fn a_second_window_at_the_door_keeps_nothing_of_it_either() {
    let mut world = World::sharing(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    });
    // The knock is known by what the first window showed.
    let anna = world.join(20, "anna");
    let window = joins(&mut world, 1, 20, "anna");
    take_back(&mut world, &[1]);
    let team = format!("team:{}", team(TEAM).public());
    list(&mut world, &team, Rights::EDIT);
    let target = named("anna");
    world
        .command(Command::Admit(verbs::Admit { target }))
        .unwrap();
    for seat in [anna, window] {
        is_in(&world, seat);
        assert_eq!(world.seats[seat].right(), Rights::VIEW);
    }
}

#[test]
fn many_who_come_and_go_make_no_member_forgotten_who_may_type() {
    let mut world = session(AccessMode::Link, Rights::EDIT);
    let anna = joins(&mut world, 1, 20, "anna");
    world.viewer(anna, ViewerInput::Leave);
    for number in 0..1100_u16 {
        let (conn, connected) = world.stranger();
        let mut seed = [250; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        let config = ViewerConfig {
            identity: signs_for(&SecretKey::from_bytes(&seed)),
            ..world.viewer_config(21, "eve")
        };
        let hello = FromViewer::Hello(Box::new(hello(config, &connected)));
        say(&mut world, conn, &hello);
        world.host(HostInput::Disconnected { conn });
    }
    take_back(&mut world, &[1]);
    let again = world.join(20, "anna");
    assert_eq!(world.seats[again].right(), Rights::VIEW);
}
