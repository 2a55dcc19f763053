//! What comes through the control socket and could be somebody else's word: it needs a yes at the host's
//! terminal. And what was changed through it, which is said there.
//!
//! To type in a shell is to run programs as the host's account, and a program can wait: it asks when the
//! editor is gone and nobody thinks of it. So from the first input of somebody else on, nothing that the
//! socket asks for lets anybody in or gives a right by itself, for as long as the program lives.

use std::collections::BTreeMap;

use pillion_caps::UnixMillis;
use pillion_proto::AccessMode;

use crate::host::{
    Host,
    api::{Command, CommandError, Done, HostNotice},
    commands::question::Question,
    principal::Principal,
};

/// How long a command that widens rights waits for a yes at the terminal, in microseconds.
pub const CONFIRM_WITHIN_US: u64 = 60_000_000;

/// Commands that may wait for that; an editor could start any number of them.
const MAX_CONFIRMS: usize = 16;

/// A command that waits for a yes.
struct Confirm {
    command: Command,
    /// What is said of it once it is carried out.
    statement: String,
    until_us: u64,
}

/// What the control socket asked for.
pub(in crate::host) struct Confirms {
    waiting: BTreeMap<u64, Confirm>,
    /// What is to be said at the terminal of commands under way, by request.
    statements: BTreeMap<u64, Statement>,
    /// Input of somebody else reached the program, or that of an earlier run may have left something
    /// running.
    remote_input: bool,
}

/// How a change is said at the terminal.
enum Statement {
    /// In these words.
    Whole(String),
    /// By the command's name and what came of it.
    Result(&'static str),
}

/// What a command does to who may come in and do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Nothing: it asks.
    Nothing,
    /// It changes something, and lets nobody in and gives nobody a right who has not got it.
    Changes,
    /// It could let somebody in, or do more, who can't now.
    Widens,
}

impl Confirms {
    pub(in crate::host) fn new(remote_input: bool) -> Confirms {
        Confirms {
            waiting: BTreeMap::new(),
            statements: BTreeMap::new(),
            remote_input,
        }
    }

    /// Input of somebody else reaches the program.
    pub(in crate::host) fn note_remote_input(&mut self) {
        self.remote_input = true;
    }
}

impl Host {
    /// The control socket wants something: it is carried out, or asked about first.
    pub(in crate::host) fn on_socket_command(&mut self, request: u64, mut command: Command) {
        let statement = match command.reach(self.access_mode(), self.sharing.on) {
            Reach::Nothing => None,
            Reach::Changes => Some(match &command {
                Command::Ticket { .. } => {
                    let text = "the ticket was replaced; the one before opens nothing";
                    Statement::Whole(text.to_owned())
                }
                _ => Statement::Result(command.name()),
            }),
            Reach::Widens => {
                let question = match self.question(&mut command) {
                    Ok(question) => question,
                    Err(error) => return self.done(request, Err(error)),
                };
                if self.socket_needs_a_yes() {
                    return self.ask_to_confirm(request, command, question);
                }
                Some(Statement::Whole(question.statement()))
            }
        };
        let statements = &mut self.confirms.statements;
        statements.extend(statement.map(|statement| (request, statement)));
        self.carry_out(request, &Principal::Socket, command);
    }

    /// Whether what comes through the socket may be somebody else's word.
    fn socket_needs_a_yes(&self) -> bool {
        self.confirms.remote_input || self.has_remote_editor()
    }

    /// Whether somebody else could type at this moment.
    fn has_remote_editor(&self) -> bool {
        let now = UnixMillis(self.now.unix_ms);
        let here = self.roster.people().filter(|person| person.connections > 0);
        here.map(|person| self.rights.standing(&person.identity, now))
            .any(|standing| standing.right.exceeds_view())
    }

    /// Asks at the terminal whether a command is really its person's.
    fn ask_to_confirm(&mut self, request: u64, command: Command, question: Question) {
        if !self.has_tty {
            let text = "somebody else has typed in this session or may type now, so a command could be theirs, \
                        and there is no terminal here to confirm it at. Somebody who manages the session can do \
                        it from their viewer";
            return self.done(request, Err(CommandError::NotAllowed(text.into())));
        }
        if self.confirms.waiting.len() >= MAX_CONFIRMS {
            let text = "too many commands wait for a yes at the host's terminal already";
            return self.done(request, Err(CommandError::NotNow(text.into())));
        }
        let until_us = self.now.mono_us.saturating_add(CONFIRM_WITHIN_US);
        let confirm = Confirm {
            command,
            statement: question.statement(),
            until_us,
        };
        self.confirms.waiting.insert(request, confirm);
        self.arm(until_us);
        self.notice(HostNotice::Confirm { request, question });
    }

    /// The person at the host answered.
    pub(in crate::host) fn on_confirmed(&mut self, request: u64, yes: bool) {
        let Some(confirm) = self.end_confirm(request) else {
            return;
        };
        if yes {
            self.note_confirmed(request);
            let statement = Statement::Whole(confirm.statement);
            self.confirms.statements.insert(request, statement);
            self.carry_out(request, &Principal::Socket, confirm.command);
        } else {
            let text = "the person at the host's terminal said no";
            self.done(request, Err(CommandError::NotAllowed(text.into())));
        }
    }

    /// Anybody who gave a command does not wait for it any more: a question about it goes.
    pub(in crate::host) fn on_withdrawn(&mut self, request: u64) {
        if self.end_confirm(request).is_some() {
            let text = "the command was ended before somebody said yes at the host's terminal";
            self.done(request, Err(CommandError::NotAllowed(text.into())));
        }
    }

    pub(in crate::host) fn expire_confirms(&mut self) {
        let now = self.now.mono_us;
        let waiting = self.confirms.waiting.iter();
        let due = waiting.filter(|(_, confirm)| now >= confirm.until_us || !self.has_tty);
        let due: Vec<u64> = due.map(|(request, _)| *request).collect();
        for request in due {
            self.end_confirm(request);
            let text = match self.has_tty {
                true => "nobody said yes at the host's terminal",
                false => "the host's terminal is gone, so nobody can say yes there",
            };
            self.done(request, Err(CommandError::NotAllowed(text.into())));
        }
        let next = self.confirms.waiting.values().map(|one| one.until_us).min();
        if let Some(next) = next {
            self.arm(next);
        }
    }

    /// A command waits no longer, and its question goes with it.
    fn end_confirm(&mut self, request: u64) -> Option<Confirm> {
        let confirm = self.confirms.waiting.remove(&request)?;
        self.notice(HostNotice::ConfirmGone { request });
        Some(confirm)
    }

    /// The host's terminal went away or came back.
    pub(in crate::host) fn on_tty(&mut self, attached: bool) {
        self.has_tty = attached;
        self.expire_confirms();
    }

    /// Says at the terminal what the socket changed, once it is done.
    pub(in crate::host) fn say_changed(
        &mut self,
        request: u64,
        result: &Result<Done, CommandError>,
    ) {
        let Some(statement) = self.confirms.statements.remove(&request) else {
            return;
        };
        let what = match (result, statement) {
            (Err(_), _) => return,
            (Ok(Done::Token { grant, .. }), Statement::Whole(text)) => {
                format!("{text} (grant {grant})")
            }
            (Ok(Done::Said(text)), Statement::Result(name)) => format!("{name}: {text}"),
            (Ok(_), Statement::Result(name)) => name.to_owned(),
            (Ok(_), Statement::Whole(text)) => text,
        };
        self.notice(HostNotice::ChangedBySocket { what });
    }
}

impl Command {
    /// What it does. `door` says who comes in now, `shared` whether the session is shared.
    fn reach(&self, door: AccessMode, shared: bool) -> Reach {
        match self {
            // The ticket is in the account's files, for the one who can use its socket to read.
            Command::Who
            | Command::Status
            | Command::Tracks
            | Command::Show { .. }
            | Command::Open { allow: None }
            | Command::Ticket { new: false } => Reach::Nothing,
            Command::Share { .. } if shared => Reach::Nothing,
            // Neither of the other two modes lets in all that "link" does not.
            Command::Open { allow: Some(allow) } if *allow == door || door == AccessMode::Link => {
                Reach::Changes
            }
            // A code lets in whom a ticket does.
            Command::Ticket { new: true }
            | Command::Code
            | Command::Stop
            | Command::Refuse { .. }
            | Command::TurnAway { .. }
            | Command::Revoke { .. }
            | Command::Kick { .. }
            | Command::Ban { .. }
            | Command::EndLink
            // What opens a terminal could as well be run in one that is there.
            | Command::New { .. }
            | Command::Close { .. } => Reach::Changes,
            Command::Share { .. }
            | Command::Grant { .. }
            | Command::GrantLink { .. }
            | Command::Admit { .. }
            | Command::Allow { .. }
            | Command::Unban { .. }
            | Command::Open { allow: Some(_) } => Reach::Widens,
            // A link lets in whom a ticket does. But where it is kept, and that the session is known
            // there, is for the host to say.
            Command::UseService { .. } => Reach::Widens,
        }
    }

    /// As it is given to `pillion`.
    fn name(&self) -> &'static str {
        match self {
            Command::Share { .. } => "share",
            Command::Stop => "stop",
            Command::Ticket { .. } => "ticket",
            Command::Who => "who",
            Command::Status | Command::Tracks => "ls",
            Command::New { .. } => "new",
            Command::Close { .. } => "close",
            Command::Show { .. } => "show",
            Command::Grant { .. } | Command::GrantLink { .. } => "grant",
            Command::Refuse { .. } | Command::TurnAway { .. } => "refuse",
            Command::Revoke { .. } => "revoke",
            Command::Kick { .. } => "kick",
            Command::Open { .. } | Command::Allow { .. } => "allow",
            Command::Admit { .. } => "admit",
            Command::Ban { .. } => "ban",
            Command::Unban { .. } => "unban",
            Command::UseService { .. } => "link",
            Command::EndLink => "link --off",
            Command::Code => "code",
        }
    }
}
