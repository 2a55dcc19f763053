//! Our own signs where the locale is not one of Unicode's.
#![cfg(feature = "host")]

mod common;

use common::{CONFIG, at, desk::Desk, terminal, view, write};
use pillion_screen::Size;
use pillion_session::Phase;
use pillion_tui::{Charset, HostUi, Prefix, UiInput, ViewerUi};

/// What is drawn for a view after these keys, in these characters.
fn drawn(charset: Charset, size: (u16, u16), keys: &[u8], say: Option<&str>) -> String {
    let mut view = view(100, 30);
    write(view.screen.as_mut().unwrap(), 0, "│ “hers” … ×");
    let (cols, rows) = size;
    let mut ui = ViewerUi::new(CONFIG(), Size::clamped(cols, rows))
        .in_charset(charset)
        .introduced();
    let mut tty = terminal(cols, rows);
    let mut out = Vec::new();
    ui.draw(at(0), &view, &mut out);
    ui.handle(at(1), &view, UiInput::Keys(keys));
    if let Some(text) = say {
        ui.handle(at(2), &view, UiInput::Said(text));
    }
    ui.draw(at(3), &view, &mut out);
    tty.process(&out);
    tty.screen().contents()
}

#[test]
fn a_viewers_signs_are_ascii_and_what_a_program_wrote_is_as_it_wrote_it() {
    let sizes = [(80, 24), (40, 10)];
    let keys: [&[u8]; 6] = [b"", b"\x1d", b"\x1d?", b"\x1dw", b"\x1dm", b"\x1d["];
    for size in sizes {
        for keys in keys {
            let shown = drawn(Charset::Ascii, size, keys, Some("“démo” is there … really"));
            let ours = shown.replace("│ “hers” … ×", "").replace("démo", "");
            assert!(ours.is_ascii(), "{keys:?} {size:?}\n{ours}");
        }
    }
    let shown = drawn(Charset::Ascii, (80, 24), b"", None);
    assert!(shown.starts_with("│ “hers” … ×"), "{shown}");
    let shown = drawn(Charset::Ascii, (80, 24), b"\x1d", None);
    assert!(shown.contains("Ctrl-] ..."), "{shown}");
    let shown = drawn(Charset::Unicode, (80, 24), b"\x1d", None);
    assert!(shown.contains("Ctrl-] …"), "{shown}");
}

#[test]
fn what_is_said_before_the_first_picture_is_ascii() {
    let mut view = view(80, 24);
    view.screen = None;
    view.phase = Phase::Joining;
    let mut ui = ViewerUi::new(CONFIG(), Size::clamped(40, 10)).in_charset(Charset::Ascii);
    let mut out = Vec::new();
    ui.draw(at(0), &view, &mut out);
    let mut tty = terminal(40, 10);
    tty.process(&out);
    let shown = tty.screen().contents();
    assert!(shown.is_ascii() && shown.contains("joining ..."), "{shown}");
}

#[test]
fn the_hosts_hint_notice_panel_and_title_are_ascii() {
    for (cols, rows) in [(80, 24), (40, 10)] {
        let mut desk = Desk::new(cols, rows);
        desk.ui = HostUi::new(Prefix::default()).in_charset(Charset::Ascii);
        desk.program("│ “hers”\r\n");
        desk.ui.remark(at(0), "“bert” is watching now … and waits.");
        desk.paint();
        let ours = |desk: &Desk| {
            let shown = desk.tty.screen().contents();
            assert!(shown.contains("│ “hers”") || shown.contains('+'), "{shown}");
            let ours = shown.replace("│ “hers”", "");
            assert!(ours.is_ascii(), "{ours}");
            ours
        };
        assert!(ours(&desk).contains("\"bert\" is watching"));
        desk.types("\x1d");
        desk.later(1000);
        desk.paint();
        assert!(ours(&desk).contains("Ctrl-] ..."));
        desk.types(" ");
        let bytes = desk.paint();
        ours(&desk);
        assert!(String::from_utf8(bytes).unwrap().contains("+-"));
    }
}
