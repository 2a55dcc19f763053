//! Who did what, for the session's log: spans of typing, what the host's side asked for and who asked
//! it, and who was turned away at the door. Never what was typed.

use std::{collections::BTreeMap, num::NonZeroU64};

use pillion_caps::{GrantId, PublicKey};
use pillion_people::Name;
use pillion_proto::{Hello, ParticipantId, RefusedCode};
use pillion_screen::clean::clean_title;
use pillion_share::{Lineage, SharedRate};
use serde_json::Value;

use crate::{
    audit::{AuditEvent, AuditPerson, Doer},
    host::{
        api::Actor,
        commands::Commands,
        commands::verbs::{Command, CommandError, Done, Ticket},
        context::Context,
        fault::PeerError,
        people::People,
        people::rights::EditRight,
        principal::Principal,
        timers::Timer,
    },
};

/// A span of typing ends with so much silence, in microseconds.
const SILENCE_US: u64 = 10_000_000;

/// One that goes on is written down so long after its beginning, in microseconds, and another begins: a
/// person is at most three events a minute, whatever they type.
const SPAN_US: u64 = 60_000_000;

/// Those turned away that the log has room for: so many at once, and one a second in the long run.
/// Connecting is free, and must not fill the host's disk. An address has a quarter of it, so that nobody can hide
/// behind somebody who is turned away again and again.
const TURNED_AWAY_BURST: u64 = 32;
const TURNED_AWAY_PART: u64 = 4;

/// Longest text of a command's that the log keeps, in bytes.
const MAX_TEXT: usize = 200;

/// What goes on and is not in the log yet.
pub(in crate::host) struct Attribution {
    spans: BTreeMap<PublicKey, Span>,
    /// Commands without a result so far, by request.
    commands: BTreeMap<u64, PendingCommand>,
    turned_away: SharedRate,
    /// Turned away since the log last said so of anybody.
    suppressed: u64,
}

/// Somebody types.
struct Span {
    id: ParticipantId,
    name: String,
    grant: GrantId,
    from_us: u64,
    from_unix_ms: u64,
    last_us: u64,
    last_unix_ms: u64,
    inputs: u64,
    bytes: u64,
}

/// A command that was given.
pub(in crate::host) struct PendingCommand {
    by: Doer,
    command: Value,
    /// Somebody at the host's terminal said yes to it.
    confirmed: bool,
}

impl Attribution {
    pub(in crate::host) fn new(now_us: u64) -> Attribution {
        Attribution {
            spans: BTreeMap::new(),
            commands: BTreeMap::new(),
            turned_away: SharedRate::new(now_us, 1, TURNED_AWAY_BURST, TURNED_AWAY_PART),
            suppressed: 0,
        }
    }
}

impl Commands {
    /// One input was given to the program. That somebody types is in the log at once, so that a crash
    /// does not hide it; for how long and how much, when the span ends.
    pub(in crate::host) fn attribute(
        &mut self,
        cx: &mut Context,
        people: &People,
        right: &EditRight,
        who: &PublicKey,
        bytes: usize,
    ) {
        let now = cx.now;
        let grant = right.grant();
        let spans = &mut self.attribution.spans;
        if spans.get(who).is_some_and(|span| span.grant != grant) {
            self.end_span(cx, who);
        }
        if let Some(span) = self.attribution.spans.get_mut(who) {
            span.last_us = now.mono_us;
            span.last_unix_ms = now.unix_ms;
            span.inputs += 1;
            span.bytes = span.bytes.saturating_add(bytes as u64);
            return;
        }
        let Some(person) = people.roster().by_identity(who) else {
            return;
        };
        let (id, name) = (person.id, person.name.to_string());
        let span = Span {
            id,
            name: name.clone(),
            grant,
            from_us: now.mono_us,
            from_unix_ms: now.unix_ms,
            last_us: now.mono_us,
            last_unix_ms: now.unix_ms,
            inputs: 1,
            bytes: bytes as u64,
        };
        self.attribution.spans.insert(*who, span);
        let until = now.mono_us.saturating_add(SILENCE_US);
        cx.timers.set_by(Timer::Spans, until);
        cx.log_event(&AuditEvent::Typing {
            person: AuditPerson {
                id,
                name,
                identity: *who,
            },
            grant: grant.to_string(),
        });
    }

    /// Puts down the spans of typing that are over.
    pub(in crate::host) fn expire_spans(&mut self, cx: &mut Context) {
        let now = cx.now.mono_us;
        let end = |span: &Span| {
            let silent = span.last_us.saturating_add(SILENCE_US);
            silent.min(span.from_us.saturating_add(SPAN_US))
        };
        let ends: Vec<(PublicKey, u64)> = self
            .attribution
            .spans
            .iter()
            .map(|(who, span)| (*who, end(span)))
            .collect();
        for (who, end) in ends {
            match now >= end {
                true => self.end_span(cx, &who),
                false => cx.timers.set_by(Timer::Spans, end),
            }
        }
    }

    /// Puts down how long somebody typed, if they did: they left, or it is time.
    pub(in crate::host) fn end_span(&mut self, cx: &mut Context, who: &PublicKey) {
        let Some(span) = self.attribution.spans.remove(who) else {
            return;
        };
        // What they typed is theirs, no matter whose command ends it.
        let acting = cx.acting.take();
        cx.log_event(&AuditEvent::Typed {
            person: AuditPerson {
                id: span.id,
                name: span.name,
                identity: *who,
            },
            grant: span.grant.to_string(),
            from_unix_ms: span.from_unix_ms,
            to_unix_ms: span.last_unix_ms,
            inputs: span.inputs,
            bytes: span.bytes,
        });
        cx.acting = acting;
    }

    /// Somebody on the host's side asks for something. What only asks changes nothing and is not noted.
    pub(in crate::host) fn note_command(
        &mut self,
        people: &People,
        request: u64,
        by: Actor,
        command: &Command,
    ) {
        if let Command::Who(_)
        | Command::Status(_)
        | Command::ListTracks(_)
        | Command::ShowTrack(_)
        | Command::Ticket(Ticket { new: false }) = command
        {
            return;
        }
        let given = self.given(people, &by.into(), command);
        self.attribution.commands.insert(request, given);
    }

    /// A command and who gives it, before anything comes of it: they may be gone after that.
    pub(in crate::host) fn given(
        &self,
        people: &People,
        by: &Principal,
        command: &Command,
    ) -> PendingCommand {
        PendingCommand {
            by: people.doer(by),
            command: serde_json::to_value(command).map_or(Value::Null, bounded),
            confirmed: false,
        }
    }

    /// A command is carried out from here on, until [`Host::rest`].
    pub(in crate::host) fn act(&mut self, cx: &mut Context, request: u64) {
        let given = self.attribution.commands.get(&request);
        cx.acting = given.map(|given| given.by.clone());
    }

    /// The same for one that is carried out at once.
    pub(in crate::host) fn act_on(&mut self, cx: &mut Context, given: &PendingCommand) {
        cx.acting = Some(given.by.clone());
    }

    /// Nothing is carried out any more.
    pub(in crate::host) fn rest(&mut self, cx: &mut Context) {
        cx.acting = None;
    }

    /// The person at the host's terminal said yes to a command.
    pub(in crate::host) fn note_confirmed(&mut self, request: u64) {
        if let Some(given) = self.attribution.commands.get_mut(&request) {
            given.confirmed = true;
        }
    }

    /// What came of a command of the host's side.
    pub(in crate::host) fn log_command(
        &mut self,
        cx: &mut Context,
        request: u64,
        result: &Result<Done, CommandError>,
    ) {
        if let Some(given) = self.attribution.commands.remove(&request) {
            self.log_given(cx, given, result);
        }
    }

    /// What came of a command. Its result may be a secret and is not looked at.
    pub(in crate::host) fn log_given(
        &mut self,
        cx: &mut Context,
        given: PendingCommand,
        result: &Result<Done, CommandError>,
    ) {
        let refused = result.as_ref().err();
        let event = AuditEvent::Command {
            command: given.command,
            done: result.is_ok(),
            confirmed: given.confirmed,
            why: refused.map(|error| serde_json::to_value(error).map_or(Value::Null, bounded)),
        };
        cx.log_with(&event, given.by);
    }

    /// Somebody was not let in. What they call themselves proves nothing, and their key is only put
    /// down once they have proved that it is theirs.
    pub(in crate::host) fn log_turned_away(
        &mut self,
        cx: &mut Context,
        from: &Lineage,
        hello: &Hello,
        fault: &PeerError,
    ) {
        let rate = &mut self.attribution.turned_away;
        if rate.take(cx.now.mono_us, from).is_err() {
            self.attribution.suppressed += 1;
            return;
        }
        let is_proved = ![
            RefusedCode::VERSION,
            RefusedCode::NOT_SHARED,
            RefusedCode::PROOF,
            RefusedCode::PROTOCOL,
        ]
        .contains(&fault.0.code());
        let key = PublicKey::from_bytes(&hello.identity).ok();
        let event = AuditEvent::TurnedAway {
            id: None,
            name: Name::of(hello.name.as_str()).to_string(),
            identity: key.filter(|_| is_proved),
            proof: None,
            why: Some(fault.0.clone()),
            for_good: None,
            others: NonZeroU64::new(std::mem::take(&mut self.attribution.suppressed)),
        };
        cx.log_event(&event);
    }
}

/// A command with its texts cut and cleaned: through the socket they may be anything.
fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) => clean_title(&text, MAX_TEXT).into(),
        Value::Array(values) => values.into_iter().map(bounded).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, bounded(value)))
            .collect(),
        other => other,
    }
}
