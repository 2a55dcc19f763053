//! Text laid out in cells.

use std::sync::Arc;

use pillion_people::Name;
use pillion_screen::{
    Cell, Extra, Line, Row, Width, Wrap, clean,
    width::{columns, text_columns},
};

use crate::canvas::add_mark;

/// How many columns clean text takes.
pub(crate) fn width(text: &str) -> usize {
    text_columns(text)
}

/// What somebody is called, in at most `cols` columns, by the one rule for names: anybody who sent it may not have kept it.
pub(crate) fn name(name: &str, cols: usize) -> String {
    cut(Name::of(name).as_str(), cols)
}

/// What something is called, in at most `cols` columns; "?" when nothing of it may be shown.
pub(crate) fn label(name: &str, cols: usize) -> String {
    let clean = clean::clean_name(name, cols);
    match clean.is_empty() {
        true => "?".to_owned(),
        false => cut(&clean, cols),
    }
}

/// The first `cols` columns of clean text, the last of them "…" if something is left out.
pub(crate) fn cut(text: &str, cols: usize) -> String {
    if width(text) <= cols {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for ch in text.chars() {
        used += columns(ch);
        if used >= cols {
            break;
        }
        out.push(ch);
    }
    if cols > 0 {
        out.push('…');
    }
    out
}

/// The last `cols` columns of clean text, the first of them "…" if something is left out.
pub(crate) fn cut_left(text: &str, cols: usize) -> String {
    if width(text) <= cols {
        return text.to_owned();
    }
    let mut used = 0;
    let kept = text.char_indices().rev().take_while(|(_, ch)| {
        used += columns(*ch);
        used < cols
    });
    let from = kept.last().map_or(text.len(), |(at, _)| at);
    let tail = text.get(from..).unwrap_or_default();
    match cols {
        0 => String::new(),
        _ => format!("…{tail}"),
    }
}

/// Breaks a sentence at its spaces into lines of at most `cols` columns, at most `max` lines.
pub(crate) fn fold(text: &str, cols: usize, max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let mut word = word;
        loop {
            let full = lines.len() >= max;
            match lines.last_mut() {
                Some(line) if width(line) + 1 + width(word) <= cols => {
                    line.push(' ');
                    line.push_str(word);
                    break;
                }
                Some(line) if full => {
                    *line = cut(&format!("{line} …"), cols);
                    return lines;
                }
                None if full => return lines,
                _ => {}
            }
            let at = split_at(word, cols);
            let (head, tail) = word.split_at(at);
            lines.push(head.to_owned());
            word = tail;
            if word.is_empty() {
                break;
            }
        }
    }
    lines
}

/// Short texts beside each other, two blanks between them, in lines of at most `cols` columns, at most
/// `max` lines.
pub(crate) fn flow(texts: &[&str], cols: usize, max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for text in texts {
        let full = lines.len() >= max;
        match lines.last_mut() {
            Some(line) if width(line) + 2 + width(text) <= cols => {
                line.push_str("  ");
                line.push_str(text);
            }
            _ if full => break,
            _ => lines.push(cut(text, cols)),
        }
    }
    lines
}

/// Where the first `cols` columns end, at least one character on.
fn split_at(word: &str, cols: usize) -> usize {
    let mut used = 0;
    for (at, ch) in word.char_indices() {
        used += columns(ch);
        if used > cols && at > 0 {
            return at;
        }
    }
    word.len()
}

/// What a character that has columns of its own puts into them, where there are `room`: a wide one that
/// does not fit is replaced.
pub(crate) fn cells_of(ch: char, room: usize) -> impl Iterator<Item = (char, Width)> {
    let ch = clean::clean_base(ch);
    let (first, second) = match columns(ch) {
        2 if room < 2 => ((clean::REPLACEMENT, Width::Narrow), None),
        2 => ((ch, Width::Wide), Some((' ', Width::Spacer))),
        _ => ((ch, Width::Narrow), None),
    };
    std::iter::once(first).chain(second)
}

/// A line of history in rows of `cols` columns; at least one row.
pub(crate) fn wrap(line: &Line, cols: u16) -> Vec<Row> {
    let cols = usize::from(cols.max(1));
    let mut rows = vec![Row::default()];
    for run in &line.runs {
        let extra = run.link.as_ref().map(|link| {
            Arc::new(Extra {
                marks: String::new(),
                link: Some(Arc::clone(link)),
            })
        });
        for ch in run.text.chars() {
            let columns = columns(ch);
            let full = rows
                .last()
                .is_none_or(|row| row.cells.len() + columns > cols);
            if full && columns > 0 && rows.last().is_some_and(|row| !row.cells.is_empty()) {
                if let Some(row) = rows.last_mut() {
                    row.wrap = Wrap::Full;
                }
                rows.push(Row::default());
            }
            let Some(row) = rows.last_mut() else { continue };
            if columns == 0 {
                add_mark(&mut row.cells, ch);
                continue;
            }
            row.cells.extend(cells_of(ch, cols).map(|(ch, width)| Cell {
                ch,
                width,
                style: run.style,
                extra: extra.clone().filter(|_| width != Width::Spacer),
            }));
        }
    }
    rows
}

/// "7 h 59 min", "45 s": a time for people, rounded down.
pub(crate) fn duration(ms: u64) -> String {
    let (s, min, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    match () {
        () if h >= 48 => format!("{} d", h / 24),
        () if h > 0 => format!("{h} h {} min", min % 60),
        () if min > 0 => format!("{min} min"),
        () => format!("{s} s"),
    }
}

/// "12 ms", "0.4 ms".
pub(crate) fn round_trip(us: u32) -> String {
    match us {
        0..10_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        _ => format!("{} ms", us / 1000),
    }
}

/// "12,345".
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use pillion_screen::{LineId, Run, Style};
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> Line {
        Line {
            id: LineId(0),
            runs: vec![Run {
                text: text.into(),
                style: Style::default(),
                link: None,
            }],
            continued: false,
        }
    }

    fn wrapped(text: &str, cols: u16) -> Vec<String> {
        wrap(&line(text), cols).iter().map(Row::text).collect()
    }

    #[test]
    fn lines_are_wrapped_between_characters() {
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("abcdefg", 3), ["abc", "def", "g"]);
        assert_eq!(wrapped("ab日c", 3), ["ab", "日c"]);
        assert_eq!(wrapped("e\u{301}e\u{301}", 1), ["e\u{301}", "e\u{301}"]);
    }

    #[test]
    fn text_is_cut_in_columns() {
        assert_eq!(cut("hello", 5), "hello");
        assert_eq!(cut("hello", 4), "hel…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("hello", 1), "…");
        assert_eq!(cut("hello", 0), "");
        assert_eq!(cut_left("hello", 5), "hello");
        assert_eq!(cut_left("hello", 4), "…llo");
        assert_eq!(cut_left("日本語", 5), "…本語");
        assert_eq!(cut_left("日本語", 4), "…語");
        assert_eq!(cut_left("hello", 1), "…");
        assert_eq!(cut_left("hello", 0), "");
        assert_eq!(label("\u{202e}\x1b[1m", 10), "[1m");
        assert_eq!(label("\u{202e}", 10), "?");
        assert_eq!(name("\u{202e}\x1b[1m", 10), "1m");
        assert_eq!(name("carol@example.org", 10), "carol");
        assert_eq!(name("☺\u{fe0f}☺\u{fe0f}", 10), "somebody");
        assert_eq!(name("☺\u{fe0f}☺\u{fe0f}", 4), "som…");
    }

    #[test]
    fn sentences_are_folded_at_spaces() {
        assert_eq!(fold("one two three", 7, 5), ["one two", "three"]);
        assert_eq!(fold("abcdefgh", 3, 5), ["abc", "def", "gh"]);
        assert_eq!(fold("one two three four", 5, 2), ["one", "two …"]);
        assert_eq!(fold("one", 5, 0), Vec::<String>::new());
        assert_eq!(fold("日本", 1, 5), ["日", "本"]);
    }

    #[test]
    fn keys_are_not_torn_from_what_they_do() {
        let keys = ["y let in", "n refuse", "m who may come in"];
        assert_eq!(
            flow(&keys, 20, 5),
            ["y let in  n refuse", "m who may come in"]
        );
        assert_eq!(flow(&keys, 17, 5), keys);
        assert_eq!(flow(&keys, 17, 2), ["y let in", "n refuse"]);
        assert_eq!(flow(&keys, 5, 1), ["y le…"]);
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(duration(59_999), "59 s");
        assert_eq!(duration(3_599_999), "59 min");
        assert_eq!(duration(8 * 3_600_000), "8 h 0 min");
        assert_eq!(duration(72 * 3_600_000), "3 d");
        assert_eq!(round_trip(432), "0.4 ms");
        assert_eq!(round_trip(12_999), "12 ms");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(12), "12");
    }

    proptest! {
        #[test]
        fn no_row_is_wider_than_it_may_be(text in "\\PC{0,60}", cols in 1u16..12) {
            for row in wrap(&line(&text), cols) {
                prop_assert!(row.cells.len() <= usize::from(cols));
            }
            for folded in fold(&text, usize::from(cols).max(2), 4) {
                prop_assert!(width(&folded) <= usize::from(cols).max(2));
            }
            prop_assert!(width(&cut(&text, usize::from(cols))) <= usize::from(cols));
            prop_assert!(width(&cut_left(&text, usize::from(cols))) <= usize::from(cols));
        }
    }
}
