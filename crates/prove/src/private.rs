//! Files that are their owner's alone (0600), read bounded and replaced whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;
use zeroize::Zeroizing;

/// What is wrong with a file, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// The system says no.
    #[error("{} could not be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it.
    #[error("{0} is open to others (mode {1:o}); run: chmod 600 {0}", path.display(), mode)]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It isn't ours, or no file.
    #[error("{} is not a file of yours; move it away", .0.display())]
    Foreign(PathBuf),
    /// It is larger than anything we wrote.
    #[error("{} is larger than {max} bytes; move it away", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The bound.
        max: u64,
    },
}

/// Reads a file that only its owner may read; `None` when there is none. A link is not followed.
///
/// # Errors
/// It is open to others, not ours, longer than `max` bytes, or can't be read.
pub fn read(path: &Path, max: u64) -> Result<Option<Zeroizing<Vec<u8>>>, PrivateError> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error(path, source)),
    };
    let meta = file.metadata().map_err(|source| io_error(path, source))?;
    if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(PrivateError::Foreign(path.to_owned()));
    }
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o777;
        return Err(PrivateError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    read_bounded(file, path, max).map(Some)
}

/// Reads a file no matter whose it is, such as a list of public keys.
///
/// # Errors
/// It is longer than `max` bytes, or can't be read.
pub fn read_public(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, PrivateError> {
    let file = File::open(path).map_err(|source| io_error(path, source))?;
    read_bounded(file, path, max)
}

/// Replaces a file, or makes it, for its owner alone. A crash leaves the old or the new one.
///
/// # Errors
/// The system's.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), PrivateError> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}~", std::process::id()));
    let draft = PathBuf::from(draft);
    let written = (|| {
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    })();
    written.map_err(|source| {
        let _ = fs::remove_file(&draft);
        io_error(path, source)
    })
}

fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
}

fn read_bounded(file: File, path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, PrivateError> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| io_error(path, source))?;
    match bytes.len() as u64 > max {
        true => Err(PrivateError::TooLong {
            path: path.to_owned(),
            max,
        }),
        false => Ok(bytes),
    }
}

fn io_error(path: &Path, source: io::Error) -> PrivateError {
    let path = path.to_owned();
    PrivateError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_is_written_is_its_owners_alone_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert!(read(&path, 10).unwrap().is_none());
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(**read(&path, 10).unwrap().unwrap(), *b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft");
    }

    #[test]
    fn what_others_can_read_or_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("a"), dir.path().join("b"));
        write(&path, b"secret").unwrap();
        symlink(&path, &link).unwrap();
        assert!(read(&link, 10).is_err());
        assert!(matches!(read(&path, 5), Err(PrivateError::TooLong { .. })));
        assert!(matches!(read(dir.path(), 5), Err(PrivateError::Foreign(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let text = read(&path, 10).unwrap_err().to_string();
        assert!(
            text.contains("mode 644") && text.contains("chmod 600"),
            "{text}"
        );
    }
}
