//! What people, networks and machines do at random.

use std::num::NonZeroU32;

use bytes::Bytes;
use pillion_caps::{Audience, Grant, GrantId, PublicKey, SecretKey, Terms, UnixMillis};
use pillion_people::{Name, SubjectRef};
use pillion_proto::{ParticipantId, Right, Rights, TrackKind, TrackState};
use pillion_screen::LineId;
use pillion_session::{Actor, Command, HostInput, Phase, Target, TtyNews, ViewerInput, verbs};

use super::{Event, Human, Sabotage, TERMINAL, World, invariants::token, viewing::Typed};
use crate::link::Weather;

/// Viewers at once.
const MAX_SEATS: usize = 8;

/// Viewers one person runs at most in a world: a host takes 16 at once.
const MAX_PER_PERSON: usize = 10;

/// Grants made for one person: a host remembers 16.
pub(super) const MAX_GRANTS_EACH: usize = 10;

#[derive(Debug, Clone, Copy)]
enum Act {
    Program,
    Join,
    Type,
    Paste,
    Ask,
    Command,
    History,
    Leave,
    Weather,
    Cut,
    Stall,
    Kill,
    Resize,
    Clock,
    Deaf,
    Tty,
    Crash,
    Exit,
    Hostile,
    Storm,
    Loop,
    Door,
    Manage,
    Open,
    Close,
    Entries,
    Look,
    Talk,
    Converse,
}

const WEIGHTS: [(u64, Act); 27] = [
    (200, Act::Program),
    (60, Act::Join),
    (200, Act::Type),
    (16, Act::Paste),
    (40, Act::Ask),
    (70, Act::Command),
    (60, Act::History),
    (10, Act::Leave),
    (30, Act::Weather),
    (25, Act::Cut),
    (25, Act::Stall),
    (12, Act::Kill),
    (15, Act::Resize),
    (6, Act::Clock),
    (8, Act::Deaf),
    (3, Act::Tty),
    (4, Act::Crash),
    (1, Act::Exit),
    (40, Act::Hostile),
    (4, Act::Storm),
    (3, Act::Loop),
    (12, Act::Door),
    (20, Act::Manage),
    (12, Act::Open),
    (8, Act::Close),
    (25, Act::Entries),
    (40, Act::Look),
];

/// The same of a world with agents in it, where more is said than typed.
const TALKING: [(u64, Act); 19] = [
    (30, Act::Program),
    (60, Act::Join),
    (40, Act::Type),
    (80, Act::Command),
    (10, Act::History),
    (8, Act::Leave),
    (15, Act::Weather),
    (15, Act::Cut),
    (10, Act::Stall),
    (10, Act::Kill),
    (4, Act::Clock),
    (3, Act::Tty),
    (3, Act::Crash),
    (20, Act::Hostile),
    (10, Act::Manage),
    (5, Act::Close),
    (40, Act::Look),
    (40, Act::Talk),
    (400, Act::Converse),
];

impl World {
    /// Something happens; and something else a little later.
    pub(super) fn act(&mut self) {
        if self.now_us >= self.wild_until_us {
            return;
        }
        let act = match self.talks {
            true => self.dice.weighted(&TALKING),
            false => self.dice.weighted(&WEIGHTS),
        };
        self.note(|| format!("act {act:?}"));
        self.carry_out(act);
        self.sabotage_now();
        self.check_prompt();
        let pause = match self.dice.below(20) {
            0 => self.dice.range(100_000, 700_000),
            1..6 => self.dice.range(1, 1_000),
            _ => self.dice.range(1_000, 40_000),
        };
        self.after(pause, Event::Act);
    }

    fn carry_out(&mut self, act: Act) {
        match act {
            Act::Program => {
                let life = self.lives;
                let Some(track) = self.some_terminal() else {
                    return;
                };
                let side = self
                    .host
                    .as_mut()
                    .and_then(|side| side.tracks.get_mut(&track));
                let Some(side) = side else { return };
                side.program.act(&mut self.dice);
                self.after(0, Event::Output { life, track });
            }
            Act::Join => self.join(),
            Act::Type => {
                let count = *self.dice.pick(&[1, 1, 1, 1, 2, 5]);
                self.somebody_types(count);
            }
            Act::Paste => {
                let count = *self.dice.pick(&[20, 100, 300, 2560]);
                self.somebody_types(count);
            }
            Act::Ask => self.tell_somebody(ViewerInput::RequestEdit),
            Act::Command => self.some_command(),
            Act::History => self.some_history(),
            Act::Leave => self.tell_somebody(ViewerInput::Leave),
            Act::Weather => self.some_weather(),
            Act::Cut => {
                let for_us = match self.dice.below(4) {
                    0 => self.dice.range(4_000_000, 40_000_000),
                    _ => self.dice.range(10_000, 4_000_000),
                };
                if let Some(seat) = self.some_seat() {
                    self.cut(seat, for_us);
                }
            }
            Act::Stall => self.some_stall(),
            Act::Kill => self.some_kill(),
            Act::Resize => self.resize(),
            Act::Clock => {
                let jump = *self.dice.pick(&[1_000, 30_000, 600_000, 8 * 3_600_000]);
                let jump = self.dice.range(0, jump) as i64;
                self.host_skew_ms += if self.dice.one_in(2) { jump } else { -jump };
            }
            Act::Deaf => {
                let until = self.now_us + self.dice.range(100_000, 5_000_000);
                if let Some(track) = self.some_terminal()
                    && let Some(side) = self.track(track)
                {
                    side.program.deaf_until_us = until;
                }
            }
            Act::Tty => {
                let Some(side) = &mut self.host else { return };
                side.has_tty = !side.has_tty;
                side.always_headless = false;
                let news = match side.has_tty {
                    true => TtyNews::Attached,
                    false => TtyNews::Detached,
                };
                self.tell_host(HostInput::Tty(news));
            }
            Act::Crash => self.crash(),
            Act::Exit => {
                self.exits(TERMINAL, TrackState::Exited(0));
                // Its owner starts another one some time.
                let after = self.dice.range(100_000, 3_000_000);
                self.after(after, Event::Revive);
            }
            Act::Door => self.some_door_command(),
            Act::Manage => self.some_managing(),
            Act::Open => self.some_opening(),
            Act::Close => self.some_closing(),
            Act::Entries => self.some_entries(),
            Act::Look => self.some_look(),
            Act::Talk => self.some_talk_begins(),
            Act::Converse => self.some_conversing(),
            Act::Hostile => self.be_hostile(),
            Act::Loop => self.begin_loop(),
            Act::Storm => {
                for _ in 0..self.dice.range(20, 120) {
                    let line = self.dice.below(2000);
                    self.tell_somebody(ViewerInput::WantHistory {
                        from: LineId(line),
                        count: 50,
                    });
                }
            }
        }
    }

    fn join(&mut self) {
        let here = self
            .seats
            .iter()
            .filter(|seat| seat.ended.is_none())
            .count();
        if here >= MAX_SEATS {
            return;
        }
        if self.dice.one_in(6) && self.people.len() < 12 {
            self.add_person(self.people.len() as u64);
        }
        let person = self.dice.below(self.people.len() as u64) as usize;
        if self
            .seats
            .iter()
            .filter(|seat| seat.person == person)
            .count()
            >= MAX_PER_PERSON
        {
            return;
        }
        let hostile = self.people[person].hostile;
        let link = match self.dice.below(12) {
            0 => None,
            1 => Some(SecretKey::from_bytes(&self.dice.bytes())),
            2 if !self.old_tickets.is_empty() => Some(self.dice.pick(&self.old_tickets).clone()),
            _ => self.ticket.clone(),
        };
        let mut grants = Vec::new();
        for _ in 0..*self.dice.pick(&[0, 0, 1, 1, 2]) {
            grants.extend(self.some_grant());
        }
        if hostile {
            grants.clear();
        }
        self.sit_down(person, link, grants);
    }

    /// A grant to present: a token somebody was given, or one that should not work.
    fn some_grant(&mut self) -> Option<(Bytes, Option<SecretKey>)> {
        match self.dice.below(10) {
            0 if !self.pushed.is_empty() => Some((self.dice.pick(&self.pushed).clone(), None)),
            1 => self.foreign_grant(),
            2 => {
                let (grant, _) = self.tokens.last()?;
                let wrong = SecretKey::from_bytes(&self.dice.bytes());
                Some((grant.clone(), Some(wrong)))
            }
            _ if !self.tokens.is_empty() => {
                let (grant, key) = self.dice.pick(&self.tokens);
                Some((grant.clone(), Some(key.clone())))
            }
            _ => None,
        }
    }

    /// A grant that this session did not make: of another session's, or signed by somebody else.
    fn foreign_grant(&mut self) -> Option<(Bytes, Option<SecretKey>)> {
        let (other, link) = (
            SecretKey::from_bytes(&self.dice.bytes()),
            SecretKey::from_bytes(&self.dice.bytes()),
        );
        // The second is a grant made with the session's key that its host never issued.
        let issuer = if self.dice.one_in(2) {
            other
        } else {
            self.session.clone()
        };
        let now = self.host_unix_ms();
        let terms = Terms {
            session: issuer.public(),
            rights: pillion_caps::Rights::EDIT,
            audience: Audience::Link(link.public()),
            not_before: UnixMillis(now),
            expires: UnixMillis(now + 3_600_000),
            uses: None,
        };
        let grant = Grant::issue(&issuer, terms, self.dice.bytes()).ok()?;
        Some((grant.to_bytes().into(), Some(link)))
    }

    pub(super) fn some_seat(&mut self) -> Option<usize> {
        let here: Vec<usize> = (0..self.seats.len())
            .filter(|seat| self.seats[*seat].ended.is_none())
            .collect();
        (!here.is_empty()).then(|| *self.dice.pick(&here))
    }

    pub(super) fn tell_somebody(&mut self, input: ViewerInput) {
        if let Some(seat) = self.some_seat() {
            self.tell_viewer(seat, input);
        }
    }

    fn somebody_types(&mut self, count: usize) {
        // Those who may more often than others.
        let may = |seat: &super::viewing::Seat| seat.viewer.view().rights.exceeds_view();
        let editors: Vec<usize> = (0..self.seats.len())
            .filter(|seat| self.seats[*seat].ended.is_none() && may(&self.seats[*seat]))
            .collect();
        let seat = match editors.is_empty() || self.dice.one_in(4) {
            true => self.some_seat(),
            false => Some(*self.dice.pick(&editors)),
        };
        if let Some(seat) = seat {
            self.types(seat, count);
        }
    }

    /// Types so many things, together.
    pub(super) fn types(&mut self, seat: usize, count: usize) {
        let mut text = String::new();
        for _ in 0..count {
            let typed = &mut self.seats[seat].typed;
            text.push_str(&token(seat, typed.len()));
            typed.push(Typed {
                at_us: self.now_us,
                track: None,
                written: None,
            });
        }
        self.tell_viewer(seat, ViewerInput::Keys(text.into()));
    }

    fn some_command(&mut self) {
        let Some(side) = &self.host else { return };
        let ids: Vec<ParticipantId> = side.numbers.keys().copied().collect();
        let id = if ids.is_empty() {
            ParticipantId(7)
        } else {
            *self.dice.pick(&ids)
        };
        let key = self
            .host
            .as_ref()
            .and_then(|side| side.numbers.get(&id).copied());
        let person = key.and_then(|key| self.person_of(&key));
        let is_hostile = person.is_some_and(|person| self.people[person].hostile);
        let text = match (self.dice.below(8), key, person) {
            (0, Some(key), _) => Some(key.to_string()),
            (1, Some(key), _) => Some(key.fingerprint()),
            (2, _, Some(person)) => Some(self.people[person].name.clone()),
            (3, _, Some(person)) => Some(Name::of(&self.people[person].name).to_string()),
            (4, Some(_), _) => None,
            _ => Some(id.0.to_string()),
        };
        let is_exact = text.as_ref().is_none_or(|text| {
            let (number, key) = (id.0.to_string(), key.map(|key| key.to_string()));
            *text == number || key.is_some_and(|key| key.starts_with(&text.replace('-', "")))
        });
        let target = match (&text, key) {
            (None, Some(key)) => Some(Target::from(key)),
            (text, _) => self.target(text.as_deref().unwrap_or("7")),
        };
        let Some(target) = target else { return };
        let by = if self.dice.one_in(2) {
            Actor::Tty
        } else {
            Actor::Socket
        };
        let ttl_ms = *self.dice.pick(&[
            None,
            None,
            Some(300),
            Some(5_000),
            Some(60_000),
            Some(3_600_000),
        ]);
        let right =
            self.dice
                .weighted(&[(6, Rights::EDIT), (1, Rights::VIEW), (3, Rights::MANAGE)]);
        // In a world with agents some may answer them, too.
        let right = match self.talks && right == Rights::EDIT && self.dice.one_in(3) {
            true => right.with(Right::Approve),
            false => right,
        };
        let full = key.is_some_and(|key| self.model.made_for(key) >= MAX_GRANTS_EACH);
        let command = match self.dice.below(40) {
            0..14 if full || is_hostile || !is_exact => return,
            0..14 => Command::Grant(verbs::Grant {
                target,
                rights: right,
                ttl_ms,
            }),
            14..20 => {
                let uses = *self.dice.pick(&[1, 1, 2, 100]);
                Command::GrantLink(verbs::GrantLink {
                    rights: right,
                    ttl_ms,
                    uses: NonZeroU32::new(uses).unwrap_or(NonZeroU32::MIN),
                })
            }
            20..23 => Command::RefuseRequest(verbs::RefuseRequest { target }),
            23..29 => Command::Revoke(verbs::Revoke { target }),
            29 => Command::Revoke(verbs::Revoke {
                target: Target::All,
            }),
            30 => Command::Revoke(verbs::Revoke {
                target: Target::Links,
            }),
            31..33 => {
                let ids = self.model.ids();
                let grant = match ids.is_empty() {
                    true => GrantId::from_bytes([0; 16]),
                    false => *self.dice.pick(&ids),
                };
                Command::Revoke(verbs::Revoke {
                    target: SubjectRef::Grant(grant).into(),
                })
            }
            33..35 => Command::Kick(verbs::Kick { target }),
            35 => Command::Ticket(verbs::Ticket { new: true }),
            36 => Command::Stop(verbs::Stop {}),
            37 => Command::Who(verbs::Who {}),
            38 => Command::Status(verbs::Status {}),
            _ => Command::Share(verbs::Share {
                from_start: self.dice.one_in(3),
            }),
        };
        // Sharing is not left off for long: nothing happens then.
        let again = matches!(command, Command::Stop(verbs::Stop {}));
        self.give(by, command, text);
        if again {
            self.share_again();
        }
    }

    /// Gives a command; where sharing begins by it is told a second time.
    fn give(&mut self, by: Actor, command: Command, text: Option<String>) {
        if !self.is_asked_about(by, &command) {
            self.note_sharing(&command);
        }
        self.command_by(by, command, text);
    }

    /// Whom the host's command takes a text for.
    pub(super) fn target(&self, text: &str) -> Option<Target> {
        if self.strikes(Sabotage::BelieveNames) {
            let mut numbers = self.host.as_ref()?.numbers.values();
            let called = |key: &&PublicKey| {
                let person = self.person_of(key).map(|person| &self.people[person]);
                person.is_some_and(|person| person.name.eq_ignore_ascii_case(text))
            };
            if let Some(key) = numbers.find(called) {
                return Some((*key).into());
            }
        }
        Some(text.parse::<SubjectRef>().ok()?.into())
    }

    fn share_again(&mut self) {
        let command = Command::Share(verbs::Share {
            from_start: self.dice.one_in(3),
        });
        if self.dice.one_in(2) {
            // Through the socket, where that may take a yes, and then at the terminal.
            let after = self.dice.range(10_000, 3_000_000);
            let (life, act) = (self.lives, Human::ShareAgain);
            self.after(after, Event::Human { life, act });
            return self.give(Actor::Socket, command, None);
        }
        self.give(Actor::Tty, command, None);
    }

    /// Where sharing begins, told a second time.
    pub(super) fn note_sharing(&mut self, command: &Command) {
        let shared = self.model.shared;
        let Some(side) = &mut self.host else { return };
        let begins = matches!(command, Command::Share(verbs::Share { from_start: false }));
        if !begins || shared || side.over {
            return;
        }
        // What was said so far is for the host alone.
        for talk in side.talks.values_mut() {
            talk.shown = talk.shown.visible_from(talk.shown.next());
        }
        let mut problem = None;
        for track in side
            .tracks
            .values_mut()
            .filter(|track| track.kind == TrackKind::Terminal)
        {
            track.visible_from = track.reference.top_line();
            let top = track.visible_from;
            track.reference.hide_before(top);
            problem = problem.or(track.collect_lines().err());
        }
        if let Some(problem) = problem {
            self.fail(problem);
        }
    }

    /// What the person at the host does about a notice.
    pub(super) fn human(&mut self, act: Human) {
        match act {
            Human::Answer(id) => {
                let key = self
                    .host
                    .as_ref()
                    .and_then(|side| side.numbers.get(&id).copied());
                let person = key.and_then(|key| self.person_of(&key));
                let is_hostile = person.is_none_or(|person| self.people[person].hostile);
                let full = key.is_none_or(|key| self.model.made_for(key) >= MAX_GRANTS_EACH);
                let target = Target::from(SubjectRef::Number(id.0));
                let command = match self.dice.below(6) {
                    0 => return,
                    1..5 if !is_hostile && !full => Command::Grant(verbs::Grant {
                        target,
                        rights: Rights::EDIT,
                        ttl_ms: None,
                    }),
                    _ => Command::RefuseRequest(verbs::RefuseRequest { target }),
                };
                self.command(Actor::Tty, command);
            }
            Human::Knock(id) => {
                let target = Target::from(SubjectRef::Number(id.0));
                let command = match self.dice.below(6) {
                    0 => return,
                    1 => Command::TurnAway(verbs::TurnAway {
                        target,
                        for_good: self.dice.one_in(2),
                    }),
                    _ => Command::Admit(verbs::Admit { target }),
                };
                self.command(Actor::Tty, command);
            }
            Human::Confirm(request) => {
                let yes = !self.dice.one_in(4);
                let unasked = self.strikes(Sabotage::OutwaitEditor);
                let Some(side) = &mut self.host else { return };
                // One that came too late is none.
                let waits = side.questions.contains(&request);
                let asked = side.asked.get_mut(&request).filter(|_| waits && yes);
                let command = asked.map(|asked| {
                    asked.confirmed = asked.editor_here || !unasked;
                    asked.command.clone()
                });
                if let Some(command) = command {
                    self.note_sharing(&command);
                }
                self.tell_host(HostInput::Confirmed { request, yes });
            }
            Human::Withdraw(request) => self.tell_host(HostInput::Withdrawn { request }),
            Human::ShareAgain => {
                let from_start = self.dice.one_in(3);
                self.give(
                    Actor::Tty,
                    Command::Share(verbs::Share { from_start }),
                    None,
                );
            }
        }
    }

    fn some_history(&mut self) {
        let Some(seat) = self.some_seat() else { return };
        let lines = self.seats[seat]
            .viewer
            .view()
            .screen
            .as_ref()
            .map_or(0, |screen| screen.lines.top.0);
        let from = match self.dice.below(5) {
            0 => 0,
            1 => self.dice.below(1 << 40),
            _ => self.dice.below(lines + 5),
        };
        let count = *self.dice.pick(&[0, 1, 24, 200, 10_000, u32::MAX]);
        self.tell_viewer(
            seat,
            ViewerInput::WantHistory {
                from: LineId(from),
                count,
            },
        );
    }

    pub(super) fn some_weather(&mut self) {
        let Some(index) = self.some_seat() else {
            return;
        };
        let latency_us = *self.dice.pick(&[100, 1_000, 10_000, 80_000, 300_000]);
        let rate = *self
            .dice
            .pick(&[None, None, Some(2_000), Some(20_000), Some(1_000_000)]);
        let seat = &mut self.seats[index];
        let up = seat.weather.up;
        seat.weather = Weather {
            rate,
            up,
            ..Weather::fair(latency_us)
        };
        seat.fair_since_us = None;
        self.note(|| format!("viewer {index}: {latency_us} µs, {rate:?} B/s"));
    }

    pub(super) fn some_stall(&mut self) {
        let conns: Vec<u64> = self.conns.keys().copied().collect();
        if conns.is_empty() {
            return;
        }
        let id = *self.dice.pick(&conns);
        let until_us = self.now_us + self.dice.range(100_000, 20_000_000);
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let to_host = self.dice.one_in(2);
        let pipe = if to_host {
            &mut conn.to_host
        } else {
            &mut conn.to_viewer
        };
        let stream = pipe.stall(&mut self.dice, until_us);
        conn.hold(until_us);
        let seat = conn.seat;
        self.seats[seat].fair_since_us = None;
        self.note(|| {
            let way = if to_host { "from" } else { "to" };
            format!("{stream:?} {way} viewer {seat} stalls until {until_us}")
        });
    }

    /// A connection breaks: each end notices when it does.
    fn some_kill(&mut self) {
        let conns: Vec<u64> = self.conns.keys().copied().collect();
        if conns.is_empty() {
            return;
        }
        let conn = *self.dice.pick(&conns);
        for host in [true, false] {
            let after = *self.dice.pick(&[0, 1_000, 500_000, 30_000_000]);
            self.after(after, Event::Gone { conn, host });
        }
    }

    /// Whether a viewer sees the session now.
    pub(super) fn is_live(&self, seat: usize) -> bool {
        self.seats[seat].ended.is_none() && self.seats[seat].viewer.view().phase == Phase::Live
    }
}
