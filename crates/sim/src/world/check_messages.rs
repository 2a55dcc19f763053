//! What viewers are told, against what is so: who is let in, what each may do, what was typed.

use bytes::Bytes;
use pillion_caps::{AccessMode, Audience, Grant, PublicKey, Subject};
use pillion_proto::{FromHost, Hello, Refused, RefusedCode, RightChanged, RightReason, Rights};
use pillion_session::ConnId;

use crate::model::Effect;

use super::World;

impl World {
    /// Who was let in showed what is needed, and is told what it may do.
    pub(super) fn check_welcomed(&mut self, conn: ConnId, ledgered: u64) {
        let unix_ms = self.host_unix_ms();
        let Some((hello, seat)) = self
            .conns
            .get(&conn.0)
            .and_then(|state| Some((state.watch.hello.clone()?, state.seat)))
        else {
            return self.fail("somebody is let in who did not say hello");
        };
        let Ok(who) = PublicKey::from_bytes(&hello.identity) else {
            return self.fail("somebody is let in whose key is none");
        };
        self.tally.welcomes += 1;
        self.note_welcome(who);
        self.seats[seat].let_in_with = Some(hello.clone());
        let by_ticket = self.has_ticket(&hello);
        let entries = self.host.as_ref().map_or(0, |side| side.entries);
        let before = entries.saturating_sub(ledgered);
        // Who knocked had no grant that let them in, and shows none again.
        let waited = self
            .conns
            .get(&conn.0)
            .is_some_and(|state| state.watch.waited);
        let (mut by_grant, mut charged) = (false, 0);
        for presented in hello.grants.iter().filter(|_| !waited) {
            let Ok(grant) = Grant::from_bytes(&presented.grant) else {
                continue;
            };
            let holds_key = self.holds_key(seat, &presented.grant, &grant);
            if !self.model.can_redeem(grant.id(), who, holds_key, unix_ms) {
                continue;
            }
            by_grant = true;
            match self.model.is_charged(grant.id(), who) {
                true => self.model.hold_again(grant.id(), who),
                // Each use is an entry of its own: a host can die between two of them.
                false => {
                    charged += 1;
                    let redeemed = Effect::Redeem(grant.id(), who);
                    self.model.apply(before + charged, redeemed);
                }
            }
        }
        self.require(charged == ledgered, || {
            format!("viewer {seat} used {charged} grants, and {ledgered} uses are written down")
        });
        let subjects = self.subjects(&who);
        // A ticket that was replaced while they waited was good when they knocked.
        let by_ticket = by_ticket || waited;
        let may = self.model.lets_in(&subjects, by_ticket, by_grant);
        let door = self.model.door();
        self.require(may, || {
            format!(
                "viewer {seat} is let in by {by_ticket} or {by_grant}, and the door is {door:?}"
            )
        });
        let open = self.model.shared && !self.model.is_kept_out(&subjects);
        self.require(open, || {
            format!("viewer {seat} is let in where it is kept out")
        });
    }

    /// Somebody is shown the screen who was not let in on this connection: one picture, and only if
    /// what let them in before would now.
    pub(super) fn check_shown_early(&mut self, conn: ConnId) {
        let unix_ms = self.host_unix_ms();
        let Some(state) = self.conns.get(&conn.0) else {
            return;
        };
        let seat = state.seat;
        let Some(hello) = self.seats[seat].let_in_with.clone() else {
            return self.fail(format!(
                "viewer {seat} is shown the screen and never was let in"
            ));
        };
        self.tally.early += 1;
        let Ok(who) = PublicKey::from_bytes(&hello.identity) else {
            return;
        };
        let by_grant = hello.grants.iter().any(|presented| {
            Grant::from_bytes(&presented.grant).is_ok_and(|grant| {
                let holds_key = self.holds_key(seat, &presented.grant, &grant);
                self.model.can_redeem(grant.id(), who, holds_key, unix_ms)
            })
        });
        // A claim keeps out, and lets nobody in: it is not proved again before the hello.
        let (key, ticket) = ([Subject::key(&who)], self.has_ticket(&hello));
        let may = self.model.lets_in(&key, ticket, by_grant)
            && self.model.shared
            && !self.model.is_kept_out(&self.subjects(&who));
        self.require(may, || {
            format!("viewer {seat} is shown the screen where it is kept out")
        });
    }

    fn has_ticket(&self, hello: &Hello) -> bool {
        let link = hello.link.map(|(key, _)| key);
        link.is_some() && link == self.model.link.map(|key| *key.as_bytes())
    }

    fn holds_key(&self, seat: usize, bytes: &Bytes, grant: &Grant) -> bool {
        let Audience::Link(link) = &grant.terms().audience else {
            return false;
        };
        self.seats[seat]
            .tokens
            .iter()
            .any(|(known, key)| known == bytes && key.as_ref() == Some(link))
    }

    pub(super) fn check_told(&mut self, conn: ConnId, message: &FromHost) {
        let Some(state) = self.conns.get(&conn.0) else {
            return;
        };
        let seat = state.seat;
        let hello = state.watch.hello.clone();
        let who = hello
            .as_ref()
            .and_then(|hello| PublicKey::from_bytes(&hello.identity).ok());
        let is_in = state.watch.welcomed.is_some();
        let for_anybody = matches!(
            message,
            FromHost::Welcome(_)
                | FromHost::Waiting(_)
                | FromHost::Refused(_)
                | FromHost::Pong(_)
                | FromHost::Ended(_)
        );
        self.require(is_in || for_anybody, || {
            format!("viewer {seat} is told {message:?} and is not in")
        });
        match message {
            FromHost::Roster(change) => {
                for info in change.changed.iter().filter(|info| !info.host) {
                    let key = PublicKey::from_bytes(&info.identity).ok();
                    let person = key.and_then(|key| self.person_of(&key));
                    let person = person.filter(|_| self.strikes(super::Sabotage::ShowAnyName));
                    let name = match person {
                        Some(person) => self.people[person].name.clone(),
                        None => info.name.as_str().to_owned(),
                    };
                    self.check_name(&name);
                }
            }
            FromHost::Waiting(_) => {
                self.tally.knocks += 1;
                if let Some(state) = self.conns.get_mut(&conn.0) {
                    state.watch.waited = true;
                }
                let invited = self.model.door() == AccessMode::Invited;
                let out = who.is_some_and(|who| self.model.is_kept_out(&self.subjects(&who)));
                self.require(invited && !out, || {
                    format!("viewer {seat} is told to wait where nobody is asked about them")
                });
            }
            FromHost::Knocks(knocks) => {
                for knock in &knocks.knocks {
                    self.check_name(knock.name.as_str());
                }
                let unix_ms = self.host_unix_ms();
                let most = who.map(|who| self.model.right(who, unix_ms).1);
                self.require(most == Some(Rights::MANAGE), || {
                    format!("viewer {seat} is told who knocks and does not manage")
                });
            }
            FromHost::Welcome(welcome) => {
                if let (Some(who), Some(side)) = (who, &mut self.host) {
                    let known = *side.numbers.entry(welcome.you).or_insert(who);
                    let from = side
                        .tracks
                        .iter()
                        .map(|(id, track)| (*id, track.visible_from.0));
                    if let Some(state) = self.conns.get_mut(&conn.0) {
                        state.watch.readable_from = from.collect();
                        state.watch.welcomed = Some(welcome.you);
                    }
                    self.require(known == who, || format!("{:?} is two people", welcome.you));
                }
                self.check_right(seat, who, &welcome.right);
            }
            FromHost::Refused(refused) => self.check_refused(conn, seat, who, refused),
            FromHost::Right(right) => self.check_right(seat, who, right),
            FromHost::Accepted(accepted) if accepted.track.is_some() => {
                self.check_accepted(seat, accepted.upto);
            }
            FromHost::Dropped(dropped) => {
                self.tally.dropped += 1;
                let written = self.is_written(seat, dropped.upto);
                self.require(!written, || {
                    format!("viewer {seat} is told that {} was not typed", dropped.upto)
                });
            }
            FromHost::Grant(push) => {
                self.seats[seat].tokens.push((push.grant.clone(), None));
                self.pushed.push(push.grant.clone());
            }
            _ => {}
        }
    }

    /// What somebody calls themselves is shown as nothing that it could be taken for.
    fn check_name(&mut self, name: &str) {
        let digits: String = name.chars().filter(|ch| *ch != '-').collect();
        let hex = digits.bytes().filter(u8::is_ascii_hexdigit).count();
        let looks_like = name.contains(['@', ':', '\u{fe0f}', '\u{200d}'])
            || name.bytes().all(|byte| byte.is_ascii_digit())
            || (hex >= 4 && hex == digits.len());
        self.require(!looks_like, || format!("somebody is shown as {name:?}"));
    }

    fn is_written(&self, seat: usize, input: u64) -> bool {
        let Some((_, last)) = self.seats[seat].inputs.get(&input) else {
            return false;
        };
        self.seats[seat]
            .typed
            .get(*last)
            .is_some_and(|typed| typed.written == Some(self.lives))
    }

    fn check_accepted(&mut self, seat: usize, upto: u64) {
        if self.people[self.seats[seat].person].hostile || upto == 0 {
            return;
        }
        let written = self.is_written(seat, upto);
        self.require(written, || {
            format!("viewer {seat} is told that {upto} was typed, and it was not")
        });
    }

    fn check_right(&mut self, seat: usize, who: Option<PublicKey>, told: &RightChanged) {
        let Some(who) = who else { return };
        let unix_ms = self.host_unix_ms();
        let (least, most) = match self.model.is_kept_out(&self.subjects(&who)) {
            true => (Rights::VIEW, Rights::VIEW),
            false => self.model.right(who, unix_ms),
        };
        let within = least.narrower_or_equal(told.rights) && told.rights.narrower_or_equal(most);
        self.require(within, || {
            format!(
                "viewer {seat} is told {:?}, and may {least:?} to {most:?}",
                told.rights
            )
        });
        if told.rights.exceeds_view() {
            let ends = told
                .until_unix_ms
                .is_some_and(|until| self.model.ends(who, until));
            self.require(ends, || {
                format!("viewer {seat} is told an end that is none: {told:?}")
            });
        }
    }

    fn check_refused(
        &mut self,
        conn: ConnId,
        seat: usize,
        who: Option<PublicKey>,
        refused: &Refused,
    ) {
        self.tally.refusals += 1;
        if refused.code == RefusedCode::BARRED && self.strikes(super::Sabotage::TellBanned) {
            let told = RightChanged {
                rights: Rights::EDIT,
                until_unix_ms: None,
                edit_epoch: 0,
                why: Some(RightReason::Expired),
            };
            self.check_right(seat, who, &told);
        }
        if let (RefusedCode::BUSY, Some(who)) = (refused.code, who)
            && self.came_often(&who)
        {
            self.tally.put_off += 1;
            if self.strikes(super::Sabotage::LetInAlways) {
                self.note_welcome(who);
            }
        }
        let Some(state) = self.conns.get(&conn.0) else {
            return;
        };
        let (hello, was_in) = (state.watch.hello.clone(), state.watch.welcomed.is_some());
        let unix_ms = self.host_unix_ms();
        let subjects = who.map(|who| self.subjects(&who)).unwrap_or_default();
        let barred = self.model.is_kept_out(&subjects);
        let waited = state.watch.waited;
        let lets_in = |ticket, grant| self.model.lets_in(&subjects, ticket, grant);
        let has_ticket = hello.as_ref().is_some_and(|hello| self.has_ticket(hello));
        let has_grant = who.zip(hello.as_ref()).is_some_and(|(who, hello)| {
            hello.grants.iter().any(|presented| {
                Grant::from_bytes(&presented.grant).is_ok_and(|grant| {
                    let holds_key = self.holds_key(seat, &presented.grant, &grant);
                    self.model.can_redeem(grant.id(), who, holds_key, unix_ms)
                })
            })
        });
        let hostile = self.people[self.seats[seat].person].hostile;
        let rightly = match refused.code {
            RefusedCode::BARRED => barred,
            RefusedCode::NOT_SHARED => !self.model.shared,
            RefusedCode::TICKET | RefusedCode::GRANT => {
                !was_in && !has_ticket && !lets_in(has_ticket, has_grant)
            }
            // By an answer, or for want of one.
            RefusedCode::NOT_ADMITTED if waited => !was_in,
            RefusedCode::NOT_ADMITTED => !was_in && !lets_in(has_ticket, has_grant),
            // A person knocks with so many viewers at most.
            RefusedCode::BUSY => {
                let often = who.is_some_and(|who| self.is_crowd(&who));
                often || (self.model.door() == AccessMode::Invited && !was_in)
            }
            // A hello can take longer than ten seconds to get through.
            RefusedCode::PROTOCOL => hostile || hello.is_none(),
            RefusedCode::PROOF | RefusedCode::VERSION => hostile,
            _ => false,
        };
        self.require(rightly, || {
            format!("viewer {seat} is refused and should not be: {refused:?}")
        });
    }
}
