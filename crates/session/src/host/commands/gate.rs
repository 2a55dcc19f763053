//! The gate: whether somebody may have a command carried out, and what it takes.
//!
//! Every command comes by it, and so does what the session only allows and writes down and the driver does: what
//! becomes of the link service is no state of the host's.

use crate::{
    audit::AuditEvent,
    host::{
        Host,
        api::HostOutput,
        commands::{
            question::Question,
            verbs::{Command, CommandError, Reach},
        },
        principal::Principal,
    },
};

/// What the gate says to a command.
pub(in crate::host) enum Authorization {
    /// It is carried out, and said at the terminal if there is something to say.
    Allowed(Option<Statement>),
    /// The person at the host's terminal is asked first.
    Confirm(Question),
    /// It is not carried out.
    Refused(CommandError),
}

/// How a change is said at the terminal.
pub(in crate::host) enum Statement {
    /// As it would be asked.
    Asked(Question),
    /// By the command's name and what came of it.
    Result(&'static str),
}

impl Host {
    /// Whether this may be carried out for `by`. If that is to be confirmed, it is from then on about exactly
    /// those whom the question shows.
    pub(in crate::host) fn authorize(
        &self,
        by: &Principal,
        command: &mut Command,
    ) -> Authorization {
        match by {
            Principal::Tty | Principal::Rule => Authorization::Allowed(None),
            Principal::Socket => self.authorize_socket(command),
            Principal::CoHost { .. } => match command {
                Command::Unknown(..) => Authorization::Refused(CommandError::NotKnownHere),
                command if !command.is_remote() => Authorization::Refused(CommandError::OnlyHost),
                _ => Authorization::Allowed(None),
            },
        }
    }

    /// What comes by the control socket may be somebody else's word, once somebody else may type or has typed.
    fn authorize_socket(&self, command: &mut Command) -> Authorization {
        match command.reach(self) {
            Reach::Nothing => Authorization::Allowed(None),
            Reach::Changes => Authorization::Allowed(Some(Statement::Result(command.name()))),
            Reach::Widens => match command.question(self) {
                Err(error) => Authorization::Refused(error),
                Ok(question) if self.socket_needs_a_yes() => Authorization::Confirm(question),
                Ok(question) => Authorization::Allowed(Some(Statement::Asked(question))),
            },
        }
    }

    /// Writes down what the driver does from here on, where it has something to do that the answer does not say.
    pub(in crate::host) fn pass_on(
        &mut self,
        by: &Principal,
        event: &AuditEvent,
        command: Option<Command>,
    ) -> Result<(), CommandError> {
        self.check_shared()?;
        self.people.log_by(&mut self.cx, by, event);
        if let Some(command) = command {
            self.cx.push(HostOutput::Allowed(command));
        }
        Ok(())
    }
}
