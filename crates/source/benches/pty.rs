//! What reading a program through this crate costs beside reading its terminal bare.
//!
//! `cargo bench -p pillion-source` prints medians and 99th percentiles of one keystroke through `cat`
//! (written, echoed, received) and the time of 50 MB of `cat`. Read the ratios within one run: the rows
//! alternate, so that a machine that changes its speed changes it for all. Criterion gives no
//! percentiles, hence a plain program.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pillion_source::{Program, Pty, Source, SourceEvent, TtyWriter};
use tokio::io::unix::AsyncFd;

const KEYS: usize = 5_000;
const ROUNDS: usize = 4;
const FLOOD: usize = 50_000_000;

fn main() {
    // `cargo test --benches` builds and starts this too: nothing is to be measured then.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    keystrokes("raw, echoed by cat", "stty raw -echo; echo ready; exec cat");
    keystrokes("cooked, echoed by the kernel", "echo ready; exec cat");
    flood();
    interrupts();
}

fn keystrokes(name: &str, script: &str) {
    println!("one keystroke, {name} ({} of them)", KEYS * ROUNDS);
    let mut rows: [(&str, Way, Vec<Duration>); 3] = [
        (
            "bare: blocking write and read on one thread",
            bare_keys,
            Vec::new(),
        ),
        (
            "read inline on the runtime (AsyncFd)",
            inline_keys,
            Vec::new(),
        ),
        ("Pty and Source", source_keys, Vec::new()),
    ];
    for _ in 0..ROUNDS {
        for (_, way, times) in &mut rows {
            way(script, times);
        }
    }
    for (row, _, mut times) in rows {
        times.sort();
        let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
        println!(
            "  {row:45} p50 {:6.1} µs   p99 {:6.1} µs",
            at(0.5),
            at(0.99)
        );
    }
}

type Way = fn(&str, &mut Vec<Duration>);

fn bare_keys(script: &str, times: &mut Vec<Duration>) {
    let (mut pty, mut child) = bare("/bin/sh", &["-c", script]);
    let mut buffer = [0; 4096];
    let mut seen = Vec::new();
    while !seen.ends_with(b"ready\r\n") && !seen.ends_with(b"ready\n") {
        let read = pty.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..read]);
    }
    for _ in 0..KEYS {
        let start = Instant::now();
        pty.write_all(b"x").unwrap();
        assert!(pty.read(&mut buffer).unwrap() > 0);
        times.push(start.elapsed());
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn inline_keys(script: &str, times: &mut Vec<Duration>) {
    let (pty, mut child) = bare("/bin/sh", &["-c", script]);
    runtime().block_on(async {
        let pty = OwnedFd::from(pty);
        rustix::io::ioctl_fionbio(&pty, true).unwrap();
        #[expect(
            deprecated,
            reason = "the replacement is unsafe, and this is the yardstick only"
        )]
        let pty = AsyncFd::new(pty).unwrap();
        let mut buffer = vec![0; 65536];
        let mut seen = Vec::new();
        while !seen.ends_with(b"ready\r\n") && !seen.ends_with(b"ready\n") {
            let read = inline_read(&pty, &mut buffer).await;
            seen.extend_from_slice(&buffer[..read]);
        }
        for _ in 0..KEYS {
            let start = Instant::now();
            rustix::io::write(&pty, b"x").unwrap();
            inline_read(&pty, &mut buffer).await;
            times.push(start.elapsed());
        }
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn inline_read(pty: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> usize {
    loop {
        let mut ready = pty.readable().await.unwrap();
        if let Ok(read) = ready.try_io(|pty| Ok(rustix::io::read(pty, &mut *buffer)?)) {
            return read.unwrap();
        }
    }
}

fn source_keys(script: &str, times: &mut Vec<Duration>) {
    runtime().block_on(async {
        let (pty, mut source) = Pty::spawn(&Program::new(["/bin/sh", "-c", script]), None).unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"ready\r\n") && !seen.ends_with(b"ready\n") {
            if let Some(SourceEvent::Output(read)) = source.next().await {
                seen.extend_from_slice(&read);
            }
        }
        for _ in 0..KEYS {
            let start = Instant::now();
            assert!(pty.write(Bytes::from_static(b"x")).unwrap().written);
            source.next().await.unwrap();
            times.push(start.elapsed());
        }
        pty.terminate(Duration::ZERO).unwrap();
        end(&mut source).await;
    });
}

fn flood() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let line = b"The quick brown fox jumps over the lazy dog, 50 MB of it, and then some more.\n";
    let text: Vec<u8> = line.iter().copied().cycle().take(FLOOD).collect();
    file.write_all(&text).unwrap();
    let path = file.path().to_str().unwrap();
    println!("{} MB of cat", FLOOD / 1_000_000);

    let mut rows: [(&str, Flood, Vec<f64>); 3] = [
        ("bare: 64 KiB reads", bare_flood, Vec::new()),
        ("Pty and Source", source_flood, Vec::new()),
        (
            "Pty and Source, passed to /dev/null",
            passed_flood,
            Vec::new(),
        ),
    ];
    for _ in 0..9 {
        for (_, way, times) in &mut rows {
            let start = Instant::now();
            way(path);
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let mut bare = None;
    for (row, _, mut times) in rows {
        times.sort_by(f64::total_cmp);
        let (best, median) = (times[0], times[times.len() / 2]);
        let (bare_best, bare_median) = *bare.get_or_insert((best, median));
        let (best_ratio, median_ratio) = (best / bare_best, median / bare_median);
        println!(
            "  {row:45} best {best:5.3} s, {best_ratio:4.2} × bare   median {median:5.3} s, {median_ratio:4.2} × bare"
        );
    }
}

type Flood = fn(&str);

fn bare_flood(path: &str) {
    let (mut pty, mut child) = bare("cat", &[path]);
    let mut buffer = vec![0; 65536];
    let mut total = 0;
    // The terminal ends with EIO once cat is gone.
    while let Ok(read) = pty.read(&mut buffer) {
        total += read;
    }
    assert!(total > FLOOD);
    child.wait().unwrap();
}

fn source_flood(path: &str) {
    flood_through(path, None);
}

fn passed_flood(path: &str) {
    let null = std::fs::File::options()
        .write(true)
        .open("/dev/null")
        .unwrap();
    flood_through(path, Some(TtyWriter::plain(null.into())));
}

fn flood_through(path: &str, tty: Option<TtyWriter>) {
    runtime().block_on(async {
        let (_pty, mut source) = Pty::spawn(&Program::new(["cat", path]), tty).unwrap();
        assert!(end(&mut source).await > FLOOD);
    });
}

async fn end(source: &mut Source) -> usize {
    let mut total = 0;
    while let Some(event) = source.next().await {
        if let SourceEvent::Output(read) = event {
            total += read.len();
        }
    }
    total
}

fn bare(name: &str, arguments: &[&str]) -> (pty_process::blocking::Pty, std::process::Child) {
    let (pty, pts) = pty_process::blocking::open().unwrap();
    let command = pty_process::blocking::Command::new(name).args(arguments);
    let child = command.spawn(pts).unwrap();
    (pty, child)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// From Ctrl-C typed under `yes` to its end, all that was printed before having been taken by a session
/// that parses 100 MB/s.
fn interrupts() {
    const TIMES: usize = 100;
    let mut times: Vec<f64> = (0..TIMES)
        .map(|_| runtime().block_on(interrupt()))
        .collect();
    times.sort_by(f64::total_cmp);
    let (p50, p90) = (times[TIMES / 2], times[TIMES * 9 / 10]);
    println!("Ctrl-C under yes ({TIMES} of them)");
    println!("  Pty and Source, 100 MB/s parsed               p50 {p50:5.2} ms   p90 {p90:5.2} ms");
}

async fn interrupt() -> f64 {
    let (pty, mut source) = Pty::spawn(&Program::new(["yes"]), None).unwrap();
    let mut total = 0;
    let mut typed = None;
    while let Some(event) = source.next().await {
        if let SourceEvent::Output(read) = event {
            total += read.len();
            let parsed = Instant::now() + Duration::from_nanos(10 * read.len() as u64);
            while Instant::now() < parsed {
                std::hint::spin_loop();
            }
        }
        if total > 5_000_000 && typed.is_none() {
            typed = Some(Instant::now());
            pty.write(Bytes::from_static(b"\x03")).unwrap();
        }
    }
    typed.unwrap().elapsed().as_secs_f64() * 1e3
}
