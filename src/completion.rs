//! What shells complete: the registration script calls the program again, which knows its sessions, people and settings.
//!
//! Candidates are read where they are kept. Nothing here asks over a network, waits longer than a moment, or
//! fails: what can't be read is not offered.

use std::time::Duration;

use clap::{CommandFactory, builder::StyledStr};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCandidates, CompletionCandidate},
};
use pillion::{
    identity::{
        contacts::{Contacts, Entry},
        devices::Devices,
        teams::Team,
    },
    people::plain_name,
    screen::clean::clean_title,
    session::{Reply, verbs},
    sessions::{
        control::{self, Request, Response},
        select,
    },
    settings::{config::Config, paths::Paths},
    store::{SessionState, SessionSummary, list},
};

use crate::args::Cli;

/// The variable by which a shell's script asks for candidates.
pub const VARIABLE: &str = "PILLION_COMPLETE";

/// How long a session may take to say who is there.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);

/// Answers a shell's script, if that is what this process was started for, and ends it then.
pub fn complete() {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .bin("pillion")
        .completer("pillion")
        .complete();
}

/// Sessions that run.
pub fn running() -> ArgValueCandidates {
    ArgValueCandidates::new(|| sessions(|state| *state == SessionState::Live))
}

/// Sessions that ended.
pub fn ended() -> ArgValueCandidates {
    ArgValueCandidates::new(|| sessions(|state| *state != SessionState::Live))
}

/// Every session of this machine.
pub fn any() -> ArgValueCandidates {
    ArgValueCandidates::new(|| sessions(|_| true))
}

/// Who is in the session that commands are about.
pub fn here() -> ArgValueCandidates {
    ArgValueCandidates::new(participants)
}

/// The same, and the keys of who is in the contact book.
pub fn people() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        [participants(), known_keys()]
            .into_iter()
            .flatten()
            .collect()
    })
}

/// The same, and the rules of who can join.
pub fn access() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let modes = ["link", "invited", "team"];
        let modes = modes.map(|mode| candidate(mode, "a rule of who can join"));
        [Vec::from(modes), participants(), known_keys()]
            .into_iter()
            .flatten()
            .collect()
    })
}

/// Names in the contact book.
pub fn contacts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let mut names: Vec<String> = book()
            .into_iter()
            .map(|entry| entry.name.as_str().to_owned())
            .collect();
        names.dedup();
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Teams of this machine.
pub fn teams() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let names = paths().and_then(|paths| Team::names(&paths.config).ok());
        let names = names.unwrap_or_default().into_iter();
        names.map(CompletionCandidate::new).collect()
    })
}

/// Linked devices.
pub fn devices() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let devices = paths().and_then(|paths| Devices::load(&paths).ok().flatten());
        let group = devices.and_then(|devices| devices.group);
        let members = group.iter().flat_map(|group| group.members());
        members
            .map(|member| CompletionCandidate::new(plain_name(member.name.as_str())))
            .collect()
    })
}

/// Names of settings.
pub fn settings() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        Config::keys()
            .map(|(key, help)| candidate(key, help.lines().next().unwrap_or_default()))
            .collect()
    })
}

/// Words of which one is to be given, for a parser that takes more than these.
pub fn words<const N: usize>(words: [&'static str; N]) -> ArgValueCandidates {
    ArgValueCandidates::new(move || Vec::from(words.map(CompletionCandidate::new)))
}

fn candidate(value: &str, help: &str) -> CompletionCandidate {
    let help = StyledStr::from(help.to_owned());
    CompletionCandidate::new(value).help(Some(help))
}

fn paths() -> Option<Paths> {
    Paths::from_env().ok()
}

fn sessions(fits: impl Fn(&SessionState) -> bool) -> Vec<CompletionCandidate> {
    let sessions = paths().and_then(|paths| list(&paths.sessions).ok());
    let sessions = sessions.unwrap_or_default().into_iter();
    let said = |session: SessionSummary| {
        let state = match session.state {
            SessionState::Live => "runs",
            _ => "ended",
        };
        let name = clean_title(&session.meta.name, 64);
        candidate(&session.meta.id, &format!("{name} ({state})"))
    };
    sessions
        .filter(|session| fits(&session.state))
        .map(said)
        .collect()
}

fn participants() -> Vec<CompletionCandidate> {
    let ask = || {
        let paths = paths()?;
        let wanted = std::env::var("PILLION_SESSION").ok();
        let session = select::running(&paths, wanted.as_deref()).ok()?;
        let request = (
            paths.socket(&session.meta.id),
            Request::Command(verbs::Who {}.into()),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        let answers = runtime.block_on(control::ask_all([request], ANSWERS_WITHIN));
        let Ok(Response::Done(done)) = answers.into_iter().next()? else {
            return None;
        };
        match done.reply {
            Reply::Who(people) => Some(people),
            _ => None,
        }
    };
    let people = ask().unwrap_or_default().into_iter();
    people
        .map(|person| {
            let print = person.identity.fingerprint();
            // A name may be anybody's, and a number is whose it is.
            candidate(
                &person.id.0.to_string(),
                &format!("{} ({print})", plain_name(&person.name)),
            )
        })
        .collect()
}

fn book() -> Vec<Entry> {
    let book = paths().and_then(|paths| Contacts::open(&paths.config).ok());
    book.map(|book| book.entries().to_vec()).unwrap_or_default()
}

fn known_keys() -> Vec<CompletionCandidate> {
    let keys = book().into_iter();
    keys.map(|entry| candidate(&entry.who.to_string(), entry.name.as_str()))
        .collect()
}
