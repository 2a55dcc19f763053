//! The kitty keyboard protocol's flags, kept here because the emulator's own stack can be made to
//! panic (4,096 pushes) and forgets flags set by `CSI = u`.
//!
//! Source: <https://sw.kovidgoyal.net/kitty/keyboard-protocol/#progressive-enhancement>

use vte::ansi::{KeyboardModes, KeyboardModesApplyBehavior};

use crate::screen::Modes;

/// Most entries kept; the oldest is dropped. Nested programs use one each.
const MAX_DEPTH: usize = 64;

/// One screen's flags and stack; the primary and the alternate screen have their own.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    flags: KeyboardModes,
    stack: Vec<KeyboardModes>,
}

impl Keyboard {
    pub(super) fn flags(&self) -> KeyboardModes {
        self.flags
    }

    /// `CSI = flags ; how u`
    pub(super) fn set(&mut self, flags: KeyboardModes, how: KeyboardModesApplyBehavior) {
        self.flags = match how {
            KeyboardModesApplyBehavior::Replace => flags,
            KeyboardModesApplyBehavior::Union => self.flags | flags,
            KeyboardModesApplyBehavior::Difference => self.flags - flags,
        };
    }

    /// `CSI > flags u`
    pub(super) fn push(&mut self, flags: KeyboardModes) {
        if self.stack.len() >= MAX_DEPTH {
            self.stack.remove(0);
        }
        self.stack.push(self.flags);
        self.flags = flags;
    }

    /// `CSI < count u`
    pub(super) fn pop(&mut self, count: u16) {
        for _ in 0..count {
            match self.stack.pop() {
                Some(flags) => self.flags = flags,
                None => {
                    self.flags = KeyboardModes::NO_MODE;
                    break;
                }
            }
        }
    }

    pub(super) fn modes(&self) -> Modes {
        const PAIRS: [(KeyboardModes, Modes); 5] = [
            (
                KeyboardModes::DISAMBIGUATE_ESC_CODES,
                Modes::KITTY_DISAMBIGUATE,
            ),
            (KeyboardModes::REPORT_EVENT_TYPES, Modes::KITTY_EVENTS),
            (
                KeyboardModes::REPORT_ALTERNATE_KEYS,
                Modes::KITTY_ALTERNATES,
            ),
            (KeyboardModes::REPORT_ALL_KEYS_AS_ESC, Modes::KITTY_ALL_KEYS),
            (KeyboardModes::REPORT_ASSOCIATED_TEXT, Modes::KITTY_TEXT),
        ];
        PAIRS
            .iter()
            .filter(|(flag, _)| self.flags.contains(*flag))
            .fold(Modes::default(), |all, (_, mode)| all.union(*mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_back_when_popped() {
        let mut keyboard = Keyboard::default();
        keyboard.set(
            KeyboardModes::REPORT_EVENT_TYPES,
            KeyboardModesApplyBehavior::Union,
        );
        keyboard.push(KeyboardModes::DISAMBIGUATE_ESC_CODES);
        assert_eq!(keyboard.modes(), Modes::KITTY_DISAMBIGUATE);
        keyboard.pop(1);
        assert_eq!(keyboard.modes(), Modes::KITTY_EVENTS);
        keyboard.pop(5);
        assert_eq!(keyboard.modes(), Modes::default());
    }

    #[test]
    fn the_stack_stays_shallow() {
        let mut keyboard = Keyboard::default();
        for _ in 0..10_000 {
            keyboard.push(KeyboardModes::all());
        }
        assert_eq!(keyboard.stack.len(), MAX_DEPTH);
    }
}
