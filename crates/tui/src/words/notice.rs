//! What the person at the host's terminal is told.

use pillion_proto::TrackState;
use pillion_session::{Change, HostNotice, NotVouched};

use super::{done, refusal, shortfall, statement, track_state};

/// A notice that is a sentence and nothing more; `None` for those that are drawn in another way.
pub fn notice(notice: &HostNotice) -> Option<String> {
    Some(match notice {
        HostNotice::FellShort(short) => format!("Something was taken away. {}", shortfall(short)),
        HostNotice::CaughtUp => {
            "What was taken away while the disk was full is written down now, and outlives this run.".to_owned()
        }
        HostNotice::KeysNotListed { from, error } => format!(
            "New keys of {from} could not be put on your list: {}",
            refusal(error)
        ),
        HostNotice::RightsNotGiven(error) => format!(
            "Someone on your list could not be given their rights: {}",
            refusal(error)
        ),
        HostNotice::CodePassedOn { number } => format!(
            "Someone else tried to join by what code {number} gave, and was refused: the one who used it passed \
             it on."
        ),
        HostNotice::CodeMissed { number } => format!(
            "The one who used code {number} ten minutes ago never joined; `pillion ticket --new` makes what it gave \
             them open nothing."
        ),
        HostNotice::NotVouched { why } => {
            let why = match why {
                NotVouched::OtherKey => "what signed is another key than your identity",
                NotVouched::NotSigned(why) => why,
            };
            format!(
            "Your identity key did not sign that this session is yours ({why}), and without that nobody can be let \
             in: see to what holds the key, then run pillion share."
            )
        }
        HostNotice::TerminalOpened { name, track, .. } => {
            format!("“{name}” opened terminal {track}.")
        }
        HostNotice::TerminalEnded {
            track,
            title,
            state,
            shows,
        } => {
            let how = match state {
                TrackState::Exited(code) => format!("ended with code {code}"),
                TrackState::Killed(signal) => format!("was ended by signal {signal}"),
                state => track_state(*state),
            };
            let ended = format!("Terminal {track} ({title}) {how}");
            match shows {
                Some((next, title)) => format!("{ended}; this is terminal {next} ({title})."),
                None => format!("{ended}."),
            }
        }
        HostNotice::MembershipEnded { name } => {
            format!("“{name}” is out of their team, which took the membership back.")
        }
        _ => return None,
    })
}

/// What a command through the control socket changed.
pub fn change(change: &Change) -> String {
    match change {
        Change::Widened {
            question,
            grant: Some(grant),
        } => format!("{} (grant {grant})", statement(question)),
        Change::Widened { question, .. } => statement(question),
        Change::TicketReplaced => {
            "the ticket was replaced; the one before opens nothing".to_owned()
        }
        Change::Other { name, done: what } => match done(what) {
            Some(said) => format!("{name}: {said}"),
            None => (*name).to_owned(),
        },
    }
}
