//! What to run.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::Size;

/// A program to run in a pseudo-terminal. It inherits our environment and directory but for what is
/// said here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The command and its arguments, any bytes; not empty.
    pub argv: Vec<OsString>,
    /// Where it runs; `None`: where we do.
    pub cwd: Option<PathBuf>,
    /// Variables to set. `TERM` set here is kept as it is.
    pub env: Vec<(OsString, OsString)>,
    /// Variables not to inherit.
    pub env_remove: Vec<OsString>,
    /// The size its terminal starts with.
    pub size: Size,
}

/// Why a program didn't start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There was no command.
    #[error("no command was given: name one after `--`, or leave out the `--` to share your shell")]
    NoCommand,
    /// There is no such program.
    #[error("the command {0:?} was not found: check its spelling, or give its whole path")]
    NotFound(OsString),
    /// It isn't executable for us.
    #[error("the command {0:?} can't be executed: check its permissions, and that it is a program")]
    NotExecutable(OsString, #[source] io::Error),
    /// The directory to run in isn't one.
    #[error("the directory {0:?} to run the command in doesn't exist, or can't be entered")]
    Directory(PathBuf),
    /// The system refused something else.
    #[error("the command {0:?} couldn't be started")]
    Failed(OsString, #[source] io::Error),
    /// No pseudo-terminal could be had.
    #[error("the system gave no pseudo-terminal: too many may be open, or /dev/pts isn't mounted")]
    Pty(#[source] io::Error),
    /// No thread could be had to read or wait for it. It was started, and is hung up on.
    #[error("the system gave no thread to read the command's output: too many may be running")]
    Thread(#[source] io::Error),
}

impl SpawnError {
    /// The exit code a shell would use: 127 not found, 126 found but not started, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable(..) | Self::Failed(..) => 126,
            Self::NoCommand | Self::Directory(_) | Self::Pty(_) | Self::Thread(_) => 1,
        }
    }

    pub(crate) fn new(program: &Program, error: io::Error) -> Self {
        let name = program.argv.first().cloned().unwrap_or_default();
        let entered = |cwd: &PathBuf| std::fs::read_dir(cwd).is_ok() || cwd.join(".").exists();
        if let Some(cwd) = program.cwd.as_ref().filter(|cwd| !entered(cwd)) {
            return Self::Directory(cwd.clone());
        }
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound(name),
            io::ErrorKind::PermissionDenied => Self::NotExecutable(name, error),
            _ if error.raw_os_error() == Some(libc::ENOEXEC) => Self::NotExecutable(name, error),
            _ => Self::Failed(name, error),
        }
    }
}

impl Program {
    /// `argv` in a terminal of 80×24, with our environment, in our directory.
    pub fn new<I: IntoIterator<Item: Into<OsString>>>(argv: I) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: None,
            env: Vec::new(),
            env_remove: Vec::new(),
            size: Size::DEFAULT,
        }
    }

    /// Whether the command is there and can be executed, as far as that can be told before it is started.
    ///
    /// # Errors
    /// As starting it would.
    pub fn check(&self) -> Result<(), SpawnError> {
        let name = self.argv.first().ok_or(SpawnError::NoCommand)?;
        let (path, cwd) = (Path::new(name), self.cwd.as_deref());
        let found: Vec<PathBuf> = match path.components().count() > 1 || path.is_absolute() {
            true => vec![cwd.unwrap_or(Path::new("")).join(path)],
            false => {
                let search = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
                let dirs = std::env::split_paths(&search);
                dirs.map(|dir| dir.join(path)).collect()
            }
        };
        let there = || found.iter().filter(|path| path.is_file());
        let executable =
            |path: &PathBuf| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
        match (there().any(executable), there().next().is_some()) {
            (true, _) => Ok(()),
            (false, true) => {
                let error = io::ErrorKind::PermissionDenied.into();
                Err(SpawnError::NotExecutable(name.clone(), error))
            }
            // A folder, which can't be run either.
            (false, false)
                if found.iter().any(|path| path.is_dir()) && path.components().count() > 1 =>
            {
                let error = io::ErrorKind::IsADirectory.into();
                Err(SpawnError::NotExecutable(name.clone(), error))
            }
            (false, false) => Err(SpawnError::NotFound(name.clone())),
        }
    }

    /// The user's shell: `$SHELL` if that can be executed, else the one in `/etc/passwd`, else `/bin/sh`.
    ///
    /// It is interactive (it has a terminal) but no login shell, as under script(1) and in the windows
    /// of Linux terminals: anybody who runs us has logged in, and a second login would repeat what their
    /// profile adds to `PATH`.
    pub fn shell() -> Self {
        let named = std::env::var_os("SHELL").filter(|shell| executable(Path::new(shell)));
        let shell = named
            .or_else(|| {
                let passwd = std::fs::read("/etc/passwd").ok()?;
                let shell = shell_in_passwd(&passwd, rustix::process::getuid().as_raw())?;
                // An account that may not log in has one of these; a session of nothing helps nobody.
                let none = ["nologin", "false"].map(|name| Some(OsStr::new(name)));
                let path = Path::new(&shell);
                (executable(path) && !none.contains(&path.file_name())).then_some(shell)
            })
            .unwrap_or_else(|| "/bin/sh".into());
        Self::new([shell])
    }

    /// The variables to set for a program: its own, and `TERM`, if it has none, unless it can inherit
    /// the `TERM` of the host's terminal, `host_term`.
    pub(crate) fn variables(&self, host_term: Option<&OsStr>) -> Vec<(OsString, OsString)> {
        let mut variables = self.env.clone();
        let set = variables.iter().any(|(name, _)| name == "TERM");
        let inherited = host_term.is_some_and(|term| !term.is_empty())
            && !self.env_remove.iter().any(|name| name == "TERM");
        if !set && !inherited {
            // Without a terminal of its own the host's emulator answers, and that is an xterm.
            variables.push(("TERM".into(), "xterm-256color".into()));
        }
        variables
    }
}

fn executable(path: &Path) -> bool {
    path.is_absolute()
        && path.is_file()
        && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// The last field of the line whose third field is `uid` (`passwd(5)`). A directory service isn't asked:
/// where one is used, logging in has set `$SHELL`.
fn shell_in_passwd(passwd: &[u8], uid: u32) -> Option<OsString> {
    let uid = uid.to_string();
    passwd.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':').skip(2);
        let found = fields.next()? == uid.as_bytes();
        let shell = fields.nth(3)?;
        (found && !shell.is_empty()).then(|| OsStr::from_bytes(shell).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_that_of_the_account() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\n\
            # a comment\nbroken:x\n\
            ann:x:1000:1000:Ann,,,:/home/ann:/usr/bin/fish\n\
            bare:x:1001:1001::/:\n";
        assert_eq!(shell_in_passwd(passwd, 0).unwrap(), "/bin/bash");
        assert_eq!(shell_in_passwd(passwd, 1000).unwrap(), "/usr/bin/fish");
        assert_eq!(shell_in_passwd(passwd, 1001), None);
        assert_eq!(shell_in_passwd(passwd, 7), None);
        assert_eq!(shell_in_passwd(b"", 0), None);
    }

    #[test]
    fn a_shell_can_be_executed() {
        let shell = Program::shell();
        assert_eq!(shell.argv.len(), 1);
        assert!(executable(Path::new(&shell.argv[0])));
        assert!(!executable(Path::new("/etc/passwd")));
        assert!(!executable(Path::new("sh")));
    }

    #[test]
    fn term_is_the_hosts_or_an_xterm() {
        let term = |program: &Program, host: Option<&str>| {
            let variables = program.variables(host.map(OsStr::new));
            variables
                .into_iter()
                .find(|(name, _)| name == "TERM")
                .map(|(_, value)| value)
        };
        let mut program = Program::new(["true"]);
        assert_eq!(term(&program, Some("foot")), None);
        assert_eq!(term(&program, Some("")).unwrap(), "xterm-256color");
        assert_eq!(term(&program, None).unwrap(), "xterm-256color");
        program.env_remove.push("TERM".into());
        assert_eq!(term(&program, Some("foot")).unwrap(), "xterm-256color");
        program.env.push(("TERM".into(), "vt100".into()));
        assert_eq!(term(&program, Some("foot")).unwrap(), "vt100");
    }
}
