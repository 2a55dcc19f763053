//! What the control socket may do by itself, what is asked at the terminal, and what is said there.

use std::num::NonZeroU32;

use pillion_proto::{AccessMode, AdmittedBy, HostTerminal, NoticeKind, Rights};

use super::harness::*;
use crate::{
    Actor, Change, Command, CommandError, HostInput, HostNotice, Proved, Reply, Target, TtyNews,
    ViewerInput, ViewerNotice,
    host::{CONFIRM_WITHIN_US, Offer, Question, Unverified, WhoLine},
    verbs,
};

fn grant(name: &str, right: Rights) -> Command {
    Command::Grant(verbs::Grant {
        target: named(name),
        rights: right,
        ttl_ms: None,
    })
}

fn token() -> Command {
    Command::GrantLink(verbs::GrantLink {
        rights: Rights::EDIT,
        ttl_ms: None,
        uses: NonZeroU32::MIN,
    })
}

fn share() -> Command {
    Command::Share(verbs::Share { from_start: false })
}

/// The question of a command that waits for a yes, if it is asked.
fn asked(world: &World, request: u64) -> Option<Question> {
    let mut notices = world.notices.iter().rev();
    notices.find_map(|notice| match notice {
        HostNotice::Confirm {
            request: of,
            question,
        } if *of == request => Some(question.clone()),
        _ => None,
    })
}

fn is_gone(world: &World, request: u64) -> bool {
    let gone = HostNotice::ConfirmGone { request };
    world.notices.contains(&gone)
}

/// What was said of changes through the socket.
fn said(world: &World) -> Vec<Change> {
    let notices = world.notices.iter();
    notices
        .filter_map(|notice| match notice {
            HostNotice::ChangedBySocket(change) => Some(change.clone()),
            _ => None,
        })
        .collect()
}

#[track_caller]
fn is_refused(world: &mut World, request: u64) -> CommandError {
    match world.done.remove(&request) {
        Some(Err(error)) if error.is_said_no() => error,
        other => panic!("{other:?}"),
    }
}

/// Somebody could type, typed, and is gone: what they left behind may wait.
fn after_an_editor(mut world: World) -> World {
    let eve = world.join(66, "eve");
    world.grant_edit("eve").unwrap();
    world.types(eve, "(sleep 5; pillion allow KEY --manage) & disown\r");
    let all = Target::All;
    world
        .command(Command::Revoke(verbs::Revoke { target: all }))
        .unwrap();
    world.seats[eve].online = false;
    world.cut(eve);
    world.advance_ms(3_600_000);
    world.notices.clear();
    world
}

/// Each command that lets somebody in or gives a right, in a session for invited people at whose door
/// bert knocks.
fn widening() -> Vec<Command> {
    let key = secret(77).public().to_string();
    vec![
        grant("anna", Rights::EDIT),
        token(),
        Command::Admit(verbs::Admit {
            target: named("bert"),
        }),
        Command::Allow(verbs::Allow {
            target: named(&key),
            rights: Rights::MANAGE,
        }),
        Command::Unban(verbs::Unban {
            target: named(&key),
        }),
        Command::SetAccessMode(verbs::SetAccessMode {
            mode: AccessMode::Link,
        }),
        Command::SetAccessMode(verbs::SetAccessMode {
            mode: AccessMode::Team,
        }),
        Command::UseService(verbs::UseService {
            service: "https://signal.example".into(),
            link: true,
        }),
        Command::UseService(verbs::UseService {
            service: "https://signal.example".into(),
            link: false,
        }),
    ]
}

/// Where the commands of [`widening`] are about somebody.
fn with_people(mut world: World) -> World {
    world.join(10, "anna");
    let mode = AccessMode::Invited;
    world
        .command(Command::SetAccessMode(verbs::SetAccessMode { mode }))
        .unwrap();
    world.join(11, "bert");
    world.notices.clear();
    world
}

#[test]
fn with_an_editor_here_widening_through_the_socket_needs_a_yes_at_the_terminal() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let bert = world.join(11, "bert");

    // Nobody else can type yet: the socket is the host's own.
    let request = world.ask(Actor::Socket, grant("anna", Rights::EDIT));
    assert!(world.done.remove(&request).unwrap().is_ok());
    assert_eq!(world.seats[anna].right(), Rights::EDIT);

    let request = world.ask(Actor::Socket, grant("bert", Rights::EDIT));
    assert!(world.done.is_empty());
    assert!(asked(&world, request).is_some());
    let yes = false;
    world.host(HostInput::Confirmed { request, yes });
    assert_eq!(is_refused(&mut world, request), CommandError::Declined);
    assert!(is_gone(&world, request));

    let request = world.ask(Actor::Socket, grant("bert", Rights::EDIT));
    let yes = true;
    world.host(HostInput::Confirmed { request, yes });
    assert!(world.done.remove(&request).unwrap().is_ok());
    assert_eq!(world.seats[bert].right(), Rights::EDIT);

    // Narrowing is always at once.
    let target = Target::All;
    let request = world.ask(Actor::Socket, Command::Revoke(verbs::Revoke { target }));
    assert!(world.done.remove(&request).unwrap().is_ok());
}

#[test]
fn a_job_that_outwaits_its_editor_widens_nothing_by_itself() {
    let mut world = with_people(after_an_editor(World::shared()));
    for command in widening() {
        let text = format!("{command:?}");
        let request = world.ask(Actor::Socket, command);
        assert!(asked(&world, request).is_some(), "{text}");
        assert!(!world.done.contains_key(&request), "{text}");
        let yes = false;
        world.host(HostInput::Confirmed { request, yes });
        assert_eq!(
            is_refused(&mut world, request),
            CommandError::Declined,
            "{text}"
        );
    }
    assert!(world.published.is_empty());
    assert_eq!(said(&world), []);

    // Sharing again is no way round it, anybody who shared again since.
    for _ in 0..2 {
        let request = world.ask(Actor::Socket, Command::Stop(verbs::Stop {}));
        assert!(world.done.remove(&request).unwrap().is_ok());
        let request = world.ask(Actor::Socket, share());
        assert!(!world.listening && asked(&world, request).is_some());
        world.advance_ms(CONFIRM_WITHIN_US / 1000);
        is_refused(&mut world, request);
        world.share();
        let request = world.ask(Actor::Socket, token());
        assert!(asked(&world, request).is_some());
        world.host(HostInput::Withdrawn { request });
        is_refused(&mut world, request);
    }
}

#[test]
fn a_session_started_again_remembers_that_somebody_else_could_type() {
    let mut world = after_an_editor(World::shared());
    for _ in 0..2 {
        world.restart(config());
        world.command(Command::Stop(verbs::Stop {})).unwrap();
        let request = world.ask(Actor::Socket, share());
        assert!(asked(&world, request).is_some());
        let yes = true;
        world.host(HostInput::Confirmed { request, yes });
        assert!(matches!(
            world.done.remove(&request),
            Some(Ok(Reply::Ticket(_)))
        ));
        let request = world.ask(Actor::Socket, token());
        assert!(asked(&world, request).is_some());
    }
    // One in which nobody could is not asked about.
    let mut world = World::shared();
    world.join(10, "anna");
    world.restart(config());
    let request = world.ask(Actor::Socket, token());
    assert!(world.done.remove(&request).unwrap().is_ok());
}

#[test]
fn an_editor_who_left_without_typing_changes_nothing() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    let target = Target::All;
    world
        .command(Command::Revoke(verbs::Revoke { target }))
        .unwrap();
    world.types(anna, "too late");
    let request = world.ask(Actor::Socket, token());
    assert!(world.done.remove(&request).unwrap().is_ok());
}

#[test]
fn without_a_terminal_only_a_co_hosts_word_widens() {
    let mut headless = config();
    headless.has_tty = false;
    let mut world = World::sharing(headless);
    let carl = world.join(12, "carl");
    world.command(grant("carl", Rights::MANAGE)).unwrap();
    let mut world = with_people(after_an_editor_but(world));
    for command in widening() {
        let request = world.ask(Actor::Socket, command);
        assert_eq!(is_refused(&mut world, request), CommandError::NoTerminal);
    }
    assert_eq!(said(&world), []);
    let allow = Command::Allow(verbs::Allow {
        target: who(77).into(),
        rights: Rights::VIEW,
    });
    world.viewer(carl, ViewerInput::Command(allow));
    let Ok(Reply::AccessList(verbs::AccessListed { people, .. })) =
        world.command(Command::AccessList(verbs::AccessList {}))
    else {
        panic!()
    };
    assert_eq!(people, [(secret(77).public().to_string(), Rights::VIEW)]);
}

/// As [`after_an_editor`], and others keep what they have.
fn after_an_editor_but(mut world: World) -> World {
    let eve = world.join(66, "eve");
    world.grant_edit("eve").unwrap();
    world.types(eve, "x");
    world
        .command(Command::Revoke(verbs::Revoke {
            target: named("eve"),
        }))
        .unwrap();
    world.seats[eve].online = false;
    world.cut(eve);
    world.notices.clear();
    world
}

#[test]
fn commands_that_wait_for_a_yes_end_when_the_terminal_goes_and_are_few() {
    let mut world = World::shared();
    world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    let requests: Vec<u64> = (0..20).map(|_| world.ask(Actor::Socket, token())).collect();
    assert_eq!(world.done.len(), 4);
    world.host(HostInput::Tty(TtyNews::Detached));
    assert!(requests.iter().all(|request| world.done[request].is_err()));
    assert!(requests[..16].iter().all(|one| is_gone(&world, *one)));
}

#[test]
fn a_question_goes_when_it_expires_or_its_command_does_and_can_be_asked_again() {
    let mut world = after_an_editor(World::shared());
    let expired = world.ask(Actor::Socket, token());
    world.advance_ms(CONFIRM_WITHIN_US / 1000 - 100);
    assert!(!is_gone(&world, expired));
    world.advance_ms(200);
    assert!(is_gone(&world, expired));
    assert_eq!(is_refused(&mut world, expired), CommandError::NotConfirmed);

    let withdrawn = world.ask(Actor::Socket, token());
    world.host(HostInput::Withdrawn { request: withdrawn });
    assert!(is_gone(&world, withdrawn));
    is_refused(&mut world, withdrawn);

    // Too late, twice over.
    for request in [expired, withdrawn] {
        world.host(HostInput::Confirmed { request, yes: true });
        world.host(HostInput::Withdrawn { request });
        assert!(!world.done.contains_key(&request));
    }

    let request = world.ask(Actor::Socket, token());
    assert_eq!(asked(&world, request), asked(&world, expired));
    world.host(HostInput::Confirmed { request, yes: true });
    assert!(matches!(
        world.done.remove(&request),
        Some(Ok(Reply::GrantLink(verbs::Token { .. })))
    ));
}

#[test]
fn right_and_time_come_first_and_a_name_last() {
    let mut world = after_an_editor(World::shared());
    let name = "watch for 5 min";
    world.join(10, name);
    let years = Command::Grant(verbs::Grant {
        target: named(name),
        rights: Rights::MANAGE,
        ttl_ms: Some(u64::MAX),
    });
    let request = world.ask(Actor::Socket, years);
    let question = asked(&world, request).unwrap();
    assert_eq!(
        question,
        Question {
            what: Offer::Give {
                rights: Rights::MANAGE,
                ttl_ms: 3650 * 86_400_000,
            },
            who: vec![
                WhoLine::Key(secret(10).public()),
                WhoLine::InBy {
                    proof: Proved {
                        by: AdmittedBy::Ticket,
                        claims: Vec::new(),
                    },
                    id: pillion_proto::ParticipantId(2),
                },
            ],
            said: vec![Unverified::OwnName(name.into())],
        }
    );
    // The yes is about exactly them, anybody who else calls themselves so by then.
    let other = world.join(11, name);
    world.host(HostInput::Confirmed { request, yes: true });
    assert!(world.done.remove(&request).unwrap().is_ok());
    assert_eq!(world.seats[1].right(), Rights::MANAGE);
    assert_eq!(world.seats[other].right(), Rights::VIEW);
    let change = Change::Widened {
        question,
        grant: None,
    };
    assert_eq!(said(&world).pop(), Some(change));

    // What a viewer asks for itself is asked the same way.
    world.viewer(other, ViewerInput::RequestEdit);
    let question = match world.notices.last() {
        Some(HostNotice::EditRequested { question, .. }) => question.clone(),
        other => panic!("{other:?}"),
    };
    let what = Offer::Give {
        rights: Rights::EDIT,
        ttl_ms: 8 * 3_600_000,
    };
    assert_eq!(question.what, what);
    assert_eq!(question.who[0], WhoLine::Key(secret(11).public()));
    assert_eq!(question.said, [Unverified::OwnName(name.into())]);
}

#[test]
fn a_link_service_whose_name_can_not_be_shown_is_not_asked_about() {
    let mut world = after_an_editor(World::shared());
    let service = format!("https://signal.example/{}@evil.example", "a".repeat(200));
    let link = true;
    let request = world.ask(
        Actor::Socket,
        Command::UseService(verbs::UseService { service, link }),
    );
    assert!(world.done.remove(&request).unwrap().is_err());
    assert_eq!(asked(&world, request), None);
}

/// What is said of a change: what was offered, or the command.
fn kind(change: &Change) -> String {
    match change {
        Change::Widened { question, .. } => format!("{:?}", question.what),
        Change::TicketReplaced => "another ticket".to_owned(),
        Change::Other { name, .. } => (*name).to_owned(),
    }
}

#[test]
fn whatever_the_socket_changed_is_said_at_the_terminal() {
    let mut world = with_people(World::shared());
    let key = secret(77).public().to_string();
    let commands = [
        (
            grant("anna", Rights::EDIT),
            "Give { rights: Rights(19), ttl_ms: 28800000 }",
        ),
        (
            Command::Revoke(verbs::Revoke {
                target: named("anna"),
            }),
            "revoke",
        ),
        (token(), "Token { rights: Rights(19), ttl_ms: 28800000 }"),
        (
            Command::Admit(verbs::Admit {
                target: named("bert"),
            }),
            "LetIn",
        ),
        (
            Command::Allow(verbs::Allow {
                target: named(&key),
                rights: Rights::MANAGE,
            }),
            "LetInAndGive(Rights(2039))",
        ),
        (
            Command::Ban(verbs::Ban {
                target: named(&key),
            }),
            "ban",
        ),
        (
            Command::Unban(verbs::Unban {
                target: named(&key),
            }),
            "Unban",
        ),
        (
            Command::SetAccessMode(verbs::SetAccessMode {
                mode: AccessMode::Link,
            }),
            "AccessMode(Link)",
        ),
        (
            Command::SetAccessMode(verbs::SetAccessMode {
                mode: AccessMode::Team,
            }),
            "allow",
        ),
        (
            Command::UseService(verbs::UseService {
                service: "https://signal.example".into(),
                link: true,
            }),
            "PublishLink",
        ),
        (Command::Code(verbs::Code {}), "code"),
        (Command::EndLink(verbs::EndLink {}), "link --off"),
        (
            Command::Ticket(verbs::Ticket { new: true }),
            "another ticket",
        ),
        (
            Command::Kick(verbs::Kick {
                target: named("bert"),
            }),
            "kick",
        ),
        (Command::Stop(verbs::Stop {}), "stop"),
        (share(), "Share { from_start: false }"),
    ];
    for (command, expected) in commands {
        let text = format!("{command:?}");
        world.notices.clear();
        let request = world.ask(Actor::Socket, command);
        assert!(world.done.remove(&request).unwrap().is_ok(), "{text}");
        let said = said(&world);
        let [one] = &said[..] else {
            panic!("{text}: {said:?}")
        };
        assert_eq!(kind(one), expected, "{text}");
    }

    // Nothing of what changed nothing, and of what was pressed at the terminal.
    world.notices.clear();
    for command in [
        Command::Who(verbs::Who {}),
        Command::Status(verbs::Status {}),
        Command::AccessList(verbs::AccessList {}),
        Command::Ticket(verbs::Ticket { new: false }),
        share(),
        grant("nobody", Rights::EDIT),
    ] {
        world.ask(Actor::Socket, command);
    }
    world
        .command(Command::Ticket(verbs::Ticket { new: true }))
        .unwrap();
    assert_eq!(said(&world), []);
}

#[test]
fn a_session_bound_to_its_terminal_moves_with_a_yes_once_others_typed() {
    let attach = |takes_over| Command::Attach(verbs::Attach { takes_over });
    let mut world = World::shared();
    // Nobody else has typed: a command is the host's own.
    let request = world.ask(Actor::Socket, attach(true));
    assert!(matches!(world.done.remove(&request), Some(Ok(_))));

    let mut world = after_an_editor(World::shared());
    // One that may go on without its terminal may have any.
    let request = world.ask(Actor::Socket, attach(false));
    assert!(matches!(world.done.remove(&request), Some(Ok(_))));
    assert!(said(&world).is_empty());

    let request = world.ask(Actor::Socket, attach(true));
    assert!(!world.done.contains_key(&request));
    let question = asked(&world, request).unwrap();
    assert_eq!(question.what, Offer::MoveTerminal);
    world.host(HostInput::Confirmed {
        request,
        yes: false,
    });
    is_refused(&mut world, request);
}

#[test]
fn what_becomes_of_the_hosts_terminal_is_told_to_viewers_and_written_down() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    for (news, told, logged) in [
        (TtyNews::Moved, None, Some("moved")),
        (
            TtyNews::Detached,
            Some(HostTerminal::Left),
            Some("detached"),
        ),
        // There is none to lose.
        (TtyNews::Lost { stays: true }, None, None),
        (
            TtyNews::Attached,
            Some(HostTerminal::Attached),
            Some("attached"),
        ),
        (TtyNews::Attached, None, None),
        (
            TtyNews::Lost { stays: true },
            Some(HostTerminal::Lost),
            Some("lost"),
        ),
    ] {
        world.seats[anna].events.clear();
        world.log.clear();
        world.host(HostInput::Tty(news));
        let told = told.map(|told| ViewerNotice::Host(Some(NoticeKind::HostTerminal(told))));
        let told: Vec<&ViewerNotice> = told.iter().collect();
        assert_eq!(world.seats[anna].said(), told, "{news:?}");
        let states = world.logged();
        let states: Vec<_> = states
            .iter()
            .filter(|event| event["event"] == "terminal")
            .filter_map(|event| event["state"].as_str())
            .collect();
        assert_eq!(states, logged.into_iter().collect::<Vec<_>>(), "{news:?}");
    }

    // The program is ended for it: that is why the session ends.
    world.host(HostInput::Tty(TtyNews::Attached));
    world.host(HostInput::Tty(TtyNews::Lost { stays: false }));
    world.host(HostInput::Exited {
        track: TERMINAL,
        state: pillion_proto::TrackState::Killed(1),
    });
    let (ended, _) = world.seats[anna].ended().unwrap();
    assert!(ended.contains("TerminalClosed"), "{ended}");
}
