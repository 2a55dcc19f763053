//! Coming and leaving in a loop, and what a host lets come of it.

use pillion_caps::{PublicKey, SecretKey};
use pillion_session::{LogEntry, ViewerInput};

use crate::link::Weather;

use super::{Event, Sabotage, World};

/// Times one person is let in: so many at once, and one a second.
const BURST: usize = 64;

/// Entries of the log about one person's comings and goings: so many at once, one every twenty seconds, and
/// one that counts others every ten.
const ENTRIES: usize = 8;

impl World {
    /// Somebody begins to come and leave as fast as they can.
    pub(super) fn begin_loop(&mut self) {
        // Each is a hundred viewers: not in every world.
        let is_due = self.strikes(Sabotage::LetInAlways) || self.strikes(Sabotage::LogEachVisit);
        if self.people.len() >= 12 || !(is_due || self.dice.one_in(6)) {
            return;
        }
        self.add_person(self.people.len() as u64);
        let person = self.people.len() - 1;
        let ticket = self.ticket.clone();
        let seat = self.sit_down_nearby(person, ticket);
        let left = self.dice.range(70, 150) as u32;
        self.after(1_000, Event::Loop { seat, left });
    }

    /// One who loops leaves a moment after they came, and comes again under the same key.
    pub(super) fn come_and_go(&mut self, seat: usize, left: u32) {
        let over = left == 0 || self.now_us >= self.wild_until_us;
        // In or not: it said hello, and comes again.
        if self.seats[seat].ended.is_none() {
            self.tell_viewer(seat, ViewerInput::Leave);
        }
        if !over {
            let (person, ticket) = (self.seats[seat].person, self.ticket.clone());
            let seat = self.sit_down_nearby(person, ticket);
            let (left, pause) = (left - 1, self.dice.range(1_000, 6_000));
            self.after(pause, Event::Loop { seat, left });
        }
    }

    fn sit_down_nearby(&mut self, person: usize, ticket: Option<SecretKey>) -> usize {
        let seat = self.sit_down(person, ticket, Vec::new());
        self.seats[seat].weather = Weather::fair(100);
        seat
    }

    /// Whether somebody came so often that they may be put off.
    pub(super) fn came_often(&self, who: &PublicKey) -> bool {
        self.came(who) >= BURST
    }

    /// Whether somebody may be here as often as one may at once: the host hears late of some who left.
    pub(super) fn is_crowd(&self, who: &PublicKey) -> bool {
        self.came(who) >= 16
    }

    /// How often somebody came lately.
    fn came(&self, who: &PublicKey) -> usize {
        let Some(visits) = self.host.as_ref().and_then(|side| side.visits.get(who)) else {
            return 0;
        };
        let since_us = self.now_us.saturating_sub(1_000_000 * BURST as u64);
        visits.hellos.iter().filter(|at| **at >= since_us).count()
    }

    /// Somebody is let in, and not more often than anybody may be.
    pub(super) fn note_welcome(&mut self, who: PublicKey) {
        self.note_visit(
            who,
            |visits| &mut visits.welcomes,
            1_000_000,
            BURST,
            "is let in",
        );
        if self.strikes(Sabotage::LogEachVisit) {
            for event in ["joined", "left"] {
                let json = format!("{{\"event\":\"{event}\",\"identity\":\"{who}\"}}");
                let unix_ms = self.host_unix_ms();
                self.log(LogEntry::Event { unix_ms, json });
            }
        }
    }

    /// What the log says of comings and goings is bounded, however often somebody comes.
    pub(super) fn check_event(&mut self, json: &str) {
        let is_visit = ["joined", "left", "visits"]
            .iter()
            .any(|event| json.contains(&format!("\"event\":\"{event}\"")));
        let key = json.split("\"identity\":\"").nth(1);
        let key = key.and_then(|rest| rest.split('"').next()?.parse().ok());
        if let (true, Some(key)) = (is_visit, key) {
            self.note_visit(
                key,
                |visits| &mut visits.entries,
                6_000_000,
                ENTRIES,
                "is in the log",
            );
        }
    }

    fn note_visit(
        &mut self,
        who: PublicKey,
        of: impl Fn(&mut super::hosting::Visits) -> &mut Vec<u64>,
        every_us: u64,
        burst: usize,
        what: &str,
    ) {
        let now_us = self.now_us;
        let Some(side) = &mut self.host else { return };
        let times = of(side.visits.entry(who).or_default());
        times.push(now_us);
        // From any moment on no more than at once and since then.
        let too_often = times.iter().enumerate().any(|(before, at)| {
            let most = burst as u64 + 1 + (now_us - at) / every_us;
            (times.len() - before) as u64 > most
        });
        self.require(!too_often, || format!("{who} {what} too often"));
    }
}
