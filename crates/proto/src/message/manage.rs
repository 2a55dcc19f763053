//! Control stream: what a participant with the right to manage asks the host to do.

use bytes::Bytes;
use pillion_caps::{AccessMode, Rights};
use pillion_people::SubjectRef;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de,
    ser::{self, SerializeTuple},
};

use crate::growing;

/// What somebody with the right to manage wants done.
///
/// Whom it is about was read from a text, or taken from a list, at the sender's: a request about an entry of a list
/// carries the identity key that the list showed.
///
/// It travels as the number of its verb and a message of its own, so a host can say of a verb that it does
/// not know that it does not know it, and a verb can gain fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manage {
    /// Let somebody in who knocks.
    Admit(SubjectRef),
    /// Turn them away.
    Refuse {
        /// Whom.
        who: SubjectRef,
        /// Bar them, too.
        for_good: bool,
    },
    /// Give somebody here a right, for so many milliseconds or as long as the host's default.
    Grant {
        /// Whom.
        who: SubjectRef,
        /// What.
        right: Rights,
        /// For how long.
        ttl_ms: Option<u64>,
    },
    /// Say no to a request for edit.
    RefuseRequest(SubjectRef),
    /// Take edit away.
    Revoke(SubjectRef),
    /// Put somebody out and bar them.
    Kick(SubjectRef),
    /// Say who may come in.
    Open(AccessMode),
    /// Put somebody on the list.
    Allow {
        /// Whom.
        who: SubjectRef,
        /// What they may do.
        right: Rights,
    },
    /// Keep out anybody who proves to be this.
    Ban(SubjectRef),
    /// Undo that.
    Unban(SubjectRef),
    /// A verb of a newer version, or a known one with something in it that is not known here. The answer
    /// says so. Its number, and what stood behind it.
    Unknown(u16, Bytes),
}

/// The numbers of the verbs. A number is never reused.
mod verb {
    pub(super) const ADMIT: u16 = 1;
    pub(super) const REFUSE: u16 = 2;
    pub(super) const GRANT: u16 = 3;
    pub(super) const REFUSE_REQUEST: u16 = 4;
    pub(super) const REVOKE: u16 = 5;
    pub(super) const KICK: u16 = 6;
    pub(super) const OPEN: u16 = 7;
    pub(super) const ALLOW: u16 = 8;
    pub(super) const BAN: u16 = 9;
    pub(super) const UNBAN: u16 = 10;
}

#[derive(Serialize, Deserialize)]
struct About {
    who: SubjectRef,
}

#[derive(Serialize, Deserialize)]
struct Refusal {
    who: SubjectRef,
    for_good: bool,
}

#[derive(Serialize, Deserialize)]
struct Giving {
    who: SubjectRef,
    right: Rights,
    ttl_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Opening {
    mode: u8,
}

#[derive(Serialize, Deserialize)]
struct Listing {
    who: SubjectRef,
    right: Rights,
}

impl Manage {
    fn number(&self) -> u16 {
        match self {
            Manage::Admit(_) => verb::ADMIT,
            Manage::Refuse { .. } => verb::REFUSE,
            Manage::Grant { .. } => verb::GRANT,
            Manage::RefuseRequest(_) => verb::REFUSE_REQUEST,
            Manage::Revoke(_) => verb::REVOKE,
            Manage::Kick(_) => verb::KICK,
            Manage::Open(_) => verb::OPEN,
            Manage::Allow { .. } => verb::ALLOW,
            Manage::Ban(_) => verb::BAN,
            Manage::Unban(_) => verb::UNBAN,
            Manage::Unknown(number, _) => *number,
        }
    }

    /// What stands behind the number.
    fn body(&self) -> Result<Vec<u8>, postcard::Error> {
        match self.clone() {
            Manage::Admit(who)
            | Manage::RefuseRequest(who)
            | Manage::Revoke(who)
            | Manage::Kick(who)
            | Manage::Ban(who)
            | Manage::Unban(who) => postcard::to_allocvec(&About { who }),
            Manage::Refuse { who, for_good } => postcard::to_allocvec(&Refusal { who, for_good }),
            Manage::Grant { who, right, ttl_ms } => {
                postcard::to_allocvec(&Giving { who, right, ttl_ms })
            }
            Manage::Open(mode) => postcard::to_allocvec(&Opening {
                mode: mode.number(),
            }),
            Manage::Allow { who, right } => postcard::to_allocvec(&Listing { who, right }),
            Manage::Unknown(_, body) => Ok(body.to_vec()),
        }
    }

    fn read(number: u16, body: Bytes) -> Result<Manage, postcard::Error> {
        let about = || growing::from_bytes(&body).map(|About { who }| who);
        let known = match number {
            verb::ADMIT => Some(Manage::Admit(about()?)),
            verb::REFUSE => {
                let Refusal { who, for_good } = growing::from_bytes(&body)?;
                Some(Manage::Refuse { who, for_good })
            }
            verb::GRANT => {
                let Giving { who, right, ttl_ms } = growing::from_bytes(&body)?;
                Some(Manage::Grant { who, right, ttl_ms })
            }
            verb::REFUSE_REQUEST => Some(Manage::RefuseRequest(about()?)),
            verb::REVOKE => Some(Manage::Revoke(about()?)),
            verb::KICK => Some(Manage::Kick(about()?)),
            verb::OPEN => {
                let Opening { mode } = growing::from_bytes(&body)?;
                AccessMode::from_number(mode).map(Manage::Open)
            }
            verb::ALLOW => {
                let Listing { who, right } = growing::from_bytes(&body)?;
                Some(Manage::Allow { who, right })
            }
            verb::BAN => Some(Manage::Ban(about()?)),
            verb::UNBAN => Some(Manage::Unban(about()?)),
            _ => None,
        };
        Ok(known.unwrap_or(Manage::Unknown(number, body)))
    }
}

impl Serialize for Manage {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let body = self.body().map_err(ser::Error::custom)?;
        let mut parts = to.serialize_tuple(2)?;
        parts.serialize_element(&self.number())?;
        parts.serialize_element(&Bytes::from(body))?;
        parts.end()
    }
}

impl<'de> Deserialize<'de> for Manage {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Manage, D::Error> {
        let (number, body) = <(u16, Bytes)>::deserialize(from)?;
        Manage::read(number, body).map_err(de::Error::custom)
    }
}

/// A [`Manage`] by a participant who holds the right to. The hello on the same connection proved whose
/// key it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManageRequest {
    /// Comes back in the answer; counts the requests of a connection.
    pub id: u32,
    /// What.
    pub what: Manage,
}
