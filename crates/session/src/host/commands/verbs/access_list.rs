//! Who may join, and who is kept out.

use pillion_proto::{AccessMode, Rights};
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};

/// Asks who may join, and who is kept out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessList {}

/// Who may join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessListed {
    /// The rule.
    pub mode: AccessMode,
    /// The list: whom, and what they may do.
    pub people: Vec<(String, Rights)>,
    /// Who is kept out.
    pub banned: Vec<String>,
    /// Addresses of lists of keys that are looked at again.
    pub followed: Vec<String>,
}

#[cfg(feature = "host")]
impl Run for AccessList {
    type Reply = AccessListed;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Nothing
    }

    fn run(self, host: &mut Host, _: &Principal) -> Result<Option<AccessListed>, CommandError> {
        let entries = host.people.rights().entries();
        Ok(Some(AccessListed {
            mode: host.door.access_mode(&host.people),
            people: entries
                .map(|(who, rights)| (who.to_string(), rights))
                .collect(),
            banned: host.people.rights().banned(),
            followed: host.door.key_lists().addresses(),
        }))
    }
}
