//! The commands, one file each.

pub mod admit;
pub mod allow;
pub mod audit;
pub mod ban;
pub mod completions;
pub mod config;
pub mod export;
pub mod grant;
pub mod host;
pub mod id;
pub mod join;
pub mod kick;
pub mod ls;
pub mod man;
pub mod people;
pub mod refuse;
pub mod revoke;
pub mod rm;
pub mod share;
pub mod stop;
pub mod team;
pub mod ticket;
pub mod unban;
pub mod who;

use anyhow::Result;
use pillion::{
    control,
    paths::Paths,
    select,
    session::{Command, Done},
};

/// Exit codes; `--help` lists them.
pub mod exit {
    /// The host refused.
    pub const REFUSED: u8 = 3;
    /// No such session or person.
    pub const NOT_FOUND: u8 = 4;
    /// The session could not be reached.
    pub const UNREACHABLE: u8 = 5;
}

/// Asks the session `wanted` (or the only one there is) to do something.
pub async fn ask(paths: &Paths, wanted: Option<&str>, command: Command) -> Result<Done> {
    let session = select::running(paths, wanted)?;
    control::ask(
        &paths.socket(&session.meta.id),
        &control::Request::Command(command),
    )
    .await
}

/// Prints a sentence, for people: on stderr, because stdout is for results.
pub fn say(done: &Done) {
    if let Done::Said(text) = done {
        eprintln!("{text}");
    }
}

/// The network's options, from the settings.
pub fn net_options(config: &pillion::config::Config) -> Result<pillion::net::NetOptions> {
    Ok(pillion::net::NetOptions {
        relay_ca: config
            .relay_ca()
            .map(pillion::net::RelayCa::load)
            .transpose()?,
        publish_addresses: config.publish_addresses(),
        ..Default::default()
    })
}

/// Whether whoever reads our output has enough: `pillion export … | head` is no error.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
