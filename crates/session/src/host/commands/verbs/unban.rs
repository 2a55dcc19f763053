//! Lets somebody join again who was barred.

use serde::{Deserialize, Serialize};

use super::Target;
#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
#[cfg(feature = "host")]
use crate::audit::AuditEvent;
#[cfg(feature = "host")]
use crate::host::{
    Host,
    commands::{
        execute::refused,
        question::{Offer, Question, settle},
    },
    principal::Principal,
};

/// Undoes a ban or a kick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unban {
    /// Whom.
    pub target: Target,
}

#[cfg(feature = "host")]
impl Run for Unban {
    /// What is barred no longer, by what can be proved.
    type Reply = Vec<String>;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Widens
    }

    fn question(&mut self, host: &Host) -> Result<Question, CommandError> {
        let acl = host.resolve_barred(&self.target)?;
        let (who, said) = host.lines_of(&acl, &self.target);
        settle(&mut self.target, acl);
        Ok(Question {
            what: Offer::Unban,
            who,
            said,
        })
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<Vec<String>>, CommandError> {
        let mut lifted = Vec::new();
        for who in host.resolve_barred(&self.target)?.subjects() {
            let unbanned = host.people.unban(&who);
            if unbanned.map_err(|refusal| refused(&refusal))? {
                let event = AuditEvent::Unbanned {
                    who: who.to_string(),
                };
                host.people.log_by(&mut host.cx, by, &event);
                lifted.push(who.to_string());
            }
        }
        match lifted.is_empty() {
            true => Err(CommandError::NotBarred),
            false => Ok(Some(lifted)),
        }
    }
}
