//! The key that comes before every command, at the host and at a viewer.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::keys::{Key, KeyCode, Mods, Press};

/// The prefix key: Ctrl-] unless configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    code: KeyCode,
    mods: Mods,
}

impl Default for Prefix {
    fn default() -> Self {
        Prefix {
            code: KeyCode::Char(']'),
            mods: Mods::CTRL,
        }
    }
}

impl Prefix {
    /// Whether `key`, in whichever encoding it came, is this one; its release is too.
    pub fn is(&self, key: &Key) -> bool {
        let here = key.code == self.code || key.base.map(KeyCode::Char) == Some(self.code);
        here && key.mods == self.mods
    }

    /// Whether `key` is this one going down (or held down).
    pub fn is_pressed(&self, key: &Key) -> bool {
        self.is(key) && key.press != Press::Up
    }
}

impl Prefix {
    /// Another key that terminals send the same for, where this one needs AltGr on many keyboards: most of Europe has
    /// no bare `]`, `\\` or `^`.
    pub fn also(&self) -> Option<&'static str> {
        match (self.code, self.mods) {
            (KeyCode::Char('\\'), Mods::CTRL) => Some("Ctrl-4"),
            (KeyCode::Char(']'), Mods::CTRL) => Some("Ctrl-5"),
            (KeyCode::Char('^'), Mods::CTRL) => Some("Ctrl-6"),
            _ => None,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, name) in [
            (Mods::CTRL, "Ctrl-"),
            (Mods::ALT, "Alt-"),
            (Mods::SHIFT, "Shift-"),
        ] {
            if self.mods.contains(held) {
                f.write_str(name)?;
            }
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(ch) => write!(f, "{}", ch.to_ascii_uppercase()),
            KeyCode::F(n) => write!(f, "F{n}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Why a text names no key that can be the prefix.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadPrefix {
    /// Not the name of a key.
    #[error("\"{0}\" is no key pillion knows; write it like ctrl-], ctrl-a, alt-x or f12")]
    Unknown(String),
    /// A key that is needed for itself.
    #[error(
        "{0} can't be the prefix key: terminals send the same for it as for a key you need; take one like ctrl-], ctrl-a, ctrl-\\ or f12"
    )]
    Needed(String),
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    /// `ctrl-]`, `C-a`, `^a`, `alt-x`, `f12`, `ctrl-space`; upper or lower case.
    fn from_str(text: &str) -> Result<Prefix, BadPrefix> {
        let unknown = || BadPrefix::Unknown(text.chars().take(32).collect());
        let mut rest = text.trim();
        let mut mods = Mods::NONE;
        let lower = rest.to_ascii_lowercase();
        if let Some(after) = rest.strip_prefix('^').filter(|after| !after.is_empty()) {
            (rest, mods) = (after, Mods::CTRL);
        } else {
            rest = &lower;
            while let Some((held, after)) = modifier(rest) {
                (rest, mods) = (after, mods.with(held));
            }
        }
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.as_str()) {
            // Terminals send the same for both.
            (Some('@'), "") if mods == Mods::CTRL => KeyCode::Char(' '),
            (Some(ch @ '!'..='~'), "") => KeyCode::Char(ch.to_ascii_lowercase()),
            (Some('f' | 'F'), digits) => match digits.parse() {
                Ok(n @ 1..=20) => KeyCode::F(n),
                _ => return Err(unknown()),
            },
            _ if rest == "space" => KeyCode::Char(' '),
            _ => return Err(unknown()),
        };
        let prefix = Prefix { code, mods };
        match prefix.is_free() {
            true => Ok(prefix),
            false => Err(BadPrefix::Needed(prefix.to_string())),
        }
    }
}

impl Prefix {
    /// A key that every terminal can send and nobody needs to type text: a function key, Alt with a
    /// character, or Control with one that has a control character of its own.
    fn is_free(&self) -> bool {
        match self.code {
            KeyCode::F(_) => true,
            // Enter, Tab, Esc and Backspace, as bytes; Ctrl-C must stay what it is.
            KeyCode::Char('m' | 'j' | 'i' | '[' | 'h' | '?' | 'c') if self.mods == Mods::CTRL => {
                false
            }
            KeyCode::Char('a'..='z' | ' ' | '\\' | ']' | '^' | '_') if self.mods == Mods::CTRL => {
                true
            }
            // Sequences begin with these.
            KeyCode::Char('[' | 'o' | ']' | 'p' | '_' | ' ') => false,
            KeyCode::Char(_) => self.mods == Mods::ALT,
            _ => false,
        }
    }
}

fn modifier(text: &str) -> Option<(Mods, &str)> {
    [
        ("ctrl-", Mods::CTRL),
        ("ctrl+", Mods::CTRL),
        ("control-", Mods::CTRL),
        ("c-", Mods::CTRL),
        ("alt-", Mods::ALT),
        ("alt+", Mods::ALT),
        ("meta-", Mods::ALT),
        ("m-", Mods::ALT),
        ("shift-", Mods::SHIFT),
    ]
    .into_iter()
    .find_map(|(name, held)| {
        let after = text.strip_prefix(name)?;
        (!after.is_empty()).then_some((held, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_names() {
        for (text, shown) in [
            ("ctrl-]", "Ctrl-]"),
            ("C-a", "Ctrl-A"),
            ("^b", "Ctrl-B"),
            ("CTRL+\\", "Ctrl-\\"),
            ("ctrl-space", "Ctrl-Space"),
            ("ctrl-@", "Ctrl-Space"),
            ("alt-x", "Alt-X"),
            ("F12", "F12"),
            ("shift-f5", "Shift-F5"),
        ] {
            let prefix: Prefix = text.parse().unwrap();
            assert_eq!(prefix.to_string(), shown);
            assert_eq!(shown.parse(), Ok(prefix), "what is shown can be written");
        }
    }

    #[test]
    fn what_is_needed_or_unknown_is_refused_with_a_way_on() {
        for text in [
            "a",
            "ctrl-m",
            "ctrl-i",
            "ctrl-[",
            "ctrl-c",
            "alt-[",
            "alt-o",
            "ctrl-1",
            "ctrl-alt-a",
        ] {
            assert!(
                matches!(text.parse::<Prefix>(), Err(BadPrefix::Needed(_))),
                "{text}"
            );
        }
        for text in ["", "ctrl-", "f0", "f99", "escape", "hyper-x", "é"] {
            let error = text.parse::<Prefix>().unwrap_err();
            assert!(matches!(error, BadPrefix::Unknown(_)), "{text}");
            assert!(error.to_string().contains("ctrl-]"));
        }
    }

    #[test]
    fn a_key_is_itself_wherever_its_layout_has_it() {
        let prefix = Prefix::default();
        let key = Key::with(KeyCode::Char(']'), Mods::CTRL);
        assert!(prefix.is(&key) && prefix.is_pressed(&key));
        let elsewhere = Key {
            code: KeyCode::Char('ъ'),
            base: Some(']'),
            ..key
        };
        assert!(prefix.is(&elsewhere));
        assert!(!prefix.is(&Key::plain(KeyCode::Char(']'))));
        assert!(!prefix.is_pressed(&Key {
            press: Press::Up,
            ..key
        }));
    }
}
