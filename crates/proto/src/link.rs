//! Links: short URLs that resolve to a ticket, through a service that is trusted with nothing.
//!
//! `https://SERVICE/s/ID#KEY`. ID is the public half of the host's *link signing key*; KEY never
//! leaves the client, because it stands in the fragment. The host leaves a [`LinkRecord`] under ID:
//! its ticket, encrypted under KEY and signed by ID. So the service, and anybody who reads from it, can
//! check that a record is the host's; nobody without the host's secret can make one, not even a
//! holder of the link; and nobody without the link can read one.
//!
//! What the service can still do is withhold a record, or hand out an older one. The second is
//! bounded by a signed lifetime of at most ten minutes ([`MAX_LIFETIME_MILLIS`]), which the host
//! renews while it lives.
//!
//! ```text
//! version 1 · kind · id 32 · seq 8 · issued 8 · expires 8 · nonce 24 · length 2 · ciphertext · signature 64
//! ```
//!
//! Numbers are big endian, times are milliseconds since 1970. The signature is over
//! [`SIGNED_PREFIX`] and everything before it. The ciphertext is XChaCha20-Poly1305; what comes
//! before the nonce is its associated data. The plaintext is a postcard length, the payload, and
//! zeros up to a multiple of [`PADDING`], so that its size says little.
//!
//! Time and random bytes come in as arguments.

use std::{fmt, str::FromStr};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::message::{KeyBytes, SignatureBytes};

/// Longest record, in bytes.
pub const MAX_LINK_RECORD: usize = 2048;

/// Longest payload a record has room for, in bytes: what is left of [`MAX_LINK_RECORD`] after the
/// header, the padding, the length before it, the authenticator and the signature.
pub const MAX_LINK_PAYLOAD: usize = MAX_PLAINTEXT - 2;

/// Longest time between a record's issue and its expiry, in milliseconds: ten minutes. So long can
/// a service go on handing out a record that was replaced.
pub const MAX_LIFETIME_MILLIS: u64 = 10 * 60 * 1000;

/// How far two machines' clocks may differ before a record is refused, in milliseconds
/// (`pillion_caps::CLOCK_SKEW_MILLIS` agrees).
pub const LINK_CLOCK_SKEW_MILLIS: u64 = 2 * 60 * 1000;

/// A plaintext's length is a multiple of this, in bytes.
pub const PADDING: usize = 64;

/// What goes before the signed bytes, so that this signature is worth nothing elsewhere.
pub const SIGNED_PREFIX: &[u8] = b"pillion link record v1\0";

const VERSION: u8 = 1;
const KIND_LIVE: u8 = 1;
const KIND_TOMBSTONE: u8 = 2;

pub(crate) const NONCE: usize = 24;
const AUTHENTICATOR: usize = 16;
const SIGNATURE: usize = 64;
/// Version, kind, id, seq, issued, expires: the ciphertext's associated data.
const BEFORE_NONCE: usize = 1 + 1 + 32 + 8 + 8 + 8;
const HEADER: usize = BEFORE_NONCE + NONCE + 2;
const MAX_PLAINTEXT: usize =
    (MAX_LINK_RECORD - HEADER - AUTHENTICATOR - SIGNATURE) / PADDING * PADDING;

/// Longest link looked at, in characters.
const MAX_LINK_CHARS: usize = 1024;

/// A link's public name: the ed25519 key its records are signed with. 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId([u8; 32]);

impl LinkId {
    /// The id with these bytes. Whether they are a key shows when a record is verified.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkId({self})")
    }
}

impl FromStr for LinkId {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        decode(text).map(Self).ok_or(LinkError::Id)
    }
}

/// What a link's fragment carries: everybody who has it can read the link's records.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkKey(Zeroizing<[u8; 16]>);

impl LinkKey {
    /// The key with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What encrypts the records of `id`.
    fn cipher(&self, id: &LinkId) -> XChaCha20Poly1305 {
        let key = expand(&id.0, self.0.as_slice(), b"pillion link record key v1");
        XChaCha20Poly1305::new((&*key).into())
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(…)")
    }
}

/// The host's side of a link: signs its records, and knows its key.
#[derive(Clone)]
pub struct LinkSecret {
    signing: SigningKey,
    key: LinkKey,
}

impl LinkSecret {
    /// The secret of the link that goes with a session's present ticket: the same again after the
    /// host restarts, another one once the ticket is replaced.
    pub fn derive(session_secret: &[u8; 32], ticket_seed: &[u8; 32]) -> Self {
        let seed = expand(ticket_seed, session_secret, b"pillion link signing key v1");
        let key = expand(ticket_seed, session_secret, b"pillion link key v1");
        Self {
            signing: SigningKey::from_bytes(&seed),
            key: LinkKey(key),
        }
    }

    /// The secret of the record that stands for a session at a relay: it carries nothing, and while it
    /// is live the session's [`RelayToken`] counts. One for the whole session, because a host shows
    /// its relay the same token whenever it comes back, whatever became of its tickets meanwhile.
    pub fn for_relay(session_secret: &[u8; 32]) -> Self {
        let seed = expand(b"", session_secret, b"pillion relay signing key v1");
        let key = expand(b"", session_secret, b"pillion relay key v1");
        Self {
            signing: SigningKey::from_bytes(&seed),
            key: LinkKey(key),
        }
    }

    /// The name its records go by.
    pub fn id(&self) -> LinkId {
        LinkId(self.signing.verifying_key().to_bytes())
    }

    /// What reads its records.
    pub fn key(&self) -> &LinkKey {
        &self.key
    }

    /// Shows a relay that its holder was let in by this link's host. See [`RelayToken`].
    pub fn relay_token(&self) -> RelayToken {
        let signature = self.signing.sign(&relay_message(&self.id()));
        RelayToken {
            id: self.id(),
            signature: signature.to_bytes(),
        }
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkSecret(of {})", self.id())
    }
}

/// `https://SERVICE/s/ID#KEY`, whole: what one pastes, and a secret because of its key.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkUrl {
    service: String,
    /// Under which id the service keeps the record.
    pub id: LinkId,
    /// What reads the record.
    pub key: LinkKey,
}

impl LinkUrl {
    /// The link of `id` at `service` (`https://signal.example`, or with a path before `/s/`).
    ///
    /// Plain `http://` is taken too: the record is encrypted and signed, so that TLS hides from the
    /// network only which link is asked for.
    pub fn new(service: &str, id: LinkId, key: LinkKey) -> Result<Self, LinkError> {
        Ok(Self {
            service: parse_service(service)?,
            id,
            key,
        })
    }

    /// The service's address, without a slash at its end.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Where the record is kept (`PUT`, `GET` and `DELETE`). No secret.
    pub fn record_url(&self) -> String {
        format!("{}/v1/links/{}", self.service, self.id)
    }
}

impl fmt::Display for LinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64URL_NOPAD.encode(self.key.as_bytes());
        write!(f, "{}/s/{}#{key}", self.service, self.id)
    }
}

impl fmt::Debug for LinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkUrl({}/s/{}#…)", self.service, self.id)
    }
}

impl FromStr for LinkUrl {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        let text = text.strip_prefix("pillion join ").unwrap_or(text).trim();
        let text = text.trim_matches(['\'', '"', '<', '>']);
        if text.len() > MAX_LINK_CHARS {
            return Err(LinkError::NotALink);
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (before, key) = text.split_once('#').ok_or(match text.contains("/s/") {
            true => LinkError::NoKey,
            false => LinkError::NotALink,
        })?;
        let (service, id) = before.rsplit_once("/s/").ok_or(LinkError::NotALink)?;
        let id = id.strip_suffix('/').unwrap_or(id).parse()?;
        let key = decode(key).ok_or(LinkError::Key)?;
        Self::new(service, id, LinkKey::from_bytes(key))
    }
}

/// Why a text is not a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Nothing like one.
    #[error("this is not a link: a link looks like https://SERVICE/s/ID#KEY; paste it whole")]
    NotALink,
    /// The part after # is missing.
    #[error("this link is cut short: the part from # on is missing; copy it again, whole")]
    NoKey,
    /// The id is not one.
    #[error("this link is damaged: its id must be 43 letters and digits; copy it again, whole")]
    Id,
    /// The key is not one.
    #[error(
        "this link is damaged: after # there must be 22 letters and digits; copy it again, whole"
    )]
    Key,
    /// The service's address is not one.
    #[error(
        "this is not a service's address: it looks like https://signal.example, without a name, a question mark or #"
    )]
    Service,
}

/// A record as it is kept and sent: signed by its host.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkRecord(Vec<u8>);

/// When a record was made, and until when it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Newer records have higher numbers; the host takes its clock's milliseconds, and at least one
    /// more than the last.
    pub seq: u64,
    /// When it was made, in milliseconds since 1970.
    pub issued: u64,
    /// When it ends, in milliseconds since 1970; at most [`MAX_LIFETIME_MILLIS`] later.
    pub expires: u64,
}

impl Times {
    /// A record made at `now` that counts for as long as one may, coming after number `last`.
    pub fn starting(now: u64, last: u64) -> Self {
        Self {
            seq: now.max(last.saturating_add(1)),
            issued: now,
            expires: now.saturating_add(MAX_LIFETIME_MILLIS),
        }
    }
}

impl LinkRecord {
    /// Encrypts and signs `payload` (a ticket's bytes). `nonce` is random, and never used twice.
    pub fn seal(
        secret: &LinkSecret,
        times: Times,
        payload: &[u8],
        nonce: [u8; NONCE],
    ) -> Result<Self, RecordError> {
        if payload.len() > MAX_LINK_PAYLOAD {
            return Err(RecordError::PayloadTooBig { len: payload.len() });
        }
        let mut bytes = header(KIND_LIVE, &secret.id(), times, nonce);
        // With its whole capacity from the start: growing would leave copies behind.
        let plain = Vec::with_capacity(MAX_PLAINTEXT);
        let mut plain = postcard::to_extend(payload, plain).expect("bytes always encode");
        let padded = plain.len().next_multiple_of(PADDING);
        plain.resize(padded, 0);
        let plain = Zeroizing::new(plain);
        let sealed = Payload {
            msg: &plain,
            aad: &bytes[..BEFORE_NONCE],
        };
        let cipher = secret.key.cipher(&secret.id());
        let ciphertext = cipher
            .encrypt(&XNonce::from(nonce), sealed)
            .expect("a payload within its bound encrypts");
        let len = u16::try_from(ciphertext.len()).expect("bounded by MAX_LINK_RECORD");
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&ciphertext);
        Ok(Self::sign(secret, bytes))
    }

    /// Says that the link has ended, signed by its host. It takes the place of the record before.
    pub fn tombstone(secret: &LinkSecret, times: Times) -> Self {
        let mut bytes = header(KIND_TOMBSTONE, &secret.id(), times, [0; NONCE]);
        bytes.extend_from_slice(&0u16.to_be_bytes());
        Self::sign(secret, bytes)
    }

    fn sign(secret: &LinkSecret, mut bytes: Vec<u8>) -> Self {
        let signature = secret.signing.sign(&[SIGNED_PREFIX, &bytes].concat());
        bytes.extend_from_slice(&signature.to_bytes());
        Self(bytes)
    }

    /// The bytes to keep or send; at most [`MAX_LINK_RECORD`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes `bytes` as a record of `id` if they are one that counts at `now` (milliseconds since
    /// 1970). Needs no key: this is what the service does, and what a reader does first.
    pub fn verify(bytes: &[u8], id: &LinkId, now: u64) -> Result<VerifiedRecord, RecordError> {
        if bytes.len() > MAX_LINK_RECORD {
            return Err(RecordError::TooBig { len: bytes.len() });
        }
        let parts = Parts::cut(bytes)?;
        if parts.id != id.0 {
            return Err(RecordError::OtherId);
        }
        let times = parts.times;
        let lifetime = times.expires.saturating_sub(times.issued);
        if lifetime == 0 {
            return Err(RecordError::Malformed("it expires before it was issued"));
        }
        if lifetime > MAX_LIFETIME_MILLIS {
            return Err(RecordError::TooLong { millis: lifetime });
        }
        // The costly check comes last but one, and what a clock says only of what the host signed.
        let signature = Signature::from_bytes(parts.signature);
        VerifyingKey::from_bytes(&parts.id)
            .and_then(|key| key.verify_strict(&[SIGNED_PREFIX, parts.signed].concat(), &signature))
            .map_err(|_| RecordError::BadSignature)?;
        if now > times.expires.saturating_add(LINK_CLOCK_SKEW_MILLIS) {
            let millis = now - times.expires;
            return Err(RecordError::Expired { millis });
        }
        if times.issued > now.saturating_add(LINK_CLOCK_SKEW_MILLIS) {
            let millis = times.issued - now;
            return Err(RecordError::FromFuture { millis });
        }
        Ok(VerifiedRecord {
            id: *id,
            live: parts.kind == KIND_LIVE,
            times,
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Debug for LinkRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkRecord({} bytes)", self.0.len())
    }
}

/// A record its host signed and that counted when it was checked; only [`LinkRecord::verify`] makes
/// one.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedRecord {
    id: LinkId,
    live: bool,
    times: Times,
    bytes: Vec<u8>,
}

impl VerifiedRecord {
    /// Whose record it is.
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Whether the link lives; a tombstone says that it has ended.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// When it was made, and until when it counts.
    pub fn times(&self) -> Times {
        self.times
    }

    /// The record's bytes, as they were verified.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload, for the one who has the link.
    pub fn open(&self, key: &LinkKey) -> Result<Zeroizing<Vec<u8>>, RecordError> {
        if !self.live {
            return Err(RecordError::Ended);
        }
        let parts = Parts::cut(&self.bytes)?;
        let sealed = Payload {
            msg: parts.ciphertext,
            aad: &self.bytes[..BEFORE_NONCE],
        };
        let plain = key
            .cipher(&self.id)
            .decrypt(&XNonce::from(*parts.nonce), sealed)
            .map(Zeroizing::new)
            .map_err(|_| RecordError::OtherKey)?;
        match postcard::take_from_bytes::<&[u8]>(&plain) {
            Ok((payload, padding)) if padding.iter().all(|byte| *byte == 0) => {
                Ok(Zeroizing::new(payload.to_vec()))
            }
            _ => Err(RecordError::Malformed("its content has no known form")),
        }
    }
}

impl fmt::Debug for VerifiedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedRecord({}, seq {})", self.id, self.times.seq)
    }
}

/// Why bytes are not taken as a link's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Longer than any record.
    #[error("the record has {len} bytes; at most {MAX_LINK_RECORD} are taken")]
    TooBig {
        /// Its length in bytes.
        len: usize,
    },
    /// More to say than a record has room for.
    #[error("a record has room for {MAX_LINK_PAYLOAD} bytes, not for {len}: leave out addresses")]
    PayloadTooBig {
        /// The payload's length in bytes.
        len: usize,
    },
    /// Not a record.
    #[error("this is not a link record: {0}")]
    Malformed(&'static str),
    /// Made by a version this one does not know.
    #[error(
        "the record was made by a newer pillion (version {0} of its form): please upgrade this side"
    )]
    Newer(u8),
    /// Another link's record.
    #[error("this is the record of another link")]
    OtherId,
    /// Not signed by the key the link names.
    #[error("the record's signature is not that of the link's host: it was changed or forged")]
    BadSignature,
    /// Meant to count for longer than a record may.
    #[error(
        "the record would count for {}; at most 10 minutes are taken", Span(*millis)
    )]
    TooLong {
        /// Its lifetime in milliseconds.
        millis: u64,
    },
    /// Its time is over, by more than clocks may differ.
    #[error(
        "the record expired {} ago: its host's clock is that much behind, or this one ahead, or the host is gone", Span(*millis)
    )]
    Expired {
        /// How long ago, in milliseconds.
        millis: u64,
    },
    /// Made later than now, by more than clocks may differ.
    #[error(
        "the record was made {} from now: its host's clock is that much ahead, or this one behind; set the clocks", Span(*millis)
    )]
    FromFuture {
        /// How far from now, in milliseconds.
        millis: u64,
    },
    /// The host has said that the link has ended.
    #[error("the link has ended")]
    Ended,
    /// The link's key does not read it.
    #[error("the link's key does not open its record: copy the link again, whole")]
    OtherKey,
}

/// What a relay of the same service lets its holder in by: signed by a record's host, and good while
/// that record is live ([`LinkSecret::for_relay`]). A host shows its own; its ticket hands it to viewers.
///
/// 96 bytes, the id and a signature; 128 characters of base64url. A secret among those who hold the
/// ticket: it opens no session, but spends the relay's bandwidth in the host's name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    from = "(KeyBytes, SignatureBytes)",
    into = "(KeyBytes, SignatureBytes)"
)]
pub struct RelayToken {
    id: LinkId,
    signature: [u8; SIGNATURE],
}

impl RelayToken {
    /// The link whose host signed it, if it did.
    pub fn verify(&self) -> Result<LinkId, RecordError> {
        let signature = Signature::from_bytes(&self.signature);
        VerifyingKey::from_bytes(&self.id.0)
            .and_then(|key| key.verify_strict(&relay_message(&self.id), &signature))
            .map(|()| self.id)
            .map_err(|_| RecordError::BadSignature)
    }
}

impl fmt::Display for RelayToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.0[..], &self.signature].concat();
        f.write_str(&BASE64URL_NOPAD.encode(&bytes))
    }
}

impl fmt::Debug for RelayToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayToken(…)")
    }
}

impl FromStr for RelayToken {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let bytes: [u8; 96] = decode(text).ok_or(LinkError::Id)?;
        let (id, signature) = bytes.split_at(32);
        Ok(Self {
            id: LinkId(id.try_into().expect("split at 32")),
            signature: signature.try_into().expect("64 of 96 are left"),
        })
    }
}

impl From<(KeyBytes, SignatureBytes)> for RelayToken {
    fn from((id, signature): (KeyBytes, SignatureBytes)) -> Self {
        Self {
            id: LinkId(id),
            signature: signature.into(),
        }
    }
}

impl From<RelayToken> for (KeyBytes, SignatureBytes) {
    fn from(token: RelayToken) -> Self {
        (token.id.0, token.signature.into())
    }
}

fn relay_message(id: &LinkId) -> Vec<u8> {
    [b"pillion relay token v1\0".as_slice(), &id.0].concat()
}

/// The link that a record says it is of, unverified.
pub(crate) fn named(record: &[u8]) -> Option<LinkId> {
    if record.len() > MAX_LINK_RECORD {
        return None;
    }
    Parts::cut(record).ok().map(|parts| LinkId(parts.id))
}

/// A record's fields, unverified.
struct Parts<'a> {
    kind: u8,
    id: [u8; 32],
    times: Times,
    nonce: &'a [u8; NONCE],
    ciphertext: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE],
}

impl<'a> Parts<'a> {
    fn cut(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let short = RecordError::Malformed("it is cut short");
        let (signed, signature) = bytes.split_last_chunk().ok_or(short)?;
        let (version, rest) = signed.split_first().ok_or(short)?;
        if *version != VERSION {
            return Err(RecordError::Newer(*version));
        }
        let (kind, rest) = rest.split_first().ok_or(short)?;
        let (id, rest) = rest.split_first_chunk::<32>().ok_or(short)?;
        let (seq, rest) = rest.split_first_chunk().ok_or(short)?;
        let (issued, rest) = rest.split_first_chunk().ok_or(short)?;
        let (expires, rest) = rest.split_first_chunk().ok_or(short)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(short)?;
        let (len, ciphertext) = rest.split_first_chunk().ok_or(short)?;
        if usize::from(u16::from_be_bytes(*len)) != ciphertext.len() {
            return Err(RecordError::Malformed("its length is not the one it says"));
        }
        match (*kind, ciphertext.len()) {
            (KIND_LIVE, AUTHENTICATOR..) | (KIND_TOMBSTONE, 0) => {}
            (KIND_LIVE, _) => return Err(short),
            (KIND_TOMBSTONE, _) => {
                return Err(RecordError::Malformed("a tombstone carries nothing"));
            }
            _ => return Err(RecordError::Malformed("it is of an unknown kind")),
        }
        Ok(Self {
            kind: *kind,
            id: *id,
            times: Times {
                seq: u64::from_be_bytes(*seq),
                issued: u64::from_be_bytes(*issued),
                expires: u64::from_be_bytes(*expires),
            },
            nonce,
            ciphertext,
            signed,
            signature,
        })
    }
}

fn header(kind: u8, id: &LinkId, times: Times, nonce: [u8; NONCE]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_LINK_RECORD);
    bytes.extend_from_slice(&[VERSION, kind]);
    bytes.extend_from_slice(&id.0);
    for number in [times.seq, times.issued, times.expires] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(&nonce);
    bytes
}

/// HKDF-SHA256 (RFC 5869).
pub(crate) fn expand<const N: usize>(salt: &[u8], ikm: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(Some(salt), ikm)
        .expand(info, out.as_mut_slice())
        .expect("keys are shorter than HKDF's longest output");
    out
}

pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The length first, so that a megabyte is not decoded to find out.
    if text.len() != BASE64URL_NOPAD.encode_len(N) {
        return None;
    }
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

/// `scheme://authority[/path]`, without the slash at its end.
fn parse_service(text: &str) -> Result<String, LinkError> {
    let text = text.trim_end_matches('/');
    let (scheme, rest) = text.split_once("://").ok_or(LinkError::Service)?;
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let in_authority = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    let in_path = |c: char| c.is_ascii_alphanumeric() || "/.-_~".contains(c);
    let known = matches!(scheme.as_str(), "https" | "http")
        && !authority.is_empty()
        && authority.chars().all(in_authority)
        && path.chars().all(in_path)
        && text.len() <= MAX_LINK_CHARS / 2;
    match known {
        true => Ok(format!(
            "{scheme}://{}{path}",
            authority.to_ascii_lowercase()
        )),
        false => Err(LinkError::Service),
    }
}

/// A length of time in words: "58 minutes".
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_ceil(1000);
        let (count, unit) = match seconds {
            0..120 => (seconds, "second"),
            120..7200 => (seconds / 60, "minute"),
            7200..172_800 => (seconds / 3600, "hour"),
            _ => (seconds / 86_400, "day"),
        };
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} {unit}{plural}")
    }
}

#[cfg(test)]
mod tests;
