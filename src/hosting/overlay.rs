//! Pillion's own words on the host's terminal: a notice over one row, a panel.
//!
//! The program draws on the same terminal, and its bytes reach it before anybody parses them. So to
//! draw, the gate is held, and what the program printed before is parsed: the emulator then knows
//! exactly what the terminal shows. While a notice is up, output is kept at the gate; when some comes,
//! the notice is taken away, the gate let go, and the notice drawn again in the next quiet moment.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use pillion_proto::TrackId;
use pillion_screen::{Screen, Size, emit::Resume};
use pillion_session::{CommandError, Done, Host, HostInput, HostNotice, Now};
use pillion_source::{Hold, HoldMode, SourceEvent, TtyWriter};
use pillion_tui::{HostAction, HostUi, Multiplexer, Prefix, Want};

use crate::hosting::pty::Program;

/// How long the moment to draw is waited for, in microseconds, before title and bell say it.
const PATIENCE_US: u64 = 1_000_000;

/// The host's user interface on its terminal.
pub struct Overlay {
    ui: HostUi,
    writer: TtyWriter,
    holding: Option<Pin<Box<dyn Future<Output = Hold>>>>,
    held: Option<Hold>,
    /// Since when something waits to be drawn.
    wanted_since_us: Option<u64>,
    /// What the terminal showed when the panel opened.
    behind_panel: Option<(Screen, Resume)>,
    screen: Screen,
    bytes: Vec<u8>,
}

impl Overlay {
    /// Nothing drawn yet.
    pub fn new(prefix: Prefix, writer: TtyWriter) -> Overlay {
        Overlay {
            ui: HostUi::new(prefix).through(Multiplexer::detect(|name| std::env::var(name).ok())),
            writer,
            holding: None,
            held: None,
            wanted_since_us: None,
            behind_panel: None,
            screen: Screen::blank(Size::clamped(1, 1)),
            bytes: Vec::new(),
        }
    }

    /// What was typed at the host.
    pub fn keys(&mut self, now: Now, bytes: &Bytes) -> Vec<HostAction> {
        self.ui.keys(now, bytes)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Now) -> Vec<HostAction> {
        self.ui.tick(now)
    }

    /// Something the person should see.
    pub fn notice(&mut self, now: Now, notice: HostNotice) {
        self.ui.notice(now, notice);
    }

    /// What came of a command given here.
    pub fn done(&mut self, now: Now, result: Result<Done, CommandError>) {
        self.ui.done(now, result);
    }

    /// When to call [`Overlay::tick`] at the latest.
    pub fn wake_at(&self) -> Option<u64> {
        let fallback = self.wanted_since_us.map(|since| since + PATIENCE_US);
        [self.ui.wake_at(), fallback].into_iter().flatten().min()
    }

    /// Waits for the gate, if it is wanted.
    pub async fn hold(&mut self) -> Hold {
        match &mut self.holding {
            Some(holding) => {
                let hold = holding.await;
                self.holding = None;
                hold
            }
            None => std::future::pending().await,
        }
    }

    /// The gate is ours.
    pub fn held(&mut self, hold: Hold) {
        self.held = Some(hold);
    }

    /// Draws what there is to draw, or begins to wait for the moment.
    pub async fn paint(&mut self, now: Now, host: &mut Host, program: &mut Program) {
        let Some(want) = self.ui.wants(now) else {
            self.wanted_since_us = None;
            return;
        };
        let since = *self.wanted_since_us.get_or_insert(now.mono_us);
        if self.held.is_none() {
            if self.holding.is_none() {
                let writer = self.writer.clone();
                self.holding = Some(Box::pin(async move { writer.hold(HoldMode::Wait).await }));
            }
            self.fall_back(now, since, host).await;
            return;
        }
        if self.behind_panel.is_none() {
            // Everything the terminal has was delivered: take it in, and the emulator shows the same.
            if !catch_up(now, host, program) || !host.at_ground(TrackId(0)) {
                self.release();
                self.fall_back(now, since, host).await;
                return;
            }
            host.capture(TrackId(0), &mut self.screen);
        }
        let behind = match want {
            Want::Close => self.behind_panel.take(),
            Want::Panel => {
                self.behind_panel
                    .get_or_insert_with(|| (self.screen.clone(), host.resume()));
                None
            }
            Want::Notice => None,
        };
        self.bytes.clear();
        match &behind {
            Some((screen, resume)) => self.ui.paint(now, screen, resume, &mut self.bytes),
            None => self
                .ui
                .paint(now, &self.screen, &host.resume(), &mut self.bytes),
        }
        self.wanted_since_us = None;
        self.draw().await;
        if behind.is_some() {
            self.release();
        } else if let Some(hold) = &mut self.held {
            hold.set_mode(HoldMode::Keep);
        }
    }

    /// The program has written: the notice makes way before the session takes it in.
    pub async fn before_output(&mut self, now: Now, host: &Host) {
        if self.held.is_none() || self.behind_panel.is_some() {
            return;
        }
        host.capture(TrackId(0), &mut self.screen);
        self.bytes.clear();
        self.ui
            .before_output(now, &self.screen, &host.resume(), &mut self.bytes);
        self.draw().await;
        self.release();
    }

    async fn fall_back(&mut self, now: Now, since: u64, host: &Host) {
        if now.mono_us.saturating_sub(since) < PATIENCE_US {
            return;
        }
        self.wanted_since_us = None;
        host.capture(TrackId(0), &mut self.screen);
        self.bytes.clear();
        self.ui.fallback(now, &self.screen, &mut self.bytes);
        self.draw().await;
    }

    /// A terminal that takes nothing keeps nobody waiting for long: the rest is drawn never, and the
    /// next repaint mends it.
    async fn draw(&mut self) {
        let Some(hold) = &mut self.held else { return };
        let drawn = tokio::time::timeout(
            std::time::Duration::from_millis(200),
            hold.draw(&self.bytes),
        );
        if !matches!(drawn.await, Ok(Ok(()))) {
            tracing::debug!("the notice was not drawn whole");
        }
    }

    fn release(&mut self) {
        self.held = None;
        self.holding = None;
    }
}

/// Takes in all output that has been delivered; false if the program has ended.
fn catch_up(now: Now, host: &mut Host, program: &mut Program) -> bool {
    while let Some(event) = program.try_next() {
        match event {
            SourceEvent::Output(bytes) => {
                host.handle(
                    now,
                    HostInput::Output {
                        track: TrackId(0),
                        bytes,
                        more: false,
                    },
                );
            }
            other => {
                program.put_back(other);
                return false;
            }
        }
    }
    true
}
