//! An entry as those get it who are shown the conversation.

use std::borrow::Cow;

use memchr::memchr;

use crate::{
    entry::{Entry, Logged, Note},
    json::{Json, string_end},
    limits::{MAX_SHOWN_ENTRY, MAX_SHOWN_STRING, MAX_WORD},
};

/// What is shown of an entry: all of it, or of one that is too long to be sent to everybody its texts cut to what the
/// model holds of them. The whole is in the host's log.
pub fn shown(entry: &str) -> Cow<'_, str> {
    if entry.len() <= MAX_SHOWN_ENTRY {
        return Cow::Borrowed(entry);
    }
    let mut longest = MAX_SHOWN_STRING;
    while longest >= MAX_WORD {
        let cut = cut_strings(entry, longest);
        if cut.len() <= MAX_SHOWN_ENTRY {
            return Cow::Owned(cut);
        }
        longest /= 4;
    }
    // It is made of very many short ones.
    let json = Json::parse(entry).ok();
    let at_ms = json.and_then(|json| json.get("at")?.number());
    let text = entry[..entry.floor_char_boundary(MAX_WORD)].to_owned();
    let what = Logged::Note(Note::Oversized {
        text,
        bytes: entry.len() as u64,
    });
    let at_ms = at_ms.unwrap_or_default();
    Cow::Owned(Entry { at_ms, what }.encode())
}

/// The same JSON with no string longer than `longest` bytes, as it stands, and a few that say how much is missing.
fn cut_strings(text: &str, longest: usize) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(MAX_SHOWN_ENTRY);
    let (mut at, mut copied) = (0, 0);
    while let Some(next) = memchr(b'"', &bytes[at..]) {
        let (start, end) = (at + next, string_end(bytes, at + next));
        at = end;
        if end - start <= longest + 2 {
            continue;
        }
        let inner = &text[start + 1..end - 1];
        let kept = whole_escapes(inner, longest);
        out.push_str(&text[copied..start + 1 + kept]);
        // In data that is one long word it would be taken for a part of it.
        if inner[..kept].contains([' ', '\\']) {
            out.push_str(&format!(" … ({} more bytes)", inner.len() - kept));
        }
        copied = end - 1;
    }
    out.push_str(&text[copied..]);
    out
}

/// How much of what stands between a string's quotes is within `max` bytes and no half of an escape.
fn whole_escapes(inner: &str, max: usize) -> usize {
    let max = inner.floor_char_boundary(max);
    let bytes = inner.as_bytes();
    let mut at = 0;
    while let Some(next) = memchr(b'\\', &bytes[at..max]) {
        let escape = at + next;
        at = escape
            + match bytes.get(escape + 1) {
                Some(b'u') => 6,
                _ => 2,
            };
        if at > max {
            return escape;
        }
    }
    max
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conversation;
    use proptest::prelude::*;

    fn said(text: &str) -> String {
        format!(
            r#"{{"at":5,"agent":{{"method":"session/update","params":{{"sessionId":"s","update":{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":{}}}}}}}}}}}"#,
            serde_json::to_string(text).unwrap()
        )
    }

    #[test]
    fn what_is_short_stays_as_it_is() {
        let entry = said("hello");
        assert!(matches!(shown(&entry), Cow::Borrowed(same) if same == entry));
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let entry = said(&"word \"quoted\"\n".repeat(100_000));
        let shown = shown(&entry);
        assert!(shown.len() <= MAX_SHOWN_ENTRY);
        assert!(
            shown.contains("more bytes)"),
            "{}",
            &shown[shown.len() - 200..]
        );
        assert!(Entry::decode(&shown).is_ok());
        let mut conversation = Conversation::new();
        conversation.apply_text(&shown);
        assert_eq!(conversation.items().count(), 1);
    }

    #[test]
    fn what_is_made_of_very_many_words_is_said_to_be_too_long() {
        let words: Vec<String> = (0..200_000).map(|n| format!("{n}")).collect();
        let entry = format!(
            r#"{{"at":5,"agent":{{"method":"x","params":{}}}}}"#,
            serde_json::to_string(&words).unwrap()
        );
        let shown = shown(&entry);
        let entry = Entry::decode(&shown).unwrap();
        assert_eq!(entry.at_ms, 5);
        assert!(matches!(entry.what, Logged::Note(Note::Oversized { .. })));
    }

    proptest! {
        #[test]
        fn a_cut_string_is_still_one(text in "[a-z\\\\\"\n\u{1}é😀]{0,200}", max in 0_usize..200) {
            let json = serde_json::to_string(&text).unwrap();
            let escaped: String = json.chars().flat_map(|one| match one {
                'é' => "\\u00e9".chars().collect::<Vec<_>>(),
                other => vec![other],
            }).collect();
            for json in [json, escaped] {
                let inner = &json[1..json.len() - 1];
                let kept = whole_escapes(inner, max);
                prop_assert!(kept <= max && kept + 6 >= max.min(inner.len()));
                let cut = format!("\"{}\"", &inner[..kept]);
                prop_assert!(serde_json::from_str::<String>(&cut).is_ok(), "{cut}");
            }
        }
    }
}
