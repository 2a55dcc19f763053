//! The world: what there is, what time it is, and what happens next.

mod access;
mod actions;
mod check_commands;
mod check_messages;
mod comings;
mod conversations;
mod fault_injection;
mod hostile;
mod hosting;
mod invariants;
mod network;
mod quiescence;
#[cfg(test)]
mod tests;
mod trace;
mod tracks;
mod viewing;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pillion_caps::{PublicKey, SecretKey, Subject, UnixMillis};
use pillion_conversation::Order;
use pillion_people::{Claim, Serial, TeamKey};
use pillion_proto::{ParticipantId, TrackId, TrackState};
use pillion_screen::Size;
use pillion_session::{ConnId, HostInput, Now, Stream};

use crate::{link::Packet, model::Model, rng::Dice};

use hosting::HostSide;
use network::Conn;
use viewing::Seat;

/// The program that a session begins with.
const TERMINAL: TrackId = TrackId(0);

/// 1 May 2026, where the clocks begin, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_777_593_600_000;

/// Something that is not right on purpose, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Everything does its part.
    None,
    /// The host's driver forgets to wake it up.
    DropHostWake,
    /// The viewers' drivers forget to wake them up.
    DropViewerWake,
    /// The host's driver writes an input twice.
    RepeatInput,
    /// An input reaches the program whose writer may not type.
    WriteWithoutRight,
    /// The host's driver goes on sending what was given up.
    SkipReset,
    /// An entry of the ledger that was said to be on disk is not there after a crash.
    ForgetLedger,
    /// A frame's payload is another one's.
    SwapFrame,
    /// One viewer gets another frame than the others, under the same number.
    ForkFrame,
    /// Lines of history come from where they may not be seen.
    ShowHidden,
    /// A connection that was closed is written to.
    SendAfterClose,
    /// Who waits at the door is sent the screen.
    ShowWhoKnocks,
    /// One slow viewer holds up what others are sent.
    SlowHoldsUp,
    /// Somebody puts others on the list who does not manage.
    ObeyAnybody,
    /// Somebody who manages gives a right that outlives their own.
    OutliveManager,
    /// Somebody is kept out from now on, and stays in.
    KeepBanned,
    /// The host's command takes what its person writes for what somebody calls themselves, before anything else.
    BelieveNames,
    /// A command that waited until nobody else could type is carried out without a yes.
    OutwaitEditor,
    /// What a command changed is not said at the terminal.
    HideChange,
    /// A command's question stays when the command has ended.
    KeepQuestion,
    /// Who comes too often is let in all the same.
    LetInAlways,
    /// Each coming and going is an entry of the log.
    LogEachVisit,
    /// An input goes to another terminal than the one it was typed for.
    WriteElsewhere,
    /// An input goes to a program that ended.
    WriteToEnded,
    /// A track gets the number of another one.
    ReuseNumber,
    /// A frame goes to somebody who does not look at its track.
    ShowUnasked,
    /// An entry of a log does not come through.
    LoseEntry,
    /// A terminal is opened for somebody who may not.
    OpenWithoutRight,
    /// A token that somebody came with, and that ended with what was taken from them, is good again after a
    /// crash: what ended it is not on disk.
    KeepToken,
    /// A stream of a track does not say which it is of.
    ForgetOpening,
    /// What somebody chose to look at does not reach their viewer.
    ForgetChoice,
    /// Lines of history come from another terminal.
    ReadElsewhere,
    /// A frame is missing in the log.
    LoseLogged,
    /// The host's log loses lines.
    LoseLines,
    /// An input that the host took is lost on its way to the program.
    LoseInput,
    /// What one viewer asks to be opened is opened twice.
    OpenTwice,
    /// Somebody closes what they did not open.
    CloseOthers,
    /// Names are shown as people gave them.
    ShowAnyName,
    /// A question stands at a terminal that is not there.
    AskNobody,
    /// A program's question is answered twice.
    AnswerTwice,
    /// Who is put out is told first what they may do.
    TellBanned,
    /// A prompt of somebody's waits who may not send any.
    PromptWithoutRight,
    /// A question is answered for somebody who may not.
    AnswerWithoutRight,
    /// A question is answered twice.
    AnswerQuestionTwice,
    /// A prompt goes before the one that is first.
    SendOutOfTurn,
    /// That a question is free again is not written down.
    KeepClaim,
    /// What was said in a conversation does not reach its viewers.
    LoseSaid,
}

impl Sabotage {
    /// Whether it is of what only a world with agents has.
    fn is_of_talks(self) -> bool {
        matches!(
            self,
            Sabotage::PromptWithoutRight
                | Sabotage::AnswerWithoutRight
                | Sabotage::AnswerQuestionTwice
                | Sabotage::SendOutOfTurn
                | Sabotage::KeepClaim
                | Sabotage::LoseSaid
        )
    }
}

/// Whether to remember what happens: when one world is looked at.
fn traced() -> bool {
    ["PILLION_SEED", "PILLION_TRACE"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
}

/// How much happened, to see that worlds are worth their time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Viewers that were let in, reconnects included.
    pub welcomes: u64,
    /// Times somebody was shown the screen before being let in again.
    pub early: u64,
    /// Viewers that were refused.
    pub refusals: u64,
    /// Inputs that reached the program.
    pub inputs: u64,
    /// Inputs that were dropped.
    pub dropped: u64,
    /// Frames made.
    pub frames: u64,
    /// Lines of history compared.
    pub lines: u64,
    /// Screens compared at rest.
    pub screens: u64,
    /// Times the host died.
    pub crashes: u64,
    /// Rights taken away from somebody who had one.
    pub revocations: u64,
    /// Track streams given up for new ones.
    pub resets: u64,
    /// Times a fast viewer was checked for delay.
    pub prompt: u64,
    /// Viewers that were told to wait at the door.
    pub knocks: u64,
    /// Entries of the ledger that somebody who manages had written down.
    pub managed: u64,
    /// Times the host was found with nothing left to do.
    pub idle: u64,
    /// Commands through the socket that were asked about at the terminal.
    pub questions: u64,
    /// Viewers that were put off because they came too often.
    pub put_off: u64,
    /// Tracks that began.
    pub tracks: u64,
    /// Screens compared at rest of tracks that the session did not begin with.
    pub others: u64,
    /// Logs compared at rest.
    pub logs: u64,
    /// Prompts that were sent to agents.
    pub prompts: u64,
    /// Questions of agents' that were answered.
    pub answers: u64,
    /// Conversations compared at rest.
    pub talks: u64,
}

/// What is going to happen.
enum Event {
    Arrive {
        conn: u64,
        to_host: bool,
        packet: Packet,
    },
    Pump {
        conn: u64,
        to_host: bool,
    },
    Delivered {
        conn: u64,
        stream: Stream,
    },
    Dialled {
        seat: usize,
        attempt: u64,
    },
    Handshake {
        seat: usize,
        attempt: u64,
        conn: u64,
        taken: bool,
    },
    PathUp {
        seat: usize,
    },
    Silent {
        seat: usize,
        since_us: u64,
    },
    /// Somebody who comes and leaves in a loop: leave, if they are in.
    Loop {
        seat: usize,
        left: u32,
    },
    CloseConn {
        conn: u64,
        by_host: bool,
    },
    Gone {
        conn: u64,
        host: bool,
    },
    Host {
        life: u64,
        input: Box<HostInput>,
    },
    LedgerWritten {
        life: u64,
    },
    Output {
        life: u64,
        track: TrackId,
    },
    /// A terminal's program runs, or could not be started.
    Spawned {
        life: u64,
        track: TrackId,
        size: Option<Size>,
    },
    /// A track's program ends.
    Exits {
        life: u64,
        track: TrackId,
    },
    Human {
        life: u64,
        act: Human,
    },
    /// An agent answers a request.
    AgentSays {
        life: u64,
        track: TrackId,
        run: u64,
        line: String,
    },
    /// An agent goes on with its turn.
    AgentActs {
        life: u64,
        track: TrackId,
        run: u64,
    },
    /// An agent's driver looks at its clock.
    AgentTick {
        life: u64,
        track: TrackId,
        run: u64,
    },
    /// A conversation wants something done with its agent.
    Order {
        life: u64,
        track: TrackId,
        order: Box<Order>,
    },
    Revive,
    Act,
}

/// What the person at the host does later.
enum Human {
    Answer(ParticipantId),
    Confirm(u64),
    /// Anybody who gave the command does not wait any longer.
    Withdraw(u64),
    Knock(ParticipantId),
    ShareAgain,
}

/// One person: an identity, over all viewers it runs.
struct Person {
    secret: SecretKey,
    name: String,
    /// Sends what no viewer would, and is never given a right.
    hostile: bool,
    /// What they prove beside their key, if anything: the claim, and who it says they are. A person may
    /// come back as another one with the same.
    member: Option<(Bytes, Subject)>,
    /// When a right to edit was last taken away, on the world's clock.
    revoked_at_us: Option<u64>,
}

/// A world.
pub struct World {
    dice: Dice,
    sabotage: Sabotage,
    sabotaged: bool,
    /// There are agents in it.
    talks: bool,
    now_us: u64,
    /// What the host's wall clock is off by, in milliseconds.
    host_skew_ms: i64,
    events: BTreeMap<(u64, u64), Event>,
    event_count: u64,
    session: SecretKey,
    host_identity: SecretKey,
    host: Option<HostSide>,
    lives: u64,
    /// What is on disk.
    ledger: Vec<Bytes>,
    link: Option<[u8; 32]>,
    model: Model,
    people: Vec<Person>,
    seats: Vec<Seat>,
    conns: BTreeMap<u64, Conn>,
    conn_count: u64,
    /// Tokens that can be given to somebody.
    tokens: Vec<(Bytes, SecretKey)>,
    /// Key grants as they were pushed.
    pushed: Vec<Bytes>,
    ticket: Option<SecretKey>,
    old_tickets: Vec<SecretKey>,
    /// Acts come until then.
    wild_until_us: u64,
    /// Ticks are late by at most this, in microseconds.
    lateness_us: u64,
    ticks: BTreeMap<u64, u32>,
    frames_per_second: BTreeMap<(u64, TrackId), u32>,
    failure: Option<String>,
    trace: Option<Vec<String>>,
    tally: Tally,
    closed: BTreeSet<ConnId>,
    idle_checked_us: u64,
    /// Somebody else has typed in this session, in this run or an earlier one.
    remote_input: bool,
}

impl World {
    /// The world of `seed`, at its beginning.
    pub fn new(seed: u64, sabotage: Sabotage) -> World {
        let mut dice = Dice::new(seed);
        let secret = |dice: &mut Dice| SecretKey::from_bytes(&dice.bytes());
        let (session, host_identity) = (secret(&mut dice), secret(&mut dice));
        let mut model = Model::new(dice.one_in(12));
        model.invited = dice.one_in(4);
        let lateness_us = *dice.pick(&[0, 0, 1_000, 20_000]);
        let mut world = World {
            sabotage,
            sabotaged: false,
            talks: match sabotage {
                Sabotage::None => seed.is_multiple_of(3),
                sabotage => sabotage.is_of_talks(),
            },
            now_us: 1_000_000,
            host_skew_ms: dice.below(200_000) as i64 - 100_000,
            events: BTreeMap::new(),
            event_count: 0,
            session,
            host_identity,
            host: None,
            lives: 0,
            ledger: Vec::new(),
            link: None,
            model,
            people: Vec::new(),
            seats: Vec::new(),
            conns: BTreeMap::new(),
            conn_count: 0,
            tokens: Vec::new(),
            pushed: Vec::new(),
            ticket: None,
            old_tickets: Vec::new(),
            wild_until_us: 0,
            lateness_us,
            ticks: BTreeMap::new(),
            frames_per_second: BTreeMap::new(),
            failure: None,
            trace: traced().then(Vec::new),
            tally: Tally::default(),
            closed: BTreeSet::new(),
            idle_checked_us: 0,
            remote_input: false,
            dice,
        };
        for index in 0..world.dice.range(2, 6) {
            world.add_person(index);
        }
        world.start_host();
        world
    }

    /// Lets everything happen, comes to rest, looks; and again.
    ///
    /// # Errors
    /// What did not hold.
    pub fn live(&mut self) -> Result<Tally, String> {
        for _ in 0..self.dice.range(1, 3) {
            let wild_us = self.dice.range(1_000_000, 8_000_000);
            self.wild(wild_us)?;
            self.settle()?;
        }
        Ok(self.tally)
    }

    /// Lets everything happen at once for so long, in microseconds.
    ///
    /// # Errors
    /// What did not hold.
    pub fn wild(&mut self, for_us: u64) -> Result<(), String> {
        self.wild_until_us = self.now_us + for_us;
        self.after(0, Event::Act);
        self.run_until(self.wild_until_us)
    }

    /// The moment, for who reads a failure.
    pub fn when(&self) -> String {
        let trace = self.trace.as_ref().map_or(String::new(), |trace| {
            format!(
                "\n  {}",
                trace[trace.len().saturating_sub(400)..].join("\n  ")
            )
        });
        format!("{} µs, host life {}{trace}", self.now_us, self.lives)
    }

    /// What was seen so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn add_person(&mut self, index: u64) {
        let hostile = index > 0 && self.dice.one_in(5);
        let name = self.some_name(index);
        let secret = SecretKey::from_bytes(&self.dice.bytes());
        // What a hostile viewer says is garbled now and then, its claims as well.
        let member = match self.dice.below(3) {
            0 if !hostile => Some(self.membership(&secret)),
            _ => None,
        };
        self.people.push(Person {
            secret,
            name,
            hostile,
            member,
            revoked_at_us: None,
        });
    }

    /// What the person of that number calls themselves: some as nobody would, to be taken for somebody else.
    fn some_name(&mut self, index: u64) -> String {
        let other = match self.people.len() as u64 {
            0 => return "anna".to_owned(),
            count => &self.people[self.dice.below(count) as usize],
        };
        let key = other.secret.public();
        let member = other.member.as_ref().map(|(_, who)| who.to_string());
        match self.dice.below(14) {
            0 | 1 => "anna".to_owned(),
            2 => index.to_string(),
            3 => format!("\u{202e}evil\x1b[2J{index}"),
            4 | 5 => key.to_string(),
            6 | 7 => key.fingerprint(),
            8 => member.unwrap_or_else(|| "carol@example.org".to_owned()),
            9 => "☺\u{fe0f}".repeat(12),
            _ => format!("person{index}"),
        }
    }

    /// A membership of the one team there is, as one of few members: several people may be the same.
    fn membership(&mut self, secret: &SecretKey) -> (Bytes, Subject) {
        let team = TeamKey::new(SecretKey::from_bytes(&[77; 32]));
        let member = *self.dice.pick(&["anna", "bert"]);
        let from = UnixMillis(EPOCH_MS - 100 * 86_400_000);
        let until = from.saturating_add(300 * 86_400_000);
        let name = member
            .parse()
            .unwrap_or_else(|_| unreachable!("a plain name"));
        let membership = team.admit(secret.public(), name, Serial(1), from, until);
        let claim = membership.map(|membership| Claim::Team(membership).to_bytes());
        let subject = format!("team:{}/{member}", team.public());
        let subject = subject
            .parse()
            .unwrap_or_else(|_| unreachable!("a subject"));
        (claim.unwrap_or_default().into(), subject)
    }

    /// All that somebody is when they say hello.
    fn subjects(&self, key: &PublicKey) -> Vec<Subject> {
        let person = self.person_of(key).map(|person| &self.people[person]);
        let member = person.and_then(|person| person.member.as_ref());
        let claim = member.map(|(_, subject)| subject.clone());
        [Subject::key(key)].into_iter().chain(claim).collect()
    }

    fn person_of(&self, key: &PublicKey) -> Option<usize> {
        self.people
            .iter()
            .position(|person| person.secret.public() == *key)
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let line = format!("{:>10} {}", self.now_us, text());
            if std::env::var_os("PILLION_TRACE").is_some_and(|how| how == "all") {
                eprintln!("{line}");
            }
            trace.push(line);
        }
    }

    fn fail(&mut self, text: impl Into<String>) {
        if self.failure.is_none() {
            self.failure = Some(text.into());
        }
    }

    fn require(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.fail(text());
        }
    }

    /// Whether this is what is sabotaged.
    fn strikes(&self, what: Sabotage) -> bool {
        self.sabotage == what
    }

    fn after(&mut self, delay_us: u64, event: Event) {
        self.event_count += 1;
        self.events
            .insert((self.now_us + delay_us, self.event_count), event);
    }

    fn host_unix_ms(&self) -> u64 {
        (EPOCH_MS + self.now_us / 1000).saturating_add_signed(self.host_skew_ms)
    }

    fn host_now(&self) -> Now {
        let offset = self.host.as_ref().map_or(0, |host| host.mono_offset_us);
        Now {
            mono_us: self.now_us + offset,
            unix_ms: self.host_unix_ms(),
        }
    }

    /// When something happens next, and what: an event, or a machine that wants to be woken.
    fn next_wake(&self) -> Option<(u64, Option<usize>)> {
        let host = self
            .host
            .as_ref()
            .and_then(|host| host.armed)
            .map(|(_, at)| (at, None));
        let seats = self.seats.iter().enumerate();
        let seats = seats.filter_map(|(index, seat)| Some((seat.armed?.1, Some(index))));
        seats.chain(host).min()
    }

    fn run_until(&mut self, end_us: u64) -> Result<(), String> {
        loop {
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let wake = self.next_wake();
            let next = [event, wake.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end_us) else {
                self.now_us = self.now_us.max(end_us);
                return Ok(());
            };
            self.look_at_idle_host(at);
            self.now_us = self.now_us.max(at);
            match wake {
                Some((at, who)) if event.is_none_or(|event| at < event) => self.wake(who),
                _ => {
                    if let Some((_, event)) = self.events.pop_first() {
                        self.happen(event);
                    }
                }
            }
        }
    }

    fn wake(&mut self, who: Option<usize>) {
        let second = self.now_us / 1_000_000;
        match who {
            None => {
                if self.strikes(Sabotage::DropHostWake) && self.now_us > 2_000_000 {
                    if let Some(host) = &mut self.host {
                        host.armed = None;
                    }
                    return;
                }
                *self.ticks.entry(second).or_default() += 1;
                let ticks = self.ticks[&second];
                let tracks = self
                    .host
                    .as_ref()
                    .map_or(1, |side| side.tracks.len() as u32);
                let most = invariants::MAX_HOST_TICKS + 120 * (tracks - 1).min(5);
                self.require(ticks <= most, || {
                    format!("{ticks} wake-ups of the host in a second")
                });
                self.tell_host(HostInput::Tick);
            }
            Some(seat) => {
                if self.strikes(Sabotage::DropViewerWake) && self.now_us > 2_000_000 {
                    self.seats[seat].armed = None;
                    return;
                }
                let ticks = &mut self.seats[seat].ticks;
                if ticks.0 != second {
                    *ticks = (second, 0);
                }
                ticks.1 += 1;
                let ticks = ticks.1;
                self.require(ticks <= invariants::MAX_VIEWER_TICKS, || {
                    format!("{ticks} wake-ups of viewer {seat} in a second")
                });
                self.tell_viewer(seat, pillion_session::ViewerInput::Tick);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive {
                conn,
                to_host,
                packet,
            } => self.arrive(conn, to_host, packet),
            Event::Pump { conn, to_host } => self.pump_due(conn, to_host),
            Event::Delivered { conn, stream } => self.delivered(conn, stream),
            Event::Dialled { seat, attempt } => self.dialled(seat, attempt),
            Event::Handshake {
                seat,
                attempt,
                conn,
                taken,
            } => self.handshake(seat, attempt, conn, taken),
            Event::PathUp { seat } => self.path_up(seat),
            Event::Silent { seat, since_us } => self.silent(seat, since_us),
            Event::Loop { seat, left } => self.come_and_go(seat, left),
            Event::CloseConn { conn, by_host } => self.close_conn(conn, by_host),
            Event::Gone { conn, host } => self.gone(conn, host),
            Event::Host { life, input } if life == self.lives => self.tell_host(*input),
            Event::LedgerWritten { life } if life == self.lives => self.ledger_written(),
            Event::Output { life, track } if life == self.lives => self.program_writes(track),
            Event::Spawned { life, track, size } if life == self.lives => {
                self.spawned(track, size);
            }
            Event::Exits { life, track } if life == self.lives => {
                self.exits(track, TrackState::Killed(1));
            }
            Event::Human { life, act } if life == self.lives => self.human(act),
            Event::AgentSays {
                life,
                track,
                run,
                line,
            } if life == self.lives => self.agent_line(track, run, &line),
            Event::AgentActs { life, track, run } if life == self.lives => {
                self.agent_acts(track, run);
            }
            Event::AgentTick { life, track, run } if life == self.lives => {
                self.agent_tick(track, run);
            }
            Event::Order { life, track, order } if life == self.lives => {
                self.obey(track, *order);
            }
            Event::Revive => self.revive(),
            Event::Act => self.act(),
            // Of a host that died.
            Event::Host { .. }
            | Event::LedgerWritten { .. }
            | Event::Output { .. }
            | Event::Spawned { .. }
            | Event::Exits { .. }
            | Event::AgentSays { .. }
            | Event::AgentActs { .. }
            | Event::AgentTick { .. }
            | Event::Order { .. }
            | Event::Human { .. } => {}
        }
    }
}
