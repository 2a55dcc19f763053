//! What is said of a command line that is none.

use std::{ffi::OsString, process::exit};

use clap::{
    CommandFactory, Error, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};
use pillion::{code::Code, screen::clean::clean_name};

use crate::{args::Cli, commands::exit::USAGE};

/// How alike a word and a command must be for one to be meant by the other.
const ALIKE: f64 = 0.75;

/// Parses the command line; where it is none, says why and ends the process.
pub fn parse_from(args: &[OsString]) -> Cli {
    match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => refuse(args, error),
    }
}

fn refuse(args: &[OsString], mut error: Error) -> ! {
    let first = args.get(1).and_then(|first| first.to_str());
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(first) = first
        && invalid(&error) == Some(first)
        && !first.starts_with('-')
    {
        pillion::say!("{}", unknown_command(first));
        exit(USAGE.into());
    }
    // It would run what is a misspelt flag as a program.
    if error.kind() == ErrorKind::UnknownArgument {
        error.remove(ContextKind::Suggested);
    }
    error.exit()
}

fn invalid(error: &Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(arg) => Some(arg),
        _ => None,
    }
}

/// Says what is wrong with a command line that clap takes, and ends the process.
pub fn error(text: &str) -> ! {
    pillion::say!("error: {text}\n\nFor more information, try '--help'.");
    exit(USAGE.into())
}

/// A number, or what is wrong with it in words.
pub fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("\"{text}\" is no number that can be meant here"))
}

/// What a word that is no command could mean.
fn unknown_command(word: &str) -> String {
    let shown = clean_name(word, 64);
    let more = "`pillion --help` lists the commands.";
    if is_way_in(word) {
        return format!(
            "error: \"{shown}\" is no command; to join, write `pillion join` before it. {more}"
        );
    }
    let nearest = nearest(
        word,
        Cli::command().get_subcommands().map(|one| one.get_name()),
    );
    match nearest {
        Some(nearest) => format!(
            "error: there is no command \"{shown}\"; did you mean `pillion {nearest}`? To share a program of that name: \
             `pillion share -- {shown}`. {more}"
        ),
        None => format!(
            "error: there is no command \"{shown}\". To share a program of that name: `pillion share -- {shown}`. {more}"
        ),
    }
}

/// The name most like a word, if one is like it.
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let likeness = |name: &str| {
        strsim::jaro_winkler(word, name).max(strsim::normalized_damerau_levenshtein(word, name))
    };
    let best = names
        .map(|name| (likeness(name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then(|| best.1.to_owned())
}

/// Whether somebody left out `join` before a ticket, link or code.
fn is_way_in(word: &str) -> bool {
    word.parse::<pillion::proto::Ticket>().is_ok() || word.contains("://") || Code::is_meant(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_command_names_what_could_be_meant() {
        for (word, part) in [
            ("jion", "`pillion join`"),
            ("shrae", "`pillion share`"),
            ("stpo", "`pillion stop`"),
            ("atach", "`pillion attach`"),
            ("lst", "`pillion ls`"),
            ("htop", "`pillion share -- htop`"),
            ("7-guitar-lantern", "`pillion join` before it"),
            (
                "https://s.example/s/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA#BBBBBBBBBBBBBBBBBBBBBB",
                "`pillion join` before it",
            ),
        ] {
            let said = unknown_command(word);
            assert!(said.contains(part), "{word}: {said}");
        }
    }

    #[test]
    fn a_word_is_shown_without_what_it_could_do_to_a_terminal() {
        assert!(!unknown_command("a\x1b[2Jb").contains('\x1b'));
    }

    fn check(command: &clap::Command, path: &str) {
        let help = command.get_after_long_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        assert!(
            help.contains("Example"),
            "`pillion{path} --help` has no example"
        );
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            check(sub, &format!("{path} {}", sub.get_name()));
        }
    }

    #[test]
    fn the_help_of_every_command_has_examples() {
        check(&Cli::command(), "");
    }

    #[test]
    fn every_command_names_its_session_in_one_way() {
        for command in Cli::command().get_subcommands() {
            // Whatever takes a session by itself takes it as `--session`, too.
            let positional = |arg: &clap::Arg| arg.is_positional() && arg.get_id() != "sessions";
            let takes_one = command.get_arguments().any(|arg| {
                let names = arg.get_value_names().unwrap_or_default();
                positional(arg) && names.iter().any(|name| name.starts_with("SESSION"))
            });
            let by_flag = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some("session"));
            assert!(takes_one <= by_flag, "{}", command.get_name());
            for arg in command.get_arguments() {
                let is_session = arg.get_id() == "session" || arg.get_id() == "place";
                let names = arg.get_value_names().unwrap_or_default();
                let called_so = names.iter().any(|name| name.starts_with("SESSION"));
                assert!(
                    is_session <= called_so,
                    "{} {}",
                    command.get_name(),
                    arg.get_id()
                );
                // Behind a flag it is `--session`; `rm` takes several and `--restart` one that ended.
                let flag = arg.get_long();
                let flags = [None, Some("session"), Some("restart")];
                assert!(
                    called_so <= flags.contains(&flag),
                    "{} {flag:?}",
                    command.get_name()
                );
            }
        }
        Cli::command().debug_assert();
    }
}
