//! Bytes that must not change: what this version writes, every later one must read.
#![cfg(feature = "emulator")]
#![allow(clippy::disallowed_methods, reason = "golden bytes are kept in a file")]

mod common;

use std::{fmt::Write as _, path::Path, sync::Arc};

use common::{Seed, Taste, evolve};
use data_encoding::HEXLOWER;
use pillion_screen::{
    Attrs, Cell, Color, CursorShape, Damage, Decoder, Encoder, Extra, LineId, LineSpan, Modes,
    Screen, Size, Style, Width, Wrap,
};

/// A name, a change, and the body it makes on a screen of 12×4 (tables: `body.rs`, `wire.rs`).
type Golden = (&'static str, fn(&mut Screen), &'static str);

const OPERATIONS: [Golden; 19] = [
    (
        "a key is echoed",
        |s| write(s, 0, 0, "a", Style::default()),
        "06 00 00 18 61 09 00 01 00",
    ),
    (
        "a new pen",
        |s| write(s, 2, 1, "ab", RED),
        "06 02 01 2c 01 01 01 61 62 09 02 03 00",
    ),
    (
        "a known pen, attributes",
        |s| {
            write(s, 0, 1, "c", RED);
            write(s, 0, 2, "d", BOLD);
            s.cursor.x = 1;
        },
        "06 00 01 14 01 63 1c 02 4a 01 02 03 01 02 03 01 64 09 00 01 00",
    ),
    (
        "a fill",
        |s| write(s, 3, 0, "=========!", Style::default()),
        "06 03 00 92 01 3d 18 21 09 03 0a 00",
    ),
    (
        "a fill to the end",
        |s| {
            for cell in &mut s.rows[3].cells {
                *cell = Cell {
                    style: RED,
                    ..Cell::default()
                };
            }
        },
        "06 03 00 0e 01 20 00",
    ),
    (
        "wide characters",
        |s| {
            s.rows[1].cells[0] = Cell {
                ch: '漢',
                width: Width::Wide,
                ..Cell::default()
            };
            s.rows[1].cells[1] = Cell {
                width: Width::Spacer,
                ..Cell::default()
            };
        },
        "06 01 00 19 e6 bc a2 00",
    ),
    (
        "marks and a link",
        |s| {
            s.rows[1].cells[4].ch = 'e';
            s.rows[1].cells[4].extra = Some(Arc::new(Extra {
                marks: "\u{301}".to_owned(),
                link: Some(Arc::from("http://a")),
            }));
        },
        "06 01 04 1f 03 80 08 68 74 74 70 3a 2f 2f 61 04 65 cc 81 00",
    ),
    (
        "two spans",
        |s| {
            write(s, 1, 3, "x", Style::default());
            write(s, 1, 11, "y", Style::default());
            s.cursor = Default::default();
            s.cursor.visible = true;
        },
        "06 01 03 18 78 06 00 0b 18 79 09 00 00 00",
    ),
    ("a wrapped row", |s| s.rows[1].wrap = Wrap::Full, "07 01 00"),
    (
        "a row no longer wrapped",
        |s| s.rows[1].wrap = Wrap::Ends,
        "08 01 00",
    ),
    (
        "a row wrapped before a wide character",
        |s| s.rows[1].wrap = Wrap::Early,
        "11 01 00",
    ),
    (
        "the cursor's look",
        |s| {
            s.cursor.visible = false;
            s.cursor.shape = CursorShape::Bar;
        },
        "0a 10 00",
    ),
    (
        "modes",
        |s| s.modes = Modes::AUTOWRAP.union(Modes::BRACKETED_PASTE),
        "0b 84 20 00",
    ),
    (
        "a title",
        |s| s.title = "vim".to_owned(),
        "0c 03 76 69 6d 00",
    ),
    (
        "a colour",
        |s| {
            s.palette.insert(257, [1, 2, 3]);
        },
        "0d 81 02 01 02 03 00",
    ),
    (
        "a colour again as it was",
        |s| s.palette.clear(),
        "0e 81 02 00",
    ),
    (
        "lines",
        |s| {
            s.lines = LineSpan {
                oldest: LineId(1),
                settled: LineId(2),
                top: LineId(100),
                top_offset: 1,
            };
        },
        "0f 02 04 c8 01 01 00",
    ),
    ("bells", |s| s.bells += 3, "10 03 00"),
    (
        "blinking, overlined and underlined in five ways",
        |s| {
            for (x, attr) in (0..).zip([
                Attrs::BLINK,
                Attrs::OVERLINE,
                Attrs::UNDERLINE,
                Attrs::DOUBLE_UNDERLINE,
                Attrs::CURLY_UNDERLINE,
                Attrs::DOTTED_UNDERLINE,
                Attrs::DASHED_UNDERLINE,
            ]) {
                let pen = Style {
                    attrs: attr,
                    ..Style::default()
                };
                write(s, 2, x, "x", pen);
            }
        },
        "06 02 00 14 04 40 80 02 78 14 05 40 80 20 78 14 06 40 08 78 14 07 40 10 78 14 08 40 20 78 14 09 40 40 78 \
         1c 0a 40 80 01 78 09 02 07 00",
    ),
];

const RED: Style = Style {
    fg: Color::Indexed(1),
    bg: Color::Default,
    underline: Color::Default,
    attrs: Attrs(0),
};

const BOLD: Style = Style {
    fg: Color::Rgb(1, 2, 3),
    bg: Color::Rgb(1, 2, 3),
    underline: Color::Default,
    attrs: Attrs::BOLD,
};

fn write(screen: &mut Screen, y: u16, x: u16, text: &str, style: Style) {
    for (ch, x) in text.chars().zip(usize::from(x)..) {
        screen.rows[usize::from(y)].cells[x] = Cell {
            ch,
            style,
            ..Cell::default()
        };
    }
    screen.cursor.y = y;
    screen.cursor.x = (x + text.len() as u16).min(screen.size.cols() - 1);
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

#[test]
fn every_operation_has_its_bytes() {
    let mut screen = Screen::blank(Size::new(12, 4).unwrap());
    let mut encoder = Encoder::new();
    let mut viewer = Decoder::new();
    let all = Damage::all(screen.size);
    let first = encoder.encode_screen(&screen, &all, false).unwrap();
    assert_eq!(hex(&first.raw), "01 0c 04 00");
    viewer.apply_raw(&first.raw).unwrap();
    for (name, change, golden) in OPERATIONS {
        change(&mut screen);
        let frame = encoder.encode_screen(&screen, &all, false).unwrap();
        assert_eq!(hex(&frame.raw), golden, "{name}");
        viewer.apply_raw(&frame.raw).unwrap();
        assert_eq!(viewer.screen(), Some(&screen), "{name}");
    }
    let reset = encoder.encode_screen(&screen, &all, true).unwrap();
    assert_eq!(hex(&reset.raw), "03 00");
}

#[test]
fn moves_and_resizes_have_their_bytes() {
    let mut screen = Screen::blank(Size::new(20, 4).unwrap());
    for (y, text) in (0..).zip([
        "alpha alpha alpha",
        "beta beta beta bet",
        "gamma gamma gam",
        "delta delta",
    ]) {
        write(&mut screen, y, 0, text, Style::default());
    }
    let mut encoder = Encoder::new();
    encoder
        .encode_screen(&screen, &Damage::all(screen.size), false)
        .unwrap();
    let mut frame = |screen: &Screen| {
        let frame = encoder.encode_screen(screen, &Damage::all(screen.size), false);
        hex(&frame.unwrap().raw)
    };
    screen.rows.rotate_left(1);
    screen.rows[3] = pillion_screen::Row::blank(20);
    assert_eq!(frame(&screen), "04 00 04 01 00");
    screen.rows.rotate_right(1);
    assert_eq!(frame(&screen), "05 00 04 01 00");
    let smaller = Size::new(20, 3).unwrap();
    screen.size = smaller;
    screen.rows.truncate(3);
    screen.cursor.y = 2;
    assert_eq!(frame(&screen), "02 14 03 00");
}

/// A session of some frames: the bodies must be written as ever, and the compressed frames, which
/// another version of zstd may write differently, be read as ever.
#[test]
fn a_session_is_written_and_read_as_ever() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/session.txt");
    let (written, screens) = session();
    if std::env::var_os("PILLION_BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    let bodies = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with("raw"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        bodies(&written),
        bodies(&golden),
        "frames are written differently; on purpose? PILLION_BLESS=1 cargo test -p pillion-screen --test golden"
    );
    let mut viewer = Decoder::new();
    let mut log = Decoder::new();
    let mut expected = screens.iter();
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let kind = words.next().unwrap();
        let bytes = HEXLOWER.decode(words.next().unwrap().as_bytes()).unwrap();
        match kind {
            "raw" => drop(log.apply_raw(&bytes).unwrap()),
            "snapshot" => viewer.snapshot(&bytes).unwrap(),
            "reset" | "frame" => drop(viewer.frame(&bytes, kind == "reset").unwrap()),
            other => panic!("{other}?"),
        }
        if kind != "raw" {
            let screen = expected.next();
            assert_eq!(viewer.screen(), screen);
            assert_eq!(log.screen(), screen);
        }
    }
    assert_eq!(expected.next(), None);
}

/// The session's golden file, and the screen after each line that is not a body.
fn session() -> (String, Vec<Screen>) {
    let mut text = "# raw: a body; snapshot, reset, frame: the same, compressed\n".to_owned();
    let mut seed = Seed(2026);
    let mut screen = Screen::blank(Size::new(32, 6).unwrap());
    let mut encoder = Encoder::new();
    let mut screens = Vec::new();
    encoder
        .encode_screen(&screen, &Damage::all(screen.size), false)
        .unwrap();
    for index in 0..20 {
        if index % 10 == 0 {
            let snapshot = encoder.snapshot();
            let _ = writeln!(text, "raw {}", HEXLOWER.encode(&snapshot.raw));
            let _ = writeln!(text, "snapshot {}", HEXLOWER.encode(&snapshot.wire));
            screens.push(encoder.screen().clone());
        }
        let damage = evolve(&mut seed, &mut screen, Taste::Common);
        if let Some(frame) = encoder.encode_screen(&screen, &damage, index % 10 == 0) {
            let kind = if frame.reset { "reset" } else { "frame" };
            let _ = writeln!(text, "raw {}", HEXLOWER.encode(&frame.raw));
            let _ = writeln!(text, "{kind} {}", HEXLOWER.encode(&frame.wire));
            screens.push(encoder.screen().clone());
        }
    }
    (text, screens)
}
