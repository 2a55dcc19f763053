//! Claims: the proofs of who somebody is that go along in a hello.
//!
//! ```text
//! claim    tag u8: 1 SSH key: expires u64 ms · SSHSIG
//!                | 2 e-mail:  salt 16 · ID token (compact JWS, ASCII)
//!                | 3 team:    certificate
//! signed   by the SSH key: "pillion claim v1" 0 · identity 32 · session 32 · expires u64 ms
//! ```
//! Each goes to the end of its bytes; there is one encoding of each.

use std::fmt;

use pillion_caps::{CLOCK_SKEW_MILLIS, PublicKey, UnixMillis};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    oidc::{self, Jwks, TokenError},
    ssh::{SshKey, SshSignature},
    team::{Membership, MembershipId, Removals},
    who::{Issuer, NotAPerson, Who},
    wire::{Reader, Short},
};

/// Most claims in one hello.
pub const MAX_CLAIMS: usize = 4;

/// Longest claim, in bytes: ID tokens with many names in them have 2 to 4 KiB.
pub const MAX_CLAIM: usize = 8 * 1024;

/// Bytes of the salt in an e-mail claim.
pub const SALT_BYTES: usize = 16;

/// The longest an SSH key's claim may be made to hold, in milliseconds: a day, so that a viewer that
/// was cut off can come back without the key.
pub const MAX_SSH_LIFE_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// A claim that was read, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// By an SSH key.
    Ssh(SshClaim),
    /// By an issuer of ID tokens.
    Email(EmailClaim),
    /// By a team's key.
    Team(Membership),
}

/// An SSH key's word for an identity, in one session, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshClaim {
    /// When it ends.
    pub expires: UnixMillis,
    /// By the key.
    pub signature: SshSignature,
}

impl SshClaim {
    /// What the SSH key signs, to be passed to [`SshSignature::signed_bytes`].
    pub fn message(identity: &PublicKey, session: &PublicKey, expires: UnixMillis) -> Vec<u8> {
        let mut message = b"pillion claim v1\0".to_vec();
        message.extend(identity.as_bytes());
        message.extend(session.as_bytes());
        message.extend(expires.0.to_be_bytes());
        message
    }
}

/// An ID token whose nonce is bound to an identity.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailClaim {
    /// What was hashed into the nonce beside the identity, fresh for each token: without it, who
    /// knows the identity could tell from the issuer's records whose token it is.
    pub salt: [u8; SALT_BYTES],
    /// The token, as the issuer gave it. Secret: with it goes what the issuer says of the person.
    pub token: String,
}

impl EmailClaim {
    /// When the token says it ends. Nothing about it was verified.
    pub fn expires(&self) -> Option<UnixMillis> {
        oidc::expires(&self.token)
    }
}

impl fmt::Debug for EmailClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailClaim").finish_non_exhaustive()
    }
}

const SSH: u8 = 1;
const EMAIL: u8 = 2;
const TEAM: u8 = 3;

impl Claim {
    /// The bytes for the hello.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Claim::Ssh(claim) => {
                let mut bytes = vec![SSH];
                bytes.extend(claim.expires.0.to_be_bytes());
                bytes.extend(claim.signature.to_bytes());
                bytes
            }
            Claim::Email(claim) => {
                let mut bytes = vec![EMAIL];
                bytes.extend(claim.salt);
                bytes.extend(claim.token.as_bytes());
                bytes
            }
            Claim::Team(membership) => {
                let mut bytes = vec![TEAM];
                bytes.extend(membership.to_bytes());
                bytes
            }
        }
    }

    /// Reads a claim. Nothing in it is believed yet.
    ///
    /// # Errors
    /// Too long, damaged, or of a kind this version doesn't know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ClaimError> {
        if bytes.len() > MAX_CLAIM {
            return Err(ClaimError::TooLong(bytes.len()));
        }
        let damaged = |Short| ClaimError::Malformed(ClaimPart::Claim);
        let mut reader = Reader::new(bytes);
        match reader.u8().map_err(damaged)? {
            SSH => Ok(Claim::Ssh(SshClaim {
                expires: UnixMillis(reader.u64().map_err(damaged)?),
                signature: SshSignature::from_bytes(reader.rest())?,
            })),
            EMAIL => {
                let salt = reader.array().map_err(damaged)?;
                let token = str::from_utf8(reader.rest())
                    .ok()
                    .filter(|token| oidc::is_compact(token))
                    .ok_or(ClaimError::Token(TokenError::Malformed))?;
                let token = token.to_owned();
                Ok(Claim::Email(EmailClaim { salt, token }))
            }
            TEAM => Ok(Claim::Team(Membership::from_bytes(reader.rest())?)),
            tag => Err(ClaimError::Unknown(tag)),
        }
    }

    /// When it says it ends; `None` where it doesn't say. Nothing about it was verified.
    pub fn expires(&self) -> Option<UnixMillis> {
        match self {
            Claim::Ssh(claim) => Some(claim.expires),
            Claim::Email(claim) => claim.expires(),
            Claim::Team(membership) => Some(membership.expires()),
        }
    }

    /// The membership it is, if it is one: what a team may take back later.
    pub const fn membership(&self) -> Option<MembershipId> {
        match self {
            Claim::Team(membership) => Some(membership.id()),
            Claim::Ssh(_) | Claim::Email(_) => None,
        }
    }
}

/// Whom a host believes.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Issuers of ID tokens.
    pub issuers: Vec<TrustedIssuer>,
    /// What teams took back, as far as the host was told. A membership needs no entry here to be
    /// proved: which teams may come in is for the list of the invited to say.
    pub removals: Vec<Removals>,
}

impl Trust {
    /// Whether a team took this membership back.
    pub fn took_back(&self, id: MembershipId) -> bool {
        self.removals.iter().any(|list| list.names(id))
    }
}

/// An issuer whose word for addresses is taken.
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    /// Its URL.
    pub issuer: Issuer,
    /// The client that tokens must be made for.
    pub client_id: String,
    /// Its keys; `None` until they were fetched.
    pub keys: Option<Jwks>,
}

/// Checks a claim and says who its sender is. `identity` is the key the sender proved to hold on this
/// connection, `session` the key of the session that is joined.
///
/// # Errors
/// Why it isn't believed. [`ClaimError::KeysWanted`] asks for the issuer's keys: fetch them into
/// `trust`, and verify once more.
pub fn verify(
    claim: &[u8],
    identity: &PublicKey,
    session: &PublicKey,
    now: UnixMillis,
    trust: &Trust,
) -> Result<Who, ClaimError> {
    match Claim::from_bytes(claim)? {
        Claim::Ssh(claim) => verify_ssh(&claim, identity, session, now).map(Who::Ssh),
        Claim::Email(claim) => {
            let (address, issuer) = oidc::verify(&claim, identity, now, &trust.issuers)?;
            Ok(Who::Email { address, issuer })
        }
        Claim::Team(membership) => {
            membership.verify(identity, now, &trust.removals)?;
            Ok(Who::Team {
                team: membership.team(),
                member: membership.member().clone(),
            })
        }
    }
}

fn verify_ssh(
    claim: &SshClaim,
    identity: &PublicKey,
    session: &PublicKey,
    now: UnixMillis,
) -> Result<SshKey, ClaimError> {
    let message = SshClaim::message(identity, session, claim.expires);
    let key = claim.signature.verify(&message)?;
    let expires = claim.expires;
    if now >= expires.saturating_add(CLOCK_SKEW_MILLIS) {
        return Err(ClaimError::Expired { expires, now });
    }
    if expires > now.saturating_add(MAX_SSH_LIFE_MILLIS + CLOCK_SKEW_MILLIS) {
        return Err(ClaimError::TooLongLived { expires, now });
    }
    Ok(key)
}

/// A part of a claim that can be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimPart {
    /// All of it.
    Claim,
    /// An SSH signature.
    SshSignature,
    /// Its hash.
    SshHash,
    /// An SSH signature of a newer kind.
    SshKind,
    /// A team membership.
    Membership,
    /// A team's list of removals.
    Removals,
}

impl fmt::Display for ClaimPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClaimPart::Claim => "a claim",
            ClaimPart::SshSignature => "an SSH signature",
            ClaimPart::SshHash => "an SSH signature's hash",
            ClaimPart::SshKind => "an SSH signature of a newer kind",
            ClaimPart::Membership => "a team membership",
            ClaimPart::Removals => "a team's list of removals",
        })
    }
}

/// Why a claim isn't believed, in words for the person who made it. A reason is added at the end: the number of each is
/// part of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClaimError {
    /// So many bytes.
    #[error("a proof of who you are has {0} bytes, more than the {MAX_CLAIM} it may have")]
    TooLong(usize),
    /// The bytes are not what they should be.
    #[error("{0} in the proof of who you are is damaged: make it again")]
    Malformed(ClaimPart),
    /// A kind of claim of a later version.
    #[error(
        "the host's PILLION doesn't know this kind of proof (number {0}): it should be upgraded"
    )]
    Unknown(u8),
    /// What it names is nobody.
    #[error("the proof of who you are names nobody: {0}")]
    Person(#[from] NotAPerson),
    /// An SSH signature made for something else.
    #[error("the SSH signature was made for another purpose than PILLION's: sign again")]
    SshNamespace,
    /// The SSH key didn't sign this.
    #[error(
        "the SSH signature is not valid for your Pillion key in this session: join again with \
         --as ssh"
    )]
    SshSignature,
    /// It ended.
    #[error(
        "the proof of who you are expired at {expires}; the host's clock says {now}. Join again, or \
         check both clocks"
    )]
    Expired {
        /// When it expired.
        expires: UnixMillis,
        /// The time by the host's clock.
        now: UnixMillis,
    },
    /// It is not yet valid.
    #[error(
        "the proof of who you are is not valid before {not_before}; the host's clock says {now}. \
         Check both clocks"
    )]
    NotYetValid {
        /// When it begins.
        not_before: UnixMillis,
        /// The time by the host's clock.
        now: UnixMillis,
    },
    /// It would hold for longer than any may.
    #[error(
        "the proof of who you are would hold until {expires}, longer than it may; the host's clock \
         says {now}. Check both clocks"
    )]
    TooLongLived {
        /// When it would expire.
        expires: UnixMillis,
        /// The time by the host's clock.
        now: UnixMillis,
    },
    /// The host has no keys of the issuer, or not the one that signed.
    #[error("the host doesn't have the key of {issuer} that signed your e-mail address")]
    KeysWanted {
        /// Whose keys are to be fetched.
        issuer: Issuer,
    },
    /// An ID token that doesn't hold.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// Another's membership.
    #[error(
        "this team membership is of another Pillion key than yours: give the team's owner what \
         `pillion id` prints, and ask for one made for it"
    )]
    OtherMember,
    /// Not by the team's key.
    #[error(
        "this team membership was altered, or not signed by the team: ask its owner for another"
    )]
    TeamSignature,
    /// Taken back.
    #[error("the team took your membership back: ask its owner")]
    Removed,
}

#[cfg(test)]
mod tests;
