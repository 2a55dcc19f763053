//! How fast a terminal takes a program's output, history included, beside the bare emulator
//! (alacritty_terminal with the same margin and no history kept).
//!
//! `cargo bench -p pillion-screen --bench terminal`; throughput is bytes of output per second.

use std::{hint::black_box, time::Duration};

use alacritty_terminal::{
    Term,
    event::VoidListener,
    grid::Dimensions,
    term::{Config, test::TermSize},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pillion_screen::{Screen, Size, Terminal};
use vte::ansi::Processor;

const COLS: u16 = 80;
const ROWS: u16 = 24;
/// Bytes per run.
const TOTAL: usize = 4 << 20;
/// Bytes per read, as a busy PTY's reader collects them.
const PIECE: usize = 64 << 10;

/// A generator of numbers that are the same every run (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

fn filled(mut more: impl FnMut(&mut Numbers, &mut Vec<u8>)) -> Vec<u8> {
    let mut numbers = Numbers(7);
    let mut out = Vec::with_capacity(TOTAL + 1024);
    while out.len() < TOTAL {
        more(&mut numbers, &mut out);
    }
    out
}

fn word(numbers: &mut Numbers, out: &mut Vec<u8>) {
    for _ in 0..=numbers.below(9) {
        out.push(b'a' + numbers.below(26) as u8);
    }
    out.push(b' ');
}

/// Lines of 0 to 120 characters: some wrap.
fn ascii() -> Vec<u8> {
    filled(|numbers, out| {
        for _ in 0..numbers.below(22) {
            word(numbers, out);
        }
        out.extend_from_slice(b"\r\n");
    })
}

fn yes() -> Vec<u8> {
    filled(|_, out| out.extend_from_slice(b"y\r\n"))
}

/// Like a compiler or `ls --color`: a colour every word or two.
fn colour() -> Vec<u8> {
    filled(|numbers, out| {
        for _ in 0..numbers.below(10) {
            let (bold, colour) = (numbers.below(2), 30 + numbers.below(8));
            out.extend_from_slice(format!("\x1b[{bold};{colour}m").as_bytes());
            word(numbers, out);
            out.extend_from_slice(b"\x1b[0m");
            word(numbers, out);
        }
        out.extend_from_slice(b"\r\n");
    })
}

fn unicode() -> Vec<u8> {
    const WORDS: [&str; 8] = [
        "привет",
        "漢字仮名",
        "naïve",
        "→",
        "ελληνικά",
        "e\u{301}",
        "日本",
        "😀",
    ];
    filled(|numbers, out| {
        for _ in 0..numbers.below(12) {
            out.extend_from_slice(WORDS[numbers.below(8) as usize].as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(b"\r\n");
    })
}

/// A full-screen program: somewhere, a short word, somewhere else.
fn motion() -> Vec<u8> {
    filled(|numbers, out| {
        let (y, x) = (1 + numbers.below(24), 1 + numbers.below(80));
        out.extend_from_slice(format!("\x1b[{y};{x}H").as_bytes());
        word(numbers, out);
        if numbers.below(8) == 0 {
            out.extend_from_slice(b"\x1b[K");
        }
    })
}

fn floods(criterion: &mut Criterion) {
    let kinds = [
        ("ascii", ascii()),
        ("yes", yes()),
        ("colour", colour()),
        ("unicode", unicode()),
        ("motion", motion()),
    ];
    for (name, output) in kinds {
        let mut group = criterion.benchmark_group(name);
        group
            .throughput(Throughput::Bytes(output.len() as u64))
            .sample_size(10)
            .measurement_time(Duration::from_secs(3));
        group.bench_function("terminal with history", |bencher| {
            bencher.iter_batched_ref(
                || Terminal::new(Size::clamped(COLS, ROWS)),
                |terminal| {
                    for piece in output.chunks(PIECE) {
                        terminal.feed(piece);
                        while let Some(chunk) = terminal.take_history() {
                            black_box(chunk);
                        }
                    }
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function("bare emulator", |bencher| {
            bencher.iter_batched_ref(
                || {
                    let config = Config {
                        scrolling_history: 500,
                        ..Config::default()
                    };
                    let size = TermSize::new(usize::from(COLS), usize::from(ROWS));
                    (
                        Term::new(config, &size, VoidListener),
                        Processor::<vte::ansi::StdSyncHandler>::new(),
                    )
                },
                |(term, parser)| {
                    for piece in output.chunks(PIECE) {
                        parser.advance(term, piece);
                    }
                    black_box(term.history_size());
                },
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

/// What every frame costs before anything is encoded.
fn captures(criterion: &mut Criterion) {
    let mut terminal = Terminal::new(Size::clamped(COLS, ROWS));
    terminal.feed(&colour()[..PIECE]);
    let mut screen = Screen::blank(terminal.size());
    terminal.capture(&mut screen);
    criterion.bench_function("capture of a whole screen", |bencher| {
        bencher.iter(|| terminal.capture(black_box(&mut screen)));
    });
    terminal.take_damage();
    criterion.bench_function("keystroke echoed and captured", |bencher| {
        bencher.iter(|| {
            terminal.feed(b"x\x08");
            let damage = terminal.take_damage();
            terminal.capture_damaged(black_box(&mut screen), &damage);
        });
    });
}

criterion_group!(benches, floods, captures);
criterion_main!(benches);
