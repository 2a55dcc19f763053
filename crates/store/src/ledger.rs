//! The ledger: what was given and taken away, each entry on disk before it counts, and none lost
//! without notice.
//!
//! ```text
//! ledger.log     entries, each: length u32, CRC-32 u32 of what follows, number u64,
//!                CRC-32 of the entry before u32, the entry's bytes      (all little-endian)
//! ledger.count   two slots, each: entries u64, CRC-32 of the last one u32, CRC-32 of the slot u32
//! ```
//!
//! An append writes and syncs the entries, then writes the count in the slot that holds the older one, and
//! only then reports. So a kill in between leaves entries nobody was told of, which are kept if they
//! are whole, and never a count of entries that aren't there. The count is not waited for: after a power
//! loss it may be an older one, and the entries are there all the same. An entry that is missing or altered
//! anywhere breaks the chain, and a tail that is missing falls short of the count: both are
//! [`StoreError::LedgerDamaged`], and nothing is to be started from such a ledger.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::dir::{Dir, file_size_limit};
use crate::error::StoreError;

/// Largest ledger entry.
pub const MAX_LEDGER_ENTRY: usize = 64 << 10;
/// Largest ledger: at ~100 bytes per use of a grant, well over half a million of them.
pub const MAX_LEDGER_BYTES: u64 = 64 << 20;

pub(crate) const LEDGER_FILE: &str = "ledger.log";
pub(crate) const COUNT_FILE: &str = "ledger.count";

/// An entry's number and the checksum of the one before, which the length counts.
const ENTRY_CHAIN: usize = 12;
/// One of the two counts.
const SLOT: usize = 16;

/// How many entries there are, and the checksum of the last one; 0 before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct End {
    entries: u64,
    crc: u32,
}

/// Makes the empty ledger of a new session, so that one that is missing later was lost.
pub(crate) fn make(dir: &Dir) -> Result<(), StoreError> {
    dir.create_file(LEDGER_FILE)?;
    let count = dir.create_file(COUNT_FILE)?;
    let none = End::default().to_slot();
    count
        .write_all_at(&[none, none].concat(), 0)
        .and_then(|()| count.sync_all())
        .map_err(|e| StoreError::io("write", &dir.path().join(COUNT_FILE), e))
}

/// Reads every entry, oldest first.
pub(crate) fn read(dir: &Dir) -> Result<Vec<Vec<u8>>, StoreError> {
    let found = open(dir, Dir::read_file)?;
    Ok(found.entries)
}

/// Appends to the ledger.
pub struct LedgerWriter {
    dir: Arc<Dir>,
    file: File,
    count: File,
    /// Behind the last entry that counts.
    length: u64,
    end: End,
    /// The slot that says so.
    slot: usize,
}

impl LedgerWriter {
    /// Opens the ledger behind its last whole entry; and its entries, oldest first.
    pub(crate) fn open(dir: Arc<Dir>) -> Result<(LedgerWriter, Vec<Vec<u8>>), StoreError> {
        let Found {
            file,
            count,
            length,
            end,
            slot,
            entries,
        } = open(&dir, Dir::open_file)?;
        let path = dir.path().join(LEDGER_FILE);
        // The directory's entry must last as the ledger's entries do.
        file.set_len(length)
            .and_then(|()| file.sync_all())
            .and_then(|()| dir.sync())
            .map_err(|e| StoreError::io("cut the torn end of", &path, e))?;
        let mut writer = LedgerWriter {
            dir,
            file,
            count,
            length,
            end,
            slot,
        };
        // What was written and not counted counts from here on.
        writer.write_count(end)?;
        Ok((writer, entries))
    }

    /// Adds entries, all or none. Waits for the disk: durable when this returns `Ok`, and without
    /// effect if it returns an error.
    ///
    /// # Errors
    /// An empty or overlong entry, a full ledger, or the system refused.
    pub fn append<T: AsRef<[u8]>>(&mut self, entries: &[T]) -> Result<(), StoreError> {
        let (mut bytes, mut end) = (Vec::new(), self.end);
        for entry in entries {
            end = push_entry(&mut bytes, end, entry.as_ref())?;
        }
        let length = self.length + bytes.len() as u64;
        let limit = MAX_LEDGER_BYTES.min(file_size_limit());
        if length > limit {
            return Err(StoreError::TooLarge {
                what: "the ledger",
                size: length,
                limit,
            });
        }
        let written = self
            .file
            .write_all_at(&bytes, self.length)
            .and_then(|()| self.file.sync_data())
            .map_err(|e| StoreError::io("write", &self.dir.path().join(LEDGER_FILE), e))
            .and_then(|()| self.write_count(end));
        if let Err(error) = written {
            // Cut it off, so that it can't turn up after a restart. Should that fail as well, the
            // next append overwrites it; it comes first because nothing else moves `length`.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        (self.length, self.end) = (length, end);
        Ok(())
    }

    /// Says how many entries there are. The slot that says how many there were stays as it is,
    /// for a count that is cut short.
    fn write_count(&mut self, end: End) -> Result<(), StoreError> {
        let slot = 1 - self.slot;
        let at = (slot * SLOT) as u64;
        let written = self.count.write_all_at(&end.to_slot(), at);
        if let Err(e) = written {
            // It must not count what is cut off now.
            let _ = self.count.write_all_at(&[0; SLOT], at);
            let path = self.dir.path().join(COUNT_FILE);
            return Err(StoreError::io("write", &path, e));
        }
        self.slot = slot;
        Ok(())
    }
}

/// A ledger's files, and what is in them.
struct Found {
    file: File,
    count: File,
    /// Behind the last whole entry.
    length: u64,
    end: End,
    /// The slot that counts.
    slot: usize,
    entries: Vec<Vec<u8>>,
}

/// Opens and reads a ledger whose every entry that counts is there.
fn open(
    dir: &Dir,
    file: impl Fn(&Dir, &str) -> Result<File, StoreError>,
) -> Result<Found, StoreError> {
    let damaged = |what: String| StoreError::LedgerDamaged {
        path: dir.path().join(LEDGER_FILE),
        what,
    };
    let present = |name: &str| match file(dir, name) {
        Err(e) if e.is_not_found() => Err(damaged(format!("{name} is missing"))),
        other => other,
    };
    let (file, count) = (present(LEDGER_FILE)?, present(COUNT_FILE)?);
    let slots = contents(dir, COUNT_FILE, &count, 2 * SLOT as u64)?;
    let slots = slots.chunks_exact(SLOT).map(End::from_slot).enumerate();
    let counts = slots.filter_map(|(slot, count)| Some((slot, count?)));
    let (slot, counted) = counts
        .max_by_key(|(_, count)| count.entries)
        .ok_or_else(|| damaged(format!("{COUNT_FILE} can't be read")))?;

    let bytes = contents(dir, LEDGER_FILE, &file, MAX_LEDGER_BYTES)?;
    let (mut rest, mut end, mut entries) = (bytes.as_slice(), End::default(), Vec::new());
    let mut at_count = (counted.entries == 0).then_some(end);
    while let Some((entry, next, after)) = split_entry(rest, end) {
        entries.push(entry.to_vec());
        (rest, end) = (after, next);
        if end.entries == counted.entries {
            at_count = Some(end);
        }
    }
    match at_count {
        Some(there) if there.crc == counted.crc => {}
        Some(_) => {
            return Err(damaged(format!(
                "its first {} entries are not those that were written",
                counted.entries
            )));
        }
        None if rest.is_empty() => {
            return Err(damaged(format!(
                "its end is missing: it holds {} of {} entries",
                end.entries, counted.entries
            )));
        }
        None => {
            return Err(damaged(format!(
                "entry {} of {} is altered, or one is missing before it",
                end.entries + 1,
                counted.entries
            )));
        }
    }
    Ok(Found {
        length: (bytes.len() - rest.len()) as u64,
        file,
        count,
        end,
        slot,
        entries,
    })
}

fn contents(dir: &Dir, name: &str, file: &File, limit: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    io::Read::take(file, limit)
        .read_to_end(&mut bytes)
        .map_err(|e| StoreError::io("read", &dir.path().join(name), e))?;
    Ok(bytes)
}

impl End {
    fn to_slot(self) -> [u8; SLOT] {
        let mut slot = [0; SLOT];
        slot[..8].copy_from_slice(&self.entries.to_le_bytes());
        slot[8..12].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32fast::hash(&slot[..12]);
        slot[12..].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    fn from_slot(slot: &[u8]) -> Option<End> {
        let (entries, rest) = slot.split_first_chunk()?;
        let (crc, sum) = rest.split_first_chunk()?;
        let sound = crc32fast::hash(&slot[..12]).to_le_bytes() == sum;
        sound.then(|| End {
            entries: u64::from_le_bytes(*entries),
            crc: u32::from_le_bytes(*crc),
        })
    }
}

/// Writes an entry behind `end`; where the ledger ends then.
fn push_entry(bytes: &mut Vec<u8>, end: End, entry: &[u8]) -> Result<End, StoreError> {
    if entry.is_empty() || entry.len() > MAX_LEDGER_ENTRY {
        return Err(StoreError::TooLarge {
            what: "a ledger entry (which isn't empty either)",
            size: entry.len() as u64,
            limit: MAX_LEDGER_ENTRY as u64,
        });
    }
    let number = end.entries.to_le_bytes();
    let content = [&number, &end.crc.to_le_bytes()[..], entry].concat();
    let crc = crc32fast::hash(&content);
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&content);
    let entries = end.entries + 1;
    Ok(End { entries, crc })
}

/// The entry that follows `end`, where the ledger ends with it, and what is behind; `None` if it is not
/// there whole.
fn split_entry(bytes: &[u8], end: End) -> Option<(&[u8], End, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    // No entry is empty.
    let (content, rest) = rest
        .split_at_checked(length)
        .filter(|_| length > ENTRY_CHAIN)?;
    let (number, entry) = content.split_first_chunk()?;
    let (before, entry) = entry.split_first_chunk()?;
    let crc = u32::from_le_bytes(*crc);
    let follows = crc32fast::hash(content) == crc
        && u64::from_le_bytes(*number) == end.entries
        && u32::from_le_bytes(*before) == end.crc;
    let entries = end.entries + 1;
    follows.then_some((entry, End { entries, crc }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> (tempfile::TempDir, Arc<Dir>) {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::create_root(&temp.path().join("sessions")).unwrap();
        let dir = root.create_dir("s").unwrap();
        make(&dir).unwrap();
        (temp, Arc::new(dir))
    }

    fn writer(dir: &Arc<Dir>) -> LedgerWriter {
        LedgerWriter::open(dir.clone()).unwrap().0
    }

    fn file(dir: &Dir, name: &str) -> Vec<u8> {
        std::fs::read(dir.path().join(name)).unwrap()
    }

    fn put(dir: &Dir, name: &str, bytes: &[u8]) {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }

    /// What is said of a damaged ledger, by both who read it.
    fn damage(dir: &Arc<Dir>) -> String {
        let text = read(dir).unwrap_err().to_string();
        let again = LedgerWriter::open(dir.clone()).err().unwrap();
        assert_eq!(again.to_string(), text);
        text
    }

    /// Where each entry begins, and the end.
    fn bounds(bytes: &[u8]) -> Vec<usize> {
        let mut bounds = vec![0];
        let mut at = 0;
        while at < bytes.len() {
            let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            at += 8 + length as usize;
            bounds.push(at);
        }
        bounds
    }

    fn entries() -> Vec<Vec<u8>> {
        (1..6u8).map(|n| vec![n; usize::from(n) * 7]).collect()
    }

    #[test]
    fn entries_are_bounded_and_appended_all_or_none() {
        let (_temp, dir) = dir();
        let mut writer = writer(&dir);
        assert!(writer.append(&[vec![0; MAX_LEDGER_ENTRY + 1]]).is_err());
        assert!(writer.append(&[&b"one"[..], b""]).is_err());
        assert!(read(&dir).unwrap().is_empty());
        writer.append(&[&b"one"[..], b"two"]).unwrap();
        writer.append::<Vec<u8>>(&[]).unwrap();
        assert_eq!(read(&dir).unwrap(), [b"one", b"two"]);
    }

    /// Killed in an append, and nothing else happened: what was reported is there, and the entry that was
    /// being written whole or not at all.
    #[test]
    fn an_append_cut_anywhere_loses_nothing_that_was_reported() {
        let (_temp, dir) = dir();
        let (first, last) = (entries(), b"being written");
        let mut one = writer(&dir);
        one.append(&first).unwrap();
        let (before, count) = (file(&dir, LEDGER_FILE), file(&dir, COUNT_FILE));
        one.append(&[last]).unwrap();
        let whole = file(&dir, LEDGER_FILE);
        for cut in before.len()..=whole.len() {
            put(&dir, LEDGER_FILE, &whole[..cut]);
            put(&dir, COUNT_FILE, &count);
            let mut kept = first.clone();
            kept.extend((cut == whole.len()).then(|| last.to_vec()));
            assert_eq!(read(&dir).unwrap(), kept, "cut at {cut}");
            writer(&dir).append(&[b"later"]).unwrap();
            kept.push(b"later".to_vec());
            assert_eq!(read(&dir).unwrap(), kept, "cut at {cut}");
        }
    }

    #[test]
    fn a_lost_end_is_noticed_wherever_it_begins() {
        let (_temp, dir) = dir();
        writer(&dir).append(&entries()).unwrap();
        let whole = file(&dir, LEDGER_FILE);
        for cut in 0..whole.len() {
            put(&dir, LEDGER_FILE, &whole[..cut]);
            let text = damage(&dir);
            assert!(text.contains("of 5"), "cut at {cut}: {text}");
            assert_eq!(
                file(&dir, LEDGER_FILE),
                &whole[..cut],
                "it is left as it is"
            );
        }
    }

    #[test]
    fn a_lost_or_swapped_entry_is_noticed() {
        let (_temp, dir) = dir();
        writer(&dir).append(&entries()).unwrap();
        let whole = file(&dir, LEDGER_FILE);
        let at = bounds(&whole);
        for lost in 0..5 {
            let bytes = [&whole[..at[lost]], &whole[at[lost + 1]..]].concat();
            put(&dir, LEDGER_FILE, &bytes);
            damage(&dir);
        }
        let parts: Vec<&[u8]> = at.windows(2).map(|at| &whole[at[0]..at[1]]).collect();
        put(
            &dir,
            LEDGER_FILE,
            &[parts[0], parts[2], parts[1], parts[3], parts[4]].concat(),
        );
        damage(&dir);
        // Each whole, and as many as there should be, but not those of this session.
        let other = self::dir();
        writer(&other.1).append(&[b"another"; 5]).unwrap();
        put(&dir, LEDGER_FILE, &file(&other.1, LEDGER_FILE));
        assert!(damage(&dir).contains("not those that were written"));
    }

    #[test]
    fn a_flipped_bit_is_noticed_anywhere() {
        let (_temp, dir) = dir();
        writer(&dir).append(&entries()).unwrap();
        let (whole, count) = (file(&dir, LEDGER_FILE), file(&dir, COUNT_FILE));
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            put(&dir, LEDGER_FILE, &bytes);
            damage(&dir);
        }
        put(&dir, LEDGER_FILE, &whole);
        // One of two counts is enough, and both are not needed to be cut short.
        for at in 0..count.len() {
            let mut bytes = count.clone();
            bytes[at] ^= 0x40;
            put(&dir, COUNT_FILE, &bytes);
            assert_eq!(read(&dir).unwrap(), entries());
        }
        put(&dir, COUNT_FILE, &vec![0; count.len()]);
        assert!(damage(&dir).contains(COUNT_FILE));
    }

    #[test]
    fn files_that_are_missing_were_lost() {
        let (_temp, dir) = dir();
        for name in [LEDGER_FILE, COUNT_FILE] {
            let bytes = file(&dir, name);
            std::fs::remove_file(dir.path().join(name)).unwrap();
            assert!(damage(&dir).contains(&format!("{name} is missing")));
            dir.create_file(name).unwrap();
            put(&dir, name, &bytes);
        }
        assert!(read(&dir).unwrap().is_empty());
    }
}
