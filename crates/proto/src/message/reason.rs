//! Why something is as it is: what a host tells people beside what it does, each as a number with what belongs to it.
//!
//! Those who show it to a person make the sentence. A reason is added at the end of its enum, and never gains fields:
//! its number and its fields are part of the protocol. One of a newer version is `None` to its reader
//! ([`known`](crate::growing::known)). The session's log holds the same values.

use pillion_caps::Refusal;
use pillion_people::ClaimError;
use serde::{Deserialize, Serialize};

use super::{ParticipantId, ProtocolError, RefusedCode};
use crate::{
    limits::{MAX_DETAIL, MAX_NAME, MAX_SENTENCE},
    text::Text,
    version::VersionMismatch,
};

/// Why a host does not let a viewer in, or not on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// No version in common.
    Version(VersionMismatch),
    /// The session is not shared (any more).
    NotShared,
    /// The ticket does not open this session (any more).
    Ticket,
    /// The ticket was given by a spoken code, for an endpoint, and this connection proves none.
    CodeWithoutEndpoint,
    /// The ticket was given by a spoken code to another viewer.
    CodeOfAnother,
    /// A presented grant does not hold.
    Grant(Refusal),
    /// A proof does not verify.
    Proof(Refusal),
    /// The identity key is no usable key.
    Key,
    /// The host removed this person.
    Removed,
    /// They knocked, and are never let in.
    Barred {
        /// Who said so; unverified.
        by: Text<MAX_NAME>,
    },
    /// They knocked, and were not let in.
    Declined {
        /// Who said so; unverified.
        by: Text<MAX_NAME>,
    },
    /// They knocked, and nobody answered.
    Unanswered {
        /// How long they waited, in milliseconds.
        waited_ms: u64,
    },
    /// They were not let in a moment ago.
    KnockLater {
        /// When they may knock again, in milliseconds from now.
        wait_ms: u64,
    },
    /// Only members of a team come in.
    NotAMember {
        /// What was wrong with something they claimed to be.
        claim: Option<ClaimError>,
    },
    /// A team took back the membership that let them in.
    MembershipRevoked,
    /// The session would be shown in itself.
    InsideItself,
    /// The host's identity key has not vouched for the session yet.
    NotVouched,
    /// As many viewers are here as can be.
    Full,
    /// The same, and others came whose network has fewer.
    GaveWay,
    /// Too many people join at this moment.
    ManyJoin,
    /// Too many people knock at this moment.
    ManyKnock {
        /// From where, if the session has room for others.
        from: Option<KnocksFrom>,
    },
    /// They come too often.
    TooOften {
        /// When they may try again, in milliseconds from now.
        wait_ms: u64,
    },
    /// People come too often.
    AllTooOften {
        /// When they may try again, in milliseconds from now.
        wait_ms: u64,
    },
    /// They are here as often as one person can be.
    HereOften {
        /// How often that is.
        max: u32,
    },
    /// They knock as often as one person can.
    KnocksOften {
        /// How often that is.
        max: u32,
    },
    /// Nobody said who they are in time.
    NoHello {
        /// How long that may take, in milliseconds.
        within_ms: u64,
    },
    /// More messages than any viewer needs.
    Flood,
    /// A message is longer than its stream allows.
    TooLong {
        /// Its length, in bytes.
        length: u64,
        /// The bound, in bytes.
        max: u64,
    },
    /// Something that is not the protocol.
    Malformed {
        /// What, for those who look for the fault.
        what: Text<MAX_DETAIL>,
    },
}

impl RefusalReason {
    /// What it is for programs.
    pub fn code(&self) -> RefusedCode {
        match self {
            RefusalReason::Version(_) => RefusedCode::VERSION,
            RefusalReason::NotShared => RefusedCode::NOT_SHARED,
            RefusalReason::Ticket
            | RefusalReason::CodeWithoutEndpoint
            | RefusalReason::CodeOfAnother => RefusedCode::TICKET,
            RefusalReason::Grant(_) => RefusedCode::GRANT,
            RefusalReason::Proof(_) | RefusalReason::Key => RefusedCode::PROOF,
            RefusalReason::Removed | RefusalReason::Barred { .. } => RefusedCode::BARRED,
            RefusalReason::Declined { .. }
            | RefusalReason::Unanswered { .. }
            | RefusalReason::KnockLater { .. }
            | RefusalReason::NotAMember { .. }
            | RefusalReason::MembershipRevoked => RefusedCode::NOT_ADMITTED,
            RefusalReason::InsideItself => RefusedCode::SELF,
            RefusalReason::NotVouched
            | RefusalReason::Full
            | RefusalReason::GaveWay
            | RefusalReason::ManyJoin
            | RefusalReason::ManyKnock { .. }
            | RefusalReason::TooOften { .. }
            | RefusalReason::AllTooOften { .. }
            | RefusalReason::HereOften { .. }
            | RefusalReason::KnocksOften { .. } => RefusedCode::BUSY,
            RefusalReason::NoHello { .. }
            | RefusalReason::Flood
            | RefusalReason::TooLong { .. }
            | RefusalReason::Malformed { .. } => RefusedCode::PROTOCOL,
        }
    }
}

impl From<ProtocolError> for RefusalReason {
    fn from(error: ProtocolError) -> RefusalReason {
        match error {
            ProtocolError::TooLong { length, max } => RefusalReason::TooLong {
                length: length as u64,
                max: max as u64,
            },
            ProtocolError::Malformed(what) => RefusalReason::Malformed {
                what: Text::cut(what),
            },
            // Viewers check hosts; a host says nothing of it.
            ProtocolError::NotAsSigned { .. } => RefusalReason::Malformed {
                what: Text::cut("a track"),
            },
        }
    }
}

/// What lets somebody in, or what they hold that knock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdmittedBy {
    /// The ticket.
    Ticket,
    /// The ticket, given to their endpoint by the spoken code of this number.
    Code(u32),
    /// A grant.
    Grant,
    /// The list of who may join.
    List,
    /// A team.
    Team,
    /// An answer to a knock.
    Answer,
}

/// Where people come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnocksFrom {
    /// The viewer's address.
    Address,
    /// The IPv6 network that the viewer is in.
    Network {
        /// Bits of its prefix.
        prefix: u8,
    },
    /// The viewer's endpoint, by a relay.
    Endpoint,
    /// Relays.
    Relay,
}

/// Why somebody's rights are what they are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RightReason {
    /// Nothing happened that needs saying.
    Standing,
    /// They asked to type, and can already.
    HasEdit,
    /// They were given the rights.
    Granted {
        /// Who gave them; unverified.
        by: Text<MAX_NAME>,
        /// For how long, in milliseconds.
        ttl_ms: u64,
    },
    /// They are on the list with them.
    Listed {
        /// Who put them there; unverified.
        by: Text<MAX_NAME>,
    },
    /// A grant that they presented was accepted.
    GrantAccepted,
    /// Another viewer of theirs presented a grant, and it was accepted.
    GrantAcceptedElsewhere,
    /// Rights were taken away.
    Revoked {
        /// Who took them; unverified.
        by: Text<MAX_NAME>,
    },
    /// Rights ended by themselves.
    Expired,
    /// A team took back the membership that gave them.
    MembershipRevoked,
}

/// Why nobody gives a viewer the right to type that asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestRefusal {
    /// Nobody can be given it in this session.
    ReadOnly,
    /// Somebody said no.
    Declined {
        /// Who; unverified.
        by: Text<MAX_NAME>,
    },
    /// Somebody said no a moment ago.
    AskLater {
        /// When they may ask again, in milliseconds from now.
        wait_ms: u64,
    },
}

/// Why sharing ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Somebody stopped it.
    Stopped {
        /// Who; unverified.
        by: Text<MAX_NAME>,
    },
    /// The host's terminal was closed, and the program ended with it.
    TerminalClosed,
    /// The program ended with this code.
    Exited(i32),
    /// The program was ended by this signal.
    Killed(i32),
    /// The program ended.
    ProgramEnded,
}

/// Why an intent was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The viewer joined to send nothing.
    ReadOnlyViewer,
    /// They may watch, not type.
    MayNotType,
    /// They may not open or close terminals.
    MayNotOpen,
    /// The session is not shared any more.
    NotShared,
    /// Their right was taken away since.
    RightTaken,
    /// It waited too long for the connection.
    WaitedTooLong,
    /// There is no such terminal (any more).
    NoSuchTerminal,
    /// It is for a track that nobody types into.
    NotATerminal,
    /// The program has ended.
    ProgramEnded,
    /// There was nothing in it.
    Empty,
    /// The program does not read its input.
    NotRead,
    /// The program was interrupted before it read it.
    Interrupted,
    /// An intent that the host does not know.
    NotKnownHere,
    /// There are as many terminals as a session may have.
    TooManyTerminals,
    /// Only who opened it, or the host, closes it.
    NotTheirs,
    /// The session has ended.
    SessionEnded,
    /// A conversation refuses it: why, by its number (`pillion_conversation::RefusedRequest`).
    Conversation(u8),
    /// It is for a track that is no conversation.
    NoConversation,
}

/// How the host's own terminal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostTerminal {
    /// There is one (again).
    Attached,
    /// Its person left it, and the session goes on.
    Left,
    /// It was lost, and the session goes on.
    Lost,
    /// It was closed, and the session ends.
    Closed,
}

/// Something that a host tells a viewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A grant that was presented does not hold.
    Grant(Refusal),
    /// Something that was claimed is not believed.
    Claim(ClaimError),
    /// The terminal they asked for was not opened.
    NotOpened {
        /// What the operating system said.
        why: Text<MAX_SENTENCE>,
    },
    /// The host's own terminal came or went.
    HostTerminal(HostTerminal),
}

/// What a host calls somebody to themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLabel {
    /// Their number.
    pub id: ParticipantId,
    /// Their name, as the host shows it.
    pub name: Text<MAX_NAME>,
}
