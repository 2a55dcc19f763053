//! That a session's log has what its host sent, and that it is noticed when it has not.

use std::{fs, path::PathBuf};

use crate::harness::{Machine, SIZE};

/// A session that showed some words and ended, and the segments of its log.
fn recorded(machine: &Machine) -> Vec<PathBuf> {
    let program =
        "seq 3000; for word in one two three; do read -r x; echo evidence-$word; done; read -r x";
    let (mut host, _) = machine.share(
        SIZE,
        &["-q", "--name", "signed", "--", "bash", "-c", program],
    );
    for word in ["one", "two", "three"] {
        host.send("\r");
        host.wait_for(&format!("evidence-{word}"));
    }
    host.send("\r");
    assert_eq!(host.wait_code(), Some(0));
    let session = machine.session();
    let id = session["session"].as_str().unwrap();
    let path = machine.path("state/pillion/sessions").join(id);
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|kind| kind == "seg"))
        .collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

const SEGMENT_HEADER: usize = 16;
const RECORD_HEADER: usize = 44;
const FRAME: u8 = 1;

/// Where a frame's payload is, that holds these words as they are, in a segment.
fn frame_with(bytes: &[u8], words: &[u8]) -> Option<(usize, usize)> {
    let mut at = SEGMENT_HEADER;
    while let Some(head) = bytes.get(at..at + RECORD_HEADER) {
        let length = u32::from_le_bytes(head[4..8].try_into().unwrap()) as usize;
        let payload = at + RECORD_HEADER..at + RECORD_HEADER + length;
        let found = bytes[payload]
            .windows(words.len())
            .position(|it| it == words);
        if let Some(found) = found.filter(|_| head[12] == FRAME) {
            return Some((at, at + RECORD_HEADER + found));
        }
        at += RECORD_HEADER + length;
    }
    None
}

#[test]
fn a_log_proves_what_was_shown_and_an_altered_one_is_noticed() {
    let anna = Machine::new();
    let segments = recorded(&anna);
    let proved = anna.run(&["audit", "--verify"]);
    assert!(
        proved.contains("Every frame of terminal 0 up to "),
        "{proved}"
    );
    assert!(
        proved.contains(" lines above it is as the host signed it"),
        "{proved}"
    );
    assert!(proved.contains("vouches for it"), "{proved}");
    assert!(!proved.contains("not signed"), "{proved}");

    // Another word in one frame, and both checksums made right.
    let mut altered = 0;
    for segment in segments {
        let mut bytes = fs::read(&segment).unwrap();
        let Some((record, word)) = frame_with(&bytes, b"evidence-two") else {
            continue;
        };
        bytes[word] ^= 1;
        let length = u32::from_le_bytes(bytes[record + 4..record + 8].try_into().unwrap());
        let payload = record + RECORD_HEADER..record + RECORD_HEADER + length as usize;
        let crc = crc32(&bytes[payload]).to_le_bytes();
        bytes[record + 8..record + 12].copy_from_slice(&crc);
        let crc = crc32(&bytes[record + 4..record + RECORD_HEADER]).to_le_bytes();
        bytes[record..record + 4].copy_from_slice(&crc);
        fs::write(&segment, bytes).unwrap();
        altered += 1;
    }
    assert_eq!(altered, 1);
    let output = anna.output(&["audit", "--verify"]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}{error}");
    assert!(said.contains("is not what the host signed"), "{said}");
    assert!(error.contains("damaged or altered"), "{error}");
}
