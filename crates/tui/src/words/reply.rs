//! What came of a command.

use pillion_proto::{AccessMode, Trust, limits::MAX_SENTENCE};
use pillion_screen::clean::clean_title;
use pillion_session::{
    CommandError, Done, EndedLinks, Reply,
    verbs::{
        AccessModeSet, Allowed, Banned, Granted, Kicked, Revoked, ServiceUsed, TrackClosed,
        TrustSet, TurnedAway,
    },
};

use super::{acts, refusal, sentence, shortfall, span, subjects, trust_means};

/// What came of a command, with what of it does not outlive this run of the session. `None` where the reply is a
/// thing to print, as a ticket or a list is.
pub fn done(done: &Done) -> Option<String> {
    let said = reply(&done.reply)?;
    Some(match &done.shortfall {
        Some(short) => format!("{said} {}", shortfall(short)),
        None => said,
    })
}

/// What came of a command.
pub fn reply(reply: &Reply) -> Option<String> {
    Some(match reply {
        Reply::Admit(person) => format!("Let in {person}. They can come back without knocking."),
        Reply::TurnAway(turned) => turned_away(turned),
        Reply::RefuseRequest(person) => format!("Declined the request of {person} to type."),
        Reply::Grant(Granted::Given {
            person,
            rights,
            ttl_ms,
        }) => format!("{person} can {} for {}.", acts(*rights), span(*ttl_ms)),
        Reply::Grant(Granted::WatchesAlready(person)) => {
            format!("{person} can watch already; --edit lets them type.")
        }
        Reply::Revoke(revoked) => self::revoked(revoked),
        Reply::Kick(kicked) => self::kicked(kicked),
        Reply::SetAccessMode(set) => access_mode(set),
        Reply::Allow(Allowed {
            who,
            rights,
            followed,
        }) => {
            let again = match followed {
                true => {
                    " The address is looked at again when somebody comes with an SSH key, every 5 minutes at most."
                }
                false => "",
            };
            format!(
                "{} can join and {}, from now on.{again}",
                subjects(who),
                acts(*rights)
            )
        }
        Reply::Ban(Banned::Person(kicked)) => self::kicked(kicked),
        Reply::Ban(Banned::Subjects { who, ended }) => {
            format!("{} can no longer join.{}", subjects(who), tokens(ended))
        }
        Reply::Unban(lifted) => format!("Unblocked: {}.", lifted.join(", ")),
        Reply::Stop(()) => "Stopped sharing. Your program is still running.".to_owned(),
        Reply::UseService(ServiceUsed {
            service,
            link: true,
        }) => format!("A link is published at {service}."),
        Reply::UseService(ServiceUsed {
            service,
            link: false,
        }) => format!("Codes are exchanged by {service}."),
        Reply::EndLink(()) => {
            "The link has ended. The ticket still works, and viewers who are here stay.".to_owned()
        }
        Reply::Code(()) => "A spoken code is made, for one person and ten minutes.".to_owned(),
        Reply::OpenTerminal(track) => format!("Opened terminal {track}."),
        Reply::OpenConversation(track) => format!("Began conversation {track}."),
        Reply::Own(()) => "This terminal is the host's.".to_owned(),
        Reply::Converse(()) => "Done.".to_owned(),
        Reply::Trust(TrustSet {
            person,
            trust,
            prompts,
        }) => {
            let may = match (prompts, trust) {
                (false, Trust::Ask | Trust::ReadsOnly | Trust::Trusted) => {
                    " They don't have the right to send prompts yet; `pillion grant NAME --can prompt` gives it, and \
                     what is said of them here ends when they lose it."
                }
                _ => "",
            };
            format!("{person}: {}.{may}", trust_means(*trust))
        }
        Reply::CloseTrack(TrackClosed {
            track,
            title,
            had_ended: false,
        }) => format!("Closed {track} ({title})."),
        Reply::CloseTrack(TrackClosed { track, title, .. }) => {
            format!("{track} ({title}) had ended, and is no longer listed.")
        }
        Reply::Who(_)
        | Reply::Status(_)
        | Reply::ShowTrack(())
        | Reply::ListTracks(_)
        | Reply::Share(_)
        | Reply::Ticket(_)
        | Reply::GrantLink(_)
        | Reply::Attach(())
        | Reply::AccessList(_) => return None,
    })
}

/// What a host answered to somebody who manages with it, cleaned.
pub fn answered(answer: &Result<Option<Done>, Option<CommandError>>) -> Option<String> {
    let said = match answer {
        Ok(Some(carried_out)) => done(carried_out)?,
        Ok(None) => "Done.".to_owned(),
        Err(Some(error)) => sentence(&refusal(error)),
        Err(None) => "The host refused that for a reason that this version does not know; upgrade pillion to read \
                      it."
            .to_owned(),
    };
    Some(clean_title(&said, MAX_SENTENCE))
}

fn turned_away(turned: &TurnedAway) -> String {
    match turned {
        TurnedAway::Knock {
            person,
            for_good: true,
            ended,
            ..
        } => format!("Declined {person}. Their key is blocked.{}", tokens(ended)),
        TurnedAway::Knock {
            person,
            again_ms,
            ended,
            ..
        } => format!(
            "Declined {person}. They can knock again in {}.{}",
            span(*again_ms),
            tokens(ended)
        ),
        TurnedAway::Request(person) => format!("Declined the request of {person} to type."),
    }
}

fn revoked(revoked: &Revoked) -> String {
    match revoked {
        Revoked::Links => "Every link grant is revoked.".to_owned(),
        Revoked::All => "Every grant is revoked.".to_owned(),
        Revoked::Grant(grant) => format!("Grant {grant} is revoked."),
        Revoked::Person {
            person,
            could_more: true,
            ended,
        } => format!("{person} can only watch now.{}", tokens(ended)),
        Revoked::Person { person, ended, .. } => format!(
            "{person} could only watch. Grants made for them are revoked.{}",
            tokens(ended)
        ),
        Revoked::Listed { who, ended } => {
            format!("No longer on the list: {}.{}", subjects(who), tokens(ended))
        }
        Revoked::KeyList(from) => format!("{from} is no longer followed."),
    }
}

fn kicked(kicked: &Kicked) -> String {
    let Kicked {
        person,
        knocked,
        ended,
        open,
    } = kicked;
    let done = match knocked {
        true => "Declined",
        false => "Removed",
    };
    let open = match open {
        true => {
            " Keys are free: anyone who has the ticket can come back with another one; `pillion ticket --new` \
             replaces the ticket."
        }
        false => "",
    };
    format!(
        "{done} {person}. Their key is blocked.{}{open}",
        tokens(ended)
    )
}

fn access_mode(set: &AccessModeSet) -> String {
    let who = match set.mode {
        AccessMode::Link => "anyone who has the ticket can watch",
        AccessMode::Invited => "people you allowed can join; others who have the ticket knock",
        AccessMode::Team if set.has_team => "members of the team can join, and nobody else",
        AccessMode::Team => {
            "members of a team can join, and nobody else; name the team: pillion allow team:KEY"
        }
    };
    let stay = match set.viewers {
        0 => "",
        _ => " Viewers who are here stay.",
    };
    format!("{}: {who}.{stay}", set.mode)
}

/// The tokens that ended with what was taken from somebody.
fn tokens(EndedLinks { links, others }: &EndedLinks) -> String {
    let ended = match links {
        0 => return String::new(),
        1 => "The token they came with is ended as well".to_owned(),
        links => format!("The {links} tokens they came with are ended as well"),
    };
    match others {
        0 => format!(" {ended}."),
        1 => format!(" {ended}, also for someone else who used it."),
        others => format!(" {ended}, also for {others} others who used it."),
    }
}
