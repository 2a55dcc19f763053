//! A link service that is not to be trusted: it keeps what it is given, writes down everything it
//! sees, and hands out what a test tells it to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    response::Response,
};
use tokio::sync::{Notify, oneshot};

/// What it does with what is asked for.
#[derive(Debug, Clone)]
pub enum Tamper {
    /// Nothing: it only looks.
    Nothing,
    /// It says that it has nothing.
    Withhold,
    /// It hands out the newest record of another link.
    Swap,
    /// It flips this bit of a record.
    Flip(usize),
    /// It hands out the first record it was ever given.
    Replay,
    /// It answers with a web page.
    Page,
    /// It sends elsewhere.
    Redirect,
    /// It leaves this as the guest's guess in every mailbox as soon as the host's offer is there.
    Guess(fn(&[u8]) -> Vec<u8>),
    /// It hands out this in place of the host's message of that number.
    Host(u8, Vec<u8>),
}

/// One, listening on loopback. Ended with the test.
pub struct Untrusted {
    shared: Arc<Shared>,
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    state: Mutex<Inner>,
    mail: Notify,
}

struct Inner {
    tamper: Tamper,
    /// Every record of each link, in order.
    links: HashMap<String, Vec<Bytes>>,
    mail: HashMap<String, Bytes>,
    mailboxes: u32,
    /// Everything seen: request lines, headers, bodies.
    seen: Vec<u8>,
    /// Times a link was asked for.
    resolved: usize,
}

impl Untrusted {
    pub fn start() -> Untrusted {
        Untrusted::on(std::net::TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// One on this socket.
    pub fn on(listener: std::net::TcpListener) -> Untrusted {
        let shared = Arc::new(Shared {
            state: Mutex::new(Inner {
                tamper: Tamper::Nothing,
                links: HashMap::new(),
                mail: HashMap::new(),
                mailboxes: 0,
                seen: Vec::new(),
                resolved: 0,
            }),
            mail: Notify::new(),
        });
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let app = Router::new().fallback(answer).with_state(served);
                tokio::select! {
                    ended = axum::serve(listener, app) => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Untrusted {
            shared,
            addr,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn tamper(&self, tamper: Tamper) {
        self.shared.lock().tamper = tamper;
    }

    /// Whether anything it saw contains this.
    pub fn saw(&self, secret: &[u8]) -> bool {
        assert!(secret.len() >= 4, "too short to look for: {secret:?}");
        let inner = self.shared.lock();
        inner
            .seen
            .windows(secret.len())
            .any(|bytes| bytes == secret)
    }

    /// Keeps a record that the test made.
    pub fn put(&self, id: &str, record: &[u8]) {
        let record = Bytes::copy_from_slice(record);
        let mut inner = self.shared.lock();
        inner.links.entry(id.to_owned()).or_default().push(record);
    }

    /// Times it was asked for a link.
    pub fn resolved(&self) -> usize {
        self.shared.lock().resolved
    }

    /// The newest record of a link, by its id.
    pub fn newest(&self, id: &str) -> Option<Bytes> {
        self.shared.lock().links.get(id)?.last().cloned()
    }
}

impl Drop for Untrusted {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    {
        let mut inner = shared.lock();
        let headers: Vec<String> = head
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value:?}\n"))
            .collect();
        let line = format!("{} {}\n{}", head.method, head.uri, headers.concat());
        inner.seen.extend_from_slice(line.as_bytes());
        inner.seen.extend_from_slice(&body);
    }
    let path = head.uri.path().to_owned();
    let (code, body) = if let Some(id) = path.strip_prefix("/v1/links/") {
        shared.lock().link(&head.method, id, body)
    } else if path == "/v1/mail" {
        let mut inner = shared.lock();
        inner.mailboxes += 1;
        let text = format!("{} a-token-of-the-service", inner.mailboxes);
        (200, text.into())
    } else if let Some(slot) = path.strip_prefix("/v1/mail/") {
        mail(&shared, &head.method, slot, head.uri.query(), body).await
    } else {
        (404, Bytes::new())
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    if code == 302 {
        let elsewhere = "http://127.0.0.1:1/".parse().unwrap();
        response.headers_mut().insert("location", elsewhere);
    }
    response
}

impl Inner {
    fn link(&mut self, method: &Method, id: &str, body: Bytes) -> (u16, Bytes) {
        if method != Method::GET {
            self.links.entry(id.to_owned()).or_default().push(body);
            return (204, Bytes::new());
        }
        self.resolved += 1;
        let Some(records) = self.links.get(id) else {
            return (404, Bytes::new());
        };
        let newest = records.last().cloned().unwrap_or_default();
        match &self.tamper {
            Tamper::Withhold => (404, Bytes::new()),
            Tamper::Swap => {
                let other = self.links.iter().find(|(other, _)| *other != id);
                (200, other.unwrap().1.last().unwrap().clone())
            }
            Tamper::Flip(bit) => {
                let mut bytes = newest.to_vec();
                let bit = bit % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                (200, bytes.into())
            }
            Tamper::Replay => (200, records[0].clone()),
            Tamper::Page => (200, "<!doctype html><p>Hello</p>".into()),
            Tamper::Redirect => (302, Bytes::new()),
            _ => (200, newest),
        }
    }
}

async fn mail(
    shared: &Shared,
    method: &Method,
    slot: &str,
    query: Option<&str>,
    body: Bytes,
) -> (u16, Bytes) {
    if method == Method::PUT {
        let mut inner = shared.lock();
        if let (Tamper::Guess(guess), Some(number)) = (&inner.tamper, slot.strip_suffix("/host/0"))
        {
            let guess = guess(&body);
            inner.mail.insert(format!("{number}/guest/0"), guess.into());
        }
        let free = !inner.mail.contains_key(slot);
        if free {
            inner.mail.insert(slot.to_owned(), body);
            shared.mail.notify_waiters();
        }
        return (if free { 204 } else { 409 }, Bytes::new());
    }
    if method == Method::DELETE {
        return (204, Bytes::new());
    }
    let wait: u64 = query
        .and_then(|query| query.strip_prefix("wait=")?.parse().ok())
        .unwrap_or(0);
    let end = tokio::time::Instant::now() + Duration::from_secs(wait);
    loop {
        let left = shared.mail.notified();
        {
            let inner = shared.lock();
            if let Tamper::Host(seq, message) = &inner.tamper
                && slot.ends_with(&format!("/host/{seq}"))
            {
                return (200, message.clone().into());
            }
            if let Some(message) = inner.mail.get(slot) {
                return (200, message.clone());
            }
        }
        if tokio::time::timeout_at(end, left).await.is_err() {
            return (404, Bytes::new());
        }
    }
}
