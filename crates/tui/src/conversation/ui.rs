//! A conversation that has a terminal to itself.

use pillion_screen::{CursorShape, Size};
use pillion_session::Now;

use super::{ConversationAction, ConversationContext, ConversationView};
use crate::{
    canvas::{Canvas, Caret},
    depth::Depth,
    keys::{Tokenizer, is_one_key},
    notify::Notify,
};

/// How long ESC may be the beginning of a sequence, in microseconds.
const ESC_US: u64 = 30_000;

/// The wheel and clicks are reported, and pastes are marked.
const MODES: &[u8] = b"\x1b[?1000h\x1b[?1006h\x1b[?2004h";

/// A conversation on a terminal that shows nothing else. The terminal is put on its alternate screen by the first
/// [`ConversationUi::draw`] and given back by [`ConversationUi::leave`]. Raw mode is the caller's.
#[derive(Debug)]
pub struct ConversationUi {
    view: ConversationView,
    canvas: Canvas,
    depth: Depth,
    tokenizer: Tokenizer,
    notify: Notify,
    esc_at: Option<u64>,
    entered: bool,
}

impl ConversationUi {
    /// Nothing is drawn yet.
    pub fn new(depth: Depth, size: Size) -> ConversationUi {
        ConversationUi {
            view: ConversationView::new(),
            canvas: Canvas::new(depth, size),
            depth,
            tokenizer: Tokenizer::new(),
            notify: Notify::Off,
            esc_at: None,
            entered: false,
        }
    }

    /// One that tells the desktop what the agent asks, beside its bell.
    #[must_use]
    pub fn notifying(self, notify: Notify) -> ConversationUi {
        ConversationUi { notify, ..self }
    }

    /// Takes in what the terminal sent, behind which `more` may wait to be read.
    pub fn keys(
        &mut self,
        cx: &ConversationContext<'_>,
        bytes: &[u8],
        more: bool,
    ) -> Vec<ConversationAction> {
        let alone = !more && is_one_key(&self.tokenizer, bytes);
        let mut actions = Vec::new();
        let view = &mut self.view;
        self.tokenizer.feed(bytes, |event, _| {
            actions.extend(view.on_event(cx, &event, alone));
        });
        let held = !self.tokenizer.held().is_empty();
        self.esc_at = held.then(|| cx.now.mono_us.saturating_add(ESC_US));
        actions
    }

    /// Time passed; `typed` says that something was typed that has not been read.
    pub fn tick(&mut self, cx: &ConversationContext<'_>, typed: bool) -> Vec<ConversationAction> {
        let mut actions = Vec::new();
        let view = &mut self.view;
        if self.esc_at.is_some_and(|at| cx.now.mono_us >= at) {
            self.esc_at = None;
            self.tokenizer.timeout(|event, _| {
                actions.extend(view.on_event(cx, &event, !typed));
            });
        }
        view.tick(cx.now, typed);
        actions
    }

    /// Says a sentence for a while.
    pub fn say(&mut self, now: Now, text: &str) {
        self.view.say(now, text);
    }

    /// Puts a prompt that the host refused back into the line, unless another is being written.
    pub fn give_back(&mut self, text: &str) {
        self.view.give_back(text);
    }

    /// The terminal's size changed, or it may show anything.
    pub fn resized(&mut self, size: Size) {
        self.canvas.reset(size);
    }

    /// Appends what brings the terminal from what was drawn last to what is to be seen now. Write it in one piece.
    pub fn draw(&mut self, cx: &ConversationContext<'_>, out: &mut Vec<u8>) {
        let mut also: &[u8] = b"";
        if !std::mem::replace(&mut self.entered, true) {
            self.canvas.reset(self.canvas.size());
            out.extend_from_slice(b"\x1b[?1049h");
            also = MODES;
        }
        let caret = self.view.draw(cx, self.canvas.begin());
        let caret = caret.map(|(x, y)| Caret {
            x,
            y,
            shape: CursorShape::Block,
            blink: false,
        });
        self.canvas.flush(caret, also, out);
        if let Some(asked) = self.view.take_ring() {
            out.push(0x07);
            out.extend(self.notify.sequence(&asked));
        }
    }

    /// When to call [`ConversationUi::tick`], and draw, at the latest.
    pub fn wake_at(&self, cx: &ConversationContext<'_>) -> Option<u64> {
        [self.esc_at, self.view.wake_at(cx)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Appends what gives the terminal back as it was.
    pub fn leave(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.entered) {
            out.extend_from_slice(crate::ViewerUi::restore_bytes());
            self.canvas = Canvas::new(self.depth, self.canvas.size());
        }
    }
}
