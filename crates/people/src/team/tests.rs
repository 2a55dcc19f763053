use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const DAY: u64 = 24 * 60 * 60 * 1000;

fn team() -> TeamKey {
    TeamKey::new(SecretKey::from_bytes(&[8; 32]))
}

fn anna() -> PublicKey {
    SecretKey::from_bytes(&[1; 32]).public()
}

fn membership() -> Membership {
    let name = "anna".parse().unwrap();
    let expires = NOW.saturating_add(30 * DAY);
    team()
        .admit(anna(), name, Serial(7), NOW, expires)
        .expect("30 days are allowed")
}

fn removals(serials: &[u64]) -> Removals {
    let serials = serials.iter().copied().map(Serial).collect();
    team().remove(NOW, serials).unwrap()
}

#[test]
fn golden_bytes_and_texts() {
    assert_eq!(HEXLOWER.encode(&membership().to_bytes()), GOLDEN_MEMBERSHIP);
    assert_eq!(
        HEXLOWER.encode(&removals(&[9, 7, 9]).to_bytes()),
        GOLDEN_REMOVALS
    );
    let text = membership().to_string();
    assert!(text.starts_with("pillionmemberae"), "{text}");
    assert_eq!(text.parse(), Ok(membership()));
    let pasted = format!(" {}\n{} ", &text[..50], text[50..].to_uppercase());
    assert_eq!(pasted.parse(), Ok(membership()));
    let text = removals(&[1, 2]).to_string();
    assert_eq!(text.parse(), Ok(removals(&[2, 1])));
}

#[test]
fn a_membership_is_for_one_identity_and_a_time() {
    let (membership, end) = (membership(), membership().expires);
    let late = |millis| UnixMillis(end.0 + millis);
    let early = |millis| UnixMillis(NOW.0 - millis);
    assert_eq!(membership.verify(&anna(), NOW, &[]), Ok(()));
    for now in [early(CLOCK_SKEW_MILLIS), late(CLOCK_SKEW_MILLIS - 1)] {
        assert_eq!(membership.verify(&anna(), now, &[]), Ok(()), "{now}");
    }
    let now = early(CLOCK_SKEW_MILLIS + 1);
    let not_before = NOW;
    assert_eq!(
        membership.verify(&anna(), now, &[]),
        Err(ClaimError::NotYetValid { not_before, now })
    );
    let (now, expires) = (late(CLOCK_SKEW_MILLIS), end);
    assert_eq!(
        membership.verify(&anna(), now, &[]),
        Err(ClaimError::Expired { expires, now })
    );
    let bert = SecretKey::from_bytes(&[2; 32]).public();
    assert_eq!(
        membership.verify(&bert, NOW, &[]),
        Err(ClaimError::OtherMember)
    );
}

#[test]
fn what_the_team_took_back_is_refused_and_another_teams_list_is_not_heard() {
    let verdict = |list| membership().verify(&anna(), NOW, &[list]);
    assert_eq!(verdict(removals(&[7])), Err(ClaimError::Removed));
    assert_eq!(verdict(removals(&[1, 6, 8])), Ok(()));
    let other = TeamKey::new(SecretKey::from_bytes(&[9; 32]));
    let list = other.remove(NOW, vec![Serial(7)]).unwrap();
    assert_eq!(verdict(list), Ok(()));
}

#[test]
fn a_membership_that_would_hold_too_long_or_never_is_not_made_nor_read() {
    for life in [0, MAX_MEMBERSHIP_MILLIS + 1] {
        let end = NOW.saturating_add(life);
        let made = team().admit(anna(), "anna".parse().unwrap(), Serial(1), NOW, end);
        assert_eq!(made, None, "{life}");
        let mut forged = membership();
        forged.expires = end;
        forged.signature = sign(&team().0, Domain::TeamCertificate, &forged.signed());
        assert!(Membership::from_bytes(&forged.to_bytes()).is_err());
    }
    let serials = (0..=MAX_REMOVED as u64).map(Serial).collect();
    assert_eq!(team().remove(NOW, serials), None);
}

#[test]
fn every_altered_bit_is_refused() {
    let refused = |bytes: &[u8]| {
        Membership::from_bytes(bytes).and_then(|read| read.verify(&anna(), NOW, &[]))
    };
    let bytes = membership().to_bytes();
    assert_eq!(refused(&bytes), Ok(()));
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(refused(&bytes).is_err(), "bit {bit}");
    }
    let bytes = removals(&[7, 9]).to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Removals::from_bytes(&bytes).is_err(), "bit {bit}");
    }
}

#[test]
fn one_cut_short_or_longer_is_refused() {
    let (one, two) = (membership().to_bytes(), removals(&[7, 9]).to_bytes());
    for len in 0..one.len() {
        assert!(Membership::from_bytes(&one[..len]).is_err(), "{len}");
    }
    for len in 0..two.len() {
        assert!(Removals::from_bytes(&two[..len]).is_err(), "{len}");
    }
    assert!(Membership::from_bytes(&[&one[..], b"x"].concat()).is_err());
    assert!(Removals::from_bytes(&[&two[..], b"x"].concat()).is_err());
}

#[test]
fn one_of_a_newer_version_is_told_apart_from_a_damaged_one() {
    let mut bytes = membership().to_bytes();
    bytes[0] = 2;
    assert_eq!(Membership::from_bytes(&bytes), Err(ClaimError::Unknown(2)));
    assert_eq!(Removals::from_bytes(&bytes), Err(ClaimError::Unknown(2)));
}

#[test]
fn a_wrong_paste_is_told_what_was_wanted() {
    let error = |text: &str| text.parse::<Membership>().unwrap_err().to_string();
    assert!(error("pillionab3").contains("starts with \"pillionmember\""));
    let text = membership().to_string();
    for end in 13..text.len() {
        assert!(error(&text[..end]).contains("cut short"), "{end}");
    }
    let altered = text.replace("pillionmemberaejzr", "pillionmemberaejzs");
    assert_ne!(altered, text);
    assert!(error(&altered).contains("damaged"), "{}", error(&altered));
    assert!(removals(&[1]).to_string().parse::<Membership>().is_err());
}

proptest! {
    #[test]
    fn any_bytes_and_text_are_read_or_refused(bytes: Vec<u8>, text: String) {
        if let Ok(read) = Membership::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes.clone());
        }
        prop_assert!(Removals::from_bytes(&bytes).is_err());
        for word in [Membership::WORD, Removals::WORD] {
            let text = format!("{word}{text}");
            prop_assert!(text.parse::<Membership>().is_err());
            prop_assert!(text.parse::<Removals>().is_err());
        }
    }

    #[test]
    fn what_is_made_comes_back(serials: Vec<u64>, life in 1..=MAX_MEMBERSHIP_MILLIS, name in "[g-z][a-z_]{0,3}[A-Z0-9._+-]{0,60}") {
        prop_assume!(name.parse::<MemberName>().is_ok());
        let list = removals(&serials);
        prop_assert_eq!(Removals::from_bytes(&list.to_bytes()), Ok(list));
        let end = NOW.saturating_add(life);
        let made = team().admit(anna(), name.parse().unwrap(), Serial(1), NOW, end).unwrap();
        prop_assert_eq!(Membership::from_bytes(&made.to_bytes()), Ok(made));
    }
}

const GOLDEN_MEMBERSHIP: &str = "011398f62c6d1a457c51ba6a4b5f3dbd2f69fca93216218dc8997e416bd17d93ca8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0000000000000007000001a3185c5000000001a3b2db180004616e6e61fc2a1ff53261aa133e9fd34fe819c49ec8ef70c74ad4941eb7e8f44cd60ac315fe622f6466743c8e4b770e3d4fac6d5dfa62a21ef7568296fa164b5452534706";
const GOLDEN_REMOVALS: &str = "011398f62c6d1a457c51ba6a4b5f3dbd2f69fca93216218dc8997e416bd17d93ca000001a3185c500000020000000000000007000000000000000986e4125fe631a75ec8c081b5f15d87693e64c99f4accdccfa82ccf28cb6ea2427d22f1f7c72dd653d5634b3e33a42b49267b6c770bdf4c0df113c8919cdec106";
