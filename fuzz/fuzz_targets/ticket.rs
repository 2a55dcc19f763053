//! Pasted tickets and grant tokens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_proto::{GrantToken, Ticket};

fuzz_target!(|text: &str| {
    for text in [text.to_owned(), format!("pillion{text}"), format!("pilliongrant{text}")] {
        if let Ok(ticket) = text.parse::<Ticket>() {
            assert_eq!(ticket.to_string().parse(), Ok(ticket));
        }
        if let Ok(token) = text.parse::<GrantToken>() {
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }
});
