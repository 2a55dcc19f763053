//! What happens to a ledger, as the session's log keeps it.

use crate::{
    access::{AccessMode, Subject},
    grant::{Grant, GrantId},
    keys::PublicKey,
    refusal::{Malformed, Tagged},
    rights::Rights,
    time::UnixMillis,
    wire::Reader,
};

/// A change to the ledger, to be written to the session's log in the order they were returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerEvent {
    /// The session issued this root.
    Issued(Grant),
    /// An identity used a grant for the first time.
    Redeemed {
        /// The grant.
        grant: Grant,
        /// Who used it.
        identity: PublicKey,
    },
    /// This grant, and all passed on from it, was revoked.
    RevokedGrant(GrantId),
    /// All grants so far that name or were used by this identity were revoked, for that identity
    /// and for those it passed them on to.
    RevokedPerson(PublicKey),
    /// All grants so far with a link in their chain were revoked.
    RevokedLinks,
    /// All grants so far were revoked.
    RevokedAll,
    /// This identity may not redeem grants.
    Barred(PublicKey),
    /// This identity may again.
    Unbarred(PublicKey),
    /// Grants whose root had ended by this time, the tolerated skew included, were forgotten.
    Forgotten(UnixMillis),
    /// Who may come in from now on.
    Opened(AccessMode),
    /// These people are on the list, with these rights.
    Allowed {
        /// Who.
        who: Subject,
        /// What they may do.
        rights: Rights,
    },
    /// They are not any more.
    Disallowed(Subject),
    /// Anybody who proves to be this is kept out. An identity key is [`Barred`](Self::Barred) instead.
    Banned(Subject),
    /// They are not any more.
    Unbanned(Subject),
}

impl LedgerEvent {
    /// The encoding: a tag (1 to 14, in the order above), then the fields; a grant comes last.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Issued(grant) => tagged(1, &grant.to_bytes()),
            Self::Redeemed { grant, identity } => {
                tagged(2, &[identity.as_bytes(), &grant.to_bytes()[..]].concat())
            }
            Self::RevokedGrant(id) => tagged(3, id.as_bytes()),
            Self::RevokedPerson(key) => tagged(4, key.as_bytes()),
            Self::RevokedLinks => tagged(5, &[]),
            Self::RevokedAll => tagged(6, &[]),
            Self::Barred(key) => tagged(7, key.as_bytes()),
            Self::Unbarred(key) => tagged(8, key.as_bytes()),
            Self::Forgotten(now) => tagged(9, &now.0.to_be_bytes()),
            Self::Opened(mode) => tagged(10, &[mode.number()]),
            Self::Allowed { who, rights } => {
                let rights = rights.bits().to_be_bytes();
                tagged(11, &[&rights, who.as_str().as_bytes()].concat())
            }
            Self::Disallowed(who) => tagged(12, who.as_str().as_bytes()),
            Self::Banned(who) => tagged(13, who.as_str().as_bytes()),
            Self::Unbanned(who) => tagged(14, who.as_str().as_bytes()),
        }
    }

    /// Reads the encoding. An unknown tag is refused: it could be a revocation.
    ///
    /// # Errors
    /// [`Malformed`] for anything but the one encoding of an event.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let event = match reader.u8()? {
            1 => Self::Issued(Grant::from_bytes(reader.rest())?),
            2 => Self::Redeemed {
                identity: PublicKey::from_bytes(&reader.array()?)?,
                grant: Grant::from_bytes(reader.rest())?,
            },
            3 => Self::RevokedGrant(GrantId::from_bytes(reader.array()?)),
            4 => Self::RevokedPerson(PublicKey::from_bytes(&reader.array()?)?),
            5 => Self::RevokedLinks,
            6 => Self::RevokedAll,
            7 => Self::Barred(PublicKey::from_bytes(&reader.array()?)?),
            8 => Self::Unbarred(PublicKey::from_bytes(&reader.array()?)?),
            9 => Self::Forgotten(UnixMillis(reader.u64()?)),
            10 => Self::Opened(mode(reader.u8()?)?),
            11 => Self::Allowed {
                rights: reader.rights()?,
                who: subject(reader.rest())?,
            },
            12 => Self::Disallowed(subject(reader.rest())?),
            13 => Self::Banned(subject(reader.rest())?),
            14 => Self::Unbanned(subject(reader.rest())?),
            tag => {
                return Err(Malformed::Tag {
                    what: Tagged::LedgerEvent,
                    tag,
                });
            }
        };
        reader.end()?;
        Ok(event)
    }

    /// Whether it takes a grant from someone.
    pub(crate) const fn revokes(&self) -> bool {
        match self {
            Self::RevokedGrant(_)
            | Self::RevokedPerson(_)
            | Self::RevokedLinks
            | Self::RevokedAll => true,
            Self::Issued(_)
            | Self::Redeemed { .. }
            | Self::Barred(_)
            | Self::Unbarred(_)
            | Self::Forgotten(_)
            | Self::Opened(_)
            | Self::Allowed { .. }
            | Self::Disallowed(_)
            | Self::Banned(_)
            | Self::Unbanned(_) => false,
        }
    }
}

fn mode(number: u8) -> Result<AccessMode, Malformed> {
    AccessMode::from_number(number).ok_or(Malformed::Tag {
        what: Tagged::AccessMode,
        tag: number,
    })
}

fn subject(bytes: &[u8]) -> Result<Subject, Malformed> {
    let text = str::from_utf8(bytes).map_err(|_| Malformed::Subject)?;
    text.parse()
}

fn tagged(tag: u8, payload: &[u8]) -> Vec<u8> {
    [&[tag], payload].concat()
}
