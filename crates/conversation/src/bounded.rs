//! Texts that hold so much and count the rest.

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_OUTPUT, MAX_TEXT};

/// The beginning of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundedText {
    text: String,
    omitted: u64,
}

impl BoundedText {
    /// As much of a text as is held.
    pub fn new(text: &str) -> BoundedText {
        let mut bounded = BoundedText::default();
        bounded.push(text);
        bounded
    }

    /// As much of it as `max` bytes hold.
    pub fn cut(text: &str, max: usize) -> BoundedText {
        let kept = &text[..text.floor_char_boundary(max.min(MAX_TEXT))];
        BoundedText {
            text: kept.to_owned(),
            omitted: (text.len() - kept.len()) as u64,
        }
    }

    /// Adds what comes next.
    pub fn push(&mut self, text: &str) {
        // Once something is missing nothing that comes later is held: the text has no holes.
        let room = match self.omitted {
            0 => MAX_TEXT.saturating_sub(self.text.len()),
            _ => 0,
        };
        let kept = text.floor_char_boundary(room);
        self.text.push_str(&text[..kept]);
        self.omitted = self.omitted.saturating_add((text.len() - kept) as u64);
    }

    /// Counts what there is no room for elsewhere.
    pub(crate) fn omit(&mut self, bytes: usize) {
        self.omitted = self.omitted.saturating_add(bytes as u64);
    }

    /// What is held.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many bytes came that are not held.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// How many bytes are held.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.omitted == 0
    }
}

/// The end of what a command printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputTail {
    bytes: BytesMut,
    omitted: u64,
}

impl OutputTail {
    /// As much of the end as is held.
    pub fn new(bytes: &[u8]) -> OutputTail {
        let mut tail = OutputTail::default();
        tail.push(bytes);
        tail
    }

    /// Adds what comes next.
    pub fn push(&mut self, bytes: &[u8]) {
        let too_many = bytes.len().saturating_sub(MAX_OUTPUT);
        self.bytes.extend_from_slice(&bytes[too_many..]);
        self.omitted = self.omitted.saturating_add(too_many as u64);
        if self.bytes.len() > 2 * MAX_OUTPUT {
            let old = self.bytes.len() - MAX_OUTPUT;
            // Moved, not split off: a split would keep the bytes that are gone.
            self.bytes.copy_within(old.., 0);
            self.bytes.truncate(MAX_OUTPUT);
            self.omitted = self.omitted.saturating_add(old as u64);
        }
    }

    /// What is held.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes came before it.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_beginning_and_counts_the_rest() {
        let mut text = BoundedText::new(&"ä".repeat(MAX_TEXT / 2 - 1));
        text.push("xü!");
        assert_eq!(text.len(), MAX_TEXT - 1);
        assert_eq!(text.omitted(), 3);
        text.push("!");
        assert_eq!((text.len(), text.omitted()), (MAX_TEXT - 1, 4));
    }

    #[test]
    fn output_keeps_its_end_in_bounded_memory() {
        let mut tail = OutputTail::default();
        let mut pushed = 0;
        for number in 0..100_000_u32 {
            let line = format!("{number}\n");
            tail.push(line.as_bytes());
            pushed += line.len() as u64;
            assert!(tail.bytes().len() <= 2 * MAX_OUTPUT);
        }
        assert!(tail.bytes().ends_with(b"99998\n99999\n") && tail.bytes().len() >= MAX_OUTPUT);
        assert_eq!(tail.omitted() + tail.bytes().len() as u64, pushed);
        let large = OutputTail::new(&vec![b'x'; 10 * MAX_OUTPUT]);
        assert_eq!(large.bytes().len(), MAX_OUTPUT);
        assert_eq!(large.omitted(), 9 * MAX_OUTPUT as u64);
    }
}
