//! The host's terminal thinks otherwise of widths than the emulator: the cursor is where the terminal has it.

mod common;

use common::{
    at,
    desk::{Desk, all_forwarded},
};
use pillion_screen::Screen;
use pillion_tui::HostAction;

/// What a host's loop does before it paints.
fn locate(desk: &mut Desk) -> (bool, Vec<u8>) {
    let mut out = Vec::new();
    let (screen, resume): (Screen, _) = (desk.screen(), desk.emulator.resume());
    let known = desk.ui.locate(at(desk.now), &screen, &resume, &mut out);
    (known, out)
}

/// Where vt100, which takes U+2764 U+FE0F for wide, has its cursor: as it would answer.
fn answer(desk: &Desk) -> String {
    let (row, col) = desk.tty.screen().cursor_position();
    format!("\x1b[{};{}R", row + 1, col + 1)
}

fn hearts() -> Desk {
    let mut desk = Desk::new(40, 6);
    desk.program("❤\u{fe0f}❤\u{fe0f} $ ");
    assert!(desk.emulator.cursor_is_unsure());
    assert_eq!(desk.screen().cursor.x, 5);
    assert_eq!(desk.tty.screen().cursor_position(), (0, 7));
    desk
}

#[test]
fn a_notice_leaves_the_cursor_where_the_terminal_has_it() {
    let mut desk = hearts();
    desk.asks(3, "anna");
    assert_eq!(locate(&mut desk), (false, b"\x1b[6n".to_vec()));
    assert_eq!(locate(&mut desk), (false, Vec::new()), "asked once");
    let reply = answer(&desk);
    // In two pieces, between keys of the program's.
    let actions = desk.types(format!("l{}", &reply[..3]));
    assert_eq!(all_forwarded(&actions), b"l");
    let actions = desk.types(format!("{}s", &reply[3..]));
    assert_eq!(
        all_forwarded(&actions),
        b"s",
        "the answer is not the program's"
    );
    assert_eq!(locate(&mut desk), (true, Vec::new()));
    desk.paint();
    assert!(desk.row(5).contains("anna"), "{}", desk.rows());
    assert_eq!(desk.tty.screen().cursor_position(), (0, 7));
    desk.program("typed");
    assert_eq!(desk.row(0), "❤\u{fe0f}❤\u{fe0f} $ typed");
    assert_eq!(desk.row(5), "");
}

#[test]
fn where_the_terminal_does_not_answer_title_and_bell_say_it() {
    let mut desk = hearts();
    desk.asks(3, "anna");
    assert!(!locate(&mut desk).0);
    assert!(desk.ui.wake_at().is_some_and(|at| at <= 500_000));
    desk.later(501);
    assert_eq!(locate(&mut desk), (true, Vec::new()));
    let before = desk.rows();
    let out = desk.paint();
    assert_eq!(desk.rows(), before);
    assert_eq!(desk.tty.screen().cursor_position(), (0, 7));
    let said = String::from_utf8_lossy(&out).into_owned();
    assert!(said.contains("anna") && said.ends_with('\x07'), "{said:?}");
    // It is not asked again, nor does its answer reach the program when it comes after all.
    desk.ui.forget_cursor();
    assert_eq!(locate(&mut desk), (true, Vec::new()));
    let late = answer(&desk);
    assert_eq!(desk.types(late), []);
    let programs = answer(&desk);
    let forwarded = HostAction::Forward(programs.clone().into());
    assert_eq!(
        desk.types(programs),
        [forwarded],
        "the next one is the program's"
    );
    assert_eq!(desk.ui.cursor_reports(), 1);
}

#[test]
fn where_rows_may_be_others_nothing_is_drawn_over_one() {
    // 39 columns and a heart: more than a row, on some terminals.
    for line in [
        format!("{}❤\u{fe0f}", "x".repeat(39)),
        "❤\u{fe0f}".repeat(21),
    ] {
        let mut desk = Desk::new(40, 6);
        desk.program(format!("{line}\r\n$ "));
        desk.asks(3, "anna");
        assert_eq!(
            locate(&mut desk),
            (true, Vec::new()),
            "nothing it could say would help"
        );
        let before = desk.rows();
        desk.paint();
        assert_eq!(desk.rows(), before);
    }
    // Another row than the emulator's.
    let mut desk = hearts();
    desk.asks(3, "anna");
    locate(&mut desk);
    desk.types("\x1b[3;8R");
    assert!(locate(&mut desk).0);
    let before = desk.rows();
    desk.paint();
    assert_eq!(desk.rows(), before);
}

#[test]
fn a_row_that_cannot_be_drawn_again_exactly_is_not_drawn_over() {
    let mut desk = Desk::new(40, 4);
    desk.program("\r\n\r\n\r\n☺\u{fe0f} bar\x1b[H$ ");
    desk.asks(3, "anna");
    locate(&mut desk);
    let reply = answer(&desk);
    desk.types(reply);
    assert!(locate(&mut desk).0);
    desk.paint();
    assert!(desk.row(2).contains("anna"), "{}", desk.rows());
    assert!(desk.row(3).contains("bar"));
}
