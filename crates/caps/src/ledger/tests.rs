//! The ledger: uses, revocations and replay, each as a story over a small harness.

use std::num::NonZeroU32;

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{
    binding::{Binding, PeerEndpoint, ProofContext},
    keys::SecretKey,
    refusal::Malformed,
};

const START: UnixMillis = UnixMillis(1_800_000_000_000);
const HOUR: u64 = 3_600_000;
const LINK: u8 = 200;
const OTHER_LINK: u8 = 201;

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32])
}

fn key(seed: u8) -> PublicKey {
    secret(seed).public()
}

fn session() -> SecretKey {
    secret(1)
}

fn link(seed: u8) -> Audience {
    Audience::Link(key(seed))
}

fn person(seed: u8) -> Audience {
    Audience::Key(key(seed))
}

fn terms(audience: Audience, uses: u32) -> Terms {
    Terms {
        session: session().public(),
        rights: Rights::EDIT.with(Right::Delegate),
        audience,
        not_before: START,
        expires: START.saturating_add(HOUR),
        uses: NonZeroU32::new(uses),
    }
}

fn root(audience: Audience, uses: u32, seed: u8) -> Grant {
    Grant::issue(&session(), terms(audience, uses), [seed; 16]).unwrap()
}

fn context(identity: u8) -> ProofContext {
    ProofContext {
        binding: Binding::tls_exporter([identity; 32]),
        host_endpoint: session().public(),
        viewer_endpoint: PeerEndpoint::Proved(key(99)),
        session: session().public(),
    }
}

fn identity(seed: u8) -> VerifiedIdentity {
    let proof = Proof::new(&secret(seed), &context(seed), None, Role::Identity);
    let verified = proof.verify_identity(key(seed), &context(seed), None);
    verified.unwrap()
}

/// A ledger and the log its events are written to.
struct Host {
    ledger: Ledger,
    log: Vec<LedgerEvent>,
}

impl Host {
    fn new() -> Self {
        Self {
            ledger: Ledger::new(session().public()),
            log: Vec::new(),
        }
    }

    fn issue(&mut self, audience: Audience, uses: u32, seed: u8) -> Grant {
        let grant = root(audience, uses, seed);
        self.log.push(self.ledger.issue(&grant).unwrap());
        grant
    }

    /// The grant presented by `who`, with the link's secret if it names one of ours.
    fn redeem(&mut self, grant: &Grant, who: u8) -> Result<Redemption, Refusal> {
        let prove = |seed| Proof::new(&secret(seed), &context(who), Some(grant.id()), Role::Link);
        let proof = match &grant.terms().audience {
            Audience::Link(named) => [LINK, OTHER_LINK]
                .into_iter()
                .find(|seed| key(*seed) == *named)
                .map(prove),
            _ => None,
        };
        self.ledger
            .redeem(grant, &identity(who), proof.as_ref(), START)
    }

    /// The whole way in: redeemed, written, admitted.
    fn join(&mut self, grant: &Grant, who: u8) -> Result<VerifiedGrant, Refusal> {
        let redemption = self.redeem(grant, who)?;
        self.log.extend(redemption.event().cloned());
        self.ledger.admit(redemption, START)
    }

    fn revoke_grant(&mut self, id: GrantId) {
        self.log.push(self.ledger.revoke_grant(id).unwrap());
    }

    fn revoke_person(&mut self, who: u8) {
        self.log.push(self.ledger.revoke_person(key(who)).unwrap());
    }

    /// Through the bytes on disk.
    fn replayed(&self) -> Ledger {
        let read_back = self
            .log
            .iter()
            .map(|event| LedgerEvent::from_bytes(&event.to_bytes()).unwrap());
        Ledger::replay(session().public(), read_back).unwrap()
    }
}

fn passed_on(grant: &Grant, by: u8, audience: Audience, uses: u32) -> Grant {
    let narrowed = grant.narrow(&secret(by), terms(audience, uses), [by; 16]);
    narrowed.unwrap()
}

#[test]
fn a_link_admits_whoever_holds_its_secret() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 0, 0);
    let verified = host.join(&grant, 10).unwrap();
    assert_eq!(verified.identity(), key(10));
    assert_eq!(verified.id(), grant.id());
    assert_eq!(verified.rights(), Rights::EDIT.with(Right::Delegate));
    assert_eq!(verified.chain().collect::<Vec<_>>(), [grant.id()]);
    assert_eq!(verified.audience(), &link(LINK));
    assert_eq!(verified.expires(), START.saturating_add(HOUR));
    assert_eq!(
        verified.ends(),
        verified.expires().saturating_add(CLOCK_SKEW_MILLIS)
    );
    assert_eq!(host.ledger.check(&verified, START), Ok(()));
}

#[test]
fn a_link_without_its_secret_admits_nobody() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 1, 0);
    let refused = Refusal::NotHolder(Role::Link);
    let id = Some(grant.id());
    let stolen = [
        None,
        Some(Proof::new(&secret(10), &context(10), id, Role::Link)),
        Some(Proof::new(&secret(LINK), &context(11), id, Role::Link)),
        Some(Proof::new(&secret(LINK), &context(10), None, Role::Link)),
        Some(Proof::new(&secret(LINK), &context(10), id, Role::Identity)),
    ];
    for proof in stolen {
        let verdict = host
            .ledger
            .redeem(&grant, &identity(10), proof.as_ref(), START);
        assert_eq!(verdict.unwrap_err(), refused);
    }
    assert!(host.join(&grant, 10).is_ok(), "none of them was charged");
}

#[test]
fn a_grant_for_a_person_is_for_that_person() {
    let mut host = Host::new();
    let grant = host.issue(person(10), 0, 0);
    assert_eq!(host.join(&grant, 11).unwrap_err(), Refusal::OtherKey);
    assert!(host.join(&grant, 10).is_ok());
}

#[test]
fn audiences_of_later_versions_are_refused_in_words() {
    let mut host = Host::new();
    let mail = host.issue(Audience::Email("ada@example.org".parse().unwrap()), 0, 0);
    let team = host.issue(Audience::Team(key(10)), 0, 0);
    for grant in [mail, team] {
        let refusal = host.join(&grant, 10).unwrap_err();
        assert!(matches!(refusal, Refusal::Unsupported(_)));
        assert!(
            refusal
                .to_string()
                .contains("not supported by this version")
        );
    }
}

#[test]
fn a_foreign_grant_or_connection_is_refused() {
    let mut host = Host::new();
    let foreign = Terms {
        session: key(2),
        ..terms(link(LINK), 0)
    };
    let foreign = Grant::issue(&secret(2), foreign, [0; 16]).unwrap();
    assert_eq!(host.ledger.issue(&foreign), Err(Refusal::OtherSession));
    assert_eq!(host.join(&foreign, 10).unwrap_err(), Refusal::OtherSession);

    let grant = host.issue(person(10), 0, 0);
    let elsewhere = ProofContext {
        session: key(2),
        ..context(10)
    };
    let proof = Proof::new(&secret(10), &elsewhere, None, Role::Identity);
    let identity = proof.verify_identity(key(10), &elsewhere, None).unwrap();
    let verdict = host.ledger.redeem(&grant, &identity, None, START);
    assert_eq!(verdict.unwrap_err(), Refusal::OtherSession);
}

#[test]
fn a_root_nobody_registered_is_unknown() {
    let mut host = Host::new();
    let grant = root(link(LINK), 0, 0);
    assert_eq!(
        host.join(&grant, 10).unwrap_err(),
        Refusal::Unknown(grant.id())
    );
    let child = passed_on(&grant, LINK, person(10), 0);
    assert_eq!(host.ledger.issue(&child), Err(Refusal::Unknown(grant.id())));
}

#[test]
fn of_two_racing_for_the_last_use_the_second_is_refused() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 1, 0);
    let first = host.redeem(&grant, 10).unwrap();
    let second = host.redeem(&grant, 11).unwrap_err();
    assert_eq!(second, Refusal::UsedUp { uses: 1 });
    host.log.extend(first.event().cloned());
    assert!(host.ledger.admit(first, START).is_ok());
    assert_eq!(host.join(&grant, 11).unwrap_err(), second);
}

#[test]
fn a_reconnect_is_free_also_after_a_restart() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 1, 0);
    host.join(&grant, 10).unwrap();
    let again = host.redeem(&grant, 10).unwrap();
    assert_eq!(again.event(), None);
    host.ledger = host.replayed();
    let again = host.redeem(&grant, 10).unwrap();
    assert_eq!(again.event(), None);
    assert!(host.ledger.admit(again, START).is_ok());
    assert_eq!(
        host.join(&grant, 11).unwrap_err(),
        Refusal::UsedUp { uses: 1 }
    );
}

#[test]
fn a_use_that_was_not_written_is_asked_to_be_written_again() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 1, 0);
    let child = passed_on(&grant, LINK, person(10), 1);
    let lost = host.redeem(&child, 10).unwrap();
    let event = lost.event().cloned();
    assert!(event.is_some());
    drop(lost);
    assert_eq!(host.redeem(&child, 10).unwrap().event().cloned(), event);
    // The ancestor's charge isn't on disk either.
    let through_ancestor = host.redeem(&grant, 10).unwrap();
    assert!(through_ancestor.event().is_some());
    host.join(&child, 10).unwrap();
    assert_eq!(host.redeem(&child, 10).unwrap().event(), None);
    assert_eq!(host.ledger, host.replayed());
}

#[test]
fn a_use_is_charged_to_every_ancestor() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 2, 0);
    let child = passed_on(&grant, LINK, link(OTHER_LINK), 2);
    let grandchild = passed_on(&child, OTHER_LINK, link(OTHER_LINK), 1);
    host.join(&grandchild, 10).unwrap();
    assert_eq!(
        host.join(&grandchild, 11).unwrap_err(),
        Refusal::UsedUp { uses: 1 }
    );
    host.join(&child, 11).unwrap();
    assert_eq!(
        host.join(&grant, 12).unwrap_err(),
        Refusal::UsedUp { uses: 2 }
    );
    // An identity counts once for each grant, by whatever way it came.
    host.join(&grant, 10).unwrap();
    let used: Vec<usize> = host.ledger.grants().map(|status| status.used).collect();
    assert_eq!(used.iter().sum::<usize>(), 5);
}

#[test]
fn a_refused_redemption_charges_nobody() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 1, 0);
    let child = passed_on(&grant, LINK, person(10), 1);
    host.join(&grant, 11).unwrap();
    let before = host.ledger.clone();
    assert_eq!(
        host.join(&child, 10).unwrap_err(),
        Refusal::UsedUp { uses: 1 }
    );
    assert_eq!(host.ledger, before);
}

#[test]
fn revoking_a_grant_covers_what_was_passed_on_from_it() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 0, 0);
    let child = passed_on(&grant, LINK, person(10), 0);
    let grandchild = passed_on(&child, 10, person(11), 0);
    let holders = [
        host.join(&grant, 12).unwrap(),
        host.join(&child, 10).unwrap(),
        host.join(&grandchild, 11).unwrap(),
    ];
    let verdicts = |host: &Host| [0, 1, 2].map(|at| host.ledger.check(&holders[at], START).is_ok());

    host.revoke_grant(grandchild.id());
    assert_eq!(verdicts(&host), [true, true, false]);
    host.revoke_grant(child.id());
    assert_eq!(verdicts(&host), [true, false, false]);
    host.revoke_grant(grant.id());
    assert_eq!(verdicts(&host), [false, false, false]);
    assert_eq!(host.join(&grandchild, 11).unwrap_err(), Refusal::Revoked);
    assert!(
        host.ledger
            .grants()
            .all(|status| status.revoked && status.used == 0)
    );
    assert_eq!(host.ledger, host.replayed());
}

#[test]
fn a_grant_can_be_revoked_before_it_was_ever_seen() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 0, 0);
    let child = passed_on(&grant, LINK, person(10), 0);
    host.revoke_grant(child.id());
    assert_eq!(host.join(&child, 10).unwrap_err(), Refusal::Revoked);
    assert!(host.join(&grant, 10).is_ok());
}

#[test]
fn revoking_a_person_covers_grants_they_were_given_used_or_passed_on() {
    let mut host = Host::new();
    let named = host.issue(person(10), 0, 0);
    let child = passed_on(&named, 10, person(11), 0);
    let shared = host.issue(link(LINK), 0, 1);
    let gone = [
        host.join(&named, 10).unwrap(),
        host.join(&child, 11).unwrap(),
        host.join(&shared, 10).unwrap(),
    ];
    let stays = host.join(&shared, 12).unwrap();

    host.revoke_person(10);
    for verified in &gone {
        assert_eq!(host.ledger.check(verified, START), Err(Refusal::Revoked));
    }
    assert_eq!(host.ledger.check(&stays, START), Ok(()));
    assert_eq!(host.join(&shared, 10).unwrap_err(), Refusal::Revoked);

    let later = host.issue(person(10), 0, 2);
    assert!(host.join(&later, 10).is_ok(), "a grant issued later stands");
    assert_eq!(host.ledger, host.replayed());
}

#[test]
fn revoking_links_leaves_people_their_grants() {
    let mut host = Host::new();
    let linked = host.issue(link(LINK), 0, 0);
    let through_link = passed_on(&linked, LINK, person(10), 0);
    let named = host.issue(person(11), 0, 1);
    let gone = [
        host.join(&linked, 12).unwrap(),
        host.join(&through_link, 10).unwrap(),
    ];
    let stays = host.join(&named, 11).unwrap();
    let event = host.ledger.revoke_links();
    host.log.push(event);
    for verified in &gone {
        assert_eq!(host.ledger.check(verified, START), Err(Refusal::Revoked));
    }
    assert_eq!(host.ledger.check(&stays, START), Ok(()));
    let later = host.issue(link(LINK), 0, 2);
    assert!(host.join(&later, 12).is_ok());
    assert_eq!(host.ledger, host.replayed());
}

#[test]
fn revoking_all_reaches_what_is_passed_on_later_but_not_what_is_issued_later() {
    let mut host = Host::new();
    let before = host.issue(person(10), 0, 0);
    let verified = host.join(&before, 10).unwrap();
    let event = host.ledger.revoke_all();
    host.log.push(event);
    assert_eq!(host.ledger.check(&verified, START), Err(Refusal::Revoked));
    let child = passed_on(&before, 10, person(11), 0);
    assert_eq!(host.join(&child, 11).unwrap_err(), Refusal::Revoked);
    // Registering it again doesn't bring it back.
    host.log.push(host.ledger.issue(&before).unwrap());
    assert_eq!(host.join(&before, 10).unwrap_err(), Refusal::Revoked);
    let after = host.issue(person(10), 0, 1);
    assert!(host.join(&after, 10).is_ok());
    assert_eq!(host.ledger, host.replayed());
}

#[test]
fn a_revocation_between_charge_and_admission_wins() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 0, 0);
    let redemption = host.redeem(&grant, 10).unwrap();
    host.revoke_grant(grant.id());
    let verdict = host.ledger.admit(redemption, START);
    assert_eq!(verdict.unwrap_err(), Refusal::Revoked);
}

#[test]
fn the_barred_stay_out_until_unbarred() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 0, 0);
    let verified = host.join(&grant, 10).unwrap();
    host.log.push(host.ledger.bar(key(10)).unwrap());
    assert!(host.ledger.is_barred(&key(10)));
    assert_eq!(host.ledger.check(&verified, START), Err(Refusal::Barred));
    assert_eq!(host.join(&grant, 10).unwrap_err(), Refusal::Barred);
    let later = host.issue(person(10), 0, 1);
    assert_eq!(host.join(&later, 10).unwrap_err(), Refusal::Barred);
    assert!(host.join(&grant, 11).is_ok());
    assert_eq!(host.ledger, host.replayed());
    let event = host.ledger.unbar(key(10));
    host.log.push(event);
    assert!(host.join(&grant, 10).is_ok());
    assert_eq!(host.ledger, host.replayed());
}

#[test]
fn a_verified_grant_ends_exactly_when_it_says() {
    let mut host = Host::new();
    let grant = host.issue(person(10), 0, 0);
    let verified = host.join(&grant, 10).unwrap();
    let last = UnixMillis(verified.ends().0 - 1);
    assert_eq!(host.ledger.check(&verified, last), Ok(()));
    let (expires, now) = (verified.expires(), verified.ends());
    let expired = Refusal::Expired { expires, now };
    assert_eq!(host.ledger.check(&verified, now), Err(expired.clone()));
    let verdict = host.ledger.redeem(&grant, &identity(10), None, now);
    assert_eq!(verdict.unwrap_err(), expired);
}

#[test]
fn what_expired_can_be_forgotten_and_is_unknown_then() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 1, 0);
    let child = passed_on(&grant, LINK, person(10), 1);
    host.join(&child, 10).unwrap();
    host.revoke_grant(child.id());
    host.revoke_person(12);
    let ends = START.saturating_add(HOUR + CLOCK_SKEW_MILLIS);
    assert_eq!(host.ledger.forget_expired(UnixMillis(ends.0 - 1)), None);
    host.log.push(host.ledger.forget_expired(ends).unwrap());
    assert_eq!(host.ledger.grants().count(), 0);
    assert!(host.ledger.revoked.is_empty() && host.ledger.people_revoked_below.is_empty());
    assert_eq!(host.ledger, host.replayed());
    // Even if the clock is set back, what was used up doesn't come back.
    assert_eq!(
        host.join(&grant, 11).unwrap_err(),
        Refusal::Unknown(grant.id())
    );
}

#[test]
fn that_somebody_could_send_input_is_never_forgotten() {
    let mut host = Host::new();
    let watch = Terms {
        rights: Rights::VIEW,
        ..terms(link(LINK), 0)
    };
    let watch = Grant::issue(&session(), watch, [1; 16]).unwrap();
    host.log.push(host.ledger.issue(&watch).unwrap());
    let grant = host.issue(link(LINK), 1, 0);
    host.join(&watch, 10).unwrap();
    assert!(!host.ledger.was_edited(), "nobody used what lets them");
    host.join(&grant, 10).unwrap();
    let ends = START.saturating_add(HOUR + CLOCK_SKEW_MILLIS);
    host.log.push(host.ledger.revoke_all());
    host.log.push(host.ledger.forget_expired(ends).unwrap());
    assert!(host.ledger.was_edited() && host.replayed().was_edited());
}

#[test]
fn the_number_of_grants_is_bounded_and_room_can_be_made() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 0, 0);
    let status = host.ledger.grants[&grant.id()].clone();
    let mut filler = 0u128;
    while host.ledger.grants.len() < MAX_GRANTS {
        filler += 1;
        let id = GrantId::from_bytes(filler.to_be_bytes());
        host.ledger.grants.insert(id, status.clone());
    }
    let one_more = root(link(LINK), 0, 1);
    let full = Refusal::Full {
        what: Limited::Grants,
        limit: MAX_GRANTS,
    };
    assert_eq!(host.ledger.issue(&one_more), Err(full.clone()));
    let child = passed_on(&grant, LINK, person(10), 0);
    assert_eq!(host.join(&child, 10).unwrap_err(), full);
    assert!(host.join(&grant, 10).is_ok(), "a known one needs no room");
    let ends = START.saturating_add(HOUR + CLOCK_SKEW_MILLIS);
    assert!(host.ledger.forget_expired(ends).is_some());
    assert!(host.ledger.issue(&one_more).is_ok());
}

/// Distinct values in the place of keys: what is counted needn't be on the curve.
fn fillers(count: usize) -> impl Iterator<Item = PublicKey> {
    let tail = key(99);
    (0..)
        .map(move |at: u16| {
            // Try successive encodings until one is a key; about every second is.
            let mut bytes = *tail.as_bytes();
            bytes[..2].copy_from_slice(&at.to_be_bytes());
            PublicKey::from_bytes(&bytes)
        })
        .filter_map(Result::ok)
        .take(count)
}

#[test]
fn the_number_of_uses_is_bounded_and_revoking_links_makes_room() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 0, 0);
    let known = host.ledger.grants.get_mut(&grant.id()).unwrap();
    known.users.extend(fillers(MAX_REDEMPTIONS - 1));
    assert_eq!(known.users.len(), MAX_REDEMPTIONS - 1);
    host.join(&grant, 10).unwrap();
    let full = Refusal::Full {
        what: Limited::Uses,
        limit: MAX_REDEMPTIONS,
    };
    assert_eq!(host.join(&grant, 11).unwrap_err(), full);
    assert!(host.join(&grant, 10).is_ok(), "a reconnect needs no room");
    host.ledger.revoke_links();
    let fresh = host.issue(person(11), 0, 1);
    assert!(host.join(&fresh, 11).is_ok());
}

#[test]
fn the_number_of_people_and_unseen_ids_is_bounded() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 0, 0);
    for key in fillers(MAX_PEOPLE) {
        host.ledger.bar(key).unwrap();
        host.ledger.revoke_person(key).unwrap();
        let mut id = [0; 16];
        id.copy_from_slice(&key.as_bytes()[..16]);
        host.ledger.revoked.insert(GrantId::from_bytes(id));
    }
    let known = host.ledger.barred.first().copied().unwrap();
    assert!(matches!(
        host.ledger.bar(key(10)),
        Err(Refusal::Full { .. })
    ));
    assert!(matches!(
        host.ledger.revoke_person(key(10)),
        Err(Refusal::Full { .. })
    ));
    let unseen = GrantId::from_bytes([7; 16]);
    assert!(matches!(
        host.ledger.revoke_grant(unseen),
        Err(Refusal::Full { .. })
    ));
    assert!(host.ledger.bar(known).is_ok());
    assert!(host.ledger.revoke_person(known).is_ok());
    assert!(
        host.ledger.revoke_grant(grant.id()).is_ok(),
        "a known grant always can be"
    );
    host.ledger.revoke_all();
    assert!(host.ledger.revoke_person(key(10)).is_ok());
}

#[test]
fn an_event_written_twice_in_a_row_does_no_harm() {
    let mut host = Host::new();
    let grant = host.issue(link(LINK), 2, 0);
    host.join(&grant, 10).unwrap();
    host.revoke_person(10);
    host.log.push(host.ledger.bar(key(11)).unwrap());
    let links = host.ledger.revoke_links();
    host.log.push(links);
    let twice = host
        .log
        .iter()
        .flat_map(|event| [event.clone(), event.clone()]);
    assert_eq!(Ledger::replay(session().public(), twice), Ok(host.ledger));
}

#[test]
fn replay_refuses_events_that_are_not_this_ledgers() {
    let grant = root(link(LINK), 1, 0);
    let issued = LedgerEvent::Issued(grant.clone());
    let redeemed = |who| LedgerEvent::Redeemed {
        grant: grant.clone(),
        identity: key(who),
    };
    let replay = |session, events: &[LedgerEvent]| {
        Ledger::replay(session, events.iter().cloned()).map(|_| ())
    };
    let ours = session().public();
    assert_eq!(replay(ours, &[issued.clone(), redeemed(10)]), Ok(()));
    assert_eq!(
        replay(key(2), std::slice::from_ref(&issued)),
        Err(Refusal::OtherSession)
    );
    assert_eq!(
        replay(ours, &[redeemed(10)]),
        Err(Refusal::Unknown(grant.id()))
    );
    let overused = [issued, redeemed(10), redeemed(11)];
    assert_eq!(replay(ours, &overused), Err(Refusal::UsedUp { uses: 1 }));
}

#[test]
fn golden_events() {
    let grant = root(link(LINK), 1, 0);
    let bytes = data_encoding::HEXLOWER.encode(&grant.to_bytes());
    let (key, id) = (key(10), GrantId::from_bytes([5; 16]));
    let redeemed = LedgerEvent::Redeemed {
        grant: grant.clone(),
        identity: key,
    };
    for (event, golden) in [
        (LedgerEvent::Issued(grant), format!("01{bytes}")),
        (redeemed, format!("02{key}{bytes}")),
        (
            LedgerEvent::RevokedGrant(id),
            format!("03{}", "05".repeat(16)),
        ),
        (LedgerEvent::RevokedPerson(key), format!("04{key}")),
        (LedgerEvent::RevokedLinks, "05".to_owned()),
        (LedgerEvent::RevokedAll, "06".to_owned()),
        (LedgerEvent::Barred(key), format!("07{key}")),
        (LedgerEvent::Unbarred(key), format!("08{key}")),
        (
            LedgerEvent::Forgotten(START),
            "09000001a3185c5000".to_owned(),
        ),
    ] {
        let bytes = event.to_bytes();
        assert_eq!(data_encoding::HEXLOWER.encode(&bytes), golden);
        assert_eq!(LedgerEvent::from_bytes(&bytes), Ok(event));
        for len in 0..bytes.len() {
            assert_eq!(
                LedgerEvent::from_bytes(&bytes[..len]),
                Err(Malformed::Truncated)
            );
        }
        let long = [&bytes[..], &[0]].concat();
        assert_eq!(LedgerEvent::from_bytes(&long), Err(Malformed::Trailing(1)));
    }
    let text = data_encoding::HEXLOWER.encode(b"a@b.example");
    let who: Subject = "a@b.example".parse().unwrap();
    let rights = Rights::EDIT;
    for (event, golden) in [
        (LedgerEvent::Opened(AccessMode::Link), "0a01".to_owned()),
        (LedgerEvent::Opened(AccessMode::Invited), "0a02".to_owned()),
        (LedgerEvent::Opened(AccessMode::Team), "0a03".to_owned()),
        (
            LedgerEvent::Allowed {
                who: who.clone(),
                rights,
            },
            format!("0b0013{text}"),
        ),
        (LedgerEvent::Disallowed(who.clone()), format!("0c{text}")),
        (LedgerEvent::Banned(who.clone()), format!("0d{text}")),
        (LedgerEvent::Unbanned(who), format!("0e{text}")),
    ] {
        let bytes = event.to_bytes();
        assert_eq!(data_encoding::HEXLOWER.encode(&bytes), golden);
        assert_eq!(LedgerEvent::from_bytes(&bytes), Ok(event));
        // A text goes to the end of its event: cut short it is another one, down to none at all.
        let least = if bytes[0] == 11 { 4 } else { 2 };
        for len in 0..least {
            assert!(LedgerEvent::from_bytes(&bytes[..len]).is_err());
        }
        let long = [&bytes[..], b"\n"].concat();
        assert!(LedgerEvent::from_bytes(&long).is_err());
    }
    for bytes in [
        &[10, 0][..],
        &[10, 4],
        &[11, 0, b'a'],
        &[11, 2, b'a'],
        b"\x0d\xff",
    ] {
        assert!(LedgerEvent::from_bytes(bytes).is_err(), "{bytes:?}");
    }
    let unknown = LedgerEvent::from_bytes(&[15]).unwrap_err().to_string();
    assert!(unknown.contains("a ledger event number 15"), "{unknown}");
}

/// What may happen at a host, in any order.
#[derive(Clone, Debug)]
enum Act {
    Issue { linked: bool, uses: u32 },
    PassOn { grant: Index, uses: u32 },
    Join { grant: Index, who: u8 },
    JoinUnwritten { grant: Index, who: u8 },
    RevokeGrant(Index),
    RevokePerson(u8),
    RevokeLinks,
    RevokeAll,
    Bar(u8),
    Unbar(u8),
    Allow(u8, bool),
    Disallow(u8),
    Ban(u8),
    Unban(u8),
    Open(u8),
    Restart,
}

/// Somebody a list may be about: an identity key, an address or a team's member.
fn subject(seed: u8) -> Subject {
    match seed % 3 {
        0 => Subject::key(&key(seed)),
        1 => format!("{seed}@b.example").parse().unwrap(),
        _ => format!("team:{}/{seed}", key(1)).parse().unwrap(),
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    let who = || 10..14u8;
    prop_oneof![
        4 => (any::<bool>(), 0..3u32).prop_map(|(linked, uses)| Act::Issue { linked, uses }),
        3 => (any::<Index>(), 0..3u32).prop_map(|(grant, uses)| Act::PassOn { grant, uses }),
        12 => (any::<Index>(), who()).prop_map(|(grant, who)| Act::Join { grant, who }),
        2 => (any::<Index>(), who()).prop_map(|(grant, who)| Act::JoinUnwritten { grant, who }),
        1 => any::<Index>().prop_map(Act::RevokeGrant),
        1 => who().prop_map(Act::RevokePerson),
        1 => Just(Act::RevokeLinks),
        1 => Just(Act::RevokeAll),
        1 => who().prop_map(Act::Bar),
        1 => who().prop_map(Act::Unbar),
        2 => (who(), any::<bool>()).prop_map(|(who, edit)| Act::Allow(who, edit)),
        1 => who().prop_map(Act::Disallow),
        1 => who().prop_map(Act::Ban),
        1 => who().prop_map(Act::Unban),
        1 => (0..3u8).prop_map(Act::Open),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens: the log restores the ledger, no grant is used by more than it allows, and
    /// nobody barred or revoked passes a check.
    #[test]
    fn the_log_restores_the_ledger(acts in proptest::collection::vec(any_act(), 1..40)) {
        let mut host = Host::new();
        let mut grants = vec![host.issue(link(LINK), 0, u8::MAX)];
        let mut admitted: Vec<VerifiedGrant> = Vec::new();
        for (at, act) in acts.into_iter().enumerate() {
            match act {
                Act::Issue { linked, uses } => {
                    let audience = if linked { link(LINK) } else { person(10) };
                    grants.push(host.issue(audience, uses, at as u8));
                }
                Act::PassOn { grant, uses } => {
                    let by = match grant.get(&grants).terms().audience {
                        Audience::Link(_) => LINK,
                        _ => 10,
                    };
                    let audience = if by == LINK { person(10) } else { link(LINK) };
                    let terms = terms(audience, uses);
                    grants.extend(grant.get(&grants).narrow(&secret(by), terms, [at as u8; 16]));
                }
                Act::Join { grant, who } => admitted.extend(host.join(grant.get(&grants), who)),
                Act::JoinUnwritten { grant, who } => {
                    // The write fails: the host restarts from its log.
                    let _ = host.redeem(grant.get(&grants), who);
                    host.ledger = host.replayed();
                }
                Act::RevokeGrant(grant) => {
                    let id = grant.get(&grants).id();
                    host.revoke_grant(id);
                    for held in admitted.iter().filter(|held| held.chain().any(|of| of == id)) {
                        prop_assert!(host.ledger.check(held, START).is_err());
                    }
                }
                Act::RevokePerson(who) => {
                    host.revoke_person(who);
                    for held in admitted.iter().filter(|held| held.identity() == key(who)) {
                        prop_assert!(host.ledger.check(held, START).is_err());
                    }
                }
                Act::RevokeLinks => {
                    let event = host.ledger.revoke_links();
                    host.log.push(event);
                    for held in admitted.iter().filter(|held| *held.audience() == link(LINK)) {
                        prop_assert!(host.ledger.check(held, START).is_err());
                    }
                }
                Act::RevokeAll => {
                    let event = host.ledger.revoke_all();
                    host.log.push(event);
                    for held in &admitted {
                        prop_assert!(host.ledger.check(held, START).is_err());
                    }
                }
                Act::Bar(who) => host.log.push(host.ledger.bar(key(who)).unwrap()),
                Act::Unbar(who) => {
                    let event = host.ledger.unbar(key(who));
                    host.log.push(event);
                }
                Act::Allow(who, edit) => {
                    let rights = if edit { Rights::EDIT } else { Rights::VIEW };
                    let event = host.ledger.allow(subject(who), rights).unwrap();
                    host.log.push(event);
                    prop_assert_eq!(host.ledger.access().right(&[subject(who)]), Some(rights));
                }
                Act::Disallow(who) => {
                    let event = host.ledger.disallow(&subject(who));
                    host.log.extend(event);
                    prop_assert_eq!(host.ledger.access().right(&[subject(who)]), None);
                }
                Act::Ban(who) => {
                    let event = host.ledger.ban(subject(who)).unwrap();
                    host.log.push(event);
                    let barred = subject(who).as_key().is_some_and(|key| host.ledger.is_barred(&key));
                    prop_assert!(barred || host.ledger.access().is_banned(&[subject(who)]));
                    prop_assert_eq!(host.ledger.access().right(&[subject(who)]), None);
                }
                Act::Unban(who) => {
                    let event = host.ledger.unban(&subject(who));
                    host.log.extend(event);
                    prop_assert!(!host.ledger.access().is_banned(&[subject(who)]));
                }
                Act::Open(door) => {
                    let door = [AccessMode::Link, AccessMode::Invited, AccessMode::Team][usize::from(door)];
                    host.log.push(host.ledger.set_access_mode(door));
                    prop_assert_eq!(host.ledger.access().mode(), Some(door));
                }
                Act::Restart => host.ledger = host.replayed(),
            }
            prop_assert_eq!(&host.ledger, &host.replayed());
            for status in host.ledger.grants() {
                let uses = status.terms.uses.map_or(usize::MAX, |uses| uses.get() as usize);
                prop_assert!(status.used <= uses);
            }
            // An identity that was admitted and still stands is always let in again, for free.
            let standing = |held: &&VerifiedGrant| host.ledger.check(held, START).is_ok();
            let still: Vec<VerifiedGrant> = admitted.iter().filter(standing).cloned().collect();
            if let Some(held) = still.first() {
                let who = (10..14).find(|seed| key(*seed) == held.identity()).unwrap();
                let again = host.redeem(&held.grant, who).unwrap();
                prop_assert_eq!(again.event(), None);
            }
        }
    }

    #[test]
    fn an_altered_event_never_panics(at: Index, flip in 1..=u8::MAX, tail: Vec<u8>) {
        let grant = root(link(LINK), 1, 0);
        let event = LedgerEvent::Redeemed { grant, identity: key(10) };
        let mut bytes = event.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        for bytes in [&bytes[..], &bytes[..at], &tail, &[&bytes[..], &tail].concat()] {
            if let Ok(event) = LedgerEvent::from_bytes(bytes) {
                prop_assert_eq!(&event.to_bytes(), bytes);
                let _ = Ledger::replay(session().public(), [event]);
            }
        }
    }
}
