//! The core without a network: a carrier of memory, one thread, no runtime, no clock.
#![allow(missing_docs)]

mod pipe;

use std::{
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use pillion_caps::{Binding, PeerEndpoint, SecretKey};
use pillion_net::{
    core::{ConnectionEvent, Event, PeerConnection, PendingEvents, Role, code},
    limits::{MAX_QUEUED, PATH_REPORT_INTERVAL},
};
use pillion_proto::{JoinId, PathKind, Rights, TrackId};
use pillion_screen::Size;
use pillion_session::{
    Actor, Command, ConnId, Connected, Host, HostConfig, HostInput, HostOutput, Network, Now,
    Phase, Stream, Viewer, ViewerConfig, ViewerInput, ViewerOutput, verbs,
};

use pipe::Pipe;

const CONTROL: Stream = Stream::Control;
const TRACK: Stream = Stream::Track { id: 0 };

/// One end of a connection, as a driver has it.
struct End {
    connection: PeerConnection<Pipe>,
    waits: PendingEvents<Pipe, Pin<Box<dyn Future<Output = ()>>>>,
    heard: VecDeque<ConnectionEvent<String>>,
    /// What the driver waited for beside the connection.
    owned: usize,
    now_us: u64,
}

impl End {
    fn new(role: Role, pipe: Pipe) -> End {
        let mut waits = PendingEvents::new();
        End {
            connection: PeerConnection::new(ConnId(0), role, pipe, &mut waits),
            waits,
            heard: VecDeque::new(),
            owned: 0,
            now_us: 0,
        }
    }

    fn send(&mut self, stream: Stream, bytes: impl Into<Bytes>) {
        self.connection.send(stream, bytes.into(), &mut self.waits);
    }

    /// Takes in one thing that happened; false when nothing did.
    fn step(&mut self) -> bool {
        match polled(self.waits.next()) {
            Poll::Ready(Event::Connection(_, event)) => {
                self.connection
                    .on(self.now_us, event, &mut self.waits, &mut self.heard);
            }
            Poll::Ready(Event::Owner(())) => self.owned += 1,
            Poll::Pending => return false,
        }
        true
    }

    /// What came on a stream so far, put together.
    fn took(&mut self, of: Stream) -> Vec<u8> {
        let mut all = Vec::new();
        self.heard.retain(|heard| match heard {
            ConnectionEvent::Bytes { stream, bytes } if *stream == of => {
                all.extend(bytes);
                false
            }
            _ => true,
        });
        all
    }

    fn gone(&self) -> Option<&str> {
        self.heard.iter().find_map(|heard| match heard {
            ConnectionEvent::Gone(why) => Some(why.as_str()),
            _ => None,
        })
    }
}

/// Polls until it is ready, or nothing wakes it again.
fn polled<T>(wait: impl Future<Output = T>) -> Poll<T> {
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut wait = pin!(wait);
    while woken.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(done) = wait.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Poll::Ready(done);
        }
    }
    Poll::Pending
}

fn pair() -> (Pipe, End, End) {
    let (host, viewer) = Pipe::pair();
    let ends = (
        End::new(Role::Host, host.clone()),
        End::new(Role::Viewer, viewer),
    );
    (host, ends.0, ends.1)
}

/// Until nothing more happens at either end.
fn settle(host: &mut End, viewer: &mut End) {
    let mut rounds = 0;
    while host.step() | viewer.step() {
        rounds += 1;
        assert!(rounds < 100_000, "going in circles");
    }
}

#[test]
fn streams_are_named_by_what_they_say_and_carry_their_bytes() {
    let (_, mut host, mut viewer) = pair();
    let input = Stream::Input { epoch: 0 };
    let history = Stream::History { id: 0 };
    for (stream, text) in [(CONTROL, "hello"), (input, "keys"), (history, "lines?")] {
        viewer.send(stream, text);
    }
    settle(&mut host, &mut viewer);
    assert_eq!(host.took(CONTROL), b"hello");
    assert_eq!(host.took(input), b"keys");
    assert_eq!(host.took(history), b"lines?");
    host.send(CONTROL, "welcome");
    host.send(history, "lines");
    host.send(TRACK, "frame");
    host.connection.finish(history, &mut host.waits);
    settle(&mut host, &mut viewer);
    assert_eq!(viewer.took(CONTROL), b"welcome");
    assert_eq!(viewer.took(history), b"lines");
    assert_eq!(viewer.took(TRACK), b"frame");
    let ended = |heard: &ConnectionEvent<String>| matches!(heard, ConnectionEvent::Ended { stream } if *stream == history);
    assert!(viewer.heard.iter().any(ended));
    let delivered = |heard: &ConnectionEvent<String>| matches!(heard, ConnectionEvent::Delivered { stream } if *stream == history);
    assert!(host.heard.iter().any(delivered));
}

#[test]
fn a_stream_that_the_peer_does_not_allow_yet_keeps_the_order_of_its_bytes() {
    let (pipe, mut host, mut viewer) = pair();
    pipe.allow_streams(0);
    for n in 0..100u8 {
        host.send(TRACK, vec![n; 10]);
    }
    settle(&mut host, &mut viewer);
    assert_eq!(viewer.took(TRACK), b"");
    pipe.allow_streams(1);
    settle(&mut host, &mut viewer);
    let all: Vec<u8> = (0..100).flat_map(|n| [n; 10]).collect();
    assert_eq!(viewer.took(TRACK), all);
}

#[test]
fn what_does_not_fit_follows_in_order_and_the_queue_is_bounded() {
    let (pipe, mut host, mut viewer) = pair();
    pipe.hold(1000);
    let sent: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    for piece in sent.chunks(7000) {
        host.send(TRACK, piece.to_vec());
    }
    settle(&mut host, &mut viewer);
    assert_eq!(viewer.took(TRACK), sent);
    assert_eq!(host.gone(), None);
    // Nobody reads at the other end.
    for _ in 0..=MAX_QUEUED / 65_536 {
        host.send(TRACK, vec![0; 65_536]);
    }
    assert!(host.connection.is_closing());
    let (closed, reason) = pipe.closed_with().unwrap();
    assert_eq!(closed, code::TOO_SLOW);
    assert!(reason.contains("could not deliver"), "{reason}");
    settle(&mut host, &mut viewer);
    assert!(viewer.gone().unwrap().contains("could not deliver"));
}

#[test]
fn a_close_waits_for_what_was_sent_and_not_longer_than_its_patience() {
    for patient in [true, false] {
        let (pipe, mut host, mut viewer) = pair();
        pipe.hold(10);
        host.send(TRACK, vec![7; 1000]);
        let closed = match patient {
            true => {
                let closed = host
                    .connection
                    .close(3, "enough", std::future::pending::<()>());
                host.waits.owner(Box::pin(closed));
                assert!(!host.step() && pipe.closed_with().is_none(), "not yet");
                settle(&mut host, &mut viewer);
                viewer.took(TRACK).len()
            }
            false => {
                let closed = host.connection.close(3, "enough", std::future::ready(()));
                host.waits.owner(Box::pin(closed));
                settle(&mut host, &mut viewer);
                viewer.took(TRACK).len()
            }
        };
        assert_eq!(closed == 1000, patient, "{closed} bytes arrived");
        assert_eq!(host.owned, 1);
        assert_eq!(pipe.closed_with(), Some((3, "enough".to_owned())));
        assert_eq!(viewer.gone(), Some("enough"));
    }
}

#[test]
fn a_path_is_told_when_it_changes_and_else_by_the_clock() {
    let (pipe, mut host, mut viewer) = pair();
    let told = |end: &mut End| -> Vec<(PathKind, u32)> {
        let paths = end.heard.iter().filter_map(|heard| match heard {
            ConnectionEvent::Path { kind, rtt_us } => Some((*kind, *rtt_us)),
            _ => None,
        });
        let paths = paths.collect();
        end.heard.clear();
        paths
    };
    // What a stream is for comes apart from what it brings.
    viewer.send(CONTROL, "opened");
    settle(&mut host, &mut viewer);
    assert_eq!(told(&mut host), []);
    host.connection.look(0, &mut host.heard);
    assert_eq!(told(&mut host), [(PathKind::Direct, 1000)]);
    // A slower round trip alone is told when bytes come, but not too often.
    pipe.set_path(PathKind::Direct, 50_000, false);
    viewer.send(CONTROL, "a");
    settle(&mut host, &mut viewer);
    assert_eq!(told(&mut host), []);
    host.now_us = PATH_REPORT_INTERVAL.as_micros() as u64;
    viewer.send(CONTROL, "b");
    settle(&mut host, &mut viewer);
    assert_eq!(told(&mut host), [(PathKind::Direct, 50_000)]);
    pipe.set_path(PathKind::Relayed, 50_000, true);
    settle(&mut host, &mut viewer);
    assert_eq!(told(&mut host), [(PathKind::Relayed, 50_000)]);
}

#[test]
fn what_proofs_sign_is_said_once_and_only_of_a_connection_that_began_early() {
    let (pipe, viewer) = Pipe::pair();
    let mut late = End::new(Role::Viewer, viewer);
    assert_eq!(late.connection.newly_proved(), None, "it was proved before");
    pipe.begin_early();
    let mut host = End::new(Role::Host, pipe.clone());
    assert_eq!(host.connection.newly_proved(), None);
    pipe.establish();
    let said = host.connection.newly_proved();
    assert!(said.is_some());
    assert_eq!(host.connection.newly_proved(), None, "once");
    host.connection.prove(pipe, &mut host.waits);
    assert_eq!(host.connection.newly_proved(), None);
}

/// A whole session over the carrier: what an end of ours does is what its driver has to do.
struct Session {
    host: Host,
    viewer: Viewer,
    at_host: End,
    at_viewer: End,
    typed: Vec<u8>,
    now: Now,
}

impl Session {
    fn new() -> Session {
        let key = |seed| SecretKey::from_bytes(&[seed; 32]);
        let now = Now::default();
        let mut host = Host::new(
            HostConfig {
                link: Some([4; 32]),
                edit_ttl_ms: 1_000_000,
                knock_wait_ms: 1000,
                ..HostConfig::plain(key(1), key(2).public(), [3; 32], Size::clamped(80, 24))
            },
            now,
        );
        let share = verbs::Share { from_start: false }.into();
        host.handle(
            now,
            HostInput::Command {
                request: 0,
                by: Actor::Tty,
                command: share,
            },
        );
        let viewer = Viewer::new(
            ViewerConfig {
                identity: key(5).public(),
                session: key(1).public(),
                link: Some(key(4)),
                grants: Vec::new(),
                claims: Vec::new(),
                name: "anna".to_owned(),
                software: "test".to_owned(),
                join: JoinId([6; 16]),
                read_only: false,
                inside: Vec::new(),
            },
            now,
        );
        let (_, at_host, at_viewer) = pair();
        Session {
            host,
            viewer,
            at_host,
            at_viewer,
            typed: Vec::new(),
            now,
        }
    }

    fn join(&mut self) {
        let peer = PeerEndpoint::Proved(SecretKey::from_bytes(&[9; 32]).public());
        let connected = HostInput::Connected {
            conn: ConnId(0),
            peer,
            from: Network::ALL,
            binding: Binding::tls_exporter([8; 32]),
        };
        self.host.handle(self.now, connected);
        let connected = ViewerInput::Connected(Connected {
            own_endpoint: peer,
            binding: Binding::tls_exporter([8; 32]),
        });
        self.viewer.handle(self.now, connected);
        self.settle();
    }

    fn command(&mut self, command: Command) {
        let (request, by) = (1, Actor::Tty);
        let command = HostInput::Command {
            request,
            by,
            command,
        };
        self.host.handle(self.now, command);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let mut idle = true;
            while let Some(output) = self.host.poll() {
                idle = false;
                match output {
                    HostOutput::Sign { request, input } => {
                        let key = SecretKey::from_bytes(&[2; 32]);
                        let signed = HostInput::signed_with(&key, request, &input);
                        self.host.handle(self.now, signed);
                    }
                    HostOutput::Send { to, bytes } => {
                        for (_, stream) in to.iter() {
                            self.at_host.send(stream, bytes.clone());
                        }
                    }
                    HostOutput::Write { track, seq, bytes } => {
                        self.typed.extend(bytes);
                        self.host
                            .handle(self.now, HostInput::Written { track, seq });
                    }
                    _ => {}
                }
            }
            while let Some(output) = self.viewer.poll() {
                idle = false;
                match output {
                    ViewerOutput::Sign { request, inputs } => {
                        let key = SecretKey::from_bytes(&[5; 32]);
                        let signed = ViewerInput::signed_with(&key, request, &inputs);
                        self.viewer.handle(self.now, signed);
                    }
                    ViewerOutput::Send { stream, bytes } => self.at_viewer.send(stream, bytes),
                    _ => {}
                }
            }
            settle(&mut self.at_host, &mut self.at_viewer);
            let conn = ConnId(0);
            for heard in self.at_host.heard.drain(..) {
                if let ConnectionEvent::Bytes { stream, bytes } = heard {
                    idle = false;
                    let received = HostInput::Received {
                        conn,
                        stream,
                        bytes,
                    };
                    self.host.handle(self.now, received);
                }
            }
            for heard in self.at_viewer.heard.drain(..) {
                if let ConnectionEvent::Bytes { stream, bytes } = heard {
                    idle = false;
                    self.viewer
                        .handle(self.now, ViewerInput::Received { stream, bytes });
                }
            }
            if idle {
                return;
            }
        }
    }
}

#[test]
fn a_host_and_a_viewer_share_a_terminal_over_it() {
    let mut session = Session::new();
    session.join();
    assert_eq!(session.viewer.view().phase, Phase::Live);
    let output = HostInput::Output {
        track: TrackId(0),
        bytes: Bytes::from_static(b"what the program prints"),
        more: false,
    };
    session.now.mono_us += 100_000;
    session.host.handle(session.now, output);
    session.settle();
    let screen = session.viewer.view().screen.as_ref().unwrap().text();
    assert!(screen.contains("what the program prints"), "{screen}");
    session.command(
        verbs::Grant {
            target: SecretKey::from_bytes(&[5; 32]).public().into(),
            rights: Rights::EDIT,
            ttl_ms: None,
        }
        .into(),
    );
    session
        .viewer
        .handle(session.now, ViewerInput::Keys(Bytes::from_static(b"ls\r")));
    session.settle();
    assert_eq!(session.typed, b"ls\r");
}
