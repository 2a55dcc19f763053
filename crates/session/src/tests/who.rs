//! Who is meant: what people call themselves changes nothing about anybody but themselves.

use pillion_caps::UnixMillis;
use pillion_people::{Claim, Name, Serial, SubjectRef, TeamKey};
use pillion_proto::{AccessMode, Rights};
use proptest::prelude::*;

use super::harness::*;
use crate::{
    Actor, Choice, Command, CommandError, HostConfig, HostInput, HostNotice, Phase, Reply, Target,
    ViewerConfig, ViewerInput,
    host::{Question, WhoLine},
    verbs,
};

const CAROL: u8 = 30;
const EVE: u8 = 31;

fn key(seed: u8) -> String {
    secret(seed).public().to_string()
}

fn fingerprint(seed: u8) -> String {
    secret(seed).public().fingerprint()
}

fn invited() -> World {
    World::sharing(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    })
}

fn allow(text: &str, right: Rights) -> Command {
    let target = named(text);
    Command::Allow(verbs::Allow {
        target,
        rights: right,
    })
}

fn grant(text: &str) -> Command {
    Command::Grant(verbs::Grant {
        target: named(text),
        rights: Rights::EDIT,
        ttl_ms: None,
    })
}

fn is_knocking(world: &World, seat: usize) -> bool {
    matches!(world.seats[seat].phase(), Phase::Knocking { .. })
}

/// The list of who may come in, and who is barred.
fn door(world: &mut World) -> (Vec<(String, Rights)>, Vec<String>) {
    match world.command(Command::AccessList(verbs::AccessList {})) {
        Ok(Reply::AccessList(verbs::AccessListed { people, banned, .. })) => (people, banned),
        other => panic!("{other:?}"),
    }
}

/// A yes to the question that this command asks; the question.
fn confirm(
    world: &mut World,
    command: Command,
    before_the_yes: impl FnOnce(&mut World),
) -> Question {
    let request = world.ask(Actor::Socket, command);
    let question = world.notices.iter().rev().find_map(|notice| match notice {
        HostNotice::Confirm {
            request: asked,
            question,
        } if *asked == request => Some(question.clone()),
        _ => None,
    });
    before_the_yes(world);
    world.host(HostInput::Confirmed { request, yes: true });
    question.expect("a question")
}

#[test]
fn a_name_that_is_an_address_gets_nothing_that_was_given_to_the_address() {
    let mut world = World::shared();
    let eve = world.join(EVE, "carol@example.org");
    world
        .command(allow("carol@example.org", Rights::EDIT))
        .unwrap();
    assert_eq!(world.seats[eve].right(), Rights::VIEW);
    let given = ("carol@example.org".to_owned(), Rights::EDIT);
    assert_eq!(door(&mut world).0, [given]);
    assert!(world.command(grant("carol@example.org")).is_err());
    assert_eq!(world.seats[eve].right(), Rights::VIEW);
}

#[test]
fn who_knocks_and_is_called_as_anothers_key_is_stays_outside() {
    let mut world = invited();
    let eve = world.join(EVE, &key(CAROL));
    for command in [
        allow(&key(CAROL), Rights::EDIT),
        Command::Admit(verbs::Admit {
            target: named(&key(CAROL)),
        }),
        grant(&key(CAROL)),
    ] {
        let _ = world.command(command);
        assert!(is_knocking(&world, eve));
    }
    assert_eq!(door(&mut world).0, [(key(CAROL), Rights::EDIT)]);
    // Only who has the key comes in.
    let carol = world.join(CAROL, "carol");
    assert_eq!(world.seats[carol].right(), Rights::EDIT);
}

#[test]
fn a_fingerprint_means_the_key_and_not_who_is_called_so() {
    let mut world = World::shared();
    let eve = world.join(EVE, &fingerprint(CAROL));
    assert!(matches!(
        world.command(grant(&fingerprint(CAROL))),
        Err(CommandError::Unknown { .. })
    ));
    let carol = world.join(CAROL, "carol");
    for text in [fingerprint(CAROL), fingerprint(CAROL)[..4].to_owned()] {
        world.command(grant(&text)).unwrap();
        assert_eq!(world.seats[carol].right(), Rights::EDIT);
        assert_eq!(world.seats[eve].right(), Rights::VIEW);
        let target = named(&text);
        world
            .command(Command::Revoke(verbs::Revoke { target }))
            .unwrap();
        assert_eq!(world.seats[carol].right(), Rights::VIEW);
    }
}

#[test]
fn a_key_is_barred_and_not_who_is_called_so() {
    let mut world = World::shared();
    let eve = world.join(EVE, &key(CAROL));
    let target = named(&key(CAROL));
    world.command(Command::Ban(verbs::Ban { target })).unwrap();
    assert_eq!(door(&mut world).1, [key(CAROL)]);
    assert_eq!(*world.seats[eve].phase(), Phase::Live);
    let carol = world.join(CAROL, "carol");
    assert!(world.seats[carol].ended().is_some());

    // Nor is the wrong one let in again, or kicked.
    let target = named(&key(CAROL));
    world
        .command(Command::Unban(verbs::Unban { target }))
        .unwrap();
    assert!(door(&mut world).1.is_empty());
    let target = named(&key(CAROL));
    world
        .command(Command::Kick(verbs::Kick { target }))
        .unwrap_err();
    assert_eq!(*world.seats[eve].phase(), Phase::Live);
}

#[test]
fn a_grants_id_cannot_be_made_ambiguous_by_a_name() {
    for cut in [8, 32] {
        let mut world = World::shared();
        let (_, grant) = world.token(5, None);
        world.join(EVE, &grant[..cut]);
        world.join(CAROL, &grant);
        let target = named(&grant[..cut]);
        let revoked = world.command(Command::Revoke(verbs::Revoke { target }));
        assert_eq!(revoked, Ok(Reply::Revoke(verbs::Revoked::Grant(grant))));
    }
}

#[test]
fn a_prefix_that_several_have_is_refused_with_the_choices() {
    let mut world = World::shared();
    let first = |seed: u8| key(seed)[..4].to_owned();
    // Two keys that begin alike are found soon: there are 65,536 beginnings.
    let mut seen = std::collections::BTreeMap::new();
    let seeds = (0u32..).map(|number| {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        pillion_caps::SecretKey::from_bytes(&seed)
    });
    let pair = seeds.into_iter().find_map(|one| {
        let start = one.public().to_string()[..4].to_owned();
        let known = seen.insert(start, one.clone())?;
        Some([known, one])
    });
    let pair = pair.unwrap();
    for (number, identity) in pair.iter().enumerate() {
        let config = ViewerConfig {
            identity: signs_for(identity),
            join: pillion_proto::JoinId([200 + number as u8; 16]),
            ..world.viewer_config(EVE, "twin")
        };
        world.join_with(config);
    }
    let start = pair[0].public().to_string()[..4].to_owned();
    assert_ne!(start, first(CAROL));
    let text = format!("{start}-");
    for command in [
        grant(&text),
        allow(&text, Rights::EDIT),
        Command::Kick(verbs::Kick {
            target: named(&text),
        }),
        Command::Revoke(verbs::Revoke {
            target: named(&text),
        }),
        Command::Unban(verbs::Unban {
            target: named(&text),
        }),
    ] {
        let Err(CommandError::Ambiguous { choices, .. }) = world.command(command.clone()) else {
            panic!("{command:?} guessed")
        };
        for one in &pair {
            let key = one.public();
            assert!(choices.iter().any(|choice| match choice {
                Choice::Person(person) => person.identity == key,
                Choice::Key(print) => *print == key.fingerprint(),
                Choice::Grant(_) => false,
            }));
        }
    }
    world
        .command(grant(&pair[1].public().fingerprint()))
        .unwrap();
    assert_eq!(world.seats[1].right(), Rights::EDIT);
}

#[test]
fn a_name_that_one_has_who_is_here_and_one_who_knocks_is_refused() {
    let mut world = invited();
    world.command(allow(&key(CAROL), Rights::VIEW)).unwrap();
    let carol = world.join(CAROL, "carol");
    let eve = world.join(EVE, "CAROL");
    for command in [
        grant("carol"),
        allow("carol", Rights::EDIT),
        Command::Admit(verbs::Admit {
            target: named("carol"),
        }),
        Command::Kick(verbs::Kick {
            target: named("carol"),
        }),
        Command::Ban(verbs::Ban {
            target: named("carol"),
        }),
        Command::TurnAway(verbs::TurnAway {
            target: named("carol"),
            for_good: false,
        }),
    ] {
        let refused = world.command(command);
        assert!(matches!(refused, Err(CommandError::Ambiguous { .. })));
    }
    assert_eq!(world.seats[carol].right(), Rights::VIEW);
    assert!(is_knocking(&world, eve));
}

#[test]
fn a_yes_is_for_whom_the_question_showed() {
    let mut world = invited();
    world.command(allow(&key(10), Rights::EDIT)).unwrap();
    world.join(10, "anna");

    // Somebody takes the name that is the key meanwhile.
    let question = confirm(&mut world, allow(&key(CAROL), Rights::EDIT), |world| {
        world.join(EVE, &key(CAROL));
    });
    assert_eq!(question.who, [WhoLine::WholeKey(secret(CAROL).public())]);
    let (people, _) = door(&mut world);
    assert!(people.contains(&(key(CAROL), Rights::EDIT)));
    assert!(!people.iter().any(|(who, _)| *who == key(EVE)));

    // Who was asked about goes, and another one knocks who is called the same.
    let bert = world.join(40, "bert");
    let command = || {
        Command::Admit(verbs::Admit {
            target: named("bert"),
        })
    };
    let question = confirm(&mut world, command(), |world| {
        world.viewer(bert, ViewerInput::Leave);
        world.join(41, "bert");
    });
    assert_eq!(question.who[0], WhoLine::Key(secret(40).public()));
    assert!(is_knocking(&world, world.seats.len() - 1));
    let answered = world.done.values().last().unwrap();
    assert!(
        matches!(answered, Err(CommandError::Unknown { whom }) if whom.as_key() == Some(secret(40).public()))
    );
}

#[test]
fn who_is_let_come_in_again_is_whom_the_question_showed() {
    let mut world = World::shared();
    world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    let bar = |world: &mut World, seed: u8| {
        world.join(seed, "bert");
        let target = secret(seed).public().into();
        world
            .command(Command::Kick(verbs::Kick { target }))
            .unwrap();
    };
    bar(&mut world, 40);
    let unban = Command::Unban(verbs::Unban {
        target: named("bert"),
    });
    let question = confirm(&mut world, unban, |world| bar(world, 41));
    assert_eq!(question.who, [WhoLine::WholeKey(secret(40).public())]);
    assert_eq!(door(&mut world).1, [key(41)]);
}

#[test]
fn a_co_hosts_requests_go_the_same_way() {
    let mut world = invited();
    world.command(allow(&key(20), Rights::MANAGE)).unwrap();
    let olaf = world.join(20, "olaf");
    let eve = world.join(EVE, &key(CAROL));
    let mallory = world.join(32, "carol@example.org");
    let one = |text: &str| text.parse::<SubjectRef>().unwrap();
    let right = Rights::EDIT;
    for what in [
        Command::Admit(verbs::Admit {
            target: one(&key(CAROL)).into(),
        }),
        Command::Allow(verbs::Allow {
            target: (one(&key(CAROL))).into(),
            rights: right,
        }),
        Command::Allow(verbs::Allow {
            target: (one("carol@example.org")).into(),
            rights: right,
        }),
        Command::Grant(verbs::Grant {
            target: (one("carol@example.org")).into(),
            rights: right,
            ttl_ms: None,
        }),
        Command::Ban(verbs::Ban {
            target: one(&key(33)).into(),
        }),
    ] {
        world.viewer(olaf, ViewerInput::Command(what));
    }
    for seat in [eve, mallory] {
        assert!(is_knocking(&world, seat));
    }
    let (people, banned) = door(&mut world);
    let listed: Vec<&str> = people.iter().map(|(who, _)| who.as_str()).collect();
    let mut expected = [key(CAROL), key(20), "carol@example.org".to_owned()];
    expected.sort();
    assert_eq!(listed, expected);
    assert_eq!(banned, [key(33)]);
}

#[test]
fn names_of_other_forms_stand_nowhere() {
    let team = TeamKey::new(secret(90)).public().to_string();
    for name in [
        "carol@example.org",
        &key(CAROL),
        &fingerprint(CAROL),
        "17",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI carol",
        &format!("team:{team}/carol"),
        "forge:carol",
        &"☺\u{fe0f}".repeat(12),
        "\u{3248}\u{3249}\u{324a}",
        "👩\u{200d}💻",
    ] {
        let mut world = invited();
        world.command(allow(&key(20), Rights::MANAGE)).unwrap();
        let olaf = world.join(20, "olaf");
        let eve = world.join(EVE, name);
        let shown = Name::of(name).to_string();
        let view = world.seats[olaf].viewer.view();
        assert_eq!(view.door.as_ref().unwrap().knocks[0].name.as_str(), shown);
        let target = secret(EVE).public().into();
        world
            .command(Command::Admit(verbs::Admit { target }))
            .unwrap();
        world.viewer(eve, ViewerInput::RequestEdit);
        world.advance_ms(1000);
        let view = world.seats[olaf].viewer.view();
        let listed = view
            .roster
            .iter()
            .find(|one| one.id == world.seats[eve].viewer.view().you.unwrap());
        assert_eq!(listed.unwrap().name.as_str(), shown);
        world
            .command(Command::Ticket(verbs::Ticket { new: true }))
            .unwrap();
        let mut stranger = world.viewer_config(50, name);
        stranger.link = Some(secret(77));
        world.join_with(stranger);
        let told = format!("{:?} {:?}", world.notices, world.logged());
        assert!(told.contains(&shown), "{told}");
        assert!(!told.contains(&format!("{name:?}")), "{told}");
    }
}

/// What names and subjects are made from: whom there is to be taken for.
fn texts() -> Vec<String> {
    let team = TeamKey::new(secret(90)).public().to_string();
    vec![
        "1".into(),
        "2".into(),
        "3".into(),
        key(CAROL),
        key(EVE),
        key(33),
        fingerprint(CAROL),
        fingerprint(EVE),
        key(CAROL)[..4].into(),
        format!("{}-", &key(CAROL)[..4]),
        key(CAROL)[..20].into(),
        format!("team:{team}"),
        format!("team:{team}/carol"),
        "carol@example.org".into(),
        "carol@example.org via https://issuer.example".into(),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c".into(),
    ]
}

/// A session with a carol who is a member of a team, a token, and somebody who calls themselves anything; one more
/// knocks.
fn crowded(name: &str, knocking: &str) -> (World, String) {
    let mut world = World::shared();
    let (_, grant) = world.token(5, None);
    let now = UnixMillis(world.now.unix_ms);
    let until = now.saturating_add(3_600_000);
    let team = TeamKey::new(secret(90));
    let member = "carol".parse().unwrap();
    let membership = team.admit(secret(CAROL).public(), member, Serial(1), now, until);
    let config = ViewerConfig {
        claims: vec![Claim::Team(membership.unwrap()).to_bytes().into()],
        ..world.viewer_config(CAROL, "carol")
    };
    world.join_with(config);
    world.join(EVE, name);
    let mode = AccessMode::Invited;
    world
        .command(Command::SetAccessMode(verbs::SetAccessMode { mode }))
        .unwrap();
    world.join(32, knocking);
    (world, grant)
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(texts()),
        1 => "[0-9a-f-]{1,40}",
        1 => "(team:|forge:|ssh-|sk-|~/)[a-z0-9/@ ]{0,20}",
        1 => "[a-z@ .]{0,20}",
        1 => ".{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever people call themselves, a text that is no name means what it meant without them.
    #[test]
    fn a_name_never_changes_what_another_form_means(
        name in any_name(), knocking in any_name(), more in prop::collection::vec(any_name(), 0..8),
    ) {
        let (plain, grant) = crowded("zoe", "zacharias");
        let (crowd, same) = crowded(&name, &knocking);
        prop_assert_eq!(&grant, &same, "both worlds are the same but for the names");
        let ids = [grant.clone(), grant[..8].to_owned(), format!("{}-", &grant[..4])];
        for text in texts().into_iter().chain(ids).chain(more).chain([name, knocking]) {
            match text.parse::<SubjectRef>() {
                Ok(SubjectRef::Name(_)) | Err(_) => continue,
                Ok(whom) => {
                    let target = Target::from(whom);
                    prop_assert_eq!(
                        crowd.host.resolved_for_tests(&target),
                        plain.host.resolved_for_tests(&target),
                        "{}", text
                    );
                }
            }
        }
    }
}
