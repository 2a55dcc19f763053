//! What has changed in the directory where an agent works, since it began and in its turns.

use pillion_proto::growing;
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_CHANGED_FILES, MAX_CHANGED_TURNS, MAX_CHANGES, MAX_PATCH, MAX_WORD};

/// A file that is another one than it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangedFile {
    /// `add`, `modify`, `delete`, `move`, `copy`, or a newer word.
    pub operation: String,
    /// Where it is, from the top of the repository.
    pub path: String,
    /// Where it was; empty if nowhere else.
    pub old_path: String,
    /// How many lines came.
    pub added: u64,
    /// How many lines went.
    pub removed: u64,
    /// It is no text.
    pub binary: bool,
    /// The change as a git patch, or the beginning of it.
    pub patch: String,
    /// How many bytes of the patch are missing.
    pub omitted: u64,
}

/// Files that are others than they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeSet {
    /// Each of them, in the order of their paths.
    pub files: Vec<ChangedFile>,
    /// How many more there are.
    pub left_out: u64,
}

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The entry that said so; 0 until one did.
    pub entry: u64,
    /// Why nothing is known; empty where something is.
    pub fault: String,
    /// Since the conversation began.
    #[serde(with = "growing::one")]
    pub start: ChangedFiles,
    /// In the newest turns, the oldest first.
    #[serde(with = "growing::list")]
    pub turns: Vec<TurnChanges>,
}

/// What has changed in a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnChanges {
    /// Which, counted from 1.
    pub turn: u64,
    /// What.
    #[serde(with = "growing::one")]
    pub set: ChangedFiles,
}

/// A [`ChangeSet`] whose files may gain fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFiles {
    /// Each of them.
    #[serde(with = "growing::list")]
    pub files: Vec<ChangedFile>,
    /// How many more there are.
    pub left_out: u64,
}

impl ChangedFile {
    fn weight(&self) -> usize {
        64 + self.path.len() + self.old_path.len() + self.patch.len()
    }
}

impl ChangedFiles {
    /// As much of a set as is held.
    fn bounded(set: &ChangeSet) -> ChangedFiles {
        let word = |text: &str| text[..text.floor_char_boundary(MAX_WORD)].to_owned();
        let mut room = MAX_CHANGES;
        let file = |file: &ChangedFile| {
            let kept = file.patch.floor_char_boundary(room.min(MAX_PATCH));
            let file = ChangedFile {
                operation: word(&file.operation),
                path: word(&file.path),
                old_path: word(&file.old_path),
                patch: file.patch[..kept].to_owned(),
                omitted: file
                    .omitted
                    .saturating_add((file.patch.len() - kept) as u64),
                ..*file
            };
            room = room.saturating_sub(file.weight());
            file
        };
        let files: Vec<ChangedFile> = set.files.iter().take(MAX_CHANGED_FILES).map(file).collect();
        let more = (set.files.len() - files.len()) as u64;
        ChangedFiles {
            files,
            left_out: set.left_out.saturating_add(more),
        }
    }

    fn weight(&self) -> usize {
        self.files.iter().map(ChangedFile::weight).sum()
    }

    /// How many lines came and went, in all files together.
    pub fn counts(&self) -> (u64, u64) {
        let files = self.files.iter();
        files.fold((0, 0), |(added, removed), file| {
            (
                u64::saturating_add(added, file.added),
                u64::saturating_add(removed, file.removed),
            )
        })
    }
}

impl Changes {
    /// What there is now.
    pub(crate) fn take(&mut self, entry: u64, turn: u64, start: &ChangeSet, of_turn: &ChangeSet) {
        self.entry = entry;
        self.fault.clear();
        self.start = ChangedFiles::bounded(start);
        let now = TurnChanges {
            turn,
            set: ChangedFiles::bounded(of_turn),
        };
        match self.turns.iter_mut().find(|known| known.turn == turn) {
            Some(known) => *known = now,
            None if turn > 0 => self.turns.push(now),
            None => {}
        }
        let weight =
            |turns: &[TurnChanges]| -> usize { turns.iter().map(|turn| turn.set.weight()).sum() };
        while self.turns.len() > MAX_CHANGED_TURNS
            || self.turns.len() > 1 && weight(&self.turns) > MAX_CHANGES
        {
            self.turns.remove(0);
        }
    }

    /// What changed in a turn, if that is held.
    pub fn turn(&self, turn: u64) -> Option<&ChangedFiles> {
        let mut turns = self.turns.iter();
        Some(&turns.find(|known| known.turn == turn)?.set)
    }

    /// Whether it holds no more than it may.
    pub(crate) fn is_bounded(&self) -> bool {
        let sets = self.turns.iter().map(|turn| &turn.set).chain([&self.start]);
        let (mut files, mut weight) = (0, 0);
        for set in sets {
            files = files.max(set.files.len());
            weight += set.weight();
        }
        // A set may be over its bound by what its last file weighs beside its patch.
        let most = 3 * MAX_CHANGES + MAX_CHANGED_FILES * (64 + 2 * MAX_WORD);
        self.turns.len() <= MAX_CHANGED_TURNS && files <= MAX_CHANGED_FILES && weight <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: usize, bytes: usize) -> ChangeSet {
        let file = |at: usize| ChangedFile {
            operation: "modify".to_owned(),
            path: format!("{at}.rs"),
            added: 1,
            patch: "x".repeat(bytes),
            ..ChangedFile::default()
        };
        ChangeSet {
            files: (0..files).map(file).collect(),
            left_out: 0,
        }
    }

    #[test]
    fn what_is_held_is_bounded_and_says_what_is_missing() {
        let mut changes = Changes::default();
        for turn in 1..200 {
            changes.take(turn, turn, &set(600, 1000), &set(20, MAX_PATCH + 1));
            assert!(changes.is_bounded(), "{turn}");
        }
        assert_eq!(changes.start.files.len(), MAX_CHANGED_FILES);
        assert_eq!(changes.start.left_out, 600 - MAX_CHANGED_FILES as u64);
        assert_eq!(changes.start.counts(), (MAX_CHANGED_FILES as u64, 0));
        let held = changes.turn(199).unwrap();
        assert_eq!(held.files[0].omitted, 1);
        assert_eq!(held.files.last().unwrap().omitted, MAX_PATCH as u64 + 1);
        assert_eq!(changes.turn(1), None);
    }
}
