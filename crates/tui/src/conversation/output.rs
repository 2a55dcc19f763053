//! What a command printed, as lines with colours.
//!
//! It is bytes for a terminal. Of what such bytes can do only the little is done that makes lines readable: colours,
//! going back to the line's beginning (progress bars), backspace, and erasing the line. Everything else is left out.

use pillion_screen::{Attrs, Color, Style};

use super::span::{Line, PLAIN, with};

/// Longest line that is kept, in characters. It holds a tail of output in one line.
const MAX_COLUMNS: usize = 128 * 1024;

/// The lines of it.
pub(super) fn lines(bytes: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(bytes);
    let mut printer = Printer::default();
    let mut rest = text.chars();
    while let Some(ch) = rest.next() {
        match ch {
            '\x1b' => {
                let after = rest.as_str();
                let sequence = Sequence::of(after);
                if let Some(params) = sequence.csi {
                    printer.csi(params);
                }
                rest = after[sequence.length..].chars();
            }
            '\u{9b}' => {
                let after = rest.as_str();
                let (length, params) = csi_length(after);
                printer.csi(params);
                rest = after[length..].chars();
            }
            '\n' => printer.feed(),
            '\r' => printer.column = 0,
            '\x08' => printer.column = printer.column.saturating_sub(1),
            '\t' => {
                for _ in 0..8 - printer.column % 8 {
                    printer.print(' ');
                }
            }
            ch if ch.is_control() => {}
            ch => printer.print(ch),
        }
    }
    printer.finish()
}

/// An escape sequence, behind its ESC.
struct Sequence<'a> {
    length: usize,
    csi: Option<&'a str>,
}

impl<'a> Sequence<'a> {
    fn of(text: &'a str) -> Sequence<'a> {
        let skip = |length| Sequence { length, csi: None };
        match text.as_bytes() {
            [b'[', ..] => {
                let (length, params) = csi_length(&text[1..]);
                Sequence {
                    length: length + 1,
                    csi: Some(params),
                }
            }
            // OSC, DCS, APC, PM, SOS: up to their end, or the line's where it is missing.
            [b']' | b'P' | b'_' | b'^' | b'X', ..] => {
                let end = text.find(['\x07', '\x1b', '\u{9c}', '\n']);
                let end = end.unwrap_or(text.len());
                skip(match text[end..].chars().next() {
                    Some('\x07') => end + 1,
                    Some('\u{9c}') => end + 2,
                    Some('\x1b') if text[end + 1..].starts_with('\\') => end + 2,
                    _ => end,
                })
            }
            // Charsets and the like have one more.
            [0x20..=0x2f, 0x30..=0x7e, ..] => skip(2),
            [0x20..=0x7e, ..] => skip(1),
            _ => skip(0),
        }
    }
}

/// How long a control sequence is, and it; empty for one that is none.
fn csi_length(text: &str) -> (usize, &str) {
    let length = text
        .bytes()
        .position(|byte| !matches!(byte, 0x20..=0x3f))
        .unwrap_or(text.len());
    match text.as_bytes().get(length) {
        Some(0x40..=0x7e) => (length + 1, &text[..=length]),
        _ => (length, ""),
    }
}

#[derive(Default)]
struct Printer {
    done: Vec<Line>,
    line: Vec<(char, Style)>,
    column: usize,
    style: Style,
}

impl Printer {
    fn print(&mut self, ch: char) {
        let (column, style) = (self.column, self.style);
        if column >= MAX_COLUMNS {
            return;
        }
        match self.line.get_mut(column) {
            Some(place) => *place = (ch, style),
            None => self.line.push((ch, style)),
        }
        self.column += 1;
    }

    fn feed(&mut self) {
        let mut line = Line::default();
        let mut piece = String::new();
        let mut style = PLAIN;
        for (ch, of) in self.line.drain(..) {
            if of != style {
                line.push(&piece, style);
                piece.clear();
                style = of;
            }
            piece.push(ch);
        }
        line.push(&piece, style);
        self.done.push(line);
        self.column = 0;
    }

    fn csi(&mut self, sequence: &str) {
        let Some((last, params)) = sequence.as_bytes().split_last() else {
            return;
        };
        match (last, params) {
            (b'm', params) => sgr(&mut self.style, params),
            (b'K', b"" | b"0") => self.line.truncate(self.column),
            (b'K', b"2") => {
                self.line.clear();
                self.column = 0;
            }
            (b'G', b"" | b"1") => self.column = 0,
            _ => {}
        }
    }

    fn finish(mut self) -> Vec<Line> {
        if !self.line.is_empty() {
            self.feed();
        }
        while self.done.last().is_some_and(Line::is_blank) {
            self.done.pop();
        }
        self.done
    }
}

/// Select graphic rendition: colours, and the attributes that hide nothing.
fn sgr(style: &mut Style, params: &[u8]) {
    let number = |digits: &[u8]| match digits {
        b"" => Some(0),
        digits => std::str::from_utf8(digits).ok()?.parse::<u16>().ok(),
    };
    let mut numbers = params
        .split(|byte| matches!(byte, b';' | b':'))
        .map(|digits| number(digits).unwrap_or(u16::MAX));
    while let Some(number) = numbers.next() {
        let attrs = &mut style.attrs;
        match number {
            0 => *style = PLAIN,
            1 => *style = with(*style, Attrs::BOLD),
            2 => *style = with(*style, Attrs::DIM),
            3 => *attrs = attrs.union(Attrs::ITALIC),
            4 => *attrs = attrs.union(Attrs::UNDERLINE),
            7 => *attrs = attrs.union(Attrs::INVERSE),
            9 => *attrs = attrs.union(Attrs::STRIKE),
            22 => attrs.0 &= !(Attrs::BOLD.0 | Attrs::DIM.0),
            23 => attrs.0 &= !Attrs::ITALIC.0,
            24 => attrs.0 &= !Attrs::UNDERLINE.0,
            27 => attrs.0 &= !Attrs::INVERSE.0,
            29 => attrs.0 &= !Attrs::STRIKE.0,
            30..=37 => style.fg = indexed(number - 30),
            39 => style.fg = Color::Default,
            40..=47 => style.bg = indexed(number - 40),
            49 => style.bg = Color::Default,
            90..=97 => style.fg = indexed(number - 90 + 8),
            100..=107 => style.bg = indexed(number - 100 + 8),
            38 | 48 => {
                let color = color(&mut numbers).unwrap_or_default();
                match number {
                    38 => style.fg = color,
                    _ => style.bg = color,
                }
            }
            _ => {}
        }
    }
}

fn color(numbers: &mut impl Iterator<Item = u16>) -> Option<Color> {
    let mut byte = || u8::try_from(numbers.next()?).ok();
    match byte()? {
        5 => Some(Color::Indexed(byte()?)),
        2 => Some(Color::Rgb(byte()?, byte()?, byte()?)),
        _ => None,
    }
}

fn indexed(number: u16) -> Color {
    u8::try_from(number).map_or(Color::Default, Color::Indexed)
}

#[cfg(test)]
mod tests {
    use pillion_screen::clean::is_clean;
    use proptest::prelude::*;

    use super::{
        super::span::{GREEN, RED},
        *,
    };

    fn texts(bytes: &[u8]) -> Vec<String> {
        lines(bytes).iter().map(Line::plain_text).collect()
    }

    #[test]
    fn colours_are_kept_and_everything_else_is_left_out() {
        let printed = b"\x1b[31mred\x1b[0m plain\x1b]0;title\x07\r\n\x1b[?25l\x1b[2J\x1b(Bnext\x1b]8;;http://a\x1b\\ link\n\n";
        assert_eq!(
            lines(printed),
            [
                Line::new("red", RED).and(" plain", PLAIN),
                Line::new("next link", PLAIN)
            ]
        );
        assert_eq!(
            lines(b"\x1b[38;5;2mx"),
            [Line::new(
                "x",
                Style {
                    fg: Color::Indexed(2),
                    ..GREEN
                }
            )]
        );
    }

    #[test]
    fn progress_is_what_it_came_to() {
        assert_eq!(texts(b"10%\r50%\r100%\ndone"), ["100%", "done"]);
        assert_eq!(texts(b"working...\r\x1b[Kok\n"), ["ok"]);
        assert_eq!(texts(b"abc\x08\x08X\n"), ["aXc"]);
        assert_eq!(texts(b"a\tb"), ["a       b"]);
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(texts(b"a\xff\xfeb"), ["a\u{fffd}\u{fffd}b"]);
    }

    proptest! {
        #[test]
        fn any_bytes_make_clean_lines(bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(0x1b), Just(b'['), Just(b']'), Just(b'm'), Just(b';'), Just(b'3')], 0..200,
        )) {
            prop_assert!(texts(&bytes).iter().all(|line| is_clean(line)));
        }
    }
}
