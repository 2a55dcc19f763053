//! Small files beside the log: documents that are replaced whole, and the ledger, where an entry
//! is on disk before it counts.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::dir::Dir;
use crate::error::StoreError;
use crate::meta::is_plain_name;

/// Largest document.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// Largest ledger entry.
pub const MAX_LEDGER_ENTRY: usize = 64 << 10;
/// Largest ledger: at ~100 bytes per use of a grant, well over half a million of them.
pub const MAX_LEDGER_BYTES: u64 = 64 << 20;

pub(crate) const LEDGER_FILE: &str = "ledger.log";
/// What a document's file name ends in.
pub(crate) const DOCUMENT: &str = ".doc";

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

/// What a ledger holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The entries, oldest first.
    pub entries: Vec<Vec<u8>>,
    /// Bytes at its end that are no whole entry: an append that was cut short and so never counted.
    pub torn_bytes: u64,
    /// More follows those bytes than one entry cut short: the disk lost entries that did count, so
    /// no grant of this session should be honoured any more.
    pub damaged: bool,
}

impl Ledger {
    pub(crate) fn read(dir: &Dir) -> Result<Ledger, StoreError> {
        match dir.read_file(LEDGER_FILE) {
            Ok(file) => read_entries(dir, file),
            Err(e) if e.is_not_found() => Ok(Ledger::default()),
            Err(e) => Err(e),
        }
    }

    fn whole_bytes(&self) -> u64 {
        let sizes = self.entries.iter().map(|entry| ENTRY_HEADER + entry.len());
        sizes.sum::<usize>() as u64
    }
}

/// Length and CRC-32, both u32, little-endian.
const ENTRY_HEADER: usize = 8;

/// Appends to the ledger.
pub(crate) struct LedgerWriter {
    file: File,
    length: u64,
}

impl LedgerWriter {
    /// Opens the ledger behind its last whole entry, making it if there is none.
    pub fn open(dir: &Dir) -> Result<LedgerWriter, StoreError> {
        let file = dir.open_or_create(LEDGER_FILE)?;
        let path = dir.path().join(LEDGER_FILE);
        let copy = file
            .try_clone()
            .map_err(|e| StoreError::io("open", &path, e))?;
        let ledger = read_entries(dir, copy)?;
        if ledger.damaged {
            // Cutting it off here would forget uses and revocations that did count.
            return Err(StoreError::bad(
                path,
                "an entry in its middle is damaged; start a new session, whose grants are new",
            ));
        }
        let length = ledger.whole_bytes();
        // The directory's entry must last as the ledger's entries do.
        file.set_len(length)
            .and_then(|()| dir.sync())
            .map_err(|e| StoreError::io("cut the torn end of", &path, e))?;
        Ok(LedgerWriter { file, length })
    }

    /// Durable when this returns `Ok`; without effect if it returns an error.
    pub fn append(&mut self, dir: &Dir, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.is_empty() || bytes.len() > MAX_LEDGER_ENTRY {
            return Err(StoreError::TooLarge {
                what: "a ledger entry (which isn't empty either)",
                size: bytes.len() as u64,
                limit: MAX_LEDGER_ENTRY as u64,
            });
        }
        let end = self.length + (ENTRY_HEADER + bytes.len()) as u64;
        if end > MAX_LEDGER_BYTES {
            return Err(StoreError::TooLarge {
                what: "the ledger",
                size: end,
                limit: MAX_LEDGER_BYTES,
            });
        }
        let mut entry = Vec::with_capacity(ENTRY_HEADER + bytes.len());
        entry.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        entry.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        entry.extend_from_slice(bytes);
        let written = self
            .file
            .write_all_at(&entry, self.length)
            .and_then(|()| self.file.sync_data());
        if let Err(e) = written {
            // Cut it off, so that it can't turn up after a restart. Should that fail as well, the
            // next append overwrites it; it comes first because nothing else moves `length`.
            let _ = self.file.set_len(self.length);
            return Err(StoreError::io("write", &dir.path().join(LEDGER_FILE), e));
        }
        self.length = end;
        Ok(())
    }
}

fn read_entries(dir: &Dir, mut file: File) -> Result<Ledger, StoreError> {
    let mut bytes = Vec::new();
    io::Read::by_ref(&mut file)
        .take(MAX_LEDGER_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|e| StoreError::io("read", &dir.path().join(LEDGER_FILE), e))?;
    let mut ledger = Ledger::default();
    let mut rest = bytes.as_slice();
    while let Some((entry, after)) = split_entry(rest) {
        ledger.entries.push(entry.to_vec());
        rest = after;
    }
    ledger.torn_bytes = rest.len() as u64;
    ledger.damaged = !is_cut_short(rest);
    Ok(ledger)
}

/// Whether these bytes are what an append can leave that was cut short: part of one entry, of
/// which a power loss may have kept any piece.
fn is_cut_short(rest: &[u8]) -> bool {
    match rest.split_first_chunk() {
        Some((length, _)) => {
            let length = u32::from_le_bytes(*length) as usize;
            let entry = ENTRY_HEADER + length.min(MAX_LEDGER_ENTRY);
            rest.len() <= entry || rest.iter().all(|b| *b == 0)
        }
        None => true,
    }
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    // No entry is empty, or a run of zeros would be entries.
    let (entry, rest) = rest.split_at_checked(length).filter(|_| length > 0)?;
    (crc32fast::hash(entry) == u32::from_le_bytes(*crc)).then_some((entry, rest))
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

    #[test]
    fn the_ledger_survives_being_cut_anywhere() {
        let (_temp, dir) = dir();
        let entries: Vec<Vec<u8>> = (1..6u8).map(|n| vec![n; usize::from(n) * 7]).collect();
        let mut writer = LedgerWriter::open(&dir).unwrap();
        for entry in &entries {
            writer.append(&dir, entry).unwrap();
        }
        assert!(writer.append(&dir, &vec![0; MAX_LEDGER_ENTRY + 1]).is_err());
        assert!(writer.append(&dir, &[]).is_err());
        let whole = std::fs::read(dir.path().join(LEDGER_FILE)).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(dir.path().join(LEDGER_FILE), &whole[..cut]).unwrap();
            let read = Ledger::read(&dir).unwrap();
            assert_eq!(read.entries, entries[..read.entries.len()]);
            assert!(!read.damaged);
            assert_eq!(read.whole_bytes() + read.torn_bytes, cut as u64);
            let mut writer = LedgerWriter::open(&dir).unwrap();
            writer.append(&dir, b"later").unwrap();
            let again = Ledger::read(&dir).unwrap();
            assert_eq!(again.entries.len(), read.entries.len() + 1);
            assert_eq!(again.entries.last().unwrap(), b"later");
            assert_eq!(again.torn_bytes, 0);
        }
    }

    #[test]
    fn flipped_bytes_end_the_ledger_there() {
        let (_temp, dir) = dir();
        let mut writer = LedgerWriter::open(&dir).unwrap();
        writer.append(&dir, b"first").unwrap();
        writer.append(&dir, b"second").unwrap();
        let whole = std::fs::read(dir.path().join(LEDGER_FILE)).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            std::fs::write(dir.path().join(LEDGER_FILE), &bytes).unwrap();
            let read = Ledger::read(&dir).unwrap();
            assert_eq!(read.entries.len(), usize::from(at >= 13), "byte {at}");
            // The first entry's checksum or content: the second one, which counts, is behind it.
            if (4..13).contains(&at) {
                assert!(read.damaged, "byte {at}");
                assert!(LedgerWriter::open(&dir).is_err(), "byte {at}");
                assert_eq!(std::fs::read(dir.path().join(LEDGER_FILE)).unwrap(), bytes);
            }
        }
    }
}
