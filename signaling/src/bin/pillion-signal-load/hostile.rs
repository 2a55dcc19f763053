//! Honest hosts and viewers beside one hostile IPv6 /48, which fills whatever it can from each of its
//! networks and goes on: silent connections, mailboxes, records.
//!
//! In a network namespace of its own, where all of 2001:db8::/32 is this machine: every honest client has a
//! /48 of its own, and asks as Pillion does, on a new connection each time.

use std::{
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use pillion_proto::{LinkRecord, Times};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
};

use crate::{Figures, Flags, Folder, PAYLOAD, Server, get, host, now, read};

/// Says to the inner process that it is in its namespace.
const INSIDE: &str = "PILLION_SIGNAL_LOAD_INSIDE";

/// Where the service listens.
const SERVICE: &str = "[2001:db8:ffff::1]:8080";

/// What the service may hold: little enough to be filled in seconds.
const MAX_CONNECTIONS: &str = "2000";
const MAX_RECORDS: &str = "20000";

/// Mailboxes there are, of which nothing is said on the command line.
const MAILBOXES: u32 = 10_000;

/// How long the hostile /48 has before anybody honest comes.
const HEAD_START: Duration = Duration::from_secs(25);

/// Honest clients, and how often each asks for each thing, in a second.
const HONEST: u16 = 40;
const RATE: u32 = 4;

/// After so long an answer is none.
const WITHIN: Duration = Duration::from_secs(5);

pub fn run(flags: &Flags) -> Result<()> {
    if std::env::var_os(INSIDE).is_none() {
        let status = Command::new("unshare")
            .arg("--net")
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(INSIDE, "1")
            .status()
            .context("`unshare` (Debian: util-linux) could not be run")?;
        ensure!(status.success(), "the measurement failed; it takes root");
        return Ok(());
    }
    for ip in [
        &["link", "set", "lo", "up"][..],
        &["-6", "route", "add", "local", "2001:db8::/32", "dev", "lo"],
    ] {
        let status = Command::new("ip").args(ip).status();
        let done = status.context("`ip` (Debian: iproute2) could not be run")?;
        ensure!(done.success(), "ip {}", ip.join(" "));
    }
    // Some kernels let nobody bind to an address that only a route makes local.
    let _ = std::fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1");
    // The service inherits it.
    let most = getrlimit(Resource::Nofile).maximum;
    let files = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, files).context("the limit of open files")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    println!(
        "{:<34}{:>9}{:>9}{:>9}{:>9}",
        "honest clients", "asked", "had, %", "p50 ms", "p99 ms"
    );
    runtime.block_on(async {
        beside(flags, false).await?;
        beside(flags, true).await
    })
}

/// Measures, with or without the hostile /48.
async fn beside(flags: &Flags, with_hostile: bool) -> Result<()> {
    let folder = Folder::new(if with_hostile { "hostile" } else { "alone" })?;
    let limits = [
        "--max-connections",
        MAX_CONNECTIONS,
        "--max-records",
        MAX_RECORDS,
    ]
    .map(Path::new);
    let service = Server::start(flags, SERVICE, &folder.0, &limits)?;
    let hostile = with_hostile.then(|| Hostile::start(service.addr));
    if hostile.is_some() {
        tokio::time::sleep(HEAD_START).await;
    }
    let length = Duration::from_secs(flags.seconds);
    let before = service.busy()?;
    let told: [Arc<Tally>; 3] = Default::default();
    let clients = (0..HONEST).map(|n| tokio::spawn(honest(n, service.addr, told.clone(), length)));
    for client in clients.collect::<Vec<_>>() {
        client.await??;
    }
    let busy = (service.busy()? - before).as_secs_f64() / length.as_secs_f64();
    let beside = if with_hostile {
        "beside a hostile /48"
    } else {
        "alone"
    };
    for (what, tally) in ["publish", "resolve", "mailbox"].into_iter().zip(told) {
        tally.print(&format!("{what}, {beside}"), length);
    }
    println!("  (the service: {:.0} % of its core)", 100.0 * busy);
    if let Some(hostile) = hostile {
        println!("  (the /48: {})", hostile.end().await);
    }
    Ok(())
}

/// What became of one kind of request.
#[derive(Default)]
struct Tally {
    asked: AtomicU32,
    had: Mutex<Vec<Duration>>,
    /// One reason of those that were refused.
    why: Mutex<Option<String>>,
}

impl Tally {
    fn add(&self, since: Instant, answer: Result<String>) -> Option<String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match answer {
            Ok(answer) => {
                let mut had = self.had.lock().unwrap_or_else(PoisonError::into_inner);
                had.push(since.elapsed());
                Some(answer)
            }
            Err(error) => {
                let mut why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
                why.get_or_insert_with(|| format!("{error:#}").trim().replace('\n', " "));
                None
            }
        }
    }

    fn print(&self, what: &str, length: Duration) {
        let asked = self.asked.load(Ordering::Relaxed);
        let had = std::mem::take(&mut *self.had.lock().unwrap_or_else(PoisonError::into_inner));
        let share = 100.0 * had.len() as f64 / f64::from(asked.max(1));
        let figures = Figures::of(had, length);
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        let why = why
            .as_ref()
            .map_or(String::new(), |why| format!("   {why}"));
        println!(
            "{what:<34}{asked:>9}{share:>9.1}{:>9.2}{:>9.2}{why}",
            figures.p50, figures.p99
        );
    }
}

/// A host and its viewer: leaves a record and renews it, reads it, has a mailbox for a moment.
async fn honest(n: u16, to: SocketAddr, told: [Arc<Tally>; 3], length: Duration) -> Result<()> {
    let [publish, resolve, mailbox] = told;
    let from = Ipv6Addr::from([0x2001, 0xdb8, 0x1000 + n, 0, 0, 0, 0, 1]);
    let begun = Instant::now();
    let pause = Duration::from_secs(1) / RATE;
    let mut seq = 0;
    for round in 0.. {
        // Not all at once.
        let due = begun + pause * round + pause * u32::from(n) / u32::from(HONEST);
        if due >= begun + length {
            return Ok(());
        }
        tokio::time::sleep_until(due.into()).await;
        // A new link every now and then.
        let secret = host(1_000_000 + u32::from(n) * 10_000 + round / 8);
        let times = Times::starting(now(), seq);
        seq = times.seq;
        let record = LinkRecord::seal(&secret, times, &PAYLOAD, [1; 24])?;
        let put = request(
            "PUT",
            &format!("/v1/links/{}", secret.id()),
            record.as_bytes(),
            "",
        );
        publish.add(Instant::now(), ask(from, to, &put).await);
        resolve.add(Instant::now(), ask(from, to, &get(&secret.id())).await);
        let since = Instant::now();
        let had = ask(from, to, &request("POST", "/v1/mail", &[], "")).await;
        if let Some(answer) = mailbox.add(since, had)
            && let Some((number, token)) = answer.trim().split_once(' ')
        {
            let token = format!("authorization: Bearer {token}\r\n");
            let delete = request("DELETE", &format!("/v1/mail/{number}"), &[], &token);
            let _ = ask(from, to, &delete).await;
        }
    }
    Ok(())
}

fn request(method: &str, path: &str, body: &[u8], more: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{more}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

async fn connect(from: Ipv6Addr, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v6()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddrV6::new(from, 0, 0, 0).into())?;
    Ok(socket.connect(to).await?)
}

/// The body of a good answer, on a connection of its own.
async fn ask(from: Ipv6Addr, to: SocketAddr, request: &[u8]) -> Result<String> {
    let asked = async {
        let mut stream = connect(from, to).await?;
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        let status = read(&mut stream, &mut answer).await?;
        let text = String::from_utf8_lossy(&answer);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        match status {
            200 | 204 => Ok(body.to_owned()),
            status => bail!("{status}: {body}"),
        }
    };
    match tokio::time::timeout(WITHIN, asked).await {
        Ok(answer) => answer,
        Err(_) => bail!("no answer within {} s", WITHIN.as_secs()),
    }
}

/// The hostile /48, at work on a thread of its own.
struct Hostile {
    counts: Arc<Counts>,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU32,
    mailboxes: AtomicU32,
    records: AtomicU32,
    refused: AtomicU32,
}

impl Hostile {
    fn start(to: SocketAddr) -> Hostile {
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn({
            let counts = counts.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let Ok(runtime) = runtime else { return };
                runtime.block_on(async {
                    for task in 0..8 {
                        tokio::spawn(silent(task, to, counts.clone()));
                        tokio::spawn(fill(task, to, counts.clone()));
                    }
                    let _ = stopped.await;
                });
                runtime.shutdown_background();
            }
        });
        Hostile {
            counts,
            stop,
            thread,
        }
    }

    async fn end(self) -> String {
        drop(self.stop);
        let _ = self.thread.join();
        let read = |count: &AtomicU32| count.load(Ordering::Relaxed);
        format!(
            "{} connections opened, {} mailboxes and {} records had, {} refused",
            read(&self.counts.connections),
            read(&self.counts.mailboxes),
            read(&self.counts.records),
            read(&self.counts.refused),
        )
    }
}

/// An address in one of the /48's networks, the next one each time.
fn address(task: u16, n: u32) -> Ipv6Addr {
    let subnet = (n as u16).wrapping_mul(8).wrapping_add(task);
    Ipv6Addr::from([0x2001, 0xdb8, 1, subnet, 0, 0, 0, 1])
}

/// Opens connections and says nothing on them; those that are closed are opened again.
async fn silent(task: u16, to: SocketAddr, counts: Arc<Counts>) {
    let mut open: std::collections::VecDeque<TcpStream> = Default::default();
    // They would be in the way of what it fills first.
    tokio::time::sleep(HEAD_START / 2).await;
    for n in 0.. {
        if let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(500), connect(address(task, n), to)).await
        {
            counts.connections.fetch_add(1, Ordering::Relaxed);
            open.push_back(stream);
        }
        // Twice as many as the service takes, all eight together.
        if open.len() > 500 {
            open.pop_front();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Takes mailboxes and leaves records, from each network in turn.
async fn fill(task: u16, to: SocketAddr, counts: Arc<Counts>) {
    for n in 0.. {
        let from = address(task, n);
        let secret = host(10_000_000 + u32::from(task) * 1_000_000 + n);
        let record = LinkRecord::seal(&secret, Times::starting(now(), 1), &PAYLOAD, [1; 24]);
        let Ok(record) = record else { return };
        let put = request(
            "PUT",
            &format!("/v1/links/{}", secret.id()),
            record.as_bytes(),
            "",
        );
        let post = request("POST", "/v1/mail", &[], "");
        for (request, count) in [(put, &counts.records), (post, &counts.mailboxes)] {
            match ask(from, to, &request).await {
                Ok(_) => count.fetch_add(1, Ordering::Relaxed),
                Err(_) => counts.refused.fetch_add(1, Ordering::Relaxed),
            };
        }
        if counts.mailboxes.load(Ordering::Relaxed) > 2 * MAILBOXES {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
