//! Memberships that their team took back while the session runs: what they gave ends at once.
//!
//! Anybody who came in by one alone is put out, as the door would say no to them now. Anybody who came in by
//! something else stays, without what the list gave them as a member.

use pillion_people::Removals;
use pillion_proto::{ParticipantId, RefusalReason};

use crate::{
    audit::{AuditEvent, AuditPerson},
    host::{
        Host,
        api::HostNotice,
        conn::Conn,
        door::admission::{Admission, AdmittedBy, subjects_of},
        people::standing::ChangeReason,
    },
    types::ConnId,
};

impl Host {
    /// Teams took more back.
    pub(in crate::host) fn on_removals(&mut self, removals: Vec<Removals>) {
        self.door.trust.removals = removals;
        self.apply_membership_revocation();
    }

    /// Lets go of every membership that was proved and does not hold any more, and of what it gave.
    pub(in crate::host) fn apply_membership_revocation(&mut self) {
        let people = self.people.roster().people();
        let hit = people.filter(|person| {
            let mut claims = person.claims.iter();
            claims.any(|claim| claim.is_taken_back(&self.door.trust))
        });
        let hit: Vec<ParticipantId> = hit.map(|person| person.id).collect();
        for id in &hit {
            self.forget_memberships(*id);
        }
        if !hit.is_empty() {
            self.people
                .refresh_standings(&mut self.cx, ChangeReason::MembershipRevoked);
            self.put_out_taken_back();
        }
        self.forget_taken_back();
    }

    /// Somebody is a member no more, and has what the list gives them without that.
    fn forget_memberships(&mut self, id: ParticipantId) {
        let trust = &self.door.trust;
        let Some(person) = self.people.roster_mut().get_mut(id) else {
            return;
        };
        let before = person.proved();
        person.claims.retain(|claim| !claim.is_taken_back(trust));
        let left = person.proved();
        let lost: Vec<&str> = before
            .iter()
            .filter(|one| !left.contains(one))
            .map(|one| one.as_str())
            .collect();
        let (key, name, who) = (person.identity, person.name.to_string(), person.subjects());
        if !lost.is_empty() {
            let lost = lost.join(", ");
            self.cx.log_event(&AuditEvent::TakenBack {
                person: AuditPerson {
                    id,
                    name: name.clone(),
                    identity: key,
                },
                what: lost,
            });
            self.cx.notice(HostNotice::MembershipEnded { name });
        }
        let listed = self.people.rights().listed(&who);
        self.people.unlist(&key, listed);
        if let Some(identity) = self.cx.conns.identity_of(id).cloned() {
            self.people.give_listed_right(&mut self.cx, &identity, &who);
        }
    }

    /// Puts out whom nothing lets in but what was taken back.
    fn put_out_taken_back(&mut self) {
        let members = self.cx.conns.iter().filter_map(|(conn, state)| {
            let member = state.member()?;
            let mut claims = member.pass.claims.iter();
            let hit = claims.any(|claim| claim.is_taken_back(&self.door.trust));
            hit.then_some(conn)
        });
        let members: Vec<ConnId> = members.collect();
        for conn in members {
            let trust = &self.door.trust;
            let Some(member) = self.cx.conns.get_mut(conn).and_then(Conn::member_mut) else {
                continue;
            };
            let claims = &mut member.pass.claims;
            claims.retain(|claim| !claim.is_taken_back(trust));
            if !matches!(member.entry, AdmittedBy::List | AdmittedBy::Team) {
                continue;
            }
            let (id, key, pass) = (member.id, member.join.0, member.pass.clone());
            let who = subjects_of(&key, &pass.claims);
            match self.door.decide_admission(
                &self.people,
                &who,
                self.door.still_shown(&self.cx, &self.people, &key, &pass),
            ) {
                Admission::In(entry) => self.set_entry(conn, id, entry),
                Admission::Knock | Admission::Nothing | Admission::NotAMember => {
                    self.cx.log_event(&AuditEvent::PutOut {
                        id,
                        identity: key,
                        why: RefusalReason::MembershipRevoked,
                    });
                    self.refuse(conn, &RefusalReason::MembershipRevoked.into());
                }
            }
        }
    }

    /// Somebody who is here stays for another reason than before.
    fn set_entry(&mut self, conn: ConnId, id: ParticipantId, entry: AdmittedBy) {
        if let Some(member) = self.cx.conns.member_mut(conn) {
            member.entry = entry;
        }
        if let Some(person) = self.people.roster_mut().get_mut(id) {
            person.entry = entry;
        }
    }
}
