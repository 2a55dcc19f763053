//! Cutting a stream of bytes into messages.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::message::ProtocolError;

/// Bytes before a message's payload: its length (`u32`, big endian, tag included) and its tag.
pub const HEADER: usize = 5;

/// Appends one message to `out`.
///
/// # Panics
/// When the payload does not fit a `u32`; senders stay below [`crate::limits`].
pub fn encode_message(out: &mut BytesMut, tag: u8, payload: &[u8]) {
    begin_message(out, tag, payload.len());
    out.put_slice(payload);
}

/// Appends what goes before a payload of `length` bytes.
pub(crate) fn begin_message(out: &mut BytesMut, tag: u8, length: usize) {
    let claimed = u32::try_from(length + 1).expect("senders stay below the limits");
    out.reserve(HEADER + length);
    out.put_u32(claimed);
    out.put_u8(tag);
}

/// Cuts what arrives on one stream into messages of at most `max` bytes.
///
/// Holds no more than one message and one chunk: a claimed length over the bound is refused when its
/// four bytes are there, before anything is kept for it.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    max: usize,
}

impl Framer {
    /// A framer that refuses messages longer than `max` bytes.
    pub fn new(max: usize) -> Framer {
        Framer {
            buffer: BytesMut::new(),
            max,
        }
    }

    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held that do not make a message yet.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole message as `(tag, payload)`, or `None` until more bytes come.
    ///
    /// # Errors
    /// A message longer than the bound, or without a tag. The stream cannot be read on.
    pub fn next_message(&mut self) -> Result<Option<(u8, Bytes)>, ProtocolError> {
        let Some(head) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        if length == 0 {
            return Err(ProtocolError::Malformed("a message without a tag"));
        }
        if length > self.max {
            return Err(ProtocolError::TooLong {
                length,
                max: self.max,
            });
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        let mut message = self.buffer.split_to(length).freeze();
        let tag = message.get_u8();
        Ok(Some((tag, message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_length_tag_payload() {
        let mut out = BytesMut::new();
        encode_message(&mut out, 0x42, b"hi");
        assert_eq!(&out[..], [0, 0, 0, 3, 0x42, b'h', b'i']);
    }

    #[test]
    fn a_claimed_length_over_the_bound_is_refused_before_it_arrives() {
        let mut framer = Framer::new(100);
        framer.push(&[0, 0, 0, 101]);
        assert!(matches!(
            framer.next_message(),
            Err(ProtocolError::TooLong {
                length: 101,
                max: 100
            })
        ));
    }

    #[test]
    fn a_message_without_a_tag_is_refused() {
        let mut framer = Framer::new(100);
        framer.push(&[0, 0, 0, 0]);
        assert!(framer.next_message().is_err());
    }

    proptest! {
        #[test]
        fn messages_survive_any_chunking(
            messages in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..50)), 0..10),
            cut in 1usize..20,
        ) {
            let mut out = BytesMut::new();
            for (tag, payload) in &messages {
                encode_message(&mut out, *tag, payload);
            }
            let mut framer = Framer::new(64);
            let mut seen = Vec::new();
            for chunk in out.chunks(cut) {
                framer.push(chunk);
                while let Some((tag, payload)) = framer.next_message().unwrap() {
                    seen.push((tag, payload.to_vec()));
                }
            }
            prop_assert_eq!(seen, messages);
            prop_assert_eq!(framer.pending(), 0);
        }

        #[test]
        fn any_bytes_are_cut_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut framer = Framer::new(64);
            framer.push(&bytes);
            while let Ok(Some(_)) = framer.next_message() {}
        }
    }
}
