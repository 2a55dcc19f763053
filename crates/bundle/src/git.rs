//! Git, run so that nothing else is.

use std::{
    ffi::{OsStr, OsString},
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::BundleError;

/// Git in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    base: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

/// What lets git run other programs, or write where it should not.
const SETTINGS: [&str; 12] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.quotePath=false",
    "submodule.recurse=false",
    "protocol.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
];

impl Git {
    /// In this folder.
    pub(crate) fn at(folder: &Path) -> Git {
        let mut base: Vec<OsString> = vec!["-C".into(), folder.into(), "--no-pager".into()];
        for setting in SETTINGS {
            base.extend(["-c".into(), setting.into()]);
        }
        Git {
            base,
            environment: vec![
                ("GIT_OPTIONAL_LOCKS".into(), "0".into()),
                ("GIT_TERMINAL_PROMPT".into(), "0".into()),
                ("LC_ALL".into(), "C".into()),
            ],
        }
    }

    /// With another setting.
    pub(crate) fn with(mut self, setting: impl Into<OsString>) -> Git {
        self.base.extend(["-c".into(), setting.into()]);
        self
    }

    /// With something in its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Git {
        self.environment.push((name.into(), value.as_ref().into()));
        self
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new("git");
        // What another git told of its own repository is not for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(name);
            }
        }
        command.args(&self.base).args(args);
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command.stdin(Stdio::null());
        command
    }

    /// What it prints.
    pub(crate) fn bytes<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Vec<u8>, BundleError> {
        let output = self.command(args).output().map_err(BundleError::NoGit)?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(failed(args, &output.stderr)),
        }
    }

    /// The line that it prints.
    pub(crate) fn line<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String, BundleError> {
        let bytes = self.bytes(args)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// Whether it says yes.
    pub(crate) fn is_so<S: AsRef<OsStr>>(&self, args: &[S]) -> bool {
        self.bytes(args).is_ok()
    }

    /// What it prints of what it is given. What is given is short, or it reads it before it prints.
    pub(crate) fn fed<S: AsRef<OsStr>>(
        &self,
        args: &[S],
        input: &[u8],
    ) -> Result<Vec<u8>, BundleError> {
        let mut child = self.start(args, Stdio::piped())?;
        let stdin = child.stdin.take();
        std::thread::scope(|scope| {
            // It may print before it has read everything.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            let output = child.wait_with_output().map_err(BundleError::NoGit)?;
            match output.status.success() {
                true => Ok(output.stdout),
                false => Err(failed(args, &output.stderr)),
            }
        })
    }

    /// Starts it with something to read.
    pub(crate) fn start<S: AsRef<OsStr>>(
        &self,
        args: &[S],
        stdin: Stdio,
    ) -> Result<Child, BundleError> {
        let mut command = self.command(args);
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().map_err(BundleError::NoGit)
    }
}

/// What it said when it failed, on one line that can be shown.
pub(crate) fn failed<S: AsRef<OsStr>>(args: &[S], stderr: &[u8]) -> BundleError {
    let said = String::from_utf8_lossy(stderr);
    let why: String = said
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(400)
        .collect();
    let what = args.first().map(|first| first.as_ref().to_string_lossy());
    BundleError::Git {
        what: what.unwrap_or_default().into_owned(),
        why,
    }
}
