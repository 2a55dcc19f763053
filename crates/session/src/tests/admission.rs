//! Who may come in: the door's modes, knocking, the list, bans, and those who manage with the host.

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use pillion_caps::{PublicKey, UnixMillis};
use pillion_people::{Claim, EmailClaim, Serial, SubjectRef, TeamKey, Trust, TrustedIssuer};
use pillion_proto::{
    AccessMode, AdmittedBy, CommandRequest, FromHost, FromViewer, KnocksFrom, Ping, RefusalReason,
    RefusedCode, Resume, Rights, VersionRange,
};

use super::{
    harness::*,
    joining::{hello, say},
};
use crate::{
    Actor, Command, CommandError, ConnId, HostConfig, HostInput, HostNotice, Phase, Reply, Stream,
    TtyNews, ViewerConfig, ViewerInput, ViewerNotice, verbs,
};

/// A session that only invited people come into.
fn invited() -> World {
    World::sharing(HostConfig {
        allow: AccessMode::Invited,
        ..config()
    })
}

fn is_knocking(world: &World, seat: usize) -> bool {
    matches!(world.seats[seat].phase(), Phase::Knocking { .. })
}

/// Everything a seat's connection was ever sent, as what it may be told before it is let in.
#[track_caller]
fn was_told_nothing(world: &World, seat: usize) {
    let seat = &world.seats[seat];
    assert_eq!(seat.track_bytes, 0);
    let view = seat.viewer.view();
    assert!(view.screen.is_none() && view.roster.is_empty() && view.session_name.is_empty());
    assert!(view.host_name.is_empty() && view.you.is_none());
}

/// Knocks that the person at the host has been told of and not answered.
fn open_knocks(world: &World) -> usize {
    let mut open = 0;
    for notice in &world.notices {
        match notice {
            HostNotice::Knocked { .. } => open += 1,
            HostNotice::KnockGone { .. } => open -= 1,
            _ => {}
        }
    }
    open
}

fn admit(world: &mut World, name: &str) -> Result<Reply, CommandError> {
    world.command(Command::Admit(verbs::Admit {
        target: named(name),
    }))
}

fn turn_away(world: &mut World, name: &str, for_good: bool) {
    let target = named(name);
    world
        .command(Command::TurnAway(verbs::TurnAway { target, for_good }))
        .unwrap();
}

fn team_claim(world: &World, team: u8, member: &str, identity: PublicKey) -> Bytes {
    let now = UnixMillis(world.now.unix_ms);
    let membership = TeamKey::new(secret(team)).admit(
        identity,
        member.parse().unwrap(),
        Serial(1),
        now,
        now.saturating_add(3_600_000),
    );
    Claim::Team(membership.unwrap()).to_bytes().into()
}

pub(super) fn member_of(world: &World, team: u8, member: &str, seed: u8) -> ViewerConfig {
    ViewerConfig {
        claims: vec![team_claim(world, team, member, secret(seed).public())],
        ..world.viewer_config(seed, member)
    }
}

#[test]
fn a_stranger_with_the_ticket_knocks_and_learns_nothing_until_admitted() {
    let mut world = invited();
    world.prints("secret");
    let anna = world.join(20, "anna");
    assert!(is_knocking(&world, anna), "{:?}", world.seats[anna].phase());
    was_told_nothing(&world, anna);
    assert!(matches!(
        &world.notices[..],
        [.., HostNotice::Knocked { name, .. }] if name == "anna"
    ));
    let Ok(Reply::Who(who)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    assert!(who[0].knocking && !who[0].here && who[0].proof.by == AdmittedBy::Ticket);

    admit(&mut world, "anna").unwrap();
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.assert_same_screen(anna);
    let Ok(Reply::Who(now)) = world.command(Command::Who(verbs::Who {})) else {
        panic!()
    };
    assert_eq!(now[0].id, who[0].id, "the number stays");
    assert!(!now[0].knocking && now[0].here);
    assert_eq!(open_knocks(&world), 0);
    let mut kinds = world.logged_kinds();
    kinds.retain(|kind| kind != "command");
    assert!(kinds.ends_with(&["knocked".into(), "admitted".into(), "joined".into()]));

    // She is on the list now: coming back is free.
    world.cut(anna);
    world.advance_ms(10_000);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
}

#[test]
fn who_is_refused_is_told_so_and_may_knock_again_only_later() {
    let mut world = invited();
    let anna = world.join(20, "anna");
    turn_away(&mut world, "anna", false);
    let (text, regular) = world.seats[anna].ended().unwrap();
    assert!(text.contains("Declined") && !regular, "{text}");
    was_told_nothing(&world, anna);

    let again = world.join(20, "anna");
    let (text, _) = world.seats[again].ended().unwrap();
    assert!(text.contains("KnockLater { wait_ms: 30000 }"), "{text}");
    world.advance_ms(31_000);
    let later = world.join(20, "anna");
    assert!(is_knocking(&world, later));

    // For good: under another name the same key is known.
    turn_away(&mut world, "anna", true);
    world.advance_ms(31_000);
    let last = world.join(20, "bert");
    let (text, _) = world.seats[last].ended().unwrap();
    assert!(text.contains("Removed"), "{text}");
}

#[test]
fn with_nobody_to_answer_a_knock_ends_in_words() {
    let mut world = World::sharing(HostConfig {
        allow: AccessMode::Invited,
        knock_wait_ms: 20_000,
        has_tty: false,
        ..config()
    });
    let anna = world.join(20, "anna");
    world.advance_ms(19_000);
    assert!(is_knocking(&world, anna));
    world.advance_ms(1_100);
    let (text, regular) = world.seats[anna].ended().unwrap();
    assert!(text.contains("Unanswered { waited_ms: 20000 }"), "{text}");
    assert!(!regular);
    assert_eq!(open_knocks(&world), 0);
    assert!(world.logged().last().unwrap()["why"]["unanswered"]["waited_ms"] == 20_000);
}

#[test]
fn people_on_the_list_and_holders_of_a_grant_come_in_at_once() {
    let mut world = invited();
    let key = secret(20).public().to_string();
    let (target, right) = (named(&key), Rights::VIEW);
    world
        .command(Command::Allow(verbs::Allow {
            target,
            rights: right,
        }))
        .unwrap();
    let anna = world.join(20, "anna");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);

    // Even without the ticket: it is the key that counts.
    let without = ViewerConfig {
        link: None,
        join: pillion_proto::JoinId([77; 16]),
        ..world.viewer_config(20, "anna")
    };
    let again = world.join_with(without);
    assert_eq!(*world.seats[again].phase(), Phase::Live);

    let (token, _) = world.token(1, None);
    let bert = world.join_with(ViewerConfig {
        grants: vec![presented(&token)],
        ..world.viewer_config(21, "bert")
    });
    assert_eq!(*world.seats[bert].phase(), Phase::Live);
    assert_eq!(world.seats[bert].right(), Rights::EDIT);

    // A grant that is used up lets nobody in, but the ticket lets them knock.
    let carl = world.join_with(ViewerConfig {
        grants: vec![presented(&token)],
        ..world.viewer_config(22, "carl")
    });
    assert!(is_knocking(&world, carl));
    let dora = world.join_with(ViewerConfig {
        link: Some(secret(60)),
        ..world.viewer_config(23, "dora")
    });
    let (text, _) = world.seats[dora].ended().unwrap();
    assert!(text.contains("Some(Ticket)"), "{text}");
}

#[test]
fn the_list_gives_rights_and_takes_them_at_once() {
    let mut world = invited();
    let key = secret(20).public().to_string();
    let allow = |world: &mut World, right| {
        let target = named(&key);
        world
            .command(Command::Allow(verbs::Allow {
                target,
                rights: right,
            }))
            .unwrap();
    };
    allow(&mut world, Rights::EDIT);
    let anna = world.join(20, "anna");
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    world.types(anna, "x");
    assert_eq!(world.program.input, b"x");
    allow(&mut world, Rights::VIEW);
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    allow(&mut world, Rights::EDIT);
    assert_eq!(world.seats[anna].right(), Rights::EDIT);

    // What is revoked stays revoked when she comes back.
    let target = named("anna");
    world
        .command(Command::Revoke(verbs::Revoke { target }))
        .unwrap();
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
    world.cut(anna);
    world.advance_ms(10_000);
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    assert_eq!(world.seats[anna].right(), Rights::VIEW);
}

#[test]
fn only_members_of_the_team_come_into_a_teams_session() {
    let mut world = World::sharing(HostConfig {
        allow: AccessMode::Team,
        ..config()
    });
    let team = format!("team:{}", secret(90).public());
    let (target, right) = (named(&team), Rights::VIEW);
    world
        .command(Command::Allow(verbs::Allow {
            target,
            rights: right,
        }))
        .unwrap();

    let anna = world.join_with(member_of(&world, 90, "anna", 20));
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    // The ticket, a grant, another team's word, somebody else's membership: none of them will do.
    let (token, _) = world.token(1, None);
    let stolen = team_claim(&world, 90, "anna", secret(20).public());
    for config in [
        world.viewer_config(21, "bert"),
        ViewerConfig {
            grants: vec![presented(&token)],
            ..world.viewer_config(22, "carl")
        },
        member_of(&world, 91, "dora", 23),
        ViewerConfig {
            claims: vec![stolen],
            ..world.viewer_config(24, "eve")
        },
    ] {
        let seat = world.join_with(config);
        let (text, _) = world.seats[seat].ended().unwrap();
        assert!(text.contains("NotAMember"), "{text}");
        was_told_nothing(&world, seat);
    }
    assert_eq!(open_knocks(&world), 0);
    // The token was not used up by who was refused.
    let bert = world.join_with(ViewerConfig {
        grants: vec![presented(&token)],
        ..member_of(&world, 90, "bert", 25)
    });
    assert_eq!(world.seats[bert].right(), Rights::EDIT);
}

#[test]
fn a_ban_holds_for_the_claim_under_any_key_and_name() {
    for how in ["kick", "ban"] {
        let mut world = invited();
        let team = format!("team:{}", secret(90).public());
        let (target, right) = (named(&team), Rights::VIEW);
        world
            .command(Command::Allow(verbs::Allow {
                target,
                rights: right,
            }))
            .unwrap();
        let anna = world.join_with(member_of(&world, 90, "anna", 20));
        assert_eq!(*world.seats[anna].phase(), Phase::Live);
        let target = named("anna");
        world
            .command(match how {
                "kick" => Command::Kick(verbs::Kick { target }),
                _ => Command::Ban(verbs::Ban { target }),
            })
            .unwrap();
        assert!(world.seats[anna].ended().unwrap().0.contains("Removed"));

        // A new key and a new name, and the same membership.
        let again = world.join_with(ViewerConfig {
            name: "somebody else".into(),
            ..member_of(&world, 90, "anna", 30)
        });
        assert!(world.seats[again].ended().unwrap().0.contains("Removed"));
        // Another member is not meant.
        let bert = world.join_with(member_of(&world, 90, "bert", 31));
        assert_eq!(*world.seats[bert].phase(), Phase::Live);

        // A host that begins again knows.
        let ledger = replayed(&world.ledger());
        let mut world = World::sharing(HostConfig {
            allow: AccessMode::Invited,
            ledger,
            ..config()
        });
        for seed in [20, 30, 32] {
            let seat = world.join_with(member_of(&world, 90, "anna", seed));
            assert!(world.seats[seat].ended().unwrap().0.contains("Removed"));
        }
        let bert = world.join_with(member_of(&world, 90, "bert", 31));
        assert_eq!(
            *world.seats[bert].phase(),
            Phase::Live,
            "so it knows the list"
        );
        let target = named(&format!("{team}/anna"));
        world
            .command(Command::Unban(verbs::Unban { target }))
            .unwrap();
        let anna = world.join_with(member_of(&world, 90, "anna", 33));
        assert_eq!(*world.seats[anna].phase(), Phase::Live);
    }
}

#[test]
fn a_ban_of_somebody_who_is_not_here_puts_out_whoever_is_meant() {
    let mut world = World::shared();
    let anna = world.join_with(member_of(&world, 90, "anna", 20));
    let bert = world.join(21, "bert");
    let target = named(&format!("team:{}", secret(90).public()));
    world.command(Command::Ban(verbs::Ban { target })).unwrap();
    assert!(world.seats[anna].ended().unwrap().0.contains("Removed"));
    assert_eq!(*world.seats[bert].phase(), Phase::Live);
    let again = world.join_with(member_of(&world, 90, "carl", 22));
    assert!(world.seats[again].ended().unwrap().0.contains("Removed"));
    let nobody = world.command(Command::Ban(verbs::Ban {
        target: named("nobody"),
    }));
    assert!(matches!(nobody, Err(CommandError::Unknown { .. })));
}

/// World 53 of the simulation: two keys knocked as one member of a team, one was refused for good, and the
/// other was let in after that.
#[test]
fn who_is_refused_for_good_is_so_in_all_who_proved_to_be_them() {
    let mut world = invited();
    let first = world.join_with(ViewerConfig {
        name: "first".into(),
        ..member_of(&world, 90, "anna", 20)
    });
    let second = world.join_with(ViewerConfig {
        name: "second".into(),
        ..member_of(&world, 90, "anna", 21)
    });
    assert!(is_knocking(&world, first) && is_knocking(&world, second));
    turn_away(&mut world, "first", true);
    assert!(world.seats[second].ended().unwrap().0.contains("Removed"));
    assert!(admit(&mut world, "second").is_err());
}

/// Two keys of one member of a team, who came with one token for two. The second stays.
fn two_keys_of_anna(world: &mut World) -> (usize, usize) {
    let (token, _) = world.token(2, None);
    let seats = [(20, "first"), (21, "second")].map(|(seed, name)| {
        let config = ViewerConfig {
            name: name.into(),
            grants: vec![presented(&token)],
            ..member_of(world, 90, "anna", seed)
        };
        world.join_with(config)
    });
    assert!(
        seats
            .iter()
            .all(|seat| world.seats[*seat].right() == Rights::EDIT)
    );
    (seats[0], seats[1])
}

/// World 690 of the simulation: who is removed by what they proved was told first what right was left to them
/// when the token ended that they came with.
#[test]
fn who_is_put_out_by_a_claim_is_told_that_and_of_no_right_before() {
    let mut world = World::shared();
    let (first, second) = two_keys_of_anna(&mut world);
    let target = named("first");
    world
        .command(Command::Kick(verbs::Kick { target }))
        .unwrap();
    for seat in [first, second] {
        assert!(world.seats[seat].ended().is_some());
        assert_eq!(world.seats[seat].said(), Vec::<&ViewerNotice>::new());
    }
}

#[test]
fn who_is_refused_for_good_by_a_claim_is_told_that_and_of_no_right_before() {
    let mut world = invited();
    let (first, second) = two_keys_of_anna(&mut world);
    world.viewer(first, ViewerInput::Leave);
    let again = world.join_with(ViewerConfig {
        name: "again".into(),
        ..member_of(&world, 90, "anna", 20)
    });
    assert!(is_knocking(&world, again));
    turn_away(&mut world, "again", true);
    assert!(world.seats[second].ended().is_some());
    assert_eq!(world.seats[second].said(), Vec::<&ViewerNotice>::new());
}

#[test]
fn the_mode_changes_at_once_and_survives_a_restart() {
    let mut world = World::shared();
    let anna = world.join(20, "anna");
    let open = |world: &mut World, allow| {
        let mode = allow;
        world
            .command(Command::SetAccessMode(verbs::SetAccessMode { mode }))
            .unwrap()
    };
    open(&mut world, AccessMode::Invited);
    assert_eq!(*world.seats[anna].phase(), Phase::Live, "who is here stays");
    let bert = world.join(21, "bert");
    assert!(is_knocking(&world, bert));
    open(&mut world, AccessMode::Team);
    assert!(world.seats[bert].ended().unwrap().0.contains("NotAMember"));
    world.advance_ms(31_000);
    open(&mut world, AccessMode::Invited);
    let carl = world.join(22, "carl");
    assert!(is_knocking(&world, carl));
    open(&mut world, AccessMode::Link);
    assert_eq!(*world.seats[carl].phase(), Phase::Live, "no need to knock");
    open(&mut world, AccessMode::Invited);

    let ledger = replayed(&world.ledger());
    let mut world = World::sharing(HostConfig { ledger, ..config() });
    let Ok(Reply::AccessList(verbs::AccessListed { mode: allow, .. })) =
        world.command(Command::AccessList(verbs::AccessList {}))
    else {
        panic!()
    };
    assert_eq!(allow, AccessMode::Invited);
    let dora = world.join(23, "dora");
    assert!(is_knocking(&world, dora));
}

#[test]
fn a_session_that_began_for_invited_people_does_not_begin_again_for_all() {
    let world = invited();
    let ledger = replayed(&world.ledger());
    let mut world = World::sharing(HostConfig { ledger, ..config() });
    let anna = world.join(20, "anna");
    assert!(is_knocking(&world, anna));
}

#[test]
fn proto_and_caps_agree_on_how_long_a_name_for_somebody_is() {
    const { assert!(pillion_proto::limits::MAX_SUBJECT == pillion_caps::MAX_SUBJECT_BYTES) };
}

/// An e-mail address that an issuer vouches for, so far as can be told without its keys.
fn email_claim(world: &World, issuer: &str, identity: PublicKey) -> Bytes {
    let (salt, now) = ([9; 16], world.now.unix_ms / 1000);
    let part = |value: serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let header = part(serde_json::json!({ "alg": "RS256", "kid": "one" }));
    let says = part(serde_json::json!({
        "iss": issuer, "aud": "pillion", "exp": now + 600, "iat": now,
        "nonce": pillion_people::nonce(&identity, &salt),
        "email": "anna@b.example", "email_verified": true,
    }));
    let token = format!("{header}.{says}.AAAA");
    Claim::Email(EmailClaim { salt, token }).to_bytes().into()
}

#[test]
fn who_is_vouched_for_waits_for_the_issuers_keys_and_not_for_ever() {
    const ISSUER: &str = "https://issuer.example";
    let mut world = invited();
    let trust = |world: &mut World| {
        let trust = Trust {
            issuers: vec![TrustedIssuer {
                issuer: ISSUER.parse().unwrap(),
                client_id: "pillion".into(),
                keys: None,
            }],
            removals: Vec::new(),
        };
        world.host(HostInput::Trust(Box::new(trust)));
    };
    trust(&mut world);
    for (seed, answered) in [(20, true), (21, false)] {
        let claim = email_claim(&world, ISSUER, secret(seed).public());
        let anna = world.join_with(ViewerConfig {
            claims: vec![claim],
            ..world.viewer_config(seed, "anna")
        });
        assert_eq!(world.wanted_keys.pop().unwrap().as_str(), ISSUER);
        assert_eq!(*world.seats[anna].phase(), Phase::Joining);
        was_told_nothing(&world, anna);
        match answered {
            true => trust(&mut world),
            false => world.advance_ms(5_990),
        }
        // Nobody vouches: that leaves a stranger with the ticket.
        world.advance_ms(20);
        assert!(is_knocking(&world, anna), "{:?}", world.seats[anna].phase());
        assert!(world.wanted_keys.is_empty(), "asked once");
    }
}

#[test]
fn a_resumption_shows_nothing_to_who_would_have_to_knock() {
    let mut world = World::shared();
    let anna = world.join(20, "anna");
    let peer = world.seats[anna].endpoint.public();
    let resume = FromViewer::Resume(Resume {
        versions: VersionRange::OURS,
        padding: Bytes::new(),
        track: None,
    });
    let shown = |world: &mut World| {
        let conn = world.early_stranger(peer);
        say(world, conn, &resume);
        !world.strangers[&conn].is_empty()
    };
    assert!(shown(&mut world));
    let open = |world: &mut World, allow| {
        let mode = allow;
        world
            .command(Command::SetAccessMode(verbs::SetAccessMode { mode }))
            .unwrap();
    };
    open(&mut world, AccessMode::Invited);
    assert!(!shown(&mut world));
    open(&mut world, AccessMode::Team);
    assert!(!shown(&mut world));
    open(&mut world, AccessMode::Invited);
    let (target, right) = (named("anna"), Rights::VIEW);
    world
        .command(Command::Allow(verbs::Allow {
            target,
            rights: right,
        }))
        .unwrap();
    assert!(shown(&mut world), "she is on the list");
    let target = named("anna");
    world.command(Command::Ban(verbs::Ban { target })).unwrap();
    assert!(!shown(&mut world));
}

#[test]
fn many_keys_of_one_address_leave_room_at_the_door() {
    let mut world = invited();
    let knock = |world: &mut World, seed: u8, from: &str| {
        world.from = crate::Network::of(from.parse().unwrap());
        let (conn, connected) = world.stranger();
        let hello = hello(world.viewer_config(seed, "eve"), &connected);
        say(world, conn, &FromViewer::Hello(Box::new(hello)));
        conn
    };
    let conns: Vec<ConnId> = (20..60)
        .map(|seed| knock(&mut world, seed, "192.0.2.1"))
        .collect();
    assert_eq!(open_knocks(&world), 8);
    let refused = super::joining::refusal(&world, *conns.last().unwrap());
    assert_eq!(refused.code, RefusedCode::BUSY);
    let from = Some(KnocksFrom::Address);
    assert_eq!(refused.why, Some(RefusalReason::ManyKnock { from }));
    knock(&mut world, 70, "192.0.2.2");
    assert_eq!(open_knocks(&world), 9);
}

#[test]
fn knocks_are_bounded_and_more_of_them_wait_outside() {
    let mut world = invited();
    let mut conns = Vec::new();
    for seed in 20..70 {
        let (conn, connected) = world.stranger();
        let config = world.viewer_config(seed, "eve");
        let hello = hello(config, &connected);
        say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
        conns.push(conn);
    }
    assert_eq!(open_knocks(&world), 32);
    let refused = super::joining::refusal(&world, *conns.last().unwrap());
    assert_eq!(refused.code, RefusedCode::BUSY);

    // One person's windows are one knock, and not many of them.
    let mut world = invited();
    let conns: Vec<ConnId> = (0..6)
        .map(|run| {
            let (conn, connected) = world.stranger();
            let config = ViewerConfig {
                join: pillion_proto::JoinId([run; 16]),
                ..world.viewer_config(20, "eve")
            };
            let hello = hello(config, &connected);
            say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
            conn
        })
        .collect();
    assert_eq!(open_knocks(&world), 1);
    assert_eq!(
        super::joining::refusal(&world, conns[5]).code,
        RefusedCode::BUSY
    );
    // They all leave: nobody knocks.
    for conn in conns {
        world.host(HostInput::Disconnected { conn });
    }
    assert_eq!(open_knocks(&world), 0);
}

/// A request as a viewer sends it.
fn request(command: &(impl Clone + Into<Command>)) -> FromViewer {
    let (verb, body) = command.clone().into().to_wire();
    FromViewer::Command(CommandRequest { id: 1, verb, body })
}

#[test]
fn who_waits_at_the_door_can_do_nothing_but_wait() {
    let mut world = invited();
    for message in [
        FromViewer::RequestEdit,
        FromViewer::NeedSnapshot(TERMINAL),
        request(&verbs::Admit {
            target: SubjectRef::Number(1).into(),
        }),
    ] {
        let (conn, connected) = world.stranger();
        let hello = hello(world.viewer_config(20, "eve"), &connected);
        say(&mut world, conn, &FromViewer::Hello(Box::new(hello)));
        say(&mut world, conn, &FromViewer::Ping(Ping { nonce: 7 }));
        let heard = super::joining::heard(&world, conn);
        assert!(
            matches!(&heard[..], [FromHost::Waiting(_), FromHost::Pong(_)]),
            "{heard:?}"
        );
        say(&mut world, conn, &message);
        assert_eq!(
            super::joining::refusal(&world, conn).code,
            RefusedCode::PROTOCOL
        );
        let on_track = |(stream, _): &(Stream, Bytes)| *stream != Stream::Control;
        assert!(!world.strangers[&conn].iter().any(on_track));
    }
}

#[test]
fn what_widens_waits_for_the_hosts_key_while_an_editor_is_here() {
    let mut world = invited();
    let key = secret(20).public().to_string();
    let (target, right) = (named(&key), Rights::EDIT);
    world
        .command(Command::Allow(verbs::Allow {
            target,
            rights: right,
        }))
        .unwrap();
    let anna = world.join(20, "anna");
    let bert = world.join(21, "bert");
    assert_eq!(world.seats[anna].right(), Rights::EDIT);
    assert!(is_knocking(&world, bert));
    let widening = [
        Command::Admit(verbs::Admit {
            target: named("bert"),
        }),
        Command::Allow(verbs::Allow {
            target: named(&secret(22).public().to_string()),
            rights: Rights::VIEW,
        }),
        Command::Unban(verbs::Unban {
            target: named("bert"),
        }),
        Command::SetAccessMode(verbs::SetAccessMode {
            mode: AccessMode::Link,
        }),
        Command::UseService(verbs::UseService {
            service: "https://signal.example".into(),
            link: true,
        }),
        Command::UseService(verbs::UseService {
            service: "https://signal.example".into(),
            link: false,
        }),
    ];
    for command in &widening {
        let request = world.ask(Actor::Socket, command.clone());
        assert!(
            matches!(world.notices.last(), Some(HostNotice::Confirm { request: asked, .. }) if *asked == request),
            "{command:?}"
        );
        world.host(HostInput::Confirmed {
            request,
            yes: false,
        });
        assert!(world.done.remove(&request).unwrap().is_err());
    }
    assert!(is_knocking(&world, bert));
    assert!(world.published.is_empty());
    // A host without a terminal: only a co-host's word.
    world.host(HostInput::Tty(TtyNews::Detached));
    for command in widening {
        let request = world.ask(Actor::Socket, command);
        assert!(matches!(
            world.done.remove(&request),
            Some(Err(CommandError::NoTerminal))
        ));
    }
    // What narrows is done at once.
    let request = world.ask(Actor::Socket, Command::EndLink(verbs::EndLink {}));
    assert!(world.done.remove(&request).unwrap().is_ok());
    let target = named("bert");
    let request = world.ask(
        Actor::Socket,
        Command::TurnAway(verbs::TurnAway {
            target,
            for_good: true,
        }),
    );
    assert!(world.done.remove(&request).unwrap().is_ok());
}

/// A session with somebody who manages it beside the host.
fn managed() -> (World, usize) {
    let mut world = invited();
    let key = secret(20).public().to_string();
    let (target, right) = (named(&key), Rights::MANAGE);
    world
        .command(Command::Allow(verbs::Allow {
            target,
            rights: right,
        }))
        .unwrap();
    let olaf = world.join(20, "olaf");
    assert_eq!(world.seats[olaf].right(), Rights::MANAGE);
    (world, olaf)
}

#[test]
fn a_co_host_admits_grants_revokes_kicks_and_sets_the_mode_without_a_terminal() {
    let (mut world, olaf) = managed();
    world.host(HostInput::Tty(TtyNews::Detached));
    let bert = world.join(21, "bert");
    let door = world.seats[olaf].viewer.view().door.clone().unwrap();
    assert_eq!(door.allow, Some(AccessMode::Invited));
    assert_eq!(door.knocks[0].name.as_str(), "bert");
    assert_eq!(door.knocks[0].identity, *secret(21).public().as_bytes());
    let manage = |world: &mut World, what| world.viewer(olaf, ViewerInput::Command(what));

    manage(
        &mut world,
        Command::Admit(verbs::Admit {
            target: who(21).into(),
        }),
    );
    assert_eq!(*world.seats[bert].phase(), Phase::Live);
    assert!(
        world.seats[olaf]
            .viewer
            .view()
            .door
            .as_ref()
            .unwrap()
            .knocks
            .is_empty()
    );
    let by = |world: &World, event: &str| {
        let logged = world.logged();
        let last = logged.iter().rfind(|one| one["event"] == event).unwrap();
        (
            last["by"].as_str().unwrap().to_owned(),
            last["by_name"].clone(),
        )
    };
    let olafs = (secret(20).public().to_string(), "olaf".into());
    assert_eq!(by(&world, "admitted"), olafs);

    let gives = |right| {
        Command::Grant(verbs::Grant {
            target: who(21).into(),
            rights: right,
            ttl_ms: None,
        })
    };
    manage(&mut world, gives(Rights::EDIT));
    assert_eq!(world.seats[bert].right(), Rights::EDIT);
    assert!(world.seats[bert].was_told("Granted { by: \"olaf\""));
    assert_eq!(by(&world, "granted"), olafs);
    manage(
        &mut world,
        Command::Revoke(verbs::Revoke {
            target: who(21).into(),
        }),
    );
    assert_eq!(world.seats[bert].right(), Rights::VIEW);
    // Not what he can't pass on.
    manage(&mut world, gives(Rights::MANAGE));
    assert_eq!(world.seats[bert].right(), Rights::VIEW);
    assert_eq!(*world.seats[olaf].refusal(), CommandError::NotDelegable);

    manage(
        &mut world,
        Command::Kick(verbs::Kick {
            target: who(21).into(),
        }),
    );
    assert!(world.seats[bert].ended().is_some());
    assert_eq!(by(&world, "kicked"), olafs);
    manage(
        &mut world,
        Command::SetAccessMode(verbs::SetAccessMode {
            mode: AccessMode::Link,
        }),
    );
    let carl = world.join(22, "carl");
    assert_eq!(*world.seats[carl].phase(), Phase::Live);
    assert_eq!(by(&world, "mode"), olafs);
}

#[test]
fn who_does_not_manage_is_not_obeyed_and_is_told_of_no_knocks() {
    let (mut world, olaf) = managed();
    let bert = world.join(21, "bert");
    admit(&mut world, "bert").unwrap();
    world.grant_edit("bert").unwrap();
    let carl = world.join(22, "carl");
    assert!(world.seats[bert].viewer.view().door.is_none());
    let carls = || {
        ViewerInput::Command(Command::Admit(verbs::Admit {
            target: who(22).into(),
        }))
    };
    world.viewer(bert, carls());
    assert!(is_knocking(&world, carl));
    assert_eq!(*world.seats[bert].refusal(), CommandError::NotManager);

    // One who managed and does not any more.
    let target = named("olaf");
    world
        .command(Command::Revoke(verbs::Revoke { target }))
        .unwrap();
    assert!(world.seats[olaf].viewer.view().door.is_none());
    world.viewer(olaf, carls());
    assert!(is_knocking(&world, carl));
}

#[test]
fn a_co_host_has_no_power_over_another() {
    let (mut world, olaf) = managed();
    let key = secret(21).public().to_string();
    let (target, right) = (named(&key), Rights::MANAGE);
    world
        .command(Command::Allow(verbs::Allow {
            target,
            rights: right,
        }))
        .unwrap();
    let otto = world.join(21, "otto");
    for what in [
        Command::Kick(verbs::Kick {
            target: who(21).into(),
        }),
        Command::Revoke(verbs::Revoke {
            target: SubjectRef::Number(2).into(),
        }),
        Command::Ban(verbs::Ban {
            target: who(21).into(),
        }),
    ] {
        world.viewer(olaf, ViewerInput::Command(what));
        assert_eq!(world.seats[otto].right(), Rights::MANAGE);
    }
    assert!(matches!(
        world.seats[olaf].refusal(),
        CommandError::ManagesToo(_)
    ));
}

#[test]
fn a_request_of_a_newer_version_is_answered_and_ends_nothing() {
    let (mut world, olaf) = managed();
    world.viewer(
        olaf,
        ViewerInput::Command(Command::Unknown(999, bytes::Bytes::new())),
    );
    assert_eq!(*world.seats[olaf].refusal(), CommandError::NotKnownHere);
    assert_eq!(*world.seats[olaf].phase(), Phase::Live);
    let bert = world.join(21, "bert");
    world.viewer(
        olaf,
        ViewerInput::Command(Command::Admit(verbs::Admit {
            target: who(21).into(),
        })),
    );
    assert_eq!(*world.seats[bert].phase(), Phase::Live);
}
