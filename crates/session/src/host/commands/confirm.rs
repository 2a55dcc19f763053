//! What comes through the control socket and could be somebody else's word: it needs a yes at the host's
//! terminal. And what was changed through it, which is said there.
//!
//! To type in a shell is to run programs as the host's account, and a program can wait: it asks when the
//! editor is gone and nobody thinks of it. So from the first input of somebody else on, nothing that the
//! socket asks for lets anybody in or gives a right by itself, for as long as the program lives.

use std::collections::BTreeMap;

use pillion_caps::UnixMillis;
use pillion_proto::{FromHost, HostTerminal, Notice, NoticeKind};

use crate::{
    audit::{AuditEvent, TerminalState},
    host::{
        Host,
        api::{Change, HostNotice, TtyNews},
        commands::{
            Commands,
            gate::{Authorization, Statement},
            question::Question,
            verbs::{Command, CommandError, Done, Reply},
        },
        context::Context,
        people::People,
        principal::Principal,
        timers::Timer,
    },
};

/// How long a command that widens rights waits for a yes at the terminal, in microseconds.
pub const CONFIRM_WITHIN_US: u64 = 60_000_000;

/// Commands that may wait for that; an editor could start any number of them. There are no shares: all of
/// them came by the control socket, as the host's own account, which is why they are asked about. Only more of
/// the same wait behind them: what is done at the terminal itself and what a co-host signed is not asked about
/// there, and the person at the terminal says no to what they did not start.
const MAX_CONFIRMS: usize = 16;

/// A command that waits for a yes.
struct Confirm {
    command: Command,
    /// What was asked, which is said of it once it is carried out.
    question: Question,
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
        match self.authorize(&Principal::Socket, &mut command) {
            Authorization::Refused(error) => {
                self.commands.done(&mut self.cx, request, Err(error));
            }
            Authorization::Confirm(question) => {
                self.commands
                    .ask_to_confirm(&mut self.cx, request, command, question);
            }
            Authorization::Allowed(statement) => {
                let statements = &mut self.commands.confirms.statements;
                statements.extend(statement.map(|statement| (request, statement)));
                self.carry_out(request, &Principal::Socket, command);
            }
        }
    }

    /// Whether what comes through the socket may be somebody else's word.
    pub(in crate::host) fn socket_needs_a_yes(&self) -> bool {
        self.commands.confirms.remote_input || self.people.has_remote_editor(&self.cx)
    }

    /// The person at the host answered.
    pub(in crate::host) fn on_confirmed(&mut self, request: u64, yes: bool) {
        let Some(confirm) = self.commands.end_confirm(&mut self.cx, request) else {
            return;
        };
        if yes {
            self.commands.note_confirmed(request);
            let statement = Statement::Asked(confirm.question);
            self.commands.confirms.statements.insert(request, statement);
            self.carry_out(request, &Principal::Socket, confirm.command);
        } else {
            self.commands
                .done(&mut self.cx, request, Err(CommandError::Declined));
        }
    }
}

impl Commands {
    /// Asks at the terminal whether a command is really its person's.
    fn ask_to_confirm(
        &mut self,
        cx: &mut Context,
        request: u64,
        command: Command,
        question: Question,
    ) {
        if !cx.has_tty {
            return self.done(cx, request, Err(CommandError::NoTerminal));
        }
        if self.confirms.waiting.len() >= MAX_CONFIRMS {
            return self.done(cx, request, Err(CommandError::TooManyConfirms));
        }
        let until_us = cx.now.mono_us.saturating_add(CONFIRM_WITHIN_US);
        let confirm = Confirm {
            command,
            question: question.clone(),
            until_us,
        };
        self.confirms.waiting.insert(request, confirm);
        cx.timers.set_by(Timer::Confirms, until_us);
        cx.notice(HostNotice::Confirm { request, question });
    }

    /// Anybody who gave a command does not wait for it any more: a question about it goes.
    pub(in crate::host) fn on_withdrawn(&mut self, cx: &mut Context, request: u64) {
        if self.end_confirm(cx, request).is_some() {
            self.done(cx, request, Err(CommandError::Withdrawn));
        }
    }

    pub(in crate::host) fn expire_confirms(&mut self, cx: &mut Context) {
        let now = cx.now.mono_us;
        let waiting = self.confirms.waiting.iter();
        let due = waiting.filter(|(_, confirm)| now >= confirm.until_us || !cx.has_tty);
        let due: Vec<u64> = due.map(|(request, _)| *request).collect();
        for request in due {
            self.end_confirm(cx, request);
            let error = match cx.has_tty {
                true => CommandError::NotConfirmed,
                false => CommandError::TerminalGone,
            };
            self.done(cx, request, Err(error));
        }
        let next = self.confirms.waiting.values().map(|one| one.until_us).min();
        if let Some(next) = next {
            cx.timers.set_by(Timer::Confirms, next);
        }
    }

    /// A command waits no longer, and its question goes with it.
    fn end_confirm(&mut self, cx: &mut Context, request: u64) -> Option<Confirm> {
        let confirm = self.confirms.waiting.remove(&request)?;
        cx.notice(HostNotice::ConfirmGone { request });
        Some(confirm)
    }

    /// The host's terminal came or went. Viewers hear of it, because nobody may be there to answer them.
    pub(in crate::host) fn on_tty(&mut self, cx: &mut Context, news: TtyNews) {
        let had = std::mem::replace(
            &mut cx.has_tty,
            matches!(news, TtyNews::Attached | TtyNews::Moved),
        );
        let (state, told) = match news {
            TtyNews::Attached if had => return,
            TtyNews::Attached => (TerminalState::Attached, Some(HostTerminal::Attached)),
            TtyNews::Moved => (TerminalState::Moved, None),
            _ if !had => return,
            TtyNews::Detached => (TerminalState::Detached, Some(HostTerminal::Left)),
            TtyNews::Lost { stays: true } => (TerminalState::Lost, Some(HostTerminal::Lost)),
            TtyNews::Lost { stays: false } => (TerminalState::Lost, Some(HostTerminal::Closed)),
        };
        cx.lost_tty |= news == TtyNews::Lost { stays: false };
        cx.log_event(&AuditEvent::Terminal { state });
        if let Some(told) = told.filter(|_| cx.shared) {
            let what = Some(NoticeKind::HostTerminal(told));
            cx.broadcast(&[FromHost::Notice(Notice { what })]);
        }
        self.expire_confirms(cx);
    }

    /// Says at the terminal what the socket changed, once it is done.
    pub(in crate::host) fn say_changed(
        &mut self,
        cx: &mut Context,
        request: u64,
        result: &Result<Done, CommandError>,
    ) {
        let Some(statement) = self.confirms.statements.remove(&request) else {
            return;
        };
        let Ok(done) = result else {
            return;
        };
        let change = match statement {
            Statement::Asked(question) => Change::Widened {
                question,
                grant: match &done.reply {
                    Reply::GrantLink(token) => Some(token.grant.clone()),
                    _ => None,
                },
            },
            // A ticket is a secret, which a terminal that others see is not told.
            Statement::Result(_) if matches!(done.reply, Reply::Ticket(_)) => {
                Change::TicketReplaced
            }
            Statement::Result(name) => Change::Other {
                name,
                done: done.clone(),
            },
        };
        cx.notice(HostNotice::ChangedBySocket(change));
    }
}

impl People {
    /// Whether somebody else could type at this moment.
    fn has_remote_editor(&self, cx: &Context) -> bool {
        let now = UnixMillis(cx.now.unix_ms);
        let here = self
            .roster()
            .people()
            .filter(|person| person.connections > 0 && cx.keys.owner != Some(person.identity));
        here.map(|person| self.rights().standing(&person.identity, now))
            .any(|standing| standing.rights.exceeds_view())
    }
}
