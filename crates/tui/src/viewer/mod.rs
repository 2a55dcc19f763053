//! The full-screen viewer: a letterboxed terminal, a status line, scrollback, a few keys.
//!
//! Everything shown is composed in cells and compared with what the terminal shows already, so a key's
//! echo costs the bytes of a few cells.

mod compose;
mod conversing;
mod layout;
mod overlay;
mod participants;
mod scrollback;
mod status;
mod subject_prompt;
mod terminal_modes;
mod terminals;
mod typing;

pub(crate) use self::{compose::draw_bar, status::Piece};

use std::collections::VecDeque;

use bytes::Bytes;
use pillion_conversation::Conversation;
use pillion_proto::{ConversationRequest, Right, TrackId};
use pillion_screen::{LineId, Modes, Screen, Size, clean};
use pillion_session::{Command, HistoryLines, Now, Phase, View};

use self::{
    conversing::Conversing,
    layout::Layout,
    overlay::Overlay,
    scrollback::{Moved, Scrollback},
    subject_prompt::PromptOutcome,
    terminal_modes::TerminalModes,
    terminals::Opening,
    typing::{PasteFilter, WHEEL_ROWS},
};
use crate::{
    canvas::Canvas,
    charset::{Charset, Drawing},
    depth::Depth,
    keys::{Event, Key, KeyCode, Mods, Mouse, Press, Tokenizer, first_char, is_one_key},
    notify::Notify,
    prefix::Prefix,
};

/// How long ESC may be the beginning of a sequence, in microseconds: terminals send a sequence in
/// one piece, and ssh keeps it in one packet.
const ESC_US: u64 = 30_000;

/// How long a sentence is shown, in microseconds.
const MESSAGE_US: u64 = 6_000_000;

/// How many of the last sentences are kept to be read again.
const MAX_SAID: usize = 5;

/// How long the status line says at first what one sees, in microseconds.
const INTRO_US: u64 = 8_000_000;

/// The host's bell rings here at most this often, in microseconds.
const BELL_US: u64 = 1_000_000;

/// Ctrl-C, as a terminal in raw mode sends it.
const CTRL_C: u8 = 0x03;

/// Longest sentence shown, in characters.
const MESSAGE_CHARS: usize = 512;

/// Undoes everything a viewer may have done to its terminal, whatever the state it was in.
const RESTORE: &[u8] = concat!(
    "\x1b[?2026l",                  // a synchronized update
    "\x1b[?1000;1002;1003;1006l",   // mouse
    "\x1b[?1004;2004l",             // focus reports, bracketed paste
    "\x1b[?1l\x1b>",                // cursor keys, keypad
    "\x1b]8;;\x1b\\\x1b[m\x1b[0 q", // hyperlink, pen, cursor
    "\x1b[<u",                      // kitty's flags; they are the alternate screen's own
    "\x1b[?7h",                     // wrapping
    "\x1b[?1049l\x1b[?25h",
)
.as_bytes();

/// How a viewer's interface is set up.
#[derive(Debug, Clone, Copy)]
pub struct ViewerUiConfig {
    /// Comes before every command.
    pub prefix: Prefix,
    /// Colours of the viewer's terminal.
    pub depth: Depth,
    /// Never send input (`join --read-only`).
    pub read_only: bool,
}

/// What happens to a viewer's interface.
#[derive(Debug)]
pub enum UiInput<'a> {
    /// The person's terminal sent bytes.
    Keys(&'a [u8]),
    /// The terminal's size changed, or its content is not what we drew.
    Resized(Size),
    /// A sentence to show for a while.
    Said(&'a str),
    /// Lines that were asked for.
    History(HistoryLines),
    /// Time passed.
    Tick,
}

/// What the person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Type this into the host's program.
    Keys(Bytes),
    /// Ask for edit.
    RequestEdit,
    /// Fetch these lines.
    WantHistory {
        /// First line.
        from: LineId,
        /// How many.
        count: u32,
    },
    /// Look at this terminal; at what the host looks at, if at none.
    Look(Option<TrackId>),
    /// Open another terminal.
    OpenTerminal,
    /// Do this: the person manages the session with its host.
    Command(Command),
    /// Have the host do this with a conversation.
    Converse {
        /// Which.
        track: TrackId,
        /// What.
        request: ConversationRequest,
    },
    /// Leave the session.
    Leave,
    /// Leave what is one's own, which goes on without.
    Detach,
}

/// So long after a new frame, in microseconds, the status line is looked at if nothing else happens: what
/// the frame shows is between a key and the eye, and comes first.
const STATUS_AFTER_US: u64 = 2_000;

/// The longest it waits while frames keep coming, in microseconds.
const STATUS_WITHIN_US: u64 = 50_000;

/// A viewer's interface.
///
/// The viewer's terminal is put on its alternate screen by the first [`ViewerUi::draw`] and given back
/// by [`ViewerUi::leave`], or by [`ViewerUi::restore_bytes`] where there is no time for that. Raw mode
/// is the caller's.
///
/// The wheel is always reported to us (modes 1000 and 1006), so selecting text takes the Shift key, as
/// under every program that uses the mouse.
#[derive(Debug)]
pub struct ViewerUi {
    config: ViewerUiConfig,
    charset: Charset,
    canvas: Canvas,
    entered: bool,
    mirror: TerminalModes,
    layout: Layout,
    /// The layout, if what was drawn last was the host's screen and nothing over it.
    plain: Option<Layout>,
    tokenizer: Tokenizer,
    /// When a lone ESC is the key.
    esc_at: Option<u64>,
    /// The prefix key was pressed.
    prefixed: bool,
    /// A key that was for us is down: so are its repetitions and its going up.
    ours: Option<KeyCode>,
    overlay: Overlay,
    scrollback: Option<Scrollback>,
    message: Option<Message>,
    /// The last sentences that were shown, the newest at the end.
    said: VecDeque<String>,
    /// The status line is hidden.
    hidden: bool,
    /// What the status line says first.
    intro: Intro,
    paste: Option<Paste>,
    /// A mouse button is down in the host's program.
    dragging: bool,
    /// When the status line next says something else.
    status_at: Option<u64>,
    /// The view's version when it was drawn last.
    drawn: u64,
    /// Since when the status line waits for frames to pause.
    status_owed: Option<u64>,
    /// The host's bells heard so far, and when the next may ring here.
    bells: Option<u64>,
    bell_at: u64,
    notify: Notify,
    /// The terminal that is shown.
    shown: TrackId,
    /// A terminal that was shown while its program ran.
    lived: Option<TrackId>,
    opening: Option<Opening>,
    conversing: Conversing,
}

/// What the status line says in a viewer's first seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intro {
    /// Once there is something to see.
    Due,
    /// Until then.
    Until(u64),
    /// The status line is what it is.
    Over,
}

#[derive(Debug)]
struct Message {
    text: String,
    until: u64,
}

/// A paste under way.
#[derive(Debug, Default)]
struct Paste {
    filter: PasteFilter,
    /// The program was told that it begins.
    bracketed: bool,
}

/// What comes of one input.
#[derive(Default)]
struct Turn<'a> {
    actions: Vec<Action>,
    typed: Vec<u8>,
    /// What is shown, if that is a conversation.
    conversation: Option<&'a Conversation>,
    /// The key came by itself, with nothing typed behind it.
    alone: bool,
}

impl Turn<'_> {
    fn act(&mut self, action: Action) {
        self.flush();
        self.actions.push(action);
    }

    fn flush(&mut self) {
        if !self.typed.is_empty() {
            let typed = std::mem::take(&mut self.typed);
            self.actions.push(Action::Keys(typed.into()));
        }
    }
}

impl ViewerUi {
    /// An interface on a terminal of this size, nothing drawn yet.
    pub fn new(config: ViewerUiConfig, size: Size) -> ViewerUi {
        ViewerUi {
            config,
            charset: Charset::default(),
            canvas: Canvas::new(config.depth, size),
            entered: false,
            mirror: TerminalModes::default(),
            layout: Layout::default(),
            plain: None,
            tokenizer: Tokenizer::new(),
            esc_at: None,
            prefixed: false,
            ours: None,
            overlay: Overlay::None,
            scrollback: None,
            message: None,
            said: VecDeque::new(),
            hidden: false,
            intro: Intro::Over,
            paste: None,
            dragging: false,
            status_at: None,
            drawn: 0,
            status_owed: None,
            bells: None,
            bell_at: 0,
            notify: Notify::Off,
            shown: TrackId::default(),
            lived: None,
            opening: None,
            conversing: Conversing::default(),
        }
    }

    /// With the first seconds of the status line for who sees it for the first time: what it is, and the keys that matter.
    #[must_use]
    pub fn introduced(self) -> ViewerUi {
        ViewerUi {
            intro: Intro::Due,
            ..self
        }
    }

    /// One that tells the desktop what agents ask, beside its bell.
    #[must_use]
    pub fn notifying(self, notify: Notify) -> ViewerUi {
        ViewerUi { notify, ..self }
    }

    /// With our own signs in these characters.
    #[must_use]
    pub fn in_charset(self, charset: Charset) -> ViewerUi {
        ViewerUi { charset, ..self }
    }

    /// Takes in what happened. Draw afterwards.
    pub fn handle(&mut self, now: Now, view: &View, input: UiInput<'_>) -> Vec<Action> {
        self.handle_with(now, view, None, input)
    }

    /// The same, where a conversation is shown: of the track that the view has.
    pub fn handle_with(
        &mut self,
        now: Now,
        view: &View,
        conversation: Option<&Conversation>,
        input: UiInput<'_>,
    ) -> Vec<Action> {
        let mut turn = Turn {
            conversation,
            ..Turn::default()
        };
        self.note_shown(view);
        match input {
            UiInput::Keys(bytes) => {
                let mut tokenizer = std::mem::take(&mut self.tokenizer);
                turn.alone = !self.conversing.more && is_one_key(&tokenizer, bytes);
                tokenizer.feed(bytes, |event, raw| {
                    self.event(now, view, event, raw, &mut turn)
                });
                let held = !tokenizer.held().is_empty();
                self.tokenizer = tokenizer;
                self.esc_at = held.then(|| now.mono_us.saturating_add(ESC_US));
            }
            UiInput::Resized(size) => self.canvas.reset(size),
            UiInput::Said(text) if conversation.is_some() => {
                self.conversation_say(now, view.track.0, text);
            }
            UiInput::Said(text) => self.say(now, text),
            UiInput::History(lines) => {
                if let Some(scrollback) = &mut self.scrollback {
                    scrollback.take(lines);
                }
            }
            UiInput::Tick => self.tick(now, view, &mut turn),
        }
        if let Some(conversation) = conversation {
            self.conversation_tick(now, view, conversation);
        }
        self.look_after(now, view, &mut turn);
        turn.flush();
        turn.actions
    }

    /// Appends what brings the terminal from what was drawn last to what is to be seen now; nothing
    /// when that is the same. Write it in one piece, and all of it.
    pub fn draw(&mut self, now: Now, view: &View, out: &mut Vec<u8>) {
        self.draw_with(now, view, None, out);
    }

    /// What was read next was read while more had been typed.
    pub fn more_is_typed(&mut self, more: bool) {
        self.conversing.more = more;
    }

    /// The same, where a conversation is shown: of the track that the view has.
    pub fn draw_with(
        &mut self,
        now: Now,
        view: &View,
        conversation: Option<&Conversation>,
        out: &mut Vec<u8>,
    ) {
        let _drawing = Drawing::within(self.charset);
        if !self.entered {
            self.entered = true;
            self.canvas.reset(self.canvas.size());
            out.extend_from_slice(b"\x1b[?1049h");
        }
        self.note_shown(view);
        self.follow_intro(now, view);
        self.status_at = status::changes_at(now, view);
        if let Intro::Until(until) = self.intro {
            self.status_at = Some(self.status_at.map_or(until, |at| at.min(until)));
        }
        let caret = self.compose(now, view, conversation);
        self.drawn = view.version;
        let modes = match self.may_type(view) {
            // A line of text: a paste is one piece of it, and a key is its character.
            _ if self.overlay.naming(view).is_some() || conversation.is_some() => TerminalModes {
                paste: true,
                ..TerminalModes::WATCHING
            },
            true => view
                .screen
                .as_ref()
                .map_or(TerminalModes::WATCHING, |screen| {
                    let mirror = TerminalModes::typing(screen.modes);
                    match self.is_live() {
                        true => mirror,
                        false => TerminalModes {
                            mouse: 1000,
                            ..mirror
                        },
                    }
                }),
            false => TerminalModes::WATCHING,
        };
        let mut changes = Vec::new();
        self.mirror.change(modes, &mut changes);
        self.ring(now, view, &mut changes);
        self.canvas.flush(caret, &changes, out);
    }

    /// The bell, when it rang since it was last listened to; and once for what an agent asks.
    fn ring(&mut self, now: Now, view: &View, out: &mut Vec<u8>) {
        if let Some(asked) = self.conversing.rings.take() {
            out.push(0x07);
            out.extend(self.notify.sequence(&asked));
        }
        let Some(screen) = &view.screen else { return };
        let heard = self.bells.replace(screen.bells);
        if heard.is_some_and(|heard| heard < screen.bells) && now.mono_us >= self.bell_at {
            self.bell_at = now.mono_us.saturating_add(BELL_US);
            out.push(0x07);
        }
    }

    /// Appends what gives the terminal back as it was. Drawing again takes it again.
    pub fn leave(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.entered) {
            return;
        }
        self.mirror.change(TerminalModes::default(), out);
        out.extend_from_slice(b"\x1b]8;;\x1b\\\x1b[m\x1b[0 q\x1b[?7h\x1b[?1049l\x1b[?25h");
        let size = self.canvas.size();
        self.canvas = Canvas::new(self.config.depth, size);
    }

    /// When to call `handle` with a [`UiInput::Tick`], and draw, at the latest, on
    /// [`Now::mono_us`]'s clock.
    pub fn wake_at(&self) -> Option<u64> {
        [
            self.esc_at,
            self.message.as_ref().map(|message| message.until),
            self.scrollback.as_ref().and_then(Scrollback::wake_at),
            self.status_at,
            self.conversing.wake_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What gives a terminal back whatever the interface did to it, for panic hooks and signals.
    pub const fn restore_bytes() -> &'static [u8] {
        RESTORE
    }

    fn may_type(&self, view: &View) -> bool {
        view.rights.has(Right::Type) && !self.config.read_only
    }

    /// Whether keys are for the host's program.
    fn is_live(&self) -> bool {
        self.scrollback.is_none() && self.overlay == Overlay::None
    }

    fn say(&mut self, now: Now, text: &str) {
        let text = clean::clean_text(text, MESSAGE_CHARS);
        let until = now.mono_us.saturating_add(MESSAGE_US);
        if !text.is_empty() && self.said.back() != Some(&text) {
            if self.said.len() == MAX_SAID {
                self.said.pop_front();
            }
            self.said.push_back(text.clone());
        }
        self.message = (!text.is_empty()).then_some(Message { text, until });
    }

    /// Whether the status line says what a viewer sees who has just come.
    fn introduces(&self, now: Now, view: &View) -> bool {
        let watches = !self.may_type(view) && !view.asking && view.phase == Phase::Live;
        matches!(self.intro, Intro::Until(until) if now.mono_us < until) && watches
    }

    /// The first seconds begin with the first screen, and end with them or when the person has another interest.
    fn follow_intro(&mut self, now: Now, view: &View) {
        self.intro = match self.intro {
            Intro::Due if view.screen.is_some() && view.phase == Phase::Live => {
                Intro::Until(now.mono_us.saturating_add(INTRO_US))
            }
            Intro::Until(_) if self.prefixed || self.may_type(view) || view.asking => Intro::Over,
            Intro::Until(until) if now.mono_us >= until => Intro::Over,
            intro => intro,
        };
    }

    fn tick(&mut self, now: Now, view: &View, turn: &mut Turn<'_>) {
        if self.esc_at.is_some_and(|at| now.mono_us >= at) {
            self.esc_at = None;
            let mut tokenizer = std::mem::take(&mut self.tokenizer);
            tokenizer.timeout(|event, raw| self.event(now, view, event, raw, turn));
            self.tokenizer = tokenizer;
        }
    }

    /// What is due whatever happened.
    fn look_after(&mut self, now: Now, view: &View, turn: &mut Turn<'_>) {
        if turn.conversation.is_none() {
            self.conversing.wake_at = None;
        }
        if self
            .message
            .as_ref()
            .is_some_and(|message| now.mono_us >= message.until)
        {
            self.message = None;
        }
        self.follow_intro(now, view);
        self.watch_terminals(now, view, turn);
        let connected = matches!(view.phase, Phase::Live | Phase::Stalled { .. });
        if let (Some(scrollback), Some(screen)) = (&mut self.scrollback, &view.screen) {
            scrollback.forget_before(screen.lines.oldest);
            if !connected {
                scrollback.disconnected();
            } else if let Some((from, count)) = scrollback.wants(now) {
                turn.act(Action::WantHistory { from, count });
            }
        }
    }

    fn event(&mut self, now: Now, view: &View, event: Event<'_>, raw: &[u8], turn: &mut Turn<'_>) {
        let pastes = matches!(event, Event::PasteStart | Event::Paste(_) | Event::PasteEnd);
        if let Some(naming) = self.overlay.naming(view).filter(|_| pastes) {
            if let PromptOutcome::Say(text) = naming.paste(&event) {
                self.say(now, &text);
            }
            return;
        }
        let is_prefix = matches!(&event, Event::Key(key) if self.config.prefix.is(key));
        let for_us = self.prefixed || is_prefix || self.overlay != Overlay::None;
        if turn.conversation.is_some() && !for_us {
            return self.conversation_event(now, view, &event, turn);
        }
        match event {
            // Nobody typed these; see `keys`.
            Event::Reply | Event::Unknown => {}
            Event::Text(text) => self.text(now, view, text, turn),
            Event::Key(key) => self.key(now, view, &key, raw, turn),
            Event::Mouse(mouse) => self.mouse(view, &mouse, turn),
            Event::Focus(_) => {
                let asked = |screen: &Screen| screen.modes.contains(Modes::FOCUS);
                if self.may_type(view) && view.screen.as_ref().is_some_and(asked) {
                    turn.typed.extend_from_slice(raw);
                }
            }
            Event::PasteStart => {
                let asked = |screen: &Screen| screen.modes.contains(Modes::BRACKETED_PASTE);
                let bracketed = view.screen.as_ref().is_some_and(asked);
                self.paste = Some(Paste {
                    filter: PasteFilter::default(),
                    bracketed,
                });
                if bracketed {
                    self.type_or_hint(now, view, raw, turn);
                }
            }
            Event::Paste(text) => {
                let mut passed = Vec::new();
                self.paste
                    .get_or_insert_default()
                    .filter
                    .pass(text, &mut passed);
                self.type_or_hint(now, view, &passed, turn);
            }
            Event::PasteEnd => {
                let Some(mut paste) = self.paste.take() else {
                    return;
                };
                let mut passed = Vec::new();
                paste.filter.end(&mut passed);
                if paste.bracketed {
                    passed.extend_from_slice(raw);
                }
                self.type_or_hint(now, view, &passed, turn);
            }
        }
    }

    fn text(&mut self, now: Now, view: &View, text: &[u8], turn: &mut Turn<'_>) {
        let mut text = text;
        if self.prefixed {
            self.prefixed = false;
            let Some((ch, after)) = first_char(text) else {
                return;
            };
            self.command(now, view, ch, turn);
            text = after;
        }
        if text.is_empty() {
            return;
        }
        if self.overlay != Overlay::None {
            while let Some((ch, after)) = first_char(text) {
                self.overlay_key(now, view, &Key::plain(KeyCode::Char(ch)), turn);
                // What follows a key of a list was meant for nobody.
                if self.overlay.naming(view).is_none() {
                    return;
                }
                text = after;
            }
            return;
        }
        if turn.conversation.is_some() {
            return self.conversation_event(now, view, &Event::Text(text), turn);
        }
        self.type_or_hint(now, view, text, turn);
    }

    fn key(&mut self, now: Now, view: &View, key: &Key, raw: &[u8], turn: &mut Turn<'_>) {
        if self.config.prefix.is(key) {
            match key.press {
                Press::Up => {}
                _ if std::mem::take(&mut self.prefixed) => self.type_or_hint(now, view, raw, turn),
                _ => self.prefixed = true,
            }
            return;
        }
        if self.ours == Some(key.code) {
            let for_program = self.is_live() && !self.prefixed;
            match key.press {
                Press::Up => {
                    self.ours = None;
                    return;
                }
                Press::Repeat if for_program => return,
                Press::Down | Press::Repeat => {}
            }
        }
        let pressed = key.press != Press::Up && key.code != KeyCode::Modifier;
        if !pressed {
            if self.is_live() && !self.prefixed && self.may_type(view) {
                turn.typed.extend_from_slice(raw);
            }
            return;
        }
        self.ours = (self.prefixed || !self.is_live()).then_some(key.code);
        if std::mem::take(&mut self.prefixed) {
            match key.code {
                KeyCode::Char(ch) => self.command(now, view, ch, turn),
                KeyCode::Left | KeyCode::Right => self.layout.pan(key.code == KeyCode::Right),
                KeyCode::PageUp | KeyCode::Up => self.look_back(view, key),
                _ => {}
            }
        } else if self.overlay != Overlay::None {
            self.overlay_key(now, view, key, turn);
        } else if self.scrollback.is_some() && self.move_back(key) {
        } else if self.wants_back(view, key) {
            self.look_back(view, key);
        } else {
            self.type_or_hint(now, view, raw, turn);
        }
    }

    /// A key for what lies over the screen.
    fn overlay_key(&mut self, now: Now, view: &View, key: &Key, turn: &mut Turn<'_>) {
        if matches!(self.overlay, Overlay::Terminals { .. }) {
            return self.terminals_key(now, view, key, turn);
        }
        let Overlay::Who {
            from,
            chosen,
            naming,
        } = &mut self.overlay
        else {
            return self.overlay.key(key);
        };
        if !view.rights.has(Right::Manage) {
            return self.overlay.key(key);
        }
        if let Some(line) = naming {
            match line.key(key) {
                PromptOutcome::More => {}
                PromptOutcome::Say(text) => self.say(now, &text),
                PromptOutcome::Nothing => *naming = None,
                PromptOutcome::Do(what) => {
                    *naming = None;
                    turn.act(Action::Command(what));
                }
            }
            return;
        }
        if participants::choose(view, from, chosen, key) {
            return;
        }
        match participants::asked(view, *chosen, key) {
            Some(participants::Asked::Do(what)) => turn.act(Action::Command(what)),
            Some(participants::Asked::Say(text)) => self.say(now, &text),
            Some(participants::Asked::Name(line)) => *naming = Some(line),
            None => self.overlay.key(key),
        }
    }

    fn command(&mut self, now: Now, view: &View, ch: char, turn: &mut Turn<'_>) {
        let prefix = self.config.prefix;
        match ch {
            'e' => self.request_edit(now, view, turn),
            'q' => turn.act(Action::Leave),
            'd' => turn.act(Action::Detach),
            '?' | 'h' => self.overlay = Overlay::HELP,
            'w' => self.overlay = Overlay::WHO,
            't' => self.overlay = Overlay::TERMINALS,
            'm' => {
                let said = self.said.iter().cloned().collect();
                self.overlay = Overlay::Notices { said };
            }
            'z' => self.hidden = !self.hidden,
            '[' => self.look_back(view, &Key::plain(KeyCode::Up)),
            _ if self.terminal_command(now, view, ch, turn) => {}
            _ => {
                let ch = if ch.is_control() { '?' } else { ch };
                let hint = format!("{prefix} {ch} does nothing. Press {prefix} ? for help.");
                self.say(now, &hint);
            }
        }
    }

    fn request_edit(&mut self, now: Now, view: &View, turn: &mut Turn<'_>) {
        let why_not = match () {
            () if self.config.read_only => {
                "You joined with --read-only; join again without it to type."
            }
            () if view.rights.has(Right::Type) => "You can type already.",
            () if view.read_only => {
                "The host shares this session read-only: nobody can be given edit."
            }
            () if view.asking => "The host has been asked and hasn't answered yet.",
            () => {
                turn.act(Action::RequestEdit);
                return;
            }
        };
        self.say(now, why_not);
    }

    /// Gives `bytes` to the host's program, or tells who may not how to ask.
    fn type_or_hint(&mut self, now: Now, view: &View, bytes: &[u8], turn: &mut Turn<'_>) {
        self.scrollback = None;
        // The prefix key twice is for a terminal alone.
        if turn.conversation.is_some() {
            return;
        }
        if view.screen.is_none() && !self.may_type(view) {
            return self.leave_or_wait(now, view, bytes, turn);
        }
        if self.may_type(view) {
            self.layout.release();
            self.ours = None;
            turn.typed.extend_from_slice(bytes);
            return;
        }
        let prefix = self.config.prefix;
        let hint = match () {
            () if self.config.read_only => format!(
                "You joined with --read-only, so nothing you type is sent. {prefix} q leaves."
            ),
            () if view.read_only => format!(
                "The host shares this session read-only: nobody else types. {prefix} q leaves."
            ),
            () if view.asking => {
                format!("You are watching until the host answers your request. {prefix} q leaves.")
            }
            () => format!(
                "You are watching. {prefix} e asks the host to let you type; {prefix} q leaves."
            ),
        };
        self.say(now, &hint);
    }

    /// A key while nothing of the session is shown yet: Ctrl-C leaves, as it ends any command that waits.
    fn leave_or_wait(&mut self, now: Now, view: &View, bytes: &[u8], turn: &mut Turn<'_>) {
        if bytes.contains(&CTRL_C) {
            turn.act(Action::Leave);
            return;
        }
        let what = match view.phase {
            Phase::Knocking { .. } => "You are not in yet: the host is being asked.",
            _ => "You are not connected yet.",
        };
        self.say(now, &format!("{what} Ctrl-C leaves."));
    }

    /// Whether a key starts looking back: Shift with page up, or page up alone for who can't type.
    fn wants_back(&self, view: &View, key: &Key) -> bool {
        let shift = key.mods == Mods::SHIFT;
        key.code == KeyCode::PageUp && (shift || key.mods == Mods::NONE && !self.may_type(view))
    }

    fn look_back(&mut self, view: &View, key: &Key) {
        self.overlay = Overlay::None;
        let Some(screen) = &view.screen else { return };
        let (cols, rows) = self.layout.area(self.canvas.size());
        let layout = self.layout;
        let back = self
            .scrollback
            .get_or_insert_with(|| Scrollback::new(screen, layout.top, cols, rows));
        back.up(match key.code {
            KeyCode::PageUp => back.page(),
            _ => 1,
        });
    }

    /// Moves in the history; `false` for a key that isn't about that.
    fn move_back(&mut self, key: &Key) -> bool {
        let Some(back) = &mut self.scrollback else {
            return false;
        };
        let page = back.page();
        let mut moved = Moved::Back;
        match key.code {
            KeyCode::Up => back.up(1),
            KeyCode::PageUp => back.up(page),
            KeyCode::Home => back.home(),
            KeyCode::Down => moved = back.down(1),
            KeyCode::PageDown => moved = back.down(page),
            KeyCode::End | KeyCode::Esc => moved = Moved::Live,
            KeyCode::Left | KeyCode::Right => self.layout.pan(key.code == KeyCode::Right),
            _ => return false,
        }
        if moved == Moved::Live {
            self.scrollback = None;
        }
        true
    }

    fn mouse(&mut self, view: &View, mouse: &Mouse, turn: &mut Turn<'_>) {
        let Some(screen) = &view.screen else { return };
        let typing = self.may_type(view) && self.is_live();
        if typing && screen.modes.intersects(Modes::ANY_MOUSE) {
            self.pass_mouse(screen.modes, mouse, turn);
            return;
        }
        let Some(rows) = mouse.wheel().filter(|_| !mouse.release) else {
            return;
        };
        let arrows = Modes::ALTERNATE_SCREEN.union(Modes::ALTERNATE_SCROLL);
        if typing && screen.modes.contains(arrows) {
            turn.typed.extend(typing::wheel_arrows(rows, screen.modes));
        } else if self.overlay == Overlay::None {
            self.wheel(screen, rows);
        }
    }

    fn wheel(&mut self, screen: &Screen, rows: i32) {
        if rows > 0 {
            if let Some(back) = &mut self.scrollback
                && back.down(WHEEL_ROWS) == Moved::Live
            {
                self.scrollback = None;
            }
            return;
        }
        let (cols, height) = self.layout.area(self.canvas.size());
        let top = self.layout.top;
        let new = || Scrollback::new(screen, top, cols, height);
        let back = self.scrollback.get_or_insert_with(new);
        back.up(WHEEL_ROWS);
        // Nothing above: stay live.
        if back.is_at_bottom() {
            self.scrollback = None;
        }
    }

    /// The mouse for the host's program: where its screen is shown, and, once a button is down there,
    /// until it is released.
    fn pass_mouse(&mut self, modes: Modes, mouse: &Mouse, turn: &mut Turn<'_>) {
        let place = match self.layout.host_place(mouse.x, mouse.y) {
            Some(place) => place,
            None if self.dragging => self.layout.nearest(mouse.x, mouse.y),
            None => return,
        };
        if mouse.wheel().is_none() && mouse.button & 32 == 0 {
            self.dragging = !mouse.release;
        }
        let there = Mouse {
            x: place.0,
            y: place.1,
            ..*mouse
        };
        turn.typed
            .extend(typing::mouse(&there, modes).unwrap_or_default());
    }
}
