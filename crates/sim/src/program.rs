//! The program behind the host: what it writes, and what it makes of what is typed.
//!
//! Every line of a flood carries a number that only rises, so that history can be checked without
//! the emulator's help.

use std::{collections::VecDeque, fmt::Write as _};

use bytes::Bytes;

use crate::rng::Dice;

/// A program that behaves like several.
pub struct Program {
    /// Output that was not read yet.
    pending: VecDeque<Bytes>,
    line: u64,
    /// It shows what is typed.
    pub echoes: bool,
    /// It reads nothing until then, in microseconds.
    pub deaf_until_us: u64,
    /// Terminal queries it made.
    pub queries: u64,
    /// Input is read a little at a time, each so much later, in microseconds.
    pub write_delay_us: u64,
    alternate: bool,
}

impl Program {
    /// A program that has written nothing yet.
    pub fn new(dice: &mut Dice) -> Program {
        Program {
            pending: VecDeque::new(),
            line: 0,
            echoes: !dice.one_in(4),
            deaf_until_us: 0,
            queries: 0,
            write_delay_us: *dice.pick(&[0, 0, 50, 5_000]),
            alternate: false,
        }
    }

    /// The next piece of output, and whether more is waiting.
    pub fn read(&mut self) -> Option<(Bytes, bool)> {
        let bytes = self.pending.pop_front()?;
        Some((bytes, !self.pending.is_empty()))
    }

    /// Whether there is output to read.
    pub fn has_output(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Input reached the program.
    pub fn typed(&mut self, bytes: &Bytes) {
        if self.echoes && bytes.len() < 4096 {
            self.pending.push_back(bytes.clone());
        }
    }

    /// Does one thing.
    pub fn act(&mut self, dice: &mut Dice) {
        let act = dice.weighted(&[
            (8, 0),
            (8, 1),
            (6, 2),
            (5, 3),
            (3, 4),
            (3, 5),
            (2, 6),
            (2, 7),
            (2, 8),
            (1, 9),
        ]);
        let mut out = String::new();
        match act {
            0 => {
                out.push_str(dice.text(&["a", "ok ", "\r", "\x08", "$ ", "é", "字", "\r\n", "\t"]))
            }
            1 => self.lines(dice, 30, &mut out),
            2 => self.edit(dice, &mut out),
            3 => self.scroll(dice, &mut out),
            4 => self.lines(dice, 600, &mut out),
            5 => self.modes(dice, &mut out),
            6 => self.query(dice, &mut out),
            7 => self.synchronized(dice, &mut out),
            8 => self.alternate(dice, &mut out),
            _ => return self.garbage(dice),
        }
        self.write(dice, out.as_bytes());
    }

    /// Leaves everything as a program should that ends.
    pub fn settle(&mut self, dice: &mut Dice) {
        // CAN, then out of a synchronized update and of a string that may be open.
        let mut out = String::from("\x18\x1b\\\x1b[?2026l\x1b[0m");
        if dice.one_in(2) {
            self.lines(dice, 5, &mut out);
        }
        self.write(dice, out.as_bytes());
    }

    fn write(&mut self, dice: &mut Dice, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let most = match dice.below(8) {
                0 => dice.range(1, 30),
                1 => dice.range(30, 1000),
                _ => 8 * 1024,
            };
            let (piece, rest) = bytes.split_at(bytes.len().min(most as usize));
            self.pending.push_back(Bytes::copy_from_slice(piece));
            bytes = rest;
        }
    }

    /// Numbered lines, on the main screen only: elsewhere they would never become history.
    fn lines(&mut self, dice: &mut Dice, most: u64, out: &mut String) {
        // From the bottom: over what stands there they would come before older ones.
        out.push_str("\x1b[r\x1b[999;1H\r\n");
        let long = dice.one_in(12);
        for _ in 0..dice.range(1, most) {
            self.line += 1;
            let length = match long {
                true => dice.below(700),
                false => dice.below(100),
            };
            let colour = dice.below(16);
            if colour < 8 {
                let _ = write!(out, "\x1b[3{colour}m");
            }
            let _ = write!(out, "\r#{:08} ", self.line);
            for at in 0..length {
                out.push(char::from(b'a' + ((at + self.line) % 26) as u8));
            }
            if dice.one_in(9) {
                out.push_str(dice.text(&[
                    "漢字",
                    "e\u{301}",
                    "👍",
                    "\x1b]8;;https://a.example/\x1b\\link\x1b]8;;\x1b\\",
                ]));
            }
            out.push_str("\x1b[m\r\n");
        }
    }

    /// Full-screen edits, as an editor makes them.
    fn edit(&mut self, dice: &mut Dice, out: &mut String) {
        for _ in 0..dice.range(1, 12) {
            let (row, col) = (dice.range(1, 60), dice.range(1, 100));
            let _ = write!(out, "\x1b[{row};{col}H");
            match dice.below(6) {
                0 => out.push_str("\x1b[K"),
                1 => {
                    let _ = write!(out, "\x1b[{}X", dice.range(1, 50));
                }
                2 => {
                    let _ = write!(out, "\x1b[{}P", dice.range(1, 10));
                }
                3 => {
                    let _ = write!(out, "\x1b[{}@", dice.range(1, 10));
                }
                _ => {
                    let _ = write!(
                        out,
                        "\x1b[48;5;{}mtext {}\x1b[m",
                        dice.below(256),
                        dice.below(1000)
                    );
                }
            }
        }
    }

    fn scroll(&mut self, dice: &mut Dice, out: &mut String) {
        let (top, height) = (dice.range(1, 20), dice.range(1, 30));
        let _ = write!(out, "\x1b[{top};{}r\x1b[{top}H", top + height);
        for _ in 0..dice.range(1, 5) {
            let count = dice.range(1, 6);
            let _ = write!(
                out,
                "\x1b[{count}{}moved {count}",
                dice.pick(&["S", "T", "L", "M", "\n\x1bM"])
            );
        }
        out.push_str("\x1b[r");
    }

    fn modes(&mut self, dice: &mut Dice, out: &mut String) {
        match dice.below(7) {
            0 => {
                let _ = write!(out, "\x1b]2;title {}\x07", dice.below(100));
            }
            1 => {
                let _ = write!(
                    out,
                    "\x1b[?{}{}",
                    dice.pick(&[1, 7, 25, 1000, 1002, 1006, 2004]),
                    dice.pick(&["h", "l"])
                );
            }
            2 => {
                let _ = write!(out, "\x1b[{} q", dice.below(7));
            }
            3 => {
                let _ = write!(
                    out,
                    "\x1b]4;{};rgb:12/34/{:02x}\x1b\\",
                    dice.below(256),
                    dice.below(256)
                );
            }
            4 => out.push('\x07'),
            5 => out.push_str(dice.text(&["\x1b[2J\x1b[H", "\x1b[3J", "\x1b[J"])),
            _ => out.push_str(dice.text(&["\x1b[!p", "\x1b7", "\x1b8", "\x1b="])),
        }
    }

    fn query(&mut self, dice: &mut Dice, out: &mut String) {
        self.queries += 1;
        // Ground first: in a string that is still open it would be no query.
        out.push('\x18');
        out.push_str(dice.text(&["\x1b[c", "\x1b[5n", "\x1b[6n"]));
    }

    fn synchronized(&mut self, dice: &mut Dice, out: &mut String) {
        out.push_str("\x1b[?2026h");
        self.edit(dice, out);
        if !dice.one_in(3) {
            out.push_str("\x1b[?2026l");
        }
    }

    fn alternate(&mut self, dice: &mut Dice, out: &mut String) {
        self.alternate = !self.alternate;
        out.push_str(if self.alternate {
            "\x1b[?1049h\x1b[H"
        } else {
            "\x1b[?1049l"
        });
        self.edit(dice, out);
    }

    /// Nothing in particular. Sequences that would be queries are left out.
    fn garbage(&mut self, dice: &mut Dice) {
        let bytes: [u8; 64] = dice.bytes();
        let bytes: Vec<u8> = bytes
            .into_iter()
            .filter(|byte| !b"cnZqutxR\x05?$#".contains(byte))
            .collect();
        self.write(dice, &bytes);
    }
}
