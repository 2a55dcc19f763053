//! Who says who may come in and do what, and whether it is theirs to say.

use std::{collections::BTreeSet, num::NonZeroU32};

use bytes::Bytes;
use pillion_caps::{Audience, Grant, LedgerEvent, PublicKey, Right, Rights, SecretKey};
use pillion_people::SubjectRef;
use pillion_proto::{AccessMode, FromHost, ParticipantId};
use pillion_session::{Actor, Command, ConnId, Stream, ViewerInput, verbs};

use crate::model::{Effect, Granted};

use super::{World, actions::MAX_GRANTS_EACH, hosting::Record};

impl World {
    /// The host's person says who may come in, or who may not.
    pub(super) fn some_door_command(&mut self) {
        let text = self.somebody();
        let Some(target) = self.target(&text) else {
            return;
        };
        let command = match self.dice.below(12) {
            0..5 => Command::SetAccessMode(verbs::SetAccessMode {
                mode: self.some_mode(),
            }),
            5..9 => Command::Allow(verbs::Allow {
                target,
                rights: Rights::VIEW,
            }),
            9 => Command::Ban(verbs::Ban { target }),
            _ => Command::Unban(verbs::Unban { target }),
        };
        let by = match self.dice.one_in(3) {
            true => Actor::Socket,
            false => Actor::Tty,
        };
        self.command_by(by, command, Some(text));
    }

    /// The same, by what it is.
    fn some_subject(&mut self) -> SubjectRef {
        let text = self.somebody();
        let subject = text.parse();
        subject.unwrap_or_else(|_| unreachable!("a key or a team"))
    }

    /// Somebody as people are named who need not be here.
    fn somebody(&mut self) -> String {
        let team = SecretKey::from_bytes(&[77; 32]).public();
        let person = self.dice.below(self.people.len() as u64) as usize;
        let person = &self.people[person];
        let (key, member) = (person.secret.public(), person.member.clone());
        match (self.dice.below(4), member) {
            (0, _) => format!("team:{team}"),
            (1, Some((_, subject))) => subject.to_string(),
            _ => key.to_string(),
        }
    }

    fn some_mode(&mut self) -> AccessMode {
        self.dice.weighted(&[
            (4, AccessMode::Link),
            (4, AccessMode::Invited),
            (1, AccessMode::Team),
        ])
    }

    /// Somebody who manages does so; and somebody who doesn't tries to.
    pub(super) fn some_managing(&mut self) {
        let all = 0..self.seats.len();
        let here: Vec<usize> = all
            .filter(|seat| self.seats[*seat].ended.is_none())
            .collect();
        let manages = |seat: &&usize| self.seats[**seat].viewer.view().rights.has(Right::Manage);
        let managers: Vec<usize> = here.iter().filter(manages).copied().collect();
        let seat = match (managers.is_empty(), self.dice.one_in(5)) {
            _ if here.is_empty() => return,
            (false, false) => *self.dice.pick(&managers),
            _ => *self.dice.pick(&here),
        };
        let door = self.seats[seat].viewer.view().door.clone();
        let knocks = door.map(|door| door.knocks).unwrap_or_default();
        let ids: Vec<ParticipantId> = match &self.host {
            Some(side) => side.numbers.keys().copied().collect(),
            None => return,
        };
        let id = match ids.is_empty() {
            true => ParticipantId(3),
            false => *self.dice.pick(&ids),
        };
        let knock = knocks.first().map_or(id, |knock| knock.id);
        let (who, knock) = (SubjectRef::Number(id.0), SubjectRef::Number(knock.0));
        let what = match self.dice.below(20) {
            0..4 => Command::Admit(verbs::Admit {
                target: knock.into(),
            }),
            4 => Command::TurnAway(verbs::TurnAway {
                target: knock.into(),
                for_good: self.dice.one_in(3),
            }),
            5 => Command::RefuseRequest(verbs::RefuseRequest { target: who.into() }),
            6..8 => Command::Revoke(verbs::Revoke { target: who.into() }),
            8 => Command::Kick(verbs::Kick { target: who.into() }),
            9..11 => Command::SetAccessMode(verbs::SetAccessMode {
                mode: self.some_mode(),
            }),
            11..15 => match self.some_gift(id) {
                Some(gift) => gift,
                None => return,
            },
            15..17 => Command::Allow(verbs::Allow {
                target: self.some_subject().into(),
                rights: Rights::VIEW,
            }),
            17 => Command::Ban(verbs::Ban {
                target: self.some_subject().into(),
            }),
            _ => Command::Unban(verbs::Unban {
                target: self.some_subject().into(),
            }),
        };
        self.tell_viewer(seat, ViewerInput::Command(what));
    }

    /// A right for this participant, if they may have one more and never do harm.
    fn some_gift(&mut self, id: ParticipantId) -> Option<Command> {
        let key = self.host.as_ref()?.numbers.get(&id).copied()?;
        let person = self.person_of(&key)?;
        if self.people[person].hostile || self.model.made_for(key) >= MAX_GRANTS_EACH {
            return None;
        }
        // To pass managing on is not theirs, whatever they say.
        let right =
            self.dice
                .weighted(&[(6, Rights::EDIT), (1, Rights::VIEW), (1, Rights::MANAGE)]);
        let ttl_ms = *self
            .dice
            .pick(&[None, Some(300), Some(5_000), Some(u64::MAX)]);
        let who = match self.dice.one_in(2) {
            true => SubjectRef::Number(id.0),
            false => SubjectRef::key(key),
        };
        Some(Command::Grant(verbs::Grant {
            target: who.into(),
            rights: right,
            ttl_ms,
        }))
    }

    /// Who may say what others may do, if it is their word that came.
    pub(super) fn manager(&self, from: Option<(ConnId, Stream)>) -> Option<PublicKey> {
        let (conn, _) = from?;
        let hello = self.conns.get(&conn.0)?.watch.hello.as_ref()?;
        let key = PublicKey::from_bytes(&hello.identity).ok()?;
        let most = self.model.right(key, self.host_unix_ms()).1;
        (self.model.shared && most.has(Right::Manage)).then_some(key)
    }

    /// Takes in what is written down about who may come in and do what; only the host's side, or somebody
    /// who manages, can have wanted that. How many grants of before were used.
    pub(super) fn note_ledger(
        &mut self,
        from: Option<(ConnId, Stream)>,
        manager: Option<PublicKey>,
        records: &[Record],
    ) -> u64 {
        let entries = records.iter().filter_map(|record| match record {
            Record::Ledger(entry) => Some(entry),
            Record::Link(_) => None,
        });
        let entries: Vec<&Bytes> = entries.collect();
        let all = self.host.as_ref().map_or(0, |side| side.entries);
        let (mut issued, mut uses) = (BTreeSet::new(), 0);
        for (entry, left) in entries.iter().zip((0..entries.len() as u64).rev()) {
            let effect = match LedgerEvent::from_bytes(entry) {
                Ok(LedgerEvent::RevokedGrant(grant)) => Effect::RevokeGrant(grant),
                Ok(LedgerEvent::RevokedPerson(who)) => Effect::RevokePerson(who),
                Ok(LedgerEvent::Barred(who)) => Effect::Bar(who),
                Ok(LedgerEvent::Unbarred(who)) => Effect::Unbar(who),
                Ok(LedgerEvent::Opened(door)) => Effect::Open(door),
                Ok(LedgerEvent::Allowed { who, .. }) => Effect::List(who),
                Ok(LedgerEvent::Disallowed(who)) => Effect::Unlist(who),
                Ok(LedgerEvent::Banned(who)) => Effect::Ban(who),
                Ok(LedgerEvent::Unbanned(who)) => Effect::Unban(who),
                // What the host's own side gives is told by the answer to its command.
                Ok(LedgerEvent::Forgotten(now)) if from.is_some() => {
                    self.model.apply(all - left, Effect::Forget(now.0));
                    continue;
                }
                Ok(LedgerEvent::Issued(grant)) if from.is_some() => {
                    issued.insert(grant.id());
                    self.check_given(manager, &grant);
                    Effect::Issue(grant.id(), given(&grant))
                }
                Ok(LedgerEvent::Redeemed { grant, identity }) if issued.contains(&grant.id()) => {
                    Effect::Redeem(grant.id(), identity)
                }
                Ok(LedgerEvent::Redeemed { grant, identity }) => {
                    // What was taken away from who came with it before is nobody's.
                    let taken_away = self.model.was_taken_away(grant.id(), &identity);
                    self.require(!taken_away, || {
                        format!("{identity} uses grant {}, which was taken away", grant.id())
                    });
                    uses += 1;
                    continue;
                }
                _ => continue,
            };
            self.require(from.is_none() || manager.is_some(), || {
                format!("{from:?} has {effect:?} written down and does not manage")
            });
            if manager.is_some() {
                self.tally.managed += 1;
            }
            self.model.apply(all - left, effect);
        }
        uses
    }

    /// Somebody who manages gives no more than they may, and for no longer than they manage.
    fn check_given(&mut self, manager: Option<PublicKey>, grant: &Grant) {
        let (terms, unix_ms) = (grant.terms(), self.host_unix_ms());
        let ends = manager.and_then(|key| self.model.manages_until(key, unix_ms));
        self.require(ends.is_some_and(|ends| terms.expires.0 <= ends), || {
            format!("a grant is made that outlives who made it ({ends:?}): {terms:?}")
        });
        let passed_on = terms.rights.has(Right::Manage);
        self.require(!passed_on && !self.model.read_only, || {
            format!("a grant is made that is not theirs to give: {terms:?}")
        });
    }

    /// Only somebody who manages is told that it is done.
    pub(super) fn check_managed(
        &mut self,
        from: Option<(ConnId, Stream)>,
        manager: Option<PublicKey>,
        told: &[(ConnId, FromHost)],
    ) {
        for (conn, message) in told {
            let FromHost::CommandAnswer(answer) = message else {
                continue;
            };
            let theirs = from.is_some_and(|(from, _)| from == *conn) && manager.is_some();
            self.require(theirs || !answer.done, || {
                format!("{conn:?} does not manage and is obeyed: {answer:?}")
            });
        }
    }

    /// Nobody is in who is kept out.
    pub(super) fn check_kept_out(&mut self) {
        let mut problem = None;
        for (id, conn) in &self.conns {
            let is_in = conn.watch.welcomed.is_some() && conn.host_open;
            let hello = conn.watch.hello.as_ref().filter(|_| is_in);
            let key = hello.and_then(|hello| PublicKey::from_bytes(&hello.identity).ok());
            let open = !self.closed.contains(&ConnId(*id));
            if let Some(key) = key.filter(|_| open)
                && self.model.is_kept_out(&self.subjects(&key))
            {
                problem = Some(format!("viewer {} is kept out, and is in", conn.seat));
            }
        }
        if let Some(problem) = problem {
            self.fail(problem);
        }
    }
}

/// A grant as the ledger has it.
fn given(grant: &Grant) -> Granted {
    let terms = grant.terms();
    Granted {
        to: match terms.audience {
            Audience::Key(key) => Some(key),
            _ => None,
        },
        right: terms.rights.without(Right::Delegate),
        from: terms.not_before.0,
        until: terms.expires.0,
        uses: terms.uses.map(NonZeroU32::get),
    }
}
