//! A person's long-lived key, kept in the configuration directory.

use std::{
    fs::{DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use pillion_caps::SecretKey;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, RenameFlags};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::error::NetError;

/// The key's file name in the configuration directory.
const FILE: &str = "identity";
/// What the file begins with: what it is, and in which layout.
const HEADER: &str = "pillion identity 1 (secret: whoever has this file is you)\n";
/// The whole file: header, 64 hexadecimal digits, line feed.
const LENGTH: usize = HEADER.len() + 64 + 1;

/// Permission bits nobody but the owner may have.
const OTHERS: RawMode = 0o077;

/// Why there is no identity. Each text says what to do.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// Others can read or change it.
    #[error(
        "{} can be opened by other users (mode {mode:03o}), and anybody who reads your identity is you: \
         run `chmod {wanted:o} {}`", path.display(), path.display()
    )]
    Open {
        /// File or directory.
        path: PathBuf,
        /// Its permissions.
        mode: RawMode,
        /// What they should be.
        wanted: RawMode,
    },
    /// Somebody else's.
    #[error(
        "{} belongs to another user (uid {owner}): pillion keeps your identity only where nobody else \
         can change it; give the directory to you with `chown`, or set another with XDG_CONFIG_HOME", path.display()
    )]
    Foreign {
        /// File or directory.
        path: PathBuf,
        /// Whose.
        owner: u32,
    },
    /// A link, device, directory, …
    #[error("{} is not a plain file ({found}): move it away, and pillion makes a new identity", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Not what this program writes.
    #[error(
        "{} is damaged or was written by a newer pillion: restore it from a copy or upgrade; if you move it away, \
         pillion makes a new identity, and hosts will not know you by the old one", path.display()
    )]
    Damaged {
        /// Where.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("your identity cannot be kept in {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] NetError),
}

/// The person's key from `config_dir`, made there at first use: the file with mode 0600, the directory
/// with 0700. Neither is trusted if others can open it, nor is a symbolic link followed to the file.
///
/// Two processes that come first at once agree on one key.
///
/// # Errors
/// See [`IdentityError`].
pub fn load_or_create_identity(config_dir: &Path) -> Result<SecretKey, IdentityError> {
    let io = |source: io::Error| IdentityError::Io {
        path: config_dir.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(config_dir)
        .map_err(io)?;
    // Everything below goes through this descriptor: what was checked is what is used.
    let dir = rustix::fs::open(
        config_dir,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|e| io(e.into()))?;
    let dir = File::from(dir);
    check_private(&dir, config_dir, 0o700)?;
    let path = config_dir.join(FILE);
    match load(&dir, &path)? {
        Some(key) => Ok(key),
        None => create(&dir, &path),
    }
}

/// Random bytes from the operating system.
///
/// # Errors
/// It has none: practically only in a sandbox that forbids asking.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NetError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| NetError::NoRandomness {
        reason: e.to_string(),
    })?;
    Ok(bytes)
}

/// The key; `None` when there is no file.
fn load(dir: &File, path: &Path) -> Result<Option<SecretKey>, IdentityError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut file = match rustix::fs::openat(dir, FILE, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            return Err(IdentityError::NotAFile {
                path: path.to_owned(),
                found: "a symbolic link",
            });
        }
        Err(e) => {
            return Err(IdentityError::Io {
                path: path.to_owned(),
                source: e.into(),
            });
        }
    };
    let io = |source: io::Error| IdentityError::Io {
        path: path.to_owned(),
        source,
    };
    let stat = rustix::fs::fstat(&file).map_err(|e| io(e.into()))?;
    let found = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        _ => Some("a device, pipe or socket"),
    };
    if let Some(found) = found {
        return Err(IdentityError::NotAFile {
            path: path.to_owned(),
            found,
        });
    }
    check_private(&file, path, 0o600)?;
    // One byte more than it should have, to see that it has not.
    let mut text = Zeroizing::new([0; LENGTH + 1]);
    let mut read = 0;
    while read < text.len() {
        match file.read(&mut text[read..]).map_err(io)? {
            0 => break,
            more => read += more,
        }
    }
    match parse(&text[..read]) {
        Some(key) => Ok(Some(key)),
        None => Err(IdentityError::Damaged {
            path: path.to_owned(),
        }),
    }
}

/// Makes a key and keeps it, unless somebody else was quicker: then theirs is the key.
fn create(dir: &File, path: &Path) -> Result<SecretKey, IdentityError> {
    let io = |source: io::Error| IdentityError::Io {
        path: path.to_owned(),
        source,
    };
    let seed = Zeroizing::new(random_bytes::<32>()?);
    let mut text = Zeroizing::new(Vec::with_capacity(LENGTH));
    text.extend_from_slice(HEADER.as_bytes());
    let mut digits = Zeroizing::new([0; 64]);
    data_encoding::HEXLOWER.encode_mut(&*seed, &mut *digits);
    text.extend_from_slice(&*digits);
    text.push(b'\n');

    // Written whole under another name first: a crash leaves no half of a key.
    let draft = format!(
        ".{FILE}-{}",
        data_encoding::HEXLOWER.encode(&random_bytes::<8>()?)
    );
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, draft.as_str(), flags, Mode::RUSR | Mode::WUSR)
        .map_err(|e| io(e.into()))?;
    let mut file = File::from(file);
    let placed = file
        .write_all(&text)
        .and_then(|()| file.sync_all())
        .and_then(|()| place(dir, &draft))
        .and_then(|placed| dir.sync_all().map(|()| placed));
    if !matches!(placed, Ok(true)) {
        let _ = rustix::fs::unlinkat(dir, draft.as_str(), AtFlags::empty());
    }
    if placed.map_err(io)? {
        return Ok(SecretKey::from_bytes(&seed));
    }
    load(dir, path)?.ok_or_else(|| io(io::ErrorKind::NotFound.into()))
}

/// Gives the draft its name; `false` when the name is taken.
fn place(dir: &File, draft: &str) -> io::Result<bool> {
    use rustix::io::Errno;
    let renamed = rustix::fs::renameat_with(dir, draft, dir, FILE, RenameFlags::NOREPLACE);
    let placed = match renamed {
        // A file system or kernel that cannot: a hard link never replaces either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rustix::fs::linkat(dir, draft, dir, FILE, AtFlags::empty())
                .and_then(|()| rustix::fs::unlinkat(dir, draft, AtFlags::empty()))
        }
        other => other,
    };
    match placed {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn parse(text: &[u8]) -> Option<SecretKey> {
    let digits = text.strip_prefix(HEADER.as_bytes())?.strip_suffix(b"\n")?;
    let mut seed = Zeroizing::new([0; 32]);
    if digits.len() != 64
        || data_encoding::HEXLOWER
            .decode_mut(digits, &mut *seed)
            .is_err()
    {
        return None;
    }
    Some(SecretKey::from_bytes(&seed))
}

/// Nobody but us owns it or can open it.
fn check_private(file: &File, path: &Path, wanted: RawMode) -> Result<(), IdentityError> {
    let stat = rustix::fs::fstat(file).map_err(|e| IdentityError::Io {
        path: path.to_owned(),
        source: e.into(),
    })?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(IdentityError::Foreign {
            path: path.to_owned(),
            owner: stat.st_uid,
        });
    }
    if stat.st_mode & OTHERS != 0 {
        return Err(IdentityError::Open {
            path: path.to_owned(),
            mode: stat.st_mode & 0o777,
            wanted,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn made() -> (tempfile::TempDir, PathBuf, SecretKey) {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("a").join("pillion");
        let key = load_or_create_identity(&dir).unwrap();
        (home, dir, key)
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let (_home, dir, key) = made();
        assert_eq!((mode(&dir), mode(&dir.join(FILE))), (0o700, 0o600));
        assert_eq!(
            load_or_create_identity(&dir).unwrap().public(),
            key.public()
        );
        let names: Vec<_> = std::fs::read_dir(&dir)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, [FILE], "no draft is left");
    }

    #[test]
    fn a_file_or_directory_open_to_others_is_refused_with_the_remedy() {
        let (_home, dir, _) = made();
        chmod(&dir.join(FILE), 0o640);
        let error = load_or_create_identity(&dir).unwrap_err().to_string();
        assert!(
            error.contains("mode 640") && error.contains("`chmod 600 "),
            "{error}"
        );
        chmod(&dir.join(FILE), 0o600);
        chmod(&dir, 0o755);
        let error = load_or_create_identity(&dir).unwrap_err().to_string();
        assert!(error.contains("`chmod 700 "), "{error}");
        chmod(&dir, 0o700);
        load_or_create_identity(&dir).unwrap();
    }

    #[test]
    fn a_link_is_not_followed() {
        let (home, dir, _) = made();
        let elsewhere = home.path().join("elsewhere");
        std::fs::rename(dir.join(FILE), &elsewhere).unwrap();
        symlink(&elsewhere, dir.join(FILE)).unwrap();
        let error = load_or_create_identity(&dir).unwrap_err();
        assert!(
            matches!(
                error,
                IdentityError::NotAFile {
                    found: "a symbolic link",
                    ..
                }
            ),
            "{error}"
        );
        std::fs::remove_file(&elsewhere).unwrap();
        assert!(
            load_or_create_identity(&dir).is_err(),
            "nor when it leads nowhere"
        );
    }

    #[test]
    fn a_directory_in_its_place_is_named() {
        let (_home, dir, _) = made();
        std::fs::remove_file(dir.join(FILE)).unwrap();
        std::fs::create_dir(dir.join(FILE)).unwrap();
        let error = load_or_create_identity(&dir).unwrap_err().to_string();
        assert!(error.contains("a directory"), "{error}");
    }

    #[test]
    fn every_damage_is_noticed_and_nothing_is_overwritten() {
        let (_home, dir, key) = made();
        let path = dir.join(FILE);
        let whole = std::fs::read(&path).unwrap();
        let mut cases = vec![
            vec![],
            whole[..whole.len() - 1].to_vec(),
            [&whole[..], b"x"].concat(),
        ];
        for at in [0, HEADER.len(), whole.len() - 2] {
            let mut bad = whole.clone();
            bad[at] = b'Z';
            cases.push(bad);
        }
        for bad in cases {
            std::fs::write(&path, &bad).unwrap();
            assert!(matches!(
                load_or_create_identity(&dir),
                Err(IdentityError::Damaged { .. })
            ));
            assert_eq!(std::fs::read(&path).unwrap(), bad);
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(
            load_or_create_identity(&dir).unwrap().public(),
            key.public()
        );
    }

    #[test]
    fn many_who_come_first_at_once_agree() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("pillion");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| load_or_create_identity(&dir).unwrap().public()))
                .collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    }
}
