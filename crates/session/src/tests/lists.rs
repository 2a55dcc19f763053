//! Lists of SSH keys: each key of one is somebody, and a command about it is one command.

use pillion_people::SshKey;
use pillion_proto::Right;

use super::harness::*;
use crate::{Actor, Command, CommandError, Done, HostInput, HostNotice, Target};

fn key(seed: u8) -> SshKey {
    SshKey::new(secret(seed).public())
}

fn list(seeds: &[u8]) -> Target {
    Target::Keys {
        from: "https://forge.example/bert.keys".into(),
        keys: seeds.iter().map(|seed| key(*seed)).collect(),
    }
}

/// Who is on the list, and who is kept out.
fn door(world: &mut World) -> (Vec<String>, Vec<String>) {
    let Ok(Done::Door { people, banned, .. }) = world.command(Command::Open { allow: None }) else {
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
    let allow = Command::Allow {
        target: list(&seeds),
        right: Right::View,
    };
    let request = world.ask(Actor::Socket, allow);
    let asked = world.notices.iter().rev().map_while(|notice| match notice {
        HostNotice::Confirm { question, .. } => Some(question.clone()),
        _ => None,
    });
    let asked: Vec<String> = asked.collect();
    assert_eq!(
        asked,
        ["Let the 50 keys of https://forge.example/bert.keys come in and watch, from now on?"]
    );
    assert!(door(&mut world).0.is_empty());
    let yes = true;
    world.host(HostInput::Confirmed { request, yes });
    assert_eq!(door(&mut world).0, texts(&seeds));
}

#[test]
fn a_list_is_barred_as_a_whole_and_allowed_as_a_whole_or_not_at_all() {
    let mut world = World::shared();
    let (target, right) = (list(&[30, 31]), Right::View);
    let allow = Command::Allow {
        target: target.clone(),
        right,
    };
    world.command(allow.clone()).unwrap();
    let one = Target::Named(key(31).to_string());
    world.command(Command::Ban { target: one }).unwrap();
    let Err(CommandError::NotNow(why)) = world.command(allow) else {
        panic!()
    };
    assert!(why.contains(&format!("{} is barred", key(31))), "{why}");
    let ban = Command::Ban {
        target: target.clone(),
    };
    world.command(ban).unwrap();
    assert_eq!(door(&mut world), (vec![], texts(&[30, 31])));
    world.command(Command::Unban { target }).unwrap();
    assert_eq!(door(&mut world), (vec![], vec![]));
}
