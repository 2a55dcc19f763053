//! Lines out of a stream of bytes, in bounded memory.

use memchr::memchr;
use pillion_conversation::limits::MAX_MESSAGE;

/// How much is kept of a line that is not read, in bytes.
const KEPT: usize = 512;

/// Largest buffer that is kept once its line was taken, in bytes.
const KEPT_BUFFER: usize = 256 * 1024;

/// A line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Text.
    Text(String),
    /// Bytes that are no UTF-8.
    NotText {
        /// Its beginning, readable.
        start: String,
        /// How long it was.
        bytes: u64,
    },
    /// More than [`MAX_MESSAGE`] bytes.
    TooLong {
        /// Its beginning, readable.
        start: String,
        /// How long it was.
        bytes: u64,
    },
}

/// Cuts bytes into lines. It holds one line at most, and of one that is too long only its beginning. Empty lines
/// are left out.
#[derive(Debug, Default)]
pub struct LineBuffer {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no line's end.
    scanned: usize,
    /// Of a line that is too long: its beginning, and how much of it has been thrown away.
    skipping: Option<(String, u64)>,
}

impl LineBuffer {
    /// Adds what was read. Every line that is there must be taken before more is added.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
            self.buffer.shrink_to(KEPT_BUFFER);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line that is whole.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            let Some(at) = memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                if self.skipping.is_some() || self.scanned - self.start > MAX_MESSAGE {
                    self.skip();
                }
                return None;
            };
            let end = self.scanned + at;
            let line = self.line(end);
            self.start = end + 1;
            self.scanned = self.start;
            if line.is_some() {
                return line;
            }
        }
    }

    /// What is left when no more comes.
    pub fn finish(&mut self) -> Option<Line> {
        let line = self.line(self.buffer.len());
        *self = LineBuffer::default();
        line
    }

    /// The line that ends here; `None` for an empty one.
    fn line(&mut self, end: usize) -> Option<Line> {
        let line = self.buffer[self.start..end].trim_ascii();
        if let Some((start, skipped)) = self.skipping.take() {
            let bytes = skipped + (end - self.start) as u64;
            return Some(Line::TooLong { start, bytes });
        }
        let bytes = line.len() as u64;
        match line.len() {
            0 => None,
            length if length > MAX_MESSAGE => Some(Line::TooLong {
                start: readable(line),
                bytes,
            }),
            _ => Some(match str::from_utf8(line) {
                Ok(text) => Line::Text(text.to_owned()),
                Err(_) => Line::NotText {
                    start: readable(line),
                    bytes,
                },
            }),
        }
    }

    fn skip(&mut self) {
        let held = &self.buffer[self.start..];
        let (start, skipped) = match self.skipping.take() {
            Some(skipping) => skipping,
            None => (readable(held), 0),
        };
        self.skipping = Some((start, skipped + held.len() as u64));
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        (self.start, self.scanned) = (0, 0);
    }
}

fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(KEPT)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Line> {
        let mut buffer = LineBuffer::default();
        let mut lines = Vec::new();
        for piece in pieces {
            buffer.push(piece);
            lines.extend(std::iter::from_fn(|| buffer.next_line()));
        }
        lines.extend(buffer.finish());
        lines
    }

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let all = b"one\r\n\n  two \nthr\xc3\xa4e\nrest";
        let expected = [text("one"), text("two"), text("thr\u{e4}e"), text("rest")];
        assert_eq!(lines(&[all]), expected);
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(lines(&bytes), expected);
    }

    #[test]
    fn what_is_no_text_is_said_to_be_none_and_the_next_line_is_read() {
        let start = "a\u{fffd}b".to_owned();
        assert_eq!(
            lines(&[b"a\xffb\nnext\n"]),
            [Line::NotText { start, bytes: 3 }, text("next")]
        );
    }

    #[test]
    fn a_line_of_a_hundred_megabytes_is_skipped_in_bounded_memory() {
        let piece = vec![b'x'; 1024 * 1024];
        let mut buffer = LineBuffer::default();
        for _ in 0..100 {
            buffer.push(&piece);
            assert_eq!(buffer.next_line(), None);
            assert!(buffer.buffer.capacity() <= 2 * MAX_MESSAGE + 2 * piece.len());
        }
        buffer.push(b"end\nnext\n");
        let start = "x".repeat(KEPT);
        let bytes = 100 * 1024 * 1024 + 3;
        assert_eq!(buffer.next_line(), Some(Line::TooLong { start, bytes }));
        assert_eq!(buffer.next_line(), Some(text("next")));
        buffer.push(b"");
        assert!(buffer.buffer.capacity() <= KEPT_BUFFER);
    }

    #[test]
    fn the_longest_line_that_is_read_is_read() {
        let mut longest = vec![b'x'; MAX_MESSAGE];
        longest.push(b'\n');
        assert!(matches!(&lines(&[&longest])[..], [Line::Text(text)] if text.len() == MAX_MESSAGE));
        longest.insert(0, b'x');
        assert!(matches!(&lines(&[&longest])[..], [Line::TooLong { .. }]));
    }
}
