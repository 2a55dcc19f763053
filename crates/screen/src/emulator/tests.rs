use proptest::prelude::*;

use super::*;
use crate::history::Line;

fn size(cols: u16, rows: u16) -> Size {
    Size::new(cols, rows).unwrap()
}

/// Everything a terminal shows of itself.
#[derive(Debug, PartialEq)]
struct Seen {
    screen: Screen,
    history: Vec<Line>,
    margin: Vec<Line>,
    at_ground: bool,
    replies: Vec<u8>,
}

/// A terminal whose history is kept.
struct Watched {
    terminal: Terminal,
    history: Vec<Line>,
    replies: Vec<u8>,
}

impl Watched {
    fn new(terminal: Terminal) -> Watched {
        Watched {
            terminal,
            history: Vec::new(),
            replies: Vec::new(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.terminal.feed(bytes);
        self.replies.extend(self.terminal.take_replies());
        while let Some(chunk) = self.terminal.take_history() {
            self.history
                .extend(chunk.lines().expect("our own history is readable"));
        }
    }

    fn resize(&mut self, size: Size) {
        self.terminal.resize(size);
        self.feed(b"");
    }

    fn screen(&self) -> Screen {
        let mut screen = Screen::blank(size(1, 1));
        self.terminal.capture(&mut screen);
        screen
    }

    fn margin(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        let mut from = LineId(0);
        loop {
            let chunk = self.terminal.margin(from, u32::MAX);
            if chunk.count == 0 {
                return lines;
            }
            lines.extend(chunk.lines().expect("our own margin is readable"));
            from = LineId(chunk.first.0 + u64::from(chunk.count));
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            screen: self.screen(),
            history: self.history.clone(),
            margin: self.margin(),
            at_ground: self.terminal.at_ground(),
            replies: self.replies.clone(),
        }
    }
}

#[derive(Clone)]
enum Step {
    Feed(Vec<u8>),
    Resize(u16, u16),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Feed(bytes) => write!(f, "Feed(b\"{}\")", bytes.escape_ascii()),
            Step::Resize(cols, rows) => write!(f, "Resize({cols}, {rows})"),
        }
    }
}

/// Says in a line or two where two terminals differ.
fn difference(left: &Seen, right: &Seen) -> Option<String> {
    if left == right {
        return None;
    }
    let lines = |name: &str, left: &[Line], right: &[Line]| {
        let at = left
            .iter()
            .zip(right)
            .position(|(left, right)| left != right);
        let at = at.unwrap_or(left.len().min(right.len()));
        (left != right).then(|| {
            let lens = (left.len(), right.len());
            format!(
                "{name} {lens:?} at {at}: {:?} | {:?}",
                left.get(at),
                right.get(at)
            )
        })
    };
    let rows = left.screen.rows.iter().zip(&right.screen.rows);
    let row = rows.enumerate().find(|(_, (left, right))| left != right);
    let rest = |seen: &Seen| {
        let Screen {
            cursor,
            modes,
            title,
            palette,
            lines,
            bells,
            ..
        } = &seen.screen;
        format!(
            "{cursor:?} {modes:?} {title:?} {palette:?} {lines:?} {bells} {} {:?}",
            seen.at_ground, seen.replies
        )
    };
    lines("history", &left.history, &right.history)
        .or_else(|| lines("margin", &left.margin, &right.margin))
        .or_else(|| {
            row.map(|(y, (left, right))| {
                let cells = left.cells.iter().zip(&right.cells);
                let cell = cells.enumerate().find(|(_, (left, right))| left != right);
                format!("row {y}: {:?} | {:?}; {cell:?}", left.text(), right.text())
            })
        })
        .or_else(|| Some(format!("{}\n{}", rest(left), rest(right))))
}

/// Output of the kinds that shortcuts treat differently, and all that might disturb them.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let word = "[ -~]{0,30}".prop_map(String::into_bytes);
    let lines = (
        0usize..40,
        "[ -~]{0,90}",
        prop_oneof![Just("\r\n"), Just("\n"), Just("\r\r\n")],
    )
        .prop_map(|(count, text, end)| format!("{text}{end}").repeat(count).into_bytes());
    let flood = (600usize..1500, "[ -~]{0,12}").prop_map(|(count, text)| {
        (0..count)
            .flat_map(|n| format!("{text}{n}\r\n").into_bytes())
            .collect()
    });
    let wide = "[a-c漢字é\u{301}\u{200d}👩 ]{0,20}".prop_map(String::into_bytes);
    let control = prop::sample::select(
        &[
            "\r",
            "\n",
            "\r\n",
            "\t",
            "\x08",
            "\x07",
            "\x0e",
            "\x0f",
            "\x1b(0",
            "\x1b(B",
            "\x1b)0",
            "\x1b[31m",
            "\x1b[0m",
            "\x1b[44m",
            "\x1b[4m",
            "\x1b[7m",
            "\x1b[58;5;3m",
            "\x1b[4h",
            "\x1b[4l",
            "\x1b[20h",
            "\x1b[?7l",
            "\x1b[?7h",
            "\x1b[?6h",
            "\x1b[?6l",
            "\x1b[?1049h",
            "\x1b[?1049l",
            "\x1b[2;5r",
            "\x1b[r",
            "\x1b[H",
            "\x1b[3;4H",
            "\x1b[99;99H",
            "\x1b[2J",
            "\x1b[J",
            "\x1b[3J",
            "\x1b[K",
            "\x1b[1K",
            "\x1bM",
            "\x1bD",
            "\x1b[5S",
            "\x1b[2T",
            "\x1b[3L",
            "\x1b[2M",
            "\x1b[3@",
            "\x1b[4P",
            "\x1b[5X",
            "\x1b[6b",
            "\x1b7",
            "\x1b8",
            "\x1bc",
            "\x1b#8",
            "\x1b[?2026h",
            "\x1b[?2026l",
            "\x1b]0;t\x07",
            "\x1b[6n",
            "\x1b]8;;https://a.example\x07",
            "\x1b]8;;\x07",
            "\x1b[s",
            "\x1b[u",
            "\x1b[3A",
            "\x1b[2B",
            "\x1b[?3h",
            "\x1b[?40h",
            "\x1b[?47h",
            "\x1b[?47l",
            "\x1b[?1047h",
            "\x1b[?1047l",
            "\x1b[?1048h",
            "\x1b[?5h",
            "\x1b[!p",
            "\x1b[1\"q",
            "\x1b[0\"q",
            "\x1b[?J",
            "\x1b[?1K",
            "\x1b[1J",
            "\x1b[5;53m",
            "\x1b[21m",
            "\x1bkname\x1b\\",
            "\x1bkname\x07",
            "\x1bP1$rÜ\x1b\\",
            "\x1b(A",
            "\x1b[3E",
            "\x1b[2F",
            "\x1b[3e",
            "\x1b[7G",
            "\x1bE",
            "\u{ad}",
            "\u{3164}",
        ][..],
    )
    .prop_map(|text| text.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        4 => word, 4 => lines, 1 => flood, 2 => wide, 6 => control, 1 => noise
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => output().prop_map(Step::Feed),
        1 => (1u16..100, 1u16..40).prop_map(|(cols, rows)| Step::Resize(cols, rows)),
    ]
}

fn run(terminal: Terminal, steps: &[Step]) -> Watched {
    let mut watched = Watched::new(terminal);
    for step in steps {
        match step {
            Step::Feed(bytes) => watched.feed(bytes),
            Step::Resize(cols, rows) => watched.resize(size(*cols, *rows)),
        }
    }
    watched
}

/// Joins what is fed between resizes, so that it reaches shortcuts in large pieces.
fn joined(steps: &[Step]) -> Vec<Step> {
    let mut out: Vec<Step> = Vec::new();
    for step in steps {
        match (out.last_mut(), step) {
            (Some(Step::Feed(all)), Step::Feed(bytes)) => all.extend_from_slice(bytes),
            _ => out.push(step.clone()),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(96)))]

    /// The test this module stands on: shortcuts, and where output is cut, change nothing.
    #[test]
    fn shortcuts_and_pieces_change_nothing(
        (cols, rows) in (1u16..100, 1u16..40),
        steps in prop::collection::vec(step(), 0..24),
        cuts in 1usize..50,
    ) {
        let size = size(cols, rows);
        let long_way = run(Terminal::without_shortcuts(size), &joined(&steps)).seen();
        let short_way = run(Terminal::new(size), &joined(&steps)).seen();
        prop_assert_eq!(difference(&short_way, &long_way), None);
        let as_given = run(Terminal::new(size), &steps).seen();
        prop_assert_eq!(difference(&as_given, &long_way), None);
        let cut: Vec<Step> = joined(&steps)
            .into_iter()
            .flat_map(|step| match step {
                Step::Feed(bytes) => bytes
                    .chunks(cuts)
                    .map(|piece| Step::Feed(piece.to_vec()))
                    .collect(),
                resize => vec![resize],
            })
            .collect();
        let in_pieces = run(Terminal::new(size), &cut).seen();
        prop_assert_eq!(difference(&in_pieces, &long_way), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(96)))]

    /// What an encoder goes by: outside the damage nothing has changed.
    #[test]
    fn damage_names_every_row_that_changed(
        (cols, rows) in (1u16..60, 1u16..20),
        steps in prop::collection::vec(step(), 0..24),
    ) {
        let mut terminal = Terminal::new(size(cols, rows));
        let mut kept = Screen::blank(size(1, 1));
        let mut whole = Screen::blank(size(1, 1));
        for step in &steps {
            match step {
                Step::Feed(bytes) => terminal.feed(bytes),
                Step::Resize(cols, rows) => terminal.resize(size(*cols, *rows)),
            }
            let was_dirty = terminal.dirty();
            let damage = terminal.take_damage();
            prop_assert!(!terminal.dirty());
            terminal.capture(&mut whole);
            prop_assert!(was_dirty || kept == whole);
            terminal.capture_damaged(&mut kept, &damage);
            for (y, (kept, whole)) in kept.rows.iter().zip(&whole.rows).enumerate() {
                prop_assert_eq!(kept, whole, "row {} after {:?}", y, step);
            }
            prop_assert_eq!(&kept, &whole);
            if let Some(scroll) = damage.scroll {
                prop_assert!(scroll.bottom <= terminal.size().rows());
                let height = i32::from(scroll.bottom) - i32::from(scroll.top);
                prop_assert!(scroll.lines != 0 && i32::from(scroll.lines).abs() < height);
            }
        }
    }
}

#[test]
fn a_terminal_can_move_to_another_thread() {
    fn may_move<T: Send>(_: &T) {}
    may_move(&Terminal::new(size(1, 1)));
}

/// Found by the property test above.
#[test]
fn characters_cut_off_one_after_the_other_are_both_replaced() {
    let steps = [Step::Feed(b"\xc2\xc2\n  \n\0".to_vec())];
    let long_way = run(Terminal::without_shortcuts(size(10, 3)), &steps).seen();
    assert_eq!(long_way.screen.text(), "\u{fffd}\u{fffd}");
    let short_way = run(Terminal::new(size(10, 3)), &steps).seen();
    assert_eq!(difference(&short_way, &long_way), None);
}

/// The emulator's rows lose count of their written cells when columns are added.
#[test]
fn colours_from_before_a_resize_do_not_come_back() {
    for shortcuts in [true, false] {
        let mut terminal = Terminal {
            shortcuts,
            ..Terminal::new(size(11, 2))
        };
        terminal.feed(b"\x1b7\x1b[44m");
        terminal.feed(&b"blue\r\n".repeat(900));
        terminal.resize(size(18, 1));
        terminal.feed(b"\x1b8");
        for _ in 0..1200 {
            terminal.feed(b"plain\r\n");
            let mut screen = Screen::blank(size(1, 1));
            terminal.capture(&mut screen);
            assert_eq!(screen.rows[0], crate::Row::blank(18));
        }
    }
}

#[test]
fn a_panic_in_the_emulator_costs_the_screen_but_neither_history_nor_session() {
    let mut watched = Watched::new(Terminal::new(size(20, 3)));
    let lines: Vec<String> = (0..600).map(|n| format!("line {n}")).collect();
    watched.feed(format!("{}\r\nlast", lines.join("\r\n")).as_bytes());
    let settled = watched.history.len();
    watched.feed(format!("{PANIC_CHAR}lost\x1b[1mgoes on").as_bytes());
    assert_eq!(watched.terminal.failures(), 1);
    let text: Vec<String> = watched.history.iter().map(Line::text).collect();
    assert_eq!(text[..600], lines);
    assert_eq!(text[600], "last");
    assert!(settled < text.len(), "margin and screen went to history");
    assert!(
        watched
            .history
            .iter()
            .zip(0..)
            .all(|(line, id)| line.id == LineId(id))
    );
    let screen = watched.screen();
    assert_eq!(screen.lines.settled, LineId(601));
    assert!(screen.text().ends_with("goes on"), "{:?}", screen.text());
    let margin: String = watched.margin().iter().map(Line::text).collect();
    assert!(format!("{margin}{}", screen.text()).contains("[pillion: this output"));

    // On the alternate screen, the primary's rows are saved.
    watched.feed(b"\r\nprimary\x1b[?1049halternate");
    watched.feed(PANIC_CHAR.to_string().as_bytes());
    assert_eq!(watched.terminal.failures(), 2);
    assert!(watched.history.iter().any(|line| line.text() == "primary"));
    assert!(
        !watched
            .history
            .iter()
            .any(|line| line.text() == "alternate")
    );
    watched.resize(size(9, 9));
    assert_eq!(watched.terminal.failures(), 2);
}

/// Proptest's number of cases, unless the environment asks for more.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(default)
}

/// A row that ended early for a wide character's sake no longer does when that is overwritten.
#[test]
fn overwriting_a_wide_character_changes_how_the_row_above_ends() {
    let mut terminal = Terminal::new(size(20, 8));
    terminal.feed("0123456789abcdefghi👍\r".as_bytes());
    let mut kept = Screen::blank(size(1, 1));
    terminal.capture_damaged(&mut kept, &Damage::all(size(20, 8)));
    terminal.take_damage();
    terminal.feed(b"0");
    let damage = terminal.take_damage();
    terminal.capture_damaged(&mut kept, &damage);
    let mut whole = Screen::blank(size(1, 1));
    terminal.capture(&mut whole);
    assert_eq!(kept, whole);
}
