//! Small documents beside the log, replaced whole.

use std::sync::Arc;

use crate::dir::Dir;
use crate::error::StoreError;
use crate::meta::is_plain_name;

/// Largest document.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// What a document's file name ends in.
pub(crate) const DOCUMENT: &str = ".doc";

/// The documents of a session.
#[derive(Debug, Clone)]
pub struct Documents {
    dir: Arc<Dir>,
}

impl Documents {
    pub(crate) fn new(dir: Arc<Dir>) -> Documents {
        Documents { dir }
    }

    /// Replaces a document, as [`SessionLog::write_document`](crate::SessionLog::write_document) does.
    ///
    /// # Errors
    /// A malformed name, more than [`MAX_DOCUMENT_BYTES`], or the system refused; the old document is
    /// then still there.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        write_document(&self.dir, name, bytes)
    }
}

/// Replaces a document. Durable, 0600, and either the old or the new one whatever happens.
pub(crate) fn write_document(dir: &Dir, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(StoreError::TooLarge {
            what: "a document",
            size: bytes.len() as u64,
            limit: MAX_DOCUMENT_BYTES as u64,
        });
    }
    dir.write_atomically(&document_file(name)?, bytes)
}

/// A document's content; `None` if there is none of that name.
pub(crate) fn read_document(dir: &Dir, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    dir.read_small(&document_file(name)?, MAX_DOCUMENT_BYTES as u64)
}

fn document_file(name: &str) -> Result<String, StoreError> {
    if !is_plain_name(name) {
        return Err(StoreError::BadDocumentName);
    }
    Ok(format!("{name}{DOCUMENT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::create_root(&temp.path().join("sessions")).unwrap();
        let dir = root.create_dir("s").unwrap();
        (temp, dir)
    }

    #[test]
    fn documents_are_replaced_whole_and_bounded() {
        let (_temp, dir) = dir();
        assert_eq!(read_document(&dir, "key").unwrap(), None);
        write_document(&dir, "key", b"one").unwrap();
        write_document(&dir, "key", b"two").unwrap();
        assert_eq!(read_document(&dir, "key").unwrap().unwrap(), b"two");
        let large = vec![0; MAX_DOCUMENT_BYTES + 1];
        assert!(write_document(&dir, "key", &large).is_err());
        assert_eq!(read_document(&dir, "key").unwrap().unwrap(), b"two");
        for name in ["", "../key", "Key", "a/b", &"x".repeat(65)] {
            assert!(write_document(&dir, name, b"").is_err(), "{name}");
            assert!(read_document(&dir, name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_leftover_of_an_interrupted_replacement_does_no_harm() {
        let (_temp, dir) = dir();
        write_document(&dir, "key", b"old").unwrap();
        dir.create_file("key.doc.tmp").unwrap();
        assert_eq!(read_document(&dir, "key").unwrap().unwrap(), b"old");
        write_document(&dir, "key", b"new").unwrap();
        assert_eq!(read_document(&dir, "key").unwrap().unwrap(), b"new");
    }
}
