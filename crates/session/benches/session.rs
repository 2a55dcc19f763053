//! What a host costs for a keystroke, a frame, a flood and a joiner, with one viewer and with many.

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pillion_caps::{Binding, PeerEndpoint, SecretKey};
use pillion_conversation::Gate;
use pillion_people::SubjectRef;
use pillion_proto::{JoinId, Rights, TrackId};
use pillion_screen::Size;
use pillion_session::{
    Actor, Command, ConnId, Connected, Host, HostConfig, HostInput, HostOutput, Now, Viewer,
    ViewerConfig, ViewerInput, ViewerOutput, verbs,
};

const TERMINAL: TrackId = TrackId(0);

fn secret(seed: u16) -> SecretKey {
    let mut bytes = [1; 32];
    bytes[..2].copy_from_slice(&seed.to_be_bytes());
    SecretKey::from_bytes(&bytes)
}

/// A shared host and its viewers, on one clock.
struct Session {
    now: Now,
    host: Host,
    link: [u8; 32],
    viewers: Vec<Viewer>,
}

impl Session {
    fn new(viewers: u16) -> Session {
        let now = Now {
            mono_us: 1_000_000,
            unix_ms: 1_777_636_800_000,
        };
        let config = HostConfig {
            link: Some([9; 32]),
            ..HostConfig::plain(
                secret(0),
                secret(1).public(),
                [3; 32],
                Size::clamped(80, 24),
            )
        };
        let mut session = Session {
            now,
            host: Host::new(config, now),
            link: [9; 32],
            viewers: Vec::new(),
        };
        session.command(Command::Share(verbs::Share { from_start: false }));
        for seed in 0..viewers {
            session.join(100 + seed);
        }
        session.settle();
        session
    }

    fn command(&mut self, command: Command) {
        let input = HostInput::Command {
            request: 1,
            by: Actor::Tty,
            command,
        };
        self.host.handle(self.now, input);
        self.settle();
    }

    fn join(&mut self, seed: u16) {
        let config = ViewerConfig {
            identity: secret(seed).public(),
            session: secret(0).public(),
            link: Some(SecretKey::from_bytes(&self.link)),
            grants: Vec::new(),
            claims: Vec::new(),
            name: format!("viewer{seed}"),
            software: "bench".into(),
            join: JoinId([seed.to_be_bytes()[1]; 16]),
            read_only: false,
            inside: Vec::new(),
        };
        let conn = ConnId(self.viewers.len() as u64);
        let mut viewer = Viewer::new(config, self.now);
        let peer = PeerEndpoint::Proved(secret(10_000 + seed).public());
        let binding = Binding::tls_exporter([7; 32]);
        self.host.handle(
            self.now,
            HostInput::Connected {
                from: pillion_session::Network::ALL,
                conn,
                peer,
                binding,
            },
        );
        viewer.handle(
            self.now,
            ViewerInput::Connected(Connected {
                own_endpoint: peer,
                binding,
            }),
        );
        self.viewers.push(viewer);
        self.settle();
    }

    /// Passes everything between host and viewers; the program takes all input.
    fn settle(&mut self) {
        let now = self.now;
        loop {
            let mut idle = true;
            while let Some(output) = self.host.poll() {
                idle = false;
                match output {
                    HostOutput::Sign { request, input } => {
                        let signed = HostInput::signed_with(&secret(1), request, &input);
                        self.host.handle(now, signed);
                    }
                    HostOutput::Send { to, bytes } => {
                        for (conn, stream) in to.iter() {
                            let bytes = bytes.clone();
                            let viewer = &mut self.viewers[conn.0 as usize];
                            viewer.handle(now, ViewerInput::Received { stream, bytes });
                        }
                    }
                    HostOutput::Write { track, seq, .. } => {
                        self.host.handle(now, HostInput::Written { track, seq });
                    }
                    _ => {}
                }
            }
            for (index, viewer) in self.viewers.iter_mut().enumerate() {
                while let Some(output) = viewer.poll() {
                    idle = false;
                    match output {
                        ViewerOutput::Sign { request, inputs } => {
                            let identity = secret(100 + index as u16);
                            viewer
                                .handle(now, ViewerInput::signed_with(&identity, request, &inputs));
                        }
                        ViewerOutput::Send { stream, bytes } => {
                            let conn = ConnId(index as u64);
                            self.host.handle(
                                now,
                                HostInput::Received {
                                    conn,
                                    stream,
                                    bytes,
                                },
                            );
                        }
                        _ => {}
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    fn later(&mut self, us: u64) {
        self.now.mono_us += us;
    }

    fn prints(&mut self, bytes: &Bytes, more: bool) {
        let input = HostInput::Output {
            track: TERMINAL,
            bytes: bytes.clone(),
            more,
        };
        self.host.handle(self.now, input);
    }
}

/// One character from the program until it is on every viewer's screen and acknowledged.
fn echo(c: &mut Criterion) {
    let mut group = c.benchmark_group("echo to the screens of");
    for viewers in [1, 10, 100] {
        let mut session = Session::new(viewers);
        let byte = Bytes::from_static(b"x");
        group.bench_function(BenchmarkId::from_parameter(viewers), |b| {
            b.iter(|| {
                session.later(20_000);
                session.prints(&byte, false);
                session.settle();
            });
        });
    }
}

/// One keystroke from the viewer's keyboard to the program.
fn keystroke(c: &mut Criterion) {
    let mut session = Session::new(1);
    session.command(Command::Grant(verbs::Grant {
        target: "viewer100".parse::<SubjectRef>().unwrap().into(),
        rights: Rights::EDIT,
        ttl_ms: None,
    }));
    assert_eq!(session.viewers[0].view().rights, Rights::EDIT);
    let byte = Bytes::from_static(b"x");
    c.bench_function("keystroke to the program", |b| {
        b.iter(|| {
            session.later(20_000);
            session.viewers[0].handle(session.now, ViewerInput::Keys(byte.clone()));
            session.settle();
        });
    });
}

/// A megabyte of text in pieces of 64 KiB, a millisecond each.
fn flood(c: &mut Criterion) {
    let line = "the quick brown fox jumps over the lazy dog 0123456789 and then some more\r\n";
    let piece = Bytes::from(line.repeat(65_536 / line.len()));
    let mut group = c.benchmark_group("1 MiB of text with viewers");
    group.throughput(Throughput::Bytes(16 * piece.len() as u64));
    for viewers in [0, 1, 10, 100] {
        let mut session = Session::new(viewers);
        group.bench_function(BenchmarkId::from_parameter(viewers), |b| {
            b.iter(|| {
                for _ in 0..16 {
                    session.later(1000);
                    session.prints(&piece, true);
                    session.settle();
                }
            });
        });
    }
}

/// From the hello to the first screen, both sides' work together.
fn join(c: &mut Criterion) {
    c.bench_function("join", |b| {
        b.iter_batched_ref(
            || Session::new(0),
            |session| session.join(100),
            BatchSize::SmallInput,
        );
    });
}

/// An update of an agent's, as its driver hands it over.
fn update(number: usize) -> String {
    let message = number / 100;
    format!(
        r#"{{"at":{number},"agent":{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"s","update":{{"sessionUpdate":"agent_message_chunk","messageId":"m{message}","content":{{"type":"text","text":"a few words "}}}}}}}}}}"#
    )
}

/// A session with a conversation that everybody looks at.
fn talk(viewers: u16) -> (Session, TrackId) {
    let mut session = Session::new(viewers);
    let track = TrackId(1);
    session.command(Command::OpenConversation(verbs::OpenConversation {
        title: "agent".into(),
        start: verbs::AgentStart::default(),
        gate: Gate::default(),
    }));
    let now = session.now;
    for viewer in &mut session.viewers {
        viewer.handle(now, ViewerInput::Look(vec![track]));
    }
    session.settle();
    (session, track)
}

impl Session {
    fn says(&mut self, track: TrackId, entry: String) {
        let input = HostInput::Conversation { track, entry };
        self.host.handle(self.now, input);
    }
}

/// An agent's update until every viewer has it.
fn conversation(c: &mut Criterion) {
    let mut group = c.benchmark_group("an agent's update to viewers");
    for viewers in [0, 1, 50] {
        let (mut session, track) = talk(viewers);
        let mut number = 0;
        group.bench_function(BenchmarkId::from_parameter(viewers), |b| {
            b.iter(|| {
                number += 1;
                session.later(20_000);
                session.says(track, update(number));
                session.settle();
            });
        });
    }
    group.finish();
    // As fast as an agent can say them: frames have many.
    let mut group = c.benchmark_group("1,000 of an agent's updates at once to viewers");
    group.throughput(Throughput::Elements(1000));
    for viewers in [0, 1, 50] {
        let (mut session, track) = talk(viewers);
        let mut number = 0;
        group.bench_function(BenchmarkId::from_parameter(viewers), |b| {
            b.iter(|| {
                session.later(20_000);
                for _ in 0..1000 {
                    number += 1;
                    session.says(track, update(number));
                }
                session.settle();
            });
        });
    }
    group.finish();
    c.bench_function("join a conversation of 10,000 updates", |b| {
        b.iter_batched_ref(
            || {
                let (mut session, track) = talk(0);
                for number in 0..10_000 {
                    session.says(track, update(number));
                }
                session.later(20_000);
                session.settle();
                (session, track)
            },
            |(session, track)| {
                session.join(100);
                let now = session.now;
                session.viewers[0].handle(now, ViewerInput::Look(vec![*track]));
                session.settle();
                assert!(session.viewers[0].conversation(*track).is_some());
            },
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, echo, keystroke, flood, join, conversation);
criterion_main!(benches);
