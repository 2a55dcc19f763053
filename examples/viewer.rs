//! Watches a session through the parts themselves: a state machine and a network.
//!
//! ```sh
//! cargo run --example viewer -- TICKET
//! ```

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

use anyhow::{Context, Result};
use pillion::{
    caps::{PublicKey, SecretKey},
    clock::Clock,
    net::{NetOptions, RelayChoice, ViewerNet, random_bytes},
    proto::{JoinId, Ticket},
    session::{Viewer, ViewerConfig, ViewerEvent, ViewerInput, ViewerOutput},
    tui::words,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let ticket: Ticket = std::env::args()
        .nth(1)
        .context("usage: viewer TICKET")?
        .parse()?;
    let mut net = ViewerNet::new(RelayChoice::None, NetOptions::default());
    net.set_host(ticket.addr.clone());
    let clock = Clock::start();
    let identity = SecretKey::from_bytes(&random_bytes()?);
    let config = ViewerConfig {
        identity: identity.public(),
        session: PublicKey::from_bytes(ticket.addr.id.as_bytes())?,
        link: Some(SecretKey::from_bytes(&ticket.link)),
        grants: Vec::new(),
        claims: Vec::new(),
        name: "an example".to_owned(),
        software: "example".to_owned(),
        join: JoinId(random_bytes()?),
        read_only: true,
        inside: Vec::new(),
    };
    let mut viewer = Viewer::new(config, clock.now());
    loop {
        while let Some(output) = viewer.poll() {
            match net.apply(output) {
                Some(ViewerOutput::Sign { request, inputs }) => {
                    let signed = ViewerInput::signed_with(&identity, request, &inputs);
                    viewer.handle(clock.now(), signed);
                }
                Some(ViewerOutput::Event(ViewerEvent::Changed)) => {
                    if let Some(screen) = &viewer.view().screen {
                        println!("--- frame {}\n{}", viewer.view().frame, screen.text());
                    }
                }
                Some(ViewerOutput::Event(ViewerEvent::Ended { why, .. })) => {
                    println!("{}", words::ending(&why, words::Zone::UTC));
                    net.close().await;
                    return Ok(());
                }
                _ => {}
            }
        }
        let input = match viewer.wake_at().map(|at| clock.instant(at).into()) {
            Some(at) => tokio::time::timeout_at(at, net.next_input())
                .await
                .unwrap_or(ViewerInput::Tick),
            None => net.next_input().await,
        };
        viewer.handle(clock.now(), input);
    }
}
