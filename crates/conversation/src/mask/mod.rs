//! The stage in front of the log that hides secrets.
//!
//! Everything that is logged of a conversation passes [`Masker::mask`] first, and what is shown is folded from the
//! log, so nothing that is hidden here is shown or sent anywhere. Hidden are the values of environment variables
//! whose names look secret ([`looks_secret`]), from their fourth character on. Agents send what they say in pieces
//! of a few characters: where a piece ends in the beginning of a value, that is hidden as well, and the rest of the
//! value is known in the next piece of the same text.
//!
//! It hides what is known beforehand as it is written there. A value that somebody encoded, reversed or spelled
//! out is not found, and numbers in JSON are left alone.

mod values;

pub use values::looks_secret;

use std::{borrow::Cow, collections::BTreeMap};

use data_encoding::BASE64;

use crate::json::{Json, string_end};
use values::{At, Values};

/// Most texts that a value may be in the middle of. When there are more, all are forgotten.
const MAX_STREAMS: usize = 1024;

/// Hides secrets in what passes.
#[derive(Clone, Debug)]
pub struct Masker {
    values: Values,
    /// Where texts that come in pieces are in a value, by [`Hash`].
    streams: BTreeMap<u64, At>,
}

impl Masker {
    /// Hides the values of those variables whose names look secret.
    pub fn new<'a>(environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Masker {
        let secret = environment
            .into_iter()
            .filter(|(name, _)| looks_secret(name));
        Masker {
            values: Values::new(secret.map(|(_, value)| value)),
            streams: BTreeMap::new(),
        }
    }

    /// An entry of the log as it may be written. What is no JSON is hidden as a text is.
    pub fn mask<'a>(&mut self, entry: &'a str) -> Cow<'a, str> {
        if self.values.is_empty() {
            return Cow::Borrowed(entry);
        }
        match Json::parse(entry) {
            Ok(json) => self.mask_json(json),
            Err(_) => self.mask_text(entry),
        }
    }

    /// A text by itself.
    pub fn mask_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.values.mask(&mut At::default(), text.as_bytes()) {
            None => Cow::Borrowed(text),
            Some(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
        }
    }

    fn mask_json<'a>(&mut self, json: Json<'a>) -> Cow<'a, str> {
        let (text, stream) = (json.as_str(), Stream::of(json));
        let mut out = String::new();
        // What of the text is in `out`, or will be as it is.
        let mut copied = 0;
        let mut path = vec![Hash::new()];
        let mut key = None;
        let mut at = 0;
        let bytes = text.as_bytes();
        while let Some(byte) = bytes.get(at) {
            let top = path.len() - 1;
            match byte {
                b'"' => {
                    let end = string_end(bytes, at);
                    let literal = &text[at..end];
                    let is_key = text[end..].trim_ascii_start().starts_with(':');
                    let masked = match is_key {
                        true => {
                            key = Some(literal);
                            self.mask_literal(literal)
                        }
                        false => {
                            let place = path[top].with(key.unwrap_or_default());
                            self.mask_value(literal, key, &stream, place)
                        }
                    };
                    if let Some(masked) = masked {
                        out.push_str(&text[copied..at]);
                        out.push_str(&masked);
                        copied = end;
                    }
                    at = end;
                    continue;
                }
                b'{' | b'[' => {
                    path.push(path[top].with(key.take().unwrap_or_default()));
                }
                b'}' | b']' if top > 0 => {
                    path.pop();
                    key = None;
                }
                b',' => key = None,
                _ => {}
            }
            at += 1;
        }
        match copied {
            0 => Cow::Borrowed(text),
            _ => {
                out.push_str(&text[copied..]);
                Cow::Owned(out)
            }
        }
    }

    fn mask_literal(&self, literal: &str) -> Option<String> {
        self.mask_at(&mut At::default(), literal)
    }

    fn mask_at(&self, at: &mut At, literal: &str) -> Option<String> {
        let text = literal.trim_matches('"');
        // Without a backslash it says what it means.
        let text = match literal.contains('\\') {
            false => Cow::Borrowed(text),
            true => Json::parse(literal).ok()?.text()?,
        };
        let masked = self.values.mask(at, text.as_bytes())?;
        let masked = String::from_utf8_lossy(&masked);
        Some(serde_json::to_string(&masked).expect("a text is JSON"))
    }

    /// A text, with what came before it where it comes in pieces.
    fn mask_value(
        &mut self,
        literal: &str,
        key: Option<&str>,
        stream: &Stream,
        place: Hash,
    ) -> Option<String> {
        let in_pieces = match key {
            Some("\"text\"") => stream.text,
            Some("\"data\"") => stream.data,
            _ => false,
        };
        let place = stream.hash.and(place).0;
        let mut at = match in_pieces {
            true => self.streams.get(&place).copied().unwrap_or_default(),
            false => At::default(),
        };
        let decoded = match stream.base64 && key == Some("\"data\"") {
            true => BASE64.decode(literal.trim_matches('"').as_bytes()).ok(),
            false => None,
        };
        let masked = match decoded {
            None => self.mask_at(&mut at, literal),
            Some(bytes) => self
                .values
                .mask(&mut at, &bytes)
                .map(|masked| format!("\"{}\"", BASE64.encode(&masked))),
        };
        if in_pieces {
            match at == At::default() {
                true => {
                    self.streams.remove(&place);
                }
                false => {
                    if self.streams.len() >= MAX_STREAMS {
                        self.streams.clear();
                    }
                    self.streams.insert(place, at);
                }
            }
        }
        masked
    }
}

/// Which text of the agent's a message has a piece of.
struct Stream {
    hash: Hash,
    /// Whether its texts go on with those of the message before.
    text: bool,
    /// Whether its data goes on.
    data: bool,
    /// Whether its data are bytes.
    base64: bool,
}

impl Stream {
    fn of(entry: Json<'_>) -> Stream {
        Stream::of_update(entry).unwrap_or(Stream {
            hash: Hash::new(),
            text: false,
            data: false,
            base64: false,
        })
    }

    fn of_update(entry: Json<'_>) -> Option<Stream> {
        let params = entry.get("agent").unwrap_or(entry).get("params")?;
        let [session, update] = params.fields(["sessionId", "update"]);
        let [kind, message, tool, terminal, meta] = update?.fields([
            "sessionUpdate",
            "messageId",
            "toolCallId",
            "terminalId",
            "_meta",
        ]);
        let kind = kind?.text()?;
        let piece = kind.ends_with("_chunk");
        let ids = [session, message, tool, terminal];
        let hash = ids.into_iter().fold(Hash::new().with(&kind), |hash, id| {
            hash.with(id.map_or("", Json::as_str))
        });
        Some(Stream {
            hash,
            text: piece,
            data: piece || meta.is_some(),
            base64: kind.starts_with("terminal_"),
        })
    }
}

/// Names a place without holding its names (FNV-1a). Two that are taken for one would hide too much or too little
/// at the edge of a piece.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    fn new() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    fn with(self, name: &str) -> Hash {
        let byte = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        // Where a name ends counts, too.
        Hash([0xff].iter().chain(name.as_bytes()).fold(self.0, byte))
    }

    fn and(self, other: Hash) -> Hash {
        Hash((self.0 ^ other.0.rotate_left(17)).wrapping_mul(0x0100_0000_01b3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "sk-live-0123456789";

    fn masker() -> Masker {
        Masker::new([("OPENAI_API_KEY", SECRET), ("HOME", "/home/somebody/else")])
    }

    fn chunk(message: &str, text: &str) -> String {
        let text = serde_json::to_string(text).unwrap();
        format!(
            r#"{{"at":1,"agent":{{"method":"session/update","params":{{"sessionId":"s","update":{{"sessionUpdate":"agent_message_chunk","messageId":"{message}","content":{{"type":"text","text":{text}}}}}}}}}}}"#
        )
    }

    fn text_of(entry: &str) -> String {
        let update = Json::parse(entry)
            .unwrap()
            .get("agent")
            .unwrap()
            .get("params")
            .unwrap();
        let content = update.get("update").unwrap().get("content").unwrap();
        content.get("text").unwrap().text().unwrap().into_owned()
    }

    #[test]
    fn a_value_is_hidden_from_its_fourth_character_wherever_it_stands() {
        let entry =
            format!(r#"{{"a":["x {SECRET} y",{{"{SECRET}":"\u0073k-live-0123456789"}}],"n":1}}"#);
        let hidden = "sk-***************";
        let expected = format!(r#"{{"a":["x {hidden} y",{{"{hidden}":"{hidden}"}}],"n":1}}"#);
        assert_eq!(masker().mask(&entry), expected);
    }

    #[test]
    fn what_holds_no_value_is_not_touched() {
        let entry = r#"{"at":1,"agent":{"x":"\u00e4 sk-other /home/somebody/else"}}"#;
        assert!(matches!(masker().mask(entry), Cow::Borrowed(same) if same == entry));
        let mut none = Masker::new([("HOME", SECRET)]);
        assert!(matches!(none.mask(SECRET), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_no_json_is_hidden_as_well() {
        assert_eq!(
            masker().mask(&format!("npm: {SECRET}!")),
            "npm: sk-***************!"
        );
    }

    #[test]
    fn a_value_in_pieces_is_hidden_and_other_texts_do_not_disturb() {
        let mut masker = masker();
        let mut said = String::new();
        for piece in ["the key: s", "k-l", "ive-0123", "45678", "9 is it"] {
            said += &text_of(&masker.mask(&chunk("m", piece)));
            masker.mask(&chunk("other", "something else"));
        }
        assert_eq!(said, "the key: sk-*************** is it");
    }

    #[test]
    fn terminal_output_is_hidden_in_its_bytes() {
        let mut masker = masker();
        let mut out = Vec::new();
        for piece in [&b"\xffkey=sk-li"[..], b"ve-01234567", b"89\n"] {
            let entry = format!(
                r#"{{"at":1,"agent":{{"method":"session/update","params":{{"sessionId":"s","update":{{"sessionUpdate":"terminal_output_chunk","terminalId":"t","data":"{}"}}}}}}}}"#,
                BASE64.encode(piece)
            );
            let masked = masker.mask(&entry).into_owned();
            let start = masked.find(r#""data":""#).unwrap() + 8;
            let data = &masked[start..][..masked[start..].find('"').unwrap()];
            out.extend(BASE64.decode(data.as_bytes()).unwrap());
        }
        assert_eq!(out, b"\xffkey=sk-***************\n");
    }

    #[test]
    fn output_beside_a_tool_is_hidden_across_pieces() {
        let mut masker = masker();
        let mut all = String::new();
        for piece in ["sk-live-", "0123456789"] {
            let entry = format!(
                r#"{{"at":1,"agent":{{"method":"session/update","params":{{"sessionId":"s","update":{{"sessionUpdate":"tool_call_update","toolCallId":"t","_meta":{{"terminal_output_delta":{{"terminal_id":"t","data":"{piece}"}}}}}}}}}}}}"#
            );
            all += &masker.mask(&entry);
        }
        assert!(!all.contains("live") && !all.contains("01234"), "{all}");
    }

    proptest! {
        #[test]
        fn however_it_is_cut_no_more_than_three_characters_are_said(
            before in "[a-z ]{0,6}",
            after in "[a-z ]{0,6}",
            cuts in prop::collection::vec(1_usize..5, 0..20),
        ) {
            let said = format!("{before}{SECRET}{after}");
            let (mut masker, mut rest, mut heard) = (masker(), said.as_str(), String::new());
            let mut cuts = cuts.into_iter();
            while !rest.is_empty() {
                let cut = cuts.next().unwrap_or(rest.len()).min(rest.len());
                heard += &text_of(&masker.mask(&chunk("m", &rest[..cut])));
                rest = &rest[cut..];
            }
            prop_assert_eq!(heard.len(), said.len());
            let from = before.len() + 3;
            let hidden = &heard[from..before.len() + SECRET.len()];
            prop_assert!(hidden.chars().all(|c| c == '*'), "{}", heard);
        }

        #[test]
        fn what_comes_out_is_the_same_json_but_for_what_is_hidden(
            parts in prop::collection::vec(prop_oneof![
                Just(SECRET.to_owned()), "[\"\\\\a-z\u{e4}\n ]{0,5}", Just("sk-li".to_owned())], 1..6),
        ) {
            let value = serde_json::json!({"x": [parts.concat(), {"y": parts}]});
            let masked = masker().mask(&value.to_string()).into_owned();
            let read: serde_json::Value = serde_json::from_str(&masked).unwrap();
            prop_assert!(!masked.contains("live"));
            let length = |value: &serde_json::Value| value["x"][0].as_str().unwrap().chars().count();
            prop_assert_eq!(length(&read), length(&value));
        }
    }
}
