//! Where things are on this machine.
//!
//! Configuration and the identity key in `$XDG_CONFIG_HOME/pillion`, sessions and their control sockets in
//! `$XDG_STATE_HOME/pillion/sessions`. Each directory is made with mode 0700 and checked to be ours before it is
//! used. Where no socket can be made there, it is in `$XDG_RUNTIME_DIR/pillion`, or in `/tmp`, which is everybody's.
//!
//! Files that the user names are written by [`NamedFile`], whatever stands there.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use etcetera::BaseStrategy;
use pillion_store::CONTROL_SOCKET;
use rustix::fs::OFlags;

/// The directories.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Configuration file and identity key.
    pub config: PathBuf,
    /// One directory for each session.
    pub sessions: PathBuf,
    /// Control sockets of sessions whose own directories can hold none.
    pub runtime: PathBuf,
}

impl Paths {
    /// The directories of the user who runs this, from the environment.
    ///
    /// # Errors
    /// No home directory.
    pub fn from_env() -> Result<Paths> {
        let home = etcetera::choose_base_strategy().ok();
        Paths::named(|name| std::env::var_os(name), home.as_ref())
    }

    /// From what the variables name, and the rest below the home directory: who has none may still name folders.
    fn named(
        variable: impl Fn(&str) -> Option<OsString>,
        home: Option<&impl BaseStrategy>,
    ) -> Result<Paths> {
        let folder = |name: &str| {
            let named = variable(name).map(PathBuf::from);
            named.filter(|path| path.is_absolute())
        };
        let config = folder("XDG_CONFIG_HOME").or_else(|| Some(home?.config_dir()));
        let state = folder("XDG_STATE_HOME").or_else(|| {
            let home = home?;
            Some(home.state_dir().unwrap_or_else(|| home.data_dir()))
        });
        let (Some(config), Some(state)) = (config, state) else {
            bail!(
                "your home directory is unknown, and so is where settings and sessions are kept: set HOME, or both \
                 XDG_CONFIG_HOME and XDG_STATE_HOME"
            );
        };
        Ok(Paths {
            config: config.join("pillion"),
            sessions: state.join("pillion").join("sessions"),
            runtime: match folder("XDG_RUNTIME_DIR") {
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

    /// The control socket of a session: beside what it records, where every command that can list the session
    /// finds it, whatever login or job it comes from. Where a file system has no sockets, see
    /// [`Paths::other_socket`].
    pub fn socket(&self, session: &str) -> PathBuf {
        let (socket, other) = (self.own_socket(session), self.other_socket(session));
        match other.exists() && !socket.exists() {
            true => other,
            false => socket,
        }
    }

    /// The control socket in a session's own directory.
    pub fn own_socket(&self, session: &str) -> PathBuf {
        self.sessions.join(session).join(CONTROL_SOCKET)
    }

    /// The control socket of a session whose own directory can hold none.
    pub fn other_socket(&self, session: &str) -> PathBuf {
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
            return Err(error).with_context(|| {
                format!(
                    "{} could not be made; where your home can't be written to, XDG_CONFIG_HOME (settings and keys) \
                     and XDG_STATE_HOME (sessions) name other folders",
                    dir.display()
                )
            });
        }
    }
    let meta = fs::symlink_metadata(dir)
        .with_context(|| format!("{} could not be looked at", dir.display()))?;
    if meta.is_symlink() {
        bail!(
            "{} is a link, and what keys and rights depend on is not looked for behind links: put the folder itself \
             there, or name the one above the folder it leads to, by XDG_CONFIG_HOME for settings and keys",
            dir.display()
        );
    }
    if !meta.is_dir() {
        bail!("{} is not a directory; move it away", dir.display());
    }
    if meta.uid() != rustix::process::getuid().as_raw() {
        bail!(
            "{} belongs to another user; it is not used. After su, HOME and the XDG_… variables may still name their \
             folders: `su -` sets your own",
            dir.display()
        );
    }
    if meta.mode() & 0o077 != 0 {
        bail!("{0} is open to others; run: chmod 700 {0}", dir.display());
    }
    Ok(())
}

/// A file that the user named, to be written: private, and whole under its name or not at all, where it is a
/// file. What exists and is none (a device, a pipe, a link) stays what it is and is written through.
pub struct NamedFile {
    out: File,
    /// What takes the place of what, once it is whole.
    draft: Option<(PathBuf, PathBuf)>,
}

impl NamedFile {
    /// Opens it. Nothing that exists is replaced before [`NamedFile::finish`].
    ///
    /// # Errors
    /// It is a directory, a socket, a disk, another user's file or another user's link, or can't be opened.
    pub fn create(path: &Path) -> Result<NamedFile> {
        let opened = NamedFile::open(path);
        opened.with_context(|| format!("{} could not be written", path.display()))
    }

    fn open(path: &Path) -> Result<NamedFile> {
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(NamedFile::beside(path)?);
            }
            found => found?,
        };
        let me = rustix::process::geteuid().as_raw();
        if !found.is_symlink() {
            return NamedFile::over(path, &found, me);
        }
        if found.uid() != me && found.uid() != 0 {
            bail!("it is another user's link; name the file itself");
        }
        match fs::metadata(path) {
            // A link to what is not there yet: it is made where the link points to.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let new = private().create(true).open(path)?;
                Ok(NamedFile::through(new))
            }
            Ok(target) if target.is_file() && !is_stdio(&target)? => in_place(path, &target, me),
            target => NamedFile::over(path, &target?, me),
        }
    }

    /// Writes what is there, which is no link.
    fn over(path: &Path, found: &fs::Metadata, me: u32) -> Result<NamedFile> {
        let kind = found.file_type();
        match () {
            // Our own output goes on behind what was written, and is not opened again.
            () if is_stdio(found)? => {
                let stdout = io::stdout().as_fd().try_clone_to_owned()?;
                let stderr = io::stderr().as_fd().try_clone_to_owned()?;
                let own = [File::from(stdout), File::from(stderr)];
                let mut own = own.into_iter();
                let own = own.find(|own| own.metadata().is_ok_and(|own| is_same(&own, found)));
                Ok(NamedFile::through(own.context("it was closed")?))
            }
            () if kind.is_file() && found.uid() != me => {
                bail!("it is another user's file; name another one")
            }
            () if kind.is_file() => match NamedFile::beside(path) {
                // Ours in a directory that is not.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    in_place(path, found, me)
                }
                other => Ok(other?),
            },
            () if kind.is_fifo() => Ok(NamedFile::through(open_pipe(path)?)),
            () if kind.is_char_device() => {
                let flags = OFlags::NOCTTY.bits().cast_signed();
                let device = OpenOptions::new()
                    .write(true)
                    .custom_flags(flags)
                    .open(path)?;
                Ok(NamedFile::through(device))
            }
            () if kind.is_dir() => bail!("it is a directory; name a file in it"),
            () => bail!(
                "it is a disk or a socket, not a file, a pipe or a terminal; name another one"
            ),
        }
    }

    fn through(out: File) -> NamedFile {
        NamedFile { out, draft: None }
    }

    /// Begins a file that takes the place of whatever file has its name.
    fn beside(path: &Path) -> io::Result<NamedFile> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut draft_name = name.to_owned();
        draft_name.push(format!(".{}", std::process::id()));
        let draft = path.with_file_name(draft_name);
        let out = private().create_new(true).open(&draft)?;
        let draft = Some((draft, path.to_owned()));
        Ok(NamedFile { out, draft })
    }

    /// Puts what was written in its place.
    ///
    /// # Errors
    /// It can't be had there; what was there before still is.
    pub fn finish(mut self) -> Result<()> {
        self.out.flush()?;
        if let Some((draft, path)) = &self.draft {
            fs::rename(draft, path)
                .with_context(|| format!("{} could not be written", path.display()))?;
            self.draft = None;
        }
        Ok(())
    }
}

impl Write for NamedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for NamedFile {
    fn drop(&mut self) {
        if let Some((draft, _)) = &self.draft {
            // There is nothing to be done about a leftover, and the failure that led here was told.
            let _ = fs::remove_file(draft);
        }
    }
}

/// Opens a log that the user named, to write behind what is there. A file is private.
///
/// # Errors
/// It can't be opened, or is another user's.
pub fn open_log(path: &Path) -> Result<File> {
    let log = private().append(true).create(true).open(path)?;
    let found = log.metadata()?;
    if found.is_file() {
        make_private(&log, &found, rustix::process::geteuid().as_raw())?;
    }
    Ok(log)
}

/// Writes over a file that is not to be replaced.
fn in_place(path: &Path, found: &fs::Metadata, me: u32) -> Result<NamedFile> {
    let out = private().open(path)?;
    make_private(&out, found, me)?;
    out.set_len(0)?;
    Ok(NamedFile::through(out))
}

fn make_private(file: &File, found: &fs::Metadata, me: u32) -> Result<()> {
    if found.uid() != me {
        bail!("it is another user's file; name another one");
    }
    if found.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Opens a named pipe, which waits for somebody who reads it.
fn open_pipe(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.write(true);
    match options.clone().custom_flags(flags).open(path) {
        Ok(pipe) => {
            let flags = rustix::fs::fcntl_getfl(&pipe)?;
            rustix::fs::fcntl_setfl(&pipe, flags - OFlags::NONBLOCK)?;
            Ok(pipe)
        }
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            // Nobody may hear it, and that is no reason not to wait.
            let _ = writeln!(
                io::stderr(),
                "pillion: waiting for somebody to read {}",
                path.display()
            );
            options.open(path)
        }
        Err(error) => Err(error),
    }
}

/// Whether this is what standard output or standard error goes to.
fn is_stdio(found: &fs::Metadata) -> io::Result<bool> {
    let own = [
        io::stdout().as_fd().try_clone_to_owned(),
        io::stderr().as_fd().try_clone_to_owned(),
    ];
    for own in own {
        if is_same(&File::from(own?).metadata()?, found) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
#[path = "../../tests/common/skip.rs"]
mod skip;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{skip::skip, *};

    #[test]
    fn without_a_home_directory_the_folders_that_are_named_do() {
        let no_home = None::<&etcetera::base_strategy::Xdg>;
        let named = |variables: &'static [(&str, &str)]| {
            let find = move |name: &str| variables.iter().find(|(known, _)| *known == name);
            Paths::named(
                move |name| find(name).map(|(_, to)| OsString::from(to)),
                no_home,
            )
        };
        let paths = named(&[("XDG_CONFIG_HOME", "/etc/x"), ("XDG_STATE_HOME", "/var/x")]).unwrap();
        assert_eq!(paths.config, Path::new("/etc/x/pillion"));
        assert_eq!(paths.sessions, Path::new("/var/x/pillion/sessions"));
        // One alone is not enough, and a path that means something else elsewhere is none.
        for variables in [
            &[][..],
            &[("XDG_STATE_HOME", "/var/x")],
            &[("XDG_CONFIG_HOME", "x"), ("XDG_STATE_HOME", "/var/x")],
        ] {
            assert_eq!(
                named(variables).unwrap_err().to_string(),
                "your home directory is unknown, and so is where settings and sessions are kept: set HOME, or both \
                 XDG_CONFIG_HOME and XDG_STATE_HOME"
            );
        }
    }

    fn put(path: &Path, text: &str) -> Result<()> {
        let mut file = NamedFile::create(path)?;
        file.write_all(text.as_bytes())?;
        file.finish()
    }

    /// What stands in a directory, links and all.
    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_named_file_is_private_and_replaced_whole() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        put(&file, "one").unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let mut half = NamedFile::create(&file).unwrap();
        half.write_all(b"half").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"one");
        drop(half);
        assert_eq!(fs::read(&file).unwrap(), b"one");
        put(&file, "two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(mode(&file), 0o600);
        assert_eq!(names(temp.path()), ["file"], "no draft is left");
        assert!(put(&temp.path().join("none/file"), "x").is_err());
    }

    #[test]
    fn a_link_stays_and_what_it_points_to_is_written() {
        let temp = tempfile::tempdir().unwrap();
        let (link, file) = (temp.path().join("link"), temp.path().join("file"));
        symlink("file", &link).unwrap();
        for text in ["one, and longer", "two"] {
            put(&link, text).unwrap();
            assert_eq!(fs::read(&file).unwrap(), text.as_bytes());
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(mode(&file), 0o600);
            fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        }
        assert_eq!(names(temp.path()), ["file", "link"]);
    }

    #[test]
    fn a_pipe_stays_and_who_reads_it_gets_all() {
        let temp = tempfile::tempdir().unwrap();
        let pipe = temp.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let link = temp.path().join("link");
        symlink("pipe", &link).unwrap();
        for path in [&pipe, &link] {
            let reader = pipe.clone();
            let reader = std::thread::spawn(move || fs::read_to_string(reader));
            put(path, "the ticket").unwrap();
            assert_eq!(reader.join().unwrap().unwrap(), "the ticket");
        }
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(names(temp.path()), ["link", "pipe"]);
    }

    #[test]
    fn a_device_stays() {
        let temp = tempfile::tempdir().unwrap();
        let (null, link) = (temp.path().join("null"), temp.path().join("link"));
        // Not the system's own by its name: what this test is against would replace it for everybody.
        symlink("/dev/null", &link).unwrap();
        put(&link, "x").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            &null,
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::from_raw_mode(0o600),
            rustix::fs::makedev(1, 3),
        );
        if made.is_err() {
            skip("making a device needs root");
            return;
        }
        // Where the system lets devices be used at all.
        let _ = put(&null, "x");
        let kept = fs::symlink_metadata(&null).unwrap();
        assert!(kept.file_type().is_char_device());
        assert_eq!(names(temp.path()), ["link", "null"]);
        assert!(
            fs::metadata("/dev/null")
                .unwrap()
                .file_type()
                .is_char_device()
        );
    }

    #[test]
    fn what_can_not_be_written_is_refused_with_what_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let text = |path: &Path| format!("{:#}", put(path, "x").unwrap_err());
        assert!(text(temp.path()).contains("is a directory"));
        let socket = temp.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(text(&socket).contains("socket"), "{}", text(&socket));
        if rustix::process::geteuid().is_root() {
            let theirs = temp.path().join("theirs");
            fs::write(&theirs, "theirs").unwrap();
            std::os::unix::fs::chown(&theirs, Some(12345), None).unwrap();
            assert!(text(&theirs).contains("another user's file"));
            let link = temp.path().join("link");
            symlink("theirs", &link).unwrap();
            assert!(text(&link).contains("another user's file"));
            std::os::unix::fs::lchown(&link, Some(12345), None).unwrap();
            assert!(text(&link).contains("another user's link"));
            assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
            assert!(open_log(&theirs).is_err());
        }
    }

    #[test]
    fn a_log_is_private_and_goes_on() {
        let temp = tempfile::tempdir().unwrap();
        let (file, link) = (temp.path().join("log"), temp.path().join("link"));
        symlink("log", &link).unwrap();
        for (text, all) in [("one", "one"), ("two", "onetwo")] {
            open_log(&link).unwrap().write_all(text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), all);
            assert_eq!(mode(&file), 0o600);
            fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        }
        open_log(Path::new("/dev/null")).unwrap();
    }

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
        symlink(&target, &link).unwrap();
        assert!(private_dir(&link).is_err());
    }
}
