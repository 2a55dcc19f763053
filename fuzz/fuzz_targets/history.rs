//! Reading history never panics, and what is read can be written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_screen::{LineId, decode_lines, history::encode_lines};

fuzz_target!(|bytes: &[u8]| {
    let Some((&count, bytes)) = bytes.split_first() else {
        return;
    };
    let Ok(lines) = decode_lines(LineId(1), u32::from(count), bytes) else {
        return;
    };
    assert_eq!(lines.len(), usize::from(count));
    let again: Vec<_> = encode_lines(&lines)
        .iter()
        .flat_map(|chunk| chunk.lines().expect("our own history is readable"))
        .collect();
    // Neighbouring runs of one look are written as one, so only the text must be the same.
    assert!(again.iter().zip(&lines).all(|(again, line)| again.text() == line.text()));
    assert_eq!(again.len(), lines.len());
});
