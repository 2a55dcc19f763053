//! What a log track is made of: in frames, in its state, in history and in the session's log.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{ProtocolError, bounded, get};
use crate::{
    limits::{
        MAX_CONVERSATION_ENTRY, MAX_ENTRY, MAX_ENTRY_KEY, MAX_FOLDED, MAX_FOLDED_BYTES,
        MAX_FOLDED_TAIL,
    },
    text::Text,
};

/// One entry of a log track. Entries never change: a later one with the same key takes an earlier one's
/// place in the state, and both stay in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts the entries of the track, from 0.
    pub number: u64,
    /// What it says something about; empty when it stands for itself.
    pub key: Text<MAX_ENTRY_KEY>,
    /// JSON, at most [`MAX_ENTRY`] bytes, or of a conversation [`MAX_CONVERSATION_ENTRY`]. Opaque here; anybody who shows it cleans it.
    pub json: Bytes,
}

impl Entry {
    /// Whether it stands for itself, without a key.
    fn is_said(&self) -> bool {
        self.key.as_str().is_empty()
    }

    /// What it weighs in the state.
    fn weight(&self) -> usize {
        self.json.len() + self.key.as_str().len()
    }

    /// Appends the entry to `out`: its length, and its message.
    pub fn encode(&self, out: &mut BytesMut) {
        let body = postcard::to_allocvec(self).expect("our own messages always encode");
        let length = u32::try_from(body.len()).expect("an entry is bounded");
        out.put_u32(length);
        out.put_slice(&body);
    }

    /// Reads entries that stand one after the other, by ascending numbers.
    ///
    /// # Errors
    /// Anything else, or an entry out of its bounds.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Entry>, ProtocolError> {
        Entry::decode_within(bytes, MAX_ENTRY)
    }

    /// The same of a conversation's entries, which are longer: at most [`MAX_CONVERSATION_ENTRY`] bytes.
    ///
    /// # Errors
    /// Anything else, or an entry out of its bounds.
    pub fn decode_conversation(bytes: &[u8]) -> Result<Vec<Entry>, ProtocolError> {
        Entry::decode_within(bytes, MAX_CONVERSATION_ENTRY)
    }

    /// The same of entries as a host's log has them, which are whole.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode_recorded(bytes: &[u8]) -> Result<Vec<Entry>, ProtocolError> {
        Entry::decode_within(bytes, usize::MAX)
    }

    fn decode_within(mut bytes: &[u8], max: usize) -> Result<Vec<Entry>, ProtocolError> {
        let malformed = ProtocolError::Malformed("entries of a log");
        let mut entries: Vec<Entry> = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<4>().ok_or(malformed.clone())?;
            let length = u32::from_be_bytes(*length) as usize;
            let (body, rest) = rest.split_at_checked(length).ok_or(malformed.clone())?;
            let entry: Entry = get(body, "an entry of a log")?;
            bounded(entry.json.len() <= max, "an oversized entry of a log")?;
            let last = entries.last().map(|entry| entry.number);
            bounded(
                last.is_none_or(|last| last < entry.number),
                "entries of a log out of order",
            )?;
            entries.push(entry);
            bytes = rest;
        }
        Ok(entries)
    }
}

/// What a log track's entries fold into: the newest of each key and of those without one, as many as there
/// is room for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogState {
    /// The number of the entry that comes next.
    pub next: u64,
    /// At most [`MAX_FOLDED`], by number.
    pub entries: Vec<Entry>,
}

impl LogState {
    /// Takes in the entry that comes next. Host and viewer do it alike, so that a viewer that follows has what
    /// one that comes is sent.
    pub fn apply(&mut self, entry: Entry) {
        self.next = entry.number.saturating_add(1);
        if !entry.is_said() {
            self.entries.retain(|known| known.key != entry.key);
        }
        self.entries.push(entry);
        let said = |entries: &[Entry]| entries.iter().filter(|entry| entry.is_said()).count();
        let weight = |entries: &[Entry]| entries.iter().map(Entry::weight).sum::<usize>();
        while said(&self.entries) > MAX_FOLDED_TAIL
            || self.entries.len() > MAX_FOLDED
            || weight(&self.entries) > MAX_FOLDED_BYTES
        {
            // The oldest of those that were only said, or else of those that something else took the place of
            // least recently.
            let oldest = self.entries.iter().position(Entry::is_said);
            self.entries.remove(oldest.unwrap_or_default());
        }
    }

    /// As the payload of a [`SnapshotMsg`](crate::SnapshotMsg).
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u64(self.next);
        for entry in &self.entries {
            entry.encode(&mut out);
        }
        out.freeze()
    }

    /// Reads such a payload.
    ///
    /// # Errors
    /// Anything else, or more than a state holds.
    pub fn decode(payload: &[u8]) -> Result<LogState, ProtocolError> {
        let malformed = ProtocolError::Malformed("the state of a log");
        let (next, entries) = payload.split_first_chunk().ok_or(malformed)?;
        let (next, entries) = (u64::from_be_bytes(*next), Entry::decode_all(entries)?);
        bounded(
            entries.len() <= MAX_FOLDED,
            "the state of a log with too many entries",
        )?;
        bounded(
            entries.last().is_none_or(|entry| entry.number < next),
            "the state of a log with entries that are still to come",
        )?;
        Ok(LogState { next, entries })
    }
}
