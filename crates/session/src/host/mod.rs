//! The host: one program's output in, frames out; intents in, authorised input out.
//!
//! `Host` is one value without IO, made of four machines, each of which owns its state: `Door` who may come in,
//! `People` who is here and what each may do, `Tracks` what the programs show and take, and `Commands` what
//! waits for a yes and what the log says of who did it. `Host` routes: it decides nothing that one of them can decide
//! alone. Every method of a machine is given the `Context`, which is the clock, the `Timers`, the connections and
//! what the session is, and puts into it what is to be done.
//!
//! Below them stand `api` what goes in and comes out, `conn` who is connected, `fault` why a connection is ended,
//! `principal` on whose authority something is done, and `rate` how often.

mod api;
pub mod commands;
mod conn;
mod context;
mod door;
mod fault;
mod people;
mod principal;
mod rate;
mod timers;
mod tracks;

use std::collections::VecDeque;

use iroh_base::EndpointAddr;
use pillion_caps::{PeerEndpoint, PublicKey, SecretKey};
use pillion_conversation::Conversation;
use pillion_people::Name;
use pillion_proto::{FromHost, ParticipantId, TrackId, limits::MAX_NAME};
use pillion_screen::clean::clean_name;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use crate::{
    host::commands::verbs::{CommandError, Done},
    types::Now,
};

use self::{
    commands::Commands,
    conn::Conns,
    context::{Context, FanOut, Keys, Names},
    door::{Door, sharing::Sharing},
    people::{People, records::Recorder, rights::Grants, roster::Roster},
    timers::{Timer, Timers},
    tracks::{Tracks, track::Track},
};

pub use api::*;
pub use commands::confirm::CONFIRM_WITHIN_US;
pub use commands::question::{Offer, Question, Unverified, WhoLine};
pub use people::records::{Forgetful, Records};
pub use tracks::pack::{HistoryJob, PackedHistory};

/// How often grants are compared with the wall clock at least, in microseconds: it may jump.
const LOOK_AT_CLOCK_US: u64 = 30_000_000;

/// For so long somebody who typed is said to type, in microseconds.
const MOMENT_US: u64 = 2_000_000;

/// One hosted session.
pub struct Host {
    cx: Context,
    door: Door,
    people: People,
    tracks: Tracks,
    commands: Commands,
}

impl Host {
    /// A host that shares nothing yet (`Command::Share` starts that). Its first output has the identity
    /// sign that the session is its own.
    pub fn new(config: HostConfig, now: Now) -> Host {
        let session = config.session_key.public();
        let rights = Grants::new(session, config.read_only, config.ledger);
        let remote_input = rights.was_edited();
        let host_name = Name::in_text(&config.host_name);
        let host_name = host_name.map_or_else(|| "the host".to_owned(), |name| name.to_string());
        let endpoint = iroh_base::EndpointId::from_bytes(session.as_bytes())
            .expect("a key made from a secret is one that iroh takes");
        let (program, host) = (&config.program, people::roster::HOST);
        let main = match config.conversation {
            Some(gate) => Track::conversation(tracks::MAIN, "", program, gate, host, now.mono_us),
            None => Track::terminal(tracks::MAIN, "", program, host, config.size, now.mono_us),
        }
        .chained(&session, config.run);
        let begins = main.beginning(now.unix_ms);
        let link = config.link.map(|seed| SecretKey::from_bytes(&seed));
        let sharing = Sharing::new(EndpointAddr::new(endpoint), link, config.relay_token);
        let roster = Roster::new(&host_name, &config.identity);
        let mut host = Host {
            cx: Context {
                now,
                timers: Timers::new(),
                conns: Conns::new(),
                keys: Keys {
                    identity: config.identity,
                    session: config.session_key,
                    owner: config.owner,
                },
                names: Names {
                    session: clean_name(&config.name, MAX_NAME),
                    host: host_name,
                    software: config.software,
                },
                run: config.run,
                started_unix_ms: now.unix_ms,
                read_only: config.read_only,
                edit_ttl_ms: config.edit_ttl_ms,
                shared: false,
                has_tty: config.has_tty,
                lost_tty: false,
                acting: None,
                door_changed: false,
                standings_changed: Vec::new(),
                rng: ChaCha20Rng::from_seed(config.seed),
                out: VecDeque::new(),
                fan_out: FanOut::new(),
            },
            door: Door::new(
                sharing,
                config.allow,
                config.knock_wait_ms,
                config.lists,
                now.mono_us,
            ),
            people: People::new(rights, Recorder::new(config.records), roster),
            tracks: Tracks::new(main, config.size, now.mono_us),
            commands: Commands::new(remote_input, now.mono_us),
        };
        host.door.request_certificate(&mut host.cx);
        host.cx.push(begins);
        host
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, input: HostInput) {
        self.cx.now = Now {
            mono_us: self.cx.now.mono_us.max(now.mono_us),
            unix_ms: now.unix_ms,
        };
        match input {
            HostInput::Output { track, bytes, more } => {
                self.tracks.on_output(&mut self.cx, track, &bytes, more)
            }
            HostInput::Written { track, seq } => self.tracks.on_written(&mut self.cx, track, seq),
            HostInput::Discarded { track, upto } => {
                self.tracks.on_discarded(&mut self.cx, track, upto)
            }
            HostInput::Spawned { track } => self.on_spawned(track),
            HostInput::SpawnFailed { track, why } => self.on_spawn_failed(track, &why),
            HostInput::OpenLog { request, title } => self.open_log(request, &title),
            HostInput::Entry { track, key, json } => {
                self.tracks.on_entry(&mut self.cx, track, &key, json)
            }
            HostInput::Conversation { track, entry } => self.on_conversation(track, &entry),
            HostInput::Agent { track, news } => self.on_agent(track, &news),
            HostInput::Exited { track, state } => self.on_exited(track, state),
            HostInput::Resized { track, size } => self.tracks.on_resized(&mut self.cx, track, size),
            HostInput::Tty(news) => self.commands.on_tty(&mut self.cx, news),
            HostInput::EarlyConnected { conn, peer, from } => {
                self.on_connected(conn, PeerEndpoint::Proved(peer), from, None);
            }
            HostInput::HandshakeConfirmed { conn, binding } => {
                self.on_handshake_confirmed(conn, binding)
            }
            HostInput::Connected {
                conn,
                peer,
                from,
                binding,
            } => self.on_connected(conn, peer, from, Some(binding)),
            HostInput::Received {
                conn,
                stream,
                bytes,
            } => self.on_received(conn, stream, &bytes),
            HostInput::Path { conn, kind, rtt_us } => self.on_path(conn, kind, rtt_us),
            HostInput::Disconnected { conn } => self.forget(conn),
            HostInput::Signed { request, signature } => self.on_signed(request, signature),
            HostInput::NotSigned { request, why } => self.on_not_signed(request, &why),
            HostInput::Addresses { addr } => self.on_addresses(addr),
            HostInput::Command {
                request,
                by,
                command,
            } => self.on_command(request, by, command),
            HostInput::Confirmed { request, yes } => self.on_confirmed(request, yes),
            HostInput::Withdrawn { request } => self.commands.on_withdrawn(&mut self.cx, request),
            HostInput::History(packed) => self.tracks.on_history(&mut self.cx, packed),
            HostInput::Delivered { conn, stream } => {
                self.tracks.on_delivered(&mut self.cx, conn, stream)
            }
            HostInput::Trust(trust) => self.on_trust(*trust),
            HostInput::CodeUsed { number, guest } => {
                self.door.on_code_used(&mut self.cx, number, guest)
            }
            HostInput::Removals(removals) => self.on_removals(removals),
            HostInput::KeyLists(found) => self.on_lists(found),
            HostInput::Tick => {}
        }
        self.run_due();
        self.tell_conversations();
        let framed = self.tracks.frames_if_due(&mut self.cx);
        self.tracks.tell_written_if_due(&mut self.cx, framed);
        self.tracks.catch_up(&mut self.cx);
        self.tracks.sign_due(&mut self.cx);
        self.people.tell_roster(&mut self.cx);
        self.tracks.tell_tracks(&mut self.cx);
        self.tracks.tell_activity(&mut self.cx);
        self.door.tell_knocks(&mut self.cx, &self.people);
        self.tracks.step_history(&mut self.cx);
        self.people.tell_shortfall(&mut self.cx);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<HostOutput> {
        self.cx.out.pop_front()
    }

    /// How many viewers are connected.
    pub fn viewers(&self) -> usize {
        self.cx.conns.viewer_count()
    }

    /// Whether anybody can join.
    pub fn is_shared(&self) -> bool {
        self.cx.shared
    }

    /// An agent's conversation as it is now, with all of its entries.
    pub fn conversation(&self, track: TrackId) -> Option<&Conversation> {
        self.tracks.shown_conversation(track)
    }

    /// Who typed last, of those who did within the last two seconds.
    pub fn typist(&self) -> Option<(ParticipantId, &str)> {
        let typist = self.people.roster().typist()?;
        Some((typist.id, typist.name.as_str()))
    }

    /// When to call `handle` with a [`HostInput::Tick`] at the latest, on [`Now::mono_us`]'s clock.
    pub fn wake_at(&self) -> Option<u64> {
        self.cx.timers.next()
    }

    /// What waited for a time that is here; each sets its timer again for what is left.
    fn run_due(&mut self) {
        for timer in Timers::EXPIRIES {
            if self.cx.timers.take_due(timer, self.cx.now.mono_us) {
                self.expire(timer);
            }
        }
    }

    fn expire(&mut self, timer: Timer) {
        match timer {
            Timer::Joiners => self.expire_joiners(),
            Timer::Knocks => self.expire_knocks(),
            Timer::Codes => self.door.expire_codes(&mut self.cx),
            Timer::Rights => self
                .people
                .refresh_standings(&mut self.cx, people::standing::ChangeReason::Expired),
            Timer::Confirms => self.commands.expire_confirms(&mut self.cx),
            Timer::Tickets => self.answer_waiting(),
            Timer::Typing => self.people.expire_typing(&mut self.cx),
            Timer::Spans => self.commands.expire_spans(&mut self.cx),
            Timer::Visits => self.door.expire_visits(&mut self.cx, &self.people),
            Timer::Lanes => self.tracks.check_lanes(&mut self.cx),
            Timer::Silence => self.people.note_silence(&mut self.cx),
            Timer::Margins => self.tracks.log_margins_put_off(&mut self.cx),
            Timer::Owed => self.people.write_owed(&mut self.cx),
            Timer::Conversations => self.expire_conversations(),
            // Looked at at the end of every input.
            Timer::Frames
            | Timer::Accepted
            | Timer::CatchUp
            | Timer::Checkpoints
            | Timer::Roster
            | Timer::Tracks
            | Timer::Activity
            | Timer::History => {}
        }
    }
}

impl Commands {
    fn done(&mut self, cx: &mut Context, request: u64, result: Result<Done, CommandError>) {
        self.say_changed(cx, request, &result);
        self.log_command(cx, request, &result);
        cx.push(HostOutput::Done { request, result });
    }
}

impl People {
    /// Looks at the clock when the next grant ends, and now and then in between.
    fn arm_expiry(&mut self, cx: &mut Context) {
        let Some(end) = self.rights().next_end() else {
            return cx.timers.clear(Timer::Rights);
        };
        let left_us = end.0.saturating_sub(cx.now.unix_ms).saturating_mul(1000);
        let wait_us = left_us.min(LOOK_AT_CLOCK_US);
        let at = cx.now.mono_us.saturating_add(wait_us);
        cx.timers.set(Timer::Rights, at);
    }

    /// Somebody typed.
    fn note_typing(&mut self, cx: &mut Context, who: &PublicKey) {
        let until = cx.now.mono_us.saturating_add(MOMENT_US);
        self.roster_mut().note_typing(who, until);
        cx.timers.set_by(Timer::Typing, until);
    }

    fn expire_typing(&mut self, cx: &mut Context) {
        if let Some(next) = self.roster_mut().expire_typing(cx.now.mono_us) {
            cx.timers.set_by(Timer::Typing, next);
        }
    }

    fn tell_roster(&mut self, cx: &mut Context) {
        let Some(due) = self.roster_mut().due_at_us(cx.now.mono_us) else {
            return;
        };
        if cx.now.mono_us < due {
            return cx.timers.set(Timer::Roster, due);
        }
        cx.timers.clear(Timer::Roster);
        let changes = self.roster_mut().take_changes(cx.now.mono_us);
        let messages: Vec<FromHost> = changes.into_iter().map(FromHost::Roster).collect();
        cx.broadcast(&messages);
    }
}
