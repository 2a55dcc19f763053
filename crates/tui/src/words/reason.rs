//! Why something is as it is, as a host says it: sentences from typed reasons.
//!
//! Names and texts in them are another machine's; the sentence is cleaned where it is made whole
//! ([`super::viewer`]).

use pillion_caps::{Refusal as GrantRefusal, UnixMillis};
use pillion_conversation::RefusedRequest;
use pillion_proto::{
    DropReason, EndReason, HostTerminal, KnocksFrom, NoticeKind, RefusalReason, Refused,
    RefusedCode, RequestRefusal, RightReason, Rights, TrackId,
};

use super::{acts, moment::Zone, span};

/// Why a host does not let somebody in, or not on.
pub fn refused(Refused { code, why }: &Refused, zone: Zone) -> String {
    match why {
        Some(why) => refusal_reason(why, zone),
        None => {
            let what = match *code {
                RefusedCode::VERSION => "the two versions of pillion have no protocol in common",
                RefusedCode::TICKET => "this ticket does not open this session",
                RefusedCode::GRANT => "this grant does not hold",
                RefusedCode::BARRED => "the host removed you from this session",
                RefusedCode::PROOF => "the host does not accept the proof of who you are",
                RefusedCode::NOT_SHARED => "this session is not shared any more",
                RefusedCode::BUSY => "the host is busy at this moment; try again shortly",
                RefusedCode::NOT_ADMITTED => "the host did not let you in",
                _ => "the host refused this connection",
            };
            format!(
                "{what} (for a reason that this version does not know; upgrade pillion to read it)"
            )
        }
    }
}

/// The same from the reason alone, as the session's log has it.
pub fn refusal_reason(why: &RefusalReason, zone: Zone) -> String {
    let text = match why {
        RefusalReason::Version(mismatch) => return mismatch.to_string(),
        RefusalReason::NotShared => {
            "this session is not shared any more; ask the host for a new ticket"
        }
        RefusalReason::Ticket => {
            "this ticket does not open this session (any more): the host may have replaced it. Ask the host for \
             the new one (pillion ticket)"
        }
        RefusalReason::CodeWithoutEndpoint => {
            "this ticket was given by a spoken code, for one viewer's endpoint alone, and this way of connecting \
             does not prove an endpoint. Connect through the relay, or ask the host for a ticket of its own"
        }
        RefusalReason::CodeOfAnother => {
            "this ticket was given by a code to another viewer, and lets nobody else in. Ask the host for a ticket \
             or a code of your own"
        }
        RefusalReason::Grant(refusal) | RefusalReason::Proof(refusal) => {
            return grant_refused(refusal, zone);
        }
        RefusalReason::Key => "your identity key is no usable key",
        RefusalReason::Removed => "the host removed you from this session",
        RefusalReason::Barred { by } => {
            return format!(
                "{} does not let you into this session, now or later",
                by.as_str()
            );
        }
        RefusalReason::Declined { by } => return format!("{} did not let you in", by.as_str()),
        RefusalReason::Unanswered { waited_ms } => {
            return format!(
                "nobody at the host answered within {}; ask them to let you in, and knock again",
                span(*waited_ms)
            );
        }
        RefusalReason::KnockLater { wait_ms } => {
            return format!(
                "the host did not let you in a moment ago; knock again in {}",
                span(*wait_ms)
            );
        }
        RefusalReason::NotAMember { claim } => {
            let text = "only members of a team come into this session, and you proved to be none of it. Join with \
                        your membership (pillion join --as team), or ask the team's owner for one";
            return match claim {
                Some(claim) => format!("{text}. {claim}"),
                None => text.to_owned(),
            };
        }
        RefusalReason::MembershipRevoked => {
            "your team took back the membership that let you into this session: ask the team's owner"
        }
        RefusalReason::InsideItself => inside_itself(),
        RefusalReason::NotVouched => {
            "the host's identity key has not vouched for this session yet; try again shortly"
        }
        RefusalReason::Full => "this session has as many viewers as it can have; try again shortly",
        RefusalReason::GaveWay => {
            "this session is full, and others want to come who have fewer viewers here than your network: your \
             viewer tries again by itself"
        }
        RefusalReason::ManyJoin => {
            "too many people are joining this session at this moment; try again shortly"
        }
        RefusalReason::ManyKnock { from: None } => {
            "too many people knock at this session at this moment; try again shortly"
        }
        RefusalReason::ManyKnock { from: Some(from) } => {
            let from = match from {
                KnocksFrom::Address => "your address".to_owned(),
                KnocksFrom::Network { prefix } => format!("your network (IPv6 /{prefix})"),
                KnocksFrom::Endpoint => "your endpoint".to_owned(),
                KnocksFrom::Relay => "everybody who comes by a relay".to_owned(),
            };
            return format!("too many people knock from {from} at this moment; try again shortly");
        }
        RefusalReason::TooOften { wait_ms } => return too_often("you come", *wait_ms),
        RefusalReason::AllTooOften { wait_ms } => return too_often("people come", *wait_ms),
        RefusalReason::HereOften { max } => {
            return format!("you are in this session {max} times already; leave one of them first");
        }
        RefusalReason::KnocksOften { max } => {
            return format!("you knock {max} times already; wait for the answer there");
        }
        RefusalReason::NoHello { within_ms } => {
            return format!(
                "your side connected but did not say who it is within {}; try again",
                span(*within_ms)
            );
        }
        RefusalReason::Flood => {
            "you were disconnected: your viewer sent more messages than any viewer needs; join again, and upgrade \
             pillion on your side if it happens again"
        }
        RefusalReason::TooLong { length, max } => {
            return format!(
                "your viewer sent a message of {length} bytes where {max} are allowed; one of the two may need an \
                 upgrade of pillion"
            );
        }
        RefusalReason::Malformed { what } => {
            return format!(
                "your viewer sent something that is not pillion's protocol ({}); one of the two may need an upgrade \
                 of pillion",
                what.as_str()
            );
        }
    };
    text.to_owned()
}

/// The same of somebody else, as the session's log is read, by people and by programs: its moments are in UTC.
pub fn turned_away(why: &RefusalReason) -> String {
    let text = match why {
        RefusalReason::Declined { by } => return format!("declined by {}", by.as_str()),
        RefusalReason::Barred { by } => {
            return format!("declined and blocked by {}", by.as_str());
        }
        RefusalReason::Unanswered { .. } => "nobody answered",
        RefusalReason::Removed => "their key, or what they proved to be, is blocked",
        RefusalReason::NotAMember { claim: None } => "no member of the team",
        RefusalReason::MembershipRevoked => "the team took back their membership",
        why => return refusal_reason(why, Zone::UTC),
    };
    text.to_owned()
}

/// A session would be shown in itself.
pub(super) fn inside_itself() -> &'static str {
    "this is the session you are in: joining it from inside itself would show it in itself, without end. Join from \
     another terminal"
}

fn too_often(who: &str, wait_ms: u64) -> String {
    format!(
        "{who} into this session too often at this moment: try again in {} (a viewer that is left running does so \
         by itself)",
        span(wait_ms)
    )
}

/// What somebody may do now, and why.
pub(super) fn right(
    rights: Rights,
    until_unix_ms: Option<u64>,
    why: Option<&RightReason>,
    zone: Zone,
) -> String {
    let text = match why {
        None | Some(RightReason::Standing) => return format!("you can {} now", acts(rights)),
        Some(RightReason::HasEdit) => "you can type already",
        Some(RightReason::Granted { by, ttl_ms }) => {
            let until = until_unix_ms.map_or_else(String::new, |until| {
                format!(" (until {})", zone.time_of_day(UnixMillis(until)))
            });
            let by = by.as_str();
            return format!("{by} gave you {rights} for {}{until}", span(*ttl_ms));
        }
        Some(RightReason::Listed { by }) => {
            return format!("{} gave you the right to {}", by.as_str(), acts(rights));
        }
        Some(RightReason::GrantAccepted) => "your grant was accepted",
        Some(RightReason::GrantAcceptedElsewhere) => {
            "a grant you presented from another viewer was accepted"
        }
        Some(RightReason::Revoked { by }) => {
            return format!("your edit right was revoked by {}", by.as_str());
        }
        Some(RightReason::Expired) => "your edit right ended: it expired; ask again if you need it",
        Some(RightReason::MembershipRevoked) => {
            "your edit right came by your membership of a team, and the team took that back: ask its owner, or the \
             host"
        }
    };
    text.to_owned()
}

/// Why a grant does not hold. Its moments are those of the host's clock, as the reader has them.
fn grant_refused(refusal: &GrantRefusal, zone: Zone) -> String {
    let text = refusal.to_string();
    let moments = match refusal {
        GrantRefusal::Expired { expires, now } => [*expires, *now],
        GrantRefusal::NotYetValid {
            not_before, now, ..
        } => [*not_before, *now],
        _ => return text,
    };
    moments.into_iter().fold(text, |text, at| {
        text.replace(&at.to_string(), &zone.moment(at))
    })
}

/// Why nobody lets them type.
pub(super) fn request_refused(why: Option<&RequestRefusal>) -> String {
    match why {
        None => "the host does not let you type, for a reason that this version does not know; upgrade pillion to \
                 read it"
            .to_owned(),
        Some(RequestRefusal::ReadOnly) => "edit can't be granted in this session".to_owned(),
        Some(RequestRefusal::Declined { by }) => {
            format!("{} said no to your request for edit", by.as_str())
        }
        Some(RequestRefusal::AskLater { wait_ms }) => format!(
            "the host said no a moment ago; ask again in {}",
            span(*wait_ms)
        ),
    }
}

const NOT_KNOWN: &str = "for a reason that this version does not know; upgrade pillion to read it";

/// Something that was typed or asked for was not done.
pub(super) fn dropped(track: Option<TrackId>, why: Option<DropReason>) -> String {
    let what = match track {
        Some(_) => "not typed",
        None => "not done",
    };
    let why = match why {
        None => NOT_KNOWN,
        Some(DropReason::ReadOnlyViewer) => "this viewer joined with --read-only and sends nothing",
        Some(DropReason::MayNotType) => "you may watch, not type: ask for edit first",
        Some(DropReason::MayNotOpen) => may_not_open(),
        Some(DropReason::NotShared) => "the session is not shared any more",
        Some(DropReason::RightTaken) => "your right to type was taken away since you typed it",
        Some(DropReason::WaitedTooLong) => "it had waited too long for the connection",
        Some(DropReason::NoSuchTerminal) => "there is no such terminal any more",
        Some(DropReason::NotATerminal) => "there is no terminal to type into",
        Some(DropReason::ProgramEnded) => "the program has ended",
        Some(DropReason::Empty) => "there was nothing in it",
        Some(DropReason::NotRead) => "the program does not read its input",
        Some(DropReason::Interrupted) => "the program was interrupted before it read it",
        Some(DropReason::NotKnownHere) => {
            "it is not known here: the host's pillion is older than yours"
        }
        Some(DropReason::TooManyTerminals) => {
            "there are as many terminals as a session may have at once"
        }
        Some(DropReason::NotTheirs) => "only who opened it, or the host, closes it",
        Some(DropReason::SessionEnded) => "the session has ended",
        Some(DropReason::Conversation(number)) => match RefusedRequest::from_number(number) {
            Some(why) => conversation_refused(why),
            None => NOT_KNOWN,
        },
        Some(DropReason::NoConversation) => "it is no conversation with an agent",
    };
    format!("{what}: {why}")
}

/// A conversation with an agent does not do what it was asked.
pub(super) fn conversation_refused(why: RefusedRequest) -> &'static str {
    match why {
        RefusedRequest::MayNotPrompt => {
            "you may watch this conversation, not prompt its agent: ask for the right to prompt"
        }
        RefusedRequest::MayNotApprove => {
            "answering the agent's questions needs the right to approve: ask the host for it"
        }
        RefusedRequest::MayNotManage => "this is for who manages the session",
        RefusedRequest::Empty => "a prompt says something",
        RefusedRequest::TooLong => "the prompt is too long: 64 KiB at most",
        RefusedRequest::TooManyOfYours => {
            "as many of your prompts wait as anybody may have: withdraw one, or wait until one was sent"
        }
        RefusedRequest::Full => "as many prompts wait as may: wait until one was sent",
        RefusedRequest::Gone => "this prompt no longer waits: it was sent or withdrawn",
        RefusedRequest::NotYours => {
            "this prompt is somebody else's: its author can change it, and who manages the session"
        }
        RefusedRequest::NotPastOthers => {
            "your prompt can't go before somebody else's: who manages the session can move it there"
        }
        RefusedRequest::NeedsYes => "this prompt waits for a yes of somebody who may approve",
        RefusedRequest::Idle => "the agent is not at work on anything",
        RefusedRequest::NotOpen => "this question no longer waits for an answer",
        RefusedRequest::NoSuchChoice => "this question does not have that choice",
        RefusedRequest::Claimed => "somebody else is about to answer this question",
        RefusedRequest::NoRule => {
            "this question says too little of what it is about: answer it by itself"
        }
        RefusedRequest::NoSuchThing => "there is no such thing any more",
        RefusedRequest::TooMany => "there are as many of these as may be: take one back first",
        RefusedRequest::NotReady => "the agent is not ready",
        RefusedRequest::NotKnownHere => {
            "it is not known here: the host's pillion is older than yours"
        }
    }
}

/// They have no right to open terminals.
pub(super) fn may_not_open() -> &'static str {
    "you may not open or close terminals: ask the host for the right to open"
}

/// Something that a host tells; `host` is what it calls itself.
pub(super) fn host_notice(what: Option<&NoticeKind>, host: &str, zone: Zone) -> String {
    match what {
        None => {
            "the host says something that this version does not know; upgrade pillion to read it"
                .to_owned()
        }
        Some(NoticeKind::Grant(refusal)) => grant_refused(refusal, zone),
        Some(NoticeKind::Claim(error)) => error.to_string(),
        Some(NoticeKind::NotOpened { why }) => format!("no terminal was opened: {}", why.as_str()),
        Some(NoticeKind::HostTerminal(terminal)) => {
            let did = match terminal {
                HostTerminal::Attached => "is at their terminal again",
                HostTerminal::Left => "left their terminal; the session goes on without them",
                HostTerminal::Lost => "lost their terminal; the session goes on without them",
                HostTerminal::Closed => "closed their terminal; the session ends",
            };
            format!("{host} {did}")
        }
    }
}

/// Why sharing ended.
pub fn end_reason(why: Option<&EndReason>) -> String {
    match why {
        None => "sharing ended, for a reason that this version does not know".to_owned(),
        Some(EndReason::Stopped { by }) => format!("{} stopped sharing", by.as_str()),
        Some(EndReason::TerminalClosed) => {
            "the host's terminal was closed, which ended the program".to_owned()
        }
        Some(EndReason::Exited(code)) => format!("the program ended with code {code}"),
        Some(EndReason::Killed(signal)) => format!("the program was ended by signal {signal}"),
        Some(EndReason::ProgramEnded) => "the program ended".to_owned(),
    }
}
