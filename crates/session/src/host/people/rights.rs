//! Who may do what: the only place that says so.
//!
//! Input reaches the program only with an [`EditRight`], and only [`Grants::edit`] makes one, from a
//! grant that stood every test and stands at this moment. There is no flag to forget.
//!
//! Every change goes to the [`Recorder`] here, so none can be forgotten: what widens is written first and
//! done then, or not at all; what narrows is done first and never fails, for lack of room neither.

use std::collections::{BTreeMap, BTreeSet};

use pillion_caps::{
    AccessMode, Audience, Grant, GrantId, Ledger, LedgerEvent, MAX_ENTRIES, MAX_PEOPLE, Proof,
    PublicKey, Refusal, Right, Rights, SecretKey, Subject, Terms, UnixMillis, VerifiedGrant,
    VerifiedIdentity,
};
use pillion_conversation::Person;
use pillion_people::HexPrefix;

use crate::{
    host::{
        commands::verbs::{EndedLinks, Shortfall},
        people::records::Recorder,
    },
    types::Now,
};

/// Grants held by one identity; beyond, the one that ends first is let go.
const MAX_HELD: usize = 16;

/// Subjects of a kind that this run alone remembers, where the ledger has no room for more: some 2 MB.
const MAX_THIS_RUN: usize = 4096;

/// Permission to write one input to the program, at the moment it was made.
#[derive(Debug)]
pub(in crate::host) struct EditRight {
    grant: GrantId,
}

impl EditRight {
    /// The grant it follows from, for attribution.
    pub(in crate::host) fn grant(&self) -> GrantId {
        self.grant
    }
}

/// Permission to say who may do what, at the moment it was made.
#[derive(Debug)]
pub(in crate::host) struct ManageRight {
    grant: GrantId,
    rights: Rights,
    until: UnixMillis,
}

/// Permission to open a track, or to end one that its holder opened, at the moment it was made.
#[derive(Debug)]
pub(in crate::host) struct OpenRight {
    grant: GrantId,
}

impl OpenRight {
    /// The grant it follows from, for attribution.
    pub(in crate::host) fn grant(&self) -> GrantId {
        self.grant
    }
}

impl ManageRight {
    /// The grant it follows from, for attribution.
    pub(in crate::host) fn grant(&self) -> GrantId {
        self.grant
    }

    /// When it ends: what is given by it ends no later.
    pub(in crate::host) fn until(&self) -> UnixMillis {
        self.until
    }

    /// Whether its holder may give these rights: none they do not hold, and to manage only where they may
    /// pass it on.
    pub(in crate::host) fn may_give(&self, rights: Rights) -> bool {
        let passes_on = !rights.has(Right::Manage) || self.rights.has(Right::Delegate);
        passes_on && rights.narrower_or_equal(self.rights)
    }
}

/// What somebody may do, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) struct Standing {
    pub(in crate::host) rights: Rights,
    pub(in crate::host) until: Option<UnixMillis>,
}

impl Standing {
    /// What everybody has who was let in.
    pub(in crate::host) const VIEW: Standing = Standing {
        rights: Rights::VIEW,
        until: None,
    };
}

/// The grants of a session: the ledger, and what each identity redeemed of it.
pub(in crate::host) struct Grants {
    session: PublicKey,
    ledger: Ledger,
    /// No more than view for anybody, whatever they hold.
    read_only: bool,
    held: BTreeMap<PublicKey, Vec<Held>>,
    /// Kept out without room for it in the ledger: for this run.
    barred: BTreeSet<Subject>,
    /// Given no more than view by the list, without room for it there: for this run.
    view_only: BTreeSet<Subject>,
}

/// A grant somebody redeemed.
struct Held {
    grant: VerifiedGrant,
    /// The list gave it, so it falls with what the list says.
    listed: bool,
}

impl Grants {
    /// The rights of a session with this ledger.
    pub(in crate::host) fn new(session: PublicKey, read_only: bool, ledger: Ledger) -> Grants {
        Grants {
            session,
            ledger,
            read_only,
            held: BTreeMap::new(),
            barred: BTreeSet::new(),
            view_only: BTreeSet::new(),
        }
    }

    /// Changes the ledger, if that can be made durable.
    fn widen<T>(
        &mut self,
        records: &mut Recorder,
        change: impl FnOnce(&mut Ledger) -> Result<(Vec<LedgerEvent>, T), Refusal>,
    ) -> Result<T, Refusal> {
        let mut changed = self.ledger.clone();
        let (events, result) = change(&mut changed)?;
        records.write(&events)?;
        self.ledger = changed;
        Ok(result)
    }

    /// Whether anybody was ever given the right to type in this session and used it to be let in.
    pub(in crate::host) fn was_edited(&self) -> bool {
        self.ledger.was_edited()
    }

    /// The right to write one input now; `None` without one.
    pub(in crate::host) fn edit(&self, who: &PublicKey, now: UnixMillis) -> Option<EditRight> {
        let grant = self.lasting(who, Right::Type, now)?;
        Some(EditRight { grant: grant.id() })
    }

    /// The right to open tracks now; `None` without one.
    pub(in crate::host) fn open(&self, who: &PublicKey, now: UnixMillis) -> Option<OpenRight> {
        let grant = self.lasting(who, Right::Open, now)?;
        Some(OpenRight { grant: grant.id() })
    }

    /// The right to manage now; `None` without one.
    pub(in crate::host) fn manage(&self, who: &PublicKey, now: UnixMillis) -> Option<ManageRight> {
        let grant = self.lasting(who, Right::Manage, now)?;
        Some(ManageRight {
            grant: grant.id(),
            rights: grant.rights(),
            until: grant.expires(),
        })
    }

    /// Who may come in, if that was said.
    pub(in crate::host) fn access_mode(&self) -> Option<AccessMode> {
        self.ledger.access().mode()
    }

    /// Says who may come in from now on; `so_far` says who may now.
    pub(in crate::host) fn set_access_mode(
        &mut self,
        records: &mut Recorder,
        mode: AccessMode,
        so_far: AccessMode,
    ) -> Result<(), Refusal> {
        match mode != so_far && mode.narrower_or_equal(so_far) {
            true => {
                records.owe(self.ledger.set_access_mode(mode));
                Ok(())
            }
            false => self.begin_access_mode(records, mode),
        }
    }

    /// Writes down who may come in, before anybody may.
    pub(in crate::host) fn begin_access_mode(
        &mut self,
        records: &mut Recorder,
        mode: AccessMode,
    ) -> Result<(), Refusal> {
        self.widen(records, |ledger| {
            Ok((vec![ledger.set_access_mode(mode)], ()))
        })
    }

    /// What the list gives somebody who is all of `who`.
    pub(in crate::host) fn listed(&self, who: &[Subject]) -> Option<Rights> {
        let listed = self.ledger.access().right(who)?;
        let capped = who.iter().any(|one| self.view_only.contains(one));
        Some(if capped { Rights::VIEW } else { listed })
    }

    /// The same, as a member of a team.
    pub(in crate::host) fn listed_as_member(&self, who: &[Subject]) -> Option<Rights> {
        self.ledger.access().right_as_member(who)
    }

    /// What the list's own entry for this text gives.
    pub(in crate::host) fn entry(&self, who: &Subject) -> Option<Rights> {
        let mut entries = self.entries();
        entries
            .find(|(entry, _)| *entry == who)
            .map(|(_, right)| right)
    }

    /// The list.
    pub(in crate::host) fn entries(&self) -> impl Iterator<Item = (&Subject, Rights)> {
        self.ledger.access().entries()
    }

    /// Puts people on the list, or gives who is on it another right: all of them or none, but that who is to
    /// have less has less at once.
    pub(in crate::host) fn allow(
        &mut self,
        records: &mut Recorder,
        who: &[Subject],
        right: Rights,
    ) -> Result<(), Refusal> {
        let mut more = Vec::new();
        for one in who {
            let has = self.entry(one).unwrap_or(right);
            if !has.narrower_or_equal(right) {
                // It is on the list, so there is room.
                if let Ok(event) = self.ledger.allow(one.clone(), has.common(right)) {
                    records.owe(event);
                }
            }
            if has == right || !right.narrower_or_equal(has) {
                more.push(one.clone());
            }
        }
        self.widen(records, |ledger| {
            let events = more.into_iter().map(|one| ledger.allow(one, right));
            Ok((events.collect::<Result<_, _>>()?, ()))
        })?;
        for one in who {
            self.view_only.remove(one);
        }
        Ok(())
    }

    /// Has the list give somebody no more than view, who is on it by this or by something wider.
    pub(in crate::host) fn limit_to_view(&mut self, records: &mut Recorder, who: Subject) {
        match self.ledger.allow(who.clone(), Rights::VIEW) {
            Ok(event) => records.owe(event),
            Err(_) => {
                let kept = remember(&mut self.view_only, who);
                records.falls_short(Shortfall::ListFull {
                    max: MAX_ENTRIES,
                    kept,
                });
            }
        }
    }

    /// Takes an entry off the list. Whether it was there.
    pub(in crate::host) fn disallow(&mut self, records: &mut Recorder, who: &Subject) -> bool {
        let event = self.ledger.disallow(who);
        let was_there = event.is_some();
        if let Some(event) = event {
            records.owe(event);
        }
        was_there
    }

    /// Keeps out anybody who proves to be this.
    pub(in crate::host) fn ban(&mut self, records: &mut Recorder, who: Subject) {
        if let Some(key) = who.as_key() {
            self.held.remove(&key);
        }
        match self.ledger.ban(who.clone()) {
            Ok(event) => records.owe(event),
            Err(_) => {
                self.disallow(records, &who);
                let max = match who.as_key() {
                    Some(_) => MAX_PEOPLE,
                    None => MAX_ENTRIES,
                };
                let kept = remember(&mut self.barred, who);
                records.falls_short(Shortfall::BarsFull { max, kept });
            }
        }
    }

    /// Undoes that. Whether they were kept out.
    pub(in crate::host) fn unban(
        &mut self,
        records: &mut Recorder,
        who: &Subject,
    ) -> Result<bool, Refusal> {
        let lifted = self.widen(records, |ledger| {
            let event = ledger.unban(who);
            let lifted = event.is_some();
            Ok((event.into_iter().collect(), lifted))
        })?;
        Ok(self.barred.remove(who) || lifted)
    }

    /// Whether somebody who is one of `who` is kept out by what they proved.
    pub(in crate::host) fn is_banned(&self, who: &[Subject]) -> bool {
        let this_run = |one: &Subject| self.barred.iter().any(|barred| barred.covers(one));
        self.ledger.access().is_banned(who) || who.iter().any(this_run)
    }

    /// Everybody who is kept out, by their texts.
    pub(in crate::host) fn banned(&self) -> Vec<String> {
        let keys = self.ledger.barred().map(ToString::to_string);
        let others = self.ledger.access().banned().map(ToString::to_string);
        let this_run = self.barred.iter().map(ToString::to_string);
        keys.chain(others).chain(this_run).collect()
    }

    /// What `who` may do now: all that their grants give together, until the first of those that count ends.
    pub(in crate::host) fn standing(&self, who: &PublicKey, now: UnixMillis) -> Standing {
        let mut grants: Vec<&VerifiedGrant> = self.standing_grants(who, now).collect();
        grants.sort_by_key(|grant| std::cmp::Reverse(grant.expires()));
        grants.into_iter().fold(Standing::VIEW, |so_far, grant| {
            let rights = so_far.rights.and(grant.rights().without(Right::Delegate));
            match rights == so_far.rights {
                true => so_far,
                false => Standing {
                    rights,
                    until: Some(grant.expires()),
                },
            }
        })
    }

    /// What `who` may do in conversations now.
    pub(in crate::host) fn converses(&self, who: &PublicKey, now: Now) -> Person {
        let rights = self.standing(who, UnixMillis(now.unix_ms)).rights;
        Person {
            prompts: rights.has(Right::Prompt),
            approves: rights.has(Right::Approve),
            manages: rights.has(Right::Manage),
            ..Person::default()
        }
    }

    /// The grants of `who` that stand now; none in a session where nobody has more than view.
    fn standing_grants(
        &self,
        who: &PublicKey,
        now: UnixMillis,
    ) -> impl Iterator<Item = &VerifiedGrant> {
        let held = self.held.get(who).filter(|_| !self.read_only);
        let grants = held.into_iter().flatten().map(|held| &held.grant);
        grants.filter(move |grant| stands(&self.ledger, grant, now))
    }

    /// The grant by which `who` has a right now, of several the one that ends last.
    fn lasting(&self, who: &PublicKey, right: Right, now: UnixMillis) -> Option<&VerifiedGrant> {
        self.standing_grants(who, now)
            .filter(|grant| grant.rights().has(right))
            .max_by_key(|grant| grant.expires())
    }

    /// Checks and charges a presented grant. Whether the use is a new one.
    pub(in crate::host) fn redeem(
        &mut self,
        records: &mut Recorder,
        grant: &Grant,
        identity: &VerifiedIdentity,
        link: Option<&Proof>,
        now: UnixMillis,
    ) -> Result<bool, Refusal> {
        let expires = grant.terms().expires;
        if now >= expires {
            return Err(Refusal::Expired { expires, now });
        }
        let is_new = !self.ledger.is_redeemed(grant, &identity.key());
        let verified = match is_new {
            // Nothing to write, and so nothing to undo.
            false => {
                let redemption = self.ledger.redeem(grant, identity, link, now)?;
                self.ledger.admit(redemption, now)?
            }
            true => self.widen(records, |ledger| {
                let redemption = ledger.redeem(grant, identity, link, now)?;
                let events = redemption.event().cloned().into_iter().collect();
                Ok((events, ledger.admit(redemption, now)?))
            })?,
        };
        self.hold(verified);
        Ok(is_new)
    }

    fn hold(&mut self, verified: VerifiedGrant) {
        let held = self.held.entry(verified.identity()).or_default();
        held.retain(|known| known.grant.id() != verified.id());
        held.push(Held {
            grant: verified,
            listed: false,
        });
        if held.len() > MAX_HELD {
            held.sort_by_key(|held| std::cmp::Reverse(held.grant.expires()));
            held.truncate(MAX_HELD);
        }
    }

    /// Notes that it was the list that gave somebody this grant.
    pub(in crate::host) fn note_listed(&mut self, who: &PublicKey, grant: GrantId) {
        let held = self.held.get_mut(who).into_iter().flatten();
        for held in held.filter(|held| held.grant.id() == grant) {
            held.listed = true;
        }
    }

    /// Takes back what the list gave somebody beyond what it says of them now.
    pub(in crate::host) fn unlist(
        &mut self,
        records: &mut Recorder,
        who: &PublicKey,
        now: Option<Rights>,
    ) {
        let exceeds = |grant: &VerifiedGrant| {
            let has = grant.rights().without(Right::Delegate);
            now.is_none_or(|now| !has.narrower_or_equal(now))
        };
        let held = self.held.get_mut(who).into_iter();
        let over =
            held.flat_map(|held| held.extract_if(.., |held| held.listed && exceeds(&held.grant)));
        let over: Vec<GrantId> = over.map(|held| held.grant.id()).collect();
        for grant in over {
            self.revoke_grant(records, grant);
        }
    }

    /// Whether `who` redeemed one of these grants and it stands now.
    pub(in crate::host) fn holds_any(
        &self,
        who: &PublicKey,
        grants: &[GrantId],
        now: UnixMillis,
    ) -> bool {
        let held = self.held.get(who).into_iter().flatten();
        let grants_held = held.map(|held| &held.grant);
        let mut standing = grants_held.filter(|grant| stands(&self.ledger, grant, now));
        standing.any(|grant| grants.contains(&grant.id()))
    }

    /// Issues a grant of the session's.
    pub(in crate::host) fn issue(
        &mut self,
        records: &mut Recorder,
        secret: &SecretKey,
        terms: Terms,
        seed: [u8; 16],
    ) -> Result<Grant, Refusal> {
        self.forget_expired(records, terms.not_before);
        let grant = Grant::issue(secret, terms, seed)?;
        self.widen(records, |ledger| Ok((vec![ledger.issue(&grant)?], ())))?;
        Ok(grant)
    }

    /// Issues a grant to somebody, and redeems it for them.
    pub(in crate::host) fn give(
        &mut self,
        records: &mut Recorder,
        secret: &SecretKey,
        terms: Terms,
        seed: [u8; 16],
        identity: &VerifiedIdentity,
    ) -> Result<Grant, Refusal> {
        let now = terms.not_before;
        self.forget_expired(records, now);
        let grant = Grant::issue(secret, terms, seed)?;
        let verified = self.widen(records, |ledger| {
            let issued = ledger.issue(&grant)?;
            let redemption = ledger.redeem(&grant, identity, None, now)?;
            let redeemed = redemption.event().cloned();
            let events = [issued].into_iter().chain(redeemed).collect();
            Ok((events, ledger.admit(redemption, now)?))
        })?;
        self.hold(verified);
        Ok(grant)
    }

    fn forget_expired(&mut self, records: &mut Recorder, now: UnixMillis) {
        if let Some(event) = self.ledger.forget_expired(now) {
            records.owe_quietly(event);
        }
    }

    /// Terms of a grant of this session's, from `now` on.
    pub(in crate::host) fn terms(
        &self,
        right: Rights,
        audience: Audience,
        now: UnixMillis,
        ttl_ms: u64,
        uses: Option<std::num::NonZeroU32>,
    ) -> Terms {
        let expires = now.saturating_add(ttl_ms);
        Terms {
            session: self.session,
            rights: right,
            audience,
            not_before: now,
            expires,
            uses,
        }
    }

    /// Takes away what one identity was given so far, and ends the tokens it came with: everybody who has one
    /// could use it with another key.
    pub(in crate::host) fn revoke_person(
        &mut self,
        records: &mut Recorder,
        who: &PublicKey,
        now: UnixMillis,
    ) -> EndedLinks {
        self.held.remove(who);
        let ended = self.end_links(records, who, now);
        match self.ledger.revoke_person(*who) {
            Ok(event) => records.owe(event),
            // One by one: a grant that is known can always be revoked.
            Err(_) => {
                let grants: Vec<GrantId> = self.ledger.grants_for(who).collect();
                for grant in grants {
                    self.revoke_grant(records, grant);
                }
            }
        }
        ended
    }

    /// Ends the tokens that somebody came with.
    pub(in crate::host) fn end_links(
        &mut self,
        records: &mut Recorder,
        who: &PublicKey,
        now: UnixMillis,
    ) -> EndedLinks {
        let links: Vec<(GrantId, usize)> = self.ledger.links_used_by(who, now).collect();
        let mut ended = EndedLinks::default();
        for (link, others) in links {
            self.revoke_grant(records, link);
            ended.links += 1;
            ended.others += others;
        }
        ended
    }

    /// Takes away one grant that is known, and what was passed on from it.
    pub(in crate::host) fn revoke_grant(&mut self, records: &mut Recorder, grant: GrantId) {
        // Only of grants that are not known there can be too many.
        if let Ok(event) = self.ledger.revoke_grant(grant) {
            records.owe(event);
        }
    }

    /// Takes away every grant that came by a link.
    pub(in crate::host) fn revoke_links(&mut self, records: &mut Recorder) {
        records.owe(self.ledger.revoke_links());
    }

    /// Takes away every grant.
    pub(in crate::host) fn revoke_all(&mut self, records: &mut Recorder) {
        self.held.clear();
        records.owe(self.ledger.revoke_all());
    }

    /// Whether an identity is kept out.
    pub(in crate::host) fn is_barred(&self, who: &PublicKey) -> bool {
        let this_run = || self.barred.contains(&Subject::key(who));
        self.ledger.is_barred(who) || (!self.barred.is_empty() && this_run())
    }

    /// Grants that could still be used and whose id is meant.
    pub(in crate::host) fn live_grants(&self, is_meant: impl Fn(&GrantId) -> bool) -> Vec<GrantId> {
        let live = self.ledger.grants().filter(|grant| !grant.revoked);
        live.map(|grant| grant.id).filter(is_meant).collect()
    }

    /// Keys that are kept out and begin so.
    pub(in crate::host) fn barred_beginning(&self, prefix: &HexPrefix) -> Vec<PublicKey> {
        let barred = self.ledger.barred().copied();
        let this_run = self.barred.iter().filter_map(Subject::as_key);
        let all = barred.chain(this_run);
        all.filter(|key| prefix.begins(key)).collect()
    }

    /// Lets go of what ended, so that a clock set back revives nothing.
    pub(in crate::host) fn drop_ended(&mut self, now: UnixMillis) {
        let Grants { ledger, held, .. } = self;
        held.retain(|_, grants| {
            grants.retain(|held| stands(ledger, &held.grant, now));
            !grants.is_empty()
        });
    }

    /// When the next held grant ends.
    pub(in crate::host) fn next_end(&self) -> Option<UnixMillis> {
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

/// Remembers what the ledger has no room for; whether there is room here.
fn remember(known: &mut BTreeSet<Subject>, who: Subject) -> bool {
    let fits = known.len() < MAX_THIS_RUN || known.contains(&who);
    if fits {
        known.insert(who);
    }
    fits
}
