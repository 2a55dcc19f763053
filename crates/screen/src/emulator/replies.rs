//! Answers to a program's queries, for when no real terminal answers them.

use std::io::Write;

use crate::screen::Size;

/// Most bytes of answers kept until they are taken; further answers are dropped whole. A program
/// asks for a few dozen bytes at a time; one that asks without reading must not fill memory.
const MAX_REPLIES: usize = 16 * 1024;

/// The cell size in pixels told to programs that ask for the text area's (width, height). Nobody
/// here knows the real one: viewers' differ.
const NOMINAL_CELL: (u32, u32) = (8, 16);

#[derive(Debug, Default)]
pub(super) struct Replies(Vec<u8>);

impl Replies {
    /// All answers since the last call.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// DA1: a VT102, as alacritty says.
    pub(super) fn primary_attributes(&mut self) {
        self.put(format_args!("\x1b[?6c"));
    }

    /// DA2: VT100 class, alacritty's version.
    pub(super) fn secondary_attributes(&mut self) {
        self.put(format_args!("\x1b[>0;2600;1c"));
    }

    /// XTVERSION.
    pub(super) fn version(&mut self) {
        let version = env!("CARGO_PKG_VERSION");
        self.put(format_args!("\x1bP>|Pillion({version})\x1b\\"));
    }

    /// DSR 5.
    pub(super) fn ok(&mut self) {
        self.put(format_args!("\x1b[0n"));
    }

    /// DSR 6 (CPR); both counted from 1.
    pub(super) fn cursor(&mut self, x: usize, y: usize) {
        self.put(format_args!("\x1b[{y};{x}R"));
    }

    /// DECRPM: whether a mode is set, `None` for one that is not known.
    pub(super) fn mode(&mut self, marker: &str, mode: u16, state: Option<bool>) {
        let state = match state {
            None => 0,
            Some(true) => 1,
            Some(false) => 2,
        };
        self.put(format_args!("\x1b[{marker}{mode};{state}$y"));
    }

    /// The kitty keyboard protocol's flags.
    pub(super) fn keyboard(&mut self, flags: u8) {
        self.put(format_args!("\x1b[?{flags}u"));
    }

    /// OSC 4, 10, 11 or 12 with `?`: the colour the program chose, else a default.
    pub(super) fn color(
        &mut self,
        prefix: &str,
        index: usize,
        chosen: Option<[u8; 3]>,
        terminator: &str,
    ) {
        let [r, g, b] = chosen.unwrap_or_else(|| default_color(index));
        self.put(format_args!(
            "\x1b]{prefix};rgb:{r:02x}{r:02x}/{g:02x}{g:02x}/{b:02x}{b:02x}{terminator}"
        ));
    }

    /// `CSI 14 t`.
    pub(super) fn size_in_pixels(&mut self, size: Size) {
        let width = u32::from(size.cols()) * NOMINAL_CELL.0;
        let height = u32::from(size.rows()) * NOMINAL_CELL.1;
        self.put(format_args!("\x1b[4;{height};{width}t"));
    }

    /// `CSI 18 t`.
    pub(super) fn size_in_cells(&mut self, size: Size) {
        self.put(format_args!("\x1b[8;{};{}t", size.rows(), size.cols()));
    }

    fn put(&mut self, answer: std::fmt::Arguments<'_>) {
        let before = self.0.len();
        // Writing to a Vec cannot fail.
        let _ = self.0.write_fmt(answer);
        if self.0.len() > MAX_REPLIES {
            self.0.truncate(before);
        }
    }
}

/// xterm's palette; light grey on black, which is what programs assume of a terminal that does not
/// tell. 256 is the foreground, 257 the background, 258 the cursor.
fn default_color(index: usize) -> [u8; 3] {
    const ANSI: [[u8; 3]; 16] = [
        [0, 0, 0],
        [205, 0, 0],
        [0, 205, 0],
        [205, 205, 0],
        [0, 0, 238],
        [205, 0, 205],
        [0, 205, 205],
        [229, 229, 229],
        [127, 127, 127],
        [255, 0, 0],
        [0, 255, 0],
        [255, 255, 0],
        [92, 92, 255],
        [255, 0, 255],
        [0, 255, 255],
        [255, 255, 255],
    ];
    let level = |step: usize| if step == 0 { 0 } else { (55 + step * 40) as u8 };
    match index {
        0..16 => ANSI[index],
        16..232 => {
            let cube = index - 16;
            [level(cube / 36), level(cube / 6 % 6), level(cube % 6)]
        }
        232..=255 => [(8 + (index - 232) * 10) as u8; 3],
        257 => [0, 0, 0],
        _ => [229, 229, 229],
    }
}
