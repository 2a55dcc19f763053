use ed25519_dalek::{Signer as _, SigningKey};
use pillion_caps::SecretKey;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// RSA, P-256 and ed25519 keys, named "rsa", "ec" and "ed"; the last one's seed is [5; 32]. They, and
/// the tokens signed with them, were made by Node's crypto.
const JWKS: &[u8] = include_bytes!("jwks.json");
const TOKENS: &str = include_str!("tokens.golden");

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const SALT: [u8; SALT_BYTES] = [9; SALT_BYTES];

fn anna() -> PublicKey {
    SecretKey::from_bytes(&[1; 32]).public()
}

fn jwks() -> Jwks {
    Jwks::parse(JWKS).unwrap()
}

fn issuers(keys: Option<Jwks>) -> [TrustedIssuer; 1] {
    [TrustedIssuer {
        issuer: "https://issuer.example".parse().unwrap(),
        client_id: "pillion".to_owned(),
        keys,
    }]
}

fn golden(alg: &str) -> String {
    let line = TOKENS.lines().find(|line| line.starts_with(alg)).unwrap();
    line[alg.len() + 1..].to_owned()
}

/// What the golden tokens say.
fn says() -> Value {
    json!({
        "iss": "https://issuer.example", "sub": "1", "aud": "pillion", "exp": 1_800_000_600,
        "iat": 1_800_000_000, "nonce": nonce(&anna(), &SALT), "email": "anna@example.org",
        "email_verified": true,
    })
}

/// A token that says so, by the key "ed".
fn token(header: &Value, says: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(says));
    let signature = SigningKey::from_bytes(&[5; 32]).sign(signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature.to_bytes()))
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "ed"})
}

/// A token with one claim changed; null leaves it out.
fn with(name: &str, value: Value) -> String {
    let mut says = says();
    match value {
        Value::Null => says.as_object_mut().unwrap().remove(name),
        value => says.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    token(&header(), &says)
}

fn check_at(token: &str, now: UnixMillis, keys: Option<Jwks>) -> Result<String, ClaimError> {
    let claim = EmailClaim {
        salt: SALT,
        token: token.to_owned(),
    };
    let (address, issuer) = verify(&claim, &anna(), now, &issuers(keys))?;
    assert_eq!(issuer.as_str(), "https://issuer.example");
    Ok(address.to_string())
}

fn check(token: &str) -> Result<String, ClaimError> {
    check_at(token, NOW, Some(jwks()))
}

fn refused(token: &str) -> TokenError {
    match check(token) {
        Err(ClaimError::Token(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn golden_nonce() {
    let expected = "EuYUKAuBHt0NX1tPlCKTJ8LDkBoU-IZCGLeCz9p2aCE";
    assert_eq!(nonce(&anna(), &SALT), expected);
}

#[test]
fn golden_tokens_of_each_algorithm_are_believed() {
    for alg in ["RS256", "ES256", "EdDSA"] {
        assert_eq!(check(&golden(alg)), Ok("anna@example.org".to_owned()));
    }
    assert_eq!(
        check(&token(&header(), &says())),
        Ok("anna@example.org".to_owned())
    );
}

#[test]
fn the_key_says_by_which_algorithm_it_signs() {
    let algorithm = |alg: &str| TokenError::Algorithm(alg.to_owned());
    assert_eq!(refused(&golden("PS256")), algorithm("PS256"));
    for alg in ["none", "HS256", "RS256", "ES256", "ES384"] {
        let header = json!({"alg": alg, "kid": "ed"});
        assert_eq!(refused(&token(&header, &says())), algorithm(alg));
    }
    // The signature of one key under the name of another.
    let header = json!({"alg": "RS256", "kid": "rsa"});
    assert_eq!(refused(&token(&header, &says())), TokenError::Signature);
    let unsigned = golden("EdDSA");
    let unsigned = &unsigned[..=unsigned.rfind('.').unwrap()];
    assert_eq!(refused(unsigned), TokenError::Signature);
}

#[test]
fn a_token_says_the_right_things_or_is_refused() {
    for (name, value, error) in [
        (
            "iss",
            json!("https://evil.example"),
            TokenError::Issuer("https://evil.example".to_owned()),
        ),
        (
            "iss",
            json!("https://issuer.example/"),
            TokenError::Issuer("https://issuer.example/".to_owned()),
        ),
        (
            "iss",
            json!("\u{1b}[2J"),
            TokenError::Issuer("[2J".to_owned()),
        ),
        ("aud", json!("other"), TokenError::Audience),
        ("aud", json!([]), TokenError::Audience),
        ("aud", json!(["pillion", "other"]), TokenError::Audience),
        ("azp", json!("other"), TokenError::Audience),
        ("nonce", Value::Null, TokenError::Nonce),
        ("nonce", json!(""), TokenError::Nonce),
        ("nonce", json!(nonce(&anna(), &[8; 16])), TokenError::Nonce),
        ("email", Value::Null, TokenError::NoAddress),
        ("email", json!("anna"), TokenError::NoAddress),
        (
            "email_verified",
            json!(false),
            TokenError::Unverified("anna@example.org".parse().unwrap()),
        ),
        (
            "email_verified",
            Value::Null,
            TokenError::Unverified("anna@example.org".parse().unwrap()),
        ),
        ("email_verified", json!("true"), TokenError::Malformed),
        ("exp", Value::Null, TokenError::Malformed),
        ("exp", json!("1800000600"), TokenError::Malformed),
        ("iat", Value::Null, TokenError::Malformed),
        ("aud", Value::Null, TokenError::Malformed),
    ] {
        assert_eq!(refused(&with(name, value.clone())), error, "{name} {value}");
    }
    for (name, value) in [
        ("aud", json!(["pillion"])),
        ("azp", json!("pillion")),
        ("exp", json!(1_800_000_600.5)),
        ("email", json!("ANNA@example.org")),
    ] {
        assert_eq!(
            check(&with(name, value)),
            Ok("anna@example.org".to_owned()),
            "{name}"
        );
    }
}

#[test]
fn another_identity_with_the_same_token_is_refused() {
    let claim = EmailClaim {
        salt: SALT,
        token: golden("RS256"),
    };
    let eve = SecretKey::from_bytes(&[2; 32]).public();
    let verdict = verify(&claim, &eve, NOW, &issuers(Some(jwks())));
    assert_eq!(verdict, Err(TokenError::Nonce.into()));
}

#[test]
fn time_is_checked_with_two_minutes_to_spare() {
    let at = |millis| check_at(&golden("EdDSA"), UnixMillis(millis), Some(jwks()));
    let (issued, end) = (1_800_000_000_000, 1_800_000_600_000);
    assert!(at(issued - CLOCK_SKEW_MILLIS).is_ok());
    assert!(at(end + CLOCK_SKEW_MILLIS - 1).is_ok());
    assert!(matches!(
        at(issued - CLOCK_SKEW_MILLIS - 1),
        Err(ClaimError::Token(TokenError::FromFuture { .. }))
    ));
    assert!(matches!(
        at(end + CLOCK_SKEW_MILLIS),
        Err(ClaimError::Token(TokenError::Expired { .. }))
    ));
    for exp in [json!(-1), json!(-1e300), json!(1e300)] {
        let _ = check(&with("exp", exp));
    }
}

#[test]
fn keys_are_asked_for_only_by_a_token_that_could_be_right() {
    let issuer: Issuer = "https://issuer.example".parse().unwrap();
    let wanted = Err(ClaimError::KeysWanted { issuer });
    assert_eq!(check_at(&golden("EdDSA"), NOW, None), wanted);
    let header = json!({"alg": "EdDSA", "kid": "new"});
    assert_eq!(check(&token(&header, &says())), wanted);
    // Which of several keys must be said.
    assert_eq!(check(&token(&json!({"alg": "EdDSA"}), &says())), wanted);
    let useless = check_at(&with("nonce", json!("x")), NOW, None);
    assert_eq!(useless, Err(TokenError::Nonce.into()));
}

#[test]
fn a_single_key_need_not_be_named() {
    let set: Value = serde_json::from_slice(JWKS).unwrap();
    let one = json!({"keys": [set["keys"][2]]}).to_string();
    let one = Jwks::parse(one.as_bytes()).unwrap();
    let token = token(&json!({"alg": "EdDSA"}), &says());
    assert!(check_at(&token, NOW, Some(one)).is_ok());
}

#[test]
fn what_is_no_token_is_refused() {
    let good = golden("EdDSA");
    let twice = good.replacen('.', "..", 1);
    for text in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "e30.e30.e30",
        &twice,
        &good[1..],
        &format!("{good}="),
        &format!("{good}.x"),
        &format!(" {good}"),
    ] {
        assert_eq!(refused(text), TokenError::Malformed, "{text:.40}");
    }
    let critical = json!({"alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": false});
    assert_eq!(refused(&token(&critical, &says())), TokenError::Malformed);
}

#[test]
fn every_altered_bit_of_a_token_is_refused() {
    for alg in ["RS256", "ES256", "EdDSA"] {
        let good = golden(alg);
        for at in 0..good.len() {
            for bit in [0, 3] {
                let mut bytes = good.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let text = String::from_utf8(bytes).unwrap();
                assert!(check(&text).is_err(), "{alg} {at} {bit}");
            }
        }
    }
}

#[test]
fn keys_that_cannot_be_used_are_left_out() {
    let mut set: Value = serde_json::from_slice(JWKS).unwrap();
    let keys = set["keys"].as_array_mut().unwrap();
    keys[0]["alg"] = json!("RS512");
    keys[1]["use"] = json!("enc");
    keys.push(json!({"kty": "oct", "k": "AAAA"}));
    keys.push(json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak"}));
    keys.push(json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}));
    keys.push(json!("text"));
    let read = Jwks::parse(set.to_string().as_bytes()).unwrap();
    assert_eq!(format!("{read:?}"), "Jwks(1 keys)");
    assert!(read.find(Some("ed")).is_some());
}

#[test]
fn what_is_no_key_set_is_refused() {
    let many = json!({"keys": vec![json!({}); MAX_JWKS_KEYS + 1]}).to_string();
    for (bytes, error) in [
        (&b"<html>"[..], JwksError::Malformed),
        (b"{}", JwksError::Malformed),
        (b"{\"keys\":{}}", JwksError::Malformed),
        (b"{\"keys\":[]}", JwksError::NoKeys),
        (&vec![b' '; MAX_JWKS + 1], JwksError::TooLong),
        (many.as_bytes(), JwksError::TooMany),
    ] {
        assert_eq!(Jwks::parse(bytes).err(), Some(error));
    }
}

#[test]
fn a_token_is_never_shown() {
    let claim = EmailClaim {
        salt: SALT,
        token: golden("EdDSA"),
    };
    assert_eq!(format!("{claim:?}"), "EmailClaim { .. }");
}

proptest! {
    #[test]
    fn any_text_is_refused(text: String, one: String, two: String) {
        prop_assert!(check(&text).is_err());
        prop_assert!(check(&[one, two, text.clone()].join(".")).is_err());
        let _ = Jwks::parse(text.as_bytes());
    }

    #[test]
    fn any_claims_are_read_or_refused(exp: f64, iat: f64, email in ".{0,20}") {
        let _ = check(&with("exp", json!(exp)));
        let _ = check(&with("iat", json!(iat)));
        if let Ok(address) = check(&with("email", json!(email))) {
            prop_assert_eq!(address, email.to_ascii_lowercase());
        }
    }
}
