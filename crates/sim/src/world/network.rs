//! The connections between viewers and the host, and the paths they take.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pillion_caps::{Binding, PeerEndpoint};
use pillion_proto::{Framer, Hello, ParticipantId, PathKind, Subscribe, TrackId};
use pillion_session::{ConnId, Connected, HostInput, Network, Stream, ViewerInput};

use crate::{
    link::{Heard, Packet, Piece, Pipe},
    rng::Dice,
};

use super::{Event, World};

/// Silence after which a connection counts as dead, in microseconds.
const IDLE_US: u64 = 30_000_000;

/// The host's patience with a stream, and how often it looks, in microseconds.
const STUCK_US: u64 = 1_000_000;
const CHECK_EVERY_US: u64 = 250_000;

/// One connection, as the world sees it from above.
pub(super) struct Conn {
    pub(super) seat: usize,
    /// Which life of the host it is to.
    pub(super) life: u64,
    pub(super) to_host: Pipe,
    pub(super) to_viewer: Pipe,
    /// Neither end knows that it is over.
    pub(super) viewer_open: bool,
    pub(super) host_open: bool,
    pub(super) host_closing: bool,
    /// How the driver of the receiving side names streams, by order of arrival.
    input_names: BTreeMap<u32, u32>,
    history_names: BTreeMap<u64, u64>,
    track_names: BTreeMap<u32, u32>,
    /// The round trip the host was told of.
    told_rtt_us: Option<u32>,
    /// Something of it stalls until then, for all the weather does.
    pub(super) held_until_us: u64,
    pub(super) watch: ConnWatch,
}

impl Conn {
    /// A stream stalls.
    pub(super) fn hold(&mut self, until_us: u64) {
        self.held_until_us = self.held_until_us.max(until_us);
    }

    /// Nothing stalls any more.
    pub(super) fn heal(&mut self) {
        for pipe in [&mut self.to_host, &mut self.to_viewer] {
            pipe.heal();
            pipe.busy_until_us = 0;
        }
        self.held_until_us = 0;
    }

    /// The path is back after so long. Frames that stall behind it come once the host gives their
    /// stream up, which takes it at most twice its patience, and as long again as the outage if it
    /// has lost patience in it; unless other stalls made it wait before.
    fn recover(&mut self, dice: &mut Dice, now_us: u64, outage_us: u64, stalls: bool) {
        let to_host = self.to_host.recovered(dice, now_us, stalls);
        let to_viewer = self.to_viewer.recovered(dice, now_us, stalls);
        let rtt_us = u64::from(self.told_rtt_us.unwrap_or(0));
        let given_up_us = now_us + outage_us + 2 * STUCK_US.max(4 * rtt_us) + CHECK_EVERY_US;
        let is_held = now_us < self.held_until_us;
        let shown = to_viewer.map(|until| match is_held {
            true => until,
            false => until.min(given_up_us),
        });
        for until_us in to_host.into_iter().chain(shown) {
            self.hold(until_us);
        }
    }
}

/// What was seen to pass.
pub(super) struct ConnWatch {
    pub(super) from_viewer: Framer,
    pub(super) from_host: Framer,
    /// The same as it comes to the viewer.
    pub(super) at_viewer: Framer,
    pub(super) hello: Option<Hello>,
    pub(super) welcomed: Option<ParticipantId>,
    pub(super) shown_early: bool,
    /// Was told to wait at the door.
    pub(super) waited: bool,
    /// What it wants to look at.
    pub(super) subscribe: Subscribe,
    /// Which track its streams are of, and where each track's lines may be read from.
    pub(super) streams: BTreeMap<u32, TrackId>,
    pub(super) readable_from: BTreeMap<TrackId, u64>,
    /// The newest stream of each track, and its bytes that are not acknowledged, by frame.
    pub(super) tracks: BTreeMap<TrackId, (u32, VecDeque<(u64, usize)>)>,
    /// Streams the host gave up: nothing of them may be put on the line any more.
    pub(super) given_up: BTreeSet<Stream>,
}

fn conn_is_open(conns: &BTreeMap<u64, Conn>, id: u64) -> bool {
    conns
        .get(&id)
        .is_some_and(|conn| conn.host_open && !conn.host_closing)
}

impl World {
    pub(super) fn dial(&mut self, index: usize) {
        self.viewer_closes(index, false);
        let seat = &mut self.seats[index];
        seat.attempt += 1;
        seat.input_framers.clear();
        let attempt = seat.attempt;
        let trip = 2 * seat.weather.latency_us;
        self.after(
            trip + 1,
            Event::Dialled {
                seat: index,
                attempt,
            },
        );
    }

    pub(super) fn dialled(&mut self, index: usize, attempt: u64) {
        if self.seats[index].attempt != attempt || self.seats[index].ended.is_some() {
            return;
        }
        let listening = self.host.as_ref().is_some_and(|host| host.listening);
        if !self.seats[index].weather.up || !listening {
            let why = "could not be reached".to_owned();
            return self.tell_viewer(index, ViewerInput::Disconnected { why });
        }
        if self.seats[index].ticket_of.is_some() && self.dice.one_in(2) {
            self.begin_early(index, attempt);
        } else {
            self.stands(index);
        }
    }

    /// A connection begins early, of a viewer that has a ticket; a host that began again, or doesn't
    /// care to, does not take what is sent then.
    fn begin_early(&mut self, index: usize, attempt: u64) {
        let taken = self.seats[index].ticket_of == Some(self.lives) && !self.dice.one_in(5);
        let id = self.connect(index);
        if taken {
            let peer = self.seats[index].endpoint;
            self.tell_host(HostInput::EarlyConnected {
                from: Network::ALL,
                conn: ConnId(id),
                peer,
            });
        } else if let Some(conn) = self.conns.get_mut(&id) {
            conn.host_open = false;
        }
        self.tell_viewer(index, ViewerInput::EarlyConnected);
        let trip = 2 * self.seats[index].weather.latency_us;
        self.after(
            trip + 1,
            Event::Handshake {
                seat: index,
                attempt,
                conn: id,
                taken,
            },
        );
    }

    /// The handshake of a connection that began early is complete, or never will be.
    pub(super) fn handshake(&mut self, index: usize, attempt: u64, id: u64, taken: bool) {
        let seat = &self.seats[index];
        if seat.attempt != attempt || seat.ended.is_some() || seat.conn != Some(id) {
            return;
        }
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let same_host = conn.life == self.lives && self.host.is_some();
        if !seat.weather.up || !same_host {
            self.gone(id, true);
            return self.gone(id, false);
        }
        if !taken {
            self.conns.remove(&id);
            return self.stands(index);
        }
        let binding = Binding::tls_exporter(self.dice.bytes());
        if conn_is_open(&self.conns, id) {
            self.tell_host(HostInput::HandshakeConfirmed {
                conn: ConnId(id),
                binding,
            });
        }
        self.connected(index, id, binding);
    }

    /// A connection stands.
    fn stands(&mut self, index: usize) {
        let binding = Binding::tls_exporter(self.dice.bytes());
        let id = self.connect(index);
        let peer = PeerEndpoint::Proved(self.seats[index].endpoint);
        self.tell_host(HostInput::Connected {
            from: Network::ALL,
            conn: ConnId(id),
            peer,
            binding,
        });
        self.connected(index, id, binding);
    }

    /// Makes a connection of which neither end knows yet.
    fn connect(&mut self, index: usize) -> u64 {
        let id = self.conn_count;
        self.conn_count += 1;
        let conn = Conn {
            seat: index,
            life: self.lives,
            to_host: Pipe::default(),
            to_viewer: Pipe::default(),
            viewer_open: true,
            host_open: true,
            host_closing: false,
            input_names: BTreeMap::new(),
            history_names: BTreeMap::new(),
            track_names: BTreeMap::new(),
            told_rtt_us: None,
            held_until_us: 0,
            watch: ConnWatch {
                from_viewer: Framer::new(usize::MAX),
                from_host: Framer::new(usize::MAX),
                at_viewer: Framer::new(usize::MAX),
                hello: None,
                welcomed: None,
                shown_early: false,
                waited: false,
                subscribe: Subscribe::FOLLOW,
                streams: BTreeMap::new(),
                readable_from: BTreeMap::new(),
                tracks: BTreeMap::new(),
                given_up: BTreeSet::new(),
            },
        };
        self.conns.insert(id, conn);
        self.seats[index].conn = Some(id);
        id
    }

    /// The viewer's end of a connection stands.
    fn connected(&mut self, index: usize, id: u64, binding: Binding) {
        self.seats[index].ticket_of = Some(self.lives);
        let own_endpoint = PeerEndpoint::Proved(self.seats[index].endpoint);
        self.tell_viewer(
            index,
            ViewerInput::Connected(Connected {
                own_endpoint,
                binding,
            }),
        );
        if self.dice.one_in(2) {
            let rtt_us =
                u32::try_from(2 * self.seats[index].weather.latency_us).unwrap_or(u32::MAX);
            self.tell_viewer(
                index,
                ViewerInput::Path {
                    kind: PathKind::Direct,
                    rtt_us,
                },
            );
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.told_rtt_us = Some(rtt_us);
            }
            self.tell_host(HostInput::Path {
                conn: ConnId(id),
                kind: PathKind::Direct,
                rtt_us,
            });
        }
    }

    /// The viewer gives its connection up; what it said last is still delivered if it asks so.
    pub(super) fn viewer_closes(&mut self, index: usize, flush: bool) {
        let seat = &mut self.seats[index];
        seat.attempt += 1;
        let Some(id) = seat.conn.take() else { return };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.viewer_open = false;
        }
        let wait = if flush { 500_000 } else { 0 };
        self.after(
            wait,
            Event::CloseConn {
                conn: id,
                by_host: false,
            },
        );
    }

    /// An end closes for good, and the other hears of it if there is a way.
    pub(super) fn close_conn(&mut self, id: u64, by_host: bool) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let weather = &self.seats[conn.seat].weather;
        let heard_after = if weather.up {
            weather.latency_us
        } else {
            IDLE_US
        };
        self.after(
            heard_after,
            Event::Gone {
                conn: id,
                host: !by_host,
            },
        );
        self.after(
            0,
            Event::Gone {
                conn: id,
                host: by_host,
            },
        );
    }

    /// One end notices that the connection is gone.
    pub(super) fn gone(&mut self, id: u64, host: bool) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let seat = conn.seat;
        if host {
            if std::mem::replace(&mut conn.host_open, false) && self.host.is_some() {
                self.closed.insert(ConnId(id));
                self.tell_host(HostInput::Disconnected { conn: ConnId(id) });
            }
        } else if std::mem::replace(&mut conn.viewer_open, false)
            && self.seats[seat].conn == Some(id)
        {
            self.seats[seat].conn = None;
            self.tell_viewer(seat, ViewerInput::Disconnected { why: "gone".into() });
        }
        if self
            .conns
            .get(&id)
            .is_some_and(|conn| !conn.host_open && !conn.viewer_open)
        {
            self.conns.remove(&id);
        }
    }

    /// The host that had this connection is no more.
    pub(super) fn forget_at_host(&mut self, id: u64) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.host_open = false;
        }
    }

    /// Sends what can be sent.
    pub(super) fn pump(&mut self, id: u64, to_host: bool) {
        let now_us = self.now_us;
        loop {
            let Some(conn) = self.conns.get_mut(&id) else {
                return;
            };
            let weather = &self.seats[conn.seat].weather;
            let pipe = if to_host {
                &mut conn.to_host
            } else {
                &mut conn.to_viewer
            };
            if !weather.up || (to_host && !conn.host_open) || (!to_host && !conn.viewer_open) {
                return;
            }
            if pipe.busy_until_us > now_us {
                let at = pipe.busy_until_us;
                return self.pump_later(id, to_host, at);
            }
            let Some(packet) = pipe.next_packet(&mut self.dice, now_us) else {
                if let Some(at) = pipe.goes_on_at_us().filter(|at| *at > now_us) {
                    self.pump_later(id, to_host, at);
                }
                return;
            };
            let is_data = matches!(packet.piece, Piece::Data(_));
            let wasted = is_data && !to_host && conn.watch.given_up.contains(&packet.stream);
            let size = match &packet.piece {
                Piece::Data(bytes) => bytes.len() as u64 + 40,
                _ => 40,
            };
            if wasted {
                let stream = packet.stream;
                return self.fail(format!(
                    "{stream:?} of connection {id} was given up and is sent"
                ));
            }
            let takes = weather
                .rate
                .map_or(0, |rate| size * 1_000_000 / rate.max(1));
            pipe.busy_until_us = now_us + takes;
            let flies = weather.latency_us + self.dice.below(weather.jitter_us + 1);
            self.after(
                takes + flies,
                Event::Arrive {
                    conn: id,
                    to_host,
                    packet,
                },
            );
        }
    }

    fn pump_later(&mut self, id: u64, to_host: bool, at_us: u64) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let pipe = if to_host {
            &mut conn.to_host
        } else {
            &mut conn.to_viewer
        };
        if pipe.pump_at_us.is_none_or(|planned| planned > at_us) {
            pipe.pump_at_us = Some(at_us);
            self.after(at_us - self.now_us, Event::Pump { conn: id, to_host });
        }
    }

    pub(super) fn pump_due(&mut self, id: u64, to_host: bool) {
        if let Some(conn) = self.conns.get_mut(&id) {
            let pipe = if to_host {
                &mut conn.to_host
            } else {
                &mut conn.to_viewer
            };
            pipe.pump_at_us = None;
        }
        self.pump(id, to_host);
    }

    pub(super) fn arrive(&mut self, id: u64, to_host: bool, packet: Packet) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let seat = conn.seat;
        let pipe = if to_host {
            &mut conn.to_host
        } else {
            &mut conn.to_viewer
        };
        if !self.seats[seat].weather.up {
            return pipe.lost(packet);
        }
        let stream = packet.stream;
        let given_up = matches!(packet.piece, Piece::Reset);
        for heard in pipe.arrive(packet) {
            if !to_host && !given_up && matches!(heard, Heard::Ended) {
                let back_us = self.seats[seat].weather.latency_us;
                self.after(back_us, Event::Delivered { conn: id, stream });
            }
            match to_host {
                true => self.host_hears(id, stream, heard),
                false => self.viewer_hears(id, stream, heard),
            }
        }
    }

    /// The host learns that the viewer has all of a stream.
    pub(super) fn delivered(&mut self, id: u64, stream: Stream) {
        if conn_is_open(&self.conns, id) && self.conns[&id].life == self.lives {
            let conn = ConnId(id);
            self.tell_host(HostInput::Delivered { conn, stream });
        }
    }

    fn host_hears(&mut self, id: u64, stream: Stream, heard: Heard) {
        let Some(conn) = self
            .conns
            .get_mut(&id)
            .filter(|conn| conn.host_open && !conn.host_closing)
        else {
            return;
        };
        // The host's driver numbers streams as their first bytes come.
        let stream = match stream {
            Stream::Input { epoch } => {
                let next = conn.input_names.len() as u32;
                Stream::Input {
                    epoch: *conn.input_names.entry(epoch).or_insert(next),
                }
            }
            Stream::History { id } => {
                let next = conn.history_names.len() as u64;
                Stream::History {
                    id: *conn.history_names.entry(id).or_insert(next),
                }
            }
            other => other,
        };
        // It hears of ends in words or not at all.
        if let Heard::Bytes(bytes) = heard {
            self.tell_host(HostInput::Received {
                conn: ConnId(id),
                stream,
                bytes,
            });
        }
    }

    fn viewer_hears(&mut self, id: u64, stream: Stream, heard: Heard) {
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| conn.viewer_open) else {
            return;
        };
        let seat = conn.seat;
        let stream = match stream {
            Stream::Track { id: epoch } => {
                let next = conn.track_names.len() as u32;
                let epoch = *conn.track_names.entry(epoch).or_insert(next);
                Stream::Track { id: epoch }
            }
            Stream::History { id } => {
                let name = conn.history_names.iter().find(|(_, host)| **host == id);
                let Some((id, _)) = name else { return };
                Stream::History { id: *id }
            }
            other => other,
        };
        if let (Stream::Control, Heard::Bytes(bytes)) = (stream, &heard) {
            self.before_viewer(id, bytes);
        }
        let input = match heard {
            Heard::Bytes(bytes) => ViewerInput::Received { stream, bytes },
            Heard::Ended => ViewerInput::StreamEnded { stream },
        };
        self.tell_viewer(seat, input);
    }

    /// The path goes down for so long, in microseconds.
    pub(super) fn cut(&mut self, index: usize, for_us: u64) {
        let now_us = self.now_us;
        let seat = &mut self.seats[index];
        if !seat.weather.up {
            return;
        }
        seat.weather.up = false;
        seat.fair_since_us = None;
        seat.down_since_us = Some(now_us);
        self.note(|| format!("viewer {index}: down for {for_us} µs"));
        self.after(for_us, Event::PathUp { seat: index });
        self.after(
            IDLE_US,
            Event::Silent {
                seat: index,
                since_us: now_us,
            },
        );
    }

    pub(super) fn path_up(&mut self, index: usize) {
        let now_us = self.now_us;
        let seat = &mut self.seats[index];
        if seat.weather.up {
            return;
        }
        seat.weather.up = true;
        let outage_us = now_us - seat.down_since_us.take().unwrap_or(now_us);
        let stalls = now_us < self.wild_until_us && self.dice.one_in(2);
        self.note(|| format!("viewer {index}: up after {outage_us} µs, stalls: {stalls}"));
        let of_seat = self.conns.iter_mut().filter(|(_, conn)| conn.seat == index);
        let mut ids = Vec::new();
        for (id, conn) in of_seat {
            conn.recover(&mut self.dice, now_us, outage_us, stalls);
            ids.push(*id);
        }
        for id in ids {
            self.pump(id, true);
            self.pump(id, false);
        }
    }

    /// Connections that got nothing through for so long are dead, at both ends.
    pub(super) fn silent(&mut self, index: usize, since_us: u64) {
        if self.seats[index].down_since_us != Some(since_us) {
            return;
        }
        let ids: Vec<u64> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.seat == index)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.gone(id, true);
            self.gone(id, false);
        }
    }
}
