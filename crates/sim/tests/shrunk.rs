//! What worlds found, as small as it gets: one host, its viewers, messages that arrive at once
//! unless a test holds them back.

use std::collections::VecDeque;

use bytes::Bytes;
use pillion_caps::{Binding, PeerEndpoint, PublicKey, SecretKey};
use pillion_people::SubjectRef;
use pillion_proto::{DropReason, GrantToken, JoinId, Rights, Ticket, TrackId};
use pillion_screen::{Decoder, Encoder, LineId, Screen, Size, Terminal};
use pillion_session::{
    Actor, Command, ConnId, Connected, Ending, Host, HostConfig, HostInput, HostOutput, LogEntry,
    Now, Phase, Reply, Stream, Target, Viewer, ViewerConfig, ViewerEvent, ViewerInput,
    ViewerNotice, ViewerOutput, verbs,
};

const TERMINAL: TrackId = TrackId(0);

/// A viewer and its connection.
struct Seat {
    identity: SecretKey,
    viewer: Viewer,
    conn: Option<ConnId>,
    to_host: VecDeque<(Stream, Bytes)>,
    /// Nothing it sends arrives for now.
    held: bool,
    said: Vec<ViewerNotice>,
    history: usize,
    ended: Option<Ending>,
}

/// A shared session.
struct Room {
    now: Now,
    host: Host,
    ticket: String,
    token: Option<GrantToken>,
    seats: Vec<Seat>,
    conns: u64,
    typed: Vec<u8>,
    frames: Vec<Bytes>,
}

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32])
}

impl Room {
    fn new() -> Room {
        let now = Now {
            mono_us: 1_000_000,
            unix_ms: 1_777_593_600_000,
        };
        let host = Room::host(now, None, 3);
        let mut room = Room {
            now,
            host,
            ticket: String::new(),
            token: None,
            seats: Vec::new(),
            conns: 0,
            typed: Vec::new(),
            frames: Vec::new(),
        };
        room.command(Command::Share(verbs::Share { from_start: true }));
        room
    }

    fn host(now: Now, link: Option<[u8; 32]>, seed: u8) -> Host {
        let config = HostConfig {
            link,
            edit_ttl_ms: 3_600_000,
            ..HostConfig::plain(
                secret(1),
                secret(2).public(),
                [seed; 32],
                Size::clamped(80, 24),
            )
        };
        let mut host = Host::new(config, now);
        if let Some(HostOutput::Sign { request, input }) = host.poll() {
            host.handle(now, HostInput::signed_with(&secret(2), request, &input));
        }
        let id = iroh_base::EndpointId::from_bytes(secret(1).public().as_bytes()).unwrap();
        let addr = iroh_base::EndpointAddr::new(id).with_ip_addr("127.0.0.1:7".parse().unwrap());
        host.handle(now, HostInput::Addresses { addr });
        host
    }

    fn tell(&mut self, input: HostInput) {
        self.host.handle(self.now, input);
        self.pass();
    }

    fn command(&mut self, command: Command) {
        self.tell(HostInput::Command {
            request: 1,
            by: Actor::Tty,
            command,
        });
    }

    fn prints(&mut self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.tell(HostInput::Output {
            track: TERMINAL,
            bytes,
            more: false,
        });
    }

    /// Time passes, in steps small enough for everybody.
    fn wait(&mut self, us: u64) -> u32 {
        self.pass();
        let (end, mut woken) = (self.now.mono_us + us, 0);
        while self.now.mono_us < end {
            let wakes = self.seats.iter().filter_map(|seat| seat.viewer.wake_at());
            let next = wakes
                .chain(self.host.wake_at())
                .min()
                .unwrap_or(end)
                .clamp(self.now.mono_us, end);
            self.now.unix_ms += (next - self.now.mono_us) / 1000;
            self.now.mono_us = next;
            woken += 1;
            assert!(woken < 10_000, "somebody wakes without pause");
            self.tell(HostInput::Tick);
            for seat in 0..self.seats.len() {
                self.seats[seat].viewer.handle(self.now, ViewerInput::Tick);
            }
            self.pass();
        }
        woken
    }

    fn sit(&mut self, person: u8, run: u8, with_token: bool) -> usize {
        let ticket: Ticket = self.ticket.parse().unwrap();
        let token = self.token.as_ref().filter(|_| with_token);
        let grants = token
            .map(|token| {
                (
                    token.grant.clone().into(),
                    Some(SecretKey::from_bytes(&token.link)),
                )
            })
            .into_iter()
            .collect();
        let config = ViewerConfig {
            claims: Vec::new(),
            identity: secret(person).public(),
            session: PublicKey::from_bytes(ticket.addr.id.as_bytes()).unwrap(),
            link: Some(SecretKey::from_bytes(&ticket.link)),
            grants,
            name: format!("person{person}"),
            software: "test".into(),
            join: JoinId([run; 16]),
            read_only: false,
            inside: Vec::new(),
        };
        self.seats.push(Seat {
            identity: secret(person),
            viewer: Viewer::new(config, self.now),
            conn: None,
            to_host: VecDeque::new(),
            held: false,
            said: Vec::new(),
            history: 0,
            ended: None,
        });
        self.pass();
        self.seats.len() - 1
    }

    fn types(&mut self, seat: usize, text: &'static str) {
        self.seats[seat].viewer.handle(
            self.now,
            ViewerInput::Keys(Bytes::from_static(text.as_bytes())),
        );
        self.pass();
    }

    fn grant(&mut self, id: u32) {
        let target = Target::One(SubjectRef::Number(id));
        self.command(Command::Grant(verbs::Grant {
            target,
            rights: Rights::EDIT,
            ttl_ms: None,
        }));
    }

    fn cut(&mut self, seat: usize) {
        let conn = self.seats[seat].conn.take();
        self.seats[seat].to_host.clear();
        self.seats[seat]
            .viewer
            .handle(self.now, ViewerInput::Disconnected { why: "cut".into() });
        if let Some(conn) = conn {
            self.tell(HostInput::Disconnected { conn });
        }
        self.pass();
    }

    /// Passes everything on until nobody has anything to say.
    fn pass(&mut self) {
        loop {
            let before = self.conns
                + self
                    .seats
                    .iter()
                    .map(|seat| seat.to_host.len() as u64)
                    .sum::<u64>();
            let mut busy = false;
            while let Some(output) = self.host.poll() {
                busy = true;
                self.do_output(output);
            }
            for index in 0..self.seats.len() {
                while let Some(output) = self.seats[index].viewer.poll() {
                    busy = true;
                    self.do_viewer_output(index, output);
                }
                while !self.seats[index].held
                    && let Some(conn) = self.seats[index].conn
                    && let Some((stream, bytes)) = self.seats[index].to_host.pop_front()
                {
                    busy = true;
                    self.host.handle(
                        self.now,
                        HostInput::Received {
                            conn,
                            stream,
                            bytes,
                        },
                    );
                }
            }
            let after = self.conns
                + self
                    .seats
                    .iter()
                    .map(|seat| seat.to_host.len() as u64)
                    .sum::<u64>();
            if !busy && before == after {
                return;
            }
        }
    }

    fn do_output(&mut self, output: HostOutput) {
        match output {
            HostOutput::Send { to, bytes } => {
                for (conn, stream) in to.iter() {
                    if let Some(seat) = self.seats.iter_mut().find(|seat| seat.conn == Some(conn)) {
                        let bytes = bytes.clone();
                        seat.viewer
                            .handle(self.now, ViewerInput::Received { stream, bytes });
                    }
                }
            }
            HostOutput::Reset { conn, stream } => {
                if let Some(seat) = self.seats.iter_mut().find(|seat| seat.conn == Some(conn)) {
                    seat.viewer
                        .handle(self.now, ViewerInput::StreamEnded { stream });
                }
            }
            HostOutput::Write { seq, bytes, .. } => {
                self.typed.extend_from_slice(&bytes);
                self.host.handle(
                    self.now,
                    HostInput::Written {
                        track: TERMINAL,
                        seq,
                    },
                );
            }
            HostOutput::Log(LogEntry::Frame { raw, .. }) => self.frames.push(raw),
            HostOutput::ReadHistory(job) => {
                let packed = job.pack(Vec::new());
                self.host.handle(self.now, HostInput::History(packed));
            }
            HostOutput::Done { result, .. } => match result.unwrap().reply {
                Reply::Ticket(ticket) => self.ticket = ticket,
                Reply::GrantLink(verbs::Token { token, .. }) => self.token = token.parse().ok(),
                _ => {}
            },
            _ => {}
        }
    }

    fn do_viewer_output(&mut self, index: usize, output: ViewerOutput) {
        match output {
            ViewerOutput::Connect => {
                let (conn, endpoint) = (ConnId(self.conns), secret(200).public());
                self.conns += 1;
                let binding = Binding::tls_exporter([u8::try_from(self.conns).unwrap(); 32]);
                self.seats[index].conn = Some(conn);
                self.seats[index].to_host.clear();
                self.host.handle(
                    self.now,
                    HostInput::Connected {
                        from: pillion_session::Network::ALL,
                        conn,
                        peer: PeerEndpoint::Proved(endpoint),
                        binding,
                    },
                );
                let connected = Connected {
                    own_endpoint: PeerEndpoint::Proved(endpoint),
                    binding,
                };
                self.seats[index]
                    .viewer
                    .handle(self.now, ViewerInput::Connected(connected));
            }
            ViewerOutput::Sign { request, inputs } => {
                let seat = &mut self.seats[index];
                let signed = ViewerInput::signed_with(&seat.identity, request, &inputs);
                seat.viewer.handle(self.now, signed);
            }
            ViewerOutput::Send { stream, bytes } => {
                self.seats[index].to_host.push_back((stream, bytes))
            }
            ViewerOutput::Close => self.seats[index].conn = None,
            ViewerOutput::Event(ViewerEvent::Said(notice)) => {
                self.seats[index].said.push(*notice);
            }
            ViewerOutput::Event(ViewerEvent::History(_)) => self.seats[index].history += 1,
            ViewerOutput::Event(ViewerEvent::Ended { why, .. }) => {
                self.seats[index].ended = Some(*why);
            }
            _ => {}
        }
    }

    fn unconfirmed(&self, seat: usize) -> usize {
        self.seats[seat].viewer.view().unconfirmed
    }
}

/// World 34: a window of a few cells became a large one, and the frame that says so was refused for
/// being too much work for a screen of a few cells.
#[test]
fn a_tiny_screen_may_become_a_large_one() {
    let mut term = Terminal::new(Size::clamped(2, 2));
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let first = encoder.encode(&mut term, false).unwrap();
    decoder.apply_raw(&first.raw).unwrap();
    decoder.snapshot(&encoder.snapshot().wire).unwrap();
    term.resize(Size::clamped(300, 120));
    let frame = encoder.encode(&mut term, true).unwrap();
    decoder.frame(&frame.wire, true).unwrap();
    let mut screen = Screen::blank(Size::clamped(1, 1));
    term.capture(&mut screen);
    assert_eq!(decoder.screen(), Some(&screen));
}

/// World 20: frames behind a snapshot in the log named looks that only earlier frames had shown.
#[test]
fn the_log_can_be_read_on_behind_a_snapshot() {
    let mut room = Room::new();
    room.prints(b"\x1b[31mred \x1b[32mgreen \x1b[33myellow\x1b[m\r\n");
    room.wait(70_000_000);
    room.prints(b"\x1b[33myellow again");
    room.wait(1_000_000);
    room.prints(b"\x1b[31m\x1b[10;1Hred again\x1b[34m blue");
    room.wait(1_000_000);
    let mut reader = Decoder::new();
    for frame in &room.frames {
        reader.apply_raw(frame).unwrap();
    }
    let mut screen = Screen::blank(Size::clamped(1, 1));
    room.host.capture(TERMINAL, &mut screen);
    assert_eq!(reader.screen(), Some(&screen));
}

/// World 11: what was on its way when the right was revoked was typed when it arrived after the
/// right had been given again.
#[test]
fn what_was_typed_before_a_revocation_is_not_written_after_it() {
    let mut room = Room::new();
    let anna = room.sit(10, 1, false);
    room.grant(1);
    room.types(anna, "a");
    room.seats[anna].held = true;
    room.types(anna, "b");
    room.command(Command::Revoke(verbs::Revoke {
        target: Target::One(SubjectRef::Number(1)),
    }));
    room.grant(1);
    room.types(anna, "c");
    room.seats[anna].held = false;
    room.wait(3_000_000);
    assert_eq!(room.typed, b"ac");
    assert_eq!(room.unconfirmed(anna), 0);
    assert!(room.seats[anna].said.iter().any(|notice| matches!(
        notice,
        ViewerNotice::Dropped {
            why: Some(DropReason::RightTaken),
            ..
        }
    )));
}

/// World 1499: a host that was started again counted its tenures as the one before had.
#[test]
fn what_was_typed_before_a_revocation_is_not_written_by_another_run_of_the_host() {
    let mut tenures = Vec::new();
    for seed in [3, 4] {
        let mut room = Room::new();
        room.host = Room::host(room.now, None, seed);
        room.command(Command::Share(verbs::Share { from_start: true }));
        let anna = room.sit(10, 1, false);
        room.grant(1);
        room.seats[anna].held = true;
        room.types(anna, "k");
        // Behind the stream's opening, the last but one field of the input: how it was typed.
        let (_, bytes) = room.seats[anna].to_host.back().unwrap().clone();
        tenures.push(bytes);
    }
    assert_ne!(tenures[0], tenures[1]);
}

/// World 19: all inputs of a viewer had been dropped when the host was started again; the viewer went
/// on counting, and was put out for the gap.
#[test]
fn a_viewer_whose_inputs_were_dropped_can_type_to_a_new_host() {
    let mut room = Room::new();
    let anna = room.sit(10, 1, false);
    room.grant(1);
    room.seats[anna].held = true;
    room.types(anna, "a");
    room.types(anna, "b");
    room.command(Command::Revoke(verbs::Revoke {
        target: Target::One(SubjectRef::Number(1)),
    }));
    room.seats[anna].held = false;
    room.wait(100_000);
    room.grant(1);
    room.seats[anna].held = true;
    room.types(anna, "c");
    let link: Ticket = room.ticket.parse().unwrap();
    room.host = Room::host(room.now, Some(*link.link), 9);
    room.command(Command::Share(verbs::Share { from_start: true }));
    room.cut(anna);
    room.seats[anna].held = false;
    room.wait(10_000_000);
    assert_eq!(room.seats[anna].ended, None);
    assert_eq!(room.unconfirmed(anna), 0);
    room.grant(1);
    room.types(anna, "d");
    assert_eq!(room.typed, b"d");
}

/// World 41: a viewer that lost its right while it was away waited for ever for what it had typed.
#[test]
fn nothing_stays_unconfirmed_for_a_viewer_that_came_back_without_the_right() {
    let mut room = Room::new();
    let anna = room.sit(10, 1, false);
    room.grant(1);
    room.seats[anna].held = true;
    room.types(anna, "a");
    room.command(Command::Revoke(verbs::Revoke {
        target: Target::One(SubjectRef::Number(1)),
    }));
    room.cut(anna);
    room.seats[anna].held = false;
    room.wait(10_000_000);
    assert_eq!(
        (room.unconfirmed(anna), room.typed.as_slice()),
        (0, &b""[..])
    );
}

/// World 95: the same on one connection, when the input stream had been given up as stuck.
#[test]
fn nothing_stays_unconfirmed_when_the_right_goes_while_the_stream_is_stuck() {
    let mut room = Room::new();
    let anna = room.sit(10, 1, false);
    room.grant(1);
    room.seats[anna].held = true;
    room.types(anna, "a");
    room.command(Command::Revoke(verbs::Revoke {
        target: Target::One(SubjectRef::Number(1)),
    }));
    // The host is heard all the while.
    for _ in 0..20 {
        room.wait(200_000);
        room.prints(b".");
    }
    room.seats[anna].held = false;
    room.wait(3_000_000);
    assert_eq!(
        (room.unconfirmed(anna), room.typed.as_slice()),
        (0, &b""[..])
    );
    assert_eq!(room.seats[anna].ended, None);
}

/// World 8: a viewer that was let in, and then heard nothing, woke without pause. Here only its
/// control stream gets through, and that once.
#[test]
fn a_viewer_that_is_shown_nothing_sleeps() {
    let mut room = Room::new();
    let mut viewer = {
        let ticket: Ticket = room.ticket.parse().unwrap();
        let config = ViewerConfig {
            identity: secret(12).public(),
            session: secret(1).public(),
            link: Some(SecretKey::from_bytes(&ticket.link)),
            grants: Vec::new(),
            claims: Vec::new(),
            name: "carla".into(),
            software: "test".into(),
            join: JoinId([3; 16]),
            read_only: false,
            inside: Vec::new(),
        };
        Viewer::new(config, room.now)
    };
    let (conn, peer, binding) = (
        ConnId(99),
        PeerEndpoint::Proved(secret(201).public()),
        Binding::tls_exporter([99; 32]),
    );
    while viewer.poll().is_some() {}
    room.host.handle(
        room.now,
        HostInput::Connected {
            from: pillion_session::Network::ALL,
            conn,
            peer,
            binding,
        },
    );
    viewer.handle(
        room.now,
        ViewerInput::Connected(Connected {
            own_endpoint: peer,
            binding,
        }),
    );
    while let Some(output) = viewer.poll() {
        match output {
            ViewerOutput::Sign { request, inputs } => {
                let signed = ViewerInput::signed_with(&secret(12), request, &inputs);
                viewer.handle(room.now, signed);
            }
            ViewerOutput::Send { stream, bytes } => room.host.handle(
                room.now,
                HostInput::Received {
                    conn,
                    stream,
                    bytes,
                },
            ),
            _ => {}
        }
    }
    while let Some(output) = room.host.poll() {
        if let HostOutput::Send { to, bytes } = output
            && to.iter().any(|one| one == (ConnId(99), Stream::Control))
        {
            viewer.handle(
                room.now,
                ViewerInput::Received {
                    stream: Stream::Control,
                    bytes,
                },
            );
        }
    }
    assert_eq!(viewer.view().phase, Phase::Joining);
    let mut now = room.now;
    let mut woken = 0;
    while now.mono_us < room.now.mono_us + 3_900_000 {
        let Some(at) = viewer.wake_at() else { break };
        now.mono_us = now.mono_us.max(at);
        viewer.handle(now, ViewerInput::Tick);
        woken += 1;
        assert!(woken < 100, "it wakes without pause");
        while viewer.poll().is_some() {}
    }
}

/// World 48: a grant that one viewer of a person presented was not told to the others.
#[test]
fn every_viewer_of_a_person_is_told_of_a_grant() {
    let mut room = Room::new();
    room.command(Command::GrantLink(verbs::GrantLink {
        rights: Rights::EDIT,
        ttl_ms: None,
        uses: std::num::NonZeroU32::MIN,
    }));
    let first = room.sit(10, 1, false);
    assert_eq!(room.seats[first].viewer.view().rights, Rights::VIEW);
    room.seats[first]
        .viewer
        .handle(room.now, ViewerInput::RequestEdit);
    room.pass();
    let second = room.sit(10, 2, true);
    assert_eq!(room.seats[second].viewer.view().rights, Rights::EDIT);
    assert_eq!(room.seats[first].viewer.view().rights, Rights::EDIT);
    assert!(!room.seats[first].viewer.view().asking);
}

/// World 1175: who asked for edit after the host's clock had jumped past the end of its right was
/// told that it can type already.
#[test]
fn a_right_that_the_clock_jumped_over_is_not_confirmed() {
    let mut room = Room::new();
    let anna = room.sit(10, 1, false);
    room.grant(1);
    room.wait(1_000_000);
    room.now.unix_ms += 2 * 3_600_000;
    // Not through the viewer, which believes what it was told.
    let conn = room.seats[anna].conn.unwrap();
    let mut out = bytes::BytesMut::new();
    pillion_proto::FromViewer::RequestEdit.encode(&mut out);
    room.tell(HostInput::Received {
        conn,
        stream: Stream::Control,
        bytes: out.freeze(),
    });
    assert_eq!(room.seats[anna].viewer.view().rights, Rights::VIEW);
}

/// World 1028: a viewer that scrolled fast on a fast path was closed for flooding.
#[test]
fn a_viewer_that_scrolls_fast_stays() {
    let mut room = Room::new();
    let anna = room.sit(10, 1, false);
    for _ in 0..30 {
        for line in 0..16 {
            let input = ViewerInput::WantHistory {
                from: LineId(line),
                count: 50,
            };
            room.seats[anna].viewer.handle(room.now, input);
            room.pass();
        }
        room.wait(10_000);
    }
    room.wait(20_000_000);
    assert_eq!(room.seats[anna].ended, None);
    assert!(
        room.seats[anna].history > 30,
        "{}",
        room.seats[anna].history
    );
}
