//! iroh's own publisher, resolver and relay client against the service.

mod common;

use std::time::Duration;

use common::*;
use iroh::{
    Endpoint, EndpointAddr, RelayMap, RelayMode, RelayUrl, SecretKey, Watcher as _,
    address_lookup::{AddrFilter, PkarrPublisher, PkarrResolver},
    endpoint::presets,
    tls::CaTlsConfig,
};
use iroh_dns::pkarr::{SignedPacket, Timestamp};
use iroh_relay::RelayConfig as IrohRelay;
use pillion_signal::{RelayConfig, Tls};

const ALPN: &[u8] = b"pillion-signal test";
const WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn irohs_publisher_and_resolver_find_each_other_through_it() {
    let world = World::new().await;
    let url: url::Url = format!("{}/pkarr", world.asker.base).parse().unwrap();
    let publisher = PkarrPublisher::builder(url.clone()).addr_filter(AddrFilter::unfiltered());
    let host = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .alpns(vec![ALPN.to_vec()])
        .address_lookup(publisher)
        .bind()
        .await
        .unwrap();
    let viewer = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .address_lookup(PkarrResolver::builder(url))
        .bind()
        .await
        .unwrap();
    let path = format!("/pkarr/{}", host.id().to_z32());
    tokio::time::timeout(WITHIN, async {
        while world.asker.get(&path).await.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the host publishes");

    let accepting = tokio::spawn({
        let host = host.clone();
        async move { host.accept().await.unwrap().await.unwrap().remote_id() }
    });
    // By its id alone.
    let connecting = viewer.connect(EndpointAddr::new(host.id()), ALPN);
    let connection = tokio::time::timeout(WITHIN, connecting).await.unwrap();
    assert_eq!(connection.unwrap().remote_id(), host.id());
    assert_eq!(accepting.await.unwrap(), viewer.id());
    viewer.close().await;
    host.close().await;
}

#[tokio::test]
async fn address_records_are_verified_and_the_newest_is_kept() {
    let world = World::new().await;
    let asker = &world.asker;
    let key = SecretKey::from_bytes(&[3; 32]);
    let path = format!("/pkarr/{}", key.public().to_z32());
    let packet = |text: &str| {
        let packet = SignedPacket::from_txt_strings(&key, "_iroh", [text], 30).unwrap();
        packet.to_relay_payload()
    };
    let (old, new) = (
        packet("relay=https://a.example"),
        packet("relay=https://b.example"),
    );
    assert!(asker.get(&path).await.is_none());
    assert_eq!(asker.put(&path, new.clone()).await.0, 204);
    assert_eq!(asker.put(&path, new.clone()).await.0, 204);
    assert_eq!(asker.put(&path, old.clone()).await.0, 409);
    assert_eq!(asker.get(&path).await.as_ref(), Some(&new));

    let mut forged = new.clone();
    forged[80] ^= 1;
    assert_eq!(asker.put(&path, forged).await.0, 422);
    assert_eq!(asker.put(&path, vec![0; 1073]).await.0, 413);
    assert_eq!(asker.put(&path, "").await.0, 422);
    let other = SecretKey::from_bytes(&[4; 32]).public().to_z32();
    assert_eq!(
        asker.put(&format!("/pkarr/{other}"), new.clone()).await.0,
        422
    );
    assert_eq!(asker.put("/pkarr/short", new.clone()).await.0, 422);

    // BEP 44: the signature is over the time and the packet.
    let at = |millis: u64| {
        let time = Timestamp::from_micros(millis * 1000);
        let dns = &new[72..];
        let signed = [
            format!("3:seqi{}e1:v{}:", time.as_micros(), dns.len()).as_bytes(),
            dns,
        ]
        .concat();
        let signature = key.sign(&signed).to_bytes();
        [&signature[..], &time.to_be_bytes(), dns].concat()
    };
    let (status, text) = asker.put(&path, at(now() + 60 * MINUTE)).await;
    assert_eq!(status, 422);
    assert!(text.contains("minutes from now"), "{text}");
    let (status, text) = asker.put(&path, at(now() - 25 * 60 * MINUTE)).await;
    assert_eq!(status, 422);
    assert!(text.contains("25 hours ago"), "{text}");
    assert_eq!(asker.get(&path).await, Some(new.clone()));
    assert_eq!(asker.put(&path, at(now() + MINUTE)).await.0, 204);
}

/// A service with TLS and a relay under the same certificate, and what trusts it.
struct Relayed {
    world: World,
    url: RelayUrl,
    roots: CaTlsConfig,
}

async fn relayed(secret: Option<&str>) -> Relayed {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Tls::from_files(&cert, &key).unwrap();
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let mut world = World::with(|config| {
        config.tls = Some(tls);
        config.relay = Some(RelayConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            quic: None,
            secret: secret.map(str::to_owned),
            max_connections: 64,
        });
    })
    .await;
    let builder = reqwest::Client::builder().no_proxy();
    world.asker.client = builder.tls_certs_only([root]).build().unwrap();
    world.asker.base = format!("https://{}", world.service.addr());
    let relay = world.service.relay_addr().unwrap();
    Relayed {
        url: format!("https://{relay}").parse().unwrap(),
        roots: CaTlsConfig::custom_roots([made.cert.der().clone()]),
        world,
    }
}

impl Relayed {
    async fn endpoint(&self, token: Option<String>) -> Endpoint {
        let mut relay = IrohRelay::new(self.url.clone(), None);
        if let Some(token) = token {
            relay = relay.with_auth_token(token);
        }
        Endpoint::builder(presets::Minimal)
            .relay_mode(RelayMode::Custom(RelayMap::from(relay)))
            .ca_tls_config(self.roots.clone())
            .alpns(vec![ALPN.to_vec()])
            .bind()
            .await
            .unwrap()
    }

    /// Why the relay keeps this one out.
    async fn refusal(&self, token: Option<String>) -> String {
        let endpoint = self.endpoint(token).await;
        let mut statuses = endpoint.home_relay_status();
        let refused = async {
            loop {
                let denied = statuses
                    .get()
                    .iter()
                    .find_map(|status| status.auth_denied_reason().map(ToOwned::to_owned));
                match denied {
                    Some(reason) => return reason,
                    None => drop(statuses.updated().await.unwrap()),
                }
            }
        };
        let reason = tokio::time::timeout(WITHIN, refused).await.unwrap();
        endpoint.close().await;
        reason
    }
}

#[tokio::test]
async fn the_relay_serves_hosts_with_a_live_link_and_their_viewers() {
    let relayed = relayed(Some("a shared secret")).await;
    let asker = &relayed.world.asker;
    let link = common::host(1);
    let token = link.relay_token().to_string();

    let reason = relayed.refusal(None).await;
    assert!(reason.contains("live link"), "{reason}");
    let reason = relayed.refusal(Some("guessed".to_owned())).await;
    assert!(reason.contains("not a relay token"), "{reason}");
    // The link is not there yet.
    let reason = relayed.refusal(Some(token.clone())).await;
    assert!(reason.contains("has ended"), "{reason}");

    let made = record(&link, now(), b"x");
    assert_eq!(asker.publish(&link, &made).await.0, 204);
    let host = relayed.endpoint(Some(token.clone())).await;
    tokio::time::timeout(WITHIN, host.online()).await.unwrap();
    let viewer = relayed.endpoint(Some(token.clone())).await;
    tokio::time::timeout(WITHIN, viewer.online()).await.unwrap();
    let accepting = tokio::spawn({
        let host = host.clone();
        async move { host.accept().await.unwrap().await.unwrap().remote_id() }
    });
    // Found through the relay alone.
    let addr = EndpointAddr::new(host.id()).with_relay_url(relayed.url.clone());
    let connecting = viewer.connect(addr, ALPN);
    let connection = tokio::time::timeout(WITHIN, connecting).await.unwrap();
    assert_eq!(connection.unwrap().remote_id(), host.id());
    assert_eq!(accepting.await.unwrap(), viewer.id());
    viewer.close().await;
    host.close().await;

    let friend = relayed.endpoint(Some("a shared secret".to_owned())).await;
    tokio::time::timeout(WITHIN, friend.online()).await.unwrap();
    friend.close().await;

    // Over with the link, over with the relay.
    let end = tombstone(&link, now() + 1000);
    assert_eq!(asker.delete(&path(&link), end).await.0, 204);
    let reason = relayed.refusal(Some(token)).await;
    assert!(reason.contains("has ended"), "{reason}");
    let metrics = asker.get("/metrics").await.unwrap();
    let metrics = String::from_utf8(metrics).unwrap();
    let admitted = "pillion_signal_relay_admitted_total ";
    assert!(metrics.contains(admitted), "{metrics}");
}

#[tokio::test]
async fn connections_that_never_say_who_they_are_do_not_keep_others_from_the_relay() {
    let relayed = relayed(Some("a shared secret")).await;
    let relay = relayed.world.service.relay_addr().unwrap();
    // TLS is never begun, from one address and from as many as it takes to have all 64 places.
    let mut silent = Vec::new();
    for n in 0..200u32 {
        silent.push(connect(&format!("127.0.1.{}", n % 40), relay).await);
        silent.push(connect("127.0.2.1", relay).await);
    }
    let friend = relayed.endpoint(Some("a shared secret".to_owned())).await;
    tokio::time::timeout(WITHIN, friend.online()).await.unwrap();
    friend.close().await;
    drop(silent);
}

#[tokio::test]
async fn a_connection_that_is_upgraded_and_then_silent_is_ended() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::with(|config| {
        config.relay = Some(RelayConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            quic: None,
            secret: Some("a shared secret".to_owned()),
            max_connections: 64,
        });
    })
    .await;
    let relay = world.service.relay_addr().unwrap();
    let upgrade =
        b"GET /relay HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\
        sec-websocket-protocol: iroh-relay-v1\r\n\r\n";
    let mut answers = Vec::new();
    let mut silent = Vec::new();
    // As many as one address may have, and one more.
    for _ in 0..9 {
        let mut stream = connect("127.0.0.2", relay).await;
        stream.write_all(upgrade).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        answers.push(String::from_utf8_lossy(&answer).into_owned());
        silent.push(stream);
    }
    assert!(
        answers[..8].iter().all(|answer| answer == "HTTP/1.1 101"),
        "{answers:?}"
    );
    assert_eq!(answers[8], "HTTP/1.1 503");
    let mut rest = String::new();
    let mut refused = silent.pop().unwrap();
    let read = tokio::time::timeout(WITHIN, refused.read_to_string(&mut rest));
    let _ = read.await.expect("it is closed");
    assert!(rest.contains("retry-after: 2"), "{rest}");
    assert!(
        rest.contains("your address has as many relay connections"),
        "{rest}"
    );
    for mut stream in silent {
        assert!(closed(&mut stream).await);
    }
}
