//! What a terminal sends is cut into events that have every byte once, holding little; and a host's
//! program gets what came, in order, less what was for us.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pillion_session::Now;
use pillion_tui::{
    HostAction, HostUi, Prefix,
    keys::{MAX_SEQUENCE, Tokenizer},
};

fuzz_target!(|chunks: Vec<&[u8]>| {
    let mut tokenizer = Tokenizer::new();
    let mut seen = Vec::new();
    let mut host = HostUi::new(Prefix::default());
    let mut forwarded = Vec::new();
    for (at, chunk) in chunks.iter().enumerate() {
        tokenizer.feed(chunk, |_, raw| seen.extend_from_slice(raw));
        assert!(tokenizer.held().len() <= MAX_SEQUENCE);
        if chunk.len() % 3 == 0 {
            tokenizer.timeout(|_, raw| seen.extend_from_slice(raw));
        }
        for action in host.keys(Now::default(), &Bytes::copy_from_slice(chunk), at % 2 == 1) {
            if let HostAction::Forward(bytes) = action {
                forwarded.extend_from_slice(&bytes);
            }
        }
    }
    seen.extend_from_slice(tokenizer.held());
    let all = chunks.concat();
    assert_eq!(seen, all);
    let mut rest = all.iter();
    assert!(forwarded.iter().all(|byte| rest.any(|came| came == byte)));
});
