//! What frames cost: time to encode and to decode, and bytes, which are printed first.
//!
//! `cargo bench -p pillion-screen --bench codec`

#![allow(
    clippy::disallowed_methods,
    reason = "what is made ready between two frames must not be measured"
)]

use std::{fmt::Write as _, hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use pillion_screen::{Decoder, EncodedFrame, Encoder, Size, Terminal};

/// A program at work: what it writes for each frame.
struct Scene {
    name: &'static str,
    size: (u16, u16),
    /// What is on the screen before.
    start: fn() -> String,
    /// What changes with the nth frame.
    step: fn(usize) -> String,
}

const SCENES: [Scene; 5] = [
    Scene {
        name: "echo",
        size: (80, 24),
        start: prompt,
        step: |n| {
            char::from(b'a' + (n % 26) as u8).to_string() + if n % 60 == 59 { "\r\n$ " } else { "" }
        },
    },
    Scene {
        name: "line",
        size: (80, 24),
        start: prompt,
        step: log_line,
    },
    Scene {
        name: "vim_page",
        size: (100, 40),
        start: || "\x1b[?1049h\x1b[2J".to_owned(),
        step: vim_page,
    },
    Scene {
        name: "htop",
        size: (120, 40),
        start: || "\x1b[?1049h\x1b[2J\x1b[?25l".to_owned(),
        step: htop,
    },
    Scene {
        name: "flood",
        size: (80, 24),
        start: String::new,
        step: |n| (0..200).map(|line| log_line(n * 200 + line)).collect(),
    },
];

/// Pseudo-random, the same every run.
fn noise(n: usize) -> usize {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % 1000
}

fn prompt() -> String {
    let lines = (0..30).map(log_line);
    lines.collect::<String>() + "\x1b[1;32mann@host\x1b[0m:\x1b[1;34m~/src\x1b[0m$ "
}

fn log_line(n: usize) -> String {
    format!(
        "2026-11-20T12:{:02}:{:02}.{:03}Z INFO request served path=/api/v1/items/{} status=200\r\n",
        n / 60 % 60,
        n % 60,
        noise(n),
        noise(n + 1)
    )
}

/// A page of source in colours, with line numbers and a status line.
fn vim_page(n: usize) -> String {
    const LINES: [&str; 6] = [
        "\x1b[35mpub fn\x1b[m \x1b[34mencode\x1b[m(&\x1b[35mmut\x1b[m self, reset: \x1b[32mbool\x1b[m) {",
        "    \x1b[35mlet\x1b[m size = self.next.size;",
        "    \x1b[38;5;244m// Rows that moved are not sent again.\x1b[m",
        "    self.body.clear();",
        "    \x1b[35mfor\x1b[m row \x1b[35min\x1b[m &\x1b[35mmut\x1b[m self.rows { \x1b[31m\"text\"\x1b[m; }",
        "}",
    ];
    let mut out = "\x1b[?25l".to_owned();
    for y in 0..38 {
        let line = n * 36 + y;
        let text = LINES[(line + noise(line / 7)) % LINES.len()];
        let _ = write!(
            out,
            "\x1b[{};1H\x1b[33m{:4} \x1b[m{text} {}\x1b[K",
            y + 1,
            line + 1,
            noise(line)
        );
    }
    let _ = write!(
        out,
        "\x1b[39;1H\x1b[7m src/encode.rs {:40}{},1\x1b[K\x1b[m\x1b[1;6H\x1b[?25h",
        "",
        n * 36 + 1
    );
    out
}

/// Meters and processes, some of whose numbers change.
fn htop(n: usize) -> String {
    let mut out = String::new();
    for cpu in 0..4 {
        let load = noise(n * 4 + cpu) % 50;
        let _ = write!(
            out,
            "\x1b[{};1H\x1b[36m{cpu:3}\x1b[39m\x1b[1m[\x1b[0;32m{}\x1b[39m{}\x1b[90m{:3}.{}%\x1b[39;1m]\x1b[m",
            cpu + 1,
            "|".repeat(load),
            " ".repeat(50 - load),
            load * 2,
            n % 10
        );
    }
    let _ = write!(
        out,
        "\x1b[6;1H\x1b[30;42m  PID USER      PRI  NI  VIRT   RES   SHR S CPU% MEM%   TIME+  Command\x1b[K\x1b[m"
    );
    for row in 0..32 {
        let moving = if row < 8 {
            noise(n + row)
        } else {
            noise(row) / 40
        };
        let command = [
            "/usr/bin/python3 serve.py",
            "/lib/systemd/systemd --user",
            "postgres: writer",
            "vim notes",
        ][row % 4];
        let _ = write!(
            out,
            "\x1b[{};1H{:5} \x1b[90mann\x1b[39m        20   0 \x1b[36m{:4}M\x1b[39m {:4}M  \x1b[90m12M\x1b[39m S {:3}.{} {:3}.1 {:2}:{:02}.{:02} \x1b[32m{command}\x1b[39m\x1b[K",
            row + 7,
            1000 + row * 37,
            900 + row,
            noise(row),
            moving / 10,
            moving % 10,
            row % 7,
            row,
            (n + row) % 60,
            moving % 100
        );
    }
    let _ = write!(
        out,
        "\x1b[40;1HF1\x1b[30;46mHelp  \x1b[mF2\x1b[30;46mSetup \x1b[mF10\x1b[30;46mQuit\x1b[K\x1b[m"
    );
    out
}

impl Scene {
    /// A terminal and an encoder in the middle of it.
    fn started(&self) -> (Terminal, Encoder) {
        let mut terminal = Terminal::new(Size::clamped(self.size.0, self.size.1));
        let mut encoder = Encoder::new();
        terminal.feed((self.start)().as_bytes());
        terminal.feed((self.step)(0).as_bytes());
        encoder.encode(&mut terminal, true);
        (terminal, encoder)
    }

    fn frames(&self, count: usize) -> (EncodedFrame, Vec<EncodedFrame>) {
        let (mut terminal, mut encoder) = self.started();
        let snapshot = encoder.snapshot();
        let frames = (1..=count)
            .filter_map(|n| {
                terminal.feed((self.step)(n).as_bytes());
                while terminal.take_history().is_some() {}
                encoder.encode(&mut terminal, n == 1)
            })
            .collect();
        (snapshot, frames)
    }
}

fn bytes() {
    println!(
        "{:10} {:>9} {:>9} {:>9} {:>9}",
        "scene", "output", "body", "wire", "snapshot"
    );
    for scene in &SCENES {
        let (snapshot, frames) = scene.frames(100);
        // The first one resets the context.
        let frames = &frames[1..];
        let output: usize = (2..=100).map(|n| (scene.step)(n).len()).sum();
        let median = |size: fn(&EncodedFrame) -> usize| {
            let mut sizes: Vec<usize> = frames.iter().map(size).collect();
            sizes.sort_unstable();
            sizes[sizes.len() / 2]
        };
        println!(
            "{:10} {:9} {:9} {:9} {:9}",
            scene.name,
            output / frames.len(),
            median(|frame| frame.raw.len()),
            median(|frame| frame.wire.len()),
            snapshot.wire.len()
        );
    }
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500));
    for scene in &SCENES {
        let (mut terminal, mut encoder) = scene.started();
        let mut n = 0;
        group.bench_function(scene.name, |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    n += 1;
                    terminal.feed((scene.step)(n).as_bytes());
                    while terminal.take_history().is_some() {}
                    let before = std::time::Instant::now();
                    black_box(encoder.encode(&mut terminal, false));
                    spent += before.elapsed();
                }
                spent
            })
        });
        group.bench_function(format!("{}_snapshot", scene.name), |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    // A frame makes the encoder forget the snapshot it has.
                    encoder.encode(&mut terminal, true);
                    let before = std::time::Instant::now();
                    black_box(encoder.snapshot());
                    spent += before.elapsed();
                }
                spent
            })
        });
    }
    group.finish();
}

fn decode(c: &mut Criterion) {
    const FRAMES: usize = 50;
    let mut group = c.benchmark_group("decode");
    group
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500));
    for scene in &SCENES {
        let (snapshot, frames) = scene.frames(FRAMES);
        group.bench_function(format!("{}_{}_frames", scene.name, frames.len()), |b| {
            b.iter_batched_ref(
                || {
                    let mut decoder = Decoder::new();
                    decoder.snapshot(&snapshot.wire).map(|()| decoder)
                },
                |decoder| {
                    for frame in &frames {
                        if let Ok(decoder) = decoder {
                            black_box(decoder.frame(&frame.wire, frame.reset)).ok();
                        }
                    }
                },
                BatchSize::SmallInput,
            )
        });
        group.bench_function(format!("{}_snapshot", scene.name), |b| {
            let mut decoder = Decoder::new();
            b.iter(|| black_box(decoder.snapshot(&snapshot.wire)).is_ok())
        });
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    bytes();
    encode(c);
    decode(c);
}

criterion_group!(benches, all);
criterion_main!(benches);
