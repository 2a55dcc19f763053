//! What a host may say is done, and what stays taken away: with a disk that takes nothing, with lists that are
//! full, and with tokens.

use std::num::NonZeroU32;

use pillion_caps::{
    Ledger, LedgerEvent, MAX_ENTRIES, MAX_PEOPLE, Refusal, Right, Rights, SecretKey, Subject,
};
use pillion_proto::AccessMode;

use super::harness::*;
use crate::{
    Command, CommandError, EndedLinks, HostConfig, HostNotice, Phase, Reply, Shortfall, Target,
    ViewerConfig, verbs,
};

fn world(allow: AccessMode) -> World {
    World::sharing(HostConfig { allow, ..config() })
}

fn is_knocking(world: &World, seat: usize) -> bool {
    matches!(world.seats[seat].phase(), Phase::Knocking { .. })
}

fn is_live(world: &World, seat: usize) -> bool {
    *world.seats[seat].phase() == Phase::Live
}

/// Somebody comes with a token beside the ticket.
fn comes_with(world: &mut World, token: &str, seed: u8, name: &str) -> usize {
    let config = ViewerConfig {
        grants: vec![presented(token)],
        ..world.viewer_config(seed, name)
    };
    world.join_with(config)
}

/// The tokens that ended with what was taken from somebody.
#[track_caller]
fn ended(result: Result<Reply, CommandError>) -> EndedLinks {
    match result {
        Ok(
            Reply::Kick(verbs::Kicked { ended, .. })
            | Reply::Ban(
                verbs::Banned::Person(verbs::Kicked { ended, .. })
                | verbs::Banned::Subjects { ended, .. },
            )
            | Reply::Revoke(verbs::Revoked::Person { ended, .. })
            | Reply::TurnAway(verbs::TurnedAway::Knock { ended, .. }),
        ) => ended,
        other => panic!("{other:?}"),
    }
}

/// Carries it out; what of it does not outlive the run.
#[track_caller]
fn shortfall(world: &mut World, command: Command) -> Option<Shortfall> {
    world.command(command).unwrap();
    world.shortfall.take()
}

#[track_caller]
fn not_done(result: Result<Reply, CommandError>) {
    let Err(CommandError::Refused(error)) = &result else {
        panic!("{result:?}")
    };
    assert!(
        matches!(error, Refusal::NotRecorded(why) if why.contains("no space left")),
        "{error:?}"
    );
}

/// What the host says of its door: the mode, the list, who is barred.
fn door(world: &mut World) -> (AccessMode, Vec<(String, Rights)>, Vec<String>) {
    match world.command(Command::AccessList(verbs::AccessList {})) {
        Ok(Reply::AccessList(verbs::AccessListed {
            mode: allow,
            people,
            banned,
            ..
        })) => (allow, people, banned),
        other => panic!("{other:?}"),
    }
}

fn allow(target: Target, right: Rights) -> Command {
    Command::Allow(verbs::Allow {
        target,
        rights: right,
    })
}

fn open(mode: AccessMode) -> Command {
    Command::SetAccessMode(verbs::SetAccessMode { mode })
}

fn address() -> Target {
    Target::Keys {
        from: "https://forge.example/bert.keys".into(),
        keys: vec![pillion_people::SshKey::new(secret(30).public())],
        is_address: true,
    }
}

#[test]
fn nothing_is_given_that_the_disk_does_not_take() {
    let mut world = world(AccessMode::Invited);
    world.command(allow(who(10).into(), Rights::VIEW)).unwrap();
    let anna = world.join(10, "anna");
    let bert = world.join(11, "bert");
    let (token, _) = world.token(1, None);
    world
        .command(Command::Ban(verbs::Ban {
            target: who(13).into(),
        }))
        .unwrap();
    let (before, ledger) = (door(&mut world), world.ledger());

    world.disk.is_full(true);
    let (sent, heard) = (world.notices.len(), world.seats[bert].track_bytes);
    for command in [
        Command::Grant(verbs::Grant {
            target: named("anna"),
            rights: Rights::EDIT,
            ttl_ms: None,
        }),
        Command::GrantLink(verbs::GrantLink {
            rights: Rights::EDIT,
            ttl_ms: None,
            uses: NonZeroU32::MIN,
        }),
        allow(who(12).into(), Rights::VIEW),
        allow(who(10).into(), Rights::EDIT),
        allow(address(), Rights::VIEW),
        Command::Admit(verbs::Admit {
            target: named("bert"),
        }),
        Command::Unban(verbs::Unban {
            target: who(13).into(),
        }),
        open(AccessMode::Link),
    ] {
        not_done(world.command(command));
    }
    let dora = comes_with(&mut world, &token, 14, "dora");
    assert!(is_knocking(&world, dora), "{:?}", world.seats[dora].phase());
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    assert!(is_knocking(&world, bert));
    assert_eq!(world.seats[bert].track_bytes, heard);
    assert_eq!(door(&mut world), before);
    assert_eq!(world.ledger(), ledger);
    assert!(world.kept_lists().is_empty());
    let told = world.notices[sent..].iter();
    assert_eq!(
        told.filter(|notice| !matches!(notice, HostNotice::Knocked { .. }))
            .count(),
        0
    );

    // Nothing of it is half done: with room it is, and a use that was not written was none.
    world.disk.is_full(false);
    world.advance_ms(60_000);
    world.grant_edit("anna").unwrap();
    world
        .command(Command::Admit(verbs::Admit {
            target: named("bert"),
        }))
        .unwrap();
    assert!(is_live(&world, bert));
    let erik = comes_with(&mut world, &token, 15, "erik");
    assert_eq!(world.seats[erik].right(), Rights::EDIT);
    replayed(&world.ledger());
}

#[test]
fn a_session_is_not_shared_before_it_is_written_who_may_come() {
    let mut world = World::unshared(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    });
    world.disk.is_full(true);
    not_done(world.command(Command::Share(verbs::Share { from_start: false })));
    assert!(!world.listening && world.kept_links().is_empty());
    world.disk.is_full(false);
    world.share();
    let ledger = replayed(&world.ledger());
    assert_eq!(
        ledger.access().mode(),
        Some(pillion_caps::AccessMode::Invited)
    );
}

#[test]
fn what_is_taken_away_is_gone_at_once_and_written_as_soon_as_it_can_be() {
    let mut world = world(AccessMode::Link);
    let [anna, bert, carl] = [10, 11, 12].map(|seed| world.join(seed, &format!("p{seed}")));
    for name in ["p10", "p11", "p12"] {
        world.grant_edit(name).unwrap();
    }
    world.command(allow(who(14).into(), Rights::EDIT)).unwrap();
    let ticket = world.ticket.clone();
    let ledger = world.ledger();

    world.disk.is_full(true);
    for command in [
        Command::Kick(verbs::Kick {
            target: named("p10"),
        }),
        Command::Revoke(verbs::Revoke {
            target: named("p11"),
        }),
        Command::Ban(verbs::Ban {
            target: who(13).into(),
        }),
        Command::Revoke(verbs::Revoke {
            target: who(14).into(),
        }),
        open(AccessMode::Invited),
        Command::Revoke(verbs::Revoke {
            target: Target::All,
        }),
        // Once more, which is nothing new.
        Command::Ban(verbs::Ban {
            target: who(10).into(),
        }),
    ] {
        let short = shortfall(&mut world, command);
        let Some(Shortfall::NotWritten { error }) = &short else {
            panic!("{short:?}")
        };
        assert!(error.contains("no space left"), "{error}");
    }
    assert!(world.seats[anna].ended().is_some());
    assert_eq!(world.seats[bert].right(), Rights::VIEW);
    assert_eq!(world.seats[carl].right(), Rights::VIEW);
    world.types(bert, "x");
    assert!(world.program.input.is_empty());
    assert!(matches!(
        world.command(Command::Ticket(verbs::Ticket { new: true })),
        Err(CommandError::TicketNotRecorded(_))
    ));
    assert_eq!(world.ledger(), ledger, "the disk took nothing");
    let again = world.join(10, "again");
    assert!(world.seats[again].ended().is_some());

    // What widens can't be written past what is owed.
    not_done(world.command(open(AccessMode::Link)));
    world.disk.is_full(false);
    world.advance_ms(1_100);
    let is_said = |notice: &HostNotice| matches!(notice, HostNotice::CaughtUp);
    assert!(world.notices.iter().any(is_said));
    let ledger = replayed(&world.ledger());
    for seed in [10, 13] {
        assert!(ledger.is_barred(&secret(seed).public()));
    }
    assert!(ledger.grants().all(|grant| grant.revoked));
    assert!(ledger.access().entries().next().is_none());
    assert_eq!(
        ledger.access().mode(),
        Some(pillion_caps::AccessMode::Invited)
    );
    let seed = world.kept_link().unwrap();
    world.restart(config());
    let old: pillion_proto::Ticket = ticket.parse().unwrap();
    let new: pillion_proto::Ticket = world.ticket.parse().unwrap();
    assert!(*new.link == seed && old.link != new.link);
}

#[test]
fn what_is_taken_away_is_written_before_what_is_given_next() {
    let mut world = world(AccessMode::Link);
    let anna = world.join(10, "anna");
    world.join(11, "bert");
    world.disk.is_full(true);
    world
        .command(Command::Kick(verbs::Kick {
            target: named("anna"),
        }))
        .unwrap();
    assert!(world.seats[anna].ended().is_some());
    world.disk.is_full(false);
    world.grant_edit("bert").unwrap();
    let ledger = replayed(&world.ledger());
    assert!(ledger.is_barred(&secret(10).public()));
}

#[test]
fn sharing_that_was_stopped_with_a_full_disk_is_stopped() {
    let mut world = world(AccessMode::Link);
    let anna = world.join(10, "anna");
    world.disk.is_full(true);
    let short = shortfall(&mut world, Command::Stop(verbs::Stop {}));
    assert!(matches!(short, Some(Shortfall::NotWritten { .. })));
    assert!(world.seats[anna].ended().is_some() && !world.listening);
    not_done(world.command(Command::Share(verbs::Share { from_start: false })));
    world.disk.is_full(false);
    world.advance_ms(1_100);
    assert_eq!(world.kept_link(), None);
}

/// A key of many.
fn stranger(number: usize) -> SecretKey {
    let mut seed = [77; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_bytes(&seed)
}

/// As many are barred, and their grants revoked, as the ledger has room for.
fn full_of_people() -> Ledger {
    let events = (0..MAX_PEOPLE).flat_map(|number| {
        let key = stranger(number).public();
        [LedgerEvent::RevokedPerson(key), LedgerEvent::Barred(key)]
    });
    // People whose revocation reaches nothing are forgotten with expired grants; these are not.
    Ledger::replay(secret(1).public(), events).unwrap()
}

#[test]
fn who_is_put_out_is_out_however_many_are_barred() {
    for ban in [false, true] {
        let mut world = World::sharing(HostConfig {
            ledger: full_of_people(),
            ..config()
        });
        let (token, _) = world.token(1, None);
        let anna = comes_with(&mut world, &token, 10, "anna");
        world.grant_edit("anna").unwrap();
        assert_eq!(world.seats[anna].right(), Rights::EDIT);
        let target = named("anna");
        let command = match ban {
            true => Command::Ban(verbs::Ban { target }),
            false => Command::Kick(verbs::Kick { target }),
        };
        let full = Shortfall::BarsFull {
            max: 4096,
            kept: true,
        };
        assert_eq!(shortfall(&mut world, command), Some(full));
        assert!(world.seats[anna].ended().unwrap().0.contains("Removed"));
        let again = world.join(10, "anna");
        assert!(world.seats[again].ended().unwrap().0.contains("Removed"));
        assert!(
            door(&mut world)
                .2
                .contains(&secret(10).public().to_string())
        );
        let other = comes_with(&mut world, &token, 11, "other");
        assert_eq!(world.seats[other].right(), Rights::VIEW);

        // Started again, the grants that were taken are gone; the bar did not fit, as was said.
        let mut events: Vec<LedgerEvent> = (0..MAX_PEOPLE)
            .map(|number| LedgerEvent::Barred(stranger(number).public()))
            .collect();
        let written = world.ledger();
        events.extend(
            written
                .iter()
                .map(|entry| LedgerEvent::from_bytes(entry).unwrap()),
        );
        let ledger = Ledger::replay(secret(1).public(), events).unwrap();
        assert!(ledger.grants().all(|grant| grant.revoked));

        world
            .command(Command::Unban(verbs::Unban {
                target: who(10).into(),
            }))
            .unwrap();
        let back = world.join(10, "anna");
        assert!(is_live(&world, back));
        assert_eq!(world.seats[back].right(), Rights::VIEW);
    }
}

#[test]
fn who_may_no_longer_type_comes_back_to_watch_however_long_the_list_is() {
    let team = secret(90).public();
    let team: Subject = format!("team:{team}").parse().unwrap();
    let entries = (1..MAX_ENTRIES).map(|number| LedgerEvent::Allowed {
        who: Subject::key(&stranger(number).public()),
        rights: Rights::VIEW,
    });
    let rights = Rights::EDIT;
    let team = LedgerEvent::Allowed { who: team, rights };
    let ledger = Ledger::replay(secret(1).public(), entries.chain([team])).unwrap();
    let mut world = World::sharing(HostConfig { ledger, ..config() });
    let member = |world: &World| super::admission::member_of(world, 90, "anna", 20);
    let anna = world.join_with(member(&world));
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    let revoke = Command::Revoke(verbs::Revoke {
        target: named("anna"),
    });
    let full = Shortfall::ListFull {
        max: 2048,
        kept: true,
    };
    assert_eq!(shortfall(&mut world, revoke), Some(full));
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    world.cut(anna);
    world.advance_ms(1_000);
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
}

/// Everything that takes something from a person, by what is said.
fn takings() -> Vec<(&'static str, Command)> {
    let target = || named("anna");
    vec![
        ("kick", Command::Kick(verbs::Kick { target: target() })),
        (
            "revoke",
            Command::Revoke(verbs::Revoke { target: target() }),
        ),
        ("ban", Command::Ban(verbs::Ban { target: target() })),
        (
            "ban the key",
            Command::Ban(verbs::Ban {
                target: who(10).into(),
            }),
        ),
        (
            "revoke the key",
            Command::Revoke(verbs::Revoke {
                target: who(10).into(),
            }),
        ),
    ]
}

#[test]
fn a_token_ends_with_what_is_taken_from_who_came_with_it() {
    for mode in [AccessMode::Link, AccessMode::Invited] {
        for (what, command) in takings() {
            let mut world = world(mode);
            let (token, _) = world.token(5, None);
            let anna = comes_with(&mut world, &token, 10, "anna");
            assert_eq!(world.seats[anna].right(), Rights::EDIT, "{what}");
            let ended = ended(world.command(command));
            assert_eq!(ended.links, 1, "{what}");
            // The same person with a key they have just made, with the ticket and without.
            let again = comes_with(&mut world, &token, 11, "another");
            match mode {
                AccessMode::Link => assert_eq!(world.seats[again].right(), Rights::VIEW, "{what}"),
                _ => assert!(is_knocking(&world, again), "{what}"),
            }
            let config = ViewerConfig {
                link: None,
                grants: vec![presented(&token)],
                ..world.viewer_config(12, "a third")
            };
            let third = world.join_with(config);
            assert!(world.seats[third].ended().is_some(), "{what}");
            // So it is for a host that is started again.
            world.restart(config_of(mode));
            let later = comes_with(&mut world, &token, 13, "later");
            assert!(!is_live(&world, later) || world.seats[later].right() == Rights::VIEW);
        }
    }
}

fn config_of(allow: AccessMode) -> HostConfig {
    HostConfig { allow, ..config() }
}

#[test]
fn others_who_used_an_ended_token_lose_it_and_it_is_said() {
    let mut world = world(AccessMode::Link);
    let (token, _) = world.token(3, None);
    let anna = comes_with(&mut world, &token, 10, "anna");
    let bert = comes_with(&mut world, &token, 11, "bert");
    let carl = world.join(12, "carl");
    world.grant_edit("carl").unwrap();
    let kicked = world.command(Command::Kick(verbs::Kick {
        target: named("anna"),
    }));
    assert_eq!(ended(kicked).others, 1);
    assert!(world.seats[anna].ended().is_some());
    assert_eq!(world.seats[bert].right(), Rights::VIEW);
    assert!(world.seats[bert].was_told("Revoked { by: \"olga\" }"));
    assert_eq!(world.seats[carl].right(), Rights::EDIT);
}

#[test]
fn a_refused_knock_ends_the_tokens_its_person_came_with_before() {
    let mut world = world(AccessMode::Invited);
    let (token, _) = world.token(5, None);
    let anna = comes_with(&mut world, &token, 10, "anna");
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    world.seats[anna].online = false;
    world.cut(anna);
    let other = comes_with(&mut world, &token, 12, "other");
    assert_eq!(world.seats[other].right(), Rights::EDIT);
    let knocks = world.join(10, "anna");
    assert!(is_knocking(&world, knocks));
    let turned_away = world.command(Command::TurnAway(verbs::TurnAway {
        target: who(10).into(),
        for_good: false,
    }));
    let (links, others) = (1, 1);
    assert_eq!(ended(turned_away), EndedLinks { links, others });
    let again = comes_with(&mut world, &token, 11, "another");
    assert!(is_knocking(&world, again));
    assert_eq!(world.seats[other].right(), Rights::VIEW);
}

#[test]
fn what_was_passed_on_from_a_revoked_token_is_revoked() {
    use pillion_caps::{Audience, Grant, Terms, UnixMillis};
    let link = secret(50);
    let now = UnixMillis(World::shared().now.unix_ms);
    let terms = Terms {
        session: secret(1).public(),
        rights: Rights::EDIT.with(Right::Delegate),
        audience: Audience::Link(link.public()),
        not_before: now,
        expires: now.saturating_add(3_600_000),
        uses: None,
    };
    let root = Grant::issue(&secret(1), terms.clone(), [1; 16]).unwrap();
    let narrow = Terms {
        rights: Rights::EDIT,
        audience: Audience::Key(secret(11).public()),
        ..terms
    };
    let passed_on = root.narrow(&link, narrow, [2; 16]).unwrap();
    let entries: Vec<LedgerEvent> = vec![LedgerEvent::Issued(root.clone())];
    let ledger = Ledger::replay(secret(1).public(), entries).unwrap();
    let mut world = World::sharing(HostConfig { ledger, ..config() });
    let bert = world.join_with(ViewerConfig {
        grants: vec![(passed_on.to_bytes().into(), None)],
        ..world.viewer_config(11, "bert")
    });
    let anna = world.join_with(ViewerConfig {
        grants: vec![(root.to_bytes().into(), Some(link))],
        ..world.viewer_config(10, "anna")
    });
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    assert_eq!(world.seats[bert].right(), Rights::EDIT);
    world
        .command(Command::Revoke(verbs::Revoke {
            target: named(&root.id().to_string()),
        }))
        .unwrap();
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    assert_eq!(world.seats[bert].right(), Rights::VIEW);
}
