//! The title of the host's terminal while the session is shared, and what rings.

mod common;

use common::{at, desk::Desk};
use pillion_proto::ParticipantId;
use pillion_session::Command;
use pillion_tui::{HostAction, HostUi, Notify, Prefix, Sharing, Want};

fn shared(viewers: usize, typist: Option<&str>) -> Option<Sharing> {
    Some(Sharing {
        name: "demo".to_owned(),
        viewers,
        typist: typist.map(|name| (ParticipantId(1), name.to_owned())),
    })
}

/// Sets the title if that is wanted; what the terminal is sent.
fn titled(desk: &mut Desk, sharing: Option<Sharing>) -> String {
    let sets = desk.emulator.title_sets();
    desk.ui.sharing(at(desk.now), sharing, sets);
    let mut out = Vec::new();
    if desk.wants() == Some(Want::Title) {
        let screen = desk.screen();
        desk.ui.paint_title(at(desk.now), &screen, &mut out);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn it_says_that_the_session_is_shared_how_many_watch_and_who_types() {
    let mut desk = Desk::new(80, 24);
    assert_eq!(titled(&mut desk, None), "");
    let first = "\x1b[22;2t\x1b]2;● shared: demo\x1b\\";
    assert_eq!(titled(&mut desk, shared(0, None)), first);
    assert_eq!(titled(&mut desk, shared(0, None)), "");
    desk.later(1000);
    let two = "\x1b]2;● shared, 2 watching: demo\x1b\\";
    assert_eq!(titled(&mut desk, shared(2, None)), two);
    // At most once a second.
    assert_eq!(titled(&mut desk, shared(2, Some("bert"))), "");
    assert_eq!(desk.ui.wake_at(), Some(2_000_000));
    desk.later(1000);
    let types = "\x1b]2;● bert types, 2 watching: demo\x1b\\";
    assert_eq!(titled(&mut desk, shared(2, Some("bert"))), types);
    desk.later(1000);
    assert_eq!(titled(&mut desk, shared(2, None)), two);
}

#[test]
fn it_is_set_again_after_the_programs_own_and_given_back_at_the_end() {
    let mut desk = Desk::new(80, 24);
    titled(&mut desk, shared(1, None));
    desk.later(1000);
    let again = "\x1b]2;● shared, 1 watching: ~/src\x1b\\";
    for _ in 0..2 {
        // The same one at every prompt.
        desk.program("\x1b]0;~/src\x07$ ");
        assert_eq!(titled(&mut desk, shared(1, None)), again);
        desk.later(1000);
    }
    assert!(desk.ui.has_title());
    let given_back = "\x1b[23;2t\x1b]2;~/src\x1b\\";
    assert_eq!(titled(&mut desk, None), given_back);
    assert!(!desk.ui.has_title());
    assert_eq!(titled(&mut desk, None), "");
    // At the end of all, too.
    desk.later(1000);
    titled(&mut desk, shared(1, None));
    let (mut out, screen) = (Vec::new(), desk.screen());
    desk.ui.drop_title(&screen, &mut out);
    assert_eq!(out, given_back.as_bytes());
}

#[test]
fn who_asks_rings_once_and_stays_in_the_title() {
    let mut desk = Desk::new(80, 24);
    desk.ui = HostUi::new(Prefix::default()).notifying(Notify::Osc9);
    titled(&mut desk, shared(1, None));
    desk.later(1000);
    desk.asks(3, "bert");
    let sent = String::from_utf8(desk.paint()).unwrap();
    let told = "\x1b]9;Somebody asks to type: “bert”";
    assert_eq!(
        sent.matches('\x07').count(),
        2,
        "the bell, and the end of OSC 9: {sent:?}"
    );
    assert!(sent.contains(told), "{sent:?}");
    let title = titled(&mut desk, shared(1, None));
    assert!(
        title.contains("● Somebody asks to type (Ctrl-] answers): “bert”"),
        "{title:?}"
    );
    // Nothing more rings for it, however long it takes.
    for _ in 0..20 {
        desk.later(1000);
        let sent = match desk.wants() {
            Some(Want::Notice) => String::from_utf8(desk.paint()).unwrap(),
            _ => titled(&mut desk, shared(1, None)),
        };
        assert!(!sent.contains('\x07'), "{sent:?}");
    }
    desk.reads_question();
    let granted = desk.types("1");
    let [HostAction::Command(Command::Grant(grant))] = &granted[..] else {
        panic!("{granted:?}")
    };
    assert_eq!(grant.ttl_ms, Some(3_600_000));
}

#[test]
fn what_the_desktop_is_told_is_text() {
    let mut desk = Desk::new(80, 24);
    desk.ui = HostUi::new(Prefix::default()).notifying(Notify::Osc777);
    desk.asks(3, "e\x1b]0;x\x07;evil\u{202e}");
    let sent = String::from_utf8(desk.paint()).unwrap();
    let from = sent.find("\x1b]777;notify;pillion;").unwrap();
    let told = &sent[from + 1..];
    let end = told.find('\x07').unwrap();
    let text = &told[..end];
    assert_eq!(text.matches(';').count(), 3, "{text:?}");
    assert!(
        !text.contains('\x1b') && !text.contains('\u{202e}'),
        "{text:?}"
    );
}
