//! The viewers' machines: what drives them, and what is typed there.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use pillion_caps::{PublicKey, SecretKey};
use pillion_proto::{Framer, Hello, Intent, IntentMsg, JoinId, TrackId};
use pillion_session::{
    Ending, Now, Phase, Stream, Viewer, ViewerConfig, ViewerEvent, ViewerInput, ViewerNotice,
    ViewerOutput,
};

use crate::link::Weather;

use super::{EPOCH_MS, World};

/// One thing that was typed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Typed {
    pub(super) at_us: u64,
    /// Where to, once it was sent.
    pub(super) track: Option<TrackId>,
    /// It reached the program, in this life of the host.
    pub(super) written: Option<u64>,
}

/// One run of a viewer.
pub(super) struct Seat {
    pub(super) person: usize,
    pub(super) viewer: Viewer,
    pub(super) read_only: bool,
    /// Grants it was given, and the keys it has for them.
    pub(super) tokens: Vec<(Bytes, Option<PublicKey>)>,
    pub(super) weather: Weather,
    pub(super) down_since_us: Option<u64>,
    /// The path was good, and the viewer live, since then.
    pub(super) fair_since_us: Option<u64>,
    pub(super) conn: Option<u64>,
    pub(super) attempt: u64,
    /// This run's endpoint, and the life of the host it has a TLS ticket of.
    pub(super) endpoint: PublicKey,
    pub(super) ticket_of: Option<u64>,
    /// What it was last let in with.
    pub(super) let_in_with: Option<Hello>,
    mono_offset_us: u64,
    skew_ms: i64,
    pub(super) armed: Option<(u64, u64)>,
    pub(super) ticks: (u64, u32),
    pub(super) ended: Option<(Box<Ending>, bool)>,
    pub(super) typed: Vec<Typed>,
    /// Newest thing of it that reached each program of this life.
    pub(super) newest_written: BTreeMap<TrackId, usize>,
    /// What it was told to look at, as far as it was not told that it is gone; nothing to follow the host.
    pub(super) chosen: Vec<TrackId>,
    /// Terminals it was told to ask for, and those it got in this life of the host.
    pub(super) openings: (u32, u32),
    /// When something was wanted of a conversation here.
    pub(super) conversed_at_us: Option<u64>,
    /// It was told to leave, that it is refused, or that the session is over.
    pub(super) may_end: bool,
    /// Inputs as they left, by number: the first and last thing typed in each.
    pub(super) inputs: BTreeMap<u64, (usize, usize)>,
    pub(super) input_framers: BTreeMap<u32, Framer>,
    pub(super) history: VecDeque<pillion_session::HistoryLines>,
}

impl Seat {
    /// The host runs another program: what reached the old one is nothing to the new one.
    pub(super) fn new_program(&mut self) {
        self.newest_written.clear();
        self.inputs.clear();
        self.openings.1 = 0;
    }
}

impl World {
    /// A new viewer of `person`.
    pub(super) fn sit_down(
        &mut self,
        person: usize,
        link: Option<SecretKey>,
        grants: Vec<(Bytes, Option<SecretKey>)>,
    ) -> usize {
        let mono_offset_us = self.dice.below(1 << 40);
        let skew_ms = self.dice.below(600_000) as i64 - 300_000;
        let read_only = self.dice.one_in(10);
        let member = self.people[person].member.as_ref();
        let claims = member.map(|(claim, _)| claim.clone());
        let config = ViewerConfig {
            identity: self.people[person].secret.public(),
            session: self.session.public(),
            link,
            grants: grants.clone(),
            claims: claims.into_iter().collect(),
            name: self.people[person].name.clone(),
            software: "pillion sim".into(),
            join: JoinId(self.dice.bytes()),
            read_only,
            inside: Vec::new(),
        };
        let endpoint = SecretKey::from_bytes(&self.dice.bytes()).public();
        let latency_us = *self.dice.pick(&[100, 1_000, 1_000, 10_000, 25_000, 80_000]);
        let weather = Weather::fair(latency_us);
        let index = self.seats.len();
        let mut seat = Seat {
            person,
            viewer: Viewer::new(
                config,
                Now {
                    mono_us: self.now_us + mono_offset_us,
                    unix_ms: EPOCH_MS,
                },
            ),
            read_only,
            tokens: grants
                .into_iter()
                .map(|(grant, key)| (grant, key.map(|key| key.public())))
                .collect(),
            weather,
            down_since_us: None,
            fair_since_us: Some(self.now_us),
            conn: None,
            attempt: 0,
            endpoint,
            ticket_of: None,
            let_in_with: None,
            mono_offset_us,
            skew_ms,
            armed: None,
            ticks: (0, 0),
            ended: None,
            typed: Vec::new(),
            newest_written: BTreeMap::new(),
            chosen: Vec::new(),
            openings: (0, 0),
            conversed_at_us: None,
            may_end: false,
            inputs: BTreeMap::new(),
            input_framers: BTreeMap::new(),
            history: VecDeque::new(),
        };
        seat.new_program();
        self.seats.push(seat);
        self.note(|| format!("viewer {index} of person {person}"));
        self.drain_viewer(index);
        index
    }

    /// Gives a viewer an input, and does what it wants done.
    pub(super) fn tell_viewer(&mut self, index: usize, input: ViewerInput) {
        self.give_viewer(index, input);
        self.drain_viewer(index);
    }

    fn give_viewer(&mut self, index: usize, input: ViewerInput) {
        let seat = &mut self.seats[index];
        seat.may_end |= matches!(input, ViewerInput::Leave);
        let unix_ms = (EPOCH_MS + self.now_us / 1000).saturating_add_signed(seat.skew_ms);
        let now = Now {
            mono_us: self.now_us + seat.mono_offset_us,
            unix_ms,
        };
        seat.viewer.handle(now, input);
    }

    fn drain_viewer(&mut self, index: usize) {
        while let Some(output) = self.seats[index].viewer.poll() {
            self.do_viewer_output(index, output);
        }
        let late = self.dice.below(self.lateness_us + 1);
        let (now_us, seat) = (self.now_us, &mut self.seats[index]);
        let conn = seat.conn.and_then(|conn| self.conns.get(&conn));
        let is_held = conn.is_some_and(|conn| now_us < conn.held_until_us);
        let wanted = seat.viewer.wake_at();
        if seat.armed.map(|(at, _)| at) != wanted {
            let offset = seat.mono_offset_us;
            seat.armed = wanted.map(|at| (at, at.saturating_sub(offset).max(now_us) + late));
        }
        if seat.viewer.view().phase != Phase::Live {
            seat.fair_since_us = None;
        } else if seat.fair_since_us.is_none() && seat.is_fair() && !is_held {
            seat.fair_since_us = Some(now_us);
        }
    }

    fn do_viewer_output(&mut self, index: usize, output: ViewerOutput) {
        if self.trace.is_some()
            && !matches!(
                output,
                ViewerOutput::Event(ViewerEvent::Changed | ViewerEvent::History(_))
            )
        {
            let text = match &output {
                ViewerOutput::Send { stream, bytes } => format!("send {stream:?} {}", bytes.len()),
                other => format!("{other:?}"),
            };
            self.note(|| format!("viewer {index} ▶ {text}"));
        }
        match output {
            ViewerOutput::Connect => self.dial(index),
            ViewerOutput::Sign { request, inputs } => {
                let person = &self.people[self.seats[index].person];
                let signed = ViewerInput::signed_with(&person.secret, request, &inputs);
                self.give_viewer(index, signed);
            }
            ViewerOutput::Send { stream, bytes } => self.viewer_sends(index, stream, bytes),
            ViewerOutput::Reset { stream } => {
                if let Some(conn) = self.seats[index].conn {
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.to_host.reset(stream);
                    }
                    self.pump(conn, true);
                }
            }
            ViewerOutput::Finish { stream } => {
                if let Some(conn) = self.seats[index].conn {
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.to_host.finish(stream);
                    }
                    self.pump(conn, true);
                }
            }
            ViewerOutput::Close => self.viewer_closes(index, true),
            ViewerOutput::Event(ViewerEvent::Ended { why, regular }) => {
                let may_end = self.seats[index].may_end;
                self.require(may_end, || {
                    format!("viewer {index} ends and nobody said so: {why:?}")
                });
                self.seats[index].ended = Some((why, regular));
            }
            ViewerOutput::Event(ViewerEvent::History(lines)) => self.check_history(index, lines),
            ViewerOutput::Event(ViewerEvent::Said(notice))
                if matches!(*notice, ViewerNotice::NotAsSigned { .. }) =>
            {
                self.fail(format!(
                    "seat {index} says that something is not what its host signed: {notice:?}"
                ));
            }
            ViewerOutput::Event(
                ViewerEvent::Said(_)
                | ViewerEvent::Answered(_)
                | ViewerEvent::Changed
                | ViewerEvent::Entries(_),
            ) => {}
        }
    }

    fn viewer_sends(&mut self, index: usize, stream: Stream, bytes: Bytes) {
        let hostile = self.people[self.seats[index].person].hostile;
        if let Stream::Input { epoch } = stream {
            self.note_inputs(index, epoch, &bytes);
        }
        let Some(conn) = self.seats[index].conn else {
            return;
        };
        // At rest nobody is put out: others may not have heard of it yet.
        let rests = self.talks && self.now_us >= self.wild_until_us;
        let garble = hostile && self.dice.one_in(20) && !rests;
        let bytes = match garble {
            true => Bytes::from(self.dice.mutate(&bytes)),
            false => bytes,
        };
        if let Some(state) = self.conns.get_mut(&conn) {
            state.to_host.send(stream, bytes);
        }
        self.pump(conn, true);
    }

    /// Notes which number what was typed got.
    fn note_inputs(&mut self, index: usize, epoch: u32, bytes: &Bytes) {
        let framer = || Framer::new(usize::MAX);
        let seat = &mut self.seats[index];
        let framer = seat.input_framers.entry(epoch).or_insert_with(framer);
        framer.push(bytes);
        let mut problem = None;
        while let Ok(Some((tag, payload))) = framer.next_message() {
            if let Ok(Some(intent)) = IntentMsg::decode(tag, &payload)
                && let Intent::Keys { track, bytes } = &intent.what
            {
                let tokens = super::invariants::tokens(bytes);
                for (_, count) in tokens.iter().flatten().filter(|token| token.0 == index) {
                    if let Some(typed) = seat.typed.get_mut(*count) {
                        let before = *typed.track.get_or_insert(*track);
                        if before != *track {
                            problem = Some(bytes.clone());
                        }
                    }
                }
                let own = |token: &(usize, usize)| token.0 == index;
                match (tokens.as_deref(), tokens.iter().flatten().all(own)) {
                    (Some([first, .., last]), true) => {
                        seat.inputs.insert(intent.id, (first.1, last.1));
                    }
                    (Some([only]), true) => {
                        seat.inputs.insert(intent.id, (only.1, only.1));
                    }
                    (Some([]), _) => {}
                    _ => problem = Some(bytes.clone()),
                }
            }
        }
        self.require(problem.is_none(), || {
            format!("viewer {index} sends what was not typed: {problem:?}")
        });
    }
}

impl Seat {
    /// A path that lets everything through at once.
    pub(super) fn is_fair(&self) -> bool {
        self.weather.up && self.weather.rate.is_none()
    }
}
