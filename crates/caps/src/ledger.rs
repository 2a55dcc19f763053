//! The host's record of grants: issued, used, revoked.
//!
//! Every change is a [`LedgerEvent`] applied in one place, live and when replayed, so the record on
//! disk and the one in memory can't disagree. A change takes effect in memory at once; a
//! redemption admits nobody before its event is durable ([`Ledger::admit`]).
//!
//! Revoking by person, by link or altogether reaches what was issued *so far*: roots are numbered as
//! they are issued, and a revocation remembers the next number. What is issued later stands, and
//! what is passed on later from a revoked root doesn't.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    access::{Access, AccessMode, MAX_ENTRIES, Subject},
    event::LedgerEvent,
    grant::{Audience, Grant, GrantId, Terms},
    keys::PublicKey,
    proof::{Proof, Role, VerifiedIdentity},
    refusal::{Limited, Refusal},
    rights::{Right, Rights},
    time::{CLOCK_SKEW_MILLIS, UnixMillis},
};

/// The most grants a session knows, passed-on ones included: some 1 MB.
pub const MAX_GRANTS: usize = 4096;

/// The most uses (a grant by an identity; each also counts for every ancestor) a session remembers:
/// some 1 MB. Keys are free, so a link with unlimited uses would otherwise fill the memory.
pub const MAX_REDEMPTIONS: usize = 16_384;

/// The most identities barred, the most revoked, and the most ids revoked before they were seen.
pub const MAX_PEOPLE: usize = 4096;

/// What the host knows about its grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    session: PublicKey,
    /// The number the next root will get.
    next_root: u64,
    grants: BTreeMap<GrantId, Known>,
    revoked: BTreeSet<GrantId>,
    /// Roots numbered below are revoked; so for links, and for each person.
    revoked_below: u64,
    links_revoked_below: u64,
    people_revoked_below: BTreeMap<PublicKey, u64>,
    barred: BTreeSet<PublicKey>,
    access: Access,
    /// Somebody used a grant that lets them send input.
    edited: bool,
    /// Charged, but not yet said to be durable.
    pending: BTreeSet<(GrantId, PublicKey)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    parent: Option<GrantId>,
    /// The number of its root.
    root: u64,
    terms: Terms,
    /// Who used it or what was passed on from it.
    users: BTreeSet<PublicKey>,
}

/// A redemption that is charged but not yet admitted.
#[derive(Debug)]
#[must_use = "write the event, then hand this to Ledger::admit"]
pub struct Redemption {
    grant: VerifiedGrant,
    event: Option<LedgerEvent>,
}

impl Redemption {
    /// What must be durable before [`Ledger::admit`]; `None` if it is already, as on a reconnect.
    pub fn event(&self) -> Option<&LedgerEvent> {
        self.event.as_ref()
    }
}

/// A grant that stood every test for one identity; only [`Ledger::admit`] makes one. It can be
/// revoked or expire at any time: [`Ledger::check`] it before acting on it.
#[derive(Clone, Debug)]
pub struct VerifiedGrant {
    grant: Grant,
    identity: PublicKey,
}

impl VerifiedGrant {
    /// The identity that redeemed it.
    pub fn identity(&self) -> PublicKey {
        self.identity
    }

    /// What it lets that identity do.
    pub fn rights(&self) -> Rights {
        self.grant.terms().rights
    }

    /// Its id.
    pub fn id(&self) -> GrantId {
        self.grant.id()
    }

    /// The ids from the root it descends from to its own.
    pub fn chain(&self) -> impl Iterator<Item = GrantId> {
        self.grant.chain().map(|(id, _)| id)
    }

    /// Who it is made for.
    pub fn audience(&self) -> &Audience {
        &self.grant.terms().audience
    }

    /// When it expires, as its terms say: the time to show.
    pub fn expires(&self) -> UnixMillis {
        self.grant.terms().expires
    }

    /// From when on [`Ledger::check`] refuses it: the time for a timer. Later than
    /// [`expires`](Self::expires) by the tolerated skew.
    pub fn ends(&self) -> UnixMillis {
        self.expires().saturating_add(CLOCK_SKEW_MILLIS)
    }
}

/// A known grant, for those who list them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantStatus<'a> {
    /// Its id.
    pub id: GrantId,
    /// The grant it was passed on from.
    pub parent: Option<GrantId>,
    /// Its terms.
    pub terms: &'a Terms,
    /// How many identities used it; 0 once revoked.
    pub used: usize,
    /// Whether it, or one it was passed on from, is revoked for all.
    pub revoked: bool,
}

impl Ledger {
    /// The empty ledger of a session.
    pub fn new(session: PublicKey) -> Self {
        Self {
            session,
            next_root: 0,
            grants: BTreeMap::new(),
            revoked: BTreeSet::new(),
            revoked_below: 0,
            links_revoked_below: 0,
            people_revoked_below: BTreeMap::new(),
            barred: BTreeSet::new(),
            access: Access::default(),
            edited: false,
            pending: BTreeSet::new(),
        }
    }

    /// The ledger as it was after these events. An event written twice in a row does no harm.
    ///
    /// # Errors
    /// The refusal of an event that can't have been written by this session's ledger.
    pub fn replay(
        session: PublicKey,
        events: impl IntoIterator<Item = LedgerEvent>,
    ) -> Result<Self, Refusal> {
        let mut ledger = Self::new(session);
        for event in events {
            ledger.record(&event)?;
        }
        ledger.pending.clear();
        Ok(ledger)
    }

    /// Registers a root the session just issued. Only registered roots can be redeemed, so hand it
    /// out once the event is durable.
    ///
    /// # Errors
    /// If it isn't a root of this session, was altered, or [`MAX_GRANTS`] are known.
    pub fn issue(&mut self, grant: &Grant) -> Result<LedgerEvent, Refusal> {
        grant.verify()?;
        self.change(LedgerEvent::Issued(grant.clone()))
    }

    /// Whether a use of `grant` by `identity` is charged already: redeeming it again changes nothing.
    pub fn is_redeemed(&self, grant: &Grant, identity: &PublicKey) -> bool {
        grant.chain().all(|(id, _)| {
            self.is_charged(&id, identity) && !self.pending.contains(&(id, *identity))
        })
    }

    /// Checks that `identity` may use `grant` now, and charges the use. `link` proves possession of
    /// the link's key, for the same connection and this grant; a grant for a key needs none, as
    /// that key must be the proved identity.
    ///
    /// The use is charged at once, so of two racing for the last one the second is refused. If
    /// writing the event fails, drop the redemption: the use stays charged to this identity, whose
    /// next attempt gets the same event again.
    ///
    /// # Errors
    /// The first test that fails; nothing is charged then.
    pub fn redeem(
        &mut self,
        grant: &Grant,
        identity: &VerifiedIdentity,
        link: Option<&Proof>,
        now: UnixMillis,
    ) -> Result<Redemption, Refusal> {
        if grant.session() != self.session || identity.context().session != self.session {
            return Err(Refusal::OtherSession);
        }
        grant.verify()?;
        check_audience(grant, identity, link)?;
        let identity = identity.key();
        let grant = grant.clone();
        let verified = VerifiedGrant { grant, identity };
        self.check(&verified, now)?;

        let undurable = verified
            .chain()
            .any(|id| self.pending.contains(&(id, identity)) || !self.is_charged(&id, &identity));
        let event = match undurable {
            false => None,
            true => Some(self.change(LedgerEvent::Redeemed {
                grant: verified.grant.clone(),
                identity,
            })?),
        };
        Ok(Redemption {
            grant: verified,
            event,
        })
    }

    /// Admits a redemption, once its event (if any) is durable.
    ///
    /// # Errors
    /// If the grant was revoked, or expired, in the meantime.
    pub fn admit(
        &mut self,
        redemption: Redemption,
        now: UnixMillis,
    ) -> Result<VerifiedGrant, Refusal> {
        let Redemption { grant, .. } = redemption;
        self.check(&grant, now)?;
        for id in grant.chain() {
            self.pending.remove(&(id, grant.identity));
        }
        Ok(grant)
    }

    /// Whether a verified grant still stands: not expired, not revoked, its holder not barred.
    ///
    /// # Errors
    /// Why it doesn't.
    pub fn check(&self, verified: &VerifiedGrant, now: UnixMillis) -> Result<(), Refusal> {
        let VerifiedGrant { grant, identity } = verified;
        if self.is_barred(identity) {
            return Err(Refusal::Barred);
        }
        grant.check_time(now)?;
        let root = self.root_number(grant)?;
        match self.is_revoked(root, Some(identity), grant.chain()) {
            true => Err(Refusal::Revoked),
            false => Ok(()),
        }
    }

    /// Revokes a grant and all passed on from it. An id not seen yet is remembered: it may be of a
    /// grant that was passed on and not used so far.
    ///
    /// # Errors
    /// [`Refusal::Full`] if the id isn't known and too many such are remembered.
    pub fn revoke_grant(&mut self, id: GrantId) -> Result<LedgerEvent, Refusal> {
        self.change(LedgerEvent::RevokedGrant(id))
    }

    /// Revokes all grants so far that name or were used by `identity`, for it and for those it
    /// passed them on to by its key. Others who used the same link keep theirs.
    ///
    /// # Errors
    /// [`Refusal::Full`] if too many people were revoked; [`revoke_all`](Self::revoke_all) isn't
    /// limited.
    pub fn revoke_person(&mut self, identity: PublicKey) -> Result<LedgerEvent, Refusal> {
        self.change(LedgerEvent::RevokedPerson(identity))
    }

    /// Revokes all grants so far with a link in their chain.
    pub fn revoke_links(&mut self) -> LedgerEvent {
        self.apply(&LedgerEvent::RevokedLinks);
        LedgerEvent::RevokedLinks
    }

    /// Revokes all grants so far.
    pub fn revoke_all(&mut self) -> LedgerEvent {
        self.apply(&LedgerEvent::RevokedAll);
        LedgerEvent::RevokedAll
    }

    /// Bars an identity from every grant, present and future.
    ///
    /// # Errors
    /// [`Refusal::Full`] if [`MAX_PEOPLE`] are barred. Keys are free: then the link must be revoked.
    pub fn bar(&mut self, identity: PublicKey) -> Result<LedgerEvent, Refusal> {
        self.change(LedgerEvent::Barred(identity))
    }

    /// Lets a barred identity in again.
    pub fn unbar(&mut self, identity: PublicKey) -> LedgerEvent {
        let event = LedgerEvent::Unbarred(identity);
        self.apply(&event);
        event
    }

    /// Whether an identity is barred.
    pub fn is_barred(&self, identity: &PublicKey) -> bool {
        self.barred.contains(identity)
    }

    /// Whether anybody ever used a grant that lets them send input, whatever became of it since.
    pub fn was_edited(&self) -> bool {
        self.edited
    }

    /// Who may come in.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Says who may come in from now on.
    pub fn set_access_mode(&mut self, mode: AccessMode) -> LedgerEvent {
        let event = LedgerEvent::Opened(mode);
        self.apply(&event);
        event
    }

    /// Puts people on the list, or gives who is on it other rights.
    ///
    /// # Errors
    /// [`Refusal::Full`] if [`MAX_ENTRIES`] are on it.
    pub fn allow(&mut self, who: Subject, rights: Rights) -> Result<LedgerEvent, Refusal> {
        self.change(LedgerEvent::Allowed { who, rights })
    }

    /// Takes an entry off the list; `None` if there is none.
    pub fn disallow(&mut self, who: &Subject) -> Option<LedgerEvent> {
        let event = LedgerEvent::Disallowed(who.clone());
        self.access.has(who).then(|| {
            self.apply(&event);
            event
        })
    }

    /// Keeps out anybody who proves to be this, and takes it off the list.
    ///
    /// # Errors
    /// [`Refusal::Full`] if as many are as may be.
    pub fn ban(&mut self, who: Subject) -> Result<LedgerEvent, Refusal> {
        match who.as_key() {
            Some(key) => self.bar(key),
            None => self.change(LedgerEvent::Banned(who)),
        }
    }

    /// Undoes [`Ledger::ban`]; `None` if that wasn't done.
    pub fn unban(&mut self, who: &Subject) -> Option<LedgerEvent> {
        match who.as_key() {
            Some(key) => self.is_barred(&key).then(|| self.unbar(key)),
            None => {
                let event = LedgerEvent::Unbanned(who.clone());
                let is_banned = self.access.banned().any(|banned| banned == who);
                is_banned.then(|| {
                    self.apply(&event);
                    event
                })
            }
        }
    }

    /// The identities barred.
    pub fn barred(&self) -> impl Iterator<Item = &PublicKey> {
        self.barred.iter()
    }

    /// Makes room: forgets grants whose root expired more than the tolerated skew before `now`. What
    /// is forgotten is refused as unknown. `None` if there is nothing to forget.
    pub fn forget_expired(&mut self, now: UnixMillis) -> Option<LedgerEvent> {
        let is_expired = |known: &Known| known.parent.is_none() && has_ended(&known.terms, now);
        if !self.grants.values().any(is_expired) {
            return None;
        }
        let event = LedgerEvent::Forgotten(now);
        self.apply(&event);
        Some(event)
    }

    /// The links that stand at `now` and that `identity` used, or used what was passed on from them; each
    /// with how many others did.
    pub fn links_used_by(
        &self,
        identity: &PublicKey,
        now: UnixMillis,
    ) -> impl Iterator<Item = (GrantId, usize)> {
        let used = self.grants.iter().filter(move |(id, known)| {
            matches!(known.terms.audience, Audience::Link(_))
                && known.users.contains(identity)
                && !has_ended(&known.terms, now)
                && !self.is_revoked(known.root, None, self.lineage(**id))
        });
        used.map(|(id, known)| (*id, known.users.len() - 1))
    }

    /// The grants that name `identity`.
    pub fn grants_for(&self, identity: &PublicKey) -> impl Iterator<Item = GrantId> {
        let named = self.grants.iter().filter(
            move |(_, known)| matches!(&known.terms.audience, Audience::Key(key) if key == identity),
        );
        named.map(|(id, _)| *id)
    }

    /// All known grants.
    pub fn grants(&self) -> impl Iterator<Item = GrantStatus<'_>> {
        self.grants.iter().map(|(id, known)| GrantStatus {
            id: *id,
            parent: known.parent,
            terms: &known.terms,
            used: known.users.len(),
            revoked: self.is_revoked(known.root, None, self.lineage(*id)),
        })
    }

    fn root_number(&self, grant: &Grant) -> Result<u64, Refusal> {
        let root = self.grants.get(&grant.root_id());
        let known = root.ok_or(Refusal::Unknown(grant.root_id()))?;
        Ok(known.root)
    }

    fn is_charged(&self, id: &GrantId, identity: &PublicKey) -> bool {
        let known = self.grants.get(id);
        known.is_some_and(|known| known.users.contains(identity))
    }

    /// The one rule of revocation, for a chain from root number `root`, used by `user`.
    fn is_revoked<'a>(
        &self,
        root: u64,
        user: Option<&PublicKey>,
        mut chain: impl Iterator<Item = (GrantId, &'a Terms)>,
    ) -> bool {
        let is_person_revoked = |key| self.people_revoked_below.get(key) > Some(&root);
        root < self.revoked_below
            || user.is_some_and(is_person_revoked)
            || chain.any(|(id, terms)| {
                self.revoked.contains(&id)
                    || match &terms.audience {
                        Audience::Key(key) => is_person_revoked(key),
                        Audience::Link(_) => root < self.links_revoked_below,
                        Audience::Email(_) | Audience::Team(_) => false,
                    }
            })
    }

    /// A known grant and those it was passed on from.
    fn lineage(&self, id: GrantId) -> impl Iterator<Item = (GrantId, &Terms)> {
        let mut next = Some(id);
        std::iter::from_fn(move || {
            let id = next?;
            let known = self.grants.get(&id)?;
            next = known.parent;
            Some((id, &known.terms))
        })
    }

    fn change(&mut self, event: LedgerEvent) -> Result<LedgerEvent, Refusal> {
        self.record(&event)?;
        Ok(event)
    }

    fn record(&mut self, event: &LedgerEvent) -> Result<(), Refusal> {
        self.check_event(event)?;
        self.apply(event);
        Ok(())
    }

    /// Whether an event belongs here and there is room for it.
    fn check_event(&self, event: &LedgerEvent) -> Result<(), Refusal> {
        match event {
            LedgerEvent::Issued(grant) if grant.session() != self.session => {
                Err(Refusal::OtherSession)
            }
            LedgerEvent::Issued(grant) if !grant.is_root() => {
                Err(Refusal::Unknown(grant.root_id()))
            }
            LedgerEvent::Issued(grant) => self.check_room_for(grant),
            LedgerEvent::Redeemed { grant, identity } => {
                self.root_number(grant)?;
                self.check_room_for(grant)?;
                self.check_uses(grant, identity)
            }
            LedgerEvent::RevokedGrant(id) => {
                let is_known = self.grants.contains_key(id) || self.revoked.contains(id);
                let unseen = self
                    .revoked
                    .iter()
                    .filter(|id| !self.grants.contains_key(id));
                check_limit(
                    Limited::RevokedGrants,
                    MAX_PEOPLE,
                    is_known || unseen.count() < MAX_PEOPLE,
                )
            }
            LedgerEvent::RevokedPerson(key) => {
                let people = &self.people_revoked_below;
                let fits = people.contains_key(key) || people.len() < MAX_PEOPLE;
                check_limit(Limited::RevokedPeople, MAX_PEOPLE, fits)
            }
            LedgerEvent::Barred(key) => {
                let fits = self.is_barred(key) || self.barred.len() < MAX_PEOPLE;
                check_limit(Limited::BarredPeople, MAX_PEOPLE, fits)
            }
            LedgerEvent::Allowed { who, .. } => {
                check_limit(Limited::Listed, MAX_ENTRIES, self.access.has_room_for(who))
            }
            LedgerEvent::Banned(who) => check_limit(
                Limited::BannedPeople,
                MAX_ENTRIES,
                self.access.has_room_to_ban(who),
            ),
            LedgerEvent::RevokedLinks
            | LedgerEvent::RevokedAll
            | LedgerEvent::Unbarred(_)
            | LedgerEvent::Opened(_)
            | LedgerEvent::Disallowed(_)
            | LedgerEvent::Unbanned(_)
            | LedgerEvent::Forgotten(_) => Ok(()),
        }
    }

    fn check_room_for(&self, grant: &Grant) -> Result<(), Refusal> {
        let new = grant
            .chain()
            .filter(|(id, _)| !self.grants.contains_key(id));
        let fits = self.grants.len() + new.count() <= MAX_GRANTS;
        check_limit(Limited::Grants, MAX_GRANTS, fits)
    }

    fn check_uses(&self, grant: &Grant, identity: &PublicKey) -> Result<(), Refusal> {
        let mut uncharged = 0;
        for (id, terms) in grant.chain() {
            if self.is_charged(&id, identity) {
                continue;
            }
            uncharged += 1;
            let used = self.grants.get(&id).map_or(0, |known| known.users.len());
            if let Some(uses) = terms.uses.filter(|uses| used >= uses.get() as usize) {
                return Err(Refusal::UsedUp { uses: uses.get() });
            }
        }
        let all: usize = self.grants.values().map(|known| known.users.len()).sum();
        check_limit(
            Limited::Uses,
            MAX_REDEMPTIONS,
            all + uncharged <= MAX_REDEMPTIONS,
        )
    }

    fn apply(&mut self, event: &LedgerEvent) {
        match event {
            LedgerEvent::Issued(grant) => self.add_issued(grant),
            LedgerEvent::Redeemed { grant, identity } => self.charge(grant, *identity),
            LedgerEvent::RevokedGrant(id) => {
                self.revoked.insert(*id);
            }
            LedgerEvent::RevokedPerson(key) => {
                self.people_revoked_below.insert(*key, self.next_root);
            }
            LedgerEvent::RevokedLinks => self.links_revoked_below = self.next_root,
            LedgerEvent::RevokedAll => {
                self.revoked_below = self.next_root;
                self.people_revoked_below.clear(); // they reach no further
            }
            LedgerEvent::Barred(key) => {
                self.barred.insert(*key);
                self.access.disallow(&Subject::key(key));
            }
            LedgerEvent::Unbarred(key) => {
                self.barred.remove(key);
            }
            LedgerEvent::Forgotten(now) => self.forget(*now),
            LedgerEvent::Opened(mode) => self.access.set_mode(*mode),
            LedgerEvent::Allowed { who, rights } => self.access.allow(who, *rights),
            LedgerEvent::Disallowed(who) => self.access.disallow(who),
            LedgerEvent::Banned(who) => self.access.ban(who),
            LedgerEvent::Unbanned(who) => self.access.unban(who),
        }
        if event.revokes() {
            self.clear_users_of_revoked();
        }
    }

    fn add_issued(&mut self, grant: &Grant) {
        let root = self.next_root;
        self.grants.entry(grant.id()).or_insert_with(|| {
            self.next_root += 1;
            Known {
                parent: None,
                root,
                terms: grant.terms().clone(),
                users: BTreeSet::new(),
            }
        });
    }

    fn charge(&mut self, grant: &Grant, identity: PublicKey) {
        let Ok(root) = self.root_number(grant) else {
            return; // check_event lets none through
        };
        self.edited |= grant.terms().rights.has(Right::Type);
        let mut parent = None;
        for (id, terms) in grant.chain() {
            let known = self.grants.entry(id).or_insert_with(|| Known {
                parent,
                root,
                terms: terms.clone(),
                users: BTreeSet::new(),
            });
            if known.users.insert(identity) {
                self.pending.insert((id, identity));
            }
            parent = Some(id);
        }
    }

    fn forget(&mut self, now: UnixMillis) {
        let forgotten: BTreeSet<u64> = self
            .grants
            .values()
            .filter(|known| known.parent.is_none() && has_ended(&known.terms, now))
            .map(|known| known.root)
            .collect();
        let is_forgotten = |known: &Known| forgotten.contains(&known.root);
        self.revoked
            .retain(|id| !self.grants.get(id).is_some_and(is_forgotten));
        self.pending
            .retain(|(id, _)| !self.grants.get(id).is_some_and(is_forgotten));
        self.grants.retain(|_, known| !is_forgotten(known));
        let oldest = self.grants.values().map(|known| known.root).min();
        let oldest = oldest.unwrap_or(self.next_root);
        self.people_revoked_below.retain(|_, below| *below > oldest);
    }

    /// Who used a grant matters no more once it is revoked for all; this keeps room for others.
    fn clear_users_of_revoked(&mut self) {
        let revoked: Vec<GrantId> = self
            .grants()
            .filter(|status| status.revoked && status.used > 0)
            .map(|status| status.id)
            .collect();
        for id in revoked {
            if let Some(known) = self.grants.get_mut(&id) {
                known.users.clear();
            }
        }
        let grants = &self.grants;
        self.pending.retain(|(id, identity)| {
            grants
                .get(id)
                .is_some_and(|known| known.users.contains(identity))
        });
    }
}

fn check_audience(
    grant: &Grant,
    identity: &VerifiedIdentity,
    link: Option<&Proof>,
) -> Result<(), Refusal> {
    let key = grant.terms().audience.key()?;
    match &grant.terms().audience {
        Audience::Link(_) => {
            let proof = link.ok_or(Refusal::NotHolder(Role::Link))?;
            proof.verify(key, identity.context(), Some(grant.id()), Role::Link)
        }
        _ if *key == identity.key() => Ok(()),
        _ => Err(Refusal::OtherKey),
    }
}

fn has_ended(terms: &Terms, now: UnixMillis) -> bool {
    now >= terms.expires.saturating_add(CLOCK_SKEW_MILLIS)
}

fn check_limit(what: Limited, limit: usize, fits: bool) -> Result<(), Refusal> {
    match fits {
        true => Ok(()),
        false => Err(Refusal::Full { what, limit }),
    }
}

#[cfg(test)]
mod tests;
