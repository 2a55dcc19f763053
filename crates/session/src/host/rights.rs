//! Who may do what: the only place that says so.
//!
//! Input reaches the program only with an [`EditRight`], and only [`Rights::edit`] makes one, from a
//! grant that stood every test and stands at this moment. There is no flag to forget.

use std::collections::BTreeMap;

use pillion_caps::{
    Audience, Door, Grant, GrantId, Ledger, LedgerEvent, Proof, PublicKey, Refusal, Rights as Set,
    SecretKey, Subject, Terms, UnixMillis, VerifiedGrant, VerifiedIdentity,
};
use pillion_people::HexPrefix;
use pillion_proto::{Allow, Right};

/// Grants held by one identity; beyond, the one that ends first is let go.
const MAX_HELD: usize = 16;

/// Permission to write one input to the program, at the moment it was made.
#[derive(Debug)]
pub(super) struct EditRight {
    grant: GrantId,
}

impl EditRight {
    /// The grant it follows from, for attribution.
    pub(super) fn grant(&self) -> GrantId {
        self.grant
    }
}

/// Permission to say who may do what, at the moment it was made.
#[derive(Debug)]
pub(super) struct ManageRight {
    grant: GrantId,
    until: UnixMillis,
    may_pass_on: bool,
}

impl ManageRight {
    /// The grant it follows from, for attribution.
    pub(super) fn grant(&self) -> GrantId {
        self.grant
    }

    /// When it ends: what is given by it ends no later.
    pub(super) fn until(&self) -> UnixMillis {
        self.until
    }

    /// Whether its holder may make others managers, too.
    pub(super) fn may_pass_on(&self) -> bool {
        self.may_pass_on
    }
}

/// What somebody may do, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) right: Right,
    pub(super) until: Option<UnixMillis>,
}

impl Standing {
    /// What everybody has who was let in.
    pub(super) const VIEW: Standing = Standing {
        right: Right::View,
        until: None,
    };
}

/// The grants of a session: the ledger, and what each identity redeemed of it.
pub(super) struct Rights {
    session: PublicKey,
    ledger: Ledger,
    /// No more than view for anybody, whatever they hold.
    read_only: bool,
    held: BTreeMap<PublicKey, Vec<Held>>,
}

/// A grant somebody redeemed.
struct Held {
    grant: VerifiedGrant,
    /// The list gave it, so it falls with what the list says.
    listed: bool,
}

impl Rights {
    /// The rights of a session with this ledger.
    pub(super) fn new(session: PublicKey, read_only: bool, ledger: Ledger) -> Rights {
        Rights {
            session,
            ledger,
            read_only,
            held: BTreeMap::new(),
        }
    }

    /// Whether anybody was ever given the right to type in this session and used it to be let in.
    pub(super) fn was_edited(&self) -> bool {
        self.ledger.was_edited()
    }

    /// The right to write one input now; `None` without one.
    pub(super) fn edit(&self, who: &PublicKey, now: UnixMillis) -> Option<EditRight> {
        let grant = self.best(who, now).filter(|_| !self.read_only)?;
        (right_of(grant) >= Right::Edit).then(|| EditRight { grant: grant.id() })
    }

    /// The right to manage now; `None` without one.
    pub(super) fn manage(&self, who: &PublicKey, now: UnixMillis) -> Option<ManageRight> {
        let grant = self.best(who, now).filter(|_| !self.read_only)?;
        (right_of(grant) >= Right::Manage).then(|| ManageRight {
            grant: grant.id(),
            until: grant.expires(),
            may_pass_on: grant.rights().allows(Set::DELEGATE),
        })
    }

    /// Who may come in, if that was said.
    pub(super) fn door(&self) -> Option<Allow> {
        Some(match self.ledger.access().door()? {
            Door::Link => Allow::Link,
            Door::Invited => Allow::Invited,
            Door::Team => Allow::Team,
        })
    }

    /// Says who may come in from now on.
    pub(super) fn open(&mut self, allow: Allow) -> LedgerEvent {
        self.ledger.open(match allow {
            Allow::Link => Door::Link,
            Allow::Invited => Door::Invited,
            Allow::Team => Door::Team,
        })
    }

    /// What the list gives somebody who is all of `who`.
    pub(super) fn listed(&self, who: &[Subject]) -> Option<Right> {
        self.ledger.access().right(who).map(right_in)
    }

    /// The same, as a member of a team.
    pub(super) fn listed_as_member(&self, who: &[Subject]) -> Option<Right> {
        self.ledger.access().right_as_member(who).map(right_in)
    }

    /// What the list's own entry for this text gives.
    pub(super) fn entry(&self, who: &Subject) -> Option<Right> {
        let mut entries = self.entries();
        entries
            .find(|(entry, _)| *entry == who)
            .map(|(_, right)| right)
    }

    /// The list.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Subject, Right)> {
        let entries = self.ledger.access().entries();
        entries.map(|(who, rights)| (who, right_in(rights)))
    }

    /// Puts somebody on the list, or gives who is on it another right.
    pub(super) fn allow(&mut self, who: Subject, right: Right) -> Result<LedgerEvent, Refusal> {
        self.ledger.allow(who, set_of(right))
    }

    /// Takes an entry off the list.
    pub(super) fn disallow(&mut self, who: &Subject) -> Option<LedgerEvent> {
        self.ledger.disallow(who)
    }

    /// Keeps out whoever proves to be this.
    pub(super) fn ban(&mut self, who: Subject) -> Result<LedgerEvent, Refusal> {
        if let Some(key) = who.as_key() {
            self.held.remove(&key);
        }
        self.ledger.ban(who)
    }

    /// Undoes that.
    pub(super) fn unban(&mut self, who: &Subject) -> Option<LedgerEvent> {
        self.ledger.unban(who)
    }

    /// Whether somebody who is one of `who` is kept out by what they proved.
    pub(super) fn is_banned(&self, who: &[Subject]) -> bool {
        self.ledger.access().is_banned(who)
    }

    /// Everybody who is kept out, by their texts.
    pub(super) fn banned(&self) -> Vec<String> {
        let keys = self.ledger.barred().map(ToString::to_string);
        let others = self.ledger.access().banned().map(ToString::to_string);
        keys.chain(others).collect()
    }

    /// What `who` may do now.
    pub(super) fn standing(&self, who: &PublicKey, now: UnixMillis) -> Standing {
        match self.best(who, now).filter(|_| !self.read_only) {
            Some(grant) if right_of(grant) > Right::View => Standing {
                right: right_of(grant),
                until: Some(grant.expires()),
            },
            _ => Standing::VIEW,
        }
    }

    /// The widest grant of `who` that stands now, and of equally wide ones the one that ends last.
    fn best(&self, who: &PublicKey, now: UnixMillis) -> Option<&VerifiedGrant> {
        let held = self.held.get(who)?.iter().map(|held| &held.grant);
        held.filter(|grant| stands(&self.ledger, grant, now))
            .max_by_key(|grant| (right_of(grant), grant.expires()))
    }

    /// Checks and charges a presented grant. The event, if any, must be durable before anything that
    /// follows from the grant is done.
    pub(super) fn redeem(
        &mut self,
        grant: &Grant,
        identity: &VerifiedIdentity,
        link: Option<&Proof>,
        now: UnixMillis,
    ) -> Result<Option<LedgerEvent>, Refusal> {
        let expires = grant.terms().expires;
        if now >= expires {
            return Err(Refusal::Expired { expires, now });
        }
        let redemption = self.ledger.redeem(grant, identity, link, now)?;
        let event = redemption.event().cloned();
        let verified = self.ledger.admit(redemption, now)?;
        let held = self.held.entry(identity.key()).or_default();
        held.retain(|known| known.grant.id() != verified.id());
        held.push(Held {
            grant: verified,
            listed: false,
        });
        if held.len() > MAX_HELD {
            held.sort_by_key(|held| std::cmp::Reverse(held.grant.expires()));
            held.truncate(MAX_HELD);
        }
        Ok(event)
    }

    /// Notes that it was the list that gave somebody this grant.
    pub(super) fn note_listed(&mut self, who: &PublicKey, grant: GrantId) {
        let held = self.held.get_mut(who).into_iter().flatten();
        for held in held.filter(|held| held.grant.id() == grant) {
            held.listed = true;
        }
    }

    /// Takes back what the list gave somebody beyond what it says of them now.
    pub(super) fn unlist(&mut self, who: &PublicKey, now: Option<Right>) -> Vec<LedgerEvent> {
        let held = self.held.get(who).into_iter().flatten();
        let over = held.filter(|held| held.listed && Some(right_of(&held.grant)) > now);
        let over: Vec<GrantId> = over.map(|held| held.grant.id()).collect();
        let events = over.into_iter().map(|grant| {
            self.take_back(who, grant);
            self.ledger.revoke_grant(grant)
        });
        // What can't be written down any more holds for this run, and the grant is nobody's to present.
        events.filter_map(Result::ok).collect()
    }

    /// Somebody's use of a grant counts, but does them no good: it could not be made durable.
    pub(super) fn take_back(&mut self, who: &PublicKey, grant: GrantId) {
        if let Some(held) = self.held.get_mut(who) {
            held.retain(|known| known.grant.id() != grant);
        }
    }

    /// Whether `who` redeemed one of these grants and it stands now.
    pub(super) fn holds_any(&self, who: &PublicKey, grants: &[GrantId], now: UnixMillis) -> bool {
        let held = self.held.get(who).into_iter().flatten();
        let grants_held = held.map(|held| &held.grant);
        let mut standing = grants_held.filter(|grant| stands(&self.ledger, grant, now));
        standing.any(|grant| grants.contains(&grant.id()))
    }

    /// Issues and records a grant of the session's.
    pub(super) fn issue(
        &mut self,
        secret: &SecretKey,
        terms: Terms,
        seed: [u8; 16],
    ) -> Result<(Grant, Vec<LedgerEvent>), Refusal> {
        let forgotten = self.ledger.forget_expired(terms.not_before);
        let grant = Grant::issue(secret, terms, seed)?;
        let issued = self.ledger.issue(&grant)?;
        Ok((grant, forgotten.into_iter().chain([issued]).collect()))
    }

    /// Terms of a grant of this session's, from `now` on.
    pub(super) fn terms(
        &self,
        right: Right,
        audience: Audience,
        now: UnixMillis,
        ttl_ms: u64,
        uses: Option<std::num::NonZeroU32>,
    ) -> Terms {
        let rights = set_of(right);
        let expires = now.saturating_add(ttl_ms);
        Terms {
            session: self.session,
            rights,
            audience,
            not_before: now,
            expires,
            uses,
        }
    }

    /// Takes away what one identity was given so far.
    pub(super) fn revoke_person(&mut self, who: PublicKey) -> Result<LedgerEvent, Refusal> {
        self.held.remove(&who);
        self.ledger.revoke_person(who)
    }

    /// Takes away one grant, and what was passed on from it.
    pub(super) fn revoke_grant(&mut self, grant: GrantId) -> Result<LedgerEvent, Refusal> {
        self.ledger.revoke_grant(grant)
    }

    /// Takes away every grant that came by a link.
    pub(super) fn revoke_links(&mut self) -> LedgerEvent {
        self.ledger.revoke_links()
    }

    /// Takes away every grant.
    pub(super) fn revoke_all(&mut self) -> LedgerEvent {
        self.held.clear();
        self.ledger.revoke_all()
    }

    /// Keeps an identity out.
    pub(super) fn bar(&mut self, who: PublicKey) -> Result<LedgerEvent, Refusal> {
        self.held.remove(&who);
        self.ledger.bar(who)
    }

    /// Whether an identity is kept out.
    pub(super) fn is_barred(&self, who: &PublicKey) -> bool {
        self.ledger.is_barred(who)
    }

    /// Grants that could still be used and whose id is meant.
    pub(super) fn live_grants(&self, is_meant: impl Fn(&GrantId) -> bool) -> Vec<GrantId> {
        let live = self.ledger.grants().filter(|grant| !grant.revoked);
        live.map(|grant| grant.id).filter(is_meant).collect()
    }

    /// Keys that are kept out and begin so.
    pub(super) fn barred_beginning(&self, prefix: &HexPrefix) -> Vec<PublicKey> {
        let barred = self.ledger.barred().copied();
        barred.filter(|key| prefix.begins(key)).collect()
    }

    /// Lets go of what ended, so that a clock set back revives nothing.
    pub(super) fn drop_ended(&mut self, now: UnixMillis) {
        let Rights { ledger, held, .. } = self;
        held.retain(|_, grants| {
            grants.retain(|held| stands(ledger, &held.grant, now));
            !grants.is_empty()
        });
    }

    /// When the next held grant ends.
    pub(super) fn next_end(&self) -> Option<UnixMillis> {
        self.held
            .values()
            .flatten()
            .map(|held| held.grant.expires())
            .min()
    }
}

/// Whether a grant holds at this moment. Its end is by the host's clock, and so is `now`: there is
/// no skew to tolerate here.
fn stands(ledger: &Ledger, grant: &VerifiedGrant, now: UnixMillis) -> bool {
    now < grant.expires() && ledger.check(grant, now).is_ok()
}

fn set_of(right: Right) -> Set {
    match right {
        Right::View => Set::VIEW,
        Right::Edit => Set::EDIT,
        Right::Manage => Set::MANAGE,
    }
}

fn right_of(grant: &VerifiedGrant) -> Right {
    right_in(grant.rights())
}

fn right_in(rights: Set) -> Right {
    match () {
        () if rights.allows(Set::MANAGE) => Right::Manage,
        () if rights.allows(Set::EDIT) => Right::Edit,
        () => Right::View,
    }
}
