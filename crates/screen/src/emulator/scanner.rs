//! Where in the stream escape sequences begin and end.
//!
//! vte keeps its parser's state to itself, but three things need it: a notice may only be drawn
//! between sequences, plain text may only bypass the parser between sequences, and vte collects an
//! OSC of any length. So the transitions of vte 0.15 are followed here, merged where they do not
//! matter to these questions; a test holds the two against each other.

/// Longest OSC handed to the parser, in bytes; the rest is dropped. Titles, links and colours are
/// far shorter, and clipboard contents (OSC 52) are ignored anyway.
const MAX_OSC: usize = 8 * 1024;

/// Longest CSI remembered for the few that are answered here; longer ones are not among them.
const MAX_CSI: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Ground,
    Escape,
    EscapeIntermediate,
    Csi,
    Osc,
    DcsEntry,
    DcsParam,
    DcsIntermediate,
    DcsIgnore,
    DcsBody,
    /// SOS, PM and APC strings.
    Ignored,
}

/// Follows the parser through escape sequences.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    state: State,
    osc_len: usize,
    csi: [u8; MAX_CSI],
    csi_len: usize,
}

/// What [`Scanner::scan`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// This many bytes belong to the sequence, which may go on after them.
    Bytes(usize),
    /// The sequence ends with the last of this many bytes, a `b`, and is REP: repeat the last
    /// character so many times. (0 when it only looks like REP; no such sequence means anything.)
    Repeat(usize, u16),
    /// The sequence ends with the last of this many bytes, and is `CSI > q` (XTVERSION).
    Version(usize),
    /// This many bytes are too much of an OSC and not for the parser.
    Excess(usize),
}

impl Scanner {
    /// Whether the stream is between sequences.
    pub(super) fn at_ground(&self) -> bool {
        self.state == State::Ground
    }

    /// An ESC comes at ground, and is to be scanned next.
    pub(super) fn escape(&mut self) {
        self.state = State::Escape;
    }

    /// Follows the sequence through `bytes`, which are not empty, at most to its end. Not to be
    /// called at ground.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scanned {
        if self.state == State::Osc && self.osc_len >= MAX_OSC {
            let ends = |&byte: &u8| matches!(byte, 0x07 | 0x18 | 0x1a | 0x1b);
            match bytes.iter().position(ends) {
                Some(0) => {}
                Some(excess) => return Scanned::Excess(excess),
                None => return Scanned::Excess(bytes.len()),
            }
        }
        for (index, &byte) in bytes.iter().enumerate() {
            let before = self.state;
            self.step(byte);
            if self.state == State::Ground {
                let len = index + 1;
                return match (before, byte) {
                    (State::Csi, b'b') => Scanned::Repeat(len, self.repeat()),
                    (State::Csi, b'q') if matches!(self.csi(), b">" | b">0") => {
                        Scanned::Version(len)
                    }
                    _ => Scanned::Bytes(len),
                };
            }
            if self.state == State::Osc && self.osc_len >= MAX_OSC {
                return Scanned::Bytes(index + 1);
            }
        }
        Scanned::Bytes(bytes.len())
    }

    #[inline]
    fn step(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Ground, _) => State::Ground,

            // CAN and SUB end everything. (The OSC is carried out first.)
            (_, 0x18 | 0x1a) => State::Ground,
            (_, 0x1b) => State::Escape,

            (State::Escape, 0x20..=0x2f) => State::EscapeIntermediate,
            (State::Escape, b'P') => State::DcsEntry,
            (State::Escape, b'X' | b'^' | b'_') => State::Ignored,
            (State::Escape, b'[') => {
                self.csi_len = 0;
                State::Csi
            }
            (State::Escape, b']') => {
                self.osc_len = 0;
                State::Osc
            }
            (State::Escape | State::EscapeIntermediate, 0x30..=0x7e) => State::Ground,

            (State::Csi, 0x40..=0x7e) => State::Ground,
            (State::Csi, 0x20..=0x3f) => {
                if let Some(place) = self.csi.get_mut(self.csi_len) {
                    *place = byte;
                }
                self.csi_len += 1;
                State::Csi
            }

            (State::Osc, 0x07) => State::Ground,
            (State::Osc, _) => {
                self.osc_len += 1;
                State::Osc
            }

            (State::DcsEntry | State::DcsParam | State::DcsIntermediate, 0x40..=0x7e) => {
                State::DcsBody
            }
            (State::DcsEntry | State::DcsParam, 0x20..=0x2f) => State::DcsIntermediate,
            (State::DcsEntry, 0x30..=0x3f) => State::DcsParam,
            (State::DcsParam, 0x3c..=0x3f) => State::DcsIgnore,
            (State::DcsIntermediate, 0x30..=0x3f) => State::DcsIgnore,
            (State::DcsBody, 0x9c) => State::Ground,

            (state, _) => state,
        };
    }

    /// The current CSI's bytes before the final one; too long a one is empty.
    fn csi(&self) -> &[u8] {
        self.csi.get(..self.csi_len).unwrap_or_default()
    }

    /// The count of a REP; 0 when the CSI has anything but parameters.
    fn repeat(&self) -> u16 {
        let csi = self.csi();
        let is_parameter = |byte: &u8| matches!(byte, b'0'..=b'9' | b';' | b':');
        if self.csi_len > MAX_CSI || !csi.iter().all(is_parameter) {
            return 0;
        }
        let digits = csi.iter().take_while(|byte| byte.is_ascii_digit());
        digits
            .fold(0u16, |n, byte| {
                n.saturating_mul(10).saturating_add(u16::from(byte - b'0'))
            })
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether vte, having read `bytes`, takes an `x` for text.
    fn vte_is_at_ground(bytes: &[u8]) -> bool {
        #[derive(Default)]
        struct Printed(bool);
        impl vte::Perform for Printed {
            fn print(&mut self, ch: char) {
                self.0 = ch == 'x';
            }
        }
        let mut parser = vte::Parser::new();
        parser.advance(&mut Printed::default(), bytes);
        let mut printed = Printed::default();
        parser.advance(&mut printed, b"x");
        printed.0
    }

    fn scanner_is_at_ground(bytes: &[u8]) -> bool {
        let mut scanner = Scanner::default();
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            let len = if !scanner.at_ground() {
                match scanner.scan(rest) {
                    Scanned::Bytes(len)
                    | Scanned::Repeat(len, _)
                    | Scanned::Version(len)
                    | Scanned::Excess(len) => len,
                }
            } else if first == 0x1b {
                scanner.escape();
                continue;
            } else {
                1
            };
            assert!(len > 0);
            rest = &rest[len..];
        }
        scanner.at_ground()
    }

    proptest! {
        #[test]
        fn agrees_with_the_parser_on_where_sequences_end(
            bytes in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(&b"\x1b\x1b[]P^_X\\\x07\x18\x1a;:0123?>=$ !()bqmhABc\x9c\x7f\x90"[..]),
                    // No other byte above ASCII: what vte does with half a character is not the
                    // scanner's concern.
                    0u8..0x80,
                ],
                0..12,
            ),
        ) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert_eq!(
                scanner_is_at_ground(text.as_bytes()),
                vte_is_at_ground(text.as_bytes()),
                "{:?}", text
            );
        }
    }

    fn scanned(bytes: &[u8]) -> Scanned {
        let mut scanner = Scanner::default();
        scanner.escape();
        scanner.scan(bytes)
    }

    #[test]
    fn repetitions_and_version_queries_are_told_apart() {
        assert_eq!(scanned(b"\x1b[b"), Scanned::Repeat(3, 1));
        assert_eq!(scanned(b"\x1b[0b"), Scanned::Repeat(4, 1));
        assert_eq!(scanned(b"\x1b[70000;2bx"), Scanned::Repeat(10, u16::MAX));
        assert_eq!(scanned(b"\x1b[?5b"), Scanned::Repeat(5, 0));
        assert_eq!(scanned(b"\x1b[>q"), Scanned::Version(4));
        assert_eq!(scanned(b"\x1b[>0q"), Scanned::Version(5));
        assert_eq!(scanned(b"\x1b[ q"), Scanned::Bytes(4));
        let long = [b"\x1b[", &b"1;"[..].repeat(40)[..], b"b"].concat();
        assert_eq!(scanned(&long), Scanned::Repeat(long.len(), 0));
    }

    #[test]
    fn of_an_endless_osc_only_so_much_is_handed_on() {
        let mut scanner = Scanner::default();
        scanner.escape();
        let flood = [b"\x1b]2;", &[b'a'; 3 * MAX_OSC][..]].concat();
        let Scanned::Bytes(taken) = scanner.scan(&flood) else {
            panic!("the beginning is for the parser");
        };
        assert!(taken <= MAX_OSC + 2);
        let rest = &flood[taken..];
        assert_eq!(scanner.scan(rest), Scanned::Excess(rest.len()));
        assert_eq!(scanner.scan(b"aaa\x07"), Scanned::Excess(3));
        assert_eq!(scanner.scan(b"\x07b"), Scanned::Bytes(1));
        assert!(scanner.at_ground());
    }
}
