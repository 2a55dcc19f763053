//! What replies call people and entries of the list by.

use std::fmt;

use pillion_caps::PublicKey;
use pillion_proto::{AdmittedBy, ParticipantId};
use serde::{Deserialize, Serialize};

/// Somebody who is or was here, or who knocks: "2 anna (7f3a-91c2-04be-77d1)".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonLabel {
    /// Number.
    pub id: ParticipantId,
    /// What they call themselves, cleaned by the host; it proves nothing.
    pub name: String,
    /// Identity key.
    pub identity: PublicKey,
}

impl fmt::Display for PersonLabel {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, name) = (self.id.0, &self.name);
        match name.is_empty() {
            true => write!(to, "{id} ({})", self.identity.fingerprint()),
            false => write!(to, "{id} {name} ({})", self.identity.fingerprint()),
        }
    }
}

/// How somebody is known beside their key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proved {
    /// What let them in, or what they hold that knock.
    pub by: AdmittedBy,
    /// What else they proved to be.
    pub claims: Vec<String>,
}

/// Whom a command about the list was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubjectLabel {
    /// Somebody who is known here.
    Person(PersonLabel),
    /// What somebody can prove, as a text.
    Subject(String),
    /// The keys of a list.
    Keys {
        /// Where the list is, cleaned.
        from: String,
        /// How many.
        count: usize,
    },
}

/// The tokens somebody came with, which ended with what was taken from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedLinks {
    /// How many.
    pub links: usize,
    /// Uses of them by others, which ended as well.
    pub others: usize,
}
