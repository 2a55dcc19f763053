//! What a viewer sees and does of a session's terminals.

mod common;

use common::{CONFIG, Person, terminal_info, view, write};
use pillion_proto::{
    ParticipantId, Right, Rights, Text, TrackId, TrackInfo, TrackKind, TrackState,
};
use pillion_screen::{LineId, Screen};
use pillion_session::View;
use pillion_tui::{Action, UiInput, ViewerUiConfig};

const SIZES: [(u16, u16); 2] = [(80, 24), (40, 10)];

fn info(id: u32, title: &str) -> TrackInfo {
    TrackInfo {
        title: Text::cut(title),
        ..terminal_info(TrackId(id))
    }
}

/// Three terminals and a log; the host looks at the first.
fn several(cols: u16, rows: u16) -> View {
    let mut view = view(cols, rows - 1);
    view.tracks = vec![info(0, "bash"), info(1, "logs"), info(2, "htop")];
    view.tracks.push(TrackInfo {
        kind: TrackKind::Log,
        ..info(3, "notes")
    });
    view
}

fn viewer(cols: u16, rows: u16) -> Person {
    Person::new(cols, rows, several(cols, rows))
}

/// What the state machine makes of looking at a terminal.
fn look(person: &mut Person, track: u32) {
    person.view.chosen = Some(TrackId(track));
    person.view.follows = false;
    person.view.track = (TrackId(track), TrackState::Live);
    person.view.active.remove(&TrackId(track));
    person.view.version += 1;
    let size = person.view.screen.as_ref().unwrap().size;
    let mut screen = Screen::blank(size);
    write(&mut screen, 0, &format!("on {track}"));
    person.view.screen = Some(screen);
    person.later(100);
    // Frames come before the status line.
    person.later(100);
}

/// A sentence may be folded.
#[track_caller]
fn is_told(person: &Person, text: &str) {
    let rows = person.rows();
    let words: Vec<&str> = rows.iter().flat_map(|row| row.split_whitespace()).collect();
    let all = words.join(" ");
    assert!(all.contains(text), "{text:?} is not in {all}");
}

fn look_at(track: u32) -> [Action; 1] {
    [Action::Look(Some(TrackId(track)))]
}

#[test]
fn a_digit_looks_at_a_terminal_and_f_follows_again() {
    for (cols, rows) in SIZES {
        let mut viewer = viewer(cols, rows);
        assert_eq!(viewer.types("\x1d2"), look_at(2));
        look(&mut viewer, 2);
        viewer.sees("on 2");
        // Once is enough.
        assert_eq!(viewer.types("\x1d2"), []);
        assert_eq!(viewer.types("\x1df"), [Action::Look(None)]);
        viewer.view.follows = true;
        viewer.view.chosen = None;
        assert_eq!(viewer.types("\x1df"), []);
        is_told(&viewer, "You see what the host looks at already.");
    }
}

#[test]
fn what_is_typed_behind_the_digit_is_for_that_terminal() {
    let mut viewer = viewer(80, 24);
    viewer.view.rights = Rights::EDIT;
    let typed = Action::Keys(b"ls\r"[..].into());
    assert_eq!(
        viewer.types("ls\r\x1d1"),
        [&[typed][..], &look_at(1)].concat()
    );
    let typed = Action::Keys(b"ls"[..].into());
    assert_eq!(
        viewer.types("\x1d2ls"),
        [&look_at(2)[..], &[typed]].concat()
    );
}

#[test]
fn a_number_that_is_no_terminal_says_which_there_are() {
    for (cols, rows) in SIZES {
        let mut viewer = viewer(cols, rows);
        // The log is none.
        for key in ["7", "3"] {
            assert_eq!(viewer.types(format!("\x1d{key}")), []);
            is_told(&viewer, &format!("no terminal {key}; it has 0, 1 and 2."));
        }
    }
}

#[test]
fn the_status_line_says_which_one_and_where_something_happens() {
    for (cols, rows) in SIZES {
        let mut viewer = viewer(cols, rows);
        let status = viewer.status();
        assert!(status.starts_with("view only │"), "{status}");
        assert!(status.contains("0 bash"), "{status}");
        assert_eq!(status.contains("following"), cols == 80, "{status}");
        viewer
            .view
            .active
            .extend([TrackId(0), TrackId(2), TrackId(3)]);
        look(&mut viewer, 1);
        let status = viewer.status();
        assert!(status.contains("1 logs │ active: 0, 2"), "{status}");
        assert!(status.contains("view only"), "{status}");
        assert!(!status.contains("following"), "{status}");
        // Keys go where one wants to look, though it is not seen yet.
        viewer.view.chosen = Some(TrackId(2));
        viewer.later(100);
        let status = viewer.status();
        assert!(status.contains("2 htop … │ active: 0"), "{status}");
    }
    let one = Person::new(80, 24, view(80, 23));
    assert!(one.status().contains("│ build"), "{}", one.status());
}

#[test]
fn a_long_title_hides_nothing_that_matters() {
    for (cols, rows) in SIZES {
        let mut view = several(cols, rows);
        view.tracks[0].title = Text::cut("\x1b]0;a title of many, many words\u{202e}");
        view.until_unix_ms = Some(1_700_000_000_000 + 8 * 3_600_000);
        view.rights = Rights::EDIT;
        let viewer = Person::new(cols, rows, view);
        let status = viewer.status();
        assert!(status.contains("0 ]0;a title"), "{status}");
        assert!(status.contains("edit for 8 h"), "{status}");
    }
}

#[test]
fn the_list_shows_each_and_arrows_choose() {
    for (cols, rows) in SIZES {
        let mut viewer = viewer(cols, rows);
        viewer.view.active.insert(TrackId(2));
        viewer.view.tracks[1].state = TrackState::Exited(3);
        assert_eq!(viewer.types("\x1dt"), []);
        viewer.sees("Terminals (3), following the host");
        viewer.sees(">  0 bash, running, you, host");
        viewer.sees("1 logs, ended with 3");
        viewer.sees("2 htop, running, active");
        viewer.sees("Enter look");
        assert!(!viewer.rows().join("\n").contains("notes"));
        viewer.types("\x1b[B\x1b[B\x1b[B");
        viewer.sees(">  2 htop");
        viewer.types("\x1b[A\x1b[B");
        assert_eq!(viewer.types("\r"), look_at(2));
        assert!(!viewer.rows().join("\n").contains("Terminals ("));
        // Its keys are those behind the prefix, and any other closes it.
        viewer.types("\x1dt");
        assert_eq!(viewer.types("1"), look_at(1));
        viewer.types("\x1dt");
        assert_eq!(viewer.types("x"), []);
        assert!(!viewer.rows().join("\n").contains("Terminals ("));
    }
}

#[test]
fn numbers_above_nine_are_chosen_in_the_list() {
    for (cols, rows) in SIZES {
        let mut viewer = viewer(cols, rows);
        viewer.view.tracks = (0..40).map(|id| info(id, "shell")).collect();
        viewer.types("\x1dt");
        for _ in 0..33 {
            viewer.types("\x1b[B");
        }
        viewer.sees("> 33 shell");
        viewer.sees("Enter look");
        // The one that was chosen goes: whichever took its place is not looked at by mistake.
        viewer.view.tracks.remove(33);
        viewer.look();
        assert!(!viewer.rows().join("\n").contains('>'));
        viewer.types("\x1b[B");
        viewer.sees("> 35 shell");
        assert_eq!(viewer.types("\r"), look_at(35));
    }
}

#[test]
fn the_end_of_what_is_looked_at_is_said_and_the_host_followed() {
    for (cols, rows) in SIZES {
        let mut viewer = viewer(cols, rows);
        look(&mut viewer, 1);
        let ended = TrackState::Exited(3);
        (viewer.view.track.1, viewer.view.tracks[1].state) = (ended, ended);
        assert_eq!(viewer.does(UiInput::Tick), [Action::Look(None)]);
        is_told(
            &viewer,
            "1 logs ended with code 3. You see what the host looks at again.",
        );
        // Once; and one that had ended before it was chosen can be looked at.
        viewer.view.follows = true;
        viewer.view.chosen = None;
        assert_eq!(viewer.does(UiInput::Tick), []);
        assert_eq!(viewer.types("\x1d1"), look_at(1));
        viewer.view.chosen = Some(TrackId(1));
        assert_eq!(viewer.does(UiInput::Tick), []);
    }
    // Of what is only followed the host sees to it.
    let mut viewer = viewer(80, 24);
    viewer.view.track.1 = TrackState::Killed(9);
    assert_eq!(viewer.does(UiInput::Tick), []);
}

#[test]
fn looking_back_is_in_what_is_looked_at() {
    let mut viewer = viewer(80, 24);
    viewer.view.screen.as_mut().unwrap().lines.top = LineId(100);
    assert!(matches!(
        viewer.types("\x1d[")[..],
        [Action::WantHistory { .. }]
    ));
    viewer.sees("looking back");
    look(&mut viewer, 1);
    viewer.sees("on 1");
    assert!(!viewer.status().contains("looking back"));
    // It has no lines of its own to look back at.
    assert_eq!(viewer.types("\x1b[<64;1;1M"), []);
}

#[test]
fn a_bell_that_rang_elsewhere_is_not_rung() {
    let mut viewer = viewer(80, 24);
    look(&mut viewer, 1);
    viewer.view.track.0 = TrackId(2);
    viewer.view.screen.as_mut().unwrap().bells = 5;
    assert!(!viewer.look().contains(&7));
    viewer.view.screen.as_mut().unwrap().bells = 6;
    assert!(viewer.look().contains(&7));
}

#[test]
fn who_may_open_one_opens_it_and_looks_at_it() {
    for (cols, rows) in SIZES {
        let mut viewer = viewer(cols, rows);
        assert_eq!(viewer.types("\x1dc"), []);
        is_told(&viewer, "You can't open terminals");
        viewer.view.rights = Rights::VIEW.with(Right::Open);
        assert_eq!(viewer.types("\x1dc"), [Action::OpenTerminal]);
        // Somebody else's is not waited for.
        viewer.view.tracks.push(info(4, "theirs"));
        assert_eq!(viewer.does(UiInput::Tick), []);
        viewer.view.tracks.push(TrackInfo {
            opener: ParticipantId(2),
            ..info(5, "")
        });
        assert_eq!(viewer.does(UiInput::Tick), look_at(5));
        look(&mut viewer, 5);
        assert!(viewer.status().contains("terminal 5"));
    }
    let config = ViewerUiConfig {
        read_only: true,
        ..CONFIG()
    };
    let mut view = several(80, 24);
    view.rights = Rights::VIEW.with(Right::Open);
    let mut viewer = Person::with(config, 80, 24, view);
    assert_eq!(viewer.types("\x1dc"), []);
    viewer.sees("You joined with --read-only");
}

#[test]
fn one_that_did_not_come_is_not_waited_for() {
    let mut viewer = viewer(80, 24);
    viewer.view.rights = Rights::VIEW.with(Right::Open);
    viewer.types("\x1dc");
    viewer.later(15_000);
    viewer.view.tracks.push(TrackInfo {
        opener: ParticipantId(2),
        ..info(4, "late")
    });
    assert_eq!(viewer.later(1), []);
}

#[test]
fn the_keys_are_in_the_help_whatever_the_size() {
    for (cols, rows) in SIZES {
        let mut viewer = viewer(cols, rows);
        viewer.types("\x1d?");
        let mut seen = viewer.rows().join("\n");
        for _ in 0..12 {
            viewer.types("\x1b[B");
            seen += &viewer.rows().join("\n");
        }
        for text in [
            "e   ask the host",
            "t   terminals; 0-9: that one",
            "f   follow the host again",
            "c   open a terminal",
            "q   leave",
            "Names are chosen freely: compare th",
        ] {
            assert!(seen.contains(text), "{text} is not in\n{seen}");
        }
        // Where there is room each line says it.
        let prefix = match cols {
            80.. => "Ctrl-] e ",
            _ => "Keys after Ctrl-]",
        };
        assert!(seen.contains(prefix), "{prefix} is not in\n{seen}");
        viewer.types("x");
        assert!(!viewer.rows().join("\n").contains("Keys"));
    }
    let mut viewer = viewer(80, 24);
    viewer.types("\x1d");
    assert!(
        viewer.status().contains("0-9 t f terminals"),
        "{}",
        viewer.status()
    );
}
