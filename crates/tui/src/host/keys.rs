//! The keyboard of the host: everything goes to the program as it came and at once, but for the
//! prefix key and what follows it.

use crate::{
    keys::{Event, Key, KeyCode, Press, Tokenizer, cursor_report, first_char, is_one_key},
    prefix::Prefix,
};

/// One thing the person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostKey<'a> {
    /// For the program.
    Forward(&'a [u8]),
    /// The terminal's answer to our question where its cursor is.
    Cursor {
        /// Column, from 0.
        x: u16,
        /// Row, from 0.
        y: u16,
    },
    /// The prefix went down.
    Prefix,
    /// The prefix, then this key.
    Command(Key),
    /// For the panel, or the question's page.
    Panel {
        key: Key,
        /// It came by itself, in a read of its own: a person pressed it while they looked at the panel.
        /// What is pasted comes together.
        alone: bool,
    },
}

/// Who gets the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    /// The program.
    Program,
    /// The panel.
    Panel,
    /// A question's page. The prefix there is for the program, as if it had been pressed twice.
    Question,
}

/// Tells commands from what is for the program.
///
/// Nothing for the program is ever held back, not even the beginning of a sequence. So the prefix is
/// recognised where its encoding arrives in one piece, which is how terminals send it; should it ever
/// be cut, the program gets it as it came. What comes between the brackets of a paste is no command.
#[derive(Debug)]
pub(crate) struct HostKeys {
    prefix: Prefix,
    tokenizer: Tokenizer,
    /// How many of the tokenizer's held bytes the program has already.
    forwarded: usize,
    /// The prefix was pressed; the next key is a command.
    prefixed: bool,
    /// The program got the prefix going down, and gets it going up.
    sent_prefix: bool,
    /// A key that was for us is down: so are its repetitions and its going up.
    ours: Option<KeyCode>,
    /// How many answers to our question where the cursor is are on their way.
    reports_due: u32,
    /// How many such answers the program was given.
    reports_passed: u64,
    /// What is being read is one key.
    alone: bool,
}

impl HostKeys {
    pub(crate) fn new(prefix: Prefix) -> HostKeys {
        HostKeys {
            prefix,
            tokenizer: Tokenizer::new(),
            forwarded: 0,
            prefixed: false,
            sent_prefix: false,
            ours: None,
            reports_due: 0,
            reports_passed: 0,
            alone: false,
        }
    }

    /// The terminal is asked where its cursor is: the next answer is ours.
    pub(crate) fn expect_report(&mut self) {
        self.reports_due = self.reports_due.saturating_add(1);
    }

    /// How many such answers the program was given.
    pub(crate) fn reports_passed(&self) -> u64 {
        self.reports_passed
    }

    /// Whether the prefix was pressed, and what follows is a command.
    pub(crate) fn is_prefixed(&self) -> bool {
        self.prefixed
    }

    /// Whether [`HostKeys::timeout`] would find something to do.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.tokenizer.held().is_empty()
    }

    /// Takes what was typed, behind which `more` may wait; `each` does what it is told and says who gets the keys after that.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        more: bool,
        mut focus: Focus,
        mut each: impl FnMut(HostKey<'_>) -> Focus,
    ) {
        self.alone = focus != Focus::Program && !more && is_one_key(&self.tokenizer, bytes);
        let mut tokenizer = std::mem::take(&mut self.tokenizer);
        tokenizer.feed(bytes, |event, raw| {
            self.event(event, raw, &mut focus, &mut each)
        });
        // What may become anything goes on its way, unless it is for us in any case.
        if focus == Focus::Program && !self.prefixed && self.reports_due == 0 {
            let fresh = tokenizer.held().get(self.forwarded..).unwrap_or_default();
            if !fresh.is_empty() {
                each(HostKey::Forward(fresh));
            }
            self.forwarded = tokenizer.held().len();
        }
        self.tokenizer = tokenizer;
    }

    /// Nothing came for a while: a lone ESC is the key.
    pub(crate) fn timeout(&mut self, mut focus: Focus, mut each: impl FnMut(HostKey<'_>) -> Focus) {
        self.alone = focus != Focus::Program;
        let mut tokenizer = std::mem::take(&mut self.tokenizer);
        tokenizer.timeout(|event, raw| self.event(event, raw, &mut focus, &mut each));
        self.tokenizer = tokenizer;
    }

    fn event(
        &mut self,
        event: Event<'_>,
        raw: &[u8],
        focus: &mut Focus,
        each: &mut impl FnMut(HostKey<'_>) -> Focus,
    ) {
        let had = self.forwarded.min(raw.len());
        self.forwarded -= had;
        let fresh = raw.get(had..).unwrap_or_default();
        match event {
            Event::Key(key) if had == 0 && self.prefix.is(&key) => {
                self.prefix_key(&key, fresh, focus, each);
            }
            Event::Key(key) if key.press == Press::Up && self.ours == Some(key.code) => {
                self.ours = None;
            }
            Event::Key(key)
                if key.press == Press::Repeat
                    && self.ours == Some(key.code)
                    && *focus == Focus::Program => {}
            Event::Key(key) if key.press != Press::Up && key.code != KeyCode::Modifier => {
                self.pressed(key, fresh, focus, each);
            }
            Event::Text(text) if self.prefixed || *focus != Focus::Program => {
                self.text(text, focus, each);
            }
            // A paste is never a command, and not for the panel either.
            Event::PasteStart | Event::Paste(_) | Event::PasteEnd if *focus == Focus::Program => {
                self.prefixed = false;
                *focus = each(HostKey::Forward(fresh));
            }
            Event::PasteStart | Event::Paste(_) | Event::PasteEnd | Event::Mouse(_)
                if *focus != Focus::Program => {}
            Event::Reply => {
                let report = cursor_report(raw);
                match (report, self.reports_due) {
                    (Some((x, y)), 1..) if had == 0 => {
                        self.reports_due -= 1;
                        *focus = each(HostKey::Cursor { x, y });
                    }
                    _ => {
                        self.reports_passed += u64::from(report.is_some());
                        *focus = each(HostKey::Forward(fresh));
                    }
                }
            }
            // Answers to the program's questions, focus changes, keys going up: never for us.
            _ => {
                if !fresh.is_empty() {
                    *focus = each(HostKey::Forward(fresh));
                }
            }
        }
    }

    fn prefix_key(
        &mut self,
        key: &Key,
        raw: &[u8],
        focus: &mut Focus,
        each: &mut impl FnMut(HostKey<'_>) -> Focus,
    ) {
        match (key.press, *focus) {
            (Press::Up, _) => {
                if std::mem::take(&mut self.sent_prefix) {
                    *focus = each(HostKey::Forward(raw));
                }
            }
            // Held down it is still the same press.
            (Press::Repeat, Focus::Question) => {}
            (Press::Repeat, Focus::Program) if self.prefixed => {}
            (_, Focus::Panel) => *focus = each(self.panel(Key::plain(KeyCode::Esc))),
            (_, Focus::Question) => {
                *focus = each(self.panel(Key::plain(KeyCode::Esc)));
                self.sent_prefix = true;
                *focus = each(HostKey::Forward(raw));
            }
            (_, Focus::Program) => match std::mem::take(&mut self.prefixed) {
                true => {
                    self.sent_prefix = true;
                    *focus = each(HostKey::Forward(raw));
                }
                false => {
                    *focus = each(HostKey::Prefix);
                    self.prefixed = *focus == Focus::Program;
                }
            },
        }
    }

    fn pressed(
        &mut self,
        key: Key,
        raw: &[u8],
        focus: &mut Focus,
        each: &mut impl FnMut(HostKey<'_>) -> Focus,
    ) {
        let ours = self.prefixed || *focus != Focus::Program;
        self.ours = ours.then_some(key.code);
        *focus = if std::mem::take(&mut self.prefixed) {
            each(HostKey::Command(key))
        } else if *focus != Focus::Program {
            each(self.panel(key))
        } else if raw.is_empty() {
            return;
        } else {
            each(HostKey::Forward(raw))
        };
    }

    fn panel(&self, key: Key) -> HostKey<'static> {
        let alone = self.alone;
        HostKey::Panel { key, alone }
    }

    /// Characters of which at least the first is for us.
    fn text(
        &mut self,
        text: &[u8],
        focus: &mut Focus,
        each: &mut impl FnMut(HostKey<'_>) -> Focus,
    ) {
        let mut rest = text;
        while let Some((ch, after)) = first_char(rest) {
            if !self.prefixed && *focus == Focus::Program {
                *focus = each(HostKey::Forward(rest));
                return;
            }
            self.pressed(Key::plain(KeyCode::Char(ch)), &[], focus, each);
            rest = after;
        }
    }
}
