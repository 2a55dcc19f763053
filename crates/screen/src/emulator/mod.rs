//! The terminal emulator on the host's side.
//!
//! ```text
//! bytes ── scanner ──┬─ escape sequences, other text ── vte ── Guard ── alacritty_terminal
//!                    └─ plain text ────────────────────────────┘ │           │ grid
//!                                                    history ── Lines ── rows that leave
//! ```
//!
//! Everything a program can write is taken: what would take too much is bounded, and should the
//! emulator panic it is replaced by a blank one; the session goes on.

mod cells;
mod edits;
mod guard;
mod keyboard;
mod lines;
mod plain_text;
mod replies;
mod resume;
mod scanner;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use alacritty_terminal::{index::Line as GridLine, term::TermMode};
use memchr::memchr;
use vte::ansi::{CursorShape as VteCursorShape, Handler, Processor, Timeout};

use self::{
    guard::Guard,
    lines::Lines,
    scanner::{Scanned, Scanner},
};
use crate::{
    clean::REPLACEMENT,
    damage::Damage,
    history::HistoryChunk,
    screen::{Cursor, CursorShape, LineId, LineSpan, Modes, Screen, Size},
};

/// Shown on the blank screen after the emulator had to be replaced.
const NOTICE: &[u8] =
    b"[pillion: this output broke the terminal emulator; the screen was cleared, the program runs on]\r\n";

/// A test's way to make the emulator panic.
#[cfg(test)]
const PANIC_CHAR: char = '\u{f8ff}';

/// Plain text shorter than this is not worth leaving the parser for.
const MIN_PLAIN: usize = 4;

/// A terminal: takes a program's output, any bytes at all, and holds what is on the screen.
///
/// The result does not depend on how the output is cut into pieces, but larger pieces cost less:
/// under load, feed all that is queued.
pub struct Terminal {
    guard: Guard,
    parser: Processor<NoClock>,
    scanner: Scanner,
    /// The beginning of a UTF-8 character whose rest has not come.
    partial: Vec<u8>,
    /// Whether plain text may bypass the parser; only a test says no.
    shortcuts: bool,
    failures: u32,
}

impl Terminal {
    /// A blank terminal.
    pub fn new(size: Size) -> Terminal {
        Terminal {
            guard: Guard::new(size, Lines::new()),
            parser: Processor::new(),
            scanner: Scanner::default(),
            partial: Vec::new(),
            shortcuts: true,
            failures: 0,
        }
    }

    /// A terminal that takes every byte the long way.
    #[cfg(test)]
    fn without_shortcuts(size: Size) -> Terminal {
        Terminal {
            shortcuts: false,
            ..Terminal::new(size)
        }
    }

    /// Takes the program's output. Never panics. Lines that become final gather until
    /// [`Terminal::take_history`].
    pub fn feed(&mut self, bytes: &[u8]) {
        self.guard.damage.rest |= !bytes.is_empty();
        let mut at = 0;
        loop {
            let whole = catch_unwind(AssertUnwindSafe(|| self.advance(bytes, &mut at)));
            match whole {
                Ok(()) => break,
                Err(_) => self.replace(),
            }
        }
    }

    /// Changes the size; lines are wrapped again.
    pub fn resize(&mut self, size: Size) {
        if size == self.guard.size {
            return;
        }
        let whole = catch_unwind(AssertUnwindSafe(|| self.guard.resize(size)));
        if whole.is_err() {
            self.replace();
        }
    }

    /// The current size.
    pub fn size(&self) -> Size {
        self.guard.size
    }

    /// How often output has broken the emulator, which was then replaced by a blank one: never, as
    /// far as we know.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Answers to the program's queries since the last call; empty, and not allocated, mostly.
    /// At most 16 KiB; a program that asks for more without reading gets no more.
    pub fn take_replies(&mut self) -> Vec<u8> {
        self.guard.replies.take()
    }

    /// Lines that became final since the last call, about 64 KiB of them at most: call until
    /// `None`, after every [`Terminal::feed`] of much output.
    pub fn take_history(&mut self) -> Option<HistoryChunk> {
        self.guard.lines.take()
    }

    /// The lines that have left the screen and may still change, from `from` on (or from the first
    /// of them), at most `max`; possibly fewer than there are, then ask again. When the line
    /// [`Terminal::top_line`] began above the screen, that beginning is the last, and marked as
    /// continued.
    pub fn margin(&self, from: LineId, max: u32) -> HistoryChunk {
        self.guard.lines.margin(self.guard.term.grid(), from, max)
    }

    /// Makes `line`, but at most [`Terminal::top_line`], the first that viewers may read. It never
    /// goes back. Lines before it become final, so that no resize brings them back to the screen.
    pub fn hide_before(&mut self, line: LineId) {
        self.guard.damage.rest = true;
        self.guard.hide_before(line);
    }

    /// Where the screen is in the lines. While the alternate screen is shown, the primary screen.
    pub fn span(&self) -> LineSpan {
        self.guard.lines.span()
    }

    /// The line the screen's first row belongs to. While the alternate screen is shown, the primary
    /// screen's.
    pub fn top_line(&self) -> LineId {
        self.guard.lines.span().top
    }

    /// Whether the alternate screen is shown.
    pub fn is_alternate(&self) -> bool {
        self.guard.mode(TermMode::ALT_SCREEN)
    }

    /// Whether the output so far ends between characters and escape sequences and outside a
    /// synchronized update: something may be drawn over the screen.
    pub fn at_ground(&self) -> bool {
        self.between_sequences() && !self.guard.sync
    }

    /// Whether the output so far ends between characters and escape sequences, be it inside a
    /// synchronized update: what draws nothing (a title, a bell) may be sent.
    pub fn between_sequences(&self) -> bool {
        self.scanner.at_ground() && self.partial.is_empty()
    }

    /// Whether the cursor may be elsewhere on another terminal, because something was written since the
    /// terminal was reset that is wider or narrower there.
    pub fn cursor_is_unsure(&self) -> bool {
        self.guard.unsure
    }

    /// How often the program has asked where the cursor is (DSR 6).
    pub fn cursor_queries(&self) -> u64 {
        self.guard.cursor_queries
    }

    /// How often the program has set its terminal's title, the same one again included.
    pub fn title_sets(&self) -> u64 {
        self.guard.title_sets
    }

    /// Whether the program is in a synchronized update (mode 2026): it asks for no frame before its
    /// end. How long to wait is the caller's to decide, usually 150 ms.
    pub fn in_sync_update(&self) -> bool {
        self.guard.sync
    }

    /// Whether anything a frame carries may have changed since [`Terminal::take_damage`].
    pub fn dirty(&self) -> bool {
        !self.guard.damage.is_empty()
    }

    /// What changed since the last call; the encoder calls it once per frame.
    pub fn take_damage(&mut self) -> Damage {
        self.guard.take_damage()
    }

    /// Writes the current state into `into`, reusing its memory.
    pub fn capture(&self, into: &mut Screen) {
        self.capture_damaged(into, &Damage::all(self.guard.size));
    }

    /// Writes the current state into `into`, but of the rows only those in `damage`: `into` must
    /// hold the state as it was at the [`Terminal::take_damage`] before the one that gave `damage`.
    pub fn capture_damaged(&self, into: &mut Screen, damage: &Damage) {
        let guard = &self.guard;
        let grid = guard.term.grid();
        into.size = guard.size;
        into.rows
            .resize_with(usize::from(guard.size.rows()), Default::default);
        for y in damage.rows.iter() {
            if let Some(row) = into.rows.get_mut(usize::from(y)) {
                let line = &grid[GridLine(i32::from(y))];
                cells::capture_row(line, guard.size.cols(), row);
            }
        }
        into.cursor = self.cursor();
        into.modes = self.modes();
        into.lines = guard.lines.span();
        into.bells = guard.bells;
        if into.title != guard.title {
            into.title.clone_from(&guard.title);
        }
        if into.palette != guard.palette {
            into.palette.clone_from(&guard.palette);
        }
    }

    fn cursor(&self) -> Cursor {
        let cursor = self.guard.cursor();
        let style = self.guard.term.cursor_style();
        let last = self.guard.size.cols() - 1;
        let x = u16::try_from(cursor.point.column.0).map_or(last, |x| x.min(last));
        Cursor {
            x,
            y: self.guard.y(),
            visible: self.guard.mode(TermMode::SHOW_CURSOR),
            shape: match style.shape {
                VteCursorShape::Underline => CursorShape::Underline,
                VteCursorShape::Beam => CursorShape::Bar,
                _ => CursorShape::Block,
            },
            blink: style.blinking,
            wrap_pending: cursor.input_needs_wrap && x == last,
        }
    }

    fn modes(&self) -> Modes {
        const PAIRS: [(TermMode, Modes); 14] = [
            (TermMode::APP_CURSOR, Modes::APP_CURSOR),
            (TermMode::APP_KEYPAD, Modes::APP_KEYPAD),
            (TermMode::BRACKETED_PASTE, Modes::BRACKETED_PASTE),
            (TermMode::MOUSE_REPORT_CLICK, Modes::MOUSE_CLICK),
            (TermMode::MOUSE_DRAG, Modes::MOUSE_DRAG),
            (TermMode::MOUSE_MOTION, Modes::MOUSE_MOTION),
            (TermMode::SGR_MOUSE, Modes::MOUSE_SGR),
            (TermMode::UTF8_MOUSE, Modes::MOUSE_UTF8),
            (TermMode::FOCUS_IN_OUT, Modes::FOCUS),
            (TermMode::ALTERNATE_SCROLL, Modes::ALTERNATE_SCROLL),
            (TermMode::ALT_SCREEN, Modes::ALTERNATE_SCREEN),
            (TermMode::LINE_WRAP, Modes::AUTOWRAP),
            (TermMode::ORIGIN, Modes::ORIGIN),
            (TermMode::LINE_FEED_NEW_LINE, Modes::LINEFEED_NEWLINE),
        ];
        PAIRS
            .iter()
            .filter(|(flag, _)| self.guard.mode(*flag))
            .map(|(_, mode)| *mode)
            .chain(self.guard.insert.then_some(Modes::INSERT))
            .chain(self.guard.reversed.then_some(Modes::REVERSE_VIDEO))
            .fold(self.guard.keyboard.modes(), Modes::union)
    }

    /// Takes `bytes` from `at` on. `at` is ahead of what is being carried out, so that after a
    /// panic the rest can follow.
    fn advance(&mut self, bytes: &[u8], at: &mut usize) {
        while let Some(rest) = bytes.get(*at..).filter(|rest| !rest.is_empty()) {
            if !self.scanner.at_ground() {
                self.sequence(rest, at);
            } else if !self.partial.is_empty() {
                self.complete_character(rest, at);
            } else {
                let len = memchr(0x1b, rest).unwrap_or(rest.len());
                *at += len;
                self.text(rest.get(..len).unwrap_or_default());
                if len < rest.len() {
                    self.end_partial();
                    self.scanner.escape();
                    self.sequence(rest.get(len..).unwrap_or_default(), at);
                }
            }
        }
        self.guard.settle();
    }

    /// Takes the next part of an escape sequence.
    fn sequence(&mut self, rest: &[u8], at: &mut usize) {
        let piece = |len: usize| rest.get(..len).unwrap_or_default();
        let scanned = self.scanner.scan(rest);
        if !matches!(scanned, Scanned::Repeat(..)) && self.scanner.at_ground() {
            self.guard.last_char = None;
        }
        self.guard.in_sequence = true;
        match scanned {
            Scanned::Bytes(len) => {
                *at += len;
                self.parser.advance(&mut self.guard, piece(len));
            }
            Scanned::Excess(len) => *at += len,
            Scanned::Ours(len, ours) => {
                *at += len;
                self.parser.advance(&mut self.guard, piece(len));
                self.guard.carry_out(ours);
            }
            Scanned::Title => {
                *at += 1;
                let title = String::from_utf8_lossy(self.scanner.title()).into_owned();
                self.guard.set_title(Some(title));
                if !self.scanner.at_ground() {
                    self.parser.advance(&mut self.guard, piece(1));
                }
            }
            Scanned::Repeat(len, count) => {
                *at += len;
                self.parser.advance(&mut self.guard, piece(len - 1));
                // CAN ends the sequence in the parser without carrying it out.
                self.parser.advance(&mut self.guard, b"\x18");
                self.guard.repeat(count);
            }
            Scanned::Down(len, count) => {
                *at += len;
                self.parser.advance(&mut self.guard, piece(len - 1));
                self.parser.advance(&mut self.guard, b"\x18");
                self.guard.go_to_row_below(count);
            }
        }
        self.guard.in_sequence = false;
    }

    /// Takes text without ESC. An incomplete character at its end is kept for later: the parser
    /// would treat some differently when they come in parts.
    fn text(&mut self, text: &[u8]) {
        let (text, partial) = text.split_at(complete_len(text));
        let mut rest = text;
        while !rest.is_empty() {
            let may_shortcut = self.shortcuts && self.guard.takes_plain();
            let plain = if may_shortcut {
                plain_text::plain_len(rest)
            } else {
                0
            };
            let len = match plain {
                MIN_PLAIN.. => plain,
                _ if may_shortcut => not_plain_len(rest),
                _ => rest.len(),
            };
            let (now, later) = rest.split_at(len);
            if plain >= MIN_PLAIN {
                self.guard.plain(now);
            } else {
                self.parse_text(now);
            }
            debug_assert!(!now.is_empty(), "every turn takes something");
            rest = later;
        }
        self.partial.extend_from_slice(partial);
    }

    /// Gives the parser text that something else follows: characters cut off there are replaced here,
    /// since the parser would wait for their rest.
    fn parse_text(&mut self, text: &[u8]) {
        let mut end = text.len();
        let mut cut_off = 0;
        loop {
            let whole = complete_len(text.get(..end).unwrap_or_default());
            if whole == end {
                break;
            }
            end = whole;
            cut_off += 1;
        }
        self.parser
            .advance(&mut self.guard, text.get(..end).unwrap_or_default());
        for _ in 0..cut_off {
            self.guard.input(REPLACEMENT);
        }
    }

    /// Takes as much of `rest` as completes the character begun before, or finds that nothing does.
    fn complete_character(&mut self, rest: &[u8], at: &mut usize) {
        let Some(&next) = rest.first() else { return };
        self.partial.push(next);
        match std::str::from_utf8(&self.partial) {
            Ok(_) => {
                *at += 1;
                let whole = std::mem::take(&mut self.partial);
                self.parser.advance(&mut self.guard, &whole);
            }
            Err(error) if error.error_len().is_none() => *at += 1,
            Err(_) => self.end_partial(),
        }
    }

    /// The character begun before is never completed.
    fn end_partial(&mut self) {
        if !self.partial.is_empty() {
            self.partial.clear();
            self.guard.input(REPLACEMENT);
        }
    }

    /// After a panic in the emulator: saves what can be read into history and starts a blank one.
    fn replace(&mut self) {
        self.failures += 1;
        // Whatever state the panic left behind is only read here, and may make this panic too.
        let saved = catch_unwind(AssertUnwindSafe(|| {
            let guard = &mut self.guard;
            guard.lines.abandon();
            if guard.in_alternate() {
                guard.term.swap_alt();
            }
            let rows = usize::from(guard.y()) + 1;
            guard.lines.settle_screen(guard.term.grid(), rows);
        }));
        let mut lines = std::mem::replace(&mut self.guard.lines, Lines::new());
        if saved.is_err() {
            lines.abandon();
        }
        let mut guard = Guard::new(self.guard.size, lines);
        guard.bells = self.guard.bells;
        guard.unsure = true;
        guard.cursor_queries = self.guard.cursor_queries;
        guard.title_sets = self.guard.title_sets;
        guard.replies = std::mem::take(&mut self.guard.replies);
        self.guard = guard;
        self.parser = Processor::new();
        self.scanner = Scanner::default();
        self.partial.clear();
        // A fresh emulator takes plain text; nothing more could be done if it did not.
        let _ = catch_unwind(AssertUnwindSafe(|| self.guard.plain(NOTICE)));
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("size", &self.guard.size)
            .field("cursor", &self.cursor())
            .field("lines", &self.guard.lines.span())
            .finish_non_exhaustive()
    }
}

/// How much of `text` is without the incomplete UTF-8 character at its end, if there is one.
fn complete_len(text: &[u8]) -> usize {
    // A character has at most four bytes, so its lead byte is among the last three.
    let tail = text.len().saturating_sub(3);
    for at in (tail..text.len()).rev() {
        match text.get(at) {
            Some(0x80..=0xbf) => {}
            Some(0xc2..=0xf4) => {
                let rest = text.get(at..).unwrap_or_default();
                return match std::str::from_utf8(rest) {
                    Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => at,
                    _ => text.len(),
                };
            }
            _ => break,
        }
    }
    text.len()
}

/// How many bytes at the start of `rest`, at least one, to give to the parser: up to where a run
/// of plain text worth a shortcut begins.
fn not_plain_len(rest: &[u8]) -> usize {
    let mut plain = 0;
    for (at, &byte) in rest.iter().enumerate().skip(1) {
        plain = if plain_text::is_plain(byte) {
            plain + 1
        } else {
            0
        };
        if plain >= MIN_PLAIN {
            return at + 1 - plain;
        }
    }
    rest.len()
}

/// vte ends synchronized updates by the clock and keeps back what they contain. Here they only set
/// a flag: what a program writes is on the screen at once, and frames wait.
#[derive(Default)]
struct NoClock;

impl Timeout for NoClock {
    fn set_timeout(&mut self, _: Duration) {}

    fn clear_timeout(&mut self) {}

    fn pending_timeout(&self) -> bool {
        false
    }
}
