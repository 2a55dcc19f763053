//! Why a command was not carried out.

use pillion_caps::Refusal;
use pillion_conversation::RefusedRequest;
use pillion_people::SubjectRef;
use pillion_proto::{ParticipantId, TrackId};
use serde::{Deserialize, Serialize};

use super::{PersonLabel, SubjectLabel};

/// Why a command was not carried out. A new reason is added at the end: the number of each is part of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandError {
    /// Nobody is meant by that.
    Unknown {
        /// By what somebody was meant.
        whom: SubjectRef,
    },
    /// More than one is meant by that.
    Ambiguous {
        /// By what somebody was meant.
        whom: SubjectRef,
        /// Who could be.
        choices: Vec<Choice>,
    },
    /// It is about one person, and none was named.
    NotOne,
    /// A grant was named, and it is about a person.
    IsGrant(String),
    /// They knock, and are not in.
    NotIn(PersonLabel),
    /// They do not knock.
    NotKnocking(PersonLabel),
    /// Nobody with this number knocks (any more).
    NobodyKnocks(ParticipantId),
    /// They are not connected, so they can't be given anything.
    NotConnected(PersonLabel),
    /// They do not ask to type.
    NotAsking(PersonLabel),
    /// They manage the session too, so only its host changes what they may do.
    ManagesToo(PersonLabel),
    /// A right that the one who gives it does not have.
    NotTheirsToGive,
    /// The right to manage, by somebody who has it without the right to pass it on.
    NotDelegable,
    /// Only the host does that.
    OnlyHost,
    /// Who asks does not have the right to manage (any more).
    NotManager,
    /// The session was shared with --read-only, or its command has no terminal.
    ReadOnly,
    /// The session is not shared.
    NotShared,
    /// The program has ended, so there is nothing to share.
    ProgramEnded,
    /// A grant of no time at all.
    ZeroTtl,
    /// None of them is on the list.
    NotListed(Vec<SubjectLabel>),
    /// They are barred; that is lifted first.
    Barred {
        /// Who.
        who: Vec<SubjectLabel>,
        /// What `unban` takes.
        unban: String,
    },
    /// Nobody like that is barred.
    NotBarred,
    /// As many lists of keys are followed as can be.
    TooManyLists {
        /// How many.
        max: usize,
    },
    /// The URL of a link service is longer than can be shown.
    ServiceTooLong {
        /// Characters at most.
        max: usize,
    },
    /// The ticket was replaced, and the new one could not be written down: why.
    TicketNotRecorded(String),
    /// It would not be durable, or not be valid: why.
    Refused(Refusal),
    /// Sharing ended before there was an answer.
    SharingEnded,
    /// Nobody said yes at the host's terminal in time.
    NotConfirmed,
    /// The person at the host's terminal said no.
    Declined,
    /// The host's terminal is gone, so nobody can say yes there.
    TerminalGone,
    /// Somebody else has typed or may type, and there is no terminal to confirm at.
    NoTerminal,
    /// The command was ended before it was answered.
    Withdrawn,
    /// Too many commands wait for a yes already.
    TooManyConfirms,
    /// There is nothing to confirm.
    NothingToConfirm,
    /// A verb, or something in it, that this version does not know.
    NotKnownHere,
    /// The session was started without a terminal, so none can be attached.
    NotAttachable,
    /// The terminal that is to be attached is one of the session's own.
    InsideItself,
    /// The command that asks to attach was started inside the session, where others may type.
    StartedInside,
    /// The control socket was reached by another user of the machine.
    OtherUser,
    /// There is no such track.
    NoSuchTrack(TrackId),
    /// It is no terminal, and only terminals are shown.
    NotATerminal(TrackId),
    /// The host's own terminal shows it, and there is no other one to show.
    Shown(TrackId),
    /// As many tracks are live as a session may have at once.
    TooManyTracks {
        /// How many.
        max: usize,
    },
    /// The command is longer than a command line can be.
    CommandTooLong,
    /// The program could not be started: why.
    NotStarted(String),
    /// Only who opened it, or the host, closes it.
    NotTheirs(TrackId),
    /// The session has ended: no program runs in it.
    SessionEnded,
    /// Its program has ended, and only those that run are shown.
    TrackEnded(TrackId),
    /// There is no conversation with an agent.
    NoConversation,
    /// A conversation does not do it.
    Conversation(RefusedRequest),
    /// The host's own terminal is somewhere else.
    OpenElsewhere,
}

impl CommandError {
    /// Whether the one who asked was refused, rather than that it can't be done as the session stands.
    pub fn is_said_no(&self) -> bool {
        matches!(
            self,
            CommandError::NotOne
                | CommandError::IsGrant(_)
                | CommandError::ManagesToo(_)
                | CommandError::NotTheirsToGive
                | CommandError::NotDelegable
                | CommandError::OnlyHost
                | CommandError::NotManager
                | CommandError::NotConfirmed
                | CommandError::Declined
                | CommandError::TerminalGone
                | CommandError::NoTerminal
                | CommandError::Withdrawn
                | CommandError::InsideItself
                | CommandError::StartedInside
                | CommandError::OtherUser
        )
    }
}

/// One of several that a command could be about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// Somebody.
    Person(PersonLabel),
    /// A key that is barred, by its fingerprint.
    Key(String),
    /// A grant, by its id.
    Grant(String),
}

/// Why something that was taken away does not outlive this run of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shortfall {
    /// It could not be written down, and is tried again.
    NotWritten {
        /// Why not.
        error: String,
    },
    /// The list is full.
    ListFull {
        /// Entries it has room for.
        max: usize,
        /// Whether it holds in this run at least.
        kept: bool,
    },
    /// As many are barred as can be written down.
    BarsFull {
        /// How many.
        max: usize,
        /// Whether it holds in this run at least.
        kept: bool,
    },
}
