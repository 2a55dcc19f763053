//! Who may come in: the mode, the list of people, and who is kept out by what they can prove.
//!
//! People are named by one canonical text each, because what they prove (an SSH key, an address, a
//! team) is nothing this crate knows about. It compares the texts and keeps them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{keys::PublicKey, refusal::Malformed, rights::Rights};

/// Longest text that names somebody, in bytes: an e-mail address and who vouches for it.
pub const MAX_SUBJECT_BYTES: usize = 600;

/// The most entries of a session's list, and of the list of those kept out by such a text: some 1 MB.
pub const MAX_ENTRIES: usize = 2048;

/// Who may come into a session. It travels, and is in the ledger, as a number that is never given another
/// meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum AccessMode {
    /// Everybody who holds the ticket or link.
    Link = 1,
    /// People on the session's list, and holders of a grant; others who hold the ticket knock.
    Invited = 2,
    /// Members of the session's teams.
    Team = 3,
}

impl AccessMode {
    const ALL: [Self; 3] = [Self::Link, Self::Invited, Self::Team];

    /// How it travels.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Reads how it travels; `None` for a mode of a newer version.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.number() == number)
    }

    /// The word, as flags and settings have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Invited => "invited",
            Self::Team => "team",
        }
    }

    /// Whether this lets in no more people than `other`.
    pub const fn narrower_or_equal(self, other: Self) -> bool {
        self.number() >= other.number()
    }
}

impl fmt::Display for AccessMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AccessMode {
    type Err = UnknownAccessMode;

    fn from_str(text: &str) -> Result<Self, UnknownAccessMode> {
        let mut all = Self::ALL.into_iter();
        all.find(|mode| mode.as_str() == text)
            .ok_or(UnknownAccessMode)
    }
}

/// A word that doesn't say who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "say \"link\" (everybody who has the ticket), \"invited\" (people you allow; others knock) or \"team\""
)]
pub struct UnknownAccessMode;

/// Somebody, or some people, by one canonical text: 1 to [`MAX_SUBJECT_BYTES`] printable ASCII
/// characters.
///
/// ```text
/// 64 hexadecimal digits                        an identity key
/// ssh-ed25519 AAAA…                            an SSH key
/// anna@example.org via https://issuer.example  an address, and who vouches for it
/// anna@example.org                             that address, no matter who vouches for it
/// team:64 hexadecimal digits/anna              a member of a team
/// team:64 hexadecimal digits                   every member
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

impl Subject {
    /// Anybody who holds this identity key.
    pub fn key(key: &PublicKey) -> Self {
        Self(key.to_string())
    }

    /// The identity key, if it names one.
    pub fn as_key(&self) -> Option<PublicKey> {
        self.0.parse().ok()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names members of a team, or one.
    pub fn is_team(&self) -> bool {
        self.0.starts_with("team:")
    }

    /// Whether anybody who is `who` is meant: the same, an address no matter who vouches for it, or any member
    /// of a team.
    pub fn covers(&self, who: &Subject) -> bool {
        let rest = who.0.strip_prefix(self.as_str());
        match rest {
            None => false,
            Some("") => true,
            Some(rest) if self.is_team() => !self.0.contains('/') && rest.starts_with('/'),
            Some(rest) => {
                self.0.contains('@') && !self.0.contains(' ') && rest.starts_with(" via ")
            }
        }
    }
}

impl FromStr for Subject {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let printable = |byte: u8| (b' '..=b'~').contains(&byte);
        let trimmed = text.trim() == text;
        match (1..=MAX_SUBJECT_BYTES).contains(&text.len())
            && trimmed
            && text.bytes().all(printable)
        {
            true => Ok(Self(text.to_owned())),
            false => Err(Malformed::Subject),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The list of who may come in, as a session keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    mode: Option<AccessMode>,
    /// Each with its place in time: of several entries that cover somebody the newest decides.
    entries: BTreeMap<Subject, (u64, Rights)>,
    next: u64,
    banned: std::collections::BTreeSet<Subject>,
}

impl Access {
    /// Who may come in; `None` if that was never said.
    pub fn mode(&self) -> Option<AccessMode> {
        self.mode
    }

    /// What somebody who is all of `who` may do, when the list has them.
    pub fn right(&self, who: &[Subject]) -> Option<Rights> {
        self.entry(who, |_| true)
    }

    /// The same by entries for teams alone.
    pub fn right_as_member(&self, who: &[Subject]) -> Option<Rights> {
        self.entry(who, Subject::is_team)
    }

    fn entry(&self, who: &[Subject], of: impl Fn(&Subject) -> bool) -> Option<Rights> {
        let mine = |entry: &Subject| of(entry) && who.iter().any(|who| entry.covers(who));
        let entries = self.entries.iter().filter(|(entry, _)| mine(entry));
        let newest = entries.max_by_key(|(_, (at, _))| *at);
        newest.map(|(_, (_, rights))| *rights)
    }

    /// Whether somebody who is one of `who` is kept out by it.
    pub fn is_banned(&self, who: &[Subject]) -> bool {
        let mut banned = self.banned.iter();
        banned.any(|banned| who.iter().any(|who| banned.covers(who)))
    }

    /// The list, and what each entry gives.
    pub fn entries(&self) -> impl Iterator<Item = (&Subject, Rights)> {
        let entries = self.entries.iter();
        entries.map(|(subject, (_, rights))| (subject, *rights))
    }

    /// Those kept out by what they can prove; identity keys aside.
    pub fn banned(&self) -> impl Iterator<Item = &Subject> {
        self.banned.iter()
    }

    pub(crate) fn has(&self, subject: &Subject) -> bool {
        self.entries.contains_key(subject)
    }

    pub(crate) fn has_room_for(&self, subject: &Subject) -> bool {
        self.has(subject) || self.entries.len() < MAX_ENTRIES
    }

    pub(crate) fn has_room_to_ban(&self, subject: &Subject) -> bool {
        self.banned.contains(subject) || self.banned.len() < MAX_ENTRIES
    }

    pub(crate) fn set_mode(&mut self, mode: AccessMode) {
        self.mode = Some(mode);
    }

    pub(crate) fn allow(&mut self, subject: &Subject, rights: Rights) {
        let newest = self.entries.values().map(|(at, _)| *at).max();
        // The same again is no change: a log may hold an event twice.
        let same = |(at, known): &(u64, Rights)| *known == rights && Some(*at) == newest;
        if !self.entries.get(subject).is_some_and(same) {
            self.entries.insert(subject.clone(), (self.next, rights));
            self.next += 1;
        }
    }

    pub(crate) fn disallow(&mut self, subject: &Subject) {
        self.entries.remove(subject);
    }

    pub(crate) fn ban(&mut self, subject: &Subject) {
        self.entries.remove(subject);
        self.banned.insert(subject.clone());
    }

    pub(crate) fn unban(&mut self, subject: &Subject) {
        self.banned.remove(subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &str) -> Subject {
        text.parse().unwrap()
    }

    #[test]
    fn a_text_covers_itself_and_a_group_its_members() {
        let covers = |entry: &str, who: &str| subject(entry).covers(&subject(who));
        let team = format!("team:{}", "ab".repeat(32));
        let member = format!("{team}/anna");
        assert!(covers(&team, &member));
        assert!(covers(&member, &member));
        assert!(!covers(&member, &format!("{member}bel")));
        assert!(!covers(&member, &format!("{member}/bel")));
        assert!(!covers(&member, &team));
        assert!(covers("a@b.example", "a@b.example via https://i.example"));
        assert!(!covers(
            "a@b.example",
            "a@b.example.evil via https://i.example"
        ));
        assert!(!covers(
            "a@b.example via https://i",
            "a@b.example via https://i via https://evil"
        ));
        assert!(!covers("b.example", "a@b.example via https://i.example"));
        assert!(!covers("ssh-ed25519 AAAA", "ssh-ed25519 AAAAB"));
    }

    #[test]
    fn a_text_is_one_line_of_ascii() {
        let long = "a".repeat(MAX_SUBJECT_BYTES + 1);
        for text in ["", " a", "a ", "a\nb", "ä", "\x1b[m", &long] {
            assert_eq!(text.parse::<Subject>(), Err(Malformed::Subject), "{text:?}");
        }
        assert!("a".repeat(MAX_SUBJECT_BYTES).parse::<Subject>().is_ok());
    }

    #[test]
    fn the_newest_entry_decides() {
        let mut access = Access::default();
        let who = [subject("aa"), subject("a@b.example via https://i.example")];
        assert_eq!(access.right(&who), None);
        access.allow(&subject("a@b.example"), Rights::EDIT);
        assert_eq!(access.right(&who), Some(Rights::EDIT));
        access.allow(&who[0], Rights::VIEW);
        assert_eq!(access.right(&who), Some(Rights::VIEW));
        access.allow(&subject("a@b.example"), Rights::EDIT);
        assert_eq!(access.right(&who), Some(Rights::EDIT));
        access.disallow(&subject("a@b.example"));
        assert_eq!(access.right(&who), Some(Rights::VIEW));
        assert_eq!(access.right_as_member(&who), None);
    }

    #[test]
    fn a_ban_takes_off_the_list_and_covers_who_it_names() {
        let mut access = Access::default();
        let who = [subject("a@b.example via https://i.example")];
        access.allow(&subject("a@b.example"), Rights::EDIT);
        access.ban(&subject("a@b.example"));
        assert!(access.is_banned(&who) && access.right(&who).is_none());
        access.unban(&subject("a@b.example"));
        assert!(!access.is_banned(&who) && access.right(&who).is_none());
    }
}
