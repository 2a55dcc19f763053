//! A conversation and the code that it is about, as one stream of bytes.
//!
//! ```text
//! a working tree ──take──▶ commits, index, worktree ──write──▶ ▒▒▒▒▒ ──read──▶ a folder of its own ──rename──▶ there
//! ```
//!
//! What a working tree holds is three trees of git's: what is committed, what is staged, and what lies there, untracked files
//! included. They travel as commits in a thin pack, so what the other side has already does not travel, and each is put
//! back as what it was. Submodules that are checked out travel the same way, one after the other.
//!
//! Taking writes nothing into the repository: the index is a copy, new objects go into a folder of their own.
//! Ignored files, files that are too large, and files whose names say that they hold secrets stay behind and are listed.
//!
//! Nothing of a bundle is ever run: git is told of no hooks, filters or other programs, checks every object, and works in a
//! new folder, which gets its name when everything is in it.

mod format;
mod git;
mod put;
mod take;

use std::io;

use serde::{Deserialize, Serialize};

pub use format::{BundleReader, BundleWriter, MAX_FRAME, Part};
pub use put::{Put, put, short_name};
pub use take::{Limits, Taken, have, take};

/// What a bundle says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// What the conversation is called.
    pub title: String,
    /// The session that it comes from, and where that ran.
    pub session: String,
    /// The machine.
    pub host: String,
    /// The agent, as it calls itself.
    pub agent: String,
    /// What was said, in Markdown.
    pub transcript: String,
    /// The working tree and its submodules; none where the agent worked in no repository.
    pub repositories: Vec<Repository>,
    /// What stays behind.
    pub left_out: Vec<LeftOut>,
}

/// A working tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Repository {
    /// Where it lies in the first one; empty for that.
    pub path: String,
    /// The commit that is checked out; empty before the first one.
    pub head: String,
    /// The branch that is; empty where the head is detached.
    pub branch: String,
    /// A commit of what is staged; empty where the index is in conflict.
    pub index: String,
    /// A commit of what lies there.
    pub work: String,
    /// Commits whose parents are not there, of a shallow clone.
    pub shallow: Vec<String>,
    /// Commits that the other side has, as it said, and without which the pack is not whole.
    pub needs: Vec<String>,
    /// Where it comes from, without what lets one in there.
    pub origin: String,
}

/// A file, or several, that stay behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its path.
    pub path: String,
    /// How large it is, in bytes.
    pub bytes: u64,
    /// Why.
    pub why: Why,
}

/// Why a file stays behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// Git ignores it.
    Ignored,
    /// It is too large.
    TooLarge,
    /// By its name it holds a secret.
    Secret,
}

/// Why a bundle can't be made, or not be put anywhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Git can't be run.
    #[error("git could not be run, which this needs: {0}")]
    NoGit(io::Error),
    /// Git failed.
    #[error("git {what} failed: {why}")]
    Git {
        /// At what.
        what: String,
        /// In its words.
        why: String,
    },
    /// It is no bundle.
    #[error("this is no bundle of pillion's")]
    NoBundle,
    /// It was made by a newer version.
    #[error("this bundle was made by a newer pillion")]
    Newer,
    /// It is cut short or damaged.
    #[error("the bundle is damaged or cut short: {0}")]
    Damaged(&'static str),
    /// It says something that it can't.
    #[error("the bundle can't be trusted: {0}")]
    Hostile(String),
    /// Something is in the way.
    #[error("{0} is there already: name another folder")]
    InTheWay(String),
    /// The repository that it builds on is not here.
    #[error(
        "the bundle builds on commits that this repository does not have; fork it again from here"
    )]
    NotHere,
    /// Reading or writing failed.
    #[error("{what}: {error}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it was not.
        error: io::Error,
    },
}

impl BundleError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> BundleError {
        let what = what.into();
        move |error| BundleError::Io { what, error }
    }
}
