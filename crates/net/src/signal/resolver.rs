//! From a link to a ticket.

use std::time::Duration;

use pillion_proto::{LinkRecord, LinkUrl, RecordError, Ticket, TicketError};
use reqwest::Method;
use thiserror::Error;

use super::{
    client::{SignalClient, SignalError, SignalService},
    lookup::Lookup,
};
use crate::relay::RelayCa;

/// So long an answer by datagram is waited for before a request goes out as well: most links are
/// resolved within, and cost the service no TLS handshake.
const HEAD_START: Duration = Duration::from_millis(25);

/// Why a link or a code did not lead to a session.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JoinError {
    /// The service did not answer, or not as it should.
    #[error(transparent)]
    Service(#[from] SignalError),
    /// There is no record, or only one whose time is over. Which of the reasons, nobody can tell.
    #[error(
        "this link's session has ended, or the link service withholds it{detail}; ask the host for its link or ticket"
    )]
    EndedOrWithheld {
        /// What is known beside, in brackets; or nothing.
        detail: String,
    },
    /// A record that is not the host's, or not for this link.
    #[error("the link service {service} gave a record that is not to be trusted: {reason}")]
    Untrusted {
        /// Which.
        service: String,
        /// What was wrong with it.
        reason: RecordError,
    },
    /// The link's key is another one than its record's.
    #[error("the key in this link (after #) does not open its record: copy the link again, whole")]
    WrongKey,
    /// A record older than one seen before.
    #[error(
        "the link service {service} gave an older record than before: it replays, or is behind; try again in a moment"
    )]
    Replayed {
        /// Which.
        service: String,
    },
    /// The record is the host's, and what it holds is no ticket of ours.
    #[error("what the host left behind this link cannot be used: {0}")]
    Ticket(TicketError),
    /// The code is not the host's, or is used up.
    #[error("{0}")]
    Code(String),
}

/// Resolves one link, again and again if need be; never to an older record than before.
#[derive(Clone)]
pub struct Resolver {
    client: SignalClient,
    link: LinkUrl,
    newest: u64,
}

impl Resolver {
    /// For a link; `ca` are authorities to trust beside the public ones.
    ///
    /// # Errors
    /// No TLS settings can be made.
    pub fn new(link: LinkUrl, ca: Option<RelayCa>) -> Result<Resolver, JoinError> {
        let url = link
            .service()
            .parse()
            .map_err(|_| SignalError::Unreachable {
                service: link.service().to_owned(),
                reason: "it is not an address".to_owned(),
            })?;
        Ok(Resolver {
            client: SignalClient::new(&SignalService { url, ca })?,
            link,
            newest: 0,
        })
    }

    /// Asks the service, and checks all it says. `now` is the time in milliseconds since 1970. The
    /// link's key stays here.
    ///
    /// A datagram asks first, because its answer takes one round trip; a request does where none comes
    /// soon, and it alone is believed that there is nothing.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub async fn resolve(&mut self, now: impl Fn() -> u64) -> Result<Ticket, JoinError> {
        let mut lookup = Lookup::start(self.link.service(), self.link.id);
        let soon = self.by_datagram(&mut lookup, &now);
        if let Ok(Some(ticket)) = tokio::time::timeout(HEAD_START, soon).await {
            return Ok(ticket);
        }
        let (client, path) = (self.client.clone(), format!("/v1/links/{}", self.link.id));
        let asked = client.ask(Method::GET, &path, &[], None, Duration::ZERO);
        let answer = tokio::select! {
            Some(ticket) = self.by_datagram(&mut lookup, &now) => return Ok(ticket),
            answer = asked => answer,
        };
        match answer {
            Ok(bytes) => self.read(&bytes, now()),
            Err(SignalError::NotFound { .. }) => Err(ended("")),
            Err(error) => Err(error.into()),
        }
    }

    /// The ticket of the first answer that is good; nothing if there can be none. Others are left
    /// aside: anybody who is on the way could have sent them.
    async fn by_datagram(&mut self, lookup: &mut Lookup, now: impl Fn() -> u64) -> Option<Ticket> {
        loop {
            let record = lookup.next().await?;
            match self.read(&record, now()) {
                Ok(ticket) => return Some(ticket),
                Err(error) => tracing::debug!(%error, "an answer by datagram is left aside"),
            }
        }
    }

    /// Checks a record, and reads the ticket in it.
    fn read(&mut self, bytes: &[u8], now: u64) -> Result<Ticket, JoinError> {
        let untrusted = |reason| JoinError::Untrusted {
            service: self.client.service(),
            reason,
        };
        let record = match LinkRecord::verify(bytes, &self.link.id, now) {
            Ok(record) => record,
            Err(error @ RecordError::Expired { .. }) => {
                return Err(ended(&format!(" ({error})")));
            }
            Err(error) => return Err(untrusted(error)),
        };
        if record.times().seq < self.newest {
            let service = self.client.service();
            return Err(JoinError::Replayed { service });
        }
        if !record.is_live() {
            self.newest = record.times().seq;
            return Err(ended(" (its host has said that it ended)"));
        }
        let payload = record.open(&self.link.key).map_err(|error| match error {
            RecordError::OtherKey => JoinError::WrongKey,
            error => untrusted(error),
        })?;
        let ticket = Ticket::from_bytes(&payload).map_err(JoinError::Ticket)?;
        self.newest = record.times().seq;
        Ok(ticket)
    }
}

fn ended(detail: &str) -> JoinError {
    JoinError::EndedOrWithheld {
        detail: detail.to_owned(),
    }
}
