//! The panel at the host's own terminal.

mod common;

use common::{
    at,
    desk::{Desk, everything, forward, grant, key, opened, short, status},
};
use pillion_proto::ParticipantId;
use pillion_session::{Command, CommandError, Reply, verbs};
use pillion_tui::{HostAction, QrRows, Sharing, Want};

#[test]
fn the_panel_lists_and_commands() {
    let mut desk = Desk::new(100, 24);
    desk.program("\x1b[3;3Hhello\x1b[?2004h\x1b[1m");
    let before = everything(&desk.tty);
    assert_eq!(desk.types(b"\x1d "), opened());
    desk.paint();
    let mut asking = status(4, "bob");
    asking.asking = true;
    desk.ui.done(
        at(0),
        Ok(Reply::Who(vec![status(3, "anna"), asking]).into()),
    );
    assert_eq!(desk.wants(), Some(Want::Panel));
    desk.paint();
    assert!(
        desk.rows().contains(&format!(
            "  3 anna                 {}  view  direct 12 ms",
            short(3)
        )),
        "{}",
        desk.rows()
    );
    assert!(desk.rows().contains("asks to type"));
    // Who asks is chosen first.
    assert_eq!(desk.types(b"g"), [], "too soon");
    desk.later(400);
    assert_eq!(desk.types(b"gg"), [], "together with something else");
    assert_eq!(desk.types(b"g"), [grant(4)]);
    desk.types(b"\x1b[A");
    let revoke = Command::Revoke(verbs::Revoke {
        target: key(3).into(),
    });
    assert_eq!(desk.types(b"r"), [HostAction::Command(revoke)]);
    assert_eq!(desk.types(b"k"), []);
    desk.paint();
    assert!(
        desk.rows()
            .contains("Remove “anna” and block that identity? y yes")
    );
    let kick = Command::Kick(verbs::Kick {
        target: key(3).into(),
    });
    assert_eq!(desk.types(b"y"), [HostAction::Command(kick)]);
    assert_eq!(desk.types(b"s"), []);
    assert_eq!(desk.types(b"x"), [], "anything but y is no");
    assert_eq!(desk.types(b"s"), []);
    assert_eq!(
        desk.types(b"y"),
        [HostAction::Command(Command::Stop(verbs::Stop {}))]
    );
    assert_eq!(
        desk.types(b"c"),
        [HostAction::Command(Command::Ticket(verbs::Ticket {
            new: false
        }))]
    );
    desk.ui
        .done(at(0), Ok(Reply::Ticket("pillion1abc".into()).into()));
    let out = String::from_utf8(desk.paint()).unwrap();
    assert!(out.contains("\x1b]52;c;cGlsbGlvbjFhYmM=\x07"), "{out:?}");
    assert!(desk.rows().contains("pillion1abc"));
    desk.ui.done(at(0), Err(CommandError::NotShared));
    desk.paint();
    assert!(desk.rows().contains("This session is not shared"));
    assert_eq!(
        desk.later(600),
        [HostAction::Command(Command::Who(verbs::Who {}))],
        "kept up to date"
    );
    assert_eq!(desk.types(b"q"), []);
    assert_eq!(desk.wants(), Some(Want::Close));
    desk.paint();
    assert_eq!(everything(&desk.tty), before);
    assert_eq!(desk.wants(), None);
    assert_eq!(desk.types(b"q"), [forward(b"q")]);
}

#[test]
fn the_panel_keeps_its_choice_when_the_list_changes() {
    let mut desk = Desk::new(100, 24);
    desk.types(b"\x1d ");
    desk.ui.done(
        at(0),
        Ok(Reply::Who(vec![status(3, "anna"), status(4, "bob")]).into()),
    );
    desk.types(b"\x1b[B");
    desk.ui.done(
        at(0),
        Ok(Reply::Who(vec![status(1, "new"), status(4, "bob"), status(3, "anna")]).into()),
    );
    desk.paint();
    desk.later(400);
    assert_eq!(desk.types(b"g"), [grant(4)]);
}

#[test]
fn what_is_chosen_must_have_been_there_to_be_read() {
    let mut desk = Desk::new(100, 24);
    desk.types(b"\x1d ");
    desk.paint();
    desk.later(400);
    desk.ui
        .done(at(desk.now), Ok(Reply::Who(vec![status(3, "anna")]).into()));
    assert_eq!(desk.types(b"g"), [], "nobody was in the list");
    desk.paint();
    assert!(desk.rows().contains("Too soon"), "{}", desk.rows());
    desk.later(399);
    assert_eq!(desk.types(b"g"), []);
    desk.later(1);
    assert_eq!(desk.types(b"g"), [grant(3)]);
    // Who may come in is chosen, and the choice read the same way.
    let allow = pillion_proto::AccessMode::Team;
    let door = Reply::AccessList(verbs::AccessListed {
        mode: allow,
        people: Vec::new(),
        banned: Vec::new(),
        followed: Vec::new(),
    });
    desk.ui.done(at(desk.now), Ok(door.into()));
    desk.paint();
    desk.later(400);
    let mode = |mode| HostAction::Command(Command::SetAccessMode(verbs::SetAccessMode { mode }));
    for (key, chosen) in [
        (&b"l"[..], pillion_proto::AccessMode::Link),
        (b"i", pillion_proto::AccessMode::Invited),
        (b"t", pillion_proto::AccessMode::Team),
    ] {
        assert_eq!(desk.types(b"m"), [], "it changes nothing");
        desk.paint();
        for part in ["Who can join?", "l  anyone with the ticket", "Enter"] {
            assert!(desk.rows().contains(part), "{}", desk.rows());
        }
        assert_eq!(desk.types(key), []);
        desk.paint();
        assert!(desk.rows().contains("Too soon"), "{}", desk.rows());
        desk.later(400);
        assert_eq!(desk.types([key, b"x"].concat()), [], "typed on");
        desk.types(b"m");
        desk.paint();
        desk.later(400);
        assert_eq!(desk.types(key), [mode(chosen)]);
        desk.paint();
        assert!(!desk.rows().contains("Who can join?"), "{}", desk.rows());
    }
    // Any other key leaves it as it is.
    for key in [&b"m"[..], b"q", b"\r"] {
        assert_eq!(desk.types(b"m"), []);
        desk.paint();
        desk.later(400);
        assert_eq!(desk.types(key), []);
        desk.paint();
        assert_eq!(desk.wants(), None, "the panel stays");
        assert!(!desk.rows().contains("Who can join?"), "{}", desk.rows());
    }
}

#[test]
fn questions_are_asked_from_the_panel_and_it_comes_back() {
    let mut desk = Desk::new(100, 24);
    desk.types(b"\x1d ");
    desk.asks(3, "anna");
    desk.paint();
    assert!(
        desk.rows().contains(&format!(
            "Somebody asks to type: “anna” ({}) (a answers)",
            short(3)
        )),
        "{}",
        desk.rows()
    );
    desk.later(1000);
    assert_eq!(desk.types(b"y"), [], "it is not asked here");
    assert_eq!(desk.types(b"a"), []);
    desk.paint();
    assert!(desk.rows().contains("Give edit (to type) for 8 h?"));
    assert!(!desk.rows().contains("r stop typing"), "{}", desk.rows());
    desk.later(400);
    assert_eq!(desk.types(b"y"), [grant(3)]);
    desk.paint();
    assert!(desk.rows().contains("r stop typing"), "{}", desk.rows());
    assert!(!desk.rows().contains("asks to type"), "{}", desk.rows());
}

#[test]
fn keys_and_panel_in_one_read_go_where_they_belong() {
    let mut desk = Desk::new(100, 24);
    let actions = desk.types(b"ls\x1d qmake\r");
    assert_eq!(
        actions,
        [
            forward(b"ls"),
            HostAction::Command(Command::Who(verbs::Who {})),
            HostAction::Command(Command::AccessList(verbs::AccessList {})),
            forward(b"make\r")
        ]
    );
    assert_eq!(desk.wants(), Some(Want::Close));
}

const LINK: &str =
    "https://signal.example/s/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA#BBBBBBBBBBBBBBBBBBBBBB";

/// A code of 41 modules and a quiet zone, as a link's is.
fn code() -> QrRows {
    QrRows {
        rows: vec!["█▀▄ ".repeat(12)[..].chars().take(45).collect(); 23],
        coloured: true,
    }
}

/// The panel, with the link that was asked for in it.
fn with_link(cols: u16, rows: u16) -> Desk {
    let mut desk = Desk::new(cols, rows);
    desk.program("$ make\r\n\x1b[1;31merror\x1b[m\r\n$ ");
    desk.types(b"\x1d ");
    desk.paint();
    desk.later(400);
    assert_eq!(desk.types(b"l"), [HostAction::Link]);
    desk.ui.link(LINK, Some(code()));
    desk
}

/// The link, as the terminal shows it in lines.
fn shows_link(desk: &Desk) -> bool {
    let rows = desk.rows();
    let text: String = rows.chars().filter(|ch| ch.is_ascii_graphic()).collect();
    text.contains(LINK)
}

#[test]
fn the_link_is_shown_with_its_code_where_that_fits() {
    let mut desk = with_link(80, 24);
    let out = String::from_utf8(desk.paint()).unwrap();
    assert!(
        out.contains("\x1b]52;c;aHR0cHM6"),
        "on the clipboard: {out:?}"
    );
    // The code whole, black on white, and the link beside it.
    let code = code();
    for (y, row) in code.rows.iter().enumerate() {
        let shown: String = desk.row(y).chars().take(45).collect();
        assert_eq!(&shown, row.trim_end(), "{}", desk.rows());
        let cell = desk.tty.screen().cell(y as u16, 44).unwrap();
        assert_eq!(cell.fgcolor(), vt100::Color::Idx(231));
        assert_eq!(cell.bgcolor(), vt100::Color::Idx(16));
    }
    assert!(shows_link(&desk), "{}", desk.rows());
    assert!(
        desk.rows().contains("This link works like the"),
        "{}",
        desk.rows()
    );

    // Any key goes back to the list, and the list leaves no trace of it.
    assert_eq!(desk.types(b"z"), []);
    desk.paint();
    assert!(desk.rows().contains("l link"), "{}", desk.rows());
    assert!(!desk.rows().contains('▀'), "{}", desk.rows());
    desk.types(b"q");
    desk.paint();
    assert_eq!(desk.row(0), "$ make");
    assert_eq!(desk.row(12), "");
}

#[test]
fn where_its_code_does_not_fit_the_link_is_shown_with_the_reason() {
    for (cols, rows) in [(70, 24), (80, 22), (40, 24), (60, 60)] {
        let mut desk = with_link(cols, rows);
        desk.paint();
        assert!(shows_link(&desk), "{}", desk.rows());
        assert!(!desk.rows().contains('▀'), "{}", desk.rows());
        let said = desk.rows().replace(['│', '\n'], " ");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            said.contains("Its QR code needs a terminal of 75 columns and 23 rows."),
            "{said}"
        );
    }
}

#[test]
fn the_link_is_ended_after_a_yes_and_questions_come_first() {
    let mut desk = with_link(100, 30);
    desk.asks(3, "anna");
    desk.paint();
    assert!(desk.rows().contains("asks to type"), "{}", desk.rows());
    assert_eq!(desk.types(b"a"), []);
    desk.paint();
    desk.later(400);
    assert_eq!(desk.types(b"y"), [grant(3)]);
    desk.paint();
    assert_eq!(desk.types(b"x"), []);
    desk.paint();
    assert!(desk.rows().contains("End the link?"), "{}", desk.rows());
    assert_eq!(desk.types(b"n"), [], "anything but y is no");
    desk.paint();
    assert!(shows_link(&desk), "{}", desk.rows());
    assert_eq!(desk.types(b"x"), []);
    assert_eq!(
        desk.types(b"y"),
        [HostAction::Command(Command::EndLink(verbs::EndLink {}))]
    );
    desk.ui.done(at(0), Ok(Reply::EndLink(()).into()));
    desk.paint();
    assert!(
        desk.rows().contains("The link has ended"),
        "{}",
        desk.rows()
    );
    assert!(desk.rows().contains("l link"), "{}", desk.rows());
    // x is a key of that page alone.
    assert_eq!(desk.types(b"x"), []);
    assert!(!desk.rows().contains("End the link?"));
}

#[test]
fn a_link_that_comes_when_the_panel_is_gone_is_not_shown() {
    let mut desk = Desk::new(80, 24);
    desk.types(b"\x1d ");
    desk.paint();
    desk.later(400);
    assert_eq!(desk.types(b"l"), [HostAction::Link]);
    desk.types(b"q");
    desk.paint();
    desk.ui.link(LINK, Some(code()));
    assert_eq!(desk.wants(), None);
    assert!(desk.paint().is_empty());
    // Nor is one that could draw.
    desk.types(b"\x1d ");
    desk.ui.link("https://signal.example/\x1b[2J\u{202e}", None);
    let out = String::from_utf8(desk.paint()).unwrap();
    assert!(
        !out.contains("\x1b[2J") && !out.contains('\u{202e}'),
        "{out:?}"
    );
}

#[test]
fn a_code_is_asked_for_and_said() {
    let mut desk = Desk::new(80, 24);
    desk.types(b"\x1d ");
    desk.paint();
    desk.later(400);
    assert_eq!(desk.types(b"o"), [HostAction::Code]);
    desk.paint();
    assert!(
        desk.rows().contains("Asking the link service"),
        "{}",
        desk.rows()
    );
    let said = "Say it aloud: 7-guitar-lantern. It works once, for ten minutes.";
    desk.ui.said(at(0), said);
    desk.paint();
    assert!(desk.rows().contains(said), "{}", desk.rows());
}

#[test]
fn every_key_of_the_panel_is_said_at_any_width() {
    for (cols, rows) in [(40, 10), (40, 24), (60, 24), (80, 24), (120, 24)] {
        let mut desk = Desk::new(cols, rows);
        desk.types(b"\x1d ");
        desk.ui
            .done(at(0), Ok(Reply::Who(vec![status(3, "anna")]).into()));
        desk.paint();
        for key in [
            "g let type",
            "r stop typing",
            "k remove",
            "c copy ticket",
            "l link",
            "o code",
            "m who can join",
            "s stop sharing",
            "t new",
            "d detach",
            "q close",
        ] {
            assert!(
                desk.rows().contains(key),
                "{key} is not in\n{}",
                desk.rows()
            );
        }
        assert!(desk.rows().contains("anna"), "{}", desk.rows());
    }
}

#[test]
fn the_panel_is_as_high_as_what_it_says_and_names_whom_its_keys_are_about() {
    let mut desk = Desk::new(80, 24);
    desk.types(b"\x1d ");
    let mut knocks = status(4, "carla");
    knocks.knocking = true;
    desk.ui.done(
        at(0),
        Ok(Reply::Who(vec![status(3, "anna"), knocks]).into()),
    );
    desk.paint();
    let rows = desk.rows();
    let drawn: Vec<&str> = rows
        .lines()
        .filter(|line| line.contains(['│', '┌', '└']))
        .collect();
    // The frame, two people, a row between, and four rows of keys.
    assert!(drawn.len() <= 9, "{rows}");
    assert!(
        rows.contains("│ carla     g let in  n refuse (N for good)  k remove"),
        "{rows}"
    );
    assert!(rows.contains("│ invite    c copy ticket"), "{rows}");
    assert!(rows.contains("│ session   m who can join"), "{rows}");
    // The keys are about whom is chosen.
    desk.types(b"\x1b[A");
    desk.paint();
    assert!(
        desk.rows()
            .contains("│ anna      g let type  r stop typing"),
        "{}",
        desk.rows()
    );
}

#[test]
fn the_panel_says_who_types() {
    for (cols, rows) in [(100, 24), (40, 10)] {
        let mut desk = Desk::new(cols, rows);
        desk.types(b"\x1d ");
        desk.paint();
        let who = vec![status(3, "anna"), status(4, "bob")];
        desk.ui.done(at(0), Ok(Reply::Who(who).into()));
        desk.paint();
        assert!(!desk.rows().contains("types"), "{}", desk.rows());
        let sharing = |typist: Option<u32>| {
            Some(Sharing {
                name: "demo".to_owned(),
                viewers: 2,
                typist: typist.map(|id| (ParticipantId(id), "bob".to_owned())),
            })
        };
        desk.ui.sharing(at(1), sharing(Some(4)), 0);
        assert_eq!(desk.wants(), Some(Want::Panel));
        desk.paint();
        let rows = desk.rows();
        let line = |name: &str| {
            rows.lines()
                .find(|line| line.contains(name))
                .unwrap()
                .to_owned()
        };
        assert!(line("bob").contains("types"), "{rows}");
        assert!(!line("anna").contains("types"), "{rows}");
        desk.ui.sharing(at(2), sharing(None), 0);
        desk.paint();
        assert!(!desk.rows().contains("types"), "{}", desk.rows());
    }
}

#[test]
fn who_can_join_is_chosen_by_arrows_and_enter_on_a_small_terminal_too() {
    let mode = |mode| HostAction::Command(Command::SetAccessMode(verbs::SetAccessMode { mode }));
    for (cols, rows) in [(80, 24), (40, 10)] {
        let mut desk = Desk::new(cols, rows);
        desk.types(b"\x1d ");
        desk.paint();
        desk.later(400);
        assert_eq!(desk.types(b"m"), []);
        desk.paint();
        desk.later(400);
        for part in ["l  anyone", "i  people you", "t  members", "other key"] {
            assert!(desk.rows().contains(part), "{}", desk.rows());
        }
        assert_eq!(desk.types(b"\x1b[B"), []);
        assert_eq!(desk.types(b"\r"), [], "it was not read yet");
        desk.paint();
        desk.later(400);
        assert_eq!(
            desk.types(b"\r"),
            [mode(pillion_proto::AccessMode::Invited)]
        );
        // What stands is no change.
        desk.paint();
        assert_eq!(desk.types(b"m"), []);
        desk.paint();
        desk.later(400);
        assert_eq!(desk.types(b"\r"), []);
        desk.paint();
        assert!(!desk.rows().contains("Who can join?"), "{}", desk.rows());
    }
}

#[test]
fn the_panels_help_says_what_each_key_does_and_gives_no_commands() {
    for (cols, rows) in [(80, 24), (40, 10)] {
        let mut desk = Desk::new(cols, rows);
        desk.types(b"\x1d ");
        desk.paint();
        assert!(desk.rows().contains("? help"), "{}", desk.rows());
        desk.later(400);
        assert_eq!(desk.types(b"?"), []);
        desk.paint();
        assert!(
            desk.rows().contains("g lets who is chosen type"),
            "{}",
            desk.rows()
        );
        for _ in 0..30 {
            desk.types(b"\x1b[B");
        }
        desk.paint();
        assert!(desk.rows().contains("closes the panel"), "{}", desk.rows());
        desk.later(400);
        assert_eq!(desk.types(b"g"), [], "it only goes back");
        desk.paint();
        assert!(desk.rows().contains("? help"), "{}", desk.rows());
    }
}
