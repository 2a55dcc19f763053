//! Coming back: the screen of now for a viewer that was let in before, in the flight that answers its
//! first one.
//!
//! A resumed TLS session proves who is there before its handshake is complete, but not that it is
//! there now: its first flight may be a recording. So that flight opens nothing and changes nothing;
//! it is answered with one picture of the screen, which only anybody who held the earlier session can
//! decrypt, and only if the hello that follows would be let in as things stand.

use std::collections::BTreeMap;

use pillion_caps::{GrantId, PeerEndpoint, PublicKey, Subject, UnixMillis};
use pillion_proto::{JoinId, Resume, TrackId};
use pillion_share::{Lineage, largest_holders};

use crate::types::{ConnId, Stream};

use crate::host::{
    Host,
    api::HostOutput,
    conn::Early,
    context::Context,
    door::Door,
    door::admission::{Admission, AdmittedBy, Credentials, VerifiedClaim, subjects_of},
    fault::PeerError,
    people::People,
    tracks::{fanout::opening, track::Track},
};

/// Endpoints remembered, some 200 bytes each. Of the network that most of them came from, the longest unused is
/// forgotten first and comes back in two round trips. More than viewers at once, and far more than TLS sessions are kept of.
const MAX_KNOWN: usize = 2048;

/// What a hello was let in for.
#[derive(Debug, Clone)]
pub(in crate::host) struct ProofsUsed {
    /// The ticket's link key.
    pub(in crate::host) link: Option<PublicKey>,
    /// Grants that were redeemed.
    pub(in crate::host) grants: Vec<GrantId>,
    /// What they proved to be beside their key.
    pub(in crate::host) claims: Vec<VerifiedClaim>,
}

/// Endpoints that proved on an earlier connection what lets them in. An endpoint is one run of a
/// viewer: its key is made at its start and never kept.
pub(in crate::host) struct ReturningEndpoints {
    endpoints: BTreeMap<PublicKey, LastAdmission>,
    visits: u64,
}

/// The newest time an endpoint was let in.
struct LastAdmission {
    /// Whose it is, and which run.
    join: (PublicKey, JoinId),
    pass: ProofsUsed,
    number: u64,
    from: Lineage,
}

impl ReturningEndpoints {
    pub(in crate::host) fn new() -> ReturningEndpoints {
        ReturningEndpoints {
            endpoints: BTreeMap::new(),
            visits: 0,
        }
    }

    /// Remembers an endpoint that was just let in.
    pub(in crate::host) fn note(
        &mut self,
        endpoint: PublicKey,
        join: (PublicKey, JoinId),
        pass: ProofsUsed,
        from: Lineage,
    ) {
        self.visits += 1;
        let admission = LastAdmission {
            join,
            pass,
            number: self.visits,
            from,
        };
        self.endpoints.insert(endpoint, admission);
        if self.endpoints.len() > MAX_KNOWN {
            let all: Vec<(&PublicKey, &LastAdmission)> = self.endpoints.iter().collect();
            let from: Vec<Lineage> = all.iter().map(|(_, one)| one.from).collect();
            let largest = largest_holders(&from).into_iter().map(|at| all[at]);
            let oldest = largest.min_by_key(|(_, one)| one.number);
            if let Some(oldest) = oldest.map(|(endpoint, _)| *endpoint) {
                self.endpoints.remove(&oldest);
            }
        }
    }
}

impl Host {
    /// A viewer asks to see the screen before it can prove anything on this connection.
    pub(in crate::host) fn on_resume(
        &mut self,
        conn: ConnId,
        resume: &Resume,
    ) -> Result<(), PeerError> {
        let Some(state) = self.cx.conns.get_mut(conn) else {
            return Ok(());
        };
        if state.early != Early::Unasked {
            return Err(PeerError::protocol("a second resumption"));
        }
        state.early = Early::Ignored;
        // Late: the hello is right behind it, and gets the screen or is told why not.
        let is_early = state.binding.is_none();
        if let (true, PeerEndpoint::Proved(endpoint)) = (is_early, state.peer)
            && self
                .door
                .may_return(&mut self.cx, &self.people, &endpoint, resume)
        {
            self.show_once(conn, resume.track);
        }
        Ok(())
    }

    /// Lets in so many endpoints of nobody's, which came from there.
    #[cfg(test)]
    pub(crate) fn meet_many_for_tests(&mut self, count: u16, from: pillion_share::Network) {
        for number in 0..count {
            let mut seed = [250; 32];
            seed[..2].copy_from_slice(&number.to_be_bytes());
            let key = pillion_caps::SecretKey::from_bytes(&seed).public();
            let pass = ProofsUsed {
                link: None,
                grants: Vec::new(),
                claims: Vec::new(),
            };
            let join = (key, JoinId([0; 16]));
            self.door.known.note(key, join, pass, from.lineage());
        }
    }

    /// Sends the screen of now and nothing after it.
    fn show_once(&mut self, conn: ConnId, wanted: Option<TrackId>) {
        let is_there = |id: &TrackId| self.tracks.get(*id).is_some();
        let track = wanted.filter(is_there).unwrap_or(self.tracks.shown());
        let kind = self.tracks.get(track).map(Track::kind);
        let (Some(kind), Some(snapshot)) = (kind, self.tracks.newest_snapshot(track)) else {
            return;
        };
        if let Some(state) = self.cx.conns.get_mut(conn) {
            state.early = Early::Shown;
        }
        let stream = Stream::Track { id: 0 };
        self.cx.send_bytes(conn, stream, opening(track, 0, kind));
        self.cx.send_bytes(conn, stream, snapshot);
        self.cx.push(HostOutput::Finish { conn, stream });
    }
}

impl Door {
    /// Whether the hello that this endpoint sent last would be let in again now.
    fn may_return(
        &mut self,
        cx: &mut Context,
        people: &People,
        endpoint: &PublicKey,
        resume: &Resume,
    ) -> bool {
        let Some(LastAdmission { join, pass, .. }) = self.known.endpoints.get(endpoint) else {
            return false;
        };
        if !self.comings.may_come(cx.now.mono_us, &join.0) {
            return false;
        }
        // What a claim says is not proved again before the hello: it may have run out. So it can keep
        // somebody out here, and lets nobody in.
        let shown = self.still_shown(cx, people, &join.0, pass);
        self.check_open(cx, resume.versions).is_ok()
            && people.check_person(&join.0).is_ok()
            && people
                .check_claims(&subjects_of(&join.0, &pass.claims))
                .is_ok()
            && people.check_room(cx, join).is_ok()
            && matches!(
                self.decide_admission(people, &[Subject::key(&join.0)], shown),
                Admission::In(_)
            )
    }

    /// What of a pass counts now.
    pub(in crate::host) fn still_shown(
        &self,
        cx: &Context,
        people: &People,
        identity: &PublicKey,
        pass: &ProofsUsed,
    ) -> Credentials {
        let current = self.sharing.link.as_ref().map(|link| link.public());
        let now = UnixMillis(cx.now.unix_ms);
        Credentials {
            ticket: (pass.link.is_some() && pass.link == current).then_some(AdmittedBy::Ticket),
            grant: people.rights().holds_any(identity, &pass.grants, now),
        }
    }
}
