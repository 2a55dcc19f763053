//! What the person at the host's terminal is asked, in the order in which it is read.

use pillion_caps::PublicKey;
use pillion_people::{Invited, Name, SshKey, Who};
use pillion_proto::{AccessMode, AdmittedBy, ParticipantId, Rights, Trust, limits::MAX_SUBJECT};
use pillion_screen::clean::clean_title;

use crate::host::{
    Host,
    commands::verbs::{Proved, Target},
    people::{resolve::AclSubjects, roster::Person},
};

/// Keys and people that a question lists one by one.
const MAX_LISTED: usize = 16;

/// A question for the person at the host's terminal.
///
/// It is to be shown whole, in this order: a reader who stops early has read what matters most, and
/// nothing that a peer chose stands before it or takes its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What a yes gives, and for how long.
    pub what: Offer,
    /// Who gets it, by what they can't choose: keys, what they proved, how many.
    pub who: Vec<WhoLine>,
    /// What nobody checked.
    pub said: Vec<Unverified>,
}

/// What a yes gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// The session is shared.
    Share {
        /// From its first line; else from what is on the screen now.
        from_start: bool,
    },
    /// Somebody gets rights.
    Give {
        /// Which.
        rights: Rights,
        /// For how long, in milliseconds.
        ttl_ms: u64,
    },
    /// A token that gives rights is made.
    Token {
        /// Which.
        rights: Rights,
        /// For how long, in milliseconds.
        ttl_ms: u64,
    },
    /// Somebody may join and watch, from now on.
    LetIn,
    /// Somebody may join and has these rights, from now on.
    LetInAndGive(Rights),
    /// Somebody may join again who was barred.
    Unban,
    /// Others may join than before, from now on.
    AccessMode(AccessMode),
    /// A link to the session is published.
    PublishLink,
    /// Spoken codes for the session are exchanged.
    ExchangeCodes,
    /// Another terminal becomes the host's own.
    MoveTerminal,
    /// Something is decided in an agent's conversation.
    Converse,
    /// What somebody's prompts make an agent do is asked about less.
    Trust(Trust),
}

/// A line of who gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhoLine {
    /// The holder of this key, who is here or knocks.
    Key(PublicKey),
    /// The holder of this key, whole: they may be nowhere.
    WholeKey(PublicKey),
    /// The holder of this SSH key.
    SshKey(SshKey),
    /// Who proves to be this.
    Subject(String),
    /// What let them in, and their number.
    InBy {
        /// What let them in, and what else they proved.
        proof: Proved,
        /// Number.
        id: ParticipantId,
    },
    /// What they proved beside their key.
    Proved(Proved),
    /// So many more than are listed.
    More(usize),
    /// The keys that are added later to the list at this address.
    LaterKeys(String),
    /// The first people who use it: so many.
    FirstToUse(u32),
    /// Those who may join in this mode.
    WhoJoins(AccessMode),
    /// The link service at this URL.
    Service(String),
    /// The one who sits at the terminal from then on.
    NextAtTheTerminal,
}

/// What nobody checked: whose word it is, and the word, cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unverified {
    /// What they call themselves.
    OwnName(String),
    /// Whose keys these are, as the command says.
    KeysOf(String),
}

impl Question {
    /// Whether somebody who is or was here gets rights.
    pub(in crate::host) fn give(rights: Rights, ttl_ms: u64, person: &Person) -> Question {
        Question::about(Offer::Give { rights, ttl_ms }, person)
    }

    /// Whether somebody who is or was here gets this.
    pub(in crate::host) fn about(what: Offer, person: &Person) -> Question {
        Question {
            what,
            who: vec![
                WhoLine::Key(person.identity),
                WhoLine::InBy {
                    proof: person.proof(),
                    id: person.id,
                },
            ],
            said: vec![own_name(&person.name)],
        }
    }

    /// Whether somebody who knocks may come in.
    pub(in crate::host) fn knock(key: &PublicKey, proof: Proved, name: &Name) -> Question {
        let by_code = matches!(proof.by, AdmittedBy::Code(_));
        let proved = (by_code || !proof.claims.is_empty()).then_some(WhoLine::Proved(proof));
        Question {
            what: Offer::LetIn,
            who: [WhoLine::Key(*key)].into_iter().chain(proved).collect(),
            said: vec![own_name(name)],
        }
    }
}

impl Host {
    /// Those a command about the list means, a line each; and what they call themselves, or the command says of
    /// them.
    pub(in crate::host) fn lines_of(
        &self,
        acl: &AclSubjects,
        target: &Target,
    ) -> (Vec<WhoLine>, Vec<Unverified>) {
        let mut lines: Vec<WhoLine> = acl.who.iter().take(MAX_LISTED).map(line_of).collect();
        match acl.who.len().saturating_sub(MAX_LISTED) {
            0 => {}
            more => lines.push(WhoLine::More(more)),
        }
        let named = acl.who.iter().take(MAX_LISTED).filter_map(|one| match one {
            Invited::One(Who::Key(key)) => self.name_behind(key).map(own_name),
            _ => None,
        });
        let from = match target {
            Target::Keys { from, .. } => Some(Unverified::KeysOf(clean_title(from, MAX_SUBJECT))),
            _ => None,
        };
        (lines, named.chain(from).collect())
    }

    /// What somebody calls themselves who is or was here, or knocks.
    fn name_behind(&self, key: &PublicKey) -> Option<&Name> {
        let person = self
            .people
            .roster()
            .by_identity(key)
            .map(|person| &person.name);
        let mut knocks = self.door.knocks().waiting();
        person.or_else(|| Some(&knocks.find(|knock| knock.identity == *key)?.name))
    }
}

/// Makes a command about exactly those whom its question shows.
pub(in crate::host) fn settle(target: &mut Target, acl: AclSubjects) {
    if !matches!(target, Target::Keys { .. }) {
        *target = Target::Exactly(acl.who);
    }
}

fn own_name(name: &Name) -> Unverified {
    Unverified::OwnName(name.to_string())
}

/// An SSH key is compared by its fingerprint, anything else by its text.
fn line_of(who: &Invited) -> WhoLine {
    match who {
        Invited::One(Who::Ssh(key)) => WhoLine::SshKey(*key),
        Invited::One(Who::Key(key)) => WhoLine::WholeKey(*key),
        _ => WhoLine::Subject(who.to_string()),
    }
}
