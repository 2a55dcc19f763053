//! Text out of what is more than text.

use pillion_proto::limits::MAX_PROMPT;

use crate::json::Json;

/// Why a prompt is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotText {
    /// It has pictures or sounds.
    Media,
    /// It is too long.
    TooLong,
    /// It says nothing.
    Empty,
}

impl NotText {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            NotText::Media => {
                "pictures and sounds can't be sent in a shared conversation: give the path of a file, or describe it"
            }
            NotText::TooLong => {
                "the prompt is too long: 64 KiB at most, with the files that are in it. Give the paths of files in their \
                 place"
            }
            NotText::Empty => "a prompt says something",
        }
    }
}

/// A prompt's blocks as the text that a shared prompt is.
pub(super) fn of_prompt(blocks: Json<'_>) -> Result<String, NotText> {
    let mut out = String::new();
    for block in blocks.items() {
        let [kind, text, uri, name, resource] =
            block.fields(["type", "text", "uri", "name", "resource"]);
        let kind = kind.and_then(Json::text).unwrap_or_default();
        let words = |json: Option<Json<'_>>| {
            json.and_then(Json::text)
                .map(|text| text.into_owned())
                .unwrap_or_default()
        };
        match kind.as_ref() {
            "text" => out.push_str(&words(text)),
            "resource_link" => {
                let uri = words(uri);
                let path = uri.strip_prefix("file://").unwrap_or(&uri);
                match path.is_empty() {
                    true => out.push_str(&words(name)),
                    false => out.push_str(&format!("@{path}")),
                }
            }
            "resource" => {
                let [uri, text] = match resource {
                    Some(resource) => resource.fields(["uri", "text"]),
                    None => [None; 2],
                };
                if text.is_none() {
                    return Err(NotText::Media);
                }
                let (uri, text) = (words(uri), words(text));
                out.push_str(&format!("\n<context ref=\"{uri}\">\n{text}\n</context>\n"));
            }
            _ => return Err(NotText::Media),
        }
        if out.len() > MAX_PROMPT {
            return Err(NotText::TooLong);
        }
    }
    match out.trim().is_empty() {
        true => Err(NotText::Empty),
        false => Ok(out),
    }
}

/// What a command printed, without what a terminal makes of some bytes: colours and moves are left out, and of a line
/// that was written over the last is kept.
pub(super) fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut line = 0;
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        match ch {
            '\u{1b}' => skip_sequence(&mut chars),
            '\n' => {
                out.push('\n');
                line = out.len();
            }
            '\r' if chars
                .peek()
                .is_some_and(|next| !matches!(next, '\n' | '\r')) =>
            {
                out.truncate(line);
            }
            '\u{8}' if out.len() > line => {
                out.pop();
            }
            '\t' => out.push('\t'),
            ch if ch.is_control() => {}
            ch => out.push(ch),
        }
    }
    out
}

/// Leaves out an escape sequence, whose first character has been read.
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            for ch in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&ch) {
                    return;
                }
            }
        }
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(ch) = chars.next() {
                match ch {
                    '\u{7}' => return,
                    '\u{1b}' => {
                        chars.next_if_eq(&'\\');
                        return;
                    }
                    _ => {}
                }
            }
        }
        Some('(' | ')' | '*' | '+' | '#' | '%') => {
            chars.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_text_with_files_named_or_quoted() {
        let prompt = r#"[{"type":"text","text":"look at "},{"type":"resource_link","name":"a","uri":"file:///src/a.rs"},
            {"type":"resource","resource":{"uri":"file:///b","text":"two"}}]"#;
        let text = of_prompt(Json::parse(prompt).unwrap()).unwrap();
        assert_eq!(
            text,
            "look at @/src/a.rs\n<context ref=\"file:///b\">\ntwo\n</context>\n"
        );
        let refused = |prompt: &str| of_prompt(Json::parse(prompt).unwrap()).unwrap_err();
        assert_eq!(
            refused(r#"[{"type":"image","data":"AA=="}]"#),
            NotText::Media
        );
        assert_eq!(refused("[]"), NotText::Empty);
        let long = format!(
            r#"[{{"type":"text","text":"{}"}}]"#,
            "x".repeat(MAX_PROMPT + 1)
        );
        assert_eq!(refused(&long), NotText::TooLong);
    }

    #[test]
    fn output_is_what_a_terminal_would_show_as_text() {
        let bytes = b"\x1b[31mred\x1b[0m\r\n10%\r20%\rdone\r\n\x1b]0;title\x07ab\x08c\n\x1b(Bend";
        assert_eq!(plain(bytes), "red\ndone\nac\nend");
        assert_eq!(plain(b"cut \x1b["), "cut ");
        assert_eq!(plain(b"a\xff"), "a\u{fffd}");
    }
}
