//! Those who press a host.

use std::{
    cell::{Cell, RefCell},
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use pillion::{
    caps::SecretKey,
    net::{NetOptions, RelayChoice, ViewerNet, random_bytes},
    proto::Ticket,
    session::{ViewerInput, ViewerOutput},
};

use crate::{
    text,
    viewers::{Came as Arrival, Watcher},
};

/// Who join at the same time.
const AT_ONCE: usize = 48;

/// How long one who was put off waits before the next comes in their place.
const PUT_OFF: Duration = Duration::from_secs(2);

/// How long one may take to come in.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a reader who does not read lets the host have on its way: enough for a screen.
const WINDOW: u32 = 32 * 1024;

/// Lines asked for at once.
const ASK: u32 = 1000;

/// Who joins in a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loop {
    /// Somebody with one key.
    OneKey,
    /// Somebody with a new key each time.
    NewKeys,
}

impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loop::OneKey => "with one key",
            Loop::NewKeys => "with a new key each time",
        })
    }
}

/// What became of joins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Came {
    pub let_in: u64,
    pub put_off: u64,
}

impl Came {
    fn count(came: &Cell<Came>, is_in: bool) {
        let mut counts = came.get();
        match is_in {
            true => counts.let_in += 1,
            false => counts.put_off += 1,
        }
        came.set(counts);
    }
}

/// Everybody.
pub struct Crowd {
    ticket: String,
}

impl Crowd {
    pub fn new(ticket: &str) -> Result<Crowd> {
        Ok(Crowd {
            ticket: ticket.to_owned(),
        })
    }

    /// From one of many addresses.
    fn from(number: u8) -> NetOptions {
        let address = IpAddr::from(Ipv4Addr::new(127, 0, 1, number.max(1)));
        NetOptions {
            bind: vec![SocketAddr::new(address, 0)],
            ..NetOptions::default()
        }
    }

    /// Join and leave until so many were let in, each under keys of its own.
    pub async fn joins(
        self,
        all: u64,
        addresses: u8,
        told: impl FnMut(&Came) -> Result<()>,
    ) -> Result<()> {
        let came = Rc::new(Cell::new(Came::default()));
        let begun = Rc::new(Cell::new(0u64));
        let told = RefCell::new(told);
        let worker = async || -> Result<()> {
            while came.get().let_in < all {
                begun.set(begun.get() + 1);
                let address = 1 + (begun.get() % u64::from(addresses.max(1))) as u8;
                let key = SecretKey::from_bytes(&random_bytes()?);
                let is_in = self.join(key, address, &came).await?;
                told.borrow_mut()(&came.get())?;
                if !is_in {
                    tokio::time::sleep(PUT_OFF).await;
                }
            }
            Ok(())
        };
        all_of((0..AT_ONCE).map(|_| worker())).await
    }

    /// Joins and leaves; whether it was let in.
    async fn join(&self, key: SecretKey, address: u8, came: &Cell<Came>) -> Result<bool> {
        let mut watcher = Watcher::with(&self.ticket, "somebody".into(), key, Self::from(address))?;
        let is_in = watcher.come(PATIENCE).await? == Arrival::In;
        Came::count(came, is_in);
        watcher.leave().await;
        Ok(is_in)
    }

    /// Join and leave as fast as it goes, four at a time.
    pub async fn looped(self, who: Loop, lasts: Duration) -> Result<Came> {
        let came = Rc::new(Cell::new(Came::default()));
        let one: [u8; 32] = random_bytes()?;
        let end = Instant::now() + lasts;
        let worker = async || -> Result<()> {
            while Instant::now() < end {
                let seed = match who {
                    Loop::OneKey => one,
                    Loop::NewKeys => random_bytes()?,
                };
                self.join(SecretKey::from_bytes(&seed), 1, &came).await?;
            }
            Ok(())
        };
        all_of((0..4).map(|_| worker())).await?;
        Ok(came.get())
    }

    /// Connect and leave without a word, each under a key of its own, from one address.
    pub async fn strangers(self, lasts: Duration) -> Result<Came> {
        let ticket: Ticket = self.ticket.parse()?;
        let came = Rc::new(Cell::new(Came::default()));
        let end = Instant::now() + lasts;
        let worker = async || -> Result<()> {
            while Instant::now() < end {
                let mut net = ViewerNet::new(RelayChoice::None, Self::from(1));
                net.set_host(ticket.addr.clone());
                let _ = net.apply(ViewerOutput::Connect);
                let stands = match tokio::time::timeout(PATIENCE, net.next_input()).await {
                    Ok(input) => matches!(input, ViewerInput::Connected(_)),
                    Err(_) => false,
                };
                Came::count(&came, stands);
                net.close().await;
            }
            Ok(())
        };
        all_of((0..16).map(|_| worker())).await?;
        Ok(came.get())
    }

    /// Connect and say nothing.
    pub async fn silent(self, count: usize) -> Result<Silent> {
        let ticket: Ticket = self.ticket.parse()?;
        let open = Rc::new(Cell::new(0usize));
        let mut tasks = Vec::new();
        for number in 0..count {
            let mut net = ViewerNet::new(RelayChoice::None, Self::from(1));
            net.set_host(ticket.addr.clone());
            let open = Rc::clone(&open);
            tasks.push(tokio::task::spawn_local(async move {
                let _ = net.apply(ViewerOutput::Connect);
                let mut stands = false;
                // Until it is told to end: what it hears it does not answer.
                loop {
                    match net.next_input().await {
                        ViewerInput::Connected(_) if !stands => {
                            stands = true;
                            open.set(open.get() + 1);
                        }
                        ViewerInput::Disconnected { .. } if stands => {
                            stands = false;
                            open.set(open.get() - 1);
                        }
                        _ => {}
                    }
                }
            }));
            // No more at once than there can be handshakes.
            if number % 32 == 31 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(Silent { open, tasks })
    }

    /// Watch, and take little at a time.
    pub async fn unread(self, count: usize, history: usize) -> Result<Readers> {
        let mut watchers = Vec::new();
        for number in 0..count {
            let options = NetOptions {
                receive_window: Some(WINDOW),
                ..Self::from(1 + (number % 8) as u8)
            };
            let key = SecretKey::from_bytes(&random_bytes()?);
            let mut watcher =
                Watcher::with(&self.ticket, format!("reader {number}"), key, options)?;
            let arrival = watcher.come(PATIENCE).await;
            arrival.with_context(|| format!("reader {number}"))?;
            watchers.push(watcher);
        }
        let lines = text::lines(history).lines().count() as u64 - 1000;
        Ok(Readers { watchers, lines })
    }
}

/// Connections that say nothing.
pub struct Silent {
    open: Rc<Cell<usize>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Silent {
    /// How many of them stand.
    pub async fn there(&self) -> usize {
        self.open.get()
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Viewers who have not asked yet.
pub struct Readers {
    watchers: Vec<Watcher>,
    lines: u64,
}

impl Readers {
    /// Everybody asks for different lines, as many as one may, and from then on reads nothing.
    pub async fn ask(mut self) -> Result<Vec<Watcher>> {
        let apart = self.lines / (4 * self.watchers.len() as u64).max(1);
        for (number, watcher) in self.watchers.iter_mut().enumerate() {
            for turn in 0..3 {
                let from = (4 * number as u64 + turn) * apart;
                watcher.ask(from, ASK)?;
            }
        }
        Ok(self.watchers)
    }
}

/// Until all are done, or one fails.
async fn all_of(workers: impl Iterator<Item = impl Future<Output = Result<()>>>) -> Result<()> {
    let mut left: Vec<_> = workers.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        let mut at = 0;
        while at < left.len() {
            match left[at].as_mut().poll(cx) {
                std::task::Poll::Pending => at += 1,
                std::task::Poll::Ready(Ok(())) => drop(left.swap_remove(at)),
                std::task::Poll::Ready(Err(error)) => return std::task::Poll::Ready(Err(error)),
            }
        }
        match left.is_empty() {
            true => std::task::Poll::Ready(Ok(())),
            false => std::task::Poll::Pending,
        }
    })
    .await
}
