//! The input stream, as a host reads it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_proto::{Framer, IntentMsg, InputStream, limits::MAX_INPUT_MESSAGE};

fuzz_target!(|bytes: &[u8]| {
    let mut framer = Framer::new(MAX_INPUT_MESSAGE);
    framer.push(bytes);
    while let Ok(Some((tag, payload))) = framer.next_message() {
        let _ = InputStream::decode(tag, &payload);
        let _ = IntentMsg::decode(tag, &payload);
    }
});
