//! Why a grant, a proof or a key is not accepted, in words for the person who joins.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    access::MAX_SUBJECT_BYTES,
    grant::{GrantId, MAX_BLOCKS, MAX_EMAIL_BYTES, MAX_GRANT_BYTES},
    proof::Role,
    time::UnixMillis,
};

/// Why the bytes are not what they should be. Nothing about them has been believed. A reason is added at the end: the
/// number of each is part of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes stop before the last value.
    #[error("it is cut off; copy the whole of it")]
    Truncated,
    /// So many bytes follow the last value.
    #[error("{0} bytes follow its end; copy it again, and nothing else with it")]
    Trailing(usize),
    /// So many bytes are more than any grant has.
    #[error("it has {0} bytes, more than the {MAX_GRANT_BYTES} a grant may have; copy it again")]
    TooLong(usize),
    /// The format is of a version this build doesn't know.
    #[error("its format is version {0}, which this PILLION doesn't know; upgrade PILLION here")]
    Version(u8),
    /// A tag this build doesn't know.
    #[error(
        "it holds {what} number {tag}, which this PILLION doesn't know; if it comes from a newer \
         one, upgrade PILLION here"
    )]
    Tag {
        /// What the tag chooses.
        what: Tagged,
        /// The tag.
        tag: u8,
    },
    /// The bits name no set of rights.
    #[error("its rights ({0:#018b}) do not hold the right to view")]
    Rights(u16),
    /// The chain has no block, or more than [`MAX_BLOCKS`].
    #[error("it was passed on {0} times; a grant has 1 to {MAX_BLOCKS} parts")]
    Blocks(u8),
    /// The bytes are no usable ed25519 public key in canonical form.
    #[error("it holds a public key that is none; copy it again")]
    Key,
    /// The text is no e-mail address of at most [`MAX_EMAIL_BYTES`] bytes.
    #[error("it names an e-mail address that is none (or longer than {MAX_EMAIL_BYTES} bytes)")]
    Email,
    /// The text names nobody.
    #[error(
        "it names somebody by a text that is none: one line of at most {MAX_SUBJECT_BYTES} bytes"
    )]
    Subject,
    /// The text is no id or key: hexadecimal digits, so many of them.
    #[error("it should be {0} hexadecimal digits")]
    Hex(usize),
}

/// What a tag chooses among.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tagged {
    /// An audience.
    Audience,
    /// An event of a ledger.
    LedgerEvent,
    /// Who may join.
    AccessMode,
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audience => "an audience",
            Self::LedgerEvent => "a ledger event",
            Self::AccessMode => "who may come in",
        })
    }
}

/// An audience that can't be proved yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unprovable {
    /// An e-mail address.
    Email,
    /// A team.
    Team,
}

impl fmt::Display for Unprovable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email => "an e-mail address",
            Self::Team => "a team",
        })
    }
}

/// A bound of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Its rights.
    Rights,
    /// When it holds.
    Time,
    /// How many may use it.
    Uses,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rights => "rights",
            Self::Time => "time",
            Self::Uses => "uses",
        })
    }
}

/// What a ledger holds a bounded number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limited {
    /// Grants.
    Grants,
    /// Uses of grants.
    Uses,
    /// Revoked grants.
    RevokedGrants,
    /// Revoked people.
    RevokedPeople,
    /// Barred people.
    BarredPeople,
    /// People on the list of who may join.
    Listed,
    /// People kept out by what they can prove.
    BannedPeople,
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grants => "grants",
            Self::Uses => "uses of grants",
            Self::RevokedGrants => "revoked grants",
            Self::RevokedPeople => "revoked people",
            Self::BarredPeople => "barred people",
            Self::Listed => "people on its list",
            Self::BannedPeople => "banned people",
        })
    }
}

/// Why a grant or a proof is refused, and what to do next. A reason is added at the end: the number of each is part of
/// the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// The bytes are no grant, proof or event.
    #[error("this grant can't be read: {0}")]
    Malformed(#[from] Malformed),
    /// A signature doesn't verify.
    #[error(
        "this grant was altered, or signed by someone who may not: a signature in it is wrong. \
         Copy it again, or ask the host for a new one (pillion grant)"
    )]
    Altered,
    /// A proof of possession doesn't verify for this key, connection, grant and role.
    #[error(
        "the proof of holding {} is not valid on this connection. Connect again; if that doesn't \
         help, ask the host for a new grant (pillion grant)",
        .0.describe()
    )]
    NotHolder(Role),
    /// The grant belongs to another session.
    #[error(
        "this grant is for another session. Join with the ticket it came with, or ask this \
         session's host for one (pillion grant)"
    )]
    OtherSession,
    /// The grant names another key than the one presenting it.
    #[error(
        "this grant was made for someone else's key. Ask the host for one made for yours (pillion \
         grant NAME), or for a link (pillion grant --link)"
    )]
    OtherKey,
    /// The grant's audience can't be proved by this version.
    #[error(
        "grants for {0} are not supported by this version. Ask the host for one made for your key \
         (pillion grant NAME), or for a link (pillion grant --link)"
    )]
    Unsupported(Unprovable),
    /// The grant ends no later than it begins.
    #[error("this grant is never valid: it ends before it begins. Ask for a new one")]
    NeverValid,
    /// A part of the chain was passed on without the right to.
    #[error("this grant may not be passed on. Ask the host for one (pillion grant)")]
    NotDelegable,
    /// The chain is at [`MAX_BLOCKS`] already.
    #[error(
        "this grant has been passed on as often as it may be. Ask the host for a new one (pillion \
         grant)"
    )]
    TooDeep,
    /// A part of the chain gives more than the part before it.
    #[error(
        "this grant gives more {0} than the one it was passed on from. Ask for one within its bounds"
    )]
    Widens(Bound),
    /// The host's clock, and the tolerated skew, have passed the grant's end.
    #[error(
        "this grant expired at {expires}; the host's clock says {now}. Ask the host for a new one \
         (pillion grant), or to check its clock if it is wrong"
    )]
    Expired {
        /// When it expired.
        expires: UnixMillis,
        /// The time by the host's clock.
        now: UnixMillis,
    },
    /// The host's clock, and the tolerated skew, have not reached the grant's beginning.
    #[error(
        "this grant is not valid before {not_before}; the host's clock says {now}. {}",
        if *.delegated {
            "If it should be valid by now, the clock of the machine it was passed on from is \
             ahead: check that machine's clock and pass it on again"
        } else {
            "If it should be valid by now, the host's clock was set back after it was made: ask \
             the host to check its clock"
        }
    )]
    NotYetValid {
        /// When it begins.
        not_before: UnixMillis,
        /// The time by the host's clock.
        now: UnixMillis,
        /// Whether a holder chose that beginning, by its own clock, and not the host.
        delegated: bool,
    },
    /// The host has no record of having issued the grant's root.
    #[error(
        "the host has no record of this grant {0}. It may have been issued before the session's \
         records were lost: ask the host for a new one (pillion grant)"
    )]
    Unknown(GrantId),
    /// The host took the grant away.
    #[error("the host revoked this grant. Ask the host for a new one (pillion grant)")]
    Revoked,
    /// As many people as may have used the grant, or one it was passed on from.
    #[error(
        "this grant is used up: it was for {uses} only, and others came first. Ask the host for a \
         new one (pillion grant)"
    )]
    UsedUp {
        /// How many identities may use it.
        uses: u32,
    },
    /// The host barred this identity from the session.
    #[error("the host removed you from this session")]
    Barred,
    /// The host could not make it durable, so it was not done.
    #[error(
        "the host could not write this down ({0}), so it was not done. Try again once the host's disk \
         has room"
    )]
    NotRecorded(String),
    /// The host's records are full.
    #[error(
        "the host keeps at most {limit} {what} and has them all. The host can revoke what isn't \
         needed (pillion revoke --link, or --all) and issue a new grant"
    )]
    Full {
        /// What there is too much of.
        what: Limited,
        /// How many there may be.
        limit: usize,
    },
}
