//! Whom a command is about.

use pillion_caps::GrantId;
use pillion_proto::{ParticipantId, limits::MAX_NAME};
use pillion_screen::clean::clean_name;

use super::{
    Host,
    api::{CommandError, Target},
    roster::Person,
};

/// Digits from which on the beginning of a fingerprint or a grant's id is looked for.
const MIN_PREFIX: usize = 4;

/// What a name stands for.
#[derive(Clone, Copy)]
pub(super) enum Found {
    Person(ParticipantId),
    Grant(GrantId),
}

impl Host {
    pub(super) fn person(&self, id: ParticipantId) -> Result<&Person, CommandError> {
        self.roster.get(id).ok_or_else(|| CommandError::Unknown {
            name: id.0.to_string(),
        })
    }

    pub(super) fn label(&self, id: ParticipantId) -> String {
        self.roster
            .get(id)
            .map_or_else(|| id.0.to_string(), Person::label)
    }

    pub(super) fn name_of(&self, id: ParticipantId) -> String {
        self.roster
            .get(id)
            .map_or_else(|| "somebody".to_owned(), |person| person.name.clone())
    }

    /// The one participant a target names.
    pub(super) fn one(&self, target: &Target) -> Result<ParticipantId, CommandError> {
        match target {
            Target::Id(id) => self.person(*id).map(|person| person.id),
            Target::Named(name) => match self.find(name, false)? {
                Found::Person(id) => Ok(id),
                Found::Grant(_) => Err(CommandError::Unknown { name: name.clone() }),
            },
            Target::Keys { .. } | Target::Links | Target::All => Err(CommandError::NotAllowed(
                "name one person; `pillion who` lists who is here".into(),
            )),
        }
    }

    /// What a name stands for. A number is always the participant's of that number, so that nobody
    /// can take another's by calling themselves so.
    pub(super) fn find(&self, text: &str, with_grants: bool) -> Result<Found, CommandError> {
        let text = text.trim();
        let by_number = text.parse().ok().map(ParticipantId);
        if let Some(person) = by_number.and_then(|id| self.roster.get(id)) {
            return Ok(Found::Person(person.id));
        }
        let digits: String = text
            .chars()
            .filter(|ch| *ch != '-')
            .flat_map(char::to_lowercase)
            .collect();
        let is_prefix =
            digits.len() >= MIN_PREFIX && digits.chars().all(|ch| ch.is_ascii_hexdigit());
        let is_meant = |person: &&Person| {
            person.name.eq_ignore_ascii_case(text)
                || (is_prefix && person.identity.to_string().starts_with(&digits))
        };
        let people: Vec<&Person> = self.roster.listed().filter(is_meant).collect();
        let grants = match with_grants && is_prefix {
            true => self.rights.grants_beginning(&digits),
            false => Vec::new(),
        };
        match (&people[..], &grants[..]) {
            ([person], []) => Ok(Found::Person(person.id)),
            ([], [grant]) => Ok(Found::Grant(*grant)),
            ([], []) => Err(CommandError::Unknown {
                name: clean_name(text, MAX_NAME),
            }),
            _ => Err(CommandError::Ambiguous {
                name: clean_name(text, MAX_NAME),
                choices: (people.iter().map(|person| person.label()))
                    .chain(grants.iter().map(|grant| format!("grant {grant}")))
                    .collect(),
            }),
        }
    }
}
