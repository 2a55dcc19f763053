//! Viewers made of Pillion's own parts, many in one process: the state machine and the network of
//! `pillion join`, without its terminal.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use pillion::{
    caps::{PublicKey, SecretKey},
    clock::Clock,
    net::{NetOptions, RelayChoice, ViewerNet, random_bytes},
    proto::{JoinId, Ticket},
    screen::LineId,
    session::{Phase, View, Viewer, ViewerConfig, ViewerEvent, ViewerInput, ViewerOutput},
};
use rand::RngExt;

use crate::{programs, stats::Samples, text};

/// Ranges a reader wants at once: as many as a viewer asks a host for.
const ASKED_AT_ONCE: usize = 3;

/// How often a reader looks whether it is to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One viewer.
pub struct Watcher {
    clock: Clock,
    viewer: Viewer,
    identity: SecretKey,
    net: ViewerNet,
}

/// What became of coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Let in.
    In,
    /// Not now.
    PutOff,
}

/// What a viewer saw of a [`Tick`](programs::Program::Tick).
#[derive(Debug, Default)]
pub struct Sight {
    /// From printing to being on the viewer's screen, in milliseconds.
    pub delays: Samples,
    /// Lines that were seen.
    pub seen: HashSet<u32>,
}

impl Watcher {
    /// Starts connecting. In a tokio runtime.
    ///
    /// # Errors
    /// A bad ticket, no randomness.
    pub fn new(ticket: &str, number: usize) -> Result<Watcher> {
        let key = SecretKey::from_bytes(&random_bytes()?);
        Watcher::with(
            ticket,
            format!("viewer {number}"),
            key,
            NetOptions::default(),
        )
    }

    /// The same as somebody, from somewhere.
    ///
    /// # Errors
    /// As [`Watcher::new`].
    pub fn with(
        ticket: &str,
        name: String,
        identity: SecretKey,
        options: NetOptions,
    ) -> Result<Watcher> {
        let ticket: Ticket = ticket.parse()?;
        let mut net = ViewerNet::new(RelayChoice::None, options);
        net.set_host(ticket.addr.clone());
        let clock = Clock::start();
        let config = ViewerConfig {
            identity: identity.public(),
            session: PublicKey::from_bytes(ticket.addr.id.as_bytes())?,
            link: Some(SecretKey::from_bytes(&ticket.link)),
            grants: Vec::new(),
            claims: Vec::new(),
            name,
            software: "pillion-bench".to_owned(),
            join: JoinId(random_bytes()?),
            read_only: true,
            inside: Vec::new(),
        };
        Ok(Watcher {
            viewer: Viewer::new(config, clock.now()),
            identity,
            clock,
            net,
        })
    }

    /// Goes on until what is seen satisfies `done`, for `patience` at most.
    ///
    /// # Errors
    /// The host ended it, or it takes too long.
    pub async fn until(
        &mut self,
        patience: Duration,
        mut done: impl FnMut(&View) -> bool,
    ) -> Result<()> {
        let goes_on = async {
            loop {
                self.obey()?;
                if done(self.viewer.view()) {
                    return Ok(());
                }
                let input = match self.viewer.wake_at() {
                    Some(at) => tokio::time::timeout_at(
                        self.clock.instant(at).into(),
                        self.net.next_input(),
                    )
                    .await
                    .unwrap_or(ViewerInput::Tick),
                    None => self.net.next_input().await,
                };
                self.viewer.handle(self.clock.now(), input);
            }
        };
        tokio::time::timeout(patience, goes_on)
            .await
            .context("a viewer waited too long")?
    }

    /// Until there is a screen of now.
    ///
    /// # Errors
    /// As [`Watcher::until`].
    pub async fn live(&mut self, patience: Duration) -> Result<()> {
        self.until(patience, |view| {
            view.phase == Phase::Live && view.screen.is_some()
        })
        .await
    }

    /// Until there is a screen of now, or the host says that they come too often.
    ///
    /// # Errors
    /// As [`Watcher::until`].
    pub async fn come(&mut self, patience: Duration) -> Result<Came> {
        let mut came = Came::In;
        self.until(patience, |view| match &view.phase {
            Phase::Live => view.screen.is_some(),
            Phase::Connecting { why: Some(_), .. } => {
                came = Came::PutOff;
                true
            }
            _ => false,
        })
        .await?;
        Ok(came)
    }

    /// Asks for lines, and waits for nothing.
    ///
    /// # Errors
    /// As [`Watcher::until`].
    pub fn ask(&mut self, from: u64, count: u32) -> Result<()> {
        let from = LineId(from);
        let wanted = ViewerInput::WantHistory { from, count };
        self.viewer.handle(self.clock.now(), wanted);
        self.obey().map(drop)
    }

    /// Until `end` is on the screen; what was seen on the way.
    ///
    /// # Errors
    /// As [`Watcher::until`].
    pub async fn watch(&mut self, end: &str, patience: Duration) -> Result<Sight> {
        let mut sight = Sight::default();
        let mut frame = None;
        self.until(patience, |view| {
            let Some(screen) = view.screen.as_ref().filter(|_| frame != Some(view.frame)) else {
                return false;
            };
            frame = Some(view.frame);
            let text = screen.text();
            sight.look(&text, programs::now_us());
            text.contains(end)
        })
        .await?;
        Ok(sight)
    }

    /// Asks for `count` lines at a time, anywhere in the first `lines`, as often as a viewer may; how many
    /// lines came until it was told to stop.
    ///
    /// # Errors
    /// As [`Watcher::until`].
    pub async fn read(
        &mut self,
        lines: u64,
        count: u32,
        mut random: impl RngExt,
        stop: impl Fn() -> bool,
    ) -> Result<u64> {
        let (mut asked, mut read) = (0usize, 0);
        while !stop() {
            while asked < ASKED_AT_ONCE {
                let from = LineId(random.random_range(0..lines));
                let wanted = ViewerInput::WantHistory { from, count };
                self.viewer.handle(self.clock.now(), wanted);
                asked += 1;
            }
            for found in self.obey()? {
                asked -= 1;
                read += found;
            }
            // A viewer cut off must not wait for ever.
            let wake = self.viewer.wake_at().map(|at| self.clock.instant(at));
            let wake = wake.map_or_else(
                || Instant::now() + LOOK_AGAIN,
                |at| at.min(Instant::now() + LOOK_AGAIN),
            );
            let input = tokio::time::timeout_at(wake.into(), self.net.next_input()).await;
            self.viewer
                .handle(self.clock.now(), input.unwrap_or(ViewerInput::Tick));
        }
        Ok(read)
    }

    /// Loses the connection, as far as the viewer can tell, and gets it back: how long until it had a
    /// screen of now, and until it was in the session again.
    ///
    /// # Errors
    /// As [`Watcher::until`].
    pub async fn lose_connection(&mut self, patience: Duration) -> Result<(Duration, Duration)> {
        let lost = Instant::now();
        let before = self.viewer.view().version;
        let why = "the bench pulled the plug".to_owned();
        self.viewer
            .handle(self.clock.now(), ViewerInput::Disconnected { why });
        if self.viewer.view().phase == Phase::Live {
            bail!("the viewer did not notice that its connection was gone");
        }
        self.until(patience, |view| view.version > before).await?;
        let seen = lost.elapsed();
        self.live(patience).await?;
        Ok((seen, lost.elapsed()))
    }

    /// Leaves.
    pub async fn leave(mut self) {
        self.viewer.handle(self.clock.now(), ViewerInput::Leave);
        let _ = self.obey();
        self.net.close().await;
    }

    /// Does what the viewer wants done; the lines of each answer that came.
    fn obey(&mut self) -> Result<Vec<u64>> {
        let mut found = Vec::new();
        while let Some(output) = self.viewer.poll() {
            match self.net.apply(output) {
                Some(ViewerOutput::Sign { request, inputs }) => {
                    let signed = ViewerInput::signed_with(&self.identity, request, &inputs);
                    self.viewer.handle(self.clock.now(), signed);
                }
                Some(ViewerOutput::Event(ViewerEvent::Ended {
                    why,
                    regular: false,
                })) => bail!("the host refused: {why:?}"),
                Some(ViewerOutput::Event(ViewerEvent::History(history))) => {
                    found.push(history.lines.len() as u64);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

impl Sight {
    /// Takes in what is on the screen at `now_us`.
    fn look(&mut self, screen: &str, now_us: u64) {
        // The newest are at the bottom; above one that was seen before is nothing new.
        for line in screen.lines().rev() {
            let Some((number, at)) = text::stamp(line) else {
                continue;
            };
            if !self.seen.insert(number) {
                return;
            }
            self.delays
                .add(Duration::from_micros(now_us.saturating_sub(at)));
        }
    }
}

/// A runtime for viewers: everything on the calling thread.
///
/// # Errors
/// No descriptors.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_counts_once_when_it_is_first_seen() {
        let mut sight = Sight::default();
        let screen = format!(
            "something else\n{}\n{}\n",
            text::stamped(0, 1000),
            text::stamped(1, 3000)
        );
        sight.look(&screen, 4000);
        sight.look(&format!("{screen}{}", text::stamped(2, 5000)), 9000);
        assert_eq!(sight.seen, HashSet::from([0, 1, 2]));
        assert_eq!(sight.delays.len(), 3);
        assert_eq!(sight.delays.range(), Some((1.0, 4.0)));
    }
}
