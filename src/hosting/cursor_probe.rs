//! Where on the host's terminal the program begins.
//!
//! The emulator starts blank, the host's terminal does not: there is a prompt, a command line, our
//! greeting. So the terminal is asked where its cursor is (DSR 6), and the emulator's is put there; what
//! is above stays the terminal's own. In the last row there would be nothing below or above it that the
//! emulator knows, and a notice could not be taken away again; so one row is made room for. A terminal that
//! does not answer is scrolled blank, which loses nothing and makes the two agree as well.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pillion_screen::Size;
use pillion_source::{HoldMode, Keys, TtyWriter};

/// How long a terminal is waited for: one across the world answers within.
const PATIENCE: Duration = Duration::from_millis(500);

/// The most that is looked through for the answer, in bytes: what was typed ahead.
const MAX_TYPED: usize = 4096;

/// Where the program begins.
pub struct InitialCursor {
    /// What puts the emulator's cursor where the terminal's is.
    pub cursor: Bytes,
    /// What was typed meanwhile.
    pub typed: Bytes,
}

/// Asks the terminal for its cursor; `size` is the terminal's.
pub async fn ask(writer: &TtyWriter, keys: &mut Keys, size: Size) -> InitialCursor {
    let mut hold = writer.hold(HoldMode::Wait).await;
    let mut typed = BytesMut::new();
    let answer = tokio::time::timeout(PATIENCE, async {
        hold.draw(b"\x1b[6n").await.ok()?;
        loop {
            typed.extend_from_slice(&keys.read().await.ok()??);
            if let Some((at, end, row, col)) = find_report(&typed) {
                let rest = typed.split_off(end);
                typed.truncate(at);
                typed.unsplit(rest);
                return Some((row, col));
            }
            if typed.len() > MAX_TYPED {
                return None;
            }
        }
    });
    let cursor: Bytes = match answer.await {
        Ok(Some((row, col))) if row == size.rows() && row > 1 => {
            let up = format!("\r\n\x1b[{};{col}H", row - 1);
            // As below.
            let _ = tokio::time::timeout(PATIENCE, hold.draw(up.as_bytes())).await;
            format!("\x1b[{};{col}H", row - 1).into()
        }
        Ok(Some((row, col))) => format!("\x1b[{row};{col}H").into(),
        _ => {
            let blank = "\r\n".repeat(usize::from(size.rows())) + "\x1b[H";
            // A terminal that is gone is noticed by the one who writes next.
            let _ = tokio::time::timeout(PATIENCE, hold.draw(blank.as_bytes())).await;
            Bytes::new()
        }
    };
    InitialCursor {
        cursor,
        typed: typed.freeze(),
    }
}

/// The first cursor position report, `CSI row ; column R`: where it begins and ends, and what it says.
fn find_report(bytes: &[u8]) -> Option<(usize, usize, u16, u16)> {
    let starts = bytes
        .windows(2)
        .enumerate()
        .filter(|(_, two)| two == b"\x1b[")
        .map(|(at, _)| at);
    for at in starts {
        let body = &bytes[at + 2..];
        let Some(length) = body
            .iter()
            .position(|byte| !byte.is_ascii_digit() && *byte != b';')
        else {
            continue;
        };
        if body[length] != b'R' {
            continue;
        }
        let Ok(text) = std::str::from_utf8(&body[..length]) else {
            continue;
        };
        if let Some((row, col)) = text.split_once(';')
            && let (Ok(row), Ok(col)) = (row.parse(), col.parse())
        {
            return Some((at, at + 2 + length + 1, row, col));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_found_among_what_was_typed_ahead() {
        assert_eq!(find_report(b"ls\x1b[A\x1b[12;5Rpwd"), Some((5, 12, 12, 5)));
        assert_eq!(find_report(b"\x1b[1;1R"), Some((0, 6, 1, 1)));
    }

    #[test]
    fn other_sequences_are_no_report() {
        for bytes in [
            &b"\x1b[12;5"[..],
            b"\x1b[A",
            b"\x1b[R",
            b"\x1b[1;99999999R",
            b"",
            b"\x1b[",
        ] {
            assert_eq!(find_report(bytes), None, "{bytes:?}");
        }
    }
}
