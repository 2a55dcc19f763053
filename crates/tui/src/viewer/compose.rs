//! Composing what the viewer's terminal should show.

use std::collections::BTreeMap;

use pillion_conversation::Conversation;
use pillion_proto::Right;
use pillion_screen::{Attrs, Cell, Color, Modes, Row, Screen, Style};
use pillion_session::{Now, Phase, View};

use super::{
    STATUS_AFTER_US, STATUS_WITHIN_US, ViewerUi,
    layout::Layout,
    scrollback::Shown,
    status::{self, Piece},
    terminals,
};
use crate::{
    canvas::{Caret, put_text},
    charset, text,
};

/// Rows a sentence may take.
const MESSAGE_ROWS: usize = 4;

const PLAIN: Style = Style {
    fg: Color::Default,
    bg: Color::Default,
    underline: Color::Default,
    attrs: Attrs(0),
};
const DIM: Style = Style {
    attrs: Attrs::DIM,
    ..PLAIN
};
const BAR: Style = Style {
    attrs: Attrs::INVERSE,
    ..PLAIN
};
const BAR_BOLD: Style = Style {
    attrs: Attrs::INVERSE.union(Attrs::BOLD),
    ..PLAIN
};

impl ViewerUi {
    /// Composes what is to be seen and says where the cursor is to be.
    pub(super) fn compose(
        &mut self,
        now: Now,
        view: &View,
        conversation: Option<&Conversation>,
    ) -> Option<Caret> {
        if let Some(conversation) = conversation {
            return self.compose_with_conversation(now, view, conversation);
        }
        let size = self.canvas.size();
        self.layout.bare(self.hides_status(view));
        let (cols, rows) = self.layout.area(size);
        if let Some(screen) = &view.screen {
            self.layout.follow(size, screen.size, &screen.cursor);
        }
        if let Some(scrollback) = &mut self.scrollback {
            scrollback.resize(cols, rows);
        }
        let covered = !self.is_live() || self.message.is_some();
        let plain = view
            .screen
            .as_ref()
            .filter(|screen| !covered && screen.palette.is_empty() && !is_reversed(screen));
        let before = std::mem::replace(&mut self.plain, plain.map(|_| self.layout));
        match plain {
            Some(screen) if before == self.plain && self.canvas.is_known() => {
                self.compose_changed(view, screen);
                let owed = *self.status_owed.get_or_insert(now.mono_us);
                let patient = now.mono_us < owed.saturating_add(STATUS_WITHIN_US);
                if view.version != self.drawn && patient {
                    let soon = now.mono_us.saturating_add(STATUS_AFTER_US);
                    self.status_at = Some(self.status_at.map_or(soon, |at| at.min(soon)));
                } else {
                    self.compose_status(now, view);
                }
            }
            _ => {
                self.compose_all(now, view);
                self.compose_status(now, view);
            }
        }
        let (x, y) = self.caret(view)?;
        let cursor = &view.screen.as_ref()?.cursor;
        Some(Caret {
            x,
            y,
            shape: cursor.shape,
            blink: cursor.blink,
        })
    }

    /// The same where a conversation is shown, which draws its own last row.
    fn compose_with_conversation(
        &mut self,
        now: Now,
        view: &View,
        conversation: &Conversation,
    ) -> Option<Caret> {
        self.plain = None;
        let caret = self.compose_conversation(now, view, conversation);
        let cols = usize::from(self.canvas.size().cols());
        let area = match self.canvas.next.split_last_mut() {
            Some((_, area)) => area,
            None => return caret,
        };
        let room = (cols.saturating_sub(4), area.len().saturating_sub(3));
        let boxed = self.overlay.lines(view, self.config.prefix, room);
        draw_box(&boxed, area);
        if self.message.is_some() {
            self.compose_message(caret.as_ref().map(|caret| usize::from(caret.y)));
        }
        if self.prefixed || view.phase != Phase::Live {
            self.compose_status(now, view);
        }
        caret
    }

    /// The rows of the host's screen that differ from what is shown; nothing else has changed. Between a
    /// frame and the eye, so it only looks at the others.
    fn compose_changed(&mut self, view: &View, screen: &Screen) {
        let layout = self.layout;
        let (_, rows) = self.layout.area(self.canvas.size());
        self.canvas.begin_rows();
        let versions = &view.row_versions;
        let shown = screen.rows.iter().enumerate().skip(usize::from(layout.top));
        for ((at, from), y) in shown.zip(0..layout.rows) {
            if versions
                .get(at)
                .is_some_and(|version| *version <= self.drawn)
            {
                continue;
            }
            let (left, cols) = (usize::from(layout.left), usize::from(layout.cols));
            let cells = from.cells.get(left..left + cols).unwrap_or(&from.cells);
            if self.canvas.shows(y, cells) {
                continue;
            }
            if let Some(row) = self.canvas.begin_row(y) {
                copy(from, layout.left, row);
                border(layout, y, rows, row);
            }
        }
    }

    fn compose_all(&mut self, now: Now, view: &View) {
        let layout = self.layout;
        let (cols, rows) = self.layout.area(self.canvas.size());
        let next = self.canvas.begin();
        let (area, _) = next.split_at_mut(usize::from(rows).min(next.len()));
        match (&view.screen, &self.scrollback) {
            (Some(screen), Some(scrollback)) => scrollback.rows(|y, shown| {
                let Some(row) = area.get_mut(usize::from(y)) else {
                    return;
                };
                match shown {
                    Shown::History(from) => copy(from, layout.left, row),
                    Shown::Screen(from) => copy(from, layout.left, row),
                    Shown::Fetching => {
                        put_text(&mut row.cells, 0, usize::from(cols), "fetching…", DIM);
                    }
                }
                recolour(&screen.palette, row);
                reverse(screen, layout, row);
            }),
            (Some(screen), None) => {
                let shown = screen.rows.iter().skip(usize::from(layout.top));
                for (from, row) in shown.zip(area.iter_mut().take(usize::from(layout.rows))) {
                    copy(from, layout.left, row);
                    recolour(&screen.palette, row);
                    reverse(screen, layout, row);
                }
                for (row, y) in area.iter_mut().zip(0..) {
                    border(layout, y, rows, row);
                }
            }
            (None, _) => waiting(now, view, area),
        }
        let room = (
            usize::from(cols).saturating_sub(4),
            area.len().saturating_sub(3),
        );
        let boxed = self.overlay.lines(view, self.config.prefix, room);
        draw_box(&boxed, area);
        if rows < self.canvas.size().rows() {
            let cursor = self.caret(view).map(|(_, y)| usize::from(y));
            self.compose_message(cursor);
        }
    }

    /// Whether the person wants no status line, and nothing has to be said there now.
    fn hides_status(&self, view: &View) -> bool {
        let said = self.prefixed || self.message.is_some() || !self.is_live();
        self.hidden && !said && view.screen.is_some() && view.phase == Phase::Live
    }

    /// For the first seconds: what one sees, and the two keys that matter. The longest that fits.
    fn introduction(&self, view: &View, cols: usize) -> String {
        let prefix = self.config.prefix;
        let (host, session) = (
            text::name(&view.host_name, 20),
            text::label(&view.session_name, 24),
        );
        let asks = match view.read_only || self.config.read_only {
            true => String::new(),
            false => format!("{prefix} e asks to type, "),
        };
        let also = prefix
            .also()
            .map_or_else(String::new, |also| format!(" ({prefix} is also {also})"));
        let all = [
            format!("view only: {host}’s “{session}”. {asks}{prefix} ? shows all keys{also}"),
            format!("view only: {host}’s “{session}”. {asks}{prefix} ? shows all keys"),
            format!("view only: “{session}”. {asks}{prefix} ? shows all keys"),
            format!("view only. {asks}{prefix} ? all keys"),
            match asks.is_empty() {
                true => format!("view only. {prefix} ? all keys"),
                false => format!("view only. {prefix} e to type, ? keys"),
            },
            format!("view only. {prefix} ?"),
        ];
        let fits = all.iter().find(|text| text::width(text) + 2 <= cols);
        fits.or(all.last()).cloned().unwrap_or_default()
    }

    /// Where the cursor of the host's screen is shown.
    fn caret(&self, view: &View) -> Option<(u16, u16)> {
        let screen = view.screen.as_ref().filter(|_| self.is_live())?;
        let place = self.layout.shown(screen.cursor.x, screen.cursor.y);
        place.filter(|_| screen.cursor.visible)
    }

    /// A sentence over the rows above the status line; where the cursor's row is among those, over the first
    /// rows. It never covers the cursor's row: on a terminal of two rows the status line has it.
    fn compose_message(&mut self, cursor: Option<usize>) {
        let cols = usize::from(self.canvas.size().cols());
        let Some(message) = &self.message else { return };
        let Some((_, area)) = self.canvas.next.split_last_mut() else {
            return;
        };
        let said = charset::spelt(&message.text);
        let all = text::fold(
            &said,
            cols.saturating_sub(2).max(1),
            MESSAGE_ROWS.min(area.len()),
        );
        let (above, below) = match cursor {
            Some(y) => (y, area.len().saturating_sub(y + 1)),
            None => (0, area.len()),
        };
        let room = match below >= all.len().min(above) {
            true => below,
            false => above,
        };
        let lines = match room < all.len() {
            true => text::fold(&said, cols.saturating_sub(2).max(1), room),
            false => all,
        };
        let first = match room == below {
            true => area.len() - lines.len(),
            false => 0,
        };
        for (row, line) in area.iter_mut().skip(first).zip(&lines) {
            row.cells.fill(blank(BAR));
            put_text(&mut row.cells, usize::from(cols > 2), cols, line, BAR_BOLD);
        }
    }

    /// The last row, where there is one to spare.
    fn compose_status(&mut self, now: Now, view: &View) {
        let last = self.canvas.size().rows() - 1;
        self.status_owed = None;
        if last == 0 || self.layout.is_bare() {
            return;
        }
        let prefix = self.config.prefix;
        let mut pieces = Vec::new();
        let mut push = |rank, bold, text| pieces.push(Piece { rank, text, bold });
        if let Some(message) = self.message.as_ref().filter(|_| last == 1) {
            push(20, true, message.text.clone());
        }
        if self.prefixed {
            push(19, true, format!("{prefix} …"));
            let is_told = view.rights.has(Right::Type) || self.config.read_only;
            push(14, false, "? keys".to_owned());
            push(13, false, "q leave".to_owned());
            if !is_told {
                push(12, false, "e ask to type".to_owned());
            }
            if terminals::are_several(view) {
                push(11, false, "0-9 t f terminals".to_owned());
            }
            if self.layout.is_narrower() {
                push(11, false, "← → pan".to_owned());
            }
            push(7, false, "[ look back".to_owned());
            push(7, false, "w who".to_owned());
            push(6, false, "m notices".to_owned());
            push(6, false, "z status line".to_owned());
        } else if let Some(back) = &self.scrollback {
            let keys = "wheel, PgUp, PgDn, Home; Esc is live again";
            push(10, true, format!("looking back: {}", back.position()));
            push(7, false, keys.to_owned());
        }
        if self.introduces(now, view) && pieces.is_empty() {
            let text = self.introduction(view, usize::from(self.canvas.size().cols()));
            let bold = false;
            if let Some(bar) = self.canvas.begin_row(last) {
                let rank = 0;
                draw_bar(vec![Piece { rank, text, bold }], &mut bar.cells);
            }
            return;
        }
        pieces.extend(status::pieces(now, view, self.config.read_only));
        let mut push = |rank, text| {
            pieces.push(Piece {
                rank,
                text,
                bold: false,
            });
        };
        if self.layout.is_part() && view.screen.is_some() {
            let (Layout { cols, rows, .. }, (of_cols, of_rows)) = (self.layout, self.layout.host());
            let pans = match self.layout.is_narrower() {
                true => ", ← → pan",
                false => "",
            };
            push(6, format!("{cols}×{rows} of {of_cols}×{of_rows}{pans}"));
        }
        if !self.prefixed && self.scrollback.is_none() {
            push(6, format!("{prefix} ? keys"));
        }
        if let Some(bar) = self.canvas.begin_row(last) {
            draw_bar(pieces, &mut bar.cells);
        }
    }
}

fn blank(style: Style) -> Cell {
    Cell {
        style,
        ..Cell::default()
    }
}

/// Copies a row of the host's from column `left` on.
fn copy(from: &Row, left: u16, to: &mut Row) {
    let from = from.cells.iter().skip(usize::from(left));
    for (to, from) in to.cells.iter_mut().zip(from) {
        to.clone_from(from);
    }
}

/// Colours that the program redefined are drawn as what they are: the viewer's palette is its own.
fn recolour(palette: &BTreeMap<u16, [u8; 3]>, row: &mut Row) {
    if palette.is_empty() {
        return;
    }
    let look = |color: &mut Color, default: u16| {
        let index = match color {
            Color::Default => default,
            Color::Indexed(index) => u16::from(*index),
            Color::Rgb(..) => return,
        };
        if let Some([r, g, b]) = palette.get(&index) {
            *color = Color::Rgb(*r, *g, *b);
        }
    };
    for cell in &mut row.cells {
        look(&mut cell.style.fg, 256);
        look(&mut cell.style.bg, 257);
    }
}

fn is_reversed(screen: &Screen) -> bool {
    screen.modes.contains(Modes::REVERSE_VIDEO)
}

/// A reversed screen (DECSCNM) is drawn as such; the viewer's terminal isn't told, since the status line
/// is on it too.
fn reverse(screen: &Screen, layout: Layout, row: &mut Row) {
    if is_reversed(screen) {
        for cell in row.cells.iter_mut().take(usize::from(layout.cols)) {
            cell.style.attrs.0 ^= Attrs::INVERSE.0;
        }
    }
}

/// A dim line where the host's screen ends and the viewer's goes on: row `y` of `rows`.
fn border(layout: Layout, y: u16, rows: u16, row: &mut Row) {
    let cols = usize::from(layout.cols);
    if y < layout.rows {
        put_text(&mut row.cells, cols, 1, "│", DIM);
    } else if y == layout.rows && y < rows {
        let line = format!("{}┘", "─".repeat(cols));
        put_text(&mut row.cells, 0, cols + 1, &line, DIM);
    }
}

/// Before the first frame: what is going on, in the middle.
fn waiting(now: Now, view: &View, area: &mut [Row]) {
    let what = status::trouble(now, view).unwrap_or_else(|| "waiting for the first picture".into());
    let cols = area.first().map_or(0, |row| row.cells.len());
    let what = charset::spelt(&format!("{what} …"));
    let lines = text::fold(&what, cols.max(1), area.len());
    let first = (area.len() - lines.len()) / 2;
    for (row, line) in area.iter_mut().skip(first).zip(&lines) {
        let x = cols.saturating_sub(text::width(line)) / 2;
        put_text(&mut row.cells, x, cols, line, PLAIN);
    }
}

/// A box in the middle with `lines`, of which the first is its title.
fn draw_box(lines: &[String], area: &mut [Row]) {
    let (Some((title, lines)), Some(first)) = (lines.split_first(), area.first()) else {
        return;
    };
    let cols = first.cells.len();
    let inner = lines
        .iter()
        .chain([title])
        .map(|line| text::width(line))
        .max()
        .unwrap_or(0);
    let inner = inner.min(cols.saturating_sub(4));
    let height = lines.len().min(area.len().saturating_sub(2));
    let x = (cols - (inner + 4).min(cols)) / 2;
    let y = (area.len() - (height + 2).min(area.len())) / 2;
    let title = text::cut(title, inner);
    let fill = "─".repeat(inner - text::width(&title));
    let head = format!("┌─{title}{fill}─┐");
    let foot = format!("└{}┘", "─".repeat(inner + 2));
    let body = lines.iter().take(height).map(|line| {
        let line = text::cut(line, inner);
        let fill = " ".repeat(inner - text::width(&line));
        format!("│ {line}{fill} │")
    });
    let all = std::iter::once(head).chain(body).chain([foot]);
    for (row, line) in area.iter_mut().skip(y).zip(all) {
        put_text(&mut row.cells, x, cols, &line, PLAIN);
    }
}

/// The pieces that fit, the most important ones first of all.
pub(crate) fn draw_bar(mut pieces: Vec<Piece>, bar: &mut [Cell]) {
    for piece in &mut pieces {
        piece.text = charset::spelt(&piece.text);
    }
    const BETWEEN: &str = " │ ";
    let cols = bar.len();
    let width = |pieces: &[Piece]| {
        let texts: usize = pieces.iter().map(|piece| text::width(&piece.text)).sum();
        texts + 2 + pieces.len().saturating_sub(1) * text::width(BETWEEN)
    };
    while pieces.len() > 1 && width(&pieces) > cols {
        let least = pieces
            .iter()
            .enumerate()
            .min_by_key(|(_, piece)| piece.rank);
        let Some((least, _)) = least else { return };
        pieces.remove(least);
    }
    bar.fill(blank(BAR));
    let mut x = usize::from(cols > 2);
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            x += put_text(bar, x, cols, BETWEEN, BAR);
        }
        let room = cols.saturating_sub(x);
        let style = if piece.bold { BAR_BOLD } else { BAR };
        x += put_text(bar, x, room, &text::cut(&piece.text, room), style);
    }
}
