//! A real OpenID Connect provider, honest and lying (`tests/oidc`).

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Mutex,
};

use pillion_caps::{PublicKey, SecretKey, UnixMillis};
use pillion_people::{Claim, ClaimError, Trust, Who, verify};
use pillion_prove::oidc::{
    Client, ClientSecret, Issuers, OidcError, keep, kept, sign_in, sign_in_elsewhere,
};

/// A provider of its own, ended with the test.
struct Provider {
    process: Child,
    issuer: String,
    /// Kept open: it writes to it as it goes.
    _out: BufReader<ChildStdout>,
}

impl Provider {
    fn start(args: &[&str]) -> Provider {
        let mut process = Command::new("node")
            .arg(folder().join("provider.mjs"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Node.js is there");
        let mut issuer = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut issuer).unwrap();
        assert!(issuer.starts_with("http://"), "run tests/setup first");
        let issuer = issuer.trim().to_owned();
        Provider {
            process,
            issuer,
            _out: out,
        }
    }

    fn client(&self) -> Client {
        Client {
            issuer: self.issuer.parse().unwrap(),
            id: "pillion".to_owned(),
            secret: None,
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oidc")
}

/// Anybody who has the browser open signs in as `login`.
fn browser(login: &str, args: &[&str]) -> Child {
    Command::new("node")
        .arg(folder().join("browser.mjs"))
        .args(args)
        .env("LOGIN", login)
        .spawn()
        .unwrap()
}

fn identity() -> PublicKey {
    SecretKey::from_bytes(&[1; 32]).public()
}

fn now() -> UnixMillis {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    UnixMillis(since.as_millis() as u64)
}

async fn signed_in(client: &Client, login: &str) -> Result<(Claim, Who), OidcError> {
    let opened = Mutex::new(None);
    let result = sign_in(client, &identity(), now, |url| {
        *opened.lock().unwrap() = Some(browser(login, &[url]));
    })
    .await;
    if let Some(mut browser) = opened.into_inner().unwrap() {
        let _ = browser.wait();
    }
    result
}

/// The same on another device, as anna.
async fn signed_in_elsewhere(client: &Client) -> Result<(Claim, Who), OidcError> {
    let opened = Mutex::new(None);
    let result = sign_in_elsewhere(client, &identity(), now, |url, code| {
        *opened.lock().unwrap() = Some(browser("anna", &[url, code]));
    })
    .await;
    if let Some(mut browser) = opened.into_inner().unwrap() {
        let _ = browser.wait();
    }
    result
}

/// What a host that trusts this client makes of a claim, fetching keys when they are wanted.
async fn host(client: &Client, claim: &Claim, identity: &PublicKey) -> Result<Who, ClaimError> {
    let mut issuers = Issuers::new(client.clone());
    let bytes = claim.to_bytes();
    let check = |issuers: &Issuers| {
        let trust = Trust {
            issuers: vec![issuers.trusted()],
            removals: Vec::new(),
        };
        let session = SecretKey::from_bytes(&[2; 32]).public();
        verify(&bytes, identity, &session, now(), &trust)
    };
    match check(&issuers) {
        Err(ClaimError::KeysWanted { .. }) => {
            issuers.refresh().await.unwrap();
            check(&issuers)
        }
        other => other,
    }
}

#[tokio::test]
async fn an_address_is_proved_with_each_algorithm() {
    for alg in ["RS256", "ES256", "EdDSA"] {
        let provider = Provider::start(&[alg]);
        let client = provider.client();
        let (claim, who) = signed_in(&client, "Anna").await.unwrap();
        let expected = format!("anna@example.org via {}", provider.issuer);
        assert_eq!(who.to_string(), expected);
        assert_eq!(host(&client, &claim, &identity()).await, Ok(who));
        let eve = SecretKey::from_bytes(&[3; 32]).public();
        assert!(host(&client, &claim, &eve).await.is_err());
        let other = Client {
            id: "other".to_owned(),
            ..client
        };
        assert!(host(&other, &claim, &identity()).await.is_err());
    }
}

#[tokio::test]
async fn who_declines_or_has_no_verified_address_is_not_signed_in() {
    let provider = Provider::start(&["EdDSA"]);
    let client = provider.client();
    let text = signed_in(&client, "").await.unwrap_err().to_string();
    assert!(text.contains("access_denied"), "{text}");
    let text = signed_in(&client, "unverified")
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains("email_verified"), "{text}");
}

#[tokio::test]
async fn an_issuer_that_lies_is_found_out() {
    for (lie, word) in [
        ("key", "not signed by its issuer"),
        ("nonce", "another Pillion key"),
        ("audience", "another client"),
        ("expired", "expired at"),
        ("issuer", "another issuer's"),
        ("html", "discovery document is none"),
        ("big", "more than the"),
    ] {
        let provider = Provider::start(&["ES256", lie]);
        let text = signed_in(&provider.client(), "anna")
            .await
            .unwrap_err()
            .to_string();
        assert!(text.contains(word), "{lie}: {text}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_is_told_of_and_not_asked_again_at_once() {
    let provider = Provider::start(&["EdDSA"]);
    let client = provider.client();
    let (claim, _) = signed_in(&client, "anna").await.unwrap();
    drop(provider);
    let text = signed_in(&client, "anna").await.unwrap_err().to_string();
    assert!(text.contains("could not be reached"), "{text}");
    let mut issuers = Issuers::new(client.clone());
    assert!(issuers.refresh().await.is_err());
    assert!(issuers.refresh().await.is_ok(), "not asked within a minute");
    let trust = Trust {
        issuers: vec![issuers.trusted()],
        removals: Vec::new(),
    };
    let verdict = verify(&claim.to_bytes(), &identity(), &identity(), now(), &trust);
    assert!(matches!(verdict, Err(ClaimError::KeysWanted { .. })));
}

#[tokio::test]
async fn a_device_is_signed_in_elsewhere_where_its_token_has_the_nonce() {
    let (with, without) = (
        Provider::start(&["ES256", "devices"]),
        Provider::start(&["ES256"]),
    );
    let (client, other) = (with.client(), without.client());
    let (done, refused) = tokio::join!(signed_in_elsewhere(&client), signed_in_elsewhere(&other));
    let (claim, who) = done.unwrap();
    assert_eq!(host(&client, &claim, &identity()).await, Ok(who));
    let error = refused.unwrap_err();
    assert!(matches!(error, OidcError::NoNonce(_)), "{error}");
}

/// What the provider gives its client with "basic" and "post" (`provider.mjs`).
const SECRET: &str = "for: tests/only +100%";

#[tokio::test]
async fn a_client_with_a_secret_sends_it_as_the_issuers_metadata_says() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    let keep_secret = |text: &str| {
        pillion_prove::private::write(&file, text.as_bytes()).unwrap();
        ClientSecret::load(&file)
    };
    for method in ["basic", "post"] {
        let provider = Provider::start(&["ES256", method]);
        let with = |secret: &str| Client {
            secret: Some(keep_secret(secret).unwrap()),
            ..provider.client()
        };
        let client = with(&format!("{SECRET}\n"));
        let (claim, who) = signed_in(&client, "anna").await.unwrap();
        // A host needs none to believe it.
        let verdict = host(&provider.client(), &claim, &identity()).await;
        assert_eq!(verdict, Ok(who.clone()));
        assert_eq!(signed_in_elsewhere(&client).await.unwrap().1, who);
        for client in [with("another"), provider.client()] {
            let text = signed_in(&client, "anna").await.unwrap_err().to_string();
            assert!(text.contains("invalid_client"), "{method}: {text}");
            assert!(!text.contains("another"), "{text}");
        }
    }
    // Where the client has none, an issuer that knows no such way is named, not guessed at.
    let provider = Provider::start(&["ES256", "public"]);
    let client = Client {
        secret: Some(keep_secret(SECRET).unwrap()),
        ..provider.client()
    };
    let text = signed_in(&client, "anna").await.unwrap_err().to_string();
    assert!(text.contains("client_secret_basic"), "{text}");
}

#[test]
fn a_clients_secret_is_its_owners_alone_and_one_line() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    let said = |file: &Path| ClientSecret::load(file).unwrap_err().to_string();
    assert!(said(&file).contains("is not there"));
    for text in ["", "\n", "two\nlines", "\u{1b}[2J", &"x".repeat(1025)] {
        pillion_prove::private::write(&file, text.as_bytes()).unwrap();
        let said = said(&file);
        assert!(said.contains("one line"), "{text:?}: {said}");
        assert!(said.contains("oidc_client_secret_file"), "{said}");
    }
    pillion_prove::private::write(&file, SECRET.as_bytes()).unwrap();
    let secret = ClientSecret::load(&file).unwrap();
    assert!(!format!("{secret:?}").contains("tests"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(said(&file).contains("chmod 600"));
}

#[tokio::test]
async fn a_token_is_kept_for_its_owner_until_it_ends() {
    let provider = Provider::start(&["EdDSA"]);
    let client = provider.client();
    let (claim, who) = signed_in(&client, "anna").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    keep(&file, &client, &identity(), &claim, &who).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let found = |client: &Client, identity, now| kept(&file, client, &identity, now).unwrap();
    let (again, name) = found(&client, identity(), now()).unwrap();
    assert_eq!((again, name), (claim, who));
    let eve = SecretKey::from_bytes(&[3; 32]).public();
    assert!(found(&client, eve, now()).is_none());
    let later = now().saturating_add(60 * 60 * 1000);
    assert!(found(&client, identity(), later).is_none());
    let other = Client {
        id: "other".to_owned(),
        ..client.clone()
    };
    assert!(found(&other, identity(), now()).is_none());
    std::fs::write(&file, b"{").unwrap();
    assert!(found(&client, identity(), now()).is_none());
}
