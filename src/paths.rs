//! Where things are on this machine.
//!
//! Configuration and the identity key in `$XDG_CONFIG_HOME/pillion`, sessions in
//! `$XDG_STATE_HOME/pillion/sessions`, control sockets in `$XDG_RUNTIME_DIR/pillion`. Each directory
//! is made with mode 0700 and checked to be ours before it is used: `/tmp` is everybody's.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use etcetera::BaseStrategy;

/// The directories.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Configuration file and identity key.
    pub config: PathBuf,
    /// One directory for each session.
    pub sessions: PathBuf,
    /// Control sockets.
    pub runtime: PathBuf,
}

impl Paths {
    /// The directories of the user who runs this, from the environment.
    ///
    /// # Errors
    /// No home directory.
    pub fn from_env() -> Result<Paths> {
        let base =
            etcetera::choose_base_strategy().context("your home directory is unknown: set HOME")?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        Ok(Paths {
            config: base.config_dir().join("pillion"),
            sessions: state.join("pillion").join("sessions"),
            runtime: match base.runtime_dir() {
                Some(dir) if dir.is_dir() => dir.join("pillion"),
                // No login session (cron, su): a folder in /tmp, checked to be ours.
                _ => std::env::temp_dir()
                    .join(format!("pillion-{}", rustix::process::getuid().as_raw())),
            },
        })
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The control socket of a session.
    pub fn socket(&self, session: &str) -> PathBuf {
        self.runtime.join(format!("{session}.sock"))
    }
}

/// Makes a directory only its owner can look into, or checks that it is one.
///
/// # Errors
/// It cannot be made, is no directory (a link is not followed), is another user's, or is open to
/// others.
pub fn private_dir(dir: &Path) -> Result<()> {
    match fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
    {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(error).with_context(|| format!("{} could not be made", dir.display()));
        }
    }
    let meta = fs::symlink_metadata(dir)
        .with_context(|| format!("{} could not be looked at", dir.display()))?;
    if !meta.is_dir() {
        bail!("{} is not a directory; move it away", dir.display());
    }
    if meta.uid() != rustix::process::getuid().as_raw() {
        bail!("{} belongs to another user; it is not used", dir.display());
    }
    if meta.mode() & 0o077 != 0 {
        bail!("{0} is open to others; run: chmod 700 {0}", dir.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_made_directory_is_private() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a").join("b");
        private_dir(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        private_dir(&dir).unwrap();
    }

    #[test]
    fn an_open_directory_is_refused_with_the_command_that_mends_it() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let text = private_dir(temp.path()).unwrap_err().to_string();
        assert!(text.contains("chmod 700"), "{text}");
    }

    #[test]
    fn a_link_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let (target, link) = (temp.path().join("target"), temp.path().join("link"));
        private_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(private_dir(&link).is_err());
    }
}
