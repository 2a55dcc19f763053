//! What the person at the host's terminal is asked.

use super::{acts, held, proved, span, trust_means};
use pillion_proto::{AccessMode, Rights};
use pillion_session::host::{Offer, Question, Unverified, WhoLine};

/// What a yes gives: a sentence without its question mark.
pub fn offer(what: &Offer) -> String {
    match what {
        Offer::Share { from_start: true } => {
            "Share this session, from its first line on".to_owned()
        }
        Offer::Share { from_start: false } => {
            "Share this session, from what is on the screen now on".to_owned()
        }
        Offer::Give { rights, ttl_ms } => {
            format!("Give {} for {}", phrase(*rights), span(*ttl_ms))
        }
        Offer::Token { rights, ttl_ms } => format!(
            "Make a token that gives {} for {}",
            phrase(*rights),
            span(*ttl_ms)
        ),
        Offer::LetIn => "Let in to watch, from now on".to_owned(),
        Offer::LetInAndGive(rights) => {
            format!("Let in, and give {}, from now on", phrase(*rights))
        }
        Offer::Unban => "Unblock".to_owned(),
        Offer::AccessMode(mode) => format!("Change who can join, from now on (allow {mode})"),
        Offer::PublishLink => "Publish a link to this session".to_owned(),
        Offer::ExchangeCodes => "Exchange codes for this session".to_owned(),
        Offer::Converse => "Decide for the agent, as a program here asks".to_owned(),
        Offer::Trust(trust) => format!("Trust prompts for the agent: {}", trust_means(*trust)),
        Offer::MoveTerminal => "Move this session to another terminal".to_owned(),
    }
}

/// A line of who gets it.
pub fn who_line(line: &WhoLine) -> String {
    match line {
        WhoLine::Key(key) => format!("key {}", key.fingerprint()),
        WhoLine::WholeKey(key) => format!("key {} ({key})", key.fingerprint()),
        WhoLine::SshKey(key) => format!("SSH key {}", key.fingerprint()),
        WhoLine::Subject(text) => text.clone(),
        WhoLine::InBy { proof, id } => {
            format!("in by {}, number {}", proved(proof), id.0)
        }
        WhoLine::Proved(proof) => format!("by {}", held(proof).join(", ")),
        WhoLine::More(more) => format!("and {more} more"),
        WhoLine::LaterKeys(from) => format!("and the keys that are added later at {from}"),
        WhoLine::FirstToUse(1) => "to the first person who uses it".to_owned(),
        WhoLine::FirstToUse(uses) => format!("to the first {uses} people who use it"),
        WhoLine::WhoJoins(mode) => who_joins(*mode).to_owned(),
        WhoLine::Service(url) => format!("at {url}"),
        WhoLine::NextAtTheTerminal => {
            "the one who sits there says yes to questions like this one from then on".to_owned()
        }
    }
}

/// Whose word it is, and the word.
pub fn unverified(said: &Unverified) -> (&'static str, &str) {
    match said {
        Unverified::OwnName(name) => ("calls themselves", name),
        Unverified::KeysOf(from) => ("the command says these are the keys of", from),
    }
}

/// A question as a statement, on one line.
pub fn statement(question: &Question) -> String {
    let said = question.said.iter().map(unverified);
    let said = said.map(|(whose, word)| format!("{whose}: “{word}”"));
    let rest: Vec<String> = question.who.iter().map(who_line).chain(said).collect();
    format!("{}: {}", offer(&question.what), rest.join("; "))
}

/// Rights by their name, and what they come to.
fn phrase(rights: Rights) -> String {
    format!("{rights} (to {})", acts(rights))
}

fn who_joins(mode: AccessMode) -> &'static str {
    match mode {
        AccessMode::Link => "anyone who has the ticket can join and watch",
        AccessMode::Invited => "people on the list can join; others who have the ticket knock",
        AccessMode::Team => "members of a team on the list can join, and nobody else",
    }
}
