//! Whatever happens, in whatever order: nothing is written without a right that stands.

use bytes::{Bytes, BytesMut};
use pillion_proto::{FromViewer, InputStream, Intent, IntentMsg, JoinId, Rights};
use proptest::prelude::*;

use super::harness::*;
use crate::{Actor, Command, HostInput, HostOutput, Stream, Target, TtyNews, ViewerInput, verbs};

#[derive(Debug, Clone)]
enum Step {
    Type(usize),
    /// Input made by hand, by the one who sits there, of any number and on any epoch.
    Forge {
        seat: usize,
        epoch: u32,
        id: u64,
        join: u8,
    },
    /// A message with a bit turned over.
    Mutate {
        seat: usize,
        bit: usize,
    },
    Request(usize),
    Grant {
        seat: usize,
        ttl_ms: u64,
        by_socket: bool,
    },
    Token {
        seat: usize,
        ttl_ms: u64,
    },
    Revoke(usize),
    RevokeAll,
    Kick(usize),
    Refuse(usize),
    Confirm {
        request: u64,
        yes: bool,
    },
    Cut(usize),
    Tty(bool),
    StopAndShare,
    Wait(u64),
    Prints,
}

fn step() -> impl Strategy<Value = Step> {
    let seat = 0usize..3;
    prop_oneof![
        6 => seat.clone().prop_map(Step::Type),
        4 => (seat.clone(), 0u32..4, 0u64..6, 9u8..13)
            .prop_map(|(seat, epoch, id, join)| Step::Forge { seat, epoch, id, join }),
        2 => (seat.clone(), 0usize..400).prop_map(|(seat, bit)| Step::Mutate { seat, bit }),
        2 => seat.clone().prop_map(Step::Request),
        4 => (seat.clone(), 1u64..20_000, any::<bool>())
            .prop_map(|(seat, ttl_ms, by_socket)| Step::Grant { seat, ttl_ms, by_socket }),
        1 => (seat.clone(), 1u64..20_000).prop_map(|(seat, ttl_ms)| Step::Token { seat, ttl_ms }),
        2 => seat.clone().prop_map(Step::Revoke),
        1 => Just(Step::RevokeAll),
        1 => seat.clone().prop_map(Step::Kick),
        1 => seat.clone().prop_map(Step::Refuse),
        1 => (0u64..20, any::<bool>()).prop_map(|(request, yes)| Step::Confirm { request, yes }),
        2 => seat.prop_map(Step::Cut),
        1 => any::<bool>().prop_map(Step::Tty),
        1 => Just(Step::StopAndShare),
        4 => (1u64..8_000).prop_map(Step::Wait),
        2 => Just(Step::Prints),
    ]
}

/// Until when each person may type, by what the host's side said: kept apart from the host.
#[derive(Default)]
struct Allowed {
    until_unix_ms: std::collections::BTreeMap<u8, u64>,
}

impl Allowed {
    fn anybody(&self, now_ms: u64) -> bool {
        self.until_unix_ms.values().any(|until| now_ms < *until)
    }
}

fn take(world: &mut World, seat: usize, allowed: &mut Allowed, step: &Step) {
    let name = |seat: usize| named(&format!("person{seat}"));
    let seed = |seat: usize| 10 + u8::try_from(seat).unwrap();
    let conn = world.seats[seat].conn;
    match step {
        Step::Type(_) => world.types(seat, "k"),
        Step::Forge {
            epoch, id, join, ..
        } => {
            let mut out = BytesMut::new();
            InputStream {
                join: JoinId([*join; 16]),
            }
            .encode(&mut out);
            let edit_epoch = conn.map_or(0, |conn| world.host.tenure_for_tests(conn));
            let bytes = Bytes::from_static(b"f");
            IntentMsg {
                id: *id,
                waited_ms: 0,
                edit_epoch,
                what: Intent::Keys {
                    track: TERMINAL,
                    bytes,
                },
            }
            .encode(&mut out);
            if let Some(conn) = conn {
                let stream = Stream::Input { epoch: *epoch };
                world.host(HostInput::Received {
                    conn,
                    stream,
                    bytes: out.freeze(),
                });
            }
        }
        Step::Mutate { bit, .. } => {
            let mut out = BytesMut::new();
            FromViewer::RequestEdit.encode(&mut out);
            InputStream {
                join: JoinId([10; 16]),
            }
            .encode(&mut out);
            let mut bytes = out.to_vec();
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Some(conn) = conn {
                let stream = if bit.is_multiple_of(2) {
                    Stream::Control
                } else {
                    Stream::Input { epoch: 3 }
                };
                world.host(HostInput::Received {
                    conn,
                    stream,
                    bytes: bytes.into(),
                });
            }
        }
        Step::Request(_) => world.viewer(seat, ViewerInput::RequestEdit),
        Step::Grant {
            ttl_ms, by_socket, ..
        } => {
            let by = if *by_socket {
                Actor::Socket
            } else {
                Actor::Tty
            };
            let command = Command::Grant(verbs::Grant {
                target: name(seat),
                rights: Rights::EDIT,
                ttl_ms: Some(*ttl_ms),
            });
            let until = world.now.unix_ms + ttl_ms;
            let request = world.ask(by, command);
            if let Some(Ok(_)) = world.done.get(&request) {
                let known = allowed.until_unix_ms.entry(seed(seat)).or_default();
                *known = until.max(*known);
            }
        }
        Step::Token { ttl_ms, .. } => {
            // Presented at the next connection.
            let command = Command::GrantLink(verbs::GrantLink {
                rights: Rights::EDIT,
                ttl_ms: Some(*ttl_ms),
                uses: std::num::NonZeroU32::MIN,
            });
            let _ = world.ask(Actor::Tty, command);
        }
        Step::Revoke(_) => {
            let request = world.ask(
                Actor::Socket,
                Command::Revoke(verbs::Revoke { target: name(seat) }),
            );
            if let Some(Ok(_)) = world.done.get(&request) {
                allowed.until_unix_ms.remove(&seed(seat));
            }
        }
        Step::RevokeAll => {
            let _ = world.ask(
                Actor::Socket,
                Command::Revoke(verbs::Revoke {
                    target: Target::All,
                }),
            );
            allowed.until_unix_ms.clear();
        }
        Step::Kick(_) => {
            let request = world.ask(
                Actor::Socket,
                Command::Kick(verbs::Kick { target: name(seat) }),
            );
            if let Some(Ok(_)) = world.done.get(&request) {
                allowed.until_unix_ms.remove(&seed(seat));
            }
        }
        Step::Refuse(_) => {
            let _ = world.ask(
                Actor::Tty,
                Command::RefuseRequest(verbs::RefuseRequest { target: name(seat) }),
            );
        }
        Step::Confirm { request, yes } => {
            let before = world.done.contains_key(request);
            world.host(HostInput::Confirmed {
                request: *request,
                yes: *yes,
            });
            // A grant confirmed late runs from now on.
            if !before && matches!(world.done.get(request), Some(Ok(_))) {
                for seat in 0..3 {
                    let known = allowed.until_unix_ms.entry(seed(seat)).or_default();
                    *known = (*known).max(world.now.unix_ms + 20_000);
                }
            }
        }
        Step::Cut(_) => world.cut(seat),
        Step::Tty(attached) => world.host(HostInput::Tty(match attached {
            true => TtyNews::Attached,
            false => TtyNews::Detached,
        })),
        Step::StopAndShare => {
            let _ = world.ask(Actor::Socket, Command::Stop(verbs::Stop {}));
            allowed.until_unix_ms.clear();
            let _ = world.ask(
                Actor::Tty,
                Command::Share(verbs::Share { from_start: false }),
            );
        }
        Step::Wait(ms) => world.advance_ms(*ms),
        Step::Prints => world.prints("output\r\n"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_ever_written_without_a_right_that_stands(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::shared();
        world.program.echoes = false;
        let mut allowed = Allowed::default();
        for seat in 0..3u8 {
            world.join(10 + seat, &format!("person{seat}"));
        }
        for step in &steps {
            let seat = match step {
                Step::Type(seat) | Step::Request(seat) | Step::Revoke(seat) | Step::Kick(seat)
                | Step::Refuse(seat) | Step::Cut(seat) | Step::Forge { seat, .. }
                | Step::Mutate { seat, .. } | Step::Grant { seat, .. } | Step::Token { seat, .. } => *seat,
                _ => 0,
            };
            let before = world.program.input.len();
            // Anybody who may type before or at the end of a step explains what was written in it.
            let could = allowed.anybody(world.now.unix_ms);
            take(&mut world, seat, &mut allowed, step);
            let wrote = world.program.input.len() > before;
            prop_assert!(!wrote || could || allowed.anybody(world.now.unix_ms), "{step:?}");
            if let Step::Type(_) | Step::Forge { .. } = step {
                let until = allowed.until_unix_ms.get(&(10 + u8::try_from(seat).unwrap()));
                let may = until.is_some_and(|until| world.now.unix_ms < *until);
                prop_assert!(!wrote || may, "{step:?} by somebody without the right");
            }
        }
        while let Some(output) = world.host.poll() {
            let writes = matches!(output, HostOutput::Write { .. });
            prop_assert!(!writes);
        }
    }
}
