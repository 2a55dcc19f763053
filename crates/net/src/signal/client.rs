//! HTTP to the service: one request each, bounded in time and size.

use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use pillion_proto::{LinkError, LinkId, LinkKey, LinkUrl, link::MAX_LINK_RECORD};
use reqwest::{
    Client, Method, RequestBuilder, StatusCode,
    header::{HeaderValue, RETRY_AFTER},
    redirect,
};
use thiserror::Error;
use tokio::time::Instant;

use crate::{
    relay::{RelayCa, tls_config},
    words::clean,
};

/// Longest wait for a connection to the service, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for an answer, beyond what a request asks the service to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time a service is waited for when it says when to come again. One that says longer is believed
/// that much.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// What a person who waits for one answer is made to wait for a service that is busy, in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest body read, in bytes. Nothing the service sends is longer; more of it is not read.
const MAX_BODY: usize = MAX_LINK_RECORD;

/// Where a service is: `https://signal.example`, possibly with a path.
#[derive(Clone, PartialEq, Eq)]
pub struct SignalUrl(String);

impl FromStr for SignalUrl {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        // A link's own rules: what is taken here is what a link can say.
        let link = LinkUrl::new(
            text.trim(),
            LinkId::from_bytes([0; 32]),
            LinkKey::from_bytes([0; 16]),
        )?;
        Ok(SignalUrl(link.service().to_owned()))
    }
}

impl fmt::Display for SignalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SignalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalUrl({})", self.0)
    }
}

/// A service, and whom to trust for its certificate. Cheap to clone; connects when it is first asked.
#[derive(Debug, Clone)]
pub struct SignalService {
    /// Where it is.
    pub url: SignalUrl,
    /// Authorities to trust beside the public ones.
    pub ca: Option<RelayCa>,
}

/// Why the service did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignalError {
    /// No answer.
    #[error("the link service {service} cannot be reached ({reason})")]
    Unreachable {
        /// Which.
        service: String,
        /// Why, in few words.
        reason: String,
    },
    /// It says no, and why.
    #[error("the link service {service} refuses ({reason})")]
    Refused {
        /// Which.
        service: String,
        /// Its words, fit to be shown.
        reason: String,
    },
    /// It has something newer, or it is taken.
    #[error("the link service {service} has something newer there")]
    Conflict {
        /// Which.
        service: String,
    },
    /// There is nothing there.
    #[error("the link service {service} has nothing there")]
    NotFound {
        /// Which.
        service: String,
    },
    /// It has too much to do, or no room.
    #[error("the link service {service} is busy or full ({reason}); try again {}", when(*.retry_after))]
    Busy {
        /// Which.
        service: String,
        /// Its words, fit to be shown.
        reason: String,
        /// When it says that it helps to come again.
        retry_after: Option<Duration>,
    },
    /// Not what the service should answer.
    #[error("what answers at {service} is not a link service, or a broken one ({reason})")]
    NotOurs {
        /// Which.
        service: String,
        /// What was wrong.
        reason: String,
    },
}

impl SignalError {
    /// When the service says that it helps to come again, if it does.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            SignalError::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn when(retry_after: Option<Duration>) -> String {
    match retry_after.map(|wait| wait.as_secs()) {
        None => "in a moment".to_owned(),
        Some(seconds @ ..120) => format!("in {seconds} s"),
        Some(seconds) => format!("in {} minutes", seconds.div_ceil(60)),
    }
}

/// An HTTP client for one service.
#[derive(Clone)]
pub(crate) struct SignalClient {
    http: Client,
    service: SignalUrl,
}

impl SignalClient {
    pub(crate) fn new(service: &SignalService) -> Result<SignalClient, SignalError> {
        let fail = |reason: String| SignalError::Unreachable {
            service: service.url.to_string(),
            reason,
        };
        let tls = tls_config(service.ca.as_ref()).map_err(|e| fail(e.to_string()))?;
        let http = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("pillion/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| fail(root(&e)))?;
        Ok(SignalClient {
            http,
            service: service.url.clone(),
        })
    }

    /// As [`ask_once`](Self::ask_once), for a person who waits: a service that is busy for moments is asked
    /// again when it says so.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &[u8],
        token: Option<&str>,
        wait: Duration,
    ) -> Result<Bytes, SignalError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let asked = self.ask_once(method.clone(), path, body, token, wait).await;
            let again = asked.as_ref().err().and_then(SignalError::retry_after);
            match again.map(|wait| Instant::now() + wait) {
                Some(again) if again <= give_up => tokio::time::sleep_until(again).await,
                _ => return asked,
            }
        }
    }

    /// Asks for `path`. `wait` is how long the service was asked to wait.
    pub(crate) async fn ask_once(
        &self,
        method: Method,
        path: &str,
        body: &[u8],
        token: Option<&str>,
        wait: Duration,
    ) -> Result<Bytes, SignalError> {
        let request = self
            .http
            .request(method, format!("{}{path}", self.service))
            .timeout(ANSWER_TIMEOUT + wait);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let request = match body {
            [] => request,
            body => request
                .header("content-type", "application/octet-stream")
                .body(body.to_vec()),
        };
        self.send(request).await
    }

    pub(crate) fn service(&self) -> String {
        self.service.to_string()
    }

    async fn send(&self, request: RequestBuilder) -> Result<Bytes, SignalError> {
        let service = self.service();
        let unreachable = |error: reqwest::Error| SignalError::Unreachable {
            service: self.service(),
            reason: root(&error),
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(seconds);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_BODY {
                let reason = format!("it answers with more than {MAX_BODY} bytes");
                return Err(SignalError::NotOurs { service, reason });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(body.into());
        }
        let words = clean(&body);
        let reason = match words.is_empty() {
            true => format!("status {}", status.as_u16()),
            false => words,
        };
        Err(match status {
            StatusCode::NOT_FOUND => SignalError::NotFound { service },
            StatusCode::CONFLICT => SignalError::Conflict { service },
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                SignalError::Busy {
                    service,
                    // Said again with the error, in one form for all services.
                    reason: without_wait(&reason),
                    retry_after,
                }
            }
            status if status.is_redirection() => SignalError::NotOurs {
                service,
                reason: format!("it sends elsewhere, status {}", status.as_u16()),
            },
            _ => SignalError::Refused { service, reason },
        })
    }
}

/// Retry-After in seconds, bounded; in the form of a date it is not understood.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

/// A reason without when to come again.
fn without_wait(reason: &str) -> String {
    let (reason, _) = reason
        .rsplit_once(": try again in ")
        .unwrap_or((reason, ""));
    reason.to_owned()
}

/// The innermost cause, in the library's words; never the URL, which an error's own text has.
fn root(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    clean(cause.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_an_address_without_a_secret_in_it() {
        let url: SignalUrl = " https://Signal.example/ ".parse().unwrap();
        assert_eq!(url.to_string(), "https://signal.example");
        for wrong in [
            "",
            "signal.example",
            "ftp://a",
            "https://me:pw@a",
            "https://a/?b",
            "https://a/#c",
        ] {
            let error = wrong.parse::<SignalUrl>().unwrap_err();
            assert!(error.to_string().contains("looks like https://"), "{wrong}");
        }
    }

    /// A service that gives these answers, each on a connection of its own, and the moments it was asked.
    async fn scripted(
        answers: Vec<String>,
    ) -> (SignalClient, tokio::task::JoinHandle<Vec<Instant>>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = SignalService {
            url: url.parse().unwrap(),
            ca: None,
        };
        let serving = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await.unwrap();
                asked.push(Instant::now());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        (SignalClient::new(&service).unwrap(), serving)
    }

    fn answer(status: &str, header: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\n{header}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    }

    #[tokio::test]
    async fn a_busy_service_is_asked_again_when_it_says_so() {
        let busy = answer(
            "503 x",
            "retry-after: 1\r\n",
            "your address has as many: try again in 1 s\n",
        );
        let (client, serving) = scripted(vec![busy, answer("200 OK", "", "here")]).await;
        let asked = client.ask(Method::GET, "/x", &[], None, Duration::ZERO);
        assert_eq!(asked.await.unwrap().as_ref(), b"here");
        let asked = serving.await.unwrap();
        assert!(asked[1] - asked[0] >= Duration::from_secs(1), "{asked:?}");
    }

    #[tokio::test]
    async fn one_that_is_busy_for_longer_is_said_with_the_time() {
        for (header, wait, said) in [
            ("retry-after: 60\r\n", Some(60), "try again in 60 s"),
            ("retry-after: 301\r\n", Some(301), "try again in 6 minutes"),
            (
                "retry-after: 99999999999\r\n",
                Some(900),
                "try again in 15 minutes",
            ),
            (
                "retry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n",
                None,
                "try again in a moment",
            ),
            ("", None, "try again in a moment"),
        ] {
            let full = answer("507 x", header, "no room: try again in 7 s\n");
            let (client, serving) = scripted(vec![full]).await;
            let asked = client.ask(Method::GET, "/x", &[], None, Duration::ZERO);
            let error = asked.await.unwrap_err();
            assert_eq!(error.retry_after(), wait.map(Duration::from_secs));
            let text = error.to_string();
            assert!(text.contains("(no room)") && text.ends_with(said), "{text}");
            serving.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_service_that_is_down_is_named_and_the_path_is_not() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let service = SignalService {
            url: format!("http://127.0.0.1:{port}").parse().unwrap(),
            ca: None,
        };
        let client = SignalClient::new(&service).unwrap();
        let asked = client.ask(Method::GET, "/v1/links/secret", &[], None, Duration::ZERO);
        let said = asked.await.unwrap_err().to_string();
        assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
        assert!(said.contains("cannot be reached"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}
