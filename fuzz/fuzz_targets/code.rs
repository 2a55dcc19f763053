//! Spoken codes, and the messages of their exchange.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_code::{Code, Guess, Offer};

/// Says nothing random: what is fuzzed is the parsing.
struct Zeros;

impl rand_core::TryRng for Zeros {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(1);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Zeros {}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(code) = String::from_utf8_lossy(bytes).parse::<Code>() {
        assert_eq!(code.to_string().parse(), Ok(code));
    }
    let code = Code::random(7, &mut Zeros);
    let offer = Offer::new(&code, &mut Zeros);
    let guess = Guess::new(&code, &[1; 32], offer.message(), &mut Zeros).unwrap();
    let _ = Guess::new(&code, &[1; 32], bytes, &mut Zeros);
    assert!(offer.check(bytes).is_err());
    assert!(guess.open(bytes).is_err());
});
