//! The screen codec: what viewers end up with, whatever happens in between.
#![cfg(feature = "emulator")]

mod common;

use std::sync::OnceLock;

use common::{Seed, Taste, evolve};
use pillion_screen::{
    Color, DecodeError, Decoder, EncodedFrame, Encoder, MAX_WIRE, Screen, Size, Terminal,
};
use proptest::prelude::*;

fn size(cols: u16, rows: u16) -> Size {
    Size::new(cols, rows).unwrap()
}

/// A host and viewers that join, leave and fall behind at random.
struct World {
    seed: Seed,
    taste: Taste,
    screen: Screen,
    encoder: Encoder,
    in_step: Vec<Decoder>,
    joining: Vec<Decoder>,
    log: Decoder,
}

impl World {
    fn new(seed: u64, taste: Taste) -> World {
        World {
            seed: Seed(seed),
            taste,
            screen: Screen::blank(size(40, 12)),
            encoder: Encoder::new(),
            in_step: Vec::new(),
            joining: Vec::new(),
            log: Decoder::new(),
        }
    }

    fn step(&mut self) {
        let damage = evolve(&mut self.seed, &mut self.screen, self.taste);
        let reset = !self.joining.is_empty();
        let frame = self.encoder.encode_screen(&self.screen, &damage, reset);
        if self.taste == Taste::Common {
            assert_eq!(
                self.encoder.screen(),
                &self.screen,
                "the encoder's own picture"
            );
        }
        match frame {
            Some(frame) => self.deliver(&frame),
            None => assert!(!reset, "a reset is always sent"),
        }
        for viewer in self.in_step.iter().chain(&self.joining).chain([&self.log]) {
            assert_eq!(viewer.screen(), Some(self.encoder.screen()));
        }
        if self.seed.chance(4) {
            let mut viewer = Decoder::new();
            viewer.snapshot(&self.encoder.snapshot().wire).unwrap();
            assert_eq!(viewer.screen(), Some(self.encoder.screen()));
            self.joining.push(viewer);
        }
        if self.seed.chance(10) {
            self.in_step.pop();
        }
    }

    fn deliver(&mut self, frame: &EncodedFrame) {
        self.in_step.append(&mut self.joining);
        for viewer in &mut self.in_step {
            let before = viewer.screen().cloned().unwrap();
            let damage = viewer.frame(&frame.wire, frame.reset).unwrap();
            let after = viewer.screen().unwrap();
            for (y, row) in (0..).zip(&after.rows) {
                let same = before.rows.get(usize::from(y)) == Some(row);
                assert!(same || damage.rows.contains(y), "row {y} changed untold");
            }
        }
        self.log.apply_raw(&frame.raw).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_viewer_has_the_hosts_screen_at_every_frame(seed: u64) {
        let mut world = World::new(seed, Taste::Common);
        for _ in 0..60 {
            world.step();
        }
    }

    #[test]
    fn what_no_emulator_should_make_is_cleaned_on_both_sides_alike(seed: u64) {
        let mut world = World::new(seed, Taste::Nasty);
        for _ in 0..60 {
            world.step();
        }
        for row in &world.encoder.screen().rows {
            prop_assert!(row.cells.iter().all(|cell| !cell.ch.is_control()));
        }
    }
}

/// What a program might write, some of it nonsense.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let sequence = prop_oneof![
        "[ -~]{0,30}".prop_map(String::into_bytes),
        "(\r?\n){1,4}".prop_map(String::into_bytes),
        "(漢|é|e\u{301}|👍|\t|\u{8}|\u{202e}){1,4}".prop_map(String::into_bytes),
        "\u{1b}\\[[0-9]{0,2}(;[0-9]{1,3}){0,3}[A-HJ-MPSTXZ@abdefhlmr]".prop_map(String::into_bytes),
        "\u{1b}\\[\\?(7|6|1|25|1000|1049|2004|2026)[hl]".prop_map(String::into_bytes),
        "\u{1b}(\\]2;[a-z]{0,5}\u{7}|\\]8;;(http://[a-z]{1,3})?\u{7}|M|D|E|7|8|c|\\(0|\\(B|#8)"
            .prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(sequence, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn viewers_see_what_the_terminal_shows(
        steps in proptest::collection::vec((output(), proptest::option::weighted(0.1, (1u16..60, 1u16..30))), 1..20),
    ) {
        let mut terminal = Terminal::new(size(20, 8));
        let mut encoder = Encoder::new();
        encoder.encode(&mut terminal, false);
        let mut viewer = Decoder::new();
        viewer.snapshot(&encoder.snapshot().wire).unwrap();
        let mut reset = true;
        let mut shown = Screen::blank(size(1, 1));
        for (bytes, resize) in steps {
            terminal.feed(&bytes);
            if let Some((cols, rows)) = resize {
                terminal.resize(size(cols, rows));
            }
            if let Some(frame) = encoder.encode(&mut terminal, reset) {
                viewer.frame(&frame.wire, frame.reset).unwrap();
                reset = false;
            }
            prop_assert!(!terminal.dirty());
            terminal.capture(&mut shown);
            prop_assert_eq!(viewer.screen(), Some(&shown));
        }
    }
}

/// One whole-screen frame, then small ones: bytes worth damaging.
fn recording(seed: u64) -> Vec<EncodedFrame> {
    let mut seed = Seed(seed);
    let mut screen = Screen::blank(size(30, 8));
    let mut encoder = Encoder::new();
    let mut frames = Vec::new();
    while frames.len() < 12 {
        let damage = evolve(&mut seed, &mut screen, Taste::Common);
        frames.extend(encoder.encode_screen(&screen, &damage, frames.len() % 5 == 0));
    }
    frames.push(encoder.snapshot());
    frames
}

#[test]
fn a_frame_needs_a_snapshot_and_then_a_reset() {
    let mut screen = Screen::blank(size(10, 2));
    let mut encoder = Encoder::new();
    let all = pillion_screen::Damage::all(screen.size);
    encoder.encode_screen(&screen, &all, false).unwrap();
    let snapshot = encoder.snapshot();
    screen.rows[0].cells[0].ch = 'a';
    let plain = encoder.encode_screen(&screen, &all, false).unwrap();
    let mut viewer = Decoder::new();
    assert_eq!(
        viewer.frame(&plain.wire, true),
        Err(DecodeError::NeedSnapshot)
    );
    viewer.snapshot(&snapshot.wire).unwrap();
    assert_eq!(
        viewer.frame(&plain.wire, false),
        Err(DecodeError::NeedReset)
    );
    assert!(viewer.frame(b"nonsense", true).is_err());
    assert_eq!(
        viewer.frame(&plain.wire, true),
        Err(DecodeError::NeedSnapshot)
    );
    viewer.snapshot(&encoder.snapshot().wire).unwrap();
    assert_eq!(viewer.screen(), Some(encoder.screen()));
    assert_eq!(encoder.encode_screen(&screen, &all, false), None);
    let reset = encoder.encode_screen(&screen, &all, true).unwrap();
    viewer.frame(&reset.wire, true).unwrap();
}

/// A picture: every cell in a colour of its own.
fn picture(screen: &mut Screen, hue: u8) {
    for (row, y) in screen.rows.iter_mut().zip(0u16..) {
        for (cell, x) in row.cells.iter_mut().zip(0u16..) {
            cell.ch = '▀';
            cell.style.fg = Color::Rgb(x as u8, (x >> 8) as u8 | hue, y as u8);
            cell.style.bg = Color::Rgb(y as u8, hue, x as u8);
        }
    }
}

#[test]
fn pictures_use_up_the_pens_and_still_arrive() {
    let mut screen = Screen::blank(size(100, 60));
    let mut encoder = Encoder::new();
    let all = pillion_screen::Damage::all(screen.size);
    encoder.encode_screen(&screen, &all, false).unwrap();
    let mut viewer = Decoder::new();
    viewer.snapshot(&encoder.snapshot().wire).unwrap();
    for hue in 1..5 {
        picture(&mut screen, hue << 4);
        let frame = encoder.encode_screen(&screen, &all, hue == 1).unwrap();
        assert_eq!(encoder.encode_screen(&screen, &all, false), None);
        viewer.frame(&frame.wire, frame.reset).unwrap();
        assert_eq!(viewer.screen(), Some(&screen));
    }
    let mut joiner = Decoder::new();
    joiner.snapshot(&encoder.snapshot().wire).unwrap();
    assert_eq!(joiner.screen(), Some(&screen));
}

#[test]
fn the_smallest_screen_may_become_the_largest() {
    let mut terminal = Terminal::new(size(1, 1));
    let mut encoder = Encoder::new();
    encoder.encode(&mut terminal, false);
    let mut viewer = Decoder::new();
    viewer.snapshot(&encoder.snapshot().wire).unwrap();
    for (cols, rows) in [(Size::MAX_COLS, Size::MAX_ROWS), (1, 1), (80, 24)] {
        terminal.resize(size(cols, rows));
        let frame = encoder.encode(&mut terminal, true).unwrap();
        viewer.frame(&frame.wire, true).unwrap();
        assert_eq!(viewer.screen(), Some(encoder.screen()));
    }
}

#[test]
fn the_largest_picture_arrives_with_the_colours_there_is_room_for() {
    let mut screen = Screen::blank(size(Size::MAX_COLS, Size::MAX_ROWS));
    picture(&mut screen, 0x40);
    let mut encoder = Encoder::new();
    let all = pillion_screen::Damage::all(screen.size);
    let frame = encoder.encode_screen(&screen, &all, false).unwrap();
    assert!(frame.wire.len() <= MAX_WIRE);
    let mut log = Decoder::new();
    log.apply_raw(&frame.raw).unwrap();
    assert_eq!(log.screen(), Some(encoder.screen()));
    assert_eq!(log.screen().unwrap().rows[0], screen.rows[0]);
    assert_eq!(log.screen().unwrap().text(), screen.text());
    let snapshot = encoder.snapshot();
    assert!(snapshot.wire.len() <= MAX_WIRE);
    let mut joiner = Decoder::new();
    joiner.snapshot(&snapshot.wire).unwrap();
    assert_eq!(joiner.screen(), Some(encoder.screen()));
}

/// A body made by hand, as only a malicious host makes them.
fn refused(body: &[u8]) -> DecodeError {
    let mut viewer = started();
    viewer.apply_raw(body).unwrap_err()
}

#[test]
fn a_frame_that_only_keeps_its_viewer_busy_is_refused() {
    // SCROLL_UP 0 8 8, over and over.
    let mut body = [4, 0, 8, 8].repeat(1_000_000);
    body.push(0);
    assert_eq!(refused(&body), DecodeError::TooMuchWork);
    // RESIZE to and fro.
    let mut body = [2, 0xe8, 7, 0xf4, 3, 2, 1, 1].repeat(100_000);
    body.push(0);
    assert_eq!(refused(&body), DecodeError::TooMuchWork);
}

#[test]
fn every_cut_frame_is_refused() {
    for frame in recording(1) {
        for cut in 0..frame.raw.len() {
            let mut log = started();
            assert!(log.apply_raw(&frame.raw[..cut]).is_err(), "cut at {cut}");
        }
        for cut in 0..frame.wire.len() {
            assert!(started().snapshot(&frame.wire[..cut]).is_err());
            let mut viewer = started();
            assert!(viewer.frame(&frame.wire[..cut], true).is_err());
        }
    }
}

/// A viewer with a screen, ready for a frame that resets the context.
fn started() -> Decoder {
    static SNAPSHOT: OnceLock<EncodedFrame> = OnceLock::new();
    let snapshot = SNAPSHOT.get_or_init(|| {
        let screen = Screen::blank(size(30, 8));
        let mut encoder = Encoder::new();
        encoder.encode_screen(&screen, &pillion_screen::Damage::all(screen.size), false);
        encoder.snapshot()
    });
    let mut viewer = Decoder::new();
    viewer.snapshot(&snapshot.wire).unwrap();
    viewer
}

/// What must hold of a viewer's screen whatever it was sent.
fn assert_well_formed(screen: &Screen) {
    use pillion_screen::Width;
    assert_eq!(screen.rows.len(), usize::from(screen.size.rows()));
    assert!(screen.cursor.x < screen.size.cols() && screen.cursor.y < screen.size.rows());
    for row in &screen.rows {
        assert_eq!(row.cells.len(), usize::from(screen.size.cols()));
        let mut wide = false;
        for cell in &row.cells {
            assert_eq!(cell.width == Width::Spacer, wide);
            wide = cell.width == Width::Wide;
            assert!(pillion_screen::clean::is_clean_char(cell.ch));
        }
        assert!(!wide);
    }
}

fn feed_damaged(bytes: &[u8]) {
    for viewer in [
        &mut |viewer: &mut Decoder| viewer.apply_raw(bytes).map(drop),
        &mut |viewer: &mut Decoder| viewer.frame(bytes, true).map(drop),
        &mut |viewer: &mut Decoder| viewer.snapshot(bytes),
    ] as [&mut dyn FnMut(&mut Decoder) -> Result<(), DecodeError>; 3]
    {
        let mut decoder = started();
        let result = viewer(&mut decoder);
        assert_well_formed(decoder.screen().unwrap());
        if result.is_err() {
            assert_eq!(decoder.frame(bytes, true), Err(DecodeError::NeedSnapshot));
        }
    }
}

#[test]
fn flipped_bits_never_panic_and_leave_a_well_formed_screen() {
    for frame in recording(2) {
        for bytes in [&frame.raw, &frame.wire] {
            for at in 0..bytes.len() {
                for flip in [0x01, 0x10, 0x80] {
                    let mut damaged = bytes.to_vec();
                    damaged[at] ^= flip;
                    feed_damaged(&damaged);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        feed_damaged(&bytes);
    }

    #[test]
    fn random_operations_leave_a_well_formed_screen(
        // Tags and operands are mostly small: random bytes rarely get past the first operation.
        bytes in proptest::collection::vec(0u8..40, 0..200),
    ) {
        let mut bytes = bytes;
        bytes.push(0);
        feed_damaged(&bytes);
    }
}

/// What random outputs found, each step with the size after it.
#[test]
fn viewers_see_what_the_terminal_shows_after_a_resize_beneath_the_other_screen() {
    let saved_low = (&b"\x1b[8;1Hh\x1b[?1049h"[..], None);
    for steps in [
        // The scrollback is cleared there, and the screen grows.
        [
            (&b"\n\n\n\n\n\n\n\nh\x1b[?1049h"[..], None),
            (b"\x1b[3J", Some((1, 9))),
            (b"\x1b[?1049l", None),
        ],
        // The cursor that is to be brought back was where the screen no longer is.
        [saved_low, (b"", Some((5, 3))), (b"\x1b[?1049l", None)],
    ] {
        let mut terminal = Terminal::new(size(20, 8));
        let mut encoder = Encoder::new();
        encoder.encode(&mut terminal, false);
        let mut viewer = Decoder::new();
        viewer.snapshot(&encoder.snapshot().wire).unwrap();
        let mut shown = Screen::blank(size(1, 1));
        let mut reset = true;
        for (bytes, resize) in steps {
            terminal.feed(bytes);
            if let Some((cols, rows)) = resize {
                terminal.resize(size(cols, rows));
            }
            if let Some(frame) = encoder.encode(&mut terminal, reset) {
                viewer.frame(&frame.wire, frame.reset).unwrap();
                reset = false;
            }
            terminal.capture(&mut shown);
            assert_eq!(viewer.screen(), Some(&shown));
        }
        // An emulator that had panicked would be a blank one.
        let mut cells = shown.rows.iter().flat_map(|row| &row.cells);
        assert!(cells.any(|cell| cell.ch == 'h'), "{shown:?}");
    }
}
