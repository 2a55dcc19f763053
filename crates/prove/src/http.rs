//! Fetching small things over HTTPS: bounded in size and time, and never led elsewhere.

use std::{error::Error as _, time::Duration};

use reqwest::{
    Client, Response, StatusCode,
    header::{self, HeaderMap, HeaderValue},
    redirect::Policy,
};
use thiserror::Error;
use url::Url;

/// How long a request may take, connecting included.
const TIME: Duration = Duration::from_secs(10);

/// How often a server may lead on to another page of its own.
const MAX_REDIRECTS: usize = 3;

/// Why something could not be fetched; says from whom.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Not a URL that is fetched.
    #[error("\"{0}\" is no https:// address")]
    Url(String),
    /// No answer.
    #[error("{host} could not be reached: {why}")]
    Unreachable {
        /// Whom.
        host: String,
        /// What the network says.
        why: String,
    },
    /// Too late an answer.
    #[error("{host} did not answer within {} seconds", TIME.as_secs())]
    Late {
        /// Who.
        host: String,
    },
    /// Not the answer.
    #[error("{host} answered {status}{}", said(.text))]
    Status {
        /// Who.
        host: String,
        /// The status, with its name.
        status: String,
        /// What it said in OAuth's form, if it did (RFC 6749, 5.2).
        text: String,
    },
    /// It leads to somebody else.
    #[error("{host} leads on to {to}, which is not followed: give the address itself")]
    Elsewhere {
        /// Who.
        host: String,
        /// Where to.
        to: String,
    },
    /// Too much.
    #[error("{host} sends more than the {max} bytes that are read")]
    TooLong {
        /// Who.
        host: String,
        /// The bound.
        max: usize,
    },
    /// TLS can't be had.
    #[error("HTTPS can't be used on this machine: {0}")]
    Tls(String),
}

impl HttpError {
    /// Whether the same may go better another time: the network, or a server that has trouble or is asked too often.
    pub fn may_pass(&self) -> bool {
        match self {
            HttpError::Unreachable { .. } | HttpError::Late { .. } => true,
            HttpError::Status { status, .. } => {
                status.starts_with('5') || status.starts_with("429") || status.starts_with("408")
            }
            HttpError::Url(_)
            | HttpError::Elsewhere { .. }
            | HttpError::TooLong { .. }
            | HttpError::Tls(_) => false,
        }
    }
}

fn said(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// A client for HTTPS, and for HTTP on this very machine.
#[derive(Debug, Clone)]
pub struct Http(Client);

impl Http {
    /// A client.
    ///
    /// # Errors
    /// [`HttpError::Tls`]: the system's certificates can't be read.
    pub fn new() -> Result<Self, HttpError> {
        // Ours is the only provider there is; who was first is all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .redirect(Policy::none())
            .timeout(TIME)
            .user_agent(concat!("pillion/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(|error| HttpError::Tls(reason(&error)))
    }

    /// Fetches at most `max` bytes. The same host may lead on to another page of its own.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn get(&self, url: &str, max: usize) -> Result<Vec<u8>, HttpError> {
        let mut url = allowed(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let host = host(&url);
            let answer = self.0.get(url.clone()).send().await;
            let answer = answer.map_err(|error| unreachable(&host, &error))?;
            if !answer.status().is_redirection() {
                return body(answer, &host, max).await;
            }
            let to = answer.headers().get(header::LOCATION);
            let to = to.and_then(|to| to.to_str().ok()).unwrap_or_default();
            let elsewhere = || HttpError::Elsewhere {
                host: host.clone(),
                to: plain(to, 100),
            };
            let next = url.join(to).map_err(|_| elsewhere())?;
            if next.origin() != url.origin() {
                return Err(elsewhere());
            }
            url = next;
        }
        Err(HttpError::Elsewhere {
            host: host(&url),
            to: "one page after the other".to_owned(),
        })
    }

    /// Posts a form, with an `Authorization` if there is one, and takes at most `max` bytes of answer.
    ///
    /// # Errors
    /// See [`HttpError`]; what an OAuth server says of its refusal is in [`HttpError::Status`].
    pub async fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<HeaderValue>,
        max: usize,
    ) -> Result<Vec<u8>, HttpError> {
        let url = allowed(url)?;
        let host = host(&url);
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let headers = authorization.map(|value| (header::AUTHORIZATION, value));
        let answer = self
            .0
            .post(url)
            .headers(HeaderMap::from_iter(headers))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(form)
            .send()
            .await
            .map_err(|error| unreachable(&host, &error))?;
        body(answer, &host, max).await
    }
}

impl Http {
    /// Posts JSON with these headers, and takes at most `max` bytes of answer.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn post_json(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &serde_json::Value,
        max: usize,
    ) -> Result<Vec<u8>, HttpError> {
        let url = allowed(url)?;
        let host = host(&url);
        let mut request = self
            .0
            .post(url)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body.to_string()).send().await;
        let answer = answer.map_err(|error| unreachable(&host, &error))?;
        self::body(answer, &host, max).await
    }
}

/// Reads a URL that may be fetched: HTTPS, or HTTP on this very machine.
pub(crate) fn allowed(text: &str) -> Result<Url, HttpError> {
    let refused = || HttpError::Url(plain(text, 100));
    let url: Url = text.parse().map_err(|_| refused())?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let bare = url.username().is_empty() && url.password().is_none();
    match (url.scheme(), here) {
        ("https", _) | ("http", true) if bare && url.has_host() => Ok(url),
        _ => Err(refused()),
    }
}

async fn body(mut answer: Response, host: &str, max: usize) -> Result<Vec<u8>, HttpError> {
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(piece) = answer
        .chunk()
        .await
        .map_err(|error| unreachable(host, &error))?
    {
        if bytes.len() + piece.len() > max {
            let host = host.to_owned();
            return Err(HttpError::TooLong { host, max });
        }
        bytes.extend_from_slice(&piece);
    }
    match status.is_success() {
        true => Ok(bytes),
        false => Err(refusal(host, status, &bytes)),
    }
}

fn refusal(host: &str, status: StatusCode, body: &[u8]) -> HttpError {
    #[derive(serde::Deserialize)]
    struct OAuth {
        error: String,
        error_description: Option<String>,
    }
    let text = match serde_json::from_slice::<OAuth>(body) {
        Ok(said) => match said.error_description {
            Some(more) => format!("{} ({})", plain(&said.error, 60), plain(&more, 200)),
            None => plain(&said.error, 60),
        },
        Err(_) => String::new(),
    };
    HttpError::Status {
        host: host.to_owned(),
        status: status.to_string(),
        text,
    }
}

fn unreachable(host: &str, error: &reqwest::Error) -> HttpError {
    let host = host.to_owned();
    match error.is_timeout() {
        true => HttpError::Late { host },
        false => HttpError::Unreachable {
            host,
            why: reason(error),
        },
    }
}

/// The innermost reason, which is the one that says something; without the URL, which may hold a code.
fn reason(error: &reqwest::Error) -> String {
    let mut inner = error.source();
    let mut text = None;
    while let Some(error) = inner {
        text = Some(error.to_string());
        inner = error.source();
    }
    plain(&text.unwrap_or_else(|| "no answer".to_owned()), 200)
}

/// A host as people name it: with its port where it isn't the usual one.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A text of others, fit to be shown: plain ASCII, cut.
pub(crate) fn plain(text: &str, max: usize) -> String {
    text.chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(max)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_fetched_but_on_this_machine() {
        for url in [
            "https://forge.example/anna.keys",
            "http://127.0.0.1:8080/x",
            "http://localhost/",
            "http://[::1]:1/",
        ] {
            assert!(allowed(url).is_ok(), "{url}");
        }
        for url in [
            "http://forge.example/anna.keys",
            "http://127.0.0.1.evil.example/",
            "https://user:password@forge.example/",
            "file:///etc/passwd",
            "forge.example",
            "",
        ] {
            assert!(matches!(allowed(url), Err(HttpError::Url(_))), "{url}");
        }
    }

    #[test]
    fn what_a_server_says_is_shown_plainly() {
        assert_eq!(plain("a\u{1b}[2Jb\nc", 10), "a[2Jbc");
        let body = br#"{"error":"invalid_grant","error_description":"grant request is invalid"}"#;
        let text = refusal("issuer.example", StatusCode::BAD_REQUEST, body).to_string();
        assert_eq!(
            text,
            "issuer.example answered 400 Bad Request: invalid_grant (grant request is invalid)"
        );
    }
}
