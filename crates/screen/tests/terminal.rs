//! The emulator as its users see it: line numbers, history, queries, hostile output.
#![cfg(feature = "emulator")]
#![allow(clippy::disallowed_methods)] // a test may read its recordings

use std::path::PathBuf;

use pillion_screen::{
    Attrs, Color, CursorShape, Decoder, Encoder, Line, LineId, Modes, Screen, Size, Style,
    Terminal, Width, Wrap, history::MAX_RECORD_CELLS,
};
use proptest::prelude::*;

fn size(cols: u16, rows: u16) -> Size {
    Size::new(cols, rows).unwrap()
}

fn screen(terminal: &Terminal) -> Screen {
    let mut screen = Screen::blank(size(1, 1));
    terminal.capture(&mut screen);
    screen
}

/// Takes the final lines and checks that their numbers follow each other.
fn take_history(terminal: &mut Terminal, all: &mut Vec<Line>) {
    while let Some(chunk) = terminal.take_history() {
        let expected = all.last().map_or(LineId(0), |line| LineId(line.id.0 + 1));
        assert_eq!(
            chunk.first, expected,
            "no number is left out or given twice"
        );
        all.extend(chunk.lines().unwrap());
    }
}

fn margin(terminal: &Terminal) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    loop {
        let from = lines.last().map_or(LineId(0), |line| LineId(line.id.0 + 1));
        let chunk = terminal.margin(from, 200);
        if chunk.count == 0 {
            return lines;
        }
        lines.extend(chunk.lines().unwrap());
    }
}

/// All lines there are, whole, trimmed: history, margin and screen put together.
fn everything(terminal: &Terminal, history: &[Line]) -> Vec<String> {
    let screen = screen(terminal);
    let margin = margin(terminal);
    assert_eq!(screen.lines.settled.0, history.len() as u64);
    let complete = margin.len() - usize::from(screen.lines.top_offset > 0);
    assert_eq!(screen.lines.top.0, screen.lines.settled.0 + complete as u64);
    assert_eq!(terminal.top_line(), screen.lines.top);

    let above = history.iter().chain(&margin);
    let mut parts: Vec<(String, bool)> = above.map(|line| (line.text(), line.continued)).collect();
    parts.extend(screen.rows.iter().map(|row| {
        let mut text = String::new();
        row.push_part(&mut text);
        (text, row.wrap != Wrap::Ends)
    }));
    let mut lines = vec![String::new()];
    for (text, continued) in parts {
        let last = lines.last_mut().unwrap();
        last.push_str(&text);
        if !continued {
            last.truncate(last.trim_end().len());
            lines.push(String::new());
        }
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// The terminal after `output`, with its history.
fn after(size: Size, output: &[u8]) -> (Terminal, Vec<Line>) {
    let mut terminal = Terminal::new(size);
    let mut history = Vec::new();
    terminal.feed(output);
    take_history(&mut terminal, &mut history);
    (terminal, history)
}

fn recordings() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/recordings");
    let mut all: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "raw"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    all.sort();
    assert!(all.len() >= 5, "the recordings are where they are expected");
    all
}

#[derive(Debug, Clone)]
enum Step {
    Lines(Vec<String>),
    Resize(u16, u16),
}

/// A line that neither begins nor ends with a blank: the characters at its ends may be wide.
const LINE: &str = "[!-~é日本🙂]([ -~日本語🙂]{0,30}[!-~é日本語🙂]){0,5}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against the simplest model there is: the lines that were written.
    #[test]
    fn no_line_is_lost_doubled_or_misnumbered_whatever_the_window_does(
        steps in prop::collection::vec(
            prop_oneof![
                3 => prop::collection::vec(LINE, 0..80).prop_map(Step::Lines),
                1 => Just(Step::Lines(vec!["x".repeat(9000)])),
                2 => (1u16..120, 1u16..50).prop_map(|(cols, rows)| Step::Resize(cols, rows)),
            ],
            0..30,
        ),
    ) {
        let mut terminal = Terminal::new(size(80, 24));
        let mut history = Vec::new();
        let mut model: Vec<String> = Vec::new();
        for step in &steps {
            match step {
                Step::Lines(lines) => {
                    for line in lines {
                        terminal.feed(line.as_bytes());
                        terminal.feed(b"\r\n");
                    }
                    model.extend(lines.iter().cloned());
                }
                Step::Resize(cols, rows) => terminal.resize(size((*cols).max(2), *rows)),
            }
            take_history(&mut terminal, &mut history);
        }
        prop_assert_eq!(terminal.failures(), 0);
        prop_assert_eq!(everything(&terminal, &history), model);
    }

    #[test]
    fn random_bytes_break_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..4000),
        (cols, rows) in (1u16..200, 1u16..100),
        (new_cols, new_rows) in (1u16..200, 1u16..100),
    ) {
        let (mut terminal, mut history) = after(size(cols, rows), &bytes);
        terminal.resize(size(new_cols, new_rows));
        terminal.feed(&bytes);
        take_history(&mut terminal, &mut history);
        prop_assert_eq!(terminal.failures(), 0);
        check_screen(&screen(&terminal));
    }

    /// Random bytes seldom make a sequence; these mostly do.
    #[test]
    fn random_sequences_break_nothing(
        sequences in prop::collection::vec(
            (
                prop::sample::select(&["\x1b[", "\x1b[?", "\x1b[>", "\x1b[=", "\x1b[<", "\x1b]", "\x1b(", "\x1b#", "\x1b", "\x1bP"][..]),
                prop::sample::select(&["", "0", "1", "2", "3", "5", "22", "25", "1049", "2026", "9999", "65535", "1;1", "2;3", "3;2", "0;0", "8;;https://a.example\x07", "4;1;?\x07", "38:2::1:2:3", "58;5;9"][..]),
                prop::sample::select(&b"@ABCDEFGHIJKLMPSTXZ`abcdefghlmnpqrstu78=>0B\\"[..]),
                "[ -~漢é\u{301}\u{200d}👩\t\r\n\u{8}\u{e}\u{f}]{0,6}",
            ),
            0..150,
        ),
        (cols, rows) in (1u16..40, 1u16..20),
        (new_cols, new_rows) in (1u16..40, 1u16..20),
    ) {
        let mut terminal = Terminal::new(size(cols, rows));
        let mut history = Vec::new();
        for (index, (start, parameters, end, text)) in sequences.iter().enumerate() {
            terminal.feed(format!("{start}{parameters}{}{text}", char::from(*end)).as_bytes());
            if index % 32 == 31 {
                terminal.resize(size(new_cols, new_rows));
            }
            if index % 32 == 15 {
                terminal.resize(size(cols, rows));
            }
            take_history(&mut terminal, &mut history);
        }
        prop_assert_eq!(terminal.failures(), 0);
        check_screen(&screen(&terminal));
        prop_assert!(terminal.take_replies().len() <= 16 * 1024);
    }

    #[test]
    fn altered_recordings_break_nothing(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..60),
        (cols, rows) in (1u16..120, 1u16..50),
    ) {
        let all = recordings();
        let (_, mut bytes) = which.get(&all).clone();
        for (place, byte) in &changes {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        let (terminal, _) = after(size(cols, rows), &bytes);
        prop_assert_eq!(terminal.failures(), 0);
        check_screen(&screen(&terminal));
    }
}

/// What every screen must be, whatever was written.
fn check_screen(screen: &Screen) {
    assert_eq!(screen.rows.len(), usize::from(screen.size.rows()));
    for row in &screen.rows {
        assert_eq!(row.cells.len(), usize::from(screen.size.cols()));
        for (x, cell) in row.cells.iter().enumerate() {
            assert!(!cell.ch.is_control());
            let next = row.cells.get(x + 1).map(|cell| cell.width);
            let before = x.checked_sub(1).map(|x| row.cells[x].width);
            assert_eq!(cell.width == Width::Wide, next == Some(Width::Spacer));
            assert_eq!(cell.width == Width::Spacer, before == Some(Width::Wide));
        }
    }
    assert!(screen.cursor.x < screen.size.cols());
    assert!(screen.cursor.y < screen.size.rows());
    assert!(screen.lines.oldest <= screen.lines.top);
    assert!(screen.lines.settled <= screen.lines.top);
}

#[test]
fn recordings_look_the_same_however_they_are_cut() {
    for (name, bytes) in recordings() {
        let (whole, history) = after(size(80, 24), &bytes);
        assert_eq!(whole.failures(), 0, "{name}");
        let expected = (screen(&whole), everything(&whole, &history));
        check_screen(&expected.0);

        let mut terminal = Terminal::new(size(80, 24));
        let mut by_bytes = Vec::new();
        for byte in &bytes {
            terminal.feed(&[*byte]);
        }
        take_history(&mut terminal, &mut by_bytes);
        assert!(
            expected == (screen(&terminal), everything(&terminal, &by_bytes)),
            "{name}"
        );
    }
}

#[test]
fn a_cut_anywhere_changes_nothing() {
    for (name, bytes) in recordings() {
        let bytes = &bytes[..bytes.len().min(1500)];
        let expected = screen(&after(size(80, 24), bytes).0);
        for cut in 1..bytes.len() {
            let mut terminal = Terminal::new(size(80, 24));
            terminal.feed(&bytes[..cut]);
            terminal.feed(&bytes[cut..]);
            assert!(screen(&terminal) == expected, "{name} cut at {cut}");
        }
    }
}

#[test]
fn recordings_leave_what_their_programs_left() {
    let find = |name: &str| {
        let all = recordings();
        let (_, bytes) = all.into_iter().find(|(found, _)| found == name).unwrap();
        after(size(80, 24), &bytes)
    };
    for name in ["vim", "htop", "less", "tmux"] {
        let (terminal, history) = find(name);
        let modes = screen(&terminal).modes;
        assert!(
            !modes.contains(Modes::ALTERNATE_SCREEN),
            "{name} left the alternate screen"
        );
        assert!(!modes.intersects(Modes::ANY_MOUSE), "{name} left the mouse");
        assert!(history.is_empty(), "the alternate screen makes no history");
    }
}

#[test]
fn a_resize_storm_loses_nothing() {
    let mut terminal = Terminal::new(size(80, 24));
    let mut history = Vec::new();
    let lines: Vec<String> = (0..2000)
        .map(|n| format!("{n} {}", "word ".repeat(n % 40) + "."))
        .collect();
    for (index, line) in lines.iter().enumerate() {
        terminal.feed(format!("{line}\r\n").as_bytes());
        if index % 100 == 99 {
            for (cols, rows) in [
                (2, 1),
                (1000, 500),
                (1, 1),
                (7, 3),
                (1000, 1),
                (2, 500),
                (80, 24),
            ] {
                terminal.resize(size(cols, rows));
            }
        }
        take_history(&mut terminal, &mut history);
    }
    assert_eq!(terminal.failures(), 0);
    assert_eq!(everything(&terminal, &history), lines);
}

/// The emulator alone takes half a minute and six gigabytes for this.
#[test]
fn from_the_largest_window_to_the_smallest_is_a_small_step() {
    let lines: Vec<String> = (0..1200)
        .map(|n| format!("{n:0>4}{}", "x".repeat(995)))
        .collect();
    let (mut terminal, mut history) = after(size(1000, 500), lines.join("\r\n").as_bytes());
    for alternate in [false, true] {
        if alternate {
            terminal.feed(b"\x1b[?1049h");
        }
        for (cols, rows) in [(2, 1), (1000, 500), (1, 500), (1000, 1), (1000, 500)] {
            terminal.resize(size(cols, rows));
            take_history(&mut terminal, &mut history);
        }
        terminal.feed(b"\x1b[?1049l");
        assert_eq!(terminal.failures(), 0);
        assert_eq!(everything(&terminal, &history), lines);
    }
}

#[test]
fn a_resize_on_the_alternate_screen_moves_the_primarys_lines_all_the_same() {
    let output: String = (0..700)
        .map(|n| format!("{n} {}\r\n", "x".repeat(n % 150)))
        .collect();
    let (mut plain, _) = after(size(80, 24), output.as_bytes());
    let (mut alternate, _) = after(size(80, 24), output.as_bytes());
    alternate.feed(b"\x1b[?1049h\x1b[Hvim\x1b[3;5H\x1b[4h\x1b[>5u");
    for (cols, rows) in [(40, 24), (40, 50), (120, 10), (80, 24)] {
        plain.resize(size(cols, rows));
        alternate.resize(size(cols, rows));
        let there = screen(&alternate);
        assert_eq!(there.lines, screen(&plain).lines);
        assert_eq!(margin(&alternate), margin(&plain));
        assert_eq!(there.text(), "vim");
        assert_eq!((there.cursor.x, there.cursor.y), (4, 2));
        assert!(
            there
                .modes
                .contains(Modes::INSERT.union(Modes::KITTY_ALTERNATES))
        );
    }
    alternate.feed(b"\x1b[?1049l\x1b[4l");
    assert_eq!(screen(&alternate), screen(&plain));
}

#[test]
fn a_line_without_end_is_cut_into_records() {
    let mut terminal = Terminal::new(size(80, 24));
    let mut history = Vec::new();
    let text: Vec<u8> = (0..5_000_000u32).map(|n| b'!' + (n % 94) as u8).collect();
    for piece in text.chunks(60_000) {
        terminal.feed(piece);
        take_history(&mut terminal, &mut history);
    }
    terminal.feed(b"\r\nshort\r\n");
    take_history(&mut terminal, &mut history);
    assert!(history.len() > 1000);
    for line in &history {
        assert!(line.text().len() <= MAX_RECORD_CELLS && line.continued);
    }
    let lines = everything(&terminal, &history);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].as_bytes() == text);
    assert_eq!(lines[1], "short");
}

#[test]
fn a_line_keeps_the_wide_character_it_ends_in() {
    let lines = [
        "日本語",
        "end 🙂",
        "한",
        "é日",
        "abcdefg日",
        "\u{2630} \u{2630}",
        "日\u{301}",
    ];
    let output: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    // In the margin, in the history, and as a piece a byte at a time.
    for repeats in [1, 200] {
        for cut in [usize::MAX, 1] {
            let output = output.repeat(repeats);
            let mut terminal = Terminal::new(size(9, 2));
            let mut history = Vec::new();
            for piece in output.as_bytes().chunks(cut) {
                terminal.feed(piece);
            }
            take_history(&mut terminal, &mut history);
            let all = everything(&terminal, &history);
            assert_eq!(all.len(), repeats * lines.len());
            for (seen, line) in all.iter().zip(lines.iter().cycle()) {
                assert_eq!(seen, line);
            }
        }
    }
}

#[test]
fn a_line_wrapped_before_a_wide_character_has_no_blank_there() {
    let (mut terminal, mut history) = after(size(4, 3), "abc日 x\r\nabc 日".as_bytes());
    assert_eq!(everything(&terminal, &history), ["abc日 x", "abc 日"]);
    assert_eq!(screen(&terminal).rows[0].wrap, Wrap::Ends);
    terminal.feed(b"\r\n".repeat(900).as_slice());
    take_history(&mut terminal, &mut history);
    let text: Vec<String> = history.iter().map(Line::text).collect();
    assert_eq!(text[..2], ["abc日 x", "abc 日"]);
}

#[test]
fn what_is_left_of_half_a_wide_character_eats_no_neighbour() {
    // Half of it is erased, or only half is moved; then both places are written, in either order.
    for (output, row) in [
        // ECH.
        ("a漢b\x1b[2G\x1b[X\x1b[2Gx\x1b[3Gy", "axyb"),
        ("a漢b\x1b[3G\x1b[X\x1b[3Gy\x1b[2Gx", "axyb"),
        ("ab漢c\x1b[1G\x1b[3X\x1b[3Gx\x1b[4Gy", "  xyc"),
        // DCH.
        ("a漢bc\x1b[2G\x1b[P\x1b[2Gx", "axbc"),
        ("a漢bc\x1b[3G\x1b[P\x1b[2Gx", "axbc"),
        ("ab漢c\x1b[2G\x1b[2P\x1b[2Gx", "axc"),
        // ICH.
        ("a漢bc\x1b[3G\x1b[@\x1b[3Gx\x1b[4Gy", "a xybc"),
        ("a漢bc\x1b[3G\x1b[@\x1b[4Gy\x1b[2Gx", "ax ybc"),
        // EL 1 and 0, ED 1 and 0.
        ("a漢b\x1b[2G\x1b[1K\x1b[2Gx\x1b[3Gy", " xyb"),
        ("a漢b\x1b[3G\x1b[K\x1b[3Gy\x1b[2Gx", "axy"),
        ("a漢b\x1b[2G\x1b[1J\x1b[2Gx\x1b[3Gy", " xyb"),
        ("a漢b\x1b[3G\x1b[J\x1b[3Gy\x1b[2Gx", "axy"),
    ] {
        let (terminal, _) = after(size(10, 2), output.as_bytes());
        assert_eq!(
            screen(&terminal).rows[0].text().trim_end(),
            row,
            "{output:?}"
        );
    }
}

#[test]
fn a_flood_of_short_lines_arrives_whole() {
    let output: String = (0..40_000).map(|n| format!("{n}\r\n")).collect();
    let (terminal, history) = after(size(80, 24), output.as_bytes());
    let expected: Vec<String> = (0..40_000).map(|n| n.to_string()).collect();
    assert_eq!(everything(&terminal, &history), expected);
    assert!(history.len() > 39_000);
}

#[test]
fn scrolling_by_command_makes_history_and_is_bounded() {
    let mut terminal = Terminal::new(size(80, 24));
    let mut history = Vec::new();
    for _ in 0..200 {
        terminal.feed(b"text\x1b[65535S\x1b[65535T\x1b[65535L\x1b[65535M\x1b[H");
        take_history(&mut terminal, &mut history);
    }
    // A character costs at most the rest of its row.
    terminal.feed(b"\x1b[H\x1b[2Jab\x1b[65535b");
    assert_eq!(screen(&terminal).text(), format!("a{}", "b".repeat(79)));
    terminal.feed(&b"\x1b[2J".repeat(1000));
    take_history(&mut terminal, &mut history);
    assert_eq!(terminal.failures(), 0);
    assert!(history.iter().any(|line| line.text() == "text"));
}

#[test]
fn clearing_the_scrollback_hides_history_and_rewrites_none() {
    let output: String = (0..1000).map(|n| format!("{n}\r\n")).collect();
    let (mut terminal, mut history) = after(size(80, 24), output.as_bytes());
    let before = everything(&terminal, &history);
    let top = terminal.top_line();
    terminal.feed(b"\x1b[3J");
    take_history(&mut terminal, &mut history);
    assert_eq!(everything(&terminal, &history), before);
    let lines = screen(&terminal).lines;
    assert_eq!((lines.oldest, lines.settled, lines.top), (top, top, top));
    assert!(margin(&terminal).is_empty());

    // A full reset clears the screen, too: its lines were never history.
    terminal.feed(b"\r\nshown\x1b[?1049h\x1bc");
    take_history(&mut terminal, &mut history);
    assert_eq!(screen(&terminal).text(), "");
    assert!(!screen(&terminal).modes.contains(Modes::ALTERNATE_SCREEN));
    assert_eq!(history.len() as u64, terminal.top_line().0);
}

#[test]
fn the_alternate_screen_makes_no_history_and_keeps_the_margin() {
    let output: String = (0..600).map(|n| format!("{n}\r\n")).collect();
    let (mut terminal, mut history) = after(size(80, 24), output.as_bytes());
    let (lines, below) = (screen(&terminal).lines, margin(&terminal));
    terminal.feed(b"\x1b[?1049h");
    terminal.feed(output.as_bytes());
    terminal.feed(b"\x1b[99S");
    assert!(terminal.take_history().is_none());
    assert_eq!(screen(&terminal).lines, lines);
    assert_eq!(margin(&terminal), below);
    assert_eq!(
        terminal.margin(LineId(lines.settled.0 + 5), 2).first.0,
        lines.settled.0 + 5
    );
    assert_eq!(terminal.margin(LineId(lines.settled.0 + 5), 2).count, 2);
    terminal.resize(size(40, 12));
    terminal.resize(size(80, 24));
    terminal.feed(b"\x1b[?1049l");
    take_history(&mut terminal, &mut history);
    let expected: Vec<String> = (0..600).map(|n| n.to_string()).collect();
    assert_eq!(everything(&terminal, &history), expected);
}

#[test]
fn what_was_before_sharing_stays_hidden_in_a_taller_window() {
    let output: String = (0..100).map(|n| format!("secret {n}\r\n")).collect();
    let (mut terminal, mut history) = after(size(80, 24), output.as_bytes());
    terminal.feed(b"\x1b[2J\x1b[Hshared");
    terminal.hide_before(terminal.top_line());
    let lines = screen(&terminal).lines;
    assert_eq!((lines.oldest, lines.settled), (lines.top, lines.top));
    terminal.resize(size(80, 60));
    assert_eq!(screen(&terminal).text(), "shared");
    terminal.hide_before(LineId(3));
    assert_eq!(
        screen(&terminal).lines.oldest,
        lines.oldest,
        "it never goes back"
    );
    terminal.hide_before(LineId(u64::MAX));
    assert_eq!(screen(&terminal).lines.oldest, terminal.top_line());
    take_history(&mut terminal, &mut history);
    assert_eq!(history.len() as u64, lines.settled.0);

    // From the alternate screen, it holds as soon as the primary is back.
    terminal.feed(b"\r\nagain secret\x1b[2J\x1b[?1049h");
    terminal.hide_before(terminal.top_line());
    terminal.feed(b"\x1b[?1049l");
    terminal.resize(size(80, 200));
    assert!(!screen(&terminal).text().contains("secret"));
}

#[test]
fn a_taller_window_brings_lines_back_under_their_numbers() {
    let output: String = (0..100).map(|n| format!("{n}\r\n")).collect();
    let (mut terminal, history) = after(size(80, 10), output.as_bytes());
    assert_eq!(terminal.top_line(), LineId(91));
    terminal.resize(size(80, 30));
    assert_eq!(terminal.top_line(), LineId(71));
    assert!(screen(&terminal).text().starts_with("71\n72\n"));
    assert!(history.is_empty());
    let chunk = terminal.margin(LineId(69), 10);
    let lines = chunk.lines().unwrap();
    assert_eq!(
        lines.iter().map(|line| line.id.0).collect::<Vec<_>>(),
        [69, 70]
    );
}

#[test]
fn the_beginning_of_the_top_line_is_at_hand() {
    let (terminal, _) = after(
        size(10, 3),
        b"one\r\ntwo 4567890123456789012345678901234567890",
    );
    let lines = screen(&terminal).lines;
    assert_eq!((lines.top, lines.top_offset), (LineId(1), 2));
    let above = margin(&terminal);
    assert_eq!(above[1].text(), "two 4567890123456789");
    assert!(above[1].continued && !above[0].continued);
}

#[test]
fn queries_are_answered_once() {
    let cases: [(&str, &str); 22] = [
        ("\x1b[c", "\x1b[?6c"),
        ("\x1b[0c", "\x1b[?6c"),
        ("\x1bZ", "\x1b[?6c"),
        ("\x1b[>c", "\x1b[>0;2600;1c"),
        (
            "\x1b[>q",
            concat!("\x1bP>|Pillion(", env!("CARGO_PKG_VERSION"), ")\x1b\\"),
        ),
        ("\x1b[5n", "\x1b[0n"),
        ("\x1b[3;4H\x1b[6n", "\x1b[3;4R"),
        ("\x1b[3;9r\x1b[?6h\x1b[2;2H\x1b[6n", "\x1b[2;2R"),
        ("\x1b[?7$p", "\x1b[?7;1$y"),
        ("\x1b[?2004$p", "\x1b[?2004;2$y"),
        ("\x1b[?2026h\x1b[?2026$p", "\x1b[?2026;1$y"),
        ("\x1b[?4242$p", "\x1b[?4242;0$y"),
        ("\x1b[4h\x1b[4$p", "\x1b[4;1$y"),
        ("\x1b]11;?\x1b\\", "\x1b]11;rgb:0000/0000/0000\x1b\\"),
        ("\x1b]10;?\x07", "\x1b]10;rgb:e5e5/e5e5/e5e5\x07"),
        ("\x1b]4;1;?\x07", "\x1b]4;1;rgb:cdcd/0000/0000\x07"),
        (
            "\x1b]4;1;#102030\x07\x1b]4;1;?\x07",
            "\x1b]4;1;rgb:1010/2020/3030\x07",
        ),
        (
            "\x1b]10;?;?\x07",
            "\x1b]10;rgb:e5e5/e5e5/e5e5\x07\x1b]11;rgb:0000/0000/0000\x07",
        ),
        ("\x1b[14t", "\x1b[4;384;640t"),
        ("\x1b[18t", "\x1b[8;24;80t"),
        ("\x1b[>5u\x1b[=8;2u\x1b[?u", "\x1b[?13u"),
        // What nobody may learn.
        (
            "\x1b]52;c;?\x07\x1b[21t\x1b[20t\x05\x1bP$qm\x1b\\\x1b]0;evil\x07",
            "",
        ),
    ];
    for (query, answer) in cases {
        let mut terminal = Terminal::new(size(80, 24));
        terminal.feed(query.as_bytes());
        let replies = String::from_utf8(terminal.take_replies()).unwrap();
        assert_eq!(replies, answer, "{query:?}");
        assert!(terminal.take_replies().is_empty());
    }
    let mut terminal = Terminal::new(size(80, 24));
    terminal.feed(&b"\x1b[6n".repeat(100_000));
    assert!(terminal.take_replies().len() <= 16 * 1024);
}

#[test]
fn invalid_utf8_is_shown_as_such() {
    let (terminal, _) = after(size(80, 2), b"a\xffb\xc3(c\xe6\xbc\x1b[md\xf0\x9f\x98");
    assert_eq!(screen(&terminal).text(), "a\u{fffd}b\u{fffd}(c\u{fffd}d");
    assert!(!terminal.at_ground(), "half a character has come");
}

#[test]
fn the_ground_is_where_a_notice_may_be_drawn() {
    let mut terminal = Terminal::new(size(80, 24));
    for (output, ground) in [
        ("text", true),
        ("\x1b", false),
        ("[3", false),
        ("1m", true),
        ("\x1b]0;ti", false),
        ("tle\x1b", false),
        ("\\", true),
        ("\x1b[?2026h", false),
        ("drawn at once", false),
        ("\x1b[?2026l", true),
    ] {
        terminal.feed(output.as_bytes());
        assert_eq!(terminal.at_ground(), ground, "after {output:?}");
    }
    terminal.feed(b"\x1b[?2026h");
    assert!(terminal.in_sync_update());
    assert!(screen(&terminal).text().contains("drawn at once"));
    terminal.feed(b"\x1bc");
    assert!(!terminal.in_sync_update());
}

#[test]
fn a_screen_carries_all_that_a_viewer_draws() {
    let (terminal, _) = after(
        size(12, 4),
        "\x1b]2; my \u{202e}title \x07\x1b]4;300;#fff\x07\x1b]11;#010203\x07\x07\x07\
         \x1b[1;31;48;2;9;8;7mr\x1b[m\x1b[4:3;58:5:12mu\x1b[m\
         漢e\u{301}\t\x1b(0q\x1b(B\x1b]8;id=1;https://a.example/\x07L\x1b]8;;file:///etc\x07N\
         \x1b[5 q\x1b[?1h\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b[>1u\r\n0123456789ab"
            .as_bytes(),
    );
    let screen = screen(&terminal);
    let cells = &screen.rows[0].cells;
    assert_eq!(screen.title, "my title");
    assert_eq!(screen.bells, 2);
    assert_eq!(
        screen.palette.iter().collect::<Vec<_>>(),
        [(&257, &[1, 2, 3])]
    );
    let red = Style {
        fg: Color::Indexed(1),
        bg: Color::Rgb(9, 8, 7),
        attrs: Attrs::BOLD,
        ..Style::default()
    };
    assert_eq!((cells[0].ch, cells[0].style), ('r', red));
    let curly = Style {
        underline: Color::Indexed(12),
        attrs: Attrs::CURLY_UNDERLINE,
        ..Style::default()
    };
    assert_eq!((cells[1].ch, cells[1].style), ('u', curly));
    assert_eq!((cells[2].ch, cells[2].width), ('漢', Width::Wide));
    assert_eq!(cells[3].width, Width::Spacer);
    assert_eq!(cells[4].extra.as_ref().unwrap().marks, "\u{301}");
    assert_eq!((cells[5].ch, cells[8].ch), (' ', '─'));
    let link = |x: usize| cells[x].extra.as_ref().and_then(|extra| extra.link.clone());
    assert_eq!(link(9).as_deref(), Some("https://a.example/"));
    assert_eq!((cells[10].ch, link(10)), ('N', None));
    let cursor = screen.cursor;
    assert_eq!((cursor.x, cursor.y, cursor.wrap_pending), (11, 1, true));
    assert_eq!((cursor.shape, cursor.blink), (CursorShape::Bar, true));
    for mode in [
        Modes::APP_CURSOR,
        Modes::BRACKETED_PASTE,
        Modes::MOUSE_DRAG,
        Modes::MOUSE_SGR,
        Modes::KITTY_DISAMBIGUATE,
        Modes::AUTOWRAP,
    ] {
        assert!(screen.modes.contains(mode), "{mode:?}");
    }
}

#[test]
fn history_keeps_looks_links_marks_and_wide_characters() {
    let line = "\x1b[1mbold\x1b[m \x1b]8;;https://a.example\x07link\x1b]8;;\x07 漢字 e\u{301}\ttab   \x1b[44m \x1b[m  \r\n";
    let (mut terminal, mut history) = after(size(80, 2), line.as_bytes());
    terminal.feed("\r\n".repeat(600).as_bytes());
    take_history(&mut terminal, &mut history);
    let runs = &history[0].runs;
    let texts: Vec<&str> = runs.iter().map(|run| run.text.as_str()).collect();
    assert_eq!(
        texts,
        ["bold", " ", "link", " 漢字 e\u{301}        tab   ", " "]
    );
    assert_eq!(runs[0].style.attrs, Attrs::BOLD);
    assert_eq!(runs[2].link.as_deref(), Some("https://a.example"));
    assert_eq!(
        runs[4].style.bg,
        Color::Indexed(4),
        "a coloured blank is seen"
    );
    assert!(history[1].runs.is_empty());
}

#[test]
fn storms_of_marks_titles_and_keyboard_modes_stay_small() {
    let mut terminal = Terminal::new(size(80, 24));
    terminal.feed(b"a");
    terminal.feed("\u{301}".repeat(100_000).as_bytes());
    terminal.feed(&b"\x1b[>1u".repeat(10_000));
    terminal.feed(&b"\x1b]2;t\x07\x1b[22t".repeat(10_000));
    terminal.feed(format!("\x1b]2;{}\x07", "x".repeat(1_000_000)).as_bytes());
    terminal.feed(b"\x1b_G");
    terminal.feed(&vec![b'A'; 1_000_000]);
    terminal.feed(b"\x1b\\");
    let screen = screen(&terminal);
    assert_eq!(terminal.failures(), 0);
    assert_eq!(
        screen.rows[0].cells[0]
            .extra
            .as_ref()
            .unwrap()
            .marks
            .chars()
            .count(),
        8
    );
    assert_eq!(screen.title.len(), 256);
    assert_eq!(screen.text().chars().next(), Some('a'));
}

#[test]
fn blink_overline_and_a_reversed_screen_reach_viewers() {
    let mut terminal = Terminal::new(size(20, 3));
    terminal.feed(
        b"\x1b[5mB\x1b[25mb\x1b[53mO\x1b[55mo\x1b[0;6;53;21mA\x1b[0mn\x1b[4:4;9md\x1b[4:5me\x1b[m\x1b[?5h",
    );
    let mut encoder = Encoder::new();
    encoder.encode(&mut terminal, false);
    let mut viewer = Decoder::new();
    viewer.snapshot(&encoder.snapshot().wire).unwrap();
    let seen = viewer.screen().unwrap();
    let attrs: Vec<Attrs> = seen.rows[0].cells[..8]
        .iter()
        .map(|cell| cell.style.attrs)
        .collect();
    let all = |attrs: &[Attrs]| attrs.iter().copied().fold(Attrs::default(), Attrs::union);
    assert_eq!(
        attrs,
        [
            Attrs::BLINK,
            Attrs::default(),
            Attrs::OVERLINE,
            Attrs::default(),
            all(&[Attrs::BLINK, Attrs::OVERLINE, Attrs::DOUBLE_UNDERLINE]),
            Attrs::default(),
            all(&[Attrs::DOTTED_UNDERLINE, Attrs::STRIKE]),
            all(&[Attrs::DASHED_UNDERLINE, Attrs::STRIKE]),
        ]
    );
    assert!(seen.modes.contains(Modes::REVERSE_VIDEO));
    let mut drawn = Vec::new();
    pillion_screen::emit::emit_full(&[], seen, &mut drawn);
    let mut again = Terminal::new(size(20, 3));
    again.feed(&drawn);
    let shown = screen(&again);
    assert_eq!((&shown.rows, shown.modes), (&seen.rows, seen.modes));

    terminal.feed(b"\x1b[?5l");
    assert!(!screen(&terminal).modes.contains(Modes::REVERSE_VIDEO));
}

#[test]
fn blink_and_overline_stay_in_history() {
    let (mut terminal, mut history) = after(size(20, 2), b"\x1b[5mB\x1b[0;53mO \x1b[mn\r\n");
    terminal.feed("\r\n".repeat(600).as_bytes());
    take_history(&mut terminal, &mut history);
    let runs: Vec<(&str, Attrs)> = history[0]
        .runs
        .iter()
        .map(|run| (run.text.as_str(), run.style.attrs))
        .collect();
    assert_eq!(
        runs,
        [
            ("B", Attrs::BLINK),
            ("O ", Attrs::OVERLINE),
            ("n", Attrs::default())
        ]
    );
}

#[test]
fn a_title_by_esc_k_is_a_title_wherever_it_is_cut() {
    for (output, title) in [
        (&b"a\x1bkname\x1b\\b"[..], "name"),
        (b"a\x1bkname\x07b", "name"),
        ("a\x1bkÜber\x1b\\b".as_bytes(), "Über"),
        (b"a\x1bk\x1b\\b", ""),
        (b"a\x1bk not \x1b]2;other\x07b", "other"),
        (b"a\x1bkstopped\x18b", "before"),
    ] {
        for cut in 0..=output.len() {
            let mut terminal = Terminal::new(size(20, 2));
            terminal.feed(b"\x1b]2;before\x07");
            terminal.feed(&output[..cut]);
            terminal.feed(&output[cut..]);
            let screen = screen(&terminal);
            assert_eq!((screen.text().as_str(), &*screen.title), ("ab", title));
            assert_eq!(screen.bells, 0);
            assert!(terminal.at_ground());
        }
    }
}

#[test]
fn a_title_without_end_takes_little_memory_and_ends_with_the_next_sequence() {
    let mut terminal = Terminal::new(size(20, 2));
    terminal.feed(b"\x1bk");
    for _ in 0..1000 {
        terminal.feed(&[b'x'; 1000]);
    }
    assert!(!terminal.at_ground());
    terminal.feed(b"\x1b[mtext");
    let screen = screen(&terminal);
    assert_eq!(screen.text(), "text");
    assert_eq!(screen.title, "x".repeat(256));
}

#[test]
fn a_dcs_leaks_no_text_wherever_it_is_cut() {
    let output = "a\x1bPq\"1;1;1Ü日本\x07\u{9c}x\x1b\\b".as_bytes();
    for cut in 0..=output.len() {
        let mut terminal = Terminal::new(size(20, 2));
        terminal.feed(&output[..cut]);
        terminal.feed(&output[cut..]);
        assert_eq!(screen(&terminal).text(), "ab", "cut at {cut}");
    }
}

/// terminfo's `is2` has DECCOLM, which terminals that aren't allowed to change their width ignore.
#[test]
fn a_change_of_columns_clears_the_screen_only_where_it_is_allowed() {
    for (output, text) in [
        ("kept\x1b[!p\x1b[?3;4l\x1b[4l\x1b>", "kept"),
        ("lost\x1b[?40h\x1b[3;5r\x1b[?3lnew", "new"),
        ("lost\x1b[?40h\x1b[?3hnew", "new"),
        ("kept\x1b[?40h\x1b[?40l\x1b[?3l", "kept"),
    ] {
        let (terminal, _) = after(size(20, 8), output.as_bytes());
        assert_eq!(screen(&terminal).text(), text, "{output:?}");
    }
}

#[test]
fn modes_are_answered_as_they_are() {
    for (query, answer) in [
        ("\x1b[?5h\x1b[?5$p", "\x1b[?5;1$y"),
        ("\x1b[?5$p", "\x1b[?5;2$y"),
        ("\x1b[?47h\x1b[?47$p", "\x1b[?47;1$y"),
        ("\x1b[?1047$p", "\x1b[?1047;2$y"),
        ("\x1b[4h\x1b[!p\x1b[4$p", "\x1b[4;2$y"),
        ("\x1b[3;9r\x1b[?6h\x1b[!p\x1b[?6$p", "\x1b[?6;2$y"),
        ("\x1b[?25l\x1b[!p\x1b[?25$p", "\x1b[?25;1$y"),
    ] {
        let mut terminal = Terminal::new(size(80, 24));
        terminal.feed(query.as_bytes());
        let replies = String::from_utf8(terminal.take_replies()).unwrap();
        assert_eq!(replies, answer, "{query:?}");
    }
}
