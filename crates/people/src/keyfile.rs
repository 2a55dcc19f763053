//! SSH private keys as files have them: OpenSSH's `openssh-key-v1` (its `PROTOCOL.key`), unencrypted.
//!
//! ```text
//! "openssh-key-v1" 0 · string cipher · string kdf · string options · u32 = 1 · string public
//!   · string (check u32, twice · string "ssh-ed25519" · string 32 · string 64 · string comment
//!             · 1, 2, 3 … up to the cipher's block)
//! ```

use std::fmt;

use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use pillion_caps::PublicKey;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    ssh::{SshKey, SshSignature},
    wire::{Reader, Short},
};

/// The longest key file that is read, in bytes; those of large RSA keys have 3 to 6 KiB.
pub const MAX_KEY_FILE: usize = 64 * 1024;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// Why a key file can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The public half.
    #[error("it is a public key: name the file without .pub")]
    Public,
    /// Another format.
    #[error(
        "it is no OpenSSH private key: name one that `ssh-keygen -t ed25519` made, or load the key \
         into your ssh-agent (ssh-add)"
    )]
    NotOurs,
    /// Encrypted.
    #[error(
        "it is encrypted: load it into your ssh-agent with `ssh-add`, which asks for the passphrase, \
         and try again without the file"
    )]
    Encrypted,
    /// A key of another kind.
    #[error("it is a key of another kind than ssh-ed25519: make one with `ssh-keygen -t ed25519`")]
    OtherKind,
    /// Not what it should be.
    #[error("it is damaged")]
    Damaged,
}

/// An SSH key's secret half, wiped from memory when dropped.
pub struct SshSecret(SigningKey);

impl SshSecret {
    /// Reads the text of a key file.
    ///
    /// # Errors
    /// Encrypted, of another kind or format, or damaged.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileError> {
        if text.len() > MAX_KEY_FILE {
            return Err(KeyFileError::NotOurs);
        }
        let text = str::from_utf8(text).map_err(|_| KeyFileError::NotOurs)?;
        let text = text.trim();
        if text.parse::<SshKey>().is_ok() {
            return Err(KeyFileError::Public);
        }
        let body = text.strip_prefix(BEGIN).ok_or(KeyFileError::NotOurs)?;
        let body = body.strip_suffix(END).ok_or(KeyFileError::Damaged)?;
        let base64: Zeroizing<Vec<u8>> = Zeroizing::new(
            body.bytes()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect(),
        );
        let bytes = BASE64.decode(&base64).map_err(|_| KeyFileError::Damaged)?;
        Self::read(&Zeroizing::new(bytes))
    }

    fn read(bytes: &[u8]) -> Result<Self, KeyFileError> {
        let damaged = |Short| KeyFileError::Damaged;
        let mut reader = Reader::new(bytes);
        if reader.bytes(15).map_err(damaged)? != b"openssh-key-v1\0" {
            return Err(KeyFileError::NotOurs);
        }
        let cipher = reader.string().map_err(damaged)?;
        let _kdf = (
            reader.string().map_err(damaged)?,
            reader.string().map_err(damaged)?,
        );
        let number = reader.u32().map_err(damaged)?;
        let public = reader.string().map_err(damaged)?;
        let secret = reader.string().map_err(damaged)?;
        reader.end().map_err(damaged)?;
        if number != 1 {
            return Err(KeyFileError::Damaged);
        }
        let public = SshKey::from_blob(public).map_err(|_| KeyFileError::OtherKind)?;
        if cipher != b"none" {
            return Err(KeyFileError::Encrypted);
        }
        Self::read_secret(secret, public.key())
            .map_err(damaged)?
            .ok_or(KeyFileError::Damaged)
    }

    fn read_secret(secret: &[u8], public: &PublicKey) -> Result<Option<Self>, Short> {
        let mut reader = Reader::new(secret);
        let checks = (reader.u32()?, reader.u32()?);
        let kind = reader.string()?;
        let named = reader.string()?;
        let pair = reader.string()?;
        let _comment = reader.string()?;
        let padding = reader.rest();
        let (seed, half) = pair.split_first_chunk().ok_or(Short)?;
        let key = SigningKey::from_bytes(seed);
        let whole = checks.0 == checks.1
            && kind == b"ssh-ed25519"
            && padding.len() < 8
            && padding.iter().zip(1..).all(|(byte, count)| *byte == count);
        let same = [named, half, key.verifying_key().as_bytes()]
            .iter()
            .all(|bytes| *bytes == public.as_bytes());
        Ok((whole && same).then_some(Self(key)))
    }

    /// The public half.
    ///
    /// # Errors
    /// The key is one that can't be trusted to verify (nobody's generator makes such a one).
    pub fn key(&self) -> Result<SshKey, KeyFileError> {
        PublicKey::from_bytes(self.0.verifying_key().as_bytes())
            .map(SshKey::new)
            .map_err(|_| KeyFileError::Damaged)
    }

    /// Signs `message` for us.
    ///
    /// # Errors
    /// As [`key`](Self::key).
    pub fn sign(&self, message: &[u8]) -> Result<SshSignature, KeyFileError> {
        let signature = self.0.sign(&SshSignature::signed_bytes(message));
        Ok(SshSignature::new(self.key()?, signature.to_bytes()))
    }
}

impl fmt::Debug for SshSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SshSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use pillion_caps::SecretKey;
    use proptest::prelude::*;

    use super::*;

    /// A key file of the seed [1; 32], readable by `ssh-keygen`.
    const GOLDEN: &[u8] = include_bytes!("keyfile/golden");

    /// One that `ssh-keygen -N secret` encrypted, and one that it made with `-t ecdsa`.
    const ENCRYPTED: &[u8] = include_bytes!("keyfile/encrypted");
    const ECDSA: &[u8] = include_bytes!("keyfile/ecdsa");

    #[test]
    fn golden_file_is_read_and_signs() {
        let secret = SshSecret::parse(GOLDEN).unwrap();
        let key = SshKey::new(SecretKey::from_bytes(&[1; 32]).public());
        assert_eq!(secret.key(), Ok(key));
        let signature = secret.sign(b"message").unwrap();
        assert_eq!(signature.verify(b"message"), Ok(key));
        assert_eq!(format!("{secret:?}"), "SshSecret(…)");
    }

    #[test]
    fn what_cannot_be_used_is_told_what_to_do() {
        let public = SshKey::new(SecretKey::from_bytes(&[1; 32]).public()).to_string();
        for (text, error) in [
            (ENCRYPTED, KeyFileError::Encrypted),
            (ECDSA, KeyFileError::OtherKind),
            (public.as_bytes(), KeyFileError::Public),
            (b"-----BEGIN RSA PRIVATE KEY-----", KeyFileError::NotOurs),
            (b"", KeyFileError::NotOurs),
            (b"\xff", KeyFileError::NotOurs),
            (&GOLDEN[..200], KeyFileError::Damaged),
        ] {
            assert_eq!(SshSecret::parse(text).err(), Some(error));
        }
    }

    #[test]
    fn an_altered_file_never_gives_another_key() {
        let key = SshSecret::parse(GOLDEN).unwrap().key();
        for at in 0..GOLDEN.len() {
            for flip in [1, 2, 0x20] {
                let mut text = GOLDEN.to_vec();
                text[at] ^= flip;
                if let Ok(secret) = SshSecret::parse(&text) {
                    // The comment, the check that isn't ours to know, a line break.
                    assert_eq!(secret.key(), key, "{at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(SshSecret::parse(&bytes).is_err());
            let armored = format!("{BEGIN}\n{}\n{END}", BASE64.encode(&bytes));
            prop_assert!(SshSecret::parse(armored.as_bytes()).is_err());
            let _ = SshSecret::read(&[b"openssh-key-v1\0", &bytes[..]].concat());
        }
    }
}
