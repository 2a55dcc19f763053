//! Who may do what, told a second time: from what the host's person asked for and what the host
//! said came of it, without the code that decides it.

use std::collections::{BTreeMap, BTreeSet};

use pillion_caps::{AccessMode, GrantId, PublicKey, Subject};
use pillion_proto::{Right, Rights};

/// Tolerated between two clocks, in milliseconds.
const SKEW_MS: u64 = 120_000;

/// A grant as it was asked for.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The identity it is made for; a link's holder otherwise.
    pub to: Option<PublicKey>,
    /// What it gives.
    pub right: Rights,
    /// From when, in milliseconds since the Unix epoch, on the host's clock.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// For how many people.
    pub uses: Option<u32>,
}

/// One change, in the order the ledger gets them.
#[derive(Debug, Clone)]
pub enum Effect {
    /// A grant was made.
    Issue(GrantId, Granted),
    /// Grants that ended before this moment are forgotten.
    Forget(u64),
    /// Somebody used one.
    Redeem(GrantId, PublicKey),
    /// One grant is revoked.
    RevokeGrant(GrantId),
    /// What one identity was given so far is.
    RevokePerson(PublicKey),
    /// What came by links so far is.
    RevokeLinks,
    /// All given so far is.
    RevokeAll,
    /// An identity is kept out.
    Bar(PublicKey),
    /// It is not any more.
    Unbar(PublicKey),
    /// Who may come in.
    Open(AccessMode),
    /// Somebody is on the list.
    List(Subject),
    /// They are not any more.
    Unlist(Subject),
    /// Anybody who proves to be this is kept out.
    Ban(Subject),
    /// They are not any more.
    Unban(Subject),
}

#[derive(Debug, Clone)]
struct Known {
    terms: Granted,
    revoked: bool,
    revoked_for: BTreeSet<PublicKey>,
    users: BTreeSet<PublicKey>,
}

/// Somebody's hold on a grant.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    /// The host's clock was once outside its time: whether the host noticed is its own affair, for
    /// clocks can be set back.
    was_over: bool,
}

/// The rights of a session.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// Nobody can have more than view.
    pub read_only: bool,
    /// Who may come in where nobody said so: else everybody who has the ticket.
    pub invited: bool,
    /// The session is open.
    pub shared: bool,
    /// The link key that opens it.
    pub link: Option<PublicKey>,
    grants: BTreeMap<GrantId, Known>,
    held: BTreeMap<(PublicKey, GrantId), Held>,
    barred: BTreeSet<PublicKey>,
    /// Who may come in, if that was said.
    door: Option<AccessMode>,
    list: BTreeSet<Subject>,
    banned: BTreeSet<Subject>,
    /// Everything that happened, each with the number of ledger entries that make it durable.
    effects: Vec<(u64, Effect)>,
}

impl Model {
    /// Of a session that is not open yet.
    pub fn new(read_only: bool) -> Model {
        Model {
            read_only,
            ..Model::default()
        }
    }

    /// Takes a change in that `entries` ledger entries make durable.
    pub fn apply(&mut self, entries: u64, effect: Effect) {
        self.change(&effect);
        self.effects.push((entries, effect));
    }

    /// The host died when `durable` ledger entries were written, and another one begins from them.
    pub fn restarted(&mut self, durable: u64) {
        let effects = std::mem::take(&mut self.effects);
        let kept: Vec<_> = effects
            .into_iter()
            .filter(|(entries, _)| *entries <= durable)
            .collect();
        *self = Model {
            read_only: self.read_only,
            invited: self.invited,
            link: self.link,
            ..Model::default()
        };
        for (_, effect) in &kept {
            self.change(effect);
        }
        self.effects = kept;
        self.held.clear();
    }

    fn change(&mut self, effect: &Effect) {
        match effect {
            Effect::Issue(id, terms) => {
                let known = Known {
                    terms: terms.clone(),
                    revoked: false,
                    revoked_for: BTreeSet::new(),
                    users: BTreeSet::new(),
                };
                self.grants.insert(*id, known);
            }
            Effect::Forget(now) => {
                self.grants
                    .retain(|_, known| *now < known.terms.until + SKEW_MS);
                let grants = &self.grants;
                self.held.retain(|(_, id), _| grants.contains_key(id));
            }
            Effect::Redeem(id, who) => {
                if let Some(known) = self.grants.get_mut(id) {
                    known.users.insert(*who);
                    self.held.insert((*who, *id), Held::default());
                }
            }
            Effect::RevokeGrant(id) => {
                if let Some(known) = self.grants.get_mut(id) {
                    known.revoked = true;
                }
            }
            Effect::RevokePerson(who) => {
                for known in self.grants.values_mut() {
                    // A token they came with would be as good for another key of theirs.
                    let came_with = known.terms.to.is_none() && known.users.contains(who);
                    known.revoked |= known.terms.to == Some(*who) || came_with;
                    known.revoked_for.insert(*who);
                }
            }
            Effect::RevokeLinks => {
                for known in self
                    .grants
                    .values_mut()
                    .filter(|known| known.terms.to.is_none())
                {
                    known.revoked = true;
                }
            }
            Effect::RevokeAll => {
                for known in self.grants.values_mut() {
                    known.revoked = true;
                }
            }
            Effect::Bar(who) => {
                self.barred.insert(*who);
                self.list.remove(&Subject::key(who));
            }
            Effect::Unbar(who) => {
                self.barred.remove(who);
            }
            Effect::Open(door) => self.door = Some(*door),
            Effect::List(who) => {
                self.list.insert(who.clone());
            }
            Effect::Unlist(who) => {
                self.list.remove(who);
            }
            Effect::Ban(who) => {
                self.list.remove(who);
                self.banned.insert(who.clone());
            }
            Effect::Unban(who) => {
                self.banned.remove(who);
            }
        }
    }

    /// The host's clock shows this; anybody who holds a grant whose time it is not may have lost it.
    pub fn clock(&mut self, unix_ms: u64) {
        for ((_, id), held) in &mut self.held {
            if let Some(known) = self.grants.get(id) {
                held.was_over |= !in_time(&known.terms, unix_ms);
            }
        }
    }

    /// Whether a grant can be used by `who` at this moment; a hold already had counts for a use.
    pub fn can_redeem(&self, id: GrantId, who: PublicKey, holds_key: bool, unix_ms: u64) -> bool {
        let Some(known) = self.grants.get(&id) else {
            return false;
        };
        let is_for = match known.terms.to {
            Some(to) => to == who,
            None => holds_key,
        };
        let used = known.users.len() as u64;
        let free = known.users.contains(&who)
            || known.terms.uses.is_none_or(|uses| used < u64::from(uses));
        is_for && free && self.stands(known, who) && in_time(&known.terms, unix_ms)
    }

    /// Whether a grant that was made is not to be used by `who` any more, whatever its time says.
    pub fn was_taken_away(&self, id: GrantId, who: &PublicKey) -> bool {
        let known = self.grants.get(&id);
        known.is_some_and(|known| !self.stands(known, *who))
    }

    /// Whether using it would be written down: the first time of each identity is.
    pub fn is_charged(&self, id: GrantId, who: PublicKey) -> bool {
        self.grants
            .get(&id)
            .is_some_and(|known| known.users.contains(&who))
    }

    /// Somebody who used a grant before shows it again.
    pub fn hold_again(&mut self, id: GrantId, who: PublicKey) {
        self.held.insert((who, id), Held::default());
    }

    /// What `who` may do: certainly, and at most.
    pub fn right(&self, who: PublicKey, unix_ms: u64) -> (Rights, Rights) {
        let (mut least, mut most) = (Rights::VIEW, Rights::VIEW);
        if self.read_only {
            return (least, most);
        }
        for ((holder, id), held) in &self.held {
            let Some(known) = self.grants.get(id).filter(|_| *holder == who) else {
                continue;
            };
            if self.stands(known, who) && in_time(&known.terms, unix_ms) {
                most = most.and(known.terms.right);
                if !held.was_over {
                    least = least.and(known.terms.right);
                }
            }
        }
        (least, most)
    }

    /// Until when `who` manages at most, if they may now.
    pub fn manages_until(&self, who: PublicKey, unix_ms: u64) -> Option<u64> {
        let held = self.held.keys().filter(|(holder, _)| *holder == who);
        held.filter_map(|(_, id)| self.grants.get(id))
            .filter(|known| known.terms.right.has(Right::Manage))
            .filter(|known| self.stands(known, who) && in_time(&known.terms, unix_ms))
            .map(|known| known.terms.until)
            .max()
    }

    /// Whether `until` is the end of something `who` holds.
    pub fn ends(&self, who: PublicKey, until: u64) -> bool {
        let held = self.held.keys().filter(|(holder, _)| *holder == who);
        held.filter_map(|(_, id)| self.grants.get(id))
            .any(|known| known.terms.until == until)
    }

    /// Whether an identity is kept out.
    pub fn is_barred(&self, who: &PublicKey) -> bool {
        self.barred.contains(who)
    }

    /// Who may come in.
    pub fn door(&self) -> AccessMode {
        let unsaid = match self.invited {
            true => AccessMode::Invited,
            false => AccessMode::Link,
        };
        self.door.unwrap_or(unsaid)
    }

    /// Whether the list has somebody who is all of `who`.
    pub fn is_listed(&self, who: &[Subject]) -> bool {
        let mut list = self.list.iter();
        list.any(|entry| who.iter().any(|who| entry.covers(who)))
    }

    /// Whether it has them as a member of a team.
    pub fn is_member(&self, who: &[Subject]) -> bool {
        let mut teams = self.list.iter().filter(|entry| entry.is_team());
        teams.any(|entry| who.iter().any(|who| entry.covers(who)))
    }

    /// Whether somebody is kept out by their key or by anything they prove.
    pub fn is_kept_out(&self, who: &[Subject]) -> bool {
        let mut keys = who.iter().filter_map(Subject::as_key);
        keys.any(|key| self.is_barred(&key))
            || self
                .banned
                .iter()
                .any(|banned| who.iter().any(|who| banned.covers(who)))
    }

    /// Whether somebody who shows this may come in without asking.
    pub fn lets_in(&self, who: &[Subject], ticket: bool, grant: bool) -> bool {
        !self.is_kept_out(who)
            && match self.door() {
                AccessMode::Link => ticket || grant || self.is_listed(who),
                AccessMode::Invited => grant || self.is_listed(who),
                AccessMode::Team => self.is_member(who),
            }
    }

    /// Grants made for this identity.
    pub fn made_for(&self, who: PublicKey) -> usize {
        self.grants
            .values()
            .filter(|known| known.terms.to == Some(who))
            .count()
    }

    /// Whether any known grant has ended for good by now.
    pub fn has_ended_grants(&self, unix_ms: u64) -> bool {
        self.grants
            .values()
            .any(|known| unix_ms >= known.terms.until + SKEW_MS)
    }

    /// All grants that were not forgotten.
    pub fn ids(&self) -> Vec<GrantId> {
        self.grants.keys().copied().collect()
    }

    fn stands(&self, known: &Known, who: PublicKey) -> bool {
        !known.revoked && !known.revoked_for.contains(&who) && !self.barred.contains(&who)
    }
}

fn in_time(terms: &Granted, unix_ms: u64) -> bool {
    unix_ms < terms.until && unix_ms + SKEW_MS >= terms.from
}
