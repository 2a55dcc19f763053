//! What the log says of who did what.

use pillion_people::SubjectRef;
use pillion_proto::Rights;
use serde_json::Value;

use super::harness::*;
use crate::{Actor, Command, CommandError, HostInput, Target, ViewerInput, verbs};

/// Every event of this name.
fn events(world: &World, name: &str) -> Vec<Value> {
    let mut all = world.logged();
    all.retain(|event| event["event"] == name);
    all
}

#[test]
fn a_span_of_typing_is_one_event_with_its_size_and_without_its_content() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    world.types(anna, "sec");
    assert_eq!(events(&world, "typing").len(), 1, "said at once");
    for _ in 0..5 {
        world.advance_ms(2_000);
        world.types(anna, "ret");
    }
    assert!(events(&world, "typed").is_empty(), "it goes on");
    world.advance_ms(10_100);
    let [typed] = &events(&world, "typed")[..] else {
        panic!("{:?}", world.logged())
    };
    assert_eq!(typed["bytes"], 18);
    assert_eq!((&typed["id"], &typed["name"]), (&1.into(), &"anna".into()));
    assert_eq!(typed["identity"], secret(10).public().to_string());
    assert_eq!(typed["grant"], events(&world, "granted")[0]["grant"]);
    let span = typed["to_unix_ms"].as_u64().unwrap() - typed["from_unix_ms"].as_u64().unwrap();
    assert!((10_000..20_000).contains(&span), "{span} ms");
    assert_eq!(events(&world, "typing").len(), 1);
    assert!(!format!("{:?}", world.logged()).contains("secret"));
}

#[test]
fn whoever_types_without_a_pause_is_put_down_once_a_minute() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    for _ in 0..180 {
        world.types(anna, "x");
        world.advance_ms(1_000);
    }
    world.advance_ms(11_000);
    let typed = events(&world, "typed");
    assert!((3..=4).contains(&typed.len()), "{typed:?}");
    let bytes: u64 = typed.iter().map(|one| one["bytes"].as_u64().unwrap()).sum();
    assert_eq!(bytes, 180);
}

#[test]
fn a_span_ends_with_the_right_or_the_person_that_it_is_of() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    world.types(anna, "a");
    // Another grant: what follows is typed by that one.
    world
        .command(Command::Revoke(verbs::Revoke {
            target: Target::All,
        }))
        .unwrap();
    world.grant_edit("anna").unwrap();
    world.types(anna, "bc");
    world
        .command(Command::Kick(verbs::Kick {
            target: named("anna"),
        }))
        .unwrap();
    let typed = events(&world, "typed");
    let bytes: Vec<&Value> = typed.iter().map(|one| &one["bytes"]).collect();
    assert_eq!(bytes, [1, 2]);
    assert_ne!(typed[0]["grant"], typed[1]["grant"]);
    assert!(
        typed.iter().all(|one| one.get("by").is_none()),
        "it is theirs"
    );
    let kinds = world.logged_kinds();
    let last = |kind: &str| kinds.iter().rposition(|one| one == kind).unwrap();
    assert!(last("typed") < last("left"), "{kinds:?}");
}

#[test]
fn what_comes_of_a_command_says_who_gave_it() {
    let mut world = World::shared();
    world.join(10, "anna");
    world.ask(
        Actor::Socket,
        Command::Grant(verbs::Grant {
            target: named("anna"),
            rights: Rights::EDIT,
            ttl_ms: None,
        }),
    );
    world
        .command(Command::Kick(verbs::Kick {
            target: named("anna"),
        }))
        .unwrap();
    world.ask(Actor::Socket, Command::Ticket(verbs::Ticket { new: true }));
    for (event, by) in [
        ("shared", "host"),
        ("granted", "socket"),
        ("kicked", "host"),
        ("ticket_replaced", "socket"),
    ] {
        assert_eq!(events(&world, event)[0]["by"], by, "{event}");
    }
    assert!(events(&world, "joined")[0].get("by").is_none());
    let commands = events(&world, "command");
    let given: Vec<&str> = commands
        .iter()
        .map(|one| one["by"].as_str().unwrap())
        .collect();
    assert_eq!(given, ["host", "socket", "host", "socket"]);
    assert_eq!(
        commands[1]["command"]["Grant"]["target"]["One"]["Name"],
        "anna"
    );
    assert!(commands.iter().all(|one| one["done"] == true));
}

#[test]
fn a_link_is_published_and_ended_by_somebody_and_only_while_the_session_is_shared() {
    let link = || {
        Command::UseService(verbs::UseService {
            service: "https://signal.example\x1b[2J/".into(),
            link: true,
        })
    };
    let mut world = World::unshared(config());
    for command in [link(), Command::EndLink(verbs::EndLink {})] {
        let error = world.command(command).unwrap_err();
        assert_eq!(error, CommandError::NotShared);
    }
    world.share();
    world.ask(Actor::Socket, link());
    assert_eq!(world.published.len(), 1);
    let [published] = &events(&world, "link")[..] else {
        panic!("{:?}", world.logged())
    };
    assert_eq!(published["by"], "socket");
    assert_eq!(published["service"], "https://signal.example[2J/");
    world.command(Command::EndLink(verbs::EndLink {})).unwrap();
    assert!(world.published.is_empty());
    assert_eq!(events(&world, "link_ended")[0]["by"], "host");
}

#[test]
fn a_co_hosts_command_and_what_comes_of_it_are_theirs() {
    let mut world = World::shared();
    let (anna, bert) = (world.join(10, "anna"), world.join(11, "bert"));
    let right = Rights::MANAGE;
    let (target, ttl_ms) = (named("anna"), None);
    world
        .command(Command::Grant(verbs::Grant {
            target,
            rights: right,
            ttl_ms,
        }))
        .unwrap();
    let grant = events(&world, "granted")[0]["grant"].clone();
    let before = events(&world, "command").len();
    let manage = |world: &mut World, what| world.viewer(anna, ViewerInput::Command(what));
    let right = Rights::EDIT;
    manage(
        &mut world,
        Command::Grant(verbs::Grant {
            target: who(11).into(),
            rights: right,
            ttl_ms: None,
        }),
    );
    world.types(bert, "x");
    manage(
        &mut world,
        Command::Kick(verbs::Kick {
            target: SubjectRef::Number(2).into(),
        }),
    );
    manage(
        &mut world,
        Command::Ban(verbs::Ban {
            target: named("nobody at all"),
        }),
    );
    let by = |event: &Value| {
        let of = |name: &str| event[name].clone();
        [of("by"), of("by_name"), of("by_grant")]
    };
    let key = secret(10).public().to_string();
    let theirs = [Value::from(key), "anna".into(), grant];
    for name in ["granted", "right", "kicked", "left"] {
        let last = events(&world, name).pop().unwrap();
        assert_eq!(by(&last), theirs, "{name}: {last}");
    }
    // What bert typed is bert's.
    assert!(events(&world, "typed")[0].get("by").is_none());
    let commands = events(&world, "command").split_off(before);
    let [granted, kicked, banned] = &commands[..] else {
        panic!("{commands:?}")
    };
    assert!(commands.iter().all(|command| by(command) == theirs));
    let key = secret(11).public().to_string();
    assert_eq!(
        granted["command"]["Grant"]["target"]["One"]["Provable"],
        key
    );
    assert_eq!(
        (&granted["done"], &kicked["done"]),
        (&true.into(), &true.into())
    );
    assert_eq!(
        banned["command"]["Ban"]["target"]["One"]["Name"],
        "nobody at all"
    );
    assert_eq!(banned["done"], false);
    assert_eq!(banned["why"]["Unknown"]["whom"]["Name"], "nobody at all");

    // Nobody's word is written down who may not manage: they could fill the disk.
    let carl = world.join(12, "carl");
    world.viewer(
        carl,
        ViewerInput::Command(Command::Kick(verbs::Kick {
            target: who(11).into(),
        })),
    );
    assert_eq!(events(&world, "command").len(), before + 3);
    // And whose command puts themselves out is known still.
    manage(
        &mut world,
        Command::Revoke(verbs::Revoke {
            target: who(10).into(),
        }),
    );
    let last = events(&world, "command").pop().unwrap();
    assert_eq!(by(&last), theirs);
}

#[test]
fn a_refused_command_is_there_with_the_reason_and_a_question_is_not() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    let before = events(&world, "command").len();
    world.ask(Actor::Socket, Command::Who(verbs::Who {}));
    world.ask(Actor::Socket, Command::Status(verbs::Status {}));
    world.ask(Actor::Socket, Command::Ticket(verbs::Ticket { new: false }));
    assert_eq!(events(&world, "command").len(), before);

    // An editor is here: a token needs a yes at the terminal.
    let token = || {
        Command::GrantLink(verbs::GrantLink {
            rights: Rights::EDIT,
            ttl_ms: None,
            uses: std::num::NonZeroU32::MIN,
        })
    };
    let no = world.ask(Actor::Socket, token());
    world.host(HostInput::Confirmed {
        request: no,
        yes: false,
    });
    let yes = world.ask(Actor::Socket, token());
    world.host(HostInput::Confirmed {
        request: yes,
        yes: true,
    });
    let long = format!("\x1b[2J{}", "x".repeat(10_000));
    world.ask(
        Actor::Socket,
        Command::Kick(verbs::Kick {
            target: Target::Keys {
                from: long,
                keys: Vec::new(),
                is_address: false,
            },
        }),
    );
    let commands = events(&world, "command").split_off(before);
    let [no, yes, kick] = &commands[..] else {
        panic!("{commands:?}")
    };
    assert_eq!(
        (&no["done"], &yes["done"], &kick["done"]),
        (&false.into(), &true.into(), &false.into())
    );
    assert_eq!(no["why"], "Declined");
    assert!(no.get("confirmed").is_none());
    assert_eq!(yes["confirmed"], true);
    assert_eq!(events(&world, "granted").last().unwrap()["by"], "socket");
    let kick = kick.to_string();
    assert!(kick.len() < 1_000 && !kick.contains("\\u001b"), "{kick}");
    // The token itself is nobody's to read in a log.
    assert!(!format!("{:?}", world.logged()).contains("pilliongrant"));
    let _ = anna;
}

#[test]
fn who_is_turned_away_is_put_down_and_a_flood_of_them_counted() {
    let mut world = World::shared();
    let foreign = |world: &World, seed: u8| {
        let mut config = world.viewer_config(seed, "eve");
        config.link = Some(secret(77));
        config
    };
    for _ in 0..40 {
        let config = foreign(&world, 50);
        world.join_with(config);
    }
    let away = events(&world, "turned_away");
    assert!((32..40).contains(&away.len()), "{}", away.len());
    assert_eq!(away[0]["identity"], secret(50).public().to_string());
    assert!(away[0]["why"] == "ticket");
    world.advance_ms(5_000);
    let config = foreign(&world, 51);
    world.join_with(config);
    let last = events(&world, "turned_away").pop().unwrap();
    assert_eq!(last["identity"], secret(51).public().to_string());
    assert_eq!(last["others"], 40 - away.len() as u64);
}
