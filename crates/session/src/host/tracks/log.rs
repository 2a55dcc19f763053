//! The state of a log track: numbered entries, of which the newest of each key is the state of now.

use bytes::{Bytes, BytesMut};
use pillion_proto::{Entry, LogState, Text, limits::MAX_ENTRY};

/// A log track's entries as far as they are the state of now.
pub(in crate::host) struct LogTrack {
    state: LogState,
    /// Entries that no frame has yet, encoded.
    pending: BytesMut,
}

impl LogTrack {
    pub(in crate::host) fn new() -> LogTrack {
        LogTrack {
            state: LogState::default(),
            pending: BytesMut::new(),
        }
    }

    /// The number of the entry that comes next.
    pub(in crate::host) fn next(&self) -> u64 {
        self.state.next
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
            number: self.state.next,
            key: Text::cut(key),
            json,
        };
        let number = entry.number;
        let mut encoded = BytesMut::new();
        entry.encode(&mut encoded);
        self.pending.extend_from_slice(&encoded);
        self.state.apply(entry);
        (number, encoded.freeze())
    }

    /// The entries that no frame had, as a frame's payload.
    pub(in crate::host) fn take_pending(&mut self) -> Bytes {
        self.pending.split().freeze()
    }

    /// The state of now, as a snapshot's payload.
    pub(in crate::host) fn snapshot(&self) -> Bytes {
        self.state.encode()
    }
}

#[cfg(test)]
mod tests {
    use pillion_proto::limits::{MAX_FOLDED, MAX_FOLDED_BYTES};

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
        let state = state(&log);
        assert!(state.entries[0].json.starts_with(br#"{"error""#));
    }
}
