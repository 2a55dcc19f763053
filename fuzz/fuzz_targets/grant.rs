//! Reading a grant never panics, and what is read encodes to the very bytes it was read from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_caps::{Grant, MAX_BLOCKS, MAX_GRANT_BYTES, Refusal};

fuzz_target!(|bytes: &[u8]| {
    let Ok(grant) = Grant::from_bytes(bytes) else {
        return;
    };
    assert!(bytes.len() <= MAX_GRANT_BYTES);
    assert_eq!(grant.to_bytes(), bytes);
    assert!((1..=MAX_BLOCKS).contains(&grant.chain().count()));
    assert_eq!(grant.chain().last(), Some((grant.id(), grant.terms())));
    // No malformed grant gets past reading.
    assert!(!matches!(grant.verify(), Err(Refusal::Malformed(_))));
});
