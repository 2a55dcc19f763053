//! The contact book: what this person calls people, whatever they call themselves.
//!
//! `people.json` in the configuration directory, its owner's alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pillion_caps::PublicKey;
use pillion_people::{Invited, Name, SubjectRef, Who};
use pillion_prove::private;
use serde::{Deserialize, Serialize};

/// Most entries, and the longest file, in bytes.
const MAX_ENTRIES: usize = 10_000;
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What this person is called here; one may have several keys.
    pub name: Name,
    /// Whom it means.
    pub who: Invited,
}

/// The book.
#[derive(Debug, Clone)]
pub struct Contacts {
    file: PathBuf,
    entries: Vec<Entry>,
}

/// What the book says of somebody by their key and the name they give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// This is who the book calls so.
    ProofKind(String),
    /// They give a name of the book's, and are not who has it there.
    Another(String),
    /// Nothing.
    No,
}

impl Contacts {
    /// Opens the book of a configuration directory; there needn't be one yet.
    ///
    /// # Errors
    /// The file is open to others, or damaged.
    pub fn open(config: &Path) -> Result<Contacts> {
        let file = config.join("people.json");
        let entries = match private::read(&file, MAX_FILE)? {
            Some(text) => serde_json::from_slice(&text).with_context(|| {
                format!("{} is damaged: mend it or move it away", file.display())
            })?,
            None => Vec::new(),
        };
        Ok(Contacts { file, entries })
    }

    /// Everybody, by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Writes a name down for somebody.
    ///
    /// # Errors
    /// The name is none, somebody else has this key, or the file can't be written.
    pub fn add(&mut self, name: &str, who: Invited) -> Result<()> {
        let name: Name = name.parse()?;
        if let Some(entry) = self.entries.iter().find(|entry| entry.who == who) {
            bail!("that is {} already (pillion people)", entry.name);
        }
        if self.entries.len() >= MAX_ENTRIES {
            bail!("the book has {MAX_ENTRIES} entries, which is all it may have");
        }
        self.entries.push(Entry { name, who });
        self.entries.sort_by(|a, b| a.name.cmp(&b.name));
        self.write()
    }

    /// Gives everything that is called `old` another name.
    ///
    /// # Errors
    /// Nobody is called so, the new name is none, or the file can't be written.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<()> {
        let new: Name = new.parse()?;
        let mut found = false;
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.name.as_str() == old)
        {
            entry.name.clone_from(&new);
            found = true;
        }
        if !found {
            bail!("there is no contact \"{old}\"; `pillion people` lists them");
        }
        self.entries.sort_by(|a, b| a.name.cmp(&b.name));
        self.write()
    }

    /// Takes out everything with this name, or the one entry that means this.
    ///
    /// # Errors
    /// There is none, or the file can't be written.
    pub fn remove(&mut self, what: &str) -> Result<()> {
        let before = self.entries.len();
        match what.parse()? {
            SubjectRef::Name(name) => self.entries.retain(|entry| entry.name != name),
            SubjectRef::Provable(who) => self.entries.retain(|entry| entry.who != who),
            SubjectRef::Number(_) | SubjectRef::Prefix(_) | SubjectRef::Grant(_) => {}
        }
        if self.entries.len() == before {
            bail!("there is no contact \"{what}\"; `pillion people` lists them");
        }
        self.write()
    }

    /// What the book says of somebody, by their key and what they proved to be (texts of [`Who`]).
    pub fn look_up(&self, name: &str, identity: &PublicKey, claims: &[String]) -> Match {
        let proved: Vec<Who> = claims.iter().filter_map(|one| one.parse().ok()).collect();
        let theirs = |entry: &&Entry| match &entry.who {
            Invited::One(Who::Key(key)) => key == identity,
            // A whole team is called something, not somebody in it.
            Invited::Team(_) => false,
            who => proved.iter().any(|one| who.covers(one)),
        };
        if let Some(entry) = self.entries.iter().find(theirs) {
            return Match::ProofKind(entry.name.to_string());
        }
        let name = Name::of(name);
        match self.entries.iter().find(|entry| entry.name.is_same(&name)) {
            Some(entry) => Match::Another(entry.name.to_string()),
            None => Match::No,
        }
    }

    /// What to say beside somebody's name: whom the book knows them as, or a warning. Nothing if they are
    /// called as in the book, or not in it.
    pub fn remark(&self, name: &str, identity: &PublicKey, claims: &[String]) -> Option<String> {
        match self.look_up(name, identity, claims) {
            Match::ProofKind(known) if known == name => None,
            Match::ProofKind(known) => Some(format!("is {known} in your book")),
            Match::Another(known) => Some(format!("NOT the {known} you know")),
            Match::No => None,
        }
    }

    fn write(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.entries)?;
        Ok(private::write(&self.file, &text)?)
    }
}

#[cfg(test)]
mod tests {
    use pillion_caps::SecretKey;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_bytes(&[seed; 32]).public()
    }

    fn who(seed: u8) -> Invited {
        Who::Key(key(seed)).into()
    }

    #[test]
    fn people_are_added_renamed_and_removed_and_the_file_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut book = Contacts::open(dir.path()).unwrap();
        book.add("bert", who(2)).unwrap();
        book.add("anna", who(1)).unwrap();
        book.add("anna", "anna@example.org".parse().unwrap())
            .unwrap();
        let text = book.add("carl", who(1)).unwrap_err().to_string();
        assert!(text.contains("anna already"), "{text}");
        assert!(book.add(" \u{1b}[2J", who(3)).is_err());
        let mut book = Contacts::open(dir.path()).unwrap();
        let names = |book: &Contacts| {
            let names = book.entries().iter().map(|entry| entry.name.to_string());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(&book), ["anna", "anna", "bert"]);
        book.rename("anna", "dora").unwrap();
        book.remove(&key(2).to_string()).unwrap();
        assert!(book.rename("anna", "x").is_err());
        assert!(book.remove("anna").is_err());
        assert_eq!(
            names(&Contacts::open(dir.path()).unwrap()),
            ["dora", "dora"]
        );
    }

    #[test]
    fn a_known_name_with_another_key_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let mut book = Contacts::open(dir.path()).unwrap();
        book.add("anna", who(1)).unwrap();
        book.add("bert", "bert@example.org".parse().unwrap())
            .unwrap();
        let remark = |name: &str, seed, claim: &str| {
            book.remark(name, &key(seed), &[claim.to_owned()])
                .unwrap_or_default()
        };
        assert_eq!(remark("anna", 1, ""), "");
        assert_eq!(remark("guest", 1, ""), "is anna in your book");
        assert_eq!(remark("Anna", 2, ""), "NOT the anna you know");
        assert_eq!(remark("carl", 2, ""), "");
        let proof = "bert@example.org via https://i.example";
        assert_eq!(remark("bert", 2, proof), "");
        assert_eq!(remark("anna", 2, proof), "is bert in your book");
        assert_eq!(remark("bert", 2, "key 7f3a"), "NOT the bert you know");
    }

    #[test]
    fn a_damaged_book_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        private::write(&dir.path().join("people.json"), b"[{").unwrap();
        let text = Contacts::open(dir.path()).unwrap_err().to_string();
        assert!(text.contains("damaged"), "{text}");
    }
}
