//! Directories and files that only their owner can reach, checked rather than assumed.
//!
//! Everything is opened relative to a directory handle, never following a symlink, so that what
//! was checked is what is used.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};

use crate::error::StoreError;
use crate::session::CONTROL_SOCKET;

const DIR_MODE: Mode = Mode::from_raw_mode(0o700);
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
/// NONBLOCK: a planted FIFO must not hang anybody who opens it; regular files don't care.
const COMMON: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// An open directory of ours.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// One directory entry that is a regular file or a directory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub name: String,
    pub is_dir: bool,
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified_ms: u64,
}

/// How strictly a directory's mode is judged.
#[derive(Clone, Copy)]
pub(crate) enum Privacy {
    /// Others may look, but not change: the directory that holds the sessions.
    NotWritable,
    /// Others have no access at all: a session's own directory.
    OwnerOnly,
}

impl Dir {
    /// Opens the root, making it and missing parents with 0700.
    pub fn create_root(path: &Path) -> Result<Dir, StoreError> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| StoreError::io("make the directory", path, e))?;
        Dir::open_root(path)
    }

    /// Opens the root, which must exist.
    pub fn open_root(path: &Path) -> Result<Dir, StoreError> {
        let fd = fs::open(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | COMMON,
            Mode::empty(),
        )
        .map_err(|e| StoreError::io("open the directory", path, e))?;
        Dir::checked(fd, path.to_owned(), Privacy::NotWritable)
    }

    /// Opens a directory inside this one.
    pub fn open_dir(&self, name: &str) -> Result<Dir, StoreError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | COMMON;
        let fd = fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(|e| StoreError::io("open the directory", &path, e))?;
        Dir::checked(fd, path, Privacy::OwnerOnly)
    }

    /// Makes a directory inside this one, which must not exist, and opens it.
    pub fn create_dir(&self, name: &str) -> Result<Dir, StoreError> {
        fs::mkdirat(&self.fd, name, DIR_MODE)
            .map_err(|e| StoreError::io("make the directory", &self.path.join(name), e))?;
        self.open_dir(name)
    }

    fn checked(fd: OwnedFd, path: PathBuf, privacy: Privacy) -> Result<Dir, StoreError> {
        let forbidden = match privacy {
            Privacy::NotWritable => 0o022,
            Privacy::OwnerOnly => 0o077,
        };
        check(fd.as_fd(), &path, forbidden)?;
        Ok(Dir { fd, path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same directory under the name it was given since, by [`rename`](Self::rename) in its parent.
    pub fn renamed(mut self, name: &str) -> Dir {
        self.path.set_file_name(name);
        self
    }

    /// Makes a file that must not exist, for reading and writing.
    pub fn create_file(&self, name: &str) -> Result<File, StoreError> {
        self.open_with(
            name,
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            "make the file",
        )
    }

    /// Opens a file for reading and writing, making it if it isn't there.
    pub fn open_or_create(&self, name: &str) -> Result<File, StoreError> {
        self.open_with(name, OFlags::RDWR | OFlags::CREATE, "open the file")
    }

    /// Opens a file for reading and writing.
    pub fn open_file(&self, name: &str) -> Result<File, StoreError> {
        self.open_with(name, OFlags::RDWR, "open the file")
    }

    /// Opens a file for reading.
    pub fn read_file(&self, name: &str) -> Result<File, StoreError> {
        self.open_with(name, OFlags::RDONLY, "open the file")
    }

    fn open_with(
        &self,
        name: &str,
        flags: OFlags,
        action: &'static str,
    ) -> Result<File, StoreError> {
        let path = self.path.join(name);
        let fd = fs::openat(&self.fd, name, flags | COMMON, FILE_MODE)
            .map_err(|e| StoreError::io(action, &path, e))?;
        let stat = check(fd.as_fd(), &path, 0o077)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(StoreError::bad(path, "it isn't a regular file"));
        }
        Ok(File::from(fd))
    }

    /// Reads a small file whole; `Ok(None)` if there is none.
    pub fn read_small(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let file = match self.read_file(name) {
            Ok(file) => file,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| StoreError::io("read", &path, e))?;
        if bytes.len() as u64 > limit {
            return Err(StoreError::bad(
                path,
                format!("it is larger than {limit} bytes"),
            ));
        }
        Ok(Some(bytes))
    }

    /// Replaces a file so that, whatever happens, either the old or the new content is there,
    /// whole. Durable when this returns.
    pub fn write_atomically(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let temporary = format!("{name}{TEMPORARY}");
        self.remove_file(&temporary)?;
        let mut file = self.create_file(&temporary)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| Ok(fs::renameat(&self.fd, temporary.as_str(), &self.fd, name)?))
            .and_then(|()| self.sync());
        written.map_err(|e| {
            // The first failure is the one to report; the leftover is removed next time at latest.
            let _ = self.remove_file(&temporary);
            StoreError::io("write", &self.path.join(name), e)
        })
    }

    /// Makes names created, renamed or removed here durable.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.fd)?)
    }

    /// Removes a file; one that isn't there is fine.
    pub fn remove_file(&self, name: &str) -> Result<(), StoreError> {
        self.unlink(name, AtFlags::empty(), "remove")
    }

    /// Removes an empty directory; one that isn't there is fine.
    pub fn remove_dir(&self, name: &str) -> Result<(), StoreError> {
        self.unlink(name, AtFlags::REMOVEDIR, "remove the directory")
    }

    fn unlink(&self, name: &str, flags: AtFlags, action: &'static str) -> Result<(), StoreError> {
        match fs::unlinkat(&self.fd, name, flags) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(e) => Err(StoreError::io(action, &self.path.join(name), e)),
        }
    }

    /// Renames an entry. A directory replaces only an empty directory or nothing.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    /// The regular files and directories here, in no order. Names that aren't UTF-8, symlinks and
    /// special files are not ours and come back in the second list.
    pub fn entries(&self) -> Result<(Vec<Entry>, Vec<String>), StoreError> {
        let fail = |e: rustix::io::Errno| StoreError::io("list", &self.path, e);
        let mut ours = Vec::new();
        let mut foreign = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let raw = entry.file_name();
            if matches!(raw.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match fs::statat(&self.fd, raw, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Removed while we listed.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(e) => return Err(fail(e)),
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            match raw.to_str() {
                Ok(name)
                    if matches!(kind, FileType::RegularFile | FileType::Directory)
                        || (kind == FileType::Socket && name == CONTROL_SOCKET) =>
                {
                    ours.push(Entry {
                        name: name.to_owned(),
                        is_dir: kind == FileType::Directory,
                        size: u64::try_from(stat.st_size).unwrap_or(0),
                        modified_ms: modified_ms(&stat),
                    });
                }
                _ => foreign.push(
                    OsStr::from_bytes(raw.to_bytes())
                        .to_string_lossy()
                        .into_owned(),
                ),
            }
        }
        Ok((ours, foreign))
    }
}

/// What a file being replaced is called until it is whole.
pub(crate) const TEMPORARY: &str = ".tmp";

/// The most bytes a file of this process may have (`ulimit -f`). Writing beyond that is answered
/// with a signal that kills.
pub(crate) fn file_size_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Fsize)
        .current
        .unwrap_or(u64::MAX)
}

fn modified_ms(stat: &fs::Stat) -> u64 {
    // The fields' widths differ between platforms.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    let (seconds, nanos) = (stat.st_mtime as i64, stat.st_mtime_nsec as u64);
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1000) + nanos / 1_000_000
}

/// Refuses what belongs to someone else or has any of the `forbidden` permission bits.
fn check(
    fd: rustix::fd::BorrowedFd<'_>,
    path: &Path,
    forbidden: u32,
) -> Result<fs::Stat, StoreError> {
    let stat = fs::fstat(fd).map_err(|e| StoreError::io("check", path, e))?;
    let unsafe_because = |what: String| StoreError::Unsafe {
        path: path.to_owned(),
        what,
    };
    let me = rustix::process::geteuid().as_raw();
    if stat.st_uid != me {
        return Err(unsafe_because(format!(
            "belongs to user {} and not to you (user {me})",
            stat.st_uid
        )));
    }
    #[allow(clippy::useless_conversion)]
    let mode = u32::from(stat.st_mode) & 0o7777;
    if mode & forbidden != 0 {
        return Err(unsafe_because(format!("has mode {mode:04o}")));
    }
    Ok(stat)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn everything_is_made_private() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("state/pillion/sessions");
        let dir = Dir::create_root(&root).unwrap().create_dir("s").unwrap();
        dir.create_file("f").unwrap();
        dir.write_atomically("g", b"x").unwrap();
        for path in ["state", "state/pillion", "state/pillion/sessions"] {
            assert_eq!(mode(&temp.path().join(path)), 0o700, "{path}");
        }
        assert_eq!(mode(&root.join("s")), 0o700);
        assert_eq!(mode(&root.join("s/f")), 0o600);
        assert_eq!(mode(&root.join("s/g")), 0o600);
        assert_eq!(dir.read_small("g", 10).unwrap().unwrap(), b"x");
        assert!(dir.read_small("g", 0).is_err());
        assert!(dir.read_small("none", 10).unwrap().is_none());
    }

    #[test]
    fn what_others_can_change_or_read_is_refused_and_said() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("sessions");
        let dir = Dir::create_root(&root).unwrap();
        let session = dir.create_dir("s").unwrap();
        session.create_file("f").unwrap();
        let set = |path: &str, mode| {
            std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode))
                .unwrap();
        };
        set("s/f", 0o640);
        let said = session.read_file("f").unwrap_err().to_string();
        assert!(
            said.contains("has mode 0640") && said.contains("chmod"),
            "{said}"
        );
        set("s", 0o750);
        assert!(matches!(dir.open_dir("s"), Err(StoreError::Unsafe { .. })));
        set("", 0o755);
        assert!(Dir::open_root(&root).is_ok());
        set("", 0o770);
        assert!(matches!(
            Dir::open_root(&root),
            Err(StoreError::Unsafe { .. })
        ));
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        // Every system has this one, and it is root's or (for root) writable by all.
        assert!(matches!(
            Dir::open_root(Path::new("/tmp")),
            Err(StoreError::Unsafe { .. })
        ));
    }

    #[test]
    fn symlinks_are_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::create_root(&temp.path().join("sessions")).unwrap();
        let session = dir.create_dir("s").unwrap();
        session.create_file("f").unwrap();
        symlink("f", session.path().join("link")).unwrap();
        symlink("s", dir.path().join("t")).unwrap();
        assert!(session.read_file("link").is_err());
        assert!(dir.open_dir("t").is_err());
        symlink(dir.path(), temp.path().join("r")).unwrap();
        assert!(Dir::open_root(&temp.path().join("r")).is_err());
        let (ours, foreign) = session.entries().unwrap();
        assert_eq!(ours.len(), 1);
        assert_eq!(foreign, ["link"]);
    }
}
