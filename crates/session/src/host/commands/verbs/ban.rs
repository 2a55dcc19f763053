//! Keeps out anybody who is or proves to be this.

use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
use super::{EndedLinks, Kicked, SubjectLabel, Target};
#[cfg(feature = "host")]
use crate::audit::AuditEvent;
#[cfg(feature = "host")]
use crate::host::{Host, principal::Principal};
#[cfg(feature = "host")]
use pillion_caps::Subject;
#[cfg(feature = "host")]
use pillion_people::SubjectRef;

/// Keeps out anybody who is or proves to be this, here or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Whom; as for [`Allow`](super::Allow).
    pub target: Target,
}

/// Who is kept out now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Banned {
    /// Somebody who was here or knocked, and is removed.
    Person(Kicked),
    /// By what they can prove.
    Subjects {
        /// Who.
        who: Vec<SubjectLabel>,
        /// What ended with it.
        ended: EndedLinks,
    },
}

#[cfg(feature = "host")]
impl Run for Ban {
    type Reply = Banned;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Changes
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<Banned>, CommandError> {
        let target = &self.target;
        // With a person goes all that they proved to be. An address or a team is barred by itself, anybody who proved it.
        let is_person = !matches!(
            target,
            Target::One(whom @ SubjectRef::Provable(_)) if whom.as_key().is_none()
        );
        if let (true, Ok(person)) = (is_person, host.resolve_person(target)) {
            return Ok(Some(Banned::Person(host.kick(by, person)?)));
        }
        let meant = host.resolve_subjects(target)?;
        let subjects: Vec<Subject> = meant.subjects().collect();
        for who in &subjects {
            host.people.check_may_change(&host.cx, by, who)?;
        }
        if let Target::Keys { from, .. } = target {
            host.door.unsubscribe(&mut host.people, from);
        }
        let mut ended = EndedLinks::default();
        for who in subjects {
            host.people.ban(who.clone());
            let event = AuditEvent::Banned {
                who: who.to_string(),
            };
            host.people.log_by(&mut host.cx, by, &event);
            for id in host.people.covered(&who) {
                // Their key and what else they proved goes with it. Whom a co-host may not change was
                // found above.
                if let Ok(EndedLinks { links, others }) = host.remove(by, id) {
                    ended.links += links;
                    ended.others += others;
                }
            }
        }
        host.reconsider_knocks();
        Ok(Some(Banned::Subjects {
            who: meant.labels,
            ended,
        }))
    }
}
