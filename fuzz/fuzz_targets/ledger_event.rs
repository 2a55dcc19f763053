//! Reading an event never panics and has one encoding; replaying any never panics, and twice in a
//! row is as once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_caps::{Ledger, LedgerEvent, SecretKey};

fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = LedgerEvent::from_bytes(bytes) else {
        return;
    };
    assert_eq!(event.to_bytes(), bytes);
    let session = match &event {
        LedgerEvent::Issued(grant) | LedgerEvent::Redeemed { grant, .. } => grant.session(),
        _ => SecretKey::from_bytes(&[1; 32]).public(),
    };
    let once = Ledger::replay(session, [event.clone()]);
    let twice = Ledger::replay(session, [event.clone(), event]);
    assert_eq!(once, twice);
});
