//! An ssh-agent's answers, signatures and key files are read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_people::{Jwks, SshKey, SshSecret, SshSignature, agent};

fuzz_target!(|bytes: &[u8]| {
    let _ = agent::read_list(bytes);
    let _ = agent::read_signature(bytes);
    let _ = Jwks::parse(bytes);
    if let Ok(key) = SshKey::from_blob(bytes) {
        assert_eq!(key.to_blob(), bytes);
    }
    if let Ok(signature) = SshSignature::from_bytes(bytes) {
        assert_eq!(signature.to_bytes(), bytes);
    }
    if let Ok(secret) = SshSecret::parse(bytes) {
        let key = secret.key().unwrap();
        assert_eq!(secret.sign(b"message").unwrap().verify(b"message"), Ok(key));
    }
});
