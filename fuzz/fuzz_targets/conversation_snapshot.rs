//! A snapshot of a conversation, as a viewer reads it, and what may follow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_conversation::Conversation;

const NEXT: &str = r#"{"at":1,"agent":{"id":0,"method":"session/request_permission","params":{"sessionId":"s"}}}"#;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut read) = Conversation::from_snapshot(bytes) {
        let snapshot = read.snapshot();
        let again = Conversation::from_snapshot(&snapshot).expect("it was made here");
        assert_eq!(again.snapshot(), snapshot);
        read.apply_text(NEXT);
        read.apply_text(r#"{"at":2,"note":{"kind":"ended","exit":{}}}"#);
    }
});
