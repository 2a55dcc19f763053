//! What the drivers cost: two processes on loopback, each on one thread.
//!
//! `cargo bench -p pillion-net` prints how long it takes to bind, to connect and have the first word
//! answered, and for 20 bytes to go to the host and back on streams that are open; beside it the same
//! with bare sockets and with the bare transport, which is what the drivers stand on.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

use std::{
    future::Future,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use iroh::{
    Endpoint, EndpointAddr, EndpointId,
    endpoint::{ZeroRttStatus, presets},
};
use pillion_caps::SecretKey;
use pillion_net::{HostNet, NetOptions, RelayChoice, ViewerNet, random_bytes};
use pillion_session::{HostInput, HostOutput, Stream, ViewerInput, ViewerOutput};

const ROUNDS: usize = 20_000;
const JOINS: usize = 50;
const KEY: [u8; 20] = [b'k'; 20];
const TRACK: Stream = Stream::Track { id: 0 };
const INPUT: Stream = Stream::Input { epoch: 0 };
const BARE_ALPN: &[u8] = b"bare";

fn main() {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next().as_deref()) {
        (Some("serve"), Some("udp")) => run(serve_udp()),
        (Some("serve"), Some("bare")) => run(serve_bare()),
        (Some("serve"), Some("drivers")) => run(serve_drivers()),
        // Only when asked for: `cargo test --all-targets` starts benches too.
        (Some("--bench"), _) => run(measure()),
        _ => {}
    }
}

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}

async fn measure() {
    let (server, addr, _) = server("udp");
    report("20 bytes there and back, bare UDP", udp_rounds(addr).await);
    stop(server);
    let (server, addr, id) = server_with_id("bare");
    report(
        "20 bytes there and back, bare transport",
        bare_rounds(addr, id).await,
    );
    stop(server);
    let (server, addr, id) = server_with_id("drivers");
    report(
        "20 bytes there and back, drivers",
        driver_rounds(addr, id).await,
    );
    driver_joins(addr, id).await;
    stop(server);
    resumption().await;
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    println!(
        "{what}: p50 {:.0} µs, p90 {:.0} µs, p99 {:.0} µs",
        at(0.5),
        at(0.9),
        at(0.99)
    );
}

// The other process.

fn server(kind: &str) -> (Child, SocketAddr, Option<EndpointId>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["serve", kind])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let mut words = line.split_whitespace();
    let addr = words.next().unwrap().parse().unwrap();
    (child, addr, words.next().map(|id| id.parse().unwrap()))
}

fn server_with_id(kind: &str) -> (Child, SocketAddr, EndpointId) {
    let (child, addr, id) = server(kind);
    (child, addr, id.unwrap())
}

fn stop(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn say(text: String) {
    println!("{text}");
    std::io::stdout().flush().unwrap();
}

fn loopback() -> NetOptions {
    NetOptions {
        bind: vec!["127.0.0.1:0".parse().unwrap()],
        ..NetOptions::default()
    }
}

async fn serve_udp() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    say(socket.local_addr().unwrap().to_string());
    let mut buffer = [0; 64];
    while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
        socket.send_to(&buffer[..count], from).await.unwrap();
    }
}

async fn bare() -> Endpoint {
    Endpoint::builder(presets::Minimal)
        .alpns(vec![BARE_ALPN.to_vec()])
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .unwrap()
        .bind()
        .await
        .unwrap()
}

async fn serve_bare() {
    let endpoint = bare().await;
    say(format!("{} {}", endpoint.bound_sockets()[0], endpoint.id()));
    let connection = endpoint.accept().await.unwrap().await.unwrap();
    let (mut send, mut recv) = connection.accept_bi().await.unwrap();
    while let Ok(Some(bytes)) = recv.read_chunk(1024).await {
        send.write_chunk(bytes).await.unwrap();
    }
}

async fn serve_drivers() {
    let key = SecretKey::from_bytes(&random_bytes().unwrap());
    let before = Instant::now();
    let mut net = HostNet::bind(&key, RelayChoice::None, loopback())
        .await
        .unwrap();
    eprintln!(
        "host bound in {:.2} ms",
        before.elapsed().as_secs_f64() * 1e3
    );
    say(format!("{} {}", net.sockets()[0], net.addr().id));
    loop {
        if let HostInput::Received {
            conn,
            stream,
            bytes,
        } = net.next_input().await
        {
            let stream = if stream == INPUT { TRACK } else { stream };
            net.apply(HostOutput::Send {
                to: (conn, stream).into(),
                bytes,
            });
        }
    }
}

// This process.

async fn udp_rounds(addr: SocketAddr) -> Vec<Duration> {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(addr).await.unwrap();
    let mut took = Vec::with_capacity(ROUNDS);
    let mut buffer = [0; 64];
    for _ in 0..ROUNDS {
        let before = Instant::now();
        socket.send(&KEY).await.unwrap();
        socket.recv(&mut buffer).await.unwrap();
        took.push(before.elapsed());
    }
    took
}

async fn bare_rounds(addr: SocketAddr, id: EndpointId) -> Vec<Duration> {
    let endpoint = bare().await;
    let host = EndpointAddr::new(id).with_ip_addr(addr);
    let connection = endpoint.connect(host, BARE_ALPN).await.unwrap();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let before = Instant::now();
        send.write_chunk(Bytes::from_static(&KEY)).await.unwrap();
        recv.read_chunk(1024).await.unwrap().unwrap();
        took.push(before.elapsed());
    }
    took
}

async fn next_bytes(net: &mut ViewerNet) {
    loop {
        match net.next_input().await {
            ViewerInput::Received { .. } => return,
            ViewerInput::Disconnected { why } => panic!("{why}"),
            _ => {}
        }
    }
}

async fn connected(net: &mut ViewerNet) {
    loop {
        match net.next_input().await {
            ViewerInput::Connected(_) => return,
            ViewerInput::Disconnected { why } => panic!("{why}"),
            _ => {}
        }
    }
}

async fn driver_rounds(addr: SocketAddr, id: EndpointId) -> Vec<Duration> {
    let mut net = ViewerNet::new(RelayChoice::None, loopback());
    net.set_host(EndpointAddr::new(id).with_ip_addr(addr));
    net.apply(ViewerOutput::Connect);
    connected(&mut net).await;
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let before = Instant::now();
        net.apply(ViewerOutput::Send {
            stream: INPUT,
            bytes: Bytes::from_static(&KEY),
        });
        next_bytes(&mut net).await;
        took.push(before.elapsed());
    }
    net.close().await;
    took
}

/// A new viewer each time, then the same one again.
async fn driver_joins(addr: SocketAddr, id: EndpointId) {
    let (mut stood, mut answered, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..JOINS {
        let before = Instant::now();
        let mut net = ViewerNet::new(RelayChoice::None, loopback());
        net.set_host(EndpointAddr::new(id).with_ip_addr(addr));
        net.apply(ViewerOutput::Connect);
        connected(&mut net).await;
        stood.push(before.elapsed());
        net.apply(ViewerOutput::Send {
            stream: Stream::Control,
            bytes: Bytes::from_static(b"hello"),
        });
        next_bytes(&mut net).await;
        answered.push(before.elapsed());
        let before = Instant::now();
        net.apply(ViewerOutput::Connect);
        connected(&mut net).await;
        net.apply(ViewerOutput::Send {
            stream: Stream::Control,
            bytes: Bytes::from_static(b"hello"),
        });
        next_bytes(&mut net).await;
        again.push(before.elapsed());
        net.close().await;
    }
    report("bind and connect", stood);
    report("bind, connect, hello and first answer", answered);
    report(
        "the same process again: connect, hello and first answer",
        again,
    );
}

/// How soon the transport answers a connection that resumes an earlier one, with and without data in
/// the first flight. In one process: the tickets are in memory.
async fn resumption() {
    let (host, viewer) = (bare().await, bare().await);
    let addr = host.addr();
    let answering = tokio::spawn(async move {
        while let Some(incoming) = host.accept().await {
            let connection = incoming.accept().unwrap().into_0rtt();
            tokio::spawn(async move {
                let (mut send, mut recv) = connection.accept_bi().await.unwrap();
                let bytes = recv.read_chunk(64).await.unwrap().unwrap();
                send.write_chunk(bytes).await.unwrap();
                send.finish().unwrap();
                send.stopped().await.ok();
            });
        }
    });
    let (mut full, mut early, mut accepted) = (Vec::new(), Vec::new(), 0);
    for round in 0..2 * JOINS {
        let before = Instant::now();
        let connecting = viewer
            .connect_with_opts(addr.clone(), BARE_ALPN, Default::default())
            .await
            .unwrap();
        let early_data = round % 2 == 1;
        let connecting = match early_data {
            false => Err(connecting),
            true => connecting.into_0rtt(),
        };
        match connecting {
            Err(connecting) => {
                let connection = connecting.await.unwrap();
                let (mut send, mut recv) = connection.open_bi().await.unwrap();
                send.write_chunk(Bytes::from_static(&KEY)).await.unwrap();
                recv.read_chunk(64).await.unwrap();
                full.push(before.elapsed());
                // The ticket for next time comes behind the handshake.
                recv.read_to_end(64).await.unwrap();
            }
            Ok(connection) => {
                let (mut send, mut recv) = connection.open_bi().await.unwrap();
                send.write_chunk(Bytes::from_static(&KEY)).await.unwrap();
                recv.read_chunk(64).await.unwrap();
                early.push(before.elapsed());
                if let ZeroRttStatus::Accepted(_) = connection.handshake_completed().await.unwrap()
                {
                    accepted += 1;
                }
            }
        }
    }
    report("bare transport, full handshake and first answer", full);
    println!(
        "early data: tried {} times, accepted {accepted} times",
        early.len()
    );
    if !early.is_empty() {
        report("bare transport, early data and first answer", early);
    }
    answering.abort();
}
