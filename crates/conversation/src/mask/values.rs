//! The values that are hidden, and how they are found: all at once, in one walk over the text (Aho and Corasick's
//! automaton), which can stop anywhere and go on later.

/// Shortest value that is hidden, in characters: shorter ones stand everywhere.
const MIN_CHARS: usize = 6;

/// How many of a value's characters are left.
const SHOWN_CHARS: usize = 3;

/// So many characters of a value are it, though the rest does not follow. Less than half of a value with fewer is
/// taken for something that only begins alike.
const TELLING_CHARS: usize = 12;

/// Whether what a variable of this name holds is to be hidden.
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split('_').collect();
    // These hold where something is.
    let place = [
        "SOCK", "SOCKET", "FILE", "PATH", "DIR", "DIRS", "HOME", "HOST", "PORT", "ID",
    ];
    if words.last().is_some_and(|last| place.contains(last)) {
        return false;
    }
    let telling = [
        "SECRET",
        "TOKEN",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "APIKEY",
        "CREDENTIAL",
    ];
    let word = [
        "KEY",
        "KEYS",
        "PASS",
        "PWD",
        "AUTH",
        "AUTHORIZATION",
        "PAT",
        "JWT",
        "BEARER",
        "COOKIE",
        "DSN",
        "SALT",
    ];
    telling.iter().any(|telling| name.contains(telling))
        || words.len() > 1 && words[1..].iter().any(|one| word.contains(one))
        || name.ends_with("DATABASE_URL")
        || name.ends_with("CONNECTION_STRING")
}

/// The values, as one automaton.
#[derive(Clone, Debug)]
pub(super) struct Values {
    nodes: Vec<Node>,
}

/// How much of a value the text before ended with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct At(u32);

/// What the text ends with: the beginning of a value.
#[derive(Clone, Debug, Default)]
struct Node {
    byte: u8,
    child: u32,
    sibling: u32,
    /// The longest shorter beginning that it ends with.
    shorter: u32,
    /// Its length, in bytes.
    length: u32,
    /// Its first characters that are left, in bytes.
    shown: u32,
    chars: u32,
    /// The longest value that it ends with, and what is left of that, in bytes.
    value: Option<(u32, u32)>,
    /// Whether so much of a value is hidden where the rest doesn't follow.
    telling: bool,
}

const ROOT: u32 = 0;

impl Values {
    pub(super) fn new<'a>(values: impl Iterator<Item = &'a str>) -> Values {
        let mut found = Values {
            nodes: vec![Node::default()],
        };
        for value in values {
            let value = value.trim();
            found.add(value);
            // A key in several lines may be quoted with other line ends.
            if value.contains('\n') {
                let lines = value.lines().map(str::trim);
                lines
                    .filter(|line| line.len() >= TELLING_CHARS && !line.starts_with("-----"))
                    .for_each(|line| found.add(line));
            }
        }
        found.link();
        found
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    fn add(&mut self, value: &str) {
        let chars = value.chars().count();
        if chars < MIN_CHARS {
            return;
        }
        let mut node = ROOT;
        let mut number = 0;
        let shown = value
            .char_indices()
            .nth(SHOWN_CHARS)
            .map_or(0, |(at, _)| at) as u32;
        for byte in value.bytes() {
            // A character ends where the next one begins; this counts those that have begun.
            if byte & 0xc0 != 0x80 {
                number += 1;
            }
            let length = self.nodes[node as usize].length + 1;
            node = match self.child(node, byte) {
                Some(child) => child,
                None => {
                    let new = Node {
                        byte,
                        sibling: self.nodes[node as usize].child,
                        length,
                        shown: shown.min(length),
                        chars: number as u32,
                        ..Node::default()
                    };
                    self.nodes.push(new);
                    let child = self.nodes.len() as u32 - 1;
                    self.nodes[node as usize].child = child;
                    child
                }
            };
            self.nodes[node as usize].telling |= number >= TELLING_CHARS || 2 * number > chars;
        }
        self.nodes[node as usize].value = Some((value.len() as u32, shown));
    }

    fn child(&self, node: u32, byte: u8) -> Option<u32> {
        let mut child = self.nodes[node as usize].child;
        while child != ROOT {
            let node = &self.nodes[child as usize];
            if node.byte == byte {
                return Some(child);
            }
            child = node.sibling;
        }
        None
    }

    /// Finds of each beginning the longest shorter one that it ends with: breadth first, the shorter ones before.
    fn link(&mut self) {
        let mut queue = vec![ROOT];
        let mut next = 0;
        while let Some(node) = queue.get(next).copied() {
            next += 1;
            let mut child = self.nodes[node as usize].child;
            while child != ROOT {
                queue.push(child);
                let byte = self.nodes[child as usize].byte;
                let shorter = match node {
                    ROOT => ROOT,
                    node => self.step(self.nodes[node as usize].shorter, byte),
                };
                self.nodes[child as usize].shorter = shorter;
                if self.nodes[child as usize].value.is_none() {
                    self.nodes[child as usize].value = self.nodes[shorter as usize].value;
                }
                child = self.nodes[child as usize].sibling;
            }
        }
    }

    fn step(&self, mut node: u32, byte: u8) -> u32 {
        loop {
            match self.child(node, byte) {
                Some(child) => return child,
                None if node == ROOT => return ROOT,
                None => node = self.nodes[node as usize].shorter,
            }
        }
    }

    /// The text with what is hidden in it; `None` when nothing is. Where it ends in a value is `at`.
    pub(super) fn mask(&self, at: &mut At, text: &[u8]) -> Option<Vec<u8>> {
        let mut hidden: Vec<(usize, usize)> = Vec::new();
        // The last `length` bytes before `end` but the first `shown` of them, as far as they are in this text.
        let mut hide = |end: usize, length: u32, shown: u32| {
            let start = (end + shown as usize).saturating_sub(length as usize);
            if start < end {
                hidden.push((start, end));
            }
        };
        let mut node = at.0;
        for (position, byte) in text.iter().enumerate() {
            let before = &self.nodes[node as usize];
            node = self.step(node, *byte);
            let now = &self.nodes[node as usize];
            // The value doesn't go on, but so much of it is there.
            if before.telling && now.length <= before.length {
                hide(position, before.length, before.shown);
            }
            if let Some((length, shown)) = now.value {
                hide(position + 1, length, shown);
            }
        }
        // It may go on in the next piece, or was cut.
        let last = &self.nodes[node as usize];
        if last.chars as usize > SHOWN_CHARS {
            hide(text.len(), last.length, last.shown);
        }
        *at = At(node);
        if hidden.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(text.len());
        hidden.sort_unstable();
        let mut copied = 0;
        for (start, end) in hidden {
            if end <= copied {
                continue;
            }
            let start = start.max(copied);
            out.extend_from_slice(&text[copied..start]);
            let characters = text[start..end].iter().filter(|byte| **byte & 0xc0 != 0x80);
            out.resize(out.len() + characters.count(), b'*');
            copied = end;
        }
        out.extend_from_slice(&text[copied..]);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(values: &[&str], text: &str) -> String {
        let values = Values::new(values.iter().copied());
        let masked = values.mask(&mut At::default(), text.as_bytes());
        masked.map_or(text.to_owned(), |masked| String::from_utf8(masked).unwrap())
    }

    #[test]
    fn names_that_look_secret() {
        for name in [
            "OPENAI_API_KEY",
            "GITHUB_TOKEN",
            "DB_PASSWORD",
            "MY_SECRET_THING",
            "npm_config__auth",
            "PGPASSWORD",
            "AWS_SECRET_ACCESS_KEY",
            "DATABASE_URL",
            "SENTRY_DSN",
            "GH_PAT",
            "MYSQL_PWD",
            "apikey",
        ] {
            assert!(looks_secret(name), "{name}");
        }
        for name in [
            "PATH",
            "PWD",
            "OLDPWD",
            "HOME",
            "KEYBOARD",
            "SSH_AUTH_SOCK",
            "XAUTHORITY",
            "AWS_ACCESS_KEY_ID",
            "TOKEN_FILE",
            "EDITOR",
            "LANG",
            "COMPASS_X",
        ] {
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn values_that_overlap_are_all_hidden() {
        let values = ["abcdefgh", "defghijk", "cdefg9"];
        assert_eq!(mask(&values, "abcdefghijk cdefg9"), "abc******** cde***");
        assert_eq!(mask(&values, "abcdefghabcdefgh"), "abc*****abc*****");
    }

    #[test]
    fn what_only_begins_alike_is_left() {
        assert_eq!(
            mask(&["password1234"], "the password is"),
            "the pas***** is"
        );
        assert_eq!(
            mask(&["passwords-are-long-1234"], "the password is"),
            "the password is"
        );
        assert_eq!(mask(&["tooky"], "tooky"), "tooky");
    }

    #[test]
    fn the_beginning_of_a_value_at_the_end_is_hidden() {
        assert_eq!(mask(&["passwords-are-long-1234"], "the pass"), "the pas*");
        assert_eq!(mask(&["passwords-are-long-1234"], "the pas"), "the pas");
    }

    #[test]
    fn characters_are_hidden_whole() {
        assert_eq!(mask(&["äöüßéèê"], "xäöüßéèêx"), "xäöü****x");
        assert_eq!(mask(&["äöüßéèê"], "xäöüß"), "xäöü*");
    }

    #[test]
    fn a_key_in_lines_is_hidden_by_line() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n";
        let masked = mask(&[key], "MIIEvQIBADANBgkq\r\nhkiG9w0BAQEFAASC");
        assert_eq!(masked, "MII*************\r\nhki*************");
    }
}
