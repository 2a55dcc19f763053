//! What others say, fit to be shown.

use pillion_proto::limits::MAX_SENTENCE;

/// A peer's words, fit to be shown: letters, digits, punctuation and blanks, no control or
/// direction characters, at most [`MAX_SENTENCE`] characters.
pub(crate) fn clean(reason: &[u8]) -> String {
    String::from_utf8_lossy(reason)
        .chars()
        .filter(|c| {
            c.is_alphanumeric() || c.is_ascii_graphic() || *c == ' ' || "…–—‘’“”".contains(*c)
        })
        .take(MAX_SENTENCE)
        .collect::<String>()
        .trim()
        .to_owned()
}
