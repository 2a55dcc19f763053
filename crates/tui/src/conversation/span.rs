//! Text with styles, laid out in rows. Whatever gets into a span is clean from then on.

use std::borrow::Cow;

use pillion_screen::{
    Attrs, Cell, Color, Style,
    cell::MAX_MARKS,
    clean::{is_clean_char, is_clean_mark},
    width::columns,
};

use crate::canvas::put_text;

/// Columns between the stops of a tab.
const TAB: usize = 4;

pub(super) const PLAIN: Style = Style {
    fg: Color::Default,
    bg: Color::Default,
    underline: Color::Default,
    attrs: Attrs(0),
};
pub(super) const DIM: Style = with(PLAIN, Attrs::DIM);
pub(super) const BOLD: Style = with(PLAIN, Attrs::BOLD);
pub(super) const RED: Style = ink(1);
pub(super) const GREEN: Style = ink(2);
pub(super) const YELLOW: Style = ink(3);
pub(super) const CYAN: Style = ink(6);

/// A style with attributes added. Nothing is bold and dim at once: what terminals make of that differs.
pub(super) const fn with(style: Style, attrs: Attrs) -> Style {
    let mut all = style.attrs.union(attrs);
    if all.contains(Attrs::BOLD.union(Attrs::DIM)) {
        let older = if attrs.contains(Attrs::DIM) {
            Attrs::BOLD
        } else {
            Attrs::DIM
        };
        all = Attrs(all.0 & !older.0);
    }
    Style {
        attrs: all,
        ..style
    }
}

const fn ink(color: u8) -> Style {
    Style {
        fg: Color::Indexed(color),
        ..PLAIN
    }
}

/// Clean text of one style, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    text: String,
    style: Style,
}

impl Span {
    pub(super) fn new(text: &str, style: Style) -> Span {
        Span {
            text: clean(text).into_owned(),
            style,
        }
    }
}

/// One row, or one line that has not been laid out in rows yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    spans: Vec<Span>,
}

impl Line {
    pub(super) fn new(text: &str, style: Style) -> Line {
        let mut line = Line::default();
        line.push(text, style);
        line
    }

    /// Adds text, cleaned.
    pub(super) fn push(&mut self, text: &str, style: Style) {
        match self.spans.last_mut() {
            Some(last) if last.style == style => last.text.push_str(&clean(text)),
            _ if text.is_empty() => {}
            _ => self.spans.push(Span::new(text, style)),
        }
    }

    /// The same with text added.
    #[must_use]
    pub(super) fn and(mut self, text: &str, style: Style) -> Line {
        self.push(text, style);
        self
    }

    /// Adds another line's text.
    pub(super) fn extend(&mut self, other: &Line) {
        self.spans.extend(other.spans.iter().cloned());
    }

    pub(super) fn width(&self) -> usize {
        self.chars().map(|(ch, _)| columns(ch)).sum()
    }

    pub(super) fn is_blank(&self) -> bool {
        self.chars().all(|(ch, _)| ch == ' ')
    }

    fn chars(&self) -> impl Iterator<Item = (char, Style)> {
        let spans = self.spans.iter();
        spans.flat_map(|span| span.text.chars().map(|ch| (ch, span.style)))
    }

    /// The first `cols` columns, the last of them "…" if something is left out.
    #[must_use]
    pub(super) fn cut(&self, cols: usize) -> Line {
        if self.width() <= cols {
            return self.clone();
        }
        let mut out = Line::default();
        let mut used = 0;
        let mut style = PLAIN;
        for (ch, of) in self.chars() {
            used += columns(ch);
            if used >= cols {
                break;
            }
            style = of;
            out.push_char(ch, of);
        }
        if cols > 0 {
            out.push_char('…', style);
        }
        out
    }

    /// Rows of at most `cols` columns, at least one; broken at blanks, or within words that are longer.
    pub(super) fn wrap(&self, cols: usize) -> Vec<Line> {
        self.rows(cols, true)
    }

    /// The same, broken wherever a row is full: nothing of the line is left out.
    pub(super) fn wrap_anywhere(&self, cols: usize) -> Vec<Line> {
        self.rows(cols, false)
    }

    fn rows(&self, cols: usize, at_blanks: bool) -> Vec<Line> {
        let cols = cols.max(1);
        if self.width() <= cols {
            return vec![self.clone()];
        }
        let chars: Vec<(char, Style)> = self.chars().collect();
        let mut rows = Vec::new();
        let mut start = 0;
        while start < chars.len() {
            let (end, next) = row_end(&chars, start, cols, at_blanks);
            let mut row = Line::default();
            for (ch, style) in &chars[start..end] {
                row.push_char(*ch, *style);
            }
            rows.push(row);
            start = next;
        }
        rows
    }

    /// A character that is clean.
    fn push_char(&mut self, ch: char, style: Style) {
        match self.spans.last_mut() {
            Some(last) if last.style == style => last.text.push(ch),
            _ => self.spans.push(Span {
                text: ch.to_string(),
                style,
            }),
        }
    }

    /// The same in another style.
    #[must_use]
    pub(super) fn restyled(mut self, change: impl Fn(Style) -> Style) -> Line {
        for span in &mut self.spans {
            span.style = change(span.style);
        }
        self
    }

    /// Draws it from column `x` on, in at most `room` columns.
    pub(super) fn put(&self, cells: &mut [Cell], x: usize, room: usize) {
        let mut at = x;
        for span in &self.spans {
            let left = (x + room).saturating_sub(at);
            at += put_text(cells, at, left, &span.text, span.style);
        }
    }

    /// Its text without its styles.
    pub(super) fn plain_text(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }
}

/// Where the row that begins at `start` ends, and where the next begins.
fn row_end(chars: &[(char, Style)], start: usize, cols: usize, at_blanks: bool) -> (usize, usize) {
    let (mut used, mut blank) = (0, None);
    let mut end = start;
    while let Some((ch, _)) = chars.get(end) {
        used += columns(*ch);
        if used > cols && end > start {
            break;
        }
        if *ch == ' ' {
            blank = Some(end);
        }
        end += 1;
    }
    if end == chars.len() || !at_blanks {
        return (end, end);
    }
    let is_blank = |at: usize| chars.get(at).is_some_and(|(ch, _)| *ch == ' ');
    let end = match blank {
        _ if is_blank(end) => end,
        // A line's own blanks at its beginning are none to break at.
        Some(blank) if (start..blank).any(|at| !is_blank(at)) => blank,
        _ => return (end, end),
    };
    let next = (end..chars.len()).find(|at| !is_blank(*at));
    let last = (start..end).rev().find(|at| !is_blank(*at));
    (
        last.map_or(end, |last| last + 1),
        next.unwrap_or(chars.len()),
    )
}

/// Text as it may be shown on one line: what moves the cursor is blanks, and what may not be shown is left out.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut column, mut marks) = (0, None);
    for ch in text.chars() {
        if ch == '\t' {
            let blanks = TAB - column % TAB;
            out.extend(std::iter::repeat_n(' ', blanks));
            column += blanks;
            marks = None;
        } else if ch.is_whitespace() {
            let ch = if is_clean_char(ch) && columns(ch) > 0 {
                ch
            } else {
                ' '
            };
            out.push(ch);
            column += columns(ch);
            marks = None;
        } else if is_clean_mark(ch) {
            if let Some(count) = &mut marks
                && *count < MAX_MARKS
            {
                *count += 1;
                out.push(ch);
            }
        } else if is_clean_char(ch) {
            out.push(ch);
            column += columns(ch);
            marks = Some(0);
        }
    }
    Cow::Owned(out)
}

/// `rows` with one text before the first and another before the others, of the same width.
pub(super) fn hang(first: &Line, rest: &Line, rows: Vec<Line>) -> Vec<Line> {
    let before = std::iter::once(first).chain(std::iter::repeat(rest));
    let both = before.zip(rows);
    both.map(|(before, row)| {
        let mut all = before.clone();
        all.extend(&row);
        all
    })
    .collect()
}

/// Lines of text with what ends them taken off.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapped(text: &str, cols: usize) -> Vec<String> {
        let rows = Line::new(text, PLAIN).wrap(cols);
        rows.iter().map(Line::plain_text).collect()
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one  two", 4), ["one", "two"]);
        assert_eq!(wrapped("abcdefgh i", 3), ["abc", "def", "gh", "i"]);
        assert_eq!(wrapped("  indented text", 10), ["  indented", "text"]);
        assert_eq!(wrapped("    abcdef", 6), ["    ab", "cdef"]);
        assert_eq!(wrapped("日本語", 4), ["日本", "語"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn styles_stay_with_their_text() {
        let line = Line::new("one ", BOLD).and("two three", DIM);
        let rows = line.wrap(7);
        assert_eq!(rows[0], Line::new("one ", BOLD).and("two", DIM));
        assert_eq!(rows[1], Line::new("three", DIM));
        assert_eq!(line.cut(6), Line::new("one ", BOLD).and("t…", DIM));
    }

    #[test]
    fn nothing_that_moves_the_cursor_is_kept() {
        assert_eq!(clean("a\tb\x1b[1m\r\u{202e}c\u{9b}"), "a   b[1m c");
        assert_eq!(clean("\u{301}a\u{301}"), "a\u{301}");
        assert_eq!(clean("a\nb"), "a b");
    }

    proptest! {
        #[test]
        fn no_row_is_too_wide_and_nothing_but_blanks_is_lost(
            text in "[a-z 日é\u{301}\u{1f600}\t]{0,80}", cols in 2usize..20,
        ) {
            let line = Line::new(&text, PLAIN);
            let solid = |text: &str| text.replace(' ', "");
            for rows in [line.wrap(cols), line.wrap_anywhere(cols)] {
                prop_assert!(rows.iter().all(|row| row.width() <= cols));
                let all: String = rows.iter().map(Line::plain_text).collect();
                prop_assert_eq!(solid(&all), solid(&line.plain_text()));
            }
            prop_assert!(line.cut(cols).width() <= cols);
        }
    }
}
