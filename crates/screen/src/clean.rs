//! Cleaning: what may reach a terminal's screen, and what people may put into names, titles and
//! messages.
//!
//! A viewer cleans what it receives even though an honest host has cleaned it before, with the same
//! functions: a malicious host, or program, must not reach the viewer's terminal.
//! Removed are control characters (C0, C1, DEL), characters that reorder text (bidi marks,
//! overrides, isolates: Unicode TR 36 and CVE-2021-42574), tags (U+E0000…, invisible text),
//! deprecated and interlinear format characters, noncharacters, and U+10EEEE, with which kitty draws
//! images. Zero-width characters stay when they follow something, at most [`MAX_MARKS`] in a row.

use crate::{
    cell::{MAX_LINK, MAX_MARKS},
    width::{columns, is_disputed},
};

/// What a character is replaced by that has a cell of its own but must not be shown.
pub const REPLACEMENT: char = '\u{fffd}';

/// Whether a character may be shown at all, on its own or as a mark.
pub fn is_clean_char(ch: char) -> bool {
    if ch.is_ascii() {
        return matches!(ch, ' '..='~');
    }
    let forbidden = matches!(ch,
        '\u{80}'..='\u{9f}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{206f}'
        | '\u{fdd0}'..='\u{fdef}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}'
        | '\u{10eeee}');
    !forbidden && (ch as u32) & 0xfffe != 0xfffe
}

/// Whether every character may be shown.
pub fn is_clean(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.chars().all(is_clean_char)
}

/// The character a cell may hold: itself, or a space for a tab (emulators leave tabs in cells), or
/// [`REPLACEMENT`].
pub fn clean_base(ch: char) -> char {
    if matches!(ch, ' '..='~') || is_clean_char(ch) && columns(ch) > 0 {
        ch
    } else if ch == '\t' {
        ' '
    } else {
        REPLACEMENT
    }
}

/// Whether a character may follow another in its cell.
pub fn is_clean_mark(ch: char) -> bool {
    is_clean_char(ch) && columns(ch) == 0
}

/// A window or session title: one line, at most `max` characters.
pub fn clean_title(text: &str, max: usize) -> String {
    clean(text, max, false, is_clean_char)
}

/// A person's or session's name, a label: one line, at most `max` characters; may come out empty.
/// Characters whose width terminals dispute are left out ([`fits_name`]).
pub fn clean_name(text: &str, max: usize) -> String {
    clean(text, max, false, fits_name)
}

/// A message: may have several lines (`\n`), at most `max` characters.
pub fn clean_text(text: &str, max: usize) -> String {
    clean(text, max, true, is_clean_char)
}

/// Whether a character may be in a name: it may be shown, and takes as many columns on one terminal as on
/// another, since names stand in lines that are laid out here and shown anywhere. Excepted are the scripts
/// that can't be spelled without such characters.
pub fn fits_name(ch: char) -> bool {
    let spells = matches!(ch,
        // Devanagari to Myanmar; Khmer and its kin; Balinese to Lepcha; Javanese to Meetei Mayek.
        '\u{900}'..='\u{109f}' | '\u{1700}'..='\u{17b3}' | '\u{17b6}'..='\u{17d7}' | '\u{17d9}'..='\u{17ff}'
        | '\u{1900}'..='\u{1cff}' | '\u{a800}'..='\u{a8ff}' | '\u{a930}'..='\u{a95f}' | '\u{a980}'..='\u{aaff}'
        | '\u{abc0}'..='\u{abff}');
    is_clean_char(ch) && (spells || !is_disputed(ch))
}

/// White space is one space (or line feed) at a time and none at the ends. Cleaning what is clean
/// changes nothing.
fn clean(text: &str, max: usize, lines: bool, may: fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len().min(max.saturating_mul(4)));
    let mut count = 0;
    let mut marks = 0;
    let mut gap = None;
    for ch in text.chars() {
        if ch.is_whitespace() {
            let feed = lines && matches!(ch, '\n' | '\u{2028}' | '\u{2029}' | '\u{85}');
            if !out.is_empty() {
                gap = if feed || gap == Some('\n') {
                    Some('\n')
                } else {
                    Some(' ')
                };
            }
            continue;
        }
        if !may(ch) {
            continue;
        }
        if columns(ch) == 0 {
            if out.is_empty() || gap.is_some() || marks == MAX_MARKS {
                continue;
            }
            marks += 1;
        } else {
            marks = 0;
        }
        let needed = 1 + usize::from(gap.is_some());
        if count + needed > max {
            break;
        }
        count += needed;
        out.extend(gap.take());
        out.push(ch);
    }
    out
}

/// Whether a hyperlink's target may be offered: `http`, `https` or `mailto`, printable ASCII as
/// OSC 8 demands, nothing that hides where it leads (a user before the host, a backslash), at most
/// [`MAX_LINK`] bytes.
pub fn allowed_link(link: &str) -> bool {
    link.len() <= MAX_LINK
        && link
            .bytes()
            .all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'\\' | b'"' | b'<' | b'>'))
        && (host(link).is_some_and(|host| !host.is_empty() && !host.contains('@'))
            || scheme(link, "mailto:").is_some_and(|address| !address.is_empty()))
}

/// A link's target as it is shown before anyone follows it, at most `max` characters: shortened at
/// its end, or, where not even the host fits, at the host's left, which an attacker chooses freely.
/// Empty for a link that [`allowed_link`] refuses.
pub fn show_link(link: &str, max: usize) -> String {
    if !allowed_link(link) {
        return String::new();
    }
    if link.len() <= max {
        return link.to_owned();
    }
    let room = max.saturating_sub(1);
    let host_end = host(link).map_or(0, |host| {
        link.find("//").map_or(0, |at| at + 2) + host.len()
    });
    if host_end <= room {
        format!("{}…", link.get(..room).unwrap_or_default())
    } else {
        let from = host_end.saturating_sub(room);
        format!("…{}", link.get(from..host_end).unwrap_or_default())
    }
}

/// What follows the scheme, when it is this one (RFC 3986: schemes know no case).
fn scheme<'a>(link: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = link.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The authority of a web link.
fn host(link: &str) -> Option<&str> {
    let rest = scheme(link, "https://").or_else(|| scheme(link, "http://"))?;
    rest.split(['/', '?', '#']).next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_and_reordering_are_removed() {
        assert_eq!(
            clean_name("\x1b]0;evil\x07ann\u{9b}31m", 64),
            "]0;evilann31m"
        );
        assert_eq!(clean_name("\u{202e}nna\u{2066}\u{e0041}", 64), "nna");
        assert_eq!(clean_title("  a \t\r\n b  ", 64), "a b");
        assert_eq!(clean_text("a \n\n b\u{2028}c", 64), "a\nb\nc");
        assert_eq!(clean_name("\u{301}\u{200d}", 64), "");
        assert_eq!(clean_name("abc def", 4), "abc");
    }

    #[test]
    fn names_have_no_characters_of_disputed_width() {
        assert_eq!(clean_name(&"☺\u{fe0f}".repeat(12), 64), "☺".repeat(12));
        assert_eq!(clean_name("\u{3248}\u{324f}\u{2630}\u{ad}🙂", 64), "");
        assert_eq!(clean_name("👩\u{200d}🚀 ann\u{1f1e9}\u{1f1ea}", 64), "ann");
        for name in [
            "Ann",
            "José",
            "Łukasz",
            "Ольга",
            "山田 太郎",
            "김",
            "नमस्ते",
            "রাজা",
            "மாலா",
            "สมชาย",
            "דנה",
        ] {
            assert_eq!(clean_name(name, 64), name);
        }
        // Elsewhere they stay.
        assert_eq!(clean_title("🙂 \u{3248}", 64), "🙂 \u{3248}");
    }

    #[test]
    fn stacks_of_marks_are_cut() {
        let zalgo = format!("a{}b", "\u{301}".repeat(100));
        assert_eq!(
            clean_name(&zalgo, 64),
            format!("a{}b", "\u{301}".repeat(MAX_MARKS))
        );
    }

    #[test]
    fn a_cell_holds_something_of_its_width() {
        assert_eq!(clean_base('\t'), ' ');
        assert_eq!(clean_base('\x1b'), REPLACEMENT);
        assert_eq!(clean_base('\u{301}'), REPLACEMENT);
        assert_eq!(clean_base('\u{10eeee}'), REPLACEMENT);
        assert_eq!(clean_base('\u{1ffff}'), REPLACEMENT);
        assert_eq!(clean_base('漢'), '漢');
        assert_eq!(
            clean_base('\u{e0b0}'),
            '\u{e0b0}',
            "powerline glyphs are private use"
        );
        assert!(is_clean_mark('\u{fe0f}') && is_clean_mark('\u{200d}'));
        assert!(!is_clean_mark('a') && !is_clean_mark('\u{202e}'));
    }

    #[test]
    fn only_links_that_show_where_they_lead_are_allowed() {
        for link in [
            "http://a.example",
            "HTTPS://a.example:8080/b?c=d@e#f",
            "mailto:ann@a.example",
        ] {
            assert!(allowed_link(link), "{link}");
        }
        for link in [
            "",
            "https://",
            "https:///x",
            "mailto:",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "ssh://a.example",
            "https://good.example@evil.example/",
            "https://good.example\\@evil.example/",
            "https://a.example/\x1b]8;;\x07",
            "https://a.example/\u{202e}",
            "https://é.example",
        ] {
            assert!(!allowed_link(link), "{link}");
        }
        assert!(!allowed_link(&format!("https://{}", "a".repeat(MAX_LINK))));
    }

    #[test]
    fn a_shown_link_never_hides_its_host() {
        assert_eq!(show_link("https://a.example/b", 40), "https://a.example/b");
        assert_eq!(
            show_link("https://a.example/bcdef", 20),
            "https://a.example/b…"
        );
        assert_eq!(
            show_link("https://good.example.evil.example/x", 13),
            "…evil.example"
        );
        assert_eq!(show_link("javascript:x", 40), "");
    }

    proptest! {
        #[test]
        fn cleaning_is_bounded_and_idempotent(text: String, max in 0usize..80) {
            for clean in [clean_title, clean_name, clean_text] {
                let once = clean(&text, max);
                prop_assert!(once.chars().count() <= max);
                prop_assert!(once.chars().all(|ch| ch == '\n' || is_clean_char(ch)));
                prop_assert_eq!(clean(&once, max), once);
            }
        }

        #[test]
        fn cleaning_is_idempotent_on_nasty_text(
            text in "[a \n\u{301}\u{200d}\u{202e}\u{1b}漢\u{2028}\u{85}\u{3000}]{0,60}",
            max in 0usize..40,
        ) {
            for clean in [clean_title, clean_name, clean_text] {
                let once = clean(&text, max);
                prop_assert_eq!(clean(&once, max), once);
            }
        }

        #[test]
        fn shown_links_fit(link in "https?://[a-z.]{1,40}(/[a-z]{0,40})?", max in 1usize..60) {
            prop_assert!(show_link(&link, max).chars().count() <= max);
        }
    }
}
