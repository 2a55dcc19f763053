//! Bytes that are compressed where that saves something: a first byte says whether they are.

use bytes::Bytes;

use crate::{compression::Decompressor, error::DecodeError};

const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;

/// Reads back what [`pack`] packed, of at most `max` bytes.
///
/// # Errors
/// Anything else.
pub fn unpack(packed: &Bytes, max: usize) -> Result<Bytes, DecodeError> {
    match packed.first() {
        Some(&PLAIN) if packed.len() <= max + 1 => Ok(packed.slice(1..)),
        Some(&COMPRESSED) => {
            let mut body = Vec::new();
            Decompressor::new().whole(&packed[1..], &mut body, max)?;
            Ok(body.into())
        }
        _ => Err(DecodeError::Invalid("the beginning of packed bytes")),
    }
}

#[cfg(feature = "emulator")]
pub use packing::pack;

#[cfg(feature = "emulator")]
mod packing {
    use bytes::{BufMut, Bytes, BytesMut};

    use super::{COMPRESSED, PLAIN};
    use crate::compression::Compressor;

    /// Fewer bytes are sent as they are: a context costs more than it saves.
    const MIN: usize = 1024;

    /// Fast, because it is done between a message of an agent's and its viewers.
    const LEVEL: i32 = 1;

    /// Packs bytes; [`unpack`](super::unpack) reads them.
    pub fn pack(bytes: &[u8]) -> Bytes {
        let compressed = (bytes.len() >= MIN).then(|| Compressor::new(LEVEL).whole(bytes));
        let shorter = compressed.filter(|compressed| compressed.len() < bytes.len());
        let (how, body) = match &shorter {
            Some(compressed) => (COMPRESSED, &compressed[..]),
            None => (PLAIN, bytes),
        };
        let mut out = BytesMut::with_capacity(body.len() + 1);
        out.put_u8(how);
        out.put_slice(body);
        out.freeze()
    }
}

#[cfg(all(test, feature = "emulator"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_repeats_itself_gets_shorter_and_what_is_short_stays() {
        let long = b"again and ".repeat(1000);
        assert!(pack(&long).len() < 1000);
        assert_eq!(pack(b"short")[..], *b"\0short");
    }

    #[test]
    fn no_more_is_unpacked_than_was_said() {
        let packed = pack(&vec![7; 100_000]);
        assert!(unpack(&packed, 99_999).is_err());
        assert_eq!(unpack(&packed, 100_000).unwrap(), vec![7; 100_000]);
        assert!(unpack(&pack(b"short"), 4).is_err());
        assert!(unpack(&Bytes::new(), 4).is_err());
        assert!(unpack(&Bytes::from_static(b"\x02x"), 4).is_err());
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            prop_assert_eq!(unpack(&pack(&bytes), bytes.len()).unwrap(), bytes);
        }

        #[test]
        fn anything_else_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(&bytes.into(), 1000);
        }
    }
}
