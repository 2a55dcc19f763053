//! `/v1/mail`: mailboxes for spoken codes.
//!
//! A code is a small number, which names a mailbox, and words, which never come here. Through the
//! mailbox two strangers exchange a few messages of a PAKE, which tells anybody who reads along nothing
//! of the words. So nothing needs to be hidden, only bounded: messages are written once, small, few,
//! and gone after ten minutes. They are kept in memory alone; a restart of the service burns the
//! codes of the moment.
//!
//! ```text
//! POST   /v1/mail                           "N TOKEN": a free number, and what removes it
//! PUT    /v1/mail/N/host|guest/0..=3        204, or 409 if something is there
//! GET    /v1/mail/N/host|guest/0..=3?wait=S 200, or 204 if nothing came within S seconds
//! DELETE /v1/mail/N                         with `Authorization: Bearer TOKEN`
//! ```

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    extract::{Extension, Path, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use crate::{
    http::{App, Asker, Refusal, body, octets},
    metrics::ShareMetrics,
    places::Use,
    share::{Limits, Lineage, Network, Shares, Verdict},
};

/// Longest message, in bytes.
pub(crate) const MAX_MESSAGE: usize = 512;

/// How long a mailbox lasts.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Most messages from one side.
const MAX_SEQ: u8 = 3;

/// Most mailboxes at a time: with everything in them, under 50 MB.
const BOXES: Limits = Limits {
    all: 10_000,
    address: 16,
    site: 32,
    network: 64,
};

/// Longest wait for a message, in seconds.
pub(crate) const MAX_WAIT: u64 = 25;

const NO_BOX: Refusal =
    Refusal::NotFound("there is no mailbox with this number: its code was used, or has expired");

/// All mailboxes.
pub(crate) struct Mail(Mutex<Boxes>);

struct Boxes {
    all: HashMap<u32, Mailbox>,
    shares: Shares,
    metrics: ShareMetrics,
}

struct Mailbox {
    owner: Lineage,
    /// SHA-256 of the token.
    token: [u8; 32],
    until: Instant,
    messages: HashMap<Slot, Bytes>,
    came: Arc<Notify>,
}

/// Which message: whose, and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Slot {
    host: bool,
    seq: u8,
}

impl Mail {
    pub(crate) fn new(metrics: ShareMetrics) -> Mail {
        Mail(Mutex::new(Boxes {
            all: HashMap::new(),
            shares: Shares::new(BOXES),
            metrics,
        }))
    }

    /// Forgets what has expired; returns how many are left.
    pub(crate) fn sweep(&self, now: Instant) -> usize {
        let mut boxes = self.lock();
        boxes.forget_expired(now);
        boxes.all.len()
    }

    fn lock(&self) -> MutexGuard<'_, Boxes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free number, as short as may be, and the token that goes with it.
    fn allocate(&self, owner: &Lineage, now: Instant) -> Result<(u32, String), Refusal> {
        let mut boxes = self.lock();
        let boxes = &mut *boxes;
        boxes.forget_expired(now);
        match boxes.shares.ask(owner) {
            Verdict::Room => {}
            Verdict::GivesWay(network) => boxes.remove_oldest_of(network),
            Verdict::Full(full) => {
                boxes.metrics.refused.inc();
                return Err(boxes.refusal(full, now));
            }
        }
        let unknown = |_| Refusal::Store(crate::store::StoreError::Unavailable);
        let mut number = None;
        // Half-empty ranges only, so that a few throws find a free one.
        let mut end = 10;
        while number.is_none() {
            for _ in 0..8 {
                let throw = 1 + getrandom::u32().map_err(unknown)? % (end - 1);
                if !boxes.all.contains_key(&throw) {
                    number = Some(throw);
                    break;
                }
            }
            end *= 10;
        }
        let number = number.unwrap_or(end);
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(unknown)?;
        let token = BASE64URL_NOPAD.encode(&token);
        let mailbox = Mailbox {
            owner: *owner,
            token: Sha256::digest(&token).into(),
            until: now + LIFETIME,
            messages: HashMap::new(),
            came: Arc::default(),
        };
        boxes.shares.add(owner.own());
        boxes.all.insert(number, mailbox);
        Ok((number, token))
    }

    fn leave(&self, number: u32, slot: Slot, message: Bytes, now: Instant) -> Result<(), Refusal> {
        let mut boxes = self.lock();
        let mailbox = boxes.all.get_mut(&number).filter(|at| at.until > now);
        let mailbox = mailbox.ok_or(NO_BOX)?;
        if mailbox.messages.contains_key(&slot) {
            let text = "a message is there already, and is not replaced: ask for a new code";
            return Err(Refusal::Conflict(text));
        }
        mailbox.messages.insert(slot, message);
        mailbox.came.notify_waiters();
        Ok(())
    }

    /// The message, if it is there, and what tells of the next.
    fn look(
        &self,
        number: u32,
        slot: Slot,
        now: Instant,
    ) -> Result<(Option<Bytes>, Arc<Notify>), Refusal> {
        let boxes = self.lock();
        let mailbox = boxes.all.get(&number).filter(|at| at.until > now);
        let mailbox = mailbox.ok_or(NO_BOX)?;
        Ok((mailbox.messages.get(&slot).cloned(), mailbox.came.clone()))
    }

    fn remove(&self, number: u32, token: &str) -> Result<(), Refusal> {
        let mut boxes = self.lock();
        let mailbox = boxes.all.get(&number).ok_or(NO_BOX)?;
        // Hashes are compared, so the time it takes says nothing of the token.
        if mailbox.token != <[u8; 32]>::from(Sha256::digest(token)) {
            return Err(Refusal::Forbidden("this is not the mailbox's token"));
        }
        boxes.remove(number);
        Ok(())
    }
}

impl Boxes {
    fn forget_expired(&mut self, now: Instant) {
        let shares = &mut self.shares;
        self.all.retain(|_, mailbox| {
            let lives = mailbox.until > now;
            if !lives {
                shares.remove(mailbox.owner.own());
            }
            lives
        });
    }

    /// Those who wait at it learn that it is gone.
    fn remove(&mut self, number: u32) {
        if let Some(mailbox) = self.all.remove(&number) {
            self.shares.remove(mailbox.owner.own());
            mailbox.came.notify_waiters();
        }
    }

    /// Its code is the one most likely to have been used.
    fn remove_oldest_of(&mut self, own: Network) {
        let theirs = self.all.iter().filter(|(_, at)| at.owner.own() == own);
        let oldest = theirs.min_by_key(|(_, at)| at.until);
        if let Some(number) = oldest.map(|(number, _)| *number) {
            self.remove(number);
            self.metrics.gave_way.inc();
        }
    }

    /// Why there is no mailbox, and when there will be one.
    fn refusal(&self, full: Network, now: Instant) -> Refusal {
        let inside = self.all.values().filter(|at| at.owner.contains(&full));
        let next = inside.map(|at| at.until).min();
        let wait = next.map_or(LIFETIME, |next| next.saturating_duration_since(now));
        Refusal::NoRoom {
            what: "mailboxes for codes",
            full,
            seconds: wait.as_secs() + 1,
        }
    }
}

pub(crate) async fn allocate(
    State(app): State<Arc<App>>,
    Extension(Asker(owner)): Extension<Asker>,
) -> Result<Response, Refusal> {
    let (number, token) = app.mail.allocate(&owner, Instant::now())?;
    let headers = [(header::CACHE_CONTROL, "no-store")];
    Ok((headers, format!("{number} {token}\n")).into_response())
}

pub(crate) async fn leave(
    State(app): State<Arc<App>>,
    Path((number, side, seq)): Path<(String, String, String)>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let slot = slot(&side, &seq)?;
    let message = body(sent, MAX_MESSAGE)?;
    if message.is_empty() {
        let text = "a message has at least one byte".to_owned();
        return Err(Refusal::Unacceptable(text));
    }
    app.mail
        .leave(parse(&number)?, slot, message, Instant::now())?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn fetch(
    State(app): State<Arc<App>>,
    Path((number, side, seq)): Path<(String, String, String)>,
    Extension(Asker(from)): Extension<Asker>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let (number, slot) = (parse(&number)?, slot(&side, &seq)?);
    let wait = wait(uri.query())?;
    let end = tokio::time::Instant::now() + wait;
    let mut closing = app.closing.clone();
    // Who has no place to wait, or has to give it up, is told at once that nothing came, and asks again.
    let mut place = match wait.is_zero() {
        true => None,
        false => app.waits.take(&from, Use::Busy, Instant::now()).ok(),
    };
    loop {
        let (_, came) = app.mail.look(number, slot, Instant::now())?;
        // Waits from before the look, so that nothing comes in between unseen.
        let came = came.notified_owned();
        let mut came = std::pin::pin!(came);
        came.as_mut().enable();
        if let (Some(message), _) = app.mail.look(number, slot, Instant::now())? {
            return Ok(octets(message));
        }
        let more = match &mut place {
            None => false,
            Some(place) => tokio::select! {
                () = came => true,
                () = tokio::time::sleep_until(end) => false,
                () = place.lost() => false,
                _ = closing.wait_for(|closing| *closing) => false,
            },
        };
        if !more {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
}

pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Path(number): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let token = headers.get(header::AUTHORIZATION);
    let token = token.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let none =
        Refusal::Forbidden("removing a mailbox takes its token: Authorization: Bearer TOKEN");
    app.mail.remove(parse(&number)?, token.ok_or(none)?)?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(number: &str) -> Result<u32, Refusal> {
    let wrong = || Refusal::Unacceptable("a mailbox's number is a small number".to_owned());
    number.parse().map_err(|_| wrong())
}

fn slot(side: &str, seq: &str) -> Result<Slot, Refusal> {
    let host = match side {
        "host" => true,
        "guest" => false,
        _ => {
            let text = "a side is \"host\" or \"guest\"".to_owned();
            return Err(Refusal::Unacceptable(text));
        }
    };
    match seq.parse() {
        Ok(seq @ 0..=MAX_SEQ) => Ok(Slot { host, seq }),
        _ => {
            let text = format!("messages are numbered 0 to {MAX_SEQ}");
            Err(Refusal::Unacceptable(text))
        }
    }
}

fn wait(query: Option<&str>) -> Result<Duration, Refusal> {
    let Some(query) = query else {
        return Ok(Duration::ZERO);
    };
    match query.strip_prefix("wait=").map(str::parse::<u64>) {
        Some(Ok(seconds)) => Ok(Duration::from_secs(seconds.min(MAX_WAIT))),
        _ => {
            let text = "the query is wait=SECONDS".to_owned();
            Err(Refusal::Unacceptable(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot = Slot { host: true, seq: 0 };

    fn at(address: &str) -> Lineage {
        Lineage::of(address.parse().unwrap())
    }

    fn v4(n: u32) -> Lineage {
        Lineage::of(std::net::IpAddr::V4(n.into()))
    }

    #[test]
    fn numbers_stay_short_and_are_never_shared() {
        let mail = Mail::new(ShareMetrics::default());
        let now = Instant::now();
        let mut seen = std::collections::HashSet::new();
        for n in 0..2000u32 {
            let (number, _) = mail.allocate(&v4(n), now).unwrap();
            assert!(seen.insert(number), "{number} twice");
        }
        assert!(seen.iter().all(|number| *number < 100_000));
        assert!(seen.iter().any(|number| *number < 10));
    }

    #[test]
    fn one_address_has_a_few_at_a_time_and_hears_when_to_come_again() {
        let mail = Mail::new(ShareMetrics::default());
        let start = Instant::now();
        let here = at("127.0.0.1");
        for n in 0..16 {
            let now = start + Duration::from_secs(n);
            mail.allocate(&here, now).unwrap();
        }
        let refused = mail.allocate(&here, start + Duration::from_secs(100));
        let Err(Refusal::NoRoom { full, seconds, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((full, seconds), (here.own(), LIFETIME.as_secs() - 100 + 1));
        assert!(mail.allocate(&at("10.0.0.1"), start).is_ok());
        assert!(mail.allocate(&here, start + LIFETIME).is_ok());
    }

    #[test]
    fn a_48_has_a_few_and_each_56_in_it_its_part() {
        let mail = Mail::new(ShareMetrics::default());
        let now = Instant::now();
        let hostile = |n: u32| at(&format!("2001:db8:1:{n:x}::1"));
        for n in 0..4096 {
            let _ = mail.allocate(&hostile(n), now);
        }
        assert_eq!(mail.sweep(now), 64);
        // A neighbour with a /56 of their own, and somebody elsewhere.
        assert!(mail.allocate(&at("2001:db8:1:ff00::1"), now).is_ok());
        assert!(mail.allocate(&at("2001:db8:2::1"), now).is_ok());
    }

    #[test]
    fn all_of_them_are_bounded_and_a_newcomer_gets_one_of_whoever_has_most() {
        let mail = Mail::new(ShareMetrics::default());
        let start = Instant::now();
        for n in 0..625u32 {
            for _ in 0..16 {
                mail.allocate(&v4(n), start).unwrap();
            }
        }
        let later = start + Duration::from_secs(1);
        for n in 1000..1016u32 {
            mail.allocate(&v4(n), later).unwrap();
        }
        assert_eq!(mail.sweep(later), 10_000);
        assert_eq!(mail.sweep(start + LIFETIME), 16);
        assert_eq!(mail.lock().shares.held(&Network::ALL), 16);
    }

    #[test]
    fn a_mailbox_expires() {
        let mail = Mail::new(ShareMetrics::default());
        let now = Instant::now();
        let (number, _) = mail.allocate(&at("127.0.0.1"), now).unwrap();
        mail.leave(number, SLOT, Bytes::from_static(b"x"), now)
            .unwrap();
        assert!(mail.look(number, SLOT, now).unwrap().0.is_some());
        let after = now + LIFETIME;
        assert!(mail.look(number, SLOT, after).is_err());
        assert!(mail.leave(number, SLOT, Bytes::new(), after).is_err());
    }
}
