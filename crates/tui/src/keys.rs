//! What a terminal sends: keys, pastes, mouse and focus reports, and its answers to queries.
//!
//! The terminal's answers (to DA, CPR, DECRQM, colour queries, …) look like keys to who doesn't tell
//! them apart, and must never be typed into a program: [`Event::Reply`].
//!
//! Sources: ECMA-48, xterm's `ctlseqs`, kitty's keyboard protocol, rxvt's keys.

/// Longest unfinished sequence that is held, in bytes; the longest key anyone sends (kitty, with the
/// text of a key) stays below it. What is longer is passed on as [`Event::Unknown`].
pub const MAX_SEQUENCE: usize = 128;

/// Longest answer of a terminal that is recognised as one, in bytes: a name and version, a colour, a
/// capability are far below. After that, what comes is taken for keys again, so that a terminal that
/// breaks off in mid-answer doesn't swallow the keyboard for ever.
pub const MAX_REPLY: usize = 4096;

const ESC: u8 = 0x1b;
const PASTE_END: &[u8] = b"\x1b[201~";

/// A key without its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyCode {
    /// A character, as the key alone gives it: a lower-case letter for a letter.
    Char(char),
    /// Enter.
    Enter,
    /// Tab.
    Tab,
    /// Backspace.
    Backspace,
    /// Escape.
    Esc,
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// Cursor right.
    Right,
    /// Cursor left.
    Left,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Insert.
    Insert,
    /// Delete.
    Delete,
    /// F1 to F35.
    F(u8),
    /// A modifier alone (kitty's 57441–57454, caps lock and kin 57358–57360).
    Modifier,
    /// Any other key.
    Other,
}

/// Modifiers, as kitty and xterm number them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Mods(u8);

impl Mods {
    /// None.
    pub const NONE: Mods = Mods(0);
    /// Shift.
    pub const SHIFT: Mods = Mods(1);
    /// Alt.
    pub const ALT: Mods = Mods(2);
    /// Control.
    pub const CTRL: Mods = Mods(4);
    /// What changes a key's meaning: caps lock and num lock (64, 128) don't.
    const MEANT: u8 = 0b11_1111;

    /// Both together.
    pub const fn with(self, other: Mods) -> Mods {
        Mods(self.0 | other.0)
    }

    /// Whether all of `other` are held.
    pub const fn contains(self, other: Mods) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Which half of a key press this is (kitty tells on request).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Press {
    /// Down.
    #[default]
    Down,
    /// Held down.
    Repeat,
    /// Up.
    Up,
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Which.
    pub code: KeyCode,
    /// The character at this key's place on a US keyboard, where the terminal told.
    pub base: Option<char>,
    /// Held with it.
    pub mods: Mods,
    /// Down, held or up.
    pub press: Press,
}

impl Key {
    /// A key pressed alone.
    pub const fn plain(code: KeyCode) -> Key {
        Key::with(code, Mods::NONE)
    }

    /// A key pressed with modifiers.
    pub const fn with(code: KeyCode, mods: Mods) -> Key {
        Key {
            code,
            base: None,
            mods,
            press: Press::Down,
        }
    }
}

/// A mouse report in SGR encoding (mode 1006).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mouse {
    /// Button and modifiers as reported: 0–2 buttons, 64 and 65 the wheel, + 4 shift, + 8 alt,
    /// + 16 control, + 32 motion.
    pub button: u16,
    /// Column, from 0.
    pub x: u16,
    /// Row, from 0.
    pub y: u16,
    /// Released.
    pub release: bool,
}

impl Mouse {
    /// Rows to scroll when this is the wheel: negative up.
    pub fn wheel(&self) -> Option<i32> {
        match self.button & !0b1_1100 {
            64 => Some(-1),
            65 => Some(1),
            _ => None,
        }
    }
}

/// One thing the terminal sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Characters typed: UTF-8 if the terminal is set so, possibly cut inside a character.
    Text(&'a [u8]),
    /// A key.
    Key(Key),
    /// A paste begins.
    PasteStart,
    /// A piece of what is pasted, as it came.
    Paste(&'a [u8]),
    /// The paste is over.
    PasteEnd,
    /// The mouse.
    Mouse(Mouse),
    /// The terminal got (`true`) or lost the focus.
    Focus(bool),
    /// An answer to a query, or a piece of one. Nobody typed it.
    Reply,
    /// A sequence without a known meaning.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    /// After ESC.
    Escape,
    /// After `ESC [`.
    Csi,
    /// After `ESC O`.
    Ss3,
    /// In `ESC [ M` with its three bytes (mouse, X10 encoding) or `ESC [ [` with its one (the Linux
    /// console's F1–F5).
    Fixed {
        length: usize,
    },
    /// After `ESC ]`, `ESC P` or `ESC _`: an answer, or Alt and that character.
    StringStart,
    /// In an answer, this many bytes ago.
    Reply {
        seen: usize,
    },
    /// After ESC in an answer.
    ReplyEscape,
    /// Between the brackets of a paste.
    Paste,
}

/// Cuts what a terminal sends into [`Event`]s. Every byte goes into exactly one, in order; of an
/// unfinished sequence at most [`MAX_SEQUENCE`] bytes are held.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    state: State,
    held: Vec<u8>,
}

impl Default for Tokenizer {
    fn default() -> Self {
        Tokenizer::new()
    }
}

impl Tokenizer {
    /// Outside of any sequence.
    pub fn new() -> Tokenizer {
        Tokenizer {
            state: State::Ground,
            held: Vec::new(),
        }
    }

    /// Takes bytes and gives each event with the bytes it was made of.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Event<'_>, &[u8])) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            let taken = match self.state {
                State::Ground => self.ground(rest, &mut each),
                State::Paste => self.paste(rest, &mut each),
                State::Reply { seen } => self.reply(rest, seen, &mut each),
                _ => usize::from(self.step(byte, &mut each)),
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// The bytes of a sequence that is not finished.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Nothing came for a while (25–50 ms): what is held is what it looks like, so ESC is the key.
    /// Within a paste what may be its end stays held.
    pub fn timeout(&mut self, mut each: impl FnMut(Event<'_>, &[u8])) {
        if self.held.is_empty() {
            return;
        }
        match (self.state, self.held.as_slice()) {
            (State::Escape | State::ReplyEscape, _) => {
                self.finish(Event::Key(Key::plain(KeyCode::Esc)), &mut each);
            }
            (State::Csi | State::Ss3 | State::StringStart, &[_, byte]) => {
                self.finish(Event::Key(alt(byte)), &mut each);
            }
            // The end of a paste, late: taken for pasted text it would leave everything typed from then
            // on inside of the paste.
            (State::Paste, _) => {}
            _ => self.finish(Event::Unknown, &mut each),
        }
    }

    /// Text up to the next control character, or that character.
    fn ground(&mut self, rest: &[u8], each: &mut impl FnMut(Event<'_>, &[u8])) -> usize {
        let is_control = |byte: &u8| *byte < 0x20 || *byte == 0x7f;
        let length = rest.iter().position(is_control).unwrap_or(rest.len());
        if let (text @ [_, ..], _) = rest.split_at(length) {
            each(Event::Text(text), text);
            return length;
        }
        match rest {
            [ESC, ..] => {
                self.held.push(ESC);
                self.state = State::Escape;
            }
            [byte, ..] => each(Event::Key(control(*byte)), &[*byte]),
            [] => {}
        }
        1
    }

    /// One byte of a sequence; `false`: the sequence ended before it, look at it again.
    fn step(&mut self, byte: u8, each: &mut impl FnMut(Event<'_>, &[u8])) -> bool {
        match (self.state, byte) {
            (State::Escape, b'[') => self.hold(byte, State::Csi),
            (State::Escape, b'O') => self.hold(byte, State::Ss3),
            (State::Escape, b']' | b'P' | b'_') => self.hold(byte, State::StringStart),
            (State::Escape, ESC | 0x80..) => {
                self.finish(Event::Key(Key::plain(KeyCode::Esc)), each);
                false
            }
            (State::Escape, _) => {
                self.held.push(byte);
                self.finish(Event::Key(alt(byte)), each);
                true
            }
            (State::Csi, b'M') if self.held.len() == 2 => {
                self.hold(byte, State::Fixed { length: 6 })
            }
            (State::Csi, b'[') if self.held.len() == 2 => {
                self.hold(byte, State::Fixed { length: 4 })
            }
            (State::Csi, 0x20..=0x3f) if self.held.len() < MAX_SEQUENCE => {
                self.hold(byte, State::Csi)
            }
            (State::Csi, 0x40..=0x7e) => {
                self.held.push(byte);
                let event = csi(&self.held);
                self.finish(event, each);
                if event == Event::PasteStart {
                    self.state = State::Paste;
                }
                true
            }
            // `ESC O 2 P`: old xterms put the modifiers there.
            (State::Ss3, b'0'..=b'9') if self.held.len() < 5 => self.hold(byte, State::Ss3),
            (State::Ss3, 0x20..=0x7e) => {
                self.held.push(byte);
                let event = ss3(&self.held);
                self.finish(event, each);
                true
            }
            (State::Fixed { length }, 0x20..) => {
                self.held.push(byte);
                if self.held.len() >= length {
                    let event = linux_console(&self.held);
                    self.finish(event, each);
                }
                true
            }
            (State::StringStart, _) => {
                if is_reply_start(&self.held, byte) {
                    self.held.push(byte);
                    let seen = self.held.len();
                    self.finish(Event::Reply, each);
                    self.state = State::Reply { seen };
                    true
                } else {
                    let key = alt(self.held.last().copied().unwrap_or(ESC));
                    self.finish(Event::Key(key), each);
                    false
                }
            }
            (State::ReplyEscape, b'\\') => {
                self.held.push(byte);
                self.finish(Event::Reply, each);
                true
            }
            (State::ReplyEscape, _) => {
                self.state = State::Escape;
                false
            }
            // Nothing a keyboard or an answer contains: given up, and the byte stands for itself.
            (State::Csi | State::Ss3, _) if self.held.len() == 2 => {
                let key = alt(self.held.last().copied().unwrap_or(ESC));
                self.finish(Event::Key(key), each);
                false
            }
            _ => {
                self.finish(Event::Unknown, each);
                false
            }
        }
    }

    fn hold(&mut self, byte: u8, state: State) -> bool {
        self.held.push(byte);
        self.state = state;
        true
    }

    fn finish(&mut self, event: Event<'_>, each: &mut impl FnMut(Event<'_>, &[u8])) {
        self.state = State::Ground;
        each(event, &self.held);
        self.held.clear();
    }

    /// More of an answer, to its end or a byte that is none of it.
    fn reply(
        &mut self,
        rest: &[u8],
        seen: usize,
        each: &mut impl FnMut(Event<'_>, &[u8]),
    ) -> usize {
        let room = MAX_REPLY.saturating_sub(seen);
        let length = rest
            .iter()
            .take(room)
            .take_while(|byte| **byte >= 0x20 && **byte != 0x7f)
            .count();
        let (content, after) = rest.split_at(length);
        if !content.is_empty() {
            each(Event::Reply, content);
        }
        match after.first() {
            None => {
                self.state = State::Reply {
                    seen: seen + length,
                }
            }
            Some(&bell @ 0x07) => {
                each(Event::Reply, &[bell]);
                self.state = State::Ground;
                return length + 1;
            }
            Some(&ESC) => {
                self.held.push(ESC);
                self.state = State::ReplyEscape;
                return length + 1;
            }
            Some(_) => self.state = State::Ground,
        }
        length
    }

    /// More of a paste, to the next ESC, and whether that ends it.
    fn paste(&mut self, rest: &[u8], each: &mut impl FnMut(Event<'_>, &[u8])) -> usize {
        if self.held.is_empty() {
            let length = rest.iter().position(|b| *b == ESC).unwrap_or(rest.len());
            if let (text @ [_, ..], _) = rest.split_at(length) {
                each(Event::Paste(text), text);
                return length;
            }
        }
        let Some((byte, expected)) = rest.first().zip(PASTE_END.get(self.held.len())) else {
            return rest.len();
        };
        if byte == expected {
            self.held.push(*byte);
            if self.held == PASTE_END {
                self.finish(Event::PasteEnd, each);
            }
            return 1;
        }
        // Not the end: what was held is pasted text, the byte may begin again.
        each(Event::Paste(&self.held), &self.held);
        self.held.clear();
        0
    }
}

/// Where a terminal says its cursor is (CPR, `CSI row ; column R`): column and row from 0.
pub fn cursor_report(sequence: &[u8]) -> Option<(u16, u16)> {
    let body = sequence.strip_prefix(b"\x1b[")?.strip_suffix(b"R")?;
    let (row, column) = std::str::from_utf8(body).ok()?.split_once(';')?;
    let from_zero = |number: &str| number.parse::<u16>().ok()?.checked_sub(1);
    Some((from_zero(column)?, from_zero(row)?))
}

/// The first character of typed text and what follows it, for who looks for commands: those are ASCII,
/// and any other character is U+FFFD.
pub(crate) fn first_char(text: &[u8]) -> Option<(char, &[u8])> {
    let (&first, after) = text.split_first()?;
    let tail = after
        .iter()
        .take_while(|byte| **byte & 0xc0 == 0x80)
        .count();
    match first.is_ascii() {
        true => Some((char::from(first), after)),
        false => Some(('\u{fffd}', after.get(tail..)?)),
    }
}

/// Whether these bytes are one key, at most with its going up and what the terminal itself says.
pub(crate) fn is_one_key(tokenizer: &Tokenizer, bytes: &[u8]) -> bool {
    let mut keys = 0;
    let mut tokenizer = tokenizer.clone();
    tokenizer.feed(bytes, |event, _| {
        keys += match event {
            Event::Key(key) => usize::from(key.press != Press::Up),
            Event::Text(text) => String::from_utf8_lossy(text).chars().count(),
            Event::Reply | Event::Focus(_) => 0,
            Event::PasteStart | Event::Paste(_) | Event::PasteEnd => 2,
            Event::Mouse(_) | Event::Unknown => 1,
        }
    });
    keys == 1 && tokenizer.held().is_empty()
}

/// What answers begin with: OSC a number, DCS one of DA3's `!|`, XTVERSION's `>|`, DECRQSS's and
/// XTGETTCAP's `0$r`, `1+r`, APC kitty's `G`. Anything else there is Alt and a key.
fn is_reply_start(held: &[u8], byte: u8) -> bool {
    match held {
        [ESC, b']'] => byte.is_ascii_digit(),
        [ESC, b'P'] => matches!(byte, b'!' | b'>' | b'0' | b'1'),
        [ESC, b'_'] => byte == b'G',
        _ => false,
    }
}

fn control(byte: u8) -> Key {
    let ctrl = |ch| Key::with(KeyCode::Char(ch), Mods::CTRL);
    match byte {
        0x00 => ctrl(' '),
        0x09 => Key::plain(KeyCode::Tab),
        0x0d => Key::plain(KeyCode::Enter),
        0x7f => Key::plain(KeyCode::Backspace),
        0x01..=0x1a => ctrl((byte + 0x60) as char),
        0x1b => Key::plain(KeyCode::Esc),
        _ => ctrl((byte | 0x40) as char),
    }
}

fn alt(byte: u8) -> Key {
    let key = match byte {
        0x00..0x20 | 0x7f => control(byte),
        b'A'..=b'Z' => Key::with(
            KeyCode::Char(byte.to_ascii_lowercase() as char),
            Mods::SHIFT,
        ),
        _ => Key::plain(KeyCode::Char(byte as char)),
    };
    Key {
        mods: key.mods.with(Mods::ALT),
        ..key
    }
}

/// `ESC O` and a letter: cursor keys in application mode, F1–F4, the keypad in application mode.
fn ss3(sequence: &[u8]) -> Event<'static> {
    let (Some(&last), mods) = (sequence.last(), sequence.get(2..)) else {
        return Event::Unknown;
    };
    let digits = mods.map_or(0, |mods| number(mods.strip_suffix(&[last]).unwrap_or(mods)));
    let mods = modifiers(u32::from(digits));
    let code = match last {
        b'j'..=b'y' | b'X' => KeyCode::Other,
        b'I' => KeyCode::Tab,
        b'M' => KeyCode::Enter,
        _ => match letter(last) {
            Some(code) => code,
            None => return Event::Unknown,
        },
    };
    Event::Key(Key::with(code, mods))
}

fn linux_console(sequence: &[u8]) -> Event<'static> {
    match sequence {
        [ESC, b'[', b'[', letter @ b'A'..=b'E'] => {
            Event::Key(Key::plain(KeyCode::F(letter - b'A' + 1)))
        }
        _ => Event::Unknown,
    }
}

/// The keys that CSI and SS3 name by a letter.
fn letter(last: u8) -> Option<KeyCode> {
    Some(match last {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'E' => KeyCode::Other,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'P' => KeyCode::F(1),
        b'Q' => KeyCode::F(2),
        b'R' => KeyCode::F(3),
        b'S' => KeyCode::F(4),
        _ => return None,
    })
}

fn csi(sequence: &[u8]) -> Event<'static> {
    let body = sequence.get(2..).unwrap_or_default();
    let Some((&last, body)) = body.split_last() else {
        return Event::Unknown;
    };
    if let Some(body) = body.strip_prefix(b"<") {
        return mouse(body, last);
    }
    // No key has a private marker or an intermediate; answers to DA, DECRQM, kitty's query do.
    if body
        .iter()
        .any(|byte| !matches!(byte, b'0'..=b'9' | b':' | b';'))
    {
        return Event::Reply;
    }
    let mut params = body.split(|byte| *byte == b';').map(Param);
    let first = params.next().unwrap_or(Param(b""));
    let second = params.next();
    let mods = second.unwrap_or(Param(b""));
    match last {
        b'I' if body.is_empty() => Event::Focus(true),
        b'O' if body.is_empty() => Event::Focus(false),
        // A cursor position looks like F3 with modifiers in old xterms. It must not be typed, so the
        // key gives way; terminals since 2022 send `CSI 13 ; … ~` for it.
        b'R' if second.is_some() => Event::Reply,
        b'c' if !body.is_empty() => Event::Reply,
        b'n' | b't' | b'x' | b'y' => Event::Reply,
        b'Z' => key(KeyCode::Tab, mods, Mods::SHIFT),
        b'a'..=b'd' if body.is_empty() => match letter(last.to_ascii_uppercase()) {
            Some(code) => Event::Key(Key::with(code, Mods::SHIFT)),
            None => Event::Unknown,
        },
        b'u' => kitty(first, mods),
        b'~' if first.value(0) == 27 => params
            .next()
            .map_or(Event::Unknown, |code| kitty(code, mods)),
        b'~' if body == b"200" => Event::PasteStart,
        b'~' => numbered(first).map_or(Event::Unknown, |code| key(code, mods, Mods::NONE)),
        b'^' => numbered(first).map_or(Event::Unknown, |code| key(code, mods, Mods::CTRL)),
        b'@' => numbered(first).map_or(Event::Unknown, |code| {
            key(code, mods, Mods::CTRL.with(Mods::SHIFT))
        }),
        _ => letter(last).map_or(Event::Unknown, |code| key(code, mods, Mods::NONE)),
    }
}

/// One parameter, with parts between colons.
#[derive(Clone, Copy)]
struct Param<'a>(&'a [u8]);

impl Param<'_> {
    /// The part's number; 0 when it is left out or too large.
    fn value(self, part: usize) -> u32 {
        let part = self.0.split(|byte| *byte == b':').nth(part);
        part.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
            .unwrap_or(0)
    }
}

fn key(code: KeyCode, mods: Param<'_>, also: Mods) -> Event<'static> {
    Event::Key(Key {
        code,
        base: None,
        mods: modifiers(mods.value(0)).with(also),
        press: press(mods),
    })
}

fn modifiers(value: u32) -> Mods {
    Mods(value.saturating_sub(1) as u8 & Mods::MEANT)
}

fn press(mods: Param<'_>) -> Press {
    match mods.value(1) {
        2 => Press::Repeat,
        3 => Press::Up,
        _ => Press::Down,
    }
}

fn number(digits: &[u8]) -> u8 {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

/// The keys that `CSI … ~` names by a number.
fn numbered(param: Param<'_>) -> Option<KeyCode> {
    Some(match param.value(0) {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        n @ 11..=15 => KeyCode::F(n as u8 - 10),
        n @ 17..=21 => KeyCode::F(n as u8 - 11),
        n @ 23..=26 => KeyCode::F(n as u8 - 12),
        n @ 28..=29 => KeyCode::F(n as u8 - 13),
        n @ 31..=34 => KeyCode::F(n as u8 - 14),
        57427 => KeyCode::Other,
        _ => return None,
    })
}

/// `CSI code : shifted : base ; modifiers : press ; text u`.
fn kitty(code: Param<'_>, mods: Param<'_>) -> Event<'static> {
    let named = match code.value(0) {
        9 => KeyCode::Tab,
        13 | 57414 => KeyCode::Enter,
        27 => KeyCode::Esc,
        8 | 127 => KeyCode::Backspace,
        57358..=57360 | 57441..=57454 => KeyCode::Modifier,
        n @ 57376..=57398 => KeyCode::F((n - 57376 + 13) as u8),
        n @ 57399..=57408 => KeyCode::Char(char::from(b'0' + (n - 57399) as u8)),
        57417 => KeyCode::Left,
        57418 => KeyCode::Right,
        57419 => KeyCode::Up,
        57420 => KeyCode::Down,
        57421 => KeyCode::PageUp,
        57422 => KeyCode::PageDown,
        57423 => KeyCode::Home,
        57424 => KeyCode::End,
        57425 => KeyCode::Insert,
        57426 => KeyCode::Delete,
        57344..=63743 => KeyCode::Other,
        n => match char::from_u32(n) {
            Some(ch) if !ch.is_control() => KeyCode::Char(ch),
            _ => return Event::Unknown,
        },
    };
    Event::Key(Key {
        code: named,
        base: char::from_u32(code.value(2)).filter(|ch| !ch.is_control()),
        mods: modifiers(mods.value(0)),
        press: press(mods),
    })
}

fn mouse(body: &[u8], last: u8) -> Event<'static> {
    let mut numbers = body.split(|byte| *byte == b';').map(|digits| {
        let digits = std::str::from_utf8(digits).ok()?;
        digits.parse::<u16>().ok()
    });
    let mut next = || numbers.next().flatten();
    match (next(), next(), next(), last) {
        (Some(button), Some(x @ 1..), Some(y @ 1..), b'M' | b'm') => Event::Mouse(Mouse {
            button,
            x: x - 1,
            y: y - 1,
            release: last == b'm',
        }),
        _ => Event::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        let mut tokenizer = Tokenizer::new();
        tokenizer.feed(bytes, |event, _| all.push(format!("{event:?}")));
        tokenizer.timeout(|event, _| all.push(format!("{event:?}")));
        all
    }

    /// The one key that `bytes` are.
    #[track_caller]
    fn key(bytes: &[u8]) -> Key {
        let mut keys = Vec::new();
        let mut tokenizer = Tokenizer::new();
        let mut take = |event: Event<'_>, _: &[u8]| match event {
            Event::Key(key) => keys.push(key),
            other => panic!("{bytes:?} is {other:?}"),
        };
        tokenizer.feed(bytes, &mut take);
        tokenizer.timeout(take);
        assert_eq!(keys.len(), 1, "{bytes:?}: {keys:?}");
        keys[0]
    }

    #[test]
    fn keys_are_known_in_every_encoding() {
        use KeyCode::*;
        let ctrl = |code| Key::with(code, Mods::CTRL);
        let alt = |code| Key::with(code, Mods::ALT);
        let shift = |code| Key::with(code, Mods::SHIFT);
        for (bytes, expected) in [
            (&b"\r"[..], Key::plain(Enter)),
            (b"\t", Key::plain(Tab)),
            (b"\x7f", Key::plain(Backspace)),
            (b"\x1b", Key::plain(Esc)),
            (b"\x01", ctrl(Char('a'))),
            (b"\0", ctrl(Char(' '))),
            (b"\x1d", ctrl(Char(']'))),
            (b"\x1bx", alt(Char('x'))),
            (b"\x1b[", alt(Char('['))),
            (b"\x1b]", alt(Char(']'))),
            (b"\x1bX", Key::with(Char('x'), Mods::ALT.with(Mods::SHIFT))),
            (b"\x1b[A", Key::plain(Up)),
            (b"\x1bOA", Key::plain(Up)),
            (b"\x1b[1;2B", shift(Down)),
            (b"\x1b[1;5C", ctrl(Right)),
            (b"\x1b[d", shift(Left)),
            (b"\x1bOP", Key::plain(F(1))),
            (b"\x1b[11~", Key::plain(F(1))),
            (b"\x1b[[A", Key::plain(F(1))),
            (b"\x1bO2P", shift(F(1))),
            (b"\x1b[1;2S", shift(F(4))),
            (b"\x1b[15~", Key::plain(F(5))),
            (b"\x1b[24~", Key::plain(F(12))),
            (b"\x1b[34~", Key::plain(F(20))),
            (b"\x1b[5;2~", shift(PageUp)),
            (b"\x1b[6^", ctrl(PageDown)),
            (b"\x1b[3@", Key::with(Delete, Mods::CTRL.with(Mods::SHIFT))),
            (b"\x1b[Z", shift(Tab)),
            (b"\x1b[97u", Key::plain(Char('a'))),
            (b"\x1b[97;5u", ctrl(Char('a'))),
            (b"\x1b[97;197u", ctrl(Char('a'))),
            (
                b"\x1b[97:65:97;2;65u",
                Key {
                    base: Some('a'),
                    ..shift(Char('a'))
                },
            ),
            (b"\x1b[27u", Key::plain(Esc)),
            (b"\x1b[13;2u", shift(Enter)),
            (b"\x1b[57441;2u", shift(Modifier)),
            (b"\x1b[57400u", Key::plain(Char('1'))),
            (b"\x1b[27;5;93~", ctrl(Char(']'))),
            (
                b"\x1b[97;1:3u",
                Key {
                    press: Press::Up,
                    ..Key::plain(Char('a'))
                },
            ),
            (
                b"\x1b[1;1:2A",
                Key {
                    press: Press::Repeat,
                    ..Key::plain(Up)
                },
            ),
        ] {
            assert_eq!(key(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_begins_like_an_answer_and_is_none_is_keys() {
        assert_eq!(events(b"\x1b]x").len(), 2);
        assert_eq!(
            events(b"\x1bPq"),
            [format!("{:?}", Event::Key(alt(b'P'))), "Text([113])".into()]
        );
        assert_eq!(events(b"\x1b\x1b[A").len(), 2, "ESC, then up");
        assert_eq!(
            events(b"\x1b[9\x03").len(),
            2,
            "Ctrl-C is never lost in a sequence"
        );
    }

    #[test]
    fn an_answer_that_breaks_off_does_not_swallow_the_keyboard() {
        assert_eq!(
            events(b"\x1b]11;rgb:\rls"),
            [
                "Reply",
                "Reply",
                &format!("{:?}", Event::Key(Key::plain(KeyCode::Enter))),
                "Text([108, 115])"
            ]
        );
        let mut endless = b"\x1b]52;".to_vec();
        endless.extend([b'x'; MAX_REPLY + 10]);
        assert!(events(&endless).last().unwrap().starts_with("Text"));
    }

    #[test]
    fn a_paste_ends_only_at_its_end() {
        assert_eq!(
            events(b"\x1b[200~a\x1b[20\x1b[201~b"),
            [
                "PasteStart",
                "Paste([97])",
                "Paste([27, 91, 50, 48])",
                "PasteEnd",
                "Text([98])"
            ]
        );
        let mut tokenizer = Tokenizer::new();
        let mut all = Vec::new();
        tokenizer.feed(b"\x1b[200~x\x1b[2", |event, _| {
            all.push(format!("{event:?}"))
        });
        tokenizer.timeout(|_, _| panic!("the end may still come"));
        tokenizer.feed(b"01~", |event, _| all.push(format!("{event:?}")));
        assert_eq!(all, ["PasteStart", "Paste([120])", "PasteEnd"]);
    }

    #[test]
    fn the_mouse_is_read_in_its_sgr_encoding_only() {
        let mouse = Mouse {
            button: 64,
            x: 0,
            y: 9,
            release: false,
        };
        assert_eq!(
            events(b"\x1b[<64;1;10M"),
            [format!("{:?}", Event::Mouse(mouse))]
        );
        assert_eq!(mouse.wheel(), Some(-1));
        for other in [
            &b"\x1b[M !!"[..],
            b"\x1b[<0;0;1M",
            b"\x1b[<1;1M",
            b"\x1b[<99999;1;1M",
            b"\x1b[32;1;1M",
        ] {
            assert_eq!(events(other), ["Unknown"], "{other:?}");
        }
    }

    /// Bytes that look like what terminals send.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..6),
            proptest::sample::select(vec![
                &b"\x1b["[..],
                b"\x1b]",
                b"\x1bP",
                b"\x1b\\",
                b"\x1b[200~",
                b"\x1b[201~",
                b"\x1b[<",
                b"\x1b[M",
                b"93;5u",
                b"1;2",
                b"~",
                b"\x1b",
            ])
            .prop_map(<[u8]>::to_vec),
        ];
        proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_event_in_order_however_it_is_cut(
            bytes in input(),
            cuts in proptest::collection::vec(1usize..8, 1..10),
        ) {
            let mut whole = Vec::new();
            let mut tokenizer = Tokenizer::new();
            let mut kinds = Vec::new();
            tokenizer.feed(&bytes, |event, raw| {
                whole.extend_from_slice(raw);
                if let Event::Key(_) | Event::Mouse(_) | Event::Focus(_) = event {
                    kinds.push(format!("{event:?}"));
                }
            });
            whole.extend_from_slice(tokenizer.held());
            prop_assert_eq!(&whole, &bytes);
            prop_assert!(tokenizer.held().len() <= MAX_SEQUENCE);

            let (mut parts, mut part_kinds) = (Vec::new(), Vec::new());
            let mut tokenizer = Tokenizer::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                tokenizer.feed(now, |event, raw| {
                    parts.extend_from_slice(raw);
                    if let Event::Key(_) | Event::Mouse(_) | Event::Focus(_) = event {
                        part_kinds.push(format!("{event:?}"));
                    }
                });
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            parts.extend_from_slice(tokenizer.held());
            prop_assert_eq!(parts, bytes);
            prop_assert_eq!(part_kinds, kinds);
        }
    }
}
