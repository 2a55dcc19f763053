//! Names and screens of any characters, on terminals of any size and of any opinion on widths: nothing panics,
//! nothing stands outside of where it belongs.

mod common;

use common::{
    CONFIG, Person, at,
    desk::{Desk, status},
    opinion::{NARROW, OPINIONS, Opinion, WIDE},
    person, terminal_info, view,
};
use pillion_proto::{
    AccessMode, AdmittedBy, KnockInfo, Knocks, ParticipantId, Rights, Text, TrackId, TrackInfo,
};
use pillion_screen::{Cell, Screen, Size, Terminal, Width};
use pillion_session::{HostNotice, Reply, View};
use pillion_tui::{UiInput, ViewerUi};
use proptest::prelude::*;

/// Names that have done harm somewhere.
fn nasty() -> Vec<String> {
    vec![
        "☺\u{fe0f}".repeat(12),
        "\u{3248}".repeat(40),
        "👩\u{200d}👩\u{200d}👧\u{200d}👦".to_owned(),
        format!("a{}", "\u{301}".repeat(60)),
        "\u{202e}דנה العربية".to_owned(),
        "日本語".repeat(20),
        "\u{1f1e9}\u{1f1ea}\u{ad}\u{2630}".to_owned(),
        "রাজা नमस्ते".to_owned(),
        "\x1b[2J\x07\u{9b}31m".to_owned(),
        String::new(),
    ]
}

/// Names as somebody hostile chooses them.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(nasty()),
        any::<String>(),
        "\\PC{0,64}",
    ]
}

/// What opens each of a viewer's boxes.
const BOXES: [&str; 7] = [
    "\x1dw", "\x1d?", "\x1dwa", "\x1dwu", "\x1dt", "\x1d[", "\x1d",
];

fn hostile(cols: u16, rows: u16, names: &[String], right: Rights) -> View {
    let mut view = view(cols, rows);
    view.rights = right;
    view.session_name = names[0].clone();
    view.host_name = names[0].clone();
    view.roster = (0u32..)
        .zip(names)
        .map(|(id, name)| person(id, name, id == 0))
        .collect();
    view.tracks = (0u32..)
        .zip(names)
        .map(|(id, name)| TrackInfo {
            title: Text::cut(name),
            ..terminal_info(TrackId(id))
        })
        .collect();
    view.door = Some(Knocks {
        allow: Some(AccessMode::Invited),
        knocks: vec![KnockInfo {
            id: ParticipantId(9),
            name: Text::cut(&names[0]),
            identity: [7; 32],
            holds: Some(AdmittedBy::Ticket),
            claims: vec![Text::cut(&names[0])],
        }],
    });
    view
}

/// What an emulator makes of a program that writes this.
fn written(text: &str, cols: u16, rows: u16) -> Screen {
    let mut terminal = Terminal::new(Size::clamped(cols, rows));
    terminal.feed(text.as_bytes());
    let mut screen = Screen::blank(Size::clamped(cols, rows));
    terminal.capture(&mut screen);
    screen
}

/// Every character that nobody disputes stands where it belongs.
fn check_screen(screen: &Screen, shown: &vt100::Screen) -> Result<(), TestCaseError> {
    let (rows, cols) = shown.size();
    let all = screen.rows.iter().zip(0u16..rows.get() - 1);
    for (row, y) in all {
        for (cell, x) in row.cells.iter().zip(0..cols.get()) {
            let cut = cell.width == Width::Wide && x + 1 == cols.get();
            if cell.is_disputed() || cell.width == Width::Spacer || *cell == Cell::default() || cut
            {
                continue;
            }
            let seen = shown.cell(y, x).map_or("", |cell| cell.contents());
            let wanted = format!("{}{}", cell.ch, cell.marks());
            prop_assert!(
                seen == wanted || cell.ch == ' ',
                "{seen:?} for {wanted:?} at {x},{y}"
            );
        }
    }
    Ok(())
}

/// Opens a box of a viewer whose view is full of these names.
fn check_boxes(
    names: &[String],
    (cols, rows): (u16, u16),
    right: Rights,
    keys: &str,
    opinion: Opinion,
) -> Result<(), TestCaseError> {
    let mut viewer = Person::new(cols, rows, hostile(cols, rows, names, right));
    viewer.opinion = opinion;
    viewer.types(keys);
    viewer.types(names[0].as_bytes());
    viewer.does(UiInput::Said(&names[0]));
    viewer.later(10_000);
    let shown = viewer.rows();
    // A box is a box: its right side is one column all the way down.
    let side = |row: &String, ch| row.chars().take_while(|c| *c != ch).count();
    if let Some(top) = shown.iter().position(|row| row.contains('┐')) {
        prop_assert!(
            !shown[top + 1..].iter().any(|row| row.contains('┐')),
            "{shown:#?}"
        );
        prop_assert!(side(&shown[top], '┐') < usize::from(cols));
    }
    for row in &shown {
        let draws = row.chars().any(char::is_control);
        prop_assert!(!draws, "{row:?}");
    }
    Ok(())
}

#[test]
fn names_that_have_done_harm_do_none_in_any_box_at_any_width() {
    for name in nasty() {
        let names = [name.clone(), name];
        for keys in BOXES {
            for cols in 1..=60 {
                check_boxes(&names, (cols, 12), Rights::MANAGE, keys, Opinion::Most).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_programs_characters_stand_in_their_columns_and_the_status_line_is_left_alone(
        text in "([a-z 日é☺❤│][\u{fe0f}\u{301}\u{ad}]?|[\u{3248}\u{2630}\u{1f1e9}🙂क\u{93e}]|\r\n){0,200}",
        cols in 1u16..60,
        rows in 2u16..12,
        opinion in proptest::sample::select(OPINIONS.to_vec()),
    ) {
        let mut blank = view(cols, rows - 1);
        blank.screen = Some(Screen::blank(Size::clamped(cols, rows - 1)));
        let mut viewer = Person::new(cols, rows, blank);
        viewer.opinion = opinion;
        let status = viewer.status();
        let screen = written(&text, cols, rows - 1);
        viewer.view.screen = Some(screen.clone());
        viewer.look();
        prop_assert_eq!(viewer.status(), status);
        // vt100 draws clusters across cells in ways of its own: what it measures is not checked by cell.
        if opinion != Opinion::Vt100 {
            check_screen(&screen, viewer.terminal.screen())?;
        }
    }

    #[test]
    fn a_viewers_boxes_take_any_name_at_any_size(
        names in prop::collection::vec(name(), 1..5),
        cols in 1u16..=200,
        rows in 1u16..60,
        right in prop_oneof![Just(Rights::VIEW), Just(Rights::MANAGE)],
        keys in proptest::sample::select(BOXES.to_vec()),
        opinion in proptest::sample::select(OPINIONS.to_vec()),
    ) {
        check_boxes(&names, (cols, rows), right, keys, opinion)?;
    }

    #[test]
    fn the_hosts_words_take_any_name_at_any_size_and_leave_no_trace(
        names in prop::collection::vec(name(), 1..4),
        cols in 1u16..=200,
        rows in 1u16..40,
        opens in any::<bool>(),
        opinion in proptest::sample::select(OPINIONS.to_vec()),
    ) {
        let mut desk = Desk::new(cols, rows);
        desk.program("$ ");
        // Never written and a blank look the same.
        let rows = |desk: &Desk| (0..usize::from(rows)).map(|y| desk.row(y)).collect::<Vec<_>>();
        let before = rows(&desk);
        let paint = |desk: &mut Desk| {
            let mut out = Vec::new();
            let (screen, resume) = (desk.screen(), desk.emulator.resume());
            desk.ui.paint(at(desk.now), &screen, &resume, &mut out);
            desk.tty.process(&opinion.of(&out));
        };
        for (id, name) in (3u32..).zip(&names) {
            // While a question waits, the keys are the question's.
            if !opens {
                desk.asks(id, name);
            }
            desk.ui.remark(at(desk.now), name);
        }
        if opens {
            desk.types(b"\x1d ");
            let who = (3u32..).zip(&names).map(|(id, name)| status(id, name));
            desk.ui.done(at(desk.now), Ok(Reply::Who(who.collect()).into()));
        }
        paint(&mut desk);
        // Nothing scrolled: what the program wrote is where it was, or covered.
        if !opens && before.len() > 1 {
            prop_assert_eq!(desk.row(0), "$");
        }
        if opens {
            desk.types(b"q");
            desk.later(50);
            paint(&mut desk);
        }
        for id in 3..3 + names.len() as u32 {
            desk.ui.notice(at(desk.now), HostNotice::RequestGone { id: ParticipantId(id) });
        }
        for _ in 0..8 {
            desk.later(20_000);
            paint(&mut desk);
        }
        prop_assert_eq!(rows(&desk), before);
    }
}

#[test]
fn what_a_terminal_finds_too_wide_for_a_row_does_not_get_into_the_next() {
    let shows = |row: &str| {
        let mut shown = view(10, 3);
        shown.screen = Some(written(&format!("{row}\r\nbbbb\r\ncccc"), 10, 3));
        shown
    };
    let mut ui = ViewerUi::new(CONFIG(), Size::clamped(10, 4));
    let mut terminal = Terminal::new(Size::clamped(10, 4));
    // Set up for East Asia, where what draws boxes is wide.
    for row in ["aaaaaaaaaa", "aaaaaaaaa│"] {
        let mut out = Vec::new();
        let mut shown = shows(row);
        shown.version += u64::from(row.contains('│'));
        ui.draw(at(0), &shown, &mut out);
        let out = String::from_utf8(out)
            .unwrap()
            .replace('│', &WIDE.to_string());
        terminal.feed(out.as_bytes());
    }
    let mut screen = Screen::blank(Size::clamped(10, 4));
    terminal.capture(&mut screen);
    let rows: Vec<String> = screen.text().lines().map(str::to_owned).collect();
    assert!(rows[0].starts_with("aaaaaaaa"), "{rows:?}");
    assert_eq!((rows[1].as_str(), rows[2].as_str()), ("bbbb", "cccc"));
    let mut out = Vec::new();
    ui.leave(&mut out);
    assert!(String::from_utf8(out).unwrap().contains("\x1b[?7h"));
}

#[test]
fn what_stands_in_for_the_disputed_has_the_width_it_is_to_have() {
    use pillion_screen::width::{columns, is_disputed};
    assert_eq!((columns(NARROW), columns(WIDE)), (1, 2));
    assert!(!is_disputed(NARROW) && !is_disputed(WIDE));
    let mut out = Vec::new();
    let mut ui = ViewerUi::new(CONFIG(), Size::clamped(20, 3));
    ui.draw(at(0), &view(20, 2), &mut out);
    assert_eq!(Opinion::Most.of(&out), Opinion::Least.of(&out));
}
