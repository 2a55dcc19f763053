//! Reading a snapshot never panics, and what is read can be shown by writing it again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_screen::{Damage, Decoder, Encoder};

fuzz_target!(|bytes: &[u8]| {
    let _ = Decoder::new().snapshot(bytes);
    let mut log = Decoder::new();
    if log.apply_raw(bytes).is_err() {
        return;
    }
    let screen = log.screen().expect("it was read");
    let mut encoder = Encoder::new();
    encoder.encode_screen(screen, &Damage::all(screen.size), true);
    let mut viewer = Decoder::new();
    viewer.snapshot(&encoder.snapshot().wire).expect("our own snapshot");
    assert_eq!(viewer.screen(), Some(screen));
});
