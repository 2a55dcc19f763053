//! Coming back in the same process: what is said in the first flight, and what comes of it when the
//! host does not take it. With the drivers alone, then with the state machines behind them.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

mod common;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use common::*;
use pillion_caps::{PeerEndpoint, PublicKey, SecretKey};
use pillion_net::{HostNet, RelayChoice, ViewerNet, random_bytes};
use pillion_proto::{JoinId, Ticket, TrackId};
use pillion_session::{
    Actor, Command, ConnId, Host, HostConfig, HostInput, HostOutput, Now, Phase, Reply, Stream,
    Viewer, ViewerConfig, ViewerInput, ViewerOutput, verbs,
};

const TRACK: Stream = Stream::Track { id: 0 };

/// What is said in a first flight: three packets.
const FIRST_WORDS: &[u8] = &[b'r'; 3000];

/// Connects, and waits until the viewer has what it resumes with: the host's TLS tickets come right
/// behind its handshake, before all that it says.
async fn connect_once(host: &mut HostNet, viewer: &mut ViewerNet) -> ConnId {
    let conn = connect(host, viewer).await;
    host.apply(to_viewer(conn, TRACK, "ready"));
    let hosting = async {
        loop {
            host.next_input().await;
        }
    };
    tokio::select! {
        got = viewer_reads(viewer, TRACK, 5) => assert_eq!(got, b"ready"),
        () = hosting => unreachable!(),
    }
    conn
}

/// Ends a connection, so that nothing of it travels any more.
async fn part(host: &mut HostNet, viewer: &mut ViewerNet, conn: ConnId) {
    host.apply(HostOutput::Close { conn, code: 0 });
    let hosting = host_hears(host, "the end", |input| match input {
        HostInput::Disconnected { conn: gone } if gone == conn => Some(()),
        _ => None,
    });
    let viewing = viewer_hears(viewer, "the end", |input| match input {
        ViewerInput::Disconnected { .. } => Some(()),
        _ => None,
    });
    tokio::join!(hosting, viewing);
}

/// Connects again, and says something in the first flight.
async fn come_back(viewer: &mut ViewerNet) {
    viewer.apply(ViewerOutput::Connect);
    viewer_hears(
        viewer,
        "the beginning of a connection",
        |input| match input {
            ViewerInput::EarlyConnected => Some(()),
            _ => panic!("not early"),
        },
    )
    .await;
    viewer.apply(to_host(Stream::Control, FIRST_WORDS));
}

#[tokio::test]
async fn a_first_flight_is_heard_and_answered_before_another_one_comes() {
    if !has_v6() {
        return;
    }
    let mut host = host().await;
    let forwarder = Forwarder::new(host.sockets()[0]).await;
    let mut viewer = ViewerNet::new(RelayChoice::None, v6());
    viewer.set_host(forwarder.address_of(&host));
    let old = connect_once(&mut host, &mut viewer).await;
    part(&mut host, &mut viewer, old).await;
    // The viewer hears nothing until the host has answered, and the host nothing after that.
    forwarder.hold.store(true, Ordering::SeqCst);
    come_back(&mut viewer).await;
    let (conn, peer) = host_hears(
        &mut host,
        "the beginning of a connection",
        |input| match input {
            HostInput::EarlyConnected { conn, peer, .. } => Some((conn, peer)),
            HostInput::Connected { .. } => panic!("not early"),
            _ => None,
        },
    )
    .await;
    assert_eq!(
        host_reads(&mut host, conn, Stream::Control, FIRST_WORDS.len()).await,
        FIRST_WORDS
    );
    host.apply(to_viewer(conn, TRACK, "screen"));
    forwarder.to_host.store(false, Ordering::SeqCst);
    forwarder.release().await;
    let hosting = async {
        loop {
            if let HostInput::HandshakeConfirmed { .. } = host.next_input().await {
                panic!("nothing gets through")
            }
        }
    };
    let mut connected = None;
    let mut screen = Vec::new();
    let viewing = viewer_hears(&mut viewer, "the answer", |input| {
        match input {
            ViewerInput::Received { bytes, .. } => screen.extend(bytes),
            ViewerInput::Connected(now) => connected = Some(now),
            _ => {}
        }
        (screen.len() >= 6 && connected.is_some()).then_some(())
    });
    tokio::select! {
        () = viewing => {}
        () = hosting => unreachable!(),
    }
    assert_eq!(screen, b"screen");

    // What comes next goes on where the first flight ended.
    forwarder.to_host.store(true, Ordering::SeqCst);
    viewer.apply(to_host(Stream::Control, "hello"));
    let mut proved = None;
    let mut said = Vec::new();
    host_hears(&mut host, "the rest", |input| {
        match input {
            HostInput::Received { bytes, .. } => {
                assert!(proved.is_some(), "what proves it signs is known first");
                said.extend(bytes);
            }
            HostInput::HandshakeConfirmed { conn: of, binding } => proved = Some((of, binding)),
            HostInput::Connected { .. } => panic!("once is enough"),
            _ => {}
        }
        (said.len() >= 5 && proved.is_some()).then_some(())
    })
    .await;
    let connected = connected.unwrap();
    assert_eq!(said, b"hello");
    assert_eq!(proved, Some((conn, connected.binding)));
    assert_eq!(connected.own_endpoint, PeerEndpoint::Proved(peer));
    host.apply(to_viewer(conn, Stream::Control, "welcome"));
    let hosting = async {
        loop {
            host.next_input().await;
        }
    };
    tokio::select! {
        got = viewer_reads(&mut viewer, Stream::Control, 7) => assert_eq!(got, b"welcome"),
        () = hosting => unreachable!(),
    }
}

#[tokio::test]
async fn a_first_flight_that_a_restarted_host_cannot_read_is_lost_alone() {
    let key = SecretKey::from_bytes(&random_bytes().unwrap());
    let mut before = HostNet::bind(&key, RelayChoice::None, v4()).await.unwrap();
    let mut viewer = viewer_of(&before);
    connect_once(&mut before, &mut viewer).await;
    before.close(LONG).await;

    let mut host = HostNet::bind(&key, RelayChoice::None, v4()).await.unwrap();
    viewer.set_host(host.addr());
    come_back(&mut viewer).await;
    let hosting = host_hears(&mut host, "a connection", |input| match input {
        HostInput::Connected { conn, .. } => Some(conn),
        HostInput::EarlyConnected { .. } => panic!("of a connection it knows nothing of"),
        _ => None,
    });
    let (conn, ()) = tokio::join!(hosting, viewer_connected(&mut viewer));
    viewer.apply(to_host(Stream::Control, "hello"));
    assert_eq!(
        host_reads(&mut host, conn, Stream::Control, 5).await,
        b"hello"
    );
    host.apply(to_viewer(conn, Stream::Control, "welcome"));
    host.apply(to_viewer(conn, TRACK, "screen"));
    let mut got = Vec::new();
    let viewing = viewer_hears(&mut viewer, "the answer", |input| {
        if let ViewerInput::Received { bytes, .. } = input {
            got.push(bytes);
        }
        (got.len() == 2).then_some(())
    });
    let hosting = async {
        loop {
            host.next_input().await;
        }
    };
    tokio::select! {
        () = viewing => {}
        () = hosting => unreachable!(),
    }
    got.sort();
    assert_eq!(got, ["screen", "welcome"]);
}

#[tokio::test]
async fn who_resumes_and_gives_up_is_let_go() {
    if !has_v6() {
        return;
    }
    let mut host = host().await;
    let forwarder = Forwarder::new(host.sockets()[0]).await;
    let mut viewer = ViewerNet::new(RelayChoice::None, v6());
    viewer.set_host(forwarder.address_of(&host));
    let old = connect_once(&mut host, &mut viewer).await;
    part(&mut host, &mut viewer, old).await;
    // The handshake gets as far as the host and no farther.
    forwarder.to_viewer.store(false, Ordering::SeqCst);
    come_back(&mut viewer).await;
    let begun = host_hears(
        &mut host,
        "the beginning of a connection",
        |input| match input {
            HostInput::EarlyConnected { conn, .. } => Some(conn),
            _ => None,
        },
    );
    let conn = tokio::select! {
        conn = begun => conn,
        _ = viewer.next_input() => panic!("nothing gets through"),
    };
    assert_eq!(host.connections(), 1);
    let hosting = host_hears(&mut host, "its end", |input| match input {
        HostInput::Disconnected { conn: gone } if gone == conn => Some(()),
        HostInput::HandshakeConfirmed { .. } => panic!("it never was"),
        _ => None,
    });
    tokio::join!(hosting, viewer.close());
    assert_eq!(host.connections(), 0);
}

/// A host and a viewer with their networks.
struct Session {
    host: Host,
    hosting: HostNet,
    viewer: Option<Viewer>,
    viewing: ViewerNet,
    ticket: Option<String>,
    begun: Instant,
    /// Early connections the host heard of.
    early: Vec<ConnId>,
}

impl Session {
    fn now(&self) -> Now {
        Now {
            mono_us: u64::try_from(self.begun.elapsed().as_micros()).unwrap(),
            unix_ms: SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap()),
        }
    }

    async fn shared() -> Session {
        let session_key = SecretKey::from_bytes(&random_bytes().unwrap());
        let hosting = HostNet::bind(&session_key, RelayChoice::None, v4())
            .await
            .unwrap();
        let config = HostConfig {
            host_name: "olga".into(),
            edit_ttl_ms: 3_600_000,
            ..HostConfig::plain(
                session_key,
                SecretKey::from_bytes(&[2; 32]).public(),
                random_bytes().unwrap(),
                (120, 40).try_into().unwrap(),
            )
        };
        let mut session = Session {
            host: Host::new(config, Now::default()),
            viewing: ViewerNet::new(RelayChoice::None, v6()),
            hosting,
            viewer: None,
            ticket: None,
            begun: Instant::now(),
            early: Vec::new(),
        };
        session.tell_host(HostInput::Command {
            request: 1,
            by: Actor::Tty,
            command: Command::Share(verbs::Share { from_start: false }),
        });
        while session.ticket.is_none() {
            session.step().await;
        }
        session
    }

    /// Somebody comes by the ticket, through `forwarder`.
    fn join(&mut self, forwarder: &Forwarder) {
        let ticket: Ticket = self.ticket.as_ref().unwrap().parse().unwrap();
        self.viewing.set_host(forwarder.address_of(&self.hosting));
        let config = ViewerConfig {
            identity: SecretKey::from_bytes(&[3; 32]).public(),
            session: PublicKey::from_bytes(ticket.addr.id.as_bytes()).unwrap(),
            link: Some(SecretKey::from_bytes(&ticket.link)),
            grants: Vec::new(),
            claims: Vec::new(),
            name: "anna".into(),
            software: "test".into(),
            join: JoinId([4; 16]),
            read_only: false,
            inside: Vec::new(),
        };
        self.viewer = Some(Viewer::new(config, self.now()));
        self.drain();
    }

    fn tell_host(&mut self, input: HostInput) {
        if let HostInput::EarlyConnected { conn, .. } = input {
            self.early.push(conn);
        }
        self.host.handle(self.now(), input);
        self.drain();
    }

    fn tell_viewer(&mut self, input: ViewerInput) {
        let now = self.now();
        self.viewer.as_mut().unwrap().handle(now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.host.poll() {
            match self.hosting.apply(output) {
                Some(HostOutput::Sign { request, input }) => {
                    let key = SecretKey::from_bytes(&[2; 32]);
                    let signed = HostInput::signed_with(&key, request, &input);
                    self.host.handle(self.now(), signed);
                }
                Some(HostOutput::Done {
                    result: Ok(done), ..
                }) => {
                    if let Reply::Ticket(ticket) = done.reply {
                        self.ticket = Some(ticket);
                    }
                }
                _ => {}
            }
        }
        let now = self.now();
        while let Some(viewer) = &mut self.viewer
            && let Some(output) = viewer.poll()
        {
            if let Some(ViewerOutput::Sign { request, inputs }) = self.viewing.apply(output) {
                let key = SecretKey::from_bytes(&[3; 32]);
                viewer.handle(now, ViewerInput::signed_with(&key, request, &inputs));
            }
        }
    }

    /// The next thing that happens to either.
    async fn step(&mut self) {
        let wakes = [
            self.host.wake_at(),
            self.viewer.as_ref().and_then(Viewer::wake_at),
        ];
        let next = wakes.into_iter().flatten().min().unwrap_or(u64::MAX);
        let wait = Duration::from_micros(next.saturating_sub(self.now().mono_us).min(1_000_000));
        tokio::select! {
            input = self.hosting.next_input() => self.tell_host(input),
            input = self.viewing.next_input() => self.tell_viewer(input),
            () = tokio::time::sleep(wait) => {
                self.tell_host(HostInput::Tick);
                if self.viewer.is_some() {
                    self.tell_viewer(ViewerInput::Tick);
                }
            }
        }
    }

    async fn until(&mut self, what: &str, mut is: impl FnMut(&Viewer) -> bool) {
        let limit = tokio::time::Instant::now() + LONG;
        while !is(self.viewer.as_ref().unwrap()) {
            tokio::time::timeout_at(limit, self.step())
                .await
                .unwrap_or_else(|_| panic!("waited too long for {what}"));
        }
    }

    fn prints(&mut self, text: &str) {
        self.tell_host(HostInput::Output {
            track: TrackId(0),
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            more: false,
        });
    }

    /// The viewer's connection is given up without a word to anybody, and comes back.
    fn lose(&mut self) {
        self.viewing.apply(ViewerOutput::Close);
        self.tell_viewer(ViewerInput::Disconnected { why: "lost".into() });
    }
}

fn shows(text: &str) -> impl FnMut(&Viewer) -> bool {
    move |viewer| {
        let screen = viewer.view().screen.as_ref();
        screen.is_some_and(|screen| screen.text().contains(text))
    }
}

fn is_live(viewer: &Viewer) -> bool {
    viewer.view().phase == Phase::Live
}

#[tokio::test]
async fn a_viewer_comes_back_early_and_is_as_it_was() {
    if !has_v6() {
        return;
    }
    let mut session = Session::shared().await;
    let forwarder = Forwarder::new(session.hosting.sockets()[0]).await;
    session.join(&forwarder);
    session.until("the join", is_live).await;
    for round in 0..3 {
        let news = format!("news {round}\r\n");
        session.prints(&news);
        session.until("the news", shows(news.trim())).await;
        session.lose();
        let more = format!("more {round}\r\n");
        session.prints(&more);
        session.until("what is new", shows(more.trim())).await;
        session.until("to be in again", is_live).await;
        assert_eq!(session.early.len(), round + 1);
        let last = format!("last {round}\r\n");
        session.prints(&last);
        session.until("what comes after", shows(last.trim())).await;
    }
    assert_eq!(session.host.viewers(), 1);
}

/// How long a viewer that lost its connection waits for the screen of now, at 50 ms there and back.
#[tokio::test]
#[ignore = "a measurement: prints figures"]
async fn the_way_back_takes_one_round_trip() {
    let mut session = Session::shared().await;
    let forwarder = Forwarder::new(session.hosting.sockets()[0]).await;
    forwarder.delay_us.store(25_000, Ordering::SeqCst);
    let before = Instant::now();
    session.join(&forwarder);
    session.until("the join", is_live).await;
    println!("the first time: in after {:.1?}", before.elapsed());
    for (what, lines, width) in [
        ("a prompt", 1, 24),
        ("a busy screen", 38, 24),
        ("noise", 38, 110),
    ] {
        let (mut seen, mut live) = (Vec::new(), Vec::new());
        for round in 0..10 {
            let mut text = String::from("\x1b[2J\x1b[H");
            for line in 0..lines {
                let bytes: [u8; 110] = random_bytes().unwrap();
                let color = 16 + (line * 7 + round) % 200;
                let letters = bytes[..width]
                    .iter()
                    .map(|byte| char::from(b'0' + byte % 64));
                text += &format!("\r\n\x1b[38;5;{color}m{}", letters.collect::<String>());
            }
            text += &format!("\r\nround {what} {round};");
            // The tickets of the connection before are here.
            tokio::time::timeout(Duration::from_millis(200), async {
                loop {
                    session.step().await;
                }
            })
            .await
            .ok();
            let before = Instant::now();
            session.lose();
            session.prints(&text);
            let mark = format!("round {what} {round};");
            session.until("the screen of now", shows(&mark)).await;
            seen.push(before.elapsed());
            session.until("to be in again", is_live).await;
            live.push(before.elapsed());
        }
        seen.sort();
        live.sort();
        println!(
            "{what}: the screen of now after {:.1?} (p50; {:.1?} to {:.1?}), in again after {:.1?}",
            seen[5], seen[0], seen[9], live[5]
        );
    }
    println!("early connections: {} of 30", session.early.len());
}
