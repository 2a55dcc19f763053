//! The state of a log track: numbered entries, of which the newest of each key is the state of now.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use pillion_proto::{
    Entry, LogState, Text,
    limits::{MAX_ENTRY, MAX_FOLDED},
};

/// Entries without a key that the state holds: what was said last.
const MAX_TAIL: usize = 64;

/// Entries that the state holds, in bytes: what a viewer who comes is sent.
const MAX_STATE_BYTES: usize = 256 * 1024;

/// A log track's entries as far as they are the state of now.
pub(in crate::host) struct LogTrack {
    /// The number of the entry that comes next.
    next: u64,
    /// The newest entry of each key, by its number.
    keyed: BTreeMap<u64, Entry>,
    numbers: BTreeMap<String, u64>,
    /// The newest without one.
    tail: VecDeque<Entry>,
    bytes: usize,
    /// Entries that no frame has yet, encoded.
    pending: BytesMut,
}

impl LogTrack {
    pub(in crate::host) fn new() -> LogTrack {
        LogTrack {
            next: 0,
            keyed: BTreeMap::new(),
            numbers: BTreeMap::new(),
            tail: VecDeque::new(),
            bytes: 0,
            pending: BytesMut::new(),
        }
    }

    /// The number of the entry that comes next.
    pub(in crate::host) fn next(&self) -> u64 {
        self.next
    }

    /// Whether there are entries that no frame has.
    pub(in crate::host) fn dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Adds an entry: its number, and it as the session's log keeps it. One that is too large is replaced
    /// by one that says so, so that none is missing.
    pub(in crate::host) fn append(&mut self, key: &str, json: Bytes) -> (u64, Bytes) {
        let json = match json.len() {
            0..=MAX_ENTRY => json,
            length => format!(r#"{{"error":"an entry of {length} bytes was too large"}}"#).into(),
        };
        let entry = Entry {
            number: self.next,
            key: Text::cut(key),
            json,
        };
        self.next += 1;
        let mut encoded = BytesMut::new();
        entry.encode(&mut encoded);
        self.pending.extend_from_slice(&encoded);
        let number = entry.number;
        self.fold(entry);
        (number, encoded.freeze())
    }

    fn fold(&mut self, entry: Entry) {
        self.bytes += weight(&entry);
        match entry.key.as_str() {
            "" => self.tail.push_back(entry),
            key => {
                let before = self.numbers.insert(key.to_owned(), entry.number);
                let before = before.and_then(|number| self.keyed.remove(&number));
                self.bytes -= before.map_or(0, |before| weight(&before));
                self.keyed.insert(entry.number, entry);
            }
        }
        while self.tail.len() > MAX_TAIL {
            self.forget_said();
        }
        while self.keyed.len() + self.tail.len() > MAX_FOLDED || self.bytes > MAX_STATE_BYTES {
            match self.tail.is_empty() {
                false => self.forget_said(),
                // Whose entry is oldest was said least recently.
                true => {
                    let Some((_, oldest)) = self.keyed.pop_first() else {
                        return;
                    };
                    self.bytes -= weight(&oldest);
                    self.numbers.remove(oldest.key.as_str());
                }
            }
        }
    }

    fn forget_said(&mut self) {
        let oldest = self.tail.pop_front();
        self.bytes -= oldest.map_or(0, |oldest| weight(&oldest));
    }

    /// The entries that no frame had, as a frame's payload.
    pub(in crate::host) fn take_pending(&mut self) -> Bytes {
        self.pending.split().freeze()
    }

    /// The state of now, as a snapshot's payload.
    pub(in crate::host) fn snapshot(&self) -> Bytes {
        let mut entries: Vec<Entry> = self.keyed.values().chain(&self.tail).cloned().collect();
        entries.sort_by_key(|entry| entry.number);
        LogState {
            next: self.next,
            entries,
        }
        .encode()
    }
}

/// What an entry weighs in the state.
fn weight(entry: &Entry) -> usize {
    entry.json.len() + entry.key.as_str().len() + 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(log: &LogTrack) -> LogState {
        LogState::decode(&log.snapshot()).unwrap()
    }

    fn numbers(log: &LogTrack) -> Vec<u64> {
        state(log).entries.iter().map(|one| one.number).collect()
    }

    #[test]
    fn the_newest_of_each_key_is_the_state() {
        let mut log = LogTrack::new();
        for (key, json) in [("a", "1"), ("", "2"), ("b", "3"), ("a", "4"), ("", "5")] {
            log.append(key, json.as_bytes().into());
        }
        assert_eq!(numbers(&log), [1, 2, 3, 4]);
        assert_eq!(state(&log).next, 5);
    }

    #[test]
    fn what_no_frame_had_comes_once() {
        let mut log = LogTrack::new();
        let (number, encoded) = log.append("a", Bytes::from_static(b"1"));
        assert_eq!(number, 0);
        assert!(log.dirty());
        assert_eq!(log.take_pending(), encoded);
        assert!(!log.dirty() && log.take_pending().is_empty());
    }

    #[test]
    fn the_state_is_bounded_by_entries_and_by_bytes() {
        let mut log = LogTrack::new();
        for number in 0..2000 {
            log.append(&format!("key {number}"), Bytes::from_static(b"1"));
            log.append("", Bytes::from_static(b"2"));
            log.take_pending();
        }
        assert!(state(&log).entries.len() <= MAX_FOLDED);
        let large = Bytes::from(vec![b'x'; MAX_ENTRY]);
        for number in 0..100 {
            log.append(&format!("large {number}"), large.clone());
        }
        let state = state(&log);
        let bytes: usize = state.entries.iter().map(|one| one.json.len()).sum();
        assert!(bytes <= MAX_STATE_BYTES);
        assert_eq!(
            state.entries.last().map(|last| last.number),
            Some(state.next - 1)
        );
        assert_eq!(log.numbers.len(), log.keyed.len());
    }

    #[test]
    fn an_entry_that_is_too_large_is_not_missing() {
        let mut log = LogTrack::new();
        log.append("", vec![b'x'; MAX_ENTRY + 1].into());
        let state = state(&log);
        assert!(state.entries[0].json.starts_with(br#"{"error""#));
    }
}
