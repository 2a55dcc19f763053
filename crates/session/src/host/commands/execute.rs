//! Carries commands out, and what several of them do.

use pillion_caps::{Refusal, Subject};
use pillion_proto::{ParticipantId, RefusalReason};

use crate::{
    audit::AuditEvent,
    host::{
        Host,
        api::Actor,
        commands::verbs::{Command, CommandError, Done, EndedLinks},
        fault::PeerError,
        people::standing::ChangeReason,
        principal::Principal,
    },
};

impl Host {
    /// Somebody on the host's side wants something.
    pub(in crate::host) fn on_command(&mut self, request: u64, by: Actor, command: Command) {
        self.commands
            .note_command(&self.people, request, by, &command);
        match by {
            Actor::Tty => self.carry_out(request, &Principal::Tty, command),
            Actor::Socket => self.on_socket_command(request, command),
        }
    }

    /// Does what was asked for, now that nobody else need say so.
    pub(in crate::host) fn carry_out(&mut self, request: u64, by: &Principal, command: Command) {
        self.commands.act(&mut self.cx, request);
        // It is answered when its program runs.
        let command = match command {
            Command::OpenTerminal(open) => {
                self.open_terminal(request, open);
                return self.commands.rest(&mut self.cx);
            }
            command => command,
        };
        match command.run(self, by) {
            Ok(Some(reply)) => {
                let done = self.people.with_shortfall(reply);
                self.commands.done(&mut self.cx, request, Ok(done));
            }
            Ok(None) => self.ticket_when_reachable(request),
            Err(error) => self.commands.done(&mut self.cx, request, Err(error)),
        }
        self.commands.rest(&mut self.cx);
    }

    /// The same for somebody elsewhere, who hears at once what came of it.
    pub(in crate::host) fn execute(
        &mut self,
        by: &Principal,
        command: Command,
    ) -> Result<Done, CommandError> {
        match command.run(self, by)? {
            Some(reply) => Ok(self.people.with_shortfall(reply)),
            None => Err(CommandError::OnlyHost),
        }
    }

    /// Removes somebody, and bars them by everything they proved to be. Which of their tokens ended with it.
    pub(in crate::host) fn remove(
        &mut self,
        by: &Principal,
        id: ParticipantId,
    ) -> Result<EndedLinks, CommandError> {
        self.people.check_over(&self.cx, by, id)?;
        let person = self.people.person(id)?;
        let key = person.identity;
        let claims = person.proved();
        let event = AuditEvent::Kicked {
            person: person.label().into(),
            claims: claims.iter().map(Subject::to_string).collect(),
        };
        let ended = self.people.bar_all(&self.cx, key, &claims);
        self.people.log_by(&mut self.cx, by, &event);
        let fault = PeerError::from(RefusalReason::Removed);
        for conn in self.cx.conns.of_person(id) {
            self.refuse(conn, &fault);
        }
        // Somebody else may have come by the same claim.
        self.put_out_banned();
        // Only then: who is kept out is not told what right would be left.
        self.people
            .refresh_standings(&mut self.cx, ChangeReason::Revoked);
        self.reconsider_knocks();
        Ok(ended)
    }

    /// Puts out who proved to be somebody that is kept out now.
    pub(in crate::host) fn put_out_banned(&mut self) {
        let fault = PeerError::from(RefusalReason::Removed);
        let here = self
            .people
            .roster()
            .people()
            .filter(|person| person.connections > 0);
        let banned = here.filter(|person| {
            self.people.rights().is_barred(&person.identity)
                || self.people.rights().is_banned(&person.subjects())
        });
        let banned: Vec<ParticipantId> = banned.map(|person| person.id).collect();
        for id in banned {
            for conn in self.cx.conns.of_person(id) {
                self.refuse(conn, &fault);
            }
        }
    }
}

/// The ledger's refusal, as a command's.
pub(in crate::host) fn refused(refusal: &Refusal) -> CommandError {
    CommandError::Refused(refusal.clone())
}
