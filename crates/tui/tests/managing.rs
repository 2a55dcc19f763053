//! What somebody sees and does who manages a session with its host.

mod common;

use common::{Person, at, view};
use pillion_caps::{PublicKey, SecretKey};
use pillion_people::SubjectRef;
use pillion_proto::{
    AccessMode, AdmittedBy, KnockInfo, Knocks, ParticipantId, ParticipantInfo, Rights, Text,
};
use pillion_screen::Modes;
use pillion_session::{Command, Target, verbs};
use pillion_tui::{Action, UiInput};

fn eve() -> PublicKey {
    SecretKey::from_bytes(&[7; 32]).public()
}

fn one(text: &str) -> SubjectRef {
    text.parse().unwrap()
}

#[test]
fn who_manages_has_keys_for_who_knocks_and_who_is_here() {
    let mut managing = view(80, 19);
    managing.rights = Rights::MANAGE;
    managing.door = Some(Knocks {
        allow: Some(AccessMode::Invited),
        knocks: vec![KnockInfo {
            id: ParticipantId(9),
            name: Text::cut("eve"),
            identity: *eve().as_bytes(),
            holds: Some(AdmittedBy::Ticket),
            claims: vec![Text::cut("eve@example.org")],
        }],
    });
    let mut viewer = Person::new(80, 20, managing);
    viewer.types(b"\x1dw");
    viewer.sees("allow invited");
    viewer.sees("eve@example.org");
    let knock = || SubjectRef::key(eve());
    for (key, what) in [
        (
            "y",
            Command::Admit(verbs::Admit {
                target: knock().into(),
            }),
        ),
        (
            "N",
            Command::TurnAway(verbs::TurnAway {
                target: knock().into(),
                for_good: true,
            }),
        ),
        (
            "m",
            Command::SetAccessMode(verbs::SetAccessMode {
                mode: AccessMode::Team,
            }),
        ),
    ] {
        assert_eq!(viewer.types(key.as_bytes()), [Action::Command(what)]);
    }
    // The next below is somebody who is here.
    viewer.types(b"\x1b[B");
    let [
        Action::Command(Command::Revoke(verbs::Revoke {
            target: Target::One(here),
        })),
    ] = &viewer.types(b"r")[..]
    else {
        panic!("no revocation");
    };
    let shown = PublicKey::from_bytes(&viewer.view.roster[1].identity).unwrap();
    assert_eq!(*here, SubjectRef::key(shown));
    // For who does not manage the same keys close the list.
    viewer.view.rights = Rights::VIEW;
    viewer.look();
    assert_eq!(viewer.types(b"y"), []);
}

/// Somebody who manages, with the list open.
fn manager(cols: u16, rows: u16) -> Person {
    let mut managing = view(cols, rows - 1);
    managing.rights = Rights::MANAGE;
    let mut viewer = Person::new(cols, rows, managing);
    viewer.types(b"\x1dw");
    viewer
}

#[test]
fn who_manages_names_people_who_are_not_here() {
    let mut viewer = manager(80, 20);
    viewer.sees("a let in by name  b block  u unblock");
    assert_eq!(viewer.types(b"a"), []);
    viewer.sees("Let in to watch: ▏");
    // Keys of the list are letters now, also those that come in one piece.
    assert_eq!(viewer.types(b"kanna@example.orr"), []);
    viewer.sees("Let in to watch: kanna@example.orr▏");
    viewer.types(b"\x7fg");
    assert_eq!(viewer.types(b"\x15"), [], "Ctrl-U takes all of it away");
    viewer.types(b"anna@example.org");
    viewer.sees("Let in to watch: anna@example.org▏");
    let who = || one("anna@example.org");
    let allow = |right| {
        [Action::Command(Command::Allow(verbs::Allow {
            target: who().into(),
            rights: right,
        }))]
    };
    assert_eq!(viewer.types(b"\r"), allow(Rights::VIEW));
    viewer.sees("a let in by name");

    assert_eq!(
        viewer.types(b"a\t anna@example.org \r"),
        allow(Rights::EDIT)
    );
    assert_eq!(
        viewer.types(b"a\t\tanna@example.org\r"),
        allow(Rights::MANAGE)
    );
    assert_eq!(
        viewer.types(b"a\t\t\tanna@example.org\r"),
        allow(Rights::VIEW)
    );
    let team = format!("team:{}/anna", eve());
    let ban = [Action::Command(Command::Ban(verbs::Ban {
        target: one(&team).into(),
    }))];
    assert_eq!(viewer.types(format!("b{team}\r")), ban);
    let unban = [Action::Command(Command::Unban(verbs::Unban {
        target: SubjectRef::Number(3).into(),
    }))];
    assert_eq!(viewer.types(b"u3\r"), unban);
    // What is none of these is said at once, and the line stays.
    assert_eq!(viewer.types(b"bteam:00/anna\r"), []);
    viewer.sees("this is no team");
    assert_eq!(viewer.types(b"\x15forge:eve\r"), []);
    viewer.sees("Only the host can read a list of keys");
    let ban = [Action::Command(Command::Ban(verbs::Ban {
        target: one("eve").into(),
    }))];
    assert_eq!(viewer.types(b"\x15eve\r"), ban);

    // Esc gives up the line, and then the list.
    viewer.types(b"bx\x1b");
    viewer.later(100);
    viewer.sees("a let in by name");
    assert_eq!(viewer.types(b"b\r"), []);
    viewer.sees("Name somebody:");
}

#[test]
fn a_key_is_pasted_whole_and_nothing_else_is_typed() {
    let mut viewer = manager(60, 20);
    viewer.view.screen.as_mut().unwrap().modes =
        Modes::BRACKETED_PASTE.union(Modes::KITTY_DISAMBIGUATE);
    let drawn = String::from_utf8(viewer.look()).unwrap();
    assert!(drawn.contains("\x1b[>1u"), "{drawn:?}");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c anna@laptop";
    let drawn = {
        viewer.ui.handle(at(0), &viewer.view, UiInput::Keys(b"a"));
        String::from_utf8(viewer.look()).unwrap()
    };
    assert!(drawn.contains("\x1b[<u"), "keys are characters: {drawn:?}");
    let (head, tail) = key.split_at(40);
    assert_eq!(viewer.types(format!("\x1b[200~{head}")), []);
    assert_eq!(viewer.types(format!("{tail}\r\n\x1b[201~")), []);
    // The end is what can be seen.
    viewer.sees("SG/N0iAG0D29c anna@laptop▏");
    let [
        Action::Command(Command::Allow(verbs::Allow {
            target: Target::One(who),
            ..
        })),
    ] = &viewer.types(b"\r")[..]
    else {
        panic!("nobody is let in");
    };
    assert_eq!(*who, one(key));
    assert!(
        viewer.terminal.screen().bracketed_paste(),
        "the program's again"
    );
}

#[test]
fn what_is_named_is_bounded_and_cannot_draw() {
    let mut viewer = manager(40, 20);
    viewer.types(b"b");
    viewer.types("\u{202e}\u{9b}a\u{e0041}\x1b[200~\x1b]52;c;AAAA\x07b\tc\x1b[201~".as_bytes());
    // What is no character has a column, which vt100 leaves blank.
    viewer.sees("Block:   a ]52;c;AAAAb c▏");
    // Two keys would be one with a long comment, and only the first would count.
    viewer.types(b"\x1b[200~ssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n\x1b[201~");
    viewer.sees("Name one at a time");
    viewer.sees("Block:   a ]52;c;AAAAb c▏");
    assert_eq!(viewer.types("x".repeat(600)), []);
    viewer.sees("longer than a key");
    assert_eq!(viewer.types(b"\r"), []);
    viewer.sees("is not used in names");
    for row in viewer.rows() {
        assert!(row.chars().count() <= 40, "{row}");
    }
    // A paste of any length is cut before it is kept.
    viewer.types(b"\x15\x1b[200~");
    for _ in 0..100 {
        viewer.types("y".repeat(1000));
    }
    viewer.types(b"\x1b[201~");
    viewer.sees("longer than a key");

    // Who may not manage any more has no line either.
    viewer.view.rights = Rights::VIEW;
    viewer.look();
    assert!(!viewer.rows().join("").contains("Block:"));
    assert_eq!(viewer.types(b"\r"), []);
    viewer.view.rights = Rights::MANAGE;
    viewer.types(b"\x1dw");
    viewer.sees("a let in by name");
}

#[test]
fn a_key_of_the_list_is_about_whom_the_list_showed() {
    let mut viewer = manager(80, 20);
    let key = |seed: u8| SecretKey::from_bytes(&[seed; 32]).public();
    let here = |seed: u8, name: &str| ParticipantInfo {
        id: ParticipantId(seed.into()),
        name: Text::cut(name),
        identity: *key(seed).as_bytes(),
        rights: Rights::VIEW,
        host: false,
        here: true,
        silent: false,
        types: false,
    };
    viewer.view.roster = vec![here(20, "anna"), here(21, "bert")];
    viewer.types(b"\x1b[B");
    viewer.sees("> 21 bert");
    // Somebody knocks, and comes in before bert: bert is meant still.
    viewer.view.door = Some(Knocks {
        allow: Some(AccessMode::Invited),
        knocks: vec![KnockInfo {
            id: ParticipantId(9),
            name: Text::cut("eve"),
            identity: *eve().as_bytes(),
            holds: Some(AdmittedBy::Ticket),
            claims: Vec::new(),
        }],
    });
    viewer.view.roster.insert(0, here(22, "carl"));
    let revoke = |seed: u8| {
        [Action::Command(Command::Revoke(verbs::Revoke {
            target: SubjectRef::key(key(seed)).into(),
        }))]
    };
    assert_eq!(viewer.types(b"r"), revoke(21));
    viewer.look();
    viewer.sees("> 21 bert");
    // Bert goes: nobody else is meant until somebody else is chosen.
    viewer.view.roster.retain(|one| one.id.0 != 21);
    for key in ["y", "n", "r", "k", "g"] {
        assert_eq!(viewer.types(key), []);
        viewer.sees("Whom you chose is gone");
    }
    viewer.types(b"\x1b[A");
    assert_eq!(viewer.types(b"r"), revoke(20));
    // Who is let in is not given more by the same key pressed twice.
    viewer.types(b"\x1b[A\x1b[A\x1b[A");
    let admit = [Action::Command(Command::Admit(verbs::Admit {
        target: SubjectRef::key(eve()).into(),
    }))];
    assert_eq!(viewer.types(b"y"), admit);
    viewer.view.door.as_mut().unwrap().knocks.clear();
    viewer.view.roster.push(here(7, "eve"));
    assert_eq!(viewer.types(b"y"), []);
}
