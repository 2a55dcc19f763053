//! A client's secret, for issuers that give one even to programs people install.
//!
//! It is no secret of the person's, and proves nothing to a host: everybody who has it can only begin to sign in
//! as this client. PKCE protects the code with it as without.

use std::{fmt, path::Path};

use data_encoding::BASE64;
use reqwest::header::HeaderValue;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::{Client, OidcError};
use crate::private;

/// Longest secret, in bytes.
const MAX_SECRET: usize = 1024;

/// What an issuer gave a client beside its name. Neither shown nor logged.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// Reads a file of its owner's (0600) with the secret on its only line.
    ///
    /// # Errors
    /// There is none, it is open to others, or it isn't one line of 1 to 1024 printable ASCII characters.
    pub fn load(path: &Path) -> Result<Self, OidcError> {
        let wrong = |why| OidcError::Secret {
            path: path.to_owned(),
            why,
        };
        let bytes = private::read(path, MAX_SECRET as u64 + 2)?;
        let bytes = bytes.ok_or_else(|| wrong("is not there"))?;
        let text = str::from_utf8(&bytes).unwrap_or_default();
        let text = text.trim_end_matches(['\r', '\n']);
        let fits = (1..=MAX_SECRET).contains(&text.len());
        let plain = text
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic());
        match fits && plain {
            true => Ok(Self(Zeroizing::new(text.to_owned()))),
            false => Err(wrong(
                "is not one line of 1 to 1024 printable characters, as the issuer gave it",
            )),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

/// How a client says who it is where tokens are given out (OpenID Connect Core, 9).
pub(super) enum Auth {
    /// By its name alone: `none`.
    Public,
    /// In a header: `client_secret_basic`.
    Basic(HeaderValue),
    /// Among the form's fields: `client_secret_post`.
    Post(ClientSecret),
}

impl Auth {
    /// The way that this issuer takes. `methods` is what its metadata says of the token endpoint; without
    /// it, that is `client_secret_basic` (OpenID Connect Discovery, 3).
    pub(super) fn choose(client: &Client, methods: Option<&[String]>) -> Result<Self, OidcError> {
        let Some(secret) = &client.secret else {
            return Ok(Auth::Public);
        };
        let takes = |wanted: &str| match methods {
            Some(methods) => methods.iter().any(|method| method == wanted),
            None => wanted == "client_secret_basic",
        };
        if takes("client_secret_basic") {
            Ok(Auth::Basic(basic(&client.id, secret)))
        } else if takes("client_secret_post") {
            Ok(Auth::Post(secret.clone()))
        } else {
            Err(OidcError::Issuer {
                issuer: client.issuer.clone(),
                why: "it takes a client's secret neither as client_secret_basic nor as client_secret_post",
            })
        }
    }
}

/// `Basic`, with both parts encoded as in a form first (RFC 6749, 2.3.1).
fn basic(id: &str, secret: &ClientSecret) -> HeaderValue {
    let encoded = |text: &str| -> Zeroizing<String> {
        Zeroizing::new(byte_serialize(text.as_bytes()).collect())
    };
    let pair = Zeroizing::new(format!("{}:{}", *encoded(id), *encoded(&secret.0)));
    let text = Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text).expect("base64 is what a header may hold");
    value.set_sensitive(true);
    value
}
