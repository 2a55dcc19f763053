//! A person's own devices: the secret they share, and the records by which each finds the others'
//! sessions through a link service.
//!
//! Every device has a key of its own, and all of a group share a secret. Under names that only the
//! secret gives ([`GroupSecret::record`]) each leaves a [link record](crate::link) that lists its
//! running sessions. So the service sees records as it sees those of links, and who does not have the
//! secret can neither find nor read nor make one. Inside, what a device says is signed by its own key:
//! one device can't speak for another.
//!
//! When a device is taken out of the group, the one that does it makes a new secret ([`Group`]). Anybody who
//! knows it leaves it for each of those that stay under a name, and encrypted by a key, that only these
//! two derive (X25519 of their keys).
//!
//! ```text
//! kind 1 (sessions) or 2 (rotation) · signature by the device 64 · postcard of DeviceRecord or Rotation
//! ```
//!
//! The signature is over [`SIGNED_PREFIX`], the record's id, its number (8 bytes, big endian), the kind
//! and the postcard bytes. All of it is the payload of a link record.

mod group;

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, de, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    limits::MAX_NAME,
    link::{LinkId, LinkRecord, LinkSecret, MAX_LINK_PAYLOAD, RecordError, Times, decode, expand},
    text::Text,
};

pub use group::{Group, MAX_OUT, Removal};

/// Devices of one person that can be linked. What every device says of the others must fit a record.
pub const MAX_DEVICES: usize = 8;

/// Sessions a record lists at most; each takes some hundred bytes of its two thousand.
pub const MAX_LISTED: usize = 16;

/// What goes before the bytes a device signs.
pub const SIGNED_PREFIX: &[u8] = b"pillion device record v1\0";

const KIND_SESSIONS: u8 = 1;
const KIND_ROTATION: u8 = 2;
const SIGNATURE: usize = 64;

/// A device's public name: its ed25519 key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId([u8; 32]);

impl DeviceId {
    /// The id with these bytes. Whether they are a key shows when something is verified by it.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}

impl FromStr for DeviceId {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let bytes = decode(text).ok_or(DeviceError::Malformed("its id is none"))?;
        Ok(Self(bytes))
    }
}

/// A device's own key.
#[derive(Clone)]
pub struct DeviceKey(SigningKey);

impl DeviceKey {
    /// The key with this seed.
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Its public half.
    pub fn id(&self) -> DeviceId {
        DeviceId(self.0.verifying_key().to_bytes())
    }

    /// What only this device and `other` know; `None` if `other` is no key.
    fn shared_with(&self, other: &DeviceId) -> Option<Zeroizing<[u8; 32]>> {
        let key = VerifyingKey::from_bytes(&other.0).ok()?;
        let point = (!key.is_weak()).then(|| key.to_montgomery() * self.0.to_scalar())?;
        Some(Zeroizing::new(point.to_bytes()))
    }

    /// Where `from` leaves a rotation for `to`, as this device, which is one of the two, knows it.
    ///
    /// # Errors
    /// The other one's id is no key.
    pub fn rotation(&self, from: &DeviceId, to: &DeviceId) -> Result<LinkSecret, DeviceError> {
        let other = if *from == self.id() { to } else { from };
        let shared = self
            .shared_with(other)
            .ok_or(DeviceError::Malformed("a device's id is no key"))?;
        let seed = expand(&to.0, shared.as_slice(), b"pillion device rotation v1");
        Ok(LinkSecret::derive(&seed, &from.0))
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey(of {})", self.id())
    }
}

/// What the devices of a group share.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSecret(Zeroizing<[u8; 32]>);

impl GroupSecret {
    /// The secret with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Where a device of the group leaves its record, and what reads it.
    pub fn record(&self, device: &DeviceId) -> LinkSecret {
        let seed = expand(&[], self.0.as_slice(), b"pillion device group v1");
        LinkSecret::derive(&seed, &device.0)
    }

    /// Names the secret without telling it: of two the later name is the later one.
    pub fn name(&self) -> [u8; 32] {
        *expand(&[], self.0.as_slice(), b"pillion device group name v1")
    }
}

impl fmt::Debug for GroupSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupSecret(…)")
    }
}

/// A device of the group, as another one knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its key.
    pub id: DeviceId,
    /// What its person calls it.
    pub name: Text<MAX_NAME>,
}

/// A session as a device lists it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedSession {
    /// The session's name.
    pub name: Text<MAX_NAME>,
    /// The ticket's bytes, which are a secret.
    pub ticket: Vec<u8>,
}

impl fmt::Debug for ListedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListedSession({:?})", self.name)
    }
}

/// What a device says to the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// What its person calls it.
    pub name: Text<MAX_NAME>,
    /// The others, as it knows them.
    #[serde(deserialize_with = "at_most_devices")]
    pub members: Vec<Member>,
    /// Its running sessions.
    #[serde(deserialize_with = "at_most_listed")]
    pub sessions: Vec<ListedSession>,
    /// How many more there are that a record has no room for.
    pub more: u16,
}

/// A group's secret, for one of those that may not know it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// How many secrets came before it.
    pub generation: u32,
    /// The secret.
    pub secret: GroupSecret,
    /// Who stays: the sender and the receiver, too.
    #[serde(deserialize_with = "at_most_devices")]
    pub members: Vec<Member>,
    /// Who was taken out before the secret was made.
    #[serde(deserialize_with = "group::at_most_out")]
    pub out: Vec<Removal>,
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (generation, members) = (self.generation, self.members.len());
        write!(f, "Rotation({generation}, for {members} members)")
    }
}

/// Why what a device left is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeviceError {
    /// The link record around it is not to be trusted, or its time is over.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Not what a device leaves.
    #[error("this is no device's record: {0}")]
    Malformed(&'static str),
    /// Not signed by the device it is of.
    #[error("the record is not signed by the device it is said to be of")]
    BadSignature,
    /// Does not fit.
    #[error("what this device has to say does not fit a record ({0} bytes)")]
    TooBig(usize),
}

impl DeviceRecord {
    /// Signs and encrypts it for the group. Sessions that a record has no room for are left out, and
    /// counted. `nonce` is random, and never used twice.
    ///
    /// # Errors
    /// Too much to say beside the sessions.
    pub fn seal(
        mut self,
        key: &DeviceKey,
        group: &GroupSecret,
        times: Times,
        nonce: [u8; 24],
    ) -> Result<LinkRecord, DeviceError> {
        let place = group.record(&key.id());
        let surplus = self.sessions.len().saturating_sub(MAX_LISTED);
        self.sessions.truncate(MAX_LISTED);
        self.more = self
            .more
            .saturating_add(u16::try_from(surplus).unwrap_or(u16::MAX));
        loop {
            match seal(KIND_SESSIONS, &self, key, &place, times, nonce) {
                Err(DeviceError::TooBig(_)) if self.sessions.pop().is_some() => {
                    self.more = self.more.saturating_add(1);
                }
                sealed => return sealed,
            }
        }
    }

    /// What `device` left for the group, if `bytes` are that and count at `now`; and its times.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn open(
        bytes: &[u8],
        device: &DeviceId,
        group: &GroupSecret,
        now: u64,
    ) -> Result<(Times, DeviceRecord), DeviceError> {
        open(KIND_SESSIONS, bytes, device, &group.record(device), now)
    }
}

impl Rotation {
    /// Signs and encrypts it for one device. `nonce` is random, and never used twice.
    ///
    /// # Errors
    /// `to` is no key.
    pub fn seal(
        &self,
        key: &DeviceKey,
        to: &DeviceId,
        times: Times,
        nonce: [u8; 24],
    ) -> Result<LinkRecord, DeviceError> {
        let place = key.rotation(&key.id(), to)?;
        seal(KIND_ROTATION, self, key, &place, times, nonce)
    }

    /// What `from` left for the device of `key`, if `bytes` are that and count at `now`.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn open(
        bytes: &[u8],
        key: &DeviceKey,
        from: &DeviceId,
        now: u64,
    ) -> Result<(Times, Rotation), DeviceError> {
        let place = key.rotation(from, &key.id())?;
        open(KIND_ROTATION, bytes, from, &place, now)
    }
}

fn seal(
    kind: u8,
    body: &impl Serialize,
    key: &DeviceKey,
    place: &LinkSecret,
    times: Times,
    nonce: [u8; 24],
) -> Result<LinkRecord, DeviceError> {
    let body = Zeroizing::new(
        postcard::to_allocvec(body).map_err(|_| DeviceError::Malformed("it can't be written"))?,
    );
    let signature = key.0.sign(&signed(&place.id(), times, kind, &body));
    let mut payload = Zeroizing::new(Vec::with_capacity(1 + SIGNATURE + body.len()));
    payload.push(kind);
    payload.extend_from_slice(&signature.to_bytes());
    payload.extend_from_slice(&body);
    if payload.len() > MAX_LINK_PAYLOAD {
        return Err(DeviceError::TooBig(payload.len()));
    }
    Ok(LinkRecord::seal(place, times, &payload, nonce)?)
}

fn open<T: DeserializeOwned>(
    kind: u8,
    bytes: &[u8],
    device: &DeviceId,
    place: &LinkSecret,
    now: u64,
) -> Result<(Times, T), DeviceError> {
    let record = LinkRecord::verify(bytes, &place.id(), now)?;
    let payload = record.open(place.key())?;
    let short = DeviceError::Malformed("it is cut short");
    let (found, rest) = payload.split_first().ok_or(short.clone())?;
    let (signature, body) = rest.split_first_chunk::<SIGNATURE>().ok_or(short)?;
    if *found != kind {
        return Err(DeviceError::Malformed("it is of another kind"));
    }
    let signature = Signature::from_bytes(signature);
    let message = signed(&place.id(), record.times(), kind, body);
    VerifyingKey::from_bytes(&device.0)
        .and_then(|key| key.verify_strict(&message, &signature))
        .map_err(|_| DeviceError::BadSignature)?;
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok((record.times(), value)),
        _ => Err(DeviceError::Malformed("its content has no known form")),
    }
}

fn signed(place: &LinkId, times: Times, kind: u8, body: &[u8]) -> Vec<u8> {
    let seq = times.seq.to_be_bytes();
    [SIGNED_PREFIX, place.as_bytes(), &seq, &[kind], body].concat()
}

/// What two devices that are being linked show, to be compared: both saw the same messages. Nobody in
/// between who knew the code could have made both the same in reasonable time.
pub fn comparison(offer: &[u8], guess: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"pillion device comparison v1\0");
    hash.update((offer.len() as u64).to_be_bytes());
    hash.update(offer);
    hash.update(guess);
    let digits = data_encoding::HEXLOWER.encode(&hash.finalize()[..8]);
    let groups = [&digits[..4], &digits[4..8], &digits[8..12], &digits[12..]];
    groups.join("-")
}

fn at_most_devices<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Member>, D::Error> {
    bounded(Vec::deserialize(deserializer)?, MAX_DEVICES)
}

fn at_most_listed<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ListedSession>, D::Error> {
    bounded(Vec::deserialize(deserializer)?, MAX_LISTED)
}

fn bounded<T, E: de::Error>(values: Vec<T>, most: usize) -> Result<Vec<T>, E> {
    match values.len() <= most {
        true => Ok(values),
        false => Err(E::custom("more of them than there can be")),
    }
}

#[cfg(test)]
mod tests;
