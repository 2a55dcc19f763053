//! Keeping tickets and tokens out of the list of processes.
//!
//! Everybody on a machine can read what a process was started with, for as long as it runs, and a viewer runs for as
//! long as somebody looks. So a command that takes a secret starts itself again in its own place, before it does
//! anything else: the whole command line goes through a pipe, and the list shows one without the secret. What was
//! given in the environment goes the same way, because that can be read, too (by fewer).

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::AsRawFd,
        unix::{
            ffi::{OsStrExt, OsStringExt},
            process::CommandExt,
        },
    },
    path::Path,
    process::Command,
};

use pillion::{announce::Place, hosting::process::SESSION_PROCESS};
use rustix::io::FdFlags;

use crate::{
    args::{Cli, Cmd},
    commands::device::DeviceCmd,
    usage,
};

/// The first argument of a process that was started again; its second says where to read.
const HANDED: &str = "--handed";

/// What stands in the list of processes in a secret's place.
const HIDDEN: &str = "hidden";

/// The most that is handed over, in bytes: a pipe takes it without anybody reading.
const MAX: u64 = 48 * 1024;

const TICKET: &str = "PILLION_TICKET";
const GRANT: &str = "PILLION_GRANT";

/// What this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What somebody has run.
    Command,
    /// A session's own process, which such a command has started.
    SessionProcess,
}

/// The command line, out of everybody else's sight if it holds a secret, and what this process is.
pub fn parse() -> (Cli, Role) {
    let mut args: Vec<OsString> = env::args_os().collect();
    if args.get(1).is_some_and(|first| first == SESSION_PROCESS) {
        args.remove(1);
        return (usage::parse_from(&args), Role::SessionProcess);
    }
    (parse_command(&args), Role::Command)
}

fn parse_command(args: &[OsString]) -> Cli {
    if let [_, first, from, ..] = args
        && first == HANDED
    {
        return match take(from) {
            Ok(cli) => cli,
            Err(error) => {
                pillion::say!(
                    "pillion: what the command was started with could not be read: {error}"
                );
                std::process::exit(1);
            }
        };
    }
    let cli = usage::parse_from(args);
    let secrets = secrets(&cli);
    let inherited = matches!(cli.command, Some(Cmd::Join(_)))
        && [TICKET, GRANT]
            .iter()
            .any(|name| env::var_os(name).is_some());
    if !secrets.is_empty() || inherited {
        // Better seen than not started.
        let _not_hidden = start_again(args, &secrets);
    }
    cli
}

/// What nobody else should see of it.
fn secrets(cli: &Cli) -> Vec<&str> {
    let given = match &cli.command {
        Some(Cmd::Join(join)) => [join.ticket.as_deref(), join.grant.as_deref()],
        Some(Cmd::Prompt(args)) => [args.place.ticket(), None],
        Some(Cmd::Answer(args)) => [args.place.ticket(), None],
        Some(Cmd::Conversation(args)) => [args.ticket(), None],
        Some(Cmd::Acp(args)) => [args.ticket(), None],
        Some(Cmd::Device(DeviceCmd::Link(link))) => [link.code.as_deref(), None],
        _ => [None, None],
    };
    let places = match &cli.command {
        Some(Cmd::Run(run)) => &run.announce[..],
        _ => &[],
    };
    let given = given.into_iter().flatten();
    given
        .chain(places.iter().filter_map(Place::secret))
        .filter(|secret| !secret.is_empty() && *secret != "-")
        .collect()
}

/// Starts this process again with the same command line, read from a pipe. Comes back only if that can't be done.
fn start_again(args: &[OsString], secrets: &[&str]) -> io::Error {
    let prepare = || -> io::Result<Command> {
        let mut all = Vec::new();
        for name in [TICKET, GRANT] {
            all.extend_from_slice(env::var_os(name).unwrap_or_default().as_bytes());
            all.push(0);
        }
        for arg in args {
            all.extend_from_slice(arg.as_bytes());
            all.push(0);
        }
        if all.len() as u64 > MAX {
            return Err(io::ErrorKind::ArgumentListTooLong.into());
        }
        let (from, mut to) = io::pipe()?;
        rustix::io::ioctl_fionbio(&to, true)?;
        to.write_all(&all)?;
        // It stays open across the start, and afterwards: nothing is left in it by then.
        rustix::io::fcntl_setfd(&from, FdFlags::empty())?;
        let mut command = Command::new(env::current_exe()?);
        command.arg(HANDED).arg(from.as_raw_fd().to_string());
        command.args(args.iter().skip(1).map(|arg| shown(arg, secrets)));
        if let Some(name) = args.first() {
            command.arg0(name);
        }
        command.env_remove(TICKET).env_remove(GRANT);
        // For the process that this one becomes.
        std::mem::forget(from);
        Ok(command)
    };
    match prepare() {
        Ok(mut command) => command.exec(),
        Err(error) => error,
    }
}

/// An argument as the list of processes shows it.
fn shown(arg: &OsStr, secrets: &[&str]) -> OsString {
    let text = arg.to_string_lossy();
    let secret = secrets.iter().find(|secret| text.ends_with(**secret));
    match secret.map(|secret| text.len() - secret.len()) {
        Some(before) => format!("{}{HIDDEN}", &text[..before]).into(),
        None => arg.to_owned(),
    }
}

/// Reads the command line that was handed over.
fn take(from: &OsStr) -> io::Result<Cli> {
    let from: u32 = from
        .to_str()
        .and_then(|from| from.parse().ok())
        .ok_or(io::ErrorKind::InvalidInput)?;
    let mut all = Vec::new();
    let file = File::open(Path::new("/dev/fd").join(from.to_string()))?;
    file.take(MAX + 1).read_to_end(&mut all)?;
    let mut parts = all.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let mut next = || parts.next().map(OsString::from_vec);
    let (ticket, grant) = (next(), next());
    // What stands behind the last separator is nothing.
    let args: Vec<OsString> = std::iter::from_fn(next).collect();
    let args = &args[..args.len().saturating_sub(1)];
    let mut cli = usage::parse_from(args);
    if let Some(Cmd::Join(join)) = &mut cli.command {
        let text = |value: Option<OsString>| {
            let text = value?.into_string().ok()?;
            (!text.is_empty()).then_some(text)
        };
        join.ticket = join.ticket.take().or(text(ticket));
        join.grant = join.grant.take().or(text(grant));
    }
    Ok(cli)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn secrets_are_not_shown_and_the_rest_is() {
        let args = [
            "join",
            "pillionabc",
            "--grant=pilliongrantx",
            "--name",
            "bert",
        ];
        let shown: Vec<OsString> = args
            .iter()
            .map(|arg| shown(OsStr::new(arg), &["pillionabc", "pilliongrantx"]))
            .collect();
        let hidden = ["join", "hidden", "--grant=hidden", "--name", "bert"];
        assert_eq!(shown, hidden.map(OsString::from));
    }

    #[test]
    fn what_is_kept_out_of_sight() {
        let secrets = |args: &[&str]| {
            let cli = Cli::parse_from([&["pillion"], args].concat());
            secrets(&cli)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(secrets(&["join", "T", "--grant", "G"]), ["T", "G"]);
        assert_eq!(secrets(&["device", "link", "C"]), ["C"]);
        assert!(secrets(&["join", "-"]).is_empty());
        assert_eq!(
            secrets(&["prompt", "--session", "pillionabc", "x"]),
            ["pillionabc"]
        );
        assert!(secrets(&["prompt", "--session", "26ab", "x"]).is_empty());
        assert_eq!(
            secrets(&["conversation", "pillionabc", "--follow"]),
            ["pillionabc"]
        );
        assert!(secrets(&["who"]).is_empty());
        let run = ["run", "--agent", "x", "--prompt", "y", "--announce"];
        let announced = |place| secrets(&[&run[..], &[place]].concat());
        assert_eq!(
            announced("slack:https://h.example/S"),
            ["https://h.example/S"]
        );
        assert!(announced("linear:ENG-1").is_empty());
    }
}
