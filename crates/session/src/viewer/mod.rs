//! The viewer: what it sees, and the only way back to the source.
//!
//! [`Viewer`] is one value without IO: `track` turns the tracks' streams into what is shown, `input`
//! numbers what the person types and sends it until the host has it, `history` fetches lines. This file is the connection: coming in, staying, coming back.

mod api;
mod history;
mod input;
mod joining;
mod track;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use pillion_caps::SecretKey;
use pillion_conversation::Conversation;
use pillion_proto::{
    CommandAnswer, CommandRequest, Ended, Framer, FromHost, FromViewer, Intent, LogState, PathKind,
    Ping, ProtocolError, Refused, RefusedCode, Right, RightChanged, RightReason, Rights,
    RosterChange, Text, TrackId, TrackState, Waiting,
    limits::{MAX_CONTROL_MESSAGE, MAX_GRANTS_IN_HELLO, MAX_NAME, MAX_SENTENCE},
};
use pillion_screen::{Screen, clean::clean_name};

pub use api::*;

use crate::{
    host::commands::verbs::{Command, CommandError, Done},
    types::{Now, Stream},
};

use history::HistoryFetcher;
use input::InputSender;
use joining::UnsignedHello;
use track::Receivers;

/// Waits before the first, second, … try to reach the host, in microseconds; then the last one
/// again and again, until the person leaves.
const RETRY_AFTER_US: [u64; 7] = [
    0, 250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 5_000_000,
];

/// Silence on one side after which a sign of life is given and asked for, in microseconds. One costs an idle
/// viewer 5.6 times waking up. Two fit into the 2.5 s after which the host says that somebody is silent, so one may be
/// lost.
const PING_AFTER_US: u64 = 1_200_000;

/// Silence after which the viewer says that nothing comes any more, in microseconds.
const STALLED_AFTER_US: u64 = 2_000_000;

/// Silence after which a new connection is tried, in microseconds: data in flight on a path that
/// died can stall 5–23 s on the old one (noq issue 516), and coming back takes a round trip or two.
const RECONNECT_AFTER_US: u64 = 4_000_000;

/// How long the person's key may take to sign, in microseconds: less than a host waits for a hello.
const SIGN_WITHIN_US: u64 = 8_000_000;

/// How long a host may take to answer a hello, in microseconds.
const WELCOME_WITHIN_US: u64 = 10_000_000;

/// Most people kept of a roster: more than a host lets in.
const MAX_ROSTER: usize = 4096;

/// One viewer of one session.
pub struct Viewer {
    config: ViewerConfig,
    /// Presented at every hello: those given at the start, then those the host pushed.
    grants: VecDeque<(Bytes, Option<SecretKey>)>,
    view: View,
    now: Now,
    out: VecDeque<ViewerOutput>,
    /// The view changed since the last event said so.
    changed: bool,
    link: Option<Link>,
    /// The driver is making a connection.
    dialing: bool,
    /// Failures since the viewer was last let in.
    failures: u32,
    retry_at_us: u64,
    was_in: bool,
    /// Commands so far.
    commands: u32,
    /// Requests to sign so far: the number of the newest.
    sign_requests: u64,
    receivers: Receivers,
    typing: InputSender,
    asking: HistoryFetcher,
}

/// A connection.
struct Link {
    /// The handshake is complete, and a hello was sent or waits to be signed.
    proved: bool,
    /// The hello that waits for the person's key.
    unsigned: Option<UnsignedHello>,
    framer: Framer,
    since_us: u64,
    heard_at_us: u64,
    /// When we last said something.
    said_at_us: u64,
    pinged: Option<(u64, u64)>,
    pings: u64,
    welcomed: bool,
    /// The host is being asked, and says that it will have answered by then.
    answer_by_us: Option<u64>,
}

impl Link {
    /// Since when one side has said nothing. The host takes a viewer that says nothing for gone, as the viewer does
    /// the host.
    fn quiet_since_us(&self) -> u64 {
        self.heard_at_us.min(self.said_at_us)
    }

    /// Whether the host has this viewer's hello.
    fn has_said_hello(&self) -> bool {
        self.proved && self.unsigned.is_none()
    }

    /// By when the person's key must have signed, then the host must have said yes or no.
    fn welcome_by_us(&self) -> u64 {
        if self.unsigned.is_some() {
            return self.since_us.saturating_add(SIGN_WITHIN_US);
        }
        let since = self.answer_by_us.unwrap_or(self.since_us);
        since.saturating_add(WELCOME_WITHIN_US)
    }
}

impl Viewer {
    /// A viewer that wants to connect.
    pub fn new(config: ViewerConfig, now: Now) -> Viewer {
        let grants = config
            .grants
            .iter()
            .take(MAX_GRANTS_IN_HELLO)
            .cloned()
            .collect();
        let mut viewer = Viewer {
            grants,
            view: View {
                phase: Phase::Connecting {
                    attempt: 1,
                    why: None,
                    retry_at_us: now.mono_us,
                },
                screen: None,
                frame: 0,
                version: 0,
                row_versions: Vec::new(),
                track: (TrackId::default(), TrackState::Live),
                tracks: Vec::new(),
                active: BTreeSet::new(),
                verified: BTreeMap::new(),
                host_shows: TrackId::default(),
                follows: true,
                chosen: None,
                session_name: String::new(),
                host_name: String::new(),
                identity: config.identity,
                host_identity: None,
                you: None,
                roster: Vec::new(),
                rights: Rights::VIEW,
                until_unix_ms: None,
                read_only: false,
                asking: false,
                door: None,
                path: PathKind::Unknown,
                rtt_us: 0,
                lag_us: 0,
                unconfirmed: 0,
            },
            now,
            out: VecDeque::new(),
            changed: false,
            link: None,
            dialing: false,
            failures: 0,
            retry_at_us: now.mono_us,
            was_in: false,
            commands: 0,
            sign_requests: 0,
            receivers: Receivers::new(),
            typing: InputSender::new(),
            asking: HistoryFetcher::new(),
            config,
        };
        if viewer.config.inside.contains(&viewer.config.session) {
            viewer.end(Ending::InsideItself, false);
        } else {
            viewer.connect_if_due();
        }
        viewer
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, input: ViewerInput) {
        self.now = Now {
            mono_us: self.now.mono_us.max(now.mono_us),
            unix_ms: now.unix_ms,
        };
        if self.view.phase == Phase::Ended {
            return;
        }
        match input {
            ViewerInput::EarlyConnected => self.on_early_connected(),
            ViewerInput::Connected(connected) => self.on_connected(&connected),
            ViewerInput::Received { stream, bytes } => self.on_received(stream, &bytes),
            ViewerInput::StreamEnded { stream } => self.on_stream_ended(stream),
            ViewerInput::Path { kind, rtt_us } => self.on_path(kind, rtt_us),
            ViewerInput::Disconnected { why } => self.on_disconnected(&why),
            ViewerInput::Signed {
                request,
                signatures,
            } => self.on_signed(request, &signatures),
            ViewerInput::NotSigned { request, why } => self.on_not_signed(request, &why),
            ViewerInput::Claims(claims) => self.config.claims = claims,
            ViewerInput::Keys(bytes) => self.on_keys(&bytes),
            ViewerInput::RequestEdit => self.on_request_edit(),
            ViewerInput::Look(tracks) => self.on_look(&tracks),
            ViewerInput::OpenTerminal { title } => self.on_request(Intent::Open {
                title: Text::cut(&clean_name(&title, MAX_NAME)),
            }),
            ViewerInput::Converse { track, request } => self.on_converse(track, request),
            ViewerInput::CloseTrack(track) => self.on_request(Intent::Close { track }),
            ViewerInput::WantEntries { track, from, count } => {
                self.want_entries(track, from, count);
            }
            ViewerInput::WantHistory { from, count } => self.want_history(from, count),
            ViewerInput::Command(command) => self.on_command(&command),
            ViewerInput::Leave => self.on_leave(),
            ViewerInput::Tick => {}
        }
        self.run_due();
        self.acknowledge();
        if std::mem::take(&mut self.changed) {
            self.event(ViewerEvent::Changed);
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<ViewerOutput> {
        self.out.pop_front()
    }

    /// When to call `handle` with a [`ViewerInput::Tick`] at the latest.
    pub fn wake_at(&self) -> Option<u64> {
        if self.view.phase == Phase::Ended {
            return None;
        }
        let Some(link) = &self.link else {
            return (!self.dialing).then_some(self.retry_at_us);
        };
        if !link.proved {
            // Anybody who makes the connection says when it takes too long.
            return None;
        }
        if !link.welcomed {
            return Some(link.welcome_by_us());
        }
        let silent_at_us = match (&link.pinged, &self.view.phase) {
            (None, _) => link.quiet_since_us().saturating_add(PING_AFTER_US),
            (Some(_), Phase::Live) => link.heard_at_us.saturating_add(STALLED_AFTER_US),
            (Some(_), _) => link.heard_at_us.saturating_add(RECONNECT_AFTER_US),
        };
        let times = [
            Some(silent_at_us),
            self.receivers.ask_at_us(),
            self.receivers.acknowledge_at_us(),
            self.typing.stuck_at_us(self.view.rtt_us),
            self.asking.retry_at_us(),
        ];
        times.into_iter().flatten().min()
    }

    /// What to show.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The screen of a terminal among those that were chosen to be looked at.
    pub fn screen(&self, track: TrackId) -> Option<&Screen> {
        self.receivers.screen(track)
    }

    /// The state of a log among those that were chosen to be looked at.
    pub fn log(&self, track: TrackId) -> Option<&LogState> {
        self.receivers.log(track)
    }

    /// A conversation that is looked at.
    pub fn conversation(&self, track: TrackId) -> Option<&Conversation> {
        self.receivers.conversation(track)
    }

    fn event(&mut self, event: ViewerEvent) {
        self.out.push_back(ViewerOutput::Event(event));
    }

    fn say(&mut self, notice: ViewerNotice) {
        self.event(ViewerEvent::Said(Box::new(notice)));
    }

    fn send(&mut self, message: &FromViewer) {
        let mut out = BytesMut::new();
        message.encode(&mut out);
        self.send_on(Stream::Control, out.freeze());
    }

    fn send_on(&mut self, stream: Stream, bytes: Bytes) {
        if let Some(link) = &mut self.link {
            link.said_at_us = self.now.mono_us;
        }
        self.out.push_back(ViewerOutput::Send { stream, bytes });
    }

    fn set_phase(&mut self, phase: Phase) {
        if self.view.phase != phase {
            self.view.phase = phase;
            self.changed = true;
        }
    }

    /// Whether the host has let this viewer in on the connection it has.
    fn is_in(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.welcomed)
    }

    /// It is over, for good.
    fn end(&mut self, why: Ending, regular: bool) {
        if self.link.take().is_some() || self.dialing {
            self.out.push_back(ViewerOutput::Close);
        }
        self.view.phase = Phase::Ended;
        let why = Box::new(why);
        self.event(ViewerEvent::Ended { why, regular });
    }

    fn run_due(&mut self) {
        if self.view.phase == Phase::Ended {
            return;
        }
        self.connect_if_due();
        self.watch_silence();
        if self.is_in() {
            self.ask_for_snapshot();
            self.resend_stuck_input();
            self.ask_for_history();
        }
    }

    fn connect_if_due(&mut self) {
        if self.link.is_none() && !self.dialing && self.now.mono_us >= self.retry_at_us {
            self.dialing = true;
            self.out.push_back(ViewerOutput::Connect);
        }
    }

    /// Plans the next try.
    fn retry(&mut self, why: Interruption) {
        self.lose_link();
        self.dialing = false;
        let wait = RETRY_AFTER_US[(self.failures as usize).min(RETRY_AFTER_US.len() - 1)];
        self.failures = self.failures.saturating_add(1);
        self.retry_at_us = self.now.mono_us.saturating_add(self.jittered(wait));
        self.set_phase(Phase::Connecting {
            attempt: self.failures,
            why: Some(why),
            retry_at_us: self.retry_at_us,
        });
    }

    /// A wait between three and five quarters of `wait`, so that viewers cut off together don't come
    /// back together. The join instance is random, and the number of failures moves on in it.
    fn jittered(&self, wait: u64) -> u64 {
        let bytes = self.config.join.0;
        let byte = bytes[self.failures as usize % bytes.len()];
        wait / 4 * 3 + wait / 512 * u64::from(byte)
    }

    /// A connection that resumes an earlier one is on its way.
    fn on_early_connected(&mut self) {
        self.begin_link();
        let resume = self.resume();
        self.send(&FromViewer::Resume(resume));
    }

    fn on_connected(&mut self, connected: &Connected) {
        self.dialing = false;
        if self.link.is_none() {
            self.begin_link();
        }
        let now = self.now.mono_us;
        if let Some(link) = &mut self.link {
            link.proved = true;
            (link.since_us, link.heard_at_us) = (now, now);
        }
        self.set_phase(Phase::Joining);
        self.ask_to_sign(connected);
    }

    /// Nothing of an earlier connection holds on a new one.
    fn begin_link(&mut self) {
        let now = self.now.mono_us;
        self.lose_link();
        self.link = Some(Link {
            proved: false,
            unsigned: None,
            framer: Framer::new(MAX_CONTROL_MESSAGE),
            since_us: now,
            heard_at_us: now,
            said_at_us: now,
            pinged: None,
            pings: 0,
            welcomed: false,
            answer_by_us: None,
        });
    }

    fn lose_link(&mut self) {
        let link = self.link.take();
        let heard_at_us = link.map_or(self.now.mono_us, |link| link.heard_at_us);
        self.receivers.disconnected();
        self.typing.disconnected(heard_at_us);
        self.asking.disconnected();
    }

    fn on_disconnected(&mut self, why: &str) {
        if self.link.is_some() || self.dialing {
            let why = clean_name(why, MAX_SENTENCE);
            self.retry(Interruption::Transport(why));
        }
    }

    fn on_path(&mut self, kind: PathKind, rtt_us: u32) {
        self.changed |= (self.view.path, self.view.rtt_us) != (kind, rtt_us);
        (self.view.path, self.view.rtt_us) = (kind, rtt_us);
    }

    fn on_received(&mut self, stream: Stream, bytes: &[u8]) {
        let now = self.now.mono_us;
        let Some(link) = &mut self.link else { return };
        link.heard_at_us = now;
        if matches!(self.view.phase, Phase::Stalled { .. }) {
            self.set_phase(Phase::Live);
        }
        let outcome = match stream {
            Stream::Control => self.on_control(bytes),
            Stream::Track { id } => self.on_track(id, bytes),
            Stream::History { id } => self.on_history(id, bytes),
            Stream::Input { .. } => Ok(()),
        };
        // Whatever came was the sign of life that may have been asked for.
        if let Some(link) = &mut self.link {
            link.pinged = None;
        }
        if let Err(error) = outcome {
            self.end(Ending::Protocol(error), false);
        }
    }

    fn on_control(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        if let Some(link) = &mut self.link {
            link.framer.push(bytes);
        }
        // The connection may end with any of its messages.
        while let Some(link) = &mut self.link {
            let Some((tag, payload)) = link.framer.next_message()? else {
                break;
            };
            let (greeted, welcomed) = (link.has_said_hello(), link.welcomed);
            match FromHost::decode(tag, &payload)? {
                FromHost::Welcome(_) if !greeted => {
                    return Err(ProtocolError::Malformed("a welcome before the hello"));
                }
                FromHost::Welcome(welcome) if !welcomed => self.on_welcome(*welcome)?,
                FromHost::Welcome(_) => return Err(ProtocolError::Malformed("a second welcome")),
                FromHost::Refused(refused) => self.on_refused(refused),
                FromHost::Waiting(waiting) if greeted && !welcomed => self.on_waiting(waiting),
                FromHost::Waiting(_) => {
                    return Err(ProtocolError::Malformed("a waiting out of place"));
                }
                FromHost::Pong(_) if !welcomed => {}
                FromHost::Ended(ended) => self.on_ended(ended),
                FromHost::Unknown(_) => {}
                _ if !welcomed => {
                    return Err(ProtocolError::Malformed("something before the welcome"));
                }
                message => self.on_message(message),
            }
        }
        Ok(())
    }

    fn on_message(&mut self, message: FromHost) {
        match message {
            FromHost::Roster(change) => self.on_roster(change),
            FromHost::Right(right) => self.set_right(right),
            FromHost::RequestAnswer(answer) => {
                self.view.asking = false;
                self.changed = true;
                self.say(ViewerNotice::RequestRefused(answer.why));
            }
            FromHost::Accepted(accepted) => self.on_accepted(accepted.track, accepted.upto),
            FromHost::Dropped(dropped) => {
                self.on_dropped(dropped);
            }
            FromHost::Pong(pong) => self.on_pong(pong),
            FromHost::Tracks(change) => self.on_tracks(change),
            FromHost::Shows(shows) => self.on_host_shows(shows.track),
            FromHost::Activity(activity) => self.on_activity(&activity.tracks),
            FromHost::Grant(push) => self.keep_grant(push.grant),
            FromHost::Notice(notice) => self.say(ViewerNotice::Host(notice.what)),
            FromHost::CommandAnswer(answer) => self.on_answer(&answer),
            FromHost::Knocks(knocks) => {
                self.view.door = Some(knocks);
                self.changed = true;
            }
            // Handled where the connection is: they may end it.
            FromHost::Welcome(_)
            | FromHost::Waiting(_)
            | FromHost::Refused(_)
            | FromHost::Ended(_)
            | FromHost::Unknown(_) => {}
        }
    }

    fn on_roster(&mut self, change: RosterChange) {
        let roster = &mut self.view.roster;
        for info in change.changed {
            match roster.binary_search_by_key(&info.id, |known| known.id) {
                Ok(at) => roster[at] = info,
                Err(at) if roster.len() < MAX_ROSTER => roster.insert(at, info),
                Err(_) => {}
            }
        }
        roster.retain(|known| !change.gone.contains(&known.id));
        self.changed = true;
    }

    fn set_right(&mut self, right: RightChanged) {
        self.view.rights = right.rights;
        self.view.until_unix_ms = right.until_unix_ms;
        self.set_tenure(right.edit_epoch);
        if right.rights.exceeds_view() {
            self.view.asking = false;
        }
        if !right.rights.has(Right::Manage) {
            self.view.door = None;
        }
        self.changed = true;
        if right.why != Some(RightReason::Standing) {
            self.say(ViewerNotice::Right {
                rights: right.rights,
                until_unix_ms: right.until_unix_ms,
                why: right.why,
            });
        }
    }

    fn on_pong(&mut self, pong: Ping) {
        let now = self.now.mono_us;
        let Some(link) = &mut self.link else { return };
        if let Some((nonce, at)) = link.pinged
            && nonce == pong.nonce
        {
            link.pinged = None;
            let took = u32::try_from(now.saturating_sub(at)).unwrap_or(u32::MAX);
            if self.view.path == PathKind::Unknown {
                self.view.rtt_us = took;
            }
            self.view.lag_us = took.saturating_sub(self.view.rtt_us);
            self.changed = true;
        }
    }

    /// Keeps a grant to present when coming back; the newest ones, as many as a hello may have.
    fn keep_grant(&mut self, grant: Bytes) {
        self.grants.retain(|(known, _)| *known != grant);
        self.grants.push_back((grant, None));
        if self.grants.len() > MAX_GRANTS_IN_HELLO {
            self.grants.pop_front();
        }
    }

    fn on_refused(&mut self, refused: Refused) {
        if !refused.code.is_final() {
            self.out.push_back(ViewerOutput::Close);
            return self.retry(Interruption::Refused(refused));
        }
        // A viewer that was cut off while the host stopped comes back to a closed door.
        let regular = self.was_in && refused.code == RefusedCode::NOT_SHARED;
        self.end(Ending::Refused(refused), regular);
    }

    fn on_ended(&mut self, ended: Ended) {
        self.end(Ending::Ended(ended), true);
    }

    fn on_request_edit(&mut self) {
        let no = match () {
            () if self.config.read_only => NotAsked::ReadOnlyViewer,
            () if self.view.rights.exceeds_view() => NotAsked::HasEdit,
            () if self.view.read_only => NotAsked::ReadOnly,
            () if !self.is_in() => NotAsked::NotConnected,
            () if self.view.asking => NotAsked::Asked,
            () => {
                self.view.asking = true;
                self.changed = true;
                return self.send(&FromViewer::RequestEdit);
            }
        };
        self.say(ViewerNotice::NotAsked(no));
    }

    /// The host is being asked. However long it says that takes, it can't make this viewer wait for ever.
    fn on_waiting(&mut self, waiting: Waiting) {
        let now = self.now.mono_us;
        let until_us = now.saturating_add(u64::from(waiting.wait_ms) * 1000);
        if let Some(link) = &mut self.link {
            link.answer_by_us = Some(until_us);
        }
        self.set_phase(Phase::Knocking {
            you: waiting.you,
            wait_ms: waiting.wait_ms,
            until_us,
        });
    }

    fn on_command(&mut self, command: &Command) {
        if !self.is_in() {
            return self.say(ViewerNotice::NotConnected);
        }
        self.commands = self.commands.wrapping_add(1);
        let id = self.commands;
        let (verb, body) = command.to_wire();
        self.send(&FromViewer::Command(CommandRequest { id, verb, body }));
    }

    fn on_answer(&mut self, answer: &CommandAnswer) {
        let result = match answer.done {
            true => Ok(Done::from_wire(answer.verb, &answer.body)),
            false => Err(CommandError::from_wire(&answer.body)),
        };
        let event = ViewerEvent::Answered(Box::new(result));
        self.out.push_back(ViewerOutput::Event(event));
    }

    fn on_leave(&mut self) {
        // Who waits at the door leaves, too.
        let knocking = (self.link.as_ref()).is_some_and(|link| link.answer_by_us.is_some());
        if self.is_in() || knocking {
            self.send(&FromViewer::Leave);
            self.out.push_back(ViewerOutput::Finish {
                stream: Stream::Control,
            });
        }
        self.end(Ending::Left, true);
    }

    fn on_stream_ended(&mut self, stream: Stream) {
        match stream {
            Stream::Track { id } => self.receivers.let_go(id),
            Stream::History { id } => self.asking.stream_ended(id, self.now.mono_us),
            Stream::Control | Stream::Input { .. } => {}
        }
    }

    /// Asks for a sign of life, says that there is none, and tries a new connection, in that order.
    fn watch_silence(&mut self) {
        let now = self.now.mono_us;
        let Some(link) = self.link.as_mut().filter(|link| link.proved) else {
            return;
        };
        if !link.welcomed {
            if now >= link.welcome_by_us() {
                let why = match link.unsigned {
                    Some(_) => Interruption::NotSigned,
                    None => Interruption::NoAnswer,
                };
                self.out.push_back(ViewerOutput::Close);
                self.retry(why);
            }
            return;
        }
        let (heard, silence) = (link.heard_at_us, now.saturating_sub(link.heard_at_us));
        let quiet = now.saturating_sub(link.quiet_since_us());
        if quiet >= PING_AFTER_US && link.pinged.is_none() {
            link.pings += 1;
            let nonce = link.pings;
            link.pinged = Some((nonce, now));
            self.send(&FromViewer::Ping(Ping { nonce }));
        }
        if silence >= RECONNECT_AFTER_US {
            self.out.push_back(ViewerOutput::Close);
            self.retry(Interruption::Silence);
            self.connect_if_due();
        } else if silence >= STALLED_AFTER_US && self.view.phase == Phase::Live {
            self.set_phase(Phase::Stalled { since_us: heard });
        }
    }
}
