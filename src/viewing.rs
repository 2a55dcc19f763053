//! Riding along: the loops that drive a [`Viewer`].
//!
//! ```text
//! host ─ViewerNet─▶ Viewer::handle/poll ─View─▶ ViewerUi::draw ─▶ terminal
//! keys ─ViewerUi──▶ ┘                └─▶ ViewerNet
//! ```
//!
//! Three ways to show a session: full-screen, the screen once as text, and lines as they come.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use pillion_caps::{PublicKey, SecretKey, UnixMillis};
use pillion_net::{NetOptions, RelayChoice, RelaySecret, ViewerNet, signal::Resolver};
use pillion_proto::{GrantToken, JoinId, Ticket};
use pillion_screen::Size;
use pillion_session::{
    HistoryLines, Phase, View, Viewer, ViewerConfig, ViewerEvent, ViewerInput, ViewerOutput,
};
use pillion_source::{ExitSignals, Hold, HoldMode, HostTty};
use pillion_tui::{Action, Depth, Follow, Prefix, UiInput, ViewerUi, ViewerUiConfig};

use crate::{
    clock::{Clock, unix_ms},
    hosting::software,
    proving::Claims,
    renewing::{Renewed, Renewing},
    seeker::Seeker,
};

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
    /// How to reach the host.
    pub relay: RelayChoice,
    /// The rest of the network's options.
    pub net: NetOptions,
    /// Keys of the sessions this process runs inside of.
    pub inside: Vec<PublicKey>,
}

/// How riding along ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The person left.
    Left,
    /// The session ended; what to tell the person.
    Ended(String),
    /// The host refused; why.
    Refused(String),
    /// The host could not be reached; why.
    Unreachable(String),
}

/// A viewer on its way to a host.
pub struct Viewing {
    clock: Clock,
    viewer: Viewer,
    net: ViewerNet,
    news: News,
    seeker: Seeker,
    renewing: Renewing,
    /// The next connection waits for claims that are made anew.
    connecting: bool,
    /// What could not be made anew, and what to do; empty if all could.
    unrenewed: String,
}

/// What the state machine has told and nobody has dealt with yet.
#[derive(Default)]
struct News {
    said: Vec<String>,
    /// What this side has to tell beside it.
    aside: Vec<String>,
    history: Vec<HistoryLines>,
    ended: Option<Outcome>,
}

impl Viewing {
    /// Starts connecting.
    ///
    /// # Errors
    /// No randomness, a token for another session.
    pub fn start(options: Options) -> Result<Viewing> {
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
        let viewer = Viewer::new(
            ViewerConfig {
                identity: options.identity,
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
        Ok(Viewing {
            clock,
            viewer,
            net,
            news: News::default(),
            renewing: Renewing::new(options.claims),
            connecting: false,
            unrenewed: String::new(),
            seeker: Seeker::new(options.resolver, options.ticket.addr.id),
        })
    }

    /// What there is to see.
    pub fn view(&self) -> &View {
        self.viewer.view()
    }

    /// Prints the screen as it is now, as text.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub async fn text(mut self) -> Result<Outcome> {
        let mut told = String::new();
        let outcome = loop {
            let news = self.drain();
            if let Some(ended) = news.ended {
                break ended;
            }
            if let (Phase::Live | Phase::Stalled { .. }, Some(screen)) =
                (&self.view().phase, &self.view().screen)
            {
                let mut out = screen.text();
                out.push('\n');
                io::stdout().write_all(out.as_bytes())?;
                break Outcome::Left;
            }
            match &self.view().phase {
                Phase::Knocking { text, .. } if *text != told => {
                    eprintln!("pillion: {text}");
                    told.clone_from(text);
                }
                Phase::Connecting { why, .. } if !why.is_empty() => {
                    break Outcome::Unreachable(why.clone());
                }
                _ => {}
            }
            self.step().await;
        };
        self.leave().await;
        Ok(outcome)
    }

    /// Prints lines as they leave the screen, until the session ends; then what is left on it.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub async fn follow(mut self) -> Result<Outcome> {
        let mut follow = Follow::new();
        let mut out = String::new();
        let mut told = String::new();
        let outcome = loop {
            let news = self.drain();
            for said in &news.aside {
                eprintln!("pillion: {said}");
            }
            for lines in &news.history {
                follow.history(lines, &mut out);
            }
            if let Phase::Knocking { text, .. } = &self.viewer.view().phase
                && *text != told
            {
                eprintln!("pillion: {text}");
                told.clone_from(text);
            }
            if let Phase::Connecting { why, .. } = &self.view().phase {
                follow.disconnected();
                if !why.is_empty() && *why != told {
                    eprintln!("pillion: {why}; trying again until you press Ctrl-C");
                    told.clone_from(why);
                }
            }
            if !out.is_empty() {
                let mut stdout = io::stdout().lock();
                stdout.write_all(out.as_bytes())?;
                stdout.flush()?;
                out.clear();
            }
            if let Some(ended) = news.ended {
                if let Some(screen) = &self.view().screen {
                    follow.finish(screen, &mut out);
                    io::stdout().write_all(out.as_bytes())?;
                }
                if follow.missed() > 0 {
                    eprintln!(
                        "pillion: {} lines could not be had from the host",
                        follow.missed()
                    );
                }
                break ended;
            }
            if let Some((from, count)) = follow.wants(self.viewer.view()) {
                self.tell(ViewerInput::WantHistory { from, count });
                continue;
            }
            self.step().await;
        };
        self.leave().await;
        Ok(outcome)
    }

    /// Shows the session full-screen.
    ///
    /// # Errors
    /// The terminal cannot be used.
    pub async fn full_screen(
        mut self,
        tty: HostTty,
        prefix: Prefix,
        read_only: bool,
    ) -> Result<Outcome> {
        let depth = Depth::detect(|name| std::env::var(name).ok())?;
        let size = tty.size()?;
        let config = ViewerUiConfig {
            prefix,
            depth,
            read_only,
        };
        let mut ui = ViewerUi::new(config, Size::clamped(size.cols(), size.rows()));
        tty.enter_raw()?;
        let mut terminal = Terminal::take(tty).await?;
        let mut keys = terminal.tty.keys()?;
        let mut signals = ExitSignals::new()?;
        let mut bytes = Vec::new();
        let outcome = loop {
            let news = self.drain();
            let now = self.clock.now();
            let mut actions = Vec::new();
            for said in news.said.iter().chain(&news.aside) {
                actions.extend(ui.handle(now, self.viewer.view(), UiInput::Said(said)));
            }
            for lines in news.history {
                actions.extend(ui.handle(now, self.viewer.view(), UiInput::History(lines)));
            }
            if let Some(ended) = news.ended {
                break ended;
            }
            if self.act(actions) == Leaving::Yes {
                break Outcome::Left;
            }
            // What the interface asked for is on its way before anything is drawn.
            self.send();
            ui.draw(now, self.viewer.view(), &mut bytes);
            terminal.draw(&mut bytes).await?;
            if !self.news.is_empty() {
                continue;
            }
            let wake = self.next_wake(ui.wake_at());
            let mut typed_now = false;
            let actions = tokio::select! {
                biased;
                input = self.net.next_input() => {
                    self.tell(input);
                    continue;
                }
                addr = self.seeker.found() => {
                    self.net.set_host(addr);
                    continue;
                }
                renewed = self.renewing.next() => {
                    self.renewed(renewed);
                    continue;
                }
                typed = keys.read(), if self.viewer.takes_keys() => match typed? {
                    Some(typed) => {
                        typed_now = true;
                        ui.handle(self.clock.now(), self.viewer.view(), UiInput::Keys(&typed))
                    }
                    None => break Outcome::Left,
                },
                size = terminal.tty.size_changed() => {
                    let size = size?;
                    let size = Size::clamped(size.cols(), size.rows());
                    ui.handle(self.clock.now(), self.viewer.view(), UiInput::Resized(size))
                }
                _ = signals.next() => break Outcome::Left,
                () = tokio::time::sleep_until(wake.into()) => {
                    let now = self.clock.now();
                    if self.viewer.wake_at().is_some_and(|at| at <= now.mono_us) {
                        self.tell(ViewerInput::Tick);
                    }
                    ui.handle(now, self.viewer.view(), UiInput::Tick)
                }
            };
            if self.act(actions) == Leaving::Yes {
                break Outcome::Left;
            }
            if typed_now {
                // The network's tasks send a key before the status line is looked at.
                self.send();
                tokio::task::yield_now().await;
            }
        };
        bytes.clear();
        ui.leave(&mut bytes);
        terminal.draw(&mut bytes).await?;
        drop(terminal);
        self.leave().await;
        Ok(outcome)
    }

    fn act(&mut self, actions: Vec<Action>) -> Leaving {
        for action in actions {
            match action {
                Action::Keys(bytes) => self.tell(ViewerInput::Keys(bytes)),
                Action::RequestEdit => self.tell(ViewerInput::RequestEdit),
                Action::WantHistory { from, count } => {
                    self.tell(ViewerInput::WantHistory { from, count });
                }
                Action::Manage(what) => self.tell(ViewerInput::Manage(what)),
                Action::Leave => return Leaving::Yes,
            }
        }
        Leaving::No
    }

    /// Waits for the next thing to happen, where there is no person to wait for.
    async fn step(&mut self) {
        let wake = self.next_wake(None);
        tokio::select! {
            biased;
            input = self.net.next_input() => self.tell(input),
            addr = self.seeker.found() => self.net.set_host(addr),
            renewed = self.renewing.next() => self.renewed(renewed),
            () = tokio::time::sleep_until(wake.into()) => self.tell(ViewerInput::Tick),
        }
    }

    fn next_wake(&self, ui: Option<u64>) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let at = [self.viewer.wake_at(), ui].into_iter().flatten().min();
        at.map_or(far, |at| self.clock.instant(at))
    }

    /// Claims were made anew, or are not waited for any longer: connects, if that waited for them.
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

    fn tell(&mut self, input: ViewerInput) {
        if matches!(input, ViewerInput::Disconnected { .. }) {
            self.seeker.seek();
        }
        self.viewer.handle(self.clock.now(), input);
    }

    /// Does what the state machine wants done, and gives what it told.
    fn drain(&mut self) -> News {
        self.send();
        std::mem::take(&mut self.news)
    }

    /// Does what the state machine wants done; what it tells is kept for [`Viewing::drain`].
    fn send(&mut self) {
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
            let Some(ViewerOutput::Event(event)) = self.net.apply(output) else {
                continue;
            };
            match event {
                ViewerEvent::Changed => {}
                ViewerEvent::Said(text) => news.said.push(text),
                ViewerEvent::History(lines) => news.history.push(lines),
                ViewerEvent::Ended {
                    text,
                    regular: true,
                } => news.ended = Some(Outcome::Ended(text)),
                ViewerEvent::Ended {
                    text,
                    regular: false,
                } if self.unrenewed.is_empty() => news.ended = Some(Outcome::Refused(text)),
                ViewerEvent::Ended { text, .. } => {
                    let text = format!("{text}. {}", self.unrenewed);
                    news.ended = Some(Outcome::Refused(text));
                }
            }
        }
    }

    /// Says goodbye, and waits until it is said (half a second at most).
    async fn leave(mut self) {
        self.tell(ViewerInput::Leave);
        self.send();
        self.net.close().await;
    }
}

impl News {
    fn is_empty(&self) -> bool {
        let News {
            said,
            aside,
            history,
            ended,
        } = self;
        said.is_empty() && aside.is_empty() && history.is_empty() && ended.is_none()
    }
}

#[derive(PartialEq, Eq)]
enum Leaving {
    Yes,
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
