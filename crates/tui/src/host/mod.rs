//! The host's own terminal: commands after the prefix key, a notice over one row, a panel, and a page for
//! each question.
//!
//! The program draws on the same terminal, and nothing of what it drew is known but what the emulator
//! says. So everything here is drawn with absolute places and looks, and taken away by drawing the
//! emulator's rows again; neither the terminal's saved cursor (DECSC) nor anything else that the program
//! may be using is touched. While a notice is up, hold the program's output: when some comes, take the
//! notice away ([`HostUi::before_output`]) and let it through. So no scrolling carries a notice along.

mod cursor;
mod keys;
mod notice;
mod page;
mod panel;
mod question;
mod title;

use bytes::Bytes;
use pillion_proto::TrackId;
use pillion_screen::{
    Attrs, Cell, Modes, RowSet, Screen, Size, Style,
    clean::clean_title,
    emit::{self, Resume},
    place::place,
};
use pillion_session::{Command, CommandError, Done, HostNotice, Now, Reply, verbs};

use self::{
    cursor::{Asking, Place, Probe},
    keys::{Focus, HostKey, HostKeys},
    notice::{Notices, Subject},
    page::LinkPage,
    panel::{Chosen, Drawn, Panel},
    question::QuestionPage,
    title::StandingTitle,
};
use crate::{
    canvas::put_text,
    charset::{self, Charset, Drawing},
    clipboard::{Multiplexer, clipboard},
    depth::Depth,
    keys::{Key, KeyCode},
    notify::Notify,
    pen::Pen,
    prefix::Prefix,
    settled::Settled,
    text, words,
};

pub use page::QrRows;
pub use panel::TerminalRow;
pub use title::Sharing;

/// How long after output took a notice away it is drawn again, in microseconds: a program that writes
/// all the time isn't held up more often, and the notice can still be read.
const QUIET_US: u64 = 200_000;

/// How long after title and bell had to do, or the terminal did not take the panel, drawing is tried
/// again, in microseconds.
const PATIENCE_US: u64 = 1_000_000;

/// How long ESC may be the beginning of a sequence, in microseconds.
const ESC_US: u64 = 30_000;

/// How long after the prefix, if no key follows, the keys are said that may follow it, in microseconds.
const HINT_US: u64 = 400_000;

/// The keys that may follow the prefix, for the hint.
const PREFIX_KEYS: [&str; 6] = [
    "Space panel",
    "c new terminal",
    "n p 0–9 go to another",
    "d detach",
    "Esc cancels",
    "again sends it",
];

/// Longest notice, in columns; what a title shows of it too.
const NOTICE_COLS: usize = 100;

/// Longest link shown, in characters.
const MAX_LINK: usize = 1024;

/// Ends what a program may have begun that would keep what we draw from being seen whole: a synchronized
/// update, margins at the sides.
const ALL_OURS: &[u8] = b"\x1b[?2026l\x1b[?69l";

/// What the person at the host wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostAction {
    /// Give this to the program, as it came.
    Forward(Bytes),
    /// A command, by [`pillion_session::Actor::Tty`]. What comes of it goes to [`HostUi::done`].
    Command(Command),
    /// The session's link, which is published first if it is not: it goes to [`HostUi::link`], and why
    /// there is none to [`HostUi::done`].
    Link,
    /// A spoken code. A sentence with it, or why there is none, goes to [`HostUi::done`].
    Code,
    /// The answer to a [`HostNotice::Confirm`].
    Confirmed {
        /// From the notice.
        request: u64,
        /// The answer.
        yes: bool,
    },
    /// Another terminal in the session, and to go there. What follows is for it.
    Open,
    /// To go to another of the session's terminals. What follows is for it.
    Show(Which),
    /// To leave this terminal; the session goes on without one.
    Detach,
}

/// Which of the session's terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one with the next higher number that runs, or else the first.
    Next,
    /// The one with the next lower number that runs, or else the last.
    Previous,
    /// This one.
    Number(TrackId),
}

/// What the interface wants to do on the host's terminal, which the program draws on too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// To change the notice.
    Notice,
    /// To draw the panel or a question's page: hold the program's output from before this is painted until [`Want::Close`] is.
    Panel,
    /// To take the panel away.
    Close,
    /// To change the terminal's title, and nothing that is seen of its screen ([`HostUi::paint_title`]).
    Title,
}

/// The interface at the host's own terminal.
#[derive(Debug)]
pub struct HostUi {
    prefix: Prefix,
    charset: Charset,
    multiplexer: Multiplexer,
    /// The latest time seen.
    now: u64,
    keys: HostKeys,
    /// When a lone ESC is the key.
    esc_at: Option<u64>,
    /// When it is said what may follow the prefix, which was pressed.
    hint_at: Option<u64>,
    notices: Notices,
    shown: Option<Shown>,
    /// Not before this is a notice drawn again.
    quiet_at: u64,
    /// What the title says in place of the program's, because it can't be read elsewhere.
    titled: Option<String>,
    standing: StandingTitle,
    notify: Notify,
    /// The bell rang, or is about to, for what is said next.
    rang: bool,
    panel: Panel,
    state: PanelState,
    /// In place of the panel's list.
    question: Option<QuestionPage>,
    /// The panel or the question stands on the terminal's other screen, and what Pillion did not draw is beneath it.
    alternate: bool,
    /// Not before this is a panel drawn again that the terminal did not take.
    retry_at: u64,
    /// The rows the panel was drawn over.
    covered: RowSet,
    /// Nothing else is known to be on the terminal either.
    unknown: bool,
    /// Bytes for the terminal that draw nothing (the clipboard).
    aside: Vec<u8>,
    probe: Probe,
    /// Where the terminal's cursor is while the program's output is held.
    place: Place,
}

/// Where the panel stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PanelState {
    Closed,
    /// Open; to be drawn, or drawn as it is.
    Open {
        dirty: bool,
    },
    /// Closed by the person, still on the terminal.
    Closing,
}

/// A notice on the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    row: u16,
    size: Size,
    text: String,
}

impl HostUi {
    /// Nothing to show yet.
    pub fn new(prefix: Prefix) -> HostUi {
        HostUi {
            prefix,
            charset: Charset::default(),
            multiplexer: Multiplexer::None,
            now: 0,
            keys: HostKeys::new(prefix),
            esc_at: None,
            hint_at: None,
            notices: Notices::default(),
            shown: None,
            quiet_at: 0,
            titled: None,
            standing: StandingTitle::default(),
            notify: Notify::Off,
            rang: false,
            panel: Panel::default(),
            state: PanelState::Closed,
            question: None,
            alternate: false,
            retry_at: 0,
            covered: RowSet::EMPTY,
            unknown: false,
            aside: Vec::new(),
            probe: Probe::default(),
            place: Place::default(),
        }
    }

    /// What the clipboard is reached through.
    #[must_use]
    pub fn through(self, multiplexer: Multiplexer) -> HostUi {
        HostUi {
            multiplexer,
            ..self
        }
    }

    /// With our own signs in these characters.
    #[must_use]
    pub fn in_charset(self, charset: Charset) -> HostUi {
        HostUi { charset, ..self }
    }

    /// How requests and knocks are told to the desktop.
    #[must_use]
    pub fn notifying(self, notify: Notify) -> HostUi {
        HostUi { notify, ..self }
    }

    /// How the session is shared now, for the title, and how often the program has set its own so far.
    pub fn sharing(&mut self, now: Now, sharing: Option<Sharing>, title_sets: u64) {
        self.now = now.mono_us;
        let typist = sharing.as_ref().and_then(|sharing| sharing.typist.as_ref());
        if self.panel.types(typist.map(|(id, _)| *id)) {
            self.touch_panel();
        }
        self.standing.update(now, sharing, title_sets);
    }

    /// Appends what gives the terminal its title back, if it has ours.
    pub fn drop_title(&mut self, screen: &Screen, out: &mut Vec<u8>) {
        self.restore_title(screen, out);
        self.standing.take_away(screen, out);
    }

    /// Whether the terminal has a title of ours.
    pub fn has_title(&self) -> bool {
        self.titled.is_some() || self.standing.is_set()
    }

    /// What was typed at the host; `more` says that more waits to be read. Forwarded bytes are exactly what
    /// came, less what was for us.
    pub fn keys(&mut self, now: Now, bytes: &Bytes, more: bool) -> Vec<HostAction> {
        self.now = now.mono_us;
        let mut actions = Vec::new();
        let focus = self.focus();
        self.with_keys(now, &mut actions, |keys, each| {
            keys.feed(bytes, more, focus, each)
        });
        self.esc_at = self
            .keys
            .is_waiting()
            .then(|| now.mono_us.saturating_add(ESC_US));
        self.follow_prefix();
        actions
    }

    /// Time passed. `unread` says that something was typed and not given to [`HostUi::keys`] yet: it was
    /// before this moment, however late that call comes.
    pub fn tick(&mut self, now: Now, unread: bool) -> Vec<HostAction> {
        self.now = now.mono_us;
        if !unread && let Some(settled) = self.settled_mut() {
            settled.settle(now);
        }
        let mut actions = Vec::new();
        if self.esc_at.is_some_and(|at| now.mono_us >= at) {
            self.esc_at = None;
            let focus = self.focus();
            self.with_keys(now, &mut actions, |keys, each| keys.timeout(focus, each));
            self.follow_prefix();
        }
        self.notices.expire(now);
        if let PanelState::Open { .. } = self.state {
            actions.extend(self.panel.refresh(now).map(HostAction::Command));
        }
        actions
    }

    /// Something the person should see.
    pub fn notice(&mut self, now: Now, notice: HostNotice) {
        self.notice_of(now, notice, None);
    }

    /// The same, with a remark on anybody who it is about, which is shown before anything they say of
    /// themselves.
    pub fn notice_of(&mut self, now: Now, notice: HostNotice, remark: Option<String>) {
        let rings = matches!(
            notice,
            HostNotice::EditRequested { .. } | HostNotice::Knocked { .. }
        );
        let before = self.notices.questions();
        self.notices.take(now, notice, remark);
        if rings && self.notices.questions() > before {
            self.ring();
        }
        self.follow_question();
        self.touch_panel();
    }

    /// Rings once for who asks, and tells the desktop if that is wanted.
    fn ring(&mut self) {
        self.rang = true;
        self.aside.push(0x07);
        if let Some(text) = self.notices.newest() {
            self.aside.extend(self.notify.sequence(&text));
        }
    }

    /// What came of a command this interface gave.
    pub fn done(&mut self, now: Now, result: Result<Done, CommandError>) {
        match result {
            Ok(done) => match done.reply {
                Reply::Who(who) => self.panel.list(who),
                Reply::Ticket(ticket) => {
                    self.aside.extend(clipboard(&ticket, self.multiplexer));
                    self.panel.say(&format!(
                        "The ticket is on the clipboard, if the terminal lets us: {ticket}"
                    ));
                }
                Reply::AccessList(listed) => self.panel.door(listed.mode),
                _ => {
                    if let Some(said) = words::done(&done) {
                        self.tell(now, &said);
                    }
                }
            },
            Err(error) => self.tell(now, &words::sentence(&words::refusal(&error))),
        }
        self.touch_panel();
    }

    /// The session's terminals, while the panel is open ([`HostUi::has_panel`]).
    pub fn terminals(&mut self, terminals: Vec<TerminalRow>) {
        if self.panel.list_terminals(terminals) {
            self.touch_panel();
        }
    }

    /// The host's terminal shows another one of the session's now, which is this one.
    pub fn shows(&mut self, now: Now, track: TrackId, title: &str) {
        self.notices.place(now, &words::shows(track, title));
    }

    /// Where to go was asked for, and there is nowhere else.
    pub fn nowhere_else(&mut self, now: Now) {
        let text = format!(
            "There is no other terminal: {prefix} c opens one, and {prefix} Space the panel.",
            prefix = self.prefix
        );
        self.notices.place(now, &text);
    }

    /// Whether a notice is on the terminal.
    pub fn has_notice(&self) -> bool {
        self.shown.is_some()
    }

    /// Whether the panel or a question's page is open.
    pub fn has_panel(&self) -> bool {
        matches!(self.state, PanelState::Open { .. })
    }

    /// Something worth a line for a while.
    pub fn remark(&mut self, now: Now, text: &str) {
        self.notices.remark(now, text);
        self.touch_panel();
    }

    /// Something about what this interface asked for, in words.
    pub fn said(&mut self, now: Now, text: &str) {
        self.tell(now, text);
        self.touch_panel();
    }

    /// The link that was asked for ([`HostAction::Link`]), with its QR code where one can be drawn.
    pub fn link(&mut self, url: &str, qr: Option<QrRows>) {
        if let PanelState::Open { .. } = self.state {
            self.aside.extend(clipboard(url, self.multiplexer));
            let url = clean_title(url, MAX_LINK);
            self.panel.link(LinkPage { url, qr });
            self.touch_panel();
        }
    }

    /// The hint is for who hesitates behind the prefix.
    fn follow_prefix(&mut self) {
        self.hint_at = match self.keys.is_prefixed() {
            true => self.hint_at.or(Some(self.now.saturating_add(HINT_US))),
            false => None,
        };
    }

    /// Whether what may follow the prefix is said in place of any notice.
    fn hints(&self) -> bool {
        self.hint_at.is_some_and(|at| at <= self.now)
    }

    /// What is to be said over one row, in at most so many columns.
    fn text(&self, cols: usize) -> Option<String> {
        match self.hints() {
            true => {
                let first = self.charset.spell(&format!("{} …", self.prefix));
                let keys = PREFIX_KEYS.map(|key| self.charset.spell(key));
                let all = std::iter::once(&first).chain(&keys);
                let all: Vec<&str> = all.map(String::as_str).collect();
                text::flow(&all, cols, 1).pop()
            }
            false => self.notices.text(self.prefix, cols),
        }
    }

    /// When to call [`HostUi::tick`] and look at [`HostUi::wants`] at the latest, on
    /// [`Now::mono_us`]'s clock.
    pub fn wake_at(&self) -> Option<u64> {
        let open = matches!(self.state, PanelState::Open { .. });
        let notice = self.text(NOTICE_COLS).is_some() && self.shown.is_none();
        [
            self.esc_at,
            self.hint_at.filter(|at| *at > self.now),
            self.notices.expires_at(),
            self.standing
                .due_at(self.asks())
                .filter(|at| *at > self.now),
            self.probe.due_at(),
            open.then(|| self.panel.refresh_at()),
            self.settled()
                .and_then(Settled::due_at)
                .filter(|at| *at > self.now),
            matches!(self.state, PanelState::Open { dirty: true })
                .then_some(self.retry_at)
                .filter(|at| *at > self.now),
            // Once that time has come, the moment to draw is waited for, not the time.
            (notice && !open)
                .then_some(self.quiet_at)
                .filter(|at| *at > self.now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Before [`HostUi::paint`], where the cursor may be elsewhere than `screen` has it
    /// ([`Terminal::cursor_is_unsure`](pillion_screen::Terminal::cursor_is_unsure)): whether it is known where.
    /// Until then ask the terminal if something is appended to `out`, keep all output back, and come again with
    /// each key and at [`HostUi::wake_at`].
    pub fn locate(
        &mut self,
        now: Now,
        screen: &Screen,
        resume: &Resume,
        out: &mut Vec<u8>,
    ) -> bool {
        match self.probe.stands(now, screen, resume) {
            Asking::Ask => {
                self.probe.asked(now);
                self.keys.expect_report();
                out.extend_from_slice(b"\x1b[6n");
                false
            }
            Asking::Wait => false,
            Asking::Done(place) => {
                self.place = place;
                true
            }
        }
    }

    /// The program's output goes on.
    pub fn forget_cursor(&mut self) {
        self.probe.forget();
        self.place = Place::default();
    }

    /// How many answers to the question where the cursor is the program was given.
    pub fn cursor_reports(&self) -> u64 {
        self.keys.reports_passed()
    }

    /// What is to be painted.
    pub fn wants(&self, now: Now) -> Option<Want> {
        match self.state {
            PanelState::Closing => return Some(Want::Close),
            PanelState::Open { dirty } => {
                return (dirty && now.mono_us >= self.retry_at).then_some(Want::Panel);
            }
            PanelState::Closed => {}
        }
        let text = self.text(NOTICE_COLS);
        let different = match (&text, &self.shown) {
            (None, None) => self.titled.is_some(),
            (Some(text), Some(shown)) => *text != shown.text,
            (Some(_), None) => now.mono_us >= self.quiet_at,
            (None, Some(_)) => true,
        };
        match different {
            true => Some(Want::Notice),
            false => self
                .standing
                .is_due(now, self.asks())
                .then_some(Want::Title),
        }
    }

    /// What waits for an answer, for the title.
    fn asks(&self) -> Option<String> {
        let asks = self.notices.questions() > 0;
        asks.then(|| self.notices.text(self.prefix, NOTICE_COLS))
            .flatten()
    }

    /// Appends the title that stands while the session is shared. In the same moment as [`HostUi::paint`].
    pub fn paint_title(&mut self, now: Now, screen: &Screen, out: &mut Vec<u8>) {
        let _drawing = Drawing::within(self.charset);
        let asks = self.asks();
        if self.titled.is_none() {
            self.standing.set(now, asks, screen, out);
        }
    }

    /// Paints what is wanted over `screen`, which must be exactly what the terminal shows (beneath what
    /// was painted here): the emulator drained and at ground, outside a synchronized update, the
    /// program's next write held. To close the panel, either the screen as it was when the panel was
    /// opened, before the held output is let through, or the live one, and the held output is dropped.
    pub fn paint(&mut self, now: Now, screen: &Screen, resume: &Resume, out: &mut Vec<u8>) {
        let _drawing = Drawing::within(self.charset);
        match self.state {
            PanelState::Closing => {
                self.state = PanelState::Closed;
                self.shown = None;
                self.notices.hide(now);
                self.leave_alternate(screen, resume, out);
                let covered = std::mem::take(&mut self.covered);
                let rows = match std::mem::take(&mut self.unknown) {
                    true => RowSet::all(screen.size.rows()),
                    false => covered,
                };
                self.repaint(screen, &rows, resume, out);
                if screen.cursor.visible {
                    out.extend_from_slice(b"\x1b[?25h");
                }
            }
            PanelState::Open { .. } => {
                self.erase(now, screen, resume, out);
                self.state = PanelState::Open { dirty: false };
                match self.question.take() {
                    Some(page) => self.paint_question(page, screen, out),
                    None => self.paint_panel(now, screen, resume, out),
                }
            }
            PanelState::Closed => {
                self.erase(now, screen, resume, out);
                self.paint_notice(now, screen, resume, out);
            }
        }
        out.append(&mut self.aside);
    }

    /// What [`HostUi::paint`] gave is on the terminal, or not all of it.
    pub fn painted(&mut self, now: Now, whole: bool) {
        let hints = self.hints();
        match &mut self.state {
            PanelState::Open { dirty } if !whole => {
                *dirty = true;
                self.retry_at = now.mono_us.saturating_add(PATIENCE_US);
            }
            PanelState::Open { .. } => match &mut self.question {
                Some(page) => page.painted(now),
                None => {
                    self.panel.steady.painted(now);
                    self.notices.show_in_panel(now);
                }
            },
            PanelState::Closed if whole && self.shown.is_some() && !hints => {
                self.notices.show(now);
            }
            PanelState::Closed | PanelState::Closing => {}
        }
    }

    /// The program is about to write: takes the notice away from `screen`, the state before it writes.
    pub fn before_output(&mut self, now: Now, screen: &Screen, resume: &Resume, out: &mut Vec<u8>) {
        if self.state == PanelState::Closed && self.shown.is_some() {
            self.quiet_at = now.mono_us.saturating_add(QUIET_US);
            self.erase(now, screen, resume, out);
        }
    }

    /// Nobody can close the panel any more: it is to be taken away ([`HostUi::paint`]).
    pub fn close_panel(&mut self) {
        if self.state != PanelState::Closed {
            self.state = PanelState::Closing;
            self.question = None;
        }
    }

    /// The terminal is gone, or is about to show something else: nothing of what was drawn is there any
    /// more. What waits for an answer is said again at the next one.
    pub fn let_go(&mut self, now: Now) {
        self.close_panel();
        self.state = PanelState::Closed;
        if self.shown.take().is_some() {
            self.notices.hide(now);
        }
        self.keys = HostKeys::new(self.prefix);
        self.esc_at = None;
        self.hint_at = None;
        self.titled = None;
        self.standing.forget();
        self.alternate = false;
        self.covered = RowSet::EMPTY;
        self.unknown = false;
        self.aside.clear();
        self.probe = Probe::default();
        self.place = Place::default();
    }

    /// The same terminal is about to show another program: nothing of what was drawn stays there. An open
    /// panel, or a question, is drawn again over that, and read again.
    pub fn switched(&mut self, now: Now) {
        match &mut self.state {
            PanelState::Open { dirty } => *dirty = true,
            state => *state = PanelState::Closed,
        }
        self.panel.steady = Settled::default();
        if let Some(page) = &mut self.question {
            page.whole = Settled::default();
        }
        self.shown = None;
        self.notices.hide(now);
        self.titled = None;
        self.standing.forget();
        self.alternate = false;
        self.covered = RowSet::EMPTY;
        self.unknown = false;
        self.forget_cursor();
    }

    /// The moment for [`HostUi::paint`] didn't come within a second: title and bell say it. Only
    /// between the program's escape sequences; it may be in a synchronized update.
    pub fn fallback(&mut self, now: Now, screen: &Screen, out: &mut Vec<u8>) {
        if self.state != PanelState::Closed {
            return;
        }
        let _drawing = Drawing::within(self.charset);
        self.quiet_at = now.mono_us.saturating_add(PATIENCE_US);
        match self.notices.text(self.prefix, NOTICE_COLS) {
            Some(text) if self.notices.is_important() => self.set_title(text, out),
            _ => self.restore_title(screen, out),
        }
        out.append(&mut self.aside);
    }

    /// Whether what is asked, or chosen in the list, has stood there for long enough.
    fn settled(&self) -> Option<&Settled> {
        let open = matches!(self.state, PanelState::Open { .. });
        open.then_some(match &self.question {
            Some(page) => &page.whole,
            None => &self.panel.steady,
        })
    }

    fn settled_mut(&mut self) -> Option<&mut Settled> {
        let open = matches!(self.state, PanelState::Open { .. });
        open.then_some(match &mut self.question {
            Some(page) => &mut page.whole,
            None => &mut self.panel.steady,
        })
    }

    fn focus(&self) -> Focus {
        match (self.state, &self.question) {
            (PanelState::Open { .. }, Some(page)) if !page.from_list => Focus::Question,
            (PanelState::Open { .. }, _) => Focus::Panel,
            (PanelState::Closed | PanelState::Closing, _) => Focus::Program,
        }
    }

    fn with_keys(
        &mut self,
        now: Now,
        actions: &mut Vec<HostAction>,
        run: impl FnOnce(&mut HostKeys, &mut dyn FnMut(HostKey<'_>) -> Focus),
    ) {
        let mut keys = std::mem::replace(&mut self.keys, HostKeys::new(self.prefix));
        let mut forward = Vec::new();
        run(&mut keys, &mut |key| {
            match key {
                HostKey::Forward(bytes) => forward.extend_from_slice(bytes),
                HostKey::Cursor { x, y } => self.probe.answered(x, y),
                HostKey::Command(key) => {
                    flush(&mut forward, actions);
                    self.command(now, &key, actions);
                }
                HostKey::Prefix => {
                    flush(&mut forward, actions);
                    self.ask_first(false);
                }
                HostKey::Panel { key, alone } => {
                    flush(&mut forward, actions);
                    match self.question.is_some() {
                        true => self.question_key(now, &key, alone, actions),
                        false => self.panel_key(&key, alone, actions),
                    }
                    self.touch_panel();
                }
            }
            self.focus()
        });
        flush(&mut forward, actions);
        self.keys = keys;
    }

    /// A key after the prefix, where no question waited: the panel, where it is for nothing else.
    fn command(&mut self, now: Now, key: &Key, actions: &mut Vec<HostAction>) {
        match key.code {
            KeyCode::Esc => {}
            // One that came meanwhile has not been read.
            KeyCode::Char('y' | 'n' | 'Y' | 'N') if self.ask_first(false) => {}
            KeyCode::Char('y' | 'Y' | 'N') => {
                self.notices.remark(now, "Nobody is asking anything.");
            }
            KeyCode::Char('c') => actions.push(HostAction::Open),
            KeyCode::Char('n') => actions.push(HostAction::Show(Which::Next)),
            KeyCode::Char('p') => actions.push(HostAction::Show(Which::Previous)),
            KeyCode::Char(digit @ '0'..='9') => actions.push(HostAction::Show(numbered(digit))),
            KeyCode::Char('d') => actions.push(HostAction::Detach),
            _ => self.open_panel(now, actions),
        }
    }

    fn open_panel(&mut self, now: Now, actions: &mut Vec<HostAction>) {
        self.question = None;
        self.panel = Panel::default();
        self.state = PanelState::Open { dirty: true };
        actions.extend(self.panel.refresh(now).map(HostAction::Command));
        actions.push(HostAction::Command(Command::AccessList(
            verbs::AccessList {},
        )));
    }

    /// Opens the page of the question that has waited longest; whether there is one.
    fn ask_first(&mut self, from_list: bool) -> bool {
        let first = self.notices.first();
        if let Some(subject) = first {
            self.question = Some(QuestionPage::new(subject, from_list));
            self.state = PanelState::Open { dirty: true };
        }
        first.is_some()
    }

    /// A question may be gone: the next one takes its place, to be read from its beginning.
    fn follow_question(&mut self) {
        let Some(page) = &mut self.question else {
            return;
        };
        let gone = page
            .subject()
            .is_some_and(|subject| self.notices.waiting(subject).is_none());
        let from_list = page.from_list;
        if gone && !self.ask_first(from_list) {
            // A key that is pressed now was meant for it, not for the program.
            self.question = Some(QuestionPage::gone(from_list));
        }
    }

    fn question_key(&mut self, now: Now, key: &Key, alone: bool, actions: &mut Vec<HostAction>) {
        let Some(page) = &mut self.question else {
            return;
        };
        let Some(subject) = page.subject() else {
            return self.leave_question();
        };
        match key.code {
            KeyCode::Char(ch @ ('y' | 'n' | 'Y' | 'N')) => {
                if page.takes_answer(alone) {
                    let yes = ch.eq_ignore_ascii_case(&'y');
                    let for_good = ch == 'N' && matches!(subject, Subject::Knock(..));
                    actions.push(self.notices.answer(subject, yes, for_good));
                    let from_list = page.from_list;
                    if !self.ask_first(from_list) {
                        self.leave_question();
                    }
                }
            }
            KeyCode::Char('1') if matches!(subject, Subject::Edit(..)) => {
                if page.takes_answer(alone) {
                    actions.push(self.notices.grant_an_hour(subject));
                    let from_list = page.from_list;
                    if !self.ask_first(from_list) {
                        self.leave_question();
                    }
                }
            }
            KeyCode::Up | KeyCode::PageUp => page.scroll(false),
            KeyCode::Down | KeyCode::PageDown | KeyCode::Char(' ') => page.scroll(true),
            KeyCode::Esc => self.leave_question(),
            KeyCode::Enter => {}
            _ => self.open_panel(now, actions),
        }
    }

    /// Back to where the question was opened from.
    fn leave_question(&mut self) {
        let page = self.question.take();
        if page.is_some_and(|page| !page.from_list) {
            self.state = PanelState::Closing;
        }
    }

    fn panel_key(&mut self, key: &Key, alone: bool, actions: &mut Vec<HostAction>) {
        match self.panel.key(key, alone) {
            Chosen::Nothing => {}
            Chosen::Command(command) => actions.push(HostAction::Command(command)),
            Chosen::Link => actions.push(HostAction::Link),
            Chosen::Code => actions.push(HostAction::Code),
            Chosen::Answer => {
                self.ask_first(true);
            }
            Chosen::Open => self.go(HostAction::Open, actions),
            Chosen::Show(digit) => self.go(HostAction::Show(numbered(digit)), actions),
            Chosen::Detach => actions.push(HostAction::Detach),
            Chosen::Close => self.state = PanelState::Closing,
        }
    }

    /// Goes to another terminal from the panel.
    fn go(&mut self, action: HostAction, actions: &mut Vec<HostAction>) {
        self.state = PanelState::Closing;
        actions.push(action);
    }

    fn tell(&mut self, now: Now, text: &str) {
        match self.state {
            PanelState::Open { .. } => self.panel.say(text),
            PanelState::Closed | PanelState::Closing if text.is_empty() => {}
            PanelState::Closed | PanelState::Closing => self.notices.remark(now, text),
        }
    }

    /// The terminal has another size: what it shows beneath an open panel is not known any more. Until the
    /// panel is closed, paint it over the live screen.
    pub fn resized(&mut self) {
        self.unknown = self.state != PanelState::Closed;
        self.touch_panel();
    }

    fn touch_panel(&mut self) {
        if let PanelState::Open { dirty } = &mut self.state {
            *dirty = true;
        }
    }

    /// Takes the notice away.
    fn erase(&mut self, now: Now, screen: &Screen, resume: &Resume, out: &mut Vec<u8>) {
        let Some(shown) = self.shown.take() else {
            return;
        };
        self.notices.hide(now);
        let mut rows = RowSet::EMPTY;
        match shown.size == screen.size {
            true => rows.insert(shown.row),
            // The terminal has wrapped it again with everything else.
            false => rows = RowSet::all(screen.size.rows()),
        }
        self.repaint(screen, &rows, resume, out);
    }

    fn repaint(&self, screen: &Screen, rows: &RowSet, resume: &Resume, out: &mut Vec<u8>) {
        emit::emit_rows(screen, rows, resume, self.place.real(), out);
    }

    fn paint_notice(&mut self, now: Now, screen: &Screen, resume: &Resume, out: &mut Vec<u8>) {
        let Some(text) = self.text(NOTICE_COLS) else {
            self.restore_title(screen, out);
            return;
        };
        let Some(row) = notice::row_for(screen).filter(|_| self.place != Place::Unknown) else {
            return self.fallback(now, screen, out);
        };
        match self.notices.is_unread(now) {
            true => self.set_title(text.clone(), out),
            false => self.restore_title(screen, out),
        }
        let cols = usize::from(screen.size.cols());
        let fitting = self.text(cols.min(NOTICE_COLS)).unwrap_or_default();
        out.extend_from_slice(emit::NEUTRAL);
        paint_line(0, row, screen.size.cols(), &fitting, inverse(), out);
        emit::emit_resume(screen, resume, self.place.real(), out);
        self.shown = Some(Shown {
            row,
            size: screen.size,
            text,
        });
    }

    /// A question covers all of the terminal: what a program drew beside it could give it another meaning.
    fn paint_question(&mut self, mut page: QuestionPage, screen: &Screen, out: &mut Vec<u8>) {
        let waiting = page
            .subject()
            .and_then(|subject| self.notices.waiting(subject));
        let drawn = page.draw(screen.size, waiting, self.notices.questions());
        self.question = Some(page);
        self.enter_alternate(screen, out);
        self.covered = RowSet::all(screen.size.rows());
        self.unknown |= self.place == Place::Unknown;
        self.paint_lines(&drawn, out);
    }

    /// Goes to the terminal's other screen, unless the program is there; whether it has just done so.
    fn enter_alternate(&mut self, screen: &Screen, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(ALL_OURS);
        out.extend_from_slice(emit::NEUTRAL);
        let enters = !self.alternate && !screen.modes.contains(Modes::ALTERNATE_SCREEN);
        if enters {
            out.extend_from_slice(b"\x1b[?47h");
            self.alternate = true;
        }
        enters
    }

    /// Back from the terminal's other screen, where nothing was drawn over. A terminal that has none shows the
    /// question still: it is wiped, and what the program wrote is drawn again.
    fn leave_alternate(&mut self, screen: &Screen, resume: &Resume, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.alternate) {
            return;
        }
        self.covered = RowSet::EMPTY;
        out.extend_from_slice(emit::NEUTRAL);
        for y in 1..=screen.size.rows() {
            out.extend_from_slice(format!("\x1b[{y}H\x1b[2K").as_bytes());
        }
        out.extend_from_slice(b"\x1b[?47l");
        let mut rows = RowSet::EMPTY;
        for (y, row) in (0..).zip(&screen.rows) {
            if row.cells.iter().any(|cell| *cell != Cell::default()) {
                rows.insert(y);
            }
        }
        self.repaint(screen, &rows, resume, out);
    }

    fn paint_panel(&mut self, now: Now, screen: &Screen, resume: &Resume, out: &mut Vec<u8>) {
        let size = screen.size;
        // What it showed can't be restored in part.
        self.unknown |= self.place == Place::Unknown;
        // What the program shows is drawn there, too: only the box is to stand out.
        let entered = self.enter_alternate(screen, out);
        let drawn = self.panel.lines(now, size, self.notices.panel_text());
        let mut rows = RowSet::EMPTY;
        (drawn.y..)
            .zip(&drawn.lines)
            .for_each(|(y, _)| rows.insert(y));
        let before = std::mem::replace(&mut self.covered, rows);
        let shrunk = match self.unknown || entered {
            true => RowSet::all(size.rows()),
            false => before.difference(&rows),
        };
        if !shrunk.is_empty() {
            self.repaint(screen, &shrunk, resume, out);
        }
        out.extend_from_slice(emit::NEUTRAL);
        self.paint_lines(&drawn, out);
        if let (Some((x, y)), Some(qr)) = (drawn.qr, self.panel.qr()) {
            for (y, row) in (y..).zip(&qr.rows) {
                paint_line(x, y, text::width(row) as u16, row, qr.style(), out);
            }
        }
    }

    fn paint_lines(&self, drawn: &Drawn, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[?25l");
        for (y, (line, marked)) in (drawn.y..).zip(&drawn.lines) {
            let style = if *marked { inverse() } else { Style::default() };
            paint_line(drawn.x, y, drawn.cols, line, style, out);
        }
    }

    /// Title and bell say what the terminal's rows can't.
    fn set_title(&mut self, text: String, out: &mut Vec<u8>) {
        if self.titled.as_ref() != Some(&text) {
            title(&charset::spelt(&text), out);
            // Once for each who asks.
            if !std::mem::take(&mut self.rang) {
                out.push(0x07);
            }
            self.titled = Some(text);
        }
    }

    fn restore_title(&mut self, screen: &Screen, out: &mut Vec<u8>) {
        if self.titled.take().is_some() {
            title(&screen.title, out);
            self.standing.overwritten();
        }
    }
}

/// The terminal that a digit means.
fn numbered(digit: char) -> Which {
    Which::Number(TrackId(digit.to_digit(10).unwrap_or(0)))
}

fn flush(forward: &mut Vec<u8>, actions: &mut Vec<HostAction>) {
    if !forward.is_empty() {
        actions.push(HostAction::Forward(std::mem::take(forward).into()));
    }
}

fn inverse() -> Style {
    Style {
        attrs: Attrs::INVERSE,
        ..Style::default()
    }
}

fn title(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x1b]2;");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\x1b\\");
}

/// Writes `cols` columns at a place; the pen is plain before and after.
fn paint_line(x: u16, y: u16, cols: u16, text: &str, style: Style, out: &mut Vec<u8>) {
    let blank = Cell {
        style,
        ..Cell::default()
    };
    let mut cells = vec![blank; usize::from(cols)];
    put_text(&mut cells, 0, usize::from(cols), text, style);
    // The cells are all there is to draw over: nothing reaches past them.
    let mut pen = Pen::default();
    place(&cells, 0, cells.len(), |at, cell| {
        let at = usize::from(x) + at;
        pen.put(at, y, cell, usize::from(x + cols), Depth::True, out);
    });
    pen.reset(out);
}
