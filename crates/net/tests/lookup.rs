//! A host is found by its key alone: through the mainline DHT, on a network of our own nodes.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

mod common;

use common::*;
use iroh::EndpointAddr;
use n0_mainline::Testnet;
use pillion_net::{NetOptions, RelayChoice, Resolve, ViewerNet};
use pillion_session::{ViewerInput, ViewerOutput};

fn through_the_dht(testnet: &Testnet) -> NetOptions {
    NetOptions {
        resolve: "dht".parse::<Resolve>().unwrap(),
        dht_bootstrap: testnet.bootstrap.clone(),
        publish_addresses: true,
        ..v4()
    }
}

#[tokio::test]
async fn the_dht_finds_a_host_by_its_key_alone() {
    let testnet = Testnet::new(5).await.unwrap();
    let mut host = host_with(RelayChoice::None, through_the_dht(&testnet)).await;
    let mut viewer = ViewerNet::new(RelayChoice::None, through_the_dht(&testnet));
    // As a ticket whose addresses are all gone.
    viewer.set_host(EndpointAddr::new(host.addr().id));
    viewer.apply(ViewerOutput::Connect);
    let joined = async {
        loop {
            match viewer.next_input().await {
                ViewerInput::Connected(_) => return,
                // The host's record may not be in the DHT yet.
                ViewerInput::Disconnected { .. } => {
                    viewer.apply(ViewerOutput::Connect);
                }
                _ => {}
            }
        }
    };
    let (_, ()) = tokio::join!(host_connected(&mut host), soon("the connection", joined));
}

#[tokio::test]
async fn a_host_with_nothing_it_may_publish_is_told_so() {
    let testnet = Testnet::new(1).await.unwrap();
    let options = NetOptions {
        publish_addresses: false,
        ..through_the_dht(&testnet)
    };
    let key = pillion_caps::SecretKey::from_bytes(&[7; 32]);
    let error = pillion_net::HostNet::bind(&key, RelayChoice::None, options)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("PILLION_PUBLISH_ADDRESSES"), "{error}");
}
