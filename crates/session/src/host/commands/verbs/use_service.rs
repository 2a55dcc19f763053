//! Uses a link service.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::audit::AuditEvent;
#[cfg(feature = "host")]
use crate::host::{
    Host,
    commands::question::{Offer, Question, WhoLine},
    principal::Principal,
};
#[cfg(feature = "host")]
use pillion_screen::clean::clean_title;

/// Longest URL of a link service that is shown and logged, in characters.
#[cfg(feature = "host")]
const MAX_SERVICE: usize = 200;

/// Uses a link service from now on, in place of any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseService {
    /// Its URL. The driver has parsed it.
    pub service: String,
    /// Publish a link there; else only spoken codes are exchanged by it. A link that is published goes along.
    pub link: bool,
}

/// Which link service is used now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceUsed {
    /// Its URL, cleaned.
    pub service: String,
    /// Whether a link is published there.
    pub link: bool,
}

#[cfg(feature = "host")]
impl Run for UseService {
    type Reply = ServiceUsed;

    fn reach(&self, _: &Host) -> Reach {
        // A link lets in whom a ticket does. But where it is kept, and that the session is known there, is
        // for the host to say.
        Reach::Widens
    }

    fn question(&mut self, host: &Host) -> Result<Question, CommandError> {
        host.check_shared()?;
        if self.service.chars().count() > MAX_SERVICE {
            return Err(CommandError::ServiceTooLong { max: MAX_SERVICE });
        }
        Ok(Question {
            what: match self.link {
                true => Offer::PublishLink,
                false => Offer::ExchangeCodes,
            },
            who: vec![WhoLine::Service(clean_title(&self.service, MAX_SERVICE))],
            said: Vec::new(),
        })
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<ServiceUsed>, CommandError> {
        let (link, shown) = (self.link, clean_title(&self.service, MAX_SERVICE));
        let at = shown.clone();
        let event = match link {
            true => AuditEvent::Link { service: at },
            false => AuditEvent::LinkService { service: at },
        };
        host.pass_on(by, &event, Some(self.into()))?;
        Ok(Some(ServiceUsed {
            service: shown,
            link,
        }))
    }
}
