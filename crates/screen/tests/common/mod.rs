//! Screens that change at random, from a seed.
#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::Arc;

use pillion_screen::{
    Attrs, Cell, Color, Cursor, CursorShape, Damage, Extra, LineId, LineSpan, Modes, Row, RowSet,
    Screen, Size, Style, Width, Wrap,
};

/// A small seeded generator (splitmix64): tests must not depend on a crate's version for their
/// cases.
pub struct Seed(pub u64);

impl Seed {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// What cells may be drawn with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Taste {
    /// Things every terminal shows alike.
    Common,
    /// Things no honest emulator makes, too.
    Nasty,
}

pub fn style(seed: &mut Seed) -> Style {
    let color = |seed: &mut Seed| match seed.below(5) {
        0 => Color::Indexed(seed.below(16) as u8),
        1 => Color::Indexed(seed.below(256) as u8),
        2 => Color::Rgb(seed.next() as u8, seed.next() as u8, seed.next() as u8),
        _ => Color::Default,
    };
    if seed.chance(3) {
        return Style::default();
    }
    let underlines = [
        Attrs::default(),
        Attrs::default(),
        Attrs::default(),
        Attrs::UNDERLINE,
        Attrs::DOUBLE_UNDERLINE,
        Attrs::CURLY_UNDERLINE,
        Attrs::DOTTED_UNDERLINE,
        Attrs::DASHED_UNDERLINE,
    ];
    let mut attrs = seed.pick(&underlines);
    for attr in [
        Attrs::BOLD,
        Attrs::DIM,
        Attrs::ITALIC,
        Attrs::BLINK,
        Attrs::INVERSE,
        Attrs::HIDDEN,
        Attrs::STRIKE,
    ] {
        if seed.chance(8) {
            attrs = attrs.union(attr);
        }
    }
    let underlined = attrs.0 & 0b1111_1000 != 0;
    Style {
        fg: color(seed),
        bg: color(seed),
        underline: if underlined {
            color(seed)
        } else {
            Color::Default
        },
        attrs,
    }
}

fn put(row: &mut Row, x: usize, cell: Cell) {
    let cols = row.cells.len();
    let wide = cell.width == Width::Wide;
    if x + usize::from(wide) >= cols {
        return;
    }
    let last = x + usize::from(wide);
    if x > 0 && row.cells[x].width == Width::Spacer {
        row.cells[x - 1] = Cell::default();
    }
    if last + 1 < cols && row.cells[last + 1].width == Width::Spacer {
        row.cells[last + 1] = Cell::default();
    }
    if wide {
        row.cells[x + 1] = Cell {
            width: Width::Spacer,
            style: cell.style,
            ..Cell::default()
        };
    }
    row.cells[x] = cell;
}

fn text(seed: &mut Seed, screen: &mut Screen, taste: Taste) -> RowSet {
    const WORDS: [&str; 8] = [
        "cargo build",
        "error: ",
        "漢字",
        "naïve",
        "━━━━━━━━━━",
        "        ",
        "0123456789",
        "ls -la /etc",
    ];
    let y = seed.below(screen.rows.len());
    let mut x = seed.below(usize::from(screen.size.cols()));
    let style = style(seed);
    let link: Option<Arc<str>> = seed.chance(8).then(|| {
        let nasty = taste == Taste::Nasty && seed.chance(2);
        Arc::from(if nasty {
            "file:///etc/passwd"
        } else {
            "https://a.example/b"
        })
    });
    for _ in 0..1 + seed.below(4) {
        for ch in seed.pick(&WORDS).chars() {
            let wide = matches!(ch, '漢' | '字');
            let marks = if ch.is_alphabetic() && seed.chance(20) {
                "\u{301}"
            } else {
                ""
            };
            let cell = Cell {
                ch,
                width: if wide { Width::Wide } else { Width::Narrow },
                style,
                extra: (link.is_some() || !marks.is_empty()).then(|| {
                    Arc::new(Extra {
                        marks: marks.to_owned(),
                        link: link.clone(),
                    })
                }),
            };
            put(&mut screen.rows[y], x, cell);
            x += 1 + usize::from(wide);
            if x >= usize::from(screen.size.cols()) {
                break;
            }
        }
    }
    one(y)
}

fn one(y: usize) -> RowSet {
    let mut rows = RowSet::EMPTY;
    rows.insert(y as u16);
    rows
}

fn nasty(seed: &mut Seed, screen: &mut Screen) -> RowSet {
    let y = seed.below(screen.rows.len());
    let x = seed.below(usize::from(screen.size.cols()));
    let marks = ["", "\u{301}", "\u{202e}", "x\u{1b}", &"\u{301}".repeat(40)];
    screen.rows[y].cells[x] = Cell {
        ch: seed.pick(&[
            '\x1b',
            '\t',
            '\u{202e}',
            '漢',
            'a',
            '\u{301}',
            '\u{9b}',
            '\u{e0041}',
        ]),
        width: seed.pick(&[Width::Narrow, Width::Wide, Width::Spacer]),
        style: style(seed),
        extra: Some(Arc::new(Extra {
            marks: seed.pick(&marks).to_owned(),
            link: None,
        })),
    };
    one(y)
}

fn scroll(seed: &mut Seed, screen: &mut Screen) -> RowSet {
    let rows = screen.rows.len();
    let (top, bottom) = if seed.chance(2) {
        (0, rows)
    } else {
        let top = seed.below(rows);
        (top, top + 1 + seed.below(rows - top))
    };
    let lines = 1 + seed.below(bottom - top);
    let cols = screen.size.cols();
    let region = &mut screen.rows[top..bottom];
    if seed.chance(3) {
        region.rotate_right(lines);
        region[..lines].fill(Row::blank(cols));
    } else {
        region.rotate_left(lines);
        let kept = region.len() - lines;
        region[kept..].fill(Row::blank(cols));
    }
    let mut set = RowSet::EMPTY;
    set.insert_range(top as u16, bottom as u16);
    set
}

fn resize(seed: &mut Seed, screen: &mut Screen) {
    let size = Size::clamped(1 + seed.below(100) as u16, 1 + seed.below(40) as u16);
    screen.size = size;
    let cols = usize::from(size.cols());
    screen
        .rows
        .resize_with(usize::from(size.rows()), || Row::blank(size.cols()));
    for row in &mut screen.rows {
        row.cells.resize(cols, Cell::default());
        if row.cells[cols - 1].width == Width::Wide {
            row.cells[cols - 1] = Cell::default();
        }
    }
    screen.cursor.x = screen.cursor.x.min(size.cols() - 1);
    screen.cursor.y = screen.cursor.y.min(size.rows() - 1);
}

fn rest(seed: &mut Seed, screen: &mut Screen, taste: Taste) {
    match seed.below(6) {
        0 => screen.modes = Modes(seed.next() as u32 & Modes::ALL.0),
        1 => {
            let titles = ["vim", "~/src — zsh", ""];
            screen.title = seed.pick(&titles).to_owned();
            if taste == Taste::Nasty {
                screen.title.push_str("\x1b]0;\u{202e}");
            }
        }
        2 => {
            let index = seed.below(259) as u16;
            if seed.chance(2) {
                screen.palette.clear();
            } else {
                screen.palette.insert(index, [seed.next() as u8, 2, 3]);
            }
        }
        3 => screen.bells += 1 + seed.below(3) as u64,
        4 => {
            let top = screen.lines.top.0 + seed.below(100) as u64;
            screen.lines = LineSpan {
                oldest: LineId(top / 3),
                settled: LineId(top / 2),
                top: LineId(top),
                top_offset: seed.below(3) as u16,
            };
        }
        _ => {
            screen.cursor.shape =
                seed.pick(&[CursorShape::Block, CursorShape::Underline, CursorShape::Bar]);
            screen.cursor.blink = seed.chance(2);
            screen.cursor.visible = !seed.chance(4);
        }
    }
}

/// Changes the screen as a program might between two frames; what changed.
pub fn evolve(seed: &mut Seed, screen: &mut Screen, taste: Taste) -> Damage {
    let mut damage = Damage::default();
    for _ in 0..1 + seed.below(4) {
        let rows = match seed.below(12) {
            0..5 => text(seed, screen, taste),
            5..8 => scroll(seed, screen),
            8 => {
                let y = seed.below(screen.rows.len());
                screen.rows[y].wrap = match screen.rows[y].wrap {
                    Wrap::Ends => Wrap::Full,
                    Wrap::Full => Wrap::Early,
                    Wrap::Early => Wrap::Ends,
                };
                one(y)
            }
            9 if seed.chance(5) => {
                resize(seed, screen);
                damage.resized = true;
                RowSet::all(screen.size.rows())
            }
            10 if taste == Taste::Nasty => nasty(seed, screen),
            _ => {
                rest(seed, screen, taste);
                RowSet::EMPTY
            }
        };
        rows.iter().for_each(|y| damage.rows.insert(y));
    }
    screen.cursor = Cursor {
        x: seed.below(usize::from(screen.size.cols())) as u16,
        y: seed.below(screen.rows.len()) as u16,
        ..screen.cursor
    };
    let last = screen.cursor.x + 1 == screen.size.cols();
    screen.cursor.wrap_pending = last && seed.chance(2);
    damage.rest = true;
    damage
}
