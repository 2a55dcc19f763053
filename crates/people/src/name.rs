//! What people call themselves.
//!
//! A name is chosen by its bearer and proves nothing. So it must not read as anything that does, and it
//! must not upset the screens it is shown on. [`Name`] is the one rule for both.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::subject::{Form, MIN_PREFIX};

/// Longest name, in characters.
pub const MAX_NAME: usize = 64;

/// What somebody is called who gave no name.
const SOMEBODY: &str = "somebody";

/// Marks that may follow a letter.
const MAX_MARKS: usize = 2;

/// A name has fewer hexadecimal digits in a row than this: half a fingerprint.
const MAX_DIGITS: usize = 8;

/// Punctuation of names. Without what a list or a question puts around them (quotes, parentheses, commas), and
/// without what addresses, lists of keys and teams are written with.
const PUNCTUATION: &[char] = &['\'', '-', '.', '_', '+', '&'];

/// Letters that take as many columns in one terminal as in another: one or two, and by themselves. Scripts with
/// spacing vowel signs (such as Devanagari), conjoining jamo, enclosed and mathematical letters, and every
/// symbol and emoji are left out, because terminals differ in their width.
const LETTERS: &[(char, char)] = &[
    ('\u{c0}', '\u{2af}'),
    ('\u{370}', '\u{481}'),
    ('\u{48a}', '\u{52f}'),
    ('\u{531}', '\u{587}'),
    ('\u{5d0}', '\u{5ea}'),
    ('\u{620}', '\u{64a}'),
    ('\u{671}', '\u{6d3}'),
    ('\u{e01}', '\u{e30}'),
    ('\u{e32}', '\u{e32}'),
    ('\u{e40}', '\u{e46}'),
    ('\u{10a0}', '\u{10ff}'),
    ('\u{1200}', '\u{135a}'),
    ('\u{13a0}', '\u{13ff}'),
    ('\u{1c90}', '\u{1cbf}'),
    ('\u{1e00}', '\u{1fff}'),
    ('\u{3005}', '\u{3007}'),
    ('\u{3041}', '\u{3096}'),
    ('\u{309d}', '\u{309f}'),
    ('\u{30a1}', '\u{30fa}'),
    ('\u{30fc}', '\u{30ff}'),
    ('\u{3105}', '\u{312f}'),
    ('\u{3400}', '\u{4dbf}'),
    ('\u{4e00}', '\u{9fff}'),
    ('\u{ac00}', '\u{d7a3}'),
    ('\u{20000}', '\u{3134f}'),
];

/// Marks that take no column of their own anywhere: accents, Hebrew points, Arabic vowels, Thai vowels and tones.
const MARKS: &[(char, char)] = &[
    ('\u{300}', '\u{34e}'),
    ('\u{5b0}', '\u{5bc}'),
    ('\u{5c1}', '\u{5c2}'),
    ('\u{64b}', '\u{652}'),
    ('\u{e31}', '\u{e31}'),
    ('\u{e34}', '\u{e3a}'),
    ('\u{e47}', '\u{e4e}'),
];

/// What somebody is called: 1 to [`MAX_NAME`] characters that every terminal shows alike, and nothing that
/// [`SubjectText`](crate::SubjectText) reads as anything but a name.
///
/// Letters, digits, marks behind letters, single spaces, and `' - . _ + &`; never eight hexadecimal digits in a
/// row, so that no key or fingerprint stands in one. [`Name::of`] makes one of any text; parsing takes only
/// what is one already, but for spaces around it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name that a text from somebody else is taken for, whatever the text is.
    ///
    /// What is not of names is left out: of `anna@example.org` stays `anna`. What reads as a number or as digits of a
    /// fingerprint gets a `_` behind it. Where nothing is left, and for a key, a team or a list of keys, it is
    /// `somebody`.
    pub fn of(text: &str) -> Name {
        Name::in_text(text).unwrap_or_else(|| Name(SOMEBODY.to_owned()))
    }

    /// The same; `None` where nothing is left.
    pub fn in_text(text: &str) -> Option<Name> {
        match Form::of(text) {
            Form::Number(_) | Form::Digits(_) | Form::Address | Form::Name => {}
            Form::Empty | Form::Ssh | Form::Team | Form::Forge | Form::Url | Form::Path => {
                return None;
            }
        }
        let mut pieces = text.split('@').map(plain_name);
        let first = pieces.find(|piece| !piece.is_empty())?;
        let mut name = plain_name(&without_long_digits(&first));
        if check(&name).is_err() && !name.is_empty() {
            name = name.chars().take(MAX_NAME - 1).chain(['_']).collect();
        }
        check(&name).is_ok().then_some(Name(name))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether two people are called the same: upper and lower case are.
    pub fn is_same(&self, other: &Name) -> bool {
        self.0.to_lowercase() == other.0.to_lowercase()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let text = text.trim();
        check(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// What a text could be taken for that is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// A participant's number.
    Number,
    /// The beginning of a fingerprint.
    Fingerprint,
    /// An SSH key.
    SshKey,
    /// A team.
    Team,
    /// An e-mail address.
    Address,
    /// A list of keys.
    KeyList,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reading::Number => "a number",
            Reading::Fingerprint => "the beginning of a fingerprint",
            Reading::SshKey => "an SSH key",
            Reading::Team => "a team",
            Reading::Address => "an e-mail address",
            Reading::KeyList => "a list of keys",
        })
    }
}

/// Why a text is no name, and what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotAName {
    /// Nothing was given.
    #[error("a name has at least one letter or digit")]
    Empty,
    /// Too many characters.
    #[error("a name has at most {MAX_NAME} characters: choose a shorter one")]
    Long,
    /// It could be taken for what it is not.
    #[error(
        "a name must not read as {0}, which would be taken for somebody else: choose another, or put a _ behind it"
    )]
    ReadsAs(Reading),
    /// Part of it could be taken for a key.
    #[error(
        "a name must not hold {MAX_DIGITS} hexadecimal digits in a row, which would be taken for a key: choose another"
    )]
    Digits,
    /// A character that names do without.
    #[error(
        "\"{}\" is not used in names: use letters, digits, spaces and ' - . _ + & (no emoji or symbols, because \
         terminals differ in their width)",
        shown(*.0)
    )]
    Character(char),
    /// Spaces or marks where they can't be.
    #[error("a name has single spaces, and accents only behind letters")]
    Spacing,
}

/// A character as it may be shown in a sentence.
fn shown(ch: char) -> String {
    match ch.is_ascii_graphic() || is_letter(ch) {
        true => ch.to_string(),
        false => format!("U+{:04X}", ch as u32),
    }
}

/// Whether a text is a name as it stands.
fn check(text: &str) -> Result<(), NotAName> {
    match Form::of(text) {
        Form::Name => {}
        Form::Empty => return Err(NotAName::Empty),
        Form::Number(_) => return Err(NotAName::ReadsAs(Reading::Number)),
        Form::Digits(_) => return Err(NotAName::ReadsAs(Reading::Fingerprint)),
        Form::Ssh => return Err(NotAName::ReadsAs(Reading::SshKey)),
        Form::Team => return Err(NotAName::ReadsAs(Reading::Team)),
        Form::Address => return Err(NotAName::ReadsAs(Reading::Address)),
        Form::Forge | Form::Url | Form::Path => return Err(NotAName::ReadsAs(Reading::KeyList)),
    }
    if let Some(ch) = text.chars().find(|ch| Class::of(*ch).is_none()) {
        return Err(NotAName::Character(ch));
    }
    if text.chars().count() > MAX_NAME {
        return Err(NotAName::Long);
    }
    if !text.chars().any(char::is_alphanumeric) {
        return Err(NotAName::Empty);
    }
    if without_long_digits(text) != text {
        return Err(NotAName::Digits);
    }
    match plain_name(text) == text {
        true => Ok(()),
        false => Err(NotAName::Spacing),
    }
}

/// What a character is in a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Mark,
    Punctuation,
    Space,
}

impl Class {
    fn of(ch: char) -> Option<Class> {
        Some(match ch {
            ' ' => Class::Space,
            _ if is_letter(ch) => Class::Letter,
            _ if within(MARKS, ch) => Class::Mark,
            _ if PUNCTUATION.contains(&ch) => Class::Punctuation,
            _ => return None,
        })
    }
}

fn is_letter(ch: char) -> bool {
    ch.is_ascii_alphanumeric() || (within(LETTERS, ch) && ch.is_alphabetic())
}

fn within(ranges: &[(char, char)], ch: char) -> bool {
    ranges
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&ch))
}

/// The characters of names in a text: [`MAX_NAME`] at most, spaces one at a time and not at the ends, marks behind
/// letters. For what isn't a person but is shown in lists as well, such as a device; may come out empty.
///
/// Cleaning what is clean changes nothing.
pub fn plain_name(text: &str) -> String {
    let mut out = String::new();
    let (mut count, mut marks, mut gap) = (0, MAX_MARKS, false);
    for ch in text.chars() {
        if ch.is_whitespace() {
            gap = !out.is_empty();
            continue;
        }
        match Class::of(ch) {
            Some(Class::Letter) => marks = 0,
            Some(Class::Punctuation) => marks = MAX_MARKS,
            Some(Class::Mark) if marks < MAX_MARKS && !gap => marks += 1,
            Some(Class::Mark | Class::Space) | None => continue,
        }
        let needed = 1 + usize::from(gap);
        if count + needed > MAX_NAME {
            break;
        }
        count += needed;
        if std::mem::take(&mut gap) {
            out.push(' ');
        }
        out.push(ch);
    }
    out
}

/// A text without what could be read as a key or a fingerprint: [`MAX_DIGITS`] hexadecimal digits and more, with or
/// without punctuation between them.
fn without_long_digits(text: &str) -> String {
    let is_part = |ch: char| ch.is_ascii_hexdigit() || PUNCTUATION.contains(&ch);
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.len() - rest.trim_start_matches(is_part).len();
        let (part, after) = rest.split_at(run);
        if part.bytes().filter(u8::is_ascii_hexdigit).count() < MAX_DIGITS {
            out.push_str(part);
        }
        let plain = after.find(is_part).unwrap_or(after.len());
        let (plain, after) = after.split_at(plain);
        out.push_str(plain);
        rest = after;
    }
    out
}

// A fingerprint's beginning is altered by itself before it is long enough to be left out.
const _: () = assert!(MIN_PREFIX < MAX_DIGITS);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SubjectRef;

    #[test]
    fn what_people_are_called_stays_as_it_is() {
        for name in [
            "anna",
            "Anna B.",
            "O'Neil",
            "Jean-Luc",
            "R&D",
            "person 2",
            "R2 D2",
            "José",
            "Jose\u{301}",
            "Łukasz Żółć",
            "Nguyễn",
            "Ольга",
            "Ελένη",
            "علاء",
            "דוד",
            "สมชาย",
            "张伟",
            "さくら",
            "김철수",
            "Ada",
            "42nd",
            "somebody",
        ] {
            assert_eq!(name.parse::<Name>().map(|name| name.0), Ok(name.to_owned()));
            assert_eq!(Name::of(name).as_str(), name);
        }
    }

    #[test]
    fn what_reads_as_something_else_is_altered() {
        let key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
        for (text, name) in [
            ("carol@example.org", "carol"),
            ("@carol", "carol"),
            (" carol@a@b ", "carol"),
            ("carol@example.org via https://i.example", "carol"),
            ("3", "3_"),
            ("007", "007_"),
            ("7f3a", "7f3a_"),
            ("7f3a-91c", "7f3a-91c_"),
            ("Ebba", "Ebba_"),
            ("a-d-a-b-", "a-d-a-b-_"),
            ("8a88-e3dd", "somebody"),
            ("8a88-e3dd-7409-f195", "somebody"),
            (key, "somebody"),
            (&key[..32], "somebody"),
            ("carol (8a88-e3dd-7409-f195)", "carol"),
            ("carol 8a88_e3dd.7409", "carol"),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI carol", "somebody"),
            ("SSH-x", "somebody"),
            ("sk-ssh", "somebody"),
            ("team:8a88/carol", "somebody"),
            ("Team:", "somebody"),
            ("forge:carol", "somebody"),
            ("https://a.example/x.keys", "somebody"),
            ("~/.ssh/authorized_keys", "somebody"),
            ("carol.pub", "somebody"),
            ("", "somebody"),
            ("\u{200d}\u{fe0f}", "somebody"),
        ] {
            assert_eq!(Name::of(text).as_str(), name, "{text:?}");
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn characters_that_terminals_dispute_are_left_out() {
        for (text, name) in [
            ("☺\u{fe0f}☺\u{fe0f}", "somebody"),
            ("anna ☺\u{fe0f}", "anna"),
            ("\u{3248}\u{3249}x", "x"),
            ("a\u{ad}b\u{200b}c", "abc"),
            ("👩\u{200d}💻 anna 🎉", "anna"),
            ("🇩🇪 anna", "anna"),
            ("\u{2630}\u{1100}\u{3164}\u{ff41}\u{1d400}", "somebody"),
            ("\u{93f}\u{301}anna", "anna"),
            ("a\u{301}\u{302}\u{303}", "a\u{301}\u{302}"),
            ("carol＠example.org", "carolexample.org"),
            ("e\x1b]52;c;aGk=\x07v\u{202e}i\r\nl", "e52caGkvi l"),
        ] {
            assert_eq!(Name::of(text).as_str(), name, "{text:?}");
        }
        assert_eq!("a☺".parse::<Name>(), Err(NotAName::Character('☺')));
        let said = NotAName::Character('\x1b').to_string();
        assert!(said.contains("U+001B") && !said.contains('\x1b'), "{said}");
    }

    /// Pieces of every form, and of none.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,12}",
            "[0-9a-fA-F-]{1,70}",
            "(ssh-|SSH-|sk-|team:|forge:|https://|\\./|~/|@| |_|\\.pub|_keys|/){1}",
            "[a-z@.]{1,20}",
            "[a \u{301}\u{200d}\u{fe0f}☺漢é_'-]{0,20}",
            ".{0,10}",
        ]
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_name_that_reads_as_nothing_else(pieces in prop::collection::vec(piece(), 0..4)) {
            let name = Name::of(&pieces.concat());
            prop_assert!(name.as_str().chars().count() <= MAX_NAME);
            prop_assert_eq!(name.as_str().parse::<Name>(), Ok(name.clone()));
            prop_assert_eq!(name.as_str().parse(), Ok(SubjectRef::Name(name.clone())));
            prop_assert_eq!(Name::of(name.as_str()), name);
        }
    }
}
