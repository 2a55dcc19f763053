//! Text from a peer, bounded while it is decoded.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A string of at most `MAX` characters. Longer ones are refused on decoding and cut on making.
///
/// Bounded is not clean: it may hold control characters. Anybody who shows it cleans it
/// (`pillion_screen::clean`), as late as possible, so that nothing is shown that was not cleaned
/// by the side that shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text, cut to `MAX` characters.
    pub fn cut(text: &str) -> Self {
        Text(text.chars().take(MAX).collect())
    }

    /// The characters as they came.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MAX: usize> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.chars().count() > MAX {
            return Err(de::Error::custom("text longer than its bound"));
        }
        Ok(Text(text))
    }
}
