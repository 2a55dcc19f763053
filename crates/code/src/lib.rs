//! Short codes one can say aloud, `7-guitar-lantern`, and the exchange that turns one into a ticket.
//!
//! The number says which mailbox of a link service the two meet in; the words are the password of a
//! SPAKE2 exchange. A password this short is safe because it can't be tried offline: every guess takes
//! an exchange with the host, and the host answers one ([`Offer::check`] takes the offer).
//!
//! ```text
//! host                               mailbox                              guest
//! Offer::new(code) ──── offer ────▶    │    ──── offer ────▶ Guess::new(code, own endpoint id)
//! Offer::answer   ◀──── guess ─────    │    ◀─── guess ─────   SPAKE2, and proof of its key
//!                 ──── answer ────▶    │    ──── answer ───▶ Guess::open: the ticket
//! ```
//!
//! The guest's proof covers both SPAKE2 messages and the guest's endpoint id; the host's proof covers
//! these and the session's key, which is the host's endpoint id. Anybody who carries the messages learns
//! the number, the guest's endpoint id (made for this run) and sizes; changed, swapped or repeated
//! messages fail a proof, and the host takes that for a wrong guess.
//!
//! The crate is pure: randomness comes in as an argument, messages go out as bytes.

mod code;
mod exchange;

pub use code::{Code, CodeError};
pub use exchange::{
    ExchangeError, GUESS_LEN, Guess, Guessed, MAX_ANSWER, MAX_SECRET, OFFER_LEN, Offer, Opened,
    answer_len, refusal,
};
