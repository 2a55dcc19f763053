//! A screen as escape sequences: for a terminal that shall show it, and for a cast.
//!
//! Written so that terminals of other makes end up in the same state (checked cell by cell against
//! xterm.js and, in text, against tmux: `tests/roundtrip.rs`). What a screen does not hold cannot be
//! restored: the primary screen under an alternate one, tab stops, the saved cursor.
//!
//! Two kinds of receiver: a terminal of which nothing is left ([`emit_full`], then [`emit_diff`]),
//! and the terminal a program is running in, which must not notice ([`emit_rows`]).
//!
//! A viewer's own terminal is given nothing of this but [`Pen`] and [`emit_modes`]: titles, palettes
//! and resets are not for a host to decide.

use std::{collections::BTreeMap, io::Write as _, sync::Arc};

use crate::{
    cell::{Attrs, Cell, Color, Row, Style, Width, Wrap},
    damage::{RowSet, Scroll},
    diff::{Hashed, ScrollFinder, next_span, row_hash},
    history::Line,
    place::{Spot, joined, place},
    screen::{Cursor, CursorShape, Modes, Screen},
    width::is_disputed,
};

/// A pen on a terminal: how it draws at the moment, and the bytes that change that. The default is
/// the state after `CSI m` and an OSC 8 that ends a link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pen {
    style: Style,
    link: Option<Arc<str>>,
}

impl Pen {
    /// Draws in this style and link from here on.
    pub fn set(&mut self, style: &Style, link: Option<&Arc<str>>, out: &mut Vec<u8>) {
        if *style != self.style {
            sgr(&self.style, style, out);
            self.style = *style;
        }
        if link != self.link.as_ref() {
            let target = link.map_or("", |link| link);
            put(out, format_args!("\x1b]8;;{target}\x1b\\"));
            self.link = link.cloned();
        }
    }

    /// Draws in the terminal's own look from here on.
    pub fn reset(&mut self, out: &mut Vec<u8>) {
        self.set(&Style::default(), None, out);
    }

    /// Writes a cell where the cursor is; a spacer is nothing. See [`place`] for what it does to the
    /// cells beside it.
    pub fn cell(&mut self, cell: &Cell, out: &mut Vec<u8>) {
        if cell.width == Width::Spacer {
            return;
        }
        let extra = cell.extra.as_deref();
        self.set(
            &cell.style,
            extra.and_then(|extra| extra.link.as_ref()),
            out,
        );
        out.extend_from_slice(cell.ch.encode_utf8(&mut [0; 4]).as_bytes());
        out.extend_from_slice(cell.marks().as_bytes());
    }
}

/// What the program running in a terminal has set up there and a [`Screen`] does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resume {
    /// How the program draws next.
    pub pen: Style,
    /// The first row of its scroll region, for when it addresses rows from there (DECOM).
    pub region_top: u16,
    /// The row after the last one of its scroll region.
    pub region_end: u16,
    /// Which of G0 to G3 hold DEC's line drawing instead of ASCII.
    pub line_drawing: [bool; 4],
    /// Which of G0 and G1 is in use (SI, SO).
    pub shifted: bool,
}

/// A terminal of `screen.size` that may be in any state shows exactly this screen afterwards, and
/// nothing but `history` in its scrollback.
pub fn emit_full(history: &[Line], screen: &Screen, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x1bc");
    let alternate = screen.modes.contains(Modes::ALTERNATE_SCREEN);
    let mut pen = Pen::default();
    for (line, next) in history
        .iter()
        .zip(history.iter().skip(1).map(Some).chain([None]))
    {
        for run in &line.runs {
            pen.set(&run.style, run.link.as_ref(), out);
            out.extend_from_slice(run.text.as_bytes());
        }
        pen.reset(out);
        // What goes on in the next record does so where the terminal wraps it, if that is where we would.
        let wraps = line.continued && !line.runs.iter().any(|run| run.text.contains(is_disputed));
        if !wraps && (next.is_some() || !alternate) {
            out.extend_from_slice(b"\r\n");
        }
    }
    if alternate {
        out.extend_from_slice(b"\x1b[?1049h\x1b[m\x1b(B");
        for (row, y) in screen.rows.iter().zip(0..) {
            if row.cells.iter().any(|cell| *cell != Cell::default()) {
                go(0, y, out);
                emit_cells(&mut pen, row, 0, content(row), out);
            }
        }
    } else {
        emit_flow(&mut pen, &screen.rows, out);
    }
    pen.reset(out);
    if screen.title.is_empty() {
        // A reset leaves the title alone.
        out.extend_from_slice(b"\x1b]2;\x1b\\");
    }
    emit_rest(&Screen::blank(screen.size), screen, true, out);
}

/// A terminal that shows `old` shows `new` afterwards. Where the size or the kind of screen differs
/// it is drawn again; resizing the terminal is up to the caller. Which rows are wrapped is lost where
/// they are drawn again.
pub fn emit_diff(old: &Screen, new: &Screen, out: &mut Vec<u8>) {
    let kind = Modes::ALTERNATE_SCREEN;
    if old.size != new.size || old.modes.contains(kind) != new.modes.contains(kind) {
        emit_full(&[], new, out);
        // Not every terminal's reset brings its palette back.
        for index in old
            .palette
            .keys()
            .filter(|index| !new.palette.contains_key(index))
        {
            reset_color(*index, out);
        }
        ring(old, new, out);
        return;
    }
    let mut shown = old.rows.clone();
    let start = out.len();
    let mut pen = Pen::default();
    emit_scrolls(&mut shown, new, out);
    for (y, (shown, new)) in (0..).zip(shown.iter().zip(&new.rows)) {
        let mut x = 0;
        while let Some((from, to)) = next_span(&shown.cells, &new.cells, x) {
            let (from, to) = joined(&shown.cells, &new.cells, from, to);
            go(from as u16, y, out);
            emit_cells(&mut pen, new, from, to, out);
            x = to;
        }
    }
    pen.reset(out);
    let drawn = out.len() > start;
    if drawn {
        let neutral = neutralize(old.modes);
        out.splice(start..start, neutral.iter().copied());
    }
    emit_rest(old, new, drawn, out);
    ring(old, new, out);
}

/// Brings a program's terminal into a known state to draw on it: no origin mode, insert mode, line feed
/// mode; a plain pen, ASCII. No wrapping either, so that nothing drawn can move what is below it.
pub const NEUTRAL: &[u8] = b"\x1b[?6l\x1b[4l\x1b[20l\x1b[?7l\x1b[m\x0f\x1b(B";

/// Draws rows of `screen` again on the terminal the program runs in, after something was drawn over
/// them, and leaves everything else as the program believes it to be: see [`emit_resume`].
pub fn emit_rows(
    screen: &Screen,
    rows: &RowSet,
    resume: &Resume,
    cursor: Option<(u16, u16)>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(NEUTRAL);
    let mut pen = Pen::default();
    for y in rows.iter() {
        if let Some(row) = screen.rows.get(usize::from(y)) {
            go(0, y, out);
            emit_cells(&mut pen, row, 0, row.cells.len(), out);
        }
    }
    pen.reset(out);
    // Where the row is as we draw it, so is the cursor in it.
    let cursor = cursor.filter(|_| !rows.contains(screen.cursor.y));
    emit_resume(screen, resume, cursor, out);
}

/// Leaves the terminal that the program runs in, which is [`NEUTRAL`] and at ground state and shows
/// `screen`, as the program believes it to be. The cursor is put where `screen` has it or, where that is
/// known, where the terminal had it: `cursor`, column and row from 0.
pub fn emit_resume(
    screen: &Screen,
    resume: &Resume,
    cursor: Option<(u16, u16)>,
    out: &mut Vec<u8>,
) {
    let late = |mode| screen.modes.contains(mode);
    if late(Modes::ORIGIN) {
        out.extend_from_slice(b"\x1b[?6h");
    }
    let top = if late(Modes::ORIGIN) {
        resume.region_top
    } else {
        0
    };
    let mut pen = Pen::default();
    // Only where wrapping is on can a character leave the cursor behind the last column.
    out.extend_from_slice(b"\x1b[?7h");
    match cursor {
        Some((x, y)) if (x, y) != (screen.cursor.x, screen.cursor.y) => {
            go(x, y.saturating_sub(top), out);
        }
        _ => emit_cursor_place(&mut pen, screen, top, out),
    }
    if late(Modes::LINEFEED_NEWLINE) {
        out.extend_from_slice(b"\x1b[20h");
    }
    if late(Modes::INSERT) {
        out.extend_from_slice(b"\x1b[4h");
    }
    if !late(Modes::AUTOWRAP) {
        out.extend_from_slice(b"\x1b[?7l");
    }
    pen.set(&resume.pen, None, out);
    if resume.line_drawing.first() == Some(&true) {
        out.extend_from_slice(b"\x1b(0");
    }
    if resume.shifted {
        out.push(0x0e);
    }
}

/// A program goes on in another terminal, of `screen.size` and in the state its shell left it in: it shows
/// exactly this screen afterwards and is as the program believes it to be; what it showed before is in its
/// scrollback.
pub fn emit_moved(screen: &Screen, resume: &Resume, out: &mut Vec<u8>) {
    out.push(b'\r');
    out.resize(out.len() + usize::from(screen.size.rows()), b'\n');
    emit_onto_plain(screen, resume, out);
    if !screen.title.is_empty() {
        emit_title(screen, out);
    }
}

/// A program comes in place of another one on the terminal that both are shown on, which is in the state that a
/// shell leaves it in but for what stands on it and for the colours of `palette`: it shows exactly this screen
/// afterwards and is as the program believes it to be, and its scrollback is what it was.
pub fn emit_switched(
    palette: &BTreeMap<u16, [u8; 3]>,
    screen: &Screen,
    resume: &Resume,
    out: &mut Vec<u8>,
) {
    emit_palette(palette, &BTreeMap::new(), out);
    if screen.modes.contains(Modes::ALTERNATE_SCREEN) {
        // What the other one wrote must not be there when the program goes back.
        out.extend_from_slice(NEUTRAL);
        out.extend_from_slice(b"\x1b[H\x1b[2J");
    }
    emit_onto_plain(screen, resume, out);
    emit_title(screen, out);
}

fn emit_title(screen: &Screen, out: &mut Vec<u8>) {
    put(out, format_args!("\x1b]2;{}\x1b\\", screen.title));
}

/// Shows a screen on a terminal in the state that a shell leaves it in.
fn emit_onto_plain(screen: &Screen, resume: &Resume, out: &mut Vec<u8>) {
    let before = Screen::blank(screen.size);
    if screen.modes.contains(Modes::ALTERNATE_SCREEN) {
        out.extend_from_slice(b"\x1b[?1049h");
    }
    out.extend_from_slice(NEUTRAL);
    out.extend_from_slice(b"\x1b[H\x1b[2J");
    let mut pen = Pen::default();
    for (row, y) in screen.rows.iter().zip(0..) {
        if row.cells.iter().any(|cell| *cell != Cell::default()) {
            go(0, y, out);
            emit_cells(&mut pen, row, 0, content(row), out);
        }
    }
    pen.reset(out);
    emit_palette(&before.palette, &screen.palette, out);
    let look = |cursor: &Cursor| (cursor.shape, cursor.blink);
    if look(&before.cursor) != look(&screen.cursor) {
        emit_cursor_look(&screen.cursor, out);
    }
    let flags = kitty_flags(screen.modes);
    if flags != 0 {
        // On a level of its own, so that the program's leaving it leaves the shell's.
        put(out, format_args!("\x1b[>{flags}u"));
    }
    emit_modes(before.modes, screen.modes, out);
    if (resume.region_top, resume.region_end) != (0, screen.size.rows()) {
        let (top, end) = (resume.region_top + 1, resume.region_end);
        put(out, format_args!("\x1b[{top};{end}r"));
    }
    emit_resume(screen, resume, None, out);
    if !screen.cursor.visible {
        out.extend_from_slice(b"\x1b[?25l");
    }
}

/// The terminal that the program runs in is given back while the program goes on elsewhere: its colours are its
/// own again, and the cursor is below what it shows.
pub fn emit_left(screen: &Screen, out: &mut Vec<u8>) {
    out.extend_from_slice(NEUTRAL);
    out.extend_from_slice(b"\x1b[r");
    emit_palette(&screen.palette, &BTreeMap::new(), out);
    if !screen.modes.contains(Modes::ALTERNATE_SCREEN) {
        let shown = |row: &Row| row.cells.iter().any(|cell| *cell != Cell::default());
        let last = screen.rows.iter().rposition(shown).unwrap_or(0) as u16;
        go(0, last.max(screen.cursor.y), out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\x1b[?7h");
}

/// Switches from one set of modes to another, those that only concern drawing (alternate screen,
/// DECOM, IRM, DECAWM, LNM) left out.
pub fn emit_modes(from: Modes, to: Modes, out: &mut Vec<u8>) {
    const PRIVATE: [(Modes, u16); 10] = [
        (Modes::APP_CURSOR, 1),
        (Modes::REVERSE_VIDEO, 5),
        (Modes::MOUSE_CLICK, 1000),
        (Modes::MOUSE_DRAG, 1002),
        (Modes::MOUSE_MOTION, 1003),
        (Modes::FOCUS, 1004),
        (Modes::MOUSE_UTF8, 1005),
        (Modes::MOUSE_SGR, 1006),
        (Modes::ALTERNATE_SCROLL, 1007),
        (Modes::BRACKETED_PASTE, 2004),
    ];
    // In some terminals switching one kind of mouse report or encoding off switches all off, and the
    // last one switched on counts: off before on, and all of them again when one changes.
    let mouse = Modes::ANY_MOUSE.0 | Modes::MOUSE_SGR.0 | Modes::MOUSE_UTF8.0;
    let again = (from.0 ^ to.0) & mouse != 0;
    for (mode, number) in PRIVATE {
        if from.contains(mode) && !to.contains(mode) {
            put(out, format_args!("\x1b[?{number}l"));
        }
    }
    for (mode, number) in PRIVATE {
        if to.contains(mode) && (!from.contains(mode) || again && mouse & mode.0 != 0) {
            put(out, format_args!("\x1b[?{number}h"));
        }
    }
    if from.contains(Modes::APP_KEYPAD) != to.contains(Modes::APP_KEYPAD) {
        let keypad = to.contains(Modes::APP_KEYPAD);
        out.extend_from_slice(if keypad { b"\x1b=" } else { b"\x1b>" });
    }
    let (old, new) = (kitty_flags(from), kitty_flags(to));
    if old != new {
        put(out, format_args!("\x1b[={new}u"));
    }
}

/// The kitty keyboard protocol's progressive enhancement flags.
fn kitty_flags(modes: Modes) -> u32 {
    (modes.0 / Modes::KITTY_DISAMBIGUATE.0) & 0b1_1111
}

/// Rows one after the other, so that the terminal itself wraps the wrapped ones.
fn emit_flow(pen: &mut Pen, rows: &[Row], out: &mut Vec<u8>) {
    let mut wrapped = false;
    let last = rows.len().saturating_sub(1);
    for (index, row) in rows.iter().enumerate() {
        // On a disputed character a terminal may wrap earlier or later.
        let end = row.last();
        let sure_end =
            end.filter(|(_, cell)| row.wrap != Wrap::Ends && index < last && !cell.is_disputed());
        let goes_on = sure_end.is_some();
        let mut to = if goes_on {
            row.cells.len()
        } else {
            content(row)
        };
        if wrapped {
            // Only a character makes the terminal wrap.
            to = to.max(1);
        }
        emit_cells(pen, row, 0, to, out);
        if let Some((x, cell)) = sure_end
            && row.cells.iter().any(Cell::is_disputed)
        {
            // The last column was not the last thing written.
            put(out, format_args!("\x1b[{}G", x + 1));
            pen.cell(cell, out);
        }
        if !goes_on && index < last {
            pen.reset(out);
            out.extend_from_slice(b"\r\n");
        }
        wrapped = goes_on;
    }
}

/// The cells `from..to` where the cursor is, which is column `from`.
fn emit_cells(pen: &mut Pen, row: &Row, from: usize, to: usize, out: &mut Vec<u8>) {
    let mut spot = Spot::at(from);
    place(&row.cells, from, to, |x, cell| {
        if spot.is_elsewhere(x, cell) {
            put(out, format_args!("\x1b[{}G", x + 1));
        }
        pen.cell(cell, out);
        spot.wrote(x, cell, row.cells.len());
    });
}

/// How many cells to write so that the rest of a blank row is as it should be.
fn content(row: &Row) -> usize {
    let blank = Cell::default();
    row.cells
        .iter()
        .rposition(|cell| *cell != blank)
        .map_or(0, |last| last + 1)
}

/// Moves what moved, in `shown` and on the terminal.
fn emit_scrolls(shown: &mut [Row], new: &Screen, out: &mut Vec<u8>) {
    let blank = row_hash(&Row::blank(new.size.cols()));
    let new_hashes: Vec<u64> = new.rows.iter().map(row_hash).collect();
    let shown_hashes: Vec<u64> = shown.iter().map(row_hash).collect();
    let moved = ScrollFinder::default().find(
        Hashed {
            rows: shown,
            hashes: &shown_hashes,
        },
        Hashed {
            rows: &new.rows,
            hashes: &new_hashes,
        },
        blank,
        None,
    );
    let Some(Scroll { top, bottom, lines }) = moved else {
        return;
    };
    let (count, direction) = (lines.unsigned_abs(), if lines > 0 { 'S' } else { 'T' });
    put(
        out,
        format_args!("\x1b[{};{bottom}r\x1b[{count}{direction}\x1b[r", top + 1),
    );
    crate::apply::move_rows(shown, top, bottom, count, lines > 0);
}

/// Everything but the rows. `drawn`: the cursor may be anywhere, and the modes that concern drawing
/// are as [`neutralize`] leaves them.
fn emit_rest(old: &Screen, new: &Screen, drawn: bool, out: &mut Vec<u8>) {
    emit_palette(&old.palette, &new.palette, out);
    if old.title != new.title {
        put(out, format_args!("\x1b]2;{}\x1b\\", new.title));
    }
    emit_modes(old.modes, new.modes, out);
    let before = if drawn { drawing_modes() } else { old.modes };
    let switch = |mode: Modes, number: &str, out: &mut Vec<u8>| {
        if before.contains(mode) != new.modes.contains(mode) {
            let end = if new.modes.contains(mode) { 'h' } else { 'l' };
            put(out, format_args!("\x1b[{number}{end}"));
        }
        before.contains(mode) != new.modes.contains(mode)
    };
    let look = |cursor: &Cursor| (cursor.shape, cursor.blink);
    if look(&old.cursor) != look(&new.cursor) {
        emit_cursor_look(&new.cursor, out);
    }
    // Switching DECOM sends the cursor home.
    let homed = switch(Modes::ORIGIN, "?6", out);
    let place = |cursor: &Cursor| (cursor.x, cursor.y, cursor.wrap_pending);
    if drawn || homed || place(&old.cursor) != place(&new.cursor) {
        let inserting = !drawn && before.contains(Modes::INSERT);
        if inserting && new.cursor.wrap_pending {
            out.extend_from_slice(b"\x1b[4l");
        }
        emit_cursor_place(&mut Pen::default(), new, 0, out);
        if inserting && new.cursor.wrap_pending && new.modes.contains(Modes::INSERT) {
            out.extend_from_slice(b"\x1b[4h");
        }
    }
    switch(Modes::LINEFEED_NEWLINE, "20", out);
    switch(Modes::INSERT, "4", out);
    switch(Modes::AUTOWRAP, "?7", out);
    if old.cursor.visible != new.cursor.visible {
        out.extend_from_slice(if new.cursor.visible {
            b"\x1b[?25h"
        } else {
            b"\x1b[?25l"
        });
    }
}

/// The modes drawing is done in.
fn drawing_modes() -> Modes {
    Modes::AUTOWRAP
}

/// Brings a terminal in `modes` into those drawing is done in.
fn neutralize(modes: Modes) -> &'static [u8] {
    let special = modes.intersects(
        Modes::ORIGIN
            .union(Modes::INSERT)
            .union(Modes::LINEFEED_NEWLINE),
    );
    match (special, modes.contains(Modes::AUTOWRAP)) {
        (false, true) => b"",
        _ => b"\x1b[?6l\x1b[4l\x1b[20l\x1b[?7h",
    }
}

fn emit_cursor_place(pen: &mut Pen, screen: &Screen, top: u16, out: &mut Vec<u8>) {
    let Cursor {
        x, y, wrap_pending, ..
    } = screen.cursor;
    let row = screen.rows.get(usize::from(y));
    let last = row
        .and_then(Row::last)
        .filter(|(_, cell)| !cell.is_disputed());
    let y = y.saturating_sub(top);
    match last {
        // Only writing the last cell leaves the cursor beyond it.
        Some((last, cell)) if wrap_pending && x + 1 == screen.size.cols() => {
            go(last as u16, y, out);
            pen.cell(cell, out);
            pen.reset(out);
        }
        _ => go(x, y, out),
    }
}

/// DECSCUSR.
fn emit_cursor_look(cursor: &Cursor, out: &mut Vec<u8>) {
    let shape = match cursor.shape {
        CursorShape::Block => 1,
        CursorShape::Underline => 3,
        CursorShape::Bar => 5,
    };
    put(
        out,
        format_args!("\x1b[{} q", shape + u8::from(!cursor.blink)),
    );
}

fn emit_palette(old: &BTreeMap<u16, [u8; 3]>, new: &BTreeMap<u16, [u8; 3]>, out: &mut Vec<u8>) {
    for index in old.keys().filter(|index| !new.contains_key(index)) {
        reset_color(*index, out);
    }
    for (&index, rgb) in new
        .iter()
        .filter(|(index, rgb)| old.get(index) != Some(rgb))
    {
        let [r, g, b] = rgb;
        match index {
            0..256 => put(
                out,
                format_args!("\x1b]4;{index};rgb:{r:02x}/{g:02x}/{b:02x}\x1b\\"),
            ),
            // 256 is the foreground's, OSC 10, and so on.
            256..259 => {
                let number = index - 246;
                put(
                    out,
                    format_args!("\x1b]{number};rgb:{r:02x}/{g:02x}/{b:02x}\x1b\\"),
                );
            }
            _ => {}
        }
    }
}

fn reset_color(index: u16, out: &mut Vec<u8>) {
    match index {
        0..256 => put(out, format_args!("\x1b]104;{index}\x1b\\")),
        256..259 => put(out, format_args!("\x1b]{}\x1b\\", index - 146)),
        _ => {}
    }
}

fn ring(old: &Screen, new: &Screen, out: &mut Vec<u8>) {
    if new.bells > old.bells {
        out.push(0x07);
    }
}

fn go(x: u16, y: u16, out: &mut Vec<u8>) {
    put(out, format_args!("\x1b[{};{}H", y + 1, x + 1));
}

/// SGR from one style to another: only what is new, or all of it when an attribute ends.
fn sgr(old: &Style, new: &Style, out: &mut Vec<u8>) {
    const ATTRS: [(Attrs, &str); 13] = [
        (Attrs::BOLD, "1"),
        (Attrs::DIM, "2"),
        (Attrs::ITALIC, "3"),
        (Attrs::UNDERLINE, "4"),
        (Attrs::DOUBLE_UNDERLINE, "4:2"),
        (Attrs::CURLY_UNDERLINE, "4:3"),
        (Attrs::DOTTED_UNDERLINE, "4:4"),
        (Attrs::DASHED_UNDERLINE, "4:5"),
        (Attrs::BLINK, "5"),
        (Attrs::INVERSE, "7"),
        (Attrs::HIDDEN, "8"),
        (Attrs::STRIKE, "9"),
        (Attrs::OVERLINE, "53"),
    ];
    if *new == Style::default() {
        out.extend_from_slice(b"\x1b[m");
        return;
    }
    let from = if new.attrs.contains(old.attrs) {
        *old
    } else {
        Style::default()
    };
    out.extend_from_slice(b"\x1b[");
    if from != *old {
        out.extend_from_slice(b"0;");
    }
    for (attr, number) in ATTRS {
        if new.attrs.contains(attr) && !from.attrs.contains(attr) {
            put(out, format_args!("{number};"));
        }
    }
    if new.fg != from.fg {
        color(new.fg, 30, out);
    }
    if new.bg != from.bg {
        color(new.bg, 40, out);
    }
    if new.underline != from.underline {
        match new.underline {
            Color::Default => out.extend_from_slice(b"59;"),
            Color::Indexed(index) => put(out, format_args!("58:5:{index};")),
            Color::Rgb(r, g, b) => put(out, format_args!("58:2::{r}:{g}:{b};")),
        }
    }
    // The last separator becomes the end.
    if let Some(last) = out.last_mut() {
        *last = b'm';
    }
}

/// A colour's SGR parameters; `base` is 30 or 40.
fn color(color: Color, base: u8, out: &mut Vec<u8>) {
    match color {
        Color::Default => put(out, format_args!("{};", base + 9)),
        Color::Indexed(index @ 0..8) => put(out, format_args!("{};", base + index)),
        Color::Indexed(index @ 8..16) => put(out, format_args!("{};", base + 52 + index)),
        Color::Indexed(index) => put(out, format_args!("{};5;{index};", base + 8)),
        Color::Rgb(r, g, b) => put(out, format_args!("{};2;{r};{g};{b};", base + 8)),
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec does not fail.
    let _ = out.write_fmt(text);
}
