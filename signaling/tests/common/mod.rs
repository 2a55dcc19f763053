//! Hosts, and services in this process or in their own.
#![allow(dead_code)] // each test uses a part of it

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pillion_proto::{LinkRecord, LinkSecret, Times};
use pillion_signal::{Config, Service};
use reqwest::{Client, ClientBuilder, Method, Response};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
};

pub const MINUTE: u64 = 60_000;

pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis() as u64
}

/// Every client of these tests speaks plain HTTP, or brings its own roots; ring is the provider.
pub fn client() -> Client {
    client_with(|builder| builder)
}

/// A client at this address of the loopback network.
pub fn client_at(address: &str) -> Client {
    client_with(|builder| builder.local_address(Some(address.parse().unwrap())))
}

fn client_with(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .timeout(Duration::from_secs(40))
        .no_proxy();
    change(builder).build().unwrap()
}

/// A connection from this address of the loopback network.
pub async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Whether the other side has closed it, now or within some seconds more than it may take.
pub async fn closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(60), end)
        .await
        .is_ok()
}

/// A host's secret, one for each number.
pub fn host(n: u32) -> LinkSecret {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    LinkSecret::derive(&[1; 32], &seed)
}

/// A record that counts from `at` on.
pub fn record(secret: &LinkSecret, at: u64, payload: &[u8]) -> Vec<u8> {
    let record = LinkRecord::seal(secret, Times::starting(at, 0), payload, [7; 24]).unwrap();
    record.as_bytes().to_vec()
}

/// A record with this number, made now.
pub fn numbered(secret: &LinkSecret, seq: u64, payload: &[u8]) -> Vec<u8> {
    let times = Times {
        seq,
        ..Times::starting(now(), 0)
    };
    let record = LinkRecord::seal(secret, times, payload, [7; 24]).unwrap();
    record.as_bytes().to_vec()
}

pub fn tombstone(secret: &LinkSecret, last: u64) -> Vec<u8> {
    let record = LinkRecord::tombstone(secret, Times::starting(now(), last));
    record.as_bytes().to_vec()
}

/// Somebody who asks a service.
pub struct Asker {
    pub base: String,
    pub client: Client,
}

impl Asker {
    pub fn of(addr: SocketAddr) -> Asker {
        Asker {
            base: format!("http://{addr}"),
            client: client(),
        }
    }

    /// The same service, asked from this address of the loopback network.
    pub fn from(&self, address: &str) -> Asker {
        Asker {
            base: self.base.clone(),
            client: client_at(address),
        }
    }

    pub async fn ask(&self, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Response {
        let url = format!("{}{path}", self.base);
        let asked = self.client.request(method, url).body(body.into()).send();
        asked.await.unwrap()
    }

    /// The status, and what was said.
    pub async fn put(&self, path: &str, body: impl Into<Vec<u8>>) -> (u16, String) {
        said(self.ask(Method::PUT, path, body).await).await
    }

    pub async fn delete(&self, path: &str, body: impl Into<Vec<u8>>) -> (u16, String) {
        said(self.ask(Method::DELETE, path, body).await).await
    }

    /// The body, if there is one.
    pub async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let response = self.ask(Method::GET, path, []).await;
        match response.status().as_u16() {
            200 => Some(response.bytes().await.unwrap().to_vec()),
            404 => None,
            status => panic!("{status}: {}", response.text().await.unwrap()),
        }
    }

    pub async fn publish(&self, secret: &LinkSecret, record: &[u8]) -> (u16, String) {
        self.put(&path(secret), record).await
    }

    pub async fn resolve(&self, secret: &LinkSecret) -> Option<Vec<u8>> {
        self.get(&path(secret)).await
    }
}

pub fn path(secret: &LinkSecret) -> String {
    format!("/v1/links/{}", secret.id())
}

pub async fn said(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    (status, response.text().await.unwrap())
}

/// A service in this process, with no limit on how often one asks.
pub struct World {
    pub service: Service,
    pub asker: Asker,
    pub folder: tempfile::TempDir,
}

impl World {
    pub async fn new() -> World {
        World::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> World {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), folder.path());
        (config.publish_rate, config.read_rate) = (0, 0);
        (config.mail_rate, config.connection_rate) = (0, 0);
        change(&mut config);
        let service = Service::start(config).await.unwrap();
        World {
            asker: Asker::of(service.addr()),
            service,
            folder,
        }
    }
}

/// The real binary; killed when dropped.
pub struct Binary {
    child: Child,
    pub addr: SocketAddr,
    rest: BufReader<std::process::ChildStdout>,
}

impl Binary {
    pub fn start(flags: &[&str], data: &Path) -> Binary {
        Self::spawn(
            Command::new(env!("CARGO_BIN_EXE_pillion-signal")),
            flags,
            data,
        )
    }

    /// One whose files may not grow beyond some blocks of 512 bytes.
    pub fn start_limited(blocks: u32, flags: &[&str], data: &Path) -> Binary {
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_pillion-signal")]);
        Self::spawn(shell, flags, data)
    }

    fn spawn(mut command: Command, flags: &[&str], data: &Path) -> Binary {
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args([
                "--publish-rate",
                "0",
                "--read-rate",
                "0",
                "--mail-rate",
                "0",
                "--connection-rate",
                "0",
            ])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut rest = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        rest.read_line(&mut line).unwrap();
        let Some(addr) = line.trim().strip_prefix("listening on ") else {
            let mut log = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut log)
                .unwrap();
            panic!("it did not start: {log}");
        };
        Binary {
            addr: addr.parse().unwrap(),
            child,
            rest,
        }
    }

    pub fn asker(&self) -> Asker {
        Asker::of(self.addr)
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; whether it went well, and its whole log.
    pub fn end(mut self) -> (bool, String) {
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        let mut rest = String::new();
        self.rest.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        (status.success(), log + &rest)
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
