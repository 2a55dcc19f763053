//! A session's log as any bytes: read in every way there is, and gone on with.
#![no_main]

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pillion_store::{SessionLog, SessionMeta, SessionReader};

/// What every segment 1 starts with. Most inputs would be refused for the lack of it alone.
const START: &[u8] = b"pillseg\n\x01\0\0\0\x01\0\0\0";

fuzz_target!(|bytes: &[u8]| {
    // Where there is memory to write to, a sync costs nothing.
    let shared = Path::new("/dev/shm");
    let temp = match shared.is_dir() {
        true => tempfile::tempdir_in(shared),
        false => tempfile::tempdir(),
    };
    let temp = temp.expect("a temporary directory");
    let root = temp.path().join("sessions");
    drop(SessionLog::create(&root, meta()).expect("a new session"));
    put(&root.join("fuzz/000001.seg"), &[START, bytes].concat());
    read(&root);
    if let Ok(mut log) = SessionLog::reopen(&root, "fuzz") {
        let (frame, line) = (log.next_frame(0), log.next_line(0));
        let appended = log.append_frame(0, frame, 0, b"frame").is_ok();
        let _ = log.append_history(0, line, 1, 0, b"line");
        let _ = log.frames(0, 0).count();
        log.end(0, "fuzzed").expect("room on disk");
        let reader = SessionReader::open(&root, "fuzz").expect("what was just written");
        let last = reader.frames(0, frame).last();
        assert_eq!(last.is_some_and(|last| last.is_ok()), appended);
    }
});

fn read(root: &Path) {
    let Ok(reader) = SessionReader::open(root, "fuzz") else {
        return;
    };
    for track in reader.tracks().into_iter().take(3) {
        let _ = reader.frames(track, 0).count();
        let _ = reader.history_range(track, 0, 1000, 1 << 20);
        let _ = reader.history_range(track, u64::MAX, 1000, 1 << 20);
    }
    let _ = reader.events(0).count();
    let _ = reader.gaps().count();
}

fn put(path: &Path, bytes: &[u8]) {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).expect("room on disk");
}

fn meta() -> SessionMeta {
    SessionMeta {
        id: "fuzz".to_owned(),
        name: String::new(),
        started_unix_ms: 0,
        command: String::new(),
        cols: 80,
        rows: 24,
        host: String::new(),
        pid: 0,
        runs: 1,
    }
}
