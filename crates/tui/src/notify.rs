//! What is told to the desktop, beside the bell.

use pillion_screen::clean::clean_title;

/// How requests, knocks and what an agent asks are told to the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Notify {
    /// Not at all.
    #[default]
    Off,
    /// OSC 9 (iTerm2, kitty, WezTerm, Windows Terminal and others).
    Osc9,
    /// OSC 777 (urxvt, foot, VTE and others).
    Osc777,
}

impl Notify {
    /// What tells a terminal to say `text` on the desktop.
    pub(crate) fn sequence(self, text: &str) -> Vec<u8> {
        // A semicolon would end the text, or begin something else.
        let text = clean_title(text, 120).replace(';', ",");
        match self {
            Notify::Off => Vec::new(),
            Notify::Osc9 => format!("\x1b]9;{text}\x07").into_bytes(),
            Notify::Osc777 => format!("\x1b]777;notify;pillion;{text}\x07").into_bytes(),
        }
    }
}

impl std::str::FromStr for Notify {
    type Err = String;

    fn from_str(text: &str) -> Result<Notify, String> {
        match text {
            "off" => Ok(Notify::Off),
            "osc9" => Ok(Notify::Osc9),
            "osc777" => Ok(Notify::Osc777),
            _ => Err(format!(
                "\"{text}\" is not a valid value; use off, osc9 or osc777"
            )),
        }
    }
}
