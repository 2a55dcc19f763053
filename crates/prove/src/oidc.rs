//! OpenID Connect: signing in (authorization code with PKCE on a loopback redirect, RFC 8252), and an
//! issuer's keys.
//!
//! ```text
//! viewer ──discovery──▶ issuer
//!        ──browser──▶ authorization endpoint ──redirect──▶ 127.0.0.1:port ──code──▶ viewer
//!        ──code, verifier──▶ token endpoint ──ID token──▶ verified as the host will ──▶ claim
//! host   ──discovery──▶ issuer ──key set──▶ Trust
//! ```
//! The ID token's nonce is made of the identity key ([`pillion_people::nonce`]), so the token is worth
//! nothing to who sees it.

mod callback;
mod device;
mod secret;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use pillion_caps::{PublicKey, UnixMillis};
use pillion_people::{
    Claim, ClaimError, EmailClaim, Issuer, Jwks, JwksError, MAX_CLAIM, MAX_JWKS, SALT_BYTES, Trust,
    TrustedIssuer, Who, nonce, verify,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::{
    http::{Http, HttpError, allowed},
    private::{self, PrivateError},
};

use secret::Auth;
pub use secret::ClientSecret;

/// Longest discovery document and token answer, in bytes.
const MAX_DOCUMENT: usize = 64 * 1024;

/// How long a person may take to sign in.
const SIGN_IN_TIME: Duration = Duration::from_secs(5 * 60);

/// How long fetched keys are good, and how soon they may be asked for again: a token that names a key
/// that isn't known makes a host ask, and anybody can make such tokens.
const KEYS_LIFE: Duration = Duration::from_secs(60 * 60);
const KEYS_PAUSE: Duration = Duration::from_secs(60);

/// An issuer, and the client we are to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The issuer.
    pub issuer: Issuer,
    /// The client's name there.
    pub id: String,
    /// What the issuer gave it beside its name: only to sign in, and only if it asks for it.
    pub secret: Option<ClientSecret>,
}

/// Why signing in, or fetching keys, did not work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OidcError {
    /// The network.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The discovery document.
    #[error("{issuer} is no OpenID Connect issuer that can be used: {why}")]
    Issuer {
        /// Which.
        issuer: Issuer,
        /// Why.
        why: &'static str,
    },
    /// The key set.
    #[error("{issuer}: {why}")]
    Keys {
        /// Whose.
        issuer: Issuer,
        /// Why.
        why: JwksError,
    },
    /// The issuer or the person said no.
    #[error("{issuer} did not sign you in: {why}")]
    Declined {
        /// Which.
        issuer: Issuer,
        /// In its words.
        why: String,
    },
    /// The answer to the code.
    #[error(
        "{0} gave no ID token: the client (oidc_client_id) may not be allowed the scope openid"
    )]
    NoToken(Issuer),
    /// No nonce in a device's token.
    #[error(
        "{0} doesn't put the nonce into a device's ID token, so it can't be bound to your key: sign \
         in with a browser, without --device"
    )]
    NoNonce(Issuer),
    /// A token the host wouldn't believe.
    #[error("the issuer's answer does not hold: {0}")]
    Claim(#[from] ClaimError),
    /// Too late.
    #[error("nobody signed in within {} minutes: try again", SIGN_IN_TIME.as_secs() / 60)]
    Late,
    /// The file with the client's secret.
    #[error("the file with the client's secret (oidc_client_secret_file), {}, {why}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No port.
    #[error("no port of this machine could be opened for the browser to come back to: {0}")]
    Port(std::io::Error),
    /// No randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The cache.
    #[error("{0}")]
    File(#[from] PrivateError),
}

/// What of a discovery document matters (OpenID Connect Discovery, 3).
#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    device_authorization_endpoint: Option<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    claims_parameter_supported: bool,
}

impl Discovery {
    async fn fetch(http: &Http, issuer: &Issuer) -> Result<Self, OidcError> {
        let wrong = |why| OidcError::Issuer {
            issuer: issuer.clone(),
            why,
        };
        let base = issuer.as_str().trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        let bytes = http.get(&url, MAX_DOCUMENT).await?;
        let found: Self = serde_json::from_slice(&bytes)
            .map_err(|_| wrong("its discovery document is none (oidc_issuer may be wrong)"))?;
        if found.issuer != issuer.as_str() {
            return Err(wrong(
                "its discovery document is another issuer's; oidc_issuer must be written exactly so",
            ));
        }
        let device = found.device_authorization_endpoint.as_deref();
        let endpoints = [
            &found.authorization_endpoint,
            &found.token_endpoint,
            &found.jwks_uri,
        ];
        let endpoints = endpoints.map(String::as_str).into_iter().chain(device);
        // Only an issuer on this machine may have endpoints without TLS.
        let secure = |url: &str| match url.starts_with("https://") {
            true => allowed(url).is_ok(),
            false => issuer.as_str().starts_with("http://") && allowed(url).is_ok(),
        };
        let endpoints: Vec<&str> = endpoints.collect();
        if !endpoints.into_iter().all(secure) {
            return Err(wrong("it names endpoints that are not https://"));
        }
        let methods = found.code_challenge_methods_supported.as_ref();
        if methods.is_some_and(|all| !all.iter().any(|method| method == "S256")) {
            return Err(wrong("it doesn't know PKCE with S256"));
        }
        Ok(found)
    }

    async fn keys(&self, http: &Http, issuer: &Issuer) -> Result<Jwks, OidcError> {
        let bytes = http.get(&self.jwks_uri, MAX_JWKS).await?;
        Jwks::parse(&bytes).map_err(|why| OidcError::Keys {
            issuer: issuer.clone(),
            why,
        })
    }
}

/// What the ID token should say, beside who signed in: many issuers tell the address only so.
const CLAIMS: &str =
    r#"{"id_token":{"email":{"essential":true},"email_verified":{"essential":true}}}"#;

/// What one sign-in is made of, and bound to.
struct Attempt<'a> {
    http: Http,
    client: &'a Client,
    found: Discovery,
    auth: Auth,
    identity: &'a PublicKey,
    salt: [u8; SALT_BYTES],
}

impl<'a> Attempt<'a> {
    async fn new(client: &'a Client, identity: &'a PublicKey) -> Result<Self, OidcError> {
        let http = Http::new()?;
        let found = Discovery::fetch(&http, &client.issuer).await?;
        let methods = found.token_endpoint_auth_methods_supported.as_deref();
        let auth = Auth::choose(client, methods)?;
        let salt = random()?;
        Ok(Self {
            http,
            client,
            found,
            auth,
            identity,
            salt,
        })
    }

    /// Posts a form as the client (RFC 6749, 2.3.1, and RFC 8628, 3.1).
    async fn post(&self, endpoint: &str, form: &[(&str, &str)]) -> Result<Vec<u8>, HttpError> {
        let mut form = form.to_vec();
        let authorization = match &self.auth {
            Auth::Public => None,
            Auth::Basic(value) => Some(value.clone()),
            Auth::Post(secret) => {
                form.push(("client_secret", secret.as_str()));
                None
            }
        };
        self.http
            .post(endpoint, &form, authorization, MAX_DOCUMENT)
            .await
    }

    /// What both flows ask for.
    fn wishes(&self) -> Vec<(&'static str, String)> {
        let mut wishes = vec![
            ("client_id", self.client.id.clone()),
            ("scope", "openid email".to_owned()),
            ("nonce", nonce(self.identity, &self.salt)),
        ];
        if self.found.claims_parameter_supported {
            wishes.push(("claims", CLAIMS.to_owned()));
        }
        wishes
    }

    /// Takes the token endpoint's answer, and checks it as the host will.
    async fn claim(&self, answer: &[u8], now: UnixMillis) -> Result<(Claim, Who), OidcError> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: Option<String>,
        }
        let none = || OidcError::NoToken(self.client.issuer.clone());
        let tokens: Tokens = serde_json::from_slice(answer).map_err(|_| none())?;
        let claim = Claim::Email(EmailClaim {
            salt: self.salt,
            token: tokens.id_token.ok_or_else(none)?,
        });
        let issuer = self.client.issuer.clone();
        let keys = self.found.keys(&self.http, &issuer).await?;
        let trust = Trust {
            issuers: vec![TrustedIssuer {
                issuer,
                client_id: self.client.id.clone(),
                keys: Some(keys),
            }],
            removals: Vec::new(),
        };
        // An ID token is for every session.
        let session = self.identity;
        let who = verify(&claim.to_bytes(), self.identity, session, now, &trust)?;
        Ok((claim, who))
    }
}

/// Signs in with a browser. `show` is given the address to open there: it opens it, or tells it.
///
/// # Errors
/// See [`OidcError`].
pub async fn sign_in(
    client: &Client,
    identity: &PublicKey,
    now: impl Fn() -> UnixMillis,
    show: impl FnOnce(&str),
) -> Result<(Claim, Who), OidcError> {
    let attempt = Attempt::new(client, identity).await?;
    let state = BASE64URL_NOPAD.encode(&random::<16>()?);
    let verifier = BASE64URL_NOPAD.encode(&random::<32>()?);
    let waiting = callback::Waiting::open(state.clone(), client.issuer.clone())
        .await
        .map_err(OidcError::Port)?;
    let redirect = waiting.redirect();
    let mut url: Url = allowed(&attempt.found.authorization_endpoint)?;
    url.query_pairs_mut()
        .extend_pairs(attempt.wishes())
        .append_pair("response_type", "code")
        .append_pair("redirect_uri", &redirect)
        .append_pair("state", &state)
        .append_pair("code_challenge_method", "S256")
        .append_pair(
            "code_challenge",
            &BASE64URL_NOPAD.encode(&Sha256::digest(&verifier)),
        );
    show(url.as_str());
    let code = match timeout(SIGN_IN_TIME, waiting.code()).await {
        Ok(code) => code?,
        Err(_) => return Err(OidcError::Late),
    };
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &client.id),
        ("code", &code),
        ("redirect_uri", &redirect),
        ("code_verifier", &verifier),
    ];
    let token_endpoint = &attempt.found.token_endpoint;
    let answer = attempt.post(token_endpoint, &form).await?;
    attempt.claim(&answer, now()).await
}

/// Signs in on another device, where this one has no browser (RFC 8628). `show` is given the address
/// to open there and the code to type. Only for issuers that put the nonce into the token.
///
/// # Errors
/// See [`OidcError`].
pub async fn sign_in_elsewhere(
    client: &Client,
    identity: &PublicKey,
    now: impl Fn() -> UnixMillis,
    show: impl FnOnce(&str, &str),
) -> Result<(Claim, Who), OidcError> {
    let attempt = Attempt::new(client, identity).await?;
    let answer = match timeout(SIGN_IN_TIME, device::tokens(&attempt, show)).await {
        Ok(answer) => answer?,
        Err(_) => return Err(OidcError::Late),
    };
    use pillion_people::TokenError::Nonce;
    attempt
        .claim(&answer, now())
        .await
        .map_err(|error| match error {
            OidcError::Claim(ClaimError::Token(Nonce)) => OidcError::NoNonce(client.issuer.clone()),
            error => error,
        })
}

fn random<const N: usize>() -> Result<[u8; N], OidcError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(OidcError::Random)?;
    Ok(bytes)
}

/// An ID token as it is kept until it ends, so that one signs in once.
#[derive(Serialize, Deserialize)]
struct Kept {
    issuer: Issuer,
    client_id: String,
    identity: PublicKey,
    salt: String,
    token: String,
    who: Who,
    expires_unix_ms: u64,
}

/// How long before its end a kept token is no longer used, in milliseconds.
const SPARE_MILLIS: u64 = 2 * 60 * 1000;

/// Keeps a claim in a file of its owner's, until its token ends.
///
/// # Errors
/// The file can't be written.
pub fn keep(
    file: &Path,
    client: &Client,
    identity: &PublicKey,
    claim: &Claim,
    who: &Who,
) -> Result<(), OidcError> {
    let Claim::Email(claim) = claim else {
        return Ok(());
    };
    let kept = Kept {
        issuer: client.issuer.clone(),
        client_id: client.id.clone(),
        identity: *identity,
        salt: HEXLOWER.encode(&claim.salt),
        token: claim.token.clone(),
        who: who.clone(),
        expires_unix_ms: claim.expires().map_or(0, |at| at.0),
    };
    let text = serde_json::to_vec(&kept).unwrap_or_default(); // strings and numbers always encode
    Ok(private::write(file, &text)?)
}

/// The claim that was kept, if it is this client's and this identity's and still good for a while.
///
/// # Errors
/// The file is open to others, or can't be read. One that makes no sense is as good as none.
pub fn kept(
    file: &Path,
    client: &Client,
    identity: &PublicKey,
    now: UnixMillis,
) -> Result<Option<(Claim, Who)>, OidcError> {
    let Some(text) = private::read(file, 4 * MAX_CLAIM as u64)? else {
        return Ok(None);
    };
    let Ok(kept) = serde_json::from_slice::<Kept>(&text) else {
        return Ok(None);
    };
    let ours = kept.issuer == client.issuer
        && kept.client_id == client.id
        && kept.identity == *identity
        && now.0.saturating_add(SPARE_MILLIS) < kept.expires_unix_ms;
    let salt = HEXLOWER.decode(kept.salt.as_bytes()).ok();
    let salt = salt.and_then(|salt| salt.try_into().ok());
    Ok(salt.filter(|_| ours).map(|salt| {
        let token = kept.token;
        (Claim::Email(EmailClaim { salt, token }), kept.who)
    }))
}

/// The issuer a host trusts, and its keys as they were fetched last.
#[derive(Debug)]
pub struct Issuers {
    client: Client,
    fetched: Option<(Instant, Jwks)>,
    tried: Option<Instant>,
}

impl Issuers {
    /// Nothing is fetched yet.
    pub const fn new(client: Client) -> Self {
        Self {
            client,
            fetched: None,
            tried: None,
        }
    }

    /// What to tell the session.
    pub fn trusted(&self) -> TrustedIssuer {
        TrustedIssuer {
            issuer: self.client.issuer.clone(),
            client_id: self.client.id.clone(),
            keys: self.fetched.as_ref().map(|(_, keys)| keys.clone()),
        }
    }

    /// Forgets the keys if they are older than an hour: the issuer may have withdrawn them since.
    pub fn forget_stale(&mut self) {
        if self.is_stale() {
            self.fetched = None;
        }
    }

    /// Fetches the keys, because a token names one that isn't known. Asked again within a minute it
    /// does nothing: a key that wasn't there then is not there now.
    ///
    /// # Errors
    /// The issuer is down, or what it says makes no sense. The keys of an hour before stay good.
    pub async fn refresh(&mut self) -> Result<(), OidcError> {
        let now = Instant::now();
        if self.tried.is_some_and(|tried| now < tried + KEYS_PAUSE) {
            return Ok(());
        }
        self.tried = Some(now);
        self.forget_stale();
        let http = Http::new()?;
        let found = Discovery::fetch(&http, &self.client.issuer).await?;
        let keys = found.keys(&http, &self.client.issuer).await?;
        self.fetched = Some((now, keys));
        Ok(())
    }

    /// When the keys will be an hour old; `None` if there are none.
    pub fn stale_at(&self) -> Option<Instant> {
        self.fetched.as_ref().map(|(at, _)| *at + KEYS_LIFE)
    }

    /// Whether the keys are older than an hour, or were never fetched.
    pub fn is_stale(&self) -> bool {
        self.stale_at().is_none_or(|at| Instant::now() >= at)
    }
}
