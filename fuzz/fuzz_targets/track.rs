//! A track stream, as a viewer reads it.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use pillion_proto::{Framer, TrackMsg, limits::MAX_TRACK_MESSAGE};

fuzz_target!(|bytes: &[u8]| {
    let mut framer = Framer::new(MAX_TRACK_MESSAGE);
    framer.push(bytes);
    while let Ok(Some((tag, payload))) = framer.next_message() {
        if let Ok(message) = TrackMsg::decode(tag, &payload) {
            let mut out = BytesMut::new();
            message.encode(&mut out);
            assert_eq!(TrackMsg::decode(out[4], &out[5..]), Ok(message));
        }
    }
});
