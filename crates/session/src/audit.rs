//! What a session's log says of people: one event for each thing that happened, as JSON objects.
//!
//! The names and fields are part of the log's format: they are only added to, and `tests/audit.golden` holds them. Who
//! did it stands beside the event ([`Doer`]), where somebody's command or right led to it. What was typed is never in
//! it.

use std::num::NonZeroU64;

use pillion_caps::{AccessMode, PublicKey, Rights};
use pillion_proto::{AdmittedBy, EndReason, ParticipantId, RefusalReason, TrackId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{PersonLabel, Proved};

/// Somebody, as the log names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPerson {
    /// Number in this run of the session.
    pub id: ParticipantId,
    /// What they call themselves, cleaned; it proves nothing.
    pub name: String,
    /// Identity key.
    pub identity: PublicKey,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditProof {
    /// What let them in, or what they hold that knock.
    pub proof: AdmittedBy,
    /// What they proved beside their key.
    pub claims: Vec<String>,
}

impl From<Proved> for AuditProof {
    fn from(Proved { by, claims }: Proved) -> AuditProof {
        AuditProof { proof: by, claims }
    }
}

/// Who did it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doer {
    /// "host" (at their terminal), "socket", "rule" (what was said earlier), or an identity key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// A participant's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_id: Option<ParticipantId>,
    /// What they call themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_name: Option<String>,
    /// The grant by which they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_grant: Option<String>,
}

/// An event and who did it, as the log has them.
#[derive(Debug, Serialize)]
pub(crate) struct AuditEntry<'a> {
    #[serde(flatten)]
    pub(crate) event: &'a AuditEvent,
    #[serde(flatten)]
    pub(crate) doer: Doer,
}

impl AuditEntry<'_> {
    /// One object.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("every event is an object with texts for names")
    }
}

impl From<PersonLabel> for AuditPerson {
    fn from(label: PersonLabel) -> AuditPerson {
        let PersonLabel { id, name, identity } = label;
        AuditPerson { id, name, identity }
    }
}

/// What became of the host's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminalState {
    /// There is one (again).
    Attached,
    /// Another one has taken its place.
    Moved,
    /// Its person left it.
    Detached,
    /// It was closed.
    Lost,
}

/// Why somebody's rights changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeReason {
    /// They were taken away.
    Revoked,
    /// They ended by themselves.
    Expired,
    /// A team took back the membership that gave them.
    MembershipRevoked,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditEvent {
    /// Somebody joined.
    Joined {
        /// Who.
        #[serde(flatten)]
        person: AuditPerson,
        /// How.
        #[serde(flatten)]
        proof: AuditProof,
    },
    /// Somebody left.
    Left {
        /// Who.
        #[serde(flatten)]
        person: AuditPerson,
    },
    /// Comings and goings that are one entry.
    Visits {
        /// Whose, if one person's.
        #[serde(flatten)]
        person: Option<AuditPerson>,
        /// Whether they are here at the end of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        here: Option<bool>,
        /// How often somebody came.
        joins: u64,
        /// How often somebody left.
        leaves: u64,
        /// The first of it, in milliseconds since the Unix epoch.
        from_unix_ms: u64,
        /// The last of it.
        to_unix_ms: u64,
    },
    /// Somebody knocks.
    Knocked {
        /// Who.
        #[serde(flatten)]
        person: AuditPerson,
        /// How.
        #[serde(flatten)]
        proof: AuditProof,
    },
    /// Somebody who knocked was let in.
    Admitted {
        /// Who.
        #[serde(flatten)]
        person: AuditPerson,
        /// By what.
        #[serde(flatten)]
        proof: AuditProof,
    },
    /// Somebody was not let in.
    TurnedAway {
        /// Their number, if they knocked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<ParticipantId>,
        /// What they call themselves.
        name: String,
        /// Their key, once they proved that it is theirs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<PublicKey>,
        /// What they showed.
        #[serde(flatten)]
        proof: Option<AuditProof>,
        /// Why; nothing if they left before there was an answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<RefusalReason>,
        /// Whether they are barred with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_good: Option<bool>,
        /// Others who were turned away before and have no entry of their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        others: Option<NonZeroU64>,
    },
    /// A spoken code was used.
    CodeUsed {
        /// Its number.
        code: u32,
        /// The endpoint id its user comes with.
        endpoint: PublicKey,
    },
    /// A grant was used by somebody for the first time.
    Redeemed {
        /// Which.
        grant: String,
        /// By whom.
        identity: PublicKey,
    },
    /// Somebody asked to type.
    Asked {
        /// Number.
        id: ParticipantId,
        /// Name.
        name: String,
    },
    /// Their request was declined.
    Refused {
        /// Number.
        id: ParticipantId,
        /// Name.
        name: String,
    },
    /// A grant was made.
    Granted {
        /// Its id.
        grant: String,
        /// For whom: an identity key, or "link".
        to: String,
        /// Which rights.
        rights: Rights,
        /// When it ends, in milliseconds since the Unix epoch.
        until_unix_ms: u64,
    },
    /// Grants were taken back.
    Revoked {
        /// Of whom, if of one person.
        #[serde(flatten)]
        person: Option<AuditPerson>,
        /// Else "links", "all", or a grant's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        what: Option<String>,
    },
    /// Somebody has other rights than before.
    Right {
        /// Number.
        id: ParticipantId,
        /// Which.
        rights: Rights,
        /// Why.
        why: ChangeReason,
    },
    /// A team took back what somebody had proved.
    TakenBack {
        /// Who.
        #[serde(flatten)]
        person: AuditPerson,
        /// What.
        what: String,
    },
    /// Somebody was removed, and is not barred.
    PutOut {
        /// Number.
        id: ParticipantId,
        /// Key.
        identity: PublicKey,
        /// Why.
        why: RefusalReason,
    },
    /// Somebody was removed and barred.
    Kicked {
        /// Who.
        #[serde(flatten)]
        person: AuditPerson,
        /// What they proved, which is barred with them.
        claims: Vec<String>,
    },
    /// Somebody was put on the list.
    Allowed {
        /// By what they can prove.
        who: String,
        /// What they may do.
        rights: Rights,
    },
    /// Somebody was taken off it.
    Disallowed {
        /// By what they can prove.
        who: String,
    },
    /// Somebody is kept out.
    Banned {
        /// By what they can prove.
        who: String,
    },
    /// And no longer.
    Unbanned {
        /// By what they can prove.
        who: String,
    },
    /// Others may join than before.
    Mode {
        /// Who.
        mode: AccessMode,
    },
    /// The session is shared.
    Shared {
        /// The first line of its first terminal that viewers may read.
        from_line: u64,
    },
    /// Sharing, or the session, ended.
    Ended {
        /// Why.
        why: EndReason,
    },
    /// The ticket was replaced.
    TicketReplaced,
    /// A link was published.
    Link {
        /// At which service.
        service: String,
    },
    /// A service exchanges codes.
    LinkService {
        /// Which.
        service: String,
    },
    /// The link was ended.
    LinkEnded,
    /// A spoken code was made.
    Code,
    /// Somebody began to type.
    Typing {
        /// Who.
        #[serde(flatten)]
        person: AuditPerson,
        /// By which grant.
        grant: String,
    },
    /// Somebody typed for a while.
    Typed {
        /// Who.
        #[serde(flatten)]
        person: AuditPerson,
        /// By which grant.
        grant: String,
        /// From when, in milliseconds since the Unix epoch.
        from_unix_ms: u64,
        /// Until when.
        to_unix_ms: u64,
        /// How many inputs.
        inputs: u64,
        /// Of how many bytes in all.
        bytes: u64,
    },
    /// A command was given.
    Command {
        /// The [`Command`](crate::Command), with its texts cut and cleaned.
        command: Value,
        /// It was carried out.
        done: bool,
        /// Somebody at the host's terminal said yes to it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        confirmed: bool,
        /// The [`CommandError`](crate::CommandError), with its texts cut and cleaned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Value>,
    },
    /// The host's terminal came or went.
    Terminal {
        /// How it stands.
        state: TerminalState,
    },
    /// A viewer asked for a terminal, which is being opened.
    Opening {
        /// Which.
        track: TrackId,
    },
    /// A track was opened.
    Opened {
        /// Which.
        track: TrackId,
        /// "terminal", "log", …
        kind: String,
        /// What it is called.
        title: String,
        /// Who asked for it.
        opener: ParticipantId,
    },
    /// A track was closed.
    Closed {
        /// Which.
        track: TrackId,
    },
    /// A track's program ended.
    TrackEnded {
        /// Which.
        track: TrackId,
        /// How.
        why: EndReason,
    },
}

#[cfg(test)]
mod tests {
    use pillion_caps::SecretKey;
    use pillion_proto::Text;

    use super::*;

    fn samples() -> Vec<AuditEvent> {
        let identity = SecretKey::from_bytes(&[7; 32]).public();
        let text = || "text".to_owned();
        let person = || AuditPerson {
            id: ParticipantId(3),
            name: "anna".to_owned(),
            identity,
        };
        let proof = || AuditProof {
            proof: AdmittedBy::Ticket,
            claims: vec!["anna@example.org".to_owned()],
        };
        let (id, name, rights, track) = (ParticipantId(3), text(), Rights::EDIT, TrackId(1));
        let visits = |one: bool| AuditEvent::Visits {
            person: one.then(person),
            here: one.then_some(true),
            joins: 2,
            leaves: 1,
            from_unix_ms: 300,
            to_unix_ms: 400,
        };
        let turned_away = |knocked: bool| AuditEvent::TurnedAway {
            id: knocked.then_some(id),
            name: text(),
            identity: knocked.then_some(identity),
            proof: knocked.then(proof),
            why: knocked.then_some(RefusalReason::Removed),
            for_good: knocked.then_some(true),
            others: if knocked { None } else { NonZeroU64::new(2) },
        };
        vec![
            AuditEvent::Joined {
                person: person(),
                proof: proof(),
            },
            AuditEvent::Left { person: person() },
            visits(true),
            visits(false),
            AuditEvent::Knocked {
                person: person(),
                proof: proof(),
            },
            AuditEvent::Admitted {
                person: person(),
                proof: proof(),
            },
            turned_away(true),
            turned_away(false),
            AuditEvent::CodeUsed {
                code: 7,
                endpoint: identity,
            },
            AuditEvent::Redeemed {
                grant: text(),
                identity,
            },
            AuditEvent::Asked {
                id,
                name: name.clone(),
            },
            AuditEvent::Refused { id, name },
            AuditEvent::Granted {
                grant: text(),
                to: "link".to_owned(),
                rights,
                until_unix_ms: 300,
            },
            AuditEvent::Revoked {
                person: Some(person()),
                what: None,
            },
            AuditEvent::Revoked {
                person: None,
                what: Some("all".to_owned()),
            },
            AuditEvent::Right {
                id,
                rights,
                why: ChangeReason::MembershipRevoked,
            },
            AuditEvent::TakenBack {
                person: person(),
                what: text(),
            },
            AuditEvent::PutOut {
                id,
                identity,
                why: RefusalReason::MembershipRevoked,
            },
            AuditEvent::Kicked {
                person: person(),
                claims: vec![text()],
            },
            AuditEvent::Allowed {
                who: text(),
                rights,
            },
            AuditEvent::Disallowed { who: text() },
            AuditEvent::Banned { who: text() },
            AuditEvent::Unbanned { who: text() },
            AuditEvent::Mode {
                mode: AccessMode::Invited,
            },
            AuditEvent::Shared { from_line: 3 },
            AuditEvent::Ended {
                why: EndReason::Stopped {
                    by: Text::cut("host"),
                },
            },
            AuditEvent::TicketReplaced,
            AuditEvent::Link { service: text() },
            AuditEvent::LinkService { service: text() },
            AuditEvent::LinkEnded,
            AuditEvent::Code,
            AuditEvent::Typing {
                person: person(),
                grant: text(),
            },
            AuditEvent::Typed {
                person: person(),
                grant: text(),
                from_unix_ms: 300,
                to_unix_ms: 400,
                inputs: 2,
                bytes: 5,
            },
            AuditEvent::Command {
                command: serde_json::json!({ "Stop": {} }),
                done: false,
                confirmed: true,
                why: Some("NotShared".into()),
            },
            AuditEvent::Terminal {
                state: TerminalState::Moved,
            },
            AuditEvent::Opening { track },
            AuditEvent::Opened {
                track,
                kind: "terminal".to_owned(),
                title: text(),
                opener: id,
            },
            AuditEvent::Closed { track },
            AuditEvent::TrackEnded {
                track,
                why: EndReason::Exited(3),
            },
        ]
    }

    #[test]
    fn every_event_is_written_as_it_always_was_and_read_again() {
        let doer = || Doer {
            by: Some("socket".to_owned()),
            ..Doer::default()
        };
        let made: Vec<String> = samples()
            .iter()
            .map(|event| {
                let doer = doer();
                AuditEntry { event, doer }.to_json()
            })
            .collect();
        let golden: Vec<&str> = include_str!("../tests/audit.golden").lines().collect();
        for (made, golden) in made.iter().zip(&golden) {
            assert_eq!(made, golden, "the log's format changed");
        }
        assert_eq!(made.len(), golden.len(), "{}", made.join("\n"));
        for (line, event) in golden.iter().zip(samples()) {
            assert_eq!(serde_json::from_str::<AuditEvent>(line).unwrap(), event);
            assert_eq!(serde_json::from_str::<Doer>(line).unwrap(), doer());
        }
    }
}
