//! Grants: chains of signed blocks, each narrower than the one before.
//!
//! ```text
//! grant    version u8 = 1 · session 32 · number of blocks u8 · block …
//! block    rights u16 · audience · not before u64 ms · expires u64 ms · uses u32 (0: any number)
//!          · seed 16 · signature 64
//! audience tag u8: 1 key 32 | 2 link 32 | 3 e-mail: length u8, UTF-8 | 4 team 32
//! signed   session · index u8 · previous block's signature (root: 64 zeros) · block up to its signature
//! ```
//! There is one encoding of each grant. The session's key signs the root, the key a block names
//! signs the next.

use std::{fmt, iter, num::NonZeroU32, str::FromStr};

use data_encoding::HEXLOWER;
use ed25519_dalek::{Digest as _, Sha512};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    keys::{BadSignature, Domain, PublicKey, SecretKey, Signature, from_hex, sign, verify},
    refusal::{Bound, Malformed, Refusal, Tagged, Unprovable},
    rights::{Right, Rights},
    time::{CLOCK_SKEW_MILLIS, UnixMillis},
    wire::Reader,
};

/// The most bytes a grant is read from. The longest possible one, five e-mail blocks, has 1,819.
pub const MAX_GRANT_BYTES: usize = 4096;

/// The most blocks in a grant: the root, and four times passed on (protocol.md, Grants).
pub const MAX_BLOCKS: usize = 5;

/// The longest e-mail address, in bytes (RFC 5321, 4.5.3.1.3, less the angle brackets).
pub const MAX_EMAIL_BYTES: usize = 254;

const VERSION: u8 = 1;

/// What a grant's last block says: who may do what in which session, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The session's key.
    pub session: PublicKey,
    /// What the holder may do.
    pub rights: Rights,
    /// Who the holder is.
    pub audience: Audience,
    /// When it begins to be valid.
    pub not_before: UnixMillis,
    /// When it ends to be valid.
    pub expires: UnixMillis,
    /// How many identities may use it, those who use what was passed on from it included; `None`:
    /// any number.
    pub uses: Option<NonZeroU32>,
}

impl Terms {
    fn check_window(&self) -> Result<(), Refusal> {
        match self.not_before < self.expires {
            true => Ok(()),
            false => Err(Refusal::NeverValid),
        }
    }

    /// The one place that says what may be passed on: nothing wider than this, by a holder with the
    /// right to.
    fn check_narrower(&self, child: &Terms) -> Result<(), Refusal> {
        if !self.rights.has(Right::Delegate) {
            return Err(Refusal::NotDelegable);
        }
        if child.session != self.session {
            return Err(Refusal::OtherSession);
        }
        if !child.rights.narrower_or_equal(self.rights) {
            return Err(Refusal::Widens(Bound::Rights));
        }
        if child.not_before < self.not_before || child.expires > self.expires {
            return Err(Refusal::Widens(Bound::Time));
        }
        match (self.uses, child.uses) {
            (None, _) => Ok(()),
            (Some(ours), Some(theirs)) if theirs <= ours => Ok(()),
            (Some(_), _) => Err(Refusal::Widens(Bound::Uses)),
        }
    }
}

/// Who may use a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The person with this identity key.
    Key(PublicKey),
    /// Anybody who holds the secret of this link key.
    Link(PublicKey),
    /// Who proves this address. Not supported yet: encoded, but refused when redeemed.
    Email(EmailAddress),
    /// The members vouched for by this key. Not supported yet: encoded, but refused when redeemed.
    Team(PublicKey),
}

impl Audience {
    /// The key that proves to be this audience, and signs what it passes on.
    pub(crate) fn key(&self) -> Result<&PublicKey, Refusal> {
        match self {
            Self::Key(key) | Self::Link(key) => Ok(key),
            Self::Email(_) => Err(Refusal::Unsupported(Unprovable::Email)),
            Self::Team(_) => Err(Refusal::Unsupported(Unprovable::Team)),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Key(key) => {
                out.push(1);
                out.extend(key.as_bytes());
            }
            Self::Link(key) => {
                out.push(2);
                out.extend(key.as_bytes());
            }
            Self::Email(EmailAddress(text)) => {
                out.push(3);
                out.push(text.len() as u8); // MAX_EMAIL_BYTES fits
                out.extend(text.as_bytes());
            }
            Self::Team(key) => {
                out.push(4);
                out.extend(key.as_bytes());
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.u8()? {
            1 => Ok(Self::Key(PublicKey::from_bytes(&reader.array()?)?)),
            2 => Ok(Self::Link(PublicKey::from_bytes(&reader.array()?)?)),
            3 => {
                let len = reader.u8()?;
                let text = str::from_utf8(reader.bytes(len.into())?);
                Ok(Self::Email(text.map_err(|_| Malformed::Email)?.parse()?))
            }
            4 => Ok(Self::Team(PublicKey::from_bytes(&reader.array()?)?)),
            tag => Err(Malformed::Tag {
                what: Tagged::Audience,
                tag,
            }),
        }
    }
}

/// An e-mail address as a name for a person: something on both sides of an `@`, printable ASCII, at
/// most [`MAX_EMAIL_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAddress(String);

impl FromStr for EmailAddress {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let sides = text.rsplit_once('@').ok_or(Malformed::Email)?;
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || text.len() > MAX_EMAIL_BYTES || sides.0.is_empty() || sides.1.is_empty() {
            return Err(Malformed::Email);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A grant's number: a hash of all it says and all it was passed on from, so it can't be chosen to
/// be another's.
///
/// Displays, and parses, as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId([u8; 16]);

impl GrantId {
    /// An id as it was sent or stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn of(signed: &[u8]) -> Self {
        let digest = Sha512::new()
            .chain_update(b"pillion grant id v1\0")
            .chain_update(signed)
            .finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantId({self})")
    }
}

impl FromStr for GrantId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        from_hex(text).map(Self)
    }
}

/// 16 bytes in binary formats, the displayed text in human-readable ones.
impl Serialize for GrantId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for GrantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.is_human_readable() {
            true => String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom),
            false => <[u8; 16]>::deserialize(deserializer).map(Self),
        }
    }
}

/// A capability token. One that was read is not yet verified; see [`Grant::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// From the root on; empty if `last` is the root.
    ancestors: Vec<Block>,
    last: Block,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    terms: Terms,
    seed: [u8; 16],
    signature: Signature,
    id: GrantId,
}

impl Grant {
    /// A new root. `secret` is the session's; `seed` is fresh from a cryptographic random source,
    /// and tells grants with equal terms apart.
    ///
    /// # Errors
    /// [`Refusal::OtherSession`] if `secret` isn't the session's the terms name,
    /// [`Refusal::NeverValid`] if they end before they begin.
    pub fn issue(secret: &SecretKey, terms: Terms, seed: [u8; 16]) -> Result<Self, Refusal> {
        if secret.public() != terms.session {
            return Err(Refusal::OtherSession);
        }
        terms.check_window()?;
        Ok(Self {
            ancestors: Vec::new(),
            last: Block::sign(secret, terms, seed, 0, None),
        })
    }

    /// This grant passed on, with narrower terms. `secret` is the holder's: of the key this grant
    /// names.
    ///
    /// # Errors
    /// Says which rule the new terms would break, or that `secret` isn't the holder's.
    pub fn narrow(
        &self,
        secret: &SecretKey,
        terms: Terms,
        seed: [u8; 16],
    ) -> Result<Self, Refusal> {
        if secret.public() != *self.last.terms.audience.key()? {
            return Err(Refusal::OtherKey);
        }
        self.last.terms.check_narrower(&terms)?;
        terms.check_window()?;
        let ancestors: Vec<Block> = self.blocks().cloned().collect();
        if ancestors.len() >= MAX_BLOCKS {
            return Err(Refusal::TooDeep);
        }
        let last = Block::sign(secret, terms, seed, ancestors.len(), Some(&self.last));
        Ok(Self { ancestors, last })
    }

    /// Checks every signature, and that no block gives more than the one before it. It says nothing
    /// about time, revocation or who presents it: that is [`Ledger::redeem`](crate::Ledger::redeem).
    ///
    /// # Errors
    /// [`Refusal::Altered`] for a wrong signature, else the rule that is broken.
    pub fn verify(&self) -> Result<(), Refusal> {
        let mut parent: Option<&Block> = None;
        for (index, block) in self.blocks().enumerate() {
            block.terms.check_window()?;
            let signer = match parent {
                None => &block.terms.session,
                Some(parent) => {
                    parent.terms.check_narrower(&block.terms)?;
                    parent.terms.audience.key()?
                }
            };
            let signed = signed_bytes(&block.terms, &block.seed, index, parent);
            verify(signer, Domain::GrantBlock, &signed, &block.signature)
                .map_err(|BadSignature| Refusal::Altered)?;
            parent = Some(block);
        }
        Ok(())
    }

    /// Checks the time by the host's clock, with [`CLOCK_SKEW_MILLIS`] to spare at both ends. As
    /// blocks only narrow, the last one's time is within every other's.
    pub(crate) fn check_time(&self, now: UnixMillis) -> Result<(), Refusal> {
        let Terms {
            not_before,
            expires,
            ..
        } = self.last.terms;
        if now.saturating_add(CLOCK_SKEW_MILLIS) < not_before {
            return Err(Refusal::NotYetValid {
                not_before,
                now,
                delegated: not_before > self.root().terms.not_before,
            });
        }
        match now < expires.saturating_add(CLOCK_SKEW_MILLIS) {
            true => Ok(()),
            false => Err(Refusal::Expired { expires, now }),
        }
    }

    /// The grant's id, which is the last block's.
    pub fn id(&self) -> GrantId {
        self.last.id
    }

    /// The terms in force, which are the last block's.
    pub fn terms(&self) -> &Terms {
        &self.last.terms
    }

    /// The session the grant is for.
    pub fn session(&self) -> PublicKey {
        self.last.terms.session
    }

    /// Ids and terms of all blocks, from the root to this grant.
    pub fn chain(&self) -> impl Iterator<Item = (GrantId, &Terms)> {
        self.blocks().map(|block| (block.id, &block.terms))
    }

    /// The id of the root this grant descends from; its own if it is one.
    pub fn root_id(&self) -> GrantId {
        self.root().id
    }

    /// Whether the session itself issued this grant, rather than someone who passed it on.
    pub fn is_root(&self) -> bool {
        self.ancestors.is_empty()
    }

    /// The encoding, at most [`MAX_GRANT_BYTES`] long.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(self.session().as_bytes());
        out.push(self.ancestors.len() as u8 + 1); // at most MAX_BLOCKS
        for block in self.blocks() {
            write_unsigned(&block.terms, &block.seed, &mut out);
            out.extend(block.signature.as_bytes());
        }
        out
    }

    /// Reads the encoding; what is read is well-formed, not verified.
    ///
    /// # Errors
    /// [`Malformed`] for anything but the one encoding of a grant.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_GRANT_BYTES {
            return Err(Malformed::TooLong(bytes.len()));
        }
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            VERSION => (),
            version => return Err(Malformed::Version(version)),
        }
        let session = PublicKey::from_bytes(&reader.array()?)?;
        let count = reader.u8()?;
        if count == 0 || usize::from(count) > MAX_BLOCKS {
            return Err(Malformed::Blocks(count));
        }
        let mut last = Block::read(&mut reader, session, 0, None)?;
        let mut ancestors = Vec::new();
        for index in 1..count {
            let next = Block::read(&mut reader, session, index.into(), Some(&last))?;
            ancestors.push(std::mem::replace(&mut last, next));
        }
        reader.end()?;
        Ok(Self { ancestors, last })
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.ancestors.iter().chain(iter::once(&self.last))
    }

    fn root(&self) -> &Block {
        self.ancestors.first().unwrap_or(&self.last)
    }
}

impl Block {
    fn sign(
        secret: &SecretKey,
        terms: Terms,
        seed: [u8; 16],
        index: usize,
        parent: Option<&Block>,
    ) -> Self {
        let signed = signed_bytes(&terms, &seed, index, parent);
        Self {
            terms,
            seed,
            signature: sign(secret, Domain::GrantBlock, &signed),
            id: GrantId::of(&signed),
        }
    }

    fn read(
        reader: &mut Reader<'_>,
        session: PublicKey,
        index: usize,
        parent: Option<&Block>,
    ) -> Result<Self, Malformed> {
        let terms = Terms {
            session,
            rights: reader.rights()?,
            audience: Audience::read(reader)?,
            not_before: UnixMillis(reader.u64()?),
            expires: UnixMillis(reader.u64()?),
            uses: NonZeroU32::new(reader.u32()?),
        };
        let seed = reader.array()?;
        let signature = Signature::from_bytes(reader.array()?);
        let id = GrantId::of(&signed_bytes(&terms, &seed, index, parent));
        Ok(Self {
            terms,
            seed,
            signature,
            id,
        })
    }
}

/// What a block's signature covers. The previous signature covers all before it, so blocks can't be
/// taken out of their chain.
fn signed_bytes(terms: &Terms, seed: &[u8; 16], index: usize, parent: Option<&Block>) -> Vec<u8> {
    let mut out = terms.session.as_bytes().to_vec();
    out.push(index as u8); // below MAX_BLOCKS
    out.extend(parent.map_or(&[0; 64], |parent| parent.signature.as_bytes()));
    write_unsigned(terms, seed, &mut out);
    out
}

fn write_unsigned(terms: &Terms, seed: &[u8; 16], out: &mut Vec<u8>) {
    out.extend(terms.rights.bits().to_be_bytes());
    terms.audience.write(out);
    out.extend(terms.not_before.0.to_be_bytes());
    out.extend(terms.expires.0.to_be_bytes());
    out.extend(terms.uses.map_or(0, NonZeroU32::get).to_be_bytes());
    out.extend(seed);
}

#[cfg(test)]
mod tests;
