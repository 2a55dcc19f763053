//! Asking for a link's record in one round trip: a datagram there, a datagram back.
//!
//! A request over HTTPS to a service that was not spoken to before costs three round trips, of which
//! TLS and TCP take two. A record needs neither: it is signed, and encrypted for who has the link. So
//! it can also be asked for by a single datagram, beside the request that always works.
//!
//! ```text
//! question  "pillion?" · tag 32 · zeros up to 1200
//! answer    "pillion!" · nonce 24 · XChaCha20-Poly1305(record)
//! ```
//!
//! The network sees both, so neither names the link: the *tag* is a hash of its id, and the answer is
//! encrypted under a key that only who knows the id can derive. Somebody on the way can tell that two
//! people asked for the same link, and can ask the same again; they learn neither the id, under which
//! it could be asked for at other times, nor the record.
//!
//! A question is as long as the longest answer, so that nobody can make a service send more than they
//! sent it. There is no answer that says "no": it could not be believed.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest as _, Sha256};

use crate::link::{LinkId, NONCE, expand, named};

/// Length of a question, and of the longest answer, in bytes: what every path carries in one piece.
pub const LOOKUP_LEN: usize = 1200;

const QUESTION: &[u8; 8] = b"pillion?";
const ANSWER: &[u8; 8] = b"pillion!";
const TAG: usize = 32;

/// Names a link to who knows it, and to nobody else: a hash of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkTag([u8; TAG]);

impl LinkTag {
    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; TAG] {
        &self.0
    }
}

impl LinkId {
    /// The name under which a datagram asks for it.
    pub fn tag(&self) -> LinkTag {
        let hash = Sha256::new()
            .chain_update(b"pillion lookup tag v1\0")
            .chain_update(self.as_bytes());
        LinkTag(hash.finalize().into())
    }
}

/// The question for a link's record.
pub fn question(id: &LinkId) -> [u8; LOOKUP_LEN] {
    let mut datagram = [0; LOOKUP_LEN];
    datagram[..QUESTION.len()].copy_from_slice(QUESTION);
    datagram[QUESTION.len()..][..TAG].copy_from_slice(id.tag().as_bytes());
    datagram
}

/// Which link a datagram asks for; nothing if it is no question.
pub fn asked(datagram: &[u8]) -> Option<LinkTag> {
    let rest = datagram.strip_prefix(QUESTION)?;
    let (tag, padding) = rest.split_first_chunk::<TAG>()?;
    let whole = datagram.len() == LOOKUP_LEN && padding.iter().all(|byte| *byte == 0);
    whole.then_some(LinkTag(*tag))
}

/// The answer with this record, as it is kept; nothing if it is too long, or no record. `nonce` is
/// random.
pub fn answer(record: &[u8], nonce: [u8; NONCE]) -> Option<Vec<u8>> {
    let id = named(record)?;
    let sealed = cipher(&id)
        .encrypt(&XNonce::from(nonce), payload(record))
        .ok()?;
    let datagram = [&ANSWER[..], &nonce, &sealed].concat();
    (datagram.len() <= LOOKUP_LEN).then_some(datagram)
}

/// The record in an answer for this link, still to be verified; nothing if it is none.
pub fn answered(id: &LinkId, datagram: &[u8]) -> Option<Vec<u8>> {
    if datagram.len() > LOOKUP_LEN {
        return None;
    }
    let (nonce, sealed) = datagram
        .strip_prefix(ANSWER)?
        .split_first_chunk::<NONCE>()?;
    cipher(id)
        .decrypt(&XNonce::from(*nonce), payload(sealed))
        .ok()
}

fn cipher(id: &LinkId) -> XChaCha20Poly1305 {
    let key = expand(b"", id.as_bytes(), b"pillion lookup answer v1");
    XChaCha20Poly1305::new((&*key).into())
}

fn payload(msg: &[u8]) -> Payload<'_, '_> {
    Payload { msg, aad: ANSWER }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;
    use crate::{LinkRecord, LinkSecret, Times};

    const NOW: u64 = 1_777_636_807_000;

    fn secret() -> LinkSecret {
        LinkSecret::derive(&[1; 32], &[2; 32])
    }

    fn record(payload: &[u8]) -> LinkRecord {
        LinkRecord::seal(&secret(), Times::starting(NOW, 0), payload, [7; NONCE]).unwrap()
    }

    #[test]
    fn golden_datagrams() {
        let asks = question(&secret().id());
        assert_eq!(
            HEXLOWER.encode(&asks[..40]),
            "70696c6c696f6e3fb2b12ca93ff23bd96fa1bb41b21e867ab40863a0068117704717f65771d216da"
        );
        assert!(asks[40..].iter().all(|byte| *byte == 0));
        let says = answer(record(b"").as_bytes(), [9; NONCE]).unwrap();
        assert_eq!(
            HEXLOWER.encode(&says[..48]),
            "70696c6c696f6e210909090909090909090909090909090909090909090909097eccd001219d70b7e9fe3540069c8380"
        );
    }

    #[test]
    fn a_question_gets_its_record() {
        let id = secret().id();
        assert_eq!(asked(&question(&id)), Some(id.tag()));
        let record = record(b"a ticket");
        let says = answer(record.as_bytes(), [9; NONCE]).unwrap();
        assert_eq!(answered(&id, &says).as_deref(), Some(record.as_bytes()));
        let other = LinkSecret::derive(&[1; 32], &[3; 32]).id();
        assert_eq!(answered(&other, &says), None);
        assert_ne!(other.tag(), id.tag());
    }

    #[test]
    fn neither_names_the_link() {
        let id = secret().id();
        let record = record(b"a ticket");
        let says = answer(record.as_bytes(), [9; NONCE]).unwrap();
        let shows = |datagram: &[u8]| datagram.windows(8).any(|part| part == &id.as_bytes()[..8]);
        assert!(!shows(&question(&id)) && !shows(&says));
        assert!(shows(record.as_bytes()));
    }

    #[test]
    fn no_answer_is_longer_than_its_question() {
        let longest = (0..1200)
            .rev()
            .find_map(|len| answer(record(&vec![5; len]).as_bytes(), [9; NONCE]))
            .unwrap();
        assert!(longest.len() <= LOOKUP_LEN && longest.len() > LOOKUP_LEN - crate::link::PADDING);
        assert_eq!(answer(record(&[5; 1200]).as_bytes(), [9; NONCE]), None);
        assert_eq!(answer(b"no record", [9; NONCE]), None);
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let asks = question(&secret().id());
        assert_eq!(asked(&asks[..LOOKUP_LEN - 1]), None);
        assert_eq!(asked(&[&asks[..], &[0]].concat()), None);
        for at in [0, 7, 40, LOOKUP_LEN - 1] {
            let mut changed = asks;
            changed[at] ^= 1;
            assert_eq!(asked(&changed), None, "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_or_refused(bytes: Vec<u8>) {
            let _ = asked(&bytes);
            let _ = answer(&bytes, [9; NONCE]);
            prop_assert_eq!(answered(&secret().id(), &bytes), None);
            let after = [&ANSWER[..], &bytes].concat();
            prop_assert_eq!(answered(&secret().id(), &after), None);
        }

        #[test]
        fn a_changed_answer_is_noticed(at: prop::sample::Index, bit in 0..8_u8) {
            let mut says = answer(record(b"a ticket").as_bytes(), [9; NONCE]).unwrap();
            let at = at.index(says.len());
            says[at] ^= 1_u8 << bit;
            prop_assert_eq!(answered(&secret().id(), &says), None);
        }
    }
}
