//! `/v1/mail`: mailboxes for spoken codes.
//!
//! A code is a small number, which names a mailbox, and words, which never come here. Through the
//! mailbox two strangers exchange a few messages of a PAKE, which tells whoever reads along nothing
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
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    extract::{Path, Request, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use crate::{
    http::{App, Refusal, asker, body, octets},
    limit::neighbourhood,
};

/// Longest message, in bytes.
pub(crate) const MAX_MESSAGE: usize = 512;

/// How long a mailbox lasts.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Most messages from one side.
const MAX_SEQ: u8 = 3;

/// Most mailboxes at a time: with everything in them, under 50 MB.
const MAX_BOXES: usize = 10_000;

/// Most mailboxes at a time from one address.
const MAX_BOXES_EACH: usize = 16;

/// Longest wait for a message, in seconds.
const MAX_WAIT: u64 = 25;

const NO_BOX: Refusal =
    Refusal::NotFound("there is no mailbox with this number: its code was used, or has expired");

/// All mailboxes.
#[derive(Default)]
pub(crate) struct Mail {
    boxes: Mutex<HashMap<u32, Mailbox>>,
}

struct Mailbox {
    owner: IpAddr,
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
    /// Forgets what has expired; returns how many are left.
    pub(crate) fn sweep(&self, now: Instant) -> usize {
        let mut boxes = self.lock();
        boxes.retain(|_, mailbox| mailbox.until > now);
        boxes.len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Mailbox>> {
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free number, as short as may be, and the token that goes with it.
    fn allocate(&self, owner: IpAddr, now: Instant) -> Result<(u32, String), Refusal> {
        let mut boxes = self.lock();
        boxes.retain(|_, mailbox| mailbox.until > now);
        let theirs = boxes.values().filter(|at| at.owner == owner).count();
        if theirs >= MAX_BOXES_EACH {
            return Err(Refusal::TooOften(LIFETIME.as_secs()));
        }
        if boxes.len() >= MAX_BOXES {
            let text = "all mailboxes are taken: wait a few minutes, or share a link";
            return Err(Refusal::NoRoom(text));
        }
        let unknown = |_| Refusal::Store(crate::store::StoreError::Unavailable);
        let mut number = None;
        // Half-empty ranges only, so that a few throws find a free one.
        let mut end = 10;
        while number.is_none() {
            for _ in 0..8 {
                let throw = 1 + getrandom::u32().map_err(unknown)? % (end - 1);
                if !boxes.contains_key(&throw) {
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
            owner,
            token: Sha256::digest(&token).into(),
            until: now + LIFETIME,
            messages: HashMap::new(),
            came: Arc::default(),
        };
        boxes.insert(number, mailbox);
        Ok((number, token))
    }

    fn leave(&self, number: u32, slot: Slot, message: Bytes, now: Instant) -> Result<(), Refusal> {
        let mut boxes = self.lock();
        let mailbox = boxes.get_mut(&number).filter(|at| at.until > now);
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
        let mailbox = boxes.get(&number).filter(|at| at.until > now);
        let mailbox = mailbox.ok_or(NO_BOX)?;
        Ok((mailbox.messages.get(&slot).cloned(), mailbox.came.clone()))
    }

    fn remove(&self, number: u32, token: &str) -> Result<(), Refusal> {
        let mut boxes = self.lock();
        let mailbox = boxes.get(&number).ok_or(NO_BOX)?;
        // Hashes are compared, so the time it takes says nothing of the token.
        if mailbox.token != <[u8; 32]>::from(Sha256::digest(token)) {
            return Err(Refusal::Forbidden("this is not the mailbox's token"));
        }
        if let Some(mailbox) = boxes.remove(&number) {
            mailbox.came.notify_waiters();
        }
        Ok(())
    }
}

pub(crate) async fn allocate(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Refusal> {
    let owner = neighbourhood(asker(&app, &request));
    let (number, token) = app.mail.allocate(owner, Instant::now())?;
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
    request: Request,
) -> Result<Response, Refusal> {
    let (number, slot) = (parse(&number)?, slot(&side, &seq)?);
    let wait = wait(request.uri().query())?;
    let end = tokio::time::Instant::now() + wait;
    let mut closing = app.closing.clone();
    loop {
        let (_, came) = app.mail.look(number, slot, Instant::now())?;
        // Waits from before the look, so that nothing comes in between unseen.
        let came = came.notified_owned();
        let mut came = std::pin::pin!(came);
        came.as_mut().enable();
        if let (Some(message), _) = app.mail.look(number, slot, Instant::now())? {
            return Ok(octets(message));
        }
        let more = tokio::select! {
            () = came => true,
            () = tokio::time::sleep_until(end) => false,
            _ = closing.wait_for(|closing| *closing) => false,
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

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const SLOT: Slot = Slot { host: true, seq: 0 };

    #[test]
    fn numbers_stay_short_and_are_never_shared() {
        let mail = Mail::default();
        let now = Instant::now();
        let mut seen = std::collections::HashSet::new();
        for n in 0..2000u32 {
            let owner = IpAddr::from(n.to_be_bytes());
            let (number, _) = mail.allocate(owner, now).unwrap();
            assert!(seen.insert(number), "{number} twice");
        }
        assert!(seen.iter().all(|number| *number < 100_000));
        assert!(seen.iter().any(|number| *number < 10));
    }

    #[test]
    fn one_address_has_a_few_at_a_time() {
        let mail = Mail::default();
        let now = Instant::now();
        for _ in 0..MAX_BOXES_EACH {
            mail.allocate(HERE, now).unwrap();
        }
        assert!(matches!(
            mail.allocate(HERE, now),
            Err(Refusal::TooOften(_))
        ));
        assert!(mail.allocate([10, 0, 0, 1].into(), now).is_ok());
        assert!(mail.allocate(HERE, now + LIFETIME).is_ok());
    }

    #[test]
    fn all_of_them_are_bounded() {
        let mail = Mail::default();
        let now = Instant::now();
        for n in 0..MAX_BOXES as u32 {
            mail.allocate(IpAddr::from(n.to_be_bytes()), now).unwrap();
        }
        let one_more = mail.allocate(HERE, now);
        assert!(matches!(one_more, Err(Refusal::NoRoom(_))));
        assert_eq!(mail.sweep(now + LIFETIME), 0);
    }

    #[test]
    fn a_mailbox_expires() {
        let mail = Mail::default();
        let now = Instant::now();
        let (number, _) = mail.allocate(HERE, now).unwrap();
        mail.leave(number, SLOT, Bytes::from_static(b"x"), now)
            .unwrap();
        assert!(mail.look(number, SLOT, now).unwrap().0.is_some());
        let after = now + LIFETIME;
        assert!(mail.look(number, SLOT, after).is_err());
        assert!(mail.leave(number, SLOT, Bytes::new(), after).is_err());
    }
}
