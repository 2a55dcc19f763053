//! The state of a log track: numbered entries, of which the newest of each key is the state of now.

use bytes::{Bytes, BytesMut};
use pillion_proto::{
    Entry, LogState, Text,
    limits::{MAX_ENTRY, MAX_FOLDED_BYTES},
};

/// Entries that no frame has, in bytes, at which a frame is made at once, with or without viewers: what is more than the
/// state of now need not wait for anything.
pub(in crate::host) const MAX_PENDING: usize = MAX_FOLDED_BYTES;

/// A log track's entries as far as they are the state of now.
pub(in crate::host) struct LogTrack {
    /// As of the newest frame.
    state: LogState,
    /// Entries that no frame has yet, and the same encoded.
    pending: Vec<Entry>,
    encoded: BytesMut,
}

impl LogTrack {
    pub(in crate::host) fn new() -> LogTrack {
        LogTrack {
            state: LogState::default(),
            pending: Vec::new(),
            encoded: BytesMut::new(),
        }
    }

    /// The number of the entry that comes next.
    pub(in crate::host) fn next(&self) -> u64 {
        self.state.next.saturating_add(self.pending.len() as u64)
    }

    /// Whether there are entries that no frame has.
    pub(in crate::host) fn dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether there are so many of them that they don't wait for a better moment.
    pub(in crate::host) fn is_full(&self) -> bool {
        self.encoded.len() >= MAX_PENDING
    }

    /// Adds an entry: its number, and it as the session's log keeps it. One that is too large is replaced
    /// by one that says so, so that none is missing.
    pub(in crate::host) fn append(&mut self, key: &str, json: Bytes) -> (u64, Bytes) {
        let json = match json.len() {
            0..=MAX_ENTRY => json,
            length => format!(r#"{{"error":"too_large","bytes":{length}}}"#).into(),
        };
        let entry = Entry {
            number: self.next(),
            key: Text::cut(key),
            json,
        };
        let number = entry.number;
        let mut encoded = BytesMut::new();
        entry.encode(&mut encoded);
        self.encoded.extend_from_slice(&encoded);
        self.pending.push(entry);
        (number, encoded.freeze())
    }

    /// The entries that no frame had, as a frame's payload. The state has them from now on.
    pub(in crate::host) fn take_pending(&mut self) -> Bytes {
        for entry in self.pending.drain(..) {
            self.state.apply(entry);
        }
        self.encoded.split().freeze()
    }

    /// The state of the newest frame, as a snapshot's payload.
    pub(in crate::host) fn snapshot(&self) -> Bytes {
        self.state.encode()
    }
}

#[cfg(test)]
mod tests {
    use pillion_proto::limits::MAX_FOLDED;

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
        log.take_pending();
        assert_eq!(numbers(&log), [1, 2, 3, 4]);
        assert_eq!(state(&log).next, 5);
    }

    #[test]
    fn what_no_frame_had_comes_once() {
        let mut log = LogTrack::new();
        let (number, encoded) = log.append("a", Bytes::from_static(b"1"));
        assert_eq!(number, 0);
        assert!(log.dirty());
        assert_eq!((log.next(), state(&log).next), (1, 0), "no frame has it");
        assert_eq!(log.take_pending(), encoded);
        assert_eq!((log.next(), state(&log).next), (1, 1));
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
        assert!(log.is_full());
        log.take_pending();
        assert!(!log.is_full());
        let state = state(&log);
        let bytes: usize = state.entries.iter().map(|one| one.json.len()).sum();
        assert!(bytes <= MAX_FOLDED_BYTES);
        assert_eq!(
            state.entries.last().map(|last| last.number),
            Some(state.next - 1)
        );
    }

    #[test]
    fn an_entry_that_is_too_large_is_not_missing() {
        let mut log = LogTrack::new();
        log.append("", vec![b'x'; MAX_ENTRY + 1].into());
        log.take_pending();
        let state = state(&log);
        assert!(state.entries[0].json.starts_with(br#"{"error""#));
    }
}
