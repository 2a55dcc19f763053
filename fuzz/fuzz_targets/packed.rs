//! Bytes that may be compressed, as a viewer of a conversation reads them, and the entries in them.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pillion_proto::Entry;
use pillion_screen::packed;

const MAX: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(unpacked) = packed::unpack(&Bytes::copy_from_slice(bytes), MAX) {
        assert!(unpacked.len() <= MAX);
        let _ = Entry::decode_conversation(&unpacked);
        let again = packed::unpack(&packed::pack(&unpacked), MAX);
        assert_eq!(again.expect("it was made here"), unpacked);
    }
});
