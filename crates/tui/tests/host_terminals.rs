//! Several terminals at the host's own: the keys, the panel's list, and what is said.

mod common;

use common::{
    at,
    desk::{Desk, everything, forward, opened},
};
use pillion_proto::{ParticipantId, TrackId, TrackKind, TrackState};
use pillion_session::{HostNotice, host::Offer, verbs::TrackStatus};
use pillion_tui::{HostAction, TerminalRow, Want, Which};

fn row(id: u32, title: &str, state: TrackState, shown: bool, active: bool) -> TerminalRow {
    let status = TrackStatus {
        id: TrackId(id),
        kind: TrackKind::Terminal,
        title: title.into(),
        state,
        opener: ParticipantId(0),
        opener_name: "anna".into(),
        size: Some((80, 24)),
        shown,
        viewers: 0,
    };
    TerminalRow { status, active }
}

fn three() -> Vec<TerminalRow> {
    vec![
        row(0, "shell", TrackState::Live, false, false),
        row(1, "logs", TrackState::Live, true, false),
        row(2, "make", TrackState::Exited(2), false, true),
        row(4, "top", TrackState::Live, false, true),
    ]
}

#[test]
fn the_prefix_and_a_key_open_a_terminal_and_go_round() {
    let mut desk = Desk::new(80, 24);
    assert_eq!(desk.types(b"\x1dc"), [HostAction::Open]);
    assert_eq!(desk.types(b"\x1dn"), [HostAction::Show(Which::Next)]);
    assert_eq!(desk.types(b"\x1dp"), [HostAction::Show(Which::Previous)]);
    let fifth = HostAction::Show(Which::Number(TrackId(5)));
    // What is typed around it stays in order.
    assert_eq!(
        desk.types(b"a\x1d5b"),
        [forward(b"a"), fifth, forward(b"b")]
    );
    assert_eq!(desk.wants(), None);
    assert_eq!(desk.types(b"\x1d "), opened(), "the panel");
}

#[test]
fn while_a_question_waits_the_keys_are_for_it() {
    let mut desk = Desk::new(80, 24);
    desk.command_asks(7, Offer::PublishLink);
    desk.reads_question();
    let no = HostAction::Confirmed {
        request: 7,
        yes: false,
    };
    assert_eq!(desk.types(b"n"), [no]);
    desk.paint();
    assert_eq!(desk.types(b"\x1dn"), [HostAction::Show(Which::Next)]);

    // One that comes between the two keys is asked, and not answered by the second one.
    desk.types(b"\x1d");
    desk.command_asks(8, Offer::PublishLink);
    assert_eq!(desk.types(b"n"), []);
    assert_eq!(desk.wants(), Some(Want::Panel));
}

#[test]
fn the_panel_lists_the_terminals_and_goes_to_one() {
    for (cols, rows) in [(80, 24), (40, 10)] {
        let mut desk = Desk::new(cols, rows);
        desk.program("$ ");
        let before = everything(&desk.tty);
        desk.types(b"\x1d ");
        desk.ui.terminals(three()[..1].to_vec());
        desk.paint();
        let shown = desk.rows();
        assert!(!shown.contains("shell"), "one needs no list:\n{shown}");
        assert!(!shown.contains("go to terminal"), "{shown}");
        assert_eq!(desk.types(b"1"), []);

        desk.ui.terminals(three());
        assert_eq!(desk.wants(), Some(Want::Panel));
        desk.paint();
        let shown = desk.rows();
        let expected: &[&str] = match cols {
            80 => &[
                "terminal  0 shell                     running ",
                "terminal  1 logs                      running, shown here",
                "terminal  2 make                      ended with 2, new output",
                "terminal  4 top                       running, new output",
                "0–9 go to terminal",
                "t new terminal",
                "Nobody is here but you.",
            ],
            _ => &[
                "0 shell  1 logs (here)",
                "2 make (ended)",
                "4 top (new)",
                "0–9 go",
            ],
        };
        for line in expected {
            assert!(shown.contains(line), "{line:?} is not in\n{shown}");
        }
        desk.ui.terminals(three());
        assert_eq!(desk.wants(), None, "nothing new");

        assert_eq!(desk.types(b"44"), [], "a paste goes nowhere");
        let fourth = HostAction::Show(Which::Number(TrackId(4)));
        assert_eq!(desk.types(b"4"), [fourth]);
        assert_eq!(desk.wants(), Some(Want::Close));
        desk.paint();
        assert_eq!(everything(&desk.tty), before);
        desk.types(b"\x1d ");
        assert_eq!(desk.types(b"t"), [HostAction::Open]);
    }
}

#[test]
fn what_is_shown_is_said_and_only_the_newest() {
    let mut desk = Desk::new(80, 10);
    desk.ui.remark(at(0), "something else");
    desk.paint();
    for (id, title) in [(1, "logs"), (2, "\x1b[31mmake")] {
        desk.ui.switched(at(desk.now));
        desk.ui.shows(at(desk.now), TrackId(id), title);
        desk.paint();
    }
    assert!(
        desk.row(9).starts_with("This is terminal 2 ("),
        "{}",
        desk.row(9)
    );
    assert!(desk.row(9).contains("make)."), "{}", desk.row(9));
    let ended = HostNotice::TerminalEnded {
        track: TrackId(2),
        title: "make".into(),
        state: TrackState::Exited(3),
        shows: Some((TrackId(0), "shell".into())),
    };
    desk.ui.notice(at(desk.now), ended);
    desk.paint();
    assert_eq!(
        desk.row(9),
        "Terminal 2 (make) ended with code 3; this is terminal 0 (shell)."
    );
    let hidden = HostNotice::TerminalEnded {
        track: TrackId(1),
        title: "logs".into(),
        state: TrackState::Killed(9),
        shows: None,
    };
    desk.ui.notice(at(desk.now), hidden);
    desk.paint();
    assert!(
        desk.row(9).contains("this is terminal 0"),
        "first where one is"
    );
    let mut said = Vec::new();
    for _ in 0..4 {
        desk.later(4000);
        desk.paint();
        said.push(desk.row(9));
    }
    assert!(
        said.contains(&"Terminal 1 (logs) was ended by signal 9.".to_owned()),
        "{said:?}"
    );
    assert!(
        !said.iter().any(|line| line.contains("terminal 2")),
        "{said:?}"
    );

    desk.ui.nowhere_else(at(desk.now));
    desk.paint();
    assert_eq!(
        desk.row(9),
        "There is no other terminal: Ctrl-] c opens one, and Ctrl-] Space the panel."
    );
}

#[test]
fn a_question_outlasts_the_terminal_it_stood_on() {
    let mut desk = Desk::new(80, 10);
    desk.command_asks(7, Offer::PublishLink);
    desk.reads_question();
    // The program behind it ends, and another one is shown: what is pressed is not for that one.
    desk.ui.switched(at(desk.now));
    assert_eq!(desk.types(b"y"), [], "to be read again");
    assert_eq!(desk.wants(), Some(Want::Panel));
    desk.paint();
    assert!(desk.rows().contains("Publish a link"), "{}", desk.rows());
    desk.later(400);
    let yes = HostAction::Confirmed {
        request: 7,
        yes: true,
    };
    assert_eq!(desk.types(b"y"), [yes]);
    assert_eq!(desk.wants(), Some(Want::Close));
}

#[test]
fn who_hesitates_behind_the_prefix_is_told_its_keys_and_who_types_on_is_not() {
    for (cols, says) in [
        (
            80,
            "Ctrl-] …  Space panel  c new terminal  n p 0–9 go to another  d detach",
        ),
        (40, "Ctrl-] …  Space panel  c new terminal"),
    ] {
        let mut desk = Desk::new(cols, 24);
        desk.program("$ ");
        let before = everything(&desk.tty);
        desk.types(b"\x1d");
        assert_eq!(desk.wants(), None);
        desk.later(399);
        assert_eq!(desk.wants(), None);
        assert_eq!(desk.types(b"c"), [HostAction::Open]);
        desk.later(5000);
        assert_eq!(desk.wants(), None, "it was in time");

        desk.types(b"\x1d");
        assert!(
            desk.ui
                .wake_at()
                .is_some_and(|at| at <= (desk.now + 400) * 1000)
        );
        desk.later(400);
        assert_eq!(desk.wants(), Some(Want::Notice));
        desk.paint();
        assert!(desk.row(23).starts_with(says), "{}", desk.row(23));
        // It stays as long as they wait, and is no notice that has been read.
        desk.later(60_000);
        assert_eq!(desk.wants(), None);
        assert!(desk.row(23).starts_with(says));
        assert_eq!(desk.types(b"\x1b"), []);
        desk.later(30);
        assert_eq!(desk.wants(), Some(Want::Notice));
        desk.paint();
        assert_eq!(everything(&desk.tty), before);
        assert_eq!(desk.types(b"x"), [forward(b"x")]);

        // A remark waits behind it.
        desk.types(b"\x1d");
        desk.later(400);
        desk.ui.remark(at(desk.now), "Something is said.");
        desk.paint();
        assert!(desk.row(23).starts_with(says), "{}", desk.row(23));
        assert_eq!(desk.types(b"d"), [HostAction::Detach]);
        desk.paint();
        assert_eq!(desk.row(23), "Something is said.");
    }
}
