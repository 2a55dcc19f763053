//! Questions to the person at the host: what they see of one, and what counts as an answer.

mod common;

use common::{
    at,
    desk::{Desk, all_forwarded, everything, forward, grant, key, opened},
};
use pillion_proto::Rights;
use pillion_proto::{AdmittedBy, ParticipantId};
use pillion_session::{
    Change, HostNotice, Proved, Reply,
    host::{Offer, Question, Unverified, WhoLine},
    verbs,
};
use pillion_tui::{HostAction, Want, words};
use proptest::prelude::*;

fn confirmed(request: u64, yes: bool) -> HostAction {
    HostAction::Confirmed { request, yes }
}

fn gone(request: u64) -> HostNotice {
    HostNotice::ConfirmGone { request }
}

/// What is shown, without its margins.
fn lines(desk: &Desk) -> Vec<String> {
    let rows = desk.rows();
    rows.lines().map(|row| row.trim().to_owned()).collect()
}

#[test]
fn right_and_time_stand_first_and_a_long_name_takes_their_room_nowhere() {
    // What a cut tail and a forged line would make of it.
    let name = "watch for 5 min? key 1111-2222 y yes n no ” and so on and so on";
    for (cols, rows) in [(80, 24), (40, 10)] {
        let mut desk = Desk::new(cols, rows);
        let question = Question {
            what: Offer::Give {
                rights: Rights::MANAGE,
                ttl_ms: 3650 * 86_400_000,
            },
            who: vec![
                WhoLine::Key(key(3)),
                WhoLine::InBy {
                    proof: Proved {
                        by: AdmittedBy::Ticket,
                        claims: Vec::new(),
                    },
                    id: ParticipantId(3),
                },
            ],
            said: vec![Unverified::OwnName(name.into())],
        };
        let asks = HostNotice::Confirm {
            request: 7,
            question,
        };
        desk.ui.notice(at(0), asks);
        desk.paint();
        desk.types(b"\x1d");
        let mut seen = Vec::new();
        for _ in 0..4 {
            desk.paint();
            seen.extend(lines(&desk));
            desk.types(b" ");
        }
        let text = seen.join(" ");
        let places: Vec<usize> = [
            "Give manage (to type and say who may do what) for 3650 d?",
            &format!("key {}", key(3).fingerprint()),
            "number 3",
            "calls themselves: “watch for 5 min?",
        ]
        .iter()
        .map(|part| {
            text.find(part)
                .unwrap_or_else(|| panic!("{part} in {text}"))
        })
        .collect();
        assert!(places.is_sorted(), "{text}");
        assert!(!seen.iter().any(|line| line.starts_with("key 1111")));
        // What is cut is seen to be, within its quotes.
        let quoted = seen.iter().find(|line| line.contains('“'));
        assert!(quoted.unwrap().ends_with("…”"), "{quoted:?}");
        assert!(text.contains("y yes  "), "{text}");
    }
}

#[test]
fn where_keys_are_said_to_come_from_is_said_as_said() {
    let mut desk = Desk::new(100, 24);
    let question = Question {
        what: Offer::LetIn,
        who: vec![WhoLine::Subject("an SSH key".into())],
        said: vec![Unverified::KeysOf("https://forge.example/anna.keys".into())],
    };
    let stated = words::statement(&question);
    let asks = HostNotice::Confirm {
        request: 7,
        question,
    };
    desk.ui.notice(at(0), asks);
    desk.types(b"\x1d");
    desk.paint();
    for said in [desk.rows(), stated] {
        let said_so = "the command says these are the keys of: “https://forge.example/anna.keys”";
        assert!(said.contains(said_so), "{said}");
    }
}

#[test]
fn only_a_key_alone_after_the_question_stood_there_is_an_answer() {
    let mut desk = Desk::new(80, 24);
    desk.command_asks(7, Offer::PublishLink);
    desk.paint();
    desk.later(5000);
    assert_eq!(desk.types(b"\x1dy"), [], "the announcement is no question");
    assert_eq!(desk.types(b"y"), [], "nothing is drawn yet");
    desk.later(1000);
    assert_eq!(desk.types(b"y"), [], "nothing is drawn yet");
    desk.paint();
    assert!(
        desk.rows().contains("Publish a link to this session?"),
        "{}",
        desk.rows()
    );
    desk.later(399);
    assert_eq!(desk.types(b"y"), [], "too soon");
    desk.paint();
    assert!(desk.rows().contains("Too soon"), "{}", desk.rows());
    desk.later(1);
    for paste in [
        &b"yy"[..],
        b"y\r",
        b"\x1b[200~y\x1b[201~",
        b"\x1b[200~",
        b"y",
        b"\x1b[201~",
    ] {
        assert_eq!(desk.types(paste), [], "{paste:?}");
    }
    assert_eq!(desk.types(b"y"), [confirmed(7, true)]);
}

#[test]
fn what_a_terminal_says_by_itself_makes_no_answer_less_alone() {
    for keys in [
        &b"y\x1b[I"[..],
        b"\x1b[?62c\x1b[121;1:1u\x1b[121;1:3u",
        b"\x1b[121u",
    ] {
        let mut desk = Desk::new(80, 24);
        desk.command_asks(7, Offer::PublishLink);
        desk.reads_question();
        let actions = desk.types(keys);
        assert!(
            actions.contains(&confirmed(7, true)),
            "{keys:?}: {actions:?}"
        );
    }
}

#[test]
fn more_that_waits_to_be_read_makes_it_no_answer() {
    let mut desk = Desk::new(80, 24);
    desk.command_asks(7, Offer::PublishLink);
    desk.reads_question();
    let key = bytes::Bytes::from_static(b"y");
    assert_eq!(desk.ui.keys(at(desk.now), &key, true), []);
    assert_eq!(
        desk.ui.keys(at(desk.now), &key, false),
        [confirmed(7, true)]
    );
}

#[test]
fn what_was_typed_before_and_is_read_late_is_no_answer() {
    let mut desk = Desk::new(80, 24);
    desk.command_asks(7, Offer::PublishLink);
    desk.types(b"\x1d");
    desk.paint();
    // The session was busy for a second, and the key came at its beginning.
    desk.now += 1000;
    desk.ui.tick(at(desk.now), true);
    assert_eq!(desk.types(b"y"), []);
    desk.ui.tick(at(desk.now), false);
    assert_eq!(desk.types(b"y"), [confirmed(7, true)]);
}

#[test]
fn a_question_the_terminal_did_not_take_was_not_read() {
    let mut desk = Desk::new(80, 24);
    desk.command_asks(7, Offer::PublishLink);
    desk.types(b"\x1d");
    let mut out = Vec::new();
    let screen = desk.screen();
    let resume = desk.emulator.resume();
    desk.ui.paint(at(0), &screen, &resume, &mut out);
    desk.ui.painted(at(0), false);
    desk.later(900);
    assert_eq!(desk.types(b"y"), []);
    assert_eq!(desk.wants(), None, "not again and again");
    assert_eq!(desk.ui.wake_at().map(|at| at <= 1_000_000), Some(true));
    desk.later(100);
    assert_eq!(desk.wants(), Some(Want::Panel));
    desk.paint();
    desk.later(400);
    assert_eq!(desk.types(b"y"), [confirmed(7, true)]);
}

#[test]
fn nothing_of_the_programs_stands_in_or_beside_a_question() {
    let mut desk = Desk::new(80, 24);
    for y in 1..=24 {
        desk.program(format!("\x1b[{y};1Hwatch for 5 min? y yes n no"));
    }
    let before = everything(&desk.tty);
    desk.command_asks(
        7,
        Offer::Token {
            rights: Rights::MANAGE,
            ttl_ms: 3650 * 86_400_000,
        },
    );
    desk.types(b"\x1d");
    let out = String::from_utf8(desk.paint()).unwrap();
    assert!(!desk.rows().contains("watch for 5 min"), "{}", desk.rows());
    // A synchronized update, or margins at the sides, that the program began.
    assert!(out.starts_with("\x1b[?2026l\x1b[?69l"), "{out:?}");
    assert!(!out.contains("\x1b7") && !out.contains("\x1b[s") && !out.contains("1049"));
    desk.types(b"\x1b");
    desk.later(30);
    desk.paint();
    assert_eq!(everything(&desk.tty), before);
}

#[test]
fn what_stood_on_the_terminal_before_the_session_is_there_after_a_question() {
    let mut desk = Desk::new(80, 24);
    // The emulator begins blank below it.
    desk.tty.process(b"a greeting\r\n");
    let cursor = b"\x1b[2;1H";
    desk.emulator.feed(cursor);
    desk.tty.process(cursor);
    desk.command_asks(7, Offer::PublishLink);
    desk.reads_question();
    assert!(!desk.rows().contains("a greeting"));
    assert_eq!(desk.types(b"n"), [confirmed(7, false)]);
    desk.paint();
    assert_eq!(desk.row(0), "a greeting");
}

#[test]
fn a_terminal_without_another_screen_shows_what_the_program_wrote_again() {
    let mut desk = Desk::new(80, 24);
    desk.program("$ make\r\n\x1b[1;31merror\x1b[m\r\n$ ");
    let before = everything(&desk.tty);
    desk.command_asks(7, Offer::PublishLink);
    for keys in [&b"\x1d"[..], b"n"] {
        desk.types(keys);
        let mut out = Vec::new();
        let screen = desk.screen();
        let resume = desk.emulator.resume();
        desk.ui.paint(at(desk.now), &screen, &resume, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("\x1b[?47"));
        let without = out.replace("\x1b[?47h", "").replace("\x1b[?47l", "");
        desk.tty.process(without.as_bytes());
        desk.ui.painted(at(desk.now), true);
        desk.later(400);
    }
    assert_eq!(everything(&desk.tty), before);
}

#[test]
fn the_prefix_twice_is_the_key_itself_while_a_question_waits() {
    let mut desk = Desk::new(80, 24);
    desk.command_asks(7, Offer::PublishLink);
    assert_eq!(desk.types(b"\x1d\x1d"), [forward(b"\x1d")]);
    assert_eq!(desk.wants(), Some(Want::Close));

    let mut desk = Desk::new(80, 24);
    desk.command_asks(7, Offer::PublishLink);
    // The kitty protocol tells when a key goes up: only of what the program got.
    let (down, up) = (&b"\x1b[93;5:1u"[..], &b"\x1b[93;5:3u"[..]);
    assert_eq!(desk.types(down), []);
    assert_eq!(desk.types(up), []);
    desk.paint();
    assert_eq!(desk.types(down), [forward(down)]);
    assert_eq!(desk.types(up), [forward(up)]);
}

#[test]
fn other_keys_lead_to_the_panel_or_back() {
    let mut desk = Desk::new(80, 24);
    desk.program("$ ");
    let before = everything(&desk.tty);
    desk.command_asks(7, Offer::PublishLink);
    assert_eq!(desk.types(b"\x1dp"), opened());
    desk.paint();
    assert!(desk.rows().contains("r stop typing"), "{}", desk.rows());
    assert!(
        desk.rows()
            .contains("A command asks: Publish a link to this session (a answers)")
    );
    desk.types(b"q");
    desk.paint();
    // The announcement comes back.
    desk.later(200);
    desk.paint();
    desk.reads_question();
    assert_eq!(desk.types(b"p"), opened());
    desk.paint();
    assert!(desk.rows().contains("r stop typing"), "{}", desk.rows());
    desk.types(b"q");
    desk.paint();
    desk.ui.notice(at(desk.now), gone(7));
    desk.paint();
    assert_eq!(everything(&desk.tty), before);
}

#[test]
fn a_question_whose_command_goes_goes_from_the_screen() {
    let mut desk = Desk::new(80, 10);
    let before = everything(&desk.tty);
    desk.command_asks(7, Offer::PublishLink);
    desk.paint();
    assert!(desk.row(9).contains("Publish a link"));
    desk.ui.notice(at(desk.now), gone(7));
    assert_eq!(desk.wants(), Some(Want::Notice));
    desk.paint();
    assert_eq!(everything(&desk.tty), before);

    // While it is read: a key pressed now was meant for it.
    desk.command_asks(8, Offer::PublishLink);
    desk.reads_question();
    desk.ui.notice(at(desk.now), gone(8));
    desk.paint();
    assert!(!desk.rows().contains("Publish a link"), "{}", desk.rows());
    assert!(
        desk.rows().contains("This question is gone"),
        "{}",
        desk.rows()
    );
    assert_eq!(desk.types(b"y"), []);
    desk.paint();
    assert_eq!(everything(&desk.tty), before);
    assert_eq!(desk.types(b"y"), [forward(b"y")]);
}

#[test]
fn the_same_question_asked_again_is_answered() {
    let mut desk = Desk::new(80, 10);
    for request in [7, 8] {
        desk.command_asks(request, Offer::PublishLink);
        desk.paint();
        desk.later(60_000);
        desk.ui.notice(at(desk.now), gone(request));
    }
    // Without any paint in between.
    desk.command_asks(9, Offer::PublishLink);
    desk.reads_question();
    assert_eq!(desk.types(b"y"), [confirmed(9, true)]);
    desk.paint();

    // After one that was read and withdrawn, and behind one that was answered: each is read for itself.
    desk.command_asks(10, Offer::PublishLink);
    desk.reads_question();
    desk.ui.notice(at(desk.now), gone(10));
    desk.paint();
    assert_eq!(desk.types(b"x"), []);
    desk.paint();
    desk.command_asks(11, Offer::PublishLink);
    desk.command_asks(12, Offer::PublishLink);
    desk.reads_question();
    assert_eq!(desk.types(b"n"), [confirmed(11, false)]);
    assert_eq!(desk.types(b"y"), [], "the next one was not read");
    desk.paint();
    desk.later(400);
    assert_eq!(desk.types(b"y"), [confirmed(12, true)]);
}

#[test]
fn an_answer_never_reaches_a_question_that_just_came_up() {
    let mut desk = Desk::new(80, 24);
    desk.asks(3, "anna");
    desk.asks(4, "mallory");
    desk.reads_question();
    assert!(desk.rows().contains("1 of 2 questions"), "{}", desk.rows());
    // Anna leaves at the very moment; the next one has not been read.
    let id = ParticipantId(3);
    desk.ui.notice(at(desk.now), HostNotice::RequestGone { id });
    assert_eq!(desk.types(b"y"), []);
    desk.paint();
    assert!(desk.rows().contains("mallory"));
    desk.later(399);
    assert_eq!(desk.types(b"y"), []);
    desk.later(1);
    assert_eq!(desk.types(b"y"), [grant(4)]);
}

#[test]
fn questions_follow_each_other() {
    let mut desk = Desk::new(80, 24);
    desk.asks(3, "anna");
    desk.command_asks(7, Offer::PublishLink);
    desk.reads_question();
    assert_eq!(desk.types(b"y"), [grant(3)]);
    assert_eq!(desk.types(b"y"), [], "of the next one nothing is shown");
    assert_eq!(desk.wants(), Some(Want::Panel));
    desk.paint();
    assert!(
        desk.rows().contains("Publish a link to this session?"),
        "{}",
        desk.rows()
    );
    desk.later(400);
    assert_eq!(desk.types(b"N"), [confirmed(7, false)]);
    assert_eq!(desk.wants(), Some(Want::Close));
}

#[test]
fn knocks_take_no_room_from_commands() {
    let mut desk = Desk::new(80, 24);
    for id in 0..100 {
        desk.asks(id, "anna");
    }
    desk.command_asks(7, Offer::PublishLink);
    desk.reads_question();
    for _ in 0..32 {
        desk.types(b"n");
        desk.paint();
        desk.later(400);
    }
    assert_eq!(desk.types(b"y"), [confirmed(7, true)]);
}

#[test]
fn a_resized_question_is_read_again() {
    let mut desk = Desk::new(80, 24);
    desk.command_asks(7, Offer::PublishLink);
    desk.reads_question();
    desk.ui.resized();
    desk.emulator = pillion_screen::Terminal::new(pillion_screen::Size::clamped(30, 3));
    desk.tty = common::terminal(30, 3);
    assert_eq!(desk.wants(), Some(Want::Panel));
    desk.paint();
    assert_eq!(desk.types(b"y"), []);
    desk.later(400);
    assert_eq!(desk.types(b"y"), [], "only its beginning fits");
}

#[test]
fn a_program_that_writes_all_the_time_hides_no_change() {
    let mut desk = Desk::new(80, 10);
    let question = Question {
        what: Offer::Token {
            rights: Rights::EDIT,
            ttl_ms: 8 * 3_600_000,
        },
        who: vec![WhoLine::FirstToUse(1)],
        said: Vec::new(),
    };
    let change = Change::Widened {
        question,
        grant: None,
    };
    desk.ui.notice(at(0), HostNotice::ChangedBySocket(change));
    let mut shown = 0;
    let mut bells = 0;
    for _ in 0..20_000 {
        if desk.wants().is_some() {
            let out = desk.paint();
            bells += out.iter().filter(|byte| **byte == 7).count();
            shown += usize::from(desk.rows().contains("\nA command did this: Make a token"));
        }
        desk.later(4);
        desk.program("\x1b[10;1Hall is well\x1b[K");
    }
    assert!(shown > 300, "it comes again and again: {shown}");
    assert_eq!(bells, 1, "title and bell say it, once");
    // Where it stays to be read it goes after a while.
    desk.later(200);
    desk.paint();
    assert!(desk.rows().contains("\nA command did this: Make a token"));
    desk.later(4000);
    desk.paint();
    assert_eq!(desk.rows().trim(), "all is well");
}

#[test]
fn changes_are_said_before_anything_else_and_none_is_lost() {
    let mut desk = Desk::new(80, 24);
    desk.asks(3, "anna");
    for n in 0..20 {
        let grant = format!("{n}");
        let done = Reply::Revoke(verbs::Revoked::Grant(grant)).into();
        let name = "revoke";
        let change = Change::Other { name, done };
        desk.ui.notice(at(0), HostNotice::ChangedBySocket(change));
    }
    let mut said = Vec::new();
    for _ in 0..12 {
        desk.paint();
        said.push(desk.row(23));
        desk.later(4000);
    }
    for (n, said) in said.iter().take(8).enumerate() {
        assert_eq!(
            *said,
            format!("A command did this: revoke: Grant {n} is revoked.")
        );
    }
    assert!(said[8].contains("12 more changes"), "{}", said[8]);
    assert!(said[9].starts_with("Somebody asks to type"), "{}", said[9]);
}

/// Questions with long lines, and what could be taken for them.
fn questions() -> impl Strategy<Value = Question> {
    let line = || "[a-z0-9 :;@./-]{1,120}";
    let what = (any::<u16>(), any::<u64>(), any::<bool>()).prop_map(|(bits, ttl_ms, token)| {
        let rights = Rights::from_bits(bits);
        match token {
            true => Offer::Token { rights, ttl_ms },
            false => Offer::Give { rights, ttl_ms },
        }
    });
    let said = "\\PC{0,80}".prop_map(Unverified::OwnName);
    (
        what,
        proptest::collection::vec(line().prop_map(WhoLine::Subject), 0..8),
        proptest::collection::vec(said, 0..3),
    )
        .prop_map(|(what, who, said)| Question { what, who, said })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_question_is_shown_whole_before_it_is_answered(
        cols in 4u16..90,
        rows in 1u16..30,
        question in questions(),
    ) {
        let mut desk = Desk::new(cols, rows);
        let who = question.who.iter().map(words::who_line);
        let wanted: String = [words::offer(&question.what), "?".to_owned()].into_iter()
            .chain(who)
            .flat_map(|text| text.chars().filter(|ch| !ch.is_whitespace()).collect::<Vec<_>>())
            .collect();
        let notice = HostNotice::Confirm { request: 7, question };
        desk.ui.notice(at(0), notice);
        desk.types(b"\x1d");
        let mut seen: Vec<String> = Vec::new();
        for step in 0..2000 {
            desk.paint();
            desk.later(400);
            let shown = lines(&desk);
            let fresh = match rows {
                // Each page but the first begins with the last line of the one before.
                0..=2 => shown,
                _ => shown[1..].to_vec(),
            };
            let overlap = (0..=fresh.len().min(seen.len())).rev()
                .find(|n| seen[seen.len() - n..] == fresh[..*n])
                .unwrap_or(0);
            seen.extend(fresh.into_iter().skip(overlap));
            let text: String = seen.concat().chars().filter(|ch| !ch.is_whitespace()).collect();
            let answer = desk.types(b"y");
            if answer.is_empty() {
                desk.types(b"\x1b[B");
                prop_assert!(step < 1999, "never answered: {text}");
                continue;
            }
            prop_assert_eq!(&answer, &[confirmed(7, true)]);
            let whole: Vec<char> = text.chars().collect();
            let mut at = whole.iter();
            prop_assert!(wanted.chars().all(|ch| at.any(|other| *other == ch)), "{wanted} in {text}");
            return Ok(());
        }
    }

    #[test]
    fn no_single_read_answers(
        bytes in proptest::collection::vec(prop_oneof![Just(b'y'), Just(0x1d), Just(0x1b), any::<u8>()], 0..40),
        times in 1usize..4,
    ) {
        let mut desk = Desk::new(80, 24);
        desk.command_asks(7, Offer::PublishLink);
        desk.asks(3, "anna");
        for _ in 0..times {
            let mut paste = vec![0x1d];
            paste.extend(&bytes);
            let actions = desk.types(&paste);
            let harmless = |action: &HostAction| matches!(
                action,
                HostAction::Forward(_)
                    | HostAction::Detach
                    | HostAction::Command(
                        pillion_session::Command::Who(verbs::Who {}) | pillion_session::Command::AccessList(verbs::AccessList {})
                    )
            );
            prop_assert!(actions.iter().all(harmless), "{actions:?}");
            let _ = all_forwarded(&actions);
            if desk.wants().is_some() {
                desk.paint();
            }
            desk.later(40);
        }
    }
}
