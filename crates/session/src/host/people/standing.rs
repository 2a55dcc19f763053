//! Asking for edit, and telling people what they may do.

use pillion_caps::{PublicKey, UnixMillis};
use pillion_proto::{
    FromHost, ParticipantId, RequestAnswer, RequestRefusal, RightChanged, RightReason, Rights, Text,
};

use crate::{
    audit::AuditEvent,
    host::{
        api::HostNotice,
        commands::{
            question::Question,
            verbs::{CommandError, PersonLabel},
        },
        context::Context,
        people::People,
        principal::Principal,
    },
    types::ConnId,
};

/// After a no, the same person may ask for edit again so much later, in microseconds.
const ASK_AGAIN_US: u64 = 10_000_000;

pub(in crate::host) use crate::audit::ChangeReason;

impl People {
    /// A viewer asks for edit.
    pub(in crate::host) fn on_request(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        id: ParticipantId,
    ) {
        let now = cx.now.mono_us;
        let read_only = cx.read_only;
        self.notice_ended(cx, id);
        let Some(person) = self.roster.get_mut(id) else {
            return;
        };
        let standing = person.standing;
        let no = if read_only {
            RequestRefusal::ReadOnly
        } else if standing.rights.exceeds_view() {
            let (rights, until) = (standing.rights, standing.until.map(|until| until.0));
            let edit_epoch = person.edit_epoch;
            let message = RightChanged {
                edit_epoch,
                rights,
                until_unix_ms: until,
                why: Some(RightReason::HasEdit),
            };
            return cx.send(conn, &FromHost::Right(message));
        } else if person.asking {
            return;
        } else if now < person.may_ask_at_us {
            RequestRefusal::AskLater {
                wait_ms: (person.may_ask_at_us - now).div_ceil(1000),
            }
        } else {
            person.asking = true;
            let (name, identity) = (person.name.to_string(), person.identity);
            let proof = person.proof();
            let question = Question::give(Rights::EDIT, cx.edit_ttl_ms, person);
            let asked = AuditEvent::Asked {
                id,
                name: name.clone(),
            };
            cx.log_event(&asked);
            return cx.notice(HostNotice::EditRequested {
                id,
                name,
                identity,
                proof,
                question,
            });
        };
        cx.send(
            conn,
            &FromHost::RequestAnswer(RequestAnswer { why: Some(no) }),
        );
    }

    pub(in crate::host) fn refuse_request(
        &mut self,
        cx: &mut Context,
        by: &Principal,
        id: ParticipantId,
    ) -> Result<PersonLabel, CommandError> {
        let until = cx.now.mono_us.saturating_add(ASK_AGAIN_US);
        let why = Some(RequestRefusal::Declined {
            by: Text::cut(&self.display_name(cx, by)),
        });
        let label = self.person_label(cx, id);
        let Some(person) = self.roster.get_mut(id).filter(|person| person.asking) else {
            return Err(CommandError::NotAsking(label));
        };
        person.may_ask_at_us = until;
        self.end_request(cx, id);
        for conn in cx.conns.of_person(id) {
            cx.send(
                conn,
                &FromHost::RequestAnswer(RequestAnswer { why: why.clone() }),
            );
        }
        let name = self.name_of(id);
        self.log_by(cx, by, &AuditEvent::Refused { id, name });
        Ok(label)
    }

    /// Takes a request away, however it ended.
    pub(in crate::host) fn end_request(&mut self, cx: &mut Context, id: ParticipantId) {
        if let Some(person) = self.roster.get_mut(id)
            && std::mem::take(&mut person.asking)
        {
            cx.notice(HostNotice::RequestGone { id });
        }
    }

    /// Tells one person their right as it is now.
    pub(in crate::host) fn send_standing(
        &mut self,
        cx: &mut Context,
        key: &PublicKey,
        why: RightReason,
    ) {
        let standing = self.rights.standing(key, UnixMillis(cx.now.unix_ms));
        let Some(id) = self.roster.by_identity(key).map(|person| person.id) else {
            return;
        };
        cx.door_changed |= self.roster.set_standing(id, standing);
        cx.standings_changed.push(id);
        if standing.rights.exceeds_view() {
            self.end_request(cx, id);
        }
        let edit_epoch = self.roster.get(id).map_or(0, |person| person.edit_epoch);
        let (rights, until) = (standing.rights, standing.until.map(|until| until.0));
        let message = RightChanged {
            rights,
            until_unix_ms: until,
            edit_epoch,
            why: Some(why),
        };
        for conn in cx.conns.of_person(id) {
            cx.send(conn, &FromHost::Right(message.clone()));
        }
    }

    /// Clocks jump: a right may have ended and nobody been told.
    fn notice_ended(&mut self, cx: &mut Context, id: ParticipantId) {
        let now = UnixMillis(cx.now.unix_ms);
        let is_stale = self
            .roster
            .get(id)
            .is_some_and(|person| person.standing != self.rights.standing(&person.identity, now));
        if is_stale {
            self.refresh_standings(cx, ChangeReason::Expired);
        }
    }

    /// Finds out whose right changed, and tells them why.
    pub(in crate::host) fn refresh_standings(&mut self, cx: &mut Context, why: ChangeReason) {
        let now = UnixMillis(cx.now.unix_ms);
        self.rights.drop_ended(now);
        let changed: Vec<(ParticipantId, PublicKey)> = self
            .roster
            .people()
            .filter(|person| person.standing != self.rights.standing(&person.identity, now))
            .map(|person| (person.id, person.identity))
            .collect();
        let reason = match why {
            ChangeReason::Revoked => RightReason::Revoked {
                by: Text::cut(&cx.names.host),
            },
            ChangeReason::Expired => RightReason::Expired,
            ChangeReason::MembershipRevoked => RightReason::MembershipRevoked,
        };
        for (id, key) in changed {
            self.send_standing(cx, &key, reason.clone());
            let right = self.rights.standing(&key, now).rights;
            cx.log_event(&AuditEvent::Right {
                id,
                rights: right,
                why,
            });
        }
        self.arm_expiry(cx);
    }
}
