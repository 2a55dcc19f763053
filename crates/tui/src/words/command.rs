//! What a command would do, in words: for the log's reader, who never saw its type.

use super::span;
use pillion_people::{Invited, SubjectRef};
use pillion_session::{Command, Target, verbs};

/// What somebody wanted to do who gave this command: "let bert type for 8 h".
pub fn attempt(command: &Command) -> String {
    match command {
        Command::Share(verbs::Share { .. }) => "share the session".to_owned(),
        Command::Stop(_) => "stop sharing".to_owned(),
        Command::Ticket(verbs::Ticket { new: true }) => "replace the ticket".to_owned(),
        Command::Ticket(_) => "read the ticket".to_owned(),
        Command::Grant(verbs::Grant {
            target,
            rights,
            ttl_ms,
        }) => format!("give {rights} to {}{}", whom(target), lasting(*ttl_ms)),
        Command::GrantLink(verbs::GrantLink {
            rights,
            ttl_ms,
            uses,
        }) => {
            let people = match uses.get() {
                1 => "one person".to_owned(),
                uses => format!("{uses} people"),
            };
            format!(
                "make a token that gives {rights} to {people}{}",
                lasting(*ttl_ms)
            )
        }
        Command::Revoke(verbs::Revoke { target }) => match target {
            Target::Links => "take back every token".to_owned(),
            Target::All => "take back everything that was given".to_owned(),
            target => format!("take back what {} was given", whom(target)),
        },
        Command::Kick(verbs::Kick { target }) => format!("remove and block {}", whom(target)),
        Command::Admit(verbs::Admit { target }) => format!("let in {}", whom(target)),
        Command::TurnAway(verbs::TurnAway { target, .. }) => format!("decline {}", whom(target)),
        Command::RefuseRequest(verbs::RefuseRequest { target }) => {
            format!("decline the request of {}", whom(target))
        }
        Command::Allow(verbs::Allow { target, rights }) => {
            format!("put {} on the list: {rights}", whom(target))
        }
        Command::Ban(verbs::Ban { target }) => format!("block {}", whom(target)),
        Command::Unban(verbs::Unban { target }) => format!("unblock {}", whom(target)),
        Command::SetAccessMode(verbs::SetAccessMode { mode }) => {
            format!("change who can join to {mode}")
        }
        Command::UseService(verbs::UseService { service, link }) => match link {
            true => format!("publish a link at {service}"),
            false => format!("have codes exchanged by {service}"),
        },
        Command::EndLink(_) => "end the link".to_owned(),
        Command::Code(_) => "make a spoken code".to_owned(),
        Command::Attach(_) => "attach another terminal".to_owned(),
        Command::OpenConversation(_) => "begin a conversation with an agent".to_owned(),
        Command::Trust(verbs::Trust { target, trust, .. }) => {
            format!("trust the prompts of {}: {}", whom(target), trust.as_str())
        }
        Command::Own(_) => "open the conversation in another terminal".to_owned(),
        Command::Converse(_) => "say something in a conversation with an agent".to_owned(),
        Command::OpenTerminal(_) => "open a terminal".to_owned(),
        Command::CloseTrack(verbs::CloseTrack { track }) => format!("close terminal {track}"),
        Command::ShowTrack(verbs::ShowTrack { track }) => format!("show terminal {track}"),
        Command::Who(_) | Command::Status(_) | Command::ListTracks(_) | Command::AccessList(_) => {
            format!("ask for {}", command.name())
        }
        Command::Unknown(..) => "do what only a newer pillion knows".to_owned(),
    }
}

fn lasting(ttl_ms: Option<u64>) -> String {
    ttl_ms.map_or_else(String::new, |ttl_ms| format!(" for {}", span(ttl_ms)))
}

fn whom(target: &Target) -> String {
    match target {
        Target::One(subject) => match (subject, subject.as_key()) {
            (_, Some(key)) => key.fingerprint(),
            (SubjectRef::Number(number), _) => format!("number {number}"),
            (other, _) => other.to_string(),
        },
        Target::Exactly(all) => listed(all),
        Target::Keys { from, .. } => format!("the keys of {from}"),
        Target::Links => "everybody who came by a token".to_owned(),
        Target::All => "everybody".to_owned(),
    }
}

fn listed(all: &[Invited]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join(", ")
}
