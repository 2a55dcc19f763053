//! One hostile network beside everybody else: whatever it fills, they get their part.

mod common;

use std::{
    net::{Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::*;
use pillion_signal::Config;
use reqwest::{Method, Response};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A service behind a proxy on 127.0.0.1, so that a test can be anybody from there.
async fn proxied(change: impl FnOnce(&mut Config)) -> World {
    World::with(|config| {
        config.proxies = vec!["127.0.0.1".parse().unwrap()];
        change(config);
    })
    .await
}

/// Asks through the proxy for this address.
async fn ask_for(world: &World, from: &str, method: Method, path: &str, body: Vec<u8>) -> Response {
    let url = format!("{}{path}", world.asker.base);
    let request = world.asker.client.request(method, url).body(body);
    let asked = request.header("x-forwarded-for", from).send();
    asked.await.unwrap()
}

async fn publish_for(world: &World, from: &str, n: u32) -> u16 {
    let host = host(n);
    let record = record(&host, now(), b"x");
    let answer = ask_for(world, from, Method::PUT, &path(&host), record).await;
    answer.status().as_u16()
}

/// An address in one of the networks of a /48.
fn in_48(network: u16, subnet: u16) -> String {
    Ipv6Addr::from([0x2001, 0xdb8, network, subnet, 0, 0, 0, 1]).to_string()
}

/// Status, sentence and when to come again.
async fn refusal(answer: Response) -> (u16, String, u64) {
    let wait = answer
        .headers()
        .get("retry-after")
        .expect("when to come again");
    let wait = wait.to_str().unwrap().parse().unwrap();
    let (status, text) = said(answer).await;
    assert!(
        text.ends_with(&format!("try again in {wait} s\n")),
        "{text}"
    );
    (status, text, wait)
}

/// A number of the service's metrics.
async fn metric(asker: &Asker, name: &str) -> u64 {
    let metrics = String::from_utf8(asker.get("/metrics").await.unwrap()).unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |rest| rest.trim().parse().unwrap())
}

#[tokio::test]
async fn silent_connections_fill_nothing_for_anybody_else() {
    let world = World::with(|config| config.max_connections = 200).await;
    let addr = world.service.addr();
    let mut silent = Vec::new();
    // From one address, then from as many as it takes to have all places.
    for n in 0..400u32 {
        silent.push(connect("127.0.1.1", addr).await);
        silent.push(connect(&format!("127.0.2.{}", n % 100), addr).await);
    }
    // Each on a connection of its own.
    for n in 2..30 {
        let honest = world.asker.from(&format!("127.0.0.{n}"));
        let host = host(n);
        let kept = record(&host, now(), b"x");
        assert_eq!(honest.publish(&host, &kept).await.0, 204);
        assert_eq!(honest.resolve(&host).await, Some(kept));
    }
    assert!(metric(&world.asker, "pillion_signal_connections ").await <= 200);
    drop(silent);
}

#[tokio::test]
async fn who_has_no_place_hears_why_and_when_to_come_again() {
    let world = World::with(|config| config.max_connections = 64).await;
    let addr = world.service.addr();
    let mut waiting = Vec::new();
    let number = {
        let answer = world
            .asker
            .from("127.0.0.9")
            .ask(Method::POST, "/v1/mail", [])
            .await;
        answer
            .text()
            .await
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    // As many as one address may have, all with something under way.
    for _ in 0..8 {
        let mut stream = connect("127.0.0.2", addr).await;
        let half = b"PUT /v1/links/x HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\nsome";
        stream.write_all(half).await.unwrap();
        waiting.push(stream);
    }
    let more = world.asker.from("127.0.0.2");
    eventually(async || {
        let url = format!("{}/healthz", more.base);
        // The last of the eight may not have begun.
        match more.client.get(url).send().await {
            Ok(answer) if answer.status() == 503 => {
                let (_, text, wait) = refusal(answer).await;
                let why = "your address has as many connections as one may have here";
                assert!(text.contains(why), "{text}");
                assert!(wait <= 5, "{wait}");
                true
            }
            _ => false,
        }
    })
    .await;
    let other = world.asker.from("127.0.0.3");
    let slot = format!("/v1/mail/{number}/host/0");
    assert_eq!(other.put(&slot, "x").await.0, 204);
}

#[tokio::test]
async fn one_48_has_its_share_of_mailboxes_and_its_neighbours_theirs() {
    let world = proxied(|_| {}).await;
    let allocate =
        async |from: String| ask_for(&world, &from, Method::POST, "/v1/mail", vec![]).await;
    let mut refused = 0;
    for subnet in 0..300 {
        let answer = allocate(in_48(1, subnet)).await;
        if answer.status() != 200 {
            let (status, text, wait) = refusal(answer).await;
            assert_eq!(status, 507);
            assert!(text.contains("IPv6 /"), "{text}");
            assert!((1..=601).contains(&wait), "{wait}");
            refused += 1;
        }
    }
    assert!(refused > 200, "{refused}");
    for subnet in [0x200, 0x300] {
        assert_eq!(allocate(in_48(1, subnet)).await.status(), 200);
    }
    assert_eq!(allocate(in_48(2, 0)).await.status(), 200);
    assert_eq!(allocate("192.0.2.1".to_owned()).await.status(), 200);
}

#[tokio::test]
async fn records_of_one_address_leave_room_and_its_own_are_renewed() {
    let world = proxied(|config| {
        let folder = match &config.store {
            pillion_signal::StoreConfig::Embedded { folder, .. } => folder.clone(),
            #[cfg(feature = "postgres")]
            other => panic!("{other:?}"),
        };
        config.store = pillion_signal::StoreConfig::Embedded {
            folder,
            max_records: 100,
            cache_bytes: 1 << 20,
        };
    })
    .await;
    let hostile = "192.0.2.66";
    for n in 0..16 {
        assert_eq!(publish_for(&world, hostile, n).await, 204);
    }
    let host = host(16);
    let record = record(&host, now(), b"x");
    let answer = ask_for(&world, hostile, Method::PUT, &path(&host), record).await;
    let (status, text, _) = refusal(answer).await;
    assert_eq!(status, 507);
    let why = "your address has as many records as one may have here";
    assert!(text.contains(why), "{text}");
    // Renewed all the same, from wherever.
    let first = common::host(0);
    let renewed = numbered(&first, now() + 1000, b"y");
    for from in [hostile, "192.0.2.1"] {
        let renewed = renewed.clone();
        let answer = ask_for(&world, from, Method::PUT, &path(&first), renewed).await;
        assert_eq!(answer.status(), 204);
    }
    // From as many addresses as it takes to fill it, in both ways.
    for n in 0..200u16 {
        publish_for(
            &world,
            &format!("198.51.100.{}", n % 10),
            1000 + u32::from(n),
        )
        .await;
        publish_for(&world, &in_48(7, n), 2000 + u32::from(n)).await;
    }
    assert_eq!(publish_for(&world, hostile, 17).await, 507);
    for n in 0..5 {
        assert_eq!(publish_for(&world, "192.0.2.1", 3000 + n).await, 204);
        let kept = world.asker.resolve(&common::host(3000 + n)).await;
        assert!(kept.is_some());
    }
    // Who is not our proxy is nobody but themselves: their share is full at once.
    let direct = world.asker.from("127.0.0.2");
    let mut last = 0;
    for n in 0..40 {
        let host = common::host(4000 + n);
        let url = format!("{}{}", direct.base, path(&host));
        let request = direct
            .client
            .put(url)
            .body(common::record(&host, now(), b"x"));
        let asked = request.header("x-forwarded-for", format!("203.0.113.{n}"));
        last = asked.send().await.unwrap().status().as_u16();
    }
    assert_eq!(last, 507);
}

#[tokio::test]
async fn requests_under_way_of_one_network_leave_places_for_others_behind_a_proxy() {
    let world = proxied(|config| config.max_connections = 64).await;
    let addr = world.service.addr();
    let mut slow = Vec::new();
    for subnet in 0..60 {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let half = format!(
            "PUT /v1/links/x HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {}\r\ncontent-length: 500\r\n\r\nsome",
            in_48(1, subnet)
        );
        stream.write_all(half.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // A /48 may have 32 of the 64; the others were sent away, and the proxy has their connections again.
    eventually(async || {
        let refused = "pillion_signal_share_refused_total{what=\"request\"} ";
        let gave_way = "pillion_signal_gave_way_total{what=\"request\"} ";
        metric(&world.asker, refused).await + metric(&world.asker, gave_way).await >= 28
    })
    .await;
    for n in 0..10 {
        assert_eq!(publish_for(&world, &format!("192.0.2.{n}"), n).await, 204);
    }
    drop(slow);
}

#[tokio::test]
async fn who_has_no_place_to_wait_is_answered_at_once() {
    let world = proxied(|config| config.max_connections = 512).await;
    let answer = ask_for(&world, "192.0.2.1", Method::POST, "/v1/mail", vec![]).await;
    let number = answer
        .text()
        .await
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let waiting = format!("/v1/mail/{number}/guest/0?wait=25");
    // One address may have 8 waits at a service of this size.
    let done = Arc::new(AtomicUsize::new(0));
    let world = Arc::new(world);
    let mut waits = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let (world, waiting, done) = (world.clone(), waiting.clone(), done.clone());
        waits.spawn(async move {
            let answer = ask_for(&world, "192.0.2.66", Method::GET, &waiting, vec![]).await;
            assert!([200, 204].contains(&answer.status().as_u16()));
            done.fetch_add(1, Ordering::SeqCst);
        });
    }
    let begun = Instant::now();
    eventually(async || done.load(Ordering::SeqCst) >= 22).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(done.load(Ordering::SeqCst), 22);
    // Somebody else waits, and gets it when it comes.
    let honest = ask_for(&world, "192.0.2.2", Method::GET, &waiting, vec![]);
    let (message, left) = tokio::join!(honest, async {
        let slot = format!("/v1/mail/{number}/guest/0");
        let answer = ask_for(&world, "192.0.2.3", Method::PUT, &slot, b"guess".to_vec()).await;
        answer.status().as_u16()
    });
    assert_eq!((message.status().as_u16(), left), (200, 204));
    while waits.join_next().await.is_some() {}
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_does_not_read_is_closed() {
    let world = World::new().await;
    let addr = world.service.addr();
    let begun = Instant::now();
    let mut silent = TcpStream::connect(addr).await.unwrap();
    let mut half = TcpStream::connect(addr).await.unwrap();
    half.write_all(b"GET /heal").await.unwrap();
    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    // Asks for more than fits into what the system holds for it, and reads nothing.
    let deaf = tokio::spawn(deaf(addr));
    let (silent, half, idle) =
        tokio::join!(closed(&mut silent), closed(&mut half), closed(&mut idle));
    assert!(silent && half && idle);
    deaf.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(40));
}

/// Asks until the service closes the connection.
async fn deaf(addr: SocketAddr) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let path = format!("/s/{}", host(1).id());
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(100);
    let ended = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    let within = Duration::from_secs(60);
    tokio::time::timeout(within, ended)
        .await
        .expect("it is closed");
}

#[tokio::test]
async fn new_connections_of_one_address_are_slowed_down_and_others_are_not() {
    let world = World::with(|config| config.connection_rate = 10).await;
    let addr = world.service.addr();
    let ask = async |from: &str| {
        let mut stream = connect(from, addr).await;
        let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let mut answer = String::new();
        // It may be closed before the request is there.
        let _ = stream.write_all(request).await;
        let _ = stream.read_to_string(&mut answer).await;
        answer
    };
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(ask("127.0.0.2").await);
    }
    let with = |status: &str| {
        answers
            .iter()
            .filter(|answer| answer.starts_with(status))
            .count()
    };
    assert!((40..80).contains(&with("HTTP/1.1 200")), "{answers:?}");
    // The first are told why.
    assert!(with("HTTP/1.1 429") >= 8);
    assert!(ask("127.0.0.3").await.starts_with("HTTP/1.1 200"));
}

/// Asks until it is so; bounded.
async fn eventually(condition: impl AsyncFn() -> bool) {
    let within = Duration::from_secs(30);
    tokio::time::timeout(within, async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it never came true");
}
