//! JSON that is read where it stands: nothing is copied before somebody asks for it.
//!
//! A message may have megabytes, of which the model wants a few fields, and the masking stage has to change
//! strings and leave every other byte as it came. A tree of values would cost several times the message. So
//! [`Json`] is a slice of text that `serde_json` has found to be one whole value; looking for a field walks over
//! the bytes before it.

use std::borrow::Cow;

use memchr::memchr2;
use serde::de::IgnoredAny;

#[cfg(doc)]
use crate::limits::MAX_MESSAGE;
use crate::limits::{MAX_DEPTH, MAX_ENTRY};

/// One value, as it stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

/// Why a text is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is longer than [`MAX_MESSAGE`], or as an entry than [`MAX_ENTRY`].
    #[error("{0} bytes are more than are read")]
    TooLong(usize),
    /// It is nested deeper than [`MAX_DEPTH`].
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// It is no JSON.
    #[error("it is no JSON")]
    Malformed,
}

impl<'a> Json<'a> {
    /// Reads a text that is one whole value, as large as an entry of the log may be.
    ///
    /// # Errors
    /// Anything else, or a value that is too long or too deep.
    pub fn parse(text: &'a str) -> Result<Json<'a>, JsonError> {
        // A message stands in an entry one level deeper.
        Json::parse_within(text, MAX_ENTRY, MAX_DEPTH + 1)
    }

    pub(crate) fn parse_within(
        text: &'a str,
        length: usize,
        levels: usize,
    ) -> Result<Json<'a>, JsonError> {
        if text.len() > length {
            return Err(JsonError::TooLong(text.len()));
        }
        if depth(text) > levels {
            return Err(JsonError::TooDeep);
        }
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| JsonError::Malformed)?;
        Ok(Json(text.trim_ascii()))
    }

    /// The text of the value.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.0.starts_with('[')
    }

    /// The text of a string.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Some(match inner.contains('\\') {
            false => Cow::Borrowed(inner),
            true => Cow::Owned(unescape(inner)),
        })
    }

    /// A number that is whole and not negative.
    pub fn number(self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// A number that is whole.
    pub fn integer(self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// Any number.
    pub fn float(self) -> Option<f64> {
        match self.0.as_bytes().first()? {
            b'-' | b'0'..=b'9' => self
                .0
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub fn boolean(self) -> Option<bool> {
        self.0.parse().ok()
    }

    /// The fields of these names, in one walk; the last of those that stand there twice. None of anything but an
    /// object.
    pub fn fields<const N: usize>(self, names: [&str; N]) -> [Option<Json<'a>>; N] {
        let mut found = [None; N];
        for (key, value) in self.members() {
            if let Some(at) = names.iter().position(|name| *name == key) {
                found[at] = Some(value);
            }
        }
        found
    }

    /// One field.
    pub fn get(self, name: &str) -> Option<Json<'a>> {
        let [found] = self.fields([name]);
        found
    }

    /// The fields of an object; nothing of anything else.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Json<'a>)> {
        let mut rest = Rest(self.0.strip_prefix('{').unwrap_or_default());
        std::iter::from_fn(move || {
            let key = rest.value()?.text()?;
            Some((key, rest.value()?))
        })
    }

    /// The items of an array; nothing of anything else.
    pub fn items(self) -> impl Iterator<Item = Json<'a>> {
        let mut rest = Rest(self.0.strip_prefix('[').unwrap_or_default());
        std::iter::from_fn(move || rest.value())
    }
}

/// What is left of an object or array.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// The next value, whatever stands before it.
    fn value(&mut self) -> Option<Json<'a>> {
        let start = self.0.trim_start_matches([' ', '\t', '\r', '\n', ',', ':']);
        let length = match start.as_bytes().first()? {
            b']' | b'}' => return None,
            b'"' => string_end(start.as_bytes(), 0),
            b'{' | b'[' => nested_end(start.as_bytes()),
            _ => start
                .find([',', ']', '}', ' ', '\t', '\r', '\n', ':'])
                .unwrap_or(start.len()),
        };
        let (value, rest) = start.split_at_checked(length)?;
        self.0 = rest;
        Some(Json(value))
    }
}

/// Where the string that begins at `at` ends: behind its closing quote.
pub(crate) fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += next;
        match bytes[at] {
            b'"' => return at + 1,
            _ => at += 2,
        }
    }
    bytes.len()
}

/// Where the object or array that begins here ends.
fn nested_end(bytes: &[u8]) -> usize {
    let (mut at, mut open) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn depth(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut open, mut deepest) = (0, 0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// A string's text from what stands between its quotes. Half a surrogate pair becomes U+FFFD.
fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut after = rest[at + 1..].chars();
        let escape = after.next();
        rest = after.as_str();
        match escape {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let (unit, behind) = code_unit(rest);
                rest = behind;
                let low = rest.strip_prefix("\\u").map(code_unit);
                match (unit, low) {
                    (0xd800..=0xdbff, Some((low @ 0xdc00..=0xdfff, behind))) => {
                        rest = behind;
                        let point = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        out.push(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    _ => out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out.push_str(rest);
    out
}

/// Four digits of a `\u`, and what is behind them.
fn code_unit(text: &str) -> (u32, &str) {
    match text.split_at_checked(4) {
        Some((digits, rest)) => (u32::from_str_radix(digits, 16).unwrap_or(0xfffd), rest),
        None => (0xfffd, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn json(text: &str) -> Json<'_> {
        Json::parse(text).unwrap()
    }

    #[test]
    fn fields_are_found_past_anything() {
        let text = r#" { "a" : {"b":[1,"}"]}, "c\u0064": "x\"y", "n":-1.5e3 , "t":true,"z":null} "#;
        let [a, cd, n, t, z, absent] = json(text).fields(["a", "cd", "n", "t", "z", "absent"]);
        assert_eq!(a.unwrap().get("b").unwrap().items().count(), 2);
        assert_eq!(cd.unwrap().text().unwrap(), "x\"y");
        assert_eq!(n.unwrap().float(), Some(-1500.0));
        assert_eq!(t.unwrap().boolean(), Some(true));
        assert!(z.unwrap().is_null());
        assert_eq!(absent, None);
    }

    #[test]
    fn of_a_field_that_stands_twice_the_last_one_counts() {
        assert_eq!(json(r#"{"a":1,"a":2}"#).get("a").unwrap().number(), Some(2));
    }

    #[test]
    fn what_is_too_deep_is_refused_without_going_down() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert_eq!(Json::parse(&deep), Err(JsonError::TooDeep));
    }

    #[test]
    fn anything_but_one_value_is_refused() {
        for text in [
            "",
            "{",
            "{} {}",
            "{\"a\":}",
            "nul",
            "[1,]",
            "\"a\nb\"",
            "\u{feff}{}",
        ] {
            assert_eq!(Json::parse(text), Err(JsonError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn halves_of_surrogate_pairs_do_no_harm() {
        let text = json(r#""\ud800 \ud83d\ude00 \udc00""#).text().unwrap();
        assert_eq!(text, "\u{fffd} \u{1f600} \u{fffd}");
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn same(value: &Value, json: Json<'_>) {
        match value {
            Value::Null => assert!(json.is_null()),
            Value::Bool(is) => assert_eq!(json.boolean(), Some(*is)),
            Value::Number(number) => {
                assert_eq!(json.number(), number.as_u64());
                assert_eq!(json.integer(), number.as_i64());
            }
            Value::String(text) => assert_eq!(json.text().unwrap(), *text),
            Value::Array(items) => {
                assert_eq!(json.items().count(), items.len());
                items.iter().zip(json.items()).for_each(|(a, b)| same(a, b));
            }
            Value::Object(map) => {
                assert_eq!(json.members().count(), map.len());
                for (key, value) in map {
                    same(value, json.get(key).unwrap());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_reads(value in tree(), pretty in any::<bool>()) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            same(&value, json(&text));
        }

        #[test]
        fn no_text_makes_it_panic(text in r#"[\[\]{}",:\\u0-9a-f ]{0,40}"#) {
            if let Ok(json) = Json::parse(&text) {
                json.text();
                json.items().for_each(drop);
                json.members().for_each(drop);
            }
        }
    }
}
