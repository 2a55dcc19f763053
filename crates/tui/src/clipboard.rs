//! The clipboard of the terminal's own machine, by OSC 52.

use data_encoding::BASE64;

/// Longest text that is offered to the clipboard, in bytes. Terminals refuse or cut what is longer
/// than they like; a ticket is far below every limit seen.
pub const MAX_CLIPBOARD: usize = 4096;

/// GNU screen hands on at most this much of one string, in bytes (its `MAXSTR` is 768, less our frame).
const SCREEN_PART: usize = 700;

/// What runs between us and the terminal that has the clipboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Multiplexer {
    /// Nothing known.
    #[default]
    None,
    /// tmux.
    Tmux,
    /// GNU screen.
    Screen,
}

impl Multiplexer {
    /// From the environment: `TMUX`, `STY`.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Multiplexer {
        let set = |name| env(name).is_some_and(|value| !value.is_empty());
        if set("TMUX") {
            Multiplexer::Tmux
        } else if set("STY") {
            Multiplexer::Screen
        } else {
            Multiplexer::None
        }
    }
}

/// The bytes that put `text` on the clipboard; empty when it is longer than [`MAX_CLIPBOARD`].
///
/// For our own use on a terminal of ours, never for what came from elsewhere. tmux takes the plain
/// form with `set-clipboard on` and the wrapped one with `allow-passthrough`; it is sent both.
pub fn clipboard(text: &str, multiplexer: Multiplexer) -> Vec<u8> {
    if text.len() > MAX_CLIPBOARD {
        return Vec::new();
    }
    // BEL and not ST at its end: the ESC of an ST would end the wrapping string.
    let plain = format!("\x1b]52;c;{}\x07", BASE64.encode(text.as_bytes()));
    match multiplexer {
        Multiplexer::None => plain.into_bytes(),
        Multiplexer::Tmux => format!("{plain}\x1bPtmux;\x1b{plain}\x1b\\").into_bytes(),
        Multiplexer::Screen => plain
            .as_bytes()
            .chunks(SCREEN_PART)
            .flat_map(|part| [b"\x1bP".as_slice(), part, b"\x1b\\"].concat())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_multiplexer_gets_its_form() {
        assert_eq!(clipboard("hi", Multiplexer::None), b"\x1b]52;c;aGk=\x07");
        assert_eq!(
            clipboard("hi", Multiplexer::Tmux),
            b"\x1b]52;c;aGk=\x07\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\"
        );
        assert_eq!(
            clipboard("hi", Multiplexer::Screen),
            b"\x1bP\x1b]52;c;aGk=\x07\x1b\\"
        );
        let long = clipboard(&"x".repeat(1000), Multiplexer::Screen);
        assert_eq!(long.windows(2).filter(|w| w == b"\x1bP").count(), 2);
    }

    #[test]
    fn too_much_is_left_out_whole() {
        assert!(!clipboard(&"x".repeat(MAX_CLIPBOARD), Multiplexer::None).is_empty());
        assert!(clipboard(&"x".repeat(MAX_CLIPBOARD + 1), Multiplexer::None).is_empty());
    }

    #[test]
    fn the_environment_tells() {
        let env = |set: &'static str| move |name: &str| (name == set).then(|| "1".to_owned());
        assert_eq!(Multiplexer::detect(env("TMUX")), Multiplexer::Tmux);
        assert_eq!(Multiplexer::detect(env("STY")), Multiplexer::Screen);
        assert_eq!(Multiplexer::detect(env("HOME")), Multiplexer::None);
    }
}
