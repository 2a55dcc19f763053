//! What the host's account asks for and could be somebody else's word: it needs a yes at the host's terminal.

use pillion_caps::UnixMillis;
use pillion_proto::{Allow, Right};
use pillion_screen::clean::clean_title;

use crate::words::span;

use super::{
    Host,
    api::{Command, CommandError, HostNotice, Target},
    by::By,
    commands::verb,
    sharing::MAX_SERVICE,
};

/// How long a command that widens rights waits for a yes at the terminal, in microseconds.
pub const CONFIRM_WITHIN_US: u64 = 60_000_000;

/// Commands that may wait for that; an editor could start any number of them.
const MAX_CONFIRMS: usize = 16;

/// A command that waits for a yes.
pub(super) struct Confirm {
    command: Command,
    until_us: u64,
}

impl Host {
    /// Whether input of somebody else can reach the program at this moment: then what comes through
    /// the socket may be typed by them.
    pub(super) fn has_remote_editor(&self) -> bool {
        let now = UnixMillis(self.now.unix_ms);
        let here = self.roster.people().filter(|person| person.connections > 0);
        here.map(|person| self.rights.standing(&person.identity, now))
            .any(|standing| standing.right > Right::View)
    }

    /// Asks at the terminal whether a command is really its person's.
    pub(super) fn ask_to_confirm(
        &mut self,
        request: u64,
        mut command: Command,
    ) -> Result<(), CommandError> {
        if !self.has_tty {
            let text = "somebody with the right to edit is connected, so a command could be theirs, \
                        and there is no terminal here to confirm it at: revoke their right first \
                        (pillion revoke --all)";
            return Err(CommandError::NotAllowed(text.into()));
        }
        if self.confirms.len() >= MAX_CONFIRMS {
            let text = "too many commands wait for a yes at the host's terminal already";
            return Err(CommandError::NotNow(text.into()));
        }
        // Whom it is about is settled now: names may change hands before the yes.
        let label = self.settle(&mut command)?;
        let question = match &command {
            Command::Grant { right, ttl_ms, .. } => {
                self.check_grant(*right)?;
                let ttl = span(self.ttl(*ttl_ms)?);
                format!("Give {label} the right to {} for {ttl}?", verb(*right))
            }
            Command::GrantLink {
                right,
                ttl_ms,
                uses,
            } => {
                self.check_grant(*right)?;
                let ttl = span(self.ttl(*ttl_ms)?);
                let who = match uses {
                    Some(uses) if uses.get() == 1 => "one person".to_owned(),
                    Some(uses) => format!("{uses} people"),
                    None => "whoever has it".to_owned(),
                };
                format!("Make a token that lets {who} {} for {ttl}?", verb(*right))
            }
            Command::Admit { .. } => format!("Let {label} in?"),
            Command::Allow { target, right } => {
                let later = match target {
                    Target::Keys {
                        is_address: true, ..
                    } => ", and whose keys are added there,",
                    _ => "",
                };
                format!(
                    "Let {label}{later} come in and {}, from now on?",
                    verb(*right)
                )
            }
            Command::Unban { .. } => format!("Let {label} come in again?"),
            Command::Open { allow: Some(allow) } => format!("Open the session: {allow}?"),
            Command::UseService { service, link } => {
                let service = clean_title(service, MAX_SERVICE);
                match link {
                    true => format!("Publish a link to this session at {service}?"),
                    false => format!("Exchange codes for this session by {service}?"),
                }
            }
            _ => return Err(CommandError::NotAllowed("nothing to confirm".into())),
        };
        let until_us = self.now.mono_us.saturating_add(CONFIRM_WITHIN_US);
        self.confirms.insert(request, Confirm { command, until_us });
        self.arm(until_us);
        self.notice(HostNotice::Confirm { request, question });
        Ok(())
    }

    /// The person at the host answered.
    pub(super) fn on_confirmed(&mut self, request: u64, yes: bool) {
        let Some(confirm) = self.confirms.remove(&request) else {
            return;
        };
        if yes {
            self.note_confirmed(request);
            // Only what came through the socket is asked about.
            self.carry_out(request, &By::Socket, confirm.command);
        } else {
            let text = "the person at the host's terminal said no";
            self.done(request, Err(CommandError::NotAllowed(text.into())));
        }
    }

    pub(super) fn expire_confirms(&mut self) {
        let now = self.now.mono_us;
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.confirms)
            .into_iter()
            .partition(|(_, confirm)| now >= confirm.until_us || !self.has_tty);
        for (_, confirm) in &rest {
            self.arm(confirm.until_us);
        }
        self.confirms = rest.into_iter().collect();
        for (request, _) in due {
            let text = "nobody said yes at the host's terminal";
            self.done(request, Err(CommandError::NotAllowed(text.into())));
        }
    }

    /// The host's terminal went away or came back.
    pub(super) fn on_tty(&mut self, attached: bool) {
        self.has_tty = attached;
        self.expire_confirms();
    }
}

impl Command {
    /// Whether it could let somebody in or do more who can't now.
    pub(super) fn widens(&self, door: Allow) -> bool {
        match self {
            // A ticket only lets watch, and an editor has one. Sharing can't begin while an editor is
            // here: that it is on is how they came.
            Command::Share { .. } | Command::Ticket { .. } => false,
            Command::Grant { .. }
            | Command::GrantLink { .. }
            | Command::Admit { .. }
            | Command::Allow { .. }
            | Command::Unban { .. } => true,
            // A link lets in whom a ticket does. But where it is kept, and that the session is known
            // there, is for the host to say.
            Command::UseService { .. } => true,
            // Neither of the other two lets in all that the third does not.
            Command::Open { allow } => {
                allow.is_some_and(|allow| allow != door && door != Allow::Link)
            }
            Command::Stop
            | Command::Who
            | Command::Status
            | Command::Refuse { .. }
            | Command::TurnAway { .. }
            | Command::Revoke { .. }
            | Command::Kick { .. }
            | Command::Ban { .. }
            | Command::EndLink => false,
        }
    }
}
