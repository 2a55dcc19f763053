//! Who is here.

use pillion_caps::PublicKey;
use pillion_proto::{ParticipantId, PathKind, Rights};
use serde::{Deserialize, Serialize};

use super::Proved;
#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::host::{Host, people::roster::Person, principal::Principal};
#[cfg(feature = "host")]
use pillion_caps::UnixMillis;

/// Asks who is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {}

/// One line of `pillion who`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantStatus {
    /// Number.
    pub id: ParticipantId,
    /// Name, cleaned; unverified.
    pub name: String,
    /// Identity key.
    pub identity: PublicKey,
    /// Rights.
    pub rights: Rights,
    /// When they fall back to view, in milliseconds since the Unix epoch.
    pub until_unix_ms: Option<u64>,
    /// Connected now.
    pub here: bool,
    /// Connected, but nothing was heard of them for a few seconds.
    pub silent: bool,
    /// Has asked to type and waits.
    pub asking: bool,
    /// Is not in, and waits to be let in.
    pub knocking: bool,
    /// What let them in, or what they hold that knock, and what else they proved.
    pub proof: Proved,
    /// How the connection travels.
    pub path: PathKind,
    /// Round trip, in microseconds, once known.
    pub rtt_us: Option<u32>,
    /// Frames this viewer is behind.
    pub lag_frames: u64,
}

#[cfg(feature = "host")]
impl Run for Who {
    type Reply = Vec<ParticipantStatus>;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Nothing
    }

    fn run(
        self,
        host: &mut Host,
        _: &Principal,
    ) -> Result<Option<Vec<ParticipantStatus>>, CommandError> {
        let people = host
            .people
            .roster()
            .listed()
            .map(|person| host.status_of(person));
        Ok(Some(people.chain(host.door.who_knocks(&host.cx)).collect()))
    }
}

#[cfg(feature = "host")]
impl Host {
    fn status_of(&self, person: &Person) -> ParticipantStatus {
        let standing = self
            .people
            .rights()
            .standing(&person.identity, UnixMillis(self.cx.now.unix_ms));
        let id = self.cx.conns.of_person(person.id).first().copied();
        let conn = id.and_then(|id| self.cx.conns.get(id));
        ParticipantStatus {
            id: person.id,
            name: person.name.to_string(),
            identity: person.identity,
            rights: standing.rights,
            until_unix_ms: standing.until.map(|until| until.0),
            here: conn.is_some(),
            silent: person.silent && conn.is_some(),
            asking: person.asking,
            knocking: false,
            proof: person.proof(),
            path: conn.map_or(PathKind::Unknown, |conn| conn.path),
            rtt_us: conn.and_then(|conn| conn.rtt_us),
            lag_frames: id.map_or(0, |id| self.tracks.lag_of(&self.cx, id)),
        }
    }
}
