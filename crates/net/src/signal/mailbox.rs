//! Spoken codes through the service's mailbox.
//!
//! The exchange itself is `pillion_code`'s; here its three messages are left and fetched:
//!
//! ```text
//! POST /v1/mail                 a free number, and a token to remove it with     host
//! PUT  /v1/mail/N/host/0        the offer                                        host
//! PUT  /v1/mail/N/guest/0       the guess; what is there is not replaced         guest
//! PUT  /v1/mail/N/host/1        the answer                                       host
//! GET  …?wait=SECONDS           waits until the message is there
//! ```

use std::time::Duration;

use pillion_code::{Code, ExchangeError, Guess, MAX_SECRET, Offer, refusal};
use pillion_proto::Ticket;
use rand_core::{TryCryptoRng, TryRng, UnwrapErr};
use reqwest::Method;
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::{
    client::{SignalClient, SignalError, SignalService},
    publisher::{EventSender, PublisherEvent, Shared},
    resolver::JoinError,
    schedule::RefreshSchedule,
};

/// How long a code can be used: as long as the service keeps a mailbox.
pub(super) const CODE_LIFE: Duration = Duration::from_secs(10 * 60);

/// How long the service is asked to wait for a message, each time.
const POLL: Duration = Duration::from_secs(20);

/// How long a guest waits for the host's answer: it is there a round trip after the guess, if the host
/// is.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Between two tries while the service does not answer.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Offers a code until it is used, guessed wrong, expired, or the sharing ends. The code goes to
/// `reply` as soon as there is one; what becomes of it is told as news.
pub(super) async fn offer(
    client: SignalClient,
    pace: RefreshSchedule,
    mut shared: watch::Receiver<Option<Shared>>,
    reply: oneshot::Sender<Result<String, String>>,
    news: EventSender,
) {
    let (mailbox, code, offer) = match open(&client).await {
        Ok(opened) => opened,
        Err(error) => {
            // Anybody who asked may have given up.
            let _ = reply.send(Err(error.to_string()));
            return;
        }
    };
    if reply.send(Ok(code.to_string())).is_err() {
        return mailbox.remove().await;
    }
    let over = async { shared.wait_for(Option::is_none).await.is_ok() };
    let guess = tokio::select! {
        guess = mailbox.wait("guest", 0, Instant::now() + pace.code_life) => guess,
        _ = over => return mailbox.remove().await,
    };
    let number = code.number();
    let said = match guess {
        Ok(Some(guess)) => answer(&mailbox, offer, &guess, &shared, &news).await,
        Err(SignalError::NotFound { .. }) => format!(
            "code {number} no longer works: the link service dropped it, because it was restarted or had to make room; `pillion code` makes another"
        ),
        Ok(None) | Err(_) => {
            // Nobody answers there any more: anybody who comes late is told so at once.
            mailbox.remove().await;
            format!("code {number} has expired, unused")
        }
    };
    news.tell(PublisherEvent::Said(said));
}

async fn open(client: &SignalClient) -> Result<(Mailbox, Code, Offer), SignalError> {
    let mailbox = Mailbox::allocate(client).await?;
    let code = Code::random(mailbox.number, &mut random());
    let offer = Offer::new(&code, &mut random());
    mailbox.put("host", 0, offer.message()).await?;
    Ok((mailbox, code, offer))
}

/// Answers the one guess there is; what to tell the host's person.
async fn answer(
    mailbox: &Mailbox,
    offer: Offer,
    guess: &[u8],
    shared: &watch::Receiver<Option<Shared>>,
    news: &EventSender,
) -> String {
    let number = mailbox.number;
    let Some(shared) = shared.borrow().clone() else {
        return format!("code {number} was withdrawn: sharing has ended");
    };
    let answered = offer.check(guess).and_then(|guessed| {
        let guest = *guessed.guest();
        let ticket = compact(shared.ticket).for_endpoint(&guest);
        let message = guessed.answer(&shared.session, &ticket.to_bytes())?;
        Ok((guest, message))
    });
    match answered {
        Ok((guest, message)) => {
            // First, so that the host knows them when they come.
            news.tell(PublisherEvent::CodeUsed { number, guest });
            match mailbox.put("host", 1, &message).await {
                Ok(()) => format!("code {number} was used; it works for nobody else"),
                Err(error) => format!("code {number} was used, and the answer is lost: {error}"),
            }
        }
        Err(ExchangeError::TooLong) => {
            format!("code {number} was right, and the ticket is too long for it: use the ticket")
        }
        Err(error) => {
            // Best effort: without it the guest waits, and is told that the host does not answer.
            let _ = mailbox.put("host", 1, &refusal()).await;
            let why = match error {
                ExchangeError::Newer => "with a newer pillion",
                ExchangeError::Malformed => "with something that is no guess",
                _ => "wrong",
            };
            format!(
                "somebody tried code {number} {why}: it is used up. `pillion code` makes another"
            )
        }
    }
}

/// The ticket, with as many of its addresses as an answer has room for.
fn compact(mut ticket: Ticket) -> Ticket {
    while ticket.to_bytes().len() > MAX_SECRET {
        // A relay sorts first, and helps most.
        if ticket.addr.addrs.pop_last().is_none() {
            break;
        }
    }
    ticket
}

/// Turns a code into a ticket, which opens the session for the endpoint `own` alone: the caller joins with
/// the key of that.
///
/// # Errors
/// The code is wrong, used up or expired, the service does not answer, or something in between changed
/// what was said.
pub async fn redeem(
    service: &SignalService,
    code: &Code,
    own: &[u8; 32],
) -> Result<Ticket, JoinError> {
    let client = SignalClient::new(service)?;
    let mailbox = Mailbox::of(&client, code.number());
    let wrong = |why: &str| JoinError::Code(why.to_owned());
    let offer = match mailbox.get("host", 0).await? {
        Some(offer) => offer,
        None => {
            return Err(wrong(
                "there is no such code (any more): a code works once, for ten minutes; ask the host for a new one",
            ));
        }
    };
    let guess = Guess::new(code, own, &offer, &mut random()).map_err(not_believed)?;
    match mailbox.put("guest", 0, guess.message()).await {
        Ok(()) => {}
        Err(SignalError::Conflict { .. }) => {
            return Err(wrong(
                "somebody has used this code already; if that was not you, tell the host, and ask for a new one",
            ));
        }
        Err(error) => return Err(error.into()),
    }
    let answer = mailbox
        .wait("host", 1, Instant::now() + ANSWER_WITHIN)
        .await;
    let Ok(Some(answer)) = answer else {
        return Err(wrong(
            "the host does not answer: it may be offline; ask for a new code or the ticket",
        ));
    };
    let opened = guess.open(&answer).map_err(not_believed)?;
    let ticket = Ticket::from_bytes(&opened.secret).map_err(JoinError::Ticket)?;
    match *ticket.addr.id.as_bytes() == opened.session {
        true => Ok(ticket),
        false => Err(not_believed(ExchangeError::Wrong)),
    }
}

pub(super) fn not_believed(error: ExchangeError) -> JoinError {
    JoinError::Code(match error {
        ExchangeError::Newer => {
            "the host uses a newer pillion: please upgrade pillion on this side".to_owned()
        }
        error => format!("{error}; it is used up: ask the host for a new one"),
    })
}

/// One mailbox of the service.
pub(super) struct Mailbox {
    client: SignalClient,
    pub(super) number: u32,
    /// What its owner shows to remove it.
    token: String,
}

impl Mailbox {
    /// A new one, of ours.
    pub(super) async fn allocate(client: &SignalClient) -> Result<Mailbox, SignalError> {
        let body = client
            .ask(Method::POST, "/v1/mail", &[], None, Duration::ZERO)
            .await?;
        let odd = || SignalError::NotOurs {
            service: client.service(),
            reason: "it gave no mailbox".to_owned(),
        };
        let text = std::str::from_utf8(&body).map_err(|_| odd())?;
        let mut words = text.split_whitespace();
        let number = words.next().and_then(|n| n.parse().ok()).ok_or_else(odd)?;
        let token = words
            .next()
            .filter(|token| token.len() <= 128 && token.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(odd)?;
        Ok(Mailbox {
            client: client.clone(),
            number,
            token: token.to_owned(),
        })
    }

    /// Somebody else's.
    pub(super) fn of(client: &SignalClient, number: u32) -> Mailbox {
        Mailbox {
            client: client.clone(),
            number,
            token: String::new(),
        }
    }

    fn path(&self, side: &str, seq: u8) -> String {
        format!("/v1/mail/{}/{side}/{seq}", self.number)
    }

    pub(super) async fn put(&self, side: &str, seq: u8, message: &[u8]) -> Result<(), SignalError> {
        let path = self.path(side, seq);
        let asked = self
            .client
            .ask(Method::PUT, &path, message, None, Duration::ZERO);
        asked.await.map(drop)
    }

    /// A message, if it is there; `None` also if there is no such mailbox.
    pub(super) async fn get(
        &self,
        side: &str,
        seq: u8,
    ) -> Result<Option<bytes::Bytes>, SignalError> {
        let path = self.path(side, seq);
        let asked = self
            .client
            .ask(Method::GET, &path, &[], None, Duration::ZERO);
        match asked.await {
            Ok(message) => Ok(Some(message).filter(|message| !message.is_empty())),
            Err(SignalError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for a message until `end`, through outages of the service.
    ///
    /// # Errors
    /// The mailbox is gone ([`SignalError::NotFound`]), or at the end the service did not answer.
    pub(super) async fn wait(
        &self,
        side: &str,
        seq: u8,
        end: Instant,
    ) -> Result<Option<bytes::Bytes>, SignalError> {
        loop {
            let asked = Instant::now();
            let wait = POLL.min(end.saturating_duration_since(asked));
            let path = format!("{}?wait={}", self.path(side, seq), wait.as_secs());
            let answer = self
                .client
                .ask_once(Method::GET, &path, &[], None, wait)
                .await;
            let failed = match answer {
                Ok(message) if !message.is_empty() => return Ok(Some(message)),
                // It lasts as long as is waited, so right at the end it has only expired.
                Err(SignalError::NotFound { .. }) if Instant::now() + TRY_AGAIN >= end => {
                    return Ok(None);
                }
                Err(gone @ SignalError::NotFound { .. }) => return Err(gone),
                Ok(_) => None,
                Err(error) => Some(error),
            };
            if Instant::now() >= end {
                return failed.map_or(Ok(None), Err);
            }
            // A service that answers at once is not asked in a circle; one that says when is believed.
            let again = failed.and_then(|error| error.retry_after());
            let again = asked + again.unwrap_or_default().max(TRY_AGAIN);
            tokio::time::sleep_until(again.min(end)).await;
        }
    }

    async fn remove(&self) {
        let path = format!("/v1/mail/{}", self.number);
        // Best effort: it expires by itself.
        let _ = self
            .client
            .ask(
                Method::DELETE,
                &path,
                &[],
                Some(&self.token),
                Duration::ZERO,
            )
            .await;
    }
}

/// The operating system's randomness.
pub(super) fn random() -> impl rand_core::CryptoRng {
    UnwrapErr(System)
}

struct System;

impl TryRng for System {
    type Error = getrandom::Error;

    fn try_next_u32(&mut self) -> Result<u32, getrandom::Error> {
        getrandom::u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, getrandom::Error> {
        getrandom::u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        getrandom::fill(bytes)
    }
}

impl TryCryptoRng for System {}
