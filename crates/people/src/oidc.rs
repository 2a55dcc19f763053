//! ID tokens (OpenID Connect Core 1.0), and the keys they are signed with.
//!
//! A token is a compact JWS: three parts in base64url, header, claims, signature. The *key* says by
//! which algorithm it signs, never the token alone: RS256 for RSA keys, ES256 for keys on P-256, EdDSA
//! for ed25519 keys. There is no other.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use pillion_caps::{CLOCK_SKEW_MILLIS, PublicKey, UnixMillis};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    claim::{ClaimError, EmailClaim, SALT_BYTES, TrustedIssuer},
    who::{Address, Issuer},
};

/// The longest key set that is read, in bytes. Public issuers' have 1 to 10 KiB.
pub const MAX_JWKS: usize = 64 * 1024;

/// Most keys in a set, those that can't be used included.
pub const MAX_JWKS_KEYS: usize = 32;

/// The longest name of a key, and what else of a token is compared as text, in bytes.
const MAX_TEXT: usize = 255;

/// The nonce to ask the issuer for: base64url, without padding, of
/// SHA-256("pillion oidc v1" · 0 · identity · salt).
pub fn nonce(identity: &PublicKey, salt: &[u8; SALT_BYTES]) -> String {
    let hash = Sha256::new()
        .chain_update(b"pillion oidc v1\0")
        .chain_update(identity.as_bytes())
        .chain_update(salt)
        .finalize();
    BASE64URL_NOPAD.encode(&hash)
}

/// Why an ID token isn't believed.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenError {
    /// Not a token.
    #[error("the proof of your e-mail address is no ID token that PILLION can read: sign in again")]
    Malformed,
    /// Not signed as it must be.
    #[error(
        "the ID token is signed by {0}, not by RS256, ES256 or EdDSA with a key of that kind: its \
         issuer can't be used"
    )]
    Algorithm(String),
    /// The signature is wrong.
    #[error("the ID token was altered, or not signed by its issuer: sign in again")]
    Signature,
    /// An issuer the host doesn't trust.
    #[error(
        "the host doesn't take the word of {0} for e-mail addresses: it trusts the issuer of its \
         own configuration (oidc_issuer)"
    )]
    Issuer(String),
    /// Made for another program.
    #[error(
        "the ID token was made for another client than the host expects (oidc_client_id): use the \
         same as the host"
    )]
    Audience,
    /// It ended.
    #[error(
        "the ID token expired at {expires}; the host's clock says {now}. Sign in again, or check \
         both clocks"
    )]
    Expired {
        /// When it expired.
        expires: UnixMillis,
        /// The time by the host's clock.
        now: UnixMillis,
    },
    /// It was made later than now.
    #[error("the ID token was issued at {issued}; the host's clock says {now}: check that clock")]
    FromFuture {
        /// When it says it was issued.
        issued: UnixMillis,
        /// The time by the host's clock.
        now: UnixMillis,
    },
    /// Bound to another key, or to none.
    #[error("the ID token was made for another Pillion key than yours: sign in again")]
    Nonce,
    /// No address that can be one.
    #[error("the ID token names no e-mail address: allow the issuer to tell it, and sign in again")]
    NoAddress,
    /// The issuer doesn't vouch for it.
    #[error(
        "{0} is not verified by its issuer (email_verified): verify the address there, and sign in \
         again"
    )]
    Unverified(Address),
}

/// Whether a text has the form of a compact JWS.
pub(crate) fn is_compact(token: &str) -> bool {
    token.split('.').count() == 3
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// When a token says it ends.
pub(crate) fn expires(token: &str) -> Option<UnixMillis> {
    let Seconds(expires) = Token::read(token).ok()?.says.exp;
    Some(expires)
}

/// Checks a token against the issuer it names, if that is trusted.
pub(crate) fn verify(
    claim: &EmailClaim,
    identity: &PublicKey,
    now: UnixMillis,
    issuers: &[TrustedIssuer],
) -> Result<(Address, Issuer), ClaimError> {
    let token = Token::read(&claim.token)?;
    let says = &token.says;
    let trusted = issuers
        .iter()
        .find(|trusted| trusted.issuer.as_str() == says.iss)
        .ok_or_else(|| TokenError::Issuer(shown(&says.iss)))?;
    // What costs nothing first: for a token that is of no use no keys are fetched.
    says.check_audience(&trusted.client_id)?;
    if says.nonce.as_deref() != Some(&nonce(identity, &claim.salt)) {
        return Err(TokenError::Nonce.into());
    }
    says.check_time(now)?;
    let issuer = trusted.issuer.clone();
    let wanted = || ClaimError::KeysWanted {
        issuer: issuer.clone(),
    };
    let keys = trusted.keys.as_ref().ok_or_else(wanted)?;
    let key = keys.find(token.kid.as_deref()).ok_or_else(wanted)?;
    key.verify(&token)?;
    Ok((says.address()?, issuer))
}

/// What is shown of a text from a token: enough to recognise it, and nothing that isn't plain.
fn shown(text: &str) -> String {
    let plain = |c: &char| c.is_ascii_graphic();
    text.chars().filter(plain).take(80).collect()
}

/// A token taken apart.
struct Token<'a> {
    alg: String,
    kid: Option<String>,
    says: Says,
    signed: &'a str,
    signature: Vec<u8>,
}

/// The header's members that matter (RFC 7515, 4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood: none is.
    crit: Option<serde::de::IgnoredAny>,
}

/// The claims that matter (OpenID Connect Core, 2 and 5.1).
#[derive(Deserialize)]
struct Says {
    iss: String,
    aud: Audience,
    azp: Option<String>,
    exp: Seconds,
    iat: Seconds,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// A JSON number of seconds since 1970; some issuers write fractions.
#[derive(Deserialize, Clone, Copy)]
#[serde(from = "f64")]
struct Seconds(UnixMillis);

impl From<f64> for Seconds {
    fn from(seconds: f64) -> Self {
        // `as` saturates: a negative time is 1970, one beyond all bounds the end of time.
        Self(UnixMillis((seconds * 1000.0) as u64))
    }
}

impl<'a> Token<'a> {
    fn read(token: &'a str) -> Result<Self, TokenError> {
        fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TokenError> {
            let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
            let bytes = bytes.map_err(|_| TokenError::Malformed)?;
            serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
        }
        if !is_compact(token) {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, says) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = part(header)?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        Ok(Self {
            alg: header.alg,
            kid: header.kid,
            says: part(says)?,
            signed,
            signature: BASE64URL_NOPAD
                .decode(signature.as_bytes())
                .map_err(|_| TokenError::Malformed)?,
        })
    }
}

impl Says {
    /// Core, 3.1.3.7, 3 to 5.
    fn check_audience(&self, client: &str) -> Result<(), TokenError> {
        let named = match &self.aud {
            Audience::One(one) => one == client,
            Audience::Many(many) => many.iter().any(|one| one == client),
        };
        let several = matches!(&self.aud, Audience::Many(many) if many.len() > 1);
        let authorized = match &self.azp {
            Some(azp) => azp == client,
            None => !several,
        };
        match named && authorized {
            true => Ok(()),
            false => Err(TokenError::Audience),
        }
    }

    fn check_time(&self, now: UnixMillis) -> Result<(), TokenError> {
        let (Seconds(expires), Seconds(issued)) = (self.exp, self.iat);
        if now >= expires.saturating_add(CLOCK_SKEW_MILLIS) {
            return Err(TokenError::Expired { expires, now });
        }
        if now.saturating_add(CLOCK_SKEW_MILLIS) < issued {
            return Err(TokenError::FromFuture { issued, now });
        }
        Ok(())
    }

    fn address(&self) -> Result<Address, TokenError> {
        let address = self.email.as_deref().ok_or(TokenError::NoAddress)?;
        let address = address.parse().map_err(|_| TokenError::NoAddress)?;
        match self.email_verified {
            Some(true) => Ok(address),
            _ => Err(TokenError::Unverified(address)),
        }
    }
}

/// An issuer's public keys (a JWK set, RFC 7517), those that can be used.
#[derive(Clone)]
pub struct Jwks(Vec<Jwk>);

#[derive(Clone)]
struct Jwk {
    kid: Option<String>,
    key: Key,
}

#[derive(Clone)]
enum Key {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// Uncompressed: 4, x, y.
    P256([u8; 65]),
    Ed25519(PublicKey),
}

/// Why a key set can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JwksError {
    /// Too long.
    #[error("the issuer's key set is longer than {MAX_JWKS} bytes")]
    TooLong,
    /// No JSON, or not a key set.
    #[error("the issuer's key set is none")]
    Malformed,
    /// Too many.
    #[error("the issuer's key set has more than {MAX_JWKS_KEYS} keys")]
    TooMany,
    /// None that can be used.
    #[error(
        "the issuer's key set has no key for signatures by RS256 (2048 bits and more), ES256 or EdDSA"
    )]
    NoKeys,
}

impl Jwks {
    /// Reads a key set. Keys of kinds that aren't used here are left out, as are those that are for
    /// something else than signatures.
    ///
    /// # Errors
    /// It is too long, none, or has no key that can be used.
    pub fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        if bytes.len() > MAX_JWKS {
            return Err(JwksError::TooLong);
        }
        let set: Set = serde_json::from_slice(bytes).map_err(|_| JwksError::Malformed)?;
        if set.keys.len() > MAX_JWKS_KEYS {
            return Err(JwksError::TooMany);
        }
        let keys: Vec<Jwk> = set.keys.into_iter().filter_map(Jwk::read).collect();
        match keys.is_empty() {
            true => Err(JwksError::NoKeys),
            false => Ok(Self(keys)),
        }
    }

    /// Whether there is a key by this name.
    fn find(&self, kid: Option<&str>) -> Option<&Jwk> {
        match (kid, &self.0[..]) {
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
            // Only when there is no other may the token leave out which it is (Core, 10.1).
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwks({} keys)", self.0.len())
    }
}

impl Jwk {
    fn read(value: serde_json::Value) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields {
            kty: String,
            kid: Option<String>,
            #[serde(rename = "use")]
            use_: Option<String>,
            alg: Option<String>,
            crv: Option<String>,
            n: Option<String>,
            e: Option<String>,
            x: Option<String>,
            y: Option<String>,
        }
        let fields: Fields = serde_json::from_value(value).ok()?;
        let bytes = |text: Option<String>| BASE64URL_NOPAD.decode(text?.as_bytes()).ok();
        let coordinate = |text| <[u8; 32]>::try_from(bytes(text)?).ok();
        let key = match (fields.kty.as_str(), fields.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (bytes(fields.n)?, bytes(fields.e)?);
                // RFC 7518, 3.3: 2048 bits and more. `ring` refuses the others when it verifies.
                if !(256..=1024).contains(&n.len()) || e.len() > 4 {
                    return None;
                }
                Key::Rsa { n, e }
            }
            ("EC", Some("P-256")) => {
                let mut point = [4; 65];
                point[1..33].copy_from_slice(&coordinate(fields.x)?);
                point[33..].copy_from_slice(&coordinate(fields.y)?);
                Key::P256(point)
            }
            ("OKP", Some("Ed25519")) => {
                Key::Ed25519(PublicKey::from_bytes(&coordinate(fields.x)?).ok()?)
            }
            _ => return None,
        };
        let signs = fields.use_.is_none_or(|use_| use_ == "sig");
        let same = fields.alg.is_none_or(|alg| alg == key.alg());
        let named = fields.kid.as_ref().is_none_or(|kid| kid.len() <= MAX_TEXT);
        (signs && same && named).then_some(Self {
            kid: fields.kid,
            key,
        })
    }

    fn verify(&self, token: &Token<'_>) -> Result<(), TokenError> {
        if token.alg != self.key.alg() {
            return Err(TokenError::Algorithm(shown(&token.alg)));
        }
        let (message, signature) = (token.signed.as_bytes(), &token.signature[..]);
        let verdict = match &self.key {
            Key::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Key::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Key::Ed25519(key) => {
                UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(message, signature)
            }
        };
        verdict.map_err(|_| TokenError::Signature)
    }
}

impl Key {
    const fn alg(&self) -> &'static str {
        match self {
            Key::Rsa { .. } => "RS256",
            Key::P256(_) => "ES256",
            Key::Ed25519(_) => "EdDSA",
        }
    }
}

#[cfg(test)]
mod tests;
