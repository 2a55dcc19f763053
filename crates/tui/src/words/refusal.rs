//! Why a command was not carried out.

use std::{error, fmt};

use pillion_people::{Invited, SubjectRef, Who};
use pillion_session::{Choice, CommandError, Shortfall};

use super::{reason::conversation_refused, subjects};

/// A refusal as an error that says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub CommandError);

impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&refusal(&self.0))
    }
}

impl error::Error for Refusal {}

/// Why a command was not carried out, and what to do.
pub fn refusal(error: &CommandError) -> String {
    let text = match error {
        CommandError::Unknown { whom } => {
            return format!(
                "nobody here {}; `pillion who` lists who is here",
                by_what(whom)
            );
        }
        CommandError::Ambiguous { whom, choices } => {
            let choices: Vec<String> = choices.iter().map(choice).collect();
            return format!(
                "\"{whom}\" could be any of {}; say which by the number, the whole fingerprint or the whole id",
                choices.join(", ")
            );
        }
        CommandError::NotOne => "name one person; `pillion who` lists who is here",
        CommandError::IsGrant(grant) => {
            return format!(
                "{grant} has as many digits as a grant's id, and this is about a person; `pillion revoke` takes \
                 grants away"
            );
        }
        CommandError::NotIn(person) => {
            return format!(
                "{person} is not in, and waits to be let in; `pillion admit {}` does that",
                person.id.0
            );
        }
        CommandError::NotKnocking(person) => {
            return format!("{person} does not wait to be let in; `pillion who` lists who knocks");
        }
        CommandError::NobodyKnocks(id) => {
            return format!(
                "nobody with the number {} knocks (any more); `pillion who` lists who does",
                id.0
            );
        }
        CommandError::NotConnected(person) => {
            return format!(
                "{person} is not connected; wait until they are, or make a token for them (pillion grant --link \
                 --edit)"
            );
        }
        CommandError::NotAsking(person) => {
            return format!("{person} does not ask to type");
        }
        CommandError::ManagesToo(person) => {
            return format!(
                "{person} manages this session, too: only its host changes what they can do"
            );
        }
        CommandError::NotTheirsToGive => {
            "you can't give a right that you don't have: ask the host to give it"
        }
        CommandError::NotDelegable => {
            "your right to manage can't be passed on: ask the host to give it"
        }
        CommandError::OnlyHost => "only the host does that",
        CommandError::NotManager => {
            "you can't manage this session (any more): ask its host for the right to"
        }
        CommandError::ReadOnly => {
            "nobody can be allowed to type in this session: it was shared with --read-only, or its command has no terminal (--tty gives it one)"
        }
        CommandError::NotShared => {
            "this session is not shared; `pillion share` starts that and prints the ticket"
        }
        CommandError::ProgramEnded => "the program has ended; there is nothing to share",
        CommandError::ZeroTtl => "a grant must last longer than no time at all",
        CommandError::NotListed(who) => {
            return format!("none of {} is on the list (pillion allow)", subjects(who));
        }
        CommandError::Barred { who, unban } => {
            return format!(
                "{} is blocked; `pillion unban {unban}` lifts that first",
                subjects(who)
            );
        }
        CommandError::NotBarred => "nobody of that name is blocked; `pillion allow` lists who is",
        CommandError::TooManyLists { max } => {
            return format!(
                "{max} lists are followed already, which is all that can be: take one off first (pillion revoke \
                 ADDRESS; pillion allow lists them)"
            );
        }
        CommandError::ServiceTooLong { max } => {
            return format!(
                "the URL of a link service has {max} characters at most, so that it can be shown"
            );
        }
        CommandError::TicketNotRecorded(error) => {
            return format!(
                "the ticket was replaced, and the one before opens nothing in this run; but the new one could \
                 not be written down ({error}), so if the session is started again before there is room on the \
                 disk, the old one opens it. `pillion ticket` prints the new one"
            );
        }
        CommandError::Refused(why) => return why.to_string(),
        CommandError::SharingEnded => "sharing ended before there was a ticket",
        CommandError::NotConfirmed => {
            "nobody said yes at the host's terminal within a minute; nothing was changed"
        }
        CommandError::Declined => "the person at the host's terminal said no; nothing was changed",
        CommandError::TerminalGone => {
            "the host's terminal is gone, so nobody can say yes there; nothing was changed"
        }
        CommandError::NoTerminal => {
            "someone else has typed in this session or can type now, so a command could be theirs, and there is \
             no terminal here to confirm it at. Someone who manages the session can do it from their viewer"
        }
        CommandError::Withdrawn => {
            "the command was ended before somebody said yes at the host's terminal"
        }
        CommandError::TooManyConfirms => {
            "too many commands wait for a yes at the host's terminal already; answer those first"
        }
        CommandError::NothingToConfirm => "there is nothing to confirm",
        CommandError::NotAttachable => {
            "this session was started without a terminal (its output goes to a file or a pipe), so none can be \
             attached. Watch it with `pillion join`; a session for later is started with `pillion share \
             --detach`"
        }
        CommandError::InsideItself => {
            "you are in this session already: a session can't be shown inside of itself"
        }
        CommandError::StartedInside => {
            "this command was started inside the session, where others may type: run `pillion attach` in a \
             terminal outside of it"
        }
        CommandError::OtherUser => "this session belongs to another user of this machine",
        CommandError::NotKnownHere => {
            "that is not known here: the host's pillion is older than yours"
        }
        CommandError::NoSuchTrack(track) => {
            return format!("the session has no terminal {track}; `pillion ls SESSION` lists them");
        }
        CommandError::NotATerminal(track) => return format!("{track} is not a terminal"),
        CommandError::TrackEnded(track) => {
            return format!(
                "the program of terminal {track} has ended; `pillion export` has what it printed"
            );
        }
        CommandError::Shown(track) => {
            return format!(
                "your terminal shows {track}, and there is no other one to show; open one first (`pillion new`)"
            );
        }
        CommandError::NoConversation => {
            "there is no conversation with an agent here; `pillion agent` begins one"
        }
        CommandError::Conversation(why) => conversation_refused(*why),
        CommandError::OpenElsewhere => {
            "the conversation is open in another terminal already: leave it there first"
        }
        CommandError::TooManyTracks { max } => {
            return format!(
                "{max} terminals are open, which is all that can be; close one first (`pillion close NUMBER`)"
            );
        }
        CommandError::CommandTooLong => {
            "that command is longer than a command line can be; put it into a script and run that"
        }
        CommandError::NotStarted(why) => return format!("no terminal was opened: {why}"),
        CommandError::NotTheirs(track) => {
            return format!("only the one who opened {track}, or the host, closes it");
        }
        CommandError::SessionEnded => {
            "the session has ended: no program runs in it; `pillion` starts another one"
        }
    };
    text.to_owned()
}

fn choice(choice: &Choice) -> String {
    match choice {
        Choice::Person(person) => person.to_string(),
        Choice::Key(print) => format!("key {print}"),
        Choice::Grant(grant) => format!("grant {grant}"),
    }
}

/// What nobody is or has.
fn by_what(whom: &SubjectRef) -> String {
    match whom {
        SubjectRef::Number(number) if *number > 999 => format!(
            "has the number {number} (the beginning of a fingerprint is written {number}- then)"
        ),
        SubjectRef::Number(number) => format!("has the number {number}"),
        SubjectRef::Grant(grant) => format!("holds grant {grant}, and none with this id stands"),
        SubjectRef::Prefix(prefix) => format!("has a key that begins with {prefix}"),
        SubjectRef::Provable(Invited::One(Who::Key(key))) => {
            format!("has the key {}", key.fingerprint())
        }
        SubjectRef::Provable(invited) => format!("proved to be {invited}"),
        SubjectRef::Name(name) => format!("is called \"{name}\""),
    }
}

/// What of something that was taken away does not outlive this run of the session, and why.
pub fn shortfall(short: &Shortfall) -> String {
    match short {
        Shortfall::NotWritten { error } => format!(
            "It could not be written down ({error}): until there is room on the disk, it holds in this run only, \
             and not when the session is started again."
        ),
        Shortfall::ListFull { max, kept } => format!(
            "The list has room for {max} entries and is full, so {}; `pillion revoke` makes room.",
            outlives_nothing(*kept)
        ),
        Shortfall::BarsFull { max, kept } => format!(
            "{max} are blocked already, which is all that can be written down, so {}; `pillion unban` makes room.",
            outlives_nothing(*kept)
        ),
    }
}

fn outlives_nothing(kept: bool) -> &'static str {
    match kept {
        true => "this holds in this run only, and not when the session is started again",
        false => "this holds for who is here now, and not when they come back",
    }
}
