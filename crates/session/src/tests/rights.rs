//! Grants, requests, revocations.

use pillion_proto::Rights;

use super::harness::*;
use crate::{
    Choice, Command, CommandError, HostNotice, PersonLabel, Phase, Reply, Target, ViewerInput,
    verbs,
};

#[test]
fn a_request_is_shown_to_the_host_and_gone_when_granted() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.viewer(anna, ViewerInput::RequestEdit);
    assert!(world.seats[anna].viewer.view().asking);
    assert!(
        matches!(world.notices.last(), Some(HostNotice::EditRequested { name, .. }) if name == "anna")
    );
    world.viewer(anna, ViewerInput::RequestEdit);
    assert!(world.seats[anna].was_told("NotAsked(Asked)"));
    world.grant_edit("anna").unwrap();
    assert!(matches!(
        world.notices.last(),
        Some(HostNotice::RequestGone { .. })
    ));
    assert!(!world.seats[anna].viewer.view().asking);
}

#[test]
fn a_refused_request_may_be_repeated_after_ten_seconds() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.viewer(anna, ViewerInput::RequestEdit);
    world
        .command(Command::RefuseRequest(verbs::RefuseRequest {
            target: named("anna"),
        }))
        .unwrap();
    assert!(world.seats[anna].was_told("Declined { by: \"olga\" }"));
    let requests = |world: &World| {
        let is_request = |notice: &&HostNotice| matches!(notice, HostNotice::EditRequested { .. });
        world.notices.iter().filter(is_request).count()
    };
    world.viewer(anna, ViewerInput::RequestEdit);
    assert!(world.seats[anna].was_told("AskLater"));
    assert_eq!(requests(&world), 1);
    world.advance_ms(10_000);
    world.viewer(anna, ViewerInput::RequestEdit);
    assert_eq!(requests(&world), 2);
}

#[test]
fn a_request_goes_with_its_viewer_and_comes_back_with_it() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.viewer(anna, ViewerInput::RequestEdit);
    world.cut(anna);
    let gone = |notice: &HostNotice| matches!(notice, HostNotice::RequestGone { .. });
    assert!(world.notices.iter().any(gone));
    world.advance_ms(1000);
    let asked = |notice: &&HostNotice| matches!(notice, HostNotice::EditRequested { .. });
    assert_eq!(world.notices.iter().filter(asked).count(), 2);
}

#[test]
fn an_ambiguous_name_is_refused_with_the_choices_and_a_number_decides() {
    let mut world = World::shared();
    let first = world.join(10, "anna");
    let second = world.join(11, "anna");
    let Err(CommandError::Ambiguous { choices, .. }) = world.grant_edit("anna") else {
        panic!()
    };
    let fingerprint = secret(11).public().fingerprint();
    let second_choice = PersonLabel {
        id: pillion_proto::ParticipantId(2),
        name: "anna".to_owned(),
        identity: secret(11).public(),
    };
    assert_eq!(second_choice.to_string(), format!("2 anna ({fingerprint})"));
    assert_eq!(choices[1], Choice::Person(second_choice));
    world.grant_edit("2").unwrap();
    assert_eq!(world.seats[first].right(), Rights::VIEW);
    assert_eq!(world.seats[second].right(), Rights::EDIT);
    world
        .command(Command::Revoke(verbs::Revoke {
            target: named(&fingerprint[..9]),
        }))
        .unwrap();
    assert_eq!(world.seats[second].right(), Rights::VIEW);
    assert!(matches!(
        world.grant_edit("zoe"),
        Err(CommandError::Unknown { .. })
    ));
}

#[test]
fn nobody_takes_anothers_number_by_calling_themselves_so() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let eve = world.join(11, "1");
    world.grant_edit("1").unwrap();
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    assert_eq!(world.seats[eve].right(), Rights::VIEW);
}

#[test]
fn edit_ends_when_its_time_is_over_and_the_viewer_is_told() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let command = Command::Grant(verbs::Grant {
        target: named("anna"),
        rights: Rights::EDIT,
        ttl_ms: Some(90_000),
    });
    world.command(command).unwrap();
    assert!(world.seats[anna].was_told("ttl_ms: 90000"));
    world.advance_ms(89_000);
    world.types(anna, "a");
    assert_eq!(world.program.input, b"a");
    world.advance_ms(1_100);
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    assert!(world.seats[anna].was_told("Some(Expired)"));
    world.types(anna, "b");
    assert_eq!(world.program.input, b"a");
    let logged = world.logged();
    let expired = logged.iter().find(|event| event["why"] == "expired");
    assert_eq!(expired.unwrap()["rights"], "view");
}

#[test]
fn input_that_comes_after_the_end_is_dropped_even_before_the_timer_ran() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let command = Command::Grant(verbs::Grant {
        target: named("anna"),
        rights: Rights::EDIT,
        ttl_ms: Some(1_000),
    });
    world.command(command).unwrap();
    world.now.mono_us += 1_000_000;
    world.now.unix_ms += 1_000;
    world.types(anna, "late");
    assert!(world.program.input.is_empty());
    assert!(world.seats[anna].was_told("Dropped"));
}

#[test]
fn a_clock_set_back_revives_nothing() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let command = Command::Grant(verbs::Grant {
        target: named("anna"),
        rights: Rights::EDIT,
        ttl_ms: Some(60_000),
    });
    world.command(command).unwrap();
    world.advance_ms(61_000);
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    world.now.unix_ms -= 50_000;
    world.tick();
    let Ok(Reply::Who(who)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    assert_eq!(who[0].rights, Rights::VIEW);
}

#[test]
fn a_clock_that_steps_back_before_a_right_began_ends_it_and_the_viewer_is_told() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    world.now.unix_ms -= 3_600_000;
    // The clock is looked at twice a minute, also where nobody types.
    world.advance_ms(31_000);
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    assert!(world.seats[anna].was_told("Some(Expired)"));
    world.types(anna, "x");
    assert!(world.program.input.is_empty());
}

#[test]
fn edit_lasts_eight_hours_unless_said_otherwise() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    let until = world.seats[anna].viewer.view().until_unix_ms.unwrap();
    assert_eq!(until, world.now.unix_ms + 8 * 3_600_000);
    let forever = Command::Grant(verbs::Grant {
        target: named("anna"),
        rights: Rights::EDIT,
        ttl_ms: Some(0),
    });
    assert!(world.command(forever).is_err());
}

#[test]
fn the_right_survives_a_reconnect_and_a_restarted_host() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    world.cut(anna);
    world.advance_ms(1000);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);

    let mut restarted = config();
    restarted.ledger = replayed(&world.ledger());
    restarted.link = world.kept_link();
    restarted.seed = [9; 32];
    let seats = std::mem::take(&mut world.seats);
    let mut world = World::sharing(restarted);
    world.now.mono_us += 100_000_000;
    world.seats = seats;
    world.cut(anna);
    world.advance_ms(1000);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    world.types(anna, "x");
    assert_eq!(world.program.input, b"x");
}

#[test]
fn a_use_that_cannot_be_written_down_does_no_good() {
    let mut world = World::shared();
    let (token, _) = world.token(2, None);
    world.disk.is_full(true);
    let mut config = world.viewer_config(10, "anna");
    config.grants = vec![presented(&token)];
    let anna = world.join_with(config);
    assert_eq!(*world.seats[anna].phase(), Phase::Live, "the ticket holds");
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    assert!(world.seats[anna].was_told("NotRecorded"));
    world.types(anna, "x");
    assert!(world.program.input.is_empty());

    // Whom nothing but the token lets in stays outside.
    let mut config = world.viewer_config(11, "bert");
    config.link = None;
    config.grants = vec![presented(&token)];
    let bert = world.join_with(config);
    assert!(
        matches!(world.seats[bert].phase(), Phase::Ended),
        "{:?}",
        world.seats[bert].phase()
    );
}

#[test]
fn a_token_for_one_is_used_by_one_reconnects_included() {
    let mut world = World::shared();
    let (token, _) = world.token(1, None);
    let mut config = world.viewer_config(10, "anna");
    config.grants = vec![presented(&token)];
    let anna = world.join_with(config);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    let mut config = world.viewer_config(11, "bert");
    config.grants = vec![presented(&token)];
    let bert = world.join_with(config);
    // The ticket lets bert in; the token is used up, and bert is told.
    assert_eq!(*world.seats[bert].phase(), Phase::Live);
    assert_eq!(world.seats[bert].right(), Rights::VIEW);
    assert!(world.seats[bert].was_told("UsedUp"));
    world.cut(anna);
    world.advance_ms(1000);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
}

#[test]
fn a_token_alone_lets_in_and_a_bad_one_alone_does_not() {
    let mut world = World::shared();
    let (token, _) = world.token(2, Some(60_000));
    let mut config = world.viewer_config(10, "anna");
    config.link = None;
    config.grants = vec![presented(&token)];
    let anna = world.join_with(config);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    world.advance_ms(61_000);
    let mut config = world.viewer_config(11, "bert");
    config.link = None;
    config.grants = vec![presented(&token)];
    let bert = world.join_with(config);
    assert!(world.seats[bert].ended().unwrap().0.contains("Expired"));
}

#[test]
fn a_stolen_token_without_its_link_key_is_worth_nothing() {
    let mut world = World::shared();
    let (token, _) = world.token(1, None);
    let mut config = world.viewer_config(10, "eve");
    config.grants = vec![(presented(&token).0, None)];
    let eve = world.join_with(config);
    assert_eq!(world.seats[eve].right(), Rights::VIEW);
    assert!(world.seats[eve].was_told("NotHolder(Link)"));
}

#[test]
fn grants_are_revoked_by_id_by_link_and_all_at_once() {
    let mut world = World::shared();
    let (token, grant) = world.token(5, None);
    let editor = |world: &mut World, seed: u8| {
        let mut config = world.viewer_config(seed, "anna");
        config.grants = vec![presented(&token)];
        world.join_with(config)
    };
    let anna = editor(&mut world, 10);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    world
        .command(Command::Revoke(verbs::Revoke {
            target: named(&grant[..8]),
        }))
        .unwrap();
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    assert!(world.seats[anna].was_told("Revoked { by: \"olga\" }"));

    let (token, _) = world.token(5, None);
    let mut config = world.viewer_config(11, "bert");
    config.grants = vec![presented(&token)];
    let bert = world.join_with(config);
    let carl = world.join(12, "carl");
    world.grant_edit("carl").unwrap();
    world
        .command(Command::Revoke(verbs::Revoke {
            target: Target::Links,
        }))
        .unwrap();
    assert_eq!(world.seats[bert].right(), Rights::VIEW);
    assert_eq!(world.seats[carl].right(), Rights::EDIT);
    world
        .command(Command::Revoke(verbs::Revoke {
            target: Target::All,
        }))
        .unwrap();
    assert_eq!(world.seats[carl].right(), Rights::VIEW);
}

#[test]
fn in_a_read_only_session_edit_cannot_be_granted() {
    let mut read_only = config();
    read_only.read_only = true;
    let mut world = World::sharing(read_only);
    let anna = world.join(10, "anna");
    assert!(world.seats[anna].viewer.view().read_only);
    assert!(matches!(
        world.grant_edit("anna"),
        Err(CommandError::ReadOnly)
    ));
    world.viewer(anna, ViewerInput::RequestEdit);
    assert!(world.seats[anna].was_told("NotAsked(ReadOnly)"));
    world.types(anna, "x");
    assert!(world.program.input.is_empty());
}

#[test]
fn a_read_only_session_honours_no_grant_of_an_earlier_run() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    let mut restarted = config();
    restarted.ledger = replayed(&world.ledger());
    restarted.link = world.kept_link();
    restarted.read_only = true;
    let seats = std::mem::take(&mut world.seats);
    let mut world = World::sharing(restarted);
    world.seats = seats;
    world.cut(anna);
    world.advance_ms(1000);
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
}

#[test]
fn a_read_only_viewer_never_sends_input_whatever_it_is_given() {
    let mut world = World::shared();
    let mut config = world.viewer_config(10, "anna");
    config.read_only = true;
    let anna = world.join_with(config);
    world.viewer(anna, ViewerInput::RequestEdit);
    assert!(world.seats[anna].was_told("ReadOnlyViewer"));
    world.grant_edit("anna").unwrap();
    world.types(anna, "x");
    assert!(world.program.input.is_empty());
}

#[test]
fn what_was_granted_does_not_open_the_next_sharing() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    world.command(Command::Stop(verbs::Stop {})).unwrap();
    assert!(world.seats[anna].ended().is_some());
    let old = world.ticket.clone();
    world.share();
    assert_ne!(world.ticket, old);
    let anna = world.join(10, "anna");
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
}

#[test]
fn who_lists_names_rights_paths_and_lag() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.path(anna, 12_000);
    world.grant_edit("anna").unwrap();
    world.seats[anna].silent = true;
    for _ in 0..3 {
        world.prints("x");
    }
    let Ok(Reply::Who(who)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    assert_eq!(who.len(), 1);
    assert_eq!(
        (who[0].name.as_str(), who[0].rights, who[0].rtt_us),
        ("anna", Rights::EDIT, Some(12_000))
    );
    assert_eq!(who[0].lag_frames, 3);
    let Ok(Reply::Status(status)) = world.command(Command::Status(verbs::Status {})) else {
        panic!()
    };
    assert!(status.shared && status.viewers == 1);
}

#[test]
fn the_end_of_the_program_is_told_and_is_regular() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.prints("bye");
    world.exits(3);
    let (text, regular) = world.seats[anna].ended().unwrap();
    assert!(text.contains("Exited(3)") && regular);
    assert_eq!(world.seats[anna].text(), "bye");
    assert!(!world.listening);
    assert!(matches!(
        world.command(Command::Share(verbs::Share { from_start: false })),
        Err(CommandError::ProgramEnded)
    ));
}

#[test]
fn nobody_is_granted_anything_who_is_not_here() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    world.seats[anna].online = false;
    world.cut(anna);
    assert!(matches!(
        world.grant_edit("anna"),
        Err(CommandError::NotConnected(_))
    ));
    assert!(world.grant_edit("olga").is_err());
    assert!(
        world
            .command(Command::Grant(verbs::Grant {
                target: Target::All,
                rights: Rights::EDIT,
                ttl_ms: None
            }))
            .is_err()
    );
}
