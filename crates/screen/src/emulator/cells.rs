//! The emulator's cells as ours.

use std::sync::Arc;

use alacritty_terminal::{
    grid::Row as GridRow,
    index::Column,
    term::cell::{Cell as GridCell, CellExtra, Flags},
};
use vte::ansi::{Color as VteColor, NamedColor};

use crate::cell::{Attrs, Cell, Color, Extra, Row, Style, Width, Wrap};

/// The right half of a wide character, and the place left free where one did not fit.
pub(super) const SPACERS: Flags = Flags::WIDE_CHAR_SPACER.union(Flags::LEADING_WIDE_CHAR_SPACER);

/// The cell blinks. The emulator has no such flag, but leaves its flags' last bit alone.
pub(super) const BLINK: Flags = Flags::from_bits_retain(1 << 15);

/// The cell is overlined. The emulator's five flags for as many underlines leave two bits free,
/// since a cell has one of them: see [`underlined`].
pub(super) const OVERLINE: Flags = Flags::DOTTED_UNDERLINE;

/// The cell is protected from selective erasure (DECSCA).
pub(super) const PROTECTED: Flags = Flags::DASHED_UNDERLINE;

/// The three bits that say how a cell is underlined.
pub(super) const UNDERLINES: Flags = Flags::UNDERLINE
    .union(Flags::DOUBLE_UNDERLINE)
    .union(Flags::UNDERCURL);

/// Dotted, in [`UNDERLINES`].
pub(super) const DOTTED: Flags = Flags::UNDERLINE.union(Flags::DOUBLE_UNDERLINE);

/// Dashed, in [`UNDERLINES`].
pub(super) const DASHED: Flags = Flags::UNDERLINE.union(Flags::UNDERCURL);

/// Flags of cells that hang together with others.
const WIDE_OR_SPACER: Flags = SPACERS.union(Flags::WIDE_CHAR);

/// Flags that say how a cell looks, not how cells hang together.
pub(super) const LOOK_FLAGS: Flags = Flags::all()
    .union(BLINK)
    .difference(SPACERS)
    .difference(Flags::WIDE_CHAR)
    .difference(Flags::WRAPLINE)
    .difference(PROTECTED);

/// Flags that show on a space.
pub(super) const SEEN_ON_SPACE: Flags = Flags::INVERSE
    .union(UNDERLINES)
    .union(OVERLINE)
    .union(Flags::STRIKEOUT);

/// The default background, which a cell must have to count as blank.
pub(super) const BACKGROUND: VteColor = VteColor::Named(NamedColor::Background);

/// What is drawn for a cell's character: the emulator keeps a tab in the cell where it started.
#[inline]
pub(super) fn drawn(ch: char) -> char {
    if ch.is_control() { ' ' } else { ch }
}

/// Whether nothing of a cell would be seen at the end of a line.
#[inline]
pub(super) fn is_blank(cell: &GridCell) -> bool {
    matches!(cell.c, ' ' | '\t')
        && cell.bg == BACKGROUND
        && !cell.flags.intersects(SEEN_ON_SPACE)
        && cell.extra.is_none()
}

/// Whether a row's last cell says that its line goes on in the next row.
#[inline]
pub(super) fn is_wrapped(row: &GridRow<GridCell>) -> bool {
    row.last()
        .is_some_and(|cell| cell.flags.contains(Flags::WRAPLINE))
}

/// How a row ends.
fn wrap(row: &GridRow<GridCell>) -> Wrap {
    let last = row.last().map(|cell| cell.flags);
    match last {
        Some(last) if !last.contains(Flags::WRAPLINE) => Wrap::Ends,
        Some(last) if last.contains(Flags::LEADING_WIDE_CHAR_SPACER) => Wrap::Early,
        Some(_) => Wrap::Full,
        None => Wrap::Ends,
    }
}

/// How a cell is drawn.
pub(super) fn style(cell: &GridCell) -> Style {
    Style {
        fg: color(cell.fg),
        bg: color(cell.bg),
        underline: cell.underline_color().map_or(Color::Default, color),
        attrs: attrs(cell.flags),
    }
}

fn color(color: VteColor) -> Color {
    match color {
        VteColor::Named(name) => match u8::try_from(name as usize) {
            Ok(index @ 0..16) => Color::Indexed(index),
            _ => Color::Default,
        },
        VteColor::Indexed(index) => Color::Indexed(index),
        VteColor::Spec(rgb) => Color::Rgb(rgb.r, rgb.g, rgb.b),
    }
}

fn attrs(flags: Flags) -> Attrs {
    const PAIRS: [(Flags, Attrs); 8] = [
        (Flags::BOLD, Attrs::BOLD),
        (Flags::DIM, Attrs::DIM),
        (Flags::ITALIC, Attrs::ITALIC),
        (BLINK, Attrs::BLINK),
        (Flags::INVERSE, Attrs::INVERSE),
        (Flags::HIDDEN, Attrs::HIDDEN),
        (Flags::STRIKEOUT, Attrs::STRIKE),
        (OVERLINE, Attrs::OVERLINE),
    ];
    if !flags.intersects(LOOK_FLAGS) {
        return Attrs::default();
    }
    PAIRS
        .iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .fold(underlined(flags), |all, (_, attr)| all.union(*attr))
}

/// How a cell is underlined.
fn underlined(flags: Flags) -> Attrs {
    match flags.intersection(UNDERLINES) {
        Flags::UNDERLINE => Attrs::UNDERLINE,
        Flags::DOUBLE_UNDERLINE => Attrs::DOUBLE_UNDERLINE,
        Flags::UNDERCURL => Attrs::CURLY_UNDERLINE,
        DOTTED => Attrs::DOTTED_UNDERLINE,
        DASHED => Attrs::DASHED_UNDERLINE,
        _ => Attrs::default(),
    }
}

/// Whether two cells are drawn alike, apart from their characters.
#[inline(always)]
pub(super) fn same_look(a: &GridCell, b: &GridCell) -> bool {
    a.fg == b.fg
        && a.bg == b.bg
        && (a.flags ^ b.flags) & LOOK_FLAGS == Flags::empty()
        && same_extra(a, b)
}

#[inline(always)]
fn same_extra(a: &GridCell, b: &GridCell) -> bool {
    (a.extra.is_none() && b.extra.is_none()) || same_rich_extra(a, b)
}

/// Apart from marks, which belong to the character.
#[inline(never)]
fn same_rich_extra(a: &GridCell, b: &GridCell) -> bool {
    match (&a.extra, &b.extra) {
        (Some(left), Some(right)) if Arc::ptr_eq(left, right) => true,
        _ => a.underline_color() == b.underline_color() && a.hyperlink() == b.hyperlink(),
    }
}

/// Writes a row of the grid into `into`, `cols` cells of it.
pub(super) fn capture_row(row: &GridRow<GridCell>, cols: u16, into: &mut Row) {
    into.cells.resize_with(usize::from(cols), Cell::default);
    into.wrap = wrap(row);
    let cells = row[..].get(..into.cells.len()).unwrap_or_default();
    let mut shared = Shared::default();
    let mut x = 0;
    while let (Some(first), Some(rest)) = (cells.get(x), cells.get(x..)) {
        let alike = rest.iter().take_while(|cell| same_look(first, cell));
        let len = alike.count();
        let style = style(first);
        let places = into.cells.iter_mut().skip(x).take(len);
        for ((cell, place), x) in rest.iter().zip(places).zip(x..) {
            place.style = style;
            if cell.flags.intersects(WIDE_OR_SPACER) || cell.extra.is_some() {
                place.width = width(cells, x);
                let half = place.width == Width::Narrow && cell.flags.contains(Flags::WIDE_CHAR);
                let empty = half || place.width == Width::Spacer;
                place.ch = if empty { ' ' } else { drawn(cell.c) };
                place.extra = match &cell.extra {
                    Some(extra) if place.width != Width::Spacer => shared.extra(cell, extra),
                    _ => None,
                };
            } else {
                place.width = Width::Narrow;
                place.ch = drawn(cell.c);
                place.extra = None;
            }
        }
        x += len;
    }
}

/// The width of a cell. Insertions and overwriting can leave half a wide character; a half is
/// drawn as a space.
fn width(cells: &[GridCell], x: usize) -> Width {
    let has = |x: usize, flag| cells.get(x).is_some_and(|cell| cell.flags.contains(flag));
    if has(x, Flags::WIDE_CHAR) && has(x + 1, Flags::WIDE_CHAR_SPACER) {
        Width::Wide
    } else if has(x, Flags::WIDE_CHAR_SPACER) && x > 0 && has(x - 1, Flags::WIDE_CHAR) {
        Width::Spacer
    } else {
        Width::Narrow
    }
}

/// Neighbouring cells of one hyperlink share their extra, there and here.
#[derive(Default)]
struct Shared<'a>(Option<(&'a Arc<CellExtra>, Option<Arc<Extra>>)>);

impl<'a> Shared<'a> {
    fn extra(&mut self, cell: &GridCell, theirs: &'a Arc<CellExtra>) -> Option<Arc<Extra>> {
        if let Some((last, ours)) = &self.0
            && Arc::ptr_eq(last, theirs)
        {
            return ours.clone();
        }
        let marks: String = cell.zerowidth().unwrap_or_default().iter().collect();
        let link = cell.hyperlink().map(|link| Arc::from(link.uri()));
        let ours = (!marks.is_empty() || link.is_some()).then(|| Arc::new(Extra { marks, link }));
        self.0 = Some((theirs, ours.clone()));
        ours
    }
}

/// The first `len` cells after which a row has only blanks.
#[inline]
pub(super) fn trimmed(row: &GridRow<GridCell>) -> &[GridCell] {
    let cells = &row[..];
    let last = cells.iter().rposition(|cell| !is_blank(cell));
    let len = last.map_or(0, |last| {
        // The right half of a wide character looks like a blank.
        let wide = width(cells, last) == Width::Wide;
        last + 1 + usize::from(wide)
    });
    &row[..Column(len)]
}
