//! Whatever a view becomes, drawing the difference shows what drawing again shows, on any terminal.

mod common;

use common::{
    CONFIG, Person, at,
    opinion::{OPINIONS, Opinion},
    person, terminal, view, write,
};
use pillion_proto::{PathKind, Rights};
use pillion_screen::{
    Attrs, Cell, Color, LineId, Modes, Screen, Size, Style, Width, width::columns,
};
use pillion_session::{Interruption, Phase, View};
use pillion_tui::{UiInput, ViewerUi};
use proptest::prelude::*;

/// Something that changes what is to be seen.
#[derive(Debug, Clone)]
enum Step {
    Write {
        y: usize,
        x: usize,
        text: String,
        style: Style,
    },
    Blank {
        y: usize,
    },
    Scroll {
        by: usize,
    },
    Cursor {
        x: u16,
        y: u16,
        visible: bool,
    },
    HostSize(u16, u16),
    Right(Rights),
    Phase(u8),
    Rtt(u32),
    Roster(usize),
    Keys(Vec<u8>),
    Said(String),
    Modes(u32),
    Later(u64),
}

fn color() -> impl Strategy<Value = Color> {
    prop_oneof![
        Just(Color::Default),
        any::<u8>().prop_map(Color::Indexed),
        any::<[u8; 3]>().prop_map(|[r, g, b]| Color::Rgb(r, g, b)),
    ]
}

/// Styles that vt100 knows.
fn style() -> impl Strategy<Value = Style> {
    (color(), color(), 0u16..16).prop_map(|(fg, bg, bits)| {
        let attrs = [Attrs::BOLD, Attrs::ITALIC, Attrs::UNDERLINE, Attrs::INVERSE];
        let set = attrs
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| bits & (1 << bit) != 0);
        Style {
            fg,
            bg,
            underline: Color::Default,
            attrs: set.fold(Attrs(0), |all, (_, attr)| all.union(attr)),
        }
    })
}

fn key_bytes() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"\x1d",
        b"?",
        b"w",
        b"[",
        b"e",
        b"x",
        b"\x1b[5~",
        b"\x1b[6~",
        b"\x1b[A",
        b"\x1b[H",
        b"\x1b[F",
        b"\x1b[<64;2;2M",
        b"\x1b[<65;2;2M",
        b"\x1b",
        b"\x1b[200~p\x1b[201~",
    ];
    prop_oneof![
        proptest::sample::select(known).prop_map(<[u8]>::to_vec),
        proptest::collection::vec(any::<u8>(), 0..8),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..60, 0usize..130, "[a-z 日本é😀\u{3248}\u{2630}\u{1f1e9}\u{93e}क│]{1,12}", style())
            .prop_map(|(y, x, text, style)| Step::Write { y, x, text, style }),
        1 => (0usize..60).prop_map(|y| Step::Blank { y }),
        1 => (1usize..5).prop_map(|by| Step::Scroll { by }),
        1 => (0u16..130, 0u16..60, any::<bool>()).prop_map(|(x, y, visible)| Step::Cursor { x, y, visible }),
        1 => (1u16..130, 1u16..60).prop_map(|(cols, rows)| Step::HostSize(cols, rows)),
        1 => prop_oneof![Just(Rights::VIEW), Just(Rights::EDIT)].prop_map(Step::Right),
        1 => (0u8..5).prop_map(Step::Phase),
        1 => (0u32..500_000).prop_map(Step::Rtt),
        1 => (0usize..12).prop_map(Step::Roster),
        3 => key_bytes().prop_map(Step::Keys),
        // vt100 draws nothing for U+FFFD.
        1 => "\\PC{0,80}".prop_map(|text| Step::Said(text.replace('\u{fffd}', "?"))),
        1 => any::<u32>().prop_map(Step::Modes),
        1 => (0u64..10_000).prop_map(Step::Later),
    ]
}

fn put(screen: &mut Screen, x: usize, y: usize, text: &str, style: Style) {
    let Some(row) = screen.rows.get_mut(y) else {
        return;
    };
    let mut x = x;
    for ch in text.chars() {
        let width = columns(ch);
        if x + width > row.cells.len() {
            return;
        }
        // As an emulator does: half a character that is left over is blank.
        if row.cells[x].width == Width::Spacer {
            row.cells[x - 1] = Cell::default();
        }
        let after = x + width;
        if row
            .cells
            .get(after)
            .is_some_and(|cell| cell.width == Width::Spacer)
        {
            row.cells[after] = Cell::default();
        }
        for part in 0..width {
            row.cells[x + part] = Cell {
                ch: if part == 0 { ch } else { ' ' },
                width: match (width, part) {
                    (1, _) => Width::Narrow,
                    (_, 0) => Width::Wide,
                    _ => Width::Spacer,
                },
                style,
                extra: None,
            };
        }
        x = after;
    }
}

fn apply(step: &Step, view: &mut View, now: u64) {
    let screen = view.screen.as_mut().unwrap();
    match step {
        Step::Write { y, x, text, style } => put(screen, *x, *y, text, *style),
        Step::Blank { y } => write(screen, y % screen.rows.len(), &" ".repeat(200)),
        Step::Scroll { by } => {
            let by = by % screen.rows.len();
            screen.rows.rotate_left(by);
            screen.lines.top = LineId(screen.lines.top.0 + by as u64);
        }
        Step::Cursor { x, y, visible } => {
            screen.cursor.x = (*x).min(screen.size.cols() - 1);
            screen.cursor.y = (*y).min(screen.size.rows() - 1);
            screen.cursor.visible = *visible;
        }
        Step::HostSize(cols, rows) => {
            let lines = screen.lines;
            *screen = common::view(*cols, *rows).screen.unwrap();
            screen.lines = lines;
        }
        Step::Right(right) => view.rights = *right,
        Step::Phase(phase) => {
            view.phase = match phase {
                0 | 1 => Phase::Live,
                2 => Phase::Stalled {
                    since_us: now * 900,
                },
                3 => Phase::Joining,
                _ => Phase::Connecting {
                    attempt: 2,
                    why: Some(Interruption::Transport("no route".into())),
                    retry_at_us: now * 1000 + 3_000_000,
                },
            }
        }
        Step::Rtt(rtt) => {
            view.rtt_us = *rtt;
            view.path = if rtt % 2 == 0 {
                PathKind::Direct
            } else {
                PathKind::Relayed
            };
        }
        Step::Roster(count) => {
            view.roster = (0..*count as u32)
                .map(|id| person(id, &format!("p{id}"), id == 0))
                .collect();
        }
        Step::Modes(modes) => screen.modes = Modes(modes & Modes::ALL.0),
        Step::Keys(_) | Step::Said(_) | Step::Later(_) => {}
    }
}

/// Everything a terminal shows.
type Looks = Vec<Option<(String, vt100::Color, vt100::Color, [bool; 5])>>;

fn looks(terminal: &vt100::Parser) -> (Looks, (u16, u16), bool) {
    let screen = terminal.screen();
    let (rows, cols) = screen.size();
    let mut cells = Vec::new();
    for y in 0..rows.get() {
        for x in 0..cols.get() {
            cells.push(screen.cell(y, x).map(|cell| {
                let text = if cell.has_contents() {
                    cell.contents()
                } else {
                    " "
                };
                let attrs = [
                    cell.bold(),
                    cell.dim(),
                    cell.italic(),
                    cell.underline(),
                    cell.inverse(),
                ];
                (text.to_owned(), cell.fgcolor(), cell.bgcolor(), attrs)
            }));
        }
    }
    let hidden = screen.hide_cursor();
    let cursor = if hidden {
        (0, 0)
    } else {
        screen.cursor_position()
    };
    (cells, cursor, hidden)
}

fn evolve(
    cols: u16,
    rows: u16,
    host: (u16, u16),
    steps: &[Step],
    opinion: Opinion,
) -> Result<(), TestCaseError> {
    let mut viewer = Person::new(cols, rows, view(host.0, host.1));
    viewer.opinion = opinion;
    for step in steps {
        apply(step, &mut viewer.view, viewer.now);
        let input = match step {
            Step::Keys(bytes) => UiInput::Keys(bytes),
            Step::Said(text) => UiInput::Said(text),
            Step::Later(ms) => {
                viewer.now += ms;
                UiInput::Tick
            }
            _ => UiInput::Tick,
        };
        viewer.does(input);
        // The same interface, on a terminal that shows nothing of it yet.
        let mut fresh = terminal(cols, rows);
        fresh.process(b"\x1b[?1049h\x1b[31;44mgarbage");
        let mut out = Vec::new();
        viewer.ui.handle(
            at(viewer.now),
            &viewer.view,
            UiInput::Resized(Size::clamped(cols, rows)),
        );
        viewer.ui.draw(at(viewer.now), &viewer.view, &mut out);
        let out = opinion.of(&out);
        fresh.process(&out);
        prop_assert_eq!(looks(&viewer.terminal), looks(&fresh), "after {:?}", step);
        viewer.terminal.process(&out);
    }
    let mut out = Vec::new();
    viewer.ui.leave(&mut out);
    viewer.terminal.process(&out);
    let screen = viewer.terminal.screen();
    prop_assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
    prop_assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_difference_shows_what_the_whole_shows(
        cols in 1u16..100,
        rows in 1u16..40,
        host in (1u16..130, 1u16..60),
        steps in proptest::collection::vec(step(), 1..16),
        opinion in proptest::sample::select(OPINIONS.to_vec()),
    ) {
        evolve(cols, rows, host, &steps, opinion)?;
    }

    #[test]
    fn tiny_terminals_are_terminals_too(
        cols in 1u16..=10,
        rows in 1u16..=10,
        host in (1u16..=12, 1u16..=12),
        steps in proptest::collection::vec(step(), 1..16),
        opinion in proptest::sample::select(OPINIONS.to_vec()),
    ) {
        evolve(cols, rows, host, &steps, opinion)?;
    }

    #[test]
    fn no_bytes_from_a_terminal_do_harm(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..12),
    ) {
        let mut viewer = Person::new(30, 8, view(40, 10));
        for chunk in &chunks {
            let actions = viewer.types(chunk);
            prop_assert!(actions.iter().all(|action| !matches!(action, pillion_tui::Action::Keys(_))));
        }
    }
}

#[test]
fn huge_terminals_work() {
    let mut ui = ViewerUi::new(CONFIG(), Size::clamped(1000, 500));
    let mut huge = view(1000, 500);
    let mut out = Vec::new();
    ui.draw(at(0), &huge, &mut out);
    let mut shown = terminal(1000, 500);
    shown.process(&out);
    out.clear();
    let screen = huge.screen.as_mut().unwrap();
    put(screen, 998, 498, "ab", Style::default());
    ui.draw(at(0), &huge, &mut out);
    shown.process(&out);
    assert!(out.len() < 40, "{}", out.len());
    assert_eq!(shown.screen().cell(498, 999).unwrap().contents(), "b");
}
