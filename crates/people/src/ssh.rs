//! SSH keys, and signatures by them.
//!
//! A signature is an SSHSIG (OpenSSH's `PROTOCOL.sshsig`, what `ssh-keygen -Y sign` makes), in the
//! namespace `pillion`. Only `ssh-ed25519` is known here.
//! ```text
//! signature "SSHSIG" · version u32 = 1 · string key · string namespace · string reserved
//!           · string hash · string (string "ssh-ed25519" · string signature 64)
//! signed    "SSHSIG" · string namespace · string reserved · string hash · string H(message)
//! key       string "ssh-ed25519" · string 32
//! ```

use std::{fmt, str::FromStr};

use data_encoding::{BASE64, BASE64_NOPAD};
use ed25519_dalek::VerifyingKey;
use pillion_caps::PublicKey;
use sha2::{Digest as _, Sha256, Sha512};
use thiserror::Error;

use crate::{
    claim::{ClaimError, ClaimPart},
    who::NotAPerson,
    wire::{Reader, Short, put_string},
};

/// What signatures are for: one made for git or a login is worth nothing here.
const NAMESPACE: &[u8] = b"pillion";
const KIND: &str = "ssh-ed25519";
const MAGIC: &[u8; 6] = b"SSHSIG";
const VERSION: u32 = 1;

/// The most bytes of a list of keys that are read: some six hundred keys.
pub const MAX_KEY_LIST: usize = 64 * 1024;

/// The most keys in a list.
pub const MAX_LISTED_KEYS: usize = 256;

/// An `ssh-ed25519` public key. Displays as in a `.pub` file, without the comment; parses with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SshKey(PublicKey);

impl SshKey {
    /// The SSH key made of an ed25519 key.
    pub const fn new(key: PublicKey) -> Self {
        Self(key)
    }

    /// The ed25519 key in it.
    pub const fn key(&self) -> &PublicKey {
        &self.0
    }

    /// The key as SSH writes it, in an agent's list or within a signature.
    pub fn to_blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        put_string(&mut blob, KIND.as_bytes());
        put_string(&mut blob, self.0.as_bytes());
        blob
    }

    /// Reads what [`to_blob`](Self::to_blob) writes.
    ///
    /// # Errors
    /// [`NotAPerson::SshKind`] names a key of another kind.
    pub fn from_blob(blob: &[u8]) -> Result<Self, NotAPerson> {
        let damaged = |Short| NotAPerson::SshKey;
        let mut reader = Reader::new(blob);
        let kind = reader.string().map_err(damaged)?;
        if kind != KIND.as_bytes() {
            return Err(match str::from_utf8(kind) {
                Ok(kind) if is_kind(kind) => NotAPerson::SshKind(kind.to_owned()),
                _ => NotAPerson::SshKey,
            });
        }
        let bytes = reader.string().map_err(damaged)?;
        reader.end().map_err(damaged)?;
        let bytes = bytes.try_into().map_err(|_| NotAPerson::SshKey)?;
        let key = PublicKey::from_bytes(bytes).map_err(|_| NotAPerson::SshKey)?;
        Ok(Self(key))
    }

    /// The fingerprint as `ssh-keygen -l` and forges show it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        format!(
            "SHA256:{}",
            BASE64_NOPAD.encode(&Sha256::digest(self.to_blob()))
        )
    }

    /// Whether a text starts like an SSH key of any kind.
    pub(crate) fn looks_like(text: &str) -> bool {
        text.split_whitespace().next().is_some_and(is_kind)
    }
}

/// Whether a word names a kind of SSH key: `ssh-…`, `ecdsa-…`, `sk-…@openssh.com`.
fn is_kind(word: &str) -> bool {
    let (name, vendor) = match word.split_once('@') {
        Some((name, vendor)) => (name, Some(vendor)),
        None => (word, None),
    };
    ["ssh-", "ecdsa-", "sk-"]
        .iter()
        .any(|start| name.starts_with(start))
        && word.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && vendor.is_none_or(|vendor| vendor == "openssh.com")
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND} {}", BASE64.encode(&self.to_blob()))
    }
}

impl FromStr for SshKey {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        let mut words = text.split_whitespace();
        let kind = words.next().ok_or(NotAPerson::Empty)?;
        if !is_kind(kind) {
            return Err(NotAPerson::SshKey);
        }
        if kind != KIND {
            return Err(NotAPerson::SshKind(kind.to_owned()));
        }
        let blob = words.next().ok_or(NotAPerson::SshKey)?;
        let blob = BASE64
            .decode(blob.as_bytes())
            .map_err(|_| NotAPerson::SshKey)?;
        Self::from_blob(&blob)
    }
}

/// Keys from a file (as `authorized_keys`) or from a forge's `USER.keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyList {
    /// The keys, each once, with what the line calls it.
    pub keys: Vec<(SshKey, String)>,
    /// Kinds of the keys that were left out because only ssh-ed25519 is supported, each once.
    pub left_out: Vec<String>,
}

/// Why a list of keys can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyListError {
    /// A page.
    #[error("this is a web page, not a list of keys: check the address")]
    Html,
    /// Too long.
    #[error("this is too long for a list of keys (at most {MAX_KEY_LIST} bytes)")]
    TooLong,
    /// Too many.
    #[error("there are more than {MAX_LISTED_KEYS} keys in the list")]
    TooMany,
    /// Not text.
    #[error("this is not text, so no list of keys")]
    NotText,
    /// A line that is no key.
    #[error("line {line} is no key: {why}")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: NotAPerson,
    },
    /// A line with options, as in authorized_keys.
    #[error(
        "line {0} begins with options (or is no key), which PILLION wouldn't honour: \
         list the key alone, as `ssh-ed25519 AAAA… comment`"
    )]
    Options(usize),
    /// No key that can be used.
    #[error(
        "there is no ssh-ed25519 key in the list{}: make one with `ssh-keygen -t ed25519`",
        left_out(.0)
    )]
    NoKeys(Vec<String>),
}

fn left_out(kinds: &[String]) -> String {
    match kinds {
        [] => String::new(),
        kinds => format!(", only {}", kinds.join(", ")),
    }
}

impl KeyList {
    /// Reads a list: a key a line, blank lines and `#` comments between.
    ///
    /// # Errors
    /// Anything else in it, or no key of a supported kind.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyListError> {
        if bytes.len() > MAX_KEY_LIST {
            return Err(KeyListError::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| KeyListError::NotText)?;
        if text.trim_start().starts_with('<') {
            return Err(KeyListError::Html);
        }
        let mut list = KeyList {
            keys: Vec::new(),
            left_out: Vec::new(),
        };
        for (at, line) in text.lines().enumerate() {
            let (number, line) = (at + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if !SshKey::looks_like(line) {
                return Err(KeyListError::Options(number));
            }
            match line.parse::<SshKey>() {
                Ok(key) if list.keys.iter().any(|(listed, _)| *listed == key) => {}
                Ok(_) if list.keys.len() == MAX_LISTED_KEYS => return Err(KeyListError::TooMany),
                Ok(key) => {
                    let comment: Vec<&str> = line.split_whitespace().skip(2).collect();
                    list.keys.push((key, comment.join(" ")));
                }
                Err(NotAPerson::SshKind(kind)) => {
                    if !list.left_out.contains(&kind) {
                        list.left_out.push(kind);
                    }
                }
                Err(why) => return Err(KeyListError::Line { line: number, why }),
            }
        }
        match list.keys.is_empty() {
            true => Err(KeyListError::NoKeys(list.left_out)),
            false => Ok(list),
        }
    }
}

/// An SSHSIG by an ed25519 key in our namespace, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSignature {
    key: SshKey,
    hash: Hash,
    signature: [u8; 64],
}

/// The two hashes SSHSIG allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    const fn name(self) -> &'static [u8] {
        match self {
            Hash::Sha256 => b"sha256",
            Hash::Sha512 => b"sha512",
        }
    }

    fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(message).to_vec(),
            Hash::Sha512 => Sha512::digest(message).to_vec(),
        }
    }

    fn signed(self, message: &[u8]) -> Vec<u8> {
        let mut signed = MAGIC.to_vec();
        for part in [NAMESPACE, b"", self.name(), &self.of(message)] {
            put_string(&mut signed, part);
        }
        signed
    }
}

impl SshSignature {
    /// What the key's holder (an agent) signs to sign `message`.
    pub fn signed_bytes(message: &[u8]) -> Vec<u8> {
        Hash::Sha512.signed(message)
    }

    /// A signature made over [`signed_bytes`](Self::signed_bytes).
    pub const fn new(key: SshKey, signature: [u8; 64]) -> Self {
        Self {
            key,
            hash: Hash::Sha512,
            signature,
        }
    }

    /// The key that is said to have signed.
    pub const fn key(&self) -> SshKey {
        self.key
    }

    /// Checks that the key signed `message`.
    ///
    /// # Errors
    /// [`ClaimError::SshSignature`].
    pub fn verify(&self, message: &[u8]) -> Result<SshKey, ClaimError> {
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature);
        VerifyingKey::from_bytes(self.key.0.as_bytes())
            .and_then(|key| key.verify_strict(&self.hash.signed(message), &signature))
            .map_err(|_| ClaimError::SshSignature)?;
        Ok(self.key)
    }

    /// The SSHSIG's bytes: what `ssh-keygen -Y sign` wraps in base64.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut signature = Vec::new();
        put_string(&mut signature, KIND.as_bytes());
        put_string(&mut signature, &self.signature);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_be_bytes());
        for part in [
            &self.key.to_blob()[..],
            NAMESPACE,
            b"",
            self.hash.name(),
            &signature,
        ] {
            put_string(&mut bytes, part);
        }
        bytes
    }

    /// Reads an SSHSIG.
    ///
    /// # Errors
    /// It is none, of another key's kind, for another namespace.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ClaimError> {
        let damaged = |Short| ClaimError::Malformed(ClaimPart::SshSignature);
        let mut reader = Reader::new(bytes);
        let magic: [u8; 6] = reader.array().map_err(damaged)?;
        let version = reader.u32().map_err(damaged)?;
        if magic != *MAGIC || version != VERSION {
            return Err(ClaimError::Malformed(ClaimPart::SshSignature));
        }
        let key = SshKey::from_blob(reader.string().map_err(damaged)?)?;
        if reader.string().map_err(damaged)? != NAMESPACE {
            return Err(ClaimError::SshNamespace);
        }
        let reserved = reader.string().map_err(damaged)?;
        let hash = match reader.string().map_err(damaged)? {
            b"sha256" => Hash::Sha256,
            b"sha512" => Hash::Sha512,
            _ => return Err(ClaimError::Malformed(ClaimPart::SshHash)),
        };
        let inner = reader.string().map_err(damaged)?;
        reader.end().map_err(damaged)?;
        let signature = ed25519_signature(inner).map_err(damaged)?;
        if !reserved.is_empty() {
            return Err(ClaimError::Malformed(ClaimPart::SshKind));
        }
        Ok(Self {
            key,
            hash,
            signature,
        })
    }
}

/// The 64 bytes in what SSH calls a signature: `string kind · string bytes`.
pub(crate) fn ed25519_signature(blob: &[u8]) -> Result<[u8; 64], Short> {
    let mut reader = Reader::new(blob);
    if reader.string()? != KIND.as_bytes() {
        return Err(Short);
    }
    let bytes = reader.string()?;
    reader.end()?;
    bytes.try_into().map_err(|_| Short)
}

#[cfg(test)]
mod tests;
