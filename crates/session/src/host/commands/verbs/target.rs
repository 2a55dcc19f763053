//! Whom a command is about.

use pillion_caps::PublicKey;
use pillion_people::{Invited, SshKey, SubjectRef};
use serde::{Deserialize, Serialize};

/// Whom a command is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Somebody or a grant, by what a person named them by, or by the identity key that a list or a question showed.
    One(SubjectRef),
    /// Exactly these, whom a question showed.
    Exactly(Vec<Invited>),
    /// Anybody who holds one of the SSH keys of a list.
    Keys {
        /// Where the list is, for people: a file or an address.
        from: String,
        /// The keys.
        keys: Vec<SshKey>,
        /// Whether it is an address, where keys that are added later are to be found.
        is_address: bool,
    },
    /// Everyone who came by a link grant.
    Links,
    /// Everyone.
    All,
}

impl Target {
    /// Whether it is one person or grant, which is all that somebody elsewhere can name.
    #[cfg(feature = "host")]
    pub(in crate::host) fn is_one(&self) -> bool {
        matches!(self, Target::One(_))
    }
}

impl From<SubjectRef> for Target {
    fn from(whom: SubjectRef) -> Target {
        Target::One(whom)
    }
}

impl From<PublicKey> for Target {
    fn from(key: PublicKey) -> Target {
        Target::One(SubjectRef::key(key))
    }
}
