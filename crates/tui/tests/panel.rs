//! The panel at the host's own terminal.

mod common;

use common::{
    at,
    desk::{Desk, everything, forward, grant, opened, status},
};
use pillion_proto::ParticipantId;
use pillion_session::{Command, CommandError, Done, Target};
use pillion_tui::{HostAction, Want};

#[test]
fn the_panel_lists_and_commands() {
    let mut desk = Desk::new(100, 24);
    desk.program("\x1b[3;3Hhello\x1b[?2004h\x1b[1m");
    let before = everything(&desk.tty);
    assert_eq!(desk.types(b"\x1dp"), opened());
    desk.paint();
    let mut asking = status(4, "bob");
    asking.asking = true;
    desk.ui
        .done(at(0), Ok(Done::Who(vec![status(3, "anna"), asking])));
    assert_eq!(desk.wants(), Some(Want::Panel));
    desk.paint();
    assert!(
        desk.rows()
            .contains("  3 anna                 7f3a-91c2  view  direct 12 ms"),
        "{}",
        desk.rows()
    );
    assert!(desk.rows().contains("asks to type"));
    // Who asks is chosen first.
    assert_eq!(desk.types(b"g"), [grant(4)]);
    desk.types(b"\x1b[A");
    let revoke = Command::Revoke {
        target: Target::Id(ParticipantId(3)),
    };
    assert_eq!(desk.types(b"r"), [HostAction::Command(revoke)]);
    assert_eq!(desk.types(b"k"), []);
    desk.paint();
    assert!(
        desk.rows()
            .contains("Put “anna” out and bar that identity? y yes")
    );
    let kick = Command::Kick {
        target: Target::Id(ParticipantId(3)),
    };
    assert_eq!(desk.types(b"y"), [HostAction::Command(kick)]);
    assert_eq!(desk.types(b"s"), []);
    assert_eq!(desk.types(b"x"), [], "anything but y is no");
    assert_eq!(desk.types(b"sy"), [HostAction::Command(Command::Stop)]);
    assert_eq!(
        desk.types(b"c"),
        [HostAction::Command(Command::Ticket { new: false })]
    );
    desk.ui.done(at(0), Ok(Done::Ticket("pillion1abc".into())));
    let out = String::from_utf8(desk.paint()).unwrap();
    assert!(out.contains("\x1b]52;c;cGlsbGlvbjFhYmM=\x07"), "{out:?}");
    assert!(desk.rows().contains("pillion1abc"));
    desk.ui.done(
        at(0),
        Err(CommandError::NotNow("Nothing is shared.".into())),
    );
    desk.paint();
    assert!(desk.rows().contains("Nothing is shared."));
    assert_eq!(
        desk.later(1000),
        [HostAction::Command(Command::Who)],
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
    desk.types(b"\x1dp");
    desk.ui.done(
        at(0),
        Ok(Done::Who(vec![status(3, "anna"), status(4, "bob")])),
    );
    desk.types(b"\x1b[B");
    desk.ui.done(
        at(0),
        Ok(Done::Who(vec![
            status(1, "new"),
            status(4, "bob"),
            status(3, "anna"),
        ])),
    );
    assert_eq!(desk.types(b"g"), [grant(4)]);
}

#[test]
fn questions_are_answered_in_the_panel_without_the_prefix() {
    let mut desk = Desk::new(100, 24);
    desk.types(b"\x1dp");
    desk.asks(3, "anna");
    desk.paint();
    assert!(
        desk.rows()
            .contains("“anna” (7f3a-91c2) asks to type: y yes, n no"),
        "{}",
        desk.rows()
    );
    desk.later(1000);
    assert_eq!(desk.types(b"y"), [grant(3)]);
}

#[test]
fn keys_and_panel_in_one_read_go_where_they_belong() {
    let mut desk = Desk::new(100, 24);
    let actions = desk.types(b"ls\x1dpqmake\r");
    assert_eq!(
        actions,
        [
            forward(b"ls"),
            HostAction::Command(Command::Who),
            HostAction::Command(Command::Open { allow: None }),
            forward(b"make\r")
        ]
    );
    assert_eq!(desk.wants(), Some(Want::Close));
}
