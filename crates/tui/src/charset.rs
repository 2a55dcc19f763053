//! What a terminal can show of our own signs: borders, arrows, quotation marks. What programs wrote is theirs, and is drawn
//! as it came.

use std::cell::Cell;

/// Which characters our own signs may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// Any.
    #[default]
    Unicode,
    /// Those of ASCII: the locale is not one of Unicode's.
    Ascii,
}

impl Charset {
    /// What the environment says. The first of the three variables that is set decides (`locale(7)`); where none is,
    /// nothing speaks against Unicode.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Charset {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL")
            .or_else(|| set("LC_CTYPE"))
            .or_else(|| set("LANG"));
        let is_unicode = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        match is_unicode {
            true => Charset::Unicode,
            false => Charset::Ascii,
        }
    }

    /// Text of ours in these characters, which may take more columns. What somebody is called stays as it is.
    pub fn spell(self, text: &str) -> String {
        match self {
            Charset::Unicode => text.to_owned(),
            Charset::Ascii => {
                let mut out = String::with_capacity(text.len());
                for ch in text.chars() {
                    match ch {
                        '…' => out += "...",
                        '➜' => out += "->",
                        ch => out.push(self.sign(ch)),
                    }
                }
                out
            }
        }
    }

    /// One character of ours in these, as wide as it was.
    fn sign(self, ch: char) -> char {
        match (self, ch) {
            (Charset::Unicode, ch) => ch,
            (Charset::Ascii, ch) => match ch {
                '“' | '”' => '"',
                '‘' | '’' => '\'',
                '–' | '—' | '−' | '─' | '━' => '-',
                '│' | '┃' | '▏' => '|',
                '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' => '+',
                '…' => '~',
                '×' | '✗' => 'x',
                '✓' => 'v',
                '·' | '●' | '•' | '◦' => '*',
                '▸' | '▶' | '›' | '»' | '→' | '➜' => '>',
                '‹' | '«' | '←' => '<',
                '↑' => '^',
                '↓' => 'v',
                '█' | '▀' | '▄' => '#',
                ch => ch,
            },
        }
    }
}

thread_local! {
    /// Of the terminal that is being drawn on.
    static DRAWN_IN: Cell<Charset> = const { Cell::new(Charset::Unicode) };
}

/// While this lives, what this thread draws is drawn in a terminal's characters.
pub(crate) struct Drawing {
    before: Charset,
}

impl Drawing {
    pub(crate) fn within(charset: Charset) -> Drawing {
        let before = DRAWN_IN.replace(charset);
        Drawing { before }
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        DRAWN_IN.set(self.before);
    }
}

/// One character of ours as it is drawn.
pub(crate) fn sign(ch: char) -> char {
    DRAWN_IN.get().sign(ch)
}

/// Text of ours as it is drawn where it may take the room that it needs.
pub(crate) fn spelt(text: &str) -> String {
    DRAWN_IN.get().spell(text)
}

#[cfg(test)]
mod tests {
    use pillion_screen::width::columns;

    use super::*;

    #[test]
    fn a_locale_without_unicode_gets_ascii_for_what_is_ours() {
        let locale = |name: &'static str, value: &'static str| {
            Charset::detect(move |wanted| (wanted == name).then(|| value.to_owned()))
        };
        assert_eq!(locale("LANG", "de_DE.UTF-8"), Charset::Unicode);
        assert_eq!(locale("LC_ALL", "C.utf8"), Charset::Unicode);
        assert_eq!(
            locale("TERM", "xterm"),
            Charset::Unicode,
            "nothing is said of it"
        );
        assert_eq!(locale("LC_ALL", "C"), Charset::Ascii);
        assert_eq!(locale("LC_CTYPE", "de_DE.ISO-8859-1"), Charset::Ascii);
        let said = Charset::Ascii.spell("➜ “démo” │ 80×24 – waiting …");
        assert_eq!(said, "-> \"démo\" | 80x24 - waiting ...");
    }

    #[test]
    fn a_sign_is_as_wide_as_the_one_it_stands_for() {
        for ch in "“”‘’–─│┌┐└┘├┤┬┴┼…×✗✓·●•◦▸▶›←→↑↓█▀▄".chars()
        {
            let sign = Charset::Ascii.sign(ch);
            assert!(sign.is_ascii(), "{ch}");
            assert_eq!(columns(ch), columns(sign), "{ch}");
        }
    }
}
