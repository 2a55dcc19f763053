//! Lists of SSH keys: each key of one is somebody, and a command about it is one command.

use pillion_caps::UnixMillis;
use pillion_people::{Claim, SshClaim, SshKey, SshSignature};
use pillion_proto::{AccessMode, Rights};

use super::harness::*;
use crate::{
    Actor, Command, CommandError, HostConfig, HostInput, HostNotice, Phase, Reply, SubjectLabel,
    Target, ViewerConfig, ViewerInput,
    host::{Offer, Question, Unverified, WhoLine},
    verbs,
};

fn key(seed: u8) -> SshKey {
    SshKey::new(secret(seed).public())
}

fn list(seeds: &[u8]) -> Target {
    Target::Keys {
        from: "https://forge.example/bert.keys".into(),
        keys: seeds.iter().map(|seed| key(*seed)).collect(),
        is_address: false,
    }
}

const FORGE: &str = "https://forge.example/bert.keys";

/// A session for invited people, with a list that is followed.
fn following(seeds: &[u8], right: Rights) -> World {
    let mut world = World::sharing(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    });
    let target = followed(seeds);
    world
        .command(Command::Allow(verbs::Allow {
            target,
            rights: right,
        }))
        .unwrap();
    world
}

fn followed(seeds: &[u8]) -> Target {
    match list(seeds) {
        Target::Keys { from, keys, .. } => Target::Keys {
            from,
            keys,
            is_address: true,
        },
        other => other,
    }
}

/// The forge answers with these keys.
fn answer(world: &mut World, seeds: &[u8]) {
    let keys = seeds.iter().map(|seed| key(*seed)).collect();
    world.host(HostInput::KeyLists(vec![(FORGE.to_owned(), keys)]));
}

/// Somebody comes with the SSH key of this seed.
fn comes(world: &mut World, ssh: u8, seed: u8, name: &str) -> usize {
    let (now, config) = (
        UnixMillis(world.now.unix_ms),
        world.viewer_config(seed, name),
    );
    let expires = now.saturating_add(3_600_000);
    let message = SshClaim::message(&config.identity, &config.session, expires);
    let signed = SshSignature::signed_bytes(&message);
    let signature = iroh_base::SecretKey::from_bytes(&[ssh; 32]).sign(&signed);
    let signature = SshSignature::new(key(ssh), signature.to_bytes());
    let claim = Claim::Ssh(SshClaim { expires, signature });
    world.join_with(ViewerConfig {
        claims: vec![claim.to_bytes().into()],
        ..config
    })
}

fn is_live(world: &World, seat: usize) -> bool {
    *world.seats[seat].phase() == Phase::Live
}

fn is_knocking(world: &World, seat: usize) -> bool {
    matches!(world.seats[seat].phase(), Phase::Knocking { .. })
}

/// Who is on the list, and who is kept out.
fn door(world: &mut World) -> (Vec<String>, Vec<String>) {
    let Ok(Reply::AccessList(verbs::AccessListed { people, banned, .. })) =
        world.command(Command::AccessList(verbs::AccessList {}))
    else {
        panic!()
    };
    (people.into_iter().map(|(who, _)| who).collect(), banned)
}

fn texts(seeds: &[u8]) -> Vec<String> {
    let mut texts: Vec<String> = seeds.iter().map(|seed| key(*seed).to_string()).collect();
    texts.sort();
    texts
}

#[test]
fn a_list_is_confirmed_once_while_an_editor_is_here() {
    let mut world = World::shared();
    world.join(20, "anna");
    world.grant_edit("anna").unwrap();
    let seeds: Vec<u8> = (30..80).collect();
    let mut target = list(&seeds);
    if let Target::Keys { is_address, .. } = &mut target {
        *is_address = true;
    }
    let allow = Command::Allow(verbs::Allow {
        target,
        rights: Rights::VIEW,
    });
    let request = world.ask(Actor::Socket, allow);
    let asked = world.notices.iter().rev().map_while(|notice| match notice {
        HostNotice::Confirm { question, .. } => Some(question.clone()),
        _ => None,
    });
    let asked: Vec<Question> = asked.collect();
    let [asked] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!(asked.what, Offer::LetIn);
    // Some by their fingerprints, and how many more; where they are said to be from is the command's word,
    // and that they are looked for there is not.
    assert_eq!(asked.who.len(), 18, "{asked:?}");
    assert!(matches!(asked.who[0], WhoLine::SshKey(_)), "{asked:?}");
    assert_eq!(asked.who[16], WhoLine::More(34));
    let from = "https://forge.example/bert.keys";
    assert_eq!(asked.who[17], WhoLine::LaterKeys(from.to_owned()));
    assert_eq!(asked.said, [Unverified::KeysOf(from.to_owned())]);
    assert!(door(&mut world).0.is_empty());
    let yes = true;
    world.host(HostInput::Confirmed { request, yes });
    assert_eq!(door(&mut world).0, texts(&seeds));
}

#[test]
fn a_list_is_barred_as_a_whole_and_allowed_as_a_whole_or_not_at_all() {
    let mut world = World::shared();
    let (target, right) = (list(&[30, 31]), Rights::VIEW);
    let allow = Command::Allow(verbs::Allow {
        target: target.clone(),
        rights: right,
    });
    world.command(allow.clone()).unwrap();
    let one = named(&key(31).to_string());
    world
        .command(Command::Ban(verbs::Ban { target: one }))
        .unwrap();
    let barred = CommandError::Barred {
        who: vec![SubjectLabel::Subject(key(31).to_string())],
        unban: key(31).to_string(),
    };
    assert_eq!(world.command(allow), Err(barred));
    let ban = Command::Ban(verbs::Ban {
        target: target.clone(),
    });
    world.command(ban).unwrap();
    assert_eq!(door(&mut world), (vec![], texts(&[30, 31])));
    world
        .command(Command::Unban(verbs::Unban { target }))
        .unwrap();
    assert_eq!(door(&mut world), (vec![], vec![]));
}

#[test]
fn a_key_that_was_added_to_a_list_comes_in_without_knocking() {
    let mut world = following(&[30], Rights::EDIT);
    let bert = comes(&mut world, 31, 20, "bert");
    assert_eq!(world.wanted_lists, [[FORGE]]);
    assert_eq!(
        *world.seats[bert].phase(),
        Phase::Joining,
        "he waits for it"
    );
    answer(&mut world, &[30, 31]);
    assert!(is_live(&world, bert));
    assert_eq!(world.seats[bert].right(), Rights::EDIT);
    let knocked = |notice: &HostNotice| matches!(notice, HostNotice::Knocked { .. });
    assert!(!world.notices.iter().any(knocked));
    // Who has a key that no list has knocks, and nobody is asked again so soon.
    let eve = comes(&mut world, 32, 21, "eve");
    assert!(is_knocking(&world, eve));
    assert_eq!(world.wanted_lists.len(), 1);
    world.advance_ms(5 * 60_000);
    let fred = comes(&mut world, 33, 22, "fred");
    assert_eq!(world.wanted_lists.len(), 2);
    assert_eq!(*world.seats[fred].phase(), Phase::Joining);
    // While it is being asked others wait, too; without an answer they knock.
    let gina = comes(&mut world, 34, 23, "gina");
    assert_eq!(*world.seats[gina].phase(), Phase::Joining);
    world.advance_ms(6_000);
    assert!(is_knocking(&world, fred) && is_knocking(&world, gina));
    // And come in when it comes late.
    answer(&mut world, &[30, 31, 33]);
    assert!(is_live(&world, fred) && is_knocking(&world, gina));
    assert_eq!(world.wanted_lists.len(), 2);
}

#[test]
fn a_key_that_is_gone_from_a_list_is_off_the_hosts_at_once() {
    let mut world = following(&[30, 31], Rights::EDIT);
    let bert = comes(&mut world, 30, 20, "bert");
    assert!(
        is_live(&world, bert),
        "anybody who is on the list waits for nothing"
    );
    assert_eq!(world.seats[bert].right(), Rights::EDIT);
    assert_eq!(world.wanted_lists.len(), 1);
    answer(&mut world, &[31]);
    assert_eq!(world.seats[bert].right(), Rights::VIEW);
    assert_eq!(door(&mut world).0, texts(&[31]));
    answer(&mut world, &[]);
    assert!(door(&mut world).0.is_empty());
    answer(&mut world, &[30]);
    assert_eq!(door(&mut world).0, texts(&[30]));
}

#[test]
fn what_the_list_gave_ends_for_who_is_away_too() {
    for how in ["taken off", "lowered", "barred"] {
        let mut world = World::shared();
        let (target, right) = (list(&[30]), Rights::EDIT);
        world
            .command(Command::Allow(verbs::Allow {
                target,
                rights: right,
            }))
            .unwrap();
        let bert = comes(&mut world, 30, 20, "bert");
        assert_eq!(world.seats[bert].right(), Rights::EDIT);
        world.viewer(bert, ViewerInput::Leave);
        let (target, right) = (list(&[30]), Rights::VIEW);
        let command = match how {
            "taken off" => Command::Revoke(verbs::Revoke { target }),
            "lowered" => Command::Allow(verbs::Allow {
                target,
                rights: right,
            }),
            _ => Command::Ban(verbs::Ban { target }),
        };
        world.command(command).unwrap();
        // By the ticket, without a word of the key.
        let again = world.join(20, "bert");
        match how {
            "barred" => assert!(world.seats[again].ended().is_some()),
            _ => assert_eq!(world.seats[again].right(), Rights::VIEW, "{how}"),
        }
    }
}

#[test]
fn what_the_host_said_of_a_key_since_then_stays() {
    let mut world = following(&[30, 31, 32], Rights::VIEW);
    let named = |seed: u8| named(&key(seed).to_string());
    let target = named(30);
    world
        .command(Command::Revoke(verbs::Revoke { target }))
        .unwrap();
    let (target, right) = (named(31), Rights::EDIT);
    world
        .command(Command::Allow(verbs::Allow {
            target,
            rights: right,
        }))
        .unwrap();
    let target = named(33);
    world.command(Command::Ban(verbs::Ban { target })).unwrap();
    // Listed still, given something else, gone, and new but barred.
    answer(&mut world, &[30, 33]);
    assert_eq!(door(&mut world), (texts(&[31]), texts(&[33])));
}

#[test]
fn a_list_is_followed_until_it_is_taken_off_and_over_restarts() {
    for take_off in ["revoke", "ban"] {
        let mut world = following(&[30], Rights::VIEW);
        world.restart(HostConfig {
            allow: AccessMode::Invited,
            ..config()
        });
        let bert = comes(&mut world, 31, 20, "bert");
        assert_eq!(world.wanted_lists, [[FORGE]]);
        answer(&mut world, &[30, 31]);
        assert!(is_live(&world, bert));
        let target = followed(&[30, 31]);
        let command = match take_off {
            "revoke" => Command::Revoke(verbs::Revoke { target }),
            _ => Command::Ban(verbs::Ban { target }),
        };
        world.command(command).unwrap();
        assert!(world.kept_lists().is_empty());
        world.advance_ms(5 * 60_000);
        comes(&mut world, 32, 21, "carl");
        assert_eq!(world.wanted_lists.len(), 1);
        // An answer that was on its way says nothing any more.
        answer(&mut world, &[30, 31, 32]);
        assert!(door(&mut world).0.is_empty());
    }
}
