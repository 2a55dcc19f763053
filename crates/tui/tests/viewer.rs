//! What a person in front of a viewer sees and does.

mod common;

use common::{CONFIG, Person, at, person, terminal, view, write};
use pillion_proto::{OwnLabel, ParticipantId, Rights, Text, TrackState};
use pillion_screen::{Line, LineId, Modes, Run, Screen, Size, Style};
use pillion_session::{HistoryLines, Interruption, Phase, View};
use pillion_tui::{Action, Depth, UiInput, ViewerUi, ViewerUiConfig};

fn editor(cols: u16, rows: u16) -> Person {
    let mut view = view(cols, rows - 1);
    view.rights = Rights::EDIT;
    Person::new(cols, rows, view)
}

fn modes(person: &mut Person, modes: Modes) {
    person.view.screen.as_mut().unwrap().modes = modes;
    person.look();
}

fn line(id: u64, text: &str) -> Line {
    Line {
        id: LineId(id),
        runs: vec![Run {
            text: text.into(),
            style: Style::default(),
            link: None,
        }],
        continued: false,
    }
}

/// A person who watches a screen of 5 rows with 100 lines of history above.
fn reader() -> Person {
    let mut view = view(40, 5);
    view.screen.as_mut().unwrap().lines.top = LineId(100);
    Person::new(40, 6, view)
}

/// Answers a request for history as a host would.
fn answer(person: &mut Person, actions: &[Action]) -> Vec<Action> {
    let [Action::WantHistory { from, count }] = actions else {
        panic!("{actions:?} isn't one request for history");
    };
    let lines = (from.0..from.0 + u64::from(*count)).map(|id| line(id, &format!("line {id}")));
    person.does(UiInput::History(HistoryLines {
        asked: *from,
        lines: lines.collect(),
        settled: LineId(100),
    }))
}

#[test]
fn a_screen_of_the_same_size_fills_all_but_the_status_line() {
    let mut viewer = Person::new(60, 6, view(60, 5));
    assert_eq!(viewer.row(0), "row 0");
    assert_eq!(viewer.row(4), "row 4");
    let status = viewer.status();
    for part in ["build", "view only", "Ctrl-] ? keys"] {
        assert!(status.contains(part), "{status}");
    }
    assert!(viewer.terminal.screen().alternate_screen());
    let mut out = Vec::new();
    viewer.ui.leave(&mut out);
    viewer.terminal.process(&out);
    assert!(!viewer.terminal.screen().alternate_screen());
}

#[test]
fn the_status_line_names_who_is_here_how_and_how_far() {
    let mut viewer = Person::new(120, 6, view(60, 5));
    viewer.view.host_identity = Some(pillion_caps::SecretKey::from_bytes(&[7; 32]).public());
    viewer.look();
    let short: String = viewer
        .view
        .host_identity
        .unwrap()
        .fingerprint()
        .chars()
        .take(9)
        .collect();
    let status = viewer.status();
    for part in [
        &format!("anna {short}"),
        "3 here: you, eve",
        "direct",
        "view only",
    ] {
        assert!(status.contains(part), "{part} is not in {status}");
    }
}

#[test]
fn who_knocks_sees_their_own_key_whatever_the_width() {
    let key = view(80, 5).identity.fingerprint();
    // Once before there is anything to see, and once with the screen of before a reconnection.
    for screen in [None, view(80, 5).screen] {
        for cols in 40..200 {
            let mut view = view(80, 5);
            view.screen = screen.clone();
            view.you = None;
            view.phase = Phase::Knocking {
                you: OwnLabel {
                    id: ParticipantId(2),
                    name: Text::cut("bert the very long named"),
                },
                wait_ms: 120_000,
                until_us: at(90_000).mono_us,
            };
            let mut viewer = Person::new(cols, 6, view);
            let status = viewer.status();
            assert!(
                status.contains(&format!("you are {key}")),
                "{cols}: {status}"
            );
            // Also with a command half given.
            viewer.types(b"\x1d");
            assert!(
                viewer.status().contains(&key),
                "{cols}: {}",
                viewer.status()
            );
        }
    }
    let mut view = view(80, 5);
    view.phase = Phase::Knocking {
        you: OwnLabel {
            id: ParticipantId(2),
            name: Text::cut(""),
        },
        wait_ms: 120_000,
        until_us: at(90_000).mono_us,
    };
    let mut viewer = Person::new(100, 6, view);
    assert!(
        viewer.status().contains("knocking │ 90 s left"),
        "{}",
        viewer.status()
    );
    viewer.later(1000);
    assert!(viewer.status().contains("89 s left"), "{}", viewer.status());
}

#[test]
fn a_lag_is_said_when_it_can_be_seen() {
    let mut viewer = editor(100, 6);
    viewer.view.lag_us = 99_999;
    viewer.later(0);
    assert!(!viewer.status().contains("lag"), "{}", viewer.status());
    viewer.view.lag_us = 1_430_000;
    viewer.later(0);
    assert!(
        viewer.status().contains("direct, lag 1.4 s"),
        "{}",
        viewer.status()
    );
}

#[test]
fn edit_that_ends_says_when_and_only_as_often_as_it_matters() {
    let mut viewer = editor(80, 6);
    viewer.view.until_unix_ms = Some(at(0).unix_ms + 20 * 60_000);
    let mut said = Vec::new();
    viewer.later(0);
    while viewer.now < 20 * 60_000 {
        let status = viewer.status();
        let from = status.find("edit for").expect(&status);
        let now = status[from..].split(" │").next().unwrap_or_default();
        said.push(now.trim().to_owned());
        let wake = viewer.ui.wake_at().unwrap().div_ceil(1000);
        viewer.later(wake - viewer.now);
    }
    let all = [
        "20 min", "10 min", "9 min", "8 min", "7 min", "6 min", "5 min", "4 min", "3 min", "2 min",
        "1 min", "50 s", "40 s", "30 s", "20 s", "10 s",
    ];
    assert_eq!(said, all.map(|left| format!("edit for {left}")));
}

#[test]
fn a_status_line_says_its_state_first_and_does_not_change_with_every_measure() {
    let mut viewer = Person::new(100, 6, view(60, 5));
    let before = viewer.status();
    assert!(before.starts_with("view only │ direct │"), "{before}");
    for us in [9_000, 14_999, 90_000] {
        viewer.view.rtt_us = us;
        viewer.later(1000);
        assert_eq!(viewer.status(), before);
    }
    // What can be felt is said.
    viewer.view.rtt_us = 310_000;
    viewer.later(1000);
    assert!(
        viewer.status().contains("direct, 0.4 s away"),
        "{}",
        viewer.status()
    );
    viewer.types("\x1dw");
    viewer.sees("Who is here (3), 310 ms away");
}

#[test]
fn a_status_line_says_who_of_the_others_types() {
    let mut viewer = Person::new(100, 6, view(60, 5));
    let before = viewer.status();
    let you = viewer.view.you;
    let types = |viewer: &mut Person, who: &[bool]| {
        for (one, types) in viewer.view.roster.iter_mut().zip(who) {
            one.types = *types;
        }
        viewer.later(100);
        viewer.status()
    };
    let at = |view: &View, yours: bool| {
        let found = view
            .roster
            .iter()
            .position(|one| (Some(one.id) == you) == yours && !one.host);
        found.unwrap()
    };
    let (yours, others) = (at(&viewer.view, true), at(&viewer.view, false));
    let mut who = vec![false; 3];
    who[yours] = true;
    assert_eq!(types(&mut viewer, &who), before, "you know that you type");
    who[others] = true;
    let said = types(&mut viewer, &who);
    assert!(
        said.starts_with("view only │") && said.contains("│ eve types"),
        "{said}"
    );
    assert_eq!(types(&mut viewer, &[false; 3]), before);
}

#[test]
fn the_first_seconds_say_what_one_sees_and_the_two_keys_that_matter() {
    for (cols, rows) in [(80, 24), (40, 10), (20, 5)] {
        let mut viewer = Person::introduced(cols, rows, view(cols, rows - 1));
        let said = viewer.status();
        assert!(said.starts_with("view only"), "{said}");
        assert!(said.contains('?'), "{said}");
        assert_eq!(said.contains("Ctrl-] e "), cols >= 40, "{said}");
        assert_eq!(said.contains("anna’s “build”"), cols == 80, "{said}");
        // Nothing of the screen is covered, and it ends by itself.
        assert_eq!(
            viewer.row(usize::from(rows) - 2),
            format!("row {}", rows - 2)
        );
        viewer.later(7_900);
        assert_eq!(viewer.status(), said);
        let wake = viewer.ui.wake_at().unwrap();
        assert!(wake <= 8_000_000, "{wake}");
        viewer.later(101);
        assert_ne!(viewer.status(), said);
        assert!(viewer.status().starts_with("view only"));
    }
}

#[test]
fn a_key_ends_the_first_seconds() {
    let mut viewer = Person::introduced(80, 24, view(80, 23));
    viewer.types("\x1d");
    assert!(viewer.status().contains("? keys"), "{}", viewer.status());
    viewer.types("\x1b");
    viewer.later(100);
    assert!(
        !viewer.status().contains("anna’s “build”"),
        "{}",
        viewer.status()
    );
}

#[test]
fn the_status_line_can_be_hidden_and_is_there_when_it_is_needed() {
    for (cols, rows) in [(80, 24), (40, 10)] {
        // A host as large as the terminal lacks a row until it is hidden.
        let mut viewer = Person::new(cols, rows, view(cols, rows));
        assert!(viewer.status().starts_with("view only"));
        viewer.types("\x1dz");
        for y in 0..rows {
            assert_eq!(viewer.row(usize::from(y)), format!("row {y}"));
        }
        // The keys behind the prefix, a sentence, trouble.
        viewer.types("\x1d");
        assert!(viewer.status().contains("? keys"), "{}", viewer.status());
        viewer.types("\x1b");
        viewer.later(100);
        assert_eq!(
            viewer.row(usize::from(rows) - 1),
            format!("row {}", rows - 1)
        );
        viewer.view.phase = Phase::Stalled { since_us: 0 };
        viewer.later(3000);
        assert!(viewer.status().contains("no word"), "{}", viewer.status());
        viewer.view.phase = Phase::Live;
        viewer.later(3100);
        assert_eq!(
            viewer.row(usize::from(rows) - 1),
            format!("row {}", rows - 1)
        );
        viewer.types("\x1dz");
        assert!(viewer.status().starts_with("view only"));
    }
}

#[test]
fn the_last_notices_can_be_read_again() {
    let mut viewer = Person::new(40, 10, view(40, 9));
    viewer.types("\x1dm");
    viewer.sees("There were none yet.");
    viewer.types("\x1b");
    viewer.later(100);
    for number in 1..=7 {
        viewer.does(UiInput::Said(&format!("notice {number}")));
    }
    viewer.later(60_000);
    assert!(!viewer.terminal.screen().contents().contains("notice 7"));
    viewer.types("\x1dm");
    for number in 3..=7 {
        viewer.sees(&format!("· notice {number}"));
    }
    assert!(!viewer.terminal.screen().contents().contains("notice 2"));
}

#[test]
fn a_smaller_host_is_framed() {
    let viewer = Person::new(20, 6, view(10, 3));
    assert_eq!(viewer.rows()[0], format!("{:<10}│", "row 0"));
    assert_eq!(viewer.rows()[3], "──────────┘");
    assert_eq!(viewer.row(4), "");
}

#[test]
fn a_larger_host_is_shown_in_part_and_followed() {
    let mut viewer = Person::new(20, 6, view(60, 40));
    assert_eq!(viewer.row(0), "row 0");
    let screen = viewer.view.screen.as_mut().unwrap();
    screen.cursor.y = 39;
    screen.cursor.x = 30;
    viewer.look();
    assert_eq!(viewer.terminal.screen().cursor_position(), (4, 19));
    let mut wide = Person::new(60, 6, view(60, 40));
    wide.view.screen.as_mut().unwrap().cursor.y = 39;
    wide.look();
    assert_eq!(wide.row(4), "row 39");
    // Back up as little as needed.
    wide.view.screen.as_mut().unwrap().cursor.y = 37;
    wide.look();
    assert_eq!(wide.row(4), "row 39");
    wide.view.roster.clear();
    wide.look();
    assert!(wide.status().contains("60×5 of 60×40"), "{}", wide.status());
}

#[test]
fn a_keystrokes_echo_costs_a_few_bytes_and_no_brackets() {
    let mut viewer = editor(80, 25);
    let screen = viewer.view.screen.as_mut().unwrap();
    screen.rows[3].cells[10].ch = 'x';
    (screen.cursor.x, screen.cursor.y) = (11, 3);
    let out = viewer.look();
    assert_eq!(
        out, b"\x1b[4;11H\x1b[mx",
        "the status line had left the pen inverse"
    );
    let screen = viewer.view.screen.as_mut().unwrap();
    screen.rows[3].cells[11].ch = 'y';
    screen.cursor.x = 12;
    assert_eq!(viewer.look(), b"y");
    assert_eq!(viewer.look(), b"", "nothing changed");
}

#[test]
fn a_large_change_is_one_synchronized_update() {
    let mut viewer = editor(80, 25);
    for y in 0..24 {
        write(viewer.view.screen.as_mut().unwrap(), y, &"x".repeat(80));
    }
    let out = viewer.look();
    assert!(out.starts_with(b"\x1b[?2026h") && out.ends_with(b"\x1b[?2026l"));
}

#[test]
fn trouble_is_told_as_it_is() {
    let mut viewer = Person::new(100, 6, view(60, 5));
    viewer.now = 10_000;
    viewer.view.phase = Phase::Stalled {
        since_us: 7_000_000,
    };
    // Nobody says so but the view itself.
    viewer.look();
    viewer.sees("no word from the host for 3 s");
    assert_eq!(viewer.ui.wake_at(), Some(11_000_000));
    viewer.later(1000);
    viewer.sees("no word from the host for 4 s");
    viewer.view.phase = Phase::Connecting {
        attempt: 3,
        why: Some(Interruption::Transport("the host can't be reached".into())),
        retry_at_us: 15_000_000,
    };
    viewer.does(UiInput::Tick);
    viewer.sees("try 3 in 4 s: the host can't be reached");
    viewer.view.phase = Phase::Live;
    viewer.view.track.1 = TrackState::Exited(3);
    viewer.does(UiInput::Tick);
    viewer.sees("the program ended with exit code 3");
}

#[test]
fn before_the_first_frame_it_says_what_it_waits_for() {
    let mut first = view(10, 3);
    first.screen = None;
    first.you = None;
    first.phase = Phase::Connecting {
        attempt: 1,
        why: None,
        retry_at_us: 0,
    };
    let viewer = Person::new(40, 6, first);
    assert_eq!(viewer.row(2).trim(), "connecting …");
}

#[test]
fn until_something_is_shown_ctrl_c_leaves_and_keys_say_nothing_false() {
    let mut first = view(60, 9);
    first.screen = None;
    first.you = None;
    first.phase = Phase::Connecting {
        attempt: 2,
        why: Some(Interruption::NoAnswer),
        retry_at_us: 0,
    };
    let mut viewer = Person::new(80, 10, first);
    assert_eq!(viewer.types(b"ls\r"), []);
    viewer.sees("You are not connected yet. Ctrl-C leaves.");
    assert!(!viewer.rows().join("").contains("You are watching"));
    viewer.view.phase = Phase::Knocking {
        you: OwnLabel {
            id: ParticipantId(2),
            name: Text::cut("bert"),
        },
        wait_ms: 120_000,
        until_us: at(90_000).mono_us,
    };
    viewer.types(b"x");
    viewer.sees("You are not in yet: the host is being asked. Ctrl-C leaves.");
    assert_eq!(viewer.types(b"\x03"), [Action::Leave]);
    assert_eq!(
        viewer.types(b"\x1b[99;5u"),
        [],
        "only where it is asked for"
    );
    assert_eq!(viewer.types(b"\x1dq"), [Action::Leave]);
}

#[test]
fn a_sentence_never_covers_the_cursors_row() {
    for rows in 2..12_u16 {
        for y in 0..rows - 1 {
            for cols in [20, 40, 80] {
                let mut viewer = Person::new(cols, rows, view(cols, rows - 1));
                let screen = viewer.view.screen.as_mut().unwrap();
                (screen.cursor.x, screen.cursor.y) = (3, y);
                viewer.look();
                viewer.types(b"l");
                let place = format!("{cols}×{rows}, cursor in row {y}");
                assert_eq!(viewer.row(y.into()), format!("row {y}"), "{place}");
                assert_eq!(
                    viewer.terminal.screen().cursor_position(),
                    (y, 3),
                    "{place}"
                );
                let all = viewer.rows().join("");
                assert!(all.contains("You are"), "{place}: {all}");
            }
        }
    }
}

#[test]
fn a_wider_host_is_panned_sideways() {
    let wide = || {
        let mut view = view(100, 5);
        let text: String = (0..10).map(|n| format!("{n:<10}")).collect();
        write(view.screen.as_mut().unwrap(), 1, &text);
        view
    };
    let mut viewer = Person::new(40, 6, wide());
    let roomy = Person::new(80, 6, wide());
    assert!(roomy.status().contains("← → pan"), "{}", roomy.status());
    let starts = |viewer: &Person| viewer.row(1).split_whitespace().next().map(str::to_owned);
    assert_eq!(starts(&viewer).as_deref(), Some("0"));
    for (keys, first) in [
        (&b"\x1d\x1b[C"[..], "2"),
        (b"\x1d\x1bOC", "4"),
        (b"\x1d\x1b[C", "6"),
        (b"\x1d\x1b[C", "6"),
        (b"\x1d\x1b[D", "4"),
    ] {
        assert_eq!(viewer.types(keys), []);
        assert_eq!(starts(&viewer).as_deref(), Some(first));
    }
    // It stays there, wherever the cursor goes and however large the terminal becomes.
    viewer.look();
    assert_eq!(starts(&viewer).as_deref(), Some("4"));
    assert!(viewer.terminal.screen().hide_cursor());
    viewer.terminal = terminal(70, 6);
    viewer.does(UiInput::Resized(Size::clamped(70, 6)));
    assert_eq!(starts(&viewer).as_deref(), Some("3"));
    // Typing shows what is typed.
    viewer.view.rights = Rights::EDIT;
    assert_eq!(viewer.sent("x"), b"x");
    viewer.look();
    assert_eq!(starts(&viewer).as_deref(), Some("0"));
    assert!(!viewer.terminal.screen().hide_cursor());
}

#[test]
fn what_the_prefix_waits_for_is_told_at_forty_columns() {
    let mut viewer = Person::new(40, 10, view(80, 9));
    viewer.types(b"\x1d");
    for part in ["? keys", "q leave"] {
        assert!(viewer.status().contains(part), "{}", viewer.status());
    }
    let mut viewer = Person::new(80, 10, view(80, 9));
    viewer.types(b"\x1d");
    for part in ["? keys", "q leave", "e ask to type", "w who", "[ look back"] {
        assert!(viewer.status().contains(part), "{}", viewer.status());
    }
}

#[test]
fn who_watches_sends_nothing_and_is_told_how_to_ask() {
    let mut viewer = Person::new(80, 10, view(80, 9));
    for typed in [
        &b"ls\r"[..],
        b"\x03",
        b"\x1b[A",
        b"\x1b[200~rm\x1b[201~",
        b"\x1b[<0;3;3M",
        b"\x1b[I",
    ] {
        assert_eq!(viewer.types(typed), [], "{typed:?}");
    }
    viewer.sees("You are watching. Ctrl-] e asks the host to let you type; Ctrl-] q leaves.");
    viewer.later(6_000);
    assert!(
        !viewer.rows().join("").contains("You are watching"),
        "it goes away"
    );
}

#[test]
fn a_terminals_answers_are_never_typed() {
    let mut viewer = editor(80, 10);
    modes(
        &mut viewer,
        Modes::FOCUS
            .union(Modes::MOUSE_CLICK)
            .union(Modes::MOUSE_SGR),
    );
    for reply in [
        &b"\x1b[?62;22c"[..],
        b"\x1b[>41;354;0c",
        b"\x1bP!|00000000\x1b\\",
        b"\x1bP>|xterm(400)\x1b\\",
        b"\x1b[12;40R",
        b"\x1b[?12;40;1R",
        b"\x1b[0n",
        b"\x1b[?997;1n",
        b"\x1b[?2026;2$y",
        b"\x1b[4;2$y",
        b"\x1b]11;rgb:0000/0000/0000\x1b\\",
        b"\x1b]4;1;rgb:cdcd/0000/0000\x07",
        b"\x1b]52;c;aGk=\x07",
        b"\x1bP1$r0m\x1b\\",
        b"\x1bP1+r544e=787465726d\x1b\\",
        b"\x1b[?1u",
        b"\x1b[8;24;80t",
        b"\x1b[2;1;1;128;128;1;0x",
        b"\x1b_Gi=31;OK\x1b\\",
    ] {
        let text = String::from_utf8_lossy(reply).replace('\x1b', "ESC");
        assert_eq!(viewer.types(reply), [], "{text}");
        for byte in reply {
            assert_eq!(viewer.types([*byte]), [], "{text}, byte by byte");
        }
        assert_eq!(viewer.sent("x"), b"x", "after {text}");
    }
}

#[test]
fn who_may_type_types() {
    let mut viewer = editor(80, 10);
    for typed in [
        &b"ls\r"[..],
        b"\x03",
        b"\x1b[A",
        b"\x1bOA",
        b"\x1b[1;5D",
        "é😀".as_bytes(),
        b"\x1bx",
        b"\x1b[97;5u",
        b"\x7f",
    ] {
        assert_eq!(viewer.sent(typed), typed);
    }
    // ESC alone, once it is clear that nothing follows.
    assert_eq!(viewer.types(b"\x1b"), []);
    assert_eq!(viewer.later(30), [Action::Keys(b"\x1b".as_slice().into())]);
}

#[test]
fn the_prefix_is_known_in_every_encoding_and_sends_itself_when_pressed_twice() {
    for prefix in [
        &b"\x1d"[..],
        b"\x1b[93;5u",
        b"\x1b[93;5:1u",
        b"\x1b[27;5;93~",
        b"\x1b[93;69u",
    ] {
        let mut viewer = editor(80, 10);
        assert_eq!(viewer.types(prefix), []);
        assert!(viewer.status().contains("q leave"), "{}", viewer.status());
        assert_eq!(viewer.sent(prefix), prefix, "twice sends it once");
        assert_eq!(viewer.types(prefix), []);
        // Going up, and modifiers, are no commands (and nothing the program should see).
        assert_eq!(viewer.types(b"\x1b[93;5:3u\x1b[57442;5:3u"), []);
        assert_eq!(viewer.types(b"q"), [Action::Leave]);
        viewer.types(prefix);
        assert_eq!(
            viewer.types(b"\x1b[113u"),
            [Action::Leave],
            "a key as kitty sends it"
        );
    }
}

#[test]
fn asking_for_edit_says_when_it_makes_no_sense() {
    let mut viewer = Person::new(80, 10, view(80, 9));
    assert_eq!(viewer.types(b"\x1de"), [Action::RequestEdit]);
    viewer.view.asking = true;
    assert_eq!(viewer.types(b"\x1de"), []);
    viewer.sees("hasn't answered yet");
    viewer.view.read_only = true;
    viewer.view.asking = false;
    assert_eq!(viewer.types(b"\x1de"), []);
    viewer.sees("nobody can be given edit");
    viewer.view.rights = Rights::EDIT;
    assert_eq!(viewer.types(b"\x1de"), []);
    viewer.sees("You can type already.");
    let read_only = ViewerUiConfig {
        read_only: true,
        ..CONFIG()
    };
    let mut promised = view(80, 9);
    promised.rights = Rights::EDIT;
    let mut viewer = Person::with(read_only, 80, 10, promised);
    assert_eq!(viewer.types(b"\x1dehello"), []);
    viewer.sees("--read-only");
}

#[test]
fn a_paste_cannot_end_itself() {
    let mut viewer = editor(80, 10);
    modes(&mut viewer, Modes::BRACKETED_PASTE);
    assert!(viewer.terminal.screen().bracketed_paste());
    let sent = viewer.sent(b"\x1b[200~a\x1b[20\x1b1~b\x1d\x03\xc2\x9b201~c\x9b\xc3\xa9\x1b[201~d");
    assert_eq!(sent, b"\x1b[200~a[201~b\x1d\x03201~c\x9b\xc3\xa9\x1b[201~d");
    assert_eq!(sent.windows(6).filter(|w| *w == b"\x1b[201~").count(), 1);
    // In pieces, wherever they are cut.
    for cut in 1..30 {
        let paste = b"\x1b[200~one\x1b[201 two\xc2\x9b three\x1b[201~";
        let (a, b) = paste.split_at(cut.min(paste.len()));
        let mut sent = viewer.sent(a);
        sent.extend(viewer.sent(b));
        assert_eq!(sent, b"\x1b[200~one[201 two three\x1b[201~", "cut at {cut}");
    }
}

#[test]
fn modes_are_mirrored_while_typing_and_always_given_back() {
    let all = [
        Modes::APP_CURSOR,
        Modes::APP_KEYPAD,
        Modes::BRACKETED_PASTE,
        Modes::MOUSE_MOTION,
        Modes::FOCUS,
        Modes::KITTY_DISAMBIGUATE,
        Modes::KITTY_EVENTS,
    ]
    .into_iter()
    .fold(Modes::AUTOWRAP, Modes::union);
    let mut viewer = Person::new(80, 10, view(80, 9));
    modes(&mut viewer, all);
    let screen = viewer.terminal.screen();
    assert!(!screen.application_cursor() && !screen.bracketed_paste());
    assert_eq!(
        screen.mouse_protocol_mode(),
        vt100::MouseProtocolMode::PressRelease
    );
    assert_eq!(
        screen.mouse_protocol_encoding(),
        vt100::MouseProtocolEncoding::Sgr
    );

    viewer.view.rights = Rights::EDIT;
    let on = String::from_utf8(viewer.look()).unwrap();
    let screen = viewer.terminal.screen();
    assert!(screen.application_cursor() && screen.application_keypad() && screen.bracketed_paste());
    assert_eq!(
        screen.mouse_protocol_mode(),
        vt100::MouseProtocolMode::AnyMotion
    );
    assert!(
        on.contains("\x1b[?1004h") && on.contains("\x1b[>3u"),
        "{on:?}"
    );

    viewer.view.rights = Rights::VIEW;
    let off = String::from_utf8(viewer.look()).unwrap();
    assert!(
        off.contains("\x1b[?1004l") && off.contains("\x1b[<u"),
        "{off:?}"
    );
    assert!(!viewer.terminal.screen().application_keypad());

    viewer.view.rights = Rights::EDIT;
    viewer.look();
    let mut out = Vec::new();
    viewer.ui.leave(&mut out);
    viewer.terminal.process(&out);
    let screen = viewer.terminal.screen();
    assert!(
        !screen.application_cursor() && !screen.application_keypad() && !screen.bracketed_paste()
    );
    assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    assert_eq!(
        screen.mouse_protocol_encoding(),
        vt100::MouseProtocolEncoding::Default
    );
    assert!(!screen.hide_cursor() && !screen.alternate_screen());
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.contains("\x1b[?1004l") && out.matches("\x1b[<u").count() == 1,
        "{out:?}"
    );
}

#[test]
fn the_bytes_for_emergencies_give_everything_back() {
    let mut viewer = editor(80, 10);
    modes(&mut viewer, Modes(Modes::ALL.0));
    viewer.terminal.process(ViewerUi::restore_bytes());
    let screen = viewer.terminal.screen();
    assert!(
        !screen.application_cursor() && !screen.application_keypad() && !screen.bracketed_paste()
    );
    assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    assert_eq!(
        screen.mouse_protocol_encoding(),
        vt100::MouseProtocolEncoding::Default
    );
    assert!(!screen.hide_cursor() && !screen.alternate_screen());
}

#[test]
fn the_mouse_is_for_the_program_where_its_screen_is() {
    let mut view = view(20, 5);
    view.rights = Rights::EDIT;
    let mut viewer = Person::new(40, 10, view);
    let sgr = Modes::MOUSE_DRAG.union(Modes::MOUSE_SGR);
    modes(&mut viewer, sgr);
    assert_eq!(viewer.sent(b"\x1b[<0;20;5M"), b"\x1b[<0;20;5M");
    assert_eq!(
        viewer.sent(b"\x1b[<32;30;9M"),
        b"\x1b[<32;20;5M",
        "a drag stays at the edge"
    );
    assert_eq!(viewer.sent(b"\x1b[<0;30;9m"), b"\x1b[<0;20;5m");
    assert_eq!(viewer.sent(b"\x1b[<0;21;5M"), b"", "beside the screen");
    assert_eq!(viewer.sent(b"\x1b[<64;3;3M"), b"\x1b[<64;3;3M");
    modes(&mut viewer, Modes::MOUSE_CLICK);
    assert_eq!(viewer.sent(b"\x1b[<2;3;4M"), b"\x1b[M\x22\x23\x24");
    assert_eq!(viewer.sent(b"\x1b[<2;3;4m"), b"\x1b[M\x23\x23\x24");
}

#[test]
fn the_mouse_is_moved_with_the_part_that_is_shown() {
    let mut view = view(60, 40);
    view.rights = Rights::EDIT;
    let screen = view.screen.as_mut().unwrap();
    (screen.cursor.x, screen.cursor.y) = (59, 39);
    screen.modes = Modes::MOUSE_CLICK.union(Modes::MOUSE_SGR);
    let mut viewer = Person::new(20, 6, view);
    assert_eq!(viewer.sent(b"\x1b[<0;1;1M"), b"\x1b[<0;41;36M");
}

#[test]
fn the_wheel_sends_arrows_to_a_full_screen_program_without_a_mouse() {
    let mut viewer = editor(80, 10);
    modes(
        &mut viewer,
        Modes::ALTERNATE_SCREEN.union(Modes::ALTERNATE_SCROLL),
    );
    assert_eq!(viewer.sent(b"\x1b[<64;3;3M"), b"\x1b[A\x1b[A\x1b[A");
    modes(
        &mut viewer,
        Modes::ALTERNATE_SCREEN
            .union(Modes::ALTERNATE_SCROLL)
            .union(Modes::APP_CURSOR),
    );
    assert_eq!(viewer.sent(b"\x1b[<65;3;3M"), b"\x1bOB\x1bOB\x1bOB");
}

#[test]
fn looking_back_fetches_lines_and_comes_back() {
    let mut viewer = reader();
    let asked = viewer.types(b"\x1b[<64;3;3M");
    assert_eq!(
        asked,
        [Action::WantHistory {
            from: LineId(0),
            count: 100
        }]
    );
    assert_eq!(viewer.row(0), "row 0", "nothing there yet");
    assert_eq!(answer(&mut viewer, &asked), []);
    assert_eq!(viewer.row(0), "line 97");
    assert_eq!(viewer.row(3), "row 0");
    viewer.sees("looking back: line 98 of 101");
    viewer.types(b"\x1b[5~");
    assert_eq!(viewer.row(0), "line 93");
    viewer.types(b"\x1b[H");
    assert_eq!(viewer.row(0), "line 0");
    viewer.types(b"\x1b[5~\x1b[A");
    assert_eq!(viewer.row(0), "line 0");
    viewer.types(b"\x1b[6~");
    assert_eq!(viewer.row(0), "line 4");
    viewer.types(b"\x1b[F");
    assert_eq!(viewer.row(0), "row 0");
    assert!(viewer.status().contains("view only"));
}

#[test]
fn looking_back_stands_still_while_output_goes_on() {
    let mut viewer = reader();
    let asked = viewer.types(b"\x1d[");
    answer(&mut viewer, &asked);
    assert_eq!(viewer.row(0), "line 99");
    let screen = viewer.view.screen.as_mut().unwrap();
    screen.lines.top = LineId(103);
    write(screen, 0, "new");
    viewer.look();
    assert_eq!(
        (viewer.row(0), viewer.row(1)),
        ("line 99".into(), "row 0".into())
    );
    viewer.types(b"\x1b[B");
    assert_eq!(viewer.row(0), "new 0", "at the end it is live again");
}

#[test]
fn long_histories_are_fetched_in_parts_and_answers_may_be_short() {
    let mut viewer = reader();
    viewer.view.screen.as_mut().unwrap().lines.top = LineId(5000);
    let asked = viewer.types(b"\x1b[5;2~");
    assert_eq!(
        asked,
        [Action::WantHistory {
            from: LineId(4744),
            count: 256
        }]
    );
    // The host sends less than was asked for: the rest is asked for next.
    let more = viewer.does(UiInput::History(HistoryLines {
        asked: LineId(4744),
        lines: (4744..4800).map(|id| line(id, "x")).collect(),
        settled: LineId(5000),
    }));
    assert_eq!(
        more,
        [Action::WantHistory {
            from: LineId(4800),
            count: 200
        }]
    );
    answer(&mut viewer, &more);
    assert_eq!(viewer.row(0), "line 4996");
    // Home is far from there.
    let home = viewer.types(b"\x1b[H");
    viewer.sees("fetching…");
    assert!(
        matches!(
            &home[..],
            [Action::WantHistory {
                from: LineId(0),
                ..
            }]
        ),
        "{home:?}"
    );
    answer(&mut viewer, &home);
    assert_eq!(viewer.row(0), "line 0");
}

#[test]
fn lines_the_host_no_longer_has_are_not_asked_for_again() {
    let mut viewer = reader();
    let asked = viewer.types(b"\x1b[<64;3;3M");
    let more = viewer.does(UiInput::History(HistoryLines {
        asked: LineId(0),
        lines: (98..100)
            .map(|id| line(id, &format!("line {id}")))
            .collect(),
        settled: LineId(100),
    }));
    assert_eq!((asked.len(), more.len()), (1, 0));
    viewer.types(b"\x1b[H");
    assert_eq!(viewer.row(0), "line 98");
    let mut empty = reader();
    empty.types(b"\x1b[<64;3;3M");
    let more = empty.does(UiInput::History(HistoryLines {
        asked: LineId(0),
        lines: vec![],
        settled: LineId(100),
    }));
    assert_eq!(more, []);
}

#[test]
fn long_lines_are_wrapped_and_wide_characters_kept_whole() {
    let mut viewer = reader();
    viewer.types(b"\x1b[<64;3;3M");
    let mut lines: Vec<_> = (0..99).map(|id| line(id, "x")).collect();
    lines.push(line(99, &format!("{}日本", "a".repeat(39))));
    viewer.does(UiInput::History(HistoryLines {
        asked: LineId(0),
        lines,
        settled: LineId(100),
    }));
    assert_eq!(viewer.row(1), "a".repeat(39));
    assert_eq!(viewer.row(2), "日本");
}

#[test]
fn a_request_that_is_lost_is_made_again() {
    let mut viewer = reader();
    let asked = viewer.types(b"\x1b[5~");
    assert_eq!(viewer.later(100), []);
    assert_eq!(viewer.later(5000), asked);
    viewer.view.phase = Phase::Joining;
    viewer.later(10);
    viewer.view.phase = Phase::Live;
    assert_eq!(viewer.later(10), asked, "after a reconnect at once");
}

#[test]
fn typing_ends_looking_back() {
    let mut viewer = reader();
    viewer.view.rights = Rights::EDIT;
    let asked = viewer.types(b"\x1b[5;2~");
    answer(&mut viewer, &asked);
    assert_eq!(viewer.row(0), "line 96");
    assert_eq!(viewer.sent(b"ls"), b"ls");
    assert_eq!(viewer.row(0), "row 0");
}

#[test]
fn nothing_above_is_no_history() {
    let mut viewer = Person::new(40, 6, view(40, 5));
    assert_eq!(viewer.types(b"\x1b[<64;3;3M"), []);
    assert!(viewer.status().contains("view only"), "{}", viewer.status());
}

#[test]
fn help_and_who_lie_over_the_screen_and_go() {
    let mut viewer = Person::new(80, 20, view(80, 19));
    viewer.types(b"\x1d?");
    viewer.sees("Ctrl-] e   ask the host to let you type");
    assert_eq!(viewer.types(b"x"), []);
    assert!(
        !viewer.rows().join("").contains("ask the host"),
        "any key closes it"
    );
    viewer.types(b"\x1dw");
    viewer.sees("Who is here (3)");
    viewer.sees("  2 bob");
    viewer.sees("(you)");
}

#[test]
fn names_and_sentences_cannot_draw() {
    let mut nasty = view(80, 9);
    nasty.session_name = "\x1b[31mred\x07\u{202e}evil".into();
    nasty.host_name = "\x1b]0;title\x07".into();
    nasty.roster = vec![
        person(2, "me", false),
        person(5, "a\x1b[2Jb\u{9b}c\nd", false),
    ];
    let mut viewer = Person::new(100, 10, nasty);
    viewer.view.phase = Phase::Connecting {
        attempt: 2,
        why: Some(Interruption::Transport("\x1b[5mwhy".into())),
        retry_at_us: 0,
    };
    viewer.types(b"\x1dw");
    viewer.does(UiInput::Said("\x1b]52;c;AAAA\x07said"));
    let mut out = Vec::new();
    let mut fresh = ViewerUi::new(CONFIG(), Size::clamped(100, 10));
    fresh.handle(at(0), &viewer.view, UiInput::Keys(b"\x1dw"));
    fresh.handle(at(0), &viewer.view, UiInput::Said("\x1b]52;c;AAAA\x07said"));
    fresh.draw(at(0), &viewer.view, &mut out);
    let out = String::from_utf8(out).unwrap();
    for forbidden in [
        "\x1b[31mred",
        "\x07",
        "\u{202e}",
        "\x1b]0",
        "\u{9b}",
        "\x1b]52",
    ] {
        assert!(!out.contains(forbidden), "{forbidden:?}");
    }
    viewer.sees("a2Jbc d");
}

#[test]
fn fewer_colours_are_asked_of_poorer_terminals() {
    for (depth, expected) in [
        (Depth::True, "\x1b[38;2;255;0;0m"),
        (Depth::Ansi256, "\x1b[38;5;196m"),
        (Depth::Ansi16, "\x1b[91m"),
    ] {
        let mut red = view(20, 5);
        red.screen.as_mut().unwrap().rows[0].cells[0].style.fg =
            pillion_screen::Color::Rgb(255, 0, 0);
        let mut ui = ViewerUi::new(ViewerUiConfig { depth, ..CONFIG() }, Size::clamped(20, 6));
        let mut out = Vec::new();
        ui.draw(at(0), &red, &mut out);
        assert!(
            String::from_utf8(out).unwrap().contains(expected),
            "{depth:?}"
        );
    }
    let mut mono = view(20, 5);
    mono.screen.as_mut().unwrap().rows[0].cells[0].style.fg = pillion_screen::Color::Rgb(255, 0, 0);
    let config = ViewerUiConfig {
        depth: Depth::Mono,
        ..CONFIG()
    };
    let mut ui = ViewerUi::new(config, Size::clamped(20, 6));
    let mut out = Vec::new();
    ui.draw(at(0), &mono, &mut out);
    let mut shown = terminal(20, 6);
    shown.process(&out);
    assert_eq!(
        shown.screen().cell(0, 0).unwrap().fgcolor(),
        vt100::Color::Default
    );
}

#[test]
fn colours_the_program_redefined_are_shown_as_such() {
    let mut themed = view(20, 5);
    let screen = themed.screen.as_mut().unwrap();
    screen.palette.insert(1, [1, 2, 3]);
    screen.palette.insert(257, [9, 9, 9]);
    screen.rows[0].cells[0].style.fg = pillion_screen::Color::Indexed(1);
    let viewer = Person::new(20, 6, themed);
    let cell = viewer.terminal.screen().cell(0, 0).unwrap();
    assert_eq!(cell.fgcolor(), vt100::Color::Rgb(1, 2, 3));
    assert_eq!(cell.bgcolor(), vt100::Color::Rgb(9, 9, 9));
}

#[test]
fn a_reversed_screen_is_drawn_reversed_but_for_the_status_line() {
    let mut flashing = view(20, 5);
    let screen = flashing.screen.as_mut().unwrap();
    screen.rows[1].cells[0].style.attrs = pillion_screen::Attrs::INVERSE;
    screen.modes = screen.modes.union(Modes::REVERSE_VIDEO);
    let mut viewer = Person::new(24, 6, flashing);
    let inverse = |viewer: &Person, y, x| viewer.terminal.screen().cell(y, x).unwrap().inverse();
    let seen = [(0, 0), (0, 19), (1, 0), (4, 19), (5, 0), (2, 22)];
    let reversed = seen.map(|(y, x)| inverse(&viewer, y, x));
    assert_eq!(reversed, [true, true, false, true, true, false]);

    modes(&mut viewer, Modes::AUTOWRAP);
    let plain = seen.map(|(y, x)| inverse(&viewer, y, x));
    assert_eq!(plain, [false, false, true, false, true, false]);
}

#[test]
fn a_resize_draws_everything_anew() {
    let mut viewer = Person::new(40, 10, view(30, 6));
    viewer.terminal = terminal(25, 5);
    viewer.terminal.process(b"garbage all over the place");
    viewer.does(UiInput::Resized(Size::clamped(25, 5)));
    assert_eq!(viewer.row(0), "row 0");
    assert_eq!(viewer.row(3), "row 3");
}

#[test]
fn a_blank_host_screen_is_blank() {
    let mut empty = view(40, 5);
    empty.screen = Some(Screen::blank(Size::clamped(40, 5)));
    empty.you = Some(ParticipantId(9));
    let viewer = Person::new(40, 6, empty);
    assert!(viewer.rows()[..5].iter().all(|row| row.trim().is_empty()));
}

#[test]
fn what_follows_a_commands_key_is_not_typed() {
    let mut viewer = editor(80, 10);
    viewer.types(b"\x1b[93;5u");
    assert_eq!(viewer.types(b"\x1b[101;1:1u\x1b[101;1:2u\x1b[101;1:3u"), []);
    assert_eq!(
        viewer.sent(b"\x1b[101;1:1u\x1b[101;1:3u"),
        b"\x1b[101;1:1u\x1b[101;1:3u"
    );
    let mut back = reader();
    back.view.rights = Rights::EDIT;
    let asked = back.types(b"\x1b[5;2~");
    answer(&mut back, &asked);
    back.types(b"\x1b[1;1:1A\x1b[1;1:2A\x1b[1;1:3A");
    assert_eq!(
        back.row(0),
        "line 94",
        "a key that is held down goes on scrolling"
    );
}

#[test]
fn the_hosts_bell_rings_here_but_not_all_the_time() {
    let mut viewer = Person::new(80, 10, view(80, 9));
    viewer.now = 5000;
    viewer.view.screen.as_mut().unwrap().bells = 1;
    assert_eq!(viewer.look(), b"\x07");
    assert_eq!(viewer.look(), b"");
    viewer.view.screen.as_mut().unwrap().bells = 9;
    assert_eq!(viewer.look(), b"");
    viewer.now = 6000;
    viewer.view.screen.as_mut().unwrap().bells = 10;
    assert_eq!(viewer.look(), b"\x07");
}
