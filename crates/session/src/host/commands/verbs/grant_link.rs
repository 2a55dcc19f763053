//! Makes a token for somebody who is not here yet.

use std::num::NonZeroU32;

use pillion_proto::Rights;
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{
    Host,
    commands::question::{Offer, Question, WhoLine},
    principal::Principal,
};

/// Makes a token for somebody who is not here yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantLink {
    /// The rights that it gives.
    pub rights: Rights,
    /// For how long, in milliseconds; the session's default when `None`.
    pub ttl_ms: Option<u64>,
    /// How many people may use it.
    pub uses: NonZeroU32,
}

/// A grant token. It is a secret, so it is not logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The string.
    pub token: String,
    /// The grant's id, for `revoke`.
    pub grant: String,
    /// Its end, in milliseconds since the Unix epoch.
    pub expires_unix_ms: u64,
}

#[cfg(feature = "host")]
impl Run for GrantLink {
    type Reply = Token;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Widens
    }

    fn question(&mut self, host: &Host) -> Result<Question, CommandError> {
        host.people.check_grant(&host.cx, self.rights)?;
        Ok(Question {
            what: Offer::Token {
                rights: self.rights,
                ttl_ms: host.people.ttl(&host.cx, self.ttl_ms)?,
            },
            who: vec![WhoLine::FirstToUse(self.uses.get())],
            said: Vec::new(),
        })
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<Token>, CommandError> {
        host.people
            .grant_link(&mut host.cx, by, self.rights, self.ttl_ms, self.uses)
            .map(Some)
    }
}
