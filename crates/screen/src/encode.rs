//! The host's half of the screen codec: what changed since the last frame, written once and
//! compressed once for every viewer.

use bytes::{Bytes, BytesMut};

use crate::{
    apply::move_rows,
    budget::{Costs, enforce_budget},
    canon::{canonical_rest, canonical_row},
    cell::Row,
    compression::Compressor,
    damage::{Damage, RowSet, Scroll},
    diff::{Hashed, ScrollFinder, row_hash},
    emulator::Terminal,
    screen::{Screen, Size},
    shape::resize,
    write::{PenNumbers, Writer},
};

/// zstd level of frames. Level 3 writes an echo and a page of source in as many bytes, a flood's
/// screen in 7 % fewer, and takes more time and memory (`benches/codec.rs`).
const FRAME_LEVEL: i32 = 1;

/// zstd level of snapshots: made once per joiner, small gain for little time.
const SNAPSHOT_LEVEL: i32 = 3;

/// Regions looked for in one frame: more than two windows that scroll at once are rare.
const MAX_SCROLLS: usize = 3;

/// One frame or snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// The body as it is, for the log ([`Decoder::apply_raw`](crate::Decoder::apply_raw)).
    pub raw: Bytes,
    /// The body compressed, at most [`MAX_WIRE`](crate::MAX_WIRE) bytes, for every viewer.
    pub wire: Bytes,
    /// Whether this frame resets the context: because it was asked for, or because it is the
    /// track's first. Viewers must be told. Always true for a snapshot.
    pub reset: bool,
}

/// Turns the states of one terminal into frames: one per track.
///
/// Holds the state after the last frame twice (as the terminal gave it and as viewers have it),
/// about 64 bytes a cell, and a compression context of about 0.5 MB. In the steady state a frame
/// allocates nothing once viewers let go of earlier ones.
#[derive(Debug)]
pub struct Encoder {
    /// What every viewer in step has.
    screen: Screen,
    /// What the terminal shows, in canonical form.
    next: Screen,
    hashes: Hashes,
    costs: Costs,
    scrolls: ScrollFinder,
    pens: PenNumbers,
    body: BytesMut,
    zip: Compressor,
    /// An empty row of the current width.
    blank: Row,
    /// No frame has been made yet.
    first: bool,
    /// The next frame starts with an empty table of pens: this one is full.
    forget: bool,
    snapshots: Snapshots,
}

/// `row_hash` of every row, before and after, and of an empty row.
#[derive(Debug, Default)]
struct Hashes {
    screen: Vec<u64>,
    next: Vec<u64>,
    blank: u64,
}

/// What makes snapshots, once somebody needs one, and the one of the current state.
#[derive(Debug, Default)]
struct Snapshots {
    zip: Option<Compressor>,
    pens: PenNumbers,
    current: Option<EncodedFrame>,
}

impl Encoder {
    /// An encoder before its first frame; until then its screen is 1×1.
    #[expect(
        clippy::new_without_default,
        reason = "a context is nothing to default to"
    )]
    pub fn new() -> Encoder {
        let size = Size::clamped(1, 1);
        Encoder {
            screen: Screen::blank(size),
            next: Screen::blank(size),
            hashes: Hashes::default(),
            costs: Costs::default(),
            scrolls: ScrollFinder::default(),
            pens: PenNumbers::default(),
            body: BytesMut::new(),
            zip: Compressor::new(FRAME_LEVEL),
            blank: Row::default(),
            first: true,
            forget: false,
            snapshots: Snapshots::default(),
        }
    }

    /// The frame that brings viewers to the terminal's current state, or `None` when nothing
    /// changed and no `reset` of the context is asked for.
    pub fn encode(&mut self, term: &mut Terminal, reset: bool) -> Option<EncodedFrame> {
        let mut damage = term.take_damage();
        if self.first || self.next.size != term.size() {
            damage = Damage::all(term.size());
            term.capture(&mut self.next);
        } else {
            term.capture_damaged(&mut self.next, &damage);
        }
        self.finish(damage, reset)
    }

    /// The same for any screen. Rows that are not in `damage` must be what they were the last time.
    pub fn encode_screen(
        &mut self,
        new: &Screen,
        damage: &Damage,
        reset: bool,
    ) -> Option<EncodedFrame> {
        let mut damage = *damage;
        if self.first || self.next.size != new.size {
            self.next.clone_from(new);
            damage = Damage::all(new.size);
        }
        for y in damage.rows.iter() {
            let y = usize::from(y);
            if let (Some(row), Some(new)) = (self.next.rows.get_mut(y), new.rows.get(y)) {
                row.cells.clone_from(&new.cells);
                row.wrap = new.wrap;
            }
        }
        self.next.cursor = new.cursor;
        self.next.modes = new.modes;
        self.next.title.clone_from(&new.title);
        if self.next.palette != new.palette {
            self.next.palette.clone_from(&new.palette);
        }
        self.next.lines = new.lines;
        self.next.bells = new.bells;
        self.finish(damage, reset)
    }

    /// A frame that needs none before it: the state after the last [`Encoder::encode`]. A viewer
    /// that takes it goes on with the next frame that resets the context. Asking again before the
    /// next frame gives the same bytes for nothing.
    pub fn snapshot(&mut self) -> EncodedFrame {
        let Encoder {
            screen,
            body,
            snapshots,
            ..
        } = self;
        let frame = snapshots.current.get_or_insert_with(|| {
            body.clear();
            let mut writer = Writer::new(body, &mut snapshots.pens);
            writer.blank(screen.size);
            let row = Row::blank(screen.size.cols());
            for (new, y) in screen.rows.iter().zip(0..) {
                writer.row(y, &row, new);
            }
            writer.rest(&Screen::blank(Size::clamped(1, 1)), screen);
            writer.end();
            let zip = snapshots
                .zip
                .get_or_insert_with(|| Compressor::new(SNAPSHOT_LEVEL));
            EncodedFrame {
                wire: zip.whole(body),
                raw: body.split().freeze(),
                reset: true,
            }
        });
        frame.clone()
    }

    /// The state after the last [`Encoder::encode`], as every viewer in step has it.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Describes what turns `screen` into `next`.
    fn finish(&mut self, mut damage: Damage, reset: bool) -> Option<EncodedFrame> {
        let reset = reset || self.first;
        let size = self.next.size;
        let resized = self.first || self.screen.size != size;
        if resized {
            damage = Damage {
                rows: RowSet::all(size.rows()),
                scroll: None,
                ..damage
            };
        }
        self.body.clear();
        let mut writer = Writer::new(&mut self.body, &mut self.pens);
        if self.first {
            writer.blank(size);
            self.screen = Screen::blank(size);
        } else if reset || self.forget {
            writer.forget();
        }
        let head = writer.written();
        if resized {
            if !self.first {
                writer.resize(size);
                resize(&mut self.screen, size);
            }
            self.blank = Row::blank(size.cols());
            self.hashes.start(&self.screen, &self.blank);
            self.costs.measure(&self.screen);
        }
        canonical_rest(&mut self.next, &self.screen);
        self.hashes.next.resize(usize::from(size.rows()), 0);
        for y in damage.rows.iter() {
            if let (Some(row), Some(hash)) = (
                self.next.rows.get_mut(usize::from(y)),
                self.hashes.next.get_mut(usize::from(y)),
            ) {
                canonical_row(row, size.cols());
                enforce_budget(&mut self.costs, size, y, row);
                *hash = row_hash(row);
            }
        }
        let mut hint = damage.scroll;
        for _ in 0..MAX_SCROLLS {
            let Some(scroll) = self.scrolls.find(
                self.hashes.of_screen(&self.screen),
                self.hashes.of_next(&self.next),
                self.hashes.blank,
                hint.take(),
            ) else {
                break;
            };
            writer.scroll(&scroll);
            self.hashes.scroll(&scroll);
            let lines = scroll.lines.unsigned_abs();
            let (top, bottom) = (scroll.top, scroll.bottom);
            move_rows(&mut self.screen.rows, top, bottom, lines, scroll.lines > 0);
            damage.rows.insert_range(top, bottom);
        }
        for y in damage.rows.iter() {
            let at = usize::from(y);
            if let (Some(old), Some(new)) = (self.screen.rows.get_mut(at), self.next.rows.get(at))
                && writer.row(y, old, new)
            {
                old.cells.clone_from(&new.cells);
                old.wrap = new.wrap;
            }
            if let (Some(old), Some(new)) =
                (self.hashes.screen.get_mut(at), self.hashes.next.get(at))
            {
                *old = *new;
            }
        }
        writer.rest(&self.screen, &self.next);
        if writer.written() == head && !reset {
            return None;
        }
        writer.end();
        self.forget = writer.is_full();
        self.take_rest();
        self.first = false;
        self.snapshots.current = None;
        if reset {
            self.zip.reset();
        }
        Some(EncodedFrame {
            wire: self.zip.frame(&self.body),
            raw: self.body.split().freeze(),
            reset,
        })
    }

    fn take_rest(&mut self) {
        self.screen.cursor = self.next.cursor;
        self.screen.modes = self.next.modes;
        self.screen.title.clone_from(&self.next.title);
        if self.screen.palette != self.next.palette {
            self.screen.palette.clone_from(&self.next.palette);
        }
        self.screen.lines = self.next.lines;
        self.screen.bells = self.next.bells;
    }
}

impl Hashes {
    fn start(&mut self, screen: &Screen, blank: &Row) {
        self.blank = row_hash(blank);
        self.screen.clear();
        self.screen.extend(screen.rows.iter().map(row_hash));
    }

    fn of_screen<'a>(&'a self, screen: &'a Screen) -> Hashed<'a> {
        Hashed {
            rows: &screen.rows,
            hashes: &self.screen,
        }
    }

    fn of_next<'a>(&'a self, screen: &'a Screen) -> Hashed<'a> {
        Hashed {
            rows: &screen.rows,
            hashes: &self.next,
        }
    }

    fn scroll(&mut self, scroll: &Scroll) {
        let region = usize::from(scroll.top)..usize::from(scroll.bottom);
        let lines = usize::from(scroll.lines.unsigned_abs());
        let blank = self.blank;
        if let Some(region) = self.screen.get_mut(region)
            && lines <= region.len()
        {
            if scroll.lines > 0 {
                region.rotate_left(lines);
                let kept = region.len() - lines;
                region.iter_mut().skip(kept).for_each(|hash| *hash = blank);
            } else {
                region.rotate_right(lines);
                region.iter_mut().take(lines).for_each(|hash| *hash = blank);
            }
        }
    }
}
