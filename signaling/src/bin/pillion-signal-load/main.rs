//! What one core serves: `cargo run --release -p pillion-signal --features load --bin pillion-signal-load -- all`.
//!
//! `fill` writes a million records into a store; `run` starts the real binary on it, pinned to one
//! core, and asks it over HTTP from the other ones, beside nginx with a static file on the same core.
//! Both fit in two minutes each. The folder (`--data`, default `load-data`) is kept between them.
//!
//! `hostile` measures honest hosts and viewers beside one hostile IPv6 /48 (as root: it makes itself a
//! network of its own).

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

mod hostile;

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use pillion_proto::{
    LinkId, LinkRecord, LinkSecret, Times,
    lookup::{LOOKUP_LEN, question},
};
use pillion_signal::{
    metrics::StoreMetrics,
    share::Network,
    store::{Embedded, Entry, Key, Kind, Store as _},
};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};
use tokio_rustls::TlsConnector;

/// Payload that makes a record of about 400 bytes.
const PAYLOAD: [u8; 220] = [5; 220];

#[derive(Parser)]
struct Flags {
    /// What to do.
    #[arg(value_enum)]
    phase: Phase,
    /// Records in the store.
    #[arg(long, default_value_t = 1_000_000)]
    records: u32,
    /// Of these, how many have real hosts, who publish.
    #[arg(long, default_value_t = 100_000)]
    hosts: u32,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Where the records are.
    #[arg(long, default_value = "load-data")]
    data: PathBuf,
    /// Measures a service on the PostgreSQL server that this file names, which begins empty, in place
    /// of the store in --data.
    #[cfg(feature = "postgres")]
    #[arg(long)]
    postgres_file: Option<PathBuf>,
    /// The service that is measured; the one beside this program by default.
    #[arg(long)]
    service: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Phase {
    Fill,
    Run,
    All,
    Hostile,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    if flags.phase == Phase::Hostile {
        return hostile::run(&flags);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    #[cfg(feature = "postgres")]
    if let Some(file) = &flags.postgres_file {
        return runtime.block_on(run_on_postgres(&flags, file));
    }
    if flags.phase != Phase::Run {
        runtime.block_on(fill(&flags))?;
    }
    if flags.phase != Phase::Fill {
        runtime.block_on(run(&flags))?;
    }
    Ok(())
}

async fn fill(flags: &Flags) -> Result<()> {
    let store = Embedded::open(&flags.data, u64::MAX, 48 << 20, StoreMetrics::default())?;
    let started = Instant::now();
    let day = now() + 24 * 60 * 60 * 1000;
    let model = LinkRecord::seal(&host(0), Times::starting(now(), 0), &PAYLOAD, [1; 24])?;
    let bytes = bytes::Bytes::copy_from_slice(model.as_bytes());
    for chunk in 0..flags.records.div_ceil(4096) {
        let range = chunk * 4096..flags.records.min((chunk + 1) * 4096);
        let mut waiting = Vec::with_capacity(4096);
        for n in range {
            let key = Key {
                kind: Kind::Link,
                id: *LinkId::from_bytes(id(n, flags.hosts)).tag().as_bytes(),
            };
            let entry = Entry {
                seq: 1,
                expires: day,
                live: true,
                bytes: bytes.clone(),
            };
            // Each host at an address of its own.
            let from = Network::of(n.to_be_bytes().into());
            waiting.push(store.put(key, entry, from, now()));
        }
        for put in waiting {
            put.await?;
        }
    }
    println!(
        "filled {} records of {} B in {:.1} s ({:.0}/s into the store, unverified)",
        flags.records,
        bytes.len(),
        started.elapsed().as_secs_f64(),
        f64::from(flags.records) / started.elapsed().as_secs_f64(),
    );
    drop(store);
    println!("disk: {:.0} MB (target 1000)", disk(&flags.data)?);
    Ok(())
}

async fn run(flags: &Flags) -> Result<()> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u32| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % u64::from(below)) as u32
    };
    let ids: Vec<LinkId> = (0..100_000)
        .map(|_| LinkId::from_bytes(id(next(flags.records), flags.hosts)))
        .collect();
    let resolves: Vec<Vec<u8>> = ids.iter().map(get).collect();
    let publishes = publishes(flags)?;
    let (first, rest) = publishes.split_at(publishes.len() * 7 / 10);

    let service = Server::pillion(flags, &[])?;
    let opened = Instant::now();
    let length = Duration::from_secs(flags.seconds);
    measure(service.addr, &resolves, 64, None, Duration::from_secs(2)).await?;
    println!(
        "first answers after {:.1} s\n",
        opened.elapsed().as_secs_f64() - 2.0
    );
    println!(
        "{:<34}{:>10}{:>10}{:>9}{:>9}{:>9}",
        "one core", "a second", "target", "p50 ms", "p99 ms", "≤ ms"
    );

    let read = measure(service.addr, &resolves, 64, None, length).await?;
    read.print("resolves, as many as go", Some(20_000));
    let looked_up = measure_lookups(service.addr, &ids, 64, length).await?;
    looked_up.print("resolves by datagram", None);
    let written = measure(service.addr, first, 256, None, length).await?;
    written.print("publishes, as many as go", Some(5_000));
    // Some 700,000 hosts, which renew every three to four minutes, or a million; and as many resolves.
    let (some, more) = rest.split_at(rest.len() / 2);
    mixed(&service, &resolves, some, 3_400, length).await?;
    mixed(&service, &resolves, more, 4_800, length).await?;
    let (hwm, anon) = service.memory()?;
    println!("memory: {hwm:.0} MB at most, {anon:.0} MB now (target 200)");
    println!("disk: {:.0} MB (target 1000)", disk(&flags.data)?);
    drop(service);

    let (certificate, folder) = certificate()?;
    let (cert, key) = (folder.0.join("cert.pem"), folder.0.join("key.pem"));
    let tls = [("--tls-cert", cert), ("--tls-key", key)];
    let tls: Vec<_> = tls
        .iter()
        .flat_map(|(flag, path)| [Path::new(flag), path.as_path()])
        .collect();
    let service = Server::pillion(flags, &tls)?;
    for (what, again) in [("TLS connection", false), ("resumed one", true)] {
        let before = service.busy()?;
        let shaken = measure_tls(service.addr, &resolves, &certificate, again, length).await?;
        shaken.print(&format!("resolves, each on a {what}"), None);
        // The other side of a handshake costs more, and may be what limits it.
        let spent = (service.busy()? - before).as_secs_f64();
        let each = spent / (shaken.rate * length.as_secs_f64());
        println!(
            "  (the service's share: {:.0} µs of its core each)",
            each * 1e6
        );
    }
    drop(service);

    match Server::nginx()? {
        Some((nginx, _folder)) => {
            let asked = [b"GET /record HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()];
            measure(nginx.addr, &asked, 64, None, Duration::from_secs(1)).await?;
            let read = measure(nginx.addr, &asked, 64, None, length).await?;
            read.print("yardstick: nginx, one static file", None);
        }
        None => println!("no yardstick: nginx is not installed"),
    }
    Ok(())
}

/// The same on a PostgreSQL server, which is on this machine and has both cores.
#[cfg(feature = "postgres")]
async fn run_on_postgres(flags: &Flags, file: &Path) -> Result<()> {
    let publishes = publishes(flags)?;
    let (first, rest) = publishes.split_at(publishes.len() * 7 / 10);
    let length = Duration::from_secs(flags.seconds);
    let service = Server::pillion(flags, &[Path::new("--postgres-file"), file])?;
    let written = measure(service.addr, first, 256, None, length).await?;
    written.print("publishes, as many as go", None);
    // All connections have got about as far; some lag behind.
    let known = (written.rate * length.as_secs_f64() * 0.8) as u32;
    let resolves: Vec<Vec<u8>> = (0..known.min(first.len() as u32))
        .map(|n| get(&host(n).id()))
        .collect();
    let read = measure(service.addr, &resolves, 64, None, length).await?;
    read.print("resolves, as many as go", None);
    mixed(&service, &resolves, rest, 1_000, length).await?;
    let (hwm, _) = service.memory()?;
    println!("memory of the service: {hwm:.0} MB at most");
    Ok(())
}

/// Resolves and publishes at the same time, so many a second of each.
async fn mixed(
    service: &Server,
    resolves: &[Vec<u8>],
    publishes: &[Vec<u8>],
    rate: u32,
    length: Duration,
) -> Result<()> {
    let (reads, writes) = tokio::join!(
        measure(service.addr, resolves, 64, Some(rate), length),
        measure(service.addr, publishes, 64, Some(rate), length),
    );
    reads?.print(&format!("resolves at {rate}/s, with …"), Some(rate));
    writes?.print(&format!("… publishes at {rate}/s"), Some(rate));
    Ok(())
}

fn publishes(flags: &Flags) -> Result<Vec<Vec<u8>>> {
    let started = Instant::now();
    let publishes = (0..flags.hosts).map(publish).collect::<Result<_>>()?;
    println!(
        "signed {} records in {:.1} s",
        flags.hosts,
        started.elapsed().as_secs_f64()
    );
    Ok(publishes)
}

fn get(id: &LinkId) -> Vec<u8> {
    format!("GET /v1/links/{id} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()
}

fn publish(n: u32) -> Result<Vec<u8>> {
    let secret = host(n);
    let record = LinkRecord::seal(&secret, Times::starting(now(), 1), &PAYLOAD, [1; 24])?;
    let body = record.as_bytes();
    let head = format!(
        "PUT /v1/links/{} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        secret.id(),
        body.len()
    );
    Ok([head.as_bytes(), body].concat())
}

/// What came of asking for a while.
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
}

impl Figures {
    fn of(mut times: Vec<Duration>, took: Duration) -> Figures {
        times.sort_unstable();
        let at = |part: f64| {
            let index = (times.len() as f64 * part) as usize;
            times
                .get(index)
                .map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
        };
        Figures {
            rate: times.len() as f64 / took.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
        }
    }

    fn print(&self, what: &str, target: Option<u32>) {
        let target = target.map_or(String::new(), |target| target.to_string());
        println!(
            "{what:<34}{:>10.0}{target:>10}{:>9.2}{:>9.2}{:>9}",
            self.rate, self.p50, self.p99, 10
        );
    }
}

/// Sends each request in turn over `connections`; at `rate` a second by the clock, a late answer
/// counted from when its request was due, or each as soon as the one before is answered.
async fn measure(
    addr: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
    rate: Option<u32>,
    length: Duration,
) -> Result<Figures> {
    // The same record again would cost no write.
    let once = requests
        .first()
        .is_some_and(|first| first.starts_with(b"PUT"));
    let requests: Arc<[Vec<u8>]> = requests.into();
    let started = Instant::now();
    let mut tasks = Vec::new();
    for first in 0..connections {
        let requests = requests.clone();
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            let mut answer = Vec::new();
            let mut times = Vec::new();
            let mut at = first;
            while started.elapsed() < length {
                let mut due = Instant::now();
                if let Some(rate) = rate {
                    due = started + Duration::from_secs_f64(at as f64 / f64::from(rate));
                    tokio::time::sleep_until(due.into()).await;
                }
                if once && at >= requests.len() {
                    break;
                }
                stream.write_all(&requests[at % requests.len()]).await?;
                let status = read(&mut stream, &mut answer).await?;
                if status != 200 && status != 204 {
                    bail!("answered {status}: {}", String::from_utf8_lossy(&answer));
                }
                times.push(due.elapsed());
                at += connections;
            }
            Ok(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(Figures::of(times, started.elapsed()))
}

/// Asks by datagram from so many sockets, each as soon as the answer before is there. One that is not
/// answered is given up after 200 ms, and not counted.
async fn measure_lookups(
    addr: SocketAddr,
    ids: &[LinkId],
    sockets: usize,
    length: Duration,
) -> Result<Figures> {
    let ids: Arc<[LinkId]> = ids.into();
    let started = Instant::now();
    let mut tasks = Vec::new();
    for first in 0..sockets {
        let ids = ids.clone();
        tasks.push(tokio::spawn(async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            socket.connect(addr).await?;
            let (mut times, mut datagram) = (Vec::new(), [0; LOOKUP_LEN]);
            for id in ids.iter().cycle().skip(first * 1009) {
                if started.elapsed() >= length {
                    break;
                }
                let asked = Instant::now();
                socket.send(&question(id)).await?;
                let answer = socket.recv(&mut datagram);
                if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(200), answer).await {
                    times.push(asked.elapsed());
                }
            }
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(Figures::of(times, started.elapsed()))
}

/// Resolves over a new connection and a new TLS handshake each time, which resumes an earlier one if
/// they come again.
async fn measure_tls(
    addr: SocketAddr,
    requests: &[Vec<u8>],
    certificate: &CertificateDer<'static>,
    again: bool,
    length: Duration,
) -> Result<Figures> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !again {
        config.resumption = rustls::client::Resumption::disabled();
    }
    let connector = TlsConnector::from(Arc::new(config));
    let requests: Arc<[Vec<u8>]> = requests.into();
    let started = Instant::now();
    let mut tasks = Vec::new();
    for first in 0..64 {
        let (requests, connector) = (requests.clone(), connector.clone());
        tasks.push(tokio::spawn(async move {
            let (mut times, mut answer) = (Vec::new(), Vec::new());
            for request in requests.iter().cycle().skip(first * 1009) {
                if started.elapsed() >= length {
                    break;
                }
                let asked = Instant::now();
                let stream = TcpStream::connect(addr).await?;
                let name = ServerName::IpAddress(addr.ip().into());
                let mut stream = connector.connect(name, stream).await?;
                stream.write_all(request).await?;
                let status = read(&mut stream, &mut answer).await?;
                if status != 200 {
                    bail!("answered {status}");
                }
                times.push(asked.elapsed());
            }
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(Figures::of(times, started.elapsed()))
}

/// A certificate for loopback, and a folder with it and its key.
fn certificate() -> Result<(CertificateDer<'static>, Folder)> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let folder = Folder::new("tls")?;
    std::fs::write(folder.0.join("cert.pem"), made.cert.pem())?;
    std::fs::write(folder.0.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok((made.cert.der().clone(), folder))
}

/// One answer of HTTP/1.1 with a length; returns its status.
async fn read(stream: &mut (impl AsyncRead + Unpin), answer: &mut Vec<u8>) -> Result<u16> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            bail!("the connection was closed");
        }
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&answer[..end])?;
        let status = head.get(9..12).context("no status")?.parse()?;
        let length = head
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>())
            })
            .transpose()?
            .unwrap_or(0);
        if answer.len() >= end + 4 + length {
            return Ok(status);
        }
    }
}

/// A server pinned to the first core; killed when dropped.
struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    fn pillion(flags: &Flags, more: &[&Path]) -> Result<Self> {
        let limits = [
            "--publish-rate",
            "0",
            "--read-rate",
            "0",
            "--connection-rate",
            "0",
        ];
        let more: Vec<&Path> = limits
            .iter()
            .map(Path::new)
            .chain(more.iter().copied())
            .collect();
        Self::start(flags, "127.0.0.1:0", &flags.data, &more)
    }

    fn start(flags: &Flags, listen: &str, data: &Path, more: &[&Path]) -> Result<Self> {
        let here = std::env::current_exe()?;
        let binary = match &flags.service {
            Some(binary) => binary.clone(),
            None => here.with_file_name("pillion-signal"),
        };
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(&binary)
            .args(["--listen", listen, "--threads", "1", "--data"])
            .arg(data)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("taskset {}: build it first", binary.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("its output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = line.trim().strip_prefix("listening on ");
        let addr = addr.context("the service did not start")?.parse()?;
        Ok(Self { child, addr })
    }

    /// nginx with one file of a record's size, one worker.
    fn nginx() -> Result<Option<(Self, Folder)>> {
        let nginx = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
        let Some(nginx) = nginx.iter().find(|path| Path::new(path).exists()) else {
            return Ok(None);
        };
        let folder = Folder::new("nginx")?;
        let at = folder.0.display();
        std::fs::write(folder.0.join("record"), [5; 420])?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let config = format!(
            "daemon off; worker_processes 1; user root; pid {at}/pid; error_log stderr crit;\n\
             events {{}}\nhttp {{ access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000;\n\
             open_file_cache max=10; server {{ listen 127.0.0.1:{port}; root {at}; }} }}\n"
        );
        let file = folder.0.join("nginx.conf");
        std::fs::write(&file, config)?;
        let child = Command::new("taskset")
            .args(["-c", "0", nginx, "-p"])
            .arg(&folder.0)
            .arg("-c")
            .arg(&file)
            .spawn()?;
        let server = Self {
            child,
            addr: ([127, 0, 0, 1], port).into(),
        };
        let started = Instant::now();
        while std::net::TcpStream::connect(server.addr).is_err() {
            if started.elapsed() > Duration::from_secs(5) {
                bail!("nginx does not answer");
            }
        }
        Ok(Some((server, folder)))
    }

    /// Processor time it has used.
    fn busy(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the name in brackets, the 12th and 13th fields: ticks for itself and in the kernel.
        let (_, fields) = stat.rsplit_once(')').context("its processor time")?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        let second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / second as f64))
    }

    /// Its resident memory in MB: the most there was, and what is its own now.
    fn memory(&self) -> Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        let (hwm, anon) = field("VmHWM:")
            .zip(field("RssAnon:"))
            .context("its memory")?;
        Ok((hwm / 1000.0, anon / 1000.0))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // nginx's worker ends with its master only if that is asked to.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A folder for a server's files, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(what: &str) -> Result<Self> {
        let name = format!("pillion-signal-load-{}-{what}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Megabytes a folder's files take on the disk.
fn disk(folder: &Path) -> Result<f64> {
    let mut blocks = 0;
    for file in std::fs::read_dir(folder)? {
        blocks += file?.metadata()?.blocks();
    }
    Ok(blocks as f64 * 512.0 / 1e6)
}

/// The id of record `n`: a real host's, or just any.
fn id(n: u32, hosts: u32) -> [u8; 32] {
    match n < hosts {
        true => *host(n).id().as_bytes(),
        false => {
            use sha2::{Digest as _, Sha256};
            Sha256::digest(n.to_be_bytes()).into()
        }
    }
}

fn host(n: u32) -> LinkSecret {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    LinkSecret::derive(&[1; 32], &seed)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
