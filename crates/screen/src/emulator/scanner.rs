//! Where in the stream escape sequences begin and end.
//!
//! vte keeps its parser's state to itself, but it is needed here: a notice may only be drawn
//! between sequences, plain text may only bypass the parser between sequences, vte collects an
//! OSC of any length, and some sequences mean nothing to it. So the transitions of vte 0.15 are followed
//! here, merged where they do not matter to these questions; a test holds the two against each other.
//!
//! In two places they differ on purpose. `ESC k` begins a title as in screen and tmux, which vte would
//! show as text. And nothing of a DCS reaches the parser, which takes the second byte of some
//! UTF-8 characters for its end.

use vte::ansi::CharsetIndex;

/// Longest OSC handed to the parser, in bytes; the rest is dropped. Titles, links and colours are
/// far shorter, and clipboard contents (OSC 52) are ignored anyway.
const MAX_OSC: usize = 8 * 1024;

/// Longest CSI remembered for the few that are carried out here; longer ones are not among them.
const MAX_CSI: usize = 128;

/// Most bytes kept of a title (`ESC k`); the rest is dropped.
const MAX_TITLE: usize = 4 * crate::screen::MAX_TITLE;

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
    /// A title after `ESC k`.
    Title,
}

/// Follows the parser through escape sequences.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    osc_len: usize,
    /// What stands between the beginning of a sequence and its last byte.
    middle: [u8; MAX_CSI],
    middle_len: usize,
    title: Vec<u8>,
}

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner {
            state: State::Ground,
            osc_len: 0,
            middle: [0; MAX_CSI],
            middle_len: 0,
            title: Vec::new(),
        }
    }
}

/// What [`Scanner::scan`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// This many bytes belong to the sequence, which may go on after them.
    Bytes(usize),
    /// The sequence ends with the last of this many bytes, a `b`, and is REP: repeat the last
    /// character so many times. (0 when it only looks like REP; no such sequence means anything.)
    Repeat(usize, u16),
    /// The same with an `e`, and VPR: so many rows down.
    Down(usize, u16),
    /// The sequence ends with the last of this many bytes, and what it means is to be done when the
    /// parser has read it.
    Ours(usize, Ours),
    /// This many bytes are not for the parser: too much of an OSC, a DCS, or a title.
    Excess(usize),
    /// A title ends, which [`Scanner::title`] has, with the next byte. That is for the parser if it
    /// begins another sequence.
    Title,
}

/// Sequences the parser doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ours {
    /// `CSI > q`: XTVERSION.
    Version,
    /// `CSI ! p`: DECSTR.
    SoftReset,
    /// `CSI Ps " q`: DECSCA.
    Protect(bool),
    /// `CSI ? Ps J`: DECSED.
    EraseInScreen(u16),
    /// `CSI ? Ps K`: DECSEL.
    EraseInLine(u16),
    /// SGR 53 or 55, among others.
    Overline(bool),
    /// `ESC ( A` and its kin: the United Kingdom's set.
    UnitedKingdom(CharsetIndex),
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
        match self.state {
            State::DcsBody => {
                let ends = |&byte: &u8| matches!(byte, 0x18 | 0x1a | 0x1b);
                match bytes.iter().position(ends) {
                    Some(0) => {}
                    Some(body) => return Scanned::Excess(body),
                    None => return Scanned::Excess(bytes.len()),
                }
            }
            State::Title => return self.title_bytes(bytes),
            _ => {}
        }
        for (index, &byte) in bytes.iter().enumerate() {
            let before = self.state;
            self.step(byte);
            match self.state {
                State::Csi => {}
                State::Ground => return self.ended(index + 1, before, byte),
                State::DcsBody | State::Title => return Scanned::Bytes(index + 1),
                State::Osc if self.osc_len >= MAX_OSC => return Scanned::Bytes(index + 1),
                _ => {}
            }
        }
        Scanned::Bytes(bytes.len())
    }

    /// The sequence whose last byte, in this state, was the last of `len`.
    fn ended(&self, len: usize, before: State, byte: u8) -> Scanned {
        match (before, byte) {
            (State::Csi, b'b') => Scanned::Repeat(len, self.count()),
            (State::Csi, b'e') => Scanned::Down(len, self.count()),
            (State::Csi, b'q' | b'p' | b'J' | b'K' | b'm') | (State::EscapeIntermediate, b'A') => {
                match self.ours(byte) {
                    Some(ours) => Scanned::Ours(len, ours),
                    None => Scanned::Bytes(len),
                }
            }
            _ => Scanned::Bytes(len),
        }
    }

    #[inline]
    fn step(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Ground, _) => State::Ground,

            // CAN and SUB end everything. (The OSC is carried out first.)
            (_, 0x18 | 0x1a) => State::Ground,
            (_, 0x1b) => State::Escape,

            (State::Escape, 0x20..=0x2f) => {
                self.middle_len = 0;
                self.remember(byte);
                State::EscapeIntermediate
            }
            (State::EscapeIntermediate, 0x20..=0x2f) => {
                self.remember(byte);
                State::EscapeIntermediate
            }
            (State::Escape, b'k') => {
                self.title.clear();
                State::Title
            }
            (State::Escape, b'P') => State::DcsEntry,
            (State::Escape, b'X' | b'^' | b'_') => State::Ignored,
            (State::Escape, b'[') => {
                self.middle_len = 0;
                State::Csi
            }
            (State::Escape, b']') => {
                self.osc_len = 0;
                State::Osc
            }
            (State::Escape | State::EscapeIntermediate, 0x30..=0x7e) => State::Ground,

            (State::Csi, 0x40..=0x7e) => State::Ground,
            (State::Csi, 0x20..=0x3f) => {
                self.remember(byte);
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

            (state, _) => state,
        };
    }

    #[inline]
    fn remember(&mut self, byte: u8) {
        if let Some(place) = self.middle.get_mut(self.middle_len) {
            *place = byte;
        }
        self.middle_len += 1;
    }

    /// Takes the next part of a title.
    fn title_bytes(&mut self, bytes: &[u8]) -> Scanned {
        let ends = |&byte: &u8| matches!(byte, 0x07 | 0x18 | 0x1a | 0x1b);
        let len = bytes.iter().position(ends).unwrap_or(bytes.len());
        if len > 0 {
            let room = MAX_TITLE.saturating_sub(self.title.len()).min(len);
            self.title
                .extend_from_slice(bytes.get(..room).unwrap_or_default());
            return Scanned::Excess(len);
        }
        let last = bytes.first().copied().unwrap_or_default();
        self.step(last);
        match last {
            0x07 => self.state = State::Ground,
            0x1b => {}
            _ => return Scanned::Excess(1),
        }
        Scanned::Title
    }

    /// The title that has ended.
    pub(super) fn title(&self) -> &[u8] {
        &self.title
    }

    /// The current sequence's bytes between the beginning and the final one; too many are none.
    fn middle(&self) -> &[u8] {
        self.middle.get(..self.middle_len).unwrap_or_default()
    }

    /// What the sequence that ends with `last` means, if it is one the parser doesn't know.
    fn ours(&self, last: u8) -> Option<Ours> {
        match (self.middle(), last) {
            (b">" | b">0", b'q') => Some(Ours::Version),
            ([parameters @ .., b'"'], b'q') => match number(parameters)? {
                0 | 2 => Some(Ours::Protect(false)),
                1 => Some(Ours::Protect(true)),
                _ => None,
            },
            (b"!", b'p') => Some(Ours::SoftReset),
            ([b'?', parameters @ ..], b'J') => number(parameters).map(Ours::EraseInScreen),
            ([b'?', parameters @ ..], b'K') => number(parameters).map(Ours::EraseInLine),
            (parameters, b'm') => overline(parameters).map(Ours::Overline),
            (b"(", b'A') => Some(Ours::UnitedKingdom(CharsetIndex::G0)),
            (b")", b'A') => Some(Ours::UnitedKingdom(CharsetIndex::G1)),
            (b"*", b'A') => Some(Ours::UnitedKingdom(CharsetIndex::G2)),
            (b"+", b'A') => Some(Ours::UnitedKingdom(CharsetIndex::G3)),
            _ => None,
        }
    }

    /// The count of a REP or VPR; 0 when the CSI has anything but parameters.
    fn count(&self) -> u16 {
        let middle = self.middle();
        let is_parameter = |byte: &u8| matches!(byte, b'0'..=b'9' | b';' | b':');
        if self.middle_len > MAX_CSI || !middle.iter().all(is_parameter) {
            return 0;
        }
        let digits = middle.iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, with_digit).max(1)
    }
}

fn with_digit(number: u16, digit: &u8) -> u16 {
    number
        .saturating_mul(10)
        .saturating_add(u16::from(digit - b'0'))
}

/// The one parameter of a sequence; 0 when it has none.
fn number(parameters: &[u8]) -> Option<u16> {
    let digits = parameters.iter().all(u8::is_ascii_digit);
    digits.then(|| parameters.iter().fold(0, with_digit))
}

/// Whether SGR's parameters, which are a few dozen bytes at most, end or begin overlining.
fn overline(parameters: &[u8]) -> Option<bool> {
    // Most have no such number at all.
    let named = |pair: &[u8]| matches!(pair, b"53" | b"55");
    if !parameters.windows(2).any(named) {
        return None;
    }
    let mut state = None;
    let mut parameters = parameters.split(|&byte| byte == b';');
    while let Some(parameter) = parameters.next() {
        match parameter {
            b"53" => state = Some(true),
            b"55" | b"0" | b"" => state = Some(false),
            // A colour's numbers are none of these.
            b"38" | b"48" | b"58" => {
                let rest = match parameters.next() {
                    Some(b"2") => 3,
                    Some(b"5") => 1,
                    _ => 0,
                };
                parameters.by_ref().take(rest).for_each(drop);
            }
            _ => {}
        }
    }
    state
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
                    | Scanned::Down(len, _)
                    | Scanned::Ours(len, _)
                    | Scanned::Excess(len) => len,
                    Scanned::Title => 1,
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
                    (0u8..0x80).prop_filter("a title is none to vte", |byte| *byte != b'k'),
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
        assert_eq!(scanned(b"\x1b[>q"), Scanned::Ours(4, Ours::Version));
        assert_eq!(scanned(b"\x1b[>0q"), Scanned::Ours(5, Ours::Version));
        assert_eq!(scanned(b"\x1b[ q"), Scanned::Bytes(4));
        let long = [b"\x1b[", &b"1;"[..].repeat(80)[..], b"b"].concat();
        assert_eq!(scanned(&long), Scanned::Repeat(long.len(), 0));
    }

    #[test]
    fn what_the_parser_does_not_know_is_told_apart() {
        assert_eq!(scanned(b"\x1b[!p"), Scanned::Ours(4, Ours::SoftReset));
        assert_eq!(scanned(b"\x1b[1\"q"), Scanned::Ours(5, Ours::Protect(true)));
        assert_eq!(scanned(b"\x1b[\"q"), Scanned::Ours(4, Ours::Protect(false)));
        assert_eq!(
            scanned(b"\x1b[?2J"),
            Scanned::Ours(5, Ours::EraseInScreen(2))
        );
        assert_eq!(scanned(b"\x1b[?K"), Scanned::Ours(4, Ours::EraseInLine(0)));
        assert_eq!(
            scanned(b"\x1b)A"),
            Scanned::Ours(3, Ours::UnitedKingdom(CharsetIndex::G1))
        );
        for (output, overline) in [
            (&b"\x1b[53m"[..], Some(true)),
            (b"\x1b[1;53;31m", Some(true)),
            (b"\x1b[53;55m", Some(false)),
            (b"\x1b[53;0m", Some(false)),
            (b"\x1b[38;5;53m", None),
            (b"\x1b[48;2;53;55;53;1m", None),
            (b"\x1b[38;5;53;53m", Some(true)),
            (b"\x1b[38:5:53m", None),
            (b"\x1b[m", None),
        ] {
            let expected = match overline {
                Some(on) => Scanned::Ours(output.len(), Ours::Overline(on)),
                None => Scanned::Bytes(output.len()),
            };
            assert_eq!(scanned(output), expected, "{:?}", output.escape_ascii());
        }
    }

    #[test]
    fn a_title_is_kept_from_the_parser_and_bounded() {
        let mut scanner = Scanner::default();
        scanner.escape();
        assert_eq!(scanner.scan(b"\x1bkna"), Scanned::Bytes(2));
        assert_eq!(scanner.scan(b"na"), Scanned::Excess(2));
        let flood = vec![b'x'; 3 * MAX_TITLE];
        assert_eq!(scanner.scan(&flood), Scanned::Excess(flood.len()));
        assert_eq!(scanner.scan(b"\x1b\\"), Scanned::Title);
        assert_eq!(scanner.title().len(), MAX_TITLE);
        assert!(!scanner.at_ground());
        assert_eq!(scanner.scan(b"\\b"), Scanned::Bytes(1));
        assert!(scanner.at_ground());
    }

    #[test]
    fn nothing_of_a_dcs_is_for_the_parser() {
        let mut scanner = Scanner::default();
        scanner.escape();
        let output = "\x1bP1$rÜber\x1b\\";
        let Scanned::Bytes(begun) = scanner.scan(output.as_bytes()) else {
            panic!("its beginning is");
        };
        assert_eq!(begun, 5);
        let body = &output.as_bytes()[begun..];
        assert_eq!(scanner.scan(body), Scanned::Excess(body.len() - 2));
        assert_eq!(scanner.scan(b"\x1b\\b"), Scanned::Bytes(2));
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
