//! The control stream, both ways: whatever arrives is cut into messages and read, or refused.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use pillion_proto::{Framer, FromHost, FromViewer, limits::MAX_CONTROL_MESSAGE};

fuzz_target!(|bytes: &[u8]| {
    let mut framer = Framer::new(MAX_CONTROL_MESSAGE);
    framer.push(bytes);
    while let Ok(Some((tag, payload))) = framer.next_message() {
        if let Ok(message) = FromViewer::decode(tag, &payload) {
            let mut out = BytesMut::new();
            message.encode(&mut out);
            assert_eq!(FromViewer::decode(out[4], &out[5..]), Ok(message));
        }
        if let Ok(message) = FromHost::decode(tag, &payload) {
            let mut out = BytesMut::new();
            message.encode(&mut out);
            assert_eq!(FromHost::decode(out[4], &out[5..]), Ok(message));
        }
    }
});
