//! Link records as a service or a joiner gets them, pasted links, and relay tokens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_proto::{
    LinkId, LinkKey, LinkRecord, LinkSecret, LinkUrl, RelayToken, Times,
    lookup::{answer, answered, asked, question},
};

const NOW: u64 = 1_777_636_807_000;

fuzz_target!(|bytes: &[u8]| {
    let secret = LinkSecret::derive(&[1; 32], &[2; 32]);
    // As it came: the id it names, if any.
    let named = bytes.get(2..34).and_then(|id| id.try_into().ok());
    let id = named.map_or(secret.id(), LinkId::from_bytes);
    if let Ok(record) = LinkRecord::verify(bytes, &id, NOW) {
        assert_eq!(record.as_bytes(), bytes);
        let _ = record.open(&LinkKey::from_bytes([3; 16]));
    }
    // By datagram: as a question, as an answer, as a record to answer with.
    if let Some(tag) = asked(bytes) {
        assert_eq!(&bytes[8..40], tag.as_bytes());
    }
    assert_eq!(asked(&question(&id)), Some(id.tag()));
    assert_eq!(answered(&id, bytes), None);
    if let Some(says) = answer(bytes, [4; 24]) {
        assert_eq!(answered(&id, &says).as_deref(), Some(bytes));
    }
    // As what a host says: comes back, or was too big to say.
    if let Ok(record) = LinkRecord::seal(&secret, Times::starting(NOW, 0), bytes, [4; 24]) {
        let read = LinkRecord::verify(record.as_bytes(), &secret.id(), NOW).unwrap();
        assert_eq!(read.open(secret.key()).unwrap().as_slice(), bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(link) = text.parse::<LinkUrl>() {
            assert_eq!(link.to_string().parse(), Ok(link));
        }
        if let Ok(token) = text.parse::<RelayToken>() {
            let _ = token.verify();
        }
    }
});
