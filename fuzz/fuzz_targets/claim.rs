//! Reading a claim, and verifying it, never panics; what is read encodes to the very bytes it was read
//! from; and nobody is believed but by a signature, which a fuzzer doesn't find.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pillion_caps::{PublicKey, SecretKey, UnixMillis};
use pillion_people::{Claim, Jwks, MAX_CLAIM, Membership, Removals, Trust, TrustedIssuer, verify};

static IDENTITY: LazyLock<PublicKey> = LazyLock::new(|| SecretKey::from_bytes(&[1; 32]).public());

static TRUST: LazyLock<Trust> = LazyLock::new(|| Trust {
    issuers: vec![TrustedIssuer {
        issuer: "https://issuer.example".parse().unwrap(),
        client_id: "pillion".to_owned(),
        keys: Jwks::parse(include_bytes!("../../crates/people/src/oidc/jwks.json")).ok(),
    }],
    removals: Vec::new(),
});

fuzz_target!(|bytes: &[u8]| {
    let now = UnixMillis(1_800_000_000_000);
    let verdict = verify(bytes, &IDENTITY, &IDENTITY, now, &TRUST);
    // With bytes of the tests as seeds the one with a good ID token or membership is believed.
    if let Ok(who) = verdict {
        assert_eq!(who.to_string().parse(), Ok(who));
    }
    if let Ok(claim) = Claim::from_bytes(bytes) {
        assert!(bytes.len() <= MAX_CLAIM);
        assert_eq!(claim.to_bytes(), bytes);
    }
    if let Ok(membership) = Membership::from_bytes(bytes) {
        assert_eq!(membership.to_bytes(), bytes);
    }
    if let Ok(removals) = Removals::from_bytes(bytes) {
        assert_eq!(removals.to_bytes(), bytes);
    }
});
