//! Who gets in, who doesn't, and what they are told.

use bytes::BytesMut;
use pillion_caps::Binding;
use pillion_proto::{
    AdmittedBy, Framer, FromHost, FromViewer, Hello, JoinId, ParticipantId, RefusalReason, Refused,
    RefusedCode, Version, VersionMismatch, VersionRange, limits::MAX_CONTROL_MESSAGE,
};

use super::harness::*;
use crate::{
    Command, ConnId, Connected, HostInput, HostNotice, Interruption, Now, Phase, Reply, Stream,
    ViewerConfig, ViewerInput, ViewerOutput, verbs, viewer::Viewer,
};

/// The hello an honest viewer would send on a connection.
pub(super) fn hello(config: ViewerConfig, connected: &Connected) -> Hello {
    let identity = secret_of(&config.identity);
    let mut viewer = Viewer::new(config, Now::default());
    viewer.handle(Now::default(), ViewerInput::Connected(*connected));
    let mut framer = Framer::new(MAX_CONTROL_MESSAGE);
    while let Some(output) = viewer.poll() {
        match output {
            ViewerOutput::Sign { request, inputs } => {
                let signed = ViewerInput::signed_with(&identity, request, &inputs);
                viewer.handle(Now::default(), signed);
            }
            ViewerOutput::Send { bytes, .. } => framer.push(&bytes),
            _ => {}
        }
    }
    let (tag, payload) = framer.next_message().unwrap().unwrap();
    match FromViewer::decode(tag, &payload).unwrap() {
        FromViewer::Hello(hello) => *hello,
        other => panic!("{other:?}"),
    }
}

pub(super) fn say(world: &mut World, conn: ConnId, message: &FromViewer) {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes);
    world.host(HostInput::Received {
        conn,
        stream: Stream::Control,
        bytes: bytes.freeze(),
    });
}

/// What the host said on the control stream.
pub(super) fn heard(world: &World, conn: ConnId) -> Vec<FromHost> {
    let mut framer = Framer::new(MAX_CONTROL_MESSAGE);
    for (stream, bytes) in &world.strangers[&conn] {
        if *stream == Stream::Control {
            framer.push(bytes);
        }
    }
    let mut messages = Vec::new();
    while let Some((tag, payload)) = framer.next_message().unwrap() {
        messages.push(FromHost::decode(tag, &payload).unwrap());
    }
    messages
}

pub(super) fn refusal(world: &World, conn: ConnId) -> Refused {
    match heard(world, conn).pop() {
        Some(FromHost::Refused(refused)) => {
            assert!(
                world
                    .closed
                    .iter()
                    .any(|(closed, code)| *closed == conn && *code == refused.code.0)
            );
            refused
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// Sends an honest hello with one thing changed, and gives the refusal.
fn refused_with(world: &mut World, change: impl FnOnce(&mut Hello)) -> Refused {
    let (conn, connected) = world.stranger();
    let mut hello = hello(world.viewer_config(50, "eve"), &connected);
    change(&mut hello);
    say(world, conn, &FromViewer::Hello(Box::new(hello)));
    refusal(world, conn)
}

#[test]
fn an_honest_hello_is_welcomed_with_roster_and_screen_in_one_flight() {
    let mut world = World::shared();
    world.prints("hello");
    let (conn, connected) = world.stranger();
    let hello = hello(world.viewer_config(50, "eve"), &connected);
    say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
    let said = heard(&world, conn);
    assert!(
        matches!(&said[..2], [FromHost::Welcome(_), FromHost::Roster(_)]),
        "{said:?}"
    );
    let on_track = |stream: &Stream| matches!(stream, Stream::Track { id: 0 });
    assert_eq!(
        world.strangers[&conn]
            .iter()
            .filter(|(stream, _)| on_track(stream))
            .count(),
        2
    );
}

#[test]
fn another_version_is_told_which_side_to_upgrade() {
    let mut world = World::shared();
    let newer = VersionRange {
        oldest: Version(900),
        newest: Version(901),
    };
    let refused = refused_with(&mut world, |hello| hello.versions = newer);
    assert_eq!(refused.code, RefusedCode::VERSION);
    let too_old = VersionMismatch::HostTooOld {
        viewer: 900,
        host: Version::NEWEST.0,
    };
    assert_eq!(refused.why, Some(RefusalReason::Version(too_old)));
    let older = VersionRange {
        oldest: Version(0),
        newest: Version(0),
    };
    let refused = refused_with(&mut world, |hello| hello.versions = older);
    let too_old = VersionMismatch::ViewerTooOld {
        viewer: 0,
        host: Version::OLDEST.0,
    };
    assert_eq!(refused.why, Some(RefusalReason::Version(too_old)));
}

#[test]
fn a_proof_bound_to_another_kind_of_connection_is_refused() {
    let mut world = World::shared();
    let (conn, connected) = world.stranger();
    let web = Binding::web_transport(&[1; 32], &[2; 32], &[3; 32]);
    let connected = Connected {
        binding: web,
        ..connected
    };
    let hello = hello(world.viewer_config(50, "eve"), &connected);
    say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
    assert_eq!(refusal(&world, conn).code, RefusedCode::PROOF);
}

#[test]
fn a_proof_that_does_not_verify_is_refused() {
    let mut world = World::shared();
    let refused = refused_with(&mut world, |hello| hello.identity_proof = [1; 64].into());
    assert_eq!(refused.code, RefusedCode::PROOF);
    let refused = refused_with(&mut world, |hello| hello.identity = [0; 32]);
    assert_eq!(refused.code, RefusedCode::PROOF);
    let refused = refused_with(&mut world, |hello| {
        hello.link = hello.link.map(|(key, _)| (key, [1; 64].into()));
    });
    assert_eq!(refused.code, RefusedCode::PROOF);
}

#[test]
fn a_recorded_hello_is_worth_nothing_on_another_connection() {
    let mut world = World::shared();
    let (first, connected) = world.stranger();
    let recorded = FromViewer::Hello(Box::new(hello(world.viewer_config(50, "eve"), &connected)));
    say(&mut world, first, &recorded);
    let (second, _) = world.stranger();
    say(&mut world, second, &recorded);
    assert_eq!(refusal(&world, second).code, RefusedCode::PROOF);
}

#[test]
fn without_a_link_or_with_a_foreign_one_the_ticket_is_refused() {
    let mut world = World::shared();
    let refused = refused_with(&mut world, |hello| hello.link = None);
    assert_eq!(refused.code, RefusedCode::TICKET);
    let mut foreign = world.viewer_config(50, "eve");
    foreign.link = Some(secret(77));
    let eve = world.join_with(foreign);
    let (text, regular) = world.seats[eve].ended().unwrap();
    assert!(text.contains("Some(Ticket)") && !regular, "{text}");
}

#[test]
fn a_replaced_ticket_stops_working_and_the_new_one_works() {
    let mut world = World::shared();
    let old = world.viewer_config(50, "eve");
    let kept = world.kept_links().len();
    let Ok(Reply::Ticket(ticket)) = world.command(Command::Ticket(verbs::Ticket { new: true }))
    else {
        panic!()
    };
    assert_ne!(ticket, world.ticket);
    assert_eq!(world.kept_links().len(), kept + 1);
    let eve = world.join_with(old);
    assert!(world.seats[eve].ended().is_some());
    world.ticket = ticket;
    let anna = world.join(10, "anna");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
}

#[test]
fn a_session_that_is_not_shared_lets_nobody_in() {
    let mut world = World::shared();
    let config = world.viewer_config(50, "eve");
    world.command(Command::Stop(verbs::Stop {})).unwrap();
    let eve = world.join_with(config);
    let (text, regular) = world.seats[eve].ended().unwrap();
    assert!(text.contains("NotShared") && !regular, "{text}");
}

#[test]
fn a_viewer_that_was_cut_off_while_the_host_stopped_ends_regularly() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.seats[anna].online = false;
    world.cut(anna);
    world.command(Command::Stop(verbs::Stop {})).unwrap();
    world.seats[anna].online = true;
    world.advance_ms(10_000);
    assert!(world.seats[anna].ended().unwrap().1);
}

#[test]
fn a_session_is_not_joined_from_inside_itself() {
    let mut world = World::shared();
    let mut inside = world.viewer_config(50, "olga");
    inside.inside = vec![secret(1).public()];
    let olga = world.join_with(inside);
    assert!(
        world.seats[olga]
            .ended()
            .unwrap()
            .0
            .contains("InsideItself")
    );
    // And with the session's own key as identity, which only its own process has.
    let (conn, connected) = world.stranger();
    let hello = hello(world.viewer_config(1, "olga"), &connected);
    say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
    assert_eq!(refusal(&world, conn).code, RefusedCode::SELF);
}

#[test]
fn the_same_person_keeps_the_number_over_reconnects() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let bert = world.join(11, "bert");
    let number = |world: &World, seat: usize| world.seats[seat].viewer.view().you.unwrap().0;
    assert_eq!((number(&world, anna), number(&world, bert)), (1, 2));
    world.cut(anna);
    world.advance_ms(1000);
    assert_eq!(number(&world, anna), 1);
}

#[test]
fn a_newer_connection_of_the_same_run_replaces_the_older() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let old = world.seats[anna].conn.unwrap();
    let (conn, connected) = world.stranger();
    let hello = hello(world.viewer_config(10, "anna"), &connected);
    // The old connection is not noticed to be dead yet.
    world.seats[anna].silent = true;
    world.seats[anna].conn = None;
    say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
    assert!(
        world
            .closed
            .iter()
            .any(|(closed, code)| *closed == old && *code == 0)
    );
    let Ok(Reply::Who(who)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    assert_eq!(who.len(), 1);
}

#[test]
fn one_person_may_watch_from_two_windows() {
    let mut world = World::shared();
    let first = world.join(10, "anna");
    let mut config = world.viewer_config(10, "anna");
    config.join = JoinId([99; 16]);
    let second = world.join_with(config);
    world.prints("hi");
    for seat in [first, second] {
        world.assert_same_screen(seat);
    }
    let Ok(Reply::Who(who)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    assert_eq!(who.len(), 1);
    world.grant_edit("anna").unwrap();
    world.types(second, "x");
    assert_eq!(world.program.input, b"x");
}

#[test]
fn who_says_nothing_is_put_out_after_ten_seconds() {
    let mut world = World::shared();
    let (conn, _) = world.stranger();
    world.advance_ms(9_900);
    assert!(world.closed.is_empty());
    world.advance_ms(200);
    let late = RefusalReason::NoHello { within_ms: 10_000 };
    assert_eq!(refusal(&world, conn).why, Some(late));
}

#[test]
fn ten_thousand_half_open_joins_are_bounded_and_cost_nobody_else() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let strangers: Vec<ConnId> = (0..10_000).map(|_| world.stranger().0).collect();
    let busy = |conn: &&ConnId| !world.strangers[*conn].is_empty();
    assert_eq!(strangers.iter().filter(busy).count(), 10_000 - 1024);
    assert_eq!(refusal(&world, strangers[9_999]).code, RefusedCode::BUSY);
    world.prints("still here");
    world.assert_same_screen(anna);
    world.advance_ms(11_000);
    let bert = world.join(11, "bert");
    assert_eq!(*world.seats[bert].phase(), Phase::Live);
}

#[test]
fn a_busy_host_is_tried_again() {
    let mut world = World::shared();
    for _ in 0..1024 {
        world.stranger();
    }
    let anna = world.join(10, "anna");
    let Phase::Connecting { why, .. } = world.seats[anna].phase() else {
        panic!()
    };
    assert!(format!("{why:?}").contains("ManyJoin"), "{why:?}");
    world.advance_ms(20_000);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
}

#[test]
fn a_viewer_retries_until_the_person_leaves_and_says_what_it_does() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.seats[anna].online = false;
    world.cut(anna);
    world.advance_ms(60_000);
    let Phase::Connecting { attempt, why, .. } = world.seats[anna].phase() else {
        panic!()
    };
    let no_route = Interruption::Transport("no route to the host".to_owned());
    assert!(*attempt > 10, "{attempt}");
    assert_eq!(why.as_ref(), Some(&no_route));
    world.viewer(anna, ViewerInput::Leave);
    assert_eq!(world.seats[anna].ended(), Some(("Left".to_owned(), true)));
    assert_eq!(world.seats[anna].viewer.wake_at(), None);
}

#[test]
fn the_waits_between_tries_grow_to_five_seconds() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.seats[anna].online = false;
    world.cut(anna);
    let mut waits = Vec::new();
    for _ in 0..10 {
        let at = world.seats[anna].viewer.wake_at().unwrap();
        waits.push(at.saturating_sub(world.now.mono_us));
        let ms = at.saturating_sub(world.now.mono_us).div_ceil(1000);
        world.advance_ms(ms.max(1));
    }
    assert!(
        waits.is_sorted_by(|a, b| a <= b || *b > 3_000_000),
        "{waits:?}"
    );
    assert!(waits.iter().all(|wait| *wait <= 6_250_000), "{waits:?}");
    assert!(*waits.last().unwrap() >= 3_750_000, "{waits:?}");
}

#[test]
fn names_are_cleaned_and_comings_and_goings_are_told() {
    let mut world = World::shared();
    let anna = world.join(10, "an\u{202e}na\u{1b}[2J");
    assert!(
        matches!(&world.notices[..], [HostNotice::Joined { name, identity, proof, .. }]
            if name == "anna2J" && proof.by == AdmittedBy::Ticket && *identity == secret(10).public())
    );
    let bert = world.join(11, "");
    world.advance_ms(100);
    let names = |world: &World, seat: usize| -> Vec<String> {
        let roster = &world.seats[seat].viewer.view().roster;
        roster
            .iter()
            .map(|info| info.name.as_str().to_owned())
            .collect()
    };
    assert_eq!(names(&world, anna), ["olga", "anna2J", "somebody"]);
    world.viewer(bert, ViewerInput::Leave);
    world.advance_ms(100);
    assert_eq!(names(&world, anna), ["olga", "anna2J"]);
    assert!(matches!(
        world.notices.last(),
        Some(HostNotice::Left { .. })
    ));
    let kinds = world.logged_kinds();
    assert_eq!(kinds, ["shared", "command", "joined", "joined", "left"]);
}

#[test]
fn a_viewer_learns_the_hosts_proved_identity() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    assert_eq!(
        world.seats[anna].viewer.view().host_identity,
        Some(secret(2).public())
    );
    assert_eq!(world.seats[anna].viewer.view().host_name, "olga");
}

#[test]
fn a_kicked_person_is_out_and_barred_and_a_new_ticket_keeps_new_keys_out() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let said = world
        .command(Command::Kick(verbs::Kick {
            target: named("anna"),
        }))
        .unwrap();
    assert!(matches!(
        said,
        Reply::Kick(verbs::Kicked { open: true, .. })
    ));
    let (text, regular) = world.seats[anna].ended().unwrap();
    assert!(text.contains("Removed") && !regular);
    let again = world.join(10, "anna");
    assert!(world.seats[again].ended().unwrap().0.contains("Removed"));
    // Barred even after the host came back.
    let mut restarted = config();
    restarted.ledger = replayed(&world.ledger());
    restarted.link = world.kept_link();
    let ticket = world.ticket.clone();
    let mut world = World::sharing(restarted);
    assert_eq!(world.ticket, ticket);
    let again = world.join(10, "anna");
    assert!(world.seats[again].ended().is_some());
}

#[test]
fn a_stopped_session_forgets_what_opened_it_and_an_ended_one_does_not() {
    let mut world = World::shared();
    world.exits(0);
    assert!(world.kept_link().is_some(), "it may be started again");
    let mut world = World::shared();
    world.command(Command::Stop(verbs::Stop {})).unwrap();
    assert_eq!(world.kept_link(), None);
    let kept = world.kept_links().len();
    world.share();
    assert_eq!(world.kept_links().len(), kept + 1, "another one is kept");
}

#[test]
fn a_ticket_waits_for_the_first_address_of_an_endpoint_that_just_listens() {
    let mut world = World::unshared(config());
    let session = iroh_base::EndpointId::from_bytes(secret(1).public().as_bytes()).unwrap();
    world.host(HostInput::Addresses {
        addr: iroh_base::EndpointAddr::new(session),
    });
    let request = world.ask(
        crate::Actor::Tty,
        Command::Share(verbs::Share { from_start: false }),
    );
    assert!(world.done.is_empty() && world.listening);
    let addr = iroh_base::EndpointAddr::new(session).with_ip_addr("10.0.0.1:5".parse().unwrap());
    world.host(HostInput::Addresses { addr: addr.clone() });
    let Some(Ok(Reply::Ticket(ticket))) = world.done.remove(&request) else {
        panic!()
    };
    let ticket: pillion_proto::Ticket = ticket.parse().unwrap();
    assert_eq!(ticket.addr, addr);
    // Without any address, it comes after two seconds all the same.
    world.host(HostInput::Addresses {
        addr: iroh_base::EndpointAddr::new(session),
    });
    let request = world.ask(
        crate::Actor::Tty,
        Command::Ticket(verbs::Ticket { new: false }),
    );
    world.advance_ms(2_100);
    assert!(matches!(
        world.done.remove(&request),
        Some(Ok(Reply::Ticket(_)))
    ));
}

fn is_silent(world: &mut World, id: Option<ParticipantId>) -> bool {
    let Ok(Reply::Who(who)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    who.iter()
        .find(|one| Some(one.id) == id)
        .is_some_and(|one| one.silent)
}

#[test]
fn who_was_killed_is_silent_within_three_seconds_and_who_is_quiet_is_not() {
    let mut world = World::shared();
    let (anna, bert) = (world.join(10, "anna"), world.join(11, "bert"));
    let silent = |world: &mut World, seat: usize| {
        let you = world.seats[seat].viewer.view().you;
        is_silent(world, you)
    };
    for _ in 0..10 {
        world.advance_ms(1000);
        assert!(!silent(&mut world, anna) && !silent(&mut world, bert));
    }
    // Nothing comes from her any more, and nothing says so.
    world.seats[anna].silent = true;
    world.seats[anna].reads = false;
    world.advance_ms(3000);
    assert!(silent(&mut world, anna) && !silent(&mut world, bert));
    let view = world.seats[bert].viewer.view();
    let told = view.roster.iter().filter(|one| one.silent).count();
    assert_eq!(told, 1, "the others see it, too");
    world.seats[anna].silent = false;
    world.seats[anna].reads = true;
    world.advance_ms(6000);
    assert!(!silent(&mut world, anna));
    let view = world.seats[bert].viewer.view();
    assert!(view.roster.iter().all(|one| !one.silent));
}

#[test]
fn who_only_listens_is_not_silent() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    // The host says something all the time that needs no answer.
    for round in 0..20 {
        world.advance_ms(400);
        world.join(20 + round, "somebody");
        let you = world.seats[anna].viewer.view().you;
        assert!(!is_silent(&mut world, you));
    }
}
