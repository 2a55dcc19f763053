//! A conversation and its code, to be taken elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pillion_bundle::{Limits, Taken, short_name, take};
use pillion_conversation::{Conversation, Earlier};
use pillion_screen::clean::clean_name;
use pillion_store::SessionMeta;

/// Longest title of a fork, in bytes.
const MAX_TITLE: usize = 80;

/// A conversation that can be taken elsewhere.
#[derive(Debug)]
pub struct Source {
    /// What it comes to.
    shown: Conversation,
    meta: SessionMeta,
}

impl Source {
    /// The conversation of a session of this machine.
    pub fn new(shown: Conversation, meta: SessionMeta) -> Source {
        Source { shown, meta }
    }

    /// Where the agent worked.
    ///
    /// # Errors
    /// It never began.
    pub fn folder(&self) -> Result<PathBuf> {
        let environment = self.shown.process().environment.as_ref();
        let environment = environment.context("the agent of this conversation never began")?;
        Ok(PathBuf::from(&environment.cwd))
    }

    /// The command of its agent.
    pub fn command(&self) -> Vec<String> {
        let environment = self.shown.process().environment.as_ref();
        environment.map_or_else(Vec::new, |environment| environment.command.clone())
    }

    /// What it is called.
    pub fn title(&self) -> String {
        clean_name(&self.meta.name, MAX_TITLE)
    }

    /// Takes the conversation, and what lies where its agent worked. Of what the other side has nothing is taken.
    ///
    /// # Errors
    /// The folder is gone, or git fails.
    pub fn take(&self, haves: &[String], limits: Limits) -> Result<Taken> {
        let folder = self.folder()?;
        if !folder.is_dir() {
            anyhow::bail!("the agent worked in {}, which is gone", folder.display());
        }
        let mut taken = take(&folder, haves, limits)?;
        let manifest = &mut taken.manifest;
        manifest.title = self.title();
        manifest.session = self.meta.id.clone();
        manifest.host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        manifest.agent = self.shown.agent().name.clone();
        manifest.transcript = Earlier::of(&self.shown).transcript;
        Ok(taken)
    }
}

/// Where a fork goes if nobody says where: beside the folder that it is forked from or into.
pub fn default_place(beside: &Path, title: &str) -> PathBuf {
    let name = short_name(title);
    let folder = beside.file_name().unwrap_or_default().to_string_lossy();
    let numbered = |n: u32| match n {
        0 => beside.with_file_name(format!("{folder}-{name}")),
        n => beside.with_file_name(format!("{folder}-{name}-{n}")),
    };
    let mut all = (0..).map(numbered);
    all.find(|place| std::fs::symlink_metadata(place).is_err())
        .unwrap_or_else(|| beside.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_goes_beside_and_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("site");
        let at = |name: &str| folder.path().join(name);
        assert_eq!(default_place(&site, "Tidy: up!"), at("site-tidy-up"));
        std::fs::create_dir(at("site-tidy-up")).unwrap();
        std::fs::write(at("site-tidy-up-1"), "").unwrap();
        assert_eq!(default_place(&site, "Tidy: up!"), at("site-tidy-up-2"));
        assert_eq!(default_place(&site, "../漢"), at("site-fork"));
    }
}
