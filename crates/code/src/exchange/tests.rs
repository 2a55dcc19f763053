use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use super::*;

const SESSION: [u8; 32] = [3; 32];
const GUEST_ID: [u8; 32] = [5; 32];
const TICKET: &[u8] = b"pillion ticket, as bytes";

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn code() -> Code {
    "7-guitar-lantern".parse().unwrap()
}

fn offer() -> Offer {
    Offer::new(&code(), &mut rng(1))
}

fn guess(offer: &[u8], words: &str) -> Guess {
    Guess::new(&words.parse().unwrap(), &GUEST_ID, offer, &mut rng(2)).unwrap()
}

/// The host's side in one go: its answer to a guess.
fn answer(offer: Offer, guess: &[u8], secret: &[u8]) -> Result<Vec<u8>, ExchangeError> {
    offer.check(guess)?.answer(&SESSION, secret)
}

fn refused(result: Result<Opened, ExchangeError>) -> ExchangeError {
    match result {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[test]
fn who_knows_the_code_gets_the_ticket() {
    let offer = offer();
    let guess = guess(offer.message(), "7-guitar-lantern");
    let guessed = offer.check(guess.message()).unwrap();
    assert_eq!(guessed.guest(), &GUEST_ID);
    let answer = guessed.answer(&SESSION, TICKET).unwrap();
    assert_eq!(answer.len(), answer_len(TICKET.len()));
    let opened = guess.open(&answer).unwrap();
    assert_eq!(opened.session, SESSION);
    assert_eq!(&opened.secret[..], TICKET);
}

#[test]
fn golden_bytes() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let offer = offer();
    let guess = guess(offer.message(), "7-guitar-lantern");
    let mut said = [hex(offer.message()), hex(guess.message())].join("\n");
    let answer = answer(offer, guess.message(), b"ticket").unwrap();
    said.extend(["\n", &hex(&answer), "\n", &hex(&refusal())]);
    assert_eq!(said, GOLDEN);
}

const GOLDEN: &str = "\
01413d104698a910b4f1ae08fe539300ca853661c396376f3e77bba9a7491d8a55db\n\
0142280ce1565693d94a5f4de2f46d7262ef23411dfb3577ce65ae862095b54ad1a70505050505050505050505050505\
0505050505050505050505050505050505050f746d115fa931b9e0b80fd9bcc50c0fcf176e8657154b0afd107fc17f3a\
614d\n\
0101e533034cec95aaf8cff4485190616f25699fa8505d54f366c832058773a2a245e0adbf14dabe47336f008ba7927c\
c4819a37f587346fd3ec666d8df221c6d6a7a7c1fd4a19fb6579ed9d0a21babb886a9543cc33e445c6fca9c3e9cd9e01\
69be2cf187504062bb2f45a157fc97df7a49\n\
0100";

#[test]
fn another_word_or_number_is_a_wrong_guess_and_there_is_no_second() {
    for words in ["7-guitar-lobster", "7-lantern-guitar", "8-guitar-lantern"] {
        let offer = offer();
        let guess = guess(offer.message(), words);
        // The offer is gone with the answer: nothing is left to guess at.
        assert_eq!(
            answer(offer, guess.message(), TICKET),
            Err(ExchangeError::Wrong),
            "{words}"
        );
        assert_eq!(refused(guess.open(&refusal())), ExchangeError::Refused);
    }
}

#[test]
fn a_host_that_does_not_know_the_words_is_not_believed() {
    // The service plays the host with a code of its own guessing.
    let forged = Offer::new(&"7-zebra-zebra".parse().unwrap(), &mut rng(9));
    let guess = guess(forged.message(), "7-guitar-lantern");
    assert_eq!(
        answer(forged, guess.message(), TICKET),
        Err(ExchangeError::Wrong)
    );
    // It may say what it likes in the answer.
    for answer in [
        vec![1, 1],
        vec![1; 200],
        [vec![1, 1], vec![0; 146]].concat(),
    ] {
        let guess = self::guess(offer().message(), "7-guitar-lantern");
        assert!(matches!(
            refused(guess.open(&answer)),
            ExchangeError::Wrong | ExchangeError::Malformed
        ));
    }
}

#[test]
fn what_is_replayed_from_another_exchange_of_the_same_code_is_not_believed() {
    // A recorded exchange with the very same code.
    let old = offer();
    let old_guess = guess(old.message(), "7-guitar-lantern");
    let old_message = *old_guess.message();
    let old_answer = answer(old, &old_message, TICKET).unwrap();
    // The old guess at a new offer, the old answer to a new guess.
    let new = Offer::new(&code(), &mut rng(7));
    let new_guess = Guess::new(&code(), &GUEST_ID, new.message(), &mut rng(8)).unwrap();
    assert_eq!(refused(new_guess.open(&old_answer)), ExchangeError::Wrong);
    assert_eq!(answer(new, &old_message, TICKET), Err(ExchangeError::Wrong));
}

#[test]
fn a_swapped_endpoint_id_is_a_wrong_guess() {
    let offer = offer();
    let guess = guess(offer.message(), "7-guitar-lantern");
    let mut swapped = *guess.message();
    swapped[1 + PAKE..][..ID].copy_from_slice(&[6; 32]);
    assert_eq!(answer(offer, &swapped, TICKET), Err(ExchangeError::Wrong));
}

#[test]
fn the_answer_says_nothing_of_the_ticket_to_who_carries_it() {
    let offer = offer();
    let guess = guess(offer.message(), "7-guitar-lantern");
    let carried = answer(offer, guess.message(), TICKET).unwrap();
    for secret in [&TICKET[..8], &SESSION[..8]] {
        let mut windows = carried.windows(secret.len());
        assert!(!windows.any(|window| window == secret));
    }
}

#[test]
fn another_version_is_named_and_other_lengths_are_refused() {
    let mut newer = *offer().message();
    newer[0] = VERSION + 1;
    let new = |offer: &[u8]| Guess::new(&code(), &GUEST_ID, offer, &mut rng(2)).err();
    assert_eq!(new(&newer), Some(ExchangeError::Newer));
    assert_eq!(new(&[]), Some(ExchangeError::Malformed));
    assert_eq!(new(&[1; OFFER_LEN - 1]), Some(ExchangeError::Malformed));
    // A point that is none.
    assert_eq!(new(&[1; OFFER_LEN]), Some(ExchangeError::Malformed));
    let answer = |guess: &[u8]| answer(offer(), guess, TICKET);
    assert_eq!(answer(&[2, 3]), Err(ExchangeError::Newer));
    assert_eq!(answer(&[]), Err(ExchangeError::Malformed));
    assert_eq!(answer(&[1; GUESS_LEN + 1]), Err(ExchangeError::Malformed));
}

#[test]
fn the_longest_secret_fits_a_mailbox() {
    let secret = [9; MAX_SECRET];
    let offer = offer();
    let guess = guess(offer.message(), "7-guitar-lantern");
    let answered = answer(offer, guess.message(), &secret).unwrap();
    assert!(answered.len() <= MAX_ANSWER);
    assert_eq!(&guess.open(&answered).unwrap().secret[..], secret);
    let offer = self::offer();
    let guess = self::guess(offer.message(), "7-guitar-lantern");
    assert_eq!(
        answer(offer, guess.message(), &[9; MAX_SECRET + 1]),
        Err(ExchangeError::TooLong)
    );
}

proptest! {
    #[test]
    fn any_changed_bit_of_any_message_ends_the_exchange(which in 0..3usize, at: prop::sample::Index, bit in 0..8u8) {
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            bytes
        };
        let offer = offer();
        let offered = if which == 0 { flip(offer.message()) } else { offer.message().to_vec() };
        let Ok(guess) = Guess::new(&code(), &GUEST_ID, &offered, &mut rng(2)) else {
            return Ok(());
        };
        let guessed = if which == 1 { flip(guess.message()) } else { guess.message().to_vec() };
        match answer(offer, &guessed, TICKET) {
            Err(_) => prop_assert_ne!(which, 2),
            Ok(answered) => {
                prop_assert_eq!(which, 2);
                prop_assert!(guess.open(&flip(&answered)).is_err());
            }
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() { *first = VERSION; }
        let _ = Guess::new(&code(), &GUEST_ID, &bytes, &mut rng(2));
        prop_assert!(offer().check(&bytes).is_err());
        prop_assert!(guess(offer().message(), "7-guitar-lantern").open(&bytes).is_err());
    }

    #[test]
    fn any_secret_comes_through(secret in prop::collection::vec(any::<u8>(), 0..=MAX_SECRET), seed: [u8; 32]) {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let code = Code::random(3, &mut rng);
        let offer = Offer::new(&code, &mut rng);
        let guess = Guess::new(&code, &GUEST_ID, offer.message(), &mut rng).unwrap();
        let answered = answer(offer, guess.message(), &secret).unwrap();
        prop_assert_eq!(&guess.open(&answered).unwrap().secret[..], &secret[..]);
    }
}
