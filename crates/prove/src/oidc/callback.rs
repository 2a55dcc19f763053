//! Where the browser comes back to: one port of this machine, for one answer.

use std::io;

use pillion_people::Issuer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Duration, timeout},
};
use url::Url;

use super::OidcError;
use crate::http::plain;

/// Longest request that is read, in bytes, and how long it may take.
const MAX_REQUEST: usize = 16 * 1024;
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// Longest code.
const MAX_CODE: usize = 4096;

/// An open port on which an authorization response is awaited.
pub(super) struct Waiting {
    listener: TcpListener,
    port: u16,
    state: String,
    issuer: Issuer,
}

/// What a request to the port is.
enum Request {
    /// The answer to our question.
    Code(String),
    /// The issuer's no.
    Declined(String),
    /// Something else: a browser's favicon, a stranger's guess.
    Other,
}

impl Waiting {
    pub(super) async fn open(state: String, issuer: Issuer) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self {
            listener,
            port,
            state,
            issuer,
        })
    }

    pub(super) fn redirect(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    /// Waits for the code. What doesn't carry our state is answered and forgotten.
    pub(super) async fn code(self) -> Result<String, OidcError> {
        loop {
            let (mut stream, _) = self.listener.accept().await.map_err(OidcError::Port)?;
            let Ok(Ok(request)) = timeout(REQUEST_TIME, self.read(&mut stream)).await else {
                continue;
            };
            let (status, text) = match &request {
                Request::Code(_) => ("200 OK", "You are signed in. You can close this page."),
                Request::Declined(_) => ("200 OK", "You are not signed in. The terminal says why."),
                Request::Other => ("404 Not Found", "There is nothing here."),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Length: {}\r\nConnection: close\r\nReferrer-Policy: no-referrer\r\n\
                 Content-Security-Policy: default-src 'none'\r\n\r\n{text}",
                text.len()
            );
            let _ = timeout(REQUEST_TIME, stream.write_all(answer.as_bytes())).await;
            let _ = timeout(REQUEST_TIME, stream.shutdown()).await;
            match request {
                Request::Code(code) => return Ok(code),
                Request::Declined(why) => {
                    let issuer = self.issuer.clone();
                    return Err(OidcError::Declined { issuer, why });
                }
                Request::Other => {}
            }
        }
    }

    async fn read(&self, stream: &mut TcpStream) -> io::Result<Request> {
        let mut head = Vec::new();
        let mut piece = [0; 2048];
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            let len = stream.read(&mut piece).await?;
            if len == 0 || head.len() + len > MAX_REQUEST {
                return Ok(Request::Other);
            }
            head.extend_from_slice(&piece[..len]);
        }
        let text = String::from_utf8_lossy(&head);
        let line = text.lines().next().unwrap_or_default();
        let mut words = line.split(' ');
        let (method, target) = (words.next(), words.next().unwrap_or_default());
        match method {
            Some("GET") => Ok(self.understand(target)),
            _ => Ok(Request::Other),
        }
    }

    fn understand(&self, target: &str) -> Request {
        let Ok(url) = Url::parse(&format!("http://127.0.0.1{target}")) else {
            return Request::Other;
        };
        // A parameter that comes twice is none (RFC 6749, 3.1).
        let value = |name: &str| {
            let mut values = url.query_pairs().filter(|(key, _)| key == name);
            match (values.next(), values.next()) {
                (Some((_, value)), None) => Some(value.into_owned()),
                _ => None,
            }
        };
        if url.path() != "/callback" || value("state").as_deref() != Some(self.state.as_str()) {
            return Request::Other;
        }
        // RFC 9207: a mix-up of issuers is noticed where they say who they are.
        if value("iss").is_some_and(|iss| iss != self.issuer.as_str()) {
            return Request::Declined("the answer came from another issuer".to_owned());
        }
        if let Some(error) = value("error") {
            let more = value("error_description").unwrap_or_default();
            let text = format!("{} {}", plain(&error, 60), plain(&more, 200));
            return Request::Declined(text.trim().to_owned());
        }
        match value("code").filter(|code| (1..=MAX_CODE).contains(&code.len())) {
            Some(code) => Request::Code(code),
            None => Request::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waiting() -> Waiting {
        let issuer = "https://issuer.example".parse().unwrap();
        Waiting::open("good".to_owned(), issuer).await.unwrap()
    }

    #[tokio::test]
    async fn only_an_answer_with_our_state_is_heard() {
        let waiting = waiting().await;
        let heard = |target: &str| match waiting.understand(target) {
            Request::Code(code) => code,
            Request::Declined(why) => format!("declined: {why}"),
            Request::Other => String::new(),
        };
        assert_eq!(heard("/callback?state=good&code=c%201"), "c 1");
        assert_eq!(
            heard("/callback?code=c&state=good&iss=https%3A%2F%2Fissuer.example"),
            "c"
        );
        for target in [
            "/callback?state=bad&code=c",
            "/callback?code=c",
            "/callback?state=good&state=good&code=c",
            "/callback?state=good&code=c&code=d",
            "/callback?state=good&code=",
            "/callback?state=good",
            "/other?state=good&code=c",
            "//evil.example/callback?state=good&code=c",
            "",
        ] {
            assert_eq!(heard(target), "", "{target}");
        }
        assert_eq!(
            heard("/callback?state=good&error=access_denied&error_description=no%1b%5B2J"),
            "declined: access_denied no[2J"
        );
        assert_eq!(
            heard("/callback?state=good&code=c&iss=https://evil.example"),
            "declined: the answer came from another issuer"
        );
    }

    #[tokio::test]
    async fn strangers_are_answered_and_the_right_one_is_waited_for() {
        let waiting = waiting().await;
        let port = waiting.port;
        let code = tokio::spawn(waiting.code());
        let ask = async |text: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer).await;
            answer
        };
        for request in [
            "",
            "\r\n\r\n",
            "GET /favicon.ico HTTP/1.1\r\n\r\n",
            "POST /callback?state=good&code=c HTTP/1.1\r\n\r\n",
            "GET /callback?state=good&code=c",
        ] {
            assert!(ask(request).await.contains("404"), "{request:?}");
        }
        let answer = ask("GET /callback?state=good&code=yes HTTP/1.1\r\n\r\n").await;
        assert!(answer.contains("You are signed in"), "{answer}");
        assert_eq!(code.await.unwrap().unwrap(), "yes");
    }
}
