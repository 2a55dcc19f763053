//! Who is here, and what the others are told of it.

use std::collections::{BTreeMap, BTreeSet};

use pillion_caps::{PublicKey, Subject};
use pillion_people::Name;
use pillion_proto::{
    ParticipantId, ParticipantInfo, Rights, RosterChange, Text, limits::MAX_ROSTER_PART,
};
use pillion_share::{Lineage, Network, largest_holders};

use crate::host::{
    commands::verbs::{PersonLabel, Proved},
    door::admission::{AdmittedBy, VerifiedClaim, subjects_of},
    people::rights::Standing,
    rate::Bucket,
};

/// People remembered after they left, so that they get their number back. Keys are free: unbounded,
/// a ticket holder could fill the memory. Of the network that most of them came from, who left first is
/// forgotten first.
const MAX_GONE: usize = 1024;

/// The host's own number.
pub(in crate::host) const HOST: ParticipantId = ParticipantId(0);

/// Changes of the roster are told together, at most so often, in microseconds: a storm of joiners
/// must not cost each of them a message about each of the others.
pub(in crate::host) const ROSTER_EVERY_US: u64 = 50_000;

/// So often in the long run, and so often before that counts: who comes and goes in a loop must not cost
/// everybody twenty messages a second.
const TELLS_PER_SECOND: u64 = 4;
const TELLS_BURST: u64 = 20;

/// One identity, over all its connections.
#[derive(Debug)]
pub(in crate::host) struct Person {
    pub(in crate::host) id: ParticipantId,
    pub(in crate::host) identity: PublicKey,
    /// What they proved to be beside their key, so far.
    pub(in crate::host) claims: BTreeSet<VerifiedClaim>,
    /// What let them in last.
    pub(in crate::host) entry: AdmittedBy,
    /// What they call themselves.
    pub(in crate::host) name: Name,
    /// As it was last told.
    pub(in crate::host) standing: Standing,
    /// Changes each time the right to type is taken away. Begins anywhere, so that what was typed
    /// for an earlier run of the host is not taken for this one's.
    pub(in crate::host) edit_epoch: u32,
    /// Had the right to edit at some time.
    pub(in crate::host) has_edited: bool,
    /// Live connections.
    pub(in crate::host) connections: usize,
    /// Nothing is heard on any of them.
    pub(in crate::host) silent: bool,
    /// Is said to type until then, in microseconds.
    types_until_us: Option<u64>,
    /// Waits for an answer to a request for edit.
    pub(in crate::host) asking: bool,
    /// No new request before.
    pub(in crate::host) may_ask_at_us: u64,
    left_at: u64,
    /// Where their last connection came from.
    from: Lineage,
}

impl Person {
    /// What replies call them.
    pub(in crate::host) fn label(&self) -> PersonLabel {
        PersonLabel {
            id: self.id,
            name: self.name.to_string(),
            identity: self.identity,
        }
    }

    /// All they are known to be.
    pub(in crate::host) fn subjects(&self) -> Vec<Subject> {
        subjects_of(&self.identity, &self.claims)
    }

    /// What they proved to be beside their key.
    pub(in crate::host) fn proved(&self) -> Vec<Subject> {
        let mut subjects: Vec<Subject> = self.claims.iter().map(|one| one.who.clone()).collect();
        // Two memberships of one member are one name.
        subjects.dedup();
        subjects
    }

    /// What let them in, and what else they proved to be.
    pub(in crate::host) fn proof(&self) -> Proved {
        Proved {
            by: self.entry,
            claims: self.proved().iter().map(Subject::to_string).collect(),
        }
    }

    /// Whether others should see this person in the roster.
    pub(in crate::host) fn listed(&self) -> bool {
        self.connections > 0 || self.standing.rights.exceeds_view()
    }

    fn info(&self) -> ParticipantInfo {
        ParticipantInfo {
            id: self.id,
            name: Text::cut(self.name.as_str()),
            identity: *self.identity.as_bytes(),
            rights: self.standing.rights,
            host: false,
            here: self.connections > 0,
            silent: self.silent && self.connections > 0,
            types: self.types_until_us.is_some() && self.connections > 0,
        }
    }
}

/// Everybody who is or was here.
pub(in crate::host) struct Roster {
    people: BTreeMap<ParticipantId, Person>,
    numbers: BTreeMap<PublicKey, ParticipantId>,
    next: u32,
    departures: u64,
    host: ParticipantInfo,
    changed: BTreeSet<ParticipantId>,
    told_at_us: Option<u64>,
    tells: Bucket,
}

impl Roster {
    pub(in crate::host) fn new(host_name: &str, identity: &PublicKey) -> Roster {
        Roster {
            people: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next: 1,
            departures: 0,
            host: ParticipantInfo {
                id: HOST,
                name: Text::cut(host_name),
                identity: *identity.as_bytes(),
                rights: Rights::MANAGE,
                host: true,
                here: true,
                silent: false,
                types: false,
            },
            changed: BTreeSet::new(),
            told_at_us: None,
            tells: Bucket::new(0, TELLS_PER_SECOND, TELLS_BURST),
        }
    }

    /// The number somebody will have when they are let in.
    pub(in crate::host) fn reserve(&mut self, identity: &PublicKey) -> ParticipantId {
        self.numbers.get(identity).copied().unwrap_or_else(|| {
            let id = ParticipantId(self.next);
            self.next = self.next.saturating_add(1);
            id
        })
    }

    /// One more connection of `identity`, under the number reserved for it if one was; whether it is the
    /// first.
    pub(in crate::host) fn enter(
        &mut self,
        identity: PublicKey,
        name: Name,
        standing: Standing,
        edit_epoch: u32,
        reserved: Option<ParticipantId>,
    ) -> (ParticipantId, bool) {
        let id = reserved.unwrap_or_else(|| self.reserve(&identity));
        let id = *self.numbers.entry(identity).or_insert(id);
        let person = self.people.entry(id).or_insert_with(|| Person {
            id,
            identity,
            claims: BTreeSet::new(),
            entry: AdmittedBy::Ticket,
            name: name.clone(),
            standing,
            edit_epoch,
            has_edited: false,
            connections: 0,
            silent: false,
            types_until_us: None,
            asking: false,
            may_ask_at_us: 0,
            left_at: 0,
            from: Network::ALL.lineage(),
        });
        person.name = name;
        person.standing = standing;
        person.has_edited |= standing.rights.exceeds_view();
        person.connections += 1;
        person.silent = false;
        self.changed.insert(id);
        (id, person.connections == 1)
    }

    /// One connection less, which came from there; whether it was the last.
    pub(in crate::host) fn leave(&mut self, id: ParticipantId, from: Lineage) -> bool {
        self.departures += 1;
        let Some(person) = self.people.get_mut(&id) else {
            return false;
        };
        person.connections = person.connections.saturating_sub(1);
        person.left_at = self.departures;
        person.from = from;
        self.changed.insert(id);
        let last = person.connections == 0;
        self.forget_surplus();
        last
    }

    fn forget_surplus(&mut self) {
        // Who may do more than watch is remembered for as long: what they proved says whether they still may.
        let gone = self.people.values().filter(|person| !person.listed());
        let gone: Vec<&Person> = gone.collect();
        if gone.len() <= MAX_GONE {
            return;
        }
        let from: Vec<Lineage> = gone.iter().map(|person| person.from).collect();
        let largest = largest_holders(&from).into_iter().map(|at| gone[at]);
        let oldest = largest.min_by_key(|person| person.left_at);
        if let Some((id, identity)) = oldest.map(|person| (person.id, person.identity)) {
            self.people.remove(&id);
            self.numbers.remove(&identity);
        }
    }

    pub(in crate::host) fn get(&self, id: ParticipantId) -> Option<&Person> {
        self.people.get(&id)
    }

    pub(in crate::host) fn get_mut(&mut self, id: ParticipantId) -> Option<&mut Person> {
        self.people.get_mut(&id)
    }

    pub(in crate::host) fn by_identity(&self, identity: &PublicKey) -> Option<&Person> {
        self.people.get(self.numbers.get(identity)?)
    }

    /// Everybody who is or was here, by number.
    pub(in crate::host) fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// Those a command can be about: here, or holding a right.
    pub(in crate::host) fn listed(&self) -> impl Iterator<Item = &Person> {
        self.people.values().filter(|person| person.listed())
    }

    /// Notes a new right; whether it differs from what was told before.
    pub(in crate::host) fn set_standing(&mut self, id: ParticipantId, standing: Standing) -> bool {
        let Some(person) = self.people.get_mut(&id) else {
            return false;
        };
        let differs = person.standing != standing;
        if differs {
            if person.standing.rights.exceeds_view() && !standing.rights.exceeds_view() {
                person.edit_epoch = person.edit_epoch.wrapping_add(1);
            }
            person.standing = standing;
            person.has_edited |= standing.rights.exceeds_view();
            self.changed.insert(id);
        }
        differs
    }

    /// Notes whether nothing is heard of somebody.
    pub(in crate::host) fn set_silent(&mut self, id: ParticipantId, silent: bool) {
        if let Some(person) = self.people.get_mut(&id)
            && person.silent != silent
        {
            person.silent = silent;
            self.changed.insert(id);
        }
    }

    /// Somebody typed, and is said to type until then.
    pub(in crate::host) fn note_typing(&mut self, who: &PublicKey, until_us: u64) {
        let id = self.numbers.get(who);
        let person = id.and_then(|id| self.people.get_mut(id));
        if let Some(person) = person
            && person.types_until_us.replace(until_us).is_none()
        {
            self.changed.insert(person.id);
        }
    }

    /// Who typed for the last time a while ago types no longer; when the next of them does not.
    pub(in crate::host) fn expire_typing(&mut self, now_us: u64) -> Option<u64> {
        let mut next: Option<u64> = None;
        for person in self.people.values_mut() {
            match person.types_until_us {
                Some(until) if until <= now_us => {
                    person.types_until_us = None;
                    self.changed.insert(person.id);
                }
                Some(until) => next = Some(next.map_or(until, |next| next.min(until))),
                None => {}
            }
        }
        next
    }

    /// Who typed last, of those who are said to type.
    pub(in crate::host) fn typist(&self) -> Option<&Person> {
        let typing = self
            .people
            .values()
            .filter(|one| one.types_until_us.is_some());
        typing.max_by_key(|one| one.types_until_us)
    }

    /// The whole roster, in messages of bounded size, for somebody new.
    pub(in crate::host) fn whole(&self) -> Vec<RosterChange> {
        let mut all = vec![self.host.clone()];
        all.extend(self.listed().map(Person::info));
        parts(all, Vec::new())
    }

    /// When the pending changes may be told; `None` without any.
    pub(in crate::host) fn due_at_us(&mut self, now_us: u64) -> Option<u64> {
        if self.changed.is_empty() {
            return None;
        }
        let earliest = self
            .told_at_us
            .map_or(0, |at| at.saturating_add(ROSTER_EVERY_US));
        Some(earliest.max(self.tells.ready_at(now_us, 1)))
    }

    /// What changed since the last call.
    pub(in crate::host) fn take_changes(&mut self, now_us: u64) -> Vec<RosterChange> {
        self.told_at_us = Some(now_us);
        self.tells.take(now_us, 1);
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.changed) {
            match self.people.get(&id) {
                Some(person) if person.listed() => changed.push(person.info()),
                _ => gone.push(id),
            }
        }
        parts(changed, gone)
    }
}

fn parts(changed: Vec<ParticipantInfo>, gone: Vec<ParticipantId>) -> Vec<RosterChange> {
    let changed = changed.chunks(MAX_ROSTER_PART).map(|part| RosterChange {
        changed: part.to_vec(),
        gone: Vec::new(),
    });
    let gone = gone.chunks(MAX_ROSTER_PART).map(|part| RosterChange {
        changed: Vec::new(),
        gone: part.to_vec(),
    });
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> PublicKey {
        let mut seed = [9; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        pillion_caps::SecretKey::from_bytes(&seed).public()
    }

    fn comes_and_goes(roster: &mut Roster, who: PublicKey, from: [u8; 4]) -> ParticipantId {
        let standing = Standing::VIEW;
        let (id, _) = roster.enter(who, Name::of("x"), standing, 0, None);
        assert!(roster.leave(id, Network::of(from.into()).lineage()));
        id
    }

    #[test]
    fn many_keys_of_one_address_have_nobody_else_forgotten() {
        let mut roster = Roster::new("host", &key(40_000));
        let anna = key(40_001);
        let id = comes_and_goes(&mut roster, anna, [192, 0, 2, 1]);
        for number in 0..3_000 {
            comes_and_goes(&mut roster, key(number), [192, 0, 2, 2]);
        }
        assert_eq!(roster.people().count(), MAX_GONE);
        assert_eq!(comes_and_goes(&mut roster, anna, [192, 0, 2, 1]), id);
        assert!(roster.by_identity(&key(0)).is_none());
        assert!(roster.by_identity(&key(2_999)).is_some());
    }
}
