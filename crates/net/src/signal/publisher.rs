//! Keeps a session's link published while it is shared.
//!
//! On a thread of its own with a runtime of its own: a slow service, a TLS handshake, a record to
//! sign are never between a key and its echo. The session says what is shared now
//! ([`LinkPublisher::share`]), and hears in words when something is worth telling ([`LinkPublisher::news`]).

use std::{
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pillion_proto::{LinkRecord, LinkSecret, RecordError, Ticket, Times};
use reqwest::Method;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    client::{SignalClient, SignalError, SignalService},
    mailbox,
    schedule::RefreshSchedule,
};
use crate::{error::NetError, identity::random_bytes};

/// Addresses come in bursts while an endpoint starts; so long is waited for the next.
const SETTLE: Duration = Duration::from_millis(200);

/// How long saying that a link has ended may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What is shared now.
#[derive(Clone)]
pub struct Shared {
    /// The link's secret; another one when the ticket was replaced.
    pub secret: LinkSecret,
    /// The ticket the link and its codes lead to.
    pub ticket: Ticket,
    /// The session's key.
    pub session: [u8; 32],
    /// Publish the link; without, only codes are answered.
    pub publish: bool,
    /// Secret of the record that lets the session's token count at the service's relay, if it is
    /// wanted ([`LinkSecret::for_relay`]).
    pub relay: Option<LinkSecret>,
}

impl Shared {
    fn link_record(&self) -> Option<Wanted> {
        self.publish.then(|| Wanted {
            secret: self.secret.clone(),
            ticket: Some(self.ticket.clone()),
        })
    }

    fn relay_record(&self) -> Option<Wanted> {
        Some(Wanted {
            secret: self.relay.clone()?,
            ticket: None,
        })
    }
}

/// A record to be kept.
struct Wanted {
    secret: LinkSecret,
    /// What it carries: nothing if it only has to be there.
    ticket: Option<Ticket>,
}

/// What the host's person should hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublisherEvent {
    /// The record is at the service: the link works from now on. Told once for each link.
    Published,
    /// Somebody gave the right code. Told before they have the ticket, so before they can come.
    CodeUsed {
        /// The code's number.
        number: u32,
        /// The endpoint id they come with.
        guest: [u8; 32],
    },
    /// A sentence.
    Said(String),
}

/// Where news go.
#[derive(Clone)]
pub(super) struct EventSender(mpsc::UnboundedSender<PublisherEvent>);

impl EventSender {
    pub(super) fn tell(&self, news: PublisherEvent) {
        // Nobody listens any more when the session ends.
        let _ = self.0.send(news);
    }
}

/// Keeps one session's link. Dropped, it says that the link has ended; [`end`](Self::end) waits for
/// that.
pub struct LinkPublisher {
    shared: watch::Sender<Option<Shared>>,
    codes: mpsc::Sender<Reply>,
    news: mpsc::UnboundedReceiver<PublisherEvent>,
    ended: oneshot::Receiver<()>,
    _thread: JoinHandle<()>,
}

type Reply = oneshot::Sender<Result<String, String>>;

impl LinkPublisher {
    /// Starts the thread. Asks nothing of the network.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(service: SignalService) -> Result<LinkPublisher, NetError> {
        LinkPublisher::start_with(service, RefreshSchedule::default())
    }

    /// The same at a pace of the caller's.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start_with(
        service: SignalService,
        pace: RefreshSchedule,
    ) -> Result<LinkPublisher, NetError> {
        let (shared, shared_now) = watch::channel(None);
        let (codes, codes_asked) = mpsc::channel(4);
        let (told, news) = mpsc::unbounded_channel();
        let (done, ended) = oneshot::channel();
        let fail = |reason: String| NetError::Start { reason };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| fail(e.to_string()))?;
        let thread = std::thread::Builder::new()
            .name("links".to_owned())
            .spawn(move || {
                runtime.block_on(run(
                    service,
                    pace,
                    shared_now,
                    codes_asked,
                    EventSender(told),
                ));
                runtime.shutdown_background();
                let _ = done.send(());
            })
            .map_err(|e| fail(e.to_string()))?;
        Ok(LinkPublisher {
            shared,
            codes,
            news,
            ended,
            _thread: thread,
        })
    }

    /// What is shared from now on; `None`: nothing any more.
    pub fn share(&self, shared: Option<Shared>) {
        self.shared.send_replace(shared);
    }

    /// The next thing worth telling. Loses nothing when dropped before it is ready.
    pub async fn news(&mut self) -> PublisherEvent {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// Asks for a spoken code for what is shared; it comes, or why not, when the service has answered.
    pub fn code(&self) -> oneshot::Receiver<Result<String, String>> {
        let (reply, code) = oneshot::channel();
        if let Err(error) = self.codes.try_send(reply) {
            let why = "the link service still works on earlier codes: try again in a moment";
            let (mpsc::error::TrySendError::Full(reply) | mpsc::error::TrySendError::Closed(reply)) =
                error;
            let _ = reply.send(Err(why.to_owned()));
        }
        code
    }

    /// Ends sharing, and waits until the service knows or does not answer, a second at most.
    pub async fn end(self) {
        let LinkPublisher { shared, ended, .. } = self;
        drop(shared);
        let _ = tokio::time::timeout(FAREWELL, ended).await;
    }
}

async fn run(
    service: SignalService,
    pace: RefreshSchedule,
    mut shared: watch::Receiver<Option<Shared>>,
    mut codes: mpsc::Receiver<Reply>,
    news: EventSender,
) {
    let client = match SignalClient::new(&service) {
        Ok(client) => client,
        Err(error) => return news.tell(PublisherEvent::Said(trouble(&error.to_string()))),
    };
    let mut link = Published::new(Purpose::Link, client.clone(), pace, news.clone());
    let mut relay = Published::new(Purpose::Relay, client.clone(), pace, news.clone());
    let mut offers = JoinSet::new();
    let mut wake = Instant::now();
    loop {
        tokio::select! {
            changed = shared.changed() => {
                if changed.is_err() {
                    break;
                }
                // The first record, and a link's end, wait for nothing.
                let known = {
                    let now = shared.borrow();
                    let (for_link, for_relay) = wanted(now.as_ref());
                    link.is_of(for_link.as_ref()) && relay.is_of(for_relay.as_ref())
                };
                let settle = if known { SETTLE } else { Duration::ZERO };
                wake = wake.min(Instant::now() + settle);
            }
            Some(reply) = codes.recv() => {
                offers.spawn(mailbox::offer(client.clone(), pace, shared.clone(), reply, news.clone()));
            }
            () = tokio::time::sleep_until(wake) => {
                let (for_link, for_relay) = wanted(shared.borrow_and_update().as_ref());
                let (link, relay) = tokio::join!(link.update(for_link), relay.update(for_relay));
                wake = Instant::now() + link.min(relay);
            }
        }
        while offers.try_join_next().is_some() {}
    }
    let farewell = async {
        tokio::join!(link.update(None), relay.update(None), offers.join_all());
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// The records that are to be kept: the link's, and the one for the relay.
fn wanted(shared: Option<&Shared>) -> (Option<Wanted>, Option<Wanted>) {
    (
        shared.and_then(Shared::link_record),
        shared.and_then(Shared::relay_record),
    )
}

/// What a record is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Link,
    Relay,
}

impl Purpose {
    fn trouble(self, error: &str) -> String {
        match self {
            Purpose::Link => trouble(error),
            Purpose::Relay => {
                format!("the relay may not let this session in yet: {error}; it is tried again")
            }
        }
    }

    fn well_again(self) -> &'static str {
        match self {
            Purpose::Link => "the link service has this session's link again",
            Purpose::Relay => "the relay lets this session in again",
        }
    }
}

/// One record as the service has it.
struct Published {
    purpose: Purpose,
    client: SignalClient,
    pace: RefreshSchedule,
    news: EventSender,
    live: Option<Live>,
    /// Links that have ended and the service does not know of it yet.
    retired: Vec<Live>,
    failures: u32,
    /// The service said that it helps to come again then, whatever else happens before.
    not_before: Option<Instant>,
}

/// What is said about a record's link.
#[derive(Clone, Copy)]
enum Record<'a> {
    /// It is live, and this is what it carries.
    Live(Option<&'a Ticket>),
    Ended,
}

struct Live {
    secret: LinkSecret,
    /// The newest number the service may have.
    seq: u64,
    told: bool,
}

impl Published {
    fn new(
        purpose: Purpose,
        client: SignalClient,
        pace: RefreshSchedule,
        news: EventSender,
    ) -> Published {
        Published {
            purpose,
            client,
            pace,
            news,
            live: None,
            retired: Vec::new(),
            failures: 0,
            not_before: None,
        }
    }

    /// Whether what is published is the link of this.
    fn is_of(&self, wanted: Option<&Wanted>) -> bool {
        match (&self.live, wanted) {
            (Some(live), Some(wanted)) => live.secret.id() == wanted.secret.id(),
            (None, None) => true,
            _ => false,
        }
    }

    /// Brings the service up to date; when to come again.
    async fn update(&mut self, wanted: Option<Wanted>) -> Duration {
        if !self.is_of(wanted.as_ref()) {
            self.retired.extend(self.live.take());
        }
        // A link that has ended is no use to anybody after ten minutes, with or without its end being
        // known: a few tries are enough.
        let mut failed = None;
        for mut old in std::mem::take(&mut self.retired) {
            if let Err(error) = self.send(&mut old, Record::Ended).await {
                failed = Some(error);
                self.retired.push(old);
            }
        }
        let wait = self
            .not_before
            .map(|then| then.saturating_duration_since(Instant::now()));
        let wait = wait.filter(|wait| !wait.is_zero() && wanted.is_some());
        if let Some(wanted) = wanted.as_ref().filter(|_| wait.is_none()) {
            let mut live = self.live.take().unwrap_or_else(|| Live {
                secret: wanted.secret.clone(),
                seq: 0,
                told: false,
            });
            let record = Record::Live(wanted.ticket.as_ref());
            match self.send(&mut live, record).await {
                Ok(()) => {
                    let told = std::mem::replace(&mut live.told, true);
                    if !told && self.purpose == Purpose::Link {
                        self.news.tell(PublisherEvent::Published);
                    }
                }
                Err(error) => failed = Some(error),
            }
            self.live = Some(live);
        }
        match wait {
            Some(wait) => wait,
            None => self.next(failed, wanted.is_some()),
        }
    }

    fn next(&mut self, failed: Option<SignalError>, shared: bool) -> Duration {
        match failed {
            None => {
                if std::mem::take(&mut self.failures) > 0 && shared {
                    let said = self.purpose.well_again().to_owned();
                    self.news.tell(PublisherEvent::Said(said));
                }
                jittered(self.pace.renew, self.pace.renew_spread)
            }
            Some(error) => {
                if self.failures == 0 && shared {
                    let said = self.purpose.trouble(&error.to_string());
                    self.news.tell(PublisherEvent::Said(said));
                }
                if self.failures >= 8 {
                    self.retired.clear();
                }
                let wait = self
                    .pace
                    .retry
                    .saturating_mul(1 << self.failures.min(6))
                    .min(self.pace.longest_retry);
                self.failures += 1;
                // A service that says when knows better.
                let wait = wait.max(error.retry_after().unwrap_or_default());
                let wait = jittered(wait, wait / 2);
                self.not_before = error.retry_after().map(|_| Instant::now() + wait);
                wait
            }
        }
    }

    /// Publishes a record, or its end.
    async fn send(&self, live: &mut Live, record: Record<'_>) -> Result<(), SignalError> {
        match self.send_once(live, record).await {
            Err(SignalError::Conflict { .. }) => {}
            done => return done,
        }
        // An earlier run of this session was ahead of our clock: go on from its record.
        let path = format!("/v1/links/{}", live.secret.id());
        let asked = self
            .client
            .ask_once(Method::GET, &path, &[], None, Duration::ZERO);
        if let Ok(bytes) = asked.await
            && let Ok(record) = LinkRecord::verify(&bytes, &live.secret.id(), unix_ms())
        {
            live.seq = live.seq.max(record.times().seq);
        }
        self.send_once(live, record).await
    }

    async fn send_once(&self, live: &mut Live, record: Record<'_>) -> Result<(), SignalError> {
        let times = Times::starting(unix_ms(), live.seq);
        live.seq = times.seq;
        let (method, record) = match record {
            Record::Live(ticket) => (Method::PUT, seal(&live.secret, times, ticket)?),
            Record::Ended => (Method::DELETE, LinkRecord::tombstone(&live.secret, times)),
        };
        let path = format!("/v1/links/{}", live.secret.id());
        let asked = self
            .client
            .ask_once(method, &path, record.as_bytes(), None, Duration::ZERO);
        asked.await.map(drop)
    }
}

/// Seals the ticket, with as many of its addresses as a record has room for; or nothing.
fn seal(
    secret: &LinkSecret,
    times: Times,
    ticket: Option<&Ticket>,
) -> Result<LinkRecord, SignalError> {
    let own = |reason: String| SignalError::Refused {
        service: "(not asked)".to_owned(),
        reason,
    };
    let mut ticket = ticket.cloned();
    loop {
        let nonce = random_bytes().map_err(|error| own(error.to_string()))?;
        let payload = ticket.as_ref().map(Ticket::to_bytes).unwrap_or_default();
        match (
            LinkRecord::seal(secret, times, &payload, nonce),
            &mut ticket,
        ) {
            (Err(RecordError::PayloadTooBig { .. }), Some(ticket))
                if !ticket.addr.addrs.is_empty() =>
            {
                ticket.addr.addrs.pop_last();
            }
            (Err(error), _) => return Err(own(error.to_string())),
            (Ok(record), _) => return Ok(record),
        }
    }
}

fn trouble(error: &str) -> String {
    format!("the link does not work yet, the ticket does: {error}; it is tried again")
}

fn jittered(base: Duration, spread: Duration) -> Duration {
    // Without randomness the spread is lost, not the renewal.
    let part = random_bytes().map_or(0, u16::from_le_bytes);
    base + spread * u32::from(part) / u32::from(u16::MAX)
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
