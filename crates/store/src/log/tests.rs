//! The log against a failing disk, and its memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A disk with little room, or one that fails in worse ways.
#[derive(Clone, Default)]
pub(super) struct Disk {
    /// Bytes that still fit.
    room: Arc<AtomicU64>,
    no_cut: Arc<AtomicBool>,
}

impl Disk {
    /// Writes what fits, as a full file system does, and then fails.
    pub fn write_all_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let room = self.room.load(Ordering::Relaxed);
        let fits = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        file.write_all_at(&bytes[..fits], at)?;
        self.room.store(room - fits as u64, Ordering::Relaxed);
        match fits == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    pub fn cannot_cut(&self) -> bool {
        self.no_cut.load(Ordering::Relaxed)
    }
}

use std::time::{Duration, Instant};

use super::{Health, RETRY_EVERY, SEGMENT_BYTES, SessionLog};
use crate::read::{Gap, GapKind};
use crate::{SessionMeta, SessionReader};

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

fn new_log() -> (tempfile::TempDir, std::path::PathBuf, SessionLog) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("sessions");
    let log = SessionLog::create(&root, meta("s")).unwrap();
    (temp, root, log)
}

/// Bytes that don't compress, told by their number.
fn noise(number: u64, size: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(size)
    .collect()
}

fn frame_numbers(log: &SessionLog) -> Vec<u64> {
    log.frames(0, 0)
        .map(|frame| frame.unwrap().number)
        .collect()
}

#[test]
fn a_full_disk_costs_only_what_is_too_much_to_hold() {
    let (_temp, root, mut log) = new_log();
    let disk = Disk::default();
    disk.room.store(1000, Ordering::Relaxed);
    log.segment.disk = Some(disk.clone());
    let mut now = Instant::now();

    // The first write ends in the middle of a record.
    for number in 0..3 {
        log.append_frame(0, number, 0, &noise(number, 400)).unwrap();
    }
    log.flush(now);
    let Health::Degraded {
        error,
        held_bytes,
        lost,
    } = log.health()
    else {
        panic!("a full disk went unnoticed");
    };
    assert!(error.contains("space"), "{error}");
    assert_eq!(
        (held_bytes, lost),
        (3 * (400 + crate::record::RECORD_HEADER), vec![])
    );
    assert_eq!(frame_numbers(&log), [0, 1, 2], "what is held is readable");

    // More than may be held.
    let mut number = 3;
    while number < 60 {
        log.append_frame(0, number, 0, &noise(number, 100_000))
            .unwrap();
        log.append_history(1, number * 10, 10, 0, &noise(number, 100))
            .unwrap();
        number += 1;
        now += RETRY_EVERY;
        log.flush_if_due(now);
    }
    log.append_event(0, b"lost too").unwrap();
    let Health::Degraded {
        held_bytes, lost, ..
    } = log.health()
    else {
        panic!("the disk is still full");
    };
    assert!(held_bytes <= super::HELD_BYTES);
    let frames = lost
        .iter()
        .find(|gap| gap.kind == GapKind::Frames)
        .copied()
        .unwrap();
    assert_eq!(frames.first + frames.count, 60);
    assert!(frames.first > 30, "most of 4 MiB is held: {frames}");
    assert!(log.next_deadline().is_some(), "it goes on trying");

    // Room again.
    disk.room.store(u64::MAX, Ordering::Relaxed);
    log.flush_if_due(now + RETRY_EVERY);
    assert_eq!(log.health(), Health::Good);
    log.append_frame(0, 60, 0, b"after").unwrap();
    let mut expected: Vec<u64> = (0..frames.first).collect();
    expected.push(60);
    assert_eq!(frame_numbers(&log), expected);
    log.end(2, "done").unwrap();

    let reader = SessionReader::open(&root, "s").unwrap();
    assert_eq!(reader.torn_tail(), None);
    let read: Vec<_> = reader.frames(0, 0).map(|frame| frame.unwrap()).collect();
    assert_eq!(
        read.iter().map(|frame| frame.number).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(read[2].bytes, noise(2, 400));
    let gaps: Vec<Gap> = reader.gaps().map(|gap| gap.unwrap()).collect();
    assert_eq!(gaps, lost);
    assert_eq!(reader.events(0).count(), 0);
    let last = reader
        .history_range(1, 0, u32::MAX, usize::MAX)
        .unwrap()
        .pop()
        .unwrap();
    let history = gaps
        .iter()
        .find(|gap| gap.kind == GapKind::History)
        .unwrap();
    assert_eq!(last.first + 10, history.first);
}

#[test]
fn a_segment_that_cannot_be_cut_is_left_behind() {
    let (_temp, root, mut log) = new_log();
    let disk = Disk::default();
    disk.room.store(700, Ordering::Relaxed);
    disk.no_cut.store(true, Ordering::Relaxed);
    log.segment.disk = Some(disk);
    let now = Instant::now();
    log.append_frame(0, 0, 0, &noise(0, 100)).unwrap();
    log.flush(now);
    log.append_frame(0, 1, 0, &noise(1, 2000)).unwrap();
    log.flush(now);
    assert_ne!(log.health(), Health::Good);
    // Half of frame 1 is in the first segment; the new one has all of it.
    log.flush(now + RETRY_EVERY);
    assert_eq!(log.health(), Health::Good);
    assert_eq!(log.segments, [1, 2]);
    let read: Vec<_> = log.frames(0, 0).collect();
    assert!(
        matches!(&read[..], [Ok(_), Err(crate::ReadError::Damaged(_)), Ok(frame)] if frame.number == 1)
    );
    log.end(0, "").unwrap();
    let reader = SessionReader::open(&root, "s").unwrap();
    let damage: Vec<_> = reader.frames(0, 0).filter_map(Result::err).collect();
    assert_eq!(damage.len(), 1);
    assert!(
        damage[0].to_string().contains("000001.seg"),
        "{}",
        damage[0]
    );
}

#[test]
fn ending_on_a_full_disk_says_so_and_keeps_what_is_there() {
    let (_temp, root, mut log) = new_log();
    let disk = Disk::default();
    disk.room.store(200, Ordering::Relaxed);
    log.segment.disk = Some(disk);
    log.append_frame(0, 0, 0, b"kept").unwrap();
    log.flush(Instant::now());
    log.append_frame(0, 1, 0, &noise(1, 400)).unwrap();
    assert!(log.end(5, "").is_err());
    let reader = SessionReader::open(&root, "s").unwrap();
    assert_eq!(
        reader
            .frames(0, 0)
            .map(|f| f.unwrap().bytes)
            .collect::<Vec<_>>(),
        [b"kept"]
    );
    assert_eq!(reader.state().stopped_ms(), Some(5));
}

#[test]
fn memory_stays_bounded_over_100_mb() {
    let (_temp, _root, mut log) = new_log();
    let mut most = 0;
    let random = noise(1, 1 << 20);
    let chunk = |n: u64| &random[n as usize * 20_011 % 1_000_000..][..20_000];
    for n in 0..5_000 {
        log.append_history(0, n * 10, 10, 0, chunk(n)).unwrap();
        most = most.max(log.held_bytes());
    }
    assert!(log.segments.len() >= 100_000_000 / (SEGMENT_BYTES as usize + (1 << 20)));
    assert!(most < 2 << 20, "{most} bytes held");
    // What left memory is still there, wherever one looks.
    for from in [0, 9, 25_000, 49_990] {
        let found = log.history_read(0, from, 10, 1 << 20).run().unwrap();
        assert_eq!(found[0].first, from / 10 * 10);
        assert_eq!(found[0].bytes, chunk(from / 10));
    }
    assert!(
        log.history_read(0, 50_000, 10, 1 << 20)
            .run()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_read_finds_on_its_own_thread_what_there_was_when_it_was_prepared() {
    let (_temp, _root, mut log) = new_log();
    let random = noise(3, 1 << 20);
    let chunk = |n: u64| &random[n as usize * 20_011 % 1_000_000..][..20_000];
    let mut reads = Vec::new();
    // At every stage a chunk goes through: gathered, in a block, in a file, in a segment of before.
    for n in 0..2_500 {
        log.append_history(0, n * 10, 10, 0, chunk(n)).unwrap();
        log.append_frame(0, n, 0, &[7; 50]).unwrap();
        if n % 7 == 0 {
            log.flush(Instant::now());
        }
        if n % 37 == 0 {
            reads.extend([n, n / 2].map(|n| (n, log.history_read(0, n * 10 + 3, 20, 1 << 20))));
        }
    }
    assert!(log.segments.len() > 2);
    let found = std::thread::spawn(move || {
        reads
            .into_iter()
            .map(|(n, read)| (n, read.run().unwrap()))
            .collect::<Vec<_>>()
    });
    let found = found.join().unwrap();
    for (place, (n, chunks)) in found.iter().enumerate() {
        // The newest chunk was the last one then; from an older one on there are 20 lines.
        let expected = if place % 2 == 0 || *n == 0 { 1 } else { 2 };
        assert_eq!(chunks.len(), expected, "from chunk {n}");
        for (n, found) in (*n..).zip(chunks) {
            assert_eq!((found.first, found.count), (n * 10, 10));
            assert_eq!(found.bytes, chunk(n));
        }
    }
}

#[test]
fn nothing_waits_longer_than_promised() {
    let (_temp, root, mut log) = new_log();
    assert_eq!(log.next_deadline(), None);
    let before = Instant::now();
    log.append_history(0, 0, 1, 0, b"line").unwrap();
    log.append_frame(0, 0, 0, b"frame").unwrap();
    let due = log.next_deadline().unwrap();
    assert!(due >= before + super::FLUSH_AFTER);
    assert!(due <= Instant::now() + Duration::from_millis(50));
    log.flush_if_due(due - Duration::from_millis(1));
    assert_eq!(
        SessionReader::open(&root, "s")
            .unwrap()
            .frames(0, 0)
            .count(),
        0
    );
    log.flush_if_due(due);
    let reader = SessionReader::open(&root, "s").unwrap();
    assert_eq!(reader.frames(0, 0).count(), 1);
    assert_eq!(reader.history_range(0, 0, 9, 99).unwrap().len(), 1);
    let due = log.next_deadline().unwrap();
    assert!(due <= Instant::now() + super::SYNC_EVERY);
    log.sync_if_due(due);
    assert_eq!(log.next_deadline(), None);
}

#[test]
fn only_what_cannot_be_right_is_refused() {
    let (_temp, _root, mut log) = new_log();
    log.append_frame(0, 5, 0, b"").unwrap();
    assert!(log.append_frame(0, 5, 0, b"").is_err());
    log.append_frame(1, 5, 0, b"").unwrap();
    log.append_history(0, 7, 3, 0, b"").unwrap();
    assert!(log.append_history(0, 9, 3, 0, b"").is_err());
    assert!(log.append_history(0, 10, 0, 0, b"").is_err());
    assert!(log.append_history(0, u64::MAX, 3, 0, b"").is_err());
    assert!(
        log.append_event(0, &vec![0; crate::MAX_RECORD_BYTES + 1])
            .is_err()
    );
    log.append_event(0, &vec![0; crate::MAX_RECORD_BYTES])
        .unwrap();
    assert_eq!((log.next_frame(0), log.next_line(0)), (6, 10));
    assert_eq!(log.events(0).count(), 1);
}

#[test]
fn of_tracks_that_come_and_go_little_is_in_memory() {
    let (_temp, root, mut log) = new_log();
    let (mut most_entries, mut most_known) = (0, 0);
    for track in 0..20_000 {
        log.append_event(1, b"a track begins").unwrap();
        log.append_frame(track, 1, 1, b"a frame").unwrap();
        log.append_history(track, 0, 1, 1, b"a line").unwrap();
        log.finish_track(track);
        if track % 100 == 99 {
            log.flush(Instant::now());
        }
        while log.index.awaits_file() {
            std::thread::yield_now();
        }
        most_entries = most_entries.max(log.index.held());
        most_known = most_known.max(log.index.known_in_memory());
    }
    assert!(most_entries < 6_000, "{most_entries} of 40,000 entries");
    assert!(most_known < 6_000, "{most_known} of 40,000 tracks");
    // All of it is found again, by the log and by a reader.
    let frame = |track| log.frames(track, 0).next().unwrap().unwrap().number;
    assert_eq!([0, 9_999, 19_999].map(frame), [1; 3]);
    assert!(root.join("s/index.redb").exists());
    drop(log);
    let reader = SessionReader::open(&root, "s").unwrap();
    for track in [0, 9_999, 19_999] {
        assert_eq!(reader.frames(track, 0).count(), 1);
        let lines = reader.history_range(track, 0, 10, 1000).unwrap();
        assert_eq!(lines[0].bytes, b"a line");
    }
}
