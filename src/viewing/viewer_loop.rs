//! Riding along: the loops that drive a [`Viewer`].
//!
//! ```text
//! host ─ViewerNet─▶ Viewer::handle/poll ─View─▶ ViewerUi::draw ─▶ terminal
//! keys ─ViewerUi──▶ ┘                └─▶ ViewerNet
//! ```
//!
//! Three ways to show a session: full-screen, the screen once as text, and lines as they come.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use pillion_caps::{PublicKey, SecretKey, UnixMillis};
use pillion_conversation::Conversation;
use pillion_net::{NetOptions, RelayChoice, RelaySecret, ViewerNet, signal::Resolver};
use pillion_proto::{GrantToken, JoinId, Ticket, TrackId, TrackKind, TrackState};
use pillion_screen::{Size, clean::clean_title};
use pillion_session::{
    HistoryLines, Phase, View, Viewer, ViewerConfig, ViewerEvent, ViewerInput, ViewerNotice,
    ViewerOutput,
};
use pillion_source::{ExitSignal, ExitSignals, Hold, HoldMode, HostTty};
use pillion_tui::{
    Action, Depth, Follow, Notify, Prefix, UiInput, ViewerUi, ViewerUiConfig, words,
};

use crate::{
    clock::{Clock, unix_ms, zone},
    hosting::software,
    identity::proving::Claims,
    terminal::{
        console::charset,
        printer::{Printer, Printing},
    },
    viewing::{
        claim_renewal::{Renewed, Renewing},
        host_lookup::HostLookup,
    },
};

/// How long a terminal may take what gives it back.
const LAST_DRAWING: Duration = Duration::from_millis(200);

/// So long after a terminal ended nothing may have come of it, in microseconds, for all of it to be here.
const LAST_WORDS_US: u64 = 500_000;

/// Whom to join, and as whom.
pub struct Options {
    /// The ticket.
    pub ticket: Ticket,
    /// Asks for a newer ticket when the host is not where it was.
    pub resolver: Option<Resolver>,
    /// The endpoint's key, where the host was told of it.
    pub endpoint: Option<SecretKey>,
    /// Grant tokens to present.
    pub grants: Vec<GrantToken>,
    /// Claims about who they are, made for this session.
    pub claims: Claims,
    /// The person's key.
    pub identity: SecretKey,
    /// What to call them.
    pub name: String,
    /// Never send input.
    pub read_only: bool,
    /// The terminal to look at; what the host looks at, by default.
    pub terminal: Option<TrackId>,
    /// How to reach the host.
    pub relay: RelayChoice,
    /// The rest of the network's options.
    pub net: NetOptions,
    /// Keys of the sessions this process runs inside of.
    pub inside: Vec<PublicKey>,
}

/// A session that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Its name.
    pub session: String,
    /// For how long, in milliseconds.
    pub lasted: u64,
}

/// How riding along ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The person left.
    Left,
    /// The person left, and wants what is theirs to go on.
    Detached,
    /// The session ended; what to tell the person.
    Ended(String),
    /// The host refused; why.
    Refused(String),
    /// The session has no such terminal; what it has.
    NoTerminal(String),
    /// The host could not be reached; why.
    Unreachable(String),
    /// A signal asked for it, or the terminal went, which is the same as a hang-up.
    Signalled(ExitSignal),
    /// Nobody reads what is printed any more.
    Unread,
}

/// A viewer on its way to a host.
pub struct ViewerLoop {
    clock: Clock,
    viewer: Viewer,
    /// The session's key.
    session: PublicKey,
    /// Signs for the viewer.
    identity: SecretKey,
    net: ViewerNet,
    news: PendingEvents,
    seeker: HostLookup,
    renewing: Renewing,
    /// The next connection waits for claims that are made again.
    connecting: bool,
    /// The terminal to look at, of which is not known yet whether it is there.
    sought: Option<TrackId>,
    /// What could not be made again, and what to do; empty if all could.
    unrenewed: String,
}

/// What the state machine has told and nobody has dealt with yet.
#[derive(Default)]
pub(super) struct PendingEvents {
    pub(super) said: Vec<String>,
    /// Those of them that say why something was not done.
    pub(super) refused: Vec<String>,
    /// What this side has to tell beside it.
    pub(super) aside: Vec<String>,
    history: Vec<HistoryLines>,
    pub(super) ended: Option<Outcome>,
}

impl ViewerLoop {
    /// Starts connecting.
    ///
    /// # Errors
    /// No randomness, a token for another session.
    pub fn start(options: Options) -> Result<ViewerLoop> {
        // First of all: the sockets open while the rest is put together.
        let mut network = options.net;
        network.their_relay = options
            .ticket
            .relay()
            .map(|(url, token)| (url.clone(), RelaySecret::token(token)));
        let mut net = ViewerNet::with_key(options.relay, network, options.endpoint);
        net.set_host(options.ticket.addr.clone());
        let session = PublicKey::from_bytes(options.ticket.addr.id.as_bytes())
            .context("this ticket is damaged: copy it again, whole")?;
        let mut grants = Vec::new();
        for token in options.grants {
            if token.session != *session.as_bytes() {
                anyhow::bail!(
                    "the grant token is for another session than the ticket; ask the host for one of this session: pillion grant --link --edit"
                );
            }
            grants.push((token.grant.into(), Some(SecretKey::from_bytes(&token.link))));
        }
        let clock = Clock::start();
        let mut viewer = Viewer::new(
            ViewerConfig {
                identity: options.identity.public(),
                session,
                link: Some(SecretKey::from_bytes(&options.ticket.link)),
                grants,
                claims: options.claims.bytes(),
                name: options.name,
                software: software(),
                join: JoinId(pillion_net::random_bytes()?),
                read_only: options.read_only,
                inside: options.inside,
            },
            clock.now(),
        );
        let chosen = options.terminal.into_iter().collect();
        viewer.handle(clock.now(), ViewerInput::Look(chosen));
        Ok(ViewerLoop {
            clock,
            sought: options.terminal,
            viewer,
            session,
            identity: options.identity,
            net,
            news: PendingEvents::default(),
            renewing: Renewing::new(options.claims),
            connecting: false,
            unrenewed: String::new(),
            seeker: HostLookup::new(options.resolver, options.ticket.addr.id),
        })
    }

    pub(super) fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// The session's key, as a text.
    pub(super) fn session(&self) -> String {
        self.session.to_string()
    }

    /// The key of the person, as a text.
    pub(super) fn person(&self) -> String {
        self.identity.public().to_string()
    }

    /// What there is to see.
    pub fn view(&self) -> &View {
        self.viewer.view()
    }

    /// Why there is nothing to look at, once the host has said which terminals there are.
    fn seek(&mut self) -> Option<Outcome> {
        let view = self.viewer.view();
        let sought = self.sought.filter(|_| view.you.is_some())?;
        self.sought = None;
        let terminals = view.tracks.iter();
        let is_shown =
            |kind: TrackKind| matches!(kind, TrackKind::Terminal | TrackKind::Conversation);
        let terminals = terminals.filter(|info| is_shown(info.kind));
        let there: Vec<TrackId> = terminals.map(|info| info.id).collect();
        let is_there = there.contains(&sought);
        (!is_there).then(|| Outcome::NoTerminal(words::no_such_terminal(sought, &there)))
    }

    /// Prints the screen as it is now, as text.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub async fn text(mut self) -> Result<Outcome> {
        let mut signals = ExitSignals::new()?;
        let mut told = String::new();
        let mut text = None;
        let outcome = loop {
            let news = self.drain();
            if let Some(ended) = news.ended.or_else(|| self.seek()) {
                break ended;
            }
            if let (Phase::Live | Phase::Stalled { .. }, Some(screen)) =
                (&self.view().phase, &self.view().screen)
            {
                // A program seldom begins at the top of its terminal.
                text = Some(screen.text().trim_start_matches('\n').to_owned());
                break Outcome::Left;
            }
            match &self.view().phase {
                Phase::Knocking { you, wait_ms, .. } => {
                    let text = words::knocking(you, *wait_ms, self.view());
                    if text != told {
                        crate::say!("pillion: {text}");
                        told = text;
                    }
                }
                Phase::Connecting { why: Some(why), .. } => {
                    break Outcome::Unreachable(words::interruption(why));
                }
                _ => {}
            }
            if let Some(signal) = self.next(None, signals.next()).await {
                break Outcome::Signalled(signal);
            }
        };
        self.leave().await;
        if let Some(text) = text {
            crate::output!("{text}")?;
        }
        Ok(outcome)
    }

    /// Prints lines as they leave the screen, until the session ends; then what is left on it.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub async fn follow(mut self) -> Result<Outcome> {
        let mut signals = ExitSignals::new()?;
        let mut printer = Printer::start()?;
        let outcome = self.follow_to(&mut signals, &mut printer).await;
        let (outcome, rest) = match outcome {
            Ok(done) => done,
            Err(error) => {
                self.leave().await;
                return match error.kind() {
                    io::ErrorKind::BrokenPipe => Ok(Outcome::Unread),
                    _ => Err(error).context("standard output can't be written"),
                };
            }
        };
        self.leave().await;
        if let Outcome::Signalled(_) = outcome {
            return Ok(outcome);
        }
        tokio::select! {
            printed = printer.finish(rest) => match printed {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    Err(error).context("standard output can't be written")
                }
                Err(_) if matches!(outcome, Outcome::Left | Outcome::Ended(_)) => Ok(Outcome::Unread),
                _ => Ok(outcome),
            },
            signal = signals.next() => Ok(Outcome::Signalled(signal)),
        }
    }

    /// How following ended, and what is still to be printed.
    async fn follow_to(
        &mut self,
        signals: &mut ExitSignals,
        printer: &mut Printer,
    ) -> io::Result<(Outcome, String)> {
        enum Woken {
            Signal(ExitSignal),
            Printing(Printing),
        }
        let mut follow = Follow::new();
        let mut out = String::new();
        let mut told = String::new();
        let only = self.sought;
        let mut shown = None;
        let mut last = LastWords::default();
        loop {
            let news = self.drain();
            if let Some(none) = self.seek() {
                return Ok((none, out));
            }
            for said in &news.aside {
                crate::say!("pillion: {said}");
            }
            for lines in &news.history {
                follow.history(lines, &mut out);
            }
            match &self.viewer.view().phase {
                Phase::Knocking { you, wait_ms, .. } => {
                    let text = words::knocking(you, *wait_ms, self.viewer.view());
                    if text != told {
                        crate::say!("pillion: {text}");
                        told = text;
                    }
                }
                Phase::Connecting { why, .. } => {
                    follow.disconnected();
                    if let Some(why) = why.as_ref().map(words::interruption)
                        && why != told
                    {
                        crate::say!("pillion: {why}; trying again until you press Ctrl-C");
                        told = why;
                    }
                }
                Phase::Live => told.clear(),
                _ => {}
            }
            let view = self.viewer.view();
            if view.tracks.len() > 1 && view.screen.is_some() && shown != Some(view.track.0) {
                shown = Some(view.track.0);
                if only.is_none() {
                    let said = words::lines_of(view.track.0, title(view, view.track.0));
                    crate::say!("pillion: {said}");
                }
            }
            if let Some(ended) = news.ended {
                return Ok((ended, self.last_lines(follow, only, out)));
            }
            follow.see(self.viewer.view(), &mut out);
            printer.print(&mut out);
            // Who reads slowly is asked for no more than that; and without a connection nobody answers.
            let connected = matches!(self.view().phase, Phase::Live | Phase::Stalled { .. });
            if out.is_empty()
                && connected
                && let Some((from, count)) = follow.wants()
            {
                self.tell(ViewerInput::WantHistory { from, count });
                continue;
            }
            if let Some(only) = only {
                let is_busy = follow.is_asking() || !out.is_empty();
                let (now, view) = (self.clock.now().mono_us, self.viewer.view());
                if let Some(ended) = last.of(now, view, only, is_busy) {
                    return Ok((ended, self.last_lines(follow, Some(only), out)));
                }
            }
            let waits = !out.is_empty();
            let woken = self.next(last.wake_at, async {
                tokio::select! {
                    biased;
                    signal = signals.next() => Woken::Signal(signal),
                    printing = printer.next(waits) => Woken::Printing(printing),
                }
            });
            match woken.await {
                Some(Woken::Signal(signal)) => return Ok((Outcome::Signalled(signal), out)),
                Some(Woken::Printing(Printing::Failed(error))) => return Err(error),
                Some(Woken::Printing(Printing::HasRoom)) | None => {}
            }
        }
    }

    /// Adds what is left on the screen, if it is of the terminal that was to be followed.
    fn last_lines(&self, mut follow: Follow, only: Option<TrackId>, mut out: String) -> String {
        let view = self.view();
        if only.is_none_or(|only| only == view.track.0) {
            follow.see(view, &mut out);
            follow.finish(&mut out);
        }
        if follow.missed() > 0 {
            let missed = follow.missed();
            crate::say!("pillion: {missed} lines could not be had from the host");
        }
        out
    }

    /// Shows the session full-screen.
    ///
    /// # Errors
    /// The terminal cannot be used.
    pub async fn full_screen(
        mut self,
        tty: HostTty,
        prefix: Prefix,
        notify: Notify,
        read_only: bool,
    ) -> Result<(Outcome, Option<Visit>)> {
        let depth = Depth::detect(|name| std::env::var(name).ok())?;
        let size = tty.size()?;
        let config = ViewerUiConfig {
            prefix,
            depth,
            read_only,
        };
        let mut ui = ViewerUi::new(config, Size::clamped(size.cols(), size.rows()))
            .in_charset(charset())
            .notifying(notify)
            .introduced();
        let mut signals = ExitSignals::new()?;
        tty.enter_raw()?;
        let mut terminal = Terminal::take(tty).await?;
        let outcome = self.show(&mut ui, &mut terminal, &mut signals).await;
        // What the host is told must not wait for a terminal that takes nothing any more.
        let farewell = async {
            let mut bytes = Vec::new();
            ui.leave(&mut bytes);
            let _ = tokio::time::timeout(LAST_DRAWING, terminal.draw(&mut bytes)).await;
            drop(terminal);
        };
        let visit = self.visit();
        tokio::join!(farewell, self.leave());
        Ok((outcome, visit))
    }

    /// What was seen, if anything was.
    fn visit(&self) -> Option<Visit> {
        let view = self.view();
        view.screen.as_ref()?;
        Some(Visit {
            session: clean_title(&view.session_name, 64),
            lasted: self.clock.now().mono_us / 1000,
        })
    }

    /// How it ended.
    async fn show(
        &mut self,
        ui: &mut ViewerUi,
        terminal: &mut Terminal,
        signals: &mut ExitSignals,
    ) -> Outcome {
        enum Woken {
            Signal(ExitSignal),
            Typed(Bytes),
            Resized(Size),
            Gone,
        }
        let gone = Outcome::Signalled(ExitSignal::Hangup);
        let Ok(mut keys) = terminal.tty.keys() else {
            return gone;
        };
        let mut bytes = Vec::new();
        loop {
            let news = self.drain();
            if let Some(none) = self.seek() {
                return none;
            }
            let now = self.clock.now();
            let (view, conversation) = self.seen();
            // What came may ask for something without a key.
            let mut actions = ui.handle_with(now, view, conversation, UiInput::Tick);
            for said in news.said.iter().chain(&news.aside) {
                actions.extend(ui.handle_with(now, view, conversation, UiInput::Said(said)));
            }
            for lines in news.history {
                actions.extend(ui.handle_with(now, view, conversation, UiInput::History(lines)));
            }
            if let Some(ended) = news.ended {
                return ended;
            }
            if let Leaving::Yes(outcome) = self.act(actions) {
                return outcome;
            }
            // What the interface asked for is on its way before anything is drawn.
            self.send();
            let (view, conversation) = self.seen();
            ui.draw_with(now, view, conversation, &mut bytes);
            tokio::select! {
                biased;
                drawn = terminal.draw(&mut bytes) => if drawn.is_err() {
                    return gone;
                },
                // A terminal that takes nothing (Ctrl-S, a stopped connection) must not keep us here.
                signal = signals.next() => return Outcome::Signalled(signal),
            }
            if !self.news.is_empty() {
                continue;
            }
            let takes_keys = self.viewer.takes_keys();
            let tty = &mut terminal.tty;
            let woken = self.next(ui.wake_at(), async {
                tokio::select! {
                    biased;
                    typed = keys.read(), if takes_keys => match typed {
                        Ok(Some(typed)) => Woken::Typed(typed),
                        Ok(None) | Err(_) => Woken::Gone,
                    },
                    size = tty.size_changed() => match size {
                        Ok(size) => Woken::Resized(Size::clamped(size.cols(), size.rows())),
                        Err(_) => Woken::Gone,
                    },
                    signal = signals.next() => Woken::Signal(signal),
                }
            });
            let woken = woken.await;
            let now = self.clock.now();
            let (view, conversation) = self.seen();
            let mut typed_now = false;
            ui.more_is_typed(keys.is_pending());
            let actions = match woken {
                Some(Woken::Typed(typed)) => {
                    typed_now = true;
                    ui.handle_with(now, view, conversation, UiInput::Keys(&typed))
                }
                Some(Woken::Resized(size)) => {
                    ui.handle_with(now, view, conversation, UiInput::Resized(size))
                }
                Some(Woken::Signal(signal)) => return Outcome::Signalled(signal),
                Some(Woken::Gone) => return gone,
                None if ui.wake_at().is_some_and(|at| at <= now.mono_us) => {
                    ui.handle_with(now, view, conversation, UiInput::Tick)
                }
                None => continue,
            };
            if let Leaving::Yes(outcome) = self.act(actions) {
                return outcome;
            }
            if typed_now {
                // The network's tasks send a key before the status line is looked at.
                self.send();
                tokio::task::yield_now().await;
            }
        }
    }

    /// What is shown.
    fn seen(&self) -> (&View, Option<&Conversation>) {
        let view = self.viewer.view();
        (view, self.viewer.conversation(view.track.0))
    }

    fn act(&mut self, actions: Vec<Action>) -> Leaving {
        for action in actions {
            match action {
                Action::Keys(bytes) => self.tell(ViewerInput::Keys(bytes)),
                Action::RequestEdit => self.tell(ViewerInput::RequestEdit),
                Action::WantHistory { from, count } => {
                    self.tell(ViewerInput::WantHistory { from, count });
                }
                Action::Look(track) => {
                    self.tell(ViewerInput::Look(track.into_iter().collect()));
                }
                Action::OpenTerminal => self.tell(ViewerInput::OpenTerminal {
                    title: String::new(),
                }),
                Action::Command(what) => self.tell(ViewerInput::Command(what)),
                Action::Converse { track, request } => {
                    self.tell(ViewerInput::Converse { track, request });
                }
                Action::Leave => return Leaving::Yes(Outcome::Left),
                Action::Detach => return Leaving::Yes(Outcome::Detached),
            }
        }
        Leaving::No
    }

    /// Waits for the next thing to happen, and sees to what concerns the connection: losing it and coming back is
    /// the same however a session is shown. What `local` waits for is given back; it is dropped where something
    /// else came first.
    pub(super) async fn next<T>(
        &mut self,
        ui: Option<u64>,
        local: impl Future<Output = T>,
    ) -> Option<T> {
        let wake = self.next_wake(ui);
        tokio::select! {
            biased;
            input = self.net.next_input() => self.tell(input),
            addr = self.seeker.found() => self.net.set_host(addr),
            renewed = self.renewing.next() => self.renewed(renewed),
            came = local => return Some(came),
            () = tokio::time::sleep_until(wake.into()) => {
                if self.viewer.wake_at().is_some_and(|at| at <= self.clock.now().mono_us) {
                    self.tell(ViewerInput::Tick);
                }
            }
        }
        None
    }

    fn next_wake(&self, ui: Option<u64>) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let at = [self.viewer.wake_at(), ui].into_iter().flatten().min();
        at.map_or(far, |at| self.clock.instant(at))
    }

    /// Claims were made again, or are not waited for any longer: connects, if that waited for them.
    fn renewed(&mut self, renewed: Renewed) {
        if let Renewed::Claims(claims, said) = renewed {
            self.tell(ViewerInput::Claims(claims));
            let said = said.join(". ");
            if said != self.unrenewed && !said.is_empty() {
                self.news.aside.push(said.clone());
            }
            self.unrenewed = said;
        }
        if std::mem::take(&mut self.connecting) {
            // A connection that is asked for tells nothing by itself.
            let _ = self.net.apply(ViewerOutput::Connect);
        }
    }

    pub(super) fn tell(&mut self, input: ViewerInput) {
        if matches!(input, ViewerInput::Disconnected { .. }) {
            self.seeker.seek();
        }
        self.viewer.handle(self.clock.now(), input);
    }

    /// Does what the state machine wants done, and gives what it told.
    pub(super) fn drain(&mut self) -> PendingEvents {
        self.send();
        std::mem::take(&mut self.news)
    }

    /// Does what the state machine wants done; what it tells is kept for [`ViewerLoop::drain`].
    pub(super) fn send(&mut self) {
        let news = &mut self.news;
        while let Some(output) = self.viewer.poll() {
            match output {
                ViewerOutput::Connect if self.renewing.begin(UnixMillis(unix_ms())) => {
                    self.connecting = true;
                    continue;
                }
                ViewerOutput::Close => self.connecting = false,
                _ => {}
            }
            let event = match self.net.apply(output) {
                Some(ViewerOutput::Event(event)) => event,
                // At once: the hello waits for it.
                Some(ViewerOutput::Sign { request, inputs }) => {
                    let signed = ViewerInput::signed_with(&self.identity, request, &inputs);
                    self.viewer.handle(self.clock.now(), signed);
                    continue;
                }
                _ => continue,
            };
            match event {
                // Logs are not shown in a terminal yet.
                ViewerEvent::Changed | ViewerEvent::Entries(_) => {}
                ViewerEvent::Said(notice) => {
                    let said = words::viewer_notice(&notice, self.viewer.view(), zone());
                    if is_refusal(&notice) {
                        news.refused.push(said.clone());
                    }
                    news.said.push(said);
                }
                ViewerEvent::Answered(answer) => news.said.extend(words::answered(&answer)),
                ViewerEvent::History(lines) => news.history.push(lines),
                ViewerEvent::Ended { why, regular } => {
                    let text = words::ending(&why, zone());
                    news.ended = Some(match regular {
                        true => Outcome::Ended(text),
                        false if self.unrenewed.is_empty() => Outcome::Refused(text),
                        false => Outcome::Refused(format!("{text}. {}", self.unrenewed)),
                    });
                }
            }
        }
    }

    /// Says goodbye, and waits until it is said (half a second at most).
    pub async fn leave(mut self) {
        self.tell(ViewerInput::Leave);
        self.send();
        self.net.close().await;
    }
}

/// Whether it says why something that was wanted was not done.
fn is_refusal(notice: &ViewerNotice) -> bool {
    matches!(
        notice,
        ViewerNotice::Dropped { .. } | ViewerNotice::NotSaid(_) | ViewerNotice::LostWhileAway
    )
}

/// What a track is called, as it came.
fn title(view: &View, track: TrackId) -> &str {
    let info = view.tracks.iter().find(|info| info.id == track);
    info.map_or("", |info| info.title.as_str())
}

/// Waits for the rest of a terminal that ended: how it stands is told beside its frames, and may overtake
/// them.
#[derive(Default)]
struct LastWords {
    /// The newest frame since it ended, and when it was seen first.
    newest: Option<(u64, u64)>,
    wake_at: Option<u64>,
}

impl LastWords {
    /// How following `only` ended, if it did.
    fn of(&mut self, now_us: u64, view: &View, only: TrackId, is_busy: bool) -> Option<Outcome> {
        self.wake_at = None;
        if view.you.is_some() && view.chosen != Some(only) {
            return Some(Outcome::Ended(words::terminal_gone(only)));
        }
        let (shown, state) = view.track;
        let is_over = matches!(state, TrackState::Exited(_) | TrackState::Killed(_));
        if shown != only || !is_over || view.phase != Phase::Live {
            self.newest = None;
            return None;
        }
        let same = self.newest.filter(|(frame, _)| *frame == view.frame);
        let (frame, since_us) = same.unwrap_or((view.frame, now_us));
        self.newest = Some((frame, since_us));
        let quiet_at_us = since_us.saturating_add(LAST_WORDS_US);
        if now_us < quiet_at_us {
            self.wake_at = Some(quiet_at_us);
            return None;
        }
        (!is_busy).then(|| Outcome::Ended(words::terminal_ended(only, title(view, only), state)))
    }
}

impl PendingEvents {
    fn is_empty(&self) -> bool {
        let PendingEvents {
            said,
            refused: _,
            aside,
            history,
            ended,
        } = self;
        said.is_empty() && aside.is_empty() && history.is_empty() && ended.is_none()
    }
}

enum Leaving {
    Yes(Outcome),
    No,
}

/// The viewer's terminal while it shows a session. Given back on every way out, a panic included.
struct Terminal {
    hold: Hold,
    tty: HostTty,
}

impl Terminal {
    async fn take(tty: HostTty) -> Result<Terminal> {
        let hold = tty.writer().hold(HoldMode::Wait).await;
        Ok(Terminal { hold, tty })
    }

    async fn draw(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        if !bytes.is_empty() {
            self.hold
                .draw(bytes)
                .await
                .context("your terminal is gone")?;
            bytes.clear();
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tty.restore_screen_modes();
    }
}
