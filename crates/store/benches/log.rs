//! Appending and reading history: 100 MB of text lines as they come in a flood, and a screenful
//! out of them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput};
use pillion_store::{SessionLog, SessionMeta};

/// What the emulator hands over at once: about one free margin of lines.
const LINES_PER_CHUNK: u32 = 400;
const FLOOD: usize = 100 << 20;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    append(&mut criterion);
    read(&mut criterion);
    criterion.final_summary();
}

/// Chunks of text lines that differ as log lines do.
fn chunks(total: usize) -> Vec<Vec<u8>> {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut size = 0;
    let mut line = 0_u64;
    let mut out = Vec::new();
    while size < total {
        let mut chunk = Vec::new();
        for _ in 0..LINES_PER_CHUNK {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            line += 1;
            let module =
                ["net::quic", "store", "session::host", "screen"][(seed >> 60) as usize % 4];
            let text = format!(
                "2026-11-20T10:{:02}:{:02}.{:06}Z  INFO {module}: request {line} took {} us, id={:08x}\n",
                line / 6000 % 60,
                line / 100 % 60,
                seed % 1_000_000,
                seed >> 8 & 0xfff,
                seed >> 32
            );
            chunk.extend_from_slice(text.as_bytes());
        }
        size += chunk.len();
        out.push(chunk);
    }
    out
}

fn new_log(dir: &tempfile::TempDir) -> SessionLog {
    let meta = SessionMeta {
        id: "bench".to_owned(),
        name: "bench".to_owned(),
        started_unix_ms: 0,
        command: "cat".to_owned(),
        cols: 80,
        rows: 24,
        host: "host".to_owned(),
        pid: std::process::id(),
        runs: 1,
    };
    SessionLog::create(&dir.path().join("sessions"), meta).expect("a log in a fresh directory")
}

/// Appends all chunks at full speed, keeping the log's deadlines.
fn flood(log: &mut SessionLog, chunks: &[Vec<u8>]) {
    let mut first = 0;
    for chunk in chunks {
        log.append_history(0, first, LINES_PER_CHUNK, 0, chunk)
            .expect("line ids rise");
        first += u64::from(LINES_PER_CHUNK);
        let now = Instant::now();
        log.flush_if_due(now);
        log.sync_if_due(now);
    }
    log.flush(Instant::now());
}

fn append(criterion: &mut Criterion) {
    let chunks = chunks(FLOOD);
    let mut group = criterion.benchmark_group("append");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .throughput(Throughput::Bytes(
            chunks.iter().map(Vec::len).sum::<usize>() as u64,
        ));
    group.bench_function("100 MB of text", |bencher| {
        bencher.iter_batched(
            || {
                let dir = tempfile::tempdir().expect("a temporary directory");
                let log = new_log(&dir);
                (dir, log)
            },
            |(dir, mut log)| {
                flood(&mut log, &chunks);
                (dir, log)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let mut group = criterion.benchmark_group("append one");
    group.bench_function("frame of 100 bytes", |bencher| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut log = new_log(&dir);
        let mut number = 0;
        bencher.iter(|| {
            log.append_frame(0, number, 0, black_box(&[7; 100]))
                .expect("numbers rise");
            number += 1;
        });
    });
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut log = new_log(&dir);
    let chunks = chunks(FLOOD);
    flood(&mut log, &chunks);
    let lines = chunks.len() as u64 * u64::from(LINES_PER_CHUNK);
    let mut group = criterion.benchmark_group("history range");
    let mut from = 0;
    group.bench_function("500 lines anywhere in 100 MB", |bencher| {
        bencher.iter(|| {
            from = (from + 7_777_777) % lines;
            let found = log
                .history_read(0, from, 500, 1 << 20)
                .run()
                .expect("a readable log");
            assert!(!found.is_empty());
            black_box(found)
        });
    });
    group.finish();
}
