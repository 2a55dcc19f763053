//! What is left of a session after its host was killed, its disk filled up, or its files were cut
//! and damaged.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

#[path = "../../../tests/common/skip.rs"]
mod skip;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pillion_store::{
    CONTROL_SOCKET, Health, HistoryChunk, Keep, ReadError, SessionLog, SessionMeta, SessionReader,
    SessionState, StoreError, list, prune, remove,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

fn meta(id: &str) -> SessionMeta {
    SessionMeta {
        id: id.to_owned(),
        name: "a name".to_owned(),
        started_unix_ms: 1,
        command: "sh".to_owned(),
        cols: 80,
        rows: 24,
        host: "host".to_owned(),
        pid: 1,
        runs: 1,
    }
}

fn root() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("sessions");
    (temp, root)
}

fn segment(root: &Path, number: u32) -> PathBuf {
    root.join(format!("s/{number:06}.seg"))
}

/// Everything readable, by the three ways there are.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Content {
    frames: Vec<(u64, Vec<u8>)>,
    history: Vec<HistoryChunk>,
    events: Vec<Vec<u8>>,
}

fn content(reader: &SessionReader) -> Content {
    let sound = |e: &ReadError| assert!(matches!(e, ReadError::Damaged(_)), "{e}");
    Content {
        frames: reader
            .frames(0, 0)
            .filter_map(|frame| frame.inspect_err(sound).ok())
            .map(|frame| (frame.number, frame.bytes))
            .collect(),
        history: reader.history_range(0, 0, u32::MAX, usize::MAX).unwrap(),
        events: reader
            .events(0)
            .filter_map(|event| event.inspect_err(sound).ok())
            .map(|event| event.bytes)
            .collect(),
    }
}

fn read(root: &Path) -> Content {
    content(&SessionReader::open(root, "s").unwrap())
}

impl Content {
    fn is_prefix_of(&self, whole: &Content) -> bool {
        whole.frames.starts_with(&self.frames)
            && whole.history.starts_with(&self.history)
            && whole.events.starts_with(&self.events)
    }

    fn records(&self) -> usize {
        self.frames.len() + self.history.len() + self.events.len()
    }
}

/// A small log of one segment with all kinds of records; the session then counts as crashed.
fn small_log(root: &Path) -> Content {
    let mut log = SessionLog::create(root, meta("s")).unwrap();
    for n in 0..6_u64 {
        log.append_frame(0, n * 2, n, format!("frame {n}").as_bytes())
            .unwrap();
        log.append_event(n, format!("event {n}").as_bytes())
            .unwrap();
        let lines = format!("line of history {n}\n").repeat(20);
        log.append_history(0, n * 20, 20, n, lines.as_bytes())
            .unwrap();
        log.flush(Instant::now());
    }
    drop(log);
    read(root)
}

/// A log of several segments, with frames and history among each other.
fn large_log(root: &Path) {
    let mut log = SessionLog::create(root, meta("s")).unwrap();
    let mut noise = 1_u64;
    let mut bytes = vec![0; 60_000];
    for n in 0..700_u64 {
        for byte in &mut bytes {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (noise >> 56) as u8;
        }
        log.append_history(0, n * 10, 10, n, &bytes).unwrap();
        log.append_frame(0, n, n, &bytes[..100]).unwrap();
        log.append_frame(7, n, n, &bytes[..50]).unwrap();
        if n % 100 == 0 {
            log.append_event(n, &n.to_le_bytes()).unwrap();
        }
    }
    log.end(9, "done").unwrap();
    assert!(segment(root, 3).exists() && !segment(root, 4).exists());
}

#[test]
fn a_log_cut_anywhere_reads_as_what_was_whole_by_then() {
    let (_temp, root) = root();
    let whole = small_log(&root);
    assert_eq!(whole.records(), 18);
    let bytes = std::fs::read(segment(&root, 1)).unwrap();
    let mut before = 0;
    for cut in 0..=bytes.len() {
        std::fs::write(segment(&root, 1), &bytes[..cut]).unwrap();
        let reader = SessionReader::open(&root, "s").unwrap();
        let found = content(&reader);
        assert!(found.is_prefix_of(&whole), "cut at {cut}");
        assert!(found.records() >= before, "cut at {cut}");
        // Either a record ends here, or the reader says that something is left out.
        let between = cut == 0 || cut == 16 || found.records() > before;
        assert_eq!(reader.torn_tail().is_none(), between, "cut at {cut}");
        if let Some(damage) = reader.torn_tail() {
            assert_eq!(damage.offset + damage.bytes, cut as u64);
        }
        before = found.records();
    }
    assert_eq!(before, 18);
}

#[test]
fn going_on_after_a_cut_keeps_what_was_whole_and_adds_to_it() {
    let (_temp, root) = root();
    let whole = small_log(&root);
    let bytes = std::fs::read(segment(&root, 1)).unwrap();
    for cut in (0..20).chain((20..=bytes.len()).step_by(97)) {
        let _ = std::fs::remove_file(segment(&root, 2));
        std::fs::write(segment(&root, 1), &bytes[..cut]).unwrap();
        let left = read(&root);
        let mut log = SessionLog::reopen(&root, "s").unwrap();
        let (frame, line) = (log.next_frame(0), log.next_line(0));
        log.append_frame(0, frame, 0, b"later").unwrap();
        log.append_history(0, line, 1, 0, b"later").unwrap();
        log.end(0, "").unwrap();
        let reader = SessionReader::open(&root, "s").unwrap();
        assert_eq!(reader.torn_tail(), None);
        let found = content(&reader);
        assert!(
            left.is_prefix_of(&whole) && left.is_prefix_of(&found),
            "cut at {cut}"
        );
        assert_eq!(found.records(), left.records() + 2, "cut at {cut}");
        if (1..16).contains(&cut) {
            // No segment 1 is left, and the new one took its number.
            assert!(!segment(&root, 2).exists());
        }
        std::fs::write(segment(&root, 1), &bytes).unwrap();
    }
}

#[test]
fn a_damaged_log_reads_as_a_prefix_and_never_as_garbage() {
    let (_temp, root) = root();
    let whole = small_log(&root);
    let good = std::fs::read(segment(&root, 1)).unwrap();
    let flips = prop::collection::vec((0..good.len(), 1..=255_u8), 1..4);
    let cuts = good.len() * 7 / 8..=good.len();
    let extra = prop::collection::vec(any::<u8>(), 0..60);
    let config = ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&(flips, cuts, extra), |(flips, cut, extra)| {
            let mut bytes = good.clone();
            for (at, with) in flips {
                bytes[at] ^= with;
            }
            bytes.truncate(cut);
            bytes.extend(extra);
            std::fs::write(segment(&root, 1), &bytes).unwrap();
            match SessionReader::open(&root, "s") {
                Ok(reader) => prop_assert!(content(&reader).is_prefix_of(&whole)),
                // The version's two bytes were hit.
                Err(e) => prop_assert!(
                    matches!(e, StoreError::Newer { .. } | StoreError::Older { .. }),
                    "{e}"
                ),
            }
            Ok(())
        })
        .unwrap();
}

/// Every file of a session, with what is in it.
fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(root.join("s"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_log_of_the_format_before_is_refused_and_left_as_it_is() {
    let (_temp, root) = root();
    let mut log = SessionLog::create(&root, meta("s")).unwrap();
    log.append_event(1, b"an event").unwrap();
    log.end(2, "done").unwrap();
    let good = files(&root);
    let meta = root.join("s/meta.json");
    let described = std::fs::read_to_string(&meta).unwrap();
    assert!(described.contains("\"version\":2"), "{described}");

    // By its description, and by a segment alone.
    let older = described.replace("\"version\":2", "\"version\":1");
    let mut segment_of_before = std::fs::read(segment(&root, 1)).unwrap();
    segment_of_before[8] = 1;
    for (path, bytes) in [
        (meta, older.into_bytes()),
        (segment(&root, 1), segment_of_before),
    ] {
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let before = files(&root);
        for error in [
            SessionReader::open(&root, "s").err(),
            SessionLog::reopen(&root, "s").err(),
        ] {
            let error = error.expect("a log of the format before was opened");
            assert!(
                matches!(
                    error,
                    StoreError::Older {
                        found: 1,
                        known: 2,
                        ..
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().contains("nothing in it was changed"));
        }
        assert_eq!(files(&root), before);
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(files(&root), good);
    assert!(SessionReader::open(&root, "s").is_ok());
}

#[test]
fn the_index_only_saves_time() {
    let (_temp, root) = root();
    large_log(&root);
    let index = root.join("s/index.redb");
    let whole = read(&root);
    assert_eq!(whole.records(), 700 + 700 + 7);
    let good = std::fs::read(&index).unwrap();
    let probe = |what: &str| {
        let reader = SessionReader::open(&root, "s").unwrap();
        assert_eq!(reader.tracks(), [0, 7], "{what}");
        assert_eq!(reader.next_line(0), 7000, "{what}");
        for from in [0, 1, 9, 10, 2999, 3000, 6999] {
            let found = reader.history_range(0, from, 25, usize::MAX).unwrap();
            let first = (from / 10) as usize;
            assert_eq!(
                found,
                whole.history[first..(first + 3).min(700)],
                "{what}, line {from}"
            );
        }
        for from in [0, 1, 350, 699] {
            let numbers: Vec<u64> = reader.frames(7, from).map(|f| f.unwrap().number).collect();
            assert!(
                numbers.iter().copied().eq(from..700),
                "{what}, frame {from}"
            );
        }
        assert_eq!(reader.frames(7, 700).count(), 0);
        assert_eq!(reader.events(3).count(), 4);
    };
    probe("as it was left");

    std::fs::remove_file(&index).unwrap();
    probe("removed");
    assert!(index.exists(), "made again for the next reader");
    probe("made again");

    std::fs::write(&index, b"").unwrap();
    probe("empty");
    for size in [1, 100, 4096, good.len() / 2, good.len() - 1] {
        write_private(&index, &good[..size]);
        probe("cut short");
    }
    let mut seed = 7_usize;
    for _ in 0..40 {
        let mut bad = good.clone();
        for _ in 0..20 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = (seed >> 20) % bad.len();
            bad[at] ^= (seed >> 8) as u8 | 1;
        }
        write_private(&index, &bad);
        probe("damaged");
    }

    // One of another session, sound in itself: its entries point anywhere.
    let (_other_temp, other) = self::root();
    let mut log = SessionLog::create(&other, meta("s")).unwrap();
    for n in 0..3_000 {
        log.append_frame(7, n * 3, 0, &[n as u8; 90]).unwrap();
        log.append_history(0, n * 5, 5, 0, &good[n as usize * 100..][..20_000])
            .unwrap();
    }
    log.end(0, "").unwrap();
    if let Ok(foreign) = std::fs::read(other.join("s/index.redb")) {
        write_private(&index, &foreign);
        let reader = SessionReader::open(&root, "s").unwrap();
        let found = reader.history_range(0, 3000, 25, usize::MAX).unwrap();
        assert_eq!(found, whole.history[300..303]);
    }
}

/// Replaces a file's content, its mode kept.
fn write_private(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_stale_index_is_caught_up() {
    let (_temp, root) = root();
    large_log(&root);
    let stale = std::fs::read(root.join("s/index.redb")).unwrap();
    let mut log = SessionLog::reopen(&root, "s").unwrap();
    for n in 700..1400 {
        log.append_frame(7, n, 0, &stale[n as usize * 7..][..30_000])
            .unwrap();
    }
    log.end(0, "").unwrap();
    write_private(&root.join("s/index.redb"), &stale);
    let reader = SessionReader::open(&root, "s").unwrap();
    let numbers: Vec<u64> = reader.frames(7, 690).map(|f| f.unwrap().number).collect();
    assert!(numbers.into_iter().eq(690..1400));
}

#[test]
fn live_ended_and_crashed_are_told_apart() {
    let (_temp, root) = root();
    assert_eq!(list(&root).unwrap(), []);
    let live = SessionLog::create(&root, meta("live")).unwrap();
    SessionLog::create(&root, meta("ended"))
        .unwrap()
        .end(77, "the shell exited")
        .unwrap();
    let mut crashed = SessionLog::create(&root, meta("crashed")).unwrap();
    crashed.append_event(0, b"x").unwrap();
    drop(crashed);
    std::fs::create_dir(root.join("not-a-session")).unwrap();
    std::fs::write(root.join("file"), "").unwrap();

    let state = |id: &str| {
        let sessions = list(&root).unwrap();
        assert_eq!(sessions.len(), 3);
        sessions
            .into_iter()
            .find(|s| s.meta.id == id)
            .unwrap()
            .state
    };
    assert_eq!(state("live"), SessionState::Live);
    let reason = "the shell exited".to_owned();
    assert_eq!(state("ended"), SessionState::Ended { at_ms: 77, reason });
    let SessionState::Crashed { last_ms } = state("crashed") else {
        panic!("{:?}", state("crashed"));
    };
    assert!(last_ms > 1_600_000_000_000);

    assert!(matches!(
        SessionLog::create(&root, meta("ended")),
        Err(StoreError::Exists { .. })
    ));
    assert!(matches!(
        SessionLog::reopen(&root, "live"),
        Err(StoreError::Live { .. })
    ));
    assert!(matches!(
        remove(&root, "live"),
        Err(StoreError::Live { .. })
    ));
    assert!(matches!(
        remove(&root, "none"),
        Err(StoreError::NoSession { .. })
    ));
    for id in [
        "",
        "..",
        "../x",
        "-x",
        "A",
        "not a session",
        &"x".repeat(65),
    ] {
        assert!(matches!(remove(&root, id), Err(StoreError::BadId)), "{id}");
        assert!(SessionLog::create(&root, meta(id)).is_err(), "{id}");
    }
    live.write_document("key", b"secret").unwrap();
    drop(live);
    remove(&root, "live").unwrap();
    assert!(!root.join("live").exists());
}

#[test]
fn the_socket_of_a_killed_host_goes_when_somebody_looks_and_a_running_ones_stays() {
    let (_temp, root) = root();
    let socket = |id: &str| root.join(id).join(CONTROL_SOCKET);
    let looks: [&dyn Fn(); 2] = [&|| drop(list(&root).unwrap()), &|| {
        drop(SessionReader::open(&root, "s").unwrap())
    }];
    for look in looks {
        let runs = SessionLog::create(&root, meta("s")).unwrap();
        let listener = UnixListener::bind(socket("s")).unwrap();
        look();
        assert!(socket("s").exists());
        // As a kill leaves it: the file is there, and nobody listens or holds the lock.
        drop((runs, listener));
        assert!(socket("s").exists());
        look();
        assert!(!socket("s").exists());
        remove(&root, "s").unwrap();
    }
}

#[test]
fn removing_leaves_what_is_not_ours() {
    let (_temp, root) = root();
    let log = SessionLog::create(&root, meta("s")).unwrap();
    log.write_document("key", b"secret").unwrap();
    log.end(0, "").unwrap();
    std::fs::write(root.join("s/thesis.txt"), "years of work").unwrap();
    let said = remove(&root, "s").unwrap_err().to_string();
    assert!(said.contains("thesis.txt"), "{said}");
    assert!(root.join("s/thesis.txt").exists());
    assert!(!root.join("s/key.doc").exists());
}

#[test]
fn pruning_takes_the_longest_ended_first_and_no_live_one() {
    let (_temp, root) = root();
    let live = SessionLog::create(&root, meta("live")).unwrap();
    for n in 0..5_u64 {
        let mut log = SessionLog::create(&root, meta(&format!("s{n}"))).unwrap();
        log.append_event(0, &[n as u8; 200]).unwrap();
        log.end(1_000_000 + n * 1000, "").unwrap();
    }
    let now = 1_005_000;
    let left = || -> Vec<String> {
        list(&root)
            .unwrap()
            .into_iter()
            .map(|s| s.meta.id)
            .collect()
    };
    assert_eq!(prune(&root, Keep::default(), now).unwrap(), [""; 0]);
    let age = Keep {
        max_age: Some(Duration::from_millis(4500)),
        ..Keep::default()
    };
    assert_eq!(prune(&root, age, now).unwrap(), ["s0"]);
    let count = Keep {
        max_sessions: Some(3),
        ..Keep::default()
    };
    assert_eq!(prune(&root, count, now).unwrap(), ["s1"]);
    let each = list(&root)
        .unwrap()
        .iter()
        .find(|s| s.meta.id == "s4")
        .unwrap()
        .bytes;
    let bytes = Keep {
        max_bytes: Some(2 * each),
        ..Keep::default()
    };
    assert_eq!(prune(&root, bytes, now).unwrap(), ["s2"]);
    assert_eq!(left(), ["live", "s3", "s4"]);
    let nothing = Keep {
        max_sessions: Some(0),
        ..Keep::default()
    };
    prune(&root, nothing, now).unwrap();
    assert_eq!(left(), ["live"]);
    drop(live);
}

/// The other side of the next test: a host that records as fast as it can, until killed.
#[test]
fn child_that_records_until_killed() {
    let Ok(root) = std::env::var("PILLION_STORE_TEST_ROOT") else {
        return;
    };
    let mut log = SessionLog::create(Path::new(&root), meta("s")).unwrap();
    log.open_ledger().unwrap().0.append(&[b"durable"]).unwrap();
    let mut out = std::io::stdout();
    let mut flushed = (0, Instant::now());
    for n in 0_u64.. {
        log.append_frame(0, n, n, format!("frame {n} ").repeat(20).as_bytes())
            .unwrap();
        log.append_history(0, n * 3, 3, n, format!("lines {n}\n").repeat(50).as_bytes())
            .unwrap();
        let now = Instant::now();
        log.flush_if_due(now);
        log.sync_if_due(now);
        // What was appended 50 ms ago must survive now.
        if now.duration_since(flushed.1) >= Duration::from_millis(50) {
            writeln!(out, "acknowledged {}", flushed.0).unwrap();
            flushed = (n, now);
        }
    }
}

#[test]
fn a_killed_host_loses_at_most_the_last_50_ms() {
    let (_temp, root) = root();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_records_until_killed", "--nocapture"])
        .env("PILLION_STORE_TEST_ROOT", &root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..8 {
        let number = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("acknowledged ")?.1.trim().parse().ok());
        acknowledged = number.expect("the child died by itself");
    }
    assert_eq!(list(&root).unwrap()[0].state, SessionState::Live);
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had said by the time it died.
    for line in lines.map_while(Result::ok) {
        if let Some((_, number)) = line.split_once("acknowledged ") {
            acknowledged = number.trim().parse().unwrap_or(acknowledged);
        }
    }
    assert!(acknowledged > 0);

    assert!(matches!(
        list(&root).unwrap()[0].state,
        SessionState::Crashed { .. }
    ));
    let reader = SessionReader::open(&root, "s").unwrap();
    let found = content(&reader);
    assert!(
        found.frames.len() as u64 >= acknowledged,
        "{} frames",
        found.frames.len()
    );
    for (n, (number, bytes)) in found.frames.iter().enumerate() {
        assert_eq!(*number, n as u64);
        assert_eq!(*bytes, format!("frame {n} ").repeat(20).into_bytes());
    }
    assert!(found.history.len() as u64 >= acknowledged);
    for (n, chunk) in found.history.iter().enumerate() {
        assert_eq!((chunk.first, chunk.count), (n as u64 * 3, 3));
        assert_eq!(chunk.bytes, format!("lines {n}\n").repeat(50).into_bytes());
    }
    assert_eq!(reader.ledger().unwrap(), [b"durable"]);
}

/// The other side of the next test: a host whose files may have 1 MiB (`ulimit -f`).
#[test]
fn child_with_a_file_size_limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let Ok(root) = std::env::var("PILLION_STORE_TEST_LIMITED_ROOT") else {
        return;
    };
    let limit = Some(1 << 20);
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: limit,
            maximum: limit,
        },
    )
    .unwrap();
    let mut log = SessionLog::create(Path::new(&root), meta("s")).unwrap();
    for n in 0..700_u64 {
        let bytes: Vec<u8> = (0..10_000_u64)
            .map(|i| (noise(n * 10_000 + i) >> 56) as u8)
            .collect();
        log.append_frame(0, n, 0, &bytes).unwrap();
    }
    assert_eq!(log.health(), Health::Good);
    log.end(0, "").unwrap();
}

#[test]
fn a_file_size_limit_makes_smaller_segments() {
    let (_temp, root) = root();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_a_file_size_limit"])
        .env("PILLION_STORE_TEST_LIMITED_ROOT", &root)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let reader = SessionReader::open(&root, "s").unwrap();
    let numbers: Vec<u64> = reader.frames(0, 0).map(|f| f.unwrap().number).collect();
    assert!(numbers.into_iter().eq(0..700));
    assert!(segment(&root, 7).exists());
}

/// A real full file system: a tmpfs of 2 MiB.
#[test]
fn a_full_file_system_stops_neither_the_log_nor_the_session() {
    let temp = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs"])
        .arg(temp.path())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        skip::skip("mounting a small tmpfs needs root");
        return;
    }
    let _unmount = Unmount(temp.path().to_owned());
    let root = temp.path().join("sessions");
    let mut log = SessionLog::create(&root, meta("s")).unwrap();
    let ballast = temp.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let mut now = Instant::now();
    let mut n = 0;
    let frame = |n: u64| -> Vec<u8> {
        (0..5_000_u64)
            .map(|i| ((n * 5000 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect()
    };
    while log.health() == Health::Good {
        log.append_frame(0, n, 0, &frame(n)).unwrap();
        n += 1;
        now += Duration::from_secs(1);
        log.flush_if_due(now);
        assert!(n < 1000, "2 MiB took 5 MB");
    }
    let (mut ledger, _) = log.open_ledger().unwrap();
    assert!(ledger.append(&[[1; 60_000]]).is_err());
    assert!(log.write_document("key", &[1; 500_000]).is_err());
    assert_eq!(log.read_document("key").unwrap(), None);
    std::fs::remove_file(&ballast).unwrap();
    log.flush_if_due(now + Duration::from_secs(2));
    assert_eq!(log.health(), Health::Good);
    ledger.append(&[b"use"]).unwrap();
    log.end(0, "").unwrap();
    let reader = SessionReader::open(&root, "s").unwrap();
    let frames: Vec<_> = reader.frames(0, 0).map(|f| f.unwrap()).collect();
    assert_eq!(frames.len() as u64, n);
    assert!(frames.iter().all(|f| f.bytes == frame(f.number)));
    assert_eq!(reader.ledger().unwrap(), [b"use"]);
}

/// A number that looks like no other.
fn noise(n: u64) -> u64 {
    (n ^ (n >> 7))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
        .wrapping_mul(0xd6e8_feb8_6659_fd93)
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn state(root: &Path) -> SessionState {
    let sessions = list(root).unwrap();
    let [one] = &sessions[..] else {
        panic!("not one session: {sessions:?}")
    };
    one.state.clone()
}

#[test]
fn a_session_that_stopped_begins_again_where_it_was() {
    let (_temp, root) = root();
    let mut log = SessionLog::create(&root, meta("s")).unwrap();
    log.write_document("session-key", b"secret").unwrap();
    log.open_ledger()
        .unwrap()
        .0
        .append(&[b"used once"])
        .unwrap();
    log.append_event(1, b"came").unwrap();
    log.append_frame(0, 7, 1, b"frame").unwrap();
    log.append_history(0, 0, 3, 1, b"lines").unwrap();
    log.end(5, "the shell exited").unwrap();
    let ended = SessionState::Ended {
        at_ms: 5,
        reason: "the shell exited".to_owned(),
    };
    let before = read(&root);

    // Taken up and given up again, it is what it was.
    let log = SessionLog::reopen(&root, "s").unwrap();
    assert_eq!(state(&root), SessionState::Live);
    drop(log);
    assert_eq!(state(&root), ended);

    let mut log = SessionLog::reopen(&root, "s").unwrap();
    log.begin_again(SessionMeta {
        id: "other".to_owned(),
        name: "another name".to_owned(),
        started_unix_ms: 99,
        pid: 2,
        ..meta("s")
    })
    .unwrap();
    let again = SessionMeta {
        name: "another name".to_owned(),
        pid: 2,
        runs: 2,
        ..meta("s")
    };
    assert_eq!(log.meta(), &again);
    assert!(matches!(
        SessionLog::reopen(&root, "s"),
        Err(StoreError::Live { .. })
    ));
    assert_eq!(
        log.read_document("session-key").unwrap().unwrap(),
        b"secret"
    );
    let (mut ledger, entries) = log.open_ledger().unwrap();
    assert_eq!(entries, [b"used once"]);
    ledger.append(&[b"barred"]).unwrap();
    log.append_event(6, b"came again").unwrap();
    // A run has tracks of its own, so its numbers begin again.
    log.append_frame(16, 1, 6, b"frame of the second run")
        .unwrap();
    drop(log);

    // Its end was of the run before: this one was killed.
    assert!(matches!(state(&root), SessionState::Crashed { .. }));
    let reader = SessionReader::open(&root, "s").unwrap();
    assert_eq!(reader.meta(), &again);
    assert_eq!(reader.ledger().unwrap().len(), 2);
    assert_eq!(reader.tracks(), [0, 16]);
    let found = content(&reader);
    assert!(before.is_prefix_of(&found));
    assert_eq!(found.events, [&b"came"[..], b"came again"]);
}

#[test]
fn killed_while_it_begins_again_a_session_can_begin_once_more() {
    let (_temp, root) = root();
    SessionLog::create(&root, meta("s"))
        .unwrap()
        .end(5, "")
        .unwrap();
    let end = std::fs::read(root.join("s/end.json")).unwrap();
    let again = |root: &Path| {
        let mut log = SessionLog::reopen(root, "s").unwrap();
        log.begin_again(meta("s")).unwrap();
        log.meta().runs
    };
    assert_eq!(again(&root), 2);
    // As if killed before its end was forgotten, and amidst the writing of what it is.
    write_private(&root.join("s/end.json"), &end);
    write_private(&root.join("s/meta.json.tmp"), b"{\"vers");
    assert!(matches!(state(&root), SessionState::Ended { at_ms: 5, .. }));
    assert_eq!(again(&root), 3);
    assert!(matches!(state(&root), SessionState::Crashed { .. }));
}

/// What one run does before it is killed or ends.
#[derive(Debug, Clone)]
struct Lived {
    events: u8,
    entries: u8,
    lines: u8,
    /// Ends in good order, or has so many bytes cut off its last segment as a power loss might.
    cut: Option<u16>,
}

fn lived() -> impl Strategy<Value = Lived> {
    let cut = prop_oneof![Just(None), (0..400_u16).prop_map(Some)];
    (0..6_u8, 0..4_u8, 0..6_u8, cut).prop_map(|(events, entries, lines, cut)| Lived {
        events,
        entries,
        lines,
        cut,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_often_it_is_killed_and_begun_again_no_run_loses_what_an_earlier_one_kept(
        runs in prop::collection::vec(lived(), 1..6),
    ) {
        let (_temp, root) = root();
        drop(SessionLog::create(&root, meta("s")).unwrap());
        let mut ledger: Vec<Vec<u8>> = Vec::new();
        let mut kept = read(&root);
        for (run, lived) in runs.iter().enumerate() {
            let mut log = SessionLog::reopen(&root, "s").unwrap();
            log.begin_again(meta("s")).unwrap();
            prop_assert_eq!(log.meta().runs as usize, run + 2);
            let (mut writer, entries) = log.open_ledger().unwrap();
            prop_assert_eq!(&entries, &ledger);
            for n in 0..lived.events {
                log.append_event(0, format!("event {n} of run {run}").as_bytes()).unwrap();
            }
            for n in 0..lived.entries {
                let entry = format!("entry {n} of run {run}").into_bytes();
                writer.append(&[&entry]).unwrap();
                ledger.push(entry);
            }
            for n in 0..lived.lines {
                let first = log.next_line(0);
                log.append_history(0, first, 1, 0, &[n; 50]).unwrap();
                log.append_frame(0, log.next_frame(0), 0, &[n; 20]).unwrap();
            }
            match lived.cut {
                None => log.end(1, "ended").unwrap(),
                Some(cut) => {
                    drop(log);
                    let last = (1..).take_while(|n| segment(&root, *n).exists()).last().unwrap();
                    let bytes = std::fs::read(segment(&root, last)).unwrap();
                    let left = bytes.len().saturating_sub(cut.into());
                    std::fs::write(segment(&root, last), &bytes[..left]).unwrap();
                }
            }
            prop_assert_eq!(matches!(state(&root), SessionState::Ended { .. }), lived.cut.is_none());
            let now = read(&root);
            prop_assert!(kept.is_prefix_of(&now), "{:?} after {:?}", now, kept);
            if lived.cut.is_none() {
                let added = usize::from(lived.events) + 2 * usize::from(lived.lines);
                prop_assert_eq!(now.frames.len() - kept.frames.len(), usize::from(lived.lines));
                prop_assert!(now.records() <= kept.records() + added);
                prop_assert_eq!(now.events.len() - kept.events.len(), usize::from(lived.events));
            }
            kept = now;
        }
        prop_assert_eq!(SessionReader::open(&root, "s").unwrap().ledger().unwrap(), ledger);
    }
}
