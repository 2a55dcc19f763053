//! What people read of commands: sentences made from typed replies, refusals, questions and notices.
//!
//! The state machines speak none, so this is the one place for how something is said. A sentence that
//! holds another machine's words is cleaned where it is shown ([`pillion_screen::clean`]).

mod command;
mod moment;
#[cfg(feature = "host")]
mod notice;
mod proof;
#[cfg(feature = "host")]
mod question;
mod reason;
mod refusal;
mod reply;
mod run;
mod terminal;
mod unit;
mod viewer;

pub use command::attempt;
pub use moment::Zone;
#[cfg(feature = "host")]
pub use notice::{change, notice};
pub(crate) use proof::held;
pub use proof::{admitted_by, knocker, proved};
#[cfg(feature = "host")]
pub use question::{offer, statement, unverified, who_line};
pub use reason::{end_reason, refusal_reason, refused, turned_away};
pub use refusal::{Refusal, refusal, shortfall};
pub use reply::{answered, done, reply};
pub use run::{run, run_outcome};
pub(crate) use terminal::terminal;
pub use terminal::{lines_of, no_such_terminal, shows, terminal_ended, terminal_gone, track_state};
pub use unit::{acts, span, trust_means};
pub use viewer::{ending, interruption, knocking, viewer_notice};

use pillion_session::SubjectLabel;

/// Entries of a list, one after the other.
pub(crate) fn subjects(who: &[SubjectLabel]) -> String {
    let all = who.iter().map(|one| match one {
        SubjectLabel::Person(person) => person.to_string(),
        SubjectLabel::Subject(text) => text.clone(),
        SubjectLabel::Keys { from, count: 1 } => format!("the key of {from}"),
        SubjectLabel::Keys { from, count } => format!("the {count} keys of {from}"),
    });
    all.collect::<Vec<String>>().join(", ")
}

/// A text in lines of at most so many columns, broken at blanks where that can be.
pub fn folded(text: &str, cols: usize) -> Vec<String> {
    crate::text::fold(text, cols.max(1), usize::MAX)
}

/// The same as a sentence of its own: with a capital at its beginning and a full stop at its end.
pub fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let Some(first) = rest.next() else {
        return String::new();
    };
    let end = match text.ends_with(['.', '?', '!']) {
        true => "",
        false => ".",
    };
    format!("{}{}{end}", first.to_uppercase(), rest.as_str())
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use pillion_caps::SecretKey;
    use pillion_proto::{AccessMode, AdmittedBy, ParticipantId, Rights};
    use pillion_session::{
        Change, CommandError, EndedLinks, PersonLabel, Proved, Reply, Shortfall, SubjectLabel,
        host::{Offer, Question, Unverified, WhoLine},
        verbs,
    };

    use super::*;

    fn anna() -> PersonLabel {
        PersonLabel {
            id: ParticipantId(2),
            name: "anna".to_owned(),
            identity: SecretKey::from_bytes(&[7; 32]).public(),
        }
    }

    #[test]
    fn a_sentence_begins_and_ends_as_one() {
        assert_eq!(sentence("it works"), "It works.");
        assert_eq!(sentence("2 anna can type."), "2 anna can type.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn replies_say_who_and_what_and_what_to_do_next() {
        let (print, ended) = (anna().identity.fingerprint(), EndedLinks::default());
        let (links, others) = (1, 2);
        let tokens = EndedLinks { links, others };
        let kicked = |knocked, ended, open| {
            Reply::Kick(verbs::Kicked {
                person: anna(),
                knocked,
                ended,
                open,
            })
        };
        let given = verbs::Granted::Given {
            person: anna(),
            rights: Rights::EDIT,
            ttl_ms: 8 * 3_600_000,
        };
        let taken = verbs::Revoked::Person {
            person: anna(),
            could_more: true,
            ended: tokens,
        };
        for (reply, said) in [
            (Reply::Grant(given), format!("2 anna ({print}) can type for 8 h.")),
            (
                Reply::Revoke(taken),
                format!(
                    "2 anna ({print}) can only watch now. The token they came with is ended as well, also for 2 \
                     others who used it."
                ),
            ),
            (
                kicked(false, ended, true),
                format!(
                    "Removed 2 anna ({print}). Their key is blocked. Keys are free: anyone who has the ticket can \
                     come back with another one; `pillion ticket --new` replaces the ticket."
                ),
            ),
            (
                kicked(true, ended, false),
                format!("Declined 2 anna ({print}). Their key is blocked."),
            ),
            (
                Reply::SetAccessMode(verbs::AccessModeSet {
                    mode: AccessMode::Invited,
                    has_team: false,
                    viewers: 1,
                }),
                "invited: people you allowed can join; others who have the ticket knock. Viewers who are here stay."
                    .to_owned(),
            ),
            (
                Reply::Allow(verbs::Allowed {
                    who: vec![
                        SubjectLabel::Subject("anna@example.org".to_owned()),
                        SubjectLabel::Keys {
                            from: "./keys".to_owned(),
                            count: 3,
                        },
                    ],
                    rights: Rights::VIEW,
                    followed: false,
                }),
                "anna@example.org, the 3 keys of ./keys can join and watch, from now on.".to_owned(),
            ),
        ] {
            assert_eq!(super::reply(&reply), Some(said));
        }
        let short = Shortfall::BarsFull {
            max: 4096,
            kept: true,
        };
        let done = pillion_session::Done {
            reply: Reply::Stop(()),
            shortfall: Some(short),
        };
        let said = super::done(&done).unwrap();
        assert!(said.starts_with("Stopped sharing. "), "{said}");
        assert!(said.contains("4096 are blocked already"), "{said}");
        assert!(said.contains("in this run only"), "{said}");
        assert_eq!(super::reply(&Reply::Ticket("secret".to_owned())), None);
    }

    #[test]
    fn a_change_says_right_and_time_first_and_a_name_last() {
        let question = Question {
            what: Offer::Give {
                rights: Rights::MANAGE,
                ttl_ms: 3650 * 86_400_000,
            },
            who: vec![
                WhoLine::Key(anna().identity),
                WhoLine::InBy {
                    proof: Proved {
                        by: AdmittedBy::Ticket,
                        claims: Vec::new(),
                    },
                    id: ParticipantId(2),
                },
            ],
            said: vec![Unverified::OwnName("watch for 5 min".to_owned())],
        };
        let print = anna().identity.fingerprint();
        assert_eq!(
            change(&Change::Widened {
                question,
                grant: None
            }),
            format!(
                "Give manage (to type and say who may do what) for 3650 d: key {print}; in by the ticket, number 2; \
                 calls themselves: “watch for 5 min”"
            )
        );
        let stopped = Change::Other {
            name: "stop",
            done: Reply::Stop(()).into(),
        };
        assert_eq!(
            change(&stopped),
            "stop: Stopped sharing. Your program is still running."
        );
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (error, part) in [
            (CommandError::NotShared, "`pillion share` starts that"),
            (CommandError::NotIn(anna()), "`pillion admit 2` does that"),
            (CommandError::NotConnected(anna()), "pillion grant --link"),
            (CommandError::NoTerminal, "Someone who manages the session"),
            (CommandError::NotKnownHere, "the host's pillion is older"),
        ] {
            let said = refusal(&error);
            assert!(said.contains(part), "{said}");
        }
    }
}
