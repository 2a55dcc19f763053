//! The exchange: one offer, one guess, one answer.
//!
//! Layouts, in bytes; the first is always the version:
//!
//! ```text
//! offer    1 · SPAKE2 message 33
//! guess    1 · SPAKE2 message 33 · guest's endpoint id 32 · proof 32
//! answer   1 · 1 · proof 32 · sealed (session's key 32 · length 2 · secret · zeros)   the guess was right
//!          1 · 0                                                                      it was not
//! ```
//!
//! From the SPAKE2 key, HKDF-SHA256 derives a key each for the guest's proof, the host's proof and the
//! sealing, by different infos. A proof is HMAC-SHA256 over all that was said before it. The secret is
//! sealed with ChaCha20-Poly1305 under a nonce of zeros: the key seals one message, ever.

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit as _,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use rand_core::CryptoRng;
use sha2::Sha256;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::Code;

/// The version of these messages: a change to them is another version.
const VERSION: u8 = 1;

const PAKE: usize = 33;
const ID: usize = 32;
const PROOF: usize = 32;
const TAG: usize = 16;

/// Length of an offer, in bytes.
pub const OFFER_LEN: usize = 1 + PAKE;

/// Length of a guess, in bytes.
pub const GUESS_LEN: usize = 1 + PAKE + ID + PROOF;

/// Longest answer, in bytes: what a mailbox takes.
pub const MAX_ANSWER: usize = 512;

/// Secrets are padded to a multiple of this, so that their length says little.
const PAD: usize = 32;

/// Longest secret an answer carries, in bytes.
pub const MAX_SECRET: usize = (MAX_ANSWER - 2 - PROOF - TAG - ID) / PAD * PAD - 2;

/// The length of the answer that carries a secret of `len` bytes.
pub const fn answer_len(len: usize) -> usize {
    2 + PROOF + ID + (2 + len).next_multiple_of(PAD) + TAG
}

const HOST: &[u8] = b"pillion code v1 host";
const GUEST: &[u8] = b"pillion code v1 guest";

/// Why an exchange came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExchangeError {
    /// The words are not the host's, or somebody in between changed what was said.
    #[error("the code is not the right one, or the service in between changed what was said")]
    Wrong,
    /// The host says that the guess was wrong.
    #[error("the host says that the code was wrong")]
    Refused,
    /// Not a message of this exchange.
    #[error("what came is not part of this exchange")]
    Malformed,
    /// A message of a later version.
    #[error("the other side uses a newer pillion")]
    Newer,
    /// The secret does not fit an answer.
    #[error("the ticket is too long to be sent by a code")]
    TooLong,
}

/// The host's side, waiting for the one guess it answers.
pub struct Offer {
    pake: Spake2<Ed25519Group>,
    message: [u8; OFFER_LEN],
}

/// A right guess, to be answered.
pub struct Guessed {
    keys: Keys,
    transcript: Vec<u8>,
    guest: [u8; 32],
}

impl Offer {
    /// The offer for a code.
    pub fn new(code: &Code, rng: &mut impl CryptoRng) -> Offer {
        let (password, host, guest) = start(code);
        let (pake, said) = Spake2::start_a_with_rng(&password, &host, &guest, rng);
        let mut message = [VERSION; OFFER_LEN];
        message[1..].copy_from_slice(&said);
        Offer { pake, message }
    }

    /// What to leave for the guest.
    pub fn message(&self) -> &[u8; OFFER_LEN] {
        &self.message
    }

    /// Looks at a guess. Whether it is right or not, the code is used up.
    ///
    /// # Errors
    /// The guess is wrong ([`refusal`] is the answer then), or no guess at all.
    pub fn check(self, guess: &[u8]) -> Result<Guessed, ExchangeError> {
        version(guess)?;
        let guess: &[u8; GUESS_LEN] = guess.try_into().map_err(|_| ExchangeError::Malformed)?;
        let (said, proof) = guess.split_at(GUESS_LEN - PROOF);
        let keys = Keys::finish(self.pake, &said[1..1 + PAKE])?;
        let transcript = [&self.message[..], said].concat();
        check(&keys.guest, &transcript, proof)?;
        let mut guest = [0; ID];
        guest.copy_from_slice(&said[1 + PAKE..]);
        Ok(Guessed {
            keys,
            transcript,
            guest,
        })
    }
}

impl Guessed {
    /// The guest's endpoint id, proved to be of the one who knew the code.
    pub fn guest(&self) -> &[u8; 32] {
        &self.guest
    }

    /// The answer that brings the guest `secret` (a ticket).
    ///
    /// # Errors
    /// The secret does not fit.
    pub fn answer(self, session: &[u8; 32], secret: &[u8]) -> Result<Vec<u8>, ExchangeError> {
        let Guessed {
            keys,
            mut transcript,
            ..
        } = self;
        if secret.len() > MAX_SECRET {
            return Err(ExchangeError::TooLong);
        }
        let mut plain = Zeroizing::new(session.to_vec());
        plain.extend((secret.len() as u16).to_be_bytes());
        plain.extend(secret);
        plain.resize(ID + (2 + secret.len()).next_multiple_of(PAD), 0);
        let sealed = ChaCha20Poly1305::new((&*keys.seal).into())
            .encrypt(
                &Default::default(),
                Payload {
                    msg: &plain,
                    aad: &transcript,
                },
            )
            .map_err(|_| ExchangeError::TooLong)?;
        transcript.extend(session);
        let mut message = vec![VERSION, 1];
        message.extend(mac(&keys.host, &transcript));
        message.extend(sealed);
        Ok(message)
    }
}

/// The answer to a wrong guess.
pub fn refusal() -> [u8; 2] {
    [VERSION, 0]
}

/// The guest's side, waiting for the answer.
pub struct Guess {
    keys: Keys,
    transcript: Vec<u8>,
    message: [u8; GUESS_LEN],
}

/// What the host sent.
pub struct Opened {
    /// The session's key, proved by who knew the code.
    pub session: [u8; 32],
    /// The secret (a ticket).
    pub secret: Zeroizing<Vec<u8>>,
}

impl Guess {
    /// The guess at what is behind an offer. `own` is the guest's endpoint id.
    ///
    /// # Errors
    /// Not an offer.
    pub fn new(
        code: &Code,
        own: &[u8; 32],
        offer: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Guess, ExchangeError> {
        version(offer)?;
        if offer.len() != OFFER_LEN {
            return Err(ExchangeError::Malformed);
        }
        let (password, host, guest) = start(code);
        let (pake, said) = Spake2::start_b_with_rng(&password, &host, &guest, rng);
        let keys = Keys::finish(pake, &offer[1..])?;
        let mut message = [VERSION; GUESS_LEN];
        message[1..1 + PAKE].copy_from_slice(&said);
        message[1 + PAKE..][..ID].copy_from_slice(own);
        let transcript = [offer, &message[..GUESS_LEN - PROOF]].concat();
        message[GUESS_LEN - PROOF..].copy_from_slice(&mac(&keys.guest, &transcript));
        Ok(Guess {
            keys,
            transcript,
            message,
        })
    }

    /// What to leave for the host.
    pub fn message(&self) -> &[u8; GUESS_LEN] {
        &self.message
    }

    /// Opens the answer.
    ///
    /// # Errors
    /// The host refused, or what came is not from the one who knew the code.
    pub fn open(mut self, answer: &[u8]) -> Result<Opened, ExchangeError> {
        version(answer)?;
        let rest = match answer.get(1) {
            Some(0) if answer.len() == 2 => return Err(ExchangeError::Refused),
            Some(1) if answer.len() <= MAX_ANSWER => &answer[2..],
            _ => return Err(ExchangeError::Malformed),
        };
        let (proof, sealed) = rest
            .split_at_checked(PROOF)
            .ok_or(ExchangeError::Malformed)?;
        let plain = ChaCha20Poly1305::new((&*self.keys.seal).into())
            .decrypt(
                &Default::default(),
                Payload {
                    msg: sealed,
                    aad: &self.transcript,
                },
            )
            .map(Zeroizing::new)
            .map_err(|_| ExchangeError::Wrong)?;
        let (session, padded) = plain
            .split_first_chunk::<ID>()
            .ok_or(ExchangeError::Malformed)?;
        self.transcript.extend(session);
        check(&self.keys.host, &self.transcript, proof)?;
        let (len, padded) = padded
            .split_first_chunk::<2>()
            .ok_or(ExchangeError::Malformed)?;
        let secret = padded
            .get(..usize::from(u16::from_be_bytes(*len)))
            .ok_or(ExchangeError::Malformed)?;
        Ok(Opened {
            session: *session,
            secret: Zeroizing::new(secret.to_vec()),
        })
    }
}

fn start(code: &Code) -> (Password, Identity, Identity) {
    (
        Password::new(&*code.password()),
        Identity::new(HOST),
        Identity::new(GUEST),
    )
}

fn version(message: &[u8]) -> Result<(), ExchangeError> {
    match message.first() {
        Some(&VERSION) => Ok(()),
        Some(later) if *later > VERSION => Err(ExchangeError::Newer),
        _ => Err(ExchangeError::Malformed),
    }
}

/// What both sides derive, if both know the words.
struct Keys {
    guest: Zeroizing<[u8; 32]>,
    host: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
}

impl Keys {
    fn finish(pake: Spake2<Ed25519Group>, said: &[u8]) -> Result<Keys, ExchangeError> {
        let shared = pake.finish(said).map_err(|_| ExchangeError::Malformed)?;
        let shared = Zeroizing::new(shared);
        let hkdf = Hkdf::<Sha256>::new(None, &shared);
        let derive = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            // Fails only for keys of more than 8,160 bytes.
            hkdf.expand(info, &mut *key)
                .map_err(|_| ExchangeError::Malformed)?;
            Ok(key)
        };
        Ok(Keys {
            guest: derive(b"pillion code v1 guest's proof")?,
            host: derive(b"pillion code v1 host's proof")?,
            seal: derive(b"pillion code v1 seal")?,
        })
    }
}

fn mac(key: &[u8; 32], over: &[u8]) -> [u8; PROOF] {
    // HMAC itself fills a key up to a block with zeros.
    let mut block = Zeroizing::new([0; 64]);
    block[..key.len()].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(over);
    mac.finalize().into_bytes().into()
}

fn check(key: &[u8; 32], over: &[u8], proof: &[u8]) -> Result<(), ExchangeError> {
    match bool::from(mac(key, over).ct_eq(proof)) {
        true => Ok(()),
        false => Err(ExchangeError::Wrong),
    }
}

#[cfg(test)]
mod tests;
