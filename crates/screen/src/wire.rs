//! The primitives of our byte formats (frame bodies, history): varints, characters, styles.
//!
//! | what | bytes |
//! |---|---|
//! | number | LEB128, 7 bits a byte, low bits first, at most 10 bytes |
//! | signed | zigzag, then number |
//! | char | UTF-8 |
//! | string | byte length as number, UTF-8 |
//! | style | a byte of kinds (fg bits 0–1, bg 2–3, underline 4–5: 0 default, 1 indexed, 2 RGB; bit 6: attributes follow), then index or r g b for each colour, then attributes as number |
//!
//! Writing cannot fail. Reading never trusts a length: everything is checked against what is left.

use bytes::BufMut;

use crate::{
    cell::{Attrs, Color, Style},
    error::DecodeError,
};

/// Bit 6 of a style's first byte.
const HAS_ATTRS: u8 = 1 << 6;

/// Writes a number.
pub(crate) fn put_number(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Writes a signed number; small magnitudes are short.
#[cfg(any(test, feature = "emulator"))]
pub(crate) fn put_signed(out: &mut impl BufMut, value: i64) {
    put_number(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Writes a character as UTF-8.
#[cfg(any(test, feature = "emulator"))]
pub(crate) fn put_char(out: &mut impl BufMut, ch: char) {
    if ch.is_ascii() {
        out.put_u8(ch as u8);
    } else {
        out.put_slice(ch.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Writes a string with its length.
pub(crate) fn put_str(out: &mut impl BufMut, text: &str) {
    put_number(out, text.len() as u64);
    out.put_slice(text.as_bytes());
}

/// Writes a style; `flag` is the caller's own bit 7 of the first byte.
pub(crate) fn put_style(out: &mut impl BufMut, style: &Style, flag: bool) {
    let kind = |color| match color {
        Color::Default => 0,
        Color::Indexed(_) => 1,
        Color::Rgb(..) => 2,
    };
    let mut head = kind(style.fg) | kind(style.bg) << 2 | kind(style.underline) << 4;
    if style.attrs != Attrs::default() {
        head |= HAS_ATTRS;
    }
    out.put_u8(head | u8::from(flag) << 7);
    for color in [style.fg, style.bg, style.underline] {
        match color {
            Color::Default => {}
            Color::Indexed(index) => out.put_u8(index),
            Color::Rgb(r, g, b) => out.put_slice(&[r, g, b]),
        }
    }
    if style.attrs != Attrs::default() {
        put_number(out, u64::from(style.attrs.0));
    }
}

/// Reads what the functions above wrote.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        let (&first, rest) = self
            .rest
            .split_first()
            .ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(first)
    }

    pub(crate) fn bytes(
        &mut self,
        len: usize,
        what: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn number(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Invalid(what))
    }

    pub(crate) fn signed(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        let value = self.number(what)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number that must be at most `max`.
    pub(crate) fn at_most(&mut self, max: u64, what: &'static str) -> Result<u64, DecodeError> {
        match self.number(what)? {
            value if value <= max => Ok(value),
            _ => Err(DecodeError::Invalid(what)),
        }
    }

    pub(crate) fn char(&mut self, what: &'static str) -> Result<char, DecodeError> {
        let first = *self.rest.first().ok_or(DecodeError::Truncated(what))?;
        let len = match first {
            0..0x80 => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                return Ok(char::from(first));
            }
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        std::str::from_utf8(self.bytes(len, what)?)
            .ok()
            .and_then(|text| text.chars().next())
            .ok_or(DecodeError::Invalid(what))
    }

    /// A string of at most `max` bytes.
    pub(crate) fn str(&mut self, max: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        let len = self.at_most(max as u64, what)? as usize;
        std::str::from_utf8(self.bytes(len, what)?).map_err(|_| DecodeError::Invalid(what))
    }

    fn color(&mut self, kind: u8) -> Result<Color, DecodeError> {
        const WHAT: &str = "a colour";
        match kind & 0b11 {
            0 => Ok(Color::Default),
            1 => Ok(Color::Indexed(self.byte(WHAT)?)),
            2 => Ok(Color::Rgb(
                self.byte(WHAT)?,
                self.byte(WHAT)?,
                self.byte(WHAT)?,
            )),
            _ => Err(DecodeError::Invalid(WHAT)),
        }
    }

    /// A style and the caller's flag.
    pub(crate) fn style(&mut self) -> Result<(Style, bool), DecodeError> {
        const WHAT: &str = "a style";
        let head = self.byte(WHAT)?;
        let fg = self.color(head)?;
        let bg = self.color(head >> 2)?;
        let underline = self.color(head >> 4)?;
        let attrs = if head & HAS_ATTRS == 0 {
            Attrs::default()
        } else {
            Attrs(self.at_most(u64::from(Attrs::ALL.0), "an attribute")? as u16)
        };
        let style = Style {
            fg,
            bg,
            underline,
            attrs,
        };
        Ok((style, head & 0x80 != 0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_bytes() {
        let mut out = Vec::new();
        put_number(&mut out, 300);
        put_signed(&mut out, -1);
        put_str(&mut out, "é");
        let style = Style {
            fg: Color::Indexed(9),
            bg: Color::Rgb(1, 2, 3),
            underline: Color::Default,
            attrs: Attrs::BOLD,
        };
        put_style(&mut out, &style, true);
        assert_eq!(
            out,
            [0xac, 0x02, 0x01, 0x02, 0xc3, 0xa9, 0xc9, 9, 1, 2, 3, 0x01]
        );
        let mut reader = Reader::new(&out);
        assert_eq!(reader.number("n"), Ok(300));
        assert_eq!(reader.signed("n"), Ok(-1));
        assert_eq!(reader.str(2, "s"), Ok("é"));
        assert_eq!(reader.style(), Ok((style, true)));
        assert_eq!(reader.left(), 0);
    }

    #[test]
    fn a_number_of_eleven_bytes_or_past_64_bits_is_refused() {
        assert_eq!(
            Reader::new(&[0xff; 11]).number("n"),
            Err(DecodeError::Invalid("n"))
        );
        let mut max = [0xff; 10];
        max[9] = 1;
        assert_eq!(Reader::new(&max).number("n"), Ok(u64::MAX));
        max[9] = 2;
        assert_eq!(
            Reader::new(&max).number("n"),
            Err(DecodeError::Invalid("n"))
        );
    }

    #[test]
    fn a_length_beyond_the_data_is_refused_without_allocating() {
        let mut out = Vec::new();
        put_number(&mut out, u64::MAX);
        assert_eq!(
            Reader::new(&out).str(usize::MAX, "s"),
            Err(DecodeError::Truncated("s"))
        );
    }

    proptest! {
        #[test]
        fn numbers_and_characters_round_trip(number: u64, signed: i64, ch: char) {
            let mut out = Vec::new();
            put_number(&mut out, number);
            put_signed(&mut out, signed);
            put_char(&mut out, ch);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.number("n"), Ok(number));
            prop_assert_eq!(reader.signed("n"), Ok(signed));
            prop_assert_eq!(reader.char("c"), Ok(ch));
            prop_assert_eq!(reader.left(), 0);
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Reader::new(&bytes).number("n");
            let _ = Reader::new(&bytes).char("c");
            let _ = Reader::new(&bytes).str(100, "s");
            let _ = Reader::new(&bytes).style();
        }
    }
}
