use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use pillion_caps::SecretKey;
use proptest::prelude::*;

use super::*;
use crate::{
    team::{Serial, TeamKey},
    who::Who,
};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn public(seed: u8) -> PublicKey {
    SecretKey::from_bytes(&[seed; 32]).public()
}

const ANNA: u8 = 1;
const SESSION: u8 = 4;

/// An SSH key's claim for Anna's identity, until `expires`.
fn ssh(expires: UnixMillis) -> Claim {
    let message = SshClaim::message(&public(ANNA), &public(SESSION), expires);
    let signature = SigningKey::from_bytes(&[6; 32]).sign(&SshSignature::signed_bytes(&message));
    Claim::Ssh(SshClaim {
        expires,
        signature: SshSignature::new(SshKey::new(public(6)), signature.to_bytes()),
    })
}

fn email() -> Claim {
    let golden = include_str!("../oidc/tokens.golden");
    let token = golden.lines().next().unwrap().trim_start_matches("RS256 ");
    Claim::Email(EmailClaim {
        salt: [9; 16],
        token: token.to_owned(),
    })
}

fn team() -> Claim {
    let team = TeamKey::new(SecretKey::from_bytes(&[8; 32]));
    let end = NOW.saturating_add(1000);
    let membership = team.admit(public(ANNA), "anna".parse().unwrap(), Serial(7), NOW, end);
    Claim::Team(membership.unwrap())
}

fn trust() -> Trust {
    Trust {
        issuers: vec![TrustedIssuer {
            issuer: "https://issuer.example".parse().unwrap(),
            client_id: "pillion".to_owned(),
            keys: Some(Jwks::parse(include_bytes!("../oidc/jwks.json")).unwrap()),
        }],
        removals: Vec::new(),
    }
}

fn check(claim: &Claim, now: UnixMillis) -> Result<Who, ClaimError> {
    let bytes = claim.to_bytes();
    verify(&bytes, &public(ANNA), &public(SESSION), now, &trust())
}

fn all() -> [Claim; 3] {
    [ssh(NOW.saturating_add(1000)), email(), team()]
}

#[test]
fn each_claim_says_who_its_sender_is() {
    let said: Vec<String> = all()
        .iter()
        .map(|claim| check(claim, NOW).unwrap().to_string())
        .collect();
    let (ssh, team) = (SshKey::new(public(6)), public(8));
    assert_eq!(
        said,
        [
            ssh.to_string(),
            "anna@example.org via https://issuer.example".to_owned(),
            format!("team:{team}/anna"),
        ]
    );
}

#[test]
fn each_claim_is_worth_nothing_to_another_identity() {
    for claim in all() {
        let bytes = claim.to_bytes();
        let verdict = verify(&bytes, &public(2), &public(SESSION), NOW, &trust());
        assert!(verdict.is_err(), "{claim:?}");
    }
}

#[test]
fn an_ssh_claim_is_for_one_session() {
    let bytes = ssh(NOW.saturating_add(1000)).to_bytes();
    let verdict = verify(&bytes, &public(ANNA), &public(5), NOW, &trust());
    assert_eq!(verdict, Err(ClaimError::SshSignature));
}

#[test]
fn an_ssh_claim_ends_and_may_not_last_for_ever() {
    let until = |millis: i64| check(&ssh(UnixMillis(NOW.0.saturating_add_signed(millis))), NOW);
    let (skew, life) = (CLOCK_SKEW_MILLIS as i64, MAX_SSH_LIFE_MILLIS as i64);
    assert!(until(1 - skew).is_ok());
    assert!(until(life + skew).is_ok());
    assert!(matches!(until(-skew), Err(ClaimError::Expired { .. })));
    assert!(matches!(
        until(life + skew + 1),
        Err(ClaimError::TooLongLived { .. })
    ));
    assert!(matches!(
        check(&ssh(UnixMillis(u64::MAX)), NOW),
        Err(ClaimError::TooLongLived { .. })
    ));
}

#[test]
fn golden_bytes_and_back() {
    for (claim, start) in all().iter().zip([
        "01000001a3185c53e853534853494700000001000000330000000b7373682d65643235353139",
        "020909090909090909090909090909090965794a68624763694f694a53557a49314e694973",
        "03011398f62c6d1a457c51ba6a4b5f3dbd2f69fca93216218dc8997e416bd17d93ca8a88e3dd",
    ]) {
        let bytes = claim.to_bytes();
        let hex = HEXLOWER.encode(&bytes);
        assert!(hex.starts_with(start), "{hex}");
        assert_eq!(Claim::from_bytes(&bytes).as_ref(), Ok(claim));
    }
    let Claim::Ssh(claim) = ssh(NOW) else {
        panic!()
    };
    let message = SshClaim::message(&public(ANNA), &public(SESSION), claim.expires);
    let (identity, session) = (public(ANNA), public(SESSION));
    let expected = [
        b"pillion claim v1\0",
        &identity.as_bytes()[..],
        session.as_bytes(),
        &NOW.0.to_be_bytes(),
    ];
    assert_eq!(message, expected.concat());
}

#[test]
fn every_altered_byte_is_refused() {
    for claim in all() {
        let bytes = claim.to_bytes();
        for at in 0..bytes.len() {
            for flip in [1, 0x10, 0x80] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let verdict = verify(&bytes, &public(ANNA), &public(SESSION), NOW, &trust());
                assert!(verdict.is_err(), "{at} {flip:#x} {claim:?}");
            }
        }
    }
}

#[test]
fn what_is_no_claim_is_refused() {
    let read = Claim::from_bytes;
    assert_eq!(read(b""), Err(ClaimError::Malformed(ClaimPart::Claim)));
    assert_eq!(read(&[0]), Err(ClaimError::Unknown(0)));
    assert_eq!(read(&[4, 1]), Err(ClaimError::Unknown(4)));
    let long = vec![2; MAX_CLAIM + 1];
    assert_eq!(read(&long), Err(ClaimError::TooLong(MAX_CLAIM + 1)));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes: Vec<u8>, tag in 0_u8..5) {
        bytes.insert(0, tag);
        if let Ok(claim) = Claim::from_bytes(&bytes) {
            prop_assert_eq!(claim.to_bytes(), bytes.clone());
        }
        let verdict = verify(&bytes, &public(ANNA), &public(SESSION), NOW, &trust());
        prop_assert!(verdict.is_err());
    }
}
