//! Pillion's own words on the host's terminal: a notice over one row, a panel, a question's page.
//!
//! The program draws on the same terminal, and its bytes reach it before anybody parses them. So to
//! draw, the gate is held, and what the program printed before is parsed: the emulator then knows
//! exactly what the terminal shows. While a notice is up, output is kept at the gate; when some comes,
//! the notice is taken away, the gate let go, and the notice drawn again in the next quiet moment.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use pillion_proto::TrackId;
use pillion_screen::{
    Modes, Screen, Size,
    emit::{Resume, emit_left, emit_moved, emit_switched},
};
use pillion_session::{CommandError, Done, Host, HostInput, HostNotice, Now};
use pillion_source::{Hold, HoldMode, RESTORE_SCREEN_MODES, SourceEvent, TtyWriter};
use pillion_tui::{
    HostAction, HostUi, Multiplexer, Notify, Prefix, QrRows, Sharing, TerminalRow, Want,
};

use crate::{
    hosting::pty::Program,
    terminal::{
        console::charset,
        qr::{self, Style},
    },
};

/// How long the moment to draw is waited for, in microseconds, before title and bell say it.
const PATIENCE_US: u64 = 1_000_000;

/// How long a terminal that takes nothing may hold up the session.
const DRAWING: Duration = Duration::from_millis(200);

/// Ends whatever sequence a terminal is in the middle of (ECMA-48, 8.3.6).
const CANCEL: u8 = 0x18;

/// The host's user interface on its terminal.
pub struct Overlay {
    ui: HostUi,
    /// The session's name.
    name: String,
    /// The terminal has a title: Linux's console has none.
    has_titles: bool,
    /// The terminal's gate, while there is one.
    writer: Option<TtyWriter>,
    gate: Gate,
    /// All of the screen is to be drawn: the terminal shows something else.
    repaints: bool,
    /// The terminal shows another program, which is to be drawn over: the colours that it has defined.
    other: Option<BTreeMap<u16, [u8; 3]>>,
    /// The terminal came, and shows nothing of the session yet.
    fresh: bool,
    /// The terminal came while the program was on the alternate screen: what it had on the other one is drawn
    /// when it goes back.
    primary_unknown: bool,
    /// Since when something waits to be drawn.
    wanted_since_us: Option<u64>,
    /// The last moment was none to draw in: there is no other before the program writes on.
    unfit: bool,
    behind_panel: Option<Covered>,
    screen: Screen,
    bytes: Vec<u8>,
    queries: Queries,
}

/// The program's own questions where the cursor is, whose answers come among the keys as ours does.
#[derive(Default)]
struct Queries {
    /// How many were asked, as seen last, and when they had become so many.
    asked: u64,
    since_us: u64,
    /// How many of them a terminal left unanswered.
    given_up: u64,
}

impl Queries {
    /// Whether an answer is on its way to the program: the next one would be taken for ours. One that doesn't
    /// come for a second doesn't come.
    fn is_waiting(&mut self, now: Now, asked: u64, answered: u64) -> bool {
        if asked != self.asked {
            (self.asked, self.since_us) = (asked, now.mono_us);
        }
        let settled = answered.saturating_add(self.given_up);
        if asked > settled && now.mono_us.saturating_sub(self.since_us) >= PATIENCE_US {
            self.given_up = asked.saturating_sub(answered);
            return false;
        }
        asked > settled
    }
}

/// The gate to the terminal, as far as this is concerned.
enum Gate {
    Free,
    /// Asked for: ours in the next moment between two sequences.
    Requested(Pin<Box<dyn Future<Output = Hold>>>),
    /// Ours; nothing is drawn yet.
    Held(Hold),
    /// Ours, and the program's output kept behind what is drawn.
    Drawn(Hold),
}

/// What the terminal showed when the panel opened.
struct Covered {
    screen: Screen,
    resume: Resume,
    /// The terminal has another size since, so it shows something else.
    stale: bool,
}

impl Overlay {
    /// Without a terminal.
    pub fn new(prefix: Prefix, name: String, notify: Notify) -> Overlay {
        let multiplexer = Multiplexer::detect(|name| std::env::var(name).ok());
        Overlay {
            ui: HostUi::new(prefix)
                .through(multiplexer)
                .notifying(notify)
                .in_charset(charset()),
            name,
            has_titles: std::env::var_os("TERM").is_none_or(|term| term != "linux"),
            writer: None,
            gate: Gate::Free,
            repaints: false,
            other: None,
            fresh: false,
            primary_unknown: false,
            wanted_since_us: None,
            unfit: false,
            behind_panel: None,
            screen: Screen::blank(Size::clamped(1, 1)),
            bytes: Vec::new(),
            queries: Queries::default(),
        }
    }

    /// The program begins on this terminal.
    pub fn begin(&mut self, writer: TtyWriter) {
        self.writer = Some(writer);
    }

    /// The program goes on on this terminal, whose gate is held: nothing of it is let through until all of the
    /// screen was drawn.
    pub fn attach(&mut self, now: Now, host: &Host, writer: TtyWriter, hold: Hold) {
        self.ui.tick(now, false);
        self.other = None;
        self.fresh = true;
        self.draw_all_on(now, host, writer, hold);
    }

    /// Another program is shown on this terminal, whose new gate is held: nothing of it is let through until
    /// all of its screen was drawn in place of what `before` has left.
    pub fn switch(
        &mut self,
        now: Now,
        host: &Host,
        before: TrackId,
        writer: TtyWriter,
        hold: Hold,
    ) {
        self.ui.switched(now);
        self.behind_panel = None;
        self.primary_unknown = false;
        // Of one in between nothing was drawn.
        if self.other.is_none() && !self.fresh {
            host.capture(before, &mut self.screen);
            self.other = Some(std::mem::take(&mut self.screen.palette));
        }
        self.draw_all_on(now, host, writer, hold);
    }

    /// What the terminal shows is said, where there are several.
    pub fn shows(&mut self, now: Now, track: TrackId, title: &str) {
        self.ui.shows(now, track, title);
    }

    /// There is no other terminal to show.
    pub fn nowhere_else(&mut self, now: Now) {
        self.ui.nowhere_else(now);
    }

    /// The session's terminals.
    pub fn terminals(&mut self, terminals: Vec<TerminalRow>) {
        self.ui.terminals(terminals);
    }

    /// Whether the panel or a question is open, drawn yet or not.
    pub fn wants_panel(&self) -> bool {
        self.ui.has_panel()
    }

    fn draw_all_on(&mut self, now: Now, host: &Host, writer: TtyWriter, hold: Hold) {
        self.writer = Some(writer);
        self.gate = Gate::Held(hold);
        self.repaints = true;
        self.wanted_since_us = None;
        self.unfit = false;
        // What was asked before this one was here, it does not answer.
        let asked = host.cursor_queries();
        self.queries = Queries {
            asked,
            since_us: now.mono_us,
            given_up: asked,
        };
    }

    /// Before the terminal is given back: takes away what is drawn and puts the cursor below the screen.
    pub async fn leave(&mut self, now: Now, host: &Host) {
        let Some(writer) = self.writer.clone() else {
            return;
        };
        if self.repaints {
            // It shows nothing of the program.
            return;
        }
        self.take_away(now, host).await;
        // What the program goes on to print is not for this terminal.
        let hold = tokio::time::timeout(DRAWING, writer.hold(HoldMode::Skip)).await;
        if let Ok(hold) = hold {
            host.capture(host.shown(), &mut self.screen);
            self.bytes.clear();
            self.ui.drop_title(&self.screen, &mut self.bytes);
            emit_left(&self.screen, &mut self.bytes);
            self.gate = Gate::Held(hold);
            self.draw().await;
        }
    }

    /// There is no terminal any more. What waits to be answered is said again at the next one.
    pub fn let_go(&mut self, now: Now) {
        self.ui.let_go(now);
        self.writer = None;
        self.gate = Gate::Free;
        self.repaints = false;
        self.other = None;
        self.fresh = false;
        self.primary_unknown = false;
        self.behind_panel = None;
        self.wanted_since_us = None;
        self.unfit = false;
    }

    /// Whether the terminal takes no output any more.
    pub fn is_gone(&self) -> bool {
        self.writer.as_ref().is_some_and(TtyWriter::is_gone)
    }

    /// What was typed at the host; `more` says that more waits to be read.
    pub fn keys(&mut self, now: Now, bytes: &Bytes, more: bool) -> Vec<HostAction> {
        self.ui.keys(now, bytes, more)
    }

    /// Time passed; `unread` says that something typed waits to be read.
    pub fn tick(&mut self, now: Now, unread: bool) -> Vec<HostAction> {
        self.ui.tick(now, unread)
    }

    /// The same, with what the contact book says of whom it is about.
    pub fn notice_of(&mut self, now: Now, notice: HostNotice, remark: Option<String>) {
        self.ui.notice_of(now, notice, remark);
    }

    /// What came of a command given here.
    pub fn done(&mut self, now: Now, result: Result<Done, CommandError>) {
        self.ui.done(now, result);
    }

    /// Something worth a line for a while.
    pub fn remark(&mut self, now: Now, text: &str) {
        self.ui.remark(now, text);
    }

    /// Something about what was asked for here, in words.
    pub fn said(&mut self, now: Now, text: &str) {
        self.ui.said(now, text);
    }

    /// The link that was asked for.
    pub fn link(&mut self, url: &str) {
        let style = Style::detect(|name| std::env::var(name).ok());
        // A terminal without half blocks has no room for it.
        let rows = Some(style).filter(|style| *style != Style::Ascii);
        let rows = rows.and_then(|style| qr::rows(url, style).ok());
        let coloured = style == Style::Colour;
        self.ui
            .link(url, rows.map(|rows| QrRows { rows, coloured }));
    }

    /// Whether a panel covers the terminal.
    pub fn has_panel(&self) -> bool {
        self.behind_panel.is_some()
    }

    /// The terminal has another size.
    pub fn resized(&mut self) {
        if let Some(behind) = &mut self.behind_panel {
            behind.stale = true;
            self.ui.resized();
        }
    }

    /// When to call [`Overlay::tick`] and [`Overlay::paint`] at the latest.
    pub fn wake_at(&self) -> Option<u64> {
        // Without one nothing is drawn; what runs out by itself does so when a terminal comes.
        self.writer.as_ref()?;
        let gives_up = match (&self.gate, self.wanted_since_us) {
            // Anybody who has the gate is waited for, not the time.
            (Gate::Requested(_), _) | (_, None) => None,
            (_, Some(since)) => self.unfit.then(|| since.saturating_add(PATIENCE_US)),
        };
        [self.ui.wake_at(), gives_up].into_iter().flatten().min()
    }

    /// Waits for the gate, if it is wanted.
    pub async fn hold(&mut self) -> Hold {
        match &mut self.gate {
            Gate::Requested(holding) => holding.await,
            _ => std::future::pending().await,
        }
    }

    /// The gate is ours.
    pub fn held(&mut self, hold: Hold) {
        self.gate = Gate::Held(hold);
    }

    /// Draws what there is to draw, or begins to wait for the moment.
    pub async fn paint(&mut self, now: Now, host: &mut Host, program: &mut Program) {
        let Some(writer) = self.writer.clone() else {
            return;
        };
        self.repaints |= self.primary_unknown && !host.is_alternate(host.shown());
        if self.repaints {
            self.paint_all(now, host, program).await;
            if self.repaints {
                return;
            }
        }
        let titled = self.has_titles && host.is_shared();
        let sharing = titled.then(|| Sharing {
            name: self.name.clone(),
            viewers: host.viewers(),
            typist: host.typist().map(|(id, name)| (id, name.to_owned())),
        });
        self.ui.sharing(now, sharing, host.title_sets());
        let Some(want) = self.ui.wants(now) else {
            self.wanted_since_us = None;
            self.unfit = false;
            if !matches!(self.gate, Gate::Drawn(_)) {
                self.ui.forget_cursor();
                self.gate = Gate::Free;
            }
            return;
        };
        let since = *self.wanted_since_us.get_or_insert(now.mono_us);
        let late = now.mono_us.saturating_sub(since) >= PATIENCE_US;
        let hold = match &mut self.gate {
            _ if self.unfit && !late => return,
            Gate::Free => {
                self.gate =
                    Gate::Requested(Box::pin(async move { writer.hold(HoldMode::Wait).await }));
                return;
            }
            Gate::Requested(_) => return,
            Gate::Held(hold) | Gate::Drawn(hold) => hold,
        };
        let panel = matches!(want, Want::Panel | Want::Close);
        let is_drawn = self.ui.has_notice();
        self.bytes.clear();
        if self.behind_panel.as_ref().is_none_or(|behind| behind.stale) {
            // From here on nothing more is kept. What is kept already the session may have, and the
            // terminal has not: a notice makes way for it first, and behind a panel it is not needed.
            hold.set_mode(HoldMode::Wait);
            if self.behind_panel.is_none() && hold.kept() > 0 {
                return self.yield_to_output(now, host).await;
            }
            // Everything the terminal has was delivered: take it in, and the emulator shows the same.
            if !catch_up(now, host, program) {
                return self.release().await;
            }
            host.capture(host.shown(), &mut self.screen);
            if !host.at_ground(host.shown()) {
                let between = host.between_sequences(host.shown());
                if !(panel && late) {
                    self.unfit = true;
                    if self.behind_panel.is_some() {
                        // What the program writes must not come out over the panel.
                        return hold.set_mode(HoldMode::Keep);
                    }
                    if late && between {
                        self.wanted_since_us = None;
                        self.ui.fallback(now, &self.screen, &mut self.bytes);
                        self.draw().await;
                    }
                    return self.release().await;
                }
                // Who asked for the panel has waited long enough for the program to go on.
                self.bytes.extend((!between).then_some(CANCEL));
            }
            if want == Want::Title {
                self.wanted_since_us = None;
                self.unfit = false;
                self.ui.paint_title(now, &self.screen, &mut self.bytes);
                self.draw().await;
                if let (true, Gate::Drawn(hold)) = (is_drawn, &mut self.gate) {
                    // The notice stands there still, and makes way for what the program writes.
                    return hold.set_mode(HoldMode::Keep);
                }
                return self.release().await;
            }
            if self.behind_panel.is_none()
                && host.cursor_is_unsure()
                && !self.locate(now, host).await
            {
                return;
            }
        }
        self.wanted_since_us = None;
        self.unfit = false;
        if want == Want::Close {
            return self.close(now, host).await;
        }
        let resume = host.resume();
        self.ui.paint(now, &self.screen, &resume, &mut self.bytes);
        if want == Want::Panel && self.behind_panel.is_none() {
            self.behind_panel = Some(Covered {
                screen: self.screen.clone(),
                resume,
                stale: false,
            });
        }
        let began = Instant::now();
        let whole = self.draw().await;
        // What is asked can be read from when the terminal has it.
        self.ui.painted(now.after(began.elapsed()), whole);
        self.gate = match std::mem::replace(&mut self.gate, Gate::Free) {
            Gate::Held(mut hold) | Gate::Drawn(mut hold) => {
                hold.set_mode(HoldMode::Keep);
                Gate::Drawn(hold)
            }
            other => other,
        };
    }

    /// Draws all of the screen on a terminal that shows something else, in the first moment for it.
    async fn paint_all(&mut self, now: Now, host: &mut Host, program: &mut Program) {
        let since = *self.wanted_since_us.get_or_insert(now.mono_us);
        let late = now.mono_us.saturating_sub(since) >= PATIENCE_US;
        let hold = match &mut self.gate {
            _ if self.unfit && !late => return,
            Gate::Free => {
                if let Some(writer) = self.writer.clone() {
                    self.gate =
                        Gate::Requested(Box::pin(async move { writer.hold(HoldMode::Wait).await }));
                }
                return;
            }
            Gate::Requested(_) => return,
            Gate::Held(hold) | Gate::Drawn(hold) => hold,
        };
        hold.set_mode(HoldMode::Wait);
        if !catch_up(now, host, program) {
            return;
        }
        if !host.at_ground(host.shown()) && !late {
            // The terminal must not see the end of a sequence whose beginning it has not seen.
            hold.set_mode(HoldMode::Skip);
            self.unfit = true;
            return;
        }
        host.capture(host.shown(), &mut self.screen);
        self.bytes.clear();
        match self.other.take() {
            Some(palette) => {
                // It may have been in the middle of anything.
                self.bytes.push(CANCEL);
                self.bytes.extend_from_slice(RESTORE_SCREEN_MODES);
                let resume = host.resume();
                emit_switched(&palette, &self.screen, &resume, &mut self.bytes);
            }
            None => emit_moved(&self.screen, &host.resume(), &mut self.bytes),
        }
        hold.keep(&self.bytes);
        self.repaints = false;
        self.fresh = false;
        self.primary_unknown = self.screen.modes.contains(Modes::ALTERNATE_SCREEN);
        self.wanted_since_us = None;
        self.unfit = false;
        self.release().await;
    }

    /// Whether it is known where the terminal's cursor is; if not, the gate stays held until it is, or, where
    /// the program waits for an answer of the same kind, it is not the moment.
    async fn locate(&mut self, now: Now, host: &Host) -> bool {
        let (asked, answered) = (host.cursor_queries(), self.ui.cursor_reports());
        if self.queries.is_waiting(now, asked, answered) {
            self.unfit = true;
            self.release().await;
            return false;
        }
        let before = self.bytes.len();
        let known = self
            .ui
            .locate(now, &self.screen, &host.resume(), &mut self.bytes);
        if self.bytes.len() > before {
            self.draw().await;
        }
        known
    }

    /// The program has written: the notice makes way before the session takes it in.
    pub async fn before_output(&mut self, now: Now, host: &Host) {
        self.unfit = false;
        if self.repaints {
            return;
        }
        if self.behind_panel.is_none() && matches!(self.gate, Gate::Held(_) | Gate::Drawn(_)) {
            self.yield_to_output(now, host).await;
        }
    }

    /// The program has ended: the terminal shows what it left behind, and nothing of ours.
    pub async fn end(mut self, now: Now, host: &Host) {
        if self.writer.is_some() && !self.repaints {
            self.take_away(now, host).await;
            self.drop_title(host).await;
        }
    }

    /// Gives the terminal its own title back.
    async fn drop_title(&mut self, host: &Host) {
        let Some(writer) = self.writer.clone().filter(|_| self.ui.has_title()) else {
            return;
        };
        if let Ok(hold) = tokio::time::timeout(DRAWING, writer.hold(HoldMode::Wait)).await {
            host.capture(host.shown(), &mut self.screen);
            self.bytes.clear();
            self.ui.drop_title(&self.screen, &mut self.bytes);
            self.gate = Gate::Held(hold);
            self.draw().await;
            self.release().await;
        }
    }

    async fn take_away(&mut self, now: Now, host: &Host) {
        self.bytes.clear();
        match &self.behind_panel {
            Some(_) => {
                self.ui.close_panel();
                self.close(now, host).await;
            }
            None => self.yield_to_output(now, host).await,
        }
    }

    /// Takes the panel away. What was printed behind it follows, or is on the screen already.
    async fn close(&mut self, now: Now, host: &Host) {
        let Some(behind) = self.behind_panel.take() else {
            return self.release().await;
        };
        if behind.stale {
            if let Gate::Held(hold) | Gate::Drawn(hold) = &mut self.gate {
                hold.discard_kept();
            }
            host.capture(host.shown(), &mut self.screen);
            self.ui
                .paint(now, &self.screen, &host.resume(), &mut self.bytes);
        } else {
            self.ui
                .paint(now, &behind.screen, &behind.resume, &mut self.bytes);
        }
        self.draw().await;
        self.release().await;
    }

    /// Takes the notice away and lets the program's output through. The session must not have taken in
    /// any that the terminal has not.
    async fn yield_to_output(&mut self, now: Now, host: &Host) {
        host.capture(host.shown(), &mut self.screen);
        self.bytes.clear();
        self.ui
            .before_output(now, &self.screen, &host.resume(), &mut self.bytes);
        self.draw().await;
        self.release().await;
    }

    /// Draws what was painted; whether all of it. A terminal that takes nothing keeps nobody waiting for
    /// long: the rest is drawn never, and the next repaint mends it.
    async fn draw(&mut self) -> bool {
        let (Gate::Held(hold) | Gate::Drawn(hold)) = &mut self.gate else {
            return false;
        };
        let drawn = tokio::time::timeout(DRAWING, hold.draw(&self.bytes)).await;
        let whole = matches!(drawn, Ok(Ok(())));
        if !whole {
            tracing::debug!("the notice was not drawn whole");
        }
        whole
    }

    /// Lets the program's output pass, what was kept first.
    async fn release(&mut self) {
        self.ui.forget_cursor();
        let gate = std::mem::replace(&mut self.gate, Gate::Free);
        if let Gate::Held(mut hold) | Gate::Drawn(mut hold) = gate {
            // What is left is written by the one who reads the program.
            let _ = tokio::time::timeout(DRAWING, hold.draw_kept()).await;
        }
    }
}

/// Takes in all output that has been delivered; false if the program has ended.
fn catch_up(now: Now, host: &mut Host, program: &mut Program) -> bool {
    while let Some(event) = program.try_next() {
        match event {
            SourceEvent::Output(bytes) => {
                let input = HostInput::Output {
                    track: host.shown(),
                    bytes,
                    more: false,
                };
                super::tell(host, now, input);
            }
            other => {
                program.put_back(other);
                return false;
            }
        }
    }
    true
}
