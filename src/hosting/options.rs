//! What to run, and how.

use std::time::Duration;

use pillion_caps::{PublicKey, SecretKey};
use pillion_net::{NetOptions, RelayCa, RelayChoice};
use pillion_proto::AccessMode;
use pillion_prove::oidc::Client;
use pillion_session::verbs::OpenConversation;
use pillion_source::Program;
use pillion_tui::{Notify, Prefix};

use crate::{
    hosting::{LinkWanted, RunWanted},
    sessions::retention::Retention,
};

/// What to run, and how.
pub struct Options {
    /// The program.
    pub program: Program,
    /// The command as people read it.
    pub command: String,
    /// The session's name.
    pub name: String,
    /// The id of a session that ended, to be started again: its key, tickets, grants and bars hold
    /// on, and its log goes on.
    pub again: Option<String>,
    /// What the host is called.
    pub host_name: String,
    /// The person's key.
    pub identity: SecretKey,
    /// Nobody can be granted edit.
    pub read_only: bool,
    /// Life of an edit grant.
    pub edit_ttl: Duration,
    /// How to be found.
    pub relay: RelayChoice,
    /// The rest of the network's options.
    pub net: NetOptions,
    /// The link service, if there is one.
    pub link: Option<LinkWanted>,
    /// Whom to trust for the certificate of a link service that is named later.
    pub signal_ca: Option<RelayCa>,
    /// What ended sessions keep.
    pub keep: Retention,
    /// The key before pillion's own commands.
    pub prefix: Prefix,
    /// How requests and knocks are told to the desktop.
    pub notify: Notify,
    /// Who may come in, unless a session that is started again knows.
    pub allow: AccessMode,
    /// Whether that is what the person said for this run: then it knows better.
    pub allow_said: bool,
    /// Teams whose members may.
    pub teams: Vec<PublicKey>,
    /// How long somebody who knocks waits for an answer.
    pub knock_wait: Duration,
    /// Whose word for e-mail addresses is taken.
    pub issuer: Option<Client>,
    /// Where the host's terminal is.
    pub terminal: Terminal,
    /// The session goes on when its terminal is lost.
    pub stays: bool,
    /// Without a terminal the program's streams are ours, and nobody can type into it; else it gets a terminal of its
    /// own, whose output goes to standard output.
    pub piped: bool,
    /// The session begins with a conversation, in place of the program.
    pub conversation: Option<OpenConversation>,
    /// What that conversation is for, where nobody sits at it.
    pub run: Option<RunWanted>,
    /// The key of the viewer that is the host's own terminal.
    pub owner: Option<PublicKey>,
}

/// Where the host's terminal is.
#[derive(Debug, Default)]
pub enum Terminal {
    /// This process was started in it; or output goes to a file or a pipe, and there is none.
    #[default]
    Own,
    /// The process that started this one has it and hands it over on this socket.
    Starter(std::os::unix::net::UnixStream),
    /// Nowhere yet. The process that started this one waits on this socket to hear that the session runs.
    Detached(std::os::unix::net::UnixStream),
}

impl Options {
    /// What `pillion -- PROGRAM` has without settings or flags.
    pub fn new(program: Program, identity: SecretKey) -> Options {
        let words: Vec<_> = program
            .argv
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        let command = words.join(" ");
        Options {
            name: command.clone(),
            command,
            program,
            again: None,
            host_name: "somebody".to_owned(),
            identity,
            read_only: false,
            edit_ttl: Duration::from_secs(8 * 60 * 60),
            relay: RelayChoice::Default,
            net: NetOptions::default(),
            link: None,
            signal_ca: None,
            keep: Retention::default(),
            prefix: Prefix::default(),
            notify: Notify::Off,
            allow: AccessMode::Link,
            allow_said: false,
            teams: Vec::new(),
            knock_wait: Duration::from_secs(2 * 60),
            issuer: None,
            terminal: Terminal::Own,
            stays: false,
            piped: false,
            conversation: None,
            run: None,
            owner: None,
        }
    }
}
