//! A conversation, as its log has it: an entry a line. Folding in parts is folding at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_conversation::{Conversation, Masker};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let mut masker = Masker::new([("A_TOKEN", "sk-0123456789")]);
    let mut whole = Conversation::new();
    let mut parts = Conversation::new();
    for (at, line) in text.lines().enumerate() {
        let masked = masker.mask(line);
        assert!(!masked.contains("sk-0123456789"));
        if at % 3 == 2 {
            parts = Conversation::from_snapshot(&parts.snapshot()).expect("it was made here");
        }
        whole.apply_text(&masked);
        parts.apply_text(&masked);
    }
    assert_eq!(whole, parts);
});
