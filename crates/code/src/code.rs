//! What is said aloud: a number and two words.

use std::{fmt, str::FromStr};

use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

/// 256 words, a line each, in the order of the alphabet: easily said, and no two nearer than three
/// letters apart, so that a slip is no other word.
static WORDS: &str = include_str!("words.txt");

/// How many words there are: a byte picks one.
const COUNT: usize = 256;

/// Words in a code: 16 bits, which the host lets nobody try twice.
const SECRET_WORDS: usize = 2;

/// Highest mailbox number a code may name.
const MAX_NUMBER: u32 = 99_999_999;

/// Longest text looked at, in bytes; the longest code has 30.
const MAX_TEXT: usize = 200;

/// A code: the number of a mailbox, and two words that never leave the two machines.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    number: u32,
    picked: Zeroizing<[u8; SECRET_WORDS]>,
}

/// Why a text is not a code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodeError {
    /// It has another shape.
    #[error(
        "a code is a number and two words, like 7-guitar-lantern; ask the host to say it again"
    )]
    Shape,
    /// A word that is in no code.
    #[error("\"{given}\" is in no code{}; ask the host to say it again", nearest.map(|word| format!(" (\"{word}\" would be)")).unwrap_or_default())]
    NoSuchWord {
        /// What was given, without anything a terminal would obey.
        given: String,
        /// The word it is most like, if any is.
        nearest: Option<&'static str>,
    },
}

impl Code {
    /// A fresh code for the mailbox `number`.
    pub fn random(number: u32, rng: &mut impl CryptoRng) -> Code {
        let mut picked = Zeroizing::new([0; SECRET_WORDS]);
        rng.fill_bytes(&mut *picked);
        Code { number, picked }
    }

    /// The mailbox.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether a text is meant as a code: it begins with a digit, and has letters later.
    pub fn is_meant(text: &str) -> bool {
        let text = text.trim();
        text.len() <= MAX_TEXT
            && text.starts_with(|c: char| c.is_ascii_digit())
            && text.contains(|c: char| c.is_ascii_alphabetic())
            && !text.contains("://")
    }

    /// What the two must agree on.
    pub(crate) fn password(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.to_string().into_bytes())
    }
}

impl FromStr for Code {
    type Err = CodeError;

    /// Reads a code as people write one: in any case, with dashes or blanks.
    fn from_str(text: &str) -> Result<Code, CodeError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(CodeError::Shape);
        }
        let text = text.strip_prefix("pillion join ").unwrap_or(text);
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        let mut parts = lower
            .split(|c: char| c == '-' || c == '_' || c.is_whitespace())
            .filter(|part| !part.is_empty());
        let number = parts.next().ok_or(CodeError::Shape)?;
        // `parse` would take a sign, and a leading zero would be another text for the same code.
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(CodeError::Shape);
        }
        let number: u32 = number.parse().map_err(|_| CodeError::Shape)?;
        if number > MAX_NUMBER {
            return Err(CodeError::Shape);
        }
        let words: Vec<&str> = parts.collect();
        let words: [&str; SECRET_WORDS] = words.try_into().map_err(|_| CodeError::Shape)?;
        let mut picked = Zeroizing::new([0; SECRET_WORDS]);
        for (place, word) in picked.iter_mut().zip(words) {
            *place = index(word)?;
        }
        Ok(Code { number, picked })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        for picked in self.picked.iter() {
            write!(f, "-{}", word(*picked))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({}-…)", self.number)
    }
}

fn word(index: u8) -> &'static str {
    WORDS.lines().nth(usize::from(index)).unwrap_or_default()
}

fn index(given: &str) -> Result<u8, CodeError> {
    let found = WORDS.lines().take(COUNT).position(|word| word == given);
    if let Some(index) = found.and_then(|index| u8::try_from(index).ok()) {
        return Ok(index);
    }
    let (distance, nearest) = WORDS
        .lines()
        .map(|word| (strsim::damerau_levenshtein(word, given), word))
        .min()
        .unwrap_or((usize::MAX, ""));
    Err(CodeError::NoSuchWord {
        given: given
            .chars()
            .filter(char::is_ascii_graphic)
            .take(20)
            .collect(),
        nearest: (distance <= 2).then_some(nearest),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;

    #[test]
    fn there_is_a_word_for_each_byte_and_no_two_are_alike() {
        let words: Vec<&str> = WORDS.lines().collect();
        assert_eq!(words.len(), COUNT);
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), COUNT);
        for (at, one) in words.iter().enumerate() {
            assert!(one.bytes().all(|b| b.is_ascii_lowercase()), "{one}");
            assert!((4..=9).contains(&one.len()), "{one}");
            for other in &words[..at] {
                assert!(strsim::levenshtein(one, other) >= 3, "{one} {other}");
            }
        }
    }

    #[test]
    fn it_is_read_as_people_write_it() {
        let code: Code = "7-guitar-lantern".parse().unwrap();
        assert_eq!(code.number(), 7);
        assert_eq!(code.to_string(), "7-guitar-lantern");
        for text in [
            " 7 Guitar LANTERN\n",
            "7--guitar-lantern",
            "pillion join 7-guitar-lantern",
            "07_guitar_lantern",
        ] {
            assert_eq!(text.parse(), Ok(code.clone()), "{text}");
            assert!(Code::is_meant(text) || text.starts_with("pillion"));
        }
    }

    #[test]
    fn what_is_no_code_is_refused_with_what_to_do() {
        for text in [
            "",
            "7",
            "7-guitar",
            "7-guitar-lantern-7",
            "guitar-lantern",
            "-guitar-lantern",
            "+7-guitar-lantern",
            "999999999-guitar-lantern",
            "99999999999-guitar-lantern",
        ] {
            let error = text.parse::<Code>().unwrap_err();
            assert!(error.to_string().contains("ask the host"), "{text}");
        }
        assert!("7-".repeat(400).parse::<Code>().is_err());
        let said = "7-guitr-lantern".parse::<Code>().unwrap_err().to_string();
        assert!(said.contains("(\"guitar\" would be)"), "{said}");
        let said = "7-\u{1b}[31mx-lantern".parse::<Code>().unwrap_err();
        assert!(!said.to_string().contains('\u{1b}'));
    }

    #[test]
    fn a_link_or_a_ticket_is_not_meant_as_a_code() {
        assert!(Code::is_meant("7-guitar-lantern"));
        for other in ["pillionabc", "https://7.example/s/x#y", "7", "", "7://a"] {
            assert!(!Code::is_meant(other), "{other}");
        }
    }

    #[test]
    fn the_words_are_not_shown() {
        let code: Code = "7-guitar-lantern".parse().unwrap();
        assert!(!format!("{code:?}").contains("guitar"));
    }

    #[test]
    fn every_pair_of_words_can_come_up() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let seen: BTreeSet<String> = (0..5000)
            .flat_map(|_| {
                let code = Code::random(1, &mut rng).to_string();
                code.split('-')
                    .skip(1)
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(seen.len(), COUNT);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Code>();
            let _ = format!("7-{text}").parse::<Code>();
        }

        #[test]
        fn any_code_comes_back(number in 0..=MAX_NUMBER, seed: [u8; 32]) {
            let code = Code::random(number, &mut ChaCha20Rng::from_seed(seed));
            prop_assert_eq!(code.to_string().parse(), Ok(code));
        }
    }
}
