//! What the person at the host's terminal is asked, in the order in which it is read.

use pillion_caps::PublicKey;
use pillion_people::{Invited, Name, Who};
use pillion_proto::{AccessMode, Rights, limits::MAX_SUBJECT};
use pillion_screen::clean::clean_title;

use crate::words::{acts, span};

use crate::host::{
    Host,
    api::{Command, CommandError, Target},
    commands::sharing::MAX_SERVICE,
    people::resolve::AclSubjects,
    people::roster::Person,
};

/// Keys and people that a question lists one by one.
const MAX_LISTED: usize = 16;

/// A question for the person at the host's terminal.
///
/// It is to be shown whole, in this order: a reader who stops early has read what matters most, and
/// nothing that a peer chose stands before it or takes its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What a yes gives, and for how long. A sentence without its question mark.
    pub what: String,
    /// Who gets it, by what they can't choose: keys, what they proved, how many. A line each.
    pub who: Vec<String>,
    /// What nobody checked: whose word it is, and the word, cleaned.
    pub said: Vec<(String, String)>,
}

impl Question {
    /// Whether somebody who is or was here gets a right.
    pub(in crate::host) fn give(right: Rights, ttl_ms: u64, person: &Person) -> Question {
        Question {
            what: format!("Give {} for {}", phrase(right), span(ttl_ms)),
            who: vec![
                key_line(&person.identity),
                format!("in by {}, number {}", person.proof(), person.id.0),
            ],
            said: vec![own_name(&person.name)],
        }
    }

    /// Whether somebody who knocks may come in.
    pub(in crate::host) fn knock(key: &PublicKey, proved: &[String], name: &Name) -> Question {
        let proved = (!proved.is_empty()).then(|| format!("by {}", proved.join(", ")));
        Question {
            what: "Let in to watch, from now on".to_owned(),
            who: [key_line(key)].into_iter().chain(proved).collect(),
            said: vec![own_name(name)],
        }
    }

    /// The same as a statement, on one line.
    pub(in crate::host) fn statement(&self) -> String {
        let said = self.said.iter();
        let said = said.map(|(whose, word)| format!("{whose}: “{word}”"));
        let rest: Vec<String> = self.who.iter().cloned().chain(said).collect();
        format!("{}: {}", self.what, rest.join("; "))
    }
}

impl Host {
    /// The question whether a command that lets somebody in, or gives a right, is to be carried out. From
    /// here on the command is about exactly whom the question names, whatever becomes of names before the
    /// answer.
    pub(in crate::host) fn question(
        &self,
        command: &mut Command,
    ) -> Result<Question, CommandError> {
        Ok(match command {
            Command::Share { from_start } => {
                self.ended_program().map_or(Ok(()), Err)?;
                let from = match from_start {
                    true => "its first line",
                    false => "what is on the screen now",
                };
                Question {
                    what: format!("Share this session, from {from} on"),
                    who: vec![who_comes_in(self.access_mode()).to_owned()],
                    said: Vec::new(),
                }
            }
            Command::Grant {
                target,
                right,
                ttl_ms,
            } => {
                self.check_grant(*right)?;
                let ttl_ms = self.ttl(*ttl_ms)?;
                let found = self.resolve_participant(target)?;
                *target = found.key.into();
                Question::give(*right, ttl_ms, self.person(found.id)?)
            }
            Command::GrantLink {
                right,
                ttl_ms,
                uses,
            } => {
                self.check_grant(*right)?;
                let ttl = span(self.ttl(*ttl_ms)?);
                let who = match uses.get() {
                    1 => "the first person who uses it".to_owned(),
                    uses => format!("the first {uses} people who use it"),
                };
                Question {
                    what: format!("Make a token that gives {} for {ttl}", phrase(*right)),
                    who: vec![format!("to {who}")],
                    said: Vec::new(),
                }
            }
            Command::Admit { target } => {
                let found = self.resolve_knock(target)?;
                *target = found.key.into();
                let knock = self.knocks.get(found.id);
                let nobody = || CommandError::NotNow("they knock no longer".into());
                knock.ok_or_else(nobody)?.question()
            }
            Command::Allow { target, right } => {
                let acl = self.resolve_subjects(target)?;
                let (mut who, said) = self.lines_of(&acl, target);
                if let Target::Keys {
                    from,
                    is_address: true,
                    ..
                } = target
                {
                    let from = clean_title(from, MAX_SUBJECT);
                    who.push(format!("and the keys that are added later at {from}"));
                }
                settle(target, acl);
                let what = match *right {
                    Rights::VIEW => "Let in to watch, from now on".to_owned(),
                    right => format!("Let in, and give {}, from now on", phrase(right)),
                };
                Question { what, who, said }
            }
            Command::Unban { target } => {
                let acl = self.resolve_barred(target)?;
                let (who, said) = self.lines_of(&acl, target);
                settle(target, acl);
                Question {
                    what: "Let in again who was barred".to_owned(),
                    who,
                    said,
                }
            }
            Command::Open { allow: Some(allow) } => Question {
                what: format!("Change who comes in, from now on (allow {allow})"),
                who: vec![who_comes_in(*allow).to_owned()],
                said: Vec::new(),
            },
            Command::UseService { service, link } => {
                self.check_shared()?;
                if service.chars().count() > MAX_SERVICE {
                    let text = format!(
                        "the URL of a link service has {MAX_SERVICE} characters at most, so that it can be shown"
                    );
                    return Err(CommandError::NotNow(text));
                }
                Question {
                    what: match link {
                        true => "Publish a link to this session".to_owned(),
                        false => "Exchange codes for this session".to_owned(),
                    },
                    who: vec![format!("at {}", clean_title(service, MAX_SERVICE))],
                    said: Vec::new(),
                }
            }
            Command::Stop
            | Command::Ticket { .. }
            | Command::Who
            | Command::Status
            | Command::Tracks
            | Command::New { .. }
            | Command::Close { .. }
            | Command::Show { .. }
            | Command::Refuse { .. }
            | Command::Revoke { .. }
            | Command::Kick { .. }
            | Command::Open { allow: None }
            | Command::TurnAway { .. }
            | Command::Ban { .. }
            | Command::EndLink
            | Command::Code => {
                return Err(CommandError::NotAllowed("there is nothing to ask".into()));
            }
        })
    }

    /// Those a command about the list means, a line each; and what they call themselves, or the command says of
    /// them.
    fn lines_of(&self, acl: &AclSubjects, target: &Target) -> (Vec<String>, Vec<(String, String)>) {
        let mut lines: Vec<String> = acl.who.iter().take(MAX_LISTED).map(line_of).collect();
        match acl.who.len().saturating_sub(MAX_LISTED) {
            0 => {}
            more => lines.push(format!("and {more} more")),
        }
        let named = acl.who.iter().take(MAX_LISTED).filter_map(|one| match one {
            Invited::One(Who::Key(key)) => self.name_behind(key).map(own_name),
            _ => None,
        });
        let from = match target {
            Target::Keys { from, .. } => {
                let whose = "the command says these are the keys of".to_owned();
                Some((whose, clean_title(from, MAX_SUBJECT)))
            }
            _ => None,
        };
        (lines, named.chain(from).collect())
    }

    /// What somebody calls themselves who is or was here, or knocks.
    fn name_behind(&self, key: &PublicKey) -> Option<&Name> {
        let person = self.roster.by_identity(key).map(|person| &person.name);
        let mut knocks = self.knocks.waiting();
        person.or_else(|| Some(&knocks.find(|knock| knock.identity == *key)?.name))
    }
}

/// Makes a command about exactly those whom its question shows.
fn settle(target: &mut Target, acl: AclSubjects) {
    if !matches!(target, Target::Keys { .. }) {
        *target = Target::Exactly(acl.who);
    }
}

/// A right by its name, and what it comes to.
fn phrase(right: Rights) -> String {
    format!("{right} (to {})", acts(right))
}

fn who_comes_in(allow: AccessMode) -> &'static str {
    match allow {
        AccessMode::Link => "everybody who has the ticket comes in and watches",
        AccessMode::Invited => "people on the list come in, others who have the ticket knock",
        AccessMode::Team => "members of a team on the list come in, and nobody else",
    }
}

fn key_line(key: &PublicKey) -> String {
    format!("key {}", key.fingerprint())
}

fn own_name(name: &Name) -> (String, String) {
    ("calls themselves".to_owned(), name.to_string())
}

/// An SSH key is compared by its fingerprint, anything else by its text.
fn line_of(who: &Invited) -> String {
    match who {
        Invited::One(Who::Ssh(key)) => format!("SSH key {}", key.fingerprint()),
        Invited::One(Who::Key(key)) => format!("key {} ({key})", key.fingerprint()),
        _ => who.to_string(),
    }
}
