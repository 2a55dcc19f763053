//! The bytes of commands, their replies and refusals, which are part of the protocol.
#![cfg(feature = "host")]

use bytes::Bytes;
use pillion_caps::{Refusal, SecretKey};
use pillion_conversation::{Gate, RefusedRequest};
use pillion_people::SubjectRef;
use pillion_proto::{
    AccessMode, AdmittedBy, Answer, ConversationRequest, ParticipantId, PathKind, Rights, TrackId,
    Trust,
};
use pillion_session::{
    Choice, Command, CommandError, Done, EndedLinks, ParticipantStatus, PersonLabel, Proved, Reply,
    SessionStatus, Shortfall, SubjectLabel, Target, TerminalStatus, verbs,
};
use proptest::prelude::*;

fn anna() -> PersonLabel {
    PersonLabel {
        id: ParticipantId(300),
        name: "anna".to_owned(),
        identity: SecretKey::from_bytes(&[7; 32]).public(),
    }
}

fn one(text: &str) -> Target {
    text.parse::<SubjectRef>().unwrap().into()
}

fn commands() -> Vec<Command> {
    let key = anna().identity.to_string();
    let uses = 300.try_into().unwrap();
    let (ttl_ms, for_good) = (Some(300), true);
    let (rights, mode) = (Rights::EDIT, AccessMode::Invited);
    let target = || one("anna");
    let by_digits = one("8a88-e3dd-7409");
    let team = one(&format!("team:{key}/anna"));
    let service = "https://s.example".to_owned();
    vec![
        verbs::Admit { target: one("3") }.into(),
        Command::TurnAway(verbs::TurnAway {
            target: by_digits,
            for_good,
        }),
        Command::Grant(verbs::Grant {
            target: target(),
            rights,
            ttl_ms,
        }),
        verbs::RefuseRequest { target: one(&key) }.into(),
        Command::Revoke(verbs::Revoke {
            target: one(&key[..32]),
        }),
        verbs::Kick { target: one(&key) }.into(),
        verbs::SetAccessMode { mode }.into(),
        Command::Allow(verbs::Allow {
            target: one("a@b.example"),
            rights,
        }),
        verbs::Ban { target: team }.into(),
        Command::Unban(verbs::Unban {
            target: one("a@b.example via https://i.example"),
        }),
        verbs::Who {}.into(),
        verbs::Status {}.into(),
        verbs::Share { from_start: true }.into(),
        verbs::Stop {}.into(),
        verbs::Ticket { new: true }.into(),
        Command::GrantLink(verbs::GrantLink {
            rights,
            ttl_ms,
            uses,
        }),
        Command::UseService(verbs::UseService {
            service,
            link: true,
        }),
        verbs::EndLink {}.into(),
        verbs::Code {}.into(),
        verbs::AccessList {}.into(),
        verbs::Attach { takes_over: true }.into(),
        Command::OpenConversation(verbs::OpenConversation {
            title: "fix it".to_owned(),
            start: verbs::AgentStart {
                command: vec!["agent".to_owned(), "acp".to_owned()],
                cwd: "/src".to_owned(),
                environment: vec![("A".to_owned(), "1".to_owned())],
                earlier: "## You\n\nhello\n".to_owned(),
            },
            gate: Gate {
                strict: vec!["ask".to_owned()],
                asks: true,
                ..Gate::default()
            },
        }),
        Command::Own(verbs::Own {
            key: anna().identity,
        }),
        Command::Trust(verbs::Trust {
            target: target(),
            track: Some(TrackId(3)),
            trust: Trust::ReadsOnly,
        }),
        Command::Converse(verbs::Converse {
            track: Some(TrackId(3)),
            request: ConversationRequest::Answer {
                question: 300,
                answer: Answer::Choice("yes".to_owned()),
            },
        }),
    ]
}

fn replies() -> Vec<Reply> {
    let (links, others) = (1, 2);
    let ended = EndedLinks { links, others };
    let (person, rights, ttl_ms) = (anna(), Rights::EDIT, 300);
    let (for_good, again_ms) = (true, 300);
    let who = || vec![SubjectLabel::Person(anna())];
    let kicked = || verbs::Kicked {
        person: anna(),
        knocked: false,
        ended,
        open: true,
    };
    let text = || "text".to_owned();
    vec![
        Reply::Admit(anna()),
        Reply::TurnAway(verbs::TurnedAway::Knock {
            person: anna(),
            for_good,
            again_ms,
            ended,
        }),
        Reply::Grant(verbs::Granted::Given {
            person,
            rights,
            ttl_ms,
        }),
        Reply::RefuseRequest(anna()),
        Reply::Revoke(verbs::Revoked::Listed { who: who(), ended }),
        Reply::Kick(kicked()),
        Reply::SetAccessMode(verbs::AccessModeSet {
            mode: AccessMode::Team,
            has_team: true,
            viewers: 300,
        }),
        Reply::Allow(verbs::Allowed {
            who: who(),
            rights,
            followed: true,
        }),
        Reply::Ban(verbs::Banned::Person(kicked())),
        Reply::Unban(vec![text()]),
        Reply::Who(vec![ParticipantStatus {
            id: ParticipantId(300),
            name: text(),
            identity: anna().identity,
            rights,
            until_unix_ms: Some(300),
            here: true,
            silent: false,
            asking: true,
            knocking: false,
            proof: Proved {
                by: AdmittedBy::Code(300),
                claims: vec![text()],
            },
            path: PathKind::Direct,
            rtt_us: Some(300),
            lag_frames: 1,
        }]),
        Reply::Status(SessionStatus {
            name: text(),
            shared: true,
            viewers: 2,
            started_unix_ms: 300,
            read_only: false,
            terminal: TerminalStatus::Attached,
        }),
        Reply::Stop(()),
        Reply::Ticket(text()),
        Reply::GrantLink(verbs::Token {
            token: text(),
            grant: text(),
            expires_unix_ms: 300,
        }),
        Reply::UseService(verbs::ServiceUsed {
            service: text(),
            link: true,
        }),
        Reply::EndLink(()),
        Reply::Code(()),
        Reply::OpenConversation(TrackId(300)),
        Reply::Converse(()),
        Reply::Own(()),
        Reply::Trust(verbs::TrustSet {
            person: anna(),
            trust: Trust::Watch,
            prompts: true,
        }),
        Reply::AccessList(verbs::AccessListed {
            mode: AccessMode::Link,
            people: vec![(text(), rights)],
            banned: vec![text()],
            followed: vec![text()],
        }),
    ]
}

fn errors() -> Vec<CommandError> {
    let whom = || "anna".parse::<SubjectRef>().unwrap();
    let text = || "why".to_owned();
    let who = || vec![SubjectLabel::Subject(text())];
    let choices = vec![
        Choice::Person(anna()),
        Choice::Key(text()),
        Choice::Grant(text()),
    ];
    vec![
        CommandError::Unknown { whom: whom() },
        CommandError::Ambiguous {
            whom: whom(),
            choices,
        },
        CommandError::NotOne,
        CommandError::IsGrant(text()),
        CommandError::NotIn(anna()),
        CommandError::NotKnocking(anna()),
        CommandError::NobodyKnocks(ParticipantId(3)),
        CommandError::NotConnected(anna()),
        CommandError::NotAsking(anna()),
        CommandError::ManagesToo(anna()),
        CommandError::NotTheirsToGive,
        CommandError::NotDelegable,
        CommandError::OnlyHost,
        CommandError::NotManager,
        CommandError::ReadOnly,
        CommandError::NotShared,
        CommandError::ProgramEnded,
        CommandError::ZeroTtl,
        CommandError::NotListed(who()),
        CommandError::Barred {
            who: who(),
            unban: text(),
        },
        CommandError::NotBarred,
        CommandError::TooManyLists { max: 300 },
        CommandError::ServiceTooLong { max: 300 },
        CommandError::TicketNotRecorded(text()),
        CommandError::Refused(Refusal::TooDeep),
        CommandError::SharingEnded,
        CommandError::NotConfirmed,
        CommandError::Declined,
        CommandError::TerminalGone,
        CommandError::NoTerminal,
        CommandError::Withdrawn,
        CommandError::TooManyConfirms,
        CommandError::NothingToConfirm,
        CommandError::NotKnownHere,
        CommandError::NotAttachable,
        CommandError::InsideItself,
        CommandError::StartedInside,
        CommandError::OtherUser,
        CommandError::NoConversation,
        CommandError::Conversation(RefusedRequest::Claimed),
        CommandError::OpenElsewhere,
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of a value's variant.
fn name(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let mut words = text.split(|ch: char| !ch.is_alphanumeric());
    words.next().unwrap_or_default().to_owned()
}

#[test]
fn every_command_has_the_bytes_it_always_had() {
    let mut made = Vec::new();
    for command in commands() {
        let (number, body) = command.to_wire();
        made.push(format!(
            "command {} {number} {}",
            name(&command),
            hex(&body)
        ));
    }
    for reply in replies() {
        let (number, body) = reply.to_wire();
        made.push(format!("reply {} {number} {}", name(&reply), hex(&body)));
    }
    for error in errors() {
        made.push(format!("error {} {}", name(&error), hex(&error.to_wire())));
    }
    let golden: Vec<&str> = include_str!("commands.golden").lines().collect();
    for (made, golden) in made.iter().zip(&golden) {
        assert_eq!(
            made, golden,
            "the wire format changed: that needs a new version"
        );
    }
    assert_eq!(made.len(), golden.len(), "{}", made.join("\n"));
}

#[test]
fn what_was_written_is_read_again() {
    for command in commands() {
        let (verb, body) = command.to_wire();
        assert_eq!(Command::from_wire(verb, body), command);
    }
    for reply in replies() {
        let shortfall = Some(Shortfall::ListFull { max: 3, kept: true });
        let done = Done { reply, shortfall };
        let (verb, _) = done.reply.to_wire();
        assert_eq!(Done::from_wire(verb, &done.to_wire()), Some(done));
    }
    for error in errors() {
        assert_eq!(CommandError::from_wire(&error.to_wire()), Some(error));
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_kept_as_it_came(
        verb in 0u16..40,
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = Bytes::from(body.clone());
        if let Command::Unknown(number, kept) = Command::from_wire(verb, bytes.clone()) {
            prop_assert_eq!((number, kept), (verb, bytes));
        }
        let _ = Done::from_wire(verb, &body);
        let _ = CommandError::from_wire(&body);
    }
}
