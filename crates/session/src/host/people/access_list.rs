//! The list of who may come in and what it gives them, and who is kept out.

use pillion_caps::{Subject, UnixMillis};
use pillion_proto::{RefusalReason, RightReason, Rights, Text};

use crate::{
    audit::AuditEvent,
    host::{
        api::HostNotice,
        commands::{
            execute::refused,
            verbs::{CommandError, EndedLinks, Revoked},
        },
        context::Context,
        fault::PeerError,
        people::{People, resolve::AclSubjects, rights::Standing},
        principal::Principal,
    },
};

impl People {
    /// Whether somebody is kept out by a thing they proved.
    pub(in crate::host) fn check_claims(&self, who: &[Subject]) -> Result<(), PeerError> {
        match self.rights.is_banned(who) {
            true => Err(RefusalReason::Removed.into()),
            false => Ok(()),
        }
    }

    /// Gives somebody what the list says they may do, where that is more than they can now.
    pub(in crate::host) fn give_listed_right(
        &mut self,
        cx: &mut Context,
        identity: &pillion_caps::VerifiedIdentity,
        who: &[Subject],
    ) {
        let now = UnixMillis(cx.now.unix_ms);
        let Some(right) = self.rights.listed(who) else {
            return;
        };
        let Standing { rights: has, .. } = self.rights.standing(&identity.key(), now);
        if cx.read_only || right.narrower_or_equal(has) {
            return;
        }
        // Full records give nobody more; the host is told when it gives somebody a right itself.
        if let Err(error) = self.give_listed(cx, &Principal::Rule, identity, right) {
            cx.notice(HostNotice::RightsNotGiven(error));
        }
    }

    /// Puts them on the list, all or none.
    pub(in crate::host) fn put_on_list(
        &mut self,
        cx: &mut Context,
        by: &Principal,
        all: &[Subject],
        right: Rights,
    ) -> Result<(), CommandError> {
        let listed = self.rights.allow(&mut self.records, all, right);
        listed.map_err(|refusal| refused(&refusal))?;
        for who in all {
            let event = AuditEvent::Allowed {
                who: who.to_string(),
                rights: right,
            };
            self.log_by(cx, by, &event);
            for id in self.covered(who) {
                self.apply_listed_rights(cx, by, id, right);
            }
        }
        Ok(())
    }

    /// Somebody who is here gets or loses what the list says now.
    fn apply_listed_rights(
        &mut self,
        cx: &mut Context,
        by: &Principal,
        id: pillion_proto::ParticipantId,
        right: Rights,
    ) {
        let Some(person) = self.roster.get(id) else {
            return;
        };
        let (key, has) = (person.identity, person.standing.rights);
        let identity = cx.conns.identity_of(id).cloned();
        if !has.narrower_or_equal(right) {
            self.take_from(cx, &key);
            self.refresh_standings(cx, crate::host::people::standing::ChangeReason::Revoked);
        }
        if let Some(identity) = identity.filter(|_| right.exceeds_view() && right != has) {
            let given = self.give_listed(cx, by, &identity, right);
            if given.is_ok() {
                let by = Text::cut(&self.display_name(cx, by));
                self.send_standing(cx, &key, RightReason::Listed { by });
            }
        }
    }

    /// Takes people off the list. `None` if none of them was on it.
    pub(in crate::host) fn disallow(
        &mut self,
        cx: &mut Context,
        by: &Principal,
        meant: &AclSubjects,
    ) -> Option<Revoked> {
        let (mut was_listed, mut ended) = (false, EndedLinks::default());
        for who in meant.subjects() {
            if !self.rights.disallow(&mut self.records, &who) {
                continue;
            }
            was_listed = true;
            let event = AuditEvent::Disallowed {
                who: who.to_string(),
            };
            self.log_by(cx, by, &event);
            for id in self.covered(&who) {
                if let Some(key) = self.roster.get(id).map(|person| person.identity) {
                    let EndedLinks { links, others } = self.take_from(cx, &key);
                    ended.links += links;
                    ended.others += others;
                }
            }
        }
        if !was_listed {
            return None;
        }
        self.refresh_standings(cx, crate::host::people::standing::ChangeReason::Revoked);
        Some(Revoked::Listed {
            who: meant.labels.clone(),
            ended,
        })
    }

    /// What the list gives somebody falls to view: else coming back would undo a revocation.
    pub(in crate::host) fn unlist_edit(&mut self, id: pillion_proto::ParticipantId) {
        let Some(person) = self.roster.get(id) else {
            return;
        };
        let who = person.subjects();
        if self
            .rights
            .listed(&who)
            .is_some_and(|right| right.exceeds_view())
        {
            for subject in who {
                self.rights.limit_to_view(&mut self.records, subject);
            }
        }
    }

    pub(in crate::host) fn is_kept_out(&self, who: &Subject) -> bool {
        who.as_key().is_some_and(|key| self.rights.is_barred(&key))
            || self.rights.is_banned(std::slice::from_ref(who))
    }

    /// Everybody whom an entry means: who is here, and who is away and holds a right to come back with.
    pub(in crate::host) fn covered(&self, who: &Subject) -> Vec<pillion_proto::ParticipantId> {
        let people = self.roster.listed();
        people
            .filter(|person| person.subjects().iter().any(|one| who.covers(one)))
            .map(|person| person.id)
            .collect()
    }

    /// A co-host changes nothing about those who manage.
    pub(in crate::host) fn check_may_change(
        &self,
        cx: &Context,
        by: &Principal,
        who: &Subject,
    ) -> Result<(), CommandError> {
        for id in self.covered(who) {
            self.check_over(cx, by, id)?;
        }
        Ok(())
    }
}
