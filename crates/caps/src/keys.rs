//! Keys and signatures. Nothing is signed but under a [`Domain`].

use std::{fmt, str::FromStr};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::refusal::Malformed;

/// What a signature is for. Each has its own prefix, so a signature for one is worth nothing for
/// another.
///
/// The session key also signs TLS handshakes and address records; those messages begin with
/// spaces (RFC 8446, 4.4.3) and with a digit (BEP 44), never with `pillion `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A block of a [`Grant`](crate::Grant).
    GrantBlock,
    /// A [`Proof`](crate::Proof) of possession, bound to a connection.
    Proof,
    /// A [`SessionCertificate`](crate::SessionCertificate): an identity vouches for a session's key.
    SessionCertificate,
    /// A checkpoint of a track's frames, by the session's key.
    Checkpoint,
    /// A team's word that a key is its member.
    TeamCertificate,
    /// A team's list of the certificates it took back.
    TeamRemovals,
}

impl Domain {
    /// The bytes that go before the message. Each ends in NUL, so none is a prefix of another.
    pub(crate) const fn prefix(self) -> &'static [u8] {
        match self {
            Self::GrantBlock => b"pillion grant block v1\0",
            Self::Proof => b"pillion proof v1\0",
            Self::SessionCertificate => b"pillion session certificate v1\0",
            Self::Checkpoint => b"pillion checkpoint v1\0",
            Self::TeamCertificate => b"pillion team certificate v1\0",
            Self::TeamRemovals => b"pillion team removals v1\0",
        }
    }

    fn message(self, bytes: &[u8]) -> Vec<u8> {
        [self.prefix(), bytes].concat()
    }
}

/// Signs `bytes` for `domain` (ed25519, RFC 8032).
pub fn sign(secret: &SecretKey, domain: Domain, bytes: &[u8]) -> Signature {
    Signature(secret.0.sign(&domain.message(bytes)).to_bytes())
}

/// What is to be signed, wherever the secret is: in this process, an agent, a token, a browser's store.
///
/// An ed25519 signer (RFC 8032) signs [`message`](Self::message) as it is. Only this crate makes one, so
/// that nothing is signed but under a [`Domain`].
#[derive(Clone, PartialEq, Eq)]
pub struct SigningInput {
    domain: Domain,
    message: Vec<u8>,
}

impl SigningInput {
    pub(crate) fn new(domain: Domain, bytes: &[u8]) -> Self {
        let message = domain.message(bytes);
        Self { domain, message }
    }

    /// What the signature is for.
    pub const fn domain(&self) -> Domain {
        self.domain
    }

    /// All the bytes that are signed. A proof's hold what is secret to its connection.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Signs it with a secret that is at hand.
    pub fn sign(&self, secret: &SecretKey) -> Signature {
        Signature(secret.0.sign(&self.message).to_bytes())
    }
}

/// Hides the bytes: what a proof is bound to is secret to its connection.
impl fmt::Debug for SigningInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SigningInput({:?}, {} bytes)",
            self.domain,
            self.message.len()
        )
    }
}

/// Checks that `key` signed `bytes` for `domain`. Strict: no weak keys, no second valid form of a
/// signature.
pub fn verify(
    key: &PublicKey,
    domain: Domain,
    bytes: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    VerifyingKey::from_bytes(&key.0)
        .and_then(|key| key.verify_strict(&domain.message(bytes), &signature))
        .map_err(|_| BadSignature)
}

/// The key did not sign these bytes for this purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature is not valid")]
pub struct BadSignature;

/// An ed25519 secret key. Wiped from memory when dropped; never shown.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key from 32 bytes of a cryptographic random source, or read back from
    /// [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// The 32 bytes to keep; wiped when dropped.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().fingerprint())
    }
}

/// An ed25519 public key: a valid point, not of small order, in its one canonical form.
///
/// Displays, and parses, as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes the bytes if they are a key that can be trusted to verify: on the curve, not weak, and
    /// canonical (or one person could go by several keys).
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Malformed> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| Malformed::Key)?;
        if key.is_weak() || key.to_edwards().compress().as_bytes() != bytes {
            return Err(Malformed::Key);
        }
        Ok(Self(*bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 64 bits for people to compare, as `7f3a-91c2-04be-77d1`. Enough to tell
    /// participants apart; nobody finds another key with the same ones in reasonable time.
    pub fn fingerprint(&self) -> String {
        let digits: Vec<String> = self.0[..8]
            .chunks(2)
            .map(|two| HEXLOWER.encode(two))
            .collect();
        digits.join("-")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl FromStr for PublicKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::from_bytes(&from_hex(text)?)
    }
}

/// 32 bytes in binary formats, the displayed text in human-readable ones.
impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse()
        } else {
            Self::from_bytes(&<[u8; 32]>::deserialize(deserializer)?)
        }
        .map_err(de::Error::custom)
    }
}

/// An ed25519 signature, not yet verified.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SignatureHalves", into = "SignatureHalves")]
pub struct Signature([u8; 64]);

/// serde knows arrays up to 32; in binary formats the two halves are the 64 bytes.
type SignatureHalves = ([u8; 32], [u8; 32]);

impl Signature {
    /// The signature from its 64 bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl From<SignatureHalves> for Signature {
    fn from((r, s): SignatureHalves) -> Self {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r);
        bytes[32..].copy_from_slice(&s);
        Self(bytes)
    }
}

impl From<Signature> for SignatureHalves {
    fn from(Signature(bytes): Signature) -> Self {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        (r, s)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}…)", HEXLOWER.encode(&self.0[..4]))
    }
}

/// Exactly `N` bytes from hexadecimal digits of either case.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], Malformed> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return Err(Malformed::Hex(2 * N));
    }
    HEXLOWER_PERMISSIVE
        .decode_mut(text.as_bytes(), &mut bytes)
        .map_err(|_| Malformed::Hex(2 * N))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOMAINS: [Domain; 6] = [
        Domain::GrantBlock,
        Domain::Proof,
        Domain::SessionCertificate,
        Domain::Checkpoint,
        Domain::TeamCertificate,
        Domain::TeamRemovals,
    ];

    fn secret(seed: u8) -> SecretKey {
        SecretKey::from_bytes(&[seed; 32])
    }

    #[test]
    fn golden_key_and_signatures() {
        let key = secret(1).public();
        assert_eq!(
            key.to_string(),
            "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
        );
        assert_eq!(key.fingerprint(), "8a88-e3dd-7409-f195");
        let first_bytes = DOMAINS.map(|domain| {
            let signature = sign(&secret(1), domain, b"message");
            HEXLOWER.encode(&signature.as_bytes()[..8])
        });
        assert_eq!(
            first_bytes,
            [
                "57fa47605b099fc8",
                "0e2ff19e1c7b97ae",
                "58da102d5d0fd21a",
                "503fe1a4c151d959",
                "ba1df82ad413a27e",
                "89388c22cfa2c8e8"
            ]
        );
    }

    #[test]
    fn a_signature_is_worth_nothing_in_another_domain() {
        for made in DOMAINS {
            let signature = sign(&secret(1), made, b"message");
            for asked in DOMAINS {
                let verdict = verify(&secret(1).public(), asked, b"message", &signature);
                assert_eq!(verdict.is_ok(), made == asked, "{made:?} as {asked:?}");
            }
        }
    }

    #[test]
    fn no_domain_is_the_beginning_of_another() {
        for (index, domain) in DOMAINS.iter().enumerate() {
            assert_eq!(domain.prefix().iter().filter(|byte| **byte == 0).count(), 1);
            assert!(domain.prefix().ends_with(&[0]));
            for other in &DOMAINS[..index] {
                assert_ne!(domain.prefix(), other.prefix());
            }
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let shown = format!("{:?}", secret(0xab));
        assert_eq!(
            shown,
            format!("SecretKey(of {})", secret(0xab).public().fingerprint())
        );
        assert!(!shown.contains("abab") && !shown.contains("171, 171"));
        assert_eq!(*secret(0xab).to_bytes(), [0xab; 32]);
    }

    #[test]
    fn a_signing_input_is_signed_as_it_stands_and_never_shown() {
        let input = SigningInput::new(Domain::Proof, &[0xab; 32]);
        assert_eq!(
            input.message(),
            [b"pillion proof v1\0", &[0xab; 32][..]].concat()
        );
        let signature = input.sign(&secret(1));
        assert_eq!(signature, sign(&secret(1), Domain::Proof, &[0xab; 32]));
        let shown = format!("{input:?}");
        assert!(
            !shown.contains("171") && !shown.contains("ab, ab"),
            "{shown}"
        );
    }

    #[test]
    fn weak_and_doubly_encoded_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut order_two = [0xff; 32]; // y = -1 = p - 1
        order_two[0] = 0xec;
        order_two[31] = 0x7f;
        let mut doubly = [0xff; 32]; // y = p + 3, which is 3
        doubly[0] = 0xf0;
        doubly[31] = 0x7f;
        let mut canonical = [0; 32];
        canonical[0] = 3;
        for bytes in [identity, order_two, doubly] {
            assert!(VerifyingKey::from_bytes(&bytes).is_ok(), "the trap is real");
            assert_eq!(PublicKey::from_bytes(&bytes), Err(Malformed::Key));
        }
        assert!(PublicKey::from_bytes(&canonical).is_ok());
        let mut no_point = [0; 32];
        no_point[0] = 2;
        assert_eq!(PublicKey::from_bytes(&no_point), Err(Malformed::Key));
    }

    #[test]
    fn keys_parse_from_what_they_display() {
        let key = secret(1).public();
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(key.to_string().to_uppercase().parse(), Ok(key));
        for text in [
            "",
            "8a88",
            &"g".repeat(64),
            &"é".repeat(32),
            &"0".repeat(65),
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(Malformed::Hex(64)));
        }
    }

    #[test]
    fn serde_carries_the_bare_bytes_and_checks_them() {
        let key = secret(1).public();
        let bytes = postcard::to_allocvec(&key).unwrap();
        assert_eq!(bytes, key.as_bytes());
        assert_eq!(postcard::from_bytes(&bytes), Ok(key));
        assert!(postcard::from_bytes::<PublicKey>(&[0; 32]).is_err());

        let signature = sign(&secret(1), Domain::Proof, b"message");
        let bytes = postcard::to_allocvec(&signature).unwrap();
        assert_eq!(bytes, signature.as_bytes());
        assert_eq!(postcard::from_bytes(&bytes), Ok(signature));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_key_in_one_form_or_none(bytes: [u8; 32]) {
            if let Ok(key) = PublicKey::from_bytes(&bytes) {
                prop_assert_eq!(key.as_bytes(), &bytes);
                prop_assert_eq!(key.to_string().parse(), Ok(key));
            }
        }

        #[test]
        fn any_text_is_a_key_or_refused(text: String) {
            prop_assert!(text.parse::<PublicKey>().is_err());
        }

        #[test]
        fn an_altered_message_or_signature_is_refused(
            message in proptest::collection::vec(any::<u8>(), 1..100),
            at: proptest::sample::Index,
            flip in 1..=u8::MAX,
        ) {
            let signature = sign(&secret(1), Domain::Checkpoint, &message);
            let refused = |message: &[u8], signature: &Signature| {
                verify(&secret(1).public(), Domain::Checkpoint, message, signature).is_err()
            };
            prop_assert!(!refused(&message, &signature));
            let mut altered = message.clone();
            altered[at.index(message.len())] ^= flip;
            prop_assert!(refused(&altered, &signature));
            let mut bytes = *signature.as_bytes();
            bytes[at.index(64)] ^= flip;
            prop_assert!(refused(&message, &Signature::from_bytes(bytes)));
        }
    }
}
