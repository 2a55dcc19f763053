//! What the person did, as bytes for the host's program.

use pillion_screen::Modes;

use crate::keys::Mouse;

/// Rows or lines per notch of the wheel, as most terminals scroll.
pub(crate) const WHEEL_ROWS: u32 = 3;

/// The mouse at a place of the host's screen, encoded as its program asked; `None` when that
/// encoding has no number for the place.
pub(crate) fn mouse(mouse: &Mouse, modes: Modes) -> Option<Vec<u8>> {
    if modes.contains(Modes::MOUSE_SGR) {
        let Mouse { button, x, y, .. } = mouse;
        let last = if mouse.release { 'm' } else { 'M' };
        return Some(format!("\x1b[<{button};{};{}{last}", x + 1, y + 1).into_bytes());
    }
    // The older encodings don't tell which button was released.
    let button = match mouse.release {
        true => mouse.button & !0b11 | 0b11,
        false => mouse.button,
    };
    let values = [button, mouse.x + 1, mouse.y + 1].map(|value| u32::from(value) + 32);
    let mut out = b"\x1b[M".to_vec();
    for value in values {
        if modes.contains(Modes::MOUSE_UTF8) {
            let ch = char::from_u32(value).filter(|_| value < 0x800)?;
            out.extend_from_slice(ch.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            out.push(u8::try_from(value).ok()?);
        }
    }
    Some(out)
}

/// The wheel as cursor keys, as terminals send them on the alternate screen (mode 1007).
pub(crate) fn wheel_arrows(rows: i32, modes: Modes) -> Vec<u8> {
    let between = if modes.contains(Modes::APP_CURSOR) {
        b'O'
    } else {
        b'['
    };
    let arrow = if rows < 0 { b'A' } else { b'B' };
    [0x1b, between, arrow].repeat(WHEEL_ROWS as usize)
}

/// Pasted text, which must not be able to end the paste it is in: nothing of it may begin an escape
/// sequence, neither ESC nor the C1 control CSI, raw or in UTF-8 (GHSA-h62m-39wp-xq3w).
#[derive(Debug, Default)]
pub(crate) struct PasteFilter {
    /// The first byte of U+009B's UTF-8 was kept back.
    half: bool,
}

impl PasteFilter {
    /// Appends what may pass of the next piece.
    pub(crate) fn pass(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for &byte in piece {
            let half = std::mem::replace(&mut self.half, byte == 0xc2);
            if half && byte != 0x9b {
                out.push(0xc2);
            }
            if !(matches!(byte, 0x1b | 0xc2) || half && byte == 0x9b) {
                out.push(byte);
            }
        }
    }

    /// The paste is over.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.half) {
            out.push(0xc2);
        }
    }
}
