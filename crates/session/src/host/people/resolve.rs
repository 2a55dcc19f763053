//! Whom a command is about: from what somebody was named by to an identity.
//!
//! What comes here says by what somebody is meant ([`SubjectRef`]), so no text is looked at: a number is compared with
//! numbers, digits with keys and grants, what can be proved with what was proved, and only a name with names. What
//! fits nobody is refused, and what fits several is refused with the choices.

use std::collections::BTreeMap;

use pillion_caps::{GrantId, PublicKey, Subject};
use pillion_people::{Invited, Name, SubjectRef, Who};
use pillion_proto::{ParticipantId, limits::MAX_SUBJECT};
use pillion_screen::clean::clean_title;

use crate::host::{
    Host,
    commands::verbs::{Choice, CommandError, PersonLabel, SubjectLabel, Target},
    context::Context,
    door::knocks::Knock,
    people::People,
    people::roster::Person,
};

/// What a target is at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum Resolved {
    /// Somebody who is or was here, or who knocks.
    Person(Candidate),
    Grant(GrantId),
}

/// Somebody a command can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) struct Candidate {
    pub(in crate::host) id: ParticipantId,
    pub(in crate::host) key: PublicKey,
    /// Is in the roster: here, or was.
    pub(in crate::host) is_participant: bool,
    /// Waits to be let in.
    pub(in crate::host) knocks: bool,
}

/// Whom a command about the list of who may come in is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct AclSubjects {
    /// By what they can prove.
    pub(in crate::host) who: Vec<Invited>,
    /// What replies call them.
    pub(in crate::host) labels: Vec<SubjectLabel>,
}

impl AclSubjects {
    /// As the list has them.
    pub(in crate::host) fn subjects(&self) -> impl Iterator<Item = Subject> {
        self.who.iter().map(Invited::subject)
    }
}

/// Somebody in the roster or at the door.
enum Known<'a> {
    Person(&'a Person),
    Knock(&'a Knock),
}

impl Known<'_> {
    fn id(&self) -> ParticipantId {
        match self {
            Known::Person(person) => person.id,
            Known::Knock(knock) => knock.id,
        }
    }

    fn key(&self) -> PublicKey {
        match self {
            Known::Person(person) => person.identity,
            Known::Knock(knock) => knock.identity,
        }
    }

    fn name(&self) -> &Name {
        match self {
            Known::Person(person) => &person.name,
            Known::Knock(knock) => &knock.name,
        }
    }

    fn subjects(&self) -> Vec<Subject> {
        match self {
            Known::Person(person) => person.subjects(),
            Known::Knock(knock) => knock.subjects(),
        }
    }

    /// Is here, holds a right to come back with, or waits to be let in.
    fn is_present(&self) -> bool {
        match self {
            Known::Person(person) => person.listed(),
            Known::Knock(_) => true,
        }
    }

    /// Whether somebody is meant. Who is gone is meant by what is theirs alone, and not by a name that somebody else
    /// may have by now.
    fn is_meant(&self, whom: &SubjectRef) -> bool {
        match whom {
            SubjectRef::Number(number) => self.id().0 == *number,
            SubjectRef::Prefix(prefix) => prefix.begins(&self.key()),
            SubjectRef::Provable(Invited::One(Who::Key(key))) => self.key() == *key,
            SubjectRef::Provable(invited) => {
                let meant = invited.subject();
                self.is_present() && self.subjects().iter().any(|one| meant.covers(one))
            }
            SubjectRef::Name(name) => self.is_present() && self.name().is_same(name),
            SubjectRef::Grant(_) => false,
        }
    }
}

impl Host {
    /// Everybody a command can be about.
    fn known(&self) -> impl Iterator<Item = Known<'_>> {
        let people = self.people.roster.people().map(Known::Person);
        people.chain(self.door.knocks().waiting().map(Known::Knock))
    }

    /// Those who are meant, each identity once.
    fn meant_by(&self, is_meant: impl Fn(&Known<'_>) -> bool) -> Vec<Candidate> {
        let mut found: BTreeMap<PublicKey, Candidate> = BTreeMap::new();
        for known in self.known().filter(is_meant) {
            let (id, key) = (known.id(), known.key());
            let candidate = found.entry(key).or_insert(Candidate {
                id,
                key,
                is_participant: false,
                knocks: false,
            });
            match known {
                Known::Person(_) => candidate.is_participant = true,
                Known::Knock(_) => candidate.knocks = true,
            }
        }
        found.into_values().collect()
    }

    /// What `target` is.
    pub(in crate::host) fn resolve(&self, target: &Target) -> Result<Resolved, CommandError> {
        let whom = one(target)?;
        let people = self.meant_by(|known| known.is_meant(whom));
        let grants = match whom {
            SubjectRef::Grant(grant) => self.people.rights.live_grants(|id| id == grant),
            SubjectRef::Prefix(prefix) => {
                self.people.rights.live_grants(|id| prefix.begins_grant(id))
            }
            _ => Vec::new(),
        };
        match (&people[..], &grants[..]) {
            ([person], []) => Ok(Resolved::Person(*person)),
            ([], [grant]) => Ok(Resolved::Grant(*grant)),
            ([], []) => Err(unknown(whom)),
            _ => {
                let people = people
                    .iter()
                    .map(|person| Choice::Person(self.label_of(person)));
                let grants = grants.iter().map(|grant| Choice::Grant(grant.to_string()));
                Err(ambiguous(whom, people.chain(grants).collect()))
            }
        }
    }

    /// The one person whom `target` means, in the roster or at the door.
    pub(in crate::host) fn resolve_person(
        &self,
        target: &Target,
    ) -> Result<Candidate, CommandError> {
        let whom = one(target)?;
        if let SubjectRef::Grant(grant) = whom {
            return Err(CommandError::IsGrant(grant.to_string()));
        }
        let found = self.meant_by(|known| known.is_meant(whom));
        match &found[..] {
            [person] => Ok(*person),
            [] => Err(unknown(whom)),
            several => {
                let choices = several
                    .iter()
                    .map(|person| Choice::Person(self.label_of(person)));
                Err(ambiguous(whom, choices.collect()))
            }
        }
    }

    /// The one participant whom `target` means.
    pub(in crate::host) fn resolve_participant(
        &self,
        target: &Target,
    ) -> Result<Candidate, CommandError> {
        let person = self.resolve_person(target)?;
        match person.is_participant {
            true => Ok(person),
            false => Err(CommandError::NotIn(self.label_of(&person))),
        }
    }

    /// The one person whom `target` means, who waits to be let in.
    pub(in crate::host) fn resolve_knock(
        &self,
        target: &Target,
    ) -> Result<Candidate, CommandError> {
        let person = self.resolve_person(target)?;
        match person.knocks {
            true => Ok(person),
            false => Err(CommandError::NotKnocking(self.label_of(&person))),
        }
    }

    /// Whom `target` means for the list of who may come in, here or not.
    pub(in crate::host) fn resolve_subjects(
        &self,
        target: &Target,
    ) -> Result<AclSubjects, CommandError> {
        match target {
            Target::Keys { from, keys, .. } => Ok(listed_keys(from, keys)),
            Target::Exactly(who) => Ok(self.acl(who.clone())),
            Target::One(SubjectRef::Provable(invited)) => Ok(self.acl(vec![invited.clone()])),
            _ => {
                let person = self.resolve_person(target)?;
                Ok(self.acl(vec![Who::Key(person.key).into()]))
            }
        }
    }

    /// Whom `target` means among those who may be kept out: with all that they are known to be, because all of it
    /// may be barred.
    pub(in crate::host) fn resolve_barred(
        &self,
        target: &Target,
    ) -> Result<AclSubjects, CommandError> {
        let whom = match target {
            Target::Keys { .. } | Target::Exactly(_) => return self.resolve_subjects(target),
            target => one(target)?,
        };
        // Who was put out is gone, so a name means everybody who had it.
        let is_meant = |known: &Known<'_>| match whom {
            SubjectRef::Name(name) => known.name().is_same(name),
            whom => known.is_meant(whom),
        };
        let found = match whom {
            SubjectRef::Provable(invited) if whom.as_key().is_none() => {
                return Ok(self.acl(vec![invited.clone()]));
            }
            _ => self.meant_by(is_meant),
        };
        let mut keys: Vec<PublicKey> = found.iter().map(|person| person.key).collect();
        match whom {
            SubjectRef::Prefix(prefix) => keys.extend(self.people.rights.barred_beginning(prefix)),
            whom => keys.extend(whom.as_key()),
        }
        keys.sort();
        keys.dedup();
        match &keys[..] {
            [key] => {
                let person = self.people.roster.by_identity(key);
                let subjects = person.map_or_else(|| vec![Subject::key(key)], Person::subjects);
                let who = subjects.iter().filter_map(|one| one.as_str().parse().ok());
                Ok(self.acl(who.collect()))
            }
            [] => Err(unknown(whom)),
            several => {
                let choices = several.iter().map(|key| {
                    let person = self.people.roster.by_identity(key).map(Person::label);
                    person.map_or_else(|| Choice::Key(key.fingerprint()), Choice::Person)
                });
                Err(ambiguous(whom, choices.collect()))
            }
        }
    }

    /// Somebody by what they can prove, called as they are here, or else by that.
    fn acl(&self, who: Vec<Invited>) -> AclSubjects {
        let label = |one: &Invited| {
            let key = SubjectRef::Provable(one.clone()).as_key();
            let known = key.and_then(|key| self.resolve_person(&key.into()).ok());
            known.map_or_else(
                || SubjectLabel::Subject(one.to_string()),
                |person| SubjectLabel::Person(self.label_of(&person)),
            )
        };
        let labels = who.iter().map(label).collect();
        AclSubjects { who, labels }
    }

    /// What replies call somebody.
    pub(in crate::host) fn label_of(&self, person: &Candidate) -> PersonLabel {
        let knock = || self.door.knocks().get(person.id).map(Knock::label);
        let label = self
            .people
            .roster
            .get(person.id)
            .map(Person::label)
            .or_else(knock);
        label.unwrap_or_else(|| PersonLabel {
            id: person.id,
            name: String::new(),
            identity: person.key,
        })
    }
}

impl People {
    pub(in crate::host) fn person(&self, id: ParticipantId) -> Result<&Person, CommandError> {
        let person = self.roster.get(id);
        person.ok_or_else(|| unknown(&SubjectRef::Number(id.0)))
    }

    /// What replies call a participant.
    pub(in crate::host) fn person_label(&self, cx: &Context, id: ParticipantId) -> PersonLabel {
        let person = self.roster.get(id).map(Person::label);
        // Somebody who was just looked up is in the roster.
        person.unwrap_or_else(|| PersonLabel {
            id,
            name: String::new(),
            identity: cx.keys.identity,
        })
    }

    pub(in crate::host) fn name_of(&self, id: ParticipantId) -> String {
        self.roster
            .get(id)
            .map_or_else(|| "somebody".to_owned(), |person| person.name.to_string())
    }
}

#[cfg(test)]
impl Host {
    /// What a target is for each kind of command, without what people are called.
    pub(crate) fn resolved_for_tests(&self, target: &Target) -> [String; 4] {
        fn told<T: std::fmt::Debug>(resolved: Result<T, CommandError>) -> String {
            match resolved {
                Ok(resolved) => format!("{resolved:?}"),
                Err(CommandError::Ambiguous { choices, .. }) => {
                    format!("{} choices", choices.len())
                }
                Err(error) => format!("{:?}", std::mem::discriminant(&error)),
            }
        }
        [
            told(self.resolve(target)),
            told(self.resolve_person(target)),
            told(self.resolve_subjects(target).map(|acl| acl.who)),
            told(self.resolve_barred(target).map(|acl| acl.who)),
        ]
    }
}

/// By what one person or grant is meant.
fn one(target: &Target) -> Result<&SubjectRef, CommandError> {
    match target {
        Target::One(whom) => Ok(whom),
        Target::Keys { .. } | Target::Exactly(_) | Target::Links | Target::All => {
            Err(CommandError::NotOne)
        }
    }
}

fn listed_keys(from: &str, keys: &[pillion_people::SshKey]) -> AclSubjects {
    let who: Vec<Invited> = keys.iter().map(|key| Who::Ssh(*key).into()).collect();
    let from = clean_title(from, MAX_SUBJECT);
    let count = who.len();
    AclSubjects {
        who,
        labels: vec![SubjectLabel::Keys { from, count }],
    }
}

pub(in crate::host) fn unknown(whom: &SubjectRef) -> CommandError {
    CommandError::Unknown { whom: whom.clone() }
}

fn ambiguous(whom: &SubjectRef, choices: Vec<Choice>) -> CommandError {
    CommandError::Ambiguous {
        whom: whom.clone(),
        choices,
    }
}
