//! Viewers that send what no viewer would, and grants that nobody made.

use bytes::{Bytes, BytesMut};
use pillion_people::SubjectRef;
use pillion_proto::{
    AccessMode, Ack, CommandRequest, FromViewer, HistoryRequest, InputStream, Intent, IntentMsg,
    JoinId, Ping, Resume, TrackId, VersionRange,
};
use pillion_session::{Command, Stream, verbs};

use super::{TERMINAL, World};

impl World {
    /// Somebody sends what no viewer would.
    pub(super) fn be_hostile(&mut self) {
        let hostile: Vec<u64> = self
            .conns
            .iter()
            .filter(|(_, conn)| {
                self.people[self.seats[conn.seat].person].hostile && conn.viewer_open
            })
            .map(|(id, _)| *id)
            .collect();
        if hostile.is_empty() {
            return;
        }
        let id = *self.dice.pick(&hostile);
        let flood = if self.dice.one_in(10) { 600 } else { 1 };
        for _ in 0..flood {
            let (stream, bytes) = self.hostile_bytes();
            let Some(conn) = self.conns.get_mut(&id) else {
                return;
            };
            conn.to_host.send(stream, bytes);
        }
        self.pump(id, true);
    }

    fn hostile_bytes(&mut self) -> (Stream, Bytes) {
        let mut out = BytesMut::new();
        let stream = match self.dice.below(4) {
            0 => Stream::Input {
                epoch: 40 + self.dice.below(3) as u32,
            },
            1 => Stream::History {
                id: 1000 + self.dice.below(10),
            },
            _ => Stream::Control,
        };
        match (stream, self.dice.below(7)) {
            (Stream::Input { .. }, _) => {
                InputStream {
                    join: JoinId(self.dice.bytes()),
                }
                .encode(&mut out);
                let (id, bytes) = (self.dice.below(5), Bytes::from_static(b"rm -rf"));
                let what = match self.dice.below(4) {
                    0 => Intent::Unknown(7),
                    _ => Intent::Keys {
                        track: TERMINAL,
                        bytes,
                    },
                };
                IntentMsg {
                    id,
                    waited_ms: 0,
                    edit_epoch: 0,
                    what,
                }
                .encode(&mut out);
            }
            (Stream::History { .. }, _) => {
                let (from, count) = (self.dice.below(1 << 50), self.dice.below(20_000) as u32);
                HistoryRequest {
                    track: TrackId(0),
                    from,
                    count,
                }
                .encode(&mut out);
            }
            (_, 0) => FromViewer::RequestEdit.encode(&mut out),
            (_, 1) => FromViewer::NeedSnapshot(TrackId(self.dice.below(2) as u32)).encode(&mut out),
            (_, 2) => {
                let (epoch, frame) = (self.dice.below(3) as u32, self.dice.below(100));
                FromViewer::Ack(Ack {
                    track: TERMINAL,
                    epoch,
                    frame,
                })
                .encode(&mut out);
            }
            (_, 3) => FromViewer::Unknown(200).encode(&mut out),
            (_, 4) => FromViewer::Resume(Resume {
                versions: VersionRange::OURS,
                padding: Bytes::new(),
                track: None,
            })
            .encode(&mut out),
            (_, 5) => {
                let command: Command = match self.dice.below(3) {
                    0 => verbs::Admit {
                        target: SubjectRef::Number(self.dice.below(12) as u32).into(),
                    }
                    .into(),
                    1 => verbs::Kick {
                        target: SubjectRef::Number(self.dice.below(12) as u32).into(),
                    }
                    .into(),
                    _ => verbs::SetAccessMode {
                        mode: AccessMode::Link,
                    }
                    .into(),
                };
                let (verb, body) = command.to_wire();
                FromViewer::Command(CommandRequest { id: 1, verb, body }).encode(&mut out);
            }
            _ => FromViewer::Ping(Ping {
                nonce: self.dice.below(10),
            })
            .encode(&mut out),
        }
        let bytes = match self.dice.below(3) {
            0 => self.dice.mutate(&out).into(),
            _ => out.freeze(),
        };
        (stream, bytes)
    }
}
