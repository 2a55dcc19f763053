//! Rest: the network is healed, the program quiet, time runs on until nothing is due. Then
//! everybody must see the same, and be told the truth.

use std::collections::BTreeMap;

use pillion_proto::{ParticipantInfo, Rights, TrackKind};
use pillion_screen::{LineId, Screen};
use pillion_session::{Actor, Command, ConnId, Phase, ViewerInput, verbs};

use super::{Event, World, tracks::TrackSide};
use crate::link::Weather;

/// Long enough for connections to be given up and made again, stalls to pass and clocks to be
/// looked at, in microseconds.
const REST_US: u64 = 75_000_000;

impl World {
    /// Comes to rest, and looks.
    ///
    /// # Errors
    /// What does not hold.
    pub fn settle(&mut self) -> Result<(), String> {
        self.note(|| "rest".into());
        self.wild_until_us = self.now_us;
        for index in 0..self.seats.len() {
            self.path_up(index);
            self.seats[index].weather = Weather::fair(1_000);
        }
        let ids: Vec<u64> = self.conns.keys().copied().collect();
        for id in ids {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.heal();
            }
            self.pump(id, true);
            self.pump(id, false);
        }
        self.quiet_program();
        self.run_until(self.now_us + 5_000_000)?;
        if self.host.as_ref().is_some_and(|side| side.over) {
            self.crash();
            self.run_until(self.now_us + 4_000_000)?;
        }
        if !self.model.shared && self.dice.one_in(2) {
            let command = Command::Share(verbs::Share { from_start: true });
            self.note_sharing(&command);
            self.command(Actor::Tty, command);
        }
        self.quiet_program();
        self.run_until(self.now_us + REST_US)?;
        self.check_prompt();
        self.check_rest()?;
        self.probe()
    }

    fn quiet_program(&mut self) {
        let life = self.lives;
        let Some(side) = &mut self.host else { return };
        let mut live = Vec::new();
        for (id, track) in side
            .tracks
            .iter_mut()
            .filter(|(_, track)| track.is_live_terminal())
        {
            track.program.deaf_until_us = 0;
            track.program.settle(&mut self.dice);
            live.push(*id);
        }
        for track in live {
            self.after(0, Event::Output { life, track });
        }
    }

    fn check_rest(&mut self) -> Result<(), String> {
        let Some(side) = &self.host else {
            return Err("the host never came back".into());
        };
        for (id, track) in side
            .tracks
            .iter()
            .filter(|(_, track)| track.is_live_terminal())
        {
            let (screen, reference) = (side.screen(*id), track.reference_screen());
            if screen != reference {
                return Err(format!(
                    "the host's emulator of track {id} went astray: {}",
                    difference(&screen, &reference)
                ));
            }
        }
        self.check_numbers()?;
        self.check_talks()?;
        let Some(side) = &self.host else {
            return Err("the host never came back".into());
        };
        self.tally.tracks += side.tracks.len() as u64;
        for index in 0..self.seats.len() {
            let seat = &self.seats[index];
            if seat.ended.is_some() || self.people[seat.person].hostile {
                continue;
            }
            let view = seat.viewer.view();
            if !self.model.shared {
                if view.phase == Phase::Live {
                    return Err(format!(
                        "viewer {index} is live in a session that is not shared"
                    ));
                }
                continue;
            }
            if view.phase != Phase::Live {
                return Err(format!("viewer {index} is still {:?}", view.phase));
            }
            let looked_at = view.track.0;
            let chosen = seat.chosen.first().copied();
            if view.chosen != chosen || view.follows != chosen.is_none() {
                return Err(format!(
                    "viewer {index} believes that {:?} was chosen, and it was {chosen:?}",
                    view.chosen
                ));
            }
            let (wanted, Some(side)) = (self.wanted(index), &self.host) else {
                continue;
            };
            if wanted != Some(looked_at) {
                return Err(format!(
                    "viewer {index} shows track {looked_at}, and wants {wanted:?}"
                ));
            }
            let Some(track) = side.tracks.get(&looked_at) else {
                return Err(format!(
                    "viewer {index} shows track {looked_at}, which is none"
                ));
            };
            if view.track.1 != track.state {
                return Err(format!(
                    "viewer {index} believes that it stands {:?}",
                    view.track
                ));
            }
            let frame = track.frame;
            if track.kind == TrackKind::Log {
                let shown = seat.viewer.log(looked_at);
                if shown != Some(&track.log) {
                    let next = shown.map(|shown| (shown.next, shown.entries.len()));
                    return Err(format!(
                        "viewer {index} shows something else of a log: {next:?}, it has {} {}",
                        track.log.next,
                        track.log.entries.len()
                    ));
                }
                self.tally.logs += 1;
                self.check_seat(index)?;
                continue;
            }
            if track.kind == TrackKind::Conversation {
                self.check_talk(index, looked_at)?;
                self.check_seat(index)?;
                continue;
            }
            let screen = side.screen(looked_at);
            self.tally.others += u64::from(looked_at != super::TERMINAL);
            let Some(shown) = &view.screen else {
                return Err(format!("viewer {index} shows nothing"));
            };
            if *shown != screen {
                return Err(format!(
                    "viewer {index} shows something else: {}",
                    difference(shown, &screen)
                ));
            }
            self.tally.screens += 1;
            if view.frame != frame {
                return Err(format!(
                    "viewer {index} is at frame {}, the host at {frame}",
                    view.frame
                ));
            }
            self.check_seat(index)?;
        }
        Ok(())
    }

    /// What one viewer believes at rest.
    fn check_seat(&self, index: usize) -> Result<(), String> {
        let (seat, Some(side)) = (&self.seats[index], &self.host) else {
            return Ok(());
        };
        let view = seat.viewer.view();
        let who = self.people[seat.person].secret.public();
        let (least, most) = self.model.right(who, self.host_unix_ms());
        if !least.narrower_or_equal(view.rights) || !view.rights.narrower_or_equal(most) {
            return Err(format!(
                "viewer {index} believes {:?}, and may {least:?} to {most:?}",
                view.rights
            ));
        }
        if view.unconfirmed > 0 {
            return Err(format!(
                "viewer {index} still waits for {} inputs",
                view.unconfirmed
            ));
        }
        let Some(you) = view.you else {
            return Err(format!("viewer {index} is nobody"));
        };
        // The same person may have asked on another viewer.
        if view.asking && !side.requests_open.contains(&you) {
            return Err(format!("viewer {index} believes that it is asking"));
        }
        if view.read_only != self.model.read_only {
            return Err(format!(
                "viewer {index} believes that read-only is {}",
                view.read_only
            ));
        }
        let here = |info: &&ParticipantInfo| info.here && !info.host;
        let told: Vec<_> = view
            .roster
            .iter()
            .filter(here)
            .map(|info| info.identity)
            .collect();
        let mut really: Vec<[u8; 32]> = Vec::new();
        for (id, conn) in &self.conns {
            let is_in = conn.host_open && conn.watch.welcomed.is_some();
            if !is_in || self.closed.contains(&ConnId(*id)) {
                continue;
            }
            let key = *self.people[self.seats[conn.seat].person]
                .secret
                .public()
                .as_bytes();
            if !really.contains(&key) {
                really.push(key);
            }
        }
        let same = told.len() == really.len() && told.iter().all(|key| really.contains(key));
        match same {
            true => Ok(()),
            false => Err(format!(
                "viewer {index} believes that {} are here, not {}",
                told.len(),
                really.len()
            )),
        }
    }

    /// Numbered lines that became history rise, and are there once.
    fn check_numbers(&self) -> Result<(), String> {
        let Some(side) = &self.host else {
            return Ok(());
        };
        for track in side.tracks.values() {
            check_numbers_of(track)?;
        }
        Ok(())
    }
}

/// The same of one track.
fn check_numbers_of(side: &TrackSide) -> Result<(), String> {
    let mut last = 0;
    for line in side.lines.values() {
        let text = line.text();
        let number = text
            .strip_prefix('#')
            .and_then(|text| text.get(..8))
            .and_then(|text| text.parse::<u64>().ok());
        if let Some(number) = number {
            if number <= last {
                return Err(format!(
                    "line {number} stands behind line {last} in history"
                ));
            }
            last = number;
        }
    }
    Ok(())
}

impl World {
    /// At rest everything works: who may type types, who may not does not, all can read.
    fn probe(&mut self) -> Result<(), String> {
        let unix_ms = self.host_unix_ms();
        let live: Vec<usize> = (0..self.seats.len())
            .filter(|seat| self.is_live(*seat) && !self.people[self.seats[*seat].person].hostile)
            .filter(|seat| self.types_into_a_live_terminal(*seat))
            .collect();
        let mut settled = BTreeMap::new();
        for (id, track) in self.host.iter().flat_map(|side| &side.tracks) {
            let top = track.reference.top_line().0;
            settled.insert(*id, (track.lines.len() as u64, top));
        }
        let mut expected = Vec::new();
        for &index in &live {
            let who = self.people[self.seats[index].person].secret.public();
            let (least, most) = self.model.right(who, unix_ms);
            let may = !self.seats[index].read_only;
            expected.push((may && least.exceeds_view(), may && most.exceeds_view()));
            self.types(index, 1);
            self.seats[index].history.clear();
            self.tell_viewer(
                index,
                ViewerInput::WantHistory {
                    from: LineId(0),
                    count: 10_000,
                },
            );
        }
        self.run_until(self.now_us + 3_000_000)?;
        let life = self.lives;
        for (&index, (must, can)) in live.iter().zip(expected) {
            let seat = &self.seats[index];
            let written = seat
                .typed
                .last()
                .is_some_and(|typed| typed.written == Some(life));
            let looked_at = seat.viewer.view().track.0;
            let side = self
                .host
                .as_ref()
                .and_then(|side| side.tracks.get(&looked_at));
            let Some(side) = side else { continue };
            // A right may have ended between the two.
            let ended = self
                .model
                .right(
                    self.people[seat.person].secret.public(),
                    self.host_unix_ms(),
                )
                .0
                == Rights::VIEW;
            if (must && !written && !ended) || (!can && written) {
                return Err(format!(
                    "viewer {index} types at rest: {written}, should be {must}"
                ));
            }
            if seat.history.len() != 1 {
                return Err(format!(
                    "viewer {index} asked for history once and got {} answers",
                    seat.history.len()
                ));
            }
            let Some(read) = seat.history.front() else {
                continue;
            };
            let first = read.lines.first().map(|line| line.id.0);
            let oldest = side.visible_from.0;
            let (settled, top) = settled.get(&looked_at).copied().unwrap_or_default();
            let is_any = oldest < top;
            if is_any && first != Some(oldest) {
                return Err(format!(
                    "viewer {index} reads from line {first:?}, sharing began at {oldest}"
                ));
            }
            // What is typed meanwhile may settle some more.
            let settled = settled..=side.lines.len() as u64;
            if !settled.contains(&read.settled.0) {
                let settled = read.settled.0;
                return Err(format!(
                    "viewer {index} believes that {settled} lines are settled"
                ));
            }
        }
        self.check_answers()
    }

    fn types_into_a_live_terminal(&self, seat: usize) -> bool {
        let looked_at = self.seats[seat].viewer.view().track.0;
        let side = self.host.as_ref();
        side.and_then(|side| side.tracks.get(&looked_at))
            .is_some_and(TrackSide::is_live_terminal)
    }

    /// Every query was answered once, when there was no terminal of the host's to do it.
    fn check_answers(&self) -> Result<(), String> {
        let Some(side) = &self.host else {
            return Ok(());
        };
        let live = side
            .tracks
            .values()
            .filter(|track| track.is_live_terminal());
        for track in live.filter(|_| side.always_headless) {
            if track.answered != track.program.queries {
                return Err(format!(
                    "{} queries got {} answers",
                    track.program.queries, track.answered
                ));
            }
        }
        Ok(())
    }
}

/// Where two screens differ first, in words.
pub(super) fn difference(one: &Screen, other: &Screen) -> String {
    if one.size != other.size {
        return format!("{} and {}", one.size, other.size);
    }
    for (y, (a, b)) in one.rows.iter().zip(&other.rows).enumerate() {
        if a != b {
            return format!("row {y}: {:?} and {:?}", a.text(), b.text());
        }
    }
    format!(
        "{:?} {:?} {:?} {:?} {} and {:?} {:?} {:?} {:?} {}",
        one.cursor,
        one.modes,
        one.title,
        one.lines,
        one.bells,
        other.cursor,
        other.modes,
        other.title,
        other.lines,
        other.bells
    )
}
