//! Teams: a key that says who its members are.
//!
//! ```text
//! membership version u8 = 1 · team 32 · identity 32 · serial u64 · not before u64 ms · expires u64 ms
//!            · length u8, name · signature 64
//! removals   version u8 = 1 · team 32 · issued u64 ms · number u16 · serial u64 … (rising)
//!            · signature 64
//! signed     all before the signature
//! ```
//! A membership ends by itself; one that must end sooner is named in the team's list of removals. Of
//! two lists of a team, the one that was issued later counts. As texts, both are a word and base32.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use pillion_caps::{
    CLOCK_SKEW_MILLIS, Domain, PublicKey, SecretKey, Signature, UnixMillis, sign, verify,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    claim::{ClaimError, ClaimPart},
    who::MemberName,
    wire::Reader,
};

/// The longest a membership may hold, in milliseconds: 400 days. What a team took back must be
/// remembered for as long.
pub const MAX_MEMBERSHIP_MILLIS: u64 = 400 * 24 * 60 * 60 * 1000;

/// Most memberships a list of removals names; those that ended by themselves need no place in it.
pub const MAX_REMOVED: usize = 4096;

const VERSION: u8 = 1;

/// A membership's number. Chosen at random, so a list of removals says nothing about how many there
/// are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Serial(pub u64);

/// Which membership: whose, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MembershipId {
    /// The team's key.
    pub team: PublicKey,
    /// Its number.
    pub serial: Serial,
}

/// The key a team is.
#[derive(Debug, Clone)]
pub struct TeamKey(SecretKey);

impl TeamKey {
    /// The team of this secret.
    pub const fn new(secret: SecretKey) -> Self {
        Self(secret)
    }

    /// What the team is known by.
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }

    /// Makes `identity` a member. `None` if the time is empty, or longer than
    /// [`MAX_MEMBERSHIP_MILLIS`].
    pub fn admit(
        &self,
        identity: PublicKey,
        member: MemberName,
        serial: Serial,
        not_before: UnixMillis,
        expires: UnixMillis,
    ) -> Option<Membership> {
        let life = expires.0.checked_sub(not_before.0)?;
        if !(1..=MAX_MEMBERSHIP_MILLIS).contains(&life) {
            return None;
        }
        let mut membership = Membership {
            team: self.public(),
            identity,
            serial,
            not_before,
            expires,
            member,
            signature: Signature::from_bytes([0; 64]),
        };
        membership.signature = sign(&self.0, Domain::TeamCertificate, &membership.signed());
        Some(membership)
    }

    /// Takes memberships back. `serials` replaces what earlier lists said. `None` if there are more
    /// than [`MAX_REMOVED`].
    pub fn remove(&self, issued: UnixMillis, mut serials: Vec<Serial>) -> Option<Removals> {
        serials.sort_unstable();
        serials.dedup();
        if serials.len() > MAX_REMOVED {
            return None;
        }
        let mut removals = Removals {
            team: self.public(),
            issued,
            serials,
            signature: Signature::from_bytes([0; 64]),
        };
        removals.signature = sign(&self.0, Domain::TeamRemovals, &removals.signed());
        Some(removals)
    }
}

/// A team's word that an identity is its member, for a time; not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    team: PublicKey,
    identity: PublicKey,
    serial: Serial,
    not_before: UnixMillis,
    expires: UnixMillis,
    member: MemberName,
    signature: Signature,
}

impl Membership {
    /// The team's key.
    pub const fn team(&self) -> PublicKey {
        self.team
    }

    /// The member's identity key.
    pub const fn identity(&self) -> PublicKey {
        self.identity
    }

    /// What the team calls the member.
    pub const fn member(&self) -> &MemberName {
        &self.member
    }

    /// Which one it is.
    pub const fn id(&self) -> MembershipId {
        MembershipId {
            team: self.team,
            serial: self.serial,
        }
    }

    /// When it ends.
    pub const fn expires(&self) -> UnixMillis {
        self.expires
    }

    /// Checks the signature, the time, that it is `identity`'s, and that the team didn't take it back.
    ///
    /// # Errors
    /// Which of these doesn't hold.
    pub fn verify(
        &self,
        identity: &PublicKey,
        now: UnixMillis,
        removals: &[Removals],
    ) -> Result<(), ClaimError> {
        self.check_signature()?;
        if self.identity != *identity {
            return Err(ClaimError::OtherMember);
        }
        let (not_before, expires) = (self.not_before, self.expires);
        if now.saturating_add(CLOCK_SKEW_MILLIS) < not_before {
            return Err(ClaimError::NotYetValid { not_before, now });
        }
        if now >= expires.saturating_add(CLOCK_SKEW_MILLIS) {
            return Err(ClaimError::Expired { expires, now });
        }
        match removals.iter().any(|list| list.names(self.id())) {
            true => Err(ClaimError::Removed),
            false => Ok(()),
        }
    }

    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.signed_and_signature()
    }

    /// Reads a membership. Its signature isn't checked yet.
    ///
    /// # Errors
    /// [`ClaimError::Malformed`], or [`ClaimError::Unknown`] for one of a newer version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ClaimError> {
        Self::read(bytes)
    }
}

impl TeamSigned for Membership {
    const DOMAIN: Domain = Domain::TeamCertificate;
    const WORD: &'static str = "pillionmember";
    const NAME: &'static str = "team membership";
    const MALFORMED: ClaimError = ClaimError::Malformed(ClaimPart::Membership);

    fn signer(&self) -> (&PublicKey, &Signature) {
        (&self.team, &self.signature)
    }

    fn signed(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.team.as_bytes());
        bytes.extend(self.identity.as_bytes());
        bytes.extend(self.serial.0.to_be_bytes());
        bytes.extend(self.not_before.0.to_be_bytes());
        bytes.extend(self.expires.0.to_be_bytes());
        bytes.push(self.member.as_str().len() as u8); // MAX_MEMBER_NAME fits
        bytes.extend(self.member.as_str().as_bytes());
        bytes
    }

    fn read_fields(reader: &mut Reader<'_>) -> Option<Self> {
        let team = PublicKey::from_bytes(&reader.array().ok()?).ok()?;
        let identity = PublicKey::from_bytes(&reader.array().ok()?).ok()?;
        let serial = Serial(reader.u64().ok()?);
        let not_before = UnixMillis(reader.u64().ok()?);
        let expires = UnixMillis(reader.u64().ok()?);
        let len = reader.u8().ok()?;
        let member = str::from_utf8(reader.bytes(len.into()).ok()?).ok()?;
        let life = expires.0.checked_sub(not_before.0)?;
        (1..=MAX_MEMBERSHIP_MILLIS).contains(&life).then_some(())?;
        Some(Self {
            team,
            identity,
            serial,
            not_before,
            expires,
            member: member.parse().ok()?,
            signature: Signature::from_bytes(reader.array().ok()?),
        })
    }
}

/// What a team took back. One that was read is verified: its signature is the team's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removals {
    team: PublicKey,
    issued: UnixMillis,
    serials: Vec<Serial>,
    signature: Signature,
}

impl Removals {
    /// The team's key.
    pub const fn team(&self) -> PublicKey {
        self.team
    }

    /// When the list was made.
    pub const fn issued(&self) -> UnixMillis {
        self.issued
    }

    /// What is taken back.
    pub fn serials(&self) -> &[Serial] {
        &self.serials
    }

    /// Whether it takes this membership back.
    pub fn names(&self, id: MembershipId) -> bool {
        self.team == id.team && self.serials.binary_search(&id.serial).is_ok()
    }

    /// Takes this list in among `all`, which hold one of each team. `false` if the one that is there is as
    /// new or newer: so nobody who tells old lists brings a membership back.
    pub fn take_in(self, all: &mut Vec<Removals>) -> bool {
        match all.iter_mut().find(|held| held.team == self.team) {
            Some(held) if held.issued >= self.issued => return false,
            Some(held) => *held = self,
            None => all.push(self),
        }
        true
    }

    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.signed_and_signature()
    }

    /// Reads a list and checks that the team signed it.
    ///
    /// # Errors
    /// As [`Membership::from_bytes`]; [`ClaimError::TeamSignature`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ClaimError> {
        let list = Self::read(bytes)?;
        list.check_signature()?;
        Ok(list)
    }
}

impl TeamSigned for Removals {
    const DOMAIN: Domain = Domain::TeamRemovals;
    const WORD: &'static str = "pillionremovals";
    const NAME: &'static str = "list of removals";
    const MALFORMED: ClaimError = ClaimError::Malformed(ClaimPart::Removals);

    fn signer(&self) -> (&PublicKey, &Signature) {
        (&self.team, &self.signature)
    }

    fn signed(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.team.as_bytes());
        bytes.extend(self.issued.0.to_be_bytes());
        bytes.extend((self.serials.len() as u16).to_be_bytes()); // MAX_REMOVED fits
        for serial in &self.serials {
            bytes.extend(serial.0.to_be_bytes());
        }
        bytes
    }

    fn read_fields(reader: &mut Reader<'_>) -> Option<Self> {
        let team = PublicKey::from_bytes(&reader.array().ok()?).ok()?;
        let issued = UnixMillis(reader.u64().ok()?);
        let number = usize::from(reader.u16().ok()?);
        if number > MAX_REMOVED {
            return None;
        }
        let mut serials = Vec::with_capacity(number);
        for _ in 0..number {
            let serial = Serial(reader.u64().ok()?);
            if serials.last().is_some_and(|last| *last >= serial) {
                return None;
            }
            serials.push(serial);
        }
        let signature = Signature::from_bytes(reader.array().ok()?);
        Some(Self {
            team,
            issued,
            serials,
            signature,
        })
    }
}

/// What memberships and lists of removals have in common: a version, fields, the team's signature over both;
/// and a text of these bytes.
trait TeamSigned: Sized {
    /// What the signature is for.
    const DOMAIN: Domain;
    /// How a text of it starts.
    const WORD: &'static str;
    /// What it is called.
    const NAME: &'static str;
    /// It can't be read.
    const MALFORMED: ClaimError;

    fn signer(&self) -> (&PublicKey, &Signature);

    /// All before the signature.
    fn signed(&self) -> Vec<u8>;

    /// Reads what follows the version, signature included.
    fn read_fields(reader: &mut Reader<'_>) -> Option<Self>;

    fn signed_and_signature(&self) -> Vec<u8> {
        let mut bytes = self.signed();
        bytes.extend(self.signer().1.as_bytes());
        bytes
    }

    /// Reads it; its signature isn't checked yet.
    fn read(bytes: &[u8]) -> Result<Self, ClaimError> {
        let mut reader = Reader::new(bytes);
        match reader.u8() {
            Ok(VERSION) => {}
            Ok(other) => return Err(ClaimError::Unknown(other)),
            Err(_) => return Err(Self::MALFORMED),
        }
        let read = Self::read_fields(&mut reader).ok_or(Self::MALFORMED)?;
        reader.end().map_err(|_| Self::MALFORMED)?;
        Ok(read)
    }

    fn check_signature(&self) -> Result<(), ClaimError> {
        let (team, signature) = self.signer();
        verify(team, Self::DOMAIN, &self.signed(), signature).map_err(|_| ClaimError::TeamSignature)
    }

    fn write_text(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base32 = BASE32_NOPAD.encode(&self.signed_and_signature());
        write!(f, "{}{}", Self::WORD, base32.to_ascii_lowercase())
    }

    /// Reads the text and checks that the team signed it. Blanks and line breaks that a mail brought along
    /// are left out.
    fn read_text(text: &str) -> Result<Self, TextError> {
        let (wanted, word) = (Self::NAME, Self::WORD);
        let damaged = TextError::Damaged { wanted };
        if text.len() > MAX_TEXT {
            return Err(damaged);
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let text = text.to_ascii_lowercase();
        let base32 = text.strip_prefix(word);
        let base32 = base32.ok_or(TextError::NotOurs { wanted, word })?;
        let bytes = BASE32_NOPAD.decode(base32.to_ascii_uppercase().as_bytes());
        let read = Self::read(&bytes.map_err(|_| damaged.clone())?);
        let checked = read.and_then(|read| read.check_signature().map(|()| read));
        checked.map_err(|error| match error {
            ClaimError::Malformed(_) | ClaimError::TeamSignature => damaged,
            error => TextError::Claim(error),
        })
    }
}

/// Why a pasted text is no membership, or no list of removals.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextError {
    /// Something else.
    #[error("this is no {wanted}: one starts with \"{word}\"; paste the whole line you were given")]
    NotOurs {
        /// What was wanted.
        wanted: &'static str,
        /// How one starts.
        word: &'static str,
    },
    /// Cut short or mistyped.
    #[error("this {wanted} is damaged or cut short: copy it again, whole")]
    Damaged {
        /// What was wanted.
        wanted: &'static str,
    },
    /// Not the team's.
    #[error("{0}")]
    Claim(ClaimError),
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_text(f)
    }
}

/// Reads the text and checks that the team signed it (at any time, for anybody).
impl FromStr for Membership {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::read_text(text)
    }
}

impl fmt::Display for Removals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_text(f)
    }
}

impl FromStr for Removals {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::read_text(text)
    }
}

/// The longest text looked at, in characters: twice the longest list.
const MAX_TEXT: usize = 128 * 1024;

#[cfg(test)]
mod tests;
