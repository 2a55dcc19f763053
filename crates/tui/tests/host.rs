//! What a person at the host's own terminal sees and does.

mod common;

use common::{
    at,
    desk::{
        Desk, all_forwarded, everything, forward, grant, key, opened, proved, question, short,
        status,
    },
    terminal,
};
use pillion_proto::ParticipantId;
use pillion_session::{
    Command, HostNotice, Reply, Target,
    host::{Offer, WhoLine},
    verbs,
};
use pillion_tui::{HostAction, Want};
use proptest::prelude::*;

#[test]
fn a_request_is_announced_answered_and_leaves_no_trace() {
    let mut desk = Desk::new(80, 10);
    desk.program("$ make\r\n\x1b[1;31merror\x1b[m\r\n$ ");
    let before = everything(&desk.tty);
    assert_eq!(desk.wants(), None);
    desk.asks(3, "anna");
    assert_eq!(desk.wants(), Some(Want::Notice));
    desk.paint();
    assert_eq!(
        desk.row(9),
        format!(
            "Somebody asks to type (Ctrl-] answers): “anna” ({})",
            short(3)
        )
    );
    assert_eq!(desk.wants(), None);
    desk.reads_question();
    assert_eq!(desk.types(b"y"), [grant(3)]);
    assert_eq!(desk.wants(), Some(Want::Close));
    desk.paint();
    assert_eq!(everything(&desk.tty), before);
    assert_eq!(desk.wants(), None);
}

#[test]
fn a_knock_says_how_they_proved_who_they_are_and_has_three_answers() {
    let mut desk = Desk::new(120, 12);
    let before = everything(&desk.tty);
    let target = Target::from(key(3));
    let for_good = |for_good| {
        let target = target.clone();
        HostAction::Command(Command::TurnAway(verbs::TurnAway { target, for_good }))
    };
    let admit = HostAction::Command(Command::Admit(verbs::Admit {
        target: target.clone(),
    }));
    for (pressed, answer) in [("y", admit), ("n", for_good(false)), ("N", for_good(true))] {
        desk.ui.notice(at(desk.now), knocks(3, "an\x1b[31mna"));
        desk.paint();
        let row = desk.row(11);
        assert!(
            row.starts_with("Somebody knocks (Ctrl-] answers): “") && row.contains(&short(3)),
            "{row}"
        );
        desk.reads_question();
        for text in ["anna@example.org", "y let in  n refuse  N block"] {
            assert!(desk.rows().contains(text), "{}", desk.rows());
        }
        assert_eq!(desk.types(pressed), [answer]);
        desk.paint();
        assert_eq!(everything(&desk.tty), before);
    }
    // Anybody who leaves is not asked about any more.
    desk.ui.notice(at(desk.now), knocks(4, "bob"));
    let id = ParticipantId(4);
    desk.ui.notice(at(desk.now), HostNotice::KnockGone { id });
    assert_eq!(desk.wants(), None);
}

fn knocks(id: u32, name: &str) -> HostNotice {
    let mut asked = question(Offer::LetIn, id, name);
    asked.who[1] = WhoLine::Proved(proved(&["anna@example.org"]));
    HostNotice::Knocked {
        id: ParticipantId(id),
        name: name.into(),
        identity: key(id),
        proof: proved(&["anna@example.org"]),
        question: asked,
    }
}

#[test]
fn no_is_a_refusal_and_a_gone_request_goes() {
    let mut desk = Desk::new(80, 10);
    desk.asks(3, "anna");
    desk.paint();
    desk.reads_question();
    let refuse = Command::RefuseRequest(verbs::RefuseRequest {
        target: key(3).into(),
    });
    assert_eq!(desk.types(b"n"), [HostAction::Command(refuse)]);
    desk.paint();
    desk.asks(4, "bob");
    desk.paint();
    assert!(desk.row(9).contains("bob"));
    let id = ParticipantId(4);
    desk.ui.notice(at(500), HostNotice::RequestGone { id });
    desk.paint();
    assert_eq!(desk.rows().trim(), "");
}

#[test]
fn output_takes_the_notice_away_and_quiet_brings_it_back() {
    let mut desk = Desk::new(40, 5);
    let mut plain = terminal(40, 5);
    for n in 0..20 {
        let line = format!("line {n}\r\n");
        desk.program(&line);
        plain.process(line.as_bytes());
        desk.now += 300;
        if n == 3 {
            desk.asks(3, "anna");
        }
        if desk.wants().is_some() {
            desk.paint();
        }
        if n > 4 {
            assert!(desk.rows().contains("asks to"), "{}", desk.rows());
        }
    }
    desk.program("x");
    plain.process(b"x");
    assert_eq!(desk.wants(), None, "not while the program writes");
    assert_eq!(desk.ui.wake_at(), Some((desk.now + 200) * 1000));
    assert_eq!(everything(&desk.tty), everything(&plain));
    // Nothing of it went into the scrollback either.
    for tty in [&mut desk.tty, &mut plain] {
        tty.screen_mut().set_scrollback(100);
    }
    assert_eq!(everything(&desk.tty), everything(&plain));
    assert!(desk.tty.screen().scrollback() > 10);
}

#[test]
fn the_notice_keeps_off_the_row_of_the_cursor() {
    let mut desk = Desk::new(60, 4);
    desk.program("\x1b[4;1H$ ");
    desk.asks(3, "anna");
    desk.paint();
    assert!(desk.row(2).contains("asks to type"));
    assert_eq!(desk.row(3), "$");
}

#[test]
fn a_long_name_leaves_room_for_what_it_is() {
    let mut desk = Desk::new(40, 4);
    desk.asks(3, "anna) may not type: Ctrl-] q quits");
    desk.paint();
    assert_eq!(desk.row(3), "Somebody asks to type (Ctrl-]): “anna m…");
}

#[test]
fn where_nothing_can_be_drawn_title_and_bell_say_it_once() {
    let mut desk = Desk::new(80, 1);
    desk.program("\x1b]2;vim\x07");
    desk.asks(3, "anna");
    let out = String::from_utf8(desk.paint()).unwrap();
    assert!(
        out.starts_with("\x1b]2;Somebody asks to type (Ctrl-] answers)") && out.ends_with('\x07'),
        "{out:?}"
    );
    assert_eq!(desk.wants(), None, "no busy waiting");
    let again = desk.later(1000);
    assert_eq!(again, []);
    assert_eq!(desk.wants(), Some(Want::Notice));
    assert_eq!(desk.paint(), b"", "said already");
    let id = ParticipantId(3);
    desk.ui.notice(at(desk.now), HostNotice::RequestGone { id });
    assert_eq!(desk.paint(), b"\x1b]2;vim\x1b\\");
    assert_eq!(desk.wants(), None);
}

#[test]
fn a_moment_that_does_not_come_is_replaced_by_title_and_bell() {
    let mut desk = Desk::new(80, 10);
    desk.asks(3, "anna");
    let mut out = Vec::new();
    let screen = desk.screen();
    desk.ui.fallback(at(1000), &screen, &mut out);
    assert!(out.ends_with(b"\x07"));
    desk.now = 3000;
    // What a title says was not read as a question is.
    assert_eq!(desk.types(b"\x1dy"), []);
    assert_eq!(desk.wants(), Some(Want::Panel));
}

#[test]
fn what_the_book_says_of_somebody_stands_before_what_they_say() {
    let remark = || Some("NOT the anna you know\x1b[2J".to_owned());
    let mut desk = Desk::new(90, 12);
    let joined = HostNotice::Joined {
        id: ParticipantId(3),
        name: "anna".into(),
        identity: key(3),
        proof: proved(&["anna@example.org"]),
    };
    desk.ui.notice_of(at(0), joined, remark());
    desk.paint();
    assert_eq!(
        desk.row(11),
        "“anna” (NOT the anna you know[2J) is watching now."
    );
    desk.ui.notice_of(at(0), knocks(3, "anna"), remark());
    desk.paint();
    assert_eq!(
        desk.row(11),
        format!(
            "Somebody knocks (Ctrl-] answers): “anna” (NOT the anna you know[2J; {})",
            short(3)
        )
    );
    desk.reads_question();
    let rows = desk.rows();
    let first = short(3);
    let places: Vec<usize> = [&first, "NOT the anna", "anna@example.org", "“anna”"]
        .iter()
        .map(|text| {
            rows.find(text)
                .unwrap_or_else(|| panic!("{text} in\n{rows}"))
        })
        .collect();
    assert!(places.is_sorted(), "{rows}");
}

#[test]
fn remarks_come_and_go() {
    let mut desk = Desk::new(60, 5);
    let joined = HostNotice::Joined {
        id: ParticipantId(1),
        name: "anna".into(),
        identity: key(3),
        proof: proved(&["anna@example.org"]),
    };
    desk.ui.notice(at(0), joined);
    desk.paint();
    assert_eq!(desk.row(4), "“anna” is watching now.");
    assert_eq!(desk.ui.wake_at(), Some(4_000_000));
    desk.later(4000);
    assert_eq!(desk.wants(), Some(Want::Notice));
    desk.paint();
    assert_eq!(desk.row(4), "");
    assert_eq!(desk.ui.wake_at(), None);
}

#[test]
fn every_byte_goes_through_at_once() {
    let mut desk = Desk::new(80, 10);
    for bytes in [
        &b"ls\r"[..],
        b"\x1b",
        b"[",
        b"9",
        b"3;",
        b"5u",
        b"\x1b[",
        b"A",
        b"\x1b]",
        b"\x1bP",
        b"\x1b[M",
        b" !!",
        b"\xc3",
        b"\xa9",
        b"\x1b[200~\x1d",
        b"\x1d",
        b"\x1b[201",
        b"~",
    ] {
        assert_eq!(desk.types(bytes), [forward(bytes)], "{bytes:?}");
    }
    assert_eq!(desk.types(b"\x1d"), [], "but the prefix");
    assert_eq!(desk.types(b"\x1d"), [forward(b"\x1d")]);
}

#[test]
fn the_prefix_is_known_in_every_encoding() {
    for prefix in [
        &b"\x1d"[..],
        b"\x1b[93;5u",
        b"\x1b[93;5:1u",
        b"\x1b[93:125:93;5:1u",
        b"\x1b[27;5;93~",
    ] {
        let mut desk = Desk::new(80, 10);
        let twice = [prefix, prefix].concat();
        assert_eq!(desk.types(&twice), [forward(prefix)]);
        desk.types(prefix);
        assert_eq!(
            desk.types(b"\x1b[93;5:3u"),
            [forward(b"\x1b[93;5:3u")],
            "up again, for who saw it down"
        );
        assert_eq!(desk.types(b"\x1b[93;5:3u"), []);
        let refresh = desk.types(b" ");
        assert_eq!(refresh, opened());
        assert_eq!(desk.wants(), Some(Want::Panel));
    }
}

#[test]
fn what_a_terminal_answers_while_we_wait_for_a_key_is_the_programs() {
    let mut desk = Desk::new(80, 10);
    desk.types(b"\x1d");
    assert_eq!(desk.types(b"\x1b[?62c"), [forward(b"\x1b[?62c")]);
    assert_eq!(desk.types(b"\x1b[I"), [forward(b"\x1b[I")]);
    assert_eq!(desk.types(b" "), opened());
    assert_eq!(
        desk.types(b"\x1b]11;rgb:0/0/0\x1b\\"),
        [forward(b"\x1b]11;rgb:0/0/0\x1b\\")]
    );
    assert_eq!(
        desk.types(b"\x1b[<0;1;1M"),
        [],
        "the mouse is over the panel"
    );
}

#[test]
fn what_follows_an_answers_key_is_not_the_programs() {
    let mut desk = Desk::new(80, 10);
    desk.asks(3, "anna");
    assert_eq!(desk.types(b"\x1b[93;5:1u\x1b[93;5:3u"), []);
    desk.paint();
    desk.later(400);
    assert_eq!(desk.types(b"\x1b[121;1:1u\x1b[121;1:3u"), [grant(3)]);
    desk.paint();
    let next = b"\x1b[121;1:1u";
    assert_eq!(desk.types(next), [forward(next)]);
    // Going up late it is not the program's either.
    desk.asks(4, "bert");
    desk.reads_question();
    assert_eq!(desk.types(b"\x1b[121;1:1u"), [grant(4)]);
    desk.paint();
    assert_eq!(desk.types(b"\x1b[121;1:2u\x1b[121;1:3u"), []);
    assert_eq!(desk.types(next), [forward(next)]);
}

#[test]
fn esc_after_the_prefix_forgets_it() {
    let mut desk = Desk::new(80, 10);
    desk.types(b"\x1d");
    assert_eq!(desk.types(b"\x1b"), []);
    assert_eq!(desk.ui.wake_at(), Some(30_000));
    assert_eq!(desk.later(30), []);
    assert_eq!(desk.types(b"y"), [forward(b"y")]);
}

/// What a program may have written before we draw: looks, places, modes; all of it known to vt100.
fn program() -> impl Strategy<Value = Vec<String>> {
    let piece = prop_oneof![
        5 => "[a-zA-Z0-9 é日]{1,30}",
        2 => (1u16..30, 1u16..90).prop_map(|(y, x)| format!("\x1b[{y};{x}H")),
        2 => (0usize..8).prop_map(|n| ["\x1b[1m", "\x1b[3;31m", "\x1b[44m", "\x1b[7m", "\x1b[m", "\x1b[38;5;200m", "\x1b[48;2;1;2;3m", "\x1b[4m"][n].to_owned()),
        1 => Just("\r\n".to_owned()),
        1 => (0usize..9).prop_map(|n| ["\x1b[?25l", "\x1b[?1049h", "\x1b[?1049l", "\x1b[2J", "\x1b[K", "\x1b[?2004h", "\x1b[?1h", "\x1b[?7l", "\x1b[3;6r"][n].to_owned()),
    ];
    proptest::collection::vec(piece, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn notices_and_the_panel_leave_no_trace(
        cols in 1u16..90,
        rows in 1u16..30,
        program in program(),
    ) {
        let mut desk = Desk::new(cols, rows);
        for piece in &program {
            desk.program(piece);
        }
        desk.settle();
        let before = everything(&desk.tty);
        desk.asks(3, "anna");
        desk.paint();
        desk.ui.notice(at(0), HostNotice::RequestGone { id: ParticipantId(3) });
        desk.paint();
        prop_assert_eq!(&everything(&desk.tty), &before, "after a notice");
        desk.asks(3, "anna");
        desk.types(b"\x1d");
        desk.paint();
        desk.types(b"\x1b[B");
        desk.paint();
        desk.types(b"\x1b");
        desk.later(30);
        desk.paint();
        desk.ui.notice(at(0), HostNotice::RequestGone { id: ParticipantId(3) });
        desk.paint();
        prop_assert_eq!(&everything(&desk.tty), &before, "after a question");
        desk.types(b"\x1d ");
        desk.ui.done(at(0), Ok(Reply::Who(vec![status(3, "anna")]).into()));
        desk.paint();
        desk.types(b"q");
        desk.paint();
        prop_assert_eq!(&everything(&desk.tty), &before, "after the panel");
    }

    #[test]
    fn without_the_prefix_every_byte_passes_unchanged(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        cuts in proptest::collection::vec(1usize..20, 1..20),
    ) {
        // Without the prefix in any encoding.
        let bytes: Vec<u8> = bytes.into_iter().filter(|byte| *byte != 0x1d && *byte != b'u').collect();
        let mut desk = Desk::new(80, 10);
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            prop_assert_eq!(all_forwarded(&desk.types(now)), now);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
    }

    #[test]
    fn no_keys_do_harm(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..20),
    ) {
        let mut desk = Desk::new(30, 6);
        for chunk in chunks {
            let mut keys = vec![0x1d];
            keys.extend(chunk);
            desk.types(keys);
            desk.later(100);
            if desk.wants().is_some() {
                desk.paint();
            }
        }
    }
}
