//! Cleaned text is short, shows nothing it must not, and stays as it is when cleaned again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_screen::clean::{
    allowed_link, clean_name, clean_text, clean_title, is_clean_char, show_link,
};

fuzz_target!(|input: (&str, u8)| {
    let (text, max) = (input.0, usize::from(input.1));
    for clean in [clean_name, clean_text, clean_title] {
        let once = clean(text, max);
        assert!(once.chars().count() <= max);
        assert!(once.chars().all(|ch| ch == '\n' || is_clean_char(ch)));
        assert_eq!(clean(&once, max), once);
    }
    let shown = show_link(text, max.max(1));
    assert!(shown.chars().count() <= max.max(1));
    assert!(shown.is_empty() || allowed_link(text));
});
