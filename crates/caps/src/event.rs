//! What happens to a ledger, as the session's log keeps it.

use crate::{
    grant::{Grant, GrantId},
    keys::PublicKey,
    refusal::Malformed,
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
}

impl LedgerEvent {
    /// The encoding: a tag (1 to 9, in the order above), then the fields; a grant comes last.
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
            tag => {
                return Err(Malformed::Tag {
                    what: "a ledger event",
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
            | Self::Forgotten(_) => false,
        }
    }
}

fn tagged(tag: u8, payload: &[u8]) -> Vec<u8> {
    [&[tag], payload].concat()
}
