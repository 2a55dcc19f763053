//! Puts somebody on the list of who may join.

use pillion_proto::Rights;
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
use super::{CommandError, Reach, Run};
use super::{SubjectLabel, Target};
#[cfg(feature = "host")]
use crate::host::{
    Host,
    commands::question::{Offer, Question, WhoLine, settle},
    principal::Principal,
};
#[cfg(feature = "host")]
use pillion_caps::Subject;
#[cfg(feature = "host")]
use pillion_proto::limits::MAX_SUBJECT;
#[cfg(feature = "host")]
use pillion_screen::clean::clean_title;

/// Puts somebody on the list of who may join, here or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// Whom.
    pub target: Target,
    /// What they may do.
    pub rights: Rights,
}

/// Who may join now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Who.
    pub who: Vec<SubjectLabel>,
    /// What they may do.
    pub rights: Rights,
    /// They are the keys of a list at an address, which is looked at again.
    pub followed: bool,
}

#[cfg(feature = "host")]
impl Run for Allow {
    type Reply = Allowed;

    fn reach(&self, _: &Host) -> Reach {
        Reach::Widens
    }

    fn question(&mut self, host: &Host) -> Result<Question, CommandError> {
        let acl = host.resolve_subjects(&self.target)?;
        let (mut who, said) = host.lines_of(&acl, &self.target);
        if let Target::Keys {
            from,
            is_address: true,
            ..
        } = &self.target
        {
            who.push(WhoLine::LaterKeys(clean_title(from, MAX_SUBJECT)));
        }
        settle(&mut self.target, acl);
        let what = match self.rights {
            Rights::VIEW => Offer::LetIn,
            rights => Offer::LetInAndGive(rights),
        };
        Ok(Question { what, who, said })
    }

    fn is_remote(&self) -> bool {
        self.target.is_one()
    }

    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<Allowed>, CommandError> {
        let (target, rights) = (&self.target, self.rights);
        host.people.check_gives(by, rights)?;
        if host.cx.read_only && rights.exceeds_view() {
            return Err(CommandError::ReadOnly);
        }
        let meant = host.resolve_subjects(target)?;
        let subjects: Vec<Subject> = meant.subjects().collect();
        if let Some(barred) = subjects.iter().find(|who| host.people.is_kept_out(who)) {
            let who = match subjects.len() {
                1 => meant.labels,
                _ => vec![SubjectLabel::Subject(barred.to_string())],
            };
            return Err(CommandError::Barred {
                who,
                unban: barred.to_string(),
            });
        }
        for who in &subjects {
            host.people.check_may_change(&host.cx, by, who)?;
        }
        let mut before = None;
        if let Target::Keys {
            from,
            keys,
            is_address: true,
        } = target
        {
            before = Some(host.door.subscribe(&mut host.people, from, rights, keys)?);
        }
        let followed = before.is_some();
        if let Err(error) = host.people.put_on_list(&mut host.cx, by, &subjects, rights) {
            if let Some(before) = before {
                host.door.unfollow_again(&mut host.people, before);
            }
            return Err(error);
        }
        host.reconsider_knocks();
        Ok(Some(Allowed {
            who: meant.labels,
            rights,
            followed,
        }))
    }
}
