//! Who comes over a connection that proves no endpoint, as a browser's WebTransport: let in as others, by
//! what they hold, but without codes and early data.

use pillion_caps::{PeerEndpoint, SecretKey};
use pillion_proto::{AccessMode, AdmittedBy, FromViewer, RefusedCode, Ticket};

use super::{
    harness::*,
    joining::{heard, hello, refusal, say},
    resume::{resume, track},
};
use crate::{
    Command, Connected, HostConfig, HostInput, HostNotice, Phase, Reply, ViewerConfig, ViewerInput,
    verbs,
};

fn unproved() -> World {
    let mut world = World::shared();
    world.unproved = true;
    world
}

#[test]
fn a_ticket_lets_in_who_proves_no_endpoint() {
    let mut world = unproved();
    let anna = world.join(10, "anna");
    world.prints("hello");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.grant_edit("anna").unwrap();
    world.types(anna, "ls\r");
    assert_eq!(world.program.input, b"ls\r");
    // And comes back, with the grant it was given.
    world.cut(anna);
    world.advance_ms(10_000);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    assert!(world.seats[anna].right().exceeds_view());
}

#[test]
fn a_proof_says_whether_its_endpoint_is_proved() {
    for unproved in [true, false] {
        let mut world = World::shared();
        world.unproved = unproved;
        let (conn, connected) = world.stranger();
        let own_endpoint = match unproved {
            true => PeerEndpoint::Proved(secret(99).public()),
            false => PeerEndpoint::Unproved,
        };
        let claimed = Connected {
            own_endpoint,
            ..connected
        };
        let hello = hello(world.viewer_config(50, "eve"), &claimed);
        say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
        assert_eq!(refusal(&world, conn).code, RefusedCode::PROOF);
    }
}

#[test]
fn what_a_code_gave_opens_nothing_without_an_endpoint_and_stays_its_guests() {
    let mut world = unproved();
    let guest = secret(101).public();
    let whole: Ticket = world.ticket.parse().unwrap();
    let ticket = whole.for_endpoint(guest.as_bytes());
    world.host(HostInput::CodeUsed { number: 7, guest });
    let by_code = |world: &World, seed| ViewerConfig {
        link: Some(SecretKey::from_bytes(&ticket.link)),
        ..world.viewer_config(seed, "anna")
    };
    let config = by_code(&world, 20);
    let anna = world.join_with(config);
    let (text, regular) = world.seats[anna].ended().unwrap();
    assert!(text.contains("CodeWithoutEndpoint"), "{text}");
    assert!(!regular);
    let passed_on = |notice: &HostNotice| matches!(notice, HostNotice::CodePassedOn { .. });
    assert!(!world.notices.iter().any(passed_on), "nobody did");
    // The same guest, where its endpoint is proved.
    world.unproved = false;
    let config = by_code(&world, 20);
    let anna = world.join_with(config);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    let Ok(Reply::Who(who)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    assert_eq!(who[0].proof.by, AdmittedBy::Code(7));
}

#[test]
fn the_ticket_counts_as_the_ticket_whatever_codes_were_used() {
    let mut world = unproved();
    let guest = secret(100).public();
    world.host(HostInput::CodeUsed { number: 7, guest });
    world.join(10, "anna");
    let Ok(Reply::Who(who)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    assert_eq!(who[0].proof.by, AdmittedBy::Ticket);
}

#[test]
fn nothing_is_shown_early_to_an_endpoint_that_was_never_proved() {
    let mut world = unproved();
    world.join(10, "anna");
    world.prints("hello");
    let endpoint = world.seats[0].endpoint.public();
    let early = world.early_stranger(endpoint);
    say(&mut world, early, &resume());
    assert!(track(&world, early).is_empty());
    // Nor for asking when the connection stands.
    let (late, connected) = world.stranger();
    say(&mut world, late, &resume());
    assert!(track(&world, late).is_empty());
    let hello = hello(world.viewer_config(50, "bert"), &connected);
    say(&mut world, late, &FromViewer::Hello(Box::new(hello)));
    assert!(!heard(&world, late).is_empty() && !track(&world, late).is_empty());
}

#[test]
fn a_knock_that_is_refused_puts_off_its_identity_and_nobody_else() {
    let mut world = World::sharing(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    });
    world.unproved = true;
    world.join(10, "anna");
    let target = named("anna");
    let no = Command::TurnAway(verbs::TurnAway {
        target,
        for_good: false,
    });
    world.command(no).unwrap();
    let bert = world.join(11, "bert");
    assert!(matches!(world.seats[bert].phase(), Phase::Knocking { .. }));
    let again = world.join(10, "anna");
    let (text, _) = world.seats[again].ended().unwrap();
    assert!(text.contains("KnockLater { wait_ms: 30000 }"), "{text}");
}

#[test]
fn comings_are_counted_by_address_as_those_of_others() {
    let came = |unproved| {
        let mut world = World::shared();
        world.unproved = unproved;
        world.from = crate::Network::of("192.0.2.1".parse().unwrap());
        let mut came = 0;
        for n in 0..520_u32 {
            let seed = u8::try_from(10 + n % 200).unwrap();
            let seat = world.join(seed, "loop");
            came += u32::from(*world.seats[seat].phase() == Phase::Live);
            world.viewer(seat, ViewerInput::Leave);
            world.seats.truncate(seat);
        }
        came
    };
    let with = came(false);
    assert!((1..520).contains(&with), "{with}");
    assert_eq!(came(true), with);
}
