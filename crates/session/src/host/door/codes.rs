//! Spoken codes: who used which, and that what a code gave opens the session for nobody else.
//!
//! A code's exchange proves the endpoint id of the one who knew the code, and the ticket that is their answer
//! holds a link key derived for that endpoint. So nothing has to be remembered for it to be held to them;
//! what is remembered is the code's number, for the log and the person at the host.

use pillion_caps::{PeerEndpoint, Proof, ProofContext, PublicKey, Refusal, Role, SecretKey};
use pillion_proto::{Hello, RefusalReason, link_for_endpoint};

use crate::{
    audit::AuditEvent,
    host::{
        api::HostNotice, context::Context, door::Door, door::admission::AdmittedBy,
        fault::PeerError, timers::Timer,
    },
};

/// Anybody who used a code comes within so long, in microseconds, or the host is told that they did not.
const COME_WITHIN_US: u64 = 10 * 60 * 1_000_000;

/// Used codes remembered; beyond, the oldest is forgotten and counts as the ticket. There are no shares: each
/// takes a code that the host made and can be used once, so no guest can fill it.
const MAX_USED: usize = 64;

/// The codes that were used, oldest first.
#[derive(Default)]
pub(in crate::host) struct Codes {
    used: Vec<Used>,
}

struct Used {
    number: u32,
    /// The endpoint it was used for, and the link key that endpoint was given.
    guest: PublicKey,
    link: PublicKey,
    at_us: u64,
    came: bool,
    /// Somebody else showed that link key.
    passed_on: bool,
}

impl Codes {
    /// The ticket they led to opens nothing any more.
    pub(in crate::host) fn forget(&mut self) {
        self.used.clear();
    }

    /// An endpoint was let in.
    pub(in crate::host) fn came(&mut self, endpoint: &PublicKey) {
        for used in self.used.iter_mut().filter(|used| used.guest == *endpoint) {
            used.came = true;
        }
    }
}

impl Door {
    /// A code was used, and its guest is about to get a ticket of their own.
    pub(in crate::host) fn on_code_used(
        &mut self,
        cx: &mut Context,
        number: u32,
        guest: PublicKey,
    ) {
        let Some(link) = self.link_of(&guest) else {
            return;
        };
        let at_us = cx.now.mono_us;
        if self.codes.used.len() >= MAX_USED {
            self.codes.used.remove(0);
        }
        self.codes.used.push(Used {
            number,
            guest,
            link,
            at_us,
            came: false,
            passed_on: false,
        });
        let until = at_us.saturating_add(COME_WITHIN_US);
        cx.timers.set_by(Timer::Codes, until);
        cx.log_event(&AuditEvent::CodeUsed {
            code: number,
            endpoint: guest,
        });
    }

    /// The link key of the ticket that only this endpoint may use.
    fn link_of(&self, endpoint: &PublicKey) -> Option<PublicKey> {
        let seed = self.sharing.link.as_ref()?.to_bytes();
        let own = link_for_endpoint(&seed, endpoint.as_bytes());
        Some(SecretKey::from_bytes(&own).public())
    }

    /// The session's link key, if a hello shows the ticket of now: the whole one, or the one for the
    /// endpoint that it comes from.
    pub(in crate::host) fn shown_link(
        &self,
        hello: &Hello,
        context: &ProofContext,
    ) -> Result<Option<PublicKey>, Refusal> {
        let (Some((link, proof)), Some(current)) = (&hello.link, &self.sharing.link) else {
            return Ok(None);
        };
        let current = current.public();
        let shown = match link == current.as_bytes() {
            true => Some(current),
            // A code's ticket is for one endpoint, which has to be proved.
            false => (context.viewer_endpoint.key())
                .and_then(|endpoint| self.link_of(endpoint))
                .filter(|own| link == own.as_bytes()),
        };
        let Some(shown) = shown else { return Ok(None) };
        Proof::from_bytes((*proof).into()).verify(&shown, context, None, Role::Link)?;
        Ok(Some(current))
    }

    /// What the ticket counts as when this endpoint shows it.
    pub(in crate::host) fn entry_by_ticket(&self, endpoint: &PeerEndpoint) -> AdmittedBy {
        let mut used = self.codes.used.iter().rev();
        match used.find(|used| endpoint.key() == Some(&used.guest)) {
            Some(used) => AdmittedBy::Code(used.number),
            None => AdmittedBy::Ticket,
        }
    }

    /// Refuses anybody who shows a ticket that a code gave to another endpoint, and tells the host once.
    pub(in crate::host) fn check_given_to(
        &mut self,
        cx: &mut Context,
        hello: &Hello,
        context: &ProofContext,
    ) -> Result<(), PeerError> {
        let Some((link, proof)) = &hello.link else {
            return Ok(());
        };
        let mut used = self.codes.used.iter_mut();
        let Some(used) = used.find(|used| link == used.link.as_bytes()) else {
            return Ok(());
        };
        if context.viewer_endpoint == PeerEndpoint::Unproved {
            return Err(RefusalReason::CodeWithoutEndpoint.into());
        }
        let held = Proof::from_bytes((*proof).into()).verify(&used.link, context, None, Role::Link);
        if held.is_ok() && !std::mem::replace(&mut used.passed_on, true) {
            let number = used.number;
            cx.notice(HostNotice::CodePassedOn { number });
        }
        Err(RefusalReason::CodeOfAnother.into())
    }

    /// Tells the host of codes whose guest never came.
    pub(in crate::host) fn expire_codes(&mut self, cx: &mut Context) {
        let now = cx.now.mono_us;
        let (mut missed, mut next) = (Vec::new(), None);
        self.codes.used.retain(|used| {
            let until = used.at_us.saturating_add(COME_WITHIN_US);
            let waits = !used.came && now < until;
            if waits {
                next = Some(next.unwrap_or(until).min(until));
            } else if !used.came {
                missed.push(used.number);
            }
            used.came || waits
        });
        if let Some(at) = next {
            cx.timers.set_by(Timer::Codes, at);
        }
        for number in missed {
            cx.notice(HostNotice::CodeMissed { number });
        }
    }
}
