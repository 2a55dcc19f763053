//! Whatever a host sends as frames, a viewer keeps a well-formed, clean screen.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_screen::{Damage, Decoder, Encoder, Screen, Size, Width, clean::is_clean_char};

fuzz_target!(|bodies: Vec<Vec<u8>>| {
    let blank = Screen::blank(Size::clamped(20, 5));
    let mut encoder = Encoder::new();
    encoder.encode_screen(&blank, &Damage::all(blank.size), true);
    let snapshot = encoder.snapshot();
    let mut viewer = Decoder::new();
    viewer.snapshot(&snapshot.wire).expect("our own snapshot");
    let mut log = Decoder::new();
    log.apply_raw(&snapshot.raw).expect("our own snapshot");
    for (index, body) in bodies.iter().enumerate() {
        let _ = log.apply_raw(body);
        let _ = viewer.frame(body, index == 0);
        for decoder in [&log, &viewer] {
            check(decoder.screen().expect("it had a screen"));
        }
    }
});

fn check(screen: &Screen) {
    assert_eq!(screen.rows.len(), usize::from(screen.size.rows()));
    assert!(screen.cursor.x < screen.size.cols() && screen.cursor.y < screen.size.rows());
    for row in &screen.rows {
        assert_eq!(row.cells.len(), usize::from(screen.size.cols()));
        let mut wide = false;
        for cell in &row.cells {
            assert_eq!(cell.width == Width::Spacer, wide);
            wide = cell.width == Width::Wide;
            assert!(is_clean_char(cell.ch));
        }
        assert!(!wide);
    }
}
