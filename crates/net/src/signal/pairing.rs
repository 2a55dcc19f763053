//! Linking two devices by a spoken code: the exchange of [`mailbox`](super::mailbox), with a person at
//! each end who compares what both show before any secret is sent.
//!
//! ```text
//! host/0 the offer    guest/0 the guess    guest/1 yes or no    host/1 the answer, or a refusal
//! ```

use pillion_code::{Code, Guess, Offer, refusal};
use pillion_proto::device::comparison;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{
    client::{SignalClient, SignalError, SignalService},
    mailbox::{CODE_LIFE, Mailbox, not_believed, random},
    resolver::JoinError,
};

/// The device that asks another one in, waiting for somebody to use its code.
pub struct Invitation {
    mailbox: Mailbox,
    code: Code,
    offer: Offer,
}

/// Somebody who used the code.
pub struct Guest {
    mailbox: Mailbox,
    answer: Vec<u8>,
    /// The other device's key, which the exchange proves to be of the one who knew the code.
    pub device: [u8; 32],
    /// What both devices show.
    pub comparison: String,
}

impl Invitation {
    /// Takes a mailbox and makes its code.
    ///
    /// # Errors
    /// The service does not answer, or not as it should.
    pub async fn open(service: &SignalService) -> Result<Invitation, JoinError> {
        let client = SignalClient::new(service)?;
        let mailbox = Mailbox::allocate(&client).await?;
        let code = Code::random(mailbox.number, &mut random());
        let offer = Offer::new(&code, &mut random());
        mailbox.put("host", 0, offer.message()).await?;
        Ok(Invitation {
            mailbox,
            code,
            offer,
        })
    }

    /// What to type on the other device.
    pub fn code(&self) -> String {
        self.code.to_string()
    }

    /// Waits until somebody uses the code, ten minutes at most. `own` is this device's key; `secret` is
    /// theirs once [`Guest::accept`] sends it. A wrong guess uses the code up.
    ///
    /// # Errors
    /// Nobody came, the guess was wrong, or the service does not answer.
    pub async fn guest(self, own: &[u8; 32], secret: &[u8]) -> Result<Guest, JoinError> {
        let Invitation { mailbox, offer, .. } = self;
        let guess = mailbox
            .wait("guest", 0, Instant::now() + CODE_LIFE)
            .await
            .map_err(|error| match error {
                SignalError::NotFound { .. } => JoinError::Code(
                    "the link service dropped the code, because it was restarted or had to make room; make another one".to_owned(),
                ),
                error => error.into(),
            })?
            .ok_or_else(|| {
                let text = "nobody used the code within ten minutes; make another one";
                JoinError::Code(text.to_owned())
            })?;
        let comparison = comparison(offer.message(), &guess);
        let answered = offer.check(&guess).and_then(|guessed| {
            let device = *guessed.guest();
            Ok((device, guessed.answer(own, secret)?))
        });
        match answered {
            Ok((device, answer)) => Ok(Guest {
                mailbox,
                answer,
                device,
                comparison,
            }),
            Err(error) => {
                // The guest learns of it if this arrives, and by waiting too long if not.
                let _ = mailbox.put("host", 1, &refusal()).await;
                Err(not_believed(error))
            }
        }
    }
}

impl Guest {
    /// Sends the secret, once the person at the other device has said yes as well.
    ///
    /// # Errors
    /// They said no or nothing, or the service does not answer.
    pub async fn accept(self) -> Result<(), JoinError> {
        let said = self
            .mailbox
            .wait("guest", 1, Instant::now() + CODE_LIFE)
            .await;
        match said.as_ref().map(Option::as_deref) {
            Ok(Some([1])) => {
                self.mailbox.put("host", 1, &self.answer).await?;
                Ok(())
            }
            Ok(Some(_)) => {
                let text = "the person at the other device said no: nothing was sent";
                Err(JoinError::Code(text.to_owned()))
            }
            Ok(None) | Err(_) => {
                let text = "nobody confirmed it at the other device: nothing was sent; try again";
                Err(JoinError::Code(text.to_owned()))
            }
        }
    }

    /// Sends nothing but that.
    pub async fn refuse(self) {
        let _ = self.mailbox.put("host", 1, &refusal()).await;
    }
}

/// The device that was given a code.
pub struct Guessing {
    mailbox: Mailbox,
    guess: Guess,
    /// What both devices show.
    pub comparison: String,
}

/// What the other device sent.
pub struct Linked {
    /// The other device's key, proved to be of the one who made the code.
    pub device: [u8; 32],
    /// What it sent.
    pub secret: Zeroizing<Vec<u8>>,
}

impl Guessing {
    /// Uses the code. `own` is this device's key.
    ///
    /// # Errors
    /// There is no such code, somebody used it already, or the service does not answer.
    pub async fn start(
        service: &SignalService,
        code: &Code,
        own: &[u8; 32],
    ) -> Result<Guessing, JoinError> {
        let client = SignalClient::new(service)?;
        let mailbox = Mailbox::of(&client, code.number());
        let Some(offer) = mailbox.get("host", 0).await? else {
            let text = "there is no such code (any more): a code works once, for ten minutes; run `pillion device link` again on the other device";
            return Err(JoinError::Code(text.to_owned()));
        };
        let guess = Guess::new(code, own, &offer, &mut random()).map_err(not_believed)?;
        match mailbox.put("guest", 0, guess.message()).await {
            Ok(()) => {}
            Err(SignalError::Conflict { .. }) => {
                let text = "somebody has used this code already; run `pillion device link` again on the other device";
                return Err(JoinError::Code(text.to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
        let comparison = comparison(&offer, guess.message());
        Ok(Guessing {
            mailbox,
            guess,
            comparison,
        })
    }

    /// Says yes, and waits for the secret until the person at the other device says so, too.
    ///
    /// # Errors
    /// They said no or nothing, the code was wrong, or the service does not answer.
    pub async fn accept(self) -> Result<Linked, JoinError> {
        self.mailbox.put("guest", 1, &[1]).await?;
        let answer = self
            .mailbox
            .wait("host", 1, Instant::now() + CODE_LIFE)
            .await
            .ok()
            .flatten()
            .ok_or_else(|| {
                JoinError::Code("nobody confirmed it at the other device; try again".to_owned())
            })?;
        let opened = self.guess.open(&answer).map_err(|error| match error {
            pillion_code::ExchangeError::Refused => JoinError::Code(
                "the other device refused: the code was wrong, or the person there said no"
                    .to_owned(),
            ),
            error => not_believed(error),
        })?;
        Ok(Linked {
            device: opened.session,
            secret: opened.secret,
        })
    }

    /// Says no.
    pub async fn refuse(self) {
        let _ = self.mailbox.put("guest", 1, &[0]).await;
    }
}
