//! Keys that live elsewhere: what signs late, not at all, or for a connection that is gone.

use pillion_caps::{Domain, SigningInput};
use pillion_proto::{FromViewer, RefusedCode};

use super::{
    harness::*,
    joining::{hello, say},
};
use crate::{
    Command, HostInput, HostNotice, Interruption, Phase, ViewerInput, ViewerOutput, verbs,
};

/// A session whose viewers' keys answer when the test says so.
fn signing_later() -> World {
    let mut world = World::shared();
    world.signs_later = true;
    world
}

/// The newest thing that the person there is asked to sign.
fn request(world: &mut World, seat: usize) -> (u64, Vec<SigningInput>) {
    world.seats[seat].to_sign.pop().expect("a request to sign")
}

fn signs(world: &mut World, seat: usize, request: u64, inputs: &[SigningInput]) {
    let secret = secret_of(&world.seats[seat].viewer.view().identity);
    world.viewer(seat, ViewerInput::signed_with(&secret, request, inputs));
}

fn said(world: &World, part: &str) -> usize {
    let said = world.notices.iter().filter(|notice| match notice {
        HostNotice::NotVouched { why } => format!("{why:?}").contains(part),
        _ => false,
    });
    said.count()
}

#[test]
fn a_key_that_signs_late_comes_in_with_all_that_it_has() {
    let mut world = World::shared();
    let (bearer, _) = world.token(1, None);
    world.signs_later = true;
    let config = crate::ViewerConfig {
        grants: vec![presented(&bearer)],
        ..world.viewer_config(10, "anna")
    };
    let anna = world.join_with(config);
    world.advance_ms(5_000);
    assert_eq!(*world.seats[anna].phase(), Phase::Joining);
    let (number, inputs) = request(&mut world, anna);
    assert!(inputs.iter().all(|input| input.domain() == Domain::Proof));
    assert_eq!(inputs.len(), 1, "the token's own key is at hand");
    signs(&mut world, anna, number, &inputs);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    assert_eq!(world.seats[anna].right(), pillion_proto::Rights::EDIT);

    // It comes back by the grant that the host gave to its key, which its key has to prove as well.
    world.grant_edit("anna").unwrap();
    world.cut(anna);
    world.advance_ms(1_000);
    let (number, inputs) = request(&mut world, anna);
    assert!(inputs.len() > 1, "{inputs:?}");
    signs(&mut world, anna, number, &inputs);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    assert!(world.seats[anna].right().exceeds_view());
}

#[test]
fn nothing_is_said_to_the_host_before_the_key_has_signed() {
    let mut world = signing_later();
    let (conn, connected) = world.stranger();
    let mut viewer = crate::Viewer::new(world.viewer_config(10, "anna"), world.now);
    viewer.handle(world.now, ViewerInput::Connected(connected));
    let mut asked = false;
    while let Some(output) = viewer.poll() {
        assert!(!matches!(output, ViewerOutput::Send { .. }), "{output:?}");
        asked |= matches!(output, ViewerOutput::Sign { .. });
    }
    assert!(asked);
    // A host that welcomes it all the same does not keep to the protocol.
    let hello = hello(world.viewer_config(10, "anna"), &connected);
    world.signs_later = false;
    say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
    for (stream, bytes) in world.strangers[&conn].clone() {
        viewer.handle(world.now, ViewerInput::Received { stream, bytes });
    }
    assert_eq!(viewer.view().phase, Phase::Ended);
}

#[test]
fn a_key_that_refuses_ends_it_in_words_and_is_not_asked_again() {
    let mut world = signing_later();
    let anna = world.join(10, "anna");
    let (number, _) = request(&mut world, anna);
    let why = "the agent said\u{1b}[2J no".to_owned();
    world.viewer(
        anna,
        ViewerInput::NotSigned {
            request: number,
            why,
        },
    );
    let (text, regular) = world.seats[anna].ended().unwrap();
    assert!(
        text.contains("Signed") && text.contains("the agent said"),
        "{text}"
    );
    assert!(!text.contains("\u{1b}"), "{text}");
    assert!(!regular);
    world.advance_ms(60_000);
    assert!(world.seats[anna].to_sign.is_empty());
    assert_eq!(world.host.viewers(), 0);
}

#[test]
fn a_key_that_says_nothing_is_tried_again_on_a_new_connection() {
    let mut world = signing_later();
    let anna = world.join(10, "anna");
    let (first, inputs) = request(&mut world, anna);
    world.advance_ms(7_900);
    assert_eq!(*world.seats[anna].phase(), Phase::Joining);
    world.advance_ms(400);
    let (second, others) = request(&mut world, anna);
    assert!(
        second > first && others[0] != inputs[0],
        "for another connection"
    );
    // An answer to the older request comes now, and a refusal of it: neither counts.
    signs(&mut world, anna, first, &inputs);
    assert_eq!(*world.seats[anna].phase(), Phase::Joining);
    let why = "too late".to_owned();
    world.viewer(
        anna,
        ViewerInput::NotSigned {
            request: first,
            why,
        },
    );
    assert_eq!(world.seats[anna].ended(), None);
    signs(&mut world, anna, second, &others);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    // And once more: it was answered.
    signs(&mut world, anna, second, &others);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
}

#[test]
fn while_it_is_tried_again_the_person_reads_why() {
    let mut world = signing_later();
    let anna = world.join(10, "anna");
    world.seats[anna].online = false;
    world.advance_ms(7_900);
    request(&mut world, anna);
    let mut why = None;
    for _ in 0..10 {
        world.advance_ms(50);
        if let Phase::Connecting { why: now, .. } = world.seats[anna].phase()
            && why.is_none()
        {
            why.clone_from(now);
        }
    }
    assert_eq!(why, Some(Interruption::NotSigned));
}

#[test]
fn an_answer_that_lacks_something_is_no_answer() {
    let mut world = signing_later();
    let anna = world.join(10, "anna");
    let (request, _) = request(&mut world, anna);
    let signatures = Vec::new();
    world.viewer(
        anna,
        ViewerInput::Signed {
            request,
            signatures,
        },
    );
    let (text, _) = world.seats[anna].ended().unwrap();
    assert!(text.contains("Signed"), "{text}");
}

#[test]
fn another_keys_signature_is_refused_by_the_host() {
    let mut world = signing_later();
    let anna = world.join(10, "anna");
    let (number, inputs) = request(&mut world, anna);
    let signed = ViewerInput::signed_with(&secret(11), number, &inputs);
    world.viewer(anna, signed);
    let (text, _) = world.seats[anna].ended().unwrap();
    assert!(text.contains("Proof(NotHolder(Identity))"), "{text}");
}

/// A session whose host's key answers when the test says so, and somebody who comes meanwhile.
fn unvouched() -> (World, usize) {
    let mut world = World::shared();
    world.signs_later = true;
    world.restart(config());
    world.signs_later = false;
    let anna = world.join(10, "anna");
    (world, anna)
}

#[test]
fn hellos_wait_for_the_hosts_key_and_are_looked_at_when_it_has_signed() {
    let (mut world, anna) = unvouched();
    assert_eq!(*world.seats[anna].phase(), Phase::Joining);
    assert_eq!(world.host_to_sign.len(), 1, "asked once");
    let (number, input) = world.host_to_sign.remove(0);
    assert_eq!(input.domain(), Domain::SessionCertificate);
    // For an older request, or by another key, it is nobody's word.
    world.host(HostInput::signed_with(&secret(2), number + 1, &input));
    assert_eq!(*world.seats[anna].phase(), Phase::Joining);
    world.host(HostInput::signed_with(&secret(2), number, &input));
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    let view = world.seats[anna].viewer.view();
    assert_eq!(view.host_identity, Some(secret(2).public()));
}

#[test]
fn a_host_whose_key_does_not_answer_puts_off_who_comes() {
    let (mut world, anna) = unvouched();
    world.advance_ms(5_900);
    assert_eq!(*world.seats[anna].phase(), Phase::Joining);
    assert!(world.closed.is_empty());
    world.advance_ms(200);
    let (_, code) = &world.closed[0];
    assert_eq!(*code, RefusedCode::BUSY.0, "it may try again");
    let (number, input) = world.host_to_sign.remove(0);
    world.host(HostInput::signed_with(&secret(2), number, &input));
    world.advance_ms(10_000);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
}

#[test]
fn a_host_is_told_that_its_key_refused_and_asks_again_when_it_shares() {
    for other_key in [false, true] {
        let (mut world, anna) = unvouched();
        let (request, input) = world.host_to_sign.remove(0);
        world.host(match other_key {
            true => HostInput::signed_with(&secret(3), request, &input),
            false => HostInput::NotSigned {
                request,
                why: "the token was taken out".to_owned(),
            },
        });
        assert_eq!(said(&world, ""), 1);
        assert_eq!(
            said(&world, "the token was taken out"),
            usize::from(!other_key)
        );
        assert!(matches!(
            world.seats[anna].phase(),
            Phase::Connecting { .. }
        ));
        // Nobody who comes makes it ask.
        world.signs_later = true;
        world.advance_ms(10_000);
        assert!(world.host_to_sign.is_empty());
        world.signs_later = false;
        world
            .command(Command::Share(verbs::Share { from_start: false }))
            .unwrap();
        world.advance_ms(10_000);
        assert_eq!(*world.seats[anna].phase(), Phase::Live);
    }
}

#[test]
fn no_secret_and_nothing_bound_is_shown() {
    let mut world = signing_later();
    let anna = world.join(10, "anna");
    let (request, inputs) = request(&mut world, anna);
    let message: Vec<u8> = inputs[0].message().to_vec();
    let shown = format!("{:?}", ViewerOutput::Sign { request, inputs });
    // The binding's bytes in the harness end in many sevens.
    assert!(message.windows(4).any(|part| part == [7; 4]));
    assert!(!shown.contains("7, 7"), "{shown}");
    let (_, connected) = world.stranger();
    assert!(!format!("{connected:?}").contains("7, 7"));
}
