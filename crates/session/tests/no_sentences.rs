//! The host and the conversations that it steers say no sentences: what people read is made from typed values where it is shown.
//!
//! Nothing in the types says which text is a sentence, so its source is read: a text of more than two words stands in
//! it only as the reason of a panic, or as what was malformed.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What may be said: in a panic, and to those who look for a fault in the protocol.
const ALLOWED: [&str; 5] = [
    ".expect(",
    "panic!(",
    "unreachable!(",
    "PeerError::protocol(",
    "ProtocolError::Malformed(",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

/// The texts of a file with what stands before each, without its comments, attributes and tests.
fn texts(source: &str) -> Vec<(String, String)> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let (mut found, mut before) = (Vec::new(), String::new());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skip = if rest.starts_with("//") || rest.starts_with("#[") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '\'' {
            // A character, or a lifetime.
            let literal = rest[1..].char_indices().skip(1).find(|(_, at)| *at == '\'');
            let end = literal.map_or(0, |(end, _)| end + 2);
            if end > 0 && (end <= 6 || rest.starts_with("'\\")) {
                end
            } else {
                1
            }
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|at| {
                let ends = at == '"' && !escaped;
                escaped = at == '\\' && !escaped;
                ends
            });
            let end = end.expect("a text ends");
            found.push((before.trim_end().to_owned(), rest[1..=end].to_owned()));
            end + 2
        } else {
            before.push(first);
            first.len_utf8()
        };
        rest = &rest[skip..];
    }
    found
}

#[test]
fn the_host_makes_no_sentences() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = vec![root.join("audit.rs")];
    sources(&root.join("host"), &mut all);
    let conversation = root.join("../../conversation/src");
    all.extend(["steering.rs", "queue.rs"].map(|file| conversation.join(file)));
    assert!(all.len() > 50, "the host's files are read");
    let (mut read, mut sentences) = (0, Vec::new());
    for path in all {
        for (before, text) in texts(&fs::read_to_string(&path).unwrap()) {
            read += 1;
            let is_allowed = ALLOWED.iter().any(|allowed| before.ends_with(allowed));
            let words = text.split_whitespace();
            let words = words.filter(|word| word.starts_with(char::is_alphabetic));
            if words.count() > 2 && !is_allowed {
                sentences.push(format!("{}: {text}", path.display()));
            }
        }
    }
    assert!(read > 50, "its texts are found: {read}");
    assert_eq!(
        sentences, [""; 0],
        "say it by a typed value, and in words in crates/tui/src/words"
    );
}

#[test]
fn a_sentence_in_a_source_is_found() {
    let source = r#"
        // "not in a comment at all"
        #[doc = "nor in an attribute"]
        fn x<'a>(c: char) { say("you are not \"in\" yet"); x.expect("a lock that holds"); if c == '"' { y('\u{1b}') } }
    "#;
    let found = texts(source);
    let texts: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, [r#"you are not \"in\" yet"#, "a lock that holds"]);
    assert!(found[0].0.ends_with("say(") && found[1].0.ends_with(".expect("));
}
