//! The line on which a prompt is written. It may have several lines.

use pillion_conversation::limits::MAX_QUEUED_BYTES;
use pillion_screen::{clean::is_clean_char, width::columns};

use super::span::{Line, PLAIN};
use crate::keys::{Key, KeyCode, Mods};

/// Columns between the stops of a tab.
const TAB: usize = 4;

/// What is written, and where.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Characters that may be shown, line feeds and tabs.
    text: String,
    cursor: usize,
    /// The beginning of a character that was cut.
    partial: Vec<u8>,
    /// What was written before the paste that goes on, and where.
    before_paste: Option<(String, usize)>,
    /// What is pasted is too long, and left out.
    overflows: bool,
    /// The first row that is seen.
    top: usize,
    /// Columns, as it was laid out last.
    cols: usize,
}

/// It is longer than a prompt may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// The rows that are seen, and the cursor among them.
pub(super) struct Seen {
    pub(super) rows: Vec<Line>,
    pub(super) cursor: (usize, usize),
}

impl Input {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.take();
    }

    /// What was written; nothing is left.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        self.top = 0;
        self.partial.clear();
        self.before_paste = None;
        std::mem::take(&mut self.text)
    }

    pub(super) fn replace(&mut self, text: &str) {
        self.clear();
        // What was a prompt fits.
        let _ = self.insert(text);
    }

    /// Bytes that were typed or pasted, possibly cut inside a character.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.overflows {
            return Ok(());
        }
        self.partial.extend_from_slice(bytes);
        let mut all = std::mem::take(&mut self.partial);
        let cut = cut_character(&all);
        self.partial = all.split_off(all.len() - cut);
        let inserted = self.insert(&String::from_utf8_lossy(&all));
        // Half of a paste is worse than none.
        if inserted.is_err()
            && let Some((text, cursor)) = self.before_paste.take()
        {
            (self.text, self.cursor) = (text, cursor);
            self.overflows = true;
        }
        inserted
    }

    pub(super) fn paste_begins(&mut self) {
        self.partial.clear();
        self.before_paste = Some((self.text.clone(), self.cursor));
        self.overflows = false;
    }

    pub(super) fn paste_ends(&mut self) {
        self.partial.clear();
        self.before_paste = None;
        self.overflows = false;
    }

    pub(super) fn insert(&mut self, text: &str) -> Result<(), TooLong> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let may = |ch: &char| matches!(ch, '\n' | '\t') || is_clean_char(*ch);
        let clean: String = text.chars().filter(may).collect();
        if self.text.len() + clean.len() > MAX_QUEUED_BYTES {
            return Err(TooLong);
        }
        self.text.insert_str(self.cursor, &clean);
        self.cursor += clean.len();
        Ok(())
    }

    /// Keys that move or erase; `false` for another.
    pub(super) fn key(&mut self, key: &Key) -> bool {
        let ctrl = key.mods == Mods::CTRL;
        let alt = key.mods == Mods::ALT;
        match key.code {
            KeyCode::Left if ctrl || alt => self.cursor = self.word_before(),
            KeyCode::Right if ctrl || alt => self.cursor = self.word_after(),
            KeyCode::Left => self.cursor = self.before(self.cursor),
            KeyCode::Right => self.cursor = self.after(self.cursor),
            KeyCode::Home => self.cursor = self.line_start(),
            KeyCode::End => self.cursor = self.line_end(),
            KeyCode::Backspace if ctrl || alt => self.erase(self.word_before()),
            KeyCode::Backspace => self.erase(self.before(self.cursor)),
            KeyCode::Delete => self.erase(self.after(self.cursor)),
            KeyCode::Char('a') if ctrl => self.cursor = self.line_start(),
            KeyCode::Char('e') if ctrl => self.cursor = self.line_end(),
            KeyCode::Char('b') if ctrl => self.cursor = self.before(self.cursor),
            KeyCode::Char('f') if ctrl => self.cursor = self.after(self.cursor),
            KeyCode::Char('b') if alt => self.cursor = self.word_before(),
            KeyCode::Char('f') if alt => self.cursor = self.word_after(),
            KeyCode::Char('h') if ctrl => self.erase(self.before(self.cursor)),
            KeyCode::Char('w') if ctrl => self.erase(self.word_before()),
            KeyCode::Char('u') if ctrl => self.erase(self.line_start()),
            KeyCode::Char('k') if ctrl => self.erase(self.line_end()),
            _ => return false,
        }
        true
    }

    /// Goes a row up or down; `false` where there is none.
    pub(super) fn vertical(&mut self, down: bool) -> bool {
        let places = self.places();
        let Some((row, col)) = places
            .iter()
            .find(|place| place.at == self.cursor)
            .map(|place| (place.row, place.col))
        else {
            return false;
        };
        let Some(to) = (if down {
            row.checked_add(1)
        } else {
            row.checked_sub(1)
        }) else {
            return false;
        };
        let of_row = places.iter().filter(|place| place.row == to);
        match of_row.min_by_key(|place| place.col.abs_diff(col)) {
            Some(place) => {
                self.cursor = place.at;
                true
            }
            None => false,
        }
    }

    /// What is seen of it in `cols` columns and at most `max` rows.
    pub(super) fn see(&mut self, cols: usize, max: usize) -> Seen {
        self.cols = cols;
        let places = self.places();
        let count = places.last().map_or(1, |place| place.row + 1);
        let cursor = places.iter().find(|place| place.at == self.cursor);
        let (row, col) = cursor.map_or((0, 0), |place| (place.row, place.col));
        let height = count.min(max.max(1));
        self.top = self.top.clamp((row + 1).saturating_sub(height), row);
        self.top = self.top.min(count - height);
        let mut rows = Vec::with_capacity(height);
        for shown in self.top..self.top + height {
            let mut of_row = places.iter().filter(|place| place.row == shown);
            let from = of_row.next().map_or(self.text.len(), |place| place.at);
            let to = of_row.next_back().map_or(from, |place| place.at);
            let after = self.text[to..].chars().next();
            let to = to + after.filter(|ch| *ch != '\n').map_or(0, char::len_utf8);
            rows.push(Line::new(
                self.text.get(from..to).unwrap_or_default(),
                PLAIN,
            ));
        }
        Seen {
            rows,
            cursor: (col, row - self.top),
        }
    }

    /// Where each character stands, and the end.
    fn places(&self) -> Vec<Spot> {
        // The cursor behind the last character has a column, too.
        let room = self.cols.saturating_sub(1).max(1);
        let mut places = Vec::new();
        let (mut row, mut col) = (0, 0);
        let mut in_word = false;
        for (at, ch) in self.text.char_indices() {
            let began = !std::mem::replace(&mut in_word, !ch.is_whitespace()) && in_word;
            if began && col > 0 {
                // A word stays whole where a row has room for it.
                let word = self.text[at..].chars().take_while(|ch| !ch.is_whitespace());
                let word: usize = word.map(columns).sum();
                if col + word > room && word <= room {
                    (row, col) = (row + 1, 0);
                }
            }
            let width = match ch {
                '\n' => 0,
                '\t' => TAB - col % TAB,
                ch => columns(ch),
            };
            if col + width > room && col > 0 {
                (row, col) = (row + 1, 0);
            }
            places.push(Spot { at, row, col });
            col += width;
            if ch == '\n' {
                (row, col) = (row + 1, 0);
            }
        }
        places.push(Spot {
            at: self.text.len(),
            row,
            col,
        });
        places
    }

    fn erase(&mut self, to: usize) {
        let (from, to) = (self.cursor.min(to), self.cursor.max(to));
        self.text.replace_range(from..to, "");
        self.cursor = from;
    }

    /// The character before, with its marks.
    fn before(&self, at: usize) -> usize {
        let mut chars = self.text[..at].char_indices().rev();
        let base = chars.find(|(_, ch)| matches!(ch, '\n' | '\t') || columns(*ch) > 0);
        base.map_or(0, |(at, _)| at)
    }

    fn after(&self, at: usize) -> usize {
        let mut chars = self.text[at..].char_indices().skip(1);
        let next = chars.find(|(_, ch)| matches!(ch, '\n' | '\t') || columns(*ch) > 0);
        next.map_or(self.text.len(), |(next, _)| at + next)
    }

    fn word_before(&self) -> usize {
        let head = self.text[..self.cursor].trim_end();
        let start = head.rfind(char::is_whitespace);
        start.map_or(0, |at| self.after(at))
    }

    fn word_after(&self) -> usize {
        let tail = &self.text[self.cursor..];
        let word = tail.len() - tail.trim_start().len();
        let end = tail[word..].find(char::is_whitespace);
        end.map_or(self.text.len(), |end| self.cursor + word + end)
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        let end = self.text[self.cursor..].find('\n');
        end.map_or(self.text.len(), |end| self.cursor + end)
    }
}

/// Where a character stands.
struct Spot {
    at: usize,
    row: usize,
    col: usize,
}

/// How many bytes at the end are the beginning of a character.
fn cut_character(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let needs = match bytes[bytes.len() - back] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return 0,
        };
        return if needs > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn input(text: &str) -> Input {
        let mut input = Input::default();
        input.insert(text).unwrap();
        input
    }

    fn seen(input: &mut Input, cols: usize, max: usize) -> (Vec<String>, (usize, usize)) {
        let seen = input.see(cols, max);
        (
            seen.rows.iter().map(Line::plain_text).collect(),
            seen.cursor,
        )
    }

    #[test]
    fn long_text_wraps_and_the_cursor_is_seen() {
        let mut long = input("abcdefgh\nxy");
        assert_eq!(
            seen(&mut long, 5, 9),
            (vec!["abcd".into(), "efgh".into(), "xy".into()], (2, 2))
        );
        assert_eq!(
            seen(&mut long, 5, 2),
            (vec!["efgh".into(), "xy".into()], (2, 1))
        );
        assert!(long.vertical(false) && long.vertical(false) && !long.vertical(false));
        assert_eq!(
            seen(&mut long, 5, 2),
            (vec!["abcd".into(), "efgh".into()], (2, 0))
        );
        assert_eq!(seen(&mut input(""), 5, 2), (vec![String::new()], (0, 0)));
        assert_eq!(
            seen(&mut input("a\n"), 5, 3),
            (vec!["a".into(), String::new()], (0, 1))
        );
    }

    #[test]
    fn words_stay_whole_where_they_fit() {
        let mut text = input("one two three");
        assert_eq!(
            seen(&mut text, 9, 9),
            (vec!["one two ".into(), "three".into()], (5, 1))
        );
        assert_eq!(seen(&mut text, 5, 9).0, ["one ", "two ", "thre", "e"]);
    }

    #[test]
    fn keys_move_by_characters_words_and_lines() {
        let mut text = input("one tw\u{f6}e\u{301} three");
        let press = |text: &mut Input, code, mods| assert!(text.key(&Key::with(code, mods)));
        press(&mut text, KeyCode::Char('w'), Mods::CTRL);
        assert_eq!(text.text(), "one twöe\u{301} ");
        press(&mut text, KeyCode::Backspace, Mods::NONE);
        press(&mut text, KeyCode::Backspace, Mods::NONE);
        assert_eq!(text.text(), "one twö");
        press(&mut text, KeyCode::Home, Mods::NONE);
        press(&mut text, KeyCode::Right, Mods::CTRL);
        press(&mut text, KeyCode::Char('k'), Mods::CTRL);
        assert_eq!(text.text(), "one");
        press(&mut text, KeyCode::Char('u'), Mods::CTRL);
        assert!(text.is_empty());
    }

    #[test]
    fn characters_may_come_in_pieces_and_control_characters_do_not() {
        let mut text = Input::default();
        for byte in "日é\u{1f600}".as_bytes() {
            text.bytes(&[*byte]).unwrap();
        }
        text.insert("\x1b[1m\u{202e}\r\nb\tc\r").unwrap();
        assert_eq!(text.text(), "日é\u{1f600}[1m\nb\tc\n");
    }

    #[test]
    fn a_paste_that_is_too_long_is_left_out_whole() {
        let mut text = input("ab");
        text.key(&Key::plain(KeyCode::Left));
        text.paste_begins();
        assert_eq!(text.bytes(&[b'x'; MAX_QUEUED_BYTES / 2]), Ok(()));
        assert_eq!(text.bytes(&[b'y'; MAX_QUEUED_BYTES]), Err(TooLong));
        assert_eq!(text.bytes(b"the rest"), Ok(()));
        text.paste_ends();
        text.bytes(b"c").unwrap();
        assert_eq!(text.text(), "acb");
    }

    #[test]
    fn a_prompt_is_no_longer_than_may_wait() {
        let mut text = input(&"x".repeat(MAX_QUEUED_BYTES));
        assert_eq!(text.insert("y"), Err(TooLong));
        assert_eq!(text.text().len(), MAX_QUEUED_BYTES);
    }

    proptest! {
        #[test]
        fn any_keys_leave_a_cursor_in_the_text(
            pieces in proptest::collection::vec((0..20_usize, "[a-c é\u{301}日\n\t]{0,6}"), 0..30),
            cols in 1_usize..12, max in 1_usize..5,
        ) {
            let mut text = Input::default();
            for (step, piece) in pieces {
                let codes = [KeyCode::Left, KeyCode::Right, KeyCode::Home, KeyCode::End, KeyCode::Backspace, KeyCode::Delete];
                match step {
                    0..6 => { text.key(&Key::plain(codes[step])); }
                    6..12 => { text.key(&Key::with(codes[step - 6], Mods::CTRL)); }
                    12 => { text.vertical(true); }
                    13 => { text.vertical(false); }
                    _ => text.bytes(piece.as_bytes()).unwrap(),
                }
                prop_assert!(text.text.is_char_boundary(text.cursor));
                let seen = text.see(cols, max);
                prop_assert!(!seen.rows.is_empty() && seen.rows.len() <= max);
                prop_assert!(seen.cursor.1 < seen.rows.len() && seen.cursor.0 < cols.max(TAB + 1));
            }
        }
    }
}
