//! A line on which somebody is named who need not be here, for the list of who may come in.

use pillion_people::{SubjectRef, SubjectText};
use pillion_proto::{Rights, limits::MAX_SUBJECT};
use pillion_screen::clean;
use pillion_session::{Command, verbs};

use crate::{
    keys::{Event, Key, KeyCode, Mods},
    text,
};

/// What is done with the one who is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Allow(Rights),
    Ban,
    Unban,
}

/// The line, with what was typed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubjectPrompt {
    purpose: Purpose,
    /// Clean, and at most [`MAX_SUBJECT`] characters.
    text: String,
    /// What came of a paste so far: a character may be in two pieces.
    pasted: Vec<u8>,
}

/// What comes of a key.
pub(crate) enum PromptOutcome {
    /// The line goes on.
    More,
    /// It goes on, and the person is told something.
    Say(String),
    /// It is given up.
    Nothing,
    /// This is to be done.
    Do(Command),
}

const ONE_AT_A_TIME: &str = "Name one at a time: what was pasted has several lines.";

const TOO_LONG: &str = "That is longer than a key, an address or a team can be.";

const LIST: &str =
    "Only the host can read a list of keys: ask for pillion allow there, or name one key.";

impl SubjectPrompt {
    /// The line that a key of the list opens.
    pub(crate) fn begin(key: char) -> Option<SubjectPrompt> {
        let purpose = match key {
            'a' => Purpose::Allow(Rights::VIEW),
            'b' => Purpose::Ban,
            'u' => Purpose::Unban,
            _ => return None,
        };
        Some(SubjectPrompt {
            purpose,
            text: String::new(),
            pasted: Vec::new(),
        })
    }

    /// What a key does.
    pub(crate) fn key(&mut self, key: &Key) -> PromptOutcome {
        match key.code {
            KeyCode::Esc => return PromptOutcome::Nothing,
            KeyCode::Enter => return self.enter(),
            KeyCode::Backspace => drop(self.text.pop()),
            KeyCode::Char('u') if key.mods == Mods::CTRL => self.text.clear(),
            KeyCode::Tab => {
                if let Purpose::Allow(right) = &mut self.purpose {
                    *right = match *right {
                        Rights::VIEW => Rights::EDIT,
                        Rights::EDIT => Rights::MANAGE,
                        _ => Rights::VIEW,
                    };
                }
            }
            KeyCode::Char(ch) if key.mods == Mods::NONE => return self.push([ch]),
            // With the shift key apart, as some programs want it told.
            KeyCode::Char(ch) if key.mods == Mods::SHIFT => return self.push(ch.to_uppercase()),
            _ => {}
        }
        PromptOutcome::More
    }

    /// A piece of a paste, its beginning or its end. Nothing is done before Enter is pressed.
    pub(crate) fn paste(&mut self, event: &Event<'_>) -> PromptOutcome {
        match event {
            Event::Paste(piece) => {
                // More than the line can hold is only counted.
                let room = (4 * MAX_SUBJECT + 1).saturating_sub(self.pasted.len());
                self.pasted.extend(piece.iter().take(room));
                PromptOutcome::More
            }
            Event::PasteEnd => {
                let pasted = std::mem::take(&mut self.pasted);
                let pasted = String::from_utf8_lossy(&pasted);
                let pasted = pasted.trim();
                if pasted.contains(['\r', '\n']) {
                    return PromptOutcome::Say(ONE_AT_A_TIME.to_owned());
                }
                self.push(pasted.chars())
            }
            _ => PromptOutcome::More,
        }
    }

    fn push(&mut self, chars: impl IntoIterator<Item = char>) -> PromptOutcome {
        let mut room = MAX_SUBJECT.saturating_sub(self.text.chars().count());
        for ch in chars {
            let ch = if ch.is_whitespace() { ' ' } else { ch };
            if !clean::is_clean_char(ch) {
                continue;
            }
            if room == 0 {
                return PromptOutcome::Say(TOO_LONG.to_owned());
            }
            room -= 1;
            self.text.push(ch);
        }
        PromptOutcome::More
    }

    fn enter(&self) -> PromptOutcome {
        let text = self.text.trim();
        if text.is_empty() {
            let text = "Name somebody: a key, ssh-ed25519 …, an e-mail address, team:KEY, or a name or number of the \
                        list.";
            return PromptOutcome::Say(text.to_owned());
        }
        let who: SubjectRef = match text.parse() {
            Ok(SubjectText::One(who)) => who,
            Ok(SubjectText::Keys(_)) => return PromptOutcome::Say(LIST.to_owned()),
            Err(error) => return PromptOutcome::Say(error.to_string()),
        };
        PromptOutcome::Do(match self.purpose {
            Purpose::Allow(right) => Command::Allow(verbs::Allow {
                target: who.into(),
                rights: right,
            }),
            Purpose::Ban => Command::Ban(verbs::Ban { target: who.into() }),
            Purpose::Unban => Command::Unban(verbs::Unban { target: who.into() }),
        })
    }

    /// The line and the keys of it, in `cols` columns. When room is short the beginning gives way.
    pub(crate) fn lines(&self, cols: usize) -> Vec<String> {
        let prompt = match self.purpose {
            Purpose::Allow(Rights::VIEW) => "Let in to watch: ",
            Purpose::Allow(Rights::EDIT) => "Let in to type: ",
            Purpose::Allow(_) => "Let in to manage: ",
            Purpose::Ban => "Block: ",
            Purpose::Unban => "Unblock: ",
        };
        let room = cols.saturating_sub(text::width(prompt) + 1);
        let mut line = format!("{prompt}{}▏", text::cut_left(&self.text, room));
        // As wide as it can get, so that the box stays where it is.
        line.extend(std::iter::repeat_n(
            ' ',
            cols.saturating_sub(text::width(&line)),
        ));
        let forms = [
            "a key",
            "ssh-ed25519 …",
            "an e-mail address",
            "team:KEY",
            "who is here",
        ];
        let keys: &[&str] = match self.purpose {
            Purpose::Allow(_) => &["Enter does it", "Tab what they may do", "Esc back"],
            Purpose::Ban | Purpose::Unban => &["Enter does it", "Esc back"],
        };
        let mut lines = vec![line];
        lines.extend(text::flow(&forms, cols, 3));
        lines.extend(text::flow(keys, cols, 2));
        lines
    }
}
