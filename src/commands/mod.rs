//! The commands, one file each.

pub mod acp;
pub mod admit;
pub mod agent;
pub mod allow;
pub mod answer;
pub mod attach;
pub mod audit;
pub mod ban;
pub mod close;
pub mod code;
pub mod completions;
pub mod config;
pub mod conversation;
pub mod device;
pub mod export;
pub mod fork;
pub mod grant;
pub mod greeting;
pub mod host;
pub mod id;
pub mod join;
pub mod kick;
pub mod link;
pub mod ls;
pub mod man;
pub mod new;
pub mod people;
pub mod prompt;
pub mod refuse;
pub mod revoke;
pub mod rm;
pub mod run;
pub mod share;
pub mod stop;
pub mod team;
pub mod ticket;
pub mod trust;
pub mod who;

use anyhow::Result;
use pillion::{
    net::{
        NetOptions, RelayCa, RelaySecret, Resolve,
        signal::{SignalService, SignalUrl},
    },
    people::{SubjectRef, SubjectText},
    prove::keys::{self, Listed},
    session::{Command, Done, Target},
    sessions::{control, select},
    settings::{config::Config, paths::Paths},
    terminal::qr::{self, Style},
    tui::words,
};

/// Exit codes; `--help` lists them.
pub mod exit {
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// The host refused.
    pub const REFUSED: u8 = 3;
    /// No such session, person or terminal.
    pub const NOT_FOUND: u8 = 4;
    /// The session could not be reached.
    pub const UNREACHABLE: u8 = 5;
}

/// Asks the session `wanted` (or the only one there is) to do something.
pub async fn ask(paths: &Paths, wanted: Option<&str>, command: impl Into<Command>) -> Result<Done> {
    let session = select::running(paths, wanted)?;
    control::command(&paths.socket(&session.meta.id), command.into()).await
}

/// Whom a word means who is here, or a grant. Which of them, the session knows.
pub fn subject(word: &str) -> Result<Target> {
    Ok(word.parse::<SubjectRef>()?.into())
}

/// Whom a word means, here or not. A list of SSH keys is read or fetched here.
pub async fn target(config: &Config, word: &str) -> Result<Target> {
    Ok(match word.parse()? {
        SubjectText::One(whom) => whom.into(),
        SubjectText::Keys(list) => {
            let listed = keys::read(&list, config.forge()).await?;
            let Listed {
                from,
                is_address,
                keys,
            } = listed;
            Target::Keys {
                from,
                keys,
                is_address,
            }
        }
    })
}

/// How somebody joins by a code: whose link service it is, theirs need not know.
pub fn join_by_code(code: &str, service: &str) -> String {
    format!("pillion join {code} --signal {service}")
}

/// Prints what came of a command, for people: on stderr, because stdout is for results.
pub fn say(done: &Done) {
    if let Some(text) = words::done(done) {
        pillion::say!("{text}");
    }
}

/// What a QR code says of a ticket, which reads the same in capitals; those take half the room.
pub fn ticket_for_qr(ticket: &str) -> String {
    ticket.to_ascii_uppercase()
}

/// The columns of the terminal that standard error goes to; 80 where there is none.
pub fn cols_of_stderr() -> usize {
    size_of_stderr().map_or(80, |(cols, _)| cols)
}

fn size_of_stderr() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    let size = (usize::from(size.ws_col), usize::from(size.ws_row));
    (size.0 > 0 && size.1 > 0).then_some(size)
}

/// Draws a QR code on stderr, or says why not, and how it can be seen.
pub fn draw_qr(text: &str) {
    let style = Style::detect(|name| std::env::var(name).ok());
    let size = size_of_stderr();
    match qr::draw(text, style, size.map_or(80, |(cols, _)| cols)) {
        Ok(drawn) => {
            let rows = drawn.lines().count();
            if let Some((_, has)) = size.filter(|(_, has)| *has < rows) {
                pillion::say!(
                    "pillion: the QR code needs {rows} rows, and this terminal has {has}: make it higher and try again \
                     (`pillion ticket --qr`)"
                );
            } else {
                pillion::say!("{drawn}");
            }
        }
        Err(error) => pillion::say!("pillion: {error} (`pillion ticket --qr` tries again)"),
    }
}

/// The network's options, from the settings and the flags that win over them.
pub fn net_options(
    config: &Config,
    signal: Option<SignalUrl>,
    resolve: Option<Resolve>,
) -> Result<NetOptions> {
    Ok(NetOptions {
        relay_ca: config.relay_ca().map(RelayCa::load).transpose()?,
        relay_secret: config
            .relay_secret_file()
            .map(RelaySecret::load)
            .transpose()?,
        publish_addresses: config.publish_addresses(),
        resolve: resolve.unwrap_or_else(|| config.resolve()),
        signal: signal_service(config, signal)?,
        ..Default::default()
    })
}

/// The link service, from the settings or the flag that wins over them.
pub fn signal_service(config: &Config, signal: Option<SignalUrl>) -> Result<Option<SignalService>> {
    let Some(url) = signal.or_else(|| config.signal()) else {
        return Ok(None);
    };
    let ca = signal_ca(config)?;
    Ok(Some(SignalService { url, ca }))
}

/// Whom to trust for a link service's certificate, beside the public authorities.
pub fn signal_ca(config: &Config) -> Result<Option<RelayCa>> {
    Ok(config.signal_ca().map(RelayCa::load).transpose()?)
}
