//! The modes of the viewer's terminal: those the host's program asked for while the viewer types,
//! and always the wheel.

use pillion_screen::Modes;

/// Modes we may have switched on; the default is a terminal as a shell leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TerminalModes {
    /// The mouse mode, 1000, 1002 or 1003; 0: none.
    pub(crate) mouse: u16,
    pub(crate) paste: bool,
    pub(crate) focus: bool,
    pub(crate) app_cursor: bool,
    pub(crate) app_keypad: bool,
    /// Kitty's keyboard flags; 0: nothing pushed.
    pub(crate) kitty: u32,
}

impl TerminalModes {
    /// For who only watches: the wheel scrolls. Terminals select text as ever while Shift is held.
    pub(crate) const WATCHING: TerminalModes = TerminalModes {
        mouse: 1000,
        paste: false,
        focus: false,
        app_cursor: false,
        app_keypad: false,
        kitty: 0,
    };

    /// For who types into a program that set `modes`. Alternate scroll (1007) isn't switched on: the
    /// wheel is reported to us, and we send the arrows (terminals differ in its default, and none
    /// tells it to who would restore it).
    pub(crate) fn typing(modes: Modes) -> TerminalModes {
        let has = |mode| modes.contains(mode);
        TerminalModes {
            mouse: match () {
                () if has(Modes::MOUSE_MOTION) => 1003,
                () if has(Modes::MOUSE_DRAG) => 1002,
                () => 1000,
            },
            paste: has(Modes::BRACKETED_PASTE),
            focus: has(Modes::FOCUS),
            app_cursor: has(Modes::APP_CURSOR),
            app_keypad: has(Modes::APP_KEYPAD),
            kitty: kitty_flags(modes),
        }
    }

    /// Appends what brings the terminal from these modes to `to`.
    pub(crate) fn change(&mut self, to: TerminalModes, out: &mut Vec<u8>) {
        let from = std::mem::replace(self, to);
        if from.mouse != to.mouse {
            if from.mouse != 0 {
                out.extend_from_slice(format!("\x1b[?{}l", from.mouse).as_bytes());
            }
            match to.mouse {
                0 => out.extend_from_slice(b"\x1b[?1006l"),
                mode => out.extend_from_slice(format!("\x1b[?{mode}h\x1b[?1006h").as_bytes()),
            }
        }
        for (before, after, on, off) in [
            (from.paste, to.paste, "\x1b[?2004h", "\x1b[?2004l"),
            (from.focus, to.focus, "\x1b[?1004h", "\x1b[?1004l"),
            (from.app_cursor, to.app_cursor, "\x1b[?1h", "\x1b[?1l"),
            (from.app_keypad, to.app_keypad, "\x1b=", "\x1b>"),
        ] {
            if before != after {
                out.extend_from_slice(if after { on } else { off }.as_bytes());
            }
        }
        match (from.kitty, to.kitty) {
            (before, after) if before == after => {}
            (0, flags) => out.extend_from_slice(format!("\x1b[>{flags}u").as_bytes()),
            (_, 0) => out.extend_from_slice(b"\x1b[<u"),
            (_, flags) => out.extend_from_slice(format!("\x1b[={flags}u").as_bytes()),
        }
    }
}

/// The protocol's numbers: 1, 2, 4, 8, 16.
fn kitty_flags(modes: Modes) -> u32 {
    [
        Modes::KITTY_DISAMBIGUATE,
        Modes::KITTY_EVENTS,
        Modes::KITTY_ALTERNATES,
        Modes::KITTY_ALL_KEYS,
        Modes::KITTY_TEXT,
    ]
    .into_iter()
    .enumerate()
    .filter(|(_, mode)| modes.contains(*mode))
    .map(|(bit, _)| 1 << bit)
    .sum()
}
