//! No output breaks the emulator, and it is the same in pieces: the first bytes choose the windows'
//! sizes and how long the pieces are, the rest is the output.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_screen::{LineId, Screen, Size, Terminal};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[cols, rows, new_cols, new_rows, piece], output)) = bytes.split_first_chunk() else {
        return;
    };
    let sizes = [(cols, rows), (new_cols, new_rows)]
        .map(|(cols, rows)| Size::clamped(u16::from(cols), u16::from(rows)));
    let run = |piece: usize| {
        let mut terminal = Terminal::new(sizes[0]);
        let mut next = LineId(0);
        let (first, second) = output.split_at(output.len() / 2);
        for (half, size) in [(first, sizes[1]), (second, sizes[0])] {
            for piece in half.chunks(piece) {
                terminal.feed(piece);
            }
            terminal.resize(size);
            while let Some(chunk) = terminal.take_history() {
                assert_eq!(chunk.first, next);
                next.0 += u64::from(chunk.count);
                chunk.lines().expect("our own history is readable");
            }
        }
        assert_eq!(terminal.failures(), 0);
        let mut screen = Screen::blank(sizes[0]);
        terminal.capture(&mut screen);
        assert_eq!(screen.lines.settled, next);
        screen
    };
    assert_eq!(run(output.len().max(1)), run(usize::from(piece).max(1)));
});
