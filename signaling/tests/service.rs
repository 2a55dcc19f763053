//! The service over real HTTP, in this process.

mod common;

use std::time::Duration;

use common::*;
use pillion_proto::{
    LinkRecord,
    lookup::{LOOKUP_LEN, answer as answer_with, answered, question},
};
use reqwest::Method;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

#[tokio::test]
async fn a_record_is_kept_replaced_and_removed() {
    let world = World::new().await;
    let (asker, host) = (&world.asker, host(1));
    assert_eq!(asker.resolve(&host).await, None);

    let first = record(&host, now(), b"first");
    assert_eq!(asker.publish(&host, &first).await.0, 204);
    assert_eq!(asker.resolve(&host).await, Some(first.clone()));
    // Sent again, as after an answer that was lost.
    assert_eq!(asker.publish(&host, &first).await.0, 204);

    let second = numbered(&host, now() + 1000, b"second");
    assert_eq!(asker.publish(&host, &second).await.0, 204);
    assert_eq!(asker.resolve(&host).await, Some(second));
    let (status, text) = asker.publish(&host, &first).await;
    assert_eq!(status, 409);
    assert!(text.contains("newer"), "{text}");

    let end = tombstone(&host, now() + 2000);
    assert_eq!(asker.delete(&path(&host), end).await.0, 204);
    assert_eq!(asker.resolve(&host).await, None);
    // Nobody brings an old record back.
    assert_eq!(asker.publish(&host, &first).await.0, 409);
    assert_eq!(asker.resolve(&host).await, None);
}

/// A socket that asks the world's service by datagram.
async fn questioner(world: &World, from: &str) -> tokio::net::UdpSocket {
    let socket = tokio::net::UdpSocket::bind(from).await.unwrap();
    socket.connect(world.service.addr()).await.unwrap();
    socket
}

/// The next datagram the service sends.
async fn answer(socket: &tokio::net::UdpSocket) -> Vec<u8> {
    let mut datagram = vec![0; 2048];
    let received = tokio::time::timeout(Duration::from_secs(30), socket.recv(&mut datagram));
    let length = received.await.expect("an answer").unwrap();
    datagram.truncate(length);
    datagram
}

#[tokio::test]
async fn a_datagram_gets_a_live_record_in_one_round_trip_and_nothing_else() {
    let world = World::new().await;
    let (asker, live, ended) = (&world.asker, host(1), host(2));
    let kept = record(&live, now(), b"a ticket");
    assert_eq!(asker.publish(&live, &kept).await.0, 204);
    let gone = record(&ended, now(), b"gone");
    assert_eq!(asker.publish(&ended, &gone).await.0, 204);
    let end = tombstone(&ended, now() + 1000);
    assert_eq!(asker.delete(&path(&ended), end).await.0, 204);
    let long = record(&host(3), now(), &[7; 1500]);
    assert_eq!(asker.publish(&host(3), &long).await.0, 204);

    let socket = questioner(&world, "127.0.0.1:0").await;
    let (good, id) = (question(&live.id()), live.id());
    // One that ended, one that never was, one too long for an answer, and what is no question at all.
    let mut bad = vec![
        question(&ended.id()).to_vec(),
        question(&host(4).id()).to_vec(),
        question(&host(3).id()).to_vec(),
        good[..good.len() - 1].to_vec(),
        [&good[..], &[0]].concat(),
        Vec::new(),
    ];
    bad.push(answer_with(&kept, [0; 24]).unwrap());
    for datagram in bad {
        socket.send(&datagram).await.unwrap();
        socket.send(&good).await.unwrap();
        let says = answer(&socket).await;
        assert!(says.len() <= LOOKUP_LEN);
        assert_eq!(answered(&id, &says).as_deref(), Some(&kept[..]));
    }
    let metrics = String::from_utf8(asker.get("/metrics").await.unwrap()).unwrap();
    assert!(
        metrics.contains("pillion_signal_lookups_total 7"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_flood_of_datagrams_is_not_answered_and_takes_nothing_from_requests() {
    let world = World::with(|config| config.read_rate = 1).await;
    let host = host(1);
    let kept = record(&host, now(), b"a ticket");
    assert_eq!(world.asker.publish(&host, &kept).await.0, 204);
    let begun = std::time::Instant::now();
    let socket = questioner(&world, "127.0.0.1:0").await;
    for _ in 0..20 {
        socket.send(&question(&host.id())).await.unwrap();
    }
    // Somebody else's comes after them all, and is answered.
    let other = questioner(&world, "127.0.0.2:0").await;
    other.send(&question(&host.id())).await.unwrap();
    assert!(answered(&host.id(), &answer(&other).await).is_some());
    // Anybody can send a flood in somebody's name: their requests are none the worse.
    assert_eq!(world.asker.resolve(&host).await, Some(kept));

    let count = async || {
        let metrics = String::from_utf8(world.asker.get("/metrics").await.unwrap()).unwrap();
        metrics
            .lines()
            .find_map(|line| line.strip_prefix("pillion_signal_lookups_total "))
            .map_or(0, |count| count.parse::<u64>().unwrap())
    };
    // Four seconds' worth at once, so four; and one more for each second it took.
    eventually(async || count().await >= 5).await;
    let most = 6 + begun.elapsed().as_secs();
    assert!(count().await <= most);
}

#[tokio::test]
async fn what_is_kept_is_what_readers_verify() {
    let world = World::new().await;
    let host = host(1);
    let sent = record(&host, now(), b"a ticket");
    world.asker.publish(&host, &sent).await;
    let kept = world.asker.resolve(&host).await.unwrap();
    let read = LinkRecord::verify(&kept, &host.id(), now()).unwrap();
    assert_eq!(read.open(host.key()).unwrap().as_slice(), b"a ticket");
}

#[tokio::test]
async fn bad_records_are_refused_with_a_reason_and_harm_no_other() {
    let world = World::new().await;
    let (asker, good, host) = (&world.asker, host(1), host(2));
    let kept = record(&good, now(), b"kept");
    asker.publish(&good, &kept).await;

    let refused = |bytes: Vec<u8>, status: u16, why: &'static str| {
        let path = path(&host);
        async move {
            let (got, text) = asker.put(&path, bytes).await;
            assert_eq!(got, status, "{text}");
            assert!(text.contains(why), "{why:?} is not in {text:?}");
        }
    };
    refused(vec![1; 2049], 413, "at most 2048 bytes").await;
    refused(vec![1; 1 << 20], 413, "at most 2048 bytes").await;
    refused(Vec::new(), 422, "cut short").await;
    refused(vec![1; 100], 422, "not a link record").await;
    refused(record(&good, now(), b"x"), 422, "another link").await;
    let mut forged = record(&host, now(), b"x");
    *forged.last_mut().unwrap() ^= 1;
    refused(forged, 422, "signature").await;
    // An hour behind, an hour ahead; and a few seconds either way, which is nothing.
    refused(
        record(&host, now() - 60 * MINUTE, b"x"),
        422,
        "expired 50 minutes ago",
    )
    .await;
    refused(
        record(&host, now() + 61 * MINUTE, b"x"),
        422,
        "minutes from now",
    )
    .await;
    assert_eq!(asker.resolve(&host).await, None);
    for skewed in [now() - MINUTE, now() + MINUTE] {
        let (status, text) = asker.publish(&host, &record(&host, skewed, b"x")).await;
        assert_eq!(status, 204, "{text}");
    }
    let (status, text) = asker.put("/v1/links/short", kept.clone()).await;
    assert_eq!(status, 422);
    assert!(text.contains("43"), "{text}");
    let (status, text) = asker
        .delete(&path(&good), record(&good, now() + 5, b"x"))
        .await;
    assert_eq!(status, 422, "{text}");
    assert_eq!(asker.resolve(&good).await, Some(kept));
}

#[tokio::test]
async fn a_flood_is_held_back_and_other_links_are_served() {
    let world = World::with(|config| {
        config.proxies = vec!["127.0.0.1".parse().unwrap()];
        config.publish_rate = 5;
        config.read_rate = 50;
    })
    .await;
    let from = |address: &'static str, method: Method, host_number: u32| {
        let host = host(host_number);
        let asked = world
            .asker
            .client
            .request(method, format!("{}{}", world.asker.base, path(&host)))
            // What a client writes itself does not count, only what the proxy appends.
            .header(
                "x-forwarded-for",
                format!("10.0.{}.1, {address}", host_number % 256),
            )
            .body(record(&host, now(), b"x"))
            .send();
        async { asked.await.unwrap() }
    };
    let mut refused = 0;
    for n in 0..100 {
        let response = from("192.0.2.66", Method::PUT, n).await;
        match response.status().as_u16() {
            204 => {}
            429 => {
                refused += 1;
                assert!(response.headers().contains_key("retry-after"));
            }
            status => panic!("{status}"),
        }
    }
    assert!(refused > 50, "{refused}");
    // Another host publishes, the flooder itself may still read, and so may everybody.
    assert_eq!(from("192.0.2.1", Method::PUT, 1000).await.status(), 204);
    assert_eq!(from("192.0.2.66", Method::GET, 1000).await.status(), 200);
    assert_eq!(from("192.0.2.2", Method::GET, 0).await.status(), 200);
}

#[tokio::test]
async fn expired_records_are_forgotten() {
    // Made so long ago that four seconds of tolerance are left, and swept all the time.
    let world = World::with(|config| config.sweep_every = Duration::from_millis(20)).await;
    let (asker, old, fresh) = (&world.asker, host(1), host(2));
    let ended = now() - 12 * MINUTE + 4_000;
    let (status, text) = asker.publish(&old, &record(&old, ended, b"x")).await;
    assert_eq!(status, 204, "{text}");
    asker.publish(&fresh, &record(&fresh, now(), b"x")).await;
    assert!(asker.resolve(&old).await.is_some());
    eventually(async || {
        let metrics = asker.get("/metrics").await.unwrap();
        let metrics = String::from_utf8(metrics).unwrap();
        metrics.contains("pillion_signal_expired_total 1\n")
            && metrics.contains("pillion_signal_records 1\n")
    })
    .await;
    assert_eq!(asker.resolve(&old).await, None);
    assert!(asker.resolve(&fresh).await.is_some());
}

/// Asks until it is so; bounded.
async fn eventually(condition: impl AsyncFn() -> bool) {
    let within = Duration::from_secs(20);
    tokio::time::timeout(within, async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it never came true");
}

#[tokio::test]
async fn the_page_runs_nothing_and_says_how_to_join() {
    let world = World::new().await;
    let path = format!("/s/{}", host(1).id());
    let response = world.asker.ask(Method::GET, &path, []).await;
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(
        !policy.contains("script-src") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-type").starts_with("text/html"));
    let page = response.text().await.unwrap();
    assert!(page.contains("pillion join '"), "{page}");
    assert!(
        !page.contains("<script") && !page.contains("onload"),
        "{page}"
    );
    let style = page.split_once("<style>").unwrap().1;
    let style = style.split_once("</style>").unwrap().0;
    use sha2::{Digest as _, Sha256};
    let hash = data_encoding::BASE64.encode(&Sha256::digest(style));
    assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    assert_eq!(world.asker.get("/s/nothing").await, None);
}

#[tokio::test]
async fn health_and_metrics_are_told() {
    let world = World::new().await;
    let asker = &world.asker;
    assert_eq!(asker.get("/healthz").await.unwrap(), b"ok\n");
    let host = host(1);
    asker.publish(&host, &record(&host, now(), b"x")).await;
    let text = String::from_utf8(asker.get("/metrics").await.unwrap()).unwrap();
    let count =
        "pillion_signal_requests_total{method=\"PUT\",route=\"/v1/links\",status=\"204\"} 1";
    assert!(text.contains(count), "{text}");
    assert!(
        text.contains("pillion_signal_commit_seconds_count 1"),
        "{text}"
    );
    assert!(!text.contains(&host.id().to_string()));
    assert!(!text.contains("127.0.0.1"));
    assert_eq!(asker.get("/nothing").await, None);
}

#[tokio::test]
async fn a_mailbox_carries_a_few_small_messages_once() {
    let world = World::new().await;
    let asker = &world.asker;
    let (status, text) = said(asker.ask(Method::POST, "/v1/mail", []).await).await;
    assert_eq!(status, 200);
    let (number, token) = text.trim().split_once(' ').unwrap();
    let at = |slot: &str| format!("/v1/mail/{number}/{slot}");

    assert_eq!(asker.put(&at("host/0"), "offer").await.0, 204);
    assert_eq!(asker.put(&at("host/0"), "other").await.0, 409);
    assert_eq!(asker.get(&at("host/0")).await.unwrap(), b"offer");
    assert_eq!(asker.put(&at("host/1"), vec![0; 513]).await.0, 413);
    assert_eq!(asker.put(&at("host/1"), "").await.0, 422);
    assert_eq!(asker.put(&at("host/4"), "x").await.0, 422);
    assert_eq!(asker.put(&at("nobody/0"), "x").await.0, 422);
    assert_eq!(asker.put("/v1/mail/4000000000/host/0", "x").await.0, 404);

    // Nothing there yet, and nothing came.
    let empty = asker.ask(Method::GET, &at("guest/0"), []).await;
    assert_eq!(empty.status(), 204);
    // One waits while the other writes.
    let waiting = format!("{}?wait=25", at("guest/0"));
    let (message, left) = tokio::join!(asker.get(&waiting), async {
        // The waiting one is there first, whenever it can be told: a message for another does not
        // end its wait.
        asker.put(&at("guest/1"), "later").await;
        asker.put(&at("guest/0"), "guess").await.0
    });
    assert_eq!(message.unwrap(), b"guess");
    assert_eq!(left, 204);

    assert_eq!(asker.delete(&format!("/v1/mail/{number}"), "").await.0, 403);
    let url = format!("{}/v1/mail/{number}", asker.base);
    let wrong = asker.client.delete(&url).bearer_auth("wrong").send().await;
    assert_eq!(wrong.unwrap().status(), 403);
    let right = asker.client.delete(&url).bearer_auth(token).send().await;
    assert_eq!(right.unwrap().status(), 204);
    assert_eq!(asker.get(&at("host/0")).await, None);
}

#[tokio::test]
async fn waiting_for_mail_ends_with_the_service() {
    let world = World::new().await;
    let asker = &world.asker;
    let text = asker
        .ask(Method::POST, "/v1/mail", [])
        .await
        .text()
        .await
        .unwrap();
    let number = text.split(' ').next().unwrap();
    let mut stream = TcpStream::connect(world.service.addr()).await.unwrap();
    let request = format!("GET /v1/mail/{number}/guest/0?wait=25 HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    // Once another connection's later request is answered, this one has been taken up or not;
    // either way the end must not wait 25 seconds for it.
    asker.get("/healthz").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), world.service.stop()).await;
    assert!(ended.is_ok());
}

#[tokio::test]
async fn half_requests_hold_nobody_up() {
    let world = World::new().await;
    let mut lingering = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(world.service.addr()).await.unwrap();
        let half: &[u8] = match n % 2 {
            0 => b"GET /heal",
            _ => b"PUT /v1/links/x HTTP/1.1\r\ncontent-length: 500\r\n\r\nsome",
        };
        stream.write_all(half).await.unwrap();
        lingering.push(stream);
    }
    assert_eq!(world.asker.get("/healthz").await.unwrap(), b"ok\n");
    drop(lingering);
}

#[tokio::test]
async fn a_browser_may_ask_from_another_page() {
    let world = World::new().await;
    let response = world.asker.ask(Method::OPTIONS, &path(&host(1)), []).await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}
